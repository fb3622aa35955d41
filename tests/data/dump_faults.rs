//! Dumps that lose sessions, the network, the server, or themselves: each ends with an archive that
//! has every row once, or with an error and nothing that looks like an archive.
//!
//! `PGSTOW_FAULT_SEEDS` (default 4) is how many random runs there are, `PGSTOW_FAULT_SEED` (default 1) the
//! first one's seed.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Db, Dice, Fault, Harm, Output, Pooler, Proxy, Server, Side, pgstow, run, run_for,
};

/// Rows and fingerprint by entry.
type Content = BTreeMap<u64, (u64, String)>;

/// A table that is read in chunks of many frames, tables that are read together, and large objects.
const SAMPLE: &str = "
    create table big (id int, filler text);
    alter table big alter filler set storage plain;
    insert into big select i, repeat(md5(i::text), 246) from generate_series(1, 9600) i;
    create table wide (id int, doc text);
    alter table wide alter doc set storage external;
    insert into wide select i, repeat(md5(i::text), 3000) from generate_series(1, 200) i;
    create table narrow as select i, i * 7 as j, md5(i::text) as t from generate_series(1, 30000) i;
    create table nothing ();
    create table empty (i int);
    do $$ begin
        for i in 1..120 loop
            execute format('create table small_%s as select g, ''x'' || g as t from generate_series(1, %s) g', i, i);
        end loop;
        for i in 1..40 loop
            perform lo_from_bytea(100000 + i, convert_to(repeat(md5(i::text), i * 20), 'UTF8'));
        end loop;
        perform lo_from_bytea(100100, convert_to(repeat(md5('large'), 700000), 'UTF8'));
        perform lo_create(100101);
    end $$;";

struct Sample {
    db: Db,
    content: Content,
    /// How long a dump takes that nobody disturbs.
    time: Duration,
}

/// The sample, and what an undisturbed dump of it has.
fn sample() -> &'static Sample {
    static SAMPLE_DB: OnceLock<Sample> = OnceLock::new();
    SAMPLE_DB.get_or_init(|| {
        // Planner statistics are in the archive too, and stay as they are.
        let server = Server::builder(18).option("autovacuum", "off").start();
        let db = server.create_db("faults");
        db.psql(SAMPLE);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("good");
        let began = Instant::now();
        run(dump(&db.url(), &file)).success();
        let time = began.elapsed();
        let content = content_of(&file);
        // Tables, large objects and statistics.
        assert_eq!(content.len(), 127, "{content:?}");
        Sample { db, content, time }
    })
}

fn dump(url: &str, file: &Path) -> &'static mut Command {
    let mut command = pgstow();
    command.args(["dump", "-j3", url, "-f"]).arg(file);
    Box::leak(Box::new(command))
}

/// Verifies an archive, and reads what its entries have.
fn content_of(file: &Path) -> Content {
    run(pgstow().arg("verify").arg(file)).success();
    let listed = run(pgstow().args(["list", "--json"]).arg(file)).success();
    let lines = listed.stdout.lines();
    let entries = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    entries
        .filter_map(|entry| {
            let table = entry.get("table")?;
            let rows = table["rows"].as_u64().unwrap();
            let fingerprint = table["fingerprint"].as_str().unwrap().to_owned();
            Some((entry["id"].as_u64().unwrap(), (rows, fingerprint)))
        })
        .collect()
}

/// Good and the same as the undisturbed one, or a failure that says so and leaves nothing.
fn assert_good_or_nothing(dump: &Output, file: &Path, good: &Content) -> bool {
    if dump.code == Some(0) {
        assert_eq!(&content_of(file), good, "{}", dump.stderr);
        return true;
    }
    // 4: already the first sessions were refused.
    assert!(
        dump.code.is_none_or(|code| [1, 4].contains(&code)),
        "{}",
        dump.stderr
    );
    assert_nothing(file);
    false
}

