//! What is written is read back.

use std::collections::BTreeMap;

use pgstow::archive::{
    Archive, Codec, CopyFormat, Encoder, Entry, EntryId, Fingerprint, Scripts, Section, StreamItem,
    StreamReader, Summary, Writer, rows_of, unseal, verify, verify_stream,
};
use pgstow::error::Kind;
use pgstow::report::Silent;
use proptest::prelude::*;

use super::sample::{
    self, CODECS, MemorySink, MemorySource, Piece, format_of, piece, seal, small, table_data,
    write, write_packed,
};

type Rows = BTreeMap<EntryId, Vec<Vec<u8>>>;

fn expected(entries: &[Entry], pieces: &[Piece]) -> Rows {
    let mut rows: Rows = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.data.is_some()) {
        rows.insert(entry.id, Vec::new());
    }
    let mut pieces = pieces.to_vec();
    pieces.sort_by_key(|piece| (piece.entry, piece.chunk, piece.frame));
    for piece in pieces {
        let format = format_of(&entries[piece.entry as usize - 1]);
        let raw = sample::raw(format, &piece.rows);
        let own = rows_of(format, &raw).map(|row| row.unwrap().to_vec());
        rows.get_mut(&piece.entry).unwrap().extend(own);
    }
    rows
}

/// Reads an archive at random, and all that is known about its tables.
async fn read_seeking(bytes: &[u8], entries: &[Entry]) -> Rows {
    let archive = Archive::open(MemorySource::new(bytes.to_vec()))
        .await
        .unwrap();
    assert_eq!(archive.entries(), entries);
    let codec = archive.manifest().codec;
    let mut rows: Rows = BTreeMap::new();
    for table in archive.index().tables() {
        let own = rows.entry(table.entry).or_default();
        let mut sum = Fingerprint::new();
        for frame in &table.frames {
            let stored = archive.read_frame(frame).await.unwrap();
            let raw = unseal(&stored, codec, frame.raw_bytes).unwrap();
            let before = own.len();
            for row in rows_of(table.format, &raw) {
                let row = row.unwrap();
                sum.add_row(row);
                own.push(row.to_vec());
            }
            assert_eq!(frame.rows, (own.len() - before) as u64);
        }
        assert_eq!(table.rows, own.len() as u64);
        assert_eq!(table.fingerprint, sum);
    }
    rows
}

/// Reads an archive front to back.
async fn read_streaming(bytes: &[u8], entries: &[Entry]) -> Rows {
    let mut reader = StreamReader::open(bytes).await.unwrap();
    assert_eq!(reader.entries(), entries);
    let codec = reader.manifest().codec;
    let mut frames = BTreeMap::new();
    let mut complete = BTreeMap::new();
    let mut index = None;
    while let Some(item) = reader.next().await.unwrap() {
        match item {
            StreamItem::Frame(frame) => {
                assert!(!complete.contains_key(&frame.entry));
                let raw = unseal(&frame, codec, frame.raw_bytes).unwrap();
                frames.insert((frame.entry, frame.chunk, frame.frame), raw);
            }
            StreamItem::Complete(table) => {
                complete.insert(table.entry, table);
            }
            StreamItem::End(found) => index = Some(found),
        }
    }
    assert!(reader.next().await.unwrap().is_none());
    let index = index.unwrap();
    let mut rows: Rows = BTreeMap::new();
    for table in index.tables() {
        let end = &complete[&table.entry];
        assert_eq!((end.rows, end.raw_bytes), (table.rows, table.raw_bytes));
        assert_eq!(
            (end.sha256, end.fingerprint),
            (table.sha256, table.fingerprint)
        );
        assert_eq!(end.frames, table.frames.len() as u64);
        rows.insert(table.entry, Vec::new());
    }
    for ((entry, ..), raw) in frames {
        let format = format_of(&entries[entry as usize - 1]);
        let own = rows_of(format, &raw).map(|row| row.unwrap().to_vec());
        rows.get_mut(&entry).unwrap().extend(own);
    }
    rows
}

async fn check(codec: Codec, entries: &[Entry], pieces: &[Piece]) {
    let plain = write(codec, entries, pieces).await;
    check_written(plain.clone(), entries, pieces).await;
    assert_eq!(write(codec, entries, pieces).await, plain);
    let packed = write_packed(codec, entries, pieces).await;
    check_written(packed.clone(), entries, pieces).await;
    // The same input makes the same bytes.
    assert_eq!(write_packed(codec, entries, pieces).await, packed);
}

