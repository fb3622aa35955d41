//! Entries: what the table of contents of an archive lists.
//!
//! An entry is one restorable object (or the data of one). Its statements are kept apart by
//! purpose, each list element exactly one SQL statement without a closing semicolon, so that a
//! restore can leave out owners or privileges without reading SQL.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::one_line;
use crate::sql::{ServerVersion, literal};

pub use crate::sql::LockMode;

/// Number of an entry in its archive: 1, 2, … in an order that is a correct serial restore order.
pub type EntryId = u32;

/// The part of a restore that an entry belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// Definitions that must stand before rows can be loaded.
    PreData,
    /// Rows, sequence values, large objects.
    Data,
    /// Indexes, constraints, triggers, and all that is better made after the rows.
    PostData,
}

/// When within a restore an entry is processed, whatever its section.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Pass {
    /// With everything else.
    #[default]
    Main,
    /// With the privileges: default privileges, which must not touch objects being created.
    Privileges,
    /// At the very end: event triggers, refreshes of materialized views.
    Last,
}

/// A lock that an entry's statements take on a relation made by another entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The relation's entry.
    pub on: EntryId,
    /// The strongest mode taken.
    pub mode: LockMode,
}

/// One transaction of those that make an entry together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Its statements.
    pub create: Vec<String>,
    /// Locks that they take on other entries' relations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<Lock>,
}

/// Format of COPY data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CopyFormat {
    /// `FORMAT text`
    Text,
    /// `FORMAT binary`
    Binary,
}

/// What frames an entry has, and how they are read from and written to a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum DataSpec {
    /// Rows of one table, as a COPY stream.
    Table {
        /// Format of every frame.
        format: CopyFormat,
        /// Column names in the order of the stream.
        columns: Vec<String>,
        /// With binary frames: the types that the values are sent as, in the same order, as the source
        /// names them under an empty `search_path`. No modifiers, and the base types of domains. Archives
        /// of earlier versions do not say.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        types: Vec<String>,
        /// The types that the columns were declared with, in the same order, modifiers included; empty for one
        /// that is what `types` says. Archives of earlier versions do not say.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        declared: Vec<String>,
        /// The statement that reads the rows again from a live database: `COPY … TO STDOUT …`.
        copy_out: String,
        /// The statement that loads a frame: `COPY … FROM STDIN …`.
        copy_in: String,
    },
    /// Contents of large objects: binary COPY rows of (`oid`, `int8` byte offset, `bytea`).
    LargeObjects,
    /// Planner statistics of some relations, one JSON object a line
    /// ([`RelationStatistics`](super::RelationStatistics)).
    Statistics {
        /// The relations, each with one line in some frame.
        relations: Vec<StatisticsOf>,
    },
}

/// A relation whose statistics are in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StatisticsOf {
    /// One that the archive makes: the entry of the table, materialized view or index (for an index
    /// that stands behind a constraint, that of the constraint).
    Entry(EntryId),
    /// One that the archive does not make.
    Named {
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
        /// Its table, when it is an index.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        table: Option<String>,
    },
}

/// For each entry with data that must not be loaded before others: those others. An archive keeps
/// to it too: no frame of an entry comes before the `complete.json` of what it waits for, so that a
/// pipe can be loaded as it comes.
pub fn rows_first(entries: &[Entry]) -> BTreeMap<EntryId, BTreeSet<EntryId>> {
    let mut found = RowsFirst::default();
    entries.iter().for_each(|entry| found.push(entry));
    found.into_found()
}

/// What [`rows_first`] finds, entry by entry in their order.
#[derive(Default)]
pub(super) struct RowsFirst {
    /// What an entry stands for: its own data, or without any, within the same section, what it
    /// waits for itself.
    stands_for: BTreeMap<EntryId, BTreeSet<EntryId>>,
    found: BTreeMap<EntryId, BTreeSet<EntryId>>,
}

impl RowsFirst {
    pub(super) fn push(&mut self, entry: &Entry) {
        if entry.section != Section::Data {
            return;
        }
        let before: BTreeSet<EntryId> = entry
            .depends_on
            .iter()
            .filter_map(|id| self.stands_for.get(id))
            .flatten()
            .copied()
            .collect();
        if entry.data.is_none() {
            self.stands_for.insert(entry.id, before);
            return;
        }
        self.stands_for.insert(entry.id, BTreeSet::from([entry.id]));
        if !before.is_empty() {
            self.found.insert(entry.id, before);
        }
    }

