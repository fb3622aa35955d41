//! What was typed. Nothing is decided here; [`settings`](super::settings) says what it means.
//!
//! Options carry the names that pg_dump and pg_restore gave them. `-h` is the host, so help is
//! `--help` alone.

use super::repository::args as backups;
use clap::{ArgAction, Args as Group, Parser, Subcommand};

/// Dumps a live PostgreSQL database into one streamed, checksummed archive, and restores it in
/// parallel.
#[derive(Debug, Parser)]
#[command(
    name = "pgstow",
    version,
    propagate_version = true,
    disable_help_flag = true,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = false,
    after_help = after_help(),
    max_term_width = 100,
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Show this help
    #[arg(long, global = true, action = ArgAction::Help, help_heading = "Messages")]
    help: Option<bool>,
}

/// Shown below the list of commands.
fn after_help() -> String {
    let codes: Vec<String> = super::exit::TABLE
        .iter()
        .map(|(code, meaning)| format!("{code:>5}  {meaning}"))
        .collect();
    format!(
        "\
Exit codes:
{}

Examples:
  pgstow dump -d shop -f shop.pgstow
  pgstow dump -d shop -f s3://backups/shop.pgstow --encrypt-to age1…
  pgstow restore -d postgres --create shop.pgstow
  pgstow dump postgres://app@db1/shop -f - | pgstow restore -d postgres://app@db2/shop -
  pgstow verify shop.pgstow --against postgres://app@db2/shop

`pgstow COMMAND --help` shows the options of a command.",
        codes.join("\n")
    )
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a configuration and make its repository
    Init(Box<super::config::Init>),
    /// Check the configuration and show what holds
    Config(super::config::ConfigCommand),
    /// Dump a database into an archive
    Dump(Box<Dump>),
    /// Restore an archive into a database
    Restore(Box<Restore>),
    /// Copy a database straight into another, without an archive
    Copy(Box<Copy>),
    /// List what is in an archive
    List(Box<List>),
    /// Check every byte of an archive, and compare it with a live database
    Verify(Box<Verify>),
    /// Write an archive as a plain SQL script
    Sql(Box<Sql>),
    /// Make a backup: a dump into a repository, proven and recorded
    Backup(Box<backups::Backup>),
    /// List the backups of a repository
    Backups(Box<backups::Backups>),
    /// Show everything about a backup
    Show(Box<backups::Show>),
    /// Write the archive of a backup to a file
    Download(Box<backups::Download>),
    /// Delete a backup
    Delete(Box<backups::Delete>),
    /// Delete the backups that no rule keeps, and clean up
    Prune(Box<backups::Prune>),
    /// Keep a backup, whatever retention says
    Pin(Box<backups::Pin>),
    /// Let retention have a backup again
    Unpin(Box<backups::Unpin>),
    /// Show or check the audit log of a repository
    Audit(Box<backups::Audit>),
    /// Make records of backups anew that were lost
    Rebuild(Box<backups::Rebuild>),
    /// Look whether a backup could be made, and whether those that were made are as they should be
    Doctor(Box<Doctor>),
}

/// Where the server is and who logs in.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Connection")]
pub struct Server {
    /// Server host, socket directory, or a comma-separated list of hosts
    #[arg(short = 'h', long, value_name = "HOST")]
    pub host: Option<String>,
    /// Server port
    #[arg(short = 'p', long, value_name = "PORT")]
    pub port: Option<String>,
    /// Role that logs in
    #[arg(short = 'U', long, value_name = "NAME")]
    pub username: Option<String>,
    /// Never ask for a password
    #[arg(short = 'w', long)]
    pub no_password: bool,
    /// Ask for a password before connecting
    #[arg(short = 'W', long)]
    pub password: bool,
    /// SET ROLE after logging in
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
}

/// Where a passphrase comes from.
#[derive(Clone, Debug, Default, Group)]
#[command(next_help_heading = "Encryption")]
pub struct PassphraseFrom {
    /// A passphrase, the first line of this file (also in PGSTOW_PASSPHRASE)
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<String>,
    /// A passphrase, the first line that this shell command writes
    #[arg(long, value_name = "COMMAND")]
    pub passphrase_command: Option<String>,
}