async fn check_written((bytes, summary): (Vec<u8>, Summary), entries: &[Entry], pieces: &[Piece]) {
    let expected = expected(entries, pieces);
    assert_eq!(read_seeking(&bytes, entries).await, expected);
    assert_eq!(read_streaming(&bytes, entries).await, expected);
    let silent = || std::sync::Arc::new(Silent);
    let report = verify(MemorySource::new(bytes.clone()), silent())
        .await
        .unwrap();
    assert_eq!(report.bytes, bytes.len() as u64);
    assert_eq!(report.frames, pieces.len() as u64);
    assert_eq!(report.rows, summary.rows);
    assert_eq!(
        report.rows,
        expected.values().map(|rows| rows.len() as u64).sum::<u64>()
    );
    assert_eq!(
        verify_stream(bytes.as_slice(), silent()).await.unwrap(),
        report
    );
}

#[tokio::test]
async fn everything_in_small_comes_back_with_every_codec() {
    let (entries, pieces) = small();
    for codec in CODECS {
        check(codec, &entries, &pieces).await;
    }
}

#[tokio::test]
async fn an_archive_without_entries_or_rows_is_one() {
    check(Codec::Zstd(1), &[], &[]).await;
    let entries = [table_data(1, "s", "t", CopyFormat::Binary)];
    check(Codec::None, &entries, &[]).await;
}

#[tokio::test]
async fn frames_and_members_above_the_size_of_a_piece_are_verified() {
    let entries = [
        table_data(1, "s", "large", CopyFormat::Text),
        table_data(2, "s", "small", CopyFormat::Text),
    ];
    let large = "0123456789abcdef".repeat(1_400_000);
    let pieces = [
        piece(2, 0, 0, &["a"]),
        piece(1, 0, 0, &[&large]),
        piece(2, 0, 1, &["b"]),
        piece(1, 0, 1, &[&large[1..10_000_000]]),
    ];
    check(Codec::None, &entries, &pieces).await;
    let (mut bytes, _) = write(Codec::None, &entries, &pieces).await;
    // In the middle of the large member.
    bytes[12_000_000] ^= 1;
    let error = verify(MemorySource::new(bytes), std::sync::Arc::new(Silent))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Archive);
    assert!(error.message().contains("TABLE DATA s.large"), "{error}");
}

#[tokio::test]
async fn scripts_come_back() {
    let (entries, pieces) = small();
    for codec in CODECS {
        let (bytes, _) = write(codec, &entries, &pieces).await;
        let archive = Archive::open(MemorySource::new(bytes)).await.unwrap();
        let pre = archive.script(Section::PreData).await.unwrap();
        assert_eq!(pre, "CREATE TABLE t ();\n".repeat(20));
        let post = archive.script(Section::PostData).await.unwrap();
        assert_eq!(post, "CREATE INDEX ON t (a);\n");
        let load = archive.script(Section::Data).await.unwrap();
        assert!(load.contains("load data/000002.public.orders "), "{load}");
    }
}