    pub(super) fn found(&self) -> &BTreeMap<EntryId, BTreeSet<EntryId>> {
        &self.found
    }

    pub(super) fn into_found(self) -> BTreeMap<EntryId, BTreeSet<EntryId>> {
        self.found
    }
}

/// What is different about an entry on some range of majors other than the source's. A list that
/// is there takes the place of the entry's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// The first major that it is for; none for all before `before`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u32>,
    /// The first major that it is no longer for; none for all from `since` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u32>,
    /// Instead of [`Entry::create`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<Vec<String>>,
    /// Instead of [`Entry::drop`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<Vec<String>>,
    /// Instead of [`Entry::set_owner`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_owner: Option<Vec<String>>,
    /// Instead of [`Entry::privileges`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privileges: Option<Vec<String>>,
    /// Instead of [`Entry::comments`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comments: Option<Vec<String>>,
    /// Instead of [`Entry::labels`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// What is lost, or another way than on the source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What those majors do not know, so that the object cannot be made there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impossible: Option<String>,
}

impl Form {
    /// Whether it is for servers of this version.
    pub fn is_for(&self, version: ServerVersion) -> bool {
        self.since.is_none_or(|since| version.at_least(since))
            && self.before.is_none_or(|before| !version.at_least(before))
    }
}

/// One line of the table of contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number.
    pub id: EntryId,
    /// Its kind, in pg_dump's terms: `TABLE`, `TABLE DATA`, `FK CONSTRAINT`, …
    pub kind: String,
    /// The schema, for objects that live in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The object's name; for functions with its identity arguments: `f(integer, text)`.
    pub name: String,
    /// Name of the relation (in the same schema) that the object hangs on: the table of a trigger,
    /// an index, a constraint, a policy, of data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relation: Option<String>,
    /// The owner, for objects that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Roles other than the owner that must exist: those that `privileges` name or, in an entry
    /// without privileges, those that `create` names. `PUBLIC` is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// The version that an extension has on the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its section.
    pub section: Section,
    /// Its pass.
    #[serde(default)]
    pub pass: Pass,
    /// Entries that must be complete before this one starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<EntryId>,
    /// Locks taken on other entries' relations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<Lock>,
    /// `default_tablespace` while `create` runs; `Some("")` is the database's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tablespace: Option<String>,
    /// `default_table_access_method` while `create` runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_method: Option<String>,
    /// Statements that make the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub create: Vec<String>,
    /// Another way to make it than `create` in one transaction: so many transactions in this order, of
    /// which the long ones take weaker locks than `locks` says. Empty when there is none. It depends on
    /// the table's size, and so stands in the manifest.
    #[serde(skip)]
    pub split: Vec<Piece>,
    /// Statements that drop it, written with `IF EXISTS` wherever SQL has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
    /// Statements that set its owner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_owner: Vec<String>,
    /// GRANT and REVOKE statements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub privileges: Vec<String>,
    /// COMMENT statements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<String>,
    /// SECURITY LABEL statements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Rows or large objects that belong to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataSpec>,
    /// How it is made on other majors, where that differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forms: Vec<Form>,
}

/// Kinds whose statements can hold a password: settings of a user's own, too, may be a key.
const SECRET_KINDS: [&str; 8] = [
    "DATABASE PROPERTIES",
    "FOREIGN TABLE",
    "ROLE SETTINGS",
    "ROLE PASSWORD",
    "USER MAPPING",
    "SERVER",
    "FOREIGN DATA WRAPPER",
    "SUBSCRIPTION",
];

impl Entry {
    /// An entry of the main pass with nothing in it yet.
    pub fn new(id: EntryId, kind: &str, name: &str, section: Section) -> Self {
        Self {
            id,
            kind: kind.to_owned(),
            schema: None,
            name: name.to_owned(),
            relation: None,
            owner: None,
            section,
            pass: Pass::Main,
            depends_on: Vec::new(),
            locks: Vec::new(),
            tablespace: None,
            access_method: None,
            create: Vec::new(),
            split: Vec::new(),
            drop: Vec::new(),
            set_owner: Vec::new(),
            privileges: Vec::new(),
            comments: Vec::new(),
            labels: Vec::new(),
            roles: Vec::new(),
            version: None,
            data: None,
            forms: Vec::new(),
        }
    }

