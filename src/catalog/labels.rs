//! Security labels on everything, in one read.

use super::context::Reader;
use crate::error::Result;
use crate::model::{Address, Class};
use crate::sql::ServerVersion;
use std::collections::HashMap;

const LABELS: &str = "\
SELECT classoid, objoid, objsubid, provider, label FROM pg_catalog.pg_seclabel \
UNION ALL \
SELECT s.classoid, s.objoid, 0, s.provider, s.label FROM pg_catalog.pg_shseclabel s \
WHERE s.classoid = 'pg_catalog.pg_subscription'::regclass OR (s.classoid, s.objoid) = \
(SELECT 'pg_catalog.pg_database'::regclass, d.oid FROM pg_catalog.pg_database d \
WHERE d.datname = pg_catalog.current_database()) \
ORDER BY 1, 2, 3, 4";

/// Labels by object, as (part, provider, label), by part and provider.
pub(crate) type Labels = HashMap<Address, Vec<(i32, String, String)>>;

/// Reads them.
///
/// # Errors
/// The server's.
pub(crate) async fn read(reader: &Reader<'_>) -> Result<Labels> {
    let rows = reader.rows("security labels", LABELS, &[]).await?;
    let mut all: Labels = HashMap::new();
    for row in &rows {
        let address = Address::new(Class::from_oid(row.get(0)), row.get(1));
        all.entry(address)
            .or_default()
            .push((row.get(2), row.get(3), row.get(4)));
    }
    Ok(all)
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("security labels", LABELS.to_owned())]
}
