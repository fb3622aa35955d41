//! Which entries are restored, and why the others are not.

use std::collections::{BTreeMap, BTreeSet};

use super::choices::{Choices, Parts};
use super::filter::Needs;
use super::names::Names;
use super::pull::pull;
use super::relations::{Relations, is_relation};
use super::step::{Cause, Needed, Omitted, Pulled};
use super::versions::leave_out_impossible;
use crate::archive::{DataSpec, Entry, EntryId};
use crate::error::Result;

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

/// Whether an entry only ties two things together.
pub(super) fn is_tie(entry: &Entry) -> bool {
    TIE_KINDS.contains(&entry.kind.as_str())
}

/// Whether an entry makes or sets up the database itself.
pub(super) fn is_database(entry: &Entry) -> bool {
    DATABASE_KINDS.contains(&entry.kind.as_str())
}

/// Whether an entry is data: rows, sequence values, large objects, refreshes.
pub(super) fn is_rows(entry: &Entry) -> bool {
    entry.section == crate::archive::Section::Data
        || entry.data.is_some()
        || entry.kind == "MATERIALIZED VIEW DATA"
}

/// Why an entry is left out.
#[derive(Clone, Debug)]
pub(super) struct Reason {
    pub(super) cause: Cause,
    text: String,
}

impl Reason {
    pub(super) fn new(cause: Cause, text: impl Into<String>) -> Self {
        Self {
            cause,
            text: text.into(),
        }
    }
}

/// What was selected.
pub(super) struct Selected {
    /// By position: whether the entry is restored.
    pub(super) wanted: Vec<bool>,
    pub(super) omitted: Vec<Omitted>,
    pub(super) needed: Vec<Needed>,
    pub(super) impossible: Vec<Omitted>,
    pub(super) pulled: Vec<Pulled>,
    pub(super) ends: Vec<EntryId>,
    /// What the user should know of the selection.
    pub(super) warnings: Vec<String>,
    /// The list that the user gave, in its order.
    pub(super) order: Vec<EntryId>,
    /// By entry: relations (by position) whose statistics are not wanted.
    pub(super) without_statistics: BTreeMap<EntryId, BTreeSet<usize>>,
}

/// Decides for every entry.
pub(super) fn select(
    entries: &[Entry],
    relations: &Relations<'_>,
    choices: &Choices,
) -> Result<Selected> {
    let names = Names::new(entries, relations, choices)?;
    let pulls = names.select() && choices.filter.needs == Needs::PulledIn;
    let mut reasons: BTreeMap<EntryId, Reason> = BTreeMap::new();
    let mut without_statistics: BTreeMap<EntryId, BTreeSet<usize>> = BTreeMap::new();
    for entry in entries {
        let mut reason = refusal(entry, choices, &names);
        if let Some(DataSpec::Statistics { relations: of }) = &entry.data {
            let refused: BTreeSet<usize> = (0..of.len())
                .filter(|&at| names.refuses_statistics(entries, relations, &of[at]))
                .collect();
            if refused.len() == of.len() {
                let why = "none of its relations is restored";
                reason.get_or_insert_with(|| Reason::new(Cause::NotSelected, why));
            }
            if reason.is_none() && !refused.is_empty() {
                without_statistics.insert(entry.id, refused);
            }
        }
        if let Some(reason) = reason {
            reasons.insert(entry.id, reason);
        }
    }
    let ends = leave_out_ties(entries, relations, &names, choices, &mut reasons);
    let pulled = if pulls {
        pull(entries, relations, &choices.present, &mut reasons)
    } else {
        BTreeMap::new()
    };

    let impossible = leave_out_impossible(entries, choices, is_rows, &mut reasons);
    let name_of = |id: EntryId| entry_of(entries, id).map_or_else(String::new, Entry::describe);
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
        // Without a statement that makes it, somebody else does: the server, an extension.
        .filter(|entry| !entry.create.is_empty())
        .map(|entry| Needed {
            entry: entry.id,
            name: entry.describe(),
            found: choices.present.contains(&entry.id),
        })
        .collect();
    let omitted = reasons
        .into_iter()
        .map(|(entry, reason)| Omitted {
            entry,
            name: name_of(entry),
            reason: reason.text,
            cause: reason.cause,
        })
        .collect();
    let pulled = pulled
        .into_iter()
        .filter(|(entry, _)| is_wanted(*entry))
        .map(|(entry, by)| Pulled {
            entry,
            name: name_of(entry),
            needed_by: name_of(by),
        })
        .collect();
    let without_rows = names
        .partitioned
        .iter()
        .filter(|&&root| {
            let tree = relations.with_partitions(root);
            let mut rows = tree.iter().flat_map(|&table| relations.rows_of(table));
            // Left out for another reason than the selection by name: no surprise.
            let unnamed = |id: &EntryId| names.is_unselected(entry_of(entries, *id));
            rows.clone().next().is_some() && rows.all(unnamed)
        })
        .filter(|_| choices.sections.data && matches!(choices.parts, Parts::All | Parts::Rows))
        .map(|&id| {
            format!(
                "{} is partitioned, and none of its partitions is selected: it gets no rows \
                 (--table-and-children takes partitions along)",
                name_of(id)
            )
        });
    let unmatched = names.unmatched.iter().map(|pattern| {
        format!(
            "-T {pattern} matches no table (-T leaves tables out, as in a dump; triggers are selected by --trigger)"
        )
    });
    let warnings = without_rows.chain(unmatched).collect();
    Ok(Selected {
        wanted,
        omitted,
        needed,
        impossible,
        pulled,
        ends,
        warnings,
        order: names.order,
        without_statistics,
    })
}

