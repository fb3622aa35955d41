//! Which backups are kept and which have expired.
//!
//! A pure function of the backups, the policy and the moment; each decision comes with its reason.
//! The rules are grandfather, father and son by time windows: of each day, ISO week and month (in a
//! time zone that the policy names) the newest good backup stays for as long as the window of its
//! tier. A window stays covered: the newest good backup that is older than its beginning stays, too,
//! so that every moment of the window has one before it. Whatever the windows say, the newest good
//! ones stay: a long outage deletes nothing that is still the best there is.

mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

pub use rules::{OtherJob, Rules};

use super::record::BackupType;
use crate::archive::Timestamp;

/// A backup, as far as retention has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: String,
    /// Its database.
    pub database: String,
    /// What it is a backup of: rules hold for each series by itself.
    pub series: String,
    /// How it was asked for.
    pub backup_type: BackupType,
    /// When its snapshot was taken, about.
    pub created: Timestamp,
    /// What became of it.
    pub state: State,
    /// Whether somebody said that it must stay.
    pub pinned: bool,
}

/// What became of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is being made.
    Running,
    /// It has failed; there is nothing to restore.
    Failed,
    /// It is complete.
    Completed,
    /// It is complete and was read back whole since.
    Verified,
    /// It was complete, and its archive was found damaged.
    Damaged,
    /// Its deletion has begun.
    Expired,
}

impl State {
    fn is_good(self) -> bool {
        matches!(self, Self::Completed | Self::Verified)
    }
}

/// A tier of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// The newest of each day.
    Daily,
    /// The newest of each ISO week.
    Weekly,
    /// The newest of each month.
    Monthly,
}

impl Tier {
    const ALL: [Self; 3] = [Self::Daily, Self::Weekly, Self::Monthly];

    /// The period of this tier that a moment lies in: the year and the day, week or month of it.
    fn period(self, at: Timestamp, zone: &TimeZone) -> (i16, i16) {
        let seconds = i64::try_from(at.0).unwrap_or(i64::MAX);
        let moment = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
        let date = zone.to_datetime(moment).date();
        match self {
            Self::Daily => (date.year(), date.day_of_year()),
            Self::Weekly => {
                let week = date.iso_week_date();
                (week.year(), i16::from(week.week()))
            }
            Self::Monthly => (date.year(), i16::from(date.month())),
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Daily => "day",
            Self::Weekly => "week",
            Self::Monthly => "month",
        })
    }
}

/// How long and how many of a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keep {
    /// The window, in days; none for none.
    pub days: Option<u32>,
    /// The newest of so many periods that have a backup, whatever their age.
    pub count: Option<u32>,
}

impl Keep {
    /// A window of so many days.
    pub fn days(days: u32) -> Self {
        Self {
            days: Some(days),
            count: None,
        }
    }
}

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The newest of each day.
    pub daily: Keep,
    /// The newest of each ISO week.
    pub weekly: Keep,
    /// The newest of each month.
    pub monthly: Keep,
    /// How long backups that were made by hand stay, in days; none for ever.
    pub manual_days: Option<u32>,
    /// How long the record of a failed backup stays, in days.
    pub failed_days: u32,
    /// The newest so many good ones stay, at least 1.
    pub keep_last: u32,
    /// The newest so many verified ones stay.
    pub keep_verified: u32,
    /// Days, weeks and months are those of this time zone.
    pub zone: TimeZone,
}

impl Default for Policy {
    /// Daily ones for 7 days, weekly ones for 28, monthly ones for 365, manual ones for ever, records
    /// of failures for 30 days; the newest one and the newest two verified ones always; UTC.
    fn default() -> Self {
        Self {
            daily: Keep::days(7),
            weekly: Keep::days(28),
            monthly: Keep::days(365),
            manual_days: None,
            failed_days: 30,
            keep_last: 1,
            keep_verified: 2,
            zone: TimeZone::UTC,
        }
    }
}

impl Policy {
    fn tier(&self, tier: Tier) -> Keep {
        match tier {
            Tier::Daily => self.daily,
            Tier::Weekly => self.weekly,
            Tier::Monthly => self.monthly,
        }
    }

    /// How many days a backup of this type stays on its own account; none for ever.
    pub fn days_of(&self, backup_type: BackupType) -> Option<u32> {
        match backup_type {
            BackupType::Manual => self.manual_days,
            BackupType::Daily => Some(self.daily.days.unwrap_or(0)),
            BackupType::Weekly => Some(self.weekly.days.unwrap_or(0)),
            BackupType::Monthly => Some(self.monthly.days.unwrap_or(0)),
        }
    }
}

/// What is done with a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The backup.
    pub id: String,
    /// Whether it stays.
    pub keep: bool,
    /// Why, in words.
    pub reason: String,
}

