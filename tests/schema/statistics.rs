//! Planner statistics there and back: what pg_dump 18 says of source and target, and what the
//! server does with what it gets.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;

use crate::support::{
    Db, Output, Server, assert_same_data, assert_same_text, pgstow, run, run_with_input, text_of,
};

/// Everything that has statistics of a shape of its own. Autovacuum is off for every table, so
/// that nothing but the test changes them. `\:v` is the server's major.
const CONTENT: &str = r#"
\set VERBOSITY terse
set client_min_messages = warning;
create schema "sch""ema ä";
create table plain (a int, gone text, b text, c numeric(10,2), n int, f float8, d date, long text)
  with (autovacuum_enabled = off);
alter table plain drop column gone;
insert into plain select i, 'q' || i % 7, i * 1.25, null,
    case i % 5 when 0 then 'infinity'::float8 when 1 then '-infinity' when 2 then 'nan' else i end,
    case when i % 9 = 0 then date 'infinity' else date '2020-01-01' + i end, repeat('l', 2000) || i
  from generate_series(1, 800) i;
create index on plain (a);
create index of_expressions on plain ((a % 10), lower(b), (c * 2));
alter table plain add primary key (a);
create statistics plain_ext on a, b from plain;
create table "sch""ema ä"."Od'd
""name\" ("Col ""1""\" int, "c'2$x$" text) with (autovacuum_enabled = off);
insert into "sch""ema ä"."Od'd
""name\" select i % 3, '{"quoted, ' || i % 4 || '\' || chr(10) from generate_series(1, 300) i;
create table arrays (tags text[], numbers int[], words tsvector, span int4range, at tstzrange, j jsonb, doc json, x xml, u uuid)
  with (autovacuum_enabled = off);
insert into arrays select array['a' || i % 3, 'b"c', null, 'd,e'], array[i, i % 4], to_tsvector('english', 'the fat cats ate rat ' || i % 11),
    case i % 10 when 0 then 'empty' else int4range(i, i + i % 20) end, tstzrange('2020-01-01', '2020-01-01'::timestamptz + i * interval '1 day'),
    jsonb_build_object('k', i), '{}', '<a/>', md5(i::text)::uuid
  from generate_series(1, 500) i;
create table parts (a int, b text) partition by range (a);
create table part_1 partition of parts for values from (0) to (100) with (autovacuum_enabled = off);
create table part_2 partition of parts for values from (100) to (1000) with (autovacuum_enabled = off);
insert into parts select i, 'p' || i % 6 from generate_series(0, 400) i;
create index on parts (a);
create table parent (a int) with (autovacuum_enabled = off);
create table child (b int) inherits (parent) with (autovacuum_enabled = off);
insert into parent select generate_series(1, 100);
insert into child select i, i % 5 from generate_series(1, 200) i;
create materialized view view with (autovacuum_enabled = off) as select b, count(*) as many from plain group by b;
create unique index on view (b);
create table empty (a int) with (autovacuum_enabled = off);
create table never_analyzed (a int) with (autovacuum_enabled = off);
insert into never_analyzed select generate_series(1, 1000);
"#;

const ANALYZE: &str = "analyze plain; analyze arrays; analyze parts; analyze parent; analyze view;
 analyze empty; do $$ declare t text; begin
   for t in select oid::regclass from pg_class where relname like 'Od%' loop execute 'analyze ' || t; end loop; end $$";

fn source(major: u32, name: &str) -> Db {
    let source = Server::start(major).create_db(name);
    source.psql(CONTENT);
    source.psql(ANALYZE);
    source
}

/// `pg_dump --statistics-only` of major 18. The rules of the comparison, all of them:
///
/// 1. Names of programs and their versions go; so does the `version` of the source, of which the
///    functions take no notice.
/// 2. `relpages` of indexes and of the tables under them are what building the index on the target
///    gives, when the target's major is another one: pages can be filled in another way. So are
///    `relallvisible` and `relallfrozen`, which older sources lack. Equal majors are not touched.
/// 3. 0 rows of a source before 14 are -1, not known.
fn statistics(db: &Db, other_major: bool) -> String {
    let mut dump = db.tool("pg_dump");
    dump.args(["--statistics-only", "--restrict-key=test", db.name()]);
    let text = text_of(run(&mut dump).success().stdout_bytes);
    let mut lines = Vec::new();
    for line in text.lines() {
        let names_a_program =
            line.starts_with("-- Dumped from ") || line.starts_with("-- Dumped by ");
        let passed_over = line.starts_with("\t'version', ")
            || other_major
                && ["\t'relallvisible'", "\t'relallfrozen'", "\t'relpages'"]
                    .iter()
                    .any(|name| line.starts_with(name));
        if names_a_program || passed_over {
            continue;
        }
        lines.push(match line {
            "\t'reltuples', '0'::real," if db.major() < 14 => "\t'reltuples', '-1'::real,",
            // What was not the last argument in one is the last in the other.
            line => line.strip_suffix(',').unwrap_or(line),
        });
    }
    lines.join("\n")
}

