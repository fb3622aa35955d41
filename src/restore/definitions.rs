//! Making the definitions, before any row is loaded: by one session, or where there are many tables,
//! whole families of them by several side by side.
//!
//! Families touch none of the same locks ([`Lanes`]), so that no session waits for another.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::failure::{interrupted, is_fatal};
use super::options::OnError;
use super::outcome::Outcome;
use super::serial::{batches, batches_of, unless_cancelled};
use super::session::Session;
use super::shared::{Shared, Transactions};
use super::statements::{pass_on_notices, run_apart, run_together};
use crate::error::{Error, Result};
use crate::plan::{Lanes, StepId, lanes};
use crate::report::Event;
use crate::task::lock;

/// Fewer steps than this are done before other sessions are at hand.
const WORTH_SHARING: usize = 64;

/// Most steps in the open transactions of all sessions: each table takes several places in the
/// server's lock table, which all of them share.
const OPEN_STEPS: usize = 1000;

/// Transactions that each session should have at least, so that all of them end together.
const TURNS: usize = 4;

/// What is still to be made, and what of it can be made by several sessions.
pub(super) fn definitions(shared: &Shared, jobs: usize, outcome: &mut Outcome) -> Lanes {
    let mut lanes = lanes(&shared.plan, &shared.entries);
    let mut undone = |steps: &mut Vec<StepId>| {
        steps.retain(|&step| !outcome.was_done(shared, step));
    };
    undone(&mut lanes.before);
    lanes.families.iter_mut().for_each(&mut undone);
    undone(&mut lanes.after);
    lanes.families.retain(|family| !family.is_empty());
    let sharable: usize = lanes.families.iter().map(Vec::len).sum();
    let alone = jobs < 2 || shared.transactions == Transactions::One;
    if alone || sharable < WORTH_SHARING {
        // The plan's own order.
        let mut all = lanes.before;
        all.extend(lanes.families.into_iter().flatten());
        all.extend(lanes.after);
        all.sort_unstable();
        return Lanes {
            before: all,
            ..Lanes::default()
        };
    }
    lanes
}

/// Makes all definitions. The first session does what cannot be shared.
pub(super) async fn make_definitions(
    sessions: &mut [Session],
    shared: &Shared,
    lanes: Lanes,
    cancel: &CancellationToken,
    outcome: &mut Outcome,
) -> Result<()> {
    let sharable: usize = lanes.families.iter().map(Vec::len).sum();
    let steps = lanes.before.len() + sharable + lanes.after.len();
    shared.event(&Event::Phase {
        name: "pre-data",
        steps: Some(steps as u64),
    });
    in_turn(sessions, shared, &lanes.before, cancel, outcome).await?;
    if sharable > 0 {
        let families = lanes.families;
        let mut failed = side_by_side(sessions, shared, families, cancel, outcome).await?;
        failed.sort_unstable();
        apart(sessions, shared, &failed, cancel, outcome).await?;
    }
    in_turn(sessions, shared, &lanes.after, cancel, outcome).await
}

/// Makes steps one after the other.
async fn in_turn(
    sessions: &mut [Session],
    shared: &Shared,
    steps: &[StepId],
    cancel: &CancellationToken,
    outcome: &mut Outcome,
) -> Result<()> {
    for batch in batches(shared, steps) {
        let Some(session) = sessions.first_mut() else {
            break;
        };
        match together(session, shared, batch, cancel).await? {
            Some(seconds) => done(shared, batch, seconds, outcome),
            None => apart(sessions, shared, batch, cancel, outcome).await?,
        }
    }
    Ok(())
}

