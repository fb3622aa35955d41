//! The ledger: which members an archive has, where, and with which digests. The writer fills it
//! as it writes, a reader of a pipe as it reads, and everyone else from the index.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use super::codec::Codec;
use super::digest::hex;
use super::entry::{Entry, EntryId};
use super::frame::FRAME_MAX;
use super::index::FrameIndex;
use super::names;
use super::tar;
use crate::error::{Error, Kind, Result};

/// A member that is no frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub name: String,
    /// Where its content begins.
    pub offset: u64,
    pub stored_bytes: u64,
    pub raw_bytes: u64,
    pub sha256: [u8; 32],
}

/// One member, of either sort.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item<'a> {
    Member(&'a Member),
    Frame(&'a FrameIndex),
}

impl Item<'_> {
    pub(super) fn offset(&self) -> u64 {
        match self {
            Self::Member(member) => member.offset,
            Self::Frame(frame) => frame.offset,
        }
    }

    pub(super) fn stored_bytes(&self) -> u64 {
        match self {
            Self::Member(member) => member.stored_bytes,
            Self::Frame(frame) => frame.stored_bytes,
        }
    }

    pub(super) fn sha256(&self) -> &[u8; 32] {
        match self {
            Self::Member(member) => &member.sha256,
            Self::Frame(frame) => &frame.sha256,
        }
    }
}

/// All members so far, in the order of the archive.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    members: Vec<Member>,
    frames: Vec<FrameIndex>,
    seen: HashSet<String>,
    position: u64,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// A ledger of these members and frames, whose offsets are known to be right.
    pub(super) fn of(members: Vec<Member>, mut frames: Vec<FrameIndex>) -> Self {
        frames.sort_unstable_by_key(|frame| frame.offset);
        Self {
            members,
            frames,
            ..Self::default()
        }
    }

    /// Adds a member of which the trailer says where it is.
    pub(super) fn append_known(&mut self, name: String, offset: u64, bytes: u64, sha256: [u8; 32]) {
        self.members.push(Member {
            name,
            offset,
            stored_bytes: bytes,
            raw_bytes: bytes,
            sha256,
        });
    }

    /// Number of members.
    pub(super) fn len(&self) -> u64 {
        (self.members.len() + self.frames.len()) as u64
    }

    /// Where the next member's header begins.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The members that are no frames.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The frames.
    pub(super) fn frames(&self) -> &[FrameIndex] {
        &self.frames
    }

    /// The frames, of which the ledger then knows nothing more.
    pub(super) fn take_frames(&mut self) -> Vec<FrameIndex> {
        std::mem::take(&mut self.frames)
    }

    /// A member by its name.
    pub(super) fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// Adds a member behind the others; returns where its content begins.
    ///
    /// # Errors
    /// [`Kind::Archive`] when its name was there before or is none that is allowed.
    pub(super) fn push_member(
        &mut self,
        name: String,
        stored_bytes: u64,
        raw_bytes: u64,
        sha256: [u8; 32],
    ) -> Result<u64> {
        if !names::is_safe(&name) {
            return Err(Error::new(
                Kind::Archive,
                format!("the member name {name:?} is not allowed"),
            ));
        }
        if !self.seen.insert(name.clone()) {
            return Err(Error::new(
                Kind::Archive,
                format!("the member {name} is there twice"),
            ));
        }
        let offset = self.advance(stored_bytes)?;
        self.members.push(Member {
            name,
            offset,
            stored_bytes,
            raw_bytes,
            sha256,
        });
        Ok(offset)
    }

    /// Adds a frame behind the others; returns where its content begins, whatever its `offset`
    /// says. That no frame is there twice shows when they are added up.
    ///
    /// # Errors
    /// [`Kind::Archive`] when its size is nonsense.
    pub(super) fn push_frame(&mut self, frame: FrameIndex) -> Result<u64> {
        if frame.stored_bytes > FRAME_MAX || frame.raw_bytes > FRAME_MAX {
            return Err(Error::new(Kind::Archive, "a frame is larger than 4 GiB"));
        }
        let offset = self.advance(frame.stored_bytes)?;
        self.frames.push(FrameIndex { offset, ..frame });
        Ok(offset)
    }

    fn advance(&mut self, stored_bytes: u64) -> Result<u64> {
        let offset = self.position.checked_add(tar::header_bytes(stored_bytes));
        let end = offset
            .and_then(|offset| offset.checked_add(stored_bytes))
            .and_then(|end| end.checked_add(tar::padding(stored_bytes) as u64));
        match (offset, end) {
            (Some(offset), Some(end)) => {
                self.position = end;
                Ok(offset)
            }
            _ => Err(Error::new(Kind::Archive, "a member's size is nonsense")),
        }
    }

    /// All members in the order of the archive.
    pub(super) fn in_order(&self) -> impl Iterator<Item = Item<'_>> {
        let mut members = self.members.iter().peekable();
        let mut frames = self.frames.iter().peekable();
        std::iter::from_fn(move || match (members.peek(), frames.peek()) {
            (Some(member), Some(frame)) if member.offset > frame.offset => {
                frames.next().map(Item::Frame)
            }
            (Some(_), _) => members.next().map(Item::Member),
            (None, _) => frames.next().map(Item::Frame),
        })
    }

    /// The content of SHA256SUMS.
    pub(super) fn sums(&self, names: &DataNames) -> Result<Vec<u8>> {
        let mut text = String::new();
        for item in self.in_order() {
            let digest = hex(item.sha256());
            // Writing to a String cannot fail.
            let _ = match item {
                Item::Member(member) => writeln!(text, "{digest}  {}", member.name),
                Item::Frame(frame) => writeln!(text, "{digest}  {}", names.frame(frame)?),
            };
        }
        Ok(text.into_bytes())
    }
}

