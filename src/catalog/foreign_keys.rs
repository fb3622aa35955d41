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

/// The partitions that have the foreign keys `$1` validated, where the tables above them have not.
const VALIDATED_BELOW: &str = "\
WITH RECURSIVE below AS (
SELECT c.oid AS root, c.oid, c.conrelid, c.confrelid, c.conname, c.convalidated
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  JOIN pg_catalog.pg_constraint c ON c.oid = src.oid
UNION ALL
SELECT b.root, c.oid, c.conrelid, c.confrelid, c.conname, c.convalidated
  FROM below b
  JOIN pg_catalog.pg_constraint c
    ON c.conparentid = b.oid AND c.contype = 'f' AND c.confrelid = b.confrelid
 WHERE NOT b.convalidated
)
SELECT root, conrelid, conname::text FROM below WHERE convalidated ORDER BY root, conrelid";

/// Fills in where keys of partitioned tables that are not validated are so in partitions.
async fn validated_below(reader: &Reader<'_>, keys: &mut [ForeignKey]) -> Result<()> {
    let waiting = |key: &ForeignKey| key.on_partitioned && !key.validated && key.enforced;
    let places: HashMap<Oid, usize> = keys
        .iter()
        .enumerate()
        .filter(|(_, key)| waiting(key))
        .map(|(at, key)| (key.header.address.oid, at))
        .collect();
    if places.is_empty() {
        return Ok(());
    }
    let oids: Vec<Oid> = places.keys().copied().collect();
    for row in reader
        .rows("foreign keys", VALIDATED_BELOW, &[&oids])
        .await?
    {
        if let Some(&at) = places.get(&row.try_get(0)?) {
            let partition = (row.try_get(1)?, row.try_get(2)?);
            keys[at].validated_on.push(partition);
        }
    }
    Ok(())
}

/// The queries of this file, by name.
pub(crate) fn queries(version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("foreign keys", foreign_keys(version)),
        ("foreign keys of partitions", VALIDATED_BELOW.to_owned()),
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
pub(crate) async fn rows(reader: &Reader<'_>, tables: &[Oid]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    if !tables.is_empty() {
        let sql = foreign_keys(reader.version);
        let take = |fields: &mut Fields<'_>| {
            found.push(Found::read(fields)?);
            Ok(())
        };
        reader.each("foreign keys", &sql, &[&tables], take).await?;
    }
    Ok(found)
}

/// A foreign key as the catalogs have it.
pub(crate) struct Found {
    table: Oid,
    oid: Oid,
    name: String,
    referenced: Oid,
    deparsed: Option<String>,
    validated: bool,
    enforced: bool,
    plain: Option<Plain>,
}

/// What a plain one is made of: columns here and there, actions by letter, deferrability.
struct Plain {
    own: Vec<i16>,
    others: Vec<i16>,
    on_update: String,
    on_delete: String,
    deferrable: bool,
    deferred: bool,
}

impl Found {
    fn read(fields: &mut Fields<'_>) -> Result<Self> {
        Ok(Self {
            table: fields.next()?,
            oid: fields.next()?,
            name: fields.next()?,
            referenced: fields.next()?,
            deparsed: fields.next()?,
            validated: fields.next()?,
            enforced: fields.next()?,
            plain: if fields.next()? {
                Some(Plain {
                    own: fields.next()?,
                    others: fields.next()?,
                    on_update: fields.next()?,
                    on_delete: fields.next()?,
                    deferrable: fields.next()?,
                    deferred: fields.next()?,
                })
            } else {
                None
            },
        })
    }
}

/// The foreign keys that these rows tell of.
///
/// # Errors
/// A constraint that was dropped since the snapshot; the server's.
pub(crate) async fn read(
    reader: &Reader<'_>,
    all: Vec<Found>,
    relations: &[Relation],
) -> Result<Vec<ForeignKey>> {
    let mut found = Vec::with_capacity(all.len());
    // Places in `found` of those about which the server has to be asked.
    let mut unsaid: HashMap<Oid, usize> = HashMap::new();
    let index = by_oid(relations);
    for key in all {
        let Some(&at) = index.get(&key.table) else {
            continue;
        };
        let (table, oid) = (&relations[at], key.oid);
        let header = parts::header(table, Class::Constraint, oid, key.name);
        let other = index.get(&key.referenced).map(|&at| &relations[at]);
        let plain = || {
            let words = (key.plain.as_ref()?, other?);
            reader.quoting.scope(|| plain(words.0, table, words.1))
        };
        let definition = key.deparsed.or_else(plain).unwrap_or_else(|| {
            unsaid.insert(oid, found.len());
            String::new()
        });
        found.push(ForeignKey {
            header,
            table: table.header.address.oid,
            referenced: key.referenced,
            definition,
            on_partitioned: table.kind == RelationKind::PartitionedTable,
            validated: key.validated,
            enforced: key.enforced,
            validated_on: Vec::new(),
        });
    }
    validated_below(reader, &mut found).await?;
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
fn plain(key: &Plain, table: &Relation, referenced: &Relation) -> Option<String> {
    let (own, others) = (columns(table, &key.own)?, columns(referenced, &key.others)?);
    let mut text = format!(
        "FOREIGN KEY ({}) REFERENCES {}({})",
        list(own.iter().map(|column| column.name.as_str())),
        referenced.header.sql_name(),
        list(others.iter().map(|column| column.name.as_str())),
    );
    for (event, action) in [
        (" ON UPDATE ", &key.on_update),
        (" ON DELETE ", &key.on_delete),
    ] {
        let action = match action.as_str() {
            "a" => continue,
            "r" => "RESTRICT",
            "c" => "CASCADE",
            "n" => "SET NULL",
            "d" => "SET DEFAULT",
            _ => return None,
        };
        text.push_str(event);
        text.push_str(action);
    }
    text.push_str(deferral(key.deferrable, key.deferred));
    Some(text)
}
