//! pgstow: dump a live PostgreSQL database into one streamed archive, restore it in parallel.

pub mod archive;
pub mod connect;
pub mod error;
pub mod report;
pub mod sql;
pub mod storage;
