//! Functions and procedures. Aggregates are not here.

use super::context::{Reader, vanished};
use super::roles::BOOTSTRAP;
use super::row::Row;
use super::select::{FIRST_NORMAL_OID, Selected};
use super::{acl, init_privs};
use crate::error::{Error, Kind, Result};
use crate::model::{
    Address, Class, Components, Function, FunctionBody, FunctionKind, Header, Parallel, Volatility,
};
use crate::sql::ServerVersion;
use std::borrow::Cow;

/// All functions but the system's own, and of those the ones whose privileges or owner were changed.
/// So it is with those that the server makes along with something else (constructors of range types):
/// they are here for their privileges and comments.
///
/// `$1`: OIDs of the schemas whose definitions are wanted. Of other functions only the name is
/// read: their arguments' defaults are not ours to deparse.
fn functions(version: ServerVersion) -> String {
    let sql_body = if version.at_least(14) {
        "CASE WHEN d.wanted AND p.prosqlbody IS NOT NULL \
         THEN pg_catalog.pg_get_function_sqlbody(p.oid) END"
    } else {
        "NULL::text"
    };
    format!(
        "SELECT p.oid, n.nspname::text AS schema, p.proname::text AS name, p.proowner AS owner, \
         {given_away} AS given_away, {comes_along} AS comes_along, {columns}, p.prokind::text AS kind, d.wanted AS readable, \
         CASE WHEN d.wanted THEN pg_catalog.pg_get_function_arguments(p.oid) END AS arguments, \
         pg_catalog.pg_get_function_identity_arguments(p.oid) AS identity_arguments, \
         CASE WHEN d.wanted AND p.prokind <> 'p' \
         THEN pg_catalog.pg_get_function_result(p.oid) END AS result, \
         ARRAY(SELECT an.nspname::text FROM unnest(p.proargtypes) WITH ORDINALITY AS a(oid, at) \
         JOIN pg_catalog.pg_type t ON t.oid = a.oid \
         JOIN pg_catalog.pg_namespace an ON an.oid = t.typnamespace ORDER BY a.at) AS schemas, \
         ARRAY(SELECT t.typname::text FROM unnest(p.proargtypes) WITH ORDINALITY AS a(oid, at) \
         JOIN pg_catalog.pg_type t ON t.oid = a.oid ORDER BY a.at) AS types, \
         coalesce(p.proallargtypes, p.proargtypes::oid[]) || p.prorettype AS signature_types, \
         l.lanname::text AS language, \
         ARRAY(SELECT pg_catalog.format_type(a.oid, NULL) \
         FROM unnest(p.protrftypes) WITH ORDINALITY AS a(oid, at) ORDER BY a.at) AS transforms, \
         coalesce(p.protrftypes, '{{}}')::oid[] AS transform_types, \
         p.provolatile::text AS volatility, p.proisstrict AS strict, \
         p.prosecdef AS security_definer, p.proleakproof AS leakproof, \
         p.proparallel::text AS parallel, \
         CASE WHEN p.procost <> 0 AND p.procost <> \
         CASE WHEN l.lanname IN ('c', 'internal') THEN 1 ELSE 100 END \
         THEN p.procost::text END AS cost, \
         CASE WHEN p.proretset AND p.prorows NOT IN (0, 1000) THEN p.prorows::text END AS rows, \
         CASE WHEN p.prosupport <> 0 THEN p.prosupport::regproc::text END AS support, \
         coalesce(p.proconfig, '{{}}') AS settings, \
         {sql_body} AS sql_body, p.probin AS library, \
         CASE WHEN d.wanted THEN p.prosrc END AS source \
         FROM pg_catalog.pg_proc p \
         JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
         JOIN pg_catalog.pg_language l ON l.oid = p.prolang \
         CROSS JOIN LATERAL (SELECT p.pronamespace = ANY ($1::oid[]) AS wanted) d \
         {join} \
         WHERE p.prokind <> 'a' \
         AND (n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
         OR n.nspname IN ('pg_catalog', 'information_schema') \
         AND (p.proacl IS DISTINCT FROM ip.initprivs OR {given_away})) \
         AND (NOT {comes_along} OR p.proacl IS DISTINCT FROM ip.initprivs \
         OR EXISTS (SELECT FROM pg_catalog.pg_description c \
         WHERE c.classoid = 'pg_catalog.pg_proc'::regclass AND c.objoid = p.oid))",
        comes_along = "EXISTS (SELECT FROM pg_catalog.pg_depend i \
                       WHERE i.classid = 'pg_catalog.pg_proc'::regclass AND i.objid = p.oid \
                       AND i.deptype = 'i')",
        given_away = format_args!("(p.oid < {FIRST_NORMAL_OID} AND p.proowner <> {BOOTSTRAP})"),
        columns = init_privs::columns("p.proacl", 'f', "p.proowner"),
        join = init_privs::join("pg_proc", "p"),
    )
}

