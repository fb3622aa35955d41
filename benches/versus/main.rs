//! pgstow against its peers: `cargo bench --bench versus`.
//!
//! Both sides run in turn in one run, on one server with one database, over the same Unix socket, after
//! one warm-up each and with the first place changing from pair to pair. Reported are medians, the median of the ratios pair
//! by pair, processor time of client and server, sizes, and the peak memory of the client's processes (the
//! kernel's high-water marks). A dump is also held against its floor, see `floor.rs`. Tables go to standard output, and JSON,
//! with versions and settings, to `target/versus.json`.
//!
//! Environment, lists separated by commas:
//! - `PGSTOW_BENCH_QUICK=1`: a fifth of the data, two runs, no slow peers; for all data sets some minutes.
//! - `PGSTOW_BENCH_MINUTES` (default 0, no bound): about how long all of it may take. Each comparison has its share
//!   of what is left, and ends with fewer runs than wanted (but not fewer than two) when that is used up; a set is
//!   left out when nothing is left. How many runs there were is in the JSON and the table. All that is asked for
//!   in some twenty minutes: `PGSTOW_BENCH_MINUTES=20 PGSTOW_BENCH_SCALE=0.5 PGSTOW_BENCH_MAJORS=18,15
//!   PGSTOW_BENCH_JOBS=1,2 PGSTOW_BENCH_DELAY_MS=1 TMPDIR=/dev/shm cargo bench --bench versus`.
//! - `PGSTOW_BENCH_MAJORS` (default `18`; `15` has more peers), `PGSTOW_BENCH_RUNS` (default 5),
//!   `PGSTOW_BENCH_JOBS` (default `2`; `1,2` measures both).
//! - `PGSTOW_BENCH_DATA`: which sets; all of `data.rs` but `schema` when not set. `schema` is definitions alone,
//!   and `PGSTOW_BENCH_TABLES` (20,000) how many.
//! - `PGSTOW_BENCH_SCALE` (default 1): TPC-H's scale factor, and how much of every other set.
//! - `PGSTOW_BENCH_PEERS` (default `restore,default,floor,v15,copy`): what is measured besides the dump
//!   against `pg_dump -Fd`: restore, `pg_dump -Fc`, the floor, `pg_dump` 15 (on a server 15), direct copies.
//! - `PGSTOW_BENCH_COMPRESS` (default `zstd:1`; `zstd:1,lz4,none` for all): compression of both sides in
//!   the dump against `-Fd`; the first one is what is restored.
//! - `PGSTOW_BENCH_DELAY_MS` (default 0, off): dumps also through a proxy that holds back all bytes so
//!   long, each way.
//! - `PGSTOW_BENCH_SETTINGS`: `name=value` pairs for the server, over those of `main.rs`.
//! - `PGSTOW_BENCH_DUMP_OPTIONS`, `PGSTOW_BENCH_RESTORE_OPTIONS`: more options of pgstow, separated by
//!   spaces.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark stops at the first thing that is wrong"
)]
#![expect(clippy::print_stderr, reason = "a benchmark prints")]
#![allow(dead_code, reason = "the harness serves the tests, too")]

mod cost;
mod data;
mod floor;
mod pair;
mod report;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pair::Subject;
use support::Server;

/// Over the settings of the tests' servers (no fsync, no full page writes, 4 GB of WAL before a
/// checkpoint): nothing that runs by itself at times.
const SETTINGS: [(&str, &str); 3] = [
    ("autovacuum", "off"),
    ("checkpoint_timeout", "1h"),
    ("shared_buffers", "512MB"),
];

