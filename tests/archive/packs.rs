//! Small tables in packs: what is packed, what is not, and in which order; that a pack is read once, and that
//! nothing in it can change unnoticed.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use pgstow::archive::{
    Archive, Codec, CopyFormat, Encoder, Entry, StreamItem, StreamReader, verify, verify_stream,
};
use pgstow::error::Kind;
use pgstow::report::Silent;
use pgstow::storage::Source;

use super::forge::{Forge, apart};
use super::sample::{
    self, Counting, MemorySource, Piece, bare, large_objects, packing, piece, seal, table_data,
    write, write_packed,
};

fn names(archive: &[u8]) -> Vec<String> {
    let members = apart(archive).into_iter();
    members.map(|member| member.name).collect()
}

/// Many tables of a row or none.
fn many(count: u32) -> (Vec<Entry>, Vec<Piece>) {
    let formats = [CopyFormat::Text, CopyFormat::Binary];
    let entries = (1..=count)
        .map(|id| table_data(id, "public", &format!("t{id}"), formats[id as usize % 2]))
        .collect();
    let pieces = (1..=count)
        .filter(|id| id % 5 > 0)
        .map(|id| piece(id, 0, 0, &[&format!("{id}\tx")]))
        .collect();
    (entries, pieces)
}

#[tokio::test]
async fn an_archive_of_many_small_tables_is_much_smaller() {
    let (entries, pieces) = many(3000);
    let (plain, _) = write(Codec::Zstd(1), &entries, &pieces).await;
    let (packed, summary) = write_packed(Codec::Zstd(1), &entries, &pieces).await;
    assert!(
        packed.len() < plain.len() / 6,
        "{} {}",
        packed.len(),
        plain.len()
    );
    assert_eq!((summary.tables, summary.frames), (3000, 2400));
    let packs: Vec<String> = names(&packed)
        .into_iter()
        .filter(|name| name.starts_with("data/"))
        .collect();
    assert!((4..10).contains(&packs.len()), "{packs:?}");
    for (number, name) in packs.iter().enumerate() {
        assert!(name.starts_with(&format!("data/pack-{number:06}-")));
        assert!(name.ends_with(".tar.zst"));
    }
    let report = verify(MemorySource::new(packed), Arc::new(Silent)).await;
    assert_eq!(report.unwrap().frames, 2400);
}

