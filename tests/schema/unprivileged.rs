//! Without superuser: a dump by a role that may only read, and a restore as a service lets its
//! users do one. What the server refuses is what it refuses pg_restore too; each refusal is told
//! once, with the way out.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::support::{Db, Output, Server, assert_same_data, assert_same_schema, pgstow, run};
use serde_json::Value;

/// What a service's users have, and what only its operator could make.
const SOURCE: &str = "
CREATE SCHEMA app;
CREATE EXTENSION hstore WITH SCHEMA app;
CREATE EXTENSION file_fdw;
CREATE TABLE app.customers (id int PRIMARY KEY, name text, extra app.hstore);
CREATE TABLE app.orders (id int GENERATED ALWAYS AS IDENTITY, customer int REFERENCES app.customers, sum numeric);
CREATE INDEX ON app.orders (customer);
INSERT INTO app.customers SELECT n, 'customer ' || n, app.hstore('n', n::text) FROM generate_series(1, 1000) n;
INSERT INTO app.orders (customer, sum) SELECT n % 1000 + 1, n FROM generate_series(1, 5000) n;
CREATE MATERIALIZED VIEW app.totals AS SELECT customer, sum(sum) FROM app.orders GROUP BY 1;
CREATE FUNCTION app.plain(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION app.internals(text) RETURNS text LANGUAGE internal AS 'upper';
CREATE VIEW app.by_internals AS SELECT app.internals(name) FROM app.customers;
CREATE FUNCTION app.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER notice ON ddl_command_end EXECUTE FUNCTION app.on_ddl();
ALTER EVENT TRIGGER notice DISABLE;
CREATE TYPE app.mood AS ENUM ('fine');
CREATE CAST (int AS app.mood) WITH INOUT;
CREATE CAST (text AS bytea) WITHOUT FUNCTION;
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE PUBLICATION a_few FOR TABLE app.orders;
CREATE SUBSCRIPTION other CONNECTION 'dbname=x password=secret' PUBLICATION p WITH (connect = false, slot_name = NONE);
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE USER MAPPING FOR fx_owner SERVER files;
ALTER TABLE app.orders OWNER TO fx_owner;
GRANT SELECT ON app.customers TO fx_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE fx_owner GRANT SELECT ON TABLES TO fx_reader;
COMMENT ON EXTENSION hstore IS 'ours';
";

fn server() -> Arc<Server> {
    let server = Server::start(18);
    server.load_roles();
    server.psql(
        "DO $$
         BEGIN
             CREATE ROLE unpriv_reader LOGIN;
             GRANT pg_read_all_data TO unpriv_reader;
             CREATE ROLE unpriv_app LOGIN CREATEDB CREATEROLE;
         EXCEPTION WHEN duplicate_object OR unique_violation THEN
             NULL;
         END $$",
    );
    server
}

fn source() -> Db {
    let source = server().create_db("source");
    source.psql(SOURCE);
    source
}

/// An empty database that belongs to a role that is no superuser.
fn managed() -> Db {
    server().create_db_with("managed", "OWNER unpriv_app TEMPLATE template0")
}

struct Work {
    directory: tempfile::TempDir,
}

impl Work {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn dump(&self, source: &Db, user: &str, options: &[&str]) -> Output {
        run(pgstow()
            .args(["dump", "-d", &source.url_as(user, None), "-f"])
            .arg(self.path("archive"))
            .args(options))
    }

    fn restore(&self, target: &Db, user: &str, options: &[&str]) -> Output {
        run(pgstow()
            .args(["restore", "--json", "-d", &target.url_as(user, None)])
            .args(options)
            .arg(self.path("archive")))
    }
}

/// The report in the last line of a restore.
fn report(output: &Output) -> Value {
    let last: Value = serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    last["report"].clone()
}

fn texts(list: &Value, field: &str) -> Vec<String> {
    let text = |item: &Value| item[field].as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(text).collect()
}

#[test]
fn a_reader_dumps_everything_but_secrets() {
    let source = source();
    let work = Work::new();
    let said = work.dump(&source, "unpriv_reader", &[]).success().stderr;
    // What it may not see is named, each thing once.
    let warnings: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("warning:"))
        .collect();
    assert_eq!(warnings.len(), 1, "{said}");
    assert!(
        warnings[0].contains("user mapping fx_owner SERVER files"),
        "{said}"
    );
    let target = source.server().create_db("target");
    work.restore(&target, "postgres", &[]).success();
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);
}

#[test]
fn what_a_reader_may_not_read_ends_the_dump_with_the_way_out() {
    let source = server().create_db("source");
    source.psql(
        "CREATE TABLE hidden (id int);
         INSERT INTO hidden VALUES (1);
         ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
         SELECT lo_from_bytea(4711, 'secret')",
    );
    let work = Work::new();
    let dump = |options: &[&str]| work.dump(&source, "unpriv_reader", options);
    let rows = dump(&["-B"]).expect_code(1).stderr;
    assert!(rows.contains("dump table public.hidden"), "{rows}");
    assert!(rows.contains("--enable-row-security"), "{rows}");
    let objects = dump(&["--enable-row-security"]).expect_code(1).stderr;
    assert!(
        objects.contains("permission denied for large object 4711"),
        "{objects}"
    );
    assert!(objects.contains("--no-large-objects"), "{objects}");
    dump(&["--enable-row-security", "-B"]).success();
}

