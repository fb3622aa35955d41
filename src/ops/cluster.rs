//! A whole cluster: every database in an archive of its own, and what belongs to all of them.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use regex_lite::Regex;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{DumpOptions, Input, RestoreOptions};
use crate::archive::{Archive, Timestamp};
use crate::catalog::{self, ListedDatabase};
use crate::connect::Config;
use crate::error::{Context, Error, Kind, Result, SqlState, system_reason};
use crate::report::Observer;
use crate::select::{Globals, Pattern};
use crate::storage::{LocalSink, LocalSource, Overwrite, Sink};

/// The archive of roles, tablespaces and the like. The names of databases' archives begin otherwise.
const GLOBALS: &str = "globals.pgstow";

/// Written last: a directory without it is of a dump that did not end.
const LIST: &str = "cluster.json";

/// Largest list that is believed.
const LIST_MAX: u64 = 64 << 20;

/// These stand in every cluster: their content is restored into what is there.
const STANDING: [&str; 2] = ["postgres", "template1"];

/// Nobody ever connects to this one, and every cluster has it: it is no database that anybody would miss.
const UNTOUCHED: &str = "template0";

/// The file of a database: `db.NAME.pgstow`, where each byte of the name other than `a-z 0-9 _ -`
/// is `%` and two upper-case hex digits.
fn file_of(database: &str) -> String {
    let mut name = String::from("db.");
    for byte in database.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => name.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => drop(write!(name, "%{byte:02X}")),
        }
    }
    name.push_str(".pgstow");
    name
}

/// What `cluster.json` says.
#[derive(Debug, Serialize, Deserialize)]
struct List {
    format: String,
    format_version: u32,
    created: Timestamp,
    /// The id of the archive of globals.
    globals: String,
    databases: Vec<ListedArchive>,
    #[serde(default)]
    failed: Vec<ClusterProblem>,
    #[serde(default)]
    left_out: Vec<ClusterProblem>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ListedArchive {
    name: String,
    archive_id: String,
}

const FORMAT: &str = "pgstow cluster";

/// A database that was not dumped or restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterProblem {
    /// The database.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// What was done with a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClusterReport {
    /// Roles, tablespaces and the like that were dumped or made.
    pub globals: u64,
    /// Databases that were dumped or restored whole, in order.
    pub databases: Vec<String>,
    /// Those that failed, or were restored in part.
    pub failed: Vec<ClusterProblem>,
    /// Those that were not tried.
    pub left_out: Vec<ClusterProblem>,
}

impl ClusterReport {
    /// Whether nothing failed.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }
}

