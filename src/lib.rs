//! pgstow: dump a live PostgreSQL database into one streamed archive, restore it in parallel.

pub mod archive;
pub mod catalog;
pub mod connect;
pub mod dag;
pub mod ddl;
pub mod dump;
pub mod error;
pub mod graph;
pub mod model;
pub mod report;
pub mod sql;
pub mod storage;
pub mod task;
