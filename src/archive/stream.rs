//! Reads an archive from a pipe, front to back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};

use super::codec::declared_raw;
use super::digest::hex;
use super::entry::{Entry, EntryId, rows_first};
use super::fingerprint::Fingerprint;
use super::frame::{FRAME_MAX, StoredFrame};
use super::index::{self, Complete, FrameIndex, Index, Totals};
use super::ledger::{DataNames, Ledger};
use super::manifest::{Manifest, ManifestRecord};
use super::names::{self, DataMember};
use super::pack::{self, InPack};
use super::reader::{self, MANIFEST_MAX, digest_of};
use super::tar::{self, BLOCK, END_BYTES, Header, Parsed};
use super::trailer::{TRAILER_BYTES, Trailer};
use crate::error::{Context, Error, Kind, Result};

/// What comes next out of a pipe.
#[derive(Clone, Debug)]
pub enum StreamItem {
    /// A frame; its bytes agree with the digest in its name.
    Frame(StoredFrame),
    /// All frames of an entry have been given, and agree with what its `complete.json` says.
    Complete(TableEnd),
    /// The end: trailer seen, every digest checked.
    End(Index),
}

/// What an entry's `complete.json` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEnd {
    /// The entry.
    pub entry: EntryId,
    /// Number of frames.
    pub frames: u64,
    /// Rows in all.
    pub rows: u64,
    /// Raw bytes in all.
    pub raw_bytes: u64,
    /// SHA-256 over the digests of the frames in (chunk, frame) order.
    pub sha256: [u8; 32],
    /// Fingerprint of the rows.
    pub fingerprint: Fingerprint,
}

/// Reads an archive from a pipe.
pub struct StreamReader<R> {
    record: ManifestRecord,
    entries: Vec<Entry>,
    globals: Option<Vec<Entry>>,
    names: Arc<DataNames>,
    input: Input<R>,
    ledger: Ledger,
    /// Positions in the ledger of the frames of each entry that is not complete.
    open: BTreeMap<EntryId, Vec<usize>>,
    rows_first: BTreeMap<EntryId, BTreeSet<EntryId>>,
    /// Entries whose frames come last.
    statistics: BTreeSet<EntryId>,
    /// What was in the packs so far.
    packs: Vec<Vec<InPack>>,
    /// What was in the last one and is still to be given, in its order, with the pack's raw bytes.
    unpacked: VecDeque<InPack>,
    raw: Bytes,
    /// The end of the entry whose frame was just given.
    completed: Option<TableEnd>,
    ended: bool,
}

/// Room that is set aside before content has shown up.
const READ_AHEAD: usize = 1 << 20;

impl<R: AsyncRead + Unpin + Send> StreamReader<R> {
    /// Reads up to and with the table of contents.
    ///
    /// # Errors
    /// [`Kind::Archive`](crate::error::Kind::Archive) when what comes is not an archive, is cut,
    /// damaged or newer than known; [`Kind::Storage`](crate::error::Kind::Storage) when reading
    /// fails.
    pub async fn open(reader: R) -> Result<Self> {
        Self::open_unnamed(reader)
            .await
            .context_with(|| "archive from a pipe")
    }

