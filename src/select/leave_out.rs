//! Classes of things that nobody wants.

use serde::Serialize;

/// Classes of things that are left out of a dump or of a restore. Default: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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
    /// How columns compress long values: they get the target's default. It is part of the
    /// definition of a table, so only a dump can leave it out.
    pub toast_compression: bool,
    /// Statistics for the optimizer.
    pub statistics: bool,
}

impl LeaveOut {
    /// Whether entries of this kind are left out altogether, and what to say then.
    pub(crate) fn kind(self, kind: &str) -> Option<&'static str> {
        let classes: [(bool, &[&str], &str); 7] = [
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
            (self.statistics, &["STATISTICS DATA"], "statistics"),
        ];
        classes
            .into_iter()
            .find(|(left_out, kinds, _)| *left_out && kinds.contains(&kind))
            .map(|(_, _, class)| class)
    }
}
