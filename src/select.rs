//! What of a database is meant: the words that dump and restore have in common.

/// Schema, data or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// Both.
    #[default]
    All,
    /// `-s`
    SchemaOnly,
    /// `-a`
    DataOnly,
}
