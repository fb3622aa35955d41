//! Restores of hand-made archives into real servers: what is made, what is refused, what a failure
//! says, and that nothing damaged or cancelled is ever kept.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../support/mod.rs"]
mod support;

mod archive;
mod existing;
mod failures;
mod parallel;
mod pieces;
mod pipe;
mod selection;
mod verify;
mod whole;
