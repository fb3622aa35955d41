//! Aggregates: what `pg_aggregate` adds to `pg_proc`.

use super::context::{Reader, vanished};
use super::row::Row;
use super::select::Selected;
use super::{acl, init_privs};
use crate::error::{Error, Kind, Result};
use crate::model::{
    Address, Aggregate, AggregateKind, AggregateState, Class, Header, Modify, Parallel,
};
use crate::sql::ServerVersion;

/// All aggregates but the system's own, and of those the ones whose privileges were changed.
fn aggregates() -> String {
    // A function by its name alone, as CREATE AGGREGATE wants it; null for none.
    let functions: String = [
        ("aggtransfn", "state_function"),
        ("aggfinalfn", "state_finish"),
        ("aggcombinefn", "combine"),
        ("aggserialfn", "serialize"),
        ("aggdeserialfn", "deserialize"),
        ("aggmtransfn", "moving_function"),
        ("aggminvtransfn", "moving_inverse"),
        ("aggmfinalfn", "moving_finish"),
    ]
    .iter()
    .map(|(column, name)| {
        format!("CASE WHEN a.{column} <> 0 THEN a.{column}::regproc::text END AS {name}, ")
    })
    .collect();
    format!(
        "SELECT p.oid, n.nspname::text AS schema, p.proname::text AS name, p.proowner AS owner, \
         {columns}, {functions} a.aggkind::text AS kind, \
         pg_catalog.pg_get_function_identity_arguments(p.oid) AS arguments, \
         ARRAY(SELECT an.nspname::text FROM unnest(p.proargtypes) WITH ORDINALITY AS x(oid, at) \
         JOIN pg_catalog.pg_type t ON t.oid = x.oid \
         JOIN pg_catalog.pg_namespace an ON an.oid = t.typnamespace ORDER BY x.at) AS schemas, \
         ARRAY(SELECT t.typname::text FROM unnest(p.proargtypes) WITH ORDINALITY AS x(oid, at) \
         JOIN pg_catalog.pg_type t ON t.oid = x.oid ORDER BY x.at) AS types, \
         ARRAY(SELECT pg_catalog.format_type(x.oid, NULL) \
         FROM unnest(p.proargtypes) WITH ORDINALITY AS x(oid, at) ORDER BY x.at) AS sql_types, \
         p.proparallel::text AS parallel, \
         pg_catalog.format_type(a.aggtranstype, NULL) AS state_type, \
         a.aggtransspace AS state_space, a.agginitval AS state_initial, \
         a.aggfinalextra AS state_extra, a.aggfinalmodify::text AS state_modify, \
         pg_catalog.format_type(a.aggmtranstype, NULL) AS moving_type, \
         a.aggmtransspace AS moving_space, a.aggminitval AS moving_initial, \
         a.aggmfinalextra AS moving_extra, a.aggmfinalmodify::text AS moving_modify, \
         sn.nspname::text AS sort_schema, so.oprname::text AS sort_operator \
         FROM pg_catalog.pg_proc p \
         JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = p.oid \
         JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
         LEFT JOIN pg_catalog.pg_operator so ON so.oid = a.aggsortop \
         LEFT JOIN pg_catalog.pg_namespace sn ON sn.oid = so.oprnamespace \
         {join} \
         WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
         OR n.nspname IN ('pg_catalog', 'information_schema') \
         AND p.proacl IS DISTINCT FROM ip.initprivs",
        columns = init_privs::columns("p.proacl", 'f', "p.proowner"),
        join = init_privs::join("pg_proc", "p"),
    )
}

/// Reads the aggregates and marks what is wanted.
///
/// # Errors
/// The server's; an owner that does not exist; an aggregate that was dropped since the snapshot.
pub(crate) async fn read(reader: &Reader<'_>, selected: &Selected) -> Result<Vec<Aggregate>> {
    let rows = reader.rows("aggregates", &aggregates(), &[]).await?;
    rows.iter()
        .map(|row| aggregate(reader, selected, row))
        .collect()
}

fn aggregate(reader: &Reader<'_>, selected: &Selected, row: &Row) -> Result<Aggregate> {
    let address = Address::new(Class::Function, row.get("oid"));
    let mut header = Header::new(address, row.get("schema"), row.get("name"));
    let arguments: Option<String> = row.get("arguments");
    let name = format!(
        "aggregate {}({})",
        header.sql_name(),
        arguments.as_deref().unwrap_or_default()
    );
    header.owner = Some(reader.owner(row.get("owner"), &name)?);
    header.acl = acl::parse(row.get("acl"), row.get("acl_base"))?;
    selected.mark(&mut header);
    if arguments.is_none() && !header.wanted.is_none() {
        return Err(vanished(&name));
    }
    let unknown = |what: &str, letter: &str| {
        Error::new(
            Kind::Failed,
            format!("{name}: its {what} \"{letter}\" is not known"),
        )
    };
    let kind = match row.get("kind") {
        "n" => AggregateKind::Normal,
        "o" => AggregateKind::OrderedSet,
        "h" => AggregateKind::Hypothetical,
        other => return Err(unknown("kind", other)),
    };
    let parallel = match row.get("parallel") {
        "s" => Parallel::Safe,
        "r" => Parallel::Restricted,
        "u" => Parallel::Unsafe,
        other => return Err(unknown("parallel safety", other)),
    };
    let state = |prefix: &str| -> Result<Option<AggregateState>> {
        let column = |suffix: &str| format!("{prefix}_{suffix}");
        let Some(function) = row.get(column("function").as_str()) else {
            return Ok(None);
        };
        let space: i32 = row.get(column("space").as_str());
        Ok(Some(AggregateState {
            function,
            r#type: row.get(column("type").as_str()),
            space: (space != 0).then_some(space),
            initial: row.get(column("initial").as_str()),
            finish: row.get(column("finish").as_str()),
            finish_extra: row.get(column("extra").as_str()),
            finish_modify: match row.get(column("modify").as_str()) {
                "r" => Modify::ReadOnly,
                "s" => Modify::Shareable,
                "w" => Modify::ReadWrite,
                other => return Err(unknown("final function's effect", other)),
            },
        }))
    };
    let moving = match (row.get("moving_inverse"), state("moving")?) {
        (Some(inverse), Some(state)) => Some((inverse, state)),
        _ => None,
    };
    let own = state("state")?.ok_or_else(|| unknown("transition function", "-"))?;
    let schemas: Vec<String> = row.get("schemas");
    let types: Vec<String> = row.get("types");
    let sort: (Option<String>, Option<String>) = (row.get("sort_schema"), row.get("sort_operator"));
    Ok(Aggregate {
        kind,
        arguments: arguments
            .filter(|arguments| !arguments.is_empty())
            .unwrap_or_else(|| "*".to_owned()),
        types: row.get::<_, Vec<String>>("sql_types").join(", "),
        argument_types: schemas.into_iter().zip(types).collect(),
        state: own,
        combine: row.get("combine"),
        serialize: row.get("serialize"),
        deserialize: row.get("deserialize"),
        moving,
        sort_operator: sort.0.zip(sort.1),
        parallel,
        header,
    })
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("aggregates", aggregates())]
}
