//! CREATE ACCESS METHOD.

use crate::graph::Node;
use crate::model::{AccessMethod, AccessMethodKind};
use crate::sql::ident;

use super::plain;
use super::rendered::Rendered;

pub(super) fn render(node: Node, method: &AccessMethod) -> Rendered {
    let name = ident(&method.header.name);
    let kind = match method.kind {
        AccessMethodKind::Index => "INDEX",
        AccessMethodKind::Table => "TABLE",
    };
    let create = format!(
        "CREATE ACCESS METHOD {name} TYPE {kind} HANDLER {}",
        method.handler
    );
    plain::render(node, "ACCESS METHOD", &name, &method.header, vec![create])
}
