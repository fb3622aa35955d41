//! Session set-up of a dump: every setting that could change what the server answers is pinned,
//! whatever the role's or the database's own settings say; then the snapshot.

use crate::connect::{Session, Wire};
use crate::error::{Context, Error, Kind, Result};
use crate::report::Observer;
use crate::sql::{Quoting, ServerVersion, ident, literal};

use super::{DumpOptions, SnapshotMode};

/// What every session is set to, as one statement (they are twenty, and a statement costs the server more than
/// a setting). The control plane and the data plane send the same.
///
/// `TimeZone` and `lc_monetary` are in the list because they change how `timestamptz` and `money`
/// are written as text, and so the content fingerprint of a table.
const PINNED: [(&str, &str); 19] = [
    ("search_path", ""),
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "3"),
    ("timezone", "UTC"),
    ("lc_monetary", "C"),
    ("bytea_output", "hex"),
    ("xmloption", "content"),
    ("array_nulls", "on"),
    ("standard_conforming_strings", "on"),
    ("quote_all_identifiers", "off"),
    ("synchronize_seqscans", "off"),
    // Without it every chunk of a table would be a scan of the whole.
    ("enable_tidscan", "on"),
    ("max_parallel_workers_per_gather", "0"),
    ("jit", "off"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("row_security", "off"),
];

/// Exists since the minor releases of August 2024: asked for, not assumed. It keeps the
/// server from evaluating a view or foreign table that was put in a table's place.
const RESTRICTED_KINDS: &str = "CASE WHEN \
     pg_catalog.current_setting('restrict_nonsystem_relation_kind', true) IS NOT NULL THEN \
     pg_catalog.set_config('restrict_nonsystem_relation_kind', 'view, foreign-table', false) END";

/// The statements that pin what a session's answers depend on.
pub(crate) fn settings(version: ServerVersion) -> Vec<String> {
    let mut pinned = PINNED.to_vec();
    if version.at_least(14) {
        pinned.push(("idle_session_timeout", "0"));
    }
    if version.at_least(17) {
        pinned.push(("transaction_timeout", "0"));
    }
    let mut calls: Vec<String> = pinned
        .into_iter()
        .map(|(name, value)| format!("pg_catalog.set_config('{name}', '{value}', false)"))
        .collect();
    calls.push(RESTRICTED_KINDS.to_owned());
    vec![format!("SELECT {}", calls.join(", "))]
}

/// Where there are few objects, to look for the best order of a catalog query's joins takes the server longer than the
/// query: it joins as the query is written then. With 4 MB of columns, some thousand tables, it looks.
const AS_WRITTEN: &str = "SELECT pg_catalog.set_config('join_collapse_limit', '1', false) \
     WHERE pg_catalog.pg_relation_size('pg_catalog.pg_attribute') < 4194304";

/// The settings that the options ask for, over those of every dump.
fn asked_for(options: &DumpOptions) -> Vec<&'static str> {
    let mut statements = Vec::new();
    if options.enable_row_security {
        statements.push("SET row_security = on");
    }
    if options.quoting == Quoting::Always {
        statements.push("SET quote_all_identifiers = on");
    }
    statements
}

/// Prepares the leader's session and opens its transaction. Returns the exported snapshot's id.
pub(super) async fn begin_leader(
    session: &Session,
    options: &DumpOptions,
    observer: &dyn Observer,
) -> Result<String> {
    let client = session.client();
    let version = session.server_version();
    if version.major() > ServerVersion::NEWEST_MAJOR {
        observer.warning(format!(
            "server version {version} is newer than the newest known major {}: \
             objects of kinds that it introduced are not seen",
            ServerVersion::NEWEST_MAJOR
        ));
    }
    if version.major() < ServerVersion::OLDEST_MAJOR {
        return Err(Error::new(
            Kind::Refused,
            format!(
                "server version {version} is older than the oldest supported major {}",
                ServerVersion::OLDEST_MAJOR
            ),
        ));
    }
    let mut statements = settings(version);
    statements.extend(asked_for(options).into_iter().map(str::to_owned));
    statements.push(AS_WRITTEN.to_owned());
    client
        .batch_execute(&statements.join("; "))
        .await
        .context_with(|| "set up session")?;
    if let Some(role) = &options.role {
        client
            .batch_execute(&format!("SET ROLE {}", ident(role)))
            .await
            .context_with(|| format!("set role {role}"))?;
    }
    let begin = match &options.snapshot {
        SnapshotMode::SerializableDeferrable => {
            "BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE"
        }
        SnapshotMode::RepeatableRead | SnapshotMode::Exported(_) => {
            "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
        }
    };
    client
        .batch_execute(begin)
        .await
        .context_with(|| "begin the dump's transaction")?;
    if let SnapshotMode::Exported(id) = &options.snapshot {
        client
            .batch_execute(&format!("SET TRANSACTION SNAPSHOT {}", literal(id)))
            .await
            .context_with(|| format!("use snapshot {id}"))?;
    }
    let row = client
        .query_typed_one("SELECT pg_catalog.pg_export_snapshot()", &[])
        .await
        .context_with(|| "export the snapshot")?;
    Ok(row.try_get(0)?)
}

