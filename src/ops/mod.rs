//! What a person asks for: dump, restore, copy, list, verify, write as SQL.
//!
//! Why it exists: the command line, and whatever else stands on the library, call only this.
//! Each operation is one async function with an options struct (`Default`, one `validate()`), an
//! [`Observer`](crate::report::Observer) that hears what happens, and a
//! [`CancellationToken`](tokio_util::sync::CancellationToken) that ends it; what was done comes
//! back as a report.
//!
//! What it promises: options are checked before anything is touched; a cancelled operation ends
//! its work on the server, leaves nothing behind that looks whole, and answers
//! [`Kind::Interrupted`](crate::error::Kind::Interrupted).
//!
//! What it leaves to others: how it is done (`dump`, `restore`, `archive`), and every printed word
//! (the binary).

pub mod after;
mod cluster;
mod copy;
pub mod doctor;
mod dump;
mod input;
mod list;
mod preflight;
pub mod repository;
mod restore;
mod same_database;
mod sql_script;
mod swap;
mod verify;
mod verify_against;

pub use crate::archive::Sections;
pub use crate::dump::{
    Compression, CopyFormatChoice, DumpOptions, DumpReport, GlobalsOptions, PackTables,
    SnapshotMode,
};
pub use crate::plan::{EntryFilter, Needed, Needs, Omitted, Plan, Pulled, UseList};
pub use crate::restore::{
    FailedEntry, OnError, PhaseTime, Refusal, Refused, RestoreOptions, RestoreReport, SkippedEntry,
    TargetState,
};
pub use crate::select::{Content, LeaveOut};
pub use crate::task::default_jobs;
pub use cluster::{ClusterProblem, ClusterReport, dump_all, restore_all};
pub use copy::{Comparison, CopyOptions, CopyReport, copy, copy_dry_run};
pub use dump::dump;
pub use input::{Input, create_output, encrypted};
pub use list::{ListOptions, ListReport, ListedEntry, ListedGlobal, ListedTable, list};
pub use preflight::{Preflight, restore_dry_run, restore_preflight};
pub use restore::{restore, restore_plan};
pub use sql_script::{SqlOptions, SqlReport, sql_script};
pub use swap::{Sessions, SwapOptions, SwapReport, swap, swap_preflight};
pub use verify::{TableComparison, VerifyOptions, VerifyReport, verify};
