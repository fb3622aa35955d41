//! Triggers that are off while rows are loaded into tables that were there before.
//!
//! The transaction that loads a frame switches them off and puts back exactly what was, so that a
//! restore that dies leaves no table without its triggers, and no other session ever sees it so.
//! The price is one loader per table: the switch takes a lock that stands against other writers.
//! Rows that are loaded through the root of a partition tree may end up in any leaf, so the
//! triggers of the whole tree are switched, and there is one loader per tree.

use std::collections::{BTreeMap, HashMap};

use crate::archive::{DataSpec, Entry, EntryId};
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result};
use crate::sql::{after_copy_of, ident, literal, qualified};

/// How to switch triggers off for the rows of one entry, and back to what they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TriggerStates {
    pub(super) disable: Vec<String>,
    pub(super) restore: Vec<String>,
    /// Entries with the same name here must not be loaded at the same time.
    pub(super) together: String,
}

/// Which triggers are switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// All: those of foreign keys are a superuser's to switch.
    All,
    /// All, or without those of foreign keys where the session's role may not switch them.
    Switchable,
}

/// Who switches triggers, where that is not who loads rows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Switcher<'a> {
    /// `--superuser`
    pub(super) superuser: Option<&'a str>,
    /// The role to go back to.
    pub(super) role: Option<&'a str>,
}

impl Switcher<'_> {
    /// The statements as they are run: under the superuser's name if there is one. A change of
    /// the session's name forgets SET ROLE.
    fn run(self, statements: Vec<String>) -> Vec<String> {
        let Some(superuser) = self.superuser.filter(|_| !statements.is_empty()) else {
            return statements;
        };
        let mut all = vec![format!("SET SESSION AUTHORIZATION {}", ident(superuser))];
        all.extend(statements);
        all.push("RESET SESSION AUTHORIZATION".to_owned());
        all.extend(self.role.map(|role| format!("SET ROLE {}", ident(role))));
        all
    }
}

/// A trigger's name and its `tgenabled`.
type Trigger = (String, String);

/// Statements that switch the triggers of a table off, and those that put their states back.
/// `word` says which they are, `ALL` or `USER`;
/// `exactly` also says which are to be off: switching a parent's may have switched them on.
fn switch(
    table: &str,
    triggers: &[Trigger],
    word: &str,
    exactly: bool,
) -> (Option<String>, Vec<String>) {
    let alter = |what: &str| format!("ALTER TABLE ONLY {table} {what}");
    let any_on = triggers.iter().any(|(_, enabled)| enabled != "D");
    let restore = if any_on && triggers.iter().all(|(_, enabled)| enabled == "O") {
        vec![alter(&format!("ENABLE TRIGGER {word}"))]
    } else {
        triggers
            .iter()
            .filter_map(|(name, enabled)| {
                let how = match enabled.as_str() {
                    "O" => "ENABLE",
                    "R" => "ENABLE REPLICA",
                    "A" => "ENABLE ALWAYS",
                    _ if exactly => "DISABLE",
                    _ => return None,
                };
                Some(alter(&format!("{how} TRIGGER {}", ident(name))))
            })
            .collect()
    };
    (
        any_on.then(|| alter(&format!("DISABLE TRIGGER {word}"))),
        restore,
    )
}

/// What is loaded: the entry, its table, and whether rows go through the root of its tree.
struct Loaded {
    id: EntryId,
    table: String,
    via_root: bool,
}

impl Loaded {
    fn of(entry: &Entry) -> Option<Self> {
        let Some(DataSpec::Table { copy_in, .. }) = &entry.data else {
            return None;
        };
        let name = entry.relation.as_ref().unwrap_or(&entry.name);
        let table = match &entry.schema {
            Some(schema) => qualified(schema, name),
            None => ident(name),
        };
        Some(Self {
            id: entry.id,
            via_root: after_copy_of(copy_in, entry.schema.as_deref(), name).is_none(),
            table,
        })
    }
}

