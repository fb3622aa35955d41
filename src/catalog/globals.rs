//! What belongs to the whole server: roles, memberships, tablespaces, privileges on parameters.

use std::collections::HashMap;

use super::acl;
use super::context::{Reader, options};
use super::functions::setting;
use super::roles::{BOOTSTRAP, Roles};
use super::row::Row;
use crate::connect::Session;
use crate::error::{Context, Error, Kind, Result};
use crate::model::{Acl, Globals, Membership, Oid, Parameter, PasswordHash, Role, Tablespace};
use crate::report::Observer;
use crate::select::LeaveOut;
use crate::sql::{Quoting, ServerVersion};

/// Which globals to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlobalsRequest {
    /// Roles, memberships, settings of roles, privileges on parameters.
    pub roles: bool,
    /// Tablespaces.
    pub tablespaces: bool,
    /// Stored passwords of roles, if the session's role may read them.
    pub role_passwords: bool,
}

const MAY_READ_PASSWORDS: &str = "\
SELECT pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT'), \
CURRENT_USER::text";

/// Predefined roles are every server's own.
fn roles(with_passwords: bool) -> String {
    let (password, catalog) = if with_passwords {
        ("rolpassword::text", "pg_authid")
    } else {
        ("NULL::text", "pg_roles")
    };
    format!(
        "SELECT oid, rolname::text AS name, rolsuper, rolinherit, rolcreaterole, rolcreatedb, \
         rolcanlogin, rolreplication, rolbypassrls, rolconnlimit, \
         rolvaliduntil::text AS valid_until, {password} AS password, \
         pg_catalog.shobj_description(oid, 'pg_authid') AS comment \
         FROM pg_catalog.{catalog} WHERE rolname !~ '^pg_' ORDER BY rolname COLLATE \"C\""
    )
}

const ROLE_SETTINGS: &str = "\
SELECT setrole AS role, setconfig AS settings FROM pg_catalog.pg_db_role_setting \
WHERE setdatabase = 0";

// Before 16 a membership was one's whoever had granted it, and the grantor could be long gone.
fn memberships(version: ServerVersion) -> String {
    let (options, grantor) = if version.at_least(16) {
        ("m.inherit_option, m.set_option", "m.grantor")
    } else {
        (
            "NULL::bool AS inherit_option, NULL::bool AS set_option",
            "NULL::oid",
        )
    };
    format!(
        "SELECT m.roleid, m.member, {grantor} AS grantor, m.admin_option, {options}, \
         r.rolname::text AS role_name, u.rolname::text AS member_name, \
         g.rolname::text AS grantor_name \
         FROM pg_catalog.pg_auth_members m \
         LEFT JOIN pg_catalog.pg_roles r ON r.oid = m.roleid \
         LEFT JOIN pg_catalog.pg_roles u ON u.oid = m.member \
         LEFT JOIN pg_catalog.pg_roles g ON g.oid = {grantor} \
         WHERE NOT coalesce(r.rolname ~ '^pg_' AND u.rolname ~ '^pg_', false) \
         ORDER BY r.rolname COLLATE \"C\", u.rolname COLLATE \"C\", g.rolname COLLATE \"C\""
    )
}

const TABLESPACES: &str = "\
SELECT oid, spcname::text AS name, spcowner AS owner, \
pg_catalog.pg_tablespace_location(oid) AS location, spcoptions AS options, \
spcacl::text[] AS acl, pg_catalog.acldefault('t', spcowner)::text[] AS acl_base, \
pg_catalog.shobj_description(oid, 'pg_tablespace') AS comment \
FROM pg_catalog.pg_tablespace ORDER BY spcname COLLATE \"C\"";

const PARAMETERS: &str = "\
SELECT parname AS name, paracl::text[] AS acl, \
pg_catalog.acldefault('p', 10)::text[] AS acl_base \
FROM pg_catalog.pg_parameter_acl ORDER BY parname COLLATE \"C\"";

const GLOBAL_LABELS: &str = "\
SELECT objoid, provider, label FROM pg_catalog.pg_shseclabel \
WHERE classoid IN ('pg_catalog.pg_authid'::regclass, 'pg_catalog.pg_tablespace'::regclass) \
ORDER BY objoid, provider";

