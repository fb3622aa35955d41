//! Reads an archive from a pipe, front to back.

use std::marker::PhantomData;

use tokio::io::AsyncRead;

use super::entry::{Entry, EntryId};
use super::fingerprint::Fingerprint;
use super::frame::StoredFrame;
use super::index::Index;
use super::manifest::Manifest;
use crate::error::Result;

/// What comes next out of a pipe.
#[derive(Clone, Debug)]
pub enum StreamItem {
    /// A frame; its bytes agree with the digest in its name.
    Frame(StoredFrame),
    /// All frames of an entry have been given, and agree with what its `complete.json` says.
    Complete(TableEnd),
    /// The end: trailer seen, every digest checked.
    End(Index),
}

/// What an entry's `complete.json` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEnd {
    /// The entry.
    pub entry: EntryId,
    /// Number of frames.
    pub frames: u64,
    /// Rows in all.
    pub rows: u64,
    /// Raw bytes in all.
    pub raw_bytes: u64,
    /// SHA-256 over the digests of the frames in (chunk, frame) order.
    pub sha256: [u8; 32],
    /// Fingerprint of the rows.
    pub fingerprint: Fingerprint,
}

/// Reads an archive from a pipe.
pub struct StreamReader<R> {
    manifest: Manifest,
    entries: Vec<Entry>,
    reader: PhantomData<R>,
}

impl<R: AsyncRead + Unpin + Send> StreamReader<R> {
    /// Reads up to and with the table of contents.
    ///
    /// # Errors
    /// [`Kind::Archive`](crate::error::Kind::Archive) when what comes is not an archive, is cut,
    /// damaged or newer than known; [`Kind::Storage`](crate::error::Kind::Storage) when reading
    /// fails.
    pub async fn open(reader: R) -> Result<Self> {
        let _ = reader;
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

    /// The next item; `None` after [`StreamItem::End`].
    ///
    /// # Errors
    /// As [`StreamReader::open`].
    pub async fn next(&mut self) -> Result<Option<StreamItem>> {
        let _ = &self.reader;
        todo!()
    }
}
