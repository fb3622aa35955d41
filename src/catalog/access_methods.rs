//! Access methods.

use super::context::Reader;
use super::select::Selected;
use crate::error::{Error, Kind, Result};
use crate::model::{AccessMethod, AccessMethodKind, Address, Class, Header};
use crate::sql::ServerVersion;

const ACCESS_METHODS: &str = "\
SELECT a.oid, a.amname::text AS name, a.amtype::text AS kind, a.amhandler::regproc::text AS handler \
FROM pg_catalog.pg_am a WHERE a.oid >= 16384";

/// Reads the access methods and marks what is wanted.
///
/// # Errors
/// The server's; a kind that is not known.
pub(crate) async fn read(reader: &Reader<'_>, selected: &Selected) -> Result<Vec<AccessMethod>> {
    let rows = reader.rows("access methods", ACCESS_METHODS, &[]).await?;
    rows.iter()
        .map(|row| {
            let address = Address::new(Class::AccessMethod, row.get("oid"));
            let mut header = Header::new(address, None, row.get("name"));
            selected.mark(&mut header);
            let kind = match row.get("kind") {
                "i" => AccessMethodKind::Index,
                "t" => AccessMethodKind::Table,
                other => {
                    return Err(Error::new(
                        Kind::Failed,
                        format!(
                            "access method {}: its kind \"{other}\" is not known",
                            header.sql_name()
                        ),
                    ));
                }
            };
            Ok(AccessMethod {
                header,
                kind,
                handler: row.get("handler"),
            })
        })
        .collect()
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("access methods", ACCESS_METHODS.to_owned())]
}
