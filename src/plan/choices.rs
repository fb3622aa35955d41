//! What the user wants of an archive.

use std::collections::BTreeSet;

use super::EntryFilter;
use crate::archive::{EntryId, Sections};
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
    /// Neither, planner statistics alone: `--statistics-only`.
    Statistics,
}

/// Whether rows can be had in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowOrder {
    /// In any.
    #[default]
    Free,
    /// As a pipe brings them: to hold rows back for others that the archive does not put first
    /// could stop it for ever.
    AsTheyCome,
}

/// What is made in pieces, where the archive has pieces: transactions of their own, so that others can
/// look at the same table meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InPieces {
    /// Nothing: there is one session, or all is one transaction.
    #[default]
    Nothing,
    /// Keys. What fails leaves nothing behind.
    Keys,
    /// Foreign keys too. One whose rows are refused is left behind without being validated.
    All,
}

impl InPieces {
    const NAMES: [(Self, &'static str); 3] = [
        (Self::Nothing, "nothing"),
        (Self::Keys, "keys"),
        (Self::All, "all"),
    ];

    /// A word for it, to be written down.
    pub fn name(self) -> &'static str {
        let mut names = Self::NAMES.into_iter();
        names
            .find_map(|(it, name)| (it == self).then_some(name))
            .unwrap_or_default()
    }

    /// What a word stands for.
    pub fn named(name: &str) -> Option<Self> {
        let mut names = Self::NAMES.into_iter();
        names.find_map(|(it, known)| (known == name).then_some(it))
    }
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
    /// With `create`: the database stands already and stays.
    pub adopt: bool,
    /// Drops first what will be made.
    pub clean: bool,
    /// Triggers, those of foreign keys too, are off while rows are loaded.
    pub disable_triggers: bool,
    /// How the archive's rows come.
    pub row_order: RowOrder,
    /// Of what would be pulled in: entries whose objects the target has.
    pub present: BTreeSet<EntryId>,
    /// Entries of extensions that the target's server does not have to install.
    pub unavailable: BTreeSet<EntryId>,
    /// Classes of things that nobody wants.
    pub leave_out: LeaveOut,
    /// The version of the server that the entries were [adapted](super::adapt) to; none when it
    /// is as good as the source's.
    pub target: Option<ServerVersion>,
    /// Has the server compute statistics of all restored tables at the end.
    pub analyze: bool,
    /// Has the server vacuum large tables whose rows are restored and whose foreign keys are checked by
    /// an index. Not within one transaction.
    pub vacuum: bool,
    /// How many sessions there will be; none counts as one.
    pub sessions: usize,
    /// What is made in pieces.
    pub in_pieces: InPieces,
}
