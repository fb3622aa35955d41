//! Writes an archive in one pass.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};

use super::codec::{Codec, Encoder};
use super::digest::{Digest, sha256};
use super::entry::{Entry, EntryId, rows_first};
use super::fingerprint::Fingerprint;
use super::frame::StoredFrame;
use super::index::{self, Complete, FrameIndex, TableLine, Totals};
use super::ledger::{DataNames, Ledger};
use super::manifest::{
    FORMAT_NAME, Globals, InPieces, Manifest, ManifestRecord, Scripts, SealedMember,
};
use super::names;
use super::readme;
use super::tar;
use super::trailer::{TRAILER_BYTES, Trailer};
use crate::error::{Context, Error, Kind, Result};
use crate::storage::Sink;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Size of the whole archive in bytes.
    pub bytes: u64,
    /// Number of entries with data.
    pub tables: u64,
    /// Number of frames.
    pub frames: u64,
    /// Number of rows.
    pub rows: u64,
    /// Bytes of COPY data before compression.
    pub raw_bytes: u64,
    /// Bytes of COPY data after compression.
    pub stored_bytes: u64,
}

/// Writes one archive; dropping it without [`finish`](Writer::finish) aborts.
pub struct Writer {
    sink: Box<dyn Sink>,
    manifest: Manifest,
    codec: Codec,
    names: DataNames,
    ledger: Ledger,
    tables: BTreeMap<EntryId, Table>,
    rows_first: BTreeMap<EntryId, BTreeSet<EntryId>>,
    post_data: String,
    /// Headers, padding and small members that wait for the next write.
    pending: BytesMut,
}

/// Above this, pending bytes are written.
const PENDING_MAX: usize = 256 << 10;

struct Table {
    statistics: bool,
    format: super::CopyFormat,
    columns: Vec<String>,
    /// Positions in the ledger.
    frames: Vec<usize>,
    line: Option<TableLine>,
}

impl Writer {
    /// Begins an archive: everything that a restore needs before the first row.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage) when the entries are not numbered 1, 2, …;
    /// [`Kind::Storage`](crate::error::Kind::Storage) from the sink.
    pub async fn create(
        sink: Box<dyn Sink>,
        manifest: Manifest,
        entries: &[Entry],
        scripts: Scripts,
    ) -> Result<Self> {
        Self::create_with_globals(sink, manifest, entries, scripts, None).await
    }

    /// As [`create`](Writer::create), with what belongs to the whole server, if it is wanted.
    ///
    /// # Errors
    /// As [`create`](Writer::create); [`Kind::Usage`](crate::error::Kind::Usage) also when an
    /// entry of the globals has data.
    pub async fn create_with_globals(
        sink: Box<dyn Sink>,
        mut manifest: Manifest,
        entries: &[Entry],
        scripts: Scripts,
        globals: Option<Globals>,
    ) -> Result<Self> {
        manifest.in_pieces = InPieces::of(entries);
        let numbered = |entries: &[Entry]| (1u32..).zip(entries).all(|(id, entry)| entry.id == id);
        let global_entries = globals.as_ref().map_or(&[][..], |globals| &globals.entries);
        if !numbered(entries) || !numbered(global_entries) {
            return Err(Error::new(Kind::Usage, "entries must be numbered 1, 2, …"));
        }
        if global_entries.iter().any(|entry| entry.data.is_some()) {
            return Err(Error::new(Kind::Usage, "globals have no data"));
        }
        let codec = manifest.codec;
        let tables = entries
            .iter()
            .filter_map(|entry| {
                let table = Table {
                    statistics: entry.has_statistics(),
                    format: names::format_of(entry)?,
                    columns: index::columns_of(entry).to_vec(),
                    frames: Vec::new(),
                    line: None,
                };
                Some((entry.id, table))
            })
            .collect();
        let mut writer = Self {
            sink,
            names: DataNames::new(entries, codec),
            rows_first: rows_first(entries),
            codec,
            ledger: Ledger::new(),
            tables,
            post_data: scripts.post_data,
            pending: BytesMut::new(),
            manifest,
        };

        let with_globals = globals.is_some();
        let readme = readme::readme(&writer.manifest, entries, with_globals).into_bytes();
        let load = readme::load_script(&writer.manifest, entries).into_bytes();
        let mut raw = vec![(names::toc(codec), render(entries)?)];
        if let Some(Globals { entries, script }) = globals {
            raw.push((names::globals(codec), render(&entries)?));
            raw.push((names::globals_script(codec), script.into_bytes()));
        }
        raw.push((names::pre_data(codec), scripts.pre_data.into_bytes()));
        raw.push((names::load(codec), load));
        let packed = pack(codec, raw).await?;
        let record = ManifestRecord {
            format: FORMAT_NAME.to_owned(),
            manifest: writer.manifest.clone(),
            entries: entries.len() as u64,
            members: packed
                .iter()
                .map(|(name, raw_bytes, stored)| SealedMember {
                    name: name.clone(),
                    stored_bytes: stored.len() as u64,
                    raw_bytes: *raw_bytes,
                    sha256: Digest(sha256(stored)),
                })
                .collect(),
        };
        writer
            .plain(names::README.to_owned(), readme.into())
            .await?;
        writer
            .plain(names::MANIFEST.to_owned(), record.render()?.into())
            .await?;
        for (name, raw_bytes, stored) in packed {
            writer.member(name, raw_bytes, stored).await?;
        }
        Ok(writer)
    }

