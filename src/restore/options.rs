//! What a restore is asked to do, and what it reports.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::refusal::Refusal;
use crate::archive::{EntryId, Sections, hex};
use crate::error::{Error, Kind, Result};
use crate::plan::{
    Adapted, Choices, EntryFilter, InPieces, LeaveOut, Needed, Omitted, Parts, Pulled, RowOrder,
};
use crate::select::{Content, Globals};
use crate::sql::ServerVersion;

/// What a failed entry means for the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The run ends.
    #[default]
    Exit,
    /// The run goes on with what does not need it; the report lists what failed.
    Continue,
}

/// What the target database may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum TargetState {
    /// Only what a new database has; else the restore is refused.
    #[default]
    Empty,
    /// Anything.
    Any,
}

/// How to restore.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// Which entries, by name.
    pub filter: EntryFilter,
    /// Schema, data or both.
    pub content: Content,
    /// Which sections.
    pub sections: Sections,
    /// Number of sessions, at least 1.
    pub jobs: usize,
    /// Makes the database first, under the name that the archive knows, and restores into it; the
    /// connection's own database serves only to issue CREATE DATABASE.
    pub create: bool,
    /// With `create`: another name than the archive's.
    pub create_as: Option<String>,
    /// With `create`: the database is there and stays, if there is nothing in it; it gets the
    /// archive's properties.
    pub adopt: bool,
    /// Roles, tablespaces and the like: those that are not there yet are made first.
    pub globals: Globals,
    /// Drops what is about to be made.
    pub clean: bool,
    /// With `clean` and `create`: ends other sessions in the database that is dropped.
    pub force_drop: bool,
    /// With `clean`: an object that is not there is no error.
    pub if_exists: bool,
    /// Leaves owners out: everything belongs to the restoring role.
    pub no_owner: bool,
    /// Leaves GRANT and REVOKE out.
    pub no_privileges: bool,
    /// Further classes of things to leave out (its `owners` and `privileges` are the same as
    /// `no_owner` and `no_privileges`).
    pub leave_out: LeaveOut,
    /// `SET ROLE` after connecting.
    pub role: Option<String>,
    /// Disables the triggers of tables while their rows are loaded (with `Content::DataOnly`).
    pub disable_triggers: bool,
    /// With `disable_triggers`: the role whose name is taken to switch them.
    pub superuser: Option<String>,
    /// Rows of partitions go through the topmost table of their tree.
    pub load_via_partition_root: bool,
    /// Makes extensions in the version that they had on the source.
    pub extension_versions: bool,
    /// Everything in one transaction: all or nothing. Needs one session and [`OnError::Exit`].
    pub single_transaction: bool,
    /// Most entries of definitions and privileges in one transaction; by default as many as make
    /// it quick.
    pub transaction_size: Option<usize>,
    /// Has the server compute the statistics of all tables whose rows were restored, at the end.
    pub analyze: bool,
    /// What a failed entry means.
    pub on_error: OnError,
    /// What the target's version does not know is left out, with all that needs it. Without this,
    /// a restore that has such entries is refused, and with [`OnError::Continue`] it is incomplete.
    pub skip_impossible: bool,
    /// For a plan without a server: the version that the target will have. A restore asks its
    /// server.
    pub target_version: Option<ServerVersion>,
    /// What the target may hold before. Not asked with `clean`, and not for data alone or a
    /// section other than pre-data.
    pub target: TargetState,
    /// Most bytes of rows in flight between archive, decompression and server; and, on the server, most
    /// that the sessions' `maintenance_work_mem` is raised to in all.
    pub memory_bytes: u64,
    /// Goes on with a restore of the same archive with the same options into the same target that
    /// did not come to its end. Where there is none, begins one.
    pub resume: bool,
    /// Keeps no journal in the target: such a restore cannot be resumed, nor survive the loss of
    /// a session.
    pub no_journal: bool,
    /// How long a server may be away before the loss of a session ends the run.
    pub reconnect_timeout: Duration,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self {
            filter: EntryFilter::default(),
            content: Content::All,
            sections: Sections::ALL,
            jobs: crate::task::default_jobs(),
            create: false,
            create_as: None,
            adopt: false,
            globals: Globals::No,
            clean: false,
            force_drop: false,
            if_exists: false,
            no_owner: false,
            no_privileges: false,
            leave_out: LeaveOut::default(),
            role: None,
            disable_triggers: false,
            superuser: None,
            load_via_partition_root: false,
            extension_versions: false,
            single_transaction: false,
            transaction_size: None,
            analyze: false,
            on_error: OnError::Exit,
            skip_impossible: false,
            target_version: None,
            target: TargetState::Empty,
            memory_bytes: 256 << 20,
            resume: false,
            no_journal: false,
            reconnect_timeout: Duration::from_secs(60),
        }
    }
}

