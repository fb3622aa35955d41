//! What the arguments mean: options of the library, and where input, output and messages go.

use std::fmt::Display;
use std::io::Read as _;

use pgstow::EntryFilter;
use pgstow::archive::{Section, Sections};
use pgstow::catalog::Selection;
use pgstow::config::unit::{bytes, server_duration};
use pgstow::connect::{Config, ConfigSource, Environment as _, PasswordPrompt, ProcessEnv};
use pgstow::encryption::{Keys, Recipients};
use pgstow::error::{Context as _, Error, Kind, Result, system_reason};
use pgstow::ops::{
    Comparison, CopyOptions, DumpOptions, GlobalsOptions, ListOptions, Needs, OnError,
    RestoreOptions, Sessions, SnapshotMode, SqlOptions, SwapOptions, TargetState, UseList,
    VerifyOptions, default_jobs,
};
use pgstow::select::{Content, Globals, LeaveOut, Rule};
use pgstow::sql::{Quoting, ServerVersion, into_text};
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

/// A database, and whether its password is asked for.
#[derive(Debug)]
pub struct Connection {
    pub config: Config,
    pub password: PasswordPrompt,
}

/// A dump as it is to be done.
#[derive(Debug)]
pub struct Dump {
    /// With --all-databases: patterns of those that are not wanted.
    pub all_databases: Option<Vec<String>>,
    pub connection: Connection,
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
    pub source: Connection,
    pub target: Connection,
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
    pub script: String,
    pub keys: Keys,
    pub options: SqlOptions,
}

