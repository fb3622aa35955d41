//! Whether rows fit tables that were there before: the tables are to be there, and take what is in binary format.
//!
//! Binary COPY says nothing of types. Where a column has another one than the rows were written
//! with, the server finds the length wrong at best; at worst it takes the bytes for another value
//! of the same width (a `timestamp` for a `timestamptz`), and gives back the same bytes when they
//! are compared.
//!
//! Text is converted, and both formats obey modifiers: a digit, an offset or a fraction of a second that a column
//! does not hold goes without a word of the server. That is told.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::options::OnError;
use super::shared::Shared;
use crate::archive::{CopyFormat, DataSpec};
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result, first_of, one_line};
use crate::plan::Work;
use crate::sql::{literal, name_parts};

/// Most columns that are told one by one.
const TOLD: usize = 10;

/// Tables that are asked for at once.
const ASKED_AT_ONCE: usize = 1000;

/// Sent alike: as characters.
const CHARACTERS: [&str; 5] = ["text", "character varying", "character", "bpchar", "name"];

/// A table by schema and name.
pub(crate) type Table = (String, String);

/// A column and the type of its values, as the source names it.
pub(crate) type Sent<'a> = (&'a str, &'a str);

/// A column whose type is not that of the rows.
pub(crate) struct Unlike {
    /// Its name.
    pub(crate) column: String,
    /// The type of the rows, as the source names it.
    pub(crate) sent: String,
    /// The column's type, as SQL.
    pub(crate) there: String,
}

/// What a column of the target is.
struct Found {
    /// Without modifier, the base type of a domain; as SQL under an empty `search_path`.
    sql: String,
    /// As it is declared.
    declared: String,
    /// Its bare name, when an extension made it: those may lie in another schema there.
    of_extension: Option<String>,
}

impl Found {
    /// Whether it takes what was sent as `sent`.
    fn takes(&self, sent: &str) -> bool {
        let is_character = |sql: &str| CHARACTERS.contains(&sql.trim_matches('"'));
        let (found, wanted) = (name_parts(&self.sql), name_parts(sent));
        // However both quote.
        if sent == self.sql || wanted.is_some() && found == wanted {
            return true;
        }
        if is_character(sent) && is_character(&self.sql) {
            return true;
        }
        let bare = match &wanted {
            Some((parts, "")) => parts.last(),
            _ => None,
        };
        bare.is_some() && bare == self.of_extension.as_ref()
    }

    /// Whether it holds every value of a column that was `declared` so as it is.
    fn holds(&self, declared: &str) -> bool {
        let (found, wanted) = (name_parts(&self.declared), name_parts(declared));
        if declared == self.declared || wanted.is_some() && found == wanted {
            return true;
        }
        if let (Some((parts, modifier)), Some((_, own))) = (&wanted, &found)
            && modifier == own
            && parts.last().is_some()
            && parts.last() == self.of_extension.as_ref()
        {
            return true;
        }
        is_within(declared, &self.declared)
    }
}

/// Types whose modifiers only say how long or how exact a value may be.
const BOUNDED: [&str; 8] = [
    "character varying",
    "bit varying",
    "interval",
    "numeric",
    "time with time zone",
    "time without time zone",
    "timestamp with time zone",
    "timestamp without time zone",
];

/// Numbers that the next one holds.
const WHOLE: [&str; 4] = ["smallint", "integer", "bigint", "numeric"];

/// Whether each value of one built-in type has a place in another.
fn is_within(narrow: &str, wide: &str) -> bool {
    let (narrow, wide) = (narrow.trim_matches('"'), wide.trim_matches('"'));
    if matches!(wide, "text" | "character varying")
        || (narrow, wide) == ("real", "double precision")
    {
        return true;
    }
    let whole = |name: &str| WHOLE.iter().position(|&whole| whole == name);
    if let (Some(narrow), Some(wide)) = (whole(narrow), whole(wide)) {
        return narrow <= wide;
    }
    let ((base, narrow), (same, wide)) = (modified(narrow), modified(wide));
    if base != same || !BOUNDED.contains(&base.as_str()) {
        return false;
    }
    match (narrow.as_slice(), wide.as_slice()) {
        (_, []) => true,
        ([precision, scale], [most, places]) => {
            places >= scale && most - places >= precision - scale
        }
        ([narrow], [wide]) => narrow <= wide,
        _ => false,
    }
}

