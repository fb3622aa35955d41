//! CHECK constraints of tables.

use super::context::{Fields, Reader, vanished};
use super::relations::{by_oid, interesting};
use crate::error::{Result, one_line};
use crate::model::{Check, Components, Oid, Relation, RelationKind};
use crate::sql::ServerVersion;

/// CHECK constraints of the tables `$1`.
const CHECKS: &str = "\
SELECT c.conrelid, c.oid, c.conname::text, pg_catalog.pg_get_constraintdef(c.oid),
       c.conislocal, c.convalidated, d.description
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  JOIN pg_catalog.pg_constraint c ON c.conrelid = src.oid AND c.contype = 'c'
  LEFT JOIN pg_catalog.pg_description d
    ON d.classoid = 2606 AND d.objoid = c.oid AND d.objsubid = 0
 ORDER BY c.conrelid, c.conname";

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("checks", CHECKS.to_owned())]
}

/// The interesting tables, which may have CHECK constraints.
pub(crate) fn tables(relations: &[Relation]) -> Vec<Oid> {
    let interesting = interesting(relations);
    relations
        .iter()
        .filter(|relation| {
            matches!(
                relation.kind,
                RelationKind::Table | RelationKind::PartitionedTable | RelationKind::ForeignTable
            )
        })
        .map(|relation| relation.header.address.oid)
        .filter(|oid| interesting.contains(oid))
        .collect()
}

/// A CHECK constraint as the server tells it.
pub(crate) struct Found {
    table: Oid,
    oid: Oid,
    name: String,
    definition: Option<String>,
    local: bool,
    validated: bool,
    comment: Option<String>,
}

/// What the server says of the CHECK constraints of [`tables`].
///
/// # Errors
/// The server's.
pub(crate) async fn rows(reader: &Reader<'_>, tables: &[Oid]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    if !tables.is_empty() {
        let take = |fields: &mut Fields<'_>| {
            found.push(Found {
                table: fields.next()?,
                oid: fields.next()?,
                name: fields.next()?,
                definition: fields.next()?,
                local: fields.next()?,
                validated: fields.next()?,
                comment: fields.next()?,
            });
            Ok(())
        };
        reader
            .each("check constraints", CHECKS, &[&tables], take)
            .await?;
    }
    Ok(found)
}

/// Gives the tables their CHECK constraints.
///
/// # Errors
/// A constraint that was dropped since the snapshot.
pub(crate) fn fill(relations: &mut [Relation], all: Vec<Found>) -> Result<()> {
    let index = by_oid(relations);
    for found in all {
        let Some(&at) = index.get(&found.table) else {
            continue;
        };
        let table = &mut relations[at];
        let definition = found.definition.ok_or_else(|| {
            vanished(&format!(
                "constraint {} of {}",
                crate::sql::ident(&found.name),
                table.header.sql_name()
            ))
        })?;
        // Most tables have one, if any.
        table.checks.reserve_exact(1);
        table.checks.push(Check {
            oid: found.oid,
            name: found.name,
            definition,
            local: found.local,
            validated: found.validated,
            comment: found.comment,
        });
    }
    Ok(())
}

/// Takes constraints that a table has from its parents, none of which has it, for the table's own.
/// ALTER TABLE ONLY … DROP COLUMN leaves such: the parent's goes with the column, the children's stay.
pub(crate) fn adopt_orphans(reader: &Reader<'_>, relations: &mut [Relation]) {
    let index = by_oid(relations);
    let has = |parent: Oid, name: &str| {
        let parent = index.get(&parent).map(|&at| &relations[at]);
        parent.is_none_or(|parent| parent.checks.iter().any(|check| check.name == name))
    };
    let mut orphans = Vec::new();
    for (at, table) in relations.iter().enumerate() {
        if table.partition_bound.is_some() {
            continue;
        }
        for (number, check) in table.checks.iter().enumerate() {
            let mut parents = table.parents.iter();
            if !check.local && !parents.any(|parent| has(parent.oid, &check.name)) {
                orphans.push((at, number));
            }
        }
    }
    for (at, number) in orphans {
        let table = &mut relations[at];
        let check = &mut table.checks[number];
        check.local = true;
        if table.header.wanted.has(Components::DEFINITION) {
            reader.observer.warning(format!(
                "constraint {} of {} is inherited, but no parent has it: it is dumped as the table's own",
                one_line(&crate::sql::ident(&check.name)),
                one_line(&table.header.sql_name())
            ));
        }
    }
}
