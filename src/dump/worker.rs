//! What one worker does: take the next piece of work, copy it out, cut it into frames; and go on in
//! another session when the one that it has is lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use crate::archive::CopyFormat;
use crate::connect::{fewer, lacks_room, moments};
use crate::error::{Error, Kind, Result, SqlState};
use crate::report::Observer;
use crate::task::Backoff;

use super::chunk::Chunk;
use super::framing::{Copy, Framed, Gathered, Way};
use super::large_objects;
use super::lead::Refused;
use super::line::Line;
use super::pipeline::{ChunkDone, Pipeline, sealed, settle};
use super::rows::{FRAME_BYTES, Filled};
use super::snapshot::{Locks, Snapshot, interrupted, is_locked_out, is_of_one_table, may_pass};
use super::statistics::{self, Kept};
use super::work::{Next, ObjectsPart, Piece, Work};

/// A session that keeps as much of statistics reads no more of them before rows are written.
const KEPT_BYTES: usize = FRAME_BYTES;

/// How often the same thing is tried after a failure, and how long it is waited: a quarter of a
/// minute in all, enough for a standby's conflict or a network's hiccup.
const TRIES: u32 = 8;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What is at least so large is read without locks on anything else, where these are the readers' own: it may take
/// long. A new transaction costs nothing beside it.
const LONG_BYTES: u64 = 16 << 20;

/// What all workers have in common.
#[derive(Clone)]
pub(super) struct Shared {
    pub snapshot: Arc<Snapshot>,
    pub work: Arc<Work>,
    pub pipeline: Pipeline,
    pub observer: Arc<dyn Observer>,
}

impl Shared {
    pub fn way<'a>(&'a self, sealing: &'a mut JoinSet<Result<()>>) -> Way<'a> {
        Way {
            snapshot: &self.snapshot,
            pipeline: &self.pipeline,
            observer: &*self.observer,
            sealing,
        }
    }
}

/// One worker.
pub(super) struct Worker {
    shared: Shared,
    line: Line,
    refused: UnboundedSender<Refused>,
    sealing: JoinSet<Result<()>>,
    kept: Vec<Kept>,
    /// Whether it has, or had, a session or is the only one left to wait for it.
    settled: bool,
}

/// A piece of work under way; what has been done of it survives a lost session.
struct Job {
    piece: Piece,
    /// Of the chunk that is being read.
    framed: Framed,
    /// Tables of a batch that have been read to their ends, or left to the leader, or left out.
    tables: usize,
    /// What comes next is locked by somebody else, and is waited for.
    waits: bool,
}

impl Job {
    /// Another value whenever something has been done.
    fn progress(&self) -> (usize, u32) {
        (self.tables, self.framed.frames)
    }

    /// The table at which it stands.
    fn task(&self) -> Option<usize> {
        match &self.piece {
            Piece::Table { task, .. } => Some(*task),
            Piece::Tables(tables) => tables.get(self.tables).copied(),
            Piece::Objects(_) | Piece::Part(_) | Piece::Statistics { .. } => None,
        }
    }

    /// Goes on behind what it stands at.
    fn pass(&mut self) {
        self.tables += 1;
        self.framed = Framed::default();
        self.waits = false;
        if !matches!(self.piece, Piece::Tables(_)) {
            self.piece = Piece::Tables(Vec::new());
        }
    }
}

impl Worker {
    pub fn new(shared: Shared, number: usize, refused: UnboundedSender<Refused>) -> Self {
        Self {
            line: Line::new(Arc::clone(&shared.snapshot), number),
            shared,
            refused,
            sealing: JoinSet::new(),
            kept: Vec::new(),
            settled: false,
        }
    }

    /// Works until nothing is left, or until the dump is stopped.
    pub async fn run(mut self) -> Result<()> {
        let mut result = self.work().await;
        if result.is_ok() {
            self.settle();
        }
        if result.is_ok() {
            result = settle(&mut self.sealing).await;
        }
        if self.shared.snapshot.stop.is_cancelled() {
            // What it was stopped in the middle of has failed for no reason of its own.
            return result.map_err(|_| interrupted());
        }
        result?;
        self.line.close().await;
        Ok(())
    }

