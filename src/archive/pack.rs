//! Packs: what small tables have, many of them in one compressed member.
//!
//! A small table's frame and `complete.json` take two headers and their padding, many times what is in them. In a
//! pack they are as they would be outside, only that the frame is not compressed by itself: the pack is a tar file that
//! is compressed as a whole. All of it follows from what the index says and the rows themselves, so that a
//! reader can tell a genuine one.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::OnceCell;

use super::codec::{Codec, Decoder, declared_raw};
use super::digest::{Digest, sha256};
use super::entry::EntryId;
use super::fingerprint::Fingerprint;
use super::frame::StoredFrame;
use super::index::{Complete, FrameIndex, Totals};
use super::ledger::{DataNames, Member};
use super::manifest::Manifest;
use super::names::{self, DataMember};
use super::tar::{self, BLOCK_BYTES, END_BYTES, Parsed};
use crate::error::{Context, Error, Kind, Result};
use crate::task::lock;

/// Raw bytes from which on a pack is closed.
const FULL_BYTES: usize = 1 << 20;

/// Most bytes of a packed frame.
pub(crate) const FRAME_IN_PACK_MAX: u64 = 64 << 10;

/// Most raw bytes that a pack is believed to have.
const RAW_MAX: u64 = 8 << 20;

/// The same as it is stored: what cannot be compressed grows a little.
const STORED_MAX: u64 = RAW_MAX + RAW_MAX / 4;

/// Most bytes of a `complete.json` that are looked at.
const COMPLETE_MAX: usize = 64 << 10;

/// What the entries take at least in a pack: a header and a block of content.
pub(super) const ENTRY_MIN: u64 = 2 * BLOCK_BYTES;

/// What an entry has in a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InPack {
    pub entry: EntryId,
    /// Number of the pack.
    pub pack: u32,
    /// Where the header of its first member begins in the pack's raw bytes.
    pub offset: u64,
    /// Its frame, of chunk 0 and number 0; none when it has no rows.
    pub frame: Option<FrameInPack>,
    pub fingerprint: Fingerprint,
}

/// A frame in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameInPack {
    pub raw_bytes: u64,
    pub sha256: [u8; 32],
}

impl InPack {
    /// Sums over its frame, if it has one. What is stored of it are its raw bytes.
    pub(super) fn totals(&self) -> Totals {
        let frame = self.frame.as_ref();
        let raw_bytes = frame.map_or(0, |frame| frame.raw_bytes);
        let digest = frame.map_or_else(|| sha256(&[]), |frame| sha256(&frame.sha256));
        Totals {
            frames: u64::from(frame.is_some()),
            rows: self.fingerprint.rows(),
            raw_bytes,
            stored_bytes: raw_bytes,
            sha256: Digest(digest),
        }
    }

    /// Its frame as the index has it.
    pub(super) fn frame_index(&self) -> Option<FrameIndex> {
        self.frame.map(|frame| FrameIndex {
            entry: self.entry,
            chunk: 0,
            frame: 0,
            pack: Some(self.pack),
            // Whether it fits is seen by its end.
            offset: self.offset.saturating_add(BLOCK_BYTES),
            stored_bytes: frame.raw_bytes,
            raw_bytes: frame.raw_bytes,
            rows: self.fingerprint.rows(),
            sha256: frame.sha256,
        })
    }

    /// Its `complete.json`.
    pub(super) fn complete(&self) -> Result<Vec<u8>> {
        Complete {
            entry: self.entry,
            totals: self.totals(),
            fingerprint: self.fingerprint,
        }
        .render()
    }

    /// Where what follows it begins.
    ///
    /// # Errors
    /// [`Kind::Archive`] when it says of itself what nothing in a pack is like.
    pub(super) fn end(&self) -> Result<u64> {
        let nonsense = || damaged("its size is nonsense");
        let frame = match &self.frame {
            Some(frame) if frame.raw_bytes > FRAME_IN_PACK_MAX => {
                return Err(damaged("its frame is too large for a pack"));
            }
            Some(frame) => Some(frame.raw_bytes),
            None if self.fingerprint.rows() > 0 => {
                return Err(damaged("it has rows and no frame"));
            }
            None => None,
        };
        let sizes = frame.into_iter().chain([self.complete()?.len() as u64]);
        sizes.map(member_bytes).try_fold(self.offset, |at, bytes| {
            at.checked_add(bytes).ok_or_else(nonsense)
        })
    }

