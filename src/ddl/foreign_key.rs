//! Foreign keys.

use crate::error::Result;
use crate::graph::Node;
use crate::model::{Components, ForeignKey};
use crate::sql::{LockMode, ident};

use super::context::Context;
use super::rendered::Rendered;
use super::words::has_words;
use super::{column, comment, split, table};

pub(super) fn render(context: &Context<'_>, node: Node, key: &ForeignKey) -> Result<Rendered> {
    let header = &key.header;
    let table = context.relation(key.table)?;
    let schema = table.header.schema.clone();
    let mut rendered = Rendered::named(node, "FK CONSTRAINT", schema, header.name.clone());
    rendered.relation = Some(table.header.name.clone());
    let name = ident(&header.name);
    let table_name = table.header.sql_name();
    if header.wanted.has(Components::DEFINITION) {
        let (target, definition) = (&context.target, &key.definition);
        target.needs(!key.enforced, 18, "constraints that are NOT ENFORCED");
        let unchecked = key.on_partitioned && !key.validated && key.enforced;
        target.needs(
            unchecked,
            18,
            "NOT VALID foreign keys of partitioned tables",
        );
        let period = has_words(definition, ", PERIOD ");
        target.needs(period, 18, "temporal foreign keys (PERIOD)");
        let chosen = ["SET NULL (", "SET DEFAULT ("];
        let chosen = chosen.iter().any(|words| has_words(definition, words));
        target.needs(chosen, 15, "ON DELETE SET NULL of chosen columns");
        let what = column::alterable(table);
        // A partitioned table's key must reach its partitions.
        let only = if key.on_partitioned { "" } else { "ONLY " };
        let add = format!(
            "ALTER {what} {only}{table_name} ADD CONSTRAINT {name} {}",
            key.definition
        );
        let mut validated = Vec::new();
        let mut merges = false;
        for (oid, own_name) in &key.validated_on {
            let partition = context.relation(*oid)?;
            if !partition.header.wanted.has(Components::DEFINITION) {
                continue;
            }
            if *own_name == header.name {
                validated.push(table::validate(partition, own_name));
            } else {
                // It had this key before it was attached. One like it becomes part of the parent's, and keeps
                // its name; else the partition's would be called as the parent's.
                merges = true;
                rendered.create.push(format!(
                    "ALTER {} {} ADD CONSTRAINT {} {}",
                    column::alterable(partition),
                    partition.header.sql_name(),
                    ident(own_name),
                    definition.strip_suffix(" NOT VALID").unwrap_or(definition)
                ));
            }
        }
        rendered.create.push(add);
        rendered.create.extend(validated);
        rendered.drop.push(format!(
            "ALTER {what} IF EXISTS {only}{table_name} DROP CONSTRAINT IF EXISTS {name}"
        ));
        // A key that becomes part of another loses its triggers.
        let mode = match merges {
            true => LockMode::AccessExclusive,
            false => LockMode::ShareRowExclusive,
        };
        for side in [key.table, key.referenced] {
            rendered.lock(side, mode);
            for partition in context.partitions(side) {
                rendered.lock(partition, mode);
            }
        }
        if let Ok(referenced) = context.relation(key.referenced) {
            rendered.split = split::foreign_key(key, table, referenced);
        }
    }
    rendered.comments = comment::of(header, &format!("CONSTRAINT {name} ON {table_name}"));
    Ok(rendered)
}
