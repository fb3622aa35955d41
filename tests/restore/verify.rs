//! Archives compared with live databases.
