//! Row security policies.

use super::context::{Fields, Reader};
use super::parts;
use super::relations::by_oid;
use crate::error::{Error, Kind, Result};
use crate::model::{Class, Components, Oid, Policy, PolicyCommand, Relation};
use crate::sql::ServerVersion;

/// Policies of the tables `$1`.
const POLICIES: &str = "\
SELECT p.polrelid, p.oid, p.polname::text, p.polcmd::text, p.polpermissive, p.polroles,
       p.polqual IS NOT NULL, pg_catalog.pg_get_expr(p.polqual, p.polrelid),
       p.polwithcheck IS NOT NULL, pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  JOIN pg_catalog.pg_policy p ON p.polrelid = src.oid
 ORDER BY p.polrelid, p.polname";

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("policies", POLICIES.to_owned())]
}

/// The policies of tables whose policies are wanted.
///
/// # Errors
/// The server's; a table that was dropped since the snapshot; a role that does not exist.
pub(crate) async fn read(reader: &Reader<'_>, relations: &[Relation]) -> Result<Vec<Policy>> {
    let tables: Vec<Oid> = relations
        .iter()
        .filter(|relation| relation.header.wanted.has(Components::POLICY))
        .map(|relation| relation.header.address.oid)
        .collect();
    let mut policies = Vec::new();
    if tables.is_empty() || reader.leave_out.policies {
        return Ok(policies);
    }
    let index = by_oid(relations);
    for row in reader.rows("policies", POLICIES, &[&tables]).await? {
        let mut fields = Fields::of(&row);
        let Some(&at) = index.get(&fields.next()?) else {
            continue;
        };
        let table = &relations[at];
        let oid = fields.next()?;
        let mut header = parts::header(table, Class::Policy, oid, fields.next()?);
        header.wanted = Components::DEFINITION;
        if table.header.wanted.has(Components::COMMENT) {
            header.wanted = header.wanted.with(Components::COMMENT);
        }
        let name = format!(
            "policy {} of {}",
            crate::sql::ident(&header.name),
            table.header.sql_name()
        );
        let command = match fields.next::<&str>()? {
            "*" => PolicyCommand::All,
            "r" => PolicyCommand::Select,
            "a" => PolicyCommand::Insert,
            "w" => PolicyCommand::Update,
            "d" => PolicyCommand::Delete,
            other => {
                return Err(Error::new(
                    Kind::Failed,
                    format!("{name}: command {other} is not known"),
                ));
            }
        };
        let permissive = fields.next()?;
        let mut roles = Vec::new();
        // 0 is PUBLIC, which is the same as no list at all.
        for role in fields.next::<Vec<Oid>>()?.into_iter().filter(|&r| r != 0) {
            let role = reader.roles.name(role).ok_or_else(|| {
                Error::new(
                    Kind::Failed,
                    format!("{name}: the role with OID {role} does not exist"),
                )
            })?;
            roles.push(role.to_owned());
        }
        roles.sort_unstable();
        let expression = |fields: &mut Fields<'_>| -> Result<Option<String>> {
            if fields.next()? {
                fields.deparsed(|| name.clone()).map(Some)
            } else {
                fields.next::<Option<String>>()
            }
        };
        let using = expression(&mut fields)?;
        let check = expression(&mut fields)?;
        policies.push(Policy {
            header,
            table: table.header.address.oid,
            command,
            permissive,
            roles,
            using,
            check,
        });
    }
    Ok(policies)
}
