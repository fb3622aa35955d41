//! Reads an archive at any offset.

use std::sync::Arc;

use bytes::Bytes;

use super::codec::{Codec, Decoder, lines};
use super::digest::sha256;
use super::entry::{Entry, EntryId, Section};
use super::frame::StoredFrame;
use super::index::{self, FrameIndex, Index, TableIndex};
use super::ledger::{DataNames, Ledger, Member};
use super::manifest::{InPieces, Manifest, ManifestRecord};
use super::names;
use super::pack::{self, Unpacked};
use super::tar::{self, BLOCK, BLOCK_BYTES, END_BYTES, Parsed};
use super::trailer::{TRAILER_BYTES, Trailer};
use crate::error::{Context, Error, Kind, Result};
use crate::storage::Source;

/// Header, trailer, two zero blocks.
const TAIL_BYTES: u64 = BLOCK_BYTES + TRAILER_BYTES as u64 + END_BYTES;

/// Largest `pgstow/archive.json` that is believed.
pub(super) const MANIFEST_MAX: u64 = 16 << 20;

/// Largest table of contents that is believed, unpacked.
pub(super) const TOC_MAX: u64 = 4 << 30;

/// Largest script that is read into memory, unpacked.
const SCRIPT_MAX: u64 = 4 << 30;

/// An open archive: its manifest, table of contents and index are read and checked.
pub struct Archive {
    pub(super) source: Arc<dyn Source>,
    manifest: Manifest,
    entries: Vec<Entry>,
    /// Number of entries in the table of contents.
    count: u64,
    globals: Option<Vec<Entry>>,
    index: Index,
    pub(super) trailer: Trailer,
    /// The members that are no frames.
    pub(super) members: Vec<Member>,
    pub(super) names: Arc<DataNames>,
    unpacked: Unpacked,
}

impl Archive {
    /// Opens an archive: reads its end, its index, its manifest and its table of contents.
    ///
    /// # Errors
    /// [`Kind::Archive`](crate::error::Kind::Archive) when it is damaged, unfinished, newer than
    /// known, or not an archive; [`Kind::Storage`](crate::error::Kind::Storage) when it cannot be
    /// read.
    pub async fn open(source: Arc<dyn Source>) -> Result<Self> {
        let name = source.name();
        Self::open_unnamed(source)
            .await
            .context_with(|| format!("archive {name}"))
    }

    async fn open_unnamed(source: Arc<dyn Source>) -> Result<Self> {
        let trailer = match read_trailer(source.as_ref()).await {
            // What is not finished or not ours at all is better told by its first bytes.
            Err(error) if error.kind() == Kind::Archive => {
                return Err(better_reason(source.as_ref(), error).await);
            }
            other => other?,
        };
        let codec = trailer.codec()?;
        let stored = read_checked(
            source.as_ref(),
            trailer.index_offset,
            trailer.index_stored_bytes,
            &trailer.index_sha256,
        )
        .await
        .context_with(|| names::index(codec))?;
        let (raw_bytes, index_header) = (
            trailer.index_raw_bytes,
            trailer.index_offset - tar::header_bytes(trailer.index_stored_bytes),
        );
        let (ledger, lines) =
            super::blocking(move || index::parse(codec, &stored, raw_bytes, index_header)).await?;
        if ledger.position() != index_header || ledger.len() + 1 != trailer.members {
            return Err(damaged("the index does not list every member"));
        }

        let record = read_manifest(source.as_ref(), &ledger, &trailer).await?;
        let codec = record.manifest.codec;
        let toc = ledger
            .member(&names::toc(codec))
            .ok_or_else(|| damaged("it has no table of contents"))?;
        let stored = read_member(source.as_ref(), toc).await?;
        let (raw_bytes, count) = (toc.raw_bytes, record.entries);
        // Only what the manifest vouches for, as in a pipe.
        let globals = match record.member(&names::globals(codec)) {
            Some(sealed) => {
                let member = ledger
                    .member(&sealed.name)
                    .ok_or_else(|| damaged("it has no globals, and the manifest says it has"))?;
                let stored = read_member(source.as_ref(), member).await?;
                let raw_bytes = member.raw_bytes;
                let parsed = super::blocking(move || parse_globals(codec, &stored, raw_bytes));
                Some(parsed.await?)
            }
            None => None,
        };
        let (entries, index, rest) = super::blocking(move || {
            let pieces = record.manifest.in_pieces.clone();
            let entries = parse_toc(codec, &stored, raw_bytes, count, pieces)?;
            check_order(&ledger, codec)?;
            let totals = Trailer::new(&record.manifest, &lines);
            let mut ledger = ledger;
            let index = Index::assemble(&entries, &mut ledger, lines, &record.manifest)?;
            check_totals(&totals, &trailer)?;
            Ok((entries, index, (ledger, record, trailer)))
        })
        .await?;
        let (ledger, record, trailer) = rest;
        Ok(Self {
            source,
            names: Arc::new(DataNames::new(&entries, codec)),
            unpacked: Unpacked::default(),
            manifest: record.manifest,
            entries,
            count,
            globals,
            index,
            trailer,
            members: ledger.members().to_vec(),
        })
    }

