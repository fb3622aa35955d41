//! Holds the tables still: `LOCK TABLE … IN ACCESS SHARE MODE`, in few statements.
//!
//! Taken right after the snapshot and before anything is deparsed. Only tables and partitioned
//! tables can be locked so; each by itself (`ONLY`), for its children are in the list as well when
//! they are wanted.

use super::context::{Fields, Reader};
use super::relations::needs_lock;
use crate::connect::Text;
use crate::error::{Error, Kind, Result};
use crate::model::{Oid, Relation, RelationKind};
use crate::sql::{ServerVersion, bytes_of, is_plain};
use std::time::Duration;
use tokio_postgres::error::SqlState;

/// Bytes of one LOCK statement at most.
const BATCH_BYTES: usize = 100_000;

/// How many names an error message lists.
const NAMES: usize = 10;

/// Those of the tables `$1` that may not be locked. From 16 on the rights to change rows are
/// enough as well; but what cannot be read cannot be dumped.
const UNREADABLE: &str = "\
SELECT src.oid
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  JOIN pg_catalog.pg_class c ON c.oid = src.oid
 WHERE NOT pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')
    OR NOT pg_catalog.has_table_privilege(src.oid, 'SELECT')";

/// Who stands in the way of locks on the tables `$1`.
const BLOCKERS: &str = "\
SELECT l.relation, l.pid, l.granted
  FROM pg_catalog.pg_locks l
 WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                      WHERE d.datname = pg_catalog.current_database())
   AND l.relation = ANY ($1::oid[]) AND l.pid <> pg_catalog.pg_backend_pid()
 ORDER BY l.granted DESC, l.relation";

/// Those of the tables `$1`, named `$2`, of which the snapshot has other files than the server now: they were
/// truncated or rewritten by somebody who was waited for, or are no longer called so, and the lock is another table's.
/// The catalog's row is that of the snapshot, and both functions look at what is. (A `VACUUM FULL` keeps the
/// rows and gives a false alarm.)
const MOVED: &str = "\
SELECT src.oid
  FROM ROWS FROM (pg_catalog.unnest($1::oid[]), pg_catalog.unnest($2::text[])) AS src (oid, name)
  JOIN pg_catalog.pg_class c ON c.oid = src.oid
 WHERE pg_catalog.to_regclass(src.name)::oid IS DISTINCT FROM src.oid
    OR (c.relfilenode <> 0
        AND pg_catalog.pg_relation_filenode(src.oid) IS DISTINCT FROM c.relfilenode)";

/// Sets `lock_timeout` until the end of the transaction or savepoint.
const SET_TIMEOUT: &str = "SELECT pg_catalog.set_config('lock_timeout', $1::text, true)";

/// What `lock_timeout` is now.
const TIMEOUT: &str = "SELECT pg_catalog.current_setting('lock_timeout')";

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("unreadable tables", UNREADABLE.to_owned()),
        ("blockers of locks", BLOCKERS.to_owned()),
        ("moved tables", MOVED.to_owned()),
        ("set lock timeout", SET_TIMEOUT.to_owned()),
        ("lock timeout", TIMEOUT.to_owned()),
    ]
}

