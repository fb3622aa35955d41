//! Types and domains.

use super::{Header, Oid};

/// A type.
#[derive(Clone, Debug)]
pub struct Type {
    /// Name, owner, privileges, comment.
    pub header: Header,
    /// What it is.
    pub definition: TypeDefinition,
}

/// The sorts of types.
#[derive(Clone, Debug)]
pub enum TypeDefinition {
    /// `CREATE TYPE … (INPUT = …)`.
    Base(Box<BaseType>),
    /// `CREATE TYPE … AS (…)`.
    Composite {
        /// The `pg_class` row that holds the columns.
        relation: Oid,
        /// The columns in order.
        columns: Vec<CompositeColumn>,
    },
    /// `CREATE TYPE … AS ENUM (…)`: the labels in order.
    Enum(Vec<String>),
    /// `CREATE TYPE … AS RANGE (…)`.
    Range(Box<RangeType>),
    /// `CREATE DOMAIN`.
    Domain(Box<Domain>),
    /// A shell: declared and never defined.
    Shell,
    /// Array of another type: never created by itself.
    Array {
        /// The element type.
        element: Oid,
    },
    /// The multirange of a range type: never created by itself.
    Multirange {
        /// The range type.
        range: Oid,
    },
}

/// A base type's properties, as `CREATE TYPE` takes them.
#[derive(Clone, Debug, Default)]
pub struct BaseType {
    /// Option name and SQL text, in the order in which they are written.
    pub options: Vec<(&'static str, String)>,
    /// The I/O, typmod, analyze and subscript functions.
    pub functions: Vec<Oid>,
    /// Whether it is made of elements that the server cannot find by itself: not a row of elements of
    /// fixed length, and without a function for subscripts. Before 14 the server took such types.
    pub has_loose_elements: bool,
}

/// A column of a composite type.
#[derive(Clone, Debug)]
pub struct CompositeColumn {
    /// Attribute number, by which comments are found.
    pub number: i32,
    /// Name.
    pub name: String,
    /// Type as SQL.
    pub type_sql: String,
    /// Collation as SQL, where it is not the type's.
    pub collation: Option<String>,
}

/// A range type's properties.
#[derive(Clone, Debug)]
pub struct RangeType {
    /// Subtype as SQL.
    pub subtype: String,
    /// Multirange type's schema and name (14+).
    pub multirange: Option<(String, String)>,
    /// Subtype's operator class as SQL, where it is not the default one.
    pub operator_class: Option<String>,
    /// Collation as SQL, where it is not the subtype's.
    pub collation: Option<String>,
    /// Canonical function as SQL name, and its OID.
    pub canonical: Option<(String, Oid)>,
    /// Difference function as SQL name.
    pub subtype_diff: Option<String>,
    /// Constructors that are not called as their type is (any more), of the multirange type as well.
    pub constructors: Vec<Constructor>,
}

/// A constructor of a range or multirange type that is called otherwise than its type, or is in another schema: the
/// type was renamed or moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constructor {
    /// Where the server makes it: the range type's schema, and the name of its own type.
    pub made: (String, String),
    /// Its own schema and name.
    pub own: (String, String),
    /// Its arguments as SQL.
    pub arguments: String,
    /// Whether it is the multirange type's.
    pub is_multirange: bool,
}

/// A domain's properties.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Base type as SQL, with its modifier.
    pub base: String,
    /// Base type.
    pub base_oid: Oid,
    /// Collation as SQL, where it is not the base type's.
    pub collation: Option<String>,
    /// Default.
    pub default: DomainDefault,
    /// NOT NULL without a catalog row of its own (servers before 17).
    pub not_null: bool,
    /// CHECK and (17+) NOT NULL constraints, by name.
    pub constraints: Vec<DomainConstraint>,
}

/// The default of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainDefault {
    /// The base type's, if that has one.
    OfBase,
    /// None, although the base type has one.
    Dropped,
    /// An expression as SQL.
    Expression(String),
}

/// A constraint of a domain.
#[derive(Clone, Debug)]
pub struct DomainConstraint {
    /// OID in `pg_constraint`.
    pub oid: Oid,
    /// Name.
    pub name: String,
    /// As `pg_get_constraintdef` gives it: `CHECK (…)` or `NOT NULL`.
    pub definition: String,
    /// Whether it is a NOT NULL.
    pub is_not_null: bool,
    /// Whether existing rows are known to satisfy it; if not it is added after the data.
    pub validated: bool,
    /// Its comment.
    pub comment: Option<String>,
}
