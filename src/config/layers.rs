//! All sources over one another, and the value that wins.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{self, Contents, FROM_COMMAND, FROM_FILE, Layer, Slot, is_name, variable_part};
use super::job::Job;
use super::keys::KEYS;
use super::place;
use super::value::Value;
use crate::connect::{Environment, not_text};
use crate::error::{Error, Kind, Result};
use crate::suggest::nearest;

/// The job of a configuration that names none.
const ONLY_JOB: &str = "default";

/// Where a value is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An option of the command line.
    CommandLine,
    /// This environment variable.
    Variable(String),
    /// The file, at this line.
    Line(usize),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Variable(name) => f.write_str(name),
            Self::Line(line) => write!(f, "line {line}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value that holds, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The key, as `store.location`.
    pub key: String,
    /// The value as text; of a secret only where it is.
    pub value: String,
    /// Where it is from.
    pub origin: Origin,
}

/// Everything that was said, source by source.
pub(super) struct Layers {
    path: Option<PathBuf>,
    file: Contents,
    /// `PGSTOW_JOB_<NAME>_…`, by job.
    of_job: BTreeMap<String, Layer<String>>,
    /// `PGSTOW_…`
    of_all: Layer<String>,
    /// Variables that other programs have too.
    shared: Layer<String>,
    /// Everything in the environment, for the stores.
    pub(super) variables: Vec<(String, String)>,
    /// The names of those in it that are set to no text.
    pub(super) no_text: Vec<String>,
}

/// What is configured: jobs and what holds for them.
#[derive(Clone)]
pub struct Config {
    layers: Arc<Layers>,
    chosen: Option<String>,
    warnings: Vec<String>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("path", &self.layers.path)
            .field("jobs", &self.jobs())
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Reads the file and the environment. The file is the one that is named, by `path` or in
    /// `PGSTOW_CONFIG`; else `pgstow.toml` of the working directory, of `~/.config/pgstow`, of
    /// `/etc/pgstow`, the first that is there; else there is none, and the environment is all.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a file that cannot be read, and for the first mistake in file or variables,
    /// with the number of the others; [`Kind::Refused`] for a file that was only found in the working
    /// directory and belongs to somebody else.
    pub fn load(path: Option<&Path>, environment: &dyn Environment) -> Result<Self> {
        let (config, mut mistakes) = Self::read(path, environment)?;
        let others = mistakes.len().saturating_sub(1);
        if mistakes.is_empty() {
            return Ok(config);
        }
        let first = mistakes.swap_remove(0);
        if others == 0 {
            return Err(first);
        }
        let hint = first
            .hint()
            .map_or(String::new(), |hint| format!("{hint}; "));
        Err(first.with_hint(format!(
            "{hint}there are {others} more mistakes: pgstow config check names them all"
        )))
    }

    /// As [`Config::load`], with all mistakes; what is wrong is left out of the configuration.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a file that cannot be read; [`Kind::Refused`] as with [`Config::load`].
    pub fn read(path: Option<&Path>, environment: &dyn Environment) -> Result<(Self, Vec<Error>)> {
        let path = place::find(path, environment)?;
        let mut mistakes = Vec::new();
        let mut contents = Contents::default();
        if let Some(path) = &path {
            let text = file::read(path)?;
            let base = path.parent().unwrap_or(Path::new(""));
            let (found, wrong) = Contents::parse(&text, base);
            contents = found;
            let shown = path.display();
            mistakes.extend(wrong.into_iter().map(|it| it.context(&shown)));
        }
        let mut warnings = Vec::new();
        let bears_secret = |layer: &Layer<usize>| {
            let mut each = layer.iter();
            each.any(|(slot, (value, _))| value.bears_secret(slot.key().form))
        };
        if contents.jobs.values().any(bears_secret) || bears_secret(&contents.common) {
            warnings.extend(path.as_deref().and_then(place::complaint));
        }
        let variables = environment.variables();
        let mut reader = Variables {
            environment,
            names: BTreeSet::new(),
            mistakes: &mut mistakes,
        };
        let slots = slots(&contents, &variables);
        let mut of_job = BTreeMap::new();
        let mut jobs: Vec<String> = contents.jobs.keys().cloned().collect();
        if jobs.is_empty() {
            jobs.push(ONLY_JOB.to_owned());
        }
        for job in jobs {
            let prefix = format!("PGSTOW_JOB_{}_", variable_part(&job));
            of_job.insert(job, reader.layer(&prefix, &slots));
        }
        let of_all = reader.layer("PGSTOW_", &slots);
        let shared = reader.shared();
        let known = reader.names;
        for (name, _) in &variables {
            warnings.extend(stray(name, &known));
        }
        let no_text = environment.not_text();
        let ours = |name: &&String| known.contains(*name) || name.starts_with("PGSTOW_");
        mistakes.extend(no_text.iter().filter(ours).map(|it| not_text(it)));
        let chosen = environment.get("PGSTOW_JOB").filter(|it| !it.is_empty());
        let layers = Layers {
            path,
            file: contents,
            of_job,
            of_all,
            shared,
            variables,
            no_text,
        };
        let config = Self {
            layers: Arc::new(layers),
            chosen,
            warnings,
        };
        Ok((config, mistakes))
    }

