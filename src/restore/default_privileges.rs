//! Whether the target gives privileges of its own to what a restore makes.
//!
//! `ALTER DEFAULT PRIVILEGES` of a target counts for all that its role makes there from then on. An archive's GRANT and REVOKE
//! say how privileges differ from those of a new object, so that restored objects would have both: a table could
//! be read by more roles than on the source, a function be called by fewer.

use std::collections::BTreeSet;

use super::options::{RestoreOptions, TargetState};
use super::shared::Shared;
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result, first_of, one_line};
use crate::plan::Work;
use crate::sql::ident;

/// Most of them that are told one by one.
const TOLD: usize = 5;

/// What is done where the target has such privileges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing is restored.
    Refused,
    /// It is told: the target is somebody's who may want them, or privileges are the target's affair.
    Told,
}

impl Found {
    pub(super) fn of(options: &RestoreOptions) -> Self {
        let keeps = options.target == TargetState::Empty && !options.clean;
        match keeps && !options.choices().leave_out.privileges {
            true => Self::Refused,
            false => Self::Told,
        }
    }
}

/// A class of objects: its letter in `pg_default_acl`, its name in `ALTER DEFAULT PRIVILEGES`, and the kinds of entries
/// of it.
const CLASSES: [(&str, &str, &[&str]); 6] = [
    (
        "r",
        "TABLES",
        &[
            "TABLE",
            "VIEW",
            "MATERIALIZED VIEW",
            "FOREIGN TABLE",
            "EXTENSION",
        ],
    ),
    // A table makes those of its identity columns.
    ("S", "SEQUENCES", &["SEQUENCE", "TABLE", "EXTENSION"]),
    // A range type makes its constructors.
    (
        "f",
        "FUNCTIONS",
        &["FUNCTION", "PROCEDURE", "AGGREGATE", "TYPE", "EXTENSION"],
    ),
    ("T", "TYPES", &["TYPE", "DOMAIN", "EXTENSION"]),
    ("n", "SCHEMAS", &["SCHEMA"]),
    ("L", "LARGE OBJECTS", &["BLOB METADATA"]),
];

/// Looks for privileges that the role of this session gives by default to what the plan makes.
///
/// # Errors
/// [`Kind::Refused`] names them, where that is wanted.
pub(super) async fn check(wire: &mut Wire, shared: &Shared, found: Found) -> Result<()> {
    let made: BTreeSet<(&str, Option<&str>)> = shared
        .plan
        .steps_of(Work::Statements)
        .filter_map(|(_, id)| shared.entry(id))
        // A database has that one already.
        .filter(|entry| entry.kind != "SCHEMA" || entry.name != "public")
        .map(|entry| (entry.kind.as_str(), entry.schema.as_deref()))
        .collect();
    let rows = wire
        .query(
            "SELECT d.defaclobjtype::text, n.nspname::text, current_user::text, \
             pg_catalog.array_to_string(d.defaclacl, ', ') FROM pg_catalog.pg_default_acl d \
             LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace \
             WHERE d.defaclrole = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user) \
             ORDER BY 2 NULLS FIRST, 1",
        )
        .await
        .context_with(|| "look for default privileges of the target")?;
    let mut told = Vec::new();
    let mut role = String::new();
    for row in rows {
        let [Some(letter), schema, Some(user), acl] = row.as_slice() else {
            continue;
        };
        let Some((_, class, kinds)) = CLASSES.iter().find(|(known, ..)| known == letter) else {
            continue;
        };
        let is_made = |(kind, of): &(&str, Option<&str>)| {
            kinds.contains(kind) && schema.as_deref().is_none_or(|schema| *of == Some(schema))
        };
        if made.iter().any(is_made) {
            let place = schema.as_ref();
            let place = place.map(|schema| format!(" in schema {}", ident(schema)));
            let acl = acl.as_deref().unwrap_or_default();
            told.push(format!("{class}{} ({acl})", place.unwrap_or_default()));
            role.clone_from(user);
        }
    }
    if told.is_empty() {
        return Ok(());
    }
    let list = one_line(&first_of(told, TOLD).join("; "));
    let role = ident(&role);
    if found == Found::Told {
        shared.warn(format!(
            "what is restored gets privileges that the target gives to whatever role {role} makes there: {list}"
        ));
        return Ok(());
    }
    Err(Error::new(
        Kind::Refused,
        format!(
            "restored objects would have other privileges than on the source: the target has default privileges of \
             role {role}: {list}"
        ),
    )
    .with_hint(
        "take them away with ALTER DEFAULT PRIVILEGES, or restore with --create, as another --role, with \
         --no-privileges, or with --allow-non-empty, which takes the target as it is",
    ))
}
