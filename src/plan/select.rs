//! Which entries are restored, and why the others are not.

use std::collections::{BTreeMap, BTreeSet};

use super::choices::{Choices, Parts};
use super::pattern::Pattern;
use super::relations::{Relations, is_relation};
use super::step::{Needed, Omitted};
use super::versions::leave_out_impossible;
use crate::archive::{DataSpec, Entry, EntryId};
use crate::error::{Error, Kind, Result};

/// Kinds that make or set up the database itself.
const DATABASE_KINDS: [&str; 2] = ["DATABASE", "DATABASE PROPERTIES"];

/// Kinds that only tie two things together: pointless unless both are restored.
const TIE_KINDS: [&str; 6] = [
    "FK CONSTRAINT",
    "TABLE ATTACH",
    "INDEX ATTACH",
    "SEQUENCE OWNED BY",
    "PUBLICATION TABLE",
    "PUBLICATION TABLES IN SCHEMA",
];

/// Whether an entry makes or sets up the database itself.
pub(super) fn is_database(entry: &Entry) -> bool {
    DATABASE_KINDS.contains(&entry.kind.as_str())
}

/// Whether an entry is data: rows, sequence values, large objects, refreshes.
fn is_rows(entry: &Entry) -> bool {
    entry.section == crate::archive::Section::Data
        || entry.data.is_some()
        || entry.kind == "MATERIALIZED VIEW DATA"
}

/// What was selected.
pub(super) struct Selected {
    /// By position: whether the entry is restored.
    pub(super) wanted: Vec<bool>,
    pub(super) omitted: Vec<Omitted>,
    pub(super) needed: Vec<Needed>,
    pub(super) impossible: Vec<Omitted>,
}

/// Decides for every entry.
pub(super) fn select(
    entries: &[Entry],
    relations: &Relations<'_>,
    choices: &Choices,
) -> Result<Selected> {
    let names = Names::new(entries, relations, choices)?;
    let mut reasons: BTreeMap<EntryId, String> = BTreeMap::new();
    for entry in entries {
        if let Some(reason) = refusal(entry, choices, &names) {
            reasons.insert(entry.id, reason);
        }
    }
    // Left out by name: then ties that would dangle go too. Entries left out for their section or
    // part do not count, the target is expected to have those.
    for entry in entries
        .iter()
        .filter(|e| TIE_KINDS.contains(&e.kind.as_str()))
    {
        if reasons.contains_key(&entry.id) {
            continue;
        }
        let ends = relations.touched(entry).into_iter();
        let dangling = ends
            .chain(entry.depends_on.iter().copied())
            .filter_map(|id| entry_of(entries, id))
            .filter(|end| {
                is_relation(end)
                    || names.hangs_on.contains_key(&end.id)
                    || end.kind == "PUBLICATION"
            })
            .find(|end| names.refuses(end).is_some());
        if let Some(end) = dangling {
            let reason = format!("{} is not restored", end.describe());
            reasons.insert(entry.id, reason);
        }
    }

    let impossible = leave_out_impossible(entries, choices, is_rows, &mut reasons);
    let wanted: Vec<bool> = entries
        .iter()
        .map(|entry| !reasons.contains_key(&entry.id))
        .collect();
    let is_wanted = |id: EntryId| wanted.get(id as usize - 1).copied().unwrap_or(false);
    let missing: BTreeSet<EntryId> = entries
        .iter()
        .filter(|entry| is_wanted(entry.id))
        .flat_map(|entry| entry.depends_on.iter().copied())
        .filter(|&id| !is_wanted(id))
        .collect();
    let needed = missing
        .into_iter()
        .filter_map(|id| entry_of(entries, id))
        .filter(|entry| !is_rows(entry) && !is_database(entry))
        .map(|entry| Needed {
            entry: entry.id,
            name: entry.describe(),
        })
        .collect();
    let omitted = entries
        .iter()
        .filter_map(|entry| {
            Some(Omitted {
                entry: entry.id,
                name: entry.describe(),
                reason: reasons.remove(&entry.id)?,
            })
        })
        .collect();
    Ok(Selected {
        wanted,
        omitted,
        needed,
        impossible,
    })
}

pub(super) fn entry_of(entries: &[Entry], id: EntryId) -> Option<&Entry> {
    entries.get((id as usize).checked_sub(1)?)
}

/// Why an entry is left out on its own account.
fn refusal(entry: &Entry, choices: &Choices, names: &Names) -> Option<String> {
    if is_database(entry) {
        return (!choices.create).then(|| "only with --create".to_owned());
    }
    if !choices.sections.has(entry.section) {
        return Some("its section is not wanted".to_owned());
    }
    match choices.parts {
        Parts::Definitions if is_rows(entry) => {
            return Some("only definitions are wanted".to_owned());
        }
        Parts::Rows if !is_rows(entry) => return Some("only rows are wanted".to_owned()),
        _ => {}
    }
    if let Some(class) = choices.leave_out.kind(&entry.kind) {
        return Some(format!("{class} are left out"));
    }
    if names.excluded_rows.contains(&entry.id) {
        return Some("rows of its table are left out".to_owned());
    }
    names.refuses(entry)
}

/// What names say: independent of sections and parts.
struct Names {
    schemas: Vec<Pattern>,
    exclude_schemas: Vec<Pattern>,
    /// Relations that `-t` names, and the sequences that belong to them.
    chosen: Option<BTreeSet<EntryId>>,
    /// Relations that `-T` names.
    excluded: BTreeSet<EntryId>,
    excluded_rows: BTreeSet<EntryId>,
    /// The relation that each entry hangs on.
    hangs_on: BTreeMap<EntryId, EntryId>,
}

