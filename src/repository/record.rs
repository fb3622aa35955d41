//! The record of one backup, as it stands in the store.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::disk::random;
use crate::archive::{Timestamp, hex};
use crate::error::{Error, Kind, Result};

/// How a backup was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupType {
    /// By hand.
    #[default]
    Manual,
    /// Every day.
    Daily,
    /// Every week.
    Weekly,
    /// Every month.
    Monthly,
}

impl BackupType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Manual, Self::Daily, Self::Weekly, Self::Monthly];

    fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }
}

impl fmt::Display for BackupType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BackupType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|it| it.name() == text);
        found.ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!("there is no type of backup {text:?}: manual, daily, weekly or monthly"),
            )
        })
    }
}

/// Identity of a backup: the second in which it began, the part of it, and 2 random bytes:
/// `20261122T030000Z-1f2e3d4c`. Ids sort by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupId(String);

impl BackupId {
    /// The id of a backup that begins now.
    ///
    /// # Errors
    /// [`Kind::Failed`] when the system has no randomness to give.
    pub fn new(started: Timestamp) -> Result<Self> {
        let time = started.to_string().replace(['-', ':'], "");
        let mut suffix = random::<4>()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        // Two of one second are in their order, too.
        if let Ok(now) = now
            && now.as_secs() == started.0
        {
            let part = u64::from(now.subsec_nanos()) * 65_536 / 1_000_000_000;
            suffix[..2].copy_from_slice(&u16::try_from(part).unwrap_or(u16::MAX).to_be_bytes());
        }
        Ok(Self(format!("{time}-{}", hex(&suffix))))
    }

    /// The moment that it names.
    pub fn started(&self) -> Option<Timestamp> {
        let (time, _) = self.0.split_once('-')?;
        let at = |from: usize, to: usize| time.get(from..to);
        let (year, month, day) = (at(0, 4)?, at(4, 6)?, at(6, 8)?);
        let (hour, minute, second) = (at(9, 11)?, at(11, 13)?, at(13, 15)?);
        let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
        Timestamp::try_from(text).ok()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BackupId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_id = || {
            let (time, random) = text.split_once('-')?;
            let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            let holds = date.len() == 8
                && clock.len() == 6
                && digits(date)
                && digits(clock)
                && random.len() == 8
                && random.bytes().all(hex);
            holds.then_some(())
        };
        let id = is_id().map(|()| Self(text.to_owned()));
        match id.filter(|id| id.started().is_some()) {
            Some(id) => Ok(id),
            None => Err(
                Error::new(Kind::Usage, format!("{text:?} is no id of a backup")).with_hint(
                    "an id is like 20261122T030000Z-1f2e3d4c; pgstow backups lists them",
                ),
            ),
        }
    }
}

impl From<BackupId> for String {
    fn from(id: BackupId) -> Self {
        id.0
    }
}

impl TryFrom<String> for BackupId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// How a backup ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// Everything is there, and was checked.
    Completed,
    /// There is nothing to restore.
    Failed,
}

/// The archive of a completed backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredArchive {
    /// Its key in the store.
    pub key: String,
    /// Its length there.
    pub bytes: u64,
    /// SHA-256 of these bytes, in hex.
    pub sha256: String,
    /// The id that the archive bears itself.
    pub archive_id: String,
    /// Whether it is encrypted.
    #[serde(default)]
    pub encrypted: bool,
    /// Bytes of COPY data before compression.
    pub raw_bytes: u64,
    /// Entries of its table of contents.
    pub entries: u64,
    /// Tables with rows.
    pub tables: u64,
    /// Rows in all, as the server reported them.
    pub rows: u64,
}

/// What is known of a backup when it has ended. It is written once and never changed: that it is
/// there is what makes a backup one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRecord {
    /// Version of this record's form.
    pub format_version: u32,
    /// Identity.
    pub id: BackupId,
    /// The database's name.
    pub database: String,
    /// What tells its server from others of that name, the system identifier; none where it was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The options by which not all of the database is in it; none of a whole one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<String>,
    /// How it was asked for.
    #[serde(rename = "type")]
    pub backup_type: BackupType,
    /// How it ended.
    pub ending: Ending,
    /// When it began.
    pub started: Timestamp,
    /// When it had ended.
    pub ended: Timestamp,
    /// The archive; none of a failed backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<StoredArchive>,
    /// `server_version` of the source; empty when there was no connection.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub server_version: String,
    /// The program.
    pub tool: String,
    /// The machine that made it.
    pub host: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When retention lets go of it at the earliest, by its type; none for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// Version of the record's form that is written, and the newest that is read.
pub const RECORD_VERSION: u32 = 1;

/// Something that became of a backup after it was made. Each is an object of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "lowercase")]
pub enum Note {
    /// Its archive was read back whole.
    Verified {
        /// When.
        at: Timestamp,
    },
    /// Its archive was found damaged, or gone.
    Damaged {
        /// When.
        at: Timestamp,
        /// What was found.
        error: String,
    },
    /// Retention must not touch it.
    Pinned {
        /// When.
        at: Timestamp,
        /// Why, as the user said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Retention may touch it again.
    Unpinned {
        /// When.
        at: Timestamp,
    },
    /// It is to be deleted: the first of two steps.
    Expired {
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
}

impl Note {
    /// When it was written.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Verified { at }
            | Self::Damaged { at, .. }
            | Self::Pinned { at, .. }
            | Self::Unpinned { at }
            | Self::Expired { at, .. } => *at,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_come_back() {
        let early = BackupId::new(Timestamp(1_700_000_000)).unwrap();
        let late = BackupId::new(Timestamp(1_800_000_000)).unwrap();
        assert!(early < late);
        assert_eq!(early.as_str().parse::<BackupId>().unwrap(), early);
        assert_eq!(early.started(), Some(Timestamp(1_700_000_000)));
        for bad in [
            "",
            "latest",
            "20261122T030000Z-1f2e3d4",
            "20261122T030000Z-1F2E3D4C",
            "../22T030000Z-1f2e3d4c",
            "20261122T030000-1f2e3d4c",
            "20261322T030000Z-1f2e3d4c",
        ] {
            assert_eq!(
                bad.parse::<BackupId>().unwrap_err().kind(),
                Kind::Usage,
                "{bad}"
            );
        }
    }

    #[test]
    fn types_have_one_name_everywhere() {
        for backup_type in BackupType::ALL {
            let json = serde_json::to_string(&backup_type).unwrap();
            assert_eq!(json, format!("\"{backup_type}\""));
            assert_eq!(
                backup_type.to_string().parse::<BackupType>().unwrap(),
                backup_type
            );
        }
        assert!("hourly".parse::<BackupType>().is_err());
    }
}