/// What the service refuses to a role that is no superuser, when owners and privileges are left
/// out.
const REFUSED: [(&str, &str); 6] = [
    (
        "CAST (text AS bytea)",
        "must be owner of type text or type bytea",
    ),
    (
        "EXTENSION file_fdw",
        "permission denied to create extension \"file_fdw\"",
    ),
    (
        "FUNCTION app.internals(text)",
        "permission denied for language internal",
    ),
    (
        "PUBLICATION everything",
        "must be superuser to create FOR ALL TABLES publication",
    ),
    (
        "SUBSCRIPTION other",
        "permission denied to create subscription",
    ),
    (
        "EVENT TRIGGER notice",
        "permission denied to create event trigger \"notice\"",
    ),
];

#[test]
fn a_restore_goes_as_far_as_the_server_lets_it() {
    let source = source();
    let work = Work::new();
    work.dump(&source, "postgres", &[]).success();

    // The default ends at the first refusal, and says how to avoid it; nothing of it stays.
    let target = managed();
    let first = work.restore(&target, "unpriv_app", &[]).expect_code(1);
    let last: Value = serde_json::from_str(first.stdout.lines().last().unwrap()).unwrap();
    assert!(
        last["hint"].as_str().unwrap().contains("--no-owner"),
        "{last}"
    );
    assert_eq!(
        target.query_one("select count(*) from pg_namespace where nspname = 'app'"),
        "0"
    );

    let go_on = ["--continue", "--no-owner", "--no-privileges"];
    let restored = work.restore(&target, "unpriv_app", &go_on).expect_code(3);
    let report = report(&restored);
    let expected: BTreeMap<&str, &str> = REFUSED.into_iter().collect();
    let failed = texts(&report["failed"], "entry");
    let names: BTreeSet<&str> = failed.iter().map(String::as_str).collect();
    assert_eq!(
        names,
        expected.keys().copied().collect::<BTreeSet<_>>(),
        "{report}"
    );
    // Each once, with what the server said and a way out.
    let refused = report["refused"].as_array().unwrap();
    assert_eq!(refused.len(), expected.len(), "{refused:?}");
    for refusal in refused {
        let entry = refusal["entries"][0].as_str().unwrap();
        let error = refusal["error"].as_str().unwrap();
        assert!(error.contains(expected[entry]), "{entry}: {error}");
        assert!(
            refusal["hint"]
                .as_str()
                .is_some_and(|hint| !hint.is_empty()),
            "{refusal}"
        );
    }
    // What needs them, and nothing else, was not tried.
    let skipped: BTreeSet<String> = texts(&report["skipped"], "entry").into_iter().collect();
    let needing = [
        "SERVER files",
        "USER MAPPING fx_owner SERVER files",
        "VIEW app.by_internals",
    ];
    assert_eq!(
        skipped,
        needing.iter().map(|&name| name.to_owned()).collect()
    );
    assert_same_data(&source, &target);

    // PostgreSQL's own tool is refused the same, and fails again wherever something was missing.
    let by_pg_restore = by_pg_restore(&source, &work);
    for (entry, said) in &expected {
        let known = by_pg_restore.iter().any(|error| error.contains(said));
        assert!(known, "{entry}: {said} not in {by_pg_restore:?}");
    }
    let follows = [
        "does not exist",
        "must be owner of extension",
        "must be owner of event trigger",
    ];
    for error in &by_pg_restore {
        let refused = expected.values().any(|said| error.contains(said));
        let follows = follows.iter().any(|text| error.contains(text));
        assert!(refused || follows, "only pg_restore: {error}");
    }
}

/// What the server answers to pg_restore.
fn by_pg_restore(source: &Db, work: &Work) -> BTreeSet<String> {
    let target = managed();
    let archive = work.path("pg_dump");
    run(source.tool("pg_dump").args(["-Fc", "-f"]).arg(&archive)).success();
    let mut pg_restore = target.tool("pg_restore");
    pg_restore
        .args([
            "--no-owner",
            "--no-acl",
            "-U",
            "unpriv_app",
            "-d",
            target.name(),
        ])
        .arg(&archive);
    let said = run(&mut pg_restore).expect_code(1).stderr;
    said.lines()
        .filter_map(|line| line.split_once("ERROR:"))
        .map(|(_, error)| error.trim().to_owned())
        .collect()
}

