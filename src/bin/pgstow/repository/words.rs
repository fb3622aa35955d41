//! Backups for people: tables and lines.

use std::fmt::Write as _;

use indicatif::{HumanBytes, HumanCount};
use pgstow::archive::Timestamp;
use pgstow::ops::repository::{BackupList, PruneReport};
use pgstow::repository::{AuditLog, Backup, ListedBackup, Stats, Status};

use crate::output::harmless;

/// Columns, as wide as what is in them; the last one is not filled up.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let of = |row: &Vec<String>| row.get(column).map_or(0, |cell| cell.chars().count());
        rows.iter().map(of).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

fn size(bytes: Option<u64>) -> String {
    bytes.map_or("-".to_owned(), |bytes| HumanBytes(bytes).to_string())
}

/// What is remarkable about a backup, in a few words.
fn remark(backup: &Backup) -> String {
    let mut words = Vec::new();
    if let Some(damage) = &backup.damage {
        words.push(format!("DAMAGED: {damage}"));
    } else if let Some(at) = backup.verified_at {
        words.push(format!("verified {at}"));
    }
    if backup.pinned {
        words.push("pinned".to_owned());
    }
    if let Some(selection) = &backup.record.selection {
        words.push(format!("partial: {selection}"));
    }
    if let Some(error) = &backup.record.error {
        words.push(error.clone());
    }
    words.join("; ")
}

/// The list of backups.
pub fn list(list: &BackupList) -> String {
    if list.backups.is_empty() {
        return "no backups\n".to_owned();
    }
    let head = [
        "ID", "DATABASE", "TYPE", "STATUS", "DURATION", "SIZE", "ROWS", "REMARKS",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for backup in &list.backups {
        let record = &backup.record;
        let archive = record.archive.as_ref();
        let seconds = record.ended.0.saturating_sub(record.started.0);
        rows.push(vec![
            record.id.to_string(),
            harmless(&record.database),
            record.backup_type.to_string(),
            backup.status.to_string(),
            match backup.status {
                Status::Running => "-".to_owned(),
                _ => duration(seconds),
            },
            size(archive.map(|it| it.bytes)),
            archive.map_or("-".to_owned(), |it| HumanCount(it.rows).to_string()),
            harmless(&remark(backup)).replace('\n', " "),
        ]);
    }
    let mut text = table(&rows);
    if let Some(next) = &list.next {
        let shown = list.backups.len();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{shown} of {}; more with --after {next}", list.total);
    }
    text
}

/// Figures about backups.
pub fn stats(stats: &Stats) -> String {
    let mut rows = vec![
        ("completed", stats.completed.to_string()),
        ("failed", stats.failed.to_string()),
        ("running", stats.running.to_string()),
        ("expired", stats.expired.to_string()),
        ("verified", stats.verified.to_string()),
        ("damaged", stats.damaged.to_string()),
        ("pinned", stats.pinned.to_string()),
        ("space used", HumanBytes(stats.bytes).to_string()),
    ];
    if let Some(rate) = stats.success_rate {
        rows.push(("success rate", format!("{:.1} %", rate * 100.)));
    }
    match &stats.last {
        Some(last) => rows.push((
            "last backup",
            format!(
                "{}, {}, {} ({})",
                last.started,
                last.backup_type,
                HumanBytes(last.bytes),
                last.id
            ),
        )),
        None => rows.push(("last backup", "none".to_owned())),
    }
    if let Some(failure) = stats.last_failure {
        rows.push(("last failure", failure.to_string()));
    }
    if let Some(growth) = &stats.growth {
        let per_day = growth.bytes_per_day;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a figure for people"
        )]
        let bytes = HumanBytes(per_day.abs() as u64);
        let sign = if per_day < 0. { "-" } else { "+" };
        let days = growth.days;
        rows.push((
            "growth",
            format!("{sign}{bytes} a day, over {days:.1} days"),
        ));
    }
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, value)| vec![format!("{name}:"), value])
        .collect();
    table(&rows)
}

/// Everything about one backup: the fields that programs see, too.
pub fn show(backup: Backup) -> String {
    let it = ListedBackup::from(backup);
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let count = |of: Option<u64>| of.map(|of| HumanCount(of).to_string());
    let bytes = |of: Option<u64>| of.map(|of| format!("{} ({of} bytes)", HumanBytes(of)));
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let with_time = |text: Option<String>, at: Option<Timestamp>| {
        let since = at.map_or(String::new(), |at| format!(", seen {at}"));
        text.map(|text| format!("{text}{since}"))
    };
    let pinned = match &it.pin_reason {
        Some(why) => format!("yes: {why}"),
        None => yes(it.pinned),
    };
    let rows = [
        ("id", Some(it.id.to_string())),
        ("database", Some(it.database)),
        ("type", Some(it.backup_type.to_string())),
        ("status", Some(it.status.to_string())),
        ("error", it.error),
        ("started", Some(it.started.to_string())),
        ("ended", time(it.ended)),
        ("duration", it.duration_seconds.map(duration)),
        ("expires", time(it.expires)),
        ("pinned", Some(pinned)),
        ("verified", time(it.verified_at)),
        ("damaged", with_time(it.damage, it.damaged_at)),
        ("entries", count(it.entries)),
        ("tables", count(it.tables)),
        ("rows", count(it.rows)),
        ("rows take", bytes(it.raw_bytes)),
        ("archive takes", bytes(it.bytes)),
        ("encrypted", it.encrypted.map(yes)),
        ("sha256", it.sha256),
        ("key", it.key),
        ("archive id", it.archive_id),
        ("server", it.server_version),
        ("tool", Some(it.tool)),
        ("host", Some(it.host)),
    ];
    let told = rows.into_iter().filter_map(|(name, text)| {
        let text = harmless(&text?).replace('\n', " ");
        Some(vec![format!("{name}:"), text])
    });
    table(&told.collect::<Vec<_>>())
}

/// What prune does, or would do.
pub fn prune(report: &PruneReport) -> String {
    let mut rows = Vec::new();
    for backup in &report.backups {
        rows.push(vec![
            if backup.keep { "keep" } else { "expire" }.to_owned(),
            backup.id.to_string(),
            harmless(&backup.database),
            backup.backup_type.to_string(),
            HumanBytes(backup.bytes).to_string(),
            harmless(&backup.reason),
        ]);
    }
    let mut text = table(&rows);
    for leftover in &report.leftovers {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "clean up: {leftover}");
    }
    text
}

/// The audit log.
pub fn audit(log: &AuditLog) -> String {
    let rows: Vec<Vec<String>> = log
        .records
        .iter()
        .map(|record| {
            let what = [record.backups.join(" "), record.detail.clone()];
            let what: Vec<String> = what.into_iter().filter(|it| !it.is_empty()).collect();
            vec![
                record.number.to_string(),
                record.at.to_string(),
                record.action.to_string(),
                record.verdict.to_string(),
                harmless(&record.who.to_string()),
                harmless(&what.join(": ")).replace('\n', " "),
            ]
        })
        .collect();
    table(&rows)
}
