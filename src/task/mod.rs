//! Owned sets of workers, budgets in bytes, waits between tries, work on blocking threads and on one of its own, how idle the machine is;
//! no policy.

mod backoff;
mod blocking;
mod budget;
mod idleness;
mod jobs;
mod lock;
mod thread;

pub use backoff::Backoff;
pub(crate) use blocking::blocking;
pub use budget::{ByteBudget, Permit};
pub use idleness::Idleness;
pub(crate) use jobs::cores;
pub use jobs::default_jobs;
pub(crate) use lock::lock;
pub(crate) use thread::on_own_thread;
