//! Loading partitions through the root of their tree.

use super::relations::Relations;
use crate::archive::{DataSpec, Entry, EntryId};
use crate::sql::{after_copy_of, ident, qualified};

/// Lets the rows of every partition be loaded through the topmost table of its tree, so that the
/// target decides which partition takes each row. What stands on any table of the tree then waits
/// for the rows of all.
///
/// Partitions whose tree is not in the archive stay as they are.
pub fn load_via_root(entries: &mut [Entry]) {
    let changes: Vec<(usize, String, Vec<EntryId>)> = {
        let relations = Relations::new(entries);
        entries
            .iter()
            .enumerate()
            .filter_map(|(at, entry)| {
                let Some(DataSpec::Table { copy_in, .. }) = &entry.data else {
                    return None;
                };
                let mut table = relations.relation_of(entry)?;
                let own = entries.get(table as usize - 1)?;
                let mut needs = Vec::new();
                // An archive may claim anything: a circle is not walked for ever.
                while let Some((parent, attach)) = relations.attached_to(table)
                    && needs.len() <= entries.len()
                {
                    needs.extend([parent, attach]);
                    table = parent;
                }
                if needs.is_empty() {
                    return None;
                }
                let root = sql_name(entries.get(table as usize - 1)?);
                let rest = after_copy_of(copy_in, own.schema.as_deref(), &own.name)?;
                needs.retain(|&id| id < entry.id);
                Some((at, format!("COPY {root} {rest}"), needs))
            })
            .collect()
    };
    for (at, statement, needs) in changes {
        let Some(entry) = entries.get_mut(at) else {
            continue;
        };
        if let Some(DataSpec::Table { copy_in, .. }) = &mut entry.data {
            *copy_in = statement;
        }
        entry.depends_on.extend(needs);
        entry.depends_on.sort_unstable();
        entry.depends_on.dedup();
    }
}

fn sql_name(entry: &Entry) -> String {
    match &entry.schema {
        Some(schema) => qualified(schema, &entry.name),
        None => ident(&entry.name),
    }
}
