//! From one COPY to frames on their way into the archive, and on from where a lost one ended.

use tokio::task::JoinSet;

use crate::archive::{CopyFormat, EntryId, Fingerprint, RawFrame};
use crate::error::{Error, Kind, Result};
use crate::report::{Event, Observer};

use super::chunk::Chunk;
use super::entries::TableTask;
use super::pipeline::{Buffer, ChunkDone, Parcel, Pipeline};
use super::rows::{FRAME_BYTES, Filled, RowStream};
use super::snapshot::{Locks, Snapshot, interrupted};
use super::stream::CopyStream;

/// A frame up to this size is sealed with others.
const SMALL_FRAME_BYTES: usize = 1 << 20;

/// Bytes that are sealed together, about.
const TOGETHER_BYTES: usize = FRAME_BYTES / 2;

/// How much of a chunk is in frames already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Framed {
    pub frames: u32,
    rows: Fingerprint,
}

/// Where frames go, and what is said of them.
pub(super) struct Way<'a> {
    pub snapshot: &'a Snapshot,
    pub pipeline: &'a Pipeline,
    pub observer: &'a dyn Observer,
    /// Frames that are being compressed.
    pub sealing: &'a mut JoinSet<Result<()>>,
}

/// Whose rows a COPY gives.
#[derive(Clone, Copy)]
pub(super) struct Copy<'a> {
    pub entry: EntryId,
    pub chunk: u32,
    /// How many chunks the entry has, if this one tells.
    pub of: Option<u32>,
    pub format: CopyFormat,
    /// What its columns are sent as; nothing for text.
    pub types: &'a [String],
    pub table: Option<&'a str>,
}

impl<'a> Copy<'a> {
    pub fn of_table(table: &'a TableTask, chunk: Chunk) -> Self {
        Self {
            entry: table.entry,
            chunk: chunk.number,
            of: chunk.is_last.then_some(chunk.number + 1),
            format: table.format(),
            types: &table.copy.types,
            table: Some(&table.label),
        }
    }

    /// Frames all rows, but for those that were framed before.
    pub async fn run(
        &self,
        stream: CopyStream<'_>,
        framed: &mut Framed,
        way: &mut Way<'_>,
    ) -> Result<()> {
        let stream = self.begin(stream, framed, way).await?;
        self.rest(stream, framed, way).await
    }

    async fn begin<'s>(
        &self,
        stream: CopyStream<'s>,
        framed: &Framed,
        way: &Way<'_>,
    ) -> Result<RowStream<'s>> {
        let mut stream = RowStream::new(stream, self.format, self.types, way.pipeline.row_use());
        if framed.frames > 0 && !stream.skip(&framed.rows).await? {
            let kind = match way.snapshot.locks {
                Locks::OfLeader => Kind::Failed,
                // Nobody had a lock in between.
                Locks::OfReaders => Kind::Stale,
            };
            return Err(Error::new(
                kind,
                "the rows that were read before the connection was lost did not come again",
            ));
        }
        Ok(stream)
    }

    async fn rest(
        &self,
        mut stream: RowStream<'_>,
        framed: &mut Framed,
        way: &mut Way<'_>,
    ) -> Result<()> {
        loop {
            let mut buffer = way.buffer().await?;
            let filled = match stream.fill(&mut buffer.bytes).await {
                Ok(Filled { rows: 0, .. }) => {
                    way.pipeline.give_back(buffer);
                    break;
                }
                Ok(filled) => filled,
                Err(error) => {
                    way.pipeline.give_back(buffer);
                    return Err(error);
                }
            };
            buffer.cover(stream.take_large());
            self.say(filled, way);
            let number = framed.add(&stream)?;
            let pipeline = way.pipeline.clone();
            let sealing = pipeline.seal(self.entry, self.chunk, number, filled, buffer);
            way.sealing.spawn_on(sealing, way.pipeline.runtime());
        }
        let done = self.done(framed.frames, stream.finish()?);
        way.pipeline.chunk_done(done).await
    }

    fn done(&self, frames: u32, fingerprint: Fingerprint) -> ChunkDone {
        ChunkDone {
            entry: self.entry,
            frames: u64::from(frames),
            fingerprint,
            of: self.of,
        }
    }

    fn say(&self, filled: Filled, way: &Way<'_>) {
        if let Some(table) = self.table {
            way.observer.event(&Event::TableProgress {
                table: table.to_owned(),
                rows: filled.rows,
                bytes: filled.bytes as u64,
            });
        }
    }
}

