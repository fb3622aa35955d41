//! Places for archives other than files: object stores by real servers, a network that does harm,
//! archives written to and read from them.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

#[path = "../support/mod.rs"]
mod support;

mod archives;
mod conformance;
mod credentials;
mod encrypted;
mod faults;
mod network;
mod servers;
