//! The table of contents while it grows: each entry becomes a line, and of the entry itself only what the writer
//! needs for its frames is kept. A database of very many objects never has all of its entries in memory.

use std::collections::{BTreeMap, BTreeSet};

use super::codec::Codec;
use super::entry::{CopyFormat, DataSpec, Entry, EntryId, RowsFirst};
use super::index;
use super::ledger::DataNames;
use super::manifest::{AllInPieces, InPieces};
use super::names;
use super::packed::{Packed, Stored};
use super::reader;
use super::readme::LoadScript;
use crate::error::{Error, Kind, Result};

/// A table of contents on its way into an archive.
pub struct Listing {
    codec: Codec,
    count: u64,
    lines: Packed,
    load: LoadScript,
    names: DataNames,
    data: BTreeMap<EntryId, Data>,
    rows_first: RowsFirst,
    in_pieces: AllInPieces,
    /// Entries with rows of a table.
    tables: u64,
    any_bytes: bool,
    packs: bool,
    /// The line that was written last; kept for its room.
    line: Vec<u8>,
}

/// What the frames of an entry are.
pub(super) struct Data {
    pub statistics: bool,
    /// Rows of a table.
    pub table: bool,
    pub format: CopyFormat,
    pub columns: Vec<String>,
}

/// What a writer keeps of a table of contents that is complete.
pub(super) struct Listed {
    pub count: u64,
    pub names: DataNames,
    pub data: BTreeMap<EntryId, Data>,
    pub rows_first: BTreeMap<EntryId, BTreeSet<EntryId>>,
    pub in_pieces: Vec<InPieces>,
    pub tables: u64,
    /// Some text stands for bytes that are not UTF-8.
    pub any_bytes: bool,
    /// Small tables go into packs.
    pub packs: bool,
}

impl Listing {
    /// An empty one, for an archive of this codec whose statements are in this client encoding.
    pub fn new(codec: Codec, encoding: &str) -> Self {
        Self::with(codec, LoadScript::new(codec, encoding))
    }

    /// The same for an archive in which tables of few rows share members, which are compressed as a whole: it is smaller
    /// where there are very many of them, and asks for a reader of format version 3.
    pub fn packing(codec: Codec, encoding: &str) -> Self {
        Self {
            packs: true,
            ..Self::with(codec, LoadScript::of_packs(codec, encoding))
        }
    }

    fn with(codec: Codec, load: LoadScript) -> Self {
        Self {
            codec,
            count: 0,
            lines: Packed::new(codec),
            load,
            names: DataNames::new(&[], codec),
            data: BTreeMap::new(),
            rows_first: RowsFirst::default(),
            in_pieces: AllInPieces::default(),
            tables: 0,
            any_bytes: false,
            packs: false,
            line: Vec::new(),
        }
    }

    /// One of all these entries.
    ///
    /// # Errors
    /// As [`Listing::push`].
    pub fn of(entries: &[Entry], codec: Codec, encoding: &str) -> Result<Self> {
        let mut listing = Self::new(codec, encoding);
        entries.iter().try_for_each(|entry| listing.push(entry))?;
        Ok(listing)
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the entries are not numbered 1, 2, …; [`Kind::Failed`] when there is no memory
    /// to compress it.
    pub fn push(&mut self, entry: &Entry) -> Result<()> {
        self.count += 1;
        if u64::from(entry.id) != self.count {
            return Err(Error::new(Kind::Usage, "entries must be numbered 1, 2, …"));
        }
        self.line.clear();
        serde_json::to_writer(&mut self.line, entry)
            .map_err(|error| Error::new(Kind::Failed, "render an entry").with_source(error))?;
        self.any_bytes |= has_any_bytes(&self.line);
        self.line.push(b'\n');
        self.lines.push(&self.line)?;
        self.load.push(entry)?;
        self.rows_first.push(entry);
        self.in_pieces.take(entry);
        self.names.take(entry);
        if let Some(format) = names::format_of(entry) {
            let data = Data {
                statistics: entry.has_statistics(),
                table: matches!(entry.data, Some(DataSpec::Table { .. })),
                format,
                columns: index::columns_of(entry).to_vec(),
            };
            self.data.insert(entry.id, data);
        }
        if matches!(entry.data, Some(DataSpec::Table { .. })) {
            self.tables += 1;
        }
        Ok(())
    }

    /// Number of entries.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// As [`rows_first`](super::rows_first).
    pub fn rows_first(&self) -> &BTreeMap<EntryId, BTreeSet<EntryId>> {
        self.rows_first.found()
    }

    /// All entries again, for whoever takes them without an archive. CPU work.
    ///
    /// # Errors
    /// As [`Listing::push`].
    pub fn into_entries(self) -> Result<Vec<Entry>> {
        let Stored { raw_bytes, bytes } = self.lines.finish()?;
        let pieces = self.in_pieces.into_vec();
        reader::parse_toc(self.codec, &bytes, raw_bytes, self.count, pieces)
            .map_err(|error| error.with_kind(Kind::Failed))
    }

    /// Packs what is left: the table of contents and the script that loads rows beside it. CPU work.
    pub(super) fn finish(self) -> Result<(Listed, Stored, Stored)> {
        let listed = Listed {
            count: self.count,
            names: self.names,
            data: self.data,
            rows_first: self.rows_first.into_found(),
            in_pieces: self.in_pieces.into_vec(),
            tables: self.tables,
            any_bytes: self.any_bytes,
            packs: self.packs,
        };
        Ok((listed, self.lines.finish()?, self.load.finish()?))
    }

    pub(super) fn codec(&self) -> Codec {
        self.codec
    }
}

/// Whether some text in JSON stands for bytes that are not UTF-8, as [`text_of`](crate::sql::text_of) has it.
pub(super) fn has_any_bytes(json: &[u8]) -> bool {
    memchr::memmem::find_iter(json, b"\\u0000").any(|at| {
        let before = json.get(..at).unwrap_or_default();
        let backslashes = before.iter().rev().take_while(|&&byte| byte == b'\\');
        backslashes.count() % 2 == 0
    })
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Lock, LockMode, Piece, Section, rows_first};
    use super::*;

