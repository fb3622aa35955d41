//! Frames on their way from the archive to a session.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::journal::Unit;
use crate::archive::{
    Codec, CopyFormat, DataSpec, Decoder, Entry, EntryId, RelationStatistics, StoredFrame, rows_of,
    statistics_of,
};
use crate::error::{Context, Error, Kind, Result};
use crate::relay::Buffers;
use crate::task::Permit;

/// A buffer larger than this was for large rows and is not kept.
const KEEP_BYTES: usize = 6 << 20;

/// How much room is made for a frame before its content has shown up.
const BELIEVED_BYTES: u64 = 64 << 20;

/// A frame that was checked and unpacked.
pub(super) struct ReadyFrame {
    pub(super) entry: EntryId,
    /// Its name in the journal.
    pub(super) unit: Unit,
    pub(super) rows: u64,
    pub(super) payload: Payload,
    /// Its share of the memory budget, or that of all that were read with it; given back with the last.
    pub(super) _permit: Arc<Permit>,
}

impl ReadyFrame {
    /// Large objects that begin in it.
    pub(super) fn objects(&self) -> u64 {
        match &self.payload {
            Payload::Copy(_) | Payload::Statistics { .. } => 0,
            Payload::LargeObjects { objects, .. } => *objects,
        }
    }

    pub(super) fn raw_bytes(&self) -> u64 {
        let bytes = match &self.payload {
            Payload::Copy(raw) => raw.len(),
            Payload::LargeObjects { bytes, .. } | Payload::Statistics { bytes, .. } => *bytes,
        };
        bytes as u64
    }
}

/// What a frame holds.
pub(super) enum Payload {
    /// A complete COPY stream.
    Copy(Vec<u8>),
    /// Pieces of large objects: `oid`, offset and content, as binary parameters.
    LargeObjects {
        pieces: Vec<[Bytes; 3]>,
        bytes: usize,
        /// Objects that begin in this frame.
        objects: u64,
    },
    /// Planner statistics.
    Statistics {
        relations: Vec<RelationStatistics>,
        bytes: usize,
    },
}

/// Unpacks frames; contexts and buffers are used again.
pub(super) struct Unpacker {
    codec: Codec,
    decoders: Mutex<Vec<Decoder>>,
    buffers: Buffers,
    /// Number of buffers worth keeping.
    keep: usize,
}

impl Unpacker {
    pub(super) fn new(codec: Codec, keep: usize) -> Self {
        Self {
            codec,
            decoders: Mutex::new(Vec::new()),
            buffers: Buffers::default(),
            keep,
        }
    }

    /// One that finds frames as they are, and gives all buffers back to where they were filled.
    pub(super) fn giving_back(buffers: Buffers) -> Self {
        Self {
            buffers,
            ..Self::new(Codec::None, usize::MAX)
        }
    }

    /// Takes a buffer back.
    pub(super) fn give_back(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.capacity() <= KEEP_BYTES && buffers.len() < self.keep {
            buffer.clear();
            buffers.push(buffer);
        }
    }

    /// An empty buffer with room for so many bytes. To be called before the work goes to a blocking
    /// thread, of which there are many: malloc keeps what is freed for each thread by itself.
    pub(super) fn buffer(&self, raw_bytes: u64) -> Vec<u8> {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut raw = buffers.pop().unwrap_or_default();
        drop(buffers);
        raw.clear();
        raw.reserve(usize::try_from(raw_bytes.min(BELIEVED_BYTES)).unwrap_or(0));
        raw
    }

    /// Decompresses a frame into a buffer and counts its rows. CPU work: for a blocking thread.
    pub(super) fn unpack(
        &self,
        stored: &StoredFrame,
        entry: &Entry,
        raw: Vec<u8>,
    ) -> Result<(u64, Payload)> {
        self.unpack_unnamed(stored, entry, raw).context_with(|| {
            format!(
                "{}: frame {}-{}",
                entry.describe(),
                stored.chunk,
                stored.frame
            )
        })
    }

