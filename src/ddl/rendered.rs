//! What rendering gives for each node.

use crate::graph::Node;
use crate::model::{Header, Oid};
use crate::sql::{LockMode, ServerVersion};

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

/// One transaction of those that make a node together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its statements.
    pub create: Vec<String>,
    /// Locks that they take, each relation once.
    pub locks: Vec<Locked>,
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
    /// The version of an extension.
    pub version: Option<String>,
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
    /// Another way to `create`, in several transactions of which the long ones take weaker locks; empty
    /// when there is none.
    pub split: Vec<Piece>,
    /// How it is made on servers of other majors, where that differs; ranges do not overlap.
    pub forms: Vec<Form>,
}

/// What is different on some range of other majors. A list that is there takes the place of the
/// object's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// The first major it is for; none for all before `before`.
    pub since: Option<u32>,
    /// The first major it is no longer for; none for all from `since` on.
    pub before: Option<u32>,
    /// Instead of [`Rendered::create`].
    pub create: Option<Vec<String>>,
    /// Instead of [`Rendered::drop`].
    pub drop: Option<Vec<String>>,
    /// Instead of [`Rendered::set_owner`].
    pub set_owner: Option<Vec<String>>,
    /// Instead of [`Rendered::privileges`].
    pub privileges: Option<Vec<String>>,
    /// Instead of [`Rendered::comments`].
    pub comments: Option<Vec<String>>,
    /// Instead of [`Rendered::labels`].
    pub labels: Option<Vec<String>>,
    /// What is lost or another way there.
    pub notes: Vec<String>,
    /// What those servers do not know, so that the object cannot be made.
    pub impossible: Option<String>,
}

impl Form {
    /// What `major` gets that the source's `own` rendering does not say; none if it is the same.
    pub(super) fn between(
        own: &Rendered,
        other: Rendered,
        major: u32,
        notes: Vec<String>,
        impossible: Vec<String>,
    ) -> Option<Self> {
        let range = Self {
            since: Some(major),
            before: Some(major + 1),
            ..Self::default()
        };
        if !impossible.is_empty() {
            return Some(Self {
                impossible: Some(impossible.join(", ")),
                ..range
            });
        }
        let unless = |own: &Vec<String>, other: Vec<String>| (*own != other).then_some(other);
        let form = Self {
            create: unless(&own.create, other.create),
            drop: unless(&own.drop, other.drop),
            set_owner: unless(&own.set_owner, other.set_owner),
            privileges: unless(&own.privileges, other.privileges),
            comments: unless(&own.comments, other.comments),
            labels: unless(&own.labels, other.labels),
            notes,
            ..range.clone()
        };
        (form != range).then_some(form)
    }

    /// Whether any list of statements is different.
    pub fn has_lists(&self) -> bool {
        [
            &self.create,
            &self.drop,
            &self.set_owner,
            &self.privileges,
            &self.comments,
            &self.labels,
        ]
        .into_iter()
        .any(Option::is_some)
    }

    /// Whether the next major's form says the same.
    pub(super) fn continues_with(&self, next: &Self) -> bool {
        let moved = Self {
            since: self.since,
            before: self.before,
            ..next.clone()
        };
        self.before == next.since && *self == moved
    }

    /// A range that ends at the newest known major goes on for ever, one that begins at the oldest
    /// has no beginning, except across the source's own.
    pub(super) fn open_ends(&mut self, source: u32) {
        if self.since == Some(ServerVersion::OLDEST_MAJOR) && source >= ServerVersion::OLDEST_MAJOR
        {
            self.since = None;
        }
        if self.before == Some(ServerVersion::NEWEST_MAJOR + 1)
            && source <= ServerVersion::NEWEST_MAJOR
        {
            self.before = None;
        }
    }
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
            version: None,
            tablespace: None,
            access_method: None,
            create: Vec::new(),
            drop: Vec::new(),
            set_owner: Vec::new(),
            privileges: Vec::new(),
            comments: Vec::new(),
            labels: Vec::new(),
            locks: Vec::new(),
            split: Vec::new(),
            forms: Vec::new(),
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
        held.mode = held.mode.and(mode);
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
