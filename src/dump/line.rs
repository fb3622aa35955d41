//! A worker's session: opened when it is needed, and again when it was lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::connect::{TransactionStatus, Wire};
use crate::error::{Error, Kind, Result};

use super::snapshot::{Locks, Snapshot, may_pass};

/// Locks after which a session begins a new transaction: the server keeps room only for so many, and
/// the leader has them all.
const MOST_LOCKS: usize = 500;

/// How long a session keeps locks that nobody else has before it takes more: a new transaction costs as much as some
/// small tables, and somebody may wait for them.
const HELD: Duration = Duration::from_secs(1);

/// The session of one worker.
pub(super) struct Line {
    snapshot: Arc<Snapshot>,
    number: usize,
    wire: Option<Wire>,
    /// There was a session before.
    opened: bool,
    /// Tables that its transaction has locked, at most.
    locks: usize,
    /// Since when it has some.
    since: Option<Instant>,
    /// Its transaction waits for locks as long as it takes.
    is_patient: bool,
}

impl Line {
    pub fn new(snapshot: Arc<Snapshot>, number: usize) -> Self {
        Self {
            snapshot,
            number,
            wire: None,
            opened: false,
            locks: 0,
            since: None,
            is_patient: false,
        }
    }

    /// A session whose transaction is in order, for statements that lock so many tables.
    ///
    /// # Errors
    /// See [`Snapshot::open`].
    pub async fn session(&mut self, locks: usize) -> Result<&mut Wire> {
        if let Some(mut wire) = self.wire.take().filter(|wire| !wire.is_broken()) {
            let is_open = wire.transaction_status() == TransactionStatus::Open;
            let is_full = self.locks + locks > MOST_LOCKS;
            if !is_open || is_full || self.is_patient || self.holds_too_long() {
                let renewed = self.snapshot.renew(&mut wire).await;
                renewed.map_err(|error| self.of_session(error))?;
                self.has_none();
            }
            self.has_more(locks);
            return Ok(self.wire.insert(wire));
        }
        let wire = match self.snapshot.open(self.number).await {
            // It was good before: the server does not know the snapshot any more.
            Err(error) if self.opened && error.kind() == Kind::Server => {
                return Err(self.snapshot.leader_lost().with_source(error));
            }
            opened => opened.map_err(|error| self.of_session(error))?,
        };
        self.opened = true;
        self.has_none();
        self.has_more(locks);
        Ok(self.wire.insert(wire))
    }

    /// A session that has no locks and waits for the next one as long as it takes: nobody waits for it meanwhile.
    ///
    /// # Errors
    /// See [`Snapshot::open`].
    pub async fn patient_session(&mut self) -> Result<&mut Wire> {
        self.let_go().await;
        self.session(1).await?;
        self.is_patient = true;
        let lost = || Error::new(Kind::ConnectionLost, "the session was left");
        let wire = self.wire.as_mut().ok_or_else(lost)?;
        wire.execute(WAIT).await?;
        Ok(wire)
    }

    /// What a session is refused for must not pass for an answer about a table.
    fn of_session(&self, error: Error) -> Error {
        let is_refused = error.kind() == Kind::Server && !may_pass(&error);
        match self.snapshot.locks {
            Locks::OfReaders if is_refused && self.opened => {
                self.snapshot.leader_lost().with_source(error)
            }
            Locks::OfReaders if is_refused => error.with_kind(Kind::Failed),
            Locks::OfLeader | Locks::OfReaders => error,
        }
    }

    fn has_none(&mut self) {
        self.locks = 0;
        self.since = None;
        self.is_patient = false;
    }

    fn has_more(&mut self, locks: usize) {
        self.locks += locks;
        if locks > 0 {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// Where the leader has all locks, it makes no difference.
    fn holds_too_long(&self) -> bool {
        self.snapshot.locks == Locks::OfReaders
            && self.since.is_some_and(|since| since.elapsed() >= HELD)
    }

    /// Whether there was ever a session.
    pub fn was_opened(&self) -> bool {
        self.opened
    }

    /// Releases all locks before a wait: somebody may wait for them, and another worker behind that
    /// one. A session that is lost here is replaced when it is needed.
    pub async fn let_go(&mut self) {
        if let Some(mut wire) = self.wire.take() {
            if self.locks == 0 {
                self.wire = Some(wire);
            } else if self.snapshot.renew(&mut wire).await.is_ok() {
                self.has_none();
                self.wire = Some(wire);
            }
        }
    }

    /// Leaves the session as it is; the next one is another.
    pub fn abandon(&mut self) {
        self.wire = None;
    }

    /// Ends the session politely.
    pub async fn close(self) {
        if let Some(wire) = self.wire {
            wire.close().await;
        }
    }
}

const WAIT: &str = "SET LOCAL lock_timeout = 0";
