//! One step after the other.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::admin::Admin;
use super::exchange::Exchange;
use super::facts::{Facts, Old};
use super::marker::{Marker, SHADOW, State};
use super::{name, shadow};
use crate::archive::{Archive, Timestamp, hex};
use crate::catalog;
use crate::connect::Config;
use crate::error::{Context, Error, Kind, Result, SqlState};
use crate::model::DatabaseProperties;
use crate::ops::preflight::{Preflight, archived, bytes_of_rows, space};
use crate::ops::verify::VerifyOptions;
use crate::ops::verify_against::compare;
use crate::ops::{Input, TableComparison};
use crate::report::{Event, Observer};
use crate::restore::{
    self, ArchiveReader, OnError, Place, RestoreOptions, RestoreReport, TargetState,
};
use crate::select::{Content, Globals};
use crate::sql::ident;

/// What becomes of sessions in the database that is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sessions {
    /// As long as there are any, nothing is exchanged.
    #[default]
    Refuse,
    /// They are ended when the databases are exchanged.
    End,
}

/// How to restore and swap.
#[derive(Clone, Debug, Default)]
pub struct SwapOptions {
    /// How the new database is filled: all of the archive, into a new database.
    pub restore: RestoreOptions,
    /// The database from which others are made and renamed; by default `postgres`, or `template1`.
    pub maintenance: Option<String>,
    /// What becomes of sessions in the old database.
    pub sessions: Sessions,
    /// The moment in the names of the databases beside the old one. Where [`swap_preflight`] and [`swap`] are told the
    /// same, the names that were shown are those that are made; now, where nothing is said.
    pub at: Option<Timestamp>,
}

impl SwapOptions {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// [`Kind::Usage`], naming the option that does not go with a swap.
    pub fn validate(&self) -> Result<()> {
        self.restore.validate()?;
        let of = &self.restore;
        let wrong = [
            ("--create", of.create),
            ("--clean", of.clean),
            ("--allow-non-empty", of.target != TargetState::Empty),
            ("--resume", of.resume),
            ("--continue", of.on_error != OnError::Exit),
            ("--globals-only", of.globals == Globals::Alone),
        ];
        if let Some((option, _)) = wrong.into_iter().find(|(_, given)| *given) {
            return Err(Error::new(
                Kind::Usage,
                format!("options --swap and {option} cannot be used together"),
            ));
        }
        if of.content != Content::All || !of.sections.is_all() || !of.filter.is_all() {
            return Err(Error::new(
                Kind::Usage,
                "option --swap takes the whole archive: a part of it would take the place of the \
                 whole database",
            ));
        }
        Ok(())
    }

    /// Of the options that a later run must have too; kept in the database that is made.
    fn digest(&self) -> Result<String> {
        let options = serde_json::to_vec(&self.restore.fingerprints()?)
            .map_err(|error| Error::new(Kind::Failed, format!("options: {error}")))?;
        let digest = Sha256::digest(options);
        Ok(hex(&digest[..8]))
    }
}

/// What was restored and exchanged.
#[derive(Clone, Debug, Serialize)]
pub struct SwapReport {
    /// The name that the new database has now.
    pub database: String,
    /// What the old one is called now; none when it kept its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// The database that still stands beside the old one, because of a difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<String>,
    /// What was restored; none when an earlier run had done it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreReport>,
    /// Each table, in the archive and in the new database.
    pub compared: Vec<TableComparison>,
    /// How long all of it took.
    pub seconds: f64,
}

impl SwapReport {
    /// Whether the new database has taken the place of the old one.
    pub fn is_exchanged(&self) -> bool {
        self.kept.is_some()
    }
}

/// What [`swap`] would do and meet; nothing is changed.
///
/// # Errors
/// As [`swap`], as far as it is no check that failed.
pub async fn swap_preflight(
    config: &Config,
    input: &Input,
    options: &SwapOptions,
) -> Result<Preflight> {
    options.validate()?;
    let archive = open(input).await?;
    let mut admin = admin(config, options).await?;
    let looked = Look::all(config, &archive, options, &mut admin).await;
    admin.close().await;
    Ok(looked?.preflight)
}

