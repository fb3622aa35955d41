//! What was read before: so that a list needs a few calls, not one for each backup.
//!
//! Records and notes never change once they are written. So their contents may be kept together in
//! one object, which is a copy and nothing more: which records and notes there are is asked of the
//! store each time, and a content counts only if length and time are still those of the object that
//! it was read from. Without the index, or with one that is damaged or old, everything is read by
//! itself.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::disk;
use super::layout::INDEX;
use super::record::{BackupRecord, Note};
use crate::archive::hex;
use crate::error::Result;
use crate::storage::{ObjectInfo, Overwrite, Put, Store};

/// Version of the index's form; one of another version is as good as none.
const VERSION: u32 = 1;

/// So many objects may be read by themselves before the index is made anew.
const STRAYS: usize = 64;

/// The content of an object, and by what it is seen that it is still that.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known<T> {
    bytes: u64,
    modified: i64,
    content: T,
}

/// Contents by key.
type Contents<T> = BTreeMap<String, Known<T>>;

/// Records and notes as they were read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Index {
    version: u32,
    records: Contents<BackupRecord>,
    notes: Contents<Note>,
}

/// What was found in the store.
pub(super) struct Found {
    /// Each record with its key, in order of keys; damaged ones as their error.
    pub(super) records: Vec<(String, Result<BackupRecord>)>,
    /// Each note with its key, in order of keys; damaged ones as their error.
    pub(super) notes: Vec<(String, Result<Note>)>,
    /// An index that would spare all reads.
    fresh: Index,
    /// By how many objects the one that is there differs from it.
    strays: usize,
    /// Whether the one that is there is not as it was written.
    pub(super) is_damaged: bool,
}

impl Index {
    fn empty() -> Self {
        Self {
            version: VERSION,
            records: BTreeMap::new(),
            notes: BTreeMap::new(),
        }
    }

    fn to_bytes(&self) -> Result<Bytes> {
        let content = disk::to_line(self, INDEX)?;
        let mut text = hex(&Sha256::digest(&content)).into_bytes();
        text.push(b'\n');
        text.extend_from_slice(&content);
        Ok(text.into())
    }

    /// `None` for what is damaged.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|&byte| byte == b'\n')?;
        let (digest, content) = (&bytes[..end], &bytes[end + 1..]);
        if digest != hex(&Sha256::digest(content)).as_bytes() {
            return None;
        }
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = disk::from_bytes(content, INDEX).ok()?;
        if version != VERSION {
            return Some(Self::empty());
        }
        disk::from_bytes(content, INDEX).ok()
    }
}

/// Reads what is listed, as far as it is not known.
async fn read<T: Clone + DeserializeOwned>(
    store: &dyn Store,
    listed: Vec<ObjectInfo>,
    mut known: Contents<T>,
) -> Result<(Vec<(String, Result<T>)>, Contents<T>, usize)> {
    let mut fresh = Contents::new();
    let mut unknown = BTreeMap::new();
    for ObjectInfo {
        key,
        bytes,
        modified,
    } in listed
    {
        match known.remove(&key) {
            Some(it) if it.bytes == bytes && it.modified == modified => {
                fresh.insert(key, it);
            }
            _ => {
                unknown.insert(key, (bytes, modified));
            }
        }
    }
    // Those that are left belong to objects that are gone.
    let strays = unknown.len() + known.len();
    let mut damaged = Vec::new();
    let keys = unknown.keys().cloned().collect();
    for (key, content) in disk::read_all::<T>(store, keys).await? {
        match (content, unknown.get(&key)) {
            (Ok(content), Some(&(bytes, modified))) => {
                let known = Known {
                    bytes,
                    modified,
                    content,
                };
                fresh.insert(key, known);
            }
            (content, _) => damaged.push((key, content)),
        }
    }
    let whole = fresh
        .iter()
        .map(|(key, known)| (key.clone(), Ok(known.content.clone())));
    let mut found: Vec<_> = whole.chain(damaged).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok((found, fresh, strays))
}

/// Finds records and notes among these objects.
pub(super) async fn find(
    store: &dyn Store,
    records: Vec<ObjectInfo>,
    notes: Vec<ObjectInfo>,
) -> Result<Found> {
    // For few it does not pay to ask for an index.
    let bytes = if records.len() + notes.len() > STRAYS {
        store.get(INDEX).await?
    } else {
        None
    };
    let index = bytes.as_deref().map(Index::from_bytes);
    let is_damaged = matches!(index, Some(None));
    let index = index.flatten().unwrap_or_else(Index::empty);
    let (records, known_records, stray_records) = read(store, records, index.records).await?;
    let (notes, known_notes, stray_notes) = read(store, notes, index.notes).await?;
    Ok(Found {
        records,
        notes,
        fresh: Index {
            version: VERSION,
            records: known_records,
            notes: known_notes,
        },
        strays: stray_records + stray_notes,
        is_damaged,
    })
}

impl Found {
    /// Makes the index anew where it differs by much from what is there.
    pub(super) async fn keep(&self, store: &dyn Store) -> Result<()> {
        if self.strays <= STRAYS && !self.is_damaged {
            return Ok(());
        }
        let put = store.put(INDEX, self.fresh.to_bytes()?, Overwrite::Replace);
        match put.await? {
            Put::Written | Put::Exists => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_index_is_none() {
        let bytes = Index::empty().to_bytes().unwrap();
        assert!(Index::from_bytes(&bytes).unwrap().records.is_empty());
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1;
            assert!(Index::from_bytes(&damaged).is_none(), "byte {at}");
        }
    }
}
