//! From entries to steps.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::arrange::{TargetNeeds, arrange, target_needs};
use super::choices::{Choices, InPieces, Parts};
use super::relations::{Relations, is_relation};
use super::select::{Selected, entry_of, is_database, select};
use super::served::{columns_of_foreign_key, serves};
use super::step::{Analyzed, Barrier, Plan, Step, StepId, Work};
use super::versions::adapted;
use crate::archive::{
    DataSpec, Entry, EntryId, Lock, LockMode, Pass, Piece, Section, StatisticsOf,
};
use crate::error::{Error, Kind, Result};

/// Makes a plan of an archive's entries, which were [adapted](super::adapt) to
/// [`Choices::target`], if there is one. Rows wait only for rows that the archive itself puts first
/// ([`rows_first`](crate::archive::rows_first)): from a pipe they could wait for others for ever.
/// `raw_bytes` gives the size of an entry's rows before
/// compression, where it is known.
///
/// # Errors
/// [`Kind::Usage`] for a malformed pattern, [`Kind::Failed`] when patterns match nothing,
/// [`Kind::Archive`] when entries are not numbered 1, 2, … or depend on later ones.
pub fn build(
    entries: &[Entry],
    raw_bytes: impl Fn(EntryId) -> Option<u64>,
    choices: &Choices,
) -> Result<Plan> {
    check(entries)?;
    let relations = Relations::new(entries);
    let Selected {
        wanted,
        omitted,
        needed,
        impossible,
        pulled,
        ends,
        warnings: of_selection,
        order,
        without_statistics,
    } = select(entries, &relations, choices)?;
    let is_wanted = |id: EntryId| {
        (id as usize)
            .checked_sub(1)
            .and_then(|at| wanted.get(at))
            .copied()
            .unwrap_or(false)
    };

    let (database, restored): (Vec<&Entry>, Vec<&Entry>) = entries
        .iter()
        .filter(|entry| is_wanted(entry.id))
        .partition(|entry| is_database(entry));
    let through = carried_over(entries, &is_wanted);
    let target_needs = target_needs(entries, &relations, &is_wanted, choices);
    let restored = arrange(restored, &order, &through, &target_needs);
    // What was not selected is not dropped; what is missing is not there to be dropped.
    let came_along: BTreeSet<EntryId> = pulled.iter().map(|pulled| pulled.entry).collect();
    // With the database itself dropped, nothing is left to drop in it.
    let drops = if choices.clean && (choices.adopt || !choices.create) {
        let droppable = restored.iter().rev().filter(|entry| !entry.drop.is_empty());
        let droppable = droppable.filter(|entry| !came_along.contains(&entry.id));
        droppable.map(|entry| entry.id).collect()
    } else {
        Vec::new()
    };

    let restored_relations: Vec<EntryId> = restored
        .iter()
        .filter(|entry| is_index(entry))
        .filter_map(|entry| relations.relation_of(entry))
        .collect();
    let mut builder = Builder {
        relations,
        raw_bytes: entries
            .iter()
            .filter(|entry| entry.data.is_some())
            .filter_map(|entry| Some((entry.id, raw_bytes(entry.id)?)))
            .collect(),
        through,
        target_needs,
        steps: Vec::new(),
        last_step: HashMap::new(),
        first_piece: HashMap::new(),
        indexed: indexed(&restored_relations),
        stages: HashMap::new(),
        barriers: BTreeMap::new(),
        sessions: choices.sessions.max(1) as u64,
        from_nothing: choices.sections.pre_data && choices.parts != Parts::Rows,
        served: HashMap::new(),
    };
    builder.stage(Stage::Definitions, &restored, choices);
    builder.barrier(Barrier::Definitions, &[Stage::Definitions], None);
    builder.stage(Stage::Rows, &restored, choices);
    builder.barrier(Barrier::Rows, &[Stage::Rows], Some(Barrier::Definitions));
    if choices.vacuum {
        builder.vacuum(&restored);
    }
    builder.stage(Stage::AfterRows, &restored, choices);
    builder.barrier(Barrier::Main, &[Stage::AfterRows], Some(Barrier::Rows));
    builder.privileges(&database, &restored, choices);
    builder.barrier(
        Barrier::Privileges,
        &[Stage::Privileges],
        Some(Barrier::Main),
    );
    builder.stage(Stage::Last, &restored, choices);
    if choices.analyze {
        builder.barrier(Barrier::Last, &[Stage::Last], Some(Barrier::Privileges));
        builder.analyze(entries, &is_wanted, choices);
    }

    let adapted = adapted(database.iter().chain(&restored).copied(), choices);
    let mut warnings = std::mem::take(&mut builder.target_needs.warnings);
    warnings.extend(of_selection);
    Ok(Plan {
        globals: Vec::new(),
        database: database.iter().map(|entry| entry.id).collect(),
        drops,
        steps: builder.finish(),
        omitted,
        needed,
        impossible,
        adapted,
        pulled,
        ends,
        warnings,
        without_statistics,
    })
}

