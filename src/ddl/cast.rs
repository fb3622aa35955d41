//! CREATE CAST.

use crate::graph::Node;
use crate::model::{Cast, CastContext, CastMethod};

use super::plain;
use super::rendered::Rendered;

pub(super) fn render(node: Node, cast: &Cast) -> Rendered {
    let header = &cast.header;
    let name = &header.name;
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
    let create = format!("CREATE CAST {name} {method}{context}");
    plain::render(node, "CAST", name, header, vec![create])
}
