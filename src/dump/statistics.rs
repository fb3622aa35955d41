//! Reads planner statistics: some relations at a time, by a session that otherwise reads rows.
//!
//! They stand behind all rows in the archive, so that a restore from a pipe need not keep them.
//! A session that finds no more rows to read takes statistics while others still read, and keeps
//! what it has read, up to about a frame, until it may be written.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::archive::{ColumnStatistics, EntryId, Fingerprint, RelationStatistics};
use crate::catalog;
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result};
use crate::model::PlannerStatistics;
use crate::report::Observer;
use crate::sql::is_plain;

/// Most relations of one entry.
pub(super) const RELATIONS_PER_ENTRY: usize = 1000;

/// Most relations that are read at once; a query for each would cost a round trip for each.
const RELATIONS_PER_BATCH: usize = 64;

/// Most columns that are read at once, if they are of several relations: each can have some
/// hundreds of values of a kilobyte.
const COLUMNS_PER_BATCH: usize = 1024;

/// Statistics to be read for one entry.
pub(super) struct StatisticsTask {
    pub entry: EntryId,
    relations: Vec<PlannerStatistics>,
    batches: Vec<Range<usize>>,
}

impl StatisticsTask {
    pub fn new(entry: EntryId, relations: Vec<PlannerStatistics>) -> Self {
        let mut batches = Vec::new();
        let (mut first, mut columns) = (0, 0);
        for (at, relation) in relations.iter().enumerate() {
            let full = at - first == RELATIONS_PER_BATCH;
            if at > first && (full || columns + relation.columns > COLUMNS_PER_BATCH) {
                batches.push(first..at);
                (first, columns) = (at, 0);
            }
            columns += relation.columns;
        }
        batches.push(first..relations.len());
        Self {
            entry,
            relations,
            batches,
        }
    }

    /// Number of its batches, each a chunk of the entry.
    pub fn chunks(&self) -> usize {
        self.batches.len()
    }
}

/// What could not be read, counted by all sessions together.
#[derive(Default)]
pub(super) struct Unread {
    /// Relations with columns that the role may not see.
    hidden_relations: AtomicU64,
    hidden_columns: AtomicU64,
    /// Columns with values that are no text.
    garbled_columns: AtomicU64,
}

impl Unread {
    /// Says once what is missing.
    pub fn warn(&self, observer: &dyn Observer) {
        let columns = self.hidden_columns.load(Ordering::Relaxed);
        if columns > 0 {
            let relations = self.hidden_relations.load(Ordering::Relaxed);
            observer.warning_with_hint(
                format!(
                    "planner statistics of {columns} columns in {relations} relations are left \
                     out: this role may not see them"
                ),
                "dump as owner of the tables or as a superuser, or run ANALYZE after the restore",
            );
        }
        let garbled = self.garbled_columns.load(Ordering::Relaxed);
        if garbled > 0 {
            observer.warning_with_hint(
                format!(
                    "planner statistics of {garbled} columns are left out: they hold bytes that \
                     are not UTF-8"
                ),
                "run ANALYZE after the restore",
            );
        }
    }
}

/// Statistics that were read and are not written yet.
pub(super) struct Kept {
    pub entry: EntryId,
    pub chunk: usize,
    /// How many chunks the entry has.
    pub of: usize,
    /// A line for each relation.
    pub lines: Vec<Vec<u8>>,
    pub bytes: usize,
    pub fingerprint: Fingerprint,
}

/// Reads one batch of a task.
pub(super) async fn read(
    wire: &mut Wire,
    task: &StatisticsTask,
    chunk: usize,
    unread: &Unread,
) -> Result<Kept> {
    let relations = &task.relations[task.batches[chunk].clone()];
    let read = relations_of(wire, relations, unread)
        .await
        .context_with(|| "read planner statistics")?;
    let mut kept = Kept {
        entry: task.entry,
        chunk,
        of: task.chunks(),
        lines: Vec::with_capacity(read.len()),
        bytes: 0,
        fingerprint: Fingerprint::new(),
    };
    for relation in read {
        let line = relation.line()?;
        kept.fingerprint
            .add_row(line.strip_suffix(b"\n").unwrap_or(&line));
        kept.bytes += line.len();
        kept.lines.push(line);
    }
    Ok(kept)
}

