//! CREATE TEXT SEARCH DICTIONARY and CONFIGURATION.

use crate::graph::Node;
use crate::model::{Components, Header, TextSearchConfiguration, TextSearchDictionary};
use crate::sql::{ident, qualified};

use super::comment;
use super::rendered::Rendered;

pub(super) fn render_dictionary(node: Node, dictionary: &TextSearchDictionary) -> Rendered {
    let (schema, template) = &dictionary.template;
    let mut options = format!("TEMPLATE = {}", qualified(schema, template));
    if let Some(more) = &dictionary.options {
        options.push_str(&format!(", {more}"));
    }
    render(
        node,
        "TEXT SEARCH DICTIONARY",
        &dictionary.header,
        &options,
        Vec::new(),
    )
}

pub(super) fn render_configuration(
    node: Node,
    configuration: &TextSearchConfiguration,
) -> Rendered {
    let (schema, parser) = &configuration.parser;
    let name = configuration.header.sql_name();
    let mappings = configuration.mappings.iter().map(|(token, dictionaries)| {
        format!(
            "ALTER TEXT SEARCH CONFIGURATION {name} ADD MAPPING FOR {} WITH {}",
            ident(token),
            dictionaries.join(", ")
        )
    });
    render(
        node,
        "TEXT SEARCH CONFIGURATION",
        &configuration.header,
        &format!("PARSER = {}", qualified(schema, parser)),
        mappings.collect(),
    )
}

/// What both have in common; `more` follows the definition.
fn render(
    node: Node,
    kind: &'static str,
    header: &Header,
    options: &str,
    more: Vec<String>,
) -> Rendered {
    let name = header.sql_name();
    let object = format!("{kind} {name}");
    let mut rendered = Rendered::new(node, kind, header);
    rendered.owner.clone_from(&header.owner);
    if header.wanted.has(Components::DEFINITION) {
        rendered.create.push(format!("CREATE {object} ({options})"));
        rendered.create.extend(more);
        rendered.drop.push(format!("DROP {kind} IF EXISTS {name}"));
        if let Some(owner) = &header.owner {
            rendered
                .set_owner
                .push(format!("ALTER {object} OWNER TO {}", ident(owner)));
        }
    }
    rendered.comments = comment::of(header, &object);
    rendered
}
