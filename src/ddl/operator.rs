//! CREATE OPERATOR. A partner that is not made yet is made as a shell by naming it, and filled by
//! its own statement.

use crate::graph::Node;
use crate::model::{Components, Operator};
use crate::sql::ident;

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
    rendered
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
