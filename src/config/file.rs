//! The file: what stands in it, key by key, with the line of each, and all that is wrong in it.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Form, KEYS, Key};
use super::value::Value;
use crate::error::{Error, Kind, Result, system_reason};
use crate::secret::SecretFrom;
use crate::suggest::nearest;

/// A key in one place: its number in [`KEYS`], and the name that stands for `*` in its table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) key: usize,
    pub(super) instance: Option<String>,
}

impl Slot {
    /// The slot of a key without a chosen name in its table.
    pub(super) fn of(section: &str, name: &str) -> Option<Self> {
        let key = position(section, name)?;
        Some(Self {
            key,
            instance: None,
        })
    }

    /// What the key takes, and the rest that is known of it.
    pub(super) fn key(&self) -> &'static Key {
        &KEYS[self.key]
    }

    /// `notification.webhook.chat.url`
    pub(super) fn full(&self) -> String {
        let full = self.key().full();
        match &self.instance {
            Some(instance) => full.replace('*', instance),
            None => full,
        }
    }
}

/// The number of a key in [`KEYS`].
pub(super) fn position(section: &str, name: &str) -> Option<usize> {
    KEYS.iter()
        .position(|key| key.section == section && key.name == name)
}

/// Values of one source, with where each of them is.
pub(super) type Layer<Where> = BTreeMap<Slot, (Value, Where)>;

/// What stands in the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// What holds for all jobs; with lines.
    pub(super) common: Layer<usize>,
    /// What holds for one.
    pub(super) jobs: BTreeMap<String, Layer<usize>>,
}

/// Endings of keys that say where a secret is.
pub(super) const FROM_FILE: &str = "_file";
pub(super) const FROM_COMMAND: &str = "_command";

/// Whether this may name a job or a webhook: what a variable's name has room for.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

impl Contents {
    /// Reads a file's text. Relative paths in it begin at `base`.
    ///
    /// The mistakes are all that there are, each with its line and without any value that may be
    /// secret.
    pub(super) fn parse(text: &str, base: &Path) -> (Self, Vec<Error>) {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut reader = Reader {
            text,
            base,
            contents: Self::default(),
            mistakes: Vec::new(),
        };
        for error in errors {
            // Its own form shows the line as it stands, with what may be in it.
            let line = error.span().map_or(1, |span| reader.line(span.start));
            let what = error.message().lines().next().unwrap_or("not TOML");
            let mistake = Error::new(Kind::Usage, format!("line {line}: not TOML: {what}"));
            reader.mistakes.push((line, mistake));
        }
        // What a broken line leaves behind would only repeat the same mistake in other words.
        if reader.mistakes.is_empty() {
            reader.table(root.get_ref(), None, "", None);
        }
        let mut mistakes = reader.mistakes;
        mistakes.sort_by_key(|(line, _)| *line);
        let mistakes = mistakes.into_iter().map(|(_, mistake)| mistake);
        (reader.contents, mistakes.collect())
    }
}

struct Reader<'a> {
    text: &'a str,
    base: &'a Path,
    contents: Contents,
    /// With the line of each.
    mistakes: Vec<(usize, Error)>,
}

impl Reader<'_> {
    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        before.filter(|byte| **byte == b'\n').count() + 1
    }

    fn mistake(&mut self, at: &Spanned<impl Sized>, error: Error) {
        let line = self.line(at.span().start);
        let error = error.context(format!("line {line}"));
        self.mistakes.push((line, error));
    }

    /// Reads one table; `section` is its name as [`KEYS`] has it.
    fn table(
        &mut self,
        table: &DeTable<'_>,
        job: Option<&str>,
        section: &str,
        instance: Option<&str>,
    ) {
        for (name, value) in table {
            let word = name.get_ref().as_ref();
            if section.is_empty() && job.is_none() && word == "jobs" {
                self.jobs(name, value);
                continue;
            }
            let below = match section {
                "" => word.to_owned(),
                section => format!("{section}.{word}"),
            };
            if let Some((key, ending)) = find(section, word, job) {
                self.key(name, value, key, ending, job, instance);
            } else if KEYS.iter().any(|key| is_within(key.section, &below)) {
                match value.get_ref() {
                    DeValue::Table(inner) => self.table(inner, job, &below, instance),
                    _ => self.mistake(name, not_a_table(&below)),
                }
            } else if KEYS
                .iter()
                .any(|key| is_within(key.section, &format!("{section}.*")))
            {
                match value.get_ref() {
                    DeValue::Table(inner) if is_name(word) => {
                        self.table(inner, job, &format!("{section}.*"), Some(word));
                    }
                    DeValue::Table(_) => self.mistake(name, bad_name(word)),
                    _ => self.mistake(name, not_a_table(&below)),
                }
            } else {
                self.mistake(name, unknown(section, word, job, instance));
            }
        }
    }

    fn jobs(&mut self, name: &Spanned<impl Sized>, value: &Spanned<DeValue<'_>>) {
        let DeValue::Table(jobs) = value.get_ref() else {
            return self.mistake(name, not_a_table("jobs.NAME"));
        };
        for (name, value) in jobs {
            let word = name.get_ref().as_ref();
            match value.get_ref() {
                _ if !is_name(word) => self.mistake(name, bad_name(word)),
                DeValue::Table(inner) => {
                    let variable = variable_part(word);
                    let same = |other: &&String| variable_part(other) == variable;
                    if let Some(other) = self.contents.jobs.keys().find(same) {
                        let why = format!(
                            "jobs {other} and {word} would have the same variables PGSTOW_JOB_{variable}_…"
                        );
                        self.mistake(name, Error::new(Kind::Usage, why));
                    }
                    self.contents.jobs.insert(word.to_owned(), Layer::new());
                    self.table(inner, Some(word), "", None);
                }
                _ => self.mistake(name, not_a_table(&format!("jobs.{word}"))),
            }
        }
    }

    fn key(
        &mut self,
        name: &Spanned<impl Sized>,
        value: &Spanned<DeValue<'_>>,
        key: usize,
        ending: &str,
        job: Option<&str>,
        instance: Option<&str>,
    ) {
        let slot = Slot {
            key,
            instance: instance.map(str::to_owned),
        };
        let read = match Value::of_file(form(key, ending), value.get_ref(), self.base) {
            Ok(value) => from(value, ending),
            Err(error) => {
                return self.mistake(name, error.context(format!("{}{ending}", slot.full())));
            }
        };
        let line = self.line(name.span().start);
        let layer = match job {
            Some(job) => self.contents.jobs.entry(job.to_owned()).or_default(),
            None => &mut self.contents.common,
        };
        if let Some((_, earlier)) = layer.insert(slot.clone(), (read, line)) {
            let why = format!(
                "{}: it is said a second time, after line {earlier}",
                slot.full()
            );
            let error = Error::new(Kind::Usage, why)
                .with_hint("a secret comes from one place: itself, a file or a command");
            self.mistake(name, error);
        }
    }
}

