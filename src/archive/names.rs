//! Names of members.
//!
//! Only `A-Z a-z 0-9 _ - . % ~ /` occur in them, so that they mean themselves to every shell,
//! file system and `sha256sum`. The true names of tables are in the table of contents.

use std::fmt::Write as _;

use super::codec::Codec;
use super::digest::{hex, sha256};
use super::entry::{CopyFormat, DataSpec, Entry, EntryId};
use crate::sql::bytes_of;

pub(super) const README: &str = "README.txt";
pub(super) const MANIFEST: &str = "pgstow/archive.json";
pub(super) const SUMS: &str = "SHA256SUMS";
pub(super) const TRAILER: &str = "pgstow/trailer";

pub(super) fn toc(codec: Codec) -> String {
    format!("pgstow/toc.jsonl{}", codec.extension())
}

pub(super) fn globals(codec: Codec) -> String {
    format!("pgstow/globals.jsonl{}", codec.extension())
}

pub(super) fn globals_script(codec: Codec) -> String {
    format!("schema/globals.sql{}", codec.extension())
}

pub(super) fn pre_data(codec: Codec) -> String {
    format!("schema/pre-data.sql{}", codec.extension())
}

pub(super) fn load(codec: Codec) -> String {
    format!("schema/load.sh{}", codec.extension())
}

pub(super) fn post_data(codec: Codec) -> String {
    format!("schema/post-data.sql{}", codec.extension())
}

pub(super) fn index(codec: Codec) -> String {
    format!("pgstow/index.jsonl{}", codec.extension())
}

/// Most bytes that a schema's or table's name takes in a member's name.
const COMPONENT_MAX: usize = 64;

/// The format of an entry's frames, for entries that have frames.
pub(super) fn format_of(entry: &Entry) -> Option<CopyFormat> {
    entry.data.as_ref().map(|data| match data {
        DataSpec::Table { format, .. } => *format,
        DataSpec::LargeObjects => CopyFormat::Binary,
        // Lines, whatever is in them.
        DataSpec::Statistics { .. } => CopyFormat::Text,
    })
}

/// What the names of an entry's frames say that they hold, for entries that have frames.
pub(super) fn sort_of(entry: &Entry) -> Option<&'static str> {
    entry.data.as_ref().map(|data| match data {
        DataSpec::Table {
            format: CopyFormat::Text,
            ..
        } => "copy",
        DataSpec::Table { .. } | DataSpec::LargeObjects => "copybin",
        DataSpec::Statistics { .. } => "jsonl",
    })
}

/// The directory of an entry's frames, without a slash at its end.
pub(super) fn directory(entry: &Entry) -> String {
    match entry.data {
        Some(DataSpec::LargeObjects) => return format!("blobs/{:06}", entry.id),
        Some(DataSpec::Statistics { .. }) => return format!("statistics/{:06}", entry.id),
        Some(DataSpec::Table { .. }) | None => {}
    }
    let mut name = format!("data/{:06}", entry.id);
    if let Some(schema) = &entry.schema {
        name.push('.');
        name.push_str(&component(schema));
    }
    name.push('.');
    name.push_str(&component(&entry.name));
    name
}

/// The name of a pack.
pub(super) fn pack(number: u32, sha256: &[u8; 32], codec: Codec) -> String {
    let digest = hex(&sha256[..8]);
    format!("data/pack-{number:06}-{digest}.tar{}", codec.extension())
}

/// Whether a name is a pack's. Whether it is exactly the one that this pack has is for the caller to check, by
/// making it again.
pub(super) fn is_pack(name: &str) -> bool {
    name.starts_with("data/pack-")
}

/// The name of a frame within `directory`.
pub(super) fn frame(
    directory: &str,
    chunk: u32,
    frame: u32,
    sha256: &[u8; 32],
    sort: &str,
    codec: Codec,
) -> String {
    let digest = hex(&sha256[..8]);
    let extension = codec.extension();
    format!("{directory}/{chunk:05}-{frame:06}-{digest}.{sort}{extension}")
}

/// The name of the member that ends an entry's frames.
pub(super) fn complete(directory: &str) -> String {
    format!("{directory}/complete.json")
}

/// What a member's name says about a member of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataMember<'a> {
    /// A frame, with the digest in its name.
    Frame {
        entry: EntryId,
        chunk: u32,
        frame: u32,
        digest: &'a str,
    },
    /// The end of an entry's frames.
    Complete { entry: EntryId },
}

