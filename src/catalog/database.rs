//! The database itself: its row in `pg_database` and the settings that belong to it.

use super::acl;
use super::context::Reader;
use super::functions::setting;
use super::roles::Roles;
use super::row::Row;
use super::select::Selected;
use crate::connect::Session;
use crate::error::{Context, Error, Kind, Result};
use crate::model::{Address, Class, Components, DatabaseProperties, Header};
use crate::report::Silent;
use crate::select::LeaveOut;
use crate::sql::{Quoting, ServerVersion};

fn database(version: ServerVersion) -> String {
    let provider = if version.at_least(15) {
        "d.datlocprovider::text"
    } else {
        "'c'::text"
    };
    let locale = if version.at_least(17) {
        "d.datlocale"
    } else if version.at_least(15) {
        "d.daticulocale"
    } else {
        "NULL::text"
    };
    let rules = if version.at_least(16) {
        "d.daticurules"
    } else {
        "NULL::text"
    };
    format!(
        "SELECT d.oid, d.datname::text AS name, d.datdba AS owner, d.datacl::text[] AS acl, \
         pg_catalog.acldefault('d', d.datdba)::text[] AS acl_base, \
         pg_catalog.pg_encoding_to_char(d.encoding)::text AS encoding, \
         {provider} AS provider, d.datcollate::text AS collate, d.datctype::text AS ctype, \
         {locale} AS locale, {rules} AS rules, \
         CASE WHEN t.spcname <> 'pg_default' THEN t.spcname::text END AS tablespace, \
         d.datconnlimit AS connection_limit, d.datistemplate AS is_template \
         FROM pg_catalog.pg_database d \
         LEFT JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace \
         WHERE d.datname = pg_catalog.current_database()"
    )
}

// A setting for a role in all databases is not the database's.
const SETTINGS: &str = "\
SELECT s.setrole AS role, s.setconfig AS settings \
FROM pg_catalog.pg_db_role_setting s \
JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase \
WHERE d.datname = pg_catalog.current_database()";

/// Reads the properties and marks what is wanted.
///
/// # Errors
/// The server's; an owner that does not exist.
pub(crate) async fn read(reader: &Reader<'_>, selected: &Selected) -> Result<DatabaseProperties> {
    let mut properties = properties(reader).await?;
    properties.header.wanted = selected.content(Components::ALL.without(Components::DATA));
    Ok(properties)
}

// What is on shared objects; the other comments and labels are read all at once.
const COMMENT: &str = "\
SELECT pg_catalog.shobj_description(d.oid, 'pg_database') \
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";

const LABELS: &str = "\
SELECT s.provider, s.label FROM pg_catalog.pg_shseclabel s \
JOIN pg_catalog.pg_database d ON d.oid = s.objoid \
AND s.classoid = 'pg_catalog.pg_database'::regclass \
WHERE d.datname = pg_catalog.current_database() ORDER BY 1";

/// The properties of the database that a session is in, whole, with comment and labels: for who wants
/// nothing else of it.
///
/// # Errors
/// The server's; an owner that does not exist.
pub async fn database_properties(session: &Session) -> Result<DatabaseProperties> {
    let client = session.client();
    let roles = Roles::load(client).await?;
    let reader = Reader {
        client,
        version: session.server_version(),
        roles: &roles,
        observer: &Silent,
        in_recovery: false,
        leave_out: LeaveOut::default(),
        quoting: Quoting::default(),
    };
    let mut read = properties(&reader).await?;
    let header = &mut read.header;
    let context = || "read database";
    let comment = client.query_one(COMMENT, &[]).await.context_with(context)?;
    header.comment = Row::from(comment).try_get(0)?;
    let labels = reader.rows("labels of the database", LABELS, &[]).await?;
    let label = |row: &Row| Ok((0, row.try_get(0)?, row.try_get(1)?));
    header.labels = labels.iter().map(label).collect::<Result<_>>()?;
    acl::drop_dangling(&mut header.acl, &roles);
    Ok(read)
}

async fn properties(reader: &Reader<'_>) -> Result<DatabaseProperties> {
    let rows = reader
        .rows("database", &database(reader.version), &[])
        .await?;
    let [row] = rows.as_slice() else {
        return Err(Error::new(
            Kind::Failed,
            "read database: its row in pg_database is not visible",
        ));
    };
    let name: String = row.get("name");
    let owner = reader.owner(row.get("owner"), &format!("database {name}"))?;
    let mut header = Header::new(Address::new(Class::Database, row.get("oid")), None, name);
    header.owner = Some(owner);
    header.acl = acl::parse(row.get("acl"), row.get("acl_base"))?;
    let provider = match row.get("provider") {
        "c" => "libc",
        "i" => "icu",
        "b" => "builtin",
        other => {
            return Err(Error::new(
                Kind::Failed,
                format!("read database: its locale provider \"{other}\" is not known"),
            ));
        }
    };
    let limit: i32 = row.get("connection_limit");
    Ok(DatabaseProperties {
        header,
        encoding: row.get("encoding"),
        locale_provider: provider.to_owned(),
        collate: row.get("collate"),
        ctype: row.get("ctype"),
        locale: row.get("locale"),
        icu_rules: row.get("rules"),
        tablespace: row
            .get::<_, Option<String>>("tablespace")
            .filter(|_| !reader.leave_out.tablespaces),
        // Negative: no limit (-1), or half dropped (-2), and then nobody could have connected.
        connection_limit: (limit >= 0).then_some(limit),
        is_template: row.get("is_template"),
        settings: settings(reader).await?,
    })
}

/// Settings sorted by role, those for all roles first, each role's in their own order.
async fn settings(reader: &Reader<'_>) -> Result<Vec<(Option<String>, String, String)>> {
    let rows = reader.rows("settings", SETTINGS, &[]).await?;
    let mut all = Vec::new();
    for row in &rows {
        let role = match row.get("role") {
            0 => None,
            oid => Some(reader.owner(oid, "settings of a role in this database")?),
        };
        let settings: Option<Vec<String>> = row.get("settings");
        for text in settings.iter().flatten() {
            let (name, value) = setting(text);
            all.push((role.clone(), name, value));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

/// The queries of this file, by name.
pub(crate) fn queries(version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("database", database(version)),
        ("settings", SETTINGS.to_owned()),
        ("comment of the database", COMMENT.to_owned()),
        ("labels of the database", LABELS.to_owned()),
    ]
}