    /// Appends a frame; frames of different entries may come in any order that [`rows_first`]
    /// allows, but each (entry, chunk, frame) once and before the entry is complete. Within a chunk frames are
    /// numbered 0, 1, … without gaps; chunks may be left out.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage) when the entry has no data or is complete;
    /// [`Kind::Storage`](crate::error::Kind::Storage) from the sink.
    pub async fn append(&mut self, frame: StoredFrame) -> Result<()> {
        let StoredFrame {
            entry,
            chunk,
            frame: number,
            rows,
            raw_bytes,
            stored,
            sha256,
        } = frame;
        let describe = || self.names.describe(entry);
        if let Some(before) = self.rows_first.get(&entry)
            && let Some(open) = before.iter().find(|id| !self.is_complete(**id))
        {
            let what = format!(
                "{}: {} must be complete before it",
                describe(),
                self.names.describe(*open)
            );
            return Err(Error::new(Kind::Usage, what));
        }
        if self
            .tables
            .get(&entry)
            .is_some_and(|table| table.statistics)
            && let Some(open) = self.open_rows()
        {
            let what = format!(
                "{}: {} must be complete before it",
                describe(),
                self.names.describe(open)
            );
            return Err(Error::new(Kind::Usage, what));
        }
        let table = match self.tables.get_mut(&entry) {
            Some(table) if table.line.is_none() => table,
            _ => {
                let what = format!("{}: it takes no frames, or no more", describe());
                return Err(Error::new(Kind::Usage, what));
            }
        };
        let Some(rows) = rows else {
            let what = format!("{}: a frame without a row count", describe());
            return Err(Error::new(Kind::Usage, what));
        };
        let frame = FrameIndex {
            entry,
            chunk,
            frame: number,
            // The ledger knows better.
            offset: 0,
            stored_bytes: stored.len() as u64,
            raw_bytes,
            rows,
            sha256,
        };
        let name = self.names.frame(&frame)?;
        table.frames.push(self.ledger.frames().len());
        self.ledger
            .push_frame(frame)
            .map_err(|error| error.with_kind(Kind::Failed))
            .context_with(|| self.names.describe(entry))?;
        self.write_member(&name, stored).await
    }

    /// An entry other than statistics that is not complete.
    fn open_rows(&self) -> Option<EntryId> {
        let mut tables = self.tables.iter();
        let open = tables.find(|(_, table)| !table.statistics && table.line.is_none());
        open.map(|(entry, _)| *entry)
    }

    fn is_complete(&self, entry: EntryId) -> bool {
        let table = self.tables.get(&entry);
        table.is_none_or(|table| table.line.is_some())
    }

    /// Says that all frames of an entry are there. Every entry with data must be completed, also
    /// one without rows.
    ///
    /// # Errors
    /// [`Kind::Failed`](crate::error::Kind::Failed) when the fingerprint counts other rows than
    /// the frames did, or frame numbers are missing;
    /// [`Kind::Storage`](crate::error::Kind::Storage) from the sink.
    pub async fn complete(&mut self, entry: EntryId, fingerprint: Fingerprint) -> Result<()> {
        let fail = |what: String, name: String| Error::new(Kind::Failed, what).context(name);
        let Some(table) = self
            .tables
            .get_mut(&entry)
            .filter(|table| table.line.is_none())
        else {
            let name = self.names.describe(entry);
            return Err(fail("it has no data, or is complete".to_owned(), name));
        };
        let mut positions = std::mem::take(&mut table.frames);
        let all = self.ledger.frames();
        positions.sort_unstable_by_key(|at| (all[*at].chunk, all[*at].frame));
        let totals = Totals::of(positions.iter().map(|at| &all[*at]))
            .map_err(|error| error.with_kind(Kind::Failed))
            .context_with(|| self.names.describe(entry))?;
        if fingerprint.rows() != totals.rows {
            let what = format!(
                "its frames have {} rows, its fingerprint {}",
                totals.rows,
                fingerprint.rows()
            );
            return Err(fail(what, self.names.describe(entry)));
        }
        let content = Complete {
            entry,
            totals: totals.clone(),
            fingerprint,
        }
        .render()?;
        table.line = Some(TableLine {
            entry,
            format: table.format,
            columns: std::mem::take(&mut table.columns),
            totals,
            fingerprint,
        });
        let name = self.names.complete(entry)?;
        self.plain(name, content.into()).await.map(drop)
    }

