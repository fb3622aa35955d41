//! pgstow against pg_dump and pg_restore 18: `cargo bench --bench versus`.
//!
//! Both sides run in turn in one run, on one server with one database, after one warm-up each;
//! medians of several runs, ratios pair by pair, sizes, and the peak memory of the client's
//! processes (sampled from the kernel's own high-water marks). A table goes to standard output,
//! and JSON to `target/versus.json`.
//!
//! Environment: `PGSTOW_BENCH_MAJORS` (default `18`), `PGSTOW_BENCH_SCALE` (TPC-H scale factor,
//! default 1), `PGSTOW_BENCH_RUNS` (default 5), `PGSTOW_BENCH_JOBS` (default 2),
//! `PGSTOW_BENCH_DATA` (comma-separated: `tpch`, `wide`, `bytea`, `narrow`, `tables`,
//! `schema`; default `tpch,wide,bytea`). `schema` is 20,000 tables with sequences, indexes, foreign keys
//! and comments, of which both sides take the definitions alone; `PGSTOW_BENCH_TABLES` is their number.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark stops at the first thing that is wrong"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints"
)]
#![allow(dead_code, reason = "the harness serves the tests, too")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::{Db, Server, pgstow};

/// What one run of one tool cost.
#[derive(Clone, Copy, Debug)]
struct Cost {
    seconds: f64,
    peak_bytes: u64,
    archive_bytes: u64,
}

/// One comparison: the same work by pgstow and by a peer.
struct Pair {
    name: String,
    peer: String,
    ours: Vec<Cost>,
    theirs: Vec<Cost>,
}

fn main() {
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return; // Asked by a test runner for its tests: this has none.
    }
    let majors = list("PGSTOW_BENCH_MAJORS", "18");
    let runs: usize = number("PGSTOW_BENCH_RUNS", 5.0) as usize;
    let jobs = number("PGSTOW_BENCH_JOBS", 2.0) as usize;
    let data = list("PGSTOW_BENCH_DATA", "tpch,wide,bytea");
    let mut report = Vec::new();
    for major in &majors {
        let server = Server::start(major.parse().unwrap());
        for set in &data {
            let source = server.create_db("bench");
            load(&source, set);
            source.psql("vacuum (freeze, analyze); checkpoint;");
            for pair in measure(&source, set, jobs, runs) {
                report.push(summary(major, set, jobs, runs, &pair));
            }
        }
    }
    print_table(&report);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/versus.json");
    fs::write(&path, serde_json::to_string_pretty(&report).unwrap()).unwrap();
    eprintln!("written: {}", path.display());
}

fn list(variable: &str, default: &str) -> Vec<String> {
    let value = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    value
        .split(',')
        .map(|item| item.trim().to_owned())
        .collect()
}

fn number(variable: &str, default: f64) -> f64 {
    std::env::var(variable).map_or(default, |value| value.parse().unwrap())
}

