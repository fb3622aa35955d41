//! Which entry belongs to which relation.

use std::collections::{BTreeSet, HashMap};

use crate::archive::{DataSpec, Entry, EntryId};
use crate::sql::{Quoting, ident, qualified};

/// Kinds of entries that make a relation other entries can hang on.
const RELATION_KINDS: [&str; 5] = [
    "TABLE",
    "FOREIGN TABLE",
    "VIEW",
    "MATERIALIZED VIEW",
    "SEQUENCE",
];

pub(super) fn is_relation(entry: &Entry) -> bool {
    RELATION_KINDS.contains(&entry.kind.as_str())
}

/// The relations of an archive, their rows, and their partitions and inheritance children.
pub(super) struct Relations<'a> {
    entries: &'a [Entry],
    by_name: HashMap<(Option<&'a str>, &'a str), EntryId>,
    rows: HashMap<EntryId, Vec<EntryId>>,
    /// All that may be a child: a lock on the one may meet one on the other.
    children: HashMap<EntryId, Vec<EntryId>>,
    /// What is a partition or inherits for certain: what goes by its parent's name.
    heirs: HashMap<EntryId, Vec<EntryId>>,
    /// For each partition its parent, and what attaches it.
    attached: HashMap<EntryId, (EntryId, EntryId)>,
}

impl<'a> Relations<'a> {
    pub(super) fn new(entries: &'a [Entry]) -> Self {
        let by_name = entries
            .iter()
            .filter(|entry| is_relation(entry))
            .map(|entry| ((entry.schema.as_deref(), entry.name.as_str()), entry.id))
            .collect();
        let mut relations = Self {
            entries,
            by_name,
            rows: HashMap::new(),
            children: HashMap::new(),
            heirs: HashMap::new(),
            attached: HashMap::new(),
        };
        for entry in entries {
            for (parent, child) in relations.parenthood(entry) {
                relations.children.entry(parent).or_default().push(child);
                let attaches = entry.kind == "TABLE ATTACH";
                if attaches {
                    relations.attached.insert(child, (parent, entry.id));
                }
                if attaches
                    || relations
                        .entry(parent)
                        .is_some_and(|it| inherits(entry, it))
                {
                    relations.heirs.entry(parent).or_default().push(child);
                }
            }
        }
        for entry in entries {
            for table in relations.written_by(entry) {
                relations.rows.entry(table).or_default().push(entry.id);
            }
        }
        relations
    }

    /// The relations that rows of an entry may end up in: its own, and when they are loaded through
    /// the root of a partition tree, all of that tree.
    pub(super) fn written_by(&self, entry: &Entry) -> BTreeSet<EntryId> {
        if !matches!(entry.data, Some(DataSpec::Table { .. })) {
            return BTreeSet::new();
        }
        let own = self.relation_of(entry);
        let roots = entry
            .depends_on
            .iter()
            .copied()
            .filter(|&id| self.is_relation_id(id) && Some(id) != own);
        let mut written = self.with_descendants(roots);
        written.extend(own);
        written
    }

    /// The table that a partition is attached to, and the entry that attaches it.
    pub(super) fn attached_to(&self, partition: EntryId) -> Option<(EntryId, EntryId)> {
        self.attached.get(&partition).copied()
    }

    /// A relation and all its partitions, at any depth.
    pub(super) fn with_partitions(&self, root: EntryId) -> BTreeSet<EntryId> {
        let mut all = self.with_heirs([root]);
        all.retain(|id| *id == root || self.attached.contains_key(id));
        all
    }

