//! Definitions, rows or both; statistics or not.

use serde::Serialize;

/// Schema, data or both. Whether planner statistics come along is said by
/// [`LeaveOut::statistics`](super::LeaveOut::statistics).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Content {
    /// Both.
    #[default]
    All,
    /// `-s`
    SchemaOnly,
    /// `-a`
    DataOnly,
    /// `--statistics-only`: neither, planner statistics alone.
    StatisticsOnly,
}

impl Content {
    /// Whether definitions are meant.
    pub const fn definitions(self) -> bool {
        matches!(self, Self::All | Self::SchemaOnly)
    }

    /// Whether rows, sequence values and large objects are meant.
    pub const fn data(self) -> bool {
        matches!(self, Self::All | Self::DataOnly)
    }

    /// The option that asks for this, if one does.
    pub const fn option(self) -> Option<&'static str> {
        match self {
            Self::All => None,
            Self::SchemaOnly => Some("--schema-only"),
            Self::DataOnly => Some("--data-only"),
            Self::StatisticsOnly => Some("--statistics-only"),
        }
    }
}