/// What the rest relies on, whatever wrote the archive.
fn check(entries: &[Entry]) -> Result<()> {
    for (position, entry) in entries.iter().enumerate() {
        if entry.id as usize != position + 1 {
            return Err(Error::new(
                Kind::Archive,
                format!(
                    "table of contents: entry number {} in place {}",
                    entry.id,
                    position + 1
                ),
            ));
        }
        let statistics = match &entry.data {
            Some(DataSpec::Statistics { relations }) => relations.as_slice(),
            _ => &[],
        };
        let locks = entry.all_locks().map(|lock| lock.on);
        let locks = locks.chain(statistics.iter().filter_map(|of| match of {
            StatisticsOf::Entry(id) => Some(*id),
            StatisticsOf::Named { .. } => None,
        }));
        let unknown = |id: &EntryId| *id == 0 || *id as usize > entries.len();
        if let Some(id) = locks.chain(entry.depends_on.iter().copied()).find(unknown) {
            return Err(Error::new(
                Kind::Archive,
                format!(
                    "table of contents: {} names entry {id}, which is not there",
                    entry.describe()
                ),
            ));
        }
        if let Some(id) = entry.depends_on.iter().find(|&&id| id >= entry.id) {
            return Err(Error::new(
                Kind::Archive,
                format!(
                    "table of contents: {} depends on entry {id}, which comes later",
                    entry.describe()
                ),
            ));
        }
    }
    Ok(())
}

/// For each entry what its dependants must wait for: itself, or when it is left out, what it
/// would have waited for.
fn carried_over(entries: &[Entry], is_wanted: &impl Fn(EntryId) -> bool) -> Vec<Vec<EntryId>> {
    let mut through: Vec<Vec<EntryId>> = Vec::with_capacity(entries.len());
    for entry in entries {
        let stands_for = if is_wanted(entry.id) {
            vec![entry.id]
        } else {
            let behind: BTreeSet<EntryId> = entry
                .depends_on
                .iter()
                .filter_map(|&id| through.get(id as usize - 1))
                .flatten()
                .copied()
                .collect();
            behind.into_iter().collect()
        };
        through.push(stands_for);
    }
    through
}

/// What is made of a table with no more rows than this, in bytes before compression, is made so fast
/// that a transaction of its own would cost more.
const QUICK_BYTES: u64 = 1 << 20;

/// The foreign keys of a table with fewer rows than this, in bytes before compression, are checked as they are.
const VACUUM_BYTES: u64 = 8 << 20;

/// How much of what an index build takes goes into a VACUUM of a table as it was loaded, and into the check of a
/// foreign key that need not look at rows.
const VACUUM_SHARE: u64 = 3;
const SERVED_SHARE: u64 = 4;