impl RestoreOptions {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// [`Kind::Usage`], naming those that do not.
    pub fn validate(&self) -> Result<()> {
        let refuse = |why: &str| Err(Error::new(Kind::Usage, why));
        let only = self.content.option().unwrap_or_default();
        if self.jobs == 0 || self.jobs > 1000 {
            return Err(Error::new(
                Kind::Usage,
                format!("number of jobs must be from 1 to 1000, not {}", self.jobs),
            ));
        }
        if self.memory_bytes < MIN_MEMORY_BYTES {
            return Err(Error::new(
                Kind::Usage,
                format!("memory must be at least {} MiB", MIN_MEMORY_BYTES >> 20),
            ));
        }
        what_and_how(self.content, self.sections, self.clean, self.if_exists)?;
        if self.create && !self.content.definitions() {
            return refuse(&format!(
                "options --create and {only} cannot be used together"
            ));
        }
        if self.create && !self.sections.pre_data {
            return refuse("option --create requires the section pre-data");
        }
        if self.create_as.is_some() && !self.create {
            return refuse("another name for the database requires option --create");
        }
        if self.force_drop && !(self.clean && self.create) {
            return refuse("option --force requires options --clean and --create");
        }
        if self.adopt && !self.create {
            return refuse("a database is taken as it is only with --create");
        }
        if self.globals == Globals::Alone {
            let of_database = self.create
                || self.clean
                || self.content != Content::All
                || !self.sections.is_all()
                || !self.filter.is_all();
            if of_database {
                return refuse(
                    "with --globals-only no database is restored: no option that selects, makes \
                     or cleans one goes with it",
                );
            }
        }
        if self.disable_triggers && !self.content.data() {
            return refuse(&format!(
                "options --disable-triggers and {only} cannot be used together"
            ));
        }
        if self.superuser.is_some() && !self.disable_triggers {
            return refuse("option --superuser requires option --disable-triggers");
        }
        if self.single_transaction && self.globals != Globals::No {
            return refuse("options --single-transaction and --globals cannot be used together");
        }
        if self.single_transaction {
            if self.create {
                return refuse("options --single-transaction and --create cannot be used together");
            }
            if self.jobs > 1 {
                return refuse("options --single-transaction and --jobs cannot be used together");
            }
            if self.transaction_size.is_some() {
                return refuse(
                    "options --single-transaction and --transaction-size cannot be used together",
                );
            }
            if self.on_error == OnError::Continue {
                return refuse(
                    "options --single-transaction and --continue cannot be used together",
                );
            }
        }
        if self.resume && self.single_transaction {
            return refuse("options --single-transaction and --resume cannot be used together");
        }
        if self.resume && self.no_journal {
            return refuse("options --no-journal and --resume cannot be used together");
        }
        if self.resume && self.globals == Globals::Alone {
            return refuse("options --globals-only and --resume cannot be used together");
        }
        if self.transaction_size == Some(0) {
            return refuse("--transaction-size must be at least 1");
        }
        if self.transaction_size.is_some() && self.on_error == OnError::Continue {
            return refuse("options --transaction-size and --continue cannot be used together");
        }
        Ok(())
    }

