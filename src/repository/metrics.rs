//! What monitoring wants to know, in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;

use super::backup::{Backup, Listing, Status};
use crate::error::{Context as _, Result};
use crate::storage::{LocalSink, Overwrite, Sink as _};

/// One metric of a database's backups: name, help, and its value where there is one.
type Metric = (&'static str, &'static str, fn(&Series<'_>) -> Option<u64>);

/// The backups of one database, oldest first.
struct Series<'a> {
    backups: Vec<&'a Backup>,
}

impl<'a> Series<'a> {
    /// The newest that can be restored.
    fn good(&self) -> Option<&'a Backup> {
        self.backups.iter().rev().copied().find(|it| it.is_good())
    }

    /// The newest that has ended.
    fn last(&self) -> Option<&'a Backup> {
        let mut newest_first = self.backups.iter().rev().copied();
        newest_first.find(|it| it.status != Status::Running)
    }

    fn count(&self, is: impl Fn(&Backup) -> bool) -> Option<u64> {
        Some(self.backups.iter().filter(|it| is(it)).count() as u64)
    }
}

const METRICS: &[Metric] = &[
    (
        "pgstow_backup_last_success_timestamp_seconds",
        "When the newest backup that can be restored had ended.",
        |it| Some(it.good()?.record.ended.0),
    ),
    (
        "pgstow_backup_last_success_start_timestamp_seconds",
        "When the newest backup that can be restored began: it has nothing that is newer.",
        |it| Some(it.good()?.record.started.0),
    ),
    (
        "pgstow_backup_last_success_duration_seconds",
        "How long the newest backup that can be restored took.",
        |it| {
            let record = &it.good()?.record;
            Some(record.ended.0.saturating_sub(record.started.0))
        },
    ),
    (
        "pgstow_backup_last_success_size_bytes",
        "Length of the archive of the newest backup that can be restored.",
        |it| Some(it.good()?.record.archive.as_ref()?.bytes),
    ),
    (
        "pgstow_backup_last_success_raw_size_bytes",
        "Rows of the newest backup that can be restored, before compression.",
        |it| Some(it.good()?.record.archive.as_ref()?.raw_bytes),
    ),
    (
        "pgstow_backup_last_success_tables",
        "Tables with rows in the newest backup that can be restored.",
        |it| Some(it.good()?.record.archive.as_ref()?.tables),
    ),
    (
        "pgstow_backup_last_success_rows",
        "Rows in the newest backup that can be restored.",
        |it| Some(it.good()?.record.archive.as_ref()?.rows),
    ),
    (
        "pgstow_backup_last_success_verified_timestamp_seconds",
        "When the newest backup that can be restored was last read back whole.",
        |it| Some(it.good()?.verified_at?.0),
    ),
    (
        "pgstow_backup_last_success_expiry_timestamp_seconds",
        "Until when the newest backup that can be restored is kept at least.",
        |it| Some(it.good()?.record.expires?.0),
    ),
    (
        "pgstow_backup_last_attempt_timestamp_seconds",
        "When the last backup ended, however it did.",
        |it| Some(it.last()?.record.ended.0),
    ),
    (
        "pgstow_backup_last_attempt_success",
        "Whether the last backup that ended can be restored: 1 or 0.",
        |it| Some(u64::from(it.last()?.is_good())),
    ),
    (
        "pgstow_backup_last_verified_timestamp_seconds",
        "When any backup was last read back whole.",
        |it| {
            it.backups
                .iter()
                .filter_map(|it| Some(it.verified_at?.0))
                .max()
        },
    ),
    (
        "pgstow_backup_oldest_timestamp_seconds",
        "When the oldest backup that can be restored began.",
        |it| Some(it.backups.iter().find(|it| it.is_good())?.record.started.0),
    ),
    (
        "pgstow_backups_size_bytes",
        "Length of all archives together.",
        |it| {
            let archives = it
                .backups
                .iter()
                .filter_map(|it| it.record.archive.as_ref());
            Some(archives.map(|it| it.bytes).sum())
        },
    ),
    (
        "pgstow_backups_damaged",
        "Backups whose archive was found damaged or gone.",
        |it| it.count(|it| it.damage.is_some()),
    ),
    (
        "pgstow_backups_pinned",
        "Backups that retention leaves alone.",
        |it| it.count(|it| it.pinned),
    ),
];