    async fn open_unnamed(reader: R) -> Result<Self> {
        let mut input = Input {
            reader: BufReader::with_capacity(256 << 10, reader),
            position: 0,
            mtime: None,
        };
        let mut ledger = Ledger::new();
        let mut small = async |name: &str, most: u64| -> Result<Bytes> {
            let header = match name {
                names::README => input.first_header().await?,
                _ => input.header().await?,
            };
            if header.name != name {
                return Err(damaged(format!("{name} is missing")));
            }
            if header.size > most {
                return Err(damaged(format!("{name} is too large")));
            }
            let content = input.content_of(&header).await?;
            let digest = digest_of(content.clone()).await?;
            ledger.push_member(header.name, header.size, header.size, digest)?;
            Ok(content)
        };
        small(names::README, MANIFEST_MAX).await?;
        let manifest = small(names::MANIFEST, MANIFEST_MAX).await?;
        let record = ManifestRecord::parse(&manifest).context_with(|| names::MANIFEST)?;
        let codec = record.manifest.codec;
        let name = names::toc(codec);
        let sealed = record
            .member(&name)
            .ok_or_else(|| damaged("the manifest does not know the table of contents"))?
            .clone();
        let stored = small(&name, sealed.stored_bytes).await?;
        if digest_of(stored.clone()).await? != sealed.sha256.0 {
            return Err(damaged(format!("{name}: its SHA-256 does not match")));
        }
        let (count, pieces) = (record.entries, record.manifest.in_pieces.clone());
        let entries = super::blocking(move || {
            reader::parse_toc(codec, &stored, sealed.raw_bytes, count, pieces)
        })
        .await?;
        let globals = match record.member(&names::globals(codec)).cloned() {
            Some(sealed) => {
                let stored = small(&sealed.name, sealed.stored_bytes).await?;
                if digest_of(stored.clone()).await? != sealed.sha256.0 {
                    return Err(damaged(format!(
                        "{}: its SHA-256 does not match",
                        sealed.name
                    )));
                }
                let raw_bytes = sealed.raw_bytes;
                let parsed =
                    super::blocking(move || reader::parse_globals(codec, &stored, raw_bytes));
                Some(parsed.await?)
            }
            None => None,
        };
        if input.mtime != Some(record.manifest.created.0) {
            return Err(damaged("its members are of another time than its manifest"));
        }
        let open = entries
            .iter()
            .filter(|entry| entry.data.is_some())
            .map(|entry| (entry.id, Vec::new()))
            .collect();
        Ok(Self {
            names: Arc::new(DataNames::new(&entries, codec)),
            record,
            rows_first: rows_first(&entries),
            statistics: entries
                .iter()
                .filter(|entry| entry.has_statistics())
                .map(|entry| entry.id)
                .collect(),
            entries,
            globals,
            input,
            ledger,
            open,
            packs: Vec::new(),
            unpacked: VecDeque::new(),
            raw: Bytes::new(),
            completed: None,
            ended: false,
        })
    }

    /// What the archive is and where it came from.
    pub fn manifest(&self) -> &Manifest {
        &self.record.manifest
    }

    /// The table of contents, in an order that is a correct serial restore order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Gives the table of contents away; [`entries`](StreamReader::entries) are from then on those with data, and of
    /// them only what their frames need. Whoever changes entries need not have them twice.
    pub fn take_entries(&mut self) -> Vec<Entry> {
        let with_data = self.entries.iter().filter(|entry| entry.data.is_some());
        let of_frames = with_data.map(Entry::of_frames).collect();
        std::mem::replace(&mut self.entries, of_frames)
    }

    /// Roles, tablespaces and the like, in an order that is a correct serial restore order; none
    /// when the archive has only its database.
    pub fn globals(&self) -> Option<&[Entry]> {
        self.globals.as_deref()
    }

    /// Bytes of the archive that were read.
    pub fn position(&self) -> u64 {
        self.input.position
    }

    /// Number of members that were read.
    pub(super) fn members(&self) -> u64 {
        self.ledger.len()
    }

    /// The next item; `None` after [`StreamItem::End`] or an error.
    ///
    /// Not cancel safe: when the future is dropped before its end, the reader can only be dropped.
    ///
    /// # Errors
    /// As [`StreamReader::open`].
    pub async fn next(&mut self) -> Result<Option<StreamItem>> {
        if self.ended {
            return Ok(None);
        }
        // Until this call has ended well.
        self.ended = true;
        let item = self.item().await.context_with(|| "archive from a pipe")?;
        self.ended = matches!(item, StreamItem::End(_));
        Ok(Some(item))
    }

