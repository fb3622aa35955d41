//! `fixtures/malformed/`: one defect each, and what must be said about it.
//!
//! `NAME.pgstow` is the archive, `NAME.txt` tells what is wrong with it and the answers of four
//! ways to read it: `open`, `verify`, `frames` (open, and unpack every frame) and `stream`
//! (front to back, unpacking every frame). An answer is `ok`, or words of the error, which must
//! be one of damage.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgstow::archive::{
    Archive, Codec, CopyFormat, Encoder, Fingerprint, RawFrame, Scripts, StreamItem, StreamReader,
    Writer, unseal, verify,
};
use pgstow::error::{Kind, Result};
use pgstow::report::Silent;
use serde_json::{Value, json};

use super::forge::{Forge, Member, apart, hex, sha256, sign};
use super::sample::{MemorySink, MemorySource, manifest, piece, table_data, write, write_packed};

/// Most bytes that a frame of these fixtures may unpack to.
const FRAME_MAX: u64 = 1 << 20;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/malformed")
}

async fn open(bytes: &[u8]) -> Result<Archive> {
    Archive::open(MemorySource::new(bytes.to_vec())).await
}

async fn frames(bytes: &[u8]) -> Result<()> {
    let archive = open(bytes).await?;
    for table in archive.index().tables() {
        for frame in &table.frames {
            let stored = archive.read_frame(frame).await?;
            unseal(&stored, archive.manifest().codec, FRAME_MAX)?;
        }
    }
    Ok(())
}

async fn stream(bytes: &[u8]) -> Result<()> {
    let mut reader = StreamReader::open(bytes).await?;
    while let Some(item) = reader.next().await? {
        if let StreamItem::Frame(frame) = item {
            unseal(&frame, reader.manifest().codec, FRAME_MAX)?;
        }
    }
    Ok(())
}

