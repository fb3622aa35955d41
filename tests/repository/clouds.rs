//! The life of backups in stores of every kind, by the program.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::scene::{assert_whole, shop};
use crate::servers::{Place, azurite, google, s3};
use crate::support::{assert_same_data, pgstow, run};

async fn live(place: &Place, name: &str) {
    let home = tempfile::tempdir().unwrap();
    let database = shop().url();
    let command = |arguments: &[&str]| -> Command {
        let mut command = pgstow();
        command.current_dir(home.path()).env("HOME", home.path());
        command.envs(place.variables.clone());
        command.env("PGSTOW_STORE_LOCATION", &place.url);
        command.env("DATABASE_URL", &database);
        command.args(arguments);
        command
    };
    let json = |arguments: &[&str]| -> Value {
        let output = run(&mut command(arguments)).success();
        serde_json::from_str(&output.stdout).unwrap()
    };

    run(&mut command(&[
        "init", "--store", &place.url, "-d", &database,
    ]))
    .success();
    run(&mut command(&["backup", "--type", "daily", "--verify"])).success();
    // Two at once: one of them goes on, or the one after the other.
    let both = std::thread::scope(|scope| {
        let all = [(); 2].map(|()| scope.spawn(|| run(&mut command(&["backup"]))));
        all.map(|it| it.join().unwrap())
    });
    let made = both.iter().filter(|it| it.code == Some(0)).count();
    assert!(made > 0, "{}", both[0].stderr);
    for refused in both.iter().filter(|it| it.code != Some(0)) {
        assert_eq!(refused.code, Some(6), "{}", refused.stderr);
        assert!(refused.stderr.contains("held by"), "{}", refused.stderr);
    }
    let list = json(&["backups", "--json"]);
    let backups = list["backups"].as_array().unwrap();
    assert_eq!(backups.len(), 1 + made);
    assert!(backups.iter().all(|it| it["status"] == "completed"));
    assert!(backups[made]["verified_at"].is_string());
    let first = backups[made]["id"].as_str().unwrap();

    run(&mut command(&["verify", "latest"])).success();
    let target = shop().server().create_db(name);
    let to = target.url();
    run(&mut command(&[
        "restore",
        "latest",
        "--yes",
        "--no-delay",
        "-d",
        &to,
    ]))
    .success();
    assert_same_data(shop(), &target);
    run(&mut command(&["delete", first])).success();
    fs::write(
        home.path().join("pgstow.toml"),
        "[retention]\ndaily_days = 0\nmanual_days = 0\nweekly_days = 0\nmonthly_days = 0\nkeep_verified = 0\n",
    )
    .unwrap();
    run(&mut command(&["backup"])).success();
    run(&mut command(&["prune"])).success();
    run(&mut command(&["audit", "verify"])).success();

    let store = place.store();
    assert_eq!(assert_whole(&store, name).await.len(), 1);
    for folder in ["drafts", "locks"] {
        assert_eq!(store.list(folder).await.unwrap(), [], "{folder}");
    }
    assert_eq!(store.list("archives").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_live_at_azure() {
    live(&azurite(), "lives_at_azure").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_live_at_google() {
    live(&google(), "lives_at_google").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_live_in_s3() {
    live(&s3().0, "lives_in_s3").await;
}
