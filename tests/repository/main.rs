//! Backups over time: made, found, checked and let go, while stores fail, processes die and two
//! write at once.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../storage/network.rs"]
#[allow(dead_code, reason = "shared with the tests of storage")]
mod network;
#[path = "../storage/servers.rs"]
#[allow(dead_code, reason = "shared with the tests of storage")]
mod servers;

mod around;
mod audit;
mod clouds;
mod cut;
mod day;
mod double;
mod faults;
mod killed;
mod left;
mod many;
mod refused;
mod scene;
mod swapped;
mod writers;
