//! Where words go: standard error for people, JSON lines for programs, standard output for what
//! was asked for.
#![allow(clippy::print_stderr, reason = "this is where messages are printed")]

use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::Arc;

use indicatif::{MultiProgress, ProgressDrawTarget};
use pgstow::error::{Error, Kind, Result, legible};
use serde::Serialize;
use serde_json::json;

use super::settings::{Talk, Volume};

/// The one mouth of the program; clones share it.
#[derive(Clone)]
pub struct Output {
    inner: Arc<Inner>,
}

struct Inner {
    talk: Talk,
    /// Bars on a terminal, unless there is nothing to show.
    bars: Option<MultiProgress>,
}

impl Output {
    /// Decides between bars, lines and JSON.
    pub fn new(talk: Talk) -> Self {
        let wants_bars = talk.volume >= Volume::Normal && !talk.json && io::stderr().is_terminal();
        let bars = wants_bars
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        Self {
            inner: Arc::new(Inner { talk, bars }),
        }
    }

    /// How much is to be said.
    pub fn talk(&self) -> Talk {
        self.inner.talk
    }

    /// The bars, when there are any.
    pub fn bars(&self) -> Option<&MultiProgress> {
        self.inner.bars.as_ref()
    }

    /// A line for people, above the bars. Control characters in it do no harm.
    pub fn say(&self, text: &str) {
        let line = format!("pgstow: {}", harmless(text));
        match &self.inner.bars {
            Some(bars) => bars.suspend(|| eprintln!("{line}")),
            None => {
                // A closed standard error must not end the work.
                let _ = writeln!(io::stderr().lock(), "{line}");
            }
        }
    }

    /// An event for programs, one line.
    pub fn json(&self, event: &impl Serialize) {
        let Ok(mut line) = serde_json::to_string(event) else {
            return;
        };
        line.push('\n');
        // Whoever read the events may be gone; that must not end the work.
        let _ = if self.inner.talk.stdout_is_taken {
            io::stderr().lock().write_all(line.as_bytes())
        } else {
            io::stdout().lock().write_all(line.as_bytes())
        };
    }

    /// An error that ends the program.
    pub fn error(&self, error: &Error, exit_code: u8) {
        let talk = self.inner.talk;
        if talk.json {
            self.json(&json!({
                "event": "error",
                "exit_code": exit_code,
                "error": error.message(),
                "hint": error.hint(),
                "sqlstate": error.sqlstate().map(|state| state.code()),
                "statement": error.statement(),
            }));
            if talk.stdout_is_taken {
                return;
            }
        }
        self.say(&format!("error: {error}"));
        if let Some(statement) = error.statement() {
            self.say(&format!("statement: {statement}"));
        }
        if let Some(hint) = error.hint() {
            self.say(&format!("hint: {hint}"));
        }
    }

    /// The end of a command that did not fail.
    pub fn done(&self, command: &str, report: &impl Serialize, exit_code: u8) {
        if self.inner.talk.json {
            self.json(&json!({
                "event": "done",
                "command": command,
                "exit_code": exit_code,
                "report": report,
            }));
        }
    }
}

/// What was asked for, on standard output. A reader that has enough and goes away is no error.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    printed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// As [`print`], line by line as `tell` gives them: what is very long is never one text. Control characters become
/// spaces.
pub fn print_lines(tell: impl FnOnce(&mut dyn FnMut(String))) -> Result<()> {
    let mut out = BufWriter::with_capacity(64 << 10, io::stdout().lock());
    let mut written = Ok(());
    tell(&mut |line| {
        if written.is_ok() {
            let line = harmless(&line).replace('\n', " ");
            written = writeln!(out, "{}", line.trim_end());
        }
    });
    printed(written.and_then(|()| out.flush()))
}

fn printed(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::Storage, format!("standard output: {error}")).with_source(error))
        }
        _ => Ok(()),
    }
}

/// The text with control characters made visible as spaces, line breaks kept.
pub fn harmless(text: &str) -> String {
    legible(text)
        .chars()
        .map(|c| if c.is_control() && c != '\n' { ' ' } else { c })
        .collect()
}
