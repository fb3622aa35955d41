//! The schema as scripts: the entries' statements in the order in which a restore runs them.

use crate::archive::{Entry, Pass, Scripts, Section};
use crate::ddl::script::{Item, section};
use crate::error::{Error, Kind, Result};

/// Both scripts of a database, side by side, each with `header` in front.
///
/// # Errors
/// When there is no thread to be had.
pub(crate) fn both(header: &str, entries: &[Entry]) -> Result<Scripts> {
    std::thread::scope(|scope| {
        let name = String::from("scripts");
        let post = std::thread::Builder::new()
            .name(name)
            .spawn_scoped(scope, || header.to_owned() + &post_data(entries))
            .map_err(|error| Error::new(Kind::Failed, format!("thread: {error}")))?;
        let pre_data = header.to_owned() + &pre_data(entries);
        let post_data = post
            .join()
            .map_err(|_| Error::new(Kind::Failed, "a thread has stopped"))?;
        Ok(Scripts {
            pre_data,
            post_data,
        })
    })
}

/// What must run before rows are loaded: definitions with owners, comments and labels.
pub(crate) fn pre_data(entries: &[Entry]) -> String {
    definitions(entries, Section::PreData)
}

/// What must run after: definitions of the post-data section, then privileges (which may take away
/// what is still needed before), then event triggers and refreshes.
pub(crate) fn post_data(entries: &[Entry]) -> String {
    let mut script = definitions(entries, Section::PostData);
    let granting = entries
        .iter()
        .filter(|entry| entry.pass == Pass::Privileges);
    let default_privileges = granting.map(|entry| item(entry, statements(entry)));
    script.push_str(&section(
        entries
            .iter()
            .map(|entry| item(entry, entry.privileges.iter().map(String::as_str).collect()))
            .chain(default_privileges),
    ));
    let last = entries.iter().filter(|entry| entry.pass == Pass::Last);
    script.push_str(&section(last.map(|entry| item(entry, statements(entry)))));
    script
}

/// Globals in their order, each with its privileges.
pub(crate) fn globals(entries: &[Entry]) -> String {
    section(entries.iter().map(|entry| {
        let mut all = statements(entry);
        all.extend(entry.privileges.iter().map(String::as_str));
        item(entry, all)
    }))
}

fn definitions(entries: &[Entry], wanted: Section) -> String {
    section(
        entries
            .iter()
            .filter(|entry| entry.section == wanted && entry.pass == Pass::Main)
            .map(|entry| item(entry, statements(entry))),
    )
}

/// What makes an entry, its privileges apart.
fn statements(entry: &Entry) -> Vec<&str> {
    [
        &entry.create,
        &entry.set_owner,
        &entry.comments,
        &entry.labels,
    ]
    .into_iter()
    .flatten()
    .map(String::as_str)
    .collect()
}

fn item<'a>(entry: &'a Entry, statements: Vec<&'a str>) -> Item<'a> {
    Item {
        title: entry.describe(),
        statements,
        tablespace: entry.tablespace.as_deref(),
        access_method: entry.access_method.as_deref(),
    }
}
