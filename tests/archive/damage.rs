//! Every changed byte is found, and every cut.

use std::sync::Arc;

use bytes::Bytes;
use pgstow::archive::{Archive, Codec, CopyFormat, Entry, StreamReader, verify, verify_stream};
use pgstow::error::{Error, Kind};
use pgstow::report::Silent;
use pgstow::storage::Source;

use super::sample::{
    Counting, MemorySource, Piece, large_objects, piece, small, table_data, write,
};

fn tiny() -> (Vec<Entry>, Vec<Piece>) {
    let entries = vec![
        table_data(1, "public", "orders", CopyFormat::Text),
        large_objects(2),
    ];
    let pieces = vec![piece(1, 0, 0, &["1\ta", "2\tb"]), piece(2, 0, 0, &["lo"])];
    (entries, pieces)
}

/// The members of an archive: name, where the header begins, where the content ends.
fn members(bytes: &[u8]) -> Vec<(String, usize, usize)> {
    let mut members = Vec::new();
    let mut at = 0;
    while bytes[at] != 0 {
        let text = |from: usize, length: usize| {
            let field = &bytes[at + from..at + from + length];
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(length);
            String::from_utf8(field[..end].to_vec()).unwrap()
        };
        let size = usize::from_str_radix(&text(124, 12), 8).unwrap();
        let name = match text(345, 155) {
            prefix if prefix.is_empty() => text(0, 100),
            prefix => format!("{prefix}/{}", text(0, 100)),
        };
        members.push((name, at, at + 512 + size));
        at += 512 + size.next_multiple_of(512);
    }
    members
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flipped_byte_is_found() {
    let (entries, pieces) = tiny();
    // Every byte of one archive, and of the compressed one every ninth.
    for (codec, step) in [(Codec::None, 1), (Codec::Zstd(1), 9)] {
        let (good, _) = write(codec, &entries, &pieces).await;
        let members = members(&good);
        assert_eq!(members.last().unwrap().0, "pgstow/trailer");
        for at in (0..good.len()).step_by(step) {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            let bytes = Bytes::from(bytes);
            let seeking = verify(MemorySource::new(bytes.clone()), Arc::new(Silent)).await;
            let streaming = verify_stream(bytes.as_ref(), Arc::new(Silent)).await;
            for (how, result) in [("seeking", seeking), ("streaming", streaming)] {
                let error = result.expect_err(&format!("{codec}: byte {at}, {how}"));
                assert_eq!(
                    error.kind(),
                    Kind::Archive,
                    "{codec}: byte {at}, {how}: {error}"
                );
            }
        }
    }
}

#[tokio::test]
async fn damage_is_reported_with_its_member_and_table() {
    let (entries, pieces) = small();
    let (good, _) = write(Codec::Zstd(1), &entries, &pieces).await;
    let mut kinds = 0;
    for (name, start, end) in members(&good) {
        if name == "pgstow/trailer" || name == "SHA256SUMS" {
            continue;
        }
        // In the header, in the content, in the padding.
        let padding = if end.is_multiple_of(512) {
            end - 1
        } else {
            end
        };
        for at in [start + 130, end - 1, padding] {
            let mut bytes = good.clone();
            bytes[at] ^= 4;
            let error = verify(MemorySource::new(bytes.clone()), Arc::new(Silent))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), Kind::Archive, "{name}: {error}");
            assert!(error.message().contains(&name), "{name}: {error}");
            if name.contains("public.orders") {
                assert!(
                    error.message().contains("TABLE DATA public.orders"),
                    "{error}"
                );
            }
            let error = verify_stream(bytes.as_slice(), Arc::new(Silent))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), Kind::Archive, "{name}: {error}");
        }
        kinds += 1;
    }
    assert_eq!(kinds, 16);
}

async fn open_error(bytes: Bytes) -> (Error, u64) {
    let source = Counting::new(MemorySource::new(bytes));
    let result = Archive::open(Arc::clone(&source) as Arc<dyn Source>).await;
    let error = result.err().expect("a cut archive was opened");
    (error, source.bytes())
}

async fn stream_error(bytes: &[u8]) -> Error {
    let mut reader = match StreamReader::open(bytes).await {
        Ok(reader) => reader,
        Err(error) => return error,
    };
    loop {
        match reader.next().await {
            Ok(item) => assert!(item.is_some(), "a cut archive was read to its end"),
            Err(error) => {
                // After an error nothing more comes.
                assert!(reader.next().await.unwrap().is_none());
                return error;
            }
        }
    }
}

#[tokio::test]
async fn a_cut_at_any_place_is_found_without_reading_all() {
    let (entries, pieces) = tiny();
    for codec in [Codec::None, Codec::Zstd(1)] {
        let (good, _) = write(codec, &entries, &pieces).await;
        let good = Bytes::from(good);
        for length in 0..good.len() {
            let (error, read) = open_error(good.slice(..length)).await;
            assert_eq!(error.kind(), Kind::Archive, "cut to {length}: {error}");
            assert!(read <= 4096, "cut to {length}: read {read}");
            let error = stream_error(&good[..length]).await;
            assert_eq!(error.kind(), Kind::Archive, "cut to {length}: {error}");
        }
    }
}

#[tokio::test]
async fn nothing_may_follow_an_archive() {
    let (entries, pieces) = tiny();
    let (good, _) = write(Codec::Zstd(1), &entries, &pieces).await;
    for more in [
        vec![0],
        vec![0; 512],
        vec![0; 9216],
        b"x".to_vec(),
        good.clone(),
    ] {
        let bytes = [good.clone(), more].concat();
        assert_eq!(stream_error(&bytes).await.kind(), Kind::Archive);
        assert_eq!(open_error(bytes.into()).await.0.kind(), Kind::Archive);
    }
}

#[tokio::test]
async fn a_damaged_frame_is_never_given_out() {
    let (entries, pieces) = tiny();
    let (good, _) = write(Codec::None, &entries, &pieces).await;
    let archive = Archive::open(MemorySource::new(good.clone()))
        .await
        .unwrap();
    let frame = archive.table(1).unwrap().frames[0].clone();
    let mut bytes = good;
    bytes[usize::try_from(frame.offset).unwrap()] ^= 1;
    let archive = Archive::open(MemorySource::new(bytes.clone()))
        .await
        .unwrap();
    let error = archive.read_frame(&frame).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Archive);
    assert!(
        error.message().contains("TABLE DATA public.orders"),
        "{error}"
    );
    let error = stream_error(&bytes).await;
    assert!(
        error.message().contains("does not match its name"),
        "{error}"
    );
}
