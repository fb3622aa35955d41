//! CHECK constraints of tables.

use super::context::{Fields, Reader};
use super::relations::by_oid;
use crate::error::Result;
use crate::model::{Check, Oid, Relation, RelationKind};
use crate::sql::ServerVersion;
use std::collections::HashSet;

/// CHECK constraints of the tables `$1`.
const CHECKS: &str = "\
SELECT c.conrelid, c.oid, c.conname::text, pg_catalog.pg_get_constraintdef(c.oid),
       c.conislocal, c.convalidated, d.description
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  JOIN pg_catalog.pg_constraint c ON c.conrelid = src.oid AND c.contype = 'c'
  LEFT JOIN pg_catalog.pg_description d
    ON d.classoid = 2606 AND d.objoid = c.oid AND d.objsubid = 0
 ORDER BY c.conrelid, c.conname";

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("checks", CHECKS.to_owned())]
}

/// Fills the CHECK constraints of interesting tables.
///
/// # Errors
/// The server's; a constraint that was dropped since the snapshot.
pub(crate) async fn read(
    reader: &Reader<'_>,
    relations: &mut [Relation],
    interesting: &HashSet<Oid>,
) -> Result<()> {
    let tables: Vec<Oid> = relations
        .iter()
        .filter(|relation| {
            matches!(
                relation.kind,
                RelationKind::Table | RelationKind::PartitionedTable | RelationKind::ForeignTable
            )
        })
        .map(|relation| relation.header.address.oid)
        .filter(|oid| interesting.contains(oid))
        .collect();
    if tables.is_empty() {
        return Ok(());
    }
    let index = by_oid(relations);
    for row in reader.rows("check constraints", CHECKS, &[&tables]).await? {
        let mut fields = Fields::of(&row);
        let Some(&at) = index.get(&fields.next()?) else {
            continue;
        };
        let table = &mut relations[at];
        let oid = fields.next()?;
        let name: String = fields.next()?;
        let definition = fields.deparsed(|| {
            format!(
                "constraint {} of {}",
                crate::sql::ident(&name),
                table.header.sql_name()
            )
        })?;
        table.checks.push(Check {
            oid,
            name,
            definition,
            local: fields.next()?,
            validated: fields.next()?,
            comment: fields.next()?,
        });
    }
    Ok(())
}
