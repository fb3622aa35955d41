//! Definitions, rows or both.

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
