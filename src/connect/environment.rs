//! What the surroundings say: environment variables, home directory, operating system user.
//!
//! A trait, so that a configuration can be resolved in a test without touching the process.

use std::path::PathBuf;

use crate::error::{Error, Kind};

/// What is wrong with a variable that is set to no text. Passed over, it would be as if it were not set.
pub(crate) fn not_text(variable: &str) -> Error {
    Error::new(
        Kind::Usage,
        format!("environment variable {variable} is set, but not to UTF-8"),
    )
}

/// Where `PG*` variables, the home directory and the default user come from.
pub trait Environment {
    /// The value of an environment variable; `None` when unset or not UTF-8.
    fn get(&self, name: &str) -> Option<String>;

    /// Every variable whose name and value are UTF-8; none where they cannot be listed.
    fn variables(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The names of variables that are set, but to bytes that are no UTF-8: [`get`](Self::get) gives nothing for them,
    /// and who would use one has to say so.
    fn not_text(&self) -> Vec<String> {
        Vec::new()
    }

    /// The home directory, where `.pgpass`, `.pg_service.conf` and `.postgresql/` are looked for.
    fn home(&self) -> Option<PathBuf> {
        self.get("HOME")
            .filter(|home| !home.is_empty())
            .map(PathBuf::from)
    }

    /// The operating system's name for the current user, the default database user.
    fn user(&self) -> Option<String> {
        self.get("USER").filter(|user| !user.is_empty())
    }
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnv;

impl Environment for ProcessEnv {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn variables(&self) -> Vec<(String, String)> {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    fn not_text(&self) -> Vec<String> {
        let broken = std::env::vars_os().filter(|(_, value)| value.to_str().is_none());
        broken
            .filter_map(|(name, _)| name.into_string().ok())
            .collect()
    }

    fn home(&self) -> Option<PathBuf> {
        std::env::home_dir().filter(|home| !home.as_os_str().is_empty())
    }

    fn user(&self) -> Option<String> {
        whoami::username().ok()
    }
}
