//! The model, indexed the way rendering looks things up.

use std::collections::{HashMap, HashSet};
use std::ops::Deref;

use crate::error::{Error, Kind, Result};
use crate::graph::{Node, Order};
use crate::model::{
    Address, Aggregate, Check, Class, Column, Database, DefaultAcl, Domain, DomainConstraint,
    Index, NotNull, Oid, Relation, RelationKind, Type, TypeDefinition,
};

use super::target::Target;

/// A constraint that a [`Node::SeparateConstraint`] may name, and what it stands on.
#[derive(Clone, Copy)]
pub(super) enum Separable<'a> {
    Check(&'a Relation, &'a Check),
    NotNull(&'a Relation, &'a Column, &'a NotNull),
    Domain(&'a Type, &'a DomainConstraint),
}

/// What a rendering looks into, and for whom it is. Threads that render have one each.
pub(super) struct Context<'a> {
    lookup: &'a Lookup<'a>,
    /// Who is to run the statements.
    pub target: Target,
}

impl<'a> Context<'a> {
    pub fn new(lookup: &'a Lookup<'a>) -> Self {
        Self {
            lookup,
            target: Target::new(lookup.database.version),
        }
    }
}

impl<'a> Deref for Context<'a> {
    type Target = Lookup<'a>;

    fn deref(&self) -> &Lookup<'a> {
        self.lookup
    }
}

/// The model and the order, with indexes by OID. Only looked up by key, never iterated, so the
/// hash maps' order cannot leak into the output.
pub(super) struct Lookup<'a> {
    pub database: &'a Database,
    order: &'a Order,
    nodes: HashSet<Node>,
    relations: HashMap<Oid, &'a Relation>,
    indexes: HashMap<Oid, &'a Index>,
    index_constraints: HashMap<Oid, &'a Index>,
    types: HashMap<Oid, &'a Type>,
    /// Users' multirange types, by schema and name.
    multiranges: HashSet<(&'a str, &'a str)>,
    /// The same by their range types.
    multiranges_of: HashMap<Oid, &'a Type>,
    aggregates: HashMap<Oid, &'a Aggregate>,
    defaults: HashMap<Oid, (&'a Relation, &'a Column)>,
    separable: HashMap<Oid, Separable<'a>>,
    children: HashMap<Oid, Vec<Oid>>,
    positions: HashMap<Address, usize>,
    adopted: HashSet<Oid>,
    written: HashMap<Address, Vec<Oid>>,
    constraint_names: HashMap<(Option<&'a str>, &'a str), usize>,
    above_constraints: HashSet<Oid>,
}

impl<'a> Lookup<'a> {
    pub fn new(database: &'a Database, order: &'a Order) -> Self {
        let mut lookup = Self {
            database,
            order,
            nodes: order.nodes.iter().map(|ordered| ordered.node).collect(),
            relations: HashMap::with_capacity(database.relations.len()),
            indexes: HashMap::with_capacity(database.indexes.len()),
            index_constraints: HashMap::new(),
            types: HashMap::with_capacity(database.types.len()),
            multiranges: HashSet::new(),
            multiranges_of: HashMap::new(),
            aggregates: database
                .aggregates
                .iter()
                .map(|aggregate| (aggregate.header.address.oid, aggregate))
                .collect(),
            defaults: HashMap::new(),
            separable: HashMap::new(),
            children: HashMap::new(),
            positions: HashMap::new(),
            adopted: HashSet::new(),
            written: HashMap::new(),
            constraint_names: HashMap::new(),
            above_constraints: HashSet::new(),
        };
        for relation in &database.relations {
            lookup.add_relation(relation);
        }
        for index in &database.indexes {
            lookup.indexes.insert(index.header.address.oid, index);
            if let Some(constraint) = &index.constraint {
                lookup.index_constraints.insert(constraint.oid, index);
            }
        }
        for type_ in &database.types {
            lookup.add_type(type_);
        }
        lookup.add_positions();
        for dependency in &database.dependencies {
            let object = dependency.object;
            let may_write = object.class == Class::Rule
                || order.splits.postponed.contains(&object)
                || object.class == Class::Function
                    && order.splits.declared_functions.contains(&object.oid);
            if may_write && dependency.on.class == Class::Relation {
                let relations = lookup.written.entry(object).or_default();
                relations.push(dependency.on.oid);
            }
        }
        let adopted = database.relations.iter().filter(|r| lookup.joined_later(r));
        lookup.adopted = adopted.map(|r| r.header.address.oid).collect();
        lookup.add_constraint_names();
        lookup.add_above_constraints();
        lookup
    }

