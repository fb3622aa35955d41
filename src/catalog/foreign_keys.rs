//! Foreign keys.

use super::context::{Fields, Reader};
use super::parts;
use super::relations::{by_oid, needs_lock};
use crate::error::Result;
use crate::model::{Class, ForeignKey, Oid, Relation, RelationKind};
use crate::sql::ServerVersion;
use tokio_postgres::Row;

/// Foreign keys of the tables `$1`, without those that a partition has from its parent.
fn foreign_keys(version: ServerVersion) -> String {
    let enforced = if version.at_least(18) {
        "c.conenforced"
    } else {
        "true"
    };
    format!(
        "\
SELECT c.conrelid, c.oid, c.conname::text, c.confrelid,
       pg_catalog.pg_get_constraintdef(c.oid), c.convalidated, {enforced}
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  JOIN pg_catalog.pg_constraint c
    ON c.conrelid = src.oid AND c.contype = 'f' AND c.conparentid = 0
 ORDER BY c.conrelid, c.conname"
    )
}

/// The queries of this file, by name.
pub(crate) fn queries(version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("foreign keys", foreign_keys(version))]
}

/// Tables whose definition or rows are wanted: without the definition foreign keys still say in
/// which order rows can be loaded.
pub(crate) fn tables(relations: &[Relation]) -> Vec<Oid> {
    relations
        .iter()
        .filter(|relation| {
            matches!(
                relation.kind,
                RelationKind::Table | RelationKind::PartitionedTable
            ) && needs_lock(relation)
        })
        .map(|relation| relation.header.address.oid)
        .collect()
}

/// What the server says of the foreign keys of [`tables`].
///
/// # Errors
/// The server's.
pub(crate) async fn rows(reader: &Reader<'_>, tables: &[Oid]) -> Result<Vec<Row>> {
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let sql = foreign_keys(reader.version);
    reader.rows("foreign keys", &sql, &[&tables]).await
}

/// The foreign keys that these rows tell of.
///
/// # Errors
/// A constraint that was dropped since the snapshot.
pub(crate) fn read(rows: &[Row], relations: &[Relation]) -> Result<Vec<ForeignKey>> {
    let mut found = Vec::with_capacity(rows.len());
    let index = by_oid(relations);
    for row in rows {
        let mut fields = Fields::of(row);
        let Some(&at) = index.get(&fields.next()?) else {
            continue;
        };
        let table = &relations[at];
        let oid = fields.next()?;
        let header = parts::header(table, Class::Constraint, oid, fields.next()?);
        let referenced = fields.next()?;
        let definition = fields.deparsed(|| {
            format!(
                "constraint {} of {}",
                crate::sql::ident(&header.name),
                table.header.sql_name()
            )
        })?;
        found.push(ForeignKey {
            header,
            table: table.header.address.oid,
            referenced,
            definition,
            on_partitioned: table.kind == RelationKind::PartitionedTable,
            validated: fields.next()?,
            enforced: fields.next()?,
        });
    }
    Ok(found)
}
