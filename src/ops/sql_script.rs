//! An archive as a plain SQL script.

use std::sync::Arc;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{EntryFilter, Input, Sections};
use crate::catalog::Content;
use crate::error::{Error, Kind, Result};
use crate::report::Observer;
use crate::storage::Sink;

/// How to write the script.
#[derive(Clone, Debug, Default)]
pub struct SqlOptions {
    /// Which entries, by name.
    pub filter: EntryFilter,
    /// Schema, data or both.
    pub content: Content,
    /// Which sections.
    pub sections: Sections,
    /// Begins with statements that drop what follows.
    pub clean: bool,
    /// With `clean`: an object that is not there is no error.
    pub if_exists: bool,
    /// Leaves owners out.
    pub no_owner: bool,
    /// Leaves GRANT and REVOKE out.
    pub no_privileges: bool,
    /// `SET ROLE` at the beginning.
    pub role: Option<String>,
}

impl SqlOptions {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// [`Kind::Usage`], naming those that do not.
    pub fn validate(&self) -> Result<()> {
        if self.sections == Sections::NONE {
            return Err(Error::new(Kind::Usage, "no section is wanted"));
        }
        if !self.sections.is_all() && self.content != Content::All {
            return Err(Error::new(
                Kind::Usage,
                "--section goes with neither --schema-only nor --data-only",
            ));
        }
        if self.if_exists && !self.clean {
            return Err(Error::new(
                Kind::Usage,
                "option --if-exists requires option --clean",
            ));
        }
        if self.clean && self.content == Content::DataOnly {
            return Err(Error::new(
                Kind::Usage,
                "options --clean and --data-only cannot be used together",
            ));
        }
        Ok(())
    }
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SqlReport {
    /// Entries in the script.
    pub entries: u64,
    /// Tables whose rows are in it.
    pub tables: u64,
    /// Rows in all.
    pub rows: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// Writes an archive as a script that `psql -v ON_ERROR_STOP=1` runs.
///
/// # Errors
/// [`Kind::Refused`] when rows are wanted of a table that is stored in binary COPY format,
/// otherwise as [`restore`](super::restore) without a server.
pub async fn sql_script(
    input: Input,
    sink: Box<dyn Sink>,
    options: &SqlOptions,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<SqlReport> {
    options.validate()?;
    let _ = (input, sink, observer, cancel);
    todo!()
}
