//! Event triggers.

use super::{EnabledState, Header};

/// An event trigger.
#[derive(Clone, Debug)]
pub struct EventTrigger {
    /// Name, owner, comment.
    pub header: Header,
    /// `ddl_command_start`, …
    pub event: String,
    /// Its function as SQL name.
    pub function: String,
    /// Command tags that it is for; empty for all.
    pub tags: Vec<String>,
    /// When it fires.
    pub enabled: EnabledState,
}