/// Restores an archive beside the database that `config` names, compares every table with the
/// archive, and lets the new database take the old one's name; the old one is kept under another.
///
/// # Errors
/// [`Kind::Usage`] for options that do not go with it and an archive from a pipe; [`Kind::Refused`]
/// for what stands in the way, before anything is made, and when at the end somebody is in the old
/// database; as [`restore`](crate::ops::restore()) for the restore. In every case the old database is as
/// it was, under its name. A table that differs is no error but in the report.
pub async fn swap(
    config: &Config,
    input: &Input,
    options: &SwapOptions,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<SwapReport> {
    options.validate()?;
    let began = Instant::now();
    let looking = async {
        let archive = open(input).await?;
        let mut admin = admin(config, options).await?;
        admin.lock().await?;
        observer.event(&Event::Phase {
            name: "preflight",
            steps: None,
        });
        let look = Look::all(config, &archive, options, &mut admin).await?;
        Ok::<_, Error>((archive, admin, look))
    };
    let (archive, admin, look) = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(Error::new(Kind::Interrupted, "swap: interrupted")),
        looked = looking => looked?,
    };
    if let Some(refusal) = look.preflight.refusal() {
        return Err(refusal);
    }
    let mut run = Run {
        config,
        options,
        archive,
        admin,
        observer,
        cancel,
        look,
    };
    let mut report = run.all().await?;
    report.seconds = began.elapsed().as_secs_f64();
    run.admin.close().await;
    Ok(report)
}

async fn open(input: &Input) -> Result<Arc<Archive>> {
    match input {
        Input::Source(source) => Ok(Arc::new(Archive::open(Arc::clone(source)).await?)),
        Input::Stream(_) => Err(Error::new(
            Kind::Usage,
            "option --swap reads the archive twice: it must be in a file or store, not from a pipe",
        )),
    }
}

async fn admin(config: &Config, options: &SwapOptions) -> Result<Admin> {
    let role = options.restore.role.as_deref();
    Admin::open(config, options.maintenance.as_deref(), role).await
}

/// All that was looked at beforehand.
struct Look {
    preflight: Preflight,
    facts: Facts,
    wanted: Marker,
    /// What a new database is called, and what the old one will be.
    shadow: String,
    kept: String,
}

impl Look {
    async fn all(
        config: &Config,
        archive: &Arc<Archive>,
        options: &SwapOptions,
        admin: &mut Admin,
    ) -> Result<Self> {
        let database = config.database();
        let facts = Facts::ask(admin.wire(), database).await?;
        let at = options.at.unwrap_or_else(Timestamp::now);
        let wanted = Marker {
            of: database.to_owned(),
            state: State::Filling,
            archive: archive.manifest().archive_id,
            options: options.digest()?,
            at,
        };
        let kept = name::beside(database, "before", at, &facts.names);
        let filled = facts.filled(&wanted).map(|beside| beside.name.clone());
        let shadow = match &filled {
            Some(name) => name.clone(),
            None => name::beside(database, SHADOW, at, &facts.names),
        };
        let mut reader = ArchiveReader::File(Arc::clone(archive));
        let restore = &options.restore;
        let survey = restore::survey(admin.config(), &mut reader, restore, Place::New).await?;
        let mut checks = vec![archived(archive)];
        checks.extend(survey.checks);
        checks.extend(facts.checks(options.sessions, &wanted));
        let old_bytes = facts.old.as_ref().and_then(|old| old.bytes);
        checks.push(space(admin.wire(), bytes_of_rows(archive), old_bytes).await?);
        let (name, beside) = (ident(database), ident(&shadow));
        let mut steps = Vec::new();
        match filled {
            Some(_) => steps.push(format!("take {beside}, which an earlier run has filled")),
            None => {
                let leftovers = facts.beside.iter();
                let removed = leftovers.filter(|it| it.marker.state != State::Kept);
                steps.extend(removed.map(|it| format!("drop {}", ident(&it.name))));
                steps.push(format!(
                    "make database {beside}, with owner, privileges and settings of {name}"
                ));
                steps.push(format!("restore the archive into {beside}"));
            }
        }
        steps.push(format!("compare every table of {beside} with the archive"));
        steps.push(format!(
            "in one transaction: rename {name} to {}, {beside} to {name}",
            ident(&kept)
        ));
        Ok(Self {
            preflight: Preflight {
                target: config.describe(),
                database: database.to_owned(),
                checks,
                steps,
                plan: survey.plan,
            },
            facts,
            wanted,
            shadow,
            kept,
        })
    }
}

