//! What came of the steps so far.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use super::failure::{exists_already, is_fatal};
use super::journal::Journal;
use super::options::{FailedEntry, PhaseTime, Refused, RestoreReport, SkippedEntry};
use super::refusal::Refusal;
use super::shared::Shared;
use super::statements::Apart;
use super::statistics::Applied;
use crate::archive::{Entry, EntryId};
use crate::error::{Error, Result};
use crate::plan::{Omitted, StepId, Work};
use crate::report::{Event, Level};

/// Most refused statistics that are told one by one.
const TOLD: u64 = 20;

/// Keeps the books of a run.
pub(super) struct Outcome {
    report: RestoreReport,
    /// Entries that something was done for.
    restored: BTreeSet<EntryId>,
    /// Entries that are not there, so that what needs them need not be tried.
    missing: BTreeSet<EntryId>,
    /// Tables (schema and name) that are without their rows.
    unfilled: BTreeSet<(String, String)>,
    /// Relations that were there before: rows of the archive do not belong into them.
    found: BTreeSet<EntryId>,
    /// Where in the report each refusal is.
    refusals: HashMap<(Refusal, String), usize>,
    began: Instant,
    phase: Option<(&'static str, Instant)>,
}

impl Outcome {
    pub(super) fn new() -> Self {
        Self {
            report: RestoreReport::default(),
            restored: BTreeSet::new(),
            missing: BTreeSet::new(),
            found: BTreeSet::new(),
            refusals: HashMap::new(),
            unfilled: BTreeSet::new(),
            began: Instant::now(),
            phase: None,
        }
    }

    /// A part of the run begins; the one before ends.
    pub(super) fn phase(&mut self, phase: &'static str) {
        self.end_phase();
        self.phase = Some((phase, Instant::now()));
    }

    fn end_phase(&mut self) {
        if let Some((phase, began)) = self.phase.take() {
            self.report.phases.push(PhaseTime {
                phase,
                seconds: began.elapsed().as_secs_f64(),
            });
        }
    }

    /// Entries that the target's version does not know were left out although they were wanted.
    pub(super) fn left_undone(&mut self, entries: &[Omitted]) {
        let skipped = entries.iter().map(|omitted| SkippedEntry {
            entry: omitted.name.clone(),
            reason: omitted.reason.clone(),
        });
        self.report.skipped.extend(skipped);
    }

    /// A step with statements is done.
    pub(super) fn done(&mut self, shared: &Shared, step: StepId, seconds: f64) {
        let (Some(step), Some(entry)) = (shared.step(step), shared.entry_of_step(step)) else {
            return;
        };
        self.restored.insert(entry.id);
        shared.event(&Event::Step {
            name: step.name.clone(),
            seconds,
        });
    }

    /// Whether an earlier run has done a step; that is written down.
    pub(super) fn was_done(&mut self, shared: &Shared, step: StepId) -> bool {
        let Some(journal) = &shared.journal else {
            return false;
        };
        let done = journal.of_step(step).is_some_and(|unit| journal.has(unit));
        if done && let Some(entry) = shared.entry_of_step(step) {
            self.restored.insert(entry.id);
        }
        done
    }

    /// A step that was run part by part is done, as far as it was.
    ///
    /// # Errors
    /// When going on makes no sense.
    pub(super) fn apart(
        &mut self,
        shared: &Shared,
        step: StepId,
        outcome: Apart,
        seconds: f64,
    ) -> Result<()> {
        let Some(entry) = shared.entry_of_step(step) else {
            return Ok(());
        };
        for error in outcome.errors {
            if is_fatal(&error) {
                return Err(error);
            }
            self.failed(shared, entry, &error);
            if !outcome.made {
                if exists_already(&error) {
                    self.found.insert(entry.id);
                } else {
                    self.missing.insert(entry.id);
                }
            }
        }
        if outcome.made {
            self.done(shared, step, seconds);
        }
        Ok(())
    }

