//! `docs/archive-format-v1.md` says what the program does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgstow::archive::{Archive, Codec, CopyFormat, Fingerprint, rows_of, verify};
use pgstow::report::Silent;
use pgstow::storage::LocalSource;

use super::sample::{
    MemorySource, large_objects, piece, streamed, table_data, write, write_packed,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn example() -> PathBuf {
    root().join("fixtures/archives/v1-example.pgstow")
}

fn document() -> String {
    fs::read_to_string(root().join("docs/archive-format-v1.md")).unwrap()
}

/// The lines of the fenced block with this word behind its fence.
fn block(word: &str) -> Vec<String> {
    let document = document();
    let mut lines = document
        .lines()
        .skip_while(|line| *line != format!("```{word}"));
    assert!(lines.next().is_some(), "no block {word}");
    lines
        .take_while(|line| *line != "```")
        .map(str::to_owned)
        .collect()
}

/// The rows of the tables with this header, their cells without blanks and backquotes.
fn tables(header: &str) -> Vec<Vec<Vec<String>>> {
    let document = document();
    let mut tables = Vec::new();
    let mut lines = document.lines();
    while lines.by_ref().any(|line| line == header) {
        let rows = lines
            .by_ref()
            .skip(1)
            .take_while(|line| line.starts_with('|'))
            .map(|line| {
                let cells = line.trim_matches('|').split('|');
                cells
                    .map(|cell| cell.trim().trim_matches('`').to_owned())
                    .collect()
            });
        tables.push(rows.collect());
    }
    tables
}

/// The rows of the first table with this header.
fn table(header: &str) -> Vec<Vec<String>> {
    let tables = tables(header);
    tables
        .into_iter()
        .next()
        .unwrap_or_else(|| panic!("no table {header}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn packed_example() -> PathBuf {
    root().join("fixtures/archives/v3-packs.pgstow")
}

/// An archive with a table in two frames, large objects, and two tables in a pack, one of them empty.
async fn written_packed_example() -> Vec<u8> {
    let entries = [
        table_data(1, "public", "orders", CopyFormat::Text),
        table_data(2, "public", "Order Lines", CopyFormat::Binary),
        large_objects(3),
        table_data(4, "public", "nothing", CopyFormat::Text),
    ];
    let pieces = [
        piece(1, 0, 0, &["1\tfirst", "2\tsecond"]),
        piece(2, 0, 0, &["x", "y"]),
        piece(1, 0, 1, &["3\tthird"]),
    ];
    write_packed(Codec::None, &entries, &pieces).await.0
}

/// Writes the example with packs anew: only when the format's version 3 was never released with it.
#[tokio::test]
#[ignore = "writes fixtures/archives/v3-packs.pgstow"]
async fn write_the_example_with_packs() {
    fs::write(packed_example(), written_packed_example().await).unwrap();
}

#[tokio::test]
async fn the_example_of_version_3_is_read_for_ever() {
    let source = Arc::new(LocalSource::open(packed_example()).await.unwrap());
    let report = verify(source.clone(), Arc::new(Silent)).await.unwrap();
    assert_eq!((report.tables, report.frames, report.rows), (4, 3, 5));
    let archive = Archive::open(source).await.unwrap();
    assert_eq!(archive.manifest().min_reader_version, 3);
    let frame = &archive.table(2).unwrap().frames[0];
    assert_eq!(frame.pack, Some(0));
    let stored = archive.read_frame(frame).await.unwrap();
    let rows = rows_of(CopyFormat::Binary, &stored.stored);
    assert_eq!(rows.map(Result::unwrap).count(), 2);
    let bytes = fs::read(packed_example()).unwrap();
    assert_eq!(streamed(&bytes, &archive).await, 8);
}

#[tokio::test]
async fn packs_are_those_of_the_document() {
    for bytes in [
        fs::read(packed_example()).unwrap(),
        written_packed_example().await,
    ] {
        let members = members(&bytes);
        let names: Vec<&str> = members.iter().map(|member| member.0.as_str()).collect();
        assert_eq!(block("packs"), names);
        let pack = |member: &&(String, Vec<u8>)| member.0.starts_with("data/pack-");
        let pack = &members.iter().find(pack).unwrap().1;
        let inner = self::members(pack);
        let names: Vec<&str> = inner.iter().map(|member| member.0.as_str()).collect();
        assert_eq!(block("packed"), names);
        let index = members.iter().find(|member| member.0.contains("index"));
        let index = String::from_utf8(index.unwrap().1.clone()).unwrap();
        let lines: Vec<serde_json::Value> = index
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|line: &serde_json::Value| line["kind"] == "packed")
            .collect();
        let document = document();
        let record = document
            .lines()
            .map(str::trim)
            .find(|line| line.starts_with("{\"kind\":\"packed\""))
            .unwrap()
            .replace(":N", ":0")
            .replace(":DIGEST", ":\"\"")
            .replace(":FINGERPRINT", ":\"\"");
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        let keys = |value: &serde_json::Value| -> BTreeSet<String> {
            value.as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(lines.len(), 2);
        assert_eq!(keys(&lines[0]), keys(&record));
        let mut without_frame = keys(&record);
        without_frame.retain(|key| key != "raw_bytes" && key != "sha256");
        assert_eq!(keys(&lines[1]), without_frame);
        // The offsets are where the document says.
        for line in &lines {
            let offset = usize::try_from(line["offset"].as_u64().unwrap()).unwrap();
            let name = format!("data/{:06}.public.", line["entry"].as_u64().unwrap());
            assert!(pack[offset..].starts_with(name.as_bytes()), "{line}");
        }
    }
}

/// Writes the example archive anew: only when the format's version 1 was never released with it.
#[tokio::test]
#[ignore = "writes fixtures/archives/v1-example.pgstow"]
async fn write_the_example() {
    let entries = [
        table_data(1, "public", "orders", CopyFormat::Text),
        table_data(2, "public", "Order Lines", CopyFormat::Binary),
        large_objects(3),
    ];
    let pieces = [
        piece(1, 0, 0, &["1\tfirst", "2\tsecond"]),
        piece(2, 0, 0, &["x", "y"]),
        piece(1, 0, 1, &["3\tthird"]),
    ];
    let (bytes, _) = write(Codec::None, &entries, &pieces).await;
    fs::create_dir_all(example().parent().unwrap()).unwrap();
    fs::write(example(), bytes).unwrap();
}

#[tokio::test]
async fn the_example_of_version_1_is_read_for_ever() {
    let source = Arc::new(LocalSource::open(example()).await.unwrap());
    let report = verify(source.clone(), Arc::new(Silent)).await.unwrap();
    assert_eq!((report.tables, report.frames, report.rows), (3, 3, 5));
    let archive = Archive::open(source).await.unwrap();
    assert_eq!(archive.manifest().database, "shop");
    assert_eq!(archive.entries()[1].name, "Order Lines");
    let bytes = fs::read(example()).unwrap();
    assert_eq!(streamed(&bytes, &archive).await, 7);
}

/// Reads headers as the document has them.
fn members(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let field = |header: &[u8], name: &str| {
        let row = table("| offset | length | field | value |")
            .into_iter()
            .find(|row| row[2] == name)
            .unwrap_or_else(|| panic!("no field {name}"));
        let (offset, length): (usize, usize) = (row[0].parse().unwrap(), row[1].parse().unwrap());
        let text = String::from_utf8(header[offset..offset + length].to_vec()).unwrap();
        text.trim_end_matches('\0').to_owned()
    };
    let mut members = Vec::new();
    let mut rest = bytes;
    while rest[0] != 0 {
        let (header, after) = rest.split_at(512);
        let size = usize::from_str_radix(&field(header, "size"), 8).unwrap();
        let name = match field(header, "prefix") {
            prefix if prefix.is_empty() => field(header, "name"),
            prefix => format!("{prefix}/{}", field(header, "name")),
        };
        assert_eq!(field(header, "mode"), "0000644");
        assert_eq!(field(header, "magic"), "ustar\x0000");
        members.push((name, after[..size].to_vec()));
        rest = &after[size.next_multiple_of(512)..];
    }
    assert_eq!(rest, [0; 1024]);
    members
}

#[test]
fn the_members_and_the_trailer_are_those_of_the_example() {
    let members = members(&fs::read(example()).unwrap());
    let names: Vec<&str> = members.iter().map(|member| member.0.as_str()).collect();
    assert_eq!(block("members"), names);
    let trailer = &members.last().unwrap().1;
    assert_eq!(trailer.len(), 512);
    let lines: Vec<String> = [&trailer[..212], &trailer[480..]]
        .into_iter()
        .flat_map(|part| part.chunks(32).map(hex))
        .collect();
    assert_eq!(block("trailer"), lines);
}

#[tokio::test]
async fn a_new_archive_has_the_members_of_the_example_and_every_field() {
    let entries = [
        table_data(1, "public", "orders", CopyFormat::Text),
        table_data(2, "public", "Order Lines", CopyFormat::Binary),
        large_objects(3),
    ];
    let pieces = [
        piece(1, 0, 0, &["1\tfirst", "2\tsecond"]),
        piece(2, 0, 0, &["x", "y"]),
        piece(1, 0, 1, &["3\tthird"]),
    ];
    let (bytes, _) = write(Codec::None, &entries, &pieces).await;
    let members = members(&bytes);
    let names: Vec<&str> = members.iter().map(|member| member.0.as_str()).collect();
    assert_eq!(block("members"), names);

    let content = |name: &str| {
        let member = members.iter().find(|member| member.0 == name).unwrap();
        String::from_utf8(member.1.clone()).unwrap()
    };
    let keys = |line: &str| -> Vec<String> {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        value.as_object().unwrap().keys().cloned().collect()
    };
    let fields = tables("| field | value |");
    let said = |table: &[Vec<String>]| -> BTreeSet<String> {
        let names = table.iter().flat_map(|row| row[0].split(','));
        names
            .map(|name| name.trim().trim_matches('`').to_owned())
            .collect()
    };
    let (manifest, toc) = (said(&fields[0]), said(&fields[1]));
    for key in keys(&content("pgstow/archive.json")) {
        assert!(
            manifest.contains(&key),
            "the manifest's field {key} is not documented"
        );
    }
    for line in content("pgstow/toc.jsonl").lines() {
        for key in keys(line) {
            assert!(
                toc.contains(&key),
                "the entry's field {key} is not documented"
            );
        }
    }
    // The document's records, with their words replaced by values of the right sort.
    let record = |start: &str| -> Vec<String> {
        let document = document();
        let line = document
            .lines()
            .map(str::trim)
            .find(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("no record {start}"))
            .to_owned();
        let line = line.replace("[NAME,…]", "[]");
        let line = ["NAME", "DIGEST", "FINGERPRINT", "FORMAT"]
            .iter()
            .fold(line, |line, word| {
                line.replace(&format!(":{word}"), ":\"\"")
            });
        keys(&line.replace(":N", ":0"))
    };
    assert_eq!(
        keys(&content("data/000001.public.orders/complete.json")),
        record("{\"entry\":N")
    );
    let mut kinds = 0;
    for line in content("pgstow/index.jsonl").lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let kind = value["kind"].as_str().unwrap();
        assert_eq!(keys(line), record(&format!("{{\"kind\":\"{kind}\"")));
        kinds += 1;
    }
    assert_eq!(kinds, 3 + 3 + 3 + 6);
}

#[test]
fn the_fingerprints_are_those_of_the_document() {
    let rows = table("| rows (each in hex; `*` and a number: so often) | fingerprint |");
    assert!(rows.len() >= 6);
    for row in rows {
        let mut sum = Fingerprint::new();
        for text in row[0].split_whitespace() {
            let text = text.trim_matches([',', '`']).replace("empty", "");
            let (text, times) = text.split_once('*').unwrap_or((&text, "1"));
            let bytes: Vec<u8> = (0..text.len() / 2)
                .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
                .collect();
            let bytes = bytes.repeat(times.parse().unwrap());
            sum.add_row(&bytes);
        }
        assert_eq!(sum.to_string(), row[1], "{}", row[0]);
    }
}

#[tokio::test]
async fn names_are_encoded_as_in_the_document() {
    for row in table("| name | encoded |") {
        let entries = [table_data(1, "s", &row[0], CopyFormat::Text)];
        let (bytes, _) = write(Codec::None, &entries, &[]).await;
        let members = members(&bytes);
        let name = format!("data/000001.s.{}/complete.json", row[1]);
        assert!(members.iter().any(|member| member.0 == name), "{}", row[0]);
        assert!(Archive::open(MemorySource::new(bytes)).await.is_ok());
    }
}