    /// What the archive is and where it came from.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The table of contents, in an order that is a correct serial restore order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Gives the table of contents away; [`entries`](Archive::entries) are none from then on. Whoever changes
    /// entries need not have them twice.
    pub fn take_entries(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// Reads the table of contents once more.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub async fn read_entries(&self) -> Result<Vec<Entry>> {
        let codec = self.manifest.codec;
        let name = names::toc(codec);
        let toc = self.members.iter().find(|member| member.name == name);
        let toc = toc.ok_or_else(|| damaged("it has no table of contents"))?;
        let stored = read_member(self.source.as_ref(), toc).await?;
        let (raw_bytes, count) = (toc.raw_bytes, self.count);
        let pieces = self.manifest.in_pieces.clone();
        super::blocking(move || parse_toc(codec, &stored, raw_bytes, count, pieces)).await
    }

    /// Roles, tablespaces and the like, in an order that is a correct serial restore order; none
    /// when the archive has only its database.
    pub fn globals(&self) -> Option<&[Entry]> {
        self.globals.as_deref()
    }

    /// Every table.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The data of one entry.
    pub fn table(&self, entry: EntryId) -> Option<&TableIndex> {
        self.index.table(entry)
    }

    /// Size of the archive in bytes.
    pub fn bytes(&self) -> u64 {
        self.trailer.archive_bytes
    }

    /// Reads one frame and checks its SHA-256. Of a frame in a pack the whole pack is read, which is kept for a while
    /// for those who read others of it.
    ///
    /// # Errors
    /// [`Kind::Archive`](crate::error::Kind::Archive) when it is damaged,
    /// [`Kind::Storage`](crate::error::Kind::Storage) when it cannot be read.
    pub async fn read_frame(&self, frame: &FrameIndex) -> Result<StoredFrame> {
        let source = self.source.as_ref();
        let (stored, codec) = match frame.pack {
            None => {
                let read = read_checked(source, frame.offset, frame.stored_bytes, &frame.sha256);
                (read.await, self.manifest.codec)
            }
            Some(pack) => (self.read_packed(pack, frame).await, Codec::None),
        };
        let stored = stored.map_err(|error| self.in_frame(frame, error))?;
        Ok(StoredFrame {
            codec,
            entry: frame.entry,
            chunk: frame.chunk,
            frame: frame.frame,
            rows: Some(frame.rows),
            raw_bytes: frame.raw_bytes,
            stored,
            sha256: frame.sha256,
        })
    }

    async fn read_packed(&self, number: u32, frame: &FrameIndex) -> Result<Bytes> {
        let pack = usize::try_from(number).ok();
        let pack = pack.and_then(|number| self.index.packs().get(number));
        let pack = &pack.ok_or_else(|| damaged("its pack is not there"))?.member;
        let cell = self.unpacked.cell(number, pack.raw_bytes);
        let unpacked = cell.get_or_try_init(|| async {
            let stored = read_member(self.source.as_ref(), pack).await?;
            let (codec, raw_bytes) = (self.manifest.codec, pack.raw_bytes);
            let unpack = move || pack::unpack(codec, &stored, Some(raw_bytes));
            let unpacked = super::blocking(unpack).await;
            unpacked.context_with(|| &pack.name)
        });
        let stored = pack::slice(unpacked.await?, frame)?;
        if sha256(&stored) != frame.sha256 {
            return Err(damaged("its SHA-256 does not match"));
        }
        Ok(stored)
    }

