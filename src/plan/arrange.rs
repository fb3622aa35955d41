//! The order of the entries that are restored, where it is not the archive's.

use std::collections::{BTreeSet, HashMap};

use super::choices::{Choices, RowOrder};
use super::relations::Relations;
use super::select::entry_of;
use crate::archive::{Entry, EntryId};
use crate::dag::{Graph, cyclic_components, stable_order};
use crate::error::one_line;

/// What must come before what, beyond what the archive says, because of what the target has.
#[derive(Default)]
pub(super) struct TargetNeeds {
    /// For each entry those that it needs; without cycles.
    pub(super) before: HashMap<EntryId, BTreeSet<EntryId>>,
    /// Definitions that are made after the rows.
    pub(super) late: BTreeSet<EntryId>,
    pub(super) warnings: Vec<String>,
}

/// All of it.
pub(super) fn target_needs(
    entries: &[Entry],
    relations: &Relations<'_>,
    is_wanted: &impl Fn(EntryId) -> bool,
    choices: &Choices,
) -> TargetNeeds {
    let mut needs = row_needs(entries, relations, is_wanted, choices);
    attach_late(entries, relations, is_wanted, choices, &mut needs);
    needs
}

/// A partition is attached to a parent that was there before only when it has its own indexes: the
/// server makes those of the parent on it otherwise, which then are there twice.
fn attach_late(
    entries: &[Entry],
    relations: &Relations<'_>,
    is_wanted: &impl Fn(EntryId) -> bool,
    choices: &Choices,
    needs: &mut TargetNeeds,
) {
    if choices.present.is_empty() {
        return;
    }
    let through_root: BTreeSet<EntryId> = entries
        .iter()
        .filter(|entry| entry.data.is_some() && is_wanted(entry.id))
        .flat_map(|entry| entry.depends_on.iter().copied())
        .collect();
    let mut attaches: HashMap<EntryId, EntryId> = HashMap::new();
    for table in entries.iter().filter(|entry| is_wanted(entry.id)) {
        if let Some((parent, attach)) = relations.attached_to(table.id)
            && choices.present.contains(&parent)
            && is_wanted(attach)
            && !through_root.contains(&attach)
        {
            attaches.insert(table.id, attach);
        }
    }
    for entry in entries.iter().filter(|entry| is_wanted(entry.id)) {
        let attach = relations
            .relation_of(entry)
            .and_then(|id| attaches.get(&id));
        if let Some(&attach) = attach
            && ["INDEX", "CONSTRAINT"].contains(&entry.kind.as_str())
            && !entry.depends_on.contains(&attach)
        {
            needs.before.entry(attach).or_default().insert(entry.id);
        }
    }
    needs.late.extend(attaches.into_values());
}

