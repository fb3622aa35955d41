//! Writes an archive in one pass.

use super::entry::{Entry, EntryId};
use super::fingerprint::Fingerprint;
use super::frame::StoredFrame;
use super::manifest::{Manifest, Scripts};
use crate::error::Result;
use crate::storage::Sink;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Size of the whole archive in bytes.
    pub bytes: u64,
    /// Number of frames.
    pub frames: u64,
    /// Number of rows.
    pub rows: u64,
    /// Bytes of COPY data before compression.
    pub raw_bytes: u64,
    /// Bytes of COPY data after compression.
    pub stored_bytes: u64,
}

/// Writes one archive; dropping it without [`finish`](Writer::finish) aborts.
pub struct Writer {}

impl Writer {
    /// Begins an archive: everything that a restore needs before the first row.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage) when the entries are not numbered 1, 2, …;
    /// [`Kind::Storage`](crate::error::Kind::Storage) from the sink.
    pub async fn create(
        sink: Box<dyn Sink>,
        manifest: Manifest,
        entries: &[Entry],
        scripts: Scripts,
    ) -> Result<Self> {
        let _ = (sink, manifest, entries, scripts);
        todo!()
    }

    /// Appends a frame; frames of different entries may come in any order, but each
    /// (entry, chunk, frame) once and before the entry is complete.
    ///
    /// # Errors
    /// [`Kind::Storage`](crate::error::Kind::Storage) from the sink.
    pub async fn append(&mut self, frame: StoredFrame) -> Result<()> {
        let _ = frame;
        todo!()
    }

    /// Says that all frames of an entry are there. Every entry with data must be completed, also
    /// one without rows.
    ///
    /// # Errors
    /// [`Kind::Failed`](crate::error::Kind::Failed) when the fingerprint counts other rows than
    /// the frames did, or frame numbers are missing;
    /// [`Kind::Storage`](crate::error::Kind::Storage) from the sink.
    pub async fn complete(&mut self, entry: EntryId, fingerprint: Fingerprint) -> Result<()> {
        let _ = (entry, fingerprint);
        todo!()
    }

    /// Writes what comes last and makes the archive visible.
    ///
    /// # Errors
    /// [`Kind::Failed`](crate::error::Kind::Failed) when an entry with data was not completed;
    /// [`Kind::Storage`](crate::error::Kind::Storage) from the sink.
    pub async fn finish(self) -> Result<Summary> {
        todo!()
    }
}
