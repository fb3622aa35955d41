//! One session and the jobs it is given.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::failure::{interrupted, is_fatal, lost_a_race, of_entry, of_statement};
use super::feed::Happening;
use super::frame::{Payload, ReadyFrame, Unpacker};
use super::journal::{Fate, Journal};
use super::options::OnError;
use super::outcome::Moved;
use super::session::Session;
use super::shared::{Shared, Transactions};
use super::statements::{Apart, pass_on_notices, record, record_unit, run_apart, run_together};
use super::statistics::{self, Applied};
use crate::archive::{DataSpec, Entry, EntryId, RelationStatistics};
use crate::connect::{Param, TransactionStatus, Wire};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::{StepId, Work};

/// What a COPY is fed with at once; between pieces a session looks whether it must stop.
const PIECE_BYTES: usize = 2 << 20;

/// How often a frame that lost a race is tried again.
const RACES: u32 = 5;

/// Something to do.
pub(super) enum Job {
    /// Steps in one transaction.
    Together(Vec<StepId>),
    /// One step, as much of it as can be done.
    Apart(StepId),
    /// Rows of tables, in one transaction.
    Rows(Vec<ReadyFrame>),
    /// Pieces of large objects.
    LargeObjects(ReadyFrame),
    /// The end of the transaction that holds everything.
    Commit,
    /// Planner statistics.
    Statistics(ReadyFrame),
    /// VACUUM or ANALYZE of a table.
    Maintain(StepId),
}

/// What came of a job.
pub(super) enum Report {
    Together {
        steps: Vec<StepId>,
        outcome: Result<(), (StepId, Error)>,
        seconds: f64,
    },
    Apart {
        step: StepId,
        outcome: Apart,
        seconds: f64,
    },
    /// Of each frame.
    Frames(Vec<Loaded>),
    Commit {
        outcome: Result<()>,
    },
    Statistics {
        entry: EntryId,
        outcome: Result<Applied>,
    },
    Maintained {
        step: StepId,
        outcome: Result<()>,
        seconds: f64,
    },
}

/// What came of a frame.
pub(super) struct Loaded {
    pub(super) entry: EntryId,
    pub(super) moved: Moved,
    pub(super) outcome: Result<()>,
}

impl Loaded {
    fn of(frame: &ReadyFrame, outcome: Result<()>) -> Self {
        Self {
            entry: frame.entry,
            moved: Moved {
                work: match frame.payload {
                    Payload::Copy(_) => Work::Rows,
                    Payload::LargeObjects { .. } => Work::LargeObjects,
                    Payload::Statistics { .. } => Work::Statistics,
                },
                rows: frame.rows,
                raw_bytes: frame.raw_bytes(),
                objects: frame.objects(),
            },
            outcome,
        }
    }
}