    fn entry(&self, id: EntryId) -> Option<&'a Entry> {
        self.entries.get((id as usize).checked_sub(1)?)
    }

    fn is_relation_id(&self, id: EntryId) -> bool {
        self.entry(id).is_some_and(is_relation)
    }

    /// The relation that an entry hangs on, by name.
    pub(super) fn relation_of(&self, entry: &Entry) -> Option<EntryId> {
        let name = match (&entry.relation, &entry.data) {
            (Some(relation), _) => relation,
            (None, Some(DataSpec::Table { .. })) => &entry.name,
            (None, _) => return None,
        };
        let key = (entry.schema.as_deref(), name.as_str());
        self.by_name.get(&key).copied()
    }

    /// Pairs of (parent, child) that an entry tells of. A table is taken for a child of all that it
    /// needs, a sequence or the table that one of its columns is a row of: that holds up more than
    /// it must, never less.
    fn parenthood(&self, entry: &Entry) -> Vec<(EntryId, EntryId)> {
        let tables = || {
            entry
                .depends_on
                .iter()
                .copied()
                .filter(|&id| self.is_relation_id(id))
        };
        match entry.kind.as_str() {
            "TABLE" | "FOREIGN TABLE" => tables().map(|parent| (parent, entry.id)).collect(),
            "TABLE ATTACH" => {
                let schema = entry.schema.as_deref();
                let named = |name: &str| self.by_name.get(&(schema, name)).copied();
                let child = entry
                    .relation
                    .as_deref()
                    .and_then(named)
                    .filter(|&id| entry.depends_on.contains(&id) && self.is_attached(entry, id))
                    .or_else(|| named(&entry.name));
                match child {
                    Some(child) => tables()
                        .filter(|&parent| parent != child)
                        .map(|parent| (parent, child))
                        .collect(),
                    None => Vec::new(),
                }
            }
            _ => Vec::new(),
        }
    }

    /// Whether `id` is what a `TABLE ATTACH` attaches: the entry bears its name.
    fn is_attached(&self, entry: &Entry, id: EntryId) -> bool {
        self.entry(id).is_some_and(|table| table.name == entry.name)
    }

    /// Entries with rows that may end up in a relation.
    pub(super) fn rows_of(&self, relation: EntryId) -> &[EntryId] {
        self.rows.get(&relation).map_or(&[], Vec::as_slice)
    }

    /// The relations that an entry other than a relation touches, whether restored or not: the
    /// one it hangs on, those it locks, those it depends on.
    pub(super) fn touched(&self, entry: &Entry) -> BTreeSet<EntryId> {
        let mut touched: BTreeSet<EntryId> = entry
            .depends_on
            .iter()
            .copied()
            .chain(entry.locks.iter().map(|lock| lock.on))
            .filter(|&id| self.is_relation_id(id))
            .collect();
        touched.extend(self.relation_of(entry));
        touched
    }

    /// These relations and all that may be a partition or inheritance child of them, at any depth:
    /// for locks and the order of rows.
    pub(super) fn with_descendants(
        &self,
        roots: impl IntoIterator<Item = EntryId>,
    ) -> BTreeSet<EntryId> {
        reach(&self.children, roots)
    }

    /// These relations and all that is a partition or inheritance child of them, at any depth: for
    /// what is selected with them.
    pub(super) fn with_heirs(&self, roots: impl IntoIterator<Item = EntryId>) -> BTreeSet<EntryId> {
        reach(&self.heirs, roots)
    }
}

fn reach(
    edges: &HashMap<EntryId, Vec<EntryId>>,
    roots: impl IntoIterator<Item = EntryId>,
) -> BTreeSet<EntryId> {
    let mut all = BTreeSet::new();
    let mut open: Vec<EntryId> = roots.into_iter().collect();
    while let Some(id) = open.pop() {
        if all.insert(id) {
            open.extend(edges.get(&id).into_iter().flatten());
        }
    }
    all
}

/// Whether the statements of a table make it a child of another: an entry has no other word of it.
fn inherits(table: &Entry, parent: &Entry) -> bool {
    if !matches!(parent.kind.as_str(), "TABLE" | "FOREIGN TABLE") {
        return false;
    }
    [Quoting::WhereNeeded, Quoting::Always]
        .iter()
        .any(|quoting| {
            let name = quoting.scope(|| match &parent.schema {
                Some(schema) => qualified(schema, &parent.name),
                None => ident(&parent.name),
            });
            let joins = format!(" INHERIT {name}");
            table.create.iter().any(|statement| {
                inherited(statement).contains(&name.as_str())
                    || statement.starts_with("ALTER ") && statement.ends_with(&joins)
            })
        })
}

/// The names in the `INHERITS (…)` of a `CREATE TABLE`, as they are written there.
fn inherited(create: &str) -> Vec<&str> {
    // Behind the columns, whose defaults may hold any text.
    let Some((_, list)) = create.rsplit_once("\n)\nINHERITS (") else {
        return Vec::new();
    };
    let mut names = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for (at, character) in list.char_indices() {
        match character {
            '"' => quoted = !quoted,
            ',' | ')' if !quoted => {
                names.push(list[start..at].trim_start());
                start = at + 1;
                if character == ')' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}
