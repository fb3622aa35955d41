//! Events made visible: bars on a terminal, plain lines elsewhere, JSON for programs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use pgstow::report::{Event, Level, Observer};

use super::output::{Output, harmless};
use super::settings::Volume;

/// Between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// More bars than this would fill the screen.
const MOST_BARS: usize = 16;

/// Shows events.
pub struct Progress {
    output: Output,
    state: Mutex<State>,
}

struct State {
    phase: &'static str,
    steps: Option<u64>,
    steps_done: u64,
    phase_began: Instant,
    tables: u64,
    tables_done: u64,
    bytes: u64,
    bytes_done: u64,
    rows: u64,
    data_began: Option<Instant>,
    active: HashMap<String, Active>,
    whole: Option<ProgressBar>,
    last_line: Instant,
    changed: bool,
}

/// A table whose data flows.
struct Active {
    /// How many bytes of the whole it was thought to be.
    expected: u64,
    rows: u64,
    bytes: u64,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// As what the library tells it to.
    pub fn observer(self: &Arc<Self>) -> Arc<dyn Observer> {
        Arc::clone(self) as Arc<dyn Observer>
    }

    /// Begins to show what an operation does.
    pub fn new(output: Output) -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self {
            output,
            state: Mutex::new(State {
                phase: "",
                steps: None,
                steps_done: 0,
                phase_began: now,
                tables: 0,
                tables_done: 0,
                bytes: 0,
                bytes_done: 0,
                rows: 0,
                data_began: None,
                active: HashMap::new(),
                whole: None,
                last_line: now,
                changed: false,
            }),
        })
    }

    /// Tells how it goes every few seconds, where there are no bars.
    pub async fn tick(self: Arc<Self>) {
        let mut interval = tokio::time::interval(LINE_EVERY);
        interval.tick().await;
        loop {
            interval.tick().await;
            self.line_if_due();
        }
    }

    /// Removes the bars.
    pub fn clear(&self) {
        let mut state = self.lock();
        // Nor is there anything to tell every few seconds any more.
        state.changed = false;
        for active in state.active.drain() {
            if let Some(bar) = active.1.bar {
                bar.finish_and_clear();
            }
        }
        if let Some(bar) = state.whole.take() {
            bar.finish_and_clear();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shows_lines(&self) -> bool {
        let talk = self.output.talk();
        talk.volume >= Volume::Normal && !talk.json && self.output.bars().is_none()
    }

    fn line_if_due(&self) {
        if !self.shows_lines() {
            return;
        }
        let mut state = self.lock();
        if !state.changed || state.last_line.elapsed() < LINE_EVERY {
            return;
        }
        state.last_line = Instant::now();
        state.changed = false;
        let line = state.line();
        drop(state);
        self.output.say(&line);
    }

    fn message(&self, level: Level, text: &str, hint: Option<&str>) {
        let least = match level {
            Level::Detail => Volume::Verbose,
            Level::Info => Volume::Normal,
            Level::Warning | Level::Error => Volume::Quiet,
        };
        if self.output.talk().volume < least {
            return;
        }
        let prefix = match level {
            Level::Warning => "warning: ",
            Level::Error => "error: ",
            Level::Info | Level::Detail => "",
        };
        self.output.say(&format!("{prefix}{text}"));
        if let Some(hint) = hint {
            self.output.say(&format!("hint: {hint}"));
        }
    }

    fn verbose(&self, text: &str) {
        if self.output.talk().volume == Volume::Verbose {
            self.output.say(text);
        }
    }

    fn new_bar(&self, template: &str, length: u64) -> Option<ProgressBar> {
        let bars = self.output.bars()?;
        let bar = bars.add(ProgressBar::new(length));
        bar.set_style(style(template));
        Some(bar)
    }

    fn phase(&self, name: &'static str, steps: Option<u64>) {
        let mut state = self.lock();
        state.phase = name;
        state.steps = steps;
        state.steps_done = 0;
        state.phase_began = Instant::now();
        state.changed = true;
        if self.output.bars().is_some() {
            if state.whole.is_none() {
                state.whole = self.new_bar(WITHOUT_DATA, 0);
            }
            if let Some(bar) = &state.whole {
                bar.enable_steady_tick(Duration::from_millis(200));
            }
            state.show_whole();
        } else if self.shows_lines() {
            drop(state);
            // How many steps it has is told with how many of them are done, where these are told.
            self.output.say(name);
        }
    }

    fn table_started(&self, table: &str, bytes: u64) {
        let mut state = self.lock();
        state.data_began.get_or_insert_with(Instant::now);
        let shown = state
            .active
            .values()
            .filter(|active| active.bar.is_some())
            .count();
        let bar = if shown < MOST_BARS {
            self.new_bar(TABLE, bytes)
        } else {
            None
        };
        if let Some(bar) = &bar {
            bar.set_prefix(short(&harmless(table)));
        }
        state.active.insert(
            table.to_owned(),
            Active {
                expected: bytes,
                rows: 0,
                bytes: 0,
                bar,
            },
        );
        state.show_whole();
    }

    fn table_progress(&self, table: &str, rows: u64, bytes: u64) {
        let mut state = self.lock();
        state.rows += rows;
        state.bytes_done += bytes;
        state.changed = true;
        if let Some(active) = state.active.get_mut(table) {
            active.rows += rows;
            active.bytes += bytes;
            if let Some(bar) = &active.bar {
                // Sizes at dump are estimates.
                if bar.length().is_some_and(|length| length < active.bytes) {
                    bar.set_length(active.bytes);
                }
                bar.set_position(active.bytes);
                bar.set_message(format!("{} rows", HumanCount(active.rows)));
            }
        }
        state.show_whole();
        drop(state);
        self.line_if_due();
    }

    fn table_done(&self, table: &str, rows: u64, bytes: u64) {
        let mut state = self.lock();
        state.tables_done += 1;
        state.changed = true;
        if let Some(active) = state.active.remove(table) {
            // What was not told piece by piece counts now.
            state.rows += rows.saturating_sub(active.rows);
            state.bytes_done += bytes.saturating_sub(active.bytes);
            // What was an estimate is known now; where nothing was known of the whole, it stays so.
            if state.bytes > 0 {
                state.bytes = state.bytes.saturating_sub(active.expected) + bytes;
            }
            if let (Some(bar), Some(bars)) = (active.bar, self.output.bars()) {
                bar.finish_and_clear();
                bars.remove(&bar);
            }
        }
        state.show_whole();
        drop(state);
        self.verbose(&format!(
            "{table}: {} rows, {}",
            HumanCount(rows),
            HumanBytes(bytes)
        ));
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}

/// As long as nothing is known of any data.
const WITHOUT_DATA: &str = "{spinner} {prefix:<9} {wide_msg}";
/// What comes last is cut where a line ends: one that wraps makes the screen jump.
const WHOLE: &str = "{spinner} {prefix:<9} [{bar:10}] {bytes}/{total_bytes} {binary_bytes_per_sec} eta {eta}  {wide_msg}";
const TABLE: &str = "  {prefix:<24} [{bar:10}] {bytes}/{total_bytes} eta {eta}  {wide_msg}";

/// A name that leaves room for the bar.
fn short(name: &str) -> String {
    if name.chars().count() <= 24 {
        return name.to_owned();
    }
    let head: String = name.chars().take(23).collect();
    format!("{head}…")
}

impl State {
    /// How far the steps are, where they are told one by one.
    fn told_steps(&self) -> Option<String> {
        let steps = self.steps.filter(|_| self.steps_done > 0)?;
        Some(format!("{}/{steps} steps", self.steps_done))
    }

    /// How far the tables are. Large objects end like a table, and are in no count of them.
    fn told_tables(&self) -> String {
        let tables = self.tables.max(self.tables_done);
        format!("{}/{tables} tables", self.tables_done)
    }

    /// Brings the bar of the whole up to date.
    fn show_whole(&self) {
        let Some(bar) = &self.whole else { return };
        bar.set_prefix(self.phase);
        let template = match self.bytes.max(self.bytes_done) {
            0 => WITHOUT_DATA,
            _ => WHOLE,
        };
        bar.set_style(style(template));
        bar.set_length(self.bytes.max(self.bytes_done));
        bar.set_position(self.bytes_done);
        let mut message = Vec::new();
        message.extend(self.told_steps());
        if self.tables > 0 {
            message.push(self.told_tables());
            message.push(format!("{} rows", HumanCount(self.rows)));
        }
        bar.set_message(message.join(", "));
    }

    /// How it goes, in one line.
    fn line(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.told_steps());
        if let Some(began) = self.data_began {
            parts.push(self.told_tables());
            parts.push(format!("{} rows", HumanCount(self.rows)));
            let mut bytes = HumanBytes(self.bytes_done).to_string();
            if self.bytes > 0 {
                let percent = (self.bytes_done * 100).checked_div(self.bytes).unwrap_or(0);
                bytes = format!(
                    "{bytes} of {} ({}%)",
                    HumanBytes(self.bytes),
                    percent.min(100)
                );
            }
            parts.push(bytes);
            let seconds = began.elapsed().as_secs_f64();
            if seconds > 0.0 && self.bytes_done > 0 {
                let rate = self.bytes_done as f64 / seconds;
                parts.push(format!("{}/s", HumanBytes(rate as u64)));
                let left = self.bytes.saturating_sub(self.bytes_done);
                if left > 0 {
                    let eta = Duration::from_secs_f64((left as f64 / rate).min(1e9));
                    parts.push(format!("eta {}", HumanDuration(eta)));
                }
            }
        }
        if parts.is_empty() {
            parts.push(format!(
                "{} so far",
                HumanDuration(self.phase_began.elapsed())
            ));
        }
        format!("{}: {}", self.phase, parts.join(", "))
    }
}

impl Observer for Progress {
    fn event(&self, event: &Event) {
        let talk = self.output.talk();
        if talk.json {
            let loud = match event {
                Event::Message { level, .. } => match level {
                    Level::Detail => Volume::Verbose,
                    Level::Info => Volume::Normal,
                    Level::Warning | Level::Error => Volume::Quiet,
                },
                Event::EntryFailed { .. } => Volume::Quiet,
                _ => Volume::Normal,
            };
            if talk.volume >= loud {
                self.output.json(event);
            }
            return;
        }
        match event {
            Event::Message { level, text, hint } => self.message(*level, text, hint.as_deref()),
            Event::Phase { name, steps } => self.phase(name, *steps),
            Event::Step { name, seconds } => {
                let mut state = self.lock();
                state.steps_done += 1;
                state.changed = true;
                state.show_whole();
                drop(state);
                self.verbose(&format!("{name} ({seconds:.2} s)"));
                self.line_if_due();
            }
            Event::DataTotal { tables, bytes, .. } => {
                let mut state = self.lock();
                // One after the other: databases, or an archive and what it is compared with.
                if state.active.is_empty() {
                    state.tables_done = 0;
                    state.bytes_done = 0;
                    state.rows = 0;
                    state.data_began = None;
                }
                state.tables = *tables;
                state.bytes = *bytes;
                state.show_whole();
            }
            Event::TableStarted { table, bytes } => self.table_started(table, *bytes),
            Event::TableProgress { table, rows, bytes } => {
                self.table_progress(table, *rows, *bytes);
            }
            Event::TableDone { table, rows, bytes } => self.table_done(table, *rows, *bytes),
            Event::EntryFailed {
                entry,
                error,
                statement,
            } => {
                self.output.say(&format!("failed: {entry}: {error}"));
                if let Some(statement) = statement {
                    self.verbose(&format!("statement: {statement}"));
                }
            }
            // An event that this version of the program does not know is not shown.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Talk;

    fn quiet() -> Arc<Progress> {
        Progress::new(Output::new(Talk {
            volume: Volume::Quiet,
            json: false,
            stdout_is_taken: false,
        }))
    }

    #[test]
    fn an_estimate_gives_way_to_what_it_was() {
        let progress = quiet();
        progress.event(&Event::Phase {
            name: "data",
            steps: Some(3),
        });
        progress.event(&Event::DataTotal {
            tables: 1,
            bytes: 9 << 20,
            rows: None,
        });
        // Large objects are in no count of tables.
        for (table, expected, bytes) in [("a", 9 << 20, 3 << 20), ("large objects", 0, 1 << 20)] {
            progress.event(&Event::TableStarted {
                table: table.to_owned(),
                bytes: expected,
            });
            progress.event(&Event::TableDone {
                table: table.to_owned(),
                rows: 10,
                bytes,
            });
        }
        let line = progress.lock().line();
        let expected = "data: 2/2 tables, 20 rows, 4.00 MiB of 4.00 MiB (100%), ";
        assert!(line.starts_with(expected), "{line}");
        // The next database begins anew.
        progress.event(&Event::DataTotal {
            tables: 7,
            bytes: 8 << 20,
            rows: None,
        });
        progress.event(&Event::TableStarted {
            table: "b".to_owned(),
            bytes: 1 << 20,
        });
        let line = progress.lock().line();
        let expected = "data: 0/7 tables, 0 rows, 0 B of 8.00 MiB (0%)";
        assert!(line.starts_with(expected), "{line}");
    }

    #[test]
    fn lines_tell_tables_rows_bytes_and_eta() {
        let progress = quiet();
        progress.event(&Event::Phase {
            name: "data",
            steps: None,
        });
        progress.event(&Event::DataTotal {
            tables: 2,
            bytes: 4 << 20,
            rows: None,
        });
        for table in ["a", "b"] {
            progress.event(&Event::TableStarted {
                table: table.to_owned(),
                bytes: 2 << 20,
            });
        }
        progress.event(&Event::TableProgress {
            table: "a".to_owned(),
            rows: 1500,
            bytes: 1 << 20,
        });
        progress.event(&Event::TableDone {
            table: "a".to_owned(),
            rows: 2000,
            bytes: 2 << 20,
        });
        let line = progress.lock().line();
        assert!(
            line.starts_with("data: 1/2 tables, 2,000 rows, 2.00 MiB of 4.00 MiB (50%), "),
            "{line}"
        );
        assert!(line.contains("eta "), "{line}");
    }
}
