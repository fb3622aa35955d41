//! Triggers, and the enable states and comments of partitions' copies of them.

use crate::error::Result;
use crate::graph::Node;
use crate::model::{Components, EnabledState, Trigger};
use crate::sql::{LockMode, ident};

use super::column::alterable;
use super::comment;
use super::context::Context;
use super::rendered::Rendered;

pub(super) fn render(context: &Context<'_>, node: Node, trigger: &Trigger) -> Result<Rendered> {
    let header = &trigger.header;
    let table = context.relation(trigger.table)?;
    let schema = table.header.schema.clone();
    let mut rendered = Rendered::named(node, "TRIGGER", schema, header.name.clone());
    rendered.relation = Some(table.header.name.clone());
    let name = ident(&header.name);
    let table_name = table.header.sql_name();
    let state = |word| {
        format!(
            "ALTER {} {table_name} {word} TRIGGER {name}",
            alterable(table)
        )
    };
    if header.wanted.has(Components::DEFINITION) {
        let word = match trigger.enabled {
            // A copy is mostly named because its state is not its parent's.
            EnabledState::Origin if trigger.definition.is_none() => Some("ENABLE"),
            EnabledState::Origin => None,
            EnabledState::Disabled => Some("DISABLE"),
            EnabledState::Replica => Some("ENABLE REPLICA"),
            EnabledState::Always => Some("ENABLE ALWAYS"),
        };
        if let Some(definition) = &trigger.definition {
            rendered.create.push(definition.clone());
            rendered
                .drop
                .push(format!("DROP TRIGGER IF EXISTS {name} ON {table_name}"));
        }
        rendered.create.extend(word.map(state));
        for extension in &header.depends_on_extensions {
            rendered.create.push(format!(
                "ALTER TRIGGER {name} ON {table_name} DEPENDS ON EXTENSION {}",
                ident(extension)
            ));
        }
        rendered.lock(trigger.table, LockMode::ShareRowExclusive);
        for partition in context.partitions(trigger.table) {
            rendered.lock(partition, LockMode::ShareRowExclusive);
        }
    }
    rendered.comments = comment::of(header, &format!("TRIGGER {name} ON {table_name}"));
    Ok(rendered)
}
