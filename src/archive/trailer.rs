//! The trailer: 512 bytes at the end that say where the index is. An archive without one is
//! unfinished.

use super::codec::Codec;
use super::digest::sha256;
use super::index::TableLine;
use super::manifest::{ArchiveId, Manifest, Timestamp, check_version};
use crate::error::{Error, Kind, Result};

/// Length of the trailer's content.
pub(super) const TRAILER_BYTES: usize = 512;

const MAGIC: &[u8; 16] = b"pgstow-trailer\r\n";

/// The trailer's fields: offset, length and name, as the specification lists them. Numbers are
/// little-endian.
#[cfg(test)]
pub(super) const FIELDS: [(usize, usize, &str); 21] = [
    (0, 16, "magic"),
    (16, 4, "format_version"),
    (20, 4, "min_reader_version"),
    (24, 16, "archive_id"),
    (40, 8, "created"),
    (48, 8, "archive_bytes"),
    (56, 8, "index_offset"),
    (64, 8, "index_stored_bytes"),
    (72, 8, "index_raw_bytes"),
    (80, 32, "index_sha256"),
    (112, 8, "sums_offset"),
    (120, 8, "sums_bytes"),
    (128, 32, "sums_sha256"),
    (160, 8, "members"),
    (168, 8, "tables"),
    (176, 8, "frames"),
    (184, 8, "rows"),
    (192, 8, "raw_bytes"),
    (200, 8, "stored_bytes"),
    (208, 4, "codec"),
    (480, 32, "sha256"),
];

/// What the trailer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    pub format_version: u32,
    pub min_reader_version: u32,
    pub archive_id: ArchiveId,
    pub created: Timestamp,
    /// Length of the whole archive.
    pub archive_bytes: u64,
    pub index_offset: u64,
    pub index_stored_bytes: u64,
    pub index_raw_bytes: u64,
    pub index_sha256: [u8; 32],
    pub sums_offset: u64,
    pub sums_bytes: u64,
    pub sums_sha256: [u8; 32],
    /// Number of members that SHA256SUMS lists.
    pub members: u64,
    pub tables: u64,
    pub frames: u64,
    pub rows: u64,
    pub raw_bytes: u64,
    pub stored_bytes: u64,
    /// How the index is compressed, the level left out.
    pub codec: u32,
}

/// The number of a codec in the trailer.
fn codec_number(codec: Codec) -> u32 {
    match codec {
        Codec::None => 0,
        Codec::Gzip(_) => 1,
        Codec::Lz4 => 2,
        Codec::Zstd(_) => 3,
    }
}

impl Trailer {
    /// A trailer with everything but where index and SHA256SUMS are.
    pub(super) fn new(manifest: &Manifest, tables: &[TableLine]) -> Self {
        // The numbers of a hostile index may be beyond 64 bits; then they agree with no trailer.
        let (mut frames, mut rows, mut raw_bytes, mut stored_bytes) = (0u64, 0u64, 0u64, 0u64);
        for table in tables {
            let totals = table.totals();
            frames = frames.saturating_add(totals.frames);
            rows = rows.saturating_add(totals.rows);
            raw_bytes = raw_bytes.saturating_add(totals.raw_bytes);
            stored_bytes = stored_bytes.saturating_add(totals.stored_bytes);
        }
        Self {
            format_version: manifest.format_version,
            min_reader_version: manifest.min_reader_version,
            archive_id: manifest.archive_id,
            created: manifest.created,
            archive_bytes: 0,
            index_offset: 0,
            index_stored_bytes: 0,
            index_raw_bytes: 0,
            index_sha256: [0; 32],
            sums_offset: 0,
            sums_bytes: 0,
            sums_sha256: [0; 32],
            members: 0,
            tables: tables.len() as u64,
            frames,
            rows,
            raw_bytes,
            stored_bytes,
            codec: codec_number(manifest.codec),
        }
    }

    /// The codec by its number, with any level.
    pub(super) fn codec(&self) -> Result<Codec> {
        match self.codec {
            0 => Ok(Codec::None),
            1 => Ok(Codec::Gzip(6)),
            2 => Ok(Codec::Lz4),
            3 => Ok(Codec::Zstd(1)),
            _ => Err(Error::new(
                Kind::Archive,
                "damaged trailer: unknown compression",
            )),
        }
    }

