//! Which entries of an archive are wanted, by name.

/// Selection among an archive's entries. Patterns are as in `psql`: `*`, `?`, double quotes,
/// `schema.name` for tables; letters outside double quotes fold to lower case. Default: everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// `-n`: only entries in schemas that match one of these.
    pub schemas: Vec<String>,
    /// `-N`: no entries in schemas that match.
    pub exclude_schemas: Vec<String>,
    /// `-t`: only relations that match one of these, with what hangs on them.
    pub tables: Vec<String>,
    /// `-T`: no relations that match.
    pub exclude_tables: Vec<String>,
    /// `--exclude-table-data`: no rows of relations that match.
    pub exclude_table_data: Vec<String>,
    /// `--strict-names`: every pattern must match something.
    pub strict_names: bool,
}

impl EntryFilter {
    /// Whether nothing is left out.
    pub fn is_all(&self) -> bool {
        self.schemas.is_empty()
            && self.exclude_schemas.is_empty()
            && self.tables.is_empty()
            && self.exclude_tables.is_empty()
            && self.exclude_table_data.is_empty()
    }
}
