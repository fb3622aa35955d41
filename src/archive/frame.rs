//! Frames: the unit of compression, checksum and restore, and the rows within.

use bytes::Bytes;

use super::codec::Codec;
use super::digest::sha256;
use super::entry::{CopyFormat, EntryId};
use crate::error::{Error, Kind, Result};

/// What every binary COPY stream begins with: signature, no flags, no extension.
pub const BINARY_HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What every binary COPY stream ends with: a field count of -1.
pub const BINARY_TRAILER: &[u8; 2] = b"\xff\xff";

/// Most bytes that a frame may have, before or after compression. Frames are cut at a few
/// megabytes, and a single row has at most 1 GiB.
pub const FRAME_MAX: u64 = 4 << 30;

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
    /// How they are compressed: as the archive says, or not at all in a pack, which is compressed as a whole.
    pub codec: Codec,
    /// SHA-256 of the compressed bytes.
    pub sha256: [u8; 32],
}

impl RawFrame {
    /// Hashes the frame and leaves it uncompressed, as it is in a pack.
    pub fn bare(self) -> StoredFrame {
        StoredFrame {
            entry: self.entry,
            chunk: self.chunk,
            frame: self.frame,
            rows: Some(self.rows),
            raw_bytes: self.raw.len() as u64,
            sha256: sha256(&self.raw),
            stored: self.raw.into(),
            codec: Codec::None,
        }
    }
}

/// The rows of a raw frame, as the content fingerprint takes them: in text format the lines
/// without their newlines, in binary format the tuples.
///
/// A frame that is not a complete COPY stream gives an error of [`Kind::Archive`] where it breaks.
pub fn rows_of(format: CopyFormat, raw: &[u8]) -> Rows<'_> {
    Rows {
        rest: match format {
            CopyFormat::Text => Rest::Text(raw),
            CopyFormat::Binary => match raw.strip_prefix(BINARY_HEADER) {
                Some(tuples) => Rest::Binary(tuples),
                None => Rest::NoHeader,
            },
        },
    }
}

/// Iterator over the rows of a raw frame; ends after its first error.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    rest: Rest<'a>,
}

#[derive(Clone, Debug)]
enum Rest<'a> {
    Text(&'a [u8]),
    Binary(&'a [u8]),
    NoHeader,
    End,
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<&'a [u8]>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let broken = match self.rest {
            Rest::End => return None,
            Rest::Text([]) => {
                self.rest = Rest::End;
                return None;
            }
            Rest::Text(bytes) => match memchr::memchr(b'\n', bytes) {
                Some(end) => {
                    self.rest = Rest::Text(&bytes[end + 1..]);
                    return Some(Ok(&bytes[..end]));
                }
                None => "its last row has no end",
            },
            Rest::Binary(bytes) => match tuple(bytes) {
                Tuple::Row(length) => {
                    let (row, rest) = bytes.split_at(length);
                    self.rest = Rest::Binary(rest);
                    return Some(Ok(row));
                }
                Tuple::Trailer => {
                    self.rest = Rest::End;
                    return None;
                }
                Tuple::Broken => "it is no binary COPY stream",
            },
            Rest::NoHeader => "it has no binary COPY header",
        };
        self.rest = Rest::End;
        Some(Err(Error::new(
            Kind::Archive,
            format!("the frame is damaged: {broken}"),
        )))
    }
}

enum Tuple {
    Row(usize),
    Trailer,
    Broken,
}

/// Measures the tuple at the start of `bytes`.
#[inline]
fn tuple(bytes: &[u8]) -> Tuple {
    let Some(count) = bytes.first_chunk::<2>() else {
        return Tuple::Broken;
    };
    let Ok(count) = u16::try_from(i16::from_be_bytes(*count)) else {
        return if bytes == BINARY_TRAILER {
            Tuple::Trailer
        } else {
            Tuple::Broken
        };
    };
    let mut at = 2usize;
    for _ in 0..count {
        let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()) else {
            return Tuple::Broken;
        };
        at += 4;
        match i32::from_be_bytes(*length) {
            -1 => {}
            length => match usize::try_from(length) {
                Ok(length) if length <= bytes.len() - at => at += length,
                _ => return Tuple::Broken,
            },
        }
    }
    Tuple::Row(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(format: CopyFormat, raw: &[u8]) -> Vec<Option<Vec<u8>>> {
        rows_of(format, raw)
            .map(|row| row.ok().map(<[u8]>::to_vec))
            .collect()
    }

    fn binary(tuples: &[u8]) -> Vec<u8> {
        [BINARY_HEADER, tuples, BINARY_TRAILER].concat()
    }

    #[test]
    fn text_rows_are_lines() {
        assert_eq!(rows(CopyFormat::Text, b""), []);
        assert_eq!(
            rows(CopyFormat::Text, b"a\tb\n\nc\n"),
            [
                Some(b"a\tb".to_vec()),
                Some(Vec::new()),
                Some(b"c".to_vec())
            ]
        );
        assert_eq!(rows(CopyFormat::Text, b"a\nb"), [Some(b"a".to_vec()), None]);
    }

    #[test]
    fn binary_rows_are_tuples() {
        let one = b"\0\x02\0\0\0\x01x\xff\xff\xff\xff";
        let none = b"\0\0";
        assert_eq!(rows(CopyFormat::Binary, &binary(b"")), []);
        assert_eq!(
            rows(
                CopyFormat::Binary,
                &binary(&[one.as_slice(), none].concat())
            ),
            [Some(one.to_vec()), Some(none.to_vec())]
        );
    }

    #[test]
    fn broken_binary_streams_are_damage() {
        let field = b"\0\x01\0\0\0\x01x";
        for raw in [
            Vec::new(),
            b"PGCOPY\n\xff\r\n\0\0\0\0\x01\0\0\0\0\xff\xff".to_vec(),
            BINARY_HEADER.to_vec(),
            [BINARY_HEADER.as_slice(), field].concat(),
            [&binary(field), b"x".as_slice()].concat(),
            binary(b"\0\x01\0\0\0"),
            binary(b"\0\x01\x7f\xff\xff\xff"),
            binary(b"\0\x01\xff\xff\xff\xfe"),
            binary(b"\x7f\xff"),
            binary(b"\xff\xfe"),
        ] {
            let last = rows_of(CopyFormat::Binary, &raw).last();
            match last {
                Some(Err(error)) => assert_eq!(error.kind(), Kind::Archive),
                other => panic!("{raw:?}: {other:?}"),
            }
        }
    }
}
