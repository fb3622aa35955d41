//! `model` to SQL: pure functions, one file per kind of object.
//!
//! Promises: one [`Rendered`] per node of the order, in its order; every list element is one
//! statement without a closing semicolon; every name is qualified and quoted; the statements run
//! on the source's own major, and each [`Form`] says where another major needs others, or cannot
//! have the object at all.
//!
//! Never asks the server, never decides an order. Text that the server deparsed is used as it came.

mod access_method;
mod aggregate;
mod cast;
mod collation;
mod column;
mod comment;
mod context;
mod conversion;
pub mod database;
mod drop;
mod event_trigger;
mod extension;
mod foreign;
mod foreign_key;
mod function;
pub mod globals;
mod index;
mod label;
mod language;
mod large_object;
mod operator;
mod operator_class;
mod plain;
mod policy;
mod privileges;
mod publication;
mod remark;
mod renamed;
mod render;
mod rendered;
mod rule;
mod schema;
pub mod script;
mod sequence;
mod settings;
mod split;
mod statistics;
mod subscription;
mod table;
mod target;
mod text_search;
mod transform;
mod trigger;
mod types;
mod view;
mod words;

pub use render::{Renderer, render};
pub use rendered::{Form, Locked, Options, Piece, Rendered};
pub use target::Target;
