//! A restore, and a swap.

use pgstow::config::unit::server_duration;
use pgstow::encryption::Keys;
use pgstow::error::{Context as _, Error, Kind, Result};
use pgstow::ops::{OnError, RestoreOptions, Sessions, SwapOptions, TargetState};
use pgstow::select::LeaveOut;

use super::chosen::{
    content, filter, leave_out, refuse_exclude_database, sections, statistics, which_globals,
};
use super::connection::{Connection, connection, names_database, source};
use super::figures::{jobs, memory, version};
use super::together;
use crate::{args, keys};

/// A restore as it is to be done.
#[derive(Debug)]
pub struct Restore {
    /// With --all-databases: patterns of those that are not wanted.
    pub all_databases: Option<Vec<String>>,
    /// None when the plan is made of the archive alone.
    pub connection: Option<Connection>,
    pub file: String,
    /// Whether only the plan is shown.
    pub dry_run: bool,
    pub keys: Keys,
    pub options: RestoreOptions,
    /// With --swap: how databases are exchanged.
    pub swap: Option<Swap>,
    pub consent: Consent,
}

/// How databases are exchanged.
#[derive(Debug)]
pub struct Swap {
    pub maintenance: Option<String>,
    pub sessions: Sessions,
}

impl Swap {
    /// With how the new database is filled.
    pub fn options(&self, restore: &RestoreOptions) -> SwapOptions {
        SwapOptions {
            restore: restore.clone(),
            maintenance: self.maintenance.clone(),
            sessions: self.sessions,
            at: None,
        }
    }
}

/// How the user agrees to what cannot be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// By typing the name of the database.
    Typed,
    /// By not interrupting for ten seconds.
    Countdown,
    /// By an option.
    Given,
}

impl Restore {
    pub fn new(mut args: args::Restore) -> Result<Self> {
        if args.exit_on_error && args.into.go_on {
            return Err(together("-e/--exit-on-error", "--continue"));
        }
        if args.target_version.is_some() && args.target.option.dbname.is_some() && args.dry_run {
            return Err(together("--target-version", "-d/--dbname")
                .with_hint("the target is asked for its version"));
        }
        if args.target_version.is_some() && !args.dry_run {
            return Err(Error::new(
                Kind::Usage,
                "option --target-version requires option --dry-run",
            )
            .with_hint("a restore asks its server"));
        }
        let all_databases = all_databases(&args)?;
        let consent = consent(&args.care)?;
        let swap = swap(&mut args)?;
        let filled = filling(&args.what, args.into, &args.resources)?;
        let options = RestoreOptions {
            target_version: args.target_version.as_deref().map(version).transpose()?,
            globals: which_globals(&args.whole_server)?,
            role: args.server.role.clone(),
            extension_versions: args.as_there.extension_versions,
            load_via_partition_root: args.as_there.load_via_partition_root,
            resume: args.resume,
            filter: filter(args.what.names, args.pick, &args.archive.file)?,
            ..filled
        };
        options.validate()?;
        if let Some(swap) = &swap {
            swap.options(&options).validate()?;
        }
        let conn = args.target.option.dbname;
        let connection = if args.dry_run && conn.is_none() {
            None
        } else {
            if conn.is_none() && !names_database() {
                return Err(Error::new(Kind::Usage, "no target database")
                    .with_hint("say where to restore to: -d CONN"));
            }
            Some(connection(&source(conn, args.server)?)?)
        };
        Ok(Self {
            all_databases,
            connection,
            file: args.archive.file,
            dry_run: args.dry_run,
            keys: keys::keys(&args.decrypt)?,
            options,
            swap,
            consent,
        })
    }
}

/// With --swap, what it needs besides; --force is its own then.
pub(super) fn swap(args: &mut args::Restore) -> Result<Option<Swap>> {
    let care = &mut args.care;
    if !care.swap {
        return match care.maintenance_db {
            Some(_) => Err(Error::new(
                Kind::Usage,
                "option --maintenance-db requires option --swap",
            )),
            None => Ok(None),
        };
    }
    if args.all.all_databases {
        return Err(together("--swap", "--all-databases"));
    }
    if creates(&args.into) {
        return Err(together("--swap", "-C/--create").with_hint(
            "--swap takes the place of a database that is there; --create makes one that is not",
        ));
    }
    if args.target.option.dbname.is_none() && args.dry_run {
        return Err(Error::new(Kind::Usage, "no target database")
            .with_hint("say which database is to be replaced: -d CONN"));
    }
    Ok(Some(Swap {
        maintenance: care.maintenance_db.take(),
        sessions: match std::mem::take(&mut args.into.force) {
            true => Sessions::End,
            false => Sessions::Refuse,
        },
    }))
}