    fn unpack_unnamed(
        &self,
        stored: &StoredFrame,
        entry: &Entry,
        mut raw: Vec<u8>,
    ) -> Result<(u64, Payload)> {
        let pop = |decoders: &Mutex<Vec<Decoder>>| {
            decoders
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop()
        };
        let mut decoder = pop(&self.decoders).unwrap_or_else(|| Decoder::new(self.codec));
        decoder.unseal_into(stored, stored.raw_bytes, &mut raw)?;
        self.decoders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(decoder);

        self.payload(entry, raw, stored.rows)
    }

    /// What unpacked bytes are, and how many rows, which may be known.
    pub(super) fn payload(
        &self,
        entry: &Entry,
        raw: Vec<u8>,
        known: Option<u64>,
    ) -> Result<(u64, Payload)> {
        let damaged = |why: String| Error::new(Kind::Archive, why);
        match &entry.data {
            Some(DataSpec::Table { format, .. }) => {
                let rows = match known {
                    Some(rows) => rows,
                    None => count_rows(*format, &raw)?,
                };
                Ok((rows, Payload::Copy(raw)))
            }
            Some(DataSpec::LargeObjects) => {
                let raw = Bytes::from(raw);
                let pieces = large_object_pieces(&raw)?;
                let rows = pieces.len() as u64;
                if known.is_some_and(|known| known != rows) {
                    return Err(damaged(format!(
                        "it holds {rows} pieces of large objects, not as many as the index says"
                    )));
                }
                let bytes = raw.len();
                let begins = |piece: &&[Bytes; 3]| piece[1].iter().all(|byte| *byte == 0);
                let objects = pieces.iter().filter(begins).count() as u64;
                Ok((
                    rows,
                    Payload::LargeObjects {
                        pieces,
                        bytes,
                        objects,
                    },
                ))
            }
            Some(DataSpec::Statistics { .. }) => {
                let relations = statistics_of(&raw)?;
                let rows = relations.len() as u64;
                if known.is_some_and(|known| known != rows) {
                    return Err(damaged(format!(
                        "it holds the statistics of {rows} relations, not of as many as the index says"
                    )));
                }
                let bytes = raw.len();
                self.give_back(raw);
                Ok((rows, Payload::Statistics { relations, bytes }))
            }
            None => Err(damaged("it belongs to an entry without data".to_owned())),
        }
    }
}

fn count_rows(format: CopyFormat, raw: &[u8]) -> Result<u64> {
    let mut rows = 0;
    for row in rows_of(format, raw) {
        row?;
        rows += 1;
    }
    Ok(rows)
}

/// Each row of a frame as (`oid`, offset, content), in the bytes of binary COPY.
///
/// # Errors
/// [`Kind::Archive`] when it is not made of such rows.
pub(crate) fn large_object_pieces(raw: &Bytes) -> Result<Vec<[Bytes; 3]>> {
    let damaged = || Error::new(Kind::Archive, "a row is not a piece of a large object");
    rows_of(CopyFormat::Binary, raw)
        .map(|row| {
            let row = raw.slice_ref(row?);
            let (count, mut rest) = row.split_first_chunk::<2>().ok_or_else(damaged)?;
            if i16::from_be_bytes(*count) != 3 {
                return Err(damaged());
            }
            let mut field = || {
                let (length, tail) = rest.split_first_chunk::<4>()?;
                let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
                let (value, tail) = tail.split_at_checked(length)?;
                rest = tail;
                Some(row.slice_ref(value))
            };
            match (field(), field(), field()) {
                (Some(oid), Some(offset), Some(content)) if oid.len() == 4 && offset.len() == 8 => {
                    Ok([oid, offset, content])
                }
                _ => Err(damaged()),
            }
        })
        .collect()
}
