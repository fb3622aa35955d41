//! Who does something: for records, locks and the audit log.

use std::fmt;
use std::path::Path;

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
    /// Where processes have their numbers from: this boot of this machine, or a container of it. Empty
    /// where that cannot be told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub numbered_by: String,
}

/// The boot and the namespace of processes, as Linux tells them.
fn numbered_by() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let namespace = std::fs::read_link("/proc/self/ns/pid");
    match (boot, namespace) {
        (Ok(boot), Ok(namespace)) => format!("{} {}", boot.trim(), namespace.display()),
        _ => String::new(),
    }
}

impl Who {
    /// This process.
    pub fn here() -> Self {
        let unknown = || "unknown".to_owned();
        Self {
            user: whoami::username().unwrap_or_else(|_| unknown()),
            host: whoami::hostname().unwrap_or_else(|_| unknown()),
            process: std::process::id(),
            numbered_by: numbered_by(),
        }
    }

    /// Whether it is certain that the process is gone: it ran where this one runs, and is not there.
    pub(super) fn is_gone(&self) -> bool {
        let here = Self::here();
        // A /proc of another namespace has other numbers.
        let is_own = std::fs::read_link("/proc/self")
            .is_ok_and(|it| it == Path::new(&std::process::id().to_string()));
        // Where /proc hides the processes of others, only those of the same user are seen.
        !self.numbered_by.is_empty()
            && self.numbered_by == here.numbered_by
            && self.user == here.user
            && is_own
            && Path::new("/proc/1").exists()
            && !Path::new(&format!("/proc/{}", self.process)).exists()
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}, process {}", self.user, self.host, self.process)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_of_here_can_be_gone() {
        let mut who = Who::here();
        assert!(!who.is_gone());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        who.process = child.id();
        child.wait().unwrap();
        assert!(who.is_gone());
        who.user.push('x');
        assert!(!who.is_gone());
        who.user.pop();
        who.numbered_by.push('x');
        assert!(!who.is_gone());
        who.numbered_by.clear();
        assert!(!who.is_gone());
    }
}
