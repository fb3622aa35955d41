//! Archives that only the holder of a key can read: the age v1 format, as the `age` tool has it.
//!
//! Why it exists: what leaves the machine is to be unreadable for whoever keeps it, and readable in
//! twenty years without pgstow. The whole archive is one age file, which `age --decrypt` opens.
//!
//! What it promises: ranged reads of an encrypted object decrypt only the 64 KiB chunks that they
//! touch, in parallel; a chunk that was changed, moved or cut off is an error of
//! [`Kind::Archive`](crate::error::Kind::Archive), before any of its bytes is handed out; a missing
//! or wrong key is one of [`Kind::Refused`](crate::error::Kind::Refused). No key, passphrase or file
//! key is in a message or in the output of `Debug`.
//!
//! What it leaves to others: where keys come from (the binary), where bytes are (`storage`), what
//! they mean (`archive`). Primitives are those of ring, x25519-dalek and scrypt; what is here is the
//! format alone. Other recipients than X25519 keys and passphrases (SSH keys, plugins, post-quantum
//! hybrids) are not known.

mod chunks;
mod header;
mod keys;
mod pipe;
mod sink;
mod source;

pub use header::{MAGIC, is_encrypted};
pub use keys::{Identity, Keys, Passphrase, Recipient, Recipients};
pub use pipe::decrypt_stream;
pub use sink::EncryptedSink;
pub use source::DecryptedSource;

use crate::error::{Error, Kind, Result};
use crate::task::blocking;

fn damaged(what: impl Into<String>) -> Error {
    Error::new(Kind::Archive, what)
}

/// Secure randomness.
fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(Kind::Failed, "no randomness").with_source(error))?;
    Ok(bytes)
}
