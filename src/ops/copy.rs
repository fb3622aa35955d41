//! From one live database straight into another.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::Serialize;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::preflight::{Preflight, look};
use super::same_database::Identity;
use super::{
    CopyFormatChoice, DumpOptions, PhaseTime, RestoreOptions, RestoreReport, TableComparison,
};
use crate::archive::{EntryId, Fingerprint};
use crate::connect::Config;
use crate::dump::{Again, Given, Reread, Rereading, give};
use crate::error::{Error, Kind, Result};
use crate::relay::{Offer, Room};
use crate::report::{Event, Observer};
use crate::restore::{ArchiveReader, restore};
use crate::select::Globals;

/// Whether rows are read again from the target when all is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Comparison {
    /// Every row: fingerprints of tables and large objects must be those of the source.
    #[default]
    Fingerprints,
    /// None: what counts is that the target's server took as many rows as were read.
    Counts,
}

/// How to copy: as a dump with the one and a restore with the other.
#[derive(Clone, Debug, Default)]
pub struct CopyOptions {
    /// What is read of the source, and how. Compression is of no account, and memory is that of
    /// the whole copy.
    pub source: DumpOptions,
    /// What is made of it in the target, and how.
    pub target: RestoreOptions,
    /// What is compared at the end.
    pub comparison: Comparison,
}

impl CopyOptions {
    /// Checks that the options make sense, for themselves and together.
    ///
    /// # Errors
    /// [`Kind::Usage`] names the option.
    pub fn validate(&self) -> Result<()> {
        self.source.validate()?;
        self.target.validate()?;
        let (read, made) = (self.source.globals.which, self.target.globals);
        if read != made {
            return Err(Error::new(
                Kind::Usage,
                "roles, tablespaces and the like are to be read or to be made, and not both",
            ));
        }
        Ok(())
    }
}

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CopyReport {
    /// The database that was read, as `user@host:port/database`.
    pub source: String,
    /// What was made of it.
    #[serde(flatten)]
    pub restore: RestoreReport,
    /// Each table as it was read and as the target has it; empty with [`Comparison::Counts`].
    pub compared: Vec<TableComparison>,
    /// With `--continue`: the tables whose rows did not come, so that there was nothing to compare.
    pub not_compared: Vec<String>,
}

impl CopyReport {
    /// Whether everything that was wanted was done.
    pub fn is_complete(&self) -> bool {
        self.restore.is_complete()
    }

    /// Whether the target has the rows that were read, as far as that was looked at.
    pub fn is_equal(&self) -> bool {
        self.compared.iter().all(|table| table.equal)
    }
}