    /// Says which archive, entry and member an error is about.
    pub(super) fn in_frame(&self, frame: &FrameIndex, error: Error) -> Error {
        let member = self.names.frame(frame).unwrap_or_default();
        let entry = self.names.describe(frame.entry);
        error.context(format!("archive {}: {entry}: {member}", self.source.name()))
    }

    /// The SQL script of a section; for [`Section::Data`] the shell script that loads the rows.
    ///
    /// # Errors
    /// As [`Archive::read_frame`].
    pub async fn script(&self, section: Section) -> Result<String> {
        let codec = self.manifest.codec;
        let name = match section {
            Section::PreData => names::pre_data(codec),
            Section::Data => names::load(codec),
            Section::PostData => names::post_data(codec),
        };
        let found = self.members.iter().find(|member| member.name == name);
        let read = async {
            let member = found.ok_or_else(|| damaged("it is not there"))?;
            if member.raw_bytes > SCRIPT_MAX {
                return Err(damaged("it is too large"));
            }
            let stored = read_member(self.source.as_ref(), member).await?;
            let raw_bytes = member.raw_bytes;
            super::blocking(move || {
                let mut raw = Vec::new();
                Decoder::new(codec).unpack_into(&stored, raw_bytes, &mut raw)?;
                String::from_utf8(raw).map_err(|_| damaged("it is not UTF-8"))
            })
            .await
        };
        read.await
            .context_with(|| format!("archive {}: {name}", self.source.name()))
    }
}

fn damaged(what: &str) -> Error {
    Error::new(Kind::Archive, what)
}

/// Reads a range of a source whose bounds are checked first.
async fn read(source: &dyn Source, offset: u64, length: u64) -> Result<Bytes> {
    let end = offset.checked_add(length);
    if end.is_none_or(|end| end > source.len()) {
        return Err(damaged("it claims to lie beyond the archive's end"));
    }
    let length = usize::try_from(length).map_err(|_| damaged("it is too large"))?;
    let bytes = source.read_at(offset, length).await?;
    if bytes.len() != length {
        return Err(Error::new(
            Kind::Storage,
            "fewer bytes came than were asked for",
        ));
    }
    Ok(bytes)
}

/// Above this, digests are taken on a blocking thread.
const INLINE_HASH: usize = 64 << 10;

/// The SHA-256 of some bytes, without holding up the other tasks of this thread.
pub(super) async fn digest_of(bytes: Bytes) -> Result<[u8; 32]> {
    if bytes.len() <= INLINE_HASH {
        return Ok(sha256(&bytes));
    }
    super::blocking(move || Ok(sha256(&bytes))).await
}

async fn read_checked(
    source: &dyn Source,
    offset: u64,
    length: u64,
    digest: &[u8; 32],
) -> Result<Bytes> {
    let bytes = read(source, offset, length).await?;
    if digest_of(bytes.clone()).await? != *digest {
        return Err(damaged("its SHA-256 does not match"));
    }
    Ok(bytes)
}

async fn read_member(source: &dyn Source, member: &Member) -> Result<Bytes> {
    read_checked(source, member.offset, member.stored_bytes, &member.sha256)
        .await
        .context_with(|| &member.name)
}

/// Reads the end of the archive and checks that its parts fit together.
async fn read_trailer(source: &dyn Source) -> Result<Trailer> {
    let unfinished = || {
        damaged("unfinished or cut: it has no trailer at its end").with_hint(
            "only an archive whose dump ended well has one; dump again, or copy the file again",
        )
    };
    let length = source.len();
    if length < TAIL_BYTES || !length.is_multiple_of(BLOCK_BYTES) {
        return Err(unfinished());
    }
    let tail = read(source, length - TAIL_BYTES, TAIL_BYTES).await?;
    let content = tail
        .get(BLOCK..)
        .and_then(|rest| rest.first_chunk::<TRAILER_BYTES>())
        .ok_or_else(unfinished)?;
    if tail[BLOCK + TRAILER_BYTES..].iter().any(|byte| *byte != 0) {
        return Err(unfinished());
    }
    let header = match tar::next_header(&tail[..BLOCK]) {
        Ok(Parsed::Header(header, _)) if header.name == names::TRAILER => Some(header),
        _ => None,
    };
    // A damaged header before a good trailer, or the other way round, is damage; neither is good
    // in a file that was cut.
    let trailer = match (header.is_some(), Trailer::decode(content)) {
        (false, Err(error)) if error.hint().is_none() => return Err(unfinished()),
        (_, Err(error)) => return Err(error),
        (_, Ok(trailer)) => trailer,
    };
    let expected = tar::encode(names::TRAILER, TRAILER_BYTES as u64, trailer.created.0);
    if expected.is_ok_and(|expected| expected != tail[..BLOCK]) {
        return Err(damaged("damaged tar header of pgstow/trailer"));
    }
    check_tail(&trailer, length)?;
    Ok(trailer)
}

