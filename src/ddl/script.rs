//! Statements as a script that psql runs.
//!
//! Made for the schema members of an archive and for scripts: psql of the source's major or a
//! newer one runs them, also with `ON_ERROR_STOP`.

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
    set("client_min_messages", "warning");
    set("row_security", "off");
    script.push('\n');
    script
}

/// The items one after the other, the default tablespace and access method set where they
/// change.
pub fn section<'a>(items: impl IntoIterator<Item = Item<'a>>) -> String {
    let mut script = String::new();
    let mut tablespace: Option<String> = None;
    let mut access_method: Option<String> = None;
    for item in items {
        if item.statements.is_empty() {
            continue;
        }
        script.push_str(&format!("--\n-- {}\n--\n\n", comment_line(&item.title)));
        if let Some(wanted) = item.tablespace
            && tablespace.as_deref() != Some(wanted)
        {
            let value = if wanted.is_empty() {
                String::from("''")
            } else {
                ident(wanted)
            };
            script.push_str(&format!("SET default_tablespace = {value};\n\n"));
            tablespace = Some(wanted.to_owned());
        }
        if let Some(wanted) = item.access_method
            && access_method.as_deref() != Some(wanted)
        {
            let value = ident(wanted);
            script.push_str(&format!("SET default_table_access_method = {value};\n\n"));
            access_method = Some(wanted.to_owned());
        }
        for statement in item.statements {
            script.push_str(statement);
            script.push_str(";\n\n");
        }
    }
    script
}

/// A text that cannot leave the comment line it is written to.
fn comment_line(text: &str) -> String {
    text.chars()
        .map(|c| {
            let breaks = c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            if breaks { ' ' } else { c }
        })
        .collect()
}
