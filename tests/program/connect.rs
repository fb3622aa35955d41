//! Connections against real servers: what libpq's users expect of configuration, TLS and login, and
//! the data plane's COPY and pipelined statements.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use pgstow::connect::{
    Config, ConfigSource, Environment, TransactionStatus, Walk, Wire, needs_password,
};
use pgstow::error::{Error, Kind, SqlState};

use crate::support::{self, Server, run};

/// An environment of a test's own; nothing of the process leaks in.
#[derive(Clone, Default)]
struct Env {
    variables: BTreeMap<&'static str, String>,
    home: Option<PathBuf>,
}

impl Env {
    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.variables.insert(name, value.to_string());
        self
    }

    fn at_home(mut self, home: &Path) -> Self {
        self.home = Some(home.to_owned());
        self
    }
}

impl Environment for Env {
    fn get(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn home(&self) -> Option<PathBuf> {
        self.home.clone()
    }

    fn user(&self) -> Option<String> {
        Some("postgres".to_owned())
    }
}

fn config_in(conninfo: &str, env: &Env) -> Config {
    let source = ConfigSource {
        conninfo: Some(conninfo.to_owned()),
        ..ConfigSource::default()
    };
    Config::resolve(&source, env).unwrap_or_else(|error| panic!("{conninfo}: {error}"))
}

fn config(conninfo: &str) -> Config {
    config_in(conninfo, &Env::default())
}

/// Both planes get in, or both are refused for the same reason.
async fn both(config: &Config) -> Result<(), Error> {
    let session = config.connect().await;
    let wire = config.connect_wire().await;
    match (session, wire) {
        (Ok(session), Ok(mut wire)) => {
            let row = session.client().query_one("SELECT 1", &[]).await.unwrap();
            assert_eq!(row.get::<_, i32>(0), 1);
            assert_eq!(
                wire.query("SELECT 1").await.unwrap(),
                vec![vec![Some("1".to_owned())]]
            );
            assert_eq!(session.server_version(), wire.server_version());
            session.close().await;
            wire.close().await;
            Ok(())
        }
        (Err(one), Err(other)) => {
            assert_eq!(one.message(), other.message());
            assert_eq!(one.kind(), Kind::Connect, "{one}");
            Err(one)
        }
        (one, other) => panic!("the planes disagree: {one:?} {other:?}"),
    }
}

async fn refused(config: &Config, expected: &str) -> Error {
    let error = both(config).await.expect_err("the login must be refused");
    assert!(
        error.message().contains(expected),
        "{error}, not: {expected}"
    );
    assert!(!format!("{error} {error:?} {config:?}").contains("pass-"));
    error
}

fn local(server: &Server) -> String {
    format!(
        "host={} port={} user=postgres dbname=postgres",
        server.host(),
        server.port()
    )
}

fn tcp(server: &Server) -> String {
    format!(
        "host=localhost hostaddr=127.0.0.1 port={} user=postgres dbname=postgres",
        server.port()
    )
}

async fn wire(server: &Server) -> Wire {
    config(&local(server)).connect_wire().await.unwrap()
}

#[tokio::test]
async fn every_major_lets_both_planes_in() {
    for major in support::MAJORS {
        let server = Server::start(major);
        let config = config(&local(&server));
        both(&config).await.unwrap();
        let session = config.connect().await.unwrap();
        assert_eq!(session.server_version().major(), major);
        let row = session
            .client()
            .query_one(
                "SELECT current_setting('server_version_num')::int4, \
                 current_setting('application_name'), current_setting('client_encoding')",
                &[],
            )
            .await
            .unwrap();
        assert_eq!(
            u32::try_from(row.get::<_, i32>(0)).unwrap(),
            session.server_version().num()
        );
        assert_eq!(row.get::<_, &str>(1), "pgstow");
        assert_eq!(row.get::<_, &str>(2), "UTF8");
        assert_eq!(session.parameter("server_encoding").unwrap(), "UTF8");
        session.close().await;

        // All of it can run on a task of its own.
        let copied = tokio::spawn(async move {
            let mut wire = config.connect_wire().await.unwrap();
            wire.execute_all(&[
                "CREATE TEMP TABLE a AS SELECT generate_series(1, 1000) AS i",
                "CREATE TEMP TABLE b (LIKE a)",
            ])
            .await
            .unwrap();
            let (bytes, _, _) = read_all(&mut wire, "COPY a TO STDOUT (FORMAT binary)", 10).await;
            let mut copy = wire
                .copy_in("COPY b FROM STDIN (FORMAT binary)")
                .await
                .unwrap();
            copy.send(&bytes).await.unwrap();
            copy.finish().await.unwrap()
        });
        assert_eq!(copied.await.unwrap(), 1000);
    }
}

#[tokio::test]
async fn application_name_and_options_reach_the_server() {
    let server = Server::start(18);
    let base = local(&server);
    let name = async |config: Config| -> String {
        let mut wire = config.connect_wire().await.unwrap();
        let rows = wire
            .query(
                "SELECT current_setting('application_name') || '/' || current_setting('work_mem')",
            )
            .await
            .unwrap();
        rows[0][0].clone().unwrap()
    };
    let ours = config(&base).with_application_name_suffix("dump worker 3");
    assert_eq!(name(ours).await, "pgstow dump worker 3/4MB");
    let theirs = config(&format!(
        "{base} application_name=nightly options='-c work_mem=9MB'"
    ));
    assert_eq!(
        name(theirs.with_application_name_suffix("x")).await,
        "nightly/9MB"
    );
    let env = Env::default()
        .with("PGAPPNAME", "from-env")
        .with("PGOPTIONS", "-c work_mem=7MB");
    assert_eq!(name(config_in(&base, &env)).await, "from-env/7MB");
}

#[tokio::test]
async fn passwords_by_every_method() {
    let server = Server::builder(18)
        .hba("host all md5_user all md5")
        .hba("host all scram_user all scram-sha-256")
        .hba("host all clear_user all password")
        .hba("host all trusted all trust")
        .hba("host all rejected all reject")
        .start();
    server.psql(
        "SET password_encryption = 'md5'; CREATE ROLE md5_user LOGIN PASSWORD 'pass-m';
         SET password_encryption = 'scram-sha-256';
         CREATE ROLE scram_user LOGIN PASSWORD 'pass-ß';
         CREATE ROLE clear_user LOGIN PASSWORD 'pass-c';
         CREATE ROLE trusted LOGIN; CREATE ROLE rejected LOGIN; CREATE ROLE unlisted LOGIN;",
    );
    let at = |user: &str, more: &str| {
        config(&format!(
            "host=127.0.0.1 port={} dbname=postgres user={user} {more}",
            server.port()
        ))
    };
    for (user, password) in [
        ("md5_user", "pass-m"),
        ("scram_user", "pass-ß"),
        ("clear_user", "pass-c"),
    ] {
        both(&at(user, &format!("password={password}")))
            .await
            .unwrap();
        both(&at(user, "").with_password(password.to_owned()))
            .await
            .unwrap();
        let error = refused(
            &at(user, "password=pass-wrong"),
            "password authentication failed",
        )
        .await;
        assert_eq!(error.sqlstate(), Some(&SqlState::INVALID_PASSWORD));
        assert!(!needs_password(&error));
        for part in [user, "127.0.0.1", &server.port().to_string(), "postgres"] {
            assert!(error.message().contains(part), "{error} names no {part}");
        }
        let error = refused(&at(user, ""), "asks for a password").await;
        assert!(needs_password(&error));
        assert!(error.hint().unwrap().contains("PGPASSWORD"));
    }
    both(&at("trusted", "")).await.unwrap();
    let error = refused(&at("rejected", "sslmode=disable"), "pg_hba.conf rejects").await;
    assert!(!needs_password(&error));
    refused(&at("unlisted", "sslmode=disable"), "no pg_hba.conf entry").await;

    both(&at(
        "scram_user",
        "password=pass-ß require_auth=scram-sha-256",
    ))
    .await
    .unwrap();
    both(&at("trusted", "require_auth=none")).await.unwrap();
    refused(
        &at("clear_user", "password=pass-c require_auth=!password"),
        "require_auth",
    )
    .await;
    refused(
        &at("md5_user", "password=pass-m require_auth=scram-sha-256"),
        "require_auth",
    )
    .await;
    refused(&at("trusted", "require_auth=scram-sha-256"), "require_auth").await;
    // Nothing to bind to.
    for (user, password) in [
        ("scram_user", "pass-ß"),
        ("md5_user", "pass-m"),
        ("trusted", ""),
    ] {
        refused(
            &at(
                user,
                &format!("password='{password}' channel_binding=require"),
            ),
            "channel binding is required",
        )
        .await;
    }
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let server = Server::start(18);
    let error = refused(
        &config(&format!("{} dbname=no_such", local(&server))),
        "database \"no_such\" does not exist",
    )
    .await;
    assert_eq!(error.sqlstate(), Some(&SqlState::INVALID_CATALOG_NAME));
    refused(
        &config(&format!("{} user=nobody", local(&server))),
        "role \"nobody\" does not exist",
    )
    .await;
    let empty = tempfile::tempdir().unwrap();
    let error = refused(
        &config(&format!("host={} port=1 dbname=d", empty.path().display())),
        "no such socket",
    )
    .await;
    assert!(
        error
            .message()
            .contains(&empty.path().display().to_string())
    );
    // Port 1 of the loopback: nobody listens.
    let error = refused(
        &config("host=127.0.0.1 port=1 dbname=d user=u"),
        "connection refused",
    )
    .await;
    assert!(error.message().contains("u@127.0.0.1:1/d"), "{error}");
    assert!(error.hint().is_some());
    refused(
        &config("host=no-such-host.invalid dbname=d"),
        "could not look up host name",
    )
    .await;
}

struct Tls {
    server: Arc<Server>,
}

impl Tls {
    fn start() -> Self {
        let server = Server::builder(18)
            .tls()
            .password("pass-tls")
            .hba("hostssl all cert_user all cert")
            .hba("hostssl all only_tls all trust")
            .hba("hostnossl all only_clear all trust")
            .hba("hostssl all only_clear all reject")
            .hba("hostssl all neither all reject")
            .hba("hostssl all all all scram-sha-256")
            .hba("hostnossl all all all reject")
            .start();
        server.psql(
            "CREATE ROLE cert_user LOGIN; CREATE ROLE only_tls LOGIN; CREATE ROLE only_clear LOGIN;
             CREATE ROLE neither LOGIN;",
        );
        Self { server }
    }

