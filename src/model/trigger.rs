//! Triggers.

use super::{EnabledState, Header, Oid};

/// A trigger, or the enable state of a partition's copy of its parent's trigger.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// Name, comment. The schema is the table's.
    pub header: Header,
    /// The table.
    pub table: Oid,
    /// `pg_get_triggerdef`; none for a partition's copy, of which only state and comment are
    /// written.
    pub definition: Option<String>,
    /// For a copy: the nearest ancestor that is itself written, at last the trigger that all are
    /// copies of.
    pub parent: Option<Oid>,
    /// When it fires.
    pub enabled: EnabledState,
}
