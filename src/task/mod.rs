//! Owned sets of workers and budgets in bytes; no policy.

mod budget;
mod jobs;

pub use budget::{ByteBudget, Permit};
pub use jobs::default_jobs;
