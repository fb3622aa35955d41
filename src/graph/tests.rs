//! Hand-made databases, one for each kind of cycle and dependency.

use proptest::prelude::*;

use super::inventory::Inventory;
use super::name::describe;
use super::{Node, Order, Section, order};
use crate::model::{
    Address, BaseType, Check, Class, Column, Components, Database, DatabaseProperties, Default,
    Dependency, DependencyKind, Domain, DomainConstraint, DomainDefault, EnabledState, Extension,
    ForeignKey, Function, FunctionBody, FunctionKind, Generated, Header, Identity, Index,
    IndexConstraint, IndexConstraintKind, Oid, Parallel, Parent, Persistence, Policy,
    PolicyCommand, RangeType, Relation, RelationKind, ReplicaIdentity, Schema, Sequence,
    SequenceOwner, Trigger, Type, TypeDefinition, View, Volatility,
};
use crate::sql::ServerVersion;

/// Makes a database object by object; everything in schema `s`, everything wanted.
struct Model {
    database: Database,
    oids: Box<dyn Iterator<Item = Oid>>,
    wanted: Components,
}

impl Model {
    fn new() -> Self {
        Self::with_oids(16384..)
    }

    fn with_oids(oids: impl Iterator<Item = Oid> + 'static) -> Self {
        let header = Header::new(Address::new(Class::Database, 5), None, "db".to_owned());
        let mut model = Self {
            database: Database {
                version: ServerVersion::from_num(180_000),
                properties: DatabaseProperties {
                    header,
                    encoding: "UTF8".to_owned(),
                    locale_provider: "libc".to_owned(),
                    collate: "C".to_owned(),
                    ctype: "C".to_owned(),
                    locale: None,
                    icu_rules: None,
                    tablespace: None,
                    connection_limit: None,
                    is_template: false,
                    settings: Vec::new(),
                },
                schemas: Vec::new(),
                extensions: Vec::new(),
                types: Vec::new(),
                functions: Vec::new(),
                relations: Vec::new(),
                indexes: Vec::new(),
                foreign_keys: Vec::new(),
                statistics: Vec::new(),
                planner_statistics: Vec::new(),
                rules: Vec::new(),
                triggers: Vec::new(),
                policies: Vec::new(),
                operator_families: Vec::new(),
                operator_classes: Vec::new(),
                access_methods: Vec::new(),
                conversions: Vec::new(),
                transforms: Vec::new(),
                text_search_parsers: Vec::new(),
                text_search_templates: Vec::new(),
                text_search_dictionaries: Vec::new(),
                text_search_configurations: Vec::new(),
                foreign_data_wrappers: Vec::new(),
                foreign_servers: Vec::new(),
                user_mappings: Vec::new(),
                subscriptions: Vec::new(),
                remarks: Vec::new(),
                publications: Vec::new(),
                publication_tables: Vec::new(),
                publication_schemas: Vec::new(),
                event_triggers: Vec::new(),
                languages: Vec::new(),
                collations: Vec::new(),
                casts: Vec::new(),
                aggregates: Vec::new(),
                operators: Vec::new(),
                default_acls: Vec::new(),
                large_objects: Vec::new(),
                dependencies: Vec::new(),
            },
            oids: Box::new(oids),
            wanted: Components::ALL,
        };
        let header = model.header(Class::Schema, "s");
        model.database.schemas.push(Schema {
            header: Header {
                schema: None,
                ..header
            },
            built_in: false,
        });
        model
    }

    fn oid(&mut self) -> Oid {
        self.oids.next().unwrap()
    }

    fn header(&mut self, class: Class, name: &str) -> Header {
        let oid = self.oid();
        Header {
            wanted: self.wanted,
            ..Header::new(
                Address::new(class, oid),
                Some("s".to_owned()),
                name.to_owned(),
            )
        }
    }

    fn depend(&mut self, object: (Class, Oid), on: (Class, Oid)) {
        self.depend_as(object, on, DependencyKind::Normal);
    }

    fn depend_as(&mut self, object: (Class, Oid), on: (Class, Oid), kind: DependencyKind) {
        self.database.dependencies.push(Dependency {
            object: Address::new(object.0, object.1),
            on: Address::new(on.0, on.1),
            kind,
        });
    }

    fn relation(&mut self, name: &str, kind: RelationKind) -> Oid {
        let header = self.header(Class::Relation, name);
        let oid = header.address.oid;
        let rowtype = self.oid();
        self.database.relations.push(Relation {
            header,
            kind,
            persistence: Persistence::Permanent,
            rowtype,
            rowtype_array: 0,
            tablespace: None,
            access_method: None,
            options: Vec::new(),
            of_type: None,
            parents: Vec::new(),
            partition_bound: None,
            partition_key: None,
            load_via_root: None,
            columns: Vec::new(),
            checks: Vec::new(),
            replica_identity: ReplicaIdentity::Default,
            row_security: false,
            force_row_security: false,
            view: None,
            sequence: None,
            foreign: None,
            pages: 0,
            bytes: 0,
            heap_bytes: 0,
            system_columns: Vec::new(),
            configuration_condition: None,
        });
        oid
    }

    fn last(&mut self) -> &mut Relation {
        self.database.relations.last_mut().unwrap()
    }

    fn table(&mut self, name: &str) -> Oid {
        self.relation(name, RelationKind::Table)
    }

    fn partition(&mut self, name: &str, parent: Oid, kind: RelationKind) -> Oid {
        let oid = self.relation(name, kind);
        self.last().partition_bound = Some("DEFAULT".to_owned());
        self.child_of(parent);
        self.depend_as(
            (Class::Relation, oid),
            (Class::Relation, parent),
            DependencyKind::Auto,
        );
        oid
    }

    fn child_of(&mut self, parent: Oid) {
        self.last().parents.push(Parent {
            oid: parent,
            sql_name: String::new(),
        });
    }

    /// A view or materialized view and its rule.
    fn view(&mut self, name: &str, kind: RelationKind) -> (Oid, Oid) {
        let oid = self.relation(name, kind);
        let rule = self.oid();
        self.last().view = Some(View {
            query: String::new(),
            check_option: None,
            populated: kind == RelationKind::MaterializedView,
            rule,
        });
        self.depend_as(
            (Class::Rule, rule),
            (Class::Relation, oid),
            DependencyKind::Internal,
        );
        (oid, rule)
    }

    fn rowtype(&self, relation: Oid) -> Oid {
        let found = self
            .database
            .relations
            .iter()
            .find(|x| x.header.address.oid == relation);
        found.unwrap().rowtype
    }

