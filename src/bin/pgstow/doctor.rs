//! `pgstow doctor`: what is configured is handed to the checks, what they found to people and programs.

use std::path::Path;

use pgstow::config::{Config, Job};
use pgstow::connect::{ConfigSource, ProcessEnv};
use pgstow::error::{Error, Result};
use pgstow::notify::Notifier;
use pgstow::ops::doctor::{DoctorOptions, DoctorReport, Patient, Subject};
use pgstow::report::{Check, Verdict};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::args;
use super::exit::Outcome;
use super::output::{self, Output, harmless};
use super::repository::{after, place, print_json};

pub async fn doctor(
    args: args::Doctor,
    _output: &Output,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let only = args.only.iter().map(|name| name.parse());
    let options = DoctorOptions {
        only: only.collect::<Result<_>>()?,
        full: args.full,
        send_test: args.send_test,
    };
    let (configuration, job) = configured(&args);
    let mut printed = Ok(());
    let mut tell = |check: &Check| {
        if !args.answer.json && printed.is_ok() {
            printed = output::print(&harmless(&check.to_string()));
        }
    };
    let report = match job {
        Some(job) => {
            let patient = patient(&args, configuration, &job);
            let examining = pgstow::ops::doctor::doctor(&patient, &options, &mut tell, cancel);
            examining.await?
        }
        // Nothing else can be asked for.
        None => {
            tell(&configuration);
            DoctorReport {
                checks: vec![configuration],
            }
        }
    };
    printed?;
    let is_well = report.is_well() && !(args.strict && report.count(Verdict::Warning) > 0);
    if args.answer.json {
        print_json(&json!({
            "well": is_well,
            "passed": report.count(Verdict::Passed),
            "warnings": report.count(Verdict::Warning),
            "failed": report.count(Verdict::Failed),
            "skipped": report.count(Verdict::Skipped),
            "checks": report.checks,
        }))?;
    } else {
        output::print(&format!(
            "{} passed, {} warnings, {} failed, {} skipped\n",
            report.count(Verdict::Passed),
            report.count(Verdict::Warning),
            report.count(Verdict::Failed),
            report.count(Verdict::Skipped),
        ))?;
    }
    Ok(match is_well {
        true => Outcome::Done,
        false => Outcome::Unwell,
    })
}

/// The configuration, judged; and the job, if there is one to speak of.
fn configured(args: &args::Doctor) -> (Check, Option<Job>) {
    let name = Subject::Configuration.name();
    let path = args.place.configured.file.config.as_deref().map(Path::new);
    let (config, mistakes) = match Config::read(path, &ProcessEnv) {
        Ok(read) => read,
        Err(error) => return (Check::failed(name, &error), None),
    };
    let job = config.job(args.place.configured.job.as_deref());
    let job = job.and_then(|mut job| {
        if let Some(location) = &args.place.store.location {
            job.set("store.location", location)?;
        }
        Ok(job)
    });
    let job = match job {
        Ok(job) => job,
        Err(error) => return (Check::failed(name, &error), None),
    };
    let place = match config.path() {
        Some(path) => path.display().to_string(),
        None => "no file, the environment is all".to_owned(),
    };
    let found = format!("{place}; job {}", job.name());
    let lines = |others: Vec<String>| {
        let all = std::iter::once(found.clone()).chain(others);
        all.collect::<Vec<_>>().join("\n")
    };
    let told = |mistakes: &[Error]| mistakes.iter().map(ToString::to_string).collect();
    let check = if !mistakes.is_empty() {
        let check = Check::new(name, Verdict::Failed, lines(told(&mistakes)));
        check.with_way_out("pgstow config check tells each mistake with its place")
    } else if !config.warnings().is_empty() {
        Check::new(name, Verdict::Warning, lines(config.warnings().to_vec()))
    } else {
        Check::new(name, Verdict::Passed, found)
    };
    (check, Some(job))
}

fn patient(args: &args::Doctor, configuration: Check, job: &Job) -> Patient {
    let source = ConfigSource {
        dbname: args.database.option.dbname.clone(),
        ..ConfigSource::default()
    };
    let checks = job.checks();
    let configuration = match &checks {
        Err(error) => Check::failed(Subject::Configuration.name(), error),
        Ok(_) => configuration,
    };
    let checks = checks.ok();
    Patient {
        configuration: Some(configuration),
        database: job.database(&source, &ProcessEnv),
        store: place::store(job),
        dump: job.dump_options(),
        recipients: job.recipients(),
        keys: place::keys(&args.decrypt, job),
        notifier: job.notification().and_then(Notifier::new).map(Some),
        record_to: after::mirror(job),
        max_age: checks.and_then(|checks| checks.max_age),
        size_anomaly: checks.and_then(|checks| checks.size_anomaly),
    }
}
