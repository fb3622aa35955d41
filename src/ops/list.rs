//! What is in an archive.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{EntryFilter, Input, Sections};
use crate::archive::{Archive, Entry, EntryId, Index, Manifest, StreamItem, StreamReader, hex};
use crate::error::{Error, Kind, Result};
use crate::plan::{Choices, LeaveOut, Parts, build, keys};
use crate::select::Content;

/// What to list: the entries that a restore with the same options would take. Default: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListOptions {
    /// Which entries, by name.
    pub filter: EntryFilter,
    /// Schema, data or both.
    pub content: Content,
    /// Which sections.
    pub sections: Sections,
    /// Classes of things to leave out.
    pub leave_out: LeaveOut,
}

impl ListOptions {
    /// The entries that a plan makes something of; none when there is nothing to choose.
    fn wanted(&self, entries: &[Entry]) -> Result<Option<BTreeSet<EntryId>>> {
        if *self == Self::default() {
            return Ok(None);
        }
        let choices = Choices {
            filter: self.filter.clone(),
            sections: self.sections,
            parts: match self.content {
                Content::All => Parts::All,
                Content::SchemaOnly => Parts::Definitions,
                Content::DataOnly => Parts::Rows,
                Content::StatisticsOnly => Parts::Statistics,
            },
            create: true,
            leave_out: self.leave_out,
            ..Choices::default()
        };
        let plan = build(entries, |_| None, &choices)?;
        let left: BTreeSet<EntryId> = plan.omitted.iter().map(|it| it.entry).collect();
        let all = entries.iter().map(|entry| entry.id);
        Ok(Some(all.filter(|id| !left.contains(id)).collect()))
    }
}

/// An entry's place in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedEntry<'a> {
    /// Its name for `--use-list`: the same in another archive of the same objects.
    pub key: &'a str,
    /// The entry as the table of contents has it.
    #[serde(flatten)]
    pub entry: &'a Entry,
    /// What is known about its data, for entries that have any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<&'a ListedTable>,
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
    /// Its roles, memberships, tablespaces and the like, in restore order; none when it has none.
    pub globals: Vec<ListedGlobal>,
    /// As they came out of the archive, so that very many of them are in memory once.
    entries: Vec<Entry>,
    keys: Vec<String>,
    tables: BTreeMap<EntryId, ListedTable>,
}

/// Something of the whole server, which `--globals` restores: `--use-list` has no say in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedGlobal {
    /// `ROLE`, `ROLE PASSWORD`, `ROLE MEMBERSHIP`, `TABLESPACE`, …
    pub kind: String,
    /// The role or tablespace; of a membership who is in whom.
    pub name: String,
}

impl ListReport {
    fn new(
        manifest: &Manifest,
        globals: Option<&[Entry]>,
        mut entries: Vec<Entry>,
        index: &Index,
        options: &ListOptions,
    ) -> Result<Self> {
        let wanted = options.wanted(&entries)?;
        // An entry's key depends on all others.
        let mut keys = keys(&entries);
        if let Some(wanted) = wanted {
            let mut kept = entries.iter().map(|entry| wanted.contains(&entry.id));
            keys.retain(|_| kept.next().unwrap_or(false));
            entries.retain(|entry| wanted.contains(&entry.id));
        }
        let table = |entry: &Entry| {
            let table = index.table(entry.id)?;
            let listed = ListedTable {
                rows: table.rows,
                raw_bytes: table.raw_bytes,
                stored_bytes: table.stored_bytes,
                frames: table.frames.len() as u64,
                sha256: hex(&table.sha256),
                fingerprint: table.fingerprint.to_string(),
            };
            Some((entry.id, listed))
        };
        Ok(Self {
            manifest: manifest.clone(),
            globals: globals
                .unwrap_or_default()
                .iter()
                .map(|entry| ListedGlobal {
                    kind: entry.kind.clone(),
                    name: entry.name.clone(),
                })
                .collect(),
            tables: entries.iter().filter_map(table).collect(),
            entries,
            keys,
        })
    }

    /// Its entries in restore order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = ListedEntry<'_>> {
        self.keys
            .iter()
            .zip(&self.entries)
            .map(|(key, entry)| ListedEntry {
                key,
                entry,
                table: self.tables.get(&entry.id),
            })
    }
}

/// Lists an archive; one that comes from a pipe is read and checked to its end.
///
/// # Errors
/// [`Kind::Archive`](crate::error::Kind::Archive) when it is damaged, unfinished or no archive,
/// [`Kind::Storage`](crate::error::Kind::Storage) when it cannot be read, [`Kind::Usage`] and
/// [`Kind::Failed`] for patterns that are malformed or match nothing,
/// [`Kind::Interrupted`] when `cancel` fired.
pub async fn list(
    input: Input,
    options: &ListOptions,
    cancel: CancellationToken,
) -> Result<ListReport> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::new(Kind::Interrupted, "list: interrupted")),
        report = read(input, options) => report,
    }
}

async fn read(input: Input, options: &ListOptions) -> Result<ListReport> {
    match input {
        Input::Source(source) => {
            let mut archive = Archive::open(source).await?;
            let entries = archive.take_entries();
            ListReport::new(
                archive.manifest(),
                archive.globals(),
                entries,
                archive.index(),
                options,
            )
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
            let entries = reader.take_entries();
            ListReport::new(
                reader.manifest(),
                reader.globals(),
                entries,
                &index,
                options,
            )
        }
    }
}
