//! The few facts that are read from an X.509 certificate besides what `rustls` checks: the hash that
//! channel binding needs, and what libpq accepts that web clients do not (a common name in place of
//! alternative names, a self-signed certificate that is its own authority).
//!
//! Reads DER by tags and lengths only; anything unexpected is `None`, never a panic.

use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

const OID_COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const OID_ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// The parts of a certificate, as slices of its DER.
pub(super) struct Certificate<'a> {
    der: &'a [u8],
    signature_algorithm: &'a [u8],
    validity: &'a [u8],
    issuer: &'a [u8],
    subject: &'a [u8],
    /// With its own tag and length.
    pub(super) public_key_info: &'a [u8],
    extensions: Option<&'a [u8]>,
}

/// One tag-length-value: tag, value, the whole, what follows.
struct Element<'a> {
    tag: u8,
    value: &'a [u8],
    whole: &'a [u8],
    rest: &'a [u8],
}

fn element(bytes: &[u8]) -> Option<Element<'_>> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        let length = digits
            .iter()
            .fold(0_usize, |length, digit| length << 8 | usize::from(*digit));
        (length, rest)
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some(Element {
        tag,
        value,
        whole: &bytes[..bytes.len() - rest.len()],
        rest,
    })
}

fn expect(bytes: &[u8], tag: u8) -> Option<Element<'_>> {
    element(bytes).filter(|element| element.tag == tag)
}

/// The elements of a constructed value; ends early at anything malformed.
fn elements(mut bytes: &[u8]) -> impl Iterator<Item = Element<'_>> {
    std::iter::from_fn(move || {
        let next = element(bytes)?;
        bytes = next.rest;
        Some(next)
    })
}

impl<'a> Certificate<'a> {
    pub(super) fn parse(der: &'a [u8]) -> Option<Self> {
        let outer = expect(der, SEQUENCE)?;
        let to_be_signed = expect(outer.value, SEQUENCE)?;
        let signature_algorithm = expect(to_be_signed.rest, SEQUENCE)?.value;
        let mut rest = to_be_signed.value;
        // Version 1 certificates leave the version out.
        if let Some(version) = expect(rest, 0xa0) {
            rest = version.rest;
        }
        let serial = element(rest)?;
        let inner_algorithm = expect(serial.rest, SEQUENCE)?;
        let issuer = expect(inner_algorithm.rest, SEQUENCE)?;
        let validity = expect(issuer.rest, SEQUENCE)?;
        let subject = expect(validity.rest, SEQUENCE)?;
        let public_key_info = expect(subject.rest, SEQUENCE)?;
        let extensions = elements(public_key_info.rest)
            .find(|element| element.tag == 0xa3)
            .and_then(|tagged| expect(tagged.value, SEQUENCE))
            .map(|list| list.value);
        Some(Self {
            der,
            signature_algorithm,
            validity: validity.value,
            issuer: issuer.value,
            subject: subject.value,
            public_key_info: public_key_info.whole,
            extensions,
        })
    }

