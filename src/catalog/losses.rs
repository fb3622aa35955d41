//! What is in the database and will not be in the archive. Nobody should find out when restoring,
//! so that each such thing is named.

use super::context::{Reader, one_line};
use super::select::Selected;
use crate::error::Result;
use crate::model::Database;
use crate::sql::ServerVersion;

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

/// Warns about each thing that is wanted and cannot be written.
///
/// # Errors
/// The server's.
pub(crate) async fn warn(
    reader: &Reader<'_>,
    selected: &Selected,
    database: &Database,
) -> Result<()> {
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
    let rows = reader
        .rows(
            "objects in system schemas",
            IN_SYSTEM_SCHEMAS,
            &[&everything],
        )
        .await?;
    for row in &rows {
        let (sort, identity): (&str, &str) = (row.get(0), row.get(1));
        reader.observer.warning(format!(
            "not dumped, for it is in a schema of the system: {sort} {}",
            one_line(identity)
        ));
    }
    Ok(())
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("objects in system schemas", IN_SYSTEM_SCHEMAS.to_owned())]
}
