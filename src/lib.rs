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
pub mod ops;
pub mod plan;
pub mod report;
pub mod restore;
pub mod select;
pub mod sql;
pub mod storage;
pub mod task;

pub use ops::{
    CopyFormatChoice, DumpOptions, DumpReport, EntryFilter, Input, ListOptions, ListReport,
    OnError, RestoreOptions, RestoreReport, Sections, SqlOptions, SqlReport, TargetState,
    VerifyOptions, VerifyReport, dump, list, restore, sql_script, verify,
};
