//! Compression of frames and members.

use std::fmt;
use std::io::{self, BufRead, Read, Write};
use std::ops::Range;
use std::str::FromStr;

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use lz4_flex::frame::{FrameDecoder, FrameEncoder, FrameInfo};
use serde::{Deserialize, Serialize};
use zstd::zstd_safe;
use zstd::zstd_safe::CParameter;

use super::digest::sha256;
use super::frame::{RawFrame, StoredFrame};
use crate::error::{Error, Kind, Result};

/// How frames and the larger members are compressed; written and parsed as `METHOD[:LEVEL]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Codec {
    /// zstd with a level of 1 to 22 (default 1).
    Zstd(i32),
    /// gzip with a level of 1 to 9 (default 6).
    Gzip(u32),
    /// lz4 frame format.
    Lz4,
    /// Stored as it is.
    None,
}

impl Default for Codec {
    fn default() -> Self {
        Self::Zstd(1)
    }
}

impl Codec {
    /// What the names of compressed members end with: `.zst`, `.gz`, `.lz4` or nothing.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Zstd(_) => ".zst",
            Self::Gzip(_) => ".gz",
            Self::Lz4 => ".lz4",
            Self::None => "",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zstd(level) => write!(f, "zstd:{level}"),
            Self::Gzip(level) => write!(f, "gzip:{level}"),
            Self::Lz4 => f.write_str("lz4"),
            Self::None => f.write_str("none"),
        }
    }
}

impl From<Codec> for String {
    fn from(codec: Codec) -> Self {
        codec.to_string()
    }
}

impl TryFrom<String> for Codec {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl FromStr for Codec {
    type Err = Error;

    /// `zstd`, `zstd:LEVEL` (1 to 22), `gzip`, `gzip:LEVEL` (1 to 9), `lz4`, `none`; a bare number
    /// is a gzip level as in `pg_dump -Z`, and `0` is `none`.
    fn from_str(text: &str) -> Result<Self> {
        let usage = |why: String| {
            Error::new(
                Kind::Usage,
                format!("invalid compression \"{text}\": {why}"),
            )
            .with_hint("use zstd[:1-22], gzip[:1-9], lz4 or none")
        };
        let level = |text: &str, most: u32| -> Result<u32> {
            let number = text.bytes().all(|b| b.is_ascii_digit());
            match text.parse::<u32>() {
                Ok(level) if number && (1..=most).contains(&level) => Ok(level),
                _ => Err(usage(format!(
                    "the level must be a number from 1 to {most}"
                ))),
            }
        };
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return match text.parse::<u32>() {
                Ok(0) => Ok(Self::None),
                _ => level(text, 9).map(Self::Gzip),
            };
        }
        match text.split_once(':') {
            None => match text {
                "zstd" => Ok(Self::Zstd(1)),
                "gzip" => Ok(Self::Gzip(6)),
                "lz4" => Ok(Self::Lz4),
                "none" => Ok(Self::None),
                _ => Err(usage("unknown method".to_owned())),
            },
            Some(("zstd", text)) => Ok(Self::Zstd(level(text, 22)?.cast_signed())),
            Some(("gzip", text)) => level(text, 9).map(Self::Gzip),
            Some((method @ ("lz4" | "none"), _)) => Err(usage(format!("{method} takes no level"))),
            Some(_) => Err(usage("unknown method".to_owned())),
        }
    }
}

/// Gzip header: deflate, one extra field, no time, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];

/// Gzip extra field: its length, subfield `PS` of eight bytes, which hold the raw size.
const GZIP_EXTRA: [u8; 6] = [12, 0, b'P', b'S', 8, 0];

/// Offset of the content size in an lz4 frame.
const LZ4_SIZE: usize = 6;

/// How much is set aside for a declared raw size before the content has shown up.
const BELIEVED: u64 = 64 << 20;

/// Scratch space above this is given back after use.
const SCRATCH_KEPT: usize = 10 << 20;