/// Asks for the triggers of the tables that these entries hold rows of.
pub(super) async fn ask<'a>(
    wire: &mut Wire,
    entries: impl Iterator<Item = &'a Entry>,
    which: Which,
    switcher: Switcher<'_>,
) -> Result<HashMap<EntryId, TriggerStates>> {
    let tables: Vec<Loaded> = entries.filter_map(Loaded::of).collect();
    let mut states = HashMap::new();
    let all = which == Which::All || tables.is_empty() || is_superuser(wire).await?;
    let (word, filter) = match all {
        true => ("ALL", ""),
        false => ("USER", "AND NOT g.tgisinternal "),
    };
    for group in tables.chunks(1000) {
        let values: Vec<String> = group
            .iter()
            .map(|loaded| {
                let table = literal(&loaded.table);
                format!("({}, {table}, {})", loaded.id, loaded.via_root)
            })
            .collect();
        // From the root down, so that the states of leaves are put back last.
        let query = format!(
            "SELECT t.id::text, p.level::text, n.nspname::text, c.relname::text, g.tgname::text, \
             g.tgenabled::text \
             FROM (VALUES {}) AS t (id, name, via_root) \
             CROSS JOIN LATERAL (\
             SELECT pg_catalog.to_regclass(t.name)::oid AS relid, 0 AS level WHERE NOT t.via_root \
             UNION ALL \
             SELECT r.relid::oid, r.level FROM pg_catalog.pg_partition_tree(\
             pg_catalog.pg_partition_root(pg_catalog.to_regclass(t.name))) r WHERE t.via_root) p \
             JOIN pg_catalog.pg_class c ON c.oid = p.relid \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_catalog.pg_trigger g ON g.tgrelid = p.relid {filter}\
             ORDER BY t.id, p.level, n.nspname, c.relname, g.oid",
            values.join(", ")
        );
        let rows = wire
            .query(&query)
            .await
            .context_with(|| "read the states of triggers")?;
        // By entry, and in it by level and table.
        let mut found: BTreeMap<EntryId, BTreeMap<(u32, String), Vec<Trigger>>> = BTreeMap::new();
        for row in rows {
            let [
                Some(id),
                Some(level),
                Some(schema),
                Some(table),
                Some(name),
                Some(enabled),
            ] = row.as_slice()
            else {
                return Err(Error::new(Kind::Failed, "a trigger without a name"));
            };
            let unknown = |_| Error::new(Kind::Failed, "a trigger of an unknown table");
            let id: EntryId = id.parse().map_err(unknown)?;
            let level: u32 = level.parse().map_err(unknown)?;
            let triggers = found.entry(id).or_default();
            let triggers = triggers.entry((level, qualified(schema, table)));
            let triggers = triggers.or_default();
            triggers.push((name.clone(), enabled.clone()));
        }
        for loaded in group {
            let tables = found.remove(&loaded.id).unwrap_or_default();
            if let Some(switched) = tree(loaded, &tables, word, switcher) {
                states.insert(loaded.id, switched);
            }
        }
    }
    Ok(states)
}

async fn is_superuser(wire: &mut Wire) -> Result<bool> {
    let rows = wire
        .query("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user")
        .await
        .context_with(|| "ask who the session is")?;
    Ok(rows.into_iter().flatten().next().flatten().as_deref() == Some("t"))
}

fn tree(
    loaded: &Loaded,
    tables: &BTreeMap<(u32, String), Vec<Trigger>>,
    word: &str,
    switcher: Switcher<'_>,
) -> Option<TriggerStates> {
    let mut disable = Vec::new();
    let mut restore = Vec::new();
    for ((_, table), triggers) in tables {
        let (off, back) = switch(table, triggers, word, loaded.via_root);
        disable.extend(off);
        restore.extend(back);
    }
    let (_, first) = tables.keys().next()?;
    (!disable.is_empty()).then(|| TriggerStates {
        disable: switcher.run(disable),
        restore: switcher.run(restore),
        together: first.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn triggers(of: &[(&str, &str)]) -> Vec<Trigger> {
        of.iter()
            .map(|(name, enabled)| ((*name).to_owned(), (*enabled).to_owned()))
            .collect()
    }

    fn states(of: &[(&str, &str)]) -> (Option<String>, Vec<String>) {
        switch("s.t", &triggers(of), "ALL", false)
    }

    #[test]
    fn nothing_to_switch_off() {
        assert_eq!(states(&[]), (None, Vec::new()));
        assert_eq!(states(&[("a", "D")]), (None, Vec::new()));
    }

    #[test]
    fn each_trigger_gets_its_own_state_back() {
        let (disable, restore) = states(&[("a", "O"), ("b", "O")]);
        let off = "ALTER TABLE ONLY s.t DISABLE TRIGGER ALL";
        assert_eq!(disable.as_deref(), Some(off));
        assert_eq!(restore, ["ALTER TABLE ONLY s.t ENABLE TRIGGER ALL"]);
        let (_, restore) = states(&[("a", "O"), ("B", "D"), ("c", "R"), ("d", "A")]);
        assert_eq!(
            restore,
            [
                "ALTER TABLE ONLY s.t ENABLE TRIGGER a",
                "ALTER TABLE ONLY s.t ENABLE REPLICA TRIGGER c",
                "ALTER TABLE ONLY s.t ENABLE ALWAYS TRIGGER d",
            ]
        );
    }

    #[test]
    fn a_tree_is_switched_from_its_root_down_under_the_superusers_name() {
        let loaded = Loaded {
            id: 1,
            table: "s.leaf".to_owned(),
            via_root: true,
        };
        let tables = BTreeMap::from([
            ((0, "s.root".to_owned()), triggers(&[("a", "O")])),
            (
                (1, "s.leaf".to_owned()),
                triggers(&[("a", "D"), ("b", "O")]),
            ),
            ((1, "s.quiet".to_owned()), triggers(&[("a", "D")])),
        ]);
        let switcher = Switcher {
            superuser: Some("Root"),
            role: Some("app"),
        };
        let states = tree(&loaded, &tables, "ALL", switcher).unwrap();
        assert_eq!(states.together, "s.root");
        assert_eq!(
            states.disable,
            [
                "SET SESSION AUTHORIZATION \"Root\"",
                "ALTER TABLE ONLY s.root DISABLE TRIGGER ALL",
                "ALTER TABLE ONLY s.leaf DISABLE TRIGGER ALL",
                "RESET SESSION AUTHORIZATION",
                "SET ROLE app",
            ]
        );
        assert_eq!(
            states.restore[1..5],
            [
                "ALTER TABLE ONLY s.root ENABLE TRIGGER ALL",
                "ALTER TABLE ONLY s.leaf DISABLE TRIGGER a",
                "ALTER TABLE ONLY s.leaf ENABLE TRIGGER b",
                "ALTER TABLE ONLY s.quiet DISABLE TRIGGER a",
            ]
        );
    }
}
