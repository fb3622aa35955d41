//! Who hears of what is done with backups, as the job says.

use std::sync::Arc;

use pgstow::config::Job;
use pgstow::connect::ProcessEnv;
use pgstow::error::{Error, Kind, Result};
use pgstow::mirror::Mirror;
use pgstow::notify::{Notifier, Work};
use pgstow::ops::after::{Metered, Mirrored, Notices};
use pgstow::ops::repository::Aftermath;
use pgstow::repository::Repository;

use super::place;
use crate::args::Watched;
use crate::commands::summary;
use crate::output::Output;

const NOTIFICATION: &str = "notification";
const TABLE: &str = "table of records";
const METRICS: &str = "metrics file";

/// The job with what the options say of it.
pub fn watched(mut job: Job, options: &Watched) -> Result<Job> {
    let said = [
        ("backup.record_to", &options.record_to),
        ("backup.record_schema", &options.record_schema),
        ("backup.metrics_file", &options.metrics_file),
    ];
    for (key, value) in said {
        if let Some(value) = value {
            job.set(key, value)?;
        }
    }
    Ok(job)
}

fn notices(job: &Job) -> Result<Option<Notices>> {
    let settings = job.notification()?;
    if settings.is_empty() {
        return Ok(None);
    }
    let store = place::store(job)?.name();
    let name = Some(job.name().to_owned());
    Ok(Some(Notices::new(Notifier::new(settings)?, name, store)))
}

/// The table of records, if the job has one.
pub fn mirror(job: &Job) -> Result<Option<Mirror>> {
    let config = job.record_to(&ProcessEnv)?;
    Ok(config.map(|config| Mirror::new(config, job.record_schema())))
}

fn mirrored(job: &Job) -> Result<Option<Mirrored>> {
    Ok(mirror(job)?.map(Mirrored::new))
}

/// Those who hear of every backup of this job. Who cannot be told is no reason to make none: it is a warning.
pub fn aftermath(job: &Job, output: &Output) -> Vec<Arc<dyn Aftermath>> {
    let mut all: Vec<Arc<dyn Aftermath>> = Vec::new();
    match notices(job) {
        Ok(Some(notices)) => all.push(Arc::new(notices)),
        Ok(None) => {}
        Err(error) => warn(NOTIFICATION, &error, output),
    }
    match mirrored(job) {
        Ok(Some(mirrored)) => all.push(Arc::new(mirrored)),
        Ok(None) => {}
        Err(error) => warn(TABLE, &error, output),
    }
    if let Some(metered) = metered(job, output) {
        all.push(Arc::new(metered));
    }
    all
}

fn metered(job: &Job, output: &Output) -> Option<Metered> {
    let path = job.metrics_file()?;
    if path.extension().is_none_or(|it| it != "prom") {
        let shown = path.display();
        let text =
            format!("metrics go to {shown}: node_exporter reads files that end with .prom alone");
        summary(output, &text);
    }
    Some(Metered::new(path))
}

/// Has the table of records and the file of metrics show what the repository shows now.
pub async fn show(job: &Job, repository: &Repository, output: &Output) {
    let written = async {
        match mirrored(job)? {
            Some(mirrored) => mirrored.write(repository).await.map(|_| ()),
            None => Ok(()),
        }
    };
    if let Err(error) = written.await {
        warn(TABLE, &error, output);
    }
    if let Some(metered) = metered(job, output)
        && let Err(error) = metered.write(repository).await
    {
        warn(METRICS, &error, output);
    }
}

/// Tells whoever wants to know when something has failed. That a verification or a deletion was asked for in the
/// wrong way, or stopped by hand, is known to who did so.
pub async fn tell_failure<T>(
    work: Work,
    database: &str,
    outcome: &Result<T>,
    job: &Job,
    repository: Option<&Repository>,
    output: &Output,
) {
    let Err(why) = outcome else { return };
    let is_known = matches!(why.kind(), Kind::Usage | Kind::Interrupted);
    if is_known && work != Work::Backup {
        return;
    }
    let told = match notices(job) {
        Ok(Some(notices)) => notices.failed(work, database, why, repository).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = told {
        warn(NOTIFICATION, &error, output);
    }
}

fn warn(what: &str, error: &Error, output: &Output) {
    output.say(&format!("warning: {what}: {error}"));
    if let Some(hint) = error.hint() {
        output.say(&format!("hint: {hint}"));
    }
}
