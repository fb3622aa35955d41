//! Databases with their rows: out and back, while they are written to, while connections are lost, and as large as
//! they come.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

#[path = "../support/mod.rs"]
mod support;

mod by_hand;
mod careful;
mod compared;
mod concurrent;
mod copy;
mod dump_faults;
mod library;
mod restore_faults;
mod roundtrip;
mod samples;
mod simulation;
