//! Restores that succeed.

use std::sync::Arc;

use pgstow::archive::{CopyFormat, DataSpec, RawFrame, Section};
use pgstow::error::Kind;
use pgstow::report::Event;
use pgstow::{Input, RestoreOptions, TargetState};
use pretty_assertions::assert_eq;
use tokio_util::sync::CancellationToken;

use super::archive::{Build, Heard, config, file, jobs, restore, shop};
use super::support::{Db, Server};

pub fn check_shop(db: &Db, orders: usize) {
    let one = |sql: &str| db.query_one(sql);
    assert_eq!(one("SELECT count(*) FROM orders"), orders.to_string());
    assert_eq!(
        one("SELECT coalesce(sum(id), 0) FROM orders"),
        (orders * (orders + 1) / 2).to_string()
    );
    assert_eq!(one("SELECT count(*) FROM customers"), "100");
    assert_eq!(one("SELECT last_value FROM orders_id_seq"), "4711");
    assert_eq!(
        one(
            "SELECT string_agg(conname, ',' ORDER BY conname) FROM pg_constraint \
             WHERE conrelid IN ('orders'::regclass, 'customers'::regclass) AND contype <> 'n'"
        ),
        "customers_pkey,orders_customer_fkey,orders_pkey"
    );
    assert_eq!(
        one("SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'"),
        "3"
    );
    assert_eq!(
        one("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"),
        "closed"
    );
    assert_eq!(
        one("SELECT coalesce(sum(n), 0) FROM totals"),
        orders.to_string()
    );
    assert_eq!(
        one("SELECT obj_description('customers'::regclass)"),
        "who buys"
    );
    assert_eq!(
        one("SELECT has_table_privilege('pg_monitor', 'customers', 'select')"),
        "t"
    );
}

#[tokio::test]
async fn a_file_is_restored_by_any_number_of_sessions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.pgstow");
    let build = shop(20_000);
    build.write(&path).await;
    for major in [15, 18] {
        let server = Server::start(major);
        for sessions in [1, 2, 5] {
            let db = server.create_db("whole");
            let heard = Arc::new(Heard::default());
            let report = pgstow::restore(
                &config(&db),
                file(&path).await,
                &jobs(sessions),
                heard.clone(),
                CancellationToken::new(),
            )
            .await
            .unwrap();
            check_shop(&db, 20_000);
            assert_eq!(report.rows, 20_100);
            assert_eq!(report.tables, 2);
            assert_eq!(report.entries as usize, build.entries.len());
            assert!(report.is_complete());
            assert_eq!(report.warnings, 0);
            let phases: Vec<&str> = report.phases.iter().map(|phase| phase.phase).collect();
            assert_eq!(
                phases,
                [
                    "connect",
                    "pre-data",
                    "data",
                    "post-data",
                    "privileges",
                    "last"
                ]
            );
            let events = heard.0.lock().unwrap();
            let rows: u64 = events
                .iter()
                .map(|event| match event {
                    Event::TableProgress { rows, .. } => *rows,
                    _ => 0,
                })
                .sum();
            assert_eq!(rows, 20_100);
        }
    }
}

#[tokio::test]
async fn every_major_is_a_target() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.pgstow");
    let mut build = shop(1500);
    build.large_objects(&[(9001, vec![1; 3000])]);
    build.write(&path).await;
    for major in super::support::MAJORS {
        let db = Server::start(major).create_db("major");
        let report = restore(&db, file(&path).await, &jobs(2)).await.unwrap();
        check_shop(&db, 1500);
        // The archive says that it is of 15.
        assert_eq!(report.warnings, u64::from(major < 15));
        let again = restore(&db, file(&path).await, &jobs(2)).await.unwrap_err();
        assert_eq!(again.kind(), Kind::Refused);
        assert!(
            again.message().contains("2 tables (public.customers, …)"),
            "{again}"
        );
    }
}

