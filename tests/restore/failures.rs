//! Restores that must not succeed, or not wholly.

use std::sync::Arc;

use pgstow::archive::{Archive, Section};
use pgstow::error::Kind;
use pgstow::report::Event;
use pgstow::storage::LocalSource;
use pgstow::{OnError, RestoreOptions};
use tokio_util::sync::CancellationToken;

use super::archive::{Build, Heard, config, file, jobs, restore, shop};
use super::support::{Db, Server};

/// Waits until no session of a restore is left.
fn sessions(db: &Db) -> String {
    db.query_one(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name LIKE 'pgstow%' AND state <> 'idle'",
    )
}

#[tokio::test]
async fn a_flipped_byte_in_a_frame_never_commits_a_row_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.pgstow");
    let mut build = Build::new();
    let table = build
        .pre(
            "TABLE",
            "t",
            "CREATE TABLE public.t (frame integer, n integer)",
        )
        .id;
    let frames: Vec<String> = (0..20)
        .map(|frame| (0..500).map(|n| format!("{frame}\t{n}\n")).collect())
        .collect();
    let id = build.rows("t", table, "frame, n", &frames);
    build.write(&path).await;
    let source = Arc::new(LocalSource::open(&path).await.unwrap());
    let archive = Archive::open(source).await.unwrap();
    let frames = archive.table(id).unwrap().frames.clone();
    let whole = std::fs::read(&path).unwrap();
    let server = Server::start(15);
    for (number, from_pipe) in [(0, false), (7, false), (7, true), (19, true)] {
        let mut bytes = whole.clone();
        let frame = &frames[number];
        let at = usize::try_from(frame.offset + frame.stored_bytes / 2).unwrap();
        bytes[at] ^= 0x10;
        let damaged = dir.path().join("damaged.pgstow");
        std::fs::write(&damaged, &bytes).unwrap();
        let db = server.create_db("flip");
        let input = if from_pipe {
            pgstow::Input::Stream(Box::new(std::io::Cursor::new(bytes)))
        } else {
            file(&damaged).await
        };
        let options = RestoreOptions {
            // Damage ends the run even when failures are collected.
            on_error: if number == 7 {
                OnError::Continue
            } else {
                OnError::Exit
            },
            ..jobs(3)
        };
        let error = restore(&db, input, &options).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Archive, "{error}");
        assert!(error.message().contains("public"), "{error}");
        assert_eq!(
            db.query_one(&format!("SELECT count(*) FROM t WHERE frame = {number}")),
            "0"
        );
        // Frames are there whole or not at all.
        assert_eq!(
            db.query_one(
                "SELECT count(*) FROM (SELECT 1 FROM t GROUP BY frame HAVING count(*) <> 500) p"
            ),
            "0"
        );
        assert_eq!(sessions(&db), "0");
    }
}

#[tokio::test]
async fn a_cut_file_does_not_touch_the_target() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.pgstow");
    shop(100).write(&path).await;
    let bytes = std::fs::read(&path).unwrap();
    let db = Server::start(15).create_db("cut");
    for length in [0, 1000, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = restore(&db, file(&path).await, &jobs(2)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Archive, "{length}: {error}");
    }
    assert_eq!(
        db.query_one("SELECT count(*) FROM pg_class WHERE oid >= 16384"),
        "0"
    );
}

#[tokio::test]
async fn a_failed_statement_is_named_with_its_entry() {
    let server = Server::start(15);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.pgstow");

    let mut build = shop(10);
    build.entries[3].create =
        vec!["CREATE MATERIALIZED VIEW public.totals AS SELECT * FROM public.nothing".to_owned()];
    build.write(&path).await;
    let db = server.create_db("bad");
    let error = restore(&db, file(&path).await, &jobs(2)).await.unwrap_err();
    assert_eq!(
        error.message(),
        "restore MATERIALIZED VIEW public.totals: relation \"public.nothing\" does not exist"
    );
    assert!(error.statement().unwrap().ends_with("public.nothing"));
    assert_eq!(error.kind(), Kind::Server);
    // The batch that it was in was rolled back.
    assert_eq!(
        db.query_one("SELECT count(*) FROM pg_class WHERE oid >= 16384"),
        "0"
    );

    // After the rows: a duplicate key. The row's value is not in the message.
    let mut build = shop(10);
    let rows = build
        .frames
        .iter_mut()
        .find(|frame| frame.rows == 100)
        .unwrap();
    rows.raw.extend_from_slice(b"1\tsecret name\n");
    rows.rows += 1;
    build.write(&path).await;
    let db = server.create_db("bad");
    let error = restore(&db, file(&path).await, &jobs(2)).await.unwrap_err();
    assert!(
        error
            .message()
            .starts_with("restore CONSTRAINT public.customers customers_pkey: "),
        "{error}"
    );
    assert!(error.statement().unwrap().contains("PRIMARY KEY"));
    assert_eq!(sessions(&db), "0");

    // A row that does not fit.
    let mut build = shop(10);
    let rows = build
        .frames
        .iter_mut()
        .find(|frame| frame.rows == 100)
        .unwrap();
    rows.raw.extend_from_slice(b"secret\tname\n");
    rows.rows += 1;
    build.write(&path).await;
    let db = server.create_db("bad");
    let error = restore(&db, file(&path).await, &jobs(2)).await.unwrap_err();
    assert!(
        error
            .message()
            .starts_with("restore TABLE DATA public.customers: "),
        "{error}"
    );
    assert!(
        !format!("{error} {:?}", error.hint()).contains("secret"),
        "{error}"
    );
    assert_eq!(db.query_one("SELECT count(*) FROM customers"), "0");
}

