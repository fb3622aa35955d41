//! What is in the database and will not be in the archive. Nobody should find out when restoring,
//! so that each such thing is named.

use super::context::Reader;
use super::roles::BOOTSTRAP;
use super::select::{FIRST_NORMAL_OID, Selected};
use crate::error::{Result, first_of, one_line};
use crate::model::{Components, Database};
use crate::sql::ServerVersion;
use std::collections::BTreeMap;

/// Objects of the user's own in the system's schemas: they are dumped by nobody. Parts of others
/// (rowtypes, arrays, multiranges) are named with those.
const IN_SYSTEM_SCHEMAS: &str = "\
SELECT i.type, i.identity FROM ( \
SELECT 'pg_catalog.pg_class'::regclass::oid AS class, oid, relnamespace AS schema \
FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') UNION ALL \
SELECT 'pg_catalog.pg_type'::regclass::oid, oid, typnamespace FROM pg_catalog.pg_type \
WHERE typtype IN ('b', 'c', 'd', 'e', 'r') AND NOT (typelem <> 0 AND typlen = -1) \
AND (typrelid = 0 \
OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = typrelid AND c.relkind = 'c')) \
UNION ALL \
SELECT 'pg_catalog.pg_operator'::regclass::oid, oid, oprnamespace FROM pg_catalog.pg_operator \
UNION ALL \
SELECT 'pg_catalog.pg_collation'::regclass::oid, oid, collnamespace FROM pg_catalog.pg_collation \
UNION ALL \
SELECT 'pg_catalog.pg_conversion'::regclass::oid, oid, connamespace \
FROM pg_catalog.pg_conversion UNION ALL \
SELECT 'pg_catalog.pg_opclass'::regclass::oid, oid, opcnamespace FROM pg_catalog.pg_opclass \
UNION ALL \
SELECT 'pg_catalog.pg_opfamily'::regclass::oid, oid, opfnamespace FROM pg_catalog.pg_opfamily \
UNION ALL \
SELECT 'pg_catalog.pg_ts_config'::regclass::oid, oid, cfgnamespace FROM pg_catalog.pg_ts_config \
UNION ALL \
SELECT 'pg_catalog.pg_ts_dict'::regclass::oid, oid, dictnamespace FROM pg_catalog.pg_ts_dict \
UNION ALL \
SELECT 'pg_catalog.pg_ts_parser'::regclass::oid, oid, prsnamespace \
FROM pg_catalog.pg_ts_parser UNION ALL \
SELECT 'pg_catalog.pg_ts_template'::regclass::oid, oid, tmplnamespace \
FROM pg_catalog.pg_ts_template UNION ALL \
SELECT 'pg_catalog.pg_proc'::regclass::oid, oid, pronamespace FROM pg_catalog.pg_proc) o \
JOIN pg_catalog.pg_namespace n ON n.oid = o.schema \
AND n.nspname IN ('pg_catalog', 'information_schema') \
CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.class, o.oid, 0) i \
WHERE $1::bool AND o.oid >= 16384 AND i.identity IS NOT NULL \
AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e \
WHERE e.classid = o.class AND e.objid = o.oid AND e.deptype IN ('e', 'i')) \
ORDER BY i.type COLLATE \"C\", i.identity COLLATE \"C\"";

/// What of the server's own was given to another role, functions apart, which are dumped. `public`
/// has an entry of its own, and large objects choose their OIDs.
fn given_away() -> String {
    const CATALOGS: [(&str, &str); 14] = [
        ("pg_namespace", "nspowner"),
        ("pg_class", "relowner"),
        ("pg_type", "typowner"),
        ("pg_operator", "oprowner"),
        ("pg_collation", "collowner"),
        ("pg_conversion", "conowner"),
        ("pg_language", "lanowner"),
        ("pg_opclass", "opcowner"),
        ("pg_opfamily", "opfowner"),
        ("pg_ts_config", "cfgowner"),
        ("pg_ts_dict", "dictowner"),
        ("pg_foreign_data_wrapper", "fdwowner"),
        ("pg_foreign_server", "srvowner"),
        ("pg_proc", "proowner"),
    ];
    let each = CATALOGS.map(|(catalog, owner)| {
        let only = match catalog {
            "pg_class" => " AND relkind IN ('r', 'v')",
            "pg_type" => " AND typtype <> 'c' AND NOT (typelem <> 0 AND typlen = -1)",
            "pg_proc" => " AND prokind = 'a'",
            "pg_namespace" => " AND nspname <> 'public'",
            _ => "",
        };
        format!(
            "SELECT 'pg_catalog.{catalog}'::regclass::oid AS class, oid, {owner} AS owner \
             FROM pg_catalog.{catalog} \
             WHERE oid < {FIRST_NORMAL_OID} AND {owner} <> {BOOTSTRAP}{only}"
        )
    });
    format!(
        "SELECT i.type, i.identity, pg_catalog.pg_get_userbyid(o.owner)::text FROM ({}) o \
         CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.class, o.oid, 0) i \
         WHERE $1::bool AND i.identity IS NOT NULL \
         ORDER BY i.type COLLATE \"C\", i.identity COLLATE \"C\"",
        each.join(" UNION ALL ")
    )
}