/// A type without its modifier, and the numbers of that.
fn modified(sql: &str) -> (String, Vec<i32>) {
    let parts = sql.split_once('(').and_then(|(name, rest)| {
        let (numbers, end) = rest.split_once(')')?;
        let numbers: Result<Vec<i32>, _> = numbers.split(',').map(str::parse).collect();
        Some((format!("{name}{end}"), numbers.ok()?))
    });
    parts.unwrap_or_else(|| (sql.to_owned(), Vec::new()))
}

/// Compares tables that the plan does not make, and their columns, with the rows that it loads into them.
///
/// # Errors
/// [`Kind::Refused`] names tables that are not there, unless failures are passed over, and columns whose type is
/// another one.
pub(super) async fn check(wire: &mut Wire, shared: &Shared) -> Result<()> {
    let loaded = loaded(shared);
    let tables: Vec<&Table> = loaded.keys().collect();
    let mut entries = shared.plan.steps_of(Work::Statements);
    // An extension that is made makes tables of which no entry tells.
    if !entries.any(|(_, id)| shared.entry(id).is_some_and(|it| it.kind == "EXTENSION")) {
        let mut absent = Vec::new();
        for group in tables.chunks(ASKED_AT_ONCE) {
            absent.extend(ask_for_absent(wire, group).await?);
        }
        refuse_absent(shared, absent)?;
    }
    let asked: Vec<&Table> = loaded
        .iter()
        .filter(|(_, rows)| !rows.sent.is_empty() || !rows.declared.is_empty())
        .map(|(table, _)| table)
        .collect();
    let (mut refused, mut altered) = (Vec::new(), Vec::new());
    for group in asked.chunks(ASKED_AT_ONCE) {
        let there = ask(wire, group).await?;
        for &table in group {
            let Some(rows) = loaded.get(table) else {
                continue;
            };
            let (schema, name) = table;
            let tell = |column: &str, sent: &str, there: &str| {
                format!("{schema}.{name}, column {column}: {sent} is to become {there}")
            };
            for (column, sent, found) in those(&there, table, &rows.sent) {
                if !found.takes(sent) {
                    refused.push(tell(column, sent, &found.sql));
                }
            }
            for (column, declared, found) in those(&there, table, &rows.declared) {
                if !found.holds(declared) {
                    altered.push(tell(column, declared, &found.declared));
                }
            }
        }
    }
    refuse(refused)?;
    if !altered.is_empty() {
        shared.warn(format!(
            "columns of the target have other types than the archive's: values are converted, and may change: {}",
            one_line(&first_of(altered, TOLD).join("; "))
        ));
    }
    Ok(())
}

/// Those of a table's columns that are there.
fn those<'a>(
    there: &'a BTreeMap<(Table, String), Found>,
    table: &Table,
    columns: &BTreeSet<Sent<'a>>,
) -> Vec<(&'a str, &'a str, &'a Found)> {
    let columns = columns.iter().filter_map(|&(column, sent)| {
        let found = there.get(&(table.clone(), column.to_owned()))?;
        Some((column, sent, found))
    });
    columns.collect()
}

/// The columns of these tables whose types are others than those that rows in binary were sent as; what is not there is
/// for the server to say.
///
/// # Errors
/// The server's.
pub(crate) async fn unlike(
    wire: &mut Wire,
    wanted: &BTreeMap<Table, BTreeSet<Sent<'_>>>,
) -> Result<BTreeMap<Table, Vec<Unlike>>> {
    let tables: Vec<&Table> = wanted
        .iter()
        .filter(|(_, columns)| !columns.is_empty())
        .map(|(table, _)| table)
        .collect();
    let mut unlike: BTreeMap<Table, Vec<Unlike>> = BTreeMap::new();
    for group in tables.chunks(ASKED_AT_ONCE) {
        let found = ask(wire, group).await?;
        for &table in group {
            let Some(columns) = wanted.get(table) else {
                continue;
            };
            for (column, sent, there) in those(&found, table, columns) {
                if !there.takes(sent) {
                    unlike.entry(table.clone()).or_default().push(Unlike {
                        column: column.to_owned(),
                        sent: sent.to_owned(),
                        there: there.sql.clone(),
                    });
                }
            }
        }
    }
    Ok(unlike)
}

