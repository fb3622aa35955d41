//! How a failure is told, and what it means for the rest.

use super::refusal::Refusal;
use crate::archive::Entry;
use crate::error::{Error, Kind, SqlState};
use crate::sql::is_plain;

/// The error of one statement of an entry.
pub(super) fn of_statement(error: Error, entry: &Entry, statement: &str) -> Error {
    with_statement(of_entry(error, entry), entry, statement)
}

/// The error of one of the statements that drop an entry.
pub(super) fn of_drop(error: Error, entry: &Entry, statement: &str) -> Error {
    let error = error.context(format!("drop {}", entry.describe()));
    with_statement(error, entry, statement)
}

/// A database in SQL_ASCII takes any bytes, and so do names of roles; what the target takes is its encoding's.
const OTHER_ENCODING: &str = "it has bytes that are no text in the target's encoding: restore into a database in SQL_ASCII \
     (createdb -T template0 -E SQL_ASCII --locale C, or --create)";

fn with_statement(mut error: Error, entry: &Entry, statement: &str) -> Error {
    let refusal = Refusal::of(&error, entry, statement);
    if let Some(way_out) = refusal.way_out(entry, statement) {
        error = error.with_hint(way_out);
    } else if !is_plain(statement)
        && error.sqlstate() == Some(&SqlState::CHARACTER_NOT_IN_REPERTOIRE)
    {
        error = error.with_hint(OTHER_ENCODING);
    }
    if entry.may_hold_secret() {
        return error.with_statement("(not shown: it may hold a password)");
    }
    error.with_statement(statement)
}

/// The error of something that was done for an entry.
pub(super) fn of_entry(error: Error, entry: &Entry) -> Error {
    error.context(format!("restore {}", entry.describe()))
}

/// Whether going on makes no sense whatever the user wants: the connection or the archive is
/// gone, the server is going down or has no room left.
pub(super) fn is_fatal(error: &Error) -> bool {
    match error.kind() {
        Kind::Server => error.is_of_whole_server(),
        Kind::Failed => false,
        _ => true,
    }
}

/// Whether the same work, rolled back whole, may succeed at once: it lost a race.
pub(super) fn lost_a_race(error: &Error) -> bool {
    matches!(
        error.sqlstate(),
        Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE)
    )
}

/// Whether an object could not be made because there is one already.
pub(super) fn exists_already(error: &Error) -> bool {
    matches!(
        error.sqlstate(),
        Some(
            &SqlState::DUPLICATE_TABLE
                | &SqlState::DUPLICATE_OBJECT
                | &SqlState::DUPLICATE_SCHEMA
                | &SqlState::DUPLICATE_FUNCTION
                | &SqlState::DUPLICATE_COLUMN
        )
    )
}

/// Whether a statement names a relation, column or function that is not there.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(
        error.sqlstate(),
        Some(
            &SqlState::UNDEFINED_TABLE
                | &SqlState::UNDEFINED_COLUMN
                | &SqlState::UNDEFINED_FUNCTION
        )
    )
}

/// What a run that was told to stop ends with.
pub(super) fn interrupted() -> Error {
    Error::new(Kind::Interrupted, "restore: interrupted")
        .with_hint("the target holds a part of the archive")
}