/// Rows of such a mean length in bytes repeat more than zstd's hash table of level 1 remembers: one twice as large
/// saves 1 to 2 %. Shorter rows grow by as much with it, longer ones stay as they are.
const REPETITIVE_ROWS: Range<u64> = 64..8192;

/// Binary logarithm of that table's size; at level 1 it is 14.
const LARGER_HASH_LOG: u32 = 15;

/// Compresses and hashes frames, one after the other, on one thread; contexts and buffers are
/// reused. CPU work only: run it on a blocking worker.
pub struct Encoder {
    codec: Codec,
    context: Context,
    scratch: Vec<u8>,
}

enum Context {
    Zstd {
        compressor: Box<zstd::bulk::Compressor<'static>>,
        level: i32,
    },
    Gzip(Box<Compress>),
    Lz4,
    None,
}

impl Encoder {
    /// An encoder for this codec.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the codec does not take this level.
    pub fn new(codec: Codec) -> Result<Self> {
        let usage = |why: &str| Error::new(Kind::Usage, format!("compression {codec}: {why}"));
        let context = match codec {
            Codec::Zstd(level) => {
                if !(1..=22).contains(&level) {
                    return Err(usage("the level must be a number from 1 to 22"));
                }
                let mut compressor = zstd::bulk::Compressor::new(level)
                    .map_err(|error| usage(&error.to_string()))?;
                compressor
                    .set_parameter(CParameter::ChecksumFlag(true))
                    .map_err(|error| usage(&error.to_string()))?;
                Context::Zstd {
                    compressor: Box::new(compressor),
                    level,
                }
            }
            Codec::Gzip(level) => {
                if !(1..=9).contains(&level) {
                    return Err(usage("the level must be a number from 1 to 9"));
                }
                Context::Gzip(Box::new(Compress::new(Compression::new(level), false)))
            }
            Codec::Lz4 => Context::Lz4,
            Codec::None => Context::None,
        };
        Ok(Self {
            codec,
            context,
            scratch: Vec::new(),
        })
    }

    /// Changes the level for what comes next, 1 to 22. Readers need not know: a codec's level is only
    /// what its writer says of itself.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the codec is not zstd or does not take this level.
    pub fn set_zstd_level(&mut self, level: i32) -> Result<()> {
        let usage = |why: String| Error::new(Kind::Usage, format!("zstd level {level}: {why}"));
        let Context::Zstd {
            compressor,
            level: current,
        } = &mut self.context
        else {
            return Err(usage("the codec is another one".to_owned()));
        };
        if !(1..=22).contains(&level) {
            return Err(usage("it must be a number from 1 to 22".to_owned()));
        }
        *current = level;
        compressor
            .set_parameter(CParameter::CompressionLevel(level))
            .map_err(|error| usage(error.to_string()))
    }

    /// Compresses and hashes one frame; gives its buffer back, emptied, for the next.
    ///
    /// # Errors
    /// [`Kind::Failed`] when compression fails, which only a lack of memory can cause.
    pub fn seal(&mut self, raw: RawFrame) -> Result<(StoredFrame, Vec<u8>)> {
        if matches!(self.context, Context::None) {
            let room = Vec::with_capacity(raw.raw.capacity());
            return self.seal_into(raw, room);
        }
        self.fit(raw.rows, raw.raw.len() as u64)?;
        let stored = self.pack(&raw.raw)?;
        let raw_bytes = raw.raw.len() as u64;
        Ok(self.finished(raw, raw_bytes, stored))
    }

    /// As [`Encoder::seal`], straight into `room`, which becomes the stored frame: it grows to what the codec
    /// may need at most. Who has written a frame gives its room to another of like size. Without
    /// compression the frame keeps its own buffer, and gives `room` back in its place.
    ///
    /// # Errors
    /// As [`Encoder::seal`].
    pub fn seal_into(
        &mut self,
        mut raw: RawFrame,
        mut room: Vec<u8>,
    ) -> Result<(StoredFrame, Vec<u8>)> {
        room.clear();
        let raw_bytes = raw.raw.len() as u64;
        if matches!(self.context, Context::None) {
            std::mem::swap(&mut raw.raw, &mut room);
        } else {
            self.fit(raw.rows, raw_bytes)?;
            self.compress(&raw.raw, &mut room)?;
        }
        Ok(self.finished(raw, raw_bytes, Bytes::from(room)))
    }