#[tokio::test]
async fn a_writer_refuses_what_would_be_no_archive() {
    let (entries, pieces) = small();
    let create = async || {
        let sink = MemorySink::default();
        let manifest = sample::manifest(Codec::None);
        let writer = Writer::create(
            Box::new(sink.clone()),
            manifest,
            &entries,
            Scripts::default(),
        )
        .await;
        (writer.unwrap(), sink)
    };
    let frame = |at: usize, chunk: u32, frame: u32| {
        let mut encoder = Encoder::new(Codec::None).unwrap();
        let piece = Piece {
            chunk,
            frame,
            ..pieces[at].clone()
        };
        seal(
            &mut encoder,
            format_of(&entries[piece.entry as usize - 1]),
            &piece,
        )
        .0
    };

    // An entry without data, one that was completed, one that is not there.
    let (mut writer, _) = create().await;
    writer.complete(4, Fingerprint::new()).await.unwrap();
    for id in [1, 4, 7] {
        let mut wrong = frame(0, 0, 0);
        wrong.entry = id;
        assert!(writer.append(wrong).await.is_err());
        assert!(writer.complete(id, Fingerprint::new()).await.is_err());
    }

    // Rows before those that must be there first.
    let mut ordered = entries.clone();
    ordered[3].depends_on = vec![2];
    let sink = Box::new(MemorySink::default());
    let manifest = sample::manifest(Codec::None);
    let mut writer = Writer::create(sink, manifest, &ordered, Scripts::default())
        .await
        .unwrap();
    let mut early = frame(0, 0, 0);
    early.entry = 4;
    let error = writer.append(early.clone()).await.unwrap_err();
    assert!(
        error.message().contains("must be complete before"),
        "{error}"
    );
    writer.complete(2, Fingerprint::new()).await.unwrap();
    writer.append(early).await.unwrap();

    // Frames that are missing, there twice, or of other rows than the fingerprint says.
    for frames in [
        vec![(0, 1)],
        vec![(0, 0), (0, 2)],
        vec![(0, 0), (0, 0)],
        vec![(0, 0)],
    ] {
        let (mut writer, _) = create().await;
        for (chunk, number) in frames {
            writer.append(frame(0, chunk, number)).await.unwrap();
        }
        let error = writer.complete(2, Fingerprint::new()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Failed);
        assert!(
            error.message().contains("TABLE DATA public.orders"),
            "{error}"
        );
    }

    // An entry that was never completed.
    let (writer, sink) = create().await;
    let error = writer.finish().await.unwrap_err();
    assert!(error.message().contains("never completed"), "{error}");
    assert!(!sink.is_finished());

    // Entries that are not numbered.
    let sink = Box::new(MemorySink::default());
    let manifest = sample::manifest(Codec::None);
    let wrong = Writer::create(sink, manifest, &entries[1..], Scripts::default()).await;
    assert_eq!(wrong.err().unwrap().kind(), Kind::Usage);
}

fn arbitrary() -> impl Strategy<Value = (Vec<Entry>, Vec<Piece>, Codec)> {
    let rows = prop::collection::vec(prop::collection::vec(1u8..9, 0..300), 0..20);
    // Per entry: its name, its format, its chunks, each a list of frames.
    let chunks = prop::collection::vec(prop::collection::vec(rows, 0..4), 0..3);
    let entry = ("\\PC{1,30}", any::<bool>(), chunks);
    let entries = prop::collection::vec(entry, 0..5);
    let codec = prop::sample::select(CODECS.to_vec());
    (entries, codec, any::<prop::sample::Selector>()).prop_map(|(tables, codec, selector)| {
        let mut entries = Vec::new();
        let mut pieces = Vec::new();
        for (id, (name, binary, chunks)) in (1u32..).zip(tables) {
            let format = if binary {
                CopyFormat::Binary
            } else {
                CopyFormat::Text
            };
            entries.push(table_data(id, "s", &name, format));
            for (chunk, frames) in (0u32..).zip(chunks) {
                for (frame, rows) in (0u32..).zip(frames) {
                    pieces.push(Piece {
                        entry: id,
                        chunk,
                        frame,
                        rows,
                    });
                }
            }
        }
        // Any interleaving.
        let mut shuffled = Vec::new();
        while !pieces.is_empty() {
            let at = selector.select(0..pieces.len());
            shuffled.push(pieces.swap_remove(at));
        }
        (entries, shuffled, codec)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_archive_comes_back((entries, pieces, codec) in arbitrary()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(check(codec, &entries, &pieces));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_hundred_thousand_members_are_no_trouble() {
    let entries: Vec<Entry> = (1..=20_000)
        .map(|id| table_data(id, "public", &format!("t{id}"), CopyFormat::Text))
        .collect();
    let pieces: Vec<Piece> = (0..90_000)
        .map(|n| piece(1 + n % 3, n / 30_000, n % 30_000 / 3, &["1"]))
        .collect();
    let (bytes, summary) = write(Codec::None, &entries, &pieces[..]).await;
    assert_eq!((summary.tables, summary.frames), (20_000, 90_000));
    let silent = || std::sync::Arc::new(Silent);
    let report = verify(MemorySource::new(bytes.clone()), silent())
        .await
        .unwrap();
    assert_eq!(report.members, 90_000 + 20_000 + 9);
    assert_eq!(
        verify_stream(bytes.as_slice(), silent()).await.unwrap(),
        report
    );
}
