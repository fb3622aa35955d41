//! What statements with `CASCADE` would take along that is no part of the restore.
//!
//! A base type and its functions need each other, so only `CASCADE` drops them; it asks nobody
//! about a column of that type in a table that the archive does not know.

use super::present::{self, Identity};
use super::shared::Shared;
use crate::archive::Entry;
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result, first_of};

/// Most names that are told one by one.
const TOLD: usize = 20;

/// Refuses, before anything is dropped, to drop what the restore does not make again.
///
/// # Errors
/// [`Kind::Refused`] names what would go.
pub(super) async fn refuse_strangers(wire: &mut Wire, shared: &Shared) -> Result<()> {
    let entries = || shared.dropped();
    if !entries().any(cascades) {
        return Ok(());
    }
    let planned = present::identify(wire, entries()).await?;
    let roots: Vec<Identity> = entries()
        .filter(|entry| cascades(entry))
        .filter_map(|entry| planned.get(&entry.id).copied())
        .collect();
    if roots.is_empty() {
        return Ok(());
    }
    let planned: Vec<Identity> = planned.into_values().collect();
    // Transforms have no lookup of their own.
    let transforms = entries().any(|entry| entry.kind == "TRANSFORM");
    let rows = wire
        .query(&strangers(&roots, &planned, transforms))
        .await
        .context_with(|| "ask what would be dropped along")?;
    let names: Vec<String> = rows.into_iter().flatten().flatten().collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Kind::Refused,
        format!(
            "--clean would take along what is not made again: {}",
            first_of(names, TOLD).join(", ")
        ),
    )
    .with_hint(
        "drop it yourself if it may go, or leave the type, function or index that it needs out with \
         an edited --use-list",
    ))
}

fn cascades(entry: &Entry) -> bool {
    let mut statements = entry.drop.iter();
    statements.any(|statement| statement.ends_with(" CASCADE"))
}

/// Walks from the roots to all that `CASCADE` would reach. What is planned may go, with all that
/// goes with it even without `CASCADE`, and so may the functions of a type that is a root. The walk
/// ends at what may not: one name says enough of what hangs on it in its turn. The shell of an
/// operator is no loss: nothing can use it, no archive has it, and the server makes it again for the
/// operator that names it as a partner.
fn strangers(roots: &[Identity], planned: &[Identity], transforms: bool) -> String {
    let transforms = match transforms {
        true => "AND h.class <> 'pg_catalog.pg_transform'::pg_catalog.regclass",
        false => "",
    };
    format!(
        "WITH RECURSIVE root (class, object) AS (VALUES {}), \
         may_go (class, object) AS (\
           (SELECT p.class, p.object FROM (VALUES {}) AS p (class, object) \
            UNION SELECT d.refclassid, d.refobjid FROM root r \
            JOIN pg_catalog.pg_depend d ON d.classid = r.class AND d.objid = r.object \
            WHERE r.class = 'pg_catalog.pg_type'::pg_catalog.regclass \
            AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass) \
           UNION SELECT d.classid, d.objid FROM may_go m \
           JOIN pg_catalog.pg_depend d ON d.refclassid = m.class AND d.refobjid = m.object \
           WHERE d.deptype IN ('a', 'i', 'P', 'S', 'e', 'x')), \
         hanging (class, object, part) AS (\
           SELECT r.class, r.object, 0 FROM root r \
           UNION SELECT d.classid, d.objid, d.objsubid FROM hanging h \
           JOIN pg_catalog.pg_depend d ON d.refclassid = h.class AND d.refobjid = h.object \
             AND (h.part = 0 OR d.refobjsubid = h.part) \
           WHERE d.deptype IN ('n', 'a', 'i', 'P', 'S', 'x') \
           AND (h.class, h.object) IN (SELECT m.class, m.object FROM may_go m)) \
         SELECT DISTINCT coalesce(\
           (SELECT pg_catalog.pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) \
            FROM pg_catalog.pg_depend d WHERE d.classid = h.class AND d.objid = h.object \
            AND d.objsubid = 0 AND d.deptype = 'i' LIMIT 1), \
           pg_catalog.pg_describe_object(h.class, h.object, h.part)) \
         FROM hanging h \
         WHERE (h.class, h.object) NOT IN (SELECT m.class, m.object FROM may_go m) {transforms} \
         AND NOT (h.class = 'pg_catalog.pg_operator'::pg_catalog.regclass AND EXISTS (\
           SELECT FROM pg_catalog.pg_operator o WHERE o.oid = h.object AND o.oprcode = 0)) \
         ORDER BY 1",
        list(roots),
        list(planned),
    )
}

fn list(identities: &[Identity]) -> String {
    let rows = identities
        .iter()
        .map(|(class, object)| format!("({class}::oid, {object}::oid)"));
    rows.collect::<Vec<_>>().join(", ")
}
