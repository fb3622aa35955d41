//! From an archive's table of contents, a selection and facts about the target to a plan: which
//! entries are restored, in which order, and why the others are left out. Pure.

mod filter;

pub use filter::EntryFilter;
