//! Tables, partitions, foreign tables, and what is set apart from them.

use crate::error::Result;
use crate::graph::Node;
use crate::model::{
    Check, Column, Components, NotNull, Persistence, Relation, RelationKind, ReplicaIdentity,
};
use crate::sql::{LockMode, ident};

use super::column::{self, alter_only, alterable};
use super::context::{Context, missing};
use super::privileges::GrantKind;
use super::rendered::Rendered;
use super::settings::{foreign, with};
use super::target::Target;
use super::{comment, label, privileges};

/// What pg_dump and SQL call the relation.
pub(super) const fn keyword(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::Table | RelationKind::PartitionedTable => "TABLE",
        RelationKind::View => "VIEW",
        RelationKind::MaterializedView => "MATERIALIZED VIEW",
        RelationKind::Sequence => "SEQUENCE",
        RelationKind::ForeignTable => "FOREIGN TABLE",
        RelationKind::Composite => "TYPE",
    }
}

/// Everything but `create`: names, DROP, owner, comments, labels, privileges. Serves tables,
/// views and materialized views.
pub(super) fn frame(context: &Context<'_>, node: Node, relation: &Relation) -> Rendered {
    let header = &relation.header;
    let kind = keyword(relation.kind);
    let name = header.sql_name();
    let object = format!("{kind} {name}");
    let mut rendered = Rendered::new(node, kind, header);
    rendered.owner.clone_from(&header.owner);
    if header.wanted.has(Components::DEFINITION) {
        rendered.drop.push(format!("DROP {kind} IF EXISTS {name}"));
        if let Some(owner) = &header.owner {
            rendered
                .set_owner
                .push(format!("ALTER {object} OWNER TO {}", ident(owner)));
        }
    }
    let part = |number| {
        let column = relation.columns.iter().find(|c| c.number == number)?;
        Some(format!("COLUMN {name}.{}", ident(&column.name)))
    };
    rendered.comments = comment::of(header, &object);
    rendered.comments.extend(comment::of_parts(header, part));
    rendered.labels = label::of(header, &object, part);
    rendered.privileges = relation_privileges(context, relation);
    rendered
}

/// The relation's privileges, then its columns': a REVOKE on the whole takes the columns' too.
fn relation_privileges(context: &Context<'_>, relation: &Relation) -> Vec<String> {
    let header = &relation.header;
    let object = format!("TABLE {}", header.sql_name());
    let target = &context.target;
    let mut statements = privileges::of(GrantKind::Table, &object, header, target);
    statements.extend(column_privileges(context, relation));
    statements
}

/// The statements for columns' privileges, if they are wanted.
pub(super) fn column_privileges(context: &Context<'_>, relation: &Relation) -> Vec<String> {
    let header = &relation.header;
    if !header.wanted.has(Components::ACL) {
        return Vec::new();
    }
    let object = format!("TABLE {}", header.sql_name());
    let owner = header.owner.as_deref();
    let own = relation
        .columns
        .iter()
        .map(|c| (&c.name, &c.settings().acl));
    let systems = relation
        .system_columns
        .iter()
        .map(|(name, acl)| (name, acl));
    systems
        .chain(own)
        .flat_map(|(name, acl)| privileges::on_column(&object, name, acl, owner, &context.target))
        .collect()
}

pub(super) fn render<'a>(context: &Context<'a>, node: Node, table: &'a Relation) -> Rendered {
    let mut rendered = frame(context, node, table);
    let header = &table.header;
    if header.wanted.has(Components::COMMENT) {
        rendered
            .comments
            .extend(constraint_comments(context, table));
    }
    if !header.wanted.has(Components::DEFINITION) {
        return rendered;
    }
    rendered.tablespace.clone_from(&table.tablespace);
    rendered.create.push(create(context, table));
    if table.partition_bound.is_none() {
        column::generated_below_plain(context, table);
    }
    match (&table.access_method, table.kind) {
        // The default access method does not reach partitioned tables.
        (Some(method), RelationKind::PartitionedTable) => {
            if context.target.at_least(17) {
                rendered.create.push(format!(
                    "ALTER TABLE {} SET ACCESS METHOD {}",
                    header.sql_name(),
                    ident(method)
                ));
            } else {
                let note = "partitioned tables have no access method for their partitions to be";
                context.target.note(note);
            }
        }
        (method, _) => rendered.access_method.clone_from(method),
    }
    if context.is_adopted(table) {
        for parent in &table.parents {
            rendered.create.push(format!(
                "ALTER {} {} INHERIT {}",
                alterable(table),
                header.sql_name(),
                parent.sql_name
            ));
        }
    }
    for column in &table.columns {
        let alters = column::alters(context, table, column);
        rendered.create.extend(alters);
    }
    rendered.create.extend(replica_identity(table));
    if table.force_row_security {
        rendered
            .create
            .push(format!("{} FORCE ROW LEVEL SECURITY", alter_only(table)));
    }
    rendered
}