fn assert_nothing(file: &Path) {
    assert!(!file.exists(), "an archive under its name");
    for entry in std::fs::read_dir(file.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let verify = run(pgstow().arg("verify").arg(&path));
        assert_ne!(verify.code, Some(0), "{} looks whole", path.display());
        std::fs::remove_file(path).unwrap();
    }
}

/// Ends so many backends of this kind, one after the other, at random times.
fn terminate(db: &Db, who: &str, seed: u64, count: u64, pause: f64) {
    db.psql(&format!(
        "do $$ declare hit int; begun timestamptz := clock_timestamp(); begin
           perform setseed({});
           for i in 1..{count} loop
             while clock_timestamp() < begun + interval '8 s' loop
               perform pg_sleep(random() * {pause});
               perform pg_stat_clear_snapshot();
               select count(pg_terminate_backend(pid)) into hit from (
                 select pid from pg_stat_activity
                  where datname = current_database() and application_name ~ '{who}'
                  order by random() limit 1) a;
               exit when hit > 0;
             end loop;
           end loop;
         end $$",
        (seed % 1000) as f64 / 1000.0
    ));
}

fn random_run(seed: u64, sample: &Sample) -> &'static str {
    let mut dice = Dice::new(seed);
    let db = &sample.db;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out");
    // Each kind with packs and without.
    let packs = ["--pack-tables=always", "--pack-tables=never"];
    let packs = packs[usize::from((seed + seed / 5).is_multiple_of(2))];
    // Four seeds in a row reach every kind.
    match seed % 5 {
        0 | 4 => {
            let mut rolls = dice.clone();
            let faults: Vec<Vec<Fault>> = (0..40)
                .map(|number| {
                    // The first two are the leader and the one beside it.
                    let harmed = if number < 2 {
                        rolls.once_in(8)
                    } else {
                        rolls.once_in(2)
                    };
                    harmed.then(|| rolls.fault(32 << 20)).into_iter().collect()
                })
                .collect();
            let proxy = Proxy::builder(db.server())
                .faults(move |number| faults.get(number).cloned().unwrap_or_default())
                .start();
            let out = run(dump(&proxy.url(db), &file).arg(packs));
            match assert_good_or_nothing(&out, &file, &sample.content) {
                true if proxy.harmed() > 0 => "network: good",
                true => "network: untouched",
                false => "network: refused",
            }
        }
        1 => {
            let count = 1 + dice.below(4);
            let out = thread::scope(|scope| {
                let out = scope.spawn(|| run(dump(&db.url(), &file).arg(packs)));
                // As many as there are tries of one thing are never lost.
                terminate(db, "worker", seed, count, 0.2);
                out.join().unwrap()
            });
            assert_eq!(out.code, Some(0), "{}", out.stderr);
            assert_good_or_nothing(&out, &file, &sample.content);
            "workers terminated: good"
        }
        3 => {
            let out = thread::scope(|scope| {
                let out = scope.spawn(|| run(dump(&db.url(), &file).arg(packs)));
                terminate(db, "pgstow dump$", seed, 1, sample.time.as_secs_f64());
                out.join().unwrap()
            });
            match assert_good_or_nothing(&out, &file, &sample.content) {
                true => "leader terminated: good",
                false => "leader terminated: refused",
            }
        }
        _ => {
            let mut child = dump(&db.url(), &file).arg(packs).spawn().unwrap();
            let most = u64::try_from(sample.time.as_micros()).unwrap();
            thread::sleep(Duration::from_micros(dice.below(most + most / 8)));
            child.kill().unwrap();
            if child.wait().unwrap().success() {
                assert_eq!(content_of(&file), sample.content);
                return "killed too late";
            }
            assert_nothing(&file);
            "killed: nothing"
        }
    }
}

#[test]
fn random_faults_never_give_a_wrong_archive() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |value| value.parse().unwrap())
    };
    let first = number("PGSTOW_FAULT_SEED", 1);
    let sample = sample();
    for seed in first..first + number("PGSTOW_FAULT_SEEDS", 4) {
        println!("seed {seed}");
        println!("{}", random_run(seed, sample));
    }
}

