//! DROP for the cases where SQL has no IF EXISTS.

use crate::sql::{dollar_quoted, literal};

/// `statement`, run only where `to_regclass`, `to_regtype` or the like (`lookup`) finds `name`.
///
/// Needs PL/pgSQL in the target, which every database has unless somebody dropped it.
pub(super) fn guarded(lookup: &str, name: &str, statement: &str) -> String {
    let found = format!("pg_catalog.{lookup}({}) IS NOT NULL", literal(name));
    guarded_by(&found, statement)
}

/// `statement`, run only where `condition` holds. Needs PL/pgSQL as [`guarded`] does.
pub(super) fn guarded_by(condition: &str, statement: &str) -> String {
    let body = format!(
        "BEGIN IF {condition} THEN EXECUTE {}; END IF; END",
        literal(statement)
    );
    format!("DO {}", dollar_quoted(&body))
}

/// `statement`, which may find that what it names does not exist. Needs PL/pgSQL as [`guarded`]
/// does.
pub(super) fn where_it_is(statement: &str) -> String {
    let body = format!(
        "BEGIN EXECUTE {}; EXCEPTION WHEN undefined_object OR invalid_schema_name THEN NULL; END",
        literal(statement)
    );
    format!("DO {}", dollar_quoted(&body))
}
