//! From nodes to statements: which file renders which node.

use std::ops::Range;

use crate::error::Result;
use crate::graph::{Node, Order};
use crate::model::{Address, Class, Database, LargeObjectGroup, RelationKind};

use crate::sql::LockMode;

use super::context::{Context, Lookup, Separable, missing};
use super::rendered::{Options, Rendered};
use super::{
    access_method, aggregate, cast, collation, conversion, event_trigger, extension, foreign,
    foreign_key, function, index, language, large_object, operator, operator_class, policy,
    privileges, publication, remark, rule, schema, sequence, statistics, subscription, table,
    text_search, transform, trigger, types, view,
};

/// The statements of every node of `order`, in its order.
///
/// # Errors
///
/// As [`Renderer::range`].
pub fn render(database: &Database, order: &Order, _options: &Options) -> Result<Vec<Rendered>> {
    Renderer::new(database, order).range(0..order.nodes.len())
}

/// Writes the statements of some nodes at a time, so that they need not all be there at once. May be
/// shared by threads.
pub struct Renderer<'a> {
    lookup: Lookup<'a>,
    order: &'a Order,
}

impl<'a> Renderer<'a> {
    /// Looks at the whole database once.
    pub fn new(database: &'a Database, order: &'a Order) -> Self {
        Self {
            lookup: Lookup::new(database, order),
            order,
        }
    }

    /// The statements of the nodes at these positions, which must be within the order. The same
    /// whatever else is rendered before or at the same time.
    ///
    /// # Errors
    ///
    /// [`Kind::Failed`](crate::error::Kind::Failed) where the order names an object that the
    /// database does not have: it was made from another one.
    pub fn range(&self, positions: Range<usize>) -> Result<Vec<Rendered>> {
        let context = Context::new(&self.lookup);
        self.order.nodes[positions]
            .iter()
            .map(|ordered| context.target.with_forms(|| node(&context, ordered.node)))
            .collect()
    }
}

fn node(context: &Context<'_>, node: Node) -> Result<Rendered> {
    Ok(match node {
        Node::Object(address) => object(context, node, address)?,
        Node::ShellType(oid) => types::render_shell(node, context.type_(oid)?),
        Node::SequenceOwner(oid) => sequence::render_owner(context, node, context.relation(oid)?)?,
        Node::SeparateDefault(oid) => {
            let (relation, column) = context.default(oid)?;
            table::render_default(node, relation, column)?
        }
        Node::SeparateConstraint(oid) => match context.separable(oid)? {
            Separable::Check(relation, check) => {
                table::render_check(context, node, relation, check)
            }
            Separable::NotNull(relation, column, not_null) => {
                table::render_not_null(context, node, relation, column, not_null)
            }
            Separable::Domain(type_, constraint) => {
                let mut rendered =
                    types::render_constraint(&context.target, node, type_, constraint);
                for table in types::tables_with(context.database, type_.header.address.oid) {
                    rendered.lock(table, LockMode::Share);
                }
                rendered
            }
        },
        Node::ViewDefinition(oid) => {
            view::render_definition(&context.target, node, context.relation(oid)?)?
        }
        Node::FunctionDefinition(oid) => {
            let address = Address::new(Class::Function, oid);
            let object = context.object(&context.database.functions, address)?;
            function::render_definition(context, node, object)
        }
        Node::DomainDefault(oid) => types::render_default(node, context.type_(oid)?)?,
        Node::TableAttach(oid) => table::render_attach(context, node, context.relation(oid)?)?,
        Node::TableData(oid) => {
            let header = &context.relation(oid)?.header;
            let mut rendered = Rendered::new(node, "TABLE DATA", header);
            rendered.relation = Some(header.name.clone());
            rendered.owner.clone_from(&header.owner);
            rendered
        }
        Node::SequenceSet(oid) => sequence::render_value(node, context.relation(oid)?)?,
        Node::LargeObjects(at) => large_object::render(node, group(context, at)?, &context.target),
        Node::LargeObjectData(at) => large_object::render_data(node, group(context, at)?),
        Node::IndexAttach(oid) => index::render_attach(context, node, context.index(oid)?)?,
        Node::RowSecurity(oid) => policy::render_switch(node, context.relation(oid)?),
        Node::Refresh(oid) => view::render_refresh(node, context.relation(oid)?),
        Node::Remark(at) => {
            let remarks = &context.database.remarks;
            let remark = usize::try_from(at).ok().and_then(|at| remarks.get(at));
            let address = Address::new(Class::Other(0), at);
            remark::render(node, remark.ok_or_else(|| missing(address))?)
        }
        Node::PreDataBoundary => boundary(node, "PRE-DATA BOUNDARY"),
        Node::PostDataBoundary => boundary(node, "POST-DATA BOUNDARY"),
    })
}

/// A boundary has no statements; an order that keeps them still gets one rendering per node.
fn boundary(node: Node, kind: &'static str) -> Rendered {
    Rendered::named(node, kind, None, String::new())
}

fn group<'a>(context: &Context<'a>, at: u32) -> Result<&'a LargeObjectGroup> {
    let groups = &context.database.large_objects;
    let group = usize::try_from(at).ok().and_then(|at| groups.get(at));
    group.ok_or_else(|| missing(Address::new(Class::LargeObject, at)))
}

