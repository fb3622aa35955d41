//! What the server writes rows by and nobody can lock: labels of enums, attributes of composite types, the
//! schemas by whose names tables are read.
//!
//! Rows are those of the snapshot, but the functions that write them look at the catalogs of now. A label that is renamed
//! while rows are read stands in some of them under a name that the definition does not have; an attribute that is
//! added or dropped shifts values; a schema that gives its name to another one gives it that one's tables. So these
//! are compared at the end, with what the snapshot has of them.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::row::Row;
use crate::connect::Text;
use crate::error::{Context, Error, Kind, Result, first_of, one_line};
use crate::model::{Oid, Relation};
use crate::sql::ServerVersion;

/// OIDs below this one are of types that no user has made.
const FIRST_OF_USERS: Oid = 16_384;

/// Most objects that are named.
const TOLD: usize = 10;

/// By what the rows of some tables are written and found.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowForm {
    types: BTreeSet<Oid>,
    schemas: BTreeSet<String>,
}

impl RowForm {
    /// Adds a table whose rows are to be read.
    pub(crate) fn add(&mut self, relation: &Relation) {
        let types = relation.columns.iter().map(|column| column.type_oid);
        self.types
            .extend(types.filter(|&oid| oid >= FIRST_OF_USERS));
        if let Some(schema) = &relation.header.schema
            && !self.schemas.contains(schema)
        {
            self.schemas.insert(schema.clone());
        }
    }

    /// Ends the transaction of the snapshot, when all rows have been read, and looks whether they could all be written alike.
    ///
    /// New labels do not matter: no row of the snapshot has them. Nor do names of attributes, which are in no row.
    ///
    /// # Errors
    /// [`Kind::Stale`] names what was changed. What the server says, also when the transaction is no more.
    pub(crate) async fn commit(&self, client: &Client, version: ServerVersion) -> Result<()> {
        let lost = || "the session that held the snapshot and the locks was lost";
        let then = self.ask(client, version).await.context_with(lost)?;
        if then.is_empty() {
            return client.batch_execute("COMMIT").await.context_with(lost);
        }
        client.batch_execute(AFTERWARDS).await.context_with(lost)?;
        let what = || "look whether types stood still while rows were read";
        let now = self.ask(client, version).await.context_with(what)?;
        client.batch_execute("COMMIT").await.context_with(what)?;
        refuse(changed(&then, &now))
    }

    async fn ask(&self, client: &Client, version: ServerVersion) -> Result<Parts> {
        let mut parts = Parts::new();
        if self.schemas.is_empty() {
            return Ok(parts);
        }
        let schemas: Vec<Text<'_>> = self.schemas.iter().map(Text::from).collect();
        let mut rows = client
            .query_typed(SCHEMAS, &[(&schemas, Type::TEXT_ARRAY)])
            .await?;
        if !self.types.is_empty() {
            let types: Vec<Oid> = self.types.iter().copied().collect();
            let sql = types_and_parts(version);
            rows.extend(
                client
                    .query_typed(&sql, &[(&types, Type::OID_ARRAY)])
                    .await?,
            );
        }
        for row in rows.into_iter().map(Row::from) {
            let object: String = row.try_get(0)?;
            let part = (row.try_get(1)?, row.try_get(2)?);
            let of = parts.entry(one_line(&object)).or_default();
            of.insert(part, row.try_get(3)?);
        }
        Ok(parts)
    }
}

/// By object, as a person reads it: its parts and what they are.
type Parts = BTreeMap<String, BTreeMap<(Oid, i32), String>>;

/// The settings of the snapshot's transaction end with it: neither what names mean nor how long a question may
/// take must hang on the role's own.
const AFTERWARDS: &str = "COMMIT; BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY; \
     SET LOCAL search_path = ''; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0";

const SCHEMAS: &str = "\
SELECT 'schema ' || n.nspname, n.oid, 0, ''
  FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY ($1::text[])";