    /// The stored frame, and the raw one's buffer, emptied.
    fn finished(&self, raw: RawFrame, raw_bytes: u64, stored: Bytes) -> (StoredFrame, Vec<u8>) {
        let RawFrame {
            entry,
            chunk,
            frame,
            rows,
            raw: mut buffer,
        } = raw;
        buffer.clear();
        let frame = StoredFrame {
            entry,
            chunk,
            frame,
            rows: Some(rows),
            raw_bytes,
            sha256: sha256(&stored),
            stored,
            codec: self.codec,
        };
        (frame, buffer)
    }

    /// Sets what suits rows of this length best, whatever came before.
    fn fit(&mut self, rows: u64, raw_bytes: u64) -> Result<()> {
        if let Context::Zstd { compressor, level } = &mut self.context {
            let mean = raw_bytes / rows.max(1);
            let hash_log = if *level == 1 && REPETITIVE_ROWS.contains(&mean) {
                LARGER_HASH_LOG
            } else {
                // The level's own.
                0
            };
            compressor
                .set_parameter(CParameter::HashLog(hash_log))
                .map_err(compression_failed)?;
        }
        Ok(())
    }

    /// Compresses some bytes.
    pub(super) fn pack(&mut self, raw: &[u8]) -> Result<Bytes> {
        if matches!(self.context, Context::None) {
            return Ok(Bytes::copy_from_slice(raw));
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        self.compress(raw, &mut scratch)?;
        if scratch.capacity() > SCRATCH_KEPT {
            // What a giant row became is not had twice.
            scratch.shrink_to_fit();
            return Ok(Bytes::from(scratch));
        }
        // A copy of the right size: the scratch space is as large as the raw frame.
        let packed = Bytes::copy_from_slice(&scratch);
        self.scratch = scratch;
        Ok(packed)
    }

    /// As [`pack`](Self::pack), with the last that this encoder packs: what need not be compressed is not copied.
    pub(super) fn pack_once(mut self, raw: Vec<u8>) -> Result<Bytes> {
        match self.context {
            Context::None => Ok(Bytes::from(raw)),
            _ => self.pack(&raw),
        }
    }

    /// Compresses into `out`, which is empty.
    fn compress(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match &mut self.context {
            Context::Zstd { compressor, .. } => {
                out.reserve_exact(zstd_safe::compress_bound(raw.len()));
                compressor.compress_to_buffer(raw, out).map(drop)
            }
            Context::Gzip(compress) => gzip(compress, raw, out),
            Context::Lz4 => lz4(raw, out),
            Context::None => {
                out.extend_from_slice(raw);
                Ok(())
            }
        }
        .map_err(compression_failed)
    }
}

pub(super) fn compression_failed(error: io::Error) -> Error {
    Error::new(Kind::Failed, "compression failed").with_source(error)
}

fn gzip(compress: &mut Compress, raw: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.reserve(raw.len() / 2 + 128);
    out.extend_from_slice(&GZIP_HEADER);
    out.extend_from_slice(&GZIP_EXTRA);
    out.extend_from_slice(&(raw.len() as u64).to_le_bytes());
    compress.reset();
    let mut rest = raw;
    loop {
        let before = compress.total_in();
        let status = compress
            .compress_vec(rest, out, FlushCompress::Finish)
            .map_err(io::Error::other)?;
        let used = usize::try_from(compress.total_in() - before).map_err(io::Error::other)?;
        rest = &rest[used..];
        match status {
            Status::StreamEnd => break,
            Status::Ok | Status::BufError => out.reserve(rest.len() / 2 + 4096),
        }
    }
    let mut crc = Crc::new();
    crc.update(raw);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    // The size mod 2^32, as gzip has it.
    out.extend_from_slice(&(raw.len() as u64).to_le_bytes()[..4]);
    Ok(())
}

fn lz4(raw: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let info = FrameInfo::new()
        .content_size(Some(raw.len() as u64))
        .content_checksum(true);
    let mut encoder = FrameEncoder::with_frame_info(info, out);
    encoder.write_all(raw)?;
    encoder.try_finish()?;
    Ok(())
}

/// The raw size that compressed bytes declare in their own header; `None` when they declare none.
pub(super) fn declared_raw(codec: Codec, stored: &[u8]) -> Option<u64> {
    let number = |at: usize| {
        let bytes = stored.get(at..)?.first_chunk::<8>()?;
        Some(u64::from_le_bytes(*bytes))
    };
    match codec {
        Codec::Zstd(_) => zstd_safe::get_frame_content_size(stored).ok().flatten(),
        Codec::Gzip(_) => {
            let header = stored.starts_with(&GZIP_HEADER);
            let extra = stored.get(GZIP_HEADER.len()..)?.starts_with(&GZIP_EXTRA);
            (header && extra).then(|| number(GZIP_HEADER.len() + GZIP_EXTRA.len()))?
        }
        Codec::Lz4 => {
            // Version 1 with a content size, which follows magic, FLG and BD.
            let header = stored.starts_with(&[0x04, 0x22, 0x4d, 0x18]);
            let flags = *stored.get(4)?;
            (header && flags & 0b1100_1000 == 0b0100_1000).then(|| number(LZ4_SIZE))?
        }
        Codec::None => Some(stored.len() as u64),
    }
}

/// Whether the bytes are one lz4 frame with its end mark and content checksum; the decoder takes
/// an end of its input between two blocks for the end of the frame.
fn lz4_is_whole(stored: &[u8]) -> bool {
    // After magic, FLG, BD, content size and header checksum.
    let mut at = LZ4_SIZE + 9;
    loop {
        let Some(size) = stored.get(at..).and_then(|rest| rest.first_chunk::<4>()) else {
            return false;
        };
        at += 4;
        match u32::from_le_bytes(*size) & 0x7fff_ffff {
            0 => return stored.len() == at + 4,
            // At most 2 GiB beyond the length of a slice.
            size => at += size as usize,
        }
    }
}

/// Decompresses frames, one after the other, on one thread; contexts are reused.
pub struct Decoder {
    codec: Codec,
    zstd: Option<Box<zstd::bulk::Decompressor<'static>>>,
}

impl Decoder {
    /// A decoder for this codec.
    pub fn new(codec: Codec) -> Self {
        Self { codec, zstd: None }
    }

