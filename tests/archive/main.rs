//! The archive format, without a database: what is written is read back, by this library and by
//! tar and sha256sum; what was changed or cut is found.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod roundtrip;
mod sample;