    /// The trailer's bytes.
    pub(super) fn encode(&self) -> [u8; TRAILER_BYTES] {
        let numbers = [
            self.archive_bytes,
            self.index_offset,
            self.index_stored_bytes,
            self.index_raw_bytes,
        ];
        let totals = [
            self.members,
            self.tables,
            self.frames,
            self.rows,
            self.raw_bytes,
            self.stored_bytes,
        ];
        let mut content = Vec::with_capacity(TRAILER_BYTES);
        content.extend_from_slice(MAGIC);
        content.extend_from_slice(&self.format_version.to_le_bytes());
        content.extend_from_slice(&self.min_reader_version.to_le_bytes());
        content.extend_from_slice(&self.archive_id.0);
        content.extend_from_slice(&self.created.0.to_le_bytes());
        content.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        content.extend_from_slice(&self.index_sha256);
        content.extend_from_slice(&self.sums_offset.to_le_bytes());
        content.extend_from_slice(&self.sums_bytes.to_le_bytes());
        content.extend_from_slice(&self.sums_sha256);
        content.extend(totals.iter().flat_map(|number| number.to_le_bytes()));
        content.extend_from_slice(&self.codec.to_le_bytes());
        content.resize(TRAILER_BYTES - 32, 0);
        let own = sha256(&content);
        let mut bytes = [0; TRAILER_BYTES];
        bytes[..TRAILER_BYTES - 32].copy_from_slice(&content);
        bytes[TRAILER_BYTES - 32..].copy_from_slice(&own);
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`Kind::Archive`] when the trailer is damaged or of a version that needs a newer reader.
    pub(super) fn decode(bytes: &[u8; TRAILER_BYTES]) -> Result<Self> {
        let damaged = || Error::new(Kind::Archive, "damaged trailer");
        let (content, own) = bytes.split_at(TRAILER_BYTES - 32);
        if !content.starts_with(MAGIC) || sha256(content) != own {
            return Err(damaged());
        }
        let mut fields = Fields(&content[MAGIC.len()..]);
        let format_version = fields.u32().ok_or_else(damaged)?;
        let min_reader_version = fields.u32().ok_or_else(damaged)?;
        check_version(min_reader_version, None)?;
        let mut read = move || {
            Some(Self {
                format_version,
                min_reader_version,
                archive_id: ArchiveId(fields.take()?),
                created: Timestamp(fields.u64()?),
                archive_bytes: fields.u64()?,
                index_offset: fields.u64()?,
                index_stored_bytes: fields.u64()?,
                index_raw_bytes: fields.u64()?,
                index_sha256: fields.take()?,
                sums_offset: fields.u64()?,
                sums_bytes: fields.u64()?,
                sums_sha256: fields.take()?,
                members: fields.u64()?,
                tables: fields.u64()?,
                frames: fields.u64()?,
                rows: fields.u64()?,
                raw_bytes: fields.u64()?,
                stored_bytes: fields.u64()?,
                codec: fields.u32()?,
            })
        };
        read().ok_or_else(damaged)
    }
}

/// Takes fields off the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every field another value, so that a swap is seen.
    pub(crate) fn example() -> Trailer {
        Trailer {
            format_version: 1,
            min_reader_version: 1,
            archive_id: ArchiveId([0xa0; 16]),
            created: Timestamp(0x11),
            archive_bytes: 0x12,
            index_offset: 0x13,
            index_stored_bytes: 0x14,
            index_raw_bytes: 0x15,
            index_sha256: [0xb0; 32],
            sums_offset: 0x16,
            sums_bytes: 0x17,
            sums_sha256: [0xc0; 32],
            members: 0x18,
            tables: 0x19,
            frames: 0x1a,
            rows: 0x1b,
            raw_bytes: 0x1c,
            stored_bytes: 0x1d,
            codec: 3,
        }
    }

    #[test]
    fn a_trailer_goes_there_and_back() {
        let trailer = example();
        assert_eq!(Trailer::decode(&trailer.encode()).unwrap(), trailer);
        assert_eq!(trailer.codec().unwrap(), Codec::Zstd(1));
    }

    #[test]
    fn the_fields_are_where_they_are_said_to_be() {
        let bytes = example().encode();
        let at = |name: &str| {
            let (offset, length, _) = FIELDS.iter().find(|field| field.2 == name).unwrap();
            &bytes[*offset..offset + length]
        };
        assert_eq!(at("magic"), MAGIC);
        assert_eq!(at("format_version"), 1u32.to_le_bytes());
        assert_eq!(at("archive_id"), [0xa0; 16]);
        for (name, value) in [
            ("created", 0x11u64),
            ("archive_bytes", 0x12),
            ("index_offset", 0x13),
            ("index_stored_bytes", 0x14),
            ("index_raw_bytes", 0x15),
            ("sums_offset", 0x16),
            ("sums_bytes", 0x17),
            ("members", 0x18),
            ("tables", 0x19),
            ("frames", 0x1a),
            ("rows", 0x1b),
            ("raw_bytes", 0x1c),
            ("stored_bytes", 0x1d),
        ] {
            assert_eq!(at(name), value.to_le_bytes(), "{name}");
        }
        assert_eq!(at("index_sha256"), [0xb0; 32]);
        assert_eq!(at("sums_sha256"), [0xc0; 32]);
        assert_eq!(at("codec"), 3u32.to_le_bytes());
        assert_eq!(at("sha256"), sha256(&bytes[..480]));
        assert!(bytes[212..480].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn the_specification_lists_these_fields() {
        let document = include_str!("../../docs/archive-format-v1.md");
        let trailer = document.split("\n## The trailer\n").nth(1).unwrap();
        let listed: Vec<(usize, usize, &str)> = trailer
            .lines()
            .skip_while(|line| !line.starts_with("|---"))
            .skip(1)
            .take_while(|line| line.starts_with('|'))
            .map(|line| {
                let cells: Vec<&str> = line.split('|').map(str::trim).collect();
                let name = cells[3].trim_matches('`');
                (cells[1].parse().unwrap(), cells[2].parse().unwrap(), name)
            })
            .collect();
        assert_eq!(listed, FIELDS);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let good = example().encode();
        for bit in 0..good.len() * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Trailer::decode(&bytes).unwrap_err().kind(), Kind::Archive);
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut trailer = example();
        trailer.min_reader_version = 4;
        let error = Trailer::decode(&trailer.encode()).unwrap_err();
        assert!(error.message().contains("format version 4"), "{error}");
    }
}
