//! COPY statements: how a table's rows are read, in which format, and how they are loaded.

use crate::archive::CopyFormat;
use crate::error::{Error, Kind, Result};
use crate::model::{Column, Relation, RelationKind};
use crate::sql::{ident, literal};

use super::CopyFormatChoice;

/// How one table's rows travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableCopy {
    pub format: CopyFormat,
    pub columns: Vec<String>,
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

impl TableCopy {
    /// Decides format and columns. `loaded_into` is the SQL name of the table that the rows are
    /// loaded into: the table itself, or the root of its partition tree. `encoding` is the
    /// database's.
    ///
    /// Text in a database that is not UTF-8 travels in its own encoding, named in the COPY, so
    /// that nothing is converted twice or refused. Binary COPY has no such option (it converts
    /// text by `client_encoding`), so it is for UTF-8 databases only.
    pub fn new(
        relation: &Relation,
        loaded_into: &str,
        choice: CopyFormatChoice,
        encoding: &str,
    ) -> Result<Self> {
        let columns: Vec<&Column> = relation
            .columns
            .iter()
            .filter(|column| column.generated.is_none())
            .collect();
        let unsafe_column = columns.iter().find(|column| !column.binary_safe);
        let utf8 = encoding == "UTF8";
        let format = match choice {
            CopyFormatChoice::Text => CopyFormat::Text,
            CopyFormatChoice::Auto if unsafe_column.is_some() || !utf8 || columns.is_empty() => {
                CopyFormat::Text
            }
            CopyFormatChoice::Auto => CopyFormat::Binary,
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
            copy_in: format!("COPY {loaded_into}{list} FROM STDIN{options}"),
            columns: names,
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

    /// Whether [`TableCopy::copy_out_range`] gives the same rows as the whole, range by range.
    pub fn can_be_cut(&self) -> bool {
        self.condition.is_none() && !self.columns.is_empty() && !self.is_foreign
    }
}
