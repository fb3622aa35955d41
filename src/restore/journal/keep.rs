//! Keeping a journal while a restore runs, and going on by it when a session is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::PAUSES;
use super::found::{Standing, read};
use super::seats::{evict, sit};
use super::tables::{create, drop_it, relation};
use super::unit::{Part, Unit};
use super::unlogged::emptied;
use crate::archive::{ArchiveId, Entry, EntryId};
use crate::connect::{Config, Wire};
use crate::error::{Context, Error, Kind, Result, SqlState};
use crate::plan::StepId;
use crate::restore::failure::interrupted;
use crate::restore::options::RestoreOptions;
use crate::restore::serial::unless_cancelled;
use crate::restore::session::{self, Session, Setup};
use crate::restore::shared::Shared;
use crate::select::JOURNAL_SCHEMA;
use crate::sql::{ident, literal};

/// How often one piece of work may lose its session: work that kills every session is not tried
/// for ever.
const LOSSES: u32 = 10;

/// How sessions are opened again.
pub(in crate::restore) struct Opener {
    pub(in crate::restore) config: Config,
    pub(in crate::restore) setup: Setup,
    /// The role that sessions work as, where that is not the one that they log in as.
    pub(in crate::restore) role: Option<String>,
    /// How long a server may be away.
    pub(in crate::restore) patience: Duration,
    pub(in crate::restore) cancel: CancellationToken,
}

/// What became of work whose session was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::restore) enum Fate {
    /// It is done.
    Done,
    /// Nothing of it is.
    Undone,
}

/// The journal of a run.
pub(in crate::restore) struct Journal {
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
    /// Set when everything is done and on disk: no crash takes anything of it away, and the journal may be gone.
    is_durable: AtomicBool,
}

