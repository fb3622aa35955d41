//! Standard output.

use bytes::Bytes;
use futures::future::BoxFuture;

use super::Sink;
use crate::error::Result;

/// Writes to standard output.
pub struct PipeSink {}

impl PipeSink {
    /// Takes standard output.
    pub fn stdout() -> Self {
        todo!()
    }
}

impl Sink for PipeSink {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        let _ = bytes;
        todo!()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        todo!()
    }
}
