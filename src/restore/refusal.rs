//! What sort of thing a server refused, and which option avoids it.
//!
//! Decided by SQLSTATE, by the server's routine where one SQLSTATE stands for many things, and by
//! what the statement was for; never by the text of a message, which is in the server's language.

use serde::Serialize;

use crate::archive::Entry;
use crate::error::{Error, Kind};

/// A sort of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Refusal {
    /// A role that the target does not have.
    MissingRole,
    /// An object that is there already.
    Exists,
    /// A comment on an extension that belongs to somebody else.
    ExtensionComment,
    /// A setting that the target does not know.
    UnknownSetting,
    /// A collation or locale that the target does not have.
    MissingCollation,
    /// A provider of security labels that the target has not loaded.
    MissingLabelProvider,
    /// A tablespace that the target does not have.
    MissingTablespace,
    /// An access method that the target does not have.
    MissingAccessMethod,
    /// An extension whose files the target's server does not have.
    MissingExtension,
    /// Something else that the statement needs and the target does not have.
    MissingObject,
    /// The restoring role may not do this.
    NoPrivilege,
    /// It cannot be dropped, because something else needs it.
    StillNeeded,
    /// A row that no partition takes, or not the one it came from.
    Partition,
    /// Rows that a constraint refuses.
    Constraint,
    /// Anything else.
    Other,
}

impl Refusal {
    /// Sorts the error of a statement that was run for `entry`.
    pub(super) fn of(error: &Error, entry: &Entry, statement: &str) -> Self {
        if error.kind() != Kind::Server {
            return Self::Other;
        }
        let state = error.sqlstate().map_or("", |state| state.code());
        let routine = error.routine().unwrap_or_default();
        let begins = |words: &str| statement.starts_with(words);
        let is_one_of =
            |statements: &[String]| statements.iter().any(|other| other.as_str() == statement);
        match routine {
            "get_role_oid" | "get_rolespec_oid" | "get_rolespec_tuple" => {
                return Self::MissingRole;
            }
            "get_collation_oid" => return Self::MissingCollation,
            "find_option" | "set_config_option" | "set_config_with_handle" if state == "42704" => {
                return Self::UnknownSetting;
            }
            "get_tablespace_oid" => return Self::MissingTablespace,
            "get_table_am_oid" | "get_am_type_oid" | "get_index_am_oid" | "get_am_oid" => {
                return Self::MissingAccessMethod;
            }
            "ExecPartitionCheckEmitError" | "ExecFindPartition" if state == "23514" => {
                return Self::Partition;
            }
            _ => {}
        }
        match state {
            "22023" if begins("SET default_tablespace") => Self::MissingTablespace,
            "22023" if begins("SET default_table_access_method") => Self::MissingAccessMethod,
            "22023" | "42704" if begins("SECURITY LABEL") => Self::MissingLabelProvider,
            "0A000" | "58P01" if entry.kind == "EXTENSION" && begins("CREATE EXTENSION") => {
                Self::MissingExtension
            }
            "22023" | "42704" | "0A000" if entry.kind == "COLLATION" => Self::MissingCollation,
            "42704" if is_one_of(&entry.set_owner) || is_one_of(&entry.privileges) => {
                Self::MissingRole
            }
            "42P04" | "42P06" | "42P07" | "42710" | "42723" | "42701" => Self::Exists,
            "42501" if begins("COMMENT ON EXTENSION") => Self::ExtensionComment,
            "42501" => Self::NoPrivilege,
            "2BP01" => Self::StillNeeded,
            "3F000" | "42P01" | "42703" | "42704" | "42883" => Self::MissingObject,
            _ if state.starts_with("23") => Self::Constraint,
            _ => Self::Other,
        }
    }

