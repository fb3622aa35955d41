//! What a job is: `pgstow.toml` and the environment, put together.
//!
//! Why it exists: a backup that runs every night is told once what it is of, where it goes, how long it
//! stays and who is told. All of that stands in one file, or in variables, or in both.
//!
//! What it promises: one table of keys ([`keys`]) from which the file, the variables
//! (`PGSTOW_<SECTION>_<KEY>`, `PGSTOW_JOB_<NAME>_<SECTION>_<KEY>`), the messages and the manual come;
//! what is not in it is an error that names line, key and the right one. A value knows where it is
//! from. The order of weight: command line, variables of a job, variables of all jobs, the job's own
//! tables, variables that other programs share (`DATABASE_URL`, `AWS_…`, `SMTP_…`), the tables of all jobs,
//! defaults. Nothing secret is in a message or in the output of `Debug`; a secret that is in a file or
//! comes from a command is fetched when it is needed, not before.
//!
//! What it leaves to others: what the values do.

mod file;
mod job;
mod keys;
mod layers;
mod place;
mod template;
mod value;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests;

pub mod unit;

pub use job::{Checks, Job};
pub use keys::{KnownKey, known_keys};
pub use layers::{Config, Effective, Origin};
pub use place::FILE_NAME;
pub use template::template;
