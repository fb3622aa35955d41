//! Extended statistics.

use crate::error::Result;
use crate::graph::Node;
use crate::model::{Components, ExtendedStatistics};
use crate::sql::LockMode;

use super::context::Context;
use super::plain;
use super::rendered::Rendered;
use super::words::outside_quotes;

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
        let expressions = has_expressions(&statistics.definition);
        context
            .target
            .needs(expressions, 14, "statistics on expressions");
        rendered.lock(statistics.table, LockMode::ShareUpdateExclusive);
    }
    Ok(rendered)
}
/// Whether the definition names more than columns: between ON and FROM stands a parenthesis.
fn has_expressions(definition: &str) -> bool {
    let unquoted: String = outside_quotes(definition).collect::<Vec<_>>().join("x");
    let listed = unquoted.split_once(" ON ").map(|(_, listed)| listed);
    let listed = listed.and_then(|listed| listed.rsplit_once(" FROM "));
    listed.is_some_and(|(listed, _)| listed.contains('('))
}

#[cfg(test)]
mod tests {
    use super::has_expressions;

    #[test]
    fn expressions_are_told_from_columns() {
        for (definition, expected) in [
            ("CREATE STATISTICS s.a (ndistinct) ON b, c FROM s.t", false),
            (
                "CREATE STATISTICS s.\"x ON (\" ON \"b(\", c FROM s.\"t FROM (\"",
                false,
            ),
            ("CREATE STATISTICS s.a ON lower(b) FROM s.t", true),
            ("CREATE STATISTICS s.a (mcv) ON b, ((c + 1)) FROM s.t", true),
        ] {
            assert_eq!(has_expressions(definition), expected, "{definition}");
        }
    }
}
