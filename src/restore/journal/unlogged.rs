//! What a crash of the server takes although the journal says that it is done: a server that
//! recovers empties unlogged tables and sequences, as it empties the journal's own.

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::{DataSpec, Entry, EntryId, StatisticsOf};
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::Work;
use crate::restore::shared::Shared;
use crate::sql::{literal, name_parts};

/// Relations that are asked for at once.
const ASKED_AT_ONCE: usize = 1000;

/// How much of what an entry fills is unlogged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::restore) enum Extent {
    All,
    Some,
}

/// Schema and name.
type Name = (String, String);

/// Those of `entries` whose rows or values go into relations that are unlogged in the target: wholly,
/// or in part, where rows go through the root of a tree of which only some partitions are.
///
/// # Errors
/// What the server answers.
pub(in crate::restore) async fn unlogged(
    wire: &mut Wire,
    entries: impl Iterator<Item = &Entry>,
) -> Result<BTreeMap<EntryId, Extent>> {
    let mut by_name: BTreeMap<Name, Vec<EntryId>> = BTreeMap::new();
    for entry in entries {
        if let Some(name) = filled(entry) {
            by_name.entry(name).or_default().push(entry.id);
        }
    }
    let names: Vec<&Name> = by_name.keys().collect();
    let mut unlogged = BTreeMap::new();
    for group in names.chunks(ASKED_AT_ONCE) {
        for (name, extent) in ask(wire, group).await? {
            let entries = by_name.get(&name).into_iter().flatten();
            unlogged.extend(entries.map(|&id| (id, extent)));
        }
    }
    Ok(unlogged)
}

/// What is to be done again after a crash, of `done`: what fills unlogged relations, and the
/// statistics of those.
///
/// # Errors
/// What the server answers; [`Kind::Refused`] where only some of the rows are gone.
pub(super) async fn emptied(
    wire: &mut Wire,
    shared: &Shared,
    done: &BTreeSet<EntryId>,
) -> Result<BTreeSet<EntryId>> {
    let entries = done.iter().filter_map(|&id| shared.entry(id));
    let unlogged = unlogged(wire, entries).await?;
    let mut in_part = unlogged
        .iter()
        .filter(|(_, extent)| **extent == Extent::Some);
    if let Some(entry) = in_part.next().and_then(|(&id, _)| shared.entry(id)) {
        return Err(Error::new(
            Kind::Refused,
            format!(
                "rows of {} went into logged and unlogged partitions, and a crash of the server has \
                 emptied some of them",
                entry.describe()
            ),
        )
        .with_hint("begin anew: in a new database, or with --clean --if-exists"));
    }
    let unlogged: BTreeSet<EntryId> = unlogged.into_keys().collect();
    let tables: BTreeSet<Name> = unlogged
        .iter()
        .filter_map(|&id| filled(shared.entry(id)?))
        .collect();
    let is_of_one = |of: &StatisticsOf| {
        let table = match of {
            StatisticsOf::Entry(id) => shared.entry(*id).and_then(table),
            StatisticsOf::Named {
                schema,
                name,
                table,
            } => Some((schema.clone(), table.as_ref().unwrap_or(name).clone())),
        };
        table.is_some_and(|table| tables.contains(&table))
    };
    let has_one = |id: &EntryId| match shared.entry(*id).and_then(|entry| entry.data.as_ref()) {
        Some(DataSpec::Statistics { relations }) => relations.iter().any(is_of_one),
        _ => false,
    };
    let statistics = shared.plan.steps_of(Work::Statistics);
    let statistics: Vec<EntryId> = statistics.map(|(_, id)| id).filter(has_one).collect();
    Ok(unlogged.into_iter().chain(statistics).collect())
}

/// The table that an entry is of, or is itself.
fn table(entry: &Entry) -> Option<Name> {
    let name = entry.relation.as_ref().unwrap_or(&entry.name);
    Some((entry.schema.clone()?, name.clone()))
}

/// What an entry fills, as the target names it: rows of a partition may go into the root of its
/// tree.
fn filled(entry: &Entry) -> Option<Name> {
    match &entry.data {
        Some(DataSpec::Table { copy_in, .. }) => {
            let (parts, _) = copy_in.strip_prefix("COPY ").and_then(name_parts)?;
            <[String; 2]>::try_from(parts).ok().map(Into::into)
        }
        None if entry.kind == "SEQUENCE SET" => table(entry),
        _ => None,
    }
}

async fn ask(wire: &mut Wire, names: &[&Name]) -> Result<Vec<(Name, Extent)>> {
    let values: Vec<String> = names
        .iter()
        .map(|(schema, name)| format!("({}, {})", literal(schema), literal(name)))
        .collect();
    let query = format!(
        "SELECT w.schema, w.name, pg_catalog.bool_and(p.kept = 'u') \
         FROM (VALUES {}) AS w (schema, name) \
         JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema \
         JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name \
         CROSS JOIN LATERAL (\
         SELECT c.relpersistence AS kept WHERE c.relkind <> 'p' \
         UNION ALL \
         SELECT l.relpersistence FROM pg_catalog.pg_partition_tree(c.oid) t \
         JOIN pg_catalog.pg_class l ON l.oid = t.relid \
         WHERE c.relkind = 'p' AND t.isleaf AND l.relkind = 'r') p \
         GROUP BY w.schema, w.name HAVING pg_catalog.bool_or(p.kept = 'u')",
        values.join(", ")
    );
    let rows = wire
        .query(&query)
        .await
        .context_with(|| "ask which tables are unlogged")?;
    let mut unlogged = Vec::with_capacity(rows.len());
    for row in rows {
        let Ok([Some(schema), Some(name), Some(all)]) = <[Option<String>; 3]>::try_from(row) else {
            return Err(Error::new(Kind::Failed, "a relation without a name"));
        };
        let extent = match all.as_str() {
            "t" => Extent::All,
            _ => Extent::Some,
        };
        unlogged.push(((schema, name), extent));
    }
    Ok(unlogged)
}
