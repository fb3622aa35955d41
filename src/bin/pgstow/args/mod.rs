//! What was typed. Nothing is decided here; [`settings`](super::settings) says what it means.
//!
//! Options carry the names that pg_dump and pg_restore gave them. `-h` is the host, so help is
//! `--help` alone.

mod commands;
mod groups;

pub use commands::*;
pub use groups::*;

use super::repository::args as backups;
use clap::{ArgAction, Parser, Subcommand};

/// Dumps a live PostgreSQL database into one streamed, checksummed archive, and restores it in
/// parallel.
#[derive(Debug, Parser)]
#[command(
    name = "pgstow",
    version,
    propagate_version = true,
    disable_help_flag = true,
    disable_version_flag = true,
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
    /// Show the version
    #[arg(short = 'V', long, global = true, action = ArgAction::Version, help_heading = "Messages")]
    version: Option<bool>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }
}