/// For whom an archive is encrypted.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Encryption")]
pub struct Encrypt {
    /// Encrypt for the holder of the private key of this age1… public key (repeatable)
    #[arg(long, value_name = "RECIPIENT")]
    pub encrypt_to: Vec<String>,
    /// Encrypt for all age1… public keys in this file, one a line (repeatable)
    #[arg(long, value_name = "FILE")]
    pub recipients_file: Vec<String>,
    /// Encrypt with the passphrase in PGSTOW_PASSPHRASE
    #[arg(long)]
    pub encrypt_passphrase: bool,
    #[command(flatten)]
    pub passphrase: PassphraseFrom,
}

/// What an encrypted archive is read with.
#[derive(Clone, Debug, Default, Group)]
#[command(next_help_heading = "Encryption")]
pub struct Decrypt {
    /// Private keys for encrypted archives, as age-keygen writes them (repeatable; also in
    /// PGSTOW_IDENTITY)
    #[arg(long, value_name = "FILE")]
    pub identity: Vec<String>,
    /// Private keys, as this shell command writes them
    #[arg(long, value_name = "COMMAND")]
    pub identity_command: Option<String>,
    #[command(flatten)]
    pub passphrase: PassphraseFrom,
}

/// What is said while working.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Messages")]
pub struct Messages {
    /// Say more: every entry, every detail
    #[arg(short = 'v', long)]
    pub verbose: bool,
    /// Say nothing but warnings and errors
    #[arg(long)]
    pub quiet: bool,
    /// Events as JSON, one per line, on standard output (on standard error when that takes the
    /// archive or the script)
    #[arg(long)]
    pub json: bool,
}

/// Which objects.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Which objects")]
pub struct What {
    /// Only schemas that match (patterns as in psql; repeatable)
    #[arg(short = 'n', long = "schema", value_name = "PATTERN")]
    pub schema: Vec<String>,
    /// No schemas that match
    #[arg(short = 'N', long, value_name = "PATTERN")]
    pub exclude_schema: Vec<String>,
    /// Only tables, views and sequences that match
    #[arg(short = 't', long = "table", value_name = "PATTERN")]
    pub table: Vec<String>,
    /// No tables, views or sequences that match
    #[arg(short = 'T', long, value_name = "PATTERN")]
    pub exclude_table: Vec<String>,
    /// No rows of tables that match
    #[arg(long, value_name = "PATTERN")]
    pub exclude_table_data: Vec<String>,
    /// Only definitions, no rows
    #[arg(short = 's', long, help_heading = "Which parts")]
    pub schema_only: bool,
    /// Only rows, no definitions
    #[arg(short = 'a', long, help_heading = "Which parts")]
    pub data_only: bool,
    /// No rows: the same as --schema-only
    #[arg(long, help_heading = "Which parts")]
    pub no_data: bool,
    /// No definitions: the same as --data-only
    #[arg(long, help_heading = "Which parts")]
    pub no_schema: bool,
    /// Planner statistics also with --schema-only or --data-only, and in a script
    #[arg(long)]
    pub statistics: bool,
    /// No planner statistics
    #[arg(long)]
    pub no_statistics: bool,
    /// Only planner statistics
    #[arg(long)]
    pub statistics_only: bool,
    /// Only this section: pre-data, data or post-data (repeatable)
    #[arg(long, value_name = "SECTION", help_heading = "Which parts")]
    pub section: Vec<String>,
    /// Every pattern must match something
    #[arg(long)]
    pub strict_names: bool,
    /// No owners: everything belongs to the role that restores
    #[arg(short = 'O', long, help_heading = "Left out")]
    pub no_owner: bool,
    /// No GRANT and REVOKE
    #[arg(short = 'x', long, visible_alias = "no-acl", help_heading = "Left out")]
    pub no_privileges: bool,
}

