//! Planner statistics, handed to the server's own functions; and ANALYZE.
//!
//! The functions take names and values as parameters, each relation and each column in a
//! transaction of its own: what one of them does not like costs the others nothing. No failure of
//! theirs fails a restore, whose rows are all there; each is told by the name of its relation.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::failure::is_fatal;
use super::shared::Shared;
use crate::archive::{
    COLUMN_VALUES, ColumnStatistics, DataSpec, Entry, EntryId, RELATION_VALUES, RelationStatistics,
    StatisticsOf,
};
use crate::connect::{Apart, Param, TransactionStatus, Wire};
use crate::error::{Error, Kind, Result, one_line};
use crate::plan::{Analyzed, Plan, Work};
use crate::sql::{ServerVersion, into_bytes, literal, qualified};

/// The first major whose servers take statistics.
const FIRST_MAJOR: u32 = 18;

/// Whether a server of this version has the functions that take statistics.
pub(super) fn can_take(version: ServerVersion) -> bool {
    version.at_least(FIRST_MAJOR)
}

/// What came of the statistics of a frame.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// Relations whose statistics the server took, as far as it did.
    pub(super) relations: u64,
    /// What it did not take, one line for each relation or column.
    pub(super) refused: Vec<String>,
}

/// One function and its arguments: names, and the types that the values are cast to.
struct Call {
    function: &'static str,
    arguments: Vec<(&'static str, &'static str)>,
}

impl Call {
    fn new(
        function: &'static str,
        names: &[(&'static str, &'static str)],
        values: &[(&'static str, &'static str)],
    ) -> Self {
        let arguments = [("version", "integer")].iter().chain(names).chain(values);
        Self {
            function,
            arguments: arguments.copied().collect(),
        }
    }

    fn of_relation() -> Self {
        let names = [("schemaname", "text"), ("relname", "text")];
        Self::new("pg_restore_relation_stats", &names, &RELATION_VALUES)
    }

    fn of_column() -> Self {
        let names = [
            ("schemaname", "text"),
            ("relname", "text"),
            ("attname", "text"),
            ("attnum", "smallint"),
            ("inherited", "boolean"),
        ];
        Self::new("pg_restore_attribute_stats", &names, &COLUMN_VALUES)
    }

    /// The statement with a parameter for each argument. An argument that is null counts as left
    /// out. All parameters are text, so that they are sent as they stand in the archive.
    fn with_parameters(&self) -> String {
        let arguments = self.arguments.iter().enumerate();
        let arguments: Vec<String> = arguments
            .map(|(at, (name, ty))| format!("'{name}', ${}::text::{ty}", at + 1))
            .collect();
        format!(
            "SELECT pg_catalog.{}({})",
            self.function,
            arguments.join(", ")
        )
    }

    /// The statement with the values in it.
    fn with_values(&self, values: &[Option<String>]) -> String {
        let arguments: Vec<String> = self
            .arguments
            .iter()
            .zip(values)
            .filter_map(|((name, ty), value)| {
                Some(format!("'{name}', {}::{ty}", literal(value.as_ref()?)))
            })
            .collect();
        format!(
            "SELECT pg_catalog.{}({})",
            self.function,
            arguments.join(", ")
        )
    }
}

/// The arguments of the call for a relation.
fn relation_values(relation: &RelationStatistics) -> Vec<Option<String>> {
    let names = [&relation.schema, &relation.relation];
    [Some(relation.version.to_string())]
        .into_iter()
        .chain(names.map(|name| Some(name.clone())))
        .chain(RELATION_VALUES.map(|(name, _)| relation.value(name).map(str::to_owned)))
        .collect()
}

/// The arguments of the call for a column.
fn column_values(relation: &RelationStatistics, column: &ColumnStatistics) -> Vec<Option<String>> {
    [
        Some(relation.version.to_string()),
        Some(relation.schema.clone()),
        Some(relation.relation.clone()),
        column.name.clone(),
        column.number.map(|number| number.to_string()),
        Some(column.inherited.to_string()),
    ]
    .into_iter()
    .chain(COLUMN_VALUES.map(|(name, _)| column.values.get(name).cloned()))
    .collect()
}

fn parameters(values: Vec<Option<String>>) -> Vec<Param> {
    let bytes = values.into_iter();
    bytes
        .map(|value| value.map(|text| Bytes::from(into_bytes(text))))
        .collect()
}

/// The statements that hand the statistics of one relation to a server from 18 on, for a script.
pub(crate) fn statements(relation: &RelationStatistics) -> Vec<String> {
    let call = Call::of_column();
    let columns = relation.columns.iter();
    [Call::of_relation().with_values(&relation_values(relation))]
        .into_iter()
        .chain(columns.map(|column| call.with_values(&column_values(relation, column))))
        .collect()
}

