//! Encrypted archives: the age tool opens what is written here and the other way round; ranges,
//! pipes and stores read them; what is lost or changed is told.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use pgstow::encryption::{
    DecryptedSource, EncryptedSink, Identity, Keys, Passphrase, Recipients, decrypt_stream,
};
use pgstow::error::{Kind, Result};
use pgstow::storage::{LocalSource, LocalStore, Overwrite, Sink, Source, Store as _};
use tokio::io::AsyncReadExt as _;

use crate::conformance::content;
use crate::network::Network;
use crate::servers::Seaweed;
use crate::support::{Output, Server, assert_same_data, pgstow, run, run_with_input};

const CHUNK: usize = 64 << 10;

fn tool(name: &str) -> Command {
    let found = Command::new(name).arg("--version").output();
    assert!(found.is_ok(), "{name} is missing: run scripts/fetch-stores");
    Command::new(name)
}

async fn encrypt(path: &Path, bytes: &Bytes, recipients: &Recipients) {
    let store = LocalStore::new(path.parent().unwrap());
    let name = path.file_name().unwrap().to_str().unwrap();
    let inner = store.create(name, Overwrite::Replace).await.unwrap();
    let mut sink = Box::new(EncryptedSink::create(inner, recipients).await.unwrap());
    for piece in (0..bytes.len()).step_by(50_021) {
        let end = bytes.len().min(piece + 50_021);
        sink.write(bytes.slice(piece..end)).await.unwrap();
    }
    sink.finish().await.unwrap();
}

async fn decrypt(path: &Path, keys: &Keys) -> Result<Bytes> {
    let source = DecryptedSource::open(Arc::new(LocalSource::open(path).await?), keys).await?;
    let length = usize::try_from(source.len()).unwrap();
    source.read_at(0, length).await
}

async fn decrypt_pipe(bytes: Vec<u8>, keys: &Keys) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    let input = Box::new(std::io::Cursor::new(bytes));
    let mut stream = decrypt_stream(input, keys).await?;
    match stream.read_to_end(&mut plain).await {
        Ok(_) => Ok(plain),
        Err(error) => Err(*error.into_inner().unwrap().downcast().unwrap()),
    }
}

fn pair() -> (Identity, Recipients, Keys) {
    let identity = Identity::generate().unwrap();
    let recipients = Recipients::Keys(vec![identity.recipient()]);
    let keys = Keys {
        identities: vec![identity.clone()],
        passphrase: None,
    };
    (identity, recipients, keys)
}

/// Lengths around every boundary.
const LENGTHS: [usize; 8] = [
    0,
    1,
    CHUNK - 1,
    CHUNK,
    CHUNK + 1,
    3 * CHUNK,
    17 * CHUNK,
    1_200_345,
];

