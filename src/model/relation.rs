//! Relations: tables, views, materialized views, sequences, foreign tables; their columns and
//! the constraints that are part of a table's definition.

use std::sync::Arc;

use super::{Header, Oid, Sequence};

/// `pg_class.relkind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RelationKind {
    /// `r`
    Table,
    /// `p`
    PartitionedTable,
    /// `v`
    View,
    /// `m`
    MaterializedView,
    /// `S`
    Sequence,
    /// `f`
    ForeignTable,
    /// `c`: the columns of a composite type
    Composite,
}

/// `pg_class.relpersistence`, temporary relations apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// `p`
    Permanent,
    /// `u`
    Unlogged,
}

/// `pg_class.relreplident`; a chosen index is marked at the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaIdentity {
    /// `d`
    Default,
    /// `n`
    Nothing,
    /// `f`
    Full,
    /// `i`
    Index,
}

/// A relation.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Name, owner, privileges (of the whole relation), comments also of columns.
    pub header: Header,
    /// What it is.
    pub kind: RelationKind,
    /// Persistence.
    pub persistence: Persistence,
    /// Its rowtype in `pg_type`, 0 for none.
    pub rowtype: Oid,
    /// The type of arrays of its rowtype, 0 for none.
    pub rowtype_array: Oid,
    /// Tablespace name; `Some("")` is the database's default, `None` means that the kind has none.
    pub tablespace: Option<String>,
    /// Table access method.
    pub access_method: Option<String>,
    /// Storage parameters as `name`, `value`; those of the TOAST table as `toast.name`.
    pub options: Vec<(String, String)>,
    /// Composite type of a typed table, as SQL.
    pub of_type: Option<String>,
    /// Inheritance or partition parents, in order.
    pub parents: Vec<Parent>,
    /// Bound as `pg_get_expr` gives it (`FOR VALUES …`, `DEFAULT`), for partitions.
    pub partition_bound: Option<String>,
    /// `pg_get_partkeydef`, for partitioned tables.
    pub partition_key: Option<String>,
    /// Hash-partitioned on an enum, or below such a table: rows must be loaded through this root.
    pub load_via_root: Option<Oid>,
    /// Columns in attribute order, dropped ones left out.
    pub columns: Vec<Column>,
    /// Privileges on columns that are not among `columns`, by name: on system columns, and on those
    /// of a sequence.
    pub system_columns: Vec<(String, super::Acl)>,
    /// CHECK constraints by name.
    pub checks: Vec<Check>,
    /// Replica identity.
    pub replica_identity: ReplicaIdentity,
    /// `ENABLE ROW LEVEL SECURITY`
    pub row_security: bool,
    /// `FORCE ROW LEVEL SECURITY`
    pub force_row_security: bool,
    /// Query and options of a view or materialized view.
    pub view: Option<View>,
    /// Parameters of a sequence.
    pub sequence: Option<Sequence>,
    /// Foreign server and options, for foreign tables.
    pub foreign: Option<(String, Vec<(String, String)>)>,
    /// Pages of the heap, as the catalog last knew or the file system now says.
    pub pages: u64,
    /// Bytes of the heap and its TOAST table, for scheduling.
    pub bytes: u64,
    /// Bytes of the heap alone: the ctid range to divide among workers.
    pub heap_bytes: u64,
    /// Extension condition for configuration tables: a text beginning with `WHERE`.
    pub configuration_condition: Option<String>,
}

/// A parent in an inheritance or partition tree.
#[derive(Clone, Debug)]
pub struct Parent {
    /// The parent.
    pub oid: Oid,
    /// Its name as SQL.
    pub sql_name: String,
}

/// A view's or materialized view's query.
#[derive(Clone, Debug)]
pub struct View {
    /// `pg_get_viewdef`, without the closing semicolon. Empty where the definition is not wanted:
    /// then only the rule is of use, for the dependencies that run through it.
    pub query: String,
    /// `LOCAL` or `CASCADED` check option.
    pub check_option: Option<String>,
    /// Whether a materialized view holds rows.
    pub populated: bool,
    /// OID of the `_RETURN` rule, on which its dependencies hang.
    pub rule: Oid,
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// `attnum`
    pub number: i32,
    /// Name.
    pub name: String,
    /// Type as SQL, with its modifier.
    pub type_sql: String,
    /// Type's OID.
    pub type_oid: Oid,
    /// Whether it is declared here (`attislocal`).
    pub local: bool,
    /// Default or generation expression.
    pub default: Option<Default>,
    /// Whether it is generated.
    pub generated: Option<Generated>,
    /// Whether it is an identity column.
    pub identity: Option<Identity>,
    /// NOT NULL, named from 18 on.
    pub not_null: Option<NotNull>,
    /// What most columns have nothing of; see [`Column::settings`].
    pub settings: Option<Box<ColumnSettings>>,
    /// The type that binary COPY sends: without modifier, and the base type of a domain. None where
    /// binary COPY does not carry it faithfully between servers.
    pub sent_as: Option<Arc<str>>,
}