    async fn item(&mut self) -> Result<StreamItem> {
        let index = names::index(self.record.manifest.codec);
        loop {
            if let Some(item) = self.packed()? {
                return Ok(item);
            }
            let header = self.input.header().await?;
            if self.record.manifest.has_packs() && names::is_pack(&header.name) {
                let unpacked = self.pack(&header).await;
                unpacked.context_with(|| &header.name)?;
                continue;
            }
            match names::parse_data(&header.name) {
                Some(DataMember::Frame {
                    entry,
                    chunk,
                    frame,
                    digest,
                }) => {
                    let digest = digest.to_owned();
                    return self
                        .frame(&header, (entry, chunk, frame), &digest)
                        .await
                        .context_with(|| self.place(entry, &header));
                }
                Some(DataMember::Complete { entry }) => {
                    return self
                        .complete(&header, entry)
                        .await
                        .context_with(|| self.place(entry, &header));
                }
                None if header.name == index => return self.end(header).await,
                None => self.other(header).await?,
            }
        }
    }

    fn place(&self, entry: EntryId, header: &Header) -> String {
        format!("{}: {}", self.names.describe(entry), header.name)
    }

    async fn frame(
        &mut self,
        header: &Header,
        (entry, chunk, number): (EntryId, u32, u32),
        digest: &str,
    ) -> Result<StreamItem> {
        let codec = self.record.manifest.codec;
        if header.size > FRAME_MAX {
            return Err(damaged("a frame is larger than 4 GiB"));
        }
        let stored = self.input.content(header).await?;
        let sha256 = digest_of(stored.clone()).await?;
        if hex(&sha256[..8]) != digest {
            return Err(damaged("its SHA-256 does not match its name"));
        }
        let raw_bytes =
            declared_raw(codec, &stored).ok_or_else(|| damaged("it does not declare its size"))?;
        let frame = FrameIndex {
            entry,
            chunk,
            frame: number,
            pack: None,
            offset: 0,
            stored_bytes: header.size,
            raw_bytes,
            rows: 0,
            sha256,
        };
        if self.names.frame(&frame)? != header.name {
            return Err(damaged("its name is not that of a frame of this entry"));
        }
        self.check_before(entry)?;
        let open = self
            .open
            .get_mut(&entry)
            .ok_or_else(|| damaged("a frame after the entry's end"))?;
        open.push(self.ledger.frames().len());
        self.ledger.push_frame(frame)?;
        Ok(StreamItem::Frame(StoredFrame {
            entry,
            chunk,
            frame: number,
            rows: None,
            raw_bytes,
            stored,
            codec,
            sha256,
        }))
    }

    /// What an entry's rows need has come, and before statistics all rows.
    fn check_before(&self, entry: EntryId) -> Result<()> {
        let mut before = self.rows_first.get(&entry).into_iter().flatten();
        let needed = before.find(|id| self.open.contains_key(id));
        let rows = || self.open.keys().find(|id| !self.statistics.contains(id));
        let is_last = self.statistics.contains(&entry);
        match needed.or_else(|| is_last.then(rows).flatten()) {
            None => Ok(()),
            Some(open) => {
                let what = self.names.describe(*open);
                Err(damaged(format!("it comes before the end of {what}")))
            }
        }
    }

    /// Reads, checks and unpacks a pack.
    async fn pack(&mut self, header: &Header) -> Result<()> {
        pack::check_sizes(header.size, 0)?;
        let stored = self.input.content(header).await?;
        let sha256 = digest_of(stored.clone()).await?;
        let (codec, mtime) = (self.record.manifest.codec, self.record.manifest.created.0);
        let before = self.packs.len();
        pack::check_name(&header.name, &sha256, before, codec)?;
        // Checked just before.
        let number = u32::try_from(before).unwrap_or(u32::MAX);
        let names = Arc::clone(&self.names);
        let (raw, entries) = super::blocking(move || {
            let raw = pack::unpack(codec, &stored, None)?;
            let entries = pack::read(&raw, number, &names, mtime)?;
            Ok((raw, entries))
        })
        .await?;
        let raw_bytes = raw.len() as u64;
        self.ledger
            .push_member(header.name.clone(), header.size, raw_bytes, sha256)?;
        self.unpacked.extend(entries.iter().cloned());
        self.packs.push(entries);
        self.raw = raw;
        Ok(())
    }

