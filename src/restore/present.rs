//! Which objects of an archive the target has already: of those that would be pulled in, and of
//! those that `--clean` is to drop.

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::{Entry, EntryId};
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result};
use crate::sql::literal;

/// Kinds with the condition under which an object of the name `w.name` (in `w.schema`, on
/// `w.relation`) is there. Signatures are written as the archive has them, under an empty
/// `search_path`.
const LOOKUPS: [(&[&str], &str); 27] = [
    (
        &["SCHEMA"],
        "EXISTS (SELECT FROM pg_catalog.pg_namespace o WHERE o.nspname = w.name)",
    ),
    (
        &["EXTENSION"],
        "EXISTS (SELECT FROM pg_catalog.pg_extension o WHERE o.extname = w.name)",
    ),
    (
        &[
            "TABLE",
            "FOREIGN TABLE",
            "VIEW",
            "MATERIALIZED VIEW",
            "SEQUENCE",
            "INDEX",
        ],
        "EXISTS (SELECT FROM pg_catalog.pg_class o WHERE o.relname = w.name AND o.relnamespace = n.oid)",
    ),
    (
        &["TYPE", "DOMAIN", "SHELL TYPE"],
        "EXISTS (SELECT FROM pg_catalog.pg_type o WHERE o.typname = w.name AND o.typnamespace = n.oid)",
    ),
    (
        &["FUNCTION", "PROCEDURE", "AGGREGATE"],
        "EXISTS (SELECT FROM pg_catalog.pg_proc o WHERE o.pronamespace = n.oid \
         AND pg_catalog.starts_with(w.name, o.proname || '(') \
         AND w.name IN (o.proname || '(' || pg_catalog.pg_get_function_identity_arguments(o.oid) || ')', \
         CASE WHEN o.prokind = 'a' AND o.pronargs = 0 THEN o.proname || '(*)' END))",
    ),
    (
        &["OPERATOR"],
        "EXISTS (SELECT FROM pg_catalog.pg_operator o WHERE o.oprnamespace = n.oid \
         AND w.name = o.oprname || ' (' \
         || CASE o.oprleft WHEN 0 THEN 'NONE' ELSE pg_catalog.format_type(o.oprleft, NULL) END || ', ' \
         || CASE o.oprright WHEN 0 THEN 'NONE' ELSE pg_catalog.format_type(o.oprright, NULL) END || ')')",
    ),
    (
        &["OPERATOR CLASS"],
        "EXISTS (SELECT FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_am a ON a.oid = o.opcmethod \
         WHERE o.opcnamespace = n.oid AND w.name IN (o.opcname, o.opcname || ' USING ' || a.amname))",
    ),
    (
        &["OPERATOR FAMILY"],
        "EXISTS (SELECT FROM pg_catalog.pg_opfamily o JOIN pg_catalog.pg_am a ON a.oid = o.opfmethod \
         WHERE o.opfnamespace = n.oid AND w.name IN (o.opfname, o.opfname || ' USING ' || a.amname))",
    ),
    (
        &["COLLATION"],
        "EXISTS (SELECT FROM pg_catalog.pg_collation o WHERE o.collname = w.name AND o.collnamespace = n.oid)",
    ),
    (
        &["CONVERSION"],
        "EXISTS (SELECT FROM pg_catalog.pg_conversion o WHERE o.conname = w.name AND o.connamespace = n.oid)",
    ),
    (
        &["TEXT SEARCH CONFIGURATION"],
        "EXISTS (SELECT FROM pg_catalog.pg_ts_config o WHERE o.cfgname = w.name AND o.cfgnamespace = n.oid)",
    ),
    (
        &["TEXT SEARCH DICTIONARY"],
        "EXISTS (SELECT FROM pg_catalog.pg_ts_dict o WHERE o.dictname = w.name AND o.dictnamespace = n.oid)",
    ),
    (
        &["TEXT SEARCH PARSER"],
        "EXISTS (SELECT FROM pg_catalog.pg_ts_parser o WHERE o.prsname = w.name AND o.prsnamespace = n.oid)",
    ),
    (
        &["TEXT SEARCH TEMPLATE"],
        "EXISTS (SELECT FROM pg_catalog.pg_ts_template o WHERE o.tmplname = w.name AND o.tmplnamespace = n.oid)",
    ),
    (
        &["CAST"],
        "EXISTS (SELECT FROM pg_catalog.pg_cast o WHERE w.name = '(' \
         || pg_catalog.format_type(o.castsource, NULL) || ' AS ' \
         || pg_catalog.format_type(o.casttarget, NULL) || ')')",
    ),
    (
        &["PROCEDURAL LANGUAGE"],
        "EXISTS (SELECT FROM pg_catalog.pg_language o WHERE o.lanname = w.name)",
    ),
    (
        &["ACCESS METHOD"],
        "EXISTS (SELECT FROM pg_catalog.pg_am o WHERE o.amname = w.name)",
    ),
    (
        &["FOREIGN DATA WRAPPER"],
        "EXISTS (SELECT FROM pg_catalog.pg_foreign_data_wrapper o WHERE o.fdwname = w.name)",
    ),
    (
        &["SERVER"],
        "EXISTS (SELECT FROM pg_catalog.pg_foreign_server o WHERE o.srvname = w.name)",
    ),
    (
        &["CONSTRAINT", "CHECK CONSTRAINT", "FK CONSTRAINT"],
        "EXISTS (SELECT FROM pg_catalog.pg_constraint o WHERE o.conname = w.name \
         AND o.connamespace = n.oid AND coalesce(\
         (SELECT c.relname FROM pg_catalog.pg_class c WHERE c.oid = o.conrelid), \
         (SELECT t.typname FROM pg_catalog.pg_type t WHERE t.oid = o.contypid)) = w.relation)",
    ),
    (
        &["TRIGGER"],
        "EXISTS (SELECT FROM pg_catalog.pg_trigger o JOIN pg_catalog.pg_class c ON c.oid = o.tgrelid \
         WHERE o.tgname = w.name AND c.relname = w.relation AND c.relnamespace = n.oid)",
    ),
    (
        &["RULE"],
        "EXISTS (SELECT FROM pg_catalog.pg_rewrite o JOIN pg_catalog.pg_class c ON c.oid = o.ev_class \
         WHERE o.rulename = w.name AND c.relname = w.relation AND c.relnamespace = n.oid)",
    ),
    (
        &["POLICY"],
        "EXISTS (SELECT FROM pg_catalog.pg_policy o JOIN pg_catalog.pg_class c ON c.oid = o.polrelid \
         WHERE o.polname = w.name AND c.relname = w.relation AND c.relnamespace = n.oid)",
    ),
    (
        &["STATISTICS"],
        "EXISTS (SELECT FROM pg_catalog.pg_statistic_ext o WHERE o.stxname = w.name \
         AND o.stxnamespace = n.oid)",
    ),
    (
        &["PUBLICATION"],
        "EXISTS (SELECT FROM pg_catalog.pg_publication o WHERE o.pubname = w.name)",
    ),
    (
        &["SUBSCRIPTION"],
        "EXISTS (SELECT FROM pg_catalog.pg_subscription o WHERE o.subname = w.name \
         AND o.subdbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))",
    ),
    (
        &["EVENT TRIGGER"],
        "EXISTS (SELECT FROM pg_catalog.pg_event_trigger o WHERE o.evtname = w.name)",
    ),
];