    /// Writes what comes last and makes the archive visible.
    ///
    /// # Errors
    /// [`Kind::Failed`](crate::error::Kind::Failed) when an entry with data was not completed;
    /// [`Kind::Storage`](crate::error::Kind::Storage) from the sink.
    pub async fn finish(mut self) -> Result<Summary> {
        let codec = self.codec;
        let mut lines = Vec::with_capacity(self.tables.len());
        for (entry, table) in std::mem::take(&mut self.tables) {
            lines.push(table.line.ok_or_else(|| {
                let name = self.names.describe(entry);
                Error::new(Kind::Failed, format!("{name}: it was never completed"))
            })?);
        }
        let post_data = std::mem::take(&mut self.post_data).into_bytes();
        for (name, raw_bytes, stored) in
            pack(codec, vec![(names::post_data(codec), post_data)]).await?
        {
            self.member(name, raw_bytes, stored).await?;
        }

        let index = index::render(&self.ledger, &lines)?;
        let index_raw_bytes = index.len() as u64;
        let mut trailer = Trailer::new(&self.manifest, &lines);
        for (name, raw_bytes, stored) in pack(codec, vec![(names::index(codec), index)]).await? {
            trailer.index_stored_bytes = stored.len() as u64;
            trailer.index_sha256 = sha256(&stored);
            trailer.index_offset = self.member(name, raw_bytes, stored).await?;
        }
        trailer.index_raw_bytes = index_raw_bytes;

        trailer.members = self.ledger.len();
        let sums = Bytes::from(self.ledger.sums(&self.names)?);
        trailer.sums_bytes = sums.len() as u64;
        trailer.sums_sha256 = sha256(&sums);
        trailer.sums_offset = self.plain(names::SUMS.to_owned(), sums).await?;

        let end = TRAILER_BYTES as u64 + tar::BLOCK_BYTES + tar::END_BYTES;
        trailer.archive_bytes = self.ledger.position() + end;
        let content = Bytes::copy_from_slice(&trailer.encode());
        self.plain(names::TRAILER.to_owned(), content).await?;
        self.pending.resize(self.pending.len() + 2 * tar::BLOCK, 0);
        self.flush().await?;
        self.sink.finish().await?;
        Ok(Summary {
            bytes: trailer.archive_bytes,
            tables: trailer.tables,
            frames: trailer.frames,
            rows: trailer.rows,
            raw_bytes: trailer.raw_bytes,
            stored_bytes: trailer.stored_bytes,
        })
    }

    /// Writes a member that is stored as it is; returns where its content begins.
    async fn plain(&mut self, name: String, content: Bytes) -> Result<u64> {
        let raw_bytes = content.len() as u64;
        self.member(name, raw_bytes, content).await
    }

    /// Writes a member that is no frame; returns where its content begins.
    async fn member(&mut self, name: String, raw_bytes: u64, stored: Bytes) -> Result<u64> {
        let length = stored.len() as u64;
        let offset = self
            .ledger
            .push_member(name.clone(), length, raw_bytes, sha256(&stored))?;
        self.write_member(&name, stored).await?;
        Ok(offset)
    }

    async fn write_member(&mut self, name: &str, stored: Bytes) -> Result<()> {
        let length = stored.len() as u64;
        let header = tar::encode(name, length, self.manifest.created.0)?;
        self.pending.extend_from_slice(&header);
        if stored.len() <= PENDING_MAX / 4 {
            self.pending.extend_from_slice(&stored);
        } else {
            self.flush().await?;
            self.sink.write(stored).await?;
        }
        self.pending
            .resize(self.pending.len() + tar::padding(length), 0);
        if self.pending.len() > PENDING_MAX {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let bytes = self.pending.split().freeze();
        self.sink.write(bytes).await
    }
}

/// Entries, one JSON object per line.
fn render(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut lines, entry)
            .map_err(|error| Error::new(Kind::Failed, "render an entry").with_source(error))?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Compresses members on a blocking thread: name, raw size, stored bytes.
async fn pack(codec: Codec, members: Vec<(String, Vec<u8>)>) -> Result<Vec<(String, u64, Bytes)>> {
    super::blocking(move || {
        let mut encoder = Encoder::new(codec)?;
        members
            .into_iter()
            .map(|(name, raw)| Ok((name, raw.len() as u64, encoder.pack(&raw)?)))
            .collect()
    })
    .await
}
