//! From an open archive and a configuration to a restored database.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::coordinator::Coordinator;
use super::definitions::{definitions, make_definitions};
use super::enter::{Source, Target};
use super::feed::{Conveyor, Feed, FileFeed, PipeFeed};
use super::frame::Unpacker;
use super::journal::{self, Journal, Opener, Run, Standing, Unit};
use super::options::{RestoreOptions, RestoreReport};
use super::outcome::Outcome;
use super::preflight::Place;
use super::reader::{ArchiveReader, Known};
use super::serial::{drop_objects, refuse_absent, unless_cancelled};
use super::session::{self, Session, Setup};
use super::shared::{Shared, Transactions};
use super::triggers::{Switcher, TriggerStates, Which};
use super::{extensions, lost_rows, statistics, triggers, versions};
use crate::archive::{Entry, EntryId};
use crate::connect::{Config, Wire};
use crate::error::{Context, Error, Kind, Result, counted};
use crate::plan::{Barrier, Cause, Plan, Schedule, Work, adapt};
use crate::relay::Room;
use crate::report::{Event, Observer};
use crate::select::Globals;
use crate::task::ByteBudget;

/// Restores an open archive into a database that is there, or that the options say to make.
///
/// # Errors
/// As [`crate::ops::restore`].
pub async fn restore(
    config: &Config,
    archive: ArchiveReader,
    options: &RestoreOptions,
    observer: Arc<dyn Observer>,
    cancel: &CancellationToken,
) -> Result<RestoreReport> {
    let place = match options.create {
        true => Place::New,
        false => Place::Existing,
    };
    restore_into(config, archive, options, place, observer, cancel).await
}

/// The same; with [`Place::New`] a database that was made for this may have any settings, since nobody guards it by
/// them.
///
/// # Errors
/// As [`crate::ops::restore`].
pub(crate) async fn restore_into(
    config: &Config,
    mut archive: ArchiveReader,
    options: &RestoreOptions,
    place: Place,
    observer: Arc<dyn Observer>,
    cancel: &CancellationToken,
) -> Result<RestoreReport> {
    let entries = archive.take_entries(options);
    let file = match &archive {
        ArchiveReader::File(archive) => Some(Arc::clone(archive)),
        ArchiveReader::Pipe(_) | ArchiveReader::Relay(_) => None,
    };
    let crashed = Arc::new(AtomicBool::new(false));
    let observed = Arc::clone(&observer);
    let mut restored = restore_some(
        (config, place),
        (archive, entries),
        options,
        observed,
        cancel,
        &crashed,
    )
    .await;
    for _ in 0..CRASHES {
        let (Err(error), Some(file)) = (&restored, &file) else {
            break;
        };
        if !crashed.swap(false, Ordering::Relaxed) || cancel.is_cancelled() {
            break;
        }
        // What was done is what the journal still tells.
        observer.warning(format!("{error}: going on from the journal"));
        let resuming = RestoreOptions {
            resume: true,
            ..options.clone()
        };
        let entries = match options.globals {
            Globals::Alone => Vec::new(),
            _ => file.read_entries().await?,
        };
        let archive = ArchiveReader::File(Arc::clone(file));
        let entries = archive.with_options(entries, &resuming);
        let observed = Arc::clone(&observer);
        restored = restore_some(
            (config, place),
            (archive, entries),
            &resuming,
            observed,
            cancel,
            &crashed,
        )
        .await;
    }
    restored.map_err(|error| match error.kind() {
        Kind::Interrupted | Kind::Archive if options.single_transaction => {
            error.with_hint("nothing was committed: the target is as it was")
        }
        _ => error,
    })
}

/// How much of the memory frames may take; the rest is for buffers that wait to be used again, and
/// for all else.
const ROWS_EIGHTHS: u64 = 5;

/// How often a run goes on by itself with a server that has crashed.
const CRASHES: u32 = 5;

