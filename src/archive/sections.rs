//! Which sections of an archive are wanted.

use super::entry::Section;
use serde::Serialize;

/// Sections of a dump or restore, as `--section` names them. All by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sections {
    /// Definitions that must stand before rows can be loaded.
    pub pre_data: bool,
    /// Rows, sequence values, large objects.
    pub data: bool,
    /// Indexes, constraints, triggers and the rest.
    pub post_data: bool,
}

impl Default for Sections {
    fn default() -> Self {
        Self::ALL
    }
}

impl Sections {
    /// Every section.
    pub const ALL: Self = Self {
        pre_data: true,
        data: true,
        post_data: true,
    };

    /// No section: the start for adding those that were named.
    pub const NONE: Self = Self {
        pre_data: false,
        data: false,
        post_data: false,
    };

    /// Whether `section` is wanted.
    pub const fn has(self, section: Section) -> bool {
        match section {
            Section::PreData => self.pre_data,
            Section::Data => self.data,
            Section::PostData => self.post_data,
        }
    }

    /// This and `section`.
    #[must_use]
    pub const fn with(mut self, section: Section) -> Self {
        match section {
            Section::PreData => self.pre_data = true,
            Section::Data => self.data = true,
            Section::PostData => self.post_data = true,
        }
        self
    }

    /// Whether nothing is left out.
    pub const fn is_all(self) -> bool {
        self.pre_data && self.data && self.post_data
    }
}
