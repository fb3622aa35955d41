//! What the user wants of a database.

use crate::select::Content;

/// Selection by pattern and by section of work, as pg_dump's options of the same names.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// `-n`: only schemas that match one of these patterns.
    pub schemas: Vec<String>,
    /// `-N`
    pub exclude_schemas: Vec<String>,
    /// `-t`: only relations that match one of these patterns.
    pub tables: Vec<String>,
    /// `-T`
    pub exclude_tables: Vec<String>,
    /// `--exclude-table-data`: no rows of relations that match.
    pub exclude_table_data: Vec<String>,
    /// `-s`, `-a` or both.
    pub content: Content,
    /// Large objects: by default with everything, not with a selection.
    pub large_objects: Option<bool>,
    /// `--no-unlogged-table-data`
    pub no_unlogged_table_data: bool,
    /// `--strict-names`: every pattern must match something.
    pub strict_names: bool,
}
