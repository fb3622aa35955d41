//! Options that several commands share, each declared once, with one text of help.
//!
//! A group says its heading itself, for what is declared behind it would inherit the heading of the group before.

use clap::Args as Group;

/// The database that is dumped.
#[derive(Debug, Default, Group)]
#[command(mut_arg("dbname", |it| it.help("The same as CONN")))]
pub struct Source {
    /// Database name, URI or `key=value` string
    #[arg(value_name = "CONN")]
    pub conn: Option<String>,
    #[command(flatten)]
    pub database: Database,
}

/// A database, by an option.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Connection")]
pub struct Database {
    /// Database name, URI or `key=value` string
    #[arg(short = 'd', long = "dbname", value_name = "CONN")]
    pub dbname: Option<String>,
}

/// A database that the configuration may name.
///
/// A change of an option's help puts it behind all others that there are by then, so it is made in a group of its own.
#[derive(Debug, Default, Group)]
#[command(mut_arg("dbname", |it| it.help(CONFIGURED_DATABASE)))]
pub struct ConfiguredDatabase {
    #[command(flatten)]
    pub option: Database,
}

/// The help of what says a database that the configuration may name.
pub const CONFIGURED_DATABASE: &str =
    "Database name, URI or `key=value` string [default: database.url, DATABASE_URL, PG* variables]";

/// A database that is written to.
#[derive(Debug, Default, Group)]
#[command(mut_arg("dbname", |it| it.help("Target: database name, URI or `key=value` string")))]
pub struct Target {
    #[command(flatten)]
    pub option: Database,
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
    #[command(flatten)]
    pub ask: Ask,
    /// SET ROLE after logging in
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
}

/// Whether a password is asked for.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Connection")]
pub struct Ask {
    /// Never ask for a password
    #[arg(short = 'w', long)]
    pub no_password: bool,
    /// Ask for a password before connecting
    #[arg(short = 'W', long)]
    pub password: bool,
}

/// An archive that is read.
#[derive(Debug, Default, Group)]
pub struct Archive {
    /// The archive: a file, s3://, gs:// or az:// URL, or `-` for standard input
    #[arg(value_name = "FILE")]
    pub file: String,
}

/// An archive, or a backup of a repository.
#[derive(Clone, Debug, Default, Group)]
pub struct ArchiveOrBackup {
    /// The archive: a file, s3://, gs:// or az:// URL, or `-` for standard input; or a backup, by
    /// its id or as `latest`, unless there is such a file
    #[arg(value_name = "FILE|ID|latest")]
    pub file: String,
    #[command(flatten)]
    pub kept: Kept,
}

/// A backup of a repository.
#[derive(Clone, Debug, Default, Group)]
pub struct Which {
    /// The id of a backup, or `latest`
    #[arg(value_name = "ID|latest")]
    pub id: String,
    #[command(flatten)]
    pub kept: Kept,
}

impl From<ArchiveOrBackup> for Which {
    fn from(archive: ArchiveOrBackup) -> Self {
        Self {
            id: archive.file,
            kept: archive.kept,
        }
    }
}

/// Where a backup is kept.
#[derive(Clone, Debug, Default, Group)]
#[command(next_help_heading = "Repository")]
pub struct Kept {
    /// With latest: of this database
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,
    #[command(flatten)]
    pub place: Place,
}

/// Where the backups are.
#[derive(Clone, Debug, Default, Group)]
#[command(next_help_heading = "Repository")]
pub struct Place {
    #[command(flatten)]
    pub store: Store,
    #[command(flatten)]
    pub configured: Configured,
}

/// The place for backups.
#[derive(Clone, Debug, Default, Group)]
#[command(next_help_heading = "Repository")]
pub struct Store {
    /// Where backups are kept: a directory, s3://bucket/prefix, gs://… or az://…
    /// [default: store.location, PGSTOW_STORE_LOCATION, AWS_BACKUP_BUCKET]
    #[arg(
        id = "store",
        long = "store",
        global = true,
        value_name = "LOCATION",
        visible_alias = "repository"
    )]
    pub location: Option<String>,
}

