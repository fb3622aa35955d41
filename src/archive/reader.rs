//! Reads an archive at any offset.

use std::sync::Arc;

use super::entry::{Entry, EntryId, Section};
use super::frame::StoredFrame;
use super::index::{FrameIndex, Index, TableIndex};
use super::manifest::Manifest;
use crate::error::Result;
use crate::storage::Source;

/// An open archive: its manifest, table of contents and index are read and checked.
pub struct Archive {
    manifest: Manifest,
    entries: Vec<Entry>,
    index: Index,
}

impl Archive {
    /// Opens an archive.
    ///
    /// # Errors
    /// [`Kind::Archive`](crate::error::Kind::Archive) when it is damaged, unfinished, newer than
    /// known, or not an archive; [`Kind::Storage`](crate::error::Kind::Storage) when it cannot be
    /// read.
    pub async fn open(source: Arc<dyn Source>) -> Result<Self> {
        let _ = source;
        todo!()
    }

    /// What the archive is and where it came from.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The table of contents, in an order that is a correct serial restore order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Every table.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The data of one entry.
    pub fn table(&self, entry: EntryId) -> Option<&TableIndex> {
        self.index.table(entry)
    }

    /// Reads one frame and checks its SHA-256.
    ///
    /// # Errors
    /// [`Kind::Archive`](crate::error::Kind::Archive) when it is damaged,
    /// [`Kind::Storage`](crate::error::Kind::Storage) when it cannot be read.
    pub async fn read_frame(&self, frame: &FrameIndex) -> Result<StoredFrame> {
        let _ = frame;
        todo!()
    }

    /// The SQL script of a section; for [`Section::Data`] the shell script that loads the rows.
    ///
    /// # Errors
    /// As [`Archive::read_frame`].
    pub async fn script(&self, section: Section) -> Result<String> {
        let _ = section;
        todo!()
    }
}
