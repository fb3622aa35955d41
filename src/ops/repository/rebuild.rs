//! Records that were lost, made anew from what the archives say of themselves.

use std::sync::Arc;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::audited::audited;
use super::interrupt::{give_back, interrupted, unless};
use super::proof::digest_of;
use crate::archive::{self, Archive, DataSpec, Timestamp};
use crate::encryption::{DecryptedSource, Keys};
use crate::error::{Kind, Result};
use crate::report::Observer;
use crate::repository::{
    Action, Backup, BackupId, BackupRecord, BackupType, DELETION, Ending, RECORD_VERSION,
    Repository, StoredArchive, Who,
};

/// An archive that had no record.
#[derive(Clone, Debug, Serialize)]
pub struct Rebuilt {
    /// Its id.
    pub id: BackupId,
    /// The backup that it is from now on; none when that could not be made out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What was found and made.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RebuildReport {
    /// Archives that had no record.
    pub rebuilt: Vec<Rebuilt>,
}

/// Reads every archive that has no record whole, and writes a record for each that is. They are of
/// type manual, which retention keeps for ever by default, since how they were asked for is lost.
///
/// # Errors
/// [`Kind::Refused`] when somebody deletes; what the store says. An archive that is damaged, or that
/// the keys do not open, is in the report.
pub async fn rebuild(
    repository: &Repository,
    keys: &Keys,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<RebuildReport> {
    let repository = &repository.heard_by(&observer);
    let lock = unless(&cancel, "rebuild", repository.lock(DELETION, "rebuild")).await?;
    let work = async {
        let mut report = RebuildReport::default();
        for id in unless(&cancel, "rebuild", repository.survey()).await?.lost {
            lock.confirm()?;
            let work = one(repository, &id, keys, &observer, &cancel);
            let ids = vec![id.to_string()];
            let detail = |backup: &Backup| backup.record.database.clone();
            let made = audited(repository, Action::Rebuild, ids, &observer, work, detail).await;
            report.rebuilt.push(match made {
                Ok(backup) => Rebuilt {
                    id,
                    backup: Some(backup),
                    error: None,
                },
                Err(error)
                    if matches!(
                        error.kind(),
                        Kind::Archive | Kind::NewerFormat | Kind::Refused
                    ) =>
                {
                    Rebuilt {
                        id,
                        backup: None,
                        error: Some(error.message().to_owned()),
                    }
                }
                Err(error) => return Err(error),
            });
        }
        Ok(report)
    };
    let done = work.await;
    give_back(repository, lock, &cancel, &observer).await;
    done
}

async fn one(
    repository: &Repository,
    id: &BackupId,
    keys: &Keys,
    observer: &Arc<dyn Observer>,
    cancel: &CancellationToken,
) -> Result<Backup> {
    let key = repository.archive_key(id);
    let stored = repository.store().open(&key).await?;
    let bytes = stored.len();
    let sha256 = digest_of(&stored, cancel, |_| {}).await?;
    let encrypted = DecryptedSource::is_needed(stored.as_ref()).await?;
    let source = if encrypted {
        Arc::new(DecryptedSource::open(stored, keys).await?)
    } else {
        stored
    };
    let verifying = archive::verify(Arc::clone(&source), Arc::clone(observer));
    tokio::select! {
        verified = verifying => verified?,
        () = cancel.cancelled() => {
            return Err(interrupted("rebuild"));
        }
    };
    let archive = Archive::open(source).await?;
    let manifest = archive.manifest();
    let is_table = |entry: &&archive::Entry| matches!(entry.data, Some(DataSpec::Table { .. }));
    let tables = archive.entries().iter().filter(is_table);
    let of_tables = tables.clone().filter_map(|entry| archive.table(entry.id));
    let started = id.started().unwrap_or(manifest.created);
    let record = BackupRecord {
        format_version: RECORD_VERSION,
        id: id.clone(),
        database: manifest.database.clone(),
        server: None,
        selection: None,
        backup_type: BackupType::Manual,
        ending: Ending::Completed,
        started,
        ended: started,
        archive: Some(StoredArchive {
            key,
            bytes,
            sha256,
            archive_id: manifest.archive_id.to_string(),
            encrypted,
            raw_bytes: archive.index().tables().map(|it| it.raw_bytes).sum(),
            entries: archive.entries().len() as u64,
            tables: tables.count() as u64,
            rows: of_tables.map(|it| it.rows).sum(),
        }),
        server_version: manifest.server_version_text.clone(),
        tool: manifest.tool.clone(),
        host: Who::here().host,
        error: None,
        expires: None,
    };
    repository.adopt(record, Timestamp::now()).await
}