/// Reads what belongs to the whole server, under the snapshot of the session's transaction.
///
/// What cannot be had is named in a warning: passwords that the session's role may not read,
/// memberships and privileges of roles that are gone, changes to initdb's own tablespaces.
///
/// # Errors
/// A tablespace whose owner does not exist, and whatever the server says.
pub async fn read_globals(
    session: &Session,
    request: &GlobalsRequest,
    observer: &dyn Observer,
) -> Result<Globals> {
    let (client, version) = (session.client(), session.server_version());
    let names = Roles::load(client).await?;
    let reader = Reader {
        client,
        version,
        roles: &names,
        observer,
        leave_out: LeaveOut::default(),
        quoting: Quoting::WhereNeeded,
        in_recovery: false,
    };
    let bootstrap = names
        .name(BOOTSTRAP)
        .ok_or_else(|| Error::new(Kind::Failed, "read roles: the role with OID 10 is missing"))?;
    let mut globals = Globals {
        version,
        bootstrap: bootstrap.to_owned(),
        roles: Vec::new(),
        settings: Vec::new(),
        memberships: Vec::new(),
        tablespaces: Vec::new(),
        parameters: Vec::new(),
    };
    let mut labels = read_labels(&reader).await?;
    if request.roles {
        read_roles(&reader, request.role_passwords, &mut labels, &mut globals).await?;
        globals.memberships = read_memberships(&reader).await?;
        if version.at_least(15) {
            globals.parameters = read_parameters(&reader).await?;
        }
    }
    if request.tablespaces {
        globals.tablespaces = read_tablespaces(&reader, &mut labels).await?;
    }
    Ok(globals)
}

type Labels = HashMap<Oid, Vec<(String, String)>>;

async fn read_labels(reader: &Reader<'_>) -> Result<Labels> {
    let rows = reader.rows("security labels", GLOBAL_LABELS, &[]).await?;
    let mut labels = Labels::new();
    for row in &rows {
        let own = labels.entry(row.get("objoid")).or_default();
        own.push((row.get("provider"), row.get("label")));
    }
    Ok(labels)
}

async fn read_roles(
    reader: &Reader<'_>,
    with_passwords: bool,
    labels: &mut Labels,
    globals: &mut Globals,
) -> Result<()> {
    let with_passwords = with_passwords && may_read_passwords(reader).await?;
    let mut settings: HashMap<Oid, Vec<(String, String)>> = HashMap::new();
    for row in &reader.rows("settings of roles", ROLE_SETTINGS, &[]).await? {
        let stored: Option<Vec<String>> = row.get("settings");
        let stored = stored.unwrap_or_default();
        let own = settings.entry(row.get("role")).or_default();
        own.extend(stored.iter().map(|text| setting(text)));
    }
    // Nobody's: ALTER ROLE ALL.
    globals.settings = settings.remove(&0).unwrap_or_default();
    for row in &reader.rows("roles", &roles(with_passwords), &[]).await? {
        let oid: Oid = row.get("oid");
        let limit: i32 = row.get("rolconnlimit");
        let password: Option<String> = row.get("password");
        globals.roles.push(Role {
            name: row.get("name"),
            superuser: row.get("rolsuper"),
            inherit: row.get("rolinherit"),
            create_role: row.get("rolcreaterole"),
            create_db: row.get("rolcreatedb"),
            login: row.get("rolcanlogin"),
            replication: row.get("rolreplication"),
            bypass_rls: row.get("rolbypassrls"),
            connection_limit: (limit >= 0).then_some(limit),
            valid_until: row.get("valid_until"),
            password: password.map(PasswordHash),
            settings: settings.remove(&oid).unwrap_or_default(),
            comment: row.get("comment"),
            labels: labels.remove(&oid).unwrap_or_default(),
        });
    }
    Ok(())
}

async fn may_read_passwords(reader: &Reader<'_>) -> Result<bool> {
    let rows = reader
        .rows("the right to passwords", MAY_READ_PASSWORDS, &[])
        .await?;
    let Some(row) = rows.first() else {
        return Ok(false);
    };
    let may: bool = row.get(0);
    if !may {
        let role: String = row.get(1);
        reader.observer.warning_with_hint(
            format!("roles are dumped without their passwords: role {role} may not read pg_authid"),
            "dump as a superuser, or be content with --no-role-passwords; without them the roles \
             have to be given passwords on the target",
        );
    }
    Ok(may)
}

