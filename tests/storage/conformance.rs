//! What every store does, whichever it is: one examination for all.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use pgstow::error::Kind;
use pgstow::storage::{LocalStore, Overwrite, Put, Store};

use crate::network::{Harm, Network};
use crate::servers::{Seaweed, azurite, google, http, opened, s3};

/// What a store cannot help.
#[derive(Clone, Copy, PartialEq)]
pub enum Conditions {
    /// Of several who create the same object, one succeeds.
    Honoured,
    /// It takes no notice.
    Ignored,
}

/// Bytes that do not repeat.
pub fn content(length: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// Larger than two of the smallest parts, and no multiple of anything.
pub const LARGE: usize = 11_000_001;

pub async fn write(
    store: &dyn Store,
    key: &str,
    bytes: &Bytes,
    overwrite: Overwrite,
) -> pgstow::error::Result<()> {
    let mut sink = store.create(key, overwrite).await?;
    let settled = sink.settled();
    let written = async {
        for piece in (0..bytes.len()).step_by(700_001) {
            let end = bytes.len().min(piece + 700_001);
            sink.write(bytes.slice(piece..end)).await?;
        }
        sink.finish().await
    };
    let done = written.await;
    settled.await;
    done
}

async fn whole(store: &dyn Store, key: &str) -> Bytes {
    let source = store.open(key).await.unwrap();
    let length = usize::try_from(source.len()).unwrap();
    source.read_at(0, length).await.unwrap()
}

pub async fn examine(store: Arc<dyn Store>, conditions: Conditions) {
    small_objects(store.as_ref(), conditions).await;
    keys(store.as_ref()).await;
    large_objects(store.as_ref()).await;
    nothing_half(store.as_ref()).await;
}

async fn small_objects(store: &dyn Store, conditions: Conditions) {
    assert_eq!(store.list("").await.unwrap(), []);
    assert_eq!(store.head("a").await.unwrap(), None);
    assert_eq!(store.get("a").await.unwrap(), None);
    store.delete("a").await.unwrap();

    let put = |bytes: &'static str, overwrite| store.put("a", Bytes::from(bytes), overwrite);
    assert_eq!(put("first", Overwrite::Refuse).await.unwrap(), Put::Written);
    assert_eq!(put("second", Overwrite::Refuse).await.unwrap(), Put::Exists);
    assert_eq!(store.get("a").await.unwrap().unwrap(), "first");
    assert_eq!(
        put("thirdly", Overwrite::Replace).await.unwrap(),
        Put::Written
    );
    assert_eq!(store.get("a").await.unwrap().unwrap(), "thirdly");
    let info = store.head("a").await.unwrap().unwrap();
    assert_eq!((info.key.as_str(), info.bytes), ("a", 7));
    assert!(info.modified > 1_700_000_000, "{info:?}");
    assert_eq!(put("", Overwrite::Replace).await.unwrap(), Put::Written);
    assert_eq!(store.get("a").await.unwrap().unwrap(), "");
    store.delete("a").await.unwrap();
    assert_eq!(store.get("a").await.unwrap(), None);

    // Of many who want to be the first, one is.
    let all: Vec<String> = (0..8).map(|who| format!("it is {who}")).collect();
    let puts = join_all(
        all.iter()
            .map(|it| store.put("lock", it.clone().into(), Overwrite::Refuse)),
    );
    let puts: Vec<Put> = puts.await.into_iter().map(Result::unwrap).collect();
    let held = store.get("lock").await.unwrap().unwrap();
    let winners: Vec<&String> = all
        .iter()
        .zip(&puts)
        .filter(|(_, put)| **put == Put::Written)
        .map(|(it, _)| it)
        .collect();
    match conditions {
        Conditions::Honoured => assert_eq!(winners, [&String::from_utf8(held.to_vec()).unwrap()]),
        Conditions::Ignored => assert!(!winners.is_empty()),
    }
    store.delete("lock").await.unwrap();
}

async fn keys(store: &dyn Store) {
    let mut keys = [
        "db/2026-01-01/x.pgstow",
        "db/2026-01-01/y+z.pgstow",
        "db/2026-01-02/with space",
        "db/ä=b&c",
        "db/100%",
        "dbx/1",
        "top",
    ];
    keys.sort_unstable();
    for key in keys {
        let _ = store
            .put(key, Bytes::from(key), Overwrite::Refuse)
            .await
            .unwrap();
        assert_eq!(store.get(key).await.unwrap().unwrap(), key);
        assert_eq!(
            store.head(key).await.unwrap().unwrap().bytes,
            key.len() as u64
        );
    }
    let listed = |found: Vec<pgstow::storage::ObjectInfo>| {
        found.into_iter().map(|it| it.key).collect::<Vec<_>>()
    };
    assert_eq!(listed(store.list("").await.unwrap()), keys);
    let below: Vec<&str> = keys
        .into_iter()
        .filter(|key| key.starts_with("db/"))
        .collect();
    assert_eq!(listed(store.list("db").await.unwrap()), below);
    assert_eq!(listed(store.list("d").await.unwrap()), [""; 0]);
    assert_eq!(listed(store.list("nowhere").await.unwrap()), [""; 0]);
    for key in keys {
        store.delete(key).await.unwrap();
    }
    for key in ["a//b", "/a", "a/../b", "./a", "a\nb"] {
        let error = store.get(key).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Usage, "{key:?}: {error}");
    }
    assert_eq!(store.list("").await.unwrap(), []);
}

