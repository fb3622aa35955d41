//! The object stores that the tests speak to, one of each per test process.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

#[path = "google.rs"]
mod google;

use pgstow::storage::{Location, Store, StoreSettings, store};
use std::sync::Arc;

use crate::support::{Pki, free_port};

/// The key that the store knows, and its secret.
pub const ACCESS_KEY: &str = "AKIAPGSTOWTEST";
pub const SECRET: &str = "secret-that-no-message-shows";

/// Azurite's well-known account.
const AZURE_ACCOUNT: &str = "devstoreaccount1";
const AZURE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Where `scripts/fetch-stores` puts a server.
fn fetched(name: &str) -> PathBuf {
    let servers = std::env::var_os("PGSTOW_SERVERS").map_or_else(
        || {
            // As scripts/lib.sh has it.
            let id = Command::new("id").arg("-u").output().unwrap();
            if id.stdout == b"0\n" {
                PathBuf::from("/var/cache/pgstow/servers")
            } else {
                PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/pgstow/servers")
            }
        },
        PathBuf::from,
    );
    let found = servers.join("stores").join(name);
    assert!(
        found.join(".version").exists(),
        "{name} is not in {}: run scripts/fetch-stores",
        found.display()
    );
    found
}

/// A server that ends with this process, however that ends.
struct Running {
    name: &'static str,
    server: Mutex<Child>,
    _watchdog: Child,
    home: PathBuf,
}

impl Running {
    /// Waits for the server to answer.
    fn until(&self, mut ready: impl FnMut() -> bool) {
        let began = Instant::now();
        while !ready() {
            let name = self.name;
            let log = || std::fs::read_to_string(self.home.join("log")).unwrap_or_default();
            if let Some(status) = self.server.lock().unwrap().try_wait().unwrap() {
                panic!("{name} ended with {status}:\n{}", log());
            }
            if began.elapsed() > Duration::from_secs(60) {
                panic!("{name} was not ready within a minute:\n{}", log());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Starts a server; `sockets` are files besides its directory that go with it, as a shell's patterns.
#[allow(
    clippy::zombie_processes,
    reason = "the watchdog ends it, after this process has"
)]
fn run(
    name: &'static str,
    command: &mut Command,
    home: tempfile::TempDir,
    sockets: &str,
) -> Running {
    let home = home.keep();
    let log = std::fs::File::create(home.join("log")).unwrap();
    let server = command
        .env("TMPDIR", &home)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("start of {name}: {error}"));
    // Reads from a pipe that only this process holds open.
    let script = format!(
        "cat >/dev/null; kill -9 {}; rm -rf '{}' {sockets}",
        server.id(),
        home.display()
    );
    let watchdog = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    Running {
        name,
        server: Mutex::new(server),
        _watchdog: watchdog,
        home,
    }
}

/// Answers to a request without a signature; `None` when nobody is there.
pub fn http(port: u16, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

fn fresh_name() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("bucket-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// SeaweedFS: an S3 server that checks signatures.
pub struct Seaweed {
    pub port: u16,
    pub tls_port: u16,
    filer: u16,
    pub pki: Pki,
    running: Running,
}

impl Seaweed {
    pub fn get() -> &'static Self {
        static SHARED: OnceLock<Seaweed> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let weed = fetched("seaweedfs").join("weed");
        let home = tempfile::tempdir().unwrap();
        let pki = Pki::generate_in(home.path().join("pki"));
        let config = home.path().join("s3.json");
        std::fs::write(
            &config,
            format!(
                r#"{{"identities":[
                {{"name":"all","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET}"}}],
                  "actions":["Admin","Read","Write","List","Tagging"]}},
                {{"name":"reader","credentials":[{{"accessKey":"AKIAREADER","secretKey":"{SECRET}"}}],
                  "actions":["Read","List"]}},
                {{"name":"anonymous","actions":["Read:open","Write:open","List:open"]}}]}}"#
            ),
        )
        .unwrap();
        std::fs::create_dir(home.path().join("data")).unwrap();
        let ports: [u16; 9] = std::array::from_fn(|_| free_port());
        let mut command = Command::new(weed);
        command
            .current_dir(home.path())
            .args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"])
            .args(["-volume.max=200", "-master.volumeSizeLimitMB=128"])
            .args(["-filer", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0"])
            .arg(format!("-dir={}", home.path().join("data").display()))
            .arg(format!("-s3.config={}", config.display()))
            .arg(format!("-master.port={}", ports[0]))
            .arg(format!("-master.port.grpc={}", ports[5]))
            .arg(format!("-volume.port={}", ports[1]))
            .arg(format!("-volume.port.grpc={}", ports[6]))
            .arg(format!("-filer.port={}", ports[2]))
            .arg(format!("-filer.port.grpc={}", ports[7]))
            .arg(format!("-s3.port={}", ports[3]))
            .arg(format!("-s3.port.grpc={}", ports[8]))
            .arg(format!("-s3.port.https={}", ports[4]))
            .arg(format!("-s3.cert.file={}", pki.server_cert().display()))
            .arg(format!("-s3.key.file={}", pki.server_key().display()));
        // It puts sockets there whatever TMPDIR says.
        let sockets = ports.map(|port| format!("/tmp/seaweedfs-*-{port}.sock"));
        let running = run("SeaweedFS", &mut command, home, &sockets.join(" "));
        let server = Self {
            port: ports[3],
            tls_port: ports[4],
            filer: ports[2],
            pki,
            running,
        };
        // The gateway answers before it can write: an object of the open bucket is the proof.
        server.running.until(|| {
            server
                .filer("POST", "/buckets/open/")
                // There already, when this is asked again.
                .is_some_and(|it| it.contains(" 201 ") || it.contains(" 409 "))
                && http(
                    server.port,
                    "PUT /open/ready HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
                )
                .is_some_and(|it| it.contains(" 200 "))
        });
        server
    }

    fn filer(&self, method: &str, path: &str) -> Option<String> {
        let accept = "Accept: application/json\r\nContent-Length: 0\r\nConnection: close";
        http(
            self.filer,
            &format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{accept}\r\n\r\n"),
        )
    }

    /// A new bucket.
    pub fn bucket(&self) -> String {
        let name = fresh_name();
        let made = self.filer("POST", &format!("/buckets/{name}/")).unwrap();
        assert!(made.contains(" 201 "), "{made}");
        name
    }

    /// Uploads that were begun and neither completed nor removed.
    pub fn unfinished(&self, bucket: &str) -> usize {
        let listed = self
            .filer("GET", &format!("/buckets/{bucket}/.uploads/"))
            .unwrap();
        listed.matches("\"FullPath\"").count()
    }

    /// What `pgstow` needs in its environment.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("AWS_S3_ENDPOINT", format!("http://127.0.0.1:{}", self.port)),
        ]
    }

    pub fn settings(&self) -> StoreSettings {
        let settings = StoreSettings::new().with("PGSTOW_PART_SIZE", "5MiB");
        let each = self.variables().into_iter();
        each.fold(settings, |settings, (name, value)| {
            settings.with(name, value)
        })
    }

    pub fn tls_settings(&self) -> StoreSettings {
        self.settings()
            .with(
                "AWS_S3_ENDPOINT",
                format!("https://localhost:{}", self.tls_port),
            )
            .with("AWS_CA_BUNDLE", self.pki.ca_cert().to_str().unwrap())
    }
}