    /// Gives back what its lists have room for and do not hold: of each list that is read most is empty.
    pub(super) fn tighten(&mut self) {
        let Self {
            roles,
            depends_on,
            locks,
            create,
            drop,
            set_owner,
            privileges,
            comments,
            labels,
            data,
            forms,
            ..
        } = self;
        depends_on.shrink_to_fit();
        locks.shrink_to_fit();
        forms.shrink_to_fit();
        for list in [roles, create, drop, set_owner, privileges, comments, labels] {
            list.shrink_to_fit();
        }
        if let Some(DataSpec::Table {
            columns,
            types,
            declared,
            ..
        }) = data
        {
            columns.shrink_to_fit();
            types.shrink_to_fit();
            declared.shrink_to_fit();
        }
    }

    /// What there is to know of it to tell its frames from others: neither statements nor dependencies.
    pub(super) fn of_frames(&self) -> Self {
        Self {
            schema: self.schema.clone(),
            relation: self.relation.clone(),
            data: self.data.clone(),
            ..Self::new(self.id, &self.kind, &self.name, self.section)
        }
    }

    /// Every lock that any way to make it takes.
    pub fn all_locks(&self) -> impl Iterator<Item = &Lock> {
        let pieces = self.split.iter().flat_map(|piece| &piece.locks);
        self.locks.iter().chain(pieces)
    }

    /// Whether this is nothing but comments or security labels on something that the archive does
    /// not make: an object of the system or of an extension, which a target may not have.
    pub fn is_remark(&self) -> bool {
        matches!(self.kind.as_str(), "COMMENT" | "SECURITY LABEL") && self.create.is_empty()
    }

    /// Has an extension made in the version that it has on the source, whatever the target's
    /// default is.
    pub fn pin_version(&mut self) {
        let Some(version) = &self.version else {
            return;
        };
        let pin = format!(" VERSION {}", literal(version));
        for create in &mut self.create {
            if create.starts_with("CREATE EXTENSION ") && !create.ends_with(&pin) {
                create.push_str(&pin);
            }
        }
    }

    /// Whether its frames hold planner statistics: those stand behind the frames of all entries of
    /// other sorts, so that a restore from a pipe, which needs them last, need not keep them.
    pub fn has_statistics(&self) -> bool {
        matches!(self.data, Some(DataSpec::Statistics { .. }))
    }

    /// Whether its statements may hold a password, and so must not be shown.
    pub fn may_hold_secret(&self) -> bool {
        SECRET_KINDS.contains(&self.kind.as_str())
    }

    /// What is different about it on servers of this version, if anything is.
    pub fn form_for(&self, version: ServerVersion) -> Option<&Form> {
        self.forms.iter().find(|form| form.is_for(version))
    }

    /// `KIND schema.name` for messages, with control characters made visible.
    pub fn describe(&self) -> String {
        let mut text = self.kind.clone();
        text.push(' ');
        if let Some(schema) = &self.schema {
            text.push_str(schema);
            text.push('.');
        }
        if let Some(relation) = self.relation.as_ref().filter(|_| self.data.is_none()) {
            text.push_str(relation);
            text.push(' ');
        }
        text.push_str(&self.name);
        one_line(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: EntryId, section: Section, depends_on: &[EntryId], has_data: bool) -> Entry {
        Entry {
            depends_on: depends_on.to_vec(),
            data: has_data.then_some(DataSpec::LargeObjects),
            ..Entry::new(id, "", "", section)
        }
    }

    #[test]
    fn rows_that_come_first_are_found_through_entries_without_rows() {
        let entries = [
            entry(1, Section::PreData, &[], false),
            entry(2, Section::Data, &[1], true),
            entry(3, Section::Data, &[2], false),
            entry(4, Section::Data, &[1, 3], true),
            entry(5, Section::Data, &[1], true),
            entry(6, Section::PostData, &[4], false),
        ];
        assert_eq!(
            rows_first(&entries),
            BTreeMap::from([(4, BTreeSet::from([2]))])
        );
    }
}
