//! The way down: lock, snapshot, read the catalogs, copy the rows, write the archive.

mod options;

pub use options::{CopyFormatChoice, DumpOptions, DumpReport, SnapshotMode, default_jobs};
