//! What a restore would meet, asked before anything is changed and told all at once: the questions are
//! those that [`restore`](super::restore()) asks itself, which ends at the first bad answer.

use std::sync::{Arc, Mutex};

use super::options::{RestoreOptions, TargetState};
use super::outcome::Outcome;
use super::reader::{ArchiveReader, Known};
use super::session::{self, Setup, Share};
use super::shared::Shared;
use super::{
    column_types, default_privileges, encoding, extensions, globals, journal, lost_rows, target,
    versions,
};
use crate::archive::Entry;
use crate::connect::{Config, Wire};
use crate::error::{Kind, Result};
use crate::plan::{Plan, adapt};
use crate::report::{Check, Event, Level, Observer, Verdict};
use crate::select::Globals;
use crate::sql::ServerVersion;
use crate::task::lock;

/// Where a restore goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The database of the connection.
    Existing,
    /// A new database on the server of the connection.
    New,
}

/// What a restore would meet.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The target's version.
    pub version: ServerVersion,
    /// The session's place, as `user@host:port/database`.
    pub place: String,
    /// What would be done.
    pub plan: Plan,
    /// What was looked at: `server`, `objects`, `extensions`, `roles`, `encoding`, `types`, `default-privileges`,
    /// `clean`, `empty`.
    pub checks: Vec<Check>,
}

/// Asks the target all that can be known beforehand, and changes nothing.
///
/// # Errors
/// [`Kind::Connect`], what the server answers, and a selection that matches nothing. What makes the
/// restore impossible is no error but a check that failed.
pub async fn survey(
    config: &Config,
    archive: &mut ArchiveReader,
    options: &RestoreOptions,
    place: Place,
) -> Result<Survey> {
    let mut wire = session::open_to_ask(config, "preflight").await?;
    let surveyed = ask(&mut wire, archive, options, place).await;
    wire.close().await;
    surveyed
}