impl Dump {
    pub fn new(args: args::Dump) -> Result<Self> {
        let globals = dump_globals(&args)?;
        let conn = conn(args.source)?;
        let file = args.file.ok_or_else(|| {
            Error::new(Kind::Usage, "no output file")
                .with_hint("say where the archive goes: -f FILE, or -f - for standard output")
        })?;
        let all_databases = args.all.all_databases.then_some(args.all.exclude_database);
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
            if args.reading.snapshot.snapshot.is_some() {
                return Err(together("--all-databases", "--snapshot"));
            }
        }
        let conn = match &all_databases {
            Some(_) if !names_database() => Some(conn.unwrap_or_else(|| "postgres".to_owned())),
            _ => conn,
        };
        let mut options = reading(args.what, args.reading)?;
        if args.quote_all_identifiers {
            options.quoting = Quoting::Always;
        }
        options.globals = globals;
        if let Some(compression) = args.compress.compress {
            options.compression = compression.parse()?;
        }
        options.role = args.server.role.clone();
        options.validate()?;
        let connection = connection(&source(conn, args.server)?)?;
        Ok(Self {
            all_databases,
            connection,
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
        let filled = filling(&args.what, args.into, &args.reading.resources)?;
        let globals = which_globals(&args.whole_server)?;
        let role_passwords = !args.role_passwords.no_role_passwords;
        if !role_passwords && globals == Globals::No {
            return Err(Error::new(
                Kind::Usage,
                "option --no-role-passwords requires --globals or --globals-only",
            ));
        }
        let sequence_data = args.reading.sequence_data;
        let mut read = reading(args.what, args.reading)?;
        read.role = args.source_role;
        read.globals = GlobalsOptions {
            which: globals,
            role_passwords,
            ..GlobalsOptions::default()
        };
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
        let password = asking(&args.ask)?;
        let resolve = |conn| {
            connection(&ConfigSource {
                dbname: Some(conn),
                password,
                ..ConfigSource::default()
            })
        };
        Ok(Self {
            source: resolve(args.source)?,
            target: resolve(args.target)?,
            dry_run: args.dry_run,
            options,
        })
    }
}

impl Verify {
    pub fn new(args: args::Verify) -> Result<Self> {
        let server = &args.server;
        if args.against.is_none() {
            let given = [
                ("-h/--host", server.host.is_some()),
                ("-p/--port", server.port.is_some()),
                ("-U/--username", server.username.is_some()),
                ("-W/--password", server.ask.password),
                ("--role", server.role.is_some()),
                ("-j/--jobs", args.sessions.jobs.is_some()),
            ];
            if let Some((name, _)) = given.into_iter().find(|(_, given)| *given) {
                return Err(Error::new(
                    Kind::Usage,
                    format!("option {name} requires option --against"),
                ));
            }
        } else if args.archive.file == "-" {
            return Err(Error::new(
                Kind::Usage,
                "option --against needs an archive in a file, not from standard input",
            ));
        }
        let role = server.role.clone();
        let source = source(args.against, args.server)?;
        let against = match source.dbname {
            Some(_) => Some(connection(&source)?.config),
            None => None,
        };
        let options = VerifyOptions {
            against,
            jobs: jobs(&args.sessions)?,
            role,
        };
        options.validate()?;
        Ok(Self {
            file: args.archive.file,
            password: source.password,
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
    options.content = content(&args.what.parts)?;
    options.sections = sections(&args.what.parts)?;
    options.leave_out = LeaveOut {
        statistics: !statistics(&args.what.parts, true)?,
        ..leave_out(&args.what.left_out)
    };
    let file = args.archive.file;
    options.filter = filter(args.what.names, args.pick, &file)?;
    Ok((file, keys, options))
}

impl Sql {
    pub fn new(args: args::Sql) -> Result<Self> {
        let options = SqlOptions {
            content: content(&args.what.parts)?,
            sections: sections(&args.what.parts)?,
            clean: args.clean.clean,
            if_exists: args.clean.if_exists,
            leave_out: leave_out(&args.what.left_out),
            target_version: args.target_version.as_deref().map(version).transpose()?,
            skip_impossible: args.impossible.skip_impossible,
            role: args.role,
            restrict: !args.no_restrict,
            globals: which_globals(&args.whole_server)?,
            role_passwords: !args.role_passwords.no_role_passwords,
            statistics: statistics(&args.what.parts, false)?,
            filter: filter(args.what.names, args.pick, &args.archive.file)?,
        };
        options.validate()?;
        Ok(Self {
            archive: args.archive.file,
            script: args.script,
            keys: keys::keys(&args.decrypt)?,
            options,
        })
    }
}

/// What is read of a database, and how.
fn reading(what: args::What, of: args::Reading) -> Result<DumpOptions> {
    let (names, parts, snapshot) = (what.names, what.parts, of.snapshot);
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
    let neither = parts.no_data && parts.no_schema;
    let content = if neither && of.sequence_data {
        Content::StatisticsOnly
    } else {
        content(&parts)?
    };
    if content == Content::SchemaOnly && large_objects == Some(true) {
        return Err(together("-s/--schema-only", "-b/--large-objects"));
    }
    let mut options = DumpOptions::default();
    options.sections = sections(&parts)?;
    options.leave_out = LeaveOut {
        statistics: !statistics(&parts, true)?,
        toast_compression: of.no_toast_compression,
        ..leave_out(&what.left_out)
    };
    options.extension_versions = of.as_there.extension_versions;
    options.selection = Selection {
        extensions: of.extension,
        exclude_extensions: names.exclude_extension,
        schemas: names.schema,
        exclude_schemas: names.excluded.exclude_schema,
        tables: names.table,
        tables_and_children: names.table_and_children,
        exclude_tables: names.excluded.exclude_table,
        exclude_tables_and_children: names.exclude_table_and_children,
        exclude_table_data: names.excluded.exclude_table_data,
        exclude_table_data_and_children: names.exclude_table_data_and_children,
        content,
        foreign_data: of.include_foreign_data,
        large_objects,
        sequence_data: of.sequence_data,
        no_unlogged_table_data: of.no_unlogged_table_data,
        load_via_partition_root: of.as_there.load_via_partition_root,
        strict_names: names.strict_names,
    };
    for file in &names.filter {
        let (rules, source) = rules(file)?;
        options.selection.add(rules, &source)?;
    }
    options.enable_row_security = of.enable_row_security;
    options.jobs = jobs(&of.resources.sessions)?;
    options.memory_bytes = memory(&of.resources, options.memory_bytes)?;
    if let Some(format) = &of.format.copy_format {
        options.copy_format = format.parse()?;
    }
    options.snapshot = mode;
    let patience = snapshot.locks.lock_wait_timeout;
    let patience = patience.as_deref().map(server_duration).transpose();
    options.lock_wait_timeout = patience.context_with(|| "--lock-wait-timeout")?;
    Ok(options)
}

/// Whether the database is made first.
fn creates(into: &args::Into) -> bool {
    into.create || into.create_as.is_some()
}

/// How a target is filled; which entries, is left open.
fn filling(
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

fn which_globals(whole: &args::WholeServer) -> Result<Globals> {
    match (whole.globals, whole.globals_only) {
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

/// Refuses patterns of databases where one alone is meant.
fn refuse_exclude_database(all: &args::AllDatabases) -> Result<()> {
    if all.exclude_database.is_empty() || all.all_databases {
        return Ok(());
    }
    Err(Error::new(
        Kind::Usage,
        "option --exclude-database requires option --all-databases",
    ))
}

/// With --all-databases: patterns of databases that a restore leaves out.
fn all_databases(args: &args::Restore) -> Result<Option<Vec<String>>> {
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

/// What of the whole server a dump takes.
fn dump_globals(args: &args::Dump) -> Result<GlobalsOptions> {
    let alone = [
        (args.whole_server.globals_only, "-g/--globals-only"),
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
    let all = args.all.all_databases;
    if let (Some(one), true) = (given.first(), all) {
        return Err(together(one, "--all-databases"));
    }
    refuse_exclude_database(&args.all)?;
    let no_role_passwords = args.role_passwords.no_role_passwords;
    let which = match (given.is_empty(), args.whole_server.globals || all) {
        (false, _) => Globals::Alone,
        (true, true) => Globals::With,
        (true, false) => Globals::No,
    };
    if no_role_passwords && (which == Globals::No || args.tablespaces_only) {
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
        role_passwords: !no_role_passwords,
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

/// The database that is said as an argument or an option.
pub fn conn(source: args::Source) -> Result<Option<String>> {
    match (source.conn, source.database.dbname) {
        (Some(_), Some(_)) => Err(together("CONN", "-d/--dbname")),
        (conn, dbname) => Ok(conn.or(dbname)),
    }
}

/// What the command line says of a connection.
pub fn source(conn: Option<String>, server: args::Server) -> Result<ConfigSource> {
    Ok(ConfigSource {
        conninfo: None,
        host: server.host,
        port: server.port,
        user: server.username,
        dbname: conn,
        password: asking(&server.ask)?,
    })
}

fn connection(source: &ConfigSource) -> Result<Connection> {
    Ok(Connection {
        config: Config::resolve(source, &ProcessEnv)?,
        password: source.password,
    })
}

fn asking(ask: &args::Ask) -> Result<PasswordPrompt> {
    match (ask.no_password, ask.password) {
        (true, true) => Err(together("-w/--no-password", "-W/--password")),
        (true, false) => Ok(PasswordPrompt::Never),
        (false, true) => Ok(PasswordPrompt::Force),
        (false, false) => Ok(PasswordPrompt::Auto),
    }
}

fn content(parts: &args::Parts) -> Result<Content> {
    let options = [
        ("-s/--schema-only", parts.schema_only),
        ("-a/--data-only", parts.data_only),
        ("--no-data", parts.no_data),
        ("--no-schema", parts.no_schema),
        ("--statistics-only", parts.statistics_only),
    ];
    for (one, other) in [(0, 1), (1, 2), (0, 3), (0, 4), (1, 4)] {
        if options[one].1 && options[other].1 {
            return Err(together(options[one].0, options[other].0));
        }
    }
    if parts.statistics_only {
        return Ok(Content::StatisticsOnly);
    }
    let schema = !parts.data_only && !parts.no_schema;
    let data = !parts.schema_only && !parts.no_data;
    Ok(match (schema, data) {
        (true, false) => Content::SchemaOnly,
        (false, true) => Content::DataOnly,
        (true, true) => Content::All,
        (false, false) if parts.statistics => Content::StatisticsOnly,
        (false, false) => return Err(together("--no-data", "--no-schema")),
    })
}

/// Whether planner statistics are wanted: said outright, or `usual` with schema and data.
fn statistics(parts: &args::Parts, usual: bool) -> Result<bool> {
    match (parts.statistics, parts.no_statistics, parts.statistics_only) {
        (true, true, _) => Err(together("--statistics", "--no-statistics")),
        (_, true, true) => Err(together("--no-statistics", "--statistics-only")),
        (true, _, _) | (_, _, true) => Ok(true),
        (_, true, _) => Ok(false),
        (false, false, false) => Ok(usual && matches!(content(parts), Ok(Content::All))),
    }
}

fn sections(parts: &args::Parts) -> Result<Sections> {
    if parts.section.is_empty() {
        return Ok(Sections::ALL);
    }
    parts
        .section
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

fn filter(names: args::Names, pick: args::Pick, archive: &str) -> Result<EntryFilter> {
    let mut filter = EntryFilter {
        schemas: names.schema,
        exclude_schemas: names.excluded.exclude_schema,
        tables: names.table,
        tables_and_children: names.table_and_children,
        exclude_tables: names.excluded.exclude_table,
        exclude_tables_and_children: names.exclude_table_and_children,
        exclude_table_data: names.excluded.exclude_table_data,
        exclude_table_data_and_children: names.exclude_table_data_and_children,
        extensions: pick.extension,
        exclude_extensions: names.exclude_extension,
        indexes: pick.index,
        functions: pick.function,
        triggers: pick.trigger,
        use_list: None,
        needs: if pick.no_dependencies {
            Needs::LeftOut
        } else {
            Needs::PulledIn
        },
        strict_names: names.strict_names,
    };
    let lists = names.filter.iter().chain(&pick.use_list);
    let from_stdin = lists.filter(|file| *file == "-").count();
    if from_stdin + usize::from(archive == "-") > 1 {
        return Err(Error::new(
            Kind::Usage,
            "only one of the archive, --filter and -L/--use-list can come from standard input",
        ));
    }
    for file in &names.filter {
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
    let bytes = bytes.map_err(|error| failed(Kind::Storage, &system_reason(&error)))?;
    // Names in a database in SQL_ASCII may have any bytes.
    Ok((into_text(bytes), source))
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

fn leave_out(left_out: &args::LeftOut) -> LeaveOut {
    LeaveOut {
        owners: left_out.no_owner,
        privileges: left_out.no_privileges,
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

fn memory(resources: &args::Resources, default: u64) -> Result<u64> {
    match &resources.memory {
        Some(size) => bytes(size).context_with(|| "--memory"),
        None => Ok(default),
    }
}

fn jobs(sessions: &args::Jobs) -> Result<usize> {
    let Some(text) = &sessions.jobs else {
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
        let parts = |names: &[&str]| args::Parts {
            section: names.iter().map(|&name| name.to_owned()).collect(),
            ..args::Parts::default()
        };
        assert_eq!(sections(&parts(&[])).unwrap(), Sections::ALL);
        assert_eq!(
            sections(&parts(&["data", "pre-data"])).unwrap(),
            Sections {
                post_data: false,
                ..Sections::ALL
            }
        );
        assert!(sections(&parts(&["middle"])).is_err());
    }
}
