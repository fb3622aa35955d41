//! What one worker does: take the next piece of work, copy it out, cut it into frames.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::archive::{CopyFormat, EntryId};
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result, SqlState};
use crate::model::Oid;
use crate::report::{Event, Observer};

use super::entries::{LargeObjectTask, TableTask};
use super::pipeline::{Pipeline, sealed, settle};
use super::rows::{FRAME_BYTES, RowStream};
use super::statistics::{self, Kept, StatisticsTask, Unread};

/// Large objects read by one statement: one generation of its recursion is at most this many
/// pieces of [`PIECE_BYTES`].
const OBJECTS_PER_CHUNK: usize = 100;

/// A large object is read, and written back, in pieces of this size.
const PIECE_BYTES: usize = 64 << 10;

/// A session that keeps as much of statistics reads no more of them before rows are written.
const KEPT_BYTES: usize = FRAME_BYTES;

/// Everything there is to read, and who has started it.
pub(super) struct Work {
    tables: Vec<(TableTask, AtomicBool)>,
    large_objects: Vec<LargeObjectTask>,
    statistics: Vec<StatisticsTask>,
    queue: Mutex<Queue>,
    /// Something was let into the queue, or an entry is complete.
    released: Notify,
    /// Statistics that could not be read.
    pub unread: Unread,
}

/// What is left to take.
#[derive(Default)]
struct Queue {
    pieces: VecDeque<Piece>,
    /// Those that must come after others in the archive, with the entries that they wait for.
    held: Vec<(BTreeSet<EntryId>, Piece)>,
    /// Statistics; they stand behind all rows.
    statistics: VecDeque<Piece>,
    /// Entries other than statistics that are not complete in the archive.
    incomplete: usize,
}

/// What a worker does next.
enum Next {
    Piece(Piece),
    /// Write the statistics that it keeps.
    WriteKept,
    /// There is nothing left.
    End,
}

/// One statement's worth of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Table { task: usize, chunk: usize },
    LargeObjects { task: usize, chunk: usize },
    Statistics { task: usize, chunk: usize },
}

impl Work {
    /// Biggest pieces first, so that no long one is left for the end. `first` gives for an entry
    /// those that must be complete before it begins.
    pub fn new(
        tables: Vec<TableTask>,
        large_objects: Vec<LargeObjectTask>,
        statistics: Vec<StatisticsTask>,
        first: BTreeMap<EntryId, BTreeSet<EntryId>>,
    ) -> Self {
        let mut pieces = Vec::new();
        for (task, table) in tables.iter().enumerate() {
            let bytes = table.bytes / table.ranges.len().max(1) as u64;
            for chunk in 0..table.ranges.len() {
                pieces.push((bytes, Piece::Table { task, chunk }));
            }
        }
        for (task, group) in large_objects.iter().enumerate() {
            for chunk in 0..chunks_of(group) {
                // Their size is not known without reading them; the middle of the queue is no
                // worse than any other place.
                pieces.push((
                    (OBJECTS_PER_CHUNK * PIECE_BYTES) as u64,
                    Piece::LargeObjects { task, chunk },
                ));
            }
        }
        pieces.sort_by_key(|&(bytes, _)| std::cmp::Reverse(bytes));
        let mut queue = Queue {
            incomplete: tables.len() + large_objects.len(),
            ..Queue::default()
        };
        for (task, group) in statistics.iter().enumerate() {
            let chunks = 0..group.chunks();
            let pieces = chunks.map(|chunk| Piece::Statistics { task, chunk });
            queue.statistics.extend(pieces);
        }
        for (_, piece) in pieces {
            let entry = match piece {
                Piece::Table { task, .. } => tables[task].entry,
                Piece::LargeObjects { task, .. } => large_objects[task].entry,
                Piece::Statistics { task, .. } => statistics[task].entry,
            };
            match first.get(&entry) {
                Some(first) => queue.held.push((first.clone(), piece)),
                None => queue.pieces.push_back(piece),
            }
        }
        Self {
            tables: tables
                .into_iter()
                .map(|table| (table, AtomicBool::new(false)))
                .collect(),
            large_objects,
            statistics,
            queue: Mutex::new(queue),
            released: Notify::new(),
            unread: Unread::default(),
        }
    }

