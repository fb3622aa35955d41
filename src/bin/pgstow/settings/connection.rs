//! What the command line says of a connection.

use pgstow::connect::{Config, ConfigSource, Environment as _, PasswordPrompt, ProcessEnv};
use pgstow::error::Result;

use super::together;
use crate::args;

/// A database, and whether its password is asked for.
#[derive(Debug)]
pub struct Connection {
    pub config: Config,
    pub password: PasswordPrompt,
}

/// The database that is said as an argument or an option.
pub fn conn(source: args::Source) -> Result<Option<String>> {
    match (source.conn, source.database.dbname) {
        (Some(_), Some(_)) => Err(together("CONN", "-d/--dbname")),
        (conn, dbname) => Ok(conn.or(dbname)),
    }
}

/// What the command line says of a connection.
pub fn source(conn: Option<String>, server: args::Server) -> Result<ConfigSource> {
    Ok(ConfigSource {
        conninfo: None,
        host: server.host,
        port: server.port,
        user: server.username,
        dbname: conn,
        password: asking(&server.ask)?,
    })
}

pub(super) fn connection(source: &ConfigSource) -> Result<Connection> {
    Ok(Connection {
        config: Config::resolve(source, &ProcessEnv)?,
        password: source.password,
    })
}

pub(super) fn asking(ask: &args::Ask) -> Result<PasswordPrompt> {
    match (ask.no_password, ask.password) {
        (true, true) => Err(together("-w/--no-password", "-W/--password")),
        (true, false) => Ok(PasswordPrompt::Never),
        (false, true) => Ok(PasswordPrompt::Force),
        (false, false) => Ok(PasswordPrompt::Auto),
    }
}

/// Whether the environment says which database is meant.
pub(super) fn names_database() -> bool {
    let named = |name| ProcessEnv.get(name).is_some_and(|value| !value.is_empty());
    named("PGDATABASE") || named("PGSERVICE")
}
