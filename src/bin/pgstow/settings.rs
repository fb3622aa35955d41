//! What the arguments mean: options of the library, and where input, output and messages go.

use std::fmt::Display;
use std::io::Read as _;

use pgstow::EntryFilter;
use pgstow::archive::{Section, Sections};
use pgstow::catalog::Selection;
use pgstow::config::unit::{bytes, server_duration};
use pgstow::connect::{Config, ConfigSource, Environment, PasswordPrompt, ProcessEnv};
use pgstow::encryption::{Keys, Recipients};
use pgstow::error::{Error, Kind, Result};
use pgstow::ops::{
    Comparison, CopyOptions, DumpOptions, GlobalsOptions, ListOptions, Needs, OnError,
    RestoreOptions, Sessions, SnapshotMode, SqlOptions, SwapOptions, TargetState, UseList,
    VerifyOptions, default_jobs,
};
use pgstow::select::{Content, Globals, LeaveOut, Rule};
use pgstow::sql::{Quoting, ServerVersion};
use pgstow::storage::Location;

use super::{args, keys};

/// How much is said, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Talk {
    /// How much.
    pub volume: Volume,
    /// Whether events are written as JSON.
    pub json: bool,
    /// Whether standard output is taken by an archive or a script.
    pub stdout_is_taken: bool,
}

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volume {
    /// Warnings and errors.
    Quiet,
    /// Progress too.
    Normal,
    /// Everything.
    Verbose,
}

/// A dump as it is to be done.
#[derive(Debug)]
pub struct Dump {
    /// With --all-databases: patterns of those that are not wanted.
    pub all_databases: Option<Vec<String>>,
    pub config: Config,
    pub password: PasswordPrompt,
    pub file: String,
    /// For whom the archive is encrypted.
    pub recipients: Option<Recipients>,
    pub options: DumpOptions,
}

