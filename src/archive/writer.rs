//! Writes an archive in one pass.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};

use super::codec::{Codec, Encoder};
use super::digest::{Digest, sha256};
use super::entry::{Entry, EntryId};
use super::fingerprint::Fingerprint;
use super::frame::StoredFrame;
use super::index::{self, Complete, FrameIndex, OwnLine, TableLine, Totals};
use super::ledger::{DataNames, Ledger};
use super::listing::{Data, Listed, Listing};
use super::manifest::{FORMAT_NAME, Globals, Manifest, ManifestRecord, Scripts, SealedMember};
use super::names;
use super::pack::{self, FrameInPack, InPack, Packer};
use super::packed::{Packed, PackedScripts, Stored};
use super::readme;
use super::tar;
use super::trailer::{TRAILER_BYTES, Trailer};
use crate::error::{Context, Error, Kind, Result};
use crate::sql::into_bytes;
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
    post_data: Packed,
    /// Where small tables go, if they go into packs.
    packing: Option<Packing>,
    /// Headers, padding and small members that wait for the next write.
    pending: BytesMut,
}

/// Above this, pending bytes are written.
const PENDING_MAX: usize = 256 << 10;

/// The pack that is being filled, and what is not in it yet.
#[derive(Default)]
struct Packing {
    open: Packer,
    /// How many there were before.
    number: u32,
    /// Frames of entries that are not complete: whether they are the only ones is not known.
    held: BTreeMap<EntryId, StoredFrame>,
}