/// Hands the statistics of a frame to the server.
///
/// # Errors
/// When the session is lost, or the server goes down; what it refuses is counted.
pub(super) async fn apply(wire: &mut Wire, relations: &[RelationStatistics]) -> Result<Applied> {
    let mut applied = Applied::default();
    if wire.transaction_status() != TransactionStatus::Idle {
        for relation in relations {
            applied.take_within(wire, relation).await?;
        }
        return Ok(applied);
    }
    let values = relations.iter().map(relation_values).map(parameters);
    let statement = Call::of_relation().with_parameters();
    let done = wire.execute_params_apart(&statement, values).await?;
    let mut taken = Vec::with_capacity(relations.len());
    for (relation, done) in relations.iter().zip(done) {
        if applied.take(&name_of(relation), done)? {
            applied.relations += 1;
            taken.push(relation);
        }
    }
    let columns: Vec<(&RelationStatistics, &ColumnStatistics)> = taken
        .iter()
        .flat_map(|&relation| {
            relation
                .columns
                .iter()
                .map(move |column| (relation, column))
        })
        .collect();
    let values = columns
        .iter()
        .map(|(relation, column)| parameters(column_values(relation, column)));
    let statement = Call::of_column().with_parameters();
    let done = wire.execute_params_apart(&statement, values).await?;
    for ((relation, column), done) in columns.iter().zip(done) {
        let name = match (&column.name, column.number) {
            (Some(name), _) => one_line(name),
            (None, Some(number)) => number.to_string(),
            (None, None) => String::new(),
        };
        applied.take(&format!("{}, column {name}", name_of(relation)), done)?;
    }
    Ok(applied)
}

/// Has the server compute the statistics of a table; in an open transaction, so that it stays
/// usable whatever comes of it.
///
/// # Errors
/// The server's.
pub(super) async fn run_analyze(wire: &mut Wire, statement: &str) -> Result<()> {
    if wire.transaction_status() == TransactionStatus::Idle {
        return wire.execute(statement).await.map(drop);
    }
    wire.execute(SAVEPOINT).await?;
    let outcome = wire.execute(statement).await.map(drop);
    end_savepoint(wire, outcome.is_err()).await?;
    outcome
}

const SAVEPOINT: &str = "SAVEPOINT pgstow_statistics";

async fn end_savepoint(wire: &mut Wire, failed: bool) -> Result<()> {
    if wire.is_broken() {
        return Ok(());
    }
    if failed {
        wire.execute("ROLLBACK TO SAVEPOINT pgstow_statistics")
            .await?;
    }
    wire.execute("RELEASE SAVEPOINT pgstow_statistics").await?;
    Ok(())
}

impl Applied {
    /// Hands over the statistics of one relation within a transaction that must stay usable: all
    /// of them or none.
    async fn take_within(&mut self, wire: &mut Wire, relation: &RelationStatistics) -> Result<()> {
        wire.execute(SAVEPOINT).await?;
        let calling = async {
            let values = parameters(relation_values(relation));
            wire.execute_params(&Call::of_relation().with_parameters(), [values].into_iter())
                .await?;
            let columns = relation.columns.iter();
            let values = columns.map(|column| parameters(column_values(relation, column)));
            wire.execute_params(&Call::of_column().with_parameters(), values)
                .await
        };
        let outcome = calling.await;
        end_savepoint(wire, outcome.is_err()).await?;
        let done = Apart {
            outcome,
            notices: wire.take_notices(),
        };
        if self.take(&name_of(relation), done)? {
            self.relations += 1;
        }
        Ok(())
    }

    /// Whether a call was run, whatever the server remarked.
    fn take(&mut self, name: &str, done: Apart) -> Result<bool> {
        let mut remarks: Vec<String> = done.notices;
        let ran = match done.outcome {
            Ok(_) => true,
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => {
                remarks.push(error.message().to_owned());
                false
            }
        };
        if !remarks.is_empty() {
            self.refused
                .push(format!("statistics of {name}: {}", remarks.join("; ")));
        }
        Ok(ran)
    }
}

fn name_of(relation: &RelationStatistics) -> String {
    one_line(&format!("{}.{}", relation.schema, relation.relation))
}

/// Relations whose statistics are in an entry and not to be restored: those that nobody wants, and
/// those that `is_lacking` says are not there, or not with their rows.
pub(crate) fn unwanted(
    entries: &[Entry],
    plan: &Plan,
    entry: &Entry,
    is_lacking: impl Fn(Option<EntryId>, &str, &str) -> bool,
) -> BTreeSet<(String, String)> {
    let Some(DataSpec::Statistics { relations }) = &entry.data else {
        return BTreeSet::new();
    };
    let left_out = plan.without_statistics.get(&entry.id);
    let mut unwanted = BTreeSet::new();
    for (at, of) in relations.iter().enumerate() {
        let (id, schema, name, table) = match of {
            StatisticsOf::Entry(id) => {
                let position = (*id as usize).checked_sub(1);
                let Some(made) = position.and_then(|at| entries.get(at)) else {
                    continue;
                };
                let schema = made.schema.as_deref().unwrap_or_default();
                (Some(*id), schema, &made.name, made.relation.as_ref())
            }
            StatisticsOf::Named {
                schema,
                name,
                table,
            } => (None, schema.as_str(), name, table.as_ref()),
        };
        let left_out = left_out.is_some_and(|left_out| left_out.contains(&at));
        if left_out || is_lacking(id, schema, table.unwrap_or(name)) {
            unwanted.insert((schema.to_owned(), name.clone()));
        }
    }
    unwanted
}