    /// The file, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.layers.path.as_deref()
    }

    /// What should be told, though it is no mistake: a file with a secret that others can read, a
    /// variable that looks like one of ours and is none.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The names of the jobs; `default` where the file names none.
    pub fn jobs(&self) -> Vec<&str> {
        self.layers.of_job.keys().map(String::as_str).collect()
    }

    /// The job that is meant where none is named on the command line, if one is: that in `PGSTOW_JOB`, else
    /// `default_job` of the file. There may be no job of this name.
    pub fn default_job(&self) -> Option<&str> {
        let by_default = match self.layers.common("", "default_job") {
            Some(Value::Text(name)) => Some(name.as_str()),
            _ => None,
        };
        self.chosen.as_deref().or(by_default)
    }

    /// A job: the one that is named, else the one in `PGSTOW_JOB`, else `default_job` of the file, else
    /// the only one.
    ///
    /// # Errors
    /// [`Kind::Usage`] when there is none of this name, or several and none is named.
    pub fn job(&self, name: Option<&str>) -> Result<Job> {
        let jobs = self.jobs();
        let name = match name.or(self.default_job()) {
            Some(name) => name,
            None if jobs.len() == 1 => jobs[0],
            None => {
                return Err(Error::new(
                    Kind::Usage,
                    format!("which job? there are {}", jobs.join(", ")),
                )
                .with_hint("name one: --job NAME, or default_job at the top of the file"));
            }
        };
        if !jobs.contains(&name) {
            let error = Error::new(Kind::Usage, format!("there is no job {name:?}"));
            return Err(match nearest(name, jobs.iter().copied()) {
                Some(right) => error.with_hint(format!("did you mean \"{right}\"?")),
                None => error.with_hint(format!("there is {}", jobs.join(", "))),
            });
        }
        Ok(Job::new(name.to_owned(), Arc::clone(&self.layers)))
    }
}

impl Layers {
    fn common(&self, section: &str, name: &str) -> Option<&Value> {
        let slot = Slot::of(section, name)?;
        let of_all = self.of_all.get(&slot).map(|(value, _)| value);
        of_all.or_else(|| self.file.common.get(&slot).map(|(value, _)| value))
    }

    /// The value that holds for a job, below the command line.
    pub(super) fn get(&self, job: &str, slot: &Slot) -> Option<(Value, Origin)> {
        fn variable((value, name): &(Value, String)) -> (Value, Origin) {
            (value.clone(), Origin::Variable(name.clone()))
        }
        fn line((value, line): &(Value, usize)) -> (Value, Origin) {
            (value.clone(), Origin::Line(*line))
        }
        let of_job = self.of_job.get(job).and_then(|layer| layer.get(slot));
        let in_file = self.file.jobs.get(job).and_then(|layer| layer.get(slot));
        of_job
            .or_else(|| self.of_all.get(slot))
            .map(variable)
            .or_else(|| in_file.map(line))
            .or_else(|| self.shared.get(slot).map(variable))
            .or_else(|| self.file.common.get(slot).map(line))
            .or_else(|| {
                let key = slot.key();
                // The table's own defaults are well-formed; a test reads each.
                let value = Value::of_text(key.form, key.default).ok()?;
                (!key.default.is_empty()).then_some((value, Origin::Default))
            })
    }

    /// Whether a value of a job is from a variable that other programs share.
    pub(super) fn is_shared(&self, slot: &Slot, origin: &Origin) -> bool {
        let shared = self.shared.get(slot);
        matches!((shared, origin), (Some((_, name)), Origin::Variable(from)) if name == from)
    }

    /// The names that stand for `*` in a table, for a job.
    pub(super) fn instances(&self, job: &str, section: &str) -> BTreeSet<String> {
        let layers = [self.file.jobs.get(job), Some(&self.file.common)];
        let in_file = layers.into_iter().flatten().flat_map(Layer::keys);
        let layers = [self.of_job.get(job), Some(&self.of_all)];
        let in_variables = layers.into_iter().flatten().flat_map(Layer::keys);
        in_file
            .chain(in_variables)
            .filter(|slot| slot.key().section == section)
            .filter_map(|slot| slot.instance.clone())
            .collect()
    }
}

