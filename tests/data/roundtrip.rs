//! What goes out of one database comes back in another: objects, rows, and the archive of the
//! copy is the archive of the original.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Db, Server, assert_same_data, assert_same_schema, pgstow, run};
use pretty_assertions::assert_eq;

/// Which constraints are validated: of those that come from a parent pg_dump does not say it.
/// The names of copied foreign keys are chosen by the server.
const VALIDATED: &str = "
    select conrelid::regclass::text, contype, confrelid::regclass::text,
           case contype when 'c' then conname end, convalidated
      from pg_constraint where contype in ('c', 'f') and conrelid <> 0
     order by 1, 2, 3, 4, 5";

/// Dumps `source`, restores into a new database, and holds both against each other in every way.
fn round_trip(source: &Db, dump_options: &[&str], restore_options: &[&str]) -> Db {
    let dir = tempfile::tempdir().unwrap();
    let first = dir.path().join("first.pgstow");
    run(pgstow()
        .args(["dump", "-d", &source.url(), "-f"])
        .arg(&first)
        .args(dump_options))
    .success();
    run(pgstow().arg("verify").arg(&first)).success();
    let target = source.server().create_db("copy");
    run(pgstow()
        .args(["restore", "-d", &target.url()])
        .args(restore_options)
        .arg(&first))
    .success();
    assert_same_schema(source, &target);
    assert_same_data(source, &target);
    assert_eq!(source.query_rows(VALIDATED), target.query_rows(VALIDATED));
    run(pgstow()
        .args(["verify", "--against", &target.url()])
        .arg(&first))
    .success();

    let second = dir.path().join("second.pgstow");
    run(pgstow()
        .args(["dump", "-d", &target.url(), "-f"])
        .arg(&second)
        .args(dump_options))
    .success();
    assert_eq!(
        toc(&first),
        toc(&second),
        "the copy's table of contents differs"
    );
    let fingerprints_of_first = fingerprints(&first);
    let entries = toc(&first);
    let statistics = entries.matches("\"type\":\"statistics\"").count();
    let data_entries = entries.matches("\"data\":").count() - statistics;
    assert_eq!(fingerprints_of_first.is_empty(), data_entries == 0);
    assert_eq!(fingerprints_of_first, fingerprints(&second));
    target
}

