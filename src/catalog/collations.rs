//! Collations.

use super::context::Reader;
use super::select::Selected;
use crate::error::{Error, Kind, Result};
use crate::model::{Address, Class, Collation, CollationProvider, Header};
use crate::sql::ServerVersion;

fn collations(version: ServerVersion) -> String {
    // Up to 14 ICU's locale stands where libc's does.
    let locale = match version.major() {
        17.. => "c.colllocale",
        15 | 16 => "c.colliculocale",
        _ => "c.collcollate::text",
    };
    let rules = if version.at_least(16) {
        "c.collicurules"
    } else {
        "NULL::text"
    };
    format!(
        "SELECT c.oid, n.nspname::text AS schema, c.collname::text AS name, \
         c.collowner AS owner, c.collprovider::text AS provider, \
         c.collisdeterministic AS deterministic, c.collcollate::text AS collate, \
         c.collctype::text AS ctype, {locale} AS locale, {rules} AS rules \
         FROM pg_catalog.pg_collation c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace \
         WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    )
}

/// Reads the collations and marks what is wanted.
///
/// # Errors
/// The server's; an owner that does not exist; a provider that is not known.
pub(crate) async fn read(reader: &Reader<'_>, selected: &Selected) -> Result<Vec<Collation>> {
    let rows = reader
        .rows("collations", &collations(reader.version), &[])
        .await?;
    rows.iter()
        .map(|row| {
            let address = Address::new(Class::Collation, row.get("oid"));
            let mut header = Header::new(address, row.get("schema"), row.get("name"));
            let name = format!("collation {}", header.sql_name());
            header.owner = Some(reader.owner(row.get("owner"), &name)?);
            selected.mark(&mut header);
            let text = |column: &str| row.get::<_, Option<String>>(column).unwrap_or_default();
            let provider = match row.get("provider") {
                "c" => CollationProvider::Libc {
                    collate: text("collate"),
                    ctype: text("ctype"),
                },
                "i" => CollationProvider::Icu {
                    locale: text("locale"),
                    rules: row.get("rules"),
                },
                "b" => CollationProvider::Builtin {
                    locale: text("locale"),
                },
                other => {
                    return Err(Error::new(
                        Kind::Failed,
                        format!("{name}: its provider \"{other}\" is not known"),
                    ));
                }
            };
            Ok(Collation {
                header,
                provider,
                deterministic: row.get("deterministic"),
            })
        })
        .collect()
}

/// The queries of this file, by name.
pub(crate) fn queries(version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("collations", collations(version))]
}
