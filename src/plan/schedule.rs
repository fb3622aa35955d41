//! Walks a plan: what may start now.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use super::step::{Analyzed, Barrier, Plan, Step, StepId, Work};
use crate::archive::{EntryId, Lock, LockMode};

/// The sorts of work that somebody does; barriers are passed by themselves.
const SORTS: [Work; 7] = [
    Work::Statements,
    Work::Rows,
    Work::LargeObjects,
    Work::Privileges,
    Work::Statistics,
    Work::Analyze(Analyzed::Table),
    Work::Vacuum,
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
        Work::Vacuum => 6,
    }
}

/// A step in its place: the one with the longest work behind it first.
type Place = (Reverse<u64>, StepId);

/// How many steps that are free are passed over for one that keeps nobody more urgent waiting.
const LOOK_AHEAD: usize = 32;

/// The locks on one relation: how many steps hold each mode.
#[derive(Default)]
struct Held([u32; LockMode::ALL.len()]);

impl Held {
    fn allows(&self, mode: LockMode) -> bool {
        let held = LockMode::ALL.iter().zip(self.0);
        held.into_iter()
            .all(|(held, count)| count == 0 || !held.conflicts(mode))
    }
}

/// The state of a walk through a plan: hands out steps whose dependencies are done and whose locks
/// conflict with none of the steps that run, those with the longest work behind them first.
///
/// A step whose locks are taken is put aside, at one relation that it waits for, and comes back when
/// something changes there; however many wait for one relation, only the first of each sort is
/// looked at again. So the work of a walk grows with the number of steps and their locks.
pub struct Schedule<'p> {
    plan: &'p Plan,
    /// Number of steps each one still waits for.
    waits_for: Vec<u32>,
    dependants: Vec<Vec<StepId>>,
    /// What waits for nothing but perhaps its locks, by the sort of work: each sort is asked for by
    /// itself, and there may be very many of another.
    ready: [BTreeSet<Place>; SORTS.len()],
    /// What waits for a lock on a relation, by the mode and the sort of work.
    aside: HashMap<EntryId, BTreeMap<(LockMode, usize), BTreeSet<Place>>>,
    /// How many of each sort are ready or put aside.
    waiting: [usize; SORTS.len()],
    running: BTreeSet<StepId>,
    held: HashMap<EntryId, Held>,
    passed: BTreeSet<Barrier>,
    finished: Vec<bool>,
    unfinished: usize,
    looks: u64,
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
            aside: HashMap::new(),
            waiting: Default::default(),
            running: BTreeSet::new(),
            held: HashMap::new(),
            passed: BTreeSet::new(),
            finished: vec![false; plan.steps.len()],
            unfinished: plan.steps.len(),
            looks: 0,
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
        let (_, id) = self.first_wanted(wanted)?;
        let step = &plan.steps[id as usize];
        if !fits(step) {
            return None;
        }
        self.start(step);
        Some(step)
    }

    /// The priority of the step that [`Schedule::take`] would give.
    pub fn next_priority(&mut self, wanted: impl Fn(Work) -> bool) -> Option<u64> {
        self.first_wanted(wanted)
            .map(|(Reverse(priority), _)| priority)
    }

    fn first_wanted(&mut self, wanted: impl Fn(Work) -> bool) -> Option<Place> {
        let sorts = (0..SORTS.len()).filter(|&sort| wanted(SORTS[sort]));
        let firsts: Vec<Place> = sorts.filter_map(|sort| self.first_free(sort)).collect();
        firsts.into_iter().min()
    }

    /// The most urgent step of a sort that is free. One that would keep a more urgent step waiting that
    /// waits already comes after those that would not: it is taken only for want of others.
    fn first_free(&mut self, sort: usize) -> Option<Place> {
        let mut in_the_way = None;
        let mut passed_over = 0;
        let mut after = None;
        loop {
            let mut ready = match after {
                None => self.ready[sort].range(..),
                Some(after) => self.ready[sort].range((Bound::Excluded(after), Bound::Unbounded)),
            };
            let Some(&place) = ready.next() else { break };
            self.looks += 1;
            let step = &self.plan.steps[place.1 as usize];
            if let Some(lock) = step.locks.iter().find(|lock| !self.allows(lock)) {
                self.put_aside(step, lock.on, lock.mode);
            } else if self.is_in_the_way(step) {
                in_the_way = in_the_way.or(Some(place));
                after = Some(place);
                passed_over += 1;
                if passed_over == LOOK_AHEAD {
                    break;
                }
            } else {
                return Some(place);
            }
        }
        in_the_way
    }

    fn allows(&self, lock: &Lock) -> bool {
        let held = self.held.get(&lock.on);
        held.is_none_or(|held| held.allows(lock.mode))
    }

    /// Whether a step of more urgency that was put aside would have to wait for this one.
    fn is_in_the_way(&self, step: &Step) -> bool {
        let place = (Reverse(step.priority), step.id);
        step.locks.iter().any(|lock| {
            let aside = self.aside.get(&lock.on).into_iter().flatten();
            aside.into_iter().any(|(&(mode, _), places)| {
                mode.conflicts(lock.mode) && places.first().is_some_and(|first| *first < place)
            })
        })
    }

    /// A step that is ready waits for a lock. It may have come back as the first of those that wait
    /// for another one: the next of those takes its place.
    fn put_aside(&mut self, step: &Step, on: EntryId, mode: LockMode) {
        let (place, sort) = ((Reverse(step.priority), step.id), sort_of(step.work));
        self.ready[sort].remove(&place);
        let aside = self.aside.entry(on).or_default();
        aside.entry((mode, sort)).or_default().insert(place);
        for lock in step.locks.iter().filter(|lock| lock.on != on) {
            self.bring_back(lock.on);
        }
    }

    /// The first of every mode and sort that waits for a relation is ready again, if that mode can
    /// be had now.
    fn bring_back(&mut self, on: EntryId) {
        let Some(aside) = self.aside.get_mut(&on) else {
            return;
        };
        let held = self.held.get(&on);
        for (&(mode, sort), places) in aside.iter_mut() {
            if held.is_none_or(|held| held.allows(mode))
                && let Some(place) = places.pop_first()
            {
                self.ready[sort].insert(place);
            }
        }
        aside.retain(|_, places| !places.is_empty());
        if aside.is_empty() {
            self.aside.remove(&on);
        }
    }

    /// Starts a step if it may start; one that was put aside for its locks must be brought back first.
    pub fn take_step(&mut self, id: StepId) -> Option<&'p Step> {
        let plan = self.plan;
        let step = plan.steps.get(id as usize)?;
        let place = (Reverse(step.priority), id);
        let is_ready = self.ready[sort_of(step.work)].contains(&place);
        if !is_ready || !step.locks.iter().all(|lock| self.allows(lock)) {
            return None;
        }
        self.start(step);
        Some(step)
    }

    fn start(&mut self, step: &Step) {
        let sort = sort_of(step.work);
        self.ready[sort].remove(&(Reverse(step.priority), step.id));
        self.waiting[sort] -= 1;
        self.running.insert(step.id);
        for lock in &step.locks {
            let held = self.held.entry(lock.on).or_default();
            held.0[lock.mode as usize] += 1;
        }
        // Others may share what it took.
        for lock in &step.locks {
            self.bring_back(lock.on);
        }
    }

    /// Ends a step that was started, whether it did its work or not: what waits for it goes on.
    pub fn finish(&mut self, id: StepId) {
        if !self.running.remove(&id) {
            return;
        }
        let step = &self.plan.steps[id as usize];
        for lock in &step.locks {
            if let Some(held) = self.held.get_mut(&lock.on) {
                let count = &mut held.0[lock.mode as usize];
                *count = count.saturating_sub(1);
                if held.0.iter().all(|&count| count == 0) {
                    self.held.remove(&lock.on);
                }
            }
        }
        for lock in &step.locks {
            self.bring_back(lock.on);
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
                let sort = sort_of(step.work);
                self.waiting[sort] += 1;
                self.ready[sort].insert((Reverse(step.priority), id));
            }
        }
    }

    /// Number of steps of a sort that wait for nothing but their locks.
    pub fn ready(&self, work: Work) -> usize {
        self.waiting[sort_of(work)]
    }

    /// How often a step was looked at so far: what the walk itself costs.
    pub fn looks(&self) -> u64 {
        self.looks
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
}
