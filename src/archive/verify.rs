//! Checks every byte of an archive.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::io::AsyncRead;
use tokio::task::JoinSet;

use super::codec::Codec;
use super::digest::sha256;
use super::entry::{Entry, EntryId};
use super::ledger::{DataNames, Item, Ledger};
use super::names;
use super::pack::{self, InPack, Pack};
use super::reader::Archive;
use super::stream::{StreamItem, StreamReader};
use super::tar;
use crate::error::{Context, Error, Kind, Result};
use crate::report::{Event, Observer};
use crate::storage::Source;

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Members whose header and content agree with all that is known about them.
    pub members: u64,
    /// Entries with data.
    pub tables: u64,
    /// Frames.
    pub frames: u64,
    /// Rows, as the index says.
    pub rows: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// Most bytes that one task reads at once.
const PIECE: u64 = 8 << 20;

/// Most tasks at once.
const TASKS_MAX: usize = 8;

/// Checks every member of an archive against SHA256SUMS, index and trailer, and every header and
/// padding byte; several pieces at once, on blocking threads, in bounded memory.
///
/// # Errors
/// [`Kind::Archive`](crate::error::Kind::Archive), naming the member and its table, for the first
/// damage; [`Kind::Storage`](crate::error::Kind::Storage) when the archive cannot be read.
pub async fn verify(source: Arc<dyn Source>, observer: Arc<dyn Observer>) -> Result<VerifyReport> {
    let name = source.name();
    let archive = Archive::open(Arc::clone(&source)).await?;
    verify_open(&archive, source, observer)
        .await
        .context_with(|| format!("archive {name}"))
}

async fn verify_open(
    archive: &Archive,
    source: Arc<dyn Source>,
    observer: Arc<dyn Observer>,
) -> Result<VerifyReport> {
    let trailer = &archive.trailer;
    let mut ledger = Ledger::of(
        archive.members.clone(),
        archive
            .index()
            .tables()
            .flat_map(|table| table.frames.iter())
            .filter(|frame| frame.pack.is_none())
            .cloned()
            .collect(),
    );
    let index = names::index(archive.manifest().codec);
    ledger.append_known(
        index,
        trailer.index_offset,
        trailer.index_stored_bytes,
        trailer.index_sha256,
    );
    let sums = ledger.sums(&archive.names)?;
    if sha256(&sums) != trailer.sums_sha256 {
        return Err(Error::new(
            Kind::Archive,
            "SHA256SUMS does not agree with the index",
        ));
    }
    ledger.append_known(
        names::SUMS.to_owned(),
        trailer.sums_offset,
        trailer.sums_bytes,
        trailer.sums_sha256,
    );

    let mut progress = Progress::new(archive, observer.as_ref());
    let tasks = std::thread::available_parallelism()
        .map_or(2, usize::from)
        .clamp(1, TASKS_MAX);
    let mtime = archive.manifest().created.0;
    let mut running: JoinSet<Result<Vec<Check>>> = JoinSet::new();
    let packs = archive.index().packs().iter();
    let packs: BTreeMap<&str, &Pack> = packs
        .map(|pack| (pack.member.name.as_str(), pack))
        .collect();
    let mut pieces = Pieces {
        items: ledger.in_order().peekable(),
    };
    loop {
        while running.len() < tasks {
            let Some(piece) = pieces.next() else {
                break;
            };
            let checks = piece
                .into_iter()
                .map(|item| Check::new(&item, archive, &packs, mtime))
                .collect::<Result<Vec<_>>>()?;
            running.spawn(check(Arc::clone(&source), checks));
        }
        let Some(done) = running.join_next().await else {
            break;
        };
        let done = done.map_err(|error| {
            Error::new(Kind::Failed, "a checking task ended").with_source(error)
        })?;
        for done in done? {
            progress.done(&done);
        }
    }
    Ok(VerifyReport {
        // The trailer was checked when the archive was opened.
        members: ledger.len() + 1,
        tables: trailer.tables,
        frames: trailer.frames,
        rows: trailer.rows,
        bytes: trailer.archive_bytes,
    })
}

/// Members that follow one another, up to [`PIECE`] together or one larger one.
struct Pieces<'a, I: Iterator<Item = Item<'a>>> {
    items: std::iter::Peekable<I>,
}

impl<'a, I: Iterator<Item = Item<'a>>> Iterator for Pieces<'a, I> {
    type Item = Vec<Item<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.items.next()?;
        let start = first.offset();
        let mut piece = vec![first];
        while let Some(item) = self
            .items
            .next_if(|item| item.offset() + item.stored_bytes() - start <= PIECE)
        {
            piece.push(item);
        }
        Some(piece)
    }
}

