//! One backup: deleted, pinned, pinned no longer.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::audited::audited;
use super::interrupt::{give_back, unless};
use crate::archive::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::report::Observer;
use crate::repository::{
    Action, Backup, BackupId, DELETION, Lock, Note, Repository, Status, Verdict,
};

/// What is done when it is the last good one of its database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastGood {
    /// It stays.
    #[default]
    Keep,
    /// It goes.
    Delete,
}

/// How to delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// What is done when it is the last good one.
    pub last_good: LastGood,
    /// Why, for the audit log.
    pub reason: Option<String>,
}

/// Deletes a backup: archive, record and notes. The audit log says so before anything is gone.
///
/// # Errors
/// [`Kind::Refused`] when it is pinned, being made, or the last good one, and when somebody else
/// deletes; what the store says.
pub async fn delete(
    repository: &Repository,
    id: &BackupId,
    options: &DeleteOptions,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<Backup> {
    let repository = &repository.heard_by(&observer);
    let ids = vec![id.to_string()];
    let work = async {
        let what = format!("delete {id}");
        let lock = unless(&cancel, "delete", repository.lock(DELETION, &what)).await?;
        let done = delete_locked(repository, id, options, &lock, &cancel).await;
        give_back(repository, lock, &cancel, &observer).await;
        done
    };
    let detail = |_: &Backup| options.reason.clone().unwrap_or_default();
    audited(repository, Action::Delete, ids, &observer, work, detail).await
}

async fn delete_locked(
    repository: &Repository,
    id: &BackupId,
    options: &DeleteOptions,
    lock: &Lock,
    cancel: &CancellationToken,
) -> Result<Backup> {
    let finding = repository.find(id.as_str(), None);
    let backup = unless(cancel, "delete", finding).await?;
    if backup.is_good() && options.last_good == LastGood::Keep {
        let database = &backup.record.database;
        let listing = unless(cancel, "delete", repository.list()).await?;
        let series = backup.series();
        let others = listing
            .backups
            .iter()
            .filter(|other| other.is_good() && other.series() == series && other.record.id != *id);
        if others.count() == 0 {
            return Err(Error::new(
                Kind::Refused,
                format!("backup {id} is the last good one of {database}"),
            )
            .with_hint("--last deletes it all the same"));
        }
    }
    // A draft of a dead run is cleaned up by the store's clock, not by somebody's wish.
    if backup.status == Status::Failed && repository.is_drafted(id).await? {
        return Err(Error::new(
            Kind::Refused,
            format!("backup {id} is a draft: its maker may live"),
        )
        .with_hint("pgstow prune cleans up the drafts of makers that have died"));
    }
    repository.check_deletable(&backup)?;
    let reason = options.reason.as_deref().unwrap_or("deleted by hand");
    let ids = vec![id.to_string()];
    repository
        .audit(Action::Delete, ids, Verdict::Begun, reason)
        .await?;
    repository.expire(&backup, reason, lock).await?;
    repository.erase(id, lock).await?;
    Ok(backup)
}

/// Pins a complete backup: retention and `delete` leave it alone.
///
/// # Errors
/// [`Kind::Refused`] when it is not complete; what the store says.
pub async fn pin(
    repository: &Repository,
    backup: &Backup,
    reason: Option<String>,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<()> {
    let id = &backup.record.id;
    let repository = &repository.heard_by(&observer);
    let work = async {
        if backup.status != Status::Completed {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "backup {id} is {}: only a complete one can be pinned",
                    backup.status
                ),
            ));
        }
        // Nobody deletes it in this moment.
        let what = format!("pin {id}");
        let lock = unless(&cancel, "pin", repository.lock(DELETION, &what)).await?;
        let pinned = async {
            let now = unless(&cancel, "pin", repository.find(id.as_str(), None)).await?;
            if now.status != Status::Completed {
                return Err(Error::new(
                    Kind::Refused,
                    format!("backup {id} is {} now", now.status),
                ));
            }
            let at = Timestamp::now();
            let reason = reason.clone();
            repository.note(id, &Note::Pinned { at, reason }).await
        }
        .await;
        give_back(repository, lock, &cancel, &observer).await;
        pinned
    };
    let ids = vec![id.to_string()];
    let detail = |(): &()| reason.clone().unwrap_or_default();
    audited(repository, Action::Pin, ids, &observer, work, detail).await
}

/// Lets retention have a backup again.
///
/// # Errors
/// What the store says.
pub async fn unpin(
    repository: &Repository,
    backup: &Backup,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<()> {
    let id = &backup.record.id;
    let note = Note::Unpinned {
        at: Timestamp::now(),
    };
    let work = unless(&cancel, "unpin", repository.note(id, &note));
    let ids = vec![id.to_string()];
    let detail = |(): &()| String::new();
    audited(repository, Action::Unpin, ids, &observer, work, detail).await
}
