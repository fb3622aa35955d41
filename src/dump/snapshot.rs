//! The way to sessions that see the dump's snapshot.
//!
//! The snapshot and the locks are one session's, the leader's. As long as it lives, any number of others
//! can be opened on its snapshot, also in place of some that were lost. Once it is lost, others might
//! still read the snapshot, and even export it again; but nobody would hold the locks, and what
//! TRUNCATE or a rewriting ALTER TABLE does shows under every snapshot. So a lost leader ends the dump.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::connect::{Canceller, Config, Wire};
use crate::error::{Error, Kind, Result, SqlState};
use crate::task::ByteBudget;

use super::{DumpOptions, session};

/// How long cancel requests may take together.
pub(super) const CANCEL_INTERVAL: Duration = Duration::from_millis(500);

/// Ways to end what is running on the server, gathered as connections are made.
#[derive(Clone, Default)]
pub(super) struct Cancellers(Arc<Mutex<Vec<Canceller>>>);

impl Cancellers {
    pub fn add(&self, canceller: Canceller) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(canceller);
    }

    pub async fn cancel_all(&self) {
        let all = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        // A session that has ended by itself in the meantime cannot be cancelled: no matter.
        let requests = futures::future::join_all(all.iter().map(Canceller::cancel));
        drop(tokio::time::timeout(CANCEL_INTERVAL, requests).await);
    }
}

/// Who keeps tables as the snapshot shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Locks {
    /// The leader, all of them to the end.
    OfLeader,
    /// Whoever reads a table, and for little longer than that. Others may change or drop what is not being read, so
    /// that a table which the server refuses to read does not end the rest.
    OfReaders,
}

/// A snapshot that the leader's session holds.
pub(super) struct Snapshot {
    pub config: Config,
    /// As the leader exported it.
    pub id: String,
    pub options: DumpOptions,
    pub locks: Locks,
    pub cancellers: Cancellers,
    /// Fires when the dump ends early.
    pub stop: CancellationToken,
    /// Fires when the leader's session is lost.
    pub lost: CancellationToken,
    /// What large rows take their memory from.
    pub large_rows: ByteBudget,
    /// Each worker has a thread of its own, and leaves its socket alone for moments.
    pub has_threads: bool,
}

impl Snapshot {
    /// Opens a worker's session on the snapshot.
    ///
    /// # Errors
    /// Of kind [`Connect`](Kind::Connect) or [`ConnectionLost`](Kind::ConnectionLost), or what the
    /// server refuses; and when the leader is lost.
    pub async fn open(&self, number: usize) -> Result<Wire> {
        let open = async {
            self.must_hold()?;
            let suffix = format!("worker {number}");
            let config = self.config.with_application_name_suffix(&suffix);
            let connect = config.connect_wire();
            let mut wire = self
                .stop
                .run_until_cancelled(connect)
                .await
                .unwrap_or_else(|| Err(interrupted()))?;
            self.cancellers.add(wire.canceller());
            wire.bound_large_rows(self.large_rows.clone());
            if self.has_threads {
                wire.linger_over_rows();
            }
            session::begin_worker(&mut wire, &self.id, &self.options).await?;
            Ok(wire)
        };
        open.await
            .map_err(|error: Error| error.context(format!("connect worker {number}")))
    }

    /// Ends a worker's transaction and with it its locks, and begins another on the same snapshot.
    ///
    /// # Errors
    /// As [`Snapshot::open`].
    pub async fn renew(&self, wire: &mut Wire) -> Result<()> {
        self.must_hold()?;
        session::begin_again(wire, &self.id, &self.options).await
    }

    /// # Errors
    /// When the leader's session is lost.
    pub fn must_hold(&self) -> Result<()> {
        if self.lost.is_cancelled() {
            return Err(self.leader_lost());
        }
        Ok(())
    }

