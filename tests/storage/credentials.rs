//! What is set up wrongly is told: which place, what is wrong, what to do, and never a secret.

use pgstow::error::Error;
use pgstow::storage::{Location, Overwrite, StoreSettings, create, open};

use crate::conformance::content;
use crate::network::{Harm, Network};
use crate::servers::{SECRET, Seaweed, azurite};
use crate::support::{pgstow, run};

async fn told(url: &str, settings: &StoreSettings, what: &str) {
    let location = Location::parse(url).unwrap();
    let writing = async {
        let mut sink = create(&location, Overwrite::Replace, settings).await?;
        sink.write(content(1000, 1)).await?;
        sink.finish().await
    };
    let written = writing.await.unwrap_err();
    let opened = open(&location, settings).await.err().unwrap();
    for error in [written, opened] {
        tells(&error, url, what);
    }
}

fn tells(error: &Error, url: &str, what: &str) {
    assert_eq!(error.kind(), pgstow::error::Kind::Storage, "{error}");
    assert!(error.message().contains(what), "{error}");
    assert!(error.message().contains(url), "{error}");
    assert!(error.hint().is_some(), "{error}");
    let all = format!("{error} {error:?} {:?}", error.hint());
    assert!(
        !all.contains(SECRET) && !all.contains("wrong-secret"),
        "{all}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_named() {
    let server = Seaweed::get();
    let settings = server.settings();
    let url = format!("s3://{}/x/y.pgstow", server.bucket());
    let with = |name: &str, value: &str| settings.clone().with(name, value);
    let wrong = with("AWS_SECRET_ACCESS_KEY", "wrong-secret");
    told(
        &url,
        &wrong,
        "rejects the credentials (SignatureDoesNotMatch)",
    )
    .await;
    let unknown = with("AWS_ACCESS_KEY_ID", "AKIANOBODY");
    told(&url, &unknown, "does not know the access key").await;
    told(
        "s3://no-such-bucket/x",
        &settings,
        "there is no bucket no-such-bucket",
    )
    .await;
    let nobody = with("AWS_S3_ENDPOINT", "http://127.0.0.1:9");
    told(&url, &nobody, "cannot be reached").await;
    let untrusted = settings.clone().with(
        "AWS_S3_ENDPOINT",
        format!("https://localhost:{}", server.tls_port),
    );
    told(&url, &untrusted, "certificate is not accepted").await;
    let other = untrusted.with(
        "AWS_CA_BUNDLE",
        server.pki.other_ca_cert().to_str().unwrap(),
    );
    told(&url, &other, "certificate is not accepted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_named() {
    let server = Seaweed::get();
    let settings = server.settings().with("AWS_ACCESS_KEY_ID", "AKIAREADER");
    let url = format!("s3://{}/x", server.bucket());
    let mut sink = create(
        &Location::parse(&url).unwrap(),
        Overwrite::Replace,
        &settings,
    )
    .await
    .unwrap();
    sink.write(content(100, 1)).await.unwrap();
    let error = sink.finish().await.unwrap_err();
    tells(&error, &url, "permission denied");
}

/// The store's own answers, where the server here has no way to be made to give them.
#[tokio::test(flavor = "multi_thread")]
async fn answers_of_other_stores_are_understood() {
    let server = Seaweed::get();
    for (code, what) in [
        ("ExpiredToken", "have expired"),
        ("RequestTimeTooSkewed", "clock"),
        ("PermanentRedirect", "another region"),
    ] {
        let network = Network::new(server.port).always(Harm::Coded(code));
        let settings = server.settings().with("AWS_S3_ENDPOINT", network.url());
        told("s3://bucket/x", &settings, what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_names_mistakes_too() {
    let place = azurite();
    let (url, settings) = (&place.url, place.settings());
    let wrong = "d3Jvbmctc2VjcmV0";
    told(
        &format!("{url}/x"),
        &settings.clone().with("AZURE_STORAGE_KEY", wrong),
        "(AuthorizationFailure)",
    )
    .await;
    told(
        "az://no-such-container/x",
        &settings,
        "there is no container no-such-container",
    )
    .await;
}

#[test]
fn a_clock_that_is_wrong_is_found_by_a_real_server() {
    let server = Seaweed::get();
    let url = format!("s3://{}/x", server.bucket());
    // The program sees a time two hours ago.
    let mut command = pgstow();
    command.args(["list", &url]).envs(server.variables());
    let library = std::fs::read_dir("/usr/lib")
        .unwrap()
        .map(|entry| entry.unwrap().path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists())
        .expect("libfaketime is missing: run scripts/fetch-stores");
    command.env("LD_PRELOAD", library).env("FAKETIME", "-2h");
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let output = run(&mut command).expect_code(7);
    assert!(
        output.stderr.contains(&url) && output.stderr.contains("clock"),
        "{}",
        output.stderr
    );
}

#[test]
fn the_program_says_it_and_ends_with_7() {
    let server = Seaweed::get();
    let url = format!("s3://{}/x", server.bucket());
    let mut command = pgstow();
    command.args(["list", &url]).envs(server.variables());
    command.env("AWS_SECRET_ACCESS_KEY", "wrong-secret");
    let output = run(&mut command).expect_code(7);
    assert!(
        output.stderr.contains("AWS_SECRET_ACCESS_KEY"),
        "{}",
        output.stderr
    );
    assert!(!output.stderr.contains("wrong-secret"), "{}", output.stderr);
    let output = run(pgstow().args(["list", "http://host/x"])).expect_code(2);
    assert!(output.stderr.contains("s3://"), "{}", output.stderr);
    let output = run(pgstow().args(["list", &url]).envs(server.variables())).expect_code(7);
    assert!(
        output.stderr.contains("there is no such object"),
        "{}",
        output.stderr
    );
}
