//! The commands about backups: made, listed, verified, written to files, let go.

pub mod after;
pub mod args;
pub mod place;
mod words;

use std::sync::Arc;

use indicatif::HumanBytes;
use pgstow::archive::Timestamp;
use pgstow::config::Job;
use pgstow::connect::{Config, ProcessEnv};
use pgstow::error::{Context as _, Error, Kind, Result, counted};
use pgstow::notify::Work;
use pgstow::ops::VerifyOptions;
use pgstow::ops::create_output;
use pgstow::ops::repository::{
    self as ops, BackupFilter, BackupOptions, BackupVerified, DeleteOptions, EmptyDump, LastGood,
    PruneMode, ReadBack,
};
use pgstow::repository::retention::{OtherJob, Rules};
use pgstow::repository::{Backup, BackupId, Repository};
use pgstow::storage::{Overwrite, Store};
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::args::{Decrypt, Which};
use crate::commands::{ready, refuse_terminal, rows, summary, tell_encryption, unless};
use crate::exit::{self, Outcome};
use crate::keys;
use crate::output::{self, Output};
use crate::progress::Progress;
use crate::settings::{self, Connection};

/// One object for programs.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::new(Kind::Failed, "render the answer").with_source(error))?;
    output::print(&format!("{text}\n"))
}

/// The backup that is meant, and where it is.
pub async fn find(which: &Which, output: &Output) -> Result<(Repository, Backup, Job)> {
    let job = place::job(&which.kept.place, output)?;
    let repository = place::repository(&job).await?;
    let backup = find_in(&repository, which, &job).await?;
    Ok((repository, backup, job))
}

/// The backup that is meant; `latest` is of the job's database, where that has any.
async fn find_in(repository: &Repository, which: &Which, job: &Job) -> Result<Backup> {
    let mut database = which.kept.database.clone();
    if database.is_none() && which.id == "latest" && job.names_database() {
        let listed = repository.list().await?.backups;
        database = database_of(job);
        database.take_if(|name| !listed.iter().any(|it| it.record.database == *name));
    }
    repository.find(&which.id, database.as_deref()).await
}

/// All that a backup is made with.
struct Prepared {
    store: Arc<dyn Store>,
    config: Config,
    options: BackupOptions,
}

async fn prepare(
    args: args::Backup,
    mut job: Job,
    output: &Output,
    cancel: &CancellationToken,
) -> Result<Prepared> {
    let said = [
        ("backup.type", &args.backup_type),
        ("dump.compress", &args.compress.compress),
        ("dump.pack_tables", &args.compress.pack_tables),
        ("dump.jobs", &args.resources.sessions.jobs),
        ("dump.memory", &args.resources.memory),
        ("dump.lock_wait_timeout", &args.locks.lock_wait_timeout),
        ("dump.role", &args.server.role),
    ];
    for (key, value) in said {
        if let Some(value) = value {
            job.set(key, value)?;
        }
    }
    let mut dump = job.dump_options()?;
    let (selection, excluded) = (&mut dump.selection, args.excluded);
    selection.exclude_schemas.extend(excluded.exclude_schema);
    selection.exclude_tables.extend(excluded.exclude_table);
    let data = &mut selection.exclude_table_data;
    data.extend(excluded.exclude_table_data);
    let recipients = match keys::recipients(&args.encrypt)? {
        Some(recipients) => Some(recipients),
        None => job.recipients()?,
    };
    let options = BackupOptions {
        dump,
        backup_type: job.backup_type()?,
        recipients,
        retention: job.retention()?,
        read_back: if args.verify {
            ReadBack::Whole
        } else {
            ReadBack::Ends
        },
        empty: if args.allow_empty {
            EmptyDump::Allow
        } else {
            EmptyDump::Refuse
        },
    };
    options.validate()?;
    let source = settings::source(settings::conn(args.source)?, args.server)?;
    let connection = Connection {
        config: job.database(&source, &ProcessEnv)?,
        password: source.password,
    };
    let config = ready(connection, output, cancel).await?;
    let store = place::store(&job)?;
    Ok(Prepared {
        store,
        config,
        options,
    })
}

