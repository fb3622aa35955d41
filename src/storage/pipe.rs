//! Standard output.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::Sink;
use super::blocking::{storage_error, write_all};
use crate::error::Result;

/// Writes to standard output, past the standard library's line buffer.
///
/// What was written cannot be taken back: a reader knows an aborted archive by its missing end.
pub struct PipeSink {
    file: Arc<File>,
    written: u64,
}

impl PipeSink {
    /// Takes standard output.
    ///
    /// # Errors
    /// [`Kind::Storage`](crate::error::Kind::Storage) when it is closed.
    pub fn stdout() -> Result<Self> {
        let descriptor = std::io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| storage_error(&error, "open standard output"))?;
        Ok(Self {
            file: Arc::new(File::from(descriptor)),
            written: 0,
        })
    }
}

impl Sink for PipeSink {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        let name = "standard output".to_owned();
        Box::pin(write_all(&self.file, bytes, &mut self.written, name))
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        // Written without a buffer of our own: there is nothing to flush.
        Box::pin(async { Ok(()) })
    }
}