impl Journal {
    /// Begins a journal, or goes on with the one that is there. None when this run keeps none;
    /// that is said.
    ///
    /// # Errors
    /// What the server answers; [`Kind::Refused`] when sessions of an earlier run do not end.
    pub(in crate::restore) async fn begin(
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
            // A publication of all tables lets nothing be updated that has no replica identity.
            let table = relation("run");
            let identity = format!("ALTER TABLE {table} REPLICA IDENTITY FULL");
            // From here on the earlier run, should it live, takes no seat any more.
            let take_over = format!("UPDATE {table} SET token = {}", literal(&token));
            wire.execute_all(&[&identity, &take_over])
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
        let mut journal = Self {
            opener: run.opener,
            resumable: run.resumable,
            token,
            units: Unit::of_steps(&shared.plan),
            done: BTreeSet::new(),
            frames: BTreeMap::new(),
            crashed: run.crashed,
            is_durable: AtomicBool::new(false),
        };
        let mut forget = None;
        if resumed {
            journal.read_done(wire).await?;
            forget = journal.forget_emptied(wire, shared).await?;
        }
        let alive = relation("alive");
        let [emptied, filled] = [
            format!("DELETE FROM {alive}"),
            format!("INSERT INTO {alive} VALUES (true)"),
        ];
        // What a crash has emptied is forgotten in the transaction that forgets the crash.
        let statements: Vec<&str> = forget
            .as_deref()
            .into_iter()
            .chain([emptied.as_str(), filled.as_str()])
            .collect();
        wire.execute_all(&statements)
            .await
            .context_with(|| "open the journal")?;
        sit(wire, session.seat).await?;
        if resumed {
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
                .with_hint("go on with the pgstow that began it; or begin anew, in a new database or with --clean")
            })?;
            self.done.insert(unit);
        }
        self.count_frames();
        Ok(())
    }

    fn count_frames(&mut self) {
        self.frames.clear();
        for unit in self.done.iter().filter(|unit| unit.part == Part::Frame) {
            *self.frames.entry(unit.entry).or_default() += 1;
        }
    }

    /// After a crash of the server: what is done no longer, since the server has emptied unlogged
    /// relations, and the statement that strikes it out.
    async fn forget_emptied(&mut self, wire: &mut Wire, shared: &Shared) -> Result<Option<String>> {
        let alive = wire
            .query(&format!("SELECT FROM {}", relation("alive")))
            .await
            .context_with(|| "look into the journal")?;
        if !alive.is_empty() {
            return Ok(None);
        }
        let entries: BTreeSet<EntryId> = self.done.iter().map(|unit| unit.entry).collect();
        let emptied = emptied(wire, shared, &entries).await?;
        let before = self.done.len();
        self.done.retain(|unit| !emptied.contains(&unit.entry));
        self.count_frames();
        if self.done.len() == before {
            return Ok(None);
        }
        shared.observer.info(
            "the server has crashed and emptied unlogged tables and sequences: they are filled again",
        );
        let emptied: Vec<String> = emptied.iter().map(ToString::to_string).collect();
        Ok(Some(format!(
            "DELETE FROM {} WHERE entry = ANY ('{{{}}}'::bigint[])",
            relation("done"),
            emptied.join(",")
        )))
    }

    /// The unit of a step; none for what has frames.
    pub(in crate::restore) fn of_step(&self, step: StepId) -> Option<Unit> {
        self.units.get(step as usize).copied().flatten()
    }

    /// Whether an earlier run did it.
    pub(in crate::restore) fn has(&self, unit: Unit) -> bool {
        self.done.contains(&unit)
    }

    /// How many frames of an entry earlier runs loaded.
    pub(in crate::restore) fn frames(&self, entry: EntryId) -> u64 {
        self.frames.get(&entry).copied().unwrap_or_default()
    }

    /// How many things earlier runs did.
    pub(in crate::restore) fn already(&self) -> u64 {
        self.done.len() as u64
    }

    /// The statement that records what its transaction does: to be the first in it.
    pub(in crate::restore) fn record(units: impl IntoIterator<Item = Unit>) -> Option<String> {
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
    pub(in crate::restore) async fn seat(&self, session: &mut Session) -> Result<()> {
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
            if self.is_durable.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.crashed.store(true, Ordering::Relaxed);
            Err(Error::new(
                Kind::Failed,
                "the server has crashed, and may have lost what it had committed last",
            ))
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
                return crashed();
            }
            Err(error) => return Err(error.context("look into the journal")),
        };
        match rows.first().map(Vec::as_slice) {
            Some([Some(token), _]) if *token != self.token => Err(Error::new(
                Kind::Refused,
                "another run with --resume has taken this restore over",
            )
            .with_hint("let that run end; if it fails, --resume goes on")),
            Some([Some(_), Some(alive)]) if alive == "1" => Ok(()),
            _ => crashed(),
        }
    }

    /// A session was perhaps lost in the middle of work: opens a new one in its place, and looks what
    /// became of `unit`, one of those that the work records. Work that records none is undone, and
    /// must bear being done twice.
    ///
    /// # Errors
    /// The error itself if the session was not lost; otherwise why there is no other.
    pub(in crate::restore) async fn survive(
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
                () = stopped => return Err(interrupted()),
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

    /// Everything is done: one commit that waits for the disk makes everything durable that was
    /// committed before; then the journal is dropped. A session that is lost over it is opened again.
    ///
    /// # Errors
    /// What the server answers, when it has crashed, when another run has taken the restore over, and when it is
    /// cancelled.
    pub(in crate::restore) async fn end(
        &self,
        shared: &Shared,
        mut session: Session,
    ) -> Result<()> {
        session.losses = 0;
        let ended = loop {
            let reach = session.reach();
            let ending = self.try_to_end(&mut session.wire);
            let ended = unless_cancelled(reach, &self.opener.cancel, ending).await;
            let Ok(Err(error)) = ended else {
                break ended.flatten();
            };
            if let Err(error) = self.survive(shared, &mut session, error, None).await {
                break Err(error);
            }
        };
        session.wire.close().await;
        ended.map_err(|error| match self.is_durable.load(Ordering::Relaxed) {
            true => error.context("everything is restored, but its journal may still be there"),
            false => error
                .context("everything was restored, but the server did not say that it is on disk"),
        })
    }

    async fn try_to_end(&self, wire: &mut Wire) -> Result<()> {
        if !self.is_durable.load(Ordering::Relaxed) {
            // What this session is told stays true until it is lost.
            self.check(wire).await?;
            session::make_durable(wire).await?;
            self.is_durable.store(true, Ordering::Relaxed);
        }
        drop_it(wire).await
    }

    /// A run has failed: a journal that nobody needs is dropped, as far as that can be done.
    /// Says how to go on otherwise.
    pub(in crate::restore) async fn leave(&self, error: Error) -> Error {
        let is_away = matches!(error.kind(), Kind::ConnectionLost | Kind::Connect);
        if !is_away && self.is_dropped().await.unwrap_or(false) || !self.resumable {
            return error;
        }
        let way = match error.kind() {
            Kind::Archive => {
                "with a whole copy of this archive --resume goes on from there; `pgstow verify` tells \
                 whether one is whole"
            }
            _ if is_away || error.kind() == Kind::Interrupted => "--resume goes on from there",
            _ => "once the cause is removed, --resume goes on from there",
        };
        // It stays in a database that may be in use: how to be rid of it belongs to it.
        let way = format!(
            "{way}, DROP SCHEMA {} CASCADE forgets it",
            ident(JOURNAL_SCHEMA)
        );
        let hint = match error.hint() {
            Some(hint) if hint.contains("--resume") => hint.to_owned(),
            Some(hint) if hint.ends_with('?') => format!("{hint} If it is, {way}"),
            Some(hint) => format!("{hint}; {way}"),
            None => way,
        };
        error.with_hint(hint)
    }

    async fn is_dropped(&self) -> Result<bool> {
        let mut wire = session::open(&self.opener.config, "restore").await?;
        self.opener.setup.apply(&mut wire).await?;
        self.check(&mut wire).await?;
        let is_of_use = |recorded: super::found::Recorded| self.resumable && recorded.done > 0;
        let is_of_use = read(&mut wire).await?.is_some_and(is_of_use);
        if !is_of_use {
            drop_it(&mut wire).await?;
        }
        wire.close().await;
        Ok(!is_of_use)
    }
}

/// What a journal is begun for.
pub(in crate::restore) struct Run<'a> {
    pub(in crate::restore) archive: ArchiveId,
    pub(in crate::restore) options: &'a RestoreOptions,
    pub(in crate::restore) present: &'a BTreeSet<EntryId>,
    /// Whether another run can go on with it.
    pub(in crate::restore) resumable: bool,
    pub(in crate::restore) opener: Opener,
    pub(in crate::restore) crashed: Arc<AtomicBool>,
}

/// Whether a journal can be kept in this database.
async fn may_begin(wire: &mut Wire, shared: &Shared) -> Result<bool> {
    let is_own = |entry: &Entry| entry.kind == "SCHEMA" && entry.name == JOURNAL_SCHEMA;
    if shared.entries.iter().any(is_own) {
        shared.observer.info(
            "there is a journal of an unfinished restore in what is restored: this one keeps none, and \
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

/// Whether a session may be had a little later.
fn may_come_back(error: &Error) -> bool {
    error.is_transient() || (error.kind() == Kind::Connect && error.sqlstate().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

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
