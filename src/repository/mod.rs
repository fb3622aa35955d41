//! Many archives over time: a repository of backups in one store.
//!
//! Why it exists: a backup is worth something only if it is known, whole, and kept as long as was
//! promised. The store itself is the catalogue; no database is needed to find a backup again.
//!
//! What it promises: a backup is one when its record stands, and that is written last and never
//! changed; what was begun and not ended is seen as such and leaves nothing that looks whole; what
//! is deleted is marked first, and only what this room wrote is deleted; which backups stay is a pure
//! function; two who write at once do not harm each other, also on a store that knows no conditions;
//! every deed is in the audit log, and a record of it that was changed or taken away is noticed.
//!
//! What it leaves to others: how a backup is made and read (`ops`), and where the bytes are (`storage`).

mod audit;
mod backup;
mod catalogue;
mod disk;
mod draft;
mod index;
mod layout;
mod lease;
mod leftovers;
mod listed;
mod lock;
pub mod metrics;
mod record;
pub mod retention;
mod stats;
mod who;

pub use audit::{Action, AuditLog, AuditRecord, Verdict};
pub use backup::{Backup, Listing, Status, TOOL, decide};
pub use catalogue::Repository;
pub use draft::{Draft, Pending};
pub use layout::{DELETION, PROBES, lock_of};
pub use lease::LEASE_SECONDS;
pub use leftovers::{Leftover, Survey};
pub use listed::ListedBackup;
pub use lock::Lock;
pub use record::{BackupId, BackupRecord, BackupType, Ending, Note, RECORD_VERSION, StoredArchive};
pub use stats::{GROWTH_DAYS, Growth, Last, Stats};
pub use who::Who;
