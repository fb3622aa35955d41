//! Values: as the file has them, as a variable has them, and as they are shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::keys::Form;
use crate::connect::bears_password;
use crate::error::{Error, Kind, Result};
use crate::secret::{Secret, SecretFrom};

/// A value, checked against its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    List(Vec<String>),
    Flag(bool),
    Number(u64),
    Secret(SecretFrom),
    Headers(BTreeMap<String, SecretFrom>),
}

fn wrong(expected: &str) -> Error {
    Error::new(Kind::Usage, format!("expected {expected}"))
}

impl Value {
    /// The value that the file has; relative paths begin at `base`.
    ///
    /// # Errors
    /// [`Kind::Usage`] without the value where it may be secret.
    pub(super) fn of_file(form: Form, value: &DeValue<'_>, base: &Path) -> Result<Self> {
        let value = match form {
            Form::Text(_) | Form::Place | Form::Path => match value {
                DeValue::String(text) => Self::Text(text.to_string()),
                // A size without a unit, say.
                DeValue::Integer(number) if matches!(form, Form::Text(_)) => {
                    Self::Text(number.as_str().to_owned())
                }
                _ => return Err(wrong("a text in quotes")),
            },
            Form::List(_) | Form::Paths => match value {
                DeValue::String(text) => Self::List(vec![text.to_string()]),
                DeValue::Array(items) => {
                    let texts = items.iter().map(|item| {
                        let text = item.get_ref().as_str().map(str::to_owned);
                        text.ok_or_else(|| wrong("a list of texts in quotes"))
                    });
                    Self::List(texts.collect::<Result<_>>()?)
                }
                _ => return Err(wrong("a list of texts, [\"…\", \"…\"]")),
            },
            Form::Flag => match value {
                DeValue::Boolean(flag) => Self::Flag(*flag),
                _ => return Err(wrong("true or false")),
            },
            Form::Number(least, most) => {
                let number = value
                    .as_integer()
                    .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
                Self::Number(
                    number
                        .ok_or_else(|| wrong(&format!("a whole number from {least} to {most}")))?,
                )
            }
            Form::Secret | Form::Connection => Self::Secret(secret(value, base)?),
            Form::Headers => match value {
                DeValue::Table(table) => {
                    let each = table.iter().map(|(name, value)| {
                        let from = secret(value.get_ref(), base)
                            .map_err(|error| error.context(name.get_ref()))?;
                        Ok((name.get_ref().to_string(), from))
                    });
                    Self::Headers(each.collect::<Result<_>>()?)
                }
                _ => return Err(wrong("a table of texts, { Name = \"…\" }")),
            },
        };
        value.below(form, base).checked(form)
    }

    /// The value that a variable or an option has.
    ///
    /// # Errors
    /// As [`Value::of_file`].
    pub(super) fn of_text(form: Form, text: &str) -> Result<Self> {
        let base = Path::new("");
        let value = match form {
            Form::Text(_) | Form::Place | Form::Path => Self::Text(text.to_owned()),
            Form::List(_) | Form::Paths if text.trim_start().starts_with('[') => {
                let list = DeValue::parse(text)
                    .map_err(|_| wrong("texts with commas between them, or [\"…\", \"…\"]"))?;
                return Self::of_file(form, list.get_ref(), base);
            }
            Form::List(_) | Form::Paths => {
                let items = text.split(',').map(str::trim);
                Self::List(
                    items
                        .filter(|it| !it.is_empty())
                        .map(str::to_owned)
                        .collect(),
                )
            }
            Form::Flag => Self::Flag(match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => true,
                "false" | "no" | "off" | "0" => false,
                _ => return Err(wrong("true or false")),
            }),
            Form::Number(least, most) => Self::Number(
                text.trim()
                    .parse()
                    .map_err(|_| wrong(&format!("a whole number from {least} to {most}")))?,
            ),
            Form::Secret | Form::Connection => Self::Secret(SecretFrom::from(text)),
            Form::Headers => {
                let table = DeValue::parse(text).map_err(|_| wrong("{ Name = \"…\" }"))?;
                return Self::of_file(form, table.get_ref(), base);
            }
        };
        value.checked(form)
    }

    /// Paths that are relative begin at this directory.
    fn below(self, form: Form, base: &Path) -> Self {
        let joined = |text: String| base.join(text).to_string_lossy().into_owned();
        match (form, self) {
            (Form::Path, Self::Text(text)) => Self::Text(joined(text)),
            (Form::Place, Self::Text(text)) if !text.contains("://") && text != "-" => {
                Self::Text(joined(text))
            }
            (Form::Paths, Self::List(items)) => Self::List(items.into_iter().map(joined).collect()),
            (_, value) => value,
        }
    }

    fn checked(self, form: Form) -> Result<Self> {
        match (form, &self) {
            (Form::Text(check), Self::Text(text)) => check(text)?,
            (Form::Place, Self::Text(text)) => super::keys::place(text)?,
            (Form::List(check), Self::List(items)) => {
                items.iter().try_for_each(|item| check(item))?;
            }
            (Form::Number(least, most), Self::Number(number))
                if !(least..=most).contains(number) =>
            {
                return Err(wrong(&format!("a whole number from {least} to {most}")));
            }
            _ => {}
        }
        Ok(self)
    }

    /// The value for people, without anything secret.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::List(items) => format!("{items:?}"),
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Secret(from) => place_of(from),
            Self::Headers(headers) => {
                let mut text = String::from("{");
                for (name, from) in headers {
                    // Writing to a text does not fail.
                    let _ = write!(text, " {name} = {}", place_of(from));
                }
                text.push_str(" }");
                text
            }
        }
    }

    /// Whether the value itself is a secret, not only where one is.
    pub(super) fn bears_secret(&self, form: Form) -> bool {
        let bears = |from: &SecretFrom| match from {
            SecretFrom::Text(text) => match form {
                Form::Connection => bears_password(text.reveal()),
                _ => true,
            },
            _ => false,
        };
        match self {
            Self::Secret(from) => bears(from),
            Self::Headers(headers) => headers.values().any(bears),
            _ => false,
        }
    }
}

/// Where a secret is, without it. A command may have one among its words.
fn place_of(from: &SecretFrom) -> String {
    match from {
        SecretFrom::Text(_) => "(hidden)".to_owned(),
        SecretFrom::File(path) => format!("(in file {})", path.display()),
        SecretFrom::Env(name) => format!("(in variable {name})"),
        SecretFrom::Command(_) => "(from a command)".to_owned(),
    }
}

/// A secret as the file has it: the text, or a table with one of `file`, `env` and `command`.
fn secret(value: &DeValue<'_>, base: &Path) -> Result<SecretFrom> {
    // What stands there may be a secret that was written wrongly: it is not repeated.
    let expected =
        || wrong("a text in quotes, { file = \"…\" }, { env = \"…\" } or { command = \"…\" }");
    let one = |table: &DeTable<'_>| {
        let mut entries = table.iter();
        let (name, value) = entries.next()?;
        let text = value.get_ref().as_str()?.to_owned();
        let from = match name.get_ref().as_ref() {
            "file" => SecretFrom::File(base.join(text)),
            "env" => SecretFrom::Env(text),
            "command" => SecretFrom::Command(text),
            _ => return None,
        };
        entries.next().is_none().then_some(from)
    };
    match value {
        DeValue::String(text) => Ok(SecretFrom::Text(Secret::new(text.as_ref()))),
        DeValue::Table(table) => one(table).ok_or_else(expected),
        _ => Err(expected()),
    }
}
