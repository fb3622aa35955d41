//! The manifest, `pgstow/archive.json`: what this archive is.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::codec::Codec;
use super::digest::{Digest, hex, unhex};
use super::entry::{Entry, EntryId, Piece};
use super::listing::has_any_bytes;
use crate::error::{Error, Kind, Result};

/// Version of the format that this library writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 3;

/// The version of an archive that any reader can read.
const FIRST_VERSION: u32 = 1;

/// The version from which on texts may stand for bytes that are not UTF-8.
const ANY_BYTES_VERSION: u32 = 2;

/// The version from which on small tables may be in packs.
const PACKS_VERSION: u32 = 3;

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
        let mut id = [0; 16];
        getrandom::fill(&mut id)
            .map_err(|error| Error::new(Kind::Failed, "no randomness").with_source(error))?;
        Ok(Self(id))
    }
}

impl fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
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
        unhex(&text)
            .map(Self)
            .ok_or_else(|| Error::new(Kind::Archive, "malformed archive id"))
    }
}

/// A moment in whole seconds since 1970-01-01 00:00 UTC, written as `2026-01-31T12:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The clock's present moment.
    pub fn now() -> Self {
        // A clock before 1970 is as good as none.
        Self(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |passed| passed.as_secs()),
        )
    }

    /// Midnight that begins a day of the proleptic Gregorian calendar, as days since 1970.
    fn days_before(year: u64, month: u64, day: u64) -> u64 {
        let leap_years_to = |year: u64| year / 4 - year / 100 + year / 400;
        let years = (year - 1970) * 365 + leap_years_to(year - 1) - leap_years_to(1969);
        let months: u64 = (1..month).map(|month| days_in(year, month)).sum();
        years + months + day - 1
    }
}

fn days_in(year: u64, month: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, seconds) = (self.0 / 86400, self.0 % 86400);
        // No year is longer than 366 days: a first guess that is never too late.
        let mut year = 1970 + days / 366;
        while Self::days_before(year + 1, 1, 1) <= days {
            year += 1;
        }
        let mut day = days - Self::days_before(year, 1, 1);
        let mut month = 1;
        while day >= days_in(year, month) {
            day -= days_in(year, month);
            month += 1;
        }
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let day = day + 1;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
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
        let parse = || {
            let text = text.strip_suffix('Z')?;
            let (date, time) = text.split_once('T')?;
            let number = |text: &str, digits: usize| {
                let plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
                if plain {
                    text.parse::<u64>().ok()
                } else {
                    None
                }
            };
            let mut date = date.split('-');
            let (year, month, day) = (
                number(date.next()?, 4)?,
                number(date.next()?, 2)?,
                number(date.next()?, 2)?,
            );
            let mut time = time.split(':');
            let (hour, minute, second) = (
                number(time.next()?, 2)?,
                number(time.next()?, 2)?,
                number(time.next()?, 2)?,
            );
            let real = date.next().is_none()
                && time.next().is_none()
                && year >= 1970
                && (1..=12).contains(&month)
                && (1..=days_in(year, month)).contains(&day)
                && hour < 24
                && minute < 60
                && second < 60;
            let days = real.then(|| Self::days_before(year, month, day))?;
            Some(Self(days * 86400 + hour * 3600 + minute * 60 + second))
        };
        parse().ok_or_else(|| Error::new(Kind::Archive, "malformed time"))
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
    /// The database's own encoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_encoding: Option<String>,
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
    /// The database itself: kinds `DATABASE` and `DATABASE PROPERTIES`, numbered after the entries
    /// of the table of contents. Only a restore that makes the database uses them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub database_entries: Vec<Entry>,
    /// The same as fields, of which a restore makes the statements for its target's version, and
    /// under another name; none in an archive that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_properties: Option<DatabaseRecord>,
    /// The options of the dump that decide what is in it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, serde_json::Value>,
    /// Other ways to make entries: what is worth it depends on sizes, which two dumps of the same rows
    /// need not have in common.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) in_pieces: Vec<InPieces>,
}

/// Another way to make an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InPieces {
    /// The entry.
    pub(super) entry: EntryId,
    /// [`Entry::split`]
    pub(super) pieces: Vec<Piece>,
}

/// Most bytes of statements in pieces: the manifest of a database with very many large tables must
/// stay one that can be read.
const IN_PIECES_MAX: usize = 4 << 20;

/// Those of many entries, as far as there is room for them.
#[derive(Default)]
pub(super) struct AllInPieces {
    all: Vec<InPieces>,
    bytes: usize,
    is_full: bool,
}