/// The role that owns what a session makes.
async fn current_role(wire: &mut Wire) -> Result<String> {
    let rows = wire.query("SELECT current_user::text").await?;
    let role = rows.into_iter().flatten().next().flatten();
    role.ok_or_else(|| Error::new(Kind::Failed, "the server does not say who the session is"))
}

async fn restore_some(
    (config, place): (&Config, Place),
    (archive, mut entries): (ArchiveReader, Vec<Entry>),
    options: &RestoreOptions,
    observer: Arc<dyn Observer>,
    cancel: &CancellationToken,
    crashed: &Arc<AtomicBool>,
) -> Result<RestoreReport> {
    let mut globals = archive.wanted_globals(options)?;
    let mut outcome = Outcome::new();
    outcome.phase("connect");
    observer.event(&Event::Phase {
        name: "connect",
        steps: None,
    });
    let mut target = Target {
        config: config.clone(),
        place,
        room: match &archive {
            ArchiveReader::Relay(offer) => offer.room,
            ArchiveReader::File(_) | ArchiveReader::Pipe(_) => Room::Own,
        },
        options,
        archive: archive.manifest().archive_id,
        encoding: archive.manifest().encoding.clone(),
        cancel,
        crashed,
        standing: Standing::None,
        adopts: options.adopt,
    };
    let mut wire = target.open("restore").await?;
    if !options.create && options.globals != Globals::Alone {
        target.look(&mut wire).await?;
    }
    let mut known = Known::ask(&mut wire, &mut entries).await?;
    adapt(&mut globals, wire.server_version());
    let mut plan = archive.plan_of(&mut entries, options, &known)?;
    // A database that is still to be made has nothing.
    if !options.create && options.globals != Globals::Alone {
        let planned = (plan, &target.standing);
        plan = archive
            .plan_without_present(&mut wire, &mut entries, options, &mut known, planned)
            .await?;
    }
    let mut shared = Shared::new(entries, plan, options, observer);

    versions::tell(&shared, &globals, wire.server_version());
    if let Err(error) = versions::judge(&shared, options, &wire, &mut outcome) {
        wire.close().await;
        return Err(error);
    }
    let has_globals = archive.globals().is_some();
    let source = Source {
        manifest: archive.manifest(),
        globals: &globals,
        has_globals,
    };
    let (mut wire, setup) = target
        .enter(wire, &mut shared, &source, &mut outcome)
        .await?;
    if options.globals == Globals::Alone {
        let name = wire.describe().to_owned();
        let durable = session::make_durable(&mut wire).await;
        wire.close().await;
        durable.map_err(not_durable)?;
        if let ArchiveReader::Pipe(mut reader) = archive {
            // Whoever writes it is let finish, and what is wrong further on is found.
            while reader.next().await?.is_some() {}
        }
        return Ok(outcome.finish(&shared, name));
    }
    if options.create {
        let planned = (shared.plan, &target.standing);
        shared.plan = archive
            .plan_without_present(&mut wire, &mut shared.entries, options, &mut known, planned)
            .await?;
    }
    shared.current_role = current_role(&mut wire).await?;
    tell_selection(&shared, options);
    if let Err(error) = extensions::check(&mut wire, &shared, options).await {
        wire.close().await;
        return Err(error);
    }
    shared.sort_memory = setup.sort_memory;
    shared.own_settings.clone_from(&setup.own_settings);
    shared.fills_cores = setup.fills_cores;
    shared.takes_statistics = statistics::can_take(wire.server_version());
    statistics::warn_of_old_target(&shared, wire.server_version(), options.analyze);
    let name = wire.describe().to_owned();
    let mut sessions = vec![Session::new(wire, 1)];
    let keeping = Keeping {
        setup: &setup,
        present: &known.present,
        resumable: !matches!(archive, ArchiveReader::Relay(_)),
    };
    let prepared = prepare(&mut sessions, &target, &mut shared, keeping, &mut outcome).await;
    let shared = Arc::new(shared);
    let restored = match prepared {
        Ok(()) => {
            let loaded = load(sessions, archive, &target, (&shared, &setup), &mut outcome).await;
            match loaded {
                Ok(session) => end(session, &shared, cancel).await,
                Err(error) => Err(error),
            }
        }
        Err(error) => {
            for session in sessions {
                session.wire.close().await;
            }
            Err(error)
        }
    };
    if let Err(error) = restored {
        return Err(match &shared.journal {
            Some(journal) => journal.leave(error).await,
            None => error,
        });
    }
    Ok(outcome.finish(&shared, name))
}

