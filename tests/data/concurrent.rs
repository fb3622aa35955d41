//! Dumps while other sessions create, change and drop: each is consistent, or ends with an error
//! that says why, and leaves nothing that looks like an archive.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::{Db, Output, Server, pgstow, run};
use tokio_postgres::Client;

/// One round of a session that changes the schema. What belongs together is changed in one
/// transaction: a pair of tables with ten rows each, and their count.
fn round(session: u32, n: u32) -> String {
    let (new, old) = (
        format!("{session}_{n}"),
        format!("{session}_{}", n.wrapping_sub(3)),
    );
    let drop = if n < 3 {
        String::new()
    } else {
        format!(
            "begin; drop table busy.b_{old}, busy.a_{old};
             update busy.pairs set n = n - 1 where session = {session}; commit;"
        )
    };
    format!(
        "begin;
         create table busy.a_{new} (id int primary key, v text check (v <> ''));
         insert into busy.a_{new} select i, 'v' || i from generate_series(1, 10) i;
         create table busy.b_{new} (id int primary key references busy.a_{new}, w int default {n});
         insert into busy.b_{new} select i from generate_series(1, 10) i;
         create index on busy.b_{new} (w);
         update busy.pairs set n = n + 1 where session = {session};
         commit;
         begin;
         drop view if exists busy.seen_{session};
         create view busy.seen_{session} as select id, v as v_{n} from busy.a_{new};
         create or replace function busy.told_{session}() returns int language sql
           begin atomic select count(*)::int from busy.b_{new}; end;
         commit;
         begin;
         alter table busy.b_{new} rename column w to w_{n};
         alter table busy.a_{new} add column added int default {n};
         commit;
         begin; drop view busy.seen_{session}; drop function busy.told_{session}(); commit;
         alter type busy.mood_{session} rename value 'even' to 'odd';
         alter collation busy.order_{session} rename to order_of_{session};
         alter operator class busy.ops_{session} using btree rename to ops_of_{session};
         {drop}
         select pg_sleep(random() * 0.6);
         alter operator class busy.ops_of_{session} using btree rename to ops_{session};
         alter collation busy.order_of_{session} rename to order_{session};
         alter type busy.mood_{session} rename value 'odd' to 'even';"
    )
}

/// What a session renames, and words of the server that name it: a default, a check, a view, an index.
fn renamed(session: u32) -> String {
    format!(
        "create type busy.mood_{session} as enum ('even');
         create collation busy.order_{session} from \"C\";
         create operator class busy.ops_{session} for type int using btree as
           operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >,
           function 1 btint4cmp(int, int);
         create table busy.named_{session} (i int, t text,
           m busy.mood_{session} default 'even' check (m >= 'even'));
         create view busy.ordered_{session} as
           select t from busy.named_{session} order by t collate busy.order_{session};
         create index on busy.named_{session} (i busy.ops_{session});"
    )
}

fn change_without_end(db: &Db, session: u32, stop: &AtomicBool) {
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let script: String = (0..5).map(|more| round(session, n + more)).collect();
        db.psql(&script);
        n += 5;
    }
}

/// The dump failed, and says that it was for what others did meanwhile.
#[track_caller]
fn assert_ended_by_change(dump: &Output) {
    assert_eq!(dump.code, Some(1), "{}", dump.stderr);
    assert!(
        [
            "schema changed while it was being read",
            "dropped since the dump began",
            "rewritten or replaced after the snapshot was taken",
            "another session waits for an exclusive lock",
            "changed while rows were read",
        ]
        .iter()
        .any(|reason| dump.stderr.contains(reason)),
        "{}",
        dump.stderr
    );
}

/// Dumps while others change the schema.
const CHANGING: u32 = 8;

