//! Frames on their way from the workers to their outlet. For an archive they are sealed (compressed
//! and hashed) on a pool as large as the machine, and appended by one writer.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};

use crate::archive::{Codec, Encoder, EntryId, FRAME_IN_PACK_MAX, Fingerprint, RawFrame};
use crate::error::{Error, Kind, Result};
use crate::relay::Buffers;
use crate::report::{Event, Observer};
use crate::task::{ByteBudget, Permit, cores};

use super::adaptive::AdaptiveLevel;
use super::options::Compression;
use super::outlet::{Frame, Outlet};
use super::rows::{FRAME_BYTES, FRAME_SLACK, Filled, RowUse};

/// What reaches the writer.
enum Delivery {
    Frame { frame: Frame, permit: Permit },
    ChunkDone(ChunkDone),
    Parcels(Vec<Sealed>),
    Refused { entry: EntryId, error: Error },
}

/// A parcel that has been sealed, with its share of memory.
type Sealed = (Option<(Frame, Permit)>, Option<ChunkDone>);

/// A chunk has been read to its end.
pub(super) struct ChunkDone {
    pub entry: EntryId,
    pub frames: u64,
    /// Of its rows.
    pub fingerprint: Fingerprint,
    /// How many chunks the entry has in all, where that is known; at least one of them must say.
    pub of: Option<u32>,
}

/// One of several small things that are sealed and handed over together.
pub(super) struct Parcel {
    /// With the bytes that it has, or would have.
    pub frame: Option<(RawFrame, usize)>,
    /// What its large rows have taken.
    pub large: Option<Permit>,
    /// Said after the frame is in the archive.
    pub done: Option<ChunkDone>,
}

/// How a frame goes to the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Compressed,
    /// As it is, to be put into a pack.
    Bare,
}

/// Whether a frame is all that its entry has, and small enough.
fn is_for_a_pack(frame: &RawFrame, done: Option<&ChunkDone>) -> bool {
    let is_all = done.is_some_and(|done| done.frames == 1 && done.of == Some(1));
    is_all && frame.chunk == 0 && frame.raw.len() as u64 <= FRAME_IN_PACK_MAX
}

/// What is done with a frame before it goes on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sealing {
    /// It is compressed and hashed; with packs, the only frame of a small table is only hashed.
    Packed { codec: Codec, packs: bool },
    /// Nothing.
    AsItIs,
    /// Rows are only counted and fingerprinted: it has none.
    Dropped,
}

/// Shared by all workers: buffers, encoders, and the way to the writer.
#[derive(Clone)]
pub(super) struct Pipeline {
    sealing: Sealing,
    budget: ByteBudget,
    large_rows: ByteBudget,
    slots: Arc<Semaphore>,
    encoders: Arc<Mutex<Vec<Encoder>>>,
    /// Where the level is not fixed.
    adaptive: Option<Arc<AdaptiveLevel>>,
    buffers: Buffers,
    rooms: Rooms,
    deliveries: mpsc::Sender<Delivery>,
    /// Where frames are sealed, whichever thread they come from.
    runtime: Handle,
}

/// What full frames are compressed into. A room goes to the writer with its frame and comes back when that is
/// written: memory that is made anew for each costs more, in page faults, than the copying into it.
#[derive(Clone, Debug)]
struct Rooms {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
    /// As many are kept at most.
    most: usize,
}

impl Rooms {
    fn new(most: usize) -> Self {
        Self {
            free: Arc::default(),
            most,
        }
    }

    fn take(&self) -> Vec<u8> {
        lock(&self.free).pop().unwrap_or_default()
    }

    /// Takes back the room of a frame that is written, if nobody else has it.
    fn give_back(&self, stored: Bytes) {
        if let Ok(room) = stored.try_into_mut() {
            let room = Vec::from(room);
            // Neither that of a small frame nor that of a giant row.
            let fits = FRAME_BYTES..=FRAME_BYTES + 2 * FRAME_SLACK;
            let mut free = lock(&self.free);
            if fits.contains(&room.capacity()) && free.len() < self.most {
                free.push(room);
            }
        }
    }
}