    /// Its frame, of the pack's raw bytes.
    pub(super) fn stored_frame(&self, raw: &Bytes) -> Result<Option<StoredFrame>> {
        let Some(frame) = self.frame_index() else {
            return Ok(None);
        };
        Ok(Some(StoredFrame {
            entry: frame.entry,
            chunk: frame.chunk,
            frame: frame.frame,
            rows: Some(frame.rows),
            raw_bytes: frame.raw_bytes,
            stored: slice(raw, &frame)?,
            codec: Codec::None,
            sha256: frame.sha256,
        }))
    }
}

/// What a small member takes in a tar file.
fn member_bytes(size: u64) -> u64 {
    BLOCK_BYTES + size + tar::padding(size) as u64
}

/// A frame's bytes within its pack, as a copy: whoever has them for long must not hold the whole pack.
pub(super) fn slice(raw: &Bytes, frame: &FrameIndex) -> Result<Bytes> {
    let range = || {
        let start = usize::try_from(frame.offset).ok()?;
        let end = start.checked_add(usize::try_from(frame.stored_bytes).ok()?)?;
        (end <= raw.len()).then_some(start..end)
    };
    let range = range().ok_or_else(|| damaged("it claims to lie beyond its pack's end"))?;
    Ok(Bytes::copy_from_slice(&raw[range]))
}

fn damaged(what: impl Into<String>) -> Error {
    Error::new(Kind::Archive, what)
}

/// A pack that is being filled.
#[derive(Default)]
pub(super) struct Packer {
    raw: Vec<u8>,
    entries: BTreeSet<EntryId>,
}

impl Packer {
    /// Adds what an entry has; `place` of it must be this pack, at [`position`](Self::position).
    ///
    /// # Errors
    /// [`Kind::Failed`] when a name does not fit into a header.
    pub(super) fn push(
        &mut self,
        place: &InPack,
        frame: Option<&[u8]>,
        names: &DataNames,
        mtime: u64,
    ) -> Result<()> {
        if let (Some(index), Some(bytes)) = (place.frame_index(), frame) {
            self.member(&names.frame(&index)?, bytes, mtime)?;
        }
        let name = names.complete(place.entry)?;
        self.member(&name, &place.complete()?, mtime)?;
        self.entries.insert(place.entry);
        Ok(())
    }

    fn member(&mut self, name: &str, content: &[u8], mtime: u64) -> Result<()> {
        let size = content.len() as u64;
        self.raw.extend_from_slice(&tar::encode(name, size, mtime)?);
        self.raw.extend_from_slice(content);
        self.raw.resize(self.raw.len() + tar::padding(size), 0);
        Ok(())
    }

    /// Where the next entry begins.
    pub(super) fn position(&self) -> u64 {
        self.raw.len() as u64
    }

    pub(super) fn is_full(&self) -> bool {
        self.raw.len() >= FULL_BYTES
    }

    pub(super) fn has(&self, entry: EntryId) -> bool {
        self.entries.contains(&entry)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All of it.
    pub(super) fn finish(mut self) -> Vec<u8> {
        // A small number.
        self.raw.resize(self.raw.len() + END_BYTES as usize, 0);
        self.raw
    }
}

/// A pack as the index has it, with what is in it in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pack {
    pub member: Member,
    pub entries: Vec<InPack>,
}

