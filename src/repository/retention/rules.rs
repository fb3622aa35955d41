//! Whose policy holds for which backup, where several jobs keep theirs in one place.

use super::{Candidate, Decision, Policy, State, judge};
use crate::archive::Timestamp;

/// Another job of the same configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherJob {
    /// Its name.
    pub name: String,
    /// The database that it is for, where that is known.
    pub database: Option<String>,
    /// What it keeps.
    pub policy: Policy,
}

/// The policy of a job, and how far it reaches: each database is judged by the job that it belongs
/// to. Where it belongs to several, what one of them keeps stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    policy: Policy,
    database: Option<String>,
    others: Vec<OtherJob>,
}

impl From<Policy> for Rules {
    /// For all backups.
    fn from(policy: Policy) -> Self {
        Self {
            policy,
            database: None,
            others: Vec::new(),
        }
    }
}

impl Rules {
    /// The policy of the job of `database`, beside these other jobs. It is for the backups of that database, and for those
    /// that can be of no other job.
    pub fn beside(policy: Policy, database: Option<String>, others: Vec<OtherJob>) -> Self {
        Self {
            policy,
            database,
            others,
        }
    }

    /// Decides about every backup, in the order given.
    pub fn judge(&self, backups: &[Candidate], now: Timestamp) -> Vec<Decision> {
        let mut decisions = judge(backups, &self.policy, now);
        let by_others: Vec<(&OtherJob, Vec<Decision>)> = self
            .others
            .iter()
            .map(|job| (job, judge(backups, &job.policy, now)))
            .collect();
        for (at, backup) in backups.iter().enumerate() {
            let decision = &mut decisions[at];
            // What is half deleted is nobody's.
            if decision.keep || backup.state == State::Expired {
                continue;
            }
            let is_ours = self.database.as_ref() == Some(&backup.database);
            let keeps = by_others.iter().find_map(|(job, theirs)| {
                let name = &job.name;
                match &job.database {
                    Some(database) if *database != backup.database => None,
                    Some(_) if is_ours => {
                        let theirs = theirs.get(at).filter(|decision| decision.keep)?;
                        Some(format!("job {name}: {}", theirs.reason))
                    }
                    Some(_) => Some(format!("of job {name}, whose rules are its own")),
                    None if is_ours => None,
                    None => Some(format!(
                        "may be of job {name}, of which no database is known"
                    )),
                }
            });
            if let Some(reason) = keeps {
                decision.keep = true;
                decision.reason = reason;
            }
        }
        decisions
    }
}