/// Loads one kind of data.
fn load(db: &Db, set: &str) {
    match set {
        "tpch" => {
            support::tpch::load(number("PGSTOW_BENCH_SCALE", 1.0), 2, &|| db.tool("psql"));
        }
        "narrow" => {
            db.psql(
                "create table narrow as select i as id, i % 1000 as a, i * 3 as b, (i % 7)::smallint as c
                   from generate_series(1, 12000000) i; alter table narrow add primary key (id)",
            );
        }
        "wide" => {
            db.psql(
                "create table wide as select i as id, gen_random_uuid() as uuid,
                   jsonb_build_object('name', md5(i::text), 'tags', array[i % 5, i % 11], 'note', repeat(md5((i*7)::text), 3)) as doc,
                   repeat(md5((i*3)::text), 4) as note, now() - i * interval '1 minute' as at
                   from generate_series(1, 1000000) i; alter table wide add primary key (id)",
            );
        }
        "bytea" => {
            db.psql(
                "create table blobs (id int primary key, data bytea);
                 alter table blobs alter data set storage external;
                 insert into blobs select i, (select decode(string_agg(md5((i * 10000 + k)::text), ''), 'hex')
                   from generate_series(1, 3000) k) from generate_series(1, 4000) i",
            );
        }
        "tables" => {
            db.psql(
                "do $$ begin for i in 1..20000 loop execute format(
                    'create table t%s (id int primary key, v text); insert into t%s values (1, %L)', i, i, i);
                    if i % 200 = 0 then commit; end if;
                 end loop; end $$",
            );
        }
        "schema" => {
            let tables = number("PGSTOW_BENCH_TABLES", 20_000.0) as u64;
            db.psql(&format!(
                "do $$ begin for i in 1..{tables} loop
                    execute format('create table t%s (id serial primary key, parent int, code text not null
                        default %L, amount numeric(12,2) check (amount >= 0), at timestamptz default now())', i, i);
                    execute format('create index on t%s (code)', i);
                    execute format('comment on table t%s is %L', i, 'table number ' || i);
                    execute format('comment on column t%s.code is %L', i, 'its code');
                    if i > 1 then
                        execute format('alter table t%s add foreign key (parent) references t%s', i, i / 2);
                    end if;
                    if i % 200 = 0 then commit; end if;
                 end loop; end $$",
            ));
        }
        other => panic!("unknown data set {other}"),
    }
}

/// Runs every comparison on one database.
fn measure(source: &Db, set: &str, jobs: usize, runs: usize) -> Vec<Pair> {
    let dir = tempfile::tempdir().unwrap();
    let ours = dir.path().join("ours.pgstow");
    let theirs = dir.path().join("theirs");
    let j = format!("-j{jobs}");
    let content: &[&str] = if set == "schema" {
        &["--schema-only"]
    } else {
        &[]
    };
    let mut dump_best = Pair::new(
        format!("dump {j} zstd:1"),
        format!("pg_dump 18 -Fd {j} --compress=zstd:1"),
    );
    let mut dump_default = Pair::new(format!("dump {j} zstd:1"), "pg_dump 18 -Fc".to_owned());
    let mut restore_best = Pair::new(
        format!("restore {j}"),
        format!("pg_restore 18 {j} of -Fd zstd:1"),
    );
    for run in 0..=runs {
        let our_dump = timed(
            pgstow()
                .args([
                    "dump",
                    "--quiet",
                    &j,
                    "--compress=zstd:1",
                    "-d",
                    &source.url(),
                ])
                .args(content)
                .arg("-f")
                .arg(&ours),
            &ours,
        );
        remove(&theirs);
        let their_dump = timed(
            source
                .tool("pg_dump")
                .args(content)
                .args(["-Fd", &j, "--compress=zstd:1", "-f"])
                .arg(&theirs),
            &theirs,
        );
        let target = source.server().create_db("ours");
        let our_restore = timed(
            pgstow()
                .args(["restore", "--quiet", &j, "-d", &target.url()])
                .arg(&ours),
            &ours,
        );
        drop(target);
        let target = source.server().create_db("theirs");
        let their_restore = timed(
            target
                .tool("pg_restore")
                .args([&j, "-d", target.name()])
                .arg(&theirs),
            &theirs,
        );
        drop(target);
        // The defaults of pg_dump are slow; two runs say enough, and none is a warm-up.
        let default = (run < 2).then(|| {
            let custom = dir.path().join("theirs.custom");
            timed(
                source
                    .tool("pg_dump")
                    .args(content)
                    .args(["-Fc", "-f"])
                    .arg(&custom),
                &custom,
            )
        });
        if run > 0 {
            dump_best.push(our_dump, their_dump);
            restore_best.push(our_restore, their_restore);
        }
        if let Some(default) = default {
            dump_default.push(our_dump, default);
        }
        eprintln!(
            "{set}: run {run} of {runs} (0 is the warm-up): dump {:.2} s and {:.2} s, restore {:.2} s and {:.2} s",
            our_dump.seconds, their_dump.seconds, our_restore.seconds, their_restore.seconds
        );
    }
    vec![dump_best, dump_default, restore_best]
}

