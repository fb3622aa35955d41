//! CREATE CONVERSION.

use crate::graph::Node;
use crate::model::Conversion;
use crate::sql::literal;

use super::plain;
use super::rendered::Rendered;
use super::target::Target;

pub(super) fn render(target: &Target, node: Node, conversion: &Conversion) -> Rendered {
    let header = &conversion.header;
    // With 14 such functions got another argument. The server's own changed with it.
    let own = conversion.function.contains('.');
    if own && target.source().at_least(14) != target.at_least(14) {
        target.impossible("conversion functions with the arguments that this one has");
    }
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