/// Makes steps in one transaction: how long each took, or none where they are to be made apart.
async fn together(
    session: &mut Session,
    shared: &Shared,
    batch: &[StepId],
    cancel: &CancellationToken,
) -> Result<Option<f64>> {
    if cancel.is_cancelled() {
        return Err(interrupted());
    }
    let began = Instant::now();
    let reach = session.reach();
    match unless_cancelled(reach, cancel, run_together(session, shared, batch)).await? {
        Ok(()) => {
            let first = batch.first().and_then(|&step| shared.step(step));
            let name = first.map(|step| step.name.clone());
            pass_on_notices(&mut session.wire, shared, &name.unwrap_or_default());
            let seconds = began.elapsed().as_secs_f64();
            Ok(Some(seconds / batch.len().max(1) as f64))
        }
        Err((_, error)) if shared.on_error == OnError::Exit || is_fatal(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

fn done(shared: &Shared, batch: &[StepId], seconds: f64, outcome: &mut Outcome) {
    for &step in batch {
        outcome.done(shared, step, seconds);
    }
}

/// One by one, so that each failure is known and only what needs it is left out.
async fn apart(
    sessions: &mut [Session],
    shared: &Shared,
    steps: &[StepId],
    cancel: &CancellationToken,
    outcome: &mut Outcome,
) -> Result<()> {
    let Some(session) = sessions.first_mut() else {
        return Ok(());
    };
    for &step in steps {
        if outcome.skips(shared, step) {
            continue;
        }
        let began = Instant::now();
        let reach = session.reach();
        let made = unless_cancelled(reach, cancel, run_apart(session, shared, step)).await?;
        let name = shared.step(step).map(|step| step.name.clone());
        pass_on_notices(&mut session.wire, shared, &name.unwrap_or_default());
        outcome.apart(shared, step, made, began.elapsed().as_secs_f64())?;
    }
    Ok(())
}

/// What the sessions have in common while they make families.
struct Sharing<'a> {
    shared: &'a Shared,
    /// Transactions that must follow each other, as one session is to take them.
    left: Mutex<VecDeque<Vec<Vec<StepId>>>>,
    outcome: Mutex<&'a mut Outcome>,
    /// What is to be made apart.
    failed: Mutex<Vec<StepId>>,
    /// The first error that ends the run.
    error: Mutex<Option<Error>>,
    stop: CancellationToken,
}

/// Has every session make families until there are no more; gives the steps that are to be made
/// apart.
async fn side_by_side(
    sessions: &mut [Session],
    shared: &Shared,
    families: Vec<Vec<StepId>>,
    cancel: &CancellationToken,
    outcome: &mut Outcome,
) -> Result<Vec<StepId>> {
    let sharing = Sharing {
        shared,
        left: Mutex::new(turns(shared, families, sessions.len()).into()),
        outcome: Mutex::new(outcome),
        failed: Mutex::default(),
        error: Mutex::default(),
        stop: cancel.child_token(),
    };
    join_all(sessions.iter_mut().map(|session| sharing.take(session))).await;
    let error = sharing.error.into_inner();
    match error.unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => {
            let failed = sharing.failed.into_inner();
            Ok(failed.unwrap_or_else(PoisonError::into_inner))
        }
    }
}

impl Sharing<'_> {
    async fn take(&self, session: &mut Session) {
        loop {
            let next = lock(&self.left).pop_front();
            let Some(turn) = next else { return };
            for batch in turn {
                match together(session, self.shared, &batch, &self.stop).await {
                    Ok(Some(seconds)) => {
                        done(self.shared, &batch, seconds, &mut lock(&self.outcome));
                    }
                    Ok(None) => lock(&self.failed).extend(batch),
                    Err(error) => {
                        // What the others say when they are stopped is no news.
                        lock(&self.error).get_or_insert(error);
                        self.stop.cancel();
                        return;
                    }
                }
            }
        }
    }
}

/// Packs families into transactions. One that is too large for that has several, which follow each
/// other; the largest come first, since nobody can help with them.
fn turns(shared: &Shared, families: Vec<Vec<StepId>>, sessions: usize) -> Vec<Vec<Vec<StepId>>> {
    let sessions = sessions.max(1);
    let limit = match shared.transactions {
        Transactions::Many { steps } => steps,
        Transactions::One => OPEN_STEPS,
    };
    let all: usize = families.iter().map(Vec::len).sum();
    let most = limit
        .min(OPEN_STEPS / sessions)
        .min(all.div_ceil(sessions * TURNS))
        .max(1);
    let mut turns: Vec<Vec<StepId>> = Vec::new();
    let mut open: Vec<StepId> = Vec::new();
    for family in families {
        if family.len() > most {
            turns.push(family);
        } else {
            if open.len() + family.len() > most {
                turns.push(std::mem::take(&mut open));
            }
            open.extend(family);
        }
    }
    turns.push(open);
    turns.sort_by_key(|turn| Reverse(turn.len()));
    let batches = |turn: Vec<StepId>| {
        let batches = batches_of(shared, &turn, most);
        batches.into_iter().map(<[StepId]>::to_vec).collect()
    };
    turns.into_iter().map(batches).collect()
}