fn object(context: &Context<'_>, node: Node, address: Address) -> Result<Rendered> {
    let database = context.database;
    match address.class {
        Class::Relation => relation(context, node, address),
        Class::Type => types::render(context, node, context.type_(address.oid)?),
        Class::Function => {
            if let Some(object) = context.try_aggregate(address.oid) {
                return Ok(aggregate::render(context, node, object));
            }
            let object = context.object(&database.functions, address)?;
            Ok(function::render(context, node, object))
        }
        Class::Schema => {
            let object = context.object(&database.schemas, address)?;
            Ok(schema::render(context, node, object))
        }
        Class::Extension => {
            let object = context.object(&database.extensions, address)?;
            Ok(extension::render(node, object))
        }
        Class::Language => {
            let object = context.object(&database.languages, address)?;
            Ok(language::render(context, node, object))
        }
        Class::Collation => {
            let object = context.object(&database.collations, address)?;
            Ok(collation::render(&context.target, node, object))
        }
        Class::Cast => Ok(cast::render(
            node,
            context.object(&database.casts, address)?,
        )),
        Class::Operator => {
            let object = context.object(&database.operators, address)?;
            Ok(operator::render(&context.target, node, object))
        }
        Class::OperatorFamily => {
            let object = context.object(&database.operator_families, address)?;
            Ok(operator_class::render_family(context, node, object))
        }
        Class::OperatorClass => {
            let object = context.object(&database.operator_classes, address)?;
            Ok(operator_class::render_class(context, node, object))
        }
        Class::AccessMethod => {
            let object = context.object(&database.access_methods, address)?;
            Ok(access_method::render(node, object))
        }
        Class::Conversion => {
            let object = context.object(&database.conversions, address)?;
            Ok(conversion::render(&context.target, node, object))
        }
        Class::Transform => {
            let object = context.object(&database.transforms, address)?;
            Ok(transform::render(node, object))
        }
        Class::TextSearchParser => {
            let object = context.object(&database.text_search_parsers, address)?;
            Ok(text_search::render_parser(node, object))
        }
        Class::TextSearchTemplate => {
            let object = context.object(&database.text_search_templates, address)?;
            Ok(text_search::render_template(node, object))
        }
        Class::TextSearchDictionary => {
            let object = context.object(&database.text_search_dictionaries, address)?;
            Ok(text_search::render_dictionary(node, object))
        }
        Class::TextSearchConfiguration => {
            let object = context.object(&database.text_search_configurations, address)?;
            Ok(text_search::render_configuration(node, object))
        }
        Class::ForeignDataWrapper => {
            let object = context.object(&database.foreign_data_wrappers, address)?;
            Ok(foreign::render_wrapper(context, node, object))
        }
        Class::ForeignServer => {
            let object = context.object(&database.foreign_servers, address)?;
            Ok(foreign::render_server(context, node, object))
        }
        Class::UserMapping => {
            let object = context.object(&database.user_mappings, address)?;
            Ok(foreign::render_mapping(node, object))
        }
        Class::Subscription => {
            let object = context.object(&database.subscriptions, address)?;
            Ok(subscription::render(&context.target, node, object))
        }
        Class::Publication => {
            let object = context.object(&database.publications, address)?;
            Ok(publication::render(&context.target, node, object))
        }
        Class::PublicationRelation => {
            let object = context.object(&database.publication_tables, address)?;
            Ok(publication::render_table(&context.target, node, object))
        }
        Class::PublicationSchema => {
            let object = context.object(&database.publication_schemas, address)?;
            Ok(publication::render_schema(&context.target, node, object))
        }
        Class::EventTrigger => {
            let object = context.object(&database.event_triggers, address)?;
            Ok(event_trigger::render(&context.target, node, object))
        }
        Class::Constraint => match context.try_index_of_constraint(address.oid) {
            Some(index) => match &index.constraint {
                Some(constraint) => index::render_constraint(context, node, index, constraint),
                None => Err(missing(address)),
            },
            None => {
                let object = context.object(&database.foreign_keys, address)?;
                foreign_key::render(context, node, object)
            }
        },
        Class::Rule => rule::render(context, node, context.object(&database.rules, address)?),
        Class::Trigger => {
            let object = context.object(&database.triggers, address)?;
            trigger::render(context, node, object)
        }
        Class::Policy => {
            let object = context.object(&database.policies, address)?;
            policy::render(context, node, object)
        }
        Class::Statistics => {
            let object = context.object(&database.statistics, address)?;
            statistics::render(context, node, object)
        }
        Class::DefaultAcl => Ok(privileges::render_default(
            node,
            context.default_acl(address.oid)?,
            &context.target,
        )),
        _ => Err(missing(address)),
    }
}

fn relation(context: &Context<'_>, node: Node, address: Address) -> Result<Rendered> {
    if let Some(index) = context.try_index(address.oid) {
        return index::render(context, node, index);
    }
    let relation = context.relation(address.oid)?;
    match relation.kind {
        RelationKind::Table | RelationKind::PartitionedTable | RelationKind::ForeignTable => {
            Ok(table::render(context, node, relation))
        }
        RelationKind::View => view::render(context, node, relation),
        RelationKind::MaterializedView => view::render_materialized(context, node, relation),
        RelationKind::Sequence => sequence::render(context, node, relation),
        RelationKind::Composite => Err(missing(address)),
    }
}
