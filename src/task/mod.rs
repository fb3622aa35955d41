//! Owned sets of workers and budgets in bytes; no policy.

mod budget;

pub use budget::{ByteBudget, Permit};
