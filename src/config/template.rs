//! The file that `init` writes: every key with what it is for, most of them commented out.

use std::fmt::Write as _;

use super::keys::{Form, KEYS, Key};

/// What stands above everything.
const HEAD: &str = "\
# Configuration of pgstow; docs/configuration.md has every key.
#
# What is said here holds for all jobs. Several databases: a table for each, in which any of the tables below
# can stand again, as in [jobs.shop.database] or [jobs.shop.store].
#
# Each key can be said by a variable: PGSTOW_STORE_LOCATION for location in [store], and for one job
# PGSTOW_JOB_SHOP_STORE_LOCATION. Passwords and keys need not stand here: password_file names a file,
# password_command a command that writes it.
";

/// The text of a file with these values, such as (`store.location`, `s3://…`), everything else
/// commented out.
pub fn template(values: &[(&str, &str)]) -> String {
    let mut text = String::from(HEAD);
    let mut section = "";
    for key in KEYS {
        let value = values.iter().find(|(name, _)| *name == key.full());
        if key.section != section {
            section = key.section;
            let mark = match section.ends_with(".*") {
                // An empty webhook would be one without a URL.
                true => "# ",
                false => "",
            };
            let shown = section.replace('*', "chat");
            put(&mut text, &format!("\n{mark}[{shown}]"));
        }
        put(
            &mut text,
            &format!("# {}", key.about.replace("](#retention)", "]")),
        );
        match value {
            Some((_, value)) => put(
                &mut text,
                &format!("{} = {}", key.name, written(key, value)),
            ),
            None => put(&mut text, &format!("# {} = {}", key.name, example(key))),
        }
    }
    text
}

fn put(text: &mut String, line: &str) {
    // Writing to a text does not fail.
    let _ = writeln!(text, "{line}");
}

fn quoted(text: &str) -> String {
    // What JSON escapes, TOML understands.
    serde_json::Value::from(text).to_string()
}

fn listed(text: &str) -> String {
    let items: Vec<String> = text.split(',').map(|item| quoted(item.trim())).collect();
    format!("[{}]", items.join(", "))
}

/// A value as the file has it.
fn written(key: &Key, value: &str) -> String {
    match key.form {
        Form::List(_) | Form::Paths => listed(value),
        Form::Flag | Form::Number(..) => value.to_owned(),
        _ => quoted(value),
    }
}

/// What stands behind a key that is commented out: its default, or something of its form.
fn example(key: &Key) -> String {
    if !key.default.is_empty() {
        return written(key, key.default);
    }
    match key.form {
        Form::List(_) | Form::Paths => "[]".to_owned(),
        Form::Flag => "false".to_owned(),
        Form::Number(least, _) => least.to_string(),
        Form::Headers => "{ }".to_owned(),
        _ => "\"\"".to_owned(),
    }
}
