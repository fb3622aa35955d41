//! The audit log: what was done, by whom and when, in records that hold on to each other.
//!
//! Each record is an object of its own, written once. Its key has its number and the SHA-256 of its
//! content, and it names the records that were the last ones when it was written; so a record that was
//! changed or moved does not agree with its key, and one that was taken away is missed by those after
//! it. Two who write at once make two records of one number; the next ones name both. The newest is
//! missed by nobody after it: an object apart, which is replaced each time, names the last ones.
//!
//! Whoever may write everything in the store, and knows this form, can write a whole new history. For
//! that the store's own means are needed: versions of objects, or retention locks.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::disk::{self, random};
use super::layout::{AUDIT, HEADS};
use super::who::Who;
use crate::archive::{Timestamp, hex};
use crate::error::{Context as _, Error, Kind, Result};
use crate::storage::{Overwrite, Put, Store};

/// How far back a record is named that was written late, beside others of its number.
const LATE: u64 = 100;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The repository was made.
    Init,
    /// A backup was made.
    Backup,
    /// One was restored.
    Restore,
    /// One was read back whole.
    Verify,
    /// One was written to a file.
    Download,
    /// One was deleted.
    Delete,
    /// What retention let go was deleted, and what dead runs had left.
    Prune,
    /// One was pinned.
    Pin,
    /// One was pinned no longer.
    Unpin,
    /// The record of one was made anew from its archive.
    Rebuild,
    /// Somebody was to be told of one.
    Notify,
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Init => "init",
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Verify => "verify",
            Self::Download => "download",
            Self::Delete => "delete",
            Self::Prune => "prune",
            Self::Pin => "pin",
            Self::Unpin => "unpin",
            Self::Rebuild => "rebuild",
            Self::Notify => "notify",
        })
    }
}

/// How it ended, or that it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It begins: written before something is deleted, so that nothing goes without a trace.
    Begun,
    /// It was done.
    Done,
    /// It was refused.
    Refused,
    /// It has failed.
    Failed,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        })
    }
}

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// One more than the greatest of those before it.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: Who,
    /// What.
    pub action: Action,
    /// The backups that it was about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backups: Vec<String>,
    /// How it ended.
    pub verdict: Verdict,
    /// More about it: a target, a reason, an error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The names of the records that were the last ones.
    pub after: Vec<String>,
    /// Random, so that no two records are alike.
    pub nonce: String,
}

/// The whole log, and what is wrong with it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AuditLog {
    /// Records in order.
    pub records: Vec<AuditRecord>,
    /// What was changed, cannot be read, is missing or was put in.
    pub problems: Vec<String>,
}

fn name_of(number: u64, content: &[u8]) -> String {
    format!("{number:010}-{}", hex(&Sha256::digest(content)[..16]))
}

