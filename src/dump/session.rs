//! Session set-up of a dump: the snapshot, then every setting that could change what the server answers is
//! pinned, whatever the role's or the database's own settings say.
//!
//! All of it is said within the transaction, and for it alone: a pooler may hand each transaction to
//! another session of the server, and that to another client.

use crate::connect::{ANY_BYTES, Session, Wire};
use crate::error::{Context, Error, Kind, Result};
use crate::report::Observer;
use crate::sql::{Quoting, ServerVersion, ident, literal};

use super::{DumpOptions, SnapshotMode};

/// What every transaction is set to, as one statement (they are twenty, and a statement costs the server more than
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
     pg_catalog.set_config('restrict_nonsystem_relation_kind', 'view, foreign-table', true) END";

/// What a transaction's settings depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pinning {
    pub version: ServerVersion,
    /// The database takes any bytes for text.
    pub any_bytes: bool,
}

impl From<&Session> for Pinning {
    fn from(session: &Session) -> Self {
        Self {
            version: session.server_version(),
            any_bytes: session.has_any_bytes(),
        }
    }
}

impl From<&Wire> for Pinning {
    fn from(wire: &Wire) -> Self {
        Self {
            version: wire.server_version(),
            any_bytes: wire.has_any_bytes(),
        }
    }
}

/// The statements that pin what a transaction's answers depend on. They take its snapshot.
pub(crate) fn settings(Pinning { version, any_bytes }: Pinning) -> Vec<String> {
    let mut pinned = PINNED.to_vec();
    if any_bytes {
        pinned.push(("client_encoding", ANY_BYTES));
    }
    if version.at_least(17) {
        pinned.push(("transaction_timeout", "0"));
    }
    let mut calls: Vec<String> = pinned
        .into_iter()
        .map(|(name, value)| format!("pg_catalog.set_config('{name}', '{value}', true)"))
        .collect();
    calls.push(RESTRICTED_KINDS.to_owned());
    vec![format!("SELECT {}", calls.join(", "))]
}

/// Where there are few objects, to look for the best order of a catalog query's joins takes the server longer than the
/// query: it joins as the query is written then. With 4 MB of columns, some thousand tables, it looks.
const AS_WRITTEN: &str = "SELECT pg_catalog.set_config('join_collapse_limit', '1', true) \
     WHERE pg_catalog.pg_relation_size('pg_catalog.pg_attribute') < 4194304";

/// The settings that the options ask for, over those of every dump.
fn asked_for(options: &DumpOptions) -> Vec<&'static str> {
    let mut statements = Vec::new();
    if options.enable_row_security {
        statements.push("SET LOCAL row_security = on");
    }
    if options.quoting == Quoting::Always {
        statements.push("SET LOCAL quote_all_identifiers = on");
    }
    statements
}

/// Opens the leader's transaction. Returns the exported snapshot's id.
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
    let begin = match &options.snapshot {
        SnapshotMode::SerializableDeferrable => {
            "BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE"
        }
        SnapshotMode::RepeatableRead | SnapshotMode::Exported(_) => {
            "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
        }
    };
    let mut statements = vec![begin.to_owned()];
    match &options.snapshot {
        SnapshotMode::RepeatableRead => {}
        // The first statement that takes the snapshot waits for it.
        SnapshotMode::SerializableDeferrable => {
            statements.push("SET LOCAL statement_timeout = 0".to_owned());
            if version.at_least(17) {
                statements.push("SET LOCAL transaction_timeout = 0".to_owned());
            }
        }
        SnapshotMode::Exported(id) => {
            client
                .batch_execute(begin)
                .await
                .context_with(|| "begin the dump's transaction")?;
            client
                .batch_execute(&format!("{IMPORT} {}", literal(id)))
                .await
                .context_with(|| format!("use snapshot {id}"))?;
            statements.clear();
        }
    }
    statements.extend(settings(session.into()));
    statements.extend(asked_for(options).into_iter().map(str::to_owned));
    statements.push(AS_WRITTEN.to_owned());
    client
        .batch_execute(&statements.join("; "))
        .await
        .context_with(|| "begin the dump's transaction")?;
    if let Some(role) = &options.role {
        client
            .batch_execute(&set_role(role))
            .await
            .context_with(|| format!("set role {role}"))?;
    }
    let row = client
        .query_typed_one("SELECT pg_catalog.pg_export_snapshot()", &[])
        .await
        .context_with(|| "export the snapshot")?;
    Ok(row.try_get(0)?)
}

fn set_role(role: &str) -> String {
    format!("SET LOCAL ROLE {}", ident(role))
}

/// Opens a worker's transaction on the leader's snapshot.
pub(super) async fn begin_worker(
    wire: &mut Wire,
    snapshot: &str,
    options: &DumpOptions,
) -> Result<()> {
    let statements = worker((&*wire).into(), snapshot, options);
    run(wire, &statements).await
}

/// Ends a worker's transaction and opens another one on the leader's snapshot.
pub(super) async fn begin_again(
    wire: &mut Wire,
    snapshot: &str,
    options: &DumpOptions,
) -> Result<()> {
    let mut statements = vec!["COMMIT".to_owned()];
    statements.extend(worker((&*wire).into(), snapshot, options));
    run(wire, &statements).await
}

fn worker(pinning: Pinning, snapshot: &str, options: &DumpOptions) -> Vec<String> {
    let mut statements = join(snapshot, options);
    statements.extend(set_up(pinning, options));
    statements.push(format!("SET LOCAL lock_timeout = {WORKER_LOCK_TIMEOUT_MS}"));
    statements
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
    client
        .batch_execute(&join(snapshot, options).join("; "))
        .await
        .context_with(|| "use the leader's snapshot")
        .map_err(|error| error.with_hint(SAME_SERVER))?;
    // The leader has the locks that deparsing takes again, and this session does not: it would wait
    // behind somebody who waits for the leader, and nobody would see that.
    let mut statements = set_up(session.into(), options);
    statements.push(AS_WRITTEN.to_owned());
    statements.push("SET LOCAL lock_timeout = '1s'".to_owned());
    client
        .batch_execute(&statements.join("; "))
        .await
        .context_with(|| "set up session")
}

const SAME_SERVER: &str =
    "all sessions share the leader's snapshot: they must reach the same server";

/// What the transaction of a session beside the leader is set to.
fn set_up(pinning: Pinning, options: &DumpOptions) -> Vec<String> {
    let mut statements = settings(pinning);
    statements.extend(asked_for(options).into_iter().map(str::to_owned));
    if let Some(role) = &options.role {
        statements.push(set_role(role));
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
        format!("{IMPORT} {}", literal(snapshot)),
    ]
}

const IMPORT: &str = "SET TRANSACTION SNAPSHOT";

async fn run(wire: &mut Wire, statements: &[String]) -> Result<()> {
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    wire.execute_all(&statements).await.map_err(|failed| {
        let statement = statements.get(failed.index).copied().unwrap_or_default();
        let error = failed
            .error
            .with_statement(statement)
            .context("set up worker session");
        match statement.starts_with(IMPORT) {
            true => error.with_hint(SAME_SERVER),
            false => error,
        }
    })
}