#[test]
fn a_schema_that_never_stands_still() {
    let server = Server::start(18);
    let source = Arc::new(server.create_db("busy"));
    source.psql(
        "create schema busy;
         create table busy.pairs (session int primary key, n int);
         insert into busy.pairs values (1, 0), (2, 0);
         create table busy.still as select i, md5(i::text) from generate_series(1, 5000) i;",
    );
    for session in 1..=2 {
        source.psql(&renamed(session));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut sessions: Vec<_> = (1..=2)
        .map(|session| {
            let (db, stop) = (Arc::clone(&source), Arc::clone(&stop));
            thread::spawn(move || change_without_end(&db, session, &stop))
        })
        .collect();

    let dir = tempfile::tempdir().unwrap();
    let (mut whole, mut refused) = (0, 0);
    for attempt in 0..=CHANGING {
        // The last one is left alone, and must succeed.
        if attempt == CHANGING {
            stop.store(true, Ordering::Relaxed);
            sessions
                .drain(..)
                .for_each(|session| session.join().unwrap());
        }
        let file = dir.path().join(format!("{attempt}"));
        let dump = run(pgstow()
            .args(["dump", "-j2", &source.url(), "-f"])
            .arg(&file));
        if dump.code != Some(0) && attempt < CHANGING {
            assert_ended_by_change(&dump);
            assert!(!file.exists(), "a failed dump leaves no archive");
            refused += 1;
            continue;
        }
        let dump = dump.success();
        assert!(!dump.stderr.contains("error"), "{}", dump.stderr);
        whole += 1;
        run(pgstow().arg("verify").arg(&file)).success();
        let target = server.create_db("still");
        run(pgstow().args(["restore", "-d", &target.url()]).arg(&file)).success();
        let said = target.query_one("select sum(n) from busy.pairs");
        let count = |letter: &str| {
            target.query_one(&format!(
                "select count(*) from pg_class
                  where relnamespace = 'busy'::regnamespace and relkind = 'r' and relname ~ '^{letter}_'"
            ))
        };
        assert_eq!((count("a"), count("b")), (said.clone(), said));
        let rows = target.query_one(
            "select coalesce(string_agg(distinct (xpath('/row/c/text()',
                query_to_xml(format('select count(*) as c from busy.%I', relname), false, true, '')))[1]::text, ','), '10')
               from pg_class where relnamespace = 'busy'::regnamespace and relkind = 'r'
                and relname ~ '^[ab]_'",
        );
        assert_eq!(rows, "10", "every table of a pair has its ten rows");
    }
    println!("{whole} dumps were whole, {refused} ended with an error");
}

/// One round of a session that alters an extension: to another version and back, a table taken in and
/// given up, another column of a table with the user's rows. What it says of itself is written in
/// the same transactions.
fn extension_round(n: u32) -> String {
    let note = |version: &str, later: u32| {
        format!("update public.told set version = '{version}', later = {later};")
    };
    let wait = "select pg_sleep(random() * 0.2);";
    format!(
        "begin; alter extension pgstow_settings update to '1.1';
         insert into fx_settings.later select i, 'v' from generate_series(1, {n}) i;
         update fx_settings.users_rows set since = {n}; {} commit; {wait}
         begin; alter extension pgstow_settings add table public.now_and_then;
         update public.told set member = true; commit; {wait}
         begin; delete from fx_settings.later; {} commit;
         begin; alter extension pgstow_settings drop table public.now_and_then;
         update public.told set member = false; commit; {wait}
         begin; alter extension pgstow_settings update to '1.0';
         select setval('fx_settings.numbers', {n}); {} commit; {wait}",
        note("1.1", n),
        note("1.1", 0),
        note("1.0", 0),
    )
}

/// Dumps while an extension is altered.
const ALTERING: u32 = 5;

