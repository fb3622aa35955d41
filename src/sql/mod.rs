//! SQL text: identifiers, literals, names, server versions. The only place that quotes.
//!
//! Promises that `parse(quote(x)) = x` for every name and value that PostgreSQL accepts.
//! Knows no object kind and talks to no server.

mod bytes;
mod if_exists;
mod keywords;
mod lock_mode;
mod quote;
mod role;
mod version;

pub use bytes::{bytes_of, into_bytes, into_text, is_plain, text_of};
pub use if_exists::without_if_exists;
pub use lock_mode::LockMode;
pub use quote::{
    Quoting, after_copy_of, dollar_quoted, ident, literal, name_parts, qualified, unquote,
};
pub use role::{RESET_ROLE, back_to};
pub use version::ServerVersion;
