//! Extensions.

use super::{Header, Oid};

/// An extension.
#[derive(Clone, Debug)]
pub struct Extension {
    /// Name, comment.
    pub header: Header,
    /// The schema of its relocatable objects.
    pub schema: String,
    /// Its version on the source, for the record.
    pub version: String,
    /// Tables whose rows (or sequences whose values) belong to the user.
    pub configuration: Vec<ConfigurationTable>,
}

/// An extension's configuration table.
#[derive(Clone, Debug)]
pub struct ConfigurationTable {
    /// The table or sequence.
    pub relation: Oid,
    /// A condition beginning with `WHERE`, or empty for all rows.
    pub condition: String,
}
