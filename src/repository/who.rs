//! Who does something: for records, locks and the audit log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A user on a machine, and his process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The user's name there.
    pub user: String,
    /// The machine.
    pub host: String,
    /// The process.
    pub process: u32,
}

impl Who {
    /// This process.
    pub fn here() -> Self {
        let unknown = || "unknown".to_owned();
        Self {
            user: whoami::username().unwrap_or_else(|_| unknown()),
            host: whoami::hostname().unwrap_or_else(|_| unknown()),
            process: std::process::id(),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}, process {}", self.user, self.host, self.process)
    }
}
