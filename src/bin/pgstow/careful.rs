//! Restores that take the place of something: looked at beforehand, agreed to, then done.

use std::sync::Arc;
use std::time::Instant;

use indicatif::HumanCount;
use pgstow::connect::Config;
use pgstow::error::Result;
use pgstow::ops::{Input, Preflight, SwapOptions, SwapReport};
use pgstow::report::Observer;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::commands::{summary, tell_restore};
use super::exit::{self, Outcome};
use super::output::{self, Output, harmless};
use super::progress::Progress;
use super::prompt;
use super::settings::{Consent, Volume};

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
    options: &SwapOptions,
    (consent, dry_run): (Consent, bool),
    output: &Output,
    progress: &Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let looking = pgstow::ops::swap_preflight(config, input, options);
    let preflight = super::commands::unless(&cancel, looking).await?;
    if dry_run && !output.talk().json {
        output::print(&harmless(&format!("{preflight}{}", preflight.plan)))?;
        return preflight.refusal().map_or(Ok(Outcome::Done), Err);
    }
    show(output, &preflight)?;
    if dry_run {
        return Ok(Outcome::Done);
    }
    agree(output, &preflight.database, consent, &cancel).await?;
    let began = Instant::now();
    let observer: Arc<dyn Observer> = Arc::clone(progress) as Arc<dyn Observer>;
    let report = pgstow::ops::swap(config, input, options, observer, cancel).await?;
    progress.clear();
    let outcome = match report.is_exchanged() {
        true => Outcome::Done,
        false => Outcome::Different,
    };
    output.done("restore", &report, exit::code(&outcome));
    tell(output, &report, began);
    Ok(outcome)
}

fn tell(output: &Output, report: &SwapReport, began: Instant) {
    if let Some(restore) = &report.restore {
        tell_restore(output, "restored", restore, began);
    }
    let rows: u64 = report.compared.iter().map(|table| table.rows).sum();
    summary(
        output,
        &format!(
            "compared {} tables, {} rows",
            report.compared.len(),
            HumanCount(rows)
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
