//! What all parts of one restore look at.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

use super::default_privileges::Given;
use super::journal::{Fate, Journal, Unit};
use super::options::{OnError, RestoreOptions};
use super::serial::BATCH_STEPS;
use super::session::{OwnSettings, Session, SortMemory};
use super::triggers::TriggerStates;
use crate::archive::{Entry, EntryId};
use crate::error::{Error, Result};
use crate::plan::{LeaveOut, Plan, Step, StepId};
use crate::report::{Event, Observer};
use crate::task::cores;

/// What is committed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transactions {
    /// Every piece of work by itself; definitions and privileges up to so many steps at once.
    Many {
        /// At least 1.
        steps: usize,
    },
    /// Everything, at the very end: no session begins or ends a transaction on its own.
    One,
}

/// Everything that does not change while sessions work.
pub(super) struct Shared {
    pub(super) entries: Vec<Entry>,
    pub(super) plan: Plan,
    pub(super) leave_out: LeaveOut,
    /// What runs where a statement says [`RESET_ROLE`](crate::sql::RESET_ROLE).
    pub(super) reset_role: String,
    /// Who the sessions are: what they make is theirs.
    pub(super) current_role: String,
    pub(super) on_error: OnError,
    pub(super) transactions: Transactions,
    pub(super) observer: Arc<dyn Observer>,
    /// Fired when sessions must stop what they do.
    pub(super) stop: CancellationToken,
    pub(super) warnings: AtomicU64,
    /// Tables whose triggers are off while they are loaded, by the entry of their rows.
    pub(super) triggers: HashMap<EntryId, TriggerStates>,
    /// Whether the database's statements are worded for the target's version.
    pub(super) database_is_worded: bool,
    /// What new objects have of the target's default privileges.
    pub(super) default_privileges: Given,
    /// Whether the target takes planner statistics.
    pub(super) takes_statistics: bool,
    /// What sorting statements are given; none leaves them what their session has.
    pub(super) sort_memory: Option<SortMemory>,
    /// What is said around a query whose rows are kept.
    pub(super) own_settings: Option<OwnSettings>,
    /// Whether sessions that build keep all of the server's cores busy.
    pub(super) fills_cores: bool,
    /// Steps of statements that could start if a session were free, when one was last given to a session.
    pub(super) waiting: AtomicUsize,
    /// Where the run writes down what it does; none when it is one transaction, or may not.
    pub(super) journal: Option<Journal>,
}

impl Shared {
    /// What is known when there is a plan; the rest as it is before anything was asked.
    pub(super) fn new(
        entries: Vec<Entry>,
        plan: Plan,
        options: &RestoreOptions,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            entries,
            leave_out: options.choices().leave_out,
            plan,
            reset_role: crate::sql::back_to(options.role.as_deref()),
            current_role: String::new(),
            on_error: options.on_error,
            transactions: match options.single_transaction {
                true => Transactions::One,
                false => Transactions::Many {
                    steps: options.transaction_size.unwrap_or(BATCH_STEPS),
                },
            },
            observer,
            stop: CancellationToken::new(),
            warnings: AtomicU64::new(0),
            triggers: HashMap::new(),
            database_is_worded: false,
            default_privileges: Given::Kept,
            takes_statistics: false,
            sort_memory: None,
            own_settings: None,
            fills_cores: false,
            waiting: AtomicUsize::new(0),
            journal: None,
        }
    }

    pub(super) fn entry(&self, id: EntryId) -> Option<&Entry> {
        self.entries.get((id as usize).checked_sub(1)?)
    }

    /// The entries that the plan's steps are for.
    pub(super) fn restored(&self) -> impl Iterator<Item = &Entry> {
        let entries = self.plan.steps.iter().filter_map(|step| step.entry);
        entries.filter_map(|id| self.entry(id))
    }

    /// The entries whose objects are dropped first, in order.
    pub(super) fn dropped(&self) -> impl Iterator<Item = &Entry> {
        self.plan.drops.iter().filter_map(|&id| self.entry(id))
    }

    pub(super) fn step(&self, id: StepId) -> Option<&Step> {
        self.plan.steps.get(id as usize)
    }

    pub(super) fn entry_of_step(&self, id: StepId) -> Option<&Entry> {
        self.entry(self.step(id)?.entry?)
    }

    /// Goes on after a lost session: see [`Journal::survive`]. Without a journal nobody could.
    pub(super) async fn survive(
        &self,
        session: &mut Session,
        error: Error,
        unit: Option<Unit>,
    ) -> Result<Fate> {
        match &self.journal {
            Some(journal) => journal.survive(self, session, error, unit).await,
            None => Err(error),
        }
    }

    /// Whether what is built now is built by one process, since there are builds for all other cores as well.
    pub(super) fn builds_alone(&self) -> bool {
        let waiting = self.waiting.load(Ordering::Relaxed);
        self.fills_cores && waiting >= cores()
    }

    pub(super) fn warn(&self, text: impl Into<String>) {
        self.warnings.fetch_add(1, Ordering::Relaxed);
        self.observer.warning(text);
    }

    pub(super) fn warn_with_hint(&self, text: impl Into<String>, hint: impl Into<String>) {
        self.warnings.fetch_add(1, Ordering::Relaxed);
        self.observer.warning_with_hint(text, hint);
    }

    pub(super) fn event(&self, event: &Event) {
        self.observer.event(event);
    }
}
