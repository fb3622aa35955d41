//! Reads `pg_catalog` into [`model`](crate::model): bulk queries, version-aware, one file per
//! family of objects.
//!
//! Runs inside the dump's snapshot, with an empty `search_path`. Never renders SQL for output.

#![allow(dead_code, reason = "the readers are being joined up")]

mod acl;
mod binary_safe;
mod checks;
mod columns;
mod context;
mod detail;
mod foreign_keys;
mod indexes;
mod init_privs;
mod locks;
mod parts;
mod policies;
mod relations;
mod roles;
mod rules;
mod selection;
mod sequences;
mod statistics;
mod triggers;

pub use selection::{Content, Selection};
