//! COPY statements: how a table's rows are read, in which format, and how they are loaded.

use std::collections::HashMap;

use crate::archive::{CopyFormat, DataSpec, Entry};
use crate::error::{Error, Kind, Result};
use crate::model::{Column, Relation, RelationKind};
use crate::sql::{Quoting, ident, literal, qualified};

use super::CopyFormatChoice;
use super::format::{Rows, binary_pays};

/// How one table's rows travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableCopy {
    pub format: CopyFormat,
    pub columns: Vec<String>,
    /// What the columns are sent as; nothing for text.
    pub types: Vec<String>,
    pub declared: Vec<String>,
    pub copy_in: String,
    source: String,
    column_list: String,
    condition: Option<String>,
    /// Its rows are somewhere else, so that only a query reads them.
    pub is_foreign: bool,
    options: String,
}

/// A range of heap pages: from the first to before the second, or to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageRange {
    pub from: u64,
    pub to: Option<u64>,
}

/// What the columns are declared as, where that is not what they are sent as; nothing where all are.
fn declared(columns: &[&Column], sent: &[String]) -> Vec<String> {
    let is_sent = |at: usize, sql: &str| sent.get(at).is_some_and(|sent| sent == sql);
    let all = columns.iter().map(|column| column.type_sql.as_str());
    let declared: Vec<String> = all
        .enumerate()
        .map(|(at, sql)| match is_sent(at, sql) {
            true => String::new(),
            false => sql.to_owned(),
        })
        .collect();
    match declared.iter().all(String::is_empty) {
        true => Vec::new(),
        false => declared,
    }
}

impl TableCopy {
    /// Decides format and columns. `root` is the root of the partition tree that the rows are loaded into, where it
    /// is not the table itself. `encoding` is the database's.
    ///
    /// All partitions below a root are read alike, with its columns in its order: their rows are compared as
    /// one, since other ones may come into each.
    ///
    /// Text in a database that is not UTF-8 travels in its own encoding, named in the COPY, so
    /// that nothing is converted twice or refused. Binary COPY has no such option (it converts
    /// text by `client_encoding`), so it is for UTF-8 databases only.
    pub fn new(
        relation: &Relation,
        root: Option<&Relation>,
        choice: CopyFormatChoice,
        encoding: &str,
    ) -> Result<Self> {
        let loaded_into = root.unwrap_or(relation);
        let mut columns: Vec<&Column> = relation
            .columns
            .iter()
            .filter(|column| column.generated.is_none())
            .collect();
        if let Some(root) = root {
            let names = root.columns.iter().map(|column| column.name.as_str());
            let at: HashMap<&str, usize> = names.zip(0..).collect();
            columns.sort_by_key(|column| at.get(column.name.as_str()));
        }
        let unsafe_column = columns.iter().find(|column| column.sent_as.is_none());
        let utf8 = encoding == "UTF8";
        let rows = match choice {
            CopyFormatChoice::Direct => Rows::Copied,
            _ => Rows::Kept,
        };
        let format = match choice {
            CopyFormatChoice::Text => CopyFormat::Text,
            CopyFormatChoice::Auto | CopyFormatChoice::Direct
                if unsafe_column.is_none() && utf8 && binary_pays(loaded_into, &columns, rows) =>
            {
                CopyFormat::Binary
            }
            CopyFormatChoice::Auto | CopyFormatChoice::Direct => CopyFormat::Text,
            CopyFormatChoice::Binary => {
                if let Some(column) = unsafe_column {
                    return Err(Error::new(
                        Kind::Usage,
                        format!(
                            "binary COPY cannot carry column {} of type {} to another server",
                            column.name, column.type_sql
                        ),
                    )
                    .context(format!("table {}", relation.header.sql_name()))
                    .with_hint("use --copy-format=auto"));
                }
                if !utf8 {
                    return Err(Error::new(
                        Kind::Usage,
                        format!("binary COPY needs a UTF8 database, this one is {encoding}"),
                    )
                    .with_hint("use --copy-format=auto"));
                }
                CopyFormat::Binary
            }
        };
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let types = match format {
            CopyFormat::Binary => columns
                .iter()
                .filter_map(|column| column.sent_as.as_deref().map(str::to_owned))
                .collect(),
            CopyFormat::Text => Vec::new(),
        };
        let declared = declared(&columns, &types);
        let column_list = names
            .iter()
            .map(|name| ident(name))
            .collect::<Vec<_>>()
            .join(", ");
        let options = match format {
            CopyFormat::Binary => " WITH (FORMAT binary)".to_owned(),
            CopyFormat::Text if utf8 => String::new(),
            CopyFormat::Text => format!(" WITH (ENCODING {})", literal(encoding)),
        };
        let list = if names.is_empty() {
            String::new()
        } else {
            format!(" ({column_list})")
        };
        Ok(Self {
            format,
            copy_in: format!(
                "COPY {}{list} FROM STDIN{options}",
                loaded_into.header.sql_name()
            ),
            columns: names,
            types,
            declared,
            source: relation.header.sql_name(),
            column_list,
            condition: relation
                .configuration_condition
                .clone()
                .filter(|condition| !condition.trim().is_empty()),
            is_foreign: relation.kind == RelationKind::ForeignTable,
            options,
        })
    }

