//! Extensions, and which objects belong to them.

use super::context::Reader;
use crate::error::Result;
use crate::model::{Address, Class, ConfigurationTable, Extension, Header, Oid};
use crate::sql::ServerVersion;
use std::collections::HashMap;

const EXTENSIONS: &str = "\
SELECT e.oid, e.extname::text AS name, n.nspname::text AS schema, e.extversion AS version, \
coalesce(e.extconfig, '{}') AS relations, coalesce(e.extcondition, '{}') AS conditions \
FROM pg_catalog.pg_extension e \
JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace \
ORDER BY e.extname";

const MEMBERS: &str = "\
SELECT classid, objid, refobjid FROM pg_catalog.pg_depend \
WHERE deptype = 'e' AND refclassid = 'pg_catalog.pg_extension'::regclass";

const DEPENDS_ON_EXTENSION: &str = "\
SELECT d.classid, d.objid, e.extname::text AS extension \
FROM pg_catalog.pg_depend d \
JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid \
WHERE d.deptype = 'x' AND d.refclassid = 'pg_catalog.pg_extension'::regclass \
ORDER BY e.extname";

/// Which extension an object belongs to.
pub(crate) type Members = HashMap<Address, Oid>;

/// Reads the extensions. Nothing of them is wanted yet.
///
/// # Errors
/// The server's.
pub(crate) async fn read(reader: &Reader<'_>) -> Result<Vec<Extension>> {
    let rows = reader.rows("extensions", EXTENSIONS, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let relations: Vec<Oid> = row.get("relations");
            let conditions: Vec<Option<String>> = row.get("conditions");
            let mut conditions = conditions.into_iter();
            Extension {
                header: Header::new(
                    Address::new(Class::Extension, row.get("oid")),
                    None,
                    row.get("name"),
                ),
                schema: row.get("schema"),
                version: row.get("version"),
                configuration: relations
                    .into_iter()
                    .map(|relation| ConfigurationTable {
                        relation,
                        condition: conditions.next().flatten().unwrap_or_default(),
                    })
                    .collect(),
            }
        })
        .collect())
}

/// Reads the membership of every object of every class.
///
/// # Errors
/// The server's.
pub(crate) async fn members(reader: &Reader<'_>) -> Result<Members> {
    let rows = reader.rows("members of extensions", MEMBERS, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let class = Class::from_oid(row.get(0));
            (Address::new(class, row.get(1)), row.get(2))
        })
        .collect())
}

/// Reads what `ALTER … DEPENDS ON EXTENSION` has set: names of extensions by object, sorted.
///
/// # Errors
/// The server's.
pub(crate) async fn depends(reader: &Reader<'_>) -> Result<HashMap<Address, Vec<String>>> {
    let rows = reader
        .rows("dependencies on extensions", DEPENDS_ON_EXTENSION, &[])
        .await?;
    let mut all: HashMap<_, Vec<String>> = HashMap::new();
    for row in &rows {
        let class = Class::from_oid(row.get(0));
        all.entry(Address::new(class, row.get(1)))
            .or_default()
            .push(row.get(2));
    }
    Ok(all)
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("extensions", EXTENSIONS.to_owned()),
        ("members of extensions", MEMBERS.to_owned()),
        (
            "dependencies on extensions",
            DEPENDS_ON_EXTENSION.to_owned(),
        ),
    ]
}
