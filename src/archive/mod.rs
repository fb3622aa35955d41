//! The archive: an ordinary tar, written in one pass and read by many hands.
//!
//! Of PostgreSQL it knows entries, statements as text, and frames of bytes.

pub mod entry;
