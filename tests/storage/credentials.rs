//! What is set up wrongly is told: which place, what is wrong, what to do, and never a secret.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use pgstow::error::Error;
use pgstow::storage::{Location, Overwrite, StoreSettings, create, open};

use rustls::crypto::ring;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::conformance::content;
use crate::network::{Harm, Network};
use crate::servers::{SECRET, Seaweed, azurite, opened};
use crate::support::{Pki, pgstow, run, with_clock};

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

/// Writes down what it is asked for over TLS; answers what it knows, and refuses the rest.
struct Desk {
    port: u16,
    pki: Pki,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Desk {
    /// `known`: what a request's first line has, and the answer's body.
    fn open(known: &[(&'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let pki = Pki::generate();
        let certificates = CertificateDer::pem_file_iter(pki.server_cert()).unwrap();
        let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                certificates.map(Result::unwrap).collect(),
                PrivateKeyDer::from_pem_file(pki.server_key()).unwrap(),
            );
        let tls = Arc::new(tls.unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (known, seen) = (known.to_vec(), Arc::clone(&heads));
        // It ends with the process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&tls)).unwrap();
                let mut stream = BufReader::new(StreamOwned::new(connection, client));
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n")
                    && stream.read_line(&mut head).is_ok_and(|it| it > 0)
                {}
                let first = head.lines().next().unwrap_or_default();
                let found = known.iter().find(|(path, _)| first.contains(path));
                let (status, body) = match found {
                    Some((_, body)) => ("200 OK", *body),
                    None => ("403 Forbidden", "<Error><Code>AccessDenied</Code></Error>"),
                };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                seen.lock().unwrap().push(head);
                let stream = stream.get_mut();
                // Whoever does not wait for it has gone.
                let _ = stream.write_all(answer.as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        Self { port, pki, heads }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Writes an object there, which is refused; what the request said.
    async fn head_of_a_write(&self, settings: StoreSettings) -> String {
        let settings = settings
            .with("AWS_S3_ENDPOINT", self.url())
            .with("AWS_CA_BUNDLE", self.pki.ca_cert().to_str().unwrap());
        let put = opened("s3://bucket", &settings);
        let put = put.put("it", "x".into(), Overwrite::Replace).await;
        let error = put.unwrap_err();
        assert!(error.message().contains("permission denied"), "{error}");
        let heads = self.heads.lock().unwrap();
        let head = heads.iter().find(|it| it.starts_with("PUT /bucket/it "));
        head.unwrap().to_lowercase()
    }
}

/// Keys that are not in the environment, and what else a request bears.
#[tokio::test(flavor = "multi_thread")]
async fn keys_come_from_profiles_roles_containers_and_the_machine() {
    const KEYS: &str = r#"{"AccessKeyId":"AKIALENT","SecretAccessKey":"s","Token":"passing",
        "Expiration":"2099-01-01T00:00:00Z","Code":"Success","Type":"AWS-HMAC","LastUpdated":"2026-01-01T00:00:00Z"}"#;
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let credentials = file(
        "credentials",
        "[night]\naws_access_key_id = AKIALENT\naws_secret_access_key = s\naws_session_token = passing\n",
    );
    let token = file("token", "who I am");
    let desk = Desk::open(&[
        (
            "WebIdentityToken=who",
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
             <AccessKeyId>AKIALENT</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
             <SessionToken>passing</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
             </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
        ),
        ("/container", KEYS),
        ("/latest/api/token", "imds"),
        ("/iam/security-credentials/backup", KEYS),
        ("/iam/security-credentials", "backup"),
    ]);
    let settings = || StoreSettings::new().with("HOME", home.path().to_str().unwrap());
    let profile = settings()
        .with("AWS_SHARED_CREDENTIALS_FILE", credentials)
        .with("AWS_PROFILE", "night");
    let role = settings()
        .with("AWS_WEB_IDENTITY_TOKEN_FILE", token.clone())
        .with("AWS_ROLE_ARN", "arn:aws:iam::1:role/backup")
        .with("AWS_ENDPOINT_URL_STS", desk.url());
    let container = settings()
        .with(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("{}/container", desk.url()),
        )
        .with("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token);
    let machine = settings().with("AWS_METADATA_ENDPOINT", desk.url());
    for settings in [profile, role, container, machine] {
        desk.heads.lock().unwrap().clear();
        let head = desk.head_of_a_write(settings).await;
        assert!(head.contains("credential=akialent/"), "{head}");
        assert!(head.contains("x-amz-security-token: passing"), "{head}");
    }

    let by_store = settings()
        .with("AWS_ACCESS_KEY_ID", "k")
        .with("AWS_SECRET_ACCESS_KEY", "s")
        .with("AWS_SERVER_SIDE_ENCRYPTION", "aws:kms")
        .with("AWS_SSE_KMS_KEY_ID", "key-of-ours");
    desk.heads.lock().unwrap().clear();
    let head = desk.head_of_a_write(by_store).await;
    assert!(
        head.contains("x-amz-server-side-encryption: aws:kms"),
        "{head}"
    );
    assert!(head.contains("key-of-ours"), "{head}");
    // Optional checksums, which some stores refuse, are never sent.
    assert!(
        !head.contains("x-amz-checksum") && !head.contains("x-amz-sdk-checksum"),
        "{head}"
    );
}

#[test]
fn a_clock_that_is_wrong_is_found_by_a_real_server() {
    let server = Seaweed::get();
    let url = format!("s3://{}/x", server.bucket());
    // The program sees a time two hours ago.
    let mut command = pgstow();
    command.args(["list", &url]).envs(server.variables());
    with_clock(&mut command, "-2h");
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