    /// The `tls-server-end-point` binding (RFC 5929): the certificate's hash by its signature's own
    /// hash function, SHA-256 where that one is MD5 or SHA-1. `None` where the binding is not
    /// defined (Ed25519).
    pub(super) fn end_point_hash(&self) -> Option<Vec<u8>> {
        let algorithm = expect(self.signature_algorithm, OID)?;
        Some(match algorithm.value {
            // RSA with MD5, SHA-1, SHA-256; ECDSA with SHA-1, SHA-256.
            [
                0x2a,
                0x86,
                0x48,
                0x86,
                0xf7,
                0x0d,
                0x01,
                0x01,
                0x04 | 0x05 | 0x0b,
            ]
            | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01]
            | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02] => Sha256::digest(self.der).to_vec(),
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c]
            | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03] => Sha384::digest(self.der).to_vec(),
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d]
            | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04] => Sha512::digest(self.der).to_vec(),
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0e]
            | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x01] => Sha224::digest(self.der).to_vec(),
            // RSASSA-PSS names its hash in its parameters; SHA-1 when it does not.
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a] => {
                let hash = expect(algorithm.rest, SEQUENCE)
                    .and_then(|parameters| expect(parameters.value, 0xa0))
                    .and_then(|tagged| expect(tagged.value, SEQUENCE))
                    .and_then(|identifier| expect(identifier.value, OID))
                    .map(|oid| oid.value);
                match hash {
                    Some([0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02]) => {
                        Sha384::digest(self.der).to_vec()
                    }
                    Some([0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03]) => {
                        Sha512::digest(self.der).to_vec()
                    }
                    _ => Sha256::digest(self.der).to_vec(),
                }
            }
            _ => return None,
        })
    }

    /// Whether the alternative names hold a DNS name or an address; then the common name does not
    /// count.
    pub(super) fn has_alternative_names(&self) -> bool {
        elements(self.extensions.unwrap_or_default())
            .filter(|extension| extension.tag == SEQUENCE)
            .filter(|extension| {
                expect(extension.value, OID).is_some_and(|oid| oid.value == OID_ALTERNATIVE_NAMES)
            })
            .filter_map(|extension| {
                let value = elements(extension.value).find(|part| part.tag == OCTET_STRING)?;
                expect(value.value, SEQUENCE)
            })
            .any(|names| elements(names.value).any(|name| matches!(name.tag, 0x82 | 0x87)))
    }

    /// Whether the subject's common name is this host, or its wildcard for one leading label.
    pub(super) fn common_name_matches(&self, host: &str) -> bool {
        elements(self.subject)
            .filter(|set| set.tag == SET)
            .flat_map(|set| elements(set.value))
            .find_map(|attribute| {
                let oid = expect(attribute.value, OID)?;
                (oid.value == OID_COMMON_NAME).then(|| element(oid.rest))?
            })
            .and_then(|name| std::str::from_utf8(name.value).ok())
            .is_some_and(|name| name_matches(name, host))
    }

    /// Whether it says that nobody else has signed it.
    pub(super) fn is_its_own_issuer(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether a moment, in seconds since 1970, is within the certificate's validity.
    pub(super) fn is_valid_at(&self, seconds: u64) -> bool {
        let mut times = elements(self.validity).map(|time| parse_time(time.tag, time.value));
        match (times.next().flatten(), times.next().flatten()) {
            (Some(from), Some(until)) => (from..=until).contains(&seconds),
            _ => false,
        }
    }
}

fn name_matches(pattern: &str, host: &str) -> bool {
    if pattern.contains('\0') {
        return false;
    }
    match pattern.strip_prefix("*.") {
        Some(domain) => host.split_once('.').is_some_and(|(label, rest)| {
            !label.is_empty() && !domain.is_empty() && rest.eq_ignore_ascii_case(domain)
        }),
        None => pattern.eq_ignore_ascii_case(host),
    }
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` as seconds since 1970.
fn parse_time(tag: u8, text: &[u8]) -> Option<u64> {
    let digits = text.strip_suffix(b"Z")?;
    let number = |range: std::ops::Range<usize>| -> Option<u64> {
        digits.get(range)?.iter().try_fold(0, |number, digit| {
            digit
                .is_ascii_digit()
                .then(|| number * 10 + u64::from(digit - b'0'))
        })
    };
    let (year, at) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let short = number(0..2)?;
            (
                if short < 50 {
                    2000 + short
                } else {
                    1900 + short
                },
                2,
            )
        }
        (GENERALIZED_TIME, 14) => (number(0..4)?, 4),
        _ => return None,
    };
    let (month, day) = (number(at..at + 2)?, number(at + 2..at + 4)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
        // A validity that begins before 1970 has begun.
        return (year < 1970).then_some(0);
    }
    // Days of the proleptic Gregorian calendar, years counted from March.
    let (years, months) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days =
        years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    let seconds =
        number(at + 4..at + 6)? * 3600 + number(at + 6..at + 8)? * 60 + number(at + 8..at + 10)?;
    Some(days * 86_400 + seconds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times() {
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "000229123456Z", Some(951_827_696)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (UTC_TIME, "500101000000Z", Some(0)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (UTC_TIME, "7001010000Z", None),
            (UTC_TIME, "70010100000xZ", None),
        ] {
            assert_eq!(parse_time(tag, text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn names() {
        for (pattern, host, expected) in [
            ("db.example.com", "DB.example.com", true),
            ("db.example.com", "xdb.example.com", false),
            ("*.example.com", "db.example.com", true),
            ("*.example.com", "a.db.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*", "db", false),
            ("10.0.0.1", "10.0.0.1", true),
        ] {
            assert_eq!(name_matches(pattern, host), expected, "{pattern} {host}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(certificate) = Certificate::parse(&bytes) {
                let _ = certificate.end_point_hash();
                let _ = certificate.has_alternative_names();
                let _ = certificate.common_name_matches("x");
                let _ = certificate.is_valid_at(0);
                let _ = certificate.is_its_own_issuer();
            }
        }
    }
}