/// Takes jobs until there are no more; gives its session back.
pub(super) async fn work(
    id: usize,
    mut session: Session,
    shared: Arc<Shared>,
    unpacker: Arc<Unpacker>,
    mut jobs: mpsc::Receiver<Job>,
    happenings: mpsc::UnboundedSender<Happening>,
) -> Session {
    while let Some(job) = jobs.recv().await {
        let began = Instant::now();
        let report = match job {
            Job::Together(steps) => {
                let outcome = run_together(&mut session, &shared, &steps).await;
                let name = name_of(&shared, steps.first());
                pass_on_notices(&mut session.wire, &shared, &name);
                Report::Together {
                    steps,
                    outcome,
                    seconds: began.elapsed().as_secs_f64(),
                }
            }
            Job::Apart(step) => {
                let outcome = run_apart(&mut session, &shared, step).await;
                pass_on_notices(&mut session.wire, &shared, &name_of(&shared, Some(&step)));
                Report::Apart {
                    step,
                    outcome,
                    seconds: began.elapsed().as_secs_f64(),
                }
            }
            Job::Commit => Report::Commit {
                outcome: commit(&mut session.wire).await,
            },
            Job::Rows(frames) => {
                let loaded = load_rows(&mut session, &shared, &frames).await;
                // What triggers of the target say while rows are loaded can quote rows.
                session.wire.take_notices();
                for frame in frames {
                    if let Payload::Copy(buffer) = frame.payload {
                        unpacker.give_back(buffer);
                    }
                }
                Report::Frames(loaded)
            }
            Job::LargeObjects(frame) => {
                let outcome = load_objects(&mut session, &shared, &frame).await;
                session.wire.take_notices();
                Report::Frames(vec![Loaded::of(&frame, outcome)])
            }
            Job::Statistics(frame) => {
                let relations = match &frame.payload {
                    Payload::Statistics { relations, .. } => relations.as_slice(),
                    Payload::Copy(_) | Payload::LargeObjects { .. } => &[],
                };
                let outcome = apply(&mut session, &shared, &frame, relations).await;
                let entry = frame.entry;
                Report::Statistics { entry, outcome }
            }
            Job::Maintain(step) => {
                let outcome = maintain(&mut session, &shared, step).await;
                match shared.step(step).map(|step| step.work) {
                    // Who may not vacuum is told so, and loses time and nothing else.
                    Some(Work::Vacuum) => drop(session.wire.take_notices()),
                    _ => {
                        pass_on_notices(&mut session.wire, &shared, &name_of(&shared, Some(&step)));
                    }
                }
                Report::Maintained {
                    step,
                    outcome,
                    seconds: began.elapsed().as_secs_f64(),
                }
            }
        };
        if happenings
            .send(Happening::Worked { worker: id, report })
            .is_err()
        {
            break;
        }
    }
    session
}

fn name_of(shared: &Shared, step: Option<&StepId>) -> String {
    step.and_then(|&id| shared.step(id))
        .map_or_else(String::new, |step| step.name.clone())
}

/// Ends the transaction that holds everything; from here on it is on disk.
async fn commit(wire: &mut Wire) -> Result<()> {
    wire.execute("SET LOCAL synchronous_commit = on")
        .await
        .context_with(|| "commit")?;
    wire.execute("COMMIT").await.context_with(|| "commit")?;
    Ok(())
}

async fn maintain(session: &mut Session, shared: &Shared, id: StepId) -> Result<()> {
    let (Some(step), Some(entry)) = (shared.step(id), shared.entry_of_step(id)) else {
        return Ok(());
    };
    let version = session.wire.server_version();
    let statement = match step.work {
        Work::Analyze(analyzed) => statistics::analyze(entry, analyzed, version)?,
        Work::Vacuum => Some(statistics::vacuum(entry, version)?),
        _ => None,
    };
    let Some(statement) = statement else {
        return Ok(());
    };
    session.losses = 0;
    while let Err(error) = statistics::run_analyze(&mut session.wire, &statement).await {
        shared.survive(session, error, None).await?;
    }
    record(session, shared, id).await
}

/// Hands statistics over, each relation's by itself; doing it once more does no harm.
async fn apply(
    session: &mut Session,
    shared: &Shared,
    frame: &ReadyFrame,
    relations: &[RelationStatistics],
) -> Result<Applied> {
    session.losses = 0;
    let applied = loop {
        match statistics::apply(&mut session.wire, relations).await {
            Ok(applied) => break applied,
            Err(error) => shared.survive(session, error, None).await?,
        };
    };
    if shared.journal.is_some() {
        record_unit(session, shared, frame.unit).await?;
    }
    Ok(applied)
}