/// The index, SHA256SUMS and the trailer follow one another up to the archive's end.
fn check_tail(trailer: &Trailer, length: u64) -> Result<()> {
    let wrong = || damaged("damaged: its trailer does not fit its length");
    if trailer.archive_bytes != length {
        return Err(wrong());
    }
    let end_of = |offset: u64, bytes: u64| {
        let end = offset.checked_add(bytes)?;
        end.checked_add(tar::padding(bytes) as u64)
    };
    let sums_header = end_of(trailer.index_offset, trailer.index_stored_bytes);
    let trailer_header = end_of(trailer.sums_offset, trailer.sums_bytes);
    let fits = trailer.index_offset >= tar::header_bytes(trailer.index_stored_bytes)
        && sums_header.and_then(|at| at.checked_add(tar::header_bytes(trailer.sums_bytes)))
            == Some(trailer.sums_offset)
        && trailer_header == length.checked_sub(TAIL_BYTES);
    if fits { Ok(()) } else { Err(wrong()) }
}

/// An archive that could not be opened from its end: perhaps its beginning says why.
async fn better_reason(source: &dyn Source, error: Error) -> Error {
    if source.is_empty() {
        return damaged("not an archive: it is empty");
    }
    let length = source.len().min(BLOCK_BYTES);
    let head = match read(source, 0, length).await {
        Ok(head) => head,
        Err(error) => return error,
    };
    not_ours(&head).unwrap_or(error)
}

/// Whether the first bytes are of no archive of ours, and what they are then.
pub(super) fn not_ours(head: &[u8]) -> Option<Error> {
    let known: [(&[u8], &'static str, &'static str); 6] = [
        (b"PGDMP", "pg_dump's custom format", "pg_restore reads it"),
        (b"-- ", "an SQL script", "psql runs it"),
        (b"--\n", "an SQL script", "psql runs it"),
        (b"\x28\xb5\x2f\xfd", "zstd data", "unpack it first"),
        (b"\x1f\x8b", "gzip data", "unpack it first"),
        (b"age-encryption.org/", "an age file", "decrypt it first"),
    ];
    if let Some((_, what, hint)) = known.iter().find(|known| head.starts_with(known.0)) {
        return Some(damaged(&format!("not an archive of pgstow, but {what}")).with_hint(*hint));
    }
    // The first header is the same in every archive but for size, time and checksum.
    let name = names::README.as_bytes();
    let ours = head.len() < name.len() + 1 && name.starts_with(head)
        || head.starts_with(name) && head.get(name.len()) == Some(&0);
    if ours {
        return None;
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some(damaged("not an archive of pgstow, but another tar file"));
    }
    Some(damaged("not an archive of pgstow"))
}

async fn read_manifest(
    source: &dyn Source,
    ledger: &Ledger,
    trailer: &Trailer,
) -> Result<ManifestRecord> {
    let member = ledger
        .member(names::MANIFEST)
        .filter(|member| member.stored_bytes <= MANIFEST_MAX)
        .ok_or_else(|| damaged("it has no manifest"))?;
    let bytes = read_member(source, member).await?;
    let record = ManifestRecord::parse(&bytes).context_with(|| names::MANIFEST)?;
    let manifest = &record.manifest;
    let agree = manifest.archive_id == trailer.archive_id
        && manifest.created == trailer.created
        && manifest.format_version == trailer.format_version
        && manifest.min_reader_version == trailer.min_reader_version;
    if !agree {
        return Err(damaged("manifest and trailer are of different archives"));
    }
    check_sealed(&record, ledger)?;
    Ok(record)
}

/// What the manifest says about members agrees with the ledger.
pub(super) fn check_sealed(record: &ManifestRecord, ledger: &Ledger) -> Result<()> {
    for sealed in &record.members {
        let agrees = ledger.member(&sealed.name).is_some_and(|member| {
            member.stored_bytes == sealed.stored_bytes
                && member.raw_bytes == sealed.raw_bytes
                && member.sha256 == sealed.sha256.0
        });
        if !agrees {
            return Err(damaged("manifest and index do not agree").context(&sealed.name));
        }
    }
    Ok(())
}

