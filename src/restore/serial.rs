//! What one session does before the others start: dropping, and cutting what is to be done into
//! transactions.

use std::borrow::Cow;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::failure::{interrupted, is_fatal, of_drop};
use super::journal::{Journal, Unit};
use super::options::{OnError, RestoreOptions};
use super::outcome::Outcome;
use super::present;
use super::session::{Reach, Session};
use super::shared::{Shared, Transactions};
use super::statements::{count, run_again};
use crate::archive::Entry;
use crate::connect::Wire;
use crate::error::{Error, Kind, Result};
use crate::plan::StepId;
use crate::report::Event;
use crate::sql::without_if_exists;

/// Most statements in one transaction: each table takes several places in the server's lock table.
const BATCH_STATEMENTS: usize = 1000;
/// Most steps in one transaction, for the same reason; unless the user says another number.
pub(super) const BATCH_STEPS: usize = 250;

/// How long a cancelled statement may take to end before its session is left alone.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A cancel request reaches only a statement that runs, and the next one may begin just after: it
/// is sent again this long after the last one.
pub(super) const CANCEL_AGAIN: Duration = Duration::from_millis(500);

/// Waits for work on a session; when `cancel` fires first, has the server end it.
pub(super) async fn unless_cancelled<T>(
    canceller: impl Into<Reach>,
    cancel: &CancellationToken,
    work: impl Future<Output = T>,
) -> Result<T> {
    let canceller = canceller.into();
    tokio::pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return Ok(done),
        () = cancel.cancelled() => {}
    }
    let mut refused = None;
    let ending = async {
        loop {
            if let Err(error) = canceller.cancel().await {
                refused = Some(error);
            }
            if tokio::time::timeout(CANCEL_AGAIN, &mut work).await.is_ok() {
                break;
            }
        }
    };
    // If no request gets through, the session is closed, which ends its transaction as well.
    let ended = tokio::time::timeout(PATIENCE, ending).await.is_ok();
    let mut error = interrupted();
    if let (false, Some(refused)) = (ended, refused) {
        error = error.with_source(refused);
    }
    Err(error)
}

/// What an object that is to be dropped and is not there means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// Nothing: `--if-exists`.
    Fine,
    /// A failure.
    Failure,
}

impl Absent {
    pub(super) fn of(options: &RestoreOptions) -> Self {
        match options.if_exists {
            true => Self::Fine,
            false => Self::Failure,
        }
    }

    /// A statement that drops a database, which has `IF EXISTS` wherever SQL knows it.
    pub(super) fn applied_to(self, statement: &str) -> Cow<'_, str> {
        match self {
            Self::Fine => statement.into(),
            Self::Failure => without_if_exists(statement).into(),
        }
    }
}

/// Without `--if-exists`: whether all is there that is to be dropped, before anything is. Statements
/// that drop never mind what is missing, since much goes with something else: sequences with
/// their tables, partitions with their parents, functions with their types.
pub(super) async fn refuse_absent(
    wire: &mut Wire,
    shared: &Shared,
    cancel: &CancellationToken,
    outcome: &mut Outcome,
) -> Result<()> {
    let known: Vec<&Entry> = shared
        .dropped()
        .filter(|entry| present::is_known(entry))
        .collect();
    let canceller = wire.canceller();
    let asking = present::ask(wire, known.iter().copied());
    let found = unless_cancelled(canceller, cancel, asking).await??;
    for entry in known.into_iter().filter(|entry| !found.contains(&entry.id)) {
        let error = Error::new(Kind::Failed, "there is none")
            .context(format!("drop {}", entry.describe()))
            .with_hint("with --if-exists that is no error");
        if shared.on_error == OnError::Exit {
            return Err(error);
        }
        outcome.failed(shared, entry, &error);
    }
    Ok(())
}

/// Drops what will be made, backwards.
pub(super) async fn drop_objects(
    session: &mut Session,
    shared: &Shared,
    cancel: &CancellationToken,
    outcome: &mut Outcome,
) -> Result<()> {
    shared.event(&Event::Phase {
        name: "clean",
        steps: Some(shared.plan.drops.len() as u64),
    });
    let entries = shared.dropped();
    let statements: Vec<(&Entry, &str)> = entries
        .flat_map(|entry| entry.drop.iter().map(move |sql| (entry, sql.as_str())))
        .collect();
    for batch in statements.chunks(BATCH_STATEMENTS) {
        let texts: Vec<&str> = batch.iter().map(|(_, sql)| *sql).collect();
        let reach = session.reach();
        let dropping = run_again(session, shared, &texts);
        let dropped = unless_cancelled(reach, cancel, dropping).await?;
        // What is not there is no news.
        session.wire.take_notices();
        let Err(failed) = dropped else { continue };
        if shared.on_error == OnError::Exit || is_fatal(&failed.error) {
            let (entry, statement) = batch[failed.index.min(batch.len() - 1)];
            return Err(of_drop(failed.error, entry, statement));
        }
        for (entry, statement) in batch {
            let statements = [*statement];
            let reach = session.reach();
            let dropping = run_again(session, shared, &statements);
            let dropped = unless_cancelled(reach, cancel, dropping).await?;
            session.wire.take_notices();
            if let Err(failed) = dropped {
                let error = of_drop(failed.error, entry, statement);
                if is_fatal(&error) {
                    return Err(error);
                }
                outcome.failed(shared, entry, &error);
            }
        }
    }
    if let Some(record) = Journal::record([Unit::CLEAN]).filter(|_| shared.journal.is_some()) {
        let reach = session.reach();
        let statements = [record.as_str()];
        let recording = run_again(session, shared, &statements);
        let recorded = unless_cancelled(reach, cancel, recording).await?;
        recorded.map_err(|failed| failed.error.context("record what was dropped"))?;
    }
    Ok(())
}

/// Cuts steps into transactions.
pub(super) fn batches<'a>(shared: &Shared, steps: &'a [StepId]) -> Vec<&'a [StepId]> {
    let most = match shared.transactions {
        Transactions::Many { steps } => steps,
        Transactions::One => BATCH_STEPS,
    };
    batches_of(shared, steps, most)
}

/// Cuts steps into transactions of no more than so many.
pub(super) fn batches_of<'a>(
    shared: &Shared,
    mut steps: &'a [StepId],
    most: usize,
) -> Vec<&'a [StepId]> {
    let most = most.max(1);
    let mut batches = Vec::new();
    while !steps.is_empty() {
        let mut statements = 0;
        let mut length = 0;
        for &step in steps.iter().take(most) {
            statements += count(shared, step);
            if length > 0 && statements > BATCH_STATEMENTS {
                break;
            }
            length += 1;
        }
        let (batch, rest) = steps.split_at(length);
        batches.push(batch);
        steps = rest;
    }
    batches
}