pub(super) fn consent(care: &args::Care) -> Result<Consent> {
    match (care.yes, care.no_delay) {
        (false, true) => Err(Error::new(
            Kind::Usage,
            "option --no-delay requires option --yes",
        )),
        (false, false) => Ok(Consent::Typed),
        (true, false) => Ok(Consent::Countdown),
        (true, true) => Ok(Consent::Given),
    }
}

/// Whether the database is made first.
pub(super) fn creates(into: &args::Into) -> bool {
    into.create || into.create_as.is_some()
}

/// How a target is filled; which entries, is left open.
pub(super) fn filling(
    what: &args::What,
    into: args::Into,
    resources: &args::Resources,
) -> Result<RestoreOptions> {
    let create = creates(&into);
    let default = RestoreOptions::default();
    if into.single_transaction && into.go_on {
        return Err(together("-1/--single-transaction", "--continue"));
    }
    if into.single_transaction && create {
        return Err(together("-1/--single-transaction", "-C/--create"));
    }
    Ok(RestoreOptions {
        content: content(&what.parts)?,
        sections: sections(&what.parts)?,
        leave_out: LeaveOut {
            statistics: !statistics(&what.parts, true)?,
            ..leave_out(&what.left_out)
        },
        no_owner: what.left_out.no_owner,
        no_privileges: what.left_out.no_privileges,
        jobs: match &resources.sessions.jobs {
            None if into.single_transaction => 1,
            _ => jobs(&resources.sessions)?,
        },
        memory_bytes: memory(resources, default.memory_bytes)?,
        create,
        create_as: into.create_as,
        clean: into.clean.clean,
        if_exists: into.clean.if_exists,
        force_drop: into.force,
        target: if into.allow_non_empty {
            TargetState::Any
        } else {
            TargetState::Empty
        },
        disable_triggers: into.disable_triggers,
        superuser: into.superuser,
        single_transaction: into.single_transaction,
        transaction_size: into
            .transaction_size
            .as_deref()
            .map(transaction_size)
            .transpose()?,
        analyze: into.analyze,
        on_error: if into.go_on {
            OnError::Continue
        } else {
            OnError::Exit
        },
        skip_impossible: into.impossible.skip_impossible,
        no_journal: into.no_journal,
        reconnect_timeout: match &into.reconnect_timeout {
            Some(text) => server_duration(text).context_with(|| "--reconnect-timeout")?,
            None => default.reconnect_timeout,
        },
        ..default
    })
}

/// With --all-databases: patterns of databases that a restore leaves out.
pub(super) fn all_databases(args: &args::Restore) -> Result<Option<Vec<String>>> {
    refuse_exclude_database(&args.all)?;
    if !args.all.all_databases {
        return Ok(None);
    }
    let (names, parts) = (&args.what.names, &args.what.parts);
    let selects = !names.schema.is_empty() || !names.table.is_empty();
    let contradicting = [
        (args.whole_server.globals_only, "-g/--globals-only"),
        (args.into.create_as.is_some(), "--create-as"),
        (args.into.single_transaction, "-1/--single-transaction"),
        (args.dry_run, "--dry-run"),
        (args.into.force, "--force"),
        (args.resume, "--resume"),
        (selects, "-n and -t"),
        (parts.data_only, "-a/--data-only"),
        (!parts.section.is_empty(), "--section"),
    ];
    match contradicting.into_iter().find(|(given, _)| *given) {
        Some((_, name)) => Err(together("--all-databases", name)),
        None => Ok(Some(args.all.exclude_database.clone())),
    }
}

pub(super) fn transaction_size(text: &str) -> Result<usize> {
    text.parse().ok().filter(|&size| size > 0).ok_or_else(|| {
        let why = format!("transaction size must be a number from 1 on, not \"{text}\"");
        Error::new(Kind::Usage, why)
    })
}