struct Run<'a> {
    config: &'a Config,
    options: &'a SwapOptions,
    archive: Arc<Archive>,
    admin: Admin,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
    look: Look,
}

impl Run<'_> {
    fn phase(&self, name: &'static str) {
        self.observer.event(&Event::Phase { name, steps: None });
    }

    fn old(&self) -> Result<Old> {
        let old = self.look.facts.old.clone();
        old.ok_or_else(|| Error::new(Kind::Failed, "there is no database to replace"))
    }

    async fn all(&mut self) -> Result<SwapReport> {
        let old = self.old()?;
        let database = self.config.database().to_owned();
        let context = || format!("swap {}", ident(&database));
        let properties = self.properties().await.context_with(context)?;
        let is_filled = self.look.facts.filled(&self.look.wanted).is_some();
        self.phase("shadow");
        self.remove_leftovers().await.context_with(context)?;
        let restore = match is_filled {
            true => None,
            false => Some(self.fill(&properties).await?),
        };
        let compared = match self.compare().await {
            Ok(compared) => compared,
            Err(error) => return Err(self.left(error.context(context()))),
        };
        let shadow = self.look.shadow.clone();
        if compared.iter().any(|table| !table.equal) {
            self.observer.warning(format!(
                "{} is as it was; {} differs from the archive and is left to be looked at until the \
                 next run",
                ident(&database),
                ident(&shadow)
            ));
            return Ok(SwapReport {
                database,
                kept: None,
                shadow: Some(shadow),
                restore,
                compared,
                seconds: 0.0,
            });
        }
        self.phase("exchange");
        if let Err(error) = self.exchange(&old, &properties).await {
            let error = error.context(context());
            return Err(match error.kind() {
                Kind::Connect => self.unknown(error),
                _ => self.left(error),
            });
        }
        Ok(SwapReport {
            database,
            kept: Some(self.look.kept.clone()),
            shadow: None,
            restore,
            compared,
            seconds: 0.0,
        })
    }

    /// What the old database has besides its contents.
    async fn properties(&self) -> Result<DatabaseProperties> {
        let config = self.config.with_application_name_suffix("restore --swap");
        let session = config.connect().await?;
        let properties = catalog::database_properties(&session).await;
        session.close().await;
        properties
    }

    /// Drops what earlier runs have left, but not what is taken.
    async fn remove_leftovers(&mut self) -> Result<()> {
        let shadow = &self.look.shadow;
        let beside = self.look.facts.beside.iter();
        let left = beside.filter(|it| it.marker.state != State::Kept && it.name != *shadow);
        for name in left.map(|it| it.name.clone()).collect::<Vec<_>>() {
            shadow::drop_it(self.admin.wire(), &name)
                .await
                .context_with(|| format!("remove {}, left by an earlier run", ident(&name)))?;
            self.observer
                .info(format!("removed {}, left by an earlier run", ident(&name)));
        }
        Ok(())
    }

    /// Makes the new database and restores into it; when that fails, it is removed.
    async fn fill(&mut self, properties: &DatabaseProperties) -> Result<RestoreReport> {
        let shadow = self.look.shadow.clone();
        match self.make_and_restore(properties, &shadow).await {
            Ok(report) => Ok(report),
            Err(error) => {
                let database = ident(self.config.database());
                // What somebody else has made under this name meanwhile is not ours to remove.
                let is_ours = error.sqlstate() != Some(&SqlState::DUPLICATE_DATABASE);
                let removing = async {
                    if !is_ours {
                        return Ok(());
                    }
                    self.admin.renew().await?;
                    shadow::drop_it(self.admin.wire(), &shadow).await
                };
                let left = match removing.await {
                    Ok(()) => "nothing is left".to_owned(),
                    Err(why) => format!(
                        "{} is left, which the next run removes ({why})",
                        ident(&shadow)
                    ),
                };
                self.observer
                    .warning(format!("{database} is as it was, and {left}"));
                // What a restore into the target itself would say of it is not so here.
                Err(match error.kind() {
                    Kind::Interrupted => Error::new(Kind::Interrupted, "swap: interrupted")
                        .with_hint(format!("{database} is as it was")),
                    _ => error.context(format!("swap {database}")),
                })
            }
        }
    }

    async fn make_and_restore(
        &mut self,
        properties: &DatabaseProperties,
        shadow: &str,
    ) -> Result<RestoreReport> {
        let mut marker = self.look.wanted.clone();
        let role = self.options.restore.role.as_deref();
        shadow::make(self.admin.wire(), properties, shadow, &marker, role).await?;
        let report = restore::restore_into(
            &self.config.with_database(shadow),
            ArchiveReader::File(Arc::clone(&self.archive)),
            &self.options.restore,
            Place::New,
            Arc::clone(&self.observer),
            &self.cancel,
        )
        .await?;
        if !report.is_complete() {
            return Err(Error::new(Kind::Failed, "the restore is not complete"));
        }
        self.admin.renew().await?;
        marker.state = State::Filled;
        shadow::mark(self.admin.wire(), shadow, &marker).await?;
        Ok(report)
    }

    async fn compare(&self) -> Result<Vec<TableComparison>> {
        let options = VerifyOptions {
            against: None,
            jobs: self.options.restore.jobs,
            memory_bytes: self.options.restore.memory_bytes,
            role: self.options.restore.role.clone(),
        };
        compare(
            &self.config.with_database(&self.look.shadow),
            Arc::clone(&self.archive),
            &options,
            Arc::clone(&self.observer),
            &self.cancel,
        )
        .await
    }

    async fn exchange(&mut self, old: &Old, properties: &DatabaseProperties) -> Result<()> {
        self.admin.renew().await?;
        // Others who give names may have gone on.
        let facts = Facts::ask(self.admin.wire(), self.config.database()).await?;
        let at = self.look.wanted.at;
        self.look.kept = name::beside(self.config.database(), "before", at, &facts.names);
        let shadow_oid = self.oid_of_shadow().await?;
        let marker = Marker {
            state: State::Kept,
            ..self.look.wanted.clone()
        };
        let exchange = Exchange {
            database: self.config.database(),
            old_oid: old.oid,
            shadow: &self.look.shadow,
            shadow_oid,
            kept: &self.look.kept,
            kept_marker: &marker,
            properties,
            sessions: self.options.sessions,
        };
        let observer = &self.observer;
        exchange.run(&mut self.admin, observer, &self.cancel).await
    }

    async fn oid_of_shadow(&mut self) -> Result<u32> {
        let query = format!(
            "SELECT oid FROM pg_catalog.pg_database WHERE datname = {}",
            crate::sql::literal(&self.look.shadow)
        );
        let rows = self.admin.wire().query(&query).await?;
        let oid = rows.into_iter().flatten().next().flatten();
        oid.and_then(|oid| oid.parse().ok()).ok_or_else(|| {
            Error::new(
                Kind::Failed,
                format!("{} is gone", ident(&self.look.shadow)),
            )
        })
    }

    /// Says what stands after a failure behind the restore.
    /// What is told when the server cannot be asked.
    fn unknown(&self, error: Error) -> Error {
        self.observer.warning(format!(
            "it is not known whether {} was exchanged: if there is a database {}, it was, and that is the \
             old one; else {} is as it was, and the next run takes {}",
            ident(self.config.database()),
            ident(&self.look.kept),
            ident(self.config.database()),
            ident(&self.look.shadow)
        ));
        error
    }

    fn left(&self, error: Error) -> Error {
        self.observer.warning(format!(
            "{} is as it was; {} is left, filled, and the next run with the same archive and options \
             takes it",
            ident(self.config.database()),
            ident(&self.look.shadow)
        ));
        error
    }
}