/// Puts packs together from the members of an archive and what is said to be in them: there must be no gap.
///
/// # Errors
/// [`Kind::Archive`] when they do not fit together.
pub(super) fn assemble(
    members: &[Member],
    entries: Vec<InPack>,
    manifest: &Manifest,
) -> Result<Vec<Pack>> {
    let mut packs: Vec<Pack> = Vec::new();
    let is_pack = |member: &&Member| manifest.has_packs() && names::is_pack(&member.name);
    for member in members.iter().filter(is_pack) {
        check_name(&member.name, &member.sha256, packs.len(), manifest.codec)
            .and_then(|()| check_sizes(member.stored_bytes, member.raw_bytes))
            .context_with(|| &member.name)?;
        packs.push(Pack {
            member: member.clone(),
            entries: Vec::new(),
        });
    }
    for entry in entries {
        let pack = usize::try_from(entry.pack).ok();
        let pack = pack.and_then(|number| packs.get_mut(number));
        let pack = pack.ok_or_else(|| {
            damaged(format!(
                "entry {} is said to be in pack {}, which is not there",
                entry.entry, entry.pack
            ))
        })?;
        pack.entries.push(entry);
    }
    for pack in &mut packs {
        pack.entries.sort_unstable_by_key(|entry| entry.offset);
        check_gapless(pack).context_with(|| &pack.member.name)?;
    }
    Ok(packs)
}

/// A pack's name has its number, which is how many there were before, and its digest.
pub(super) fn check_name(name: &str, sha256: &[u8; 32], before: usize, codec: Codec) -> Result<()> {
    let number = u32::try_from(before).map_err(|_| damaged("it is one pack too many"))?;
    if names::pack(number, sha256, codec) != name {
        return Err(damaged(format!(
            "its SHA-256 does not match its name, or it is not pack {number}"
        )));
    }
    Ok(())
}

/// Whether a pack of these sizes may be read.
///
/// # Errors
/// [`Kind::Archive`] when it is too large.
pub(super) fn check_sizes(stored_bytes: u64, raw_bytes: u64) -> Result<()> {
    if stored_bytes > STORED_MAX || raw_bytes > RAW_MAX {
        return Err(damaged("it is too large for a pack"));
    }
    Ok(())
}

/// As many entries as a pack of these sizes can hold at most: the fingerprint of each takes more than a byte, however
/// well the rest is compressed.
pub(super) fn most_entries(stored_bytes: u64, raw_bytes: u64) -> u64 {
    (raw_bytes.min(RAW_MAX) / ENTRY_MIN).min(stored_bytes)
}

fn check_gapless(pack: &Pack) -> Result<()> {
    let mut at = 0;
    for entry in &pack.entries {
        if entry.offset != at {
            return Err(damaged(format!(
                "entry {} is not where it should be",
                entry.entry
            )));
        }
        at = entry
            .end()
            .context_with(|| format!("entry {}", entry.entry))?;
    }
    if pack.entries.is_empty() || at.checked_add(END_BYTES) != Some(pack.member.raw_bytes) {
        return Err(damaged("the index does not list all that is in it"));
    }
    Ok(())
}

/// Unpacks a pack, of a size that is `known` or else its own word.
///
/// # Errors
/// [`Kind::Archive`] when it declares none, or another one, or one that no pack has, or is damaged.
pub(super) fn unpack(codec: Codec, stored: &[u8], known: Option<u64>) -> Result<Bytes> {
    let raw_bytes =
        declared_raw(codec, stored).ok_or_else(|| damaged("it does not declare its size"))?;
    if known.is_some_and(|known| known != raw_bytes) {
        return Err(damaged("it declares another size than the index"));
    }
    check_sizes(stored.len() as u64, raw_bytes)?;
    let mut raw = Vec::new();
    Decoder::new(codec).unpack_into(stored, raw_bytes, &mut raw)?;
    Ok(raw.into())
}

