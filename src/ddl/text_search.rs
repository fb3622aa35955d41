//! CREATE TEXT SEARCH PARSER, TEMPLATE, DICTIONARY and CONFIGURATION.

use crate::graph::Node;
use crate::model::{
    Header, TextSearchConfiguration, TextSearchDictionary, TextSearchParser, TextSearchTemplate,
};
use crate::sql::{ident, qualified};

use super::plain;
use super::rendered::Rendered;

pub(super) fn render_parser(node: Node, parser: &TextSearchParser) -> Rendered {
    let options: Vec<_> = parser
        .functions
        .iter()
        .map(|(option, function)| format!("{option} = {function}"))
        .collect();
    let header = &parser.header;
    render(
        node,
        "TEXT SEARCH PARSER",
        header,
        &options.join(", "),
        vec![],
    )
}

pub(super) fn render_template(node: Node, template: &TextSearchTemplate) -> Rendered {
    let mut options = String::new();
    if let Some(init) = &template.init {
        options.push_str(&format!("INIT = {init}, "));
    }
    options.push_str(&format!("LEXIZE = {}", template.lexize));
    let header = &template.header;
    render(node, "TEXT SEARCH TEMPLATE", header, &options, vec![])
}

pub(super) fn render_dictionary(node: Node, dictionary: &TextSearchDictionary) -> Rendered {
    let (schema, template) = &dictionary.template;
    let mut options = format!("TEMPLATE = {}", qualified(schema, template));
    if let Some(more) = &dictionary.options {
        options.push_str(&format!(", {more}"));
    }
    let header = &dictionary.header;
    render(node, "TEXT SEARCH DICTIONARY", header, &options, vec![])
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

/// What all have in common; `more` follows the definition.
fn render(
    node: Node,
    kind: &'static str,
    header: &Header,
    options: &str,
    more: Vec<String>,
) -> Rendered {
    let name = header.sql_name();
    let mut create = vec![format!("CREATE {kind} {name} ({options})")];
    create.extend(more);
    plain::render(node, kind, &name, header, create)
}
