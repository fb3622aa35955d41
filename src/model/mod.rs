//! What a database is, as plain values: one file per family of objects.
//!
//! Filled by `catalog`, ordered by `graph`, rendered by `ddl`. Nothing in here talks to anything.
//! Text that the server deparsed (expressions, view queries, index definitions) is kept as it
//! came: with an empty `search_path`, so every name in it is qualified.

mod access_method;
mod address;
mod aggregate;
mod cast;
mod collation;
mod conversion;
mod database;
mod event_trigger;
mod extension;
mod foreign;
mod function;
mod globals;
mod index;
mod language;
mod large_object;
mod operator;
mod operator_class;
mod privileges;
mod publication;
mod relation;
mod remark;
mod rule;
mod schema;
mod sequence;
mod statistics;
mod subscription;
mod text_search;
mod transform;
mod trigger;
mod types;

pub use access_method::{AccessMethod, AccessMethodKind};
pub use address::{Address, Class, Dependency, DependencyKind, Oid};
pub use aggregate::{Aggregate, AggregateKind, AggregateState, Modify};
pub use cast::{Cast, CastContext, CastMethod};
pub use collation::{Collation, CollationProvider};
pub use conversion::Conversion;
pub use database::{Database, DatabaseProperties};
pub use event_trigger::EventTrigger;
pub use extension::{ConfigurationTable, Extension};
pub use foreign::{ForeignDataWrapper, ForeignServer, UserMapping};
pub use function::{Function, FunctionBody, FunctionKind, Parallel, Volatility};
pub use globals::{Globals, Membership, Parameter, PasswordHash, Role, Tablespace};
pub use index::{Index, IndexConstraint, IndexConstraintKind};
pub use language::Language;
pub use large_object::{LargeObject, LargeObjectGroup};
pub use operator::Operator;
pub use operator_class::{FamilyMember, OperatorClass, OperatorFamily};
pub use privileges::{Acl, AclItem, DefaultAcl, Privilege};
pub use publication::{Publication, PublicationSchema, PublicationTable};
pub use relation::{
    Check, Column, ColumnSettings, Default, ForeignKey, Generated, Identity, NotNull, Parent,
    Persistence, Relation, RelationKind, ReplicaIdentity, View,
};
pub use remark::Remark;
pub use rule::{EnabledState, Policy, PolicyCommand, Rule};
pub use schema::Schema;
pub use sequence::{Sequence, SequenceOwner};
pub use statistics::{ExtendedStatistics, PlannerStatistics};
pub use subscription::{Streaming, Subscription};
pub use text_search::{
    TextSearchConfiguration, TextSearchDictionary, TextSearchParser, TextSearchTemplate,
};
pub use transform::Transform;
pub use trigger::Trigger;
pub use types::{
    BaseType, CompositeColumn, Constructor, Domain, DomainConstraint, DomainDefault, RangeType,
    Type, TypeDefinition,
};

/// What of an object goes into the archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Components(u8);

impl Components {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// CREATE, DROP and OWNER statements.
    pub const DEFINITION: Self = Self(1);
    /// Rows, sequence values, refreshes.
    pub const DATA: Self = Self(2);
    /// Comments.
    pub const COMMENT: Self = Self(4);
    /// Security labels.
    pub const LABEL: Self = Self(8);
    /// Privileges.
    pub const ACL: Self = Self(16);
    /// Policies and the row security switch.
    pub const POLICY: Self = Self(32);
    /// Planner statistics.
    pub const STATISTICS: Self = Self(64);
    /// Everything.
    pub const ALL: Self = Self(127);

    /// Whether every component of `other` is in this one.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing is wanted.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// This without `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// What all objects have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Its address in the catalogs.
    pub address: Address,
    /// Its schema, for objects that live in one.
    pub schema: Option<String>,
    /// Its name, unquoted.
    pub name: String,
    /// Its owner, for objects that have one.
    pub owner: Option<String>,
    /// What of it is wanted in the archive. Objects with [`Components::NONE`] are kept only for
    /// the dependencies that run through them.
    pub wanted: Components,
    /// The extension it is a member of.
    pub extension: Option<Oid>,
    /// Privileges and what they started from.
    pub acl: Acl,
    /// Its comment.
    pub comment: Option<String>,
    /// Comments on parts of it: columns by attribute number.
    pub part_comments: Vec<(i32, String)>,
    /// Security labels as (part, provider, label); part 0 is the object itself.
    pub labels: Vec<(i32, String, String)>,
    /// `ALTER … DEPENDS ON EXTENSION` names.
    pub depends_on_extensions: Vec<String>,
}

impl Header {
    /// A header with nothing but an address and names.
    pub fn new(address: Address, schema: Option<String>, name: String) -> Self {
        Self {
            address,
            schema,
            name,
            owner: None,
            wanted: Components::NONE,
            extension: None,
            acl: Acl::default(),
            comment: None,
            part_comments: Vec::new(),
            labels: Vec::new(),
            depends_on_extensions: Vec::new(),
        }
    }

    /// `schema.name`, quoted for SQL; only `name` for objects without a schema.
    pub fn sql_name(&self) -> String {
        match &self.schema {
            Some(schema) => crate::sql::qualified(schema, &self.name),
            None => crate::sql::ident(&self.name),
        }
    }
}
