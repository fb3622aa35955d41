//! Which definitions several sessions may make side by side.
//!
//! Of all definitions only tables, sequences and what is set on them are many, and they lock little
//! but themselves. They fall into families: whatever needs another, inherits from it, is its
//! partition or has its row as a column's type is of one family, and so is what could give the server
//! the same name for a type. Two families touch none of the same locks nor unique keys, so that
//! sessions which each make whole families never wait for each other.

use std::collections::HashMap;

use super::step::{Barrier, Plan, StepId, Work};
use crate::archive::{Entry, EntryId};

/// What may be made side by side.
const KINDS: [&str; 5] = [
    "TABLE",
    "SEQUENCE",
    "SEQUENCE OWNED BY",
    "DEFAULT",
    "TABLE ATTACH",
];

/// As much of a name as tells families apart: the server cuts the names that it makes to 63 bytes.
const NAME_BYTES: usize = 48;

/// The definitions of a plan, each once. Those of one list stand in the plan's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lanes {
    /// What comes first, one after the other.
    pub before: Vec<StepId>,
    /// Families, in the order of their first steps. Each needs only itself and `before`.
    pub families: Vec<Vec<StepId>>,
    /// What comes last, one after the other.
    pub after: Vec<StepId>,
}

/// When a step is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Before,
    Families,
    After,
}

/// Takes the definitions of a plan apart.
pub fn lanes(plan: &Plan, entries: &[Entry]) -> Lanes {
    let definitions = plan
        .steps
        .iter()
        .take_while(|step| step.work != Work::Barrier(Barrier::Definitions));
    let entry = |id: EntryId| entries.get((id as usize).checked_sub(1)?);
    let mut phases: Vec<Phase> = Vec::new();
    let mut families = Families::default();
    // Names of types that relations make, and the step that makes a relation.
    let mut named: HashMap<(Option<&str>, &str), StepId> = HashMap::new();
    let mut made: HashMap<EntryId, StepId> = HashMap::new();
    for step in definitions {
        let entry = step.entry.and_then(entry);
        let needs = step.depends_on.iter().map(|&need| phases[need as usize]);
        let needs = needs.max().unwrap_or(Phase::Before);
        let is_one = entry.is_some_and(|entry| KINDS.contains(&entry.kind.as_str()));
        let phase = match (is_one, needs) {
            (true, Phase::Before | Phase::Families) => Phase::Families,
            (false, Phase::Before) => Phase::Before,
            (_, Phase::After) | (false, Phase::Families) => Phase::After,
        };
        phases.push(phase);
        families.add();
        let Some(entry) = entry.filter(|_| phase == Phase::Families) else {
            continue;
        };
        made.insert(entry.id, step.id);
        let needs = step.depends_on.iter().copied();
        let locked = entry.all_locks();
        let locked = locked.filter_map(|lock| made.get(&lock.on).copied());
        let others: Vec<StepId> = needs
            .chain(locked)
            .filter(|&other| phases[other as usize] == Phase::Families)
            .collect();
        for other in others {
            families.join(step.id, other);
        }
        let names = [Some(entry.name.as_str()), entry.relation.as_deref()];
        for name in names.into_iter().flatten() {
            let key = (entry.schema.as_deref(), root(name));
            families.join(step.id, *named.entry(key).or_insert(step.id));
        }
    }
    let mut lanes = Lanes::default();
    let mut places: HashMap<StepId, usize> = HashMap::new();
    for (step, phase) in (0..).zip(phases) {
        match phase {
            Phase::Before => lanes.before.push(step),
            Phase::After => lanes.after.push(step),
            Phase::Families => {
                let place = *places.entry(families.head(step)).or_insert_with(|| {
                    lanes.families.push(Vec::new());
                    lanes.families.len() - 1
                });
                lanes.families[place].push(step);
            }
        }
    }
    lanes
}