/// Loads frames of tables in one transaction, which is committed only when the server took as many
/// rows of each as it has. When failures are passed over, one that fails does not keep the others
/// out.
async fn load_rows(session: &mut Session, shared: &Shared, frames: &[ReadyFrame]) -> Vec<Loaded> {
    let outcome = load(session, shared, frames).await;
    let Err(error) = outcome else {
        let loaded = frames.iter().map(|frame| Loaded::of(frame, Ok(())));
        return loaded.collect();
    };
    let Failure { at, error } = error;
    if frames.len() > 1 && shared.on_error == OnError::Continue && !is_fatal(&error) {
        let mut loaded = Vec::new();
        for frame in frames {
            let outcome = load(session, shared, std::slice::from_ref(frame)).await;
            loaded.push(Loaded::of(frame, outcome.map_err(|failure| failure.error)));
        }
        return loaded;
    }
    // The run ends with it, so that nobody asks what became of the others.
    let failed = frames.get(at).or(frames.first());
    failed
        .map(|frame| Loaded::of(frame, Err(error)))
        .into_iter()
        .collect()
}

/// One of several frames failed, or all with it.
struct Failure {
    at: usize,
    error: Error,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { at: 0, error }
    }
}

/// Runs one transaction that loads something, again when it lost a race or its session.
async fn load(
    session: &mut Session,
    shared: &Shared,
    frames: &[ReadyFrame],
) -> Result<(), Failure> {
    let mut races = 0;
    session.losses = 0;
    loop {
        if shared.stop.is_cancelled() {
            return Err(interrupted().into());
        }
        let tried = match frames {
            [frame] if matches!(frame.payload, Payload::LargeObjects { .. }) => {
                let tried = try_objects(&mut session.wire, shared, frame).await;
                tried.map_err(Failure::from)
            }
            _ => try_rows(&mut session.wire, shared, frames).await,
        };
        let Err(Failure { at, error }) = tried else {
            return Ok(());
        };
        let unit = frames.first().map(|frame| frame.unit);
        let error = match shared.survive(session, error, unit).await {
            Ok(Fate::Done) => return Ok(()),
            Ok(Fate::Undone) => continue,
            Err(error) => error,
        };
        let failure = Failure { at, error };
        if shared.transactions == Transactions::One {
            return Err(failure);
        }
        let wire = &mut session.wire;
        if !wire.is_broken() && wire.transaction_status() != TransactionStatus::Idle {
            // The first error is the one to tell; what a rollback fails with is a lost session.
            if wire.execute("ROLLBACK").await.is_err() {
                return Err(failure);
            }
        }
        races += 1;
        if !lost_a_race(&failure.error) || races > RACES {
            return Err(failure);
        }
    }
}

/// What a transaction begins with: itself, and the record of what it does.
fn beginning(shared: &Shared, frames: &[ReadyFrame]) -> Vec<String> {
    let alone = shared.transactions != Transactions::One;
    let record = Journal::record(frames.iter().map(|frame| frame.unit));
    let begin = alone.then(|| "BEGIN".to_owned()).into_iter();
    begin
        .chain(record.filter(|_| shared.journal.is_some()))
        .collect()
}