struct Table {
    statistics: bool,
    table: bool,
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
        manifest: Manifest,
        entries: &[Entry],
        scripts: Scripts,
        globals: Option<Globals>,
    ) -> Result<Self> {
        let listing = Listing::of(entries, manifest.codec, &manifest.encoding)?;
        let scripts = PackedScripts::of(scripts, manifest.codec);
        Self::create_listed(sink, manifest, listing, scripts, globals).await
    }

    /// As [`create_with_globals`](Writer::create_with_globals), of entries and scripts that were given one by one.
    ///
    /// # Errors
    /// As [`create_with_globals`](Writer::create_with_globals); [`Kind::Usage`](crate::error::Kind::Usage) also
    /// when listing or scripts are of another codec than the manifest.
    pub async fn create_listed(
        sink: Box<dyn Sink>,
        mut manifest: Manifest,
        listing: Listing,
        scripts: PackedScripts,
        globals: Option<Globals>,
    ) -> Result<Self> {
        let codec = manifest.codec;
        if listing.codec() != codec || scripts.codec() != codec {
            return Err(Error::new(
                Kind::Usage,
                "scripts and entries of another codec",
            ));
        }
        let with_globals = globals.is_some();
        let PackedScripts {
            pre_data,
            post_data,
        } = scripts;
        let (listed, packed) = super::blocking(move || {
            let (mut listed, toc, load) = listing.finish()?;
            let mut packed = vec![(names::toc(codec), toc)];
            if let Some(globals) = globals {
                let (members, any_bytes) = members_of(globals, codec)?;
                packed.extend(members);
                listed.any_bytes |= any_bytes;
            }
            packed.push((names::pre_data(codec), pre_data.finish()?));
            packed.push((names::load(codec), load));
            Ok((listed, packed))
        })
        .await?;
        let Listed {
            count,
            names,
            data,
            rows_first,
            in_pieces,
            tables,
            any_bytes,
            packs,
        } = listed;
        manifest.in_pieces = in_pieces;
        manifest.ask_for_reader_of(any_bytes)?;
        if packs {
            manifest.ask_for_reader_of_packs();
        }
        let readme = readme::readme(&manifest, tables, with_globals).into_bytes();
        let record = ManifestRecord {
            format: FORMAT_NAME.to_owned(),
            manifest: manifest.clone(),
            entries: count,
            members: packed
                .iter()
                .map(|(name, stored)| SealedMember {
                    name: name.clone(),
                    stored_bytes: stored.bytes.len() as u64,
                    raw_bytes: stored.raw_bytes,
                    sha256: Digest(sha256(&stored.bytes)),
                })
                .collect(),
        };
        let of_entry = |(entry, data): (EntryId, Data)| {
            let table = Table {
                statistics: data.statistics,
                table: data.table,
                format: data.format,
                columns: data.columns,
                frames: Vec::new(),
                line: None,
            };
            (entry, table)
        };
        let mut writer = Self {
            sink,
            names,
            rows_first,
            codec,
            ledger: Ledger::new(),
            tables: data.into_iter().map(of_entry).collect(),
            post_data,
            packing: packs.then(Packing::default),
            pending: BytesMut::new(),
            manifest,
        };
        writer
            .plain(names::README.to_owned(), readme.into())
            .await?;
        writer
            .plain(names::MANIFEST.to_owned(), record.render()?.into())
            .await?;
        for (name, stored) in packed {
            writer.member(name, stored.raw_bytes, stored.bytes).await?;
        }
        Ok(writer)
    }

    /// Whether small frames are wanted as they are, uncompressed, to be put into packs.
    pub fn is_packing(&self) -> bool {
        self.packing.is_some()
    }

    /// Appends a frame; frames of different entries may come in any order that [`rows_first`]
    /// allows, but each (entry, chunk, frame) once and before the entry is complete. Within a chunk frames are
    /// numbered 0, 1, … without gaps; chunks may be left out.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage) when the entry has no data or is complete;
    /// [`Kind::Storage`](crate::error::Kind::Storage) from the sink.
    pub async fn append(&mut self, frame: StoredFrame) -> Result<()> {
        let entry = frame.entry;
        self.check_before(entry)?;
        let table = match self.tables.get_mut(&entry) {
            Some(table) if table.line.is_none() => table,
            _ => {
                let name = self.names.describe(entry);
                let what = format!("{name}: it takes no frames, or no more");
                return Err(Error::new(Kind::Usage, what));
            }
        };
        if frame.rows.is_none() {
            let name = self.names.describe(entry);
            let what = format!("{name}: a frame without a row count");
            return Err(Error::new(Kind::Usage, what));
        }
        let Some(packing) = &mut self.packing else {
            return self.append_own(frame).await;
        };
        let held = packing.held.remove(&entry);
        let is_first = table.frames.is_empty() && held.is_none();
        let stored_bytes = frame.stored.len() as u64;
        let is_bare = frame.codec == Codec::None && stored_bytes <= pack::FRAME_IN_PACK_MAX;
        if table.table && is_first && is_bare && (frame.chunk, frame.frame) == (0, 0) {
            packing.held.insert(entry, frame);
            return Ok(());
        }
        if let Some(held) = held {
            self.append_own(held).await?;
        }
        self.append_own(frame).await
    }

    /// Appends a frame as a member by itself, behind what it needs.
    async fn append_own(&mut self, frame: StoredFrame) -> Result<()> {
        let frame = match frame.codec {
            Codec::None => compressed(frame, self.codec).await?,
            _ => frame,
        };
        self.close_pack_before(frame.entry).await?;
        let StoredFrame {
            entry,
            chunk,
            frame: number,
            rows,
            raw_bytes,
            stored,
            sha256,
            codec: _,
        } = frame;
        let frame = FrameIndex {
            entry,
            chunk,
            frame: number,
            pack: None,
            // The ledger knows better.
            offset: 0,
            stored_bytes: stored.len() as u64,
            raw_bytes,
            // Without them it was refused.
            rows: rows.unwrap_or_default(),
            sha256,
        };
        let name = self.names.frame(&frame)?;
        let position = self.ledger.frames().len();
        self.ledger
            .push_frame(frame)
            .map_err(|error| error.with_kind(Kind::Failed))
            .context_with(|| self.names.describe(entry))?;
        if let Some(table) = self.tables.get_mut(&entry) {
            table.frames.push(position);
        }
        self.write_member(&name, stored).await
    }

    /// What must be complete before an entry's frames is.
    fn check_before(&self, entry: EntryId) -> Result<()> {
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
        Ok(())
    }

    /// Closes the open pack if a frame of this entry must not come before what is in it.
    async fn close_pack_before(&mut self, entry: EntryId) -> Result<()> {
        let Some(packing) = &self.packing else {
            return Ok(());
        };
        let table = self.tables.get(&entry);
        let first = self.rows_first.get(&entry);
        let is_needed = |first: &BTreeSet<EntryId>| first.iter().any(|id| packing.open.has(*id));
        if table.is_some_and(|table| table.statistics) || first.is_some_and(is_needed) {
            self.close_pack().await?;
        }
        Ok(())
    }

    /// Writes the open pack, if there is something in it.
    async fn close_pack(&mut self) -> Result<()> {
        let Some(packing) = &mut self.packing else {
            return Ok(());
        };
        if packing.open.is_empty() {
            return Ok(());
        }
        let raw = std::mem::take(&mut packing.open).finish();
        let number = packing.number;
        packing.number += 1;
        let (codec, raw_bytes) = (self.codec, raw.len() as u64);
        let stored = super::blocking(move || Encoder::new(codec)?.pack_once(raw)).await?;
        let name = names::pack(number, &sha256(&stored), codec);
        self.member(name, raw_bytes, stored).await.map(drop)
    }

    /// Puts what an entry has into the open pack: one frame, or none.
    async fn pack(
        &mut self,
        entry: EntryId,
        frame: Option<StoredFrame>,
        fingerprint: Fingerprint,
    ) -> Result<()> {
        let Some(packing) = &mut self.packing else {
            return Err(Error::new(Kind::Failed, "an archive without packs"));
        };
        let in_pack = InPack {
            entry,
            pack: packing.number,
            offset: packing.open.position(),
            frame: frame.as_ref().map(|frame| FrameInPack {
                raw_bytes: frame.stored.len() as u64,
                sha256: frame.sha256,
            }),
            fingerprint,
        };
        let stored = frame.as_ref().map(|frame| frame.stored.as_ref());
        let mtime = self.manifest.created.0;
        packing.open.push(&in_pack, stored, &self.names, mtime)?;
        let is_full = packing.open.is_full();
        if let Some(table) = self.tables.get_mut(&entry) {
            table.line = Some(TableLine::Packed(in_pack));
        }
        if is_full {
            self.close_pack().await?;
        }
        Ok(())
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
        if let Some(packing) = &mut self.packing
            && table.table
            && table.frames.is_empty()
        {
            let held = packing.held.remove(&entry);
            let rows = held.as_ref().and_then(|frame| frame.rows).unwrap_or(0);
            if fingerprint.rows() != rows {
                return Err(other_rows(rows, fingerprint).context(self.names.describe(entry)));
            }
            return self.pack(entry, held, fingerprint).await;
        }
        let mut positions = std::mem::take(&mut table.frames);
        let all = self.ledger.frames();
        positions.sort_unstable_by_key(|at| (all[*at].chunk, all[*at].frame));
        let totals = Totals::of(positions.iter().map(|at| &all[*at]))
            .map_err(|error| error.with_kind(Kind::Failed))
            .context_with(|| self.names.describe(entry))?;
        if fingerprint.rows() != totals.rows {
            let error = other_rows(totals.rows, fingerprint);
            return Err(error.context(self.names.describe(entry)));
        }
        let content = Complete {
            entry,
            totals: totals.clone(),
            fingerprint,
        }
        .render()?;
        table.line = Some(TableLine::Own(OwnLine {
            entry,
            format: table.format,
            columns: std::mem::take(&mut table.columns),
            totals,
            fingerprint,
        }));
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
        self.close_pack().await?;
        let mut lines = Vec::with_capacity(self.tables.len());
        for (entry, table) in std::mem::take(&mut self.tables) {
            lines.push(table.line.ok_or_else(|| {
                let name = self.names.describe(entry);
                Error::new(Kind::Failed, format!("{name}: it was never completed"))
            })?);
        }
        let post_data = std::mem::replace(&mut self.post_data, Packed::new(codec));
        let post_data = super::blocking(move || post_data.finish()).await?;
        let name = names::post_data(codec);
        self.member(name, post_data.raw_bytes, post_data.bytes)
            .await?;

        let index = index::render(&self.ledger, &lines)?;
        let mut trailer = Trailer::new(&self.manifest, &lines);
        drop(lines);
        let index = Packed::beginning_with(codec, index);
        let Stored { raw_bytes, bytes } = super::blocking(move || index.finish()).await?;
        trailer.index_raw_bytes = raw_bytes;
        trailer.index_stored_bytes = bytes.len() as u64;
        trailer.index_sha256 = sha256(&bytes);
        trailer.index_offset = self.member(names::index(codec), raw_bytes, bytes).await?;

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

/// Its frames and its fingerprint are of other rows.
fn other_rows(rows: u64, fingerprint: Fingerprint) -> Error {
    let counted = fingerprint.rows();
    let what = format!("its frames have {rows} rows, its fingerprint {counted}");
    Error::new(Kind::Failed, what)
}

/// A frame that came as it is, compressed as the archive's others.
async fn compressed(frame: StoredFrame, codec: Codec) -> Result<StoredFrame> {
    if codec == Codec::None {
        return Ok(frame);
    }
    super::blocking(move || {
        let stored = Encoder::new(codec)?.pack(&frame.stored)?;
        Ok(StoredFrame {
            sha256: sha256(&stored),
            stored,
            codec,
            ..frame
        })
    })
    .await
}

/// The members that globals are.
///
/// # Errors
/// [`Kind::Usage`] when they are not numbered 1, 2, … or have data.
fn members_of(globals: Globals, codec: Codec) -> Result<([(String, Stored); 2], bool)> {
    let Globals { entries, script } = globals;
    if entries.iter().any(|entry| entry.data.is_some()) {
        return Err(Error::new(Kind::Usage, "globals have no data"));
    }
    let (listed, toc, _) = Listing::of(&entries, codec, "")?.finish()?;
    let script = Packed::beginning_with(codec, into_bytes(script));
    let members = [
        (names::globals(codec), toc),
        (names::globals_script(codec), script.finish()?),
    ];
    Ok((members, listed.any_bytes))
}
