//! The target: what it is, what is in it, and making it.

use super::options::RestoreOptions;
use super::serial::Absent;
use crate::archive::{Entry, EntryId};
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result, SqlState};
use crate::report::Observer;
use crate::sql::{ServerVersion, ident, literal};

/// Everything that a user can have made, counted by class, with one name each. What `initdb`
/// makes has an OID below 16384; `public` and `plpgsql` may have been made anew since. Members of
/// extensions count through their extension.
const CONTENTS: &str = "\
WITH made AS (
  SELECT 'schema' AS class, 1 AS rank, nspname::text AS name, oid, 2615::oid AS classid
    FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'public'
  UNION ALL
  SELECT 'extension', 2, extname::text, oid, 3079 FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql'
  UNION ALL
  SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
         WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'type' ELSE 'table' END,
         3, relnamespace::regnamespace::text || '.' || relname, oid, 1259
    FROM pg_catalog.pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND relnamespace::regnamespace::text !~ '^pg_(temp|toast)'
  UNION ALL
  SELECT 'type', 4, typnamespace::regnamespace::text || '.' || typname, oid, 1247
    FROM pg_catalog.pg_type WHERE typrelid = 0 AND typtype <> 'm' AND (typelem = 0 OR typcategory <> 'A')
    AND typnamespace::regnamespace::text !~ '^pg_(temp|toast)'
  UNION ALL
  SELECT 'function', 5, pronamespace::regnamespace::text || '.' || proname, oid, 1255 FROM pg_catalog.pg_proc
    WHERE pronamespace::regnamespace::text !~ '^pg_temp'
  UNION ALL
  SELECT 'operator', 6, oprname::text, oid, 2617 FROM pg_catalog.pg_operator
  UNION ALL
  SELECT 'operator class', 7, opcname::text, oid, 2616 FROM pg_catalog.pg_opclass
  UNION ALL
  SELECT 'collation', 8, collname::text, oid, 3456 FROM pg_catalog.pg_collation
  UNION ALL
  SELECT 'conversion', 9, conname::text, oid, 2607 FROM pg_catalog.pg_conversion
  UNION ALL
  SELECT 'text search configuration', 10, cfgname::text, oid, 3602 FROM pg_catalog.pg_ts_config
  UNION ALL
  SELECT 'text search dictionary', 11, dictname::text, oid, 3600 FROM pg_catalog.pg_ts_dict
  UNION ALL
  SELECT 'cast', 12, oid::text, oid, 2605 FROM pg_catalog.pg_cast
  UNION ALL
  SELECT 'language', 13, lanname::text, oid, 2612 FROM pg_catalog.pg_language
  UNION ALL
  SELECT 'foreign-data wrapper', 14, fdwname::text, oid, 2328 FROM pg_catalog.pg_foreign_data_wrapper
  UNION ALL
  SELECT 'foreign server', 15, srvname::text, oid, 1417 FROM pg_catalog.pg_foreign_server
  UNION ALL
  SELECT 'event trigger', 16, evtname::text, oid, 3466 FROM pg_catalog.pg_event_trigger
  UNION ALL
  SELECT 'publication', 17, pubname::text, oid, 6104 FROM pg_catalog.pg_publication
  UNION ALL
  SELECT 'operator family', 19, opfname::text, oid, 2753 FROM pg_catalog.pg_opfamily
  UNION ALL
  SELECT 'text search parser', 20, prsname::text, oid, 3601 FROM pg_catalog.pg_ts_parser
  UNION ALL
  SELECT 'text search template', 21, tmplname::text, oid, 3764 FROM pg_catalog.pg_ts_template
  UNION ALL
  SELECT 'access method', 22, amname::text, oid, 2601 FROM pg_catalog.pg_am
  UNION ALL
  SELECT 'transform', 23, oid::text, oid, 3576 FROM pg_catalog.pg_transform
  UNION ALL
  SELECT 'large object', 18, oid::text, oid, 2613 FROM pg_catalog.pg_largeobject_metadata
)
SELECT class, pg_catalog.count(*)::text, pg_catalog.min(name)
FROM made
WHERE (oid >= 16384 OR class = 'large object') AND NOT EXISTS (
  SELECT FROM pg_catalog.pg_depend d
  WHERE d.classid = made.classid AND d.objid = made.oid AND d.deptype = 'e')
GROUP BY class
ORDER BY pg_catalog.min(rank), class";

