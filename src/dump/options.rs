//! What a dump is asked to do, and what it reports.

use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use crate::archive::{Codec, Sections};
use crate::catalog::Selection;
use crate::error::{Error, Kind, Result};
use crate::select::{Content, Globals, LeaveOut};
use crate::sql::Quoting;
use crate::task::default_jobs;

/// How a dump compresses frames; parsed as a [`Codec`] or `zstd:auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// With one codec and level.
    Fixed(Codec),
    /// With zstd, whose level rises as long as cores are idle and falls when frames wait to be compressed.
    /// Two such dumps of the same state differ in their bytes, though not in what they say.
    ZstdAuto,
}

impl Default for Compression {
    fn default() -> Self {
        Self::Fixed(Codec::default())
    }
}

impl Compression {
    /// What the archive says of itself, and members other than frames are compressed with.
    pub fn codec(self) -> Codec {
        match self {
            Self::Fixed(codec) => codec,
            Self::ZstdAuto => Codec::Zstd(1),
        }
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "zstd:auto" => Ok(Self::ZstdAuto),
            text => text.parse().map(Self::Fixed).map_err(|error: Error| {
                error.with_hint("use zstd[:1-22], zstd:auto, gzip[:1-9], lz4 or none")
            }),
        }
    }
}

/// Which COPY format the rows of a table travel in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyFormatChoice {
    /// Binary where every column's type is carried faithfully between servers and it costs less, else
    /// text.
    #[default]
    Auto,
    /// As `Auto`, for rows that go into another database at once: neither compression nor size counts.
    /// A copy that makes the tables takes it for `Auto`.
    Direct,
    /// Text for every table, so that `pgstow sql` and psql can read it.
    Text,
    /// Binary; a table that binary COPY cannot carry faithfully is an error.
    Binary,
}

impl FromStr for CopyFormatChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "binary" => Ok(Self::Binary),
            _ => Err(
                Error::new(Kind::Usage, format!("unknown COPY format \"{text}\""))
                    .with_hint("formats are auto, text and binary"),
            ),
        }
    }
}

/// Whether tables of few rows share members of the archive, which are compressed as a whole. Such an archive is much
/// smaller where there are thousands of them, and needs a reader of format version 3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PackTables {
    /// Where there are at least 1,000 tables of up to 64 KiB.
    #[default]
    Auto,
    /// Wherever a table has no more rows than fit.
    Always,
    /// No: any reader can read the archive.
    Never,
}

/// From so many small tables on they are packed.
const PACKED_FROM: usize = 1000;

impl PackTables {
    /// Whether tables are packed where there are so many, and so many small ones.
    pub(super) fn applies(self, tables: usize, small: usize) -> bool {
        match self {
            Self::Auto => small >= PACKED_FROM,
            Self::Always => tables > 0,
            Self::Never => false,
        }
    }
}

impl FromStr for PackTables {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err(Error::new(
                Kind::Usage,
                format!("unknown way to pack tables \"{text}\""),
            )
            .with_hint("ways are auto, always and never")),
        }
    }
}

/// How the snapshot of a dump is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SnapshotMode {
    /// A repeatable-read, read-only transaction.
    #[default]
    RepeatableRead,
    /// Serializable, read-only, deferrable: waits for a snapshot that no serialization anomaly
    /// can touch. Not on a standby.
    SerializableDeferrable,
    /// A snapshot that another session exported, by its id.
    Exported(String),
}

/// Which of what belongs to the whole server is dumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlobalsOptions {
    /// Whether at all.
    pub which: Globals,
    /// Roles, memberships, settings of roles and privileges on parameters.
    pub roles: bool,
    /// Tablespaces.
    pub tablespaces: bool,
    /// Stored passwords of roles, if the dumping role may read them.
    pub role_passwords: bool,
}

impl Default for GlobalsOptions {
    /// None; all of them if only `which` is set.
    fn default() -> Self {
        Self {
            which: Globals::No,
            roles: true,
            tablespaces: true,
            role_passwords: true,
        }
    }
}

