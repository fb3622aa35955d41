//! What a restore writes down in its target, so that it can go on after whatever ended it.
//!
//! Every transaction of a restore records in itself what it does. So a session that is lost while it
//! commits is no riddle: the next one looks. And a later run knows what is left to do, whatever
//! became of this one. The record shares the fate of the work: what a crashed server lost, because
//! sessions commit without waiting for the disk, is lost together with its record.
//!
//! The journal is a schema of its own in the target, and is dropped when all is done. In it:
//! - `run`: one row that says which archive is restored, with which options, and by whom;
//! - `done`: what was done. Its key keeps anything from being done twice;
//! - `alive`: one row in an unlogged table, which a server empties when it recovers from a crash. A
//!   run that finds it empty must not believe what it was told was committed.
//!
//! Every session sits on a seat: an advisory lock under its number. Whoever takes the seat of a lost
//! session ends what the server still does for that, and only then looks what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::options::RestoreOptions;
use super::session::{self, Session, Setup};
use super::shared::Shared;
use crate::archive::{ArchiveId, Entry, EntryId};
use crate::connect::{Config, Wire};
use crate::error::{Context, Error, Kind, Result, SqlState};
use crate::plan::{InPieces, Plan, StepId, Work};
use crate::select::JOURNAL_SCHEMA;
use crate::sql::{ident, literal, qualified};

/// Of the advisory locks: the letters `pgst`.
const SEATS: u32 = 0x7067_7374;

/// How long the server may take to end a session that it was told to end.
const EVICTION: Duration = Duration::from_secs(60);

/// The first pause between two attempts, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(3));

/// Beside the options: what is made in pieces, which is for the first run to decide.
const IN_PIECES: &str = "in pieces";

/// How often one piece of work may lose its session: work that kills every session is not tried
/// for ever.
const LOSSES: u32 = 10;

/// One thing that a restore does, under a name that any run with the same archive and options
/// knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Unit {
    entry: EntryId,
    part: Part,
    /// Of a frame: its chunk. Of a step: which of those that do the same for the entry.
    chunk: u32,
    frame: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// Everything that was to be dropped is dropped.
    Clean,
    /// A step is done.
    Statements,
    Privileges,
    Analyze,
    /// The object is made; its owner, comments and the like are perhaps not.
    Made,
    /// A frame is loaded.
    Frame,
}

impl Part {
    const ALL: [Self; 6] = [
        Self::Clean,
        Self::Statements,
        Self::Privileges,
        Self::Analyze,
        Self::Made,
        Self::Frame,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Statements => "step",
            Self::Privileges => "privileges",
            Self::Analyze => "analyze",
            Self::Made => "made",
            Self::Frame => "frame",
        }
    }
}

impl Unit {
    /// All drops of `--clean`.
    pub(super) const CLEAN: Self = Self {
        entry: 0,
        part: Part::Clean,
        chunk: 0,
        frame: 0,
    };

    pub(super) fn frame(entry: EntryId, chunk: u32, frame: u32) -> Self {
        Self {
            entry,
            part: Part::Frame,
            chunk,
            frame,
        }
    }

    /// That the object of this step is made.
    pub(super) fn made(self) -> Self {
        Self {
            part: Part::Made,
            // Of which of the entry's steps.
            frame: self.part as u32,
            ..self
        }
    }

    /// The units of a plan's steps; what has frames is recorded frame by frame.
    fn of_steps(plan: &Plan) -> Vec<Option<Self>> {
        let mut times: BTreeMap<(EntryId, Part), u32> = BTreeMap::new();
        let mut unit = |entry, work| {
            let part = match work {
                Work::Statements => Part::Statements,
                Work::Privileges => Part::Privileges,
                Work::Analyze(_) => Part::Analyze,
                Work::Rows | Work::LargeObjects | Work::Statistics | Work::Barrier(_) => {
                    return None;
                }
            };
            let times = times.entry((entry, part)).or_default();
            *times += 1;
            Some(Self {
                entry,
                part,
                chunk: *times - 1,
                frame: 0,
            })
        };
        let steps = plan.steps.iter();
        steps
            .map(|step| step.entry.and_then(|entry| unit(entry, step.work)))
            .collect()
    }

    fn values(self) -> String {
        let Self {
            entry,
            part,
            chunk,
            frame,
        } = self;
        format!("({entry}, '{}', {chunk}, {frame})", part.name())
    }

