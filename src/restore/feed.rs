//! Where frames come from: a file at any offset, a pipe or another database as they come.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::frame::{ReadyFrame, Unpacker};
use super::journal::Unit;
use super::shared::Shared;
use super::worker::Report;
use crate::archive::{
    Archive, EntryId, FrameIndex, RawFrame, StoredFrame, StreamItem, StreamReader,
};
use crate::error::{Error, Kind, Result};
use crate::plan::StepId;
use crate::relay::{Item, Taker};
use crate::task::{ByteBudget, Permit};

/// What the coordinator waits for.
pub(super) enum Happening {
    /// A session is free again.
    Worked { worker: usize, report: Report },
    /// Frames were read, checked and unpacked; or could not be.
    Unpacked(Result<Vec<ReadyFrame>>),
    /// The pipe holds no more frames of an entry: so many have come.
    Complete { entry: EntryId, frames: u64 },
    /// The pipe has ended, whole.
    End,
    /// The pipe failed.
    Broken(Error),
}

/// A frame of at most so many bytes is small: it is read and loaded together with others.
pub(super) const SMALL_BYTES: u64 = 64 << 10;
/// Most small frames that are read together, and that are loaded in one transaction: each table
/// takes a place in the server's lock table.
pub(super) const SMALL_FRAMES: usize = 64;

/// A stream of any kind.
pub(super) type Stream = Box<dyn AsyncRead + Send + Unpin>;

/// Gives frames.
pub(super) enum Feed {
    File(FileFeed),
    Pipe(PipeFeed),
}

impl Feed {
    /// Reads no further.
    pub(super) fn stop(&mut self) {
        match self {
            Self::File(feed) => feed.tasks.abort_all(),
            Self::Pipe(feed) => feed.reader.abort_all(),
        }
    }
}

/// What both kinds need.
#[derive(Clone)]
pub(super) struct Conveyor {
    pub(super) shared: Arc<Shared>,
    pub(super) unpacker: Arc<Unpacker>,
    pub(super) budget: ByteBudget,
    pub(super) happenings: mpsc::UnboundedSender<Happening>,
}

impl Conveyor {
    /// Unpacks frames on a blocking thread.
    async fn unpack(&self, stored: Vec<StoredFrame>, permit: Permit) -> Result<Vec<ReadyFrame>> {
        let (shared, unpacker) = (Arc::clone(&self.shared), Arc::clone(&self.unpacker));
        let permit = Arc::new(permit);
        let with_buffer = |stored: StoredFrame| {
            let buffer = unpacker.buffer(stored.raw_bytes);
            (stored, buffer)
        };
        let stored: Vec<_> = stored.into_iter().map(with_buffer).collect();
        let unpacked = tokio::task::spawn_blocking(move || {
            let unpack = |(stored, buffer): (StoredFrame, Vec<u8>)| {
                let entry = shared
                    .entry(stored.entry)
                    .ok_or_else(|| Error::new(Kind::Archive, "a frame of an unknown entry"))?;
                let (rows, payload) = unpacker.unpack(&stored, entry, buffer)?;
                Ok(ReadyFrame {
                    entry: stored.entry,
                    unit: Unit::frame(stored.entry, stored.chunk, stored.frame),
                    rows,
                    payload,
                    _permit: Arc::clone(&permit),
                })
            };
            stored.into_iter().map(unpack).collect()
        });
        unpacked.await.unwrap_or_else(|error| {
            Err(Error::new(Kind::Failed, format!("unpack a frame: {error}")).with_source(error))
        })
    }

    /// Makes a frame of rows that came as they are.
    fn unpacked(&self, frame: RawFrame, permit: Permit) -> Result<ReadyFrame> {
        let entry = self
            .shared
            .entry(frame.entry)
            .ok_or_else(|| Error::new(Kind::Failed, "a frame of an unknown entry"))?;
        let (rows, payload) = self.unpacker.payload(entry, frame.raw, Some(frame.rows))?;
        Ok(ReadyFrame {
            entry: entry.id,
            unit: Unit::frame(frame.entry, frame.chunk, frame.frame),
            rows,
            payload,
            _permit: Arc::new(permit),
        })
    }

    /// Whether an earlier run has loaded a frame.
    fn has_loaded(&self, unit: Unit) -> bool {
        let journal = self.shared.journal.as_ref();
        journal.is_some_and(|journal| journal.has(unit))
    }

    fn say(&self, happening: Happening) {
        // Nobody listens any more when the run has ended.
        let _ = self.happenings.send(happening);
    }
}

