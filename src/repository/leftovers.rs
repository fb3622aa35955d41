//! What hangs together in a repository, what dead runs have left there, and how that is taken away.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::backup::{Backup, Listing, Status};
use super::catalogue::Repository;
use super::draft::{Draft, is_dead, now};
use super::lease::LEASE_SECONDS;
use super::lock::Lock;
use super::record::BackupId;
use super::{disk, layout};
use crate::error::Result;
use crate::storage::{ObjectInfo, Overwrite, Put};

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

impl Repository {
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
}
