//! What patterns and lists say of each entry, whatever sections and parts are wanted.

use std::collections::{BTreeMap, BTreeSet};

use super::choices::Choices;
use super::pattern::Pattern;
use super::relations::{Relations, is_relation};
use super::select::{Reason, entry_of, is_rows};
use super::step::Cause;
use crate::archive::{DataSpec, Entry, EntryId, StatisticsOf};
use crate::error::{Error, Kind, Result};

/// Kinds that `-P` looks at.
const FUNCTION_KINDS: [&str; 3] = ["FUNCTION", "PROCEDURE", "AGGREGATE"];

/// Kinds that `-I` looks at: a constraint may stand on an index of its name.
const INDEX_KINDS: [&str; 3] = ["INDEX", "INDEX ATTACH", "CONSTRAINT"];

/// What names say: independent of sections and parts.
pub(super) struct Names {
    schemas: Vec<Pattern>,
    exclude_schemas: Vec<Pattern>,
    /// What `-t`, `-I`, `-P` and `--trigger` name, and the sequences that belong to the tables.
    chosen: Option<BTreeSet<EntryId>>,
    /// What the list has.
    listed: Option<BTreeSet<EntryId>>,
    /// Extensions that `--extension` names, if it was given.
    extensions: Option<BTreeSet<EntryId>>,
    /// The other ones then.
    other_extensions: BTreeSet<EntryId>,
    /// Relations that `-T` names, extensions that `--exclude-extension` names.
    excluded: BTreeSet<EntryId>,
    pub(super) excluded_rows: BTreeSet<EntryId>,
    /// Patterns of `-T` that no table matches.
    pub(super) unmatched: Vec<String>,
    /// Partitioned tables that `-t` names, without their partitions.
    pub(super) partitioned: BTreeSet<EntryId>,
    /// The relation that each entry hangs on.
    pub(super) hangs_on: BTreeMap<EntryId, EntryId>,
    /// The list in its order.
    pub(super) order: Vec<EntryId>,
    /// For relations that the archive has nothing of but statistics.
    unmade: Unmade,
}

/// Patterns of relations.
struct Unmade {
    /// With what names other sorts of objects.
    tables: Option<Vec<Pattern>>,
    indexes: Vec<Pattern>,
    exclude_tables: Vec<Pattern>,
    exclude_rows: Vec<Pattern>,
}

