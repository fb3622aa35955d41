//! From rendered objects to the archive's table of contents.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::mpsc::sync_channel;

use crate::archive::{
    CopyFormat, DataSpec, Entry, EntryId, FRAME_IN_PACK_MAX, Form, Lock, Pass, Piece, Section,
    StatisticsOf,
};
use crate::catalog::RowForm;
use crate::ddl::{self, Rendered, Renderer};
use crate::error::{Error, Kind, Result};
use crate::graph::{self, Node, Order, Ordered};
use crate::model::{Address, Class, Database, Oid, PlannerStatistics, Relation};
use crate::select::LeaveOut;
use crate::task::cores;

use super::DumpOptions;
use super::chunk::{Chunk, Cursor};
use super::copy::TableCopy;
use super::roles::NamedRoles;
use super::statistics::{RELATIONS_PER_ENTRY, StatisticsTask};

/// What there is to read for a table of contents.
#[derive(Default)]
pub(super) struct Contents {
    /// Number of entries.
    pub entries: usize,
    pub tables: Vec<TableTask>,
    pub large_objects: Vec<LargeObjectTask>,
    pub statistics: Vec<StatisticsTask>,
    /// By what the rows of the tables are written.
    pub row_form: RowForm,
}

/// A table to be read.
#[derive(Clone)]
pub(super) struct TableTask {
    pub entry: EntryId,
    /// `schema.table` for messages, as the user would write it.
    pub label: String,
    /// Quoted name.
    pub sql_name: String,
    pub copy: TableCopy,
    /// Heap and TOAST.
    pub bytes: u64,
    /// The heap alone, if ranges of its pages can be read.
    pub heap_bytes: Option<u64>,
}

/// A group of large objects to be read.
#[derive(Clone)]
pub(super) struct LargeObjectTask {
    pub entry: EntryId,
    pub oids: Vec<Oid>,
}

/// Nodes that are rendered at a time.
const RENDERED_AT_ONCE: usize = 1024;

/// Renders every node in order, maps the wanted ones to entries, and collects what data is to be read. Each
/// entry is handed over as soon as it is known: with very many objects the entries take as much memory
/// as all that they are made of, which is still needed then.
pub(super) fn contents(
    database: &Database,
    order: &Order,
    options: &DumpOptions,
    take: impl FnMut(Entry) -> Result<()>,
) -> Result<Contents> {
    let renderer = Renderer::new(database, order);
    let count = order.nodes.len().div_ceil(RENDERED_AT_ONCE);
    let render = |part: usize| {
        let from = part * RENDERED_AT_ONCE;
        let to = order.nodes.len().min(from + RENDERED_AT_ONCE);
        options.quoting.scope(|| renderer.range(from..to))
    };
    let mut listing = Listing::new(database, order, options, take);
    in_order(count, render, |rendered| {
        options
            .quoting
            .scope(|| rendered.into_iter().try_for_each(|one| listing.add(one)))
    })?;
    options.quoting.scope(|| listing.finish())
}

/// How many tables have rows to be read, and how many of them are small enough for a pack.
pub(super) fn count_tables(
    database: &Database,
    order: &Order,
    options: &DumpOptions,
) -> (usize, usize) {
    if !options.sections.has(Section::Data) {
        return (0, 0);
    }
    let data = order.nodes.iter().filter_map(|ordered| match ordered.node {
        Node::TableData(oid) => Some(oid),
        _ => None,
    });
    let data: HashSet<Oid> = data.collect();
    let relations = database.relations.iter();
    let small = relations.filter(|relation| {
        relation.bytes <= FRAME_IN_PACK_MAX && data.contains(&relation.header.address.oid)
    });
    (data.len(), small.count())
}