#[tokio::test(flavor = "multi_thread")]
async fn the_age_tool_and_we_read_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    run(tool("age-keygen").arg("-o").arg(path("key"))).success();
    let theirs = Identity::parse_file(&std::fs::read_to_string(path("key")).unwrap()).unwrap();
    let (ours, _, our_keys) = pair();
    let both = Recipients::Keys(vec![ours.recipient(), theirs[0].recipient()]);
    let their_keys = Keys {
        identities: theirs.clone(),
        passphrase: None,
    };
    for length in LENGTHS {
        let bytes = content(length, 1);
        encrypt(&path("ours"), &bytes, &both).await;
        let mut age = tool("age");
        age.args(["--decrypt", "-i"])
            .arg(path("key"))
            .arg(path("ours"));
        assert!(
            run(&mut age).success().stdout_bytes == bytes,
            "{length} bytes"
        );
        for keys in [&our_keys, &their_keys] {
            assert!(
                decrypt(&path("ours"), keys).await.unwrap() == bytes,
                "{length} bytes"
            );
        }

        std::fs::write(path("plain"), &bytes).unwrap();
        let mut age = tool("age");
        age.args(["-r", &theirs[0].recipient().to_string(), "-o"]);
        run(age.arg(path("theirs")).arg(path("plain"))).success();
        assert!(decrypt(&path("theirs"), &their_keys).await.unwrap() == bytes);
        let piped = std::fs::read(path("theirs")).unwrap();
        assert!(
            decrypt_pipe(piped, &their_keys).await.unwrap() == bytes,
            "{length} bytes"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_opens_what_it_closed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it");
    let bytes = content(100_000, 2);
    let passphrase = Passphrase::new("correct horse\n").unwrap();
    encrypt(&path, &bytes, &Recipients::Passphrase(passphrase.clone())).await;
    let keys = |passphrase| Keys {
        identities: vec![],
        passphrase,
    };
    assert!(decrypt(&path, &keys(Some(passphrase))).await.unwrap() == bytes);
    let wrong = Passphrase::new("wrong horse").unwrap();
    let error = decrypt(&path, &keys(Some(wrong))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused, "{error}");
    assert!(error.message().contains("passphrase") && !error.message().contains("horse"));
    let error = decrypt(&path, &keys(None)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused, "{error}");
    // The age tool asks on a terminal alone: `script` gives it one.
    let out = dir.path().join("out");
    let line = format!("age -d -o {} {}", out.display(), path.display());
    tool("age");
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]);
    run_with_input(&mut script, b"correct horse\n").success();
    assert!(std::fs::read(&out).unwrap() == bytes);
}

/// Counts what is read.
struct Counted {
    inner: LocalSource,
    ranges: Mutex<Vec<(u64, usize)>>,
}

impl Source for Counted {
    fn name(&self) -> String {
        self.inner.name()
    }
    fn len(&self) -> u64 {
        self.inner.len()
    }
    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes>> {
        self.ranges.lock().unwrap().push((offset, length));
        self.inner.read_at(offset, length)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_read_only_their_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it");
    let bytes = content(20 * CHUNK + 77, 3);
    let (_, recipients, keys) = pair();
    encrypt(&path, &bytes, &recipients).await;
    let inner = Arc::new(Counted {
        inner: LocalSource::open(&path).await.unwrap(),
        ranges: Mutex::default(),
    });
    let source = DecryptedSource::open(Arc::clone(&inner) as Arc<dyn Source>, &keys)
        .await
        .unwrap();
    assert_eq!(source.len(), bytes.len() as u64);
    inner.ranges.lock().unwrap().clear();
    let ranges = [
        (0, 1),
        (CHUNK - 1, 2),
        (5 * CHUNK, CHUNK),
        (7, 9 * CHUNK),
        (20 * CHUNK, 77),
        (bytes.len() - 1, 1),
        (bytes.len(), 0),
    ];
    let read = join_all(ranges.map(|(at, length)| source.read_at(at as u64, length))).await;
    for ((at, length), read) in ranges.into_iter().zip(read) {
        assert!(
            read.unwrap() == bytes.slice(at..at + length),
            "{length} at {at}"
        );
    }
    let fetched: usize = inner
        .ranges
        .lock()
        .unwrap()
        .iter()
        .map(|(_, length)| length)
        .sum();
    assert!(
        fetched <= (1 + 2 + 1 + 10 + 1 + 1) * (CHUNK + 16),
        "{fetched}"
    );
    let beyond = source.read_at(bytes.len() as u64, 1).await.unwrap_err();
    assert_eq!(beyond.kind(), Kind::Storage);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cut_or_changed_is_never_handed_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it");
    let bytes = content(3 * CHUNK, 4);
    let (_, recipients, keys) = pair();
    encrypt(&path, &bytes, &recipients).await;
    let whole = std::fs::read(&path).unwrap();
    let payload = whole.len() - 3 * (CHUNK + 16);
    let sealed = CHUNK + 16;
    let mut bad: Vec<(String, Vec<u8>)> = Vec::new();
    for cut in [
        22,
        40,
        payload - 1,
        payload,
        payload + 15,
        payload + 16,
        payload + 17,
    ]
    .into_iter()
    .chain((1..3).flat_map(|n| {
        [
            payload + n * sealed - 1,
            payload + n * sealed,
            payload + n * sealed + 16,
        ]
    }))
    .chain([whole.len() - 1])
    {
        bad.push((format!("cut at {cut}"), whole[..cut].to_vec()));
    }
    for flip in [
        30,
        60,
        payload - 10,
        payload,
        payload + sealed + 5,
        whole.len() - 1,
    ] {
        let mut changed = whole.clone();
        changed[flip] ^= 1;
        bad.push((format!("flipped at {flip}"), changed));
    }
    let mut swapped = whole[..payload].to_vec();
    swapped.extend_from_slice(&whole[payload + sealed..payload + 2 * sealed]);
    swapped.extend_from_slice(&whole[payload..payload + sealed]);
    swapped.extend_from_slice(&whole[payload + 2 * sealed..]);
    bad.push(("chunks swapped".to_owned(), swapped));
    let mut longer = whole.clone();
    longer.extend_from_slice(b"more");
    bad.push(("something behind it".to_owned(), longer));
    for (what, changed) in bad {
        std::fs::write(&path, &changed).unwrap();
        let by_range = decrypt(&path, &keys).await.unwrap_err();
        let by_pipe = decrypt_pipe(changed, &keys).await.unwrap_err();
        for error in [by_range, by_pipe] {
            // A changed stanza may look like one for somebody else.
            let kinds = [Kind::Archive, Kind::Refused];
            assert!(kinds.contains(&error.kind()), "{what}: {error}");
            assert!(
                what.starts_with("flipped") || error.kind() == Kind::Archive,
                "{what}: {error}"
            );
        }
    }
}

/// What a person does with keys, on the command line.
#[test]
fn archives_are_encrypted_from_end_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let keygen = || {
        let out = run(&mut tool("age-keygen")).success();
        let identity = Identity::parse_file(&out.stdout).unwrap().remove(0);
        (out.stdout, identity.recipient().to_string())
    };
    let ((first, first_public), (second, second_public), (other, _)) =
        (keygen(), keygen(), keygen());
    std::fs::write(path("first"), &first).unwrap();
    std::fs::write(path("other"), &other).unwrap();
    std::fs::write(
        path("recipients"),
        format!("# the second\n{second_public}\n"),
    )
    .unwrap();
    std::fs::write(path("passphrase"), "open sesame\n").unwrap();