/// One round trip up to the last row, and one for the COMMIT.
async fn try_rows(wire: &mut Wire, shared: &Shared, frames: &[ReadyFrame]) -> Result<(), Failure> {
    // Of each statement: the frame that it is for, and its text.
    let mut said: Vec<(usize, &str)> = Vec::new();
    let beginning = beginning(shared, frames);
    let mut batch = wire.copy_batch()?;
    for statement in &beginning {
        said.push((0, statement));
        batch.statement(statement)?;
    }
    // Where among the statements the COPY of each frame is.
    let mut copies = Vec::with_capacity(frames.len());
    let mut stopped = false;
    'frames: for (at, frame) in frames.iter().enumerate() {
        let entry = entry_of(shared, frame)?;
        let (Payload::Copy(raw), Some(DataSpec::Table { copy_in, .. })) =
            (&frame.payload, &entry.data)
        else {
            return Err(without_table().into());
        };
        let triggers = shared.triggers.get(&entry.id);
        for statement in triggers.into_iter().flat_map(|states| &states.disable) {
            said.push((at, statement));
            batch.statement(statement)?;
        }
        copies.push(said.len());
        said.push((at, copy_in));
        batch.begin_copy(copy_in)?;
        for piece in raw.chunks(PIECE_BYTES) {
            stopped = shared.stop.is_cancelled();
            if stopped {
                break 'frames;
            }
            let refused = batch.send(piece).await.map_err(|error| Failure {
                at,
                error: of_entry(error, entry),
            })?;
            if refused {
                break 'frames;
            }
        }
        batch.end_copy();
        for statement in triggers.into_iter().flat_map(|states| &states.restore) {
            said.push((at, statement));
            batch.statement(statement)?;
        }
    }
    if stopped {
        batch.abort("the restore was stopped").await?;
        return Err(interrupted().into());
    }
    let rows = batch.finish().await.map_err(|failed| {
        let (at, statement) = said.get(failed.index).copied().unwrap_or_default();
        let entry = frames.get(at).and_then(|frame| shared.entry(frame.entry));
        let error = match entry {
            Some(entry) => of_statement(failed.error, entry, statement),
            None => failed.error,
        };
        Failure { at, error }
    })?;
    for (at, (frame, &copy)) in frames.iter().zip(&copies).enumerate() {
        let taken = rows.get(copy).copied().unwrap_or_default();
        if taken != frame.rows {
            let error = of_entry(taken_other(taken, frame), entry_of(shared, frame)?);
            return Err(Failure { at, error });
        }
    }
    if let (true, Some(frame)) = (shared.transactions != Transactions::One, frames.first()) {
        statements(wire, entry_of(shared, frame)?, &["COMMIT"]).await?;
    }
    Ok(())
}

fn entry_of<'a>(shared: &'a Shared, frame: &ReadyFrame) -> Result<&'a Entry> {
    let entry = shared.entry(frame.entry);
    entry.ok_or_else(|| Error::new(Kind::Archive, "a frame of an unknown entry"))
}

fn without_table() -> Error {
    Error::new(Kind::Archive, "rows of an entry without a table")
}

fn taken_other(taken: u64, frame: &ReadyFrame) -> Error {
    Error::new(
        Kind::Failed,
        format!(
            "the server took {taken} rows of a frame of {}: nothing of it was kept",
            frame.rows
        ),
    )
    .with_hint("a trigger or rule of the target may have swallowed rows")
}

/// Writes pieces of large objects.
async fn load_objects(session: &mut Session, shared: &Shared, frame: &ReadyFrame) -> Result<()> {
    let loaded = load(session, shared, std::slice::from_ref(frame)).await;
    loaded.map_err(|failure| failure.error)
}

async fn try_objects(wire: &mut Wire, shared: &Shared, frame: &ReadyFrame) -> Result<()> {
    let entry = entry_of(shared, frame)?;
    let Payload::LargeObjects { pieces, .. } = &frame.payload else {
        return Err(without_table());
    };
    let beginning = beginning(shared, std::slice::from_ref(frame));
    let beginning: Vec<&str> = beginning.iter().map(String::as_str).collect();
    statements(wire, entry, &beginning).await?;
    let statement = "SELECT pg_catalog.lo_put($1, $2, $3)";
    let parameters = pieces
        .iter()
        .map(|piece| -> Vec<Param> { piece.iter().cloned().map(Some).collect() });
    let taken = wire
        .execute_params(statement, parameters)
        .await
        .map_err(|error| of_statement(error, entry, statement))?;
    if taken != frame.rows {
        return Err(of_entry(taken_other(taken, frame), entry));
    }
    match shared.transactions {
        Transactions::Many { .. } => statements(wire, entry, &["COMMIT"]).await,
        Transactions::One => Ok(()),
    }
}

async fn statements(wire: &mut Wire, entry: &Entry, statements: &[&str]) -> Result<()> {
    if statements.is_empty() {
        return Ok(());
    }
    wire.execute_all(statements).await.map_err(|batch| {
        let statement = statements.get(batch.index).copied().unwrap_or_default();
        of_statement(batch.error, entry, statement)
    })
}