impl AllInPieces {
    /// Takes those of the next entry.
    pub(super) fn take(&mut self, entry: &Entry) {
        if entry.split.is_empty() || self.is_full {
            return;
        }
        let statements = entry.split.iter().flat_map(|piece| &piece.create);
        self.bytes += statements.map(String::len).sum::<usize>();
        if self.bytes > IN_PIECES_MAX {
            self.is_full = true;
            return;
        }
        self.all.push(InPieces {
            entry: entry.id,
            pieces: entry.split.clone(),
        });
    }

    pub(super) fn into_vec(self) -> Vec<InPieces> {
        self.all
    }
}

impl InPieces {
    /// Gives them back to their entries.
    ///
    /// # Errors
    /// [`Kind::Archive`] for an entry that is not there.
    pub(super) fn give(all: Vec<Self>, entries: &mut [Entry]) -> Result<()> {
        for Self { entry, pieces } in all {
            let index = (entry as usize).checked_sub(1);
            let found = index.and_then(|index| entries.get_mut(index));
            let found = found.ok_or_else(|| {
                Error::new(
                    Kind::Archive,
                    format!("damaged archive: its manifest has pieces of entry {entry}, which is not there"),
                )
            })?;
            found.split = pieces;
        }
        Ok(())
    }
}

/// The option that says which part of a database an archive has.
const SELECTION: &str = "selection";

impl Manifest {
    /// Says that the archive has only what these options of the dump have left of its database.
    pub fn set_selection(&mut self, options: String) {
        self.options.insert(SELECTION.to_owned(), options.into());
    }

    /// The options of the dump by which the archive has a part of its database; none where it has all, and
    /// where nothing is said.
    pub fn selection(&self) -> Option<&str> {
        self.options.get(SELECTION)?.as_str()
    }
}

impl Manifest {
    /// Whether the archive has nothing but globals: no database.
    pub fn has_globals_alone(&self) -> bool {
        self.database.is_empty()
            && self.options.get("content").and_then(|value| value.as_str()) == Some("globals")
    }

    /// Readers that would take texts which stand for other bytes, in entries or here, for names of their own must refuse.
    pub(super) fn ask_for_reader_of(&mut self, any_bytes: bool) -> Result<()> {
        let own = serde_json::to_vec(self)
            .map_err(|error| Error::new(Kind::Failed, "render the manifest").with_source(error))?;
        if any_bytes || has_any_bytes(&own) {
            self.format_version = ANY_BYTES_VERSION;
            self.min_reader_version = ANY_BYTES_VERSION;
        }
        Ok(())
    }

    /// Readers that know nothing of packs must refuse.
    pub(super) fn ask_for_reader_of_packs(&mut self) {
        self.format_version = PACKS_VERSION;
        self.min_reader_version = PACKS_VERSION;
    }

    /// Whether the archive may have packs.
    pub(super) fn has_packs(&self) -> bool {
        self.min_reader_version >= PACKS_VERSION
    }

    /// A manifest of the first format version, with every field about the source empty.
    pub fn new(archive_id: ArchiveId, created: Timestamp, codec: Codec) -> Self {
        Self {
            format_version: FIRST_VERSION,
            min_reader_version: FIRST_VERSION,
            archive_id,
            tool: concat!("pgstow ", env!("CARGO_PKG_VERSION")).to_owned(),
            created,
            codec,
            server_version: 0,
            server_version_text: String::new(),
            database: String::new(),
            encoding: String::new(),
            database_encoding: None,
            collate: None,
            ctype: None,
            locale_provider: None,
            locale: None,
            icu_rules: None,
            collation_version: None,
            lsn: None,
            snapshot: None,
            database_entries: Vec::new(),
            database_properties: None,
            options: BTreeMap::new(),
            in_pieces: Vec::new(),
        }
    }
}

/// What a database has besides its encoding and locale.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseRecord {
    /// The owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Its privileges; none where they were never touched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acl: Option<Vec<AclRecord>>,
    /// What a new database of that owner has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub acl_base: Vec<AclRecord>,
    /// Its comment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Security labels: provider and label.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<(String, String)>,
    /// Its tablespace, unless that is `pg_default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tablespace: Option<String>,
    /// Connection limit; none for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_limit: Option<i32>,
    /// Whether everybody who may make databases may copy it.
    pub is_template: bool,
    /// `ALTER DATABASE … SET` and `ALTER ROLE … IN DATABASE … SET`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<SettingRecord>,
}

/// What one role granted to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclRecord {
    /// Who has it; none for PUBLIC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grantee: Option<String>,
    /// The letters of an aclitem, each with `*` behind it where it may be granted on.
    pub privileges: String,
    /// Who gave it.
    pub grantor: String,
}

/// A setting of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingRecord {
    /// Of this role alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The setting.
    pub name: String,
    /// Its value as stored.
    pub value: String,
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

