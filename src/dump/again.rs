//! Reads rows where they are now, only to fingerprint them, with the statements and settings of a dump.
//!
//! The leader holds the snapshot and no locks: a comparison is in nobody's way for longer than a table is being
//! read. So a table may have been changed, or be gone, and that is what the comparison is to find: it is answered by name,
//! and the others are read all the same. What TRUNCATE or a rewriting ALTER TABLE has done since
//! shows under the snapshot too, as rows that are missing. Ranges of a table's pages make one table only as long as
//! they are those of one file: where it has another at the end (VACUUM FULL, CLUSTER) it is read once more, whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::archive::{Entry, EntryId, Fingerprint};
use crate::catalog::RowForm;
use crate::connect::{Config, Session, Text, Wire, open_in_a_moment};
use crate::error::{Context, Error, Kind, Result};
use crate::model::Oid;
use crate::report::Observer;

use super::conductor::Dump;
use super::copy::TableCopy;
use super::entries::{LargeObjectTask, TableTask};
use super::outlet::Outlet;
use super::pipeline::Written;
use super::snapshot::is_locked_out;
use super::work::Work;
use super::{DumpOptions, session};

/// What is read again.
#[derive(Default)]
pub(crate) struct Again {
    tables: Vec<TableTask>,
    large_objects: Vec<LargeObjectTask>,
}

/// What there is now: a fingerprint by entry, or why there is none.
pub(crate) type Reread = BTreeMap<EntryId, Result<Fingerprint>>;

impl Again {
    pub(super) fn new(tables: Vec<TableTask>, large_objects: Vec<LargeObjectTask>) -> Self {
        Self {
            tables,
            large_objects,
        }
    }

    /// Adds the table of an archive's entry, about so large, under this name for messages; false if its rows were
    /// chosen by a condition that is not known. Of extensions' conditions, which are any SQL, only those are run.
    ///
    /// # Errors
    /// [`Kind::Archive`] when the archive's statement does something else than to read the table.
    pub fn add_table(
        &mut self,
        entry: &Entry,
        label: &str,
        bytes: u64,
        is_known: impl FnOnce(&str) -> bool,
    ) -> Result<bool> {
        let copy = TableCopy::of_entry(entry)?;
        if !copy.condition().is_none_or(is_known) {
            return Ok(false);
        }
        self.tables.push(TableTask {
            entry: entry.id,
            label: label.to_owned(),
            sql_name: copy.source().to_owned(),
            copy,
            bytes,
            heap_bytes: None,
        });
        Ok(true)
    }

    /// Adds large objects of an entry.
    pub fn add_large_objects(&mut self, entry: EntryId, oids: Vec<Oid>) {
        self.large_objects.push(LargeObjectTask { entry, oids });
    }

    /// Without what is not of these entries.
    pub fn only(mut self, entries: &BTreeSet<EntryId>) -> Self {
        self.tables.retain(|task| entries.contains(&task.entry));
        self.large_objects
            .retain(|task| entries.contains(&task.entry));
        self
    }

    /// Number of entries and their bytes, about.
    pub fn totals(&self) -> (u64, u64) {
        let bytes = self.tables.iter().map(|task| task.bytes).sum();
        let count = self.tables.len() + self.large_objects.len();
        (count as u64, bytes)
    }

    /// The entries that can be compared one by one, each with its name. Partitions whose rows are
    /// loaded through their root need not get the same rows again (the hash of an enum's label is
    /// the cluster's own), so they are one.
    pub fn comparable(&self) -> Vec<(String, Vec<EntryId>)> {
        let mut by_target: BTreeMap<&str, (String, Vec<EntryId>)> = BTreeMap::new();
        for task in &self.tables {
            let (name, entries) = by_target.entry(&task.copy.copy_in).or_default();
            if !name.is_empty() {
                name.push_str(", ");
            }
            name.push_str(&task.label);
            entries.push(task.entry);
        }
        let mut all: Vec<_> = by_target.into_values().collect();
        all.sort_by_key(|(_, entries)| entries.first().copied());
        for (number, task) in (1..).zip(&self.large_objects) {
            all.push((format!("large objects, part {number}"), vec![task.entry]));
        }
        all
    }
}

/// A reading of what is there now, from its beginning to its end.
pub(crate) struct Rereading<'a> {
    dump: Dump<'a>,
    config: Config,
}

