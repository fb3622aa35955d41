//! The public face, to be filled.
#![allow(missing_docs)]
use crate::error::{Error, Result};
use crate::sql::ServerVersion;
use bytes::Bytes;
use std::ops::ControlFlow;

pub trait Environment {
    /// The value of an environment variable; `None` when unset.
    fn get(&self, name: &str) -> Option<String>;
}
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnv;
impl Environment for ProcessEnv {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PasswordPrompt {
    #[default]
    Auto,
    Never,
    Force,
}
#[derive(Clone, Debug, Default)]
pub struct ConfigSource {
    pub conninfo: Option<String>,
    pub host: Option<String>,
    pub port: Option<String>,
    pub user: Option<String>,
    pub dbname: Option<String>,
    pub password: PasswordPrompt,
}
#[derive(Clone, Debug)]
pub struct Config {}
impl Config {
    pub fn resolve(_source: &ConfigSource, _env: &dyn Environment) -> Result<Config> {
        todo!()
    }
    pub fn with_database(&self, _name: &str) -> Config {
        todo!()
    }
    pub fn database(&self) -> &str {
        todo!()
    }
    pub fn user(&self) -> &str {
        todo!()
    }
    /// "postgres@localhost:5432/db", never a secret.
    pub fn describe(&self) -> String {
        todo!()
    }
    pub fn with_password(&self, _password: String) -> Config {
        todo!()
    }
    pub fn with_application_name_suffix(&self, _suffix: &str) -> Config {
        todo!()
    }
    /// What the user should be told before connecting (an ignored password file, say).
    pub fn warnings(&self) -> &[String] {
        todo!()
    }
    pub async fn connect(&self) -> Result<Session> {
        todo!()
    }
    pub async fn connect_wire(&self) -> Result<Wire> {
        todo!()
    }
}
/// Whether the login failed only because the server asked for a password and none was at hand.
pub fn needs_password(_error: &Error) -> bool {
    todo!()
}
pub struct Session {}
impl Session {
    pub fn client(&self) -> &tokio_postgres::Client {
        todo!()
    }
    pub fn server_version(&self) -> ServerVersion {
        todo!()
    }
    pub fn parameter(&self, _name: &str) -> Option<String> {
        todo!()
    }
    pub fn canceller(&self) -> Canceller {
        todo!()
    }
    pub async fn close(self) {
        todo!()
    }
}
#[derive(Clone)]
pub struct Canceller {}
impl Canceller {
    pub async fn cancel(&self) -> Result<()> {
        todo!()
    }
}
pub struct BatchError {
    /// Index of the failed statement in the batch.
    pub index: usize,
    pub error: Error,
}
/// One parameter in binary format; `None` is NULL.
pub type Param = Option<Bytes>;
pub struct Wire {}
impl Wire {
    pub fn server_version(&self) -> ServerVersion {
        todo!()
    }
    pub fn parameter(&self, _name: &str) -> Option<&str> {
        todo!()
    }
    pub fn canceller(&self) -> Canceller {
        todo!()
    }
    pub async fn execute(&mut self, _sql: &str) -> Result<u64> {
        todo!()
    }
    pub async fn execute_all(&mut self, _statements: &[&str]) -> Result<(), BatchError> {
        todo!()
    }
    pub async fn query(&mut self, _sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        todo!()
    }
    /// One Parse, then one Bind and Execute per item of `rows`, pipelined with bounded memory.
    pub async fn execute_params(
        &mut self,
        _sql: &str,
        _rows: impl Iterator<Item = Vec<Param>> + Send,
    ) -> Result<u64> {
        todo!()
    }
    pub async fn copy_out<'a>(&'a mut self, _sql: &str) -> Result<CopyOut<'a>> {
        todo!()
    }
    pub async fn copy_in<'a>(&'a mut self, _sql: &str) -> Result<CopyIn<'a>> {
        todo!()
    }
    pub fn take_notices(&mut self) -> Vec<String> {
        todo!()
    }
    pub fn is_broken(&self) -> bool {
        todo!()
    }
    pub async fn close(self) {
        todo!()
    }
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// The callback asked to stop; call again to go on.
    Paused,
    /// The stream ended; the server counted this many rows.
    Done { rows: u64 },
}
pub struct CopyOut<'a> {
    _wire: &'a mut Wire,
}
impl CopyOut<'_> {
    pub async fn rows<F: FnMut(&[u8]) -> ControlFlow<()> + Send>(
        &mut self,
        _row: F,
    ) -> Result<Walk> {
        todo!()
    }
}
pub struct CopyIn<'a> {
    _wire: &'a mut Wire,
}
impl CopyIn<'_> {
    pub async fn send(&mut self, _data: &[u8]) -> Result<()> {
        todo!()
    }
    pub async fn finish(self) -> Result<u64> {
        todo!()
    }
    pub async fn abort(self, _reason: &str) -> Result<()> {
        todo!()
    }
}
