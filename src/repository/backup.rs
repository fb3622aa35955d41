//! A backup as it is seen: its record, and what became of it since.

use serde::Serialize;

use super::draft::Draft;
use super::listed::ListedBackup;
use super::record::{BackupId, BackupRecord, Ending, Note, RECORD_VERSION};
use super::retention::{Candidate, Decision, Rules, State};
use crate::archive::Timestamp;
use crate::error::{Error, Kind, Result};

/// How it is with a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being made.
    Running,
    /// It is complete.
    Completed,
    /// There is nothing to restore.
    Failed,
    /// It is about to be deleted.
    Expired,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Running, Self::Completed, Self::Failed, Self::Expired];
}

impl std::str::FromStr for Status {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|it| it.to_string() == text);
        found.ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!("there is no status {text:?}: running, completed, failed or expired"),
            )
        })
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Expired => "expired",
        })
    }
}

/// A backup, with all that is known of it. Programs see it as a [`ListedBackup`].
#[derive(Clone, Debug, Serialize)]
#[serde(into = "ListedBackup")]
pub struct Backup {
    /// How it is with it.
    pub status: Status,
    /// Its record; of a running one as far as it goes.
    pub record: BackupRecord,
    /// When its archive was last read back whole.
    pub verified_at: Option<Timestamp>,
    /// What was last found wrong with its archive.
    pub damage: Option<String>,
    /// When that was found.
    pub damaged_at: Option<Timestamp>,
    /// Whether retention must leave it alone.
    pub pinned: bool,
    /// Why, if that was said.
    pub pin_reason: Option<String>,
}

/// All backups, oldest first, and what could not be read.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Listing {
    /// The backups.
    pub backups: Vec<Backup>,
    /// Objects that are not as they were written.
    pub problems: Vec<String>,
    /// Backups whose record is among them.
    pub unreadable: Vec<BackupId>,
}

/// What retention says of each of these backups.
pub fn decide(backups: &[Backup], rules: &Rules, now: Timestamp) -> Vec<Decision> {
    let candidates: Vec<Candidate> = backups.iter().map(Backup::candidate).collect();
    rules.judge(&candidates, now)
}

/// This program, as records name it.
pub const TOOL: &str = concat!("pgstow ", env!("CARGO_PKG_VERSION"));

impl From<BackupRecord> for Backup {
    /// A backup of which nothing has become yet.
    fn from(record: BackupRecord) -> Self {
        Self::of(record, Vec::new())
    }
}

impl Backup {
    /// Notes are in their order.
    pub(super) fn of(record: BackupRecord, notes: Vec<Note>) -> Self {
        let mut backup = Self {
            status: match record.ending {
                Ending::Completed => Status::Completed,
                Ending::Failed => Status::Failed,
            },
            record,
            verified_at: None,
            damage: None,
            damaged_at: None,
            pinned: false,
            pin_reason: None,
        };
        for note in notes {
            match note {
                Note::Verified { at } => {
                    backup.verified_at = Some(at);
                    (backup.damage, backup.damaged_at) = (None, None);
                }
                Note::Damaged { at, error } => {
                    (backup.damage, backup.damaged_at) = (Some(error), Some(at));
                }
                Note::Pinned { reason, .. } => {
                    (backup.pinned, backup.pin_reason) = (true, reason);
                }
                Note::Unpinned { .. } => (backup.pinned, backup.pin_reason) = (false, None),
                Note::Expired { .. } => backup.status = Status::Expired,
            }
        }
        backup
    }

    pub(super) fn of_draft(draft: Draft, is_dead: bool) -> Self {
        let (status, error) = if is_dead {
            let error = format!("{} has not been heard of since", draft.who);
            (Status::Failed, Some(error))
        } else {
            (Status::Running, None)
        };
        Self {
            status,
            record: BackupRecord {
                format_version: RECORD_VERSION,
                id: draft.id,
                database: draft.database,
                server: None,
                selection: None,
                backup_type: draft.backup_type,
                ending: Ending::Failed,
                started: draft.started,
                ended: draft.started,
                archive: None,
                server_version: String::new(),
                tool: TOOL.to_owned(),
                host: draft.who.host,
                error,
                expires: None,
            },
            verified_at: None,
            damage: None,
            damaged_at: None,
            pinned: false,
            pin_reason: None,
        }
    }

    /// Whether it is complete and nothing is known against it.
    pub fn is_good(&self) -> bool {
        self.status == Status::Completed && self.damage.is_none()
    }

    /// What it is a backup of: others of the same series can stand in for it, and no others. A part of a database
    /// is not the whole one, nor is a database of the same name on another server.
    pub fn series(&self) -> String {
        let BackupRecord {
            database,
            server,
            selection,
            ..
        } = &self.record;
        // No name and no option has this character in it.
        let parts = [Some(database), server.as_ref(), selection.as_ref()];
        let parts = parts.map(|it| it.map_or("", String::as_str));
        parts.join("\0")
    }

    fn candidate(&self) -> Candidate {
        Candidate {
            id: self.record.id.to_string(),
            database: self.record.database.clone(),
            series: self.series(),
            backup_type: self.record.backup_type,
            created: self.record.started,
            state: match self.status {
                Status::Running => State::Running,
                Status::Completed if self.damage.is_some() => State::Damaged,
                Status::Completed if self.verified_at.is_some() => State::Verified,
                Status::Completed => State::Completed,
                Status::Failed => State::Failed,
                Status::Expired => State::Expired,
            },
            pinned: self.pinned,
        }
    }
}
