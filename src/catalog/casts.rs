//! Casts.

use super::context::Reader;
use super::select::Selected;
use crate::error::{Error, Kind, Result};
use crate::model::{Address, Cast, CastContext, CastMethod, Class, Header};
use crate::sql::ServerVersion;

/// All casts but the system's own and those that come with a range type.
fn casts(version: ServerVersion) -> String {
    let own = if version.at_least(14) {
        "AND NOT EXISTS (SELECT FROM pg_catalog.pg_range r \
         WHERE r.rngtypid = c.castsource AND r.rngmultitypid = c.casttarget)"
    } else {
        ""
    };
    format!(
        "SELECT c.oid, pg_catalog.format_type(c.castsource, NULL) AS source, \
         pg_catalog.format_type(c.casttarget, NULL) AS target, \
         CASE WHEN c.castfunc <> 0 THEN c.castfunc::regprocedure::text END AS function, \
         c.castmethod::text AS method, c.castcontext::text AS context \
         FROM pg_catalog.pg_cast c WHERE c.oid >= 16384 {own}"
    )
}

/// Reads the casts and marks what is wanted.
///
/// # Errors
/// The server's; a method or context that is not known.
pub(crate) async fn read(reader: &Reader<'_>, selected: &Selected) -> Result<Vec<Cast>> {
    let rows = reader.rows("casts", &casts(reader.version), &[]).await?;
    rows.iter()
        .map(|row| {
            let (source, target): (String, String) = (row.get("source"), row.get("target"));
            let name = format!("({source} AS {target})");
            let unknown = |what: &str, letter: &str| {
                Error::new(
                    Kind::Failed,
                    format!("cast {name}: its {what} \"{letter}\" is not known"),
                )
            };
            let function: Option<String> = row.get("function");
            let method = match (row.get("method"), function) {
                ("f", Some(function)) => CastMethod::Function(function),
                ("i", _) => CastMethod::InOut,
                ("b", _) => CastMethod::Binary,
                (other, _) => return Err(unknown("method", other)),
            };
            let context = match row.get("context") {
                "e" => CastContext::Explicit,
                "a" => CastContext::Assignment,
                "i" => CastContext::Implicit,
                other => return Err(unknown("context", other)),
            };
            let address = Address::new(Class::Cast, row.get("oid"));
            let mut header = Header::new(address, None, name);
            selected.mark(&mut header);
            Ok(Cast {
                header,
                method,
                context,
            })
        })
        .collect()
}

/// The queries of this file, by name.
pub(crate) fn queries(version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![("casts", casts(version))]
}
