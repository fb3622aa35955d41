//! Sequences.

use super::{Identity, Oid};

/// A sequence's parameters and value.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// Data type as SQL.
    pub type_sql: String,
    /// `START WITH`
    pub start: i64,
    /// `INCREMENT BY`
    pub increment: i64,
    /// `MINVALUE`
    pub minimum: i64,
    /// `MAXVALUE`
    pub maximum: i64,
    /// `CACHE`
    pub cache: i64,
    /// `CYCLE`
    pub cycle: bool,
    /// `last_value` and `is_called`; none when its data is not wanted.
    pub value: Option<(i64, bool)>,
    /// The column that owns it.
    pub owner: Option<SequenceOwner>,
}

/// The column that a sequence belongs to.
#[derive(Clone, Debug)]
pub struct SequenceOwner {
    /// The table.
    pub table: Oid,
    /// The column's number.
    pub column: i32,
    /// For identity columns: how they are filled. None for `OWNED BY`.
    pub identity: Option<Identity>,
}
