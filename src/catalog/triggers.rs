//! Triggers, and enable states and comments that a partition's copy of a trigger has of its own.

use super::context::{Fields, Reader};
use super::parts;
use super::relations::by_oid;
use crate::error::Result;
use crate::model::{Class, Oid, Relation, RelationKind, Trigger};
use crate::sql::ServerVersion;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Triggers of the relations `$1`.
///
/// Copies on partitions are marked internal up to 14 and not from 15 on; both have a parent. They
/// are of interest where their state differs from the parent's, and where they have a comment. Triggers
/// that the server made for a constraint are listed only when disabled, to be able to say so. Always the exact form of the
/// definition: the pretty one leaves out parentheses of WHEN. The ancestors of a copy come nearest
/// first, since those between it and the trigger itself are often as usual and not listed.
const TRIGGERS: &str = "\
SELECT t.tgrelid, t.oid, t.tgname::text,
       ARRAY(WITH RECURSIVE up AS (
           SELECT t.tgparentid AS oid, 1 AS distance WHERE t.tgparentid <> 0
           UNION ALL
           SELECT a.tgparentid, up.distance + 1 FROM up
             JOIN pg_catalog.pg_trigger a ON a.oid = up.oid WHERE a.tgparentid <> 0)
           SELECT up.oid FROM up ORDER BY up.distance),
       t.tgisinternal AND COALESCE(co.contype, '?') NOT IN ('t', '?') AS systems,
       CASE WHEN NOT t.tgisinternal AND t.tgparentid = 0
            THEN pg_catalog.pg_get_triggerdef(t.oid, false) END,
       t.tgenabled::text
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  JOIN pg_catalog.pg_trigger t ON t.tgrelid = src.oid
   -- Most are foreign keys' own, as they were made: not worth a look at their constraints.
   AND NOT (t.tgisinternal AND t.tgenabled = 'O' AND t.tgparentid = 0)
  LEFT JOIN pg_catalog.pg_trigger p ON p.oid = t.tgparentid
  LEFT JOIN pg_catalog.pg_constraint co ON co.oid = t.tgconstraint
 WHERE CASE WHEN t.tgisinternal AND COALESCE(co.contype, '?') NOT IN ('t', '?')
                 THEN t.tgenabled <> 'O'
            WHEN t.tgparentid <> 0 THEN t.tgenabled <> p.tgenabled
                 OR EXISTS (SELECT FROM pg_catalog.pg_description d
                    WHERE d.classoid = 'pg_catalog.pg_trigger'::regclass AND d.objoid = t.oid)
            ELSE NOT t.tgisinternal END
 ORDER BY t.tgrelid, t.tgname";

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("triggers", TRIGGERS.to_owned())]
}

/// The triggers of relations whose definition is wanted.
///
/// # Errors
/// The server's; a trigger that was dropped since the snapshot.
pub(crate) async fn read(reader: &Reader<'_>, relations: &[Relation]) -> Result<Vec<Trigger>> {
    let tables = parts::defined(relations, |kind| {
        matches!(
            kind,
            RelationKind::Table
                | RelationKind::PartitionedTable
                | RelationKind::View
                | RelationKind::ForeignTable
        )
    });
    let mut triggers = Vec::new();
    if tables.is_empty() {
        return Ok(triggers);
    }
    let index = by_oid(relations);
    let mut of_copies = Vec::new();
    let mut without_checks = BTreeSet::new();
    for row in reader.rows("triggers", TRIGGERS, &[&tables]).await? {
        let mut fields = Fields::of(&row);
        let Some(&at) = index.get(&fields.next()?) else {
            continue;
        };
        let table = &relations[at];
        let oid = fields.next()?;
        let header = parts::header(table, Class::Trigger, oid, fields.next()?);
        let ancestors: Vec<Oid> = fields.next()?;
        if fields.next()? {
            without_checks.insert(table.header.sql_name());
            continue;
        }
        let definition = if ancestors.is_empty() {
            Some(fields.deparsed(|| {
                format!(
                    "trigger {} of {}",
                    crate::sql::ident(&header.name),
                    table.header.sql_name()
                )
            })?)
        } else {
            fields.next::<Option<Cow<'_, str>>>()?;
            None
        };
        triggers.push(Trigger {
            header,
            table: table.header.address.oid,
            definition,
            parent: ancestors.first().copied(),
            enabled: parts::enabled(&mut fields)?,
        });
        of_copies.push(ancestors);
    }
    let listed: BTreeSet<Oid> = triggers.iter().map(|t| t.header.address.oid).collect();
    for (trigger, ancestors) in triggers.iter_mut().zip(of_copies) {
        trigger.parent = ancestors.into_iter().find(|oid| listed.contains(oid));
    }
    for table in without_checks {
        reader.observer.warning_with_hint(
            format!(
                "constraint triggers of the system on {table} are disabled or not as usual; \
                 in the archive they are enabled"
            ),
            "ALTER TABLE … ENABLE TRIGGER ALL ends that state on the source",
        );
    }
    Ok(triggers)
}
