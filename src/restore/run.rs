//! From an open archive and a configuration to a restored database.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::coordinator::Coordinator;
use super::definitions::{definitions, make_definitions};
use super::failure::{interrupted, of_statement};
use super::feed::{Conveyor, Feed, FileFeed, PipeFeed, Stream};
use super::frame::Unpacker;
use super::journal::{self, Journal, Opener, Run, Standing, Unit};
use super::options::{OnError, RestoreOptions, RestoreReport, TargetState};
use super::outcome::Outcome;
use super::preflight::Place;
use super::serial::{Absent, drop_objects, refuse_absent, unless_cancelled};
use super::session::{self, Session, Setup, Share};
use super::shared::{Shared, Transactions};
use super::triggers::{Switcher, TriggerStates, Which};
use super::{
    cascade, column_types, database, default_privileges, encoding, extensions, globals, lost_rows,
    present, statistics, target, triggers, versions,
};
use crate::archive::{Archive, ArchiveId, DataSpec, Entry, EntryId, Manifest, StreamReader};
use crate::connect::{Config, Wire, fewer, lacks_room, open_in_a_moment};
use crate::error::{Context, Error, Kind, Result, one_line};
use crate::plan::{
    Barrier, Cause, Choices, InPieces, Omitted, Plan, RowOrder, Schedule, Work, adapt, build,
    load_via_root,
};
use crate::relay::{Offer, Room};
use crate::report::{Event, Observer};
use crate::select::Globals;
use crate::sql::ServerVersion;
use crate::task::ByteBudget;

/// An archive that was opened: what it says of itself is read and checked.
pub enum ArchiveReader {
    /// One whose frames can be read in any order.
    File(Arc<Archive>),
    /// One whose frames come in theirs.
    Pipe(Box<StreamReader<Stream>>),
    /// None at all: another database, which is read while it is restored.
    Relay(Box<Offer>),
}

impl ArchiveReader {
    /// What the archive says of itself.
    pub fn manifest(&self) -> &Manifest {
        match self {
            Self::File(archive) => archive.manifest(),
            Self::Pipe(reader) => reader.manifest(),
            Self::Relay(offer) => &offer.manifest,
        }
    }

    pub(super) fn globals(&self) -> Option<&[Entry]> {
        match self {
            Self::File(archive) => archive.globals(),
            Self::Pipe(reader) => reader.globals(),
            Self::Relay(offer) => offer.globals.as_deref(),
        }
    }

    /// The globals that are to be made.
    ///
    /// # Errors
    /// [`Kind::Refused`] when the archive does not have what is wanted of it.
    pub(super) fn wanted_globals(&self, options: &RestoreOptions) -> Result<Vec<Entry>> {
        globals::wanted(self.manifest(), self.globals(), options.globals)
    }

    /// What the table of contents lists, and the database itself if it is to be made. The reader has them no more then,
    /// where nobody else holds the archive: a database of very many objects has a large table of contents.
    pub(super) fn take_entries(&mut self, options: &RestoreOptions) -> Vec<Entry> {
        if options.globals == Globals::Alone {
            return Vec::new();
        }
        let listed = match self {
            Self::File(archive) => match Arc::get_mut(archive) {
                Some(archive) => archive.take_entries(),
                None => archive.entries().to_vec(),
            },
            Self::Pipe(reader) => reader.take_entries(),
            Self::Relay(offer) => std::mem::take(&mut offer.entries),
        };
        self.with_options(listed, options)
    }

    /// The entries as these options want them.
    fn with_options(&self, mut entries: Vec<Entry>, options: &RestoreOptions) -> Vec<Entry> {
        if options.create {
            entries.extend_from_slice(&self.manifest().database_entries);
        }
        if options.extension_versions {
            entries.iter_mut().for_each(Entry::pin_version);
        }
        if options.load_via_partition_root {
            load_via_root(&mut entries);
        }
        entries
    }

    /// What a restore with these options would do.
    ///
    /// # Errors
    /// As [`build`].
    pub fn plan(mut self, options: &RestoreOptions) -> Result<Plan> {
        let mut entries = self.take_entries(options);
        let known = Known {
            version: options.target_version,
            ..Known::default()
        };
        let globals = self.wanted_globals(options)?;
        let mut plan = self.plan_of(&mut entries, options, &known)?;
        plan.globals = globals.iter().map(Entry::describe).collect();
        Ok(plan)
    }