/// Everything is done: one of the sessions that did it makes it durable, and drops the journal.
async fn end(mut session: Session, shared: &Shared, cancel: &CancellationToken) -> Result<()> {
    if let Some(journal) = &shared.journal {
        return journal.end(shared, session).await;
    }
    // As long as the session answers, the server has not crashed since there was anything to lose.
    let reach = session.reach();
    let ending = session::make_durable(&mut session.wire);
    let durable = unless_cancelled(reach, cancel, ending).await?;
    session.wire.close().await;
    durable.map_err(not_durable)
}

/// Whether a crash of the server takes something away is not known.
fn not_durable(error: Error) -> Error {
    error
        .context("everything was restored, but the server did not say that it is on disk")
        .with_hint("compare the target with the archive (verify --against), or restore again")
}

/// All that comes behind the definitions, by as many sessions as are wanted.
async fn load(
    mut sessions: Vec<Session>,
    archive: ArchiveReader,
    target: &Target<'_>,
    (shared, setup): (&Arc<Shared>, &Setup),
    outcome: &mut Outcome,
) -> Result<Session> {
    // They are there already where they have made definitions.
    if sessions.len() == 1 {
        sessions.extend(
            target
                .more_sessions(shared, setup, useful_sessions(shared))
                .await?,
        );
    }

    let mut schedule = Schedule::new(&shared.plan);
    for step in &shared.plan.steps {
        if step.work == Work::Barrier(Barrier::Definitions) {
            break;
        }
        schedule.take_step(step.id);
        schedule.finish(step.id);
    }
    announce_rows(shared, &archive);
    let (sender, happenings) = mpsc::unbounded_channel();
    let jobs = sessions.len();
    let unpacker = Arc::new(match &archive {
        // Buffers go back to who fills them.
        ArchiveReader::Relay(offer) => Unpacker::giving_back(Arc::clone(&offer.buffers)),
        _ => Unpacker::new(archive.manifest().codec, jobs + 2),
    });
    let conveyor = Conveyor {
        shared: Arc::clone(shared),
        unpacker: Arc::clone(&unpacker),
        budget: ByteBudget::new(target.options.memory_bytes / 8 * ROWS_EIGHTHS),
        happenings: sender.clone(),
    };
    let feed = match archive {
        ArchiveReader::File(archive) => Feed::File(FileFeed::new(archive, conveyor, jobs)),
        ArchiveReader::Pipe(reader) => {
            Feed::Pipe(PipeFeed::new(*reader, conveyor, wanted_data(shared)))
        }
        ArchiveReader::Relay(offer) => {
            let taker = offer.accept(wanted_data(shared));
            Feed::Pipe(PipeFeed::of_relay(taker, conveyor))
        }
    };
    Coordinator::new(
        shared,
        schedule,
        outcome,
        feed,
        sessions,
        &unpacker,
        (sender, happenings),
    )
    .run(target.cancel)
    .await
}

/// Most names that are told one by one.
const TOLD: usize = 20;