/// How a name stands in variables.
pub(super) fn variable_part(name: &str) -> String {
    name.to_ascii_uppercase().replace(['-', '.'], "_")
}

/// Whether a section is this one or lies in it.
fn is_within(section: &str, outer: &str) -> bool {
    section
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The key of this name in a table, and the ending that says where a secret is.
fn find(section: &str, word: &str, job: Option<&str>) -> Option<(usize, &'static str)> {
    // What is about all jobs is not said of one.
    if section.is_empty() && job.is_some() {
        return None;
    }
    if let Some(key) = position(section, word) {
        return Some((key, ""));
    }
    [FROM_FILE, FROM_COMMAND].into_iter().find_map(|ending| {
        let key = position(section, word.strip_suffix(ending)?)?;
        KEYS[key].form.is_secret().then_some((key, ending))
    })
}

/// What a key with such an ending takes.
pub(super) fn form(key: usize, ending: &str) -> Form {
    match ending {
        FROM_FILE => Form::Path,
        FROM_COMMAND => Form::Text(|_| Ok(())),
        _ => KEYS[key].form,
    }
}

/// The value of a key with such an ending.
pub(super) fn from(value: Value, ending: &str) -> Value {
    match (value, ending) {
        (Value::Text(path), FROM_FILE) => Value::Secret(SecretFrom::File(path.into())),
        (Value::Text(command), FROM_COMMAND) => Value::Secret(SecretFrom::Command(command)),
        (value, _) => value,
    }
}

fn not_a_table(name: &str) -> Error {
    Error::new(Kind::Usage, format!("{name} is a table"))
        .with_hint(format!("write [{name}] and what belongs to it below"))
}

fn bad_name(name: &str) -> Error {
    Error::new(
        Kind::Usage,
        format!("{name:?} is no name: letters, digits, - and _ make one"),
    )
}

fn unknown(section: &str, word: &str, job: Option<&str>, instance: Option<&str>) -> Error {
    let section_shown = match instance {
        Some(instance) => section.replace('*', instance),
        None => section.to_owned(),
    };
    let table = match (job, section) {
        (None, "") => "at the top".to_owned(),
        (Some(job), "") => format!("in [jobs.{job}]"),
        (None, _) => format!("in [{section_shown}]"),
        (Some(job), _) => format!("in [jobs.{job}.{section_shown}]"),
    };
    let error = Error::new(Kind::Usage, format!("unknown key \"{word}\" {table}"));
    let mut here: Vec<String> = Vec::new();
    for key in KEYS {
        if key.section == section && !(section.is_empty() && job.is_some()) {
            here.push(key.name.to_owned());
            if key.form.is_secret() {
                here.extend([FROM_FILE, FROM_COMMAND].map(|end| format!("{}{end}", key.name)));
            }
        }
        let inner = match section {
            "" => Some(key.section),
            section => key
                .section
                .strip_prefix(section)
                .and_then(|rest| rest.strip_prefix('.')),
        };
        let first = inner.and_then(|rest| rest.split('.').next());
        here.extend(
            first
                .filter(|it| !it.is_empty() && *it != "*")
                .map(str::to_owned),
        );
    }
    if section.is_empty() && job.is_none() {
        here.push("jobs".to_owned());
    }
    let words = || here.iter().map(String::as_str);
    let longer = || words().find(|it| it.starts_with(&format!("{word}_")));
    if let Some(right) = nearest(word, words()).or_else(longer) {
        return error.with_hint(format!("did you mean \"{right}\"?"));
    }
    let elsewhere = KEYS.iter().find(|key| key.name == word);
    match elsewhere {
        Some(key) if key.section.is_empty() => {
            error.with_hint(format!("\"{word}\" stands at the top of the file"))
        }
        Some(key) => {
            let table = match job {
                Some(job) => format!("jobs.{job}.{}", key.section),
                None => key.section.to_owned(),
            };
            error.with_hint(format!("\"{word}\" belongs in [{table}]"))
        }
        None => {
            here.sort();
            here.dedup();
            error.with_hint(format!("known are {}", here.join(", ")))
        }
    }
}

/// Reads a file.
///
/// # Errors
/// [`Kind::Usage`] when it cannot be read.
pub(super) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        let why = format!(
            "configuration {}: {}",
            path.display(),
            system_reason(&error)
        );
        Error::new(Kind::Usage, why).with_source(error)
    })
}