/// Reads what is in a pack, and checks every byte of it but those of rows, of which it takes the digest.
///
/// # Errors
/// [`Kind::Archive`] when it is not exactly what a writer makes.
pub(super) fn read(raw: &[u8], pack: u32, names: &DataNames, mtime: u64) -> Result<Vec<InPack>> {
    let mut members = Members { raw, at: 0, mtime };
    let mut entries = Vec::new();
    let mut seen = BTreeSet::new();
    let cut = |name: &str| damaged(format!("{name}: its complete.json does not follow"));
    loop {
        let offset = members.at as u64;
        let Some((name, content)) = members.next()? else {
            break;
        };
        let (entry, frame, end) = match names::parse_data(&name) {
            Some(DataMember::Frame { entry, .. }) => {
                let frame = frame_of(entry, &name, content, names)?;
                let end = members.next()?.ok_or_else(|| cut(&name))?;
                (entry, Some(frame), end)
            }
            Some(DataMember::Complete { entry }) => (entry, None, (name.clone(), content)),
            None => {
                return Err(damaged(format!("{name}: it does not belong into a pack")));
            }
        };
        let (end, content) = end;
        if names.complete_in_pack(entry)? != end {
            return Err(cut(&name));
        }
        if !seen.insert(entry) {
            return Err(damaged(format!("{end}: it is there twice")));
        }
        let in_pack = InPack {
            entry,
            pack,
            offset,
            frame,
            fingerprint: fingerprint_of(content).context_with(|| &end)?,
        };
        if in_pack.complete()? != content {
            return Err(damaged("it does not agree with its frame").context(end));
        }
        // Without a frame there are no rows.
        in_pack.end().context_with(|| &end)?;
        entries.push(in_pack);
    }
    if entries.is_empty() {
        return Err(damaged("nothing is in it"));
    }
    Ok(entries)
}

fn frame_of(entry: EntryId, name: &str, content: &[u8], names: &DataNames) -> Result<FrameInPack> {
    let raw_bytes = content.len() as u64;
    if raw_bytes > FRAME_IN_PACK_MAX {
        return Err(damaged(format!(
            "{name}: its frame is too large for a pack"
        )));
    }
    let frame = FrameInPack {
        raw_bytes,
        sha256: sha256(content),
    };
    if names.frame_in_pack(entry, &frame.sha256)? != name {
        let what = "its SHA-256 does not match its name, or it is no frame for a pack";
        return Err(damaged(format!("{name}: {what}")));
    }
    Ok(frame)
}

fn fingerprint_of(complete: &[u8]) -> Result<Fingerprint> {
    if complete.len() > COMPLETE_MAX {
        return Err(damaged("it is too large"));
    }
    let complete: Complete =
        serde_json::from_slice(complete).map_err(|error| damaged(format!("damaged: {error}")))?;
    Ok(complete.fingerprint)
}

/// The members of a pack.
struct Members<'a> {
    raw: &'a [u8],
    at: usize,
    mtime: u64,
}

impl<'a> Members<'a> {
    /// Name and content of the next; none at the end, which must be one.
    fn next(&mut self) -> Result<Option<(String, &'a [u8])>> {
        let at = self.at;
        let cut = || damaged(format!("cut at byte {at}"));
        let rest = self.raw.get(self.at..).ok_or_else(cut)?;
        let (header, used) =
            match tar::next_header(rest).context_with(|| format!("at byte {}", self.at))? {
                Parsed::Header(header, used) => (header, used),
                Parsed::Needs(_) => return Err(cut()),
                Parsed::Zero if rest.len() as u64 == END_BYTES && rest.iter().all(|b| *b == 0) => {
                    return Ok(None);
                }
                Parsed::Zero => return Err(damaged("its end is not two zero blocks")),
            };
        if header.mtime != self.mtime {
            return Err(damaged("damaged tar header").context(header.name));
        }
        let size = usize::try_from(header.size).map_err(|_| cut())?;
        let (_, rest) = rest.split_at_checked(used).ok_or_else(cut)?;
        let (content, rest) = rest.split_at_checked(size).ok_or_else(cut)?;
        let padding = tar::padding(header.size);
        let (zeros, _) = rest.split_at_checked(padding).ok_or_else(cut)?;
        if zeros.iter().any(|byte| *byte != 0) {
            return Err(damaged("its padding is not zero").context(header.name));
        }
        self.at += used + size + padding;
        Ok(Some((header.name, content)))
    }
}

/// Raw bytes of packs that are kept for whoever reads another frame of them.
const KEPT_BYTES: u64 = 16 << 20;

/// The packs of an open archive that were unpacked lately.
#[derive(Default)]
pub(super) struct Unpacked {
    lately: Mutex<VecDeque<Kept>>,
}

struct Kept {
    pack: u32,
    raw_bytes: u64,
    raw: Arc<OnceCell<Bytes>>,
}

