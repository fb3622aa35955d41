//! Who needs whom: what `pg_depend` says, and what follows from the objects themselves.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::inventory::{Inventory, Item, Standing};
use super::node::Node;
use super::trees::Trees;
use crate::dag::Graph;
use crate::model::{
    Address, Class, Database, Dependency, DependencyKind, ForeignKey, Header, Oid, Relation, Type,
    TypeDefinition,
};

/// Reads all edges; those between sections that only the data brings about are added later.
pub(super) fn edges(database: &Database, inventory: &Inventory<'_>, trees: &Trees<'_>) -> Graph {
    let mut edges = Edges {
        inventory,
        trees,
        graph: Graph::new(inventory.slots.len()),
        schemas: database
            .schemas
            .iter()
            .filter_map(|schema| {
                let index = inventory.resolve(schema.header.address)?;
                Some((schema.header.name.as_str(), index))
            })
            .collect(),
        transforms: database
            .transforms
            .iter()
            .filter_map(|transform| {
                let index = inventory.resolve(transform.header.address)?;
                Some(((transform.type_oid, transform.language.as_str()), index))
            })
            .collect(),
    };
    for index in 0..inventory.slots.len() as u32 {
        edges.implied(index);
    }
    for dependency in &database.dependencies {
        edges.recorded(dependency);
    }
    edges.graph.tidy();
    edges.referenced_indexes();
    edges.data_by_foreign_keys(database);
    edges.constraints_of_children_first(database);
    edges.graph.tidy();
    edges.graph
}

struct Edges<'a> {
    inventory: &'a Inventory<'a>,
    trees: &'a Trees<'a>,
    graph: Graph,
    schemas: HashMap<&'a str, u32>,
    /// By type and language.
    transforms: HashMap<(Oid, &'a str), u32>,
}