fn number_of(name: &str) -> u64 {
    let digits = name.split('-').next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

/// What a record that is written now has to name: those of the greatest number, and those of the
/// last numbers that do not stand alone under theirs, since whoever wrote the next one may not have
/// seen them all.
fn ends(names: &[String]) -> Vec<String> {
    let mut of_number: BTreeMap<u64, Vec<&String>> = BTreeMap::new();
    for name in names {
        of_number.entry(number_of(name)).or_default().push(name);
    }
    let Some((&last, _)) = of_number.last_key_value() else {
        return Vec::new();
    };
    of_number
        .range(last.saturating_sub(LATE)..)
        .filter(|(number, those)| **number == last || those.len() > 1)
        .flat_map(|(_, those)| those.iter().map(|name| (*name).clone()))
        .collect()
}

/// Adds a record.
pub(super) async fn append(
    store: &dyn Store,
    action: Action,
    backups: Vec<String>,
    verdict: Verdict,
    detail: String,
) -> Result<()> {
    let appending = async {
        let mut names = names(store).await?;
        // What was named last and is not there any more is missed by the next record, too.
        names.extend(heads(store).await?.unwrap_or_default());
        names.sort();
        names.dedup();
        let last = names.iter().map(|name| number_of(name)).max().unwrap_or(0);
        let record = AuditRecord {
            number: last.saturating_add(1),
            at: Timestamp::now(),
            who: Who::here(),
            action,
            backups,
            verdict,
            detail,
            after: ends(&names),
            nonce: hex(&random::<8>()?),
        };
        let content = disk::to_bytes(&record, AUDIT)?;
        let name = name_of(record.number, &content);
        let key = format!("{AUDIT}/{name}.json");
        let put = store.put(&key, content.clone(), Overwrite::Refuse).await;
        match put {
            Ok(Put::Written) => {}
            Ok(Put::Exists) => {
                return Err(Error::new(Kind::Storage, format!("{key} is there already")));
            }
            // It may have been done nevertheless.
            Err(error) => match store.get(&key).await {
                Ok(Some(found)) if found == content => {}
                _ => return Err(error),
            },
        }
        // Asked again: somebody else may have written at the same time.
        let heads = ends(&self::names(store).await?);
        disk::put(store, HEADS, &heads).await
    };
    appending.await.context_with(|| "write the audit log")
}

/// The last records, as they are named apart; none where nothing is, or nothing that can be read.
async fn heads(store: &dyn Store) -> Result<Option<Vec<String>>> {
    let bytes = store.get(HEADS).await?;
    Ok(bytes.and_then(|bytes| disk::from_bytes(&bytes, HEADS).ok()))
}

async fn names(store: &dyn Store) -> Result<Vec<String>> {
    let listed = store.list(AUDIT).await?;
    let name = |key: &str| {
        let name = key.strip_prefix(AUDIT)?.strip_prefix('/')?;
        Some(name.strip_suffix(".json")?.to_owned())
    };
    Ok(listed.iter().filter_map(|it| name(&it.key)).collect())
}

/// Reads the log and checks every record.
pub(super) async fn read(store: &dyn Store) -> Result<AuditLog> {
    let names = names(store).await?;
    let mut log = AuditLog::default();
    // By whom each name is named: a record's number, or 0 for the heads.
    let mut named: BTreeMap<String, u64> = BTreeMap::new();
    let mut there: BTreeSet<String> = BTreeSet::new();
    let keys = names.iter().map(|name| format!("{AUDIT}/{name}.json"));
    for (key, bytes) in disk::read_bytes(store, keys.collect()).await? {
        let name = key.trim_start_matches(AUDIT).trim_start_matches('/');
        let name = name.trim_end_matches(".json").to_owned();
        match disk::from_bytes::<AuditRecord>(&bytes, &key) {
            Ok(record) => {
                for before in &record.after {
                    named.entry(before.clone()).or_insert(record.number);
                }
                if name_of(record.number, &bytes) == name {
                    log.records.push(record);
                } else {
                    log.problems.push(format!("record {name} was changed"));
                }
            }
            Err(_) => log.problems.push(format!("record {name} was changed")),
        }
        there.insert(name);
    }
    match store.get(HEADS).await? {
        Some(bytes) => match disk::from_bytes::<Vec<String>>(&bytes, HEADS) {
            Ok(heads) => {
                for name in heads {
                    named.entry(name).or_insert(0);
                }
            }
            Err(_) => log.problems.push(format!("{HEADS} was changed")),
        },
        None if there.is_empty() => {}
        None => log.problems.push(format!("{HEADS} is missing")),
    }
    for (name, by) in named.iter().filter(|(name, _)| !there.contains(*name)) {
        log.problems.push(match by {
            0 => format!("record {name} is missing: it was among the last ones"),
            number => format!("record {name} is missing: record {number} follows it"),
        });
    }
    let last = names.iter().map(|name| number_of(name)).max().unwrap_or(0);
    for name in there.iter().filter(|name| number_of(name) < last) {
        if !named.contains_key(name) {
            let why = "no record names it: it was put in, or the one after it is missing";
            log.problems.push(format!("record {name}: {why}"));
        }
    }
    Ok(log)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn the_next_record_names_what_came_late() {
        let names = |of: &[&str]| of.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        assert!(ends(&[]).is_empty());
        let all = names(&["0000000001-aa", "0000000002-bb", "0000000003-cc"]);
        assert_eq!(ends(&all), ["0000000003-cc"]);
        let late = names(&[
            "0000000001-aa",
            "0000000002-bb",
            "0000000002-dd",
            "0000000003-cc",
        ]);
        assert_eq!(
            ends(&late),
            ["0000000002-bb", "0000000002-dd", "0000000003-cc"]
        );
    }
}
