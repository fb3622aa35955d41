//! The archive of a backup, as a file.

use std::sync::Arc;

use futures::TryStreamExt as _;
use ring::digest::{Context, SHA256};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::audited::audited;
use super::proof::pieces;
use crate::archive::hex;
use crate::error::{Error, Kind, Result};
use crate::report::{Event, Observer};
use crate::repository::{Action, Backup, BackupId, Repository};
use crate::storage::Sink;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DownloadReport {
    /// The backup.
    pub id: BackupId,
    /// Its database.
    pub database: String,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of these, in hex: that of the record.
    pub sha256: String,
    /// Whether they are encrypted.
    pub encrypted: bool,
}

/// Writes the archive of a backup to a sink, as it is stored: what was encrypted stays so. The sink is
/// finished only if all bytes are those that were written when it was made.
///
/// # Errors
/// As [`Repository::open_archive`]; [`Kind::Archive`] when it is not what was written; what store and
/// sink say.
pub async fn download(
    repository: &Repository,
    backup: &Backup,
    sink: Box<dyn Sink>,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<DownloadReport> {
    let settled = sink.settled();
    let done = audited(
        repository,
        Action::Download,
        vec![backup.record.id.to_string()],
        &observer,
        write(repository, backup, sink, &observer, &cancel),
        |done| format!("{} bytes", done.bytes),
    )
    .await;
    settled.await;
    done
}

async fn write(
    repository: &Repository,
    backup: &Backup,
    mut sink: Box<dyn Sink>,
    observer: &Arc<dyn Observer>,
    cancel: &CancellationToken,
) -> Result<DownloadReport> {
    let id = &backup.record.id;
    let source = repository.open_archive(backup).await?;
    let Some(archive) = &backup.record.archive else {
        return Err(Error::new(
            Kind::Refused,
            format!("backup {id} has no archive"),
        ));
    };
    let database = &backup.record.database;
    observer.event(&Event::DataTotal {
        tables: 1,
        bytes: source.len(),
        rows: None,
    });
    let mut digest = Context::new(&SHA256);
    let mut pieces = std::pin::pin!(pieces(&source));
    loop {
        let piece = tokio::select! {
            biased;
            () = cancel.cancelled() => {
                return Err(Error::new(Kind::Interrupted, "download: interrupted"));
            }
            piece = pieces.try_next() => piece?,
        };
        let Some(piece) = piece else { break };
        digest.update(&piece);
        observer.event(&Event::TableProgress {
            table: database.clone(),
            rows: 0,
            bytes: piece.len() as u64,
        });
        sink.write(piece).await?;
    }
    let sha256 = hex(digest.finish().as_ref());
    if sha256 != archive.sha256 {
        return Err(Error::new(
            Kind::Archive,
            format!("backup {id}: its archive is not what was written: SHA-256 {sha256}"),
        )
        .with_hint(format!(
            "pgstow verify {id} tells what is damaged; no file was made, and what has gone into a pipe is \
             not to be used"
        )));
    }
    sink.finish().await?;
    Ok(DownloadReport {
        id: id.clone(),
        database: database.clone(),
        bytes: source.len(),
        sha256,
        encrypted: archive.encrypted,
    })
}
