//! In which order objects must be made, and what must be split to make an order possible.
//!
//! Reads a [`Database`](crate::model::Database), changes nothing in it. A dependency cycle is
//! repaired by a decision ([`Splits`]) that `ddl` carries out.

mod node;

pub use node::{Node, Order, Ordered, Section, Splits};
