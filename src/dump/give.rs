//! Reads a database for a restore that loads its rows as they are read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::archive::{Codec, Entry, EntryId, Fingerprint, Listing};
use crate::connect::{Config, Session, open_in_a_moment};
use crate::error::{Error, Kind, Result};
use crate::relay::{Item, Offer, Room};
use crate::report::Observer;
use crate::task::blocking;

use super::DumpOptions;
use super::again::Again;
use super::conductor::{Dump, Listed, TakeEntries};
use super::entries::Contents;
use super::outlet::Outlet;
use super::work::Work;

/// What was read of a source.
pub(crate) struct Given {
    /// Bytes of COPY data.
    pub raw_bytes: u64,
    /// What was read, by entry.
    pub fingerprints: BTreeMap<EntryId, Fingerprint>,
    /// How to read the same again.
    pub again: Again,
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
        // Rows of a foreign table are somewhere else.
        let own = tables.iter().filter(|task| !task.copy.is_foreign);
        let again = Again::new(own.cloned().collect(), large_objects.clone());

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