    /// The statement that reads the whole table.
    pub fn copy_out(&self) -> String {
        match &self.condition {
            None if self.is_foreign => format!(
                "COPY (SELECT {} FROM ONLY {}) TO STDOUT{}",
                self.column_list, self.source, self.options
            ),
            None => {
                let list = if self.columns.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", self.column_list)
                };
                // Plain COPY of a table reads the table alone, not its children.
                format!("COPY {}{list} TO STDOUT{}", self.source, self.options)
            }
            // An extension's condition is SQL by contract and starts with WHERE.
            Some(condition) => format!(
                "COPY (SELECT {} FROM ONLY {} {condition}) TO STDOUT{}",
                self.column_list, self.source, self.options
            ),
        }
    }

    /// The statement that reads a range of its pages.
    pub fn copy_out_range(&self, range: PageRange) -> String {
        let mut condition = format!("ctid >= '({},0)'::pg_catalog.tid", range.from);
        if let Some(to) = range.to {
            condition.push_str(&format!(" AND ctid < '({to},0)'::pg_catalog.tid"));
        }
        format!(
            "COPY (SELECT {} FROM ONLY {} WHERE {condition}) TO STDOUT{}",
            self.column_list, self.source, self.options
        )
    }

    /// How the rows of an archive's entry are read again. An archive may come from anybody, and COPY can also write
    /// files and run programs: nothing is taken but what [`TableCopy::copy_out`] writes for the table and
    /// columns of `entry`.
    ///
    /// # Errors
    /// [`Kind::Archive`] when its statement is another one.
    pub fn of_entry(entry: &Entry) -> Result<Self> {
        let Some(DataSpec::Table {
            format,
            columns,
            types,
            declared,
            copy_out,
            copy_in,
        }) = &entry.data
        else {
            return Err(Error::new(Kind::Archive, "it has no rows"));
        };
        let name = entry.relation.as_ref().unwrap_or(&entry.name);
        let as_quoted = |quoting: Quoting| {
            let (source, column_list) = quoting.scope(|| {
                let table = match &entry.schema {
                    Some(schema) => qualified(schema, name),
                    None => ident(name),
                };
                let columns: Vec<String> = columns.iter().map(|column| ident(column)).collect();
                (table, columns.join(", "))
            });
            let (statement, options) = apart_from_options(copy_out)?;
            let rest = statement
                .strip_prefix("COPY ")?
                .strip_suffix(" TO STDOUT")?;
            let is_whole = rest == format!("{source} ({column_list})")
                || (columns.is_empty() && rest == source);
            let (condition, is_foreign) = if is_whole {
                (None, false)
            } else {
                let query = rest
                    .strip_prefix(&format!("(SELECT {column_list} FROM ONLY {source}"))?
                    .strip_suffix(')')?;
                match query.strip_prefix(' ') {
                    Some(condition) => (Some(condition.to_owned()), false),
                    None => (query.is_empty().then_some(None)?, true),
                }
            };
            Some(Self {
                format: *format,
                columns: columns.clone(),
                types: types.clone(),
                declared: declared.clone(),
                copy_in: copy_in.clone(),
                source,
                column_list,
                condition,
                is_foreign,
                options: options.to_owned(),
            })
        };
        as_quoted(Quoting::WhereNeeded)
            .or_else(|| as_quoted(Quoting::Always))
            .ok_or_else(|| {
                let why = "its statement for reading rows is not of pgstow's making";
                Error::new(Kind::Archive, why).with_statement(copy_out)
            })
    }

    /// The table's quoted name.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What an extension says of which rows are read: any SQL.
    pub fn condition(&self) -> Option<&str> {
        self.condition.as_deref()
    }

    /// Whether [`TableCopy::copy_out_range`] gives the same rows as the whole, range by range.
    pub fn can_be_cut(&self) -> bool {
        self.condition.is_none() && !self.columns.is_empty() && !self.is_foreign
    }
}

