//! The parameters of a connection as they come together from all sources, and as values of a kind.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use crate::connect::environment::{Environment, not_text};
use crate::connect::keyword::KEYWORDS;
use crate::connect::{servicefile, uri};
use crate::error::{Error, Kind, Result};

/// Parameter values as they are collected, heaviest source first.
#[derive(Default)]
pub(super) struct Values(BTreeMap<&'static str, String>);

impl Values {
    pub(super) fn set(&mut self, name: &'static str, value: String) {
        self.0.insert(name, value);
    }

    pub(super) fn set_default(&mut self, name: &'static str, value: String) {
        self.0.entry(name).or_insert(value);
    }

    pub(super) fn add_service(&mut self, environment: &dyn Environment) -> Result<()> {
        let service = self
            .get("service")
            .map(str::to_owned)
            .or_else(|| environment.get("PGSERVICE"))
            .filter(|service| !service.is_empty());
        let Some(service) = service else {
            return Ok(());
        };
        let file = self
            .get("servicefile")
            .map(str::to_owned)
            .or_else(|| environment.get("PGSERVICEFILE"));
        for (name, value) in servicefile::find(&service, file.as_deref(), environment)? {
            self.set_default(name, value);
        }
        Ok(())
    }

    pub(super) fn add_environment(&mut self, environment: &dyn Environment) -> Result<()> {
        let broken = environment.not_text();
        for keyword in KEYWORDS {
            let Some(variable) = keyword.variable else {
                continue;
            };
            if self.0.contains_key(keyword.name) {
                continue;
            }
            if broken.iter().any(|name| name == variable) {
                return Err(not_text(variable));
            }
            if let Some(value) = environment.get(variable) {
                keyword
                    .check(&value)
                    .and_then(|()| match keyword.name {
                        "dbname" => uri::refuse_foreign(&value),
                        _ => Ok(()),
                    })
                    .map_err(|error| error.context(format!("environment variable {variable}")))?;
                self.set(keyword.name, value);
            }
        }
        Ok(())
    }

    /// The value, when there is one that is not empty: libpq takes empty for "the default".
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// What stands between commas.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        self.get(name)
            .map(|text| text.split(',').map(str::trim).collect())
            .unwrap_or_default()
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    pub(super) fn choice<T: FromStr<Err = &'static str>>(&self, name: &str) -> Result<Option<T>> {
        self.get(name)
            .map(|value| {
                value.parse().map_err(|allowed| {
                    Error::new(Kind::Usage, format!("invalid {name} value: \"{value}\""))
                        .with_hint(format!("one of {allowed}"))
                })
            })
            .transpose()
    }

    pub(super) fn integer(&self, name: &str) -> Result<Option<i32>> {
        self.get(name)
            .map(|value| {
                value.trim().parse().map_err(|_| {
                    Error::new(
                        Kind::Usage,
                        format!(
                            "invalid integer value \"{value}\" for connection parameter \"{name}\""
                        ),
                    )
                })
            })
            .transpose()
    }

    /// A count of a unit; zero and negative mean the default.
    pub(super) fn positive(&self, name: &str) -> Result<Option<u32>> {
        Ok(self
            .integer(name)?
            .and_then(|value| u32::try_from(value).ok())
            .filter(|value| *value > 0))
    }

    pub(super) fn seconds(&self, name: &str) -> Result<Option<Duration>> {
        Ok(self
            .positive(name)?
            .map(|seconds| Duration::from_secs(seconds.into())))
    }
}