#[tokio::test]
async fn large_objects_and_binary_rows_arrive_unchanged() {
    let mut build = Build::new();
    let content: Vec<u8> = (0..100_000u32)
        .map(|n| (n.wrapping_mul(n) >> 3) as u8)
        .collect();
    build.large_objects(&[
        (70_001, content.clone()),
        (70_002, Vec::new()),
        (70_003, vec![7; 2049]),
    ]);
    let table = build
        .pre("TABLE", "b", "CREATE TABLE public.b (i integer, t text)")
        .id;
    // Definitions come first in an archive.
    build.entries.rotate_right(1);
    for (id, entry) in (1..).zip(&mut build.entries) {
        entry.id = id;
    }
    build.entries[2].depends_on = vec![2];
    for frame in &mut build.frames {
        frame.entry = 3;
    }
    let _ = table;
    let entry = build.entry("TABLE DATA", "b", Section::Data, &[]);
    entry.relation = Some("b".to_owned());
    entry.depends_on = vec![1];
    entry.data = Some(DataSpec::Table {
        format: CopyFormat::Binary,
        columns: vec!["i".to_owned(), "t".to_owned()],
        types: Vec::new(),
        declared: Vec::new(),
        copy_out: "COPY public.b (i, t) TO STDOUT (FORMAT binary)".to_owned(),
        copy_in: "COPY public.b (i, t) FROM STDIN (FORMAT binary)".to_owned(),
    });
    let id = entry.id;
    let mut raw = pgstow::archive::BINARY_HEADER.to_vec();
    for n in 0..10i32 {
        raw.extend(2i16.to_be_bytes());
        raw.extend(4i32.to_be_bytes());
        raw.extend(n.to_be_bytes());
        raw.extend((-1i32).to_be_bytes());
    }
    raw.extend(pgstow::archive::BINARY_TRAILER);
    build.frames.push(RawFrame {
        entry: id,
        chunk: 0,
        frame: 0,
        rows: 10,
        raw,
    });

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lo.pgstow");
    build.write(&path).await;
    let db = Server::start(15).create_db("lo");
    let report = restore(&db, file(&path).await, &jobs(3)).await.unwrap();
    assert_eq!(report.large_objects, 3);
    assert_eq!(db.query_one("SELECT sum(i) FROM b WHERE t IS NULL"), "45");
    let found = db.query_one("SELECT encode(lo_get(70001), 'hex')");
    let hex: String = content.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(found, hex);
    assert_eq!(db.query_one("SELECT length(lo_get(70002))"), "0");
    assert_eq!(db.query_one("SELECT length(lo_get(70003))"), "2049");
}

#[tokio::test]
async fn a_target_that_is_not_empty_is_refused_until_told_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.pgstow");
    shop(10).write(&path).await;
    let server = Server::start(15);
    let things = [
        ("CREATE TABLE t ()", "table public.t"),
        ("CREATE SCHEMA s", "schema s"),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "function public.f",
        ),
        ("CREATE TYPE e AS ENUM ('a')", "type public.e"),
        ("CREATE DOMAIN d AS int", "type public.d"),
        ("CREATE TYPE c AS (a int)", "type public.c"),
        ("CREATE EXTENSION citext", "extension citext"),
        ("SELECT lo_create(815)", "large object 815"),
        ("CREATE SEQUENCE q", "sequence public.q"),
        ("CREATE VIEW v AS SELECT 1", "view public.v"),
        ("CREATE COLLATION k (locale = 'C')", "collation k"),
    ];
    for (sql, name) in things {
        let db = server.create_db("full");
        db.psql(sql);
        let error = restore(&db, file(&path).await, &jobs(2)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused, "{sql}: {error}");
        assert!(error.message().contains(name), "{error}");
        assert!(error.hint().unwrap().contains("--allow-non-empty"));
        let options = RestoreOptions {
            target: TargetState::Any,
            ..jobs(2)
        };
        restore(&db, file(&path).await, &options).await.unwrap();
    }
    // What a new database has, even if made anew.
    let db = server.create_db("new");
    db.psql("DROP EXTENSION plpgsql; CREATE EXTENSION plpgsql; DROP SCHEMA public; CREATE SCHEMA public");
    restore(&db, file(&path).await, &jobs(1)).await.unwrap();
    check_shop(&db, 10);
}

#[tokio::test]
async fn clean_replaces_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.pgstow");
    shop(2000).write(&path).await;
    let db = Server::start(15).create_db("clean");
    let options = RestoreOptions {
        clean: true,
        if_exists: true,
        ..jobs(2)
    };
    // Nothing there yet, then everything.
    for _ in 0..2 {
        let report = restore(&db, file(&path).await, &options).await.unwrap();
        check_shop(&db, 2000);
        assert_eq!(report.warnings, 0);
    }
}

