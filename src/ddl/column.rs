//! Columns of tables: what stands inside CREATE TABLE and what follows in ALTER TABLE.

use crate::model::{Column, Generated, NotNull, Relation, RelationKind};
use crate::sql::ident;

use super::context::Context;
use super::settings::{foreign, storage_parameters};
use super::target::Target;
use super::types::collate;
use super::words::builtin_multirange;

/// `ALTER TABLE ONLY s.t`, `ALTER FOREIGN TABLE ONLY s.t`.
pub(super) fn alter_only(table: &Relation) -> String {
    format!(
        "ALTER {} ONLY {}",
        alterable(table),
        table.header.sql_name()
    )
}

/// `TABLE` or `FOREIGN TABLE`: ALTER TABLE serves views and materialized views too.
pub(super) const fn alterable(table: &Relation) -> &'static str {
    match table.kind {
        RelationKind::ForeignTable => "FOREIGN TABLE",
        _ => "TABLE",
    }
}

/// Whether the column stands in CREATE TABLE: what is made free-standing has all its columns;
/// other children get inherited columns from their parents.
fn is_printed<'a>(context: &Context<'a>, table: &'a Relation, column: &Column) -> bool {
    column.local || context.is_free_standing(table)
}

/// Where a column's default or generation expression is written.
enum Expression<'a> {
    /// Nowhere, or by a node of its own.
    Elsewhere,
    /// In CREATE TABLE or right after.
    Here(&'a str, Option<Generated>),
}

/// The default or generation expression that the table's own statements set.
fn expression<'a>(
    context: &Context<'a>,
    table: &'a Relation,
    column: &'a Column,
) -> Expression<'a> {
    let free_standing = context.is_free_standing(table);
    let inherited = || {
        context.parents(table).filter_map(|parent| {
            let column = parent.columns.iter().find(|c| c.name == column.name)?;
            Some((column.default.as_ref()?, column.generated))
        })
    };
    match (&column.default, column.generated) {
        (Some(default), Some(generated)) => {
            // A child that repeats its parents' expression is refused before 16.
            let mut parents = inherited().filter(|(_, generated)| generated.is_some());
            let first = parents.next();
            let same =
                |(parent, _): (&crate::model::Default, _)| parent.expression == default.expression;
            if !free_standing && first.is_some_and(same) && parents.all(same) {
                Expression::Elsewhere
            } else {
                let overrides = !free_standing && first.is_some() && column.local;
                let what = "generation expressions of a child's own";
                context.target.needs(overrides, 16, what);
                Expression::Here(&default.expression, Some(generated))
            }
        }
        (Some(default), None) if context.is_separate_default(default.oid) => Expression::Elsewhere,
        (Some(default), None) => Expression::Here(&default.expression, None),
        // The parent's default would be inherited, and the source has none.
        (None, _) if !free_standing && inherited().any(|(_, generated)| generated.is_none()) => {
            Expression::Here("NULL", None)
        }
        (None, _) => Expression::Elsewhere,
    }
}

/// Says what cannot be there, where a generated column has a parent's that is not: 16 was the first to
/// refuse all ways to that.
pub(super) fn generated_below_plain<'a>(context: &Context<'a>, table: &'a Relation) {
    let is_plain = |name: &str| {
        let mut inherited = context.parents(table).flat_map(|parent| &parent.columns);
        inherited.any(|column| column.name == name && column.generated.is_none())
    };
    let mut generated = table.columns.iter().filter(|c| c.generated.is_some());
    if generated.any(|column| is_plain(&column.name)) && context.target.at_least(16) {
        let what = "generated columns of a child whose parent's is none";
        context.target.impossible(what);
    }
}

/// The NOT NULL that the table's own statements set.
pub(super) fn not_null<'a>(
    context: &Context<'a>,
    table: &'a Relation,
    column: &'a Column,
) -> Option<&'a NotNull> {
    let not_null = column.not_null.as_ref()?;
    let separate = not_null
        .oid
        .is_some_and(|oid| context.is_separate_constraint(oid));
    if separate || !not_null.validated {
        return None;
    }
    // One that the parents will have only after the data, and not validated, cannot be left to
    // them.
    let mut inherited = context
        .parents(table)
        .filter_map(|parent| parent.columns.iter().find(|c| c.name == column.name))
        .filter_map(|column| column.not_null.as_ref())
        .peekable();
    let late = inherited.peek().is_some() && inherited.all(|parent| !parent.validated);
    (not_null.local || late || context.is_free_standing(table)).then_some(not_null)
}

/// Whether the target has NOT NULL constraints as objects, with names and comments.
pub(super) fn keeps_name(context: &Context<'_>) -> bool {
    let known = context.target.at_least(18);
    if !known {
        context
            .target
            .note("names and comments of NOT NULL constraints");
    }
    known
}

/// Whether the NOT NULL must be a CHECK there: before 18 every NOT NULL holds for children too.
fn becomes_check(context: &Context<'_>, not_null: &NotNull) -> bool {
    let becomes = not_null.no_inherit && !context.target.at_least(18);
    if becomes {
        let note = "NOT NULL constraints that are NOT VALID or NO INHERIT are CHECK constraints";
        context.target.note(note);
    }
    becomes
}

/// The CHECK constraints in place of such as the target cannot have.
pub(super) fn not_null_checks<'a>(context: &Context<'a>, table: &'a Relation) -> Vec<String> {
    let mut checks = Vec::new();
    for column in &table.columns {
        if let Some(not_null) = not_null(context, table, column)
            && becomes_check(context, not_null)
        {
            let automatic = format!("{}_{}_not_null", table.header.name, column.name);
            let name = not_null.name.as_ref().unwrap_or(&automatic);
            checks.push(format!(
                "CONSTRAINT {} CHECK (({} IS NOT NULL)) NO INHERIT",
                ident(name),
                ident(&column.name)
            ));
        }
    }
    checks
}

