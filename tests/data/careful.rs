//! Restores that take the place of a database in use: on real servers, with what stands in the way,
//! with failures at every step, and killed at every step.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::support::{self, Db, Output, Server, assert_same_data, pgstow, run};
use serde_json::Value;

const SOURCE: &str = "
CREATE TABLE goods (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO goods SELECT n, 'thing ' || n FROM generate_series(1, 2000) n;
CREATE TABLE sales (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, good int REFERENCES goods);
INSERT INTO sales (good) SELECT n % 2000 + 1 FROM generate_series(1, 3000) n;
CREATE VIEW best AS SELECT good, count(*) FROM sales GROUP BY 1;
SELECT lo_from_bytea(4711, 'a large object');
";

/// What the database has that is to be replaced.
const OLD: &str = "CREATE TABLE precious AS SELECT n FROM generate_series(1, 10) n;";

/// Servers of this file: some tests need prepared transactions.
fn server(major: u32) -> Arc<Server> {
    static SERVERS: Mutex<Vec<(u32, Arc<Server>)>> = Mutex::new(Vec::new());
    let mut servers = SERVERS.lock().unwrap_or_else(|e| e.into_inner());
    if let Some((_, server)) = servers.iter().find(|(known, _)| *known == major) {
        return Arc::clone(server);
    }
    let server = Server::builder(major)
        .option("max_prepared_transactions", "5")
        .start();
    server.psql(
        "CREATE ROLE swap_owner LOGIN CREATEDB; CREATE ROLE swap_plain LOGIN;
         CREATE ROLE swap_guest LOGIN; GRANT swap_owner TO swap_plain;",
    );
    servers.push((major, Arc::clone(&server)));
    server
}

struct Work {
    directory: tempfile::TempDir,
}

impl Work {
    /// With an archive of the source in it.
    fn new(major: u32) -> (Self, Db) {
        let work = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let source = server(major).create_db("source");
        source.psql(SOURCE);
        run(pgstow()
            .args(["dump", "-d", &source.url(), "-f"])
            .arg(work.archive()))
        .success();
        (work, source)
    }

    fn archive(&self) -> PathBuf {
        self.directory.path().join("archive")
    }

    fn swap(&self, target: &Db, options: &[&str]) -> Output {
        run(&mut self.command(&target.url(), options))
    }

    fn command(&self, url: &str, options: &[&str]) -> Command {
        command(&self.archive(), url, options)
    }
}

fn command(archive: &Path, url: &str, options: &[&str]) -> Command {
    let mut command = pgstow();
    command
        .args([
            "restore",
            "--swap",
            "--yes",
            "--no-delay",
            "--json",
            "-d",
            url,
        ])
        .args(options)
        .arg(archive);
    command
}

fn events(output: &Output) -> Vec<Value> {
    let lines = output.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The report of a run that did not fail.
fn report(output: &Output) -> Value {
    events(output).pop().unwrap()["report"].clone()
}

/// A database to be replaced; what is made beside it goes with it.
struct Target {
    db: Db,
}

impl std::ops::Deref for Target {
    type Target = Db;
    fn deref(&self) -> &Db {
        &self.db
    }
}

impl Target {
    fn new(major: u32, prefix: &str) -> Self {
        let db = server(major).create_db(prefix);
        db.psql(OLD);
        Self { db }
    }

    /// The databases beside it, by what their comments say they are: `filling`, `filled`, `kept`.
    fn beside(&self, state: &str) -> Vec<String> {
        let all = self.server().db("postgres").query_rows(
            "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database ORDER BY oid",
        );
        let of = serde_json::to_string(self.name()).unwrap();
        all.into_iter()
            .filter_map(|row| Some((row[0].clone()?, row[1].clone()?)))
            .filter(|(_, comment)| {
                comment.contains(&format!("{{\"of\":{of},\"state\":\"{state}\""))
            })
            .map(|(name, _)| name)
            .collect()
    }

    /// It is what it was, under its name, and lets everybody in.
    #[track_caller]
    fn assert_untouched(&self) {
        assert_eq!(self.query_one("SELECT count(*) FROM precious"), "10");
        assert_eq!(self.query_one("SELECT to_regclass('goods') IS NULL"), "t");
    }

    #[track_caller]
    fn assert_nothing_beside(&self) {
        for state in ["filling", "filled", "kept"] {
            assert_eq!(self.beside(state), [""; 0], "{state}");
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for state in ["filling", "filled", "kept"] {
            for name in self.beside(state) {
                let name = name.replace('"', "\"\"");
                self.server()
                    .psql(&format!("DROP DATABASE \"{name}\" WITH (FORCE)"));
            }
        }
    }
}

/// What a database has that is not in it.
fn properties(db: &Db) -> Vec<Vec<Option<String>>> {
    let name = db.name().replace('\'', "''");
    db.query_rows(&format!(
        "SELECT pg_get_userbyid(datdba), (SELECT array_agg(i::text ORDER BY i::text) FROM unnest(datacl) i), datconnlimit, datistemplate, datallowconn, encoding, \
         datcollate, datctype, shobj_description(oid, 'pg_database'), \
         (SELECT string_agg(coalesce(setrole::regrole::text, '') || setconfig::text, ' ' ORDER BY setrole) \
          FROM pg_db_role_setting WHERE setdatabase = d.oid) \
         FROM pg_database d WHERE datname = '{name}'"
    ))
}

#[test]
fn a_swap_takes_the_place_and_keeps_the_old_one() {
    for major in [13, 18] {
        let (work, source) = Work::new(major);
        let target = Target::new(major, "It's a \"long\" näme of a database");
        let name = target.name().replace('"', "\"\"");
        target.psql(&format!(
            "ALTER DATABASE \"{name}\" OWNER TO swap_owner;
             REVOKE ALL ON DATABASE \"{name}\" FROM PUBLIC;
             GRANT CONNECT, TEMPORARY ON DATABASE \"{name}\" TO swap_guest WITH GRANT OPTION;
             SET ROLE swap_guest; GRANT CONNECT ON DATABASE \"{name}\" TO swap_plain; RESET ROLE;
             ALTER DATABASE \"{name}\" CONNECTION LIMIT 1;
             ALTER DATABASE \"{name}\" SET default_transaction_read_only = on;
             ALTER ROLE swap_guest IN DATABASE \"{name}\" SET work_mem = '7MB';
             COMMENT ON DATABASE \"{name}\" IS 'the shop''s own';"
        ));
        let before = properties(&target);
        let done = work.swap(&target, &[]).success();
        assert_same_data(&source, &target);
        assert_eq!(properties(&target), before);

        let report = report(&done);
        let kept = report["kept"].as_str().unwrap();
        assert!(kept.len() <= 63 && kept.contains("_before_"), "{kept}");
        assert_eq!(target.beside("kept"), [kept]);
        let old = server(major).db(kept);
        assert_eq!(old.query_one("SELECT count(*) FROM precious"), "10");
        assert!(target.beside("filling").is_empty() && target.beside("filled").is_empty());
        let compared = report["compared"].as_array().unwrap();
        assert_eq!(compared.len(), 3, "two tables and the large objects");
        assert!(compared.iter().all(|table| table["equal"] == true));
        // The preflight was told first, as one thing.
        let first = &events(&done)[0]["preflight"];
        assert_eq!(first["database"], target.name());
        assert!(first["steps"].as_array().unwrap().len() >= 4);
    }
}

/// Ends the process with it.
struct Held(std::process::Child);

impl Held {
    /// A session in the database that stays until this is dropped.
    fn session(db: &Db) -> Self {
        let mut command = db.tool("psql");
        command
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-c",
                "SELECT 'in'",
                "-c",
                "SELECT pg_sleep(600)",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self(child)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The session's process may go on for a moment after psql is gone.
fn end_sessions(db: &Db) {
    let name = db.name().replace('\'', "''");
    server(db.major()).psql(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    ));
}

#[test]
fn somebody_in_the_database_holds_up_the_exchange_and_nothing_is_done_twice() {
    for major in [13, 18] {
        let (work, source) = Work::new(major);
        let target = Target::new(major, "busy");
        let held = Held::session(&target);
        let refused = work.swap(&target, &[]).expect_code(6);
        target.assert_untouched();
        let said = refused.stdout + &refused.stderr;
        assert!(said.contains("--force"), "{said}");
        let filled = target.beside("filled");
        assert_eq!(filled.len(), 1, "what was restored is not lost: {said}");
        drop(held);
        end_sessions(&target);

        // What differs by now is found, and nothing is exchanged.
        let shadow = server(major).db(&filled[0]);
        shadow.psql("UPDATE goods SET name = 'other' WHERE id = 5");
        let different = work.swap(&target, &[]).expect_code(1);
        assert!(different.stderr.is_empty() || !different.stderr.contains("panicked"));
        let differing = report(&different);
        assert_eq!(differing["shadow"], filled[0]);
        assert!(differing["restore"].is_null(), "it was not restored again");
        let differing = differing["compared"].as_array().unwrap().clone();
        let names = differing.iter().filter(|table| table["equal"] == false);
        let names: Vec<&str> = names
            .map(|table| table["table"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["public.goods"]);
        target.assert_untouched();

        // Made right again it is taken, and who is in the database is sent away.
        shadow.psql("UPDATE goods SET name = 'thing 5' WHERE id = 5");
        let _held = Held::session(&target);
        let done = report(&work.swap(&target, &["--force"]).success());
        assert!(done["restore"].is_null(), "{done}");
        assert_same_data(&source, &target);
        assert_eq!(target.beside("kept").len(), 1);
    }
}

#[test]
fn other_options_or_another_archive_do_not_take_what_was_filled() {
    let (work, source) = Work::new(18);
    let target = Target::new(18, "other");
    let held = Held::session(&target);
    work.swap(&target, &[]).expect_code(6);
    let first = target.beside("filled");
    work.swap(&target, &["--no-owner"]).expect_code(6);
    let second = target.beside("filled");
    assert_eq!(second.len(), 1);
    assert_ne!(first, second);
    drop(held);
    end_sessions(&target);
    let (another, _) = Work::new(18);
    let done = report(&another.swap(&target, &["--no-owner"]).success());
    assert!(done["restore"].is_object());
    assert_same_data(&source, &target);
    assert!(target.beside("filled").is_empty() && target.beside("filling").is_empty());
}

/// The checks that failed.
fn failed_checks(output: &Output) -> BTreeSet<String> {
    let preflight = &events(output)[0]["preflight"];
    let checks = preflight["checks"].as_array().unwrap().iter();
    let failed = checks.filter(|check| check["verdict"] == "failed");
    failed
        .map(|check| check["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_stands_in_the_way_is_found_before_anything_is_made() {
    for major in [13, 18] {
        let (work, _source) = Work::new(major);
        let target = Target::new(major, "obstacles");
        target.psql(
            "SELECT pg_create_logical_replication_slot('obstacle_slot', 'pgoutput');
             CREATE SUBSCRIPTION obstacle CONNECTION 'dbname=x' PUBLICATION p \
               WITH (connect = false, slot_name = NONE);
             BEGIN; INSERT INTO precious VALUES (11); PREPARE TRANSACTION 'obstacle';",
        );
        let refused = work.swap(&target, &[]).expect_code(6);
        let expected = ["replication", "prepared-transactions"].map(str::to_owned);
        assert_eq!(failed_checks(&refused), expected.into());
        for named in ["obstacle_slot", "obstacle"] {
            assert!(
                refused.stdout.contains(named),
                "{named}: {}",
                refused.stdout
            );
        }
        target.assert_nothing_beside();
        target.psql(
            "ROLLBACK PREPARED 'obstacle'; DROP SUBSCRIPTION obstacle;
             SELECT pg_drop_replication_slot('obstacle_slot');",
        );

        // A dry run says the same, and does nothing.
        let shown = run(pgstow()
            .args(["restore", "--swap", "--dry-run", "-d", &target.url()])
            .arg(work.archive()))
        .success();
        assert!(
            shown.stdout.contains("in one transaction"),
            "{}",
            shown.stdout
        );
        target.assert_nothing_beside();
        target.assert_untouched();

        // Neither CREATEDB nor the database is his.
        let url = target.url_as("swap_guest", None);
        let refused = run(&mut work.command(&url, &["--no-owner"])).expect_code(6);
        assert_eq!(
            failed_checks(&refused),
            BTreeSet::from(["privileges".to_owned()])
        );

        // A database that is not there, and one that nobody should replace.
        for (name, check) in [("no_such_database", "database"), ("template1", "database")] {
            let url = server(major).db(name).url();
            let refused = run(&mut work.command(&url, &[])).expect_code(6);
            assert!(failed_checks(&refused).contains(check), "{name}");
        }
    }
}

#[test]
fn an_owner_with_createdb_needs_no_superuser() {
    for major in [13, 18] {
        let (work, source) = Work::new(major);
        let target = Target::new(major, "managed");
        let name = target.name();
        target.psql(&format!(
            "ALTER DATABASE {name} OWNER TO swap_owner; REVOKE CONNECT ON DATABASE {name} FROM PUBLIC;"
        ));
        let before = properties(&target);
        let url = target.url_as("swap_owner", None);
        // Large objects keep their owner's number only for a superuser; all else is the same.
        let done = run(&mut work.command(&url, &["--no-owner", "--no-privileges"])).success();
        assert!(report(&done)["kept"].is_string());
        assert_eq!(properties(&target), before);
        assert_same_data(&source, &target);
    }
}

#[test]
fn a_restore_that_fails_leaves_the_old_one_and_nothing_else() {
    let (work, _source) = Work::new(18);
    let target = Target::new(18, "damaged");
    // A byte of a frame, well before the index at the end and behind the table of contents.
    let mut bytes = std::fs::read(work.archive()).unwrap();
    let frame = b"pgstow/data/";
    let at = bytes
        .windows(frame.len())
        .position(|window| window == frame)
        .map_or(bytes.len() / 2, |at| at + 1024);
    bytes[at] ^= 0x55;
    std::fs::write(work.archive(), &bytes).unwrap();
    let failed = work.swap(&target, &[]).expect_code(5);
    let said = failed.stdout + &failed.stderr;
    assert!(said.contains("is as it was, and nothing is left"), "{said}");
    target.assert_untouched();
    target.assert_nothing_beside();
}

/// Runs until this phase begins, and kills the process there.
fn kill_in(work: &Work, target: &Db, phase: &str) {
    let mut child = work
        .command(&target.url(), &["-j", "2"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let wanted = format!("\"name\":\"{phase}\"");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let found = lines.find_map(|line| {
        let line = line.unwrap();
        (line.contains("\"event\":\"phase\"") && line.contains(&wanted)).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(found.is_some(), "there is a phase {phase}");
}

#[test]
fn killed_at_any_step_the_old_database_stands_and_the_next_run_cleans_up() {
    for major in [13, 18] {
        let (work, source) = Work::new(major);
        let target = Target::new(major, "killed");
        for phase in ["preflight", "shadow", "connect", "data", "compare"] {
            kill_in(&work, &target, phase);
            target.assert_untouched();
        }
        // Somebody in the database keeps the renames waiting, in the middle of their transaction.
        let held = Held::session(&target);
        kill_in(&work, &target, "exchange");
        target.assert_untouched();
        drop(held);
        end_sessions(&target);
        work.swap(&target, &["--force"]).success();
        assert_same_data(&source, &target);
        let left = [target.beside("filling"), target.beside("filled")].concat();
        assert_eq!(left, [""; 0], "PostgreSQL {major}");
        assert_eq!(target.beside("kept").len(), 1);
    }
}

#[test]
fn two_runs_do_not_meet() {
    let (work, source) = Work::new(18);
    let target = Target::new(18, "twice");
    let mut first = work
        .command(&target.url(), &[])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(first.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("\"name\":\"shadow\"")));
    // It stands still, and its session holds the lock.
    let pid = first.id().to_string();
    run(Command::new("kill").args(["-STOP", &pid])).success();
    let refused = work.swap(&target, &[]).expect_code(6);
    assert!(refused.stderr.contains("another run"), "{}", refused.stderr);
    // Nor where the two were told different databases to work from.
    let elsewhere = ["--maintenance-db", "template1"];
    let refused = work.swap(&target, &elsewhere).expect_code(6);
    assert!(refused.stderr.contains("another run"), "{}", refused.stderr);
    target.assert_untouched();
    run(Command::new("kill").args(["-CONT", &pid])).success();
    for line in lines {
        line.unwrap();
    }
    assert_eq!(first.wait().unwrap().code(), Some(0));
    assert_same_data(&source, &target);
}

#[test]
fn nobody_is_asked_where_there_is_no_terminal() {
    let (work, _source) = Work::new(18);
    let target = Target::new(18, "consent");
    let mut asking = pgstow();
    asking
        .args(["restore", "--swap", "-d", &target.url()])
        .arg(work.archive());
    // A session without a terminal, wherever the test itself is run.
    let mut apart = Command::new("setsid");
    apart
        .arg("--wait")
        .arg(asking.get_program())
        .args(asking.get_args());
    let refused = run(&mut apart).expect_code(6);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    target.assert_untouched();
    target.assert_nothing_beside();

    // A countdown can be interrupted.
    let mut counting = pgstow();
    counting
        .args(["restore", "--swap", "--yes", "-d", &target.url()])
        .arg(work.archive())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = counting.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("10 seconds")));
    run(Command::new("kill").args(["-INT", &child.id().to_string()])).success();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    target.assert_untouched();
    target.assert_nothing_beside();
}

#[test]
fn a_typed_name_is_the_consent() {
    let (work, source) = Work::new(18);
    let target = Target::new(18, "typed");
    let mut asking = pgstow();
    asking
        .args(["restore", "--swap", "-d", &target.url()])
        .arg(work.archive());
    let words: Vec<String> = std::iter::once(asking.get_program())
        .chain(asking.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''")))
        .collect();
    let typed = |name: &str| {
        let mut on_terminal = Command::new("script");
        on_terminal.args(["-q", "-e", "-c", &words.join(" "), "/dev/null"]);
        support::run_with_input(&mut on_terminal, format!("{name}\n").as_bytes())
    };
    let refused = typed("another").expect_code(6);
    assert!(
        refused.stdout.contains("nothing was changed"),
        "{}",
        refused.stdout
    );
    target.assert_untouched();
    target.assert_nothing_beside();
    typed(target.name()).success();
    assert_same_data(&source, &target);
}

#[test]
fn options_that_contradict_a_swap_are_refused() {
    let wrong: [&[&str]; 9] = [
        &["--clean"],
        &["--create"],
        &["--resume"],
        &["--continue"],
        &["--data-only"],
        &["-t", "goods"],
        &["--allow-non-empty"],
        &["--section=pre-data"],
        &["--all-databases"],
    ];
    for options in wrong {
        run(pgstow()
            .args(["restore", "--swap", "-d", "x"])
            .args(options)
            .arg("archive"))
        .expect_code(2);
    }
    for options in [&["--maintenance-db", "x"][..], &["--no-delay"]] {
        run(pgstow()
            .args(["restore", "-d", "x"])
            .args(options)
            .arg("archive"))
        .expect_code(2);
    }
}

/// A repository with one backup of a source.
struct Backups {
    directory: tempfile::TempDir,
    source: Db,
}

impl Backups {
    fn new() -> Self {
        let backups = Self {
            directory: tempfile::tempdir().unwrap(),
            source: server(18).create_db("backed_up"),
        };
        backups.source.psql(SOURCE);
        backups
            .run("backup", &["-d", &backups.source.url()])
            .success();
        backups
    }

    fn command(&self, command: &str, options: &[&str]) -> Command {
        let mut pgstow = pgstow();
        pgstow
            .args([command, "--store"])
            .arg(self.directory.path())
            .args(options)
            .current_dir(self.directory.path());
        pgstow
    }

    fn run(&self, command: &str, options: &[&str]) -> Output {
        run(&mut self.command(command, options))
    }

    fn restore(&self, target: &Db, options: &[&str]) -> Output {
        let url = target.url();
        let given = [&["-d", &url, "--yes", "--no-delay", "--json"], options].concat();
        self.run("restore", &given)
    }

    fn id(&self) -> String {
        let listed = self.run("backups", &["--json"]).success().stdout;
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let id = listed["backups"][0]["id"].as_str();
        id.unwrap().to_owned()
    }

    /// The audit log's records of restores: how each ended.
    fn audited(&self) -> Vec<String> {
        let log = self.run("audit", &["--json"]).success().stdout;
        let log: Value = serde_json::from_str(&log).unwrap();
        let records = log["records"].as_array().unwrap().iter();
        let restores = records.filter(|record| record["action"] == "restore");
        restores
            .map(|record| record["verdict"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[test]
fn a_backup_is_restored_by_its_id_or_as_the_latest() {
    let backups = Backups::new();
    let server = server(18);
    let empty = server.create_db("by_latest");
    let done = backups.restore(&empty, &["latest"]).success();
    assert!(events(&done)[0]["preflight"]["checks"].is_array());
    assert_same_data(&backups.source, &empty);

    // It is not empty now; what is refused is in the audit log, too.
    let id = backups.id();
    let refused = backups.restore(&empty, &[&id]).expect_code(6);
    assert!(failed_checks(&refused).contains("empty"));
    let target = Target::new(18, "by_id");
    backups.restore(&target, &[&id, "--swap"]).success();
    assert_same_data(&backups.source, &target);
    // Without consent nothing is done.
    let other = server.create_db("by_nobody");
    let url = other.url();
    let mut apart = Command::new("setsid");
    let asking = backups.command("restore", &["-d", &url, "latest"]);
    apart
        .arg("--wait")
        .arg(asking.get_program())
        .args(asking.get_args());
    run(&mut apart).expect_code(6);
    assert_eq!(other.query_one("SELECT to_regclass('goods') IS NULL"), "t");
    // A dry run is no deed.
    backups
        .run("restore", &["-d", &url, "--dry-run", "latest"])
        .success();
    assert_eq!(backups.audited(), ["done", "refused", "done", "refused"]);

    // A file of that name wins.
    std::fs::write(
        backups.directory.path().join("latest"),
        "no archive\n".repeat(1000),
    )
    .unwrap();
    let mut plain = pgstow();
    plain
        .args(["restore", "-d", &url, "latest"])
        .current_dir(backups.directory.path());
    run(&mut plain).expect_code(5);
}

#[test]
fn a_backup_that_is_damaged_or_none_is_refused_with_the_way_out() {
    let backups = Backups::new();
    let id = backups.id();
    let archive = backups
        .directory
        .path()
        .join(format!("archives/{id}.pgstow"));
    let mut bytes = std::fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&archive, &bytes).unwrap();
    backups.run("verify", &["latest"]).expect_code(5);
    let target = Target::new(18, "unfit");
    let refused = backups.restore(&target, &["--swap", &id]).expect_code(6);
    let said = refused.stdout + &refused.stderr;
    assert!(said.contains("noted as damaged"), "{said}");
    assert!(said.contains("pgstow backups"), "{said}");
    // The newest that is whole: there is none.
    backups
        .restore(&target, &["--swap", "latest"])
        .expect_code(6);
    target.assert_untouched();
    target.assert_nothing_beside();
    assert_eq!(backups.audited(), ["refused"]);
}