/// Frames of a seekable archive: those of the table with the most work left, loading it and what waits
/// for that, are read first, a few ahead of the sessions.
pub(super) struct FileFeed {
    archive: Arc<Archive>,
    conveyor: Conveyor,
    tasks: JoinSet<()>,
    sessions: usize,
    open: BTreeMap<EntryId, Open>,
    by_urgency: BTreeSet<(Reverse<u64>, EntryId)>,
    /// Entries whose next frame is in a pack, and the pack from which frames were taken last: what else
    /// is wanted of it comes before other small frames, so that it is unpacked once.
    by_pack: BTreeMap<u32, BTreeSet<EntryId>>,
    last_pack: Option<u32>,
}

/// Rows that may be loaded and are not read yet.
struct Open {
    frames: VecDeque<FrameIndex>,
    /// Their bytes.
    left: u64,
    /// The step that loads them.
    step: StepId,
}

impl Open {
    /// The pack that the next frame is in.
    fn pack(&self) -> Option<u32> {
        self.frames.front()?.pack
    }
}

impl FileFeed {
    pub(super) fn new(archive: Arc<Archive>, conveyor: Conveyor, sessions: usize) -> Self {
        Self {
            archive,
            conveyor,
            tasks: JoinSet::new(),
            sessions,
            open: BTreeMap::new(),
            by_urgency: BTreeSet::new(),
            by_pack: BTreeMap::new(),
            last_pack: None,
        }
    }

    /// The rows of an entry may be loaded, for a step; how many frames there are, with those that are
    /// loaded already.
    pub(super) fn begin(&mut self, entry: EntryId, step: StepId) -> Result<u64> {
        let table = self.archive.table(entry).ok_or_else(|| {
            Error::new(
                Kind::Archive,
                format!("the index knows nothing of entry {entry}, which has data"),
            )
        })?;
        let is_left = |frame: &&FrameIndex| {
            let unit = Unit::frame(frame.entry, frame.chunk, frame.frame);
            !self.conveyor.has_loaded(unit)
        };
        let frames: VecDeque<FrameIndex> = table.frames.iter().filter(is_left).cloned().collect();
        let all = table.frames.len() as u64;
        if !frames.is_empty() {
            let left = frames.iter().map(|frame| frame.raw_bytes).sum();
            self.put(entry, Open { frames, left, step });
        }
        Ok(all)
    }

    /// How much work there is with the rows that a step loads, as far as they are not read yet, and with what
    /// waits for them.
    pub(super) fn urgency(&self, entry: EntryId, step: StepId) -> u64 {
        let left = self.open.get(&entry).map_or(0, |open| open.left);
        self.urgency_of(step, left)
    }

    fn urgency_of(&self, step: StepId, left: u64) -> u64 {
        let step = self.conveyor.shared.step(step);
        step.map_or(left, |step| step.urgency(left, self.sessions))
    }

    fn put(&mut self, entry: EntryId, open: Open) {
        self.by_urgency
            .insert((Reverse(self.urgency_of(open.step, open.left)), entry));
        if let Some(pack) = open.pack() {
            self.by_pack.entry(pack).or_default().insert(entry);
        }
        self.open.insert(entry, open);
    }

    fn take(&mut self, entry: EntryId) -> Option<Open> {
        let open = self.open.remove(&entry)?;
        self.by_urgency
            .remove(&(Reverse(self.urgency_of(open.step, open.left)), entry));
        if let Some(pack) = open.pack()
            && let Some(entries) = self.by_pack.get_mut(&pack)
        {
            entries.remove(&entry);
            if entries.is_empty() {
                self.by_pack.remove(&pack);
            }
        }
        Some(open)
    }

    /// No more frames of an entry are wanted.
    pub(super) fn give_up(&mut self, entry: EntryId) {
        self.take(entry);
    }

    fn next(&mut self) -> Option<FrameIndex> {
        let &(_, entry) = self.by_urgency.first()?;
        self.next_of(entry)
    }

    fn next_of(&mut self, entry: EntryId) -> Option<FrameIndex> {
        let mut open = self.take(entry)?;
        let frame = open.frames.pop_front()?;
        if !open.frames.is_empty() {
            open.left = open.left.saturating_sub(frame.raw_bytes);
            self.put(entry, open);
        }
        Some(frame)
    }

    /// The next frame; if that is small, others that are.
    fn next_group(&mut self) -> Vec<FrameIndex> {
        let first = self.by_urgency.first();
        let first = first.and_then(|(_, entry)| self.open.get(entry)?.pack());
        if let Some(pack) = first {
            return self.next_packed(pack);
        }
        let mut group: Vec<FrameIndex> = self.next().into_iter().collect();
        let is_small = |frame: &FrameIndex| frame.raw_bytes <= SMALL_BYTES;
        if !group.iter().all(is_small) {
            return group;
        }
        while group.len() < SMALL_FRAMES {
            // What is left of the next table is at least its next frame.
            let next = self.by_urgency.first();
            let next = next.and_then(|(_, entry)| self.open.get(entry));
            match next {
                Some(open) if open.left <= SMALL_BYTES && open.pack().is_none() => {
                    group.extend(self.next());
                }
                _ => break,
            }
        }
        group
    }

