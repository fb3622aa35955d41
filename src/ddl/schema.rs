//! CREATE SCHEMA. `public` is there already: its comment and privileges are read as what differs
//! from a new database's.

use crate::graph::Node;
use crate::model::{Components, Schema};
use crate::sql::ident;

use super::context::Context;
use super::privileges::GrantKind;
use super::rendered::Rendered;
use super::{comment, label, privileges};

/// Who owns `public` in a new database from 15 on.
const STOCK_OWNER: &str = "pg_database_owner";

pub(super) fn render(context: &Context<'_>, node: Node, schema: &Schema) -> Rendered {
    let header = &schema.header;
    let object = format!("SCHEMA {}", ident(&header.name));
    let mut rendered = Rendered::named(node, "SCHEMA", None, header.name.clone());
    rendered.owner.clone_from(&header.owner);
    if header.wanted.has(Components::DEFINITION) {
        if !schema.built_in {
            rendered.create.push(format!("CREATE {object}"));
            let drop = format!("DROP SCHEMA IF EXISTS {}", ident(&header.name));
            rendered.drop.push(drop);
        }
        // A new database of 15 or newer gives its public schema to a role that stands for the
        // database's owner; that needs no statement.
        if let Some(owner) = &header.owner
            && !(schema.built_in && owner == STOCK_OWNER)
        {
            rendered
                .set_owner
                .push(format!("ALTER {object} OWNER TO {}", ident(owner)));
        }
    }
    rendered.comments = comment::of(header, &object);
    rendered.labels = label::of(header, &object, |_| None);
    rendered.privileges = privileges::of(GrantKind::Schema, &object, header, context.version());
    rendered
}
