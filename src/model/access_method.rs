//! Access methods.

use super::Header;

/// An access method.
#[derive(Clone, Debug)]
pub struct AccessMethod {
    /// Comment. An access method has neither schema nor owner.
    pub header: Header,
    /// What it gives access to.
    pub kind: AccessMethodKind,
    /// Its handler as SQL name.
    pub handler: String,
}

/// `pg_am.amtype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessMethodKind {
    /// `i`
    Index,
    /// `t`
    Table,
}
