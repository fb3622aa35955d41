//! Privileges.

use std::collections::BTreeSet;

use super::Oid;

/// A privilege: its letter in an aclitem, and whether it may be granted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Privilege {
    /// `r`, `a`, `w`, …
    pub letter: char,
    /// `*`
    pub grantable: bool,
}

/// One aclitem: what one role granted to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AclItem {
    /// Who has it; none for PUBLIC.
    pub grantee: Option<String>,
    /// Who gave it.
    pub grantor: String,
    /// What.
    pub privileges: Vec<Privilege>,
}

/// An object's privileges, with what a freshly created object would have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl {
    /// The privileges as they are, in the catalog's order (a grantor comes after what gave it the
    /// right to grant). `None`: never touched, equal to the default.
    pub current: Option<Vec<AclItem>>,
    /// What a new object has: the server's default for owner and kind, or what CREATE EXTENSION or
    /// initdb left.
    pub base: Vec<AclItem>,
}

impl Acl {
    /// Whether there is anything to write: the privileges are not what the object starts with.
    pub fn differs(&self) -> bool {
        self.current.as_ref().is_some_and(|current| {
            current.iter().any(|item| !self.base.contains(item))
                || self.base.iter().any(|item| !current.contains(item))
        })
    }

    /// Who is named when this is granted on a fresh object of `owner`: those who have something
    /// that it would not give them, and who gave it; the owner is not among them.
    pub fn named_roles(&self, owner: Option<&str>) -> BTreeSet<&str> {
        let Some(current) = &self.current else {
            return BTreeSet::new();
        };
        current
            .iter()
            .filter(|item| !self.base.contains(item))
            .flat_map(|item| item.grantee.iter().chain([&item.grantor]))
            .map(String::as_str)
            .filter(|role| Some(*role) != owner)
            .collect()
    }
}

/// Default privileges of one role, for one kind of object, in one schema or in all.
#[derive(Clone, Debug)]
pub struct DefaultAcl {
    /// OID in `pg_default_acl`.
    pub oid: Oid,
    /// Whether it is wanted in the archive.
    pub wanted: bool,
    /// The role whose new objects get them.
    pub role: String,
    /// The schema; none for all.
    pub schema: Option<String>,
    /// `r` tables, `S` sequences, `f` functions, `T` types, `n` schemas, `L` large objects.
    pub object_type: char,
    /// The privileges and their base.
    pub acl: super::Acl,
}