/// Refuses a target that holds more than a new database does.
pub(super) async fn refuse_unless_empty(wire: &mut Wire) -> Result<()> {
    let contents = wire
        .query(CONTENTS)
        .await
        .context_with(|| "look what the target holds")?;
    if contents.is_empty() {
        return Ok(());
    }
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let found: Vec<String> = contents
        .iter()
        .map(|row| match (text(&row[0]), text(&row[1]).as_str()) {
            (class, "1") => format!("{class} {}", text(&row[2])),
            (class, count) => format!("{count} {} ({}, …)", plural(&class), text(&row[2])),
        })
        .map(|line| line.chars().map(visible).collect())
        .collect();
    Err(Error::new(
        Kind::Refused,
        format!(
            "the target database {} is not empty: it holds {}",
            wire.describe(),
            found.join(", ")
        ),
    )
    .with_hint(
        "restore into a new database (createdb, or --create), let --clean --if-exists drop \
         what would be replaced, load only rows with --data-only, or allow it with --allow-non-empty",
    ))
}

fn plural(class: &str) -> String {
    match class.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if class.ends_with('s') => format!("{class}es"),
        None => format!("{class}s"),
    }
}

fn visible(character: char) -> char {
    if character.is_control() {
        ' '
    } else {
        character
    }
}

/// What makes a target unfit, or worth a word.
pub(super) async fn check(
    wire: &mut Wire,
    archived: ServerVersion,
    observer: &dyn Observer,
) -> Result<u64> {
    let mut warnings = 0;
    let mut warn = |text: String| {
        warnings += 1;
        observer.warning(text);
    };
    let version = wire.server_version();
    if version.major() < archived.major() && archived.num() > 0 {
        warn(format!(
            "the target is PostgreSQL {version}, older than the source's {archived}: views and \
             functions may use what it does not know"
        ));
    }
    if version.major() > ServerVersion::NEWEST_MAJOR {
        warn(format!(
            "PostgreSQL {version} is newer than any that is known; it is treated as {}",
            ServerVersion::NEWEST_MAJOR
        ));
    }
    if version.major() < ServerVersion::OLDEST_MAJOR {
        warn(format!(
            "PostgreSQL {version} is older than {}, the oldest that is supported",
            ServerVersion::OLDEST_MAJOR
        ));
    }
    let standby = wire
        .query(
            "SELECT pg_catalog.pg_is_in_recovery(), \
             pg_catalog.current_setting('session_replication_role')",
        )
        .await
        .context_with(|| "ask whether the target is a standby")?;
    let answer = |column: usize| standby.first()?.get(column)?.as_deref();
    // Set for a role or a database it holds for every session of this restore.
    if answer(1) == Some("replica") {
        warn(
            "the target's sessions have session_replication_role = replica: no trigger fires, and foreign keys that \
             are there do not check the rows that come"
                .to_owned(),
        );
    }
    if answer(0) == Some("t") {
        return Err(Error::new(
            Kind::Refused,
            format!("the target {} is a standby", wire.describe()),
        )
        .with_hint("restore into its primary"));
    }
    Ok(warnings)
}

/// Refuses a target that somebody has set to read-only, so that nobody writes there. The sessions of a restore have
/// the setting off, for the sake of databases that they make themselves, so it is asked what they had at the login.
pub(super) async fn refuse_read_only(wire: &mut Wire) -> Result<()> {
    let rows = wire
        .query(
            "SELECT reset_val FROM pg_catalog.pg_settings \
             WHERE name = 'default_transaction_read_only'",
        )
        .await
        .context_with(|| "ask whether the target is set to read-only")?;
    if rows.into_iter().flatten().next().flatten().as_deref() != Some("on") {
        return Ok(());
    }
    Err(Error::new(
        Kind::Refused,
        format!(
            "the target {} is set to read-only (default_transaction_read_only)",
            wire.describe()
        ),
    )
    .with_hint(
        "take that back (ALTER DATABASE … RESET default_transaction_read_only), or set it aside for this \
         restore: PGOPTIONS='-c default_transaction_read_only=off'",
    ))
}

/// How the database is made.
pub(super) struct Making<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Drops one of that name first, and what it means when there is none.
    pub(super) drop_first: Option<Absent>,
    /// What to do when the name is taken.
    pub(super) way_out: &'static str,
    /// Ends the sessions in the one that is dropped.
    pub(super) force: bool,
    /// Whether the statements are worded for this server.
    pub(super) worded: bool,
    /// The version of the archive's source.
    pub(super) archived: ServerVersion,
}