    fn config(&self, more: &str) -> Config {
        config(&format!("{} password=pass-tls {more}", tcp(&self.server)))
    }
}

#[tokio::test]
async fn tls_is_checked_as_far_as_the_mode_says() {
    let tls = Tls::start();
    let pki = tls.server.pki();
    let ca = format!("sslrootcert={}", pki.ca_cert().display());
    let other = format!("sslrootcert={}", pki.other_ca_cert().display());

    for mode in ["prefer", "require", "allow"] {
        both(&tls.config(&format!("sslmode={mode}"))).await.unwrap();
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        both(&tls.config(&format!("sslmode={mode} {ca}")))
            .await
            .unwrap();
    }
    let mut wire = tls
        .config(&format!("sslmode=verify-full {ca}"))
        .connect_wire()
        .await
        .unwrap();
    let rows = wire
        .query("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        .await
        .unwrap();
    assert_eq!(rows[0][0].as_deref(), Some("t"));
    assert_eq!(rows[0][1].as_deref(), Some("TLSv1.3"));
    wire.close().await;

    refused(&tls.config("sslmode=disable"), "rejects connection").await;
    // A root file that is given counts also below verify-ca.
    for mode in ["require", "verify-ca", "verify-full"] {
        let error = refused(
            &tls.config(&format!("sslmode={mode} {other}")),
            "not signed by a known authority",
        )
        .await;
        assert!(error.hint().unwrap().contains("sslrootcert"));
    }
    let elsewhere = |mode: &str| {
        config(&format!(
            "host=db.example hostaddr=127.0.0.1 port={} user=postgres dbname=postgres \
             password=pass-tls sslmode={mode} {ca}",
            tls.server.port()
        ))
    };
    both(&elsewhere("verify-ca")).await.unwrap();
    refused(&elsewhere("verify-full"), "another host name").await;
    // An address in the certificate is a name too.
    both(&config(&format!(
        "host=127.0.0.1 port={} user=postgres dbname=postgres password=pass-tls \
         sslmode=verify-full {ca}",
        tls.server.port()
    )))
    .await
    .unwrap();
    refused(
        &tls.config("sslmode=verify-full sslrootcert=/nonexistent/root.crt"),
        "root certificate file",
    )
    .await;
    refused(
        &tls.config("sslmode=verify-full"),
        "no root certificate file",
    )
    .await;
    refused(
        &tls.config(&format!("sslmode=verify-full {ca} password=pass-wrong")),
        "password authentication failed",
    )
    .await;
    both(&tls.config(&format!(
        "sslmode=verify-full {ca} ssl_max_protocol_version=TLSv1.2"
    )))
    .await
    .unwrap();
    both(&tls.config(&format!(
        "sslmode=verify-full {ca} ssl_min_protocol_version=TLSv1.3 sslsni=0"
    )))
    .await
    .unwrap();
    both(&tls.config(&format!("sslmode=verify-full {ca} sslnegotiation=direct")))
        .await
        .unwrap();
    // The default place of the root file, which then counts for require.
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".postgresql")).unwrap();
    std::fs::copy(
        pki.other_ca_cert(),
        home.path().join(".postgresql/root.crt"),
    )
    .unwrap();
    let env = Env::default().at_home(home.path());
    let at_home = config_in(
        &format!("{} password=pass-tls sslmode=require", tcp(&tls.server)),
        &env,
    );
    refused(&at_home, "not signed by a known authority").await;