/// What the archive has of an extension is of one moment: its version, the rows of its tables, what
/// belonged to it.
#[test]
fn an_extension_that_never_stands_still() {
    let server = Server::start(18);
    let source = Arc::new(server.create_db("altered"));
    source.psql(
        "create schema fx_settings; create extension pgstow_settings;
         insert into fx_settings.users_rows (id, v) select n, 'v' from generate_series(2, 6) n;
         create table public.told (version text, later int, member bool);
         insert into public.told values ('1.0', 0, false);
         create table public.now_and_then as select 1 as i;",
    );
    let stop = Arc::new(AtomicBool::new(false));
    let session = {
        let (db, stop) = (Arc::clone(&source), Arc::clone(&stop));
        thread::spawn(move || {
            let mut n = 1;
            while !stop.load(Ordering::Relaxed) {
                db.psql(&extension_round(n));
                n += 1;
            }
        })
    };
    let mut session = Some(session);

    let dir = tempfile::tempdir().unwrap();
    let (mut whole, mut refused) = (0, 0);
    for attempt in 0..=ALTERING {
        // The last one is left alone, and must succeed.
        if attempt == ALTERING {
            stop.store(true, Ordering::Relaxed);
            session.take().unwrap().join().unwrap();
        }
        let file = dir.path().join(format!("{attempt}"));
        let dump = run(pgstow()
            .args(["dump", "-j2", "--extension-versions", &source.url(), "-f"])
            .arg(&file));
        if dump.code != Some(0) && attempt < ALTERING {
            assert_ended_by_change(&dump);
            assert!(!file.exists(), "a failed dump leaves no archive");
            refused += 1;
            continue;
        }
        dump.success();
        whole += 1;
        let target = server.create_db("altered");
        run(pgstow().args(["restore", "-d", &target.url()]).arg(&file)).success();
        let told = target.query_rows("select version, later::text, member::text from public.told");
        let later = match target.query_one("select to_regclass('fx_settings.later') is null") == "t"
        {
            true => String::from("0"),
            false => target.query_one("select count(*) from fx_settings.later"),
        };
        let found = target.query_rows(&format!(
            "select extversion, '{later}', (to_regclass('public.now_and_then') is null)::text
               from pg_extension where extname = 'pgstow_settings'"
        ));
        assert_eq!(found, told);
        assert_eq!(
            target.query_one("select count(*) from fx_settings.users_rows"),
            "6"
        );
    }
    println!("{whole} dumps were whole, {refused} ended with an error");
}

/// What a nightly job does to three tables. Rows are as many as before.
const RELOAD: &str = "
    begin;
    truncate daily;
    insert into daily select i from generate_series(1, 1000) i;
    drop table remade;
    create table remade (i int, added int);
    insert into remade select i, i from generate_series(1, 500) i;
    alter table rewritten alter j type int using j + floor(random())::int;
    insert into rewritten select i, i from generate_series(1, 10) i;";

/// Runs something that waits for a lock on what another session reloads at that moment.
async fn while_it_is_reloaded(db: &Db, other: &Client, mut command: Command) -> Output {
    other.batch_execute(RELOAD).await.unwrap();
    let running = thread::spawn(move || run(&mut command));
    let waits = "select count(*) from pg_locks l join pg_class c on c.oid = l.relation
                  where not l.granted and c.relname in ('daily', 'remade', 'rewritten')";
    while db.query_one(waits) == "0" {
        assert!(!running.is_finished(), "it has not waited");
        thread::sleep(std::time::Duration::from_millis(10));
    }
    other.batch_execute("commit").await.unwrap();
    running.join().unwrap()
}

