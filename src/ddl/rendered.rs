//! What rendering gives for each node.

use crate::graph::Node;
use crate::model::Oid;

/// How statements are written.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Options {}

/// A lock that a node's statements take on a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locked {
    /// The relation's OID on the source.
    pub relation: Oid,
    /// The strongest mode.
    pub mode: crate::sql::LockMode,
}

/// A node's statements, kept apart by purpose; each element is one statement without semicolon.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The node.
    pub node: Node,
    /// pg_dump's term for it: `TABLE`, `FK CONSTRAINT`, …
    pub kind: &'static str,
    /// The schema, for objects that live in one.
    pub schema: Option<String>,
    /// The object's name; functions with identity arguments.
    pub name: String,
    /// The relation that it hangs on.
    pub relation: Option<String>,
    /// The owner.
    pub owner: Option<String>,
    /// Tablespace while `create` runs.
    pub tablespace: Option<String>,
    /// Table access method while `create` runs.
    pub access_method: Option<String>,
    /// Makes it.
    pub create: Vec<String>,
    /// Drops it (`IF EXISTS`).
    pub drop: Vec<String>,
    /// Gives it its owner.
    pub set_owner: Vec<String>,
    /// GRANT and REVOKE.
    pub privileges: Vec<String>,
    /// COMMENT.
    pub comments: Vec<String>,
    /// SECURITY LABEL.
    pub labels: Vec<String>,
    /// Locks that `create` takes on relations other than the one it makes.
    pub locks: Vec<Locked>,
}
