//! Reads `pg_catalog` into [`model`](crate::model): bulk queries, version-aware, one file per
//! family of objects.
//!
//! Runs inside the dump's snapshot, with an empty `search_path`. Never renders SQL for output.

#![allow(dead_code, reason = "the readers are being joined up")]

mod acl;
mod context;
mod init_privs;
mod roles;
mod selection;

pub use selection::{Content, Selection};
