//! The self-test, on real servers and a store that is a directory: each check well, and with the fault that it
//! is there for.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::{Db, Output, Server, pgstow, run, with_clock};
use serde_json::Value;

struct Clinic {
    directory: tempfile::TempDir,
    db: Db,
}

impl Clinic {
    fn new(major: u32) -> Self {
        let db = Server::start(major).create_db("doctor");
        db.psql("CREATE TABLE t (i int); INSERT INTO t SELECT generate_series(1, 1000)");
        Self {
            directory: tempfile::tempdir().unwrap(),
            db,
        }
    }

    fn store(&self) -> &Path {
        self.directory.path()
    }

    fn run(&self, command: &str, url: &str, options: &[&str]) -> Output {
        run(pgstow()
            .args([command, "-d", url, "--store"])
            .arg(self.store())
            .args(options)
            .env("PGSTOW_CHECKS_MAX_AGE", "26h")
            .env("PGSTOW_CHECKS_SIZE_ANOMALY", "50")
            .current_dir("/"))
    }

    fn backup(&self) {
        self.run("backup", &self.db.url(), &[]).success();
    }

    fn doctor(&self, options: &[&str]) -> Output {
        let options = [&["--json"], options].concat();
        self.run("doctor", &self.db.url(), &options)
    }

    /// Moves the beginning of the newest backup back in time, as if nobody had made one since.
    fn age_backups(&self) {
        for entry in std::fs::read_dir(self.store().join("backups")).unwrap() {
            let path = entry.unwrap().path();
            let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            record["started"] = "2026-01-01T00:00:00Z".into();
            std::fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();
        }
        // It only saves reading.
        let _ = std::fs::remove_file(self.store().join("index.json"));
    }

    /// What the doctor writes to the store is taken away again.
    #[track_caller]
    fn assert_clean(&self) {
        let left = std::fs::read_dir(self.store().join("doctor"));
        let left = left.map(|entries| entries.count()).unwrap_or(0);
        assert_eq!(left, 0);
        let databases = "SELECT count(*) FROM pg_database WHERE datname LIKE 'pgstow_doctor%'";
        assert_eq!(self.db.query_one(databases), "0");
    }
}

/// Verdicts by check.
fn verdicts(output: &Output) -> BTreeMap<String, String> {
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap().iter();
    checks
        .map(|check| (text(&check["name"]), text(&check["verdict"])))
        .collect()
}

fn found(output: &Output, name: &str) -> String {
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap().iter();
    let mut checks = checks.filter(|check| check["name"] == name);
    checks.next().unwrap().to_string()
}

#[test]
fn all_is_well_and_the_round_leaves_nothing() {
    for major in [13, 18] {
        let clinic = Clinic::new(major);
        clinic.backup();
        let done = clinic.doctor(&["--full"]).success();
        let verdicts = verdicts(&done);
        let expected = [
            ("configuration", "passed"),
            ("connection", "passed"),
            ("privileges", "passed"),
            ("store", "passed"),
            ("clock", "passed"),
            ("repository", "passed"),
            ("last-backup", "passed"),
            ("size", "skipped"),
            ("verified", "passed"),
            ("keys", "skipped"),
            ("notification", "skipped"),
            ("record", "skipped"),
            ("round", "passed"),
        ];
        let expected = expected.map(|(name, verdict)| (name.to_owned(), verdict.to_owned()));
        assert_eq!(verdicts, expected.into(), "{}", done.stdout);
        assert!(found(&done, "round").contains("1500 rows"));
        clinic.assert_clean();

        // For people: a line for each, and a sum.
        let shown = clinic.run("doctor", &clinic.db.url(), &["--only", "store,clock"]);
        let shown = shown.success().stdout;
        assert!(
            shown.lines().count() >= 3 && shown.contains("2 passed"),
            "{shown}"
        );
    }
}

#[test]
fn a_clock_that_is_wrong_is_told() {
    let clinic = Clinic::new(18);
    clinic.backup();
    for (wrong, verdict, code) in [("-2m", "warning", 0), ("+10m", "failed", 1)] {
        let mut command = pgstow();
        command.args(["doctor", "--json", "--only", "clock", "-d"]);
        command.arg(clinic.db.url()).arg("--store");
        command.arg(clinic.store()).current_dir("/");
        with_clock(&mut command, wrong);
        let told = run(&mut command).expect_code(code);
        assert_eq!(verdicts(&told)["clock"], verdict, "{}", told.stdout);
        assert!(found(&told, "clock").contains("NTP"), "{}", told.stdout);
    }
    clinic.assert_clean();
}

