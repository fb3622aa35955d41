//! Whether the target's encoding can hold what the archive has, asked before anything is made.

use super::shared::Shared;
use crate::archive::Manifest;
use crate::connect::{ANY_BYTES, Wire};
use crate::error::{Context, Error, Kind, Result};
use crate::sql::literal;

/// The encoding of rows in text: the source's own.
pub(super) fn of_rows(manifest: &Manifest) -> &str {
    let own = manifest.database_encoding.as_ref();
    own.unwrap_or(&manifest.encoding)
}

/// Refuses a target whose server cannot convert rows of `encoding` (PostgreSQL's name of it), and one that keeps bytes as
/// they come: rows would have those of `encoding` there, and definitions UTF-8's.
///
/// # Errors
/// Of kind [`Refused`](Kind::Refused); what the server answers.
pub(super) async fn check(wire: &mut Wire, shared: &Shared, encoding: &str) -> Result<()> {
    let asked = format!(
        "SELECT t.encoding, EXISTS (SELECT FROM pg_catalog.pg_conversion \
         WHERE condefault AND conforencoding = pg_catalog.pg_char_to_encoding({}) \
         AND contoencoding = pg_catalog.pg_char_to_encoding(t.encoding)) \
         FROM (SELECT pg_catalog.getdatabaseencoding()::text AS encoding) t",
        literal(encoding)
    );
    let rows = wire.query(&asked).await;
    let rows = rows.context_with(|| "ask for the target's encoding")?;
    let field = |at: usize| rows.first()?.get(at)?.as_deref();
    let (Some(target), Some(converts)) = (field(0), field(1)) else {
        return Err(Error::new(
            Kind::Failed,
            "the server does not say which encoding the target has",
        ));
    };
    let has_rows = shared
        .restored()
        .any(|entry| entry.data.is_some() && !entry.has_statistics());
    if !has_rows || target == encoding || encoding == ANY_BYTES {
        return Ok(());
    }
    let refused = |why: String| {
        let hint = format!("make the target with ENCODING '{encoding}', or 'UTF8'");
        Err(Error::new(Kind::Refused, why).with_hint(hint))
    };
    if target == ANY_BYTES {
        if encoding == "UTF8" || !shared.plan.makes_definitions() {
            return Ok(());
        }
        return refused(format!(
            "the target keeps bytes as they come ({ANY_BYTES}): rows would be {encoding} there, and definitions UTF-8"
        ));
    }
    match converts {
        "t" => Ok(()),
        _ => refused(format!(
            "the rows are {encoding}, the target is {target}, and its server has no conversion from the one to the other"
        )),
    }
}