    /// Gives the entries the form that the target's version needs, and makes a plan of them.
    pub(super) fn plan_of(
        &self,
        entries: &mut [Entry],
        options: &RestoreOptions,
        known: &Known,
    ) -> Result<Plan> {
        let choices = Choices {
            target: known.version,
            present: known.present.clone(),
            unavailable: known.unavailable.clone(),
            row_order: match self {
                Self::File(_) => RowOrder::Free,
                Self::Pipe(_) | Self::Relay(_) => RowOrder::AsTheyCome,
            },
            in_pieces: known.in_pieces.unwrap_or(options.choices().in_pieces),
            ..options.choices()
        };
        if let Some(version) = known.version {
            adapt(entries, version);
        }
        let entries = &*entries;
        match self {
            Self::File(archive) => build(
                entries,
                |id| archive.table(id).map(|table| table.raw_bytes),
                &choices,
            ),
            Self::Pipe(_) => build(entries, |_| None, &choices),
            Self::Relay(offer) => {
                let planned = build(entries, |id| offer.bytes.get(&id).copied(), &choices);
                planned.map_err(|error| match error.kind() {
                    Kind::Failed => error.with_hint("names are those of the source"),
                    _ => error,
                })
            }
        }
    }
}

impl ArchiveReader {
    /// Asks the target which of what would be pulled in it has, and makes a plan without that.
    pub(super) async fn plan_without_present(
        &self,
        wire: &mut Wire,
        entries: &mut [Entry],
        options: &RestoreOptions,
        known: &mut Known,
        (plan, standing): (Plan, &Standing),
    ) -> Result<Plan> {
        // What an earlier run has made is no reason not to go on with it, and the same way.
        if let Some(recorded) = standing.resumed() {
            known.present.clone_from(&recorded.present);
            known.in_pieces = Some(recorded.in_pieces());
            return self.plan_of(entries, options, known);
        }
        if plan.pulled.is_empty() && plan.ends.is_empty() {
            return Ok(plan);
        }
        // Names in signatures are written as under an empty path.
        wire.execute("SELECT pg_catalog.set_config('search_path', '', false)")
            .await
            .context_with(|| "ask what the target has already")?;
        let pulled = plan.pulled.iter().map(|pulled| pulled.entry);
        let asked = pulled
            .chain(plan.ends.iter().copied())
            .filter_map(|id| entries.get((id as usize).checked_sub(1)?));
        known.present = present::ask(wire, asked).await?;
        self.plan_of(entries, options, known)
    }
}

/// What is known of the target.
#[derive(Clone, Default)]
pub(super) struct Known {
    version: Option<ServerVersion>,
    /// What need not be pulled in.
    present: BTreeSet<EntryId>,
    /// Extensions that its server does not have.
    unavailable: BTreeSet<EntryId>,
    /// What an earlier run makes in pieces, when this one goes on with it.
    in_pieces: Option<InPieces>,
}

impl Known {
    pub(super) async fn ask(wire: &mut Wire, entries: &mut [Entry]) -> Result<Self> {
        Ok(Self {
            version: Some(wire.server_version()),
            present: BTreeSet::new(),
            unavailable: extensions::unavailable(wire, entries).await?,
            in_pieces: None,
        })
    }
}

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
    shared
        .observer
        .info(format!("{} entries are left out", omitted.len()));
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
        let looking = async {
            cascade::refuse_strangers(&mut session.wire, shared).await?;
            match target.standing.resumed() {
                // The tables are its own by now.
                Some(_) => Ok(()),
                None => lost_rows::refuse(&mut session.wire, shared, options).await,
            }
        };
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

