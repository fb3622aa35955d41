//! A backup as a row.

use serde::Serialize;

use crate::archive::Timestamp;
use crate::repository::{Backup, Status};

/// The columns that a backup fills, with their types: what is written, and compared first.
pub(super) const COLUMNS: &[(&str, &str)] = &[
    ("id", "text"),
    ("database", "text"),
    ("type", "text"),
    ("status", "text"),
    ("started_at", "timestamptz"),
    ("ended_at", "timestamptz"),
    ("duration_seconds", "bigint"),
    ("stored_bytes", "bigint"),
    ("raw_bytes", "bigint"),
    ("table_count", "bigint"),
    ("row_count", "bigint"),
    ("sha256", "text"),
    ("encrypted", "boolean"),
    ("repository", "text"),
    ("location", "text"),
    ("server_version", "text"),
    ("tool", "text"),
    ("host", "text"),
    ("error", "text"),
    ("damage", "text"),
    ("expires_at", "timestamptz"),
    ("verified_at", "timestamptz"),
    ("pinned", "boolean"),
];

/// A row, its fields named as the columns.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    id: String,
    database: String,
    r#type: String,
    status: String,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    duration_seconds: Option<u64>,
    stored_bytes: Option<u64>,
    raw_bytes: Option<u64>,
    table_count: Option<u64>,
    row_count: Option<u64>,
    sha256: Option<String>,
    encrypted: Option<bool>,
    repository: String,
    location: Option<String>,
    server_version: Option<String>,
    tool: String,
    host: String,
    error: Option<String>,
    damage: Option<String>,
    expires_at: Option<Timestamp>,
    verified_at: Option<Timestamp>,
    pinned: bool,
}

/// Longest error that is recorded, in characters.
const ERROR: usize = 10_000;

impl Row {
    pub(super) fn new(backup: &Backup, repository: &str) -> Self {
        let record = &backup.record;
        let archive = record.archive.as_ref();
        let ended_at = (backup.status != Status::Running).then_some(record.ended);
        // A text of the server has no zero byte.
        let text = |text: &str| text.replace('\0', " ").chars().take(ERROR).collect();
        Self {
            id: record.id.to_string(),
            database: text(&record.database),
            r#type: record.backup_type.to_string(),
            status: backup.status.to_string(),
            started_at: record.started,
            ended_at,
            duration_seconds: ended_at.map(|ended| ended.0.saturating_sub(record.started.0)),
            stored_bytes: archive.map(|it| it.bytes),
            raw_bytes: archive.map(|it| it.raw_bytes),
            table_count: archive.map(|it| it.tables),
            row_count: archive.map(|it| it.rows),
            sha256: archive.map(|it| it.sha256.clone()),
            encrypted: archive.map(|it| it.encrypted),
            repository: text(repository),
            location: archive.map(|it| text(&it.key)),
            server_version: (!record.server_version.is_empty())
                .then(|| text(&record.server_version)),
            tool: text(&record.tool),
            host: text(&record.host),
            error: record.error.as_deref().map(text),
            damage: backup.damage.as_deref().map(text),
            expires_at: record.expires,
            verified_at: backup.verified_at,
            pinned: backup.pinned,
        }
    }
}
