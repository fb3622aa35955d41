//! The index: where every frame is, and what every table has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::codec::{Codec, lines};
use super::digest::{Digest, sha256};
use super::entry::{CopyFormat, DataSpec, Entry, EntryId};
use super::fingerprint::Fingerprint;
use super::ledger::{Ledger, Member};
use super::manifest::Manifest;
use super::names;
use super::pack::{self, FrameInPack, InPack, Pack};
use super::tar::BLOCK_BYTES;
use crate::error::{Context, Error, Kind, Result};

/// One frame of a table, as the index knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameIndex {
    /// The entry whose rows these are.
    pub entry: EntryId,
    /// Number of the chunk within the entry, from 0.
    pub chunk: u32,
    /// Number of the frame within the chunk, from 0.
    pub frame: u32,
    /// The number of the pack that it is in; none for a frame that is a member by itself.
    pub pack: Option<u32>,
    /// Where the stored bytes begin in the archive, or in the raw bytes of its pack.
    pub offset: u64,
    /// Number of stored bytes.
    pub stored_bytes: u64,
    /// Size before compression, in bytes.
    pub raw_bytes: u64,
    /// Number of rows.
    pub rows: u64,
    /// SHA-256 of the stored bytes.
    pub sha256: [u8; 32],
}

/// What the index knows about the data of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableIndex {
    /// The entry.
    pub entry: EntryId,
    /// Format of every frame.
    pub format: CopyFormat,
    /// Column names in the order of the stream; empty for large objects.
    pub columns: Vec<String>,
    /// Rows in all.
    pub rows: u64,
    /// Raw bytes in all.
    pub raw_bytes: u64,
    /// Stored bytes in all, without tar headers and padding.
    pub stored_bytes: u64,
    /// SHA-256 over the digests of the frames in (chunk, frame) order.
    pub sha256: [u8; 32],
    /// Fingerprint of the rows.
    pub fingerprint: Fingerprint,
    /// The frames in (chunk, frame) order.
    pub frames: Vec<FrameIndex>,
}

/// Every table of an archive, by entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    tables: BTreeMap<EntryId, TableIndex>,
    /// In the order of their numbers.
    packs: Vec<Pack>,
}

impl Index {
    /// The tables in the order of their entries.
    pub fn tables(&self) -> impl ExactSizeIterator<Item = &TableIndex> {
        self.tables.values()
    }

    /// The data of one entry.
    pub fn table(&self, entry: EntryId) -> Option<&TableIndex> {
        self.tables.get(&entry)
    }

    /// The packs, number 0 first.
    pub(super) fn packs(&self) -> &[Pack] {
        &self.packs
    }
}

/// Longest line of an index that is believed; a table with 1,600 columns needs far less.
const LONGEST_LINE: u64 = 4 << 20;

/// One line of `pgstow/index.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Line {
    Member {
        name: String,
        offset: u64,
        stored_bytes: u64,
        raw_bytes: u64,
        sha256: Digest,
    },
    Frame {
        entry: EntryId,
        chunk: u32,
        frame: u32,
        offset: u64,
        stored_bytes: u64,
        raw_bytes: u64,
        rows: u64,
        sha256: Digest,
    },
    Table(OwnLine),
    Packed {
        entry: EntryId,
        pack: u32,
        offset: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raw_bytes: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<Digest>,
        fingerprint: Fingerprint,
    },
    /// Of a later version of the format, and not needed to read this one.
    #[serde(other)]
    Unknown,
}

/// What the index says about one entry's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TableLine {
    /// Of one whose frames are members by themselves.
    Own(OwnLine),
    /// Of one that is in a pack.
    Packed(InPack),
}

impl TableLine {
    pub(super) fn entry(&self) -> EntryId {
        match self {
            Self::Own(line) => line.entry,
            Self::Packed(line) => line.entry,
        }
    }