    /// The next item out of the last pack.
    fn packed(&mut self) -> Result<Option<StreamItem>> {
        if let Some(end) = self.completed.take() {
            return Ok(Some(StreamItem::Complete(end)));
        }
        let Some(next) = self.unpacked.pop_front() else {
            self.raw = Bytes::new();
            return Ok(None);
        };
        let place = || format!("{}: in pack {}", self.names.describe(next.entry), next.pack);
        if next.frame.is_some() {
            self.check_before(next.entry).context_with(place)?;
        }
        let frames = self.open.remove(&next.entry);
        match frames {
            Some(frames) if frames.is_empty() => {}
            Some(_) => return Err(damaged("it has frames outside of its pack").context(place())),
            None => return Err(damaged("it is there twice").context(place())),
        }
        let totals = next.totals();
        let end = TableEnd {
            entry: next.entry,
            frames: totals.frames,
            rows: totals.rows,
            raw_bytes: totals.raw_bytes,
            sha256: totals.sha256.0,
            fingerprint: next.fingerprint,
        };
        match next.stored_frame(&self.raw)? {
            Some(frame) => {
                self.completed = Some(end);
                Ok(Some(StreamItem::Frame(frame)))
            }
            None => Ok(Some(StreamItem::Complete(end))),
        }
    }

    async fn complete(&mut self, header: &Header, entry: EntryId) -> Result<StreamItem> {
        if self.names.complete(entry)? != header.name || header.size > 64 << 10 {
            return Err(damaged("it does not belong to this entry"));
        }
        let content = self.input.content(header).await?;
        let complete: Complete = serde_json::from_slice(&content)
            .map_err(|error| damaged(format!("damaged: {error}")))?;
        let mut positions = self
            .open
            .remove(&entry)
            .ok_or_else(|| damaged("it is there twice"))?;
        let frames = self.ledger.frames();
        positions.sort_unstable_by_key(|at| (frames[*at].chunk, frames[*at].frame));
        let mut totals = Totals::of(positions.iter().map(|at| &frames[*at]))?;
        // Rows are not known of frames that came from a pipe.
        totals.rows = complete.totals.rows;
        if complete.entry != entry
            || complete.totals != totals
            || complete.fingerprint.rows() != totals.rows
        {
            return Err(damaged("it does not agree with the frames that came"));
        }
        let digest = digest_of(content).await?;
        self.ledger
            .push_member(header.name.clone(), header.size, header.size, digest)?;
        Ok(StreamItem::Complete(TableEnd {
            entry,
            frames: totals.frames,
            rows: totals.rows,
            raw_bytes: totals.raw_bytes,
            sha256: totals.sha256.0,
            fingerprint: complete.fingerprint,
        }))
    }

    /// A member whose content is of no use here: it is only checked.
    async fn other(&mut self, header: Header) -> Result<()> {
        let skipped = self.input.skip(&header).await;
        let digest = skipped.context_with(|| &header.name)?;
        if let Some(sealed) = self.record.member(&header.name)
            && (sealed.sha256.0 != digest || sealed.stored_bytes != header.size)
        {
            return Err(damaged(format!(
                "{}: its SHA-256 does not match",
                header.name
            )));
        }
        // Its raw size is the index's to say.
        self.ledger
            .push_member(header.name, header.size, 0, digest)?;
        Ok(())
    }

