//! Transforms.

use super::context::Reader;
use super::select::Selected;
use crate::error::Result;
use crate::model::{Address, Class, Header, Transform};
use crate::sql::{ServerVersion, ident};

const TRANSFORMS: &str = "\
SELECT t.oid, t.trftype AS type_oid, pg_catalog.format_type(t.trftype, NULL) AS type, \
l.lanname::text AS language, \
CASE WHEN t.trffromsql <> 0 THEN t.trffromsql::regprocedure::text END AS from_sql, \
CASE WHEN t.trftosql <> 0 THEN t.trftosql::regprocedure::text END AS to_sql \
FROM pg_catalog.pg_transform t \
JOIN pg_catalog.pg_language l ON l.oid = t.trflang \
WHERE t.oid >= 16384";

/// Reads the transforms and marks what is wanted.
///
/// # Errors
/// The server's.
pub(crate) async fn read(reader: &Reader<'_>, selected: &Selected) -> Result<Vec<Transform>> {
    let rows = reader.rows("transforms", TRANSFORMS, &[]).await?;
    rows.iter()
        .map(|row| {
            let address = Address::new(Class::Transform, row.get("oid"));
            let language: String = row.get("language");
            let name = format!(
                "FOR {} LANGUAGE {}",
                row.get::<_, String>("type"),
                ident(&language)
            );
            let mut header = Header::new(address, None, name);
            selected.mark(&mut header);
            Ok(Transform {
                header,
                type_oid: row.get("type_oid"),
                language,
                from_sql: row.get("from_sql"),
                to_sql: row.get("to_sql"),
            })
        })
        .collect()
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("transforms", TRANSFORMS.to_owned())]
}
