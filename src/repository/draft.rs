//! A backup that is being made: what says so to others, and when they take its maker for dead.

use serde::{Deserialize, Serialize};

use super::backup::Backup;
use super::lease::{LEASE_SECONDS, Lease};
use super::record::{BackupId, BackupType};
use super::who::Who;
use crate::archive::Timestamp;
use crate::error::Result;

/// A backup that is being made, or whose maker has died.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Its id.
    pub id: BackupId,
    /// The database's name, as far as it is known.
    pub database: String,
    /// How it was asked for.
    #[serde(rename = "type")]
    pub backup_type: BackupType,
    /// When it began.
    pub started: Timestamp,
    /// Who makes it.
    pub who: Who,
}

/// A backup that is being made by this process. Dropped, it is found as a dead draft later.
#[derive(Debug)]
#[must_use]
pub struct Pending {
    pub(super) draft: Draft,
    pub(super) lease: Lease,
}

impl Pending {
    /// What is being made.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// The backup as it is listed meanwhile.
    pub fn backup(&self) -> Backup {
        Backup::of_draft(self.draft.clone(), false)
    }

    /// Whether nobody can have taken this process for dead.
    ///
    /// # Errors
    /// [`Kind::Storage`] when somebody can.
    pub fn confirm(&self) -> Result<()> {
        self.lease.confirm()
    }
}

pub(super) fn now() -> i64 {
    i64::try_from(Timestamp::now().0).unwrap_or(i64::MAX)
}

/// How long after its last sign a process that is gone may still have a request under way.
const UNDER_WAY: i64 = 10;

/// Whether nobody makes a backup any more whose draft was last renewed then.
pub(super) fn is_dead(renewed: i64, now: i64, draft: Option<&Draft>) -> bool {
    let silent = now - renewed;
    silent > LEASE_SECONDS || silent > UNDER_WAY && draft.is_some_and(|it| it.who.is_gone())
}
