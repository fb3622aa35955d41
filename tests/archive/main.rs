//! The archive format, without a database: what is written is read back, by this library and by
//! tar and sha256sum; what was changed or cut is found.

#![allow(
    clippy::unwrap_used,
    clippy::new_ret_no_self,
    reason = "a test that cannot go on panics, and its sources are made to be shared"
)]

mod damage;
mod forge;
mod globals;
mod interop;
mod local;
mod malformed;
mod packs;
mod roundtrip;
mod sample;
mod specification;
