//! The session from which databases are made and renamed: it must be in none of them.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::connect::{Config, Wire};
use crate::error::{Context, Error, Kind, Result, SqlState};
use crate::sql::{ident, literal};

/// Where such sessions are opened unless something else is said.
const USUAL: [&str; 2] = ["postgres", "template1"];

/// How often the lock is tried, and the pause between: a session that has just ended may still hold it.
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(250);

/// A session in another database; with the lock of the one that is to be replaced, once it is taken.
pub(super) struct Admin {
    wire: Wire,
    config: Config,
    role: Option<String>,
    lock: i64,
    database: String,
}

impl Admin {
    /// Opens it. `config` names the database that is to be replaced.
    ///
    /// # Errors
    /// [`Kind::Connect`] when none of the databases lets the role in.
    pub(super) async fn open(
        config: &Config,
        maintenance: Option<&str>,
        role: Option<&str>,
    ) -> Result<Self> {
        let database = config.database();
        if maintenance == Some(database) {
            return Err(Error::new(
                Kind::Usage,
                "--maintenance-db must be another database than the one that is replaced",
            ));
        }
        let config = config.with_application_name_suffix("restore --swap");
        let candidates = match &maintenance {
            Some(name) => std::slice::from_ref(name),
            None => &USUAL[..],
        };
        let mut failed = None;
        for name in candidates.iter().filter(|name| **name != database) {
            let config = config.with_database(name);
            match config.connect_wire().await {
                Ok(wire) => {
                    let mut admin = Self {
                        wire,
                        config,
                        role: role.map(str::to_owned),
                        lock: lock_of(database),
                        database: database.to_owned(),
                    };
                    prepare(&mut admin.wire, role).await?;
                    return Ok(admin);
                }
                Err(error) if is_of_the_database(&error) => {
                    failed.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        let error = failed.unwrap_or_else(|| {
            Error::new(Kind::Connect, "there is no other database to connect to")
        });
        Err(error.with_hint(
            "databases are made and renamed from another one: name one with --maintenance-db",
        ))
    }

    /// Takes the lock, which the session holds to its end.
    ///
    /// An advisory lock is of the database of its session, and two runs may have been told different ones. So
    /// whoever has it looks whether somebody has the same one elsewhere, which all of the server's sessions may see,
    /// and then gives it back: of two that come at once at most one goes on.
    ///
    /// # Errors
    /// [`Kind::Refused`] when another run is at work.
    pub(super) async fn lock(&mut self) -> Result<()> {
        let key = self.lock.cast_unsigned();
        let take = format!("SELECT pg_catalog.pg_try_advisory_lock({})", self.lock);
        let alone = format!(
            "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted \
             AND classid = {} AND objid = {} AND objsubid = 1 AND pid <> pg_catalog.pg_backend_pid())",
            key >> 32,
            key & u64::from(u32::MAX)
        );
        let give = format!("SELECT pg_catalog.pg_advisory_unlock({})", self.lock);
        for _ in 0..TRIES {
            if self.is_true(&take).await? {
                if self.is_true(&alone).await? {
                    return Ok(());
                }
                self.wire.execute(&give).await?;
            }
            // Not the same for two that wait for each other.
            let mut random = [0];
            getrandom::fill(&mut random)
                .map_err(|error| Error::new(Kind::Failed, "no randomness").with_source(error))?;
            tokio::time::sleep(PAUSE + Duration::from_millis(random[0].into())).await;
        }
        Err(Error::new(
            Kind::Refused,
            format!(
                "another run is at work to replace the database {}",
                ident(&self.database)
            ),
        )
        .with_hint(
            "wait for its end; if it is lost, end its session \"pgstow restore --swap\" with \
             pg_terminate_backend",
        ))
    }

    async fn is_true(&mut self, query: &str) -> Result<bool> {
        let rows = self.wire.query(query).await?;
        Ok(rows.into_iter().flatten().next().flatten().as_deref() == Some("t"))
    }

    /// The session.
    pub(super) fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Where it is.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// A second one.
    pub(super) async fn another(&self) -> Result<Wire> {
        let mut wire = self.config.connect_wire().await?;
        prepare(&mut wire, self.role.as_deref()).await?;
        Ok(wire)
    }

    /// Opens the session again.
    pub(super) async fn reopen(&mut self) -> Result<()> {
        self.wire = self.config.connect_wire().await?;
        prepare(&mut self.wire, self.role.as_deref()).await?;
        self.lock().await
    }

    /// After a long time: whether the session still lives and holds the lock; else it is opened again.
    pub(super) async fn renew(&mut self) -> Result<()> {
        match self.wire.execute("SELECT 1").await {
            Ok(_) => Ok(()),
            Err(_) => self.reopen().await,
        }
    }

    /// Ends it.
    pub(super) async fn close(self) {
        self.wire.close().await;
    }
}

/// The settings on which the statements rely.
async fn prepare(wire: &mut Wire, role: Option<&str>) -> Result<()> {
    let mut settings = vec![
        ("search_path", ""),
        ("statement_timeout", "0"),
        ("lock_timeout", "0"),
        ("client_min_messages", "warning"),
        ("default_transaction_read_only", "off"),
        // A client that is gone without a word must not keep the database locked.
        ("idle_in_transaction_session_timeout", "60s"),
        ("client_encoding", wire.encoding_for("UTF8")),
    ];
    if wire.server_version().at_least(14) {
        settings.push(("idle_session_timeout", "0"));
    }
    let mut statements: Vec<String> = settings
        .into_iter()
        .map(|(name, value)| {
            let (name, value) = (literal(name), literal(value));
            format!("SELECT pg_catalog.set_config({name}, {value}, false)")
        })
        .collect();
    statements.extend(role.map(|role| format!("SET ROLE {}", ident(role))));
    let texts: Vec<&str> = statements.iter().map(String::as_str).collect();
    let done = wire.execute_all(&texts).await.map_err(|batch| batch.error);
    done.context_with(|| "set up session")
}

/// Whether another database may let the role in where this one does not.
fn is_of_the_database(error: &Error) -> bool {
    matches!(
        error.sqlstate(),
        Some(
            &SqlState::INVALID_CATALOG_NAME
                | &SqlState::INSUFFICIENT_PRIVILEGE
                | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION
                | &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE
        )
    )
}

/// The number of the advisory lock that stands for a database.
fn lock_of(database: &str) -> i64 {
    let digest = Sha256::digest(format!("pgstow restore --swap {database}"));
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}
