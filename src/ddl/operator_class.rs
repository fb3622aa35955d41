//! CREATE OPERATOR CLASS, CREATE OPERATOR FAMILY, and what is added to families.

use crate::graph::Node;
use crate::model::{Components, FamilyMember, Header, OperatorClass, OperatorFamily};
use crate::sql::{ident, literal, qualified};

use super::context::Context;
use super::drop::{guarded_by, where_it_is};
use super::plain;
use super::rendered::Rendered;

/// A family that comes with the server or an extension is only added to.
pub(super) fn render_family(
    context: &Context<'_>,
    node: Node,
    family: &OperatorFamily,
) -> Rendered {
    let header = &family.header;
    let address = address(header, &family.access_method);
    let members: Vec<_> = family.members.iter().map(definition).collect();
    let addition = (!members.is_empty()).then(|| {
        let members = members.join(",\n    ");
        format!("ALTER OPERATOR FAMILY {address} ADD\n    {members}")
    });
    let mut create = Vec::new();
    if !family.built_in {
        create.push(format!("CREATE OPERATOR FAMILY {address}"));
    }
    create.extend(addition);
    let mut rendered = plain::render(node, "OPERATOR FAMILY", &address, header, create);
    if family.built_in && header.wanted.has(Components::DEFINITION) {
        rendered.drop = family
            .members
            .iter()
            .map(|member| {
                let statement = format!("ALTER OPERATOR FAMILY {address} DROP {}", place(member));
                where_it_is(&statement)
            })
            .collect();
    }
    finish(context, rendered, header, &family.access_method)
}

pub(super) fn render_class(context: &Context<'_>, node: Node, class: &OperatorClass) -> Rendered {
    let header = &class.header;
    let (schema, family) = &class.family;
    let default = if class.is_default { "DEFAULT " } else { "" };
    let mut items: Vec<_> = class
        .storage
        .iter()
        .map(|storage| format!("STORAGE {storage}"))
        .collect();
    items.extend(class.members.iter().map(definition));
    if items.is_empty() {
        // There must be something; this says what holds anyway.
        items.push(format!("STORAGE {}", class.input));
    }
    let create = format!(
        "CREATE OPERATOR CLASS {}\n    {default}FOR TYPE {} USING {} FAMILY {} AS\n    {}",
        header.sql_name(),
        class.input,
        ident(&class.access_method),
        qualified(schema, family),
        items.join(",\n    ")
    );
    let address = address(header, &class.access_method);
    let rendered = plain::render(node, "OPERATOR CLASS", &address, header, vec![create]);
    finish(context, rendered, header, &class.access_method)
}

fn address(header: &Header, access_method: &str) -> String {
    format!("{} USING {}", header.sql_name(), ident(access_method))
}

/// The name tells objects of different access methods apart; DROP … IF EXISTS wants the access
/// method to exist.
fn finish(
    context: &Context<'_>,
    mut rendered: Rendered,
    header: &Header,
    access_method: &str,
) -> Rendered {
    rendered.name = format!("{} USING {access_method}", header.name);
    let mut methods = context.database.access_methods.iter();
    if methods.any(|method| method.header.name == access_method) {
        let exists = format!(
            "EXISTS (SELECT FROM pg_catalog.pg_am WHERE amname = {})",
            literal(access_method)
        );
        for statement in &mut rendered.drop {
            *statement = guarded_by(&exists, statement);
        }
    }
    rendered
}

/// A member as CREATE OPERATOR CLASS and ALTER OPERATOR FAMILY … ADD want it.
fn definition(member: &FamilyMember) -> String {
    match member {
        FamilyMember::Operator {
            strategy,
            operator,
            order_by,
            ..
        } => {
            let order_by = order_by
                .as_ref()
                .map(|(schema, family)| format!(" FOR ORDER BY {}", qualified(schema, family)))
                .unwrap_or_default();
            format!("OPERATOR {strategy} {operator}{order_by}")
        }
        FamilyMember::Function {
            number,
            types: (left, right),
            function,
        } => format!("FUNCTION {number} ({left}, {right}) {function}"),
    }
}

/// A member as ALTER OPERATOR FAMILY … DROP wants it.
fn place(member: &FamilyMember) -> String {
    let (word, number, (left, right)) = match member {
        FamilyMember::Operator {
            strategy, types, ..
        } => ("OPERATOR", strategy, types),
        FamilyMember::Function { number, types, .. } => ("FUNCTION", number, types),
    };
    format!("{word} {number} ({left}, {right})")
}
