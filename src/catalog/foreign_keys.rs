//! Foreign keys.
//!
//! As with indexes, the server is asked only for the words of those that are not plain.

use super::context::{Fields, Reader, vanished};
use super::indexes::{columns, deferral, list};
use super::parts;
use super::relations::{by_oid, needs_lock};
use crate::error::Result;
use crate::model::{Class, ForeignKey, Oid, Relation, RelationKind};
use crate::sql::ServerVersion;
use std::collections::HashMap;
use tokio_postgres::Row;

/// Foreign keys of the tables `$1`, without those that a partition has from its parent. What may be
/// plain comes with its columns, and without a definition.
fn foreign_keys(version: ServerVersion) -> String {
    let (enforced, period) = if version.at_least(18) {
        ("c.conenforced", "c.conperiod")
    } else {
        ("true", "false")
    };
    let set_columns = if version.at_least(15) {
        "c.confdelsetcols"
    } else {
        "NULL::int2[]"
    };
    format!(
        "\
SELECT c.conrelid, c.oid, c.conname::text, c.confrelid,
       CASE WHEN NOT p.plain THEN pg_catalog.pg_get_constraintdef(c.oid) END,
       c.convalidated, {enforced}, p.plain, c.conkey, c.confkey,
       c.confupdtype::text, c.confdeltype::text, c.condeferrable, c.condeferred
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  JOIN pg_catalog.pg_constraint c
    ON c.conrelid = src.oid AND c.contype = 'f' AND c.conparentid = 0
 CROSS JOIN LATERAL (SELECT c.confmatchtype = 's' AND c.convalidated AND {enforced}
       AND NOT {period} AND {set_columns} IS NULL AS plain) p
 ORDER BY c.conrelid, c.conname"
    )
}

/// Definitions of the constraints `$1`.
const DEFINITIONS: &str = "\
SELECT src.oid, pg_catalog.pg_get_constraintdef(src.oid)
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)";

/// The queries of this file, by name.
pub(crate) fn queries(version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("foreign keys", foreign_keys(version)),
        ("foreign key definitions", DEFINITIONS.to_owned()),
    ]
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
/// A constraint that was dropped since the snapshot; the server's.
pub(crate) async fn read(
    reader: &Reader<'_>,
    rows: Vec<Row>,
    relations: &[Relation],
) -> Result<Vec<ForeignKey>> {
    let mut found = Vec::with_capacity(rows.len());
    // Places in `found` of those about which the server has to be asked.
    let mut unsaid: HashMap<Oid, usize> = HashMap::new();
    let index = by_oid(relations);
    for row in rows {
        let mut fields = Fields::of(&row);
        let Some(&at) = index.get(&fields.next()?) else {
            continue;
        };
        let table = &relations[at];
        let oid = fields.next()?;
        let header = parts::header(table, Class::Constraint, oid, fields.next()?);
        let referenced = fields.next()?;
        let deparsed: Option<String> = fields.next()?;
        let (validated, enforced) = (fields.next()?, fields.next()?);
        let is_plain: bool = fields.next()?;
        let other = index.get(&referenced).map(|&at| &relations[at]);
        let other = other.filter(|_| is_plain);
        let plain = |fields: &mut Fields<'_>| match other {
            Some(other) => reader.quoting.scope(|| plain(fields, table, other)),
            None => Ok(None),
        };
        let definition = match deparsed {
            Some(definition) => definition,
            None => plain(&mut fields)?.unwrap_or_else(|| {
                unsaid.insert(oid, found.len());
                String::new()
            }),
        };
        found.push(ForeignKey {
            header,
            table: table.header.address.oid,
            referenced,
            definition,
            on_partitioned: table.kind == RelationKind::PartitionedTable,
            validated,
            enforced,
        });
    }
    if !unsaid.is_empty() {
        let oids: Vec<Oid> = unsaid.keys().copied().collect();
        for row in reader.rows("foreign keys", DEFINITIONS, &[&oids]).await? {
            if let Some(at) = unsaid.remove(&row.try_get(0)?) {
                let key = &mut found[at];
                let definition: Option<String> = row.try_get(1)?;
                key.definition = definition.ok_or_else(|| {
                    vanished(&format!(
                        "foreign key {}",
                        crate::sql::ident(&key.header.name)
                    ))
                })?;
            }
        }
    }
    Ok(found)
}

/// What the server would say of a plain foreign key; nothing where the columns of the referenced
/// table have not been read, because nothing of it is wanted.
fn plain(
    fields: &mut Fields<'_>,
    table: &Relation,
    referenced: &Relation,
) -> Result<Option<String>> {
    let own: Vec<i16> = fields.next()?;
    let others: Vec<i16> = fields.next()?;
    let (Some(own), Some(others)) = (columns(table, &own), columns(referenced, &others)) else {
        return Ok(None);
    };
    let mut text = format!(
        "FOREIGN KEY ({}) REFERENCES {}({})",
        list(own.iter().map(|column| column.name.as_str())),
        referenced.header.sql_name(),
        list(others.iter().map(|column| column.name.as_str())),
    );
    for event in [" ON UPDATE ", " ON DELETE "] {
        let action = match fields.next::<&str>()? {
            "a" => continue,
            "r" => "RESTRICT",
            "c" => "CASCADE",
            "n" => "SET NULL",
            "d" => "SET DEFAULT",
            _ => return Ok(None),
        };
        text.push_str(event);
        text.push_str(action);
    }
    text.push_str(deferral(fields.next()?, fields.next()?));
    Ok(Some(text))
}