/// Its snapshot, as long as it is held.
pub(crate) struct Held<'a> {
    rereading: &'a Rereading<'a>,
    leader: Session,
    snapshot: String,
}

impl<'a> Rereading<'a> {
    pub fn new(config: &'a Config, options: &'a DumpOptions, observer: Arc<dyn Observer>) -> Self {
        let dump = Dump::new("verify", config, options, observer);
        let config = dump.sessions();
        Self { dump, config }
    }

    /// Runs to the end, or until `cancel` fires and what runs on the server has ended.
    pub async fn unless<T>(
        &self,
        cancel: &CancellationToken,
        running: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.dump.unless(cancel, running).await
    }

    /// Takes the snapshot.
    ///
    /// # Errors
    /// As a dump.
    pub async fn begin(&self) -> Result<Held<'_>> {
        let leader = open_in_a_moment(|| self.config.connect());
        let leader = self.dump.unless_stopped(leader).await?;
        self.dump.watch(leader.canceller());
        let Dump {
            options, observer, ..
        } = &self.dump;
        let snapshot = session::begin_leader(&leader, options, &**observer).await?;
        Ok(Held {
            rereading: self,
            leader,
            snapshot,
        })
    }
}

impl Held<'_> {
    /// Reads all of it. What the server refuses to read is found to be so.
    ///
    /// # Errors
    /// As a dump, but for that.
    pub async fn read(&self, again: Again) -> Result<Reread> {
        let Again {
            mut tables,
            large_objects,
        } = again;
        let cut = self.measure(&mut tables).await?;
        let mut found = self.rows(tables, large_objects).await?;
        let (tasks, files): (Vec<TableTask>, Vec<Oid>) = cut.into_iter().unzip();
        let files_now = self.files(&tasks).await?;
        let is_stale = |task: &TableTask| {
            let refused = found.get(&task.entry).and_then(|one| one.as_ref().err());
            refused.is_some_and(|error| error.kind() == Kind::Stale)
        };
        let moved = tasks.into_iter().zip(files.iter().zip(&files_now));
        let moved = moved.filter(|(task, (file, now))| Some(**file) != **now || is_stale(task));
        let moved: Vec<TableTask> = moved
            .map(|(task, _)| TableTask {
                heap_bytes: None,
                ..task
            })
            .collect();
        if !moved.is_empty() {
            for task in &moved {
                self.rereading.dump.observer.info(format!(
                    "table {} was rewritten while it was read: it is read again, by one session",
                    task.label
                ));
            }
            found.extend(self.rows(moved, Vec::new()).await?);
        }
        Ok(found)
    }

    async fn rows(
        &self,
        tables: Vec<TableTask>,
        large_objects: Vec<LargeObjectTask>,
    ) -> Result<Reread> {
        let dump = &self.rereading.dump;
        let work = Work::new(
            tables,
            large_objects,
            Vec::new(),
            &BTreeMap::new(),
            dump.options.jobs,
        );
        let Written {
            fingerprints,
            refused,
            ..
        } = dump
            .copy_rows(
                &self.rereading.config,
                Outlet::Nowhere,
                Arc::new(work),
                &self.snapshot,
                &self.leader,
            )
            .await?;
        let read = fingerprints
            .into_iter()
            .map(|(entry, one)| (entry, Ok(one)));
        let refused = refused.into_iter().map(|(entry, why)| (entry, Err(why)));
        Ok(read.chain(refused).collect())
    }

    /// The session that holds the snapshot.
    pub fn leader(&self) -> &Session {
        &self.leader
    }

    /// One more session on the snapshot.
    ///
    /// # Errors
    /// As a worker's of a dump.
    pub async fn session(&self) -> Result<Wire> {
        let Rereading { dump, config } = self.rereading;
        let config = config.pinned(self.leader.reached());
        let wire = open_in_a_moment(|| config.connect_wire());
        let mut wire = dump.unless_stopped(wire).await?;
        dump.watch(wire.canceller());
        session::begin_worker(&mut wire, &self.snapshot, dump.options).await?;
        Ok(wire)
    }

    /// Ends the reading: the snapshot must have held so far.
    ///
    /// # Errors
    /// When it was lost.
    pub async fn end(self) -> Result<()> {
        // Whatever was written otherwise is found to differ.
        self.rereading
            .dump
            .end(&self.leader, &RowForm::default())
            .await?;
        self.leader.close().await;
        Ok(())
    }

    /// Gives large tables the sizes that they have on this server. Those that can be cut, each with its file.
    async fn measure(&self, tables: &mut [TableTask]) -> Result<Vec<(TableTask, Oid)>> {
        for task in tables.iter_mut() {
            task.heap_bytes = None;
        }
        let mut large: Vec<&mut TableTask> = tables
            .iter_mut()
            .filter(|task| task.bytes >= MEASURED_BYTES && task.copy.can_be_cut())
            .collect();
        if large.is_empty() || !self.leader.server_version().at_least(14) {
            return Ok(Vec::new());
        }
        let names: Vec<Text<'_>> = large.iter().map(|task| (&task.sql_name).into()).collect();
        let sizes = format!("SELECT n.at, {SIZES}, {FILE} {FROM} {CAN_BE_CUT}");
        let client = self.leader.client();
        client.batch_execute(BEFORE_SIZES).await?;
        let rows = client.query(&sizes, &[&names]).await.map_err(Error::from);
        client.batch_execute(AFTER_SIZES).await?;
        let rows = match rows {
            // Then each is read by one session.
            Err(error) if is_locked_out(&error) => Vec::new(),
            rows => rows.context_with(|| "ask for the sizes of tables")?,
        };
        let mut cut = Vec::new();
        for row in rows {
            let at: i64 = row.try_get(0)?;
            let task = usize::try_from(at - 1)
                .ok()
                .and_then(|at| large.get_mut(at));
            let task = task.ok_or_else(unexpected)?;
            let (heap_bytes, bytes): (Option<i64>, Option<i64>) =
                (row.try_get(1)?, row.try_get(2)?);
            // None of one that is gone by now.
            if let (Some(heap_bytes), Some(bytes), Some(file)) =
                (heap_bytes, bytes, row.try_get(3)?)
            {
                task.bytes = bytes.unsigned_abs();
                task.heap_bytes = Some(heap_bytes.unsigned_abs());
                cut.push((task.clone(), file));
            }
        }
        Ok(cut)
    }

    /// The files of tables now, whatever the snapshot says; none of one that is gone.
    async fn files(&self, tables: &[TableTask]) -> Result<Vec<Option<Oid>>> {
        let mut files = vec![None; tables.len()];
        if tables.is_empty() {
            return Ok(files);
        }
        let names: Vec<Text<'_>> = tables.iter().map(|task| (&task.sql_name).into()).collect();
        let client = self.leader.client();
        let rows = client
            .query(&format!("SELECT n.at, {FILE} {FROM}"), &[&names])
            .await
            .context_with(|| "ask for the files of tables")?;
        for row in rows {
            let at: i64 = row.try_get(0)?;
            let file = usize::try_from(at - 1)
                .ok()
                .and_then(|at| files.get_mut(at));
            *file.ok_or_else(unexpected)? = row.try_get(1)?;
        }
        Ok(files)
    }
}