/// The names of the entries' members.
#[derive(Clone, Debug)]
pub(super) struct DataNames {
    directories: BTreeMap<EntryId, (String, &'static str, String)>,
    codec: Codec,
}

impl DataNames {
    pub(super) fn new(entries: &[Entry], codec: Codec) -> Self {
        let mut names = Self {
            directories: BTreeMap::new(),
            codec,
        };
        entries.iter().for_each(|entry| names.take(entry));
        names
    }

    /// Takes an entry, which has names only if it has data.
    pub(super) fn take(&mut self, entry: &Entry) {
        if let Some(sort) = names::sort_of(entry) {
            let of_entry = (names::directory(entry), sort, entry.describe());
            self.directories.insert(entry.id, of_entry);
        }
    }

    fn get(&self, entry: EntryId) -> Result<&(String, &'static str, String)> {
        self.directories.get(&entry).ok_or_else(|| {
            Error::new(
                Kind::Archive,
                format!("entry {entry} has no data in the table of contents"),
            )
        })
    }

    /// The name of a frame.
    pub(super) fn frame(&self, frame: &FrameIndex) -> Result<String> {
        let (directory, sort, _) = self.get(frame.entry)?;
        let FrameIndex {
            chunk,
            frame: number,
            sha256,
            ..
        } = frame;
        let codec = match frame.pack {
            Some(_) => Codec::None,
            None => self.codec,
        };
        Ok(names::frame(
            directory, *chunk, *number, sha256, sort, codec,
        ))
    }

    /// The name of an entry's only frame in a pack.
    ///
    /// # Errors
    /// [`Kind::Archive`] when the entry is no table, and has no place there.
    pub(super) fn frame_in_pack(&self, entry: EntryId, sha256: &[u8; 32]) -> Result<String> {
        let (directory, sort) = self.get_table(entry)?;
        Ok(names::frame(directory, 0, 0, sha256, sort, Codec::None))
    }

    /// The name of what follows it there.
    ///
    /// # Errors
    /// As [`frame_in_pack`](Self::frame_in_pack).
    pub(super) fn complete_in_pack(&self, entry: EntryId) -> Result<String> {
        let (directory, _) = self.get_table(entry)?;
        Ok(names::complete(directory))
    }

    fn get_table(&self, entry: EntryId) -> Result<(&str, &'static str)> {
        match self.get(entry)? {
            (directory, sort, _) if directory.starts_with("data/") => Ok((directory, sort)),
            (_, _, name) => Err(Error::new(
                Kind::Archive,
                format!("{name}: only rows of tables are in packs"),
            )),
        }
    }

    /// The name of the member that ends an entry's frames.
    pub(super) fn complete(&self, entry: EntryId) -> Result<String> {
        let (directory, ..) = self.get(entry)?;
        Ok(names::complete(directory))
    }

    /// The entry as messages name it.
    pub(super) fn describe(&self, entry: EntryId) -> String {
        self.directories
            .get(&entry)
            .map_or_else(|| format!("entry {entry}"), |(_, _, name)| name.clone())
    }
}