/// `CONSTRAINT n ` where the server would choose another name, or where a comment names it.
fn not_null_name<'a>(
    context: &Context<'a>,
    table: &'a Relation,
    column: &Column,
    not_null: &'a NotNull,
) -> String {
    let automatic = format!("{}_{}_not_null", table.header.name, column.name);
    let must_be_named = |name: &'a String| {
        *name != automatic
            || not_null.comment.is_some()
            || context.is_common_constraint_name(table, name)
    };
    match &not_null.name {
        Some(name) if must_be_named(name) && keeps_name(context) => {
            format!("CONSTRAINT {} ", ident(name))
        }
        _ => String::new(),
    }
}

const fn no_inherit(not_null: &NotNull) -> &'static str {
    if not_null.no_inherit {
        " NO INHERIT"
    } else {
        ""
    }
}

/// The column's element inside CREATE TABLE; none where there is nothing to say.
pub(super) fn element<'a>(
    context: &Context<'a>,
    table: &'a Relation,
    column: &'a Column,
) -> Option<String> {
    let not_null = not_null(context, table, column);
    let name = ident(&column.name);
    if !is_printed(context, table, column) {
        // The form without the column exists from 18 on; before, see `alters`.
        return not_null
            .filter(|_| context.target.source().at_least(18) && context.target.at_least(18))
            .map(|not_null| {
                let constraint = not_null_name(context, table, column, not_null);
                format!("{constraint}NOT NULL {name}{}", no_inherit(not_null))
            });
    }
    let multirange = builtin_multirange(&column.type_sql) || context.is_multirange(column.type_oid);
    context.target.needs(multirange, 14, "multirange types");
    let mut text = name;
    if table.of_type.is_none() {
        text.push(' ');
        text.push_str(&column.type_sql);
    }
    let bare = text.len();
    match expression(context, table, column) {
        Expression::Elsewhere => {}
        Expression::Here(sql, None) => text.push_str(&format!(" DEFAULT {sql}")),
        Expression::Here(sql, Some(Generated::Stored)) => {
            text.push_str(&format!(" GENERATED ALWAYS AS ({sql}) STORED"));
        }
        Expression::Here(sql, Some(Generated::Virtual)) => {
            let stored = if context.target.at_least(18) {
                ""
            } else {
                let note = "virtual generated columns are stored";
                context.target.note(note);
                " STORED"
            };
            text.push_str(&format!(" GENERATED ALWAYS AS ({sql}){stored}"));
        }
    }
    if let Some(not_null) = not_null.filter(|not_null| !becomes_check(context, not_null)) {
        let constraint = not_null_name(context, table, column, not_null);
        text.push_str(&format!(" {constraint}NOT NULL{}", no_inherit(not_null)));
    }
    if table.of_type.is_some() {
        return (text.len() > bare).then_some(text);
    }
    text.push_str(&collate(column.settings().collation.as_deref()));
    Some(text)
}

/// The column's statements after CREATE TABLE.
pub(super) fn alters<'a>(
    context: &Context<'a>,
    table: &'a Relation,
    column: &'a Column,
) -> Vec<String> {
    let alter = format!("{} ALTER COLUMN {}", alter_only(table), ident(&column.name));
    let mut statements = Vec::new();
    if !is_printed(context, table, column) {
        match expression(context, table, column) {
            Expression::Elsewhere => {}
            Expression::Here(sql, None) => statements.push(format!("{alter} SET DEFAULT {sql}")),
            Expression::Here(sql, Some(_)) => {
                let what = "generation expressions that differ from the parent's";
                context.target.needs(true, 17, what);
                statements.push(format!("{alter} SET EXPRESSION AS ({sql})"));
            }
        }
        // A source without named constraints has nothing that this form would lose.
        if let Some(not_null) = not_null(context, table, column)
            && !(context.target.source().at_least(18) && context.target.at_least(18))
            && !becomes_check(context, not_null)
        {
            statements.push(format!("{alter} SET NOT NULL"));
        }
    }
    statements.extend(attributes(&context.target, table, column));
    statements
}

/// Statistics targets, storage, compression and options.
pub(super) fn attributes(target: &Target, table: &Relation, column: &Column) -> Vec<String> {
    let alter = format!("{} ALTER COLUMN {}", alter_only(table), ident(&column.name));
    let mut statements = Vec::new();
    let settings = column.settings();
    if let Some(number) = settings.statistics_target {
        statements.push(format!("{alter} SET STATISTICS {number}"));
    }
    if let Some(storage) = settings.storage {
        statements.push(format!("{alter} SET STORAGE {storage}"));
    }
    if let Some(compression) = settings.compression {
        if target.at_least(14) {
            statements.push(format!("{alter} SET COMPRESSION {compression}"));
        } else {
            target.note("columns have no compression method of their own");
        }
    }
    // Some servers count there, for themselves, how often a row type changed.
    let options: Vec<_> = settings
        .options
        .iter()
        .filter(|(name, _)| name != "pg_attver")
        .cloned()
        .collect();
    if !options.is_empty() {
        statements.push(format!("{alter} SET ({})", storage_parameters(&options)));
    }
    if !settings.foreign_options.is_empty() {
        statements.push(format!("{alter}{}", foreign(&settings.foreign_options)));
    }
    statements
}