/// Opens a worker's transaction on the leader's snapshot.
pub(super) async fn begin_worker(
    wire: &mut Wire,
    snapshot: &str,
    options: &DumpOptions,
) -> Result<()> {
    let mut statements = set_up(wire.server_version(), options);
    statements.push(format!("SET lock_timeout = {WORKER_LOCK_TIMEOUT_MS}"));
    run(wire, &statements).await?;
    run(wire, &join(snapshot, options))
        .await
        .map_err(|error| error.with_hint(NO_POOLER))
}

/// Ends a worker's transaction and opens another one on the leader's snapshot.
pub(super) async fn begin_again(
    wire: &mut Wire,
    snapshot: &str,
    options: &DumpOptions,
) -> Result<()> {
    let mut statements = vec!["COMMIT".to_owned()];
    statements.extend(join(snapshot, options));
    run(wire, &statements).await
}

/// The leader holds a lock on every table, and a worker that has none may still wait: behind somebody
/// who waits for the leader, which nobody would see. So it does not wait for long; the leader can
/// read what the worker cannot. This is long enough for locks on the catalogs.
const WORKER_LOCK_TIMEOUT_MS: u32 = 1000;

/// Opens the transaction of a session that reads catalogs beside the leader.
pub(super) async fn begin_beside(
    session: &Session,
    snapshot: &str,
    options: &DumpOptions,
) -> Result<()> {
    let client = session.client();
    let mut statements = set_up(session.server_version(), options);
    statements.push(AS_WRITTEN.to_owned());
    client
        .batch_execute(&statements.join("; "))
        .await
        .context_with(|| "set up session")?;
    // The leader has the locks that deparsing takes again, and this session does not: it would wait
    // behind somebody who waits for the leader, and nobody would see that.
    let mut begin = join(snapshot, options);
    begin.push("SET LOCAL lock_timeout = '1s'".to_owned());
    client
        .batch_execute(&begin.join("; "))
        .await
        .context_with(|| "use the leader's snapshot")
        .map_err(|error| error.with_hint(NO_POOLER))
}

const NO_POOLER: &str = "workers share the leader's snapshot: connect straight to the server, \
     not through a pooler that hands out transactions";

/// What a session beside the leader is set to.
fn set_up(version: ServerVersion, options: &DumpOptions) -> Vec<String> {
    let mut statements = settings(version);
    statements.extend(asked_for(options).into_iter().map(str::to_owned));
    if let Some(role) = &options.role {
        statements.push(format!("SET ROLE {}", ident(role)));
    }
    statements
}

/// The snapshot must be the first thing of its transaction, and the isolation level must match.
fn join(snapshot: &str, options: &DumpOptions) -> Vec<String> {
    let level = match &options.snapshot {
        SnapshotMode::SerializableDeferrable => "SERIALIZABLE",
        SnapshotMode::RepeatableRead | SnapshotMode::Exported(_) => "REPEATABLE READ",
    };
    vec![
        format!("BEGIN TRANSACTION ISOLATION LEVEL {level}, READ ONLY"),
        format!("SET TRANSACTION SNAPSHOT {}", literal(snapshot)),
    ]
}

async fn run(wire: &mut Wire, statements: &[String]) -> Result<()> {
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    wire.execute_all(&statements).await.map_err(|failed| {
        let statement = statements.get(failed.index).copied().unwrap_or_default();
        failed
            .error
            .with_statement(statement)
            .context("set up worker session")
    })
}
