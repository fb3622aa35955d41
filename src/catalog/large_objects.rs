//! Large objects: who owns which, with what privileges. Their contents are not read here.

use super::acl;
use super::context::{Reader, typed};
use super::row::Row;
use super::select::Selected;
use crate::error::{Context, Result};
use crate::model::{LargeObject, LargeObjectGroup, Oid};
use crate::sql::ServerVersion;
use futures::TryStreamExt;
use std::collections::{BTreeMap, HashMap};
use std::pin::pin;

const LARGE_OBJECTS: &str = "\
SELECT oid, lomowner, lomacl::text[] FROM pg_catalog.pg_largeobject_metadata ORDER BY oid";

const DEFAULT_PRIVILEGES: &str = "\
SELECT owner, pg_catalog.acldefault('L', owner)::text[] FROM \
(SELECT DISTINCT lomowner AS owner FROM pg_catalog.pg_largeobject_metadata) o";

/// What the objects of a group have in common.
type OwnerAndAcl = (String, Option<Vec<String>>);

/// Objects in a group.
const GROUP_SIZE: usize = 1000;

/// Reads the large objects in groups, if they are wanted: sorted by the owner's name, the
/// privileges, then OIDs.
///
/// # Errors
/// The server's; an owner that does not exist.
pub(crate) async fn read(
    reader: &Reader<'_>,
    selected: &Selected,
) -> Result<Vec<LargeObjectGroup>> {
    const WHAT: &str = "large objects";
    if !selected.large_objects() {
        return Ok(Vec::new());
    }
    let rows = reader.rows(WHAT, DEFAULT_PRIVILEGES, &[]).await?;
    let defaults: HashMap<Oid, Vec<String>> =
        rows.iter().map(|row| (row.get(0), row.get(1))).collect();

    // There can be very many, so they are taken off the wire one at a time.
    let mut groups: BTreeMap<OwnerAndAcl, (Oid, Vec<Oid>)> = BTreeMap::new();
    let rows = reader
        .client
        .query_typed_raw(LARGE_OBJECTS, typed(&[]))
        .await;
    let mut rows = pin!(rows.context_with(|| format!("read {WHAT}"))?);
    while let Some(row) = rows
        .try_next()
        .await
        .context_with(|| format!("read {WHAT}"))?
    {
        let row = Row::from(row);
        let (oid, owner): (Oid, Oid) = (row.get(0), row.get(1));
        let name = reader.owner(owner, &format!("large object {oid}"))?;
        groups
            .entry((name, row.get(2)))
            .or_insert_with(|| (owner, Vec::new()))
            .1
            .push(oid);
    }

    let mut all = Vec::new();
    for ((name, current), (owner, oids)) in groups {
        let base = defaults.get(&owner).cloned().unwrap_or_default();
        let acl = acl::parse(current, base)?;
        for chunk in oids.chunks(GROUP_SIZE) {
            all.push(LargeObjectGroup {
                owner: name.clone(),
                acl: acl.clone(),
                objects: chunk
                    .iter()
                    .map(|&oid| LargeObject {
                        oid,
                        comment: None,
                        labels: Vec::new(),
                    })
                    .collect(),
            });
        }
    }
    Ok(all)
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("large objects", LARGE_OBJECTS.to_owned()),
        (
            "default privileges of large objects",
            DEFAULT_PRIVILEGES.to_owned(),
        ),
    ]
}
