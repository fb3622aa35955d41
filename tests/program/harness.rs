//! The tests' own tools, tested: servers start, databases come and go, the referee sees what it
//! should and is blind to what it should not see.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use crate::support::{
    self, Dice, Fault, Harm, MAJORS, Proxy, Server, Side, assert_same_data, assert_same_schema,
    normalise, pg_dump_schema, run_for, run_with_input, table_hashes,
};
use std::time::{Duration, Instant};

fn starts_and_referees(major: u32) {
    let server = Server::start(major);
    let source = server.create_db("source \"'\\ name");
    assert!(
        source
            .query_one("select version()")
            .starts_with(&format!("PostgreSQL {major}.")),
        "wrong server"
    );
    let settings = source.query_rows(
        "select pg_encoding_to_char(encoding), datctype, null, '' from pg_database
          where datname = current_database()",
    );
    let text = |s: &str| Some(s.to_owned());
    assert_eq!(settings, [[text("UTF8"), text("C.UTF-8"), None, text("")]]);
    assert!(source.query_rows("select 1 where false").is_empty());

    let sql = "create table \"t
        1\" (id int primary key, v text);
        insert into \"t
        1\" values (1, 'a'), (2, null), (3, E'\\n');
        create table nothing(); insert into nothing default values;
        create sequence s; select setval('s', 41); select lo_from_bytea(4711, 'abc');";
    source.psql(sql);
    let target = server.create_db("target");
    target.psql(sql);
    // Not the same order, nor the same number of dead rows.
    target.psql("update \"t\n        1\" set v = v where id = 1;");
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);

    let before = table_hashes(&target);
    assert_eq!(before.len(), 4, "{before:?}");
    assert_eq!(before["public.t\n        1"].0, 3);
    assert_eq!(before["large objects"].0, 1);
    for (change, name) in [
        (
            "update \"t\n        1\" set v = '' where id = 2;",
            "public.t\n        1",
        ),
        ("insert into nothing default values;", "public.nothing"),
        ("select nextval('s');", "sequence public.s"),
        ("select lo_put(4711, 1, 'x');", "large objects"),
    ] {
        let before = table_hashes(&target);
        target.psql(change);
        let after = table_hashes(&target);
        let changed: Vec<_> = before.keys().filter(|k| before[*k] != after[*k]).collect();
        assert_eq!(changed, [name], "after {change}");
    }
    let schema = pg_dump_schema(&target);
    target.psql("alter table nothing owner to current_user; comment on table nothing is 'x';");
    assert_ne!(schema, pg_dump_schema(&target));
}

#[test]
fn postgresql_13() {
    starts_and_referees(13);
}

#[test]
fn postgresql_14() {
    starts_and_referees(14);
}

#[test]
fn postgresql_15() {
    starts_and_referees(15);
}

#[test]
fn postgresql_16() {
    starts_and_referees(16);
}

#[test]
fn postgresql_17() {
    starts_and_referees(17);
}

#[test]
fn postgresql_18() {
    starts_and_referees(18);
}

#[test]
fn every_major_is_tested() {
    assert_eq!(MAJORS, [13, 14, 15, 16, 17, 18]);
}

#[test]
fn normalise_removes_the_servers_own_counter_only() {
    let script = "\
-- Dumped from database version 15.20
-- Dumped by pg_dump version 18.6
a

ALTER TABLE ONLY s.t ALTER COLUMN c SET (pg_attver=7);


ALTER TABLE ONLY s.t ALTER COLUMN d SET (n_distinct=5, pg_attver=8);
ALTER TABLE ONLY s.t ALTER COLUMN e SET (n_distinct=5);
INSERT (pg_attver=1);
";
    assert_eq!(
        normalise(script),
        "\
a

ALTER TABLE ONLY s.t ALTER COLUMN d SET (n_distinct=5);
ALTER TABLE ONLY s.t ALTER COLUMN e SET (n_distinct=5);
INSERT (pg_attver=1);
"
    );
}

#[test]
fn tls_and_scram_are_enforced() {
    let server = Server::builder(18)
        .tls()
        .password("s3cret'")
        .option("password_encryption", "scram-sha-256")
        .hba("hostssl all all 127.0.0.1/32 scram-sha-256")
        .hba("hostnossl all all all reject")
        .start();
    let psql = |sslmode: &str, root: &std::path::Path, password: &str| {
        let mut command = support::tool("psql");
        command
            .env("PGPASSWORD", password)
            .arg("-Xwtc")
            .arg("select ssl from pg_stat_ssl where pid = pg_backend_pid()")
            .arg(format!(
                "host=127.0.0.1 port={} user=postgres dbname=postgres sslmode={sslmode} \
                 channel_binding=prefer sslrootcert={}",
                server.port(),
                root.display()
            ));
        support::run(&mut command)
    };
    let pki = server.pki();
    let fine = psql("verify-full", &pki.ca_cert(), "s3cret'").success();
    assert_eq!(fine.stdout.trim(), "t");
    psql("verify-full", &pki.other_ca_cert(), "s3cret'").expect_code(2);
    psql("verify-full", &pki.ca_cert(), "wrong").expect_code(2);
    psql("disable", &pki.ca_cert(), "s3cret'").expect_code(2);
}

