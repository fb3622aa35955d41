//! The way down: lock, snapshot, read the catalogs, copy the rows, write the archive.
//!
//! One leader session holds an exported snapshot and ACCESS SHARE locks on every table; it reads
//! the catalogs, from which the table of contents is made. Workers share the snapshot and copy
//! rows out, biggest pieces first, large tables in ranges of pages, small ones many at a time. Frames are
//! compressed and hashed on a pool and appended by one writer.
//!
//! Promises: what is in the archive is the state of one snapshot; memory is bounded by a budget in
//! bytes; after any error the archive lacks its trailer and the sink is aborted. A worker that loses its
//! session goes on in another one, where it was; without the leader's session the dump fails.
//! Leaves to others: what SQL looks like (`ddl`), what the file looks like (`archive`), where it
//! goes (`storage`).
//!
//! A comparison reads in the same way (`again`), but for the locks: a table is locked only while it is read.

mod adaptive;
mod again;
mod chunk;
mod conductor;
mod copy;
mod database;
mod entries;
mod format;
mod framing;
mod give;
mod globals;
mod large_objects;
mod lead;
mod level;
mod line;
mod options;
mod outlet;
mod pipeline;
mod roles;
mod rows;
mod scripts;
mod selection;
mod session;
mod snapshot;
mod statistics;
mod stream;
mod work;
mod worker;

pub(crate) use again::{Again, Held, Reread, Rereading};
pub use conductor::run;
pub(crate) use give::{Given, give};
pub use options::{
    Compression, CopyFormatChoice, DumpOptions, DumpReport, GlobalsOptions, PackTables,
    SnapshotMode,
};
pub use selection::selection_of;
pub(crate) use snapshot::{is_of_one_table, may_pass};
