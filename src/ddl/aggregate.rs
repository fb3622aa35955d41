//! CREATE AGGREGATE.

use crate::graph::Node;
use crate::model::{Aggregate, AggregateKind, AggregateState, Components, Modify, Parallel};
use crate::sql::literal;

use super::context::Context;
use super::operator::reference;
use super::privileges::GrantKind;
use super::renamed::over_renamed;
use super::rendered::Rendered;
use super::target::Target;
use super::{plain, privileges};

pub(super) fn render(context: &Context<'_>, node: Node, aggregate: &Aggregate) -> Rendered {
    let header = &aggregate.header;
    let signature = format!("{}({})", header.name, aggregate.arguments);
    let address = format!("{}({})", header.sql_name(), aggregate.arguments);
    let options = options(aggregate).join(",\n    ");
    let create = format!("CREATE AGGREGATE {address} (\n    {options}\n)");
    if header.wanted.has(Components::DEFINITION) {
        ask(&context.target, aggregate);
    }
    let mut rendered = plain::render(node, "AGGREGATE", &address, header, vec![create]);
    rendered.name = signature;
    // GRANT knows functions only, and their arguments only as a list.
    let function = format!("FUNCTION {}({})", header.sql_name(), aggregate.types);
    rendered.privileges = privileges::of(GrantKind::Function, &function, header, &context.target);
    rendered
}

/// What not every server knows.
fn ask(target: &Target, aggregate: &Aggregate) {
    let moving = aggregate.moving.as_ref().map(|(_, state)| state);
    for state in [Some(&aggregate.state), moving].into_iter().flatten() {
        for function in [Some(&state.function), state.finish.as_ref()] {
            let types = std::iter::once(state.r#type.as_str());
            over_renamed(target, function.map_or("", String::as_str), types);
        }
    }
}

fn options(aggregate: &Aggregate) -> Vec<String> {
    let mut options = Vec::new();
    state(&mut options, "", &aggregate.state, aggregate.kind);
    let functions = [
        ("COMBINEFUNC", &aggregate.combine),
        ("SERIALFUNC", &aggregate.serialize),
        ("DESERIALFUNC", &aggregate.deserialize),
    ];
    for (option, function) in functions {
        if let Some(function) = function {
            options.push(format!("{option} = {function}"));
        }
    }
    if let Some((inverse, moving)) = &aggregate.moving {
        state(&mut options, "M", moving, aggregate.kind);
        options.push(format!("MINVFUNC = {inverse}"));
    }
    if let Some(operator) = &aggregate.sort_operator {
        options.push(format!("SORTOP = {}", reference(operator)));
    }
    match aggregate.parallel {
        Parallel::Safe => options.push(String::from("PARALLEL = SAFE")),
        Parallel::Restricted => options.push(String::from("PARALLEL = RESTRICTED")),
        Parallel::Unsafe => {}
    }
    if aggregate.kind == AggregateKind::Hypothetical {
        options.push(String::from("HYPOTHETICAL"));
    }
    options
}

/// The options of a state; those for moving frames have the same names behind an `M`.
fn state(options: &mut Vec<String>, prefix: &str, state: &AggregateState, kind: AggregateKind) {
    options.push(format!("{prefix}SFUNC = {}", state.function));
    options.push(format!("{prefix}STYPE = {}", state.r#type));
    if let Some(space) = state.space {
        options.push(format!("{prefix}SSPACE = {space}"));
    }
    if let Some(initial) = &state.initial {
        options.push(format!("{prefix}INITCOND = {}", literal(initial)));
    }
    let Some(finish) = &state.finish else { return };
    options.push(format!("{prefix}FINALFUNC = {finish}"));
    if state.finish_extra {
        options.push(format!("{prefix}FINALFUNC_EXTRA"));
    }
    let usual = match kind {
        AggregateKind::Normal => Modify::ReadOnly,
        AggregateKind::OrderedSet | AggregateKind::Hypothetical => Modify::ReadWrite,
    };
    if state.finish_modify != usual {
        let modify = match state.finish_modify {
            Modify::ReadOnly => "READ_ONLY",
            Modify::Shareable => "SHAREABLE",
            Modify::ReadWrite => "READ_WRITE",
        };
        options.push(format!("{prefix}FINALFUNC_MODIFY = {modify}"));
    }
}