/// Whether there is a database of this name, and whether it is a template.
pub(super) async fn find_database(wire: &mut Wire, name: &str) -> Result<Option<bool>> {
    let rows = wire
        .query(&format!(
            "SELECT datistemplate FROM pg_catalog.pg_database WHERE datname = {}",
            literal(name)
        ))
        .await
        .context_with(|| "look which databases there are")?;
    Ok(rows.first().map(|row| row[0].as_deref() == Some("t")))
}

/// Refuses a name that is taken.
pub(super) async fn refuse_existing_database(
    wire: &mut Wire,
    name: &str,
    way_out: &'static str,
) -> Result<()> {
    if find_database(wire, name).await?.is_none() {
        return Ok(());
    }
    let shown: String = name.chars().map(visible).collect();
    Err(Error::new(
        Kind::Refused,
        format!("database \"{shown}\" already exists"),
    )
    .with_sqlstate(SqlState::DUPLICATE_DATABASE)
    .with_hint(way_out))
}

/// What to do about the name of a database that is taken. It may be another than the archive's, which is not to be
/// dropped in its place.
pub(super) fn way_out_of_taken(options: &RestoreOptions) -> &'static str {
    match options.create_as {
        Some(_) => "choose another name, or drop it first with --clean and the same --create-as",
        None => "drop it first with --clean --create, or restore without --create",
    }
}

/// Drops (if asked) and makes the database; the session must be in another one.
pub(super) async fn create_database(
    wire: &mut Wire,
    entries: &[Entry],
    database: &[EntryId],
    how: &Making<'_>,
) -> Result<()> {
    let of = |id: &EntryId| entries.get(*id as usize - 1);
    let made = database
        .iter()
        .filter_map(of)
        .find(|entry| entry.kind == "DATABASE")
        .ok_or_else(|| {
            Error::new(
                Kind::Failed,
                "the archive does not say how its database is made",
            )
            .with_hint("make the database yourself and restore without --create")
        })?;
    if let Some(absent) = how.drop_first {
        // A template cannot be dropped as long as it is one.
        let was_template = find_database(wire, how.name).await? == Some(true);
        let name = ident(how.name);
        if was_template {
            let no_template = format!("ALTER DATABASE {name} IS_TEMPLATE = false");
            run(wire, made, &no_template).await?;
        }
        let entries = database.iter().rev().filter_map(of);
        if let Err(error) = drop_database(wire, entries, absent, how.force).await {
            // It is still there, and is to be what it was.
            if was_template {
                let template = format!("ALTER DATABASE {name} IS_TEMPLATE = true");
                if wire.execute(&template).await.is_err() {
                    return Err(error.with_hint(format!(
                        "it is no template any more and could not be made one again: {template}"
                    )));
                }
            }
            return Err(error);
        }
    }
    // CREATE DATABASE stands alone: it cannot be in a transaction. What else the entry has sets
    // the database up.
    if let Some(statement) = made.create.first() {
        // Before 15 there was one provider and no word for it; later servers take the template's,
        // and sort by that, unless they are told.
        let old = !how.worded && !how.archived.at_least(15);
        let statement = if wire.server_version().at_least(15) && old {
            format!("{statement} LOCALE_PROVIDER = libc")
        } else {
            statement.clone()
        };
        run(wire, made, &statement).await.map_err(|error| {
            if error.sqlstate() == Some(&SqlState::DUPLICATE_DATABASE) {
                error.with_kind(Kind::Refused).with_hint(how.way_out)
            } else {
                error
            }
        })?;
    }
    Ok(())
}

async fn drop_database(
    wire: &mut Wire,
    entries: impl Iterator<Item = &Entry>,
    absent: Absent,
    force: bool,
) -> Result<()> {
    for entry in entries {
        for statement in &entry.drop {
            let with_force = if force { " WITH (FORCE)" } else { "" };
            let statement = format!("{}{with_force}", absent.applied_to(statement));
            run(wire, entry, &statement).await.map_err(|error| {
                if error.sqlstate() == Some(&SqlState::OBJECT_IN_USE) && !force {
                    error.with_hint("end the sessions in it, or have that done with --force")
                } else {
                    error
                }
            })?;
        }
    }
    Ok(())
}

async fn run(wire: &mut Wire, entry: &Entry, statement: &str) -> Result<()> {
    wire.execute(statement)
        .await
        .map(|_| ())
        .map_err(|error| super::failure::of_statement(error, entry, statement))
}
