//! Definitions: read from the catalogs, put in order, said again in SQL, on every major and from one to another.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

#[path = "../support/mod.rs"]
mod support;

mod catalog;
mod catalog_relations;
mod fixtures;
mod globals;
mod icu;
mod roundtrip_schema;
mod statistics;
mod unprivileged;
mod versions;