/// Locks those of `relations` that can be locked and need it, waiting for each at most `timeout`.
/// The locks last until the end of the transaction.
///
/// A lock holds still what is there when it is granted. What was waited for may have truncated or rewritten the table,
/// which shows under every snapshot, or put another one in its place.
///
/// # Errors
/// Names the tables that may not be read, that have been dropped, or on which the wait was in
/// vain. The transaction survives only the first of these. [`Kind::Stale`] names those whose rows the
/// snapshot no longer shows.
pub(crate) async fn acquire(
    reader: &Reader<'_>,
    relations: &[Relation],
    timeout: Option<Duration>,
) -> Result<()> {
    let tables: Vec<&Relation> = relations
        .iter()
        .filter(|relation| {
            matches!(
                relation.kind,
                RelationKind::Table | RelationKind::PartitionedTable
            ) && needs_lock(relation)
        })
        .collect();
    if tables.is_empty() {
        return Ok(());
    }
    let oids: Vec<Oid> = tables.iter().map(|t| t.header.address.oid).collect();
    let mut unreadable = Vec::new();
    for row in reader
        .rows("table privileges", UNREADABLE, &[&oids])
        .await?
    {
        let oid: Oid = Fields::of(&row).next()?;
        let table = tables.iter().find(|t| t.header.address.oid == oid);
        unreadable.push(table.map_or_else(|| oid.to_string(), |t| t.header.sql_name()));
    }
    if !unreadable.is_empty() {
        return Err(denied("table", unreadable));
    }

    let before: String = reader
        .client
        .query_typed_one(TIMEOUT, &[])
        .await?
        .try_get(0)?;
    if let Some(timeout) = timeout {
        // 0 would mean to wait for ever.
        let limit = timeout.as_millis().clamp(1, i32::MAX as u128).to_string();
        reader.client.execute(SET_TIMEOUT, &[&limit]).await?;
    }
    for batch in batches(&tables) {
        lock(reader, batch, timeout).await?;
    }
    if timeout.is_some() {
        reader.client.execute(SET_TIMEOUT, &[&before]).await?;
    }
    stayed(reader, &tables, &oids).await
}

/// Whether the locked tables are those of the snapshot, with their files.
async fn stayed(reader: &Reader<'_>, tables: &[&Relation], oids: &[Oid]) -> Result<()> {
    let names: Vec<String> = tables.iter().map(|t| t.header.sql_name()).collect();
    let sent: Vec<Text<'_>> = names.iter().map(Text::from).collect();
    let mut moved = Vec::new();
    for row in reader
        .rows("files of tables", MOVED, &[&oids, &sent])
        .await?
    {
        let oid: Oid = Fields::of(&row).next()?;
        let at = oids.iter().position(|&one| one == oid);
        moved.extend(at.and_then(|at| names.get(at)).cloned());
    }
    if moved.is_empty() {
        return Ok(());
    }
    moved.sort_unstable();
    Err(Error::new(
        Kind::Stale,
        format!(
            "truncated, rewritten or replaced after the snapshot was taken, which does not show \
             the rows: {}",
            listed(moved)
        ),
    )
    .context("lock tables")
    .with_hint("run the dump again when no other session truncates or rewrites these"))
}

/// Cuts the list where a statement would become too long.
fn batches<'t, 'r>(tables: &'t [&'r Relation]) -> impl Iterator<Item = &'t [&'r Relation]> {
    let mut rest = tables;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = rest
            .iter()
            .take_while(|table| {
                bytes += table.header.sql_name().len() + 7;
                bytes <= BATCH_BYTES
            })
            .count();
        let (batch, after) = rest.split_at(fitting.max(1).min(rest.len()));
        rest = after;
        (!batch.is_empty()).then_some(batch)
    })
}

/// The same statement in letters that the driver takes: it sends nothing but UTF-8, and names in a database
/// in SQL_ASCII may have any bytes.
fn in_ascii(sql: &str) -> String {
    let bytes = bytes_of(sql);
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "DO LANGUAGE plpgsql $$BEGIN \
         EXECUTE pg_catalog.convert_from('\\x{digits}'::bytea, 'SQL_ASCII'); END$$"
    )
}

async fn lock(reader: &Reader<'_>, batch: &[&Relation], timeout: Option<Duration>) -> Result<()> {
    let names: Vec<String> = batch
        .iter()
        .map(|table| format!("ONLY {}", table.header.sql_name()))
        .collect();
    let mut sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", "));
    if !is_plain(&sql) {
        sql = in_ascii(&sql);
    }
    // After a failure the transaction must still be able to say who holds what.
    reader.client.batch_execute("SAVEPOINT lock_tables").await?;
    match reader.client.batch_execute(&sql).await {
        Ok(()) => {
            reader
                .client
                .batch_execute("RELEASE SAVEPOINT lock_tables")
                .await?;
            Ok(())
        }
        Err(error) => Err(refused(reader, batch, timeout, error.into()).await),
    }
}

