//! The dump from end to end: snapshot, locks, catalogs, table of contents, rows, trailer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::archive::{self, ArchiveId, Entry, Listing, Manifest, Timestamp, Writer};
use crate::catalog::{self, ReadRequest, RowForm};
use crate::connect::{ANY_BYTES, Canceller, Config, Session, open_in_a_moment};
use crate::ddl;
use crate::error::{Context, Error, Kind, Result, SqlState};
use crate::graph;
use crate::model::{Components, Database, Oid, Relation, Schema};
use crate::report::{Event, Observer};
use crate::select::{Globals, JOURNAL_SCHEMA};
use crate::sql::ServerVersion;
use crate::storage::Sink;
use crate::task::{cores, on_own_thread};

use super::database::{database_entries, database_record};
use super::entries::{Contents, contents, count_tables};
use super::outlet::Outlet;
use super::pipeline::{Expected, Pipeline, Written};
use super::scripts::Scripts;
use super::selection::selection_of;
use super::snapshot::{CANCEL_INTERVAL, Cancellers, Locks, Snapshot, interrupted};
use super::work::Work;
use super::worker::{Shared, Worker};
use super::{Compression, DumpOptions, DumpReport, SnapshotMode, globals, lead, session};

/// Dumps the database of `config` into `sink`.
///
/// # Errors
/// See [`ops::dump`](crate::ops::dump).
pub async fn run(
    config: &Config,
    sink: Box<dyn Sink>,
    options: &DumpOptions,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<DumpReport> {
    options.validate()?;
    let dump = Dump::new("dump", config, options, observer);
    dump.unless(&cancel, dump.run(sink)).await
}

/// How often server work is asked to end after an interrupt, and how long each time is given.
const CANCEL_ATTEMPTS: usize = 10;

/// How often the catalogs are read before a schema that never stands still ends the dump.
const ATTEMPTS: u32 = 3;

/// What stands when the catalogs have been read.
struct Begun {
    leader: Session,
    created: Timestamp,
    snapshot: String,
    lsn: Option<String>,
    globals: Option<archive::Globals>,
    /// None where only what belongs to the whole server is dumped.
    database: Option<Database>,
}

/// All that is to be read, under a snapshot and locks that the leader holds.
pub(super) struct Listed<E> {
    pub leader: Session,
    pub snapshot: String,
    pub manifest: Manifest,
    pub globals: Option<archive::Globals>,
    /// What its maker made of the entries, and what is to be read. None where only what belongs to the whole
    /// server is dumped.
    pub contents: Option<(E, Contents)>,
}

/// What is known of the source before its entries are.
pub(super) struct Source<'a> {
    version: ServerVersion,
    /// Of its statements.
    encoding: &'a str,
    /// Tables with rows to be read, and those of them that are small enough for a pack.
    tables: usize,
    small: usize,
}

/// What takes entries one by one.
pub(super) trait TakeEntries {
    /// Takes the next one.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn take(&mut self, entry: Entry) -> Result<()>;
}

/// What becomes of entries on their way into an archive.
struct WrittenDown {
    listing: Listing,
    scripts: Scripts,
    /// Number of entries that somebody has made.
    made: u64,
}

/// One reading of a database, from its beginning to its end.
pub(super) struct Dump<'a> {
    /// What its sessions call themselves.
    part: &'static str,
    config: &'a Config,
    pub options: &'a DumpOptions,
    pub observer: Arc<dyn Observer>,
    cancellers: Cancellers,
    stop: CancellationToken,
    pub started: Instant,
}