/// `REPLICA IDENTITY NOTHING` or `FULL`; a chosen index is set when it exists.
pub(super) fn replica_identity(table: &Relation) -> Option<String> {
    let what = match table.replica_identity {
        ReplicaIdentity::Nothing => "NOTHING",
        ReplicaIdentity::Full => "FULL",
        ReplicaIdentity::Default | ReplicaIdentity::Index => return None,
    };
    Some(format!("{} REPLICA IDENTITY {what}", alter_only(table)))
}

fn create<'a>(context: &Context<'a>, table: &'a Relation) -> String {
    let header = &table.header;
    // A partitioned table has no rows to leave unlogged; 18 refuses the word.
    let unlogged = match (table.persistence, table.kind) {
        (Persistence::Unlogged, RelationKind::Table) => "UNLOGGED ",
        _ => "",
    };
    let mut text = format!(
        "CREATE {unlogged}{} {}",
        keyword(table.kind),
        header.sql_name()
    );
    if let Some(of_type) = &table.of_type {
        text.push_str(&format!(" OF {of_type}"));
    }
    let mut elements: Vec<String> = table
        .columns
        .iter()
        .filter_map(|column| column::element(context, table, column))
        .collect();
    elements.extend(column::not_null_checks(context, table));
    elements.extend(
        inline_checks(context, table)
            .map(|check| format!("CONSTRAINT {} {}", ident(&check.name), check.definition)),
    );
    if !elements.is_empty() {
        text.push_str(&format!(" (\n    {}\n)", elements.join(",\n    ")));
    } else if table.of_type.is_none() {
        text.push_str(" (\n)");
    }
    if !table.parents.is_empty() && !context.is_free_standing(table) {
        let parents: Vec<_> = table.parents.iter().map(|p| p.sql_name.as_str()).collect();
        text.push_str(&format!("\nINHERITS ({})", parents.join(", ")));
    }
    if let Some(key) = &table.partition_key {
        text.push_str(&format!("\nPARTITION BY {key}"));
    }
    if let Some((server, _)) = &table.foreign {
        text.push_str(&format!("\nSERVER {}", ident(server)));
    }
    let options = known_parameters(&context.target, &table.options);
    text.push_str(&with(&options).replacen(' ', "\n", 1));
    if let Some((_, options)) = &table.foreign {
        text.push_str(&foreign(options).replacen(' ', "\n", 1));
    }
    text
}

/// The storage parameters that the target knows.
fn known_parameters(target: &Target, options: &[(String, String)]) -> Vec<(String, String)> {
    const SINCE_18: [&str; 2] = [
        "autovacuum_vacuum_max_threshold",
        "vacuum_max_eager_freeze_failure_rate",
    ];
    let known = |(name, _): &&(String, String)| {
        let bare = name.strip_prefix("toast.").unwrap_or(name);
        let known = !SINCE_18.contains(&bare) || target.at_least(18);
        if !known {
            target.note(format!("the storage parameter {bare}, which is not there"));
        }
        known
    };
    options.iter().filter(known).cloned().collect()
}

/// The CHECK constraints that stand in CREATE TABLE. What is made free-standing has all of them,
/// also those of its parent: ATTACH PARTITION demands them.
fn inline_checks<'a>(
    context: &Context<'a>,
    table: &'a Relation,
) -> impl Iterator<Item = &'a Check> {
    table.checks.iter().filter(|check| {
        check.validated
            && !context.is_separate_constraint(check.oid)
            && (check.local || context.is_free_standing(table))
    })
}