async fn read_memberships(reader: &Reader<'_>) -> Result<Vec<Membership>> {
    let rows = reader
        .rows("memberships", &memberships(reader.version), &[])
        .await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        let role: Option<String> = row.get("role_name");
        let member: Option<String> = row.get("member_name");
        let grantor: Option<String> = row.get("grantor_name");
        let grantor_oid: Option<Oid> = row.get("grantor");
        let gone = |what, oid: Oid| {
            reader.observer.warning(format!(
                "left out a membership: its {what}, the role with OID {oid}, does not exist"
            ));
        };
        match (role, member) {
            (Some(role), Some(member)) => {
                if let (None, Some(oid)) = (&grantor, grantor_oid) {
                    reader.observer.warning(format!(
                        "the membership of {member} in {role} is dumped without its grantor: the \
                         role with OID {oid} does not exist"
                    ));
                }
                all.push(Membership {
                    role,
                    member,
                    grantor,
                    admin: row.get("admin_option"),
                    inherit: row.get("inherit_option"),
                    set: row.get("set_option"),
                });
            }
            (None, _) => gone("role", row.get("roleid")),
            (_, None) => gone("member", row.get("member")),
        }
    }
    Ok(all)
}

async fn read_parameters(reader: &Reader<'_>) -> Result<Vec<Parameter>> {
    let rows = reader.rows("parameter privileges", PARAMETERS, &[]).await?;
    let parameter = |row: &Row| {
        let name: String = row.get("name");
        let acl = read_acl(reader, row, &format!("parameter {name}"))?;
        Ok(Parameter { name, acl })
    };
    rows.iter().map(parameter).collect()
}

async fn read_tablespaces(reader: &Reader<'_>, labels: &mut Labels) -> Result<Vec<Tablespace>> {
    let mut all = Vec::new();
    for row in &reader.rows("tablespaces", TABLESPACES, &[]).await? {
        let name: String = row.get("name");
        let object = format!("tablespace {name}");
        let acl = read_acl(reader, row, &object)?;
        let options = options(row.get("options"));
        if name.starts_with("pg_") {
            if !options.is_empty() || acl.differs() {
                reader.observer.warning_with_hint(
                    format!("left out the options and privileges of {object}: it is initdb's own"),
                    "repeat ALTER TABLESPACE … SET and GRANT on the target by hand",
                );
            }
            continue;
        }
        let location: String = row.get("location");
        all.push(Tablespace {
            owner: reader.owner(row.get("owner"), &object)?,
            // The server tells the place of one inside of the data directory as seen from there.
            location: location.starts_with('/').then_some(location),
            options,
            acl,
            comment: row.get("comment"),
            labels: labels.remove(&row.get("oid")).unwrap_or_default(),
            name,
        });
    }
    Ok(all)
}

fn read_acl(reader: &Reader<'_>, row: &Row, object: &str) -> Result<Acl> {
    let mut acl = acl::parse(row.get("acl"), row.get("acl_base"))?;
    for role in acl::drop_dangling(&mut acl, reader.roles) {
        reader.observer.warning(format!(
            "left out privileges on {object}: the role with OID {role} does not exist"
        ));
    }
    Ok(acl)
}

/// A database of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedDatabase {
    /// Its name.
    pub name: String,
    /// Why nobody can connect to it, if so.
    pub hindrance: Option<&'static str>,
}

// What a DROP DATABASE was interrupted in cannot be used any more, and is marked by this limit.
const DATABASES: &str = "\
SELECT datname::text, datallowconn, datconnlimit = -2 FROM pg_catalog.pg_database \
ORDER BY datname <> 'template1', datname COLLATE \"C\"";

/// Every database of the server, `template1` first.
///
/// # Errors
/// The server's.
pub async fn databases(session: &Session) -> Result<Vec<ListedDatabase>> {
    let rows = session.client().query(DATABASES, &[]).await;
    let rows = rows.context_with(|| "read databases")?;
    let database = |row: Row| ListedDatabase {
        name: row.get(0),
        hindrance: match (row.get(1), row.get(2)) {
            (_, true) => Some("it was dropped in part and is invalid"),
            (false, _) => Some("it allows no connections"),
            _ => None,
        },
    };
    Ok(rows.into_iter().map(Row::from).map(database).collect())
}

/// The queries of this file, by name.
pub(crate) fn queries(version: ServerVersion) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("the right to passwords", MAY_READ_PASSWORDS.to_owned()),
        ("roles with passwords", roles(true)),
        ("roles without passwords", roles(false)),
        ("settings of roles", ROLE_SETTINGS.to_owned()),
        ("memberships", memberships(version)),
        ("databases", DATABASES.to_owned()),
        ("tablespaces", TABLESPACES.to_owned()),
        ("global security labels", GLOBAL_LABELS.to_owned()),
    ];
    if version.at_least(15) {
        all.push(("parameter privileges", PARAMETERS.to_owned()));
    }
    all
}