#[tokio::test]
async fn create_makes_the_database_under_its_own_name() {
    let server = Server::start(15);
    let name = format!("Made by \"{}\"", std::process::id());
    let quoted = format!("\"{}\"", name.replace('"', "\"\""));
    let mut build = Build::new();
    let database = build.pre(
        "DATABASE",
        &name,
        &format!("CREATE DATABASE {quoted} TEMPLATE template0"),
    );
    database.schema = None;
    database.drop = vec![format!("DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")];
    database.comments = vec![format!("COMMENT ON DATABASE {quoted} IS 'made'")];
    database.privileges = vec![format!("REVOKE TEMPORARY ON DATABASE {quoted} FROM PUBLIC")];
    let properties = build.pre(
        "DATABASE PROPERTIES",
        &name,
        &format!("ALTER DATABASE {quoted} SET search_path = 'nowhere'"),
    );
    properties.schema = None;
    build.database = std::mem::take(&mut build.entries);
    build.pre("TABLE", "t", "CREATE TABLE public.t (a integer)");
    build.rows("t", 1, "a", &["1\n2\n".to_owned()]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db.pgstow");
    build.write(&path).await;

    let maintenance = server.create_db("maintenance");
    let create = RestoreOptions {
        create: true,
        ..jobs(2)
    };
    let report = restore(&maintenance, file(&path).await, &create)
        .await
        .unwrap();
    assert!(report.target.contains(&name), "{}", report.target);
    let made = server.db(&name);
    assert_eq!(made.query_one("SELECT sum(a) FROM public.t"), "3");
    assert_eq!(made.query_one("SHOW search_path"), "nowhere");
    assert_eq!(
        made.query_one("SELECT has_database_privilege('pg_monitor', current_database(), 'temp')"),
        "f"
    );

    let again = restore(&maintenance, file(&path).await, &create)
        .await
        .unwrap_err();
    assert_eq!(again.kind(), Kind::Refused, "{again}");
    let replace = RestoreOptions {
        clean: true,
        ..create
    };
    restore(&maintenance, file(&path).await, &replace)
        .await
        .unwrap();
    assert_eq!(made.query_one("SELECT count(*) FROM public.t"), "2");
    assert_eq!(
        maintenance.query_one("SELECT count(*) FROM pg_class WHERE oid >= 16384"),
        "0"
    );
    maintenance.psql(&format!("DROP DATABASE {quoted}"));
}

#[tokio::test]
async fn one_table_comes_with_what_hangs_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.pgstow");
    shop(3000).write(&path).await;
    let db = Server::start(15).create_db("one");
    let mut options = jobs(2);
    options.filter.tables = vec!["public.customers".to_owned()];
    let report = restore(&db, file(&path).await, &options).await.unwrap();
    assert_eq!(report.rows, 100);
    assert_eq!(
        db.query_one(
            "SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class \
                      WHERE relnamespace = 'public'::regnamespace"
        ),
        "customers,customers_pkey"
    );
    assert!(
        report
            .omitted
            .iter()
            .any(|o| o.name == "TABLE public.orders" && o.reason == "not selected by name")
    );
}

#[tokio::test]
async fn rows_alone_and_triggers_get_their_states_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.pgstow");
    shop(5000).write(&path).await;
    let server = Server::start(15);
    let db = server.create_db("rows");
    let definitions = RestoreOptions {
        content: pgstow::select::Content::SchemaOnly,
        ..jobs(2)
    };
    restore(&db, file(&path).await, &definitions).await.unwrap();
    assert_eq!(db.query_one("SELECT count(*) FROM customers"), "0");
    db.psql(
        "CREATE TRIGGER b_replica BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse(); \
         ALTER TABLE orders ENABLE REPLICA TRIGGER b_replica; \
         CREATE TRIGGER c_off BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION refuse(); \
         ALTER TABLE orders DISABLE TRIGGER c_off",
    );
    let states = "SELECT string_agg(tgenabled::text, '' ORDER BY tgname) FROM pg_trigger \
                  WHERE tgrelid = 'orders'::regclass";
    let before = db.query_one(states);
    let rows = RestoreOptions {
        content: pgstow::select::Content::DataOnly,
        ..jobs(3)
    };
    let error = restore(&db, file(&path).await, &rows).await.unwrap_err();
    assert!(error.message().contains("no more orders"), "{error}");
    // With other options one does not go on with it, but begins anew.
    db.psql("TRUNCATE customers, orders; DROP SCHEMA \"pgstow restore journal\" CASCADE");
    let untouched = RestoreOptions {
        disable_triggers: true,
        ..rows
    };
    restore(&db, file(&path).await, &untouched).await.unwrap();
    check_counts(&db, 5000);
    assert_eq!(db.query_one(states), before);
    assert!(before.contains('R') && before.contains('D') && before.contains('O'));
}

fn check_counts(db: &Db, orders: usize) {
    assert_eq!(
        db.query_one("SELECT count(*) FROM orders"),
        orders.to_string()
    );
    assert_eq!(db.query_one("SELECT count(*) FROM customers"), "100");
}

#[tokio::test]
async fn an_empty_archive_is_restored() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("empty.pgstow");
    Build::new().write(&path).await;
    let db = Server::start(15).create_db("empty");
    let report = restore(&db, file(&path).await, &jobs(2)).await.unwrap();
    assert_eq!((report.entries, report.rows), (0, 0));
    let stream = Input::Stream(Box::new(std::io::Cursor::new(
        std::fs::read(&path).unwrap(),
    )));
    restore(&db, stream, &jobs(2)).await.unwrap();
}

#[tokio::test]
async fn tables_by_the_hundred_and_tablespaces() {
    let mut build = Build::new();
    for n in 0..700 {
        let table = build.pre(
            "TABLE",
            &format!("t{n}"),
            &format!("CREATE TABLE public.t{n} (a integer)"),
        );
        table.access_method = Some("heap".to_owned());
        if n % 3 == 0 {
            table.tablespace = Some("pg_default".to_owned());
        }
    }
    for n in 0..700 {
        build.rows(&format!("t{n}"), n + 1, "a", &[format!("{n}\n")]);
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("many.pgstow");
    build.write(&path).await;
    let db = Server::start(15).create_db("many");
    let report = restore(&db, file(&path).await, &jobs(4)).await.unwrap();
    assert_eq!((report.tables, report.rows), (700, 700));
    assert_eq!(
        db.query_one("SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"),
        "700"
    );
    assert_eq!(db.query_one("SELECT a FROM t699"), "699");
}
