//! Restores beside a database, compares, and takes its place.
//!
//! Why it exists: a restore into the database that is in use is wrong for as long as it lasts, and for
//! good when it fails. Here an archive goes into a new database beside the old one (a *shadow*); only
//! when it holds all that the archive holds do both change names.
//!
//! What it promises: all that can be known to stand in the way is found before anything is made; the
//! old database stays as it is, under its name, until the one transaction that renames both, and stays
//! under a name of its own afterwards; whatever ends a run leaves at most a shadow, which says in its
//! comment what it is and which the next run takes or removes. (Only a run that is killed between CREATE DATABASE
//! and COMMENT leaves one that says nothing: it is empty, and stays until somebody drops it.)
//!
//! What the new database has of the old one: owner, privileges, settings, connection limit, comment,
//! labels, tablespace, encoding and locale. What is in it is the archive's.

mod admin;
mod exchange;
mod facts;
mod marker;
mod name;
mod run;
mod shadow;

pub use run::{Sessions, SwapOptions, SwapReport, swap, swap_preflight};