#[test]
fn a_standby_follows() {
    let primary = Server::start(15);
    let standby = primary.standby();
    let db = primary.create_db("followed");
    db.psql("create table t as select generate_series(1, 10) as n;");
    standby.wait_for(&primary);
    let there = standby.db(db.name());
    assert_eq!(there.query_one("select pg_is_in_recovery()"), "t");
    assert_same_data(&db, &there);
}

#[tokio::test]
async fn async_sessions_and_urls_reach_the_database() {
    let db = Server::start(18).create_db("what's \\ up?/%");
    let client = db.connect().await;
    let row = client
        .query_one("select current_database()", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, String>(0), db.name());
    for connection in [db.url(), db.conninfo()] {
        let out = support::run(
            support::tool("psql")
                .args(["-X", "-At", "-c", "select current_database()"])
                .arg(connection),
        );
        assert_eq!(out.success().stdout.trim_end_matches('\n'), db.name());
    }
}

#[test]
fn a_stopped_server_leaves_nothing_behind() {
    let server = Server::builder(18).start();
    let home = server.data_dir().parent().unwrap().to_owned();
    let port = server.port();
    drop(server);
    assert!(!home.exists());
    assert!(
        std::net::TcpStream::connect(("127.0.0.1", port)).is_err(),
        "still listening"
    );
}

#[test]
fn programs_get_input_and_a_time_limit() {
    let echoed = run_with_input(&mut std::process::Command::new("cat"), b"a\0b").success();
    assert_eq!(echoed.stdout_bytes, b"a\0b");
    let slow = std::panic::catch_unwind(|| {
        run_for(
            std::process::Command::new("sleep").arg("60"),
            Duration::from_millis(100),
        );
    });
    assert!(slow.is_err());
}

#[test]
fn a_small_disk_fills_up() {
    let disk = support::SmallDisk::new(1 << 20);
    let place = disk.path().to_owned();
    let error = std::fs::write(place.join("file"), vec![1; 2 << 20]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    drop(disk);
    assert!(!place.exists());
}

#[test]
fn a_proxy_passes_on_delays_pauses_and_cuts() {
    let server = Server::start(18);
    let db = server.create_db("proxied");
    let ask = |proxy: &Proxy, sql: &str| {
        let mut psql = support::tool("psql");
        support::run(psql.args(["-X", "-A", "-t", "-c", sql, "-d", &proxy.url(&db)]))
    };
    let long = "select repeat('x', 3000000)";
    let proxy = Proxy::start(&server);
    let whole = ask(&proxy, long).success().stdout;
    assert_eq!(whole.trim().len(), 3_000_000);
    assert_eq!((proxy.connections(), proxy.harmed()), (1, 0));
    assert!(proxy.passed() > 3_000_000);

    // Two round trips at least, each way.
    let slow = Proxy::builder(&server)
        .delay(Duration::from_millis(30))
        .start();
    let begun = Instant::now();
    assert_eq!(ask(&slow, "select 1").success().stdout.trim(), "1");
    assert!(begun.elapsed() > Duration::from_millis(120));

    proxy.pause();
    let waits = std::thread::scope(|scope| {
        let waits = scope.spawn(|| ask(&proxy, "select 2"));
        std::thread::sleep(Duration::from_millis(200));
        assert!(!waits.is_finished());
        proxy.resume();
        waits.join().unwrap()
    });
    assert_eq!(waits.success().stdout.trim(), "2");

    let harmful = Proxy::builder(&server)
        .faults(|number| {
            let harm = match number {
                0 => Harm::Cut,
                1 => Harm::StallThenCut(Duration::from_millis(50)),
                _ => Harm::Stall(Duration::from_millis(50)),
            };
            let (side, after) = (Side::ToClient, 2_000_000);
            vec![Fault { side, after, harm }]
        })
        .start();
    for _ in 0..2 {
        let before = harmful.passed();
        let cut = ask(&harmful, long).expect_code(2);
        assert!(cut.stdout.is_empty() && !cut.stderr.is_empty());
        assert!(harmful.passed() - before < 2_010_000);
    }
    assert_eq!(ask(&harmful, long).success().stdout, whole);
    assert_eq!(harmful.harmed(), 3);

    let rolls = |seed| {
        let mut dice = Dice::new(seed);
        [(); 50].map(|()| dice.fault(1 << 20))
    };
    assert_eq!(rolls(7), rolls(7));
    assert_ne!(rolls(7), rolls(8));
}
