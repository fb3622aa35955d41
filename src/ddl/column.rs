//! Columns of tables: what stands inside CREATE TABLE and what follows in ALTER TABLE.

use crate::model::{Column, Generated, NotNull, Relation, RelationKind};
use crate::sql::ident;

use super::context::Context;
use super::settings::{foreign, storage_parameters};
use super::types::collate;

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

/// `CONSTRAINT n ` where the server would choose another name, or where a comment names it.
fn not_null_name<'a>(
    context: &Context<'a>,
    table: &'a Relation,
    column: &Column,
    not_null: &'a NotNull,
) -> String {
    let automatic = format!("{}_{}_not_null", table.header.name, column.name);
    match &not_null.name {
        Some(name)
            if *name != automatic
                || not_null.comment.is_some()
                || context.is_common_constraint_name(table, name) =>
        {
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
            .filter(|_| context.version().at_least(18))
            .map(|not_null| {
                let constraint = not_null_name(context, table, column, not_null);
                format!("{constraint}NOT NULL {name}{}", no_inherit(not_null))
            });
    }
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
            text.push_str(&format!(" GENERATED ALWAYS AS ({sql})"));
        }
    }
    if let Some(not_null) = not_null {
        let constraint = not_null_name(context, table, column, not_null);
        text.push_str(&format!(" {constraint}NOT NULL{}", no_inherit(not_null)));
    }
    if table.of_type.is_some() {
        return (text.len() > bare).then_some(text);
    }
    text.push_str(&collate(column.collation.as_deref()));
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
                statements.push(format!("{alter} SET EXPRESSION AS ({sql})"));
            }
        }
        if !context.version().at_least(18) && not_null(context, table, column).is_some() {
            statements.push(format!("{alter} SET NOT NULL"));
        }
    }
    statements.extend(attributes(table, column));
    statements
}

/// Statistics targets, storage, compression and options.
pub(super) fn attributes(table: &Relation, column: &Column) -> Vec<String> {
    let alter = format!("{} ALTER COLUMN {}", alter_only(table), ident(&column.name));
    let mut statements = Vec::new();
    if let Some(target) = column.statistics_target {
        statements.push(format!("{alter} SET STATISTICS {target}"));
    }
    if let Some(storage) = column.storage {
        statements.push(format!("{alter} SET STORAGE {storage}"));
    }
    if let Some(compression) = column.compression {
        statements.push(format!("{alter} SET COMPRESSION {compression}"));
    }
    // Some servers count there, for themselves, how often a row type changed.
    let options: Vec<_> = column
        .options
        .iter()
        .filter(|(name, _)| name != "pg_attver")
        .cloned()
        .collect();
    if !options.is_empty() {
        statements.push(format!("{alter} SET ({})", storage_parameters(&options)));
    }
    if !column.foreign_options.is_empty() {
        statements.push(format!("{alter}{}", foreign(&column.foreign_options)));
    }
    statements
}
