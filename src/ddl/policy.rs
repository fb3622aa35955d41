//! Row security: the switch and the policies.

use crate::error::Result;
use crate::graph::Node;
use crate::model::{Components, Policy, PolicyCommand, Relation};
use crate::sql::{LockMode, ident};

use super::comment;
use super::context::Context;
use super::rendered::Rendered;

pub(super) fn render(context: &Context<'_>, node: Node, policy: &Policy) -> Result<Rendered> {
    let header = &policy.header;
    let table = context.relation(policy.table)?;
    let schema = table.header.schema.clone();
    let mut rendered = Rendered::named(node, "POLICY", schema, header.name.clone());
    rendered.relation = Some(table.header.name.clone());
    let on = format!("{} ON {}", ident(&header.name), table.header.sql_name());
    // Either says that it is wanted: a policy is nothing but its definition.
    if header.wanted.has(Components::POLICY) || header.wanted.has(Components::DEFINITION) {
        rendered.create.push(create(policy, &on));
        rendered.drop.push(format!("DROP POLICY IF EXISTS {on}"));
        rendered.lock(policy.table, LockMode::AccessExclusive);
    }
    rendered.comments = comment::of(header, &format!("POLICY {on}"));
    Ok(rendered)
}

fn create(policy: &Policy, on: &str) -> String {
    let mut text = format!("CREATE POLICY {on}");
    if !policy.permissive {
        text.push_str(" AS RESTRICTIVE");
    }
    text.push_str(match policy.command {
        PolicyCommand::All => "",
        PolicyCommand::Select => " FOR SELECT",
        PolicyCommand::Insert => " FOR INSERT",
        PolicyCommand::Update => " FOR UPDATE",
        PolicyCommand::Delete => " FOR DELETE",
    });
    if !policy.roles.is_empty() {
        let roles: Vec<_> = policy.roles.iter().map(|role| ident(role)).collect();
        text.push_str(&format!(" TO {}", roles.join(", ")));
    }
    if let Some(using) = &policy.using {
        text.push_str(&format!(" USING ({using})"));
    }
    if let Some(check) = &policy.check {
        text.push_str(&format!(" WITH CHECK ({check})"));
    }
    text
}

/// `ENABLE ROW LEVEL SECURITY`, after the data so that rows load past the policies.
pub(super) fn render_switch(node: Node, table: &Relation) -> Rendered {
    let header = &table.header;
    let mut rendered = Rendered::new(node, "ROW SECURITY", header);
    rendered.relation = Some(header.name.clone());
    if header.wanted.has(Components::POLICY) {
        let name = header.sql_name();
        rendered
            .create
            .push(format!("ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"));
        rendered.drop.push(format!(
            "ALTER TABLE IF EXISTS {name} DISABLE ROW LEVEL SECURITY"
        ));
        rendered.lock(header.address.oid, LockMode::AccessExclusive);
    }
    rendered
}
