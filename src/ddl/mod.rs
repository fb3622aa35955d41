//! `model` to SQL: pure functions, one file per kind of object.
//!
//! Never asks the server, never decides an order.

mod rendered;

pub use rendered::{Locked, Options, Rendered};