/// Which entries of an archive, beyond what a dump can be told too.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Which objects")]
pub struct Pick {
    /// Only indexes that match, and constraints that stand on one
    #[arg(short = 'I', long, value_name = "PATTERN")]
    pub index: Vec<String>,
    /// Only functions, procedures and aggregates that match: name or 'name(type, type)'
    #[arg(short = 'P', long, value_name = "PATTERN")]
    pub function: Vec<String>,
    /// Only triggers that match: name, table.name or schema.table.name (-T excludes tables)
    #[arg(long, value_name = "PATTERN")]
    pub trigger: Vec<String>,
    /// Like --table, with partitions and all that inherits
    #[arg(long, value_name = "PATTERN")]
    pub table_and_children: Vec<String>,
    /// Like --exclude-table, with partitions and all that inherits
    #[arg(long, value_name = "PATTERN")]
    pub exclude_table_and_children: Vec<String>,
    /// Like --exclude-table-data, with partitions and all that inherits
    #[arg(long, value_name = "PATTERN")]
    pub exclude_table_data_and_children: Vec<String>,
    /// Of extensions, only those that match
    #[arg(long, value_name = "PATTERN")]
    pub extension: Vec<String>,
    /// No extensions that match
    #[arg(long, value_name = "PATTERN")]
    pub exclude_extension: Vec<String>,
    /// Rules from a file, one a line; `-` is standard input (repeatable)
    #[arg(long, value_name = "FILE")]
    pub filter: Vec<String>,
    /// Only the entries of an edited list, as `pgstow list` writes it; `-` is standard input
    #[arg(short = 'L', long, value_name = "FILE")]
    pub use_list: Option<String>,
    /// Leave out what selected objects need and is not selected itself
    #[arg(long)]
    pub no_dependencies: bool,
}

/// Classes of things that a dump or a restore can leave out.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Left out")]
pub struct LeftOut {
    /// No comments
    #[arg(long)]
    pub no_comments: bool,
    /// No row security policies
    #[arg(long)]
    pub no_policies: bool,
    /// No publications
    #[arg(long)]
    pub no_publications: bool,
    /// No security labels
    #[arg(long)]
    pub no_security_labels: bool,
    /// No subscriptions
    #[arg(long)]
    pub no_subscriptions: bool,
    /// No tablespaces: everything goes into the default one
    #[arg(long)]
    pub no_tablespaces: bool,
    /// No table access methods: tables get the target's default
    #[arg(long)]
    pub no_table_access_method: bool,
}

/// What belongs to the whole server.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Whole server")]
pub struct DumpGlobals {
    /// Also roles, memberships, tablespaces and privileges on parameters
    #[arg(long)]
    pub globals: bool,
    /// Only these, no database
    #[arg(short = 'g', long)]
    pub globals_only: bool,
    /// Only roles and memberships, no tablespaces and no database
    #[arg(long)]
    pub roles_only: bool,
    /// Only tablespaces, no roles and no database
    #[arg(long)]
    pub tablespaces_only: bool,
    /// No passwords of roles; for those who may not read pg_authid
    #[arg(long)]
    pub no_role_passwords: bool,
    /// Every database and the globals, one archive each, into the directory of --file
    #[arg(long)]
    pub all_databases: bool,
    /// With --all-databases: no databases that match (repeatable)
    #[arg(long, value_name = "PATTERN")]
    pub exclude_database: Vec<String>,
}

/// What belongs to the whole server.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Whole server")]
pub struct RestoreGlobals {
    /// First make roles, memberships, tablespaces and privileges on parameters that are not there
    #[arg(long)]
    pub globals: bool,
    /// Make only these
    #[arg(short = 'g', long)]
    pub globals_only: bool,
    /// Restore the directory FILE that dump --all-databases wrote
    #[arg(long)]
    pub all_databases: bool,
    /// With --all-databases: no databases that match (repeatable)
    #[arg(long, value_name = "PATTERN")]
    pub exclude_database: Vec<String>,
}

