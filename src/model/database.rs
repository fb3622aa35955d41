//! The whole database.

use super::{
    AccessMethod, Aggregate, Cast, Collation, Conversion, DefaultAcl, Dependency, EventTrigger,
    ExtendedStatistics, Extension, ForeignDataWrapper, ForeignKey, ForeignServer, Function, Header,
    Index, Language, LargeObjectGroup, Operator, OperatorClass, OperatorFamily, PlannerStatistics,
    Policy, Publication, PublicationSchema, PublicationTable, Relation, Remark, Rule, Schema,
    Subscription, TextSearchConfiguration, TextSearchDictionary, TextSearchParser,
    TextSearchTemplate, Transform, Trigger, Type, UserMapping,
};
use crate::sql::ServerVersion;

/// Everything that was read from one database under one snapshot.
#[derive(Clone, Debug)]
pub struct Database {
    /// The server's version.
    pub version: ServerVersion,
    /// The database itself.
    pub properties: DatabaseProperties,
    /// Schemas, `public` and those of extensions among them.
    pub schemas: Vec<Schema>,
    /// Extensions.
    pub extensions: Vec<Extension>,
    /// Languages, those of the server and of extensions among them.
    pub languages: Vec<Language>,
    /// Collations.
    pub collations: Vec<Collation>,
    /// Types of every sort, also the rowtypes and arrays that exist only to carry dependencies.
    pub types: Vec<Type>,
    /// Functions and procedures.
    pub functions: Vec<Function>,
    /// Casts.
    pub casts: Vec<Cast>,
    /// Aggregates.
    pub aggregates: Vec<Aggregate>,
    /// Operators.
    pub operators: Vec<Operator>,
    /// Operator families, and of those that are there anyway the ones that were added to.
    pub operator_families: Vec<OperatorFamily>,
    /// Operator classes.
    pub operator_classes: Vec<OperatorClass>,
    /// Access methods.
    pub access_methods: Vec<AccessMethod>,
    /// Conversions.
    pub conversions: Vec<Conversion>,
    /// Transforms.
    pub transforms: Vec<Transform>,
    /// Text search parsers.
    pub text_search_parsers: Vec<TextSearchParser>,
    /// Text search templates.
    pub text_search_templates: Vec<TextSearchTemplate>,
    /// Text search dictionaries.
    pub text_search_dictionaries: Vec<TextSearchDictionary>,
    /// Text search configurations.
    pub text_search_configurations: Vec<TextSearchConfiguration>,
    /// Foreign-data wrappers.
    pub foreign_data_wrappers: Vec<ForeignDataWrapper>,
    /// Foreign servers.
    pub foreign_servers: Vec<ForeignServer>,
    /// User mappings.
    pub user_mappings: Vec<UserMapping>,
    /// Tables, views, materialized views, sequences, composite types' relations, foreign tables.
    pub relations: Vec<Relation>,
    /// Indexes and the constraints that stand on them.
    pub indexes: Vec<Index>,
    /// Foreign keys.
    pub foreign_keys: Vec<ForeignKey>,
    /// Extended statistics.
    pub statistics: Vec<ExtendedStatistics>,
    /// Relations whose planner statistics are wanted: tables by name, each before its indexes.
    pub planner_statistics: Vec<PlannerStatistics>,
    /// Rules other than the ones that make a view.
    pub rules: Vec<Rule>,
    /// Triggers, and enable states of partitions' copies of them.
    pub triggers: Vec<Trigger>,
    /// Row security policies.
    pub policies: Vec<Policy>,
    /// Publications.
    pub publications: Vec<Publication>,
    /// Tables in publications.
    pub publication_tables: Vec<PublicationTable>,
    /// Schemas in publications.
    pub publication_schemas: Vec<PublicationSchema>,
    /// Subscriptions.
    pub subscriptions: Vec<Subscription>,
    /// Event triggers.
    pub event_triggers: Vec<EventTrigger>,
    /// Comments and labels on what the system and extensions made.
    pub remarks: Vec<Remark>,
    /// Default privileges.
    pub default_acls: Vec<DefaultAcl>,
    /// Large objects, in groups of equal owner and privileges.
    pub large_objects: Vec<LargeObjectGroup>,
    /// Who needs whom.
    pub dependencies: Vec<Dependency>,
}

/// The row of `pg_database`, and settings that belong to it.
#[derive(Clone, Debug)]
pub struct DatabaseProperties {
    /// Name, owner, privileges, comment.
    pub header: Header,
    /// Server encoding, as `pg_encoding_to_char` names it.
    pub encoding: String,
    /// `libc`, `icu` or `builtin`.
    pub locale_provider: String,
    /// `datcollate`.
    pub collate: String,
    /// `datctype`.
    pub ctype: String,
    /// `datlocale` (17+) or `daticulocale`.
    pub locale: Option<String>,
    /// `daticurules` (16+).
    pub icu_rules: Option<String>,
    /// The default tablespace unless it is `pg_default`.
    pub tablespace: Option<String>,
    /// `datconnlimit`, unless -1.
    pub connection_limit: Option<i32>,
    /// `datistemplate`.
    pub is_template: bool,
    /// `ALTER DATABASE … SET`: role (None for all roles), setting name, value as stored.
    pub settings: Vec<(Option<String>, String, String)>,
}
