//! Who hears of a backup: people, an application's database, monitoring.
//!
//! Why it exists: `notify`, `mirror` and the metrics of `repository` know nothing of how a backup is made; here each
//! is made an [`Aftermath`](super::repository::Aftermath).
//!
//! What it promises: whatever fails here is an error for a warning, and a notice that could not be delivered is in
//! the audit log as well.
//!
//! What it leaves to others: who is told what (`notify`), what a row and a metric are (`mirror`, `repository`).

mod metered;
mod mirrored;
mod notices;

pub use metered::Metered;
pub use mirrored::Mirrored;
pub use notices::Notices;
