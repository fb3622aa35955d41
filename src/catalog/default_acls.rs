//! Default privileges.

use super::acl;
use super::context::Reader;
use super::select::Selected;
use crate::error::{Error, Kind, Result};
use crate::model::{Components, DefaultAcl};
use crate::sql::ServerVersion;

// An entry for all schemas replaces the server's own defaults, one for a schema adds to them.
const DEFAULT_ACLS: &str = "\
SELECT d.oid, d.defaclrole AS role, n.nspname::text AS schema, d.defaclobjtype::text AS sort, \
d.defaclacl::text[] AS acl, \
CASE WHEN d.defaclnamespace = 0 THEN pg_catalog.acldefault(\
CASE WHEN d.defaclobjtype = 'S' THEN 's'::\"char\" ELSE d.defaclobjtype END, d.defaclrole)::text[] \
ELSE '{}'::text[] END AS acl_base \
FROM pg_catalog.pg_default_acl d \
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace";

/// Reads the default privileges and marks what is wanted.
///
/// # Errors
/// The server's; a role that does not exist.
pub(crate) async fn read(reader: &Reader<'_>, selected: &Selected) -> Result<Vec<DefaultAcl>> {
    let rows = reader.rows("default privileges", DEFAULT_ACLS, &[]).await?;
    rows.iter()
        .map(|row| {
            let schema: Option<String> = row.get("schema");
            let sort: String = row.get("sort");
            let object_type = sort
                .chars()
                .next()
                .ok_or_else(|| Error::new(Kind::Failed, "default privileges for nothing"))?;
            let inherited = match &schema {
                Some(schema) => selected.contained(schema).has(Components::DEFINITION),
                None => selected.everything(),
            };
            Ok(DefaultAcl {
                oid: row.get("oid"),
                wanted: inherited && selected.definitions(),
                role: reader.owner(row.get("role"), "default privileges")?,
                schema,
                object_type,
                acl: acl::parse(row.get("acl"), row.get("acl_base"))?,
            })
        })
        .collect()
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("default privileges", DEFAULT_ACLS.to_owned())]
}