/// Whether a tie holds with an end that the target has. A publication gets back what `--clean` takes from it; what is
/// restored beside it is nothing that its owner has asked for.
fn holds_to_what_is_there(tie: &Entry, choices: &Choices) -> bool {
    match tie.kind.as_str() {
        "FK CONSTRAINT" => true,
        "PUBLICATION TABLE" | "PUBLICATION TABLES IN SCHEMA" => choices.clean,
        _ => false,
    }
}

/// Leaves out ties that would dangle because an end is left out by name. Entries left out for
/// their section or part do not count, the target is expected to have those. What the target is
/// known to have is an end as well: answers which entries it could have.
fn leave_out_ties(
    entries: &[Entry],
    relations: &Relations<'_>,
    names: &Names,
    choices: &Choices,
    reasons: &mut BTreeMap<EntryId, Reason>,
) -> Vec<EntryId> {
    let pulls = names.select() && choices.filter.needs == Needs::PulledIn;
    let mut could_be_there = BTreeSet::new();
    for entry in entries.iter().filter(|entry| is_tie(entry)) {
        let before = reasons.get(&entry.id).map(|reason| reason.cause);
        if before.is_some_and(|cause| cause != Cause::NotSelected) {
            continue;
        }
        let ids: BTreeSet<EntryId> = relations
            .touched(entry)
            .into_iter()
            .chain(entry.depends_on.iter().copied())
            .collect();
        let ends: Vec<(&Entry, Option<Reason>)> = ids
            .into_iter()
            .filter_map(|id| entry_of(entries, id))
            .filter(|end| {
                is_relation(end)
                    || names.hangs_on.contains_key(&end.id) && !is_rows(end)
                    || end.kind == "PUBLICATION"
            })
            .map(|end| (end, names.refuses(end)))
            .collect();
        // One that is not selected itself is told of when it would have touched what is.
        if before.is_some() && ends.iter().all(|(_, refused)| refused.is_some()) {
            continue;
        }
        let may_be_there = pulls && before.is_none();
        let holds = may_be_there && holds_to_what_is_there(entry, choices);
        // The parent of a partition that is selected is pulled in.
        let comes_along = may_be_there && entry.kind == "TABLE ATTACH";
        let missing: Vec<&Entry> = ends
            .iter()
            .filter(|(end, refused)| match refused {
                None => false,
                Some(refused) if refused.cause != Cause::NotSelected => true,
                Some(_) if comes_along => false,
                Some(_) => !(holds && choices.present.contains(&end.id)),
            })
            .map(|(end, _)| *end)
            .collect();
        if holds {
            let unselected = ends.iter().filter(|(_, refused)| {
                refused
                    .as_ref()
                    .is_some_and(|it| it.cause == Cause::NotSelected)
            });
            could_be_there.extend(unselected.map(|(end, _)| end.id));
        }
        if let Some(end) = missing.first() {
            let text = format!("{} is not restored", end.describe());
            let cause = match before {
                None => Cause::OtherEnd,
                Some(_) => Cause::FromOtherEnd,
            };
            reasons.insert(entry.id, Reason::new(cause, text));
        }
    }
    could_be_there.into_iter().collect()
}

pub(super) fn entry_of(entries: &[Entry], id: EntryId) -> Option<&Entry> {
    entries.get((id as usize).checked_sub(1)?)
}

/// Why an entry is left out on its own account.
fn refusal(entry: &Entry, choices: &Choices, names: &Names) -> Option<Reason> {
    let options = |why: String| Some(Reason::new(Cause::Options, why));
    if is_database(entry) {
        return match choices.create {
            true => None,
            false => options("only with --create".to_owned()),
        };
    }
    if !choices.sections.has(entry.section) {
        return options("its section is not wanted".to_owned());
    }
    if let Some(class) = choices.leave_out.kind(&entry.kind) {
        return options(format!("{class} are left out"));
    }
    if entry.has_statistics() {
        return names.refuses_unlisted(entry);
    }
    match choices.parts {
        Parts::Statistics => return options("only statistics are wanted".to_owned()),
        Parts::Definitions if is_rows(entry) => {
            return options("only definitions are wanted".to_owned());
        }
        Parts::Rows if !is_rows(entry) => return options("only rows are wanted".to_owned()),
        _ => {}
    }
    if names.excluded_rows.contains(&entry.id) {
        return Some(Reason::new(
            Cause::Excluded,
            "rows of its table are left out",
        ));
    }
    names.refuses(entry)
}
