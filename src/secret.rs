//! Texts that nobody may see, and where they come from.
//!
//! Why it exists: passwords and keys get into a configuration from many sides (a file beside it, a
//! variable, a password manager), and must come out of it nowhere but where they are used. A
//! [`Secret`] is shown by nothing; a [`SecretFrom`] says where one is, and reads it when it is wanted,
//! not before.

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use crate::error::{Error, Kind, Result, system_reason};

/// A text that is shown by nothing: `Debug` hides it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one who is told it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Where a secret comes from. In a file of settings either the text itself, or a table with one key:
/// `{ file = "…" }`, `{ env = "…" }` or `{ command = "…" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretFrom {
    /// It is given.
    Text(Secret),
    /// This file.
    File(PathBuf),
    /// This variable of the environment.
    Env(String),
    /// What this command writes; it is run by `sh`.
    Command(String),
}

impl From<&str> for SecretFrom {
    fn from(text: &str) -> Self {
        Self::Text(Secret::new(text))
    }
}

impl SecretFrom {
    /// All of the text, read now; `what` names it in messages. A command is run and waited for.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a file that cannot be read or a variable that is not set, [`Kind::Failed`]
    /// for a command that fails. Nothing of what was read is in the message.
    pub fn text(&self, what: &str) -> Result<Secret> {
        match self {
            Self::Text(secret) => Ok(secret.clone()),
            Self::File(path) => std::fs::read_to_string(path)
                .map(Secret::new)
                .map_err(|error| {
                    let why = format!("{what}: {}: {}", path.display(), system_reason(&error));
                    Error::new(Kind::Usage, why).with_source(error)
                }),
            Self::Env(name) => std::env::var(name).map(Secret::new).map_err(|_| {
                Error::new(
                    Kind::Usage,
                    format!("{what}: environment variable {name} is not set, or not UTF-8"),
                )
            }),
            Self::Command(command) => output_of(command, what),
        }
    }

    /// The first line of the text; a password has no more.
    ///
    /// # Errors
    /// As [`SecretFrom::text`], and [`Kind::Usage`] when there is nothing in it.
    pub fn line(&self, what: &str) -> Result<Secret> {
        let text = self.text(what)?;
        match text.reveal().lines().next() {
            Some(line) if !line.is_empty() => Ok(Secret::new(line)),
            _ => Err(Error::new(Kind::Usage, format!("{what}: it is empty"))),
        }
    }
}

impl<'de> Deserialize<'de> for SecretFrom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Given)
    }
}

struct Given;

/// The keys of the table.
const WAYS: &[&str] = &["file", "env", "command"];

impl<'de> Visitor<'de> for Given {
    type Value = SecretFrom;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or a table with one of the keys file, env, command")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretFrom, E> {
        Ok(SecretFrom::from(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretFrom, A::Error> {
        let one = || de::Error::custom("a secret comes from one of file, env, command");
        let key: String = map.next_key()?.ok_or_else(one)?;
        let from = match key.as_str() {
            "file" => SecretFrom::File(map.next_value()?),
            "env" => SecretFrom::Env(map.next_value()?),
            "command" => SecretFrom::Command(map.next_value()?),
            other => return Err(de::Error::unknown_field(other, WAYS)),
        };
        match map.next_key::<String>()? {
            None => Ok(from),
            Some(_) => Err(one()),
        }
    }

    // Whatever else stands there may be a secret that was written wrongly: it is not repeated.
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretFrom, E> {
        Err(de::Error::custom("a secret is a text: put it in quotes"))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<SecretFrom, E> {
        self.visit_i64(0)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretFrom, E> {
        self.visit_i64(0)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<SecretFrom, E> {
        self.visit_i64(0)
    }
}

/// What a command writes; its messages go where ours go.
fn output_of(command: &str, what: &str) -> Result<Secret> {
    let failed = |why: String| Error::new(Kind::Failed, format!("{what}: {why}"));
    let output = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(format!("the command ended with {}", output.status)));
    }
    String::from_utf8(output.stdout)
        .map(Secret::new)
        .map_err(|_| failed("its output is not UTF-8".to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_a_secret() {
        let from = SecretFrom::from("geheim");
        assert!(!format!("{from:?} {:?}", from.text("x").unwrap()).contains("geheim"));
    }

    #[test]
    fn it_is_read_from_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, "one\ntwo\n").unwrap();
        let file = SecretFrom::File(path.clone());
        assert_eq!(file.text("x").unwrap().reveal(), "one\ntwo\n");
        assert_eq!(file.line("x").unwrap().reveal(), "one");
        let command = SecretFrom::Command(format!("cat '{}'", path.display()));
        assert_eq!(command.line("x").unwrap(), Secret::new("one"));
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(file.line("x").unwrap_err().message(), "x: it is empty");
    }

    #[test]
    fn what_cannot_be_read_is_told_without_it() {
        for (from, kind) in [
            (SecretFrom::File("/no/such/file".into()), Kind::Usage),
            (
                SecretFrom::Env("PGSTOW_NO_SUCH_VARIABLE".into()),
                Kind::Usage,
            ),
            (
                SecretFrom::Command("echo geheim; exit 3".into()),
                Kind::Failed,
            ),
        ] {
            let error = from.text("database.password").unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(
                error.message().starts_with("database.password: "),
                "{error}"
            );
            assert!(!error.message().contains("geheim"), "{error}");
        }
    }

    fn parse(json: &str) -> Result<SecretFrom, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_comes_from_one_place() {
        assert_eq!(parse(r#""geheim""#).unwrap(), SecretFrom::from("geheim"));
        assert_eq!(
            parse(r#"{"file":"/run/x"}"#).unwrap(),
            SecretFrom::File("/run/x".into())
        );
        assert_eq!(
            parse(r#"{"env":"X"}"#).unwrap(),
            SecretFrom::Env("X".to_owned())
        );
        assert_eq!(
            parse(r#"{"command":"pass show x"}"#).unwrap(),
            SecretFrom::Command("pass show x".to_owned())
        );
        for wrong in ["{}", r#"{"file":"a","env":"b"}"#, r#"{"fil":"a"}"#, "12"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(!parse("4711").unwrap_err().contains("4711"));
        assert!(!parse("47.11").unwrap_err().contains("47.11"));
    }
}
