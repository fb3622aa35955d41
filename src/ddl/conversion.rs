//! CREATE CONVERSION.

use crate::graph::Node;
use crate::model::Conversion;
use crate::sql::literal;

use super::plain;
use super::rendered::Rendered;

pub(super) fn render(node: Node, conversion: &Conversion) -> Rendered {
    let header = &conversion.header;
    let name = header.sql_name();
    let default = if conversion.is_default {
        "DEFAULT "
    } else {
        ""
    };
    let create = format!(
        "CREATE {default}CONVERSION {name} FOR {} TO {} FROM {}",
        literal(&conversion.from),
        literal(&conversion.to),
        conversion.function
    );
    plain::render(node, "CONVERSION", &name, header, vec![create])
}