async fn large_objects(store: &dyn Store) {
    let error = store.open("large").await.err().unwrap();
    assert_eq!(error.kind(), Kind::Storage, "{error}");
    for length in [0, 1, 100_000, 5 << 20, LARGE] {
        let bytes = content(length, 1);
        write(store, "large", &bytes, Overwrite::Replace)
            .await
            .unwrap();
        assert_eq!(
            store.head("large").await.unwrap().unwrap().bytes,
            length as u64
        );
        assert!(whole(store, "large").await == bytes, "{length} bytes");
    }
    let bytes = content(LARGE, 1);
    let source = store.open("large").await.unwrap();
    assert_eq!(source.len(), LARGE as u64);
    assert_eq!(source.name(), format!("{}/large", store.name()));
    let ranges = [
        (0, 1),
        (1, 70_000),
        (5 << 20, 100),
        (LARGE - 3, 3),
        (LARGE, 0),
        (777, 0),
    ];
    let read = join_all(ranges.map(|(at, length)| source.read_at(at as u64, length))).await;
    for ((at, length), read) in ranges.into_iter().zip(read) {
        assert!(
            read.unwrap() == bytes.slice(at..at + length),
            "{length} at {at}"
        );
    }
    for (at, length) in [(LARGE as u64 - 3, 4), (LARGE as u64 + 1, 1), (u64::MAX, 2)] {
        let error = source.read_at(at, length).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Storage, "{error}");
    }
    store.delete("large").await.unwrap();
}

