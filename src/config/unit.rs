//! Sizes and times with units, as PostgreSQL's settings have them.

use std::time::Duration;

use crate::error::{Error, Kind, Result};

/// A size with a unit of PostgreSQL's settings, powers of 1024; without one, bytes.
///
/// # Errors
/// [`Kind::Usage`] for anything else.
pub fn bytes(text: &str) -> Result<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: Option<u64> = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kb" | "kib" => Some(1 << 10),
        "m" | "mb" | "mib" => Some(1 << 20),
        "g" | "gb" | "gib" => Some(1 << 30),
        "t" | "tb" | "tib" => Some(1 << 40),
        _ => None,
    };
    factor
        .zip(digits.parse::<u64>().ok())
        .and_then(|(factor, number)| number.checked_mul(factor))
        .ok_or_else(|| {
            Error::new(Kind::Usage, format!("malformed size \"{text}\""))
                .with_hint("write it as 536870912, 512MB or 1GB")
        })
}

/// A time with a unit of PostgreSQL's settings; without one, milliseconds.
fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: Option<u64> = match &text[digits.len()..] {
        "" | "ms" => Some(1),
        "s" => Some(1_000),
        "min" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let number = digits.parse::<u64>().ok();
    let total = factor
        .zip(number)
        .and_then(|(factor, number)| number.checked_mul(factor));
    total.filter(|&total| total > 0)
}

/// A time that a server is told, such as a timeout of locks: at most 24 days.
///
/// # Errors
/// [`Kind::Usage`] for anything else.
pub fn server_duration(text: &str) -> Result<Duration> {
    milliseconds(text)
        .filter(|&total| total <= i32::MAX as u64)
        .map(Duration::from_millis)
        .ok_or_else(|| {
            Error::new(Kind::Usage, format!("malformed time \"{text}\""))
                .with_hint("write it as 5000 (milliseconds), 30s, 2min or 1h; at most 24 days")
        })
}

/// A time of any length; `off` is none.
///
/// # Errors
/// [`Kind::Usage`] for anything else.
pub fn duration(text: &str) -> Result<Option<Duration>> {
    if text == "off" {
        return Ok(None);
    }
    match milliseconds(text) {
        Some(total) => Ok(Some(Duration::from_millis(total))),
        None => Err(
            Error::new(Kind::Usage, format!("malformed time \"{text}\""))
                .with_hint("write it as 30min, 26h, 8d or off"),
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("123", 123),
            ("64kB", 65_536),
            ("2GB", 2 << 30),
            ("1M", 1 << 20),
        ] {
            assert_eq!(bytes(text).unwrap(), expected);
        }
        for text in ["", "MB", "1.5GB", "-1", "1xb", "99999999999TB"] {
            assert_eq!(bytes(text).unwrap_err().kind(), Kind::Usage, "{text}");
        }
    }

    #[test]
    fn times() {
        for (text, expected) in [("5000", 5_000), ("250ms", 250), ("2min", 120_000)] {
            let expected = Duration::from_millis(expected);
            assert_eq!(server_duration(text).unwrap(), expected);
            assert_eq!(duration(text).unwrap(), Some(expected));
        }
        for text in ["", "0", "s", "1 s", "1m", "99999999999999999999d"] {
            let error = server_duration(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(server_duration("30d").is_err());
        assert_eq!(
            duration("30d").unwrap(),
            Some(Duration::from_secs(30 * 86_400))
        );
        assert_eq!(duration("off").unwrap(), None);
    }
}
