//! CREATE OPERATOR. A partner that is not made yet is made as a shell by naming it, and filled by
//! its own statement.

use crate::graph::Node;
use crate::model::{Components, Operator};
use crate::sql::ident;

use super::comment;
use super::rendered::Rendered;

pub(super) fn render(node: Node, operator: &Operator) -> Rendered {
    let header = &operator.header;
    let schema = header.schema.as_deref().unwrap_or_default();
    let name = format!("{}.{}", ident(schema), header.name);
    let address = format!("{name} {}", operator.operands);
    let mut rendered = Rendered::named(
        node,
        "OPERATOR",
        header.schema.clone(),
        format!("{} {}", header.name, operator.operands),
    );
    rendered.owner.clone_from(&header.owner);
    if header.wanted.has(Components::DEFINITION) {
        rendered
            .create
            .push(format!("CREATE OPERATOR {name} ({}\n)", options(operator)));
        rendered
            .drop
            .push(format!("DROP OPERATOR IF EXISTS {address}"));
        if let Some(owner) = &header.owner {
            let alter = format!("ALTER OPERATOR {address} OWNER TO {}", ident(owner));
            rendered.set_owner.push(alter);
        }
    }
    rendered.comments = comment::of(header, &format!("OPERATOR {address}"));
    rendered
}

fn options(operator: &Operator) -> String {
    let mut options = vec![format!("\n    FUNCTION = {}", operator.function)];
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
