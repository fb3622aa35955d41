//! One session and the jobs it is given.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::failure::{interrupted, lost_a_race, of_entry, of_statement};
use super::feed::Happening;
use super::frame::{Payload, ReadyFrame, Unpacker};
use super::journal::{Fate, Journal};
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
    /// Rows.
    Frame(ReadyFrame),
    /// The end of the transaction that holds everything.
    Commit,
    /// Planner statistics.
    Statistics(ReadyFrame),
    /// ANALYZE of a table.
    Analyze(StepId),
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
    Frame {
        entry: EntryId,
        moved: Moved,
        outcome: Result<()>,
    },
    Commit {
        outcome: Result<()>,
    },
    Statistics {
        entry: EntryId,
        outcome: Result<Applied>,
    },
    Analyze {
        step: StepId,
        outcome: Result<()>,
        seconds: f64,
    },
}

/// Takes jobs until there are no more.
pub(super) async fn work(
    id: usize,
    mut session: Session,
    shared: Arc<Shared>,
    unpacker: Arc<Unpacker>,
    mut jobs: mpsc::Receiver<Job>,
    happenings: mpsc::UnboundedSender<Happening>,
) {
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
            Job::Frame(frame) => {
                let entry = frame.entry;
                let moved = Moved {
                    work: match frame.payload {
                        Payload::Copy(_) => Work::Rows,
                        Payload::LargeObjects { .. } => Work::LargeObjects,
                        Payload::Statistics { .. } => Work::Statistics,
                    },
                    rows: frame.rows,
                    raw_bytes: frame.raw_bytes(),
                    objects: frame.objects(),
                };
                let outcome = load_frame(&mut session, &shared, &frame).await;
                // What triggers of the target say while rows are loaded can quote rows.
                session.wire.take_notices();
                if let Payload::Copy(buffer) = frame.payload {
                    unpacker.give_back(buffer);
                }
                Report::Frame {
                    entry,
                    moved,
                    outcome,
                }
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
            Job::Analyze(step) => {
                let outcome = analyze(&mut session, &shared, step).await;
                pass_on_notices(&mut session.wire, &shared, &name_of(&shared, Some(&step)));
                Report::Analyze {
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
    session.wire.close().await;
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

async fn analyze(session: &mut Session, shared: &Shared, id: StepId) -> Result<()> {
    let (Some(step), Some(entry)) = (shared.step(id), shared.entry_of_step(id)) else {
        return Ok(());
    };
    let Work::Analyze(analyzed) = step.work else {
        return Ok(());
    };
    let version = session.wire.server_version();
    let Some(statement) = statistics::analyze(entry, analyzed, version)? else {
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

/// Loads one frame in a transaction of its own, which is committed only when the server took as
/// many rows as the frame has.
async fn load_frame(session: &mut Session, shared: &Shared, frame: &ReadyFrame) -> Result<()> {
    let entry = shared
        .entry(frame.entry)
        .ok_or_else(|| Error::new(Kind::Archive, "a frame of an unknown entry"))?;
    let mut races = 0;
    session.losses = 0;
    loop {
        if shared.stop.is_cancelled() {
            return Err(interrupted());
        }
        let error = match try_frame(&mut session.wire, shared, entry, frame).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let error = match shared.survive(session, error, Some(frame.unit)).await {
            Ok(Fate::Done) => return Ok(()),
            Ok(Fate::Undone) => continue,
            Err(error) => error,
        };
        let wire = &mut session.wire;
        if shared.transactions == Transactions::One {
            return Err(error);
        }
        if !wire.is_broken() && wire.transaction_status() != TransactionStatus::Idle {
            // The first error is the one to tell; what a rollback fails with is a lost session.
            if wire.execute("ROLLBACK").await.is_err() {
                return Err(error);
            }
        }
        races += 1;
        if !lost_a_race(&error) || races > RACES {
            return Err(error);
        }
    }
}

async fn try_frame(
    wire: &mut Wire,
    shared: &Shared,
    entry: &Entry,
    frame: &ReadyFrame,
) -> Result<()> {
    let triggers = shared.triggers.get(&entry.id);
    let alone = shared.transactions != Transactions::One;
    let mut before: Vec<&str> = alone.then_some("BEGIN").into_iter().collect();
    let record = Journal::record([frame.unit]).filter(|_| shared.journal.is_some());
    before.extend(record.as_deref());
    let disable = triggers.into_iter().flat_map(|states| &states.disable);
    before.extend(disable.map(String::as_str));
    batch(wire, entry, &before).await?;

    let rows = match (&frame.payload, &entry.data) {
        (Payload::Copy(raw), Some(DataSpec::Table { copy_in, .. })) => {
            copy(wire, shared, copy_in, raw)
                .await
                .map_err(|error| match error.kind() {
                    Kind::Interrupted => error,
                    _ => of_statement(error, entry, copy_in),
                })?
        }
        (Payload::LargeObjects { pieces, .. }, _) => {
            let statement = "SELECT pg_catalog.lo_put($1, $2, $3)";
            let parameters = pieces
                .iter()
                .map(|piece| -> Vec<Param> { piece.iter().cloned().map(Some).collect() });
            wire.execute_params(statement, parameters)
                .await
                .map_err(|error| of_statement(error, entry, statement))?
        }
        (Payload::Copy(_) | Payload::Statistics { .. }, _) => {
            return Err(Error::new(
                Kind::Archive,
                "rows of an entry without a table",
            ));
        }
    };
    if rows != frame.rows {
        return Err(of_entry(
            Error::new(
                Kind::Failed,
                format!(
                    "the server took {rows} rows of a frame of {}: nothing of it was kept",
                    frame.rows
                ),
            )
            .with_hint("a trigger or rule of the target may have swallowed rows"),
            entry,
        ));
    }
    let mut after: Vec<&str> = Vec::new();
    if let Some(states) = triggers {
        after.extend(states.restore.iter().map(String::as_str));
    }
    after.extend(alone.then_some("COMMIT"));
    batch(wire, entry, &after).await
}

async fn batch(wire: &mut Wire, entry: &Entry, statements: &[&str]) -> Result<()> {
    if statements.is_empty() {
        return Ok(());
    }
    wire.execute_all(statements).await.map_err(|batch| {
        let statement = statements.get(batch.index).copied().unwrap_or_default();
        of_statement(batch.error, entry, statement)
    })
}

async fn copy(wire: &mut Wire, shared: &Shared, copy_in: &str, raw: &[u8]) -> Result<u64> {
    let mut copy = wire.copy_in(copy_in).await?;
    for piece in raw.chunks(PIECE_BYTES) {
        if shared.stop.is_cancelled() {
            copy.abort("the restore was stopped").await?;
            return Err(interrupted());
        }
        copy.send(piece).await?;
    }
    copy.finish().await
}
