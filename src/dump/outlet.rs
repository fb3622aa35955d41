//! Where data goes that was read.

use bytes::Bytes;

use crate::archive::{EntryId, Fingerprint, RawFrame, StoredFrame, Writer};
use crate::error::{Error, Kind, Result};
use crate::relay::{Giver, Item};
use crate::task::Permit;

/// What takes frames.
pub(super) enum Outlet {
    /// An archive, which is still unfinished.
    Archive(Box<Writer>),
    /// A restore that loads rows as they are read.
    Relay(Giver),
    /// Nothing: data is read to be counted and fingerprinted.
    Nowhere,
}

/// A frame as its outlet takes it.
pub(super) enum Frame {
    Stored(StoredFrame),
    Raw(RawFrame),
    Gone { entry: EntryId, raw_bytes: u64 },
}

impl Frame {
    pub fn entry(&self) -> EntryId {
        match self {
            Self::Stored(frame) => frame.entry,
            Self::Raw(frame) => frame.entry,
            Self::Gone { entry, .. } => *entry,
        }
    }

    pub fn raw_bytes(&self) -> u64 {
        match self {
            Self::Stored(frame) => frame.raw_bytes,
            Self::Raw(frame) => frame.raw.len() as u64,
            Self::Gone { raw_bytes, .. } => *raw_bytes,
        }
    }

    /// What is written of it, if anything is.
    pub fn stored(&self) -> Option<Bytes> {
        match self {
            Self::Stored(frame) => Some(frame.stored.clone()),
            Self::Raw(_) | Self::Gone { .. } => None,
        }
    }
}

impl Outlet {
    /// Hands a frame on, with its share of the memory budget as long as it is needed.
    pub async fn append(&mut self, frame: Frame, permit: Permit) -> Result<()> {
        match (self, frame) {
            (Self::Archive(writer), Frame::Stored(frame)) => writer.append(frame).await,
            (Self::Relay(giver), Frame::Raw(frame)) => {
                giver.send(Item::Frame { frame, permit }).await
            }
            (Self::Nowhere, _) => Ok(()),
            (Self::Archive(_) | Self::Relay(_), _) => Err(Error::new(
                Kind::Failed,
                "a frame came in a form that is not its outlet's",
            )),
        }
    }

    /// All of an entry's frames were handed on; so many.
    pub async fn complete(
        &mut self,
        entry: EntryId,
        fingerprint: Fingerprint,
        frames: u64,
    ) -> Result<()> {
        match self {
            Self::Archive(writer) => writer.complete(entry, fingerprint).await,
            Self::Relay(giver) => giver.send(Item::Complete { entry, frames }).await,
            Self::Nowhere => Ok(()),
        }
    }
}