/// What is left of a name when the underscores are gone that the server puts before the name of an
/// array, and what it may cut off.
fn root(name: &str) -> &str {
    let name = name.trim_start_matches('_');
    let mut end = name.len().min(NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// Steps joined into families: each points to another of its own, the head to itself.
#[derive(Default)]
struct Families(Vec<StepId>);

impl Families {
    /// The next step, by itself.
    fn add(&mut self) {
        self.0.push(self.0.len() as StepId);
    }

    fn head(&mut self, step: StepId) -> StepId {
        let mut at = step;
        while self.0[at as usize] != at {
            // Shortens the way for the next one.
            self.0[at as usize] = self.0[self.0[at as usize] as usize];
            at = self.0[at as usize];
        }
        at
    }

    fn join(&mut self, one: StepId, other: StepId) {
        let (one, other) = (self.head(one), self.head(other));
        let (first, second) = (one.min(other), one.max(other));
        self.0[second as usize] = first;
    }
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;
    use proptest::prelude::*;

    use super::*;
    use crate::archive::Section;
    use crate::plan::{Choices, build};

    fn entries(of: &[(&str, &str, &[EntryId])]) -> Vec<Entry> {
        let entries = (1..).zip(of).map(|(id, (kind, name, needs))| Entry {
            schema: Some("public".to_owned()),
            create: vec![format!("CREATE {kind} {name}")],
            depends_on: needs.to_vec(),
            ..Entry::new(id, kind, name, Section::PreData)
        });
        entries.collect()
    }

    fn of(entries: &[Entry]) -> Lanes {
        let plan = build(entries, |_| None, &Choices::default()).unwrap();
        lanes(&plan, entries)
    }

    #[test]
    fn what_belongs_together_is_a_family() {
        let entries = entries(&[
            ("SCHEMA", "s", &[]),
            ("TABLE", "a", &[1]),
            ("TABLE", "b", &[1]),
            ("SEQUENCE", "b_id_seq", &[1]),
            ("SEQUENCE OWNED BY", "b_id_seq", &[3, 4]),
            ("TABLE", "child", &[1, 2]),
            ("DEFAULT", "b id", &[3, 4]),
            ("TYPE", "t", &[1]),
        ]);
        let lanes = of(&entries);
        assert_eq!(lanes.before, [0, 7]);
        assert_eq!(lanes.families, [vec![1, 5], vec![2, 3, 4, 6]]);
        assert_eq!(lanes.after, [0; 0]);
    }

    #[test]
    fn what_needs_a_table_comes_last_and_what_needs_that_too() {
        let entries = entries(&[
            ("TABLE", "a", &[]),
            ("FUNCTION", "f(a)", &[1]),
            ("TABLE", "b", &[2]),
            ("VIEW", "v", &[]),
            ("TABLE", "c", &[]),
        ]);
        let lanes = of(&entries);
        assert_eq!(lanes.before, [3]);
        assert_eq!(lanes.families, [[0], [4]]);
        assert_eq!(lanes.after, [1, 2]);
    }

    #[test]
    fn names_that_could_collide_are_one_family() {
        let long = "x".repeat(60);
        let (one, other) = (format!("{long}123"), format!("{long}456"));
        let entries = entries(&[
            ("TABLE", "a", &[]),
            ("TABLE", &one, &[]),
            ("TABLE", "__a", &[]),
            ("TABLE", &other, &[]),
        ]);
        assert_eq!(of(&entries).families, [[0, 2], [1, 3]]);
        assert_eq!(root("__é"), "é");
        assert_eq!(root(&"é".repeat(40)), "é".repeat(24));
    }

    proptest! {
        #[test]
        fn all_is_made_once_and_behind_what_it_needs(
            drawn in proptest::collection::vec(
                (0..5_usize, proptest::collection::vec(0..60_u32, 0..3)), 1..60)
        ) {
            let kinds = ["TABLE", "SEQUENCE", "TYPE", "VIEW", "DEFAULT"];
            let names: Vec<String> = (0..drawn.len()).map(|at| format!("n{at}")).collect();
            let needs: Vec<Vec<EntryId>> = (0_u32..)
                .zip(&drawn)
                .map(|(at, (_, needs))| {
                    needs.iter().map(|need| need + 1).filter(|&need| need <= at).collect()
                })
                .collect();
            let of_all: Vec<(&str, &str, &[EntryId])> = drawn
                .iter()
                .zip(&names)
                .zip(&needs)
                .map(|(((kind, _), name), needs)| (kinds[*kind], name.as_str(), needs.as_slice()))
                .collect();
            let entries = entries(&of_all);
            let plan = build(&entries, |_| None, &Choices::default()).unwrap();
            let lanes = lanes(&plan, &entries);
            // Of each step: when, and in which family.
            let mut place: HashMap<StepId, (Phase, usize)> = HashMap::new();
            let families = lanes.families.iter().enumerate();
            let families = families.flat_map(|(at, steps)| {
                steps.iter().map(move |&step| (step, (Phase::Families, at)))
            });
            let before = lanes.before.iter().map(|&step| (step, (Phase::Before, 0)));
            let after = lanes.after.iter().map(|&step| (step, (Phase::After, 0)));
            let mut count = 0;
            for (step, at) in before.chain(families).chain(after) {
                place.insert(step, at);
                count += 1;
            }
            prop_assert_eq!(count, entries.len());
            prop_assert_eq!(place.len(), entries.len());
            for step in plan.steps.iter().take(entries.len()) {
                let own = place[&step.id];
                for need in &step.depends_on {
                    let need = place[need];
                    prop_assert!(need.0 < own.0 || need == own);
                }
            }
            for steps in lanes.families.iter().chain([&lanes.before, &lanes.after]) {
                prop_assert!(steps.is_sorted());
            }
        }
    }
}
