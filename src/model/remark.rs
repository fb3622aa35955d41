//! Comments and security labels on objects that are not in the archive themselves: what the system
//! or an extension made, and the user wrote something on.

use super::Oid;

/// A comment, or security labels, on such an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The object as COMMENT and SECURITY LABEL name it: `FUNCTION pg_catalog.now()`.
    pub object: String,
    /// The extension that it belongs to.
    pub extension: Option<Oid>,
    /// The comment.
    pub comment: Option<String>,
    /// Security labels as (provider, label).
    pub labels: Vec<(String, String)>,
}
