//! Triggers that are off while rows are loaded into tables that were there before.
//!
//! The transaction that loads a frame switches them off and puts back exactly what was, so that a
//! restore that dies leaves no table without its triggers, and no other session ever sees it so.
//! The price is one loader per table: the switch takes a lock that stands against other writers.

use std::collections::HashMap;

use crate::archive::{DataSpec, Entry, EntryId};
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result};
use crate::sql::{ident, literal, qualified};

/// How to switch the triggers of a table off, and back to what they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TriggerStates {
    pub(super) disable: String,
    pub(super) restore: Vec<String>,
}

impl TriggerStates {
    /// From the names of the table's triggers and their `tgenabled`.
    fn new(table: &str, triggers: &[(String, String)]) -> Option<Self> {
        if triggers.iter().all(|(_, enabled)| enabled == "D") {
            return None;
        }
        let alter = |what: &str| format!("ALTER TABLE ONLY {table} {what}");
        let restore = if triggers.iter().all(|(_, enabled)| enabled == "O") {
            vec![alter("ENABLE TRIGGER ALL")]
        } else {
            triggers
                .iter()
                .filter_map(|(name, enabled)| {
                    let how = match enabled.as_str() {
                        "O" => "ENABLE",
                        "R" => "ENABLE REPLICA",
                        "A" => "ENABLE ALWAYS",
                        _ => return None,
                    };
                    Some(alter(&format!("{how} TRIGGER {}", ident(name))))
                })
                .collect()
        };
        Some(Self {
            disable: alter("DISABLE TRIGGER ALL"),
            restore,
        })
    }
}

/// Asks for the triggers of the tables that these entries hold rows of.
pub(super) async fn ask<'a>(
    wire: &mut Wire,
    entries: impl Iterator<Item = &'a Entry>,
) -> Result<HashMap<EntryId, TriggerStates>> {
    let tables: Vec<(EntryId, String)> = entries
        .filter(|entry| matches!(entry.data, Some(DataSpec::Table { .. })))
        .map(|entry| {
            let name = entry.relation.as_ref().unwrap_or(&entry.name);
            let table = match &entry.schema {
                Some(schema) => qualified(schema, name),
                None => ident(name),
            };
            (entry.id, table)
        })
        .collect();
    let mut states = HashMap::new();
    for group in tables.chunks(1000) {
        let values: Vec<String> = group
            .iter()
            .map(|(id, table)| format!("({id}, {})", literal(table)))
            .collect();
        let query = format!(
            "SELECT t.id::text, g.tgname::text, g.tgenabled::text \
             FROM (VALUES {}) AS t (id, name) \
             JOIN pg_catalog.pg_trigger g ON g.tgrelid = pg_catalog.to_regclass(t.name) \
             ORDER BY t.id, g.oid",
            values.join(", ")
        );
        let rows = wire
            .query(&query)
            .await
            .context_with(|| "read the states of triggers")?;
        let mut by_table: HashMap<EntryId, Vec<(String, String)>> = HashMap::new();
        for row in rows {
            let [Some(id), Some(name), Some(enabled)] = row.as_slice() else {
                return Err(Error::new(Kind::Failed, "a trigger without a name"));
            };
            let id: EntryId = id
                .parse()
                .map_err(|_| Error::new(Kind::Failed, "a trigger of an unknown table"))?;
            let triggers = by_table.entry(id).or_default();
            triggers.push((name.clone(), enabled.clone()));
        }
        for (id, table) in group {
            let triggers = by_table.remove(id).unwrap_or_default();
            if let Some(found) = TriggerStates::new(table, &triggers) {
                states.insert(*id, found);
            }
        }
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(triggers: &[(&str, &str)]) -> Option<TriggerStates> {
        let triggers: Vec<_> = triggers
            .iter()
            .map(|(name, enabled)| ((*name).to_owned(), (*enabled).to_owned()))
            .collect();
        TriggerStates::new("s.t", &triggers)
    }

    #[test]
    fn nothing_to_switch_off() {
        assert_eq!(states(&[]), None);
        assert_eq!(states(&[("a", "D")]), None);
    }

    #[test]
    fn each_trigger_gets_its_own_state_back() {
        let all = states(&[("a", "O"), ("b", "O")]).unwrap();
        assert_eq!(all.disable, "ALTER TABLE ONLY s.t DISABLE TRIGGER ALL");
        assert_eq!(all.restore, ["ALTER TABLE ONLY s.t ENABLE TRIGGER ALL"]);
        let mixed = states(&[("a", "O"), ("B", "D"), ("c", "R"), ("d", "A")]).unwrap();
        assert_eq!(
            mixed.restore,
            [
                "ALTER TABLE ONLY s.t ENABLE TRIGGER a",
                "ALTER TABLE ONLY s.t ENABLE REPLICA TRIGGER c",
                "ALTER TABLE ONLY s.t ENABLE ALWAYS TRIGGER d",
            ]
        );
    }
}
