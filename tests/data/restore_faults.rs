//! Restores whose sessions, network, server or own process die at random points. However often that
//! happens, and whoever dies: in the end every row is there exactly once, every object is as on the
//! source, and nothing of the journal stays.
//!
//! `PGSTOW_RESTORE_FAULTS=100` runs so many seeds (default: one of each kind);
//! `PGSTOW_RESTORE_SEED=7` begins with that one. Seeds are printed; the points in time are random all
//! the same, since other processes take part.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a panic is how a test fails"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::{
    self, Db, Dice, Proxy, Server, assert_same_text, pg_dump_schema, pgstow, run, table_hashes,
};

const JOURNAL: &str = "pgstow restore journal";

/// What is restored again and again: frames of one large table, tables that share a transaction,
/// indexes and keys, large objects, privileges, and a trigger that lets nobody drop anything.
const SOURCE: &str = "
    create schema other;
    create table big (id int primary key, other int, t text);
    insert into big select i, i % 100 + 1, repeat(md5(i::text), 9) from generate_series(1, 70000) i;
    create table other.parent (id int primary key, v numeric);
    insert into other.parent select i, i * 1.5 from generate_series(1, 100) i;
    alter table big add foreign key (other) references other.parent;
    create index on big (other); create index on big (t); create unique index on big (t, id);
    create view v as select count(*) from big;
    create materialized view mv as select other, count(*) from big group by other;
    create sequence s; select setval('s', 4711);
    select lo_from_bytea(0, convert_to(repeat(i::text, 200000), 'UTF8')) from generate_series(1, 4) i;
    grant select on big to public; comment on table big is 'of some size';
    do $$begin for i in 1..80 loop
      execute format('create table small_%s (id int primary key, t text)', i);
      execute format('insert into small_%s select n, n::text from generate_series(1, %s) n', i, i);
    end loop; end$$;
    create function no_drops() returns event_trigger language plpgsql as
      $$begin raise exception 'nothing is dropped here'; end$$;
    create event trigger no_drops on sql_drop execute function no_drops();
";

struct Source {
    _dir: tempfile::TempDir,
    archive: PathBuf,
    /// The same the other way: with its small tables in packs, or without.
    packed: PathBuf,
    is_packed: bool,
    hashes: BTreeMap<String, (i64, String)>,
    schema: String,
    /// How long a restore takes when nobody dies.
    time: Duration,
}

impl Source {
    fn make(server: &Arc<Server>) -> Self {
        let db = server.create_db("source");
        db.psql(SOURCE);
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("source.pgstow");
        run(pgstow().args(["dump", &db.url(), "-f"]).arg(&archive)).success();
        let packed = dir.path().join("packed.pgstow");
        run(pgstow()
            .args(["dump", "--pack-tables=always", &db.url(), "-f"])
            .arg(&packed))
        .success();
        let mut source = Self {
            archive,
            packed,
            is_packed: false,
            hashes: table_hashes(&db),
            schema: pg_dump_schema(&db),
            time: Duration::ZERO,
            _dir: dir,
        };
        let target = server.create_db("undisturbed");
        let began = Instant::now();
        let ended = Restore::start(&source.archive, &target.url(), Feed::File, &[]).wait();
        assert!(ended.0.success(), "{}", ended.1);
        source.time = began.elapsed();
        source.assert_same(&target);
        source
    }

    fn assert_same(&self, target: &Db) {
        let journal = format!("select count(*) from pg_namespace where nspname = '{JOURNAL}'");
        assert_eq!(
            target.query_one(&journal),
            "0",
            "the journal is still there"
        );
        let hashes = table_hashes(target);
        for (table, rows) in &self.hashes {
            assert_eq!(hashes.get(table), Some(rows), "{table}");
        }
        assert_eq!(self.hashes.len(), hashes.len());
        assert_same_text(&self.schema, &pg_dump_schema(target));
    }

    /// A point in time within a restore, or a little later.
    fn moment(&self, dice: &mut Dice) -> Duration {
        let most = u64::try_from(self.time.as_micros()).unwrap();
        Duration::from_micros(dice.below(most + most / 8))
    }
}

