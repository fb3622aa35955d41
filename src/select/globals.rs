//! What belongs to the whole server.

/// Whether roles, tablespaces and the like are meant besides a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Globals {
    /// The database only.
    #[default]
    No,
    /// Globals and the database: `--globals`.
    With,
    /// Globals only: `--globals-only`.
    Alone,
}