    /// Decompresses one frame into `raw`, whose former content is lost; one that is not compressed is
    /// taken as it is. Never gives more than the frame's declared raw size, nor more than `max_raw` bytes.
    ///
    /// # Errors
    /// [`Kind::Archive`](crate::error::Kind::Archive) when the frame is damaged or larger than
    /// declared.
    pub fn unseal_into(
        &mut self,
        frame: &StoredFrame,
        max_raw: u64,
        raw: &mut Vec<u8>,
    ) -> Result<()> {
        raw.clear();
        let fail = |error: Error| {
            error.context(format!(
                "frame {}-{} of entry {}",
                frame.chunk, frame.frame, frame.entry
            ))
        };
        if frame.raw_bytes > max_raw {
            return Err(fail(Error::new(
                Kind::Archive,
                format!(
                    "it claims {} bytes of rows, and at most {max_raw} are taken",
                    frame.raw_bytes
                ),
            )));
        }
        if frame.codec == Codec::None && self.codec != Codec::None {
            return Self::new(Codec::None)
                .unpack_into(&frame.stored, frame.raw_bytes, raw)
                .map_err(fail);
        }
        self.unpack_into(&frame.stored, frame.raw_bytes, raw)
            .map_err(fail)
    }

    /// Decompresses `stored` to exactly `raw_bytes` bytes.
    pub(super) fn unpack_into(
        &mut self,
        stored: &[u8],
        raw_bytes: u64,
        raw: &mut Vec<u8>,
    ) -> Result<()> {
        raw.clear();
        if raw_bytes <= BELIEVED {
            // Checked just above to be small.
            raw.reserve(usize::try_from(raw_bytes).unwrap_or(0));
            if matches!(self.codec, Codec::Zstd(_)) {
                return self.unpack_zstd(stored, raw_bytes, raw);
            }
        }
        let mut reader = Unpacker::new(self.codec, stored, raw_bytes)?;
        reader
            .read_to_end(raw)
            .map(drop)
            .map_err(|error| damaged(&error))
    }

