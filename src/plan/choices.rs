//! What the user wants of an archive.

use super::EntryFilter;
use crate::archive::Sections;
use crate::select::LeaveOut;
use crate::sql::ServerVersion;

/// Definitions, rows or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parts {
    /// Both.
    #[default]
    All,
    /// Definitions, owners, privileges: `--schema-only`.
    Definitions,
    /// Rows, sequence values and large objects: `--data-only`.
    Rows,
}

/// Which entries of an archive are restored, and how much of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Which entries, by name.
    pub filter: EntryFilter,
    /// Which sections.
    pub sections: Sections,
    /// Definitions, rows or both.
    pub parts: Parts,
    /// Makes the database too.
    pub create: bool,
    /// Drops first what will be made.
    pub clean: bool,
    /// Classes of things that nobody wants.
    pub leave_out: LeaveOut,
    /// The version of the server that the entries were [adapted](super::adapt) to; none when it
    /// is as good as the source's.
    pub target: Option<ServerVersion>,
}
