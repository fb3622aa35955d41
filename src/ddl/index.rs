//! Indexes, the constraints that stand on them, and attaching them to their parents.

use crate::error::Result;
use crate::graph::Node;
use crate::model::{
    Address, Class, Components, Index, IndexConstraint, IndexConstraintKind, Relation,
};
use crate::sql::{LockMode, ident, qualified};

use super::column::{alter_only, alterable};
use super::context::Context;
use super::rendered::Rendered;
use super::target::Target;
use super::words::{has_words, outside_quotes};
use super::{comment, label, split};

/// An index's node. Where its constraint has a node of its own, nothing is left here but the
/// comment on the index.
pub(super) fn render(context: &Context<'_>, node: Node, index: &Index) -> Result<Rendered> {
    match &index.constraint {
        Some(constraint) if !has_own_node(context, constraint) => {
            constraint_and_index(context, node, index, constraint)
        }
        constraint => {
            let table = context.relation(index.table)?;
            let mut rendered = Rendered::new(node, "INDEX", &index.header);
            rendered.relation = Some(table.header.name.clone());
            if constraint.is_none() {
                plain(context, index, table, &mut rendered);
            }
            describe(index, table, &mut rendered);
            Ok(rendered)
        }
    }
}

/// The node of a constraint that stands on an index.
pub(super) fn render_constraint(
    context: &Context<'_>,
    node: Node,
    index: &Index,
    constraint: &IndexConstraint,
) -> Result<Rendered> {
    if context.has_node(Node::Object(index.header.address)) {
        return constraint_alone(context, node, index, constraint);
    }
    constraint_and_index(context, node, index, constraint)
}

fn has_own_node(context: &Context<'_>, constraint: &IndexConstraint) -> bool {
    context.has_node(Node::Object(Address::new(
        Class::Constraint,
        constraint.oid,
    )))
}

/// The constraint with the comment on its index, for when both are one node.
fn constraint_and_index(
    context: &Context<'_>,
    node: Node,
    index: &Index,
    constraint: &IndexConstraint,
) -> Result<Rendered> {
    let mut rendered = constraint_alone(context, node, index, constraint)?;
    describe(index, context.relation(index.table)?, &mut rendered);
    Ok(rendered)
}

fn constraint_alone(
    context: &Context<'_>,
    node: Node,
    index: &Index,
    constraint: &IndexConstraint,
) -> Result<Rendered> {
    let table = context.relation(index.table)?;
    let header = &index.header;
    let schema = table.header.schema.clone();
    let mut rendered = Rendered::named(node, "CONSTRAINT", schema, constraint.name.clone());
    rendered.relation = Some(table.header.name.clone());
    let name = ident(&constraint.name);
    let table_name = table.header.sql_name();
    if header.wanted.has(Components::DEFINITION) {
        let exclusion = constraint.kind == IndexConstraintKind::Exclusion;
        ask(&context.target, &constraint.definition);
        context.target.needs(
            exclusion && index.partitioned,
            17,
            "exclusion constraints of partitioned tables",
        );
        rendered.tablespace.clone_from(&index.tablespace);
        rendered.create.push(format!(
            "{} ADD CONSTRAINT {name} {}",
            alter_only(table),
            constraint.definition
        ));
        // A constraint that its parent's drags along cannot be dropped by itself.
        if index.parent.is_none() {
            rendered.drop.push(format!(
                "ALTER {} IF EXISTS ONLY {table_name} DROP CONSTRAINT IF EXISTS {name}",
                alterable(table)
            ));
        }
        rendered.lock(index.table, LockMode::AccessExclusive);
        let made = rendered.create.len();
        follow_ups(index, table, &mut rendered);
        rendered.split = split::key(index, constraint, table, &rendered.create[made..]);
    }
    if header.wanted.has(Components::COMMENT)
        && let Some(text) = &constraint.comment
    {
        let object = format!("CONSTRAINT {name} ON {table_name}");
        rendered.comments.push(comment::on(&object, text));
    }
    Ok(rendered)
}