    pub(super) fn totals(&self) -> Totals {
        match self {
            Self::Own(line) => line.totals.clone(),
            Self::Packed(line) => line.totals(),
        }
    }
}

/// What the index says about the data of an entry whose frames are members by themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OwnLine {
    pub entry: EntryId,
    pub format: CopyFormat,
    pub columns: Vec<String>,
    #[serde(flatten)]
    pub totals: Totals,
    pub fingerprint: Fingerprint,
}

/// Sums over the frames of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    pub frames: u64,
    pub rows: u64,
    pub raw_bytes: u64,
    pub stored_bytes: u64,
    /// Over the digests of the frames in (chunk, frame) order.
    pub sha256: Digest,
}

impl Totals {
    /// Adds up an entry's frames, given in (chunk, frame) order.
    ///
    /// # Errors
    /// [`Kind::Archive`] when one is there twice or missing, or the sums are beyond 64 bits.
    pub(super) fn of<'a>(frames: impl Iterator<Item = &'a FrameIndex>) -> Result<Self> {
        let damaged = |what: String| Error::new(Kind::Archive, what);
        let mut digests = Vec::new();
        let (mut rows, mut raw_bytes, mut stored_bytes) = (0u64, 0u64, 0u64);
        let mut last: Option<(u32, u32)> = None;
        for frame in frames {
            let expected = match last {
                Some((chunk, number)) if chunk == frame.chunk => number.wrapping_add(1),
                _ => 0,
            };
            if frame.frame != expected {
                return Err(damaged(format!(
                    "frame {}-{expected} is missing, or {}-{} is there twice",
                    frame.chunk, frame.chunk, frame.frame
                )));
            }
            last = Some((frame.chunk, frame.frame));
            digests.extend_from_slice(&frame.sha256);
            let sums = (
                rows.checked_add(frame.rows),
                raw_bytes.checked_add(frame.raw_bytes),
                stored_bytes.checked_add(frame.stored_bytes),
            );
            let (Some(r), Some(raw), Some(stored)) = sums else {
                return Err(damaged("its sizes add up to nonsense".to_owned()));
            };
            (rows, raw_bytes, stored_bytes) = (r, raw, stored);
        }
        Ok(Self {
            frames: (digests.len() / 32) as u64,
            rows,
            raw_bytes,
            stored_bytes,
            sha256: Digest(sha256(&digests)),
        })
    }
}

/// The content of an entry's `complete.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Complete {
    pub entry: EntryId,
    #[serde(flatten)]
    pub totals: Totals,
    pub fingerprint: Fingerprint,
}

impl Complete {
    /// The bytes of the member.
    pub(super) fn render(&self) -> Result<Vec<u8>> {
        line(self)
    }
}