impl Framed {
    /// Counts a frame that ends where the stream is; its number.
    fn add(&mut self, stream: &RowStream<'_>) -> Result<u32> {
        let number = self.frames;
        self.frames = number.checked_add(1).ok_or_else(|| {
            Error::new(Kind::Failed, "more chunks or frames than an archive counts")
        })?;
        self.rows = stream.so_far();
        Ok(number)
    }
}

impl Way<'_> {
    /// A buffer, once there is memory for it, unless the dump is stopped before.
    async fn buffer(&self) -> Result<Buffer> {
        let stopped = self.snapshot.stop.cancelled();
        tokio::select! {
            biased;
            () = stopped => Err(interrupted()),
            buffer = self.pipeline.buffer() => buffer,
        }
    }
}

/// Small tables, gathered until they are worth sealing.
pub(super) struct Gathered {
    parcels: Vec<Parcel>,
    bytes: usize,
    /// What they are read into; only while there is none does nobody wait for memory.
    buffer: Option<Buffer>,
}

impl Gathered {
    pub fn new() -> Self {
        Self {
            parcels: Vec::new(),
            bytes: 0,
            buffer: None,
        }
    }

    /// As [`Copy::run`], for a table that is probably small.
    pub async fn run(
        &mut self,
        copy: Copy<'_>,
        stream: CopyStream<'_>,
        framed: &mut Framed,
        way: &mut Way<'_>,
    ) -> Result<()> {
        let mut stream = copy.begin(stream, framed, way).await?;
        let mut buffer = match self.buffer.take() {
            Some(buffer) => buffer,
            None => way.buffer().await?,
        };
        let filled = stream.fill(&mut buffer.bytes).await;
        let is_large = buffer.bytes.len() > SMALL_FRAME_BYTES;
        let raw = match &filled {
            Ok(Filled { rows: 0, .. }) | Err(_) => None,
            Ok(_) if is_large => Some(std::mem::take(&mut buffer.bytes)),
            Ok(_) => Some(buffer.bytes.clone()),
        };
        self.buffer = Some(buffer);
        let filled = filled?;
        let frame = match raw {
            Some(raw) => {
                copy.say(filled, way);
                let frame = RawFrame {
                    entry: copy.entry,
                    chunk: copy.chunk,
                    frame: framed.add(&stream)?,
                    rows: filled.rows,
                    raw,
                };
                Some((frame, filled.bytes))
            }
            None => None,
        };
        let is_done = stream.is_done();
        let done = is_done.then(|| copy.done(framed.frames, stream.so_far()));
        let large = stream.take_large();
        self.parcels.push(Parcel { frame, large, done });
        self.bytes += filled.bytes;
        if self.bytes >= TOGETHER_BYTES || !is_done {
            self.seal(way);
        }
        if !is_done {
            copy.rest(stream, framed, way).await?;
        }
        Ok(())
    }

    /// Sends off what has been gathered. What was read before a failure is good.
    pub fn seal(&mut self, way: &mut Way<'_>) {
        self.bytes = 0;
        let parcels = std::mem::take(&mut self.parcels);
        match self.buffer.take() {
            Some(buffer) if parcels.is_empty() => way.pipeline.give_back(buffer),
            Some(buffer) => {
                let pipeline = way.pipeline.clone();
                let sealing = pipeline.seal_together(parcels, buffer);
                way.sealing.spawn_on(sealing, way.pipeline.runtime());
            }
            None => {}
        }
    }
}