    async fn work(&mut self) -> Result<()> {
        loop {
            let kept = self.kept.iter().map(|kept| kept.bytes).sum();
            let kept = (!self.kept.is_empty()).then_some(kept);
            let work = Arc::clone(&self.shared.work);
            let next = match work.try_next(kept, KEPT_BYTES) {
                Some(next) => next,
                None => {
                    self.line.let_go().await;
                    tokio::select! {
                        next = work.next(kept, KEPT_BYTES) => next,
                        // What it waits for may never come: a frame of its own that fails, the
                        // writer or another worker that has stopped.
                        Some(joined) = self.sealing.join_next() => {
                            sealed(joined)?;
                            continue;
                        }
                        () = self.shared.pipeline.closed() => Next::End,
                        () = self.shared.snapshot.stop.cancelled() => Next::End,
                    }
                }
            };
            if self.shared.snapshot.stop.is_cancelled() {
                return Ok(());
            }
            match next {
                Next::Piece(piece) if self.has_room().await => self.read(piece).await?,
                Next::Piece(piece) => {
                    work.give_back(piece);
                    if self.leaves().await {
                        return Ok(());
                    }
                }
                Next::WriteKept => {
                    for kept in std::mem::take(&mut self.kept) {
                        self.write_statistics(kept).await?;
                    }
                }
                Next::End => return Ok(()),
            }
            while let Some(joined) = self.sealing.try_join_next() {
                sealed(joined)?;
            }
        }
    }

    /// Whether the server has not refused a session for want of room; what else is wrong shows when a piece is read.
    async fn has_room(&mut self) -> bool {
        if self.settled {
            return true;
        }
        match self.line.session(0).await {
            Err(error) if lacks_room(&error) => return false,
            Err(_) => {}
            Ok(_) => self.settle(),
        }
        true
    }

    /// The server has no room for a session of this worker, which ends if it finds none in a moment and others
    /// are left.
    async fn leaves(&mut self) -> bool {
        let stop = self.shared.snapshot.stop.clone();
        for wait in moments() {
            let waiting = tokio::time::sleep(wait);
            if stop.run_until_cancelled(waiting).await.is_none() || self.has_room().await {
                return false;
            }
        }
        let Some(told) = self.shared.work.leave() else {
            self.settle();
            return false;
        };
        self.settled = true;
        self.tell(told);
        true
    }

    fn settle(&mut self) {
        if !std::mem::replace(&mut self.settled, true) {
            let told = self.shared.work.settle();
            self.tell(told);
        }
    }

    fn tell(&self, fewer_than_wanted: Option<(usize, usize)>) {
        if let Some((there, wanted)) = fewer_than_wanted {
            self.shared.observer.warning(fewer(there, wanted));
        }
    }

