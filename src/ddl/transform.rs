//! CREATE TRANSFORM.

use crate::graph::Node;
use crate::model::Transform;

use super::plain;
use super::rendered::Rendered;

pub(super) fn render(node: Node, transform: &Transform) -> Rendered {
    let name = &transform.header.name;
    let functions: Vec<_> = [("FROM", &transform.from_sql), ("TO", &transform.to_sql)]
        .into_iter()
        .filter_map(|(way, function)| {
            Some(format!("{way} SQL WITH FUNCTION {}", function.as_ref()?))
        })
        .collect();
    let create = format!("CREATE TRANSFORM {name} ({})", functions.join(", "));
    plain::render(node, "TRANSFORM", name, &transform.header, vec![create])
}
