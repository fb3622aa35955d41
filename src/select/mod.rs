//! What of a database is meant: the words that dump and restore have in common.
//!
//! Why it exists: the same option must mean the same on the way down and on the way up.
//!
//! Promises: plain values and pure readers of what a user wrote. Leaves to others: to match names
//! with objects (`catalog` asks the server, `plan` looks at an archive's entries).

mod content;
mod leave_out;

pub use content::Content;
pub use leave_out::LeaveOut;
