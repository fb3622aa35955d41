//! Extended statistics.

use crate::error::Result;
use crate::graph::Node;
use crate::model::{Components, ExtendedStatistics};
use crate::sql::{LockMode, ident};

use super::comment;
use super::context::Context;
use super::rendered::Rendered;

pub(super) fn render(
    context: &Context<'_>,
    node: Node,
    statistics: &ExtendedStatistics,
) -> Result<Rendered> {
    let header = &statistics.header;
    let table = context.relation(statistics.table)?;
    let mut rendered = Rendered::new(node, "STATISTICS", header);
    // A relation is looked up in the object's own schema, and statistics may live in another.
    if table.header.schema == header.schema {
        rendered.relation = Some(table.header.name.clone());
    }
    rendered.owner.clone_from(&header.owner);
    let name = header.sql_name();
    if header.wanted.has(Components::DEFINITION) {
        rendered.create.push(statistics.definition.clone());
        if let Some(target) = statistics.target {
            rendered
                .create
                .push(format!("ALTER STATISTICS {name} SET STATISTICS {target}"));
        }
        rendered
            .drop
            .push(format!("DROP STATISTICS IF EXISTS {name}"));
        if let Some(owner) = &header.owner {
            rendered
                .set_owner
                .push(format!("ALTER STATISTICS {name} OWNER TO {}", ident(owner)));
        }
        rendered.lock(statistics.table, LockMode::ShareUpdateExclusive);
    }
    rendered.comments = comment::of(header, &format!("STATISTICS {name}"));
    Ok(rendered)
}
