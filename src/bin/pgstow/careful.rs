//! Restores that take the place of something: looked at beforehand, agreed to, then done.

use std::sync::Arc;
use std::time::Instant;

use pgstow::archive::Timestamp;
use pgstow::config::Job;
use pgstow::connect::Config;
use pgstow::error::{Error, Kind, Result};
use pgstow::ops::{self, Input, Preflight, SwapReport};
use pgstow::repository::{Action, Backup, Repository, Status};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::args::{Decrypt, Which};
use super::commands::{fill, rows, summary, tell_restore, unless, what_was_compared};
use super::exit::{self, Outcome};
use super::output::{self, Output, harmless};
use super::progress::Progress;
use super::settings::{self, Consent, Volume};
use super::{prompt, repository};

/// How many of the tables that differ are named.
const NAMED: usize = 20;

/// Shows what will be done and was found; a check that failed ends it.
pub fn show(output: &Output, preflight: &Preflight) -> Result<()> {
    if output.talk().json {
        output.json(&json!({ "event": "preflight", "preflight": preflight }));
    } else if output.talk().volume >= Volume::Normal || preflight.refusal().is_some() {
        for line in preflight.to_string().lines() {
            output.say(line);
        }
    }
    match preflight.refusal() {
        Some(refusal) => Err(refusal),
        None => Ok(()),
    }
}

/// Has the user agree.
pub async fn agree(
    output: &Output,
    database: &str,
    consent: Consent,
    cancel: &CancellationToken,
) -> Result<()> {
    match consent {
        Consent::Given => Ok(()),
        Consent::Typed => prompt::typed_name(database, cancel).await,
        Consent::Countdown => {
            output.say(&format!(
                "{database} will be replaced: this begins in 10 seconds (Ctrl-C ends it)"
            ));
            prompt::countdown(cancel).await
        }
    }
}

/// `restore --swap`.
pub async fn swap(
    (config, input): (&Config, &Input),
    restore: &settings::Restore,
    output: &Output,
    progress: &Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let Some(swap) = &restore.swap else {
        return Err(Error::new(Kind::Usage, "nothing is to be swapped"));
    };
    let mut options = swap.options(&restore.options);
    // The names that are agreed to are those that are made.
    options.at = Some(Timestamp::now());
    let looking = pgstow::ops::swap_preflight(config, input, &options);
    let preflight = unless(&cancel, looking).await?;
    if restore.dry_run {
        return only_show(output, &preflight);
    }
    show(output, &preflight)?;
    agree(output, &preflight.database, restore.consent, &cancel).await?;
    let began = Instant::now();
    let observer = progress.observer();
    let report = pgstow::ops::swap(config, input, &options, observer, cancel).await?;
    progress.clear();
    let outcome = match report.is_exchanged() {
        true => Outcome::Done,
        false => Outcome::Different,
    };
    output.done("restore", &report, exit::code(&outcome));
    tell(output, &report, began);
    Ok(outcome)
}

/// With --dry-run: what would be done, on standard output.
pub fn only_show(output: &Output, preflight: &Preflight) -> Result<Outcome<'static>> {
    if output.talk().json {
        show(output, preflight)?;
    } else {
        let text = format!("{preflight}{}", preflight.plan);
        output::print(&harmless(&text))?;
    }
    match preflight.refusal() {
        Some(refusal) => Err(refusal),
        None => Ok(Outcome::Done),
    }
}

/// The archive of a backup, decrypted.
pub async fn input(which: &Which, decrypt: &Decrypt, output: &Output) -> Result<Input> {
    let (repository, backup, job) = repository::find(which, output).await?;
    open(&repository, &backup, decrypt, &job).await
}

async fn open(
    repository: &Repository,
    backup: &Backup,
    decrypt: &Decrypt,
    job: &Job,
) -> Result<Input> {
    refuse_unfit(backup)?;
    let keys = repository::place::keys(decrypt, job)?;
    let source = ops::repository::archive_of(repository, backup, &keys).await?;
    Ok(Input::Source(source))
}

/// Refuses a backup that is none, or not what it was.
fn refuse_unfit(backup: &Backup) -> Result<()> {
    let id = &backup.record.id;
    let (why, way_out) = match (backup.status, &backup.damage) {
        (Status::Completed, None) => return Ok(()),
        (Status::Completed, Some(damage)) => (
            format!("is noted as damaged: {damage}"),
            format!(
                "take another one (pgstow backups); pgstow verify {id} looks again; what is whole of it \
                 can be had from its file: pgstow download {id}"
            ),
        ),
        (Status::Running, _) => (
            "is still being made".to_owned(),
            "wait for its end, or take another one: pgstow backups".to_owned(),
        ),
        (Status::Failed, _) => (
            format!(
                "has failed: {}",
                backup.record.error.as_deref().unwrap_or("nobody knows why")
            ),
            "take another one: pgstow backups --status completed".to_owned(),
        ),
        (Status::Expired, _) => (
            "is being deleted".to_owned(),
            "take another one: pgstow backups --status completed".to_owned(),
        ),
    };
    Err(Error::new(Kind::Refused, format!("backup {id} {why}")).with_hint(way_out))
}

/// `restore latest`, `restore ID`: looked at, agreed to, done, and in the audit log however it ends.
pub async fn from_backup(
    (which, decrypt): (&Which, &Decrypt),
    config: &Config,
    restore: settings::Restore,
    output: &Output,
    progress: &Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let finding = repository::find(which, output);
    let (repository, backup, job) = unless(&cancel, finding).await?;
    let ids = vec![backup.record.id.to_string()];
    let work = async {
        let opening = open(&repository, &backup, decrypt, &job);
        let input = unless(&cancel, opening).await?;
        if restore.swap.is_some() {
            return swap((config, &input), &restore, output, progress, cancel.clone()).await;
        }
        let looking = ops::restore_preflight(config, &input, &restore.options);
        let preflight = unless(&cancel, looking).await?;
        if restore.dry_run {
            return only_show(output, &preflight);
        }
        show(output, &preflight)?;
        agree(output, &preflight.database, restore.consent, &cancel).await?;
        fill((config, input), &restore, output, progress, cancel.clone()).await
    };
    // Nothing is done, so there is nothing to write down.
    if restore.dry_run {
        return work.await;
    }
    let observer = progress.observer();
    let place = config.describe();
    let detail = |outcome: &Outcome<'_>| match outcome {
        Outcome::Done => format!("into {place}"),
        Outcome::Partial => format!("in part into {place}"),
        _ => format!("not taken into {place}: a table differs"),
    };
    ops::repository::audited(&repository, Action::Restore, ids, &observer, work, detail).await
}

fn tell(output: &Output, report: &SwapReport, began: Instant) {
    if let Some(restore) = &report.restore {
        tell_restore(output, "restored", restore, began);
    }
    let sum: u64 = report.compared.iter().map(|table| table.rows).sum();
    summary(
        output,
        &format!(
            "compared {}, {}",
            what_was_compared(&report.compared),
            rows(sum)
        ),
    );
    if !output.talk().json {
        let differing = report.compared.iter().filter(|table| !table.equal);
        for table in differing.take(NAMED) {
            let why = table.difference.as_deref().unwrap_or_default();
            output.say(&format!("differs: {}: {why}", table.table));
        }
    }
    if let Some(kept) = &report.kept {
        summary(
            output,
            &format!(
                "{} is the restored database; the old one is kept as {kept}",
                report.database
            ),
        );
    }
}