/// Turns the server's refusal into an error that names tables.
async fn refused(
    reader: &Reader<'_>,
    batch: &[&Relation],
    timeout: Option<Duration>,
    error: Error,
) -> Error {
    let state = error.sqlstate().cloned();
    if state == Some(SqlState::OUT_OF_MEMORY) {
        return error.context("lock tables").with_hint(
            "the server's lock table is full: raise max_locks_per_transaction and restart it, \
             or dump fewer tables at once with --schema or --table",
        );
    }
    if state == Some(SqlState::UNDEFINED_TABLE) || state == Some(SqlState::INVALID_SCHEMA_NAME) {
        return error
            .with_kind(Kind::Stale)
            .context("lock tables: a table was dropped since the dump began")
            .with_hint("run the dump again when no other session drops tables");
    }
    if state != Some(SqlState::LOCK_NOT_AVAILABLE) {
        return error.context("lock tables");
    }
    let mut blocked = Vec::new();
    let mut holders = Vec::new();
    // What cannot be found out is left out: the first failure is the one to report.
    if reader
        .client
        .batch_execute("ROLLBACK TO SAVEPOINT lock_tables")
        .await
        .is_ok()
    {
        let oids: Vec<Oid> = batch.iter().map(|t| t.header.address.oid).collect();
        let rows = reader.client.query(BLOCKERS, &[&oids]).await;
        for row in rows.unwrap_or_default() {
            let (Ok(oid), Ok(pid)) = (row.try_get::<_, Oid>(0), row.try_get::<_, i32>(1)) else {
                continue;
            };
            let table = batch.iter().find(|t| t.header.address.oid == oid);
            blocked.extend(table.map(|table| table.header.sql_name()));
            holders.push(pid);
        }
    }
    blocked.sort_unstable();
    blocked.dedup();
    holders.sort_unstable();
    holders.dedup();
    if blocked.is_empty() {
        // Let go in the meantime: the one that was waited for is among these.
        blocked.extend(batch.iter().map(|table| table.header.sql_name()));
    }
    let wait = timeout.map_or_else(String::new, |t| format!(" within {} ms", t.as_millis()));
    let by = match holders.as_slice() {
        [] => String::new(),
        [one] => format!(", process {one} has or awaits an exclusive lock"),
        many => format!(
            ", processes {} have or await exclusive locks",
            listed(many.iter().map(ToString::to_string).collect())
        ),
    };
    let mut told = Error::new(
        Kind::Server,
        format!("could not lock table {}{wait}{by}", listed(blocked)),
    )
    .with_hint("wait for the other session to end its transaction, or raise --lock-wait-timeout")
    .with_source(error);
    if let Some(state) = state {
        told = told.with_sqlstate(state);
    }
    told
}

/// The error for tables or sequences that may not be read.
pub(crate) fn denied(kind: &str, mut names: Vec<String>) -> Error {
    names.sort_unstable();
    Error::new(
        Kind::Server,
        format!("permission denied for {kind} {}", listed(names)),
    )
    .with_sqlstate(SqlState::INSUFFICIENT_PRIVILEGE)
    .with_hint(format!(
        "grant SELECT on it and USAGE on its schema, use a role that has pg_read_all_data, or \
         leave the {kind} out with --exclude-table"
    ))
}

/// Names for a message: all when they are few.
fn listed(names: Vec<String>) -> String {
    let more = names.len().saturating_sub(NAMES);
    let shown = names[..names.len() - more].join(", ");
    if more == 0 {
        shown
    } else {
        format!("{shown} and {more} more")
    }
}