/// A restore as it is to be done.
#[derive(Debug)]
pub struct Restore {
    /// With --all-databases: patterns of those that are not wanted.
    pub all_databases: Option<Vec<String>>,
    /// None when the plan is made of the archive alone.
    pub config: Option<Config>,
    pub password: PasswordPrompt,
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

/// A copy as it is to be done.
#[derive(Debug)]
pub struct Copy {
    pub source: Config,
    pub target: Config,
    pub password: PasswordPrompt,
    /// Whether only the plan is shown.
    pub dry_run: bool,
    pub options: CopyOptions,
}

/// A verification as it is to be done.
#[derive(Debug)]
pub struct Verify {
    pub file: String,
    pub password: PasswordPrompt,
    pub keys: Keys,
    pub options: VerifyOptions,
}

/// A script as it is to be written.
#[derive(Debug)]
pub struct Sql {
    pub archive: String,
    pub file: String,
    pub keys: Keys,
    pub options: SqlOptions,
}

impl Dump {
    pub fn new(args: args::Dump) -> Result<Self> {
        let conn = match (args.conn, args.dbname) {
            (Some(_), Some(_)) => {
                return Err(together("CONN", "-d/--dbname"));
            }
            (conn, dbname) => conn.or(dbname),
        };
        let file = args.file.ok_or_else(|| {
            Error::new(Kind::Usage, "no output file")
                .with_hint("say where the archive goes: -f FILE, or -f - for standard output")
        })?;
        let all_databases = args
            .globals
            .all_databases
            .then(|| args.globals.exclude_database.clone());
        let recipients = keys::recipients(&args.encrypt)?;
        if all_databases.is_some() {
            local_directory(&file)?;
            if recipients.is_some() {
                return Err(together("--all-databases", "encryption"));
            }
            if file == "-" {
                return Err(together("--all-databases", "-f -")
                    .with_hint("the archives go into a directory: -f DIRECTORY"));
            }
            if args.snapshot.snapshot.is_some() {
                return Err(together("--all-databases", "--snapshot"));
            }
        }
        let conn = match &all_databases {
            Some(_) if !names_database() => Some(conn.unwrap_or_else(|| "postgres".to_owned())),
            _ => conn,
        };
        let mut options = reading(
            args.what,
            args.of_database,
            &args.left_out,
            args.snapshot,
            &args.resources,
        )?;
        if args.quote_all_identifiers {
            options.quoting = Quoting::Always;
        }
        options.globals = dump_globals(&args.globals)?;
        options.compression = args.compress.parse()?;
        options.copy_format = args.copy_format.parse()?;
        options.role = args.server.role.clone();
        options.validate()?;
        let password = password(&args.server)?;
        let config = config(conn, args.server, password, &ProcessEnv)?;
        Ok(Self {
            all_databases,
            config,
            password,
            file,
            recipients,
            options,
        })
    }
}

impl Restore {
    pub fn new(mut args: args::Restore) -> Result<Self> {
        if args.exit_on_error && args.into.go_on {
            return Err(together("-e/--exit-on-error", "--continue"));
        }
        if args.target_version.is_some() && args.dbname.is_some() && args.dry_run {
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
        let create = args.create || args.create_as.is_some();
        let consent = consent(&args.care)?;
        let swap = swap(&mut args)?;
        let filled = filling(
            &args.what,
            &args.left_out,
            args.into,
            &args.resources,
            create,
        )?;
        let options = RestoreOptions {
            target_version: args.target_version.as_deref().map(version).transpose()?,
            create_as: args.create_as,
            globals: which_globals(args.globals.globals, args.globals.globals_only)?,
            role: args.server.role.clone(),
            extension_versions: args.extension_versions,
            load_via_partition_root: args.load_via_partition_root,
            resume: args.resume,
            filter: filter(args.what, args.pick, &args.file)?,
            ..filled
        };
        options.validate()?;
        if let Some(swap) = &swap {
            swap.options(&options).validate()?;
        }
        let password = password(&args.server)?;
        let config = if args.dry_run && args.dbname.is_none() {
            None
        } else {
            if args.dbname.is_none() && !names_database() {
                return Err(Error::new(Kind::Usage, "no target database")
                    .with_hint("say where to restore to: -d CONN"));
            }
            Some(config(args.dbname, args.server, password, &ProcessEnv)?)
        };
        Ok(Self {
            all_databases,
            config,
            password,
            file: args.file,
            dry_run: args.dry_run,
            keys: keys::keys(&args.decrypt)?,
            options,
            swap,
            consent,
        })
    }
}

/// With --swap, what it needs besides; --force is its own then.
fn swap(args: &mut args::Restore) -> Result<Option<Swap>> {
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
    if args.globals.all_databases {
        return Err(together("--swap", "--all-databases"));
    }
    if args.create || args.create_as.is_some() {
        return Err(together("--swap", "-C/--create").with_hint(
            "--swap takes the place of a database that is there; --create makes one that is not",
        ));
    }
    if args.dbname.is_none() && args.dry_run {
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

fn consent(care: &args::Care) -> Result<Consent> {
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

impl Copy {
    pub fn new(args: args::Copy) -> Result<Self> {
        let password = asking(args.no_password, args.password)?;
        let create = args.create || args.create_as.is_some();
        let filled = filling(
            &args.what,
            &args.left_out,
            args.into,
            &args.resources,
            create,
        )?;
        let globals = which_globals(args.globals, args.globals_only)?;
        let sequence_data = args.of_database.sequence_data;
        let mut read = reading(
            args.what,
            args.of_database,
            &args.left_out,
            args.snapshot,
            &args.resources,
        )?;
        read.copy_format = args.copy_format.parse()?;
        read.role = args.source_role;
        read.globals = GlobalsOptions {
            which: globals,
            role_passwords: !args.no_role_passwords,
            ..GlobalsOptions::default()
        };
        if args.no_role_passwords && globals == Globals::No {
            return Err(Error::new(
                Kind::Usage,
                "option --no-role-passwords requires --globals or --globals-only",
            ));
        }
        // The one session that loads can take no more than one that reads gives.
        read.jobs = filled.jobs;
        let options = CopyOptions {
            target: RestoreOptions {
                // What was read is wanted, sequence values among it.
                content: match filled.content {
                    Content::SchemaOnly if sequence_data => Content::All,
                    Content::StatisticsOnly if sequence_data => Content::DataOnly,
                    content => content,
                },
                create_as: args.create_as,
                globals,
                role: args.target_role,
                ..filled
            },
            source: read,
            comparison: if args.no_verify {
                Comparison::Counts
            } else {
                Comparison::Fingerprints
            },
        };
        options.validate()?;
        let resolve = |conn| config(Some(conn), args::Server::default(), password, &ProcessEnv);
        Ok(Self {
            source: resolve(args.source)?,
            target: resolve(args.target)?,
            password,
            dry_run: args.dry_run,
            options,
        })
    }
}

impl Verify {
    pub fn new(args: args::Verify) -> Result<Self> {
        let password = password(&args.server)?;
        let server = &args.server;
        if args.against.is_none() {
            let given = [
                ("-h/--host", server.host.is_some()),
                ("-p/--port", server.port.is_some()),
                ("-U/--username", server.username.is_some()),
                ("-W/--password", server.password),
                ("--role", server.role.is_some()),
                ("-j/--jobs", args.jobs.is_some()),
            ];
            if let Some((name, _)) = given.into_iter().find(|(_, given)| *given) {
                return Err(Error::new(
                    Kind::Usage,
                    format!("option {name} requires option --against"),
                ));
            }
        } else if args.file == "-" {
            return Err(Error::new(
                Kind::Usage,
                "option --against needs an archive in a file, not from standard input",
            ));
        }
        let role = server.role.clone();
        let against = args
            .against
            .map(|conn| config(Some(conn), args.server, password, &ProcessEnv))
            .transpose()?;
        let options = VerifyOptions {
            against,
            jobs: jobs(args.jobs.as_deref())?,
            role,
        };
        options.validate()?;
        Ok(Self {
            file: args.file,
            password,
            keys: keys::keys(&args.decrypt)?,
            options,
        })
    }
}

/// The directory of --all-databases, which is a local one.
fn local_directory(file: &str) -> Result<()> {
    match Location::parse(file)? {
        Location::Object(_) => Err(Error::new(
            Kind::Usage,
            "option --all-databases needs a local directory, not an object store",
        )),
        _ => Ok(()),
    }
}

/// What is listed of an archive.
pub fn list(args: args::List) -> Result<(String, Keys, ListOptions)> {
    let keys = keys::keys(&args.decrypt)?;
    let mut options = ListOptions::default();
    options.content = content(&args.what)?;
    options.sections = sections(&args.what)?;
    options.leave_out = LeaveOut {
        statistics: !statistics(&args.what, true)?,
        ..leave_out(&args.what, &args.left_out)
    };
    options.filter = filter(args.what, args.pick, &args.file)?;
    Ok((args.file, keys, options))
}

impl Sql {
    pub fn new(args: args::Sql) -> Result<Self> {
        let options = SqlOptions {
            content: content(&args.what)?,
            sections: sections(&args.what)?,
            clean: args.clean,
            if_exists: args.if_exists,
            leave_out: leave_out(&args.what, &args.left_out),
            target_version: args.target_version.as_deref().map(version).transpose()?,
            skip_impossible: args.skip_impossible,
            role: args.role,
            restrict: !args.no_restrict,
            statistics: statistics(&args.what, false)?,
            filter: filter(args.what, args.pick, &args.archive)?,
        };
        options.validate()?;
        Ok(Self {
            archive: args.archive,
            file: args.file,
            keys: keys::keys(&args.decrypt)?,
            options,
        })
    }
}

/// What is read of a database, and how.
fn reading(
    what: args::What,
    of: args::OfDatabase,
    left_out: &args::LeftOut,
    snapshot: args::Snapshot,
    resources: &args::Resources,
) -> Result<DumpOptions> {
    let large_objects = match (of.large_objects, of.no_large_objects) {
        (true, true) => {
            return Err(together("-b/--large-objects", "-B/--no-large-objects"));
        }
        (true, false) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    };
    let mode = match (snapshot.serializable_deferrable, snapshot.snapshot) {
        (true, Some(_)) => {
            return Err(together("--serializable-deferrable", "--snapshot"));
        }
        (true, None) => SnapshotMode::SerializableDeferrable,
        (false, Some(id)) => SnapshotMode::Exported(id),
        (false, None) => SnapshotMode::RepeatableRead,
    };
    let neither = what.no_data && what.no_schema;
    let content = if neither && of.sequence_data {
        Content::StatisticsOnly
    } else {
        content(&what)?
    };
    if content == Content::SchemaOnly && large_objects == Some(true) {
        return Err(together("-s/--schema-only", "-b/--large-objects"));
    }
    let mut options = DumpOptions::default();
    options.sections = sections(&what)?;
    options.leave_out = LeaveOut {
        statistics: !statistics(&what, true)?,
        toast_compression: of.no_toast_compression,
        ..leave_out(&what, left_out)
    };
    options.extension_versions = of.extension_versions;
    options.selection = Selection {
        extensions: of.extension,
        exclude_extensions: of.exclude_extension,
        schemas: what.schema,
        exclude_schemas: what.exclude_schema,
        tables: what.table,
        tables_and_children: of.table_and_children,
        exclude_tables: what.exclude_table,
        exclude_tables_and_children: of.exclude_table_and_children,
        exclude_table_data: what.exclude_table_data,
        exclude_table_data_and_children: of.exclude_table_data_and_children,
        content,
        foreign_data: of.include_foreign_data,
        large_objects,
        sequence_data: of.sequence_data,
        no_unlogged_table_data: of.no_unlogged_table_data,
        load_via_partition_root: of.load_via_partition_root,
        strict_names: what.strict_names,
    };
    for file in &of.filter {
        let (rules, source) = rules(file)?;
        options.selection.add(rules, &source)?;
    }
    options.enable_row_security = of.enable_row_security;
    options.jobs = jobs(resources.jobs.as_deref())?;
    options.memory_bytes = bytes(&resources.memory)?;
    options.snapshot = mode;
    options.lock_wait_timeout = snapshot
        .lock_wait_timeout
        .as_deref()
        .map(server_duration)
        .transpose()?;
    Ok(options)
}

/// How a target is filled; which entries, is left open.
fn filling(
    what: &args::What,
    left_out: &args::LeftOut,
    into: args::Into,
    resources: &args::Resources,
    create: bool,
) -> Result<RestoreOptions> {
    if into.single_transaction && into.go_on {
        return Err(together("-1/--single-transaction", "--continue"));
    }
    if into.single_transaction && create {
        return Err(together("-1/--single-transaction", "-C/--create"));
    }
    Ok(RestoreOptions {
        content: content(what)?,
        sections: sections(what)?,
        leave_out: LeaveOut {
            statistics: !statistics(what, true)?,
            ..leave_out(what, left_out)
        },
        no_owner: what.no_owner,
        no_privileges: what.no_privileges,
        jobs: match resources.jobs.as_deref() {
            None if into.single_transaction => 1,
            given => jobs(given)?,
        },
        memory_bytes: bytes(&resources.memory)?,
        create,
        clean: into.clean,
        if_exists: into.if_exists,
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
        skip_impossible: into.skip_impossible,
        no_journal: into.no_journal,
        reconnect_timeout: match &into.reconnect_timeout {
            Some(text) => server_duration(text)?,
            None => RestoreOptions::default().reconnect_timeout,
        },
        ..RestoreOptions::default()
    })
}

fn which_globals(with: bool, alone: bool) -> Result<Globals> {
    match (with, alone) {
        (true, true) => Err(together("--globals", "-g/--globals-only")),
        (true, false) => Ok(Globals::With),
        (false, true) => Ok(Globals::Alone),
        (false, false) => Ok(Globals::No),
    }
}

/// Whether the environment says which database is meant.
fn names_database() -> bool {
    let named = |name| ProcessEnv.get(name).is_some_and(|value| !value.is_empty());
    named("PGDATABASE") || named("PGSERVICE")
}

/// With --all-databases: patterns of databases that a restore leaves out.
fn all_databases(args: &args::Restore) -> Result<Option<Vec<String>>> {
    let globals = &args.globals;
    if !globals.all_databases {
        if globals.exclude_database.is_empty() {
            return Ok(None);
        }
        return Err(Error::new(
            Kind::Usage,
            "option --exclude-database requires option --all-databases",
        ));
    }
    let what = &args.what;
    let selects = !what.schema.is_empty() || !what.table.is_empty();
    let contradicting = [
        (globals.globals_only, "-g/--globals-only"),
        (args.create_as.is_some(), "--create-as"),
        (args.into.single_transaction, "-1/--single-transaction"),
        (args.dry_run, "--dry-run"),
        (args.into.force, "--force"),
        (args.resume, "--resume"),
        (selects, "-n and -t"),
        (what.data_only, "-a/--data-only"),
        (!what.section.is_empty(), "--section"),
    ];
    match contradicting.into_iter().find(|(given, _)| *given) {
        Some((_, name)) => Err(together("--all-databases", name)),
        None => Ok(Some(globals.exclude_database.clone())),
    }
}

/// What of the whole server a dump takes.
fn dump_globals(args: &args::DumpGlobals) -> Result<GlobalsOptions> {
    let alone = [
        (args.globals_only, "-g/--globals-only"),
        (args.roles_only, "--roles-only"),
        (args.tablespaces_only, "--tablespaces-only"),
    ];
    let given: Vec<&str> = alone
        .into_iter()
        .filter_map(|(given, name)| given.then_some(name))
        .collect();
    if let [one, other, ..] = given.as_slice() {
        return Err(together(one, other));
    }
    if let (Some(one), true) = (given.first(), args.all_databases) {
        return Err(together(one, "--all-databases"));
    }
    if !args.exclude_database.is_empty() && !args.all_databases {
        return Err(Error::new(
            Kind::Usage,
            "option --exclude-database requires option --all-databases",
        ));
    }
    let which = match (given.is_empty(), args.globals || args.all_databases) {
        (false, _) => Globals::Alone,
        (true, true) => Globals::With,
        (true, false) => Globals::No,
    };
    if args.no_role_passwords && (which == Globals::No || args.tablespaces_only) {
        return Err(Error::new(
            Kind::Usage,
            "option --no-role-passwords requires that roles are dumped: --globals, \
             --globals-only, --roles-only or --all-databases",
        ));
    }
    Ok(GlobalsOptions {
        which,
        roles: !args.tablespaces_only,
        tablespaces: !args.roles_only,
        role_passwords: !args.no_role_passwords,
    })
}

/// How much is said.
pub fn talk(messages: &args::Messages, output: Option<&str>) -> Result<Talk> {
    if messages.quiet && messages.verbose {
        return Err(together("--quiet", "-v/--verbose"));
    }
    Ok(Talk {
        volume: if messages.quiet {
            Volume::Quiet
        } else if messages.verbose {
            Volume::Verbose
        } else {
            Volume::Normal
        },
        json: messages.json,
        stdout_is_taken: output == Some("-"),
    })
}

pub fn together(one: &str, other: &str) -> Error {
    Error::new(
        Kind::Usage,
        format!("options {one} and {other} cannot be used together"),
    )
}

fn config(
    conn: Option<String>,
    server: args::Server,
    password: PasswordPrompt,
    environment: &dyn Environment,
) -> Result<Config> {
    Config::resolve(
        &ConfigSource {
            conninfo: None,
            host: server.host,
            port: server.port,
            user: server.username,
            dbname: conn,
            password,
        },
        environment,
    )
}

pub fn password(server: &args::Server) -> Result<PasswordPrompt> {
    asking(server.no_password, server.password)
}

fn asking(never: bool, at_once: bool) -> Result<PasswordPrompt> {
    match (never, at_once) {
        (true, true) => Err(together("-w/--no-password", "-W/--password")),
        (true, false) => Ok(PasswordPrompt::Never),
        (false, true) => Ok(PasswordPrompt::Force),
        (false, false) => Ok(PasswordPrompt::Auto),
    }
}

fn content(what: &args::What) -> Result<Content> {
    let options = [
        ("-s/--schema-only", what.schema_only),
        ("-a/--data-only", what.data_only),
        ("--no-data", what.no_data),
        ("--no-schema", what.no_schema),
        ("--statistics-only", what.statistics_only),
    ];
    for (one, other) in [(0, 1), (1, 2), (0, 3), (0, 4), (1, 4)] {
        if options[one].1 && options[other].1 {
            return Err(together(options[one].0, options[other].0));
        }
    }
    if what.statistics_only {
        return Ok(Content::StatisticsOnly);
    }
    let schema = !what.data_only && !what.no_schema;
    let data = !what.schema_only && !what.no_data;
    Ok(match (schema, data) {
        (true, false) => Content::SchemaOnly,
        (false, true) => Content::DataOnly,
        (true, true) => Content::All,
        (false, false) if what.statistics => Content::StatisticsOnly,
        (false, false) => return Err(together("--no-data", "--no-schema")),
    })
}

/// Whether planner statistics are wanted: said outright, or `usual` with schema and data.
fn statistics(what: &args::What, usual: bool) -> Result<bool> {
    match (what.statistics, what.no_statistics, what.statistics_only) {
        (true, true, _) => Err(together("--statistics", "--no-statistics")),
        (_, true, true) => Err(together("--no-statistics", "--statistics-only")),
        (true, _, _) | (_, _, true) => Ok(true),
        (_, true, _) => Ok(false),
        (false, false, false) => Ok(usual && matches!(content(what), Ok(Content::All))),
    }
}

fn sections(what: &args::What) -> Result<Sections> {
    if what.section.is_empty() {
        return Ok(Sections::ALL);
    }
    what.section
        .iter()
        .try_fold(Sections::NONE, |sections, name| {
            let section = match name.as_str() {
                "pre-data" => Section::PreData,
                "data" => Section::Data,
                "post-data" => Section::PostData,
                _ => {
                    return Err(
                        Error::new(Kind::Usage, format!("unknown section \"{name}\""))
                            .with_hint("sections are pre-data, data and post-data"),
                    );
                }
            };
            Ok(sections.with(section))
        })
}

fn filter(what: args::What, pick: args::Pick, archive: &str) -> Result<EntryFilter> {
    let mut filter = EntryFilter {
        schemas: what.schema,
        exclude_schemas: what.exclude_schema,
        tables: what.table,
        tables_and_children: pick.table_and_children,
        exclude_tables: what.exclude_table,
        exclude_tables_and_children: pick.exclude_table_and_children,
        exclude_table_data: what.exclude_table_data,
        exclude_table_data_and_children: pick.exclude_table_data_and_children,
        extensions: pick.extension,
        exclude_extensions: pick.exclude_extension,
        indexes: pick.index,
        functions: pick.function,
        triggers: pick.trigger,
        use_list: None,
        needs: if pick.no_dependencies {
            Needs::LeftOut
        } else {
            Needs::PulledIn
        },
        strict_names: what.strict_names,
    };
    let lists = pick.filter.iter().chain(&pick.use_list);
    let from_stdin = lists.filter(|file| *file == "-").count();
    if from_stdin + usize::from(archive == "-") > 1 {
        return Err(Error::new(
            Kind::Usage,
            "only one of the archive, --filter and -L/--use-list can come from standard input",
        ));
    }
    for file in &pick.filter {
        let (rules, source) = rules(file)?;
        filter.add(rules, &source)?;
    }
    if let Some(file) = &pick.use_list {
        let (text, _) = text_of("list", file)?;
        let name = if file == "-" { "standard input" } else { file };
        filter.use_list = Some(UseList::parse(name, &text)?);
    }
    Ok(filter)
}

/// Reads a file of text, and says how it is called in messages; `what` is what it is for.
fn text_of(what: &str, file: &str) -> Result<(String, String)> {
    let (source, bytes) = if file == "-" {
        let mut bytes = Vec::new();
        let read = std::io::stdin().read_to_end(&mut bytes);
        ("standard input".to_owned(), read.map(|_| bytes))
    } else {
        (format!("file \"{file}\""), std::fs::read(file))
    };
    let failed = |kind, why: &dyn Display| Error::new(kind, format!("{what} {source}: {why}"));
    let bytes = bytes.map_err(|error| failed(Kind::Storage, &error))?;
    let text = String::from_utf8(bytes).map_err(|_| failed(Kind::Usage, &"it is not UTF-8"))?;
    Ok((text, source))
}

/// Reads a filter file, and says how it is called in messages.
fn rules(file: &str) -> Result<(Vec<Rule>, String)> {
    let (text, source) = text_of("filter", file)?;
    Ok((Rule::parse_all(&text, &source)?, source))
}

fn transaction_size(text: &str) -> Result<usize> {
    text.parse().ok().filter(|&size| size > 0).ok_or_else(|| {
        let why = format!("transaction size must be a number from 1 on, not \"{text}\"");
        Error::new(Kind::Usage, why)
    })
}

fn leave_out(what: &args::What, left_out: &args::LeftOut) -> LeaveOut {
    LeaveOut {
        owners: what.no_owner,
        privileges: what.no_privileges,
        comments: left_out.no_comments,
        security_labels: left_out.no_security_labels,
        policies: left_out.no_policies,
        publications: left_out.no_publications,
        subscriptions: left_out.no_subscriptions,
        tablespaces: left_out.no_tablespaces,
        table_access_methods: left_out.no_table_access_method,
        ..LeaveOut::default()
    }
}

fn jobs(text: Option<&str>) -> Result<usize> {
    let Some(text) = text else {
        return Ok(default_jobs());
    };
    text.parse()
        .ok()
        .filter(|jobs| (1..=1000).contains(jobs))
        .ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!("number of jobs must be from 1 to 1000, not \"{text}\""),
            )
        })
}

/// A major version such as 15.
fn version(text: &str) -> Result<ServerVersion> {
    text.parse()
        .ok()
        .filter(|major| (ServerVersion::OLDEST_MAJOR..=99).contains(major))
        .map(|major: u32| ServerVersion::from_num(major * 10_000))
        .ok_or_else(|| {
            Error::new(Kind::Usage, format!("unknown version \"{text}\""))
                .with_hint("give a major version of PostgreSQL, 13 or newer")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_names() {
        let what = |names: &[&str]| args::What {
            section: names.iter().map(|&name| name.to_owned()).collect(),
            ..args::What::default()
        };
        assert_eq!(sections(&what(&[])).unwrap(), Sections::ALL);
        assert_eq!(
            sections(&what(&["data", "pre-data"])).unwrap(),
            Sections {
                post_data: false,
                ..Sections::ALL
            }
        );
        assert!(sections(&what(&["middle"])).is_err());
    }
}