    /// Something of an entry failed, and the run goes on.
    pub(super) fn failed(&mut self, shared: &Shared, entry: &Entry, error: &Error) {
        let statement = error.statement().unwrap_or_default();
        let failed = FailedEntry {
            entry: entry.describe(),
            error: error.message().to_owned(),
            statement: error.statement().map(str::to_owned),
            refusal: Refusal::of(error, entry, statement),
            hint: error.hint().map(str::to_owned),
        };
        self.count(&failed);
        shared.event(&Event::EntryFailed {
            entry: failed.entry.clone(),
            error: failed.error.clone(),
            statement: failed.statement.clone(),
        });
        self.report.failed.push(failed);
    }

    /// Puts a failure together with those that the server refused in the same words.
    fn count(&mut self, failed: &FailedEntry) {
        let said = ["restore", "drop"].iter().find_map(|work| {
            let context = format!("{work} {}: ", failed.entry);
            failed.error.strip_prefix(&context)
        });
        let said = said.unwrap_or(&failed.error);
        let key = (failed.refusal, said.to_owned());
        let at = *self.refusals.entry(key).or_insert_with(|| {
            self.report.refused.push(Refused {
                refusal: failed.refusal,
                error: said.to_owned(),
                times: 0,
                entries: Vec::new(),
                statement: failed.statement.clone(),
                hint: failed.hint.clone(),
            });
            self.report.refused.len() - 1
        });
        if let Some(refused) = self.report.refused.get_mut(at) {
            refused.times += 1;
            refused.entries.push(failed.entry.clone());
        }
    }

    /// Whether a step need not be tried, because something that it needs is not there. That is
    /// written down, and what needs this one is not tried either.
    pub(super) fn skips(&mut self, shared: &Shared, step: StepId) -> bool {
        let (Some(step), Some(entry)) = (shared.step(step), shared.entry_of_step(step)) else {
            return false;
        };
        if self.missing.contains(&entry.id) {
            // Told before: it failed or was left out itself.
            return true;
        }
        if step.work == Work::Privileges {
            return false;
        }
        let of = |ids: &BTreeSet<EntryId>| {
            entry
                .depends_on
                .iter()
                .filter(|id| ids.contains(id))
                .filter_map(|&id| shared.entry(id))
                .find(|needed| is_need(entry, needed))
        };
        let reason = match (of(&self.missing), of(&self.found)) {
            (Some(needed), _) => format!("it needs {}, which was not made", needed.describe()),
            (None, Some(found)) if step.work == Work::Rows => format!(
                "{} was there before, its rows were left alone",
                found.describe()
            ),
            _ => return false,
        };
        if step.work == Work::Rows {
            self.not_filled(entry);
        } else {
            self.missing.insert(entry.id);
        }
        self.report.skipped.push(SkippedEntry {
            entry: entry.describe(),
            reason,
        });
        true
    }

    /// Rows of an entry were not loaded, or not all.
    pub(super) fn not_filled(&mut self, entry: &Entry) {
        let name = entry.relation.as_ref().unwrap_or(&entry.name);
        let schema = entry.schema.clone().unwrap_or_default();
        self.unfilled.insert((schema, name.clone()));
    }

    /// Whether a relation is not there, or its table not with its rows: `entry` makes it, where
    /// one does, and `table` is the table it is or belongs to.
    pub(super) fn lacks(&self, entry: Option<EntryId>, schema: &str, table: &str) -> bool {
        entry.is_some_and(|entry| self.missing.contains(&entry))
            || self
                .unfilled
                .contains(&(schema.to_owned(), table.to_owned()))
    }

    /// The server was given statistics.
    pub(super) fn statistics(&mut self, shared: &Shared, applied: Applied) {
        self.report.statistics += applied.relations;
        for refused in applied.refused {
            self.report.statistics_refused += 1;
            if self.report.statistics_refused <= TOLD {
                shared.warn(refused);
            } else {
                shared.event(&Event::Message {
                    level: Level::Detail,
                    text: refused,
                    hint: None,
                });
            }
        }
    }

    /// A table was vacuumed or analyzed.
    pub(super) fn maintained(&mut self, shared: &Shared, step: StepId, seconds: f64) {
        if let Some(step) = shared.step(step) {
            let what = match step.work {
                Work::Vacuum => "vacuum",
                _ => {
                    self.report.analyzed += 1;
                    "analyze"
                }
            };
            let name = format!("{} ({what})", step.name);
            shared.event(&Event::Step { name, seconds });
        }
    }

