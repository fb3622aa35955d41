//! Whether an archive is whole, and whether a live database holds what it holds.

use std::sync::Arc;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::verify_against::compare;
use super::{DumpOptions, Input};
use crate::archive::{self, Archive};
use crate::connect::Config;
use crate::error::{Error, Kind, Result};
use crate::report::Observer;

/// How to verify.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// Also takes the fingerprint of each table from this live database and compares.
    pub against: Option<Config>,
    /// Number of sessions that read the live database, at least 1.
    pub jobs: usize,
    /// Bound of the memory for rows of the live database in flight, in bytes.
    pub memory_bytes: u64,
    /// `SET ROLE` after connecting.
    pub role: Option<String>,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self {
            against: None,
            jobs: super::default_jobs(),
            memory_bytes: 256 << 20,
            role: None,
        }
    }
}

impl VerifyOptions {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// [`Kind::Usage`] for options of the comparison when there is none.
    pub fn validate(&self) -> Result<()> {
        self.reading().validate()?;
        if self.against.is_none() && self.role.is_some() {
            return Err(Error::new(
                Kind::Usage,
                "option --role requires option --against",
            ));
        }
        Ok(())
    }

    /// How the live database is read.
    pub(super) fn reading(&self) -> DumpOptions {
        DumpOptions {
            jobs: self.jobs,
            memory_bytes: self.memory_bytes,
            role: self.role.clone(),
            ..DumpOptions::default()
        }
    }
}

/// One table, in the archive and in the live database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableComparison {
    /// `schema.table`
    pub table: String,
    /// Rows in the archive.
    pub rows: u64,
    /// Rows in the live database; `None` when they could not be read.
    pub found_rows: Option<u64>,
    /// Whether rows and fingerprint agree.
    pub equal: bool,
    /// Why not, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
}

impl TableComparison {
    /// Whether this is no table but a part of the large objects, which have no schema in front of their name.
    pub fn is_of_large_objects(&self) -> bool {
        !self.table.contains('.')
    }
}

/// What was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Members whose header and content agree with all that is known about them.
    pub members: u64,
    /// Entries with data.
    pub tables: u64,
    /// Frames.
    pub frames: u64,
    /// Rows, as the index says.
    pub rows: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Each table in comparison with the live database; empty without one.
    pub compared: Vec<TableComparison>,
}

impl VerifyReport {
    /// Whether the live database holds what the archive holds; true without comparison.
    pub fn is_equal(&self) -> bool {
        self.compared.iter().all(|table| table.equal)
    }
}

/// Checks every byte of an archive and, if asked, compares it with a live database.
///
/// # Errors
/// [`Kind::Connect`] when the live database cannot be reached, before anything is read;
/// [`Kind::Archive`] for the first damage, naming member and table; [`Kind::Storage`] when it
/// cannot be read; [`Kind::Interrupted`] when `cancel` fired. A difference to the live database is
/// no error but in the report.
pub async fn verify(
    input: Input,
    options: &VerifyOptions,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<VerifyReport> {
    options.validate()?;
    if options.against.is_some() && matches!(input, Input::Stream(_)) {
        return Err(Error::new(
            Kind::Usage,
            "option --against needs an archive in a file, not from a pipe",
        ));
    }
    if let Some(config) = &options.against {
        // A wrong name or password is told before hours of reading.
        let trying = async {
            config.connect().await?.close().await;
            Ok::<(), Error>(())
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => {
                return Err(Error::new(Kind::Interrupted, "verify: interrupted"));
            }
            tried = trying => tried?,
        }
    }
    let archived = match &input {
        Input::Source(source) if options.against.is_some() => Some(Arc::clone(source)),
        _ => None,
    };
    let checking = async {
        match input {
            Input::Source(source) => archive::verify(source, Arc::clone(&observer)).await,
            Input::Stream(stream) => archive::verify_stream(stream, Arc::clone(&observer)).await,
        }
    };
    let checked = tokio::select! {
        checked = checking => checked?,
        () = cancel.cancelled() => {
            return Err(Error::new(Kind::Interrupted, "verify: interrupted"));
        }
    };
    let compared = match (&options.against, archived) {
        (Some(config), Some(source)) => {
            let archive = Arc::new(Archive::open(source).await?);
            compare(config, archive, options, Arc::clone(&observer), &cancel).await?
        }
        _ => Vec::new(),
    };
    Ok(VerifyReport {
        members: checked.members,
        tables: checked.tables,
        frames: checked.frames,
        rows: checked.rows,
        bytes: checked.bytes,
        compared,
    })
}
