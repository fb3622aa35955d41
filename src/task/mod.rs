//! Owned sets of workers, budgets in bytes, waits between tries, how idle the machine is; no policy.

mod backoff;
mod budget;
mod idleness;
mod jobs;

pub use backoff::Backoff;
pub use budget::{ByteBudget, Permit};
pub use idleness::Idleness;
pub use jobs::default_jobs;