#[derive(Clone, Copy)]
enum Feed {
    File,
    Pipe,
}

/// A restore under way.
struct Restore {
    child: Child,
    log: tempfile::NamedTempFile,
}

impl Restore {
    fn start(archive: &Path, url: &str, feed: Feed, options: &[&str]) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = pgstow();
        command
            .args(["restore", "-j", "3", "-d", url])
            .args(options);
        match feed {
            Feed::File => command.arg(archive).stdin(Stdio::null()),
            Feed::Pipe => command.arg("-").stdin(File::open(archive).unwrap()),
        };
        command.stdout(Stdio::null()).stderr(log.reopen().unwrap());
        Self {
            child: command.spawn().unwrap(),
            log,
        }
    }

    fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    fn wait(mut self) -> (ExitStatus, String) {
        let until = Instant::now() + Duration::from_secs(120);
        while self.is_running() {
            if Instant::now() > until {
                let _ = self.child.kill();
                panic!("still running:\n{}", self.said());
            }
            sleep(Duration::from_millis(5));
        }
        (self.child.wait().unwrap(), self.said())
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }
}

/// Goes on until it is done; a run that died after its last commit leaves nothing to go on with.
fn finish(source: &Source, target: &Db, feed: Feed) {
    let (status, said) = Restore::start(&source.archive, &target.url(), feed, &["--resume"]).wait();
    assert!(
        status.success() || (status.code() == Some(6) && said.contains("is not empty")),
        "{said}"
    );
}

fn a_feed(dice: &mut Dice) -> Feed {
    match dice.once_in(3) {
        true => Feed::Pipe,
        false => Feed::File,
    }
}

/// Ends random sessions while the restore runs; it does not even fail.
fn sessions_end(server: &Server, source: &Source, target: &Db, dice: &mut Dice) {
    let feed = a_feed(dice);
    let mut restore = Restore::start(&source.archive, &target.url(), feed, &[]);
    for _ in 0..=dice.below(5) {
        sleep(source.moment(dice) / 3);
        if !restore.is_running() {
            break;
        }
        server.psql(&format!(
            "select pg_terminate_backend(pid) from (select pid from pg_stat_activity \
             where datname = '{}' and exists (select from pg_locks l \
             where l.pid = pg_stat_activity.pid and l.locktype = 'advisory') \
             order by random() limit 1) as unlucky",
            target.name()
        ));
    }
    let (status, said) = restore.wait();
    assert!(status.success(), "{said}");
}

/// The process itself is killed, and begun again.
fn the_process_is_killed(source: &Source, target: &Db, dice: &mut Dice) {
    for _ in 0..=dice.below(4) {
        let (url, feed) = (target.url(), a_feed(dice));
        let mut restore = Restore::start(&source.archive, &url, feed, &["--resume"]);
        sleep(source.moment(dice));
        let _ = restore.child.kill();
        restore.wait();
    }
    finish(source, target, a_feed(dice));
}

/// The server dies and comes back: a file is read again, a pipe cannot be.
fn the_server_crashes(server: &Server, source: &Source, target: &Db, dice: &mut Dice) {
    let feed = a_feed(dice);
    let mut restore = Restore::start(&source.archive, &target.url(), feed, &["--resume"]);
    sleep(source.moment(dice));
    server.crash_and_return();
    if dice.once_in(2) {
        sleep(source.moment(dice));
        let _ = restore.child.kill();
    }
    restore.is_running();
    restore.wait();
    finish(source, target, a_feed(dice));
}

/// The network stalls and breaks, in many connections.
fn the_network_breaks(server: &Server, source: &Source, target: &Db, dice: &mut Dice) {
    let mut faults: BTreeMap<usize, support::Fault> = BTreeMap::new();
    for _ in 0..dice.below(6) {
        let number = usize::try_from(dice.below(12)).unwrap();
        faults.insert(number, dice.fault(20 << 20));
    }
    let proxy = Proxy::builder(server)
        .faults(move |number| faults.get(&number).copied().into_iter().collect())
        .start();
    let feed = a_feed(dice);
    Restore::start(&source.archive, &proxy.url(target), feed, &["--resume"]).wait();
    finish(source, target, a_feed(dice));
}