/// The table of contents as it is stored, a line per entry.
fn toc(archive: &Path) -> String {
    let listing = run(Command::new("tar").arg("tf").arg(archive))
        .success()
        .stdout;
    let member = listing
        .lines()
        .find(|name| name.starts_with("pgstow/toc.jsonl"))
        .expect("an archive has a table of contents")
        .to_owned();
    let mut tar = Command::new("tar")
        .arg("xOf")
        .arg(archive)
        .arg(&member)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = Command::new("zstd")
        .args(["-dc"])
        .stdin(tar.stdout.take().unwrap())
        .output()
        .unwrap();
    assert!(tar.wait().unwrap().success() && output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// Rows and content fingerprint of everything with data, by the statement that loads it: leaves of
/// a tree that is loaded through its root count as one, their rows may move between them.
fn fingerprints(archive: &Path) -> BTreeMap<String, (u64, u128)> {
    let listed = run(pgstow().args(["list", "--json"]).arg(archive))
        .success()
        .stdout;
    let mut tables = BTreeMap::new();
    for line in listed.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let Some(table) = entry.get("table") else {
            continue;
        };
        // What the server thinks of its tables is its own affair.
        if entry["data"]["type"] == "statistics" {
            continue;
        }
        let name = match entry["data"]["copy_in"].as_str() {
            Some(statement) => statement.to_owned(),
            None => entry["name"].to_string(),
        };
        let fingerprint = table["fingerprint"].as_str().unwrap();
        let (sum, _) = fingerprint.split_once(':').unwrap();
        let sum = u128::from_str_radix(sum, 16).unwrap();
        let total: &mut (u64, u128) = tables.entry(name).or_default();
        total.0 += table["rows"].as_u64().unwrap();
        total.1 = total.1.wrapping_add(sum);
    }
    tables
}

fn every_feature(major: u32) {
    let server = Server::start(major);
    let source = server.create_db("features");
    source.load_fixtures();
    // So it is by itself only where there are very many small tables.
    let packs: &[&str] = match major {
        13 | 18 => &["--pack-tables=always"],
        _ => &[],
    };
    round_trip(&source, packs, &["-j", "3"]);
    extremes_in_binary(&server);
}

/// Values at the ends of what each built-in type holds, as a list of SQL literals, and the majors that know them.
const EXTREMES: [(&str, u32, &str); 58] = [
    ("boolean", 13, "t|f"),
    ("\"char\"", 13, "|a|~"),
    (
        "name",
        13,
        "|a b|aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ),
    ("smallint", 13, "-32768|0|32767"),
    ("integer", 13, "-2147483648|0|2147483647"),
    ("bigint", 13, "-9223372036854775808|0|9223372036854775807"),
    ("oid", 13, "0|4294967295"),
    ("xid", 13, "0|4294967295"),
    ("cid", 13, "0|4294967295"),
    ("xid8", 13, "0|18446744073709551615"),
    ("tid", 13, "(0,0)|(4294967295,65535)"),
    (
        "real",
        13,
        "-0|0|1e-45|-3.4028235e38|NaN|Infinity|-Infinity|0.1",
    ),
    (
        "double precision",
        13,
        "-0|5e-324|-1.7976931348623157e308|NaN|Infinity|-Infinity|0.1|0.30000000000000004",
    ),
    (
        "numeric",
        13,
        "0|-0.00|NaN|1e131071|-1e131071|1e-16383|0.0001|10000.0001|9999999999999999.9999|1.500",
    ),
    ("numeric", 14, "Infinity|-Infinity"),
    ("money", 13, "-92233720368547758.08|0|92233720368547758.07"),
    (
        "text",
        13,
        "|\\N|\\.| a\tb\\c\n\r\u{1}\u{7f}é\u{1F600}|NULL|{}",
    ),
    ("character varying", 13, "| |\\x00"),
    ("character varying(3)", 13, "|  a|äöü"),
    ("character(5)", 13, "| |  a|äöüß€"),
    ("bytea", 13, "|\\x00ff5c0a|\\x00"),
    (
        "date",
        13,
        "4714-11-24 BC|0001-12-31 BC|0001-01-01|5874897-12-31|infinity|-infinity",
    ),
    ("time without time zone", 13, "00:00|24:00|23:59:59.999999"),
    ("time(2) without time zone", 13, "00:00|12:00:00.11"),
    (
        "time with time zone",
        13,
        "00:00+15:59:59|24:00-15:59:59|12:00:00.000001+00",
    ),
    (
        "timestamp without time zone",
        13,
        "4714-11-24 00:00 BC|294276-12-31 23:59:59.999999|infinity|-infinity|2000-01-01",
    ),
    ("timestamp(0) without time zone", 13, "1999-12-31 23:59:59"),
    (
        "timestamp with time zone",
        13,
        "4714-11-24 00:00+00 BC|294276-12-31 23:59:59.999999+00|infinity|-infinity|1900-01-01 00:00:01+00",
    ),
    ("bit(3)", 13, "000|101"),
    ("bit varying", 13, "|1|10101010101010101"),
    (
        "uuid",
        13,
        "00000000-0000-0000-0000-000000000000|ffffffff-ffff-ffff-ffff-ffffffffffff",
    ),
    (
        "inet",
        13,
        "0.0.0.0/0|255.255.255.255|10.1.2.3/8|::/0|ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/127|::ffff:1.2.3.4",
    ),
    (
        "cidr",
        13,
        "0.0.0.0/0|10.0.0.0/8|::/0|2001:db8::/32|::1/128",
    ),
    ("macaddr", 13, "00:00:00:00:00:00|ff:ff:ff:ff:ff:ff"),
    (
        "macaddr8",
        13,
        "00:00:00:00:00:00:00:00|ff:ff:ff:ff:ff:ff:ff:ff",
    ),
    (
        "json",
        13,
        "null|{}|[]| { \"a\" : 1, \"a\" : 1e999999 } |\"\\u0000\"",
    ),
    (
        "jsonb",
        13,
        "null|{}|[]|\"\"|1e1000|-0.00|[[[[1,[{}]]]]]|{\"\": {\"é\": \"\\\\\"}}|12345678901234567890.12345678901234567890",
    ),
    (
        "jsonpath",
        13,
        "$|strict $|$.\"\"[*] ? (@ > 1e100 && exists(@.a))|$.a.type()|-$[0 to last]",
    ),
    ("tsvector", 13, "|'a b':1A,16383 c|'''':3D,4"),
    ("point", 13, "(0,-0)|(1e-300,1e300)|(NaN,Infinity)"),
    ("lseg", 13, "[(0,0),(0,0)]|[(-Infinity,1),(NaN,2)]"),
    (
        "path",
        13,
        "((0,0))|[(0,0)]|[(1,2),(3,4),(5,6)]|((1,2),(3,4))",
    ),
    ("box", 13, "(0,0),(0,0)|(1e300,2),(-3,-1e300)"),
    ("polygon", 13, "((0,0))|((0,0),(1,1),(Infinity,2))"),
    ("line", 13, "{1,0,0}|{0,-1,1e300}"),
    ("circle", 13, "<(0,0),0>|<(-1,1e300),Infinity>"),
    ("pg_lsn", 13, "0/0|FFFFFFFF/FFFFFFFF"),
    ("txid_snapshot", 13, "1:1:|10:20:10,14,19"),
    ("pg_snapshot", 13, "1:1:|10:20:10,14,19"),
    ("refcursor", 13, "|a b"),
    (
        "int4range",
        13,
        "empty|(,)|[-2147483648,2147483647)|(,0)|[7,)",
    ),
    (
        "int8range",
        13,
        "empty|(,)|[-9223372036854775808,9223372036854775807)",
    ),
    (
        "numrange",
        13,
        "empty|(,)|(1.0,1.00]|[-1e1000,NaN]|[1.10,1.1]",
    ),
    (
        "tsrange",
        13,
        "empty|(,)|(-infinity,infinity]|[4714-11-24 00:00 BC,294276-12-31 23:59:59.999999]",
    ),
    (
        "tstzrange",
        13,
        "empty|(,)|[-infinity,infinity)|(4714-11-24 00:00+00 BC,)",
    ),
    (
        "daterange",
        13,
        "empty|(,)|[-infinity,infinity]|[4714-11-24 BC,5874897-12-31)",
    ),
    // Infinity is sent as another value to servers before 17, which take it for that.
    (
        "interval",
        13,
        "178956970 years 7 mons 2147483647 days 00:00:00.000001|-178956970 years -8 mons|1 mon -1 days|-00:00:00.000001|2147483647:59:59.999999|0",
    ),
    ("interval(1)", 13, "-1 days +00:00:00.1"),
];

const MULTIRANGES: [(&str, &str); 6] = [
    ("int4multirange", "{}|{(,)}|{[1,2),[3,4)}|{(,-5),[5,)}"),
    (
        "int8multirange",
        "{}|{(,)}|{[-9223372036854775808,9223372036854775807)}",
    ),
    ("nummultirange", "{}|{(,)}|{(1.0,1.00],(2,NaN]}"),
    ("tsmultirange", "{}|{[-infinity,infinity]}"),
    (
        "tstzmultirange",
        "{}|{(,\"2000-01-01 00:00:00+00\"),[\"2001-01-01 00:00:00+00\",infinity]}",
    ),
    (
        "datemultirange",
        "{}|{(,)}|{[-infinity,2000-01-01),[2001-01-01,infinity]}",
    ),
];

/// Those that no dump sends in binary.
const ONLY_TEXT: &str = "'aclitem', 'gtsvector', 'int2vector', 'oidvector', 'pg_brin_bloom_summary',
    'pg_brin_minmax_multi_summary', 'pg_ddl_command', 'pg_dependencies', 'pg_mcv_list', 'pg_ndistinct',
    'pg_node_tree', 'regclass', 'regcollation', 'regconfig', 'regdatabase', 'regdictionary', 'regnamespace', 'regoper',
    'regoperator', 'regproc', 'regprocedure', 'regrole', 'regtype', 'tsquery', 'xml'";

/// Every built-in type that may go in binary, with its extremes, alone and in arrays.
fn extremes_in_binary(server: &std::sync::Arc<Server>) {
    let major = server.major();
    let is_known =
        |name: &str, since: u32| major >= since && !(major >= 17 && name.starts_with("interval"));
    let mut values: Vec<(&str, &str)> = EXTREMES
        .iter()
        .filter(|(name, since, _)| is_known(name, *since))
        .map(|(name, _, values)| (*name, *values))
        .collect();
    if major >= 14 {
        values.extend(MULTIRANGES);
    }
    let source = server.create_db("extremes");
    let mut sql = String::from(
        "create extension citext; create extension hstore; create extension ltree; create extension cube;
         create type mood as enum ('', 'a ''b'); create domain price as numeric(10,2);
         create table labels (m mood, p price, c citext, h hstore, l ltree, q lquery, x ltxtquery);
         insert into labels values ('', -0.01, '', '', '', '*', 'a'),
             ('a ''b', 99999999.99, 'Éa', '\"\"=>NULL, \" a\"=>\"\"', 'a.b', 'a.*{1,}.!b', 'a & !b*@'), (null, null, null, null, null, null, null);\n",
    );
    if major >= 14 {
        sql.push_str(
            "create table cubes (c cube); insert into cubes values ('()'), ('(1e300,-0),(NaN,2)'), ('(1)');\n",
        );
    }
    for (number, (name, values)) in values.iter().enumerate() {
        let listed: Vec<String> = values
            .split('|')
            .map(|value| format!("'{}'::{name}", value.replace('\'', "''")))
            .collect();
        let listed = listed.join(", ");
        sql.push_str(&format!(
            "create table t{number} (id int, v {name}, a {name}[]);
             insert into t{number} select n, v, array_fill(v, array[2, 2], array[-3, 0])
                 from unnest(array[{listed}]) with ordinality u (v, n);
             insert into t{number} values (0, null, '{{}}'), (-1, null, array[null::{name}]), (-2, null, array[{listed}]), (-3, null, null);\n",
        ));
    }
    source.psql(&sql);
    // Who adds a type to the server is asked what becomes of it.
    let unheard = source.query_rows(&format!(
        "select typname from pg_type t where typnamespace = 'pg_catalog'::regnamespace and oid < 12000
            and typtype in ('b', 'r', 'm') and typname not in ({ONLY_TEXT})
            and not (typname = 'interval' and {major} >= 17)
            and not (typelem <> 0 and typlen = -1 and typoutput = 'array_out'::regproc)
            and oid not in (select atttypid from pg_attribute where attname = 'v' and attrelid >= 16384)
          order by 1"
    ));
    assert!(unheard.is_empty(), "{unheard:?}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.pgstow");
    run(pgstow()
        .args(["dump", "--copy-format=binary", &source.url(), "-f"])
        .arg(&file))
    .success();
    let target = server.create_db("extremes");
    run(pgstow().args(["restore", "-d", &target.url()]).arg(&file)).success();
    assert_same_data(&source, &target);
}

#[test]
fn every_feature_on_13() {
    every_feature(13);
}

#[test]
fn every_feature_on_14() {
    every_feature(14);
}

#[test]
fn every_feature_on_15() {
    every_feature(15);
}

#[test]
fn every_feature_on_16() {
    every_feature(16);
}

#[test]
fn every_feature_on_17() {
    every_feature(17);
}

#[test]
fn every_feature_on_18() {
    every_feature(18);
}

#[test]
fn text_format_and_every_codec() {
    for (codec, format, packs) in [
        ("gzip:1", "text", "always"),
        ("lz4", "text", "always"),
        ("none", "auto", "always"),
        ("zstd:9", "text", "never"),
    ] {
        let source = Server::start(18).create_db("codecs");
        source.load_fixture("data");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        let compress = format!("--compress={codec}");
        let format = format!("--copy-format={format}");
        let packs = format!("--pack-tables={packs}");
        run(pgstow()
            .args(["dump", "-j1", &source.url(), &compress, &format, &packs])
            .arg("-f")
            .arg(&file))
        .success();
        run(pgstow().arg("verify").arg(&file)).success();
        let target = source.server().create_db("copy");
        run(pgstow()
            .args(["restore", "-j2", "-d", &target.url()])
            .arg(&file))
        .success();
        assert_same_schema(&source, &target);
        assert_same_data(&source, &target);
    }
}

/// Several frames, on whatever levels the machine leaves room for.
#[test]
fn adaptive_level_of_zstd() {
    let source = Server::start(18).create_db("adaptive");
    source.load_fixture("data");
    source.psql(
        "create table long (id int, name text, digest text);
         insert into long select n, 'name ' || n % 1000, md5(n::text) from generate_series(1, 600000) n;",
    );
    round_trip(&source, &["--compress=zstd:auto", "-j2"], &["-j2"]);

    let dir = tempfile::tempdir().unwrap();
    let dump = |compress: &str| {
        let file = dir.path().join(compress);
        let compress = format!("--compress={compress}");
        let out = run(pgstow()
            .args(["dump", "--json", &source.url(), &compress, "-f"])
            .arg(&file))
        .success();
        let done: serde_json::Value =
            serde_json::from_str(out.stdout.lines().last().unwrap()).unwrap();
        let out = run(pgstow().args(["list", "--json"]).arg(&file)).success();
        let listed: serde_json::Value =
            serde_json::from_str(out.stdout.lines().next().unwrap()).unwrap();
        (file, done["report"].clone(), listed["archive"].clone())
    };
    let (adaptive, report, archive) = dump("zstd:auto");
    let mean = report["zstd_level"].as_f64().unwrap();
    assert!((1.0..=9.0).contains(&mean), "{mean}");
    assert_eq!(archive["codec"], "zstd:1");
    assert_eq!(archive["options"]["zstd_level"], "auto");
    let (fixed, report, archive) = dump("zstd:1");
    assert!(report.get("zstd_level").is_none(), "{report}");
    assert!(archive["options"].get("zstd_level").is_none(), "{archive}");
    assert_eq!(toc(&adaptive), toc(&fixed));
    assert_eq!(fingerprints(&adaptive), fingerprints(&fixed));
}

/// An event trigger that forbids every command lets the restore finish: it comes after all that
/// it would fire on, refreshes too.
#[test]
fn event_triggers_do_not_fire_on_the_restore() {
    for major in [15, 18] {
        let source = Server::start(major).create_db("forbidden");
        source.psql(
            "create table t (id int primary key, v text);
             insert into t values (1, 'x');
             create materialized view m as select count(*) from t;
             create materialized view n as select * from m;
             create index on n (count);",
        );
        source.psql(
            "create function refuse() returns event_trigger language plpgsql as
                 'begin raise ''no % here'', tg_tag; end';
             create event trigger refuse_start on ddl_command_start execute function refuse();
             create event trigger refuse_end on ddl_command_end execute function refuse();
             comment on event trigger refuse_start is 'refuses';",
        );
        round_trip(&source, &["-j", "2"], &["-j", "3"]);
    }
}

/// A privilege that was passed on is given again in the name of him who did, and the rest of the
/// restore is still done by the role that was asked for: the event trigger, which comes last, is
/// its own.
#[test]
fn grants_by_others_do_not_undo_the_role() {
    for major in [13, 18] {
        let server = Server::start(major);
        let source = server.create_db("chains");
        source.load_fixture("privileges");
        source.psql(
            "create function public.watch() returns event_trigger language plpgsql as 'begin end';
             create event trigger watcher on sql_drop execute function public.watch();
             do $$ begin create role fx_boss superuser; exception when others then end $$;",
        );
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        run(pgstow().args(["dump", &source.url(), "-f"]).arg(&file)).success();
        let passed_on = "select a.grantor::regrole, a.grantee::regrole, a.privilege_type
              from pg_class c, aclexplode(c.relacl) a
             where c.oid = 'fx_privileges.chained'::regclass and a.grantor <> c.relowner";
        let owners = "select o::regrole from pg_event_trigger e, unnest(array[evtowner]) o";
        let check = |target: &Db| {
            assert_eq!(source.query_rows(passed_on), target.query_rows(passed_on));
            assert_eq!(source.query_rows(passed_on).len(), 2);
            assert_eq!(target.query_one(owners), "fx_boss");
        };
        let target = server.create_db("copy");
        run(pgstow()
            .args(["restore", "--no-owner", "--role=fx_boss", "-d"])
            .args([&target.url()])
            .arg(&file))
        .success();
        check(&target);
        let script = run(pgstow()
            .args(["sql", "--schema-only", "--role=fx_boss", "--no-owner"])
            .arg(&file))
        .success()
        .stdout;
        let target = server.create_db("scripted");
        target.psql(&script);
        check(&target);
    }
}

/// There is no provider of security labels that could be loaded here: labels are put where one
/// would put them, on every sort of object that can have one.
#[test]
fn security_labels() {
    for major in [13, 15, 18] {
        let server = Server::start(major);
        let source = server.create_db("labels");
        source.psql(
            r#"create schema "S ""1";
             set search_path = "S ""1";
             create table t (id int, "C c" text);
             create table p (id int) partition by range (id);
             create view v as select 1 as x;
             create materialized view m as select 1 as x;
             create sequence s;
             create foreign data wrapper w; create server sv foreign data wrapper w;
             create foreign table f (x int) server sv;
             create type c as (a int, b int);
             create type e as enum ('a');
             create type r as range (subtype = int);
             create domain d as int;
             create function fn(int, text) returns int language sql as 'select 1';
             create procedure pr(int) language sql as 'select 1';
             create aggregate ag(int) (sfunc = int4pl, stype = int);
             create language "L l" handler plpgsql_call_handler;
             create function w() returns event_trigger language plpgsql as 'begin end';
             create event trigger ev on sql_drop execute function w();
             create publication pu; 
             set client_min_messages = error;
             create subscription su connection 'dbname=x' publication p with (connect = false);
             create extension citext;
             select lo_create(770001);
             set allow_system_table_mods = on;
             create temp view labelled as
               select 1259 as class, oid, 0 as part, 'rel ' || relname as label from pg_class
                where relnamespace = '"S ""1"'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S', 'f')
               union all select 1259, 't'::regclass, 2, 'a column'
               union all select 1247, oid, 0, 'type ' || typname from pg_type
                where oid in ('c'::regtype, 'e'::regtype, 'r'::regtype, 'd'::regtype)
               union all select 1255, oid, 0, 'fun ' || proname from pg_proc
                where oid in ('fn(int, text)'::regprocedure, 'pr(int)'::regprocedure, 'ag(int)'::regprocedure,
                              'now()'::regprocedure, 'citext_eq(citext, citext)'::regprocedure)
               union all select 2612, oid, 0, 'lan' from pg_language where lanname = 'L l'
               union all select 2615, oid, 0, 'it''s a \ label' from pg_namespace where nspname = 'S "1'
               union all select 3466, oid, 0, 'event' from pg_event_trigger
               union all select 6104, oid, 0, 'pub' from pg_publication
               union all select 6100, oid, 0, 'sub' from pg_subscription where subname = 'su'
               union all select 2613, 770001, 0, 'lob';
             insert into pg_seclabel (objoid, classoid, objsubid, provider, label)
               select oid, class, part, 'Some "provider', label from labelled
                where class <> 6100;
             insert into pg_shseclabel (objoid, classoid, provider, label)
               select oid, 1262, 'other', 'the database' from pg_database where datname = current_database();"#,
        );
        // Those of subscriptions are in the one or the other catalog.
        source.psql(
            "set allow_system_table_mods = on;
             insert into pg_seclabel (objoid, classoid, objsubid, provider, label)
               select oid, 6100, 0, 'other', 'sub' from pg_subscription where subname = 'su'",
        );
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        run(pgstow().args(["dump", &source.url(), "-f"]).arg(&file)).success();
        let script = run(pgstow().args(["sql", "--schema-only"]).arg(&file))
            .success()
            .stdout;
        let large = run(pgstow().args(["list", "--json"]).arg(&file))
            .success()
            .stdout;
        let provider = r#"SECURITY LABEL FOR "Some ""provider" ON"#;
        for on in [
            r#"TABLE "S ""1".t IS 'rel t'"#,
            r#"TABLE "S ""1".p IS 'rel p'"#,
            r#"COLUMN "S ""1".t."C c" IS 'a column'"#,
            r#"VIEW "S ""1".v IS 'rel v'"#,
            r#"MATERIALIZED VIEW "S ""1".m IS 'rel m'"#,
            r#"SEQUENCE "S ""1".s IS 'rel s'"#,
            r#"FOREIGN TABLE "S ""1".f IS 'rel f'"#,
            r#"TYPE "S ""1".c IS 'type c'"#,
            r#"TYPE "S ""1".e IS 'type e'"#,
            r#"TYPE "S ""1".r IS 'type r'"#,
            r#"DOMAIN "S ""1".d IS 'type d'"#,
            r#"FUNCTION "S ""1".fn(integer, text) IS 'fun fn'"#,
            r#"PROCEDURE "S ""1".pr(IN integer) IS 'fun pr'"#,
            r#"AGGREGATE "S ""1".ag(integer) IS 'fun ag'"#,
            r#"LANGUAGE "L l" IS 'lan'"#,
            r#"SCHEMA "S ""1" IS E'it''s a \\ label'"#,
            "EVENT TRIGGER ev IS 'event'",
            "PUBLICATION pu IS 'pub'",
            "FUNCTION pg_catalog.now() IS 'fun now'",
            r#"FUNCTION "S ""1".citext_eq("S ""1".citext,"S ""1".citext) IS 'fun citext_eq'"#,
        ] {
            let statement = format!("{provider} {on};");
            // Before 14 arguments of procedures are written without their mode.
            let before_14 = statement.replace("(IN ", "(");
            assert!(
                script.contains(&statement) || major < 14 && script.contains(&before_14),
                "{major}: {statement} in {script}"
            );
        }
        assert!(script.contains("SECURITY LABEL FOR other ON SUBSCRIPTION su IS 'sub';"));
        assert!(large.contains("ON LARGE OBJECT 770001 IS 'lob'"), "{large}");
        assert!(large.contains("the database"), "{large}");

        let target = server.create_db("copy");
        let said = run(pgstow().args(["restore", "-d", &target.url()]).arg(&file))
            .expect_code(1)
            .stderr;
        assert!(said.contains("--no-security-labels"), "{said}");
        let target = server.create_db("copy");
        run(pgstow()
            .args(["restore", "--no-security-labels", "-d", &target.url()])
            .arg(&file))
        .success();
        let count = "select count(*) from pg_seclabel";
        assert_eq!(target.query_one(count), "0");
        let unlabelled = run(pgstow()
            .args(["dump", "--no-security-labels", &source.url(), "-f"])
            .arg(&file))
        .success();
        drop(unlabelled);
        let script = run(pgstow().args(["sql", "--schema-only"]).arg(&file))
            .success()
            .stdout;
        assert!(!script.contains("SECURITY LABEL"), "{script}");
        // Nothing can remove them by a statement.
        source.psql(
            "set allow_system_table_mods = on; delete from pg_seclabel; delete from pg_shseclabel",
        );
    }
}

/// An extension comes in the target's version, with a warning, or pinned to the source's.
#[test]
fn versions_of_extensions() {
    for major in [13, 18] {
        let server = Server::start(major);
        let source = server.create_db("versions");
        source.psql("create extension hstore version '1.4'; create extension citext;");
        let version = "select extversion from pg_extension where extname = 'hstore'";
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        let restore = |options: &[&str]| {
            let target = server.create_db("copy");
            let out = run(pgstow()
                .args(["restore", "-d", &target.url()])
                .args(options)
                .arg(&file))
            .success();
            (target.query_one(version), out.stderr)
        };
        run(pgstow().args(["dump", &source.url(), "-f"]).arg(&file)).success();
        let (made, said) = restore(&[]);
        assert_ne!(made, "1.4");
        let warning =
            format!("EXTENSION hstore is made in version {made}, on the source it was 1.4");
        assert!(said.contains(&warning), "{said}");
        assert!(!said.contains("citext"), "{said}");
        let (made, said) = restore(&["--extension-versions"]);
        assert_eq!(made, "1.4");
        assert!(!said.contains("hstore is made"), "{said}");
        run(pgstow()
            .args(["dump", "--extension-versions", &source.url(), "-f"])
            .arg(&file))
        .success();
        assert_eq!(restore(&[]).0, "1.4");
        assert_eq!(restore(&["--extension-versions"]).0, "1.4");
    }
}

/// What the target's server does not offer is known before anything is made.
#[test]
fn an_extension_that_the_target_does_not_offer() {
    let source = Server::start(18).create_db("offers");
    source.psql("create schema before_it;");
    source.load_fixture("extension-settings");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    run(pgstow().args(["dump", &source.url(), "-f"]).arg(&file)).success();
    let target = Server::start(15).create_db("lacks");
    let said = run(pgstow().args(["restore", "-d", &target.url()]).arg(&file))
        .expect_code(6)
        .stderr;
    let error =
        "impossible: EXTENSION pgstow_settings: the target's server does not have the extension";
    assert!(said.contains(error), "{said}");
    let made = "select count(*) from pg_namespace where nspname = 'before_it'";
    assert_eq!(target.query_one(made), "0");

    // The database that would be made anew is still there.
    let create = format!("create database \"{}\"", source.name());
    target.psql(&create);
    let oid = format!(
        "select oid from pg_database where datname = '{}'",
        source.name()
    );
    let before = target.query_one(&oid);
    let said = run(pgstow()
        .args(["restore", "--clean", "--create", "-d", &target.url()])
        .arg(&file))
    .expect_code(6)
    .stderr;
    assert!(said.contains(error), "{said}");
    assert_eq!(target.query_one(&oid), before);
    target.psql(&format!("drop database \"{}\"", source.name()));
}

/// What was added to an extension by hand is in no extension's script: its privileges find nothing
/// in the copy, which is told and stops nothing.
#[test]
fn members_that_the_copy_of_an_extension_lacks() {
    let source = Server::start(18).create_db("members");
    source.psql(
        "create extension hstore;
         comment on extension hstore is null;
         create table added (a int);
         create function added(int) returns int language sql as 'select 1';
         alter extension hstore add table added;
         alter extension hstore add function added(int);
         grant select (a) on added to public;
         revoke execute on function added(int) from public;
         revoke execute on function akeys(hstore) from public;
         create table plain (h hstore);
         grant select on plain to public;",
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    run(pgstow().args(["dump", &source.url(), "-f"]).arg(&file)).success();
    for more in [&["-j", "3"][..], &["-j", "1", "--continue"], &["-1"]] {
        let target = source.server().create_db("copy");
        let mut restore = pgstow();
        restore.args(["restore", "-d", &target.url()]).args(more);
        let said = run(restore.arg(&file)).success().stderr;
        let lines = said
            .lines()
            .filter(|line| line.contains("left out the privileges on"));
        let lines: Vec<&str> = lines.collect();
        assert_eq!(lines.len(), 2, "{said}");
        assert!(said.contains("FUNCTION public.added(integer)"), "{said}");
        assert!(said.contains("TABLE public.added"), "{said}");
        let granted = "select has_table_privilege('public', 'plain', 'select')
                           and not has_function_privilege('public', 'akeys(hstore)', 'execute')
                           and (select obj_description(oid, 'pg_extension') is null
                                  from pg_extension where extname = 'hstore')";
        assert_eq!(target.query_one(granted), "t");
    }
}

/// The parent's went with its column, the child's stayed: pg_dump takes it for inherited.
#[test]
fn a_constraint_whose_parent_has_lost_it() {
    for major in [13, 18] {
        let source = Server::start(major).create_db("orphans");
        source.psql(
            "create table parent (a int, b int constraint \"b > 0\" check (b > 0));
             create table child () inherits (parent); create table grandchild () inherits (child);
             alter table only parent drop column b;",
        );
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        let said = run(pgstow().args(["dump", &source.url(), "-f"]).arg(&file)).success();
        let warning = "constraint \"b > 0\" of public.child is inherited, but no parent has it";
        assert_eq!(
            said.stderr.matches("no parent has it").count(),
            1,
            "{}",
            said.stderr
        );
        assert!(said.stderr.contains(warning), "{}", said.stderr);
        let target = source.server().create_db("copy");
        run(pgstow().args(["restore", "-d", &target.url()]).arg(&file)).success();
        let constraints = "select conrelid::regclass, conname, coninhcount from pg_constraint
                            where contype = 'c' and connamespace = 'public'::regnamespace";
        assert_eq!(
            target.query_rows(&format!("{constraints} order by 1")),
            [
                [Some("child"), Some("b > 0"), Some("0")],
                [Some("grandchild"), Some("b > 0"), Some("1")],
            ]
            .map(|row| row.map(|value| value.map(str::to_owned)).to_vec())
        );
    }
}

/// Without `--if-exists` too: what goes with something else needs not be there any more.
#[test]
fn clean_over_a_copy() {
    let source = Server::start(18).create_db("clean");
    for fixture in ["partitions", "sequences", "base-types", "foreign-keys"] {
        source.load_fixture(fixture);
    }
    let target = round_trip(&source, &[], &[]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    run(pgstow().args(["dump", &source.url(), "-f"]).arg(&file)).success();
    for more in [&[][..], &["--if-exists"]] {
        let mut restore = pgstow();
        restore.args(["restore", "--clean", "-d", &target.url()]);
        run(restore.args(more).arg(&file)).success();
        assert_same_schema(&source, &target);
        assert_same_data(&source, &target);
    }
}

#[test]
fn an_empty_database() {
    for major in [15, 18] {
        let source = Server::start(major).create_db("empty");
        round_trip(&source, &[], &[]);
    }
}

#[test]
fn the_shop() {
    for major in [15, 18] {
        let source = Server::start(major).create_db("shop");
        source.load_shop(0.3);
        round_trip(&source, &["-j", "2"], &["-j", "2"]);
    }
}

#[test]
fn two_thousand_tables() {
    let source = Server::start(18).create_db("many");
    source.psql(
        "do $$ begin for i in 1..2000 loop execute format(
            'create table t%s (id int primary key, v text); insert into t%s values (1, %L)', i, i, i);
            if i % 250 = 0 then commit; end if;
         end loop; end $$",
    );
    round_trip(&source, &[], &["-j", "4"]);
}

#[test]
fn a_table_far_larger_than_a_chunk() {
    for major in [15, 18] {
        let source = Server::start(major).create_db("large");
        source.psql(
            "create table big (id bigint primary key, a int, b numeric, c text);
             insert into big select i, i % 97, i * 1.25, repeat('x', 100) || i
               from generate_series(1, 600000) i;
             delete from big where id % 7 = 0;",
        );
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        run(pgstow()
            .args(["dump", "-j4", &source.url(), "-f"])
            .arg(&file))
        .success();
        let members = run(Command::new("tar").arg("tf").arg(&file))
            .success()
            .stdout;
        let chunks: std::collections::BTreeSet<_> = members
            .lines()
            .filter(|name| name.starts_with("data/"))
            .filter_map(|name| name.rsplit('/').next()?.split('-').next())
            .collect();
        assert!(chunks.len() > 1, "the table was not cut: {chunks:?}");
        let target = source.server().create_db("copy");
        run(pgstow()
            .args(["restore", "-j3", "-d", &target.url()])
            .arg(&file))
        .success();
        assert_same_data(&source, &target);
        run(pgstow()
            .args(["verify", "--against", &target.url()])
            .arg(&file))
        .success();
    }
}

#[test]
fn values_over_a_hundred_megabytes() {
    let source = Server::start(18).create_db("giant");
    source.psql(
        "create table giant (id int, t text, b bytea);
         alter table giant alter t set storage external, alter b set storage external;
         insert into giant values (1, repeat('pgstow', 20000000), null),
           (2, 'small', decode(repeat('00ff5c0a', 30000000), 'hex')), (3, null, null);",
    );
    for format in ["auto", "text"] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        let format = format!("--copy-format={format}");
        run(pgstow()
            .args(["dump", &source.url(), &format, "-f"])
            .arg(&file))
        .success();
        let target = source.server().create_db("copy");
        run(pgstow().args(["restore", "-d", &target.url()]).arg(&file)).success();
        assert_same_data(&source, &target);
    }
}

#[test]
fn through_a_pipe_in_parallel() {
    let source = Server::start(18).create_db("pipe");
    source.load_fixtures();
    source.psql(
        "create table public.wide as select i, md5(i::text) as a, repeat(md5(i::text), 10) as b
           from generate_series(1, 200000) i; alter table public.wide add primary key (i);",
    );
    let target = source.server().create_db("copy");
    let mut dump = pgstow()
        .args(["dump", "-j2", "--pack-tables=always", &source.url()])
        .args(["-f", "-"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let restore = pgstow()
        .args(["restore", "-j3", "-d", &target.url(), "-"])
        .stdin(dump.stdout.take().unwrap())
        .output()
        .unwrap();
    let dumped = dump.wait().unwrap();
    assert!(
        restore.status.success() && dumped.success(),
        "{dumped}: {}",
        String::from_utf8_lossy(&restore.stderr)
    );
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);
}

/// The larger tables come first in a dump, here against the direction of their foreign keys. A
/// pipe must bring them in an order that can be loaded as it comes.
#[test]
fn rows_alone_through_a_pipe_into_foreign_keys() {
    let source = Server::start(18).create_db("chain");
    source.psql(
        "create table a (id int primary key);
         create table b (id int primary key, a int references a, v text);
         create table c (id int primary key, b int references b, v text);",
    );
    let target = source.server().create_db("copy");
    let schema = tempfile::tempdir().unwrap();
    let file = schema.path().join("schema");
    run(pgstow()
        .args(["dump", "-s", &source.url(), "-f"])
        .arg(&file))
    .success();
    run(pgstow().args(["restore", "-d", &target.url()]).arg(&file)).success();
    source.psql(
        "insert into a select generate_series(1, 100);
         insert into b select n, n % 100 + 1, repeat('b', 100) from generate_series(1, 20000) n;
         insert into c select n, n % 20000 + 1, repeat('c', 300) from generate_series(1, 200000) n;",
    );
    let mut dump = pgstow()
        .args(["dump", "-a", "-j4", &source.url(), "-f", "-"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let restore = pgstow()
        .args(["restore", "-a", "-j4", "-d", &target.url(), "-"])
        .stdin(dump.stdout.take().unwrap())
        .output()
        .unwrap();
    let dumped = dump.wait().unwrap();
    assert!(
        restore.status.success() && dumped.success(),
        "{dumped}: {}",
        String::from_utf8_lossy(&restore.stderr)
    );
    assert_same_data(&source, &target);
}

#[test]
fn from_a_hot_standby() {
    for major in [15, 18] {
        let primary = Server::builder(major).start();
        let source = primary.create_db("standby");
        source.load_fixture("tables");
        source.load_fixture("partitions");
        source.psql("drop table if exists unlogged_here");
        let standby = primary.standby();
        standby.wait_for(&primary);
        let replica = standby.db(source.name());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        run(pgstow()
            .args([
                "dump",
                "-j2",
                "--no-unlogged-table-data",
                &replica.url(),
                "-f",
            ])
            .arg(&file))
        .success();
        let target = primary.create_db("copy");
        run(pgstow().args(["restore", "-d", &target.url()]).arg(&file)).success();
        assert_same_schema(&source, &target);
    }
}

#[test]
fn a_database_that_is_not_utf8() {
    let server = Server::start(18);
    let source = server.create_db_with("latin", "encoding 'LATIN1' locale 'C' template template0");
    source.psql(
        "create table t (id int primary key, v text); \
         insert into t values (1, 'Käse'), (2, E'tab\\tnew\\nline\\\\');",
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    run(pgstow().args(["dump", &source.url(), "-f"]).arg(&file)).success();
    for options in [
        "encoding 'LATIN1' locale 'C' template template0",
        "template template0",
    ] {
        let target = server.create_db_with("copy", options);
        run(pgstow().args(["restore", "-d", &target.url()]).arg(&file)).success();
        // Each session has its database's encoding: the bytes are to be compared in one of them.
        let rows = "select id, encode(convert_to(v, 'UTF8'), 'hex') from t order by id";
        assert_eq!(source.query_rows(rows), target.query_rows(rows));
    }
    // No server converts from LATIN1 to LATIN9, and one that keeps bytes would have two sorts of them.
    for (encoding, why) in [
        ("LATIN9", "has no conversion"),
        ("SQL_ASCII", "keeps bytes as they come"),
    ] {
        let options = format!("encoding '{encoding}' locale 'C' template template0");
        let target = server.create_db_with("unfit", &options);
        for args in [
            &["restore", "-d", &target.url(), file.to_str().unwrap()][..],
            &["copy", &source.url(), &target.url()],
        ] {
            let refused = run(pgstow().args(args)).expect_code(6).stderr;
            assert!(refused.contains(why), "{refused}");
            assert!(
                refused.contains("ENCODING 'LATIN1', or 'UTF8'"),
                "{refused}"
            );
        }
        assert_eq!(target.query_one("SELECT to_regclass('t') IS NULL"), "t");
    }
}

/// What a restore computes is what the target's own settings make of it, as with pg_restore: stored columns, keys
/// of indexes, materialized views, what triggers write.
#[test]
fn what_is_computed_follows_the_settings_of_the_target() {
    let server = Server::start(18);
    let settled = |name: &str| {
        let db = server.create_db(name);
        for setting in [
            "datestyle = 'SQL, DMY'",
            "intervalstyle = sql_standard",
            "extra_float_digits = -3",
            "bytea_output = escape",
            "array_nulls = off",
            "transform_null_equals = on",
        ] {
            db.psql(&format!("alter database \"{}\" set {setting}", db.name()));
        }
        db
    };
    let source = settled("settled");
    source.psql(
        "create function said(interval) returns text language plpgsql immutable as 'begin return $1; end';
         create function said(float8) returns text language plpgsql immutable as 'begin return $1; end';
         create table t (id int primary key, d date, z timestamptz, i interval, f float8, b bytea, m money,
             a text[], gi text generated always as (said(i)) stored,
             gf text generated always as (said(f)) stored, check (said(i) <> 'x'));
         insert into t (id, d, z, i, f, b, m, a) values
             (1, '2020-02-01', '2020-02-01 03:04:05+06', '-1 days -02:03:04.5', 0.1::float8 + 0.2, '\\x00ff', '1.5',
              array['a', null, 'NULL']),
             (2, '0044-03-02 BC', '0044-03-02 01:00:00+00 BC', '-1 years +2 months -3 days 4 hours', 1e-300, '', '-2', '{}'),
             (3, 'infinity', '-infinity', '1 month -1 day', '-0', null, null, null),
             (4, '0009-08-07', '11011-10-09 08:07:06+00', '-00:00:00.000001', 1.0 / 3, 'x', '0', '{\"{\"}');
         create index by_interval on t (said(i));
         create function is_null(int) returns bool language plpgsql stable as
             'declare r bool; begin execute ''select $1 = null'' into r using $1; return r; end';
         create materialized view m as select id, d::text as dt, z::text as zt, i::text as it, f::text as ft,
             (0.1::float8 + 0.2)::text as sum, b::text as bt, ('{NULL,' || id || '}')::text[] as at,
             public.is_null(null) as is_null, date '2020-03-04'::text as day from t;
         create table log (id int, said text);
         create function noted() returns trigger language plpgsql as
             'begin new.said = new.id || '' '' || ''2020-05-04''::date::text || '' '' || ''-1 days -2 hours''::interval::text; return new; end';
         insert into log select generate_series(1, 3);
         create trigger noted before insert on log for each row execute function noted()",
    );
    let dir = tempfile::tempdir().unwrap();
    let (file, theirs) = (dir.path().join("a"), dir.path().join("theirs"));
    run(pgstow()
        .args(["dump", "--copy-format=text", &source.url(), "-f"])
        .arg(&file))
    .success();
    run(source.tool("pg_dump").args(["-Fc", "-f"]).arg(&theirs)).success();
    let by_them = |db: &Db, options: &[&str]| {
        let mut command = db.tool("pg_restore");
        run(command.args(["-d", db.name()]).args(options).arg(&theirs)).success();
    };
    let by_us = |db: &Db, options: &[&str]| {
        let mut command = pgstow();
        run(command
            .args(["restore", "-d", &db.url()])
            .args(options)
            .arg(&file))
        .success();
    };
    // As each session of the database sees them, the values of the index among them.
    let shown = |db: &Db| {
        let mut rows =
            db.query_rows("select row(id, d, z, i, f, b, m, gi, gf)::text from t order by id");
        rows.extend(db.query_rows("select m::text from m order by id"));
        rows.extend(db.query_rows("select l::text from log l order by id"));
        rows.extend(db.query_rows(
            "set enable_seqscan = off; set enable_bitmapscan = off;
             select said(i) from t where said(i) > '' order by said(i)",
        ));
        rows
    };
    let expected = settled("theirs");
    by_them(&expected, &[]);
    let rows = shown(&expected);
    assert_eq!(rows.len(), 4 + 4 + 3 + 4);
    let whole = settled("whole");
    by_us(&whole, &["-j3"]);
    assert_eq!(shown(&whole), rows);
    // Here they are wrong: null has become a text.
    let arrays = "select a::text from t order by id";
    assert_eq!(whole.query_rows(arrays), source.query_rows(arrays));
    assert_ne!(whole.query_rows(arrays), expected.query_rows(arrays));
    let one = settled("one");
    by_us(&one, &["-1"]);
    assert_eq!(shown(&one), rows);
    let copied = settled("copied");
    run(pgstow().args(["copy", &source.url(), &copied.url()])).success();
    assert_eq!(shown(&copied), rows);
    let script = run(pgstow().arg("sql").arg(&file)).success().stdout;
    let piped = settled("piped");
    piped.psql(&script);
    // A script keeps what its constants were written under.
    assert_eq!(shown(&piped)[..4], rows[..4]);

    // Rows alone, with triggers that fire.
    for db in [&expected, &whole] {
        db.psql("truncate t, log");
    }
    by_them(&expected, &["-a"]);
    by_us(&whole, &["-a"]);
    let rows = shown(&expected);
    assert!(
        rows.iter()
            .flatten()
            .flatten()
            .any(|row| row.contains("04/05/2020 -1 2:00:00")),
        "{rows:?}"
    );
    assert_eq!(shown(&whole), rows);
}

#[test]
fn what_a_dump_is_told_to_leave_out() {
    let source = Server::start(18).create_db("left_out");
    source.load_fixture("privileges");
    source.psql("create table public.filled as select 1 as i");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    let script = |options: &[&str]| {
        run(pgstow()
            .args(["dump", &source.url(), "--copy-format=text", "-f"])
            .arg(&file)
            .args(options))
        .success();
        run(pgstow().arg("verify").arg(&file)).success();
        run(pgstow().arg("sql").arg(&file)).success().stdout
    };
    let has = |script: &str, start: &str| script.lines().any(|line| line.starts_with(start));
    let all = script(&[]);
    for start in [
        "GRANT ",
        "ALTER DEFAULT PRIVILEGES ",
        "CREATE TABLE ",
        "COPY ",
    ] {
        assert!(has(&all, start), "{start}");
    }
    assert!(all.contains(" OWNER TO "));
    assert!(!script(&["--no-owner"]).contains(" OWNER TO "));
    let without = script(&["--no-privileges"]);
    assert!(!has(&without, "GRANT ") && !has(&without, "REVOKE "));
    assert!(!has(&without, "ALTER DEFAULT PRIVILEGES "));
    let before = script(&["--section=pre-data"]);
    assert!(has(&before, "CREATE TABLE ") && !has(&before, "COPY "));
    let rows = script(&["--section=data"]);
    assert!(!has(&rows, "CREATE TABLE ") && has(&rows, "COPY "));
    let schema_only = script(&["-s"]);
    assert!(has(&schema_only, "CREATE TABLE ") && !has(&schema_only, "COPY "));
}

/// Scale factor 1 (6 million rows of lineitem) takes minutes in a debug build: a fraction of it by
/// default, any scale by `PGSTOW_TEST_TPCH_SCALE`.
#[test]
fn tpc_h() {
    let scale =
        std::env::var("PGSTOW_TEST_TPCH_SCALE").map_or(0.05, |scale| scale.parse().unwrap());
    for major in [15, 18] {
        let source = Server::start(major).create_db("tpch");
        source.load_tpch(scale);
        round_trip(&source, &["-j", "2"], &["-j", "2"]);
    }
}

/// Eight sessions on rows of megabytes that do not compress: what they hold together stays under
/// what `--memory` says, on the way out and on the way back.
#[test]
fn memory_stays_within_its_bound_however_long_rows_are() {
    const BOUND: u64 = 256 << 20;
    let server = Server::start(18);
    let source = server.create_db("long rows");
    source.psql(
        "create table seed as select pg_read_binary_file('/dev/urandom', 0, 20000100) as data;
         do $$ begin for t in 1..8 loop
           execute format('create table long%s (id int, data bytea)', t);
           execute format('alter table long%s alter data set storage external', t);
           execute format('insert into long%s select i, substr(data, %s, i * 1000000)
                             from seed, unnest(array[3, 20, 5]) i', t, t);
         end loop; end $$;
         drop table seed;",
    );
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("long.pgstow");
    let target = server.create_db("copy");
    let bounded = |command: &mut Command| {
        let peak = peak_of(command.args(["--quiet", "-j8", "--memory=256MB"]));
        assert!(
            (1..=BOUND).contains(&peak),
            "{command:?}: {} MiB at the peak",
            peak >> 20
        );
    };
    bounded(
        pgstow()
            .args(["dump", "-d", &source.url(), "-f"])
            .arg(&archive),
    );
    bounded(
        pgstow()
            .args(["restore", "-d", &target.url()])
            .arg(&archive),
    );
    assert_same_data(&source, &target);
}

/// Runs a command to its end; the most memory that it had, in bytes.
fn peak_of(command: &mut Command) -> u64 {
    let mut child = command.spawn().unwrap();
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let about = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        let lines = about.iter().flat_map(|text| text.lines());
        let mut marks = lines.filter_map(|line| line.strip_prefix("VmHWM:"));
        let mark = marks.find_map(|mark| mark.split_whitespace().next()?.parse::<u64>().ok());
        peak = mark.map_or(peak, |kib| kib * 1024);
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert!(status.success(), "{command:?}: {status}");
    peak
}

/// The server keeps room for NULLs in an array that once had some, and says so in binary; a copy's array has none.
#[test]
fn arrays_whose_nulls_were_overwritten() {
    let server = Server::start(18);
    let source = server.create_db("overwritten");
    source.psql(
        "create domain list as double precision[]; create domain listed as list;
         create table rooms (i int, b int[], g timestamptz[], d listed, t text[], o oid[], at timestamptz);
         insert into rooms values
             (1, '{1,null,3}', '{{2020-01-01,null},{null,infinity}}', '{1.5,null,-0}', '{a,null}', ''::oidvector, now()),
             (2, '{null}', null, '[5:6]={null,nan}', '{null,null}', '{}', null),
             (3, '{}', '{}', '{}', '{}', '0 1'::oidvector, null);
         update rooms set b[2] = 2, g[1][2] = '2021-01-01', g[2][1] = '2022-01-01', d[2] = 2, t[2] = 'b' where i = 1;
         update rooms set b[1] = 1, d[5] = 5, t[1] = 'x' where i = 2;",
    );
    let with_room = |db: &Db| {
        db.query_one(
            "select string_agg(concat_ws(' ', get_byte(array_send(b), 7), get_byte(array_send(g), 7),
                 get_byte(array_send(d::list::double precision[]), 7), get_byte(array_send(t), 7), get_byte(array_send(o), 3)), ', ' order by i) from rooms",
        )
    };
    assert_eq!(with_room(&source), "1 1 1 1 1, 1 1 1 0, 0 0 0 0 1");
    let binary = ["--copy-format=binary"];
    let target = round_trip(&source, &binary, &[]);
    assert_eq!(with_room(&target), "0 0 0 0 0, 0 0 1 0, 0 0 0 0 1");

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("archive");
    run(pgstow().args(["dump", &source.url(), "-f"]).arg(&file)).success();
    let verify = |db: &Db| run(pgstow().args(["verify", "--against", &db.url()]).arg(&file));
    verify(&source).success();
    verify(&target).success();
    for options in [&binary[..], &[]] {
        let copied = server.create_db("overwritten");
        run(pgstow()
            .args(["copy", &source.url(), &copied.url()])
            .args(options))
        .success();
        verify(&copied).success();
    }
    target.psql("update rooms set b[2] = null where i = 1");
    let said = verify(&target).expect_code(1).stderr;
    assert!(said.contains("with other content"), "{said}");
}

/// Rows that are loaded through a root are compared there, whatever order a partition has its columns in.
#[test]
fn partitions_by_the_hash_of_an_enum_with_columns_in_another_order() {
    let server = Server::start(18);
    let source = server.create_db("reordered");
    source.psql(
        "create type mood as enum ('sad', 'ok', 'happy', 'mad', 'glad');
         create table hp (m mood, v int, q tsquery, t text) partition by hash (m);
         create table hp0 partition of hp for values with (modulus 2, remainder 0);
         create table hp1 (t text, gone int, q tsquery, v int, m mood);
         alter table hp1 drop gone;
         alter table hp attach partition hp1 for values with (modulus 2, remainder 1);
         insert into hp select (enum_range(null::mood))[1 + i % 5], i, 'a'::tsquery, 'x'
           from generate_series(1, 500) i;
         create table searches (id uuid, at timestamptz, q tsquery, o oidvector, i int2vector, a tsquery[]);
         insert into searches values (gen_random_uuid(), now(), '', '', '', array[''::tsquery]);",
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("archive");
    run(pgstow().args(["dump", &source.url(), "-f"]).arg(&file)).success();
    let target = server.create_db("reordered");
    run(pgstow().args(["restore", "-d", &target.url()]).arg(&file)).success();
    let out = run(pgstow()
        .args(["verify", "--against", &target.url()])
        .arg(&file))
    .success();
    assert!(
        out.stderr.contains("compared 2 tables, 0 differ"),
        "{}",
        out.stderr
    );
    let copied = server.create_db("reordered");
    run(pgstow().args(["copy", &source.url(), &copied.url()])).success();
}
