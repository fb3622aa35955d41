//! Values of sequences. Their parameters come with the relations.
//!
//! A sequence is not transactional: what is read is its value of now, which is never behind what
//! the snapshot's rows took from it.

use super::context::{Fields, Parameter, Reader, vanished};
use super::relations::by_oid;
use crate::connect::Text;
use crate::error::{Error, Kind, Result};
use crate::model::{Components, Oid, Relation, RelationKind};
use crate::sql::{ServerVersion, is_plain};
use std::fmt::Write as _;

/// Sequences of one statement where each has to be read by itself (before 18).
const BATCH: usize = 200;

/// Values of the sequences `$1`, all at once (18+).
const VALUES: &str = "\
SELECT src.oid, d.last_value, d.is_called
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  CROSS JOIN LATERAL pg_catalog.pg_get_sequence_data(src.oid) AS d";

/// The same before 18, of sequences `$1` named `$2`. The driver's statements are UTF-8, and names in a database in
/// SQL_ASCII may have any bytes; what a parameter holds it does not look at.
const BY_NAME: &str = "\
SELECT src.oid,
       pg_catalog.substring(d.row, '<last_value>(.*)</last_value>')::int8,
       pg_catalog.substring(d.row, '<is_called>(.*)</is_called>')::bool
  FROM ROWS FROM (pg_catalog.unnest($1::oid[]), pg_catalog.unnest($2::text[])) AS src (oid, name)
  CROSS JOIN LATERAL (SELECT pg_catalog.query_to_xml(
       'SELECT last_value, is_called FROM ' || src.name, true, true, '')::text AS row) d";

/// Those of the sequences `$1` that may not be read: without the right they would have no value
/// (18+) or end the transaction.
const UNREADABLE: &str = "\
SELECT src.oid
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  JOIN pg_catalog.pg_class c ON c.oid = src.oid
 WHERE NOT pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')
    OR NOT pg_catalog.has_sequence_privilege(src.oid, 'SELECT')";

/// The queries of this file, by name.
pub(crate) fn queries(version: ServerVersion) -> Vec<(&'static str, String)> {
    let mut queries = vec![("unreadable sequences", UNREADABLE.to_owned())];
    if version.at_least(18) {
        queries.push(("sequence values", VALUES.to_owned()));
    } else {
        queries.push(("sequence values by name", BY_NAME.to_owned()));
    }
    queries
}

/// Fills the values of sequences whose data is wanted (not wanted of an unlogged one on a standby,
/// where it cannot be read).
///
/// # Errors
/// The server's; sequences that may not be read, by name.
pub(crate) async fn read(reader: &Reader<'_>, relations: &mut [Relation]) -> Result<()> {
    let mut wanted = Vec::new();
    for relation in relations.iter() {
        if relation.kind != RelationKind::Sequence || !relation.header.wanted.has(Components::DATA)
        {
            continue;
        }
        wanted.push(relation.header.address.oid);
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let index = by_oid(relations);
    let name = |relations: &[Relation], oid: Oid| {
        index
            .get(&oid)
            .map_or_else(|| oid.to_string(), |&at| relations[at].header.sql_name())
    };

    let mut denied = Vec::new();
    for row in reader
        .rows("sequence privileges", UNREADABLE, &[&wanted])
        .await?
    {
        denied.push(name(relations, Fields::of(&row).next()?));
    }
    if !denied.is_empty() {
        return Err(super::locks::denied("sequence", denied));
    }

    let rows = if reader.version.at_least(18) {
        reader.rows("sequence values", VALUES, &[&wanted]).await?
    } else {
        let mut rows = Vec::with_capacity(wanted.len());
        let is_said = |oid: &&Oid| is_plain(&name(relations, **oid));
        let (said, handed_over): (Vec<Oid>, Vec<Oid>) = wanted.iter().partition(is_said);
        for batch in said.chunks(BATCH) {
            let sql = one_by_one(relations, batch.iter().filter_map(|oid| index.get(oid)))?;
            rows.extend(reader.rows("sequence values", &sql, &[]).await?);
        }
        if !handed_over.is_empty() {
            let names: Vec<String> = handed_over.iter().map(|&o| name(relations, o)).collect();
            let names: Vec<Text<'_>> = names.iter().map(Text::from).collect();
            let params: [&dyn Parameter; 2] = [&handed_over, &names];
            rows.extend(reader.rows("sequence values", BY_NAME, &params).await?);
        }
        rows
    };
    for row in rows {
        let mut fields = Fields::of(&row);
        let Some(&at) = index.get(&fields.next()?) else {
            continue;
        };
        let last: Option<i64> = fields.next()?;
        let is_called: Option<bool> = fields.next()?;
        if let Some(sequence) = &mut relations[at].sequence {
            sequence.value = last.zip(is_called);
        }
    }
    for oid in wanted {
        let Some(&at) = index.get(&oid) else { continue };
        if relations[at]
            .sequence
            .as_ref()
            .is_none_or(|s| s.value.is_none())
        {
            // It may be read: so it is not there any more, or another one has its name.
            return Err(vanished(&format!("sequence {}", name(relations, oid))));
        }
    }
    Ok(())
}

/// A query that reads the sequences at these positions.
fn one_by_one<'a>(
    relations: &[Relation],
    positions: impl Iterator<Item = &'a usize>,
) -> Result<String> {
    let mut sql = String::new();
    for &at in positions {
        if !sql.is_empty() {
            sql.push_str(" UNION ALL ");
        }
        let header = &relations[at].header;
        write!(
            sql,
            "SELECT tableoid, last_value, is_called FROM {}",
            header.sql_name()
        )
        .map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
    }
    Ok(sql)
}