fn line(record: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(record)
        .map_err(|error| Error::new(Kind::Failed, "render a record").with_source(error))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The index before compression: members and frames in the order of the archive, then tables.
pub(super) fn render(ledger: &Ledger, tables: &[TableLine]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for item in ledger.in_order() {
        bytes.extend(match item {
            super::ledger::Item::Member(member) => line(&Line::Member {
                name: member.name.clone(),
                offset: member.offset,
                stored_bytes: member.stored_bytes,
                raw_bytes: member.raw_bytes,
                sha256: Digest(member.sha256),
            })?,
            super::ledger::Item::Frame(frame) => line(&Line::Frame {
                entry: frame.entry,
                chunk: frame.chunk,
                frame: frame.frame,
                offset: frame.offset,
                stored_bytes: frame.stored_bytes,
                raw_bytes: frame.raw_bytes,
                rows: frame.rows,
                sha256: Digest(frame.sha256),
            })?,
        });
    }
    for table in tables {
        bytes.extend(match table {
            TableLine::Own(own) => line(&Line::Table(own.clone()))?,
            TableLine::Packed(packed) => line(&Line::Packed {
                entry: packed.entry,
                pack: packed.pack,
                offset: packed.offset,
                raw_bytes: packed.frame.map(|frame| frame.raw_bytes),
                sha256: packed.frame.map(|frame| Digest(frame.sha256)),
                fingerprint: packed.fingerprint,
            })?,
        });
    }
    Ok(bytes)
}

/// Reads the index: the ledger of all members before it, and the tables.
///
/// # Errors
/// [`Kind::Archive`] when it is damaged or does not describe a gapless archive that ends where
/// the index's own header begins.
pub(super) fn parse(
    codec: Codec,
    stored: &[u8],
    raw_bytes: u64,
    index_offset: u64,
) -> Result<(Ledger, Vec<TableLine>)> {
    let damaged = |what: &str| Error::new(Kind::Archive, format!("damaged index: {what}"));
    let mut ledger = Ledger::new();
    let mut tables = Vec::new();
    // No line is believed beyond what so long an archive can hold; a table has a member, or a place in a pack.
    let mut most = 2 * (index_offset / BLOCK_BYTES);
    for line in lines(codec, stored, raw_bytes, LONGEST_LINE)? {
        if ledger.len() + tables.len() as u64 > most {
            return Err(damaged("it lists more members than there is room for"));
        }
        let line = line.map_err(|error| error.context("damaged index"))?;
        let line: Line =
            serde_json::from_slice(&line).map_err(|error| damaged(&error.to_string()))?;
        let offset = match line {
            Line::Member {
                name,
                offset,
                stored_bytes,
                raw_bytes,
                sha256,
            } => {
                if names::is_pack(&name) {
                    most = most.saturating_add(pack::most_entries(stored_bytes, raw_bytes));
                }
                let expected = ledger.push_member(name, stored_bytes, raw_bytes, sha256.0)?;
                (offset, expected)
            }
            Line::Frame {
                entry,
                chunk,
                frame,
                offset,
                stored_bytes,
                raw_bytes,
                rows,
                sha256,
            } => {
                let expected = ledger.push_frame(FrameIndex {
                    entry,
                    chunk,
                    frame,
                    pack: None,
                    offset,
                    stored_bytes,
                    raw_bytes,
                    rows,
                    sha256: sha256.0,
                })?;
                (offset, expected)
            }
            Line::Table(table) => {
                tables.push(TableLine::Own(table));
                continue;
            }
            Line::Packed {
                entry,
                pack,
                offset,
                raw_bytes,
                sha256,
                fingerprint,
            } => {
                let frame = match (raw_bytes, sha256) {
                    (Some(raw_bytes), Some(Digest(sha256))) => {
                        Some(FrameInPack { raw_bytes, sha256 })
                    }
                    (None, None) => None,
                    _ => return Err(damaged("a packed frame has a size and a digest")),
                };
                tables.push(TableLine::Packed(InPack {
                    entry,
                    pack,
                    offset,
                    frame,
                    fingerprint,
                }));
                continue;
            }
            Line::Unknown => continue,
        };
        if offset.0 != offset.1 {
            return Err(damaged("its members do not follow one another"));
        }
    }
    Ok((ledger, tables))
}

impl Index {
    /// Puts the tables together from the index's lines and the table of contents, and checks that
    /// they agree in everything.
    ///
    /// # Errors
    /// [`Kind::Archive`] when they do not.
    pub(super) fn assemble(
        entries: &[Entry],
        ledger: &mut Ledger,
        lines: Vec<TableLine>,
        manifest: &Manifest,
    ) -> Result<Self> {
        let damaged = |entry: &dyn std::fmt::Display, what: &str| {
            Error::new(Kind::Archive, format!("damaged index: {entry}: {what}"))
        };
        let mut frames: BTreeMap<EntryId, Vec<FrameIndex>> = BTreeMap::new();
        for frame in ledger.take_frames() {
            frames.entry(frame.entry).or_default().push(frame);
        }
        let mut lines: BTreeMap<EntryId, TableLine> = {
            let count = lines.len();
            let lines: BTreeMap<_, _> =
                lines.into_iter().map(|line| (line.entry(), line)).collect();
            if lines.len() != count {
                return Err(damaged(&"tables", "one is there twice"));
            }
            lines
        };
        let members: BTreeMap<&str, &Member> = ledger
            .members()
            .iter()
            .map(|member| (member.name.as_str(), member))
            .collect();
        let mut tables = BTreeMap::new();
        let mut in_packs = Vec::new();
        for entry in entries {
            let Some(format) = names::format_of(entry) else {
                continue;
            };
            let name = entry.describe();
            let Some(line) = lines.remove(&entry.id) else {
                return Err(damaged(&name, "it is not there"));
            };
            let line = match line {
                TableLine::Own(line) => line,
                TableLine::Packed(line) => {
                    let complete = names::complete(&names::directory(entry));
                    if !matches!(entry.data, Some(DataSpec::Table { .. })) {
                        return Err(damaged(&name, "only rows of tables are in packs"));
                    }
                    if frames.contains_key(&entry.id) || members.contains_key(complete.as_str()) {
                        return Err(damaged(&name, "it is in a pack, and outside of it too"));
                    }
                    tables.insert(entry.id, packed_table(entry, format, &line));
                    in_packs.push(line);
                    continue;
                }
            };
            if line.format != format || line.columns != columns_of(entry) {
                return Err(damaged(&name, "it is not as in the table of contents"));
            }
            let mut own = frames.remove(&entry.id).unwrap_or_default();
            own.sort_unstable_by_key(|frame| (frame.chunk, frame.frame));
            let totals = Totals::of(own.iter()).map_err(|error| error.context(&name))?;
            if totals != line.totals || line.fingerprint.rows() != totals.rows {
                return Err(damaged(&name, "it does not agree with its frames"));
            }
            let directory = names::directory(entry);
            let complete = Complete {
                entry: entry.id,
                totals: line.totals.clone(),
                fingerprint: line.fingerprint,
            }
            .render()?;
            let member = members.get(names::complete(&directory).as_str());
            if member.is_none_or(|member| member.sha256 != sha256(&complete)) {
                return Err(damaged(&name, "it does not agree with its complete.json"));
            }
            let end = member.map_or(0, |member| member.offset);
            if own.iter().any(|frame| frame.offset > end) {
                return Err(damaged(&name, "a frame follows its complete.json"));
            }
            tables.insert(
                entry.id,
                TableIndex {
                    entry: entry.id,
                    format,
                    columns: line.columns,
                    rows: totals.rows,
                    raw_bytes: totals.raw_bytes,
                    stored_bytes: totals.stored_bytes,
                    sha256: totals.sha256.0,
                    fingerprint: line.fingerprint,
                    frames: own,
                },
            );
        }
        if let Some(entry) = frames.keys().chain(lines.keys()).next() {
            return Err(damaged(
                &format_args!("entry {entry}"),
                "it has data that the table of contents does not know",
            ));
        }
        let packs = pack::assemble(ledger.members(), in_packs, manifest)
            .context_with(|| "damaged index")?;
        Ok(Self { tables, packs })
    }
}

/// What the index knows of a table that is in a pack.
fn packed_table(entry: &Entry, format: CopyFormat, line: &InPack) -> TableIndex {
    let totals = line.totals();
    TableIndex {
        entry: entry.id,
        format,
        columns: columns_of(entry).to_vec(),
        rows: totals.rows,
        raw_bytes: totals.raw_bytes,
        stored_bytes: totals.stored_bytes,
        sha256: totals.sha256.0,
        fingerprint: line.fingerprint,
        frames: line.frame_index().into_iter().collect(),
    }
}

/// The columns that the index names for an entry.
pub(super) fn columns_of(entry: &Entry) -> &[String] {
    match &entry.data {
        Some(DataSpec::Table { columns, .. }) => columns,
        Some(DataSpec::LargeObjects | DataSpec::Statistics { .. }) | None => &[],
    }
}