    /// Reads one piece, in as many sessions as it takes.
    async fn read(&mut self, piece: Piece) -> Result<()> {
        let mut job = Job {
            piece,
            framed: Framed::default(),
            tables: 0,
            waits: false,
        };
        let mut waits = Backoff::new(FIRST_WAIT, LONGEST_WAIT, TRIES);
        loop {
            let before = job.progress();
            let Err(error) = self.attempt(&mut job).await else {
                return Ok(());
            };
            let snapshot = &self.shared.snapshot;
            if snapshot.stop.is_cancelled() {
                return Err(error);
            }
            let locked_out = is_locked_out(&error);
            match snapshot.locks {
                Locks::OfLeader if locked_out && self.refuse(&mut job) => continue,
                Locks::OfReaders if locked_out && self.wait(&mut job) => continue,
                Locks::OfReaders if is_of_one_table(&error) => {
                    self.leave_out(&mut job, error).await?;
                    continue;
                }
                Locks::OfLeader | Locks::OfReaders => {}
            }
            let error = self.named(&job, error);
            if !locked_out && !may_pass(&error) {
                return Err(error);
            }
            let snapshot = &self.shared.snapshot;
            snapshot.must_hold()?;
            if job.progress() != before {
                waits.reset();
            }
            let Some(wait) = waits.next() else {
                return Err(error);
            };
            // Nothing was lost yet where there is only no room.
            if self.line.was_opened() || !lacks_room(&error) {
                let observer = &self.shared.observer;
                observer.warning(format!("{error}: it is read again under the same snapshot"));
            }
            self.line.abandon();
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = snapshot.stop.cancelled() => return Err(error),
                () = snapshot.lost.cancelled() => return Err(snapshot.leader_lost()),
            }
        }
    }

    /// Has the next attempt wait for the table at which a job stands, with no lock on any other. False if it waits
    /// already, or for no table.
    fn wait(&self, job: &mut Job) -> bool {
        let Some(task) = job.task().filter(|_| !job.waits) else {
            return false;
        };
        self.shared.observer.info(format!(
            "another session has locked table {}: it is waited for",
            self.shared.work.table(task).label
        ));
        job.waits = true;
        true
    }

    /// Goes on without what a job stands at, which the server refuses to read.
    async fn leave_out(&self, job: &mut Job, error: Error) -> Result<()> {
        let work = &self.shared.work;
        let entry = match (&job.piece, job.task()) {
            (_, Some(task)) => {
                // Whatever nobody has taken yet of it fails as well.
                work.take_rest(task);
                work.table(task).entry
            }
            (&Piece::Objects(task), None) => {
                work.measured(Vec::new());
                work.large_objects(task).entry
            }
            (Piece::Part(part), None) => work.large_objects(part.task).entry,
            (Piece::Table { .. } | Piece::Tables(_) | Piece::Statistics { .. }, None) => {
                return Err(error);
            }
        };
        job.pass();
        self.shared.pipeline.refused(entry, error).await
    }

    /// With the name of what a job stands at. (A dump has named it where it was asked for.)
    fn named(&self, job: &Job, error: Error) -> Error {
        match (self.shared.snapshot.locks, job.task()) {
            (Locks::OfReaders, Some(task)) => {
                let label = &self.shared.work.table(task).label;
                error.context(format!("compare {label}"))
            }
            (Locks::OfReaders, None) => error.context("compare large objects"),
            (Locks::OfLeader, _) => error,
        }
    }

    /// Leaves the table at which a job stands to the leader, with all of it that nobody has taken yet.
    /// False if the leader has no lock on it either.
    fn refuse(&self, job: &mut Job) -> bool {
        let work = &self.shared.work;
        let Some(task) = job.task() else {
            return false;
        };
        let chunk = match &job.piece {
            Piece::Table { chunk, .. } => *chunk,
            _ => Chunk::WHOLE,
        };
        let table = work.table(task);
        if table.copy.is_foreign {
            return false;
        }
        self.shared.observer.info(format!(
            "another session waits for an exclusive lock on table {} or an index of it: the session \
             that has locked the table reads it",
            table.label
        ));
        let framed = std::mem::take(&mut job.framed);
        let rest = work.take_rest(task).map(|chunk| Refused {
            task,
            chunk,
            framed: Framed::default(),
        });
        let this = Refused {
            task,
            chunk,
            framed,
        };
        for refused in std::iter::once(this).chain(rest) {
            // The leader is there as long as any worker, unless the dump is being stopped.
            drop(self.refused.send(refused));
        }
        job.pass();
        true
    }

    /// Goes on with a job in one session.
    async fn attempt(&mut self, job: &mut Job) -> Result<()> {
        let locks = self.shared.snapshot.locks;
        if let Piece::Objects(task) = job.piece {
            let measured = self.measure(task).await;
            job.piece = Piece::Part(measured.map_err(|error| of_objects(error, locks))?);
        }
        let work = &self.shared.work;
        match &job.piece {
            Piece::Table { task, chunk } => {
                let (task, chunk) = (*task, *chunk);
                work.begin(task, &*self.shared.observer);
                let label = work.table(task).label.clone();
                let read = self.table(task, chunk, job).await;
                read.map_err(|error| of_table(error, &label, locks))
            }
            Piece::Tables(tables) => {
                let all = tables.len();
                while job.tables < all {
                    self.tables(job).await?;
                }
                Ok(())
            }
            Piece::Part(part) => {
                let read = self.part(part, &mut job.framed).await;
                read.map_err(|error| of_objects(error, locks))
            }
            Piece::Statistics { task, chunk } => {
                let statistics = work.statistics(*task);
                let wire = self.line.session(0).await?;
                let read = statistics::read(wire, statistics, *chunk, &work.unread).await?;
                self.kept.push(read);
                Ok(())
            }
            Piece::Objects(_) => Ok(()),
        }
    }

    async fn table(&mut self, task: usize, chunk: Chunk, job: &mut Job) -> Result<()> {
        let table = self.shared.work.table(task);
        if self.shared.snapshot.locks == Locks::OfReaders && table.bytes >= LONG_BYTES {
            self.line.let_go().await;
        }
        let wire = match job.waits {
            true => self.line.patient_session().await?,
            false => self.line.session(1).await?,
        };
        // A dump is asked to read it, or has none.
        let allows_foreign = table.copy.is_foreign && self.shared.snapshot.locks == Locks::OfLeader;
        if allows_foreign {
            wire.execute(ALLOW_FOREIGN).await?;
        }
        let stream = wire.copy_out(&table.statement(chunk)).await?.into();
        let way = &mut self.shared.way(&mut self.sealing);
        Copy::of_table(table, chunk)
            .run(stream, &mut job.framed, way)
            .await?;
        if allows_foreign {
            match wire.execute(FORBID_FOREIGN).await {
                // The table is whole, and its end was told; what comes next has another transaction.
                Err(error) if may_pass(&error) => {}
                forbidden => drop(forbidden?),
            }
        }
        Ok(())
    }

    /// Reads small tables, asked for all at once; or one of them, if that is waited for.
    async fn tables(&mut self, job: &mut Job) -> Result<()> {
        let Piece::Tables(tables) = &job.piece else {
            return Ok(());
        };
        let work = &self.shared.work;
        let mut left = tables.get(job.tables..).unwrap_or_default();
        if job.waits {
            left = left.get(..1).unwrap_or_default();
        }
        let locks = self.shared.snapshot.locks;
        let Some(&first) = left.first() else {
            return Ok(());
        };
        let statements: Vec<String> = left
            .iter()
            .map(|&task| work.table(task).statement(Chunk::WHOLE))
            .collect();
        let asked = async {
            let wire = match job.waits {
                true => self.line.patient_session().await?,
                false => self.line.session(left.len()).await?,
            };
            wire.copy_outs(&statements).await
        };
        let mut copies = asked
            .await
            .map_err(|error| of_table(error, &work.table(first).label, locks))?;
        let way = &mut self.shared.way(&mut self.sealing);
        let mut gathered = Gathered::new();
        let mut result = Ok(());
        for &task in left {
            let table = work.table(task);
            work.begin(task, &*self.shared.observer);
            let read = async {
                let stream = copies.next().await?.ok_or_else(unanswered)?.into();
                let copy = Copy::of_table(table, Chunk::WHOLE);
                gathered.run(copy, stream, &mut job.framed, way).await
            };
            result = read
                .await
                .map_err(|error| of_table(error, &table.label, locks));
            if result.is_err() {
                break;
            }
            job.framed = Framed::default();
            job.tables += 1;
            job.waits = false;
        }
        gathered.seal(way);
        if result.is_ok() && copies.next().await?.is_some() {
            result = Err(unanswered());
        }
        result
    }

    /// Asks how large a group's objects are, and lets in all parts of it but the first.
    async fn measure(&mut self, task: usize) -> Result<ObjectsPart> {
        let work = &self.shared.work;
        let wire = self.line.session(0).await?;
        let spans = large_objects::measure(wire, &work.large_objects(task).oids).await?;
        let parts = large_objects::cut(spans, work.jobs());
        let of = u32::try_from(parts.len()).map_err(|_| too_many())?;
        let mut parts = (0..).zip(parts).map(|(chunk, spans)| ObjectsPart {
            task,
            chunk,
            of,
            spans,
        });
        let first = parts.next();
        work.measured(parts.collect());
        first.ok_or_else(|| Error::new(Kind::Failed, "a group of large objects without any"))
    }

    async fn part(&mut self, part: &ObjectsPart, framed: &mut Framed) -> Result<()> {
        let wire = self.line.session(0).await?;
        let statement = large_objects::statement(&part.spans);
        let stream = wire.copy_out(&statement).await?.into();
        let copy = Copy {
            entry: self.shared.work.large_objects(part.task).entry,
            chunk: part.chunk,
            of: Some(part.of),
            format: CopyFormat::Binary,
            types: &[],
            table: None,
        };
        let way = &mut self.shared.way(&mut self.sealing);
        copy.run(stream, framed, way).await
    }

    /// Hands statistics on, in frames as large as those of rows.
    async fn write_statistics(&mut self, kept: Kept) -> Result<()> {
        let pipeline = &self.shared.pipeline;
        let chunk = u32::try_from(kept.chunk).map_err(|_| too_many())?;
        let of = u32::try_from(kept.of).map_err(|_| too_many())?;
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
            let bytes = buffer.bytes.len();
            let filled = Filled { rows, bytes };
            let sealing = pipeline
                .clone()
                .seal(kept.entry, chunk, frames, filled, buffer);
            self.sealing.spawn_on(sealing, pipeline.runtime());
            frames += 1;
        }
        let done = ChunkDone {
            entry: kept.entry,
            frames: u64::from(frames),
            fingerprint: kept.fingerprint,
            of: Some(of),
        };
        pipeline.chunk_done(done).await
    }
}