    /// Lets in what waited for an entry, which is complete in the archive now.
    pub fn complete(&self, entry: EntryId) {
        let is_statistics = self.statistics.iter().any(|of| of.entry == entry);
        let mut queue = self.lock();
        let Queue {
            pieces,
            held,
            incomplete,
            ..
        } = &mut *queue;
        if !is_statistics {
            *incomplete -= 1;
        }
        held.retain_mut(|(first, piece)| {
            first.remove(&entry);
            let waits = !first.is_empty();
            if !waits {
                pieces.push_back(*piece);
            }
            waits
        });
        drop(queue);
        self.released.notify_waiters();
    }

    /// Number of pieces not yet taken.
    pub fn len(&self) -> usize {
        let queue = self.lock();
        queue.pieces.len() + queue.held.len() + queue.statistics.len()
    }

    /// How many of so many sessions would find something to read.
    pub fn sessions(&self, jobs: usize) -> usize {
        let queue = self.lock();
        let rows = queue.pieces.len() + queue.held.len();
        jobs.min(rows.max(queue.statistics.len()))
    }

    /// Number of chunks of each entry, with its table's name.
    pub fn chunks(&self) -> impl Iterator<Item = (EntryId, Option<String>, usize)> + '_ {
        self.tables
            .iter()
            .map(|(table, _)| (table.entry, Some(table.label.clone()), table.ranges.len()))
            .chain(
                self.large_objects
                    .iter()
                    .map(|group| (group.entry, None, chunks_of(group))),
            )
            .chain(
                self.statistics
                    .iter()
                    .map(|of| (of.entry, None, of.chunks())),
            )
    }

    /// Tables, and bytes that their data is expected to have.
    pub fn totals(&self) -> (u64, u64) {
        let bytes = self.tables.iter().map(|(table, _)| table.bytes).sum();
        (self.tables.len() as u64, bytes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is next, as soon as it may be done, for a worker that keeps so many bytes of
    /// statistics, if any. Loses no piece when it is dropped.
    async fn next(&self, kept: Option<usize>) -> Next {
        loop {
            let released = self.released.notified();
            let mut released = std::pin::pin!(released);
            released.as_mut().enable();
            {
                let mut queue = self.lock();
                if let Some(piece) = queue.pieces.pop_front() {
                    return Next::Piece(piece);
                }
                if kept.unwrap_or(0) < KEPT_BYTES
                    && let Some(piece) = queue.statistics.pop_front()
                {
                    return Next::Piece(piece);
                }
                match kept {
                    Some(_) if queue.incomplete == 0 => return Next::WriteKept,
                    None if queue.held.is_empty() => return Next::End,
                    _ => {}
                }
            }
            released.await;
        }
    }
}

fn chunks_of(group: &LargeObjectTask) -> usize {
    group.oids.len().div_ceil(OBJECTS_PER_CHUNK)
}

/// Works until nothing is left, or until `stop` fires.
pub(super) async fn run(
    mut wire: Wire,
    work: Arc<Work>,
    pipeline: Pipeline,
    observer: Arc<dyn Observer>,
    stop: CancellationToken,
) -> Result<()> {
    let mut sealing = JoinSet::new();
    let mut locked = HashSet::new();
    let mut kept: Vec<Kept> = Vec::new();
    loop {
        let kept_bytes = kept.iter().map(|kept| kept.bytes).sum();
        let kept_bytes = (!kept.is_empty()).then_some(kept_bytes);
        let next = tokio::select! {
            next = work.next(kept_bytes) => next,
            // What it waits for may never come: a frame of its own that fails, the writer or
            // another worker that has stopped.
            Some(joined) = sealing.join_next() => {
                sealed(joined)?;
                continue;
            }
            () = pipeline.closed() => Next::End,
            () = stop.cancelled() => Next::End,
        };
        if stop.is_cancelled() {
            break;
        }
        let piece = match next {
            Next::Piece(piece) => piece,
            Next::WriteKept => {
                for kept in kept.drain(..) {
                    write_statistics(kept, &pipeline, &mut sealing).await?;
                }
                continue;
            }
            Next::End => break,
        };
        match piece {
            Piece::Table { task, chunk } => {
                let (table, started) = &work.tables[task];
                if !started.swap(true, Ordering::Relaxed) {
                    observer.event(&Event::TableStarted {
                        table: table.label.clone(),
                        bytes: table.bytes,
                    });
                }
                let read = async {
                    if table.copy.is_foreign {
                        wire.execute(ALLOW_FOREIGN).await?;
                    } else if locked.insert(table.entry) {
                        relock(&mut wire, table).await?;
                    }
                    let copy = Copy {
                        entry: table.entry,
                        chunk,
                        statement: table.statement(chunk),
                        format: table.format(),
                        table: Some(&table.label),
                    };
                    copy.run(&mut wire, &pipeline, &mut sealing, &*observer, &stop)
                        .await?;
                    if table.copy.is_foreign && !stop.is_cancelled() {
                        wire.execute(FORBID_FOREIGN).await?;
                    }
                    Ok::<_, Error>(())
                };
                let read = read.await.map_err(|error| {
                    let denied = error.sqlstate() == Some(&SqlState::INSUFFICIENT_PRIVILEGE);
                    if denied && error.message().contains("row-level security") {
                        error.with_hint(
                            "dump as a role with BYPASSRLS, or only the rows that this one may see \
                             with --enable-row-security",
                        )
                    } else {
                        error
                    }
                });
                read.context_with(|| format!("dump table {}", table.label))?;
            }
            Piece::Statistics { task, chunk } => {
                let task = &work.statistics[task];
                kept.push(statistics::read(&mut wire, task, chunk, &work.unread).await?);
            }
            Piece::LargeObjects { task, chunk } => {
                let group = &work.large_objects[task];
                let first = chunk * OBJECTS_PER_CHUNK;
                let last = (first + OBJECTS_PER_CHUNK).min(group.oids.len());
                let copy = Copy {
                    entry: group.entry,
                    chunk,
                    statement: read_large_objects(&group.oids[first..last]),
                    format: CopyFormat::Binary,
                    table: None,
                };
                copy.run(&mut wire, &pipeline, &mut sealing, &*observer, &stop)
                    .await
                    .map_err(|error| {
                        let error = error.context("dump large objects");
                        if error.sqlstate() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
                            error.with_hint(
                                "grant SELECT on it, or leave large objects out with --no-large-objects",
                            )
                        } else {
                            error
                        }
                    })?;
            }
        }
        while let Some(joined) = sealing.try_join_next() {
            sealed(joined)?;
        }
    }
    settle(&mut sealing).await?;
    wire.close().await;
    Ok(())
}

