//! What must not work, from outside: each kind of bad input ends with its exit code and a message
//! that says what is wrong, and nothing half-done is left behind, neither a file nor a session nor
//! a row.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{
    Db, Output, Server, SmallDisk, assert_same_data, assert_same_schema, free_port, pgstow, run,
    run_with_input,
};

/// The names in a directory, hidden ones too.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|found| found.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Fails unless the program ended with this code and its standard error holds all these texts.
#[track_caller]
fn ends(command: &mut Command, code: i32, said: &[&str]) -> Output {
    let output = run(command).expect_code(code);
    assert_said(&output, said);
    output
}

#[track_caller]
fn assert_said(output: &Output, said: &[&str]) {
    for text in said {
        assert!(
            output.stderr.contains(text),
            "{}\ndid not say {text:?} but:\n{}",
            output.command,
            output.stderr
        );
    }
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
}

/// Number of objects of a user's own.
fn objects(db: &Db) -> String {
    db.query_one(
        "select (select count(*) from pg_class where oid >= 16384)
              + (select count(*) from pg_proc where oid >= 16384)
              + (select count(*) from pg_type where oid >= 16384)
              + (select count(*) from pg_namespace where oid >= 16384)
              + (select count(*) from pg_largeobject_metadata)",
    )
}

/// How long something that must happen may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until the query gives `wanted`.
#[track_caller]
fn wait_for(db: &Db, sql: &str, wanted: &str) {
    let began = Instant::now();
    loop {
        let found = db.query_one(sql);
        if found == wanted {
            return;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "still {found}, not {wanted}: {sql}\nsessions: {:?}",
            db.query_rows(
                "select application_name, state, wait_event, query from pg_stat_activity
                  where datname = current_database()"
            )
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sessions in this database but the one that asks.
const OTHERS: &str = "select count(*) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";

/// A session of psql that has run `sql` and stays as it is until dropped.
struct Holding(Child);

impl Holding {
    fn new(db: &Db, sql: &str) -> Self {
        use std::io::Write;
        let mut child = db
            .tool("psql")
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1"])
            .env("PGAPPNAME", "holding")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "{sql}").unwrap();
        Self(child)
    }

    /// Ends the session's transaction and the session.
    fn let_go(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program whose output is wanted later.
fn start(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The program, which ignores no signal: `nohup` around the tests has it ignore SIGHUP.
fn hearing_all() -> Command {
    let program = pgstow();
    let mut command = Command::new("env");
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .arg("--default-signal=HUP")
        .arg(program.get_program());
    command
}

fn interrupt(child: &Child) {
    run(Command::new("kill").args(["-INT", &child.id().to_string()])).success();
}

/// Waits for the end of a program that says little. Kills it and panics when it takes too long.
#[track_caller]
fn ended(mut child: Child, code: i32) -> String {
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() >= PATIENCE {
            let _ = child.kill();
            let output = child.wait_with_output().unwrap();
            panic!(
                "it does not end: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(status.code(), Some(code), "{said}");
    said
}

/// A database with tables in both COPY formats, a large object, an index, a view.
fn small(server: &Arc<Server>) -> Db {
    let db = server.create_db("small");
    db.psql(
        "create schema s;
         create table s.numbers (id int primary key, v text, at timestamptz default now());
         insert into s.numbers select i, 'value ' || i from generate_series(1, 3000) i;
         create table public.named (o regclass, r regproc);
         insert into public.named values ('s.numbers', 'now'), (null, null);
         create index on s.numbers (v);
         create view s.some as select * from s.numbers where id < 10;
         select lo_from_bytea(4711, decode(repeat('c0ffee', 5000), 'hex'));",
    );
    db
}

/// A directory with an archive of the database in it.
fn archived(db: &Db, options: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.pgstow");
    run(pgstow()
        .args(["dump", "-j2", "-d", &db.url(), "-f"])
        .arg(&file)
        .args(options))
    .success();
    assert_eq!(names(dir.path()), ["a.pgstow"]);
    (dir, file)
}

/// Runs the three commands that connect: a dump into `dir`, a restore, a comparison.
fn each_that_connects(
    conninfo: &str,
    archive: &Path,
    dir: &Path,
    mut check: impl FnMut(&mut Command),
) {
    let before = names(dir);
    check(
        pgstow()
            .args(["dump", "-w", "-d", conninfo, "-f"])
            .arg(dir.join("new.pgstow")),
    );
    check(
        pgstow()
            .args(["restore", "-w", "-d", conninfo])
            .arg(archive),
    );
    check(
        pgstow()
            .args(["verify", "-w", "--against", conninfo])
            .arg(archive),
    );
    assert_eq!(names(dir), before);
}

/// A database that lets everything in may have definitions in any encoding, or in none.
#[test]
fn definitions_in_another_encoding() {
    const OPTIONS: &str = "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'";
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("a.pgstow");
    for major in [13, 18] {
        let server = Server::start(major);
        let db = server.create_db_with("ascii", OPTIONS);
        db.load_fixture("encoding-sql-ascii");
        run(pgstow().args(["dump", "-w", &db.url(), "-f"]).arg(&archive)).success();
        run(pgstow().arg("verify").arg(&archive)).success();
        let list = run(pgstow().arg("list").arg(&archive)).success();
        assert!(list.stdout.contains("U&\"s\\0000é\""), "{}", list.stdout);

        let restored = server.create_db_with("ascii_restored", OPTIONS);
        let restore = |target: &Db, options: &[&str]| {
            let mut command = pgstow();
            command.args(["restore", "-w", "-d", &target.url()]);
            command.args(options).arg(&archive);
            command
        };
        run(&mut restore(&restored, &[])).success();
        assert_same_schema(&db, &restored);
        assert_same_data(&db, &restored);
        let against = ["verify", "-w", "--against", &restored.url()];
        run(pgstow().args(against).arg(&archive)).success();

        // As a script, through psql.
        let script = run(pgstow().arg("sql").arg(&archive))
            .success()
            .stdout_bytes;
        let by_psql = server.create_db_with("ascii_script", OPTIONS);
        let mut psql = by_psql.tool("psql");
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        run_with_input(&mut psql, &script).success();
        assert_same_schema(&db, &by_psql);
        assert_same_data(&db, &by_psql);
        if major == 13 {
            continue;
        }

        let copied = server.create_db_with("ascii_copied", OPTIONS);
        let urls = [db.url(), copied.url()];
        run(pgstow().args(["copy", "-w"]).args(urls)).success();
        assert_same_schema(&db, &copied);

        // One of them by a pattern: a byte is a character to it.
        let chosen = ["-t", "s?.parent*"];
        let some = dir.path().join("some.pgstow");
        let mut dump = pgstow();
        run(dump
            .args(["dump", "-w", &db.url()])
            .args(chosen)
            .arg("-f")
            .arg(&some))
        .success();
        let list = run(pgstow().arg("list").arg(&some)).success();
        assert!(list.stdout.contains("U&\"parent \\0000"), "{}", list.stdout);
        let filter = dir.path().join("filter");
        std::fs::write(&filter, b"include table fx_sql_ascii.\"part \xe9\"\n").unwrap();
        let mut listed = pgstow();
        let list = run(listed
            .arg("list")
            .arg("--filter")
            .arg(&filter)
            .arg(&archive))
        .success();
        assert!(
            list.stdout.contains("U&\"part \\0000é\""),
            "{}",
            list.stdout
        );
        assert!(!list.stdout.contains("parent"), "{}", list.stdout);

        // Another encoding takes what is text in it, and refuses the rest.
        let utf8 = server.create_db("utf8");
        ends(
            &mut restore(&utf8, &[]),
            1,
            &[
                "SCHEMA s\u{fffd}",
                "invalid byte sequence for encoding \"UTF8\"",
                "createdb -T template0 -E SQL_ASCII",
            ],
        );
        let latin1 = "TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'";
        let latin1 = server.create_db_with("latin1", latin1);
        run(&mut restore(&latin1, &["-s"])).success();
        let schemas =
            latin1.query_one("select count(*) from pg_namespace where nspname = U&'s\\00e9'");
        assert_eq!(schemas, "1");
    }
}

/// Names of roles belong to the whole server, which does not know their encoding.
#[test]
fn a_role_in_another_encoding() {
    let server = Server::builder(18).start();
    let ascii = server.create_db_with(
        "role_maker",
        "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'",
    );
    ascii.psql(
        "set client_encoding = 'SQL_ASCII'; select format('create role %I', E'r\\xf6le') \\gexec\n\
         create table t (i int); select format('grant select on t to %I', E'r\\xf6le') \\gexec",
    );
    let db = server.create_db("role_seen");
    db.psql(
        "create table t (i int);
         do $$begin execute format('grant select on t to %I',
             (select rolname from pg_roles where rolname like 'r%le')); end$$",
    );
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("a.pgstow");
    for (db, options) in [
        (&ascii, "ENCODING 'SQL_ASCII' LOCALE 'C'"),
        (&db, "ENCODING 'UTF8'"),
    ] {
        let _ = std::fs::remove_file(&archive);
        run(pgstow().args(["dump", "-w", &db.url(), "-f"]).arg(&archive)).success();
        let target = server.create_db_with("role_target", &format!("TEMPLATE template0 {options}"));
        let mut restore = pgstow();
        restore
            .args(["restore", "-w", "-d", &target.url()])
            .arg(&archive);
        if options.contains("UTF8") {
            ends(
                &mut restore,
                1,
                &["public.t", "invalid byte sequence for encoding \"UTF8\""],
            );
        } else {
            run(&mut restore).success();
            assert_same_schema(db, &target);
        }
    }
}

#[test]
fn no_server() {
    let server = Server::start(18);
    let (dir, archive) = archived(&small(&server), &["-s"]);
    let port = free_port();
    let url = format!("postgres://postgres@127.0.0.1:{port}/x");
    each_that_connects(&url, &archive, dir.path(), |command| {
        ends(
            command,
            4,
            &[
                "error: connect to",
                "127.0.0.1",
                &port.to_string(),
                "refused",
            ],
        );
    });
    let url = "host=/nowhere user=postgres dbname=x";
    each_that_connects(url, &archive, dir.path(), |command| {
        ends(
            command,
            4,
            &["postgres@/nowhere:5432/x: no such socket", "hint: "],
        );
    });
    let url = "postgres://postgres@no-such-host.invalid/x";
    each_that_connects(url, &archive, dir.path(), |command| {
        ends(command, 4, &["no-such-host.invalid"]);
    });
}

#[test]
fn a_wrong_password_is_refused_and_never_shown() {
    const WRONG: &str = "Wr0ng-Secret";
    let server = Server::builder(18)
        .password("right")
        .hba("host all all 127.0.0.1/32 scram-sha-256")
        .start();
    let db = server.create_db("secret");
    db.psql("create table t (i int)");
    let (dir, archive) = archived(&db, &["-s"]);
    let silent = |output: &Output| {
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(!said.contains(WRONG), "{}: {said}", output.command);
    };
    let wrong = db.url_as("postgres", Some(WRONG));
    let without = db.url_as("postgres", None);
    let said = ["error: connect to", "password authentication failed"];
    each_that_connects(&wrong, &archive, dir.path(), |command| {
        silent(&ends(command, 4, &said));
        silent(&ends(command.arg("-v"), 4, &said));
    });
    each_that_connects(&wrong, &archive, dir.path(), |command| {
        let output = run(command.arg("--json")).expect_code(4);
        silent(&output);
        let last: serde_json::Value =
            serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
        assert_eq!(last["event"], "error");
        assert_eq!(last["exit_code"], 4);
        assert_eq!(last["sqlstate"], "28P01");
    });
    let passfile = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(passfile.path(), format!("*:*:*:*:{WRONG}\n")).unwrap();
    each_that_connects(&without, &archive, dir.path(), |command| {
        silent(&ends(command.env("PGPASSWORD", WRONG), 4, &said));
        let command = command
            .env_remove("PGPASSWORD")
            .env("PGPASSFILE", passfile.path());
        silent(&ends(command, 4, &said));
    });
    // None at all.
    each_that_connects(&without, &archive, dir.path(), |command| {
        ends(
            command.env("PGPASSFILE", "/nowhere/pgpass"),
            4,
            &["password"],
        );
    });
    // Nor does a password leak when something else is wrong with the string that holds it.
    for broken in [
        format!("postgres://postgres:{WRONG}@127.0.0.1:port/x"),
        format!("host=127.0.0.1 password={WRONG} no_such_keyword=1"),
        format!("host=127.0.0.1 dbname='x password={WRONG}"),
    ] {
        each_that_connects(&broken, &archive, dir.path(), |command| {
            silent(&run(command).expect_code(2));
        });
    }
    assert_eq!(objects(&db), {
        let empty = server.create_db("empty");
        empty.psql("create table t (i int)");
        objects(&empty)
    });
}

#[test]
fn a_missing_database_or_role() {
    let server = Server::start(18);
    let (dir, archive) = archived(&small(&server), &["-s"]);
    let missing = server.db("no such \"database\"");
    each_that_connects(&missing.url(), &archive, dir.path(), |command| {
        ends(
            command,
            4,
            &["database \"no such \"database\"\" does not exist"],
        );
    });
    let stranger = server.db("postgres").url_as("no such role", None);
    each_that_connects(&stranger, &archive, dir.path(), |command| {
        ends(command, 4, &["role \"no such role\" does not exist"]);
    });
    // One that is there and may not be entered.
    let closed = server.create_db("closed");
    server.psql(&format!(
        "create role bad_outsider login; revoke connect on database \"{}\" from public;",
        closed.name()
    ));
    let outsider = closed.url_as("bad_outsider", None);
    each_that_connects(&outsider, &archive, dir.path(), |command| {
        ends(command, 4, &["permission denied for database"]);
    });
    // And one that lets in the leader of a dump, but none of its workers.
    let narrow = small(&server);
    narrow.psql(
        "create role bad_single login connection limit 1;
         grant usage on schema s to bad_single;
         grant select on s.numbers, public.named to bad_single;",
    );
    let before = names(dir.path());
    ends(
        pgstow()
            .args(["dump", "-B", "-j2", "-f"])
            .arg(dir.path().join("b.pgstow"))
            .arg(narrow.url_as("bad_single", None)),
        4,
        &[
            "connect worker 1: ",
            "too many connections for role",
            "hint: ",
        ],
    );
    assert_eq!(names(dir.path()), before);
    narrow.psql("drop owned by bad_single; drop role bad_single, bad_outsider");
}

#[test]
fn what_may_not_be_read_is_named_and_nothing_is_dumped_without_it() {
    let server = Server::start(18);
    let db = server.create_db("denied");
    db.psql(
        "create role bad_reader login;
         create schema open; create schema closed; grant usage on schema open to bad_reader;
         create table open.fine (id int); insert into open.fine values (1);
         create table open.\"No Entry\" (id int); insert into open.\"No Entry\" values (1);
         create table closed.inside (id int);
         create table open.partly (id int, hidden int); grant select (id) on open.partly to bad_reader;
         create table open.rows_of_others (id int); alter table open.rows_of_others enable row level security;
         create policy p on open.rows_of_others using (id > 1); insert into open.rows_of_others values (1), (2);
         create sequence open.counter;
         grant select on open.fine, open.rows_of_others, closed.inside to bad_reader;
         select lo_from_bytea(4712, 'x');",
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.pgstow");
    // What was there before stays.
    std::fs::write(&file, "the old one").unwrap();
    let url = db.url_as("bad_reader", None);
    let dump = |more: &[&str]| {
        run(pgstow()
            .args(["dump", "-j2", "-d", &url, "-f"])
            .arg(&file)
            .args(more))
    };
    let untouched = || {
        assert_eq!(names(dir.path()), ["a.pgstow"]);
        assert_eq!(std::fs::read(&file).unwrap(), b"the old one");
    };
    let output = dump(&[]).expect_code(1);
    assert_said(
        &output,
        &[
            "permission denied for table",
            "open.\"No Entry\"",
            "open.partly",
            "closed.inside",
            "hint: grant SELECT",
        ],
    );
    assert!(!output.stderr.contains("open.fine"), "{}", output.stderr);
    untouched();
    // With each of these out of the way, the next thing is found.
    let mut more = vec![
        "-N",
        "closed",
        "-T",
        "open.\"No Entry\"",
        "-T",
        "open.partly",
    ];
    let output = dump(&more).expect_code(1);
    assert_said(&output, &["permission denied for sequence open.counter"]);
    untouched();
    db.psql("grant select on sequence open.counter to bad_reader");
    more.extend(["-T", "open.rows_of_others"]);
    let output = dump(&more).expect_code(1);
    assert_said(
        &output,
        &[
            "error: dump large objects: ",
            "permission denied for large object 4712",
            "--no-large-objects",
        ],
    );
    untouched();
    // Rows that a policy hides are not left out in silence.
    more.truncate(6);
    more.push("-B");
    let output = dump(&more).expect_code(1);
    assert_said(
        &output,
        &["dump table open.rows_of_others: ", "row-level security"],
    );
    untouched();
    more.extend(["-T", "open.rows_of_others"]);
    dump(&more).success();
    assert_ne!(std::fs::read(&file).unwrap(), b"the old one");
    let listed = run(pgstow().arg("list").arg(&file)).success();
    assert!(listed.stdout.contains("open.fine"), "{}", listed.stdout);
    db.psql("drop owned by bad_reader; drop role bad_reader");
}

/// The commands that read an archive, the restore into this database.
fn readers(target: &Db) -> Vec<Vec<String>> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    vec![
        words(&["verify"]),
        words(&["list"]),
        words(&["sql", "--schema-only"]),
        words(&["restore", "--dry-run"]),
        words(&["restore", "-j2", "-w", "-d", &target.url()]),
        words(&["restore", "-j2", "-w", "--continue", "-d", &target.url()]),
        words(&["verify", "-w", "--against", &target.url()]),
    ]
}

#[test]
fn an_archive_that_is_cut_does_not_touch_the_target() {
    let server = Server::start(18);
    let (dir, archive) = archived(&small(&server), &[]);
    let whole = std::fs::read(&archive).unwrap();
    let target = server.create_db("cut");
    let cut = dir.path().join("cut.pgstow");
    let members = members(&whole);
    let lengths = [
        0,
        1,
        511,
        512,
        whole.len() - 512,
        whole.len() - 1024,
        whole.len() - 1,
    ]
    .into_iter()
    // In the middle of each member, and at its end.
    .chain(members.iter().flat_map(|m| [(m.from + m.to) / 2, m.to]))
    .collect::<Vec<_>>();
    for length in lengths {
        std::fs::write(&cut, &whole[..length]).unwrap();
        let output = ends(
            pgstow()
                .args(["restore", "-j2", "-d", &target.url()])
                .arg(&cut),
            5,
            &["error: "],
        );
        assert!(
            output.stderr.contains("archive"),
            "{length}: {}",
            output.stderr
        );
    }
    // One place for the other commands, and for a disk that holds zeros from there on.
    let mut zeros = whole.clone();
    zeros[whole.len() / 2..].fill(0);
    for damaged in [&whole[..whole.len() / 2], &zeros] {
        std::fs::write(&cut, damaged).unwrap();
        for reader in readers(&target) {
            ends(pgstow().args(reader).arg(&cut), 5, &["archive"]);
        }
        let script = dir.path().join("script.sql");
        ends(
            pgstow().args(["sql", "-s", "-f"]).arg(&script).arg(&cut),
            5,
            &["archive"],
        );
    }
    assert_eq!(objects(&target), "0");
    assert_eq!(names(dir.path()), ["a.pgstow", "cut.pgstow"]);
    // From a pipe nobody can know at the start; it is told at the end all the same.
    for length in [whole.len() / 2, whole.len() - 1025] {
        let output =
            run_with_input(pgstow().args(["verify", "-"]), &whole[..length]).expect_code(5);
        assert_said(&output, &["archive"]);
    }
    let piped = server.create_db("piped");
    let output = run_with_input(
        pgstow().args(["restore", "-j2", "-d", &piped.url(), "-"]),
        &whole[..whole.len() - 1025],
    )
    .expect_code(5);
    assert_said(&output, &["archive"]);
    assert!(!output.stderr.contains("restored"), "{}", output.stderr);
}

/// A member of an archive: its name, and where its content is.
struct Member {
    name: String,
    from: usize,
    to: usize,
}

fn members(archive: &[u8]) -> Vec<Member> {
    let mut members = Vec::new();
    let mut at = 0;
    while archive[at] != 0 {
        let text = |from: usize, length: usize| {
            let field = &archive[at + from..at + from + length];
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(length);
            String::from_utf8(field[..end].to_vec()).unwrap()
        };
        let size = usize::from_str_radix(text(124, 12).trim(), 8).unwrap();
        let name = match text(345, 155) {
            prefix if prefix.is_empty() => text(0, 100),
            prefix => format!("{prefix}/{}", text(0, 100)),
        };
        members.push(Member {
            name,
            from: at + 512,
            to: at + 512 + size,
        });
        at += 512 + size.next_multiple_of(512);
    }
    members
}

#[test]
fn a_flipped_byte_in_any_member() {
    let server = Server::start(18);
    let source = small(&server);
    let (dir, archive) = archived(&source, &[]);
    let whole = std::fs::read(&archive).unwrap();
    let damaged = dir.path().join("damaged.pgstow");
    let mut kinds = std::collections::BTreeSet::new();
    for member in members(&whole) {
        let mut bytes = whole.clone();
        bytes[(member.from + member.to) / 2] ^= 0x20;
        std::fs::write(&damaged, &bytes).unwrap();
        let name = member.name.as_str();
        let kind = match name.split('/').next().unwrap() {
            "data" if name.ends_with("complete.json") => "complete",
            "data" if name.contains(".copybin") => "binary rows",
            "data" => "text rows",
            "blobs" if name.ends_with("complete.json") => "complete blobs",
            "blobs" => "blobs",
            "statistics" if name.ends_with("complete.json") => "complete statistics",
            "statistics" => "statistics",
            _ => name,
        };
        let verified = run(pgstow().arg("verify").arg(&damaged)).expect_code(5);
        let said = match kind {
            "binary rows" => "s.numbers",
            "text rows" => "public.named",
            "pgstow/trailer" => "trailer",
            _ => name,
        };
        assert_said(&verified, &[said]);
        run_with_input(pgstow().args(["verify", "-"]), &bytes).expect_code(5);

        let target = server.create_db("flip");
        let restored = run(pgstow()
            .args(["restore", "-j2", "-d", &target.url()])
            .arg(&damaged));
        match kind {
            // What is there for people, and for `sha256sum`, a restore does not read.
            "README.txt" | "SHA256SUMS" | "complete" | "complete blobs" | "complete statistics" => {
                restored.success();
                assert_same_schema(&source, &target);
                assert_same_data(&source, &target);
            }
            _ if name.starts_with("schema/") => {
                restored.success();
                assert_same_schema(&source, &target);
                assert_same_data(&source, &target);
            }
            // They come last: all else is there.
            "statistics" => {
                assert_said(&restored.expect_code(5), &["STATISTICS DATA", "--resume"]);
                // A whole copy of the archive could go on.
                target.psql("drop schema \"pgstow restore journal\" cascade");
                assert_same_schema(&source, &target);
                assert_same_data(&source, &target);
            }
            "binary rows" | "text rows" | "blobs" => {
                let restored = restored.expect_code(5);
                let (entry, rows) = match kind {
                    "binary rows" => ("TABLE DATA s.numbers", "select count(*) from s.numbers"),
                    "text rows" => (
                        "TABLE DATA public.named",
                        "select count(*) from public.named",
                    ),
                    _ => ("4711", "select count(*) from pg_largeobject"),
                };
                assert_said(&restored, &[entry]);
                assert_eq!(target.query_one(rows), "0", "{kind}");
                wait_for(&target, OTHERS, "0");
                // Also where failures are collected, and from a pipe.
                let options = ["restore", "-j2", "--continue", "-d"];
                let other = server.create_db("flip");
                run(pgstow().args(options).arg(other.url()).arg(&damaged)).expect_code(5);
                assert_eq!(other.query_one(rows), "0", "{kind}");
                let other = server.create_db("flip");
                let mut piped = pgstow();
                piped.args(options).arg(other.url()).arg("-");
                let piped = run_with_input(&mut piped, &bytes);
                assert_said(&piped.expect_code(5), &[entry]);
                assert_eq!(other.query_one(rows), "0", "{kind}");
            }
            _ => {
                assert_said(&restored.expect_code(5), &[said]);
                assert_eq!(objects(&target), "0", "{kind}");
            }
        }
        kinds.insert(kind.to_owned());
    }
    let expected = [
        "README.txt",
        "SHA256SUMS",
        "binary rows",
        "blobs",
        "complete",
        "complete blobs",
        "complete statistics",
        "pgstow/archive.json",
        "pgstow/index.jsonl.zst",
        "pgstow/toc.jsonl.zst",
        "pgstow/trailer",
        "schema/load.sh.zst",
        "schema/post-data.sql.zst",
        "schema/pre-data.sql.zst",
        "statistics",
        "text rows",
    ];
    assert_eq!(kinds.iter().collect::<Vec<_>>(), expected);
}

#[test]
fn what_is_no_archive() {
    let server = Server::start(18);
    let source = small(&server);
    let target = server.create_db("none");
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(
        path("text"),
        "select 'some dump of another kind';\n".repeat(500),
    )
    .unwrap();
    std::fs::write(path("short"), "x").unwrap();
    std::fs::write(path("empty"), "").unwrap();
    std::fs::write(path("zeros"), vec![0; 10_240]).unwrap();
    run(Command::new("gzip").arg("-k").arg(path("text"))).success();
    run(Command::new("tar")
        .args(["-cf", "tar", "text", "empty"])
        .current_dir(dir.path()))
    .success();
    run(source
        .tool("pg_dump")
        .args(["-Fc", "-f"])
        .arg(path("custom")))
    .success();
    run(source
        .tool("pg_dump")
        .args(["-s", "-Fd", "-f"])
        .arg(path("directory")))
    .success();
    ends(
        pgstow().arg("list").arg(path("directory")),
        7,
        &["in pg_dump's format", "hint: pg_restore reads it"],
    );
    for name in [
        "text", "short", "empty", "zeros", "text.gz", "tar", "custom",
    ] {
        let bytes = std::fs::read(path(name)).unwrap();
        for reader in readers(&target) {
            ends(pgstow().args(&reader).arg(path(name)), 5, &["archive"]);
            if reader.iter().any(|word| word == "--against") {
                continue;
            }
            let output = run_with_input(pgstow().args(&reader).arg("-"), &bytes).expect_code(5);
            assert_said(&output, &["archive"]);
        }
    }
    assert_eq!(objects(&target), "0");
}

#[test]
fn a_format_that_is_newer_than_this_program() {
    let target = Server::start(18).create_db("newer");
    let newer =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/malformed/newer-version.pgstow");
    let said = "the archive needs a reader of format version 4, and this one knows version 3";
    for reader in readers(&target) {
        ends(pgstow().args(reader).arg(&newer), 5, &[said]);
    }
    assert_eq!(objects(&target), "0");
}

#[test]
fn a_target_that_is_not_empty() {
    let server = Server::start(18);
    let source = small(&server);
    let (_dir, archive) = archived(&source, &[]);
    let target = server.create_db("taken");
    target.psql("create table \"Old\ttable\" (i int); insert into \"Old\ttable\" values (1)");
    let before = objects(&target);
    for options in [&[][..], &["--continue"], &["-s"], &["--section=pre-data"]] {
        ends(
            pgstow()
                .args(["restore", "-j2", "-d", &target.url()])
                .args(options)
                .arg(&archive),
            6,
            &[
                "is not empty: it holds table",
                "Old table",
                "hint: ",
                "--create",
                "--clean --if-exists",
                "--allow-non-empty",
            ],
        );
    }
    assert_eq!(objects(&target), before);
    // The way out that was named.
    run(pgstow()
        .args(["restore", "-j2", "--allow-non-empty", "-d", &target.url()])
        .arg(&archive))
    .success();
    assert_eq!(target.query_one("select count(*) from s.numbers"), "3000");
    assert_eq!(target.query_one("select count(*) from \"Old\ttable\""), "1");
    // One that somebody has set to read-only, whatever else is allowed; and the way out that is named.
    let guarded = server.create_db("guarded");
    let name = guarded.name();
    guarded.psql(&format!(
        "alter database \"{name}\" set default_transaction_read_only = on"
    ));
    for options in [&[][..], &["--allow-non-empty"], &["--clean", "--if-exists"]] {
        ends(
            pgstow()
                .args(["restore", "-j2", "-d", &guarded.url()])
                .args(options)
                .arg(&archive),
            6,
            &["is set to read-only", "hint: ", "PGOPTIONS="],
        );
    }
    assert_eq!(objects(&guarded), "0");
    run(pgstow()
        .args(["restore", "-j2", "-d", &guarded.url()])
        .arg(&archive)
        .env("PGOPTIONS", "-c default_transaction_read_only=off"))
    .success();
    assert_eq!(guarded.query_one("select count(*) from s.numbers"), "3000");
    // A database that --create would make and that is there.
    let output = ends(
        pgstow()
            .args(["restore", "--create", "-d", &server.db("postgres").url()])
            .arg(&archive),
        6,
        &["already exists", "hint: "],
    );
    assert!(output.stderr.contains(source.name()), "{}", output.stderr);
}

#[test]
fn a_full_disk_leaves_nothing_that_looks_whole() {
    let server = Server::start(18);
    let db = server.create_db("disk");
    // Random enough that it does not fit, in one table and in many.
    db.psql(
        "create table t as select i, gen_random_uuid() a, gen_random_uuid() b from generate_series(1, 60000) i;",
    );
    let disk = SmallDisk::new(1 << 20);
    let file = disk.path().join("a.pgstow");
    std::fs::write(&file, "the old one").unwrap();
    ends(
        pgstow()
            .args(["dump", "-j2", "-d", &db.url(), "-f"])
            .arg(&file),
        7,
        &["error: write ", "a.pgstow", "no space left on device"],
    );
    assert_eq!(names(disk.path()), ["a.pgstow"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"the old one");
    wait_for(&db, OTHERS, "0");
    // Full before the first byte.
    std::fs::write(disk.path().join("ballast"), vec![1; 2 << 20]).unwrap_err();
    ends(
        pgstow()
            .args(["dump", "-s", "-d", &db.url(), "-f"])
            .arg(disk.path().join("b.pgstow")),
        7,
        &["b.pgstow", "no space left on device"],
    );
    assert_eq!(names(disk.path()), ["a.pgstow", "ballast"]);
    std::fs::remove_file(disk.path().join("ballast")).unwrap();
    // A limit on the size of files, of which the system tells by a signal.
    let limited = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "ulimit -f 200; exec \"$@\"", "sh"])
        .arg(pgstow().get_program())
        .args(["dump", "-j2", "-d", &db.url(), "-f"])
        .arg(limited.path().join("c.pgstow"));
    ends(&mut shell, 7, &["c.pgstow", "file too large"]);
    assert_eq!(names(limited.path()), [""; 0]);
    // Redirected by the shell: what is there then is no whole archive.
    let redirected = disk.path().join("redirected");
    let out = std::fs::File::create(&redirected).unwrap();
    let mut child = pgstow();
    child
        .args(["dump", "-j2", "-d", &db.url(), "-f", "-"])
        .stdout(out)
        .stderr(Stdio::piped());
    let output = child.output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("no space left on device"), "{said}");
    ends(pgstow().arg("verify").arg(&redirected), 5, &["archive"]);
    std::fs::remove_file(&redirected).unwrap();
    // A script has the same right to a whole file.
    let (_dir, archive) = archived(&db, &["--copy-format=text"]);
    ends(
        pgstow()
            .args(["sql", "-f"])
            .arg(disk.path().join("script.sql"))
            .arg(&archive),
        7,
        &["script.sql", "no space left on device"],
    );
    assert_eq!(names(disk.path()), ["a.pgstow"]);
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = pgstow()
        .arg("list")
        .arg(&archive)
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn files_that_are_not_there() {
    let server = Server::start(18);
    let target = server.create_db("files");
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.pgstow");
    for reader in readers(&target) {
        ends(
            pgstow().args(&reader).arg(&missing),
            7,
            &[
                "error: open ",
                "missing.pgstow",
                "no such file or directory",
            ],
        );
        ends(
            pgstow().args(&reader).arg(dir.path()),
            7,
            &["it is a directory"],
        );
    }
    for place in ["nowhere/a.pgstow", "."] {
        ends(
            pgstow()
                .args(["dump", "-d", &target.url(), "-f"])
                .arg(dir.path().join(place)),
            7,
            &["error: create "],
        );
    }
    assert_eq!(names(dir.path()), [""; 0]);
    assert_eq!(objects(&target), "0");
}

#[test]
fn options_that_exclude_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    std::fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    for command in [
        &["dump", "-s", "-a", "-d", "x", "-f", file][..],
        &["restore", "-s", "-a", "-d", "x", file],
        &["sql", "-s", "-a", file],
    ] {
        ends(
            pgstow().args(command),
            2,
            &["-s/--schema-only and -a/--data-only"],
        );
    }
    for command in [
        &["dump", "-d", "x"][..],
        &["dump", "--frobnicate", "-d", "x", "-f", file],
        &["restore", file],
        &["verify"],
        &["restore", "--continue", "-e", "-d", "x", file],
    ] {
        run(pgstow().args(command)).expect_code(2);
    }
    assert_eq!(std::fs::read(file).unwrap(), b"");
}

/// A role that is gone when the archive is restored, and a function that the restored index calls.
fn troubled(server: &Arc<Server>, role: &str) -> (tempfile::TempDir, PathBuf) {
    let db = server.create_db("troubled");
    db.psql(&format!(
        "create role {role};
         create table fine (id int primary key); insert into fine select generate_series(1, 10);
         create table owned (id int); insert into owned values (1);
         alter table owned owner to {role};
         create function always_wrong(int) returns int immutable language sql return $1;
         create table broken (id int); insert into broken values (1);
         create index broken_index on broken (always_wrong(id));
         create or replace function always_wrong(int) returns int immutable language sql return 1 / ($1 - $1);",
    ));
    let (dir, file) = archived(&db, &[]);
    db.psql(&format!("drop owned by {role} cascade; drop role {role};"));
    (dir, file)
}

#[test]
fn a_failed_restore_names_the_entry_and_its_statement() {
    let server = Server::start(18);
    let (_dir, archive) = troubled(&server, "bad_gone_1");
    let target = server.create_db("failed");
    ends(
        pgstow()
            .args(["restore", "-j2", "-d", &target.url()])
            .arg(&archive),
        6,
        &["lacks what the archive names: role bad_gone_1", "hint: "],
    );
    assert_eq!(objects(&target), "0");
    ends(
        pgstow()
            .args(["restore", "-j2", "--no-owner", "-d", &target.url()])
            .arg(&archive),
        1,
        &[
            "error: restore INDEX public.broken broken_index: division by zero",
            "statement: CREATE INDEX broken_index ON public.broken",
        ],
    );
    wait_for(&target, OTHERS, "0");
    let target = server.create_db("failed");
    let output = run(pgstow()
        .args([
            "restore",
            "-j2",
            "--no-owner",
            "--json",
            "-d",
            &target.url(),
        ])
        .arg(&archive))
    .expect_code(1);
    let last: serde_json::Value =
        serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "error");
    assert_eq!(last["exit_code"], 1);
    assert_eq!(last["sqlstate"], "22012");
    assert_eq!(
        last["error"],
        "restore INDEX public.broken broken_index: division by zero"
    );
    assert!(
        last["statement"]
            .as_str()
            .unwrap()
            .starts_with("CREATE INDEX broken_index ON public.broken"),
        "{last}"
    );
}

#[test]
fn going_on_ends_with_3_and_a_list() {
    let server = Server::start(18);
    let (_dir, archive) = troubled(&server, "bad_gone_2");
    let target = server.create_db("goon");
    let output = ends(
        pgstow()
            .args(["restore", "-j2", "--continue", "-d", &target.url()])
            .arg(&archive),
        3,
        &[
            "failed: TABLE public.owned: ",
            "role \"bad_gone_2\" does not exist",
            "statement: ALTER TABLE public.owned OWNER TO bad_gone_2",
            "failed: INDEX public.broken broken_index: ",
            "division by zero",
            "statement: CREATE INDEX broken_index",
            "restored in part: 2 failed",
        ],
    );
    assert!(!output.stderr.contains("public.fine"), "{}", output.stderr);
    for (table, rows) in [("fine", "10"), ("owned", "1"), ("broken", "1")] {
        assert_eq!(
            target.query_one(&format!("select count(*) from {table}")),
            rows
        );
    }
    assert_eq!(
        target.query_one(
            "select count(*) from pg_constraint where conrelid = 'fine'::regclass and contype = 'p'"
        ),
        "1"
    );
    let target = server.create_db("goon");
    let output = run(pgstow()
        .args([
            "restore",
            "-j2",
            "--continue",
            "--json",
            "-d",
            &target.url(),
        ])
        .arg(&archive))
    .expect_code(3);
    let events: Vec<serde_json::Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let failed = events.iter().filter(|e| e["event"] == "entry_failed");
    assert_eq!(failed.count(), 2, "{}", output.stdout);
    let last = events.last().unwrap();
    assert_eq!(last["event"], "done");
    assert_eq!(last["exit_code"], 3);
    assert_eq!(last["report"]["failed"].as_array().unwrap().len(), 2);
}

/// Sessions of a dump, each of whose names must begin with `pgstow`.
const OURS: &str = "select count(*) from pg_stat_activity where datname = current_database()
    and application_name like 'pgstow%'";

#[test]
fn a_dump_that_waits_for_a_lock() {
    let server = Server::start(18);
    let db = small(&server);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.pgstow");
    let dump = || {
        let mut command = pgstow();
        command
            .args(["dump", "-j2", "-d", &db.url(), "-f"])
            .arg(&file);
        command
    };
    let waiting = "select count(*) from pg_stat_activity where datname = current_database()
        and application_name like 'pgstow%' and wait_event_type = 'Lock'";
    let held = "select count(*) from pg_locks where relation = 's.numbers'::regclass
        and mode = 'AccessExclusiveLock' and granted";
    let holding = Holding::new(&db, "begin; lock table s.numbers in access exclusive mode;");
    wait_for(&db, held, "1");

    // Time is up.
    let pid = db.query_one("select pid from pg_stat_activity where application_name = 'holding' and datname = current_database()");
    ends(
        dump().arg("--lock-wait-timeout=200ms"),
        1,
        &[
            "error: ",
            "could not lock table s.numbers within 200 ms",
            &format!("process {pid} has or awaits an exclusive lock"),
            "hint: ",
        ],
    );
    assert_eq!(names(dir.path()), [""; 0]);

    // Interrupted while it waits.
    let child = start(&mut dump());
    wait_for(&db, waiting, "1");
    assert_eq!(db.query_one(OURS), "2");
    interrupt(&child);
    assert!(ended(child, 130).contains("interrupted"));
    wait_for(&db, OURS, "0");
    assert_eq!(names(dir.path()), [""; 0]);

    // In the end it gets the lock.
    let child = start(&mut dump());
    wait_for(&db, waiting, "1");
    holding.let_go();
    ended(child, 0);
    run(pgstow().arg("verify").arg(&file)).success();
    // The user's own name for it is left alone.
    let holding = Holding::new(&db, "begin; lock table s.numbers in access exclusive mode;");
    wait_for(&db, held, "1");
    let child = start(dump().env("PGAPPNAME", "nightly"));
    wait_for(
        &db,
        "select coalesce(string_agg(application_name, ','), '') from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'",
        "nightly",
    );
    interrupt(&child);
    ended(child, 130);
    drop(holding);
}

/// Somebody queues for an exclusive lock after the leader got its own: workers neither wait
/// behind him for ever nor read the table unlocked; the leader reads it.
#[test]
fn a_dump_in_whose_way_an_exclusive_lock_is_queued() {
    let server = Server::start(18);
    let db = server.create_db("queued");
    db.psql(
        "create table a (i int); insert into a values (1); create table z (i int); insert into z values (1);",
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.pgstow");
    // The leader gets `a`, waits for `z`; meanwhile another session queues behind it for `a`.
    let holds_z = Holding::new(&db, "begin; lock table z in access exclusive mode;");
    let locks = |table: &str, granted: bool| {
        format!(
            "select count(*) from pg_locks where relation = '{table}'::regclass
              and mode = 'AccessExclusiveLock' and granted = {granted}"
        )
    };
    wait_for(&db, &locks("z", true), "1");
    let child = start(
        pgstow()
            .args(["dump", "-j2", "-d", &db.url(), "-f"])
            .arg(&file),
    );
    wait_for(
        &db,
        "select count(*) from pg_locks l join pg_stat_activity s using (pid)
          where relation = 'a'::regclass and mode = 'AccessShareLock' and granted
            and s.application_name like 'pgstow%' and s.wait_event_type = 'Lock'",
        "1",
    );
    let wants_a = Holding::new(&db, "alter table a add column more int;");
    wait_for(&db, &locks("a", false), "1");
    holds_z.let_go();
    let said = ended(child, 0);
    assert!(
        said.contains("exclusive lock on table public.a or an index of it"),
        "{said}"
    );
    wait_for(&db, OURS, "0");
    let target = server.create_db("queued");
    run(pgstow().args(["restore", "-d", &target.url()]).arg(&file)).success();
    assert_eq!(
        target.query_one("select string_agg(a::text, '') from a"),
        "(1)"
    );
    // The other one got what he waited for.
    wants_a.let_go();
    assert_eq!(
        db.query_one(
            "select count(*) from pg_attribute where attrelid = 'a'::regclass and attname = 'more'"
        ),
        "1"
    );
}

#[test]
fn interrupted_in_the_middle_of_a_dump() {
    let server = Server::start(18);
    let db = server.create_db("interrupted");
    // Two large tables, and one whose rows never come: its COPY has a condition that sleeps.
    db.psql(
        "create table one as select i, repeat(md5(i::text), 4) t from generate_series(1, 200000) i;
         create table two as select * from one;
         create schema fx_settings;
         create extension pgstow_settings;
         insert into fx_settings.users_rows (id, v) values (2, 'mine');
         set allow_system_table_mods = on;
         update pg_extension set extcondition[2] = 'WHERE pg_catalog.pg_sleep(600) IS NOT NULL'
          where extname = 'pgstow_settings';",
    );
    let asleep = "select count(*) from pg_stat_activity where datname = current_database()
        and application_name like 'pgstow%' and wait_event = 'PgSleep'";
    for signal in ["-INT", "-TERM", "-HUP"] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.pgstow");
        let child = start(
            hearing_all()
                .args(["dump", "-j3", "-d", &db.url(), "-f"])
                .arg(&file),
        );
        wait_for(&db, asleep, "1");
        // Some of it is on disk, under another name.
        let began = Instant::now();
        while !std::fs::read_dir(dir.path()).unwrap().any(|found| {
            let found = found.unwrap();
            assert!(found.file_name().to_string_lossy().ends_with(".partial"));
            found.metadata().unwrap().len() > 100_000
        }) {
            assert!(began.elapsed() < PATIENCE, "nothing is written");
            std::thread::sleep(Duration::from_millis(5));
        }
        // Leader and workers, all under our name.
        let sessions = db.query_rows(
            "select application_name from pg_stat_activity where datname = current_database()
              and pid <> pg_backend_pid() and backend_type = 'client backend' order by 1",
        );
        assert!(sessions.len() > 1, "{sessions:?}");
        for session in &sessions {
            assert!(
                session[0].as_ref().unwrap().starts_with("pgstow"),
                "{sessions:?}"
            );
        }
        run(Command::new("kill").args([signal, &child.id().to_string()])).success();
        let said = ended(child, 130);
        assert!(said.contains("error: dump: interrupted"), "{said}");
        assert_eq!(names(dir.path()), [""; 0]);
        wait_for(&db, OTHERS, "0");
    }
    // Through a pipe: what came out is no whole archive, and the other end says so.
    let mut child = pgstow()
        .args(["dump", "-j3", "-d", &db.url(), "-f", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let other_end = pgstow()
        .args(["verify", "-"])
        .stdin(child.stdout.take().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(&db, asleep, "1");
    interrupt(&child);
    ended(child, 130);
    assert!(ended(other_end, 5).contains("archive"));
    wait_for(&db, OTHERS, "0");
}

/// A connection that ends in the middle is no success, whoever's it is.
#[test]
fn sessions_that_are_lost() {
    let server = Server::start(18);
    let db = server.create_db("lost");
    // A COPY that waits until it is let through. (Not for a lock: workers do not wait long for one.)
    db.psql(
        "create table fine as select i from generate_series(1, 1000) i;
         create function gate() returns boolean language plpgsql as
           $$ begin
             while exists (select from pg_catalog.pg_locks where locktype = 'advisory' and objid = 77) loop
               perform pg_catalog.pg_sleep(0.05);
             end loop;
             return true; end $$;
         create schema fx_settings;
         create extension pgstow_settings;
         insert into fx_settings.users_rows (id, v) values (2, 'mine');
         set allow_system_table_mods = on;
         update pg_extension set extcondition[2] = 'WHERE id = 2 AND public.gate()'
          where extname = 'pgstow_settings';",
    );
    let stuck = "select count(*) from pg_stat_activity where datname = current_database()
        and application_name like 'pgstow worker%' and wait_event = 'PgSleep'";
    let end = |which: &str| {
        db.query_one(&format!(
            "select pg_terminate_backend(pid) from pg_stat_activity
              where datname = current_database() and application_name like 'pgstow%' and {which}"
        ))
    };
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("a.pgstow");
    let dump = || {
        let child = start(
            pgstow()
                .args(["dump", "-j2", "-d", &db.url(), "-f"])
                .arg(&archive),
        );
        wait_for(&db, stuck, "1");
        child
    };
    let gate = "select pg_advisory_lock(77);";
    let shut = "select count(*) from pg_locks where locktype = 'advisory' and granted
        and database = (select oid from pg_database where datname = current_database())";

    // A worker's: another takes its place, and the archive has every row once.
    let holding = Holding::new(&db, gate);
    wait_for(&db, shut, "1");
    let child = dump();
    end("wait_event = 'PgSleep'");
    wait_for(&db, stuck, "0");
    wait_for(&db, stuck, "1");
    holding.let_go();
    let said = ended(child, 0);
    assert!(
        said.contains("read again under the same snapshot"),
        "{said}"
    );
    wait_for(&db, OURS, "0");
    run(pgstow()
        .arg("verify")
        .arg(&archive)
        .args(["--against", &db.url()]))
    .success();
    std::fs::remove_file(&archive).unwrap();

    // The leader's: its snapshot and its locks are gone, so what the workers read proves nothing.
    let holding = Holding::new(&db, gate);
    wait_for(&db, shut, "1");
    let child = dump();
    end("state = 'idle in transaction' and application_name = 'pgstow dump'");
    wait_for(
        &db,
        "select count(*) from pg_stat_activity where datname = current_database()
            and application_name = 'pgstow dump'",
        "0",
    );
    holding.let_go();
    let said = ended(child, 1);
    assert!(
        said.contains("the session that held the snapshot and the locks was lost"),
        "{said}"
    );
    assert_eq!(names(dir.path()), [""; 0]);
    wait_for(&db, OURS, "0");
}

/// A reader that goes away leaves a dump with nothing to write to.
#[test]
fn a_pipe_whose_reader_goes_away() {
    let server = Server::start(18);
    let db = server.create_db("pipe");
    db.psql("create table t as select i, gen_random_uuid() u from generate_series(1, 100000) i");
    let mut child = start(pgstow().args(["dump", "-j2", "-d", &db.url(), "-f", "-"]));
    drop(child.stdout.take());
    let said = ended(child, 7);
    assert!(said.contains("error: write standard output"), "{said}");
    wait_for(&db, OTHERS, "0");
}

/// What a role may not do in the target is told as what it tried.
#[test]
fn a_target_in_which_nothing_may_be_made() {
    let server = Server::start(18);
    let (_dir, archive) = archived(&small(&server), &["-s"]);
    let target = server.create_db("closed");
    target.psql("create role bad_maker login");
    ends(
        pgstow()
            .args([
                "restore",
                "--no-owner",
                "-d",
                &target.url_as("bad_maker", None),
            ])
            .arg(&archive),
        1,
        &[
            "error: restore SCHEMA s: permission denied for database",
            "statement: CREATE SCHEMA s",
        ],
    );
    assert_eq!(objects(&target), "0");
    target.psql("drop role bad_maker");
}

/// Passes connections on to a server, and gives out another version as the server's.
fn other_version(server: &Server, version: &'static str) -> u16 {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = server.port();
    let pass = |mut from: TcpStream, mut to: TcpStream, version: Option<&'static str>| {
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            let mut version = version;
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                let bytes = &mut buffer[..read];
                // The parameter's message: its name, a zero, its value, a zero. The replacement
                // is as long as the value.
                let name = b"server_version\0";
                if let Some(at) = bytes.windows(name.len()).position(|w| w == name)
                    && let Some(version) = version.take()
                {
                    let from = at + name.len();
                    let value = &mut bytes[from..from + version.len()];
                    value.copy_from_slice(version.as_bytes());
                    assert_eq!(bytes[from + version.len()], 0, "lengths differ");
                }
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Write);
        });
    };
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
            pass(
                client.try_clone().unwrap(),
                server.try_clone().unwrap(),
                None,
            );
            pass(server, client, Some(version));
        }
    });
    port
}

