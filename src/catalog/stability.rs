//! Whether the catalogs stood still while they were read.
//!
//! The snapshot shows the catalogs as they were, the server's deparsing functions as they are. Tables
//! are locked; views, functions and types cannot be. One that was replaced in between would go
//! into the archive with a definition that belongs to another time than the rest.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Client;

use super::context::{Reader, changed};
use super::row::Row;
use crate::error::{Context, Error, Kind, Result, one_line};
use crate::model::{Components, Database, Header};
use crate::sql::{Quoting, ServerVersion};

/// Users' objects that deparsed text can speak of: class, OID, and what another version of the same
/// object would have otherwise. An index is one by itself: others may come and go. By content: a refresh, a grant, a trigger that is switched write a row
/// anew, too. What belongs to a relation counts as the relation. What no grant writes, and hardly
/// anything but a new name, counts by the row's own age: it may be called as before again. (Functions are replaced by
/// themselves, and types and schemas granted again, by programs at any time.)
const OBJECTS: &str = "\
SELECT 'pg_catalog.pg_class'::regclass::oid AS class, c.oid AS object,
       concat_ws(' ', 'relation', c.relnamespace, c.relkind, c.relname) AS version
  FROM pg_catalog.pg_class c
 WHERE c.oid >= 16384 AND c.relpersistence <> 't' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
UNION ALL
SELECT 'pg_catalog.pg_class'::regclass, c.oid,
       concat_ws(' ', 'index', c.relnamespace, c.relname, c.reloptions)
  FROM pg_catalog.pg_class c
 WHERE c.oid >= 16384 AND c.relpersistence <> 't' AND c.relkind IN ('i', 'I')
UNION ALL
SELECT 'pg_catalog.pg_statistic_ext'::regclass, e.oid, concat_ws(' ', e.stxnamespace, e.stxname)
  FROM pg_catalog.pg_statistic_ext e WHERE e.oid >= 16384
UNION ALL
SELECT 'pg_catalog.pg_class'::regclass, a.attrelid,
       concat_ws(' ', 'column', a.attnum, a.atttypid, a.atttypmod, a.attname)
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
 WHERE c.oid >= 16384 AND c.relpersistence <> 't' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
   AND a.attnum > 0
UNION ALL
SELECT 'pg_catalog.pg_class'::regclass, r.ev_class,
       concat_ws(' ', 'rule', r.rulename, r.ev_qual, r.ev_action)
  FROM pg_catalog.pg_rewrite r
  JOIN pg_catalog.pg_class c ON c.oid = r.ev_class AND c.relpersistence <> 't'
 WHERE r.oid >= 16384
UNION ALL
SELECT CASE WHEN k.conrelid = 0 THEN 'pg_catalog.pg_type' ELSE 'pg_catalog.pg_class' END::regclass,
       CASE WHEN k.conrelid = 0 THEN k.contypid ELSE k.conrelid END,
       concat_ws(' ', 'constraint', k.conname, k.convalidated, k.condeferrable, k.condeferred,
                 k.conbin)
  FROM pg_catalog.pg_constraint k
  LEFT JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
 WHERE k.oid >= 16384 AND c.relpersistence IS DISTINCT FROM 't'
UNION ALL
SELECT 'pg_catalog.pg_class'::regclass, t.tgrelid,
       concat_ws(' ', 'trigger', t.tgname, t.tgfoid, t.tgtype, t.tgattr, t.tgargs, t.tgdeferrable,
                 t.tginitdeferred, t.tgoldtable, t.tgnewtable, t.tgqual)
  FROM pg_catalog.pg_trigger t
  JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid AND c.relpersistence <> 't'
 WHERE t.oid >= 16384 AND NOT t.tgisinternal
UNION ALL
SELECT 'pg_catalog.pg_class'::regclass, p.polrelid,
       concat_ws(' ', 'policy', p.polname, p.polqual, p.polwithcheck)
  FROM pg_catalog.pg_policy p
UNION ALL
SELECT 'pg_catalog.pg_proc'::regclass, p.oid,
       (pg_catalog.to_jsonb(p) - 'proacl' - 'proowner')::text
  FROM pg_catalog.pg_proc p WHERE p.oid >= 16384
UNION ALL
SELECT 'pg_catalog.pg_type'::regclass, t.oid, concat_ws(' ', t.typnamespace, t.typname)
  FROM pg_catalog.pg_type t WHERE t.oid >= 16384 AND t.typrelid = 0