#[tokio::test]
async fn only_whole_small_tables_are_packed_and_what_needs_them_follows() {
    let mut entries = vec![
        table_data(1, "s", "packed", CopyFormat::Text),
        table_data(2, "s", "two_frames", CopyFormat::Text),
        table_data(3, "s", "needs_packed", CopyFormat::Text),
        table_data(4, "s", "too_large", CopyFormat::Text),
        large_objects(5),
        table_data(6, "s", "also_packed", CopyFormat::Text),
    ];
    entries[2].depends_on = vec![1];
    let large = "x".repeat(70_000);
    for codec in [Codec::Zstd(1), Codec::None] {
        let (mut writer, sink) = packing(codec, &entries).await;
        let mut encoder = Encoder::new(codec).unwrap();
        let mut sums = BTreeMap::new();
        let text = CopyFormat::Text;
        let mut frames = vec![
            bare(text, &piece(2, 0, 0, &["1\ta"])),
            bare(text, &piece(1, 0, 0, &["1\ta"])),
            // It comes while the first one is held.
            bare(text, &piece(2, 0, 1, &["2\tb"])),
            bare(text, &piece(4, 0, 0, &[&large])),
            seal(&mut encoder, CopyFormat::Binary, &piece(5, 0, 0, &["lo"])),
            bare(text, &piece(6, 0, 0, &["6\tf"])),
        ];
        // A frame that is compressed already is no frame for a pack, unless there is no compression.
        let direct = seal(&mut encoder, text, &piece(3, 0, 0, &["3\tc", "4\td"]));
        frames.push(direct);
        for (frame, raw) in frames {
            let entry = frame.entry;
            let format = sample::format_of(&entries[entry as usize - 1]);
            let sum: &mut pgstow::archive::Fingerprint = sums.entry(entry).or_default();
            sum.merge(&sample::fingerprint(format, &raw));
            if entry == 3 {
                // What it needs is not complete.
                let error = writer.append(frame.clone()).await.unwrap_err();
                assert_eq!(error.kind(), Kind::Usage, "{error}");
                for entry in [1, 2, 4, 5, 6] {
                    writer.complete(entry, sums[&entry]).await.unwrap();
                }
            }
            writer.append(frame).await.unwrap();
        }
        writer.complete(3, sums[&3]).await.unwrap();
        writer.finish().await.unwrap();
        let bytes = sink.bytes();
        let directories: Vec<String> = names(&bytes)
            .into_iter()
            .filter(|name| name.starts_with("data/") || name.starts_with("blobs/"))
            .map(|name| {
                let end = if name.ends_with("complete.json") {
                    "end"
                } else {
                    "frame"
                };
                format!("{} {end}", &name[..name.find(['-', '/', '.']).unwrap()])
                    + &name[name.find('/').unwrap()..name.find('/').unwrap() + 7]
            })
            .collect();
        let expected: &[&str] = match codec {
            Codec::None => &["000002", "000002", "000004", "000005", "000002", "000004"],
            _ => &["000002", "000002", "000004", "000005", "000002", "000004"],
        };
        for (found, expected) in directories.iter().zip(expected) {
            assert!(found.contains(expected), "{directories:?}");
        }
        let packs = names(&bytes);
        let packs: Vec<&String> = packs.iter().filter(|name| name.contains("pack-")).collect();
        assert_eq!(packs.len(), 1, "{packs:?}");
        let archive = Archive::open(MemorySource::new(bytes.clone()))
            .await
            .unwrap();
        let in_pack = |entry: u32| archive.table(entry).unwrap().frames[0].pack.is_some();
        assert!(in_pack(1) && in_pack(6) && !in_pack(2) && !in_pack(4));
        assert_eq!(in_pack(3), codec == Codec::None);
        verify_stream(bytes.as_slice(), Arc::new(Silent))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn statistics_follow_all_packs() {
    let (mut entries, pieces) = many(4);
    let mut statistics = Entry::new(
        5,
        "STATISTICS DATA",
        "statistics",
        pgstow::archive::Section::PostData,
    );
    statistics.data = Some(pgstow::archive::DataSpec::Statistics {
        relations: Vec::new(),
    });
    entries.push(statistics);
    let (mut writer, sink) = packing(Codec::Gzip(6), &entries).await;
    for one in &pieces {
        let format = sample::format_of(&entries[one.entry as usize - 1]);
        let (frame, raw) = bare(format, one);
        writer.append(frame).await.unwrap();
        let sum = sample::fingerprint(format, &raw);
        writer.complete(one.entry, sum).await.unwrap();
    }
    let mut encoder = Encoder::new(Codec::Gzip(6)).unwrap();
    let (frame, raw) = seal(&mut encoder, CopyFormat::Text, &piece(5, 0, 0, &["{}"]));
    writer.append(frame).await.unwrap();
    let sum = sample::fingerprint(CopyFormat::Text, &raw);
    writer.complete(5, sum).await.unwrap();
    writer.finish().await.unwrap();
    let names = names(&sink.bytes());
    let at = |part: &str| names.iter().position(|name| name.contains(part)).unwrap();
    assert!(at("data/pack-000000") < at("statistics/000005/0"));
    assert!(
        verify_stream(sink.bytes().as_slice(), Arc::new(Silent))
            .await
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flipped_byte_of_a_pack_is_found() {
    let (entries, pieces) = many(5);
    for (codec, step) in [(Codec::None, 17), (Codec::Zstd(1), 31)] {
        let (good, _) = write_packed(codec, &entries, &pieces).await;
        for at in (0..good.len()).step_by(step) {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            refused(bytes, &format!("{codec}: byte {at}")).await;
        }
    }
    // The same within the pack, with a name, an index and sums that know of it.
    let (good, _) = write_packed(Codec::None, &entries, &pieces).await;
    let forge = Forge::of(&good);
    let length = forge.members[forge.at("data/pack-")].content.len();
    for at in (0..length).step_by(5) {
        let mut forge = forge.clone();
        let mut content = forge.member("data/pack-").content.clone();
        content[at] ^= 1 << (at % 8);
        forge.set_pack(content);
        forge.agree();
        refused(forge.seal_plain(), &format!("byte {at} of the pack")).await;
    }
}

async fn refused(bytes: Vec<u8>, what: &str) {
    let bytes = Bytes::from(bytes);
    let seeking = verify(MemorySource::new(bytes.clone()), Arc::new(Silent)).await;
    let streaming = verify_stream(bytes.as_ref(), Arc::new(Silent)).await;
    for (how, result) in [("seeking", seeking), ("streaming", streaming)] {
        let error = result.expect_err(&format!("{what}, {how}"));
        assert_eq!(error.kind(), Kind::Archive, "{what}, {how}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pack_is_read_once_by_all_who_want_frames_of_it() {
    let (entries, pieces) = many(2000);
    let (bytes, _) = write_packed(Codec::Zstd(1), &entries, &pieces).await;
    let source = Counting::new(MemorySource::new(bytes));
    let archive = Archive::open(Arc::clone(&source) as Arc<dyn Source>).await;
    let archive = Arc::new(archive.unwrap());
    let before = source.reads();
    let frames: Vec<_> = archive
        .index()
        .tables()
        .flat_map(|table| table.frames.clone())
        .collect();
    let packs = frames.iter().filter_map(|frame| frame.pack).max().unwrap() + 1;
    let reading = frames.iter().map(|frame| {
        let (archive, frame) = (Arc::clone(&archive), frame.clone());
        tokio::spawn(async move { archive.read_frame(&frame).await.unwrap() })
    });
    for stored in join_all(reading).await {
        let stored = stored.unwrap();
        assert_eq!(stored.codec, Codec::None);
        assert_eq!(stored.stored.len() as u64, stored.raw_bytes);
    }
    let reads = source.reads() - before;
    assert_eq!(reads, u64::from(packs));
}

#[tokio::test]
async fn a_pipe_gives_what_is_in_packs_in_their_order() {
    let (entries, pieces) = many(40);
    let (bytes, _) = write_packed(Codec::Lz4, &entries, &pieces).await;
    let archive = Archive::open(MemorySource::new(bytes.clone()))
        .await
        .unwrap();
    let mut reader = StreamReader::open(bytes.as_slice()).await.unwrap();
    let mut frame_of = None;
    let mut ended = 0;
    while let Some(item) = reader.next().await.unwrap() {
        match item {
            StreamItem::Frame(frame) => {
                let index = &archive.table(frame.entry).unwrap().frames[0];
                assert_eq!(archive.read_frame(index).await.unwrap(), frame);
                frame_of = Some(frame.entry);
            }
            StreamItem::Complete(end) => {
                assert_eq!(end.frames, u64::from(frame_of == Some(end.entry)));
                ended += 1;
            }
            StreamItem::End(index) => assert_eq!(&index, archive.index()),
        }
    }
    assert_eq!(ended, 40);
}
