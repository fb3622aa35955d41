//! The program: a night that fails, one that is well again, and what everybody hears of it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::receiver::{Answer, Receiver};
use crate::support::{Db, MailEncryption, MailSink, Output, Pki, Server, pgstow, run};

const PASSWORD: &str = "ein geheimes Wort";

/// A job with everybody who can be told.
struct Scene {
    dir: tempfile::TempDir,
    records: Db,
    db: Db,
}

impl Scene {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = pgstow();
        // Nothing of the caller's own configuration.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("PGSTOW_") && text != "PGSTOW_SERVERS" {
                command.env_remove(&name);
            }
        }
        command
            .args(args)
            .arg("--config")
            .arg(self.dir.path().join("pgstow.toml"))
            .current_dir(self.dir.path());
        command
    }

    #[track_caller]
    fn backup(&self, role: Option<&str>, code: i32) -> Output {
        let url = self.db.url();
        let mut command = self.command(&["backup", "-d", &url, "--type", "daily"]);
        command.args(role.map(|role| format!("--role={role}")));
        run(&mut command).expect_code(code)
    }

    fn metric(&self, name: &str) -> Option<f64> {
        let text = std::fs::read_to_string(self.dir.path().join("pgstow.prom")).unwrap();
        let label = format!("database=\"{}\"", self.db.name());
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name}{{")) && line.contains(&label));
        line.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
    }

    fn rows(&self) -> Vec<(String, bool)> {
        let sql = "SELECT status, damage IS NOT NULL FROM ops.database_backups ORDER BY id";
        let rows = self.records.query_rows(sql);
        rows.iter()
            .map(|row| (row[0].clone().unwrap(), row[1].as_deref() == Some("t")))
            .collect()
    }
}

fn row(status: &str, damaged: bool) -> (String, bool) {
    (status.to_owned(), damaged)
}

