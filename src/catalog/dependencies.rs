//! Who needs whom: `pg_depend`, turned so that it speaks of things that can be restored.

use super::context::{Reader, typed};
use crate::error::{Context, Result};
use crate::model::{Address, Class, Dependency, DependencyKind};
use crate::sql::ServerVersion;
use futures::TryStreamExt;
use std::pin::pin;

// What initdb made is there in every target, so that rows about it say nothing; only `public` can
// be changed. Neither do TOAST tables, which the server makes by itself.
//
// Turned around or moved:
// - a composite type's row in pg_class depends on the type, but the columns, which the type
//   needs, hang on the row in pg_class;
// - a function or a domain that names itself, in its body or its default, does need itself;
// - members of operator families have no statement of their own: they speak for the family.
//
// Left out, since they say what the objects themselves say, and are nine rows of ten in a database of
// many tables: a trigger and its constraint; a rowtype or array and what it is of; a constraint, a
// default or an index and its own table; a relation and its schema; the index of a constraint.
const DEPENDENCIES: &str = "\
SELECT CASE WHEN t.composite THEN d.refclassid ELSE d.classid END, \
CASE WHEN t.composite THEN d.refobjid ELSE d.objid END, \
CASE WHEN t.composite THEN d.classid ELSE d.refclassid END, \
CASE WHEN t.composite THEN d.objid ELSE d.refobjid END, \
d.deptype::text \
FROM pg_catalog.pg_depend d \
LEFT JOIN pg_catalog.pg_class c ON c.oid = d.objid \
AND d.classid = 'pg_catalog.pg_class'::regclass \
CROSS JOIN LATERAL (SELECT coalesce(c.relkind = 'c', false) AND d.deptype = 'i' \
AND d.refclassid = 'pg_catalog.pg_type'::regclass AND d.refobjid = c.reltype AS composite) t \
WHERE d.deptype NOT IN ('p', 'e') AND d.objid >= 16384 \
AND (d.refobjid >= 16384 OR d.refclassid = 'pg_catalog.pg_namespace'::regclass) \
AND (d.classid <> d.refclassid OR d.objid <> d.refobjid \
OR d.classid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_type'::regclass)) \
AND d.classid NOT IN ('pg_catalog.pg_amop'::regclass, 'pg_catalog.pg_amproc'::regclass) \
AND (c.relkind IS NULL OR c.relkind <> 't') \
AND NOT (d.deptype = 'i' AND d.classid = 'pg_catalog.pg_trigger'::regclass \
AND d.refclassid = 'pg_catalog.pg_constraint'::regclass) \
AND NOT (d.deptype = 'i' AND d.classid = 'pg_catalog.pg_type'::regclass \
AND d.refclassid IN ('pg_catalog.pg_type'::regclass, 'pg_catalog.pg_class'::regclass)) \
AND NOT (d.deptype = 'a' AND d.refclassid = 'pg_catalog.pg_class'::regclass \
AND d.classid IN ('pg_catalog.pg_constraint'::regclass, 'pg_catalog.pg_attrdef'::regclass)) \
AND NOT (d.classid = 'pg_catalog.pg_class'::regclass AND (c.relkind IN ('i', 'I') \
AND d.deptype = 'a' AND d.refclassid = 'pg_catalog.pg_class'::regclass \
OR c.relkind <> 'c' AND d.refclassid = 'pg_catalog.pg_namespace'::regclass \
OR d.deptype = 'i' AND d.refclassid = 'pg_catalog.pg_constraint'::regclass)) \
UNION ALL \
SELECT 'pg_catalog.pg_opfamily'::regclass::oid, m.family, d.refclassid, d.refobjid, \
d.deptype::text \
FROM pg_catalog.pg_depend d \
JOIN (SELECT 'pg_catalog.pg_amop'::regclass::oid AS class, oid, amopfamily AS family \
FROM pg_catalog.pg_amop UNION ALL \
SELECT 'pg_catalog.pg_amproc'::regclass::oid, oid, amprocfamily \
FROM pg_catalog.pg_amproc) m ON m.class = d.classid AND m.oid = d.objid \
WHERE d.deptype NOT IN ('p', 'e', 'i') AND d.refobjid >= 16384 \
AND d.refclassid <> 'pg_catalog.pg_opclass'::regclass \
AND NOT (d.refclassid = 'pg_catalog.pg_opfamily'::regclass AND d.refobjid = m.family)";

/// Reads all dependencies, each once, sorted by address. An object that needs another in several
/// ways (column by column, say) is there once for each kind of dependency.
///
/// # Errors
/// The server's.
pub(crate) async fn read(reader: &Reader<'_>) -> Result<Vec<Dependency>> {
    const WHAT: &str = "read dependencies";
    // There can be millions of rows; they are folded into plain numbers one at a time.
    let rows = reader
        .client
        .query_typed_raw(DEPENDENCIES, typed(&[]))
        .await;
    let mut rows = pin!(rows.context_with(|| WHAT)?);
    let mut all = Vec::new();
    while let Some(row) = rows.try_next().await.context_with(|| WHAT)? {
        let kind = match row.get(4) {
            "n" => DependencyKind::Normal,
            "a" => DependencyKind::Auto,
            "i" => DependencyKind::Internal,
            "P" => DependencyKind::PartitionPrimary,
            "S" => DependencyKind::PartitionSecondary,
            "x" => DependencyKind::AutoExtension,
            // A kind that a newer server has: it orders, whatever else it means.
            _ => DependencyKind::Normal,
        };
        let address = |class, oid| Address::new(Class::from_oid(row.get(class)), row.get(oid));
        all.push(Dependency {
            object: address(0, 1),
            on: address(2, 3),
            kind,
        });
    }
    all.sort_unstable_by_key(|d| (d.object, d.on, d.kind as u8));
    all.dedup();
    all.shrink_to_fit();
    Ok(all)
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("dependencies", DEPENDENCIES.to_owned())]
}
