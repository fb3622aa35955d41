//! Schemas.

use super::Header;

/// A schema.
#[derive(Clone, Debug)]
pub struct Schema {
    /// Name, owner, privileges, comment.
    pub header: Header,
    /// Whether a new database has it already (`public`): then no CREATE is written, and owner,
    /// privileges and comment are written only where they differ from a new database's.
    pub built_in: bool,
}