/// What the plan warns of; with a selection by name what comes along, what is left out, and what
/// the target must have.
fn tell_selection(shared: &Shared, options: &RestoreOptions) {
    for warning in &shared.plan.warnings {
        shared.warn(warning.clone());
    }
    if options.filter.is_all() {
        return;
    }
    let Plan {
        omitted,
        needed,
        pulled,
        ..
    } = &shared.plan;
    let ties = |cause: Cause| -> Vec<String> {
        let ties = omitted.iter().filter(|it| it.cause == cause);
        ties.map(|it| format!("left out: {}: {}", it.name, it.reason))
            .collect()
    };
    let pulled = pulled
        .iter()
        .map(|it| format!("pulled in: {}, needed by {}", it.name, it.needed_by));
    let info = |line: String| shared.observer.info(line);
    tell(info, pulled.collect());
    let (found, missing): (Vec<_>, Vec<_>) = needed.iter().partition(|needed| needed.found);
    let found = found.iter();
    let found = found.map(|it| format!("there already, not made again: {}", it.name));
    tell(info, found.collect());
    // What is restored had it on the source, and lacks it now.
    tell(|line| shared.warn(line), ties(Cause::OtherEnd));
    tell(info, ties(Cause::FromOtherEnd));
    let missing = missing.iter();
    let missing = missing.map(|it| format!("not restored, must be there already: {}", it.name));
    tell(info, missing.collect());
    let omitted = counted(omitted.len() as u64, "entry");
    shared.observer.info(format!("left out: {omitted}"));
}

/// Says these lines, or the first of them and how many there are.
fn tell(say: impl Fn(String), lines: Vec<String>) {
    let more = lines.len().saturating_sub(TOLD);
    lines.into_iter().take(TOLD).for_each(&say);
    if more > 0 {
        say(format!("and {more} others"));
    }
}

/// The entries whose frames are waited for.
fn wanted_data(shared: &Shared) -> BTreeSet<EntryId> {
    let steps = shared.plan.steps.iter().filter(|step| match step.work {
        Work::Rows | Work::LargeObjects => true,
        Work::Statistics => shared.takes_statistics,
        _ => false,
    });
    steps.filter_map(|step| step.entry).collect()
}

/// Says how much is coming, where that is known.
fn announce_rows(shared: &Shared, archive: &ArchiveReader) {
    let tables: Vec<EntryId> = shared
        .plan
        .steps_of(Work::Rows)
        .map(|(_, entry)| entry)
        .collect();
    let (bytes, rows) = match archive {
        ArchiveReader::File(archive) => {
            let known = || tables.iter().filter_map(|&id| archive.table(id));
            let bytes = known().map(|table| table.raw_bytes).sum();
            (bytes, Some(known().map(|table| table.rows).sum()))
        }
        ArchiveReader::Relay(offer) => {
            let known = tables.iter().filter_map(|id| offer.bytes.get(id));
            (known.sum(), None)
        }
        ArchiveReader::Pipe(_) => return,
    };
    shared.event(&Event::DataTotal {
        tables: tables.len() as u64,
        bytes,
        rows,
    });
}

/// How many sessions find something to do behind the definitions. More than there are things to do would
/// idle; but one table can keep any number.
fn useful_sessions(shared: &Shared) -> usize {
    if shared.plan.steps_of(Work::Rows).next().is_some() {
        return usize::MAX;
    }
    let is_done_before = |work: Work| work == Work::Barrier(Barrier::Definitions);
    let steps = &shared.plan.steps;
    let later = steps.iter().skip_while(|step| !is_done_before(step.work));
    later.filter(|step| step.entry.is_some()).count().max(1)
}

/// What a journal must know.
struct Keeping<'a> {
    setup: &'a Setup,
    /// What the target has of what would have been pulled in.
    present: &'a BTreeSet<EntryId>,
    /// Whether there can be another run with the same rows.
    resumable: bool,
}