    let server = Server::start(18);
    let source = server.create_db("encrypted_source");
    source.psql(
        "create table large (id int primary key, word text);
         insert into large select i, md5(i::text) || md5((i * 7)::text) from generate_series(1, 100000) i;
         create table small (id int primary key, word text);
         insert into small select i, 'word ' || i from generate_series(1, 50) i;",
    )
    .success();
    let url = source.url();
    let archive = text(path("shop.pgstow.age"));
    let dump = |more: &[&str], file: &str| {
        let mut command = pgstow();
        command.args(["dump", &url, "--copy-format=text", "-j2", "-f", file]);
        command.arg("--pack-tables=always").args(more);
        command
    };
    let to = [
        "--encrypt-to",
        &first_public,
        "--recipients-file",
        &text(path("recipients")),
    ];
    let told = run(&mut dump(&to, &archive)).success();
    assert!(told.stderr.contains("nobody can read"), "{}", told.stderr);
    assert!(
        std::fs::read(&archive)
            .unwrap()
            .starts_with(b"age-encryption.org/v1\n")
    );

    // The age tool and tar, without pgstow.
    let line = format!("age -d -i {} {archive} | tar tf -", path("first").display());
    tool("age");
    let listed = run(Command::new("sh").args(["-c", &line])).success();
    assert!(listed.stdout.contains("README.txt"), "{}", listed.stdout);