    fn add_above_constraints(&mut self) {
        for index in &self.database.indexes {
            let mut parent = index.parent.filter(|_| index.constraint.is_some());
            while let Some(oid) = parent {
                if !self.above_constraints.insert(oid) {
                    break;
                }
                parent = self.indexes.get(&oid).and_then(|index| index.parent);
            }
        }
    }

    /// The names that CREATE TABLE and CREATE DOMAIN give to constraints, by schema.
    fn add_constraint_names(&mut self) {
        for relation in &self.database.relations {
            let all = self.is_free_standing(relation);
            let not_nulls = relation.columns.iter().filter_map(|column| {
                let not_null = column.not_null.as_ref()?;
                let name = not_null.name.as_deref()?;
                (all || not_null.local).then_some(name)
            });
            let checks = relation
                .checks
                .iter()
                .filter(|check| all || check.local)
                .map(|check| check.name.as_str());
            for name in not_nulls.chain(checks) {
                let key = (relation.header.schema.as_deref(), name);
                *self.constraint_names.entry(key).or_default() += 1;
            }
        }
        for type_ in &self.database.types {
            if let TypeDefinition::Domain(domain) = &type_.definition {
                for constraint in &domain.constraints {
                    let key = (type_.header.schema.as_deref(), constraint.name.as_str());
                    *self.constraint_names.entry(key).or_default() += 1;
                }
            }
        }
    }

    fn add_relation(&mut self, relation: &'a Relation) {
        let oid = relation.header.address.oid;
        self.relations.insert(oid, relation);
        for parent in &relation.parents {
            self.children.entry(parent.oid).or_default().push(oid);
        }
        for column in &relation.columns {
            if let Some(default) = &column.default
                && self.nodes.contains(&Node::SeparateDefault(default.oid))
            {
                self.defaults.insert(default.oid, (relation, column));
            }
            if let Some(not_null) = &column.not_null
                && let Some(oid) = not_null.oid
            {
                self.add_separable(oid, Separable::NotNull(relation, column, not_null));
            }
        }
        for check in &relation.checks {
            self.add_separable(check.oid, Separable::Check(relation, check));
        }
    }

    /// Only those that are set apart are asked for.
    fn add_separable(&mut self, oid: Oid, separable: Separable<'a>) {
        if self.nodes.contains(&Node::SeparateConstraint(oid)) {
            self.separable.insert(oid, separable);
        }
    }

    fn add_type(&mut self, type_: &'a Type) {
        self.types.insert(type_.header.address.oid, type_);
        if let TypeDefinition::Multirange { range } = type_.definition {
            self.multiranges_of.insert(range, type_);
            let schema = type_.header.schema.as_deref().unwrap_or_default();
            self.multiranges.insert((schema, &type_.header.name));
        }
        if let TypeDefinition::Domain(domain) = &type_.definition {
            let domain: &'a Domain = domain;
            for constraint in &domain.constraints {
                self.add_separable(constraint.oid, Separable::Domain(type_, constraint));
            }
        }
    }

