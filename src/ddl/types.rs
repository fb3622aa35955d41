//! CREATE TYPE and CREATE DOMAIN.

use crate::error::Result;
use crate::graph::Node;
use crate::model::{
    BaseType, Components, CompositeColumn, Database, Domain, DomainConstraint, DomainDefault, Oid,
    RangeType, Type, TypeDefinition,
};
use crate::sql::{ident, literal, qualified};

use super::context::{Context, missing};
use super::drop::guarded;
use super::privileges::GrantKind;
use super::rendered::Rendered;
use super::target::Target;
use super::words::builtin_multirange;
use super::{comment, label, privileges};

pub(super) fn render(context: &Context<'_>, node: Node, type_: &Type) -> Result<Rendered> {
    let header = &type_.header;
    let name = header.sql_name();
    let (kind, create) = match &type_.definition {
        TypeDefinition::Base(base) => ("TYPE", base_type(&context.target, &name, base)),
        TypeDefinition::Composite { columns, .. } => {
            ("TYPE", composite(&context.target, &name, columns))
        }
        TypeDefinition::Enum(labels) => ("TYPE", enumeration(&name, labels)),
        TypeDefinition::Range(range) => ("TYPE", range_type(&context.target, &name, range)),
        TypeDefinition::Domain(domain) => ("DOMAIN", domain_type(context, type_, &name, domain)),
        TypeDefinition::Shell => ("TYPE", format!("CREATE TYPE {name}")),
        TypeDefinition::Array { .. } | TypeDefinition::Multirange { .. } => {
            return Err(missing(header.address));
        }
    };
    let mut rendered = Rendered::new(node, kind, header);
    rendered.owner.clone_from(&header.owner);
    let keyword = if kind == "DOMAIN" { "DOMAIN" } else { "TYPE" };
    let object = format!("{keyword} {name}");
    if header.wanted.has(Components::DEFINITION) {
        rendered.create.push(create);
        if let TypeDefinition::Domain(domain) = &type_.definition
            && domain.default == DomainDefault::Dropped
        {
            rendered
                .create
                .push(format!("ALTER DOMAIN {name} DROP DEFAULT"));
        }
        if let TypeDefinition::Range(range) = &type_.definition {
            rendered.create.extend(constructors(&context.target, range));
        }
        // A base type and its functions need each other, and so do a range type and the function
        // that normalizes it; only CASCADE takes both away.
        let cascade = match &type_.definition {
            TypeDefinition::Base(_) => " CASCADE",
            TypeDefinition::Range(range) if range.canonical.is_some() => " CASCADE",
            _ => "",
        };
        rendered
            .drop
            .push(format!("DROP {keyword} IF EXISTS {name}{cascade}"));
        if let Some(owner) = &header.owner {
            rendered
                .set_owner
                .push(format!("ALTER {object} OWNER TO {}", ident(owner)));
        }
    }
    rendered.comments = comments(context, type_, &object, &name);
    let part = |number| column_object(type_, &name, number);
    rendered.labels = label::of(header, &object, part);
    rendered.privileges = privileges::of(
        GrantKind::Type,
        &format!("TYPE {name}"),
        header,
        &context.target,
    );
    Ok(rendered)
}

/// The shell that stands before the functions of a base type, or before the canonical function
/// of a range type.
pub(super) fn render_shell(node: Node, type_: &Type) -> Rendered {
    let header = &type_.header;
    let mut rendered = Rendered::new(node, "SHELL TYPE", header);
    if header.wanted.has(Components::DEFINITION) {
        let name = header.sql_name();
        rendered.create.push(format!("CREATE TYPE {name}"));
        rendered
            .drop
            .push(format!("DROP TYPE IF EXISTS {name} CASCADE"));
    }
    rendered
}

/// A domain's default that is given when what it needs is there.
pub(super) fn render_default(node: Node, type_: &Type) -> Result<Rendered> {
    let header = &type_.header;
    let TypeDefinition::Domain(domain) = &type_.definition else {
        return Err(missing(header.address));
    };
    let mut rendered = Rendered::new(node, "DEFAULT", header);
    if let DomainDefault::Expression(default) = &domain.default
        && header.wanted.has(Components::DEFINITION)
    {
        let name = header.sql_name();
        let alter = format!("ALTER DOMAIN {name}");
        rendered
            .create
            .push(format!("{alter} SET DEFAULT {default}"));
        rendered.drop.push(guarded(
            "to_regtype",
            &name,
            &format!("{alter} DROP DEFAULT"),
        ));
    }
    Ok(rendered)
}