    /// Why nothing more can be read once the leader is gone.
    pub fn leader_lost(&self) -> Error {
        let (what, hint) = match self.locks {
            Locks::OfLeader => (
                "the session that held the snapshot and the locks was lost",
                "run the dump again",
            ),
            Locks::OfReaders => (
                "the session that held the snapshot was lost",
                "compare again",
            ),
        };
        Error::new(Kind::ConnectionLost, what).with_hint(hint)
    }
}

pub(super) fn interrupted() -> Error {
    Error::new(Kind::Interrupted, "dump: interrupted")
}

/// Whether what failed may well succeed in another session on the same snapshot.
pub(crate) fn may_pass(error: &Error) -> bool {
    match error.kind() {
        Kind::ConnectionLost => true,
        // Without a SQLSTATE the server has not answered. The leader got in by the same way.
        Kind::Connect => error.sqlstate().is_none_or(|state| {
            [
                &SqlState::CANNOT_CONNECT_NOW,
                &SqlState::TOO_MANY_CONNECTIONS,
                &SqlState::ADMIN_SHUTDOWN,
                &SqlState::CRASH_SHUTDOWN,
            ]
            .contains(&state)
        }),
        // On a standby what recovery needs goes first, and cancels who is in its way.
        Kind::Server => error.sqlstate().is_some_and(|state| {
            [
                &SqlState::T_R_SERIALIZATION_FAILURE,
                &SqlState::T_R_DEADLOCK_DETECTED,
            ]
            .contains(&state)
        }),
        _ => false,
    }
}

/// Whether a table cannot be read, or not as one, while others still can.
pub(crate) fn is_of_one_table(error: &Error) -> bool {
    match error.kind() {
        Kind::Server => !error.is_of_whole_server() && !may_pass(error),
        Kind::Stale => true,
        _ => false,
    }
}

/// Whether somebody else's lock stands in the way.
pub(super) fn is_locked_out(error: &Error) -> bool {
    error.sqlstate() == Some(&SqlState::LOCK_NOT_AVAILABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass() {
        let error = |kind, state: Option<&SqlState>| {
            let error = Error::new(kind, "x");
            match state {
                Some(state) => error.with_sqlstate(state.clone()),
                None => error,
            }
        };
        for (kind, state) in [
            (Kind::ConnectionLost, None),
            (Kind::ConnectionLost, Some(&SqlState::ADMIN_SHUTDOWN)),
            (Kind::Connect, None),
            (Kind::Connect, Some(&SqlState::CANNOT_CONNECT_NOW)),
            (Kind::Server, Some(&SqlState::T_R_SERIALIZATION_FAILURE)),
        ] {
            assert!(may_pass(&error(kind, state)), "{kind:?} {state:?}");
        }
        for (kind, state) in [
            (Kind::Failed, None),
            (Kind::Interrupted, None),
            (Kind::Connect, Some(&SqlState::INVALID_PASSWORD)),
            (Kind::Server, Some(&SqlState::QUERY_CANCELED)),
            (Kind::Server, Some(&SqlState::LOCK_NOT_AVAILABLE)),
            (Kind::Server, Some(&SqlState::INVALID_PARAMETER_VALUE)),
        ] {
            assert!(!may_pass(&error(kind, state)), "{kind:?} {state:?}");
        }
    }

    #[test]
    fn what_is_of_one_table() {
        let error = |kind, state: SqlState| Error::new(kind, "x").with_sqlstate(state);
        for state in [SqlState::UNDEFINED_TABLE, SqlState::INSUFFICIENT_PRIVILEGE] {
            assert!(is_of_one_table(&error(Kind::Server, state)));
        }
        assert!(is_of_one_table(&Error::new(Kind::Stale, "x")));
        for (kind, state) in [
            (Kind::Server, SqlState::OUT_OF_MEMORY),
            (Kind::Server, SqlState::ADMIN_SHUTDOWN),
            (Kind::Server, SqlState::T_R_SERIALIZATION_FAILURE),
            (Kind::ConnectionLost, SqlState::UNDEFINED_TABLE),
        ] {
            assert!(!is_of_one_table(&error(kind, state)));
        }
    }
}
