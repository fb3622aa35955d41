//! Whether the archive of a backup is whole.

use std::sync::Arc;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::archive_of;
use super::audited::audited;
use super::proof::digest_of;
use crate::archive::Timestamp;
use crate::encryption::{DecryptedSource, Keys};
use crate::error::{Error, Kind, Result};
use crate::ops::{Input, VerifyOptions, VerifyReport, verify};
use crate::report::{Event, Observer};
use crate::repository::{Action, Backup, BackupId, Note, Repository};

/// What was verified.
#[derive(Clone, Debug, Serialize)]
pub struct BackupVerified {
    /// The backup.
    pub id: BackupId,
    /// Its database.
    pub database: String,
    /// What was found inside; none when it is encrypted and no key was given: then every byte is as
    /// it was written, and that is all that is known.
    #[serde(flatten)]
    pub inside: Option<VerifyReport>,
    /// Bytes of the archive as it is stored.
    pub stored_bytes: u64,
}

impl BackupVerified {
    /// Whether the live database holds what the archive holds; true without comparison.
    pub fn is_equal(&self) -> bool {
        self.inside.as_ref().is_none_or(VerifyReport::is_equal)
    }
}

/// Reads the archive of a backup whole, and notes what was found: verified, or damaged.
///
/// # Errors
/// [`Kind::Archive`] for the first damage, naming the table; [`Kind::NewerFormat`] for an archive that
/// a newer version has written, of which nothing is noted; [`Kind::Refused`] when there is no archive,
/// or the keys do not open it; what the store says.
pub async fn verify_backup(
    repository: &Repository,
    backup: &Backup,
    options: &VerifyOptions,
    keys: &Keys,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<BackupVerified> {
    options.validate()?;
    let id = backup.record.id.clone();
    let work = async {
        let read = read(repository, backup, options, keys, &observer, &cancel).await;
        let at = Timestamp::now();
        let note = match &read {
            Ok(_) => Note::Verified { at },
            Err(error) if error.kind() == Kind::Archive => Note::Damaged {
                at,
                error: error.message().to_owned(),
            },
            // Nothing was learnt about the archive.
            Err(_) => return read,
        };
        if let Err(error) = repository.note(&id, &note).await {
            observer.warning(format!("note what was found: {error}"));
        }
        read
    };
    audited(
        repository,
        Action::Verify,
        vec![id.to_string()],
        &observer,
        work,
        |done| match &done.inside {
            Some(inside) => format!("whole, {} rows", inside.rows),
            None => "whole as it is stored, not looked into without a key".to_owned(),
        },
    )
    .await
}

async fn read(
    repository: &Repository,
    backup: &Backup,
    options: &VerifyOptions,
    keys: &Keys,
    observer: &Arc<dyn Observer>,
    cancel: &CancellationToken,
) -> Result<BackupVerified> {
    let id = backup.record.id.clone();
    let verified = |inside, stored_bytes| BackupVerified {
        id: id.clone(),
        database: backup.record.database.clone(),
        inside,
        stored_bytes,
    };
    let stored = repository.open_archive(backup).await?;
    let stored_bytes = stored.len();
    let encrypted = DecryptedSource::is_needed(stored.as_ref()).await?;
    if encrypted && keys.is_empty() && options.against.is_none() {
        observer.event(&Event::DataTotal {
            tables: 1,
            bytes: stored_bytes,
            rows: None,
        });
        let table = || backup.record.database.clone();
        let digest = digest_of(&stored, cancel, |bytes| {
            observer.event(&Event::TableProgress {
                table: table(),
                rows: 0,
                bytes,
            });
        });
        let found = digest.await?;
        let recorded = backup.record.archive.as_ref().map(|it| &it.sha256);
        if recorded != Some(&found) {
            return Err(Error::new(
                Kind::Archive,
                format!("backup {id}: its archive is not what was written: SHA-256 {found}"),
            )
            .with_hint("with the key for it, verify tells which table is damaged"));
        }
        return Ok(verified(None, stored_bytes));
    }
    let source = archive_of(repository, backup, keys).await?;
    let verifying = verify(
        Input::Source(source),
        options,
        Arc::clone(observer),
        cancel.clone(),
    );
    let inside = verifying
        .await
        .map_err(|error| error.context(format!("backup {id}")))?;
    let recorded = backup.record.archive.as_ref();
    let rows = recorded.map(|it| it.tables);
    if rows.is_some_and(|tables| inside.tables < tables) {
        return Err(Error::new(
            Kind::Archive,
            format!("backup {id}: it has fewer tables than were dumped"),
        ));
    }
    Ok(verified(Some(inside), stored_bytes))
}