    /// Frames out of packs, when one of `pack` is the next: of the pack that was taken from last, and then of this one.
    fn next_packed(&mut self, pack: u32) -> Vec<FrameIndex> {
        let mut group = Vec::new();
        for pack in self.last_pack.into_iter().chain([pack]) {
            while group.len() < SMALL_FRAMES
                && let Some(entry) = self.by_pack.get(&pack).and_then(BTreeSet::first).copied()
                && let Some(frame) = self.next_of(entry)
            {
                self.last_pack = Some(pack);
                group.push(frame);
            }
        }
        group
    }

    /// Reads on as long as there is little under way; `waiting` groups of frames are ready.
    pub(super) fn pump(&mut self, waiting: usize) {
        while self.tasks.try_join_next().is_some() {}
        // As many as sessions load, as many more for when these are done, and one.
        while self.tasks.len() + waiting < 2 * self.sessions + 1 {
            let group = self.next_group();
            if group.is_empty() {
                return;
            }
            let (archive, conveyor) = (Arc::clone(&self.archive), self.conveyor.clone());
            self.tasks.spawn(async move {
                let unpacked = async {
                    let sizes = group.iter();
                    let sizes =
                        sizes.map(|frame| frame.raw_bytes.saturating_add(frame.stored_bytes));
                    let bytes = sizes.fold(0, u64::saturating_add);
                    let permit = conveyor.budget.acquire(bytes).await?;
                    let mut stored = Vec::with_capacity(group.len());
                    for frame in &group {
                        stored.push(archive.read_frame(frame).await?);
                    }
                    conveyor.unpack(stored, permit).await
                };
                let unpacked = unpacked.await;
                conveyor.say(Happening::Unpacked(unpacked));
            });
        }
    }
}

/// Frames of a pipe or of another database, read as fast as the memory budget lets them.
pub(super) struct PipeFeed {
    reader: JoinSet<()>,
}

impl PipeFeed {
    /// Starts to read; frames of entries that are not in `wanted` are checked and dropped.
    pub(super) fn new(
        reader: StreamReader<Stream>,
        conveyor: Conveyor,
        wanted: BTreeSet<EntryId>,
    ) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let happening = match read_pipe(reader, &conveyor, &wanted).await {
                Ok(()) => Happening::End,
                Err(error) => Happening::Broken(error),
            };
            conveyor.say(happening);
        });
        Self { reader: tasks }
    }

    /// Starts to take what another database gives.
    pub(super) fn of_relay(mut taker: Taker, conveyor: Conveyor) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let happening = match taker.next().await {
                    Ok(Item::Frame { frame, permit }) => {
                        let unpacked = conveyor.unpacked(frame, permit);
                        Happening::Unpacked(unpacked.map(|frame| vec![frame]))
                    }
                    Ok(Item::Complete { entry, frames }) => Happening::Complete { entry, frames },
                    Ok(Item::End) => Happening::End,
                    Err(error) => Happening::Broken(error),
                };
                let is_last = matches!(happening, Happening::End | Happening::Broken(_));
                conveyor.say(happening);
                if is_last {
                    return;
                }
            }
        });
        Self { reader: tasks }
    }
}

async fn read_pipe(
    mut reader: StreamReader<Stream>,
    conveyor: &Conveyor,
    wanted: &BTreeSet<EntryId>,
) -> Result<()> {
    let mut unpacking = JoinSet::new();
    let mut ended = false;
    while let Some(item) = reader.next().await? {
        while unpacking.try_join_next().is_some() {}
        match item {
            StreamItem::Frame(stored)
                if wanted.contains(&stored.entry)
                    && !conveyor.has_loaded(Unit::frame(
                        stored.entry,
                        stored.chunk,
                        stored.frame,
                    )) =>
            {
                let bytes = stored.raw_bytes.saturating_add(stored.stored.len() as u64);
                let permit = conveyor.budget.acquire(bytes).await?;
                let conveyor = conveyor.clone();
                unpacking.spawn(async move {
                    let unpacked = conveyor.unpack(vec![stored], permit).await;
                    conveyor.say(Happening::Unpacked(unpacked));
                });
            }
            StreamItem::Complete(end) if wanted.contains(&end.entry) => {
                conveyor.say(Happening::Complete {
                    entry: end.entry,
                    frames: end.frames,
                });
            }
            StreamItem::Frame(_) | StreamItem::Complete(_) => {}
            StreamItem::End(_) => ended = true,
        }
    }
    while unpacking.join_next().await.is_some() {}
    if !ended {
        return Err(Error::new(
            Kind::Archive,
            "the archive from the pipe has no end",
        ));
    }
    Ok(())
}
