//! What is told: one piece of work, and how it went.

use serde::Serialize;

use super::settings::Occasion;
use crate::archive::Timestamp;
use crate::error::Error;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// A backup was made.
    #[default]
    Backup,
    /// One was read back.
    Verify,
    /// What retention let go was deleted.
    Prune,
}

impl Work {
    /// Its name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Verify => "verify",
            Self::Prune => "prune",
        }
    }
}

/// When it last went well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastSuccess {
    /// Nobody has looked.
    #[default]
    Unknown,
    /// It never did.
    Never,
    /// Then.
    At(Timestamp),
}

/// One thing to be told. Texts may hold what they like: what cannot be in a header or a line of its own is
/// cleaned when it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// What was done.
    pub work: Work,
    /// How it went.
    pub kind: Occasion,
    /// The job's name, where there are several.
    pub job: Option<String>,
    /// The database's name.
    pub database: String,
    /// Where the backups are, for people; no secret.
    pub store: String,
    /// The machine that did it.
    pub host: String,
    /// The backup's id, when it has one.
    pub backup: Option<String>,
    /// `manual`, `daily`, …
    pub backup_type: Option<String>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it had ended.
    pub ended: Option<Timestamp>,
    /// Bytes of the archive in the store.
    pub stored_bytes: Option<u64>,
    /// Bytes of COPY data before compression.
    pub raw_bytes: Option<u64>,
    /// Tables with rows.
    pub tables: Option<u64>,
    /// Rows in all.
    pub rows: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
    /// What can be done about it.
    pub hint: Option<String>,
    /// When the newest backup that can be restored was made.
    pub last_success: LastSuccess,
}

/// What became of a notice on one way.
#[derive(Debug)]
pub struct Delivery {
    /// The way, for people: `mail by mail.example:587`, `webhook team at hooks.example`, `ping to
    /// hc.example`.
    pub channel: String,
    /// How often it was tried.
    pub tries: u32,
    /// Why it was not delivered; without any secret.
    pub error: Option<Error>,
}
