//! Figures about the backups of a repository; pure.

use serde::Serialize;

use super::backup::{Backup, Status};
use super::record::{BackupId, BackupType};
use crate::archive::Timestamp;

/// The newest complete backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Last {
    /// Its id.
    pub id: BackupId,
    /// Its database.
    pub database: String,
    /// How it was asked for.
    #[serde(rename = "type")]
    pub backup_type: BackupType,
    /// When it began.
    pub started: Timestamp,
    /// Length of its archive in bytes.
    pub bytes: u64,
    /// Bytes of rows before compression.
    pub raw_bytes: u64,
    /// Seconds that it took.
    pub seconds: u64,
}

/// How sizes have changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Growth {
    /// Days between the oldest and the newest complete backup of the last [`GROWTH_DAYS`].
    pub days: f64,
    /// Bytes of archive more (or less) a day.
    pub bytes_per_day: f64,
    /// Bytes of rows before compression more (or less) a day.
    pub raw_bytes_per_day: f64,
}

/// How far back growth looks.
pub const GROWTH_DAYS: u64 = 30;

/// Figures about some backups: all of a repository, or of one database.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Backups that are being made.
    pub running: u64,
    /// Complete ones.
    pub completed: u64,
    /// Failed ones that are on record.
    pub failed: u64,
    /// Those whose deletion has begun.
    pub expired: u64,
    /// Complete ones whose archive was found damaged; they count as completed, too.
    pub damaged: u64,
    /// Complete ones that were read back whole since.
    pub verified: u64,
    /// Complete ones that are pinned.
    pub pinned: u64,
    /// Bytes of all archives.
    pub bytes: u64,
    /// Of those that have ended, the share that is complete, from 0 to 1; none when there are none.
    pub success_rate: Option<f64>,
    /// The newest complete one that is not known to be damaged.
    pub last: Option<Last>,
    /// When the newest failed one began.
    pub last_failure: Option<Timestamp>,
    /// Of the database of the newest complete one; none with fewer than two of them.
    pub growth: Option<Growth>,
}

impl Last {
    /// Of one that is complete.
    fn of(backup: &Backup) -> Option<Self> {
        let record = &backup.record;
        let archive = record.archive.as_ref()?;
        Some(Self {
            id: record.id.clone(),
            database: record.database.clone(),
            backup_type: record.backup_type,
            started: record.started,
            bytes: archive.bytes,
            raw_bytes: archive.raw_bytes,
            seconds: record.ended.0.saturating_sub(record.started.0),
        })
    }
}

impl Stats {
    /// Counts these backups, which are in order of their ids, oldest first.
    pub fn of<'a>(backups: impl IntoIterator<Item = &'a Backup>) -> Self {
        let mut stats = Self::default();
        let mut good: Vec<Last> = Vec::new();
        for backup in backups {
            match backup.status {
                Status::Running => stats.running += 1,
                Status::Failed => {
                    stats.failed += 1;
                    stats.last_failure = stats.last_failure.max(Some(backup.record.started));
                }
                Status::Expired => stats.expired += 1,
                Status::Completed => {
                    stats.completed += 1;
                    stats.damaged += u64::from(backup.damage.is_some());
                    stats.verified += u64::from(backup.verified_at.is_some() && backup.is_good());
                    stats.pinned += u64::from(backup.pinned);
                }
            }
            stats.bytes += backup.record.archive.as_ref().map_or(0, |it| it.bytes);
            if backup.is_good() {
                good.extend(Last::of(backup));
            }
        }
        let ended = stats.completed + stats.failed;
        stats.success_rate = (ended > 0).then(|| float(stats.completed) / float(ended));
        good.sort_by(|a, b| (a.started, &a.id).cmp(&(b.started, &b.id)));
        stats.growth = growth(&good);
        stats.last = good.pop();
        stats
    }
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn float(number: u64) -> f64 {
    number as f64
}

/// Of these complete ones, oldest first.
fn growth(good: &[Last]) -> Option<Growth> {
    let last = good.last()?;
    let since = last.started.0.saturating_sub(GROWTH_DAYS * 86_400);
    let first = good
        .iter()
        .find(|it| it.database == last.database && it.started.0 >= since)?;
    let days = float(last.started.0 - first.started.0) / 86_400.;
    let per_day = |first: u64, last: u64| (float(last) - float(first)) / days;
    (days > 0.).then(|| Growth {
        days,
        bytes_per_day: per_day(first.bytes, last.bytes),
        raw_bytes_per_day: per_day(first.raw_bytes, last.raw_bytes),
    })
}
