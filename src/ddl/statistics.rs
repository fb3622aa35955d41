//! Extended statistics.

use crate::error::Result;
use crate::graph::Node;
use crate::model::{Components, ExtendedStatistics};
use crate::sql::LockMode;

use super::context::Context;
use super::plain;
use super::rendered::Rendered;

pub(super) fn render(
    context: &Context<'_>,
    node: Node,
    statistics: &ExtendedStatistics,
) -> Result<Rendered> {
    let header = &statistics.header;
    let table = context.relation(statistics.table)?;
    let name = header.sql_name();
    let target = statistics
        .target
        .map(|target| format!("ALTER STATISTICS {name} SET STATISTICS {target}"));
    let mut create = vec![statistics.definition.clone()];
    create.extend(target);
    let mut rendered = plain::render(node, "STATISTICS", &name, header, create);
    // A relation is looked up in the object's own schema, and statistics may live in another.
    if table.header.schema == header.schema {
        rendered.relation = Some(table.header.name.clone());
    }
    if header.wanted.has(Components::DEFINITION) {
        rendered.lock(statistics.table, LockMode::ShareUpdateExclusive);
    }
    Ok(rendered)
}
