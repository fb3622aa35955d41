//! Tar headers: POSIX ustar, with a pax extended header only for sizes that ustar cannot hold.
//!
//! A header is a function of name, size and time alone, so that a reader can tell a genuine one
//! by making it again: a changed byte is found even where the header's own checksum is blind.

use crate::error::{Error, Kind, Result};

/// Unit of a tar: headers are one block, contents are padded to whole blocks.
pub(super) const BLOCK: usize = 512;

/// [`BLOCK`] for arithmetic on offsets.
pub(super) const BLOCK_BYTES: u64 = 512;

/// Two zero blocks, which end every tar.
pub(super) const END_BYTES: u64 = 2 * BLOCK_BYTES;

/// Largest number in a ustar size or time field: eleven octal digits.
pub(super) const USTAR_MAX: u64 = 0o777_7777_7777;

/// Name of the pax extended header member.
const PAX_NAME: &[u8] = b"PaxHeaders/size";

/// Largest content size that is believed: it keeps all arithmetic on offsets within 64 bits.
const SIZE_MAX: u64 = 1 << 60;

const NAME: usize = 0;
const MODE: usize = 100;
const SIZE: usize = 124;
const MTIME: usize = 136;
const CHECKSUM: usize = 148;
const TYPE: usize = 156;
const MAGIC: usize = 257;
const DEVICE: usize = 329;
const PREFIX: usize = 345;

/// What a member's header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The member's name.
    pub name: String,
    /// Bytes of content.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: u64,
}

/// How many bytes the header of a member with so much content takes.
pub(super) fn header_bytes(size: u64) -> u64 {
    if size > USTAR_MAX {
        3 * BLOCK_BYTES
    } else {
        BLOCK_BYTES
    }
}

/// How many zero bytes follow so much content.
pub(super) fn padding(size: u64) -> usize {
    // Always below one block.
    (size.wrapping_neg() % BLOCK_BYTES) as usize
}

/// The header of a member.
///
/// # Errors
/// [`Kind::Failed`] when the name does not fit into ustar's fields or the time is beyond 2242;
/// names made by this library always fit.
pub(super) fn encode(name: &str, size: u64, mtime: u64) -> Result<Vec<u8>> {
    let (prefix, base) = split(name).ok_or_else(|| {
        Error::new(
            Kind::Failed,
            format!("the member name {name:?} does not fit into a tar header"),
        )
    })?;
    if mtime > USTAR_MAX || size > SIZE_MAX {
        return Err(Error::new(
            Kind::Failed,
            "a size or time does not fit into a tar header",
        ));
    }
    if size <= USTAR_MAX {
        return Ok(block(prefix, base, size, mtime, b'0').to_vec());
    }
    let record = pax_size(size);
    let mut bytes = Vec::with_capacity(3 * BLOCK);
    bytes.extend_from_slice(&block(b"", PAX_NAME, record.len() as u64, mtime, b'x'));
    bytes.extend_from_slice(record.as_bytes());
    bytes.resize(2 * BLOCK, 0);
    bytes.extend_from_slice(&block(prefix, base, 0, mtime, b'0'));
    Ok(bytes)
}

/// What [`next_header`] found at the start of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A header, of which so many bytes were used.
    Header(Header, usize),
    /// So many bytes are needed to tell.
    Needs(usize),
    /// A zero block.
    Zero,
}

/// Reads the header at the start of `bytes` and checks that it is exactly what [`encode`] makes.
///
/// # Errors
/// [`Kind::Archive`] when it is not.
pub(super) fn next_header(bytes: &[u8]) -> Result<Parsed> {
    let Some(first) = bytes.first_chunk::<BLOCK>() else {
        return Ok(Parsed::Needs(BLOCK));
    };
    if first.iter().all(|byte| *byte == 0) {
        return Ok(Parsed::Zero);
    }
    let (plain, pax, used) = match first[TYPE] {
        b'0' => (first, None, BLOCK),
        b'x' => {
            if bytes.len() < 3 * BLOCK {
                return Ok(Parsed::Needs(3 * BLOCK));
            }
            let (_, rest) = bytes.split_at(2 * BLOCK);
            let plain = rest.first_chunk::<BLOCK>().ok_or_else(damaged)?;
            let record = bytes.get(BLOCK..2 * BLOCK).ok_or_else(damaged)?;
            (plain, Some(parse_pax_size(record)?), 3 * BLOCK)
        }
        _ => return Err(damaged()),
    };
    let name = join(plain)?;
    let size = match pax {
        Some(size) => size,
        None => octal(&plain[SIZE..SIZE + 12])?,
    };
    let mtime = octal(&plain[MTIME..MTIME + 12])?;
    let again = encode(&name, size, mtime).map_err(|_| damaged())?;
    if bytes.get(..used) != Some(again.as_slice()) {
        return Err(damaged());
    }
    Ok(Parsed::Header(Header { name, size, mtime }, used))
}