impl Names {
    fn new(entries: &[Entry], relations: &Relations<'_>, choices: &Choices) -> Result<Self> {
        let filter = &choices.filter;
        let compile = |texts: &[String], read: fn(&str) -> Result<Pattern>| {
            texts
                .iter()
                .map(|text| read(text))
                .collect::<Result<Vec<_>>>()
        };
        let schemas = compile(&filter.schemas, Pattern::schema)?;
        let exclude_schemas = compile(&filter.exclude_schemas, Pattern::schema)?;
        let tables = compile(&filter.tables, Pattern::relation)?;
        let exclude_tables = compile(&filter.exclude_tables, Pattern::relation)?;
        let exclude_rows = compile(&filter.exclude_table_data, Pattern::relation)?;

        let hangs_on: BTreeMap<EntryId, EntryId> = entries
            .iter()
            .filter_map(|entry| Some((entry.id, relations.relation_of(entry)?)))
            .collect();
        let matching = |patterns: &[Pattern]| -> BTreeSet<EntryId> {
            entries
                .iter()
                .filter(|entry| is_relation(entry))
                .filter(|entry| matches_any(patterns, entry.schema.as_deref(), &entry.name))
                .map(|entry| entry.id)
                .collect()
        };
        let mut chosen = matching(&tables);
        let owned: Vec<EntryId> = entries
            .iter()
            .filter(|entry| entry.kind == "SEQUENCE OWNED BY")
            .filter_map(|entry| {
                let ends = relations.touched(entry);
                let is_sequence =
                    |id: &EntryId| entry_of(entries, *id).is_some_and(|e| e.kind == "SEQUENCE");
                let sequence = ends.iter().copied().find(is_sequence)?;
                let table_chosen = ends
                    .iter()
                    .any(|end| *end != sequence && chosen.contains(end));
                table_chosen.then_some(sequence)
            })
            .collect();
        chosen.extend(owned);

        // Tables whose definition is not in the archive (a data-only dump) are known by their rows
        // alone.
        let by_rows = |patterns: &[Pattern]| -> BTreeSet<EntryId> {
            entries
                .iter()
                .filter(|entry| matches!(entry.data, Some(DataSpec::Table { .. })))
                .filter(|entry| {
                    let name = entry.relation.as_ref().unwrap_or(&entry.name);
                    matches_any(patterns, entry.schema.as_deref(), name)
                })
                .map(|entry| entry.id)
                .collect()
        };
        if !tables.is_empty() {
            chosen.extend(by_rows(&tables));
        }
        let mut excluded = matching(&exclude_tables);
        excluded.extend(by_rows(&exclude_tables));

        let names = Self {
            schemas,
            exclude_schemas,
            chosen: (!tables.is_empty()).then_some(chosen),
            excluded,
            excluded_rows: by_rows(&exclude_rows),
            hangs_on,
        };
        names.check_matches(entries, choices, &tables)?;
        Ok(names)
    }

    /// Every pattern matches something, if that is asked; at least one does in any case.
    fn check_matches(
        &self,
        entries: &[Entry],
        choices: &Choices,
        tables: &[Pattern],
    ) -> Result<()> {
        let table_matches = |pattern: &Pattern| {
            entries.iter().any(|entry| {
                let name = match entry.data {
                    Some(DataSpec::Table { .. }) => entry.relation.as_ref().unwrap_or(&entry.name),
                    _ if is_relation(entry) => &entry.name,
                    _ => return false,
                };
                pattern.matches(entry.schema.as_deref(), name)
            })
        };
        let schema_matches = |pattern: &Pattern| {
            entries
                .iter()
                .any(|entry| schema_of(entry).is_some_and(|name| pattern.matches(None, name)))
        };
        let unmatched: Vec<&str> = tables
            .iter()
            .filter(|pattern| !table_matches(pattern))
            .chain(
                self.schemas
                    .iter()
                    .filter(|pattern| !schema_matches(pattern)),
            )
            .map(Pattern::text)
            .collect();
        let all = tables.len() + self.schemas.len();
        if unmatched.is_empty() || !choices.filter.strict_names && unmatched.len() < all {
            return Ok(());
        }
        let unmatched: Vec<String> = unmatched
            .iter()
            .map(|text| format!("\"{}\"", text.escape_debug()))
            .collect();
        Err(Error::new(
            Kind::Failed,
            format!("nothing in the archive matches {}", unmatched.join(", ")),
        )
        .with_hint("`pgstow list` shows what is in the archive"))
    }

    fn refuses(&self, entry: &Entry) -> Option<String> {
        let relation = self.hangs_on.get(&entry.id).copied().unwrap_or(entry.id);
        if self.excluded.contains(&relation) || self.excluded.contains(&entry.id) {
            return Some("its table is left out".to_owned());
        }
        let schema = schema_of(entry);
        if schema.is_some_and(|name| matches_any(&self.exclude_schemas, None, name)) {
            return Some("its schema is left out".to_owned());
        }
        if let Some(chosen) = &self.chosen
            && !chosen.contains(&relation)
            && !chosen.contains(&entry.id)
        {
            return Some("not selected by table".to_owned());
        }
        let in_schema = self.schemas.is_empty()
            || schema.is_some_and(|name| matches_any(&self.schemas, None, name));
        (!in_schema).then(|| "not selected by schema".to_owned())
    }
}

/// The schema that an entry lives in, or is.
fn schema_of(entry: &Entry) -> Option<&str> {
    match &entry.schema {
        Some(schema) => Some(schema),
        None if entry.kind == "SCHEMA" => Some(&entry.name),
        None => None,
    }
}

fn matches_any(patterns: &[Pattern], schema: Option<&str>, name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(schema, name))
}