#[tokio::test]
async fn a_smuggled_second_statement_is_a_syntax_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("two.pgstow");
    let mut build = Build::new();
    build.pre(
        "VIEW",
        "v",
        "CREATE VIEW public.v AS SELECT 1; CREATE ROLE intruder SUPERUSER",
    );
    build.write(&path).await;
    let db = Server::start(15).create_db("two");
    let error = restore(&db, file(&path).await, &jobs(1)).await.unwrap_err();
    assert!(
        error.message().starts_with("restore VIEW public.v: "),
        "{error}"
    );
    assert_eq!(error.sqlstate().unwrap().code(), "42601");
}

#[tokio::test]
async fn rows_that_the_target_swallows_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.pgstow");
    let mut build = Build::new();
    let table = build
        .pre("TABLE", "t", "CREATE TABLE public.t (a integer)")
        .id;
    build.rows("t", table, "a", &["1\n2\n3\n".to_owned()]);
    build.write(&path).await;
    let db = Server::start(15).create_db("swallow");
    db.psql(
        "CREATE TABLE t (a integer); CREATE FUNCTION s() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN IF NEW.a = 2 THEN RETURN NULL; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER s BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION s()",
    );
    let options = RestoreOptions {
        content: pgstow::select::Content::DataOnly,
        ..jobs(2)
    };
    let error = restore(&db, file(&path).await, &options).await.unwrap_err();
    assert_eq!(
        error.message(),
        "restore TABLE DATA public.t: the server took 2 rows of a frame of 3: nothing of it was kept"
    );
    assert_eq!(db.query_one("SELECT count(*) FROM t"), "0");
}

#[tokio::test]
async fn going_on_lists_what_failed_and_what_was_left_because_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.pgstow");
    let mut build = shop(5000);
    // A missing role costs the owner, not the table; a broken table costs what hangs on it.
    build.entries[0].set_owner =
        vec!["ALTER TABLE public.customers OWNER TO nobody_at_all".to_owned()];
    build.entries[0].privileges =
        vec!["GRANT SELECT ON TABLE public.customers TO nobody_else".to_owned()];
    let broken = build
        .pre(
            "TABLE",
            "broken",
            "CREATE TABLE public.broken (a no_such_type)",
        )
        .id;
    let rows = build.rows("broken", broken, "a", &["1\n".to_owned()]);
    build.post(
        "INDEX",
        "broken_a",
        "broken",
        &[broken],
        "CREATE INDEX broken_a ON public.broken (a)",
    );
    build.entry(
        "INDEX",
        "nowhere",
        Section::PostData,
        &["CREATE INDEX nowhere ON public.nothing (a)"],
    );
    let _ = rows;
    build.write(&path).await;
    for sessions in [1, 3] {
        let db = Server::start(15).create_db("goon");
        let heard = Arc::new(Heard::default());
        let options = RestoreOptions {
            on_error: OnError::Continue,
            ..jobs(sessions)
        };
        let report = pgstow::restore(
            &config(&db),
            file(&path).await,
            &options,
            heard.clone(),
            CancellationToken::new(),
        )
        .await
        .unwrap();
        assert!(!report.is_complete());
        let mut failed: Vec<&str> = report.failed.iter().map(|f| f.entry.as_str()).collect();
        failed.sort_unstable();
        assert_eq!(
            failed,
            [
                "INDEX public.nowhere",
                "TABLE public.broken",
                "TABLE public.customers",
                "TABLE public.customers",
            ]
        );
        assert!(report.failed.iter().all(|f| f.statement.is_some()));
        let mut skipped: Vec<&str> = report.skipped.iter().map(|s| s.entry.as_str()).collect();
        skipped.sort_unstable();
        assert_eq!(
            skipped,
            ["INDEX public.broken broken_a", "TABLE DATA public.broken"]
        );
        let told = heard.0.lock().unwrap();
        let told = told
            .iter()
            .filter(|e| matches!(e, Event::EntryFailed { .. }));
        assert_eq!(told.count(), 4);
        // Everything else is there.
        assert_eq!(db.query_one("SELECT count(*) FROM orders"), "5000");
        assert_eq!(db.query_one("SELECT count(*) FROM customers"), "100");
        assert_eq!(
            db.query_one("SELECT count(*) FROM pg_constraint WHERE contype = 'f'"),
            "1"
        );
    }
}

