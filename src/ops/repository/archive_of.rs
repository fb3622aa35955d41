//! The archive of a backup, as something to read.

use std::sync::Arc;

use crate::archive::Archive;
use crate::encryption::{DecryptedSource, Keys};
use crate::error::{Error, Kind, Result};
use crate::repository::{Backup, Repository};
use crate::storage::Source;

/// Opens the archive of a complete backup, decrypted where it is encrypted, and makes sure that it is
/// the one that the record is about.
///
/// # Errors
/// As [`Repository::open_archive`]; [`Kind::Refused`] when it is encrypted and none of the keys opens
/// it; [`Kind::Archive`] when it is damaged or another archive.
pub async fn archive_of(
    repository: &Repository,
    backup: &Backup,
    keys: &Keys,
) -> Result<Arc<dyn Source>> {
    let id = &backup.record.id;
    let context = |error: Error| error.context(format!("backup {id}"));
    let source = repository.open_archive(backup).await?;
    let source = if DecryptedSource::is_needed(source.as_ref()).await? {
        let opened = DecryptedSource::open(source, keys).await;
        Arc::new(opened.map_err(context)?) as Arc<dyn Source>
    } else {
        source
    };
    let archive = Archive::open(Arc::clone(&source)).await.map_err(context)?;
    let found = archive.manifest().archive_id.to_string();
    let recorded = backup.record.archive.as_ref().map(|it| &it.archive_id);
    if recorded.is_some_and(|recorded| *recorded != found) {
        return Err(Error::new(
            Kind::Archive,
            format!("backup {id}: what is there is another archive, {found}"),
        ));
    }
    Ok(source)
}
