//! The self-test: whether a backup could be made now, and whether those that were made are as they should be.
//!
//! Why it exists: what keeps a backup from succeeding at night can be found by day.
//!
//! What it promises: every check says what was found and what can be done; one that fails keeps no other
//! from being made; what a check writes, to the store or the server, it takes away again, also after a
//! failure, and a later run takes away what a killed one has left.
//!
//! What it leaves to others: where the values come from (configuration), and every printed word.

mod backups;
mod notices;
mod privileges;
mod round;
mod server;
mod store;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::connect::Config;
use crate::dump::DumpOptions;
use crate::encryption::{Keys, Recipients};
use crate::error::{Error, Kind, Result};
use crate::mirror::Mirror;
use crate::notify::Notifier;
use crate::report::{Check, Verdict};
use crate::storage::Store;

/// What is looked at, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// What is configured; made by the caller.
    Configuration,
    /// Whether the database can be reached, and its server's version.
    Connection,
    /// Whether the role may read all of it.
    Privileges,
    /// Whether the store can be written, read and deleted in.
    Store,
    /// Whether the clocks agree.
    Clock,
    /// Whether the repository is whole: problems, dead drafts and locks.
    Repository,
    /// How old the last good backup is.
    LastBackup,
    /// Whether its size is like that of those before it.
    Size,
    /// How long ago one was read back.
    Verified,
    /// Whether encrypted backups can be read with the keys at hand.
    Keys,
    /// Whether notices would arrive.
    Notification,
    /// Whether the table of records could be written.
    Record,
    /// A small backup, restored and compared.
    Round,
}

impl Subject {
    /// All of them, in order.
    pub const ALL: [Self; 13] = [
        Self::Configuration,
        Self::Connection,
        Self::Privileges,
        Self::Store,
        Self::Clock,
        Self::Repository,
        Self::LastBackup,
        Self::Size,
        Self::Verified,
        Self::Keys,
        Self::Notification,
        Self::Record,
        Self::Round,
    ];

    /// Its name, as in [`Check::name`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Connection => "connection",
            Self::Privileges => "privileges",
            Self::Store => "store",
            Self::Clock => "clock",
            Self::Repository => "repository",
            Self::LastBackup => "last-backup",
            Self::Size => "size",
            Self::Verified => "verified",
            Self::Keys => "keys",
            Self::Notification => "notification",
            Self::Record => "record",
            Self::Round => "round",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Subject {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|it| it.name() == text);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|it| it.name()).collect();
            Error::new(Kind::Usage, format!("there is no check \"{text}\""))
                .with_hint(format!("there are {}", names.join(", ")))
        })
    }
}

/// What is to be looked at. What could not be made of the configuration is the error that its checks
/// fail with.
pub struct Patient {
    /// The outcome of what the caller looked at himself, if he did.
    pub configuration: Option<Check>,
    /// The database that is backed up.
    pub database: Result<Config>,
    /// Where backups are.
    pub store: Result<Arc<dyn Store>>,
    /// How it is dumped.
    pub dump: Result<DumpOptions>,
    /// For whom backups are encrypted.
    pub recipients: Result<Option<Recipients>>,
    /// What encrypted ones are read with.
    pub keys: Result<Keys>,
    /// Who is told; none when nobody is.
    pub notifier: Result<Option<Notifier>>,
    /// The table of records; none when there is to be none.
    pub record_to: Result<Option<Mirror>>,
    /// How old the newest good backup may be; none for any age.
    pub max_age: Option<Duration>,
    /// By how many percent its size may differ from those before it; none for any size.
    pub size_anomaly: Option<u32>,
}

/// How much is looked at.
#[derive(Clone, Debug, Default)]
pub struct DoctorOptions {
    /// Only this; empty for all, but for the round.
    pub only: BTreeSet<Subject>,
    /// The round too.
    pub full: bool,
    /// Those who are told by mail or webhook get a test, instead of being looked for only.
    pub send_test: bool,
}