#[tokio::test]
async fn rows_are_not_mixed_into_a_table_that_was_there_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.pgstow");
    shop(10).write(&path).await;
    let db = Server::start(15).create_db("mixed");
    db.psql(
        "CREATE TABLE customers (id integer, name text); INSERT INTO customers VALUES (1, 'x')",
    );
    let options = RestoreOptions {
        on_error: OnError::Continue,
        target: pgstow::TargetState::Any,
        ..jobs(2)
    };
    let report = restore(&db, file(&path).await, &options).await.unwrap();
    assert_eq!(db.query_one("SELECT count(*) FROM customers"), "1");
    assert_eq!(report.skipped[0].entry, "TABLE DATA public.customers");
    assert_eq!(db.query_one("SELECT count(*) FROM orders"), "10");
}

#[tokio::test]
async fn a_cancelled_restore_ends_its_work_on_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("slow.pgstow");
    let server = Server::start(15);
    // Once in the definitions, once after the rows, once while rows are loaded.
    let mut in_definitions = Build::new();
    in_definitions.pre("FUNCTION", "f()", "SELECT pg_catalog.pg_sleep(600)");
    let mut after_rows = Build::new();
    let table = after_rows
        .pre("TABLE", "t", "CREATE TABLE public.t (a integer)")
        .id;
    after_rows.rows("t", table, "a", &["1\n".to_owned()]);
    after_rows.post(
        "INDEX",
        "i",
        "t",
        &[table],
        "SELECT pg_catalog.pg_sleep(600)",
    );
    let mut in_rows = Build::new();
    in_rows.pre(
        "FUNCTION",
        "slow(integer)",
        "CREATE FUNCTION public.slow(integer) RETURNS boolean LANGUAGE sql AS \
         'SELECT pg_catalog.pg_sleep(600) IS NOT NULL'",
    );
    let table = in_rows
        .pre(
            "TABLE",
            "t",
            "CREATE TABLE public.t (a integer CHECK (public.slow(a)))",
        )
        .id;
    in_rows.rows("t", table, "a", &["1\n".to_owned()]);
    for build in [in_definitions, after_rows, in_rows] {
        build.write(&path).await;
        let db = server.create_db("cancel");
        let cancel = CancellationToken::new();
        let client = db.connect().await;
        let watching = {
            let cancel = cancel.clone();
            tokio::spawn(async move {
                let asleep = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                              AND application_name LIKE 'pgstow%' AND wait_event = 'PgSleep'";
                while client
                    .query_one(asleep, &[])
                    .await
                    .unwrap()
                    .get::<_, i64>(0)
                    == 0
                {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
                cancel.cancel();
            })
        };
        let heard = Arc::new(Heard::default());
        let error = pgstow::restore(&config(&db), file(&path).await, &jobs(2), heard, cancel)
            .await
            .unwrap_err();
        watching.await.unwrap();
        assert_eq!(error.kind(), Kind::Interrupted, "{error}");
        assert_eq!(sessions(&db), "0");
    }
}

#[tokio::test]
async fn a_server_that_goes_away_is_no_success() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("slow.pgstow");
    let mut build = Build::new();
    let table = build
        .pre("TABLE", "t", "CREATE TABLE public.t (a integer)")
        .id;
    build.rows("t", table, "a", &["1\n".to_owned()]);
    build.post(
        "INDEX",
        "i",
        "t",
        &[table],
        "SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())",
    );
    build.write(&path).await;
    let db = Server::start(15).create_db("gone");
    let options = RestoreOptions {
        on_error: OnError::Continue,
        ..jobs(2)
    };
    let error = restore(&db, file(&path).await, &options).await.unwrap_err();
    assert_eq!(error.kind(), Kind::ConnectionLost, "{error}");
    assert!(error.message().contains("INDEX public.t i"), "{error}");
}

#[tokio::test]
async fn a_password_in_a_statement_is_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret.pgstow");
    let mut build = Build::new();
    build.pre(
        "USER MAPPING",
        "u SERVER s",
        "CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (password 'hunter2')",
    );
    build.write(&path).await;
    let db = Server::start(15).create_db("secret");
    let error = restore(&db, file(&path).await, &jobs(1)).await.unwrap_err();
    let all = format!(
        "{error} {:?} {:?} {:?}",
        error.hint(),
        error.statement(),
        error
    );
    assert!(!all.contains("hunter2"), "{all}");
}