pub fn opened(url: &str, settings: &StoreSettings) -> Arc<dyn Store> {
    store(&Location::parse(url).unwrap(), settings).unwrap()
}

/// A bucket or container of its own in a server that all share.
pub struct Place {
    pub url: String,
    /// Where the server is.
    pub port: u16,
    /// What `pgstow` needs in its environment.
    pub variables: Vec<(&'static str, String)>,
}

impl Place {
    pub fn settings(&self) -> StoreSettings {
        let each = self.variables.iter().cloned();
        each.fold(StoreSettings::new(), |settings, (name, value)| {
            settings.with(name, value)
        })
    }

    pub fn store(&self) -> Arc<dyn Store> {
        opened(&self.url, &self.settings())
    }

    /// The same behind another port.
    pub fn behind(&self, port: u16) -> Self {
        let (here, there) = (format!(":{}", self.port), format!(":{port}"));
        let variables = self.variables.iter();
        Self {
            url: self.url.clone(),
            port,
            variables: variables
                .map(|(name, value)| (*name, value.replace(&here, &there)))
                .collect(),
        }
    }
}

/// The variable that names another S3 server's `s3://bucket/prefix` for tests that any of them is to pass; its
/// endpoint and keys are in the usual `AWS_…` variables.
const ANOTHER: &str = "PGSTOW_TEST_S3";

/// An S3 server: SeaweedFS, or the one that the environment names; and whether it ignores conditions, as
/// `PGSTOW_TEST_S3_CONDITIONS=ignored` says.
pub fn s3() -> (Place, bool) {
    let name = fresh_name();
    if let Ok(url) = std::env::var(ANOTHER) {
        let names = [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_S3_ENDPOINT",
            "AWS_REGION",
            "AWS_CA_BUNDLE",
        ];
        let given = names.map(|name| (name, std::env::var(name).unwrap_or_default()));
        let part = [("PGSTOW_PART_SIZE", "5MiB".to_owned())];
        let place = Place {
            url: format!(
                "{}/{}-{name}",
                url.trim_end_matches('/'),
                std::process::id()
            ),
            // It may be anywhere.
            port: 0,
            variables: given.into_iter().chain(part).collect(),
        };
        let conditions = std::env::var("PGSTOW_TEST_S3_CONDITIONS");
        return (place, conditions.is_ok_and(|it| it == "ignored"));
    }
    let server = Seaweed::get();
    let mut variables = server.variables();
    variables.push(("PGSTOW_PART_SIZE", "5MiB".to_owned()));
    let place = Place {
        url: format!("s3://{}/some/prefix", server.bucket()),
        port: server.port,
        variables,
    };
    (place, false)
}

/// fake-gcs-server behind a front: Google Cloud Storage.
pub fn google() -> Place {
    static SHARED: OnceLock<(u16, u16, Running)> = OnceLock::new();
    let (port, front, _) = SHARED.get_or_init(|| {
        let port = free_port();
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(fetched("fake-gcs").join("fake-gcs-server"));
        command
            .current_dir(home.path())
            .args([
                "-backend",
                "memory",
                "-scheme",
                "http",
                "-host",
                "127.0.0.1",
            ])
            .args([
                "-port",
                &port.to_string(),
                "-public-host",
                &format!("127.0.0.1:{port}"),
            ])
            .args(["-external-url", &format!("http://127.0.0.1:{port}")]);
        let running = run("fake-gcs-server", &mut command, home, "");
        let ask = "GET /storage/v1/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        running.until(|| http(port, ask).is_some_and(|it| it.contains(" 200 ")));
        (port, google::front(port), running)
    });
    let name = fresh_name();
    let body = format!(r#"{{"name":"{name}"}}"#);
    let made = http(
        *port,
        &format!(
            "POST /storage/v1/b?project=p HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ),
    )
    .unwrap();
    assert!(made.contains(" 200 "), "{made}");
    Place {
        url: format!("gs://{name}/some/prefix"),
        port: *front,
        variables: vec![
            ("STORAGE_EMULATOR_HOST", format!("127.0.0.1:{front}")),
            ("PGSTOW_PART_SIZE", "5MiB".to_owned()),
        ],
    }
}

/// Azurite: Azure Blob Storage.
pub fn azurite() -> Place {
    static SHARED: OnceLock<(u16, Running)> = OnceLock::new();
    let (port, _) = SHARED.get_or_init(|| {
        let port = free_port();
        let home = tempfile::tempdir().unwrap();
        let program = fetched("azurite").join("node_modules/azurite/dist/src/blob/main.js");
        let mut command = Command::new("node");
        command
            .arg(program)
            .args([
                "--skipApiVersionCheck",
                "--silent",
                "--blobHost",
                "127.0.0.1",
            ])
            .args(["--inMemoryPersistence", "--blobPort", &port.to_string()])
            .current_dir(home.path());
        let running = run("Azurite", &mut command, home, "");
        running.until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        (port, running)
    });
    let name = fresh_name();
    make_container(*port, &name);
    let endpoint = format!("http://127.0.0.1:{port}/{AZURE_ACCOUNT}");
    Place {
        url: format!("az://{name}/some/prefix"),
        port: *port,
        variables: vec![
            ("AZURE_STORAGE_ACCOUNT", AZURE_ACCOUNT.to_owned()),
            ("AZURE_STORAGE_KEY", AZURE_KEY.to_owned()),
            ("AZURE_STORAGE_ENDPOINT", endpoint),
            ("PGSTOW_PART_SIZE", "5MiB".to_owned()),
        ],
    }
}

/// Creates a container, signed with the account's key by the `openssl` program.
fn make_container(port: u16, name: &str) {
    let date = Command::new("date")
        .args(["-u", "+%a, %d %b %Y %H:%M:%S GMT"])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let date = String::from_utf8(date.stdout).unwrap().trim().to_owned();
    let version = "2021-08-06";
    let to_sign = format!(
        "PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:{version}\n\
         /{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{name}\nrestype:container"
    );
    let script = r#"key=$(printf %s "$1" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
printf %s "$2" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A"#;
    let signature = Command::new("sh")
        .args(["-c", script, "sign", AZURE_KEY, &to_sign])
        .output()
        .unwrap();
    let signature = String::from_utf8(signature.stdout).unwrap();
    let made = http(
        port,
        &format!(
            "PUT /{AZURE_ACCOUNT}/{name}?restype=container HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
             x-ms-date: {date}\r\nx-ms-version: {version}\r\n\
             Authorization: SharedKey {AZURE_ACCOUNT}:{signature}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
    )
    .unwrap();
    assert!(made.contains(" 201 "), "{made}");
}
