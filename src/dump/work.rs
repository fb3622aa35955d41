//! Everything there is to read, and who takes what next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::archive::EntryId;
use crate::report::{Event, Observer};

use super::chunk::{Chunk, Cursor};
use super::entries::{LargeObjectTask, TableTask};
use super::large_objects::Span;
use super::rows::FRAME_BYTES;
use super::statistics::{StatisticsTask, Unread};

/// Tables up to this size are read many at a time: for them the way to the server and back counts,
/// not their rows.
const SMALL_BYTES: u64 = 256 << 10;

/// Tables that are asked for together at most, and bytes that they are expected to have.
const BATCH_TABLES: usize = 250;
const BATCH_BYTES: u64 = (FRAME_BYTES / 2) as u64;

/// To open a session costs as much as to read so many bytes, or so many tables with next to nothing in them: some
/// milliseconds, most of them the server's.
const SESSION_BYTES: u64 = 1 << 20;
const SESSION_TABLES: u64 = 64;

/// Everything there is to read, and who has started it.
pub(super) struct Work {
    tables: Vec<(TableTask, AtomicBool)>,
    large_objects: Vec<LargeObjectTask>,
    statistics: Vec<StatisticsTask>,
    queue: Mutex<Queue>,
    jobs: usize,
    /// Something was let into the queue, or an entry is complete.
    released: Notify,
    /// Statistics that could not be read.
    pub unread: Unread,
}

/// What is left to take.
#[derive(Default)]
struct Queue {
    /// In the order in which they are taken. The first one stays as long as something of it is left.
    waiting: VecDeque<Waiting>,
    /// Small tables, largest first.
    small: VecDeque<usize>,
    /// Those that must come after others in the archive, with the entries that they wait for.
    held: Vec<(BTreeSet<EntryId>, Waiting)>,
    /// What was taken by who then had no session for it.
    given_back: Vec<Piece>,
    /// Statistics; they stand behind all rows.
    statistics: VecDeque<(usize, usize)>,
    /// Entries other than statistics that are not complete in the archive.
    incomplete: usize,
    /// Groups of large objects that are taken, and whose parts are not known yet.
    measuring: usize,
    workers: Workers,
}

/// Who takes pieces.
#[derive(Default)]
struct Workers {
    /// How many there were to be.
    wanted: usize,
    /// How many of them take pieces, or will.
    left: usize,
    /// How many the server had no room for.
    refused: usize,
    /// Of how many it is not known yet whether it has.
    unsettled: usize,
}

impl Workers {
    /// It is known of one more; of the last one on, how many sessions there are of how many wanted, if they are fewer.
    fn settle(&mut self) -> Option<(usize, usize)> {
        self.unsettled = self.unsettled.saturating_sub(1);
        let is_known = self.unsettled == 0 && self.refused > 0;
        is_known.then(|| (self.wanted - self.refused, self.wanted))
    }
}

enum Waiting {
    /// A small table, by its number.
    Small(usize),
    /// One that is read whole.
    Whole(usize),
    /// One that several read.
    Shared(usize, Cursor),
    /// A group of large objects whose sizes are not known.
    Objects(usize),
    Part(ObjectsPart),
}

/// A part of a group of large objects.
#[derive(Clone, Debug)]
pub(super) struct ObjectsPart {
    pub task: usize,
    /// Number of the part, from 0, and how many there are.
    pub chunk: u32,
    pub of: u32,
    pub spans: Vec<Span>,
}

/// What a worker does next.
pub(super) enum Next {
    Piece(Piece),
    /// Write the statistics that it keeps.
    WriteKept,
    /// There is nothing left.
    End,
}

/// What one worker reads at a time.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// A table or a part of one.
    Table { task: usize, chunk: Chunk },
    /// Several small tables.
    Tables(Vec<usize>),
    /// The sizes of a group of large objects, to be cut into parts.
    Objects(usize),
    /// A part of such a group.
    Part(ObjectsPart),
    /// Some of an entry of statistics.
    Statistics { task: usize, chunk: usize },
}

