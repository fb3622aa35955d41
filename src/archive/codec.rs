//! Compression of frames and members.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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

/// Compresses and hashes frames, one after the other, on one thread; contexts and buffers are
/// reused. CPU work only: run it on a blocking worker.
pub struct Encoder {
    codec: Codec,
}

impl Encoder {
    /// An encoder for this codec.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the codec does not take this level.
    pub fn new(codec: Codec) -> Result<Self> {
        Ok(Self { codec })
    }

    /// Compresses and hashes one frame; gives its buffer back, emptied, for the next.
    ///
    /// # Errors
    /// [`Kind::Failed`] when compression fails, which only a lack of memory can cause.
    pub fn seal(&mut self, raw: RawFrame) -> Result<(StoredFrame, Vec<u8>)> {
        let _ = (self.codec, raw);
        todo!()
    }
}

/// Decompresses frames, one after the other, on one thread; contexts are reused.
pub struct Decoder {
    codec: Codec,
}

impl Decoder {
    /// A decoder for this codec.
    pub fn new(codec: Codec) -> Self {
        Self { codec }
    }

    /// Decompresses one frame into `raw`, whose former content is lost. Never gives more than the
    /// frame's declared raw size, nor more than `max_raw` bytes.
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
        let _ = (self.codec, frame, max_raw, raw);
        todo!()
    }
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
