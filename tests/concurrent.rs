//! Dumps while other sessions create, change and drop: each is consistent, or ends with an error
//! that says why, and leaves nothing that looks like an archive.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use support::{Db, Server, pgstow, run};

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
            assert_eq!(dump.code, Some(1), "{}", dump.stderr);
            assert!(
                [
                    "schema changed while it was being read",
                    "dropped since the dump began",
                    "another session waits for an exclusive lock",
                ]
                .iter()
                .any(|reason| dump.stderr.contains(reason)),
                "{}",
                dump.stderr
            );
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
