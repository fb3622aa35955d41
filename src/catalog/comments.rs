//! Comments on everything, in one read.

use super::context::Reader;
use crate::error::Result;
use crate::model::{Address, Class};
use crate::sql::ServerVersion;
use std::collections::HashMap;

// What initdb made keeps its comments out, but for `public`; large objects choose their own OIDs.
const COMMENTS: &str = "\
SELECT classoid, objoid, objsubid, description FROM pg_catalog.pg_description \
WHERE objoid >= 16384 OR classoid IN ('pg_catalog.pg_namespace'::regclass, \
'pg_catalog.pg_largeobject'::regclass) \
UNION ALL \
SELECT s.classoid, s.objoid, 0, s.description FROM pg_catalog.pg_shdescription s \
JOIN pg_catalog.pg_database d ON d.oid = s.objoid \
AND s.classoid = 'pg_catalog.pg_database'::regclass \
WHERE d.datname = pg_catalog.current_database() \
ORDER BY 1, 2, 3";

/// Comments by object, as (part, text), by part; part 0 is the object itself.
pub(crate) type Comments = HashMap<Address, Vec<(i32, String)>>;

/// Reads them.
///
/// # Errors
/// The server's.
pub(crate) async fn read(reader: &Reader<'_>) -> Result<Comments> {
    let rows = reader.rows("comments", COMMENTS, &[]).await?;
    let mut all: Comments = HashMap::new();
    for row in &rows {
        let address = Address::new(Class::from_oid(row.get(0)), row.get(1));
        all.entry(address)
            .or_default()
            .push((row.get(2), row.get(3)));
    }
    Ok(all)
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("comments", COMMENTS.to_owned())]
}
