//! What is ordered, and the result of ordering.

use std::collections::BTreeSet;

use crate::model::{Address, Oid};

/// One thing to be restored, or a marker between sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// An object's definition: schema, type, function, table, index, constraint, trigger, …
    Object(Address),
    /// A type's shell, made before the functions that the type needs.
    ShellType(Oid),
    /// `ALTER SEQUENCE … OWNED BY`.
    SequenceOwner(Oid),
    /// A column default set apart from its table (OID in `pg_attrdef`).
    SeparateDefault(Oid),
    /// A CHECK or NOT NULL set apart from its table or domain (OID in `pg_constraint`).
    SeparateConstraint(Oid),
    /// The full definition of a view that first stands as a dummy (the view's OID).
    ViewDefinition(Oid),
    /// The full definition of a function that first stands as a declaration.
    FunctionDefinition(Oid),
    /// The default of a domain, set apart from it (the domain's OID).
    DomainDefault(Oid),
    /// `ATTACH PARTITION` of this table.
    TableAttach(Oid),
    /// Between definitions and data.
    PreDataBoundary,
    /// Rows of a table.
    TableData(Oid),
    /// `setval` of a sequence.
    SequenceSet(Oid),
    /// Metadata of a group of large objects, by its position in the model.
    LargeObjects(u32),
    /// Contents of a group of large objects.
    LargeObjectData(u32),
    /// Between data and what comes after.
    PostDataBoundary,
    /// `ATTACH PARTITION` of this index.
    IndexAttach(Oid),
    /// `ENABLE ROW LEVEL SECURITY` of this table.
    RowSecurity(Oid),
    /// `REFRESH MATERIALIZED VIEW`.
    Refresh(Oid),
    /// Comment and labels on an object of the system or of an extension, by position in the model.
    Remark(u32),
}

/// The section that a node falls into, after repairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Before the data.
    PreData,
    /// Data.
    Data,
    /// After the data.
    PostData,
}

/// Decisions that cut dependency cycles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Splits {
    /// Types that need a shell first.
    pub shell_types: BTreeSet<Oid>,
    /// Views that first stand as a dummy.
    pub dummy_views: BTreeSet<Oid>,
    /// Functions that first stand as a declaration.
    pub declared_functions: BTreeSet<Oid>,
    /// Domains whose default is set apart from them.
    pub domain_defaults: BTreeSet<Oid>,
    /// Column defaults (OIDs in `pg_attrdef`) set apart from their table.
    pub defaults: BTreeSet<Oid>,
    /// Constraints (OIDs in `pg_constraint`) set apart from their table or domain.
    pub constraints: BTreeSet<Oid>,
    /// Functions and materialized views that move behind the data.
    pub postponed: BTreeSet<Address>,
    /// Tables whose rows refer to each other, or to themselves, through foreign keys that stand before
    /// the rows are loaded: no order is right, and a restore may need its triggers disabled.
    pub circular_data: Vec<Vec<Oid>>,
    /// Materialized views that are filled at the source and cannot be refreshed, because they read
    /// one that is not.
    pub left_empty: BTreeSet<Oid>,
}

/// A node in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The node.
    pub node: Node,
    /// Its section.
    pub section: Section,
    /// Positions in [`Order::nodes`] that must come before, all smaller than its own. Only nodes
    /// that appear in the order; dependencies through left-out objects are carried over.
    pub depends_on: Vec<usize>,
}

/// The result: nodes in a correct serial order (boundaries left out), and the splits behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Nodes in order.
    pub nodes: Vec<Ordered>,
    /// How cycles were cut.
    pub splits: Splits,
}
