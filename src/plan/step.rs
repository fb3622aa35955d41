//! The plan and its parts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::archive::{EntryId, Lock, Pass, Section};
use crate::error::counted;

/// Position of a step in [`Plan::steps`].
pub type StepId = u32;

/// A point that everything before it must reach before anything after it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Barrier {
    /// All definitions stand: rows may be loaded.
    Definitions,
    /// All rows are loaded.
    Rows,
    /// Everything of the main pass is done: privileges may be given.
    Main,
    /// All privileges are given: what comes last may start.
    Privileges,
    /// Everything is restored: tables may be analyzed. Only there when they are.
    Last,
}

/// What a table is to those around it that are analyzed too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Analyzed {
    /// It stands alone.
    Table,
    /// It is a partition, of a tree whose root is analyzed as well.
    Partition,
    /// The root of a tree of partitions; it has no rows of its own.
    Root,
    /// A partitioned table below such a root.
    Branch,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Runs the statements that make the entry, with owner, comments and labels.
    Statements,
    /// Loads the entry's rows.
    Rows,
    /// Writes the contents of large objects.
    LargeObjects,
    /// Gives the entry's privileges.
    Privileges,
    /// Hands statistics of relations to the server.
    Statistics,
    /// Has the server note which pages of the entry's table hold nothing but rows that all see: what
    /// looks at keys alone need not look at rows then.
    Vacuum,
    /// Has the server compute the statistics of the entry's table.
    Analyze(Analyzed),
    /// Nothing: other steps wait for it.
    Barrier(Barrier),
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its position in the plan; steps in order of their ids are a correct serial restore.
    pub id: StepId,
    /// What is done.
    pub work: Work,
    /// The entry that it is done for; none for a barrier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryId>,
    /// With [`Work::Statements`]: which of the entry's pieces, from 0; none when it is made at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub piece: Option<u32>,
    /// The entry as `KIND schema.name`; a piece of it with its number.
    pub name: String,
    /// The entry's section.
    pub section: Section,
    /// The pass it belongs to.
    pub pass: Pass,
    /// Raw bytes of COPY data that it moves, or that it must look at; 0 when not known.
    pub cost: u64,
    /// Whether it is known to look at few rows, or none: such steps may share a transaction.
    #[serde(skip)]
    pub is_quick: bool,
    /// With a foreign key: whether an index serves its check, behind a VACUUM of what it looks at.
    #[serde(skip)]
    pub is_served: bool,
    /// Its cost and that of the longest chain of steps that wait for it, or that its locks keep
    /// from running beside it.
    pub priority: u64,
    /// Steps that must be done before; all smaller than its own id.
    pub depends_on: Vec<StepId>,
    /// Locks that it takes on relations (named by their entries), children included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<Lock>,
}

/// A COPY takes about so many times as long as an index build that looks at the same rows (TPC-H).
const LOADING: u64 = 3;

impl Step {
    /// With the work that waits for it, when `left` bytes of its rows are not loaded and so many sessions load
    /// them: to be compared with the priorities of steps that load none.
    pub fn urgency(&self, left: u64, sessions: usize) -> u64 {
        let behind = self.priority.saturating_sub(self.cost);
        let loading = left.saturating_mul(LOADING) / sessions.max(1) as u64;
        loading.saturating_add(behind)
    }
}

/// Why an entry is left out, as far as a program may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Options want other sections, other parts, or none of its class.
    Options,
    /// It is not among the objects or schemas that are named.
    NotSelected,
    /// A pattern excludes it, or the list does not have it.
    Excluded,
    /// It is wanted and ties two objects together, and only one of them is restored.
    OtherEnd,
    /// It is not selected, but ties something that is restored to something that is not.
    FromOtherEnd,
    /// The target's version does not know it, or not what it needs.
    Impossible,
}

/// An entry of the archive that is not restored, or not wholly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Omitted {
    /// The entry.
    pub entry: EntryId,
    /// The entry as `KIND schema.name`.
    pub name: String,
    /// Why.
    pub reason: String,
    /// The sort of reason.
    pub cause: Cause,
}

/// An entry that was not selected and is restored because a selected one needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pulled {
    /// The entry.
    pub entry: EntryId,
    /// The entry as `KIND schema.name`.
    pub name: String,
    /// What needs it, as `KIND schema.name`.
    pub needed_by: String,
}

