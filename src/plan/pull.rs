//! What selected objects need and nobody named: pulled in, definitions only.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::relations::{Relations, is_relation};
use super::select::{Reason, entry_of, is_rows, is_tie};
use super::step::Cause;
use crate::archive::{Entry, EntryId, Section};

/// Takes away the reasons of what must come along, and answers for each what needs it. Entries of
/// `present` are there already; what only they need is not looked for.
pub(super) fn pull(
    entries: &[Entry],
    relations: &Relations<'_>,
    present: &BTreeSet<EntryId>,
    reasons: &mut BTreeMap<EntryId, Reason>,
) -> BTreeMap<EntryId, EntryId> {
    let companions = companions(entries, relations);
    let mut pulled: BTreeMap<EntryId, EntryId> = BTreeMap::new();
    // What is looked at, and what is restored for which it is looked at.
    let mut open: Vec<(EntryId, EntryId)> = entries
        .iter()
        .map(|entry| (entry.id, entry.id))
        .filter(|(id, _)| !reasons.contains_key(id))
        .collect();
    let mut passed: BTreeSet<EntryId> = BTreeSet::new();
    loop {
        while let Some((id, restored)) = open.pop() {
            let Some(entry) = entry_of(entries, id) else {
                continue;
            };
            let own = pulled
                .contains_key(&id)
                .then(|| companions.get(&id))
                .flatten();
            let needs = entry.depends_on.iter().chain(own.into_iter().flatten());
            for &need in needs {
                let may_come = reasons
                    .get(&need)
                    .is_some_and(|reason| reason.cause == Cause::NotSelected);
                let fits = |it: &&Entry| !is_rows(it) && !is_tie(it) && !present.contains(&need);
                let Some(needed) = entry_of(entries, need).filter(fits).filter(|_| may_come) else {
                    continue;
                };
                if !needed.create.is_empty() {
                    reasons.remove(&need);
                    pulled.insert(need, restored);
                    open.push((need, need));
                } else if passed.insert(need) {
                    // Only what others made has nothing to make: `public`, members of extensions.
                    open.push((need, restored));
                }
            }
        }
        // Ties between what comes along: a partition and its parent, a sequence and its table.
        for entry in entries {
            let ends = match entry.kind.as_str() {
                "TABLE ATTACH" | "SEQUENCE OWNED BY" => relations.touched(entry),
                _ => continue,
            };
            let has = |id: &EntryId| !reasons.contains_key(id) || present.contains(id);
            let may_come = reasons.get(&entry.id).is_some_and(|reason| {
                use Cause::{FromOtherEnd, NotSelected, OtherEnd};
                matches!(reason.cause, NotSelected | OtherEnd | FromOtherEnd)
            });
            let with_pulled = ends.iter().find(|end| pulled.contains_key(end));
            if let Some(&end) = with_pulled
                && may_come
                && !present.contains(&entry.id)
                && ends.iter().all(has)
            {
                reasons.remove(&entry.id);
                pulled.insert(entry.id, end);
                open.push((entry.id, entry.id));
            }
        }
        if open.is_empty() {
            break;
        }
    }
    // Rows that are restored have used numbers of a sequence that comes along by itself: it goes on behind
    // them. The table of an owned one comes without rows.
    let is_selected =
        |entry: &&Entry| !reasons.contains_key(&entry.id) && !pulled.contains_key(&entry.id);
    let needed: BTreeSet<EntryId> = entries
        .iter()
        .filter(is_selected)
        .flat_map(|entry| entry.depends_on.iter().copied())
        .filter(|id| pulled.contains_key(id))
        .collect();
    let values: Vec<(EntryId, EntryId)> = entries
        .iter()
        .filter(|entry| entry.kind == "SEQUENCE SET")
        .filter(|entry| {
            reasons
                .get(&entry.id)
                .is_some_and(|it| it.cause == Cause::NotSelected)
        })
        .filter_map(|entry| Some((entry.id, relations.relation_of(entry)?)))
        .filter(|(_, sequence)| needed.contains(sequence))
        .collect();
    for (value, sequence) in values {
        reasons.remove(&value);
        pulled.insert(value, sequence);
    }
    pulled
}

/// Without these a relation or domain that was pulled in would not be itself: identities, defaults
/// that are entries of their own, the query of a view that begins as a dummy, constraints of
/// domains; for a partition what makes it one.
fn companions(entries: &[Entry], relations: &Relations<'_>) -> HashMap<EntryId, Vec<EntryId>> {
    let mut companions: HashMap<EntryId, Vec<EntryId>> = HashMap::new();
    for entry in entries {
        let needs_it = |is: fn(&Entry) -> bool| {
            let needs = entry.depends_on.iter().copied();
            needs
                .filter(|&id| entry_of(entries, id).is_some_and(is))
                .collect()
        };
        let hangs_on = relations.relation_of(entry);
        let of: Vec<EntryId> = match entry.kind.as_str() {
            "DEFAULT" if entry.section == Section::PreData => hangs_on.into_iter().collect(),
            "RULE" if entry.name == "_RETURN" => hangs_on.into_iter().collect(),
            "SEQUENCE" => needs_it(is_relation),
            "CONSTRAINT" | "CHECK CONSTRAINT" if hangs_on.is_none() => {
                needs_it(|other| other.kind == "DOMAIN")
            }
            _ => Vec::new(),
        };
        for relation in of {
            companions.entry(relation).or_default().push(entry.id);
        }
        if let Some((parent, _)) = relations.attached_to(entry.id) {
            companions.entry(entry.id).or_default().push(parent);
        }
    }
    companions
}