UNION ALL
SELECT 'pg_catalog.pg_operator'::regclass, o.oid, concat_ws(' ', o.oprnamespace, o.oprname, o.xmin)
  FROM pg_catalog.pg_operator o WHERE o.oid >= 16384
UNION ALL
SELECT 'pg_catalog.pg_enum'::regclass, e.oid, concat_ws(' ', e.enumlabel, e.xmin)
  FROM pg_catalog.pg_enum e WHERE e.oid >= 16384
UNION ALL
SELECT 'pg_catalog.pg_collation'::regclass, o.oid, concat_ws(' ', o.collnamespace, o.collname, o.xmin)
  FROM pg_catalog.pg_collation o WHERE o.oid >= 16384
UNION ALL
SELECT 'pg_catalog.pg_opclass'::regclass, o.oid, concat_ws(' ', o.opcnamespace, o.opcname, o.xmin)
  FROM pg_catalog.pg_opclass o WHERE o.oid >= 16384
UNION ALL
SELECT 'pg_catalog.pg_ts_config'::regclass, o.oid, concat_ws(' ', o.cfgnamespace, o.cfgname, o.xmin)
  FROM pg_catalog.pg_ts_config o WHERE o.oid >= 16384
UNION ALL
SELECT 'pg_catalog.pg_ts_dict'::regclass, o.oid, concat_ws(' ', o.dictnamespace, o.dictname, o.xmin)
  FROM pg_catalog.pg_ts_dict o WHERE o.oid >= 16384
UNION ALL
SELECT 'pg_catalog.pg_namespace'::regclass, n.oid, n.nspname::text
  FROM pg_catalog.pg_namespace n WHERE n.oid >= 16384";

/// Has a session leave its snapshot for a transaction in which each statement sees what is now, and
/// writes values as the snapshot's does.
pub(crate) fn now(quoting: Quoting) -> String {
    let quoted = match quoting {
        Quoting::Always => "on",
        Quoting::WhereNeeded => "off",
    };
    format!(
        "COMMIT; BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY; \
         SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; \
         SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL extra_float_digits = 3; \
         SET LOCAL bytea_output = hex; SET LOCAL quote_all_identifiers = {quoted}; \
         SELECT pg_catalog.set_config('search_path', '', true); \
         SELECT pg_catalog.set_config(name, '0', true) FROM pg_catalog.pg_settings \
         WHERE name = 'transaction_timeout'"
    )
}

/// `pg_enum`.
const ENUM_LABELS: u32 = 3501;

const SNAPSHOT: &str = "SELECT pg_catalog.pg_current_snapshot()::text";

/// The transactions that a session sees, as text: equal where none has been committed in between.
///
/// # Errors
/// The server's.
pub(crate) async fn snapshot(client: &Client) -> Result<String> {
    let row = client.query_typed_one(SNAPSHOT, &[]).await;
    Ok(row.context_with(|| "read the snapshot")?.try_get(0)?)
}

/// Whether a catalog has a row that a transaction wrote which was not over before the snapshot: `$1`
/// is the oldest that was not. Counted backwards from the next transaction: what is older has more years.
/// A number that has come round again only makes it look twice.
fn touched() -> String {
    let catalogs = [
        "class",
        "attribute",
        "rewrite",
        "constraint",
        "trigger",
        "policy",
        "proc",
        "type",
        "operator",
        "enum",
        "collation",
        "opclass",
        "ts_config",
        "ts_dict",
        "namespace",
        "statistic_ext",
    ];
    let any: Vec<String> = catalogs
        .iter()
        .map(|name| {
            format!(
                "EXISTS (SELECT FROM pg_catalog.pg_{name} c \
                 WHERE pg_catalog.age(c.xmin) <= s.age)"
            )
        })
        .collect();
    format!(
        "SELECT {} FROM (SELECT pg_catalog.age($1::text::xid) AS age) s",
        any.join(" OR ")
    )
}

/// One number for all of it: equal where nothing has changed.
fn sum() -> String {
    format!(
        "SELECT count(*), coalesce(sum(pg_catalog.hashtextextended(\
         concat_ws(' ', class, object, version), 0)), 0)::text FROM ({OBJECTS}) o"
    )
}

/// Every object, as something that a person can read.
fn list() -> String {
    format!(
        "SELECT class, object, pg_catalog.string_agg(version, ',' ORDER BY version), \
         CASE class WHEN 'pg_catalog.pg_enum'::regclass \
         THEN coalesce((SELECT 'a label of type ' || pg_catalog.format_type(e.enumtypid, NULL) \
         FROM pg_catalog.pg_enum e WHERE e.oid = object), '') \
         ELSE coalesce((pg_catalog.pg_identify_object(class, object, 0)).identity, '') END \
         FROM ({OBJECTS}) o GROUP BY class, object"
    )
}

