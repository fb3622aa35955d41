//! The index: where every frame is, and what every table has.

use std::collections::BTreeMap;

use super::entry::{CopyFormat, EntryId};
use super::fingerprint::Fingerprint;

/// One frame of a table, as the index knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameIndex {
    /// The entry whose rows these are.
    pub entry: EntryId,
    /// Number of the chunk within the entry, from 0.
    pub chunk: u32,
    /// Number of the frame within the chunk, from 0.
    pub frame: u32,
    /// Where the stored bytes begin in the archive.
    pub offset: u64,
    /// Number of stored bytes.
    pub stored_bytes: u64,
    /// Size before compression, in bytes.
    pub raw_bytes: u64,
    /// Number of rows.
    pub rows: u64,
    /// SHA-256 of the stored bytes.
    pub sha256: [u8; 32],
}

/// What the index knows about the data of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableIndex {
    /// The entry.
    pub entry: EntryId,
    /// Format of every frame.
    pub format: CopyFormat,
    /// Column names in the order of the stream; empty for large objects.
    pub columns: Vec<String>,
    /// Rows in all.
    pub rows: u64,
    /// Raw bytes in all.
    pub raw_bytes: u64,
    /// Stored bytes in all, without tar headers and padding.
    pub stored_bytes: u64,
    /// SHA-256 over the digests of the frames in (chunk, frame) order.
    pub sha256: [u8; 32],
    /// Fingerprint of the rows.
    pub fingerprint: Fingerprint,
    /// The frames in (chunk, frame) order.
    pub frames: Vec<FrameIndex>,
}

/// Every table of an archive, by entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    tables: BTreeMap<EntryId, TableIndex>,
}

impl Index {
    /// The tables in the order of their entries.
    pub fn tables(&self) -> impl ExactSizeIterator<Item = &TableIndex> {
        self.tables.values()
    }

    /// The data of one entry.
    pub fn table(&self, entry: EntryId) -> Option<&TableIndex> {
        self.tables.get(&entry)
    }
}
