//! Reads `pg_catalog` into [`model`](crate::model): bulk queries, version-aware, one file per
//! family of objects.
//!
//! Why it exists: what the catalogs look like in each major is known here and nowhere else.
//!
//! Promises: runs inside the dump's snapshot, with an empty `search_path`, in a number of round
//! trips that does not grow with the database. What is wanted is marked by the rules of
//! [`Selection`]; tables are locked before anything of theirs is deparsed. Nothing is left out in
//! silence: what cannot be dumped yet is named in a warning. Every query can be prepared on every
//! major that is supported, which a test proves.
//!
//! Leaves to others: the session and its snapshot (`dump`), the order (`graph`), SQL for output
//! (`ddl`).

mod access_methods;
mod acl;
mod aggregates;
mod binary_safe;
mod casts;
mod checks;
mod collations;
mod columns;
mod comments;
mod context;
mod conversions;
mod database;
mod default_acls;
mod dependencies;
mod detail;
mod event_triggers;
mod extensions;
mod foreign;
mod foreign_keys;
mod functions;
mod globals;
mod headers;
mod indexes;
mod init_privs;
mod labels;
mod languages;
mod large_objects;
mod locks;
mod losses;
mod operator_classes;
mod operators;
mod parts;
mod pattern;
mod planner_statistics;
mod policies;
mod publications;
mod read;
mod relations;
mod remarks;
mod roles;
mod row;
mod row_form;
mod rules;
mod schemas;
mod select;
mod selection;
mod sequences;
mod stability;
mod statistics;
mod subscriptions;
mod text_search;
mod transforms;
mod triggers;
mod types;

pub use database::database_properties;
pub use globals::{GlobalsRequest, ListedDatabase, databases, read_globals};
pub use planner_statistics::{column_values, columns_query, relation_values, relations_query};
pub(crate) use read::read_while_opening;
pub use read::{ReadRequest, all_queries, read};
pub(crate) use row_form::RowForm;
pub use selection::Selection;