#[test]
fn everybody_hears_of_a_night_that_fails_and_of_the_next_one() {
    let pki = Pki::generate();
    let user = "backups@example.org";
    let sink = MailSink::start(MailEncryption::StartTls, &pki, Some((user, PASSWORD)));
    let receiver = Receiver::start(&[Answer::Status(200, "")]);
    let server = Server::start(18);
    let scene = Scene {
        dir: tempfile::tempdir().unwrap(),
        records: server.create_db("records"),
        db: server.create_db("watched"),
    };
    let path = |name: &str| scene.dir.path().join(name);
    std::fs::write(path("mail-password"), format!("{PASSWORD}\n")).unwrap();
    let config = format!(
        "[store]\nlocation = \"{store}\"\n\
         [backup]\nrecord_to = \"{records}\"\nrecord_schema = \"ops\"\nmetrics_file = \"{metrics}\"\n\
         [notification]\nretries = 1\n\
         [notification.mail]\nto = [\"ops@example.org\"]\nhost = \"localhost\"\nport = {port}\n\
         tls = \"starttls\"\nca_file = \"{ca}\"\nuser = \"{user}\"\npassword_file = \"{password}\"\n\
         [notification.ping]\nurl = \"{ping}\"\n\
         [notification.webhook.team]\nurl = \"{hook}\"\non = [\"succeeded\", \"failed\"]\n",
        store = path("store").display(),
        records = scene.records.url(),
        metrics = path("pgstow.prom").display(),
        port = sink.port(),
        ca = pki.ca_cert().display(),
        password = path("mail-password").display(),
        ping = receiver.url("/some-uuid"),
        hook = receiver.url("/hook"),
    );
    std::fs::write(path("pgstow.toml"), config).unwrap();
    let only_ours = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path("pgstow.toml"), only_ours).unwrap();
    let name = scene.db.name();
    let heard = |from: usize| {
        let requests = receiver.requests();
        let mut heard: Vec<String> = requests[from..]
            .iter()
            .map(|it| match it.path.as_str() {
                "/hook" => {
                    let json: Value = serde_json::from_str(&it.body).unwrap();
                    format!("{} {}", json["work"], json["event"]).replace('"', "")
                }
                path => path.to_owned(),
            })
            .collect();
        // They are told at the same time.
        heard.sort();
        (requests.len(), heard)
    };

    let failed = scene.backup(Some("no_such_role"), 1);
    assert!(!failed.stderr.contains("warning"), "{}", failed.stderr);
    let mail = sink.next();
    assert_eq!((mail.encrypted, mail.login.as_deref()), (true, Some(user)));
    assert!(
        mail.subject()
            .starts_with(&format!("[pgstow] backup of {name} on "))
    );
    assert!(mail.subject().ends_with(" failed"));
    let text = mail.content.replace("=\r\n", "");
    assert!(text.contains("no_such_role"), "{text}");
    assert!(text.contains("last success: there is none"), "{text}");
    let (seen, told) = heard(0);
    assert_eq!(
        told,
        ["/some-uuid/fail", "/some-uuid/start", "backup failed"]
    );
    assert_eq!(receiver.requests()[0].path, "/some-uuid/start");
    assert_eq!(scene.rows(), [row("failed", false)]);
    assert_eq!(
        scene.metric("pgstow_backup_last_attempt_success"),
        Some(0.0)
    );
    assert_eq!(scene.metric("pgstow_backup_last_success_rows"), None);

    // The next one is well again, and the one after that nothing new.
    scene
        .db
        .psql("CREATE TABLE t AS SELECT generate_series(1, 7) AS n");
    scene.backup(None, 0);
    assert!(sink.next().subject().ends_with(" succeeded again"));
    let (seen, told) = {
        let heard = heard(seen);
        (heard.0, heard.1)
    };
    assert_eq!(told, ["/some-uuid", "/some-uuid/start", "backup recovered"]);
    assert_eq!(
        scene.rows(),
        [row("failed", false), row("completed", false)]
    );
    assert_eq!(
        scene.metric("pgstow_backup_last_attempt_success"),
        Some(1.0)
    );
    assert_eq!(scene.metric("pgstow_backup_last_success_rows"), Some(7.0));
    scene.backup(None, 0);
    let (seen, told) = heard(seen);
    assert_eq!(told, ["/some-uuid", "/some-uuid/start", "backup succeeded"]);

    // By day it is tried whether they would hear it; a ping would be taken for a backup.
    let only = ["doctor", "--only", "notification,record", "--json"];
    let looked = run(&mut scene.command(&only)).success().stdout;
    assert!(looked.contains("ops.database_backups of "), "{looked}");
    let seen = heard(seen).0;
    let tried = run(&mut scene.command(&[&only[..], &["--send-test"]].concat())).success();
    let tried: Value = serde_json::from_str(&tried.stdout).unwrap();
    assert_eq!(tried["passed"], 3, "{tried}");
    let mail = sink.next();
    assert!(
        mail.subject().starts_with("[pgstow] test: "),
        "{}",
        mail.subject()
    );
    assert!(mail.content.contains("This is a test"), "{}", mail.content);
    let (seen, told) = heard(seen);
    assert_eq!(told, ["backup failed"]);
    let test: Value = serde_json::from_str(&receiver.requests()[seen - 1].body).unwrap();
    assert_eq!(test["test"], true);

    // A flipped byte is found, told, and shown.
    let archives = std::fs::read_dir(path("store").join("archives")).unwrap();
    let newest = archives.map(|it| it.unwrap().path()).max().unwrap();
    let mut bytes = std::fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&newest, bytes).unwrap();
    let verified = run(&mut scene.command(&["verify", "latest"]));
    assert_ne!(verified.code, Some(0), "{}", verified.stderr);
    assert!(sink.next().subject().starts_with("[pgstow] verify"));
    let (_, told) = heard(seen);
    assert_eq!(told, ["verify failed"]);
    assert_eq!(
        scene.rows(),
        [
            row("failed", false),
            row("completed", false),
            row("completed", true)
        ]
    );
    assert_eq!(scene.metric("pgstow_backups_damaged"), Some(1.0));

    // What is deleted stays in the table as such.
    let failed_id = scene
        .records
        .query_one("SELECT min(id) FROM ops.database_backups");
    run(&mut scene.command(&["delete", &failed_id])).success();
    assert_eq!(scene.rows()[0], row("deleted", false));
    assert!(sink.rest().is_empty());

    // A password that cannot be fetched makes no backup, and is told.
    let mut command = scene.command(&["backup"]);
    command.env("PGSTOW_DATABASE_URL_COMMAND", "exit 3");
    assert_ne!(run(&mut command).code, Some(0));
    assert!(sink.next().subject().ends_with(" failed"));

    // Nobody can be told, and no table and no file can be written: it is a backup nevertheless.
    drop(sink);
    let mut command = scene.command(&["backup", "-d", &scene.db.url()]);
    command
        .env("PGSTOW_NOTIFICATION_PING_URL", "http://127.0.0.1:1/geheim")
        .env(
            "PGSTOW_BACKUP_RECORD_TO",
            "postgres://me:geheim@127.0.0.1:1/x",
        )
        .env("PGSTOW_BACKUP_METRICS_FILE", path("nowhere/x.prom"));
    let made = run(&mut command).success();
    for says in [
        "warning: notification: ping at 127.0.0.1:1: ",
        "warning: table of records: record backups in ops.database_backups of me@127.0.0.1:1/x: ",
        "warning: metrics file: write metrics: ",
    ] {
        assert!(made.stderr.contains(says), "{says}: {}", made.stderr);
    }
    assert!(!made.stderr.contains("geheim"), "{}", made.stderr);
    let audit = run(&mut scene.command(&["audit", "--json"])).success();
    let audit: Value = serde_json::from_str(&audit.stdout).unwrap();
    let audit = audit.to_string();
    assert!(audit.contains("\"notify\"") && audit.contains("ping at 127.0.0.1:1"));
    assert!(!audit.contains("geheim") && !audit.contains(PASSWORD));
}

