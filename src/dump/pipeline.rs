//! Frames on their way from the workers to their outlet. For an archive they are sealed (compressed
//! and hashed) on a pool as large as the machine, and appended by one writer.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};

use crate::archive::{Codec, Encoder, EntryId, Fingerprint, RawFrame};
use crate::error::{Error, Kind, Result};
use crate::relay::Buffers;
use crate::report::{Event, Observer};
use crate::task::{ByteBudget, Permit};

use super::outlet::{Frame, Outlet};
use super::rows::{FRAME_BYTES, FRAME_SLACK};

/// What reaches the writer.
enum Delivery {
    Frame {
        frame: Frame,
        permit: Permit,
    },
    ChunkDone {
        entry: EntryId,
        frames: u64,
        fingerprint: Fingerprint,
    },
}

/// What is done with a frame before it goes on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sealing {
    /// It is compressed and hashed.
    Packed(Codec),
    /// Nothing.
    AsItIs,
    /// It is dropped: its rows were read to be counted and fingerprinted.
    Dropped,
}

/// Shared by all workers: buffers, encoders, and the way to the writer.
#[derive(Clone)]
pub(super) struct Pipeline {
    sealing: Sealing,
    budget: ByteBudget,
    slots: Arc<Semaphore>,
    encoders: Arc<Mutex<Vec<Encoder>>>,
    buffers: Buffers,
    deliveries: mpsc::Sender<Delivery>,
}

/// The writer's end.
pub(super) struct Receiver {
    deliveries: mpsc::Receiver<Delivery>,
}

/// What the writer must have seen before an entry is complete.
pub(super) struct Expected {
    /// For messages; none for what is no table.
    pub table: Option<String>,
    pub chunks: usize,
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
}

/// A frame's buffer, with the memory it counts for.
pub(super) struct Buffer {
    pub bytes: Vec<u8>,
    permit: Permit,
}

impl Pipeline {
    /// The way to `outlet`, in which no more than `memory_bytes` are at once.
    pub fn new(outlet: &Outlet, codec: Codec, memory_bytes: u64) -> (Self, Receiver) {
        // A frame counts once: its compressed form is made while the raw one still exists, and is
        // smaller; half of the bound is left for it and for the sockets' buffers.
        let packed = memory_bytes / 2;
        let (sealing, bound, buffers) = match outlet {
            Outlet::Archive(_) => (Sealing::Packed(codec), packed, Buffers::default()),
            // The sockets' buffers alone, on both sides.
            Outlet::Relay(giver) => (
                Sealing::AsItIs,
                memory_bytes / 4 * 3,
                Arc::clone(&giver.buffers),
            ),
            Outlet::Nowhere => (Sealing::Dropped, packed, Buffers::default()),
        };
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (deliveries, receiver) = mpsc::channel(64);
        let pipeline = Self {
            sealing,
            budget: ByteBudget::new(bound),
            slots: Arc::new(Semaphore::new(threads)),
            encoders: Arc::default(),
            buffers,
            deliveries,
        };
        (
            pipeline,
            Receiver {
                deliveries: receiver,
            },
        )
    }

    /// An empty frame buffer, once there is memory for it.
    ///
    /// # Errors
    /// When the writer has stopped: a worker must not read a table to its end for nobody.
    pub async fn buffer(&self) -> Result<Buffer> {
        let permit = self
            .budget
            .acquire((FRAME_BYTES + FRAME_SLACK) as u64)
            .await?;
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
        if bytes.capacity() <= 2 * FRAME_BYTES {
            bytes.clear();
            lock(&self.buffers).push(bytes);
        }
    }

    /// Seals a frame, if it is to be sealed, and hands it to the writer.
    pub async fn seal(
        self,
        entry: EntryId,
        chunk: u32,
        frame: u32,
        rows: u64,
        buffer: Buffer,
    ) -> Result<()> {
        let Buffer { bytes, permit } = buffer;
        let raw = RawFrame {
            entry,
            chunk,
            frame,
            rows,
            raw: bytes,
        };
        let frame = match self.sealing {
            Sealing::Packed(codec) => self.pack(codec, raw).await?,
            Sealing::AsItIs => Frame::Raw(raw),
            Sealing::Dropped => {
                let raw_bytes = raw.raw.len() as u64;
                self.keep(raw.raw);
                Frame::Gone { entry, raw_bytes }
            }
        };
        self.deliveries
            .send(Delivery::Frame { frame, permit })
            .await
            .map_err(|_| closed())
    }

