//! The journal's own schema: made, and dropped.

use super::found::{IN_PIECES, role};
use super::keep::Run;
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result};
use crate::select::JOURNAL_SCHEMA;
use crate::sql::{ident, literal, qualified};

/// A relation of the journal.
pub(super) fn relation(name: &str) -> String {
    qualified(JOURNAL_SCHEMA, name)
}

pub(super) async fn create(wire: &mut Wire, token: &str, run: &Run<'_>) -> Result<()> {
    let schema = ident(JOURNAL_SCHEMA);
    let mut options = run.options.fingerprints()?;
    let in_pieces = run.options.choices().in_pieces.name();
    options.insert(IN_PIECES.to_owned(), in_pieces.to_owned());
    let options = serde_json::to_string(&options)
        .map_err(|error| Error::new(Kind::Failed, format!("options: {error}")))?;
    let present: Vec<String> = run.present.iter().map(ToString::to_string).collect();
    let role = role(wire).await?;
    let statements = [
        format!("CREATE SCHEMA {schema}"),
        format!(
            "COMMENT ON SCHEMA {schema} IS \
             'An unfinished restore: pgstow restore --resume goes on with it'"
        ),
        format!(
            "CREATE TABLE {} (archive text, options text, role oid, token text, present text, \
             began timestamptz DEFAULT pg_catalog.now()) USING heap",
            relation("run")
        ),
        format!(
            "CREATE TABLE {} (entry bigint, part text, chunk bigint, frame bigint, \
             PRIMARY KEY (entry, part, chunk, frame)) USING heap",
            relation("done")
        ),
        format!(
            "CREATE UNLOGGED TABLE {} (alive boolean) USING heap",
            relation("alive")
        ),
        format!(
            "INSERT INTO {} (archive, options, role, token, present) \
             VALUES ({}, {}, {role}, {}, {})",
            relation("run"),
            literal(&run.archive.to_string()),
            literal(&options),
            literal(token),
            literal(&present.join(" "))
        ),
    ];
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    let created = wire.execute_all(&statements).await;
    // What triggers of the target say of it is no matter of the archive's.
    wire.take_notices();
    created.map_err(|batch| {
        let error = Error::from(batch).context("begin a journal in the target");
        match error.kind() {
            Kind::Server => {
                error.with_hint("with --no-journal none is kept; such a restore cannot be resumed")
            }
            _ => error,
        }
    })
}

/// Drops a journal. Event triggers of the database say nothing of it, as far as the role may
/// silence them.
pub(in crate::restore) async fn drop_it(wire: &mut Wire) -> Result<()> {
    let triggers = wire
        .query(
            "SELECT evtname::text, evtenabled::text FROM pg_catalog.pg_event_trigger \
             WHERE evtenabled <> 'D' AND (SELECT rolsuper FROM pg_catalog.pg_roles \
             WHERE rolname = current_user) ORDER BY evtname",
        )
        .await
        .context_with(|| "drop the journal")?;
    let mut silence = Vec::new();
    let mut restore = Vec::new();
    for row in triggers {
        if let [Some(name), Some(enabled)] = row.as_slice() {
            let how = match enabled.as_str() {
                "R" => "ENABLE REPLICA",
                "A" => "ENABLE ALWAYS",
                _ => "ENABLE",
            };
            let name = ident(name);
            silence.push(format!("ALTER EVENT TRIGGER {name} DISABLE"));
            restore.push(format!("ALTER EVENT TRIGGER {name} {how}"));
        }
    }
    let tables = ["run", "done", "alive"].map(relation).join(", ");
    let mut statements = silence;
    statements.push(format!("DROP TABLE IF EXISTS {tables}"));
    statements.push(format!("DROP SCHEMA IF EXISTS {}", ident(JOURNAL_SCHEMA)));
    statements.extend(restore);
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    let dropped = wire.execute_all(&statements).await;
    wire.take_notices();
    dropped.map_err(|batch| Error::from(batch).context("drop the journal"))
}