/// What a dump takes of a database, besides.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Which objects")]
pub struct OfDatabase {
    /// Only extensions that match
    #[arg(
        short = 'e',
        long = "extension",
        value_name = "PATTERN",
        help_heading = "Which objects"
    )]
    pub extension: Vec<String>,
    /// No extensions that match
    #[arg(long, value_name = "PATTERN", help_heading = "Which objects")]
    pub exclude_extension: Vec<String>,
    /// Like --table, with partitions and all that inherits
    #[arg(long, value_name = "PATTERN", help_heading = "Which objects")]
    pub table_and_children: Vec<String>,
    /// Like --exclude-table, with partitions and all that inherits
    #[arg(long, value_name = "PATTERN", help_heading = "Which objects")]
    pub exclude_table_and_children: Vec<String>,
    /// Like --exclude-table-data, with partitions and all that inherits
    #[arg(long, value_name = "PATTERN", help_heading = "Which objects")]
    pub exclude_table_data_and_children: Vec<String>,
    /// Rows of foreign tables too, of servers that match
    #[arg(long, value_name = "PATTERN", help_heading = "Which parts")]
    pub include_foreign_data: Vec<String>,
    /// Rules from a file, one a line; `-` is standard input (repeatable)
    #[arg(long, value_name = "FILE", help_heading = "Which objects")]
    pub filter: Vec<String>,
    /// No compression methods of columns: they get the target's default
    #[arg(long, help_heading = "Left out")]
    pub no_toast_compression: bool,
    /// Large objects, also in a selective dump
    #[arg(
        short = 'b',
        long,
        visible_alias = "blobs",
        help_heading = "Which parts"
    )]
    pub large_objects: bool,
    /// No large objects
    #[arg(
        short = 'B',
        long,
        visible_alias = "no-blobs",
        help_heading = "Which parts"
    )]
    pub no_large_objects: bool,
    /// No rows of unlogged tables
    #[arg(long, help_heading = "Which parts")]
    pub no_unlogged_table_data: bool,
    /// Values of sequences, also with --schema-only
    #[arg(long, help_heading = "Which parts")]
    pub sequence_data: bool,
    /// Only rows that row security lets the role see
    #[arg(long, help_heading = "Which parts")]
    pub enable_row_security: bool,
    /// Extensions in the version that they have here, not the target's default
    #[arg(long, help_heading = "How")]
    pub extension_versions: bool,
    /// Rows of partitions are to be loaded through the root of their tree
    #[arg(long, help_heading = "How")]
    pub load_via_partition_root: bool,
}

/// How a snapshot is made.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "How")]
pub struct Snapshot {
    /// Give up when a table lock takes longer, such as 5000 (ms), 30s or 2min
    #[arg(long, value_name = "TIME", help_heading = "How")]
    pub lock_wait_timeout: Option<String>,
    /// Wait for a snapshot without serialization anomalies
    #[arg(long, help_heading = "How")]
    pub serializable_deferrable: bool,
    /// Use a snapshot that another session exported
    #[arg(long, value_name = "ID", help_heading = "How")]
    pub snapshot: Option<String>,
}

/// How a target is filled.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "How")]
pub struct Into {
    /// Drop what is about to be made
    #[arg(short = 'c', long, help_heading = "How")]
    pub clean: bool,
    /// With --clean: what is not there is no error
    #[arg(long, help_heading = "How")]
    pub if_exists: bool,
    /// With --clean --create, or --swap: end other sessions in the database that is replaced
    #[arg(long, help_heading = "How")]
    pub force: bool,
    /// Restore although the database is not empty
    #[arg(long, help_heading = "How")]
    pub allow_non_empty: bool,
    /// With --data-only: triggers off while rows are loaded (needs a superuser)
    #[arg(long, help_heading = "How")]
    pub disable_triggers: bool,
    /// With --disable-triggers: the superuser in whose name they are switched
    #[arg(short = 'S', long, value_name = "NAME", help_heading = "How")]
    pub superuser: Option<String>,
    /// All or nothing: everything in one transaction, by one session
    #[arg(short = '1', long, help_heading = "How")]
    pub single_transaction: bool,
    /// At most so many entries of definitions and privileges in one transaction
    #[arg(long, value_name = "N", help_heading = "How")]
    pub transaction_size: Option<String>,
    /// Keep no journal in the target: no lost session is survived, nothing is resumed
    #[arg(long, help_heading = "How")]
    pub no_journal: bool,
    /// How long to wait for a server that went away, e.g. 30s or 10min [default: 1min]
    #[arg(long, value_name = "TIME", help_heading = "How")]
    pub reconnect_timeout: Option<String>,
    /// Have the server compute the statistics of all restored tables, at the end
    #[arg(long, help_heading = "How")]
    pub analyze: bool,
    /// Go on after errors, and list at the end what failed and why
    #[arg(long = "continue", help_heading = "How")]
    pub go_on: bool,
    /// Leave out what the target's version does not know, with all that needs it
    #[arg(long, help_heading = "How")]
    pub skip_impossible: bool,
}