#[test]
fn whatever_dies_every_row_arrives_once() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let runs = number("PGSTOW_RESTORE_FAULTS").unwrap_or(4);
    let first = number("PGSTOW_RESTORE_SEED").unwrap_or(0);
    let server = Server::builder(18).start();
    let mut source = Source::make(&server);
    for seed in first..first + runs {
        // Each kind with packs and without.
        if (seed + seed / 4).is_multiple_of(2) != source.is_packed {
            let Source {
                archive, packed, ..
            } = &mut source;
            std::mem::swap(archive, packed);
            source.is_packed = !source.is_packed;
        }
        let mut dice = Dice::new(seed);
        let target = server.create_db("target");
        let began = Instant::now();
        let kind = match seed % 4 {
            0 => {
                sessions_end(&server, &source, &target, &mut dice);
                "sessions"
            }
            1 => {
                the_process_is_killed(&source, &target, &mut dice);
                "process"
            }
            2 => {
                the_server_crashes(&server, &source, &target, &mut dice);
                "server"
            }
            _ => {
                the_network_breaks(&server, &source, &target, &mut dice);
                "network"
            }
        };
        source.assert_same(&target);
        eprintln!("seed {seed} ({kind}): {:.1?}", began.elapsed());
    }
}

/// Unlogged tables and sequences that are complete when the server crashes are empty when it comes back,
/// whatever the journal says of them. By then they have their keys and triggers.
#[test]
fn what_a_crash_empties_is_filled_again() {
    let server = Server::builder(18).start();
    let db = server.create_db("source");
    db.psql(
        "create unlogged table up (id int primary key, t text);
         create unlogged table down (id int generated always as identity, up int references up, n int);
         create unlogged table \"Alone; a\" (v text);
         create table logged (id int generated always as identity, t text);
         create unlogged sequence s; create sequence kept;
         create function doubled() returns trigger language plpgsql as
           $$begin new.n := new.n * 2; return new; end$$;
         insert into up select i, md5(i::text) from generate_series(1, 500) i;
         insert into down (up, n) select i % 500 + 1, i from generate_series(1, 3000) i;
         insert into logged (t) select i from generate_series(1, 40) i;
         insert into \"Alone; a\" values ('one'), (null);
         create type mood as enum ('high', 'low');
         create unlogged table h_0 (m mood, v int); create unlogged table h_1 (m mood, v int);
         create table h (m mood, v int) partition by hash (m);
         alter table h attach partition h_0 for values with (modulus 2, remainder 0);
         alter table h attach partition h_1 for values with (modulus 2, remainder 1);
         insert into h select case when i % 2 = 0 then 'high'::mood else 'low' end, i from generate_series(1, 20) i;
         select setval('s', 50), setval('kept', 60);
         create trigger doubled before insert on down for each row execute function doubled();
         create function refreshed() returns int language plpgsql as
           $$begin if exists (select from pg_roles where rolname = 'stops_refreshes') then
             raise 'not now'; end if; return 1; end$$;
         create materialized view mv as select refreshed() as one;
         analyze;",
    );
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("one.pgstow");
    run(pgstow().args(["dump", &db.url(), "-f"]).arg(&archive)).success();
    let target = server.create_db("target");
    let restore = |options: &[&str]| {
        let mut command = pgstow();
        command.args(["restore", "-j", "2", "-d", &target.url()]);
        run(command.args(options).arg(&archive))
    };
    // The source is on the same server, and is emptied as well.
    let (rows, schema) = (table_hashes(&db), pg_dump_schema(&db));
    // Everything is there but the rows of a view, when the server dies.
    server.psql("create role stops_refreshes");
    restore(&[]).expect_code(1);
    assert_eq!(target.query_one("select count(*) from down"), "3000");
    // What the sessions committed without waiting for the disk would go as well, and be made again.
    server.psql("checkpoint");
    server.crash_and_return();
    assert_eq!(target.query_one("select count(*) from down"), "0");
    // It is forgotten once: a run that fails again has filled them again.
    let resumed = restore(&["--resume"]).expect_code(1);
    assert!(
        resumed.stderr.contains("filled again"),
        "{}",
        resumed.stderr
    );
    server.psql("drop role stops_refreshes");
    let resumed = restore(&["--resume"]).success();
    assert!(
        !resumed.stderr.contains("filled again"),
        "{}",
        resumed.stderr
    );
    // Rows, and values of sequences.
    assert_eq!(rows, table_hashes(&target));
    assert_same_text(&schema, &pg_dump_schema(&target));
    let ways = "select string_agg(tgname::text || tgenabled::text, ',' order by tgname) from pg_trigger \
                where not tgisinternal";
    assert_eq!(target.query_one(ways), "doubledO");
    let estimates = "select reltuples from pg_class where relname = 'down'";
    assert_eq!(target.query_one(estimates), "3000");
    run(pgstow()
        .args(["verify", "--against", &target.url()])
        .arg(&archive))
    .success();
}