/// Stages in their order; between them stand the barriers, but rows and what comes after them
/// overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Stage {
    Definitions,
    Rows,
    AfterRows,
    Privileges,
    Last,
}

struct Builder<'a> {
    relations: Relations<'a>,
    raw_bytes: BTreeMap<EntryId, u64>,
    through: Vec<Vec<EntryId>>,
    target_needs: TargetNeeds,
    steps: Vec<Step>,
    /// The step after which an entry is there, and its stage.
    last_step: HashMap<EntryId, (StepId, Stage)>,
    /// Of what is made in pieces, the first.
    first_piece: HashMap<EntryId, StepId>,
    /// Relations that get more than one index.
    indexed: BTreeSet<EntryId>,
    stages: HashMap<Stage, Vec<StepId>>,
    barriers: BTreeMap<Barrier, StepId>,
    sessions: u64,
    /// Whether the definitions of tables are made, so that their rows are those of the archive.
    from_nothing: bool,
    /// Of foreign keys that an index serves: that index, and the steps that vacuum its table and the other.
    served: HashMap<EntryId, Served>,
}

/// What the check of a foreign key waits for, to be quick.
struct Served {
    index: EntryId,
    vacuums: Vec<StepId>,
}

impl Builder<'_> {
    fn stage_of(&self, entry: &Entry) -> Stage {
        match (entry.pass, entry.section) {
            (Pass::Main, Section::PreData) if self.target_needs.late.contains(&entry.id) => {
                Stage::AfterRows
            }
            (Pass::Main, Section::PreData) => Stage::Definitions,
            (Pass::Main, Section::Data) => Stage::Rows,
            (Pass::Main, Section::PostData) => Stage::AfterRows,
            (Pass::Privileges, _) => Stage::Privileges,
            (Pass::Last, _) => Stage::Last,
        }
    }

    fn next_id(&self) -> StepId {
        StepId::try_from(self.steps.len()).unwrap_or(StepId::MAX)
    }

    fn barrier_id(&self, barrier: Barrier) -> Option<StepId> {
        self.barriers.get(&barrier).copied()
    }

    fn barrier(&mut self, barrier: Barrier, after: &[Stage], previous: Option<Barrier>) {
        let mut depends_on: Vec<StepId> = previous
            .and_then(|previous| self.barrier_id(previous))
            .into_iter()
            .collect();
        for stage in after {
            depends_on.extend(self.stages.get(stage).into_iter().flatten());
        }
        let pass = match barrier {
            Barrier::Definitions | Barrier::Rows | Barrier::Main => Pass::Main,
            Barrier::Privileges => Pass::Privileges,
            Barrier::Last => Pass::Last,
        };
        let section = match barrier {
            Barrier::Definitions => Section::PreData,
            Barrier::Rows => Section::Data,
            Barrier::Main | Barrier::Privileges | Barrier::Last => Section::PostData,
        };
        self.barriers.insert(barrier, self.next_id());
        self.steps.push(Step {
            id: self.next_id(),
            work: Work::Barrier(barrier),
            entry: None,
            piece: None,
            name: String::new(),
            section,
            pass,
            cost: 0,
            is_quick: false,
            is_served: false,
            priority: 0,
            depends_on,
            locks: Vec::new(),
        });
    }

    /// Every entry of a stage other than privileges.
    fn stage(&mut self, stage: Stage, restored: &[&Entry], choices: &Choices) {
        let of_stage = |entry: &&&Entry| self.stage_of(entry) == stage;
        let entries: Vec<&Entry> = restored.iter().filter(of_stage).copied().collect();
        for entry in entries {
            let mut before = self.before(entry, stage);
            if let Some(served) = self.served.get(&entry.id) {
                let index = self.first_piece.get(&served.index).copied();
                let whole = || Some(self.last_step.get(&served.index)?.0);
                let more = served.vacuums.iter().copied().chain(index.or_else(whole));
                let all: BTreeSet<StepId> = before.into_iter().chain(more).collect();
                before = all.into_iter().collect();
            }
            let locks = self.locks(entry, &entry.locks, stage);
            let looks_at = self.looks_at(entry, stage);
            let is_known = looks_at.iter().all(|id| self.raw_bytes.contains_key(id));
            let largest = looks_at.iter().filter_map(|id| self.raw_bytes.get(id));
            let largest = largest.max().copied().unwrap_or(0);
            let cost = self.cost(entry, stage, largest);
            let is_quick = self.from_nothing
                && stage == Stage::AfterRows
                && is_known
                && largest <= QUICK_BYTES;
            if stage == Stage::AfterRows && self.in_pieces(entry, choices) {
                self.pieces(entry, cost, before);
                continue;
            }
            if has_statements(entry, stage, choices) || entry.data.is_none() {
                let id = self.push(entry, Work::Statements, stage, cost, before, locks.clone());
                self.steps[id as usize].is_quick = is_quick;
                before = vec![id];
            }
            let work = match &entry.data {
                Some(DataSpec::Table { .. }) => Work::Rows,
                Some(DataSpec::LargeObjects) => Work::LargeObjects,
                Some(DataSpec::Statistics { .. }) => Work::Statistics,
                None => continue,
            };
            let cost = self.raw_bytes.get(&entry.id).copied().unwrap_or(0);
            self.push(entry, work, stage, cost, before, locks);
        }
    }

    /// Has large tables vacuumed, as soon as their rows are there, whose foreign keys an index serves: the
    /// check then compares one index with the other, where it would have to look at each row to
    /// find that it is one that counts.
    fn vacuum(&mut self, restored: &[&Entry]) {
        if !self.from_nothing {
            return;
        }
        let is_foreign_key = |entry: &&&Entry| entry.kind == "FK CONSTRAINT";
        let mut indexes: HashMap<EntryId, Vec<&Entry>> = HashMap::new();
        for index in restored.iter().filter(|entry| is_index(entry)) {
            if let Some(table) = self.relations.relation_of(index) {
                indexes.entry(table).or_default().push(index);
            }
        }
        let by_id: HashMap<EntryId, &Entry> =
            restored.iter().map(|&entry| (entry.id, entry)).collect();
        let mut vacuums: BTreeMap<EntryId, StepId> = BTreeMap::new();
        for key in restored.iter().filter(is_foreign_key) {
            let Some(table) = self.relations.relation_of(key) else {
                continue;
            };
            if self.large_rows(table).is_none() {
                continue;
            }
            let Some(columns) = columns_of_foreign_key(key) else {
                continue;
            };
            let mut of_table = indexes.get(&table).into_iter().flatten();
            let Some(index) = of_table.find(|index| serves(index, &columns)) else {
                continue;
            };
            let mut waits_for = Vec::new();
            for relation in self.relations.touched(key) {
                let Some((rows, bytes)) = self.large_rows(relation) else {
                    continue;
                };
                let of_rows = by_id.get(&rows);
                let (Some(of_rows), Some(&loaded)) = (of_rows, self.last_step.get(&rows)) else {
                    continue;
                };
                let step = vacuums.get(&rows).copied().unwrap_or_else(|| {
                    let lock = Lock {
                        on: relation,
                        mode: LockMode::ShareUpdateExclusive,
                    };
                    let cost = bytes / VACUUM_SHARE;
                    let (work, stage) = (Work::Vacuum, Stage::AfterRows);
                    let step = self.push(of_rows, work, stage, cost, vec![loaded.0], vec![lock]);
                    // Its rows are there before.
                    self.last_step.insert(rows, loaded);
                    step
                });
                vacuums.insert(rows, step);
                waits_for.push(step);
            }
            let served = Served {
                index: index.id,
                vacuums: waits_for,
            };
            self.served.insert(key.id, served);
        }
    }

    /// The entry with the rows of a table, and their bytes, if it is large.
    fn large_rows(&self, table: EntryId) -> Option<(EntryId, u64)> {
        let &[rows] = self.relations.rows_of(table) else {
            return None;
        };
        let bytes = self.raw_bytes.get(&rows).copied()?;
        (bytes >= VACUUM_BYTES).then_some((rows, bytes))
    }

    /// What a step costs. `largest` is the size of the largest table that it could look at.
    fn cost(&self, entry: &Entry, stage: Stage, largest: u64) -> u64 {
        let size_of = |relations: BTreeSet<EntryId>| -> u64 {
            let rows = relations
                .iter()
                .flat_map(|&relation| self.relations.rows_of(relation));
            let rows: BTreeSet<&EntryId> = rows.collect();
            let sizes = rows.into_iter().filter_map(|id| self.raw_bytes.get(id));
            sizes.sum()
        };
        if stage != Stage::AfterRows {
            return largest;
        }
        match entry.kind.as_str() {
            // Of a partitioned table nothing is read; its partitions have their own.
            "INDEX" | "CONSTRAINT" => {
                let relation = self.relations.relation_of(entry);
                size_of(relation.into_iter().collect())
            }
            // The rows of one tree, looked up in those of the other.
            "FK CONSTRAINT" => {
                let own = self.relations.relation_of(entry);
                let own = self.relations.with_descendants(own);
                let others = self.relations.touched(entry);
                let others = others.into_iter().filter(|id| !own.contains(id));
                let others = self.relations.with_descendants(others);
                let size = size_of(own).max(size_of(others));
                match self.served.contains_key(&entry.id) {
                    true => size / SERVED_SHARE,
                    false => size,
                }
            }
            // Nothing but the catalogs.
            "INDEX ATTACH" | "POLICY" | "PUBLICATION TABLE" | "ROW SECURITY" | "RULE"
            | "STATISTICS" | "TRIGGER" => 0,
            _ => largest,
        }
    }

    /// Whether an entry is made in pieces: where it has some, and another can use the time. A restore
    /// that goes on with an earlier one must decide as that did, so neither sizes nor the number of
    /// sessions count.
    fn in_pieces(&self, entry: &Entry, choices: &Choices) -> bool {
        if entry.split.is_empty() {
            return false;
        }
        match (entry.kind.as_str(), choices.in_pieces) {
            (_, InPieces::Nothing) | ("FK CONSTRAINT", InPieces::Keys) => false,
            ("FK CONSTRAINT", InPieces::All) => true,
            // The only index of its table has nothing beside it.
            (_, InPieces::Keys | InPieces::All) => {
                let relation = self.relations.relation_of(entry);
                relation.is_some_and(|relation| self.indexed.contains(&relation))
            }
        }
    }

    /// The pieces of an entry, one behind the other. The longest is the one with the weakest locks.
    fn pieces(&mut self, entry: &Entry, cost: u64, mut before: Vec<StepId>) {
        let strongest = |piece: &Piece| piece.locks.iter().map(|lock| lock.mode).max();
        let weakest = entry.split.iter().map(strongest).min().flatten();
        let count = entry.split.len();
        for (number, piece) in (0..).zip(&entry.split) {
            let cost = if strongest(piece) == weakest { cost } else { 0 };
            let locks = self.locks(entry, &piece.locks, Stage::AfterRows);
            let (work, stage) = (Work::Statements, Stage::AfterRows);
            let id = self.push(entry, work, stage, cost, before, locks);
            let step = &mut self.steps[id as usize];
            step.piece = Some(number);
            step.name = format!("{} ({} of {count})", step.name, number + 1);
            self.first_piece.entry(entry.id).or_insert(id);
            before = vec![id];
        }
    }

    fn push(
        &mut self,
        entry: &Entry,
        work: Work,
        stage: Stage,
        cost: u64,
        depends_on: Vec<StepId>,
        locks: Vec<Lock>,
    ) -> StepId {
        let id = self.next_id();
        self.steps.push(Step {
            id,
            work,
            entry: Some(entry.id),
            piece: None,
            name: entry.describe(),
            section: entry.section,
            pass: match stage {
                Stage::Privileges => Pass::Privileges,
                Stage::Last => Pass::Last,
                _ => Pass::Main,
            },
            cost,
            is_quick: false,
            is_served: self.served.contains_key(&entry.id),
            priority: 0,
            depends_on,
            locks,
        });
        if stage != Stage::Privileges || entry.pass == Pass::Privileges {
            self.last_step.insert(entry.id, (id, stage));
        }
        self.stages.entry(stage).or_default().push(id);
        id
    }

    /// The steps that one must wait for.
    fn before(&self, entry: &Entry, stage: Stage) -> Vec<StepId> {
        let mut before = BTreeSet::new();
        let carried = entry
            .depends_on
            .iter()
            .filter_map(|&id| self.through.get(id as usize - 1))
            .flatten();
        let rows = self
            .target_needs
            .before
            .get(&entry.id)
            .into_iter()
            .flatten();
        for id in carried.chain(rows) {
            match self.last_step.get(id) {
                // Between other stages stands a barrier; and what belongs to a later stage is not
                // waited for, whatever an archive says.
                Some(&(_, other))
                    if other != stage && (other, stage) != (Stage::Rows, Stage::AfterRows) => {}
                Some(&(step, _)) => {
                    // A foreign key needs the unique index, not the constraint on it.
                    let index = self.first_piece.get(id);
                    let index = index.filter(|_| entry.kind == "FK CONSTRAINT");
                    before.insert(index.copied().unwrap_or(step));
                }
                None => {}
            }
        }
        if stage == Stage::AfterRows {
            let rows = self.looks_at(entry, stage);
            let alone = rows.is_empty() && self.relations.touched(entry).is_empty();
            before.extend(
                rows.iter()
                    .filter_map(|id| self.last_step.get(id))
                    .map(|&(step, _)| step),
            );
            // Without a relation there is no telling what it would do to the loading of rows:
            // a publication of all tables, a function in somebody's trigger.
            if alone {
                before.extend(self.barrier_id(Barrier::Rows));
            }
        }
        before.extend(match stage {
            Stage::Definitions => None,
            Stage::Rows | Stage::AfterRows => self.barrier_id(Barrier::Definitions),
            Stage::Privileges => self.barrier_id(Barrier::Main),
            Stage::Last => self.barrier_id(Barrier::Privileges),
        });
        before.into_iter().collect()
    }

    /// Entries with rows that a step reads, scans or must not disturb: those of the relations it
    /// touches and of their partitions and children (a trigger on a partitioned table is one on
    /// each partition, a foreign key looks at the rows of all).
    fn looks_at(&self, entry: &Entry, stage: Stage) -> Vec<EntryId> {
        if stage != Stage::AfterRows && stage != Stage::Last {
            return Vec::new();
        }
        self.relations
            .with_descendants(self.relations.touched(entry))
            .into_iter()
            .flat_map(|relation| self.relations.rows_of(relation))
            .copied()
            .collect()
    }

    /// Locks with those that are implied: on the table that is loaded, on the relation it hangs
    /// on, on partitions and children.
    fn locks(&self, entry: &Entry, own: &[Lock], stage: Stage) -> Vec<Lock> {
        let mut strongest: BTreeMap<EntryId, LockMode> = BTreeMap::new();
        let mut take = |on: EntryId, mode: LockMode| {
            let held = strongest.entry(on).or_insert(mode);
            *held = held.and(mode);
        };
        match stage {
            Stage::Rows => {
                for table in self.relations.written_by(entry) {
                    take(table, LockMode::RowExclusive);
                }
                for lock in own {
                    take(lock.on, lock.mode);
                }
            }
            Stage::AfterRows | Stage::Last => {
                let itself = is_relation(entry).then_some(entry.id);
                let hangs_on = self.relations.relation_of(entry).or(itself);
                let named = own.iter().map(|lock| (lock.on, lock.mode));
                let implied = hangs_on
                    .filter(|&relation| own.iter().all(|lock| lock.on != relation))
                    .map(|relation| (relation, implied_mode(&entry.kind)));
                for (on, mode) in named.chain(implied) {
                    for relation in self.relations.with_descendants([on]) {
                        take(relation, mode);
                    }
                }
            }
            // Run one after the other, by one session.
            Stage::Definitions | Stage::Privileges => {}
        }
        strongest
            .into_iter()
            .map(|(on, mode)| Lock { on, mode })
            .collect()
    }

    /// The privileges of every entry, in the order of the archive.
    fn privileges(&mut self, database: &[&Entry], restored: &[&Entry], choices: &Choices) {
        if choices.leave_out.privileges {
            return;
        }
        for entry in database.iter().chain(restored) {
            let stage = self.stage_of(entry);
            // What comes last takes its privileges with it.
            let given = match stage {
                Stage::Last => false,
                Stage::Privileges => true,
                _ => !entry.privileges.is_empty(),
            };
            if given {
                let before = self.before(entry, Stage::Privileges);
                self.push(
                    entry,
                    Work::Privileges,
                    Stage::Privileges,
                    0,
                    before,
                    Vec::new(),
                );
            }
        }
    }

    /// Every table whose rows are restored, every materialized view that is refreshed, and the
    /// partitioned tables above them.
    fn analyze(
        &mut self,
        entries: &[Entry],
        is_wanted: &impl Fn(EntryId) -> bool,
        choices: &Choices,
    ) {
        // With rows alone the tables are there already.
        let stands =
            |id: EntryId| is_wanted(id) || choices.parts == Parts::Rows && choices.filter.is_all();
        let is_table = |id: EntryId| entry_of(entries, id).is_some_and(|e| e.kind == "TABLE");
        let has_rows = |relations: &Relations<'_>, id: EntryId| {
            let rows = relations.rows_of(id);
            rows.iter().any(|&rows| is_wanted(rows))
        };
        // A partitioned table has no rows of its own, and partitions that have some.
        let mut roots: BTreeMap<EntryId, BTreeSet<EntryId>> = BTreeMap::new();
        let mut within = BTreeSet::new();
        for entry in entries.iter().filter(|entry| is_table(entry.id)) {
            if !stands(entry.id) || !self.relations.rows_of(entry.id).is_empty() {
                continue;
            }
            let mut below = self.relations.with_descendants([entry.id]);
            below.remove(&entry.id);
            if below.iter().any(|&id| has_rows(&self.relations, id)) {
                within.extend(below.iter().copied());
                roots.insert(entry.id, below);
            }
        }
        let mut wanted: Vec<(EntryId, Analyzed, u64)> = Vec::new();
        let size = |builder: &Self, id| builder.raw_bytes.get(&id).copied().unwrap_or(0);
        for entry in entries {
            let id = entry.id;
            if let Some(below) = roots.get(&id) {
                let rows = below.iter().flat_map(|&id| self.relations.rows_of(id));
                let bytes = rows.map(|&rows| size(self, rows)).sum();
                let analyzed = match within.contains(&id) {
                    true => Analyzed::Branch,
                    false => Analyzed::Root,
                };
                wanted.push((id, analyzed, bytes));
            }
            let is_table = matches!(entry.data, Some(DataSpec::Table { .. }));
            if is_wanted(id) && (is_table || entry.kind == "MATERIALIZED VIEW DATA") {
                let table = self.relations.relation_of(entry);
                let analyzed = match table.is_some_and(|table| within.contains(&table)) {
                    true => Analyzed::Partition,
                    false => Analyzed::Table,
                };
                wanted.push((id, analyzed, size(self, id)));
            }
        }
        let before = self.barrier_id(Barrier::Last);
        for (id, analyzed, cost) in wanted {
            if let Some(entry) = entry_of(entries, id) {
                let before = before.into_iter().collect();
                let work = Work::Analyze(analyzed);
                self.push(entry, work, Stage::Last, cost, before, Vec::new());
            }
        }
    }

    /// For each step what its locks keep from running beside it: the other long steps that need a table
    /// for themselves, smaller ones, and then what can share it, shared out to all sessions. That way
    /// foreign keys of one table, which can only be checked one after the other, come before its
    /// indexes, which can be built side by side at the end.
    fn kept_back(&self) -> Vec<u64> {
        let mut shared: HashMap<EntryId, u64> = HashMap::new();
        let mut alone: BTreeMap<EntryId, Vec<(Reverse<u64>, StepId)>> = BTreeMap::new();
        let long = |step: &&Step| step.work == Work::Statements && step.cost > 0;
        for step in self.steps.iter().filter(long) {
            for lock in &step.locks {
                if lock.mode.conflicts(lock.mode) {
                    let steps = alone.entry(lock.on).or_default();
                    steps.push((Reverse(step.cost), step.id));
                } else if lock.mode >= LockMode::ShareUpdateExclusive {
                    let shared = shared.entry(lock.on).or_default();
                    *shared = shared.saturating_add(step.cost);
                }
            }
        }
        let mut kept_back = vec![0u64; self.steps.len()];
        for (relation, mut steps) in alone {
            steps.sort_unstable();
            let mut rest = shared.get(&relation).map_or(0, |cost| cost / self.sessions);
            for (Reverse(cost), id) in steps.into_iter().rev() {
                let kept = &mut kept_back[id as usize];
                *kept = (*kept).max(rest);
                rest = rest.saturating_add(cost);
            }
        }
        kept_back
    }

    fn finish(mut self) -> Vec<Step> {
        // Dependants come after, so one walk from the end sees all of them first.
        let mut behind = self.kept_back();
        for at in (0..self.steps.len()).rev() {
            let step = &mut self.steps[at];
            step.priority = step.cost.saturating_add(behind[at]);
            // Barriers wait for everything: passing costs through them would rank all alike.
            if matches!(step.work, Work::Barrier(_)) {
                continue;
            }
            let priority = step.priority;
            for &before in &self.steps[at].depends_on {
                let before = &mut behind[before as usize];
                *before = (*before).max(priority);
            }
        }
        self.steps
    }
}