fn main() {
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return; // Asked by a test runner for its tests: this has none.
    }
    let mut records = Vec::new();
    let (majors, sets) = (
        list("PGSTOW_BENCH_MAJORS", "18"),
        list("PGSTOW_BENCH_DATA", data::ALL),
    );
    let clock = Clock::start(number("PGSTOW_BENCH_MINUTES", 0.0));
    let mut left: u32 = sets.iter().map(|set| data::weight(set)).sum::<u32>() * majors.len() as u32;
    for major in majors {
        let server = start(major.parse().unwrap());
        let about = about(&server);
        for set in &sets {
            let weight = data::weight(set);
            let until = clock.share(weight, left);
            left -= weight;
            if clock.is_over() {
                eprintln!("{set}: no time is left: not measured");
                continue;
            }
            eprintln!("{set}: {}; loading", data::describe(set));
            let source = server.create_db("bench");
            data::load(&source, set);
            source.psql("vacuum (freeze, analyze); checkpoint;");
            let subject = Subject {
                source: &source,
                set,
                until,
                runs: number("PGSTOW_BENCH_RUNS", 5.0) as usize,
                jobs: list("PGSTOW_BENCH_JOBS", "2")
                    .iter()
                    .map(|jobs| jobs.parse().unwrap())
                    .collect(),
                peers: list("PGSTOW_BENCH_PEERS", "restore,default,floor,v15,copy"),
                pairs_left: Cell::new(0),
            };
            let findings = subject.measure();
            records.push(report::record(&about, set, &findings));
            // After every set, so that what ends early has not been for nothing.
            write(&records);
        }
    }
    report::print(&records);
}

/// How long all of it may take.
struct Clock {
    end: Option<Instant>,
}

impl Clock {
    /// No bound for 0 minutes.
    fn start(minutes: f64) -> Self {
        let end = (minutes > 0.0).then(|| Instant::now() + Duration::from_secs_f64(minutes * 60.0));
        Self { end }
    }

    /// When `weight` of what is left, of `all`, should have ended.
    fn share(&self, weight: u32, all: u32) -> Option<Instant> {
        let now = Instant::now();
        let left = self.end?.saturating_duration_since(now);
        Some(now + left * weight / all.max(1))
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }
}

fn start(major: u32) -> Arc<Server> {
    let mut builder = Server::builder(major);
    for (name, value) in SETTINGS {
        builder = builder.option(name, value);
    }
    for setting in list("PGSTOW_BENCH_SETTINGS", "") {
        if let Some((name, value)) = setting.split_once('=') {
            builder = builder.option(name, value);
        }
    }
    builder.start()
}

/// Versions, cores and settings.
fn about(server: &Arc<Server>) -> serde_json::Value {
    let db = server.db("postgres");
    let settings = db.query_rows(
        "select name, current_setting(name) from pg_settings where source = 'configuration file' order by 1",
    );
    let settings: serde_json::Map<String, serde_json::Value> = settings
        .into_iter()
        .filter_map(|row| {
            let mut row = row.into_iter().flatten();
            Some((row.next()?, row.next()?.into()))
        })
        .collect();
    let version = |program: &str| {
        let out = support::tool(program).arg("--version").output().unwrap();
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    };
    serde_json::json!({
        "version": db.query_one("show server_version"),
        "pgstow": env!("CARGO_PKG_VERSION"),
        "pg_dump": version("pg_dump"),
        "pg_restore": version("pg_restore"),
        "cores": cores(),
        "quick": quick(),
        "scale": number("PGSTOW_BENCH_SCALE", 1.0),
        "settings": settings,
    })
}

fn write(records: &[serde_json::Value]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/versus.json");
    fs::write(&path, serde_json::to_string_pretty(records).unwrap()).unwrap();
    eprintln!("written: {}", path.display());
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn quick() -> bool {
    std::env::var("PGSTOW_BENCH_QUICK").is_ok_and(|value| value == "1")
}

/// What a quick run has in place of the defaults.
fn quick_default(variable: &str) -> Option<&'static str> {
    match variable {
        "PGSTOW_BENCH_RUNS" => Some("2"),
        "PGSTOW_BENCH_SCALE" => Some("0.2"),
        "PGSTOW_BENCH_PEERS" => Some("restore,floor,copy"),
        _ => None,
    }
}

fn value(variable: &str, default: &str) -> String {
    let default = quick_default(variable)
        .filter(|_| quick())
        .unwrap_or(default);
    std::env::var(variable).unwrap_or_else(|_| default.to_owned())
}

fn list(variable: &str, default: &str) -> Vec<String> {
    value(variable, default)
        .split(',')
        .map(|item| item.trim().to_owned())
        .collect()
}

fn number(variable: &str, default: f64) -> f64 {
    value(variable, &default.to_string()).parse().unwrap()
}