/// How carefully a restore goes about it.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "With care")]
pub struct Care {
    /// Restore beside the database, compare every table, then take its name; the old one is kept
    #[arg(long, help_heading = "With care")]
    pub swap: bool,
    /// With --swap: the database from which others are made and renamed [default: postgres]
    #[arg(long, value_name = "NAME", help_heading = "With care")]
    pub maintenance_db: Option<String>,
    /// Do not ask for the name of the database; begin after ten seconds
    #[arg(short = 'y', long, help_heading = "With care")]
    pub yes: bool,
    /// With --yes: begin at once
    #[arg(long, help_heading = "With care")]
    pub no_delay: bool,
}

/// How much is used.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "How")]
pub struct Resources {
    /// Number of sessions that move rows [default: number of cores, at most 8]
    #[arg(short = 'j', long, value_name = "N")]
    pub jobs: Option<String>,
    /// Most memory for rows in flight, such as 512MB
    #[arg(long, value_name = "SIZE", default_value = "256MB")]
    pub memory: String,
}

/// `pgstow dump`
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  pgstow dump -d shop -f shop.pgstow
  pgstow dump 'host=db1 dbname=shop user=app' -j 4 --compress=zstd:6 -f shop.pgstow
  pgstow dump -d shop -t 'sales.*' --exclude-table-data='*.log' -f sales.pgstow
  pgstow dump -d shop -f - | ssh backup 'cat > shop.pgstow'")]
pub struct Dump {
    /// Database name, URI or `key=value` string
    #[arg(value_name = "CONN")]
    pub conn: Option<String>,
    /// The same as CONN
    #[arg(
        short = 'd',
        long = "dbname",
        value_name = "CONN",
        help_heading = "Connection"
    )]
    pub dbname: Option<String>,
    #[command(flatten)]
    pub server: Server,
    /// Where the archive goes: a file, s3://, gs:// or az:// URL, or `-` for standard output
    #[arg(short = 'f', long, value_name = "FILE", help_heading = "Output")]
    pub file: Option<String>,
    /// Compression: zstd[:1-22], zstd:auto, gzip[:1-9], lz4, none
    #[arg(
        short = 'Z',
        long,
        value_name = "METHOD[:LEVEL]",
        default_value = "zstd:1",
        help_heading = "Output"
    )]
    pub compress: String,
    /// Format of rows: auto, text or binary
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "auto",
        help_heading = "Output"
    )]
    pub copy_format: String,
    #[command(flatten)]
    pub encrypt: Encrypt,
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub of_database: OfDatabase,
    #[command(flatten)]
    pub left_out: LeftOut,
    /// Every identifier in double quotes
    #[arg(long, help_heading = "How")]
    pub quote_all_identifiers: bool,
    #[command(flatten)]
    pub globals: DumpGlobals,
    #[command(flatten)]
    pub resources: Resources,
    #[command(flatten)]
    pub snapshot: Snapshot,
    #[command(flatten)]
    pub messages: Messages,
}

/// `pgstow restore`
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  pgstow restore -d shop_copy shop.pgstow
  pgstow restore -d postgres --create -j 8 shop.pgstow
  pgstow restore -d shop --clean --if-exists -t orders shop.pgstow
  pgstow restore -d shop_copy --continue --no-owner shop.pgstow
  pgstow list shop.pgstow > shop.list   # edit it, then
  pgstow restore -d shop_copy -L shop.list shop.pgstow")]
