//! Whether the role may read all that a dump reads.

use super::{Patient, given, server, some};
use crate::catalog::Selection;
use crate::connect::Wire;
use crate::error::{Context as _, Result};
use crate::report::{Check, Verdict};
use crate::select::Globals;

/// Of tables and sequences that a dump reads, those that the role may not. What belongs to an
/// extension is made by it, but for tables that it says have the user's own rows.
const UNREADABLE: &str = "\
SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, \
pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), \
n.nspname, pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
WHERE c.relkind IN ('r', 'S') AND c.relpersistence <> 't' \
AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e' \
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension e \
    WHERE e.oid = d.refobjid AND c.oid = ANY (e.extconfig))) \
AND NOT (pg_catalog.has_table_privilege(c.oid, 'SELECT') \
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')) \
ORDER BY 1, 2";

const ROW_SECURITY: &str = "\
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) \
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND n.nspname !~ '^pg_' \
AND pg_catalog.row_security_active(c.oid) ORDER BY 1";

/// Nothing but the catalog says it of large objects before PostgreSQL 18.
const LARGE_OBJECTS: &str = "\
SELECT m.oid::text FROM pg_catalog.pg_largeobject_metadata m \
WHERE NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE') \
AND pg_catalog.current_setting('lo_compat_privileges') <> 'on' \
AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(m.lomacl) a WHERE a.privilege_type = 'SELECT' \
  AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE'))) ORDER BY m.oid";

const USER_MAPPINGS: &str = "\
SELECT pg_catalog.quote_ident(coalesce(m.usename, 'public')) || ' on ' || pg_catalog.quote_ident(m.srvname) \
FROM pg_catalog.pg_user_mappings m JOIN pg_catalog.pg_foreign_server s ON s.oid = m.srvid \
WHERE m.umoptions IS NULL AND m.usename IS DISTINCT FROM current_user \
AND NOT pg_catalog.pg_has_role(s.srvowner, 'USAGE') ORDER BY 1";

const SUBSCRIPTIONS: &str = "\
SELECT s.subname::text FROM pg_catalog.pg_subscription s \
JOIN pg_catalog.pg_database d ON d.oid = s.subdbid \
WHERE d.datname = pg_catalog.current_database() ORDER BY 1";

async fn names(wire: &mut Wire, query: &str) -> Result<Vec<String>> {
    let rows = wire.query(query).await?;
    let last = rows.into_iter().filter_map(|row| row.into_iter().next()?);
    Ok(last.collect())
}

pub(super) async fn look(name: &'static str, patient: &Patient) -> Result<Check> {
    let config = given(&patient.database)?;
    let mut wire = server::open(config, patient).await?;
    let asked = ask(name, &mut wire, patient).await;
    wire.close().await;
    asked.context_with(|| "ask what the role may read")
}

async fn ask(name: &'static str, wire: &mut Wire, patient: &Patient) -> Result<Check> {
    let dump = given(&patient.dump)?;
    let who = wire
        .query(
            "SELECT r.rolname, r.rolsuper, \
             pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT') \
             FROM pg_catalog.pg_roles r WHERE r.rolname = current_user",
        )
        .await?;
    let field = |at: usize| who.first().and_then(|row| row.get(at)?.clone());
    let role = field(0).unwrap_or_default();
    let is_superuser = field(1).as_deref() == Some("t");
    let reads_passwords = field(2).as_deref() == Some("t");

    let rows = wire.query(UNREADABLE).await?;
    let unreadable: Vec<String> = rows
        .iter()
        .map(|row| {
            let text = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
            match text(3).as_str() {
                "f" => format!("{} {} (no USAGE on schema {})", text(0), text(1), text(2)),
                _ => format!("{} {}", text(0), text(1)),
            }
        })
        .collect();
    let hidden = match dump.enable_row_security {
        true => Vec::new(),
        false => names(wire, ROW_SECURITY).await?,
    };
    let wants_large_objects = dump.selection.large_objects != Some(false);
    let large_objects = match wants_large_objects && !is_superuser {
        true => names(wire, LARGE_OBJECTS).await?,
        false => Vec::new(),
    };
    let (mut mappings, mut subscriptions) = (Vec::new(), Vec::new());
    if !is_superuser {
        mappings = names(wire, USER_MAPPINGS).await?;
        subscriptions = names(wire, SUBSCRIPTIONS).await?;
    }
    let passwords =
        dump.globals.which != Globals::No && dump.globals.role_passwords && !reads_passwords;

    let (mut failures, mut ways) = (Vec::new(), Vec::new());
    if !unreadable.is_empty() {
        failures.push(format!("may not read {}", some(&unreadable)));
        ways.push(match wire.server_version().at_least(14) {
            true => format!("GRANT pg_read_all_data TO {role}"),
            false => format!("GRANT USAGE ON SCHEMA …, SELECT ON … TO {role}"),
        });
    }
    if !hidden.is_empty() {
        failures.push(format!("row security hides rows of {}", some(&hidden)));
        ways.push(format!("ALTER ROLE {role} BYPASSRLS"));
    }
    if !large_objects.is_empty() {
        failures.push(format!(
            "may not read {} large objects: {}",
            large_objects.len(),
            some(&large_objects)
        ));
        ways.push(format!(
            "GRANT SELECT ON LARGE OBJECT … TO {role}, or leave them out with --no-large-objects"
        ));
    }
    if passwords {
        failures.push("may not read passwords of roles (pg_authid)".to_owned());
        ways.push("leave them out with --no-role-passwords".to_owned());
    }
    let mut warnings = Vec::new();
    if !mappings.is_empty() {
        warnings.push(format!(
            "options of user mappings that it may not see are not in a dump: {}",
            some(&mappings)
        ));
    }
    if !subscriptions.is_empty() {
        warnings.push(format!(
            "subscriptions, which only a superuser may read, are not in a dump: {}",
            some(&subscriptions)
        ));
    }
    let selection = Selection {
        large_objects: None,
        ..dump.selection.clone()
    };
    let is_selective = selection != Selection::default();
    let verdict = match (failures.is_empty(), warnings.is_empty()) {
        (true, true) => {
            let found = format!("role {role} may read everything");
            return Ok(Check::new(name, Verdict::Passed, found));
        }
        // What it may not read may be left out.
        (false, _) if !is_selective => Verdict::Failed,
        _ => Verdict::Warning,
    };
    if is_selective && !failures.is_empty() {
        failures
            .push("what the job selects was not looked at: it may be left out anyway".to_owned());
    }
    failures.extend(warnings);
    let check = Check::new(
        name,
        verdict,
        format!("role {role}: {}", failures.join("\n")),
    );
    Ok(match ways.is_empty() {
        true => check,
        false => check.with_way_out(ways.join("; ")),
    })
}
