//! Notices about a backup.

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use tokio::task::JoinHandle;

use crate::error::{Error, Kind, Result};
use crate::notify::{Delivery, LastSuccess, Notice, Notifier, Occasion, Work};
use crate::ops::repository::{Aftermath, Ended};
use crate::repository::{Action, Backup, Repository, Status, Verdict, Who};
use crate::task::lock;

/// Tells others how backups go.
#[derive(Debug)]
pub struct Notices {
    notifier: Arc<Notifier>,
    job: Option<String>,
    /// Where the backups are, for people.
    store: String,
    /// What is still being told of the beginning: no backup waits for that.
    beginning: Mutex<Option<JoinHandle<Vec<Delivery>>>>,
}

impl Notices {
    /// Tells them by this notifier. The job is its name where there are several; the store is how messages name
    /// the place, without a secret.
    pub fn new(notifier: Notifier, job: Option<String>, store: impl Into<String>) -> Self {
        Self {
            notifier: Arc::new(notifier),
            job,
            store: store.into(),
            beginning: Mutex::new(None),
        }
    }

    /// Tells that something other than a backup has failed. A repository gets what could not be delivered into its
    /// audit log.
    ///
    /// # Errors
    /// [`Kind::Failed`] names each way on which it could not be delivered.
    pub async fn failed(
        &self,
        work: Work,
        database: &str,
        why: &Error,
        repository: Option<&Repository>,
    ) -> Result<()> {
        let notice = Notice {
            work,
            kind: Occasion::Failed,
            job: self.job.clone(),
            database: database.to_owned(),
            store: self.store.clone(),
            host: Who::here().host,
            error: Some(why.message().to_owned()),
            hint: why.hint().map(str::to_owned),
            ..Notice::default()
        };
        self.tell(&notice, Vec::new(), repository).await
    }

    fn about(&self, backup: &Backup, kind: Occasion) -> Notice {
        let record = &backup.record;
        let archive = record.archive.as_ref();
        Notice {
            work: Work::Backup,
            kind,
            job: self.job.clone(),
            database: record.database.clone(),
            store: self.store.clone(),
            host: record.host.clone(),
            backup: Some(record.id.to_string()),
            backup_type: Some(record.backup_type.to_string()),
            started: Some(record.started),
            ended: (backup.status != Status::Running).then_some(record.ended),
            stored_bytes: archive.map(|it| it.bytes),
            raw_bytes: archive.map(|it| it.raw_bytes),
            tables: archive.map(|it| it.tables),
            rows: archive.map(|it| it.rows),
            error: None,
            hint: None,
            last_success: LastSuccess::Unknown,
        }
    }

    /// Sends it, and says what of it, or of what went before, did not arrive.
    async fn tell(
        &self,
        notice: &Notice,
        before: Vec<Delivery>,
        repository: Option<&Repository>,
    ) -> Result<()> {
        let mut deliveries = before;
        deliveries.extend(self.notifier.send(notice).await);
        let mut hint = None;
        let mut failures = Vec::new();
        for Delivery {
            channel,
            tries,
            error,
        } in deliveries
        {
            let Some(error) = error else { continue };
            let times = match tries {
                0 | 1 => String::new(),
                tries => format!(" ({tries} tries)"),
            };
            hint = hint.or_else(|| error.hint().map(str::to_owned));
            failures.push(format!("{channel}: {error}{times}"));
        }
        if failures.is_empty() {
            return Ok(());
        }
        let mut text = failures.join("; ");
        if let Some(repository) = repository {
            let backups = notice.backup.iter().cloned().collect();
            let noted = repository
                .audit(Action::Notify, backups, Verdict::Failed, &text)
                .await;
            if let Err(error) = noted {
                text = format!("{text}; write this to the audit log: {error}");
            }
        }
        let error = Error::new(Kind::Failed, text);
        Err(match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        })
    }
}

/// When the newest good backup of a database was made.
async fn last_success(repository: Option<&Repository>, database: &str) -> LastSuccess {
    let Some(repository) = repository else {
        return LastSuccess::Unknown;
    };
    match repository.list().await {
        Ok(listing) => {
            let mut newest_first = listing.backups.iter().rev();
            newest_first
                .find(|it| it.is_good() && it.record.database == database)
                .map_or(LastSuccess::Never, |it| LastSuccess::At(it.record.started))
        }
        // The notice is about something else, and says nothing of this then.
        Err(_) => LastSuccess::Unknown,
    }
}

impl Aftermath for Notices {
    fn name(&self) -> String {
        "notification".to_owned()
    }

    fn started<'a>(
        &'a self,
        backup: &'a Backup,
        _repository: &'a Repository,
    ) -> BoxFuture<'a, Result<()>> {
        let notice = self.about(backup, Occasion::Started);
        let notifier = Arc::clone(&self.notifier);
        let telling = tokio::spawn(async move { notifier.send(&notice).await });
        *lock(&self.beginning) = Some(telling);
        Box::pin(futures::future::ready(Ok(())))
    }

    fn ended<'a>(&'a self, ended: Ended<'a>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let beginning = {
                let mut beginning = lock(&self.beginning);
                beginning.take()
            };
            let before = match beginning {
                // Tried once and for a bounded time. It comes first, or a service would take the
                // beginning for what came last.
                Some(telling) => telling
                    .await
                    .map_err(|error| Error::new(Kind::Failed, format!("tell of it: {error}")))?,
                None => Vec::new(),
            };
            let mut notice = self.about(ended.backup, Occasion::Succeeded);
            let had_failed = ended.previous.is_some_and(|it| it.status == Status::Failed);
            match ended.outcome {
                Ok(_) if had_failed => notice.kind = Occasion::Recovered,
                Ok(_) => {}
                Err(error) => {
                    notice.kind = Occasion::Failed;
                    notice.error = Some(error.message().to_owned());
                    notice.hint = error.hint().map(str::to_owned);
                    notice.last_success =
                        last_success(ended.repository, &ended.backup.record.database).await;
                }
            }
            self.tell(&notice, before, ended.repository).await
        })
    }
}