    /// A table with its rows and a foreign key that can be made in two ways, as three entries.
    fn table(number: EntryId) -> [Entry; 3] {
        let first = 3 * number - 2;
        let name = format!("t{number}");
        let of_table = |id, kind, section| Entry {
            schema: Some(String::from("public")),
            relation: Some(name.clone()),
            owner: Some(String::from("postgres")),
            create: vec![format!("CREATE … {kind} {name} {}", "x, ".repeat(150))],
            ..Entry::new(id, kind, &name, section)
        };
        let spec = DataSpec::Table {
            format: CopyFormat::Text,
            columns: vec![String::from("a")],
            types: Vec::new(),
            declared: Vec::new(),
            copy_out: format!("COPY public.{name} TO STDOUT"),
            copy_in: format!("COPY public.{name} FROM STDIN"),
        };
        let mut rows = of_table(first + 1, "TABLE DATA", Section::Data);
        rows.create.clear();
        rows.data = Some(spec);
        rows.depends_on = if number == 1 {
            vec![first]
        } else {
            vec![first - 2, first]
        };
        let lock = Lock {
            on: first,
            mode: LockMode::ShareRowExclusive,
        };
        let mut key = of_table(first + 2, "FK CONSTRAINT", Section::PostData);
        key.split = vec![Piece {
            create: vec![String::from("ALTER TABLE …")],
            locks: vec![lock],
        }];
        [of_table(first, "TABLE", Section::PreData), rows, key]
    }

    #[test]
    fn entries_come_back_as_they_were() {
        for codec in [Codec::Zstd(1), Codec::None] {
            let entries: Vec<Entry> = (1..=40).flat_map(table).collect();
            let listing = Listing::of(&entries, codec, "UTF8").unwrap();
            assert_eq!((listing.len(), listing.tables), (120, 40));
            assert_eq!(*listing.rows_first(), rows_first(&entries));
            assert_eq!(listing.rows_first().len(), 39);
            assert_eq!(listing.into_entries().unwrap(), entries);
        }
    }

    #[test]
    fn bytes_of_another_encoding_are_seen() {
        for (name, any_bytes) in [("größe", false), ("a\\u0000", false), ("gr\0öe", true)] {
            let json = serde_json::to_vec(name).unwrap();
            assert_eq!(has_any_bytes(&json), any_bytes, "{name:?}");
        }
    }

    #[test]
    fn entries_have_numbers_without_gaps() {
        let [_, rows, _] = table(1);
        let mut listing = Listing::new(Codec::None, "UTF8");
        let error = listing.push(&rows).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
    }

    #[test]
    fn little_is_kept_of_an_entry_without_data() {
        let mut listing = Listing::new(Codec::Zstd(1), "UTF8");
        let mut raw_bytes = 0;
        for number in 1..=30_000 {
            let [mut entry, ..] = table(number);
            entry.id = number;
            raw_bytes += entry.create[0].len();
            listing.push(&entry).unwrap();
        }
        assert!(listing.data.is_empty() && listing.rows_first().is_empty());
        let held = listing.lines.held_bytes();
        assert!(raw_bytes > 10 << 20, "{raw_bytes}");
        assert!(held < raw_bytes / 2, "{held} of {raw_bytes} bytes");
    }
}
