//! What the table was, version by version. A migration that was released is never changed.

use crate::sql::qualified;

/// The table of the records.
pub(super) const TABLE: &str = "database_backups";

/// The table of the migrations that were applied.
pub(super) const MIGRATIONS: &str = "database_backups_migrations";

/// The newest version.
pub(super) const NEWEST: i32 = 1;

/// The statements that lead to this version from the one before it.
pub(super) fn statements(version: i32, schema: &str) -> Vec<String> {
    let table = qualified(schema, TABLE);
    match version {
        1 => vec![
            format!(
                "CREATE TABLE {table} (\n\
                 \x20   id text PRIMARY KEY,\n\
                 \x20   database text NOT NULL,\n\
                 \x20   type text NOT NULL,\n\
                 \x20   status text NOT NULL\n\
                 \x20       CHECK (status IN ('running', 'completed', 'failed', 'expired', 'deleted')),\n\
                 \x20   started_at timestamptz NOT NULL,\n\
                 \x20   ended_at timestamptz,\n\
                 \x20   duration_seconds bigint,\n\
                 \x20   stored_bytes bigint,\n\
                 \x20   raw_bytes bigint,\n\
                 \x20   table_count bigint,\n\
                 \x20   row_count bigint,\n\
                 \x20   sha256 text,\n\
                 \x20   encrypted boolean,\n\
                 \x20   repository text NOT NULL,\n\
                 \x20   location text,\n\
                 \x20   server_version text,\n\
                 \x20   tool text NOT NULL,\n\
                 \x20   host text NOT NULL,\n\
                 \x20   error text,\n\
                 \x20   damage text,\n\
                 \x20   expires_at timestamptz,\n\
                 \x20   verified_at timestamptz,\n\
                 \x20   pinned boolean NOT NULL,\n\
                 \x20   deleted_at timestamptz,\n\
                 \x20   recorded_at timestamptz NOT NULL\n\
                 )"
            ),
            format!("CREATE INDEX ON {table} (database, started_at)"),
            format!(
                "COMMENT ON TABLE {table} IS 'backups made by pgstow: a copy of what their repository says'"
            ),
        ],
        // There is no other.
        _ => Vec::new(),
    }
}

/// Makes the table of migrations, unless it is there.
pub(super) fn bookkeeping(schema: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (version integer PRIMARY KEY, applied_at timestamptz NOT NULL)",
        qualified(schema, MIGRATIONS)
    )
}