impl Pair {
    fn new(name: String, peer: String) -> Self {
        Self {
            name,
            peer,
            ours: Vec::new(),
            theirs: Vec::new(),
        }
    }

    fn push(&mut self, ours: Cost, theirs: Cost) {
        self.ours.push(ours);
        self.theirs.push(theirs);
    }
}

/// Runs a command to its end and watches what it costs.
fn timed(command: &mut Command, archive: &Path) -> Cost {
    let started = Instant::now();
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut peaks = BTreeMap::new();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        for pid in tree(child.id()) {
            if let Some(peak) = high_water_mark(pid) {
                peaks.insert(pid, peak);
            }
        }
        thread::sleep(Duration::from_millis(5));
    };
    let seconds = started.elapsed().as_secs_f64();
    assert!(status.success(), "{command:?}: {status}");
    Cost {
        seconds,
        peak_bytes: peaks.values().sum(),
        archive_bytes: size(archive),
    }
}

/// A process and its children (pg_dump and pg_restore fork their workers).
fn tree(pid: u32) -> Vec<u32> {
    let mut pids = vec![pid];
    if let Ok(children) = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")) {
        pids.extend(
            children
                .split_whitespace()
                .filter_map(|word| word.parse::<u32>().ok()),
        );
    }
    pids
}

/// Peak resident memory of a process in bytes.
fn high_water_mark(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

fn size(path: &Path) -> u64 {
    let meta = fs::metadata(path).unwrap();
    if meta.is_dir() {
        fs::read_dir(path)
            .unwrap()
            .map(|entry| size(&entry.unwrap().path()))
            .sum()
    } else {
        meta.len()
    }
}

fn remove(path: &PathBuf) {
    if path.exists() {
        fs::remove_dir_all(path).unwrap();
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}

fn summary(major: &str, set: &str, jobs: usize, runs: usize, pair: &Pair) -> serde_json::Value {
    let seconds = |costs: &[Cost]| median(costs.iter().map(|cost| cost.seconds).collect());
    let peak = |costs: &[Cost]| costs.iter().map(|cost| cost.peak_bytes).max().unwrap();
    let ratio = median(
        pair.ours
            .iter()
            .zip(&pair.theirs)
            .map(|(ours, theirs)| theirs.seconds / ours.seconds)
            .collect(),
    );
    serde_json::json!({
        "server": major, "data": set, "jobs": jobs, "runs": runs,
        "cores": thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "what": pair.name, "peer": pair.peer,
        "seconds": seconds(&pair.ours), "peer_seconds": seconds(&pair.theirs),
        "times_faster": ratio,
        "archive_bytes": pair.ours[0].archive_bytes, "peer_archive_bytes": pair.theirs[0].archive_bytes,
        "peak_bytes": peak(&pair.ours), "peer_peak_bytes": peak(&pair.theirs),
    })
}

fn print_table(report: &[serde_json::Value]) {
    println!(
        "| server | data | pgstow | peer | s | peer s | times faster | MB | peer MB | peak MiB | peer MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for row in report {
        let n = |key: &str| row[key].as_f64().unwrap();
        println!(
            "| {} | {} | {} | {} | {:.2} | {:.2} | {:.2} | {:.1} | {:.1} | {:.0} | {:.0} |",
            row["server"].as_str().unwrap(),
            row["data"].as_str().unwrap(),
            row["what"].as_str().unwrap(),
            row["peer"].as_str().unwrap(),
            n("seconds"),
            n("peer_seconds"),
            n("times_faster"),
            n("archive_bytes") / 1e6,
            n("peer_archive_bytes") / 1e6,
            n("peak_bytes") / 1048576.0,
            n("peer_peak_bytes") / 1048576.0,
        );
    }
}
