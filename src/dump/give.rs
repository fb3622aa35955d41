//! Reads a database for a restore that loads its rows as they are read; and reads rows once more,
//! where they were loaded, only to fingerprint them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::archive::{Codec, Entry, EntryId, Fingerprint, Listing};
use crate::catalog::RowForm;
use crate::connect::{Config, Session, Text, open_in_a_moment};
use crate::error::{Context, Error, Kind, Result};
use crate::relay::{Item, Offer, Room};
use crate::report::Observer;
use crate::task::blocking;

use super::conductor::{Dump, Listed, TakeEntries};
use super::entries::{Contents, LargeObjectTask, TableTask};
use super::outlet::Outlet;
use super::pipeline::Written;
use super::work::Work;
use super::{DumpOptions, session};

/// What was read of a source.
pub(crate) struct Given {
    /// Bytes of COPY data.
    pub raw_bytes: u64,
    /// What was read, by entry.
    pub fingerprints: BTreeMap<EntryId, Fingerprint>,
    /// How to read the same again.
    pub again: Again,
}

/// What is read again.
#[derive(Default)]
pub(crate) struct Again {
    tables: Vec<TableTask>,
    large_objects: Vec<LargeObjectTask>,
}

impl Again {
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

/// Offers what the database of `config` has, and when that is accepted, gives it.
///
/// None when the target went away without wanting anything. Where they share a server, a session is kept for the
/// source while the target opens its own.
///
/// # Errors
/// As a dump. [`Kind::Interrupted`] also when the target went away while it was given rows.
pub(crate) async fn give(
    config: &Config,
    options: &DumpOptions,
    observer: Arc<dyn Observer>,
    cancel: &CancellationToken,
    offered: oneshot::Sender<Offer>,
    room: Room,
) -> Result<Option<Given>> {
    let dump = Dump::new("copy", config, options, observer);
    dump.unless(cancel, dump.give(offered, room)).await
}

impl Dump<'_> {
    async fn give(&self, offered: oneshot::Sender<Offer>, room: Room) -> Result<Option<Given>> {
        self.phase("connect", None);
        let config = self.sessions();
        let Listed {
            leader,
            snapshot,
            manifest,
            globals,
            contents,
        } = self.list(&config, |_| empty()).await?;
        let (listing, contents) = contents.unwrap_or_else(|| (empty(), Contents::default()));
        let Contents {
            mut tables,
            mut large_objects,
            mut statistics,
            row_form,
            ..
        } = contents;
        let bytes = tables.iter().map(|task| (task.entry, task.bytes)).collect();
        let mut first = listing.rows_first().clone();
        let entries = blocking(move || listing.into_entries()).await?;
        let globals = globals.map(|globals| globals.entries);
        let (mut offer, asked) = Offer::new(manifest, entries, globals, bytes);
        offer.room = room;
        // The target opens all of its sessions before it says what it wants, and may leave no room for any that
        // reads: nothing could be copied then.
        let kept = match room {
            Room::OfServer | Room::OfRole if !(tables.is_empty() && large_objects.is_empty()) => {
                let same_server = config.pinned(leader.reached());
                let opening = open_in_a_moment(|| same_server.connect_wire());
                Some(self.unless_stopped(opening).await?)
            }
            Room::Own | Room::OfServer | Room::OfRole => None,
        };
        // Whoever does not wait for it any more does not want it either.
        drop(offered.send(offer));
        let asked = tokio::select! {
            wanted = asked.wanted() => wanted,
            error = lost(&leader) => return Err(error),
        };
        if let Some(kept) = kept {
            kept.close().await;
        }
        let Some((wanted, giver)) = asked else {
            leader.close().await;
            return Ok(None);
        };
        tables.retain(|task| wanted.contains(&task.entry));
        large_objects.retain(|task| wanted.contains(&task.entry));
        statistics.retain(|task| wanted.contains(&task.entry));
        first
            .values_mut()
            .for_each(|of| of.retain(|id| wanted.contains(id)));
        first.retain(|_, of| !of.is_empty());
        let again = Again {
            // Rows of a foreign table are somewhere else.
            tables: tables
                .iter()
                .filter(|task| !task.copy.is_foreign)
                .cloned()
                .collect(),
            large_objects: large_objects.clone(),
        };

        let work = Arc::new(Work::new(
            tables,
            large_objects,
            statistics,
            &first,
            self.options.jobs,
        ));
        let outlet = Outlet::Relay(giver);
        let copied = self.copy_rows(&config, outlet, Arc::clone(&work), &snapshot, &leader);
        let written = tokio::select! {
            written = copied => written?,
            error = lost(&leader) => {
                self.end_work().await;
                return Err(error);
            }
        };
        work.unread.warn(&*self.observer);
        self.end(&leader, &row_form).await?;
        if let Outlet::Relay(giver) = written.outlet {
            giver.send(Item::End).await?;
        }
        leader.close().await;
        Ok(Some(Given {
            raw_bytes: written.raw_bytes,
            fingerprints: written.fingerprints,
            again,
        }))
    }