pub async fn backup(
    args: args::Backup,
    output: &Output,
    progress: &Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let job = after::watched(place::job(&args.place, output)?, &args.watched)?;
    let aftermath = after::aftermath(&job, output);
    // A password that cannot be fetched makes no backup either.
    let prepared = prepare(args, job.clone(), output, &cancel).await;
    after::tell_failure(Work::Backup, "", &prepared, &job, None, output).await;
    let Prepared {
        store,
        config,
        options,
    } = prepared?;
    let observer = progress.observer();
    let report = ops::backup(store, &config, &options, &aftermath, observer, cancel).await?;
    progress.clear();
    output.done("backup", &report, exit::DONE);
    let record = &report.backup.record;
    if let Some(archive) = &record.archive {
        summary(
            output,
            &format!(
                "backup {} of {}: {}, {}, {} of rows in an archive of {}, {:.1} s",
                record.id,
                record.database,
                counted(archive.tables, "table"),
                rows(archive.rows),
                HumanBytes(archive.raw_bytes),
                HumanBytes(archive.bytes),
                report.seconds,
            ),
        );
    }
    if let Some(recipients) = &options.recipients {
        tell_encryption(output, recipients);
    }
    Ok(Outcome::Done)
}

pub async fn backups(
    args: args::Backups,
    output: &Output,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let filter = BackupFilter {
        types: args
            .backup_type
            .iter()
            .map(|it| it.parse())
            .collect::<Result<_>>()?,
        statuses: args
            .status
            .iter()
            .map(|it| it.parse())
            .collect::<Result<_>>()?,
        database: args.database,
        limit: args.limit,
        after: args.after.map(|it| it.parse()).transpose()?,
    };
    let job = after::watched(place::job(&args.place, output)?, &args.watched)?;
    let listing = async {
        let repository = place::repository(&job).await?;
        after::show(&job, &repository, output).await;
        ops::backups(&repository, &filter).await
    };
    let list = unless(&cancel, listing).await?;
    if args.answer.json {
        print_json(&list)?;
    } else if args.stats {
        output::print(&words::stats(&list.stats))?;
    } else {
        output::print(&words::list(&list))?;
    }
    for problem in &list.problems {
        output.say(&format!("warning: {problem}"));
    }
    Ok(Outcome::Done)
}

pub async fn show(
    args: args::Show,
    output: &Output,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let (_, backup, _) = unless(&cancel, find(&args.which, output)).await?;
    if args.answer.json {
        print_json(&backup)?;
    } else {
        output::print(&words::show(backup))?;
    }
    Ok(Outcome::Done)
}

/// `pgstow verify` of a backup.
pub async fn verify(
    which: &Which,
    decrypt: &Decrypt,
    options: &VerifyOptions,
    output: &Output,
    progress: &Arc<Progress>,
    cancel: CancellationToken,
) -> Result<BackupVerified> {
    let job = place::job(&which.kept.place, output)?;
    let mut repository = None;
    let verifying = async {
        let opened = unless(&cancel, place::repository(&job)).await?;
        let opened = repository.insert(opened);
        let backup = unless(&cancel, find_in(opened, which, &job)).await?;
        let keys = place::keys(decrypt, &job)?;
        let (observer, cancel) = (progress.observer(), cancel.clone());
        ops::verify_backup(opened, &backup, options, &keys, observer, cancel).await
    };
    let verified = verifying.await;
    let database = which.kept.database.as_deref().unwrap_or_default();
    let opened = repository.as_ref();
    after::tell_failure(Work::Verify, database, &verified, &job, opened, output).await;
    if let Some(repository) = opened {
        after::show(&job, repository, output).await;
    }
    verified
}