    /// The multirange type that is made along with a range type.
    pub fn multirange_of(&self, range: Oid) -> Option<&'a Type> {
        self.multiranges_of.get(&range).copied()
    }

    /// Whether a type is a user's multirange, or an array of such.
    pub fn is_multirange(&self, oid: Oid) -> bool {
        match self.types.get(&oid).map(|type_| &type_.definition) {
            Some(TypeDefinition::Multirange { .. }) => true,
            Some(TypeDefinition::Array { element }) => self.is_multirange(*element),
            _ => false,
        }
    }

    /// Whether one of these types, as (schema, name), is a user's multirange.
    pub fn has_multirange(&self, types: &[(String, String)]) -> bool {
        types
            .iter()
            .any(|(schema, name)| self.multiranges.contains(&(schema.as_str(), name.as_str())))
    }

    /// Positions of the objects that have no index of their own above.
    fn add_positions(&mut self) {
        macro_rules! add {
            ($($list:ident),*) => {$(
                for (at, object) in self.database.$list.iter().enumerate() {
                    self.positions.insert(object.header.address, at);
                }
            )*};
        }
        add!(
            schemas,
            extensions,
            languages,
            collations,
            casts,
            operators,
            operator_families,
            operator_classes,
            access_methods,
            conversions,
            transforms,
            text_search_parsers,
            text_search_templates,
            text_search_dictionaries,
            text_search_configurations,
            publications,
            publication_tables,
            publication_schemas,
            foreign_data_wrappers,
            foreign_servers,
            user_mappings,
            subscriptions,
            event_triggers,
            functions,
            foreign_keys,
            statistics,
            rules,
            triggers,
            policies
        );
        for (at, acl) in self.database.default_acls.iter().enumerate() {
            let address = Address::new(Class::DefaultAcl, acl.oid);
            self.positions.insert(address, at);
        }
    }

    pub fn relation(&self, oid: Oid) -> Result<&'a Relation> {
        found(self.relations.get(&oid), "relation", oid)
    }

    pub fn index(&self, oid: Oid) -> Result<&'a Index> {
        found(self.indexes.get(&oid), "index", oid)
    }

    /// The index, if the OID is an index's.
    pub fn try_index(&self, oid: Oid) -> Option<&'a Index> {
        self.indexes.get(&oid).copied()
    }

    /// Whether a constraint of a partition stands on an index that is attached to this one, or
    /// further down.
    pub fn is_above_constraint(&self, index: Oid) -> bool {
        self.above_constraints.contains(&index)
    }

    /// The index under a constraint, if it is one that stands on an index.
    pub fn try_index_of_constraint(&self, constraint: Oid) -> Option<&'a Index> {
        self.index_constraints.get(&constraint).copied()
    }

    pub fn type_(&self, oid: Oid) -> Result<&'a Type> {
        found(self.types.get(&oid), "type", oid)
    }

    /// The aggregate, if the OID is an aggregate's; functions share its catalog.
    pub fn try_aggregate(&self, oid: Oid) -> Option<&'a Aggregate> {
        self.aggregates.get(&oid).copied()
    }

    /// The relation and column of a default.
    pub fn default(&self, oid: Oid) -> Result<(&'a Relation, &'a Column)> {
        found(self.defaults.get(&oid), "column default", oid)
    }

    pub fn separable(&self, oid: Oid) -> Result<Separable<'a>> {
        found(self.separable.get(&oid), "constraint", oid)
    }

    /// An object in one of the model's lists, by its address.
    pub fn object<T>(&self, list: &'a [T], address: Address) -> Result<&'a T> {
        let at = self.positions.get(&address);
        at.and_then(|at| list.get(*at))
            .ok_or_else(|| missing(address))
    }

    pub fn default_acl(&self, oid: Oid) -> Result<&'a DefaultAcl> {
        let address = Address::new(Class::DefaultAcl, oid);
        self.object(&self.database.default_acls, address)
    }

    /// Whether the order has this node.
    pub fn has_node(&self, node: Node) -> bool {
        self.nodes.contains(&node)
    }

    /// Whether a column default is set apart from its table.
    pub fn is_separate_default(&self, oid: Oid) -> bool {
        self.order.splits.defaults.contains(&oid) || self.has_node(Node::SeparateDefault(oid))
    }

    /// Whether a CHECK or NOT NULL is set apart from its table or domain.
    pub fn is_separate_constraint(&self, oid: Oid) -> bool {
        self.order.splits.constraints.contains(&oid) || self.has_node(Node::SeparateConstraint(oid))
    }

    /// Whether several constraints of the schema have this name. The server then chooses another
    /// one for what is made last without a name.
    pub fn is_common_constraint_name(&self, relation: &'a Relation, name: &'a str) -> bool {
        let key = (relation.header.schema.as_deref(), name);
        self.constraint_names.get(&key).is_some_and(|n| *n > 1)
    }

    /// Whether a view first stands as a dummy.
    pub fn is_dummy_view(&self, oid: Oid) -> bool {
        self.order.splits.dummy_views.contains(&oid)
    }

    /// Whether a function first stands as a declaration.
    pub fn is_declared_function(&self, oid: Oid) -> bool {
        self.order.splits.declared_functions.contains(&oid)
    }

    /// Whether a domain's default is set apart from it.
    pub fn is_separate_domain_default(&self, oid: Oid) -> bool {
        self.order.splits.domain_defaults.contains(&oid)
    }

    /// The relations that the statements inside a rule, or inside a function that moved behind the
    /// data, may write to: making it locks them. Those that it only reads are among them.
    pub fn maybe_written(&self, object: Address) -> &[Oid] {
        self.written.get(&object).map_or(&[], Vec::as_slice)
    }

    /// The direct parents that the model knows.
    pub fn parents(&self, relation: &'a Relation) -> impl Iterator<Item = &'a Relation> {
        relation
            .parents
            .iter()
            .filter_map(|parent| self.relations.get(&parent.oid).copied())
    }

    /// Whether the relation is made with all its columns and constraints and joined to its parents
    /// afterwards: every partition, and a table that INHERITS would give another order of columns.
    pub fn is_free_standing(&self, relation: &'a Relation) -> bool {
        relation.partition_bound.is_some() || self.is_adopted(relation)
    }

    /// Whether the relation is made free-standing although it is no partition.
    pub fn is_adopted(&self, relation: &'a Relation) -> bool {
        self.adopted.contains(&relation.header.address.oid)
    }

    /// Whether the relation came to its parents by ALTER TABLE … INHERIT with its own columns in an
    /// order that INHERITS would not give (that puts the parents' first), or has parents that INHERITS would not
    /// put together.
    fn joined_later(&self, relation: &'a Relation) -> bool {
        if relation.parents.is_empty() || relation.partition_bound.is_some() {
            return false;
        }
        let all_known = self.parents(relation).count() == relation.parents.len();
        if all_known && self.has_parents_at_odds(relation) {
            return true;
        }
        let own: Vec<&str> = relation
            .columns
            .iter()
            .filter(|column| column.local)
            .map(|column| column.name.as_str())
            .collect();
        let unmerged: HashSet<&str> = own.iter().copied().collect();
        let mut merged = Vec::with_capacity(own.len());
        let mut seen = HashSet::new();
        let inherited = self.parents(relation).flat_map(|parent| &parent.columns);
        for column in inherited.chain(&relation.columns) {
            let name = column.name.as_str();
            if unmerged.contains(name) && seen.insert(name) {
                merged.push(name);
            }
        }
        all_known && merged != own
    }

    /// Whether parents have a column of one name with different storage or compression: INHERITS refuses that, ALTER
    /// TABLE … INHERIT does not look.
    fn has_parents_at_odds(&self, relation: &'a Relation) -> bool {
        if relation.parents.len() < 2 {
            return false;
        }
        let mut seen = HashMap::new();
        let mut columns = self.parents(relation).flat_map(|parent| &parent.columns);
        columns.any(|column| {
            let settings = column.settings();
            let own = (settings.storage, settings.compression);
            let first: (Option<_>, Option<_>) = *seen.entry(column.name.as_str()).or_insert(own);
            // Whoever says nothing of compression takes what the other one has.
            first.0 != own.0 || first.1.zip(own.1).is_some_and(|(a, b)| a != b)
        })
    }

    /// Every descendant of a relation, each once, nearest first.
    pub fn descendants(&self, oid: Oid) -> Vec<Oid> {
        let mut all: Vec<Oid> = Vec::new();
        let mut seen = HashSet::from([oid]);
        let mut at = 0;
        let mut next = Some(oid);
        while let Some(parent) = next {
            for child in self.children.get(&parent).into_iter().flatten() {
                if seen.insert(*child) {
                    all.push(*child);
                }
            }
            next = all.get(at).copied();
            at += 1;
        }
        all
    }

    /// The descendants of a partitioned table; none of any other relation.
    pub fn partitions(&self, oid: Oid) -> Vec<Oid> {
        match self.relations.get(&oid) {
            Some(relation) if relation.kind == RelationKind::PartitionedTable => {
                self.descendants(oid)
            }
            _ => Vec::new(),
        }
    }

    /// Every ancestor of a relation, each once, nearest first.
    pub fn ancestors(&self, oid: Oid) -> Vec<Oid> {
        let mut all: Vec<Oid> = Vec::new();
        let mut seen = HashSet::from([oid]);
        let mut at = 0;
        let mut next = Some(oid);
        while let Some(child) = next {
            let parents = self.relations.get(&child).map(|r| r.parents.as_slice());
            for parent in parents.unwrap_or_default() {
                if seen.insert(parent.oid) {
                    all.push(parent.oid);
                }
            }
            next = all.get(at).copied();
            at += 1;
        }
        all
    }
}

fn found<T: Copy>(value: Option<&T>, what: &str, oid: Oid) -> Result<T> {
    value.copied().ok_or_else(|| {
        Error::new(
            Kind::Failed,
            format!("the order names {what} {oid}, which was not read from the database"),
        )
    })
}

/// The error for a node whose object the model does not have.
pub(super) fn missing(address: Address) -> Error {
    Error::new(
        Kind::Failed,
        format!(
            "the order names object {} of catalog {}, which was not read from the database",
            address.oid,
            address.class.oid()
        ),
    )
}
