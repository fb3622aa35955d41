//! CREATE FUNCTION and CREATE PROCEDURE.

use crate::graph::Node;
use crate::model::{Components, Function, FunctionBody, FunctionKind, Parallel, Volatility};
use crate::sql::{LockMode, dollar_quoted, ident, literal};

use super::context::Context;
use super::drop::guarded_by;
use super::privileges::GrantKind;
use super::rendered::Rendered;
use super::settings::{assignment, keeps};
use super::target::Target;
use super::words::{builtin_multirange, has_words};
use super::{plain, privileges};

pub(super) fn render(context: &Context<'_>, node: Node, function: &Function) -> Rendered {
    let header = &function.header;
    let kind = kind(function);
    let signature = format!("{}({})", header.name, function.identity_arguments);
    let address = address(function);
    let object = format!("{kind} {address}");
    let declared = context.is_declared_function(header.address.oid);
    let mut statements = vec![if declared {
        let arguments = &function.identity_arguments;
        declaration(&context.target, "CREATE", function, arguments)
    } else {
        create(&context.target, "CREATE", function)
    }];
    statements.extend(
        header
            .depends_on_extensions
            .iter()
            .map(|extension| format!("ALTER {object} DEPENDS ON EXTENSION {}", ident(extension))),
    );
    let mut rendered = plain::render(node, kind, &address, header, statements);
    rendered.name = signature;
    if function.comes_along && !is_known_constructor(context, function) {
        let nothing = Rendered::new(node, kind, header);
        let name = rendered.name;
        return Rendered { name, ..nothing };
    }
    if (function.given_away || function.comes_along)
        && header.wanted.has(Components::ACL)
        && let Some(owner) = &header.owner
    {
        let statement = format!("ALTER {object} OWNER TO {}", ident(owner));
        rendered.set_owner = vec![statement];
    }
    if header.wanted.has(Components::DEFINITION) {
        ask(context, function);
        if !declared {
            lock_what_is_written(context, function, &mut rendered);
        }
    }
    rendered.privileges = privileges::of(GrantKind::Function, &object, header, &context.target);
    rendered
}

/// The full definition of a function that so far stands as a declaration.
pub(super) fn render_definition(
    context: &Context<'_>,
    node: Node,
    function: &Function,
) -> Rendered {
    let header = &function.header;
    let kind = kind(function);
    let mut rendered = Rendered::new(node, kind, header);
    rendered.name = format!("{}({})", header.name, function.identity_arguments);
    rendered.owner.clone_from(&header.owner);
    if header.wanted.has(Components::DEFINITION) {
        ask(context, function);
        let statement = create(&context.target, "CREATE OR REPLACE", function);
        rendered.create.push(statement);
        // Back to the declaration, so that what the body leans on can go before the function does.
        // Defaults of arguments stay until all goes.
        let drop = if function.arguments == function.identity_arguments {
            let exists = format!(
                "EXISTS (SELECT FROM pg_catalog.pg_proc p \
                 JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
                 WHERE n.nspname = {} AND p.proname = {} \
                 AND pg_catalog.pg_get_function_identity_arguments(p.oid) = {}) \
                 AND pg_catalog.set_config('check_function_bodies', 'off', true) IS NOT NULL",
                literal(header.schema.as_deref().unwrap_or_default()),
                literal(&header.name),
                literal(&function.identity_arguments)
            );
            let (target, arguments) = (&context.target, &function.arguments);
            let declare = declaration(target, "CREATE OR REPLACE", function, arguments);
            guarded_by(&exists, &declare)
        } else {
            format!("DROP {kind} IF EXISTS {} CASCADE", address(function))
        };
        rendered.drop.push(drop);
        lock_what_is_written(context, function, &mut rendered);
    }
    rendered
}

/// Whether the target has a constructor; it lacks those of multirange types where it lacks these.
fn is_known_constructor(context: &Context<'_>, function: &Function) -> bool {
    let mut types = function.signature_types.iter();
    let known = !types.any(|&oid| context.is_multirange(oid)) || context.target.at_least(14);
    if !known {
        context.target.note("range types have no multirange type");
    }
    known
}

fn kind(function: &Function) -> &'static str {
    match function.kind {
        FunctionKind::Procedure => "PROCEDURE",
        FunctionKind::Function | FunctionKind::Window => "FUNCTION",
    }
}

fn address(function: &Function) -> String {
    let name = function.header.sql_name();
    format!("{name}({})", function.identity_arguments)
}

fn lock_what_is_written(context: &Context<'_>, function: &Function, rendered: &mut Rendered) {
    for relation in context.maybe_written(function.header.address) {
        rendered.lock(*relation, LockMode::RowExclusive);
    }
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

/// `verb` is `CREATE` or `CREATE OR REPLACE`.
fn create(target: &Target, verb: &str, function: &Function) -> String {
    let support = function.support.as_deref();
    let (arguments, body) = (&function.arguments, &function.body);
    statement(target, verb, function, arguments, support, body)
}

/// The function without what it may need beside its signature. Bodies are not looked at while a
/// restore makes functions; an empty one is never inlined either, and whoever called it would get
/// an error and not a wrong result.
fn declaration(target: &Target, verb: &str, function: &Function, arguments: &str) -> String {
    let stand_in = FunctionBody::Source(String::new());
    let body = match &function.body {
        FunctionBody::Sql(_) => &stand_in,
        own => own,
    };
    statement(target, verb, function, arguments, None, body)
}

fn statement(
    target: &Target,
    verb: &str,
    function: &Function,
    arguments: &str,
    support: Option<&str>,
    body: &FunctionBody,
) -> String {
    let kind = kind(function);
    let mut text = format!("{verb} {kind} {}({arguments})", function.header.sql_name());
    if let Some(result) = &function.result {
        text.push_str(&format!(" RETURNS {result}"));
    }
    text.push_str(&format!("\n    LANGUAGE {}", ident(&function.language)));
    attributes(function, support, &mut text);
    let settings = function.settings.iter();
    for (name, value) in settings.filter(|(name, _)| keeps(target, name)) {
        text.push_str(&format!("\n    SET {}", assignment(name, value)));
    }
    match body {
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
fn attributes(function: &Function, support: Option<&str>, text: &mut String) {
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
        ("COST", function.cost.as_deref()),
        ("ROWS", function.rows.as_deref()),
        ("SUPPORT", support),
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
