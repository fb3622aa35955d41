//! Every node that may take part, in the initial order, and the way from an address to its node.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::key::Key;
use super::node::{Node, Section};
use crate::model::{
    AccessMethod, Address, Aggregate, Cast, Check, Class, Collation, Column, Components,
    Conversion, Database, DefaultAcl, DomainConstraint, DomainDefault, EventTrigger,
    ExtendedStatistics, Extension, ForeignDataWrapper, ForeignKey, ForeignServer, Function, Header,
    Index, Language, Oid, Operator, OperatorClass, OperatorFamily, Policy, Publication,
    PublicationSchema, PublicationTable, Relation, RelationKind, Remark, Rule, Schema,
    Subscription, TextSearchConfiguration, TextSearchDictionary, TextSearchParser,
    TextSearchTemplate, Transform, Trigger, Type, TypeDefinition, UserMapping,
};

/// What a node stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item<'a> {
    Database(&'a Header),
    Schema(&'a Schema),
    Extension(&'a Extension),
    Language(&'a Language),
    Collation(&'a Collation),
    Type(&'a Type),
    Function(&'a Function),
    Cast(&'a Cast),
    Aggregate(&'a Aggregate),
    Operator(&'a Operator),
    OperatorFamily(&'a OperatorFamily),
    OperatorClass(&'a OperatorClass),
    AccessMethod(&'a AccessMethod),
    Conversion(&'a Conversion),
    Transform(&'a Transform),
    TextSearchParser(&'a TextSearchParser),
    TextSearchTemplate(&'a TextSearchTemplate),
    TextSearchDictionary(&'a TextSearchDictionary),
    TextSearchConfiguration(&'a TextSearchConfiguration),
    Publication(&'a Publication),
    PublicationTable(&'a PublicationTable),
    PublicationSchema(&'a PublicationSchema),
    ForeignDataWrapper(&'a ForeignDataWrapper),
    ForeignServer(&'a ForeignServer),
    UserMapping(&'a UserMapping),
    Subscription(&'a Subscription),
    EventTrigger(&'a EventTrigger),
    Relation(&'a Relation),
    Index(&'a Index),
    ForeignKey(&'a ForeignKey),
    Statistics(&'a ExtendedStatistics),
    Rule(&'a Rule),
    Trigger(&'a Trigger),
    Policy(&'a Policy),
    DefaultAcl(&'a DefaultAcl),
    ShellType(&'a Type),
    SequenceOwner(&'a Relation),
    Default(&'a Relation, &'a Column),
    Check(&'a Relation, &'a Check),
    NotNull(&'a Relation, &'a Column),
    DomainConstraint(&'a Type, &'a DomainConstraint),
    ViewRule(&'a Relation),
    FunctionDefinition(&'a Function),
    DomainDefault(&'a Type),
    TableAttach(&'a Relation),
    TableData(&'a Relation),
    SequenceSet(&'a Relation),
    LargeObjects(u32),
    LargeObjectData(u32),
    IndexAttach(&'a Index),
    RowSecurity(&'a Relation),
    Refresh(&'a Relation),
    Remark(&'a Remark),
}

impl<'a> Item<'a> {
    /// The header of the object that this is, or that it belongs to.
    pub fn header(self) -> Option<&'a Header> {
        Some(match self {
            Self::Database(header) => header,
            Self::Schema(x) => &x.header,
            Self::Extension(x) => &x.header,
            Self::Language(x) => &x.header,
            Self::Collation(x) => &x.header,
            Self::Cast(x) => &x.header,
            Self::Aggregate(x) => &x.header,
            Self::Operator(x) => &x.header,
            Self::OperatorFamily(x) => &x.header,
            Self::OperatorClass(x) => &x.header,
            Self::AccessMethod(x) => &x.header,
            Self::Conversion(x) => &x.header,
            Self::Transform(x) => &x.header,
            Self::TextSearchParser(x) => &x.header,
            Self::TextSearchTemplate(x) => &x.header,
            Self::TextSearchDictionary(x) => &x.header,
            Self::TextSearchConfiguration(x) => &x.header,
            Self::Publication(x) => &x.header,
            Self::PublicationTable(x) => &x.header,
            Self::PublicationSchema(x) => &x.header,
            Self::ForeignDataWrapper(x) => &x.header,
            Self::ForeignServer(x) => &x.header,
            Self::UserMapping(x) => &x.header,
            Self::Subscription(x) => &x.header,
            Self::EventTrigger(x) => &x.header,
            Self::Type(x)
            | Self::ShellType(x)
            | Self::DomainConstraint(x, _)
            | Self::DomainDefault(x) => &x.header,
            Self::Function(x) | Self::FunctionDefinition(x) => &x.header,
            Self::Relation(x)
            | Self::SequenceOwner(x)
            | Self::Default(x, _)
            | Self::Check(x, _)
            | Self::NotNull(x, _)
            | Self::ViewRule(x)
            | Self::TableAttach(x)
            | Self::TableData(x)
            | Self::SequenceSet(x)
            | Self::RowSecurity(x)
            | Self::Refresh(x) => &x.header,
            Self::Index(x) | Self::IndexAttach(x) => &x.header,
            Self::ForeignKey(x) => &x.header,
            Self::Statistics(x) => &x.header,
            Self::Rule(x) => &x.header,
            Self::Trigger(x) => &x.header,
            Self::Policy(x) => &x.header,
            Self::DefaultAcl(_)
            | Self::Remark(_)
            | Self::LargeObjects(_)
            | Self::LargeObjectData(_) => {
                return None;
            }
        })
    }

    /// The extension that the object comes with.
    pub fn extension(self) -> Option<Oid> {
        self.header()?.extension
    }
}

/// How a node takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is in the order.
    Shown,
    /// It is written as part of its owner, unless a repair sets it apart.
    Part,
    /// It only carries dependencies.
    Hidden,
}

/// A node before ordering.
#[derive(Clone, Debug)]
pub(super) struct Slot<'a> {
    pub item: Item<'a>,
    pub node: Node,
    pub standing: Standing,
    pub section: Section,
}

/// All nodes; the position of a slot is its place in the initial order.
pub(super) struct Inventory<'a> {
    pub slots: Vec<Slot<'a>>,
    by_node: HashMap<Node, u32>,
    by_address: HashMap<Address, u32>,
}

impl<'a> Inventory<'a> {
    /// Lists the nodes of a database.
    pub fn of(database: &'a Database) -> Self {
        let mut collected = Collector {
            database,
            relations: database
                .relations
                .iter()
                .map(|relation| (relation.header.address.oid, relation))
                .collect(),
            defined_indexes: database
                .indexes
                .iter()
                .filter(|index| index.header.wanted.has(Components::DEFINITION))
                .map(|index| index.header.address.oid)
                .collect(),
            found: BTreeMap::new(),
        };
        collected.collect();
        let found = collected.found;
        let mut slots: Vec<Slot<'a>> = Vec::with_capacity(found.values().map(Vec::len).sum());
        // Keys are large, and nobody needs those of one sort together with those of another.
        for (_, mut of_sort) in found {
            of_sort.sort_by_key(|(key, _)| *key);
            slots.extend(of_sort.into_iter().map(|(_, slot)| slot));
        }
        let by_node: HashMap<Node, u32> = (0_u32..)
            .zip(&slots)
            .map(|(index, slot)| (slot.node, index))
            .collect();
        let mut inventory = Self {
            slots,
            by_node,
            by_address: HashMap::new(),
        };
        inventory.resolve_addresses(database);
        inventory
    }

    /// The node with this place.
    pub fn slot(&self, index: u32) -> &Slot<'a> {
        &self.slots[index as usize]
    }

    /// A part is set apart.
    pub fn show(&mut self, index: u32) {
        self.slots[index as usize].standing = Standing::Shown;
    }

    /// A node turns out to be left out.
    pub fn hide(&mut self, index: u32) {
        self.slots[index as usize].standing = Standing::Hidden;
    }

    /// A node moves to another section.
    pub fn move_to(&mut self, index: u32, section: Section) {
        self.slots[index as usize].section = section;
    }

    /// Where a node is.
    pub fn find(&self, node: Node) -> Option<u32> {
        self.by_node.get(&node).copied()
    }

    /// The node that stands for an object: itself, the type of an array or rowtype, the index of a
    /// constraint, the extension of a member.
    pub fn resolve(&self, address: Address) -> Option<u32> {
        self.by_address.get(&address).copied()
    }

    /// The node that a part belongs to.
    pub fn owner(&self, part: u32) -> Option<u32> {
        match self.slot(part).item {
            Item::DomainConstraint(ty, _) | Item::DomainDefault(ty) => {
                self.resolve(ty.header.address)
            }
            Item::FunctionDefinition(function) => self.resolve(function.header.address),
            Item::Default(relation, _)
            | Item::Check(relation, _)
            | Item::NotNull(relation, _)
            | Item::ViewRule(relation) => self.resolve(relation.header.address),
            _ => None,
        }
    }

    /// A relation's node.
    pub fn relation(&self, oid: Oid) -> Option<u32> {
        self.resolve(Address::new(Class::Relation, oid))
    }

    fn resolve_addresses(&mut self, database: &Database) {
        for (index, slot) in (0_u32..).zip(&self.slots) {
            match (slot.node, slot.item) {
                (Node::Object(address), item) => {
                    self.by_address.insert(address, index);
                    if let Item::Index(Index {
                        constraint: Some(constraint),
                        ..
                    }) = item
                    {
                        self.by_address
                            .insert(Address::new(Class::Constraint, constraint.oid), index);
                    }
                    if let Item::Relation(relation) = item {
                        if let Some(view) = &relation.view
                            && relation.kind == RelationKind::MaterializedView
                        {
                            self.by_address
                                .insert(Address::new(Class::Rule, view.rule), index);
                        }
                        for oid in [relation.rowtype, relation.rowtype_array] {
                            if oid != 0 {
                                self.by_address
                                    .insert(Address::new(Class::Type, oid), index);
                            }
                        }
                    }
                    if let Item::Type(Type {
                        definition: TypeDefinition::Composite { relation, .. },
                        ..
                    }) = item
                    {
                        self.by_address
                            .insert(Address::new(Class::Relation, *relation), index);
                    }
                }
                (Node::SeparateDefault(oid), _) => {
                    self.by_address
                        .insert(Address::new(Class::Default, oid), index);
                }
                (Node::SeparateConstraint(oid), _) => {
                    self.by_address
                        .insert(Address::new(Class::Constraint, oid), index);
                }
                (Node::ViewDefinition(_), Item::ViewRule(relation)) => {
                    if let Some(view) = &relation.view {
                        self.by_address
                            .insert(Address::new(Class::Rule, view.rule), index);
                    }
                }
                _ => {}
            }
        }
        self.resolve_carriers(database);
        self.resolve_members(database);
    }

    /// Types that never stand by themselves lead to what they are made of.
    fn resolve_carriers(&mut self, database: &Database) {
        let next: HashMap<Oid, Address> = database
            .types
            .iter()
            .filter_map(|ty| {
                let to = match ty.definition {
                    TypeDefinition::Array { element } => Address::new(Class::Type, element),
                    TypeDefinition::Multirange { range } => Address::new(Class::Type, range),
                    _ => return None,
                };
                Some((ty.header.address.oid, to))
            })
            .collect();
        for &oid in next.keys() {
            let mut at = Address::new(Class::Type, oid);
            // An array of a multirange is two steps away from its range; the bound guards against
            // a catalog that goes round in circles.
            for _ in 0..4 {
                match next.get(&at.oid).filter(|_| at.class == Class::Type) {
                    Some(&further) => at = further,
                    None => break,
                }
            }
            if let Some(&index) = self.by_address.get(&at) {
                self.by_address
                    .insert(Address::new(Class::Type, oid), index);
            }
        }
    }

    /// A member of an extension that is not itself in the order comes with its extension.
    fn resolve_members(&mut self, database: &Database) {
        for header in headers(database) {
            let Some(extension) = header.extension else {
                continue;
            };
            let hidden = match self.by_address.get(&header.address) {
                Some(&index) => self.slot(index).standing == Standing::Hidden,
                None => true,
            };
            if let Some(index) = self
                .find(Node::Object(Address::new(Class::Extension, extension)))
                .filter(|_| hidden)
            {
                self.by_address.insert(header.address, index);
            }
        }
    }
}

/// The headers of all objects that may be members of an extension.
fn headers(database: &Database) -> impl Iterator<Item = &Header> {
    let languages = database.languages.iter().map(|x| &x.header);
    let collations = database.collations.iter().map(|x| &x.header);
    let casts = database.casts.iter().map(|x| &x.header);
    let aggregates = database.aggregates.iter().map(|x| &x.header);
    let operators = database.operators.iter().map(|x| &x.header);
    let families = database.operator_families.iter().map(|x| &x.header);
    let classes = database.operator_classes.iter().map(|x| &x.header);
    let access_methods = database.access_methods.iter().map(|x| &x.header);
    let conversions = database.conversions.iter().map(|x| &x.header);
    let transforms = database.transforms.iter().map(|x| &x.header);
    let parsers = database.text_search_parsers.iter().map(|x| &x.header);
    let templates = database.text_search_templates.iter().map(|x| &x.header);
    let dictionaries = database.text_search_dictionaries.iter().map(|x| &x.header);
    let configurations = database
        .text_search_configurations
        .iter()
        .map(|x| &x.header);
    let wrappers = database.foreign_data_wrappers.iter().map(|x| &x.header);
    let servers = database.foreign_servers.iter().map(|x| &x.header);
    let types = database.types.iter().map(|x| &x.header);
    let functions = database.functions.iter().map(|x| &x.header);
    let relations = database.relations.iter().map(|x| &x.header);
    let schemas = database.schemas.iter().map(|x| &x.header);
    let indexes = database.indexes.iter().map(|x| &x.header);
    let foreign_keys = database.foreign_keys.iter().map(|x| &x.header);
    let triggers = database.triggers.iter().map(|x| &x.header);
    let rules = database.rules.iter().map(|x| &x.header);
    languages
        .chain(collations)
        .chain(casts)
        .chain(aggregates)
        .chain(operators)
        .chain(families)
        .chain(classes)
        .chain(access_methods)
        .chain(conversions)
        .chain(transforms)
        .chain(parsers)
        .chain(templates)
        .chain(dictionaries)
        .chain(configurations)
        .chain(wrappers)
        .chain(servers)
        .chain(types)
        .chain(functions)
        .chain(relations)
        .chain(schemas)
        .chain(indexes)
        .chain(foreign_keys)
        .chain(triggers)
        .chain(rules)
}

struct Collector<'a> {
    database: &'a Database,
    relations: HashMap<Oid, &'a Relation>,
    defined_indexes: HashSet<Oid>,
    /// By what keys begin with: section and sort of object.
    found: BTreeMap<(Section, u8), Vec<(Key<'a>, Slot<'a>)>>,
}

impl<'a> Collector<'a> {
    fn push(&mut self, key: Key<'a>, item: Item<'a>, node: Node, standing: Standing) {
        // What is written within its owner is made with it.
        let section = if standing == Standing::Part {
            Section::PreData
        } else {
            key.section
        };
        let slot = Slot {
            item,
            node,
            standing,
            section,
        };
        let of_sort = self.found.entry((key.section, key.priority)).or_default();
        of_sort.push((key, slot));
    }

    fn object(&mut self, item: Item<'a>, header: &'a Header, key: Key<'a>, shown: bool) {
        let standing = if shown {
            Standing::Shown
        } else {
            Standing::Hidden
        };
        self.push(key, item, Node::Object(header.address), standing);
    }

    /// Objects that their names tell apart.
    fn plain<T>(
        &mut self,
        section: Section,
        priority: u8,
        list: &'a [T],
        item: impl Fn(&'a T) -> Item<'a>,
    ) {
        for item in list.iter().map(item) {
            if let Some(header) = item.header() {
                let key = Key {
                    section,
                    ..Key::pre(priority, header)
                };
                self.object(item, header, key, is_shown(header));
            }
        }
    }

    /// Schema and name of a relation, for the order of what hangs on it.
    fn table(&self, oid: Oid) -> (&'a str, &'a str) {
        self.relations.get(&oid).map_or(("", ""), |relation| {
            (
                relation.header.schema.as_deref().unwrap_or_default(),
                relation.header.name.as_str(),
            )
        })
    }

    fn collect(&mut self) {
        let database = self.database;
        let header = &database.properties.header;
        // Never ordered: its statements stand apart, and a restore runs them first or not at all.
        self.object(Item::Database(header), header, Key::pre(0, header), false);
        for schema in &database.schemas {
            let header = &schema.header;
            self.object(
                Item::Schema(schema),
                header,
                Key::pre(1, header),
                is_shown(header),
            );
        }
        for extension in &database.extensions {
            let header = &extension.header;
            self.object(
                Item::Extension(extension),
                header,
                Key::pre(5, header),
                is_shown(header),
            );
        }
        let pre = Section::PreData;
        self.plain(pre, 2, &database.languages, Item::Language);
        self.plain(pre, 3, &database.collations, Item::Collation);
        self.plain(pre, 4, &database.transforms, Item::Transform);
        self.plain(pre, 7, &database.casts, Item::Cast);
        self.plain(pre, 10, &database.access_methods, Item::AccessMethod);
        self.plain(pre, 13, &database.conversions, Item::Conversion);
        let parsers = &database.text_search_parsers;
        self.plain(pre, 14, parsers, Item::TextSearchParser);
        let templates = &database.text_search_templates;
        self.plain(pre, 15, templates, Item::TextSearchTemplate);
        let dictionaries = &database.text_search_dictionaries;
        self.plain(pre, 16, dictionaries, Item::TextSearchDictionary);
        let configurations = &database.text_search_configurations;
        self.plain(pre, 17, configurations, Item::TextSearchConfiguration);
        let wrappers = &database.foreign_data_wrappers;
        self.plain(pre, 18, wrappers, Item::ForeignDataWrapper);
        self.plain(pre, 19, &database.foreign_servers, Item::ForeignServer);
        self.plain(pre, 19, &database.user_mappings, Item::UserMapping);
        let post = Section::PostData;
        self.plain(post, 48, &database.publications, Item::Publication);
        for member in &database.publication_tables {
            let header = &member.header;
            let key = Key {
                extra: &member.publication,
                ..Key::post(49, header)
            };
            self.object(
                Item::PublicationTable(member),
                header,
                key,
                is_shown(header),
            );
        }
        for member in &database.publication_schemas {
            let header = &member.header;
            let key = Key {
                extra: &member.publication,
                ..Key::post(50, header)
            };
            self.object(
                Item::PublicationSchema(member),
                header,
                key,
                is_shown(header),
            );
        }
        self.plain(post, 51, &database.subscriptions, Item::Subscription);
        // After refreshes, on which they would fire.
        self.plain(post, 55, &database.event_triggers, Item::EventTrigger);
        for aggregate in &database.aggregates {
            let header = &aggregate.header;
            let key = Key {
                arguments: &aggregate.argument_types,
                extra: &aggregate.arguments,
                ..Key::pre(9, header)
            };
            self.object(Item::Aggregate(aggregate), header, key, is_shown(header));
        }
        for operator in &database.operators {
            let header = &operator.header;
            let key = Key {
                extra: &operator.operands,
                ..Key::pre(11, header)
            };
            self.object(Item::Operator(operator), header, key, is_shown(header));
        }
        for family in &database.operator_families {
            let header = &family.header;
            let key = Key {
                extra: &family.access_method,
                ..Key::pre(12, header)
            };
            self.object(Item::OperatorFamily(family), header, key, is_shown(header));
        }
        for class in &database.operator_classes {
            let header = &class.header;
            let key = Key {
                rank: 1,
                extra: &class.access_method,
                ..Key::pre(12, header)
            };
            self.object(Item::OperatorClass(class), header, key, is_shown(header));
        }
        for ty in &database.types {
            self.ty(ty);
        }
        for function in &database.functions {
            let header = &function.header;
            let key = Key {
                arguments: &function.argument_types,
                extra: &function.identity_arguments,
                ..Key::pre(8, header)
            };
            let given_away = function.given_away && header.wanted.has(Components::ACL);
            let shown = is_shown(header) || given_away;
            self.object(Item::Function(function), header, key, shown);
            if function.has_inner_needs() {
                self.push(
                    Key { rank: 1, ..key },
                    Item::FunctionDefinition(function),
                    Node::FunctionDefinition(header.address.oid),
                    part_of(header),
                );
            }
        }
        for relation in &database.relations {
            self.relation(relation);
        }
        for index in &database.indexes {
            self.index(index);
        }
        self.hangers();
        for acl in &database.default_acls {
            let key = Key {
                section: Section::PostData,
                priority: 52,
                schemaless: acl.schema.is_none(),
                schema: acl.schema.as_deref().unwrap_or_default(),
                name: &acl.role,
                number: i64::from(u32::from(acl.object_type)),
                oid: acl.oid,
                ..Key::default()
            };
            let standing = if acl.wanted {
                Standing::Shown
            } else {
                Standing::Hidden
            };
            self.push(
                key,
                Item::DefaultAcl(acl),
                Node::Object(Address::new(Class::DefaultAcl, acl.oid)),
                standing,
            );
        }
        for (position, remark) in (0_u32..).zip(&database.remarks) {
            let key = Key {
                section: Section::PostData,
                priority: 53,
                name: &remark.object,
                ..Key::default()
            };
            let node = Node::Remark(position);
            self.push(key, Item::Remark(remark), node, Standing::Shown);
        }
        for (position, _) in (0_u32..).zip(&database.large_objects) {
            let key = |priority| Key {
                section: Section::Data,
                priority,
                number: i64::from(position),
                ..Key::default()
            };
            self.push(
                key(32),
                Item::LargeObjects(position),
                Node::LargeObjects(position),
                Standing::Shown,
            );
            self.push(
                key(33),
                Item::LargeObjectData(position),
                Node::LargeObjectData(position),
                Standing::Shown,
            );
        }
    }

    fn ty(&mut self, ty: &'a Type) {
        let header = &ty.header;
        let own = !matches!(
            ty.definition,
            TypeDefinition::Array { .. } | TypeDefinition::Multirange { .. }
        );
        if !own {
            return;
        }
        let shown = is_shown(header);
        self.object(Item::Type(ty), header, Key::pre(6, header), shown);
        let part = part_of(header);
        match &ty.definition {
            TypeDefinition::Base(_) | TypeDefinition::Range(_) => {
                let key = Key {
                    rank: 1,
                    ..Key::pre(6, header)
                };
                self.push(
                    key,
                    Item::ShellType(ty),
                    Node::ShellType(header.address.oid),
                    part,
                );
            }
            TypeDefinition::Domain(domain) => {
                if matches!(domain.default, DomainDefault::Expression(_)) {
                    let key = Key {
                        rank: 1,
                        ..Key::pre(6, header)
                    };
                    self.push(
                        key,
                        Item::DomainDefault(ty),
                        Node::DomainDefault(header.address.oid),
                        part,
                    );
                }
                for constraint in &domain.constraints {
                    let key = Key {
                        name: &constraint.name,
                        table: (
                            header.schema.as_deref().unwrap_or_default(),
                            header.name.as_str(),
                        ),
                        oid: constraint.oid,
                        ..Key::post(40, header)
                    };
                    let standing = if part == Standing::Part && !constraint.validated {
                        Standing::Shown
                    } else {
                        part
                    };
                    self.push(
                        key,
                        Item::DomainConstraint(ty, constraint),
                        Node::SeparateConstraint(constraint.oid),
                        standing,
                    );
                }
            }
            _ => {}
        }
    }

    fn relation(&mut self, relation: &'a Relation) {
        let header = &relation.header;
        let oid = header.address.oid;
        if relation.kind == RelationKind::Composite {
            return;
        }
        let shown = is_shown(header)
            || (header.wanted.has(Components::ACL)
                && (relation
                    .columns
                    .iter()
                    .any(|column| column.settings().acl.differs())
                    || relation.system_columns.iter().any(|(_, acl)| acl.differs())));
        self.object(
            Item::Relation(relation),
            header,
            Key::pre(20, header),
            shown,
        );
        let part = part_of(header);
        if relation.kind == RelationKind::View {
            let key = Key {
                rank: 1,
                ..Key::pre(20, header)
            };
            self.push(
                key,
                Item::ViewRule(relation),
                Node::ViewDefinition(oid),
                part,
            );
        }
        self.columns(relation, part);
        for check in &relation.checks {
            // One that is not valid comes with its parent's, if it is not declared here.
            let standing = match (part, check.validated, check.local) {
                (Standing::Part, false, true) => Standing::Shown,
                (Standing::Part, false, false) => Standing::Hidden,
                (part, _, _) => part,
            };
            let key = Key {
                name: &check.name,
                table: self.table(oid),
                oid: check.oid,
                ..Key::post(40, header)
            };
            self.push(
                key,
                Item::Check(relation, check),
                Node::SeparateConstraint(check.oid),
                standing,
            );
        }
        self.derived(relation, part == Standing::Part);
    }

    fn columns(&mut self, relation: &'a Relation, part: Standing) {
        let header = &relation.header;
        let table = self.table(header.address.oid);
        for column in &relation.columns {
            if let Some(default) = &column.default {
                let key = Key {
                    number: i64::from(column.number),
                    oid: default.oid,
                    ..Key::pre(23, header)
                };
                let standing = if part == Standing::Part && default_stands_apart(relation, column) {
                    Standing::Shown
                } else {
                    part
                };
                self.push(
                    key,
                    Item::Default(relation, column),
                    Node::SeparateDefault(default.oid),
                    standing,
                );
            }
            if let Some(not_null) = &column.not_null
                && let Some(oid) = not_null.oid
                && !not_null.validated
                && not_null.local
                && part == Standing::Part
            {
                let key = Key {
                    name: not_null.name.as_deref().unwrap_or_default(),
                    table,
                    number: i64::from(column.number),
                    oid,
                    ..Key::post(40, header)
                };
                self.push(
                    key,
                    Item::NotNull(relation, column),
                    Node::SeparateConstraint(oid),
                    Standing::Shown,
                );
            }
        }
    }

    /// Whether an object is there once the archive is restored: made by itself or with its
    /// extension.
    fn is_made(&self, header: &Header) -> bool {
        header.wanted.has(Components::DEFINITION)
            || header.extension.is_some_and(|extension| {
                self.database
                    .extensions
                    .iter()
                    .filter(|other| other.header.address.oid == extension)
                    .any(|other| other.header.wanted.has(Components::DEFINITION))
            })
    }

    /// What follows from a relation: attaching, rows, values, refreshes.
    fn derived(&mut self, relation: &'a Relation, defined: bool) {
        let header = &relation.header;
        let oid = header.address.oid;
        let is_made = |oid: Oid| {
            let relation = self.relations.get(&oid);
            relation.is_some_and(|made| self.is_made(&made.header))
        };
        let parent_is_made = relation
            .parents
            .first()
            .is_some_and(|parent| is_made(parent.oid));
        let owner = relation.sequence.as_ref().and_then(|x| x.owner.as_ref());
        let owner_is_made =
            owner.is_some_and(|owner| owner.identity.is_none() && is_made(owner.table));
        let mut push = |section, priority, item, node| {
            let key = Key {
                section,
                ..Key::pre(priority, header)
            };
            self.push(key, item, node, Standing::Shown);
        };
        if relation.partition_bound.is_some() && defined && parent_is_made {
            push(
                Section::PreData,
                22,
                Item::TableAttach(relation),
                Node::TableAttach(oid),
            );
        }
        let has_rows = matches!(
            relation.kind,
            RelationKind::Table | RelationKind::ForeignTable
        );
        if has_rows && header.wanted.has(Components::DATA) {
            push(
                Section::Data,
                30,
                Item::TableData(relation),
                Node::TableData(oid),
            );
        }
        if let Some(sequence) = &relation.sequence {
            if defined && owner_is_made {
                push(
                    Section::PreData,
                    21,
                    Item::SequenceOwner(relation),
                    Node::SequenceOwner(oid),
                );
            }
            if sequence.value.is_some() {
                push(
                    Section::Data,
                    31,
                    Item::SequenceSet(relation),
                    Node::SequenceSet(oid),
                );
            }
        }
        if relation.row_security && header.wanted.has(Components::POLICY) {
            push(
                Section::PostData,
                47,
                Item::RowSecurity(relation),
                Node::RowSecurity(oid),
            );
        }
        if relation.kind == RelationKind::MaterializedView
            && header.wanted.has(Components::DATA)
            && relation.view.as_ref().is_some_and(|view| view.populated)
        {
            push(
                Section::PostData,
                54,
                Item::Refresh(relation),
                Node::Refresh(oid),
            );
        }
    }

    fn index(&mut self, index: &'a Index) {
        let header = &index.header;
        let priority = if index.constraint.is_some() { 40 } else { 41 };
        let key = Key {
            table: self.table(index.table),
            ..Key::post(priority, header)
        };
        self.object(Item::Index(index), header, key, is_shown(header));
        if self.defined_indexes.contains(&header.address.oid)
            && let Some(parent) = index.parent
            && self.defined_indexes.contains(&parent)
        {
            let key = Key {
                table: self.table(index.table),
                ..Key::post(42, header)
            };
            self.push(
                key,
                Item::IndexAttach(index),
                Node::IndexAttach(header.address.oid),
                Standing::Shown,
            );
        }
    }

    /// What hangs on a table and is made after the data.
    fn hangers(&mut self) {
        let database = self.database;
        for statistics in &database.statistics {
            let header = &statistics.header;
            self.object(
                Item::Statistics(statistics),
                header,
                Key::post(43, header),
                is_shown(header),
            );
        }
        for rule in &database.rules {
            let header = &rule.header;
            let key = Key {
                table: self.table(rule.relation),
                ..Key::post(44, header)
            };
            self.object(Item::Rule(rule), header, key, is_shown(header));
        }
        for trigger in &database.triggers {
            let header = &trigger.header;
            let key = Key {
                table: self.table(trigger.table),
                ..Key::post(45, header)
            };
            self.object(Item::Trigger(trigger), header, key, is_shown(header));
        }
        for foreign_key in &database.foreign_keys {
            let header = &foreign_key.header;
            let key = Key {
                table: self.table(foreign_key.table),
                ..Key::post(46, header)
            };
            self.object(Item::ForeignKey(foreign_key), header, key, is_shown(header));
        }
        for policy in &database.policies {
            let header = &policy.header;
            let key = Key {
                table: self.table(policy.table),
                rank: 1,
                ..Key::post(47, header)
            };
            let shown = is_shown(header) || header.wanted.has(Components::POLICY);
            self.object(Item::Policy(policy), header, key, shown);
        }
    }
}

/// Whether there is anything of an object to write.
fn is_shown(header: &Header) -> bool {
    let wanted = header.wanted;
    wanted.has(Components::DEFINITION)
        || (wanted.has(Components::ACL) && header.acl.differs())
        || (wanted.has(Components::COMMENT)
            && (header.comment.is_some() || !header.part_comments.is_empty()))
        || (wanted.has(Components::LABEL) && !header.labels.is_empty())
}

/// Parts are written where their owner is made.
fn part_of(owner: &Header) -> Standing {
    if owner.wanted.has(Components::DEFINITION) {
        Standing::Part
    } else {
        Standing::Hidden
    }
}

/// A view's defaults cannot be written within it, nor can those of a column that CREATE TABLE
/// leaves to the parent. (What a generated column is computed from can never stand apart.)
fn default_stands_apart(relation: &Relation, column: &Column) -> bool {
    let column_is_written = column.local || relation.partition_bound.is_some();
    column.generated.is_none() && (relation.kind == RelationKind::View || !column_is_written)
}