async fn answers(bytes: &[u8]) -> [(&'static str, Result<()>); 4] {
    let source = MemorySource::new(bytes.to_vec());
    [
        ("open", open(bytes).await.map(drop)),
        ("verify", verify(source, Arc::new(Silent)).await.map(drop)),
        ("frames", frames(bytes).await),
        ("stream", stream(bytes).await),
    ]
}

#[tokio::test]
async fn each_defect_has_its_answer() {
    let mut seen = BTreeSet::new();
    let mut wrong = String::new();
    for found in fs::read_dir(directory()).unwrap() {
        let path = found.unwrap().path();
        if path
            .extension()
            .is_none_or(|extension| extension != "pgstow")
        {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let expected = fs::read_to_string(path.with_extension("txt"))
            .unwrap_or_else(|error| panic!("{name}: no answer beside it: {error}"));
        let bytes = fs::read(&path).unwrap();
        for (how, answer) in answers(&bytes).await {
            let start = format!("{how}: ");
            let words = expected
                .lines()
                .find_map(|line| line.strip_prefix(&start))
                .unwrap_or_else(|| panic!("{name}: no answer for {how}"));
            let fits = match &answer {
                Ok(()) => words == "ok",
                Err(error) => {
                    let kind = match words.contains("needs a reader of format version") {
                        // Nothing is wrong with it.
                        true => Kind::NewerFormat,
                        false => Kind::Archive,
                    };
                    words != "ok" && error.kind() == kind && error.message().contains(words)
                }
            };
            if !fits {
                let _ = writeln!(wrong, "{name}: {how}: {words}\n    but: {answer:?}");
            }
        }
        seen.insert(name);
    }
    assert!(wrong.is_empty(), "{wrong}");
    let made: BTreeSet<String> = made()
        .await
        .into_iter()
        .map(|made| made.0.to_owned())
        .collect();
    assert_eq!(seen, made, "fixtures and what makes them differ");
}

/// Writes the fixtures anew; the answers stay as they are, and where there is none yet the
/// present one is written, to be read with care.
#[tokio::test]
#[ignore = "writes fixtures/malformed"]
async fn write_the_fixtures() {
    fs::create_dir_all(directory()).unwrap();
    for (name, what, bytes) in made().await {
        fs::write(directory().join(format!("{name}.pgstow")), &bytes).unwrap();
        let path = directory().join(format!("{name}.txt"));
        if path.exists() {
            continue;
        }
        let mut text = format!("{what}\n\n");
        for (how, answer) in answers(&bytes).await {
            let _ = match answer {
                Ok(()) => writeln!(text, "{how}: ok"),
                Err(error) => {
                    let words = error.message();
                    let words = words.strip_prefix("archive memory: ").unwrap_or(words);
                    let words = words.strip_prefix("archive from a pipe: ").unwrap_or(words);
                    writeln!(text, "{how}: {words}")
                }
            };
        }
        fs::write(path, text).unwrap();
    }
}

async fn base() -> Vec<u8> {
    let entries = [
        table_data(1, "public", "orders", CopyFormat::Text),
        table_data(2, "public", "lines", CopyFormat::Binary),
    ];
    let pieces = [
        piece(1, 0, 0, &["1\ta", "2\tb"]),
        piece(2, 0, 0, &["x"]),
        piece(1, 0, 1, &["3\tc"]),
    ];
    write(Codec::None, &entries, &pieces).await.0
}

type Made = (&'static str, &'static str, Vec<u8>);

async fn made() -> Vec<Made> {
    let good = base().await;
    let forge = Forge::of(&good);
    let mut made = Vec::new();
    containers(&good, &forge, &mut made);
    members(&forge, &mut made);
    records(&forge, &mut made);
    bombs(&mut made).await;
    packs(&mut made).await;
    made
}

/// Not an archive, cut, or with headers that are none.
fn containers(good: &[u8], forge: &Forge, made: &mut Vec<Made>) {
    let mut add = |name, what, bytes: &[u8]| made.push((name, what, bytes.to_vec()));
    add(
        "accepted-unchanged",
        "Nothing is wrong: a forged archive without a defect.",
        &forge.seal_plain(),
    );
    add("not-empty", "A file of no bytes.", b"");
    add(
        "not-pg-dump-custom",
        "pg_dump's custom format.",
        b"PGDMP\x01\x0e\x00\x04\x08\x01\x01\x01\0\0\0\0",
    );
    add(
        "not-sql",
        "An SQL script.",
        b"--\n-- PostgreSQL database dump\n--\n",
    );
    let mut other = super::forge::header("toc.dat", 3);
    other.extend_from_slice(b"abc");
    other.resize(2048, 0);
    add("not-ours-tar", "A tar file of somebody else.", &other);
    add(
        "cut-in-readme",
        "Only the first 1,000 bytes.",
        &good[..1000],
    );
    let trailer = good.len() - 2048;
    add(
        "unfinished-no-trailer",
        "Everything but trailer and end.",
        &good[..trailer],
    );
    let mut ended = good[..trailer].to_vec();
    ended.resize(trailer + 1024, 0);
    add(
        "unfinished-but-ended",
        "No trailer, but the two zero blocks of a finished tar.",
        &ended,
    );
    add(
        "cut-zero-blocks",
        "The last zero block is missing.",
        &good[..good.len() - 512],
    );
    add(
        "doubled",
        "Two archives, one behind the other.",
        &[good, good].concat(),
    );
    let mut padded = good.to_vec();
    padded.resize(padded.len().next_multiple_of(10240) + 10240, 0);
    add(
        "padded-to-records",
        "Zero bytes behind the end, as tar writes them to tapes.",
        &padded,
    );

    let mut flip = |name, what, at: usize| {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1;
        made.push((name, what, bytes));
    };
    flip(
        "flip-trailer",
        "One bit of the trailer's content.",
        trailer + 512 + 60,
    );
    flip(
        "flip-trailer-header",
        "One bit of the trailer's tar header.",
        trailer + 130,
    );

    let mut odd_header = |name, what, change: fn(&mut Vec<u8>)| {
        let mut forge = forge.clone();
        let at = forge.at("00000-000000");
        change(&mut forge.members[at].header);
        made.push((name, what, forge.seal_plain()));
    };
    odd_header(
        "header-mode",
        "A header with another mode and the right checksum.",
        |header| {
            header[106] = b'5';
            sign(header);
        },
    );
    odd_header(
        "header-negative-size",
        "A header with a negative size.",
        |header| {
            header[124..136].copy_from_slice(b"-0000000010\0");
            sign(header);
        },
    );
    odd_header(
        "header-base-256-size",
        "A header whose size is not octal.",
        |header| {
            header[124..136].copy_from_slice(b"\x80\0\0\0\0\0\0\0\0\0\0\x08");
            sign(header);
        },
    );
    odd_header(
        "header-huge-size",
        "A header that claims a content of 8 GiB less one byte.",
        |header| {
            header[124..136].copy_from_slice(b"77777777777\0");
            sign(header);
        },
    );
    odd_header(
        "header-symlink",
        "A header of a symbolic link to /etc/passwd.",
        |header| {
            header[156] = b'2';
            header[157..168].copy_from_slice(b"/etc/passwd");
            sign(header);
        },
    );
    odd_header(
        "header-pax-bomb",
        "A pax header that claims records of 8 GiB.",
        |header| {
            header[124..136].copy_from_slice(b"77777777777\0");
            header[156] = b'x';
            sign(header);
        },
    );
    odd_header(
        "header-pax-path",
        "A pax header that gives the member another path.",
        |header| {
            let plain = header.clone();
            let mut pax = super::forge::header("PaxHeaders/size", 24);
            pax[156] = b'x';
            sign(&mut pax);
            pax.extend_from_slice(b"24 path=../../etc/passwd");
            pax.resize(1024, 0);
            pax.extend_from_slice(&plain);
            *header = pax;
        },
    );
    odd_header(
        "header-other-time",
        "A header with another time than the others.",
        |header| {
            header[146] = b'1';
            sign(header);
        },
    );
}

/// Members that are missing, too many, or not where they should be.
fn members(forge: &Forge, made: &mut Vec<Made>) {
    let mut add = |name, what, change: fn(&mut Forge)| {
        let mut forge = forge.clone();
        change(&mut forge);
        forge.agree();
        made.push((name, what, forge.seal_plain()));
    };
    add(
        "accepted-unknown-member",
        "A member that this version does not know, and all of whose bytes are right.",
        |forge| {
            let at = forge.at("schema/post-data");
            forge.insert(at, "pgstow/statistics.jsonl", b"{}\n");
        },
    );
    add(
        "accepted-unknown-fields",
        "Fields and index lines that this version does not know.",
        |forge| {
            forge.replace(
                "pgstow/archive.json",
                "\"entries\"",
                "\"moon\": \"full\", \"entries\"",
            );
            forge.index.push(json!({"kind": "sibling", "of": 3}));
            forge.line("table", 1)["moon"] = json!("new");
        },
    );
    add("member-twice", "A member that is there twice.", |forge| {
        let at = forge.at("schema/post-data");
        forge.insert(at, "README.txt", b"again\n");
    });
    add(
        "member-leaves-directory",
        "A member whose name leaves the directory where it is unpacked.",
        |forge| {
            let at = forge.at("schema/post-data");
            forge.insert(at, "../../etc/cron.d/job", b"* * * * *\n");
        },
    );
    add(
        "member-absolute",
        "A member with an absolute name.",
        |forge| {
            let at = forge.at("schema/post-data");
            forge.insert(at, "/etc/cron.d/job", b"* * * * *\n");
        },
    );
    add(
        "member-order",
        "The table of contents before the manifest.",
        |forge| {
            forge.members.swap(1, 2);
        },
    );
    add("member-missing", "No schema/post-data.sql.", |forge| {
        let at = forge.at("schema/post-data");
        forge.members.remove(at);
        forge.index.remove(at);
    });
    add(
        "frame-missing",
        "Frame 0 of a chunk is not there, frame 1 is.",
        |forge| {
            let at = forge.at("public.orders/00000-000000");
            forge.members.remove(at);
            forge.index.remove(at);
        },
    );
    add(
        "frame-after-end",
        "A frame behind its entry's complete.json.",
        |forge| {
            let at = forge.at("public.orders/00000-000001");
            forge.members.swap(at, at + 1);
            forge.index.swap(at, at + 1);
        },
    );
    add(
        "frame-other-content",
        "A frame whose name has another content's digest.",
        |forge| {
            let name = forge.member("public.orders/00000-000001").name.clone();
            forge.set(&name, "3\tC\n");
        },
    );
    add(
        "frame-of-unknown-entry",
        "A frame of an entry that the table of contents does not know.",
        |forge| {
            let content = b"1\n";
            let name = format!(
                "data/000009.public.ghost/00000-000000-{}.copy",
                &hex(&sha256(content))[..16]
            );
            let at = forge.at("schema/post-data");
            forge.insert(at, &name, content);
            forge.index[at] = json!({"kind": "frame", "entry": 9, "chunk": 0, "frame": 0, "offset": 0,
            "stored_bytes": 0, "raw_bytes": 2, "rows": 1, "sha256": ""});
        },
    );
    add(
        "complete-other-rows",
        "A complete.json that counts other rows.",
        |forge| {
            forge.replace("public.orders/complete.json", "\"rows\":3", "\"rows\":4");
        },
    );
}

/// Records that say what is not so.
fn records(forge: &Forge, made: &mut Vec<Made>) {
    let mut add = |name, what, change: fn(&mut Forge)| {
        let mut forge = forge.clone();
        change(&mut forge);
        forge.agree();
        made.push((name, what, forge.seal_plain()));
    };
    add(
        "manifest-other-format",
        "A manifest of another kind of archive.",
        |forge| {
            forge.replace("pgstow/archive.json", "pgstow archive", "other archive");
        },
    );
    add("manifest-no-json", "A manifest that is no JSON.", |forge| {
        forge.set("pgstow/archive.json", "format: pgstow archive\n");
    });
    add(
        "manifest-unknown-codec",
        "A manifest with a codec that there is not.",
        |forge| {
            forge.replace("pgstow/archive.json", "\"none\"", "\"brotli:3\"");
        },
    );
    add(
        "manifest-other-id",
        "A manifest with another archive id than the trailer.",
        |forge| {
            forge.replace("pgstow/archive.json", "30313233", "40414243");
        },
    );
    add("toc-not-numbered", "Entries 1 and 3.", |forge| {
        forge.replace("pgstow/toc.jsonl", "\"id\":2", "\"id\":3");
    });
    add(
        "toc-unknown-dependency",
        "An entry that depends on entry 7 of 2.",
        |forge| {
            forge.replace(
                "pgstow/toc.jsonl",
                "\"pass\":\"main\"",
                "\"pass\":\"main\",\"depends_on\":[7]",
            );
        },
    );
    add(
        "toc-short",
        "One entry less than the manifest says.",
        |forge| {
            forge.replace("pgstow/archive.json", "\"entries\": 2", "\"entries\": 3");
        },
    );
    add(
        "toc-no-json",
        "A table of contents that is no JSON.",
        |forge| {
            forge.set("pgstow/toc.jsonl", "TABLE\n");
        },
    );
    let mut late = |name, what, change: fn(&mut Forge)| {
        let mut forge = forge.clone();
        change(&mut forge);
        made.push((name, what, forge.seal_plain()));
    };
    late(
        "index-frame-beyond-end",
        "An index with a frame of 2^62 bytes.",
        |forge| {
            forge.line("frame", 1)["stored_bytes"] = json!(1u64 << 62);
        },
    );
    late(
        "index-frame-elsewhere",
        "An index with a frame 512 bytes further on.",
        |forge| {
            let offset = forge.line("frame", 1)["offset"].as_u64().unwrap();
            forge.line("frame", 1)["offset"] = json!(offset + 512);
        },
    );
    late(
        "index-negative",
        "An index with a negative number.",
        |forge| {
            forge.line("frame", 1)["rows"] = json!(-1);
        },
    );
    late(
        "index-other-sum",
        "An index with another number of rows for a table.",
        |forge| {
            forge.line("table", 1)["rows"] = json!(7);
        },
    );
    late(
        "index-overflow",
        "An index with frames whose rows add up to more than 64 bits.",
        |forge| {
            for line in &mut forge.index {
                if line["kind"] == "frame" {
                    line["rows"] = json!(u64::MAX);
                }
            }
        },
    );
    late(
        "index-no-table",
        "An index without a table's line.",
        |forge| {
            forge.index.pop();
        },
    );
    late(
        "index-table-twice",
        "An index with a table's line twice.",
        |forge| {
            let line = forge.line("table", 1).clone();
            forge.index.push(line);
        },
    );
    late(
        "index-other-columns",
        "An index with other columns than the table of contents.",
        |forge| {
            forge.line("table", 1)["columns"] = json!(["a", "c"]);
        },
    );
    late("index-no-json", "An index that is no JSON.", |forge| {
        forge.index[0] = json!([1, 2]);
    });
    let mut trailer = |name, what, change: fn(&mut Forge)| {
        made.push((name, what, forge.seal(change)));
    };
    trailer(
        "newer-version",
        "A trailer that asks for a reader of version 4.",
        |forge| {
            forge.trailer[20] = 4;
        },
    );
    trailer(
        "trailer-index-beyond-end",
        "A trailer with an index at 2^63.",
        |forge| forge.number(56, 1 << 63),
    );
    trailer(
        "trailer-index-huge",
        "A trailer with an index that unpacks to 2^62 bytes.",
        |forge| {
            forge.number(72, 1 << 62);
        },
    );
    trailer(
        "trailer-other-length",
        "A trailer of a longer archive.",
        |forge| forge.number(48, 1 << 20),
    );
    trailer(
        "trailer-other-totals",
        "A trailer with another number of rows.",
        |forge| forge.number(184, 9),
    );
    trailer(
        "trailer-other-members",
        "A trailer with another number of members.",
        |forge| forge.number(160, 3),
    );
    trailer(
        "trailer-other-sums",
        "A trailer with another digest of SHA256SUMS.",
        |forge| forge.trailer[128] ^= 1,
    );
    trailer(
        "trailer-unknown-codec",
        "A trailer with a codec that there is not.",
        |forge| forge.trailer[208] = 9,
    );
    let mut newer = forge.clone();
    newer.replace(
        "pgstow/archive.json",
        "\"min_reader_version\": 1",
        "\"min_reader_version\": 4",
    );
    newer.agree();
    let bytes = newer.seal(|forge| forge.trailer[20] = 4);
    made.push((
        "newer-version-both",
        "Manifest and trailer ask for a reader of version 4.",
        bytes,
    ));
}

/// Frames that unpack to more than they say, or than anybody wants.
async fn bombs(made: &mut Vec<Made>) {
    let zeros = vec![b'0'; 64 << 20];
    for (name, codec, what) in [
        (
            "bomb-zstd",
            Codec::Zstd(19),
            "A frame of some kilobytes that unpacks to 64 MiB, and says so.",
        ),
        (
            "bomb-gzip-lies",
            Codec::Gzip(9),
            "A gzip frame that says it has 10 bytes, and unpacks to 64 MiB.",
        ),
        (
            "bomb-zstd-lies",
            Codec::Zstd(19),
            "A frame of 10 bytes to the index, which unpacks to 64 MiB.",
        ),
    ] {
        let entries = [table_data(1, "public", "orders", CopyFormat::Text)];
        let mut encoder = Encoder::new(codec).unwrap();
        let raw = RawFrame {
            entry: 1,
            chunk: 0,
            frame: 0,
            rows: 0,
            raw: zeros.clone(),
        };
        let (mut frame, _) = encoder.seal(raw).unwrap();
        let mut stored = frame.stored.to_vec();
        if name == "bomb-gzip-lies" {
            stored[16..24].copy_from_slice(&10u64.to_le_bytes());
        }
        if name.ends_with("-lies") {
            frame.raw_bytes = 10;
        }
        frame.sha256 = sha256(&stored);
        frame.stored = stored.into();
        let sink = MemorySink::default();
        let scripts = Scripts::default();
        let mut writer = Writer::create(Box::new(sink.clone()), manifest(codec), &entries, scripts)
            .await
            .unwrap();
        writer.append(frame).await.unwrap();
        writer.complete(1, Fingerprint::new()).await.unwrap();
        writer.finish().await.unwrap();
        made.push((name, what, sink.bytes()));
    }
}

/// Packs that are not what the index says, or nothing that a writer makes.
async fn packs(made: &mut Vec<Made>) {
    let mut entries = vec![
        table_data(1, "public", "orders", CopyFormat::Text),
        table_data(2, "public", "lines", CopyFormat::Binary),
        table_data(3, "public", "empty", CopyFormat::Text),
        table_data(4, "public", "notes", CopyFormat::Text),
    ];
    entries[3].depends_on = vec![1];
    let pieces = [
        piece(1, 0, 0, &["1\ta"]),
        piece(2, 0, 0, &["x"]),
        piece(4, 0, 0, &["n\tm"]),
    ];
    let good = write_packed(Codec::None, &entries, &pieces).await.0;
    let forge = Forge::of(&good);
    made.push((
        "accepted-packs",
        "Nothing is wrong: a forged archive with a pack.",
        forge.seal_plain(),
    ));
    let mut add = |name, what, change: fn(&mut Forge)| {
        let mut forge = forge.clone();
        change(&mut forge);
        forge.agree();
        made.push((name, what, forge.seal_plain()));
    };
    // Of the index.
    add(
        "pack-in-version-1",
        "An archive with a pack that does not ask for a reader of version 3.",
        |forge| {
            for word in ["format_version", "min_reader_version"] {
                let from = format!("\"{word}\": 3");
                forge.replace("pgstow/archive.json", &from, &format!("\"{word}\": 1"));
            }
            forge.trailer[16] = 1;
            forge.trailer[20] = 1;
        },
    );
    add(
        "pack-at-other-place",
        "A packed entry that the index has where another one is.",
        |forge| forge.line("packed", 2)["offset"] = json!(512),
    );
    add(
        "pack-beyond-end",
        "A packed entry that the index has behind all packs.",
        |forge| forge.line("packed", 2)["offset"] = json!(u64::MAX),
    );
    add(
        "pack-not-there",
        "A packed entry in a pack that there is not.",
        |forge| forge.line("packed", 2)["pack"] = json!(7),
    );
    add(
        "pack-other-frame",
        "A packed frame of which the index has another digest.",
        |forge| forge.line("packed", 1)["sha256"] = json!(hex(&[7; 32])),
    );
    add(
        "pack-other-fingerprint",
        "A packed table of which the index has another fingerprint.",
        |forge| {
            let other = format!("{}:1", hex(&[7; 16]));
            forge.line("packed", 1)["fingerprint"] = json!(other);
        },
    );
    add(
        "pack-frame-without-size",
        "A packed frame with a digest and no size.",
        |forge| {
            let line = forge.line("packed", 1).as_object_mut().unwrap();
            line.remove("raw_bytes");
        },
    );
    add(
        "pack-frame-too-large",
        "A packed frame of more than 64 KiB, as the index has it.",
        |forge| forge.line("packed", 1)["raw_bytes"] = json!(65537),
    );
    add(
        "pack-rows-without-frame",
        "A packed table with rows and no frame, as the index has it.",
        |forge| {
            let line = forge.line("packed", 1).as_object_mut().unwrap();
            line.remove("raw_bytes");
            line.remove("sha256");
        },
    );
    add(
        "pack-entry-twice",
        "A packed entry that the index has twice.",
        |forge| {
            let line = forge.line("packed", 1).clone();
            forge.index.push(line);
        },
    );
    add(
        "pack-entry-missing",
        "A packed entry that the index does not have.",
        |forge| {
            let packed = |line: &Value| line["kind"] == "packed" && line["entry"] == 4;
            forge.index.retain(|line| !packed(line));
        },
    );
    add(
        "pack-and-outside",
        "An entry in a pack, whose complete.json is outside as well.",
        |forge| {
            let pack = forge.at("data/pack-");
            let members = apart(&forge.members[pack].content);
            let end = members
                .iter()
                .find(|member| member.name.ends_with("empty/complete.json"));
            let end = end.unwrap().clone();
            forge.insert(pack + 1, &end.name, &end.content);
        },
    );
    add(
        "pack-and-frame-outside",
        "An entry in a pack, of which a frame is outside before.",
        |forge| {
            let pack = forge.at("data/pack-");
            let name = format!(
                "data/000001.public.orders/00000-000000-{}.copy",
                &hex(&sha256(b"1\ta\n"))[..16]
            );
            forge.insert(pack, &name, b"1\ta\n");
            forge.index[pack] = json!({"kind": "frame", "entry": 1, "chunk": 0, "frame": 0,
                "offset": 0, "stored_bytes": 4, "raw_bytes": 4, "rows": 1, "sha256": ""});
        },
    );
    add(
        "pack-other-number",
        "A first pack with number 1.",
        |forge| {
            let pack = forge.member("data/pack-");
            pack.name = pack.name.replace("pack-000000", "pack-000001");
            forge.set(
                "data/pack-",
                forge.members[forge.at("data/pack-")].content.clone(),
            );
        },
    );
    add("pack-twice", "Two packs with one number.", |forge| {
        let at = forge.at("data/pack-");
        let content = forge.members[at].content.clone();
        let name = format!("data/pack-000000-{}.tar", hex(&[7; 8]));
        forge.insert(at + 1, &name, &content);
    });
    add(
        "pack-other-name",
        "A pack with another digest in its name.",
        |forge| {
            let at = forge.at("data/pack-");
            forge.members[at].name = format!("data/pack-000000-{}.tar", hex(&[7; 8]));
            let content = forge.members[at].content.clone();
            forge.set("data/pack-", content);
        },
    );
    // Of what is in it.
    add("pack-empty", "A pack with nothing in it.", |forge| {
        forge.repack(Vec::clear);
    });
    add("pack-of-no-bytes", "A pack of no bytes.", |forge| {
        forge.set_pack(Vec::new());
    });
    add(
        "pack-cut",
        "A pack without the two zero blocks at its end.",
        |forge| {
            let mut content = forge.member("data/pack-").content.clone();
            content.truncate(content.len() - 1024);
            forge.set_pack(content);
        },
    );
    add(
        "pack-cut-in-member",
        "A pack that ends within its last member.",
        |forge| {
            let mut content = forge.member("data/pack-").content.clone();
            content.truncate(content.len() - 1024 - 500);
            forge.set_pack(content);
        },
    );
    add(
        "pack-goes-on",
        "A pack with a third zero block at its end.",
        |forge| {
            let mut content = forge.member("data/pack-").content.clone();
            content.resize(content.len() + 512, 0);
            forge.set_pack(content);
        },
    );
    add(
        "pack-padding",
        "A pack in which padding is not zero.",
        |forge| {
            let mut content = forge.member("data/pack-").content.clone();
            content[512 + 100] = 1;
            forge.set_pack(content);
        },
    );
    add(
        "pack-huge-member",
        "A pack with a header that claims 8 GiB less one byte.",
        |forge| {
            forge.repack(|members| {
                members[0].header[124..136].copy_from_slice(b"77777777777\0");
                sign(&mut members[0].header);
            });
        },
    );
    add(
        "pack-pax",
        "A pack with a pax header that claims more than 8 GiB.",
        |forge| {
            forge.repack(|members| {
                let plain = members[0].header.clone();
                let mut pax = super::forge::header("PaxHeaders/size", 22);
                pax[156] = b'x';
                sign(&mut pax);
                pax.extend_from_slice(b"22 size=1099511627776\n");
                pax.resize(1024, 0);
                pax.extend_from_slice(&plain);
                pax[1024 + 124..1024 + 136].copy_from_slice(b"00000000000\0");
                sign(&mut pax[1024..]);
                members[0].header = pax;
            });
        },
    );
    add(
        "pack-other-time",
        "A pack with a header of another time.",
        |forge| {
            forge.repack(|members| {
                members[0].header[146] = b'1';
                sign(&mut members[0].header);
            });
        },
    );
    add(
        "pack-symlink",
        "A pack with a symbolic link to /etc/passwd.",
        |forge| {
            forge.repack(|members| {
                members[0].header[156] = b'2';
                members[0].header[157..168].copy_from_slice(b"/etc/passwd");
                sign(&mut members[0].header);
            });
        },
    );
    add(
        "pack-leaves-directory",
        "A pack with a member that leaves the directory.",
        |forge| {
            forge.repack(|members| rename(&mut members[0], "../etc/passwd"));
        },
    );
    add(
        "pack-unknown-member",
        "A pack with a member that belongs to no entry.",
        |forge| {
            forge.repack(|members| {
                let content = b"x".to_vec();
                let header = super::forge::header("data/more", content.len());
                let name = String::from("data/more");
                members.push(Member {
                    name,
                    content,
                    header,
                });
            });
        },
    );
    add("pack-in-pack", "A pack in a pack.", |forge| {
        forge.repack(|members| {
            let content = super::forge::together(members);
            let name = format!("data/pack-000000-{}.tar", &hex(&sha256(&content))[..16]);
            let header = super::forge::header(&name, content.len());
            *members = vec![Member {
                name,
                content,
                header,
            }];
        });
    });
    add(
        "pack-unknown-entry",
        "A pack with a table that the table of contents does not have.",
        |forge| {
            forge.repack(|members| {
                for member in members
                    .iter_mut()
                    .filter(|member| member.name.contains("lines"))
                {
                    let name = member.name.replace("000002", "000009");
                    rename(member, &name);
                }
            });
        },
    );
    add(
        "pack-frame-renamed",
        "A pack with a frame under another digest than its own.",
        |forge| {
            forge.repack(|members| {
                let at = members
                    .iter()
                    .position(|member| member.name.contains("orders/0"));
                let member = &mut members[at.unwrap()];
                member.content[0] ^= 1;
            });
        },
    );
    add(
        "pack-frame-elsewhere",
        "A pack with a frame of chunk 1.",
        |forge| {
            forge.repack(|members| {
                let at = members
                    .iter()
                    .position(|member| member.name.contains("orders/0"));
                let member = &mut members[at.unwrap()];
                let name = member.name.replace("/00000-", "/00001-");
                rename(member, &name);
            });
        },
    );
    add(
        "pack-complete-missing",
        "A pack with a frame whose complete.json is missing.",
        |forge| {
            forge.repack(|members| {
                members.retain(|member| !member.name.ends_with("orders/complete.json"));
            });
        },
    );
    add(
        "pack-complete-twice",
        "A pack with a complete.json twice.",
        |forge| {
            forge.repack(|members| {
                let at = members
                    .iter()
                    .position(|member| member.name.contains("empty"));
                let again = members[at.unwrap()].clone();
                members.push(again);
            });
        },
    );
    add(
        "pack-complete-other-rows",
        "A pack with a complete.json that counts other rows than its fingerprint.",
        |forge| {
            forge.repack(|members| {
                let at = members
                    .iter()
                    .position(|member| member.name.ends_with("orders/complete.json"));
                let member = &mut members[at.unwrap()];
                let text = String::from_utf8(member.content.clone()).unwrap();
                member.content = text.replace("\"rows\":1", "\"rows\":2").into_bytes();
            });
        },
    );
    add(
        "pack-before-its-need",
        "A pack with rows before the end of those that they need.",
        |forge| {
            forge.repack(|members| {
                let (needing, others): (Vec<_>, Vec<_>) = members
                    .drain(..)
                    .partition(|member| member.name.contains("notes"));
                members.extend(needing);
                members.extend(others);
            });
            // Where everything is then.
            let members = apart(&forge.member("data/pack-").content);
            let mut at = 0;
            for member in members {
                let entry: u64 = member.name[5..11].parse().unwrap();
                let is_frame = member.name.contains("/0");
                let alone = entry == 3;
                if is_frame || alone {
                    forge.line("packed", entry)["offset"] = json!(at);
                }
                at += 512 + member.content.len().next_multiple_of(512);
            }
        },
    );
    let mut forge = forge.clone();
    let at = forge.at("data/pack-");
    forge.index[at]["raw_bytes"] = json!(9 << 20);
    made.push((
        "pack-too-large",
        "A pack that the index says unpacks to 9 MiB.",
        forge.seal_plain(),
    ));
}

fn rename(member: &mut Member, name: &str) {
    member.name = String::from(name);
    member.header = super::forge::header(name, member.content.len());
}
