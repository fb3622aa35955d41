//! Content of a member that is packed while it grows, so that neither all of its raw bytes nor what they were
//! made of need be held.

use std::io::{self, Write};

use bytes::Bytes;
use zstd::stream::raw::{Encoder as Stream, InBuffer, Operation, OutBuffer};
use zstd::zstd_safe::{self, CParameter};

use super::codec::{Codec, Encoder, compression_failed};
use super::manifest::Scripts;
use crate::error::{Error, Kind, Result};
use crate::sql::{bytes_of, into_bytes};

/// So much is held raw; content that ends before is packed in one go.
const WHOLE_MAX: usize = 1 << 20;

/// Of what is longer so much is gathered each time.
const GATHERED: usize = 128 << 10;

/// Above this level zstd needs more room for each content than the content itself may take.
const STREAMED_LEVEL_MAX: i32 = 3;

/// Where a zstd frame's header says what fields it has, and its length without the content's size: magic,
/// descriptor, window.
const DESCRIPTOR: usize = 4;
const BARE_HEADER: usize = 6;

/// Descriptor bits: a size of eight bytes; everything that tells of other fields than the window's.
const SIZE_OF_EIGHT: u8 = 0b1100_0000;
const OTHER_FIELDS: u8 = 0b1110_0011;

/// Content on its way into one member.
pub(super) struct Packed {
    codec: Codec,
    raw_bytes: u64,
    /// What is not compressed yet.
    rest: Vec<u8>,
    streamed: Option<Streamed>,
}

struct Streamed {
    stream: Stream<'static>,
    stored: Vec<u8>,
}

/// Both scripts of a schema on their way into an archive.
pub struct PackedScripts {
    pub(super) pre_data: Packed,
    pub(super) post_data: Packed,
}

impl PackedScripts {
    /// Empty ones, for an archive of this codec.
    pub fn new(codec: Codec) -> Self {
        Self::of(Scripts::default(), codec)
    }

    /// Scripts that are whole.
    pub fn of(scripts: Scripts, codec: Codec) -> Self {
        Self {
            pre_data: Packed::beginning_with(codec, into_bytes(scripts.pre_data)),
            post_data: Packed::beginning_with(codec, into_bytes(scripts.post_data)),
        }
    }

    /// What comes next in [`Scripts::pre_data`].
    ///
    /// # Errors
    /// [`Kind::Failed`] when compression fails, which only a lack of memory can cause.
    pub fn push_pre_data(&mut self, text: &str) -> Result<()> {
        self.pre_data.push(&bytes_of(text))
    }

    /// What comes next in [`Scripts::post_data`].
    ///
    /// # Errors
    /// As [`PackedScripts::push_pre_data`].
    pub fn push_post_data(&mut self, text: &str) -> Result<()> {
        self.post_data.push(&bytes_of(text))
    }

    pub(super) fn codec(&self) -> Codec {
        self.pre_data.codec
    }
}

/// Content as it is stored.
pub(super) struct Stored {
    pub raw_bytes: u64,
    pub bytes: Bytes,
}

impl Packed {
    /// Without content yet.
    pub(super) fn new(codec: Codec) -> Self {
        Self {
            codec,
            raw_bytes: 0,
            rest: Vec::new(),
            streamed: None,
        }
    }

    /// Content that begins with this text.
    pub(super) fn beginning_with(codec: Codec, raw: Vec<u8>) -> Self {
        Self {
            raw_bytes: raw.len() as u64,
            rest: raw,
            ..Self::new(codec)
        }
    }

    /// Takes what comes next.
    ///
    /// # Errors
    /// [`Kind::Failed`] when compression fails, which only a lack of memory can cause.
    pub(super) fn push(&mut self, raw: &[u8]) -> Result<()> {
        self.write_all(raw).map_err(compression_failed)
    }

    /// All of it, as one frame of its codec, with its raw size in the frame's header.
    ///
    /// # Errors
    /// As [`Packed::push`]; [`Kind::Usage`] when the codec does not take its level.
    pub(super) fn finish(self) -> Result<Stored> {
        let Self {
            codec,
            raw_bytes,
            rest,
            streamed,
        } = self;
        let bytes = match streamed {
            None => Encoder::new(codec)?.pack_once(rest)?,
            Some(mut streamed) => {
                streamed.take(&rest).map_err(compression_failed)?;
                drop(rest);
                let stored = streamed.end().map_err(compression_failed)?;
                Bytes::from(with_size(&stored, raw_bytes)?)
            }
        };
        Ok(Stored { raw_bytes, bytes })
    }
}

#[cfg(test)]
impl Packed {
    /// Bytes of content that it holds, compressed or not, and what it has set aside for more.
    pub(super) fn held_bytes(&self) -> usize {
        let stored = self.streamed.as_ref().map_or(0, |it| it.stored.len());
        self.rest.capacity() + stored
    }
}