    fn of_row(row: &[Option<String>]) -> Option<Self> {
        let number = |at: usize| row.get(at)?.as_deref()?.parse().ok();
        let name = row.get(1)?.as_deref()?;
        Some(Self {
            entry: number(0)?,
            part: Part::ALL.into_iter().find(|part| part.name() == name)?,
            chunk: number(2)?,
            frame: number(3)?,
        })
    }
}

/// A relation of the journal.
fn relation(name: &str) -> String {
    qualified(JOURNAL_SCHEMA, name)
}

/// What a journal says of the restore that keeps it.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    archive: String,
    options: BTreeMap<String, String>,
    role: String,
    began: String,
    /// What the target had of what would have been pulled in, before anything was made.
    pub(super) present: BTreeSet<EntryId>,
    /// Number of things done.
    done: u64,
}

impl Recorded {
    /// What the first run made in pieces, or was going to.
    pub(super) fn in_pieces(&self) -> InPieces {
        let name = self.options.get(IN_PIECES);
        name.and_then(|name| InPieces::named(name))
            .unwrap_or_default()
    }
}

/// What is to become of a target, by the journal that is in it.
#[derive(Clone, Debug, Default)]
pub(super) enum Standing {
    /// There is none.
    #[default]
    None,
    /// An earlier run of the same restore goes on.
    Resumed(Recorded),
    /// What it tells of does not matter any more: it is dropped.
    Replaced,
    /// Another restore is at work in the same database and keeps it: this one keeps none.
    Others,
}

impl Standing {
    pub(super) fn resumed(&self) -> Option<&Recorded> {
        match self {
            Self::Resumed(recorded) => Some(recorded),
            _ => None,
        }
    }
}

/// Reads what the journal in this database says of itself, if there is one.
async fn read(wire: &mut Wire) -> Result<Option<Recorded>> {
    let reading = || "read the journal of an earlier restore".to_owned();
    let schema = literal(JOURNAL_SCHEMA);
    let owners = wire
        .query(&format!(
            "SELECT pg_catalog.pg_get_userbyid(n.nspowner)::text, \
             pg_catalog.pg_has_role(n.nspowner, 'USAGE') FROM pg_catalog.pg_namespace n \
             WHERE n.nspname = {schema} AND EXISTS (SELECT FROM pg_catalog.pg_class c \
             WHERE c.relnamespace = n.oid AND c.relname = 'run')"
        ))
        .await
        .context_with(reading)?;
    let Some(owner) = owners.first() else {
        return Ok(None);
    };
    if owner[1].as_deref() != Some("t") {
        let owner: String = owner[0].clone().unwrap_or_default();
        return Err(Error::new(
            Kind::Refused,
            format!(
                "an earlier restore by role {} was not finished and has left its journal in {}",
                ident(&owner),
                wire.describe()
            ),
        )
        .with_hint("go on as that role with --resume, or have it drop the schema \"pgstow restore journal\""));
    }
    let rows = wire
        .query(&format!(
            "SELECT archive, options, role::text, present, \
             pg_catalog.to_char(began AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"'), \
             (SELECT pg_catalog.count(*) FROM {})::text FROM {}",
            relation("done"),
            relation("run")
        ))
        .await
        .context_with(reading)?;
    let malformed = || {
        Error::new(
            Kind::Refused,
            "the target holds a journal of another program's making",
        )
        .with_hint("drop the schema \"pgstow restore journal\" if nobody needs it")
    };
    let [
        Some(archive),
        Some(options),
        Some(role),
        Some(present),
        Some(began),
        Some(done),
    ] = rows.first().ok_or_else(malformed)?.as_slice()
    else {
        return Err(malformed());
    };
    let present = present.split_whitespace().map(str::parse);
    Ok(Some(Recorded {
        archive: archive.clone(),
        options: serde_json::from_str(options).map_err(|_| malformed())?,
        role: role.clone(),
        began: began.clone(),
        present: present.collect::<Result<_, _>>().map_err(|_| malformed())?,
        done: done.parse().map_err(|_| malformed())?,
    }))
}

/// The sessions of restores that keep a journal in this database, other than this one.
async fn seated(wire: &mut Wire) -> Result<Vec<String>> {
    let rows = wire
        .query(&format!(
            "SELECT DISTINCT pid::text FROM {HELD} AND classid = {SEATS}"
        ))
        .await
        .context_with(|| "look for other restores at work")?;
    Ok(rows.into_iter().flatten().flatten().collect())
}

