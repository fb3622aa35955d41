//! Rules other than the ones that make a view.

use crate::error::Result;
use crate::graph::Node;
use crate::model::{Components, EnabledState, Rule};
use crate::sql::{LockMode, ident};

use super::comment;
use super::context::Context;
use super::rendered::Rendered;

pub(super) fn render(context: &Context<'_>, node: Node, rule: &Rule) -> Result<Rendered> {
    let header = &rule.header;
    let relation = context.relation(rule.relation)?;
    let schema = relation.header.schema.clone();
    let mut rendered = Rendered::named(node, "RULE", schema, header.name.clone());
    rendered.relation = Some(relation.header.name.clone());
    let name = ident(&header.name);
    let relation_name = relation.header.sql_name();
    if header.wanted.has(Components::DEFINITION) {
        let definition = rule.definition.trim_end().trim_end_matches(';');
        rendered.create.push(definition.to_owned());
        let state = match rule.enabled {
            EnabledState::Origin => None,
            EnabledState::Disabled => Some("DISABLE"),
            EnabledState::Replica => Some("ENABLE REPLICA"),
            EnabledState::Always => Some("ENABLE ALWAYS"),
        };
        rendered
            .create
            .extend(state.map(|word| format!("ALTER TABLE {relation_name} {word} RULE {name}")));
        rendered
            .drop
            .push(format!("DROP RULE IF EXISTS {name} ON {relation_name}"));
        for relation in context.maybe_written(header.address) {
            rendered.lock(*relation, LockMode::RowExclusive);
        }
        rendered.lock(rule.relation, LockMode::AccessExclusive);
    }
    rendered.comments = comment::of(header, &format!("RULE {name} ON {relation_name}"));
    Ok(rendered)
}