    /// A column with a default on the last relation; gives the default's OID.
    fn column_with_default(&mut self, name: &str, generated: Option<Generated>) -> Oid {
        let oid = self.oid();
        let relation = self.last();
        let table = relation.header.address.oid;
        let number = relation.columns.len() as i32 + 1;
        relation.columns.push(Column {
            number,
            name: name.to_owned(),
            type_sql: "integer".to_owned(),
            type_oid: 23,
            local: true,
            default: Some(Default {
                oid,
                expression: String::new(),
            }),
            generated,
            identity: None,
            not_null: None,
            settings: None,
            sent_as: Some("integer".into()),
        });
        self.depend_as(
            (Class::Default, oid),
            (Class::Relation, table),
            DependencyKind::Auto,
        );
        oid
    }

    /// A check on the last relation.
    fn check(&mut self, name: &str, validated: bool) -> Oid {
        let oid = self.oid();
        let table = self.last().header.address.oid;
        self.last().checks.push(Check {
            oid,
            name: name.to_owned(),
            definition: String::new(),
            local: true,
            validated,
            comment: None,
        });
        self.depend_as(
            (Class::Constraint, oid),
            (Class::Relation, table),
            DependencyKind::Auto,
        );
        oid
    }

    fn function(&mut self, name: &str) -> Oid {
        let header = self.header(Class::Function, name);
        let oid = header.address.oid;
        self.database.functions.push(Function {
            given_away: false,
            comes_along: false,
            header,
            kind: FunctionKind::Function,
            arguments: String::new(),
            identity_arguments: String::new(),
            argument_types: Vec::new(),
            result: None,
            language: "sql".to_owned(),
            transforms: Vec::new(),
            transform_types: Vec::new(),
            signature_types: Vec::new(),
            volatility: Volatility::Volatile,
            strict: false,
            security_definer: false,
            leakproof: false,
            parallel: Parallel::Unsafe,
            cost: None,
            rows: None,
            support: None,
            settings: Vec::new(),
            body: FunctionBody::Source(String::new()),
        });
        oid
    }

    fn ty(&mut self, name: &str, definition: TypeDefinition) -> Oid {
        let header = self.header(Class::Type, name);
        let oid = header.address.oid;
        self.database.types.push(Type { header, definition });
        oid
    }

    fn index(&mut self, name: &str, table: Oid, primary: bool) -> Oid {
        let header = self.header(Class::Relation, name);
        let oid = header.address.oid;
        let constraint = primary.then(|| IndexConstraint {
            oid: self.oid(),
            name: name.to_owned(),
            kind: IndexConstraintKind::PrimaryKey,
            definition: String::new(),
            comment: None,
            inherited: false,
        });
        self.database.indexes.push(Index {
            header,
            table,
            definition: String::new(),
            tablespace: None,
            parent: None,
            partitioned: false,
            unique: primary,
            clustered: false,
            replica_identity: false,
            statistics: Vec::new(),
            constraint,
            table_bytes: 0,
        });
        oid
    }

    /// A primary key; gives the OID of its constraint, on which queries depend.
    fn primary_key(&mut self, name: &str, table: Oid) -> Oid {
        self.index(name, table, true);
        let index = self.database.indexes.last().unwrap();
        index.constraint.as_ref().unwrap().oid
    }

    fn foreign_key(&mut self, name: &str, table: Oid, referenced: Oid) -> Oid {
        let header = self.header(Class::Constraint, name);
        let oid = header.address.oid;
        self.database.foreign_keys.push(ForeignKey {
            header,
            table,
            referenced,
            definition: String::new(),
            on_partitioned: false,
            validated: true,
            enforced: true,
            validated_on: Vec::new(),
        });
        oid
    }

    fn sequence(&mut self, name: &str, owner: Option<SequenceOwner>) -> Oid {
        let oid = self.relation(name, RelationKind::Sequence);
        self.last().sequence = Some(Sequence {
            type_sql: "bigint".to_owned(),
            start: 1,
            increment: 1,
            minimum: 1,
            maximum: i64::MAX,
            cache: 1,
            cycle: false,
            value: Some((1, true)),
            owner,
        });
        oid
    }

    fn trigger(&mut self, name: &str, table: Oid, parent: Option<Oid>) -> Oid {
        let header = self.header(Class::Trigger, name);
        let oid = header.address.oid;
        self.database.triggers.push(Trigger {
            header,
            table,
            definition: parent.is_none().then(String::new),
            parent,
            enabled: EnabledState::Disabled,
        });
        oid
    }

    fn order(&self) -> Order {
        let order = order(&self.database).unwrap();
        check_order(&order);
        order
    }

    /// The names in order.
    fn names(&self) -> Vec<String> {
        name_all(&self.database, &self.order())
    }
}

fn name_all(database: &Database, order: &Order) -> Vec<String> {
    let inventory = Inventory::of(database);
    order
        .nodes
        .iter()
        .map(|ordered| {
            let index = inventory.find(ordered.node).unwrap();
            describe(inventory.slot(index).item)
        })
        .collect()
}

/// Each node once, sections one after the other, dependencies before.
fn check_order(order: &Order) {
    let mut seen = std::collections::BTreeSet::new();
    for (at, ordered) in order.nodes.iter().enumerate() {
        assert!(seen.insert(ordered.node), "{:?} twice", ordered.node);
        assert!(ordered.depends_on.iter().all(|&need| need < at));
        if at > 0 {
            assert!(order.nodes[at - 1].section <= ordered.section);
        }
    }
}

/// What the node waits for, by name.
fn waits_for(model: &Model, node: Node) -> Vec<String> {
    let order = model.order();
    let names = name_all(&model.database, &order);
    let ordered = order.nodes.iter().find(|x| x.node == node).unwrap();
    let mut found: Vec<String> = ordered
        .depends_on
        .iter()
        .map(|&at| names[at].clone())
        .collect();
    found.sort();
    found
}

fn place(order: &Order, node: Node) -> usize {
    let found = order.nodes.iter().position(|x| x.node == node);
    found.unwrap_or_else(|| panic!("{node:?} is not in the order"))
}

fn section(order: &Order, node: Node) -> Section {
    order.nodes[place(order, node)].section
}

fn object(class: Class, oid: Oid) -> Node {
    Node::Object(Address::new(class, oid))
}

const RELATION: Class = Class::Relation;
const FUNCTION: Class = Class::Function;