impl Unpacked {
    /// Where a pack's raw bytes are, or will be: the first who comes fills it, and the others wait.
    pub(super) fn cell(&self, pack: u32, raw_bytes: u64) -> Arc<OnceCell<Bytes>> {
        let mut lately = lock(&self.lately);
        let kept = match lately.iter().position(|kept| kept.pack == pack) {
            Some(at) => lately.remove(at),
            None => None,
        };
        let kept = kept.unwrap_or_else(|| Kept {
            pack,
            raw_bytes,
            raw: Arc::default(),
        });
        let raw = Arc::clone(&kept.raw);
        lately.push_back(kept);
        let mut bytes: u64 = lately.iter().map(|kept| kept.raw_bytes).sum();
        while bytes > KEPT_BYTES && lately.len() > 1 {
            bytes -= lately.pop_front().map_or(0, |kept| kept.raw_bytes);
        }
        raw
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::Encoder;
    use super::*;

    const CODECS: [Codec; 4] = [Codec::Zstd(1), Codec::Gzip(6), Codec::Lz4, Codec::None];

    fn packed(codec: Codec, length: usize) -> Bytes {
        Encoder::new(codec).unwrap().pack(&vec![0; length]).unwrap()
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_unpacked() {
        for codec in CODECS {
            let most = packed(codec, RAW_MAX as usize);
            assert_eq!(unpack(codec, &most, None).unwrap().len() as u64, RAW_MAX);
            assert!(unpack(codec, &most, Some(RAW_MAX)).is_ok());
            for (stored, known) in [
                (&most, Some(RAW_MAX - 1)),
                (&most, Some(u64::MAX)),
                (&packed(codec, RAW_MAX as usize + 1), None),
                (&packed(codec, 64 << 20), None),
                (&most.slice(..most.len() - 1), Some(RAW_MAX)),
            ] {
                let error = unpack(codec, stored, known).unwrap_err();
                assert_eq!(error.kind(), Kind::Archive, "{codec}: {error}");
            }
        }
        assert!(unpack(Codec::Zstd(1), b"", None).is_err());
        // A gzip member that lies about its size.
        let mut stored = packed(Codec::Gzip(1), 64 << 20).to_vec();
        stored[16..24].copy_from_slice(&1024u64.to_le_bytes());
        assert!(unpack(Codec::Gzip(1), &stored, None).is_err());
    }

    #[test]
    fn a_bounded_number_of_packs_is_kept() {
        let unpacked = Unpacked::default();
        let first = unpacked.cell(0, 6 << 20);
        assert!(Arc::ptr_eq(&first, &unpacked.cell(0, 6 << 20)));
        unpacked.cell(1, 6 << 20);
        // It was wanted later than the other one.
        assert!(Arc::ptr_eq(&first, &unpacked.cell(0, 6 << 20)));
        unpacked.cell(2, 6 << 20);
        assert!(Arc::ptr_eq(&first, &unpacked.cell(0, 6 << 20)));
        let kept: Vec<u32> = unpacked
            .lately
            .lock()
            .unwrap()
            .iter()
            .map(|kept| kept.pack)
            .collect();
        assert_eq!(kept, [2, 0]);
    }

    #[test]
    fn what_no_pack_has_has_no_end() {
        let fingerprint = |text: &str| serde_json::from_str(text).unwrap();
        let none = fingerprint("\"00000000000000000000000000000000:0\"");
        let one = fingerprint("\"00000000000000000000000000000007:1\"");
        let frame = |raw_bytes| {
            Some(FrameInPack {
                raw_bytes,
                sha256: [7; 32],
            })
        };
        let end = |offset, frame, fingerprint| {
            let in_pack = InPack {
                entry: 1,
                pack: 0,
                offset,
                frame,
                fingerprint,
            };
            in_pack.end()
        };
        assert_eq!(end(0, None, none).unwrap(), 1024);
        assert_eq!(end(512, frame(513), one).unwrap(), 512 + 1536 + 1024);
        assert!(end(0, None, one).is_err());
        assert!(end(0, frame(FRAME_IN_PACK_MAX + 1), one).is_err());
        assert!(end(u64::MAX - 512, None, none).is_err());
    }
}
