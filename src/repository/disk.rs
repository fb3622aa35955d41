//! Small JSON objects of a store.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Kind, Result};
use crate::storage::{Overwrite, Put, Store};

/// How many small objects are read at once.
const AT_ONCE: usize = 32;

/// Random bytes, for names that nobody else takes.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(Kind::Failed, "no randomness").with_source(error))?;
    Ok(bytes)
}

fn malformed(key: &str, error: serde_json::Error) -> Error {
    Error::new(
        Kind::Storage,
        format!("{key}: not as it was written: {error}"),
    )
    .with_source(error)
}

pub(super) fn to_bytes(value: &impl Serialize, key: &str) -> Result<Bytes> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| malformed(key, error))?;
    text.push(b'\n');
    Ok(text.into())
}

/// Without line breaks: what is for programs alone.
pub(super) fn to_line(value: &impl Serialize, key: &str) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| malformed(key, error))
}

pub(super) fn from_bytes<T: DeserializeOwned>(bytes: &[u8], key: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| malformed(key, error))
}

/// Writes a new object.
pub(super) async fn put_new(store: &dyn Store, key: &str, value: &impl Serialize) -> Result<()> {
    put_bytes_new(store, key, to_bytes(value, key)?).await
}

/// As [`put_new`], with its bytes.
pub(super) async fn put_bytes_new(store: &dyn Store, key: &str, content: Bytes) -> Result<()> {
    match store.put(key, content, Overwrite::Refuse).await? {
        Put::Written => Ok(()),
        Put::Exists => Err(Error::new(
            Kind::Refused,
            format!("{key} is there already in {}", store.name()),
        )),
    }
}

/// Writes an object, whatever is there.
pub(super) async fn put(store: &dyn Store, key: &str, value: &impl Serialize) -> Result<()> {
    let put = store.put(key, to_bytes(value, key)?, Overwrite::Replace);
    match put.await? {
        Put::Written | Put::Exists => Ok(()),
    }
}

/// Reads objects, many at once; each with its key, in the order given. One that has gone in the
/// meantime is left out.
pub(super) async fn read_bytes(
    store: &dyn Store,
    keys: Vec<String>,
) -> Result<Vec<(String, Bytes)>> {
    let reading = futures::stream::iter(keys).map(|key| async move {
        let bytes = store.get(&key).await?;
        Ok::<_, Error>(bytes.map(|bytes| (key, bytes)))
    });
    let read: Vec<Option<_>> = reading.buffered(AT_ONCE).try_collect().await?;
    Ok(read.into_iter().flatten().collect())
}

/// As [`read_bytes`], and what they say; one that is damaged comes as its error.
pub(super) async fn read_all<T: DeserializeOwned>(
    store: &dyn Store,
    keys: Vec<String>,
) -> Result<Vec<(String, Result<T>)>> {
    let read = read_bytes(store, keys).await?.into_iter();
    Ok(read
        .map(|(key, bytes)| {
            let content = from_bytes(&bytes, &key);
            (key, content)
        })
        .collect())
}
