//! The archive: an ordinary tar, written in one pass and read by many hands.
//!
//! Why it exists: the archive must outlive the program. The container is a POSIX tar, frames are
//! ordinary zstd, gzip or lz4 files holding ordinary COPY streams, and every member is in a
//! SHA256SUMS that coreutils checks. `docs/archive-format-v1.md` is the exact specification.
//!
//! What it promises: a [`Writer`] never seeks and never makes an archive that looks whole before
//! it is; [`Archive`] reads any frame of a seekable archive by itself; [`StreamReader`] reads a
//! pipe front to back; [`verify`] finds any changed byte. Every damage is an error of
//! [`Kind::Archive`](crate::error::Kind::Archive), every length is checked before it is believed,
//! and no path out of an archive is ever used to write a file.
//!
//! What it leaves to others: where the bytes are (`storage`), what the statements mean (`ddl`,
//! `plan`), and who moves the rows (`dump`, `restore`). Of PostgreSQL it knows entries,
//! statements as text, and COPY streams as far as to tell one row from the next.

mod arrays;
mod codec;
mod digest;
pub mod entry;
mod fingerprint;
mod frame;
mod index;
mod ledger;
mod listing;
mod manifest;
mod names;
mod pack;
mod packed;
mod reader;
mod readme;
mod sections;
mod statistics;
mod stream;
mod tar;
mod trailer;
mod verify;
mod writer;

pub use arrays::ArrayColumns;
pub use codec::{Codec, Decoder, Encoder, unseal};
pub(crate) use digest::hex;
pub use entry::*;
pub use fingerprint::Fingerprint;
pub use frame::{BINARY_HEADER, BINARY_TRAILER, FRAME_MAX, RawFrame, Rows, StoredFrame, rows_of};
pub use index::{FrameIndex, Index, TableIndex};
pub use listing::Listing;
pub use manifest::{
    AclRecord, ArchiveId, DatabaseRecord, FORMAT_VERSION, Globals, Manifest, Scripts,
    SettingRecord, Timestamp,
};

pub(crate) use pack::FRAME_IN_PACK_MAX;
pub use packed::PackedScripts;
pub use reader::Archive;
pub use sections::Sections;
pub use statistics::{
    COLUMN_VALUES, ColumnStatistics, RELATION_VALUES, RelationStatistics, statistics_of,
};
pub use stream::{StreamItem, StreamReader, TableEnd};
pub use verify::{VerifyReport, verify, verify_stream};
pub use writer::{Summary, Writer};

use crate::task::blocking;