/// What `--resume` and its absence refuse, and what they begin.
#[test]
fn a_journal_is_believed_only_by_its_own_restore() {
    let server = Server::start(18);
    let db = server.create_db("source");
    db.psql(
        "create table a (id int primary key); insert into a select generate_series(1, 1000);
         create table b (id int); insert into b select generate_series(1, 1000);",
    );
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("one.pgstow");
    let other = dir.path().join("two.pgstow");
    for file in [&archive, &other] {
        run(pgstow().args(["dump", &db.url(), "-f"]).arg(file)).success();
    }
    let target = server.create_db("target");
    // The first run stops at what the target cannot do.
    target.psql(
        "create function no() returns event_trigger language plpgsql as \
         $$begin if tg_tag = 'ALTER TABLE' then raise exception 'no keys'; end if; end$$;
         create event trigger no on ddl_command_end execute function no();",
    );
    let restore = |archive: &Path, options: &[&str]| {
        let mut command = pgstow();
        command.args(["restore", "--allow-non-empty", "-d", &target.url()]);
        run(command.args(options).arg(archive))
    };
    let failed = restore(&archive, &["--no-owner"]).expect_code(1);
    assert!(
        failed.stderr.contains("--resume goes on"),
        "{}",
        failed.stderr
    );
    let rows = "select count(*) from a";
    assert_eq!(target.query_one(rows), "1000");
    // Without a word nothing is begun over it, and nobody else may go on with it.
    let refused = |archive: &Path, options: &[&str], why: &str| {
        let refused = restore(archive, options).expect_code(6);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    };
    refused(&archive, &["--no-owner"], "was not finished");
    refused(&other, &["--no-owner"], "of another archive");
    refused(&other, &["--no-owner", "--resume"], "of another archive");
    refused(&archive, &["--resume"], "--no-owner");
    // A dump of what is there says so.
    let half = run(pgstow()
        .args(["dump", &target.url(), "-f"])
        .arg(dir.path().join("half")))
    .success();
    assert!(
        half.stderr.contains("unfinished restore"),
        "{}",
        half.stderr
    );
    // When the cause is gone, it goes on; what it did is not done again. A publication of all tables has the
    // journal's as well, and lets nothing be updated that it could not tell of.
    target.psql(
        "drop event trigger no; drop function no; create publication everything for all tables;",
    );
    let resumed = restore(&archive, &["--no-owner", "--resume", "-j", "1"]).success();
    assert!(
        resumed.stderr.contains("going on with"),
        "{}",
        resumed.stderr
    );
    assert_eq!(target.query_one(rows), "1000");
    let keys = "select count(*) from pg_constraint where conname = 'a_pkey'";
    assert_eq!(target.query_one(keys), "1");
    let journal = format!("select count(*) from pg_namespace where nspname = '{JOURNAL}'");
    assert_eq!(target.query_one(&journal), "0");
}