/// Decides about every backup, in the order given.
pub fn judge(backups: &[Candidate], policy: &Policy, now: Timestamp) -> Vec<Decision> {
    let mut series: BTreeMap<&str, Vec<&Candidate>> = BTreeMap::new();
    for backup in backups {
        series.entry(&backup.series).or_default().push(backup);
    }
    let mut reasons: BTreeMap<&str, String> = BTreeMap::new();
    for of_series in series.values() {
        reasons.extend(kept(of_series, policy, now));
    }
    let decide = |backup: &Candidate| match reasons.remove(backup.id.as_str()) {
        Some(reason) => Decision {
            id: backup.id.clone(),
            keep: true,
            reason,
        },
        None => Decision {
            id: backup.id.clone(),
            keep: false,
            reason: match backup.state {
                State::Failed => format!("failed more than {} days ago", policy.failed_days),
                State::Expired => "its deletion had begun before".to_owned(),
                State::Damaged => format!(
                    "damaged, {} days old, and there are good ones",
                    age_days(backup.created, now)
                ),
                _ => format!(
                    "{} days old, and no rule keeps it",
                    age_days(backup.created, now)
                ),
            },
        },
    };
    backups.iter().map(decide).collect()
}

fn age_days(created: Timestamp, now: Timestamp) -> u64 {
    now.0.saturating_sub(created.0) / DAY
}

/// By so many seconds clocks may differ; what is made later than that in the future has a wrong time.
pub const AHEAD_SECONDS: u64 = 3600;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// Whether a moment lies in the window of so many days before now.
fn is_within(created: Timestamp, days: u32, now: Timestamp) -> bool {
    now.0.saturating_sub(created.0) < u64::from(days) * DAY
}

/// Those of one series that stay, with the first reason that holds.
fn kept<'a>(
    backups: &[&'a Candidate],
    policy: &Policy,
    now: Timestamp,
) -> BTreeMap<&'a str, String> {
    let mut kept: BTreeMap<&str, String> = BTreeMap::new();
    let mut keep = |backup: &'a Candidate, reason: String| {
        kept.entry(&backup.id).or_insert(reason);
    };
    for backup in backups {
        match backup.state {
            State::Running => keep(backup, "is being made".to_owned()),
            State::Failed if is_within(backup.created, policy.failed_days, now) => keep(
                backup,
                format!("failed: on record for {} days", policy.failed_days),
            ),
            // What is half deleted cannot be brought back.
            State::Expired => {}
            _ if backup.pinned => keep(backup, "pinned".to_owned()),
            _ => {}
        }
    }
    let mut good: Vec<&Candidate> = backups
        .iter()
        .copied()
        .filter(|backup| backup.state.is_good())
        .collect();
    // What is damaged keeps nothing from staying, and may still be worth something: as long as it
    // would have been kept, and always where there is nothing better.
    for backup in backups.iter().filter(|it| it.state == State::Damaged) {
        let days = policy.days_of(backup.backup_type);
        if good.is_empty() {
            keep(backup, "damaged, and there is no good one".to_owned());
        } else if days.is_none_or(|days| is_within(backup.created, days, now)) {
            keep(
                backup,
                format!("damaged; {}: its time is not over", backup.backup_type),
            );
        }
    }
    // Of a clock that was ahead: it is no newer than the others, and must not take their place.
    good.retain(|backup| {
        let is_ahead = backup.created.0 > now.0.saturating_add(AHEAD_SECONDS);
        if is_ahead {
            keep(backup, "made by a clock that was ahead".to_owned());
        }
        !is_ahead
    });
    // Newest first; of one second the greater id.
    good.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
    for backup in good.iter().take(policy.keep_last.max(1) as usize) {
        keep(backup, "among the newest".to_owned());
    }
    let verified = |backup: &&&Candidate| backup.state == State::Verified;
    for backup in good
        .iter()
        .filter(verified)
        .take(policy.keep_verified as usize)
    {
        keep(backup, "among the newest that were verified".to_owned());
    }
    for backup in &good {
        match policy.days_of(backup.backup_type) {
            None => keep(backup, format!("{}: kept for ever", backup.backup_type)),
            Some(days) if is_within(backup.created, days, now) => {
                keep(backup, format!("{}: kept {days} days", backup.backup_type));
            }
            Some(_) => {}
        }
    }
    for tier in Tier::ALL {
        let Keep { days, count } = policy.tier(tier);
        let mut seen = BTreeSet::new();
        let mut covered = false;
        for backup in &good {
            let is_newest_of_period = seen.insert(tier.period(backup.created, &policy.zone));
            let is_inside = days.is_some_and(|days| is_within(backup.created, days, now));
            if is_newest_of_period && is_inside {
                let days = days.unwrap_or(0);
                keep(backup, format!("newest of its {tier}: kept {days} days"));
            }
            if is_newest_of_period && seen.len() <= count.unwrap_or(0) as usize {
                let count = count.unwrap_or(0);
                keep(backup, format!("newest of its {tier}, among {count}"));
            }
            if let Some(days) = days.filter(|&days| days > 0 && !is_inside && !covered) {
                covered = true;
                keep(
                    backup,
                    format!("newest that is older than {days} days: the window stays covered"),
                );
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests;