/// Dumps every database that `config`'s server has, and its globals, into a directory that does
/// not exist or is empty: one archive each, and a list of them. Each database has a snapshot of
/// its own. A database that fails is in the report, and no archive of it is left.
///
/// # Errors
/// As [`dump`](super::dump), for what is not about one database; [`Kind::Refused`] when the
/// directory is not empty.
pub async fn dump_all(
    config: &Config,
    directory: &Path,
    options: &DumpOptions,
    exclude: &[String],
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<ClusterReport> {
    let excluded = Excluded::new(exclude)?;
    prepare(directory).await?;
    let mut report = ClusterReport::default();
    let created = Timestamp::now();

    let mut alone = options.clone();
    alone.globals.which = Globals::Alone;
    alone.selection = Default::default();
    alone.sections = super::Sections::ALL;
    let sink = new_sink(&directory.join(GLOBALS)).await?;
    let globals = super::dump(config, sink, &alone, Arc::clone(&observer), cancel.clone())
        .await
        .context_with(|| "globals")?;
    report.globals = globals.globals;

    let session = config
        .with_application_name_suffix("dump")
        .connect()
        .await?;
    let found = catalog::databases(&session).await?;
    session.close().await;
    let mut one = options.clone();
    one.globals.which = Globals::No;
    let mut databases = Vec::new();
    for ListedDatabase { name, hindrance } in found {
        if name == UNTOUCHED {
            continue;
        }
        if excluded.has(&name) {
            report.leave_out(name, "it is excluded", None);
            continue;
        }
        if let Some(reason) = hindrance {
            report.leave_out(name, reason, Some(&*observer));
            continue;
        }
        observer.info(format!("database {name}"));
        let path = directory.join(file_of(&name));
        let dumped = async {
            let sink = new_sink(&path).await?;
            let config = config.with_database(&name);
            let (observer, cancel) = (Arc::clone(&observer), cancel.clone());
            super::dump(&config, sink, &one, observer, cancel).await
        };
        match dumped.await {
            Ok(dumped) => {
                databases.push(ListedArchive {
                    name: name.clone(),
                    archive_id: dumped.archive_id,
                });
                report.databases.push(name);
            }
            Err(error) => report.fail(name, error, &*observer)?,
        }
    }
    let list = List {
        format: FORMAT.to_owned(),
        format_version: 1,
        created,
        globals: globals.archive_id,
        databases,
        failed: report.failed.clone(),
        left_out: report.left_out.clone(),
    };
    let mut bytes = serde_json::to_vec_pretty(&list)
        .map_err(|error| Error::new(Kind::Failed, "render the list").with_source(error))?;
    bytes.push(b'\n');
    let mut sink = new_sink(&directory.join(LIST)).await?;
    sink.write(Bytes::from(bytes)).await?;
    sink.finish().await?;
    Ok(report)
}

/// Restores what [`dump_all`] wrote: globals that are not there, then every database. `postgres`
/// and `template1` are restored into those that stand there, if they are empty. A database that
/// fails is in the report, and does not keep the others from being restored.
///
/// # Errors
/// [`Kind::Archive`] when the directory is of an unfinished dump or its files do not belong
/// together, and what fails before the first database.
pub async fn restore_all(
    config: &Config,
    directory: &Path,
    options: &RestoreOptions,
    exclude: &[String],
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<ClusterReport> {
    let excluded = Excluded::new(exclude)?;
    let mut list = read_list(directory).await?;
    list.left_out.retain(|it| it.name != UNTOUCHED);
    let mut report = ClusterReport::default();
    for missing in list.failed.iter().chain(&list.left_out) {
        observer.warning(format!(
            "database {} is not in the dump: {}",
            missing.name, missing.reason
        ));
    }
    // What failed when it was dumped cannot be whole now either.
    report.failed.clone_from(&list.failed);
    report.left_out.clone_from(&list.left_out);
    // All that is to be restored is there, before anything is touched.
    let globals = open(directory, GLOBALS, &list.globals).await?;
    for database in &list.databases {
        open(directory, &file_of(&database.name), &database.archive_id).await?;
    }

    let mut alone = options.clone();
    alone.globals = Globals::Alone;
    (alone.create, alone.clean, alone.if_exists) = (false, false, false);
    alone.content = super::Content::All;
    alone.sections = super::Sections::ALL;
    alone.filter = super::EntryFilter::default();
    let (listener, stop) = (Arc::clone(&observer), cancel.clone());
    let restored = super::restore(config, globals, &alone, listener, stop)
        .await
        .context_with(|| "globals")?;
    report.globals = restored.globals;
    for failed in restored.failed {
        report.failed.push(ClusterProblem {
            name: failed.entry,
            reason: failed.error,
        });
    }

    for ListedArchive { name, archive_id } in list.databases {
        if excluded.has(&name) {
            report.leave_out(name, "it is excluded", None);
            continue;
        }
        observer.info(format!("database {name}"));
        let mut one = options.clone();
        one.globals = Globals::No;
        let standing = STANDING.contains(&name.as_str());
        one.create = true;
        one.adopt = standing;
        one.if_exists = one.clean;
        let restored = async {
            let input = open(directory, &file_of(&name), &archive_id).await?;
            let (observer, cancel) = (Arc::clone(&observer), cancel.clone());
            super::restore(config, input, &one, observer, cancel).await
        };
        match restored.await {
            Ok(restored) if restored.is_complete() => report.databases.push(name),
            Ok(restored) => {
                let reason = format!(
                    "restored in part: {} failed, {} not done because of that",
                    restored.failed.len(),
                    restored.skipped.len()
                );
                observer.warning(format!("database {name} was {reason}"));
                report.failed.push(ClusterProblem { name, reason });
            }
            Err(error) => {
                let error = match error.sqlstate() {
                    Some(&SqlState::DUPLICATE_DATABASE) => error.with_hint(
                        "--clean drops it first and makes it anew, --exclude-database leaves it as it is",
                    ),
                    _ => error,
                };
                report.fail(name, error, &*observer)?;
            }
        }
    }
    Ok(report)
}

impl ClusterReport {
    fn leave_out(&mut self, name: String, reason: &str, told: Option<&dyn Observer>) {
        if let Some(observer) = told {
            observer.warning(format!("database {name} is left out: {reason}"));
        }
        self.left_out.push(ClusterProblem {
            name,
            reason: reason.to_owned(),
        });
    }

    /// Writes a failure down, unless it is the user's wish to end.
    fn fail(&mut self, name: String, error: Error, observer: &dyn Observer) -> Result<()> {
        if error.kind() == Kind::Interrupted || error.kind() == Kind::Usage {
            return Err(error);
        }
        let reason = error.message().to_owned();
        match error.hint() {
            Some(hint) => observer
                .warning_with_hint(format!("database {name} failed: {reason}"), hint.to_owned()),
            None => observer.warning(format!("database {name} failed: {reason}")),
        }
        self.failed.push(ClusterProblem { name, reason });
        Ok(())
    }
}

/// Patterns of databases that are not wanted.
struct Excluded(Vec<Regex>);

impl Excluded {
    fn new(patterns: &[String]) -> Result<Self> {
        let compile = |text: &String| {
            let pattern = Pattern::parse(text)?;
            let [name] = pattern.names() else {
                return Err(pattern.malformed("too many dots outside quotes"));
            };
            Regex::new(&format!("^(?s:{})$", name.regex())).map_err(|error| {
                pattern
                    .malformed("not a regular expression")
                    .with_source(error)
            })
        };
        Ok(Self(patterns.iter().map(compile).collect::<Result<_>>()?))
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(name))
    }
}

async fn new_sink(path: &Path) -> Result<Box<dyn Sink>> {
    Ok(Box::new(LocalSink::create(path, Overwrite::Refuse).await?))
}

fn storage(error: std::io::Error, what: &str, path: &Path) -> Error {
    let why = format!("{what} {}: {}", path.display(), system_reason(&error));
    Error::new(Kind::Storage, why).with_source(error)
}

/// Makes the directory; one that is there must be empty.
async fn prepare(directory: &Path) -> Result<()> {
    match tokio::fs::read_dir(directory).await {
        Ok(mut found) => {
            let first = found.next_entry().await;
            if first
                .map_err(|error| storage(error, "read", directory))?
                .is_some()
            {
                return Err(Error::new(
                    Kind::Refused,
                    format!("directory {} is not empty", directory.display()),
                )
                .with_hint("dump into a new directory"));
            }
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut builder = tokio::fs::DirBuilder::new();
            builder.mode(0o700);
            let made = builder.create(directory).await;
            made.map_err(|error| storage(error, "create", directory))
        }
        Err(error) => Err(storage(error, "read", directory)),
    }
}

async fn read_list(directory: &Path) -> Result<List> {
    let path = directory.join(LIST);
    let found = tokio::fs::metadata(&path).await;
    let length = match found {
        Ok(found) => found.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(
                Error::new(Kind::Archive, format!("{} is not there", path.display()))
                    .with_hint("it is written when a dump of all databases has ended; dump again"),
            );
        }
        Err(error) => return Err(storage(error, "read", &path)),
    };
    let damaged = |what: String| Error::new(Kind::Archive, format!("{}: {what}", path.display()));
    if length > LIST_MAX {
        return Err(damaged("it is too large".to_owned()));
    }
    let bytes = tokio::fs::read(&path).await;
    let bytes = bytes.map_err(|error| storage(error, "read", &path))?;
    let list: List =
        serde_json::from_slice(&bytes).map_err(|error| damaged(format!("damaged: {error}")))?;
    if list.format != FORMAT || list.format_version != 1 {
        return Err(damaged("it is of a kind that is not known".to_owned()));
    }
    Ok(list)
}