/// Whether an entry makes an index, by itself or with a constraint.
fn is_index(entry: &Entry) -> bool {
    entry.section == Section::PostData && ["INDEX", "CONSTRAINT"].contains(&entry.kind.as_str())
}

/// Those that are there more than once.
fn indexed(relations: &[EntryId]) -> BTreeSet<EntryId> {
    let mut seen = BTreeSet::new();
    let again = relations.iter().filter(|&&relation| !seen.insert(relation));
    again.copied().collect()
}

/// Whether there is anything to run before rows.
fn has_statements(entry: &Entry, stage: Stage, choices: &Choices) -> bool {
    let leave_out = &choices.leave_out;
    !entry.create.is_empty()
        || !leave_out.owners && !entry.set_owner.is_empty()
        || !leave_out.comments && !entry.comments.is_empty()
        || !leave_out.security_labels && !entry.labels.is_empty()
        || stage == Stage::Last && !leave_out.privileges && !entry.privileges.is_empty()
}

/// The lock on the relation that an entry hangs on, where the entry does not say.
fn implied_mode(kind: &str) -> LockMode {
    match kind {
        "INDEX" => LockMode::Share,
        "FK CONSTRAINT" | "TRIGGER" => LockMode::ShareRowExclusive,
        "STATISTICS" => LockMode::ShareUpdateExclusive,
        _ => LockMode::AccessExclusive,
    }
}
