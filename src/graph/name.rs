//! What a node is called in messages.

use super::inventory::Item;
use crate::error::one_line;
use crate::model::{Header, RelationKind};

/// `kind schema.name`, with control characters made visible as spaces.
pub(super) fn describe(item: Item<'_>) -> String {
    let text = match item {
        Item::Database(header) => format!("database {}", plain(header)),
        Item::Schema(x) => format!("schema {}", plain(&x.header)),
        Item::Extension(x) => format!("extension {}", plain(&x.header)),
        Item::Language(x) => format!("language {}", plain(&x.header)),
        Item::Collation(x) => format!("collation {}", plain(&x.header)),
        Item::Cast(x) => format!("cast {}", plain(&x.header)),
        Item::Aggregate(x) => format!("aggregate {}({})", plain(&x.header), x.arguments),
        Item::Operator(x) => format!("operator {} {}", plain(&x.header), x.operands),
        Item::OperatorFamily(x) => {
            format!(
                "operator family {} USING {}",
                plain(&x.header),
                x.access_method
            )
        }
        Item::OperatorClass(x) => {
            format!(
                "operator class {} USING {}",
                plain(&x.header),
                x.access_method
            )
        }
        Item::AccessMethod(x) => format!("access method {}", plain(&x.header)),
        Item::Conversion(x) => format!("conversion {}", plain(&x.header)),
        Item::Transform(x) => format!("transform {}", plain(&x.header)),
        Item::TextSearchParser(x) => format!("text search parser {}", plain(&x.header)),
        Item::TextSearchTemplate(x) => format!("text search template {}", plain(&x.header)),
        Item::TextSearchDictionary(x) => format!("text search dictionary {}", plain(&x.header)),
        Item::TextSearchConfiguration(x) => {
            format!("text search configuration {}", plain(&x.header))
        }
        Item::Publication(x) => format!("publication {}", plain(&x.header)),
        Item::PublicationTable(x) => {
            format!(
                "table {} in publication {}",
                plain(&x.header),
                x.publication
            )
        }
        Item::PublicationSchema(x) => {
            format!("schema {} in publication {}", x.header.name, x.publication)
        }
        Item::ForeignDataWrapper(x) => format!("foreign-data wrapper {}", plain(&x.header)),
        Item::ForeignServer(x) => format!("foreign server {}", plain(&x.header)),
        Item::UserMapping(x) => format!("user mapping {}", plain(&x.header)),
        Item::Subscription(x) => format!("subscription {}", plain(&x.header)),
        Item::Remark(x) => format!("remark on {}", x.object),
        Item::EventTrigger(x) => format!("event trigger {}", plain(&x.header)),
        Item::Type(x) => format!("type {}", plain(&x.header)),
        Item::ShellType(x) => format!("shell of type {}", plain(&x.header)),
        Item::Function(x) => format!("function {}({})", plain(&x.header), x.identity_arguments),
        Item::Relation(x) => format!("{} {}", kind(x.kind), plain(&x.header)),
        Item::Index(x) => match &x.constraint {
            Some(_) => format!("constraint {}", plain(&x.header)),
            None => format!("index {}", plain(&x.header)),
        },
        Item::ForeignKey(x) => format!("foreign key {}", plain(&x.header)),
        Item::Statistics(x) => format!("statistics {}", plain(&x.header)),
        Item::Rule(x) => format!("rule {}", plain(&x.header)),
        Item::Trigger(x) => format!("trigger {}", plain(&x.header)),
        Item::Policy(x) => format!("policy {}", plain(&x.header)),
        Item::DefaultAcl(x) => format!("default privileges of {}", x.role),
        Item::SequenceOwner(x) => format!("owner of sequence {}", plain(&x.header)),
        Item::Default(x, column) => format!("default of {}.{}", plain(&x.header), column.name),
        Item::Check(x, check) => format!("check {} of {}", check.name, plain(&x.header)),
        Item::NotNull(x, column) => format!("not null of {}.{}", plain(&x.header), column.name),
        Item::DomainConstraint(x, check) => {
            format!("check {} of domain {}", check.name, plain(&x.header))
        }
        Item::FunctionDefinition(x) => format!(
            "definition of function {}({})",
            plain(&x.header),
            x.identity_arguments
        ),
        Item::DomainDefault(x) => format!("default of domain {}", plain(&x.header)),
        Item::ViewRule(x) => format!("query of view {}", plain(&x.header)),
        Item::TableAttach(x) => format!("attaching of table {}", plain(&x.header)),
        Item::TableData(x) => format!("rows of table {}", plain(&x.header)),
        Item::SequenceSet(x) => format!("value of sequence {}", plain(&x.header)),
        Item::LargeObjects(position) => format!("large objects {position}"),
        Item::LargeObjectData(position) => format!("contents of large objects {position}"),
        Item::IndexAttach(x) => format!("attaching of index {}", plain(&x.header)),
        Item::RowSecurity(x) => format!("row security of table {}", plain(&x.header)),
        Item::Refresh(x) => format!("refresh of {}", plain(&x.header)),
    };
    one_line(&text)
}

fn plain(header: &Header) -> String {
    match &header.schema {
        Some(schema) => format!("{schema}.{}", header.name),
        None => header.name.clone(),
    }
}

fn kind(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::Table | RelationKind::PartitionedTable => "table",
        RelationKind::View => "view",
        RelationKind::MaterializedView => "materialized view",
        RelationKind::Sequence => "sequence",
        RelationKind::ForeignTable => "foreign table",
        RelationKind::Composite => "type",
    }
}