async fn ask(
    wire: &mut Wire,
    archive: &mut ArchiveReader,
    options: &RestoreOptions,
    place: Place,
) -> Result<Survey> {
    let share = Share {
        jobs: options.jobs,
        memory_bytes: options.memory_bytes,
    };
    let role = options.role.as_deref();
    let setup = Setup::ask(wire, &archive.manifest().encoding, role, share).await?;
    setup.apply(wire).await?;

    let mut globals = archive.wanted_globals(options)?;
    let mut entries = archive.take_entries(options);
    let mut known = Known::ask(wire, &mut entries).await?;
    adapt(&mut globals, wire.server_version());
    let mut plan = archive.plan_of(&mut entries, options, &known)?;
    let standing = match place {
        Place::Existing => journal::look(wire, archive.manifest().archive_id, options).await,
        Place::New => Ok(journal::Standing::None),
    };
    let is_resumed = matches!(&standing, Ok(standing) if standing.resumed().is_some());
    if let (Place::Existing, Ok(standing)) = (place, &standing) {
        plan = archive
            .plan_without_present(wire, &mut entries, options, &mut known, (plan, standing))
            .await?;
    }
    plan.globals = globals.iter().map(Entry::describe).collect();
    let heard = Arc::new(Heard::default());
    let mut shared = Shared::new(entries, plan, options, Arc::clone(&heard) as _);

    let mut checks = Vec::new();
    let version = wire.server_version();
    let archived = ServerVersion::from_num(archive.manifest().server_version);
    let done = match (target::check(wire, archived, &*heard).await, place) {
        (Ok(_), Place::Existing) => target::refuse_read_only(wire).await,
        (done, _) => done.map(|_| ()),
    };
    let fine = format!("PostgreSQL {version}; the archive is of {archived}");
    checks.push(heard.judge("server", done, fine)?);

    versions::tell(&shared, &globals, version);
    let done = versions::judge(&shared, options, wire, &mut Outcome::new());
    let steps = shared.plan.steps.iter();
    let made = steps.filter(|step| step.entry.is_some()).count();
    let fine = format!("everything that is wanted can be made, in {made} steps");
    checks.push(heard.judge("objects", done, fine)?);

    let done = match place {
        Place::Existing => extensions::check(wire, &shared, options).await,
        Place::New => extensions::check_offers(wire, &shared, options).await,
    };
    checks.push(heard.judge("extensions", done, "the server has all that are needed")?);

    let found = globals::Found::ask(wire).await?;
    let has_globals = archive.globals().is_some();
    let place_name = wire.describe().to_owned();
    let done = globals::check_names(&shared, &found, &globals, has_globals, &place_name);
    let fine = "all roles and tablespaces that the archive names are there";
    checks.push(heard.judge("roles", done, fine)?);

    if place == Place::Existing {
        let encoding = encoding::of_rows(archive.manifest());
        let done = encoding::check(wire, &shared, encoding).await;
        let fine = format!("the target can hold what is {encoding}");
        checks.push(heard.judge("encoding", done, fine)?);

        let done = column_types::check(wire, &shared).await;
        let fine = "no table that is there has other types than its rows";
        checks.push(heard.judge("types", done, fine)?);

        if !is_resumed && options.globals != Globals::Alone && shared.plan.makes_definitions() {
            let found = default_privileges::Found::of(options);
            let done = default_privileges::check(wire, &shared, found).await;
            let fine = "the target adds no privileges of its own to what is restored";
            checks.push(heard.judge("default-privileges", done.map(|_| ()), fine)?);
        }

        if let (Ok(standing), false) = (&standing, shared.plan.drops.is_empty()) {
            let done = lost_rows::refuse_losses(wire, &shared, options, standing).await;
            let fine = "nothing is dropped but what is made again";
            checks.push(heard.judge("clean", done, fine)?);
        }

        let must_be_empty = options.target == TargetState::Empty
            && !options.clean
            && options.globals != Globals::Alone
            && shared.plan.makes_definitions();
        let (done, fine) = match standing {
            Err(error) => (Err(error), ""),
            Ok(_) if is_resumed => (Ok(()), "it holds what an earlier run has restored"),
            Ok(standing) if must_be_empty => (
                match journal::refuse_others(wire, &standing).await {
                    Ok(()) => target::refuse_unless_empty(wire).await,
                    refused => refused,
                },
                "the target database holds nothing",
            ),
            Ok(_) => (Ok(()), "the target need not be empty"),
        };
        checks.push(heard.judge("empty", done, fine)?);
    }
    Ok(Survey {
        version,
        place: place_name,
        plan: std::mem::take(&mut shared.plan),
        checks,
    })
}

/// Keeps what the questions warn of.
#[derive(Default)]
struct Heard {
    warnings: Mutex<Vec<(String, Option<String>)>>,
}

impl Observer for Heard {
    fn event(&self, event: &Event) {
        if let Event::Message {
            level: Level::Warning | Level::Error,
            text,
            hint,
        } = event
        {
            let mut warnings = lock(&self.warnings);
            warnings.push((text.clone(), hint.clone()));
        }
    }
}

impl Heard {
    /// A check of what was asked, with all that it warned of.
    fn judge(
        &self,
        name: &'static str,
        done: Result<()>,
        fine: impl Into<String>,
    ) -> Result<Check> {
        let warnings = std::mem::take(&mut *lock(&self.warnings));
        let mut lines: Vec<&str> = warnings.iter().map(|(text, _)| text.as_str()).collect();
        let hints = || warnings.iter().find_map(|(_, hint)| hint.clone());
        let refusal = match done {
            Err(error) if error.kind() == Kind::Refused => Some(error),
            done => done.map(|()| None)?,
        };
        let (verdict, way_out) = match &refusal {
            Some(error) => {
                lines.insert(0, error.message());
                (Verdict::Failed, error.hint().map(str::to_owned))
            }
            None if lines.is_empty() => {
                return Ok(Check::new(name, Verdict::Passed, fine));
            }
            None => (Verdict::Warning, hints()),
        };
        Ok(Check {
            way_out,
            ..Check::new(name, verdict, lines.join("\n"))
        })
    }
}
