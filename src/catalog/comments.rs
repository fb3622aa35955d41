//! Comments on everything, in one read.

use super::context::{Fields, Reader};
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
    let mut all: Comments = HashMap::new();
    let take = |fields: &mut Fields<'_>| {
        let address = Address::new(Class::from_oid(fields.next()?), fields.next()?);
        let of = all.entry(address).or_default();
        of.reserve_exact(1);
        of.push((fields.next()?, fields.next()?));
        Ok(())
    };
    reader.each("comments", COMMENTS, &[], take).await?;
    Ok(all)
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("comments", COMMENTS.to_owned())]
}
