//! Frames: the unit of compression, checksum and restore, and the rows within.

use bytes::Bytes;

use super::entry::{CopyFormat, EntryId};
use crate::error::Result;

/// What every binary COPY stream begins with: signature, no flags, no extension.
pub const BINARY_HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What every binary COPY stream ends with: a field count of -1.
pub const BINARY_TRAILER: &[u8; 2] = b"\xff\xff";

/// A frame before compression: rows of one table, cut on row boundaries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// The entry whose rows these are.
    pub entry: EntryId,
    /// Number of the chunk within the entry, from 0.
    pub chunk: u32,
    /// Number of the frame within the chunk, from 0.
    pub frame: u32,
    /// Number of rows.
    pub rows: u64,
    /// A complete COPY stream; in binary format with its own header and trailer.
    pub raw: Vec<u8>,
}

/// A frame as it is stored in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFrame {
    /// The entry whose rows these are.
    pub entry: EntryId,
    /// Number of the chunk within the entry, from 0.
    pub chunk: u32,
    /// Number of the frame within the chunk, from 0.
    pub frame: u32,
    /// Number of rows; not known before the frame is unpacked when it came from a pipe.
    pub rows: Option<u64>,
    /// Size before compression, in bytes.
    pub raw_bytes: u64,
    /// The compressed bytes.
    pub stored: Bytes,
    /// SHA-256 of the compressed bytes.
    pub sha256: [u8; 32],
}

/// The rows of a raw frame, as the content fingerprint takes them.
pub fn rows_of(format: CopyFormat, raw: &[u8]) -> Rows<'_> {
    Rows { format, rest: raw }
}

/// Iterator over the rows of a raw frame; ends after its first error.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    format: CopyFormat,
    rest: &'a [u8],
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let _ = (self.format, self.rest);
        todo!()
    }
}