/// The members that have a place have it, and none of format version 1 is missing or unknown.
pub(super) fn check_order(ledger: &Ledger, codec: Codec) -> Result<()> {
    let first = [
        names::README.to_owned(),
        names::MANIFEST.to_owned(),
        names::toc(codec),
    ];
    let begins = ledger.in_order().zip(&first).all(
        |(item, name)| matches!(item, super::ledger::Item::Member(member) if member.name == *name),
    );
    let whole = [
        names::pre_data(codec),
        names::load(codec),
        names::post_data(codec),
    ]
    .iter()
    .all(|name| ledger.member(name).is_some());
    if begins && whole && ledger.len() >= 3 {
        Ok(())
    } else {
        Err(damaged("a member is missing or not in its place"))
    }
}

fn check_totals(computed: &Trailer, trailer: &Trailer) -> Result<()> {
    let totals = |trailer: &Trailer| {
        (
            trailer.tables,
            trailer.frames,
            trailer.rows,
            trailer.raw_bytes,
            trailer.stored_bytes,
            trailer.codec,
        )
    };
    if totals(computed) == totals(trailer) {
        Ok(())
    } else {
        Err(damaged("index and trailer do not agree"))
    }
}

/// Reads the table of contents, of a declared raw size and number of entries; what the manifest has of
/// them goes into them.
pub(super) fn parse_toc(
    codec: Codec,
    stored: &[u8],
    raw_bytes: u64,
    count: u64,
    in_pieces: Vec<InPieces>,
) -> Result<Vec<Entry>> {
    let what = "damaged table of contents";
    let mut entries = parse_entries(codec, stored, raw_bytes, count).context_with(|| what)?;
    InPieces::give(in_pieces, &mut entries)?;
    check_references(&entries, count).context_with(|| what)?;
    Ok(entries)
}

/// Reads the globals, of a declared raw size.
pub(super) fn parse_globals(codec: Codec, stored: &[u8], raw_bytes: u64) -> Result<Vec<Entry>> {
    let what = "damaged globals";
    let entries = parse_entries(codec, stored, raw_bytes, 0).context_with(|| what)?;
    check_references(&entries, entries.len() as u64).context_with(|| what)?;
    if entries.iter().any(|entry| entry.data.is_some()) {
        return Err(damaged("an entry has data").context(what));
    }
    Ok(entries)
}

/// For so many entries room is made before they have shown up.
const COUNT_BELIEVED: u64 = 1 << 18;

/// Whoever adds the database itself to its entries is not to move them all.
const ROOM_FOR_DATABASE: u64 = 2;

/// Reads entries, about so many, one a line, numbered 1, 2, ….
fn parse_entries(codec: Codec, stored: &[u8], raw_bytes: u64, count: u64) -> Result<Vec<Entry>> {
    if raw_bytes > TOC_MAX {
        return Err(damaged("it is too large"));
    }
    let mut entries: Vec<Entry> = Vec::new();
    let room = count.min(COUNT_BELIEVED) + ROOM_FOR_DATABASE;
    entries.reserve_exact(usize::try_from(room).unwrap_or(0));
    for line in lines(codec, stored, raw_bytes, raw_bytes)? {
        let mut entry: Entry =
            serde_json::from_slice(&line?).map_err(|error| damaged(&error.to_string()))?;
        entry.tighten();
        entries.push(entry);
        if u64::from(entries.last().map_or(0, |entry| entry.id)) != entries.len() as u64 {
            return Err(damaged("its entries are not numbered 1, 2, …"));
        }
    }
    Ok(entries)
}

/// Entries need only such as are there, and there are as many as there should be.
fn check_references(entries: &[Entry], count: u64) -> Result<()> {
    for entry in entries {
        let known = |id: &EntryId| (1..=count).contains(&u64::from(*id)) && *id != entry.id;
        if entry.depends_on.iter().any(|id| !known(id))
            || entry
                .all_locks()
                .any(|lock| !(1..=count).contains(&u64::from(lock.on)))
        {
            return Err(damaged(&format!(
                "entry {} needs one that is not there",
                entry.id
            )));
        }
    }
    if entries.len() as u64 != count {
        return Err(damaged(&format!(
            "it has {} entries instead of {count}",
            entries.len()
        )));
    }
    Ok(())
}
