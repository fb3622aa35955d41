//! CREATE SCHEMA. `public` is there already: its comment and privileges are read as what differs
//! from a new database's.

use crate::graph::Node;
use crate::model::{Acl, Components, Header, Privilege, Schema};
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
        if let Some(owner) = &header.owner
            && !(schema.built_in && has_stock_owner(context, owner))
        {
            rendered
                .set_owner
                .push(format!("ALTER {object} OWNER TO {}", ident(owner)));
        }
    }
    rendered.comments = comment::of(header, &object);
    rendered.labels = label::of(header, &object, |_| None);
    let target = &context.target;
    rendered.privileges = match older_base(context, schema) {
        Some(header) => privileges::of(GrantKind::Schema, &object, &header, target),
        None => privileges::of(GrantKind::Schema, &object, header, target),
    };
    rendered
}

/// Whether `public` keeps its owner without a statement: a new database of 15 or newer gives it to
/// a role that stands for the database's owner, which 14 knows too and 13 does not.
fn has_stock_owner(context: &Context<'_>, owner: &str) -> bool {
    if owner != STOCK_OWNER {
        return false;
    }
    let target = &context.target;
    if !target.at_least(14) {
        target.note(
            "the schema public belongs to whom it belongs there: pg_database_owner is not there",
        );
        return true;
    }
    target.at_least(15)
}

/// A new database lets PUBLIC create in `public` before 15. What a source of 15 or newer has is
/// the difference from its own default, and must be said against that of an older target.
fn older_base(context: &Context<'_>, schema: &Schema) -> Option<Header> {
    let header = &schema.header;
    let source_is_newer = schema.built_in && context.target.source().at_least(15);
    if !source_is_newer || !header.wanted.has(Components::ACL) || context.target.at_least(15) {
        return None;
    }
    let mut base = header.acl.base.clone();
    let public = base.iter_mut().find(|item| item.grantee.is_none())?;
    public.privileges.push(Privilege {
        letter: 'C',
        grantable: false,
    });
    let acl = Acl {
        base,
        ..header.acl.clone()
    };
    Some(Header {
        acl,
        ..header.clone()
    })
}