/// The configuration, and what of it is meant.
#[derive(Clone, Debug, Default, Group)]
#[command(next_help_heading = "Repository")]
pub struct Configured {
    #[command(flatten)]
    pub file: ConfigFile,
    /// The job of the configuration
    #[arg(long, global = true, value_name = "NAME")]
    pub job: Option<String>,
}

/// The configuration.
#[derive(Clone, Debug, Default, Group)]
#[command(next_help_heading = "Repository")]
pub struct ConfigFile {
    /// The file of the configuration [default: PGSTOW_CONFIG, else pgstow.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<String>,
}

/// Who is told of what the repository shows.
#[derive(Clone, Debug, Default, Group)]
#[command(next_help_heading = "Monitoring")]
pub struct Watched {
    /// Have table database_backups of this database show what the repository shows
    /// [default: backup.record_to, PGSTOW_BACKUP_RECORD_TO]
    #[arg(long, value_name = "CONN")]
    pub record_to: Option<String>,
    /// The schema of that table [default: backup.record_schema, public]
    #[arg(long, value_name = "SCHEMA")]
    pub record_schema: Option<String>,
    /// Write metrics to this file, for Prometheus
    /// [default: backup.metrics_file, PGSTOW_BACKUP_METRICS_FILE]
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<String>,
}

/// Why something is done to a backup.
#[derive(Clone, Debug, Default, Group)]
#[command(next_help_heading = "How")]
pub struct Why {
    /// Why; the repository keeps it
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// How an archive is compressed.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Output")]
pub struct Compress {
    /// Compression: zstd[:1-22], zstd:auto, gzip[:1-9], lz4, none [default: zstd:1]
    #[arg(short = 'Z', long, value_name = "METHOD[:LEVEL]")]
    pub compress: Option<String>,

