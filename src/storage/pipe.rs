//! Standard output.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::Sink;
use super::blocking::{storage_error, write_all};
use crate::error::Result;

const NAME: &str = "standard output";

/// Writes to standard output, past the standard library's line buffer.
///
/// What was written cannot be taken back: a reader knows an aborted archive by its missing end.
#[derive(Debug)]
pub struct PipeSink {
    /// Opened by the first write, which can fail.
    file: Option<Arc<File>>,
    written: u64,
}

impl PipeSink {
    /// Takes standard output.
    pub fn stdout() -> Self {
        Self {
            file: None,
            written: 0,
        }
    }
}

impl Sink for PipeSink {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let file = match &mut self.file {
                Some(file) => file,
                none => {
                    let descriptor = std::io::stdout()
                        .as_fd()
                        .try_clone_to_owned()
                        .map_err(|error| storage_error(&error, &format!("open {NAME}")))?;
                    none.insert(Arc::new(File::from(descriptor)))
                }
            };
            write_all(file, bytes, &mut self.written, NAME.to_owned()).await
        })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        // Written without a buffer of our own: there is nothing to flush.
        Box::pin(async { Ok(()) })
    }
}
