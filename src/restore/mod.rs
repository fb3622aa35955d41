//! The way up: preflight, one coordinator loop, workers with one session each, outcome.
//!
//! Why it exists: a [`Plan`](crate::plan::Plan) says what is to be done; this room does it, with as
//! many sessions as were asked for, and tells what came of it.
//!
//! What it promises: the archive is opened and checked before the target is touched; nothing is
//! dropped or mixed into a database that is not empty unless that was asked for; a frame is
//! checked and unpacked whole before its COPY may end, and its rows are committed only when the
//! server counted as many as the archive; a failure names the entry and its statement; nothing is
//! reported as done that was not; memory for rows in flight is bounded; whatever ends a run early
//! ends its work on the server too.
//!
//! What it leaves to others: which entries and in which order (`plan`), the protocol (`connect`),
//! the format (`archive`), asking and printing (`ops` and the binary).

mod cascade;
mod column_types;
mod coordinator;
mod database;
mod default_privileges;
mod definitions;
mod encoding;
mod enter;
mod extensions;
mod failure;
mod feed;
mod frame;
mod globals;
mod journal;
mod lost_rows;
mod options;
mod outcome;
mod preflight;
mod present;
mod reader;
mod refusal;
mod run;
mod serial;
mod session;
mod shared;
mod statements;
mod statistics;
mod target;
mod triggers;
mod versions;
mod worker;

pub(crate) use column_types::{Sent, Table, unlike};
pub(crate) use frame::large_object_pieces;
pub(crate) use globals::wanted as wanted_globals;
pub(crate) use options::what_and_how;
pub use options::{
    FailedEntry, OnError, PhaseTime, Refused, RestoreOptions, RestoreReport, SkippedEntry,
    TargetState,
};
pub use preflight::{Place, Survey, survey};
pub use reader::ArchiveReader;
pub use refusal::Refusal;
pub use run::restore;
pub(crate) use run::restore_into;
pub(crate) use session::open_to_ask;
pub(crate) use statistics::{statements as statistics_statements, unwanted as unwanted_statistics};
