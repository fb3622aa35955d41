//! Rows on their way from one database straight into another, without an archive in between.
//!
//! Why it exists: `dump` and `restore` do not know each other. What both know is here: an [`Offer`]
//! of what a source has, and frames that follow once the target says which it wants.
//!
//! What it promises: rows are handed over as they were read, neither copied nor packed; each frame
//! brings its share of the source's memory budget along and gives it back when it is dropped, so
//! that a slow target slows the source down; frames of an entry come after the completion of
//! those entries that [`rows_first`](crate::archive::rows_first) puts before it; an end without
//! [`Item::End`] is a source that failed.
//!
//! What it leaves to others: reading (`dump`), loading (`restore`), and putting the two together
//! (`ops`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot};

use crate::archive::{Entry, EntryId, Manifest, RawFrame};
use crate::error::{Error, Kind, Result};
use crate::task::Permit;

/// Emptied buffers of frames, which the source fills again.
pub type Buffers = Arc<Mutex<Vec<Vec<u8>>>>;

/// Items under way at once; the bound that matters is the frames' share of memory.
const ITEMS: usize = 64;

/// One thing that comes from the source.
#[derive(Debug)]
pub enum Item {
    /// Rows of one entry.
    Frame {
        /// The rows.
        frame: RawFrame,
        /// What they take of the memory budget.
        permit: Permit,
    },
    /// All frames of an entry have come.
    Complete {
        /// The entry.
        entry: EntryId,
        /// Number of its frames.
        frames: u64,
    },
    /// Everything that was wanted has come, and the source's snapshot held until now.
    End,
}

/// Whose room for sessions the two ends take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// Each has a server of its own.
    #[default]
    Own,
    /// Both are on one server: what the target takes, the source has not.
    OfServer,
    /// And both log in as the same role, so that every limit is one of both.
    OfRole,
}

/// What a source has, told before any row is read.
#[derive(Debug)]
pub struct Offer {
    /// What an archive would say of itself.
    pub manifest: Manifest,
    /// What an archive would list.
    pub entries: Vec<Entry>,
    /// Roles, tablespaces and the like, if they were asked for.
    pub globals: Option<Vec<Entry>>,
    /// About how many bytes the rows of an entry have.
    pub bytes: BTreeMap<EntryId, u64>,
    /// Whether source and target are on one server.
    pub room: Room,
    /// Where buffers go when their rows are loaded.
    pub buffers: Buffers,
    wanted: oneshot::Sender<BTreeSet<EntryId>>,
    items: mpsc::Receiver<Item>,
}

/// The source's end, until it is known what is wanted.
#[derive(Debug)]
pub struct Asked {
    wanted: oneshot::Receiver<BTreeSet<EntryId>>,
    giver: Giver,
}

/// The source's end.
#[derive(Debug)]
pub struct Giver {
    /// Buffers whose rows are loaded.
    pub buffers: Buffers,
    items: mpsc::Sender<Item>,
}

/// The target's end.
#[derive(Debug)]
pub struct Taker {
    items: mpsc::Receiver<Item>,
}

impl Offer {
    /// An offer, and the end that keeps it.
    pub fn new(
        manifest: Manifest,
        entries: Vec<Entry>,
        globals: Option<Vec<Entry>>,
        bytes: BTreeMap<EntryId, u64>,
    ) -> (Self, Asked) {
        let (wanted, asked) = oneshot::channel();
        let (sender, items) = mpsc::channel(ITEMS);
        let buffers = Buffers::default();
        let offer = Self {
            manifest,
            entries,
            globals,
            bytes,
            room: Room::default(),
            buffers: Arc::clone(&buffers),
            wanted,
            items,
        };
        let giver = Giver {
            buffers,
            items: sender,
        };
        let asked = Asked {
            wanted: asked,
            giver,
        };
        (offer, asked)
    }

    /// Has the source read the data of these entries. If the source has failed, that shows when
    /// the first item is taken.
    pub fn accept(self, wanted: BTreeSet<EntryId>) -> Taker {
        let _ = self.wanted.send(wanted);
        Taker { items: self.items }
    }
}

impl Asked {
    /// Waits until the target says which data it wants; none when it went away and wants nothing.
    pub async fn wanted(self) -> Option<(BTreeSet<EntryId>, Giver)> {
        Some((self.wanted.await.ok()?, self.giver))
    }
}

impl Giver {
    /// Hands an item on, as soon as there is room.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] when the target has gone, for a reason that it tells itself.
    pub async fn send(&self, item: Item) -> Result<()> {
        let gone = |_| Error::new(Kind::Interrupted, "the target takes no more rows");
        self.items.send(item).await.map_err(gone)
    }
}

impl Taker {
    /// The next item; [`Item::End`] is the last.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] when the source has gone, for a reason that it tells itself.
    pub async fn next(&mut self) -> Result<Item> {
        let gone = || Error::new(Kind::Interrupted, "the source gives no more rows");
        self.items.recv().await.ok_or_else(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{ArchiveId, Codec, Timestamp};

    fn offer() -> (Offer, Asked) {
        let id = ArchiveId::random().unwrap();
        let manifest = Manifest::new(id, Timestamp::now(), Codec::None);
        Offer::new(manifest, Vec::new(), None, BTreeMap::new())
    }

    #[tokio::test]
    async fn an_end_that_was_not_said_is_a_failure() {
        let (offer, asked) = offer();
        let mut taker = offer.accept(BTreeSet::from([3]));
        let (wanted, giver) = asked.wanted().await.unwrap();
        assert_eq!(wanted, BTreeSet::from([3]));
        let complete = Item::Complete {
            entry: 3,
            frames: 0,
        };
        giver.send(complete).await.unwrap();
        drop(giver);
        assert!(matches!(
            taker.next().await.unwrap(),
            Item::Complete { entry: 3, .. }
        ));
        assert_eq!(taker.next().await.unwrap_err().kind(), Kind::Interrupted);
    }

    #[tokio::test]
    async fn who_wants_nothing_is_not_waited_for() {
        let (offer, asked) = offer();
        drop(offer);
        assert!(asked.wanted().await.is_none());
        let (offer, asked) = self::offer();
        let taker = offer.accept(BTreeSet::new());
        let (_, giver) = asked.wanted().await.unwrap();
        drop(taker);
        let error = giver.send(Item::End).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Interrupted);
    }
}
