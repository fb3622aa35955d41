//! Foreign keys.

use crate::error::Result;
use crate::graph::Node;
use crate::model::{Components, ForeignKey};
use crate::sql::{LockMode, ident};

use super::context::Context;
use super::rendered::Rendered;
use super::{column, comment};

pub(super) fn render(context: &Context<'_>, node: Node, key: &ForeignKey) -> Result<Rendered> {
    let header = &key.header;
    let table = context.relation(key.table)?;
    let schema = table.header.schema.clone();
    let mut rendered = Rendered::named(node, "FK CONSTRAINT", schema, header.name.clone());
    rendered.relation = Some(table.header.name.clone());
    let name = ident(&header.name);
    let table_name = table.header.sql_name();
    if header.wanted.has(Components::DEFINITION) {
        let what = column::alterable(table);
        // A partitioned table's key must reach its partitions.
        let only = if key.on_partitioned { "" } else { "ONLY " };
        rendered.create.push(format!(
            "ALTER {what} {only}{table_name} ADD CONSTRAINT {name} {}",
            key.definition
        ));
        rendered.drop.push(format!(
            "ALTER {what} IF EXISTS {only}{table_name} DROP CONSTRAINT IF EXISTS {name}"
        ));
        for side in [key.table, key.referenced] {
            rendered.lock(side, LockMode::ShareRowExclusive);
            for partition in context.partitions(side) {
                rendered.lock(partition, LockMode::ShareRowExclusive);
            }
        }
    }
    rendered.comments = comment::of(header, &format!("CONSTRAINT {name} ON {table_name}"));
    Ok(rendered)
}
