//! What a restore will do and what it would meet, told as a whole before anything is changed.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::Input;
use super::restore::open;
use crate::archive::{Archive, DataSpec};
use crate::connect::{Config, Wire};
use crate::error::{Context, Error, Kind, Result, counted};
use crate::plan::Plan;
use crate::report::{Check, Verdict, size_words};
use crate::restore::{self, ArchiveReader, Place, RestoreOptions};
use crate::sql::{ident, literal};

/// What will be done, and what was looked at beforehand.
#[derive(Clone, Debug, Serialize)]
pub struct Preflight {
    /// Where to, as `user@host:port/database`; never a secret.
    pub target: String,
    /// The database that will hold what is restored.
    pub database: String,
    /// What was looked at.
    pub checks: Vec<Check>,
    /// What will be done, in order, in words.
    pub steps: Vec<String>,
    /// What the restore itself does, entry by entry.
    pub plan: Plan,
}

impl Preflight {
    /// The refusal, when a check failed.
    pub fn refusal(&self) -> Option<Error> {
        let mut failed = self
            .checks
            .iter()
            .filter(|check| check.verdict == Verdict::Failed);
        let first = failed.next()?;
        let more = match failed.count() {
            0 => String::new(),
            more => format!(" (and {more} more checks failed)"),
        };
        let found = first.found.lines().next().unwrap_or_default();
        let error = Error::new(Kind::Refused, format!("{}: {found}{more}", first.name));
        Some(match &first.way_out {
            Some(way_out) => error.with_hint(way_out.clone()),
            None => error,
        })
    }
}

impl fmt::Display for Preflight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "restore into {} ({})", self.database, self.target)?;
        for check in &self.checks {
            write!(f, "{check}")?;
        }
        for (at, step) in self.steps.iter().enumerate() {
            writeln!(f, "  {}. {step}", at + 1)?;
        }
        Ok(())
    }
}

/// What a restore of this archive would do and meet; the target is asked and not changed.
///
/// # Errors
/// [`Kind::Usage`] for options that make no sense and an archive from a pipe, of which nothing would be left to
/// restore; otherwise as [`restore_dry_run`].
pub async fn restore_preflight(
    config: &Config,
    input: &Input,
    options: &RestoreOptions,
) -> Result<Preflight> {
    let Input::Source(source) = input else {
        return Err(Error::new(
            Kind::Usage,
            "an archive from a pipe cannot be looked at beforehand",
        ));
    };
    restore_dry_run(config, Input::Source(Arc::clone(source)), options).await
}

/// As [`restore_preflight`], of an archive that is not needed any more: `--dry-run` with a target.
///
/// # Errors
/// [`Kind::Usage`] for options that make no sense, [`Kind::Archive`] for an archive that is damaged,
/// [`Kind::Connect`], and what the server answers. What stands in the way is no error but a check
/// that failed.
pub async fn restore_dry_run(
    config: &Config,
    input: Input,
    options: &RestoreOptions,
) -> Result<Preflight> {
    options.validate()?;
    look(config, open(input).await?, options).await
}

/// What a restore of all that can be restored from would do and meet.
pub(super) async fn look(
    config: &Config,
    mut reader: ArchiveReader,
    options: &RestoreOptions,
) -> Result<Preflight> {
    let mut checks = Vec::new();
    let mut row_bytes = None;
    // Nothing is known of the end of what comes front to back.
    if let ArchiveReader::File(archive) = &reader {
        checks.push(archived(archive));
        row_bytes = Some(bytes_of_rows(archive));
    }
    let database = match (options.create, &options.create_as) {
        (false, _) => config.database().to_owned(),
        (true, Some(name)) => name.clone(),
        (true, None) => reader.manifest().database.clone(),
    };
    let place = match options.create {
        true => Place::New,
        false => Place::Existing,
    };
    let survey = restore::survey(config, &mut reader, options, place).await?;
    checks.extend(survey.checks);
    let mut wire = restore::open_to_ask(config, "preflight").await?;
    let asking = async {
        let space = match row_bytes {
            Some(bytes) => Some(space(&mut wire, bytes, None).await?),
            None => None,
        };
        let taken = match options.create && !options.clean && !options.resume {
            true => taken(&mut wire, &database).await?,
            false => None,
        };
        Ok::<_, Error>([space, taken])
    };
    let asked = asking.await;
    wire.close().await;
    checks.extend(asked?.into_iter().flatten());
    let mut steps = Vec::new();
    if options.create {
        steps.push(match options.clean {
            true => format!("drop database {database} if it is there, and make it"),
            false => format!("make database {database}"),
        });
    } else if options.clean {
        let drops = survey.plan.drops.len() as u64;
        steps.push(format!("drop {}", counted(drops, "object")));
    }
    steps.push(
        match &reader {
            ArchiveReader::Relay(_) => "copy into it",
            ArchiveReader::File(_) | ArchiveReader::Pipe(_) => "restore the archive",
        }
        .to_owned(),
    );
    Ok(Preflight {
        target: config.describe(),
        database,
        checks,
        steps,
        plan: survey.plan,
    })
}