/// Advisory locks that others hold in this database.
const HELD: &str = "pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted \
    AND pid <> pg_catalog.pg_backend_pid() AND database = \
    (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";

/// Looks into the database that is to be restored into, before anything is planned or changed.
///
/// # Errors
/// [`Kind::Refused`] when there is a journal that does not fit what is wanted.
pub(super) async fn look(
    wire: &mut Wire,
    archive: ArchiveId,
    options: &RestoreOptions,
) -> Result<Standing> {
    if let Some(role) = &options.role {
        wire.execute(&format!("SET ROLE {}", ident(role))).await?;
    }
    let Some(recorded) = read(wire).await? else {
        return Ok(Standing::None);
    };
    let place = wire.describe().to_owned();
    if options.resume {
        recorded.refuse_unless_same(wire, archive, options).await?;
        return Ok(Standing::Resumed(recorded));
    }
    let others = seated(wire).await?;
    if !others.is_empty() {
        if options.clean {
            return Err(Error::new(
                Kind::Refused,
                format!("another restore is at work in {place}"),
            )
            .with_hint(format!(
                "wait for it, or end its sessions: {}",
                others.join(", ")
            )));
        }
        return Ok(Standing::Others);
    }
    if options.clean {
        return Ok(Standing::Replaced);
    }
    if recorded.done == 0 {
        drop_it(wire).await?;
        return Ok(Standing::None);
    }
    let whose = if recorded.archive == archive.to_string() {
        "this archive".to_owned()
    } else {
        format!("another archive ({})", recorded.archive)
    };
    Err(Error::new(
        Kind::Refused,
        format!(
            "a restore of {whose} into {place}, begun {}, was not finished",
            recorded.began
        ),
    )
    .with_hint(
        "go on with it: --resume, with the same archive and options; or begin anew: in a new \
         database, with --clean --if-exists, or after DROP SCHEMA \"pgstow restore journal\" CASCADE",
    ))
}

impl Recorded {
    /// Whether it tells of the restore that is to go on.
    async fn refuse_unless_same(
        &self,
        wire: &mut Wire,
        archive: ArchiveId,
        options: &RestoreOptions,
    ) -> Result<()> {
        let refused = |why: String| Error::new(Kind::Refused, why);
        if self.archive != archive.to_string() {
            return Err(refused(format!(
                "the restore begun {} is of another archive ({}, not {archive})",
                self.began, self.archive
            ))
            .with_hint("--resume goes on only with the archive that it was begun with"));
        }
        let now = options.fingerprints();
        let names: BTreeSet<&String> = self.options.keys().chain(now.keys()).collect();
        let other: Vec<&str> = names
            .into_iter()
            .filter(|&name| name != IN_PIECES)
            .filter(|&name| self.options.get(name) != now.get(name))
            .map(String::as_str)
            .collect();
        if !other.is_empty() {
            return Err(refused(format!(
                "the restore begun {} had other options: {}",
                self.began,
                other.join(", ")
            ))
            .with_hint("--resume goes on only with the options that it was begun with"));
        }
        if self.role != role(wire).await? {
            return Err(refused(format!(
                "the restore begun {} was another role's",
                self.began
            ))
            .with_hint("--resume goes on only as the role that it was begun as"));
        }
        Ok(())
    }
}

/// The role that a session works as, by its number: names may need an encoding.
async fn role(wire: &mut Wire) -> Result<String> {
    let rows = wire
        .query("SELECT oid::text FROM pg_catalog.pg_roles WHERE rolname = current_user")
        .await
        .context_with(|| "ask who the session is")?;
    let role = rows.into_iter().flatten().next().flatten();
    role.ok_or_else(|| Error::new(Kind::Failed, "the server does not say who the session is"))
}

/// How sessions are opened again.
pub(super) struct Opener {
    pub(super) config: Config,
    pub(super) setup: Setup,
    /// The role that sessions work as, where that is not the one that they log in as.
    pub(super) role: Option<String>,
    /// How long a server may be away.
    pub(super) patience: Duration,
    pub(super) cancel: CancellationToken,
}

/// What became of work whose session was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is done.
    Done,
    /// Nothing of it is.
    Undone,
}