/// An entry that is not restored although restored ones need it: the target must have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Needed {
    /// The entry.
    pub entry: EntryId,
    /// The entry as `KIND schema.name`.
    pub name: String,
    /// Whether the target was asked and has it.
    pub found: bool,
}

/// An entry that is made in another way than on the source, because the target is of another
/// version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Adapted {
    /// The entry.
    pub entry: EntryId,
    /// The entry as `KIND schema.name`.
    pub name: String,
    /// What is lost, or different; nothing when it is only worded in another way.
    pub notes: Vec<String>,
}

/// What a restore will do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Roles, tablespaces and the like that are made before all else where they are not there
    /// yet, in order, each as `KIND name`.
    pub globals: Vec<String>,
    /// Entries that make and set up the database, in order; only with `--create`.
    pub database: Vec<EntryId>,
    /// Entries whose objects are dropped first, in order; only with `--clean`.
    pub drops: Vec<EntryId>,
    /// The steps.
    pub steps: Vec<Step>,
    /// What is left out, in the archive's order.
    pub omitted: Vec<Omitted>,
    /// What the target must have already, in the archive's order.
    pub needed: Vec<Needed>,
    /// What the target cannot have, and all that needs it (`it needs KIND name`), in the archive's
    /// order; also among what is left out.
    pub impossible: Vec<Omitted>,
    /// What is restored in another way, because of the target's version.
    pub adapted: Vec<Adapted>,
    /// What is restored although it was not selected, in the archive's order.
    pub pulled: Vec<Pulled>,
    /// Unselected entries that ties of what is restored would hold to, if the target had them.
    #[serde(skip)]
    pub ends: Vec<EntryId>,
    /// What the user should know before it runs.
    pub warnings: Vec<String>,
    /// For entries with statistics: relations (by their position in the entry) whose statistics
    /// are not wanted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub without_statistics: BTreeMap<EntryId, BTreeSet<usize>>,
}

impl Plan {
    /// The steps of a kind of work, with their entries.
    pub fn steps_of(&self, work: Work) -> impl Iterator<Item = (&Step, EntryId)> {
        self.steps
            .iter()
            .filter(move |step| step.work == work)
            .filter_map(|step| Some((step, step.entry?)))
    }

    /// Whether anything is made that an empty database does not have.
    pub fn makes_definitions(&self) -> bool {
        self.steps
            .iter()
            .any(|step| step.work == Work::Statements && step.section == Section::PreData)
    }
}

impl fmt::Display for Plan {
    /// One line per step, then what is left out and why.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for global in &self.globals {
            writeln!(f, "unless it is there: {global}")?;
        }
        if !self.database.is_empty() {
            writeln!(f, "create the database")?;
        }
        if !self.drops.is_empty() {
            writeln!(f, "drop {}", counted(self.drops.len() as u64, "object"))?;
        }
        for step in &self.steps {
            if let Work::Barrier(barrier) = step.work {
                let point = match barrier {
                    Barrier::Definitions => "definitions",
                    Barrier::Rows => "rows",
                    Barrier::Main => "main pass",
                    Barrier::Privileges => "privileges",
                    Barrier::Last => "last pass",
                };
                writeln!(f, "{:>7}  -- {point} complete", step.id)?;
                continue;
            }
            write!(f, "{:>7}  {}", step.id, step.name)?;
            match step.work {
                Work::Privileges => f.write_str(" (privileges)")?,
                Work::Vacuum => f.write_str(" (vacuum)")?,
                Work::Analyze(_) => f.write_str(" (analyze)")?,
                _ => {}
            }
            if step.cost > 0 {
                write!(f, ", {} bytes", step.cost)?;
            }
            f.write_str("\n")?;
        }
        for adapted in &self.adapted {
            match adapted.notes.as_slice() {
                [] => writeln!(f, "adapted: {}: worded for the target", adapted.name)?,
                notes => writeln!(f, "adapted: {}: {}", adapted.name, notes.join("; "))?,
            }
        }
        for impossible in &self.impossible {
            writeln!(f, "impossible: {}: {}", impossible.name, impossible.reason)?;
        }
        for pulled in &self.pulled {
            writeln!(
                f,
                "pulled in: {}: needed by {}",
                pulled.name, pulled.needed_by
            )?;
        }
        for omitted in &self.omitted {
            writeln!(f, "left out: {}: {}", omitted.name, omitted.reason)?;
        }
        for needed in &self.needed {
            let state = match needed.found {
                true => "there already, not made again",
                false => "must be there already",
            };
            writeln!(f, "{state}: {}", needed.name)?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}