pub struct Restore {
    /// The archive: a file, s3://, gs:// or az:// URL, or `-` for standard input; or a backup, by
    /// its id or as `latest`, unless there is such a file
    #[arg(value_name = "FILE|ID|latest")]
    pub file: String,
    /// With latest: of this database
    #[arg(long, value_name = "NAME", help_heading = "Repository")]
    pub database: Option<String>,
    #[command(flatten)]
    pub place: backups::Place,
    /// Target: database name, URI or `key=value` string
    #[arg(
        short = 'd',
        long = "dbname",
        value_name = "CONN",
        help_heading = "Connection"
    )]
    pub dbname: Option<String>,
    #[command(flatten)]
    pub server: Server,
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub pick: Pick,
    #[command(flatten)]
    pub left_out: LeftOut,
    /// Make the database first, under the archive's name for it; CONN serves only to do so
    #[arg(short = 'C', long, help_heading = "How")]
    pub create: bool,
    /// As --create, under this name
    #[arg(long, value_name = "NAME", help_heading = "How")]
    pub create_as: Option<String>,
    #[command(flatten)]
    pub globals: RestoreGlobals,
    #[command(flatten)]
    pub into: Into,
    /// Extensions in the version of the source, not the target's default
    #[arg(long, help_heading = "How")]
    pub extension_versions: bool,
    /// Rows of partitions go through the root of their tree
    #[arg(long, help_heading = "How")]
    pub load_via_partition_root: bool,
    /// Go on with a restore of the same archive, with the same options, that was interrupted
    #[arg(long, help_heading = "How")]
    pub resume: bool,
    #[command(flatten)]
    pub care: Care,
    /// No rows for tables that could not be made (always so)
    #[arg(long, help_heading = "How")]
    pub no_data_for_failed_tables: bool,
    /// End at the first error (the default)
    #[arg(short = 'e', long, help_heading = "How")]
    pub exit_on_error: bool,
    /// Show what would be done; with -d the target is asked what it has already
    #[arg(long, help_heading = "How")]
    pub dry_run: bool,
    /// With --dry-run: the major version that the target will have
    #[arg(long, value_name = "N", help_heading = "How")]
    pub target_version: Option<String>,
    #[command(flatten)]
    pub resources: Resources,
    #[command(flatten)]
    pub decrypt: Decrypt,
    #[command(flatten)]
    pub messages: Messages,
}

/// `pgstow doctor`
#[derive(Debug, Group)]
#[command(after_help = "\
Checks: configuration, connection, privileges, store, clock, repository, last-backup, size, verified,
keys, notification, round.

Examples:
  pgstow doctor
  pgstow doctor --full
  pgstow doctor --only last-backup,size --json")]
pub struct Doctor {
    /// Database name, URI or `key=value` string [default: database.url, DATABASE_URL, PG* variables]
    #[arg(
        short = 'd',
        long = "dbname",
        value_name = "CONN",
        help_heading = "Connection"
    )]
    pub dbname: Option<String>,
    #[command(flatten)]
    pub place: backups::Place,
    /// Only these checks (repeatable, or several with commas)
    #[arg(
        long,
        value_name = "CHECK",
        value_delimiter = ',',
        help_heading = "Which"
    )]
    pub only: Vec<String>,
    /// Also dump a small database of our own into the store, restore it and compare
    #[arg(long, help_heading = "Which")]
    pub full: bool,
    /// A warning counts as a failure
    #[arg(long, help_heading = "How")]
    pub strict: bool,
    #[command(flatten)]
    pub decrypt: Decrypt,
    /// One JSON object
    #[arg(long, help_heading = "Messages")]
    pub json: bool,
}

/// `pgstow copy`
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  pgstow copy postgres://app@db1/shop postgres://app@db2/shop
  pgstow copy 'service=old' 'host=new dbname=postgres' --create -j 8
  pgstow copy service=old service=new --clean --if-exists -t 'sales.*'")]
pub struct Copy {
    /// The database that is read: name, URI or `key=value` string
    #[arg(value_name = "SOURCE")]
    pub source: String,
    /// The database that it is copied into
    #[arg(value_name = "TARGET")]
    pub target: String,
    /// Never ask for a password
    #[arg(short = 'w', long, help_heading = "Connection")]
    pub no_password: bool,
    /// Ask for both passwords before connecting
    #[arg(short = 'W', long, help_heading = "Connection")]
    pub password: bool,
    /// SET ROLE after logging in to the source
    #[arg(long, value_name = "ROLE", help_heading = "Connection")]
    pub source_role: Option<String>,
    /// SET ROLE after logging in to the target
    #[arg(long, value_name = "ROLE", help_heading = "Connection")]
    pub target_role: Option<String>,
    /// Format in which rows travel: auto, text or binary
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "auto",
        help_heading = "How"
    )]
    pub copy_format: String,
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub of_database: OfDatabase,
    #[command(flatten)]
    pub left_out: LeftOut,
    /// Make the database first, under the source's name for it; TARGET serves only to do so
    #[arg(short = 'C', long, help_heading = "How")]
    pub create: bool,
    /// As --create, under this name
    #[arg(long, value_name = "NAME", help_heading = "How")]
    pub create_as: Option<String>,
    /// First make roles, memberships, tablespaces and privileges on parameters that are not there
    #[arg(long, help_heading = "Whole server")]
    pub globals: bool,
    /// Make only these
    #[arg(short = 'g', long, help_heading = "Whole server")]
    pub globals_only: bool,
    /// No passwords of roles; for those who may not read pg_authid
    #[arg(long, help_heading = "Whole server")]
    pub no_role_passwords: bool,
    #[command(flatten)]
    pub into: Into,
    /// Read no rows again from the target to compare fingerprints
    #[arg(long, help_heading = "How")]
    pub no_verify: bool,
    /// Show what would be done; both databases are asked, and nothing is changed
    #[arg(long, help_heading = "How")]
    pub dry_run: bool,
    #[command(flatten)]
    pub resources: Resources,
    #[command(flatten)]
    pub snapshot: Snapshot,
    #[command(flatten)]
    pub messages: Messages,
}