/// What belongs to the whole server and not to one database: roles, tablespaces and the like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Globals {
    /// Numbered 1, 2, … apart from the table of contents, in an order that is a correct serial
    /// restore order; none has data.
    pub entries: Vec<Entry>,
    /// The same as a plain SQL script, for people and for restoring by hand.
    pub script: String,
}

/// What `pgstow/archive.json` says besides: how many entries there are, and the members that a
/// reader of a pipe needs before it can have seen the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ManifestRecord {
    /// Always [`FORMAT_NAME`].
    pub format: String,
    #[serde(flatten)]
    pub manifest: Manifest,
    /// Number of entries.
    pub entries: u64,
    /// The members that follow at once.
    pub members: Vec<SealedMember>,
}

/// A member whose content was known before the first row was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SealedMember {
    pub name: String,
    pub stored_bytes: u64,
    pub raw_bytes: u64,
    pub sha256: Digest,
}

/// The value of `format` in `pgstow/archive.json`.
pub(super) const FORMAT_NAME: &str = "pgstow archive";

impl ManifestRecord {
    /// The content of `pgstow/archive.json`.
    pub(super) fn render(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::new(Kind::Failed, "render the manifest").with_source(error))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads [`render`](Self::render)'s bytes, of any version that this library can read.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versions {
            format: String,
            min_reader_version: u32,
            tool: Option<String>,
        }
        let fail = |error: serde_json::Error| {
            Error::new(Kind::Archive, format!("damaged manifest: {error}"))
        };
        // First of all whether the rest can be understood.
        let versions: Versions = serde_json::from_slice(bytes).map_err(fail)?;
        if versions.format != FORMAT_NAME {
            return Err(Error::new(
                Kind::Archive,
                "the manifest is of another kind of archive",
            ));
        }
        check_version(versions.min_reader_version, versions.tool.as_deref())?;
        serde_json::from_slice(bytes).map_err(fail)
    }

    /// A member whose content was known from the start.
    pub(super) fn member(&self, name: &str) -> Option<&SealedMember> {
        self.members.iter().find(|member| member.name == name)
    }
}

/// Refuses archives that need a newer reader: [`Kind::NewerFormat`], since they may well be whole.
pub(super) fn check_version(needed: u32, tool: Option<&str>) -> Result<()> {
    if needed <= FORMAT_VERSION {
        return Ok(());
    }
    let by = tool
        .map(|tool| format!(" (written by {})", tool.escape_debug()))
        .unwrap_or_default();
    Err(Error::new(
        Kind::NewerFormat,
        format!(
            "the archive{by} needs a reader of format version {needed}, and this one knows \
             version {FORMAT_VERSION}"
        ),
    )
    .with_hint("use a newer pgstow"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_in_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_767_225_600, "2026-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (8_589_934_591, "2242-03-16T12:56:31Z"),
        ] {
            assert_eq!(Timestamp(seconds).to_string(), text);
            assert_eq!(
                Timestamp::try_from(text.to_owned()).unwrap(),
                Timestamp(seconds)
            );
        }
        for day in 0..200_000 {
            let time = Timestamp(day * 86400 + day % 86400);
            assert_eq!(Timestamp::try_from(time.to_string()).unwrap(), time);
        }
        for text in [
            "",
            "2026-01-01",
            "2026-02-29T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-1-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T00:00:00+0",
            "+026-01-01T00:00:00Z",
            "2026-01-01T00:00:00:00Z",
        ] {
            assert!(Timestamp::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_manifest_goes_there_and_back() {
        let mut manifest = Manifest::new(ArchiveId([7; 16]), Timestamp(1), Codec::Gzip(3));
        manifest.lsn = Some("0/1".to_owned());
        manifest
            .options
            .insert("sections".to_owned(), serde_json::json!(["data"]));
        let record = ManifestRecord {
            format: FORMAT_NAME.to_owned(),
            manifest,
            entries: 3,
            members: Vec::new(),
        };
        assert_eq!(
            ManifestRecord::parse(&record.render().unwrap()).unwrap(),
            record
        );
    }

    #[test]
    fn newer_versions_and_other_archives_are_refused() {
        let error = ManifestRecord::parse(
            br#"{"format":"pgstow archive","format_version":9,"min_reader_version":4,"tool":"pgstow 7"}"#,
        )
        .unwrap_err();
        assert_eq!(error.kind(), Kind::NewerFormat);
        assert!(error.message().contains("format version 4"), "{error}");
        assert!(error.message().contains("pgstow 7"), "{error}");
        for bytes in [
            b"".as_slice(),
            b"{}",
            br#"{"format":"x","min_reader_version":1}"#,
        ] {
            assert_eq!(
                ManifestRecord::parse(bytes).unwrap_err().kind(),
                Kind::Archive
            );
        }
    }
}
