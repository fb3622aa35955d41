//! A backup: a dump that goes straight to where it is kept, and the proof that it is there.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::aftermath::{self, Aftermath, Ended};
use super::audited::audited;
use super::interrupt::{at_the_end, give_back, interrupted, unless};
use super::proof::{ReadBack, Witnessed, agrees};
use crate::archive::Timestamp;
use crate::connect::Config;
use crate::dump::{DumpOptions, DumpReport, selection_of};
use crate::encryption::Recipients;
use crate::error::{Context as _, Error, Kind, Result};
use crate::ops::same_database::system_of;
use crate::report::Observer;
use crate::repository::retention::Policy;
use crate::repository::{
    Backup, BackupId, BackupRecord, BackupType, Draft, Ending, Leftover, Lock, Note, Pending,
    RECORD_VERSION, Repository, Status, StoredArchive, TOOL, Who, lock_of,
};
use crate::storage::{Overwrite, Store};

/// What is done when there is nothing in the dump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmptyDump {
    /// The backup has failed: most likely it is the wrong database.
    #[default]
    Refuse,
    /// It is a backup like another.
    Allow,
}

/// How to make a backup.
#[derive(Clone, Debug, Default)]
pub struct BackupOptions {
    /// What is dumped, and how.
    pub dump: DumpOptions,
    /// How it was asked for; retention goes by it.
    pub backup_type: BackupType,
    /// For whom it is encrypted, if it is.
    pub recipients: Option<Recipients>,
    /// By what its expiry is told. Nothing is deleted.
    pub retention: Policy,
    /// How much is read back from the store.
    pub read_back: ReadBack,
    /// What is done when there is nothing in it.
    pub empty: EmptyDump,
}

impl BackupOptions {
    /// Whether the options make sense.
    ///
    /// # Errors
    /// [`Kind::Usage`] names the option.
    pub fn validate(&self) -> Result<()> {
        self.dump.validate()
    }
}

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub struct BackupReport {
    /// The backup, as it is listed from now on.
    #[serde(flatten)]
    pub backup: Backup,
    /// Seconds that it took, the proof included.
    pub seconds: f64,
    /// What was left by runs that died, and was taken away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cleared: Vec<Leftover>,
}

/// Dumps a database into a repository, which is made if there is none, and proves that it is there:
/// the dump has ended well, with all tables and as many rows as the server says; the store has as many
/// bytes as were written, and both ends of them; an archive that is not encrypted is opened there and
/// compared with what was dumped. Only then its record is written, which makes it a backup. One
/// that fails is put on record, too, and no archive of it is left.
///
/// # Errors
/// As [`dump`](crate::ops::dump); [`Kind::Refused`] when a backup of this database is being made;
/// [`Kind::Storage`] for what the store says, and when it has not what was written;
/// [`Kind::Interrupted`] when `cancel` fired. It is on record unless it was refused, or the store was
/// out of reach.
pub async fn backup(
    store: Arc<dyn Store>,
    config: &Config,
    options: &BackupOptions,
    aftermath: &[Arc<dyn Aftermath>],
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<BackupReport> {
    options.validate()?;
    let started = Timestamp::now();
    let mut run = Run {
        config,
        options,
        aftermath,
        observer: &observer,
        cancel,
        began: Instant::now(),
        draft: Draft {
            id: BackupId::new(started)?,
            database: config.database().to_owned(),
            backup_type: options.backup_type,
            started,
            who: Who::here(),
        },
        repository: None,
        previous: None,
        server: None,
        cleared: Vec::new(),
    };
    let made = run.run(store).await;
    let failed;
    let (backup, outcome) = match &made {
        Ok(report) => (&report.backup, Ok(report)),
        Err(error) => {
            failed = Backup::from(run.record(Err(error)));
            (&failed, Err(error))
        }
    };
    let ended = Ended {
        backup,
        outcome,
        previous: run.previous.as_ref(),
        repository: run.repository.as_ref(),
    };
    aftermath::ended(aftermath, ended, &observer).await;
    made
}

/// A backup that is being made.
struct Run<'a> {
    config: &'a Config,
    options: &'a BackupOptions,
    aftermath: &'a [Arc<dyn Aftermath>],
    observer: &'a Arc<dyn Observer>,
    cancel: CancellationToken,
    began: Instant,
    draft: Draft,
    repository: Option<Repository>,
    previous: Option<Backup>,
    /// What tells the database's server from others.
    server: Option<String>,
    cleared: Vec<Leftover>,
}