fn dump(source: &Db, file: &Path, options: &[&str]) -> Output {
    run(pgstow()
        .args(["dump", &source.url(), "-j2", "-f"])
        .arg(file)
        .args(options))
    .success()
}

fn restore(target: &Db, file: &Path, options: &[&str]) -> Output {
    run(pgstow()
        .args(["restore", "-j3", "-d", &target.url()])
        .args(options)
        .arg(file))
    .success()
}

/// Whether a warning is about statistics; there are others, about collations of other builds.
fn warned(output: &Output) -> bool {
    let mut lines = output.stderr.lines();
    lines.any(|line| line.contains("warning") && line.contains("statistics"))
}

fn there_and_back(from: u32) {
    let source = source(from, "stats");
    // Ranges and the like are in pg_stats from 17 on only.
    let target = Server::start(18).create_db("stats_copy");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    let dumped = dump(&source, &file, &[]);
    assert!(!warned(&dumped), "{}", dumped.stderr);
    run(pgstow().arg("verify").arg(&file)).success();
    let restored = restore(&target, &file, &[]);
    assert!(!warned(&restored), "{}", restored.stderr);
    let before = statistics(&source, from != 18);
    for part in [
        "range",
        "'inherited', 't'",
        "'attnum', '2'",
        "infinity",
        "Od''d",
    ] {
        assert!(
            before.contains(part) || from < 17 && part == "range",
            "the source has no {part}"
        );
    }
    assert_same_text(&before, &statistics(&target, from != 18));
    run(pgstow()
        .args(["verify", "--against", &target.url()])
        .arg(&file))
    .success();

    if from == 18 {
        through_a_pipe(&source, &file);
        as_a_script(&source, &file);
        selected(&source, &file);
        alone(&source, dir.path());
    }
}

/// From a pipe, and all in one transaction.
fn through_a_pipe(source: &Db, file: &Path) {
    let archive = std::fs::read(file).unwrap();
    for options in [&["-j2"][..], &["-1"]] {
        let target = source.server().create_db("stats_pipe");
        let mut restore = pgstow();
        restore.args(["restore", "-d", &target.url(), "-"]);
        run_with_input(restore.args(options), &archive).success();
        assert_same_text(&statistics(source, false), &statistics(&target, false));
    }
}

/// The script of `pgstow sql`, on top of what it tells of.
fn as_a_script(source: &Db, file: &Path) {
    let target = source.server().create_db("stats_sql");
    restore(&target, file, &["--no-statistics"]);
    let without = run(pgstow().args(["sql", "--schema-only"]).arg(file)).success();
    assert!(!without.stdout.contains("pg_restore_"));
    let script = run(pgstow().args(["sql", "--statistics-only"]).arg(file)).success();
    target.psql(&script.stdout);
    assert_same_text(&statistics(source, false), &statistics(&target, false));
}

/// Only what was restored gets statistics.
fn selected(source: &Db, file: &Path) {
    let target = source.server().create_db("stats_some");
    restore(
        &target,
        file,
        &["-t", "plain", "-t", "arrays", "--exclude-table-data=arrays"],
    );
    let count = |table: &str| {
        target.query_one(&format!(
            "select count(*) from pg_stats where tablename = '{table}'"
        ))
    };
    assert_eq!(count("plain"), "7");
    assert_eq!(count("of_expressions"), "3");
    assert_eq!(count("arrays"), "0");

    // An index that is chosen by its name brings its own, a table that comes along has none.
    let target = source.server().create_db("stats_index");
    restore(&target, file, &["-I", "of_expressions"]);
    let some = "select string_agg(distinct tablename, ' ') from pg_stats
                where schemaname !~ '^(pg_|info)'";
    assert_eq!(target.query_one(some), "of_expressions");

    // What is known of a partitioned table goes with the rows of any partition.
    let dir = tempfile::tempdir().unwrap();
    let in_part = dir.path().join("in_part");
    let excluded = "--exclude-table-data=part_1";
    dump(source, &in_part, &[excluded, "-t", "part*"]);
    for (archive, options) in [(file, &[excluded, "-t", "part*"][..]), (&in_part, &[])] {
        let target = source.server().create_db("stats_in_part");
        restore(&target, archive, options);
        assert_eq!(target.query_one(some), "part_2");
        assert_eq!(
            target.query_one("select reltuples from pg_class where relname = 'parts'"),
            "-1"
        );
    }

    // Schema alone is without, unless asked.
    let target = source.server().create_db("stats_schema");
    restore(&target, file, &["-s"]);
    assert_eq!(
        target.query_one("select count(*) from pg_stats where schemaname !~ '^(pg_|info)'"),
        "0"
    );
    let target = source.server().create_db("stats_schema_with");
    restore(&target, file, &["-s", "--statistics"]);
    let attributes = "select count(*) from pg_stats where tablename = 'parts'";
    assert_eq!(source.query_one(attributes), target.query_one(attributes));
}