impl<'a> Dump<'a> {
    pub fn new(
        part: &'static str,
        config: &'a Config,
        options: &'a DumpOptions,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            part,
            config,
            options,
            observer,
            cancellers: Cancellers::default(),
            stop: CancellationToken::new(),
            started: Instant::now(),
        }
    }

    /// Runs to the end, or until `cancel` fires and what runs on the server has ended.
    pub async fn unless<T>(
        &self,
        cancel: &CancellationToken,
        running: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut running = std::pin::pin!(running);
        tokio::select! {
            result = &mut running => return result,
            () = cancel.cancelled() => self.stop.cancel(),
        }
        // A cancel request reaches only a statement that is running: one may have begun just after.
        for _ in 0..CANCEL_ATTEMPTS {
            self.cancellers.cancel_all().await;
            if let Ok(result) = tokio::time::timeout(CANCEL_INTERVAL, &mut running).await {
                // It may have been done a moment before.
                return result.map_err(|_| interrupted());
            }
        }
        // Whatever it still waits for (a reader of the pipe, perhaps) is given up; its tasks end and
        // the sink is aborted when it is dropped.
        Err(interrupted())
    }

    /// Has what runs there end with the dump.
    pub fn watch(&self, canceller: Canceller) {
        self.cancellers.add(canceller);
    }

    /// Ends what runs there.
    pub async fn end_work(&self) {
        self.cancellers.cancel_all().await;
    }

    pub fn phase(&self, name: &'static str, steps: Option<u64>) {
        self.observer.event(&Event::Phase { name, steps });
    }

    /// Ends the dump here when it was interrupted.
    pub fn checkpoint(&self) -> Result<()> {
        if self.stop.is_cancelled() {
            return Err(interrupted());
        }
        Ok(())
    }

    fn warn_of_circle(&self, database: &Database, circle: &[Oid]) {
        let tables: Vec<String> = database
            .relations
            .iter()
            .filter(|relation| circle.contains(&relation.header.address.oid))
            .map(|relation| relation.header.sql_name())
            .collect();
        self.observer.warning_with_hint(
            format!(
                "rows refer to each other in a circle of foreign keys: {}",
                tables.join(", ")
            ),
            "a restore of these rows alone may need --disable-triggers",
        );
    }

    /// What an interrupted restore has left is a part of a database.
    fn warn_of_unfinished_restore(&self, database: &Database) {
        let is_journal = |schema: &Schema| {
            schema.header.name == JOURNAL_SCHEMA && schema.header.wanted.has(Components::DEFINITION)
        };
        if database.schemas.iter().any(is_journal) {
            self.observer.warning_with_hint(
                format!(
                    "the schema \"{JOURNAL_SCHEMA}\" is the journal of an unfinished restore: what is \
                     dumped is a part of what was restored"
                ),
                "end that restore first: pgstow restore --resume",
            );
        }
    }

    /// A partition without the table that it belongs to is dumped as a table of its own.
    fn warn_of_lone_partitions(&self, database: &Database) {
        let defined = |relation: &Relation| relation.header.wanted.has(Components::DEFINITION);
        let made: HashSet<Oid> = database
            .relations
            .iter()
            .filter(|relation| defined(relation))
            .map(|relation| relation.header.address.oid)
            .collect();
        for relation in database.relations.iter().filter(|r| defined(r)) {
            if relation.partition_bound.is_some()
                && let Some(parent) = relation.parents.first()
                && !made.contains(&parent.oid)
            {
                self.observer.warning(format!(
                    "table {} is dumped as a table of its own: {}, whose partition it is, is not \
                     dumped",
                    relation.header.sql_name(),
                    parent.sql_name
                ));
            }
        }
    }

    /// Waits for a connection; until there is one, there is nothing that could be cancelled.
    pub async fn unless_stopped<T>(&self, connect: impl Future<Output = Result<T>>) -> Result<T> {
        self.stop
            .run_until_cancelled(connect)
            .await
            .unwrap_or_else(|| Err(interrupted()))
    }

    /// Everything up to the point where the catalogs have been read: sessions, snapshot, locks.
    ///
    /// What fails with [`Kind::Stale`] can be begun again: its sessions are closed then.
    async fn begin(&self, config: &Config) -> Result<Begun> {
        // The server may still be ending those of an earlier attempt.
        let connecting = open_in_a_moment(|| config.connect());
        let leader = self.unless_stopped(connecting).await?;
        self.watch(leader.canceller());
        let created = Timestamp::now();
        let snapshot = session::begin_leader(&leader, self.options, &*self.observer).await?;
        let lsn = current_lsn(&leader).await?;
        self.checkpoint()?;
        let globals =
            globals::read(&leader, self.options, encoding_of(&leader), &*self.observer).await?;
        let database = if self.options.globals.which == Globals::Alone {
            None
        } else {
            let request = ReadRequest {
                selection: self.options.selection.clone(),
                leave_out: self.options.leave_out,
                quoting: self.options.quoting,
                lock_wait_timeout: self.options.lock_wait_timeout,
            };
            let same_server = config.pinned(leader.reached());
            let second: OnceLock<Arc<Session>> = OnceLock::new();
            let beside = async {
                match self.open_beside(&same_server, &snapshot).await {
                    Err(error) if error.sqlstate() == Some(&SqlState::TOO_MANY_CONNECTIONS) => {
                        self.observer.warning(format!(
                            "{error}: whether the schema changes while it is read is not looked at"
                        ));
                        Ok(None)
                    }
                    Ok(session) => {
                        let session = second.get_or_init(|| Arc::new(session));
                        Ok(Some(Arc::clone(session)))
                    }
                    Err(error) => Err(error),
                }
            };
            let reading = catalog::read_while_opening(&leader, beside, &request, &*self.observer);
            let read = reading.await.map(|(database, _)| database);
            let again = |error: &Error| error.kind() == Kind::Stale;
            if read.as_ref().err().is_none_or(again)
                && let Some(second) = second.into_inner().and_then(Arc::into_inner)
            {
                second.close().await;
            }
            match read {
                Ok(database) => Some(database),
                Err(error) if again(&error) => {
                    leader.close().await;
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        };
        Ok(Begun {
            leader,
            created,
            snapshot,
            lsn,
            globals,
            database,
        })
    }

    /// Opens the snapshot, locks the tables, reads the catalogs and makes of them what there is to
    /// read, in its order.
    ///
    /// The entries go to what `taker` makes for what is known by then.
    pub async fn list<E: TakeEntries>(
        &self,
        config: &Config,
        taker: impl FnOnce(Source<'_>) -> E,
    ) -> Result<Listed<E>> {
        let mut attempt = 1;
        let Begun {
            leader,
            created,
            snapshot,
            lsn,
            globals,
            database,
        } = loop {
            let is_given = matches!(self.options.snapshot, SnapshotMode::Exported(_));
            let again = attempt < ATTEMPTS && !is_given;
            match self.begin(config).await {
                Err(error) if error.kind() == Kind::Stale && is_given => {
                    return Err(error.with_hint(
                        "the snapshot is too old for what was changed since: export a new one",
                    ));
                }
                Err(error) if error.kind() == Kind::Stale && again => {
                    self.observer
                        .warning(format!("{error}; the catalogs are read again"));
                    attempt += 1;
                }
                begun => break begun?,
            }
        };
        let Some(database) = database else {
            let mut manifest = self.source_manifest(&leader, created, &snapshot, lsn)?;
            manifest.options = BTreeMap::from([("content".to_owned(), "globals".into())]);
            self.checkpoint()?;
            return Ok(Listed {
                leader,
                snapshot,
                manifest,
                globals,
                contents: None,
            });
        };
        self.checkpoint()?;
        let order = graph::order(&database)?;
        let (tables, small) = count_tables(&database, &order, self.options);
        let mut taken = taker(Source {
            version: leader.server_version(),
            encoding: encoding_of(&leader),
            tables,
            small,
        });
        let take = |entry| taken.take(entry);
        let contents = contents(&database, &order, self.options, take)?;
        for circle in &order.splits.circular_data {
            self.warn_of_circle(&database, circle);
        }
        self.warn_of_lone_partitions(&database);
        self.warn_of_unfinished_restore(&database);
        let empty = &order.splits.left_empty;
        for relation in &database.relations {
            if empty.contains(&relation.header.address.oid) {
                self.observer.warning_with_hint(
                    format!(
                        "materialized view {} stays empty in a restore: it reads one that is not \
                         populated here",
                        relation.header.sql_name()
                    ),
                    "refresh that one, or expect to refresh both by hand",
                );
            }
        }
        let mut manifest = self.manifest(&leader, &database, created, &snapshot, lsn)?;
        manifest.database_entries = self
            .options
            .quoting
            .scope(|| database_entries(&database, contents.entries, self.options))?;
        manifest.database_properties = Some(database_record(&database, self.options));
        Ok(Listed {
            leader,
            snapshot,
            manifest,
            globals,
            contents: Some((taken, contents)),
        })
    }

    /// The configuration of its sessions.
    pub fn sessions(&self) -> Config {
        self.config.with_application_name_suffix(self.part)
    }

    async fn run(&self, sink: Box<dyn Sink>) -> Result<DumpReport> {
        self.phase("connect", None);
        let config = self.sessions();
        let codec = self.options.compression.codec();
        let Listed {
            leader,
            snapshot,
            manifest,
            globals,
            contents,
        } = self
            .list(&config, |source| WrittenDown {
                listing: match self
                    .options
                    .pack_tables
                    .applies(source.tables, source.small)
                {
                    true => Listing::packing(codec, source.encoding),
                    false => Listing::new(codec, source.encoding),
                },
                scripts: Scripts::new(codec, &ddl::script::header(source.version, source.encoding)),
                made: 0,
            })
            .await?;
        let Some((written, contents)) = contents else {
            let began = self.started;
            let globals = globals.unwrap_or_default();
            let report = globals::write_alone(sink, manifest, globals, began).await?;
            leader.close().await;
            return Ok(report);
        };
        let global_count = globals.as_ref().map_or(0, |globals| globals.entries.len());
        let Contents {
            entries,
            tables,
            large_objects,
            statistics,
            row_form,
        } = contents;
        let WrittenDown {
            listing,
            scripts,
            made,
        } = written;
        let archive_id = manifest.archive_id;
        let database = manifest.database.clone();
        let server_version = manifest.server_version_text.clone();
        let rows_first = listing.rows_first().clone();
        let scripts = scripts.finish()?;
        let writer = Writer::create_listed(sink, manifest, listing, scripts, globals).await?;

        let work = Arc::new(Work::new(
            tables,
            large_objects,
            statistics,
            &rows_first,
            self.options.jobs,
        ));
        let (table_count, bytes) = work.totals();
        self.observer.event(&Event::DataTotal {
            tables: table_count,
            bytes,
            rows: None,
        });
        self.phase("data", Some(work.len() as u64));
        let outlet = Outlet::Archive(Box::new(writer));
        let Written {
            outlet,
            table_rows,
            zstd_level,
            ..
        } = self
            .copy_rows(&config, outlet, Arc::clone(&work), &snapshot, &leader)
            .await?;
        work.unread.warn(&*self.observer);
        self.end(&leader, &row_form).await?;
        self.phase("finish", None);
        let Outlet::Archive(writer) = outlet else {
            return Err(Error::new(Kind::Failed, "the archive's writer is gone"));
        };
        let summary = writer.finish().await?;
        leader.close().await;
        Ok(DumpReport {
            database,
            server_version,
            globals: global_count as u64,
            entries: entries as u64,
            made,
            tables: table_count,
            rows: table_rows,
            raw_bytes: summary.raw_bytes,
            archive_bytes: summary.bytes,
            frames: summary.frames,
            zstd_level,
            archive_id: archive_id.to_string(),
            seconds: self.started.elapsed().as_secs_f64(),
        })
    }

    /// Everything was read under the leader's snapshot and locks: they must have held so far, and what cannot
    /// be locked must have stood still.
    pub async fn end(&self, leader: &Session, row_form: &RowForm) -> Result<()> {
        let version = leader.server_version();
        row_form.commit(leader.client(), version).await?;
        self.checkpoint()
    }

    /// Runs the workers and the writer; gives the outlet back when all data went there.
    pub async fn copy_rows(
        &self,
        config: &Config,
        outlet: Outlet,
        work: Arc<Work>,
        snapshot: &str,
        leader: &Session,
    ) -> Result<Written> {
        let (pipeline, receiver) =
            Pipeline::new(&outlet, self.options.compression, self.options.memory_bytes);
        let expected: HashMap<_, _> = work
            .entries()
            .map(|(entry, table)| (entry, Expected { table }))
            .collect();
        let locks = match &outlet {
            Outlet::Archive(_) | Outlet::Relay(_) => Locks::OfLeader,
            Outlet::Nowhere => Locks::OfReaders,
        };
        let mut writing = JoinSet::new();
        writing.spawn({
            let work = Arc::clone(&work);
            let completed = move |entry| work.complete(entry);
            receiver.write(outlet, expected, completed, Arc::clone(&self.observer))
        });
        let shared = Shared {
            snapshot: Arc::new(Snapshot {
                config: config.pinned(leader.reached()),
                id: snapshot.to_owned(),
                options: self.options.clone(),
                locks,
                cancellers: self.cancellers.clone(),
                stop: self.stop.clone(),
                lost: CancellationToken::new(),
                large_rows: pipeline.large_rows(),
                // Where workers are more than cores, rows gather while others are read, and each thread
                // keeps memory of its own.
                has_threads: work.sessions() <= cores(),
            }),
            work,
            pipeline,
            observer: Arc::clone(&self.observer),
        };
        let (refused, for_leader) = mpsc::unbounded_channel();
        let mut workers = JoinSet::new();
        let has_threads = shared.snapshot.has_threads;
        let sessions = shared.work.sessions();
        shared.work.begin_with(sessions);
        for number in 1..=sessions {
            let worker = Worker::new(shared.clone(), number, refused.clone());
            if has_threads {
                workers.spawn(on_own_thread(format!("worker {number}"), || worker.run()));
            } else {
                workers.spawn(worker.run());
            }
        }
        drop(refused);
        let lead = async {
            let led = lead::lead(leader, for_leader, &shared).await;
            if led.is_err() {
                self.give_up().await;
            }
            led
        };
        let (worked, led) = tokio::join!(self.gather(workers), lead);
        let failure = if shared.snapshot.lost.is_cancelled() {
            Some(shared.snapshot.leader_lost())
        } else {
            // Whatever was interrupted was so because of the other one.
            let (worked, led) = (worked.err(), led.err());
            match (worked, led) {
                (Some(error), Some(led)) if error.kind() == Kind::Interrupted => Some(led),
                (worked, led) => worked.or(led),
            }
        };
        let writer_failed_first = shared.pipeline.is_closed();
        drop(shared);
        let written = match writing.join_next().await {
            Some(joined) => joined
                .map_err(|error| Error::new(Kind::Failed, format!("writer failed: {error}")))
                .and_then(|result| result),
            None => Err(Error::new(Kind::Failed, "the archive's writer has stopped")),
        };
        match (failure, written) {
            (None, written) => {
                self.checkpoint()?;
                written
            }
            (Some(_), Err(error)) if writer_failed_first => Err(error),
            (Some(error), _) => Err(error),
        }
    }

    /// Waits for the workers; the first error of one ends the others.
    async fn gather(&self, mut workers: JoinSet<Result<()>>) -> Result<()> {
        let mut failure = None;
        while let Some(joined) = workers.join_next().await {
            let result = joined
                .map_err(|error| Error::new(Kind::Failed, format!("worker failed: {error}")))
                .and_then(|result| result);
            if let Err(error) = result
                && failure.is_none()
            {
                failure = Some(error);
                self.give_up().await;
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Ends what the others do: they may sit in a long COPY, and nothing of theirs is wanted any more.
    async fn give_up(&self) {
        self.stop.cancel();
        self.cancellers.cancel_all().await;
    }

    /// A session on the leader's snapshot that reads catalogs beside it.
    async fn open_beside(&self, config: &Config, snapshot: &str) -> Result<Session> {
        let open = async {
            let session = self.unless_stopped(config.connect()).await?;
            self.watch(session.canceller());
            session::begin_beside(&session, snapshot, self.options).await?;
            Ok(session)
        };
        open.await
            .map_err(|error: Error| error.context("connect a second session"))
    }

    fn manifest(
        &self,
        leader: &Session,
        database: &Database,
        created: Timestamp,
        snapshot: &str,
        lsn: Option<String>,
    ) -> Result<Manifest> {
        let properties = &database.properties;
        let mut manifest = self.source_manifest(leader, created, snapshot, lsn)?;
        manifest.database = properties.header.name.clone();
        manifest.database_encoding = Some(properties.encoding.clone());
        manifest.collate = Some(properties.collate.clone());
        manifest.ctype = Some(properties.ctype.clone());
        manifest.locale_provider = Some(properties.locale_provider.clone());
        manifest.locale = properties.locale.clone();
        manifest.icu_rules = properties.icu_rules.clone();
        Ok(manifest)
    }

    /// What the manifest says about the server and the snapshot.
    fn source_manifest(
        &self,
        leader: &Session,
        created: Timestamp,
        snapshot: &str,
        lsn: Option<String>,
    ) -> Result<Manifest> {
        let mut manifest = Manifest::new(
            ArchiveId::random()?,
            created,
            self.options.compression.codec(),
        );
        if self.options.compression == Compression::ZstdAuto {
            let auto = ("zstd_level".to_owned(), "auto".into());
            manifest.options.extend([auto]);
        }
        if let Some(selection) = selection_of(self.options) {
            manifest.set_selection(selection);
        }
        manifest.server_version = leader.server_version().num();
        manifest.server_version_text = leader.parameter("server_version").unwrap_or_default();
        manifest.encoding = encoding_of(leader).to_owned();
        manifest.lsn = lsn;
        manifest.snapshot = Some(snapshot.to_owned());
        Ok(manifest)
    }
}

impl TakeEntries for WrittenDown {
    fn take(&mut self, entry: Entry) -> Result<()> {
        self.made += u64::from(is_made(&entry));
        self.scripts.push(&entry)?;
        self.listing.push(&entry)
    }
}

/// Whether somebody has made this: a new database has the schema `public` and nothing else.
fn is_made(entry: &Entry) -> bool {
    entry.kind != "SCHEMA" || entry.name != "public"
}

/// Where in the write-ahead log the snapshot stands, about: read just after it was taken. It is
/// for people to know; a server that denies its WAL functions to the role gives none.
async fn current_lsn(leader: &Session) -> Result<Option<String>> {
    let context = || "read the position in the write-ahead log";
    let row = leader
        .client()
        .query_typed_one(WAL_POSITION, &[])
        .await
        .context_with(context)?;
    let (call, permitted): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
    if !permitted {
        return Ok(None);
    }
    let row = leader
        .client()
        .query_typed_one(&format!("SELECT {call}::pg_catalog.text"), &[])
        .await
        .context_with(context)?;
    Ok(row.try_get(0)?)
}

/// The function that tells it, and whether it may be called.
const WAL_POSITION: &str = "\
SELECT f.call, pg_catalog.has_function_privilege(f.call, 'EXECUTE') \
FROM (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() \
THEN 'pg_catalog.pg_last_wal_replay_lsn()' \
ELSE 'pg_catalog.pg_current_wal_lsn()' END AS call) f";

/// Encoding of all statements, and of frames whose COPY statement does not name another one.
fn encoding_of(leader: &Session) -> &'static str {
    match leader.has_any_bytes() {
        true => ANY_BYTES,
        false => "UTF8",
    }
}
