//! Inheritance and partition trees.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::{Database, Oid, Relation};

/// Parents, children, and the roots through which rows are loaded.
pub(super) struct Trees<'a> {
    relations: HashMap<Oid, &'a Relation>,
    children: HashMap<Oid, Vec<Oid>>,
    /// For each table in a tree that is loaded through its root: that root.
    loaded_through: HashMap<Oid, Oid>,
}

impl<'a> Trees<'a> {
    pub fn of(database: &'a Database) -> Self {
        let mut trees = Self {
            relations: HashMap::new(),
            children: HashMap::new(),
            loaded_through: HashMap::new(),
        };
        for relation in &database.relations {
            let oid = relation.header.address.oid;
            trees.relations.insert(oid, relation);
            for parent in &relation.parents {
                trees.children.entry(parent.oid).or_default().push(oid);
            }
        }
        for relation in &database.relations {
            if let Some(root) = relation.load_via_root {
                let oid = relation.header.address.oid;
                for oid in trees.up_to(oid, root) {
                    trees.loaded_through.insert(oid, root);
                }
                trees.loaded_through.insert(root, root);
            }
        }
        trees
    }

    /// A partition and its ancestors below `root`.
    pub fn up_to(&self, oid: Oid, root: Oid) -> Vec<Oid> {
        let mut chain = Vec::new();
        let mut at = oid;
        while at != root && !chain.contains(&at) {
            chain.push(at);
            let parent = self
                .relations
                .get(&at)
                .and_then(|relation| relation.parents.first());
            match parent {
                Some(parent) => at = parent.oid,
                None => break,
            }
        }
        chain
    }

    /// Partitions of a table, and theirs.
    pub fn partitions(&self, oid: Oid) -> Vec<Oid> {
        self.below(oid, |relation| relation.partition_bound.is_some())
    }

    /// Partitions and inheritance children of a table, and theirs.
    pub fn descendants(&self, oid: Oid) -> Vec<Oid> {
        self.below(oid, |_| true)
    }

    fn below(&self, oid: Oid, follow: impl Fn(&Relation) -> bool) -> Vec<Oid> {
        let mut found = BTreeSet::new();
        let mut pending = vec![oid];
        while let Some(at) = pending.pop() {
            for &child in self.children.get(&at).into_iter().flatten() {
                if self.relations.get(&child).is_some_and(|x| follow(x)) && found.insert(child) {
                    pending.push(child);
                }
            }
        }
        found.into_iter().collect()
    }

    /// The root through which rows get into this table, if they do not go straight to it.
    pub fn loaded_through(&self, oid: Oid) -> Option<Oid> {
        self.loaded_through.get(&oid).copied()
    }

    /// For each root that rows are loaded through: the tables whose rows take that way.
    pub fn loaded_by_root(&self) -> BTreeMap<Oid, Vec<Oid>> {
        let mut by_root: BTreeMap<Oid, Vec<Oid>> = BTreeMap::new();
        for (&oid, relation) in &self.relations {
            if let Some(root) = relation.load_via_root {
                by_root.entry(root).or_default().push(oid);
            }
        }
        by_root
    }
}