    async fn read_again(&self, again: Again) -> Result<BTreeMap<EntryId, Fingerprint>> {
        let config = self.sessions();
        let leader = open_in_a_moment(|| config.connect());
        let leader = self.unless_stopped(leader).await?;
        self.watch(leader.canceller());
        let snapshot = session::begin_leader(&leader, self.options, &*self.observer).await?;
        let Again {
            mut tables,
            large_objects,
        } = again;
        measure_again(&leader, &mut tables).await?;
        let work = Work::new(
            tables,
            large_objects,
            Vec::new(),
            &BTreeMap::new(),
            self.options.jobs,
        );
        let Written { fingerprints, .. } = self
            .copy_rows(&config, Outlet::Nowhere, Arc::new(work), &snapshot, &leader)
            .await?;
        // Whatever was written otherwise is found to differ.
        self.end(&leader, &RowForm::default()).await?;
        leader.close().await;
        Ok(fingerprints)
    }
}

/// Keeps entries small, until what they were made of is gone. What is not written is not worth more than the
/// quickest compression.
fn empty() -> Listing {
    Listing::new(Codec::Zstd(1), "")
}

impl TakeEntries for Listing {
    fn take(&mut self, entry: Entry) -> Result<()> {
        self.push(&entry)
    }
}

/// How often it is looked whether the leader is still there.
const LOOKING: Duration = Duration::from_secs(1);

/// Waits until the leader's connection is lost, and with it the snapshot and the locks. Sessions that
/// read notice nothing as long as the target takes no rows.
async fn lost(leader: &Session) -> Error {
    while !leader.client().is_closed() {
        tokio::time::sleep(LOOKING).await;
    }
    Error::new(
        Kind::ConnectionLost,
        "the session that held the snapshot and the locks was lost",
    )
}

/// The fingerprints of rows where they are now.
///
/// # Errors
/// As a dump.
pub(crate) async fn read_again(
    config: &Config,
    again: Again,
    options: &DumpOptions,
    observer: Arc<dyn Observer>,
    cancel: &CancellationToken,
) -> Result<BTreeMap<EntryId, Fingerprint>> {
    let dump = Dump::new("verify", config, options, observer);
    dump.unless(cancel, dump.read_again(again)).await
}

/// Gives tables the sizes that they have on this server.
async fn measure_again(leader: &Session, tables: &mut [TableTask]) -> Result<()> {
    let names: Vec<Text<'_>> = tables.iter().map(|task| (&task.sql_name).into()).collect();
    let rows = leader
        .client()
        .query(
            "SELECT n.at, pg_catalog.pg_relation_size(c.oid), pg_catalog.pg_table_size(c.oid), \
             coalesce(a.amname = 'heap', false) \
             FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS n (name, at) \
             JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(n.name) \
             LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam",
            &[&names],
        )
        .await
        .context_with(|| "ask for the sizes of tables")?;
    let has_tid_scans = leader.server_version().at_least(14);
    for task in tables.iter_mut() {
        task.heap_bytes = None;
    }
    for row in rows {
        let at: i64 = row.try_get(0)?;
        let heap_bytes: i64 = row.try_get(1)?;
        let bytes: i64 = row.try_get(2)?;
        let is_heap: bool = row.try_get(3)?;
        let task = usize::try_from(at - 1)
            .ok()
            .and_then(|at| tables.get_mut(at))
            .ok_or_else(|| Error::new(Kind::Failed, "the server gave sizes of something else"))?;
        task.bytes = bytes.unsigned_abs();
        if has_tid_scans && is_heap && task.copy.can_be_cut() {
            task.heap_bytes = Some(heap_bytes.unsigned_abs());
        }
    }
    Ok(())
}
