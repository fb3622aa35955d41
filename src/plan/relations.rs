//! Which entry belongs to which relation.

use std::collections::{BTreeSet, HashMap};

use crate::archive::{DataSpec, Entry, EntryId};

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
    children: HashMap<EntryId, Vec<EntryId>>,
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
            attached: HashMap::new(),
        };
        for entry in entries {
            for (parent, child) in relations.parenthood(entry) {
                relations.children.entry(parent).or_default().push(child);
                if entry.kind == "TABLE ATTACH" {
                    relations.attached.insert(child, (parent, entry.id));
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

    /// Pairs of (parent, child) that an entry tells of.
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

    /// These relations and all their partitions and inheritance children, at any depth.
    pub(super) fn with_descendants(
        &self,
        roots: impl IntoIterator<Item = EntryId>,
    ) -> BTreeSet<EntryId> {
        let mut all = BTreeSet::new();
        let mut open: Vec<EntryId> = roots.into_iter().collect();
        while let Some(id) = open.pop() {
            if all.insert(id) {
                open.extend(self.children.get(&id).into_iter().flatten());
            }
        }
        all
    }
}