impl Names {
    pub(super) fn new(
        entries: &[Entry],
        relations: &Relations<'_>,
        choices: &Choices,
    ) -> Result<Self> {
        let filter = &choices.filter;
        let schemas = compile(&filter.schemas, Pattern::schema)?;
        let exclude_schemas = compile(&filter.exclude_schemas, Pattern::schema)?;
        let tables = compile(&filter.tables, Pattern::relation)?;
        let trees = compile(&filter.tables_and_children, Pattern::relation)?;
        let extensions = compile(&filter.extensions, Pattern::schema)?;
        let exclude_extensions = compile(&filter.exclude_extensions, Pattern::schema)?;
        let exclude_trees = compile(&filter.exclude_tables_and_children, Pattern::relation)?;
        let exclude_tree_rows =
            compile(&filter.exclude_table_data_and_children, Pattern::relation)?;
        let indexes = compile(&filter.indexes, Pattern::relation)?;
        let functions = compile(&filter.functions, Pattern::function)?;
        let triggers = compile(&filter.triggers, Pattern::trigger)?;
        let exclude_tables = compile(&filter.exclude_tables, Pattern::relation)?;
        let exclude_rows = compile(&filter.exclude_table_data, Pattern::relation)?;

        check_matches(
            entries,
            filter.strict_names,
            &[
                (&tables, is_table),
                (&trees, is_table),
                (&extensions, is_extension),
                (&schemas, is_in_schema),
                (&indexes, is_index),
                (&functions, is_function),
                (&triggers, is_trigger),
            ],
        )?;

        let matching = |patterns: &[Pattern], is: Test| -> BTreeSet<EntryId> {
            entries
                .iter()
                .filter(|entry| patterns.iter().any(|pattern| is(pattern, entry)))
                .map(|entry| entry.id)
                .collect()
        };
        let with_children =
            |patterns: &[Pattern]| relations.with_heirs(matching(patterns, is_table));
        let mut chosen = matching(&tables, is_table);
        chosen.extend(with_children(&trees));
        let partitioned = matching(&tables, is_table)
            .into_iter()
            .filter(|&id| relations.with_partitions(id).len() > 1)
            .collect();
        chosen.extend(owned_by(&chosen, entries, relations));
        chosen.extend(matching(&indexes, is_index));
        chosen.extend(matching(&functions, is_function));
        chosen.extend(matching(&triggers, is_trigger));

        let mut excluded = matching(&exclude_tables, is_table);
        excluded.extend(with_children(&exclude_trees));
        excluded.extend(identities_of(&excluded, entries));
        excluded.extend(matching(&exclude_extensions, is_extension));
        let mut excluded_rows = matching(&exclude_rows, is_rows_of);
        let trees_without_rows = with_children(&exclude_tree_rows);
        // Only a relation's own rows, whatever others are loaded through the same root. Where the
        // archive has rows alone, the patterns have named those.
        let is_in_tree = |entry: &&Entry| {
            let table = relations.relation_of(entry).unwrap_or(entry.id);
            trees_without_rows.contains(&table)
        };
        let of_tables = |entry: &&Entry| matches!(entry.data, Some(DataSpec::Table { .. }));
        excluded_rows.extend(
            entries
                .iter()
                .filter(of_tables)
                .filter(is_in_tree)
                .map(|entry| entry.id),
        );

        let order = match &filter.use_list {
            Some(list) => list.resolve(entries)?,
            None => Vec::new(),
        };
        Ok(Self {
            schemas,
            exclude_schemas,
            chosen: filter.names_objects().then_some(chosen),
            listed: filter
                .use_list
                .as_ref()
                .map(|_| order.iter().copied().collect()),
            other_extensions: match extensions.is_empty() {
                true => BTreeSet::new(),
                false => entries
                    .iter()
                    .filter(|entry| entry.kind == "EXTENSION")
                    .filter(|entry| !extensions.iter().any(|it| is_extension(it, entry)))
                    .map(|entry| entry.id)
                    .collect(),
            },
            extensions: (!extensions.is_empty()).then(|| matching(&extensions, is_extension)),
            excluded,
            excluded_rows,
            partitioned,
            unmatched: exclude_tables
                .iter()
                .filter(|pattern| !entries.iter().any(|entry| is_table(pattern, entry)))
                .map(|pattern| pattern.text().escape_debug().to_string())
                .collect(),
            hangs_on: entries
                .iter()
                .filter_map(|entry| Some((entry.id, relations.relation_of(entry)?)))
                .collect(),
            order,
            unmade: Unmade {
                tables: filter
                    .names_objects()
                    .then(|| tables.iter().chain(&trees).cloned().collect()),
                indexes,
                exclude_tables: exclude_tables.into_iter().chain(exclude_trees).collect(),
                exclude_rows: exclude_rows.into_iter().chain(exclude_tree_rows).collect(),
            },
        })
    }

    /// Whether something is selected by its name, so that what it needs may have to be pulled in.
    pub(super) fn select(&self) -> bool {
        self.chosen.is_some() || !self.schemas.is_empty()
    }

    /// Whether there is a list, and the entry not in it.
    pub(super) fn refuses_unlisted(&self, entry: &Entry) -> Option<Reason> {
        let listed = self.listed.as_ref()?;
        (!listed.contains(&entry.id)).then(|| Reason::new(Cause::Excluded, "not in the list"))
    }

    /// Whether statistics of a relation are not wanted: those of what is left out by name, and of
    /// tables whose rows are.
    pub(super) fn refuses_statistics(
        &self,
        entries: &[Entry],
        relations: &Relations<'_>,
        of: &StatisticsOf,
    ) -> bool {
        let any = |patterns: &[Pattern], schema: &str, name: &str| {
            let mut patterns = patterns.iter();
            patterns.any(|pattern| pattern.matches(Some(schema), name))
        };
        let (schema, table) = match of {
            StatisticsOf::Entry(id) => {
                let Some(entry) = entry_of(entries, *id) else {
                    return true;
                };
                let table = self.hangs_on.get(id).copied().unwrap_or(*id);
                // What is known of a partitioned table is about the rows of all its partitions.
                let tree = relations.with_partitions(table);
                let mut rows = tree.iter().flat_map(|&table| relations.rows_of(table));
                let excluded = |id: &EntryId| {
                    self.excluded_rows.contains(id) || self.is_excluded(entry_of(entries, *id))
                };
                if self.refuses(entry).is_some() || rows.any(excluded) {
                    return true;
                }
                let name = entry.relation.as_ref().unwrap_or(&entry.name);
                (entry.schema.as_deref().unwrap_or_default(), name)
            }
            StatisticsOf::Named {
                schema,
                name,
                table,
            } => {
                let own = table.as_ref().map(|_| name);
                let table = table.as_ref().unwrap_or(name);
                let names = &self.unmade;
                let chosen = names.tables.as_ref().is_none_or(|tables| {
                    any(tables, schema, table)
                        || own.is_some_and(|index| any(&names.indexes, schema, index))
                });
                let in_schema =
                    self.schemas.is_empty() || matches_any(&self.schemas, schema.as_str());
                if !chosen
                    || !in_schema
                    || any(&names.exclude_tables, schema, table)
                    || matches_any(&self.exclude_schemas, schema)
                {
                    return true;
                }
                (schema.as_str(), table)
            }
        };
        any(&self.unmade.exclude_rows, schema, table)
    }

