//! Publications and what is in them.

use super::{Header, Oid};

/// A publication.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Name, owner, comment.
    pub header: Header,
    /// `FOR ALL TABLES`
    pub all_tables: bool,
    /// Operations that are published: `insert`, `update`, `delete`, `truncate`.
    pub operations: Vec<&'static str>,
    /// `publish_via_partition_root`
    pub via_partition_root: bool,
    /// `publish_generated_columns = stored` (18+)
    pub generated_columns: bool,
}

/// A table in a publication.
#[derive(Clone, Debug)]
pub struct PublicationTable {
    /// Address and what is wanted. Schema and name are the table's.
    pub header: Header,
    /// The publication's name.
    pub publication: String,
    /// The publication.
    pub publication_oid: Oid,
    /// The table.
    pub table: Oid,
    /// Columns that are published; empty for all (15+).
    pub columns: Vec<String>,
    /// `WHERE` (15+).
    pub filter: Option<String>,
}

/// A schema whose tables are all in a publication (15+).
#[derive(Clone, Debug)]
pub struct PublicationSchema {
    /// Address and what is wanted. The schema is the one that is published; the name is its too.
    pub header: Header,
    /// The publication's name.
    pub publication: String,
    /// The publication.
    pub publication_oid: Oid,
}