#[test]
fn a_server_of_another_version_than_any_known() {
    let server = Server::start(18);
    let version = server.db("postgres").query_one("show server_version");
    let minor = version.strip_prefix("18").unwrap();
    let named = |major: u32| -> &'static str { Box::leak(format!("{major}{minor}").into()) };
    let source = small(&server);
    let (dir, archive) = archived(&source, &[]);
    let url = |port: u16, db: &Db| format!("postgres://postgres@127.0.0.1:{port}/{}", db.name());

    // Newer: a word of warning, and everything works as with the newest that is known.
    let newer = other_version(&server, named(19));
    let dumped = dir.path().join("newer.pgstow");
    ends(
        pgstow()
            .args(["dump", "-j2", "-d", &url(newer, &source), "-f"])
            .arg(&dumped),
        0,
        &["warning: ", &format!("19{minor}"), "is newer than"],
    );
    let target = server.create_db("newer");
    ends(
        pgstow()
            .args(["restore", "-j2", "-d", &url(newer, &target)])
            .arg(&dumped),
        0,
        &["warning: ", &format!("19{minor}"), "is newer than"],
    );
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);
    run(pgstow()
        .args(["verify", "--against", &url(newer, &target)])
        .arg(&dumped))
    .success();
    // Its archive in an older server: that is said as well.
    let target = server.create_db("older");
    ends(
        pgstow()
            .args(["restore", "-j2", "-d", &target.url()])
            .arg(&dumped),
        0,
        &[
            "warning: the target is PostgreSQL 18",
            "older than the source's 19",
        ],
    );

    // Older than any that is supported: no guesses about its catalogs.
    let older = other_version(&server, named(12));
    let file = dir.path().join("older.pgstow");
    ends(
        pgstow()
            .args(["dump", "-d", &url(older, &source), "-f"])
            .arg(&file),
        6,
        &[
            "server version 12",
            "is older than the oldest supported major 13",
        ],
    );
    assert!(!file.exists());
    let target = server.create_db("oldest");
    ends(
        pgstow()
            .args(["restore", "-j2", "-d", &url(older, &target)])
            .arg(&archive),
        0,
        &["warning: PostgreSQL 12"],
    );
}