/// Reads functions and procedures and marks what is wanted.
///
/// # Errors
/// The server's; an owner that does not exist.
pub(crate) async fn read(reader: &Reader<'_>, selected: &Selected) -> Result<Vec<Function>> {
    let rows = reader
        .rows(
            "functions",
            &functions(reader.version),
            &[&selected.defined_schemas()],
        )
        .await?;
    rows.iter()
        .map(|row| function(reader, selected, row))
        .collect()
}

fn function(reader: &Reader<'_>, selected: &Selected, row: &Row) -> Result<Function> {
    let address = Address::new(Class::Function, row.get("oid"));
    let mut header = Header::new(address, row.get("schema"), row.get("name"));
    let identity_arguments: Option<String> = row.get("identity_arguments");
    let description = format!(
        "function {}({})",
        header.sql_name(),
        identity_arguments.as_deref().unwrap_or_default()
    );
    header.acl = acl::parse(row.get("acl"), row.get("acl_base"))?;
    let owner = reader.owner(row.get("owner"), &description)?;
    let given_away: bool = row.get("given_away");
    if given_away {
        // Who has it now has what its first owner had.
        let first = reader.owner(BOOTSTRAP, &description)?;
        for item in &mut header.acl.base {
            if item.grantee.as_ref() == Some(&first) {
                item.grantee = Some(owner.clone());
            }
            if item.grantor == first {
                item.grantor.clone_from(&owner);
            }
        }
    }
    header.owner = Some(owner);
    selected.mark(&mut header);
    if given_away {
        let contained = selected.contained(header.schema.as_deref().unwrap_or_default());
        header.wanted = selected.content(contained.only(Components::ACL));
    }
    let kind = match row.get("kind") {
        "f" => FunctionKind::Function,
        "p" => FunctionKind::Procedure,
        "w" => FunctionKind::Window,
        other => return Err(unknown("kind", other).context(description)),
    };
    let comes_along = row.get("comes_along");
    if comes_along {
        header.wanted = header.wanted.without(Components::DEFINITION);
    }
    // The server answers null for a function that is gone by now.
    let gone = identity_arguments.is_none()
        || row.get("readable")
            && (row.get::<_, Option<Cow<'_, str>>>("arguments").is_none()
                || kind != FunctionKind::Procedure
                    && row.get::<_, Option<Cow<'_, str>>>("result").is_none());
    if gone && !header.wanted.is_none() {
        return Err(vanished(&description));
    }
    if header.wanted.has(Components::DEFINITION) && !row.get::<_, bool>("readable") {
        return Err(Error::new(
            Kind::Failed,
            format!("{description}: wanted, but its schema is not"),
        ));
    }
    let settings: Vec<String> = row.get("settings");
    let schemas: Vec<String> = row.get("schemas");
    let types: Vec<String> = row.get("types");
    let source: Option<String> = row.get("source");
    let source = source.unwrap_or_default();
    let body = match (
        row.get::<_, Option<String>>("sql_body"),
        row.get::<_, Option<String>>("library"),
    ) {
        (Some(body), _) => FunctionBody::Sql(body),
        (None, Some(file)) => FunctionBody::Library {
            file,
            symbol: source,
        },
        (None, None) => FunctionBody::Source(source),
    };
    Ok(Function {
        kind,
        given_away,
        comes_along,
        arguments: row
            .get::<_, Option<String>>("arguments")
            .unwrap_or_default(),
        identity_arguments: identity_arguments.unwrap_or_default(),
        argument_types: schemas.into_iter().zip(types).collect(),
        signature_types: row.get("signature_types"),
        result: row.get("result"),
        language: row.get("language"),
        transforms: row.get("transforms"),
        transform_types: row.get("transform_types"),
        volatility: match row.get("volatility") {
            "i" => Volatility::Immutable,
            "s" => Volatility::Stable,
            "v" => Volatility::Volatile,
            other => return Err(unknown("volatility", other).context(description)),
        },
        strict: row.get("strict"),
        security_definer: row.get("security_definer"),
        leakproof: row.get("leakproof"),
        parallel: match row.get("parallel") {
            "s" => Parallel::Safe,
            "r" => Parallel::Restricted,
            "u" => Parallel::Unsafe,
            other => return Err(unknown("parallel safety", other).context(description)),
        },
        cost: row.get("cost"),
        rows: row.get("rows"),
        support: row.get("support"),
        settings: settings.iter().map(|text| setting(text)).collect(),
        body,
        header,
    })
}

/// Name and value of a stored setting.
pub(crate) fn setting(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

fn unknown(what: &str, letter: &str) -> Error {
    Error::new(
        Kind::Failed,
        format!("its {what} \"{letter}\" is not known"),
    )
}

/// The queries of this file, by name.
pub(crate) fn queries(version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("functions", functions(version))]
}
