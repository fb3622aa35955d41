//! Whether the backups that were made are as they should be.

use super::{Patient, given, some, words};
use crate::archive::Timestamp;
use crate::encryption::DecryptedSource;
use crate::error::{Error, Kind, Result};
use crate::report::{Check, Verdict};
use crate::repository::{Backup, LEASE_SECONDS, Repository, Status, Survey};

/// How many backups before the last one its size is compared with, and how many it takes to judge.
const COMPARED: usize = 7;
const ENOUGH: usize = 3;

/// When a good backup was not read back for longer, it is worth a word.
const UNVERIFIED_DAYS: u64 = 30;

/// What was read of the repository, for all checks of one run.
#[derive(Default)]
pub(super) struct Known {
    read: Option<(Repository, Survey)>,
}

impl Known {
    async fn read(&mut self, patient: &Patient) -> Result<&(Repository, Survey)> {
        let store = given(&patient.store)?;
        if self.read.is_none() {
            let repository = Repository::open(store.clone()).await?;
            let survey = repository.survey().await?;
            self.read = Some((repository, survey));
        }
        let read = self.read.as_ref();
        read.ok_or_else(|| Error::new(Kind::Failed, "the repository was not read"))
    }

    /// Good backups of the database, oldest first.
    async fn good(&mut self, patient: &Patient) -> Result<Vec<Backup>> {
        let database = match &patient.database {
            Ok(config) => Some(config.database().to_owned()),
            Err(_) => None,
        };
        let (_, survey) = self.read(patient).await?;
        let is_wanted = |backup: &&Backup| {
            backup.is_good()
                && database
                    .as_ref()
                    .is_none_or(|it| *it == backup.record.database)
        };
        let mut good: Vec<Backup> = survey
            .listing
            .backups
            .iter()
            .filter(is_wanted)
            .cloned()
            .collect();
        good.sort_by(|a, b| {
            (a.record.started, &a.record.id).cmp(&(b.record.started, &b.record.id))
        });
        Ok(good)
    }

    /// Problems, what dead runs have left, archives that are not what they were.
    pub(super) async fn repository(
        &mut self,
        name: &'static str,
        patient: &Patient,
    ) -> Result<Check> {
        let (repository, survey) = self.read(patient).await?;
        let mut failures = survey.listing.problems.clone();
        if !survey.damaged.is_empty() {
            let ids: Vec<String> = survey.damaged.iter().map(ToString::to_string).collect();
            failures.push(format!("archives are gone or too short: {}", some(&ids)));
        }
        let mut lines = Vec::new();
        let completed = || {
            let all = survey.listing.backups.iter();
            all.filter(|it| it.status == Status::Completed)
        };
        let damaged: Vec<String> = completed()
            .filter(|it| it.damage.is_some() && !survey.damaged.contains(&it.record.id))
            .map(|it| it.record.id.to_string())
            .collect();
        if !damaged.is_empty() {
            let text = format!("found damaged: {}", some(&damaged));
            match completed().next_back() {
                Some(newest) if newest.damage.is_some() => failures.push(text),
                _ => lines.push(text),
            }
        }
        if !survey.leftovers.is_empty() {
            let left: Vec<String> = survey.leftovers.iter().map(ToString::to_string).collect();
            lines.push(format!("left by runs that died: {}", some(&left)));
        }
        if !survey.lost.is_empty() {
            let ids: Vec<String> = survey.lost.iter().map(ToString::to_string).collect();
            lines.push(format!("archives without a record: {}", some(&ids)));
        }
        let dead = dead_locks(repository).await?;
        if !dead.is_empty() {
            lines.push(format!("locks of runs that died: {}", some(&dead)));
        }
        let verdict = match (failures.is_empty(), lines.is_empty()) {
            (false, _) => Verdict::Failed,
            (true, false) => Verdict::Warning,
            (true, true) => {
                let found = format!(
                    "{}: {} backups, nothing left over",
                    repository.name(),
                    survey.listing.backups.len()
                );
                return Ok(Check::new(name, Verdict::Passed, found));
            }
        };
        let mut ways = Vec::new();
        if !damaged.is_empty() {
            ways.push("pgstow backup makes a good one, pgstow delete takes a damaged one away");
        }
        if !failures.is_empty() {
            ways.push("pgstow verify tells what can still be restored");
        }
        if !survey.leftovers.is_empty() {
            ways.push("pgstow prune, or the next backup, takes away what was left");
        }
        if !survey.lost.is_empty() {
            ways.push("pgstow rebuild makes records anew from archives");
        }
        if !dead.is_empty() {
            ways.push("whoever wants the lock next takes the place of a dead one");
        }
        failures.extend(lines);
        Ok(Check::new(name, verdict, failures.join("\n")).with_way_out(ways.join("; ")))
    }

    /// How old the newest good backup is.
    pub(super) async fn last(&mut self, name: &'static str, patient: &Patient) -> Result<Check> {
        let good = self.good(patient).await?;
        let way_out = "pgstow backup makes one; see when the last ones failed: pgstow backups";
        let Some(last) = good.last() else {
            let found = "there is no good backup";
            return Ok(Check::new(name, Verdict::Failed, found).with_way_out(way_out));
        };
        let record = &last.record;
        let age = Timestamp::now().0.saturating_sub(record.started.0);
        let found = format!("{} of {}, {} old", record.id, record.database, words(age));
        match patient.max_age {
            Some(max) if age > max.as_secs() => {
                let found = format!(
                    "no backup since {}: the last is {found}, and may be {}",
                    record.started,
                    words(max.as_secs())
                );
                Ok(Check::new(name, Verdict::Failed, found).with_way_out(way_out))
            }
            _ => Ok(Check::new(name, Verdict::Passed, found)),
        }
    }

