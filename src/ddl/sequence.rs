//! Sequences: CREATE SEQUENCE, identity columns, OWNED BY, values.

use crate::error::Result;
use crate::graph::Node;
use crate::model::{
    Components, Identity, Persistence, Relation, RelationKind, Sequence, SequenceOwner,
};
use crate::sql::{ident, literal};

use super::context::{Context, missing};
use super::privileges::GrantKind;
use super::rendered::Rendered;
use super::table::column_privileges;
use super::{comment, label, privileges};

pub(super) fn render(context: &Context<'_>, node: Node, relation: &Relation) -> Result<Rendered> {
    let header = &relation.header;
    let sequence = parameters(relation)?;
    let mut rendered = Rendered::new(node, "SEQUENCE", header);
    rendered.owner.clone_from(&header.owner);
    let object = format!("SEQUENCE {}", header.sql_name());
    if header.wanted.has(Components::DEFINITION) {
        match identity(sequence) {
            Some((owner, kind)) => {
                let create = add_identity(context, relation, sequence, owner, kind)?;
                rendered.create.push(create);
            }
            None => {
                rendered.create.push(create(context, relation, sequence));
                rendered
                    .drop
                    .push(format!("DROP SEQUENCE IF EXISTS {}", header.sql_name()));
                if let Some(owner) = &header.owner {
                    rendered
                        .set_owner
                        .push(format!("ALTER {object} OWNER TO {}", ident(owner)));
                }
            }
        }
    }
    rendered.comments = comment::of(header, &object);
    rendered.labels = label::of(header, &object, |_| None);
    rendered.privileges = privileges::of(GrantKind::Sequence, &object, header, &context.target);
    rendered
        .privileges
        .extend(column_privileges(context, relation));
    Ok(rendered)
}

/// `ALTER SEQUENCE … OWNED BY`, after the sequence has got its owner: it must be the table's.
pub(super) fn render_owner(
    context: &Context<'_>,
    node: Node,
    relation: &Relation,
) -> Result<Rendered> {
    let header = &relation.header;
    let mut rendered = Rendered::new(node, "SEQUENCE OWNED BY", header);
    let owner = parameters(relation)?.owner.as_ref();
    let owner = owner.ok_or_else(|| missing(header.address))?;
    if header.wanted.has(Components::DEFINITION) {
        rendered.create.push(format!(
            "ALTER SEQUENCE {} OWNED BY {}",
            header.sql_name(),
            column_name(context, owner)?
        ));
    }
    Ok(rendered)
}

/// `setval`.
pub(super) fn render_value(node: Node, relation: &Relation) -> Result<Rendered> {
    let header = &relation.header;
    let mut rendered = Rendered::new(node, "SEQUENCE SET", header);
    rendered.relation = Some(header.name.clone());
    if let Some((last, called)) = parameters(relation)?.value {
        rendered.create.push(format!(
            "SELECT pg_catalog.setval({}, {last}, {called})",
            literal(&header.sql_name())
        ));
    }
    Ok(rendered)
}

fn parameters(relation: &Relation) -> Result<&Sequence> {
    relation
        .sequence
        .as_ref()
        .ok_or_else(|| missing(relation.header.address))
}

fn identity(sequence: &Sequence) -> Option<(&SequenceOwner, Identity)> {
    let owner = sequence.owner.as_ref()?;
    Some((owner, owner.identity?))
}

fn create(context: &Context<'_>, relation: &Relation, sequence: &Sequence) -> String {
    let unlogged = match relation.persistence {
        Persistence::Unlogged if may_be_unlogged(context) => "UNLOGGED ",
        Persistence::Unlogged | Persistence::Permanent => "",
    };
    let type_ = match sequence.type_sql.as_str() {
        "bigint" => String::new(),
        other => format!("\n    AS {other}"),
    };
    format!(
        "CREATE {unlogged}SEQUENCE {}{type_}{}",
        relation.header.sql_name(),
        options(sequence)
    )
}

fn may_be_unlogged(context: &Context<'_>) -> bool {
    let known = context.target.at_least(15);
    if !known {
        context.target.note("UNLOGGED sequences are logged");
    }
    known
}

/// An identity column's sequence is made with the column's property. Not ONLY: a partitioned
/// table's partitions take it too.
fn add_identity(
    context: &Context<'_>,
    relation: &Relation,
    sequence: &Sequence,
    owner: &SequenceOwner,
    kind: Identity,
) -> Result<String> {
    let table = context.relation(owner.table)?;
    let when = match kind {
        Identity::Always => "ALWAYS",
        Identity::ByDefault => "BY DEFAULT",
    };
    // Before 15 the sequence of an unlogged table is logged, and the grammar has no word for it.
    let persistence = match relation.persistence {
        _ if relation.persistence == table.persistence || !context.target.source().at_least(15) => {
            ""
        }
        Persistence::Permanent if context.target.at_least(15) => "\n    LOGGED",
        Persistence::Unlogged if may_be_unlogged(context) => "\n    UNLOGGED",
        Persistence::Permanent | Persistence::Unlogged => "",
    };
    let (_, column) = column_of(context, owner)?;
    let partitioned = table.kind == RelationKind::PartitionedTable;
    if partitioned && context.target.source().at_least(17) && !context.target.at_least(17) {
        let note = "identity columns of partitioned tables do not reach their partitions";
        context.target.note(note);
    }
    Ok(format!(
        "ALTER TABLE {} ALTER COLUMN {} ADD GENERATED {when} AS IDENTITY (\n    SEQUENCE NAME {}{}{persistence}\n)",
        table.header.sql_name(),
        ident(column),
        relation.header.sql_name(),
        options(sequence)
    ))
}

/// Bounds are written only where they differ from the type's and direction's own.
fn options(sequence: &Sequence) -> String {
    let (type_minimum, type_maximum) = match sequence.type_sql.as_str() {
        "smallint" => (i64::from(i16::MIN), i64::from(i16::MAX)),
        "integer" => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    let (minimum, maximum) = if sequence.increment > 0 {
        (1, type_maximum)
    } else {
        (type_minimum, -1)
    };
    let bound = |word: &str, value: i64, usual: i64| {
        if value == usual {
            format!("NO {word}")
        } else {
            format!("{word} {value}")
        }
    };
    format!(
        "\n    START WITH {}\n    INCREMENT BY {}\n    {}\n    {}\n    CACHE {}{}",
        sequence.start,
        sequence.increment,
        bound("MINVALUE", sequence.minimum, minimum),
        bound("MAXVALUE", sequence.maximum, maximum),
        sequence.cache,
        if sequence.cycle { "\n    CYCLE" } else { "" }
    )
}

fn column_of<'a>(context: &Context<'a>, owner: &SequenceOwner) -> Result<(&'a Relation, &'a str)> {
    let table = context.relation(owner.table)?;
    let column = table
        .columns
        .iter()
        .find(|column| column.number == owner.column)
        .ok_or_else(|| missing(table.header.address))?;
    Ok((table, &column.name))
}

fn column_name(context: &Context<'_>, owner: &SequenceOwner) -> Result<String> {
    let (table, column) = column_of(context, owner)?;
    Ok(format!("{}.{}", table.header.sql_name(), ident(column)))
}