    /// What two runs must have in common for one to go on with the other: for each option that
    /// decides what is restored and how, its name and a digest of its value. Neither the number of
    /// sessions nor what an error means is among them.
    ///
    /// # Errors
    /// [`Kind::Failed`] for a value that cannot be written as JSON, which none is.
    pub(crate) fn fingerprints(&self) -> Result<BTreeMap<String, String>> {
        let leave_out = self.choices().leave_out;
        let options = [
            ("selection by name", serde_json::to_value(&self.filter)),
            ("schema or data only", serde_json::to_value(self.content)),
            ("sections", serde_json::to_value(self.sections)),
            (
                "--create",
                serde_json::to_value((self.create, &self.create_as)),
            ),
            ("--clean", serde_json::to_value(self.clean)),
            ("--no-owner and the like", serde_json::to_value(leave_out)),
            ("--role", serde_json::to_value(&self.role)),
            (
                "--disable-triggers",
                serde_json::to_value(self.disable_triggers),
            ),
            ("--superuser", serde_json::to_value(&self.superuser)),
            (
                "--load-via-partition-root",
                serde_json::to_value(self.load_via_partition_root),
            ),
            (
                "--extension-versions",
                serde_json::to_value(self.extension_versions),
            ),
            ("--analyze", serde_json::to_value(self.analyze)),
            (
                "--skip-impossible",
                serde_json::to_value(self.skip_impossible),
            ),
            ("--allow-non-empty", serde_json::to_value(self.target)),
        ];
        options
            .into_iter()
            .map(|(name, value)| Ok((name.to_owned(), digest(value)?)))
            .collect()
    }

    /// What of this the plan must know.
    pub fn choices(&self) -> Choices {
        Choices {
            filter: self.filter.clone(),
            sections: self.sections,
            parts: match self.content {
                Content::All => Parts::All,
                Content::SchemaOnly => Parts::Definitions,
                Content::DataOnly => Parts::Rows,
                Content::StatisticsOnly => Parts::Statistics,
            },
            create: self.create,
            adopt: self.adopt,
            clean: self.clean,
            disable_triggers: self.disable_triggers,
            row_order: RowOrder::Free,
            present: BTreeSet::new(),
            unavailable: BTreeSet::new(),
            leave_out: LeaveOut {
                owners: self.no_owner || self.leave_out.owners,
                privileges: self.no_privileges || self.leave_out.privileges,
                ..self.leave_out
            },
            target: self.target_version,
            analyze: self.analyze,
            vacuum: !self.single_transaction,
            sessions: self.jobs,
            in_pieces: match self.on_error {
                _ if self.jobs == 1 => InPieces::Nothing,
                // What fails is not to be there afterwards.
                OnError::Continue => InPieces::Keys,
                OnError::Exit => InPieces::All,
            },
        }
    }
}

/// A digest of an option's value that stays the same from version to version: it is kept in targets. What is not
/// set does not count in it, so that a new setting changes nothing until it is used.
fn digest(value: serde_json::Result<serde_json::Value>) -> Result<String> {
    let value = value.map_err(|error| Error::new(Kind::Failed, format!("options: {error}")))?;
    let digest = Sha256::digest(only_set(value).to_string());
    Ok(hex(&digest[..8]))
}

/// Without fields that are false, none or empty.
fn only_set(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    let Value::Object(fields) = value else {
        return value;
    };
    let is_set = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(values) => !values.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    };
    let fields = fields
        .into_iter()
        .map(|(name, value)| (name, only_set(value)))
        .filter(|(_, value)| is_set(value));
    // In the order of their names, whatever that of their declaration is.
    let fields: BTreeMap<String, Value> = fields.collect();
    Value::Object(fields.into_iter().collect())
}

/// An entry that failed while the run went on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedEntry {
    /// `KIND schema.name`
    pub entry: String,
    /// Why.
    pub error: String,
    /// The statement, when one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// What sort of refusal it is.
    pub refusal: Refusal,
    /// Which option avoids it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What a server refused, once however often it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The sort.
    pub refusal: Refusal,
    /// What the server said.
    pub error: String,
    /// How often.
    pub times: u64,
    /// The entries, in order, as `KIND schema.name`.
    pub entries: Vec<String>,
    /// A statement that failed so: the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// Which option avoids it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// An entry that was wanted and not tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkippedEntry {
    /// `KIND schema.name`
    pub entry: String,
    /// Why: what it needs that failed.
    pub reason: String,
}

/// Below this a restore could not hold one frame per worker.
const MIN_MEMORY_BYTES: u64 = 32 << 20;

