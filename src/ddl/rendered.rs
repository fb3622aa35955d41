//! What rendering gives for each node.

use crate::graph::Node;
use crate::model::{Header, Oid};
use crate::sql::LockMode;

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
    pub mode: LockMode,
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

impl Rendered {
    /// An object's rendering with nothing in it yet but its names.
    pub(super) fn new(node: Node, kind: &'static str, header: &Header) -> Self {
        Self::named(node, kind, header.schema.clone(), header.name.clone())
    }

    /// A rendering with these names.
    pub(super) fn named(
        node: Node,
        kind: &'static str,
        schema: Option<String>,
        name: String,
    ) -> Self {
        Self {
            node,
            kind,
            schema,
            name,
            relation: None,
            owner: None,
            tablespace: None,
            access_method: None,
            create: Vec::new(),
            drop: Vec::new(),
            set_owner: Vec::new(),
            privileges: Vec::new(),
            comments: Vec::new(),
            labels: Vec::new(),
            locks: Vec::new(),
        }
    }

    /// Records a lock. Where two statements lock one relation, the mode kept is the weakest that
    /// conflicts with all that either of them conflicts with: SHARE and SHARE UPDATE EXCLUSIVE
    /// make SHARE ROW EXCLUSIVE.
    pub(super) fn lock(&mut self, relation: Oid, mode: LockMode) {
        let Some(held) = self.locks.iter_mut().find(|held| held.relation == relation) else {
            self.locks.push(Locked { relation, mode });
            return;
        };
        let pair = (held.mode.min(mode), held.mode.max(mode));
        held.mode = if pair == (LockMode::ShareUpdateExclusive, LockMode::Share) {
            LockMode::ShareRowExclusive
        } else {
            pair.1
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Address, Class};

    #[test]
    fn two_locks_on_one_relation_become_one_that_covers_both() {
        let node = Node::Object(Address::new(Class::Relation, 1));
        let mut rendered = Rendered::named(node, "INDEX", None, String::from("i"));
        rendered.lock(7, LockMode::Share);
        rendered.lock(7, LockMode::ShareUpdateExclusive);
        rendered.lock(8, LockMode::Share);
        rendered.lock(8, LockMode::AccessExclusive);
        assert_eq!(
            rendered.locks,
            [
                Locked {
                    relation: 7,
                    mode: LockMode::ShareRowExclusive
                },
                Locked {
                    relation: 8,
                    mode: LockMode::AccessExclusive
                },
            ]
        );
    }
}
