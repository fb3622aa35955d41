//! What every reader of a family of objects needs.

use super::roles::Roles;
use super::row::{Field, Row};
use crate::connect::Text;
use crate::error::{Error, Kind, Result};
use crate::model::Oid;
use crate::report::Observer;
use crate::select::LeaveOut;
use crate::sql::{Quoting, ServerVersion};
use futures::TryStreamExt;
use std::pin::pin;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

/// The dump's session inside its snapshot, and what was learnt about the server.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    /// A session whose transaction holds the snapshot, with an empty `search_path`.
    pub client: &'a Client,
    /// The server's version.
    pub version: ServerVersion,
    /// Names of roles.
    pub roles: &'a Roles,
    /// Who is told about things left out.
    pub observer: &'a dyn Observer,
    /// Whether the server is a standby.
    pub in_recovery: bool,
    /// Classes of things that need not be read.
    pub leave_out: LeaveOut,
    /// How identifiers are written in text that the model holds.
    pub quoting: Quoting,
}

/// A value for a query. Its type goes to the server with the question, which has its answer on one way there and
/// back then: asking for types, executing and forgetting a statement are three.
pub(crate) trait Parameter: ToSql + Sync {
    /// The type that the query gives it.
    fn sql_type(&self) -> Type;
}

impl Parameter for Vec<Oid> {
    fn sql_type(&self) -> Type {
        Type::OID_ARRAY
    }
}

impl Parameter for &[Oid] {
    fn sql_type(&self) -> Type {
        Type::OID_ARRAY
    }
}

impl Parameter for Vec<Text<'_>> {
    fn sql_type(&self) -> Type {
        Type::TEXT_ARRAY
    }
}

impl Parameter for bool {
    fn sql_type(&self) -> Type {
        Type::BOOL
    }
}

impl Reader<'_> {
    /// Runs one catalog query; `what` names the family for the error message.
    ///
    /// # Errors
    /// The server's, with `read {what}` in front. What only concurrent DDL can cause says so.
    pub async fn rows(&self, what: &str, sql: &str, params: &[&dyn Parameter]) -> Result<Vec<Row>> {
        self.client
            .query_typed(sql, &typed(params))
            .await
            .map(|rows| rows.into_iter().map(Row::from).collect())
            .map_err(|error| explain(error.into()).context(format_args!("read {what}")))
    }

    /// Runs one catalog query and hands over its rows one by one, as they come: for long lists, which
    /// are not held in memory twice, and are read while the server still finds the rest.
    ///
    /// # Errors
    /// As [`rows`](Self::rows); and those of `take`, at which it stops.
    pub async fn each(
        &self,
        what: &str,
        sql: &str,
        params: &[&dyn Parameter],
        mut take: impl FnMut(&mut Fields<'_>) -> Result<()>,
    ) -> Result<()> {
        let failed = |error: tokio_postgres::Error| {
            explain(error.into()).context(format_args!("read {what}"))
        };
        let rows = self.client.query_typed_raw(sql, typed(params)).await;
        let mut rows = pin!(rows.map_err(failed)?);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            take(&mut Fields::of(&row.into()))?;
        }
        Ok(())
    }

    /// The name of a role, for owners: one that is missing is an error.
    ///
    /// # Errors
    /// When no role has this OID.
    pub fn owner(&self, oid: u32, object: &str) -> Result<String> {
        self.roles.name(oid).map(str::to_owned).ok_or_else(|| {
            Error::new(
                Kind::Failed,
                format!("{object}: its owner, the role with OID {oid}, does not exist"),
            )
            .with_hint("give the object to an existing role with ALTER … OWNER TO")
        })
    }
}

/// The values of a query with their types.
pub(crate) fn typed<'a>(params: &[&'a dyn Parameter]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    let typed = |&param: &&'a dyn Parameter| -> (&'a (dyn ToSql + Sync), Type) {
        (param, param.sql_type())
    };
    params.iter().map(typed).collect()
}

/// The fields of one row in the order of the query's list.
pub(crate) struct Fields<'r> {
    row: &'r Row,
    at: usize,
}

impl<'r> Fields<'r> {
    /// Begins at the first one.
    pub fn of(row: &'r Row) -> Self {
        Self { row, at: 0 }
    }

    /// The next field.
    ///
    /// # Errors
    /// When the server gave NULL or a type that was not asked for.
    pub fn next<T: Field<'r>>(&mut self) -> Result<T> {
        let value = self.row.try_get(self.at)?;
        self.at += 1;
        Ok(value)
    }

    /// The last field, whatever was taken before it.
    ///
    /// # Errors
    /// Those of [`next`](Self::next).
    pub fn last<T: Field<'r>>(&mut self) -> Result<T> {
        self.at = self.row.len().saturating_sub(1);
        self.next()
    }

    /// The next field, which is the answer of a deparsing function. Those answer NULL for an
    /// object that has been dropped since the snapshot was taken.
    ///
    /// # Errors
    /// When it is NULL, naming `object()`.
    pub fn deparsed(&mut self, object: impl FnOnce() -> String) -> Result<String> {
        self.next::<Option<String>>()?
            .ok_or_else(|| vanished(&object()))
    }
}

/// The error for an object that the snapshot has and the server no longer knows.
pub(crate) fn vanished(object: &str) -> Error {
    changed(Error::new(
        Kind::Failed,
        format!("{object} has been dropped"),
    ))
}

/// Splits `name=value` elements of `reloptions` and the like.
pub(crate) fn options(stored: Option<Vec<String>>) -> Vec<(String, String)> {
    let split = |option: String| match option.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (option, String::new()),
    };
    stored.unwrap_or_default().into_iter().map(split).collect()
}

/// The server's deparsing functions look at the catalogs of now, not of the snapshot: when an
/// object was dropped or changed meanwhile they fail in ways that puzzle.
fn explain(error: Error) -> Error {
    let concurrent = error.sqlstate().is_some_and(|state| {
        *state == SqlState::INTERNAL_ERROR
            || *state == SqlState::UNDEFINED_TABLE
            || *state == SqlState::UNDEFINED_OBJECT
    });
    if concurrent { changed(error) } else { error }
}

/// An error that only concurrent DDL can cause.
pub(crate) fn changed(error: Error) -> Error {
    error
        .with_kind(Kind::Stale)
        .context("the schema changed while it was being read")
        .with_hint("run the dump again when no other session creates, alters or drops objects")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrent_changes_are_told_apart() {
        let server = |state| Error::new(Kind::Server, "x").with_sqlstate(state);
        let changed = explain(server(SqlState::INTERNAL_ERROR));
        assert!(changed.message().contains("changed while"), "{changed}");
        assert!(changed.hint().is_some());
        let denied = explain(server(SqlState::INSUFFICIENT_PRIVILEGE));
        assert_eq!(denied.message(), "x");
    }
}