/// A session of a dump reads no foreign tables unless that is what it is asked to do. (The setting
/// is one that older servers do not have.)
const ALLOW_FOREIGN: &str = "\
SELECT pg_catalog.set_config(name, 'view', false) FROM pg_catalog.pg_settings \
WHERE name = 'restrict_nonsystem_relation_kind'";
const FORBID_FOREIGN: &str = "\
SELECT pg_catalog.set_config(name, 'view, foreign-table', false) FROM pg_catalog.pg_settings \
WHERE name = 'restrict_nonsystem_relation_kind'";

/// Hands statistics on, in frames as large as those of rows.
async fn write_statistics(
    kept: Kept,
    pipeline: &Pipeline,
    sealing: &mut JoinSet<Result<()>>,
) -> Result<()> {
    let chunk = u32::try_from(kept.chunk).map_err(|_| too_many())?;
    let mut frames = 0_u32;
    let mut lines = kept.lines.into_iter().peekable();
    while lines.peek().is_some() {
        let mut buffer = pipeline.buffer().await?;
        let mut rows = 0;
        buffer.bytes.clear();
        while buffer.bytes.len() < FRAME_BYTES
            && let Some(line) = lines.next()
        {
            buffer.bytes.extend_from_slice(&line);
            rows += 1;
        }
        sealing.spawn(
            pipeline
                .clone()
                .seal(kept.entry, chunk, frames, rows, buffer),
        );
        frames = frames.checked_add(1).ok_or_else(too_many)?;
    }
    pipeline
        .chunk_done(kept.entry, u64::from(frames), kept.fingerprint)
        .await
}

