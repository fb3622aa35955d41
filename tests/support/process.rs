//! Running a program to its end, or to the end of our patience.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long `run` waits. Long enough for a busy machine; a hung program still fails the test.
const LIMIT: Duration = Duration::from_secs(180);

/// How a program ended and what it said.
pub struct Output {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    pub status: ExitStatus,
    /// Standard output, with invalid UTF-8 replaced; `stdout_bytes` has it as it was.
    pub stdout: String,
    pub stdout_bytes: Vec<u8>,
    pub stderr: String,
    /// The command line, for messages.
    pub command: String,
}

impl Output {
    /// Panics with everything the program said unless it ended with 0.
    #[track_caller]
    pub fn success(self) -> Self {
        self.expect_code(0)
    }

    /// Panics with everything the program said unless it ended with `code`.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert!(
            self.code == Some(code),
            "expected exit code {code}, got {}\ncommand: {}\nstdout:\n{}\nstderr:\n{}",
            self.status,
            self.command,
            tail(&self.stdout),
            tail(&self.stderr),
        );
        self
    }
}

fn tail(text: &str) -> &str {
    let mut from = text.len().saturating_sub(8_000);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

/// The `pgstow` binary of this build, without any `PG*` variable of the caller's.
pub fn pgstow() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgstow"));
    without_pg_variables(&mut command);
    command
}

/// The library that shows a program another time, by the variables `FAKETIME…`.
fn faketime() -> PathBuf {
    std::fs::read_dir("/usr/lib")
        .unwrap()
        .map(|entry| entry.unwrap().path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists())
        .expect("libfaketime is missing: run scripts/fetch-stores")
}

/// The program sees a clock that is wrong by so much from the beginning, such as `-2h`.
pub fn with_clock(command: &mut Command, wrong: &str) {
    command.env("LD_PRELOAD", faketime()).env("FAKETIME", wrong);
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

/// The program sees a clock that is wrong by what the file says, from the moment that it says so.
pub fn with_clock_of(command: &mut Command, file: &Path) {
    command.env("LD_PRELOAD", faketime());
    command.env("FAKETIME_TIMESTAMP_FILE", file);
    command.env("FAKETIME_NO_CACHE", "1");
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

/// Removes every `PG*` variable but our own `PGSTOW_*`: a test must not depend on the developer's shell.
pub(super) fn without_pg_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("PG") && !text.starts_with("PGSTOW_") {
            command.env_remove(&name);
        }
    }
}

/// Runs a command without input for at most three minutes; past that it is killed and the test fails.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    run_limited(command, None, LIMIT)
}

/// As [`run`], with another limit.
#[track_caller]
pub fn run_for(command: &mut Command, limit: Duration) -> Output {
    run_limited(command, None, limit)
}

/// As [`run`], with these bytes as standard input. A program which stops reading is not an error.
#[track_caller]
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Output {
    run_limited(command, Some(input), LIMIT)
}

#[track_caller]
fn run_limited(command: &mut Command, input: Option<&[u8]>, limit: Duration) -> Output {
    let shown = format!("{command:?}");
    let stdin = if input.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    };
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot run {shown}: {e}"));
    let stdout = drain(child.stdout.take().unwrap());
    let stderr = drain(child.stderr.take().unwrap());
    let status = thread::scope(|scope| {
        if let Some(input) = input {
            let mut pipe = child.stdin.take().unwrap();
            scope.spawn(move || {
                let _ = pipe.write_all(input);
            });
        }
        wait(&mut child, limit)
    });
    let killed = status.is_none();
    let status = status.unwrap_or_else(|| child.wait().unwrap());
    if killed {
        // A grandchild may still hold the pipes; what has been said so far is not worth hanging for.
        panic!("still running after {limit:?}, killed: {shown}");
    }
    let stdout_bytes = stdout.join().unwrap();
    Output {
        code: status.code(),
        status,
        stdout: String::from_utf8_lossy(&stdout_bytes).into_owned(),
        stdout_bytes,
        stderr: String::from_utf8_lossy(&stderr.join().unwrap()).into_owned(),
        command: shown,
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

/// `None` when the limit passed; the child has then been killed.
fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            return None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}