    /// What the user can do about it, if there is something.
    pub(super) fn way_out(self, entry: &Entry, statement: &str) -> Option<&'static str> {
        Some(match self {
            Self::MissingRole => {
                "make the role, or leave owners and privileges out with --no-owner --no-privileges"
            }
            Self::Exists => {
                "replace what is there with --clean --if-exists, or leave the entry out: \
                 `pgstow list` makes a list to edit for --use-list"
            }
            Self::ExtensionComment => {
                "only the extension's owner may comment on it; leave comments out with --no-comments"
            }
            Self::UnknownSetting => {
                "the target's version or extensions do not know this setting; leave the entry out \
                 with an edited --use-list"
            }
            Self::MissingCollation => {
                "give the target's server the locale, or leave the entry out with an edited \
                 --use-list"
            }
            Self::MissingLabelProvider => {
                "load the provider on the target, or leave labels out with --no-security-labels"
            }
            Self::MissingTablespace => {
                "make the tablespace, or put everything into the default one with --no-tablespaces"
            }
            Self::MissingAccessMethod => {
                "make the access method, or use the target's default with --no-table-access-method"
            }
            Self::MissingExtension => {
                "install the extension's files on the target's server, or leave the entry out with \
                 an edited --use-list"
            }
            Self::NoPrivilege => return Some(without_privilege(entry, statement)),
            Self::StillNeeded => {
                "something that is not restored needs it: select that too, \
                 drop it yourself, or restore into a new database"
            }
            Self::Partition => {
                "the target assigns rows to other partitions than the source did; load them through \
                 the root of their tree with --load-via-partition-root"
            }
            Self::Constraint if entry.kind == "FK CONSTRAINT" => {
                "rows refer to others that the target does not have: restore their table too, make those rows, or \
                 leave the key out with an edited --use-list (`pgstow list` makes one)"
            }
            Self::MissingObject | Self::Constraint | Self::Other => return None,
        })
    }
}

