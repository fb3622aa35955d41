//! Foreign-data wrappers, servers and user mappings. (Foreign tables are relations.)

use super::{Header, Oid};

/// A foreign-data wrapper.
#[derive(Clone, Debug)]
pub struct ForeignDataWrapper {
    /// Name, owner, privileges, comment.
    pub header: Header,
    /// Handler as SQL name; none for a wrapper that cannot be read through.
    pub handler: Option<String>,
    /// Validator as SQL name.
    pub validator: Option<String>,
    /// Options as name and value, by name.
    pub options: Vec<(String, String)>,
}

/// A foreign server.
#[derive(Clone, Debug)]
pub struct ForeignServer {
    /// Name, owner, privileges, comment.
    pub header: Header,
    /// The wrapper's name.
    pub wrapper: String,
    /// `TYPE`
    pub kind: Option<String>,
    /// `VERSION`
    pub version: Option<String>,
    /// Options as name and value, by name. Passwords may be among them.
    pub options: Vec<(String, String)>,
}

/// A user mapping. Its options often hold a password.
#[derive(Clone, Debug)]
pub struct UserMapping {
    /// Address, and a name for messages: `USER SERVER server`, unquoted.
    pub header: Header,
    /// The role; none for PUBLIC.
    pub role: Option<String>,
    /// The server.
    pub server: Oid,
    /// The server's name.
    pub server_name: String,
    /// Options as name and value, by name: none at all where the reader might not see them.
    pub options: Vec<(String, String)>,
}