/// A check that failed, when there is a database of the name that is to be made.
async fn taken(wire: &mut Wire, database: &str) -> Result<Option<Check>> {
    let rows = wire
        .query(&format!(
            "SELECT 1 FROM pg_catalog.pg_database WHERE datname = {}",
            literal(database)
        ))
        .await
        .context_with(|| "look which databases there are")?;
    Ok((!rows.is_empty()).then(|| {
        let found = format!("there is a database {} already", ident(database));
        Check::new("database", Verdict::Failed, found).with_way_out(
            "give the new one another name with --create-as, drop it first with --clean, or take its \
             place with --swap",
        )
    }))
}

/// What an archive says of itself. That it could be opened means that its end, index and table of
/// contents are there and agree.
pub(super) fn archived(archive: &Archive) -> Check {
    let manifest = archive.manifest();
    let found = format!(
        "complete: {}, {} of them with data, {}; database {}, dumped {}",
        counted(archive.entries().len() as u64, "entry"),
        archive.index().tables().len(),
        size_words(archive.bytes()),
        manifest.database,
        manifest.created
    );
    match manifest.selection() {
        None => Check::new("archive", Verdict::Passed, found),
        Some(selection) => {
            let found =
                format!("{found}; a part of that database alone: it was made with {selection}");
            Check::new("archive", Verdict::Warning, found)
        }
    }
}

/// How many bytes the rows of an archive have when they are decompressed.
pub(super) fn bytes_of_rows(archive: &Archive) -> u64 {
    let is_rows = |table: &&crate::archive::TableIndex| {
        let entry = archive.entries().get(table.entry as usize - 1);
        !entry.is_some_and(|entry| matches!(entry.data, Some(DataSpec::Statistics { .. })))
    };
    let tables = archive.index().tables().filter(is_rows);
    tables.map(|table| table.raw_bytes).sum()
}

/// How much room `rows` bytes of rows need at least, against what is known of the server's. `beside` is how large the
/// database is that stays there as well.
///
/// # Errors
/// What the server answers.
pub(super) async fn space(wire: &mut Wire, rows: u64, beside: Option<u64>) -> Result<Check> {
    let beside = match beside {
        Some(bytes) => {
            let there = size_words(bytes);
            format!(", beside the {there} of the database that is there")
        }
        None => String::new(),
    };
    let needed = format!("{} of rows{beside}; indexes come on top", size_words(rows));
    let asked = wire
        .query(
            "SELECT CASE WHEN pg_catalog.inet_server_addr() IS NULL \
             THEN pg_catalog.current_setting('data_directory', true) END",
        )
        .await;
    let directory = match asked {
        Ok(rows) => rows.into_iter().flatten().next().flatten(),
        // Where it keeps its data is not everybody's business.
        Err(error) if error.kind() == Kind::Server => None,
        Err(error) => return Err(error).context_with(|| "ask where the server keeps its data"),
    };
    // Over a Unix socket the server is on this machine, or shares its socket with it.
    let free = directory.and_then(|path| rustix::fs::statvfs(path).ok());
    let Some(free) = free.map(|free| free.f_bavail.saturating_mul(free.f_frsize)) else {
        let found = format!("{needed}; the server does not tell how much room it has");
        return Ok(Check::new("space", Verdict::Skipped, found)
            .with_way_out("see on its machine that there is enough"));
    };
    let room = size_words(free);
    let found = format!("{needed}; {room} are free where the server keeps its data");
    if free > rows {
        return Ok(Check::new("space", Verdict::Passed, found));
    }
    Ok(Check::new("space", Verdict::Warning, found)
        .with_way_out("make room, or put the database into another tablespace"))
}
