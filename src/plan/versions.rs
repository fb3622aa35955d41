//! The target's version: which form of an entry it gets, and what it, or its server, cannot have.

use std::collections::BTreeMap;

use super::choices::Choices;
use super::select::Reason;
use super::step::{Adapted, Cause, Omitted};
use crate::archive::{Entry, EntryId, Form};
use crate::select::LeaveOut;
use crate::sql::{ServerVersion, ident};

/// Gives every entry the statements that servers of this version are to run. A plan for that
/// version is made of entries that went through here.
pub fn adapt(entries: &mut [Entry], target: ServerVersion) {
    for entry in entries {
        let Some(form) = entry.form_for(target).cloned() else {
            continue;
        };
        // The pieces are those of the source's own statements.
        if form.create.is_some() {
            entry.split.clear();
        }
        // Whom only privileges name that this version does not know is not needed there.
        if let Some(privileges) = form
            .privileges
            .as_ref()
            .filter(|_| !entry.privileges.is_empty())
        {
            let is_named = |role: &String| {
                let name = ident(role);
                privileges
                    .iter()
                    .any(|statement| statement.contains(&*name))
            };
            entry.roles.retain(is_named);
        }
        let lists = [
            (&mut entry.create, form.create),
            (&mut entry.drop, form.drop),
            (&mut entry.set_owner, form.set_owner),
            (&mut entry.privileges, form.privileges),
            (&mut entry.comments, form.comments),
            (&mut entry.labels, form.labels),
        ];
        for (own, other) in lists {
            if let Some(other) = other {
                *own = other;
            }
        }
    }
}

/// Leaves out what the target cannot have, among what nobody left out before, and with it all
/// that needs it. Gives what that is and why, what only goes along too: a table that is lost with
/// its rows is to be told of, whatever it is lost for.
pub(super) fn leave_out_impossible(
    entries: &[Entry],
    choices: &Choices,
    is_rows: impl Fn(&Entry) -> bool,
    reasons: &mut BTreeMap<EntryId, Reason>,
) -> Vec<Omitted> {
    let unknown = |entry: &Entry| {
        let target = choices.target?;
        let what = entry.form_for(target)?.impossible.as_ref()?;
        Some(format!(
            "PostgreSQL {} does not have {what}",
            target.major()
        ))
    };
    let mut impossible = Vec::new();
    let mut leave_out = |entry: &Entry, reason: String, reasons: &mut BTreeMap<_, _>| {
        reasons.insert(entry.id, Reason::new(Cause::Impossible, reason.clone()));
        impossible.push(Omitted {
            entry: entry.id,
            name: entry.describe(),
            reason,
            cause: Cause::Impossible,
        });
    };
    // Entries come after what they need.
    let mut gone: Vec<bool> = vec![false; entries.len()];
    for (at, entry) in entries.iter().enumerate() {
        if reasons.contains_key(&entry.id) {
            continue;
        }
        let reason = if choices.unavailable.contains(&entry.id) {
            Some(String::from(
                "the target's server does not have the extension",
            ))
        } else {
            unknown(entry)
        };
        if let Some(reason) = reason {
            leave_out(entry, reason, reasons);
            gone[at] = true;
            continue;
        }
        let needed = entry.depends_on.iter().find_map(|&id| {
            let at = (id as usize).checked_sub(1)?;
            // Rows of one table wait for those of another only to be in a good order.
            let needed = entries.get(at).filter(|needed| !is_rows(needed))?;
            gone.get(at).copied().unwrap_or(false).then_some(needed)
        });
        if let Some(needed) = needed {
            leave_out(entry, format!("it needs {}", needed.describe()), reasons);
            gone[at] = true;
        }
    }
    impossible
}

/// What of the entries is done in another way than on the source.
pub(super) fn adapted<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    choices: &Choices,
) -> Vec<Adapted> {
    let Some(target) = choices.target else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Some((entry, entry.form_for(target)?)))
        .filter(|(_, form)| matters(form, choices.leave_out))
        .map(|(entry, form)| Adapted {
            entry: entry.id,
            name: entry.describe(),
            notes: form.notes.clone(),
        })
        .collect()
}

/// Whether anything is different but statements that are left out anyway.
fn matters(form: &Form, leave_out: LeaveOut) -> bool {
    let lists = [
        (form.create.is_some() || form.drop.is_some(), false),
        (form.set_owner.is_some(), leave_out.owners),
        (form.privileges.is_some(), leave_out.privileges),
        (form.comments.is_some(), leave_out.comments),
        (form.labels.is_some(), leave_out.security_labels),
    ];
    let differs = lists.iter().any(|(differs, _)| *differs);
    !differs
        || lists
            .iter()
            .any(|(differs, left_out)| *differs && !left_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Section;

    #[test]
    fn roles_that_only_lost_privileges_name_are_not_needed() {
        let form = Form {
            before: Some(17),
            privileges: Some(vec!["GRANT SELECT ON TABLE t TO reader".to_owned()]),
            ..Form::default()
        };
        let table = Entry {
            privileges: vec![
                "GRANT SELECT ON TABLE t TO reader".to_owned(),
                "GRANT MAINTAIN ON TABLE t TO keeper".to_owned(),
            ],
            roles: vec!["keeper".to_owned(), "reader".to_owned()],
            forms: vec![form],
            ..Entry::new(1, "TABLE", "t", Section::PreData)
        };
        for (major, roles) in [(13, vec!["reader"]), (18, vec!["keeper", "reader"])] {
            let mut entries = [table.clone()];
            adapt(&mut entries, ServerVersion::from_num(major * 10_000));
            assert_eq!(entries[0].roles, roles);
        }
    }
}