/// Tables with a column of a domain, or of a domain over it: the server scans them for a constraint
/// that is added.
pub(super) fn tables_with(database: &Database, domain: Oid) -> Vec<Oid> {
    let mut domains = vec![domain];
    let mut at = 0;
    while let Some(&base) = domains.get(at) {
        at += 1;
        let over = database.types.iter().filter(|other| {
            matches!(&other.definition, TypeDefinition::Domain(other) if other.base_oid == base)
        });
        domains.extend(over.map(|other| other.header.address.oid));
    }
    let relations = database.relations.iter();
    let with_it = relations.filter(|relation| {
        let mut columns = relation.columns.iter();
        columns.any(|column| domains.contains(&column.type_oid))
    });
    with_it
        .map(|relation| relation.header.address.oid)
        .collect()
}

/// A domain constraint that is added after the data, or after what it needs.
pub(super) fn render_constraint(
    target: &Target,
    node: Node,
    type_: &Type,
    constraint: &DomainConstraint,
) -> Rendered {
    let header = &type_.header;
    let domain = header.sql_name();
    let kind = if constraint.is_not_null {
        "CONSTRAINT"
    } else {
        "CHECK CONSTRAINT"
    };
    let name = constraint.name.clone();
    let mut rendered = Rendered::named(node, kind, header.schema.clone(), name);
    let name = ident(&constraint.name);
    if constraint.is_not_null && !keeps_name(target) {
        if header.wanted.has(Components::DEFINITION) {
            let alter = format!("ALTER DOMAIN {domain}");
            rendered.create.push(format!("{alter} SET NOT NULL"));
            rendered.drop.push(guarded(
                "to_regtype",
                &domain,
                &format!("{alter} DROP NOT NULL"),
            ));
        }
        return rendered;
    }
    if header.wanted.has(Components::DEFINITION) {
        rendered.create.push(format!(
            "ALTER DOMAIN {domain} ADD CONSTRAINT {name} {}",
            constraint.definition
        ));
        rendered.drop.push(guarded(
            "to_regtype",
            &domain,
            &format!("ALTER DOMAIN {domain} DROP CONSTRAINT IF EXISTS {name}"),
        ));
    }
    if header.wanted.has(Components::COMMENT)
        && let Some(text) = &constraint.comment
    {
        let object = format!("CONSTRAINT {name} ON DOMAIN {domain}");
        rendered.comments.push(comment::on(&object, text));
    }
    rendered
}

fn base_type(target: &Target, name: &str, base: &BaseType) -> String {
    if base.has_loose_elements && target.at_least(14) {
        target.impossible(
            "types with elements that no function takes apart (ELEMENT without SUBSCRIPT)",
        );
    }
    let options: Vec<_> = base
        .options
        .iter()
        .filter(|(option, _)| {
            let known = *option != "SUBSCRIPT" || target.at_least(14);
            if !known {
                target.note("types have no SUBSCRIPT function");
            }
            known
        })
        .map(|(option, text)| format!("\n    {option} = {text}"))
        .collect();
    format!("CREATE TYPE {name} ({}\n)", options.join(","))
}

fn composite(target: &Target, name: &str, columns: &[CompositeColumn]) -> String {
    let multirange = columns.iter().any(|c| builtin_multirange(&c.type_sql));
    target.needs(multirange, 14, "multirange types");
    let columns: Vec<_> = columns
        .iter()
        .map(|column| {
            let collation = collate(column.collation.as_deref());
            format!(
                "\n    {} {}{collation}",
                ident(&column.name),
                column.type_sql
            )
        })
        .collect();
    format!("CREATE TYPE {name} AS ({}\n)", columns.join(","))
}

fn enumeration(name: &str, labels: &[String]) -> String {
    let labels: Vec<_> = labels
        .iter()
        .map(|label| format!("\n    {}", literal(label)))
        .collect();
    format!("CREATE TYPE {name} AS ENUM ({}\n)", labels.join(","))
}

fn range_type(target: &Target, name: &str, range: &RangeType) -> String {
    let mut options = vec![format!("\n    subtype = {}", range.subtype)];
    if let Some((schema, multirange)) = &range.multirange
        && knows_multiranges(target)
    {
        let multirange = qualified(schema, multirange);
        options.push(format!("\n    multirange_type_name = {multirange}"));
    }
    let more = [
        ("subtype_opclass", range.operator_class.as_ref()),
        ("collation", range.collation.as_ref()),
        ("canonical", range.canonical.as_ref().map(|(name, _)| name)),
        ("subtype_diff", range.subtype_diff.as_ref()),
    ];
    for (option, text) in more {
        if let Some(text) = text {
            options.push(format!("\n    {option} = {text}"));
        }
    }
    format!("CREATE TYPE {name} AS RANGE ({}\n)", options.join(","))
}

