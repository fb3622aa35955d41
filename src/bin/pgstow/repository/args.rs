//! What was typed, of the commands about backups.

use clap::{Args as Group, Subcommand};

use crate::args::{Decrypt, Encrypt, Messages, Server};

/// Where the backups are.
#[derive(Debug, Default, Clone, Group)]
#[command(next_help_heading = "Repository")]
pub struct Place {
    /// Where backups are kept: a directory, s3://bucket/prefix, gs://… or az://…
    /// [default: store.location, PGSTOW_STORE_LOCATION, AWS_BACKUP_BUCKET]
    #[arg(long, value_name = "LOCATION", visible_alias = "repository")]
    pub store: Option<String>,
    /// The configuration [default: pgstow.toml, where there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<String>,
    /// The job of the configuration
    #[arg(long, value_name = "NAME")]
    pub job: Option<String>,
}

/// Who is told of what the repository shows.
#[derive(Debug, Default, Clone, Group)]
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

/// `pgstow backup`
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  pgstow backup                                   # DATABASE_URL and AWS_* in the environment
  pgstow backup -d shop --store /var/backups/shop
  pgstow backup -d shop --store s3://backups/shop --type daily --encrypt-to age1…
  pgstow backup --job shop --verify")]
pub struct Backup {
    /// Database name, URI or `key=value` string [default: database.url, DATABASE_URL, PG* variables]
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
    #[command(flatten)]
    pub place: Place,
    /// How long it is kept goes by this: manual, daily, weekly or monthly
    #[arg(long = "type", value_name = "TYPE", help_heading = "Repository")]
    pub backup_type: Option<String>,
    /// Read the whole archive back from the store before the backup counts
    #[arg(long, help_heading = "Repository")]
    pub verify: bool,
    /// A database with nothing in it is no failure
    #[arg(long, help_heading = "Repository")]
    pub allow_empty: bool,
    /// Compression: zstd[:1-22], zstd:auto, gzip[:1-9], lz4, none [default: zstd:1]
    #[arg(
        short = 'Z',
        long,
        value_name = "METHOD[:LEVEL]",
        help_heading = "Output"
    )]
    pub compress: Option<String>,
    #[command(flatten)]
    pub encrypt: Encrypt,
    /// No schemas that match (patterns as in psql; repeatable)
    #[arg(
        short = 'N',
        long,
        value_name = "PATTERN",
        help_heading = "Which objects"
    )]
    pub exclude_schema: Vec<String>,
    /// No tables, views or sequences that match
    #[arg(
        short = 'T',
        long,
        value_name = "PATTERN",
        help_heading = "Which objects"
    )]
    pub exclude_table: Vec<String>,
    /// No rows of tables that match
    #[arg(long, value_name = "PATTERN", help_heading = "Which objects")]
    pub exclude_table_data: Vec<String>,
    /// Number of sessions that read rows [default: number of cores, at most 8]
    #[arg(short = 'j', long, value_name = "N", help_heading = "How")]
    pub jobs: Option<String>,
    /// Most memory for rows in flight, such as 512MB [default: 256MB]
    #[arg(long, value_name = "SIZE", help_heading = "How")]
    pub memory: Option<String>,
    /// Give up when a table lock takes longer, such as 5000 (ms), 30s or 2min
    #[arg(long, value_name = "TIME", help_heading = "How")]
    pub lock_wait_timeout: Option<String>,
    #[command(flatten)]
    pub watched: Watched,
    #[command(flatten)]
    pub messages: Messages,
}

/// `pgstow backups`
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  pgstow backups
  pgstow backups --status failed --limit 10
  pgstow backups --stats
  pgstow backups --json | jq -r '.backups[] | [.id, .status, .bytes] | @tsv'")]