/// The writer's end.
pub(super) struct Receiver {
    deliveries: mpsc::Receiver<Delivery>,
    rooms: Rooms,
    adaptive: Option<Arc<AdaptiveLevel>>,
}

/// What the writer must have seen before an entry is complete.
pub(super) struct Expected {
    /// For messages; none for what is no table.
    pub table: Option<String>,
}

/// All data went to its outlet, which is not finished yet.
pub(super) struct Written {
    pub outlet: Outlet,
    /// Rows of tables; pieces of large objects are none.
    pub table_rows: u64,
    /// Bytes of COPY data.
    pub raw_bytes: u64,
    /// What was read, by entry.
    pub fingerprints: BTreeMap<EntryId, Fingerprint>,
    /// What could not be read, and was left out.
    pub refused: BTreeMap<EntryId, Error>,
    /// The mean level of zstd, where it was not fixed.
    pub zstd_level: Option<f64>,
}

/// A frame's buffer, with the memory it counts for.
pub(super) struct Buffer {
    pub bytes: Vec<u8>,
    permit: Permit,
}

impl Buffer {
    /// Has it count for what its large rows have taken, too.
    pub fn cover(&mut self, large: Option<Permit>) {
        if let Some(large) = large {
            self.permit.join(large);
        }
    }
}

impl Pipeline {
    /// The way to `outlet`, in which no more than `memory_bytes` are at once.
    pub fn new(outlet: &Outlet, compression: Compression, memory_bytes: u64) -> (Self, Receiver) {
        let (sealing, buffers) = match outlet {
            Outlet::Archive(writer) => {
                let sealing = Sealing::Packed {
                    codec: compression.codec(),
                    packs: writer.is_packing(),
                };
                (sealing, Buffers::default())
            }
            Outlet::Relay(giver) => (Sealing::AsItIs, Arc::clone(&giver.buffers)),
            Outlet::Nowhere => (Sealing::Dropped, Buffers::default()),
        };
        let threads = cores();
        let adaptive = match (sealing, compression) {
            (Sealing::Packed { .. }, Compression::ZstdAuto) => {
                Some(Arc::new(AdaptiveLevel::new(threads, memory_bytes)))
            }
            _ => None,
        };
        let (deliveries, receiver) = mpsc::channel(64);
        // One for each that is being compressed, and as many on their way.
        let rooms = Rooms::new(2 * threads);
        let pipeline = Self {
            sealing,
            // The last quarter is for the sockets' buffers, the compressors and all else.
            budget: ByteBudget::new(memory_bytes / 2),
            large_rows: ByteBudget::new(memory_bytes / 4),
            slots: Arc::new(Semaphore::new(threads)),
            encoders: Arc::default(),
            adaptive: adaptive.clone(),
            buffers,
            rooms: rooms.clone(),
            deliveries,
            runtime: Handle::current(),
        };
        (
            pipeline,
            Receiver {
                deliveries: receiver,
                rooms,
                adaptive,
            },
        )
    }

    /// What rows that are longer than a frame's slack take their memory from. Apart from frames: whoever
    /// waits for it has a frame, and whoever has it needs no other, so that nobody waits in a circle.
    pub fn large_rows(&self) -> ByteBudget {
        self.large_rows.clone()
    }

    /// What becomes of rows.
    pub fn row_use(&self) -> RowUse {
        match self.sealing {
            Sealing::Packed { .. } | Sealing::AsItIs => RowUse::Framed,
            Sealing::Dropped => RowUse::Counted,
        }
    }

    /// What some bytes count for while they are under way: for their compressed form as well.
    fn weight(&self, bytes: usize) -> u64 {
        let forms = match self.sealing {
            Sealing::Packed { .. } => 2,
            Sealing::AsItIs | Sealing::Dropped => 1,
        };
        forms * bytes as u64
    }