/// One member to be checked.
struct Check {
    /// What messages call the member.
    place: String,
    /// Whose rows it holds, with how many rows and stored bytes.
    frames: Vec<(EntryId, u64, u64)>,
    /// What must be in it, if it is a pack.
    pack: Option<PackCheck>,
    /// Where its header begins.
    start: u64,
    header: Vec<u8>,
    stored_bytes: u64,
    sha256: [u8; 32],
}

impl Check {
    fn new(
        item: &Item<'_>,
        archive: &Archive,
        packs: &BTreeMap<&str, &Pack>,
        mtime: u64,
    ) -> Result<Self> {
        let mut pack = None;
        let (name, place, frames) = match item {
            Item::Member(member) => {
                let entry = match names::parse_data(&member.name) {
                    Some(names::DataMember::Complete { entry }) => Some(entry),
                    _ => None,
                };
                let place = entry.map_or_else(
                    || member.name.clone(),
                    |entry| format!("{}: {}", archive.names.describe(entry), member.name),
                );
                let mut frames = Vec::new();
                if let Some(of) = packs.get(member.name.as_str()) {
                    pack = Some(PackCheck {
                        codec: archive.manifest().codec,
                        raw_bytes: member.raw_bytes,
                        mtime,
                        names: Arc::clone(&archive.names),
                        entries: of.entries.clone(),
                    });
                    let of = of.entries.iter().filter_map(InPack::frame_index);
                    frames.extend(of.map(|frame| (frame.entry, frame.rows, frame.stored_bytes)));
                }
                (member.name.clone(), place, frames)
            }
            Item::Frame(frame) => {
                let name = archive.names.frame(frame)?;
                let place = format!("{}: {name}", archive.names.describe(frame.entry));
                let frames = vec![(frame.entry, frame.rows, frame.stored_bytes)];
                (name, place, frames)
            }
        };
        let header = tar::encode(&name, item.stored_bytes(), mtime)
            .map_err(|error| error.with_kind(Kind::Archive))?;
        Ok(Self {
            start: item.offset() - header.len() as u64,
            place,
            frames,
            pack,
            header,
            stored_bytes: item.stored_bytes(),
            sha256: *item.sha256(),
        })
    }

    fn end(&self) -> u64 {
        let content = self.start + self.header.len() as u64 + self.stored_bytes;
        content + tar::padding(self.stored_bytes) as u64
    }

    fn damaged(&self, what: &str) -> Error {
        Error::new(Kind::Archive, format!("{}: {what}", self.place))
    }

    /// Checks header, content and padding, all of which `bytes` holds.
    fn whole(&self, bytes: &[u8]) -> Result<()> {
        let (header, rest) = bytes.split_at(self.header.len());
        if header != self.header {
            return Err(self.damaged("damaged tar header"));
        }
        let padding = tar::padding(self.stored_bytes);
        let (content, padding) = rest.split_at(rest.len() - padding);
        if sha256(content) != self.sha256 {
            return Err(self.damaged("its SHA-256 does not match"));
        }
        if let Some(pack) = &self.pack {
            pack.check(content).context_with(|| &self.place)?;
        }
        self.zero(padding)
    }

    fn zero(&self, padding: &[u8]) -> Result<()> {
        if padding.iter().any(|byte| *byte != 0) {
            return Err(self.damaged("its padding is not zero"));
        }
        Ok(())
    }
}

/// What must be in a pack.
struct PackCheck {
    codec: Codec,
    raw_bytes: u64,
    mtime: u64,
    names: Arc<DataNames>,
    entries: Vec<InPack>,
}

impl PackCheck {
    /// Unpacks it, and compares what is in it with what the index says.
    fn check(&self, stored: &[u8]) -> Result<()> {
        let Some(first) = self.entries.first() else {
            return Err(Error::new(Kind::Archive, "nothing is in it"));
        };
        let raw = pack::unpack(self.codec, stored, Some(self.raw_bytes))?;
        if pack::read(&raw, first.pack, &self.names, self.mtime)? != self.entries {
            return Err(Error::new(
                Kind::Archive,
                "the index does not agree with what is in it",
            ));
        }
        Ok(())
    }
}

/// Checks members that follow one another.
async fn check(source: Arc<dyn Source>, checks: Vec<Check>) -> Result<Vec<Check>> {
    let (Some(first), Some(last)) = (checks.first(), checks.last()) else {
        return Ok(checks);
    };
    let (start, length) = (first.start, last.end() - first.start);
    if length > 2 * PIECE {
        for one in &checks {
            large(source.as_ref(), one).await?;
        }
        return Ok(checks);
    }
    // At most two pieces.
    let length = usize::try_from(length).map_err(|_| first.damaged("it is too large"))?;
    let bytes = source.read_at(start, length).await?;
    super::blocking(move || {
        let mut rest = bytes.as_ref();
        for one in &checks {
            let length = usize::try_from(one.end() - one.start).unwrap_or(usize::MAX);
            let (own, after) = rest
                .split_at_checked(length)
                .ok_or_else(|| Error::new(Kind::Storage, "fewer bytes came than were asked for"))?;
            one.whole(own)?;
            rest = after;
        }
        Ok(checks)
    })
    .await
}

