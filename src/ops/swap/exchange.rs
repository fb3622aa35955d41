//! The short step: the old database gives its name to the new one.
//!
//! Both are renamed in one transaction, together with what else makes the new one the old one's
//! successor. So there is no moment, for anybody who looks or after whatever end, in which the name is
//! nobody's: either all of it was done or nothing. The lock that the first rename takes on the old
//! database keeps new sessions out (they wait, and then find that the name leads elsewhere), which is
//! why connections need not be forbidden beforehand, and so need not be allowed again after a failure.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Sessions;
use super::admin::Admin;
use super::marker::Marker;
use super::shadow::comment;
use crate::connect::Wire;
use crate::error::{Error, Kind, Result, SqlState};
use crate::model::DatabaseProperties;
use crate::report::Observer;
use crate::sql::{ident, literal};

/// How long others may hold up the renames; as long new sessions wait for an answer.
const LOCK_TIMEOUT: &str = "10s";

/// Between two looks for sessions that are to be ended.
const AGAIN: Duration = Duration::from_millis(100);

/// What is exchanged.
pub(super) struct Exchange<'a> {
    /// The name that passes from the old database to the new one.
    pub(super) database: &'a str,
    pub(super) old_oid: u32,
    /// What the new one is called until then.
    pub(super) shadow: &'a str,
    pub(super) shadow_oid: u32,
    /// What the old one is called from then on.
    pub(super) kept: &'a str,
    pub(super) kept_marker: &'a Marker,
    /// What the old one has, for the new one.
    pub(super) properties: &'a DatabaseProperties,
    pub(super) sessions: Sessions,
}

impl Exchange<'_> {
    /// The statements, which are one transaction.
    fn statements(&self) -> Vec<String> {
        let (database, kept) = (ident(self.database), ident(self.kept));
        let of_its_own = self.properties.header.comment.as_deref();
        // A swap that was ended by hand has left it, and it is not so of the new one.
        let of_its_own = of_its_own.filter(|text| Marker::parse(text).is_none());
        let mut statements = vec![
            format!("ALTER DATABASE {database} RENAME TO {kept}"),
            format!("ALTER DATABASE {} RENAME TO {database}", ident(self.shadow)),
            // Locked now, they must be the ones that were looked at; else this divides by zero.
            format!(
                "SELECT 1 / (pg_catalog.count(*) = 2)::pg_catalog.int4 FROM pg_catalog.pg_database \
                 WHERE (datname, oid) IN (({}, {}), ({}, {}))",
                literal(self.kept),
                self.old_oid,
                literal(self.database),
                self.shadow_oid
            ),
            comment(self.kept, Some(&self.kept_marker.comment())),
            comment(self.database, of_its_own),
        ];
        if let Some(limit) = self.properties.connection_limit {
            statements.push(format!(
                "ALTER DATABASE {database} CONNECTION LIMIT = {limit}"
            ));
        }
        if self.properties.is_template {
            statements.push(format!("ALTER DATABASE {database} IS_TEMPLATE = true"));
        }
        statements
    }

    /// Does it; when it fails, the old database stands under its name, but for [`Kind::Connect`]: then
    /// that could not be asked.
    pub(super) async fn run(
        &self,
        admin: &mut Admin,
        observer: &Arc<dyn Observer>,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let statements = self.statements();
        let texts: Vec<&str> = statements.iter().map(String::as_str).collect();
        let mut ender = match self.sessions {
            Sessions::End => Some(admin.another().await?),
            Sessions::Refuse => None,
        };
        let limit = format!("SET lock_timeout = {}", literal(LOCK_TIMEOUT));
        admin.wire().execute(&limit).await?;
        if let Some(ender) = &mut ender {
            self.end_sessions(ender).await?;
        }
        let mut stopped = None;
        let done = {
            let wire = admin.wire();
            let canceller = wire.canceller();
            let renaming = wire.execute_all(&texts);
            tokio::pin!(renaming);
            loop {
                let why = tokio::select! {
                    biased;
                    done = &mut renaming => break done,
                    () = cancel.cancelled(), if stopped.is_none() => {
                        Error::new(Kind::Interrupted, "interrupted before the exchange")
                    }
                    ended = self.end_again(&mut ender), if stopped.is_none() => match ended {
                        Ok(()) => continue,
                        Err(error) => error,
                    },
                };
                // If it comes too late it was done, and that is what will be told.
                stopped = Some(why);
                if let Err(error) = canceller.cancel().await {
                    // The statements are not waited for longer than their locks may take.
                    let text = format!("cancel the exchange: {error}");
                    observer.warning(text);
                }
            }
        };
        if let Some(ender) = ender {
            ender.close().await;
        }
        let Err(failed) = done else {
            return Ok(());
        };
        let error = failed.error;
        if error.kind() == Kind::ConnectionLost {
            return self.look(admin, error).await;
        }
        Err(stopped.unwrap_or_else(|| explain(error)))
    }

    /// After a moment, for those who come again until the old database is locked; for ever when nobody
    /// is to be ended.
    async fn end_again(&self, ender: &mut Option<Wire>) -> Result<()> {
        match ender {
            Some(ender) => {
                tokio::time::sleep(AGAIN).await;
                self.end_sessions(ender).await
            }
            None => std::future::pending().await,
        }
    }

    /// Ends every other session in the old database.
    async fn end_sessions(&self, wire: &mut Wire) -> Result<()> {
        // The server's own workers leave by themselves when a database is renamed.
        let query = format!(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
             WHERE datid = {} AND backend_type IS DISTINCT FROM 'autovacuum worker'",
            self.old_oid
        );
        wire.query(&query).await.map(|_| ()).map_err(|error| {
            let error = error.context(format!("end the sessions in {}", ident(self.database)));
            match error.sqlstate() {
                Some(&SqlState::INSUFFICIENT_PRIVILEGE) => error.with_kind(Kind::Refused).with_hint(
                    "end them yourself and run the same command again: what was restored is taken as it is",
                ),
                _ => error,
            }
        })
    }

    /// The answer to the renames was lost: looks what became of them.
    async fn look(&self, admin: &mut Admin, lost: Error) -> Result<()> {
        let query = format!(
            "SELECT oid FROM pg_catalog.pg_database WHERE datname = {}",
            literal(self.database)
        );
        let asking = async {
            admin.reopen().await?;
            admin.wire().query(&query).await
        };
        let rows = asking.await.map_err(|error| {
            error
                .with_kind(Kind::Connect)
                .context("ask what became of the exchange after the connection was lost")
        })?;
        let oid = rows.into_iter().flatten().next().flatten();
        match oid.is_some_and(|oid| oid == self.shadow_oid.to_string()) {
            true => Ok(()),
            false => Err(lost),
        }
    }
}

