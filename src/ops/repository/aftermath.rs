//! What happens around a backup, besides the backup: notifications, records elsewhere, metrics.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::BackupReport;
use crate::error::{Error, Kind, Result};
use crate::report::Observer;
use crate::repository::{Backup, Repository};

/// How long one of them may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A backup that has ended, well or not.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// As it is listed from now on. When there was not even a lock, or the store was out of reach, it
    /// is in no list; its status is failed all the same.
    pub backup: &'a Backup,
    /// What was made, or why nothing was.
    pub outcome: std::result::Result<&'a BackupReport, &'a Error>,
    /// The newest backup of this database that had ended before; none when there was none, or when
    /// that could not be read. What failed then and succeeds now has recovered.
    pub previous: Option<&'a Backup>,
    /// Where it is; none when the repository could not be opened.
    pub repository: Option<&'a Repository>,
}

/// Someone who hears of every backup. What it fails with is told as a warning and never makes a
/// failure of a backup; it has two minutes for each call.
pub trait Aftermath: Send + Sync {
    /// For warnings: `notification`, `metrics file`.
    fn name(&self) -> String;

    /// A backup begins: its draft is written. Not called when it does not come so far.
    ///
    /// # Errors
    /// What is to be told.
    fn started<'a>(
        &'a self,
        _backup: &'a Backup,
        _repository: &'a Repository,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(futures::future::ready(Ok(())))
    }

    /// A backup has ended. Called once for each that was asked for, also when it was refused or
    /// interrupted.
    ///
    /// # Errors
    /// What is to be told.
    fn ended<'a>(&'a self, ended: Ended<'a>) -> BoxFuture<'a, Result<()>>;
}

async fn tell(name: String, work: BoxFuture<'_, Result<()>>, observer: &Arc<dyn Observer>) {
    let told = tokio::time::timeout(PATIENCE, work).await;
    let told = told.unwrap_or_else(|_| {
        let why = format!("not done after {} seconds", PATIENCE.as_secs());
        Err(Error::new(Kind::Failed, why))
    });
    if let Err(error) = told {
        let text = format!("{name}: {error}");
        match error.hint() {
            Some(hint) => observer.warning_with_hint(text, hint.to_owned()),
            None => observer.warning(text),
        }
    }
}

pub(super) async fn started(
    all: &[Arc<dyn Aftermath>],
    backup: &Backup,
    repository: &Repository,
    observer: &Arc<dyn Observer>,
) {
    let telling = all
        .iter()
        .map(|one| tell(one.name(), one.started(backup, repository), observer));
    futures::future::join_all(telling).await;
}

pub(super) async fn ended(
    all: &[Arc<dyn Aftermath>],
    ended: Ended<'_>,
    observer: &Arc<dyn Observer>,
) {
    let telling = all
        .iter()
        .map(|one| tell(one.name(), one.ended(ended), observer));
    futures::future::join_all(telling).await;
}