    let by_file = ["--identity", &text(path("first"))];
    for command in [&["list"][..], &["verify"], &["sql", "-t", "small"]] {
        let output = run(pgstow().args(command).args(by_file).arg(&archive)).success();
        assert!(!output.stderr.contains("AGE-SECRET"), "{}", output.stderr);
    }
    run(pgstow()
        .args(["verify", "--against", &url, &archive])
        .env("PGSTOW_IDENTITY", &second))
    .success();
    let target = server.create_db("encrypted_target");
    let target_url = target.url();
    let cat = format!("cat {}", path("first").display());
    let by_command = [
        "restore",
        "-d",
        &target_url,
        "--identity-command",
        &cat,
        "-j2",
        &archive,
    ];
    run(pgstow().args(by_command)).success();
    assert_same_data(&source, &target);

    // Through pipes.
    let piped = run(&mut dump(&to[..2], "-")).success().stdout_bytes;
    let piped = |command: &[&str]| -> Output {
        run_with_input(pgstow().args(command).args(by_file).arg("-"), &piped)
    };
    piped(&["list"]).success();
    piped(&["verify"]).success();
    let target = server.create_db("encrypted_piped");
    let target_url = target.url();
    piped(&["restore", "-d", &target_url, "-j2"]).success();
    assert_same_data(&source, &target);
    // Plain archives take no notice of keys.
    let plain = text(path("plain.pgstow"));
    run(&mut dump(&[], &plain)).success();
    run(pgstow().args(["list", &plain]).args(by_file)).success();

    // In a bucket: ranges of it alone.
    let store = Seaweed::get();
    let network = Network::new(store.port);
    let bucketed = format!("s3://{}/shop.pgstow.age", store.bucket());
    let in_store = |mut command: Command| {
        command
            .envs(store.variables())
            .env("AWS_S3_ENDPOINT", network.url());
        command
    };
    run(&mut in_store(dump(&to, &bucketed))).success();
    run(in_store(pgstow()).args(["verify", &bucketed]).args(by_file)).success();
    let target = server.create_db("encrypted_small");
    let target_url = target.url();
    network.take_bytes();
    let small = ["restore", "-d", &target_url, "-t", "small", &bucketed];
    run(in_store(pgstow()).args(small).args(by_file)).success();
    let fetched = network.take_bytes();
    let whole = std::fs::metadata(&archive).unwrap().len();
    assert!(
        whole > 2_000_000 && fetched < whole / 2,
        "{fetched} of {whole} bytes"
    );
    assert_eq!(target.query_one("select count(*) from small"), "50");

    // Without the key, with another, with a passphrase where there is none.
    let output = run(pgstow().args(["list", &archive])).expect_code(6);
    assert!(output.stderr.contains("--identity"), "{}", output.stderr);
    let output =
        run(pgstow().args(["list", &archive, "--identity", &text(path("other"))])).expect_code(6);
    assert!(
        output.stderr.contains("nobody can read it"),
        "{}",
        output.stderr
    );
    let mut cut = std::fs::read(&archive).unwrap();
    cut.truncate(cut.len() - 100_000);
    std::fs::write(path("cut"), cut).unwrap();
    run(pgstow().args(["verify", &text(path("cut"))]).args(by_file)).expect_code(5);

    // By passphrase: from a file and from the environment.
    let locked = text(path("locked.age"));
    run(&mut dump(
        &["--passphrase-file", &text(path("passphrase"))],
        &locked,
    ))
    .success();
    run(pgstow()
        .args(["list", &locked])
        .env("PGSTOW_PASSPHRASE", "open sesame"))
    .success();
    let output = run(pgstow()
        .args(["list", &locked])
        .env("PGSTOW_PASSPHRASE", "no"))
    .expect_code(6);
    assert!(output.stderr.contains("passphrase"), "{}", output.stderr);

    // What makes no sense.
    for more in [
        &["--encrypt-to", "age1nonsense"][..],
        &["--encrypt-to", &first_public, "--encrypt-passphrase"],
        &["--encrypt-passphrase"],
        &["--recipients-file", "/nowhere"],
        &["--encrypt-to", &first_public, "--all-databases"],
    ] {
        run(&mut dump(more, &text(path("never")))).expect_code(2);
        assert!(!path("never").exists(), "{more:?}");
    }
}
