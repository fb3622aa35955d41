//! Whether the target gives privileges of its own to what a restore makes.
//!
//! `ALTER DEFAULT PRIVILEGES` of a target counts for all that its role makes there from then on. An archive's GRANT and REVOKE
//! say how privileges differ from those of a new object, so that restored objects would have both: a table could
//! be read by more roles than on the source, a function be called by fewer. So each transaction that makes objects
//! takes from them what the target has given, and gives them what it has not; the archive's own GRANT and REVOKE come later.

use std::collections::BTreeSet;

use super::options::{RestoreOptions, TargetState};
use super::shared::Shared;
use crate::archive::Entry;
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result, first_of, one_line};
use crate::plan::Work;
use crate::sql::ident;

/// Most of them that are told one by one.
const TOLD: usize = 5;

/// What is done where the target has such privileges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// What is made does not keep them.
    Levelled,
    /// The same, by a run that goes on with an earlier one: what is found may have come out of the archive.
    LevelledOn,
    /// It is told: the target is somebody's who may want them, or privileges are the target's affair.
    Told,
}

impl Found {
    pub(super) fn of(options: &RestoreOptions) -> Self {
        let keeps = options.target == TargetState::Empty && !options.clean;
        match keeps && !options.choices().leave_out.privileges {
            true => Self::Levelled,
            false => Self::Told,
        }
    }
}

/// What new objects have of such privileges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Given {
    /// None, or those that the target is to give.
    Kept,
    /// Those that [`LEVEL`] takes from them again.
    Taken,
}

/// Whether the target can give privileges of its own to what an entry makes.
pub(super) fn may_have_some(entry: &Entry) -> bool {
    let kind = &entry.kind.as_str();
    CLASSES.iter().any(|(.., kinds)| kinds.contains(kind))
}

/// Gives all that its transaction has made the privileges of a new object where nothing else is said: sequences of
/// identity columns and constructors of ranges too, but no members of extensions, whose scripts say what they have. Under an empty `search_path`. The owner may be another role already, whose
/// part the session can only take. Multiranges have none of their own since 17.
pub(super) const LEVEL: &str = "\
DO LANGUAGE plpgsql $pgstow$
DECLARE
    o record;
    c record;
    me text := quote_ident(current_user);
    super bool := rolsuper FROM pg_roles WHERE rolname = current_user;
BEGIN
    FOR o IN
        WITH made (class, id, object, owner, acl, base, ours) AS (
            SELECT 'pg_class'::regclass, oid, CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || oid::regclass, relowner, relacl,
                   acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", relowner), xmin
              FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            UNION ALL
            SELECT 'pg_proc'::regclass, oid, 'ROUTINE ' || oid::regprocedure, proowner, proacl, acldefault('f', proowner), xmin FROM pg_proc
            UNION ALL
            SELECT 'pg_type'::regclass, oid, 'TYPE ' || format_type(oid, NULL), typowner, typacl, acldefault('T', typowner), xmin FROM pg_type
             WHERE typtype <> 'm' OR current_setting('server_version_num')::int < 170000
            UNION ALL
            SELECT 'pg_namespace'::regclass, oid, 'SCHEMA ' || quote_ident(nspname), nspowner, nspacl, acldefault('n', nspowner), xmin
              FROM pg_namespace WHERE oid >= 16384
            UNION ALL
            SELECT 'pg_largeobject'::regclass, oid, 'LARGE OBJECT ' || oid, lomowner, lomacl, acldefault('L', lomowner), xmin FROM pg_largeobject_metadata
        )
        SELECT object, acl, base, quote_ident(pg_get_userbyid(owner)) AS owner FROM made
         WHERE ours = pg_current_xact_id()::xid AND acl IS DISTINCT FROM base AND acl IS NOT NULL
           AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = made.class AND e.objid = made.id AND e.deptype = 'e')
    LOOP
        IF NOT super AND o.owner <> me THEN
            EXECUTE 'SET LOCAL ROLE ' || o.owner;
        END IF;
        FOR c IN
            SELECT 'REVOKE ' || privilege_type || ' ON ' || o.object || ' FROM ' AS change, grantee
              FROM (SELECT grantee, privilege_type, is_grantable FROM aclexplode(o.acl)
                    EXCEPT SELECT grantee, privilege_type, is_grantable FROM aclexplode(o.base)) d
            UNION ALL
            SELECT 'GRANT ' || privilege_type || ' ON ' || o.object || ' TO ', grantee
              FROM (SELECT grantee, privilege_type, is_grantable FROM aclexplode(o.base)
                    EXCEPT SELECT grantee, privilege_type, is_grantable FROM aclexplode(o.acl)) d
        LOOP
            EXECUTE c.change || CASE c.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(c.grantee)) END;
        END LOOP;
        IF NOT super AND o.owner <> me THEN
            EXECUTE 'SET LOCAL ROLE ' || me;
        END IF;
    END LOOP;
