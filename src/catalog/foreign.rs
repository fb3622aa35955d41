//! Foreign-data wrappers, foreign servers, user mappings.

use super::context::{Reader, options};
use super::row::Row;
use super::select::Selected;
use super::{acl, init_privs};
use crate::error::{Error, Kind, Result, one_line};
use crate::model::{
    Address, Class, Components, ForeignDataWrapper, ForeignServer, Header, UserMapping,
};
use crate::sql::ServerVersion;

fn wrappers_query() -> String {
    format!(
        "SELECT w.oid, w.fdwname::text AS name, w.fdwowner AS owner, {columns}, \
         CASE WHEN w.fdwhandler <> 0 THEN w.fdwhandler::regproc::text END AS handler, \
         CASE WHEN w.fdwvalidator <> 0 THEN w.fdwvalidator::regproc::text END AS validator, \
         w.fdwoptions AS options \
         FROM pg_catalog.pg_foreign_data_wrapper w {join} ORDER BY w.fdwname",
        columns = init_privs::columns("w.fdwacl", 'F', "w.fdwowner"),
        join = init_privs::join("pg_foreign_data_wrapper", "w"),
    )
}

fn servers_query() -> String {
    format!(
        "SELECT s.oid, s.srvname::text AS name, s.srvowner AS owner, {columns}, \
         w.fdwname::text AS wrapper, s.srvtype AS kind, s.srvversion AS version, \
         s.srvoptions AS options \
         FROM pg_catalog.pg_foreign_server s \
         JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw {join} \
         ORDER BY s.srvname",
        columns = init_privs::columns("s.srvacl", 'S', "s.srvowner"),
        join = init_privs::join("pg_foreign_server", "s"),
    )
}

// The table itself is for superusers alone. The view gives null for options that are not for our
// eyes, and for none as well: the rules by which it hides them tell the two apart.
const USER_MAPPINGS: &str = "\
SELECT m.umid AS oid, m.umuser AS role, m.srvid AS server, m.srvname::text AS server_name, \
m.umoptions AS options, \
(m.umoptions IS NOT NULL \
 OR (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) \
 OR m.umuser = 0 AND pg_catalog.pg_has_role(s.srvowner, 'USAGE') \
 OR m.umuser = (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) \
    AND (pg_catalog.pg_has_role(s.srvowner, 'USAGE') \
         OR pg_catalog.has_server_privilege(s.oid, 'USAGE'))) AS visible \
FROM pg_catalog.pg_user_mappings m \
JOIN pg_catalog.pg_foreign_server s ON s.oid = m.srvid \
ORDER BY m.srvname, m.usename";

fn sorted(row: &Row) -> Vec<(String, String)> {
    let mut all = options(row.get("options"));
    all.sort();
    all
}

/// Reads the wrappers and marks what is wanted.
///
/// # Errors
/// The server's; an owner that does not exist.
pub(crate) async fn wrappers(
    reader: &Reader<'_>,
    selected: &Selected,
) -> Result<Vec<ForeignDataWrapper>> {
    let rows = reader
        .rows("foreign-data wrappers", &wrappers_query(), &[])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(ForeignDataWrapper {
                header: header(
                    reader,
                    selected,
                    Class::ForeignDataWrapper,
                    "foreign-data wrapper",
                    row,
                )?,
                handler: row.get("handler"),
                validator: row.get("validator"),
                options: sorted(row),
            })
        })
        .collect()
}

/// Reads the servers and marks what is wanted.
///
/// # Errors
/// The server's; an owner that does not exist.
pub(crate) async fn servers(
    reader: &Reader<'_>,
    selected: &Selected,
) -> Result<Vec<ForeignServer>> {
    let rows = reader
        .rows("foreign servers", &servers_query(), &[])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(ForeignServer {
                header: header(
                    reader,
                    selected,
                    Class::ForeignServer,
                    "foreign server",
                    row,
                )?,
                wrapper: row.get("wrapper"),
                kind: row.get("kind"),
                version: row.get("version"),
                options: sorted(row),
            })
        })
        .collect()
}

fn header(
    reader: &Reader<'_>,
    selected: &Selected,
    class: Class,
    what: &str,
    row: &Row,
) -> Result<Header> {
    let mut header = Header::new(Address::new(class, row.get("oid")), None, row.get("name"));
    let name = format!("{what} {}", header.sql_name());
    header.owner = Some(reader.owner(row.get("owner"), &name)?);
    header.acl = acl::parse(row.get("acl"), row.get("acl_base"))?;
    selected.mark(&mut header);
    Ok(header)
}

/// Reads the user mappings of `servers` and marks what is wanted. Options that the session's role
/// may not see are named in a warning; the mapping is there without them, as pg_dump has it.
///
/// # Errors
/// The server's; a role that does not exist.
pub(crate) async fn mappings(
    reader: &Reader<'_>,
    selected: &Selected,
    servers: &[ForeignServer],
) -> Result<Vec<UserMapping>> {
    let rows = reader.rows("user mappings", USER_MAPPINGS, &[]).await?;
    let mut mappings = Vec::with_capacity(rows.len());
    for row in &rows {
        let address = Address::new(Class::UserMapping, row.get("oid"));
        let role: u32 = row.get("role");
        let server_name: String = row.get("server_name");
        let role = match role {
            0 => None,
            oid => Some(reader.roles.name(oid).map(str::to_owned).ok_or_else(|| {
                Error::new(
                    Kind::Failed,
                    format!("user mapping of server {server_name}: the role with OID {oid} does not exist"),
                )
            })?),
        };
        let name = format!(
            "{} SERVER {server_name}",
            role.as_deref().unwrap_or("PUBLIC")
        );
        let mut header = Header::new(address, None, name);
        selected.mark(&mut header);
        let server = row.get("server");
        // A server that an extension brings: whether its script made the mapping too, no catalog
        // tells.
        let of_extension = servers
            .iter()
            .any(|s| s.header.address.oid == server && s.header.extension.is_some());
        if header.wanted.has(Components::DEFINITION) {
            let shown = one_line(&header.name);
            if of_extension {
                header.wanted = Components::NONE;
                reader.observer.warning_with_hint(
                    format!(
                        "not dumped, for its server belongs to an extension: user mapping {shown}"
                    ),
                    "make it by hand where the extension does not",
                );
            } else if !row.get::<_, bool>("visible") {
                reader.observer.warning_with_hint(
                    format!("user mapping {shown} is dumped without its options, which this role may not see"),
                    "dump as a superuser, or set the options by hand after the restore",
                );
            }
        }
        mappings.push(UserMapping {
            header,
            role,
            server,
            server_name,
            options: sorted(row),
        });
    }
    Ok(mappings)
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("foreign-data wrappers", wrappers_query()),
        ("foreign servers", servers_query()),
        ("user mappings", USER_MAPPINGS.to_owned()),
    ]
}
