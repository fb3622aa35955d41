//! Extended statistics.

use super::{Header, Oid};

/// An extended statistics object.
#[derive(Clone, Debug)]
pub struct ExtendedStatistics {
    /// Name, owner, comment.
    pub header: Header,
    /// The table.
    pub table: Oid,
    /// `pg_get_statisticsobjdef`.
    pub definition: String,
    /// `SET STATISTICS`, where set.
    pub target: Option<i32>,
}