/// A role that may make no schema restores rows all the same, without a journal; so does everybody
/// who wants none.
#[test]
fn without_a_journal() {
    let server = Server::start(18);
    let db = server.create_db("source");
    db.psql("create table a (id int); insert into a select generate_series(1, 1000);");
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("one.pgstow");
    run(pgstow().args(["dump", &db.url(), "-f"]).arg(&archive)).success();
    let target = server.create_db("target");
    server.psql("drop role if exists loads_rows; create role loads_rows login;");
    target.psql("create table a (id int); grant insert, select on a to loads_rows;");
    let url = target.url_as("loads_rows", None);
    let mut command = pgstow();
    command.args(["restore", "--data-only", "-d", &url]);
    let restored = run(command.arg(&archive)).success();
    assert!(
        restored.stderr.contains("cannot be resumed"),
        "{}",
        restored.stderr
    );
    let mut command = pgstow();
    command.args([
        "restore",
        "--data-only",
        "--no-journal",
        "-d",
        &target.url(),
    ]);
    run(command.arg(&archive)).success();
    assert_eq!(target.query_one("select count(*) from a"), "2000");
    drop(target);
    server.psql("drop role loads_rows");
}

/// What is told as done is done: the end of a restore, which makes everything durable and drops the journal,
/// looks whether the server has lost anything, comes back when its session is lost, and fails where it cannot
/// be done.
#[tokio::test]
async fn the_end_is_not_taken_for_granted() {
    let server = Server::start(18);
    let db = server.create_db("source");
    db.psql("create table a (id int); insert into a select generate_series(1, 1000);");
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("one.pgstow");
    run(pgstow().args(["dump", &db.url(), "-f"]).arg(&archive)).success();
    let left = format!(
        "select (select count(*) from a) || ' ' || \
         (select count(*) from pg_namespace where nspname = '{JOURNAL}')"
    );
    for how in ["lost", "refused", "crashed"] {
        let target = server.create_db("target");
        target.psql("create table a (id int);");
        let (rows, journal) = (target.connect().await, target.connect().await);
        rows.batch_execute("begin; lock table a").await.unwrap();
        let options = ["--data-only"];
        let restore = Restore::start(&archive, &target.url(), Feed::File, &options);
        // The session that waits for a lock, by what it runs.
        let waiting = |what: &str| {
            let waiting = format!(
                "select coalesce(min(pid), 0) from pg_stat_activity where wait_event_type = 'Lock' \
                 and datname = '{}' and query ilike '{what}%'",
                target.name()
            );
            let until = Instant::now() + Duration::from_secs(60);
            loop {
                let pid = target.query_one(&waiting);
                if pid != "0" {
                    return pid;
                }
                assert!(
                    Instant::now() < until,
                    "nobody waits for {what}:\n{}",
                    restore.said()
                );
                sleep(Duration::from_millis(20));
            }
        };
        waiting("copy");
        if how == "crashed" {
            // What a server does that recovers.
            target.psql(&format!("truncate \"{JOURNAL}\".alive"));
            rows.batch_execute("commit").await.unwrap();
            let (status, said) = restore.wait();
            assert!(status.success(), "{said}");
            assert!(said.contains("going on from the journal"), "{said}");
            assert_eq!(target.query_one(&left), "1000 0");
            continue;
        }
        let hold = format!("begin; select from \"{JOURNAL}\".alive");
        journal.batch_execute(&hold).await.unwrap();
        rows.batch_execute("commit").await.unwrap();
        let pid = waiting("drop table");
        if how == "lost" {
            target.psql(&format!("select pg_terminate_backend({pid})"));
            assert_ne!(waiting("drop table"), pid);
            journal.batch_execute("commit").await.unwrap();
            let (status, said) = restore.wait();
            assert!(status.success(), "{said}");
            assert!(said.contains("is opened again"), "{said}");
        } else {
            target.psql(&format!("select pg_cancel_backend({pid})"));
            let (status, said) = restore.wait();
            assert_eq!(status.code(), Some(1), "{said}");
            assert!(said.contains("its journal may still be there"), "{said}");
            assert!(said.contains("--resume goes on"), "{said}");
            assert_eq!(target.query_one(&left), "1000 1");
            journal.batch_execute("commit").await.unwrap();
            let options = ["--data-only", "--resume"];
            let (status, said) =
                Restore::start(&archive, &target.url(), Feed::File, &options).wait();
            assert!(status.success(), "{said}");
        }
        assert_eq!(target.query_one(&left), "1000 0");
    }
}
