//! A user's day, by the program: backups in a bucket, one of them damaged.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use pgstow::archive::Archive;
use pgstow::encryption::Identity;
use pgstow::repository::Repository;
use pgstow::storage::{Overwrite, Put, Store};
use serde_json::Value;

use crate::scene::shop;
use crate::servers::{Seaweed, opened};
use crate::support::{MailEncryption, MailSink, Output, Pki, assert_same_data, pgstow, run};

struct Day {
    home: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Day {
    /// With nothing but what the environment says.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = pgstow();
        command.current_dir(self.home.path());
        command.env("HOME", self.home.path());
        command.envs(self.variables.iter().cloned());
        command.args(arguments);
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> Output {
        run(&mut self.command(arguments)).expect_code(code)
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(arguments, 0).stdout).unwrap()
    }

    #[track_caller]
    fn done(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments, 0);
        let last = output.stdout.lines().last().unwrap();
        let event: Value = serde_json::from_str(last).unwrap();
        assert_eq!(event["event"], "done", "{event}");
        event["report"].clone()
    }
}

/// Changes a byte of a table's rows in the store.
async fn damage(store: &Arc<dyn Store>, id: &str, table: &str) {
    let repository = Repository::open(Arc::clone(store)).await.unwrap();
    let backup = repository.find(id, None).await.unwrap();
    let source = repository.open_archive(&backup).await.unwrap();
    let archive = Archive::open(Arc::clone(&source)).await.unwrap();
    let entry = archive
        .entries()
        .iter()
        .find(|it| it.name == table && it.data.is_some())
        .unwrap();
    let frame = &archive.table(entry.id).unwrap().frames[0];
    let bytes = source.read_at(0, source.len() as usize).await.unwrap();
    let mut bytes = bytes.to_vec();
    bytes[frame.offset as usize + 20] ^= 1;
    let key = backup.record.archive.unwrap().key;
    let put = store.put(&key, bytes.into(), Overwrite::Replace);
    assert_eq!(put.await.unwrap(), Put::Written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day() {
    let server = Seaweed::get();
    let bucket = server.bucket();
    let mut variables = server.variables();
    variables.push(("DATABASE_URL", shop().url()));
    variables.push(("AWS_BACKUP_BUCKET", bucket.clone()));
    let sink = MailSink::start(MailEncryption::None, &Pki::generate(), None);
    for (name, value) in [
        ("BACKUP_NOTIFICATION_EMAIL", "ops@example.org"),
        ("SMTP_HOST", "localhost"),
        ("SMTP_SECURITY", "none"),
    ] {
        variables.push((name, value.to_owned()));
    }
    variables.push(("SMTP_PORT", sink.port().to_string()));
    let mut day = Day {
        home: tempfile::tempdir().unwrap(),
        variables,
    };
    let store = opened(&format!("s3://{bucket}/pgstow"), &server.settings());

    // Before the first one there is nothing, which is told.
    let none = day.run(&["backups"], 6);
    assert!(none.stderr.contains("no repository"), "{}", none.stderr);

    let place = format!("s3://{bucket}/pgstow");
    day.run(&["init", "--store", &place, "-d", &shop().url()], 0);
    day.run(&["backup"], 0);
    day.run(&["doctor"], 0);
    let second = day.done(&["backup", "--type", "daily", "--verify", "--json"]);
    let second = second["id"].as_str().unwrap().to_owned();
    let list = day.json(&["backups", "--json"]);
    let backups = list["backups"].as_array().unwrap();
    assert_eq!(backups.len(), 2);
    assert_eq!(backups[0]["id"], second.as_str());
    assert_eq!(backups[0]["type"], "daily");
    assert_eq!(backups[0]["rows"], 250);
    assert!(backups[0]["verified_at"].is_string());
    let first = backups[1]["id"].as_str().unwrap().to_owned();
    assert_eq!(backups[1]["type"], "manual");
    for backup in backups {
        assert_eq!(backup["status"], "completed");
        assert_eq!(backup["database"], shop().name());
        assert_eq!(backup["tables"], 2);
        assert_eq!(backup["sha256"].as_str().unwrap().len(), 64);
        assert!(backup["bytes"].as_u64().unwrap() > 1000);
        assert!(backup["started"].is_string() && backup["ended"].is_string());
    }
    assert_eq!(list["stats"]["completed"], 2);
    assert_eq!(list["stats"]["last"]["id"], second.as_str());
    let of_type = day.json(&["backups", "--json", "--type", "manual"]);
    assert_eq!(of_type["backups"].as_array().unwrap().len(), 1);
    let page = day.json(&["backups", "--json", "--limit", "1"]);
    assert_eq!(page["next"], second.as_str());
    let page = day.json(&["backups", "--json", "--limit", "1", "--after", &second]);
    assert_eq!(page["backups"][0]["id"], first.as_str());
    let figures = day.run(&["backups", "--stats"], 0).stdout;
    assert!(figures.contains("success rate:  100.0 %"), "{figures}");
    let words = day.run(&["show", "latest"], 0).stdout;
    assert!(words.contains(&second), "{words}");

    day.run(&["verify", "latest"], 0);
    day.run(&["verify", &first, "--against", &shop().url()], 0);
    day.run(&["download", "latest", "-f", "latest"], 0);
    // Now there is such a file, and it wins.
    let file = day.run(&["verify", "latest"], 0);
    assert!(!file.stderr.contains("backup 2"), "{}", file.stderr);
    day.run(&["verify", "latest", "--database", shop().name()], 2);
    fs::remove_file(day.home.path().join("latest")).unwrap();

    damage(&store, &second, "customers").await;
    let found = day.run(&["verify", "latest"], 5);
    assert!(found.stderr.contains("customers"), "{}", found.stderr);
    let mail = sink.next();
    assert!(
        mail.subject().starts_with("[pgstow] verify"),
        "{}",
        mail.content
    );
    assert!(mail.content.contains("customers"), "{}", mail.content);
    let target = shop().server().create_db("day");
    let url = target.url();
    let yes = ["--yes", "--no-delay", "-d", url.as_str()];
    let refused = day.run(&[&["restore", &second][..], &yes[..]].concat(), 6);
    assert!(refused.stderr.contains("damaged"), "{}", refused.stderr);
    let refused = day.run(&["download", &second, "-f", "damaged"], 5);
    assert!(refused.stderr.contains("not what was written"));
    assert!(!day.home.path().join("damaged").exists());
    // What is damaged is not the latest any more.
    let words = day.run(&["show", "latest"], 0).stdout;
    assert!(words.contains(&first), "{words}");
    let words = day.run(&["backups"], 0).stdout;
    assert!(words.contains("DAMAGED"), "{words}");
    day.run(&[&["restore", "latest"][..], &yes[..]].concat(), 0);
    assert_same_data(shop(), &target);

    // The good one stays: by retention, by a pin, and as the last one.
    let refused = day.run(&["delete", &first], 6);
    assert!(
        refused.stderr.contains("last good one"),
        "{}",
        refused.stderr
    );
    day.run(&["pin", &first, "--reason", "for the auditors"], 0);
    let refused = day.run(&["delete", "--last", &first], 6);
    assert!(refused.stderr.contains("pinned"), "{}", refused.stderr);
    day.run(&["delete", &second, "--reason", "damaged"], 0);
    let third = day.done(&["backup", "--json"])["id"].clone();
    fs::write(
        day.home.path().join("pgstow.toml"),
        "[retention]\ndaily_days = 0\nmanual_days = 0\nweekly_days = 0\nmonthly_days = 0\nkeep_verified = 0\n",
    )
    .unwrap();
    let dry = day.run(&["prune", "--dry-run"], 0).stdout;
    assert!(dry.contains("pinned"), "{dry}");
    day.run(&["unpin", &first], 0);
    // Another job in the same place does not judge them, whatever its own rules are.
    let file = day.home.path().join("pgstow.toml");
    let alone = fs::read_to_string(&file).unwrap();
    let jobs = "[jobs.other.database]\nurl = \"elsewhere\"\n[jobs.mine.dump]\njobs = 1\n";
    fs::write(&file, format!("{alone}{jobs}")).unwrap();
    let other = day.run(&["prune", "--dry-run", "--job", "other"], 0).stdout;
    assert!(!other.contains("expire"), "{other}");
    assert!(
        other.contains("of job mine, whose rules are its own"),
        "{other}"
    );
    let mine = day.run(&["prune", "--dry-run", "--job", "mine"], 0).stdout;
    fs::write(&file, alone).unwrap();
    let dry = day.run(&["prune", "--dry-run"], 0).stdout;
    assert_eq!(mine, dry);
    assert!(dry.contains(&format!("expire  {first}")), "{dry}");
    assert!(dry.contains("among the newest"), "{dry}");
    assert_eq!(day.run(&["prune"], 0).stdout, dry, "as it was said");
    let left = day.json(&["backups", "--json"]);
    assert_eq!(left["backups"].as_array().unwrap().len(), 1);
    assert_eq!(left["backups"][0]["id"], third);

    // A record that was lost does not take the archive with it.
    let third = third.as_str().unwrap();
    store
        .delete(&format!("backups/{third}.json"))
        .await
        .unwrap();
    let pruned = day.run(&["prune"], 0);
    assert!(pruned.stderr.contains("has no record"), "{}", pruned.stderr);
    day.run(&["rebuild"], 0);
    let rebuilt = day.json(&["show", third, "--json"]);
    assert_eq!(
        (&rebuilt["rows"], &rebuilt["status"]),
        (&250.into(), &"completed".into())
    );
    day.run(&["verify", third], 0);

    // Encrypted: whole as it is stored without a key, looked into with one.
    let identity = Identity::generate().unwrap();
    let key = day.home.path().join("key");
    fs::write(&key, identity.reveal()).unwrap();
    let recipient = identity.recipient().to_string();
    day.run(&["backup", "--encrypt-to", &recipient], 0);
    let blind = day.run(&["verify", "latest"], 0);
    assert!(blind.stderr.contains("without a key"), "{}", blind.stderr);
    let seen = day.run(
        &["verify", "latest", "--identity", key.to_str().unwrap()],
        0,
    );
    assert!(seen.stderr.contains("archive is whole"), "{}", seen.stderr);

    // Everything of this is in the log, and nothing was done to it.
    let log = day.json(&["audit", "--json"]);
    let all = log["records"].as_array().unwrap();
    let has = |action: &str, verdict: &str| {
        all.iter()
            .any(|it| it["action"] == action && it["verdict"] == verdict)
    };
    for (action, verdict) in [
        ("init", "done"),
        ("backup", "done"),
        ("verify", "done"),
        ("verify", "failed"),
        ("restore", "refused"),
        ("restore", "done"),
        ("download", "done"),
        ("download", "failed"),
        ("delete", "refused"),
        ("delete", "begun"),
        ("delete", "done"),
        ("pin", "done"),
        ("unpin", "done"),
        ("prune", "begun"),
        ("prune", "done"),
        ("rebuild", "done"),
    ] {
        assert!(has(action, verdict), "{action} {verdict}: {log:#}");
    }
    day.run(&["audit", "verify"], 0);
    let one = store.list("audit").await.unwrap().remove(3);
    store.delete(&one.key).await.unwrap();
    let found = day.run(&["audit", "verify"], 1);
    assert!(found.stderr.contains("is missing"), "{}", found.stderr);

    // Failures: nothing to dump, a wrong secret; on record, or told.
    let failed = day.run(
        &["backup", "-T", "*", "-N", "*", "--exclude-schema", "public"],
        1,
    );
    assert!(
        failed.stderr.contains("there is nothing"),
        "{}",
        failed.stderr
    );
    let list = day.json(&["backups", "--json", "--status", "failed"]);
    assert!(list["backups"][0]["error"].is_string());
    assert_eq!(list["backups"][0]["bytes"], Value::Null);
    day.variables
        .push(("AWS_SECRET_ACCESS_KEY", "wrong".to_owned()));
    day.run(&["backup"], 7);
}