#[test]
fn type_and_input_function() {
    let mut model = Model::new();
    let (input, output) = (model.function("t_in"), model.function("t_out"));
    let ty = model.ty(
        "t",
        TypeDefinition::Base(Box::new(BaseType {
            options: Vec::new(),
            functions: vec![input, output],
            ..BaseType::default()
        })),
    );
    for function in [input, output] {
        model.depend((FUNCTION, function), (Class::Type, ty));
        model.depend((Class::Type, ty), (FUNCTION, function));
    }
    let order = model.order();
    assert_eq!(order.splits.shell_types.iter().collect::<Vec<_>>(), [&ty]);
    assert_eq!(
        model.names(),
        [
            "schema s",
            "shell of type s.t",
            "function s.t_in()",
            "function s.t_out()",
            "type s.t"
        ]
    );
}

#[test]
fn a_view_and_its_rule_are_one() {
    let mut model = Model::new();
    let table = model.table("t");
    let (_, rule) = model.view("v", RelationKind::View);
    model.depend((Class::Rule, rule), (RELATION, table));
    assert_eq!(
        model.names(),
        ["schema s", "table s.t", "view s.v", "rows of table s.t"]
    );
    assert_eq!(model.order().splits, super::Splits::default());
}

#[test]
fn circular_views() {
    let mut model = Model::new();
    let (first, first_rule) = model.view("a", RelationKind::View);
    let (second, second_rule) = model.view("b", RelationKind::View);
    let (_, outside) = model.view("aa", RelationKind::View);
    model.depend((Class::Rule, first_rule), (RELATION, second));
    model.depend((Class::Rule, second_rule), (RELATION, first));
    model.depend((Class::Rule, outside), (RELATION, first));
    let order = model.order();
    assert_eq!(order.splits.dummy_views.len(), 1);
    assert!(order.splits.dummy_views.contains(&first));
    assert_eq!(
        model.names(),
        [
            "schema s",
            "view s.a",
            "view s.b",
            "query of view s.a",
            "view s.aa"
        ]
    );
}

#[test]
fn a_view_that_leans_on_a_primary_key() {
    let mut model = Model::new();
    let table = model.table("t");
    let key = model.primary_key("t_pkey", table);
    let (view, rule) = model.view("v", RelationKind::View);
    model.depend((Class::Rule, rule), (RELATION, table));
    model.depend((Class::Rule, rule), (Class::Constraint, key));
    let order = model.order();
    assert!(order.splits.dummy_views.contains(&view));
    assert_eq!(section(&order, object(RELATION, view)), Section::PreData);
    assert_eq!(
        section(&order, Node::ViewDefinition(view)),
        Section::PostData
    );
    assert_eq!(
        waits_for(&model, Node::ViewDefinition(view)),
        ["constraint s.t_pkey", "table s.t", "view s.v"]
    );
}

#[test]
fn a_dummy_comes_after_the_types_of_its_columns() {
    let mut model = Model::new();
    let table = model.table("t");
    let key = model.primary_key("t_pkey", table);
    let ty = model.ty("mood", TypeDefinition::Enum(Vec::new()));
    let (view, rule) = model.view("v", RelationKind::View);
    model.column_with_default("c", None);
    model.last().columns[0].type_oid = ty;
    model.last().columns[0].default = None;
    model.depend((Class::Rule, rule), (Class::Constraint, key));
    assert!(waits_for(&model, object(RELATION, view)).contains(&"type s.mood".to_owned()));
}

#[test]
fn a_view_with_check_option_follows_the_late_view_below_it() {
    let mut model = Model::new();
    let table = model.table("t");
    let key = model.primary_key("t_pkey", table);
    let function = model.function("f");
    model.depend((FUNCTION, function), (Class::Constraint, key));
    let (lower, lower_rule) = model.view("lower", RelationKind::View);
    model.depend((Class::Rule, lower_rule), (FUNCTION, function));
    let (upper, upper_rule) = model.view("upper", RelationKind::View);
    model.depend((Class::Rule, upper_rule), (RELATION, lower));
    assert_eq!(model.order().splits.dummy_views.len(), 1);
    model.last().view.as_mut().unwrap().check_option = Some("LOCAL".to_owned());
    let order = model.order();
    assert_eq!(order.splits.dummy_views.len(), 2);
    assert!(
        place(&order, Node::ViewDefinition(lower)) < place(&order, Node::ViewDefinition(upper))
    );
}

#[test]
fn a_materialized_view_that_leans_on_a_primary_key() {
    let mut model = Model::new();
    let table = model.table("t");
    let key = model.primary_key("t_pkey", table);
    let (view, rule) = model.view("m", RelationKind::MaterializedView);
    model.depend((Class::Rule, rule), (RELATION, table));
    model.depend((Class::Rule, rule), (Class::Constraint, key));
    let order = model.order();
    assert!(
        order
            .splits
            .postponed
            .contains(&Address::new(RELATION, view))
    );
    assert_eq!(section(&order, object(RELATION, view)), Section::PostData);
    assert_eq!(
        waits_for(&model, Node::Refresh(view)),
        ["materialized view s.m", "rows of table s.t"]
    );
}

#[test]
fn a_function_that_leans_on_a_primary_key() {
    let mut model = Model::new();
    let table = model.table("t");
    let key = model.primary_key("t_pkey", table);
    let function = model.function("f");
    model.depend((FUNCTION, function), (Class::Constraint, key));
    // What needs the function moves or is set apart as well.
    let other = model.table("u");
    let default = model.column_with_default("c", None);
    model.depend((Class::Default, default), (FUNCTION, function));
    let check = model.check("u_check", true);
    model.depend((Class::Constraint, check), (FUNCTION, function));
    let order = model.order();
    assert!(
        order
            .splits
            .postponed
            .contains(&Address::new(FUNCTION, function))
    );
    assert_eq!(section(&order, object(RELATION, other)), Section::PreData);
    assert_eq!(
        section(&order, Node::SeparateDefault(default)),
        Section::PostData
    );
    assert_eq!(
        waits_for(&model, Node::SeparateConstraint(check)),
        ["function s.f()", "rows of table s.u", "table s.u"]
    );
}

#[test]
fn an_inline_check_and_default() {
    let mut model = Model::new();
    let table = model.table("t");
    let default = model.column_with_default("c", None);
    let check = model.check("t_check", true);
    let function = model.function("zz");
    model.depend((Class::Default, default), (FUNCTION, function));
    model.depend((Class::Constraint, check), (FUNCTION, function));
    assert_eq!(
        model.names(),
        [
            "schema s",
            "function s.zz()",
            "table s.t",
            "rows of table s.t"
        ]
    );
    assert_eq!(
        waits_for(&model, object(RELATION, table)),
        ["function s.zz()", "schema s"]
    );
    assert_eq!(model.order().splits, super::Splits::default());
}

