//! A place for many objects: what a collection of archives needs of it.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::{Overwrite, Sink, Source};
use crate::error::Result;

/// What a store knows about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key, below the store's own prefix.
    pub key: String,
    /// Length in bytes.
    pub bytes: u64,
    /// When it was written last, in seconds since 1970 by the store's clock.
    pub modified: i64,
}

/// What came of a conditional put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Put {
    /// The object is there and is the one given.
    Written,
    /// Something was there under this key and was left alone.
    Exists,
}

/// Objects under keys: a directory, or a bucket with a prefix.
///
/// A key is parts separated by single slashes, none of them empty, `.` or `..`, at most 1024 bytes in
/// all. An object is seen whole or not at all, and is seen as soon as the call that writes it has
/// ended well. Errors are of [`Kind::Storage`](crate::error::Kind::Storage) unless something else is
/// said; an operation that failed may nevertheless have been done.
pub trait Store: Send + Sync {
    /// For messages: a path or URL without secrets.
    fn name(&self) -> String;

    /// Whether the place is there already; one that is not is made with the first object. A bucket is never made, and
    /// what it says to a request tells whether it is there.
    ///
    /// # Errors
    /// As [`Store::head`].
    fn stands(&self) -> BoxFuture<'_, Result<bool>> {
        Box::pin(futures::future::ready(Ok(true)))
    }

    /// What is known about an object; `None` when there is none.
    ///
    /// # Errors
    /// No such bucket, no right, no connection.
    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>>;

    /// A small object, whole; `None` when there is none.
    ///
    /// # Errors
    /// As [`Store::head`].
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>>>;

    /// Writes a small object, whole. With [`Overwrite::Refuse`] what is there stays: of several
    /// writers one succeeds where the store honours conditions; where it does not, what was there a
    /// moment before stays.
    ///
    /// # Errors
    /// As [`Store::head`].
    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        overwrite: Overwrite,
    ) -> BoxFuture<'a, Result<Put>>;

    /// Deletes an object; that there is none is no error.
    ///
    /// # Errors
    /// As [`Store::head`].
    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Takes away what writers of an object that died have left beside it: nothing that could be read.
    /// The object itself stays. Only for an object that nobody writes any more; a store that does not
    /// show such things has nothing to do.
    ///
    /// # Errors
    /// As [`Store::head`].
    fn sweep<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(futures::future::ready(Ok(())))
    }

    /// What writers of objects have begun below `prefix` (as with [`Store::list`]) and neither finished nor taken
    /// back, with the keys that it would have had. Each [`sweep`](Store::sweep)s. A store that does not show
    /// such things has none.
    ///
    /// # Errors
    /// As [`Store::head`].
    fn unfinished<'a>(&'a self, _prefix: &'a str) -> BoxFuture<'a, Result<Vec<ObjectInfo>>> {
        Box::pin(futures::future::ready(Ok(Vec::new())))
    }

    /// Every object whose key begins with `prefix` and a slash, or every one when it is empty; in
    /// the order of their keys' bytes.
    ///
    /// # Errors
    /// As [`Store::head`].
    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<ObjectInfo>>>;

    /// Begins to write a large object, front to back.
    ///
    /// # Errors
    /// As [`Store::head`]; [`Kind::Refused`](crate::error::Kind::Refused) when there is one and it
    /// may not be replaced, then or when it is finished.
    fn create<'a>(
        &'a self,
        key: &'a str,
        overwrite: Overwrite,
    ) -> BoxFuture<'a, Result<Box<dyn Sink>>>;

    /// Opens a large object for ranged reads.
    ///
    /// # Errors
    /// As [`Store::head`], and when there is none.
    fn open<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Arc<dyn Source>>>;
}