/// What few columns have: apart, since a database of many tables has very many columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnSettings {
    /// Collation as SQL, where it is not the type's.
    pub collation: Option<String>,
    /// `SET STATISTICS`, where set.
    pub statistics_target: Option<i32>,
    /// `SET STORAGE`, where it is not the type's.
    pub storage: Option<&'static str>,
    /// `SET COMPRESSION`, where set.
    pub compression: Option<&'static str>,
    /// `SET (n_distinct = …)`: name and value.
    pub options: Vec<(String, String)>,
    /// Options of a foreign table's column.
    pub foreign_options: Vec<(String, String)>,
    /// Column privileges.
    pub acl: super::Acl,
}

impl ColumnSettings {
    /// Nothing.
    const NONE: Self = Self {
        collation: None,
        statistics_target: None,
        storage: None,
        compression: None,
        options: Vec::new(),
        foreign_options: Vec::new(),
        acl: super::Acl {
            current: None,
            base: Vec::new(),
        },
    };

    /// None where there is nothing.
    pub fn unless_empty(self) -> Option<Box<Self>> {
        (self != Self::NONE).then(|| Box::new(self))
    }
}

impl Column {
    /// What few columns have; without anything where there is nothing.
    pub fn settings(&self) -> &ColumnSettings {
        static NONE: ColumnSettings = ColumnSettings::NONE;
        self.settings.as_deref().unwrap_or(&NONE)
    }
}

/// A column's default, or what a generated column is computed from.
#[derive(Clone, Debug)]
pub struct Default {
    /// OID in `pg_attrdef`.
    pub oid: Oid,
    /// Expression as SQL.
    pub expression: String,
}

/// How a generated column is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generated {
    /// `s`
    Stored,
    /// `v` (18+)
    Virtual,
}

/// How an identity column is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// `a`
    Always,
    /// `d`
    ByDefault,
}

/// A NOT NULL.
#[derive(Clone, Debug)]
pub struct NotNull {
    /// OID in `pg_constraint` (18+).
    pub oid: Option<Oid>,
    /// Its name (18+).
    pub name: Option<String>,
    /// Declared here, not only inherited. Before 18 it is guessed: local unless a parent has it.
    pub local: bool,
    /// `NO INHERIT`
    pub no_inherit: bool,
    /// Whether all rows are known to satisfy it.
    pub validated: bool,
    /// Its comment.
    pub comment: Option<String>,
}

/// A CHECK constraint of a table.
#[derive(Clone, Debug)]
pub struct Check {
    /// OID in `pg_constraint`.
    pub oid: Oid,
    /// Name.
    pub name: String,
    /// `pg_get_constraintdef`.
    pub definition: String,
    /// Declared here, not only inherited.
    pub local: bool,
    /// Whether all rows are known to satisfy it (false also for NOT ENFORCED).
    pub validated: bool,
    /// Its comment.
    pub comment: Option<String>,
}

/// A foreign key (those cloned onto partitions are left out).
#[derive(Clone, Debug)]
pub struct ForeignKey {
    /// Name (of the constraint), comment. The schema is the table's.
    pub header: Header,
    /// The referencing table.
    pub table: Oid,
    /// The referenced table.
    pub referenced: Oid,
    /// `pg_get_constraintdef`.
    pub definition: String,
    /// Whether the referencing table is partitioned.
    pub on_partitioned: bool,
    /// `convalidated`
    pub validated: bool,
    /// `conenforced` (18+; true before).
    pub enforced: bool,
    /// Partitions in which it has been validated although it is not on the whole (18+): the table
    /// and the constraint's name there.
    pub validated_on: Vec<(Oid, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database of many tables has very many of these, all in memory while it is dumped.
    #[test]
    fn columns_and_relations_stay_small() {
        let (column, relation) = (size_of::<Column>(), size_of::<Relation>());
        assert!(column <= 192, "a column takes {column} bytes");
        assert!(relation <= 800, "a relation takes {relation} bytes");
    }
}