/// A server that takes connections and says nothing, and pipes without another end.
#[test]
fn interrupted_while_nothing_comes() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "postgres://postgres@127.0.0.1:{}/x",
        silent.local_addr().unwrap().port()
    );
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/archives/v1-example.pgstow");
    let archive = archive.to_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.pgstow");
    let file = file.to_str().unwrap();
    for arguments in [
        &["dump", "-w", "-d", &url, "-f", file][..],
        &["restore", "-w", "-d", &url, archive],
        &["verify", "-w", "--against", &url, archive],
    ] {
        let child = start(pgstow().args(arguments));
        // It has been there: now it waits for an answer.
        let (connection, _) = silent.accept().unwrap();
        interrupt(&child);
        assert!(ended(child, 130).contains("interrupted"));
        assert_eq!(names(dir.path()), [""; 0]);
        drop(connection);
    }

    let fifo = dir.path().join("fifo");
    run(Command::new("mkfifo").arg(&fifo)).success();
    let fifo = fifo.to_str().unwrap();
    for arguments in [
        &["verify", fifo][..],
        &["list", fifo],
        &["sql", fifo],
        &["restore", "--dry-run", fifo],
        &["restore", "-w", "-d", &url, fifo],
        &["dump", "-w", "-d", &url, "-f", fifo],
        &["verify", "-"],
        &["list", "-"],
        &["sql", "-"],
        &["restore", "--dry-run", "-"],
    ] {
        let mut command = pgstow();
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take();
        // Its handler must be in place, else the signal ends it as it would any program.
        let caught = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
            let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            u64::from_str_radix(mask.unwrap().trim(), 16).unwrap() & 2 != 0
        };
        let began = Instant::now();
        while !caught() {
            assert!(
                began.elapsed() < PATIENCE,
                "{arguments:?} catches no signal"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        interrupt(&child);
        assert!(ended(child, 130).contains("interrupted"), "{arguments:?}");
        drop(input);
    }
    assert_eq!(names(dir.path()), ["fifo"]);
}

