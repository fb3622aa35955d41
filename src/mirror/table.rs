//! Brings the table up to date.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_postgres::Client;

use super::migrations::{self, MIGRATIONS, NEWEST, TABLE};
use super::row::{COLUMNS, Row};
use crate::connect::Config;
use crate::error::{Context as _, Error, Kind, Result};
use crate::repository::{Listing, Repository};
use crate::sql::{ident, literal, qualified};
use crate::task::Backoff;

/// The advisory lock that one holds while it reads the repository and writes the table: of two who do so at once
/// the later one knows more.
const LOCK: i64 = 0x7067_7374_6f77_0001;

/// Longest time for all of it: a table is not worth holding up a backup.
const LONGEST: Duration = Duration::from_secs(120);

/// Longest wait for a statement, or for a lock of another one.
const STATEMENT: &str = "30s";

/// The table of records in somebody's database.
#[derive(Debug)]
pub struct Mirror {
    config: Config,
    schema: String,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// Rows that are new or were changed.
    pub written: u64,
    /// Rows that were marked as deleted.
    pub gone: u64,
}

impl Mirror {
    /// The table in this database and schema.
    pub fn new(config: Config, schema: impl Into<String>) -> Self {
        Self {
            config: config.with_application_name_suffix("record"),
            schema: schema.into(),
        }
    }

    /// For messages; never a secret.
    pub fn name(&self) -> String {
        let table = qualified(&self.schema, TABLE);
        format!("{table} of {}", self.config.describe())
    }

    /// Makes the table if need be, and has it show what the repository shows now; also answers with that.
    ///
    /// A backup that the repository has no more is marked as deleted, unless something in the repository could
    /// not be read.
    ///
    /// # Errors
    /// [`Kind::Connect`] and [`Kind::Server`] of the table's database; [`Kind::Refused`] for a table that a newer
    /// version has made; what the repository's store says.
    pub async fn sync(&self, repository: &Repository) -> Result<(Synced, Listing)> {
        let mut waits = Backoff::new(Duration::from_secs(1), Duration::from_secs(5), 2);
        let trying = async {
            loop {
                match self.try_sync(repository).await {
                    Err(error) if error.is_transient() => match waits.next() {
                        Some(wait) => tokio::time::sleep(wait).await,
                        None => return Err(error),
                    },
                    other => return other,
                }
            }
        };
        let outcome = match tokio::time::timeout(LONGEST, trying).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::new(
                Kind::Failed,
                format!("not done within {} s", LONGEST.as_secs()),
            )),
        };
        outcome.context_with(|| format!("record backups in {}", self.name()))
    }

    /// Whether the table could be written: connects, and asks for the privileges. Changes nothing.
    ///
    /// # Errors
    /// As [`Mirror::sync`]; [`Kind::Refused`] without the privileges.
    pub async fn check(&self) -> Result<()> {
        let check = async {
            let session = self.config.connect().await?;
            let schema = literal(&ident(&self.schema));
            let table = literal(&qualified(&self.schema, TABLE));
            let sql = format!(
                "SELECT CASE \
                 WHEN to_regclass({table}) IS NOT NULL THEN \
                 has_table_privilege(to_regclass({table})::oid, 'SELECT') \
                 AND has_table_privilege(to_regclass({table})::oid, 'INSERT') \
                 AND has_table_privilege(to_regclass({table})::oid, 'UPDATE') \
                 WHEN to_regnamespace({schema}) IS NOT NULL THEN \
                 has_schema_privilege(to_regnamespace({schema})::oid, 'CREATE') \
                 ELSE has_database_privilege(current_database(), 'CREATE') END"
            );
            let may: bool = session.client().query_one(&sql, &[]).await?.get(0);
            session.close().await;
            if may {
                return Ok(());
            }
            Err(Error::new(
                Kind::Refused,
                format!("user {} may not write there", self.config.user()),
            )
            .with_hint(
                "have its owner make the table by pgstow backups --record-to, and grant SELECT, INSERT, UPDATE",
            ))
        };
        check.await.context_with(|| self.name())
    }

    async fn try_sync(&self, repository: &Repository) -> Result<(Synced, Listing)> {
        let session = self.config.connect().await?;
        let name = repository.name();
        // The session's client is not to be had for changing; the statements of a transaction are sent as such.
        let client = session.client();
        client
            .batch_execute(&format!(
                "BEGIN; SET LOCAL search_path = pg_catalog; SET LOCAL statement_timeout = '{STATEMENT}'; \
                 SET LOCAL lock_timeout = '{STATEMENT}'; SET LOCAL timezone = 'UTC'; \
                 SELECT pg_advisory_xact_lock({LOCK})"
            ))
            .await
            .context_with(|| "begin")?;
        self.migrate(client)
            .await
            .context_with(|| "make the table")?;
        let listing = repository.list().await?;
        let synced = self.write(client, &name, &listing).await?;
        client
            .batch_execute("COMMIT")
            .await
            .context_with(|| "commit")?;
        session.close().await;
        Ok((synced, listing))
    }

    /// Applies the migrations that the table lacks. Nobody else does so meanwhile: the lock is held.
    async fn migrate(&self, client: &Client) -> Result<()> {
        let bookkeeping = literal(&qualified(&self.schema, MIGRATIONS));
        let schema = literal(&ident(&self.schema));
        let sql = format!(
            "SELECT to_regclass({bookkeeping}) IS NOT NULL, to_regnamespace({schema}) IS NOT NULL"
        );
        let there = client.query_one(&sql, &[]).await?;
        let (has_bookkeeping, has_schema): (bool, bool) = (there.get(0), there.get(1));
        if !has_schema {
            let sql = format!("CREATE SCHEMA {}", ident(&self.schema));
            client.batch_execute(&sql).await?;
        }
        if !has_bookkeeping {
            client
                .batch_execute(&migrations::bookkeeping(&self.schema))
                .await?;
        }
        let bookkeeping = qualified(&self.schema, MIGRATIONS);
        let sql = format!("SELECT coalesce(max(version), 0) FROM {bookkeeping}");
        let version: i32 = client.query_one(&sql, &[]).await?.get(0);
        if version > NEWEST {
            return Err(Error::new(
                Kind::Refused,
                format!("it was made by a newer version: {version} is newer than {NEWEST}"),
            )
            .with_hint("use that version of pgstow, or a newer one"));
        }
        for version in version + 1..=NEWEST {
            for statement in migrations::statements(version, &self.schema) {
                client.batch_execute(&statement).await?;
            }
            let sql = format!("INSERT INTO {bookkeeping} VALUES ({version}, now())");
            client.batch_execute(&sql).await?;
        }
        Ok(())
    }

    async fn write(&self, client: &Client, name: &str, listing: &Listing) -> Result<Synced> {
        let table = qualified(&self.schema, TABLE);
        let rows: Vec<Row> = listing
            .backups
            .iter()
            .map(|backup| Row::new(backup, name))
            .collect();
        let json = serde_json::to_string(&rows)
            .map_err(|error| Error::new(Kind::Failed, format!("write the rows: {error}")))?;
        let written = client
            .execute(&upsert(&table), &[&json])
            .await
            .context_with(|| "write the rows")?;
        // What cannot be read may well be there.
        let gone = if listing.problems.is_empty() {
            let ids: BTreeSet<&str> = listing
                .backups
                .iter()
                .map(|backup| backup.record.id.as_str())
                .collect();
            let ids: Vec<&str> = ids.into_iter().collect();
            let sql = format!(
                "UPDATE {table} SET status = 'deleted', deleted_at = now(), recorded_at = now() \
                 WHERE repository = $1 AND status <> 'deleted' AND id <> ALL ($2)"
            );
            client
                .execute(&sql, &[&name, &ids])
                .await
                .context_with(|| "mark what is gone")?
        } else {
            0
        };
        Ok(Synced { written, gone })
    }
}

