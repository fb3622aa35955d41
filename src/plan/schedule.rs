//! Walks a plan: what may start now.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use super::step::{Analyzed, Barrier, Plan, Step, StepId, Work};
use crate::archive::{EntryId, LockMode};

/// The sorts of work that somebody does; barriers are passed by themselves.
const SORTS: [Work; 6] = [
    Work::Statements,
    Work::Rows,
    Work::LargeObjects,
    Work::Privileges,
    Work::Statistics,
    Work::Analyze(Analyzed::Table),
];

/// The place of its sort in [`SORTS`]; a barrier, which never waits to be taken, has no other.
fn sort_of(work: Work) -> usize {
    match work {
        Work::Statements | Work::Barrier(_) => 0,
        Work::Rows => 1,
        Work::LargeObjects => 2,
        Work::Privileges => 3,
        Work::Statistics => 4,
        Work::Analyze(_) => 5,
    }
}

/// The state of a walk through a plan: hands out steps whose dependencies are done and whose locks
/// conflict with none of the steps that run, those with the longest work behind them first.
pub struct Schedule<'p> {
    plan: &'p Plan,
    /// Number of steps each one still waits for.
    waits_for: Vec<u32>,
    dependants: Vec<Vec<StepId>>,
    /// What waits for nothing but its locks, by the sort of work: each sort is asked for by itself,
    /// and there may be very many of another.
    ready: [BTreeSet<(Reverse<u64>, StepId)>; SORTS.len()],
    running: BTreeSet<StepId>,
    held: HashMap<EntryId, Vec<LockMode>>,
    passed: BTreeSet<Barrier>,
    finished: Vec<bool>,
    unfinished: usize,
}

impl<'p> Schedule<'p> {
    /// The beginning of a walk.
    pub fn new(plan: &'p Plan) -> Self {
        let mut dependants = vec![Vec::new(); plan.steps.len()];
        let mut waits_for = vec![0; plan.steps.len()];
        for step in &plan.steps {
            for &before in &step.depends_on {
                dependants[before as usize].push(step.id);
                waits_for[step.id as usize] += 1;
            }
        }
        let mut schedule = Self {
            plan,
            waits_for,
            dependants,
            ready: Default::default(),
            running: BTreeSet::new(),
            held: HashMap::new(),
            passed: BTreeSet::new(),
            finished: vec![false; plan.steps.len()],
            unfinished: plan.steps.len(),
        };
        let first: Vec<StepId> = plan
            .steps
            .iter()
            .filter(|step| step.depends_on.is_empty())
            .map(|step| step.id)
            .collect();
        schedule.release(first);
        schedule
    }

    /// Starts the most urgent step that may start and whose work `wanted` accepts.
    pub fn take(&mut self, wanted: impl Fn(Work) -> bool) -> Option<&'p Step> {
        self.take_if(wanted, |_| true)
    }

    /// As [`Schedule::take`], but nothing unless `fits` accepts the step that it would give.
    pub fn take_if(
        &mut self,
        wanted: impl Fn(Work) -> bool,
        fits: impl FnOnce(&Step) -> bool,
    ) -> Option<&'p Step> {
        let plan = self.plan;
        let first_of = |(work, ready): (&Work, &BTreeSet<(Reverse<u64>, StepId)>)| {
            let mut ready = ready.iter().filter(|_| wanted(*work));
            ready
                .find(|(_, id)| self.is_free(&plan.steps[*id as usize]))
                .copied()
        };
        let (_, id) = SORTS.iter().zip(&self.ready).filter_map(first_of).min()?;
        let step = &plan.steps[id as usize];
        if !fits(step) {
            return None;
        }
        self.start(step);
        Some(step)
    }

    /// Starts a step if it may start.
    pub fn take_step(&mut self, id: StepId) -> Option<&'p Step> {
        let plan = self.plan;
        let step = plan.steps.get(id as usize)?;
        let place = (Reverse(step.priority), id);
        let is_ready = self.ready[sort_of(step.work)].contains(&place);
        if !is_ready || !self.is_free(step) {
            return None;
        }
        self.start(step);
        Some(step)
    }

    fn start(&mut self, step: &Step) {
        self.ready[sort_of(step.work)].remove(&(Reverse(step.priority), step.id));
        self.running.insert(step.id);
        for lock in &step.locks {
            self.held.entry(lock.on).or_default().push(lock.mode);
        }
    }

    /// Ends a step that was started, whether it did its work or not: what waits for it goes on.
    pub fn finish(&mut self, id: StepId) {
        if !self.running.remove(&id) {
            return;
        }
        let step = &self.plan.steps[id as usize];
        for lock in &step.locks {
            if let Some(modes) = self.held.get_mut(&lock.on)
                && let Some(at) = modes.iter().position(|&mode| mode == lock.mode)
            {
                modes.swap_remove(at);
            }
        }
        self.done(id);
    }

    fn done(&mut self, id: StepId) {
        self.unfinished -= 1;
        self.finished[id as usize] = true;
        let mut released = Vec::new();
        for &dependant in &self.dependants[id as usize] {
            let waits_for = &mut self.waits_for[dependant as usize];
            *waits_for -= 1;
            if *waits_for == 0 {
                released.push(dependant);
            }
        }
        self.release(released);
    }

    /// Barriers are passed at once, the rest becomes ready.
    fn release(&mut self, steps: Vec<StepId>) {
        for id in steps {
            let step = &self.plan.steps[id as usize];
            if let Work::Barrier(barrier) = step.work {
                self.passed.insert(barrier);
                self.done(id);
            } else {
                self.ready[sort_of(step.work)].insert((Reverse(step.priority), id));
            }
        }
    }

    /// Number of steps of a sort that wait for nothing but their locks.
    pub fn ready(&self, work: Work) -> usize {
        self.ready[sort_of(work)].len()
    }

    /// Number of steps that are not done.
    pub fn left(&self) -> usize {
        self.unfinished
    }

    /// Whether every step is done.
    pub fn is_done(&self) -> bool {
        self.unfinished == 0
    }

    /// Whether everything before this point is done.
    pub fn has_passed(&self, barrier: Barrier) -> bool {
        self.passed.contains(&barrier)
    }

    /// Whether a step is done.
    pub fn is_finished(&self, id: StepId) -> bool {
        self.finished.get(id as usize).copied().unwrap_or(false)
    }

    /// Whether some step was started and is not finished.
    pub fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    fn is_free(&self, step: &Step) -> bool {
        step.locks.iter().all(|lock| {
            let held = self.held.get(&lock.on).into_iter().flatten();
            held.into_iter().all(|mode| !mode.conflicts(lock.mode))
        })
    }
}
