//! Local files.

use std::path::Path;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::{Sink, Source};
use crate::error::Result;

/// What to do when the target exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// Replace it, at the moment that the new file is complete.
    #[default]
    Replace,
    /// Refuse, with [`Kind::Refused`](crate::error::Kind::Refused).
    Refuse,
}

/// Writes a local file under a temporary name beside the target, which gets its name when it is
/// complete and on disk; dropped before, it is removed. A FIFO or device is written directly.
pub struct LocalSink {}

impl LocalSink {
    /// Begins to write.
    ///
    /// # Errors
    /// [`Kind::Storage`](crate::error::Kind::Storage) when the file cannot be made,
    /// [`Kind::Refused`](crate::error::Kind::Refused) when the target exists and may not be
    /// replaced.
    pub async fn create(path: impl AsRef<Path> + Send, overwrite: Overwrite) -> Result<Self> {
        let _ = (path, overwrite);
        todo!()
    }
}

impl Sink for LocalSink {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        let _ = bytes;
        todo!()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        todo!()
    }
}

/// Reads a local file at any offset.
pub struct LocalSource {}

impl LocalSource {
    /// Opens a regular file.
    ///
    /// # Errors
    /// [`Kind::Storage`](crate::error::Kind::Storage) when it cannot be opened or is no regular
    /// file.
    pub async fn open(path: impl AsRef<Path> + Send) -> Result<Self> {
        let _ = path;
        todo!()
    }
}

impl Source for LocalSource {
    fn name(&self) -> String {
        todo!()
    }

    fn len(&self) -> u64 {
        todo!()
    }

    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes>> {
        let _ = (offset, length);
        todo!()
    }
}
