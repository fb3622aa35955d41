//! What the user wants of an archive.

use super::EntryFilter;
use crate::archive::Sections;

/// Definitions, rows or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parts {
    /// Both.
    #[default]
    All,
    /// Definitions, owners, privileges: `--schema-only`.
    Definitions,
    /// Rows, sequence values and large objects: `--data-only`.
    Rows,
}

/// Which entries of an archive are restored, and how much of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Which entries, by name.
    pub filter: EntryFilter,
    /// Which sections.
    pub sections: Sections,
    /// Definitions, rows or both.
    pub parts: Parts,
    /// Makes the database too.
    pub create: bool,
    /// Drops first what will be made.
    pub clean: bool,
    /// Classes of things that nobody wants.
    pub leave_out: LeaveOut,
}

/// Classes of things that are left out of a restore. Default: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaveOut {
    /// Owners: everything belongs to the role that restores.
    pub owners: bool,
    /// GRANT, REVOKE and default privileges.
    pub privileges: bool,
    /// Comments.
    pub comments: bool,
    /// Security labels.
    pub security_labels: bool,
    /// Policies; row security stays as it is on the target.
    pub policies: bool,
    /// Publications.
    pub publications: bool,
    /// Subscriptions.
    pub subscriptions: bool,
    /// Tablespaces: everything goes into the database's default.
    pub tablespaces: bool,
    /// Table access methods: tables get the target's default.
    pub table_access_methods: bool,
}

impl LeaveOut {
    /// Whether entries of this kind are left out altogether, and what to say then.
    pub(super) fn kind(self, kind: &str) -> Option<&'static str> {
        let classes: [(bool, &[&str], &str); 6] = [
            (self.privileges, &["ACL", "DEFAULT ACL"], "privileges"),
            (self.comments, &["COMMENT"], "comments"),
            (self.security_labels, &["SECURITY LABEL"], "security labels"),
            (self.policies, &["POLICY", "ROW SECURITY"], "policies"),
            (
                self.publications,
                &[
                    "PUBLICATION",
                    "PUBLICATION TABLE",
                    "PUBLICATION TABLES IN SCHEMA",
                ],
                "publications",
            ),
            (
                self.subscriptions,
                &["SUBSCRIPTION", "SUBSCRIPTION TABLE"],
                "subscriptions",
            ),
        ];
        classes
            .into_iter()
            .find(|(left_out, kinds, _)| *left_out && kinds.contains(&kind))
            .map(|(_, _, class)| class)
    }
}
