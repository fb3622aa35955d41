//! What the arguments mean: options of the library, and where input, output and messages go.

mod chosen;
mod connection;
mod copy;
mod dump;
mod figures;
mod list;
mod restore;
mod sql;
mod talk;
mod verify;

use pgstow::error::{Error, Kind};

pub use connection::{Connection, conn, source};
pub use copy::Copy;
pub use dump::Dump;
pub use list::list;
pub use restore::{Consent, Restore};
pub use sql::Sql;
pub use talk::{Talk, Volume, talk};
pub use verify::Verify;

pub fn together(one: &str, other: &str) -> Error {
    Error::new(
        Kind::Usage,
        format!("options {one} and {other} cannot be used together"),
    )
}