#[test]
fn what_the_role_may_not_read_is_named() {
    for major in [13, 18] {
        let clinic = Clinic::new(major);
        let server = clinic.db.server();
        server.psql(
            "DO $$ BEGIN CREATE ROLE doctor_reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        );
        clinic.db.psql(
            "CREATE SCHEMA closed; CREATE TABLE closed.inside (i int); GRANT SELECT ON closed.inside TO doctor_reader;
             CREATE SEQUENCE counted; GRANT SELECT ON t TO doctor_reader;
             CREATE TABLE public.\"Secret\" (i int);
             CREATE TABLE partly (i int); ALTER TABLE partly ENABLE ROW LEVEL SECURITY;
             GRANT SELECT ON partly TO doctor_reader;
             SELECT lo_from_bytea(815, 'x');
             CREATE SUBSCRIPTION doctor_sub CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false, slot_name = NONE);",
        );
        let url = clinic
            .db
            .url_as("doctor_reader", clinic.db.server().password());
        let options = ["--json", "--only", "privileges"];
        let unwell = clinic.run("doctor", &url, &options).expect_code(1);
        let told = found(&unwell, "privileges");
        for named in [
            "closed.inside (no USAGE",
            "sequence public.counted",
            "public.\\\"Secret\\\"",
            "row security hides rows of public.partly",
            "large objects: 815",
            "doctor_sub",
        ] {
            assert!(told.contains(named), "{named}: {told}");
        }
        assert!(!told.contains("public.t"), "{told}");
        clinic.db.psql("DROP SUBSCRIPTION doctor_sub");
    }
}

#[test]
fn old_or_odd_backups_are_told_to_whoever_watches() {
    let clinic = Clinic::new(18);
    let watch = ["--only", "last-backup,size"];
    // Nothing there at all.
    let none = clinic.doctor(&watch).expect_code(1);
    assert_eq!(verdicts(&none)["last-backup"], "failed");
    for _ in 0..4 {
        clinic.backup();
    }
    assert_eq!(verdicts(&clinic.doctor(&watch).success())["size"], "passed");
    // Three times as much as ever.
    clinic
        .db
        .psql("INSERT INTO t SELECT generate_series(1, 2000)");
    clinic.backup();
    let odd = clinic.doctor(&watch).expect_code(1);
    assert_eq!(verdicts(&odd)["size"], "failed");
    assert_eq!(verdicts(&odd)["last-backup"], "passed");
    clinic.age_backups();
    let old = clinic
        .doctor(&["--only", "last-backup,verified"])
        .expect_code(1);
    assert!(found(&old, "last-backup").contains("no backup since 2026-01-01"));
    assert_eq!(verdicts(&old)["verified"], "warning");
    // A warning is none unless it is to be one.
    clinic.doctor(&["--only", "verified"]).success();
    clinic
        .doctor(&["--only", "verified", "--strict"])
        .expect_code(1);
}

#[test]
fn a_store_that_cannot_be_written_and_a_server_that_is_away_are_told_apart() {
    let clinic = Clinic::new(18);
    let file = clinic.store().join("file");
    std::fs::write(&file, "no directory").unwrap();
    let said = run(pgstow()
        .args([
            "doctor",
            "--json",
            "-d",
            "host=/nowhere dbname=x",
            "--store",
        ])
        .arg(&file)
        .current_dir("/"))
    .expect_code(1);
    let verdicts = verdicts(&said);
    for check in [
        "connection",
        "privileges",
        "store",
        "repository",
        "last-backup",
    ] {
        assert_eq!(verdicts[check], "failed", "{check}: {}", said.stdout);
    }
    assert_eq!(verdicts["configuration"], "passed");

    // A configuration that is none: there is nothing else to look at.
    let toml = clinic.store().join("wrong.toml");
    std::fs::write(&toml, "[jobs.shop]\nstoer = 1\n").unwrap();
    let said = run(pgstow()
        .args(["doctor", "--json", "--config"])
        .arg(&toml)
        .current_dir("/"))
    .expect_code(1);
    assert!(said.stdout.contains("stoer"), "{}", said.stdout);
    // A check that there is not.
    run(pgstow().args(["doctor", "--only", "mail"])).expect_code(2);
}

#[test]
fn a_damaged_repository_and_what_dead_runs_have_left_are_named() {
    let clinic = Clinic::new(18);
    clinic.backup();
    let archives = clinic.store().join("archives");
    let archive = std::fs::read_dir(&archives)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    // An archive whose record is lost, and one that was cut.
    std::fs::copy(
        archive.path(),
        archives.join("20260101T000000Z-00000001.pgstow"),
    )
    .unwrap();
    let file = std::fs::File::options()
        .write(true)
        .open(archive.path())
        .unwrap();
    file.set_len(1000).unwrap();
    let said = clinic.doctor(&["--only", "repository"]).expect_code(1);
    let told = found(&said, "repository");
    assert!(told.contains("gone or too short"), "{told}");
    assert!(told.contains("20260101T000000Z-00000001"), "{told}");
    assert!(told.contains("pgstow rebuild"), "{told}");
}
