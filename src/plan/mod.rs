//! What a restore will do, decided before it does anything.
//!
//! Why it exists: which entries of an archive are restored, in which order, and what may run at
//! the same time is a matter of thought, not of servers. [`build`] turns the table of contents and
//! the user's [`Choices`] into a [`Plan`]: a graph of [`Step`]s with costs and locks, and a reason
//! for every entry that is left out. A plan can be shown as text or JSON; a [`Schedule`] walks it.
//!
//! What it promises: the same input gives the same plan; every edge goes from an earlier stage or
//! entry to a later one, so a plan has no cycles whatever an archive claims; rows come before
//! everything that would have to look at them again; two steps whose locks conflict are never
//! handed out together.
//!
//! What it leaves to others: sessions, statements, frames and failures (`restore`).

mod arrange;
mod build;
mod choices;
mod filter;
mod key;
mod lanes;
mod names;
mod pattern;
mod pull;
mod relations;
mod schedule;
mod select;
mod served;
mod step;
#[cfg(test)]
mod tests;
mod use_list;
mod versions;
mod via_root;

pub use crate::select::LeaveOut;
pub use build::build;
pub use choices::{Choices, InPieces, Parts, RowOrder};
pub use filter::{EntryFilter, Needs};
pub use key::keys;
pub use lanes::{Lanes, lanes};
pub use pattern::Pattern;
pub use schedule::Schedule;
pub use step::{
    Adapted, Analyzed, Barrier, Cause, Needed, Omitted, Plan, Pulled, Step, StepId, Work,
};
pub use use_list::UseList;
pub use versions::adapt;
pub use via_root::load_via_root;
