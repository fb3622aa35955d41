//! Operators.

use super::context::Reader;
use super::select::Selected;
use crate::error::Result;
use crate::model::{Address, Class, Components, Header, Operator};
use crate::sql::ServerVersion;

/// Operators that have no function were only named as somebody's partner, and are so again when
/// that one is made.
const OPERATORS: &str = "\
SELECT o.oid, n.nspname::text AS schema, o.oprname::text AS name, o.oprowner AS owner, \
CASE WHEN o.oprleft <> 0 THEN pg_catalog.format_type(o.oprleft, NULL) END AS left, \
CASE WHEN o.oprright <> 0 THEN pg_catalog.format_type(o.oprright, NULL) END AS right, \
o.oprcode::regproc::text AS function, \
cn.nspname::text AS commutator_schema, c.oprname::text AS commutator, \
coalesce(c.oprcode = 0, false) AS commutator_is_shell, \
gn.nspname::text AS negator_schema, g.oprname::text AS negator, \
coalesce(g.oprcode = 0, false) AS negator_is_shell, \
CASE WHEN o.oprrest <> 0 THEN o.oprrest::regproc::text END AS restrict, \
CASE WHEN o.oprjoin <> 0 THEN o.oprjoin::regproc::text END AS join, \
o.oprcanmerge AS merges, o.oprcanhash AS hashes \
FROM pg_catalog.pg_operator o \
JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace \
LEFT JOIN pg_catalog.pg_operator c ON c.oid = o.oprcom \
LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = c.oprnamespace \
LEFT JOIN pg_catalog.pg_operator g ON g.oid = o.oprnegate \
LEFT JOIN pg_catalog.pg_namespace gn ON gn.oid = g.oprnamespace \
WHERE o.oprcode <> 0 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// Reads the operators and marks what is wanted.
///
/// # Errors
/// The server's; an owner that does not exist.
pub(crate) async fn read(reader: &Reader<'_>, selected: &Selected) -> Result<Vec<Operator>> {
    let rows = reader.rows("operators", OPERATORS, &[]).await?;
    rows.iter()
        .map(|row| {
            let address = Address::new(Class::Operator, row.get("oid"));
            let schema: String = row.get("schema");
            let mut header = Header::new(address, Some(schema.clone()), row.get("name"));
            let (left, right): (Option<String>, Option<String>) =
                (row.get("left"), row.get("right"));
            let operand = |side: &Option<String>| side.clone().unwrap_or_else(|| "NONE".to_owned());
            let operands = format!("({}, {})", operand(&left), operand(&right));
            let name = format!("operator {schema}.{} {operands}", header.name);
            header.owner = Some(reader.owner(row.get("owner"), &name)?);
            selected.mark(&mut header);
            if right.is_none() && header.wanted.has(Components::DEFINITION) {
                reader.observer.warning_with_hint(
                    format!("{name} is a postfix operator: PostgreSQL 14 and newer have none"),
                    "the archive restores into PostgreSQL 13 only, unless this operator is left out",
                );
            }
            let pair = |schema: &str, name: &str| {
                Some((
                    row.get::<_, Option<String>>(schema)?,
                    row.get::<_, Option<String>>(name)?,
                ))
            };
            Ok(Operator {
                header,
                left,
                right,
                operands,
                function: row.get("function"),
                commutator: pair("commutator_schema", "commutator"),
                commutator_is_shell: row.get("commutator_is_shell"),
                negator: pair("negator_schema", "negator"),
                negator_is_shell: row.get("negator_is_shell"),
                restrict: row.get("restrict"),
                join: row.get("join"),
                merges: row.get("merges"),
                hashes: row.get("hashes"),
            })
        })
        .collect()
}

/// The queries of this file, by name.
pub(crate) fn queries(_version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("operators", OPERATORS.to_owned())]
}
