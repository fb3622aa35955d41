//! Which backups there are.

use serde::Serialize;

use crate::error::Result;
use crate::repository::{Backup, BackupId, BackupType, Repository, Stats, Status};

/// Which of them.
#[derive(Clone, Debug, Default)]
pub struct BackupFilter {
    /// Only of these types; all when empty.
    pub types: Vec<BackupType>,
    /// Only with these statuses; all when empty.
    pub statuses: Vec<Status>,
    /// Only of this database.
    pub database: Option<String>,
    /// At most so many.
    pub limit: Option<usize>,
    /// Only those older than this one: the last of a page, for the next.
    pub after: Option<BackupId>,
}

/// Some backups of a repository.
#[derive(Clone, Debug, Serialize)]
pub struct BackupList {
    /// The repository.
    pub repository: String,
    /// The backups, newest first.
    pub backups: Vec<Backup>,
    /// Where the next page goes on, when there is one: `after`.
    pub next: Option<BackupId>,
    /// How many there are in all pages.
    pub total: usize,
    /// Figures about all of them, on whatever page.
    pub stats: Stats,
    /// Objects that are not as they were written.
    pub problems: Vec<String>,
}

/// Lists backups. Reads their records, not the archives.
///
/// # Errors
/// What the store says.
pub async fn backups(repository: &Repository, filter: &BackupFilter) -> Result<BackupList> {
    let listing = repository.list().await?;
    let mut all = listing.backups;
    all.retain(|it| {
        let record = &it.record;
        (filter.types.is_empty() || filter.types.contains(&record.backup_type))
            && (filter.statuses.is_empty() || filter.statuses.contains(&it.status))
            && filter
                .database
                .as_ref()
                .is_none_or(|name| *name == record.database)
    });
    let stats = Stats::of(&all);
    let total = all.len();
    if let Some(after) = &filter.after {
        all.retain(|it| it.record.id < *after);
    }
    all.reverse();
    let limit = filter.limit.unwrap_or(usize::MAX);
    let has_more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| has_more);
    Ok(BackupList {
        repository: repository.name(),
        next: next.map(|it| it.record.id.clone()),
        total,
        stats,
        backups: all,
        problems: listing.problems,
    })
}
