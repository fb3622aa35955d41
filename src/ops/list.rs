//! What is in an archive.

use serde::Serialize;

use super::Input;
use crate::archive::{Entry, Manifest};
use crate::error::Result;

/// How to list.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ListOptions {}

/// An entry's place in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedEntry {
    /// The entry as the table of contents has it.
    #[serde(flatten)]
    pub entry: Entry,
    /// What is known about its data, for entries that have any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<ListedTable>,
}

/// What the index knows about an entry's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedTable {
    /// Rows.
    pub rows: u64,
    /// Bytes of COPY data before compression.
    pub raw_bytes: u64,
    /// Bytes in the archive.
    pub stored_bytes: u64,
    /// Frames.
    pub frames: u64,
    /// SHA-256 over the digests of the frames, in hex.
    pub sha256: String,
    /// Order-free fingerprint of the rows, in hex.
    pub fingerprint: String,
}

/// The list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListReport {
    /// What the archive is and where it came from.
    pub manifest: Manifest,
    /// Its entries in restore order.
    pub entries: Vec<ListedEntry>,
}

/// Lists an archive.
///
/// # Errors
/// [`Kind::Archive`](crate::error::Kind::Archive) when it is damaged or no archive,
/// [`Kind::Storage`](crate::error::Kind::Storage) when it cannot be read.
pub async fn list(input: Input, options: &ListOptions) -> Result<ListReport> {
    let _ = (input, options);
    todo!()
}