    /// An empty frame buffer, once there is memory for it.
    ///
    /// # Errors
    /// When the writer has stopped: a worker must not read a table to its end for nobody.
    pub async fn buffer(&self) -> Result<Buffer> {
        let bytes = self.weight(FRAME_BYTES + FRAME_SLACK);
        let permit = self.budget.acquire(bytes).await?;
        if self.is_closed() {
            return Err(closed());
        }
        let reused = lock(&self.buffers).pop();
        Ok(Buffer {
            bytes: reused.unwrap_or_else(|| Vec::with_capacity(FRAME_BYTES + FRAME_SLACK)),
            permit,
        })
    }

    /// Gives a buffer back unused.
    pub fn give_back(&self, buffer: Buffer) {
        self.keep(buffer.bytes);
    }

    fn keep(&self, mut bytes: Vec<u8>) {
        // A giant row's buffer is not kept: memory would never come down again.
        // A small table's frame is as small as that.
        if (FRAME_BYTES..=FRAME_BYTES + FRAME_SLACK).contains(&bytes.capacity()) {
            bytes.clear();
            lock(&self.buffers).push(bytes);
        }
    }

    /// Where to spawn what seals frames.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Seals a frame, if it is to be sealed, and hands it to the writer.
    pub async fn seal(
        self,
        entry: EntryId,
        chunk: u32,
        frame: u32,
        filled: Filled,
        buffer: Buffer,
    ) -> Result<()> {
        let Buffer { bytes, permit } = buffer;
        let raw = RawFrame {
            entry,
            chunk,
            frame,
            rows: filled.rows,
            raw: bytes,
        };
        let frame = match self.sealing {
            Sealing::Packed { codec, .. } => {
                let mut packed = self.pack(codec, vec![(raw, Form::Compressed)]).await?;
                packed.pop().ok_or_else(closed)?
            }
            Sealing::AsItIs => Frame::Raw(raw),
            Sealing::Dropped => self.drop_frame(raw, filled.bytes),
        };
        self.deliveries
            .send(Delivery::Frame { frame, permit })
            .await
            .map_err(|_| closed())
    }

    /// As [`Pipeline::seal`], for many small frames at once. The buffer is the one that they were read
    /// into.
    pub async fn seal_together(self, parcels: Vec<Parcel>, buffer: Buffer) -> Result<()> {
        let Buffer { bytes, mut permit } = buffer;
        self.keep(bytes);
        let packs = matches!(self.sealing, Sealing::Packed { packs: true, .. });
        let mut frames = Vec::new();
        let mut rest = Vec::with_capacity(parcels.len());
        for Parcel { frame, large, done } in parcels {
            let form = match &frame {
                Some((frame, _)) if packs && is_for_a_pack(frame, done.as_ref()) => Form::Bare,
                _ => Form::Compressed,
            };
            // Each has its own share from here on, and the rest is free.
            let mut share = match &frame {
                Some((frame, _)) => Some(permit.split(self.weight(frame.raw.len()))?),
                None => None,
            };
            if let (Some(share), Some(large)) = (&mut share, large) {
                share.join(large);
            }
            rest.push((share, done));
            frames.extend(frame.map(|(frame, bytes)| (frame, bytes, form)));
        }
        drop(permit);
        let frames: Vec<Frame> = match self.sealing {
            Sealing::Packed { codec, .. } => {
                let frames = frames.into_iter();
                let raw = frames.map(|(raw, _, form)| (raw, form)).collect();
                self.pack(codec, raw).await?
            }
            Sealing::AsItIs => {
                let frames = frames.into_iter();
                frames.map(|(raw, ..)| Frame::Raw(raw)).collect()
            }
            Sealing::Dropped => frames
                .into_iter()
                .map(|(raw, bytes, _)| self.drop_frame(raw, bytes))
                .collect(),
        };
        let mut frames = frames.into_iter();
        let parcels = rest
            .into_iter()
            .map(|(share, done)| (share.and_then(|share| Some((frames.next()?, share))), done))
            .collect();
        self.deliveries
            .send(Delivery::Parcels(parcels))
            .await
            .map_err(|_| closed())
    }

    fn drop_frame(&self, frame: RawFrame, bytes: usize) -> Frame {
        self.keep(frame.raw);
        Frame::Gone {
            entry: frame.entry,
            raw_bytes: bytes as u64,
        }
    }

