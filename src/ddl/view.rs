//! Views, dummy views and their later definition, materialized views and REFRESH.

use crate::error::Result;
use crate::graph::Node;
use crate::model::{Components, Relation, View};
use crate::sql::{LockMode, ident};

use super::context::{Context, missing};
use super::drop::guarded;
use super::rendered::Rendered;
use super::settings::with;
use super::target::Target;
use super::types::collate;
use super::{column, table};

pub(super) fn render(context: &Context<'_>, node: Node, relation: &Relation) -> Result<Rendered> {
    let mut rendered = table::frame(context, node, relation);
    let header = &relation.header;
    if header.wanted.has(Components::DEFINITION) {
        let create = if context.is_dummy_view(header.address.oid) {
            format!("CREATE VIEW {} AS{}", header.sql_name(), dummy(relation))
        } else {
            format!("CREATE VIEW {}", definition(&context.target, relation)?)
        };
        rendered.create.push(create);
        for column in &relation.columns {
            // A view's defaults normally are nodes of their own.
            if let Some(default) = &column.default
                && !context.is_separate_default(default.oid)
            {
                rendered.create.push(format!(
                    "ALTER VIEW {} ALTER COLUMN {} SET DEFAULT {}",
                    header.sql_name(),
                    ident(&column.name),
                    default.expression
                ));
            }
        }
    }
    Ok(rendered)
}

/// The full definition of a view that so far stands as a dummy.
pub(super) fn render_definition(
    target: &Target,
    node: Node,
    relation: &Relation,
) -> Result<Rendered> {
    let header = &relation.header;
    let name = header.sql_name();
    let schema = header.schema.clone();
    let mut rendered = Rendered::named(node, "RULE", schema, String::from("_RETURN"));
    rendered.relation = Some(header.name.clone());
    rendered.owner.clone_from(&header.owner);
    if header.wanted.has(Components::DEFINITION) {
        rendered.create.push(format!(
            "CREATE OR REPLACE VIEW {}",
            definition(target, relation)?
        ));
        // Back to the dummy, so that what the view leans on can go before the view does.
        let dummy = format!("CREATE OR REPLACE VIEW {name} AS{}", dummy(relation));
        rendered.drop.push(guarded("to_regclass", &name, &dummy));
        rendered.lock(header.address.oid, LockMode::AccessExclusive);
    }
    Ok(rendered)
}

pub(super) fn render_materialized(
    context: &Context<'_>,
    node: Node,
    relation: &Relation,
) -> Result<Rendered> {
    let mut rendered = table::frame(context, node, relation);
    let header = &relation.header;
    if !header.wanted.has(Components::DEFINITION) {
        return Ok(rendered);
    }
    rendered.tablespace.clone_from(&relation.tablespace);
    rendered.access_method.clone_from(&relation.access_method);
    rendered.create.push(format!(
        "CREATE MATERIALIZED VIEW {}{} AS\n{}\n  WITH NO DATA",
        header.sql_name(),
        with(&relation.options),
        query(view(relation)?)
    ));
    for column in &relation.columns {
        rendered
            .create
            .extend(column::attributes(&context.target, relation, column));
    }
    rendered.create.extend(table::replica_identity(relation));
    for extension in &header.depends_on_extensions {
        rendered.create.push(format!(
            "ALTER MATERIALIZED VIEW {} DEPENDS ON EXTENSION {}",
            header.sql_name(),
            ident(extension)
        ));
    }
    Ok(rendered)
}

/// `REFRESH MATERIALIZED VIEW`.
pub(super) fn render_refresh(node: Node, relation: &Relation) -> Rendered {
    let header = &relation.header;
    let mut rendered = Rendered::new(node, "MATERIALIZED VIEW DATA", header);
    rendered.relation = Some(header.name.clone());
    rendered.owner.clone_from(&header.owner);
    if header.wanted.has(Components::DATA) {
        rendered
            .create
            .push(format!("REFRESH MATERIALIZED VIEW {}", header.sql_name()));
        rendered.lock(header.address.oid, LockMode::AccessExclusive);
    }
    rendered
}

fn view(relation: &Relation) -> Result<&View> {
    let view = relation.view.as_ref();
    view.ok_or_else(|| missing(relation.header.address))
}

/// The query without a closing semicolon, should there be one.
fn query(view: &View) -> &str {
    view.query.trim_end().trim_end_matches(';')
}

/// `s.v WITH (…) AS … WITH CHECK OPTION`, complete: CREATE OR REPLACE VIEW resets what it does
/// not name.
fn definition(target: &Target, relation: &Relation) -> Result<String> {
    let view = view(relation)?;
    let invoker = |(name, _): &&(String, String)| name == "security_invoker";
    // Left out, the view would read with its owner's rights what its users may not.
    let invoker = relation.options.iter().find(invoker);
    target.needs(invoker.is_some(), 15, "views with security_invoker");
    let check = match &view.check_option {
        Some(option) => format!("\n  WITH {} CHECK OPTION", option.to_ascii_uppercase()),
        None => String::new(),
    };
    Ok(format!(
        "{}{} AS\n{}{check}",
        relation.header.sql_name(),
        with(&relation.options),
        query(view)
    ))
}

/// A query with the view's columns and no sources. The collations must be there already, since
/// replacing a view cannot change them.
fn dummy(relation: &Relation) -> String {
    let columns: Vec<_> = relation
        .columns
        .iter()
        .map(|column| {
            format!(
                "\n    NULL::{}{} AS {}",
                column.type_sql,
                collate(column.settings().collation.as_deref()),
                ident(&column.name)
            )
        })
        .collect();
    format!("\nSELECT{}", columns.join(","))
}
