//! What one run of one tool costs: time, processor time of both sides, memory, bytes.
//!
//! Processor time says what wall time on a shared machine does not. The client's is what the kernel
//! adds up for children that have ended; the server's is that of the postmaster and all of its
//! processes, ended ones too, as a difference. Both count in hundredths of a second.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::Server;

/// What one run of one tool cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub seconds: f64,
    /// User and system time of the tool's processes.
    pub client_cpu: f64,
    /// User and system time of the server's processes meanwhile.
    pub server_cpu: f64,
    pub peak_bytes: u64,
    pub archive_bytes: u64,
}

/// Runs commands at once, connected by pipes when there are several, and watches what they cost. `archive`
/// is what they leave behind or read, if anything.
pub fn timed(server: &Server, commands: Vec<Command>, archive: Option<&Path>) -> Cost {
    let server_before = server_cpu(server);
    let client_before = children_cpu();
    let started = Instant::now();
    let mut running = Vec::new();
    let mut pipe: Option<Stdio> = None;
    let last = commands.len() - 1;
    for (number, mut command) in commands.into_iter().enumerate() {
        command.stdin(pipe.take().unwrap_or_else(Stdio::null));
        let to_next = number < last;
        command.stdout(if to_next {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        command.stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        pipe = child.stdout.take().map(Stdio::from);
        running.push((command, child, None));
    }
    let mut peaks = BTreeMap::new();
    loop {
        for (_, child, status) in &mut running {
            if status.is_none() {
                *status = child.try_wait().unwrap();
            }
            if status.is_none() {
                for pid in tree(child.id()) {
                    if let Some(peak) = high_water_mark(pid) {
                        peaks.insert(pid, peak);
                    }
                }
            }
        }
        if running.iter().all(|(_, _, status)| status.is_some()) {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let seconds = started.elapsed().as_secs_f64();
    for (command, _, status) in &running {
        let status = status.unwrap();
        // pg_restore 18 sets what a server before 17 does not know, goes on, and ends with 1.
        let program = command.get_program().to_string_lossy();
        let forgiven =
            program.ends_with("pg_restore") && server.major() < 17 && status.code() == Some(1);
        assert!(status.success() || forgiven, "{command:?}: {status}");
    }
    Cost {
        seconds,
        client_cpu: children_cpu() - client_before,
        server_cpu: server_cpu(server) - server_before,
        peak_bytes: peaks.values().sum(),
        archive_bytes: archive.map_or(0, size),
    }
}

/// Processor time of the postmaster and of its children, living and ended, in seconds.
pub fn server_cpu(server: &Server) -> f64 {
    let pid_file = fs::read_to_string(server.data_dir().join("postmaster.pid")).unwrap();
    let postmaster: u32 = pid_file.lines().next().unwrap().trim().parse().unwrap();
    // One that ends in between is counted twice or not at all; ask until two answers agree on who lives.
    loop {
        let children = children_of(postmaster);
        let ticks: Option<u64> = children
            .iter()
            .map(|pid| ticks(&format!("/proc/{pid}/stat"), 0..4))
            .sum();
        let own = ticks_of_all(postmaster);
        if let Some(ticks) = ticks
            && children_of(postmaster) == children
        {
            return (ticks + own) as f64 / TICKS_PER_SECOND;
        }
    }
}

fn ticks_of_all(pid: u32) -> u64 {
    ticks(&format!("/proc/{pid}/stat"), 0..4).unwrap_or(0)
}

/// Processor time of our children that have ended and been waited for, in seconds.
fn children_cpu() -> f64 {
    ticks("/proc/self/stat", 2..4).unwrap() as f64 / TICKS_PER_SECOND
}

/// What `/proc` counts in, on every Linux that matters.
const TICKS_PER_SECOND: f64 = 100.0;

/// Sum of some of utime, stime, cutime and cstime.
fn ticks(stat: &str, which: std::ops::Range<usize>) -> Option<u64> {
    let text = fs::read_to_string(stat).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = text.rsplit_once(')')?;
    let numbers = fields.split_whitespace().skip(11).take(4);
    let numbers: Vec<u64> = numbers.filter_map(|word| word.parse().ok()).collect();
    Some(numbers.get(which)?.iter().sum())
}

fn children_of(pid: u32) -> Vec<u32> {
    fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// A process and its children (pg_dump and pg_restore fork their workers).
fn tree(pid: u32) -> Vec<u32> {
    let mut pids = vec![pid];
    pids.extend(children_of(pid));
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

/// Removes what a run left behind, if anything.
pub fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else if path.exists() {
        fs::remove_file(path).unwrap();
    }
}
