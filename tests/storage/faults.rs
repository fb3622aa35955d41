//! A small upload with one harm at each of its requests in turn: what is there afterwards is whole
//! or not there, and the answer says which.

use pgstow::error::Kind;
use pgstow::storage::Overwrite;

use crate::conformance::{LARGE, content, write};
use crate::network::{Harm, Network};
use crate::servers::{Seaweed, opened};

/// Writes with this harm at each request in turn; gives each outcome with what was then there.
async fn each(
    harm: Harm,
    length: usize,
    overwrite: Overwrite,
    mut judge: impl FnMut(usize, &str, pgstow::error::Result<()>, Option<bool>),
) {
    let server = Seaweed::get();
    let bucket = server.bucket();
    let network = Network::new(server.port);
    let settings = server.settings();
    let direct = opened(&format!("s3://{bucket}"), &settings);
    let harmed = opened(
        &format!("s3://{bucket}"),
        &settings.with("AWS_S3_ENDPOINT", network.url()),
    );
    let bytes = content(length, 9);
    for number in 1.. {
        network.harm(number, harm);
        let done = write(harmed.as_ref(), "it", &bytes, overwrite).await;
        let seen = network.seen();
        if seen.len() < number {
            assert!(done.is_ok(), "{harm:?}: {done:?}");
            assert!(number > 4, "only {number} requests were harmed: {seen:?}");
            return;
        }
        let there = direct.get("it").await.unwrap().map(|found| found == bytes);
        judge(number, &seen[number - 1], done, there);
        assert_ne!(there, Some(false), "{harm:?} at {number}");
        direct.delete("it").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_ridden_out() {
    for harm in [Harm::Lost, Harm::AnswerLost, Harm::Refused(503)] {
        for (length, overwrite) in [(LARGE, Overwrite::Replace), (1000, Overwrite::Replace)] {
            each(harm, length, overwrite, |number, request, done, there| {
                assert!(done.is_ok(), "{harm:?} at {number}, {request}: {done:?}");
                assert_eq!(there, Some(true), "{harm:?} at {number}, {request}");
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_pass_leaves_nothing() {
    for overwrite in [Overwrite::Replace, Overwrite::Refuse] {
        each(
            Harm::Refused(403),
            LARGE,
            overwrite,
            |number, request, done, there| {
                // Read back after it was written: then it is there, and whole.
                let written = there == Some(true);
                match done {
                    Ok(()) => assert!(written, "{number}, {request}"),
                    Err(error) => {
                        assert_eq!(error.kind(), Kind::Storage, "{number}, {request}: {error}")
                    }
                }
                if request.starts_with("PUT") || request.starts_with("POST") {
                    assert!(!written, "{number}, {request}");
                }
            },
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn done_then_reported_failed() {
    for overwrite in [Overwrite::Replace, Overwrite::Refuse] {
        for status in [400, 412, 503] {
            let harm = Harm::DoneAndRefused(status);
            each(harm, LARGE, overwrite, |number, request, done, there| {
                if request.starts_with("POST") && request.contains("uploadId") {
                    assert!(done.is_ok(), "{harm:?} at {number}, {request}: {done:?}");
                    assert_eq!(there, Some(true), "{harm:?} at {number}, {request}");
                } else if done.is_ok() {
                    assert_eq!(there, Some(true), "{harm:?} at {number}, {request}");
                }
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_upload_leaves_no_parts() {
    let server = Seaweed::get();
    let bucket = server.bucket();
    let network = Network::new(server.port);
    let settings = server.settings().with("AWS_S3_ENDPOINT", network.url());
    let store = opened(&format!("s3://{bucket}"), &settings);
    let bytes = content(LARGE, 4);
    // The beginning, the parts, the completion.
    for number in 3..7 {
        network.harm(number, Harm::Refused(403));
        let failed = write(store.as_ref(), "it", &bytes, Overwrite::Replace).await;
        assert!(failed.is_err(), "{:?}", network.seen());
        assert_eq!(
            server.unfinished(&bucket),
            0,
            "{number}: {:?}",
            network.seen()
        );
    }
    let mut sink = store.create("it", Overwrite::Replace).await.unwrap();
    sink.write(bytes).await.unwrap();
    let settled = sink.settled();
    assert_eq!(server.unfinished(&bucket), 1);
    drop(sink);
    settled.await;
    assert_eq!(server.unfinished(&bucket), 0);
    assert_eq!(store.list("").await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_rides_out_what_passes_and_tells_what_does_not() {
    let server = Seaweed::get();
    let network = Network::new(server.port);
    let settings = server.settings().with("AWS_S3_ENDPOINT", network.url());
    let store = opened(&format!("s3://{}", server.bucket()), &settings);
    let bytes = content(LARGE, 5);
    write(store.as_ref(), "it", &bytes, Overwrite::Replace)
        .await
        .unwrap();
    for harm in [
        Harm::Lost,
        Harm::AnswerLost,
        Harm::AnswerCut,
        Harm::Refused(503),
    ] {
        let source = store.open("it").await.unwrap();
        network.harm(1, harm);
        let read = source.read_at(1000, 4 << 20).await;
        assert!(
            read.unwrap() == bytes.slice(1000..1000 + (4 << 20)),
            "{harm:?}"
        );
    }
    // Replaced while it is read: never a mixture.
    let source = store.open("it").await.unwrap();
    write(store.as_ref(), "it", &content(LARGE, 6), Overwrite::Replace)
        .await
        .unwrap();
    let error = source.read_at(0, 10).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Storage);
    assert!(
        error.message().contains("changed by somebody else"),
        "{error}"
    );
}
