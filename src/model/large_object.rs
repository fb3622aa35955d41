//! Large objects.

use super::{Acl, Oid};

/// Large objects of one owner with the same privileges, at most 1000.
#[derive(Clone, Debug)]
pub struct LargeObjectGroup {
    /// Owner.
    pub owner: String,
    /// Privileges.
    pub acl: Acl,
    /// The objects by OID.
    pub objects: Vec<LargeObject>,
}

/// A large object.
#[derive(Clone, Debug)]
pub struct LargeObject {
    /// Its OID, which rows refer to.
    pub oid: Oid,
    /// Its comment.
    pub comment: Option<String>,
    /// Security labels as (provider, label).
    pub labels: Vec<(String, String)>,
}