impl Work {
    /// For so many `jobs`. `first` gives for an entry those that must be complete before it begins.
    pub fn new(
        tables: Vec<TableTask>,
        large_objects: Vec<LargeObjectTask>,
        statistics: Vec<StatisticsTask>,
        first: &BTreeMap<EntryId, BTreeSet<EntryId>>,
        jobs: usize,
    ) -> Self {
        let mut queue = Queue {
            incomplete: tables.len() + large_objects.len(),
            ..Queue::default()
        };
        // What one session must read alone decides when all is done, so the longest of these comes
        // first. What can be shared fits in anywhere; small pieces even out the end.
        let mut order: Vec<(u64, EntryId, Waiting)> = Vec::new();
        for (task, table) in tables.iter().enumerate() {
            order.push(match table.cursor(jobs) {
                Some(cursor) => (cursor.largest(), table.entry, Waiting::Shared(task, cursor)),
                None if table.bytes <= SMALL_BYTES && !table.copy.is_foreign => {
                    (table.bytes, table.entry, Waiting::Small(task))
                }
                None => (table.bytes, table.entry, Waiting::Whole(task)),
            });
        }
        for (task, group) in large_objects.iter().enumerate() {
            // Their sizes are asked for early, as they can be anything.
            order.push((u64::MAX, group.entry, Waiting::Objects(task)));
        }
        order.sort_by_key(|&(bytes, _, _)| std::cmp::Reverse(bytes));
        for (_, entry, waiting) in order {
            match first.get(&entry) {
                Some(first) => queue.held.push((first.clone(), waiting)),
                None => queue.admit(waiting),
            }
        }
        for (task, group) in statistics.iter().enumerate() {
            let chunks = 0..group.chunks();
            queue.statistics.extend(chunks.map(|chunk| (task, chunk)));
        }
        Self {
            tables: tables
                .into_iter()
                .map(|table| (table, AtomicBool::new(false)))
                .collect(),
            large_objects,
            statistics,
            queue: Mutex::new(queue),
            jobs,
            released: Notify::new(),
            unread: Unread::default(),
        }
    }

    /// So many workers begin.
    pub fn begin_with(&self, workers: usize) {
        self.lock().workers = Workers {
            wanted: workers,
            left: workers,
            refused: 0,
            unsettled: workers,
        };
    }

    /// One of the workers has a session, or needs none. Gives what is to be told once: how many have one of how
    /// many that were wanted.
    pub fn settle(&self) -> Option<(usize, usize)> {
        self.lock().workers.settle()
    }

    /// A worker that could not begin with a piece leaves it to others.
    pub fn give_back(&self, piece: Piece) {
        self.lock().given_back.push(piece);
        self.released.notify_waiters();
    }

    /// A worker that the server has no room for ends, unless nobody else would take what is left. Gives what
    /// is to be told then, as [`Work::settle`].
    pub fn leave(&self) -> Option<Option<(usize, usize)>> {
        let mut queue = self.lock();
        let workers = &mut queue.workers;
        if workers.left <= 1 {
            return None;
        }
        workers.left -= 1;
        workers.refused += 1;
        Some(workers.settle())
    }

    /// Number of workers.
    pub fn jobs(&self) -> usize {
        self.jobs
    }

    pub fn table(&self, task: usize) -> &TableTask {
        &self.tables[task].0
    }

    pub fn large_objects(&self, task: usize) -> &LargeObjectTask {
        &self.large_objects[task]
    }

    pub fn statistics(&self, task: usize) -> &StatisticsTask {
        &self.statistics[task]
    }

    /// Says once of each table that its rows begin to come.
    pub fn begin(&self, task: usize, observer: &dyn Observer) {
        let (table, started) = &self.tables[task];
        if !started.swap(true, Ordering::Relaxed) {
            observer.event(&Event::TableStarted {
                table: table.label.clone(),
                bytes: table.bytes,
            });
        }
    }

    /// Lets in what waited for an entry, which is complete in the archive now.
    pub fn complete(&self, entry: EntryId) {
        let is_statistics = self.statistics.iter().any(|of| of.entry == entry);
        let mut queue = self.lock();
        if !is_statistics {
            queue.incomplete -= 1;
        }
        if !queue.held.is_empty() {
            for (mut first, waiting) in std::mem::take(&mut queue.held) {
                first.remove(&entry);
                if first.is_empty() {
                    queue.admit(waiting);
                } else {
                    queue.held.push((first, waiting));
                }
            }
        }
        drop(queue);
        self.released.notify_waiters();
    }

    /// Lets in the parts, but for those that the caller keeps, of a group of large objects that was
    /// taken to be measured; ahead of everything else.
    pub fn measured(&self, parts: Vec<ObjectsPart>) {
        let mut queue = self.lock();
        queue.measuring -= 1;
        for part in parts.into_iter().rev() {
            queue.waiting.push_front(Waiting::Part(part));
        }
        drop(queue);
        self.released.notify_waiters();
    }

    /// All that nobody has taken yet of a table that several read.
    pub fn take_rest(&self, task: usize) -> Option<Chunk> {
        let mut queue = self.lock();
        let is_it = |waiting: &Waiting| matches!(waiting, Waiting::Shared(of, _) if *of == task);
        let at = queue.waiting.iter().position(is_it)?;
        match queue.waiting.remove(at)? {
            Waiting::Shared(_, mut cursor) => cursor.take_rest(),
            _ => None,
        }
    }

    /// Entries that have something to be read.
    pub fn len(&self) -> usize {
        self.tables.len() + self.large_objects.len() + self.statistics.len()
    }

