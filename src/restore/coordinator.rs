//! The one loop that knows everything: which steps may start, which frames are there, which
//! sessions are free.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::future::join_all;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::failure::{interrupted, is_fatal};
use super::feed::{Feed, Happening, SMALL_BYTES, SMALL_FRAMES};
use super::frame::{Payload, ReadyFrame, Unpacker};
use super::options::OnError;
use super::outcome::{Loading, Moved, Outcome, Progress};
use super::serial::{CANCEL_AGAIN, PATIENCE, batches};
use super::session::{Reach, Session};
use super::shared::{Shared, Transactions};
use super::statistics;
use super::worker::{Job, Loaded, Report, work};
use crate::archive::EntryId;
use crate::error::{Error, Kind, Result, one_line};
use crate::plan::{Barrier, Schedule, Step, StepId, Work};
use crate::report::Event;

/// A session, as the coordinator sees it.
struct Worker {
    jobs: mpsc::Sender<Job>,
    reach: Reach,
    busy: Busy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Busy {
    No,
    Statements,
    Frame,
}

/// Runs everything after the definitions.
pub(super) struct Coordinator<'s> {
    shared: Arc<Shared>,
    schedule: Schedule<'s>,
    outcome: &'s mut Outcome,
    feed: Feed,
    /// A pipe must be read to its end, whatever is wanted of it.
    pipe_open: bool,
    workers: Vec<Worker>,
    tasks: JoinSet<Session>,
    happenings: mpsc::UnboundedReceiver<Happening>,
    /// Rows that may be loaded.
    loading: Loading,
    steps_of_rows: BTreeMap<EntryId, (StepId, Work)>,
    /// Relations whose statistics are not restored, by the entry of the statistics.
    unwanted_statistics: BTreeMap<EntryId, BTreeSet<(String, String)>>,
    /// What a pipe said of entries whose rows may not be loaded yet.
    announced: BTreeMap<EntryId, u64>,
    ready: VecDeque<ReadyFrame>,
    /// Privileges: given by one session, batch by batch.
    batches: VecDeque<Job>,
    batch_running: bool,
    phase: usize,
}

/// Most quick steps in one transaction: each holds its locks until the end of it.
const QUICK_STEPS: usize = 100;

const PHASES: [(&str, Option<Barrier>); 5] = [
    ("data", Some(Barrier::Rows)),
    ("post-data", Some(Barrier::Main)),
    ("privileges", Some(Barrier::Privileges)),
    ("last", Some(Barrier::Last)),
    ("analyze", None),
];

/// Whether what is done needs frames of the archive.
fn has_frames(work: Work) -> bool {
    matches!(work, Work::Rows | Work::LargeObjects | Work::Statistics)
}

/// Whether what is done is made of complete tables.
fn is_of_tables(work: Work) -> bool {
    matches!(work, Work::Statements | Work::Vacuum)
}

/// Whether a frame may be loaded together with others.
fn is_small(frame: &ReadyFrame) -> bool {
    matches!(frame.payload, Payload::Copy(_)) && frame.raw_bytes() <= SMALL_BYTES
}

impl<'s> Coordinator<'s> {
    /// Gives each session a task. `schedule` stands where the definitions are done.
    pub(super) fn new(
        shared: &'s Arc<Shared>,
        schedule: Schedule<'s>,
        outcome: &'s mut Outcome,
        feed: Feed,
        sessions: Vec<Session>,
        unpacker: &Arc<Unpacker>,
        (sender, happenings): (
            mpsc::UnboundedSender<Happening>,
            mpsc::UnboundedReceiver<Happening>,
        ),
    ) -> Self {
        let mut tasks = JoinSet::new();
        let workers = sessions
            .into_iter()
            .enumerate()
            .map(|(id, session)| {
                let (jobs, receiver) = mpsc::channel(1);
                let reach = session.reach();
                let (shared, unpacker) = (Arc::clone(shared), Arc::clone(unpacker));
                tasks.spawn(work(
                    id,
                    session,
                    shared,
                    unpacker,
                    receiver,
                    sender.clone(),
                ));
                Worker {
                    jobs,
                    reach,
                    busy: Busy::No,
                }
            })
            .collect();
        Self {
            shared: Arc::clone(shared),
            schedule,
            outcome,
            pipe_open: matches!(feed, Feed::Pipe(_)),
            feed,
            workers,
            tasks,
            happenings,
            loading: Loading::new(),
            steps_of_rows: BTreeMap::new(),
            unwanted_statistics: BTreeMap::new(),
            announced: BTreeMap::new(),
            ready: VecDeque::new(),
            batches: VecDeque::new(),
            batch_running: false,
            phase: 0,
        }
    }