#[test]
fn a_check_through_a_function_of_the_rowtype() {
    let mut model = Model::new();
    let table = model.table("t");
    let check = model.check("t_check", true);
    let function = model.function("f");
    let rowtype = model.rowtype(table);
    model.depend((Class::Constraint, check), (FUNCTION, function));
    model.depend((FUNCTION, function), (Class::Type, rowtype));
    let order = model.order();
    assert!(order.splits.constraints.contains(&check));
    assert_eq!(
        section(&order, Node::SeparateConstraint(check)),
        Section::PostData
    );
    assert_eq!(
        model.names(),
        [
            "schema s",
            "table s.t",
            "function s.f()",
            "rows of table s.t",
            "check t_check of s.t"
        ]
    );
}

#[test]
fn a_default_through_a_function_of_an_array_of_the_rowtype() {
    let mut model = Model::new();
    model.table("t");
    let default = model.column_with_default("c", None);
    let function = model.function("f");
    let array = model.oid();
    model.database.relations.last_mut().unwrap().rowtype_array = array;
    model.depend((Class::Default, default), (FUNCTION, function));
    model.depend((FUNCTION, function), (Class::Type, array));
    let order = model.order();
    assert!(order.splits.defaults.contains(&default));
    assert_eq!(
        section(&order, Node::SeparateDefault(default)),
        Section::PreData
    );
    assert_eq!(
        model.names(),
        [
            "schema s",
            "table s.t",
            "function s.f()",
            "default of s.t.c",
            "rows of table s.t"
        ]
    );
}

#[test]
fn a_generated_column_cannot_be_set_apart() {
    let mut model = Model::new();
    let table = model.table("t");
    let default = model.column_with_default("c", Some(Generated::Stored));
    let function = model.function("f");
    let rowtype = model.rowtype(table);
    model.depend((Class::Default, default), (FUNCTION, function));
    model.depend((FUNCTION, function), (Class::Type, rowtype));
    let error = order(&model.database).unwrap_err();
    assert_eq!(
        error.message(),
        "objects need each other in a circle that cannot be cut: function s.f() needs table s.t \
         needs default of s.t.c needs function s.f()"
    );
    assert!(error.hint().is_some());
}

#[test]
fn partitioned_index_and_its_children() {
    let mut model = Model::new();
    let parent = model.relation("p", RelationKind::PartitionedTable);
    let child = model.partition("a", parent, RelationKind::Table);
    let parent_index = model.index("p_idx", parent, false);
    let child_index = model.index("a_idx", child, false);
    model.database.indexes.last_mut().unwrap().parent = Some(parent_index);
    model.depend_as(
        (RELATION, child_index),
        (RELATION, parent_index),
        DependencyKind::PartitionPrimary,
    );
    assert_eq!(
        model.names(),
        [
            "schema s",
            "table s.a",
            "table s.p",
            "attaching of table s.a",
            "rows of table s.a",
            "index s.a_idx",
            "index s.p_idx",
            "attaching of index s.a_idx"
        ]
    );
    assert_eq!(
        waits_for(&model, Node::IndexAttach(child_index)),
        ["index s.a_idx", "index s.p_idx"]
    );
    assert_eq!(
        waits_for(&model, object(RELATION, child_index)),
        ["rows of table s.a", "table s.a"]
    );
}

fn domain(checks: Vec<DomainConstraint>) -> TypeDefinition {
    TypeDefinition::Domain(Box::new(Domain {
        base: "integer".to_owned(),
        base_oid: 23,
        collation: None,
        default: DomainDefault::OfBase,
        not_null: false,
        constraints: checks,
    }))
}

fn domain_check(model: &mut Model, name: &str, validated: bool) -> DomainConstraint {
    DomainConstraint {
        oid: model.oid(),
        name: name.to_owned(),
        definition: String::new(),
        is_not_null: false,
        validated,
        comment: None,
    }
}

#[test]
fn domain_checks() {
    let mut model = Model::new();
    let inline = domain_check(&mut model, "inline", true);
    let circular = domain_check(&mut model, "circular", true);
    let not_valid = domain_check(&mut model, "not_valid", false);
    let (circular_oid, not_valid_oid, inline_oid) = (circular.oid, not_valid.oid, inline.oid);
    let ty = model.ty("d", domain(vec![inline, circular, not_valid]));
    let function = model.function("f");
    let plain = model.function("plain");
    model.depend((Class::Constraint, circular_oid), (FUNCTION, function));
    model.depend((Class::Constraint, inline_oid), (FUNCTION, plain));
    model.depend((FUNCTION, function), (Class::Type, ty));
    let order = model.order();
    assert_eq!(
        order.splits.constraints.iter().copied().collect::<Vec<_>>(),
        [circular_oid, not_valid_oid]
    );
    assert_eq!(
        model.names(),
        [
            "schema s",
            "function s.plain()",
            "type s.d",
            "function s.f()",
            "check circular of domain s.d",
            "check not_valid of domain s.d"
        ]
    );
}

/// Gives a function a body that depends on what the function is said to depend on.
fn with_body(model: &mut Model, name: &str) -> Oid {
    let oid = model.function(name);
    if let Some(function) = model.database.functions.last_mut() {
        function.body = FunctionBody::Sql(String::new());
    }
    oid
}

#[test]
fn a_range_type_and_the_function_that_normalizes_it() {
    let mut model = Model::new();
    let function = model.function("normal");
    let apart = model.function("apart");
    let ty = model.ty(
        "r",
        TypeDefinition::Range(Box::new(RangeType {
            subtype: String::new(),
            multirange: None,
            operator_class: None,
            collation: None,
            canonical: Some((String::new(), function)),
            subtype_diff: Some(String::new()),
            constructors: Vec::new(),
        })),
    );
    let multirange = model.ty("m", TypeDefinition::Multirange { range: ty });
    model.depend((FUNCTION, function), (Class::Type, ty));
    model.depend((Class::Type, ty), (FUNCTION, function));
    model.depend((Class::Type, ty), (FUNCTION, apart));
    let user = model.function("takes_many");
    model.depend((FUNCTION, user), (Class::Type, multirange));
    assert_eq!(
        model.names(),
        [
            "schema s",
            "shell of type s.r",
            "function s.apart()",
            "function s.normal()",
            "type s.r",
            "function s.takes_many()"
        ]
    );
}