/// TRUNCATE and whatever rewrites a table show under every snapshot: without another one their rows would be
/// missing, and nobody would know.
#[tokio::test]
async fn tables_that_are_reloaded_while_their_locks_are_waited_for() {
    let server = Server::start(18);
    let db = server.create_db("reloaded");
    db.psql(
        "create table daily (i int);
         create table remade (i int);
         create table rewritten (i int, j int);
         create sequence steady;
         create view seen as select i from daily;
         create materialized view kept as select 1 as one;
         create table parted (i int) partition by range (i);
         create table part partition of parted default;",
    );
    let other = db.connect().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("archive");
    let dump = |more: &[&str]| {
        let mut dump = pgstow();
        dump.args(["dump", &db.url()]).args(more);
        dump.arg("-f").arg(&file);
        dump
    };

    let target = server.create_db("restored");
    let out = while_it_is_reloaded(&db, &other, dump(&[])).await.success();
    let told = "rewritten or replaced after the snapshot was taken, which does not show the rows: \
                public.daily, public.remade, public.rewritten; the catalogs are read again";
    assert!(out.stderr.contains(told), "{}", out.stderr);
    assert_eq!(
        out.stderr.matches("read again").count(),
        1,
        "{}",
        out.stderr
    );
    run(pgstow().args(["restore", "-d", &target.url()]).arg(&file)).success();
    let counts = "select concat_ws(' ', (select count(*) from daily),
                    (select sum(added) from remade), (select count(*) from rewritten))";
    assert_eq!(target.query_one(counts), "1000 125250 10");

    let copied = server.create_db("copied");
    let mut copy = pgstow();
    copy.args(["copy", &db.url(), &copied.url()]);
    let out = while_it_is_reloaded(&db, &other, copy).await.success();
    assert!(out.stderr.contains(told), "{}", out.stderr);
    assert_eq!(copied.query_one(counts), "1000 125250 20");

    // A snapshot that somebody gave cannot be taken again.
    let holder = db.connect().await;
    holder
        .batch_execute("begin isolation level repeatable read")
        .await
        .unwrap();
    let snapshot: String = holder
        .query_one("select pg_export_snapshot()", &[])
        .await
        .unwrap()
        .get(0);
    std::fs::remove_file(&file).unwrap();
    let of = format!("--snapshot={snapshot}");
    run(&mut dump(&[&of])).success();
    std::fs::remove_file(&file).unwrap();
    other.batch_execute("truncate daily").await.unwrap();
    let out = run(&mut dump(&[&of])).expect_code(1);
    assert!(
        out.stderr.contains("the rows: public.daily\n") && out.stderr.contains("export a new one"),
        "{}",
        out.stderr
    );
    assert!(!file.exists());
}

/// What stands in the way of no lock of a dump, and is called otherwise when the server is asked for its
/// words: the catalogs are read again.
#[tokio::test]
async fn an_index_that_is_renamed_while_the_dump_waits() {
    let server = Server::start(18);
    let db = server.create_db("renamed");
    db.psql(
        "create table held (i int);
         create table t (i int, j int);
         create index old on t ((i + 1)); comment on index old is 'its';
         create statistics old_too on i, j from t; comment on statistics old_too is 'its';
         -- Room for what a dump needs while it reads catalogs, and no more.
         create role few login connection limit 2;
         alter table held owner to few; alter table t owner to few; alter statistics old_too owner to few;",
    );
    let dir = tempfile::tempdir().unwrap();
    let renames = [
        ("index", "alter index old rename to new"),
        ("statistics", "alter statistics old_too rename to new_too"),
    ];
    for (name, rename) in renames {
        let holder = db.connect().await;
        let hold = "begin; lock table held in access exclusive mode";
        holder.batch_execute(hold).await.unwrap();
        let file = dir.path().join(name);
        let (url, to) = (db.url_as("few", None), file.clone());
        let dump = thread::spawn(move || run(pgstow().args(["dump", "-j1", &url, "-f"]).arg(to)));
        let waits =
            "select count(*) from pg_locks where not granted and relation = 'held'::regclass";
        while db.query_one(waits) == "0" && !dump.is_finished() {
            thread::sleep(std::time::Duration::from_millis(20));
        }
        holder.batch_execute(rename).await.unwrap();
        holder.batch_execute("commit").await.unwrap();
        let dump = dump.join().unwrap().success();
        assert!(dump.stderr.contains("are read again"), "{}", dump.stderr);
        // The sessions of the first attempt are gone.
        assert!(!dump.stderr.contains("too many"), "{}", dump.stderr);
        let target = server.create_db("renamed_too");
        run(pgstow().args(["restore", "-d", &target.url()]).arg(&file)).success();
    }
    drop(db);
    server.psql("drop role few");
}