    /// Compresses and hashes frames on the pool.
    async fn pack(&self, codec: Codec, frames: Vec<(RawFrame, Form)>) -> Result<Vec<Frame>> {
        let waiting = self.adaptive.as_ref().map(|adaptive| adaptive.wait());
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        drop(waiting);
        let pool = self.clone();
        let packed = tokio::task::spawn_blocking(move || {
            let mut encoder = match lock(&pool.encoders).pop() {
                Some(encoder) => encoder,
                None => Encoder::new(codec)?,
            };
            if let Some(adaptive) = &pool.adaptive {
                let raw_bytes = frames.iter().map(|(frame, _)| frame.raw.len() as u64).sum();
                let unwritten = pool.deliveries.max_capacity() - pool.deliveries.capacity();
                encoder.set_zstd_level(adaptive.next(raw_bytes, unwritten))?;
            }
            let mut packed = Vec::with_capacity(frames.len());
            for (frame, form) in frames {
                if form == Form::Bare {
                    packed.push(Frame::Stored(frame.bare()));
                    continue;
                }
                let (stored, raw) = if frame.raw.len() < FRAME_BYTES {
                    encoder.seal(frame)?
                } else {
                    encoder.seal_into(frame, pool.rooms.take())?
                };
                pool.keep(raw);
                packed.push(Frame::Stored(stored));
            }
            lock(&pool.encoders).push(encoder);
            Ok::<_, Error>(packed)
        })
        .await
        .map_err(|error| Error::new(Kind::Failed, format!("compression failed: {error}")))??;
        drop(slot);
        Ok(packed)
    }

    /// Whether the writer has stopped, so that what fails now fails for its reason.
    pub fn is_closed(&self) -> bool {
        self.deliveries.is_closed()
    }

    /// Waits until the writer has stopped.
    pub async fn closed(&self) {
        self.deliveries.closed().await;
    }

    /// Says that a chunk has been read to its end.
    pub async fn chunk_done(&self, done: ChunkDone) -> Result<()> {
        self.deliveries
            .send(Delivery::ChunkDone(done))
            .await
            .map_err(|_| closed())
    }

    /// Says that an entry is left out, whatever has come of it or may still come.
    pub async fn refused(&self, entry: EntryId, error: Error) -> Result<()> {
        self.deliveries
            .send(Delivery::Refused { entry, error })
            .await
            .map_err(|_| closed())
    }
}

