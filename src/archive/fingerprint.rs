//! The content fingerprint: which rows a table has, whatever their order, chunking or codec.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::error::{Error, Kind, Result};

/// Sum mod 2^128 of the XXH3-128 hashes (seed 0) of the rows, and their number.
///
/// A row's bytes are, in text format, its line without the newline; in binary format its tuple:
/// the 16-bit field count and the fields, without the stream's header and trailer, arrays as
/// [`ArrayColumns`](super::ArrayColumns) leaves them. Written as
/// the sum in 32 hex digits, a colon, and the number of rows in decimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint {
    sum: u128,
    rows: u64,
}

impl Fingerprint {
    /// The fingerprint of no rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one row.
    #[inline]
    pub fn add_row(&mut self, row: &[u8]) {
        self.sum = self.sum.wrapping_add(xxh3_128(row));
        self.rows += 1;
    }

    /// Adds all rows of another.
    pub fn merge(&mut self, other: &Self) {
        self.sum = self.sum.wrapping_add(other.sum);
        self.rows += other.rows;
    }

    /// Number of rows added.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The sum of the hashes.
    pub fn sum(&self) -> u128 {
        self.sum
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}:{}", self.sum, self.rows)
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (sum, rows) = text.split_once(':')?;
            let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            if sum.len() != 32 || !sum.bytes().all(hex) || !rows.bytes().all(|b| b.is_ascii_digit())
            {
                return None;
            }
            Some(Self {
                sum: u128::from_str_radix(sum, 16).ok()?,
                rows: rows.parse().ok()?,
            })
        };
        parse().ok_or_else(|| Error::new(Kind::Archive, "malformed content fingerprint"))
    }
}