/// Settings, owner, comment of a database that was just made; from another one, so that sessions in
/// it have the settings that functions may look at.
async fn set_up_database(
    wire: &mut Wire,
    shared: &Shared,
    cancel: &CancellationToken,
    outcome: &mut Outcome,
) -> Result<()> {
    for &id in &shared.plan.database {
        let Some(entry) = shared.entry(id) else {
            continue;
        };
        let leave_out = shared.leave_out;
        let created = match entry.kind.as_str() {
            "DATABASE" => entry.create.get(1..).unwrap_or_default(),
            _ => &entry.create,
        };
        let kept = [
            (false, created),
            (leave_out.owners, &entry.set_owner),
            (leave_out.comments, &entry.comments),
            (leave_out.security_labels, &entry.labels),
        ];
        let statements = kept
            .iter()
            .filter(|(left_out, _)| !left_out)
            .flat_map(|(_, statements)| statements.iter());
        for statement in statements {
            let canceller = wire.canceller();
            let done = unless_cancelled(canceller, cancel, wire.execute(statement)).await?;
            if let Err(error) = done {
                let error = of_statement(error, entry, statement);
                if shared.on_error == OnError::Exit || super::failure::is_fatal(&error) {
                    return Err(error);
                }
                outcome.failed(shared, entry, &error);
            }
        }
        outcome.made(id);
    }
    Ok(())
}

/// Where from.
struct Source<'a> {
    manifest: &'a Manifest,
    /// Those that are to be made.
    globals: &'a [Entry],
    /// Whether the archive has any.
    has_globals: bool,
}

/// Where to, and how.
struct Target<'a> {
    config: Config,
    place: Place,
    /// Whether who reads the rows takes room for sessions from the same server.
    room: Room,
    options: &'a RestoreOptions,
    archive: ArchiveId,
    encoding: String,
    cancel: &'a CancellationToken,
    /// Set when the server is found to have lost what it had committed.
    crashed: &'a Arc<AtomicBool>,
    /// What an earlier restore has left there.
    standing: Standing,
    /// With `create`: the database is there already, and is taken if it is empty.
    adopts: bool,
}