/// What was added to extensions later than by their scripts: whole objects; columns, indexes,
/// constraints, triggers, rules, policies and sequences of their tables, views and the like, and
/// switches of the table. Whose something is shows the number of the transaction that recorded it
/// ([`remarks`](super::remarks)). Gives the extension, its name, sort and identity.
///
/// A script makes an object and its membership at once. What became a member later than what it
/// leans on was recorded for it, and not when a script ran, was added by hand. Where that is so of all
/// of an extension (it may be, after an upgrade of the server in place) nobody can tell.
const ADDED_TO_EXTENSIONS: &str = "\
WITH members AS MATERIALIZED (\
SELECT d.classid, d.objid, d.refobjid AS extension, d.xmin::text AS xid FROM pg_catalog.pg_depend d \
WHERE d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::regclass \
AND d.refobjid >= 16384), \
made AS MATERIALIZED (\
SELECT m.classid, m.objid, m.extension, m.xid, \
bool_or(d.xmin::text = m.xid) AS at_once, \
bool_or((m.xid::int8 - d.xmin::text::int8 + 4294967296) % 4294967296 BETWEEN 1 AND 2147483647) \
AS before \
FROM members m JOIN pg_catalog.pg_depend d ON d.classid = m.classid AND d.objid = m.objid \
AND d.deptype IN ('n', 'a') GROUP BY 1, 2, 3, 4), \
scripts AS MATERIALIZED (\
SELECT m.extension, m.xid FROM made m WHERE m.at_once \
UNION SELECT e.oid, e.xmin::text FROM pg_catalog.pg_extension e), \
later AS MATERIALIZED (\
SELECT m.extension, m.classid, m.objid FROM made m WHERE m.before AND NOT m.at_once \
AND EXISTS (SELECT FROM made o WHERE o.extension = m.extension AND o.at_once) \
AND NOT EXISTS (SELECT FROM scripts s WHERE s.extension = m.extension AND s.xid = m.xid)), \
relations AS MATERIALIZED (\
SELECT m.objid, m.extension FROM members m WHERE m.classid = 'pg_catalog.pg_class'::regclass \
AND NOT EXISTS (SELECT FROM later l WHERE l.classid = m.classid AND l.objid = m.objid)), \
added AS (\
SELECT r.extension, d.classid, d.objid, 0 AS part, d.xmin::text AS xid \
FROM relations r JOIN pg_catalog.pg_depend d \
ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = r.objid AND d.deptype = 'a' \
WHERE d.classid IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_constraint'::regclass, \
'pg_catalog.pg_trigger'::regclass, 'pg_catalog.pg_rewrite'::regclass, \
'pg_catalog.pg_policy'::regclass) \
AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c \
WHERE d.classid = 'pg_catalog.pg_class'::regclass AND c.oid = d.objid \
AND c.relkind NOT IN ('i', 'I', 'S')) \
UNION ALL \
SELECT r.extension, 'pg_catalog.pg_class'::regclass, a.attrelid, a.attnum, a.xmin::text \
FROM relations r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.objid \
JOIN pg_catalog.pg_class c ON c.oid = r.objid AND c.relkind IN ('r', 'p', 'f') \
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attacl IS NULL) \
SELECT DISTINCT a.extension, e.extname::text, i.type, i.identity \
FROM added a JOIN pg_catalog.pg_extension e ON e.oid = a.extension \
CROSS JOIN LATERAL pg_catalog.pg_identify_object(a.classid, a.objid, a.part) i \
WHERE i.identity IS NOT NULL \
AND NOT EXISTS (SELECT FROM members m WHERE m.extension = a.extension AND m.xid = a.xid) \
AND NOT EXISTS (SELECT FROM members m \
WHERE a.part = 0 AND m.classid = a.classid AND m.objid = a.objid) \
UNION ALL \
SELECT l.extension, e.extname::text, i.type, i.identity \
FROM later l JOIN pg_catalog.pg_extension e ON e.oid = l.extension \
CROSS JOIN LATERAL pg_catalog.pg_identify_object(l.classid, l.objid, 0) i \
WHERE i.identity IS NOT NULL \
UNION ALL \
SELECT r.extension, e.extname::text, s.what, i.identity \
FROM relations r JOIN pg_catalog.pg_extension e ON e.oid = r.extension \
JOIN pg_catalog.pg_class c ON c.oid = r.objid \
CROSS JOIN LATERAL (VALUES \
('row level security of', c.relrowsecurity), \
('replica identity of', c.relkind IN ('r', 'p', 'm') AND c.relreplident <> 'd')) s(what, set) \
CROSS JOIN LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_class'::regclass, c.oid, 0) i \
WHERE s.set AND NOT EXISTS (SELECT FROM members m \
WHERE m.extension = r.extension AND m.xid = c.xmin::text) \
ORDER BY 2, 3, 4";

