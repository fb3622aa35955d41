//! The store as the catalogue of its backups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::audit::{self, Action, AuditLog, Verdict};
use super::disk::{self, hex, random};
use super::index::{self, Found};
use super::layout;
use super::lease::{LEASE_SECONDS, Lease};
use super::listed::ListedBackup;
use super::lock::{self, Lock};
use super::record::{BackupId, BackupRecord, BackupType, Ending, Note, RECORD_VERSION};
use super::retention::{Candidate, Decision, Policy, State, judge};
use super::who::Who;
use crate::archive::Timestamp;
use crate::error::{Context as _, Error, Kind, Result};
use crate::storage::{ObjectInfo, Overwrite, Put, Source, Store};

/// What the marker says.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    format_version: u32,
    created: Timestamp,
    tool: String,
}

/// A backup that is being made, or whose maker has died.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Its id.
    pub id: BackupId,
    /// The database's name, as far as it is known.
    pub database: String,
    /// How it was asked for.
    #[serde(rename = "type")]
    pub backup_type: BackupType,
    /// When it began.
    pub started: Timestamp,
    /// Who makes it.
    pub who: Who,
}

/// A backup that is being made by this process. Dropped, it is found as a dead draft later.
#[derive(Debug)]
#[must_use]
pub struct Pending {
    draft: Draft,
    lease: Lease,
}

impl Pending {
    /// What is being made.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// The backup as it is listed meanwhile.
    pub fn backup(&self) -> Backup {
        Backup::of_draft(self.draft.clone(), false)
    }

    /// Whether nobody can have taken this process for dead.
    ///
    /// # Errors
    /// [`Kind::Storage`] when somebody can.
    pub fn confirm(&self) -> Result<()> {
        self.lease.confirm()
    }
}

/// How it is with a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being made.
    Running,
    /// It is complete.
    Completed,
    /// There is nothing to restore.
    Failed,
    /// It is about to be deleted.
    Expired,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Running, Self::Completed, Self::Failed, Self::Expired];
}

impl std::str::FromStr for Status {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|it| it.to_string() == text);
        found.ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!("there is no status {text:?}: running, completed, failed or expired"),
            )
        })
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Expired => "expired",
        })
    }
}

/// A backup, with all that is known of it. Programs see it as a [`ListedBackup`].
#[derive(Clone, Debug, Serialize)]
#[serde(into = "ListedBackup")]
pub struct Backup {
    /// How it is with it.
    pub status: Status,
    /// Its record; of a running one as far as it goes.
    pub record: BackupRecord,
    /// When its archive was last read back whole.
    pub verified_at: Option<Timestamp>,
    /// What was last found wrong with its archive.
    pub damage: Option<String>,
    /// When that was found.
    pub damaged_at: Option<Timestamp>,
    /// Whether retention must leave it alone.
    pub pinned: bool,
    /// Why, if that was said.
    pub pin_reason: Option<String>,
}

/// All backups, oldest first, and what could not be read.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Listing {
    /// The backups.
    pub backups: Vec<Backup>,
    /// Objects that are not as they were written.
    pub problems: Vec<String>,
    /// Backups whose record is among them.
    pub unreadable: Vec<BackupId>,
}

/// What a run that died has left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "what", content = "id", rename_all = "lowercase")]
pub enum Leftover {
    /// The draft of a backup that nobody makes any more, and what there is of its archive.
    Dead(BackupId),
    /// The draft of a backup that has ended.
    Draft(BackupId),
    /// The archive of a backup that has failed.
    Archive(BackupId),
    /// Notes about a backup that is gone.
    Notes(BackupId),
    /// What was begun to be written under this key, by whoever died over it.
    Unfinished(String),
}

impl std::fmt::Display for Leftover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dead(id) => write!(f, "draft {id}, whose maker has died"),
            Self::Draft(id) => write!(f, "draft {id}, which has ended"),
            Self::Archive(id) => write!(f, "archive of {id}, which has failed"),
            Self::Notes(id) => write!(f, "notes about {id}, which is gone"),
            Self::Unfinished(key) => write!(f, "unfinished {key}, whose writer has died"),
        }
    }
}