/// Takes constructors, which the server calls as their types, to where they are.
fn constructors(target: &Target, range: &RangeType) -> Vec<String> {
    let mut statements = Vec::new();
    for constructor in &range.constructors {
        if constructor.is_multirange && !knows_multiranges(target) {
            continue;
        }
        let (schema, name) = &constructor.made;
        let (own_schema, own_name) = &constructor.own;
        let arguments = &constructor.arguments;
        if own_name != name {
            statements.push(format!(
                "ALTER FUNCTION {}({arguments}) RENAME TO {}",
                qualified(schema, name),
                ident(own_name)
            ));
        }
        if own_schema != schema {
            statements.push(format!(
                "ALTER FUNCTION {}({arguments}) SET SCHEMA {}",
                qualified(schema, own_name),
                ident(own_schema)
            ));
        }
    }
    statements
}

fn knows_multiranges(target: &Target) -> bool {
    let known = target.at_least(14);
    if !known {
        target.note("range types have no multirange type");
    }
    known
}

fn domain_type(context: &Context<'_>, type_: &Type, name: &str, domain: &Domain) -> String {
    let multirange = builtin_multirange(&domain.base);
    context.target.needs(multirange, 14, "multirange types");
    let mut text = format!("CREATE DOMAIN {name} AS {}", domain.base);
    text.push_str(&collate(domain.collation.as_deref()));
    if let DomainDefault::Expression(default) = &domain.default
        && !context.is_separate_domain_default(type_.header.address.oid)
    {
        text.push_str(&format!(" DEFAULT {default}"));
    }
    if domain.not_null {
        text.push_str(" NOT NULL");
    }
    let automatic = format!("{}_not_null", type_.header.name);
    for constraint in inline(context, domain) {
        if constraint.is_not_null && constraint.name == automatic {
            text.push_str(" NOT NULL");
        } else if constraint.is_not_null && !keeps_name(&context.target) {
            // Older servers take the name and forget it.
            text.push_str(" NOT NULL");
        } else {
            text.push_str(&format!(
                "\n    CONSTRAINT {} {}",
                ident(&constraint.name),
                constraint.definition
            ));
        }
    }
    text
}

/// Whether a NOT NULL of a domain keeps its name.
fn keeps_name(target: &Target) -> bool {
    let known = target.at_least(17);
    if !known {
        target.note("names and comments of NOT NULL constraints");
    }
    known
}

/// The constraints that are part of CREATE DOMAIN.
fn inline<'a>(
    context: &'a Context<'_>,
    domain: &'a Domain,
) -> impl Iterator<Item = &'a DomainConstraint> {
    domain.constraints.iter().filter(|constraint| {
        constraint.validated && !context.is_separate_constraint(constraint.oid)
    })
}

fn comments(context: &Context<'_>, type_: &Type, object: &str, name: &str) -> Vec<String> {
    let header = &type_.header;
    let mut comments = comment::of(header, object);
    comments.extend(comment::of_parts(header, |number| {
        column_object(type_, name, number)
    }));
    if header
        .wanted
        .has(Components::DEFINITION.with(Components::COMMENT))
        && let Some(multirange) = context.multirange_of(header.address.oid)
        && let Some(text) = &multirange.header.comment
        && knows_multiranges(&context.target)
    {
        let object = format!("TYPE {}", multirange.header.sql_name());
        comments.push(comment::on(&object, text));
    }
    if let TypeDefinition::Domain(domain) = &type_.definition
        && header.wanted.has(Components::COMMENT)
    {
        for constraint in inline(context, domain) {
            if let Some(text) = &constraint.comment
                && (!constraint.is_not_null || keeps_name(&context.target))
            {
                let object = format!("CONSTRAINT {} ON DOMAIN {name}", ident(&constraint.name));
                comments.push(comment::on(&object, text));
            }
        }
    }
    comments
}

/// `COLUMN s.t.c` for an attribute of a composite type.
fn column_object(type_: &Type, name: &str, number: i32) -> Option<String> {
    let TypeDefinition::Composite { columns, .. } = &type_.definition else {
        return None;
    };
    let column = columns.iter().find(|column| column.number == number)?;
    Some(format!("COLUMN {name}.{}", ident(&column.name)))
}

/// ` COLLATE c`, or nothing.
pub(super) fn collate(collation: Option<&str>) -> String {
    collation
        .map(|collation| format!(" COLLATE {collation}"))
        .unwrap_or_default()
}