/// Compares the catalogs of the snapshot with those of now, as far as `database` has wanted objects
/// in them. `now` is a session as [`now`] leaves it; `snapshot` is the dump's, as [`snapshot`] says it. Objects that have come or gone meanwhile do not matter: the snapshot does not have
/// the first, and what was dropped before it was deparsed is noticed where it is read.
///
/// # Errors
/// [`Kind::Stale`], naming an object that was changed or replaced; the server's.
pub(crate) async fn check(
    reader: &Reader<'_>,
    database: &Database,
    now: &Client,
    then: &str,
) -> Result<()> {
    const WHAT: &str = "compare the catalogs with those of now";
    // The text of a standby's snapshot does not list what runs on its primary.
    if !reader.in_recovery && then == snapshot(now).await? {
        return Ok(());
    }
    if let Some(oldest) = oldest(then) {
        let row = now.query_one(&touched(), &[&oldest]).await;
        if !row.context_with(|| WHAT)?.try_get::<_, bool>(0)? {
            return Ok(());
        }
    }
    let sum = sum();
    let (then, since) =
        futures::try_join!(reader.client.query_one(&sum, &[]), now.query_one(&sum, &[]))
            .context_with(|| WHAT)?;
    let number = |row: &tokio_postgres::Row| -> Result<(i64, String)> {
        Ok((row.try_get(0)?, row.try_get(1)?))
    };
    if number(&then)? == number(&since)? {
        return Ok(());
    }
    let list = list();
    let (then, since) = futures::try_join!(reader.client.query(&list, &[]), now.query(&list, &[]))
        .context_with(|| WHAT)?;
    let wanted = wanted(database);
    let mut before: HashMap<(u32, u32), String> = HashMap::with_capacity(then.len());
    for row in then.into_iter().map(Row::from) {
        before.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
    }
    for row in since.into_iter().map(Row::from) {
        let version: String = row.try_get(2)?;
        let address = (row.try_get(0)?, row.try_get(1)?);
        // Labels have no header of their own.
        let is_wanted = address.0 == ENUM_LABELS || wanted.contains(&address);
        let known = before.get(&address).filter(|_| is_wanted);
        if known.is_some_and(|known| *known != version) {
            let name: String = row.try_get(3)?;
            let what = format!("{} has been changed", one_line(&name));
            return Err(changed(Error::new(Kind::Stale, what)));
        }
    }
    Ok(())
}

/// The oldest transaction that ran when a snapshot was taken, as the catalogs' rows number them.
fn oldest(snapshot: &str) -> Option<String> {
    let (oldest, _) = snapshot.split_once(':')?;
    let oldest: u64 = oldest.parse().ok()?;
    Some((oldest % (1 << 32)).to_string())
}

/// Classes and OIDs of what is in the dump, of the classes that are compared.
fn wanted(database: &Database) -> HashSet<(u32, u32)> {
    let headers = [
        database
            .relations
            .iter()
            .map(|r| &r.header)
            .collect::<Vec<_>>(),
        database.indexes.iter().map(|i| &i.header).collect(),
        database.statistics.iter().map(|s| &s.header).collect(),
        database.functions.iter().map(|f| &f.header).collect(),
        database.aggregates.iter().map(|a| &a.header).collect(),
        database.types.iter().map(|t| &t.header).collect(),
        database.operators.iter().map(|o| &o.header).collect(),
        database.collations.iter().map(|c| &c.header).collect(),
        database
            .operator_classes
            .iter()
            .map(|c| &c.header)
            .collect(),
        database
            .text_search_configurations
            .iter()
            .map(|c| &c.header)
            .collect(),
        database
            .text_search_dictionaries
            .iter()
            .map(|d| &d.header)
            .collect(),
        database.schemas.iter().map(|s| &s.header).collect(),
    ];
    let is_wanted = |header: &&&Header| header.wanted != Components::NONE;
    let address = |header: &&Header| (header.address.class.oid(), header.address.oid);
    let headers = headers.iter().flatten();
    headers.filter(is_wanted).map(address).collect()
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("snapshot", SNAPSHOT.to_owned()),
        ("touched catalogs", touched()),
        ("sum of the catalogs", sum()),
        ("objects and versions", list()),
    ]
}