/// An archive of nothing but statistics, into a database that has the tables.
fn alone(source: &Db, dir: &Path) {
    let (all, only) = (dir.join("all"), dir.join("only"));
    dump(source, &all, &["--no-statistics"]);
    dump(source, &only, &["--statistics-only"]);
    let listed = run(pgstow().args(["list", "--json"]).arg(&only)).success();
    let kinds: Vec<serde_json::Value> = listed
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].clone())
        .filter(|kind| !kind.is_null())
        .collect();
    assert_eq!(kinds, ["STATISTICS DATA"]);
    let target = source.server().create_db("stats_alone");
    restore(&target, &all, &[]);
    assert_eq!(
        target.query_one("select count(*) from pg_stats where schemaname !~ '^(pg_|info)'"),
        "0"
    );
    restore(&target, &only, &["-t", "plain"]);
    assert_eq!(
        target.query_one("select count(*) from pg_stats where tablename = 'arrays'"),
        "0"
    );
    restore(&target, &only, &[]);
    assert_same_text(&statistics(source, false), &statistics(&target, false));

    // What is not there is named, and is no failure.
    let empty = source.server().create_db("stats_nothing");
    let output = restore(&empty, &only, &[]);
    assert!(output.stderr.contains("public.plain"), "{}", output.stderr);
    let named = output.stderr.matches("warning: statistics of ").count();
    assert_eq!(named, 18, "{}", output.stderr);
}

#[test]
fn from_18_to_18() {
    there_and_back(18);
}

#[test]
fn from_13_and_15_to_18() {
    there_and_back(13);
    there_and_back(15);
}

#[test]
fn into_17_they_are_passed_over_or_computed() {
    let source = source(18, "stats17");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    dump(&source, &file, &[]);
    let own = "select count(*) from pg_stats where schemaname !~ '^(pg_|info)'";
    let target = Server::start(17).create_db("stats17_without");
    let output = restore(&target, &file, &[]);
    let hints = output.stderr.matches("--analyze").count();
    assert_eq!(hints, 1, "{}", output.stderr);
    assert_eq!(target.query_one(own), "0");

    for major in [17, 18] {
        let target = Server::start(major).create_db("stats17_analyzed");
        let output = restore(&target, &file, &["--analyze", "--no-statistics"]);
        assert!(!warned(&output), "{}", output.stderr);
        assert_same_data(&source, &target);
        // Everything that has rows, each table once, also what was never analyzed at the source.
        let analyzed =
            "select string_agg(relname || ' ' || reltuples, ', ' order by relname) from pg_class
             where relkind in ('r', 'p', 'm') and relname !~ '^(pg_|sql_)'";
        let found = target.query_one(analyzed);
        assert!(found.contains("never_analyzed 1000"), "{found}");
        assert!(found.contains("parts 401"), "{found}");
        assert!(!found.contains("-1"), "{found}");
        let inherited = "select count(*) from pg_stats where tablename = 'parts' and inherited";
        assert_eq!(target.query_one(inherited), "2");
        let extended = "select count(*) from pg_statistic_ext_data";
        assert_eq!(target.query_one(extended), "1");
    }
}

#[test]
fn what_a_role_may_not_see_is_said_once() {
    let source = source(18, "stats_hidden");
    let server = source.server();
    server.psql("create role stats_reader login");
    source.psql(
        "grant usage on schema \"sch\"\"ema ä\" to stats_reader;
         grant select on all tables in schema public to stats_reader;
         grant select on all tables in schema \"sch\"\"ema ä\" to stats_reader;",
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    // An expression index has privileges of its own, which nobody can grant.
    let output = run(pgstow()
        .args(["dump", &source.url_as("stats_reader", None), "-f"])
        .arg(&file))
    .success();
    let said: Vec<&str> = output
        .stderr
        .lines()
        .filter(|line| line.contains("planner statistics"))
        .collect();
    assert_eq!(said.len(), 1, "{}", output.stderr);
    assert!(said[0].contains("3 columns in 1 relations"), "{}", said[0]);
    source.psql("drop owned by stats_reader; drop role stats_reader");
}

#[test]
fn bytes_that_are_no_text_are_left_out_and_counted() {
    let ascii = |name| {
        let options = "encoding 'SQL_ASCII' template template0 locale 'C'";
        Server::start(18).create_db_with(name, options)
    };
    let (source, target) = (ascii("stats_bytes"), ascii("stats_bytes_copy"));
    source.psql(
        "create table t (a int, b text) with (autovacuum_enabled = off);
         insert into t select i, convert_from('\\xe4'::bytea || decode(to_hex(48 + i % 5), 'hex'), 'SQL_ASCII')
           from generate_series(1, 100) i;
         analyze t;",
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    let output = dump(&source, &file, &[]);
    assert!(
        output
            .stderr
            .contains("statistics of 1 columns are left out"),
        "{}",
        output.stderr
    );
    restore(&target, &file, &[]);
    assert_same_data(&source, &target);
    assert_eq!(
        target.query_one("select string_agg(attname, ',') from pg_stats where tablename = 't'"),
        "a"
    );
}
