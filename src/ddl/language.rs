//! CREATE LANGUAGE, always with its functions: without them the server would look for an extension
//! of that name.

use crate::graph::Node;
use crate::model::{Components, Language};
use crate::sql::ident;

use super::context::Context;
use super::privileges::GrantKind;
use super::rendered::Rendered;
use super::{comment, label, privileges};

pub(super) fn render(context: &Context<'_>, node: Node, language: &Language) -> Rendered {
    let header = &language.header;
    let object = format!("LANGUAGE {}", ident(&header.name));
    let mut rendered = Rendered::new(node, "PROCEDURAL LANGUAGE", header);
    rendered.owner.clone_from(&header.owner);
    if header.wanted.has(Components::DEFINITION)
        && let Some(handler) = &language.handler
    {
        let trusted = if language.trusted { "TRUSTED " } else { "" };
        let mut create = format!("CREATE {trusted}{object} HANDLER {handler}");
        let functions = [
            ("INLINE", &language.inline),
            ("VALIDATOR", &language.validator),
        ];
        for (word, function) in functions {
            if let Some(function) = function {
                create.push_str(&format!(" {word} {function}"));
            }
        }
        rendered.create.push(create);
        let drop = format!("DROP LANGUAGE IF EXISTS {}", ident(&header.name));
        rendered.drop.push(drop);
        if let Some(owner) = &header.owner {
            rendered
                .set_owner
                .push(format!("ALTER {object} OWNER TO {}", ident(owner)));
        }
    }
    rendered.comments = comment::of(header, &object);
    rendered.labels = label::of(header, &object, |_| None);
    rendered.privileges = privileges::of(GrantKind::Language, &object, header, &context.target);
    rendered
}