/// With what the hints say nothing is refused any more: options, a list, and an operator who has
/// installed what a user may not.
#[test]
fn with_the_ways_out_nothing_is_refused() {
    let source = server().create_db("source");
    source.psql(SOURCE);
    let work = Work::new();
    // The operator has installed what a user may not, and what only he may make is left out.
    let list = |text: &str| {
        text.lines()
            .filter(|line| {
                ["EVENT TRIGGER", "CAST", "internals"]
                    .iter()
                    .all(|name| !line.contains(name) || line.contains("app.mood"))
            })
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    work.dump(&source, "postgres", &[]).success();
    let listed = run(pgstow().arg("list").arg(work.path("archive"))).success();
    std::fs::write(work.path("list"), list(&listed.stdout)).unwrap();
    let target = managed();
    target.psql(
        "CREATE EXTENSION file_fdw; GRANT USAGE ON FOREIGN DATA WRAPPER file_fdw TO unpriv_app",
    );
    let list = work.path("list");
    let options = [
        "--no-owner",
        "--no-privileges",
        "--no-publications",
        "--no-subscriptions",
        "--allow-non-empty",
        "-L",
        list.to_str().unwrap(),
    ];
    work.restore(&target, "unpriv_app", &options).success();
    assert_same_data(&source, &target);
    let owners = target.query_rows(
        "select distinct relowner::regrole::text from pg_class where relnamespace = 'app'::regnamespace",
    );
    assert_eq!(owners, [[Some("unpriv_app".to_owned())]]);
}

/// A role that may have fewer sessions than there are jobs: who has one does the work of all, and that is said once.
#[test]
fn fewer_sessions_than_jobs() {
    let server = server();
    server.psql(
        "DO $$
         BEGIN
             CREATE ROLE unpriv_few LOGIN CONNECTION LIMIT 3;
         EXCEPTION WHEN duplicate_object OR unique_violation THEN
             NULL;
         END $$",
    );
    let owned = || server.create_db_with("few", "OWNER unpriv_few TEMPLATE template0");
    let (source, slow, target) = (owned(), owned(), owned());
    let url = source.url_as("unpriv_few", None);
    source.psql(
        "SET ROLE unpriv_few;
         DO $$ BEGIN FOR i IN 1..12 LOOP
             EXECUTE format('CREATE TABLE public.t%s AS SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 1500) n', i);
         END LOOP; END $$",
    );
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("archive");
    let room = |output: &Output, there: usize| {
        let said = &output.stderr;
        let told = format!("the server has room for {there} of 8 sessions");
        assert_eq!(said.matches(&told).count(), 1, "{said}");
        assert!(!said.contains("is read again"), "{said}");
    };
    // Who has a session is not done before the others have been refused for good.
    slow.psql(
        "SET ROLE unpriv_few;
         SELECT lo_create(0);
         DO $$ BEGIN FOR i IN 1..16 LOOP
             EXECUTE format('CREATE TABLE public.t%s AS SELECT 1 AS n', i);
             EXECUTE format('CREATE POLICY slow ON public.t%s USING (pg_sleep(0.15) IS NOT NULL)', i);
             EXECUTE format('ALTER TABLE public.t%s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', i);
         END LOOP; END $$",
    );
    let dumped = run(pgstow()
        .args(["dump", "-j8", "--enable-row-security", "-d"])
        .arg(slow.url_as("unpriv_few", None))
        .arg("-f")
        .arg(directory.path().join("slow")))
    .success();
    room(&dumped, 2);
    assert!(
        dumped.stderr.contains("16 tables, 16 rows"),
        "{}",
        dumped.stderr
    );
    run(pgstow()
        .args(["dump", "-j8", "-d", &url, "-f"])
        .arg(&archive))
    .success();
    let compare = |jobs: &str| {
        let mut command = pgstow();
        command.args(["verify", jobs, "--against", &url]);
        run(command.arg(&archive))
    };
    // It may be done before the others have been refused for good.
    let compared = compare("-j8").success();
    let said = &compared.stderr;
    assert!(said.matches("room for 2 of 8").count() <= 1, "{said}");
    assert!(said.contains("compared 12 tables, 0 differ"), "{said}");
    let restored = run(pgstow()
        .args(["restore", "-j8", "-d", &target.url_as("unpriv_few", None)])
        .arg(&archive));
    room(&restored.success(), 3);
    assert_same_data(&source, &target);
    let copied = owned();
    let copy = run(pgstow()
        .args(["copy", "-j8", &source.url()])
        .arg(copied.url_as("unpriv_few", None)));
    let said = copy.success().stderr;
    assert_eq!(said.matches("room for 3 of 8").count(), 1, "{said}");
    // Both ends of a copy have this room together: each gets a part of it.
    let both = owned();
    let copy = run(pgstow()
        .args(["copy", "-j8", &url])
        .arg(both.url_as("unpriv_few", None)));
    let said = copy.success().stderr;
    assert!(said.contains("room for 1 of 8"), "{said}");
    assert_same_data(&source, &both);
    // Nobody else is left: it is a failure.
    server.psql("ALTER ROLE unpriv_few CONNECTION LIMIT 1");
    let refused = compare("-j1").expect_code(4);
    assert!(
        refused.stderr.contains("too many connections"),
        "{}",
        refused.stderr
    );
    drop((source, slow, target, copied, both));
    server.psql("DROP ROLE unpriv_few");
}
