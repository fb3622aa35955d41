//! Where an object stands in the catalogs, and what depends on what.

/// A PostgreSQL object identifier.
pub type Oid = u32;

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident = $oid:literal,)*) => {
        /// A system catalog, by its fixed OID.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Class {
            $($(#[$doc])* $name,)*
            /// Any other catalog, kept so that dependencies through it are not lost.
            Other(Oid),
        }

        impl Class {
            /// The catalog with this OID.
            pub const fn from_oid(oid: Oid) -> Self {
                match oid {
                    $($oid => Self::$name,)*
                    other => Self::Other(other),
                }
            }

            /// The catalog's OID.
            pub const fn oid(self) -> Oid {
                match self {
                    $(Self::$name => $oid,)*
                    Self::Other(oid) => oid,
                }
            }
        }
    };
}

classes! {
    /// `pg_class`
    Relation = 1259,
    /// `pg_type`
    Type = 1247,
    /// `pg_proc`
    Function = 1255,
    /// `pg_namespace`
    Schema = 2615,
    /// `pg_extension`
    Extension = 3079,
    /// `pg_constraint`
    Constraint = 2606,
    /// `pg_attrdef`
    Default = 2604,
    /// `pg_rewrite`
    Rule = 2618,
    /// `pg_trigger`
    Trigger = 2620,
    /// `pg_policy`
    Policy = 3256,
    /// `pg_statistic_ext`
    Statistics = 3381,
    /// `pg_default_acl`
    DefaultAcl = 826,
    /// `pg_collation`
    Collation = 3456,
    /// `pg_conversion`
    Conversion = 2607,
    /// `pg_operator`
    Operator = 2617,
    /// `pg_opclass`
    OperatorClass = 2616,
    /// `pg_opfamily`
    OperatorFamily = 2753,
    /// `pg_amop`
    OperatorFamilyOperator = 2602,
    /// `pg_amproc`
    OperatorFamilyFunction = 2603,
    /// `pg_am`
    AccessMethod = 2601,
    /// `pg_language`
    Language = 2612,
    /// `pg_cast`
    Cast = 2605,
    /// `pg_transform`
    Transform = 3576,
    /// `pg_ts_dict`
    TextSearchDictionary = 3600,
    /// `pg_ts_parser`
    TextSearchParser = 3601,
    /// `pg_ts_config`
    TextSearchConfiguration = 3602,
    /// `pg_ts_template`
    TextSearchTemplate = 3764,
    /// `pg_foreign_data_wrapper`
    ForeignDataWrapper = 2328,
    /// `pg_foreign_server`
    ForeignServer = 1417,
    /// `pg_user_mapping`
    UserMapping = 1418,
    /// `pg_event_trigger`
    EventTrigger = 3466,
    /// `pg_publication`
    Publication = 6104,
    /// `pg_publication_rel`
    PublicationRelation = 6106,
    /// `pg_publication_namespace`
    PublicationSchema = 6237,
    /// `pg_subscription`
    Subscription = 6100,
    /// `pg_largeobject_metadata`, addressed in dependencies and comments as `pg_largeobject`
    LargeObject = 2613,
    /// `pg_database`
    Database = 1262,
    /// `pg_authid`
    Role = 1260,
    /// `pg_tablespace`
    Tablespace = 1213,
}

/// An object: its catalog and its OID there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The catalog.
    pub class: Class,
    /// The row's OID.
    pub oid: Oid,
}

impl Address {
    /// An address.
    pub const fn new(class: Class, oid: Oid) -> Self {
        Self { class, oid }
    }
}

/// `pg_depend.deptype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DependencyKind {
    /// `n`
    Normal,
    /// `a`
    Auto,
    /// `i`
    Internal,
    /// `P`
    PartitionPrimary,
    /// `S`
    PartitionSecondary,
    /// `x`
    AutoExtension,
}

/// One row of `pg_depend` (columns folded into their relation; membership in extensions, `e`, is
/// in [`Header::extension`](super::Header::extension) instead).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dependency {
    /// What depends.
    pub object: Address,
    /// What it needs.
    pub on: Address,
    /// How.
    pub kind: DependencyKind,
}
