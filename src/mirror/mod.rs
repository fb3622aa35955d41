//! The record for applications: a table `database_backups` in a PostgreSQL of the user's choice.
//!
//! Why it exists: who runs an application asks its database, not a bucket, when the last backup was made.
//!
//! What it promises: the table shows what the repository's listing shows; it is made and brought up to date by
//! numbered migrations, also by several at once; what the repository has no more stays, marked as deleted; a
//! table that is as it should be is not written to.
//!
//! What it leaves to others: to decide when (`ops`), and what to make of a failure: the repository needs nothing of
//! this, and can fill the table anew at any time.

mod migrations;
mod row;
mod table;

pub use table::{Mirror, Synced};