#[test]
fn interrupted_in_the_middle_of_a_restore() {
    let server = Server::start(18);
    let source = server.create_db("interrupted");
    // Made with a function that is quick and dumped with one that sleeps: rows are checked as they
    // are loaded.
    source.psql(
        "create function slow(int) returns boolean language sql immutable return $1 > 0;
         create table checked (i int check (slow(i))); insert into checked values (1);
         create table fine as select i from generate_series(1, 1000) i;
         create or replace function slow(int) returns boolean language plpgsql immutable as
           $$ begin perform pg_catalog.pg_sleep(600); return true; end $$;",
    );
    let (_dir, archive) = archived(&source, &[]);
    let asleep = "select count(*) from pg_stat_activity where datname = current_database()
        and application_name like 'pgstow%' and wait_event = 'PgSleep'";
    let bytes = std::fs::read(&archive).unwrap();
    for from_pipe in [false, true] {
        let target = server.create_db("interrupted");
        let mut command = pgstow();
        command
            .args(["restore", "-j2", "-d", &target.url()])
            .arg(if from_pipe { Path::new("-") } else { &archive })
            .stdin(if from_pipe {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take();
        if let Some(pipe) = &mut pipe {
            // All but the end: the reader still waits for more when it is interrupted.
            use std::io::Write;
            pipe.write_all(&bytes[..bytes.len() - 1024]).unwrap();
        }
        wait_for(&target, asleep, "1");
        let strangers = "select count(*) from pg_stat_activity where datname = current_database()
            and application_name not like 'pgstow%' and pid <> pg_backend_pid() and backend_type = 'client backend'";
        // Whoever asked before may still be leaving.
        wait_for(&target, strangers, "0");
        // Meanwhile nobody else restores into it, and nobody is told to make it empty.
        let mut second = pgstow();
        second.args(["restore", "-d", &target.url()]).arg(&archive);
        let refused = run(&mut second).expect_code(6).stderr;
        assert!(
            refused.contains("another restore is at work in "),
            "{refused}"
        );
        assert!(refused.contains("hint: wait for it"), "{refused}");
        assert!(!refused.contains("--clean"), "{refused}");
        interrupt(&child);
        let said = ended(child, 130);
        assert!(said.contains("interrupted"), "{said}");
        assert!(!said.contains("restored"), "{said}");
        wait_for(&target, OTHERS, "0");
        assert_eq!(target.query_one("select count(*) from checked"), "0");
    }
}