fn damaged() -> Error {
    Error::new(Kind::Archive, "damaged tar header")
}

/// Splits a name into ustar's prefix and name fields.
fn split(name: &str) -> Option<(&[u8], &[u8])> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.contains(&0) {
        return None;
    }
    if bytes.len() <= 100 {
        return Some((b"", bytes));
    }
    let slash = bytes
        .iter()
        .enumerate()
        .position(|(at, byte)| *byte == b'/' && at > 0 && bytes.len() - at - 1 <= 100)?;
    let (prefix, base) = (&bytes[..slash], &bytes[slash + 1..]);
    (prefix.len() <= 155 && !base.is_empty()).then_some((prefix, base))
}

fn join(block: &[u8; BLOCK]) -> Result<String> {
    let until_zero = |field: &[u8]| -> Result<String> {
        let end = memchr::memchr(0, field).unwrap_or(field.len());
        String::from_utf8(field[..end].to_vec()).map_err(|_| damaged())
    };
    let base = until_zero(&block[NAME..NAME + 100])?;
    let prefix = until_zero(&block[PREFIX..PREFIX + 155])?;
    Ok(if prefix.is_empty() {
        base
    } else {
        format!("{prefix}/{base}")
    })
}

fn block(prefix: &[u8], base: &[u8], size: u64, mtime: u64, kind: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    put(&mut block, NAME, base);
    put(&mut block, MODE, b"0000644\x000000000\x000000000\0");
    put(&mut block, SIZE, format!("{size:011o}\0").as_bytes());
    put(&mut block, MTIME, format!("{mtime:011o}\0").as_bytes());
    put(&mut block, CHECKSUM, b"        ");
    block[TYPE] = kind;
    put(&mut block, MAGIC, b"ustar\x0000");
    put(&mut block, DEVICE, b"0000000\x000000000\0");
    put(&mut block, PREFIX, prefix);
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut block, CHECKSUM, format!("{sum:06o}\0 ").as_bytes());
    block
}

fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Eleven octal digits and a zero byte; no sign, no blanks, no base-256.
fn octal(field: &[u8]) -> Result<u64> {
    let Some((0, digits)) = field.split_last() else {
        return Err(damaged());
    };
    digits.iter().try_fold(0u64, |number, digit| match digit {
        b'0'..=b'7' => Ok(number * 8 + u64::from(digit - b'0')),
        _ => Err(damaged()),
    })
}

/// A pax record counts its own length, digits of that number included.
fn pax_size(size: u64) -> String {
    let rest = format!(" size={size}\n");
    let mut length = rest.len();
    loop {
        let record = format!("{length}{rest}");
        if record.len() == length {
            return record;
        }
        length = record.len();
    }
}

