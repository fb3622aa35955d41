//! Server versions, ordered.

use std::fmt;

/// A server's version as `server_version_num` gives it: 150020 is 15.20.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct ServerVersion(u32);

impl ServerVersion {
    /// The oldest major that is supported.
    pub const OLDEST_MAJOR: u32 = 13;
    /// The newest major that is known; a newer server works as this one, with a warning.
    pub const NEWEST_MAJOR: u32 = 18;

    /// From `server_version_num`.
    pub const fn from_num(num: u32) -> Self {
        Self(num)
    }

    /// As `server_version_num`.
    pub const fn num(self) -> u32 {
        self.0
    }

    /// 15 for 150020.
    pub const fn major(self) -> u32 {
        self.0 / 10_000
    }

    /// Whether this is `major` or newer.
    pub const fn at_least(self, major: u32) -> bool {
        self.major() >= major
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major(), self.0 % 10_000)
    }
}