/// The types `$1` and all that they are made of: labels, and attributes with those that were dropped. A label's
/// row is as old as its name; one that is called as before again may have been called otherwise in between.
fn types_and_parts(version: ServerVersion) -> String {
    let multirange = if version.at_least(14) {
        " OR r.rngmultitypid = t.oid"
    } else {
        ""
    };
    format!(
        "WITH RECURSIVE used (oid) AS (\
         SELECT src.oid FROM pg_catalog.unnest($1::oid[]) AS src(oid) \
         UNION \
         SELECT part.oid FROM used \
         JOIN pg_catalog.pg_type t ON t.oid = used.oid \
         LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid{multirange} \
         CROSS JOIN LATERAL (VALUES (t.typelem), (t.typbasetype), (r.rngsubtype) \
         UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a \
         WHERE a.attrelid = t.typrelid AND a.attnum > 0) AS part(oid) \
         WHERE part.oid >= {FIRST_OF_USERS}) \
         SELECT 'type ' || n.nspname || '.' || t.typname, e.oid, 0, \
         pg_catalog.concat_ws(' ', e.enumlabel, e.xmin) \
         FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.oid \
         JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
         JOIN pg_catalog.pg_enum e ON e.enumtypid = u.oid \
         UNION ALL \
         SELECT 'type ' || n.nspname || '.' || t.typname, u.oid, a.attnum::int4, \
         pg_catalog.concat_ws(' ', a.atttypid, a.atttypmod, a.attisdropped) \
         FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.oid \
         JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0"
    )
}

/// The objects of which something is another thing now, or has come where nothing may come.
fn changed(then: &Parts, now: &Parts) -> Vec<String> {
    let nothing = BTreeMap::new();
    let is_other = |(object, parts): &(&String, &BTreeMap<(Oid, i32), String>)| {
        let now = now.get(*object).unwrap_or(&nothing);
        let has_come = |part: &&(Oid, i32)| part.1 != 0 && !parts.contains_key(part);
        parts.iter().any(|(part, what)| now.get(part) != Some(what))
            || now.keys().any(|part| has_come(&part))
    };
    then.iter()
        .filter(is_other)
        .map(|(object, _)| object.clone())
        .collect()
}

fn refuse(changed: Vec<String>) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Stale,
        format!(
            "changed while rows were read, which are not all written alike: {}",
            first_of(changed, TOLD).join(", ")
        ),
    )
    .with_hint("run it again when no other session alters types or renames schemas"))
}

/// The queries of this file, by name.
pub(crate) fn queries(version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("schemas of rows", SCHEMAS.to_owned()),
        ("types of rows", types_and_parts(version)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(object: &str, parts: &[(Oid, i32, &str)]) -> Parts {
        let parts = parts
            .iter()
            .map(|&(oid, number, what)| ((oid, number), what.to_owned()));
        Parts::from([(object.to_owned(), parts.collect())])
    }

    #[test]
    fn what_matters_to_rows() {
        let mood = parts("type mood", &[(1, 0, "sad 7"), (2, 0, "ok 7")]);
        let more = parts(
            "type mood",
            &[(1, 0, "sad 7"), (2, 0, "ok 7"), (3, 0, "glad 9")],
        );
        assert!(changed(&mood, &mood).is_empty() && changed(&mood, &more).is_empty());
        for other in [
            parts("type mood", &[(1, 0, "ok 9"), (2, 0, "sad 9")]),
            parts("type other", &[(1, 0, "sad 7"), (2, 0, "ok 7")]),
        ] {
            assert_eq!(changed(&mood, &other), ["type mood"]);
        }
        let pair = parts("type pair", &[(5, 1, "23 -1 f"), (5, 2, "25 -1 f")]);
        for other in [
            parts(
                "type pair",
                &[(5, 1, "23 -1 f"), (5, 2, "0 -1 t"), (5, 3, "25 -1 f")],
            ),
            parts(
                "type pair",
                &[(5, 1, "23 -1 f"), (5, 2, "25 -1 f"), (5, 3, "25 -1 f")],
            ),
        ] {
            assert_eq!(changed(&pair, &other), ["type pair"]);
        }
        let error = refuse((0..12).map(|n| format!("type t{n}")).collect()).unwrap_err();
        assert!(
            error.message().ends_with("type t9, and 2 others"),
            "{error}"
        );
    }
}