/// What is not there would end the restore when other tables have their rows already.
fn refuse_absent(shared: &Shared, absent: Vec<String>) -> Result<()> {
    let count = absent.len();
    if count == 0 || shared.on_error == OnError::Continue {
        return Ok(());
    }
    let tables = match count {
        1 => String::from("a table"),
        _ => format!("{count} tables"),
    };
    Err(Error::new(
        Kind::Refused,
        format!(
            "the target lacks {tables} that rows are for: {}",
            first_of(absent, TOLD).join(", ")
        ),
    )
    .with_hint(
        "restore the definitions first (--schema-only, or --section=pre-data), or leave these tables out with \
         --exclude-table",
    ))
}

/// Those of these tables that are not there.
async fn ask_for_absent(wire: &mut Wire, tables: &[&Table]) -> Result<Vec<String>> {
    let query = format!(
        "SELECT w.schema || '.' || w.name FROM (VALUES {}) AS w (schema, name) \
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = w.schema AND c.relname = w.name) ORDER BY 1",
        values(tables)
    );
    let rows = wire
        .query(&query)
        .await
        .context_with(|| "look which tables are there")?;
    Ok(rows.into_iter().flatten().flatten().collect())
}

fn values(tables: &[&Table]) -> String {
    let values: Vec<String> = tables
        .iter()
        .map(|(schema, name)| format!("({}, {})", literal(schema), literal(name)))
        .collect();
    values.join(", ")
}

fn refuse(unlike: Vec<String>) -> Result<()> {
    if unlike.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Refused,
        format!(
            "the rows are in binary format, which no server converts, and columns of the target have \
             other types: {}",
            first_of(unlike, TOLD).join("; ")
        ),
    )
    .with_hint(
        "dump or copy with --copy-format=text, or restore the tables with their definitions elsewhere \
         and convert them there",
    ))
}

/// Columns of rows that go into a table.
#[derive(Default)]
struct Rows<'a> {
    /// Of binary rows.
    sent: BTreeSet<Sent<'a>>,
    /// As they were declared, where the archive says it.
    declared: BTreeSet<Sent<'a>>,
}

/// Tables that the plan does not make, with the columns of the rows that go into them.
fn loaded(shared: &Shared) -> BTreeMap<Table, Rows<'_>> {
    let made: HashSet<(Option<&str>, &str)> = shared
        .plan
        .steps_of(Work::Statements)
        .filter_map(|(_, id)| shared.entry(id))
        .filter(|entry| matches!(entry.kind.as_str(), "TABLE" | "FOREIGN TABLE"))
        .map(|entry| (entry.schema.as_deref(), entry.name.as_str()))
        .collect();
    let mut loaded: BTreeMap<Table, Rows> = BTreeMap::new();
    for (_, id) in shared.plan.steps_of(Work::Rows) {
        let Some(DataSpec::Table {
            format,
            columns,
            types,
            declared,
            copy_in,
            ..
        }) = shared.entry(id).and_then(|entry| entry.data.as_ref())
        else {
            continue;
        };
        // Rows of a partition may go into the root of its tree.
        let into = copy_in.strip_prefix("COPY ").and_then(name_parts);
        let Some((parts, _)) = into else {
            continue;
        };
        let Ok([schema, name]) = <[String; 2]>::try_from(parts) else {
            continue;
        };
        if made.contains(&(Some(&schema), &name)) {
            continue;
        }
        let rows = loaded.entry((schema, name)).or_default();
        let columns = || columns.iter().map(String::as_str);
        let sent = columns().zip(types.iter().map(String::as_str));
        let sent = sent.filter(|_| *format == CopyFormat::Binary);
        rows.sent.extend(sent);
        let declared = columns().zip(declared.iter().map(String::as_str));
        let declared = declared.filter(|(_, sql)| !sql.is_empty());
        rows.declared.extend(declared);
    }
    loaded
}