async fn nothing_half(store: &dyn Store) {
    let (old, new) = (content(1000, 2), content(LARGE, 3));
    // Dropped: nothing is seen, and what was there before stays.
    for before in [None, Some(&old)] {
        if let Some(old) = before {
            write(store, "half", old, Overwrite::Replace).await.unwrap();
        }
        let mut sink = store.create("half", Overwrite::Replace).await.unwrap();
        let settled = sink.settled();
        sink.write(new.clone()).await.unwrap();
        assert_eq!(store.get("half").await.unwrap().as_ref(), before);
        drop(sink);
        settled.await;
        assert_eq!(store.get("half").await.unwrap().as_ref(), before);
    }
    let error = store.create("half", Overwrite::Refuse).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Refused, "{error}");
    store.delete("half").await.unwrap();

    // Somebody else was quicker.
    for length in [1000, LARGE] {
        let mut sink = store.create("half", Overwrite::Refuse).await.unwrap();
        let settled = sink.settled();
        sink.write(new.slice(..length)).await.unwrap();
        assert_eq!(
            store
                // Azurite takes parts that are not committed for an object, and would refuse.
                .put("half", old.clone(), Overwrite::Replace)
                .await
                .unwrap(),
            Put::Written
        );
        let error = sink.finish().await.unwrap_err();
        settled.await;
        assert_eq!(error.kind(), Kind::Refused, "{error}");
        assert_eq!(store.get("half").await.unwrap().unwrap(), old);
        store.delete("half").await.unwrap();
    }
    assert_eq!(store.list("").await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(LocalStore::new(dir.path().join("made")));
    examine(store, Conditions::Honoured).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_conforms() {
    let (place, ignores) = s3();
    let conditions = match ignores {
        true => Conditions::Ignored,
        false => Conditions::Honoured,
    };
    examine(place.store(), conditions).await;
    assert_eq!(place.store().list("").await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn examined_s3_has_no_parts_left() {
    let server = Seaweed::get();
    let bucket = server.bucket();
    let store = opened(&format!("s3://{bucket}/some/prefix"), &server.settings());
    large_objects(store.as_ref()).await;
    nothing_half(store.as_ref()).await;
    assert_eq!(server.unfinished(&bucket), 0);
    let store = opened(&format!("s3://{bucket}"), &server.settings());
    assert_eq!(store.list("").await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_wants_equal_parts_conforms() {
    let server = Seaweed::get();
    let network = Network::new(server.port).with_equal_parts();
    let settings = server.settings().with("AWS_S3_ENDPOINT", network.url());
    let store = opened(&format!("s3://{}", server.bucket()), &settings);
    large_objects(store.as_ref()).await;

    // It does refuse what R2 refuses: here a first part that is larger, of an upload without signatures.
    let send = |method: &str, target: &str, bytes: usize| {
        let head = format!(
            "{method} /open/unequal?{target} HTTP/1.1\r\nHost: x\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n"
        );
        http(network.port(), &(head + &"x".repeat(bytes))).unwrap()
    };
    for (first, fits) in [(6 << 20, false), (5 << 20, true)] {
        let begun = send("POST", "uploads", 0);
        let id = begun
            .split(['<', '>'])
            .skip_while(|it| *it != "UploadId")
            .nth(1);
        let id = id.unwrap();
        let _ = send("PUT", &format!("partNumber=1&uploadId={id}"), first);
        let _ = send("PUT", &format!("partNumber=2&uploadId={id}"), 5 << 20);
        let _ = send("PUT", &format!("partNumber=3&uploadId={id}"), 7);
        let done = send("POST", &format!("uploadId={id}"), 0);
        assert_eq!(
            !done.contains("InvalidPart</Code><Message>the network"),
            fits,
            "{done}"
        );
        let _ = send("DELETE", &format!("uploadId={id}"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_over_tls_conforms() {
    let server = Seaweed::get();
    let store = opened(&format!("s3://{}", server.bucket()), &server.tls_settings());
    examine(store, Conditions::Honoured).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_conforms() {
    examine(azurite().store(), Conditions::Honoured).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn google_conforms() {
    examine(google().store(), Conditions::Honoured).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_ignores_conditions_conforms_as_far_as_it_can() {
    let server = Seaweed::get();
    // The open bucket, without signatures, so that the network may change requests.
    let network = Network::new(server.port).without_conditions();
    let settings = server
        .settings()
        .with("AWS_S3_ENDPOINT", network.url())
        .with("AWS_SKIP_SIGNATURE", "true");
    examine(opened("s3://open/ignoring", &settings), Conditions::Ignored).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_store_conforms() {
    let server = Seaweed::get();
    let network = Network::new(server.port).always(Harm::Late);
    let settings = server.settings().with("AWS_S3_ENDPOINT", network.url());
    let url = format!("s3://{}", server.bucket());
    examine(opened(&url, &settings), Conditions::Honoured).await;
}