impl DoctorOptions {
    fn wants(&self, subject: Subject) -> bool {
        match self.only.is_empty() {
            true => subject != Subject::Round || self.full,
            false => {
                self.only.contains(&subject)
                    || subject == Subject::Round && self.full
                    || subject == Subject::Notification && self.send_test
            }
        }
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DoctorReport {
    /// Each check, in order.
    pub checks: Vec<Check>,
}

impl DoctorReport {
    /// How many ended so.
    pub fn count(&self, verdict: Verdict) -> usize {
        let same = |check: &&Check| check.verdict == verdict;
        self.checks.iter().filter(same).count()
    }

    /// Whether none has failed.
    pub fn is_well(&self) -> bool {
        self.count(Verdict::Failed) == 0
    }
}

/// Looks at everything that is wanted; `made` hears of each check as soon as it is done.
///
/// # Errors
/// [`Kind::Interrupted`] when `cancel` fired. What is wrong is no error but in the report.
pub async fn doctor(
    patient: &Patient,
    options: &DoctorOptions,
    mut made: impl FnMut(&Check),
    cancel: CancellationToken,
) -> Result<DoctorReport> {
    let mut report = DoctorReport::default();
    let mut backups = backups::Known::default();
    for subject in Subject::ALL.into_iter().filter(|it| options.wants(*it)) {
        let looking = look(patient, options, subject, &mut backups, &cancel);
        let checks = match subject {
            // It ends by itself, and takes away what it has made.
            Subject::Round => looking.await,
            _ => tokio::select! {
                biased;
                () = cancel.cancelled() => Vec::new(),
                checks = looking => checks,
            },
        };
        for check in checks {
            made(&check);
            report.checks.push(check);
        }
        if cancel.is_cancelled() {
            return Err(Error::new(Kind::Interrupted, "doctor: interrupted"));
        }
    }
    Ok(report)
}

async fn look(
    patient: &Patient,
    options: &DoctorOptions,
    subject: Subject,
    backups: &mut backups::Known,
    cancel: &CancellationToken,
) -> Vec<Check> {
    let name = subject.name();
    let done = match subject {
        Subject::Configuration => return patient.configuration.clone().into_iter().collect(),
        Subject::Notification => return notices::look(name, patient, options.send_test).await,
        Subject::Record => notices::record(name, patient).await,
        Subject::Connection => server::connection(name, patient).await,
        Subject::Privileges => privileges::look(name, patient).await,
        Subject::Store => store::look(name, patient).await,
        Subject::Clock => store::clocks(name, patient).await,
        Subject::Repository => backups.repository(name, patient).await,
        Subject::LastBackup => backups.last(name, patient).await,
        Subject::Size => backups.size(name, patient).await,
        Subject::Verified => backups.verified(name, patient).await,
        Subject::Keys => backups.keys(name, patient).await,
        Subject::Round => round::look(name, patient, cancel).await,
    };
    vec![done.unwrap_or_else(|error| Check::failed(name, &error))]
}

/// A value, or the error that it was asked for in vain.
fn given<T>(value: &Result<T>) -> Result<&T> {
    value.as_ref().map_err(|error| {
        let again = Error::new(error.kind(), error.message());
        match error.hint() {
            Some(hint) => again.with_hint(hint.to_owned()),
            None => again,
        }
    })
}

/// Of a list the first few, and how many more there are.
fn some(names: &[String]) -> String {
    const NAMED: usize = 10;
    let first = names.iter().take(NAMED).map(String::as_str);
    let first = first.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// A duration in words: `3 days 4 hours`, `12 minutes`.
fn words(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let one = |number: u64, what: &str| match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => one(seconds, "second"),
        (0, 0, minutes) => one(minutes, "minute"),
        (0, hours, _) => one(hours, "hour"),
        (days, 0, _) => one(days, "day"),
        (days, hours, _) => format!("{} {}", one(days, "day"), one(hours, "hour")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_have_one_name_everywhere() {
        for subject in Subject::ALL {
            assert_eq!(subject.name().parse::<Subject>().unwrap(), subject);
        }
        assert_eq!("mail".parse::<Subject>().unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn the_round_is_made_only_when_it_is_asked_for() {
        let mut options = DoctorOptions::default();
        assert!(options.wants(Subject::Store) && !options.wants(Subject::Round));
        options.only.insert(Subject::LastBackup);
        assert!(!options.wants(Subject::Store) && !options.wants(Subject::Round));
        options.full = true;
        assert!(!options.wants(Subject::Store) && options.wants(Subject::Round));
    }

    #[test]
    fn durations_are_words() {
        let cases = [
            (0, "0 seconds"),
            (1, "1 second"),
            (120, "2 minutes"),
            (3600, "1 hour"),
            (86_400 + 7200, "1 day 2 hours"),
            (3 * 86_400, "3 days"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(words(seconds), expected);
        }
    }
}
