//! A worker's session: opened when it is needed, and again when it was lost.

use std::sync::Arc;

use crate::connect::{TransactionStatus, Wire};
use crate::error::{Kind, Result};

use super::snapshot::{Snapshot, leader_lost};

/// Locks after which a session begins a new transaction: the server keeps room only for so many, and
/// the leader has them all.
const MOST_LOCKS: usize = 500;

/// The session of one worker.
pub(super) struct Line {
    snapshot: Arc<Snapshot>,
    number: usize,
    wire: Option<Wire>,
    /// There was a session before.
    opened: bool,
    /// Tables that its transaction has locked, at most.
    locks: usize,
}

impl Line {
    pub fn new(snapshot: Arc<Snapshot>, number: usize) -> Self {
        Self {
            snapshot,
            number,
            wire: None,
            opened: false,
            locks: 0,
        }
    }

    /// A session whose transaction is in order, for statements that lock so many tables.
    ///
    /// # Errors
    /// See [`Snapshot::open`].
    pub async fn session(&mut self, locks: usize) -> Result<&mut Wire> {
        if let Some(mut wire) = self.wire.take().filter(|wire| !wire.is_broken()) {
            let is_open = wire.transaction_status() == TransactionStatus::Open;
            if !is_open || self.locks + locks > MOST_LOCKS {
                self.snapshot.renew(&mut wire).await?;
                self.locks = 0;
            }
            self.locks += locks;
            return Ok(self.wire.insert(wire));
        }
        let wire = match self.snapshot.open(self.number).await {
            // It was good before: the server does not know the snapshot any more.
            Err(error) if self.opened && error.kind() == Kind::Server => {
                return Err(leader_lost().with_source(error));
            }
            opened => opened?,
        };
        self.opened = true;
        self.locks = locks;
        Ok(self.wire.insert(wire))
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
                self.locks = 0;
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