    fn unpack_zstd(&mut self, stored: &[u8], raw_bytes: u64, raw: &mut Vec<u8>) -> Result<()> {
        // The frame's own word must agree before anything is unpacked.
        if declared_raw(self.codec, stored) != Some(raw_bytes) {
            return Err(wrong_size(raw_bytes));
        }
        let decompressor = match &mut self.zstd {
            Some(decompressor) => decompressor,
            empty => {
                let decompressor = zstd::bulk::Decompressor::new()
                    .map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
                empty.insert(Box::new(decompressor))
            }
        };
        decompressor
            .decompress_to_buffer(stored, raw)
            .map_err(|error| damaged(&error))?;
        if raw.len() as u64 == raw_bytes {
            Ok(())
        } else {
            Err(wrong_size(raw_bytes))
        }
    }
}

fn damaged(error: &io::Error) -> Error {
    Error::new(Kind::Archive, format!("damaged compressed data: {error}"))
}

fn wrong_size(declared: u64) -> Error {
    Error::new(
        Kind::Archive,
        format!("it does not unpack to the {declared} bytes that it declares"),
    )
}

/// Decompresses one frame: [`Decoder::unseal_into`] with nothing reused.
///
/// # Errors
/// As [`Decoder::unseal_into`].
pub fn unseal(frame: &StoredFrame, codec: Codec, max_raw: u64) -> Result<Vec<u8>> {
    let mut raw = Vec::new();
    Decoder::new(codec).unseal_into(frame, max_raw, &mut raw)?;
    Ok(raw)
}

/// Reads compressed bytes as raw ones, piece by piece: never more than declared, and an error at
/// the end when there were fewer.
pub(super) struct Unpacker<'a> {
    inner: Box<dyn Read + 'a>,
    left: u64,
    declared: u64,
}

impl<'a> Unpacker<'a> {
    pub(super) fn new(codec: Codec, stored: &'a [u8], raw_bytes: u64) -> Result<Self> {
        let inner: Box<dyn Read + 'a> = match codec {
            Codec::Zstd(_) => Box::new(
                zstd::stream::read::Decoder::with_buffer(stored)
                    .map_err(|error| Error::new(Kind::Failed, error.to_string()))?,
            ),
            Codec::Gzip(_) => Box::new(flate2::bufread::MultiGzDecoder::new(stored)),
            Codec::Lz4 if lz4_is_whole(stored) => Box::new(FrameDecoder::new(stored)),
            Codec::Lz4 => return Err(damaged(&io::ErrorKind::UnexpectedEof.into())),
            Codec::None => Box::new(stored),
        };
        Ok(Self {
            inner,
            left: raw_bytes,
            declared: raw_bytes,
        })
    }
}

impl Read for Unpacker<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let wrong = || io::Error::other(wrong_size(self.declared).message().to_owned());
        if self.left == 0 {
            return match self.inner.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(wrong()),
            };
        }
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        match self.inner.read(&mut buffer[..most])? {
            0 => Err(wrong()),
            read => {
                self.left -= read as u64;
                Ok(read)
            }
        }
    }
}

