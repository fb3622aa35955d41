//! A dump.

use pgstow::catalog::Selection;
use pgstow::config::unit::server_duration;
use pgstow::encryption::Recipients;
use pgstow::error::{Context as _, Error, Kind, Result};
use pgstow::ops::{DumpOptions, GlobalsOptions, SnapshotMode};
use pgstow::select::{Content, Globals, LeaveOut};
use pgstow::sql::Quoting;
use pgstow::storage::Location;

use super::chosen::{content, leave_out, refuse_exclude_database, rules, sections, statistics};
use super::connection::{Connection, conn, connection, names_database, source};
use super::figures::{jobs, memory};
use super::together;
use crate::{args, keys};

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
        if let Some(when) = args.compress.pack_tables {
            options.pack_tables = when.parse()?;
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

/// The directory of --all-databases, which is a local one.
pub(super) fn local_directory(file: &str) -> Result<()> {
    match Location::parse(file)? {
        Location::Object(_) => Err(Error::new(
            Kind::Usage,
            "option --all-databases needs a local directory, not an object store",
        )),
        _ => Ok(()),
    }
}

/// What is read of a database, and how.
pub(super) fn reading(what: args::What, of: args::Reading) -> Result<DumpOptions> {
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

/// What of the whole server a dump takes.
pub(super) fn dump_globals(args: &args::Dump) -> Result<GlobalsOptions> {
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