    /// Rows were committed.
    pub(super) fn frame(&mut self, moved: Moved) {
        // A piece of a large object is no row.
        if moved.work == Work::Rows {
            self.report.rows += moved.rows;
        }
        self.report.raw_bytes += moved.raw_bytes;
        self.report.large_objects += moved.objects;
    }

    /// All rows of an entry were loaded.
    pub(super) fn loaded(&mut self, entry: &Entry, work: Work) {
        self.restored.insert(entry.id);
        self.report.loaded.insert(entry.id);
        if work == Work::Rows {
            self.report.tables += 1;
        }
    }

    /// Closes the books.
    pub(super) fn finish(mut self, shared: &Shared, target: String) -> RestoreReport {
        self.end_phase();
        let untold = self.report.statistics_refused.saturating_sub(TOLD);
        if untold > 0 {
            shared.warn_with_hint(
                format!("the server refused statistics of {untold} more relations or columns"),
                "--verbose names all of them",
            );
        }
        let mut report = self.report;
        report.target = target;
        report.entries = self.restored.len() as u64;
        report.omitted = shared.plan.omitted.clone();
        report.adapted = shared.plan.adapted.clone();
        report.pulled = shared.plan.pulled.clone();
        report.needed = shared.plan.needed.clone();
        report.warnings = shared.warnings.load(std::sync::atomic::Ordering::Relaxed);
        report.resumed = shared.journal.as_ref().map_or(0, Journal::already);
        report.seconds = self.began.elapsed().as_secs_f64();
        report
    }

    /// A role, tablespace or the like was made.
    pub(super) fn made_global(&mut self) {
        self.report.globals += 1;
    }

    /// One was there already.
    pub(super) fn found_global(&mut self, name: String) {
        self.report.globals_found.push(name);
    }

    /// One was not tried.
    pub(super) fn skip_global(&mut self, entry: &Entry, reason: String) {
        self.report.skipped.push(SkippedEntry {
            entry: entry.describe(),
            reason,
        });
    }

    /// Totals by name, for the database's own entries.
    pub(super) fn made(&mut self, entry: EntryId) {
        self.restored.insert(entry);
    }
}

/// Whether an entry cannot be without what it waits for. Event triggers come behind refreshes only so
/// as not to fire on them, and a CHECK behind those of its table's children only so that they merge.
fn is_need(entry: &Entry, needed: &Entry) -> bool {
    !matches!(
        (entry.kind.as_str(), needed.kind.as_str()),
        ("EVENT TRIGGER", "MATERIALIZED VIEW DATA") | ("CHECK CONSTRAINT", "CHECK CONSTRAINT")
    )
}

/// What one frame brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    pub(super) work: Work,
    pub(super) rows: u64,
    pub(super) raw_bytes: u64,
    pub(super) objects: u64,
}

/// Rows of one entry under way.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) began: Instant,
    /// Frames in all; not known before the end of the entry in a pipe.
    pub(super) expected: Option<u64>,
    pub(super) loaded: u64,
    pub(super) rows: u64,
    pub(super) raw_bytes: u64,
    /// Sessions that load a frame of it now.
    pub(super) under_way: u64,
    pub(super) failed: bool,
    /// Whether its beginning was told.
    pub(super) started: bool,
}

impl Progress {
    /// So many frames were loaded by earlier runs; there are `expected` in all, where that is known.
    pub(super) fn of(expected: Option<u64>, loaded: u64) -> Self {
        Self {
            began: Instant::now(),
            expected,
            loaded,
            rows: 0,
            raw_bytes: 0,
            under_way: 0,
            failed: false,
            started: false,
        }
    }

    /// Whether there is nothing left to do or to wait for.
    pub(super) fn is_over(&self) -> bool {
        self.under_way == 0 && (self.failed || self.expected == Some(self.loaded))
    }
}

/// All rows under way, by entry.
pub(super) type Loading = BTreeMap<EntryId, Progress>;
