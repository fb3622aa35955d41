//! CREATE CAST.

use crate::graph::Node;
use crate::model::{Cast, CastContext, CastMethod, Components};

use super::comment;
use super::rendered::Rendered;

pub(super) fn render(node: Node, cast: &Cast) -> Rendered {
    let header = &cast.header;
    let name = &header.name;
    let mut rendered = Rendered::new(node, "CAST", header);
    if header.wanted.has(Components::DEFINITION) {
        let method = match &cast.method {
            CastMethod::Function(function) => format!("WITH FUNCTION {function}"),
            CastMethod::InOut => String::from("WITH INOUT"),
            CastMethod::Binary => String::from("WITHOUT FUNCTION"),
        };
        let context = match cast.context {
            CastContext::Explicit => "",
            CastContext::Assignment => " AS ASSIGNMENT",
            CastContext::Implicit => " AS IMPLICIT",
        };
        rendered
            .create
            .push(format!("CREATE CAST {name} {method}{context}"));
        rendered.drop.push(format!("DROP CAST IF EXISTS {name}"));
    }
    rendered.comments = comment::of(header, &format!("CAST {name}"));
    rendered
}
