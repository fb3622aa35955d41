//! How much is said.

use pgstow::error::Result;

use super::together;
use crate::args;

/// How much is said, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Talk {
    /// How much.
    pub volume: Volume,
    /// Whether events are written as JSON.
    pub json: bool,
    /// Whether standard output is taken by an archive or a script.
    pub stdout_is_taken: bool,
}

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volume {
    /// Warnings and errors.
    Quiet,
    /// Progress too.
    Normal,
    /// Everything.
    Verbose,
}

/// How much is said.
pub fn talk(messages: &args::Messages, output: Option<&str>) -> Result<Talk> {
    if messages.quiet && messages.verbose {
        return Err(together("--quiet", "-v/--verbose"));
    }
    Ok(Talk {
        volume: if messages.quiet {
            Volume::Quiet
        } else if messages.verbose {
            Volume::Verbose
        } else {
            Volume::Normal
        },
        json: messages.json,
        stdout_is_taken: output == Some("-"),
    })
}