    /// Whether an entry is left out by its own name or its schema's.
    fn is_excluded(&self, entry: Option<&Entry>) -> bool {
        let reason = entry.and_then(|entry| self.refuses(entry));
        reason.is_some_and(|reason| reason.cause == Cause::Excluded)
    }

    /// Whether an entry is left out for no other reason than that nobody named it.
    pub(super) fn is_unselected(&self, entry: Option<&Entry>) -> bool {
        let reason = entry.and_then(|entry| self.refuses(entry));
        reason.is_some_and(|reason| reason.cause == Cause::NotSelected)
    }

    pub(super) fn refuses(&self, entry: &Entry) -> Option<Reason> {
        let excluded = |why: &str| Some(Reason::new(Cause::Excluded, why));
        let not_selected = |why: &str| Some(Reason::new(Cause::NotSelected, why));
        let relation = self.hangs_on.get(&entry.id).copied().unwrap_or(entry.id);
        if self.excluded.contains(&relation) || self.excluded.contains(&entry.id) {
            return excluded(match entry.kind.as_str() {
                "EXTENSION" => "it is excluded by name",
                _ => "its table is left out",
            });
        }
        // The configuration of an extension, its tables and sequences, comes with it.
        let is_rows = is_rows(entry);
        let needs = |any: &BTreeSet<EntryId>| entry.depends_on.iter().any(|id| any.contains(id));
        if is_rows && needs(&self.excluded) {
            return excluded("what it belongs to is left out");
        }
        if is_rows && needs(&self.other_extensions) {
            return not_selected("its extension is not selected");
        }
        let schema = schema_of(entry);
        if schema.is_some_and(|name| matches_any(&self.exclude_schemas, name)) {
            return excluded("its schema is left out");
        }
        if let Some(reason) = self.refuses_unlisted(entry) {
            return Some(reason);
        }
        if entry.kind == "EXTENSION"
            && let Some(extensions) = &self.extensions
        {
            return match extensions.contains(&entry.id) {
                true => None,
                false => not_selected("not selected by extension"),
            };
        }
        if let Some(chosen) = &self.chosen
            && !chosen.contains(&relation)
            && !chosen.contains(&entry.id)
        {
            return not_selected("not selected by name");
        }
        let in_schema =
            self.schemas.is_empty() || schema.is_some_and(|name| matches_any(&self.schemas, name));
        if in_schema {
            return None;
        }
        not_selected("not selected by schema")
    }
}

fn compile(texts: &[String], read: fn(&str) -> Result<Pattern>) -> Result<Vec<Pattern>> {
    texts.iter().map(|text| read(text)).collect()
}

/// Whether a pattern means an entry.
type Test = fn(&Pattern, &Entry) -> bool;

/// A relation. Tables whose definition is not in the archive (a data-only dump) are known by their
/// rows alone.
fn is_table(pattern: &Pattern, entry: &Entry) -> bool {
    is_relation(entry) && pattern.matches(entry.schema.as_deref(), &entry.name)
        || is_rows_of(pattern, entry)
        || unmade(entry).any(|(schema, _, table)| pattern.matches(Some(schema), table))
}