/// An archive that is proven to be there.
struct Made {
    dumped: DumpReport,
    archive: StoredArchive,
}

impl Run<'_> {
    async fn run(&mut self, store: Arc<dyn Store>) -> Result<BackupReport> {
        let cancel = self.cancel.clone();
        let repository =
            match unless(&cancel, "backup", Repository::open(Arc::clone(&store))).await {
                // The first one makes it.
                Err(error) if error.kind() == Kind::Refused => {
                    let made = unless(&cancel, "backup", Repository::init(store)).await?;
                    let text = format!("a new repository: {}", made.name());
                    self.observer.info(text);
                    made
                }
                opened => opened?,
            }
            .heard_by(self.observer);
        self.repository = Some(repository.clone());
        let id = self.draft.id.clone();
        let observer = Arc::clone(self.observer);
        let report = audited(
            &repository,
            crate::repository::Action::Backup,
            vec![id.to_string()],
            &observer,
            // A dump is large: it lies on the heap, and not on the stack of whoever waits for it.
            Box::pin(self.in_turn(&repository)),
            |report: &BackupReport| {
                let record = &report.backup.record;
                let bytes = record.archive.as_ref().map_or(0, |it| it.bytes);
                format!(
                    "{} of {}, {bytes} bytes",
                    record.backup_type, record.database
                )
            },
        )
        .await?;
        if let Err(error) = repository.keep_index().await {
            observer.warning(format!("keep the index of backups: {error}"));
        }
        Ok(report)
    }

    /// Alone with this database.
    async fn in_turn(&mut self, repository: &Repository) -> Result<BackupReport> {
        let database = self.draft.database.clone();
        let what = format!("backup of {database}");
        let name = lock_of(&database);
        let lock = unless(&self.cancel, "backup", repository.lock(&name, &what)).await?;
        let made = Box::pin(self.locked(repository, &lock)).await;
        give_back(repository, lock, &self.cancel, self.observer).await;
        made
    }

    async fn locked(&mut self, repository: &Repository, lock: &Lock) -> Result<BackupReport> {
        self.clear(repository, lock).await;
        let listed = unless(&self.cancel, "backup", repository.list()).await?;
        let mut of_database = listed.backups;
        of_database.retain(|it| it.record.database == self.draft.database);
        if let Ok(server) = unless(&self.cancel, "backup", system_of(self.config)).await {
            self.server = server;
            self.tell_others(&of_database);
        } // Else the dump says what is wrong with the connection.
        let ended = |it: &Backup| matches!(it.status, Status::Completed | Status::Failed);
        self.previous = of_database.into_iter().rev().find(ended);
        if self.cancel.is_cancelled() {
            return Err(interrupted("backup"));
        }
        let pending = repository.begin(self.draft.clone()).await?;
        let backup = pending.backup();
        aftermath::started(self.aftermath, &backup, repository, self.observer).await;
        let made = match Box::pin(self.make(repository, &pending)).await {
            Ok(made) => lock.confirm().map(|()| made),
            Err(error) => Err(error),
        };
        let record = self.record(made.as_ref());
        let id = &record.id;
        let committed = at_the_end(&self.cancel, repository.commit(pending, &record)).await;
        match (made, committed) {
            (Ok(_), Ok(())) => {}
            (Ok(_), Err(error)) => {
                return Err(error
                    .context(format!("write the record of backup {id}"))
                    .with_hint("without it there is no backup: the next one cleans up"));
            }
            (Err(error), committed) => {
                if let Err(error) = committed {
                    let text = format!("the failure could not be put on record: {error}");
                    self.observer.warning(text);
                }
                return Err(error);
            }
        }
        let mut backup = Backup::from(record);
        if self.options.read_back == ReadBack::Whole {
            let at = Timestamp::now();
            match repository
                .note(&backup.record.id, &Note::Verified { at })
                .await
            {
                Ok(()) => backup.verified_at = Some(at),
                Err(error) => self
                    .observer
                    .warning(format!("note the verification: {error}")),
            }
        }
        Ok(BackupReport {
            backup,
            seconds: self.began.elapsed().as_secs_f64(),
            cleared: std::mem::take(&mut self.cleared),
        })
    }

    /// Warns of backups of a database of the same name on another server.
    fn tell_others(&self, of_database: &[Backup]) {
        let other = of_database.iter().rev().find(|it| {
            let servers = it.record.server.as_ref().zip(self.server.as_ref());
            it.is_good() && servers.is_some_and(|(theirs, ours)| theirs != ours)
        });
        if let Some(other) = other {
            self.observer.warning_with_hint(
                format!(
                    "{} is a backup of a database {} on another server",
                    other.record.id, other.record.database
                ),
                "give each a repository of its own: latest means the newest of both".to_owned(),
            );
        }
    }

    /// Takes away what dead runs have left. That this could not be done is no reason to make none.
    async fn clear(&mut self, repository: &Repository, lock: &Lock) {
        let dead = match repository.dead(lock).await {
            Ok(dead) => dead,
            Err(error) => {
                self.observer.warning(format!("look for drafts: {error}"));
                return;
            }
        };
        for leftover in dead {
            match repository.clear(&leftover, lock).await {
                Ok(()) => {
                    let text = format!("cleaned up: {leftover}");
                    self.observer.warning(text);
                    self.cleared.push(leftover);
                }
                Err(error) => {
                    let text = format!("clean up {leftover}: {error}");
                    self.observer.warning(text);
                }
            }
        }
    }

    /// Dumps, and proves that what was dumped is there.
    async fn make(&self, repository: &Repository, pending: &Pending) -> Result<Made> {
        let store = repository.store();
        let key = repository.archive_key(&self.draft.id);
        let sink = store.create(&key, Overwrite::Refuse).await?;
        let (sink, witness) = Witnessed::new(sink);
        let recipients = self.options.recipients.as_ref();
        let sink = crate::ops::encrypted(Box::new(sink), recipients).await?;
        let dumped = crate::ops::dump(
            self.config,
            sink,
            &self.options.dump,
            Arc::clone(self.observer),
            self.cancel.clone(),
        )
        .await?;
        if dumped.made == 0 && self.options.empty == EmptyDump::Refuse {
            return Err(Error::new(
                Kind::Failed,
                format!("there is nothing in database {}", dumped.database),
            )
            .with_hint("is it the right one? --allow-empty makes a backup of it all the same"));
        }
        let context = || "check what was written";
        let source = store.open(&key).await.context_with(context)?;
        witness
            .compare(&source, self.options.read_back, &self.cancel)
            .await
            .context_with(context)?;
        if recipients.is_none() {
            agrees(source, &dumped).await.context_with(context)?;
        }
        pending.confirm()?;
        let (bytes, sha256) = witness.seen();
        let archive = StoredArchive {
            key,
            bytes,
            sha256,
            archive_id: dumped.archive_id.clone(),
            encrypted: recipients.is_some(),
            raw_bytes: dumped.raw_bytes,
            entries: dumped.entries,
            tables: dumped.tables,
            rows: dumped.rows,
        };
        Ok(Made { dumped, archive })
    }

    /// What is put on record.
    fn record(&self, made: std::result::Result<&Made, &Error>) -> BackupRecord {
        let Draft {
            id,
            database,
            backup_type,
            started,
            who,
        } = self.draft.clone();
        let ended = Timestamp::now();
        let days = self.options.retention.days_of(backup_type);
        BackupRecord {
            format_version: RECORD_VERSION,
            id,
            database,
            server: self.server.clone(),
            selection: selection_of(&self.options.dump),
            backup_type,
            ending: if made.is_ok() {
                Ending::Completed
            } else {
                Ending::Failed
            },
            started,
            ended,
            archive: made.ok().map(|made| made.archive.clone()),
            server_version: made
                .map(|made| made.dumped.server_version.clone())
                .unwrap_or_default(),
            tool: TOOL.to_owned(),
            host: who.host,
            error: made.err().map(|error| error.message().to_owned()),
            expires: days
                .filter(|_| made.is_ok())
                .map(|days| Timestamp(started.0 + u64::from(days) * 86_400)),
        }
    }
}
