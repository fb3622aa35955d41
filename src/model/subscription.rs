//! Subscriptions.

use super::Header;

/// A subscription. What it does is read in the terms of its own server's major: parameters that
/// this one does not know are none.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Name, owner, comment.
    pub header: Header,
    /// Connection string of the publisher. Often holds a password.
    pub connection: String,
    /// Publications that it follows.
    pub publications: Vec<String>,
    /// Replication slot; none when it has none.
    pub slot: Option<String>,
    /// `synchronous_commit`
    pub synchronous_commit: String,
    /// `binary` (14+)
    pub binary: bool,
    /// `streaming` (14+)
    pub streaming: Option<Streaming>,
    /// `two_phase` (15+)
    pub two_phase: bool,
    /// `disable_on_error` (15+)
    pub disable_on_error: bool,
    /// `password_required` (16+)
    pub password_required: Option<bool>,
    /// `run_as_owner` (16+)
    pub run_as_owner: Option<bool>,
    /// `origin` (16+)
    pub origin: Option<String>,
    /// `failover` (17+)
    pub failover: bool,
}

/// How transactions in progress are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streaming {
    /// `off`
    Off,
    /// `on`
    On,
    /// `parallel` (16+)
    Parallel,
}
