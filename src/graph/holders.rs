//! Which tables hold a domain within another type.
//!
//! The server checks what is stored of a domain when a constraint is added to it, but only in
//! columns of the domain itself (or of a domain over it). Where a column holds it in an array, a
//! composite type, a row or a range, even of a table without rows, it refuses to add any.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

use super::inventory::{Inventory, Item, Standing};
use crate::model::{Class, Database, Oid, Relation, RelationKind, TypeDefinition};

/// Finds holders. Nothing is looked up before the first question, which few databases bring about.
pub(super) struct Holders<'a> {
    database: &'a Database,
    users: OnceCell<HashMap<Oid, Vec<User<'a>>>>,
}

/// What is made of a type.
#[derive(Clone, Copy)]
enum User<'a> {
    /// A domain over it.
    Domain(Oid),
    /// A type that contains it.
    Container(Oid),
    /// A relation with a column of it.
    Relation(&'a Relation),
}

impl<'a> Holders<'a> {
    pub fn of(database: &'a Database) -> Self {
        Self {
            database,
            users: OnceCell::new(),
        }
    }

    /// The tables and materialized views of the order that hold `domain` within another type.
    pub fn within_others(&self, inventory: &Inventory<'_>, domain: Oid) -> BTreeSet<u32> {
        let users = self.users.get_or_init(|| self.all_users());
        let mut holders = BTreeSet::new();
        let mut seen = BTreeSet::from([(domain, false)]);
        let mut pending = vec![(domain, false)];
        while let Some((ty, contained)) = pending.pop() {
            for user in users.get(&ty).into_iter().flatten() {
                let further = match *user {
                    User::Domain(over) => vec![(over, contained)],
                    User::Container(of) => vec![(of, true)],
                    User::Relation(relation) => {
                        if contained && has_storage(relation) {
                            holders.extend(inventory.relation(relation.header.address.oid));
                        }
                        vec![(relation.rowtype, true), (relation.rowtype_array, true)]
                    }
                };
                for next in further {
                    if seen.insert(next) {
                        pending.push(next);
                    }
                }
            }
        }
        holders.retain(|&holder| {
            let slot = inventory.slot(holder);
            slot.standing == Standing::Shown && matches!(slot.item, Item::Relation(_))
        });
        holders
    }

    /// The table that keeps a constraint from being added to `domain` once the table is there.
    pub fn table(&self, inventory: &Inventory<'_>, domain: Oid) -> Option<u32> {
        let holders = self.within_others(inventory, domain);
        holders.into_iter().find(|&holder| {
            matches!(inventory.slot(holder).item, Item::Relation(relation) if relation.view.is_none())
        })
    }

    fn all_users(&self) -> HashMap<Oid, Vec<User<'a>>> {
        let mut users: HashMap<Oid, Vec<User<'a>>> = HashMap::new();
        let mut composites = HashMap::new();
        let mut domains = BTreeSet::new();
        for ty in &self.database.types {
            let oid = ty.header.address.oid;
            let (of, user) = match &ty.definition {
                TypeDefinition::Array { element } => (*element, User::Container(oid)),
                TypeDefinition::Multirange { range } => (*range, User::Container(oid)),
                TypeDefinition::Domain(domain) => {
                    domains.insert(oid);
                    (domain.base_oid, User::Domain(oid))
                }
                TypeDefinition::Composite { relation, .. } => {
                    composites.insert(*relation, oid);
                    continue;
                }
                _ => continue,
            };
            users.entry(of).or_default().push(user);
        }
        for relation in &self.database.relations {
            for column in &relation.columns {
                let of = users.entry(column.type_oid).or_default();
                of.push(User::Relation(relation));
            }
        }
        // What composite types, ranges and base types are made of.
        for dependency in &self.database.dependencies {
            let object = dependency.object;
            let container = match object.class {
                Class::Type if !domains.contains(&object.oid) => Some(object.oid),
                Class::Relation => composites.get(&object.oid).copied(),
                _ => None,
            };
            if let Some(container) = container.filter(|_| dependency.on.class == Class::Type) {
                let of = users.entry(dependency.on.oid).or_default();
                of.push(User::Container(container));
            }
        }
        users
    }
}

fn has_storage(relation: &Relation) -> bool {
    matches!(
        relation.kind,
        RelationKind::Table | RelationKind::PartitionedTable | RelationKind::MaterializedView
    )
}
