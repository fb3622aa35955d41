//! Indexes, and the constraints that stand on them.

use super::context::{Fields, Reader, options};
use super::parts;
use super::relations::by_oid;
use crate::error::{Error, Kind, Result};
use crate::model::{
    Class, Index, IndexConstraint, IndexConstraintKind, Oid, Relation, RelationKind,
};
use crate::sql::{ServerVersion, ident, literal};
use std::fmt::Write as _;
use tokio_postgres::Row;

/// Indexes of the relations `$1`. Ones that are not ready or not valid are listed without being
/// deparsed; on a partitioned table an index is not valid until every partition has its own. The
/// index of a constraint is made by the constraint: its own definition is never asked for.
const INDEXES: &str = "\
SELECT i.indrelid, i.indexrelid, ic.relname::text,
       i.indisready AND (i.indisvalid OR ic.relkind = 'I') AS usable,
       CASE WHEN co.oid IS NOT NULL THEN ''
            WHEN i.indisready AND (i.indisvalid OR ic.relkind = 'I')
            THEN pg_catalog.pg_get_indexdef(i.indexrelid) END,
       COALESCE(ts.spcname::text, ''), inh.inhparent, ic.relkind = 'I',
       i.indisunique, i.indisclustered, i.indisreplident,
       CASE WHEN i.indexprs IS NOT NULL THEN
           ARRAY(SELECT x FROM pg_catalog.pg_attribute a,
                        LATERAL (VALUES (a.attnum::int4, 1), (a.attstattarget::int4, 2)) v(x, k)
                  WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0
                  ORDER BY a.attnum, v.k) END,
       co.oid, co.conname::text, co.contype::text, pg_catalog.pg_get_constraintdef(co.oid),
       co.condeferrable, co.condeferred, co.conparentid <> 0, cd.description, ic.reloptions
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  JOIN pg_catalog.pg_index i ON i.indrelid = src.oid
  JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
  LEFT JOIN pg_catalog.pg_tablespace ts ON ts.oid = ic.reltablespace
  LEFT JOIN pg_catalog.pg_inherits inh ON inh.inhrelid = i.indexrelid
  LEFT JOIN pg_catalog.pg_constraint co
    ON co.conindid = i.indexrelid AND co.conrelid = i.indrelid AND co.contype IN ('p', 'u', 'x')
  LEFT JOIN pg_catalog.pg_description cd
    ON cd.classoid = 2606 AND cd.objoid = co.oid AND cd.objsubid = 0
 ORDER BY i.indrelid, ic.relname";

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("indexes", INDEXES.to_owned())]
}

/// Tables and materialized views whose definition is wanted: those that have indexes.
pub(crate) fn tables(relations: &[Relation]) -> Vec<Oid> {
    parts::defined(relations, |kind| {
        matches!(
            kind,
            RelationKind::Table | RelationKind::PartitionedTable | RelationKind::MaterializedView
        )
    })
}

/// What the server says of the indexes of [`tables`].
///
/// # Errors
/// The server's.
pub(crate) async fn rows(reader: &Reader<'_>, tables: &[Oid]) -> Result<Vec<Row>> {
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    reader.rows("indexes", INDEXES, &[&tables]).await
}

