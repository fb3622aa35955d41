//! From rendered objects to the archive's table of contents.

use std::collections::HashMap;

use crate::archive::{CopyFormat, DataSpec, Entry, EntryId, Lock, Pass, Section};
use crate::ddl::Rendered;
use crate::error::{Error, Kind, Result};
use crate::graph::{self, Node, Order};
use crate::model::{Address, Class, Database, Oid, Relation};

use super::CopyFormatChoice;
use super::chunk;
use super::copy::{PageRange, TableCopy};

/// The table of contents, and what there is to read for it.
pub(super) struct Contents {
    pub entries: Vec<Entry>,
    pub tables: Vec<TableTask>,
    pub large_objects: Vec<LargeObjectTask>,
}

/// A table to be read.
pub(super) struct TableTask {
    pub entry: EntryId,
    /// `schema.table` for messages, as the user would write it.
    pub label: String,
    /// Quoted name for LOCK TABLE.
    pub sql_name: String,
    pub copy: TableCopy,
    /// Heap and TOAST.
    pub bytes: u64,
    pub ranges: Vec<PageRange>,
}

/// A group of large objects to be read.
pub(super) struct LargeObjectTask {
    pub entry: EntryId,
    pub oids: Vec<Oid>,
}

/// Maps every node in order to an entry, and collects what data is to be read.
pub(super) fn contents(
    database: &Database,
    order: &Order,
    rendered: Vec<Rendered>,
    choice: CopyFormatChoice,
    jobs: usize,
) -> Result<Contents> {
    let relations: HashMap<Oid, &Relation> = database
        .relations
        .iter()
        .map(|relation| (relation.header.address.oid, relation))
        .collect();
    let mut relation_entries: HashMap<Oid, EntryId> = HashMap::new();
    for (position, ordered) in order.nodes.iter().enumerate() {
        if let Node::Object(Address {
            class: Class::Relation,
            oid,
        }) = ordered.node
        {
            relation_entries.insert(oid, entry_id(position)?);
        }
    }
    let mut contents = Contents {
        entries: Vec::with_capacity(order.nodes.len()),
        tables: Vec::new(),
        large_objects: Vec::new(),
    };
    for (position, (ordered, rendered)) in order.nodes.iter().zip(rendered).enumerate() {
        let id = entry_id(position)?;
        let mut data = None;
        match ordered.node {
            Node::TableData(oid) => {
                let relation = relations.get(&oid).ok_or_else(|| missing("table", oid))?;
                let task = table_task(id, relation, &relations, choice, database, jobs)?;
                data = Some(DataSpec::Table {
                    format: task.copy.format,
                    columns: task.copy.columns.clone(),
                    copy_out: task.copy.copy_out(),
                    copy_in: task.copy.copy_in.clone(),
                });
                contents.tables.push(task);
            }
            Node::LargeObjectData(group) => {
                let group = database
                    .large_objects
                    .get(group as usize)
                    .ok_or_else(|| missing("group of large objects", group))?;
                data = Some(DataSpec::LargeObjects);
                contents.large_objects.push(LargeObjectTask {
                    entry: id,
                    oids: group.objects.iter().map(|object| object.oid).collect(),
                });
            }
            _ => {}
        }
        let mut depends_on = ordered
            .depends_on
            .iter()
            .map(|&position| entry_id(position))
            .collect::<Result<Vec<_>>>()?;
        depends_on.sort_unstable();
        depends_on.dedup();
        let mut locks: Vec<Lock> = rendered
            .locks
            .iter()
            .filter_map(|lock| {
                let on = *relation_entries.get(&lock.relation)?;
                Some(Lock {
                    on,
                    mode: lock.mode,
                })
            })
            .collect();
        locks.sort_unstable_by_key(|lock| (lock.on, lock.mode));
        locks.dedup();
        contents.entries.push(Entry {
            id,
            pass: pass_of(rendered.kind),
            kind: rendered.kind.to_owned(),
            schema: rendered.schema,
            name: rendered.name,
            relation: rendered.relation,
            owner: rendered.owner,
            section: match ordered.section {
                graph::Section::PreData => Section::PreData,
                graph::Section::Data => Section::Data,
                graph::Section::PostData => Section::PostData,
            },
            depends_on,
            locks,
            tablespace: rendered.tablespace,
            access_method: rendered.access_method,
            create: rendered.create,
            drop: rendered.drop,
            set_owner: rendered.set_owner,
            privileges: rendered.privileges,
            comments: rendered.comments,
            labels: rendered.labels,
            data,
        });
    }
    Ok(contents)
}

fn entry_id(position: usize) -> Result<EntryId> {
    EntryId::try_from(position + 1)
        .map_err(|_| Error::new(Kind::Failed, "more than four thousand million objects"))
}

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
        "DEFAULT ACL" => Pass::Privileges,
        "EVENT TRIGGER" | "MATERIALIZED VIEW DATA" => Pass::Last,
        _ => Pass::Main,
    }
}

fn table_task(
    entry: EntryId,
    relation: &Relation,
    relations: &HashMap<Oid, &Relation>,
    choice: CopyFormatChoice,
    database: &Database,
    jobs: usize,
) -> Result<TableTask> {
    let loaded_into = match relation.load_via_root {
        Some(root) => relations
            .get(&root)
            .ok_or_else(|| missing("partition root", root))?
            .header
            .sql_name(),
        None => relation.header.sql_name(),
    };
    let copy = TableCopy::new(
        relation,
        &loaded_into,
        choice,
        &database.properties.encoding,
    )?;
    // Ranges of ctid are quick from 14 on (TID range scan), and mean pages only in the heap.
    let heap = relation
        .access_method
        .as_deref()
        .is_none_or(|am| am == "heap");
    let ranges = if database.version.at_least(14) && heap && copy.can_be_cut() {
        chunk::cut(relation.heap_bytes, relation.bytes, jobs)
    } else {
        vec![PageRange { from: 0, to: None }]
    };
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
        ranges,
    })
}

impl TableTask {
    /// The statement that reads one of its chunks.
    pub fn statement(&self, chunk: usize) -> String {
        match self.ranges.as_slice() {
            [_] | [] => self.copy.copy_out(),
            ranges => self.copy.copy_out_range(ranges[chunk]),
        }
    }

    /// Format of its frames.
    pub fn format(&self) -> CopyFormat {
        self.copy.format
    }
}
