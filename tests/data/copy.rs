//! From one live database straight into another: everything arrives as through an archive, and
//! whatever goes wrong on either side is told.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{
    Db, Fault, Harm, Output, Proxy, Server, Side, assert_same_data, assert_same_schema,
    assert_same_text, pg_dump_schema_by, pgstow, run, table_hashes,
};
use pretty_assertions::assert_eq;
use serde_json::Value;

/// Longer than anything takes on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Sessions of ours in this database.
const OURS: &str = "select count(*) from pg_stat_activity where datname = current_database()
    and application_name like 'pgstow%'";

/// Those that a function of ours has sent to sleep.
const ASLEEP: &str = "select count(*) from pg_stat_activity where datname = current_database()
    and application_name like 'pgstow%' and wait_event = 'PgSleep'";

fn copy(source: &str, target: &str, options: &[&str]) -> Output {
    run(pgstow().args(["copy", source, target]).args(options))
}

/// The report of a copy with `--json`.
fn report(output: &Output) -> Value {
    let last = output.stdout.lines().last().unwrap();
    let done: Value = serde_json::from_str(last).unwrap();
    assert_eq!(done["event"], "done");
    assert_eq!(done["command"], "copy");
    done["report"].clone()
}

#[track_caller]
fn wait_for(db: &Db, query: &str, wanted: &str) {
    let began = Instant::now();
    while db.query_one(query) != wanted {
        assert!(began.elapsed() < PATIENCE, "never {wanted}: {query}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn start(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for a program that says little.
#[track_caller]
fn ended(mut child: Child, code: i32) -> String {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() >= PATIENCE {
            let _ = child.kill();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

/// All fixtures within one major, into a database that the copy makes.
fn every_feature(major: u32) {
    let server = Server::start(major);
    let source = server.create_db("features");
    source.load_fixtures();
    // Not all: there is one that cannot be.
    source.psql("analyze fx_data.numbers");
    let target = server.create_db("copied");
    let output = copy(&source.url(), &target.url(), &["-j3", "--json"]).success();
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);
    let report = report(&output);
    let compared = report["compared"].as_array().unwrap();
    assert!(compared.len() > 50, "{}", compared.len());
    assert!(compared.iter().all(|table| table["equal"] == true));
    let is_objects = |table: &&Value| {
        table["table"]
            .as_str()
            .unwrap()
            .starts_with("large objects")
    };
    assert!(compared.iter().any(|table| is_objects(&table)));
    let rows: u64 = compared
        .iter()
        .filter(|table| !is_objects(table))
        .map(|table| table["rows"].as_u64().unwrap())
        .sum();
    assert_eq!(report["rows"], rows);
    if major >= 18 {
        // The planner's statistics came along: nobody has analyzed the target.
        let statistics = "select count(*) from pg_stats where schemaname like 'fx%'";
        assert_eq!(source.query_one(statistics), target.query_one(statistics));
    }
    // Nothing of ours is left on either side.
    assert_eq!(source.query_one(OURS), "0");
    assert_eq!(target.query_one(OURS), "0");
}

#[test]
fn every_feature_from_15_to_15() {
    every_feature(15);
}

#[test]
fn every_feature_from_18_to_18() {
    every_feature(18);
}

/// To a newer major the same arrives as by way of an archive, which has judges of its own.
#[test]
fn every_feature_from_13_to_18() {
    let source = Server::start(13).create_db("old");
    source.load_fixtures();
    let server = Server::start(18);
    server.load_roles();
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("old.pgstow");
    run(pgstow()
        .args(["dump", "-d", &source.url(), "-f"])
        .arg(&archive))
    .success();
    let restored = server.create_db("restored");
    run(pgstow()
        .args(["restore", "-d", &restored.url()])
        .arg(&archive))
    .success();
    let copied = server.create_db("copied");
    copy(&source.url(), &copied.url(), &["-j4"]).success();
    let schema = |db: &Db| pg_dump_schema_by(db, server.tool("pg_dump"));
    assert_same_text(&schema(&restored), &schema(&copied));
    assert_eq!(table_hashes(&restored), table_hashes(&copied));
}

/// Tables that several sessions read and load at once, with what waits for their rows, in as
/// little memory as there can be.
#[test]
fn long_tables_in_little_memory() {
    let server = Server::start(18);
    let source = server.create_db("long");
    source.load_long_tables(40);
    source.psql(
        "create index on long.narrow (b);
         create table long.refers (id bigint references long.narrow);
         insert into long.refers select id from long.narrow;",
    );
    let target = server.create_db("long");
    let options = ["-j4", "--memory=32MB", "--json"];
    let output = copy(&source.url(), &target.url(), &options).success();
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);
    assert_eq!(report(&output)["compared"].as_array().unwrap().len(), 3);
    // Once more over what is there; and as text, in one transaction, without a second look.
    copy(&source.url(), &target.url(), &[]).expect_code(6);
    let options = [
        "--clean",
        "--if-exists",
        "-1",
        "--copy-format=text",
        "--json",
        "--no-verify",
    ];
    let output = copy(&source.url(), &target.url(), &options).success();
    assert_same_data(&source, &target);
    let report = report(&output);
    assert_eq!(report["compared"].as_array().unwrap().len(), 0);
    assert_eq!(
        report["rows"].to_string(),
        source.query_one("select (select count(*) from long.narrow) + (select count(*) from long.toasted) + (select count(*) from long.refers)")
    );
}

#[test]
fn what_is_selected() {
    let server = Server::start(18);
    let source = server.create_db("selected");
    source.psql(
        "create schema a; create schema b;
         create table a.kept (i int primary key, s serial); insert into a.kept select generate_series(1, 100);
         create table a.empty (i int); insert into a.empty values (1);
         create table b.other (i int references a.kept); insert into b.other values (1);
         create table rooted (i int) partition by hash (i);
         create table rooted_0 partition of rooted for values with (modulus 2, remainder 0);
         create table rooted_1 partition of rooted for values with (modulus 2, remainder 1);
         insert into rooted select generate_series(1, 50);
         select lo_from_bytea(4711, 'object');",
    );
    let relations = |db: &Db| {
        let query = "select coalesce(string_agg(c.oid::regclass::text, ' ' order by c.oid::regclass::text collate \"C\"), '') from pg_class c
            where relkind in ('r', 'p', 'S') and relnamespace::regnamespace::text !~ '^(pg_|info)'";
        db.query_one(query)
    };
    let into = |options: &[&str]| {
        let target = server.create_db("part");
        copy(&source.url(), &target.url(), options).success();
        target
    };
    let part = into(&["-n", "a", "--exclude-table-data", "a.empty"]);
    assert_eq!(relations(&part), "a.empty a.kept a.kept_s_seq");
    assert_eq!(part.query_one("select count(*) from a.kept"), "100");
    assert_eq!(part.query_one("select count(*) from a.empty"), "0");
    assert_eq!(part.query_one("select count(*) from pg_largeobject"), "0");

    let part = into(&["--schema-only", "--sequence-data", "-T", "b.*"]);
    assert_eq!(part.query_one("select count(*) from a.kept"), "0");
    assert_eq!(part.query_one("select nextval('a.kept_s_seq')"), "101");

    let part = into(&["--load-via-partition-root", "-t", "rooted*", "-b"]);
    assert_eq!(part.query_one("select count(*) from rooted"), "50");
    assert_eq!(
        part.query_one("select convert_from(lo_get(4711), 'UTF8')"),
        "object"
    );

    // Rows alone, into what is there; and again, where the comparison finds too many.
    let part = into(&["--schema-only"]);
    copy(
        &source.url(),
        &part.url(),
        &["--data-only", "--disable-triggers"],
    )
    .success();
    assert_same_data(&source, &part);
    let again = copy(
        &source.url(),
        &part.url(),
        &["--data-only", "-t", "a.empty"],
    );
    let said = again.expect_code(1).stderr;
    assert!(
        said.contains("differs: a.empty: 1 rows in the source, 2 rows in the target"),
        "{said}"
    );
    let options = ["--data-only", "-t", "a.empty", "--no-verify"];
    copy(&source.url(), &part.url(), &options).success();

    // Nothing is made of a plan that is only shown.
    let empty = server.create_db("part");
    let shown = copy(&source.url(), &empty.url(), &["--dry-run", "-n", "b"]).success();
    assert!(
        shown.stdout.contains("TABLE DATA b.other"),
        "{}",
        shown.stdout
    );
    assert!(!shown.stdout.contains("a.kept"), "{}", shown.stdout);
    assert_eq!(relations(&empty), "");
    // What the real one would be refused for.
    let refused = copy(&source.url(), &part.url(), &["--dry-run"]).expect_code(6);
    assert!(refused.stdout.contains("FAILED"), "{}", refused.stdout);
    assert!(refused.stderr.contains("not empty"), "{}", refused.stderr);
}

#[test]
fn options_that_contradict_each_other() {
    let contradicting: [&[&str]; 9] = [
        &["--clean", "--data-only"],
        &["--if-exists"],
        &["--force", "--create"],
        &["-1", "-j2"],
        &["-1", "--continue"],
        &["-1", "--create"],
        &["--globals", "--globals-only"],
        &["--no-role-passwords"],
        &["--serializable-deferrable", "--snapshot", "x"],
    ];
    for options in contradicting {
        let said = copy("dbname=a", "dbname=b", options).expect_code(2).stderr;
        assert!(said.contains("--"), "{options:?}: {said}");
    }
    for arguments in [
        &["copy"][..],
        &["copy", "dbname=a"],
        &["copy", "a", "b", "-d", "c"],
    ] {
        run(pgstow().args(arguments)).expect_code(2);
    }
}

#[test]
fn a_database_is_not_copied_into_itself() {
    let server = Server::start(18);
    let source = server.create_db("itself");
    source.psql("create table t (i int); insert into t values (1)");
    let refused = |target: &str, options: &[&str]| {
        let said = copy(&source.url(), target, options).expect_code(6).stderr;
        assert!(said.contains("are the same database"), "{said}");
    };
    refused(&source.url(), &["--clean"]);
    refused(&source.conninfo(), &["--data-only", "--allow-non-empty"]);
    // Where it would drop the source and then read it.
    let other = server.create_db("other");
    refused(&other.url(), &["--clean", "--create"]);
    refused(&other.url(), &["--create-as", source.name()]);
    assert_eq!(source.query_one("select i from t"), "1");
    // The source's own session may well make another one.
    let made = format!("{}_again", source.name());
    copy(&source.url(), &source.url(), &["--create-as", &made]).success();
    let made = server.db(&made);
    assert_eq!(made.query_one("select i from t"), "1");
    copy(
        &source.url(),
        &other.url(),
        &["--clean", "--create-as", made.name()],
    )
    .success();
    server.psql(&format!("drop database {}", made.name()));
}

/// Roles, and the database with its settings, on another server.
#[test]
fn into_another_server() {
    let server = Server::start(18);
    let source = server.create_db("globals");
    let role = format!("{}_role", source.name());
    source.psql(&format!(
        "create role {role} login password 'secret'; create table t (i int); alter table t owner to {role};
         create view v as select * from t; grant select on v to {role};
         alter database {} set work_mem = '7MB'; insert into t values (7);",
        source.name()
    ));
    let empty = Server::builder(17).start();
    let to = empty.db("postgres").url();
    // The role is missed before anything is made.
    let said = copy(&source.url(), &to, &["--create"])
        .expect_code(6)
        .stderr;
    assert!(said.contains(&role), "{said}");
    copy(
        &source.url(),
        &to,
        &["--globals-only", "--no-role-passwords"],
    )
    .success();
    let roles =
        format!("select count(*) from pg_authid where rolname = '{role}' and rolpassword is null");
    assert_eq!(empty.db("postgres").query_one(&roles), "1");
    empty.psql(&format!(
        "drop role {role}; create role weak login createdb;"
    ));
    // No database was made when roles cannot be.
    let weak = empty.db("postgres").url_as("weak", None);
    let said = copy(&source.url(), &weak, &["--globals", "--create"])
        .expect_code(1)
        .stderr;
    assert!(said.contains("what was made stays"), "{said}");
    assert!(!said.contains("new database"), "{said}");
    copy(&source.url(), &to, &["--globals", "--create", "-j2"]).success();
    let made = empty.db(source.name());
    assert_eq!(made.query_one("show work_mem"), "7MB");
    assert_eq!(
        made.query_one("select tableowner from pg_tables where tablename = 't'"),
        role
    );
    assert_eq!(made.query_one("select i from v"), "7");
    drop(source);
    server.psql(&format!("drop role {role}"));
}

/// Labels that change their names while rows are read would be other values in the target.
#[test]
fn types_that_change_while_rows_are_read() {
    let server = Server::start(18);
    let (source, target) = (server.create_db("changing"), server.create_db("changed"));
    source.psql(
        "create type mood as enum ('sad', 'ok');
         create table moods as select 'sad'::mood as m, i from generate_series(1, 100) i;",
    );
    let proxy = Proxy::builder(&server)
        .faults(|number| {
            let harm = Harm::Stall(Duration::from_secs(2));
            let (side, after) = (Side::ToServer, 0);
            let is_worker = number >= 2;
            is_worker
                .then_some(Fault { side, after, harm })
                .into_iter()
                .collect()
        })
        .start();
    let mut command = pgstow();
    command.args(["copy", &proxy.url(&source), &target.url()]);
    let running = std::thread::spawn(move || run(&mut command));
    // The catalogs have been read by then, and rows wait for the worker's session.
    while target.query_one("select to_regclass('public.moods') is null") == "t" {
        std::thread::sleep(Duration::from_millis(5));
    }
    source.psql("alter type mood rename value 'sad' to 'unhappy'");
    let output = running.join().unwrap().expect_code(1);
    assert!(
        output
            .stderr
            .contains("not all written alike: type public.mood")
            || output.stderr.contains("invalid input value for enum"),
        "{}",
        output.stderr
    );
}

/// The source is lost while rows flow: what stands is told, and how to begin again.
#[test]
fn a_source_that_is_lost() {
    let server = Server::start(18);
    let source = server.create_db("lost");
    source.load_long_tables(20);
    let proxy = Proxy::start(&server);
    // A row that is never loaded holds everything else up.
    let check = |body: &str| {
        source.psql(&format!(
            "create or replace function held(bigint) returns boolean language plpgsql immutable as
               $$ begin {body}; return true; end $$;"
        ));
    };
    check("null");
    source.psql("alter table long.narrow add check (held(id))");
    check("perform pg_catalog.pg_sleep(600)");
    let target = server.create_db("lost");
    let child = start(
        pgstow()
            .args(["copy", &proxy.url(&source), &target.url(), "-j2"])
            .arg("--memory=32MB"),
    );
    wait_for(&target, ASLEEP, "2");
    drop(proxy);
    let said = ended(child, 1);
    assert!(said.contains("error: source: "), "{said}");
    assert!(said.contains("begin again with --clean"), "{said}");
    assert!(!said.contains("copied"), "{said}");
    wait_for(&source, OURS, "0");
    wait_for(&target, OURS, "0");
    check("null");
    copy(
        &source.url(),
        &target.url(),
        &["--clean", "--if-exists", "-j2"],
    )
    .success();
    assert_same_data(&source, &target);
}

/// The target refuses rows, or is not there any more.
#[test]
fn a_target_that_fails() {
    let server = Server::start(18);
    let source = server.create_db("refused");
    source.load_long_tables(20);
    source.psql(
        "create function fine(int) returns boolean language sql immutable as 'select true';
         create table refused (i int check (fine(i))); insert into refused values (1), (2);
         create table refers (i int primary key); alter table refused add primary key (i);
         insert into refers values (1); alter table refers add foreign key (i) references refused;
         create or replace function fine(int) returns boolean language sql immutable as 'select $1 < 2';",
    );
    let target = server.create_db("refused");
    let said = copy(&source.url(), &target.url(), &["-j2"])
        .expect_code(1)
        .stderr;
    assert!(
        said.contains("error: target: restore TABLE DATA public.refused"),
        "{said}"
    );
    assert!(said.contains("begin again with --clean"), "{said}");
    assert_eq!(source.query_one(OURS), "0");
    assert_eq!(target.query_one(OURS), "0");
    // All that does not need it is copied, and compared.
    let options = ["-j2", "--clean", "--if-exists", "--continue", "--json"];
    let output = copy(&source.url(), &target.url(), &options).expect_code(3);
    let report = report(&output);
    let compared: Vec<&str> = report["compared"]
        .as_array()
        .unwrap()
        .iter()
        .map(|table| table["table"].as_str().unwrap())
        .collect();
    assert!(compared.contains(&"long.narrow") && !compared.contains(&"public.refused"));
    assert_eq!(
        report["not_compared"],
        serde_json::json!(["public.refused"])
    );
    assert!(report["failed"].to_string().contains("public.refused"));
}

/// A way to the server that cuts connections, by their number, each after so many bytes to this side.
fn cutting(server: &Server, side: Side, faults: &[(usize, u64)]) -> Proxy {
    let faults = faults.to_vec();
    let fault = move |after| Fault {
        side,
        after,
        harm: Harm::Cut,
    };
    Proxy::builder(server)
        .faults(move |number| {
            let of = faults
                .iter()
                .filter(|(connection, _)| *connection == number);
            of.map(|(_, after)| fault(*after)).collect()
        })
        .start()
}

/// Both sessions that load are cut in the middle of their rows; others go on for them.
#[test]
fn sessions_of_the_target_that_are_lost() {
    let server = Server::start(18);
    let source = server.create_db("cut");
    source.load_long_tables(20);
    let target = server.create_db("cut");
    // The first asks which database it is.
    let proxy = cutting(&server, Side::ToServer, &[(1, 3 << 20), (2, 1 << 20)]);
    let output = copy(&source.url(), &proxy.url(&target), &["-j2"]).success();
    assert!(proxy.harmed() == 2, "{}", output.stderr);
    assert!(
        output.stderr.contains("2 tables, 0 differ"),
        "{}",
        output.stderr
    );
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);
}

/// Both sessions that read are cut, one of them twice; what the target has loaded of a piece by then is not
/// given to it again.
#[test]
fn sessions_of_the_source_that_are_lost() {
    let server = Server::start(18);
    let source = server.create_db("cut_source");
    source.load_long_tables(30);
    let target = server.create_db("cut_source");
    // The first three: whether it is the same database, the leader, and the one beside it.
    let faults = [(3, 9 << 20), (4, 6 << 20), (5, 9 << 20)];
    let proxy = cutting(&server, Side::ToClient, &faults);
    let output = copy(&proxy.url(&source), &target.url(), &["-j2"]).success();
    assert!(proxy.harmed() >= 2, "{}", output.stderr);
    let again = "read again under the same snapshot";
    assert!(output.stderr.contains(again), "{}", output.stderr);
    assert!(
        output.stderr.contains("2 tables, 0 differ"),
        "{}",
        output.stderr
    );
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);
}

/// Ctrl-C while the target is busy and the source waits for it.
#[test]
fn interrupted_in_the_middle() {
    let server = Server::start(18);
    let source = server.create_db("interrupted");
    source.load_long_tables(60);
    source.psql(
        "create function slow(bigint) returns boolean language sql immutable as 'select true';
         alter table long.narrow add check (slow(id));
         create or replace function slow(bigint) returns boolean language plpgsql immutable as
           $$ begin perform pg_catalog.pg_sleep(600); return true; end $$;",
    );
    let target = server.create_db("interrupted");
    let child = start(
        pgstow()
            .args(["copy", &source.url(), &target.url(), "-j2"])
            .arg("--memory=32MB"),
    );
    wait_for(&target, ASLEEP, "2");
    let reading = "select count(*) > 0 from pg_stat_activity where datname = current_database()
        and application_name like 'pgstow worker%' and query like 'COPY%' and state = 'active'";
    wait_for(&source, reading, "t");
    run(Command::new("kill").args(["-INT", &child.id().to_string()])).success();
    let said = ended(child, 130);
    assert!(said.contains("error: copy: interrupted"), "{said}");
    assert!(said.contains("begin again with --clean"), "{said}");
    wait_for(&source, OURS, "0");
    wait_for(&target, OURS, "0");
    assert_eq!(target.query_one("select count(*) from long.narrow"), "0");
}
