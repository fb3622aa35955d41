//! What the library says while it works: [`Event`]s, taken by an [`Observer`].
//!
//! The library never prints. Whoever calls it passes an observer; the command line turns events
//! into progress bars, plain lines or JSON. Observers are called from worker tasks and must be
//! quick.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use crate::error::Error;

/// How much a [`Event::Message`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Detail for `--verbose`.
    Detail,
    /// What is being done.
    Info,
    /// Something that the user should know: left out, assumed, degraded.
    Warning,
    /// A failure that did not end the run (`--continue`).
    Error,
}

/// A number of bytes in words, such as `52.3 MiB`.
pub(crate) fn size_words(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let exponent = (bytes.ilog2() / 10).min(4);
    let unit = UNITS[exponent as usize - 1];
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let size = bytes as f64 / (1_u64 << (10 * exponent)) as f64;
    format!("{size:.1} {unit}")
}

/// One thing that happened. Serialized with a field `event`, in snake case, for `--json`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A message for people.
    Message {
        /// How much it matters.
        level: Level,
        /// The text: one line, no secret, no row content.
        text: String,
        /// What the user can do about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// A phase begins: `connect`, `lock`, `catalog`, `data`, `pre-data`, `post-data`, …
    Phase {
        /// Its name.
        name: &'static str,
        /// Number of steps in it, where known.
        steps: Option<u64>,
    },
    /// A step of the current phase (an entry restored, an index built) is done.
    Step {
        /// Entry as `KIND schema.name`.
        name: String,
        /// Seconds it took.
        seconds: f64,
    },
    /// How much data is expected in all: an estimate at dump, exact at restore from a file.
    DataTotal {
        /// Number of tables.
        tables: u64,
        /// Raw bytes of COPY data, estimated or exact.
        bytes: u64,
        /// Rows, when known.
        rows: Option<u64>,
    },
    /// A table's data begins to flow.
    TableStarted {
        /// `schema.table`.
        table: String,
        /// Raw bytes expected.
        bytes: u64,
    },
    /// Rows of a table moved since the last event of this table.
    TableProgress {
        /// `schema.table`.
        table: String,
        /// Rows moved since the last event.
        rows: u64,
        /// Raw bytes moved since the last event.
        bytes: u64,
    },
    /// A table's data is complete.
    TableDone {
        /// `schema.table`.
        table: String,
        /// Rows in all.
        rows: u64,
        /// Raw bytes in all.
        bytes: u64,
    },
    /// An entry failed and the run goes on.
    EntryFailed {
        /// Entry as `KIND schema.name`.
        entry: String,
        /// Why.
        error: String,
        /// The statement, when one failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        statement: Option<String>,
    },
}

/// Takes the events of a run.
pub trait Observer: Send + Sync {
    /// Called for each event, possibly from several threads at once.
    fn event(&self, event: &Event);
}

/// An observer that ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _event: &Event) {}
}

/// Shorthands over any observer.
impl dyn Observer + '_ {
    /// Says what is being done.
    pub fn info(&self, text: impl Into<String>) {
        self.message(Level::Info, text.into(), None);
    }

    /// Warns.
    pub fn warning(&self, text: impl Into<String>) {
        self.message(Level::Warning, text.into(), None);
    }

    /// Warns and says what to do about it.
    pub fn warning_with_hint(&self, text: impl Into<String>, hint: impl Into<String>) {
        self.message(Level::Warning, text.into(), Some(hint.into()));
    }

    fn message(&self, level: Level, text: String, hint: Option<String>) {
        self.event(&Event::Message { level, text, hint });
    }
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It was not made, or could not be: nothing is known.
    Skipped,
    /// All is well.
    Passed,
    /// It works, but somebody should look at it.
    Warning,
    /// It does not work.
    Failed,
}

/// One thing that was looked at before something is done, or to see that it still could be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at: a short name that scripts may rely on, such as `extensions`.
    pub name: Cow<'static, str>,
    /// What came of it.
    pub verdict: Verdict,
    /// What was found, in words; one line for each finding.
    pub found: String,
    /// What can be done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way_out: Option<String>,
}

impl Check {
    /// The outcome of a check.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        verdict: Verdict,
        found: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            verdict,
            found: found.into(),
            way_out: None,
        }
    }

    /// Says what can be done about it.
    #[must_use]
    pub fn with_way_out(mut self, way_out: impl Into<String>) -> Self {
        self.way_out = Some(way_out.into());
        self
    }

    /// A check that failed with this error, whose hint is the way out.
    pub fn failed(name: impl Into<Cow<'static, str>>, error: &Error) -> Self {
        Self {
            way_out: error.hint().map(str::to_owned),
            ..Self::new(name, Verdict::Failed, error.message())
        }
    }
}

impl fmt::Display for Check {
    /// A line for each finding, and one for the way out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Skipped => "skipped",
            Verdict::Passed => "passed",
            Verdict::Warning => "warning",
            Verdict::Failed => "FAILED",
        };
        let mut lines = self.found.lines();
        let first = lines.next().unwrap_or_default();
        writeln!(f, "  {verdict:<8} {:<22} {first}", self.name)?;
        for line in lines {
            writeln!(f, "{:34}{line}", "")?;
        }
        match &self.way_out {
            Some(way_out) => writeln!(f, "{:34}-> {way_out}", ""),
            None => Ok(()),
        }
    }
}
