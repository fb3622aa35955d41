//! A backup as programs see it: one flat object, every field always there.

use serde::Serialize;

use super::backup::{Backup, Status};
use super::record::{BackupId, BackupType};
use crate::archive::Timestamp;

/// What `backups --json` has of each. Times are UTC, sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedBackup {
    /// Its id.
    pub id: BackupId,
    /// The database's name.
    pub database: String,
    /// The system identifier of its server, where that was known.
    pub server: Option<String>,
    /// The options by which not all of the database is in it; none of a whole one.
    pub selection: Option<String>,
    /// How it was asked for.
    #[serde(rename = "type")]
    pub backup_type: BackupType,
    /// How it is with it.
    pub status: Status,
    /// When it began.
    pub started: Timestamp,
    /// When it had ended; none of one that is being made.
    pub ended: Option<Timestamp>,
    /// How long that was.
    pub duration_seconds: Option<u64>,
    /// Length of the archive; none where there is none, as with all that follows.
    pub bytes: Option<u64>,
    /// Bytes of rows before compression.
    pub raw_bytes: Option<u64>,
    /// SHA-256 of the archive as it is stored, in hex.
    pub sha256: Option<String>,
    /// The archive's key in the store.
    pub key: Option<String>,
    /// The id that the archive bears itself.
    pub archive_id: Option<String>,
    /// Whether it is encrypted.
    pub encrypted: Option<bool>,
    /// Entries of its table of contents.
    pub entries: Option<u64>,
    /// Tables with rows.
    pub tables: Option<u64>,
    /// Rows in all.
    pub rows: Option<u64>,
    /// `server_version` of the source.
    pub server_version: Option<String>,
    /// The program that made it.
    pub tool: String,
    /// The machine that made it.
    pub host: String,
    /// Why it failed.
    pub error: Option<String>,
    /// When its own time is over; retention may keep it longer. None for never.
    pub expires: Option<Timestamp>,
    /// When the archive was last read back whole.
    pub verified_at: Option<Timestamp>,
    /// What was last found wrong with the archive.
    pub damage: Option<String>,
    /// When that was found.
    pub damaged_at: Option<Timestamp>,
    /// Whether retention and `delete` leave it alone.
    pub pinned: bool,
    /// Why, if that was said.
    pub pin_reason: Option<String>,
}

impl From<Backup> for ListedBackup {
    fn from(backup: Backup) -> Self {
        let record = backup.record;
        let ended = (backup.status != Status::Running).then_some(record.ended);
        let archive = record.archive;
        let of = archive.as_ref();
        Self {
            id: record.id,
            database: record.database,
            server: record.server,
            selection: record.selection,
            backup_type: record.backup_type,
            status: backup.status,
            started: record.started,
            ended,
            duration_seconds: ended.map(|ended| ended.0.saturating_sub(record.started.0)),
            bytes: of.map(|it| it.bytes),
            raw_bytes: of.map(|it| it.raw_bytes),
            encrypted: of.map(|it| it.encrypted),
            entries: of.map(|it| it.entries),
            tables: of.map(|it| it.tables),
            rows: of.map(|it| it.rows),
            sha256: of.map(|it| it.sha256.clone()),
            archive_id: of.map(|it| it.archive_id.clone()),
            key: archive.map(|it| it.key),
            server_version: Some(record.server_version).filter(|it| !it.is_empty()),
            tool: record.tool,
            host: record.host,
            error: record.error,
            expires: record.expires,
            verified_at: backup.verified_at,
            damage: backup.damage,
            damaged_at: backup.damaged_at,
            pinned: backup.pinned,
            pin_reason: backup.pin_reason,
        }
    }
}
