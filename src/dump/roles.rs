//! Which roles an entry's statements name besides its owner, so that a restore can say in time
//! which of them its target lacks.

use std::collections::{BTreeSet, HashMap};

use crate::graph::Node;
use crate::model::{Address, Class, Database};

/// Roles by object, asked by node.
pub(super) struct NamedRoles<'a> {
    by_address: HashMap<Address, BTreeSet<&'a str>>,
    by_group: Vec<BTreeSet<&'a str>>,
}

impl<'a> NamedRoles<'a> {
    pub fn new(database: &'a Database) -> Self {
        let mut by_address: HashMap<Address, BTreeSet<&str>> = HashMap::new();
        macro_rules! add {
            ($($list:ident),*) => {$(
                for object in &database.$list {
                    let header = &object.header;
                    let named = header.acl.named_roles(header.owner.as_deref());
                    if !named.is_empty() {
                        by_address.entry(header.address).or_default().extend(named);
                    }
                }
            )*};
        }
        add!(
            schemas,
            languages,
            types,
            functions,
            aggregates,
            relations,
            foreign_data_wrappers,
            foreign_servers
        );
        for mapping in &database.user_mappings {
            let role = mapping.role.as_deref();
            by_address.insert(mapping.header.address, role.into_iter().collect());
        }
        for relation in &database.relations {
            let named: BTreeSet<&str> = relation
                .columns
                .iter()
                .map(|column| &column.settings().acl)
                .chain(relation.system_columns.iter().map(|(_, acl)| acl))
                .flat_map(|acl| acl.named_roles(relation.header.owner.as_deref()))
                .collect();
            if !named.is_empty() {
                let roles = by_address.entry(relation.header.address).or_default();
                roles.extend(named);
            }
        }
        for policy in &database.policies {
            let roles = policy.roles.iter().map(String::as_str);
            by_address.insert(policy.header.address, roles.collect());
        }
        for default in &database.default_acls {
            let mut roles = default.acl.named_roles(None);
            roles.insert(&default.role);
            by_address.insert(Address::new(Class::DefaultAcl, default.oid), roles);
        }
        let groups = database.large_objects.iter();
        Self {
            by_address,
            by_group: groups
                .map(|group| group.acl.named_roles(Some(&group.owner)))
                .collect(),
        }
    }

    /// In the order of their names.
    pub fn of(&self, node: Node) -> Vec<String> {
        let roles = match node {
            Node::Object(address) => self.by_address.get(&address),
            Node::LargeObjects(group) => self.by_group.get(group as usize),
            _ => None,
        };
        let roles = roles.into_iter().flatten();
        roles.map(|role| (*role).to_owned()).collect()
    }
}
