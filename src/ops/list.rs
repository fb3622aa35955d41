//! What is in an archive.

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::Input;
use crate::archive::{Archive, Entry, Index, Manifest, StreamItem, StreamReader};
use crate::error::{Error, Kind, Result};
use crate::plan::keys;

/// How to list.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ListOptions {}

/// An entry's place in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedEntry {
    /// Its name for `--use-list`: the same in another archive of the same objects.
    pub key: String,
    /// The entry as the table of contents has it.
    #[serde(flatten)]
    pub entry: Entry,
    /// What is known about its data, for entries that have any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<ListedTable>,
}

/// What the index knows about an entry's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedTable {
    /// Rows.
    pub rows: u64,
    /// Bytes of COPY data before compression.
    pub raw_bytes: u64,
    /// Bytes in the archive.
    pub stored_bytes: u64,
    /// Frames.
    pub frames: u64,
    /// SHA-256 over the digests of the frames, in hex.
    pub sha256: String,
    /// Order-free fingerprint of the rows, in hex.
    pub fingerprint: String,
}

/// The list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListReport {
    /// What the archive is and where it came from.
    pub manifest: Manifest,
    /// Its entries in restore order.
    pub entries: Vec<ListedEntry>,
}

impl ListReport {
    fn new(manifest: &Manifest, entries: &[Entry], index: &Index) -> Self {
        let table = |entry: &Entry| {
            let table = index.table(entry.id)?;
            Some(ListedTable {
                rows: table.rows,
                raw_bytes: table.raw_bytes,
                stored_bytes: table.stored_bytes,
                frames: table.frames.len() as u64,
                sha256: table
                    .sha256
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect(),
                fingerprint: table.fingerprint.to_string(),
            })
        };
        Self {
            manifest: manifest.clone(),
            entries: keys(entries)
                .into_iter()
                .zip(entries)
                .map(|(key, entry)| ListedEntry {
                    key,
                    entry: entry.clone(),
                    table: table(entry),
                })
                .collect(),
        }
    }
}

/// Lists an archive; one that comes from a pipe is read and checked to its end.
///
/// # Errors
/// [`Kind::Archive`](crate::error::Kind::Archive) when it is damaged, unfinished or no archive,
/// [`Kind::Storage`](crate::error::Kind::Storage) when it cannot be read,
/// [`Kind::Interrupted`] when `cancel` fired.
pub async fn list(
    input: Input,
    options: &ListOptions,
    cancel: CancellationToken,
) -> Result<ListReport> {
    let ListOptions {} = options;
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::new(Kind::Interrupted, "list: interrupted")),
        report = read(input) => report,
    }
}

async fn read(input: Input) -> Result<ListReport> {
    match input {
        Input::Source(source) => {
            let archive = Archive::open(source).await?;
            Ok(ListReport::new(
                archive.manifest(),
                archive.entries(),
                archive.index(),
            ))
        }
        Input::Stream(stream) => {
            let mut reader = StreamReader::open(stream).await?;
            let mut index = None;
            while let Some(item) = reader.next().await? {
                if let StreamItem::End(end) = item {
                    index = Some(end);
                }
            }
            let index = index
                .ok_or_else(|| Error::new(Kind::Archive, "the archive ends without its trailer"))?;
            Ok(ListReport::new(reader.manifest(), reader.entries(), &index))
        }
    }
}