/// The writer has gone, for a reason that it reports itself.
fn closed() -> Error {
    Error::new(Kind::Failed, "the archive's writer has stopped")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic while holding the lock leaves at worst one buffer fewer in the list.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Progress {
    chunks: u32,
    chunks_expected: Option<u32>,
    frames_expected: u64,
    frames_written: u64,
    raw_bytes: u64,
    fingerprint: Fingerprint,
}

impl Progress {
    fn is_complete(&self) -> bool {
        self.chunks_expected == Some(self.chunks) && self.frames_written == self.frames_expected
    }
}

/// The outlet while rows come in.
struct Writing<F> {
    written: Written,
    expected: HashMap<EntryId, Expected>,
    open: HashMap<EntryId, Progress>,
    completed: F,
    rooms: Rooms,
    observer: Arc<dyn Observer>,
}

impl<F: Fn(EntryId)> Writing<F> {
    async fn frame(&mut self, frame: Frame, permit: Permit) -> Result<()> {
        let (entry, bytes) = (frame.entry(), frame.raw_bytes());
        let stored = frame.stored();
        self.written.outlet.append(frame, permit).await?;
        if let Some(stored) = stored {
            self.rooms.give_back(stored);
        }
        self.written.raw_bytes += bytes;
        if self.written.refused.contains_key(&entry) {
            return Ok(());
        }
        let progress = self.open.entry(entry).or_default();
        progress.frames_written += 1;
        progress.raw_bytes += bytes;
        self.look(entry).await
    }

    async fn chunk(&mut self, done: ChunkDone) -> Result<()> {
        if self.written.refused.contains_key(&done.entry) {
            return Ok(());
        }
        let progress = self.open.entry(done.entry).or_default();
        progress.chunks += 1;
        progress.frames_expected += done.frames;
        progress.fingerprint.merge(&done.fingerprint);
        if done.of.is_some() {
            progress.chunks_expected = done.of;
        }
        self.look(done.entry).await
    }

    /// Leaves an entry out; what was wrong first is kept.
    fn refused(&mut self, entry: EntryId, error: Error) {
        let Some(done) = self.expected.remove(&entry) else {
            return;
        };
        let progress = self.open.remove(&entry).unwrap_or_default();
        self.written.refused.insert(entry, error);
        (self.completed)(entry);
        if let Some(table) = done.table {
            self.observer.event(&Event::TableDone {
                table,
                rows: 0,
                bytes: progress.raw_bytes,
            });
        }
    }

    /// Completes the entry if all of it is there.
    async fn look(&mut self, entry: EntryId) -> Result<()> {
        if !self.open.get(&entry).is_some_and(Progress::is_complete) {
            return Ok(());
        }
        let (Some(progress), Some(done)) = (self.open.remove(&entry), self.expected.remove(&entry))
        else {
            let what = "more data came of an entry than it has";
            return Err(Error::new(Kind::Failed, what));
        };
        let rows = progress.fingerprint.rows();
        let written = &mut self.written;
        written
            .outlet
            .complete(entry, progress.fingerprint, progress.frames_written)
            .await?;
        written.fingerprints.insert(entry, progress.fingerprint);
        (self.completed)(entry);
        if let Some(table) = done.table {
            written.table_rows += rows;
            self.observer.event(&Event::TableDone {
                table,
                rows,
                bytes: progress.raw_bytes,
            });
        }
        Ok(())
    }
}

impl Receiver {
    /// Hands on everything that comes until all workers have gone, and gives the outlet back, still
    /// unfinished; says of each entry when it is completed. One that is not complete by then is an error.
    pub async fn write(
        mut self,
        outlet: Outlet,
        expected: HashMap<EntryId, Expected>,
        completed: impl Fn(EntryId),
        observer: Arc<dyn Observer>,
    ) -> Result<Written> {
        let mut writing = Writing {
            written: Written {
                outlet,
                table_rows: 0,
                raw_bytes: 0,
                fingerprints: BTreeMap::new(),
                refused: BTreeMap::new(),
                zstd_level: None,
            },
            expected,
            open: HashMap::new(),
            completed,
            rooms: self.rooms,
            observer,
        };
        while let Some(delivery) = self.deliveries.recv().await {
            match delivery {
                Delivery::Frame { frame, permit } => writing.frame(frame, permit).await?,
                Delivery::ChunkDone(done) => writing.chunk(done).await?,
                Delivery::Refused { entry, error } => writing.refused(entry, error),
                Delivery::Parcels(parcels) => {
                    for (frame, done) in parcels {
                        if let Some((frame, permit)) = frame {
                            writing.frame(frame, permit).await?;
                        }
                        if let Some(done) = done {
                            writing.chunk(done).await?;
                        }
                    }
                }
            }
        }
        if let Some(left) = writing.expected.values().next() {
            let what = left
                .table
                .as_deref()
                .unwrap_or("large objects or statistics");
            return Err(Error::new(
                Kind::Failed,
                format!("data of {what} was not read to its end"),
            ));
        }
        writing.written.zstd_level = self.adaptive.as_ref().and_then(|adaptive| adaptive.mean());
        Ok(writing.written)
    }
}

/// Waits for all of a worker's frames; the first error wins.
pub(super) async fn settle(sealing: &mut JoinSet<Result<()>>) -> Result<()> {
    while let Some(joined) = sealing.join_next().await {
        sealed(joined)?;
    }
    Ok(())
}

/// The result of a frame's task.
pub(super) fn sealed(joined: std::result::Result<Result<()>, JoinError>) -> Result<()> {
    joined.map_err(|error| Error::new(Kind::Failed, format!("worker failed: {error}")))?
}
