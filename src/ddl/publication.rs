//! CREATE PUBLICATION, and ALTER PUBLICATION for each table and schema in it.

use crate::graph::Node;
use crate::model::{Publication, PublicationSchema, PublicationTable};
use crate::sql::{LockMode, ident, literal, qualified};

use super::plain;
use super::rendered::Rendered;
use super::target::Target;

pub(super) fn render(target: &Target, node: Node, publication: &Publication) -> Rendered {
    let header = &publication.header;
    let name = ident(&header.name);
    let all = if publication.all_tables {
        " FOR ALL TABLES"
    } else {
        ""
    };
    let operations = literal(&publication.operations.join(", "));
    let mut create = format!("CREATE PUBLICATION {name}{all} WITH (publish = {operations}");
    if publication.via_partition_root {
        create.push_str(", publish_via_partition_root = true");
    }
    if publication.generated_columns {
        if target.at_least(18) {
            create.push_str(", publish_generated_columns = stored");
        } else {
            target.note("generated columns are not published");
        }
    }
    create.push(')');
    plain::render(node, "PUBLICATION", &name, header, vec![create])
}

/// A table in a publication. It leaves with either of them.
pub(super) fn render_table(target: &Target, node: Node, member: &PublicationTable) -> Rendered {
    let header = &member.header;
    let (schema, table) = (header.schema.clone().unwrap_or_default(), &header.name);
    let mut rendered = Rendered::named(
        node,
        "PUBLICATION TABLE",
        header.schema.clone(),
        format!("{} {table}", member.publication),
    );
    rendered.relation = Some(table.clone());
    // Without them it would publish more than it may.
    target.needs(
        !member.columns.is_empty(),
        15,
        "column lists of publications",
    );
    target.needs(member.filter.is_some(), 15, "row filters of publications");
    let mut add = format!(
        "ALTER PUBLICATION {} ADD TABLE ONLY {}",
        ident(&member.publication),
        qualified(&schema, table)
    );
    if !member.columns.is_empty() {
        let columns: Vec<_> = member.columns.iter().map(|column| ident(column)).collect();
        add.push_str(&format!(" ({})", columns.join(", ")));
    }
    if let Some(filter) = &member.filter {
        add.push_str(&format!(" WHERE ({filter})"));
    }
    rendered.create.push(add);
    rendered.lock(member.table, LockMode::ShareUpdateExclusive);
    rendered
}

/// A schema in a publication. It leaves with either of them.
pub(super) fn render_schema(target: &Target, node: Node, member: &PublicationSchema) -> Rendered {
    let header = &member.header;
    let mut rendered = Rendered::named(
        node,
        "PUBLICATION TABLES IN SCHEMA",
        header.schema.clone(),
        format!("{} {}", member.publication, header.name),
    );
    target.needs(true, 15, "schemas in publications");
    rendered.create.push(format!(
        "ALTER PUBLICATION {} ADD TABLES IN SCHEMA {}",
        ident(&member.publication),
        ident(&header.name)
    ));
    rendered
}