/// A statement, and the options behind it that [`TableCopy::new`] gives one.
fn apart_from_options(statement: &str) -> Option<(&str, &str)> {
    let Some(at) = statement.rfind(" WITH (") else {
        return Some((statement, ""));
    };
    let (rest, options) = statement.split_at(at);
    if options == " WITH (FORMAT binary)" {
        return Some((rest, options));
    }
    let Some(encoding) = options.strip_prefix(" WITH (ENCODING '") else {
        // Part of a name, perhaps.
        return Some((statement, ""));
    };
    let encoding = encoding.strip_suffix("')")?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    encoding.chars().all(is_name).then_some((rest, options))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{Pass, Section};

    fn of_entry(schema: &str, name: &str, columns: &[&str], copy_out: &str) -> Result<TableCopy> {
        let data = serde_json::json!({
            "type": "table", "format": "text", "columns": columns, "copy_out": copy_out, "copy_in": "",
        });
        let entry = serde_json::json!({
            "id": 1, "kind": "TABLE DATA", "schema": schema, "name": name,
            "section": Section::Data, "pass": Pass::Main, "data": data,
        });
        TableCopy::of_entry(&serde_json::from_value(entry).unwrap())
    }

    #[test]
    fn only_statements_of_our_own_read_a_table() {
        let own = |statement: &str| of_entry("s", "My \"t\"", &["a", "select"], statement);
        let table = "s.\"My \"\"t\"\"\"";
        for good in [
            format!("COPY {table} (a, \"select\") TO STDOUT"),
            format!("COPY {table} (a, \"select\") TO STDOUT WITH (FORMAT binary)"),
            format!("COPY {table} (a, \"select\") TO STDOUT WITH (ENCODING 'LATIN1')"),
            "COPY \"s\".\"My \"\"t\"\"\" (\"a\", \"select\") TO STDOUT".to_owned(),
        ] {
            let copy = own(&good).unwrap();
            assert_eq!(copy.copy_out(), good);
            assert!(copy.can_be_cut());
        }
        for (query, condition) in [("", None), (" WHERE a > 1", Some("WHERE a > 1"))] {
            let good = format!("COPY (SELECT a, \"select\" FROM ONLY {table}{query}) TO STDOUT");
            let copy = own(&good).unwrap();
            assert_eq!(copy.copy_out(), good);
            assert_eq!(copy.condition(), condition);
            assert!(!copy.can_be_cut());
        }
        for bad in [
            format!("COPY {table} (a, \"select\") TO PROGRAM 'true' WITH (DELIMITER ' TO STDOUT')"),
            format!("COPY {table} (a, \"select\") TO '/tmp/x'"),
            format!("COPY {table} (a) TO STDOUT"),
            "COPY s.other (a, \"select\") TO STDOUT".to_owned(),
            format!("COPY {table} (a, \"select\") TO STDOUT WITH (ENCODING 'X', FORMAT csv)"),
            format!("COPY {table} (a, \"select\") TO STDOUT WITH (ENCODING 'X') WITH (FORMAT csv)"),
            "SELECT 1".to_owned(),
        ] {
            assert_eq!(own(&bad).unwrap_err().kind(), Kind::Archive, "{bad}");
        }
        let nothing = "COPY s.\"none\" TO STDOUT";
        let copy = of_entry("s", "none", &[], nothing).unwrap();
        assert_eq!(copy.copy_out(), nothing);
    }
}
