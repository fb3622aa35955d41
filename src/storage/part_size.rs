//! How large the parts of an upload are.

use crate::error::{Error, Kind, Result};

const MIB: u64 = 1 << 20;

/// Most parts that every store takes.
pub(super) const PARTS_MAX: u64 = 10_000;

/// What a store takes least, but for the last part.
const SMALLEST: u64 = 5 * MIB;

/// What a store takes most in one part.
const LARGEST: u64 = 4096 * MIB;

/// A rule that gives each part its size before the length of the whole is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartSizes {
    /// Twice as large after every thousand parts: little memory for most archives, and 5 TiB, the
    /// most that a store takes, before the parts run out.
    Growing,
    /// All the same, which some stores demand.
    Fixed(u64),
}

impl PartSizes {
    /// Bytes of a part, counted from 0; `None` when there can be no more parts.
    pub(super) fn of(self, part: u64) -> Option<u64> {
        match self {
            _ if part >= PARTS_MAX => None,
            Self::Fixed(bytes) => Some(bytes),
            Self::Growing => Some((8 * MIB) << (part / 1000)),
        }
    }

    /// Reads `64MiB`, `64MB` or a number of bytes.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(
                Kind::Usage,
                format!("PGSTOW_PART_SIZE={text}: not a size from 5MiB to 4096MiB"),
            )
        };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = match unit.trim() {
            "" => 1,
            "M" | "MB" | "MiB" => MIB,
            "G" | "GB" | "GiB" => 1024 * MIB,
            _ => return Err(wrong()),
        };
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(unit))
            .filter(|bytes| (SMALLEST..=LARGEST).contains(bytes))
            .map(Self::Fixed)
            .ok_or_else(wrong)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn growing_parts_reach_the_largest_object_in_time() {
        let sizes: Vec<u64> = (0..)
            .map_while(|part| PartSizes::Growing.of(part))
            .collect();
        assert_eq!(sizes.len() as u64, PARTS_MAX);
        assert!(sizes.iter().sum::<u64>() > 5 << 40);
        assert!(sizes.iter().all(|size| (SMALLEST..=LARGEST).contains(size)));
        assert!(sizes.is_sorted());
        // Memory stays in proportion: a part is never more than a five-hundredth of what is before.
        let mut before = 0;
        for (part, size) in sizes.iter().enumerate() {
            assert!(part < 1000 || size * 500 <= before, "part {part}");
            before += size;
        }
    }

    #[test]
    fn a_size_is_read_or_refused() {
        assert_eq!(
            PartSizes::parse("64MiB").unwrap(),
            PartSizes::Fixed(64 * MIB)
        );
        assert_eq!(
            PartSizes::parse("1 GB").unwrap(),
            PartSizes::Fixed(1024 * MIB)
        );
        assert_eq!(
            PartSizes::parse("5242880").unwrap(),
            PartSizes::Fixed(5 * MIB)
        );
        for text in [
            "",
            "64",
            "4MiB",
            "5GiB",
            "-1",
            "64KiB",
            "99999999999999999999GiB",
        ] {
            assert_eq!(
                PartSizes::parse(text).unwrap_err().kind(),
                Kind::Usage,
                "{text}"
            );
        }
        assert_eq!(PartSizes::Fixed(SMALLEST).of(PARTS_MAX), None);
    }
}
