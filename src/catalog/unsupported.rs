//! What is in the database and will not be in the archive. Nobody should find out when restoring,
//! so that each such object is named.

use super::context::Reader;
use super::select::Selected;
use crate::error::Result;
use crate::model::Database;
use crate::sql::ServerVersion;

/// Catalogs of objects that are not dumped yet. None of them lives in a schema.
const CLASSES: &[&str] = &["pg_foreign_data_wrapper", "pg_foreign_server"];

/// `$1`: whether objects without a schema are wanted. Gives sort and name of each object.
fn inventory() -> String {
    let objects: Vec<String> = CLASSES
        .iter()
        .map(|catalog| {
            format!(
                "SELECT 'pg_catalog.{catalog}'::regclass::oid AS class, o.oid \
                 FROM pg_catalog.{catalog} o WHERE o.oid >= 16384 AND $1::bool"
            )
        })
        .collect();
    format!(
        "SELECT i.type, i.identity FROM ({objects}) o \
         CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.class, o.oid, 0) i \
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend e \
         WHERE e.classid = o.class AND e.objid = o.oid AND e.deptype = 'e') \
         AND i.identity IS NOT NULL \
         ORDER BY i.type COLLATE \"C\", i.identity COLLATE \"C\"",
        objects = objects.join(" UNION ALL "),
    )
}

// User mappings and subscriptions hide their OIDs or themselves from ordinary users.
const USER_MAPPINGS: &str = "\
SELECT 'user mapping'::text, \
pg_catalog.format('%s on server %s', coalesce(nullif(usename, ''), 'public'), srvname) \
FROM pg_catalog.pg_user_mappings WHERE $1::bool ORDER BY 2";

const SUBSCRIPTIONS: &str = "\
SELECT 'subscription'::text, pg_catalog.quote_ident(s.subname) \
FROM pg_catalog.pg_subscription s \
JOIN pg_catalog.pg_database d ON d.oid = s.subdbid \
WHERE d.datname = pg_catalog.current_database() AND $1::bool ORDER BY 2";

/// Objects of the user's own in the system's schemas: they are dumped by nobody.
const IN_SYSTEM_SCHEMAS: &str = "\
SELECT i.type, i.identity FROM ( \
SELECT 'pg_catalog.pg_class'::regclass::oid AS class, oid, relnamespace AS schema \
FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') UNION ALL \
SELECT 'pg_catalog.pg_proc'::regclass::oid, oid, pronamespace FROM pg_catalog.pg_proc) o \
CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.class, o.oid, 0) i \
WHERE $1::bool AND o.oid >= 16384 AND i.identity IS NOT NULL \
AND o.schema IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) \
AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e \
WHERE e.classid = o.class AND e.objid = o.oid AND e.deptype IN ('e', 'i')) \
ORDER BY i.type COLLATE \"C\", i.identity COLLATE \"C\"";

/// Warns about each object that is wanted and cannot be written yet.
///
/// # Errors
/// The server's.
pub(crate) async fn warn(
    reader: &Reader<'_>,
    selected: &Selected,
    database: &Database,
) -> Result<()> {
    const WHAT: &str = "objects that are not dumped";
    if !selected.definitions() {
        return Ok(());
    }
    let everything = selected.everything();
    if everything && !database.schemas.iter().any(|schema| schema.built_in) {
        reader.observer.warning_with_hint(
            "the schema public does not exist here, and a restore does not drop the one of its target",
            "drop it there by hand",
        );
    }
    let mut found = reader.rows(WHAT, &inventory(), &[&everything]).await?;
    found.extend(reader.rows(WHAT, USER_MAPPINGS, &[&everything]).await?);
    let subscriptions = everything && !reader.leave_out.subscriptions;
    found.extend(reader.rows(WHAT, SUBSCRIPTIONS, &[&subscriptions]).await?);
    for row in &found {
        let (sort, identity): (&str, &str) = (row.get(0), row.get(1));
        reader.observer.warning_with_hint(
            format!("not dumped yet: {sort} {}", one_line(identity)),
            "objects that need it will not restore unless the target has it",
        );
    }
    for row in &reader.rows(WHAT, IN_SYSTEM_SCHEMAS, &[&everything]).await? {
        let (sort, identity): (&str, &str) = (row.get(0), row.get(1));
        reader.observer.warning(format!(
            "not dumped, for it is in a schema of the system: {sort} {}",
            one_line(identity)
        ));
    }
    Ok(())
}

/// A name for a message, which is one line.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("objects not dumped", inventory()),
        ("user mappings", USER_MAPPINGS.to_owned()),
        ("subscriptions", SUBSCRIPTIONS.to_owned()),
        ("objects in system schemas", IN_SYSTEM_SCHEMAS.to_owned()),
    ]
}
