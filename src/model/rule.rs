//! Rules and row security policies.

use super::{Header, Oid};

/// `tgenabled`, `ev_enabled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnabledState {
    /// `O`
    Origin,
    /// `D`
    Disabled,
    /// `R`
    Replica,
    /// `A`
    Always,
}

/// A rule other than a view's `_RETURN`.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name, comment. The schema is the relation's.
    pub header: Header,
    /// The relation.
    pub relation: Oid,
    /// `pg_get_ruledef`.
    pub definition: String,
    /// When it applies.
    pub enabled: EnabledState,
}

/// `pg_policy.polcmd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyCommand {
    /// `*`
    All,
    /// `r`
    Select,
    /// `a`
    Insert,
    /// `w`
    Update,
    /// `d`
    Delete,
}

/// A row security policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Name, comment. The schema is the table's.
    pub header: Header,
    /// The table.
    pub table: Oid,
    /// Which commands.
    pub command: PolicyCommand,
    /// `AS PERMISSIVE` or, if not, `AS RESTRICTIVE`.
    pub permissive: bool,
    /// Role names, sorted; empty for PUBLIC.
    pub roles: Vec<String>,
    /// `USING`
    pub using: Option<String>,
    /// `WITH CHECK`
    pub check: Option<String>,
}