/// The journal of a run.
pub(super) struct Journal {
    opener: Opener,
    resumable: bool,
    /// Tells this run from another that takes the journal over.
    token: String,
    /// By step.
    units: Vec<Option<Unit>>,
    /// What earlier runs did.
    done: BTreeSet<Unit>,
    frames: BTreeMap<EntryId, u64>,
    /// Set when the server has lost what it had said was committed.
    crashed: Arc<AtomicBool>,
}

impl Journal {
    /// Begins a journal, or goes on with the one that is there. None when this run keeps none;
    /// that is said.
    ///
    /// # Errors
    /// What the server answers; [`Kind::Refused`] when sessions of an earlier run do not end.
    pub(super) async fn begin(
        session: &mut Session,
        shared: &Shared,
        standing: &Standing,
        run: Run<'_>,
    ) -> Result<Option<Self>> {
        let wire = &mut session.wire;
        let resumed = match standing {
            Standing::Resumed(_) => true,
            Standing::Others => {
                shared.observer.info(
                    "another restore is at work in the same database and keeps its journal there; \
                     this one keeps none",
                );
                return Ok(None);
            }
            Standing::Replaced | Standing::None => false,
        };
        if !resumed && !may_begin(wire, shared).await? {
            return Ok(None);
        }
        let token = ArchiveId::random()?.to_string();
        if resumed {
            // From here on the earlier run, should it live, takes no seat any more.
            let take_over = format!("UPDATE {} SET token = {}", relation("run"), literal(&token));
            wire.execute(&take_over)
                .await
                .context_with(|| "take the journal over")?;
            let evicted = evict(wire, None, run.opener.role.as_deref()).await?;
            if evicted > 0 {
                shared.warn(format!(
                    "ended {evicted} sessions that the earlier run of this restore had left"
                ));
            }
        } else {
            create(wire, &token, &run).await?;
        }
        let alive = relation("alive");
        wire.execute_all(&[
            &format!("DELETE FROM {alive}"),
            &format!("INSERT INTO {alive} VALUES (true)"),
        ])
        .await
        .context_with(|| "open the journal")?;
        sit(wire, session.seat).await?;
        let mut journal = Self {
            opener: run.opener,
            resumable: run.resumable,
            token,
            units: Unit::of_steps(&shared.plan),
            done: BTreeSet::new(),
            frames: BTreeMap::new(),
            crashed: run.crashed,
        };
        if resumed {
            journal.read_done(wire).await?;
            shared.observer.info(format!(
                "going on with a restore of which {} parts are done",
                journal.done.len()
            ));
        }
        Ok(Some(journal))
    }

    async fn read_done(&mut self, wire: &mut Wire) -> Result<()> {
        let rows = wire
            .query(&format!(
                "SELECT entry::text, part, chunk::text, frame::text FROM {}",
                relation("done")
            ))
            .await
            .context_with(|| "read what is done")?;
        for row in rows {
            let unit = Unit::of_row(&row).ok_or_else(|| {
                Error::new(
                    Kind::Refused,
                    "the journal was written by another version of pgstow",
                )
            })?;
            if unit.part == Part::Frame {
                *self.frames.entry(unit.entry).or_default() += 1;
            }
            self.done.insert(unit);
        }
        Ok(())
    }

    /// The unit of a step; none for what has frames.
    pub(super) fn of_step(&self, step: StepId) -> Option<Unit> {
        self.units.get(step as usize).copied().flatten()
    }

    /// Whether an earlier run did it.
    pub(super) fn has(&self, unit: Unit) -> bool {
        self.done.contains(&unit)
    }

    /// How many frames of an entry earlier runs loaded.
    pub(super) fn frames(&self, entry: EntryId) -> u64 {
        self.frames.get(&entry).copied().unwrap_or_default()
    }

    /// How many things earlier runs did.
    pub(super) fn already(&self) -> u64 {
        self.done.len() as u64
    }

    /// The statement that records what its transaction does: to be the first in it.
    pub(super) fn record(units: impl IntoIterator<Item = Unit>) -> Option<String> {
        let values: Vec<String> = units.into_iter().map(Unit::values).collect();
        if values.is_empty() {
            return None;
        }
        Some(format!(
            "INSERT INTO {} VALUES {}",
            relation("done"),
            values.join(", ")
        ))
    }

    /// Sets a new session up as one of this run, on a seat that nobody sits on.
    pub(super) async fn seat(&self, session: &mut Session) -> Result<()> {
        self.check(&mut session.wire).await?;
        let role = self.opener.role.as_deref();
        evict(&mut session.wire, Some(session.seat), role).await?;
        sit(&mut session.wire, session.seat).await
    }

