//! The schema as scripts: the entries' statements in the order in which a restore runs them.

use crate::archive::{Codec, Entry, PackedScripts, Pass, Section};
use crate::ddl::script::{Defaults, Item, section};
use crate::error::Result;

/// So much of a script is gathered before it is packed.
const GATHERED: usize = 64 << 10;

/// Both scripts of a database, entry by entry.
///
/// What must run before rows are loaded: definitions with owners, comments and labels. What must run after:
/// definitions of the post-data section, then privileges (which may take away what is still needed
/// before), then event triggers and refreshes.
pub(super) struct Scripts {
    packed: PackedScripts,
    before: Part,
    after: Part,
    privileges: Part,
    /// Default privileges, behind all others.
    granting: Vec<Entry>,
    last: Vec<Entry>,
}

/// A part of a script: what of it was not packed yet, and what it has set so far.
#[derive(Default)]
struct Part {
    text: String,
    defaults: Defaults,
}

impl Part {
    fn behind(header: &str) -> Self {
        Self {
            text: header.to_owned(),
            ..Self::default()
        }
    }

    fn push(&mut self, item: Item<'_>) {
        self.defaults.item(&mut self.text, item);
    }
}

impl Scripts {
    /// Both with `header` in front.
    pub fn new(codec: Codec, header: &str) -> Self {
        Self {
            packed: PackedScripts::new(codec),
            before: Part::behind(header),
            after: Part::behind(header),
            privileges: Part::default(),
            granting: Vec::new(),
            last: Vec::new(),
        }
    }

    /// Takes the next entry.
    pub fn push(&mut self, entry: &Entry) -> Result<()> {
        match (entry.pass, entry.section) {
            (Pass::Main, Section::PreData) => {
                self.before.push(item(entry, statements(entry)));
                if self.before.text.len() > GATHERED {
                    self.packed.push_pre_data(&self.before.text)?;
                    self.before.text.clear();
                }
            }
            (Pass::Main, Section::PostData) => {
                self.after.push(item(entry, statements(entry)));
                if self.after.text.len() > GATHERED {
                    self.packed.push_post_data(&self.after.text)?;
                    self.after.text.clear();
                }
            }
            (Pass::Main, Section::Data) => {}
            (Pass::Privileges | Pass::Last, _) if statements(entry).is_empty() => {}
            (Pass::Privileges, _) => self.granting.push(entry.clone()),
            (Pass::Last, _) => self.last.push(entry.clone()),
        }
        self.privileges.push(privileges(entry));
        Ok(())
    }

    /// What is left, behind all else.
    pub fn finish(self) -> Result<PackedScripts> {
        let Self {
            mut packed,
            before,
            after,
            mut privileges,
            granting,
            last,
        } = self;
        packed.push_pre_data(&before.text)?;
        packed.push_post_data(&after.text)?;
        for entry in &granting {
            privileges.push(item(entry, statements(entry)));
        }
        packed.push_post_data(&privileges.text)?;
        let last = last.iter().map(|entry| item(entry, statements(entry)));
        packed.push_post_data(&section(last))?;
        Ok(packed)
    }
}

/// Globals in their order, each with its privileges.
pub(crate) fn globals(entries: &[Entry]) -> String {
    section(entries.iter().map(|entry| {
        let mut all = statements(entry);
        all.extend(entry.privileges.iter().map(String::as_str));
        item(entry, all)
    }))
}

fn privileges(entry: &Entry) -> Item<'_> {
    item(entry, entry.privileges.iter().map(String::as_str).collect())
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
        // Without statements nobody asks for it.
        title: match statements.is_empty() {
            true => String::new(),
            false => entry.describe(),
        },
        statements,
        tablespace: entry.tablespace.as_deref(),
        access_method: entry.access_method.as_deref(),
    }
}
