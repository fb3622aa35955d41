//! Rows that `--clean` would drop and that the restore does not bring back.
//!
//! A partition goes with its parent without a word from the server, and a table of which the archive
//! has no rows comes back empty.

use std::collections::BTreeSet;

use super::cascade;
use super::journal::Standing;
use super::options::RestoreOptions;
use super::present;
use super::shared::Shared;
use crate::archive::DataSpec;
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result, first_of, one_line};
use crate::sql::qualified;

/// Most names that are told one by one.
const TOLD: usize = 20;

/// Most tables that are asked for at once whether they have a row.
const ASKED: usize = 200;

/// Refuses all that `--clean` would lose for good, before anything is dropped: what goes along with what is dropped, and rows.
///
/// # Errors
/// Of kind [`Kind::Refused`]; what the server answers.
pub(super) async fn refuse_losses(
    wire: &mut Wire,
    shared: &Shared,
    options: &RestoreOptions,
    standing: &Standing,
) -> Result<()> {
    cascade::refuse_strangers(wire, shared).await?;
    match standing.resumed() {
        // The tables are its own by now.
        Some(_) => Ok(()),
        None => refuse(wire, shared, options).await,
    }
}

/// Refuses, before anything is dropped, to drop rows of tables whose rows are not restored; a warning where
/// no rows are wanted at all, since that is what was asked for.
///
/// # Errors
/// [`Kind::Refused`] names the tables.
async fn refuse(wire: &mut Wire, shared: &Shared, options: &RestoreOptions) -> Result<()> {
    let dropped = shared.dropped().filter(|entry| entry.kind == "TABLE");
    let roots = present::identify(wire, dropped).await?;
    if roots.is_empty() {
        return Ok(());
    }
    let roots: Vec<String> = roots.values().map(|(_, oid)| oid.to_string()).collect();
    let rows = wire
        .query(&with_pages(&roots))
        .await
        .context_with(|| "ask which tables would be dropped with rows")?;
    let loaded = loaded(shared);
    let mut certain = Vec::new();
    let mut doubtful = Vec::new();
    for row in rows {
        let mut fields = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || fields.next().unwrap_or_default();
        let (table, is_hidden) = ((next(), next()), next() == "true");
        if loaded.contains(&table) {
            continue;
        }
        let name = qualified(&table.0, &table.1);
        match is_hidden {
            true => certain.push(name),
            false => doubtful.push(name),
        }
    }
    for tables in doubtful.chunks(ASKED) {
        let questions = tables.iter().enumerate();
        let questions = questions
            .map(|(at, table)| format!("SELECT '{at}' WHERE EXISTS (SELECT FROM ONLY {table})"));
        let asked = questions.collect::<Vec<_>>().join(" UNION ALL ");
        let rows = wire.query(&asked).await;
        let rows = rows.context_with(|| "ask which tables would be dropped with rows")?;
        let found = rows.into_iter().flatten().flatten();
        certain.extend(
            found
                .filter_map(|at| tables.get(at.parse::<usize>().ok()?))
                .cloned(),
        );
    }
    if certain.is_empty() {
        return Ok(());
    }
    certain.sort_unstable();
    let tables = one_line(&first_of(certain, TOLD).join(", "));
    if !(options.content.data() && options.sections.data) {
        shared.warn(format!(
            "--clean drops these tables with their rows, and none are restored: {tables}"
        ));
        return Ok(());
    }
    Err(Error::new(
        Kind::Refused,
        format!("--clean would drop rows that this restore does not bring back: {tables}"),
    )
    .with_hint(
        "leave these tables out with --exclude-table, take their rows along (--table-and-children for \
         partitions), or empty them yourself first",
    ))
}

/// The tables whose rows are restored, by schema and name.
fn loaded(shared: &Shared) -> BTreeSet<(String, String)> {
    shared
        .restored()
        .filter(|entry| matches!(entry.data, Some(DataSpec::Table { .. })))
        .map(|entry| {
            let name = entry.relation.as_ref().unwrap_or(&entry.name);
            (entry.schema.clone().unwrap_or_default(), name.clone())
        })
        .collect()
}

/// Tables that have pages, among these and their partitions at any depth: schema, name, and whether row security hides
/// from the session what they have.
fn with_pages(roots: &[String]) -> String {
    format!(
        "WITH RECURSIVE tree (oid) AS (\
           SELECT pg_catalog.unnest('{{{}}}'::pg_catalog.oid[]) \
           UNION SELECT i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid \
           JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE c.relispartition) \
         SELECT n.nspname::text, c.relname::text, \
           (c.relrowsecurity AND c.relforcerowsecurity AND NOT EXISTS (\
             SELECT FROM pg_catalog.pg_roles r \
             WHERE r.rolname = current_user AND (r.rolsuper OR r.rolbypassrls)))::text \
         FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.oid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind = 'r' AND pg_catalog.pg_relation_size(c.oid) > 0",
        roots.join(",")
    )
}
