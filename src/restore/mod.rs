//! The way up: preflight, one coordinator loop, workers with one session each, outcome.

mod options;

pub use options::{FailedEntry, OnError, RestoreOptions, RestoreReport, SkippedEntry, TargetState};