async fn relations_of(
    wire: &mut Wire,
    relations: &[PlannerStatistics],
    unread: &Unread,
) -> Result<Vec<RelationStatistics>> {
    let version = wire.server_version();
    let names = catalog::relation_values(version);
    let rows = wire
        .query(&catalog::relations_query(relations, version))
        .await?;
    let mut found: BTreeMap<usize, RelationStatistics> = BTreeMap::new();
    for row in rows {
        let mut fields = row.into_iter();
        let at = position(fields.next().flatten().as_deref())?;
        let hidden = position(fields.next().flatten().as_deref())?;
        if hidden > 0 {
            unread.hidden_relations.fetch_add(1, Ordering::Relaxed);
            unread
                .hidden_columns
                .fetch_add(hidden as u64, Ordering::Relaxed);
        }
        let of = relations.get(at).ok_or_else(unexpected)?;
        let values = names.iter().zip(fields);
        let statistics = RelationStatistics {
            version: version.num(),
            schema: of.schema.clone(),
            relation: of.name.clone(),
            values: values
                .filter_map(|(name, value)| Some(((*name).to_owned(), value?)))
                .collect(),
            columns: Vec::new(),
        };
        found.insert(at, statistics);
    }

    let names = catalog::column_values(version);
    let rows = wire
        .query(&catalog::columns_query(relations, version))
        .await?;
    for row in rows {
        let mut fields = row.into_iter();
        let at = position(fields.next().flatten().as_deref())?;
        let (name, number, inherited) = (fields.next(), fields.next(), fields.next());
        let is_index = relations.get(at).is_some_and(|of| of.table.is_some());
        let number = number
            .flatten()
            .and_then(|number| number.parse().ok())
            .ok_or_else(unexpected)?;
        let values = names.iter().zip(fields);
        let column = ColumnStatistics {
            // The columns of an index are named by the server when it is made, and that may have
            // been another one.
            name: name.flatten().filter(|_| !is_index),
            number: is_index.then_some(number),
            inherited: inherited.flatten().as_deref() == Some("t"),
            values: values
                .filter_map(|(name, value)| Some(((*name).to_owned(), value?)))
                .collect(),
        };
        // Whether an archive has texts that older readers do not understand is said in front of it: names alone decide.
        if !column.values.values().all(|value| is_plain(value)) {
            unread.garbled_columns.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let relation = found.get_mut(&at).ok_or_else(unexpected)?;
        relation.columns.push(column);
    }
    let mut found: Vec<RelationStatistics> = found.into_values().collect();
    for relation in &mut found {
        relation.columns.sort_by(|a, b| order(a).cmp(&order(b)));
    }
    Ok(found)
}

/// Columns by name or number, whatever the server's collation.
fn order(column: &ColumnStatistics) -> (Option<u16>, Option<&str>, bool) {
    (column.number, column.name.as_deref(), column.inherited)
}

fn position(text: Option<&str>) -> Result<usize> {
    text.and_then(|text| text.parse().ok())
        .ok_or_else(unexpected)
}

fn unexpected() -> Error {
    Error::new(Kind::Failed, "the server gave statistics of something else")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{COLUMN_VALUES, RELATION_VALUES};
    use crate::sql::ServerVersion;

    #[test]
    fn what_is_read_is_what_can_be_restored() {
        let newest = ServerVersion::from_num(180_000);
        let columns: Vec<&str> = COLUMN_VALUES.iter().map(|(name, _)| *name).collect();
        assert_eq!(catalog::column_values(newest), columns);
        let relations: Vec<&str> = RELATION_VALUES.iter().map(|(name, _)| *name).collect();
        assert_eq!(catalog::relation_values(newest), relations);
        let old = ServerVersion::from_num(130_000);
        assert_eq!(catalog::column_values(old).len(), 10);
        assert_eq!(catalog::relation_values(old).len(), 3);
    }

    #[test]
    fn batches_cover_every_relation_once() {
        let of = |columns: &[usize]| {
            let relations = columns.iter().map(|&columns| PlannerStatistics {
                relation: 1,
                schema: String::new(),
                name: String::new(),
                table: None,
                columns,
            });
            StatisticsTask::new(1, relations.collect()).batches
        };
        assert_eq!(of(&[0; 129]), [0..64, 64..128, 128..129]);
        assert_eq!(of(&[2000, 600, 600, 3]), [0..1, 1..2, 2..4]);
        assert_eq!(of(&[1]).len(), 1);
    }
}
