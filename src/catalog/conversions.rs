//! Conversions between encodings.

use super::context::Reader;
use super::select::Selected;
use crate::error::Result;
use crate::model::{Address, Class, Conversion, Header};
use crate::sql::ServerVersion;

const CONVERSIONS: &str = "\
SELECT c.oid, n.nspname::text AS schema, c.conname::text AS name, c.conowner AS owner, \
pg_catalog.pg_encoding_to_char(c.conforencoding)::text AS from, \
pg_catalog.pg_encoding_to_char(c.contoencoding)::text AS to, \
c.conproc::regproc::text AS function, c.condefault AS is_default \
FROM pg_catalog.pg_conversion c \
JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace \
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// Reads the conversions and marks what is wanted.
///
/// # Errors
/// The server's; an owner that does not exist.
pub(crate) async fn read(reader: &Reader<'_>, selected: &Selected) -> Result<Vec<Conversion>> {
    let rows = reader.rows("conversions", CONVERSIONS, &[]).await?;
    rows.iter()
        .map(|row| {
            let address = Address::new(Class::Conversion, row.get("oid"));
            let mut header = Header::new(address, row.get("schema"), row.get("name"));
            let name = format!("conversion {}", header.sql_name());
            header.owner = Some(reader.owner(row.get("owner"), &name)?);
            selected.mark(&mut header);
            Ok(Conversion {
                header,
                from: row.get("from"),
                to: row.get("to"),
                function: row.get("function"),
                is_default: row.get("is_default"),
            })
        })
        .collect()
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("conversions", CONVERSIONS.to_owned())]
}