/// Loses a session one byte into its third frame, or in the middle of a row of the first.
pub fn cut_while_reading(number: usize) -> Fault {
    Fault {
        side: Side::ToClient,
        after: if number.is_multiple_of(2) {
            17_000_000
        } else {
            5_000_000
        },
        harm: Harm::Cut,
    }
}

/// Both workers are cut in the middle of the large table, behind frames that are in the archive.
#[test]
fn a_lost_worker_goes_on_where_it_was() {
    let Sample { db, content, .. } = sample();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out");
    let proxy = Proxy::builder(db.server())
        .faults(|number| match number {
            0 | 1 => Vec::new(),
            2..6 => vec![cut_while_reading(number)],
            _ => Vec::new(),
        })
        .start();
    let out = run(dump(&proxy.url(db), &file)).success();
    assert_eq!(&content_of(&file), content);
    assert!(
        out.stderr.contains("read again under the same snapshot"),
        "{}",
        out.stderr
    );
    assert!(proxy.harmed() >= 2, "{}", proxy.harmed());
}

/// Rows that are others when they are read again do not make an archive.
#[test]
fn other_rows_than_before_are_an_error() {
    let server = Server::start(18);
    let db = server.create_db("other_rows");
    let role = format!("other_rows_{}", std::process::id());
    db.psql(&format!(
        "create role {role} login;
         create table visible (id int, filler text);
         alter table visible alter filler set storage plain;
         insert into visible select i, repeat(md5(i::text), 246) from generate_series(1, 4000) i;
         alter table visible enable row level security;
         create policy nine_of_ten on visible using (random() < 0.9);
         grant select on visible to {role};"
    ));
    let proxy = Proxy::builder(&server)
        .faults(|number| {
            let (side, after, harm) = (Side::ToClient, 20_000_000, Harm::Cut);
            if (2..5).contains(&number) {
                vec![Fault { side, after, harm }]
            } else {
                Vec::new()
            }
        })
        .start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out");
    let url = proxy.url(&db).replacen("postgres@", &format!("{role}@"), 1);
    let out = run(dump(&url, &file).arg("--enable-row-security")).expect_code(1);
    assert!(
        out.stderr.contains("dump table public.visible: the rows that were read before the connection was lost did not come again"),
        "{}",
        out.stderr
    );
    assert_nothing(&file);
    drop(db);
    server.psql(&format!("drop role {role}"));
}

/// Somebody who waits for an exclusive lock is waited for by nobody: the leader has its lock.
#[test]
fn an_exclusive_lock_that_is_waited_for_does_not_end_the_dump() {
    let Sample { db, content, .. } = sample();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out");
    // The workers begin when the others wait.
    let proxy = Proxy::builder(db.server())
        .faults(|number| {
            let stall = Harm::Stall(Duration::from_secs(3));
            let (side, after, harm) = (Side::ToServer, 0, stall);
            if number < 2 {
                Vec::new()
            } else {
                vec![Fault { side, after, harm }]
            }
        })
        .start();
    let is_locked = |table: &str, mode: &str, granted: bool| {
        db.query_one(&format!(
            "select count(*) > 0 from pg_locks where relation = '{table}'::regclass
                and mode = '{mode}' and granted = {granted} and pid <> pg_backend_pid()"
        )) == "t"
    };
    let out = thread::scope(|scope| {
        let out = scope.spawn(|| run(dump(&proxy.url(db), &file)));
        let begun = Instant::now();
        while !is_locked("small_120", "AccessShareLock", true) {
            assert!(begun.elapsed() < Duration::from_secs(60), "no dump began");
        }
        // Takes both, and changes nothing.
        for table in ["big", "small_60"] {
            scope.spawn(move || {
                db.psql(&format!(
                    "begin; lock table {table} in access exclusive mode; commit;"
                ))
            });
        }
        while !is_locked("big", "AccessExclusiveLock", false) {}
        out.join().unwrap()
    })
    .success();
    assert_eq!(&content_of(&file), content);
    assert!(!out.stderr.contains("error"), "{}", out.stderr);
}