/// Options of a dump.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DumpOptions {
    /// What to dump.
    pub selection: Selection,
    /// Which sections.
    pub sections: Sections,
    /// Classes of things that do not get into the archive.
    pub leave_out: LeaveOut,
    /// Has extensions made in the version that they have here.
    pub extension_versions: bool,
    /// Roles, tablespaces and the like.
    pub globals: GlobalsOptions,
    /// Number of connections that read rows, at least 1.
    pub jobs: usize,
    /// Compression of frames.
    pub compression: Compression,
    /// COPY format.
    pub copy_format: CopyFormatChoice,
    /// Whether small tables are packed.
    pub pack_tables: PackTables,
    /// How the snapshot is made.
    pub snapshot: SnapshotMode,
    /// How long to wait for table locks; none waits for ever.
    pub lock_wait_timeout: Option<Duration>,
    /// `SET ROLE` after connecting.
    pub role: Option<String>,
    /// Row security applies: only the rows that the role may see are dumped. Otherwise a table
    /// whose policies would hide some is an error.
    pub enable_row_security: bool,
    /// How identifiers are written.
    pub quoting: Quoting,
    /// Bound of the memory for rows in flight, in bytes.
    pub memory_bytes: u64,
}

impl Default for DumpOptions {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            sections: Sections::ALL,
            leave_out: LeaveOut::default(),
            extension_versions: false,
            globals: GlobalsOptions::default(),
            jobs: default_jobs(),
            compression: Compression::default(),
            copy_format: CopyFormatChoice::default(),
            pack_tables: PackTables::default(),
            snapshot: SnapshotMode::default(),
            lock_wait_timeout: None,
            role: None,
            enable_row_security: false,
            quoting: Quoting::default(),
            memory_bytes: 256 << 20,
        }
    }
}

impl DumpOptions {
    /// Checks that the options make sense together.
    ///
    /// # Errors
    /// [`Kind::Usage`] names the option.
    pub fn validate(&self) -> Result<()> {
        if self.jobs == 0 || self.jobs > 1000 {
            return Err(Error::new(
                Kind::Usage,
                format!("number of jobs must be from 1 to 1000, not {}", self.jobs),
            ));
        }
        if self.sections == Sections::NONE {
            return Err(Error::new(Kind::Usage, "no section is wanted"));
        }
        if self.selection.content == Content::SchemaOnly && !self.selection.foreign_data.is_empty()
        {
            return Err(Error::new(
                Kind::Usage,
                "options -s/--schema-only and --include-foreign-data cannot be used together",
            ));
        }
        let selects = self.selection.content != Content::All
            || !self.selection.schemas.is_empty()
            || !self.selection.tables.is_empty()
            || !self.sections.is_all();
        if self.globals.which == Globals::Alone && selects {
            return Err(Error::new(
                Kind::Usage,
                "no database is dumped: no option that selects something of one makes sense",
            ));
        }
        if self.memory_bytes < MIN_MEMORY_BYTES {
            return Err(Error::new(
                Kind::Usage,
                format!("memory must be at least {} MiB", MIN_MEMORY_BYTES >> 20),
            ));
        }
        Ok(())
    }
}

/// Below this a dump could not hold one frame per worker.
const MIN_MEMORY_BYTES: u64 = 32 << 20;

/// What a dump did.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DumpReport {
    /// The database's name; empty when it was globals alone.
    pub database: String,
    /// `server_version` of its server: `15.4 (Debian 15.4-1)`.
    pub server_version: String,
    /// Roles, memberships, tablespaces and the like in the archive.
    pub globals: u64,
    /// Entries in the table of contents.
    pub entries: u64,
    /// Those of them that somebody has made: all but the schema `public`, which a new database has.
    pub made: u64,
    /// Tables whose rows are in the archive.
    pub tables: u64,
    /// Rows in all.
    pub rows: u64,
    /// Bytes of COPY data before compression.
    pub raw_bytes: u64,
    /// Size of the archive in bytes.
    pub archive_bytes: u64,
    /// Frames of data.
    pub frames: u64,
    /// The mean level of zstd, by bytes before compression; none unless the level was adaptive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zstd_level: Option<f64>,
    /// The archive's id, in hex.
    pub archive_id: String,
    /// How long it took.
    pub seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_is_a_codec_or_adaptive() {
        for (text, compression) in [
            ("zstd:auto", Compression::ZstdAuto),
            ("zstd", Compression::Fixed(Codec::Zstd(1))),
            ("zstd:19", Compression::Fixed(Codec::Zstd(19))),
            ("lz4", Compression::Fixed(Codec::Lz4)),
            ("0", Compression::Fixed(Codec::None)),
        ] {
            assert_eq!(text.parse::<Compression>().unwrap(), compression, "{text}");
        }
        for text in [
            "auto",
            "zstd:automatic",
            "zstd:AUTO",
            "zstd:auto:3",
            "gzip:auto",
            "lz4:auto",
            " zstd:auto",
        ] {
            let error = text.parse::<Compression>().unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
            assert!(error.hint().unwrap().contains("zstd:auto"), "{text}");
        }
    }
}