fn explain(error: Error) -> Error {
    let again = "run the same command again: what was restored is taken as it is";
    match error.sqlstate() {
        Some(&SqlState::OBJECT_IN_USE) => error.with_kind(Kind::Refused).with_hint(format!(
            "end the sessions in it, or have them ended with --force, and {again}"
        )),
        Some(&SqlState::LOCK_NOT_AVAILABLE) => error.with_kind(Kind::Refused).with_hint(format!(
            "somebody holds a lock on the database, as CREATE DATABASE with it as template does; {again}"
        )),
        Some(&SqlState::DIVISION_BY_ZERO) => Error::new(
            Kind::Refused,
            "the databases are not those that were looked at: somebody renamed or dropped one",
        ),
        _ => error.with_hint(again),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{ArchiveId, Timestamp};
    use crate::model::{Address, Class, Header};
    use crate::ops::swap::marker::State;

    #[test]
    fn names_are_quoted_and_all_of_it_is_one_list() {
        let address = Address::new(Class::Database, 5);
        let mut header = Header::new(address, None, "Shop's".to_owned());
        header.comment = Some("it's ours".to_owned());
        let properties = DatabaseProperties {
            header,
            encoding: "UTF8".to_owned(),
            locale_provider: "libc".to_owned(),
            collate: "C".to_owned(),
            ctype: "C".to_owned(),
            locale: None,
            icu_rules: None,
            tablespace: None,
            connection_limit: Some(7),
            is_template: true,
            settings: Vec::new(),
        };
        let marker = Marker {
            of: "Shop's".to_owned(),
            state: State::Kept,
            archive: ArchiveId([0; 16]),
            options: String::new(),
            at: Timestamp(0),
        };
        let exchange = Exchange {
            database: "Shop's",
            old_oid: 5,
            shadow: "Shop's_shadow",
            shadow_oid: 6,
            kept: "Shop's_before",
            kept_marker: &marker,
            properties: &properties,
            sessions: Sessions::Refuse,
        };
        let statements = exchange.statements();
        assert_eq!(
            statements[0],
            "ALTER DATABASE \"Shop's\" RENAME TO \"Shop's_before\""
        );
        assert_eq!(
            statements[1],
            "ALTER DATABASE \"Shop's_shadow\" RENAME TO \"Shop's\""
        );
        assert!(statements[2].contains("(('Shop''s_before', 5), ('Shop''s', 6))"));
        assert_eq!(
            statements[4..],
            [
                "COMMENT ON DATABASE \"Shop's\" IS 'it''s ours'",
                "ALTER DATABASE \"Shop's\" CONNECTION LIMIT = 7",
                "ALTER DATABASE \"Shop's\" IS_TEMPLATE = true",
            ]
        );
    }
}