#[test]
fn functions_that_call_themselves_or_each_other() {
    let mut model = Model::new();
    let recursive = with_body(&mut model, "recursive");
    model.depend((FUNCTION, recursive), (FUNCTION, recursive));
    let (a, b) = (with_body(&mut model, "a"), with_body(&mut model, "b"));
    model.depend((FUNCTION, a), (FUNCTION, b));
    model.depend((FUNCTION, b), (FUNCTION, a));
    let caller = with_body(&mut model, "caller");
    model.depend((FUNCTION, caller), (FUNCTION, a));
    let order = model.order();
    assert_eq!(
        order.splits.declared_functions,
        [recursive, a].into_iter().collect()
    );
    // What has no part in the circle waits for the definition.
    assert!(
        waits_for(&model, object(FUNCTION, caller))
            .contains(&"definition of function s.a()".to_owned())
    );
    assert!(
        waits_for(&model, Node::FunctionDefinition(recursive))
            .contains(&"function s.recursive()".to_owned())
    );
}

#[test]
fn a_generated_column_through_a_function_that_reads_its_table() {
    let mut model = Model::new();
    let table = model.table("t");
    let default = model.column_with_default("c", Some(Generated::Stored));
    let function = with_body(&mut model, "f");
    model.depend((FUNCTION, function), (RELATION, table));
    model.depend((Class::Default, default), (FUNCTION, function));
    assert_eq!(
        model.names(),
        [
            "schema s",
            "function s.f()",
            "table s.t",
            "definition of function s.f()",
            "rows of table s.t"
        ]
    );
    // Rows must not meet a function that is only declared.
    let key = model.primary_key("t_pkey", table);
    model.depend((FUNCTION, function), (Class::Constraint, key));
    let error = order(&model.database).unwrap_err();
    assert_eq!(
        error.message(),
        "definition of function s.f() needs constraint s.t_pkey, which can be made only after the \
         data"
    );
}

#[test]
fn a_signature_is_part_of_the_declaration() {
    let mut model = Model::new();
    let (argument, other) = (model.table("argument"), model.table("other"));
    let rowtype = model.rowtype(argument);
    let function = with_body(&mut model, "f");
    if let Some(function) = model.database.functions.last_mut() {
        function.signature_types = vec![rowtype];
    }
    for needed in [
        (Class::Type, rowtype),
        (RELATION, other),
        (FUNCTION, function),
    ] {
        model.depend((FUNCTION, function), needed);
    }
    assert_eq!(
        waits_for(&model, object(FUNCTION, function)),
        ["schema s", "table s.argument"]
    );
    assert_eq!(
        waits_for(&model, Node::FunctionDefinition(function)),
        ["function s.f()", "table s.other"]
    );
}

#[test]
fn a_materialized_view_and_a_function_that_reads_it() {
    let mut model = Model::new();
    let (view, rule) = model.view("m", RelationKind::MaterializedView);
    let function = with_body(&mut model, "f");
    model.depend((FUNCTION, function), (RELATION, view));
    model.depend((Class::Rule, rule), (FUNCTION, function));
    assert_eq!(
        model.names(),
        [
            "schema s",
            "function s.f()",
            "materialized view s.m",
            "definition of function s.f()",
            "refresh of s.m"
        ]
    );
}

#[test]
fn domain_defaults() {
    let mut model = Model::new();
    let with_default = |model: &mut Model, name: &str| {
        let mut definition = domain(Vec::new());
        if let TypeDefinition::Domain(domain) = &mut definition {
            domain.default = DomainDefault::Expression(String::new());
        }
        model.ty(name, definition)
    };
    let circular = with_default(&mut model, "circular");
    let function = model.function("f");
    model.depend((FUNCTION, function), (Class::Type, circular));
    model.depend((Class::Type, circular), (FUNCTION, function));
    let own = with_default(&mut model, "own");
    model.depend((Class::Type, own), (Class::Type, own));
    let array = model.ty("_own", TypeDefinition::Array { element: own });
    model.depend((Class::Type, array), (Class::Type, own));
    let inline = with_default(&mut model, "straight");
    let plain = model.function("g");
    model.depend((Class::Type, inline), (FUNCTION, plain));
    model.depend((Class::Type, inline), (Class::Type, 23));
    let array = model.ty("_straight", TypeDefinition::Array { element: inline });
    model.depend((Class::Type, array), (Class::Type, inline));
    let order = model.order();
    assert_eq!(
        order.splits.domain_defaults,
        [circular, own].into_iter().collect()
    );
    assert_eq!(
        model.names(),
        [
            "schema s",
            "type s.circular",
            "function s.f()",
            "default of domain s.circular",
            "type s.own",
            "default of domain s.own",
            "function s.g()",
            "type s.straight"
        ]
    );
}

#[test]
fn an_object_that_needs_itself() {
    let mut model = Model::new();
    let table = model.table("t");
    let default = model.column_with_default("c", Some(Generated::Stored));
    model.depend((RELATION, table), (RELATION, table));
    model.depend((Class::Default, default), (RELATION, table));
    assert_eq!(
        model.names(),
        ["schema s", "table s.t", "rows of table s.t"]
    );
}

#[test]
fn circular_rows_of_a_data_only_dump() {
    let mut model = Model::new();
    model.wanted = Components::DATA;
    let (a, b, c) = (model.table("a"), model.table("b"), model.table("c"));
    model.foreign_key("ab", a, b);
    model.foreign_key("ba", b, a);
    model.foreign_key("ac", a, c);
    model.foreign_key("aa", a, a);
    let order = model.order();
    assert_eq!(order.splits.circular_data, [vec![a], vec![a, b]]);
    let names = name_all(&model.database, &order);
    assert!(names.contains(&"rows of table s.b".to_owned()));
    assert!(place(&order, Node::TableData(c)) < place(&order, Node::TableData(a)));
    let without_schema = &order.nodes[1..];
    assert!(without_schema.iter().all(|x| x.section == Section::Data));
}

#[test]
fn a_circle_of_no_known_kind_names_its_members() {
    let mut model = Model::new();
    let (a, b) = (model.function("a"), model.function("b"));
    model.depend((FUNCTION, a), (FUNCTION, b));
    model.depend((FUNCTION, b), (FUNCTION, a));
    let error = order(&model.database).unwrap_err();
    assert_eq!(
        error.message(),
        "objects need each other in a circle that cannot be cut: function s.a() needs function \
         s.b() needs function s.a()"
    );
}

#[test]
fn a_table_that_needs_what_comes_after_the_data_is_an_error() {
    let mut model = Model::new();
    let table = model.table("t");
    let key = model.primary_key("t_pkey", table);
    let function = model.function("f");
    model.depend((FUNCTION, function), (Class::Constraint, key));
    let other = model.table("u");
    model.depend((RELATION, other), (FUNCTION, function));
    let error = order(&model.database).unwrap_err();
    assert_eq!(
        error.message(),
        "table s.u needs function s.f(), which can be made only after the data"
    );
}

