//! What each command about archives and databases takes; the others are in [`repository`](crate::repository).

use clap::Args as Group;

use super::groups::{
    AllDatabases, Answer, Archive, ArchiveOrBackup, AsThere, Ask, Care, Clean, Compress,
    ConfiguredDatabase, Decrypt, Encrypt, Impossible, Into, Messages, Pick, Place, Reading,
    Resources, RolePasswords, Server, Source, Target, What, WholeServer,
};

/// `pgstow dump`
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  pgstow dump -d shop -f shop.pgstow
  pgstow dump 'host=db1 dbname=shop user=app' -j 4 --compress=zstd:6 -f shop.pgstow
  pgstow dump -d shop -t 'sales.*' --exclude-table-data='*.log' -f sales.pgstow
  pgstow dump -d shop -f - | ssh backup 'cat > shop.pgstow'")]
pub struct Dump {
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub server: Server,
    /// Where the archive goes: a file, s3://, gs:// or az:// URL, or `-` for standard output
    #[arg(short = 'f', long, value_name = "FILE", help_heading = "Output")]
    pub file: Option<String>,
    #[command(flatten)]
    pub compress: Compress,
    #[command(flatten)]
    pub encrypt: Encrypt,
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub reading: Reading,
    /// Every identifier in double quotes
    #[arg(long, help_heading = "How")]
    pub quote_all_identifiers: bool,
    #[command(flatten)]
    pub whole_server: WholeServer,
    /// Only roles and memberships, no tablespaces and no database
    #[arg(long, help_heading = "Whole server")]
    pub roles_only: bool,
    /// Only tablespaces, no roles and no database
    #[arg(long, help_heading = "Whole server")]
    pub tablespaces_only: bool,
    #[command(flatten)]
    pub role_passwords: RolePasswords,
    #[command(flatten)]
    pub all: AllDatabases,
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
    #[command(flatten)]
    pub archive: ArchiveOrBackup,
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub server: Server,
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub pick: Pick,
    #[command(flatten)]
    pub into: Into,
    #[command(flatten)]
    pub as_there: AsThere,
    /// Go on with a restore of the same archive, with the same options, that was interrupted
    #[arg(long, help_heading = "How")]
    pub resume: bool,
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
    pub care: Care,
    #[command(flatten)]
    pub whole_server: WholeServer,
    #[command(flatten)]
    pub all: AllDatabases,
    #[command(flatten)]
    pub decrypt: Decrypt,
    #[command(flatten)]
    pub messages: Messages,
}

/// `pgstow doctor`
#[derive(Debug, Group)]
#[command(after_help = "\
Checks: configuration, connection, privileges, store, clock, repository, last-backup, size, verified,
keys, notification, record, round.

Examples:
  pgstow doctor
  pgstow doctor --full
  pgstow doctor --only last-backup,size --json")]
pub struct Doctor {
    #[command(flatten)]
    pub database: ConfiguredDatabase,
    #[command(flatten)]
    pub place: Place,
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
    /// Send a test to everybody who is told by mail or webhook, instead of only looking for them
    #[arg(long, help_heading = "Which")]
    pub send_test: bool,
    /// A warning counts as a failure
    #[arg(long, help_heading = "How")]
    pub strict: bool,
    #[command(flatten)]
    pub decrypt: Decrypt,
    #[command(flatten)]
    pub answer: Answer,
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
    #[command(flatten)]
    pub ask: Ask,
    /// SET ROLE after logging in to the source
    #[arg(long, value_name = "ROLE", help_heading = "Connection")]
    pub source_role: Option<String>,
    /// SET ROLE after logging in to the target
    #[arg(long, value_name = "ROLE", help_heading = "Connection")]
    pub target_role: Option<String>,
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub into: Into,
    #[command(flatten)]
    pub reading: Reading,
    /// Read no rows again from the target to compare fingerprints
    #[arg(long, help_heading = "How")]
    pub no_verify: bool,
    /// Show what would be done; both databases are asked, and nothing is changed
    #[arg(long, help_heading = "How")]
    pub dry_run: bool,
    #[command(flatten)]
    pub whole_server: WholeServer,
    #[command(flatten)]
    pub role_passwords: RolePasswords,
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
    #[command(flatten)]
    pub archive: Archive,
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub pick: Pick,
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
    #[command(flatten)]
    pub archive: ArchiveOrBackup,
    /// Also compare every table with this live database: name, URI or `key=value` string
    #[arg(long, value_name = "CONN", help_heading = "Connection")]
    pub against: Option<String>,
    #[command(flatten)]
    pub server: Server,
    #[command(flatten)]
    pub resources: Resources,
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
    #[command(flatten)]
    pub archive: Archive,
    /// Where the script goes; `-` is standard output
    #[arg(
        id = "script",
        short = 'f',
        long = "file",
        value_name = "FILE",
        default_value = "-",
        help_heading = "Output"
    )]
    pub script: String,
    /// SET ROLE at the beginning
    #[arg(long, value_name = "ROLE", help_heading = "Output")]
    pub role: Option<String>,
    /// Major version of the server that is to run the script [default: the source's]
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub target_version: Option<String>,
    /// No \restrict and \unrestrict, for psql older than August 2025: only of archives you trust
    #[arg(long, help_heading = "Output")]
    pub no_restrict: bool,
    #[command(flatten)]
    pub clean: Clean,
    #[command(flatten)]
    pub impossible: Impossible,
    #[command(flatten)]
    pub what: What,
    #[command(flatten)]
    pub pick: Pick,
    #[command(flatten)]
    pub whole_server: WholeServer,
    #[command(flatten)]
    pub role_passwords: RolePasswords,
    #[command(flatten)]
    pub decrypt: Decrypt,
    #[command(flatten)]
    pub messages: Messages,
}