pub async fn download(
    args: args::Download,
    output: &Output,
    progress: &Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    refuse_terminal(&args.file)?;
    let (repository, backup, _) = unless(&cancel, find(&args.which, output)).await?;
    let sink = unless(&cancel, create_output(&args.file, Overwrite::Replace)).await?;
    let observer = progress.observer();
    let report = ops::download(&repository, &backup, sink, observer, cancel).await?;
    progress.clear();
    output.done("download", &report, exit::DONE);
    let (id, bytes) = (&report.id, HumanBytes(report.bytes));
    let database = &report.database;
    summary(
        output,
        &format!("wrote backup {id} of {database}, {bytes}, as it was made"),
    );
    Ok(Outcome::Done)
}

pub async fn delete(
    args: args::Delete,
    output: &Output,
    progress: &Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let ids: Vec<BackupId> = args
        .ids
        .iter()
        .map(|it| it.parse())
        .collect::<Result<_>>()?;
    let options = DeleteOptions {
        last_good: if args.last {
            LastGood::Delete
        } else {
            LastGood::Keep
        },
        reason: args.why.reason,
    };
    let job = after::watched(place::job(&args.place, output)?, &args.watched)?;
    let repository = unless(&cancel, place::repository(&job)).await?;
    let mut deleted = Vec::new();
    for id in &ids {
        let (observer, cancel) = (progress.observer(), cancel.clone());
        let backup = ops::delete(&repository, id, &options, observer, cancel).await?;
        summary(
            output,
            &format!("deleted backup {id} of {}", backup.record.database),
        );
        deleted.push(id);
    }
    after::show(&job, &repository, output).await;
    output.done("delete", &json!({ "deleted": deleted }), exit::DONE);
    Ok(Outcome::Done)
}

/// What is kept by the job, and what other jobs of the file keep in the same place.
fn rules(config: &pgstow::config::Config, job: &Job, output: &Output) -> Result<Rules> {
    let others = config.jobs().into_iter().filter(|name| *name != job.name());
    let others = others
        .map(|name| config.job(Some(name)))
        .collect::<Result<Vec<Job>>>()?;
    let place = job.location()?;
    let elsewhere = |other: &Job| other.location().is_ok_and(|it| !it.is_same_place(&place));
    let others = others.iter().filter(|other| !elsewhere(other));
    let others = others.map(|other| {
        let (name, database) = (other.name(), database_of(other));
        if database.is_none() && other.names_database() {
            output.say(&format!(
                "warning: job {name} names a database that cannot be found out here: what may be its \
                 backups is kept"
            ));
        }
        Ok(OtherJob {
            name: name.to_owned(),
            database,
            policy: other.retention().context_with(|| format!("job {name}"))?,
        })
    });
    let others = others.collect::<Result<_>>()?;
    Ok(Rules::beside(job.retention()?, database_of(job), others))
}

/// The name of the job's database, where it is configured and can be found out.
fn database_of(job: &Job) -> Option<String> {
    if !job.names_database() {
        return None;
    }
    // What is wrong with the connection does not matter here.
    job.database_name(&ProcessEnv).ok()
}

pub async fn prune(
    args: args::Prune,
    output: &Output,
    progress: &Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let mode = if args.dry_run {
        PruneMode::DryRun
    } else {
        PruneMode::Delete
    };
    let (config, job) = place::configured(&args.place, output)?;
    let job = after::watched(job, &args.watched)?;
    let rules = rules(&config, &job, output)?;
    let mut repository = None;
    let pruning = async {
        let opened = repository.insert(unless(&cancel, place::repository(&job)).await?);
        let (now, observer) = (Timestamp::now(), progress.observer());
        ops::prune(opened, &rules, mode, now, observer, cancel.clone()).await
    };
    let pruned = pruning.await;
    let opened = repository.as_ref();
    after::tell_failure(Work::Prune, "", &pruned, &job, opened, output).await;
    if let Some(repository) = opened {
        after::show(&job, repository, output).await;
    }
    let report = pruned?;
    progress.clear();
    output.done("prune", &report, exit::DONE);
    if !args.messages.json {
        if !args.messages.quiet {
            output::print(&words::prune(&report))?;
        }
        for problem in &report.problems {
            output.say(&format!("warning: {problem}"));
        }
    }
    let verb = match mode {
        PruneMode::DryRun => "would be deleted",
        PruneMode::Delete => "deleted",
    };
    let (deleted, freed) = (report.deleted, HumanBytes(report.freed_bytes));
    let kept = report.backups.len() as u64 - deleted;
    summary(output, &format!("{deleted} {verb} ({freed}), {kept} kept"));
    Ok(Outcome::Done)
}