impl Target<'_> {
    async fn open(&self, part: &str) -> Result<Wire> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::new(Kind::Interrupted, "restore: interrupted")),
            // What has only just ended on this server, a copy's question perhaps, may still count.
            wire = open_in_a_moment(|| session::open(&self.config, part)) => wire,
        }
    }

    /// Looks what an earlier restore has left in the database that is restored into.
    async fn look(&mut self, wire: &mut Wire) -> Result<()> {
        let canceller = wire.canceller();
        let looking = journal::look(wire, self.archive, self.options);
        self.standing = unless_cancelled(canceller, self.cancel, looking).await??;
        Ok(())
    }

    /// The first session goes on in the database that is restored into; makes roles and that
    /// database if it is asked for. Nothing is changed before all that can be known is known.
    async fn enter(
        &mut self,
        mut wire: Wire,
        shared: &mut Shared,
        source: &Source<'_>,
        outcome: &mut Outcome,
    ) -> Result<(Wire, Setup)> {
        let archived = ServerVersion::from_num(source.manifest.server_version);
        let warnings = target::check(&mut wire, archived, &*shared.observer).await?;
        shared
            .warnings
            .fetch_add(warnings, std::sync::atomic::Ordering::Relaxed);
        if self.place == Place::Existing {
            target::refuse_read_only(&mut wire).await?;
        }
        let (mut wire, setup) = self.set_up(wire).await?;
        // What is made anew has no tables yet.
        if !self.options.create {
            self.refuse_unless_empty(&mut wire, shared).await?;
            let canceller = wire.canceller();
            let comparing = async {
                encoding::check(&mut wire, shared, encoding::of_rows(source.manifest)).await?;
                column_types::check(&mut wire, shared).await?;
                let found = match default_privileges::Found::of(self.options) {
                    default_privileges::Found::Levelled if self.standing.resumed().is_some() => {
                        default_privileges::Found::LevelledOn
                    }
                    found => found,
                };
                let is_told =
                    found == default_privileges::Found::Told && self.standing.resumed().is_some();
                if shared.plan.makes_definitions() && !is_told {
                    shared.default_privileges =
                        default_privileges::check(&mut wire, shared, found).await?;
                }
                Ok::<(), Error>(())
            };
            unless_cancelled(canceller, self.cancel, comparing).await??;
        }
        let canceller = wire.canceller();
        let asking = globals::Found::ask(&mut wire);
        let found = unless_cancelled(canceller, self.cancel, asking).await??;
        let place = wire.describe().to_owned();
        let has_globals = source.has_globals;
        globals::check_names(shared, &found, source.globals, has_globals, &place)?;
        // An extension that a database has already need not be offered; this one is still to be
        // made, perhaps in the place of one that is dropped.
        if self.options.create && !self.options.adopt {
            extensions::check_offers(&mut wire, shared, self.options).await?;
        }
        let name = if self.options.create {
            Some(self.name_database(&mut wire, shared, source).await?)
        } else {
            None
        };
        if !source.globals.is_empty() {
            let (all, cancel) = (source.globals, self.cancel);
            globals::make(&mut wire, shared, all, &found, cancel, outcome).await?;
        }
        let Some(name) = name else {
            return Ok((wire, setup));
        };
        if self.standing.resumed().is_some() {
            wire.close().await;
            return self.enter_made(&name).await;
        }
        outcome.phase("database");
        shared.event(&Event::Phase {
            name: "database",
            steps: None,
        });
        let canceller = wire.canceller();
        if self.adopts {
            let mut inside = self.config.with_database(&name).connect_wire().await?;
            self.refuse_unless_empty(&mut inside, shared).await?;
            let found = default_privileges::Found::Told;
            shared.default_privileges =
                default_privileges::check(&mut inside, shared, found).await?;
            for unlike in database::unlike(&mut inside, source.manifest).await? {
                shared.warn(unlike);
            }
            inside.close().await;
        } else {
            let how = target::Making {
                name: &name,
                drop_first: self.options.clean.then(|| Absent::of(self.options)),
                way_out: target::way_out_of_taken(self.options),
                force: self.options.force_drop,
                worded: shared.database_is_worded,
                archived,
            };
            let database = &shared.plan.database;
            let creating = target::create_database(&mut wire, &shared.entries, database, &how);
            unless_cancelled(canceller, self.cancel, creating).await??;
        }
        set_up_database(&mut wire, shared, self.cancel, outcome).await?;
        wire.close().await;
        self.enter_made(&name).await
    }

    /// Goes on in a database that was made for this restore.
    async fn enter_made(&mut self, name: &str) -> Result<(Wire, Setup)> {
        self.config = self.config.with_database(name);
        let wire = self.open("restore").await?;
        self.set_up(wire).await
    }

    /// A database of the name that is to be made may be an earlier run's.
    async fn look_inside(&mut self, wire: &mut Wire, name: &str) -> Result<()> {
        let canceller = wire.canceller();
        let looking = target::find_database(wire, name);
        let found = unless_cancelled(canceller, self.cancel, looking).await??;
        if found.is_none() {
            return Ok(());
        }
        let mut inside = self.config.with_database(name).connect_wire().await?;
        let looked = self.look(&mut inside).await;
        inside.close().await;
        looked?;
        // Made by a run that came no further.
        self.adopts |= self.standing.resumed().is_none() && !self.options.clean;
        Ok(())
    }

    async fn refuse_unless_empty(&self, wire: &mut Wire, shared: &Shared) -> Result<()> {
        let must_be_empty = self.standing.resumed().is_none()
            && self.options.target == TargetState::Empty
            && !self.options.clean
            && shared.plan.makes_definitions();
        if must_be_empty {
            let canceller = wire.canceller();
            let looking = async {
                journal::refuse_others(wire, &self.standing).await?;
                target::refuse_unless_empty(wire).await
            };
            unless_cancelled(canceller, self.cancel, looking).await??;
        }
        Ok(())
    }

    /// The name of the database that is to be made, and its statements worded for this server.
    /// Refuses a name that is taken, unless the database is dropped first or taken as it is.
    async fn name_database(
        &mut self,
        wire: &mut Wire,
        shared: &mut Shared,
        source: &Source<'_>,
    ) -> Result<String> {
        let own = &source.manifest.database;
        let name = self.options.create_as.as_ref().unwrap_or(own).clone();
        let reworded = database::reword(
            &mut shared.entries,
            source.manifest,
            &name,
            wire.server_version(),
            shared.leave_out,
        );
        shared.database_is_worded = reworded.done;
        for loss in reworded.losses {
            shared.warn(loss);
        }
        if !reworded.done && name != *own {
            return Err(Error::new(
                Kind::Refused,
                "nothing says how the database is made under another name",
            )
            .with_hint("make the database yourself and restore without --create"));
        }
        if self.options.resume {
            self.look_inside(wire, &name).await?;
        }
        if self.standing.resumed().is_none() && self.options.clean && !self.options.adopt {
            let canceller = wire.canceller();
            let looking = self.refuse_a_part(wire, shared, source.manifest, &name);
            unless_cancelled(canceller, self.cancel, looking).await??;
        }
        if self.standing.resumed().is_none() && !self.options.clean && !self.adopts {
            let canceller = wire.canceller();
            let looking = target::refuse_existing_database(
                wire,
                &name,
                target::way_out_of_taken(self.options),
            );
            unless_cancelled(canceller, self.cancel, looking).await??;
        }
        Ok(name)
    }

    /// Refuses to drop a database for a part of it.
    async fn refuse_a_part(
        &self,
        wire: &mut Wire,
        shared: &Shared,
        manifest: &Manifest,
        name: &str,
    ) -> Result<()> {
        if target::find_database(wire, name).await?.is_none() {
            return Ok(());
        }
        let place = one_line(name);
        let restored = shared.plan.steps.iter().filter_map(|step| step.entry);
        let mut restored = restored.filter_map(|id| shared.entry(id));
        let rows = restored.any(|it| matches!(it.data, Some(DataSpec::Table { .. })));
        if rows && !shared.plan.makes_definitions() {
            let why =
                format!("nothing restored would make the tables of {place} that rows are for");
            let hint = "without --clean and --create rows go into the tables that are there";
            return Err(Error::new(Kind::Refused, why).with_hint(hint));
        }
        let by_name = |it: &Omitted| matches!(it.cause, Cause::NotSelected | Cause::Excluded);
        if shared.plan.omitted.iter().any(by_name) {
            let why =
                format!("--clean --create would drop database {place} and make a part of it anew");
            return Err(Error::new(Kind::Refused, why).with_hint(
                "without --create only what is selected is dropped and made again; --create-as makes \
                 another database",
            ));
        }
        if let Some(selection) = manifest.selection() {
            shared.warn(format!(
                "database {place} is dropped for an archive that has a part alone: it was made with \
                 {selection}"
            ));
        }
        Ok(())
    }

    async fn set_up(&self, mut wire: Wire) -> Result<(Wire, Setup)> {
        let role = self.options.role.as_deref();
        let share = Share {
            jobs: self.options.jobs,
            memory_bytes: self.options.memory_bytes,
        };
        let setup = Setup::ask(&mut wire, &self.encoding, role, share).await?;
        setup.apply(&mut wire).await?;
        Ok((wire, setup))
    }

    /// The other sessions, as many as can be useful; fewer than asked for when the server has no room
    /// for all.
    async fn more_sessions(
        &self,
        shared: &Shared,
        setup: &Setup,
        useful: usize,
    ) -> Result<Vec<Session>> {
        let jobs = self.options.jobs.min(useful);
        let seats = 2..=u32::try_from(jobs).unwrap_or(u32::MAX);
        let opening = join_all(seats.map(|seat| async move {
            let part = session::part(seat);
            let wire = open_in_a_moment(|| session::open(&self.config, &part)).await?;
            let mut session = Session::new(wire, seat);
            setup.apply(&mut session.wire).await?;
            if let Some(journal) = &shared.journal {
                journal.seat(&mut session).await?;
            }
            Ok::<Session, Error>(session)
        }));
        let opened = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(interrupted()),
            opened = opening => opened,
        };
        let mut sessions = Vec::new();
        let mut refused = 0;
        for opened in opened {
            match opened {
                Ok(session) => sessions.push(session),
                Err(error) if lacks_room(&error) => refused += 1,
                Err(error) => return Err(error),
            }
        }
        if refused > 0 {
            if self.room == Room::OfRole {
                // The source has kept one: now each gets half of what there is.
                let there = sessions.len() + 2;
                for session in sessions.split_off((there / 2).saturating_sub(1)) {
                    session.wire.close().await;
                }
            }
            shared.warn(fewer(sessions.len() + 1, jobs));
        }
        Ok(sessions)
    }
}