/// Copies the database `source` into the database `target`.
///
/// The definitions are made while a snapshot of the source is held; then rows flow from the
/// sessions that read to those that load, never more than the memory that the options allow.
///
/// # Errors
/// [`Kind::Usage`] for options that make no sense, [`Kind::Refused`] when both are the same database
/// or the target is not as the options demand, [`Kind::Interrupted`] when `cancel` fired, otherwise
/// what the source or the target answered, which the message names. After an error the target
/// holds what a restore that failed would leave there. A difference between rows is no error but in
/// the report.
pub async fn copy(
    source: &Config,
    target: &Config,
    options: &CopyOptions,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<CopyReport> {
    options.validate()?;
    let began = Instant::now();
    let (name, room) = unless(&cancel, refuse_same(source, target, options)).await?;
    let side = Arc::new(TargetSide {
        observer: Arc::clone(&observer),
        is_touched: AtomicBool::new(false),
        is_database_touched: AtomicBool::new(false),
    });
    let (given, report) = both_ends((source, target, room), options, &observer, &side, &cancel)
        .await
        .map_err(|error| tell_what_stands(error, options, &side))?;
    let mut report = CopyReport {
        source: source.describe(),
        restore: report,
        compared: Vec::new(),
        not_compared: Vec::new(),
    };
    if let Some(given) = given {
        report.restore.raw_bytes = given.raw_bytes;
        if options.comparison == Comparison::Fingerprints {
            let began = Instant::now();
            let target = match made(&name, options) {
                Some(name) => target.with_database(name),
                None => target.clone(),
            };
            let comparing = compare(&target, given, &report.restore, options, &observer, &cancel);
            let compared = comparing.await.map_err(|error| match error.kind() {
                Kind::Interrupted => interrupted()
                    .with_hint("everything is copied; only the comparison of rows was not done"),
                _ => error
                    .context("everything is copied, but rows could not be compared")
                    .with_hint("copy with --no-verify if the target's rows may not be read"),
            })?;
            (report.compared, report.not_compared) = compared;
            report.restore.phases.push(PhaseTime {
                phase: "compare",
                seconds: began.elapsed().as_secs_f64(),
            });
        }
    }
    report.restore.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

/// What [`copy`] would do and meet; both databases are asked, and nothing is changed.
///
/// # Errors
/// As [`copy`]; what stands in the way at the target is no error but a check that failed.
pub async fn copy_dry_run(
    source: &Config,
    target: &Config,
    options: &CopyOptions,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<Preflight> {
    options.validate()?;
    unless(&cancel, refuse_same(source, target, options)).await?;
    let reader: Arc<dyn Observer> = Arc::new(SourceSide { observer });
    let (offered, offer) = oneshot::channel();
    let giving = async {
        let options = reading(options);
        let given = give(source, &options, reader, &cancel, offered, Room::Own).await;
        given.map_err(|error| error.context("source"))
    };
    let planning = async {
        let Ok(offer) = offer.await else {
            return Ok(None);
        };
        let reader = ArchiveReader::Relay(Box::new(offer));
        let planning = unless(&cancel, look(target, reader, &options.target));
        Ok(Some(planning.await?))
    };
    let (given, plan): (_, Result<_>) = tokio::join!(giving, planning);
    given?;
    plan?.ok_or_else(|| Error::new(Kind::Failed, "the source has offered nothing"))
}

/// How the source is read. Only tables that the copy makes are certain to have the same types, so that
/// binary is taken for being faster alone; into others text goes more often than not, which their
/// server converts.
fn reading(options: &CopyOptions) -> DumpOptions {
    let CopyOptions { source, target, .. } = options;
    let makes_tables = target.content.definitions() && target.sections.pre_data;
    let copy_format = match source.copy_format {
        CopyFormatChoice::Auto if makes_tables => CopyFormatChoice::Direct,
        chosen => chosen,
    };
    DumpOptions {
        copy_format,
        ..source.clone()
    }
}

/// The name of the database that is to be made, if one is.
fn made<'a>(source: &'a str, options: &'a CopyOptions) -> Option<&'a str> {
    let named = options.target.create_as.as_deref();
    options.target.create.then(|| named.unwrap_or(source))
}

/// Refuses a copy of a database into itself; the source's name, and whose room for sessions they take.
async fn refuse_same(
    source: &Config,
    target: &Config,
    options: &CopyOptions,
) -> Result<(String, Room)> {
    let at = |side: &'static str| move |error: Error| error.context(side);
    let (source_is, target_is) = tokio::try_join!(
        async { Identity::ask(source, "copy").await.map_err(at("source")) },
        async { Identity::ask(target, "copy").await.map_err(at("target")) },
    )?;
    if options.target.globals != Globals::Alone {
        source_is.refuse_same(&target_is, made(&source_is.name, options))?;
    }
    let room = match source_is.is_on_server_of(&target_is) {
        true if source.user() == target.user() => Room::OfRole,
        true => Room::OfServer,
        false => Room::Own,
    };
    Ok((source_is.name, room))
}

/// Runs both ends to their end. When one fails, the other is stopped; its error is what tells why.
async fn both_ends(
    (source, target, room): (&Config, &Config, Room),
    options: &CopyOptions,
    observer: &Arc<dyn Observer>,
    side: &Arc<TargetSide>,
    cancel: &CancellationToken,
) -> Result<(Option<Given>, RestoreReport)> {
    let (stop_source, stop_target) = (cancel.child_token(), cancel.child_token());
    let reader: Arc<dyn Observer> = Arc::new(SourceSide {
        observer: Arc::clone(observer),
    });
    let loader: Arc<dyn Observer> = Arc::clone(side) as Arc<dyn Observer>;
    let (offered, offer) = oneshot::channel::<Offer>();
    let source_failed_first = Cell::new(false);
    let giving = async {
        let options = reading(options);
        let given = give(source, &options, reader, &stop_source, offered, room).await;
        if given.is_err() {
            source_failed_first.set(!stop_source.is_cancelled());
            stop_target.cancel();
        }
        given
    };
    let taking = async {
        // Without an offer the source has failed, and says why.
        let Ok(offer) = offer.await else {
            return Ok(None);
        };
        let reader = ArchiveReader::Relay(Box::new(offer));
        let taken = restore(target, reader, &options.target, loader, &stop_target).await;
        if taken.is_err() {
            stop_source.cancel();
        }
        taken.map(Some)
    };
    let ends = tokio::join!(giving, taking);
    let at_source = |error: Error| error.context("source");
    let at_target = |error: Error| error.context("target");
    match ends {
        (Ok(given), Ok(Some(report))) => Ok((given, report)),
        (Ok(_), Ok(None)) => Err(Error::new(Kind::Failed, "the source has offered nothing")),
        (Err(given), Ok(_)) => Err(at_source(given)),
        (Ok(_), Err(taken)) => Err(at_target(taken)),
        (Err(given), Err(taken)) => {
            // The end that was stopped by the other says no more than that.
            let stopped = |error: &Error| error.kind() == Kind::Interrupted;
            Err(match (stopped(&given), stopped(&taken)) {
                (true, true) => interrupted(),
                (false, true) => at_source(given),
                (true, false) => at_target(taken),
                (false, false) if source_failed_first.get() => at_source(given),
                (false, false) => at_target(taken),
            })
        }
    }
}

async fn unless<T>(cancel: &CancellationToken, work: impl Future<Output = Result<T>>) -> Result<T> {
    cancel
        .run_until_cancelled(work)
        .await
        .unwrap_or_else(|| Err(interrupted()))
}

fn interrupted() -> Error {
    Error::new(Kind::Interrupted, "copy: interrupted")
}

/// Says what a copy that failed has left in the target, and how to begin again.
fn tell_what_stands(error: Error, options: &CopyOptions, side: &TargetSide) -> Error {
    if !side.is_touched.load(Ordering::Relaxed) {
        return error;
    }
    let target = &options.target;
    let what = if target.single_transaction {
        "nothing was committed: the target is as it was"
    } else if !side.is_database_touched.load(Ordering::Relaxed) {
        "what was made stays: a copy that is begun again leaves it as it is"
    } else if target.create_as.is_some() {
        "the new database holds a part of the source: begin again with --clean and the same --create-as"
    } else if target.create {
        "the new database holds a part of the source: begin again with --clean --create"
    } else if target.content.definitions() {
        "the target holds a part of the source: begin again with --clean --if-exists"
    } else {
        "the target holds a part of the source's rows: empty its tables before you begin again"
    };
    // What the server would have is worth more, but it says nothing of the target as a whole.
    let is_own = error.kind() == Kind::Interrupted || error.hint().is_none();
    if is_own {
        return error.with_hint(what);
    }
    side.observer.warning(what);
    error
}

/// Reads all that was loaded once more, where it is now. Also names what was to be loaded, and was not.
async fn compare(
    target: &Config,
    given: Given,
    report: &RestoreReport,
    options: &CopyOptions,
    observer: &Arc<dyn Observer>,
    cancel: &CancellationToken,
) -> Result<(Vec<TableComparison>, Vec<String>)> {
    let Given {
        fingerprints: known,
        again,
        ..
    } = given;
    let is_missing = |(_, entries): &(String, Vec<EntryId>)| {
        !entries.iter().any(|entry| report.loaded.contains(entry))
    };
    let missing = again.comparable().into_iter().filter(is_missing);
    let missing: Vec<String> = missing.map(|(table, _)| table).collect();
    let again = again.only(&report.loaded);
    let comparable = again.comparable();
    if comparable.is_empty() {
        return Ok((Vec::new(), missing));
    }
    let (tables, bytes) = again.totals();
    observer.event(&Event::Phase {
        name: "compare",
        steps: Some(tables),
    });
    observer.event(&Event::DataTotal {
        tables,
        bytes,
        rows: Some(known.values().map(Fingerprint::rows).sum()),
    });
    let mut found = BTreeMap::new();
    for (entry, read) in read(target, again, options, observer, cancel).await? {
        let label = || comparable.iter().find(|(_, of)| of.contains(&entry));
        let read = read.map_err(|error| match label() {
            Some((label, _)) => error.context(format!("compare {label}")),
            None => error,
        })?;
        found.insert(entry, read);
    }
    let sum = |of: &BTreeMap<EntryId, Fingerprint>, entries: &[EntryId]| {
        let mut sum = Fingerprint::new();
        for fingerprint in entries.iter().filter_map(|entry| of.get(entry)) {
            sum.merge(fingerprint);
        }
        sum
    };
    let compared = comparable.into_iter().map(|(table, entries)| {
        let (known, found) = (sum(&known, &entries), sum(&found, &entries));
        let difference = if found == known {
            None
        } else if found.rows() == known.rows() {
            Some("as many rows, with other content".to_owned())
        } else {
            let (read, there) = (known.rows(), found.rows());
            Some(format!("{read} rows in the source, {there} in the target"))
        };
        TableComparison {
            table,
            rows: known.rows(),
            found_rows: Some(found.rows()),
            equal: difference.is_none(),
            difference,
        }
    });
    Ok((compared.collect(), missing))
}

async fn read(
    target: &Config,
    again: Again,
    options: &CopyOptions,
    observer: &Arc<dyn Observer>,
    cancel: &CancellationToken,
) -> Result<Reread> {
    let reading = DumpOptions {
        jobs: options.target.jobs,
        memory_bytes: options.source.memory_bytes,
        role: options.target.role.clone(),
        enable_row_security: options.source.enable_row_security,
        ..DumpOptions::default()
    };
    let rereading = Rereading::new(target, &reading, Arc::clone(observer));
    let read = async {
        let held = rereading.begin().await?;
        let found = held.read(again).await?;
        held.end().await?;
        Ok(found)
    };
    rereading.unless(cancel, read).await
}

/// Hears the source. How rows flow is told by the target, which has them in the end.
struct SourceSide {
    observer: Arc<dyn Observer>,
}

impl Observer for SourceSide {
    fn event(&self, event: &Event) {
        let is_of_rows = matches!(
            event,
            Event::TableStarted { .. }
                | Event::TableProgress { .. }
                | Event::TableDone { .. }
                | Event::DataTotal { .. }
        );
        if !is_of_rows {
            self.observer.event(event);
        }
    }
}

/// Hears the target, and notes when it begins to be changed.
struct TargetSide {
    observer: Arc<dyn Observer>,
    is_touched: AtomicBool,
    /// And not only what belongs to the whole server.
    is_database_touched: AtomicBool,
}

impl Observer for TargetSide {
    fn event(&self, event: &Event) {
        if let Event::Phase { name, .. } = event
            && *name != "connect"
        {
            self.is_touched.store(true, Ordering::Relaxed);
            if *name != "globals" {
                self.is_database_touched.store(true, Ordering::Relaxed);
            }
        }
        self.observer.event(event);
    }
}