END
$pgstow$";

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
    ("T", "TYPES", &["SHELL TYPE", "TYPE", "DOMAIN", "EXTENSION"]),
    ("n", "SCHEMAS", &["SCHEMA"]),
    ("L", "LARGE OBJECTS", &["BLOB METADATA"]),
];

/// Looks for privileges that the role of this session gives by default to what the plan makes.
///
/// # Errors
/// [`Kind::Refused`] names those that objects cannot be kept free of.
pub(super) async fn check(wire: &mut Wire, shared: &Shared, found: Found) -> Result<Given> {
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
             pg_catalog.array_to_string(d.defaclacl, ', '), EXISTS (\
             SELECT FROM pg_catalog.pg_language l WHERE l.lanname = 'plpgsql' \
             AND pg_catalog.has_language_privilege(l.oid, 'USAGE')) FROM pg_catalog.pg_default_acl d \
             LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace \
             WHERE d.defaclrole = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user) \
             ORDER BY 2 NULLS FIRST, 1",
        )
        .await
        .context_with(|| "look for default privileges of the target")?;
    let mut told = Vec::new();
    let mut stay = Vec::new();
    let mut role = String::new();
    for row in rows {
        let [Some(letter), schema, Some(user), acl, plpgsql] = row.as_slice() else {
            continue;
        };
        let Some((_, class, kinds)) = CLASSES.iter().find(|(known, ..)| known == letter) else {
            continue;
        };
        let is_given = |(kind, of): &(&str, Option<&str>)| {
            // An extension may put its members into any schema.
            let anywhere = *kind == "EXTENSION";
            kinds.contains(kind)
                && schema
                    .as_deref()
                    .is_none_or(|schema| anywhere || *of == Some(schema))
        };
        let given: Vec<_> = made.iter().filter(|made| is_given(made)).collect();
        if !given.is_empty() {
            let place = schema.as_ref();
            let place = place.map(|schema| format!(" in schema {}", ident(schema)));
            let acl = acl.as_deref().unwrap_or_default();
            let line = format!("{class}{} ({acl})", place.unwrap_or_default());
            // An extension's script may grant as well, and what its members had when they were made is written down.
            let of_extensions = given.iter().any(|(kind, _)| *kind == "EXTENSION");
            if of_extensions || plpgsql.as_deref() != Some("t") {
                stay.push(line.clone());
            }
            told.push(line);
            role.clone_from(user);
        }
    }
    if told.is_empty() {
        return Ok(Given::Kept);
    }
    let role = ident(&role);
    if found == Found::LevelledOn || (found == Found::Levelled && stay.is_empty()) {
        if found == Found::Levelled {
            let list = one_line(&first_of(told, TOLD).join("; "));
            shared.observer.info(format!(
                "what is restored is kept free of the default privileges of role {role}: {list}"
            ));
        }
        return Ok(Given::Taken);
    }
    let list = if found == Found::Told { told } else { stay };
    let list = one_line(&first_of(list, TOLD).join("; "));
    if found == Found::Told {
        shared.warn(format!(
            "what is restored gets privileges that the target gives to whatever role {role} makes there: {list}"
        ));
        return Ok(Given::Kept);
    }
    Err(Error::new(
        Kind::Refused,
        format!(
            "members of extensions, or objects of a database without PL/pgSQL, would have other privileges than on the \
             source: the target has default privileges of role {role}: {list}"
        ),
    )
    .with_hint(
        "take these privileges away with ALTER DEFAULT PRIVILEGES, or restore with --create, as another --role, with \
         --no-privileges, or with --allow-non-empty, which takes the target as it is",
    ))
}
