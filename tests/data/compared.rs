//! Archives compared with live databases: a large table by several sessions, and what becomes of tables that are
//! not as they were, are locked by others, or are rewritten meanwhile.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::dump_faults::cut_while_reading;
use crate::support::{Db, Fault, Harm, Output, Proxy, Server, Side, pgstow, run};

/// A table that is cut into ranges, with room in its first pages, and some small ones.
const SAMPLE: &str = "
    create table big (id int, filler text) with (autovacuum_enabled = off);
    alter table big alter filler set storage plain;
    insert into big select i, repeat(md5(i::text), 246) from generate_series(1, 11000) i;
    delete from big where id <= 1500;
    do $$ begin
        for i in 1..20 loop
            execute format('create table t%s as select g, ''x'' || g as t from generate_series(1, %s) g', i, i);
        end loop;
    end $$;";

struct Sample {
    server: Arc<Server>,
    /// Nobody is connected to it once it is dumped.
    db: Db,
    dir: TempDir,
}

impl Sample {
    fn archive(&self) -> std::path::PathBuf {
        self.dir.path().join("archive")
    }

    /// The database that the archive is of, once more.
    fn db(&self) -> Db {
        self.server
            .create_db_with("compared", &format!("TEMPLATE \"{}\"", self.db.name()))
    }
}

fn sample() -> &'static Sample {
    static SAMPLE_DB: OnceLock<Sample> = OnceLock::new();
    SAMPLE_DB.get_or_init(|| {
        let server = Server::start(18);
        let db = server.create_db("compared_sample");
        db.psql(SAMPLE);
        let dir = tempfile::tempdir().unwrap();
        let sample = Sample { server, db, dir };
        run(pgstow()
            .args(["dump", "-j2", &sample.db.url(), "-f"])
            .arg(sample.archive()))
        .success();
        sample
    })
}

fn verify(url: &str, archive: &Path, jobs: &str) -> Output {
    run(pgstow()
        .args(["verify", jobs, "-v", "--against", url])
        .arg(archive))
}

/// What is said to differ, without what stands around it.
fn differences(output: &Output) -> Vec<String> {
    let all = output.stderr.lines().chain(output.stdout.lines());
    let lines = all.filter_map(|line| line.split_once("differs: "));
    lines.map(|(_, line)| line.to_owned()).collect()
}

#[test]
fn each_difference_is_told_by_name_and_the_rest_is_compared() {
    let sample = sample();
    let archive = sample.archive();
    let db = sample.db();
    let read = || {
        let figures =
            "select seq_scan, seq_tup_read from pg_stat_user_tables where relname = 'big'";
        let row = db.query_rows(figures).remove(0);
        row.into_iter()
            .map(|figure| figure.unwrap().parse::<u64>().unwrap())
            .collect::<Vec<u64>>()
    };
    let [scans, rows] = read()[..] else {
        panic!("two figures")
    };
    let equal = verify(&db.url(), &archive, "-j4").success();
    assert!(
        equal.stderr.contains("compared 21 tables, 0 differ"),
        "{}",
        equal.stderr
    );
    // Ranges are no scans of the table for the server. A session tells its figures when it ends.
    let begun = Instant::now();
    while read() != [scans, rows + 9500] {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", read());
        thread::sleep(Duration::from_millis(20));
    }
    db.psql(
        "update big set filler = overlay(filler placing 'x' from 1) where id = 11000;
         drop table t3; drop table t4; drop table t5;
         create view t5 as select 1 as g, 'x1' as t;
         alter table t11 drop t; alter table t13 rename g to h;
         update t20 set t = 'y' where g = 20;
         insert into t19 values (20, 'x20');",
    );
    let wanted = [
        "public.big: 9500 rows in the archive, 9500 rows in the database: as many rows, with other content",
        "public.t3: 3 rows in the archive, unreadable in the database: relation \"public.t3\" does not exist",
        "public.t4: 4 rows in the archive, unreadable in the database: relation \"public.t4\" does not exist",
        "public.t5: 5 rows in the archive, unreadable in the database: cannot copy from view \"t5\"",
        "public.t11: 11 rows in the archive, unreadable in the database: column \"t\" of relation \"t11\" does not exist",
        "public.t13: 13 rows in the archive, unreadable in the database: column \"g\" of relation \"t13\" does not exist",
        "public.t19: 19 rows in the archive, 20 rows in the database: another number of rows",
        "public.t20: 20 rows in the archive, 20 rows in the database: as many rows, with other content",
    ];
    for jobs in ["-j1", "-j4"] {
        let mut found = differences(&verify(&db.url(), &archive, jobs).expect_code(1));
        found.sort();
        let mut wanted = wanted.map(str::to_owned);
        wanted.sort();
        assert_eq!(found, wanted, "{jobs}");
    }
    db.psql("delete from big where id = 11000; alter table big rename filler to stuffing");
    let found = differences(&verify(&db.url(), &archive, "-j4").expect_code(1));
    let big: Vec<&String> = found
        .iter()
        .filter(|line| line.starts_with("public.big"))
        .collect();
    assert_eq!(
        big,
        [
            "public.big: 9500 rows in the archive, unreadable in the database: column \"filler\" does not exist"
        ]
    );
    assert_eq!(found.len(), wanted.len());
}