/// Says that the statistics of the archive are of no use to a server, if it is so.
pub(super) fn warn_of_old_target(shared: &Shared, version: ServerVersion, analyze: bool) {
    let relations: usize = shared
        .plan
        .steps_of(Work::Statistics)
        .filter_map(|(_, id)| match &shared.entry(id)?.data {
            Some(DataSpec::Statistics { relations }) => Some(relations.len()),
            _ => None,
        })
        .sum();
    if relations == 0 || can_take(version) || analyze {
        return;
    }
    shared.warn_with_hint(
        format!(
            "the planner statistics of {relations} relations are not restored: a server takes \
             them from PostgreSQL {FIRST_MAJOR} on, this one is {version}"
        ),
        "--analyze has the server compute them anew; --no-statistics leaves them out",
    );
}

/// The SQL name of the table of an entry.
fn table_of(entry: &Entry) -> Result<String> {
    let name = entry.relation.as_ref().unwrap_or(&entry.name);
    let Some(schema) = &entry.schema else {
        return Err(Error::new(Kind::Archive, "a table without a schema"));
    };
    Ok(qualified(schema, name))
}

/// The statement that vacuums the table of an entry, without what only tables need that rows were
/// deleted from.
pub(super) fn vacuum(entry: &Entry, version: ServerVersion) -> Result<String> {
    let name = table_of(entry)?;
    // From 18 on its children would come along.
    let only = if version.at_least(18) { "ONLY " } else { "" };
    Ok(format!(
        "VACUUM (INDEX_CLEANUP off, TRUNCATE off) {only}{name}"
    ))
}

/// The statement that analyzes the table of an entry, unless another one includes it.
pub(super) fn analyze(
    entry: &Entry,
    analyzed: Analyzed,
    version: ServerVersion,
) -> Result<Option<String>> {
    let name = table_of(entry)?;
    // A partitioned table takes its partitions along, until it can be told not to.
    Ok(match (analyzed, version.at_least(18)) {
        (Analyzed::Table, _) | (Analyzed::Partition, true) | (Analyzed::Root, false) => {
            Some(format!("ANALYZE {name}"))
        }
        (Analyzed::Root | Analyzed::Branch, true) => Some(format!("ANALYZE ONLY {name}")),
        (Analyzed::Partition | Analyzed::Branch, false) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation() -> RelationStatistics {
        let values = |of: &[(&str, &str)]| {
            of.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        RelationStatistics {
            version: 130_023,
            schema: "it's".to_owned(),
            relation: "back\\slash".to_owned(),
            values: values(&[
                ("relpages", "3"),
                ("reltuples", "0"),
                ("relallvisible", "1"),
            ]),
            columns: vec![
                ColumnStatistics {
                    name: Some("a".to_owned()),
                    values: values(&[("most_common_vals", "{'x'}"), ("null_frac", "0.5")]),
                    ..ColumnStatistics::default()
                },
                ColumnStatistics {
                    number: Some(2),
                    inherited: true,
                    ..ColumnStatistics::default()
                },
            ],
        }
    }

    #[test]
    fn scripts_quote_names_and_values() {
        assert_eq!(
            statements(&relation()),
            [
                "SELECT pg_catalog.pg_restore_relation_stats('version', '130023'::integer, \
                 'schemaname', 'it''s'::text, 'relname', E'back\\\\slash'::text, \
                 'relpages', '3'::integer, 'reltuples', '-1'::real, 'relallvisible', '1'::integer)",
                "SELECT pg_catalog.pg_restore_attribute_stats('version', '130023'::integer, \
                 'schemaname', 'it''s'::text, 'relname', E'back\\\\slash'::text, \
                 'attname', 'a'::text, 'inherited', 'false'::boolean, 'null_frac', '0.5'::real, \
                 'most_common_vals', '{''x''}'::text)",
                "SELECT pg_catalog.pg_restore_attribute_stats('version', '130023'::integer, \
                 'schemaname', 'it''s'::text, 'relname', E'back\\\\slash'::text, \
                 'attnum', '2'::smallint, 'inherited', 'true'::boolean)",
            ]
        );
    }

    #[test]
    fn every_argument_has_a_parameter() {
        for (call, values) in [
            (Call::of_relation(), relation_values(&relation())),
            (
                Call::of_column(),
                column_values(&relation(), &relation().columns[0]),
            ),
        ] {
            assert_eq!(call.arguments.len(), values.len());
            assert!(
                call.with_parameters()
                    .contains(&format!("${}::text::", values.len()))
            );
        }
    }
}
