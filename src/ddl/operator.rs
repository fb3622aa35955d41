//! CREATE OPERATOR. A partner that is not made yet is made as a shell by naming it, and filled by
//! its own statement.

use crate::graph::Node;
use crate::model::{Components, Operator};
use crate::sql::{ident, literal};

use super::drop::guarded_by;
use super::plain;
use super::renamed::{self, over_renamed};
use super::rendered::Rendered;
use super::target::Target;

pub(super) fn render(target: &Target, node: Node, operator: &Operator) -> Rendered {
    let header = &operator.header;
    let schema = header.schema.as_deref().unwrap_or_default();
    let name = format!("{}.{}", ident(schema), header.name);
    let address = format!("{name} {}", operator.operands);
    if header.wanted.has(Components::DEFINITION) {
        if operator.right.is_none() && target.at_least(14) {
            target.impossible("postfix operators");
        }
        let operands = [operator.left.as_deref(), operator.right.as_deref()];
        over_renamed(target, &operator.function, operands.into_iter().flatten());
    }
    let create = format!("CREATE OPERATOR {name} ({}\n)", options(target, operator));
    let mut rendered = plain::render(node, "OPERATOR", &address, header, vec![create]);
    rendered.name = format!("{} {}", header.name, operator.operands);
    if header.wanted.has(Components::DEFINITION) {
        rendered.drop.extend(drop_shells(operator));
    }
    rendered
}

/// Takes away partners that this operator made by naming them, where they have not become operators
/// of their own since: they would keep their schema and types from being dropped.
fn drop_shells(operator: &Operator) -> impl Iterator<Item = String> {
    let (left, right) = (operator.left.as_deref(), operator.right.as_deref());
    let commutator = operator.commutator.as_ref();
    let negator = operator.negator.as_ref();
    let shells = [
        (
            commutator.filter(|_| operator.commutator_is_shell),
            right,
            left,
        ),
        (negator.filter(|_| operator.negator_is_shell), left, right),
    ];
    shells.into_iter().filter_map(|(shell, left, right)| {
        let (schema, name) = shell?;
        let is = |operand: Option<&str>| match operand {
            Some(name) => format!("pg_catalog.to_regtype({})", literal(name)),
            None => "0".to_owned(),
        };
        let found = format!(
            "EXISTS (SELECT FROM pg_catalog.pg_operator o \
             JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace \
             WHERE n.nspname = {} AND o.oprname = {} AND o.oprcode = 0 \
             AND o.oprleft = {} AND o.oprright = {})",
            literal(schema),
            literal(name),
            is(left),
            is(right)
        );
        let drop = format!(
            "DROP OPERATOR {}.{name} ({}, {})",
            ident(schema),
            left.unwrap_or("NONE"),
            right.unwrap_or("NONE")
        );
        Some(guarded_by(&found, &drop))
    })
}

fn options(target: &Target, operator: &Operator) -> String {
    let function = renamed::function(target, &operator.function);
    let mut options = vec![format!("\n    FUNCTION = {function}")];
    let texts = [
        ("LEFTARG", operator.left.clone()),
        ("RIGHTARG", operator.right.clone()),
        ("COMMUTATOR", operator.commutator.as_ref().map(reference)),
        ("NEGATOR", operator.negator.as_ref().map(reference)),
        ("RESTRICT", operator.restrict.clone()),
        ("JOIN", operator.join.clone()),
    ];
    for (option, text) in texts {
        if let Some(text) = text {
            options.push(format!("\n    {option} = {text}"));
        }
    }
    for (set, option) in [(operator.merges, "MERGES"), (operator.hashes, "HASHES")] {
        if set {
            options.push(format!("\n    {option}"));
        }
    }
    options.join(",")
}

/// `OPERATOR(schema.name)`.
pub(super) fn reference((schema, name): &(String, String)) -> String {
    format!("OPERATOR({}.{name})", ident(schema))
}