/// The lines of a compressed member, each at most `longest` bytes.
pub(super) fn lines<'a>(
    codec: Codec,
    stored: &'a [u8],
    raw_bytes: u64,
    longest: u64,
) -> Result<impl Iterator<Item = Result<Vec<u8>>> + use<'a>> {
    let mut reader =
        io::BufReader::with_capacity(128 << 10, Unpacker::new(codec, stored, raw_bytes)?);
    let mut ended = false;
    Ok(std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let mut line = Vec::new();
        let read = reader.by_ref().take(longest).read_until(b'\n', &mut line);
        let item = match read {
            Ok(0) => {
                ended = true;
                return None;
            }
            Ok(_) if line.ends_with(b"\n") => {
                line.pop();
                return Some(Ok(line));
            }
            Ok(_) => Error::new(Kind::Archive, "a line is too long or has no end"),
            Err(error) => damaged(&error),
        };
        ended = true;
        Some(Err(item))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODECS: [Codec; 6] = [
        Codec::Zstd(1),
        Codec::Zstd(19),
        Codec::Gzip(1),
        Codec::Gzip(9),
        Codec::Lz4,
        Codec::None,
    ];

    fn stored(codec: Codec, raw: &[u8]) -> StoredFrame {
        let frame = RawFrame {
            entry: 1,
            chunk: 0,
            frame: 0,
            rows: 1,
            raw: raw.to_vec(),
        };
        Encoder::new(codec).unwrap().seal(frame).unwrap().0
    }

    #[test]
    fn codecs_are_parsed_and_written() {
        for (text, codec) in [
            ("zstd", Codec::Zstd(1)),
            ("zstd:22", Codec::Zstd(22)),
            ("gzip", Codec::Gzip(6)),
            ("gzip:9", Codec::Gzip(9)),
            ("lz4", Codec::Lz4),
            ("none", Codec::None),
            ("0", Codec::None),
            ("5", Codec::Gzip(5)),
        ] {
            assert_eq!(text.parse::<Codec>().unwrap(), codec, "{text}");
            assert_eq!(codec.to_string().parse::<Codec>().unwrap(), codec);
        }
        for text in [
            "",
            "zst",
            "zstd:",
            "zstd:0",
            "zstd:23",
            "zstd:+3",
            "zstd:-1",
            "gzip:10",
            "lz4:1",
            "none:0",
            "10",
            "99999999999",
            "zstd:3:4",
            "ZSTD",
        ] {
            let error = text.parse::<Codec>().unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn every_codec_gives_back_what_it_took_and_declares_its_size() {
        let large: Vec<u8> = (0..3_000_000u32)
            .flat_map(|n| (n / 7).to_le_bytes())
            .collect();
        for codec in CODECS {
            for raw in [b"".as_slice(), b"a\n", &large[..70_000], &large] {
                let frame = stored(codec, raw);
                assert_eq!(
                    declared_raw(codec, &frame.stored),
                    Some(raw.len() as u64),
                    "{codec}"
                );
                assert_eq!(unseal(&frame, codec, 1 << 30).unwrap(), raw, "{codec}");
            }
        }
    }

    #[test]
    fn an_encoder_gives_the_same_bytes_every_time() {
        let raw: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        for codec in CODECS {
            let mut encoder = Encoder::new(codec).unwrap();
            let first = encoder.pack(&raw).unwrap();
            encoder.pack(&raw[..1000]).unwrap();
            assert_eq!(encoder.pack(&raw).unwrap(), first, "{codec}");
        }
    }

    #[test]
    fn a_frame_is_the_same_whatever_came_before_and_wherever_it_goes() {
        let raw = |rows: u64, length: usize| RawFrame {
            entry: 1,
            chunk: 0,
            frame: 0,
            rows,
            raw: (0..rows)
                .flat_map(|n| {
                    let number = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
                    format!("{number:0length$}\n").into_bytes()
                })
                .collect(),
        };
        for codec in CODECS {
            let (narrow, wide) = (raw(10_000, 10), raw(1_000, 100));
            let fresh = |raw: &RawFrame| {
                let sealed = Encoder::new(codec).unwrap().seal(raw.clone());
                sealed.unwrap().0
            };
            let mut encoder = Encoder::new(codec).unwrap();
            let mut room = Vec::new();
            for raw in [&narrow, &wide, &narrow, &wide] {
                let (stored, buffer) = encoder.seal(raw.clone()).unwrap();
                assert_eq!(stored, fresh(raw), "{codec}");
                assert!(buffer.is_empty() && buffer.capacity() >= raw.raw.len());
                let (stored, buffer) = encoder.seal_into(raw.clone(), room).unwrap();
                assert!(buffer.is_empty());
                assert_eq!(stored, fresh(raw), "{codec}");
                assert_eq!(unseal(&stored, codec, 1 << 30).unwrap(), raw.raw);
                room = stored.stored.try_into_mut().unwrap().into();
            }
        }
    }

    #[test]
    fn the_level_changes_between_frames() {
        let raw: Vec<u8> = (0..300_000u32)
            .flat_map(|n| format!("{}\t{}\n", n, n.wrapping_mul(2_654_435_761) >> 20).into_bytes())
            .collect();
        let mut encoder = Encoder::new(Codec::Zstd(1)).unwrap();
        let mut sizes = Vec::new();
        for level in [1, 9, 1, 3, 1] {
            encoder.set_zstd_level(level).unwrap();
            let packed = encoder.pack(&raw).unwrap();
            // The same as of an encoder that has always had this level.
            let fixed = Encoder::new(Codec::Zstd(level)).unwrap().pack(&raw);
            assert_eq!(packed, fixed.unwrap(), "level {level}");
            let mut unpacked = Vec::new();
            Decoder::new(Codec::Zstd(1))
                .unpack_into(&packed, raw.len() as u64, &mut unpacked)
                .unwrap();
            assert_eq!(unpacked, raw, "level {level}");
            sizes.push(packed.len());
        }
        assert!(sizes[1] < sizes[0], "{sizes:?}");
        for level in [0, -1, 23] {
            assert!(encoder.set_zstd_level(level).is_err(), "{level}");
        }
        for codec in [Codec::Gzip(1), Codec::Lz4, Codec::None] {
            assert!(Encoder::new(codec).unwrap().set_zstd_level(3).is_err());
        }
    }

    #[test]
    fn a_frame_never_gives_more_or_less_than_declared() {
        let raw = vec![b'a'; 1 << 20];
        for codec in CODECS {
            let good = stored(codec, &raw);
            for declared in [0, 1, (1 << 20) - 1, (1 << 20) + 1, 1 << 27] {
                let mut frame = good.clone();
                frame.raw_bytes = declared;
                let error = unseal(&frame, codec, 1 << 30).unwrap_err();
                assert_eq!(error.kind(), Kind::Archive, "{codec} {declared}");
            }
            assert!(unseal(&good, codec, (1 << 20) - 1).is_err());
        }
    }

    #[test]
    fn changed_bytes_do_not_unpack_to_something_else() {
        let raw: Vec<u8> = (0..2_000u32)
            .flat_map(|n| format!("{n}\n").into_bytes())
            .collect();
        for codec in [Codec::Zstd(1), Codec::Gzip(6), Codec::Lz4] {
            let good = stored(codec, &raw);
            for at in 0..good.stored.len() {
                let mut bytes = good.stored.to_vec();
                bytes[at] ^= 0x10;
                let frame = StoredFrame {
                    stored: bytes.into(),
                    ..good.clone()
                };
                match unseal(&frame, codec, 1 << 30) {
                    Ok(unpacked) => assert!(unpacked == raw, "{codec} byte {at}"),
                    Err(error) => assert_eq!(error.kind(), Kind::Archive),
                }
                let cut = StoredFrame {
                    stored: good.stored.slice(..at),
                    ..good.clone()
                };
                assert!(unseal(&cut, codec, 1 << 30).is_err(), "{codec} cut at {at}");
            }
        }
    }

    #[test]
    fn lines_are_bounded() {
        for codec in CODECS {
            let text = b"one\n\nthree\n";
            let packed = Encoder::new(codec).unwrap().pack(text).unwrap();
            let read = |size, longest| {
                lines(codec, &packed, size, longest)
                    .unwrap()
                    .collect::<Result<Vec<_>>>()
            };
            assert_eq!(
                read(11, 6).unwrap(),
                [b"one".to_vec(), Vec::new(), b"three".to_vec()]
            );
            assert!(read(11, 5).is_err());
            assert!(read(10, 6).is_err());
            assert!(read(12, 6).is_err());
        }
    }
}
