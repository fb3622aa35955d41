//! Indexes and the constraints that stand on them.

use super::{Header, Oid};

/// An index.
#[derive(Clone, Debug)]
pub struct Index {
    /// Name, comment. The schema is the table's.
    pub header: Header,
    /// The table.
    pub table: Oid,
    /// `pg_get_indexdef`.
    pub definition: String,
    /// Tablespace name; `Some("")` is the database's default.
    pub tablespace: Option<String>,
    /// The index on the partitioned parent that this one is attached to.
    pub parent: Option<Oid>,
    /// Whether it is the index of a partitioned table.
    pub partitioned: bool,
    /// `UNIQUE`
    pub unique: bool,
    /// `CLUSTER ON`
    pub clustered: bool,
    /// `REPLICA IDENTITY USING INDEX`
    pub replica_identity: bool,
    /// Statistics targets of expression columns: (column number in the index, target).
    pub statistics: Vec<(i32, i32)>,
    /// The constraint that stands on it.
    pub constraint: Option<IndexConstraint>,
    /// Bytes of the table, for scheduling.
    pub table_bytes: u64,
}

/// Sorts of constraints that stand on an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexConstraintKind {
    /// `p`
    PrimaryKey,
    /// `u`
    Unique,
    /// `x`
    Exclusion,
}

/// A constraint that stands on an index.
#[derive(Clone, Debug)]
pub struct IndexConstraint {
    /// OID in `pg_constraint`.
    pub oid: Oid,
    /// Its name (PostgreSQL keeps it equal to the index's).
    pub name: String,
    /// What it is.
    pub kind: IndexConstraintKind,
    /// What follows `ADD CONSTRAINT name`: columns, INCLUDE, WITH, deferrability.
    pub definition: String,
    /// Its comment.
    pub comment: Option<String>,
    /// Whether it was made for a partition by its parent's constraint.
    pub inherited: bool,
}
