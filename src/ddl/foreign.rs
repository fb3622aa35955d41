//! CREATE FOREIGN DATA WRAPPER, CREATE SERVER, CREATE USER MAPPING.

use crate::graph::Node;
use crate::model::{Components, ForeignDataWrapper, ForeignServer, Header, UserMapping};
use crate::sql::{ident, literal};

use super::comment;
use super::context::Context;
use super::privileges::{self, GrantKind};
use super::rendered::Rendered;
use super::settings::foreign;

/// Everything but `create`. `grantee` is what GRANT calls the object.
fn frame(
    context: &Context<'_>,
    node: Node,
    kind: &'static str,
    header: &Header,
    (grant, grantee): (GrantKind, &str),
) -> Rendered {
    let name = ident(&header.name);
    let object = format!("{kind} {name}");
    let mut rendered = Rendered::new(node, kind, header);
    rendered.owner.clone_from(&header.owner);
    if header.wanted.has(Components::DEFINITION) {
        rendered.drop.push(format!("DROP {kind} IF EXISTS {name}"));
        if let Some(owner) = &header.owner {
            rendered
                .set_owner
                .push(format!("ALTER {object} OWNER TO {}", ident(owner)));
        }
    }
    rendered.comments = comment::of(header, &object);
    let object = format!("{grantee} {name}");
    rendered.privileges = privileges::of(grant, &object, header, &context.target);
    rendered
}

pub(super) fn render_wrapper(
    context: &Context<'_>,
    node: Node,
    wrapper: &ForeignDataWrapper,
) -> Rendered {
    const KIND: &str = "FOREIGN DATA WRAPPER";
    let header = &wrapper.header;
    let mut rendered = frame(
        context,
        node,
        KIND,
        header,
        (GrantKind::ForeignDataWrapper, KIND),
    );
    if header.wanted.has(Components::DEFINITION) {
        let mut create = format!("CREATE {KIND} {}", ident(&header.name));
        for (word, function) in [
            ("HANDLER", &wrapper.handler),
            ("VALIDATOR", &wrapper.validator),
        ] {
            if let Some(function) = function {
                create.push_str(&format!(" {word} {function}"));
            }
        }
        create.push_str(&foreign(&wrapper.options));
        rendered.create.push(create);
    }
    rendered
}

pub(super) fn render_server(context: &Context<'_>, node: Node, server: &ForeignServer) -> Rendered {
    let header = &server.header;
    let grant = (GrantKind::ForeignServer, "FOREIGN SERVER");
    let mut rendered = frame(context, node, "SERVER", header, grant);
    if header.wanted.has(Components::DEFINITION) {
        let mut create = format!("CREATE SERVER {}", ident(&header.name));
        for (word, text) in [("TYPE", &server.kind), ("VERSION", &server.version)] {
            if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
                create.push_str(&format!(" {word} {}", literal(text)));
            }
        }
        create.push_str(&format!(" FOREIGN DATA WRAPPER {}", ident(&server.wrapper)));
        create.push_str(&foreign(&server.options));
        rendered.create.push(create);
    }
    rendered
}

pub(super) fn render_mapping(node: Node, mapping: &UserMapping) -> Rendered {
    let header = &mapping.header;
    let mut rendered = Rendered::new(node, "USER MAPPING", header);
    if header.wanted.has(Components::DEFINITION) {
        let role = match &mapping.role {
            Some(role) => ident(role),
            None => String::from("PUBLIC"),
        };
        let object = format!("FOR {role} SERVER {}", ident(&mapping.server_name));
        rendered.create.push(format!(
            "CREATE USER MAPPING {object}{}",
            foreign(&mapping.options)
        ));
        rendered
            .drop
            .push(format!("DROP USER MAPPING IF EXISTS {object}"));
    }
    rendered
}
