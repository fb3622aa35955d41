//! The archive format, without a database: what is written is read back, by this library and by
//! tar and sha256sum; what was changed or cut is found.

mod roundtrip;
mod sample;