/// Whether it can be asked for.
pub(super) fn is_known(entry: &Entry) -> bool {
    LOOKUPS
        .iter()
        .any(|(kinds, _)| kinds.contains(&entry.kind.as_str()))
}

/// Asks for these entries; answers those whose objects are there. Of kinds that have no lookup
/// nothing is known, and they count as missing.
pub(super) async fn ask<'a>(
    wire: &mut Wire,
    entries: impl Iterator<Item = &'a Entry>,
) -> Result<BTreeSet<EntryId>> {
    let values = values(entries);
    let cases: Vec<String> = LOOKUPS
        .iter()
        .map(|(kinds, condition)| {
            let kinds: Vec<String> = kinds.iter().map(|kind| literal(kind)).collect();
            format!("WHEN w.kind IN ({}) THEN {condition}", kinds.join(", "))
        })
        .collect();
    let mut present = BTreeSet::new();
    for group in values.chunks(1000) {
        let query = format!(
            "SELECT w.id::text FROM (VALUES {}) AS w (id, kind, schema, relation, name) \
             LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema \
             WHERE CASE {} ELSE false END",
            group.join(", "),
            cases.join(" "),
        );
        let rows = wire
            .query(&query)
            .await
            .context_with(|| "ask what the target has already")?;
        for row in rows {
            let id = row.first().cloned().flatten().unwrap_or_default();
            present.insert(id.parse().map_err(|_| {
                Error::new(Kind::Failed, "the target answered with an unknown entry")
            })?);
        }
    }
    Ok(present)
}

fn values<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<String> {
    entries
        .map(|entry| {
            let text = |value: &str| format!("{}::text", literal(value));
            format!(
                "({}, {}, {}, {}, {})",
                entry.id,
                text(&entry.kind),
                text(entry.schema.as_deref().unwrap_or_default()),
                text(entry.relation.as_deref().unwrap_or_default()),
                text(&entry.name),
            )
        })
        .collect()
}

/// An object by the OIDs of its catalog and of its row there.
pub(super) type Identity = (u32, u32);

/// The objects of these entries, as far as they are there and their kinds have a lookup.
pub(super) async fn identify<'a>(
    wire: &mut Wire,
    entries: impl Iterator<Item = &'a Entry>,
) -> Result<BTreeMap<EntryId, Identity>> {
    let values = values(entries);
    // Not everybody may see the OIDs of subscriptions, and nothing depends on one.
    let cases: Vec<String> = LOOKUPS
        .iter()
        .filter(|(kinds, _)| !kinds.contains(&"SUBSCRIPTION"))
        .filter_map(|(kinds, condition)| {
            let select = condition.strip_prefix("EXISTS (SELECT FROM ")?;
            let (catalog, _) = select.split_once(" o ")?;
            let kinds: Vec<String> = kinds.iter().map(|kind| literal(kind)).collect();
            Some(format!(
                "WHEN w.kind IN ({}) THEN (SELECT pg_catalog.min({}::pg_catalog.regclass::oid::text \
                 || ' ' || o.oid::text) FROM {select}",
                kinds.join(", "),
                literal(catalog)
            ))
        })
        .collect();
    let mut found = BTreeMap::new();
    for group in values.chunks(1000) {
        let query = format!(
            "SELECT w.id::text, CASE {} END FROM (VALUES {}) AS w (id, kind, schema, relation, name) \
             LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema",
            cases.join(" "),
            group.join(", "),
        );
        let rows = wire
            .query(&query)
            .await
            .context_with(|| "ask which objects are to be dropped")?;
        for row in rows {
            let field = |at: usize| row.get(at).and_then(|field| field.as_deref());
            let Some(identity) = field(1) else { continue };
            let parsed = || {
                let (catalog, object) = identity.split_once(' ')?;
                let id = field(0)?.parse().ok()?;
                Some((id, (catalog.parse().ok()?, object.parse().ok()?)))
            };
            let (id, identity) = parsed().ok_or_else(|| {
                Error::new(Kind::Failed, "the target answered with an unknown object")
            })?;
            found.insert(id, identity);
        }
    }
    Ok(found)
}