    /// Runs to the end. One of the sessions that did it is given back: as long as it answers, the server
    /// has not crashed meanwhile.
    ///
    /// # Errors
    /// The first failure, unless failures are collected; then only one that makes going on
    /// senseless. Nothing runs on the server any more then.
    pub(super) async fn run(mut self, cancel: &CancellationToken) -> Result<Session> {
        let mut ended = self.walk(cancel).await;
        if ended.is_ok() && self.shared.transactions == Transactions::One {
            ended = self.commit().await;
        }
        if let Err(error) = ended {
            self.stop().await;
            return Err(error);
        }
        // Sessions end when there can be no more jobs.
        self.workers.clear();
        let mut kept: Option<Session> = None;
        while let Some(joined) = self.tasks.join_next().await {
            let Ok(session) = joined else { continue };
            if let Some(other) = kept.replace(session) {
                other.wire.close().await;
            }
        }
        kept.ok_or_else(|| Error::new(Kind::Failed, "restore: every session has ended"))
    }

    async fn walk(&mut self, cancel: &CancellationToken) -> Result<()> {
        self.begin_phase();
        loop {
            let left = self.schedule.left();
            self.begin_rows()?;
            self.pass_phases();
            self.queue_privileges();
            self.dispatch().await?;
            if self.schedule.left() < left {
                // Something was skipped or had nothing to do: what waited for it may start.
                continue;
            }
            if self.schedule.is_done() && !self.pipe_open && self.all_idle() {
                return Ok(());
            }
            if self.all_idle() && !self.pipe_open && !self.frames_are_coming() {
                // Cannot be: a plan has no cycles and every lock has a holder that runs.
                return Err(Error::new(
                    Kind::Failed,
                    "restore: nothing runs and nothing can start",
                ));
            }
            let happening = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(interrupted()),
                happening = self.happenings.recv() => happening,
                // While there can be jobs a task ends only by a panic, and then says nothing.
                Some(ended) = self.tasks.join_next() => {
                    let why = ended.err().map_or_else(String::new, |error| format!(": {error}"));
                    return Err(Error::new(
                        Kind::Failed,
                        format!("restore: a session has ended early{why}"),
                    ));
                }
            };
            match happening {
                Some(happening) => self.take(happening)?,
                None => {
                    return Err(Error::new(Kind::Failed, "restore: every session has ended"));
                }
            }
        }
    }

    /// Has the only session commit.
    async fn commit(&mut self) -> Result<()> {
        let ended = || Error::new(Kind::Failed, "restore: a session has ended early");
        let worker = self.workers.first_mut().ok_or_else(ended)?;
        worker.busy = Busy::Statements;
        worker.jobs.send(Job::Commit).await.map_err(|_| ended())?;
        loop {
            // Nothing else is under way; what is read ahead of need says nothing any more.
            if let Happening::Worked {
                report: Report::Commit { outcome },
                ..
            } = self.happenings.recv().await.ok_or_else(ended)?
            {
                return outcome;
            }
        }
    }

    fn all_idle(&self) -> bool {
        self.workers.iter().all(|worker| worker.busy == Busy::No)
    }

    /// Whether a file's frames are being read. A pipe that has ended gives no more.
    fn frames_are_coming(&self) -> bool {
        matches!(self.feed, Feed::File(_))
            && self.loading.values().any(|progress| !progress.is_over())
    }

    /// Starts all steps that load rows and may start, and ends those that are done.
    fn begin_rows(&mut self) -> Result<()> {
        while let Some(step) = self.schedule.take(has_frames) {
            let Some(entry) = step.entry else { continue };
            let skipped = match step.work {
                Work::Statistics => !self.begin_statistics(entry),
                _ => self.outcome.skips(&self.shared, step.id),
            };
            if skipped {
                self.give_up(entry);
                self.schedule.finish(step.id);
                continue;
            }
            let expected = match &mut self.feed {
                Feed::File(feed) => Some(feed.begin(entry, step.id)?),
                Feed::Pipe(_) => self.announced.remove(&entry),
            };
            self.steps_of_rows.insert(entry, (step.id, step.work));
            let loaded = self
                .shared
                .journal
                .as_ref()
                .map_or(0, |journal| journal.frames(entry));
            self.loading.insert(entry, Progress::of(expected, loaded));
            self.end_if_over(entry);
        }
        self.read_on();
        Ok(())
    }

    /// Has a file read ahead.
    fn read_on(&mut self) {
        let Feed::File(feed) = &mut self.feed else {
            return;
        };
        let small = self.ready.iter().filter(|frame| is_small(frame)).count();
        feed.pump(self.ready.len() - small + small.div_ceil(SMALL_FRAMES));
    }

    fn table_name(&self, entry: EntryId) -> String {
        let Some(entry) = self.shared.entry(entry) else {
            return String::new();
        };
        let name = entry.relation.as_ref().unwrap_or(&entry.name);
        let name = match &entry.schema {
            Some(schema) => format!("{schema}.{name}"),
            None => name.clone(),
        };
        one_line(&name)
    }

    /// Whether any of an entry's statistics are to be restored; what is not is known then.
    fn begin_statistics(&mut self, entry: EntryId) -> bool {
        let (outcome, shared) = (&self.outcome, &self.shared);
        if let Some(of) = shared.entry(entry).filter(|_| shared.takes_statistics) {
            let lacks = |id, schema: &str, table: &str| outcome.lacks(id, schema, table);
            let unwanted = statistics::unwanted(&shared.entries, &shared.plan, of, lacks);
            self.unwanted_statistics.insert(entry, unwanted);
            return true;
        }
        false
    }

    /// No more frames of an entry are wanted.
    fn give_up(&mut self, entry: EntryId) {
        if let Feed::File(feed) = &mut self.feed {
            feed.give_up(entry);
        }
        self.ready.retain(|frame| frame.entry != entry);
        self.announced.remove(&entry);
    }

    fn end_if_over(&mut self, entry: EntryId) {
        let is_over = self.loading.get(&entry).is_some_and(Progress::is_over);
        let Some(&(step, work)) = self.steps_of_rows.get(&entry).filter(|_| is_over) else {
            return;
        };
        let Some(progress) = self.loading.remove(&entry) else {
            return;
        };
        self.steps_of_rows.remove(&entry);
        if work == Work::Statistics {
            self.unwanted_statistics.remove(&entry);
            self.outcome
                .done(&self.shared, step, progress.began.elapsed().as_secs_f64());
        } else if !progress.failed {
            if !progress.started {
                self.shared.event(&Event::TableStarted {
                    table: self.table_name(entry),
                    bytes: 0,
                });
            }
            if let Some(of) = self.shared.entry(entry) {
                self.outcome.loaded(of, work);
            }
            self.shared.event(&Event::TableDone {
                table: self.table_name(entry),
                rows: progress.rows,
                bytes: progress.raw_bytes,
            });
        }
        self.schedule.finish(step);
    }

    fn begin_phase(&mut self) {
        let (name, _) = PHASES[self.phase];
        self.outcome.phase(name);
        self.shared.event(&Event::Phase { name, steps: None });
    }

    /// Follows the barriers that were passed.
    fn pass_phases(&mut self) {
        while let (_, Some(barrier)) = PHASES[self.phase] {
            if !self.schedule.has_passed(barrier) {
                break;
            }
            self.phase += 1;
            self.begin_phase();
        }
    }

    /// Privileges wait in the schedule until the main pass is over; then all of them are taken.
    fn queue_privileges(&mut self) {
        let mut steps = Vec::new();
        let is_privileges = |work| work == Work::Privileges;
        if !self.schedule.has_passed(Barrier::Main) {
            return;
        }
        while let Some(step) = self.schedule.take(is_privileges) {
            if self.needs_nothing(step.id) {
                self.schedule.finish(step.id);
            } else {
                steps.push(step.id);
            }
        }
        steps.sort_unstable();
        for batch in batches(&self.shared, &steps) {
            self.batches.push_back(Job::Together(batch.to_vec()));
        }
    }

    /// Gives every free session something to do, as far as there is anything.
    async fn dispatch(&mut self) -> Result<()> {
        while let Some(free) = self.workers.iter().position(|w| w.busy == Busy::No) {
            let Some((job, busy)) = self.next_job() else {
                break;
            };
            self.workers[free].busy = busy;
            if self.workers[free].jobs.send(job).await.is_err() {
                return Err(Error::new(
                    Kind::Failed,
                    "restore: a session has ended early",
                ));
            }
        }
        self.read_on();
        Ok(())
    }

    /// Rows first while nobody loads any, or while they and what waits for them are the longest work;
    /// then what is made of complete tables; then rows again.
    fn next_job(&mut self) -> Option<(Job, Busy)> {
        let nobody_loads = self.workers.iter().all(|w| w.busy != Busy::Frame);
        if (nobody_loads || self.rows_are_longest())
            && let Some(frame) = self.next_frame()
        {
            return Some((self.job_of(frame), Busy::Frame));
        }
        if !self.batch_running
            && let Some(batch) = self.batches.pop_front()
        {
            self.batch_running = true;
            return Some((batch, Busy::Statements));
        }
        while let Some(step) = self.schedule.take(is_of_tables) {
            if step.work == Work::Vacuum {
                if !self.outcome.was_done(&self.shared, step.id) && self.has_table(step) {
                    return Some((Job::Maintain(step.id), Busy::Statements));
                }
                self.schedule.finish(step.id);
                continue;
            }
            if self.needs_nothing(step.id) {
                self.schedule.finish(step.id);
                continue;
            }
            let job = match self.shared.on_error {
                OnError::Exit => Job::Together(self.with_more(step)),
                OnError::Continue => Job::Apart(step.id),
            };
            let waiting = self.schedule.ready(Work::Statements);
            self.shared.waiting.store(waiting, Ordering::Relaxed);
            return Some((job, Busy::Statements));
        }
        if let Some(frame) = self.next_frame() {
            return Some((self.job_of(frame), Busy::Frame));
        }
        while let Some(step) = self.schedule.take(|work| matches!(work, Work::Analyze(_))) {
            if !self.outcome.was_done(&self.shared, step.id) && self.has_table(step) {
                return Some((Job::Maintain(step.id), Busy::Statements));
            }
            self.schedule.finish(step.id);
        }
        None
    }

    /// Whether rows that are ready, with what waits for them, are longer work than any step that could
    /// start. What a pipe will bring is not known.
    fn rows_are_longest(&mut self) -> bool {
        let Feed::File(feed) = &self.feed else {
            return false;
        };
        let next = self.next_ready().and_then(|at| self.ready.get(at));
        let Some(frame) = next else { return false };
        let Some(&(step, _)) = self.steps_of_rows.get(&frame.entry) else {
            return false;
        };
        let rows = feed.urgency(frame.entry, step);
        let step = self.schedule.next_priority(is_of_tables);
        step.is_none_or(|step| rows > step)
    }

    /// What is done with a frame.
    fn job_of(&mut self, mut frame: ReadyFrame) -> Job {
        let Payload::Statistics { relations, .. } = &mut frame.payload else {
            return match frame.payload {
                Payload::LargeObjects { .. } => Job::LargeObjects(frame),
                _ => Job::Rows(self.with_more_frames(frame)),
            };
        };
        if let Some(unwanted) = self.unwanted_statistics.get(&frame.entry) {
            relations.retain(|relation| {
                !unwanted.contains(&(relation.schema.clone(), relation.relation.clone()))
            });
        }
        Job::Statistics(frame)
    }

    /// A frame, and if it is small, others that are, for one transaction; as many as leave the same
    /// to each session. Where triggers are switched, each table is for itself.
    fn with_more_frames(&mut self, first: ReadyFrame) -> Vec<ReadyFrame> {
        let mut frames = vec![first];
        if !frames.iter().all(is_small) || !self.shared.triggers.is_empty() {
            return frames;
        }
        let share = 1 + self.ready.len() / self.workers.len().max(1);
        while frames.len() < share.min(SMALL_FRAMES) && self.ready.front().is_some_and(is_small) {
            match self.next_frame() {
                Some(frame) if is_small(&frame) => frames.push(frame),
                Some(frame) => {
                    // The first was not wanted yet, and this one stands behind it.
                    if let Some(progress) = self.loading.get_mut(&frame.entry) {
                        progress.under_way -= 1;
                    }
                    self.ready.push_front(frame);
                    break;
                }
                None => break,
            }
        }
        frames
    }

    /// Whether the table of a step is there, with its rows.
    fn has_table(&self, step: &Step) -> bool {
        let Some(entry) = step.entry.and_then(|id| self.shared.entry(id)) else {
            return false;
        };
        let schema = entry.schema.as_deref().unwrap_or_default();
        let name = entry.relation.as_ref().unwrap_or(&entry.name);
        !self.outcome.lacks(Some(entry.id), schema, name)
    }

    /// A step, and if it is quick, others that are, for one transaction; as many as leave the same to
    /// each session.
    fn with_more(&mut self, first: &Step) -> Vec<StepId> {
        let mut steps = vec![first.id];
        if !first.is_quick {
            return steps;
        }
        let share = 1 + self.schedule.ready(Work::Statements) / self.workers.len().max(1);
        let limit = match self.shared.transactions {
            Transactions::Many { steps } => steps.min(QUICK_STEPS),
            Transactions::One => QUICK_STEPS,
        };
        while steps.len() < share.min(limit) {
            let is_statements = |work| work == Work::Statements;
            let Some(step) = self.schedule.take_if(is_statements, |step| step.is_quick) else {
                break;
            };
            if self.needs_nothing(step.id) {
                self.schedule.finish(step.id);
            } else {
                steps.push(step.id);
            }
        }
        steps
    }

    /// Whether a step need not be tried: it is done, or what it needs is not there.
    fn needs_nothing(&mut self, step: StepId) -> bool {
        self.outcome.was_done(&self.shared, step) || self.outcome.skips(&self.shared, step)
    }

    /// Where the next frame is whose table takes another session.
    fn next_ready(&self) -> Option<usize> {
        self.ready.iter().position(|frame| {
            self.loading
                .get(&frame.entry)
                .is_some_and(|progress| self.takes_another(frame.entry, progress))
        })
    }

    /// The next frame whose table takes another session.
    fn next_frame(&mut self) -> Option<ReadyFrame> {
        let at = self.next_ready()?;
        let frame = self.ready.remove(at)?;
        let progress = self.loading.get_mut(&frame.entry)?;
        progress.under_way += 1;
        if !progress.started {
            progress.started = true;
            self.say_started(frame.entry);
        }
        Some(frame)
    }

    fn say_started(&self, entry: EntryId) {
        let step = self.steps_of_rows.get(&entry);
        if step.is_some_and(|&(_, work)| work == Work::Statistics) {
            return;
        }
        let step = step.and_then(|&(step, _)| self.shared.step(step));
        self.shared.event(&Event::TableStarted {
            table: self.table_name(entry),
            bytes: step.map_or(0, |step| step.cost),
        });
    }

    /// Whether another session may load a frame of this entry now. Two must not write into one large
    /// object, nor switch the triggers of one table or of one partition tree.
    fn takes_another(&self, entry: EntryId, progress: &Progress) -> bool {
        let work = self.steps_of_rows.get(&entry).map(|&(_, work)| work);
        if work == Some(Work::LargeObjects) {
            return progress.under_way == 0;
        }
        let Some(states) = self.shared.triggers.get(&entry) else {
            return true;
        };
        let is_switched = |other: &EntryId| {
            let others = self.shared.triggers.get(other);
            others.is_some_and(|others| others.together == states.together)
        };
        let mut loading = self.loading.iter();
        loading.all(|(other, progress)| progress.under_way == 0 || !is_switched(other))
    }

    fn take(&mut self, happening: Happening) -> Result<()> {
        match happening {
            Happening::Worked { worker, report } => {
                if let Some(worker) = self.workers.get_mut(worker) {
                    worker.busy = Busy::No;
                }
                self.take_report(report)
            }
            Happening::Unpacked(frames) => {
                for frame in frames? {
                    let unwanted = match self.loading.get(&frame.entry) {
                        Some(progress) => progress.failed,
                        // Not begun yet, or already given up.
                        None => !self.is_expected(frame.entry),
                    };
                    if !unwanted {
                        self.ready.push_back(frame);
                    }
                }
                Ok(())
            }
            Happening::Complete { entry, frames } => {
                match self.loading.get_mut(&entry) {
                    Some(progress) => progress.expected = Some(frames),
                    None => {
                        self.announced.insert(entry, frames);
                    }
                }
                self.end_if_over(entry);
                Ok(())
            }
            Happening::End => {
                self.pipe_open = false;
                Ok(())
            }
            Happening::Broken(error) => {
                Err(error
                    .with_hint("the target holds a part of it; what was loaded before is there"))
            }
        }
    }

    /// Whether rows of this entry will be loaded later.
    fn is_expected(&self, entry: EntryId) -> bool {
        let of_entry = |step: &&Step| step.entry == Some(entry);
        let rows = |step: &&Step| has_frames(step.work);
        let mut steps = self.shared.plan.steps.iter().filter(of_entry).filter(rows);
        steps.any(|step| !self.schedule.is_finished(step.id))
    }

    fn take_report(&mut self, report: Report) -> Result<()> {
        match report {
            Report::Together {
                steps,
                outcome,
                seconds,
            } => self.take_together(&steps, outcome, seconds),
            Report::Apart {
                step,
                outcome,
                seconds,
            } => {
                if self.batch_running && self.is_privileges(step) {
                    self.batch_running = false;
                }
                self.outcome.apart(&self.shared, step, outcome, seconds)?;
                self.schedule.finish(step);
                Ok(())
            }
            Report::Frames(frames) => {
                for Loaded {
                    entry,
                    moved,
                    outcome,
                } in frames
                {
                    self.take_frame(entry, moved, outcome)?;
                }
                Ok(())
            }
            Report::Commit { outcome } => outcome,
            Report::Statistics { entry, outcome } => {
                let applied = outcome?;
                if let Some(progress) = self.loading.get_mut(&entry) {
                    progress.under_way -= 1;
                    progress.loaded += 1;
                }
                self.outcome.statistics(&self.shared, applied);
                self.end_if_over(entry);
                Ok(())
            }
            Report::Maintained {
                step,
                outcome,
                seconds,
            } => {
                match outcome {
                    Ok(()) => self.outcome.maintained(&self.shared, step, seconds),
                    Err(error) if is_fatal(&error) => return Err(error),
                    // All rows are there: what the planner or the next check lacks is no failed restore.
                    Err(error) => {
                        let name = self.shared.step(step).map(|step| step.name.clone());
                        let name = name.unwrap_or_default();
                        let what = match self.shared.step(step).map(|step| step.work) {
                            Some(Work::Vacuum) => "vacuum",
                            _ => "analyze",
                        };
                        self.shared.warn(format!("{what} {name}: {error}"));
                    }
                }
                self.schedule.finish(step);
                Ok(())
            }
        }
    }

    fn is_privileges(&self, step: StepId) -> bool {
        self.shared
            .step(step)
            .is_some_and(|step| step.work == Work::Privileges)
    }

    fn take_together(
        &mut self,
        steps: &[StepId],
        outcome: Result<(), (StepId, Error)>,
        seconds: f64,
    ) -> Result<()> {
        if steps.first().is_some_and(|&step| self.is_privileges(step)) {
            self.batch_running = false;
        }
        match outcome {
            Ok(()) => {
                let seconds = seconds / steps.len().max(1) as f64;
                for &step in steps {
                    self.outcome.done(&self.shared, step, seconds);
                    self.schedule.finish(step);
                }
                Ok(())
            }
            Err((_, error)) if self.shared.on_error == OnError::Exit || is_fatal(&error) => {
                Err(error)
            }
            Err(_) => {
                for &step in steps.iter().rev() {
                    self.batches.push_front(Job::Apart(step));
                }
                Ok(())
            }
        }
    }

    fn take_frame(&mut self, entry: EntryId, moved: Moved, outcome: Result<()>) -> Result<()> {
        let Some(progress) = self.loading.get_mut(&entry) else {
            return outcome;
        };
        progress.under_way -= 1;
        match outcome {
            Ok(()) => {
                progress.loaded += 1;
                progress.rows += moved.rows;
                progress.raw_bytes += moved.raw_bytes;
                self.outcome.frame(moved);
                self.shared.event(&Event::TableProgress {
                    table: self.table_name(entry),
                    rows: moved.rows,
                    bytes: moved.raw_bytes,
                });
            }
            Err(error) if self.shared.on_error == OnError::Exit || is_fatal(&error) => {
                return Err(error);
            }
            Err(error) => {
                // One report per table: its other frames would likely say the same.
                if !progress.failed {
                    progress.failed = true;
                    if let Some(of) = self.shared.entry(entry) {
                        self.outcome.not_filled(of);
                        self.outcome.failed(&self.shared, of, &error);
                    }
                }
                self.give_up(entry);
            }
        }
        self.end_if_over(entry);
        Ok(())
    }

    /// Ends whatever sessions do, on the server too.
    async fn stop(&mut self) {
        self.shared.stop.cancel();
        self.feed.stop();
        self.ready.clear();
        let busy = self.workers.iter().filter(|w| w.busy != Busy::No);
        let busy: Vec<Reach> = busy.map(|w| w.reach.clone()).collect();
        // Sessions end when there can be no more jobs.
        self.workers.clear();
        let mut refused = None;
        let ending = async {
            while !self.tasks.is_empty() {
                for request in join_all(busy.iter().map(Reach::cancel)).await {
                    if let Err(error) = request {
                        refused = Some(error);
                    }
                }
                let ended = async {
                    while let Some(joined) = self.tasks.join_next().await {
                        if let Ok(session) = joined {
                            session.wire.close().await;
                        }
                    }
                };
                if tokio::time::timeout(CANCEL_AGAIN, ended).await.is_ok() {
                    break;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, ending).await.is_err() {
            // Dropped sessions close their sockets, and the server ends their transactions.
            self.tasks.abort_all();
            if let Some(error) = refused {
                self.shared
                    .warn(format!("a cancel request failed: {error}"));
            }
        }
    }
}