pub async fn pin(
    args: args::Pin,
    output: &Output,
    progress: &Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let (repository, backup, job) = unless(&cancel, find(&args.which, output)).await?;
    let job = after::watched(job, &args.watched)?;
    let observer = progress.observer();
    ops::pin(&repository, &backup, args.why.reason, observer, cancel).await?;
    let id = &backup.record.id;
    after::show(&job, &repository, output).await;
    output.done("pin", &json!({ "id": id }), exit::DONE);
    summary(output, &format!("pinned backup {id}"));
    Ok(Outcome::Done)
}

pub async fn unpin(
    args: args::Unpin,
    output: &Output,
    progress: &Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let (repository, backup, job) = unless(&cancel, find(&args.which, output)).await?;
    let job = after::watched(job, &args.watched)?;
    ops::unpin(&repository, &backup, progress.observer(), cancel).await?;
    let id = &backup.record.id;
    after::show(&job, &repository, output).await;
    output.done("unpin", &json!({ "id": id }), exit::DONE);
    summary(output, &format!("backup {id} is pinned no longer"));
    Ok(Outcome::Done)
}

pub async fn audit(
    args: args::Audit,
    output: &Output,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let job = place::job(&args.place, output)?;
    let reading = async { place::repository(&job).await?.audit_log().await };
    let log = unless(&cancel, reading).await?;
    if args.answer.json {
        print_json(&log)?;
    } else if args.what.is_none() {
        output::print(&words::audit(&log))?;
    }
    for problem in &log.problems {
        output.say(&format!("warning: audit log: {problem}"));
    }
    if !log.problems.is_empty() {
        return Ok(Outcome::Different);
    }
    if args.what.is_some() && !args.answer.json {
        let records = log.records.len();
        output.say(&format!(
            "audit log is whole: {records} records, none missing or changed"
        ));
    }
    Ok(Outcome::Done)
}

pub async fn rebuild(
    args: args::Rebuild,
    output: &Output,
    progress: &Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let job = place::job(&args.place, output)?;
    let keys = place::keys(&args.decrypt, &job)?;
    let opening = async {
        let store = place::store(&job)?;
        match Repository::open(Arc::clone(&store)).await {
            // What was lost may be the mark of the repository, too; where there is nothing, it is the wrong place.
            Err(error) if error.kind() == Kind::Refused => {
                if store.list("archives").await?.is_empty() {
                    return Err(error);
                }
                Repository::init(store).await
            }
            opened => opened,
        }
    };
    let repository = unless(&cancel, opening).await?;
    let report = ops::rebuild(&repository, &keys, progress.observer(), cancel).await?;
    progress.clear();
    let failed = report
        .rebuilt
        .iter()
        .filter(|it| it.error.is_some())
        .count();
    let outcome = if failed == 0 {
        Outcome::Done
    } else {
        Outcome::Partial
    };
    output.done("rebuild", &report, exit::code(&outcome));
    for one in &report.rebuilt {
        let id = &one.id;
        match &one.error {
            Some(error) => output.say(&format!("warning: archive of {id}: {error}")),
            None => summary(output, &format!("made the record of backup {id} anew")),
        }
    }
    let made = report.rebuilt.len() - failed;
    summary(output, &format!("{made} records made anew"));
    Ok(outcome)
}