fn unexpected() -> Error {
    Error::new(Kind::Failed, "the server answered of other tables")
}

/// Smaller tables are not cut, however much larger a row may be in a table than in COPY.
const MEASURED_BYTES: u64 = 4 << 20;

/// Sizes are asked for behind a lock, for which nobody here needs to wait.
const BEFORE_SIZES: &str = "SAVEPOINT pgstow; SET LOCAL lock_timeout = '1s'";
const AFTER_SIZES: &str = "ROLLBACK TO SAVEPOINT pgstow; RELEASE SAVEPOINT pgstow";

/// The tables `$1`, each with its number from 1; no schema need be open to who asks.
const FROM: &str = "\
FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS n (name, at), \
LATERAL pg_catalog.parse_ident(n.name) AS p (parts) \
JOIN pg_catalog.pg_namespace s ON s.nspname = p.parts[1] \
JOIN pg_catalog.pg_class c ON c.relnamespace = s.oid AND c.relname = p.parts[2] \
LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam";

const SIZES: &str = "pg_catalog.pg_relation_size(c.oid), pg_catalog.pg_table_size(c.oid)";

const FILE: &str = "pg_catalog.pg_relation_filenode(c.oid)";

/// Ranges of pages are the heap's, and who may read some columns alone may not ask for a row's place. What somebody
/// has locked is left alone.
const CAN_BE_CUT: &str = "\
WHERE c.relkind = 'r' AND a.amname = 'heap' AND pg_catalog.has_table_privilege(c.oid, 'SELECT') \
AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks l \
JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = pg_catalog.current_database() \
WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.relation = c.oid)";
