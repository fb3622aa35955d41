//! The program as it is called: its options, its configuration, what it is given that is wrong, and how it comes to
//! a server; and the harness that all of this stands on.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../storage/servers.rs"]
#[allow(dead_code, reason = "shared with the tests of storage")]
mod servers;

mod bad_input;
mod cli;
mod config;
mod connect;
mod doctor;
mod guide;
mod harness;
