//! Archives that go straight to an object store and are read from there.

use crate::network::Network;
use crate::servers::{Place, Seaweed, azurite, google};
use crate::support::{Db, Server, assert_same_data, assert_same_schema, pgstow, run};

/// A table large enough for several parts, and a small one.
const SCHEMA: &str = "
create table large (id int primary key, word text);
insert into large select i, md5(i::text) || md5((i * 7)::text) || md5((i * 13)::text)
  from generate_series(1, 250000) i;
create table small (id int primary key, word text);
insert into small select i, 'word ' || i from generate_series(1, 50) i;
";

#[test]
fn an_archive_lives_in_a_bucket() {
    let store = Seaweed::get();
    let bucket = store.bucket();
    let url = format!("s3://{bucket}/nightly/shop.pgstow");
    let server = Server::start(18);
    let source = server.create_db("storage_source");
    source.psql(SCHEMA).success();
    let network = Network::new(store.port);
    let pgstow = || {
        let mut command = pgstow();
        command.envs(store.variables());
        command.env("AWS_S3_ENDPOINT", network.url());
        command.env("PGSTOW_PART_SIZE", "5MiB");
        command
    };
    let source_url = source.url();
    let args = ["dump", &source_url, "-f", &url, "-j2", "--copy-format=text"];
    run(pgstow().args(args).arg("--pack-tables=always")).success();
    assert_eq!(store.unfinished(&bucket), 0);
    let parts = network
        .seen()
        .iter()
        .filter(|it| it.contains("partNumber"))
        .count();
    assert!(parts > 1, "{:?}", network.seen());

    let listed = run(pgstow().args(["list", &url])).success();
    assert!(listed.stdout.contains("small"), "{}", listed.stdout);
    run(pgstow().args(["verify", &url, "--against", &source.url()])).success();
    let script = run(pgstow().args(["sql", &url, "-t", "small"])).success();
    assert!(script.stdout.contains("word 50"), "{}", script.stdout);

    let target = server.create_db("storage_target");
    let target_url = target.url();
    run(pgstow().args(["restore", "-d", &target_url, "-j2", &url])).success();
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);

    // One small table of a large archive: its own ranges and the table of contents.
    let whole: u64 = run(pgstow().args(["verify", "--json", &url]))
        .success()
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|event| event["report"]["bytes"].as_u64())
        .unwrap();
    assert!(whole > 8_000_000, "{whole}");
    let target = server.create_db("storage_small");
    let target_url = target.url();
    network.take_bytes();
    run(pgstow().args(["restore", "-d", &target_url, "-t", "small", &url])).success();
    let fetched = network.take_bytes();
    assert!(fetched < 200_000, "{fetched} of {whole} bytes were fetched");
    assert_eq!(target.query_one("select count(*) from small"), "50");

    // A failed dump leaves what was there, and no parts.
    let before = run(pgstow().args(["list", "--json", &url]))
        .success()
        .stdout;
    let broken = ["dump", &source_url, "-f", &url, "-t", "no_such_table"];
    run(pgstow().args(broken)).expect_code(1);
    assert_eq!(
        run(pgstow().args(["list", "--json", &url]))
            .success()
            .stdout,
        before
    );
    assert_eq!(store.unfinished(&bucket), 0);
}

/// A dump in parts, a restore by ranges, and one small table by its own ranges alone.
fn lives(place: &Place, name: &str, part: &str) {
    let network = Network::new(place.port);
    let behind = place.behind(network.port());
    let url = format!("{}/shop.pgstow", behind.url);
    let pgstow = |args: &[&str]| {
        let mut command = pgstow();
        command.envs(behind.variables.clone()).args(args);
        run(&mut command).success()
    };
    let source = Server::start(18).create_db(&format!("{name}_source"));
    source.psql(SCHEMA).success();
    let from = source.url();
    pgstow(&[
        "dump",
        &from,
        "-f",
        &url,
        "-j2",
        "--copy-format=text",
        "-Z0",
    ]);
    let seen = network.seen();
    let parts = seen.iter().filter(|it| it.contains(part)).count();
    assert!(parts > 1, "{seen:?}");

    let into = |target: &Db, options: &[&str]| {
        network.take_bytes();
        let to = target.url();
        pgstow(&[&["restore", "-d", &to, "-j2", &url], options].concat());
        network.take_bytes()
    };
    let target = source.server().create_db(&format!("{name}_target"));
    let whole = into(&target, &[]);
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);
    let target = source.server().create_db(&format!("{name}_small"));
    let fetched = into(&target, &["-t", "small"]);
    assert!(
        fetched * 40 < whole,
        "{fetched} of {whole} bytes were fetched"
    );
    assert_eq!(target.query_one("select count(*) from small"), "50");
}

#[test]
fn an_archive_lives_in_a_container_of_azure() {
    lives(&azurite(), "azure", "comp=block&");
}

#[test]
fn an_archive_lives_in_a_bucket_of_google() {
    lives(&google(), "google", "partNumber");
}