/// Comments on the constraints that exist once the table does.
fn constraint_comments<'a>(context: &Context<'a>, table: &'a Relation) -> Vec<String> {
    let on_constraint = |name: &str, text: &str| {
        let object = format!("CONSTRAINT {} ON {}", ident(name), table.header.sql_name());
        comment::on(&object, text)
    };
    let mut comments = Vec::new();
    for column in &table.columns {
        if let Some(not_null) = column::not_null(context, table, column)
            && let (Some(name), Some(text)) = (&not_null.name, &not_null.comment)
            && (not_null.no_inherit || column::keeps_name(context))
        {
            comments.push(on_constraint(name, text));
        }
    }
    for check in &table.checks {
        if let Some(text) = &check.comment
            && stands_with_table(context, table, check)
        {
            comments.push(on_constraint(&check.name, text));
        }
    }
    comments
}

/// Whether a CHECK is there once its table is: declared in CREATE TABLE, or inherited from such a one.
fn stands_with_table<'a>(context: &Context<'a>, table: &'a Relation, check: &Check) -> bool {
    let inherited = |parent: &'a Relation| {
        let mut checks = parent.checks.iter();
        checks.any(|other| other.name == check.name && stands_with_table(context, parent, other))
    };
    check.validated
        && !context.is_separate_constraint(check.oid)
        && (check.local || context.is_free_standing(table) || context.parents(table).any(inherited))
}

/// `ATTACH PARTITION`.
pub(super) fn render_attach<'a>(
    context: &Context<'a>,
    node: Node,
    table: &'a Relation,
) -> Result<Rendered> {
    let header = &table.header;
    let mut rendered = Rendered::new(node, "TABLE ATTACH", header);
    rendered.relation = Some(header.name.clone());
    let (Some(parent), Some(bound)) = (table.parents.first(), &table.partition_bound) else {
        return Err(missing(header.address));
    };
    if header.wanted.has(Components::DEFINITION) {
        column::generated_below_plain(context, table);
        rendered.create.push(format!(
            "ALTER TABLE ONLY {} ATTACH PARTITION {} {bound}",
            parent.sql_name,
            header.sql_name()
        ));
        rendered.lock(header.address.oid, LockMode::AccessExclusive);
        for ancestor in context.ancestors(header.address.oid) {
            rendered.lock(ancestor, LockMode::ShareUpdateExclusive);
        }
    }
    Ok(rendered)
}

/// A default set apart from its table, or a view's.
pub(super) fn render_default(node: Node, table: &Relation, column: &Column) -> Result<Rendered> {
    let header = &table.header;
    let schema = header.schema.clone();
    let mut rendered = Rendered::named(node, "DEFAULT", schema, column.name.clone());
    rendered.relation = Some(header.name.clone());
    let default = column.default.as_ref();
    let default = default.ok_or_else(|| missing(header.address))?;
    if header.wanted.has(Components::DEFINITION) {
        let name = ident(&column.name);
        rendered.create.push(format!(
            "{} ALTER COLUMN {name} SET DEFAULT {}",
            alter_only(table),
            default.expression
        ));
        rendered.drop.push(format!(
            "ALTER {} IF EXISTS ONLY {} ALTER COLUMN {name} DROP DEFAULT",
            alterable(table),
            header.sql_name()
        ));
        rendered.lock(header.address.oid, LockMode::AccessExclusive);
    }
    Ok(rendered)
}

/// A CHECK that is added after the data. Not ONLY: children get it from here.
pub(super) fn render_check(
    context: &Context<'_>,
    node: Node,
    table: &Relation,
    check: &Check,
) -> Rendered {
    let not_enforced = check.definition.ends_with(" NOT ENFORCED");
    let target = &context.target;
    target.needs(not_enforced, 18, "constraints that are NOT ENFORCED");
    let definition = (check.local || table.partition_bound.is_some()).then_some(&check.definition);
    let mut rendered = added_constraint(
        context,
        node,
        "CHECK CONSTRAINT",
        table,
        (&check.name, definition.cloned(), check.comment.as_deref()),
    );
    if rendered.create.is_empty() {
        return rendered;
    }
    let children = context.descendants(table.header.address.oid).into_iter();
    for child in children.filter_map(|child| context.relation(child).ok()) {
        if !check.validated && !not_enforced && is_valid_below(context, child, &check.name) {
            rendered.create.push(validate(child, &check.name));
        }
        rendered
            .comments
            .extend(comment_below(context, child, &check.name));
    }
    rendered
}

