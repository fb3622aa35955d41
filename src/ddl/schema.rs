//! CREATE SCHEMA, and the special case of `public`.

use crate::graph::Node;
use crate::model::{Acl, Components, Schema};
use crate::sql::ident;

use super::context::Context;
use super::privileges::GrantKind;
use super::rendered::Rendered;
use super::{comment, label, privileges};

/// What initdb writes on `public`.
const STOCK_COMMENT: &str = "standard public schema";
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
    rendered.comments = if schema.built_in {
        built_in_comment(schema, &object)
    } else {
        comment::of(header, &object)
    };
    rendered.labels = label::of(header, &object, |_| None);
    rendered.privileges = if schema.built_in && !context.version().at_least(15) {
        old_public_privileges(context, schema, &object)
    } else {
        privileges::of(GrantKind::Schema, &object, header, context.version())
    };
    rendered
}

/// A comment that initdb wrote is there already; one that was taken away must be taken away.
fn built_in_comment(schema: &Schema, object: &str) -> Vec<String> {
    let header = &schema.header;
    if !header.wanted.has(Components::COMMENT) || header.comment.as_deref() == Some(STOCK_COMMENT) {
        return Vec::new();
    }
    vec![comment::on(object, header.comment.as_deref().unwrap_or(""))]
}

/// Before 15, PUBLIC may create in a new database's `public` schema; from 15 on it may not. So
/// what PUBLIC has is written in full: it comes out right whichever the target is.
fn old_public_privileges(context: &Context<'_>, schema: &Schema, object: &str) -> Vec<String> {
    let header = &schema.header;
    if !header.wanted.has(Components::ACL) || header.acl.current.is_none() {
        return Vec::new();
    }
    let without_public = Acl {
        current: header.acl.current.clone(),
        base: header
            .acl
            .base
            .iter()
            .filter(|item| item.grantee.is_some())
            .cloned()
            .collect(),
    };
    let mut statements = vec![format!("REVOKE ALL ON {object} FROM PUBLIC")];
    statements.extend(privileges::on(
        GrantKind::Schema,
        object,
        &without_public,
        header.owner.as_deref(),
        context.version(),
    ));
    statements
}