    /// The newest good backup against the median of those before it.
    pub(super) async fn size(&mut self, name: &'static str, patient: &Patient) -> Result<Check> {
        let good = self.good(patient).await?;
        let skipped = |why: &str| Ok(Check::new(name, Verdict::Skipped, why));
        let Some(percent) = patient.size_anomaly else {
            return skipped("any size is fine, says the configuration");
        };
        let Some(last) = good.last() else {
            return skipped("there is no good backup");
        };
        let bytes = |backup: &Backup| backup.record.archive.as_ref().map(|it| it.raw_bytes);
        let before: Vec<u64> = good
            .iter()
            .rev()
            .skip(1)
            .filter(|it| {
                it.record.backup_type == last.record.backup_type && it.series() == last.series()
            })
            .take(COMPARED)
            .filter_map(bytes)
            .collect();
        let size = bytes(last).unwrap_or(0);
        match judge(size, &before, percent) {
            None => skipped("there are too few backups before the last one"),
            Some(Size { median, off, odd }) => {
                let found = format!(
                    "{size} bytes of rows in {}, {off} % off the median of the {} before, {median}",
                    last.record.id,
                    before.len()
                );
                let check = match odd {
                    true => Check::new(name, Verdict::Failed, found).with_way_out(
                        "see whether the database has changed so much; if it has, the next backups are the measure",
                    ),
                    false => Check::new(name, Verdict::Passed, found),
                };
                Ok(check)
            }
        }
    }

    /// How long ago a good backup was read back.
    pub(super) async fn verified(
        &mut self,
        name: &'static str,
        patient: &Patient,
    ) -> Result<Check> {
        let good = self.good(patient).await?;
        let way_out = "pgstow verify latest reads one back";
        let Some(first) = good.first() else {
            return Ok(Check::new(
                name,
                Verdict::Skipped,
                "there is no good backup",
            ));
        };
        let now = Timestamp::now().0;
        let newest = good.iter().filter_map(|it| it.verified_at).max();
        let since = newest.map_or(first.record.started, |at| at);
        let age = now.saturating_sub(since.0);
        let verdict = match age > UNVERIFIED_DAYS * 86_400 {
            true => Verdict::Warning,
            false => Verdict::Passed,
        };
        let found = match newest {
            Some(_) => format!("one was read back {} ago", words(age)),
            None => format!("none was read back yet; the first is {} old", words(age)),
        };
        let check = Check::new(name, verdict, found);
        Ok(match verdict {
            Verdict::Warning => check.with_way_out(way_out),
            _ => check,
        })
    }

    /// Whether the newest good backup can be opened with the keys at hand.
    pub(super) async fn keys(&mut self, name: &'static str, patient: &Patient) -> Result<Check> {
        let good = self.good(patient).await?;
        let skipped = |why: String| Ok(Check::new(name, Verdict::Skipped, why));
        let encrypted = |backup: &&Backup| {
            let archive = backup.record.archive.as_ref();
            archive.is_some_and(|archive| archive.encrypted)
        };
        let Some(backup) = good.iter().rev().find(encrypted) else {
            return skipped("no backup is encrypted".to_owned());
        };
        let keys = given(&patient.keys)?;
        let id = &backup.record.id;
        if keys.is_empty() {
            return Ok(Check::new(
                name,
                Verdict::Skipped,
                format!("{id} is encrypted, and there is no key here to try"),
            )
            .with_way_out("try it where the key is: pgstow verify latest --identity FILE"));
        }
        let (repository, _) = self.read(patient).await?;
        let source = repository.open_archive(backup).await?;
        match DecryptedSource::open(source, keys).await {
            Ok(_) => {
                let found = format!("{id} can be read with the key at hand");
                Ok(Check::new(name, Verdict::Passed, found))
            }
            Err(error) => Err(error.context(format!("backup {id}"))),
        }
    }
}

/// Tickets of locks that nobody renews any more, by the store's own clock as far as it shows.
async fn dead_locks(repository: &Repository) -> Result<Vec<String>> {
    let tickets = repository.store().list("locks").await?;
    let now = i64::try_from(Timestamp::now().0).unwrap_or(i64::MAX);
    let dead = tickets
        .into_iter()
        .filter(|ticket| now - ticket.modified > 2 * LEASE_SECONDS);
    Ok(dead.map(|ticket| ticket.key).collect())
}

/// A size in comparison.
#[derive(Debug, PartialEq, Eq)]
struct Size {
    median: u64,
    /// In percent of the median.
    off: u64,
    odd: bool,
}

/// Judges a size by those before it: odd is what differs from their median by more than so many
/// percent of it. None when there are too few.
fn judge(size: u64, before: &[u64], percent: u32) -> Option<Size> {
    if before.len() < ENOUGH {
        return None;
    }
    let mut sorted = before.to_vec();
    sorted.sort_unstable();
    let median = sorted[sorted.len() / 2];
    let off = size.abs_diff(median).saturating_mul(100) / median.max(1);
    Some(Size {
        median,
        off,
        odd: off > u64::from(percent),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_odd_when_it_is_far_from_the_median() {
        let before = [100, 110, 90, 5, 105];
        let judged = |size| judge(size, &before, 50).unwrap();
        assert_eq!(judged(100).median, 100, "one odd one before does not count");
        assert!(!judged(150).odd);
        assert!(judged(151).odd);
        assert!(!judged(50).odd);
        assert!(judged(49).odd);
        assert!(judged(0).odd);
        assert_eq!(judge(1, &[1, 1], 50), None);
        // Empty ones before are no reason to divide by nothing.
        assert!(judge(1_000, &[0, 0, 0], 50).unwrap().odd);
        assert!(!judge(0, &[0, 0, 0], 50).unwrap().odd);
    }
}
