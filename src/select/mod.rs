//! What of a database is meant: the words that dump and restore have in common.
//!
//! Why it exists: the same option must mean the same on the way down and on the way up.
//!
//! Promises: plain values and pure readers of what a user wrote, patterns and filter files.
//! Leaves to others: to match names with objects (`catalog` asks the server, `plan` looks at an
//! archive's entries), to read a file.

mod content;
mod filter;
mod globals;
mod leave_out;
mod pattern;

pub use content::Content;
pub use filter::{Action, Rule, Subject};
pub use globals::Globals;
pub use leave_out::LeaveOut;
pub use pattern::{NamePattern, Pattern};

/// The schema in a target of a restore that tells how far the restore has come. It is there only as
/// long as that is not done. No server allows names that begin with `pg_` to anybody; this one is
/// merely a name that nobody gives.
pub const JOURNAL_SCHEMA: &str = "pgstow restore journal";