/// Checks a member that is larger than a piece, a piece at a time.
async fn large(source: &dyn Source, one: &Check) -> Result<()> {
    let header = source.read_at(one.start, one.header.len()).await?;
    if header != one.header {
        return Err(one.damaged("damaged tar header"));
    }
    let mut hash = Sha256::new();
    let mut at = one.start + one.header.len() as u64;
    let content_end = at + one.stored_bytes;
    while at < content_end {
        // At most a piece.
        let length = usize::try_from(PIECE.min(content_end - at)).unwrap_or(0);
        let bytes = source.read_at(at, length).await?;
        hash = super::blocking(move || {
            hash.update(&bytes);
            Ok(hash)
        })
        .await?;
        at += length as u64;
    }
    if <[u8; 32]>::from(hash.finalize()) != one.sha256 {
        return Err(one.damaged("its SHA-256 does not match"));
    }
    let padding = source.read_at(at, tar::padding(one.stored_bytes)).await?;
    one.zero(&padding)
}

/// Tells the observer how far the check is.
struct Progress<'a> {
    observer: &'a dyn Observer,
    tables: BTreeMap<EntryId, Left>,
}

/// What is left to check of a table.
struct Left {
    name: String,
    frames: u64,
    rows: u64,
    bytes: u64,
}

fn name_of(entry: &Entry) -> String {
    entry.schema.as_ref().map_or_else(
        || entry.name.clone(),
        |schema| format!("{schema}.{}", entry.name),
    )
}

impl<'a> Progress<'a> {
    fn new(archive: &Archive, observer: &'a dyn Observer) -> Self {
        observer.event(&Event::Phase {
            name: "verify",
            steps: Some(archive.trailer.members),
        });
        observer.event(&Event::DataTotal {
            tables: archive.trailer.tables,
            bytes: archive.trailer.stored_bytes,
            rows: Some(archive.trailer.rows),
        });
        let tables = archive
            .entries()
            .iter()
            .filter_map(|entry| {
                let table = archive.table(entry.id)?;
                let left = Left {
                    name: name_of(entry),
                    frames: table.frames.len() as u64,
                    rows: table.rows,
                    bytes: table.stored_bytes,
                };
                Some((entry.id, left))
            })
            .collect();
        Self { observer, tables }
    }

    fn done(&mut self, check: &Check) {
        for &(entry, rows, bytes) in &check.frames {
            let Some(left) = self.tables.get_mut(&entry) else {
                continue;
            };
            left.frames -= 1;
            self.observer.event(&Event::TableProgress {
                table: left.name.clone(),
                rows,
                bytes,
            });
            if left.frames == 0 {
                self.observer.event(&Event::TableDone {
                    table: left.name.clone(),
                    rows: left.rows,
                    bytes: left.bytes,
                });
            }
        }
    }
}

/// The same for an archive that comes from a pipe.
///
/// # Errors
/// As [`verify`].
pub async fn verify_stream<R: AsyncRead + Unpin + Send>(
    reader: R,
    observer: Arc<dyn Observer>,
) -> Result<VerifyReport> {
    let mut stream = StreamReader::open(reader).await?;
    observer.event(&Event::Phase {
        name: "verify",
        steps: None,
    });
    let names: BTreeMap<EntryId, String> = stream
        .entries()
        .iter()
        .filter(|entry| entry.data.is_some())
        .map(|entry| (entry.id, name_of(entry)))
        .collect();
    let name = |entry: EntryId| names.get(&entry).cloned().unwrap_or_default();
    let mut report = VerifyReport::default();
    while let Some(item) = stream.next().await? {
        match item {
            StreamItem::Frame(frame) => observer.event(&Event::TableProgress {
                table: name(frame.entry),
                rows: 0,
                bytes: frame.stored.len() as u64,
            }),
            StreamItem::Complete(table) => observer.event(&Event::TableDone {
                table: name(table.entry),
                rows: table.rows,
                bytes: table.raw_bytes,
            }),
            StreamItem::End(index) => {
                for table in index.tables() {
                    report.tables += 1;
                    report.frames += table.frames.len() as u64;
                    report.rows += table.rows;
                }
            }
        }
    }
    report.members = stream.members();
    report.bytes = stream.position();
    Ok(report)
}