/// A table whose default needs, through a function, a view that groups by the table's key. Gives the
/// view and a second function that reads it.
fn circle_through_a_key(model: &mut Model) -> (Oid, Oid) {
    let table = model.table("gb");
    let key = model.primary_key("gb_pkey", table);
    let default = model.column_with_default("z", None);
    let (view, rule) = model.view("gbv", RelationKind::View);
    model.depend((Class::Rule, rule), (RELATION, table));
    model.depend((Class::Rule, rule), (Class::Constraint, key));
    let own = with_body(model, "uv");
    model.depend((FUNCTION, own), (RELATION, view));
    model.depend((Class::Default, default), (FUNCTION, own));
    let other = with_body(model, "ui");
    model.depend((FUNCTION, other), (RELATION, view));
    (view, other)
}

/// The second function and what stands on it are made before the data, the query after it.
fn stands_on_the_dummy(model: &Model, view: Oid, early: &[Node]) {
    let order = model.order();
    assert!(order.splits.dummy_views.contains(&view));
    assert_eq!(
        section(&order, Node::ViewDefinition(view)),
        Section::PostData
    );
    assert_eq!(order.splits.postponed, std::collections::BTreeSet::new());
    for &node in early {
        assert_eq!(section(&order, node), Section::PreData, "{node:?}");
        assert!(place(&order, object(RELATION, view)) < place(&order, node));
    }
}

#[test]
fn a_partition_key_stands_on_the_dummy_of_a_late_view() {
    let mut model = Model::new();
    let (view, function) = circle_through_a_key(&mut model);
    let table = model.relation("p", RelationKind::PartitionedTable);
    model.depend((RELATION, table), (FUNCTION, function));
    let early = [object(FUNCTION, function), object(RELATION, table)];
    stands_on_the_dummy(&model, view, &early);
}

#[test]
fn a_generated_column_stands_on_the_dummy_of_a_late_view() {
    let mut model = Model::new();
    let (view, function) = circle_through_a_key(&mut model);
    let table = model.table("p");
    let default = model.column_with_default("b", Some(Generated::Stored));
    model.depend((Class::Default, default), (FUNCTION, function));
    let early = [object(FUNCTION, function), object(RELATION, table)];
    stands_on_the_dummy(&model, view, &early);
}

#[test]
fn what_a_table_is_made_of_stands_on_the_dummy_of_a_late_view() {
    let mut model = Model::new();
    let (view, _) = circle_through_a_key(&mut model);
    let rowtype = model.rowtype(view);
    let columns = model.ty(
        "c",
        TypeDefinition::Composite {
            relation: 9,
            columns: Vec::new(),
        },
    );
    model.depend((Class::Type, columns), (Class::Type, rowtype));
    let taking = model.function("takes");
    model.depend((FUNCTION, taking), (Class::Type, rowtype));
    let table = model.table("p");
    model.depend((RELATION, table), (Class::Type, columns));
    let order = model.order();
    assert_eq!(section(&order, object(RELATION, table)), Section::PreData);
    // What nothing needs before the data comes after the query, as it asks to.
    assert_eq!(section(&order, object(FUNCTION, taking)), Section::PostData);
    assert!(
        waits_for(&model, object(FUNCTION, taking)).contains(&"query of view s.gbv".to_owned())
    );
}

/// A domain with a check through `function`, and a table with a column of it, in an array if `held`.
fn checked_domain(model: &mut Model, function: Oid, held: bool) -> (Oid, Oid, Oid) {
    let check = domain_check(model, "d_check", true);
    let check_oid = check.oid;
    let ty = model.ty("d", domain(vec![check]));
    let array = model.ty("_d", TypeDefinition::Array { element: ty });
    model.depend((Class::Constraint, check_oid), (FUNCTION, function));
    let table = model.table("p");
    model.column_with_default("a", None);
    let column = &mut model.last().columns[0];
    column.default = None;
    column.type_oid = if held { array } else { ty };
    let column_type = column.type_oid;
    model.depend((RELATION, table), (Class::Type, column_type));
    (ty, check_oid, table)
}

#[test]
fn the_check_of_a_domain_comes_later_only_where_no_table_holds_it_in_another_type() {
    let mut model = Model::new();
    let (view, function) = circle_through_a_key(&mut model);
    let (_, check, table) = checked_domain(&mut model, function, true);
    let early = [object(FUNCTION, function), object(RELATION, table)];
    stands_on_the_dummy(&model, view, &early);
    assert!(!model.order().splits.constraints.contains(&check));

    let mut model = Model::new();
    let (_, function) = circle_through_a_key(&mut model);
    let (_, check, table) = checked_domain(&mut model, function, false);
    let order = model.order();
    assert_eq!(section(&order, object(RELATION, table)), Section::PreData);
    assert_eq!(
        section(&order, Node::SeparateConstraint(check)),
        Section::PostData
    );
}

#[test]
fn the_check_of_a_domain_comes_before_the_table_that_holds_it_in_another_type() {
    for through_row in [false, true] {
        let mut model = Model::new();
        let function = model.function("f");
        let (ty, check, table) = checked_domain(&mut model, function, !through_row);
        model.depend((FUNCTION, function), (Class::Type, ty));
        let holder = if through_row {
            let rowtype = model.rowtype(table);
            let holder = model.table("a_holder");
            model.column_with_default("c", None);
            model.last().columns[0].type_oid = rowtype;
            model.depend((RELATION, holder), (Class::Type, rowtype));
            holder
        } else {
            table
        };
        let order = model.order();
        assert_eq!(
            section(&order, Node::SeparateConstraint(check)),
            Section::PreData
        );
        assert!(
            place(&order, Node::SeparateConstraint(check))
                < place(&order, object(RELATION, holder))
        );
    }
}

#[test]
fn a_held_domain_whose_check_needs_what_comes_after_the_data_is_an_error() {
    let mut model = Model::new();
    let table = model.table("t");
    let key = model.primary_key("t_pkey", table);
    let function = model.function("f");
    model.depend((FUNCTION, function), (Class::Constraint, key));
    checked_domain(&mut model, function, true);
    let error = order(&model.database).unwrap_err();
    assert_eq!(
        error.message(),
        "check d_check of domain s.d needs function s.f(), which can be made only after the data"
    );
    assert!(error.hint().unwrap().starts_with("table s.p holds"));
}