/// Every slot that a variable may fill: all keys, with the names that the file or a variable chooses.
fn slots(contents: &Contents, variables: &[(String, String)]) -> Vec<Slot> {
    let mut chosen: BTreeSet<(&str, String)> = BTreeSet::new();
    let layers = contents.jobs.values().chain([&contents.common]);
    for slot in layers.flat_map(Layer::keys) {
        chosen.extend(slot.instance.clone().map(|name| (slot.key().section, name)));
    }
    // PGSTOW_NOTIFICATION_WEBHOOK_CHAT_URL makes a webhook `chat`, if the file has none of that name.
    for (name, _) in variables {
        for key in KEYS.iter().filter(|key| key.name == "url") {
            let Some(outer) = key.section.strip_suffix(".*") else {
                continue;
            };
            let prefix = format!("PGSTOW_{}_", variable_part(outer));
            let middle = name.strip_prefix(&prefix).and_then(|rest| {
                let ends = ["_URL", "_URL_FILE", "_URL_COMMAND"];
                ends.iter().find_map(|end| rest.strip_suffix(end))
            });
            let Some(middle) = middle.filter(|it| is_name(it)) else {
                continue;
            };
            if !chosen.iter().any(|(_, it)| variable_part(it) == middle) {
                chosen.insert((key.section, middle.to_ascii_lowercase()));
            }
        }
    }
    let mut slots = Vec::new();
    for (number, key) in KEYS.iter().enumerate() {
        if key.section.ends_with(".*") {
            let names = chosen.iter().filter(|(section, _)| *section == key.section);
            slots.extend(names.map(|(_, name)| Slot {
                key: number,
                instance: Some(name.clone()),
            }));
        } else {
            slots.push(Slot {
                key: number,
                instance: None,
            });
        }
    }
    slots
}

struct Variables<'a> {
    environment: &'a dyn Environment,
    /// All names that mean something.
    names: BTreeSet<String>,
    mistakes: &'a mut Vec<Error>,
}

impl Variables<'_> {
    fn get(&mut self, name: &str) -> Option<String> {
        let value = self.environment.get(name);
        self.names.insert(name.to_owned());
        // As other programs have it, an empty variable says nothing.
        value.filter(|it| !it.is_empty())
    }

    /// What variables with this prefix say.
    fn layer(&mut self, prefix: &str, slots: &[Slot]) -> Layer<String> {
        let mut layer = Layer::new();
        for slot in slots {
            let base = format!("{prefix}{}", variable_part(&slot.full()));
            let endings: &[&str] = match slot.key().form {
                form if form.is_secret() => &["", FROM_FILE, FROM_COMMAND],
                _ => &[""],
            };
            for ending in endings {
                let name = format!("{base}{}", ending.to_ascii_uppercase());
                let Some(text) = self.get(&name) else {
                    continue;
                };
                let value = Value::of_text(file::form(slot.key, ending), &text);
                match value.map(|value| file::from(value, ending)) {
                    Ok(value) => {
                        if let Some((_, other)) = layer.insert(slot.clone(), (value, name.clone()))
                        {
                            let why = format!("both {other} and {name} are set");
                            self.mistakes.push(Error::new(Kind::Usage, why));
                        }
                    }
                    Err(error) => self.mistakes.push(error.context(&name)),
                }
            }
        }
        layer
    }

    /// What the variables say that other programs have too.
    fn shared(&mut self) -> Layer<String> {
        let mut layer = Layer::new();
        for (number, key) in KEYS.iter().enumerate() {
            let set = key
                .shared
                .iter()
                .find_map(|name| Some((*name, self.get(name)?)));
            let Some((name, text)) = set else {
                continue;
            };
            let text = match (name, text) {
                ("AWS_BACKUP_BUCKET", text) => bucket(&text),
                (_, text) => text,
            };
            let slot = Slot {
                key: number,
                instance: None,
            };
            match Value::of_text(key.form, &text) {
                Ok(value) => {
                    layer.insert(slot, (value, name.to_owned()));
                }
                Err(error) => self.mistakes.push(error.context(name)),
            }
        }
        layer
    }
}

/// What `AWS_BACKUP_BUCKET` means: in a bucket that other things are in as well, a prefix of our own.
fn bucket(text: &str) -> String {
    match text {
        url if url.contains("://") => url.to_owned(),
        path if path.contains('/') => format!("s3://{path}"),
        name => format!("s3://{name}/pgstow"),
    }
}

/// What is to be said of a variable that looks like one of ours, and means nothing.
fn stray(name: &str, known: &BTreeSet<String>) -> Option<String> {
    let rest = name.strip_prefix("PGSTOW_")?;
    let sections = KEYS
        .iter()
        .map(|key| key.section)
        .filter(|it| !it.is_empty());
    let mut firsts = sections.filter_map(|it| it.split('.').next());
    let is_ours = rest.starts_with("JOB_")
        || firsts.any(|first| {
            let rest = rest.strip_prefix(&variable_part(first));
            rest.is_some_and(|rest| rest.starts_with('_'))
        });
    if !is_ours || known.contains(name) {
        return None;
    }
    let hint = nearest(name, known.iter().map(String::as_str))
        .map_or(String::new(), |right| format!("; did you mean {right}?"));
    Some(format!("variable {name} means nothing{hint}"))
}

/// What is shown of a value.
pub(super) fn shown(slot: &Slot, value: &Value, origin: Origin) -> Effective {
    Effective {
        key: slot.full(),
        value: value.shown(),
        origin,
    }
}