/// What not every server knows.
fn ask(target: &Target, definition: &str) {
    let distinct = has_words(definition, "NULLS NOT DISTINCT");
    target.needs(distinct, 15, "NULLS NOT DISTINCT");
    let temporal = has_words(definition, " WITHOUT OVERLAPS");
    target.needs(temporal, 18, "temporal keys (WITHOUT OVERLAPS)");
    // The server's own operator classes, which stand without a schema.
    let brin = outside_quotes(definition).any(|piece| {
        piece
            .split([' ', ',', '(', ')'])
            .filter(|word| !word.contains('.'))
            .any(|word| word.ends_with("_minmax_multi_ops") || word.ends_with("_bloom_ops"))
    });
    target.needs(brin, 14, "bloom and minmax-multi indexes");
    let covering = has_words(definition, " USING spgist ") && has_words(definition, ") INCLUDE (");
    target.needs(covering, 14, "covering SP-GiST indexes");
}

fn plain(context: &Context<'_>, index: &Index, table: &Relation, rendered: &mut Rendered) {
    if !index.header.wanted.has(Components::DEFINITION) {
        return;
    }
    rendered.tablespace.clone_from(&index.tablespace);
    ask(&context.target, &index.definition);
    rendered.create.push(index.definition.clone());
    // An attached index goes with its parent.
    if index.parent.is_none() {
        let name = index_name(index, table);
        // It takes the attached indexes along, but not a constraint that stands on one of them.
        let cascade = if context.is_above_constraint(index.header.address.oid) {
            " CASCADE"
        } else {
            ""
        };
        rendered
            .drop
            .push(format!("DROP INDEX IF EXISTS {name}{cascade}"));
    }
    rendered.lock(index.table, LockMode::Share);
    follow_ups(index, table, rendered);
}

/// What can only be said once the index exists.
fn follow_ups(index: &Index, table: &Relation, rendered: &mut Rendered) {
    let name = index_name(index, table);
    for (column, target) in &index.statistics {
        rendered.create.push(format!(
            "ALTER INDEX {name} ALTER COLUMN {column} SET STATISTICS {target}"
        ));
    }
    let own_name = ident(&index.header.name);
    if index.clustered {
        rendered.create.push(format!(
            "ALTER TABLE {} CLUSTER ON {own_name}",
            table.header.sql_name()
        ));
        rendered.lock(index.table, LockMode::ShareUpdateExclusive);
    }
    if index.replica_identity {
        rendered.create.push(format!(
            "{} REPLICA IDENTITY USING INDEX {own_name}",
            alter_only(table)
        ));
        rendered.lock(index.table, LockMode::AccessExclusive);
    }
    for extension in &index.header.depends_on_extensions {
        rendered.create.push(format!(
            "ALTER INDEX {name} DEPENDS ON EXTENSION {}",
            ident(extension)
        ));
    }
}

/// Comment and labels of the index itself.
fn describe(index: &Index, table: &Relation, rendered: &mut Rendered) {
    let object = format!("INDEX {}", index_name(index, table));
    rendered
        .comments
        .extend(comment::of(&index.header, &object));
    rendered
        .labels
        .extend(label::of(&index.header, &object, |_| None));
}

/// An index lives in its table's schema.
fn index_name(index: &Index, table: &Relation) -> String {
    match &table.header.schema {
        Some(schema) => qualified(schema, &index.header.name),
        None => ident(&index.header.name),
    }
}

/// `ALTER INDEX … ATTACH PARTITION`.
pub(super) fn render_attach(context: &Context<'_>, node: Node, index: &Index) -> Result<Rendered> {
    let table = context.relation(index.table)?;
    let mut rendered = Rendered::new(node, "INDEX ATTACH", &index.header);
    rendered.relation = Some(table.header.name.clone());
    let parent = context.index(index.parent.unwrap_or_default())?;
    let parent_table = context.relation(parent.table)?;
    if index.header.wanted.has(Components::DEFINITION) {
        rendered.create.push(format!(
            "ALTER INDEX {} ATTACH PARTITION {}",
            index_name(parent, parent_table),
            index_name(index, table)
        ));
        // The tables themselves are only read; but the parent index is locked against other
        // attaches, and the last one that makes it valid goes on to the index above.
        rendered.lock(index.table, LockMode::AccessShare);
        rendered.lock(parent.table, LockMode::ShareUpdateExclusive);
        if parent.parent.is_some() {
            for ancestor in context.ancestors(parent.table) {
                rendered.lock(ancestor, LockMode::AccessExclusive);
            }
        }
    }
    Ok(rendered)
}