    /// Pack small tables together: auto (where there are 1,000), always or never [default: auto]
    #[arg(long, value_name = "WHEN")]
    pub pack_tables: Option<String>,
}

/// How rows travel.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "How")]
pub struct CopyFormat {
    /// Format of rows: auto, text or binary [default: auto]
    #[arg(long, value_name = "FORMAT")]
    pub copy_format: Option<String>,
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

/// Whose key opens an archive.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Encryption")]
pub struct EncryptTo {
    /// Encrypt for the holder of the private key of this age1… public key (repeatable)
    #[arg(long, value_name = "RECIPIENT")]
    pub encrypt_to: Vec<String>,
}

/// For whom an archive is encrypted.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Encryption")]
pub struct Encrypt {
    #[command(flatten)]
    pub to: EncryptTo,
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

/// In what form the answer is written.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Messages")]
pub struct Answer {
    /// One JSON object
    #[arg(long, global = true)]
    pub json: bool,
}

/// Which objects, which parts of them, and what is left out.
#[derive(Debug, Default, Group)]
pub struct What {
    #[command(flatten)]
    pub names: Names,
    #[command(flatten)]
    pub parts: Parts,
    #[command(flatten)]
    pub left_out: LeftOut,
}

/// Which objects, by their names.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Which objects")]
pub struct Names {
    /// Only schemas that match (patterns as in psql; repeatable)
    #[arg(short = 'n', long, value_name = "PATTERN")]
    pub schema: Vec<String>,
    /// Only tables, views and sequences that match
    #[arg(short = 't', long, value_name = "PATTERN")]
    pub table: Vec<String>,
    /// Like --table, with partitions and all that inherits
    #[arg(long, value_name = "PATTERN")]
    pub table_and_children: Vec<String>,
    #[command(flatten)]
    pub excluded: Excluded,
    /// Like --exclude-table, with partitions and all that inherits
    #[arg(long, value_name = "PATTERN")]
    pub exclude_table_and_children: Vec<String>,
    /// Like --exclude-table-data, with partitions and all that inherits
    #[arg(long, value_name = "PATTERN")]
    pub exclude_table_data_and_children: Vec<String>,
    /// No extensions that match
    #[arg(long, value_name = "PATTERN")]
    pub exclude_extension: Vec<String>,
    /// Rules from a file, one a line; `-` is standard input (repeatable)
    #[arg(long, value_name = "FILE")]
    pub filter: Vec<String>,
    /// Every pattern that includes must match something
    #[arg(long)]
    pub strict_names: bool,
}

/// Which objects not, by their names.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Which objects")]
pub struct Excluded {
    /// No schemas that match (patterns as in psql; repeatable)
    #[arg(short = 'N', long, value_name = "PATTERN")]
    pub exclude_schema: Vec<String>,
    /// No tables, views or sequences that match
    #[arg(short = 'T', long, value_name = "PATTERN")]
    pub exclude_table: Vec<String>,
    /// No rows of tables that match
    #[arg(long, value_name = "PATTERN")]
    pub exclude_table_data: Vec<String>,
}

/// Which parts of what is selected.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Which parts")]
pub struct Parts {
    /// Only definitions, no rows
    #[arg(short = 's', long)]
    pub schema_only: bool,
    /// Only rows, no definitions
    #[arg(short = 'a', long)]
    pub data_only: bool,
    /// No rows: the same as --schema-only
    #[arg(long)]
    pub no_data: bool,
    /// No definitions: the same as --data-only
    #[arg(long)]
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
    #[arg(long, value_name = "SECTION")]
    pub section: Vec<String>,
}

/// Classes of things that are left out.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Left out")]
pub struct LeftOut {
    /// No owners: everything belongs to the role that restores
    #[arg(short = 'O', long)]
    pub no_owner: bool,
    /// No GRANT and REVOKE
    #[arg(short = 'x', long, visible_alias = "no-acl")]
    pub no_privileges: bool,
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
    /// Of extensions, only those that match
    #[arg(long, value_name = "PATTERN")]
    pub extension: Vec<String>,
    /// Only the entries of an edited list, as `pgstow list` writes it; `-` is standard input
    #[arg(short = 'L', long, value_name = "FILE")]
    pub use_list: Option<String>,
    /// Leave out what selected objects need and is not selected itself
    #[arg(long)]
    pub no_dependencies: bool,
}

/// What is taken of a live database and how, beyond what a restore can be told too.
#[derive(Debug, Default, Group)]
pub struct Reading {
    /// Only extensions that match
    #[arg(
        short = 'e',
        long,
        value_name = "PATTERN",
        help_heading = "Which objects"
    )]
    pub extension: Vec<String>,
    /// Rows of foreign tables too, of servers that match
    #[arg(long, value_name = "PATTERN", help_heading = "Which parts")]
    pub include_foreign_data: Vec<String>,
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
    /// No compression methods of columns: they get the target's default
    #[arg(long, help_heading = "Left out")]
    pub no_toast_compression: bool,
    #[command(flatten)]
    pub resources: Resources,
    #[command(flatten)]
    pub snapshot: Snapshot,
    #[command(flatten)]
    pub format: CopyFormat,
    #[command(flatten)]
    pub as_there: AsThere,
}

/// What a restore does as it was in the source, and not as its target would by itself.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "How")]
pub struct AsThere {
    /// Extensions in the version of the source, not the target's default
    #[arg(long)]
    pub extension_versions: bool,
    /// Rows of partitions go through the root of their tree
    #[arg(long)]
    pub load_via_partition_root: bool,
}

/// Which snapshot is read.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "How")]
pub struct Snapshot {
    #[command(flatten)]
    pub locks: Locks,
    /// Wait for a snapshot without serialization anomalies
    #[arg(long)]
    pub serializable_deferrable: bool,
    /// Use a snapshot that another session exported
    #[arg(long, value_name = "ID")]
    pub snapshot: Option<String>,
}

/// How long others are waited for.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "How")]
pub struct Locks {
    /// Give up when a table lock takes longer, such as 5000 (ms), 30s or 2min
    #[arg(long, value_name = "TIME")]
    pub lock_wait_timeout: Option<String>,
}

/// How a target is filled.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "How")]
pub struct Into {
    /// Make the database first, under the source's name for it; the one named serves only to do so
    #[arg(short = 'C', long)]
    pub create: bool,
    /// As --create, under this name
    #[arg(long, value_name = "NAME")]
    pub create_as: Option<String>,
    #[command(flatten)]
    pub clean: Clean,
    /// With --clean --create, or --swap: end other sessions in the database that is replaced
    #[arg(long)]
    pub force: bool,
    /// Restore although the database is not empty
    #[arg(long)]
    pub allow_non_empty: bool,
    /// With --data-only: triggers off while rows are loaded (needs a superuser)
    #[arg(long)]
    pub disable_triggers: bool,
    /// With --disable-triggers: the superuser in whose name they are switched
    #[arg(short = 'S', long, value_name = "NAME")]
    pub superuser: Option<String>,
    /// All or nothing: everything in one transaction, by one session
    #[arg(short = '1', long)]
    pub single_transaction: bool,
    /// At most so many entries of definitions and privileges in one transaction
    #[arg(long, value_name = "N")]
    pub transaction_size: Option<String>,
    /// Keep no journal in the target: no lost session is survived, nothing is resumed
    #[arg(long)]
    pub no_journal: bool,
    /// How long to wait for a server that went away, e.g. 30s or 10min [default: 1min]
    #[arg(long, value_name = "TIME")]
    pub reconnect_timeout: Option<String>,
    /// Have the server compute the statistics of all restored tables, at the end
    #[arg(long)]
    pub analyze: bool,
    /// Go on after errors, and list at the end what failed and why
    #[arg(long = "continue")]
    pub go_on: bool,
    #[command(flatten)]
    pub impossible: Impossible,
}

/// Whether what is to be made is dropped before.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "How")]
pub struct Clean {
    /// First drop what is about to be made
    #[arg(short = 'c', long)]
    pub clean: bool,
    /// With --clean: what is not there is no error
    #[arg(long)]
    pub if_exists: bool,
}

/// What becomes of what cannot be made.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "How")]
pub struct Impossible {
    /// Leave out what the target's version does not know, with all that needs it
    #[arg(long)]
    pub skip_impossible: bool,
}

/// How carefully a restore goes about it.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "With care")]
pub struct Care {
    /// Restore beside the database, compare every table, then take its name; the old one is kept
    #[arg(long)]
    pub swap: bool,
    /// With --swap: the database from which others are made and renamed [default: postgres]
    #[arg(long, value_name = "NAME")]
    pub maintenance_db: Option<String>,
    /// Do not ask for the name of the database; begin after ten seconds
    #[arg(short = 'y', long)]
    pub yes: bool,
    /// With --yes: begin at once
    #[arg(long)]
    pub no_delay: bool,
}

/// What belongs to the whole server.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Whole server")]
pub struct WholeServer {
    /// Also roles, memberships, tablespaces and privileges on parameters; a target's own stay as
    /// they are
    #[arg(long)]
    pub globals: bool,
    /// Only these, no database
    #[arg(short = 'g', long)]
    pub globals_only: bool,
}

/// Whether passwords of roles go along.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Whole server")]
pub struct RolePasswords {
    /// No passwords of roles; for those who may not read pg_authid
    #[arg(long)]
    pub no_role_passwords: bool,
}

/// All databases of a server.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Whole server")]
pub struct AllDatabases {
    /// Every database and the globals: FILE is a directory with an archive for each
    #[arg(long)]
    pub all_databases: bool,
    /// With --all-databases: no databases that match (repeatable)
    #[arg(long, value_name = "PATTERN")]
    pub exclude_database: Vec<String>,
}

/// How much is used.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "How")]
pub struct Resources {
    #[command(flatten)]
    pub sessions: Jobs,
    /// Most memory for rows in flight, such as 512MB [default: 256MB]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,
}

/// How many sessions.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "How")]
pub struct Jobs {
    /// Number of sessions that read or load rows [default: number of cores, at most 8]
    #[arg(short = 'j', long, value_name = "N", allow_negative_numbers = true)]
    pub jobs: Option<String>,
}