/// Takes the name of a data member apart; `None` for any other name. Whether the name is exactly
/// the one that this entry's member has is for the caller to check, by making it again.
pub(super) fn parse_data(name: &str) -> Option<DataMember<'_>> {
    let rest = name
        .strip_prefix("data/")
        .or_else(|| name.strip_prefix("blobs/"))
        .or_else(|| name.strip_prefix("statistics/"))?;
    let (directory, base) = rest.split_once('/')?;
    let entry = directory.split('.').next()?.parse().ok()?;
    if base == "complete.json" {
        return Some(DataMember::Complete { entry });
    }
    let mut parts = base.splitn(3, '-');
    let chunk = parts.next()?.parse().ok()?;
    let frame = parts.next()?.parse().ok()?;
    let digest = parts.next()?.get(..16)?;
    Some(DataMember::Frame {
        entry,
        chunk,
        frame,
        digest,
    })
}

/// Whether a name consists of what member names may consist of, and stays where it is unpacked.
pub(super) fn is_safe(name: &str) -> bool {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.%~".contains(&byte);
    name.split('/')
        .all(|part| !part.is_empty() && part != "." && part != ".." && part.bytes().all(safe))
}

/// A schema's or table's name as part of a member's name: every byte outside `A-Z a-z 0-9 _ -`
/// becomes `%` and two hex digits; what is then longer than 64 bytes is cut (not within such a
/// triple) to at most 47 and gets `~` and 16 hex digits of the SHA-256 of the whole true name.
fn component(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    let mut cut = 0;
    let bytes = bytes_of(name);
    for &byte in bytes.iter() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        if encoded.len() <= COMPONENT_MAX - 17 {
            cut = encoded.len();
        }
    }
    if encoded.len() > COMPONENT_MAX {
        encoded.truncate(cut);
        encoded.push('~');
        encoded.push_str(&hex(&sha256(&bytes)[..8]));
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tar;
    use super::*;
    use crate::archive::Section;
    use crate::sql::text_of;

    pub(crate) fn table(id: EntryId, schema: &str, name: &str) -> Entry {
        Entry {
            schema: Some(schema.to_owned()),
            data: Some(DataSpec::Table {
                format: CopyFormat::Text,
                columns: vec!["a".to_owned()],
                types: Vec::new(),
                declared: Vec::new(),
                copy_out: String::new(),
                copy_in: String::new(),
            }),
            ..Entry::new(id, "TABLE DATA", name, Section::Data)
        }
    }

    #[test]
    fn plain_names_stay_readable() {
        assert_eq!(
            directory(&table(7, "public", "orders")),
            "data/000007.public.orders"
        );
        assert_eq!(
            frame(
                "data/000007.public.orders",
                0,
                12,
                &[0xab; 32],
                "copybin",
                Codec::Zstd(1)
            ),
            "data/000007.public.orders/00000-000012-abababababababab.copybin.zst"
        );
    }

    #[test]
    fn awkward_names_are_encoded_and_cut() {
        assert_eq!(component("a/b"), "a%2Fb");
        assert_eq!(component(".."), "%2E%2E");
        assert_eq!(component("ä\n'$"), "%C3%A4%0A%27%24");
        assert_eq!(component(&text_of(b"gr\xf6\xdfe")), "gr%F6%DFe");
        assert_eq!(component(&"x".repeat(64)), "x".repeat(64));
        assert_eq!(
            component(&"x".repeat(65)),
            format!(
                "{}~{}",
                "x".repeat(47),
                &hex(&sha256("x".repeat(65).as_bytes()))[..16]
            )
        );
        // Never cut within a triple.
        assert!(
            component(&"ä".repeat(31)).starts_with(&format!("{}~", "%C3%A4".repeat(7) + "%C3"))
        );
    }

    #[test]
    fn paths_that_leave_are_not_safe() {
        for name in [
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "",
            "a/",
            "a b",
            "a\\b",
            "./a",
        ] {
            assert!(!is_safe(name), "{name:?}");
        }
        assert!(is_safe("data/000001.public.%C3%A4~0011/complete.json"));
    }

    proptest! {
        #[test]
        fn every_name_fits_parses_and_is_safe(schema in ".{0,80}", name in "\\PC{0,80}",
                id in 1u32.., chunk: u32, number: u32) {
            let entry = table(id, &schema, &name);
            let directory = directory(&entry);
            let member = frame(&directory, chunk, number, &[7; 32], "copybin", Codec::Lz4);
            prop_assert!(tar::encode(&member, 1, 1).is_ok());
            let expected = DataMember::Frame { entry: id, chunk, frame: number, digest: "0707070707070707" };
            prop_assert_eq!(parse_data(&member), Some(expected));
            let complete = complete(&directory);
            prop_assert!(tar::encode(&complete, 1, 1).is_ok());
            prop_assert_eq!(parse_data(&complete), Some(DataMember::Complete { entry: id }));
            // Empty names do not occur in PostgreSQL.
            prop_assert!(is_safe(&member) && is_safe(&complete));
        }
    }
}