#[test]
fn serial_and_identity() {
    let mut model = Model::new();
    let table = model.table("t");
    let default = model.column_with_default("id", None);
    let owner = |identity| SequenceOwner {
        table,
        column: 1,
        identity,
    };
    let serial = model.sequence("t_id_seq", Some(owner(None)));
    let identity = model.sequence("a_seq", Some(owner(Some(Identity::Always))));
    model.depend((Class::Default, default), (RELATION, serial));
    model.depend_as((RELATION, serial), (RELATION, table), DependencyKind::Auto);
    model.depend_as(
        (RELATION, identity),
        (RELATION, table),
        DependencyKind::Internal,
    );
    assert_eq!(
        model.names(),
        [
            "schema s",
            "sequence s.t_id_seq",
            "table s.t",
            "sequence s.a_seq",
            "owner of sequence s.t_id_seq",
            "rows of table s.t",
            "value of sequence s.a_seq",
            "value of sequence s.t_id_seq"
        ]
    );
}

#[test]
fn defaults_that_always_stand_apart() {
    let mut model = Model::new();
    let parent = model.table("parent");
    let child = model.table("child");
    model.child_of(parent);
    let inherited = model.column_with_default("c", None);
    model.last().columns[0].local = false;
    let generated = model.column_with_default("g", Some(Generated::Stored));
    model.last().columns[1].local = false;
    let (view, _) = model.view("v", RelationKind::View);
    let of_view = model.column_with_default("c", None);
    let order = model.order();
    let mut expected = [inherited, of_view];
    expected.sort_unstable();
    assert_eq!(
        order.splits.defaults.iter().copied().collect::<Vec<_>>(),
        expected
    );
    assert!(!order.splits.defaults.contains(&generated));
    assert!(
        place(&order, object(RELATION, child)) < place(&order, Node::SeparateDefault(inherited))
    );
    assert!(place(&order, object(RELATION, view)) < place(&order, Node::SeparateDefault(of_view)));
    assert!(place(&order, object(RELATION, parent)) < place(&order, object(RELATION, child)));
}

#[test]
fn a_check_that_is_not_valid_waits_for_rows_of_children_too() {
    let mut model = Model::new();
    let parent = model.table("parent");
    let check = model.check("c", false);
    model.table("child");
    model.child_of(parent);
    assert_eq!(
        waits_for(&model, Node::SeparateConstraint(check)),
        [
            "rows of table s.child",
            "rows of table s.parent",
            "table s.parent"
        ]
    );
}

#[test]
fn a_foreign_key_waits_for_both_tables_and_the_whole_referenced_index() {
    let mut model = Model::new();
    let parent = model.relation("p", RelationKind::PartitionedTable);
    let leaf = model.partition("leaf", parent, RelationKind::Table);
    let key = model.index("p_pkey", parent, true);
    model.index("leaf_pkey", leaf, true);
    model.database.indexes.last_mut().unwrap().parent = Some(key);
    let table = model.table("t");
    let foreign_key = model.foreign_key("fk", table, parent);
    model.depend((Class::Constraint, foreign_key), (RELATION, key));
    assert_eq!(
        waits_for(&model, object(Class::Constraint, foreign_key)),
        [
            "attaching of index s.leaf_pkey",
            "attaching of table s.leaf",
            "constraint s.p_pkey",
            "rows of table s.leaf",
            "rows of table s.t",
            "table s.p",
            "table s.t"
        ]
    );
}

#[test]
fn rows_through_the_root_hold_up_every_table_of_the_tree() {
    let mut model = Model::new();
    let parent = model.relation("p", RelationKind::PartitionedTable);
    let mut leaves = Vec::new();
    for name in ["a", "b"] {
        leaves.push(model.partition(name, parent, RelationKind::Table));
        model.last().load_via_root = Some(parent);
    }
    let index = model.index("a_idx", leaves[0], false);
    assert_eq!(
        waits_for(&model, object(RELATION, index)),
        ["rows of table s.a", "rows of table s.b", "table s.a"]
    );
    assert_eq!(
        waits_for(&model, Node::TableData(leaves[0])),
        ["attaching of table s.a", "table s.a", "table s.p"]
    );
}

#[test]
fn the_state_of_a_trigger_copy_follows_the_trigger_and_the_attaching() {
    let mut model = Model::new();
    let parent = model.relation("p", RelationKind::PartitionedTable);
    let leaf = model.partition("leaf", parent, RelationKind::Table);
    let trigger = model.trigger("zz", parent, None);
    let copy = model.trigger("aa", leaf, Some(trigger));
    assert_eq!(
        waits_for(&model, object(Class::Trigger, copy)),
        [
            "attaching of table s.leaf",
            "rows of table s.leaf",
            "table s.leaf",
            "trigger s.zz"
        ]
    );
}

#[test]
fn policies_and_row_security_wait_for_rows() {
    let mut model = Model::new();
    let table = model.table("t");
    model.last().row_security = true;
    let header = model.header(Class::Policy, "p");
    model.database.policies.push(Policy {
        header,
        table,
        command: PolicyCommand::All,
        permissive: true,
        roles: Vec::new(),
        using: None,
        check: None,
    });
    assert_eq!(
        model.names(),
        [
            "schema s",
            "table s.t",
            "rows of table s.t",
            "policy s.p",
            "row security of table s.t"
        ]
    );
    assert_eq!(
        waits_for(&model, Node::RowSecurity(table)),
        ["rows of table s.t", "table s.t"]
    );
}

#[test]
fn refreshes_follow_what_they_read_through_views_and_functions() {
    let mut model = Model::new();
    let table = model.table("t");
    let function = model.function("f");
    model.depend((FUNCTION, function), (RELATION, table));
    let (view, rule) = model.view("v", RelationKind::View);
    model.depend((Class::Rule, rule), (FUNCTION, function));
    let (first, rule) = model.view("z", RelationKind::MaterializedView);
    model.depend((Class::Rule, rule), (RELATION, view));
    let (second, rule) = model.view("a", RelationKind::MaterializedView);
    model.depend((Class::Rule, rule), (RELATION, first));
    let order = model.order();
    assert_eq!(
        waits_for(&model, Node::Refresh(first)),
        [
            "function s.f()",
            "materialized view s.z",
            "rows of table s.t"
        ]
    );
    assert_eq!(
        waits_for(&model, Node::Refresh(second)),
        ["materialized view s.a", "refresh of s.z"]
    );
    assert!(place(&order, Node::Refresh(first)) < place(&order, Node::Refresh(second)));

    // What reads an empty one cannot be refreshed.
    let relation = model
        .database
        .relations
        .iter_mut()
        .find(|x| x.header.address.oid == first);
    relation.unwrap().view.as_mut().unwrap().populated = false;
    let order = model.order();
    assert!(
        !order
            .nodes
            .iter()
            .any(|x| matches!(x.node, Node::Refresh(_)))
    );
}

