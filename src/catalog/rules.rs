//! Rules other than the ones that make a view.

use super::context::{Fields, Reader};
use super::parts;
use super::relations::by_oid;
use crate::error::Result;
use crate::model::{Class, Relation, RelationKind, Rule};
use crate::sql::ServerVersion;

/// Rules of the relations `$1` (event type 1 is ON SELECT).
const RULES: &str = "\
SELECT r.ev_class, r.oid, r.rulename::text, pg_catalog.pg_get_ruledef(r.oid), r.ev_enabled::text
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  JOIN pg_catalog.pg_rewrite r ON r.ev_class = src.oid
 WHERE r.ev_type <> '1'
 ORDER BY r.ev_class, r.rulename";

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("rules", RULES.to_owned())]
}

/// The rules of relations whose definition is wanted.
///
/// # Errors
/// The server's; a rule that was dropped since the snapshot.
pub(crate) async fn read(reader: &Reader<'_>, relations: &[Relation]) -> Result<Vec<Rule>> {
    let tables = parts::defined(relations, |kind| {
        matches!(
            kind,
            RelationKind::Table
                | RelationKind::PartitionedTable
                | RelationKind::View
                | RelationKind::MaterializedView
        )
    });
    let mut rules = Vec::new();
    if tables.is_empty() {
        return Ok(rules);
    }
    let index = by_oid(relations);
    for row in reader.rows("rules", RULES, &[&tables]).await? {
        let mut fields = Fields::of(&row);
        let Some(&at) = index.get(&fields.next()?) else {
            continue;
        };
        let relation = &relations[at];
        let oid = fields.next()?;
        let header = parts::header(relation, Class::Rule, oid, fields.next()?);
        let definition = fields.deparsed(|| {
            format!(
                "rule {} of {}",
                crate::sql::ident(&header.name),
                relation.header.sql_name()
            )
        })?;
        rules.push(Rule {
            header,
            relation: relation.header.address.oid,
            definition,
            enabled: parts::enabled(&mut fields)?,
        });
    }
    Ok(rules)
}
