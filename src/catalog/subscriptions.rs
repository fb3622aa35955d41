//! Subscriptions of this database.

use super::context::Reader;
use super::select::Selected;
use crate::error::{Error, Kind, Result, one_line};
use crate::model::{Address, Class, Header, Streaming, Subscription};
use crate::sql::ServerVersion;

/// Only columns that everybody may read.
const NAMES: &str = "\
SELECT s.subname::text FROM pg_catalog.pg_subscription s \
JOIN pg_catalog.pg_database d ON d.oid = s.subdbid \
WHERE d.datname = pg_catalog.current_database() ORDER BY s.subname";

/// Whether all columns that are read can be: usually only superusers may see connection strings.
const MAY_READ: &str = "\
SELECT pg_catalog.bool_and(pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')) \
FROM pg_catalog.pg_attribute a \
WHERE a.attrelid = 'pg_catalog.pg_subscription'::regclass AND a.attnum > 0 \
AND NOT a.attisdropped AND a.attname NOT IN ('subskiplsn', 'subenabled')";

fn subscriptions(version: ServerVersion) -> String {
    let since = |major, column, otherwise| {
        if version.at_least(major) {
            column
        } else {
            otherwise
        }
    };
    format!(
        "SELECT s.oid, s.subname::text AS name, s.subowner AS owner, \
         s.subconninfo AS connection, s.subpublications AS publications, \
         s.subslotname::text AS slot, s.subsynccommit AS synchronous_commit, \
         {binary} AS binary, {streaming} AS streaming, {two_phase} AS two_phase, \
         {disable_on_error} AS disable_on_error, {password} AS password_required, \
         {run_as_owner} AS run_as_owner, {origin} AS origin, {failover} AS failover \
         FROM pg_catalog.pg_subscription s \
         JOIN pg_catalog.pg_database d ON d.oid = s.subdbid \
         WHERE d.datname = pg_catalog.current_database() ORDER BY s.subname",
        binary = since(14, "s.subbinary", "false"),
        streaming = since(
            16,
            "s.substream::text",
            since(
                14,
                "CASE WHEN s.substream THEN 't' ELSE 'f' END",
                "NULL::text"
            )
        ),
        two_phase = since(15, "s.subtwophasestate <> 'd'", "false"),
        disable_on_error = since(15, "s.subdisableonerr", "false"),
        password = since(16, "s.subpasswordrequired", "NULL::bool"),
        run_as_owner = since(16, "s.subrunasowner", "NULL::bool"),
        origin = since(16, "s.suborigin", "NULL::text"),
        failover = since(17, "s.subfailover", "false"),
    )
}

/// Reads the subscriptions and marks what is wanted. Where they may not be read, a warning names
/// those that are left out.
///
/// # Errors
/// The server's; an owner that does not exist; a streaming mode that is not known.
pub(crate) async fn read(reader: &Reader<'_>, selected: &Selected) -> Result<Vec<Subscription>> {
    const WHAT: &str = "subscriptions";
    if !selected.everything() || !selected.definitions() || reader.leave_out.subscriptions {
        return Ok(Vec::new());
    }
    let names = reader.rows(WHAT, NAMES, &[]).await?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let may_read = reader.rows(WHAT, MAY_READ, &[]).await?;
    if !may_read.iter().any(|row| row.get(0)) {
        let names: Vec<String> = names
            .iter()
            .map(|row| one_line(&crate::sql::ident(&row.get::<_, String>(0))))
            .collect();
        reader.observer.warning_with_hint(
            format!(
                "{} not dumped, for this role may not read them: {}",
                match names.len() {
                    1 => "1 subscription".to_owned(),
                    count => format!("{count} subscriptions"),
                },
                names.join(", ")
            ),
            "dump as a superuser, or grant SELECT on pg_subscription to the role",
        );
        return Ok(Vec::new());
    }
    let rows = reader
        .rows(WHAT, &subscriptions(reader.version), &[])
        .await?;
    rows.iter()
        .map(|row| {
            let address = Address::new(Class::Subscription, row.get("oid"));
            let mut header = Header::new(address, None, row.get("name"));
            let name = format!("subscription {}", header.sql_name());
            header.owner = Some(reader.owner(row.get("owner"), &name)?);
            selected.mark(&mut header);
            let streaming = match row.get("streaming") {
                None => None,
                Some("f") => Some(Streaming::Off),
                Some("t") => Some(Streaming::On),
                Some("p") => Some(Streaming::Parallel),
                Some(other) => {
                    return Err(Error::new(
                        Kind::Failed,
                        format!("{name}: streaming {other} is not known"),
                    ));
                }
            };
            Ok(Subscription {
                header,
                connection: row.get("connection"),
                publications: row.get("publications"),
                slot: row.get("slot"),
                synchronous_commit: row.get("synchronous_commit"),
                binary: row.get("binary"),
                streaming,
                two_phase: row.get("two_phase"),
                disable_on_error: row.get("disable_on_error"),
                password_required: row.get("password_required"),
                run_as_owner: row.get("run_as_owner"),
                origin: row.get("origin"),
                failover: row.get("failover"),
            })
        })
        .collect()
}

/// The queries of this file, by name.
pub(crate) fn queries(version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("names of subscriptions", NAMES.to_owned()),
        ("right to read subscriptions", MAY_READ.to_owned()),
        ("subscriptions", subscriptions(version)),
    ]
}