/// The table of contents while it grows.
struct Listing<'a, T> {
    take: T,
    database: &'a Database,
    order: &'a Order,
    options: &'a DumpOptions,
    relations: HashMap<Oid, &'a Relation>,
    named: NamedRoles<'a>,
    contents: Contents,
    /// For each node so far the number of its entry, if it has one.
    ids: Vec<Option<EntryId>>,
    relation_entries: HashMap<Oid, EntryId>,
    refreshes: HashMap<Oid, EntryId>,
    /// Where in the order relations are made.
    made_at: HashMap<Oid, usize>,
    /// Entries that were not handed over yet, since one of them locks what comes later.
    waiting: VecDeque<Waiting>,
}

/// An entry whose locks are still those of relations on the source.
struct Waiting {
    entry: Entry,
    /// Its own, and those of its pieces behind them.
    locked: Vec<Vec<ddl::Locked>>,
    /// How far the order must have come until all of them are known.
    until: usize,
}

impl<'a, T: FnMut(Entry) -> Result<()>> Listing<'a, T> {
    fn new(database: &'a Database, order: &'a Order, options: &'a DumpOptions, take: T) -> Self {
        let made_at = (0..).zip(&order.nodes).filter_map(|(at, ordered)| {
            let Node::Object(address) = ordered.node else {
                return None;
            };
            (address.class == Class::Relation).then_some((address.oid, at))
        });
        Self {
            take,
            database,
            order,
            options,
            relations: database
                .relations
                .iter()
                .map(|relation| (relation.header.address.oid, relation))
                .collect(),
            named: NamedRoles::new(database),
            contents: Contents::default(),
            ids: Vec::with_capacity(order.nodes.len()),
            relation_entries: HashMap::new(),
            refreshes: HashMap::new(),
            made_at: made_at.collect(),
            waiting: VecDeque::new(),
        }
    }

    /// Takes the next node of the order.
    fn add(&mut self, rendered: Rendered) -> Result<()> {
        let (order, database, options) = (self.order, self.database, self.options);
        let ordered = order.nodes.get(self.ids.len()).ok_or_else(|| {
            Error::new(Kind::Failed, "more objects were written than are in order")
        })?;
        let wanted = options.sections.has(section_of(ordered))
            && options.leave_out.kind(rendered.kind).is_none();
        if !wanted {
            self.ids.push(None);
            return Ok(());
        }
        let contents = &mut self.contents;
        contents.entries += 1;
        let id = EntryId::try_from(contents.entries).map_err(|_| too_many())?;
        self.ids.push(Some(id));
        if let Node::Object(Address {
            class: Class::Relation,
            oid,
        }) = ordered.node
        {
            self.relation_entries.insert(oid, id);
        }
        let data = match ordered.node {
            Node::TableData(oid) => {
                let relations = &self.relations;
                let relation = relations.get(&oid).ok_or_else(|| missing("table", oid))?;
                contents.row_form.add(relation);
                let task = table_task(id, relation, relations, options, database)?;
                let spec = DataSpec::Table {
                    format: task.copy.format,
                    columns: task.copy.columns.clone(),
                    types: task.copy.types.clone(),
                    declared: task.copy.declared.clone(),
                    copy_out: task.copy.copy_out(),
                    copy_in: task.copy.copy_in.clone(),
                };
                contents.tables.push(task);
                Some(spec)
            }
            Node::LargeObjectData(group) => {
                let group = database
                    .large_objects
                    .get(group as usize)
                    .ok_or_else(|| missing("group of large objects", group))?;
                contents.large_objects.push(LargeObjectTask {
                    entry: id,
                    oids: group.objects.iter().map(|object| object.oid).collect(),
                });
                Some(DataSpec::LargeObjects)
            }
            _ => None,
        };
        if let Node::Refresh(oid) = ordered.node {
            self.refreshes.insert(oid, id);
        }
        let mut depends_on: Vec<EntryId> = ordered
            .depends_on
            .iter()
            .filter_map(|&position| self.ids[position])
            .collect();
        depends_on.sort_unstable();
        depends_on.dedup();
        depends_on.shrink_to_fit();
        let mut locked = vec![rendered.locks];
        let split = rendered.split.into_iter().map(|piece| {
            locked.push(piece.locks);
            Piece {
                create: piece.create,
                locks: Vec::new(),
            }
        });
        let split = split.collect();
        let leave_out = options.leave_out;
        // Those of privileges that are left out do not count.
        let roles = if rendered.privileges.is_empty() || !leave_out.privileges {
            self.named.of(ordered.node)
        } else {
            Vec::new()
        };
        let mut entry = Entry {
            id,
            pass: pass_of(rendered.kind),
            kind: rendered.kind.to_owned(),
            schema: rendered.schema,
            name: rendered.name,
            relation: rendered.relation,
            owner: rendered.owner.filter(|_| !leave_out.owners),
            section: section_of(ordered),
            depends_on,
            locks: Vec::new(),
            tablespace: rendered.tablespace.filter(|_| !leave_out.tablespaces),
            access_method: rendered
                .access_method
                .filter(|_| !leave_out.table_access_methods),
            create: rendered.create,
            split,
            drop: rendered.drop,
            set_owner: unless(leave_out.owners, rendered.set_owner),
            privileges: unless(leave_out.privileges, rendered.privileges),
            comments: unless(leave_out.comments, rendered.comments),
            labels: unless(leave_out.security_labels, rendered.labels),
            roles,
            version: rendered.version,
            data,
            forms: rendered
                .forms
                .into_iter()
                .filter_map(|form| form_of(form, leave_out))
                .collect(),
        };
        if options.extension_versions {
            entry.pin_version();
        }
        let relations = locked.iter().flatten().map(|lock| lock.relation);
        let until = relations.filter_map(|oid| Some(self.made_at.get(&oid)? + 1));
        let until = until.max().unwrap_or(0);
        self.waiting.push_back(Waiting {
            entry,
            locked,
            until,
        });
        self.hand_over()
    }

