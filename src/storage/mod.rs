//! Places for bytes: local files and pipes (object stores join here).
//!
//! A [`Sink`] takes one streamed object and makes it visible only when it is finished; a
//! [`Source`] answers ranged reads. Neither knows what its bytes are.

mod blocking;
mod local;
mod pipe;

pub use local::{LocalSink, LocalSource, Overwrite};
pub use pipe::PipeSink;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::error::Result;

/// Where one object is written, front to back.
pub trait Sink: Send {
    /// Appends bytes.
    ///
    /// # Errors
    /// [`Kind::Storage`](crate::error::Kind::Storage): disk full, no right, broken pipe.
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>>;

    /// Makes the object durable and visible under its name.
    ///
    /// # Errors
    /// As [`Sink::write`]; then nothing is visible.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<()>>;
    // Dropping a sink without `finish` aborts: nothing is left that looks whole.
}

/// An object that can be read at any offset.
pub trait Source: Send + Sync {
    /// For messages: a path or URL without secrets.
    fn name(&self) -> String;

    /// Length in bytes.
    fn len(&self) -> u64;

    /// Whether there is nothing in it.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Exactly `length` bytes from `offset`.
    ///
    /// # Errors
    /// [`Kind::Storage`](crate::error::Kind::Storage) when the range cannot be read whole.
    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes>>;
}
