//! Comparisons: the same work by pgstow and by a peer, in turn.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::cost::{Cost, remove, timed};
use crate::support::{Db, Proxy, pgstow};
use crate::{floor, list, number};

/// One comparison: the same work by pgstow and by a peer.
pub struct Pair {
    pub name: String,
    pub peer: String,
    pub ours: Vec<Cost>,
    pub theirs: Vec<Cost>,
}

/// Everything that was found out on one database.
pub struct Findings {
    pub pairs: Vec<Pair>,
    /// Of the dump with the most jobs.
    pub floor: Option<floor::Floor>,
}

/// One database, and what to do with it.
pub struct Subject<'a> {
    pub source: &'a Db,
    pub set: &'a str,
    pub runs: usize,
    /// When all of it should have ended.
    pub until: Option<Instant>,
    /// Several numbers of jobs; the last one is for what is measured with one alone.
    pub jobs: Vec<usize>,
    pub peers: Vec<String>,
    /// Comparisons to come.
    pub pairs_left: Cell<u32>,
}

/// Not even for want of time.
const FEWEST_RUNS: usize = 2;

impl Subject<'_> {
    fn wants(&self, peer: &str) -> bool {
        self.peers.iter().any(|wanted| wanted == peer)
    }

    fn most_jobs(&self) -> usize {
        *self.jobs.last().unwrap()
    }

    /// What both sides are told to take.
    fn content(&self) -> &[&str] {
        if self.set == "schema" {
            &["--schema-only"]
        } else {
            &[]
        }
    }

    /// Runs every comparison that is wanted.
    pub fn measure(&self) -> Findings {
        self.pairs_left.set(self.count_pairs());
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("ours.pgstow");
        let directory = dir.path().join("theirs");
        let custom = dir.path().join("theirs.custom");
        let mut pairs = Vec::new();
        let best = list("PGSTOW_BENCH_COMPRESS", "zstd:1");
        // zstd:1 last: its archives serve the restore and the floor.
        for codec in best.iter().rev() {
            for &jobs in &self.jobs {
                pairs.push(self.dump(codec, jobs, &archive, &directory));
            }
        }
        if self.wants("restore") {
            for &jobs in &self.jobs {
                pairs.push(self.restore(jobs, &archive, &directory));
            }
        }
        let floor = (self.wants("floor") && !["schema", "large_objects"].contains(&self.set))
            .then(|| floor::measure(self.source, &archive, crate::cores()));
        let jobs = self.most_jobs();
        if self.wants("default") {
            let peer = || {
                let mut command = self.source.tool("pg_dump");
                command
                    .args(self.content())
                    .args(["-Fc", "-f"])
                    .arg(&custom);
                command
            };
            pairs.push(self.against(
                "pg_dump 18 -Fc".to_owned(),
                (&archive, &custom),
                // Slow, and far away: two runs say enough.
                self.runs.min(2),
                peer,
            ));
        }
        if self.wants("v15") && self.source.major() == 15 {
            for (name, options) in [
                ("pg_dump 15 -Fc".to_owned(), vec!["-Fc".to_owned()]),
                (
                    format!("pg_dump 15 -Fd -j{jobs} -Z1"),
                    vec!["-Fd".to_owned(), format!("-j{jobs}"), "-Z1".to_owned()],
                ),
            ] {
                let peer = || {
                    let mut command = self.source.server().own_tool("pg_dump");
                    command.env("PGDATABASE", self.source.name());
                    command
                        .args(self.content())
                        .args(&options)
                        .arg("-f")
                        .arg(&custom);
                    command
                };
                pairs.push(self.against(name, (&archive, &custom), self.runs.min(2), peer));
            }
        }
        let delay = number("PGSTOW_BENCH_DELAY_MS", 0.0);
        if delay > 0.0 {
            let proxy = Proxy::builder(self.source.server())
                .delay(Duration::from_secs_f64(delay / 1000.0))
                .start();
            for &jobs in &self.jobs {
                pairs.push(self.dump_from_afar(delay, proxy.port(), jobs, &archive, &directory));
            }
        }
        if self.wants("copy") {
            self.copies(dir.path(), &mut pairs);
        }
        Findings { pairs, floor }
    }

    /// How many comparisons there will be, about: it only shares out the time.
    fn count_pairs(&self) -> u32 {
        let jobs = self.jobs.len();
        let mut count = jobs * list("PGSTOW_BENCH_COMPRESS", "zstd:1").len();
        if self.wants("restore") {
            count += 2 * jobs;
        }
        if self.wants("default") {
            count += 1;
        }
        if self.wants("v15") && self.source.major() == 15 {
            count += 2;
        }
        if number("PGSTOW_BENCH_DELAY_MS", 0.0) > 0.0 {
            count += jobs;
        }
        if self.wants("copy") {
            count += 4;
        }
        count as u32
    }

    /// Runs both sides in turn: one warm-up each, then `runs` pairs (fewer when time is up), the first of each pair by turns.
    fn pair(
        &self,
        name: String,
        peer: String,
        runs: usize,
        mut ours: impl FnMut() -> Cost,
        mut theirs: impl FnMut() -> Cost,
    ) -> Pair {
        let mut pair = Pair {
            name,
            peer,
            ours: Vec::new(),
            theirs: Vec::new(),
        };
        let until = self.until.map(|until| {
            let now = Instant::now();
            let pairs = self.pairs_left.get().max(1);
            self.pairs_left.set(pairs - 1);
            now + until.saturating_duration_since(now) / pairs
        });
        for run in 0..=runs {
            if run > FEWEST_RUNS && until.is_some_and(|until| Instant::now() >= until) {
                break;
            }
            let (our, their) = if run % 2 == 0 {
                let our = ours();
                (our, theirs())
            } else {
                let their = theirs();
                (ours(), their)
            };
            if run > 0 {
                pair.ours.push(our);
                pair.theirs.push(their);
            }
            eprintln!(
                "{}: {} and {}: run {run} of {runs} (0 is the warm-up): {:.2} s and {:.2} s, client {:.2} and {:.2}, server {:.2} and {:.2}",
                self.set,
                pair.name,
                pair.peer,
                our.seconds,
                their.seconds,
                our.client_cpu,
                their.client_cpu,
                our.server_cpu,
                their.server_cpu
            );
        }
        pair
    }

    fn our_dump(&self, from: &str, codec: &str, jobs: usize, archive: &Path) -> Command {
        let mut command = pgstow();
        command
            // As the peer does by default: planner statistics are left out.
            .args(["dump", "--quiet", "--no-statistics", "-d", from])
            .args(extra("PGSTOW_BENCH_DUMP_OPTIONS"))
            .arg(format!("-j{jobs}"))
            .arg(format!("--compress={codec}"))
            .args(self.content())
            .arg("-f")
            .arg(archive);
        command
    }

    fn their_dump(&self, codec: &str, jobs: usize, directory: &Path) -> Command {
        let mut command = self.source.tool("pg_dump");
        command
            .args(self.content())
            .args([
                "-Fd",
                &format!("-j{jobs}"),
                &format!("--compress={codec}"),
                "-f",
            ])
            .arg(directory);
        command
    }

    fn dump(&self, codec: &str, jobs: usize, archive: &Path, directory: &Path) -> Pair {
        let server = self.source.server();
        // The same way to the server for both: its Unix socket.
        let from = self.source.conninfo();
        self.pair(
            format!("dump -j{jobs} {codec}"),
            format!("pg_dump 18 -Fd -j{jobs} --compress={codec}"),
            self.runs,
            || {
                remove(archive);
                let command = self.our_dump(&from, codec, jobs, archive);
                timed(server, vec![command], Some(archive))
            },
            || {
                remove(directory);
                let command = self.their_dump(codec, jobs, directory);
                timed(server, vec![command], Some(directory))
            },
        )
    }

    /// Both sides through the proxy, over TCP.
    fn dump_from_afar(
        &self,
        delay: f64,
        port: u16,
        jobs: usize,
        archive: &Path,
        directory: &Path,
    ) -> Pair {
        let server = self.source.server();
        let from = format!(
            "host=127.0.0.1 port={port} user=postgres dbname={}",
            self.source.name()
        );
        self.pair(
            format!("dump -j{jobs} zstd:1, {delay} ms each way"),
            format!("pg_dump 18 -Fd -j{jobs} --compress=zstd:1"),
            self.runs,
            || {
                remove(archive);
                let command = self.our_dump(&from, "zstd:1", jobs, archive);
                timed(server, vec![command], Some(archive))
            },
            || {
                remove(directory);
                let mut command = self.their_dump("zstd:1", jobs, directory);
                command
                    .env("PGHOST", "127.0.0.1")
                    .env("PGPORT", port.to_string());
                timed(server, vec![command], Some(directory))
            },
        )
    }

    /// Our dump at its best against another one of theirs.
    fn against(
        &self,
        peer: String,
        (archive, file): (&Path, &Path),
        runs: usize,
        command: impl Fn() -> Command,
    ) -> Pair {
        let server = self.source.server();
        let jobs = self.most_jobs();
        let from = self.source.conninfo();
        self.pair(
            format!("dump -j{jobs} zstd:1"),
            peer,
            runs,
            || {
                remove(archive);
                let command = self.our_dump(&from, "zstd:1", jobs, archive);
                timed(server, vec![command], Some(archive))
            },
            || {
                remove(file);
                timed(server, vec![command()], Some(file))
            },
        )
    }

    fn restore(&self, jobs: usize, archive: &Path, directory: &Path) -> Pair {
        let server = self.source.server();
        let j = format!("-j{jobs}");
        self.pair(
            format!("restore {j}"),
            format!("pg_restore 18 {j} of -Fd zstd:1"),
            self.runs,
            || {
                let target = server.create_db("ours");
                let mut command = pgstow();
                command
                    .args(["restore", "--quiet", &j, "-d", &target.conninfo()])
                    .args(extra("PGSTOW_BENCH_RESTORE_OPTIONS"))
                    .arg(archive);
                timed(server, vec![command], Some(archive))
            },
            || {
                let target = server.create_db("theirs");
                let mut command = target.tool("pg_restore");
                command.args([&j, "-d", target.name()]).arg(directory);
                timed(server, vec![command], Some(directory))
            },
        )
    }

    /// `pgstow copy` against pgcopydb and against pg_dump piped into pg_restore; neither compares what has
    /// arrived, so pgstow does not either, but for one pair.
    fn copies(&self, dir: &Path, pairs: &mut Vec<Pair>) {
        let server = self.source.server();
        let j = format!("-j{}", self.most_jobs());
        let known = pgstow()
            .args(["copy", "--help"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        if !known.success() {
            eprintln!("{}: this pgstow has no copy: not compared", self.set);
            return;
        }
        let copy = |options: &[&str]| {
            let target = server.create_db("ours");
            let mut command = pgstow();
            command
                .args(["copy", "--quiet", &j])
                .args(options)
                .args(self.content())
                .args([self.source.conninfo(), target.conninfo()]);
            timed(server, vec![command], None)
        };
        let piped = || {
            let target = server.create_db("theirs");
            let mut dump = self.source.tool("pg_dump");
            dump.args(self.content()).args(["-Fc", "-Z0"]);
            let mut restore = target.tool("pg_restore");
            restore.args(["-d", target.name()]);
            timed(server, vec![dump, restore], None)
        };
        for options in [&[][..], &["--no-verify"]] {
            pairs.push(
                self.pair(
                    format!("copy {j} {}", options.join(" "))
                        .trim_end()
                        .to_owned(),
                    "pg_dump 18 -Fc -Z0 | pg_restore 18".to_owned(),
                    self.runs.min(3),
                    || copy(options),
                    piped,
                ),
            );
        }
        let Some(version) = pgcopydb_version() else {
            eprintln!("{}: pgcopydb is not installed: not compared", self.set);
            return;
        };
        if self.source.major() > 15 {
            eprintln!(
                "{}: {version} knows no server {}: not compared",
                self.set,
                self.source.major()
            );
            return;
        }
        pairs.push(self.pair(
            format!("copy {j} --no-verify"),
            version,
            self.runs.min(3),
            || copy(&["--no-verify"]),
            || {
                let target = server.create_db("theirs");
                let work: PathBuf = dir.join("pgcopydb");
                remove(&work);
                let mut command = Command::new("pgcopydb");
                let jobs = self.most_jobs().to_string();
                command
                    .args([
                        "clone",
                        "--no-comments",
                        "--table-jobs",
                        &jobs,
                        "--index-jobs",
                        &jobs,
                    ])
                    .args(["--split-tables-larger-than", "64MB"])
                    .arg("--source")
                    .arg(self.source.conninfo())
                    .arg("--target")
                    .arg(target.conninfo())
                    .arg("--dir")
                    .arg(&work);
                // It calls the client programs of the server's major.
                let bin = crate::support::server_bin(self.source.major());
                let path = std::env::var("PATH").unwrap();
                command.env("PATH", format!("{}:{path}", bin.display()));
                timed(server, vec![command], None)
            },
        ));
    }
}

fn extra(variable: &str) -> Vec<String> {
    let value = std::env::var(variable).unwrap_or_default();
    value.split_whitespace().map(str::to_owned).collect()
}

fn pgcopydb_version() -> Option<String> {
    let out = Command::new("pgcopydb").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&out.stdout);
    let line = text.lines().chain([""]).next()?;
    out.status.success().then(|| {
        line.replace("pgcopydb version", "pgcopydb")
            .trim()
            .to_owned()
    })
}