fn parse_pax_size(block: &[u8]) -> Result<u64> {
    let end = memchr::memchr(b'\n', block).ok_or_else(damaged)?;
    let record = std::str::from_utf8(&block[..end]).map_err(|_| damaged())?;
    let (_, size) = record.split_once(" size=").ok_or_else(damaged)?;
    if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(damaged());
    }
    // The rest of the block is compared with what `encode` makes of this number.
    match size.parse::<u64>() {
        Ok(size) if size > USTAR_MAX => Ok(size),
        _ => Err(damaged()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(bytes: &[u8]) -> Header {
        match next_header(bytes).unwrap() {
            Parsed::Header(header, used) => {
                assert_eq!(used, bytes.len());
                header
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_small_header_has_the_fields_of_posix() {
        let header = encode("pgstow/trailer", 512, 0o1234).unwrap();
        assert_eq!(header.len(), 512);
        assert_eq!(&header[..15], b"pgstow/trailer\0");
        assert_eq!(&header[100..108], b"0000644\0");
        assert_eq!(&header[124..136], b"00000001000\0");
        assert_eq!(&header[136..148], b"00000001234\0");
        assert_eq!(&header[257..265], b"ustar\x0000");
        let sum: u32 = header
            .iter()
            .enumerate()
            .map(|(at, byte)| {
                if (148..156).contains(&at) {
                    32
                } else {
                    u32::from(*byte)
                }
            })
            .sum();
        assert_eq!(&header[148..156], format!("{sum:06o}\0 ").as_bytes());
    }

    #[test]
    fn beyond_eight_gibibytes_the_size_moves_to_a_pax_header() {
        for size in [USTAR_MAX + 1, 9_999_999_999, 1 << 40, SIZE_MAX] {
            let header = encode("data/x", size, 7).unwrap();
            assert_eq!(header.len() as u64, header_bytes(size));
            assert_eq!(header[156], b'x');
            let record = format!(" size={size}\n");
            let length = record.len() + 2;
            assert_eq!(&header[512..514], length.to_string().as_bytes());
            assert_eq!(&header[514..514 + record.len()], record.as_bytes());
            assert_eq!(parsed(&header).size, size);
        }
        assert_eq!(encode("data/x", USTAR_MAX, 7).unwrap().len(), 512);
        assert!(encode("data/x", SIZE_MAX + 1, 7).is_err());
    }

    #[test]
    fn names_are_split_at_a_slash_or_refused() {
        let dir = "d".repeat(155);
        let base = "b".repeat(100);
        let long = format!("{dir}/{base}");
        assert_eq!(parsed(&encode(&long, 1, 1).unwrap()).name, long);
        assert!(encode(&format!("{dir}x/{base}"), 1, 1).is_err());
        assert!(encode(&"b".repeat(101), 1, 1).is_err());
        assert!(encode("", 1, 1).is_err());
    }

    #[test]
    fn hostile_headers_are_damage() {
        let good = encode("a", 5, 5).unwrap();
        let resum = |mut header: Vec<u8>| {
            header[148..156].copy_from_slice(b"        ");
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            header
        };
        for (at, bytes) in [
            (124, b"-0000000005\0".as_slice()),
            (124, b"\x80\0\0\0\0\0\0\0\0\0\0\x05"),
            (124, b"          5\0"),
            (156, b"2"),
            (156, b"g"),
            (0, b"\xff"),
            (500, b"x"),
        ] {
            let mut header = good.clone();
            header[at..at + bytes.len()].copy_from_slice(bytes);
            let error = next_header(&resum(header)).unwrap_err();
            assert_eq!(error.kind(), Kind::Archive);
        }
        // A pax header that claims a huge record, or one that hides a second field.
        let pax = encode("a", USTAR_MAX + 1, 5).unwrap();
        let mut huge = pax.clone();
        huge[124..136].copy_from_slice(b"77777777777\0");
        assert!(next_header(&huge).is_err());
        let mut more = pax;
        more[512 + 24..512 + 24 + 12].copy_from_slice(b"12 path=abc\n");
        assert!(next_header(&more).is_err());
    }

    proptest! {
        #[test]
        fn every_flipped_bit_is_found(size in 0u64..20_000_000_000, mtime in 0u64..4_000_000_000,
                                      bit in 0usize..4096) {
            let mut header = encode("data/000001.public.t/complete.json", size, mtime).unwrap();
            prop_assert_eq!(parsed(&header).size, size);
            let bit = bit % (header.len() * 8);
            header[bit / 8] ^= 1 << (bit % 8);
            match next_header(&header) {
                Err(error) => prop_assert_eq!(error.kind(), Kind::Archive),
                // A changed digit with a changed checksum would be another member's header;
                // one flip alone never makes one.
                Ok(other) => prop_assert!(!matches!(other, Parsed::Header(_, used) if used == header.len())),
            }
        }
    }
}