    /// Hands over, in their order, all entries whose locks are on what has an entry by now, or never will.
    fn hand_over(&mut self) -> Result<()> {
        while let Some(Waiting { entry, locked, .. }) = self
            .waiting
            .pop_front_if(|waiting| waiting.until <= self.ids.len())
        {
            let mut entry = entry;
            let entries = &self.relation_entries;
            let mut locked = locked.into_iter().map(|of| locks(&of, entries));
            entry.locks = locked.next().unwrap_or_default();
            for (piece, locks) in entry.split.iter_mut().zip(locked) {
                piece.locks = locks;
            }
            (self.take)(entry)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Contents> {
        self.hand_over()?;
        let Self {
            mut take,
            database,
            order,
            options,
            mut contents,
            ids,
            relation_entries,
            refreshes,
            waiting,
            ..
        } = self;
        if ids.len() != order.nodes.len() || !waiting.is_empty() {
            return Err(Error::new(
                Kind::Failed,
                format!(
                    "{} objects are in order, and {} were written",
                    order.nodes.len(),
                    ids.len() - waiting.len()
                ),
            ));
        }
        let post_data = options.sections.has(Section::PostData);
        if post_data && !options.leave_out.statistics {
            let wanted = &database.planner_statistics;
            for (number, group) in (1..).zip(groups(wanted)) {
                contents.entries += 1;
                let id = EntryId::try_from(contents.entries).map_err(|_| too_many())?;
                let entry = statistics_entry(id, number, group, &relation_entries, &refreshes);
                take(entry)?;
                let task = StatisticsTask::new(id, group.to_vec());
                contents.statistics.push(task);
            }
        }
        Ok(contents)
    }
}

/// Does parts 0, 1, … `count`, on several threads when there are many of them, and hands over what comes
/// of them in their order. Little is done ahead, so that little is held.
fn in_order<T: Send>(
    count: usize,
    part: impl Fn(usize) -> Result<T> + Sync,
    mut take: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let threads = cores().min(count);
    if threads < 2 {
        return (0..count).try_for_each(|at| take(part(at)?));
    }
    let part = &part;
    std::thread::scope(|scope| {
        let mut done = Vec::with_capacity(threads);
        for thread in 0..threads {
            let (sender, receiver) = sync_channel(2);
            // Whoever does not wait for it any more has failed.
            let work = move || {
                for at in (thread..count).step_by(threads) {
                    if sender.send(part(at)).is_err() {
                        break;
                    }
                }
            };
            let builder = std::thread::Builder::new().name(String::from("definitions"));
            let spawned = builder.spawn_scoped(scope, work);
            spawned.map_err(|error| Error::new(Kind::Failed, format!("thread: {error}")))?;
            done.push(receiver);
        }
        (0..count).try_for_each(|at| {
            let failed = |_| Error::new(Kind::Failed, "a thread has stopped");
            take(done[at % threads].recv().map_err(failed)??)
        })
    })
}

/// Locks on relations that the archive makes.
fn locks(of: &[ddl::Locked], entries: &HashMap<Oid, EntryId>) -> Vec<Lock> {
    let mut locks: Vec<Lock> = of
        .iter()
        .filter_map(|lock| {
            let on = *entries.get(&lock.relation)?;
            Some(Lock {
                on,
                mode: lock.mode,
            })
        })
        .collect();
    locks.sort_unstable_by_key(|lock| (lock.on, lock.mode));
    locks.dedup();
    locks
}

/// A form without the lists that are left out; none if only those are different.
pub(super) fn form_of(form: ddl::Form, leave_out: LeaveOut) -> Option<Form> {
    let had_lists = form.has_lists();
    let unless = |left_out: bool, list: Option<Vec<String>>| list.filter(|_| !left_out);
    let form = ddl::Form {
        set_owner: unless(leave_out.owners, form.set_owner),
        privileges: unless(leave_out.privileges, form.privileges),
        comments: unless(leave_out.comments, form.comments),
        labels: unless(leave_out.security_labels, form.labels),
        ..form
    };
    let matters = !had_lists || form.has_lists() || form.impossible.is_some();
    matters.then_some(Form {
        since: form.since,
        before: form.before,
        create: form.create,
        drop: form.drop,
        set_owner: form.set_owner,
        privileges: form.privileges,
        comments: form.comments,
        labels: form.labels,
        notes: form.notes,
        impossible: form.impossible,
    })
}

/// Cuts a list of relations into the groups that make an entry each, a table's indexes with it.
fn groups(mut rest: &[PlannerStatistics]) -> impl Iterator<Item = &[PlannerStatistics]> {
    std::iter::from_fn(move || {
        let begins_table = |at: &usize| rest[*at].table.is_none();
        let end = if rest.len() <= RELATIONS_PER_ENTRY {
            rest.len()
        } else {
            let cut = (1..=RELATIONS_PER_ENTRY).rev().find(begins_table);
            cut.unwrap_or(RELATIONS_PER_ENTRY)
        };
        let (group, after) = rest.split_at(end);
        rest = after;
        (!group.is_empty()).then_some(group)
    })
}

/// The entry of a group of statistics. What it tells of need not be there for it: a restore passes
/// over the relations that are missing. But a refresh must come before.
fn statistics_entry(
    id: EntryId,
    number: usize,
    group: &[PlannerStatistics],
    entries: &HashMap<Oid, EntryId>,
    refreshes: &HashMap<Oid, EntryId>,
) -> Entry {
    let mut depends_on: Vec<EntryId> = group
        .iter()
        .filter_map(|of| refreshes.get(&of.relation).copied())
        .collect();
    depends_on.sort_unstable();
    let relations = group
        .iter()
        .map(|of| match entries.get(&of.relation) {
            Some(entry) => StatisticsOf::Entry(*entry),
            None => StatisticsOf::Named {
                schema: of.schema.clone(),
                name: of.name.clone(),
                table: of.table.clone(),
            },
        })
        .collect();
    Entry {
        id,
        kind: String::from("STATISTICS DATA"),
        schema: None,
        name: format!("part {number}"),
        relation: None,
        owner: None,
        version: None,
        roles: Vec::new(),
        section: Section::PostData,
        pass: Pass::Last,
        depends_on,
        locks: Vec::new(),
        tablespace: None,
        access_method: None,
        split: Vec::new(),
        create: Vec::new(),
        drop: Vec::new(),
        set_owner: Vec::new(),
        privileges: Vec::new(),
        comments: Vec::new(),
        labels: Vec::new(),
        data: Some(DataSpec::Statistics { relations }),
        forms: Vec::new(),
    }
}

fn too_many() -> Error {
    Error::new(Kind::Failed, "more than four thousand million objects")
}

/// The statements, unless they are of a class that is left out.
pub(super) fn unless(left_out: bool, statements: Vec<String>) -> Vec<String> {
    if left_out { Vec::new() } else { statements }
}

fn section_of(ordered: &Ordered) -> Section {
    match ordered.section {
        graph::Section::PreData => Section::PreData,
        graph::Section::Data => Section::Data,
        graph::Section::PostData => Section::PostData,
    }
}

/// The kind of entries that are nothing but privileges.
const DEFAULT_ACL: &str = "DEFAULT ACL";

fn missing(what: &str, oid: Oid) -> Error {
    Error::new(
        Kind::Failed,
        format!("{what} {oid} is in the order and not in the model"),
    )
}

/// Default privileges must not touch objects that are still to be made; event triggers must not
/// fire on the restore; refreshes need everything.
fn pass_of(kind: &str) -> Pass {
    match kind {
        DEFAULT_ACL => Pass::Privileges,
        "EVENT TRIGGER" | "MATERIALIZED VIEW DATA" => Pass::Last,
        _ => Pass::Main,
    }
}

fn table_task(
    entry: EntryId,
    relation: &Relation,
    relations: &HashMap<Oid, &Relation>,
    options: &DumpOptions,
    database: &Database,
) -> Result<TableTask> {
    let root = match relation.load_via_root {
        Some(root) => {
            let known = relations.get(&root).copied();
            Some(known.ok_or_else(|| missing("partition root", root))?)
        }
        None => None,
    };
    let copy = TableCopy::new(
        relation,
        root,
        options.copy_format,
        &database.properties.encoding,
    )?;
    // Ranges of ctid are quick from 14 on (TID range scan), and mean pages only in the heap. Before,
    // each would be a scan of the whole table. Ranges of a key would be read in the order of the key, page
    // by page all over the table unless it was written in that order, and cost an index scan even so:
    // one session reads the table from its beginning to its end faster than several would.
    let heap = relation
        .access_method
        .as_deref()
        .is_none_or(|am| am == "heap");
    let can_be_cut = database.version.at_least(14) && heap && copy.can_be_cut();
    Ok(TableTask {
        entry,
        label: format!(
            "{}.{}",
            relation.header.schema.as_deref().unwrap_or_default(),
            relation.header.name
        ),
        sql_name: relation.header.sql_name(),
        copy,
        bytes: relation.bytes,
        heap_bytes: can_be_cut.then_some(relation.heap_bytes),
    })
}

impl TableTask {
    /// From where `jobs` workers take chunks, if it is worth cutting.
    pub fn cursor(&self, jobs: usize) -> Option<Cursor> {
        Cursor::new(self.heap_bytes?, self.bytes, jobs)
    }

    /// The statement that reads one of its chunks.
    pub fn statement(&self, chunk: Chunk) -> String {
        match chunk.range {
            None => self.copy.copy_out(),
            Some(range) => self.copy.copy_out_range(range),
        }
    }

    /// Format of its frames.
    pub fn format(&self) -> CopyFormat {
        self.copy.format
    }
}