/// A server that goes away takes the snapshot with it, also if it comes back at once.
#[test]
fn a_server_that_crashes_ends_the_dump() {
    let server = Server::builder(18).start();
    let db = server.create_db("crash");
    db.psql("create table t as select i, md5(i::text) from generate_series(1, 20000) i");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out");
    for comes_back in [true, false] {
        let proxy = late_workers(&server);
        let out = while_workers_are_late(&proxy, &db, &file, || {
            if comes_back {
                server.crash_and_return();
            } else {
                server.crash();
            }
        })
        .expect_code(1);
        assert!(
            out.stderr
                .contains("the session that held the snapshot and the locks was lost"),
            "{}",
            out.stderr
        );
        assert_nothing(&file);
    }
    // The database is dropped with a server that is there no more.
    std::mem::forget(db);
    drop(Arc::clone(&server));
}

/// Has the sessions of workers wait for two seconds before they say anything.
fn late_workers(server: &Server) -> Proxy {
    Proxy::builder(server)
        .faults(|number| {
            let harm = Harm::Stall(Duration::from_secs(2));
            let (side, after) = (Side::ToServer, 0);
            if number < 2 {
                Vec::new()
            } else {
                vec![Fault { side, after, harm }]
            }
        })
        .start()
}

/// Dumps while something happens between the leader's locks and the first row.
fn while_workers_are_late(proxy: &Proxy, db: &Db, file: &Path, happens: impl FnOnce()) -> Output {
    thread::scope(|scope| {
        let out = scope.spawn(|| run_for(dump(&proxy.url(db), file), Duration::from_secs(60)));
        while proxy.connections() < 3 {
            thread::sleep(Duration::from_millis(5));
        }
        happens();
        out.join().unwrap()
    })
}