impl Write for Packed {
    fn write(&mut self, raw: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(raw);
        self.raw_bytes += raw.len() as u64;
        let most = match self.streamed {
            Some(_) => GATHERED,
            None => WHOLE_MAX,
        };
        if self.rest.len() > most
            && let Codec::Zstd(level @ ..=STREAMED_LEVEL_MAX) = self.codec
        {
            let streamed = match &mut self.streamed {
                Some(streamed) => streamed,
                empty => empty.insert(Streamed::new(level)?),
            };
            streamed.take(&self.rest)?;
            self.rest.clear();
            self.rest.shrink_to(2 * GATHERED);
        }
        Ok(raw.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Streamed {
    fn new(level: i32) -> io::Result<Self> {
        let mut stream = Stream::new(level)?;
        stream.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self {
            stream,
            stored: Vec::new(),
        })
    }

    fn take(&mut self, raw: &[u8]) -> io::Result<()> {
        let mut raw = InBuffer::around(raw);
        while raw.pos() < raw.src.len() {
            self.with_room(|stream, room| stream.run(&mut raw, room).map(drop))?;
        }
        Ok(())
    }

    fn end(mut self) -> io::Result<Vec<u8>> {
        let mut left = 1;
        while left > 0 {
            self.with_room(|stream, room| {
                left = stream.finish(room, true)?;
                Ok(())
            })?;
        }
        Ok(self.stored)
    }

    fn with_room(
        &mut self,
        run: impl FnOnce(&mut Stream<'static>, &mut OutBuffer<'_, Vec<u8>>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.stored.reserve(zstd_safe::CCtx::out_size());
        let end = self.stored.len();
        run(
            &mut self.stream,
            &mut OutBuffer::around_pos(&mut self.stored, end),
        )
    }
}

/// The frame with the size of its content in its header. It was begun before that was known, and nothing else in
/// it depends on it.
fn with_size(frame: &[u8], raw_bytes: u64) -> Result<Vec<u8>> {
    let unexpected = || Error::new(Kind::Failed, "compression failed: an unexpected header");
    let (header, blocks) = frame.split_at_checked(BARE_HEADER).ok_or_else(unexpected)?;
    if header[DESCRIPTOR] & OTHER_FIELDS != 0 {
        return Err(unexpected());
    }
    let mut sized = Vec::with_capacity(frame.len() + size_of::<u64>());
    sized.extend_from_slice(header);
    sized[DESCRIPTOR] |= SIZE_OF_EIGHT;
    sized.extend_from_slice(&raw_bytes.to_le_bytes());
    sized.extend_from_slice(blocks);
    Ok(sized)
}

#[cfg(test)]
mod tests {
    use super::super::codec::{Decoder, declared_raw, lines};
    use super::*;

    fn lines_of_text(count: u32) -> Vec<u8> {
        (0..count)
            .flat_map(|n| {
                format!("{n} of {count}: {}\n", n.wrapping_mul(2_654_435_761)).into_bytes()
            })
            .collect()
    }

    fn packed(codec: Codec, raw: &[u8], piece: usize) -> Stored {
        let mut packed = Packed::new(codec);
        for piece in raw.chunks(piece) {
            packed.push(piece).unwrap();
        }
        packed.finish().unwrap()
    }

    #[test]
    fn content_comes_back_and_declares_its_size_however_it_came() {
        let long = lines_of_text(400_000);
        assert!(long.len() > 2 * WHOLE_MAX);
        for codec in [
            Codec::Zstd(1),
            Codec::Zstd(3),
            Codec::Zstd(4),
            Codec::Gzip(1),
            Codec::Lz4,
            Codec::None,
        ] {
            for raw in [&[][..], &long[..10_000], &long[..WHOLE_MAX + 1], &long] {
                let Stored { raw_bytes, bytes } = packed(codec, raw, 77_777);
                assert_eq!(raw_bytes, raw.len() as u64, "{codec}");
                assert_eq!(declared_raw(codec, &bytes), Some(raw_bytes), "{codec}");
                let mut unpacked = Vec::new();
                let mut decoder = Decoder::new(codec);
                decoder
                    .unpack_into(&bytes, raw_bytes, &mut unpacked)
                    .unwrap();
                assert!(unpacked == raw, "{codec}");
                let count = lines(codec, &bytes, raw_bytes, raw_bytes).unwrap();
                assert_eq!(count.count(), raw.split_inclusive(|b| *b == b'\n').count());
            }
        }
    }

    #[test]
    fn what_is_stored_does_not_depend_on_the_pieces() {
        let raw = lines_of_text(400_000);
        for codec in [Codec::Zstd(1), Codec::Gzip(1)] {
            let one = packed(codec, &raw, raw.len()).bytes;
            assert!(one.len() < raw.len() / 2);
            let short = packed(codec, &raw[..100_000], 100).bytes;
            let at_once = Encoder::new(codec).unwrap().pack(&raw[..100_000]).unwrap();
            assert_eq!(short, at_once, "{codec}");
        }
    }

    #[test]
    fn long_content_is_not_held_raw() {
        let raw = lines_of_text(400_000);
        let mut packed = Packed::new(Codec::Zstd(1));
        for piece in raw.chunks(1000) {
            packed.push(piece).unwrap();
            assert!(packed.rest.len() <= WHOLE_MAX);
        }
        assert!(packed.streamed.is_some());
        assert!(packed.held_bytes() < 2 * GATHERED + raw.len() / 2);
    }
}
