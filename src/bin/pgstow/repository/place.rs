//! Where the backups are, and what is configured for them.

use std::path::Path;
use std::sync::Arc;

use pgstow::config::{Config, Job};
use pgstow::connect::ProcessEnv;
use pgstow::encryption::Keys;
use pgstow::error::{Error, Kind, Result};
use pgstow::repository::{BackupId, Repository};
use pgstow::storage::{self, Location, Store};

use crate::args::{Decrypt, Kept, Place};
use crate::keys;
use crate::output::Output;

/// The job that the options mean.
pub fn job(place: &Place, output: &Output) -> Result<Job> {
    configured(place, output).map(|(_, job)| job)
}

/// The whole configuration, and the job that the options mean.
pub fn configured(place: &Place, output: &Output) -> Result<(Config, Job)> {
    let config = Config::load(
        place.configured.file.config.as_deref().map(Path::new),
        &ProcessEnv,
    )?;
    for warning in config.warnings() {
        output.say(&format!("warning: {warning}"));
    }
    let mut job = config.job(place.configured.job.as_deref())?;
    if let Some(location) = &place.store.location {
        job.set("store.location", location)?;
    }
    Ok((config, job))
}

/// Where the job's backups are.
pub fn store(job: &Job) -> Result<Arc<dyn Store>> {
    storage::store(&job.location()?, &job.store_settings()?)
}

/// The repository of the job, which must be there.
pub async fn repository(job: &Job) -> Result<Repository> {
    Repository::open(store(job)?).await
}

/// What encrypted backups are read with: what the options say, else what is configured.
pub fn keys(decrypt: &Decrypt, job: &Job) -> Result<Keys> {
    let keys = keys::keys(decrypt)?;
    if keys.is_empty() {
        job.keys()
    } else {
        Ok(keys)
    }
}

fn is_local(text: &str) -> bool {
    matches!(Location::parse(text), Ok(Location::Path(_)))
}

/// Whether an argument that could be a file means a backup: an existing file or a URL wins.
pub fn is_backup(text: &str) -> bool {
    let is_name = text == "latest" || text.parse::<BackupId>().is_ok();
    is_local(text) && is_name && !Path::new(text).exists()
}

/// Refuses options that are about a repository where a file is meant: `text` is no backup.
pub fn refuse(kept: &Kept, text: &str) -> Result<()> {
    let place = &kept.place;
    let given = [
        ("--store", place.store.location.is_some()),
        ("--config", place.configured.file.config.is_some()),
        ("--job", place.configured.job.is_some()),
        ("--database", kept.database.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        Some((option, _)) => {
            let why = match is_local(text) && !Path::new(text).exists() {
                true => "is neither a file nor the id of a backup",
                false => "is a file or a URL",
            };
            let why =
                format!("option {option} requires the id of a backup, or latest: {text:?} {why}");
            Err(Error::new(Kind::Usage, why)
                .with_hint("pgstow backups lists the backups that there are"))
        }
        None => Ok(()),
    }
}