/// All that comes before rows are loaded, nearly all of it by the only session that there is; others
/// are opened where they can share the definitions.
async fn prepare(
    sessions: &mut Vec<Session>,
    target: &Target<'_>,
    shared: &mut Shared,
    keeping: Keeping<'_>,
    outcome: &mut Outcome,
) -> Result<()> {
    let (options, cancel) = (target.options, target.cancel);
    let Some(session) = sessions.first_mut() else {
        return Ok(());
    };
    if shared.transactions == Transactions::One {
        session
            .wire
            .execute("BEGIN")
            .await
            .context_with(|| "begin")?;
    }
    if !shared.plan.drops.is_empty() {
        outcome.phase("clean");
        // Of what an interrupted run has dropped, nothing is there.
        if !options.if_exists && target.standing.resumed().is_none() {
            refuse_absent(&mut session.wire, shared, cancel, outcome).await?;
        }
        let reach = session.reach();
        let looking =
            lost_rows::refuse_losses(&mut session.wire, shared, options, &target.standing);
        unless_cancelled(reach, cancel, looking).await??;
    }
    if matches!(target.standing, Standing::Replaced) {
        journal::drop_it(&mut session.wire).await?;
    }
    if shared.transactions != Transactions::One && !options.no_journal {
        let run = Run {
            archive: target.archive,
            options,
            present: keeping.present,
            resumable: keeping.resumable,
            opener: Opener {
                config: target.config.clone(),
                setup: keeping.setup.clone(),
                role: options.role.clone(),
                patience: options.reconnect_timeout,
                cancel: cancel.clone(),
            },
            crashed: Arc::clone(target.crashed),
        };
        let reach = session.reach();
        let beginning = Journal::begin(session, shared, &target.standing, run);
        shared.journal = unless_cancelled(reach, cancel, beginning).await??;
    }
    let is_clean = |journal: &Journal| journal.has(Unit::CLEAN);
    if !shared.plan.drops.is_empty() && !shared.journal.as_ref().is_some_and(is_clean) {
        drop_objects(session, shared, cancel, outcome).await?;
    }
    outcome.phase("pre-data");
    let lanes = definitions(shared, options.jobs, outcome);
    if !lanes.families.is_empty() {
        let useful = useful_sessions(shared).max(lanes.families.len());
        sessions.extend(target.more_sessions(shared, keeping.setup, useful).await?);
    }
    make_definitions(sessions, shared, lanes, cancel, outcome).await?;
    let Some(session) = sessions.first_mut() else {
        return Ok(());
    };
    shared.triggers = triggers_off(session, target, shared).await?;
    Ok(())
}

/// The triggers that are off while rows are loaded: of tables that were found, where that is asked
/// for; and of unlogged tables that this restore made, when it goes on. Those may have been complete, and got
/// their triggers, before a crash of the server emptied them.
async fn triggers_off(
    session: &mut Session,
    target: &Target<'_>,
    shared: &Shared,
) -> Result<HashMap<EntryId, TriggerStates>> {
    let options = target.options;
    let is_resumed = target.standing.resumed().is_some();
    if !options.disable_triggers && !is_resumed {
        return Ok(HashMap::new());
    }
    let made: BTreeSet<EntryId> = shared
        .plan
        .steps_of(Work::Statements)
        .map(|(_, entry)| entry)
        .collect();
    let is_made = |entry: &&Entry| {
        let needs = |id: &EntryId| made.contains(id);
        entry.depends_on.iter().any(needs)
    };
    let loaded = shared.plan.steps_of(Work::Rows);
    // A table that was made just now has no triggers yet.
    let (made, found): (Vec<&Entry>, Vec<&Entry>) = loaded
        .filter_map(|(_, id)| shared.entry(id))
        .partition(is_made);
    let switcher = Switcher {
        superuser: options.superuser.as_deref(),
        role: options.role.as_deref(),
    };
    let reach = session.reach();
    let wire = &mut session.wire;
    let asking = async {
        let mut states = HashMap::new();
        if options.disable_triggers {
            states = triggers::ask(wire, found.into_iter(), Which::All, switcher).await?;
        }
        if is_resumed {
            let unlogged = journal::unlogged(wire, made.iter().copied()).await?;
            let emptied = made
                .into_iter()
                .filter(|entry| unlogged.contains_key(&entry.id));
            states.extend(triggers::ask(wire, emptied, Which::Switchable, switcher).await?);
        }
        Ok::<_, Error>(states)
    };
    unless_cancelled(reach, target.cancel, asking).await?
}