/// The columns of these tables, as far as they are there.
async fn ask(wire: &mut Wire, tables: &[&Table]) -> Result<BTreeMap<(Table, String), Found>> {
    let query = format!(
        "SELECT w.schema, w.name, a.attname::text, pg_catalog.format_type(t.oid, NULL), \
         pg_catalog.format_type(a.atttypid, a.atttypmod), \
         CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 1247 \
         AND d.objid = t.oid AND d.refclassid = 3079 AND d.deptype = 'e') THEN t.typname::text END \
         FROM (VALUES {}) AS w (schema, name) \
         JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema \
         JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         CROSS JOIN LATERAL (\
         WITH RECURSIVE made (oid, base) AS (\
         SELECT o.oid, o.typbasetype FROM pg_catalog.pg_type o WHERE o.oid = a.atttypid \
         UNION ALL \
         SELECT o.oid, o.typbasetype FROM made m JOIN pg_catalog.pg_type o ON o.oid = m.base) \
         SELECT m.oid FROM made m WHERE m.base = 0) b \
         JOIN pg_catalog.pg_type t ON t.oid = b.oid",
        values(tables)
    );
    let rows = wire
        .query(&query)
        .await
        .context_with(|| "read the types of columns")?;
    let mut found = BTreeMap::new();
    for row in rows {
        let Ok(
            [
                Some(schema),
                Some(name),
                Some(column),
                Some(sql),
                Some(declared),
                of_extension,
            ],
        ) = <[Option<String>; 6]>::try_from(row)
        else {
            return Err(Error::new(Kind::Failed, "a column without a type"));
        };
        let one = Found {
            sql,
            declared,
            of_extension,
        };
        found.insert(((schema, name), column), one);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_the_same_however_they_are_written() {
        let takes = |target: &str, sent: &str| {
            let found = Found {
                sql: target.to_owned(),
                declared: target.to_owned(),
                of_extension: None,
            };
            found.takes(sent)
        };
        for (target, sent) in [
            ("integer", "integer"),
            ("text", "character varying"),
            ("character", "\"name\""),
            ("text[]", "\"text\"[]"),
            ("timestamp with time zone", "timestamp with time zone"),
            ("public.mood", "\"public\".\"mood\""),
        ] {
            assert!(takes(target, sent), "{sent} into {target}");
        }
        for (target, sent) in [
            ("bigint", "integer"),
            ("timestamp with time zone", "timestamp without time zone"),
            ("text[]", "character varying[]"),
            ("integer[]", "integer"),
            ("other.mood", "public.mood"),
            ("\"char\"", "text"),
            ("other.text", "text"),
        ] {
            assert!(!takes(target, sent), "{sent} into {target}");
        }
    }

    #[test]
    fn an_extensions_type_may_lie_in_another_schema() {
        let found = Found {
            sql: "extensions.citext".to_owned(),
            declared: "extensions.citext".to_owned(),
            of_extension: Some("citext".to_owned()),
        };
        assert!(found.takes("public.citext") && found.takes("\"public\".\"citext\""));
        assert!(!found.takes("public.citext[]") && !found.takes("public.hstore"));
        assert!(found.holds("public.citext") && !found.holds("public.hstore"));
    }

    #[test]
    fn a_wider_type_holds_what_a_narrower_one_does() {
        let holds = |target: &str, declared: &str| {
            let found = Found {
                sql: String::new(),
                declared: target.to_owned(),
                of_extension: None,
            };
            found.holds(declared)
        };
        for (target, declared) in [
            ("numeric(10,2)", "numeric(10,2)"),
            ("numeric(12,3)", "numeric(10,2)"),
            ("numeric", "numeric(10,2)"),
            ("numeric", "bigint"),
            ("bigint", "smallint"),
            ("text", "\"text\""),
            ("text", "inet"),
            ("character varying(20)", "character varying(19)"),
            (
                "timestamp without time zone",
                "timestamp(3) without time zone",
            ),
            ("double precision", "real"),
        ] {
            assert!(holds(target, declared), "{declared} into {target}");
        }
        for (target, declared) in [
            ("numeric(10,2)", "numeric(10,4)"),
            ("numeric(10,3)", "numeric(10,2)"),
            ("numeric(10,2)", "numeric"),
            ("numeric(20,2)", "bigint"),
            ("smallint", "integer"),
            ("character varying(19)", "character varying(20)"),
            ("character(20)", "character(19)"),
            ("character varying(20)", "text"),
            ("timestamp without time zone", "timestamp with time zone"),
            ("timestamp(0) with time zone", "timestamp with time zone"),
            ("real", "double precision"),
            ("other.mood", "public.mood"),
            ("text[]", "integer[]"),
        ] {
            assert!(!holds(target, declared), "{declared} into {target}");
        }
    }

    #[test]
    fn many_columns_are_counted() {
        let columns = (0..12).map(|n| format!("s.t, column c{n}: a is to become b"));
        let error = refuse(columns.collect()).unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        assert!(error.message().contains("column c9:") && !error.message().contains("column c10:"));
        assert!(error.message().ends_with("and 2 others"));
        assert!(refuse(Vec::new()).is_ok());
    }
}
