//! Owned sets of workers, budgets in bytes, waits between tries; no policy.

mod backoff;
mod budget;
mod jobs;

pub use backoff::Backoff;
pub use budget::{ByteBudget, Permit};
pub use jobs::default_jobs;
