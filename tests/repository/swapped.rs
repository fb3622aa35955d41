//! An encrypted backup in a bucket, restored in the place of a database and by its id.

use std::fs;
use std::process::Command;

use pgstow::encryption::Identity;
use serde_json::Value;

use crate::scene::shop;
use crate::servers::Seaweed;
use crate::support::{assert_same_data, pgstow, run};

#[test]
fn an_encrypted_backup_in_a_bucket_takes_the_place_of_a_database() {
    let server = Seaweed::get();
    let place = format!("s3://{}/nightly", server.bucket());
    let home = tempfile::tempdir().unwrap();
    let identity = Identity::generate().unwrap();
    let key = home.path().join("key");
    fs::write(&key, identity.reveal()).unwrap();
    let command = |arguments: &[&str]| -> Command {
        let mut command = pgstow();
        command.current_dir(home.path()).env("HOME", home.path());
        command.envs(server.variables());
        command.env("PGSTOW_STORE_LOCATION", &place).args(arguments);
        command
    };
    let recipient = identity.recipient().to_string();
    let source = shop().url();
    let made = run(&mut command(&[
        "backup",
        "-d",
        &source,
        "--encrypt-to",
        &recipient,
        "--json",
    ]));
    let made: Value = serde_json::from_str(made.success().stdout.lines().last().unwrap()).unwrap();
    let id = made["report"]["id"].as_str().unwrap();

    let database = shop().server().create_db("in_use");
    database.psql("CREATE TABLE precious AS SELECT 1 AS n");
    let to = database.url();
    let key = key.to_str().unwrap();
    let swap = [
        "restore",
        "latest",
        "--swap",
        "--yes",
        "--no-delay",
        "-d",
        &to,
    ];
    // Without the key nothing is touched.
    run(&mut command(&swap)).expect_code(6);
    assert_eq!(database.query_one("SELECT n FROM precious"), "1");
    let swapped = run(&mut command(
        &[&swap[..], &["--identity", key, "--json"]].concat(),
    ))
    .success();
    let report: Value = serde_json::from_str(swapped.stdout.lines().last().unwrap()).unwrap();
    let kept = report["report"]["kept"].as_str().unwrap().to_owned();
    assert_same_data(shop(), &database);
    let old = shop().server().db(&kept);
    assert_eq!(old.query_one("SELECT n FROM precious"), "1");
    shop().server().psql(&format!("DROP DATABASE \"{kept}\""));

    let target = shop().server().create_db("by_id");
    let to = target.url();
    let restore = [
        "restore",
        id,
        "--yes",
        "--no-delay",
        "--identity",
        key,
        "-d",
        &to,
    ];
    run(&mut command(&restore)).success();
    assert_same_data(shop(), &target);
}