pub struct Backups {
    #[command(flatten)]
    pub place: Place,
    /// Only of this type: manual, daily, weekly, monthly (repeatable)
    #[arg(long = "type", value_name = "TYPE", help_heading = "Which")]
    pub backup_type: Vec<String>,
    /// Only with this status: running, completed, failed, expired (repeatable)
    #[arg(long, value_name = "STATUS", help_heading = "Which")]
    pub status: Vec<String>,
    /// Only of this database
    #[arg(long, value_name = "NAME", help_heading = "Which")]
    pub database: Option<String>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", help_heading = "Which")]
    pub limit: Option<usize>,
    /// Only those before this one: the next page
    #[arg(long, value_name = "ID", help_heading = "Which")]
    pub after: Option<String>,
    #[command(flatten)]
    pub watched: Watched,
    /// Figures: how many, how large, the last one, success rate, growth
    #[arg(long, help_heading = "Messages")]
    pub stats: bool,
    /// One JSON object
    #[arg(long, help_heading = "Messages")]
    pub json: bool,
}

/// Which backup.
#[derive(Debug, Default, Clone, Group)]
pub struct Which {
    /// The id of a backup, or `latest`
    #[arg(value_name = "ID|latest")]
    pub which: String,
    /// With latest: of this database
    #[arg(long, value_name = "NAME", help_heading = "Repository")]
    pub database: Option<String>,
    #[command(flatten)]
    pub place: Place,
}

/// `pgstow show`
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  pgstow show latest
  pgstow show 20261122T030000Z-1f2e3d4c --json")]
pub struct Show {
    #[command(flatten)]
    pub which: Which,
    /// One JSON object
    #[arg(long, help_heading = "Messages")]
    pub json: bool,
}

/// `pgstow download`
#[derive(Debug, Group)]
#[command(after_help = "\
What is encrypted stays so: age --decrypt and pgstow itself open it.

Examples:
  pgstow download latest -f shop.pgstow
  pgstow download 20261122T030000Z-1f2e3d4c -f - | pgstow restore -d shop_copy -")]
pub struct Download {
    #[command(flatten)]
    pub which: Which,
    /// Where the archive goes: a file, a URL, or `-` for standard output
    #[arg(short = 'f', long, value_name = "FILE", help_heading = "Output")]
    pub file: String,
    #[command(flatten)]
    pub messages: Messages,
}

/// `pgstow delete`
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  pgstow delete 20261122T030000Z-1f2e3d4c --reason 'taken by mistake'")]
pub struct Delete {
    /// The ids of backups
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,
    #[command(flatten)]
    pub place: Place,
    /// Also the last good backup of a database
    #[arg(long, help_heading = "How")]
    pub last: bool,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT", help_heading = "How")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub watched: Watched,
    #[command(flatten)]
    pub messages: Messages,
}

/// `pgstow prune`
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  pgstow prune --dry-run
  pgstow prune --store s3://backups/shop")]
pub struct Prune {
    #[command(flatten)]
    pub place: Place,
    /// Show what would be done, and do nothing
    #[arg(long, help_heading = "How")]
    pub dry_run: bool,
    #[command(flatten)]
    pub watched: Watched,
    #[command(flatten)]
    pub messages: Messages,
}

/// `pgstow pin`
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  pgstow pin latest --reason 'before the migration'")]
pub struct Pin {
    #[command(flatten)]
    pub which: Which,
    /// Why
    #[arg(long, value_name = "TEXT", help_heading = "How")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub watched: Watched,
    #[command(flatten)]
    pub messages: Messages,
}

/// `pgstow unpin`
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  pgstow unpin 20261122T030000Z-1f2e3d4c")]
pub struct Unpin {
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub watched: Watched,
    #[command(flatten)]
    pub messages: Messages,
}

/// `pgstow audit`
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  pgstow audit
  pgstow audit verify || echo 'somebody was at the log'")]
pub struct Audit {
    /// Only check it
    #[command(subcommand)]
    pub what: Option<AuditWhat>,
    #[command(flatten)]
    pub place: Place,
    /// One JSON object
    #[arg(long, global = true, help_heading = "Messages")]
    pub json: bool,
}

/// What is done with the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditWhat {
    /// Check that no record is missing or changed, and say no more
    Verify {
        #[command(flatten)]
        place: Place,
    },
}

/// `pgstow rebuild`
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  pgstow rebuild --store s3://backups/shop")]
pub struct Rebuild {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub decrypt: Decrypt,
    #[command(flatten)]
    pub messages: Messages,
}