    /// Compresses and hashes a frame on the pool.
    async fn pack(&self, codec: Codec, frame: RawFrame) -> Result<Frame> {
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let pool = self.clone();
        let packed = tokio::task::spawn_blocking(move || {
            let mut encoder = match lock(&pool.encoders).pop() {
                Some(encoder) => encoder,
                None => Encoder::new(codec)?,
            };
            let (stored, raw) = encoder.seal(frame)?;
            lock(&pool.encoders).push(encoder);
            pool.keep(raw);
            Ok::<_, Error>(stored)
        })
        .await
        .map_err(|error| Error::new(Kind::Failed, format!("compression failed: {error}")))??;
        drop(slot);
        Ok(Frame::Stored(packed))
    }

    /// Whether the writer has stopped, so that what fails now fails for its reason.
    pub fn is_closed(&self) -> bool {
        self.deliveries.is_closed()
    }

    /// Waits until the writer has stopped.
    pub async fn closed(&self) {
        self.deliveries.closed().await;
    }

    /// Says that a chunk has been read to its end, in so many frames.
    pub async fn chunk_done(
        &self,
        entry: EntryId,
        frames: u64,
        fingerprint: Fingerprint,
    ) -> Result<()> {
        self.deliveries
            .send(Delivery::ChunkDone {
                entry,
                frames,
                fingerprint,
            })
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
    chunks: usize,
    frames_expected: u64,
    frames_written: u64,
    raw_bytes: u64,
    fingerprint: Fingerprint,
}

impl Receiver {
    /// Hands on everything that comes until all workers have gone, and gives the outlet back, still
    /// unfinished; says of each entry when it is completed. One that is not complete by then is an error.
    pub async fn write(
        mut self,
        mut outlet: Outlet,
        mut expected: HashMap<EntryId, Expected>,
        completed: impl Fn(EntryId),
        observer: Arc<dyn Observer>,
    ) -> Result<Written> {
        let mut open: HashMap<EntryId, Progress> = HashMap::new();
        let mut table_rows = 0;
        let mut raw_bytes = 0;
        let mut fingerprints = BTreeMap::new();
        while let Some(delivery) = self.deliveries.recv().await {
            let entry = match delivery {
                Delivery::Frame { frame, permit } => {
                    let (entry, bytes) = (frame.entry(), frame.raw_bytes());
                    outlet.append(frame, permit).await?;
                    let progress = open.entry(entry).or_default();
                    progress.frames_written += 1;
                    progress.raw_bytes += bytes;
                    raw_bytes += bytes;
                    entry
                }
                Delivery::ChunkDone {
                    entry,
                    frames,
                    fingerprint,
                } => {
                    let progress = open.entry(entry).or_default();
                    progress.chunks += 1;
                    progress.frames_expected += frames;
                    progress.fingerprint.merge(&fingerprint);
                    entry
                }
            };
            let complete = match (open.get(&entry), expected.get(&entry)) {
                (Some(progress), Some(expected)) => {
                    progress.chunks == expected.chunks
                        && progress.frames_written == progress.frames_expected
                }
                _ => false,
            };
            if complete
                && let (Some(progress), Some(done)) = (open.remove(&entry), expected.remove(&entry))
            {
                let rows = progress.fingerprint.rows();
                let written = progress.frames_written;
                outlet
                    .complete(entry, progress.fingerprint, written)
                    .await?;
                fingerprints.insert(entry, progress.fingerprint);
                completed(entry);
                if let Some(table) = done.table {
                    table_rows += rows;
                    observer.event(&Event::TableDone {
                        table,
                        rows,
                        bytes: progress.raw_bytes,
                    });
                }
            }
        }
        if let Some(left) = expected.values().next() {
            let what = left
                .table
                .as_deref()
                .unwrap_or("large objects or statistics");
            return Err(Error::new(
                Kind::Failed,
                format!("data of {what} was not read to its end"),
            ));
        }
        Ok(Written {
            outlet,
            table_rows,
            raw_bytes,
            fingerprints,
        })
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