/// Rows are written by the types of now, whatever the snapshot: types that change meanwhile end the dump.
#[test]
fn types_that_change_while_rows_are_read() {
    let server = Server::start(18);
    let db = server.create_db("written");
    db.psql(
        "create schema kept;
         create type mood as enum ('sad', 'ok');
         create domain feeling as mood;
         create type pair as (a int, b text, c text);
         create type steady as (a int, b mood);
         create type unused as (a int);
         create table kept.feelings (f feeling[]);
         insert into kept.feelings values ('{sad,ok}');
         create table pairs (p pair);
         insert into pairs values (row(1, 'b', 'c'));
         create table others (s steady, m mood, r int);
         insert into others values (row(1, 'ok'), 'sad', 1)",
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out");
    let proxy = late_workers(&server);
    // What no row can have is no change.
    while_workers_are_late(&proxy, &db, &file, || {
        db.psql(
            "alter type mood add value 'glad';
             alter type steady rename attribute b to d;
             alter type unused drop attribute a;
             grant usage on schema kept to public;",
        );
    })
    .success();
    std::fs::remove_file(&file).unwrap();

    let proxy = late_workers(&server);
    let out = while_workers_are_late(&proxy, &db, &file, || {
        db.psql(
            "alter type mood rename value 'sad' to 'x';
             alter type mood rename value 'ok' to 'sad';
             alter type mood rename value 'x' to 'ok';
             alter type pair drop attribute b;
             alter type pair add attribute b text;
             alter schema kept rename to old;
             create schema kept;
             create table kept.feelings (f feeling[]);",
        );
    })
    .expect_code(1);
    assert!(
        out.stderr.contains(
            "changed while rows were read, which are not all written alike: \
             schema kept, type public.mood, type public.pair\n"
        ) && out.stderr.contains("run it again"),
        "{}",
        out.stderr
    );
    assert_nothing(&file);
}

/// A standby that must go on ends whoever still sees what is to be removed, the leader among them. The dump
/// says why, and leaves nothing; where the standby waits for it, it is good.
#[test]
fn a_standby_that_must_go_on_ends_the_dump() {
    let primary = Server::builder(18)
        .option("autovacuum", "off")
        .option("max_standby_streaming_delay", "0")
        .start();
    let db = primary.create_db("conflict");
    db.psql("create table t as select i, md5(i::text) as v from generate_series(1, 20000) i");
    let standby = primary.standby();
    standby.wait_for(&primary);
    let there = standby.db(db.name());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out");
    let removed = || {
        db.psql("delete from t where i % 2 = 0");
        db.psql("vacuum t");
        let gone = "select count(*) from pg_stat_activity where application_name = 'pgstow dump'";
        let begun = Instant::now();
        while there.query_one(gone) != "0" {
            assert!(begun.elapsed() < Duration::from_secs(60), "no conflict");
        }
    };
    let proxy = late_workers(&standby);
    let out = while_workers_are_late(&proxy, &there, &file, removed).expect_code(1);
    assert!(
        out.stderr
            .contains("the session that held the snapshot and the locks was lost"),
        "{}",
        out.stderr
    );
    assert_nothing(&file);
    run(dump(&there.url(), &file)).success();
    let rows: Vec<u64> = content_of(&file)
        .into_values()
        .map(|(rows, _)| rows)
        .collect();
    assert!(rows.contains(&10_000), "{rows:?}");
}

/// What a role or a database has set must not reach the dump, whichever session of the server it gets.
#[test]
fn a_pooler_that_hands_out_transactions() {
    let server = Server::start(18);
    let db = server.create_db("pooled");
    db.psql(
        "drop role if exists pooled; create role pooled login;
         alter role pooled set search_path = s, pg_catalog;
         alter role pooled set extra_float_digits = -15; alter role pooled set intervalstyle = iso_8601;
         create schema s; grant usage on schema s to pooled;
         create table s.t (id int primary key, f float8, i interval, filler text);
         insert into s.t select n, n / 3.0::float8, n * interval '1 hour', repeat('x', 200)
           from generate_series(1, 60000) n;
         create table s.u as select n, n / 7.0::float8 as f from generate_series(1, 100) n;
         create view s.v as select id, f from s.t;
         create index on s.t ((abs(id)));
         grant select on all tables in schema s to pooled;",
    );
    let pooler = Pooler::start(&server);
    let direct = db.url_as("pooled", None);
    let pooled = pooler.url(&direct);
    let dir = tempfile::tempdir().unwrap();
    let archive = |name: &str, url: &str| {
        let file = dir.path().join(name);
        let options = ["dump", "-j3", "--copy-format=text", url, "-f"];
        run(pgstow().args(options).arg(&file)).success();
        file
    };
    let [good, same] = [archive("good", &direct), archive("same", &pooled)];
    assert!(pooler.switches() > 0, "sessions were handed out anew");
    assert_eq!(content_of(&good), content_of(&same));
    let script = |file: &Path| run(pgstow().arg("sql").arg(file)).success().stdout;
    let lines = |file: &Path| -> Vec<String> {
        let script = script(file);
        let kept = script
            .lines()
            .filter(|line| !line.starts_with("--") && !line.starts_with('\\'));
        kept.map(str::to_owned).collect()
    };
    assert!(lines(&same).iter().any(|line| line.contains("FROM s.t")));
    assert_eq!(lines(&good), lines(&same));
    run(pgstow().args(["verify", "--against", &pooled]).arg(&good)).success();
    // Rows that the role may not see are missed, not passed over.
    db.psql(
        "alter table s.u enable row level security;
         create policy part on s.u for select to pooled using (n <= 10);",
    );
    let refused = run(pgstow()
        .args(["dump", &pooled, "-f"])
        .arg(dir.path().join("part")));
    let refused = refused.expect_code(1);
    assert!(
        refused.stderr.contains("row-level security"),
        "{}",
        refused.stderr
    );
    drop(db);
    server.psql("drop role pooled");
}