    // No TLS at the server.
    let plain = Server::start(18);
    for mode in ["require", "verify-full"] {
        refused(
            &config(&format!("{} sslmode={mode} {ca}", tcp(&plain))),
            "does not support TLS",
        )
        .await;
    }
    both(&config(&format!("{} sslmode=prefer", tcp(&plain))))
        .await
        .unwrap();
    refused(
        &config(&format!(
            "{} sslmode=require sslnegotiation=direct",
            tcp(&plain)
        )),
        "",
    )
    .await;
}

#[tokio::test]
async fn allow_and_prefer_try_the_other_way() {
    let tls = Tls::start();
    for (user, mode, fine) in [
        ("only_tls", "allow", true),
        ("only_tls", "prefer", true),
        ("only_tls", "disable", false),
        ("only_clear", "allow", true),
        ("only_clear", "prefer", true),
        ("only_clear", "require", false),
    ] {
        let config = tls.config(&format!("user={user} sslmode={mode}"));
        match both(&config).await {
            Ok(()) => assert!(fine, "{user} {mode}"),
            Err(error) => {
                assert!(!fine, "{user} {mode}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_both_ways_is_told_both_ways() {
    let tls = Tls::start();
    let error = refused(&tls.config("user=neither sslmode=prefer"), "SSL encryption").await;
    assert!(error.message().contains("no encryption"), "{error}");
    assert_eq!(
        error.sqlstate(),
        Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
    );
}

#[tokio::test]
async fn scram_is_bound_to_the_channel() {
    let tls = Tls::start();
    both(&tls.config("sslmode=require channel_binding=require"))
        .await
        .unwrap();
    both(&tls.config("sslmode=require channel_binding=disable"))
        .await
        .unwrap();
    let log = tls.server.log();
    refused(
        &tls.config("sslmode=require channel_binding=require user=only_tls"),
        "channel binding is required",
    )
    .await;
    assert!(!log.contains("FATAL"), "{log}");
}

#[tokio::test]
async fn a_client_certificate_is_a_login() {
    let tls = Tls::start();
    let pki = tls.server.pki();
    // The certificate is for the role postgres.
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("client.key");
    std::fs::copy(pki.client_key(), &key).unwrap();
    let set_mode = |mode| {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(0o600);
    tls.server.psql("CREATE ROLE other LOGIN");
    let with_certificate = |user: &str| {
        config(&format!(
            "{} user={user} sslmode=require sslcert={} sslkey={}",
            tcp(&tls.server),
            pki.client_cert().display(),
            key.display()
        ))
    };
    let error = refused(
        &with_certificate("cert_user"),
        "certificate authentication failed",
    )
    .await;
    assert_eq!(
        error.sqlstate(),
        Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
    );
    std::fs::write(
        tls.server.data_dir().join("pg_ident.conf"),
        "certs postgres cert_user\n",
    )
    .unwrap();
    let hba = tls.server.data_dir().join("pg_hba.conf");
    let rules = std::fs::read_to_string(&hba)
        .unwrap()
        .replace("cert_user all cert", "cert_user all cert map=certs");
    std::fs::write(&hba, rules).unwrap();
    tls.server.psql("SELECT pg_reload_conf();");
    both_soon(&with_certificate("cert_user")).await.unwrap();
    set_mode(0o644);
    let error = refused(&with_certificate("cert_user"), "group or world access").await;
    assert!(error.hint().unwrap().contains("0600"));
    std::fs::remove_file(&key).unwrap();
    refused(&with_certificate("cert_user"), "private key").await;
}

/// Waits for a reload to take effect, which it does not do at once.
async fn both_soon(config: &Config) -> Result<(), Error> {
    let mut last = both(config).await;
    for _ in 0..50 {
        if last.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        last = both(config).await;
    }
    last
}

#[tokio::test]
async fn certificates_that_only_libpq_takes() {
    let tls = Tls::start();
    let data = tls.server.data_dir().to_owned();
    let openssl = |arguments: &[&str]| {
        run(std::process::Command::new("openssl")
            .current_dir(&data)
            .args(arguments))
        .success();
    };
    let install = || {
        // Written in place, so that the files stay the server's.
        for (from, to) in [("own.crt", "server.crt"), ("own.key", "server.key")] {
            std::fs::write(data.join(to), std::fs::read(data.join(from)).unwrap()).unwrap();
        }
        tls.server.psql("SELECT pg_reload_conf();");
    };
    let config_at = |host: &str, more: &str| {
        config(&format!(
            "host={host} hostaddr=127.0.0.1 port={} user=postgres dbname=postgres \
             password=pass-tls channel_binding=require {more}",
            tls.server.port()
        ))
    };
    let verified = format!(
        "sslmode=verify-full sslrootcert={}",
        data.join("own.crt").display()
    );
    // Its own authority, with a common name and no alternative ones, as the manual's recipe makes
    // it. The channel is bound by the hash that the certificate's signature uses.
    for key in [
        &["rsa:2048", "-sha256"][..],
        &["rsa:2048", "-sha384"],
        &["rsa:2048", "-sha512"],
        &["rsa:2048", "-sha384", "-sigopt", "rsa_padding_mode:pss"],
        &["ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-sha256"],
        &["ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-sha384"],
    ] {
        let mut arguments = vec![
            "req",
            "-new",
            "-x509",
            "-days",
            "2",
            "-nodes",
            "-subj",
            "/CN=localhost",
            "-out",
            "own.crt",
            "-keyout",
            "own.key",
            "-newkey",
        ];
        arguments.extend(key);
        openssl(&arguments);
        install();
        both_soon(&config_at("localhost", &verified))
            .await
            .unwrap_or_else(|error| panic!("{key:?}: {error}"));
        refused(&config_at("elsewhere", &verified), "another host name").await;
    }
    let unknown = format!(
        "sslmode=verify-full sslrootcert={}",
        tls.server.pki().ca_cert().display()
    );
    let says = "the server's certificate is not signed by a known authority";
    let error = refused(&config_at("localhost", &unknown), says).await;
    assert!(error.hint().unwrap().contains("with the server's own"));
    // Version 1, without any extension: good enough where nothing is verified.
    openssl(&[
        "req",
        "-new",
        "-nodes",
        "-newkey",
        "rsa:2048",
        "-subj",
        "/CN=localhost",
        "-out",
        "own.csr",
        "-keyout",
        "own.key",
    ]);
    openssl(&[
        "x509", "-req", "-in", "own.csr", "-days", "2", "-signkey", "own.key", "-out", "own.crt",
    ]);
    install();
    both_soon(&config_at("localhost", &verified)).await.unwrap();
    refused(&config_at("localhost", &unknown), says).await;
    both(&config_at("localhost", "sslmode=require"))
        .await
        .unwrap();
}

#[tokio::test]
async fn password_file() {
    let server = Server::builder(18)
        .password("pass-file")
        .hba("host all all all scram-sha-256")
        .start();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".pgpass");
    std::fs::write(
        &file,
        format!("localhost:{}:*:postgres:pass-file\n", server.port()),
    )
    .unwrap();
    let set_mode = |mode| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(0o600);
    let env = Env::default().at_home(home.path());
    let usual = config_in(&tcp(&server), &env);
    assert!(usual.warnings().is_empty());
    both(&usual).await.unwrap();

    set_mode(0o644);
    let exposed = config_in(&tcp(&server), &env);
    assert_eq!(exposed.warnings().len(), 1);
    assert!(exposed.warnings()[0].contains(".pgpass"));
    assert!(needs_password(
        &refused(&exposed, "asks for a password").await
    ));

    let elsewhere = home.path().join("passwords");
    std::fs::rename(&file, &elsewhere).unwrap();
    std::fs::set_permissions(&elsewhere, std::fs::Permissions::from_mode(0o600)).unwrap();
    let env = env.with("PGPASSFILE", elsewhere.display());
    both(&config_in(&tcp(&server), &env)).await.unwrap();
    std::fs::write(&elsewhere, "*:*:*:*:pass-wrong\n").unwrap();
    let error = refused(
        &config_in(&tcp(&server), &env),
        "password authentication failed",
    )
    .await;
    assert!(error.hint().unwrap().contains("passwords"), "{error:?}");
}

#[tokio::test]
async fn service_file_and_variables() {
    let server = Server::start(18);
    let home = tempfile::tempdir().unwrap();
    std::fs::write(
        home.path().join(".pg_service.conf"),
        format!(
            "[shop]\nhost={}\nport={}\nuser=postgres\ndbname=postgres\napplication_name=svc\n",
            server.host(),
            server.port()
        ),
    )
    .unwrap();
    let system = tempfile::tempdir().unwrap();
    std::fs::copy(
        home.path().join(".pg_service.conf"),
        system.path().join("pg_service.conf"),
    )
    .unwrap();
    let at_home = Env::default().at_home(home.path());
    for config in [
        config_in("service=shop", &at_home),
        config_in("postgresql://?service=shop", &at_home),
        config_in("", &at_home.clone().with("PGSERVICE", "shop")),
        config_in("postgres", &at_home.with("PGSERVICE", "shop")),
        config_in(
            "service=shop",
            &Env::default().with("PGSYSCONFDIR", system.path().display()),
        ),
        config_in(
            "",
            &Env::default()
                .with("PGHOST", server.host())
                .with("PGPORT", server.port())
                .with("PGUSER", "postgres")
                .with("PGDATABASE", "postgres"),
        ),
    ] {
        both(&config).await.unwrap();
    }
    let missing = ConfigSource {
        conninfo: Some("service=none".to_owned()),
        ..ConfigSource::default()
    };
    let error = Config::resolve(&missing, &Env::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.message().contains("none"));
}

#[tokio::test]
async fn several_hosts() {
    let primary = Server::start(18);
    let standby = primary.standby();
    let dead = tempfile::tempdir().unwrap();
    let list = |more: &str| {
        config(&format!(
            "host={},{},{} port=5,{},{} user=postgres dbname=postgres {more}",
            dead.path().display(),
            standby.host(),
            primary.host(),
            standby.port(),
            primary.port()
        ))
    };
    for (target, expected) in [
        ("any", standby.port()),
        ("read-write", primary.port()),
        ("primary", primary.port()),
        ("read-only", standby.port()),
        ("standby", standby.port()),
        ("prefer-standby", standby.port()),
    ] {
        let config = list(&format!("target_session_attrs={target}"));
        both(&config).await.unwrap();
        let mut wire = config.connect_wire().await.unwrap();
        let rows = wire.query("SHOW port").await.unwrap();
        assert_eq!(rows[0][0], Some(expected.to_string()), "{target}");
    }
    both(&list("load_balance_hosts=random")).await.unwrap();
    let only = |server: &Server, target: &str| {
        config(&format!("{} target_session_attrs={target}", local(server)))
    };
    refused(&only(&standby, "read-write"), "session is read-only").await;
    refused(&only(&standby, "primary"), "in hot standby mode").await;
    refused(&only(&primary, "standby"), "not in hot standby mode").await;
    refused(&only(&primary, "read-only"), "session is not read-only").await;
    both(&only(&primary, "prefer-standby")).await.unwrap();
    // Before 14 the server does not report it by itself.
    let old = Server::start(13);
    both(&only(&old, "primary")).await.unwrap();
    both(&only(&old, "read-write")).await.unwrap();
    refused(&only(&old, "standby"), "not in hot standby mode").await;

    // All sessions of a dump are on the server that the first one has chosen.
    let dir = tempfile::tempdir().unwrap();
    let list = format!(
        "host={},{} port={},{} user=postgres dbname=postgres load_balance_hosts=random",
        primary.host(),
        old.host(),
        primary.port(),
        old.port()
    );
    for n in 0..4 {
        let file = dir.path().join(n.to_string());
        run(support::pgstow()
            .args(["dump", "-d", &list, "-f"])
            .arg(file))
        .success();
    }

    // Every host that failed is named.
    let error = refused(
        &config(&format!(
            "host={0},127.0.0.1 port=5,1 dbname=d",
            dead.path().display()
        )),
        "connection refused",
    )
    .await;
    assert!(error.message().contains("no such socket"), "{error}");
    assert!(error.message().contains("127.0.0.1:1"), "{error}");
    // A refused login is not tried elsewhere.
    let error = refused(
        &config(&format!(
            "host={0},{0} port={1},{1} user=nobody dbname=postgres",
            primary.host(),
            primary.port()
        )),
        "role \"nobody\" does not exist",
    )
    .await;
    assert_eq!(error.message().matches("nobody\"").count(), 1, "{error}");
}

#[tokio::test]
async fn a_silent_host_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = format!("host=127.0.0.1 port={port} dbname=d connect_timeout=1");
    let error = refused(&config(&silent), "no answer within 1 s").await;
    assert!(error.message().contains(&format!("127.0.0.1:{port}")));
    // Each host has its own time, so that the next one is reached.
    let server = Server::start(18);
    both(&config(&format!(
        "host=127.0.0.1,127.0.0.1 port={port},{} user=postgres dbname=postgres connect_timeout=1",
        server.port()
    )))
    .await
    .unwrap();
}

#[tokio::test]
async fn the_peer_is_checked_when_asked() {
    let server = Server::start(18);
    both(&config(&format!("{} requirepeer=postgres", local(&server))))
        .await
        .unwrap();
    refused(
        &config(&format!("{} requirepeer=nobody", local(&server))),
        "requirepeer",
    )
    .await;
}

/// Reads a whole stream, pausing on every n-th message.
async fn read_all(wire: &mut Wire, sql: &str, pause_every: usize) -> (Vec<u8>, usize, u64) {
    let mut copy = wire.copy_out(sql).await.unwrap();
    let mut bytes = Vec::new();
    let mut messages = 0;
    loop {
        let walk = copy
            .rows(|row| {
                bytes.extend_from_slice(row);
                messages += 1;
                if messages % pause_every == 0 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .await
            .unwrap();
        if let Walk::Done { rows } = walk {
            // Said again when asked again.
            assert_eq!(
                copy.rows(|_| ControlFlow::Continue(())).await.unwrap(),
                walk
            );
            return (bytes, messages, rows);
        }
    }
}

#[tokio::test]
async fn copies_come_back_as_they_went() {
    let server = Server::start(18);
    let db = server.create_db("copy");
    let mut wire = config(&db.conninfo()).connect_wire().await.unwrap();
    wire.execute("CREATE TABLE source AS SELECT i, md5(i::text) AS t, CASE WHEN i % 3 = 0 THEN NULL ELSE i * 1.5 END AS n FROM generate_series(1, 50000) i")
        .await
        .unwrap();
    wire.execute("CREATE TABLE empty (a int)").await.unwrap();
    for (format, messages) in [("text", 50_000), ("binary", 50_001)] {
        let (bytes, seen, rows) = read_all(
            &mut wire,
            &format!("COPY source TO STDOUT (FORMAT {format})"),
            997,
        )
        .await;
        assert_eq!((seen, rows), (messages, 50_000));
        for piece in [1 << 20, 100_000, 33_000, 1000, 7] {
            wire.execute("DROP TABLE IF EXISTS target").await.unwrap();
            wire.execute("CREATE TABLE target (LIKE source)")
                .await
                .unwrap();
            let mut copy = wire
                .copy_in(&format!("COPY target FROM STDIN (FORMAT {format})"))
                .await
                .unwrap();
            for part in bytes.chunks(piece) {
                copy.send(part).await.unwrap();
            }
            assert_eq!(copy.finish().await.unwrap(), 50_000);
            let rows = wire
                .query("SELECT count(*) FROM (TABLE source EXCEPT TABLE target) x")
                .await
                .unwrap();
            assert_eq!(rows[0][0].as_deref(), Some("0"));
        }
    }
    let (bytes, seen, rows) = read_all(&mut wire, "COPY empty TO STDOUT", 1).await;
    assert_eq!((bytes.len(), seen, rows), (0, 0, 0));
    let (bytes, seen, rows) = read_all(&mut wire, "COPY empty TO STDOUT (FORMAT binary)", 1).await;
    assert_eq!((bytes.len(), seen, rows), (21, 1, 0));
    let mut copy = wire
        .copy_in("COPY empty FROM STDIN (FORMAT binary)")
        .await
        .unwrap();
    copy.send(&bytes).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 0);
    let copy = wire.copy_in("COPY empty FROM STDIN").await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 0);
    wire.close().await;
}

#[tokio::test]
async fn copies_go_over_tls() {
    let tls = Tls::start();
    let mut wire = tls.config("sslmode=require").connect_wire().await.unwrap();
    wire.execute("CREATE TEMP TABLE t (a text)").await.unwrap();
    let (bytes, _, _) = read_all(
        &mut wire,
        "COPY (SELECT md5(i::text) FROM generate_series(1, 100000) i) TO STDOUT",
        usize::MAX,
    )
    .await;
    let mut copy = wire.copy_in("COPY t FROM STDIN").await.unwrap();
    copy.send(&bytes).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 100_000);
}

#[tokio::test]
async fn very_large_values_pass() {
    let server = Server::start(18);
    let mut wire = wire(&server).await;
    wire.execute("CREATE TEMP TABLE big (a bytea, b int)")
        .await
        .unwrap();
    wire.execute("ALTER TABLE big ALTER a SET STORAGE EXTERNAL")
        .await
        .unwrap();
    wire.execute("INSERT INTO big SELECT convert_to(repeat('abcdefghij', 10000000), 'UTF8'), i FROM generate_series(1, 2) i")
        .await
        .unwrap();
    let mut largest = 0;
    let mut bytes = Vec::new();
    let mut copy = wire
        .copy_out("COPY big TO STDOUT (FORMAT binary)")
        .await
        .unwrap();
    let walk = copy
        .rows(|row| {
            largest = largest.max(row.len());
            bytes.extend_from_slice(row);
            ControlFlow::Continue(())
        })
        .await
        .unwrap();
    assert_eq!(walk, Walk::Done { rows: 2 });
    assert!(largest >= 100_000_000);
    wire.execute("CREATE TEMP TABLE back (LIKE big)")
        .await
        .unwrap();
    let mut copy = wire
        .copy_in("COPY back FROM STDIN (FORMAT binary)")
        .await
        .unwrap();
    copy.send(&bytes).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 2);
    let rows = wire
        .query("SELECT count(*), sum(length(a)) FROM back JOIN big USING (a, b)")
        .await
        .unwrap();
    assert_eq!(rows[0][0].as_deref(), Some("2"));
    assert_eq!(rows[0][1].as_deref(), Some("200000000"));
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_copy_in_is_noticed() {
    let server = Server::start(18);
    let mut wire = wire(&server).await;
    wire.execute("CREATE TEMP TABLE t (a int PRIMARY KEY, b text)")
        .await
        .unwrap();
    let mut copy = wire.copy_in("COPY t FROM STDIN").await.unwrap();
    copy.send(b"1\tfine\n2\tfine\nsecret-value\tx\n")
        .await
        .unwrap();
    let filler = b"9\tx\n".repeat(300_000);
    // The server says no early; sending goes on until that is heard, and never hangs.
    let mut outcome = Ok(());
    for _ in 0..200 {
        outcome = copy.send(&filler).await;
        if outcome.is_err() {
            break;
        }
    }
    let error = match outcome {
        Ok(()) => copy.finish().await.unwrap_err(),
        Err(error) => {
            assert_eq!(copy.send(b"more").await.unwrap_err().kind(), Kind::Failed);
            error
        }
    };
    assert_eq!(error.kind(), Kind::Server);
    assert_eq!(error.sqlstate().unwrap().code(), "22P02");
    assert_eq!(
        error.message(),
        "copy t, line 3, column a: invalid input syntax for type integer"
    );
    assert!(!wire.is_broken());

    // A duplicate shows its key in the detail only.
    let mut copy = wire.copy_in("COPY t FROM STDIN").await.unwrap();
    copy.send(b"424242\ta\n424242\tb\n").await.unwrap();
    let error = copy.finish().await.unwrap_err();
    assert_eq!(error.sqlstate(), Some(&SqlState::UNIQUE_VIOLATION));
    assert!(!error.message().contains("424242"), "{error}");

    // A call dropped while it sends: what was cut off must not be continued.
    let mut torn = self::wire(&server).await;
    torn.execute("CREATE TEMP TABLE t (a int, b text)")
        .await
        .unwrap();
    let mut copy = torn.copy_in("COPY t FROM STDIN").await.unwrap();
    // More than one poll can send.
    let huge = b"9\tx\n".repeat(30_000_000);
    assert!(copy.send(&huge).now_or_never().is_none());
    assert_eq!(
        copy.abort("too late").await.unwrap_err().kind(),
        Kind::ConnectionLost
    );
    assert!(torn.is_broken());

    // Given up by us.
    let mut copy = wire.copy_in("COPY t FROM STDIN").await.unwrap();
    copy.send(&filler[..1000]).await.unwrap();
    copy.abort("changed my mind").await.unwrap();
    assert!(!wire.is_broken());
    // No such table; not a COPY in; a trigger that fails before the stream is read.
    for sql in ["COPY none FROM STDIN", "SELECT 1", "COPY t TO STDOUT"] {
        let outcome = wire.copy_in(sql).await.map(|_| ()).unwrap_err();
        assert_ne!(outcome.kind(), Kind::ConnectionLost, "{outcome}");
        if sql.ends_with("STDOUT") {
            assert!(wire.is_broken());
            wire = self::wire(&server).await;
            wire.execute("CREATE TEMP TABLE t (a int)").await.unwrap();
        }
    }
    wire.execute("CREATE FUNCTION pg_temp.no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no copy today''; END'")
        .await
        .unwrap();
    wire.execute("CREATE TRIGGER no BEFORE INSERT ON t EXECUTE FUNCTION pg_temp.no()")
        .await
        .unwrap();
    for _ in 0..3 {
        let mut copy = wire.copy_in("COPY t FROM STDIN").await.unwrap();
        let mut outcome = copy.send(&filler).await;
        if outcome.is_ok() {
            outcome = copy.finish().await.map(|_| ());
        }
        assert!(outcome.unwrap_err().message().contains("no copy today"));
        assert_eq!(
            wire.query("SELECT count(*) FROM t").await.unwrap()[0][0].as_deref(),
            Some("0")
        );
    }
}

#[tokio::test]
async fn notices_during_a_copy_in_do_not_block_it() {
    let server = Server::start(18);
    let mut wire = wire(&server).await;
    wire.execute("CREATE TEMP TABLE t (a int)").await.unwrap();
    wire.execute("CREATE FUNCTION pg_temp.say() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE '%', repeat('x', 2000); RETURN NEW; END$$")
        .await
        .unwrap();
    wire.execute(
        "CREATE TRIGGER say BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION pg_temp.say()",
    )
    .await
    .unwrap();
    let mut copy = wire.copy_in("COPY t FROM STDIN").await.unwrap();
    let rows = b"1\n".repeat(20_000);
    for _ in 0..2 {
        copy.send(&rows).await.unwrap();
    }
    assert_eq!(copy.finish().await.unwrap(), 40_000);
    let notices = wire.take_notices();
    assert_eq!(notices.len(), 101);
    assert!(notices[0].starts_with("notice: xxx"));
    assert_eq!(notices[100], "and 39900 more notices");
    assert!(wire.take_notices().is_empty());
    // Of a batch it is known which statement each is about.
    let warns = |text: &str| format!("DO $$ BEGIN RAISE WARNING '{text}'; END $$");
    let (second, fourth) = (warns("second"), warns("fourth"));
    let batch = ["SELECT 1", &second, "SELECT 3", &fourth];
    wire.execute_all(&batch).await.unwrap();
    let placed = wire.take_placed_notices();
    let text = |at: usize, text: &str| (at, format!("warning: {text}"));
    assert_eq!(placed, [text(1, "second"), text(3, "fourth")]);
}

#[tokio::test]
async fn a_copy_out_can_be_cancelled() {
    let tls = Tls::start();
    let plain = Server::start(18);
    let forever = "COPY (SELECT generate_series(1, 100000000), repeat('x', 100)) TO STDOUT";
    for config in [
        config(&local(&plain)),
        config(&tcp(&plain)),
        tls.config("sslmode=require"),
    ] {
        let mut wire = config.connect_wire().await.unwrap();
        let mut copy = wire.copy_out(forever).await.unwrap();
        let first = copy.rows(|_| ControlFlow::Break(())).await.unwrap();
        assert_eq!(first, Walk::Paused);
        copy.cancel().await.unwrap();
        assert!(!wire.is_broken());

        let canceller = wire.canceller();
        let mut copy = wire.copy_out(forever).await.unwrap();
        copy.rows(|_| ControlFlow::Break(())).await.unwrap();
        canceller.cancel().await.unwrap();
        let error = copy.rows(|_| ControlFlow::Continue(())).await.unwrap_err();
        assert_eq!(error.sqlstate(), Some(&SqlState::QUERY_CANCELED));
        assert_eq!(error.kind(), Kind::Server);
        assert_eq!(wire.query("SELECT 1").await.unwrap().len(), 1);

        // Left in the middle, the session is of no more use and says so.
        let mut copy = wire.copy_out(forever).await.unwrap();
        copy.rows(|_| ControlFlow::Break(())).await.unwrap();
        assert!(wire.is_broken());
        let error = wire.execute("SELECT 1").await.unwrap_err();
        assert_eq!(error.kind(), Kind::ConnectionLost);
        wire.close().await;

        let session = config.connect().await.unwrap();
        let canceller = session.canceller();
        let (slept, ()) = tokio::join!(
            session.client().batch_execute("SELECT pg_sleep(60)"),
            async {
                // The request must not come before the statement does.
                tokio::time::sleep(Duration::from_millis(200)).await;
                canceller.cancel().await.unwrap();
            }
        );
        assert_eq!(slept.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    }
}

#[tokio::test]
async fn a_copy_out_that_fails_says_so() {
    let server = Server::start(18);
    let mut wire = wire(&server).await;
    for sql in ["COPY none TO STDOUT", "SELECT 1"] {
        let error = wire.copy_out(sql).await.map(|_| ()).unwrap_err();
        assert_ne!(error.kind(), Kind::ConnectionLost);
        assert!(!wire.is_broken());
    }
    let mut copy = wire
        .copy_out("COPY (SELECT 1 / (5000 - i) FROM generate_series(1, 10000) i) TO STDOUT")
        .await
        .unwrap();
    let mut seen = 0;
    let error = copy
        .rows(|_| {
            seen += 1;
            ControlFlow::Continue(())
        })
        .await
        .unwrap_err();
    assert_eq!(error.sqlstate(), Some(&SqlState::DIVISION_BY_ZERO));
    assert!(seen <= 4999);
    assert!(copy.rows(|_| ControlFlow::Continue(())).await.is_err());
    assert_eq!(wire.query("SELECT 1").await.unwrap().len(), 1);
}

#[tokio::test]
async fn batches_stop_at_the_first_error() {
    let server = Server::start(18);
    let mut wire = wire(&server).await;
    let failed = wire
        .execute_all(&[
            "CREATE TEMP TABLE a (i int)",
            "CREATE TEMP TABLE b (i int)",
            "CREATE TEMP TABLE a (i int)",
            "CREATE TEMP TABLE c (i int)",
        ])
        .await
        .unwrap_err();
    assert_eq!(failed.index, 2);
    assert_eq!(failed.error.sqlstate(), Some(&SqlState::DUPLICATE_TABLE));
    assert_eq!(failed.error.kind(), Kind::Server);
    // One implicit transaction: nothing of it is left.
    assert_eq!(
        wire.query("SELECT to_regclass('a'), to_regclass('b')")
            .await
            .unwrap(),
        vec![vec![None, None]]
    );
    wire.execute_all(&[]).await.unwrap();
    wire.execute_all(&["", "-- nothing", "SELECT 1"])
        .await
        .unwrap();

    wire.execute_all(&["BEGIN", "CREATE TEMP TABLE a (i int)"])
        .await
        .unwrap();
    assert_eq!(wire.transaction_status(), TransactionStatus::Open);
    let failed = wire
        .execute_all(&["SELECT no_such", "COMMIT"])
        .await
        .unwrap_err();
    assert_eq!(failed.index, 0);
    assert_eq!(wire.transaction_status(), TransactionStatus::Failed);
    wire.execute("ROLLBACK").await.unwrap();
    assert_eq!(wire.transaction_status(), TransactionStatus::Idle);

    // A batch larger than any buffer on the way, with an answer to each statement.
    let statement = format!("SELECT '{}'", "x".repeat(10_000));
    let many = vec![statement.as_str(); 2000];
    wire.execute_all(&many).await.unwrap();
    assert_eq!(
        wire.execute("INSERT INTO pg_temp.t SELECT 1")
            .await
            .unwrap_err()
            .kind(),
        Kind::Server
    );
    wire.execute("CREATE TEMP TABLE t AS SELECT generate_series(1, 5) AS a")
        .await
        .unwrap();
    assert_eq!(wire.execute("UPDATE t SET a = 0").await.unwrap(), 5);
    let failed = wire
        .execute_all(&["SELECT 1", "SELECT '\0'"])
        .await
        .unwrap_err();
    assert_eq!(failed.index, 1);
    assert!(!wire.is_broken());
    let failed = wire
        .execute_all(&["SELECT 1", "COPY t FROM STDIN"])
        .await
        .unwrap_err();
    assert_eq!(failed.index, 1);
    assert!(wire.is_broken());
}

#[tokio::test]
async fn a_parse_takes_one_statement() {
    let server = Server::start(18);
    let mut wire = wire(&server).await;
    for sql in ["SELECT 1; SELECT 2", "CREATE TEMP TABLE x (); DROP TABLE x"] {
        let error = wire.execute(sql).await.unwrap_err();
        assert_eq!(error.sqlstate(), Some(&SqlState::SYNTAX_ERROR), "{error}");
    }
    wire.execute("SELECT 1;").await.unwrap();
    assert_eq!(
        wire.query("SELECT to_regclass('x')").await.unwrap(),
        vec![vec![None]]
    );
}

#[tokio::test]
async fn many_parameter_sets_in_one_go() {
    let server = Server::start(18);
    let mut wire = wire(&server).await;
    wire.execute("BEGIN").await.unwrap();
    let oid: u32 = wire.query("SELECT lo_create(0)").await.unwrap()[0][0]
        .as_ref()
        .unwrap()
        .parse()
        .unwrap();
    let chunk = Bytes::from(vec![0xab_u8; 256 * 1024]);
    let rows = (0..40_i64).map(|n| {
        vec![
            Some(Bytes::copy_from_slice(&oid.to_be_bytes())),
            Some(Bytes::copy_from_slice(&(n * 256 * 1024).to_be_bytes())),
            Some(chunk.clone()),
        ]
    });
    let affected = wire
        .execute_params("SELECT pg_catalog.lo_put($1, $2, $3)", rows)
        .await
        .unwrap();
    assert_eq!(affected, 40);
    wire.execute("COMMIT").await.unwrap();
    let rows = wire
        .query(&format!("SELECT length(lo_get({oid})), lo_unlink({oid})"))
        .await
        .unwrap();
    assert_eq!(rows[0][0].as_deref(), Some("10485760"));

    // An error in the middle ends it; what follows is not even asked for in full.
    wire.execute("CREATE TEMP TABLE t (a int CHECK (a < 100), b text)")
        .await
        .unwrap();
    let text = Bytes::from(vec![b'x'; 100_000]);
    let mut asked = 0;
    let rows = (0..100_000_i32).map(|n| {
        asked += 1;
        vec![
            Some(Bytes::copy_from_slice(&n.to_be_bytes())),
            Some(text.clone()),
        ]
    });
    let error = wire
        .execute_params("INSERT INTO t VALUES ($1, $2)", rows)
        .await
        .unwrap_err();
    assert_eq!(error.sqlstate(), Some(&SqlState::CHECK_VIOLATION));
    assert!(!error.message().contains("xxx"));
    assert!(asked < 100_000);
    assert_eq!(
        wire.query("SELECT count(*) FROM t").await.unwrap()[0][0].as_deref(),
        Some("0")
    );
    // Nulls, and no sets at all.
    let affected = wire
        .execute_params(
            "INSERT INTO t VALUES ($1, $2)",
            std::iter::once(vec![None, None]),
        )
        .await
        .unwrap();
    assert_eq!(affected, 1);
    let affected = wire
        .execute_params("INSERT INTO t VALUES ($1, $2)", std::iter::empty())
        .await
        .unwrap();
    assert_eq!(affected, 0);
}

#[tokio::test]
async fn a_lost_server_is_a_lost_connection() {
    let server = Server::builder(18).start();
    let config = config(&local(&server));
    // Ended by an administrator: the server says why.
    let mut wire = config.connect_wire().await.unwrap();
    let pid = wire.query("SELECT pg_backend_pid()").await.unwrap()[0][0]
        .clone()
        .unwrap();
    let mut copy = wire
        .copy_out("COPY (SELECT i, pg_sleep(0.001) FROM generate_series(1, 1000000) i) TO STDOUT")
        .await
        .unwrap();
    copy.rows(|_| ControlFlow::Break(())).await.unwrap();
    server.psql(&format!("SELECT pg_terminate_backend({pid});"));
    let error = copy.rows(|_| ControlFlow::Continue(())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::ConnectionLost);
    assert_eq!(error.sqlstate(), Some(&SqlState::ADMIN_SHUTDOWN));
    assert!(error.is_transient());
    assert!(wire.is_broken());

    // The same while we are sending.
    let mut wire = config.connect_wire().await.unwrap();
    wire.execute("CREATE TEMP TABLE t (a int)").await.unwrap();
    let pid = wire.query("SELECT pg_backend_pid()").await.unwrap()[0][0]
        .clone()
        .unwrap();
    let mut copy = wire.copy_in("COPY t FROM STDIN").await.unwrap();
    copy.send(b"1\n").await.unwrap();
    server.psql(&format!("SELECT pg_terminate_backend({pid});"));
    let rows = b"1\n".repeat(500_000);
    let error = loop {
        if let Err(error) = copy.send(&rows).await {
            break error;
        }
    };
    assert_eq!(error.kind(), Kind::ConnectionLost, "{error}");
    assert!(wire.is_broken());

    // Gone without a word.
    let session = config.connect().await.unwrap();
    let mut wire = config.connect_wire().await.unwrap();
    server.crash();
    assert_eq!(
        wire.execute("SELECT 1").await.unwrap_err().kind(),
        Kind::ConnectionLost
    );
    let error = Error::from(
        session
            .client()
            .batch_execute("SELECT 1")
            .await
            .unwrap_err(),
    );
    assert_eq!(error.kind(), Kind::ConnectionLost, "{error}");
    assert_eq!(
        config.connect_wire().await.unwrap_err().kind(),
        Kind::Connect
    );
}

/// A server that says what it is told to: for each step it waits for some bytes and then answers.
/// Serves any number of connections; the address is returned.
async fn scripted(steps: Vec<Vec<u8>>) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            for step in &steps {
                let mut bytes = [0; 4096];
                if matches!(socket.read(&mut bytes).await, Ok(0) | Err(_)) {
                    break;
                }
                if socket.write_all(step).await.is_err() {
                    break;
                }
            }
        }
    });
    port
}