    /// The index and what follows it.
    async fn end(&mut self, header: Header) -> Result<StreamItem> {
        let codec = self.record.manifest.codec;
        let stored = self.input.content_of(&header).await?;
        let raw_bytes = declared_raw(codec, &stored)
            .ok_or_else(|| damaged("the index does not declare its size"))?;
        let before = self.ledger.position();
        let digest = digest_of(stored.clone()).await?;
        let parsed = super::blocking(move || index::parse(codec, &stored, raw_bytes, before));
        let (mut listed, lines) = parsed.await?;
        agree(&self.ledger, &listed)?;
        reader::check_sealed(&self.record, &listed)?;
        reader::check_order(&listed, codec)?;

        let mut trailer = Trailer::new(&self.record.manifest, &lines);
        trailer.index_stored_bytes = header.size;
        trailer.index_raw_bytes = raw_bytes;
        trailer.index_sha256 = digest;
        trailer.index_offset =
            self.ledger
                .push_member(header.name, header.size, raw_bytes, digest)?;
        trailer.members = self.ledger.len();
        let index = Index::assemble(&self.entries, &mut listed, lines, &self.record.manifest)?;
        let listed = index.packs().iter().map(|pack| &pack.entries);
        if !listed.eq(self.packs.iter()) {
            return Err(damaged("the index does not agree with the packs that came"));
        }

        let expected = self.ledger.sums(&self.names)?;
        let header = self.input.header().await?;
        if header.name != names::SUMS || header.size != expected.len() as u64 {
            return Err(damaged("SHA256SUMS is missing or of another size"));
        }
        if self.input.content_of(&header).await? != expected {
            return Err(damaged("SHA256SUMS does not agree with the members"));
        }
        trailer.sums_bytes = header.size;
        trailer.sums_sha256 = digest_of(expected.into()).await?;
        trailer.sums_offset =
            self.ledger
                .push_member(header.name, header.size, header.size, trailer.sums_sha256)?;

        let header = self.input.header().await?;
        if header.name != names::TRAILER || header.size != TRAILER_BYTES as u64 {
            return Err(damaged("its trailer is missing"));
        }
        let content = self.input.content_of(&header).await?;
        let found = content
            .first_chunk::<TRAILER_BYTES>()
            .ok_or_else(|| damaged("damaged trailer"))
            .and_then(Trailer::decode)?;
        self.ledger
            .push_member(header.name, header.size, header.size, [0; 32])?;
        trailer.archive_bytes = self.ledger.position() + END_BYTES;
        if found != trailer {
            return Err(damaged("the trailer does not agree with the archive"));
        }
        self.input.finish().await?;
        Ok(StreamItem::End(index))
    }
}

/// What was read is what the index lists, as far as a reader of a pipe can know.
fn agree(seen: &Ledger, listed: &Ledger) -> Result<()> {
    let members = seen
        .members()
        .iter()
        .zip(listed.members())
        .all(|(seen, listed)| {
            seen.name == listed.name
                && seen.offset == listed.offset
                && seen.stored_bytes == listed.stored_bytes
                && seen.sha256 == listed.sha256
        });
    let frames = seen
        .frames()
        .iter()
        .zip(listed.frames())
        .all(|(seen, listed)| {
            let known = FrameIndex {
                rows: seen.rows,
                ..listed.clone()
            };
            *seen == known
        });
    let counts = seen.members().len() == listed.members().len()
        && seen.frames().len() == listed.frames().len();
    if members && frames && counts {
        Ok(())
    } else {
        Err(damaged(
            "the index does not agree with the members that came",
        ))
    }
}

fn damaged(what: impl Into<String>) -> Error {
    Error::new(Kind::Archive, what)
}

/// Tar members from a pipe.
struct Input<R> {
    reader: BufReader<R>,
    position: u64,
    /// The time that every header has.
    mtime: Option<u64>,
}

impl<R: AsyncRead + Unpin> Input<R> {
    /// The next member's header.
    async fn header(&mut self) -> Result<Header> {
        let mut bytes = vec![0; BLOCK];
        self.exactly(
            &mut bytes,
            "unfinished or cut: it has no trailer at its end",
        )
        .await?;
        self.header_from(bytes).await
    }

    async fn header_from(&mut self, mut bytes: Vec<u8>) -> Result<Header> {
        loop {
            let at = self.position - bytes.len() as u64;
            let parsed =
                tar::next_header(&bytes).map_err(|error| error.context(format!("at byte {at}")))?;
            match parsed {
                Parsed::Header(header, _) => {
                    if *self.mtime.get_or_insert(header.mtime) != header.mtime {
                        return Err(damaged(format!("{}: damaged tar header", header.name)));
                    }
                    return Ok(header);
                }
                Parsed::Needs(length) => {
                    let had = bytes.len();
                    bytes.resize(length, 0);
                    self.exactly(&mut bytes[had..], "cut in a tar header")
                        .await?;
                }
                Parsed::Zero => {
                    return Err(damaged("unfinished: it ends without a trailer"));
                }
            }
        }
    }