/// Both sessions are cut in the middle of the large table, and go on in others.
#[test]
fn a_lost_session_goes_on_in_another_one() {
    let sample = sample();
    let db = sample.db();
    let proxy = Proxy::builder(&sample.server)
        .faults(|number| match number {
            // The first one is only tried, the second holds the snapshot.
            2..6 => vec![cut_while_reading(number)],
            _ => Vec::new(),
        })
        .start();
    let out = verify(&proxy.url(&db), &sample.archive(), "-j2").success();
    assert!(
        out.stderr.contains("compared 21 tables, 0 differ"),
        "{}",
        out.stderr
    );
    let again = "compare public.big: ";
    assert!(out.stderr.contains(again), "{}", out.stderr);
    assert!(proxy.harmed() >= 2, "{}", proxy.harmed());
}

/// Rows stand elsewhere after a VACUUM FULL, which gets its lock between two ranges.
#[test]
fn a_table_that_is_rewritten_between_its_ranges_is_read_again() {
    let sample = sample();
    let db = sample.db();
    let proxy = Proxy::builder(&sample.server)
        .faults(|number| match number {
            2..4 => vec![Fault {
                side: Side::ToClient,
                after: 4_000_000,
                harm: Harm::Stall(Duration::from_secs(3)),
            }],
            _ => Vec::new(),
        })
        .start();
    let is_read = || {
        let locks = "select count(*) > 0 from pg_locks where relation = 'big'::regclass
             and mode = 'AccessShareLock' and granted and pid <> pg_backend_pid()";
        db.query_one(locks) == "t"
    };
    let out = thread::scope(|scope| {
        let url = proxy.url(&db);
        let out = scope.spawn(move || verify(&url, &sample.archive(), "-j2"));
        let begun = Instant::now();
        while !is_read() {
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing is read");
        }
        db.psql("vacuum full big");
        assert!(
            !out.is_finished(),
            "the table was read before it was rewritten"
        );
        out.join().unwrap()
    })
    .success();
    assert!(
        out.stderr.contains("compared 21 tables, 0 differ"),
        "{}",
        out.stderr
    );
    let again = "table public.big was rewritten while it was read";
    assert!(out.stderr.contains(again), "{}", out.stderr);
}

/// Whoever waits for one table has no lock on any other.
#[test]
fn a_locked_table_is_waited_for_and_nobody_else_waits() {
    let sample = sample();
    let db = sample.db();
    let waits = || {
        let locks =
            "select count(*) from pg_locks w where relation = 't10'::regclass and not granted
             and not exists (select from pg_locks o
                 where o.pid = w.pid and o.granted and o.relation in (
                     select oid from pg_class where relnamespace = 'public'::regnamespace))";
        db.query_one(locks) == "1"
    };
    let client = || db.tool("psql");
    let out = thread::scope(|scope| {
        let holder = scope.spawn(|| {
            run(client().args([
                "-X",
                "-c",
                "begin; lock table t10 in access exclusive mode; create table held (); ",
                "-c",
                "select pg_sleep(5)",
                "-c",
                "commit",
            ]))
        });
        let held = "select count(*) > 0 from pg_locks where relation = 't10'::regclass and granted";
        while db.query_one(held) != "t" {}
        let out = scope.spawn(|| verify(&db.url(), &sample.archive(), "-j2"));
        let begun = Instant::now();
        while !waits() {
            assert!(begun.elapsed() < Duration::from_secs(60), "t10 is not waited for");
        }
        // Before the other one's transaction has ended.
        db.psql("set lock_timeout = '4s'; alter table t9 set (fillfactor = 90); alter table big set (fillfactor = 90)");
        let out = out.join().unwrap();
        holder.join().unwrap().success();
        out
    })
    .success();
    assert!(
        out.stderr.contains("compared 21 tables, 0 differ"),
        "{}",
        out.stderr
    );
    assert!(
        out.stderr
            .contains("another session has locked table public.t10: it is waited for"),
        "{}",
        out.stderr
    );
}