    /// Whether this run still owns the journal, and the server has lost nothing of it.
    async fn check(&self, wire: &mut Wire) -> Result<()> {
        let rows = wire
            .query(&format!(
                "SELECT token, (SELECT pg_catalog.count(*) FROM {})::text FROM {}",
                relation("alive"),
                relation("run")
            ))
            .await;
        let crashed = || {
            self.crashed.store(true, Ordering::Relaxed);
            Error::new(
                Kind::Failed,
                "the server has crashed, and may have lost what it had committed last",
            )
        };
        let rows = match rows {
            Ok(rows) => rows,
            // The journal itself was lost, or its schema.
            Err(error)
                if matches!(
                    error.sqlstate(),
                    Some(&SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME)
                ) =>
            {
                return Err(crashed());
            }
            Err(error) => return Err(error.context("look into the journal")),
        };
        match rows.first().map(Vec::as_slice) {
            Some([Some(token), _]) if *token != self.token => Err(Error::new(
                Kind::Refused,
                "another run with --resume has taken this restore over",
            )),
            Some([Some(_), Some(alive)]) if alive == "1" => Ok(()),
            _ => Err(crashed()),
        }
    }

    /// A session was perhaps lost in the middle of work: opens a new one in its place, and looks what
    /// became of `unit`, one of those that the work records. Work that records none is undone, and
    /// must bear being done twice.
    ///
    /// # Errors
    /// The error itself if the session was not lost; otherwise why there is no other.
    pub(super) async fn survive(
        &self,
        shared: &Shared,
        session: &mut Session,
        error: Error,
        unit: Option<Unit>,
    ) -> Result<Fate> {
        if !session.is_lost(&error) || shared.stop.is_cancelled() {
            return Err(error);
        }
        session.losses += 1;
        if session.losses > LOSSES {
            return Err(error.context(format!("lost {LOSSES} sessions in a row")));
        }
        shared.warn(format!("a session was lost and is opened again: {error}"));
        let until = Instant::now() + self.opener.patience;
        let mut pause = PAUSES.0;
        loop {
            let stopped = async {
                tokio::select! {
                    () = shared.stop.cancelled() => {}
                    () = self.opener.cancel.cancelled() => {}
                }
            };
            let reopened = tokio::select! {
                biased;
                () = stopped => return Err(super::failure::interrupted()),
                reopened = self.reopen(session, unit) => reopened,
            };
            let again = match reopened {
                Ok(fate) => return Ok(fate),
                Err(again) => again,
            };
            if self.crashed.load(Ordering::Relaxed)
                || !may_come_back(&again)
                || Instant::now() >= until
            {
                return Err(again.context(error));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn reopen(&self, session: &mut Session, unit: Option<Unit>) -> Result<Fate> {
        let mut wire = session::open(&self.opener.config, &session::part(session.seat)).await?;
        self.opener.setup.apply(&mut wire).await?;
        session.replace(wire);
        self.seat(session).await?;
        let Some(unit) = unit else {
            return Ok(Fate::Undone);
        };
        let rows = session
            .wire
            .query(&format!(
                "SELECT FROM {} WHERE (entry, part, chunk, frame) = {}",
                relation("done"),
                unit.values()
            ))
            .await
            .context_with(|| "look into the journal")?;
        Ok(match rows.is_empty() {
            true => Fate::Undone,
            false => Fate::Done,
        })
    }

    /// Everything is done: drops the journal. That commit waits for the disk, and makes everything
    /// durable that was committed before.
    ///
    /// # Errors
    /// What the server answers.
    pub(super) async fn end(&self) -> Result<()> {
        let mut wire = session::open(&self.opener.config, "restore").await?;
        self.opener.setup.apply(&mut wire).await?;
        wire.execute("SET synchronous_commit = on").await?;
        drop_it(&mut wire).await?;
        wire.close().await;
        Ok(())
    }

    /// A run has failed: a journal that nobody needs is dropped, as far as that can be done.
    /// Says how to go on otherwise.
    pub(super) async fn leave(&self, error: Error) -> Error {
        let is_away = matches!(error.kind(), Kind::ConnectionLost | Kind::Connect);
        if !is_away && self.is_dropped().await.unwrap_or(false) || !self.resumable {
            return error;
        }
        let hint = match error.hint() {
            Some(hint) => format!("{hint}; --resume goes on from there"),
            None => "--resume goes on from there".to_owned(),
        };
        error.with_hint(hint)
    }

    async fn is_dropped(&self) -> Result<bool> {
        let mut wire = session::open(&self.opener.config, "restore").await?;
        self.opener.setup.apply(&mut wire).await?;
        self.check(&mut wire).await?;
        let is_of_use = |recorded: Recorded| self.resumable && recorded.done > 0;
        let is_of_use = read(&mut wire).await?.is_some_and(is_of_use);
        if !is_of_use {
            drop_it(&mut wire).await?;
        }
        wire.close().await;
        Ok(!is_of_use)
    }
}

/// What a journal is begun for.
pub(super) struct Run<'a> {
    pub(super) archive: ArchiveId,
    pub(super) options: &'a RestoreOptions,
    pub(super) present: &'a BTreeSet<EntryId>,
    /// Whether another run can go on with it.
    pub(super) resumable: bool,
    pub(super) opener: Opener,
    pub(super) crashed: Arc<AtomicBool>,
}

/// Whether a journal can be kept in this database.
async fn may_begin(wire: &mut Wire, shared: &Shared) -> Result<bool> {
    let is_own = |entry: &Entry| entry.kind == "SCHEMA" && entry.name == JOURNAL_SCHEMA;
    if shared.entries.iter().any(is_own) {
        shared.observer.info(
            "the archive itself has a journal of an unfinished restore: this restore keeps none, and \
             cannot be resumed",
        );
        return Ok(false);
    }
    let may = wire
        .query("SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')")
        .await
        .context_with(|| "ask for the right to keep a journal")?;
    let may = may.into_iter().flatten().next().flatten();
    if may.as_deref() != Some("t") {
        shared.observer.info(
            "the role may not make a schema for a journal in this database: the restore cannot be \
             resumed",
        );
        return Ok(false);
    }
    Ok(true)
}

async fn create(wire: &mut Wire, token: &str, run: &Run<'_>) -> Result<()> {
    let schema = ident(JOURNAL_SCHEMA);
    let mut options = run.options.fingerprints();
    let in_pieces = run.options.choices().in_pieces.name();
    options.insert(IN_PIECES.to_owned(), in_pieces.to_owned());
    let options = serde_json::to_string(&options)
        .map_err(|error| Error::new(Kind::Failed, format!("options: {error}")))?;
    let present: Vec<String> = run.present.iter().map(ToString::to_string).collect();
    let role = role(wire).await?;
    let statements = [
        format!("CREATE SCHEMA {schema}"),
        format!(
            "COMMENT ON SCHEMA {schema} IS \
             'An unfinished restore: pgstow restore --resume goes on with it'"
        ),
        format!(
            "CREATE TABLE {} (archive text, options text, role oid, token text, present text, \
             began timestamptz DEFAULT pg_catalog.now()) USING heap",
            relation("run")
        ),
        format!(
            "CREATE TABLE {} (entry bigint, part text, chunk bigint, frame bigint, \
             PRIMARY KEY (entry, part, chunk, frame)) USING heap",
            relation("done")
        ),
        format!(
            "CREATE UNLOGGED TABLE {} (alive boolean) USING heap",
            relation("alive")
        ),
        format!(
            "INSERT INTO {} (archive, options, role, token, present) \
             VALUES ({}, {}, {role}, {}, {})",
            relation("run"),
            literal(&run.archive.to_string()),
            literal(&options),
            literal(token),
            literal(&present.join(" "))
        ),
    ];
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    let created = wire.execute_all(&statements).await;
    // What triggers of the target say of it is no matter of the archive's.
    wire.take_notices();
    created.map_err(|batch| {
        let error = Error::from(batch).context("begin a journal in the target");
        match error.kind() {
            Kind::Server => {
                error.with_hint("with --no-journal none is kept; such a restore cannot be resumed")
            }
            _ => error,
        }
    })
}

/// Drops a journal. Event triggers of the database say nothing of it, as far as the role may
/// silence them.
pub(super) async fn drop_it(wire: &mut Wire) -> Result<()> {
    let triggers = wire
        .query(
            "SELECT evtname::text, evtenabled::text FROM pg_catalog.pg_event_trigger \
             WHERE evtenabled <> 'D' AND (SELECT rolsuper FROM pg_catalog.pg_roles \
             WHERE rolname = current_user) ORDER BY evtname",
        )
        .await
        .context_with(|| "drop the journal")?;
    let mut silence = Vec::new();
    let mut restore = Vec::new();
    for row in triggers {
        if let [Some(name), Some(enabled)] = row.as_slice() {
            let how = match enabled.as_str() {
                "R" => "ENABLE REPLICA",
                "A" => "ENABLE ALWAYS",
                _ => "ENABLE",
            };
            let name = ident(name);
            silence.push(format!("ALTER EVENT TRIGGER {name} DISABLE"));
            restore.push(format!("ALTER EVENT TRIGGER {name} {how}"));
        }
    }
    let tables = ["run", "done", "alive"].map(relation).join(", ");
    let mut statements = silence;
    statements.push(format!("DROP TABLE IF EXISTS {tables}"));
    statements.push(format!("DROP SCHEMA IF EXISTS {}", ident(JOURNAL_SCHEMA)));
    statements.extend(restore);
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    let dropped = wire.execute_all(&statements).await;
    wire.take_notices();
    dropped.map_err(|batch| Error::from(batch).context("drop the journal"))
}

/// Takes a seat that is free.
async fn sit(wire: &mut Wire, seat: u32) -> Result<()> {
    let taking = || "take a seat in the journal".to_owned();
    let rows = wire
        .query(&format!(
            "SELECT pg_catalog.pg_try_advisory_lock({SEATS}, {seat})"
        ))
        .await
        .context_with(taking)?;
    if rows.into_iter().flatten().next().flatten().as_deref() == Some("t") {
        return Ok(());
    }
    Err(Error::new(
        Kind::Refused,
        "another restore is at work in the same database",
    ))
}

/// Ends the sessions that sit on a seat, or on any, and waits until they are gone; how many there
/// were. They logged in as the role that this one did, which need not be the `role` it works as.
async fn evict(wire: &mut Wire, seat: Option<u32>, role: Option<&str>) -> Result<usize> {
    let Some(role) = role else {
        return evict_as_login(wire, seat).await;
    };
    wire.execute("RESET ROLE").await?;
    let evicted = evict_as_login(wire, seat).await?;
    wire.execute(&format!("SET ROLE {}", ident(role))).await?;
    Ok(evicted)
}

async fn evict_as_login(wire: &mut Wire, seat: Option<u32>) -> Result<usize> {
    let evicting = || "end sessions of an earlier restore".to_owned();
    let which = match seat {
        Some(seat) => format!(" AND objid = {seat}"),
        None => String::new(),
    };
    let end = format!(
        "SELECT pg_catalog.pg_terminate_backend(pid), pid::text \
         FROM (SELECT DISTINCT pid FROM {HELD} AND classid = {SEATS}{which}) AS seated"
    );
    let until = Instant::now() + EVICTION;
    let mut pause = PAUSES.0;
    let mut most = 0;
    loop {
        let ended = wire.query(&end).await.context_with(evicting)?;
        if ended.is_empty() {
            return Ok(most);
        }
        most = most.max(ended.len());
        if Instant::now() >= until {
            let pids = ended.into_iter().filter_map(|row| row.into_iter().nth(1)?);
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "sessions of the restore do not end: {}",
                    pids.collect::<Vec<_>>().join(", ")
                ),
            ));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Whether a session may be had a little later.
fn may_come_back(error: &Error) -> bool {
    error.is_transient() || (error.kind() == Kind::Connect && error.sqlstate().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_as_they_are_written() {
        for part in Part::ALL {
            let unit = Unit {
                entry: 7,
                part,
                chunk: 3,
                frame: u32::MAX,
            };
            assert_eq!(
                unit.values(),
                format!("(7, '{}', 3, 4294967295)", part.name())
            );
            let row = ["7", part.name(), "3", "4294967295"].map(|text| Some(text.to_owned()));
            assert_eq!(Unit::of_row(&row), Some(unit));
        }
        let row = ["7", "other", "3", "0"].map(|text| Some(text.to_owned()));
        assert_eq!(Unit::of_row(&row), None);
    }

    #[test]
    fn a_record_is_one_statement() {
        assert_eq!(Journal::record([]), None);
        let record = Journal::record([Unit::CLEAN, Unit::frame(2, 1, 0)]).unwrap();
        assert_eq!(
            record,
            "INSERT INTO \"pgstow restore journal\".done VALUES (0, 'clean', 0, 0), \
             (2, 'frame', 1, 0)"
        );
    }
}
