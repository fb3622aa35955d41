//! Backups: what a person asks of a repository.
//!
//! Why it exists: `repository` keeps records and archives; here they are made, checked, copied out,
//! and let go. Each operation leaves a record in the audit log, of what was refused too.
//!
//! What it promises: a backup counts as complete only when that was proven; nothing is deleted before
//! the audit log says that it will be; what goes wrong around a backup (notifications, the index, a
//! draft that could not be taken away) is told as a warning and does not make a failure of it.
//!
//! What it leaves to others: where the repository is and how it is configured (the binary), what is
//! sent to whom ([`Aftermath`]), restoring.

mod aftermath;
mod archive_of;
mod audited;
mod backup;
mod backups;
mod delete;
mod download;
mod interrupt;
mod proof;
mod prune;
mod rebuild;
mod verify;

pub use aftermath::{Aftermath, Ended};
pub use archive_of::archive_of;
pub use audited::audited;
pub use backup::{BackupOptions, BackupReport, EmptyDump, backup};
pub use backups::{BackupFilter, BackupList, backups};
pub use delete::{DeleteOptions, LastGood, delete, pin, unpin};
pub use download::{DownloadReport, download};
pub use proof::ReadBack;
pub use prune::{PruneMode, PruneReport, Pruned, prune};
pub use rebuild::{RebuildReport, Rebuilt, rebuild};
pub use verify::{BackupVerified, verify_backup};