/// Opens an archive of the directory, which must be the one that the list means.
async fn open(directory: &Path, file: &str, archive_id: &str) -> Result<Input> {
    let source = Arc::new(LocalSource::open(directory.join(file)).await?);
    let archive = Archive::open(source.clone()).await?;
    if archive.manifest().archive_id.to_string() != archive_id {
        return Err(Error::new(
            Kind::Archive,
            format!("{file} is not the archive that {LIST} names"),
        ));
    }
    Ok(Input::Source(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_cannot_be_anything_else() {
        for (name, file) in [
            ("shop", "db.shop.pgstow"),
            ("Shop", "db.%53hop.pgstow"),
            ("globals", "db.globals.pgstow"),
            ("../x", "db.%2E%2E%2Fx.pgstow"),
            ("ä\n", "db.%C3%A4%0A.pgstow"),
        ] {
            assert_eq!(file_of(name), file);
        }
    }

    #[test]
    fn patterns_are_for_whole_names() {
        let excluded = Excluded::new(&["test*".to_owned(), "\"A.b\"".to_owned()]).unwrap();
        assert!(excluded.has("test_1") && excluded.has("A.b"));
        assert!(!excluded.has("a test") && !excluded.has("a.b"));
        assert!(Excluded::new(&["a.b".to_owned()]).is_err());
    }
}
