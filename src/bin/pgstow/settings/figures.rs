//! Numbers that are written in words: memory, sessions, versions.

use pgstow::config::unit::bytes;
use pgstow::error::{Context as _, Error, Kind, Result};
use pgstow::ops::default_jobs;
use pgstow::sql::ServerVersion;

use crate::args;

pub(super) fn memory(resources: &args::Resources, default: u64) -> Result<u64> {
    match &resources.memory {
        Some(size) => bytes(size).context_with(|| "--memory"),
        None => Ok(default),
    }
}

pub(super) fn jobs(sessions: &args::Jobs) -> Result<usize> {
    let Some(text) = &sessions.jobs else {
        return Ok(default_jobs());
    };
    text.parse()
        .ok()
        .filter(|jobs| (1..=1000).contains(jobs))
        .ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!("number of jobs must be from 1 to 1000, not \"{text}\""),
            )
        })
}

/// A major version such as 15.
pub(super) fn version(text: &str) -> Result<ServerVersion> {
    text.parse()
        .ok()
        .filter(|major| (ServerVersion::OLDEST_MAJOR..=99).contains(major))
        .map(|major: u32| ServerVersion::from_num(major * 10_000))
        .ok_or_else(|| {
            Error::new(Kind::Usage, format!("unknown version \"{text}\""))
                .with_hint("give a major version of PostgreSQL, 13 or newer")
        })
}