/// The indexes that these rows tell of.
///
/// # Errors
/// An index that was dropped since the snapshot.
pub(crate) fn read(
    reader: &Reader<'_>,
    rows: &[Row],
    relations: &[Relation],
) -> Result<Vec<Index>> {
    let mut indexes = Vec::with_capacity(rows.len());
    let index = by_oid(relations);
    for row in rows {
        let mut fields = Fields::of(row);
        let Some(&at) = index.get(&fields.next()?) else {
            continue;
        };
        let table = &relations[at];
        let oid = fields.next()?;
        let header = parts::header(table, Class::Relation, oid, fields.next()?);
        if !fields.next::<bool>()? {
            reader.observer.warning_with_hint(
                format!(
                    "index {} of {} is invalid and is left out",
                    header.sql_name(),
                    table.header.sql_name()
                ),
                "it is what a failed CREATE INDEX CONCURRENTLY leaves: REINDEX or drop it",
            );
            continue;
        }
        let name = header.sql_name();
        let definition = fields.deparsed(|| format!("index {name}"))?;
        let tablespace = fields.next()?;
        let parent = fields.next()?;
        let partitioned = fields.next()?;
        let unique = fields.next()?;
        let clustered = fields.next()?;
        let replica_identity = fields.next()?;
        let statistics = fields.next::<Option<Vec<i32>>>()?.unwrap_or_default();
        let statistics = statistics
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
            .collect();
        let constraint = constraint(&mut fields, &name)?;
        indexes.push(Index {
            header,
            table: table.header.address.oid,
            definition,
            tablespace: Some(tablespace),
            parent,
            partitioned,
            unique,
            clustered,
            replica_identity,
            statistics,
            constraint,
            table_bytes: table.bytes,
        });
    }
    Ok(indexes)
}

fn constraint(fields: &mut Fields<'_>, index: &str) -> Result<Option<IndexConstraint>> {
    let Some(oid) = fields.next::<Option<Oid>>()? else {
        return Ok(None);
    };
    let name: String = fields.next()?;
    let kind = match fields.next::<&str>()? {
        "p" => IndexConstraintKind::PrimaryKey,
        "u" => IndexConstraintKind::Unique,
        "x" => IndexConstraintKind::Exclusion,
        other => {
            return Err(Error::new(
                Kind::Failed,
                format!("index {index}: constraint of kind {other} is not known"),
            ));
        }
    };
    let mut definition = fields.deparsed(|| format!("the constraint of index {index}"))?;
    let deferrable: bool = fields.next()?;
    let deferred: bool = fields.next()?;
    let inherited = fields.next()?;
    let comment = fields.next()?;
    let parameters = options(fields.next()?);
    // The server writes storage parameters into an EXCLUDE, and into nothing else.
    if kind != IndexConstraintKind::Exclusion && !parameters.is_empty() {
        definition =
            with_parameters(&definition, &parameters, deferrable, deferred).ok_or_else(|| {
                Error::new(
                    Kind::Failed,
                    format!("index {index}: its constraint does not read as expected"),
                )
            })?;
    }
    Ok(Some(IndexConstraint {
        oid,
        name,
        kind,
        definition,
        comment,
        inherited,
    }))
}

/// Puts `WITH (…)` where the grammar wants it: after the columns, before the deferrability. None
/// if the definition does not end as its flags say.
fn with_parameters(
    definition: &str,
    parameters: &[(String, String)],
    deferrable: bool,
    deferred: bool,
) -> Option<String> {
    let tail = match (deferrable, deferred) {
        (true, true) => " DEFERRABLE INITIALLY DEFERRED",
        (true, false) => " DEFERRABLE",
        (false, _) => "",
    };
    let mut text = definition.strip_suffix(tail)?.to_owned();
    text.push_str(" WITH (");
    for (at, (name, value)) in parameters.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(text, "{comma}{}={}", ident(name), literal(value)).ok()?;
    }
    text.push(')');
    text.push_str(tail);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_stand_before_deferrability() {
        let parameters = [("fillfactor".to_owned(), "70".to_owned())];
        let with = |definition, deferrable, deferred| {
            with_parameters(definition, &parameters, deferrable, deferred)
        };
        assert_eq!(
            with("PRIMARY KEY (a)", false, false).as_deref(),
            Some("PRIMARY KEY (a) WITH (fillfactor='70')")
        );
        assert_eq!(
            with(
                "UNIQUE (a) INCLUDE (b) DEFERRABLE INITIALLY DEFERRED",
                true,
                true
            )
            .as_deref(),
            Some("UNIQUE (a) INCLUDE (b) WITH (fillfactor='70') DEFERRABLE INITIALLY DEFERRED")
        );
        assert_eq!(with("UNIQUE (a)", true, false), None);
    }
}
