//! Letting go of what no rule keeps.

use std::sync::Arc;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::audited::audited;
use super::interrupt::{give_back, interrupted, unless};
use crate::archive::Timestamp;
use crate::error::{Error, Kind, Result};
use crate::report::Observer;
use crate::repository::retention::{AHEAD_SECONDS, Rules};
use crate::repository::{
    Action, BackupId, BackupType, DELETION, Leftover, Lock, Note, Repository, Status, Survey,
    Verdict, decide,
};

/// Whether anything is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PruneMode {
    /// It is done.
    #[default]
    Delete,
    /// It is told what would be done.
    DryRun,
}

/// What is done with a backup, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// The backup.
    pub id: BackupId,
    /// Its database.
    pub database: String,
    /// How it was asked for.
    #[serde(rename = "type")]
    pub backup_type: BackupType,
    /// How it is with it.
    pub status: Status,
    /// When it began.
    pub started: Timestamp,
    /// Bytes of its archive.
    pub bytes: u64,
    /// Whether it stays.
    pub keep: bool,
    /// Why.
    pub reason: String,
}

/// What was done, or would be.
#[derive(Clone, Debug, Serialize)]
pub struct PruneReport {
    /// Whether anything was done.
    pub mode: PruneMode,
    /// Every backup, oldest first.
    pub backups: Vec<Pruned>,
    /// What runs that died have left, and is taken away.
    pub leftovers: Vec<Leftover>,
    /// How many backups are deleted.
    pub deleted: u64,
    /// How many bytes that frees.
    pub freed_bytes: u64,
    /// What is wrong: records that cannot be read, archives without record or gone. It is left alone.
    pub problems: Vec<String>,
}

/// Deletes the backups that no rule keeps, and what runs that died have left: first all
/// of them are marked, then they go one by one; what an interruption leaves marked goes the next time.
/// Nothing is touched that this program has not written.
///
/// # Errors
/// [`Kind::Refused`] when somebody else deletes, and when this machine's clock is not the store's;
/// [`Kind::Interrupted`] when `cancel` fired; what the store says.
pub async fn prune(
    repository: &Repository,
    rules: &Rules,
    mode: PruneMode,
    now: Timestamp,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<PruneReport> {
    if mode == PruneMode::DryRun {
        let survey = unless(&cancel, "prune", repository.survey()).await?;
        return Ok(plan(&survey, rules, mode, now));
    }
    let repository = &repository.heard_by(&observer);
    let work = async {
        let lock = unless(&cancel, "prune", repository.lock(DELETION, "prune")).await?;
        let done = match clocks_agree(&lock) {
            Ok(()) => prune_locked(repository, rules, now, &lock, &cancel).await,
            Err(error) => Err(error),
        };
        give_back(repository, lock, &cancel, &observer).await;
        done
    };
    let report = audited(
        repository,
        Action::Prune,
        Vec::new(),
        &observer,
        work,
        |report| {
            format!(
                "{} deleted, {} bytes freed, {} left by dead runs",
                report.deleted,
                report.freed_bytes,
                report.leftovers.len()
            )
        },
    )
    .await?;
    if let Err(error) = repository.keep_index().await {
        observer.warning(format!("keep the index of backups: {error}"));
    }
    Ok(report)
}

fn plan(survey: &Survey, rules: &Rules, mode: PruneMode, now: Timestamp) -> PruneReport {
    let listed = &survey.listing.backups;
    let decisions = decide(listed, rules, now);
    let mut backups: Vec<Pruned> = listed
        .iter()
        .zip(decisions)
        .map(|(backup, decision)| Pruned {
            id: backup.record.id.clone(),
            database: backup.record.database.clone(),
            backup_type: backup.record.backup_type,
            status: backup.status,
            started: backup.record.started,
            bytes: backup.record.archive.as_ref().map_or(0, |it| it.bytes),
            keep: decision.keep,
            reason: decision.reason,
        })
        .collect();
    // A draft is no backup yet: when its maker has died, it becomes the record of a failure.
    for backup in &mut backups {
        let dead = Leftover::Dead(backup.id.clone());
        if survey.leftovers.contains(&dead) {
            backup.keep = true;
            backup.reason = "its maker has died: put on record as failed".to_owned();
        } else if survey.drafted.contains(&backup.id) && !backup.keep {
            backup.keep = true;
            backup.reason = "its draft is there: it may be being made".to_owned();
        }
    }
    let mut problems = survey.listing.problems.clone();
    problems.extend(survey.lost.iter().map(|id| {
        format!("archive of {id} has no record: pgstow rebuild makes one, if it was lost")
    }));
    for backup in listed {
        if let (true, Some(damage)) = (survey.damaged.contains(&backup.record.id), &backup.damage) {
            problems.push(format!("backup {}: {damage}", backup.record.id));
        }
    }
    let going = || backups.iter().filter(|it| !it.keep);
    PruneReport {
        mode,
        deleted: going().count() as u64,
        freed_bytes: going().map(|it| it.bytes).sum(),
        leftovers: survey.leftovers.clone(),
        problems,
        backups,
    }
}

/// Refuses to delete by a clock that is not the store's: one that stands far ahead finds every backup old.
fn clocks_agree(lock: &Lock) -> Result<()> {
    let (ours, theirs) = (Timestamp::now(), lock.taken());
    if ours.0.abs_diff(theirs.0) <= AHEAD_SECONDS {
        return Ok(());
    }
    Err(Error::new(
        Kind::Refused,
        format!("this machine's clock says {ours}, and the store's {theirs}"),
    )
    .with_hint("how old a backup is goes by the clock: set it, and prune again"))
}

async fn prune_locked(
    repository: &Repository,
    rules: &Rules,
    now: Timestamp,
    lock: &Lock,
    cancel: &CancellationToken,
) -> Result<PruneReport> {
    let survey = unless(cancel, "prune", repository.survey()).await?;
    let report = plan(&survey, rules, PruneMode::Delete, now);
    for backup in &survey.listing.backups {
        let id = &backup.record.id;
        // Once: what is on record already is not written down every night.
        let is_new = survey.damaged.contains(id) && backup.damaged_at.is_none();
        if let (true, Some(error)) = (is_new, &backup.damage) {
            let note = Note::Damaged {
                at: now,
                error: error.clone(),
            };
            repository.note(id, &note).await?;
        }
    }
    let going: Vec<&Pruned> = report.backups.iter().filter(|it| !it.keep).collect();
    if going.is_empty() && report.leftovers.is_empty() {
        return Ok(report);
    }
    let ids = going.iter().map(|it| it.id.to_string()).collect();
    let detail: Vec<String> = report.leftovers.iter().map(Leftover::to_string).collect();
    repository
        .audit(Action::Prune, ids, Verdict::Begun, detail.join("; "))
        .await?;
    // What is begun with one of them is ended; what is left then, the next prune ends.
    let go_on = || match cancel.is_cancelled() {
        true => Err(interrupted("prune")),
        false => Ok(()),
    };
    for one in &going {
        go_on()?;
        let backup = survey
            .listing
            .backups
            .iter()
            .find(|it| it.record.id == one.id);
        if let Some(backup) = backup {
            repository.expire(backup, &one.reason, lock).await?;
        }
    }
    for one in &going {
        go_on()?;
        repository.erase(&one.id, lock).await?;
    }
    for leftover in &report.leftovers {
        go_on()?;
        repository.clear(leftover, lock).await?;
    }
    Ok(report)
}
