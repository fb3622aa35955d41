//! DROP for the cases where SQL has no IF EXISTS.

use crate::sql::{dollar_quoted, literal};

/// `statement`, run only where `to_regclass`, `to_regtype` or the like (`lookup`) finds `name`.
///
/// Needs PL/pgSQL in the target, which every database has unless somebody dropped it.
pub(super) fn guarded(lookup: &str, name: &str, statement: &str) -> String {
    let body = format!(
        "BEGIN IF pg_catalog.{lookup}({}) IS NOT NULL THEN EXECUTE {}; END IF; END",
        literal(name),
        literal(statement)
    );
    format!("DO {}", dollar_quoted(&body))
}
