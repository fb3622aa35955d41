//! Statements as a script that psql runs.
//!
//! Made for the schema members of an archive and for scripts: psql of the source's major or a
//! newer one runs them, also with `ON_ERROR_STOP`.

use crate::error::legible;
use crate::sql::{ServerVersion, ident, literal};

/// A titled group of statements, from whatever keeps them.
#[derive(Clone, Debug, Default)]
pub struct Item<'a> {
    /// What the comment above says; control characters in it are made harmless.
    pub title: String,
    /// Statements without a closing semicolon.
    pub statements: Vec<&'a str>,
    /// `default_tablespace` while they run; `Some("")` is the database's default, `None` leaves
    /// it as it is.
    pub tablespace: Option<&'a str>,
    /// `default_table_access_method` while they run; `None` leaves it as it is.
    pub access_method: Option<&'a str>,
}

/// The settings that a script starts with; only such as a server of the source's version knows.
/// `encoding` is the archive's client encoding.
pub fn header(source: ServerVersion, encoding: &str) -> String {
    let mut script = String::new();
    let mut set = |name: &str, value: &str| {
        script.push_str(&format!("SET {name} = {value};\n"));
    };
    set("statement_timeout", "0");
    set("lock_timeout", "0");
    set("idle_in_transaction_session_timeout", "0");
    if source.at_least(17) {
        set("transaction_timeout", "0");
    }
    set("client_encoding", &literal(encoding));
    set("standard_conforming_strings", "on");
    script.push_str("SELECT pg_catalog.set_config('search_path', '', false);\n");
    let mut set = |name: &str, value: &str| {
        script.push_str(&format!("SET {name} = {value};\n"));
    };
    set("check_function_bodies", "false");
    set("xmloption", "content");
    // Values and constants were written under these, and mean something else under others.
    set("lc_monetary", "'C'");
    set("array_nulls", "on");
    set("transform_null_equals", "off");
    set("client_min_messages", "warning");
    set("row_security", "off");
    script.push('\n');
    script
}

/// The items one after the other, the default tablespace and access method set where they
/// change.
pub fn section<'a>(items: impl IntoIterator<Item = Item<'a>>) -> String {
    let mut script = String::new();
    let mut defaults = Defaults::default();
    for item in items {
        defaults.item(&mut script, item);
    }
    script
}

/// What a script has set so far.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    tablespace: Option<String>,
    access_method: Option<String>,
}

impl Defaults {
    /// Adds an item to the script; the default tablespace and access method only where they change.
    pub fn item(&mut self, script: &mut String, item: Item<'_>) {
        if item.statements.is_empty() {
            return;
        }
        script.push_str(&format!("--\n-- {}\n--\n\n", comment_line(&item.title)));
        if let Some(wanted) = item.tablespace
            && self.tablespace.as_deref() != Some(wanted)
        {
            let value = if wanted.is_empty() {
                String::from("''")
            } else {
                ident(wanted)
            };
            script.push_str(&format!("SET default_tablespace = {value};\n\n"));
            self.tablespace = Some(wanted.to_owned());
        }
        if let Some(wanted) = item.access_method
            && self.access_method.as_deref() != Some(wanted)
        {
            let value = ident(wanted);
            script.push_str(&format!("SET default_table_access_method = {value};\n\n"));
            self.access_method = Some(wanted.to_owned());
        }
        for statement in item.statements {
            script.push_str(statement);
            script.push_str(";\n\n");
        }
    }
}

/// A text that cannot leave the comment line it is written to.
fn comment_line(text: &str) -> String {
    legible(text)
        .chars()
        .map(|c| {
            let breaks = c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            if breaks { ' ' } else { c }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn settings_are_those_that_the_source_knows() {
        let old = header(ServerVersion::from_num(160_004), "UTF8");
        assert!(!old.contains("transaction_timeout"));
        assert!(old.contains("SET client_encoding = 'UTF8';\n"));
        assert!(header(ServerVersion::from_num(170_000), "UTF8").contains("transaction_timeout"));
    }

    #[test]
    fn a_name_cannot_leave_its_comment_and_state_is_set_where_it_changes() {
        let item = |title: &str, tablespace, access_method| Item {
            title: title.to_owned(),
            statements: vec!["SELECT 1"],
            tablespace,
            access_method,
        };
        let script = section([
            item("TABLE a\r\n; DROP TABLE b\u{2028}", Some(""), Some("heap")),
            item("VIEW v", None, None),
            item("TABLE c", Some("Fast"), Some("heap")),
            Item {
                title: String::from("nothing"),
                ..Item::default()
            },
            item("INDEX d", Some(""), None),
        ]);
        assert_eq!(
            script,
            "--\n-- TABLE a  ; DROP TABLE b \n--\n\n\
             SET default_tablespace = '';\n\nSET default_table_access_method = heap;\n\n\
             SELECT 1;\n\n\
             --\n-- VIEW v\n--\n\nSELECT 1;\n\n\
             --\n-- TABLE c\n--\n\nSET default_tablespace = \"Fast\";\n\nSELECT 1;\n\n\
             --\n-- INDEX d\n--\n\nSET default_tablespace = '';\n\nSELECT 1;\n\n"
        );
    }
}
