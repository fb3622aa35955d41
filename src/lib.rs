//! pgstow: dump a live PostgreSQL database into one streamed archive, restore it in parallel.
//!
//! The command line is a thin layer over this library; whatever it does, a program can do:
//! [`dump()`], [`restore()`], [`verify()`], [`list()`] and [`sql_script()`]. Each takes options
//! with defaults, an observer that hears what happens ([`report::Observer`]; the library itself
//! never prints) and a cancellation token, and answers with a report.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use pgstow::connect::{Config, ConfigSource, ProcessEnv};
//! use pgstow::report::Silent;
//! use pgstow::storage::Overwrite;
//! use pgstow::{DumpOptions, Input, RestoreOptions, VerifyOptions};
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn example() -> pgstow::error::Result<()> {
//! // As psql would take it: URI, key=value string, PG* variables, .pgpass, service file.
//! let connect = |conninfo: &str| {
//!     let source = ConfigSource {
//!         conninfo: Some(conninfo.to_owned()),
//!         ..ConfigSource::default()
//!     };
//!     Config::resolve(&source, &ProcessEnv)
//! };
//! let source = connect("postgres://app@db.example/shop")?;
//! let target = connect("postgres://app@new.example/shop")?;
//! let cancel = CancellationToken::new();
//!
//! let output = pgstow::ops::create_output("shop.pgstow", Overwrite::Replace).await?;
//! let options = DumpOptions::default();
//! let dumped = pgstow::dump(&source, output, &options, Arc::new(Silent), cancel.clone()).await?;
//!
//! let archive = Input::open("shop.pgstow").await?;
//! let options = RestoreOptions::default();
//! let restored =
//!     pgstow::restore(&target, archive, &options, Arc::new(Silent), cancel.clone()).await?;
//! assert_eq!(restored.rows, dumped.rows);
//!
//! // Every checksum, and every table's fingerprint taken again from the live target.
//! let archive = Input::open("shop.pgstow").await?;
//! let options = VerifyOptions {
//!     against: Some(target),
//!     ..VerifyOptions::default()
//! };
//! let verified = pgstow::verify(archive, &options, Arc::new(Silent), cancel).await?;
//! assert!(verified.is_equal());
//! # Ok(())
//! # }
//! ```
//!
//! How the rooms of the house hang together is in `docs/ARCHITECTURE.md`, the archive's exact
//! format in `docs/archive-format-v1.md`.

pub mod archive;
pub mod catalog;
pub mod config;
pub mod connect;
pub mod dag;
pub mod ddl;
pub mod dump;
pub mod encryption;
pub mod error;
pub mod graph;
pub mod mirror;
pub mod model;
pub mod notify;
pub mod ops;
pub mod plan;
pub mod relay;
pub mod report;
pub mod repository;
pub mod restore;
pub mod secret;
pub mod select;
pub mod sql;
pub mod storage;
pub mod suggest;
pub mod task;
mod trust;

pub use ops::{
    Compression, CopyFormatChoice, CopyOptions, CopyReport, DumpOptions, DumpReport, EntryFilter,
    Input, ListOptions, ListReport, OnError, PackTables, RestoreOptions, RestoreReport, Sections,
    SqlOptions, SqlReport, TargetState, VerifyOptions, VerifyReport, copy, dump, list, restore,
    sql_script, verify,
};
