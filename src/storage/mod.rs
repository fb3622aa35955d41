//! Places for bytes: local files, pipes, object stores.
//!
//! Why it exists: an archive goes straight to where it is kept and is read from there, wherever that
//! is. A [`Location`] is what the user writes; [`create`] and [`open`] turn it into a [`Sink`], which
//! takes one streamed object and makes it visible only when it is finished, and a [`Source`], which
//! answers ranged reads. A [`Store`] is a place for many objects.
//!
//! What it promises: no temporary file for an object store, bounded memory, retries with backoff,
//! nothing left that looks whole after a failure, an object's length and end checked after it was
//! written, no secret in any message. `docs/storage.md` says which settings there are.
//!
//! What it leaves to others: what the bytes are. Where credentials are kept is the environment's.

mod blocking;
mod client;
mod cloud;
mod directory;
mod local;
mod location;
mod part_size;
mod pipe;
mod refusal;
mod settings;
mod store;
mod unfinished;
mod upload;

pub use cloud::CloudStore;
pub use directory::LocalStore;
pub use local::{LocalSink, LocalSource, Overwrite};
pub use location::{Location, ObjectLocation, Service};
pub use pipe::PipeSink;
pub use settings::{StoreSettings, endpoint};
pub use store::{ObjectInfo, Put, Store};

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::error::{Error, Kind, Result};

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

    /// Ends when nothing of this sink is under way any more: after it was finished, or, where it was
    /// dropped or failed, when what had been sent is removed.
    fn settled(&self) -> BoxFuture<'static, ()> {
        Box::pin(futures::future::ready(()))
    }
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

/// Begins to write an object or file.
///
/// # Errors
/// As [`Store::create`] and [`LocalSink::create`].
pub async fn create(
    location: &Location,
    overwrite: Overwrite,
    settings: &StoreSettings,
) -> Result<Box<dyn Sink>> {
    match location {
        Location::Standard => Ok(Box::new(PipeSink::stdout())),
        Location::Path(path) => Ok(Box::new(LocalSink::create(path, overwrite).await?)),
        Location::Object(object) => {
            CloudStore::new(object, settings)?
                .create("", overwrite)
                .await
        }
    }
}

/// Opens an object or a regular file for ranged reads.
///
/// # Errors
/// As [`Store::open`] and [`LocalSource::open`]; [`Kind::Usage`](crate::error::Kind::Usage) for
/// standard input, which has none.
pub async fn open(location: &Location, settings: &StoreSettings) -> Result<Arc<dyn Source>> {
    match location {
        Location::Standard => Err(Error::new(
            Kind::Usage,
            "standard input cannot be read at any offset",
        )),
        Location::Path(path) => Ok(Arc::new(LocalSource::open(path).await?)),
        Location::Object(object) => CloudStore::new(object, settings)?.open("").await,
    }
}

/// The store at a location: a directory, or a bucket with a prefix.
///
/// # Errors
/// As [`CloudStore::new`]; [`Kind::Usage`](crate::error::Kind::Usage) for standard output, which is
/// none.
pub fn store(location: &Location, settings: &StoreSettings) -> Result<Arc<dyn Store>> {
    match location {
        Location::Standard => Err(Error::new(Kind::Usage, "standard output is no store")),
        Location::Path(path) => Ok(Arc::new(LocalStore::new(path))),
        Location::Object(object) => Ok(Arc::new(CloudStore::new(object, settings)?)),
    }
}