/// What foreign keys ask for that are not made by this restore although their tables are there
/// already.
fn row_needs(
    entries: &[Entry],
    relations: &Relations<'_>,
    is_wanted: &impl Fn(EntryId) -> bool,
    choices: &Choices,
) -> TargetNeeds {
    if choices.disable_triggers {
        return TargetNeeds::default();
    }
    let rows_of = |tables: BTreeSet<EntryId>| -> BTreeSet<EntryId> {
        relations
            .with_descendants(tables)
            .into_iter()
            .flat_map(|table| relations.rows_of(table))
            .copied()
            .filter(|&id| is_wanted(id))
            .collect()
    };
    let mut graph = Graph::new(entries.len());
    let mut to_itself = BTreeSet::new();
    for key in entries.iter().filter(|it| it.kind == "FK CONSTRAINT") {
        let Some(table) = relations.relation_of(key) else {
            continue;
        };
        if is_wanted(key.id) || is_wanted(table) {
            continue;
        }
        let own = relations.with_descendants([table]);
        let others: BTreeSet<EntryId> = relations.touched(key).difference(&own).copied().collect();
        let referencing = rows_of(own);
        if others.is_empty() {
            to_itself.extend(referencing);
            continue;
        }
        let referenced = rows_of(others);
        for &node in &referencing {
            for &need in &referenced {
                graph.add(node - 1, need - 1);
            }
        }
    }
    // What the archive itself says goes with it: together they may still be a circle.
    for entry in entries.iter().filter(|entry| entry.data.is_some()) {
        for &need in &entry.depends_on {
            if entry_of(entries, need).is_some_and(|need| need.data.is_some()) {
                graph.add(entry.id - 1, need - 1);
            }
        }
    }
    graph.tidy();
    let mut needs = TargetNeeds::default();
    let all: Vec<u32> = (0..entries.len() as u32).collect();
    for circle in cyclic_components(&graph, &all) {
        let names: Vec<String> = circle
            .iter()
            .filter_map(|&node| entry_of(entries, node + 1))
            .map(table_name)
            .collect();
        needs.warnings.push(format!(
            "foreign keys go in a circle between the tables {}: their rows may be refused in any \
             order (--disable-triggers loads them nevertheless)",
            names.join(", ")
        ));
        for &node in &circle {
            for &need in &circle {
                graph.remove(node, need);
            }
        }
    }
    if !to_itself.is_empty() {
        let names: Vec<String> = to_itself
            .iter()
            .filter_map(|&id| entry_of(entries, id))
            .map(table_name)
            .collect();
        needs.warnings.push(format!(
            "rows of {} refer to rows of the same table and may be refused where those come later \
             (--disable-triggers loads them nevertheless)",
            names.join(", ")
        ));
    }
    for entry in entries.iter().filter(|entry| is_wanted(entry.id)) {
        let before: BTreeSet<EntryId> = graph
            .needs(entry.id - 1)
            .iter()
            .map(|need| need + 1)
            .filter(|need| !entry.depends_on.contains(need))
            .collect();
        if !before.is_empty() {
            needs.before.insert(entry.id, before);
        }
    }
    if choices.row_order == RowOrder::AsTheyCome && !needs.before.is_empty() {
        needs.warnings.push(
            "foreign keys of the target want rows in another order than a pipe may bring them: \
             rows may be refused (restore from a file, or with --disable-triggers)"
                .to_owned(),
        );
        needs.before.clear();
    }
    needs
}

fn table_name(entry: &Entry) -> String {
    let name = entry.relation.as_ref().unwrap_or(&entry.name);
    let text = match &entry.schema {
        Some(schema) => format!("{schema}.{name}"),
        None => name.clone(),
    };
    one_line(&text)
}

/// The entries in the order of the list as far as dependencies (`through` what is left out) and
/// rows allow it; what the list does not have stays behind what it follows in the archive.
pub(super) fn arrange<'e>(
    restored: Vec<&'e Entry>,
    order: &[EntryId],
    through: &[Vec<EntryId>],
    needs: &TargetNeeds,
) -> Vec<&'e Entry> {
    if order.is_empty() && needs.before.is_empty() {
        return restored;
    }
    let listed: HashMap<EntryId, usize> = order.iter().copied().zip(0..).collect();
    let mut wished: Vec<&Entry> = restored.clone();
    wished.sort_by_key(|entry| listed.get(&entry.id).copied().unwrap_or(usize::MAX));
    let place: HashMap<EntryId, u32> = wished.iter().map(|entry| entry.id).zip(0..).collect();
    let mut graph = Graph::new(wished.len());
    for (node, entry) in (0_u32..).zip(&wished) {
        let behind = entry
            .depends_on
            .iter()
            .filter_map(|&id| through.get(id as usize - 1))
            .flatten();
        for id in behind.chain(needs.before.get(&entry.id).into_iter().flatten()) {
            if let Some(&need) = place.get(id) {
                graph.add(node, need);
            }
        }
    }
    graph.tidy();
    match stable_order(&graph) {
        Ok(sorted) => sorted
            .into_iter()
            .filter_map(|at| wished.get(at as usize).copied())
            .collect(),
        // Rows that need each other through something else: the archive's order is correct for all
        // but foreign keys.
        Err(_) => restored,
    }
}