/// Relations that an archive has nothing of but statistics: schema, name, and the table that it is
/// or belongs to.
fn unmade(entry: &Entry) -> impl Iterator<Item = (&str, &str, &str)> {
    let relations = match &entry.data {
        Some(DataSpec::Statistics { relations }) => relations.as_slice(),
        _ => &[],
    };
    relations.iter().filter_map(|of| match of {
        StatisticsOf::Named {
            schema,
            name,
            table,
        } => Some((
            schema.as_str(),
            name.as_str(),
            table.as_ref().unwrap_or(name).as_str(),
        )),
        StatisticsOf::Entry(_) => None,
    })
}

fn is_extension(pattern: &Pattern, entry: &Entry) -> bool {
    entry.kind == "EXTENSION" && pattern.matches(None, &entry.name)
}

fn is_rows_of(pattern: &Pattern, entry: &Entry) -> bool {
    let name = entry.relation.as_ref().unwrap_or(&entry.name);
    matches!(entry.data, Some(DataSpec::Table { .. }))
        && pattern.matches(entry.schema.as_deref(), name)
}

fn is_index(pattern: &Pattern, entry: &Entry) -> bool {
    INDEX_KINDS.contains(&entry.kind.as_str())
        && pattern.matches(entry.schema.as_deref(), &entry.name)
        || unmade(entry)
            .any(|(schema, name, table)| name != table && pattern.matches(Some(schema), name))
}

fn is_function(pattern: &Pattern, entry: &Entry) -> bool {
    FUNCTION_KINDS.contains(&entry.kind.as_str())
        && pattern.matches_function(entry.schema.as_deref(), &entry.name)
}

fn is_trigger(pattern: &Pattern, entry: &Entry) -> bool {
    let table = entry.relation.as_deref().unwrap_or_default();
    entry.kind == "TRIGGER" && pattern.matches_trigger(entry.schema.as_deref(), table, &entry.name)
}

fn is_in_schema(pattern: &Pattern, entry: &Entry) -> bool {
    schema_of(entry).is_some_and(|name| pattern.matches(None, name))
        || unmade(entry).any(|(schema, ..)| pattern.matches(None, schema))
}

/// What belongs to these tables: their identities, and the sequences that their columns own with what
/// ties them.
fn owned_by(
    tables: &BTreeSet<EntryId>,
    entries: &[Entry],
    relations: &Relations<'_>,
) -> BTreeSet<EntryId> {
    let is_sequence = |id: &EntryId| entry_of(entries, *id).is_some_and(|e| e.kind == "SEQUENCE");
    let mut owned = identities_of(tables, entries);
    for entry in entries.iter().filter(|it| it.kind == "SEQUENCE OWNED BY") {
        let (sequences, owners): (Vec<EntryId>, Vec<EntryId>) =
            relations.touched(entry).into_iter().partition(is_sequence);
        if owners.iter().any(|owner| tables.contains(owner)) {
            owned.insert(entry.id);
            owned.extend(sequences);
        }
    }
    owned
}

/// The sequences of identities of these tables. They are made as a part of the table, so no other
/// sequence needs one.
fn identities_of(tables: &BTreeSet<EntryId>, entries: &[Entry]) -> BTreeSet<EntryId> {
    let sequences = entries.iter().filter(|entry| entry.kind == "SEQUENCE");
    let of_these = sequences.filter(|it| it.depends_on.iter().any(|id| tables.contains(id)));
    of_these.map(|entry| entry.id).collect()
}

/// Every pattern matches something, if that is asked; at least one does in any case.
fn check_matches(entries: &[Entry], strict: bool, groups: &[(&Vec<Pattern>, Test)]) -> Result<()> {
    let all: Vec<(&Pattern, &Test)> = groups
        .iter()
        .flat_map(|(patterns, is)| patterns.iter().map(move |pattern| (pattern, is)))
        .collect();
    let unmatched: Vec<String> = all
        .iter()
        .filter(|(pattern, is)| !entries.iter().any(|entry| is(pattern, entry)))
        .map(|(pattern, _)| format!("\"{}\"", pattern.text().escape_debug()))
        .collect();
    if unmatched.is_empty() || !strict && unmatched.len() < all.len() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Failed,
        format!("nothing matches {}", unmatched.join(", ")),
    )
    .with_hint("`pgstow list` shows what is in an archive"))
}

/// The schema that an entry lives in, or is.
fn schema_of(entry: &Entry) -> Option<&str> {
    match &entry.schema {
        Some(schema) => Some(schema),
        None if entry.kind == "SCHEMA" => Some(&entry.name),
        None => None,
    }
}

fn matches_any(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(None, name))
}
