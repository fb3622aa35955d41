//! What was typed, of the commands about backups.

use clap::{Args as Group, Subcommand};

use crate::args::{
    Answer, CONFIGURED_DATABASE, Compress, Decrypt, Encrypt, Excluded, Locks, Messages, Place,
    Resources, Server, Source, Watched, Which, Why,
};

/// `pgstow backup`
#[derive(Debug, Group)]
#[command(after_help = "\
Examples:
  pgstow backup                                   # DATABASE_URL and AWS_* in the environment
  pgstow backup -d shop --store /var/backups/shop
  pgstow backup -d shop --store s3://backups/shop --type daily --encrypt-to age1…
  pgstow backup --job shop --verify")]
#[command(mut_arg("conn", |it| it.help(CONFIGURED_DATABASE)))]
pub struct Backup {
    #[command(flatten)]
    pub source: Source,
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
    #[command(flatten)]
    pub compress: Compress,
    #[command(flatten)]
    pub encrypt: Encrypt,
    #[command(flatten)]
    pub excluded: Excluded,
    #[command(flatten)]
    pub resources: Resources,
    #[command(flatten)]
    pub locks: Locks,
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
    #[command(flatten)]
    pub answer: Answer,
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
    #[command(flatten)]
    pub answer: Answer,
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
    #[command(flatten)]
    pub why: Why,
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
    #[command(flatten)]
    pub why: Why,
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
    #[command(flatten)]
    pub answer: Answer,
}

/// What is done with the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditWhat {
    /// Check that no record is missing or changed, and say no more
    Verify,
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