fn too_many() -> Error {
    Error::new(Kind::Failed, "more chunks or frames than an archive counts")
}

fn unanswered() -> Error {
    Error::new(Kind::Failed, "the answers do not fit the statements")
}

/// The error of a table's COPY, as a dump tells it.
pub(super) fn of_table(error: Error, label: &str, locks: Locks) -> Error {
    if locks == Locks::OfReaders {
        return error;
    }
    let denied = error.sqlstate() == Some(&SqlState::INSUFFICIENT_PRIVILEGE);
    let error = if denied && error.message().contains("row-level security") {
        error.with_hint(
            "dump as a role with BYPASSRLS, or only the rows that this one may see with \
             --enable-row-security",
        )
    } else {
        error
    };
    error.context(format!("dump table {label}"))
}

/// The error of a COPY of large objects, as a dump tells it.
fn of_objects(error: Error, locks: Locks) -> Error {
    if locks == Locks::OfReaders {
        return error;
    }
    let error = error.context("dump large objects");
    if error.sqlstate() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
        error.with_hint("grant SELECT on it, or leave large objects out with --no-large-objects")
    } else {
        error
    }
}

/// A dump's transaction reads no foreign tables unless that is what it is asked to do. (The setting
/// is one that older servers do not have.)
const ALLOW_FOREIGN: &str = "\
SELECT pg_catalog.set_config(name, 'view', true) FROM pg_catalog.pg_settings \
WHERE name = 'restrict_nonsystem_relation_kind'";
const FORBID_FOREIGN: &str = "\
SELECT pg_catalog.set_config(name, 'view, foreign-table', true) FROM pg_catalog.pg_settings \
WHERE name = 'restrict_nonsystem_relation_kind'";