impl Edges<'_> {
    fn add(&mut self, node: u32, need: Option<u32>) {
        if let Some(need) = need {
            self.graph.add(node, need);
        }
    }

    fn relation(&self, oid: Oid) -> Option<u32> {
        self.inventory.relation(oid)
    }

    fn object(&self, class: Class, oid: Oid) -> Option<u32> {
        self.inventory.resolve(Address::new(class, oid))
    }

    fn in_schema(&mut self, node: u32, schema: Option<&str>) {
        let need = schema.and_then(|name| self.schemas.get(name).copied());
        self.add(node, need);
    }

    fn member(&mut self, node: u32, header: &Header) {
        if let Some(extension) = header.extension {
            self.add(node, self.object(Class::Extension, extension));
        }
    }

    /// A part is needed by its owner as long as it is written within it; set apart, it needs it.
    fn part(&mut self, part: u32, owner: Option<u32>) {
        let Some(owner) = owner else { return };
        match self.inventory.slot(part).standing {
            Standing::Shown => self.graph.add(part, owner),
            Standing::Part => self.graph.add(owner, part),
            // Dependencies run through what is left out, but not through what an object that is
            // in the order does not have when it is made.
            Standing::Hidden if self.inventory.slot(owner).standing == Standing::Shown => {}
            Standing::Hidden => self.graph.add(owner, part),
        }
    }

    fn implied(&mut self, node: u32) {
        match self.inventory.slot(node).item {
            Item::Database(_) | Item::LargeObjects(_) => {}
            Item::Schema(schema) => self.member(node, &schema.header),
            Item::Extension(extension) => self.in_schema(node, Some(&extension.schema)),
            Item::Collation(_)
            | Item::Cast(_)
            | Item::Aggregate(_)
            | Item::Operator(_)
            | Item::OperatorFamily(_)
            | Item::OperatorClass(_)
            | Item::AccessMethod(_)
            | Item::Conversion(_)
            | Item::Transform(_)
            | Item::TextSearchParser(_)
            | Item::TextSearchTemplate(_)
            | Item::TextSearchDictionary(_)
            | Item::TextSearchConfiguration(_)
            | Item::ForeignDataWrapper(_)
            | Item::ForeignServer(_)
            | Item::Publication(_)
            | Item::Subscription(_)
            | Item::EventTrigger(_) => {
                if let Some(header) = self.inventory.slot(node).item.header() {
                    self.in_schema(node, header.schema.as_deref());
                    self.member(node, header);
                }
            }
            Item::Remark(remark) => {
                let extension = remark.extension;
                self.add(
                    node,
                    extension.and_then(|oid| self.object(Class::Extension, oid)),
                );
            }
            Item::UserMapping(mapping) => {
                self.add(node, self.object(Class::ForeignServer, mapping.server));
            }
            Item::Language(language) => self.member(node, &language.header),
            Item::Type(ty) => {
                self.in_schema(node, ty.header.schema.as_deref());
                self.member(node, &ty.header);
                let functions = match &ty.definition {
                    TypeDefinition::Base(base) => base.functions.clone(),
                    TypeDefinition::Range(range) => {
                        range.canonical.iter().map(|(_, oid)| *oid).collect()
                    }
                    _ => Vec::new(),
                };
                for function in functions {
                    self.add(node, self.object(Class::Function, function));
                }
            }
            Item::ShellType(ty) => self.in_schema(node, ty.header.schema.as_deref()),
            Item::Function(function) => {
                self.in_schema(node, function.header.schema.as_deref());
                self.member(node, &function.header);
                // The server records the transforms of arguments and results only.
                for oid in &function.transform_types {
                    let transform = (*oid, function.language.as_str());
                    self.add(node, self.transforms.get(&transform).copied());
                }
            }
            Item::Relation(relation) => self.relation_implied(node, relation),
            Item::FunctionDefinition(function) => {
                self.part(node, self.inventory.resolve(function.header.address));
            }
            Item::DomainConstraint(ty, _) | Item::DomainDefault(ty) => {
                self.part(node, self.inventory.resolve(ty.header.address));
            }
            Item::Default(relation, _)
            | Item::Check(relation, _)
            | Item::NotNull(relation, _)
            | Item::ViewRule(relation) => {
                self.part(node, self.relation(relation.header.address.oid));
            }
            Item::TableAttach(relation) => {
                self.add(node, self.relation(relation.header.address.oid));
                for parent in &relation.parents {
                    self.add(node, self.relation(parent.oid));
                }
            }
            Item::SequenceOwner(relation) => {
                self.add(node, self.relation(relation.header.address.oid));
                if let Some(owner) = relation.sequence.as_ref().and_then(|x| x.owner.as_ref()) {
                    self.add(node, self.relation(owner.table));
                }
            }
            Item::SequenceSet(relation) | Item::RowSecurity(relation) | Item::Refresh(relation) => {
                self.add(node, self.relation(relation.header.address.oid));
            }
            Item::TableData(relation) => self.data_implied(node, relation),
            Item::LargeObjectData(position) => {
                self.add(node, self.inventory.find(Node::LargeObjects(position)));
            }
            _ => self.hanger_implied(node),
        }
    }

    fn relation_implied(&mut self, node: u32, relation: &Relation) {
        self.in_schema(node, relation.header.schema.as_deref());
        self.member(node, &relation.header);
        // A partition is made by itself and attached later.
        if relation.partition_bound.is_none() {
            for parent in &relation.parents {
                self.add(node, self.relation(parent.oid));
            }
        }
        let owner = relation.sequence.as_ref().and_then(|x| x.owner.as_ref());
        if let Some(owner) = owner.filter(|owner| owner.identity.is_some()) {
            self.add(node, self.relation(owner.table));
        }
    }

    fn data_implied(&mut self, node: u32, relation: &Relation) {
        self.add(node, self.relation(relation.header.address.oid));
        self.member(node, &relation.header);
        if let Some(root) = relation.load_via_root {
            self.add(node, self.relation(root));
            for oid in self.trees.up_to(relation.header.address.oid, root) {
                self.add(node, self.inventory.find(Node::TableAttach(oid)));
            }
        }
    }

    /// What is made after the data needs what it hangs on.
    fn hanger_implied(&mut self, node: u32) {
        match self.inventory.slot(node).item {
            Item::Index(index) => self.add(node, self.relation(index.table)),
            Item::IndexAttach(index) => {
                self.add(node, self.relation(index.header.address.oid));
                self.add(node, index.parent.and_then(|parent| self.relation(parent)));
            }
            Item::ForeignKey(foreign_key) => {
                for table in [foreign_key.table, foreign_key.referenced] {
                    self.add(node, self.relation(table));
                    for oid in self.trees.partitions(table) {
                        self.add(node, self.inventory.find(Node::TableAttach(oid)));
                    }
                }
            }
            Item::Statistics(statistics) => {
                self.in_schema(node, statistics.header.schema.as_deref());
                self.add(node, self.relation(statistics.table));
            }
            Item::Rule(rule) => self.add(node, self.relation(rule.relation)),
            Item::Policy(policy) => self.add(node, self.relation(policy.table)),
            Item::Trigger(trigger) => {
                self.add(node, self.relation(trigger.table));
                if let Some(parent) = trigger.parent {
                    self.add(node, self.object(Class::Trigger, parent));
                    self.add(node, self.inventory.find(Node::TableAttach(trigger.table)));
                }
            }
            Item::PublicationTable(member) => {
                self.add(
                    node,
                    self.object(Class::Publication, member.publication_oid),
                );
                self.add(node, self.relation(member.table));
            }
            Item::PublicationSchema(member) => {
                self.add(
                    node,
                    self.object(Class::Publication, member.publication_oid),
                );
                self.in_schema(node, member.header.schema.as_deref());
            }
            Item::DefaultAcl(acl) => self.in_schema(node, acl.schema.as_deref()),
            _ => {}
        }
    }

    /// A row of `pg_depend`.
    fn recorded(&mut self, dependency: &Dependency) {
        let inventory = self.inventory;
        let (Some(node), Some(need)) = (
            inventory.resolve(dependency.object),
            inventory.resolve(dependency.on),
        ) else {
            return;
        };
        let item = inventory.slot(node).item;
        let inner = self.inner_part(item, dependency);
        if node == need && inner.is_none() {
            return;
        }
        // Before 18 the server records the transforms of all arguments, whether the function asks
        // for them or not, if there are any at that time: a copy would have others.
        if dependency.object.class == Class::Function && dependency.on.class == Class::Transform {
            return;
        }
        let need_item = inventory.slot(need).item;
        // What an extension's members need comes with the extension.
        let is_extension = matches!(item, Item::Extension(_));
        let comes_along = item.extension().is_some()
            // What was added to an extension's family needs operators of the user's.
            && !matches!(item, Item::OperatorFamily(family) if !family.members.is_empty());
        if (is_extension && dependency.object.class != Class::Extension) || comes_along {
            return;
        }
        match (item, need_item) {
            // Attaching brings parent and child together.
            (Item::Index(_), Item::Index(_))
                if matches!(
                    dependency.kind,
                    DependencyKind::PartitionPrimary | DependencyKind::PartitionSecondary
                ) =>
            {
                return;
            }
            (Item::Relation(relation), Item::Relation(parent))
                if relation.partition_bound.is_some()
                    && relation
                        .parents
                        .iter()
                        .any(|other| other.oid == parent.header.address.oid) =>
            {
                return;
            }
            // So does OWNED BY; only an identity's sequence is made through its table.
            (Item::Relation(sequence), Item::Relation(table))
                if dependency.kind == DependencyKind::Auto
                    && sequence
                        .sequence
                        .as_ref()
                        .and_then(|sequence| sequence.owner.as_ref())
                        .is_some_and(|owner| {
                            owner.table == table.header.address.oid && owner.identity.is_none()
                        }) =>
            {
                return;
            }
            _ => {}
        }
        if let Some(part) = inner {
            self.graph.add(part, need);
            return;
        }
        if inventory.owner(node) == Some(need) {
            // Which way this goes was decided with the part's standing.
            return;
        }
        self.graph.add(node, need);
    }

    /// What of an object is in need, where the catalogs speak of the object as a whole: the body
    /// and the defaults of a function, beside its signature; the default of a domain, beside its
    /// base type.
    fn inner_part(&self, item: Item<'_>, dependency: &Dependency) -> Option<u32> {
        let on = dependency.on;
        let outer = matches!(
            on.class,
            Class::Schema
                | Class::Language
                | Class::Extension
                | Class::Transform
                | Class::Collation
        );
        let (part, types) = match item {
            // Not what leads to it, as an array of a domain does.
            _ if item.header().map(|header| header.address) != Some(dependency.object) => {
                return None;
            }
            Item::Function(function) => {
                let part = Node::FunctionDefinition(function.header.address.oid);
                (part, function.signature_types.as_slice())
            }
            Item::Type(Type {
                header,
                definition: TypeDefinition::Domain(domain),
            }) => {
                let part = Node::DomainDefault(header.address.oid);
                (part, std::slice::from_ref(&domain.base_oid))
            }
            _ => return None,
        };
        let in_signature = on.class == Class::Type && types.contains(&on.oid);
        // A rowtype's dependencies are its relation's; so are those of what a body reads.
        (!outer && !in_signature)
            .then(|| self.inventory.find(part))
            .flatten()
    }

    /// A foreign key to a partitioned table needs the whole tree of the index that it leans on.
    fn referenced_indexes(&mut self) {
        let inventory = self.inventory;
        let mut attached: BTreeMap<Oid, Vec<(Oid, u32)>> = BTreeMap::new();
        for (node, slot) in (0_u32..).zip(&inventory.slots) {
            if let Item::IndexAttach(index) = slot.item
                && let Some(parent) = index.parent
            {
                let child = (index.header.address.oid, node);
                attached.entry(parent).or_default().push(child);
            }
        }
        for (node, slot) in (0_u32..).zip(&inventory.slots) {
            let Item::ForeignKey(foreign_key) = slot.item else {
                continue;
            };
            let mut pending: Vec<Oid> = self
                .graph
                .needs(node)
                .iter()
                .filter_map(|&need| match inventory.slot(need).item {
                    Item::Index(index) if index.table == foreign_key.referenced => {
                        Some(index.header.address.oid)
                    }
                    _ => None,
                })
                .collect();
            while let Some(parent) = pending.pop() {
                for &(child, attach) in attached.get(&parent).into_iter().flatten() {
                    self.graph.add(node, attach);
                    pending.push(child);
                }
            }
        }
    }

    /// A child's own constraint that is added by itself comes before its parent's of the same name.
    /// The server then merges the parent's into it and leaves it as it is: the other way round
    /// it would take a constraint that is NOT VALID for a validated one where the parent's is NOT
    /// ENFORCED, and refuse a NOT NULL of another name. Going backwards, the child's can
    /// be dropped once the parent's is gone, and not before.
    fn constraints_of_children_first(&mut self, database: &Database) {
        let relations: HashMap<Oid, &Relation> = database
            .relations
            .iter()
            .map(|relation| (relation.header.address.oid, relation))
            .collect();
        for child in &database.relations {
            let own = self.added_constraints(child);
            if own.is_empty() {
                continue;
            }
            let mut pending: Vec<&Relation> = vec![child];
            let mut seen = BTreeSet::from([child.header.address.oid]);
            while let Some(relation) = pending.pop() {
                for parent in &relation.parents {
                    if let Some(&parent) = relations.get(&parent.oid)
                        && seen.insert(parent.header.address.oid)
                    {
                        pending.push(parent);
                        for (what, later) in self.added_constraints(parent) {
                            let mut own = own.iter();
                            if let Some((_, first)) = own.find(|(other, _)| *other == what) {
                                self.graph.add(later, *first);
                            }
                        }
                    }
                }
            }
        }
    }

    /// The table's constraints that are in the order by themselves, each with what it is known by to
    /// the table's parents and children: a NOT NULL by its column, a CHECK by its name.
    fn added_constraints<'a>(&self, table: &'a Relation) -> Vec<((bool, &'a str), u32)> {
        let checks = table.checks.iter();
        let checks = checks.map(|check| ((false, check.name.as_str()), check.oid));
        let not_nulls = table.columns.iter().filter_map(|column| {
            let oid = column.not_null.as_ref()?.oid?;
            Some(((true, column.name.as_str()), oid))
        });
        let shown = |oid| {
            let node = self.inventory.find(Node::SeparateConstraint(oid))?;
            (self.inventory.slot(node).standing == Standing::Shown).then_some(node)
        };
        let all = checks.chain(not_nulls);
        all.filter_map(|(what, oid)| Some((what, shown(oid)?)))
            .collect()
    }

    /// Where a foreign key is not made by this archive (rows alone are wanted, or the tables come
    /// with an extension), it stands already while rows are loaded: referenced rows come first.
    fn data_by_foreign_keys(&mut self, database: &Database) {
        for foreign_key in &database.foreign_keys {
            if is_made(self.inventory, foreign_key) {
                continue;
            }
            let data = |table| -> Vec<u32> {
                std::iter::once(table)
                    .chain(self.trees.partitions(table))
                    .filter_map(|oid| self.inventory.find(Node::TableData(oid)))
                    .collect()
            };
            let referenced = data(foreign_key.referenced);
            for node in data(foreign_key.table) {
                for &need in &referenced {
                    self.graph.add(node, need);
                }
            }
        }
    }
}

/// Whether a foreign key is in the archive itself, and so is made after the rows.
fn is_made(inventory: &Inventory<'_>, foreign_key: &ForeignKey) -> bool {
    inventory
        .resolve(foreign_key.header.address)
        .is_some_and(|node| {
            let slot = inventory.slot(node);
            slot.standing == Standing::Shown && matches!(slot.item, Item::ForeignKey(_))
        })
}

/// Tables whose rows refer to rows of the same table by a foreign key that stands before they are
/// loaded: a row may come before the one that it refers to.
pub(super) fn self_references(
    database: &Database,
    inventory: &Inventory<'_>,
) -> impl Iterator<Item = Vec<Oid>> {
    database
        .foreign_keys
        .iter()
        .filter(|key| key.table == key.referenced && !is_made(inventory, key))
        .filter(|key| inventory.find(Node::TableData(key.table)).is_some())
        .map(|key| vec![key.table])
}