    /// How many of so many sessions would find enough to read.
    pub fn sessions(&self) -> usize {
        let queue = self.lock();
        let shared = |waiting: &Waiting| !matches!(waiting, Waiting::Whole(_));
        let rows = queue.waiting.len() + queue.small.len() + queue.held.len();
        let found = match queue.waiting.iter().any(shared) {
            true => self.jobs,
            false => self.jobs.min(rows.max(queue.statistics.len())),
        };
        found.min(self.worth(queue.statistics.len()))
    }

    /// How many sessions are worth what it takes to open them.
    fn worth(&self, statistics: usize) -> usize {
        let is_unknown = |(table, _): &(TableTask, AtomicBool)| table.copy.is_foreign;
        if !self.large_objects.is_empty() || self.tables.iter().any(is_unknown) {
            return usize::MAX;
        }
        let (tables, bytes) = self.totals();
        let worth = bytes / SESSION_BYTES + tables / SESSION_TABLES;
        let worth = usize::try_from(worth).unwrap_or(usize::MAX);
        worth.saturating_add(statistics).max(1)
    }

    /// The entries, each with its table's name if it is one's.
    pub fn entries(&self) -> impl Iterator<Item = (EntryId, Option<String>)> + '_ {
        self.tables
            .iter()
            .map(|(table, _)| (table.entry, Some(table.label.clone())))
            .chain(self.large_objects.iter().map(|group| (group.entry, None)))
            .chain(self.statistics.iter().map(|of| (of.entry, None)))
    }

    /// Tables, and bytes that their data is expected to have.
    pub fn totals(&self) -> (u64, u64) {
        let bytes = self.tables.iter().map(|(table, _)| table.bytes).sum();
        (self.tables.len() as u64, bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is next, if anything is ready, for a worker that keeps so many bytes of statistics, if
    /// any; it takes no more of them when they are as many as `most`.
    pub fn try_next(&self, kept: Option<usize>, most: usize) -> Option<Next> {
        let mut queue = self.lock();
        if let Some(piece) = queue.take(&self.tables, self.jobs) {
            return Some(Next::Piece(piece));
        }
        if kept.unwrap_or(0) < most
            && let Some((task, chunk)) = queue.statistics.pop_front()
        {
            return Some(Next::Piece(Piece::Statistics { task, chunk }));
        }
        match kept {
            Some(_) if queue.incomplete == 0 => Some(Next::WriteKept),
            // While large objects are measured, parts of them may still be let in.
            None if queue.held.is_empty() && queue.measuring == 0 => {
                queue.workers.left = queue.workers.left.saturating_sub(1);
                Some(Next::End)
            }
            _ => None,
        }
    }

    /// The same, as soon as something is ready. Loses no piece when it is dropped.
    pub async fn next(&self, kept: Option<usize>, most: usize) -> Next {
        loop {
            let released = self.released.notified();
            let mut released = std::pin::pin!(released);
            released.as_mut().enable();
            if let Some(next) = self.try_next(kept, most) {
                return next;
            }
            released.await;
        }
    }
}

impl Queue {
    fn admit(&mut self, waiting: Waiting) {
        match waiting {
            Waiting::Small(task) => self.small.push_back(task),
            waiting => self.waiting.push_back(waiting),
        }
    }

    fn take(&mut self, tables: &[(TableTask, AtomicBool)], jobs: usize) -> Option<Piece> {
        if let Some(piece) = self.given_back.pop() {
            return Some(piece);
        }
        while let Some(Waiting::Shared(task, cursor)) = self.waiting.front_mut() {
            let (task, chunk) = (*task, cursor.take());
            if cursor.is_at_end() {
                self.waiting.pop_front();
            }
            if let Some(chunk) = chunk {
                return Some(Piece::Table { task, chunk });
            }
        }
        match self.waiting.pop_front() {
            Some(Waiting::Small(task) | Waiting::Whole(task)) => Some(Piece::Table {
                task,
                chunk: Chunk::WHOLE,
            }),
            Some(Waiting::Objects(task)) => {
                self.measuring += 1;
                Some(Piece::Objects(task))
            }
            Some(Waiting::Part(part)) => Some(Piece::Part(part)),
            Some(Waiting::Shared(..)) | None => self.take_small(tables, jobs),
        }
    }

    /// As many small tables as leave enough for the others.
    fn take_small(&mut self, tables: &[(TableTask, AtomicBool)], jobs: usize) -> Option<Piece> {
        let share = self.small.len().div_ceil(2 * jobs).min(BATCH_TABLES);
        let mut bytes = 0;
        let count = self
            .small
            .iter()
            .take(share)
            .take_while(|&&task| {
                bytes += tables[task].0.bytes;
                bytes <= BATCH_BYTES
            })
            .count();
        if self.small.is_empty() {
            return None;
        }
        let batch = self.small.drain(..count.max(1)).collect();
        Some(Piece::Tables(batch))
    }
}