    /// The first header, or a better word about what comes instead of an archive.
    async fn first_header(&mut self) -> Result<Header> {
        let mut bytes = Vec::with_capacity(BLOCK);
        while bytes.len() < BLOCK {
            let left = (BLOCK - bytes.len()) as u64;
            let read = (&mut self.reader).take(left).read_buf(&mut bytes).await;
            if read.map_err(failed)? == 0 {
                break;
            }
        }
        self.position += bytes.len() as u64;
        if bytes.is_empty() {
            return Err(damaged("not an archive: it is empty"));
        }
        if let Some(error) = reader::not_ours(&bytes) {
            return Err(error);
        }
        if bytes.len() < BLOCK {
            return Err(damaged("cut in its first tar header"));
        }
        self.header_from(bytes).await
    }

    /// As [`Input::content`], for who does not say by itself which member an error is about.
    async fn content_of(&mut self, header: &Header) -> Result<Bytes> {
        let content = self.content(header).await;
        content.context_with(|| &header.name)
    }

    /// A member's content, and its padding checked.
    async fn content(&mut self, header: &Header) -> Result<Bytes> {
        let size = usize::try_from(header.size).map_err(|_| damaged("it is too large"))?;
        // What is claimed is believed a piece at a time.
        let mut content = BytesMut::with_capacity(size.min(READ_AHEAD));
        while content.len() < size {
            if content.capacity() == content.len() {
                content.reserve(content.len().min(size - content.len()));
            }
            let left = (size - content.len()) as u64;
            let read = (&mut self.reader).take(left).read_buf(&mut content).await;
            if read.map_err(failed)? == 0 {
                return Err(damaged("it is cut"));
            }
        }
        self.position += header.size;
        self.padding(header).await?;
        Ok(content.freeze())
    }

    /// Reads past a member's content; returns its SHA-256.
    async fn skip(&mut self, header: &Header) -> Result<[u8; 32]> {
        let mut hash = Sha256::new();
        let mut left = header.size;
        let mut piece = BytesMut::new();
        while left > 0 {
            piece.clear();
            piece.reserve(READ_AHEAD);
            let most = left.min(READ_AHEAD as u64);
            let read = (&mut self.reader).take(most).read_buf(&mut piece).await;
            match read.map_err(failed)? {
                0 => return Err(damaged("it is cut")),
                read => left -= read as u64,
            }
            hash.update(&piece);
        }
        self.position += header.size;
        self.padding(header).await?;
        Ok(hash.finalize().into())
    }

    async fn padding(&mut self, header: &Header) -> Result<()> {
        let mut padding = vec![0; tar::padding(header.size)];
        self.exactly(&mut padding, "it is cut after its content")
            .await?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(damaged("its padding is not zero"));
        }
        Ok(())
    }

    /// Two zero blocks, and nothing more.
    async fn finish(&mut self) -> Result<()> {
        let mut end = [0; 2 * BLOCK];
        self.exactly(&mut end, "cut after its trailer").await?;
        let more = self.reader.read(&mut [0]).await.map_err(failed)?;
        if more != 0 || end.iter().any(|byte| *byte != 0) {
            return Err(damaged("something follows its trailer"));
        }
        Ok(())
    }

    async fn exactly(&mut self, bytes: &mut [u8], cut: &str) -> Result<()> {
        match self.reader.read_exact(bytes).await {
            Ok(_) => {
                self.position += bytes.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(damaged(cut)),
            Err(error) => Err(failed(error)),
        }
    }
}

fn failed(error: std::io::Error) -> Error {
    // What decrypts the pipe knows better what is wrong with it.
    let error = match error.downcast::<Error>() {
        Ok(own) => return own,
        Err(error) => error,
    };
    Error::new(Kind::Storage, format!("read: {error}")).with_source(error)
}