#[test]
fn members_come_with_their_extension_and_what_is_left_out_carries_dependencies() {
    let mut model = Model::new();
    let header = model.header(Class::Extension, "ext");
    let extension = header.address.oid;
    model.database.extensions.push(Extension {
        header,
        schema: "s".to_owned(),
        version: "1".to_owned(),
        configuration: Vec::new(),
    });
    model.wanted = Components::NONE;
    let member = model.function("member");
    let user_function = model.function("left_out");
    let config = model.table("config");
    model.last().header.wanted = Components::DATA;
    model.last().header.extension = Some(extension);
    model.wanted = Components::ALL;
    for function in &mut model.database.functions {
        if function.header.address.oid == member {
            function.header.extension = Some(extension);
        }
    }
    let table = model.table("t");
    model.depend((RELATION, table), (FUNCTION, user_function));
    model.depend((FUNCTION, user_function), (FUNCTION, member));
    model.depend((FUNCTION, member), (RELATION, table));
    assert_eq!(
        waits_for(&model, object(RELATION, table)),
        ["extension s.ext", "schema s"]
    );
    assert_eq!(
        waits_for(&model, Node::TableData(config)),
        ["extension s.ext"]
    );
}

#[test]
fn what_is_left_out_makes_no_circle() {
    let mut model = Model::new();
    let table = model.table("t");
    let default = model.column_with_default("c", None);
    model.wanted = Components::NONE;
    let (f, g) = (model.function("f"), model.function("g"));
    let rowtype = model.rowtype(table);
    model.depend((Class::Default, default), (FUNCTION, f));
    model.depend((FUNCTION, f), (FUNCTION, g));
    model.depend((FUNCTION, g), (FUNCTION, f));
    model.depend((FUNCTION, g), (Class::Type, rowtype));
    assert_eq!(
        model.names(),
        ["schema s", "table s.t", "rows of table s.t"]
    );
    assert_eq!(model.order().splits, super::Splits::default());
}

/// Something of everything, under the OIDs that `oids` gives.
fn mixture(oids: Vec<Oid>) -> Model {
    let mut model = Model::with_oids(oids.into_iter());
    let hub = model.table("hub");
    let hub_key = model.primary_key("hub_pkey", hub);
    for at in 0..6 {
        let table = model.table(&format!("t{at}"));
        let default = model.column_with_default("c", None);
        let check = model.check("same_name", at % 2 == 0);
        let function = model.function(&format!("f{at}"));
        model.database.functions.last_mut().unwrap().argument_types =
            vec![("s".to_owned(), format!("t{at}"))];
        let rowtype = model.rowtype(table);
        model.depend((FUNCTION, function), (Class::Type, rowtype));
        model.depend((Class::Default, default), (FUNCTION, function));
        if at % 3 == 0 {
            model.depend((Class::Constraint, check), (FUNCTION, function));
        }
        let (_, rule) = model.view(&format!("v{at}"), RelationKind::View);
        model.depend((Class::Rule, rule), (RELATION, table));
        if at % 2 == 0 {
            model.depend((Class::Rule, rule), (Class::Constraint, hub_key));
        }
        model.foreign_key("fk", table, hub);
        model.trigger("trg", table, None);
    }
    let (a, a_rule) = model.view("circular_a", RelationKind::View);
    let (b, b_rule) = model.view("circular_b", RelationKind::View);
    model.depend((Class::Rule, a_rule), (RELATION, b));
    model.depend((Class::Rule, b_rule), (RELATION, a));
    let f = model.function("f0");
    model.database.functions.last_mut().unwrap().argument_types =
        vec![("s".to_owned(), "other".to_owned())];
    model.depend((FUNCTION, f), (RELATION, a));
    model
}

/// Names and dependencies, with nothing of OIDs left in them.
fn picture(model: &Model) -> Vec<(String, Section, Vec<usize>)> {
    let order = model.order();
    let names = name_all(&model.database, &order);
    names
        .into_iter()
        .zip(order.nodes)
        .map(|(name, ordered)| (name, ordered.section, ordered.depends_on))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn neither_oids_nor_the_order_of_reading_matter(
        oids in Just((20_000..20_200).collect::<Vec<Oid>>()).prop_shuffle(),
        seed in any::<u64>()
    ) {
        let expected = picture(&mixture((16_384..16_684).collect()));
        let mut model = mixture(oids);
        let mut state = seed | 1;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let database = &mut model.database;
        database.relations.sort_by_cached_key(|_| random());
        database.functions.sort_by_cached_key(|_| random());
        database.indexes.sort_by_cached_key(|_| random());
        database.foreign_keys.sort_by_cached_key(|_| random());
        database.triggers.sort_by_cached_key(|_| random());
        database.dependencies.sort_by_cached_key(|_| random());
        prop_assert_eq!(picture(&model), expected);
    }

    /// Any circles among views and functions that call each other are either cut or named.
    #[test]
    fn any_dependencies_end_in_an_order_or_an_error(
        edges in prop::collection::vec((0_usize..12, 0_usize..12), 0..30)
    ) {
        let mut model = Model::new();
        let objects: Vec<((Class, Oid), (Class, Oid))> = (0..12)
            .map(|at| {
                if at % 3 == 0 {
                    let function = model.function(&format!("f{at}"));
                    ((FUNCTION, function), (FUNCTION, function))
                } else {
                    let (view, rule) = model.view(&format!("v{at}"), RelationKind::View);
                    ((Class::Rule, rule), (RELATION, view))
                }
            })
            .collect();
        for (from, to) in edges {
            model.depend(objects[from].0, objects[to].1);
        }
        if let Ok(order) = order(&model.database) {
            check_order(&order);
        }
    }
}

#[test]
fn many_tables_are_ordered() {
    let mut model = Model::new();
    let hub = model.table("hub");
    model.primary_key("hub_pkey", hub);
    for at in 0..20_000 {
        let table = model.table(&format!("t{at}"));
        let default = model.column_with_default("id", None);
        model.check("c", true);
        let owner = SequenceOwner {
            table,
            column: 1,
            identity: None,
        };
        let sequence = model.sequence(&format!("t{at}_id_seq"), Some(owner));
        model.depend((Class::Default, default), (RELATION, sequence));
        model.primary_key(&format!("t{at}_pkey"), table);
        model.index(&format!("t{at}_idx"), table, false);
        model.foreign_key("fk", table, hub);
    }
    // Not timed: a quadratic step would be noticed by whoever waits for it.
    let order = order(&model.database).unwrap();
    assert!(order.nodes.len() > 160_000);
}