/// `pgstow list`
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  pgstow list shop.pgstow
  pgstow list shop.pgstow > shop.list   # for restore -L and sql -L
  pgstow list -t 'sales.*' shop.pgstow  # what restore -t 'sales.*' would take
  pgstow list --json shop.pgstow | jq -r 'select(.table) | [.name, .table.rows] | @tsv'")]
pub struct List {
    /// The archive: a file, s3://, gs:// or az:// URL, or `-` for standard input
    #[arg(value_name = "FILE")]
    pub file: String,
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub pick: Pick,
    #[command(flatten)]
    pub left_out: LeftOut,
    #[command(flatten)]
    pub decrypt: Decrypt,
    /// One JSON object per line
    #[arg(long, help_heading = "Messages")]
    pub json: bool,
}

/// `pgstow verify`
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  pgstow verify shop.pgstow
  pgstow verify shop.pgstow --against postgres://app@db2/shop -j 4
  pgstow verify latest --store s3://backups/shop")]
pub struct Verify {
    /// The archive: a file, s3://, gs:// or az:// URL, or `-` for standard input; or a backup, by
    /// its id or as `latest`, unless there is such a file
    #[arg(value_name = "FILE|ID|latest")]
    pub file: String,
    /// With latest: of this database
    #[arg(long, value_name = "NAME", help_heading = "Repository")]
    pub database: Option<String>,
    #[command(flatten)]
    pub place: backups::Place,
    /// Also compare every table with this live database: name, URI or `key=value` string
    #[arg(long, value_name = "CONN", help_heading = "Connection")]
    pub against: Option<String>,
    #[command(flatten)]
    pub server: Server,
    /// Number of sessions that read the live database [default: number of cores, at most 8]
    #[arg(short = 'j', long, value_name = "N", help_heading = "How")]
    pub jobs: Option<String>,
    #[command(flatten)]
    pub decrypt: Decrypt,
    #[command(flatten)]
    pub messages: Messages,
}

/// `pgstow sql`
#[derive(Debug, Group)]
#[command(after_help = "\
Rows are in the script as far as they are stored in text format (pgstow dump --copy-format=text).

Examples:
  pgstow sql --schema-only shop.pgstow > shop.sql
  pgstow sql shop.pgstow | psql -v ON_ERROR_STOP=1 -d shop_copy")]
pub struct Sql {
    /// The archive: a file, s3://, gs:// or az:// URL, or `-` for standard input
    #[arg(value_name = "FILE")]
    pub archive: String,
    /// Where the script goes; `-` is standard output
    #[arg(
        short = 'f',
        long,
        value_name = "FILE",
        default_value = "-",
        help_heading = "Output"
    )]
    pub file: String,
    /// SET ROLE at the beginning
    #[arg(long, value_name = "ROLE", help_heading = "Output")]
    pub role: Option<String>,
    /// Major version of the server that is to run the script [default: the source's]
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub target_version: Option<String>,
    /// Leave out what that version does not know, with all that needs it
    #[arg(long, help_heading = "Output")]
    pub skip_impossible: bool,
    /// Begin with statements that drop what follows
    #[arg(short = 'c', long, help_heading = "Output")]
    pub clean: bool,
    /// With --clean: what is not there is no error
    #[arg(long, help_heading = "Output")]
    pub if_exists: bool,
    /// No \restrict and \unrestrict, for psql older than August 2025: only of archives you trust
    #[arg(long, help_heading = "Output")]
    pub no_restrict: bool,
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub pick: Pick,
    #[command(flatten)]
    pub left_out: LeftOut,
    #[command(flatten)]
    pub decrypt: Decrypt,
    #[command(flatten)]
    pub messages: Messages,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }
}
