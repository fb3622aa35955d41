//! The manifest, `pgstow/archive.json`: what this archive is.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::codec::Codec;
use crate::error::{Error, Result};

/// Version of the format that this library writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// Identity of an archive: 16 random bytes, written in hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArchiveId(pub [u8; 16]);

impl ArchiveId {
    /// A new random id.
    ///
    /// # Errors
    /// [`Kind::Failed`](crate::error::Kind::Failed) when the system has no randomness to give.
    pub fn random() -> Result<Self> {
        todo!()
    }
}

impl fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<ArchiveId> for String {
    fn from(id: ArchiveId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for ArchiveId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        let _ = text;
        todo!()
    }
}

/// A moment in whole seconds since 1970-01-01 00:00 UTC, written as `2026-01-31T12:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The clock's present moment.
    pub fn now() -> Self {
        todo!()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        todo!()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        let _ = text;
        todo!()
    }
}

/// What an archive is and where it came from: `pgstow/archive.json`.
///
/// Everything that differs between two dumps of the same state is here and not in the table of
/// contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// Version of the format that the writer followed.
    pub format_version: u32,
    /// Oldest version of the format that a reader must know to read it right.
    pub min_reader_version: u32,
    /// Identity of this archive.
    pub archive_id: ArchiveId,
    /// The program that wrote it: `pgstow 0.1.0`.
    pub tool: String,
    /// When the dump began; also the modification time of every member.
    pub created: Timestamp,
    /// How the members are compressed.
    pub codec: Codec,
    /// `server_version_num` of the source: 150004.
    pub server_version: u32,
    /// `server_version` of the source: `15.4 (Debian 15.4-1)`.
    pub server_version_text: String,
    /// Name of the database.
    pub database: String,
    /// Encoding of all statements and frames: the `client_encoding` of the dump's sessions.
    pub encoding: String,
    /// `datcollate`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collate: Option<String>,
    /// `datctype`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ctype: Option<String>,
    /// Locale provider in words: `libc`, `icu`, `builtin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale_provider: Option<String>,
    /// ICU or builtin locale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// ICU rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icu_rules: Option<String>,
    /// Version of the database's collation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collation_version: Option<String>,
    /// WAL position around the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lsn: Option<String>,
    /// The snapshot's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// The options of the dump that decide what is in it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, serde_json::Value>,
}

impl Manifest {
    /// A manifest of the current format version, with every field about the source empty.
    pub fn new(archive_id: ArchiveId, created: Timestamp, codec: Codec) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            min_reader_version: 1,
            archive_id,
            tool: concat!("pgstow ", env!("CARGO_PKG_VERSION")).to_owned(),
            created,
            codec,
            server_version: 0,
            server_version_text: String::new(),
            database: String::new(),
            encoding: String::new(),
            collate: None,
            ctype: None,
            locale_provider: None,
            locale: None,
            icu_rules: None,
            collation_version: None,
            lsn: None,
            snapshot: None,
            options: BTreeMap::new(),
        }
    }
}

/// The schema as plain SQL scripts, for people and for restoring by hand.
///
/// Statements of entries in [`Section::Data`](super::Section::Data) are in neither: the writer
/// makes `schema/load.sh` of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scripts {
    /// What must run before the rows are loaded.
    pub pre_data: String,
    /// What must run after.
    pub post_data: String,
}