/// Multirange types with privileges of their own, which servers have from 14 to 16. Gives schema and name.
const MULTIRANGE_PRIVILEGES: &str = "\
SELECT n.nspname::text, pg_catalog.format_type(t.oid, NULL) FROM pg_catalog.pg_type t \
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
WHERE t.typtype = 'm' AND t.typacl IS NOT NULL AND t.oid >= 16384 \
AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.deptype = 'e' \
AND e.classid = 'pg_catalog.pg_type'::regclass AND e.objid = t.oid) \
ORDER BY 1, 2";

/// What an archive of a database never holds, though somebody who moves it must know.
const OUTSIDE: &str = "\
SELECT 'prepared transaction', pg_catalog.quote_literal(p.gid) FROM pg_catalog.pg_prepared_xacts p \
WHERE p.database = pg_catalog.current_database() \
UNION ALL \
SELECT 'replication slot', pg_catalog.quote_ident(r.slot_name) \
FROM pg_catalog.pg_replication_slots r \
WHERE r.database = pg_catalog.current_database() AND NOT r.temporary \
ORDER BY 1, 2";

/// Warns about each thing that is wanted and cannot be written.
///
/// # Errors
/// The server's.
pub(crate) async fn warn(
    reader: &Reader<'_>,
    selected: &Selected,
    database: &Database,
) -> Result<()> {
    if !selected.definitions() {
        return Ok(());
    }
    let everything = selected.everything();
    if everything && !database.schemas.iter().any(|schema| schema.built_in) {
        reader.observer.warning_with_hint(
            "the schema public does not exist here, and a restore does not drop the one of its target",
            "drop it there by hand",
        );
    }
    let rows = reader
        .rows(
            "objects in system schemas",
            IN_SYSTEM_SCHEMAS,
            &[&everything],
        )
        .await?;
    // Locales that came with the operating system later are taken over by the hundred.
    let (collations, others): (Vec<_>, Vec<_>) = rows
        .iter()
        .map(|row| (row.get::<_, &str>(0), one_line(&row.get::<_, String>(1))))
        .partition(|(sort, _)| *sort == "collation");
    for (sort, identity) in others {
        reader.observer.warning(format!(
            "not dumped, for it is in a schema of the system: {sort} {identity}"
        ));
    }
    let rows = reader
        .rows(
            "owners of the system's objects",
            &given_away(),
            &[&everything],
        )
        .await?;
    for row in &rows {
        let (sort, identity, owner): (&str, String, String) = (row.get(0), row.get(1), row.get(2));
        reader.observer.warning(format!(
            "not dumped, for it is the system's: owner {} of {sort} {}",
            one_line(&owner),
            one_line(&identity)
        ));
    }
    if !collations.is_empty() {
        let names: Vec<String> = collations.into_iter().map(|(_, name)| name).collect();
        reader.observer.warning_with_hint(
            format!(
                "not dumped, for they are in a schema of the system: collations {}",
                some_of(names)
            ),
            "pg_import_system_collations makes those that the target's operating system has",
        );
    }
    let rows = reader
        .rows("additions to extensions", ADDED_TO_EXTENSIONS, &[])
        .await?;
    for row in &rows {
        if selected.has_members_of(row.get(0)) {
            let (extension, sort, identity): (String, &str, String) =
                (row.get(1), row.get(2), row.get(3));
            reader.observer.warning_with_hint(
                format!(
                    "not dumped, for it is part of extension {} and seems to have been added or \
                     changed since: {sort} {}",
                    one_line(&extension),
                    one_line(&identity)
                ),
                "make it by hand after CREATE EXTENSION",
            );
        }
    }
    if !reader.leave_out.privileges {
        let rows = reader
            .rows("privileges on multirange types", MULTIRANGE_PRIVILEGES, &[])
            .await?;
        for row in &rows {
            if selected.contained(row.get(0)).has(Components::ACL) {
                reader.observer.warning_with_hint(
                    format!(
                        "not dumped: privileges on multirange type {}",
                        one_line(row.get(1))
                    ),
                    "servers since 17 have those of its range type for it",
                );
            }
        }
    }
    if everything {
        let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let rows = reader
            .rows("what is not part of a database", OUTSIDE, &[])
            .await?;
        for row in &rows {
            found
                .entry(row.get(0))
                .or_default()
                .push(one_line(&row.get::<_, String>(1)));
        }
        for (sort, names) in found {
            reader.observer.warning(format!(
                "not part of a dump: {sort}{} {}",
                if names.len() == 1 { "" } else { "s" },
                names.join(", ")
            ));
        }
    }
    Ok(())
}

/// Most names in one message.
const NAMES: usize = 20;

/// Names for a message, those that are too many counted.
pub(crate) fn some_of(names: Vec<String>) -> String {
    first_of(names, NAMES).join(", ")
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("objects in system schemas", IN_SYSTEM_SCHEMAS.to_owned()),
        ("owners of the system's objects", given_away()),
        ("additions to extensions", ADDED_TO_EXTENSIONS.to_owned()),
        (
            "privileges on multirange types",
            MULTIRANGE_PRIVILEGES.to_owned(),
        ),
        ("outside of a database", OUTSIDE.to_owned()),
    ]
}