/// The comment on a child's constraint, which it gets with its parent's.
fn comment_below<'a>(context: &Context<'a>, child: &'a Relation, name: &str) -> Option<String> {
    let wanted = Components::DEFINITION.with(Components::COMMENT);
    let mut checks = child.checks.iter();
    let check = checks.find(|check| check.name == name && !check.local)?;
    let comes_later = child.header.wanted.has(wanted)
        && !context.is_separate_constraint(check.oid)
        && !stands_with_table(context, child, check);
    let text = check.comment.as_ref().filter(|_| comes_later)?;
    let object = format!("CONSTRAINT {} ON {}", ident(name), child.header.sql_name());
    Some(comment::on(&object, text))
}

/// Whether a child's constraint, which it gets with its parent's, has been validated apart from it.
/// What is made free-standing has it as a valid one.
fn is_valid_below<'a>(context: &Context<'a>, child: &'a Relation, name: &str) -> bool {
    let mut checks = child.checks.iter();
    child.header.wanted.has(Components::DEFINITION)
        && !context.is_free_standing(child)
        && checks.any(|check| check.name == name && check.validated && !check.local)
}

/// `VALIDATE CONSTRAINT`.
pub(super) fn validate(table: &Relation, constraint: &str) -> String {
    format!(
        "ALTER {} {} VALIDATE CONSTRAINT {}",
        alterable(table),
        table.header.sql_name(),
        ident(constraint)
    )
}

/// A NOT NULL that is added after the data, because not all rows are known to satisfy it.
pub(super) fn render_not_null(
    context: &Context<'_>,
    node: Node,
    table: &Relation,
    column: &Column,
    not_null: &NotNull,
) -> Rendered {
    let has_named = context.target.at_least(18);
    if !has_named {
        let note = "NOT NULL constraints that are NOT VALID or NO INHERIT are CHECK constraints";
        context.target.note(note);
    }
    let definition = not_null.local.then(|| {
        let column = ident(&column.name);
        let what = if has_named {
            format!("NOT NULL {column}")
        } else {
            format!("CHECK (({column} IS NOT NULL))")
        };
        format!(
            "{what}{}{}",
            if not_null.no_inherit {
                " NO INHERIT"
            } else {
                ""
            },
            if not_null.validated { "" } else { " NOT VALID" }
        )
    });
    let name = not_null.name.clone().unwrap_or_else(|| {
        // What the server would call it; only servers that name them have them apart.
        format!("{}_{}_not_null", table.header.name, column.name)
    });
    // A child's is its parent's CHECK then, which may have another name.
    let comment = not_null.comment.as_deref();
    let comment = comment.filter(|_| has_named || not_null.local);
    added_constraint(
        context,
        node,
        "CONSTRAINT",
        table,
        (&name, definition, comment),
    )
}

/// A constraint (name, definition unless it is only inherited, comment) after its table.
fn added_constraint(
    context: &Context<'_>,
    node: Node,
    kind: &'static str,
    table: &Relation,
    (name, definition, text): (&str, Option<String>, Option<&str>),
) -> Rendered {
    let header = &table.header;
    let mut rendered = Rendered::named(node, kind, header.schema.clone(), name.to_owned());
    rendered.relation = Some(header.name.clone());
    let name = ident(name);
    let table_name = header.sql_name();
    if header.wanted.has(Components::DEFINITION)
        && let Some(definition) = definition
    {
        let what = alterable(table);
        rendered.create.push(format!(
            "ALTER {what} {table_name} ADD CONSTRAINT {name} {definition}"
        ));
        rendered.drop.push(format!(
            "ALTER {what} IF EXISTS {table_name} DROP CONSTRAINT IF EXISTS {name}"
        ));
        let oid = header.address.oid;
        rendered.lock(oid, LockMode::AccessExclusive);
        for child in context.descendants(oid) {
            rendered.lock(child, LockMode::AccessExclusive);
        }
    }
    if header.wanted.has(Components::COMMENT)
        && let Some(text) = text
    {
        let object = format!("CONSTRAINT {name} ON {table_name}");
        rendered.comments.push(comment::on(&object, text));
    }
    rendered
}
