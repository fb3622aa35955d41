//! The way into the database that is restored into: what may be in it, what is made first, and its sessions.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::failure::{interrupted, of_statement};
use super::journal::{self, Standing};
use super::options::{OnError, RestoreOptions, TargetState};
use super::outcome::Outcome;
use super::preflight::Place;
use super::serial::{Absent, unless_cancelled};
use super::session::{self, Session, Setup, Share};
use super::shared::Shared;
use super::{column_types, database, default_privileges, encoding, extensions, globals, target};
use crate::archive::{ArchiveId, DataSpec, Entry, Manifest};
use crate::connect::{Config, Wire, fewer, lacks_room, open_in_a_moment};
use crate::error::{Error, Kind, Result, one_line};
use crate::plan::{Cause, Omitted};
use crate::relay::Room;
use crate::report::Event;
use crate::sql::ServerVersion;

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
pub(super) struct Source<'a> {
    pub(super) manifest: &'a Manifest,
    /// Those that are to be made.
    pub(super) globals: &'a [Entry],
    /// Whether the archive has any.
    pub(super) has_globals: bool,
}

/// Where to, and how.
pub(super) struct Target<'a> {
    pub(super) config: Config,
    pub(super) place: Place,
    /// Whether who reads the rows takes room for sessions from the same server.
    pub(super) room: Room,
    pub(super) options: &'a RestoreOptions,
    pub(super) archive: ArchiveId,
    pub(super) encoding: String,
    pub(super) cancel: &'a CancellationToken,
    /// Set when the server is found to have lost what it had committed.
    pub(super) crashed: &'a Arc<AtomicBool>,
    /// What an earlier restore has left there.
    pub(super) standing: Standing,
    /// With `create`: the database is there already, and is taken if it is empty.
    pub(super) adopts: bool,
}

impl Target<'_> {
    pub(super) async fn open(&self, part: &str) -> Result<Wire> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::new(Kind::Interrupted, "restore: interrupted")),
            // What has only just ended on this server, a copy's question perhaps, may still count.
            wire = open_in_a_moment(|| session::open_to_ask(&self.config, part)) => wire,
        }
    }

    /// Looks what an earlier restore has left in the database that is restored into.
    pub(super) async fn look(&mut self, wire: &mut Wire) -> Result<()> {
        let canceller = wire.canceller();
        let looking = journal::look(wire, self.archive, self.options);
        self.standing = unless_cancelled(canceller, self.cancel, looking).await??;
        Ok(())
    }

    /// The first session goes on in the database that is restored into; makes roles and that
    /// database if it is asked for. Nothing is changed before all that can be known is known.
    pub(super) async fn enter(
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
            let inside = self.config.with_database(&name);
            let mut inside = session::open_to_ask(&inside, "restore").await?;
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
        let inside = self.config.with_database(name);
        let mut inside = session::open_to_ask(&inside, "restore").await?;
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
        let rows = shared
            .restored()
            .any(|it| matches!(it.data, Some(DataSpec::Table { .. })));
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
    pub(super) async fn more_sessions(
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