/// How long a part of a restore took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PhaseTime {
    /// `connect`, `clean`, `pre-data`, `data`, `post-data`, `privileges`, `last`,
    /// `analyze`. What is made of a
    /// table while rows of others still flow counts as `data`.
    pub phase: &'static str,
    /// Seconds.
    pub seconds: f64,
}

/// What was restored.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RestoreReport {
    /// The database, as `user@host:port/database`.
    pub target: String,
    /// Roles, memberships, tablespaces and the like that were made.
    pub globals: u64,
    /// Those of them that were there already and were left as they are.
    pub globals_found: Vec<String>,
    /// Entries restored.
    pub entries: u64,
    /// Tables whose rows were loaded.
    pub tables: u64,
    /// Large objects.
    pub large_objects: u64,
    /// Rows in all.
    pub rows: u64,
    /// Bytes of COPY data after decompression.
    pub raw_bytes: u64,
    /// Relations whose planner statistics the server took.
    pub statistics: u64,
    /// Relations and columns whose planner statistics it refused, in part or wholly. That is told
    /// by warnings and is no failure.
    pub statistics_refused: u64,
    /// Tables that were analyzed.
    pub analyzed: u64,
    /// With [`RestoreOptions::resume`]: how many pieces of work (steps, frames of rows) an earlier
    /// run had done. What it did counts among entries and tables, but not among rows and bytes.
    pub resumed: u64,
    /// What failed ([`OnError::Continue`]), in order of failing.
    pub failed: Vec<FailedEntry>,
    /// The same, each refusal once, in order of first failing.
    pub refused: Vec<Refused>,
    /// What was left undone because something it needs failed.
    pub skipped: Vec<SkippedEntry>,
    /// What was not wanted, and why.
    pub omitted: Vec<Omitted>,
    /// What was made in another way than on the source, because of the target's version.
    pub adapted: Vec<Adapted>,
    /// What was not selected and was restored because selected entries need it.
    pub pulled: Vec<Pulled>,
    /// What restored entries need and was not restored, and whether the target was seen to have it.
    pub needed: Vec<Needed>,
    /// Number of warnings that the observer heard.
    pub warnings: u64,
    /// How long each part took, in order.
    pub phases: Vec<PhaseTime>,
    /// How long all of it took.
    pub seconds: f64,
    /// Entries whose data was loaded, all of it.
    #[serde(skip)]
    pub(crate) loaded: BTreeSet<EntryId>,
}

impl RestoreReport {
    /// Whether everything that was wanted was done.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty()
    }
}

/// Whether what is wanted of an archive goes together with what is dropped first: the same for a restore and for
/// a script.
///
/// # Errors
/// [`Kind::Usage`], naming what does not.
pub(crate) fn what_and_how(
    content: Content,
    sections: Sections,
    clean: bool,
    if_exists: bool,
) -> Result<()> {
    let refuse = |why: &str| Err(Error::new(Kind::Usage, why));
    if sections == Sections::NONE {
        return refuse("no section is wanted");
    }
    if if_exists && !clean {
        return refuse("option --if-exists requires option --clean");
    }
    if clean && !content.definitions() {
        let only = content.option().unwrap_or_default();
        return refuse(&format!(
            "options --clean and {only} cannot be used together"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_options_stay_as_they_are() {
        let mut options = RestoreOptions::default();
        let plain = options.fingerprints().unwrap();
        options.filter.schemas = vec![String::from("app")];
        options.no_owner = true;
        let other = options.fingerprints().unwrap();
        let differing: Vec<&str> = plain
            .iter()
            .filter(|(name, value)| other.get(*name) != Some(value))
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(differing, ["--no-owner and the like", "selection by name"]);
        // Journals in targets have these: a run of the next version must find the same.
        for (name, digest) in [
            ("selection by name", "d33e48bb36d070d8"),
            ("--no-owner and the like", "4a1ba288225b85d7"),
            ("--create", "f50e91a9869ca40c"),
            ("sections", "e87ba219bc7d7346"),
        ] {
            assert_eq!(other.get(name).map(String::as_str), Some(digest), "{name}");
        }
    }
}