fn message(tag: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend_from_slice(&u32::try_from(payload.len() + 4).unwrap().to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

#[tokio::test]
async fn strange_servers_are_refused_in_words() {
    let clear = "sslmode=disable";
    let refusal = message(
        b'E',
        b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: options\0\0",
    );
    for (more, steps, expected) in [
        // A pooler.
        (
            "sslmode=disable options='-c a=b'",
            vec![refusal],
            "unsupported startup parameter",
        ),
        // Not PostgreSQL at all.
        (clear, vec![b"HTTP/1.1 400 Bad Request\r\n".to_vec()], ""),
        (
            "sslmode=require",
            vec![b"HTTP/1.1 400 Bad Request\r\n".to_vec()],
            "answer to the request for TLS",
        ),
        // Its text is not authenticated and must not be shown.
        (
            "sslmode=require",
            vec![message(b'E', b"SFATAL\0Mpay me\0\0")],
            "with an error",
        ),
        // Says yes and sends something in the clear behind it.
        (
            "sslmode=require",
            vec![[b"S".as_slice(), &message(b'R', &[0; 4])].concat()],
            "TLS handshake",
        ),
        (
            "sslmode=require",
            vec![b"N".to_vec()],
            "does not support TLS",
        ),
        (
            clear,
            vec![message(b'R', &7_u32.to_be_bytes())],
            "GSSAPI authentication, which is not supported",
        ),
        (
            clear,
            vec![message(
                b'R',
                &[&10_u32.to_be_bytes()[..], b"OAUTHBEARER\0\0"].concat(),
            )],
            "no SASL mechanism",
        ),
        (
            clear,
            vec![message(
                b'R',
                &[&10_u32.to_be_bytes()[..], b"SCRAM-SHA-256-PLUS\0\0"].concat(),
            )],
            "without TLS",
        ),
        // Lets us in without proving that it knows the password.
        (
            clear,
            vec![
                message(
                    b'R',
                    &[&10_u32.to_be_bytes()[..], b"SCRAM-SHA-256\0\0"].concat(),
                ),
                message(b'R', &0_u32.to_be_bytes()),
            ],
            "SCRAM exchange",
        ),
        (clear, vec![message(b'R', &[0; 4])], "closed the connection"),
        (
            clear,
            vec![vec![b'R', 0xff, 0xff, 0xff, 0xff]],
            "lost synchronization",
        ),
        (clear, vec![vec![b'R', 0, 0, 0, 1]], "lost synchronization"),
        (clear, vec![vec![]], "closed the connection"),
    ] {
        let port = scripted(steps).await;
        let config = config(&format!(
            "host=127.0.0.1 port={port} dbname=d password=pass-x connect_timeout=10 {more}"
        ));
        let error = config.connect_wire().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Connect);
        assert!(
            error.message().contains(expected),
            "{error}, not: {expected}"
        );
        assert!(!error.message().contains("pay me"));
        if more.contains("options") {
            assert!(error.hint().unwrap().contains("pgbouncer.ini"));
        }
    }
}