/// Which option leaves out what a role without superuser's rights may not do.
fn without_privilege(entry: &Entry, statement: &str) -> &'static str {
    let is_one_of =
        |statements: &[String]| statements.iter().any(|other| other.as_str() == statement);
    if is_one_of(&entry.set_owner) {
        return "the restoring role must be a member of the owner; --no-owner lets everything \
                belong to it";
    }
    if is_one_of(&entry.privileges) {
        return "leave privileges out with --no-privileges";
    }
    if is_one_of(&entry.comments) {
        return "leave comments out with --no-comments";
    }
    if is_one_of(&entry.labels) {
        return "leave security labels out with --no-security-labels";
    }
    if statement.contains(" TRIGGER ALL") {
        return "only a superuser may switch the triggers of foreign keys: connect as one, name one \
                with --superuser, or restore without --disable-triggers";
    }
    match entry.kind.as_str() {
        "PUBLICATION" | "PUBLICATION TABLE" | "PUBLICATION TABLES IN SCHEMA" => {
            "leave publications out with --no-publications"
        }
        "SUBSCRIPTION" | "SUBSCRIPTION TABLE" => "leave subscriptions out with --no-subscriptions",
        "POLICY" | "ROW SECURITY" => "leave policies out with --no-policies",
        "DATABASE" | "DATABASE PROPERTIES" => {
            "let somebody who may make the database, and restore without --create"
        }
        "STATISTICS DATA" => "leave statistics out with --no-statistics",
        "ACCESS METHOD" => {
            "leave the entry out with an edited --use-list, and give its tables the target's default \
             with --no-table-access-method"
        }
        _ => "restore as a role that may do this, or leave the entry out with an edited --use-list",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Section;
    use crate::error::SqlState;

    fn entry(kind: &str) -> Entry {
        Entry {
            set_owner: vec!["ALTER TABLE x OWNER TO o".to_owned()],
            privileges: vec!["GRANT SELECT ON TABLE x TO g".to_owned()],
            comments: vec!["COMMENT ON TABLE x IS 'c'".to_owned()],
            labels: vec!["SECURITY LABEL FOR p ON TABLE x IS 'l'".to_owned()],
            ..Entry::new(1, kind, "x", Section::PreData)
        }
    }

    fn refused(state: &str, routine: &str) -> Error {
        Error::new(Kind::Server, "nein")
            .with_sqlstate(SqlState::from_code(state))
            .with_routine(routine)
    }

    #[test]
    fn refusals_are_told_apart_and_name_their_option() {
        let cases = [
            (
                "TABLE",
                "42704",
                "get_role_oid",
                "ALTER TABLE x OWNER TO o",
                Refusal::MissingRole,
                "--no-owner",
            ),
            (
                "TABLE",
                "42704",
                "",
                "GRANT SELECT ON TABLE x TO g",
                Refusal::MissingRole,
                "--no-privileges",
            ),
            (
                "TABLE",
                "42P07",
                "heap_create_with_catalog",
                "CREATE TABLE x ()",
                Refusal::Exists,
                "--clean",
            ),
            (
                "EXTENSION",
                "42501",
                "aclcheck_error",
                "COMMENT ON EXTENSION x IS 'c'",
                Refusal::ExtensionComment,
                "--no-comments",
            ),
            (
                "TABLE",
                "42704",
                "find_option",
                "CREATE TABLE x ()",
                Refusal::UnknownSetting,
                "setting",
            ),
            (
                "TABLE",
                "42704",
                "get_collation_oid",
                "CREATE TABLE x ()",
                Refusal::MissingCollation,
                "locale",
            ),
            (
                "COLLATION",
                "22023",
                "",
                "CREATE COLLATION x",
                Refusal::MissingCollation,
                "locale",
            ),
            (
                "TABLE",
                "22023",
                "ExecSecLabelStmt",
                "SECURITY LABEL FOR p ON TABLE x IS 'l'",
                Refusal::MissingLabelProvider,
                "--no-security-labels",
            ),
            (
                "TABLE",
                "22023",
                "call_string_check_hook",
                "SET default_tablespace = fast",
                Refusal::MissingTablespace,
                "--no-tablespaces",
            ),
            (
                "TABLE",
                "22023",
                "call_string_check_hook",
                "SET default_table_access_method = c",
                Refusal::MissingAccessMethod,
                "--no-table-access-method",
            ),
            (
                "EXTENSION",
                "0A000",
                "",
                "CREATE EXTENSION x",
                Refusal::MissingExtension,
                "install",
            ),
            (
                "TABLE",
                "42501",
                "",
                "ALTER TABLE x OWNER TO o",
                Refusal::NoPrivilege,
                "--no-owner",
            ),
            (
                "PUBLICATION",
                "42501",
                "",
                "CREATE PUBLICATION x",
                Refusal::NoPrivilege,
                "--no-publications",
            ),
            (
                "ACCESS METHOD",
                "42501",
                "CreateAccessMethod",
                "CREATE ACCESS METHOD x TYPE TABLE HANDLER h",
                Refusal::NoPrivilege,
                "--no-table-access-method",
            ),
            (
                "TABLE DATA",
                "42501",
                "",
                "ALTER TABLE ONLY x DISABLE TRIGGER ALL",
                Refusal::NoPrivilege,
                "--superuser",
            ),
            (
                "TABLE",
                "2BP01",
                "",
                "DROP TABLE x",
                Refusal::StillNeeded,
                "drop it yourself",
            ),
            (
                "TABLE DATA",
                "23514",
                "ExecPartitionCheckEmitError",
                "COPY x FROM STDIN",
                Refusal::Partition,
                "--load-via-partition-root",
            ),
            (
                "FK CONSTRAINT",
                "23503",
                "ri_ReportViolation",
                "ALTER TABLE ONLY x ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES y(a)",
                Refusal::Constraint,
                "--use-list",
            ),
        ];
        for (kind, state, routine, statement, class, option) in cases {
            let entry = entry(kind);
            let found = Refusal::of(&refused(state, routine), &entry, statement);
            assert_eq!(found, class, "{kind} {state} {routine} {statement}");
            let hint = found.way_out(&entry, statement).unwrap();
            assert!(hint.contains(option), "{hint}");
        }
        for (state, class) in [
            ("42P01", Refusal::MissingObject),
            ("23503", Refusal::Constraint),
            ("XX000", Refusal::Other),
        ] {
            let found = Refusal::of(&refused(state, ""), &entry("TABLE"), "CREATE");
            assert_eq!(
                (found, found.way_out(&entry("TABLE"), "CREATE")),
                (class, None)
            );
        }
        let lost = Error::new(Kind::ConnectionLost, "gone");
        assert_eq!(Refusal::of(&lost, &entry("TABLE"), "x"), Refusal::Other);
    }
}
