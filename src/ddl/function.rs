//! CREATE FUNCTION and CREATE PROCEDURE.

use crate::graph::Node;
use crate::model::{Components, Function, FunctionBody, FunctionKind, Parallel, Volatility};
use crate::sql::{LockMode, dollar_quoted, ident, literal};

use super::context::Context;
use super::privileges::GrantKind;
use super::rendered::Rendered;
use super::settings::assignment;
use super::words::{builtin_multirange, has_words};
use super::{plain, privileges};

pub(super) fn render(context: &Context<'_>, node: Node, function: &Function) -> Rendered {
    let header = &function.header;
    let kind = match function.kind {
        FunctionKind::Procedure => "PROCEDURE",
        FunctionKind::Function | FunctionKind::Window => "FUNCTION",
    };
    let signature = format!("{}({})", header.name, function.identity_arguments);
    let address = format!("{}({})", header.sql_name(), function.identity_arguments);
    let object = format!("{kind} {address}");
    let mut statements = vec![create(kind, function)];
    statements.extend(
        header
            .depends_on_extensions
            .iter()
            .map(|extension| format!("ALTER {object} DEPENDS ON EXTENSION {}", ident(extension))),
    );
    let mut rendered = plain::render(node, kind, &address, header, statements);
    rendered.name = signature;
    if header.wanted.has(Components::DEFINITION) {
        ask(context, function);
        for relation in context.maybe_written(header.address) {
            rendered.lock(*relation, LockMode::RowExclusive);
        }
    }
    rendered.privileges = privileges::of(GrantKind::Function, &object, header, &context.target);
    rendered
}

/// What not every server knows.
fn ask(context: &Context<'_>, function: &Function) {
    let target = &context.target;
    let standard = matches!(function.body, FunctionBody::Sql(_));
    target.needs(
        standard,
        14,
        "bodies in standard SQL (BEGIN ATOMIC, RETURN)",
    );
    let arguments = &function.arguments;
    let out = arguments.starts_with("OUT ") || has_words(arguments, ", OUT ");
    let procedure = function.kind == FunctionKind::Procedure;
    target.needs(procedure && out, 14, "procedures with OUT arguments");
    let result = function.result.as_deref().unwrap_or_default();
    let multirange = builtin_multirange(arguments)
        || builtin_multirange(result)
        || context.has_multirange(&function.argument_types);
    target.needs(multirange, 14, "multirange types");
}

fn create(kind: &str, function: &Function) -> String {
    let mut text = format!(
        "CREATE {kind} {}({})",
        function.header.sql_name(),
        function.arguments
    );
    if let Some(result) = &function.result {
        text.push_str(&format!(" RETURNS {result}"));
    }
    text.push_str(&format!("\n    LANGUAGE {}", ident(&function.language)));
    attributes(function, &mut text);
    for (name, value) in &function.settings {
        text.push_str(&format!("\n    SET {}", assignment(name, value)));
    }
    match &function.body {
        FunctionBody::Source(source) => {
            text.push_str(&format!("\n    AS {}", dollar_quoted(source)));
        }
        FunctionBody::Library { file, symbol } => {
            text.push_str(&format!("\n    AS {}, {}", literal(file), literal(symbol)));
        }
        FunctionBody::Sql(body) => {
            text.push_str("\n    ");
            text.push_str(body);
        }
    }
    text
}

/// The clauses between the language and the settings.
fn attributes(function: &Function, text: &mut String) {
    if !function.transforms.is_empty() {
        let types: Vec<_> = function
            .transforms
            .iter()
            .map(|transform| format!("FOR TYPE {transform}"))
            .collect();
        text.push_str(&format!(" TRANSFORM {}", types.join(", ")));
    }
    if function.kind == FunctionKind::Window {
        text.push_str(" WINDOW");
    }
    text.push_str(match function.volatility {
        Volatility::Immutable => " IMMUTABLE",
        Volatility::Stable => " STABLE",
        Volatility::Volatile => "",
    });
    let flags = [
        (function.strict, " STRICT"),
        (function.security_definer, " SECURITY DEFINER"),
        (function.leakproof, " LEAKPROOF"),
    ];
    for (set, word) in flags {
        if set {
            text.push_str(word);
        }
    }
    let numbers = [
        ("COST", &function.cost),
        ("ROWS", &function.rows),
        ("SUPPORT", &function.support),
    ];
    for (word, value) in numbers {
        if let Some(value) = value {
            text.push_str(&format!(" {word} {value}"));
        }
    }
    text.push_str(match function.parallel {
        Parallel::Safe => " PARALLEL SAFE",
        Parallel::Restricted => " PARALLEL RESTRICTED",
        Parallel::Unsafe => "",
    });
}