#[test]
fn a_backup_is_in_the_table_while_it_runs_and_does_not_stay_when_it_was_killed() {
    let server = Server::start(18);
    let scene = Scene {
        dir: tempfile::tempdir().unwrap(),
        records: server.create_db("running_records"),
        db: server.create_db("running"),
    };
    let store = scene.dir.path().join("store");
    let config = format!(
        "[store]\nlocation = \"{}\"\n[backup]\nrecord_to = \"{}\"\nrecord_schema = \"ops\"\n\
         metrics_file = \"{}\"\n",
        store.display(),
        scene.records.url(),
        scene.dir.path().join("pgstow.prom").display(),
    );
    std::fs::write(scene.dir.path().join("pgstow.toml"), config).unwrap();
    scene.db.psql("CREATE TABLE t AS SELECT 1 AS n");
    scene.backup(None, 0);

    // Somebody holds the table, so that the backup takes its time.
    let mut holder = scene.db.tool("psql");
    let hold = "BEGIN; LOCK TABLE t; SELECT pg_sleep(300)";
    let mut holder = holder
        .args(["-X", "-q", "-c", hold])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let locked = "SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND granted";
    while scene.db.query_one(locked) != "1" {
        std::thread::sleep(Duration::from_millis(20));
    }
    let url = scene.db.url();
    let mut backup = scene
        .command(&["backup", "-d", &url, "--quiet"])
        .spawn()
        .unwrap();
    let running = [row("completed", false), row("running", false)];
    let mut tries = 0;
    while scene.rows() != running {
        std::thread::sleep(Duration::from_millis(50));
        tries += 1;
        assert!(tries < 1200, "{:?}", scene.rows());
    }
    backup.kill().unwrap();
    backup.wait().unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();
    let sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
    scene.db.psql(sessions);
    assert_eq!(scene.rows(), running);

    // As if nobody had heard of it for an hour.
    for draft in std::fs::read_dir(store.join("drafts")).unwrap() {
        let draft = std::fs::File::options()
            .write(true)
            .open(draft.unwrap().path());
        let hour = Duration::from_secs(3600);
        let then = std::time::SystemTime::now() - hour;
        draft.unwrap().set_modified(then).unwrap();
    }
    scene.backup(None, 0);
    let all = [
        row("completed", false),
        row("failed", false),
        row("completed", false),
    ];
    assert_eq!(scene.rows(), all);
}

#[test]
fn options_stand_for_the_configuration() {
    let server = Server::start(18);
    let (db, records) = (server.create_db("watched"), server.create_db("records"));
    db.psql("CREATE TABLE t AS SELECT 1 AS n");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pgstow.prom");
    let store = dir.path().join("store");
    let at = |command: &mut Command, path: &Path| {
        command.current_dir(dir.path()).arg("--store").arg(path);
    };
    let mut backup = pgstow();
    backup.args([
        "backup",
        "-d",
        &db.url(),
        "--record-to",
        &records.url(),
        "--metrics-file",
    ]);
    at(backup.arg(&file), &store);
    run(&mut backup).success();
    assert_eq!(
        records.query_one("SELECT status FROM public.database_backups"),
        "completed"
    );
    assert!(file.exists());

    // Filled anew from the listing, in another schema.
    let mut backups = pgstow();
    backups.args([
        "backups",
        "--json",
        "--record-to",
        &records.url(),
        "--record-schema",
        "Ops",
    ]);
    at(&mut backups, &store);
    run(&mut backups).success();
    assert_eq!(
        records.query_one("SELECT count(*) FROM \"Ops\".database_backups"),
        "1"
    );
}
