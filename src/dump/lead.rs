//! What the leader's session does while workers read: it holds the snapshot and the locks, is
//! watched, and reads what the workers may not.
//!
//! A worker that would need a lock of its own behind somebody who waits for an exclusive one would
//! wait for ever: that one waits for the leader, and the leader for the worker. The leader has the lock
//! already and never waits for it. So a migration that wants a table during a dump waits until the
//! dump is over, and does not end it.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use crate::connect::Session;
use crate::error::{Error, Result};

use super::chunk::Chunk;
use super::framing::{Copy, Framed};
use super::pipeline::{sealed, settle};
use super::stream::CopyStream;
use super::worker::{Shared, of_table};

/// How often it is looked whether the leader's session is still there.
const LOOK: Duration = Duration::from_millis(250);

/// After so many looks something is sent over its connection: firewalls forget those that say nothing, and
/// a dump takes hours.
const LOOKS_PER_WORD: u32 = 120;

/// What a worker could not read for somebody else's lock.
#[derive(Debug)]
pub(super) struct Refused {
    pub task: usize,
    pub chunk: Chunk,
    pub framed: Framed,
}

/// Reads what is refused until all workers have ended, and looks after the leader's session.
///
/// # Errors
/// When the leader's session is lost, or cannot read what it should.
pub(super) async fn lead(
    leader: &Session,
    mut refused: UnboundedReceiver<Refused>,
    shared: &Shared,
) -> Result<()> {
    let snapshot = &shared.snapshot;
    let mut sealing = JoinSet::new();
    let mut looks = tokio::time::interval(LOOK);
    let mut quiet = 0;
    loop {
        let step = async {
            tokio::select! {
                refused = refused.recv() => match refused {
                    Some(refused) => read(leader, refused, shared, &mut sealing).await?,
                    None => return Ok(true),
                },
                Some(joined) = sealing.join_next() => sealed(joined)?,
                _ = looks.tick() => {
                    quiet += 1;
                    if quiet % LOOKS_PER_WORD == 0 {
                        leader.client().batch_execute("").await?;
                    }
                }
            }
            Ok::<_, Error>(false)
        };
        let ended = tokio::select! {
            ended = step => ended,
            () = snapshot.stop.cancelled() => return Ok(()),
        };
        if leader.client().is_closed() {
            snapshot.lost.cancel();
            return Err(snapshot.leader_lost());
        }
        if ended? {
            break;
        }
    }
    settle(&mut sealing).await
}

async fn read(
    leader: &Session,
    refused: Refused,
    shared: &Shared,
    sealing: &mut JoinSet<Result<()>>,
) -> Result<()> {
    let Refused {
        task,
        chunk,
        mut framed,
    } = refused;
    let table = shared.work.table(task);
    let read = async {
        let stream = CopyStream::of_leader(leader, &table.statement(chunk)).await?;
        let way = &mut shared.way(sealing);
        Copy::of_table(table, chunk)
            .run(stream, &mut framed, way)
            .await
    };
    read.await
        .map_err(|error| of_table(error, &table.label, shared.snapshot.locks))
}