/// Everything in a repository, and how it hangs together.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Survey {
    /// The backups; those in `damaged` with their damage.
    pub listing: Listing,
    /// What can be taken away: see [`Repository::clear`].
    pub leftovers: Vec<Leftover>,
    /// Archives without a record: they are left alone, since the record may have been lost.
    pub lost: Vec<BackupId>,
    /// Complete backups whose archive is gone, or not as long as it was.
    pub damaged: Vec<BackupId>,
    /// Those that have a draft: being made, or left by a run that died.
    pub drafted: BTreeSet<BackupId>,
}

/// Many archives over time, in one store.
#[derive(Clone)]
pub struct Repository {
    store: Arc<dyn Store>,
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
        Ok(Self { store })
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
        let lease = Lease::take(&self.store, key, content).await?;
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
            tracing::warn!("take away the draft of {id}: {error}");
        }
        Ok(())
    }

    async fn remove_archive(&self, id: &BackupId) -> Result<()> {
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

    async fn remove_notes(&self, id: &BackupId) -> Result<()> {
        for note in self.store.list(&layout::notes(id)).await? {
            self.store.delete(&note.key).await?;
        }
        Ok(())
    }

    /// Looks at everything: backups, and what does not belong to one. Changes nothing.
    ///
    /// # Errors
    /// What the store says.
    pub async fn survey(&self) -> Result<Survey> {
        let store = &*self.store;
        // First: an archive that is seen here has a draft or a record that is seen later.
        let archives: BTreeMap<BackupId, u64> = store
            .list(layout::ARCHIVES)
            .await?
            .into_iter()
            .filter_map(|it| Some((layout::id_of(&it.key, layout::ARCHIVES)?, it.bytes)))
            .collect();
        let drafts = store.list(layout::DRAFTS).await?;
        let noted: BTreeSet<BackupId> = store
            .list(layout::NOTES)
            .await?
            .iter()
            .filter_map(|it| layout::id_of(&it.key, layout::NOTES))
            .collect();
        let mut survey = Survey {
            listing: self.list().await?,
            ..Survey::default()
        };
        // A record that cannot be read is there all the same.
        let recorded: BTreeSet<BackupId> = store
            .list(layout::RECORDS)
            .await?
            .iter()
            .filter_map(|it| layout::id_of(&it.key, layout::RECORDS))
            .collect();
        let mut drafted = BTreeSet::new();
        for (id, is_dead) in self.drafts(drafts, now()).await? {
            match (recorded.contains(&id), is_dead) {
                (true, true) => survey.leftovers.push(Leftover::Draft(id.clone())),
                (false, true) => survey.leftovers.push(Leftover::Dead(id.clone())),
                (_, false) => {}
            }
            drafted.insert(id);
        }
        for backup in &mut survey.listing.backups {
            let id = &backup.record.id;
            if drafted.contains(id) {
                continue;
            }
            match (&backup.record.archive, backup.status) {
                (Some(archive), Status::Completed) if archives.get(id) != Some(&archive.bytes) => {
                    // It may have been made since the archives were listed.
                    let found = store.head(&archive.key).await?.map(|it| it.bytes);
                    if found != Some(archive.bytes) {
                        let what = match found {
                            None => "its archive is gone".to_owned(),
                            Some(bytes) => format!(
                                "its archive has {bytes} bytes, and had {} when it was made",
                                archive.bytes
                            ),
                        };
                        backup.damage = Some(what);
                        survey.damaged.push(id.clone());
                    }
                }
                (None, _) if archives.contains_key(id) => {
                    survey.leftovers.push(Leftover::Archive(id.clone()));
                }
                _ => {}
            }
        }
        let known = |id: &BackupId| recorded.contains(id) || drafted.contains(id);
        survey.lost = archives.keys().filter(|id| !known(id)).cloned().collect();
        for id in noted {
            if !known(&id) && !archives.contains_key(&id) {
                survey.leftovers.push(Leftover::Notes(id));
            }
        }
        // Whoever writes something renews its draft, or is done with it in much less than this time.
        let old = now() - LEASE_SECONDS;
        let unfinished: BTreeSet<String> = store
            .unfinished("")
            .await?
            .into_iter()
            .filter(|it| it.modified < old)
            .map(|it| it.key)
            // A bucket may have uploads of other programs below this prefix.
            .filter(|key| layout::is_ours(key))
            .filter(|key| {
                let folders = [layout::ARCHIVES, layout::DRAFTS];
                let mut of = folders.iter().filter_map(|it| layout::id_of(key, it));
                // What a draft stands for is taken away with it.
                !of.any(|id| drafted.contains(&id))
            })
            .collect();
        let unfinished = unfinished.into_iter().map(Leftover::Unfinished);
        survey.leftovers.extend(unfinished);
        survey.drafted = drafted;
        Ok(survey)
    }

    /// Takes away what dead runs have left. A dead draft becomes the record of a failure.
    ///
    /// # Errors
    /// What the store says.
    pub async fn clear(&self, leftover: &Leftover, lock: &Lock) -> Result<()> {
        lock.confirm()?;
        match leftover {
            Leftover::Dead(id) => self.bury(id, lock).await,
            Leftover::Draft(id) => {
                let draft = layout::draft(id);
                self.store.delete(&draft).await?;
                self.store.sweep(&draft).await
            }
            Leftover::Archive(id) => self.remove_archive(id).await,
            Leftover::Notes(id) => self.remove_notes(id).await,
            Leftover::Unfinished(key) => self.store.sweep(key).await,
        }
    }

    /// Drafts whose makers have died, by the store's own clock.
    ///
    /// # Errors
    /// What the store says.
    pub async fn dead(&self, lock: &Lock) -> Result<Vec<Leftover>> {
        let drafts = self.store.list(layout::DRAFTS).await?;
        let dead = self.drafts(drafts, lock.store_time()).await?.into_iter();
        Ok(dead
            .filter(|(_, is_dead)| *is_dead)
            .map(|(id, _)| Leftover::Dead(id))
            .collect())
    }

    /// Of these drafts, which are dead at this time.
    async fn drafts(&self, listed: Vec<ObjectInfo>, now: i64) -> Result<Vec<(BackupId, bool)>> {
        let mut drafts = Vec::new();
        for info in listed {
            let Some(id) = layout::id_of(&info.key, layout::DRAFTS) else {
                continue;
            };
            let Some(bytes) = self.store.get(&info.key).await? else {
                continue;
            };
            let draft = disk::from_bytes::<Draft>(&bytes, &info.key).ok();
            drafts.push((id, is_dead(info.modified, now, draft.as_ref())));
        }
        Ok(drafts)
    }

    async fn bury(&self, id: &BackupId, lock: &Lock) -> Result<()> {
        let key = layout::draft(id);
        // By the store's clock this time, and again: it may have been renewed.
        let bytes = self.store.get(&key).await?.unwrap_or_default();
        let draft = disk::from_bytes::<Draft>(&bytes, &key).ok();
        match self.store.head(&key).await? {
            Some(found) if is_dead(found.modified, lock.store_time(), draft.as_ref()) => {}
            _ => return Ok(()),
        }
        let record = layout::record(id);
        if self.store.head(&record).await?.is_none() {
            self.remove_archive(id).await?;
            // Of a draft that cannot be read there is nothing to put on record.
            if let Some(draft) = draft {
                let failed = Backup::of_draft(draft, true).record;
                let content = disk::to_bytes(&failed, &record)?;
                // Somebody else may do the same at the same time.
                match self.store.put(&record, content, Overwrite::Refuse).await? {
                    Put::Written | Put::Exists => {}
                }
            }
        }
        self.store.delete(&key).await?;
        self.store.sweep(&key).await
    }

    /// Takes a lock of this repository: [`lock_of`](super::lock_of) a database to back it up,
    /// [`DELETION`](super::DELETION) to delete something.
    ///
    /// # Errors
    /// [`Kind::Refused`] when somebody else holds it.
    pub async fn lock(&self, name: &str, what: &str) -> Result<Lock> {
        lock::take(&self.store, name, what).await
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

fn now() -> i64 {
    i64::try_from(Timestamp::now().0).unwrap_or(i64::MAX)
}

/// Why a backup counts as pinned of which nobody knows whether it is.
const UNREAD: &str = "a note about it cannot be read, which may be that it is pinned";

/// How long after its last sign a process that is gone may still have a request under way.
const UNDER_WAY: i64 = 10;

/// Whether nobody makes a backup any more whose draft was last renewed then.
fn is_dead(renewed: i64, now: i64, draft: Option<&Draft>) -> bool {
    let silent = now - renewed;
    silent > LEASE_SECONDS || silent > UNDER_WAY && draft.is_some_and(|it| it.who.is_gone())
}

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

/// What retention says of each of these backups.
pub fn decide(backups: &[Backup], policy: &Policy, now: Timestamp) -> Vec<Decision> {
    let candidates: Vec<Candidate> = backups.iter().map(Backup::candidate).collect();
    judge(&candidates, policy, now)
}

/// This program, as records name it.
pub const TOOL: &str = concat!("pgstow ", env!("CARGO_PKG_VERSION"));

impl From<BackupRecord> for Backup {
    /// A backup of which nothing has become yet.
    fn from(record: BackupRecord) -> Self {
        Self::of(record, Vec::new())
    }
}

impl Backup {
    /// Notes are in their order.
    fn of(record: BackupRecord, notes: Vec<Note>) -> Self {
        let mut backup = Self {
            status: match record.ending {
                Ending::Completed => Status::Completed,
                Ending::Failed => Status::Failed,
            },
            record,
            verified_at: None,
            damage: None,
            damaged_at: None,
            pinned: false,
            pin_reason: None,
        };
        for note in notes {
            match note {
                Note::Verified { at } => {
                    backup.verified_at = Some(at);
                    (backup.damage, backup.damaged_at) = (None, None);
                }
                Note::Damaged { at, error } => {
                    (backup.damage, backup.damaged_at) = (Some(error), Some(at));
                }
                Note::Pinned { reason, .. } => {
                    (backup.pinned, backup.pin_reason) = (true, reason);
                }
                Note::Unpinned { .. } => (backup.pinned, backup.pin_reason) = (false, None),
                Note::Expired { .. } => backup.status = Status::Expired,
            }
        }
        backup
    }

    fn of_draft(draft: Draft, is_dead: bool) -> Self {
        let (status, error) = if is_dead {
            let error = format!("{} has not been heard of since", draft.who);
            (Status::Failed, Some(error))
        } else {
            (Status::Running, None)
        };
        Self {
            status,
            record: BackupRecord {
                format_version: RECORD_VERSION,
                id: draft.id,
                database: draft.database,
                server: None,
                selection: None,
                backup_type: draft.backup_type,
                ending: Ending::Failed,
                started: draft.started,
                ended: draft.started,
                archive: None,
                server_version: String::new(),
                tool: TOOL.to_owned(),
                host: draft.who.host,
                error,
                expires: None,
            },
            verified_at: None,
            damage: None,
            damaged_at: None,
            pinned: false,
            pin_reason: None,
        }
    }

    /// Whether it is complete and nothing is known against it.
    pub fn is_good(&self) -> bool {
        self.status == Status::Completed && self.damage.is_none()
    }

    /// What it is a backup of: others of the same series can stand in for it, and no others. A part of a database
    /// is not the whole one, nor is a database of the same name on another server.
    pub fn series(&self) -> String {
        let BackupRecord {
            database,
            server,
            selection,
            ..
        } = &self.record;
        // No name and no option has this character in it.
        let parts = [Some(database), server.as_ref(), selection.as_ref()];
        let parts = parts.map(|it| it.map_or("", String::as_str));
        parts.join("\0")
    }

    fn candidate(&self) -> Candidate {
        Candidate {
            id: self.record.id.to_string(),
            series: self.series(),
            backup_type: self.record.backup_type,
            created: self.record.started,
            state: match self.status {
                Status::Running => State::Running,
                Status::Completed if self.damage.is_some() => State::Damaged,
                Status::Completed if self.verified_at.is_some() => State::Verified,
                Status::Completed => State::Completed,
                Status::Failed => State::Failed,
                Status::Expired => State::Expired,
            },
            pinned: self.pinned,
        }
    }
}