/// A listing in Prometheus' text format: one series for each database, and for its backups of each status.
/// Times are in seconds since 1970. What is not known, such as a last success where there is none, is left out.
pub fn render(repository: &str, listing: &Listing) -> String {
    let mut databases: BTreeMap<&str, Series<'_>> = BTreeMap::new();
    for backup in &listing.backups {
        let of_database = databases
            .entry(&backup.record.database)
            .or_insert_with(|| Series {
                backups: Vec::new(),
            });
        of_database.backups.push(backup);
    }
    let mut text = String::new();
    // Writing to a String cannot fail, here and below.
    let header = |text: &mut String, name: &str, help: &str| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    };
    let repository = escape(repository);
    for (name, help, value) in METRICS {
        let values: Vec<(&str, u64)> = databases
            .iter()
            .filter_map(|(database, series)| Some((*database, value(series)?)))
            .collect();
        if values.is_empty() {
            continue;
        }
        header(&mut text, name, help);
        for (database, value) in values {
            let database = escape(database);
            let _ = writeln!(
                text,
                "{name}{{repository=\"{repository}\",database=\"{database}\"}} {value}"
            );
        }
    }
    if !databases.is_empty() {
        let name = "pgstow_backups";
        header(&mut text, name, "Backups by their status.");
        for (database, series) in &databases {
            let database = escape(database);
            for status in Status::ALL {
                let count = series
                    .backups
                    .iter()
                    .filter(|it| it.status == status)
                    .count();
                let _ = writeln!(
                    text,
                    "{name}{{repository=\"{repository}\",database=\"{database}\",status=\"{status}\"}} {count}"
                );
            }
        }
    }
    let name = "pgstow_repository_problems";
    header(
        &mut text,
        name,
        "Objects of the repository that are not as they were written.",
    );
    let problems = listing.problems.len();
    let _ = writeln!(text, "{name}{{repository=\"{repository}\"}} {problems}");
    text
}

/// Writes the metrics to a file that others read at any moment: it is whole, and readable by everybody.
///
/// # Errors
/// [`Kind::Storage`](crate::error::Kind::Storage) when it cannot be written.
pub async fn write(path: &Path, repository: &str, listing: &Listing) -> Result<()> {
    let text = render(repository, listing);
    let written = async {
        let mut sink = Box::new(LocalSink::create(path, Overwrite::Replace).await?);
        sink.readable_by_all()?;
        sink.write(Bytes::from(text)).await?;
        sink.finish().await
    };
    written.await.context_with(|| "write metrics")
}