/// Writes the rows of a JSON text, as far as they are not there as they are.
fn upsert(table: &str) -> String {
    let list = |each: &dyn Fn(&str, &str) -> String| {
        let parts: Vec<String> = COLUMNS
            .iter()
            .map(|(name, kind)| each(&ident(name), kind))
            .collect();
        parts.join(", ")
    };
    let names = list(&|name, _| name.to_owned());
    let types = list(&|name, kind| format!("{name} {kind}"));
    let mine = list(&|name, _| format!("mine.{name}"));
    let theirs = list(&|name, _| format!("excluded.{name}"));
    format!(
        "INSERT INTO {table} AS mine ({names}, recorded_at) \
         SELECT {names}, now() FROM json_to_recordset($1::text::json) AS given ({types}) \
         ON CONFLICT (id) DO UPDATE SET ({names}, recorded_at, deleted_at) = \
         ROW({theirs}, excluded.recorded_at, NULL) \
         WHERE ROW({mine}) IS DISTINCT FROM ROW({theirs}) OR mine.deleted_at IS NOT NULL"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_made_filled_and_documented() {
        let made = migrations::statements(1, "public").join("\n");
        let manual = include_str!("../../docs/monitoring.md");
        for (name, kind) in COLUMNS {
            assert!(made.contains(&format!("    {name} {kind}")), "{name}");
            assert!(manual.contains(&format!("| `{name}` |")), "{name}");
        }
        assert!(migrations::statements(NEWEST + 1, "public").is_empty());
    }
}
