//! Extended statistics, and whose planner statistics are wanted.

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

/// A relation whose planner statistics are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannerStatistics {
    /// The relation.
    pub relation: Oid,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its table, when it is an index.
    pub table: Option<String>,
    /// About how many columns have statistics of their own.
    pub columns: usize,
}