/// The value of a label.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::record::{
        BackupId, BackupRecord, BackupType, Ending, RECORD_VERSION, StoredArchive,
    };
    use super::*;
    use crate::archive::Timestamp;

    fn backup(started: u64, database: &str, status: Status) -> Backup {
        let archive = StoredArchive {
            key: "archives/x.pgstow".to_owned(),
            bytes: started,
            sha256: String::new(),
            archive_id: String::new(),
            encrypted: false,
            raw_bytes: 3,
            entries: 1,
            tables: 2,
            rows: 5,
        };
        let has_archive = matches!(status, Status::Completed | Status::Expired);
        Backup {
            status,
            record: BackupRecord {
                format_version: RECORD_VERSION,
                id: BackupId::new(Timestamp(started)).unwrap(),
                database: database.to_owned(),
                server: None,
                selection: None,
                backup_type: BackupType::Daily,
                ending: if has_archive {
                    Ending::Completed
                } else {
                    Ending::Failed
                },
                started: Timestamp(started),
                ended: Timestamp(started + 7),
                archive: has_archive.then_some(archive),
                server_version: String::new(),
                tool: String::new(),
                host: String::new(),
                error: None,
                expires: None,
            },
            verified_at: None,
            damage: None,
            damaged_at: None,
            pinned: false,
            pin_reason: None,
        }
    }

    type Labels = BTreeMap<String, String>;

    /// Reads the text format by its rules, and refuses what they do not allow.
    fn parse(text: &str) -> BTreeMap<(String, Labels), f64> {
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        assert!(text.ends_with('\n'));
        let mut samples = BTreeMap::new();
        let mut told: BTreeSet<&str> = BTreeSet::new();
        let mut current = "";
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                assert!(
                    is_name(name) && !help.is_empty() && !help.contains('\\'),
                    "{line}"
                );
                assert!(told.insert(name), "{name} comes twice");
                current = name;
                continue;
            }
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                assert_eq!(kind, format!("{current} gauge"));
                continue;
            }
            let (name, rest) = line.split_once('{').unwrap();
            assert_eq!(name, current, "samples stand together under their header");
            let mut labels = Labels::new();
            let mut rest = rest;
            while !rest.starts_with('}') {
                let (label, after) = rest.split_once("=\"").unwrap();
                assert!(is_name(label), "{label}");
                let mut value = String::new();
                let mut chars = after.char_indices();
                let end = loop {
                    let (at, c) = chars.next().unwrap();
                    match c {
                        '"' => break at,
                        '\\' => value.push(match chars.next().unwrap().1 {
                            'n' => '\n',
                            c @ ('\\' | '"') => c,
                            other => panic!("there is no escape {other}"),
                        }),
                        c => value.push(c),
                    }
                };
                assert!(labels.insert(label.to_owned(), value).is_none());
                rest = &after[end + 1..];
                rest = rest.strip_prefix(',').unwrap_or(rest);
            }
            let value: f64 = rest.strip_prefix("} ").unwrap().parse().unwrap();
            assert!(samples.insert((name.to_owned(), labels), value).is_none());
        }
        samples
    }

    #[test]
    fn the_text_follows_the_format_and_says_what_is() {
        let nasty = "a\\b \"c\"\n{d=\"e\"}";
        let mut verified = backup(2_000, nasty, Status::Completed);
        verified.verified_at = Some(Timestamp(2_500));
        verified.pinned = true;
        let mut damaged = backup(3_000, nasty, Status::Completed);
        damaged.damage = Some("gone".to_owned());
        let listing = Listing {
            backups: vec![
                backup(1_000, nasty, Status::Completed),
                verified,
                backup(2_100, "only failed", Status::Failed),
                damaged,
                backup(4_000, nasty, Status::Failed),
                backup(5_000, nasty, Status::Running),
            ],
            problems: vec!["x".to_owned()],
            ..Listing::default()
        };
        let samples = parse(&render("s3://b/p", &listing));
        let value = |name: &str, database: &str| {
            let labels = [("repository", "s3://b/p"), ("database", database)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
            samples
                .get(&(format!("pgstow_{name}"), Labels::from(labels)))
                .copied()
        };
        assert_eq!(
            value("backup_last_success_timestamp_seconds", nasty),
            Some(2_007.0)
        );
        assert_eq!(
            value("backup_last_success_duration_seconds", nasty),
            Some(7.0)
        );
        assert_eq!(
            value("backup_last_success_size_bytes", nasty),
            Some(2_000.0)
        );
        assert_eq!(value("backup_last_success_rows", nasty), Some(5.0));
        assert_eq!(
            value("backup_last_success_verified_timestamp_seconds", nasty),
            Some(2_500.0)
        );
        assert_eq!(
            value("backup_last_attempt_timestamp_seconds", nasty),
            Some(4_007.0)
        );
        assert_eq!(value("backup_last_attempt_success", nasty), Some(0.0));
        assert_eq!(
            value("backup_oldest_timestamp_seconds", nasty),
            Some(1_000.0)
        );
        assert_eq!(value("backups_size_bytes", nasty), Some(6_000.0));
        assert_eq!(value("backups_damaged", nasty), Some(1.0));
        assert_eq!(value("backups_pinned", nasty), Some(1.0));
        assert_eq!(
            value("backup_last_success_timestamp_seconds", "only failed"),
            None
        );
        assert_eq!(
            value("backup_last_attempt_success", "only failed"),
            Some(0.0)
        );
        let count = |status: &str| {
            samples
                .iter()
                .find(|((name, labels), _)| {
                    name == "pgstow_backups"
                        && labels["status"] == status
                        && labels["database"] == nasty
                })
                .map(|(_, count)| *count)
        };
        assert_eq!(count("completed"), Some(3.0));
        assert_eq!(count("running"), Some(1.0));
        assert_eq!(count("expired"), Some(0.0));
        assert!(samples.iter().any(|((name, _), value)| {
            name == "pgstow_repository_problems" && (*value - 1.0).abs() < f64::EPSILON
        }));
    }

    #[test]
    fn every_metric_is_in_the_manual() {
        let manual = include_str!("../../docs/monitoring.md");
        let names = METRICS.iter().map(|(name, _, _)| *name);
        for name in names.chain(["pgstow_backups", "pgstow_repository_problems"]) {
            assert!(manual.contains(&format!("| `{name}` |")), "{name}");
            let is_plain = name.starts_with("pgstow_backups") || name.ends_with("_tables");
            let is_plain = is_plain || name.ends_with("_rows") || name.ends_with("_success");
            let has_unit = name.ends_with("_seconds") || name.ends_with("_bytes");
            assert!(
                has_unit || is_plain || name.ends_with("_problems"),
                "{name}"
            );
        }
    }

    #[tokio::test]
    async fn the_file_is_whole_and_everybody_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pgstow.prom");
        for listing in [
            Listing::default(),
            Listing {
                backups: vec![backup(1, "a", Status::Completed)],
                ..Listing::default()
            },
        ] {
            write(&path, "here", &listing).await.unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text, render("here", &listing));
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o644);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        let nowhere = dir.path().join("nowhere/pgstow.prom");
        let error = write(&nowhere, "here", &Listing::default())
            .await
            .unwrap_err();
        assert!(error.message().starts_with("write metrics: "), "{error}");
    }
}
