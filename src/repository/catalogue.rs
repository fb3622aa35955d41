//! The store as the catalogue of its backups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::audit::{self, Action, AuditLog, Verdict};
use super::backup::{Backup, Listing, Status, TOOL};
use super::disk::{self, random};
use super::draft::{Draft, Pending, is_dead, now};
use super::index::{self, Found};
use super::layout;
use super::lease::Lease;
use super::lock::{self, Lock};
use super::record::{BackupId, BackupRecord, Ending, Note, RECORD_VERSION};
use crate::archive::{Timestamp, hex};
use crate::error::{Context as _, Error, Kind, Result};
use crate::report::{Observer, Silent};
use crate::storage::{Overwrite, Put, Source, Store};

/// What the marker says.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    format_version: u32,
    created: Timestamp,
    tool: String,
}

/// Many archives over time, in one store.
#[derive(Clone)]
pub struct Repository {
    pub(super) store: Arc<dyn Store>,
    observer: Arc<dyn Observer>,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Repository")
            .field(&self.store.name())
            .finish()
    }
}

impl Repository {
    /// The repository in this store.
    ///
    /// # Errors
    /// [`Kind::Refused`] when there is none, or one that a newer version has made; what the store says.
    pub async fn open(store: Arc<dyn Store>) -> Result<Self> {
        let Some(bytes) = store.get(layout::MARKER).await? else {
            return Err(Error::new(
                Kind::Refused,
                format!("{} is no repository of backups", store.name()),
            )
            .with_hint("the first pgstow backup makes one; is it the right place?"));
        };
        let marker: Marker = disk::from_bytes(&bytes, layout::MARKER)?;
        if marker.format_version > RECORD_VERSION {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "{} was made by a newer version, {}",
                    store.name(),
                    marker.tool
                ),
            )
            .with_hint("use that version, or a newer one"));
        }
        Ok(Self {
            store,
            observer: Arc::new(Silent),
        })
    }

    /// The same repository, whose warnings this observer hears: that a lock or a draft is not renewed, or
    /// could not be taken away. Nobody hears them otherwise.
    #[must_use]
    pub fn heard_by(&self, observer: &Arc<dyn Observer>) -> Self {
        Self {
            store: Arc::clone(&self.store),
            observer: Arc::clone(observer),
        }
    }

    /// The repository in this store, which is made if there is none.
    ///
    /// # Errors
    /// As [`Repository::open`].
    pub async fn init(store: Arc<dyn Store>) -> Result<Self> {
        if store.head(layout::MARKER).await?.is_none() {
            let marker = Marker {
                format_version: RECORD_VERSION,
                created: Timestamp::now(),
                tool: TOOL.to_owned(),
            };
            let bytes = disk::to_bytes(&marker, layout::MARKER)?;
            let put = store.put(layout::MARKER, bytes, Overwrite::Refuse);
            if put.await.context_with(|| "make the repository")? == Put::Written {
                let detail = "made the repository".to_owned();
                audit::append(&*store, Action::Init, Vec::new(), Verdict::Done, detail).await?;
            }
        }
        Self::open(store).await
    }

    /// For messages.
    pub fn name(&self) -> String {
        self.store.name()
    }

    /// Where archives are written.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Every backup. Reads the records, not the archives; a few calls for as many as there are, see
    /// [`Repository::keep_index`].
    ///
    /// # Errors
    /// What the store says.
    pub async fn list(&self) -> Result<Listing> {
        Ok(self.look().await?.0)
    }

    async fn look(&self) -> Result<(Listing, Found)> {
        let store = &*self.store;
        // In this order: a backup that is committed in between is seen as a draft at least, and one
        // that is deleted in between is not seen without the note that says so.
        let (drafts, notes) =
            futures::try_join!(store.list(layout::DRAFTS), store.list(layout::NOTES))?;
        let records = store.list(layout::RECORDS).await?;
        let mut found = index::find(store, records, notes).await?;
        let mut listing = Listing::default();
        if found.is_damaged {
            listing
                .problems
                .push(format!("{} is not as it was written", layout::INDEX));
        }
        let mut of_backup: BTreeMap<BackupId, Vec<Note>> = BTreeMap::new();
        let mut unread: BTreeSet<BackupId> = BTreeSet::new();
        for (key, note) in std::mem::take(&mut found.notes) {
            match (layout::id_of(&key, layout::NOTES), note) {
                (Some(id), Ok(note)) => of_backup.entry(id).or_default().push(note),
                (id, Err(error)) => {
                    unread.extend(id);
                    listing.problems.push(error.to_string());
                }
                (None, _) => listing.problems.push(format!("{key} does not belong here")),
            }
        }
        let mut ended = BTreeSet::new();
        for (key, record) in std::mem::take(&mut found.records) {
            match record.and_then(|record| checked(record, &key)) {
                Ok(record) => {
                    ended.insert(record.id.clone());
                    let notes = of_backup.remove(&record.id).unwrap_or_default();
                    let is_unread = unread.contains(&record.id);
                    let mut backup = Backup::of(record, notes);
                    if is_unread {
                        // It may be the one that says so.
                        backup.pinned = true;
                        backup.pin_reason = Some(UNREAD.to_owned());
                    }
                    listing.backups.push(backup);
                }
                Err(error) => {
                    // What is there is not taken for what is not.
                    let id = layout::id_of(&key, layout::RECORDS);
                    ended.extend(id.clone());
                    listing.unreadable.extend(id);
                    listing.problems.push(error.to_string());
                }
            }
        }
        let now = now();
        let renewed: BTreeMap<String, i64> = drafts
            .iter()
            .map(|it| (it.key.clone(), it.modified))
            .collect();
        let keys = renewed.keys().cloned().collect();
        for (key, draft) in disk::read_all::<Draft>(store, keys).await? {
            match draft {
                Ok(draft) if !ended.contains(&draft.id) => {
                    let renewed = renewed.get(&key).copied().unwrap_or(now);
                    let is_dead = is_dead(renewed, now, Some(&draft));
                    listing.backups.push(Backup::of_draft(draft, is_dead));
                }
                Ok(_) => {}
                Err(error) => listing.problems.push(error.to_string()),
            }
        }
        listing
            .backups
            .sort_by(|a, b| a.record.id.cmp(&b.record.id));
        Ok((listing, found))
    }

    /// Makes the index anew if it has become old; who may write does so now and then, so that whoever
    /// lists needs few calls. Nothing depends on it.
    ///
    /// # Errors
    /// What the store says.
    pub async fn keep_index(&self) -> Result<()> {
        self.look().await?.1.keep(&*self.store).await
    }

    /// A backup by its id, or for `latest` the newest complete one that is not known to be damaged; of
    /// this database, if one is named.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is no id, and for `latest` without a database where there are backups
    /// of several; [`Kind::Refused`] when there is none.
    pub async fn find(&self, which: &str, database: Option<&str>) -> Result<Backup> {
        let none = |what: String| {
            Error::new(Kind::Refused, format!("{what} in {}", self.name()))
                .with_hint("pgstow backups lists what there is")
        };
        let wanted = |backup: &Backup| database.is_none_or(|it| it == backup.record.database);
        if which == "latest" {
            let Listing {
                backups: mut all,
                unreadable,
                ..
            } = self.list().await?;
            all.retain(|it| it.is_good() && wanted(it));
            let of: BTreeSet<&str> = all.iter().map(|it| it.record.database.as_str()).collect();
            if of.len() > 1 {
                let of = of.into_iter().collect::<Vec<_>>().join(", ");
                return Err(Error::new(
                    Kind::Usage,
                    format!("latest of which database? there are backups of {of}"),
                )
                .with_hint("name one with --database, or give the id of a backup"));
            }
            let latest = all.pop().ok_or_else(|| {
                none(match database {
                    Some(database) => format!("there is no complete backup of {database}"),
                    None => "there is no complete backup".to_owned(),
                })
            })?;
            let newer = unreadable.iter().max().filter(|it| **it > latest.record.id);
            return match newer {
                None => Ok(latest),
                Some(newer) => Err(Error::new(
                    Kind::Refused,
                    format!(
                        "the record of backup {newer} cannot be read, and it may be the latest"
                    ),
                )
                .with_hint(format!(
                    "name the one before it by its id: {}; pgstow rebuild makes a lost record anew",
                    latest.record.id
                ))),
            };
        }
        let id: BackupId = which.parse()?;
        let key = layout::record(&id);
        let Some(bytes) = self.store.get(&key).await? else {
            let draft = layout::draft(&id);
            if let Some(bytes) = self.store.get(&draft).await? {
                let renewed = self.store.head(&draft).await?.map(|it| it.modified);
                let draft: Draft = disk::from_bytes(&bytes, &draft)?;
                let is_dead = renewed.is_some_and(|it| is_dead(it, now(), Some(&draft)));
                return Ok(Backup::of_draft(draft, is_dead));
            }
            return Err(none(format!("there is no backup {id}")));
        };
        let record = checked(disk::from_bytes(&bytes, &key)?, &key)?;
        let keys = self.store.list(&layout::notes(&id)).await?;
        let keys = keys.into_iter().map(|it| it.key).collect();
        let mut notes = Vec::new();
        for (_, note) in disk::read_all::<Note>(&*self.store, keys).await? {
            notes.push(note?);
        }
        let backup = Backup::of(record, notes);
        if !wanted(&backup) {
            let of = &backup.record.database;
            return Err(none(format!("backup {id} is of {of}, and no other is")));
        }
        Ok(backup)
    }

    /// Opens the archive of a complete backup, as it is stored: encrypted if it is.
    ///
    /// # Errors
    /// [`Kind::Refused`] when it has none; [`Kind::Archive`] when it is gone or not as long as it was;
    /// what the store says.
    pub async fn open_archive(&self, backup: &Backup) -> Result<Arc<dyn Source>> {
        let id = &backup.record.id;
        let complete = backup.status == Status::Completed;
        let Some(archive) = backup.record.archive.as_ref().filter(|_| complete) else {
            return Err(Error::new(
                Kind::Refused,
                format!("backup {id} is {}: there is nothing to read", backup.status),
            )
            .with_hint("pgstow backups --status completed lists those that can be read"));
        };
        let damaged = |why: String| Err(Error::new(Kind::Archive, format!("backup {id}: {why}")));
        if self.store.head(&archive.key).await?.is_none() {
            return damaged(format!("its archive {} is gone", archive.key));
        }
        let source = self.store.open(&archive.key).await?;
        if source.len() != archive.bytes {
            return damaged(format!(
                "its archive has {} bytes, and had {} when it was made",
                source.len(),
                archive.bytes
            ));
        }
        Ok(source)
    }

    /// Says that a backup is being made, and goes on saying so until [`Repository::commit`].
    ///
    /// # Errors
    /// What the store says.
    pub async fn begin(&self, draft: Draft) -> Result<Pending> {
        let key = layout::draft(&draft.id);
        let content = disk::to_bytes(&draft, &key)?;
        let lease = Lease::take(&self.store, key, content, &self.observer).await?;
        Ok(Pending { draft, lease })
    }

    /// The key of a backup's archive.
    pub fn archive_key(&self, id: &BackupId) -> String {
        layout::archive(id)
    }

    /// Writes a backup's record, which makes it one, and takes its draft away. A failed one's archive,
    /// if anything of it is there, goes first.
    ///
    /// # Errors
    /// [`Kind::Storage`] when others may have taken this process for dead, or for what the store says;
    /// then the draft is left, and a later run cleans up. The record may be there nevertheless.
    pub async fn commit(&self, mut pending: Pending, record: &BackupRecord) -> Result<()> {
        let id = &pending.draft.id;
        // A draft that is written once more after it was taken away would come back.
        pending.lease.stop().await;
        pending.lease.confirm()?;
        if record.ending == Ending::Failed {
            self.remove_archive(id).await?;
        }
        let key = layout::record(id);
        let content = disk::to_bytes(record, &key)?;
        match disk::put_bytes_new(&*self.store, &key, content.clone()).await {
            Ok(()) => {}
            // It may have been done nevertheless.
            Err(error) => match self.store.get(&key).await {
                Ok(Some(found)) if found == content => {}
                _ => return Err(error),
            },
        }
        // The backup is made. A draft beside a record is nothing but litter.
        if let Err(error) = pending.lease.end(&*self.store).await {
            let text = format!("take away the draft of {id}: {error}");
            self.observer.warning(text);
        }
        Ok(())
    }

    pub(super) async fn remove_archive(&self, id: &BackupId) -> Result<()> {
        let key = layout::archive(id);
        self.store.delete(&key).await?;
        self.store.sweep(&key).await
    }

    /// Writes down what became of a backup.
    ///
    /// # Errors
    /// What the store says; the note may be there nevertheless.
    pub async fn note(&self, id: &BackupId, note: &Note) -> Result<()> {
        let folder = layout::notes(id);
        // Notes have their order from their keys: two may be of one second.
        let before = self.store.list(&folder).await?;
        let last = before.last().and_then(|it| {
            let name = it.key.strip_prefix(&folder)?.strip_prefix('/')?;
            name.split('-').next()?.parse::<u64>().ok()
        });
        let number = last.unwrap_or(0) + 1;
        let key = format!("{folder}/{number:06}-{}.json", hex(&random::<4>()?));
        disk::put_new(&*self.store, &key, note).await
    }

    /// The first step of a deletion: from here on the backup counts as gone.
    ///
    /// # Errors
    /// [`Kind::Refused`] for one that is being made, or pinned; what the store says.
    pub async fn expire(&self, backup: &Backup, reason: &str, lock: &Lock) -> Result<()> {
        if backup.status == Status::Expired {
            return Ok(());
        }
        self.check_deletable(backup)?;
        lock.confirm()?;
        let note = Note::Expired {
            at: Timestamp::now(),
            reason: reason.to_owned(),
        };
        self.note(&backup.record.id, &note).await
    }

    /// Whether a backup may be deleted.
    ///
    /// # Errors
    /// [`Kind::Refused`] for one that is being made, or pinned.
    pub fn check_deletable(&self, backup: &Backup) -> Result<()> {
        let id = &backup.record.id;
        match backup.status {
            Status::Running => Err(Error::new(
                Kind::Refused,
                format!("backup {id} is being made"),
            )
            .with_hint("wait for its end; what a killed run has left prune removes, 15 minutes later at the latest")),
            Status::Completed | Status::Failed if backup.pinned => {
                let error = Error::new(Kind::Refused, format!("backup {id} is pinned"));
                Err(error.with_hint(format!("pgstow unpin {id}")))
            }
            // What is half deleted cannot be brought back by a pin.
            Status::Completed | Status::Failed | Status::Expired => Ok(()),
        }
    }

    /// Whether a backup has a draft, and no record.
    ///
    /// # Errors
    /// What the store says.
    pub async fn is_drafted(&self, id: &BackupId) -> Result<bool> {
        let recorded = self.store.head(&layout::record(id)).await?;
        let drafted = self.store.head(&layout::draft(id)).await?;
        Ok(recorded.is_none() && drafted.is_some())
    }

    /// Writes the record of an archive that had lost it, and that was just read back whole.
    ///
    /// # Errors
    /// [`Kind::Refused`] when there is one; what the store says.
    pub async fn adopt(&self, record: BackupRecord, verified: Timestamp) -> Result<Backup> {
        disk::put_new(&*self.store, &layout::record(&record.id), &record).await?;
        let note = Note::Verified { at: verified };
        self.note(&record.id, &note).await?;
        self.find(record.id.as_str(), None).await
    }

    /// The second step: the archive goes, then the record, then the notes; so what is left after an
    /// interruption is found and ended by the next prune.
    ///
    /// # Errors
    /// What the store says.
    pub async fn erase(&self, id: &BackupId, lock: &Lock) -> Result<()> {
        lock.confirm()?;
        self.remove_archive(id).await?;
        let draft = layout::draft(id);
        self.store.delete(&draft).await?;
        let record = layout::record(id);
        self.store.delete(&record).await?;
        self.store.sweep(&record).await?;
        self.remove_notes(id).await
    }

    pub(super) async fn remove_notes(&self, id: &BackupId) -> Result<()> {
        for note in self.store.list(&layout::notes(id)).await? {
            self.store.delete(&note.key).await?;
        }
        Ok(())
    }

    /// Takes a lock of this repository: [`lock_of`](super::lock_of) a database to back it up,
    /// [`DELETION`](super::DELETION) to delete something.
    ///
    /// # Errors
    /// [`Kind::Refused`] when somebody else holds it.
    pub async fn lock(&self, name: &str, what: &str) -> Result<Lock> {
        lock::take(&self.store, name, what, &self.observer).await
    }

    /// Gives a lock back.
    ///
    /// # Errors
    /// What the store says.
    pub async fn unlock(&self, lock: Lock) -> Result<()> {
        lock.release(&*self.store).await
    }

    /// Adds to the audit log.
    ///
    /// # Errors
    /// What the store says; the record may be there nevertheless.
    pub async fn audit(
        &self,
        action: Action,
        backups: Vec<String>,
        verdict: Verdict,
        detail: impl Into<String>,
    ) -> Result<()> {
        audit::append(&*self.store, action, backups, verdict, detail.into()).await
    }

    /// The audit log, checked.
    ///
    /// # Errors
    /// What the store says.
    pub async fn audit_log(&self) -> Result<AuditLog> {
        audit::read(&*self.store).await
    }
}

/// Why a backup counts as pinned of which nobody knows whether it is.
const UNREAD: &str = "a note about it cannot be read, which may be that it is pinned";

/// A record that is about what its key says.
fn checked(record: BackupRecord, key: &str) -> Result<BackupRecord> {
    let its_own = layout::archive(&record.id);
    let archive = record.archive.as_ref();
    let wrong = if record.format_version > RECORD_VERSION {
        "was made by a newer version"
    } else if layout::record(&record.id) != key {
        "is about another backup"
    } else if archive.is_some_and(|archive| archive.key != its_own) {
        "names an archive that is not its own"
    } else if archive.is_some() != (record.ending == Ending::Completed) {
        "does not say whether it is complete"
    } else {
        return Ok(record);
    };
    Err(Error::new(Kind::Storage, format!("{key} {wrong}")))
}