fn too_many() -> Error {
    Error::new(Kind::Failed, "more chunks or frames than an archive counts")
}

/// The leader holds the lock already. If somebody has queued for an exclusive lock since, a plain
/// request would wait behind him, and he waits for the leader: NOWAIT makes that an error instead
/// of a deadlock that nobody sees.
async fn relock(wire: &mut Wire, table: &TableTask) -> Result<()> {
    wire.execute(&format!(
        "LOCK TABLE ONLY {} IN ACCESS SHARE MODE NOWAIT",
        table.sql_name
    ))
    .await
    .map_err(|error| {
        let error = error.context("lock");
        if error.sqlstate() == Some(&SqlState::LOCK_NOT_AVAILABLE) {
            error.with_hint("another session waits for an exclusive lock on it: run the dump again when that is done")
        } else {
            error
        }
    })?;
    Ok(())
}

/// Reads large objects in pieces without knowing their sizes, with nothing but the right to read
/// them: each round of the recursion reads the next piece of those that were full so far. Holes
/// read as zeros. An empty object gives one empty piece.
fn read_large_objects(oids: &[Oid]) -> String {
    let list = oids
        .iter()
        .map(Oid::to_string)
        .collect::<Vec<_>>()
        .join(",");
    format!(
        "COPY (WITH RECURSIVE piece(loid, pos, data) AS (\
         SELECT o, 0::pg_catalog.int8, pg_catalog.lo_get(o, 0, {PIECE_BYTES}) \
         FROM pg_catalog.unnest('{{{list}}}'::pg_catalog.oid[]) AS o \
         UNION ALL \
         SELECT loid, pos + {PIECE_BYTES}, pg_catalog.lo_get(loid, pos + {PIECE_BYTES}, {PIECE_BYTES}) \
         FROM piece WHERE pg_catalog.length(data) = {PIECE_BYTES}) \
         SELECT loid, pos, data FROM piece WHERE pos = 0 OR pg_catalog.length(data) > 0) \
         TO STDOUT WITH (FORMAT binary)"
    )
}

/// One COPY TO on its way into frames.
struct Copy<'a> {
    entry: EntryId,
    chunk: usize,
    statement: String,
    format: CopyFormat,
    table: Option<&'a str>,
}

impl Copy<'_> {
    async fn run(
        &self,
        wire: &mut Wire,
        pipeline: &Pipeline,
        sealing: &mut JoinSet<Result<()>>,
        observer: &dyn Observer,
        stop: &CancellationToken,
    ) -> Result<()> {
        let too_many = |_| Error::new(Kind::Failed, "more chunks or frames than an archive counts");
        let chunk = u32::try_from(self.chunk).map_err(too_many)?;
        let mut stream = RowStream::new(wire.copy_out(&self.statement).await?, self.format);
        let mut frames = 0_u32;
        loop {
            if stop.is_cancelled() {
                return Err(Error::new(Kind::Interrupted, "dump interrupted"));
            }
            let mut buffer = pipeline.buffer().await?;
            let rows = stream.fill(&mut buffer.bytes).await?;
            if rows == 0 {
                pipeline.give_back(buffer);
                break;
            }
            if let Some(table) = self.table {
                observer.event(&Event::TableProgress {
                    table: table.to_owned(),
                    rows,
                    bytes: buffer.bytes.len() as u64,
                });
            }
            sealing.spawn(
                pipeline
                    .clone()
                    .seal(self.entry, chunk, frames, rows, buffer),
            );
            frames = frames.checked_add(1).ok_or_else(|| {
                Error::new(Kind::Failed, "more chunks or frames than an archive counts")
            })?;
        }
        let fingerprint = stream.finish()?;
        pipeline
            .chunk_done(self.entry, u64::from(frames), fingerprint)
            .await
    }
}
