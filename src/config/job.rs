//! One job: what is backed up, where to, how, for how long, and who is told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;

use super::file::{self, Slot};
use super::keys::KEYS;
use super::layers::{Effective, Layers, Origin, shown};
use super::unit;
use super::value::Value;
use crate::connect::{self, ConfigSource, Environment};
use crate::encryption::{Identity, Keys, Passphrase, Recipient, Recipients};
use crate::error::{Context as _, Error, Kind, Result, system_reason};
use crate::notify;
use crate::ops::{DumpOptions, SnapshotMode};
use crate::repository::BackupType;
use crate::repository::retention::{Keep, Policy};
use crate::secret::SecretFrom;
use crate::select::{Globals, Rule};
use crate::sql::Quoting;
use crate::storage::{Location, StoreSettings};

/// When something is wrong with backups that do not fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Checks {
    /// How old the newest good backup may be; none for any age.
    pub max_age: Option<Duration>,
    /// By how many percent a backup's size may differ from those before it; none for any size.
    pub size_anomaly: Option<u32>,
}

/// One job. Its values are read as they are asked for: what stands in a file, or comes from a command,
/// is fetched then.
#[derive(Clone)]
pub struct Job {
    name: String,
    layers: Arc<Layers>,
    /// What the command line says.
    over: BTreeMap<Slot, Value>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("name", &self.name)
            .field("values", &self.effective())
            .finish()
    }
}

/// A time zone by its name.
///
/// # Errors
/// [`Kind::Usage`] when there is none.
pub(super) fn time_zone(name: &str) -> Result<TimeZone> {
    TimeZone::get(name).map_err(|error| {
        Error::new(Kind::Usage, format!("there is no time zone {name:?}"))
            .with_source(error)
            .with_hint("it takes a name such as UTC or Europe/Berlin")
    })
}

/// A word of an enum, as serde has it; values of a loaded configuration are checked.
fn word<T: DeserializeOwned>(text: String) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(text)).ok()
}

/// The table of webhooks.
const WEBHOOK: &str = "notification.webhook.*";

impl Job {
    pub(super) fn new(name: String, layers: Arc<Layers>) -> Self {
        Self {
            name,
            layers,
            over: BTreeMap::new(),
        }
    }

    /// Its name; `default` where the file names no jobs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Says a value as the command line does, over all that was said elsewhere: `store.location`,
    /// `database.url`, … with the text that a variable would have. Of a secret, `database.url_file` and
    /// `database.url_command` say where it is.
    ///
    /// # Errors
    /// [`Kind::Usage`] for an unknown key or a value that does not fit.
    pub fn set(&mut self, key: &str, text: &str) -> Result<()> {
        let unknown = || Error::new(Kind::Usage, format!("unknown key \"{key}\""));
        let (section, name) = key.rsplit_once('.').ok_or_else(unknown)?;
        let exact = Slot::of(section, name).map(|slot| (slot, ""));
        let (slot, ending) = exact
            .or_else(|| {
                [file::FROM_FILE, file::FROM_COMMAND]
                    .into_iter()
                    .find_map(|end| Some((Slot::of(section, name.strip_suffix(end)?)?, end)))
            })
            .ok_or_else(unknown)?;
        let value = Value::of_text(file::form(slot.key, ending), text);
        let value = value.context_with(|| key)?;
        self.over.insert(slot, file::from(value, ending));
        Ok(())
    }

    /// Every value that holds, with where it is from; keys that nobody gave a value are left out.
    pub fn effective(&self) -> Vec<Effective> {
        let slots = self.slots().into_iter();
        slots
            .filter_map(|slot| {
                let (value, origin) = self.get(&slot)?;
                Some(shown(&slot, &value, origin))
            })
            .collect()
    }

    /// Every place for a value.
    fn slots(&self) -> Vec<Slot> {
        let mut found = Vec::new();
        for (number, key) in KEYS.iter().enumerate() {
            if key.section.is_empty() {
                continue;
            }
            let instances: Vec<Option<String>> = match key.section.ends_with(".*") {
                true => {
                    let names = self.layers.instances(&self.name, key.section);
                    names.into_iter().map(Some).collect()
                }
                false => vec![None],
            };
            found.extend(instances.into_iter().map(|instance| Slot {
                key: number,
                instance,
            }));
        }
        found
    }

    fn get(&self, slot: &Slot) -> Option<(Value, Origin)> {
        match self.over.get(slot) {
            Some(value) => Some((value.clone(), Origin::CommandLine)),
            None => self.layers.get(&self.name, slot),
        }
    }

    /// Whether a database is named, by file or variable.
    pub fn names_database(&self) -> bool {
        self.value("database", "url").is_some()
    }

    fn value(&self, section: &str, name: &str) -> Option<(Value, Origin)> {
        let slot = Slot::of(section, name);
        debug_assert!(slot.is_some(), "no key {section}.{name}");
        self.get(&slot?)
    }

    fn text(&self, section: &str, name: &str) -> Option<String> {
        match self.value(section, name) {
            Some((Value::Text(text), _)) => Some(text),
            _ => None,
        }
    }

    fn list(&self, section: &str, name: &str) -> Vec<String> {
        match self.value(section, name) {
            Some((Value::List(items), _)) => items,
            _ => Vec::new(),
        }
    }

    fn flag(&self, section: &str, name: &str) -> Option<bool> {
        match self.value(section, name) {
            Some((Value::Flag(flag), _)) => Some(flag),
            _ => None,
        }
    }

    fn number(&self, section: &str, name: &str) -> Option<u32> {
        match self.value(section, name) {
            Some((Value::Number(number), _)) => u32::try_from(number).ok(),
            _ => None,
        }
    }

    fn secret(&self, section: &str, name: &str) -> Option<SecretFrom> {
        match self.value(section, name) {
            Some((Value::Secret(from), _)) => Some(from),
            _ => None,
        }
    }

    fn parsed<T>(
        &self,
        section: &str,
        name: &str,
        parse: impl Fn(&str) -> Result<T>,
    ) -> Result<Option<T>> {
        let text = self.text(section, name);
        let parsed = text.map(|text| parse(&text)).transpose();
        parsed.context_with(|| format!("{section}.{name}"))
    }

    /// The database. What the command line says is heavier; what nobody says comes from the `PG*`
    /// variables.
    ///
    /// # Errors
    /// As [`connect::Config::resolve`], and when a URL or password cannot be fetched.
    pub fn database(
        &self,
        command_line: &ConfigSource,
        environment: &dyn Environment,
    ) -> Result<connect::Config> {
        if command_line.conninfo.is_some() || command_line.dbname.is_some() {
            return connect::Config::resolve(command_line, environment);
        }
        let config = self.without_password(command_line, environment)?;
        Ok(match self.secret("database", "password") {
            Some(from) => {
                let password = from.line("database.password")?;
                config.with_password(password.reveal().to_owned())
            }
            None => config,
        })
    }

    /// The name of the database, for which no password is fetched.
    ///
    /// # Errors
    /// As [`database`](Self::database).
    pub fn database_name(&self, environment: &dyn Environment) -> Result<String> {
        let config = self.without_password(&ConfigSource::default(), environment)?;
        Ok(config.database().to_owned())
    }

    fn without_password(
        &self,
        command_line: &ConfigSource,
        environment: &dyn Environment,
    ) -> Result<connect::Config> {
        let mut source = command_line.clone();
        if let Some(from) = self.secret("database", "url") {
            source.dbname = Some(from.line("database.url")?.reveal().to_owned());
        }
        connect::Config::resolve(&source, environment).context_with(|| "database.url")
    }

    /// Where the backups are.
    ///
    /// # Errors
    /// [`Kind::Usage`] when nobody said.
    pub fn location(&self) -> Result<Location> {
        let place = self.parsed("store", "location", Location::parse)?;
        place.ok_or_else(|| {
            Error::new(Kind::Usage, "no place for backups is known").with_hint(
                "say it as --store, store.location in pgstow.toml, PGSTOW_STORE_LOCATION or \
                 AWS_BACKUP_BUCKET",
            )
        })
    }

    /// What the store is told: the environment, and over it what is configured.
    ///
    /// # Errors
    /// When a secret cannot be fetched.
    pub fn store_settings(&self) -> Result<StoreSettings> {
        let each = self.layers.variables.iter();
        let mut settings = each.fold(StoreSettings::new(), |settings, (name, value)| {
            settings.with(name, value)
        });
        for name in &self.layers.no_text {
            settings = settings.with_no_text(name);
        }
        let mut own_keys = false;
        for (number, key) in KEYS.iter().enumerate() {
            let [variable, ..] = key.shared else {
                continue;
            };
            if key.section != "store" || key.name == "location" {
                continue;
            }
            let slot = Slot {
                key: number,
                instance: None,
            };
            let Some((value, origin)) = self.get(&slot) else {
                continue;
            };
            if self.layers.is_shared(&slot, &origin) {
                // It is there already; what belongs to other keys is not.
                if key.name == "session_token" && own_keys {
                    settings = settings.with(*variable, "");
                }
                continue;
            }
            own_keys |= key.name == "secret_access_key";
            let text = match value {
                Value::Text(text) => text,
                Value::Flag(flag) => flag.to_string(),
                Value::Secret(from) => from.line(&slot.full())?.reveal().to_owned(),
                _ => continue,
            };
            settings = settings.with(*variable, text);
        }
        Ok(settings)
    }

    /// How backups are asked for.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a word that is none; values of a loaded configuration are checked.
    pub fn backup_type(&self) -> Result<BackupType> {
        let found = self.parsed("backup", "type", str::parse)?;
        Ok(found.unwrap_or_default())
    }

    /// The database whose table mirrors the records, if that is wanted.
    ///
    /// # Errors
    /// As [`Job::database`].
    pub fn record_to(&self, environment: &dyn Environment) -> Result<Option<connect::Config>> {
        let Some(from) = self.secret("backup", "record_to") else {
            return Ok(None);
        };
        let source = ConfigSource {
            dbname: Some(from.line("backup.record_to")?.reveal().to_owned()),
            ..ConfigSource::default()
        };
        let config = connect::Config::resolve(&source, environment);
        config.context_with(|| "backup.record_to").map(Some)
    }

    /// The schema of the table of records.
    pub fn record_schema(&self) -> String {
        let given = self.text("backup", "record_schema");
        given.unwrap_or_else(|| "public".to_owned())
    }

    /// The file for Prometheus, if one is wanted.
    pub fn metrics_file(&self) -> Option<PathBuf> {
        self.text("backup", "metrics_file").map(PathBuf::from)
    }

    /// How the database is dumped.
    ///
    /// # Errors
    /// [`Kind::Usage`] for values that make no sense together, [`Kind::Storage`] for a filter file that
    /// cannot be read.
    pub fn dump_options(&self) -> Result<DumpOptions> {
        let of = "dump";
        let yes = |name: &str| self.flag(of, name) == Some(true);
        let no = |name: &str| self.flag(of, name) == Some(false);
        let mut options = DumpOptions::default();
        if let Some(compression) = self.parsed(of, "compress", str::parse)? {
            options.compression = compression;
        }
        if let Some(format) = self.parsed(of, "copy_format", str::parse)? {
            options.copy_format = format;
        }
        if let Some(when) = self.parsed(of, "pack_tables", str::parse)? {
            options.pack_tables = when;
        }
        if let Some(jobs) = self.number(of, "jobs") {
            options.jobs = jobs as usize;
        }
        if let Some(bytes) = self.parsed(of, "memory", unit::bytes)? {
            options.memory_bytes = bytes;
        }
        options.lock_wait_timeout = self.parsed(of, "lock_wait_timeout", unit::server_duration)?;
        if yes("serializable_deferrable") {
            options.snapshot = SnapshotMode::SerializableDeferrable;
        }
        options.role = self.text(of, "role");
        if yes("globals") {
            options.globals.which = Globals::With;
        }
        options.globals.role_passwords = !no("role_passwords");
        options.enable_row_security = yes("enable_row_security");
        options.extension_versions = yes("extension_versions");
        let selection = &mut options.selection;
        selection.schemas = self.list(of, "schema");
        selection.exclude_schemas = self.list(of, "exclude_schema");
        selection.tables = self.list(of, "table");
        selection.tables_and_children = self.list(of, "table_and_children");
        selection.exclude_tables = self.list(of, "exclude_table");
        selection.exclude_tables_and_children = self.list(of, "exclude_table_and_children");
        selection.exclude_table_data = self.list(of, "exclude_table_data");
        selection.exclude_table_data_and_children =
            self.list(of, "exclude_table_data_and_children");
        selection.extensions = self.list(of, "extension");
        selection.exclude_extensions = self.list(of, "exclude_extension");
        selection.foreign_data = self.list(of, "include_foreign_data");
        selection.strict_names = yes("strict_names");
        selection.large_objects = self.flag(of, "large_objects");
        selection.no_unlogged_table_data = no("unlogged_table_data");
        selection.load_via_partition_root = yes("load_via_partition_root");
        for path in self.list(of, "filter") {
            let text = std::fs::read_to_string(&path).map_err(|error| {
                let why = format!("filter {path}: {}", system_reason(&error));
                Error::new(Kind::Storage, why).with_source(error)
            })?;
            let source = format!("file \"{path}\"");
            selection.add(Rule::parse_all(&text, &source)?, &source)?;
        }
        let leave_out = &mut options.leave_out;
        leave_out.statistics = no("statistics");
        leave_out.owners = no("owner");
        leave_out.privileges = no("privileges");
        leave_out.comments = no("comments");
        leave_out.policies = no("policies");
        leave_out.publications = no("publications");
        leave_out.subscriptions = no("subscriptions");
        leave_out.security_labels = no("security_labels");
        leave_out.tablespaces = no("tablespaces");
        leave_out.table_access_methods = no("table_access_method");
        leave_out.toast_compression = no("toast_compression");
        if yes("quote_all_identifiers") {
            options.quoting = Quoting::Always;
        }
        options.validate().context_with(|| "dump")?;
        Ok(options)
    }

    /// For whom backups are encrypted, if they are.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a key that is none, for keys and a passphrase at once, and when a file or
    /// passphrase cannot be fetched.
    pub fn recipients(&self) -> Result<Option<Recipients>> {
        let of = "encryption";
        let mut keys = Vec::new();
        for text in self.list(of, "encrypt_to") {
            keys.push(Recipient::parse(&text).context_with(|| "encryption.encrypt_to")?);
        }
        for path in self.list(of, "recipients_file") {
            let what = format!("encryption.recipients_file {path}");
            let text = std::fs::read_to_string(&path).map_err(|error| {
                Error::new(Kind::Usage, format!("{what}: {}", system_reason(&error)))
            })?;
            keys.extend(Recipient::parse_file(&text).context_with(|| &what)?);
        }
        let slot = Slot::of(of, "passphrase");
        let said = slot.and_then(|slot| {
            let (_, origin) = self.get(&slot)?;
            Some(!self.layers.is_shared(&slot, &origin))
        });
        let by_passphrase = said == Some(true) || self.flag(of, "encrypt_passphrase") == Some(true);
        match (keys.is_empty(), by_passphrase) {
            (true, false) => Ok(None),
            (false, false) => Ok(Some(Recipients::Keys(keys))),
            (false, true) => Err(Error::new(
                Kind::Usage,
                "encryption: a backup is encrypted for keys or with a passphrase, not both",
            )),
            (true, true) => match self.passphrase()? {
                Some(passphrase) => Ok(Some(Recipients::Passphrase(passphrase))),
                None => Err(Error::new(
                    Kind::Usage,
                    "encryption.encrypt_passphrase is set, and there is no passphrase",
                )
                .with_hint("set PGSTOW_PASSPHRASE, or encryption.passphrase_file")),
            },
        }
    }

    /// What encrypted backups are read with.
    ///
    /// # Errors
    /// [`Kind::Usage`] for keys that are none and when they cannot be fetched.
    pub fn keys(&self) -> Result<Keys> {
        let mut identities = Vec::new();
        if let Some(from) = self.secret("encryption", "identity") {
            let text = from.text("encryption.identity")?;
            let found = Identity::parse_file(text.reveal());
            identities.extend(found.context_with(|| "encryption.identity")?);
        }
        Ok(Keys {
            identities,
            passphrase: self.passphrase()?,
        })
    }

    fn passphrase(&self) -> Result<Option<Passphrase>> {
        let Some(from) = self.secret("encryption", "passphrase") else {
            return Ok(None);
        };
        let text = from.line("encryption.passphrase")?;
        let passphrase = Passphrase::new(text.reveal());
        passphrase
            .context_with(|| "encryption.passphrase")
            .map(Some)
    }

    /// How long backups stay.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a time zone that is none; values of a loaded configuration are checked.
    pub fn retention(&self) -> Result<Policy> {
        let number = |name: &str| self.number("retention", name);
        let keep = |tier: &str| Keep {
            days: number(&format!("{tier}_days")),
            count: number(&format!("{tier}_count")),
        };
        let mut policy = Policy {
            daily: keep("daily"),
            weekly: keep("weekly"),
            monthly: keep("monthly"),
            manual_days: number("manual_days"),
            ..Policy::default()
        };
        if let Some(days) = number("failed_days") {
            policy.failed_days = days;
        }
        if let Some(count) = number("keep_last") {
            policy.keep_last = count;
        }
        if let Some(count) = number("keep_verified") {
            policy.keep_verified = count;
        }
        if let Some(zone) = self.parsed("retention", "time_zone", time_zone)? {
            policy.zone = zone;
        }
        Ok(policy)
    }

    /// Who is told of the job, and how.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a webhook without a URL.
    pub fn notification(&self) -> Result<notify::Settings> {
        let mut settings = notify::Settings::default();
        if let Some(timeout) = self.number("notification", "timeout") {
            settings.timeout = timeout;
        }
        if let Some(retries) = self.number("notification", "retries") {
            settings.retries = retries;
        }
        let mail = "notification.mail";
        let to = self.list(mail, "to");
        if !to.is_empty() {
            let default = notify::Mail::default();
            settings.mail = Some(notify::Mail {
                to,
                from: self.text(mail, "from"),
                host: self.text(mail, "host").unwrap_or(default.host),
                port: self
                    .number(mail, "port")
                    .and_then(|port| u16::try_from(port).ok()),
                tls: self.text(mail, "tls").and_then(word),
                ca_file: self.text(mail, "ca_file").map(PathBuf::from),
                user: self.text(mail, "user"),
                password: self.secret(mail, "password"),
                on: occasions(self.value(mail, "on")),
            });
        }
        let ping = "notification.ping";
        if let Some(url) = self.secret(ping, "url") {
            settings.ping = Some(notify::Ping {
                url,
                start: self.secret(ping, "start"),
                fail: self.secret(ping, "fail"),
                ca_file: self.text(ping, "ca_file").map(PathBuf::from),
            });
        }
        for name in self.layers.instances(&self.name, WEBHOOK) {
            settings.webhook.insert(name.clone(), self.webhook(&name)?);
        }
        Ok(settings)
    }

    fn webhook(&self, name: &str) -> Result<notify::Webhook> {
        let get = |key: &str| {
            let slot = Slot {
                key: file::position(WEBHOOK, key)?,
                instance: Some(name.to_owned()),
            };
            self.get(&slot)
        };
        let secret = |key: &str| match get(key) {
            Some((Value::Secret(from), _)) => Some(from),
            _ => None,
        };
        let text = |key: &str| match get(key) {
            Some((Value::Text(text), _)) => Some(text),
            _ => None,
        };
        let url = secret("url").ok_or_else(|| {
            let why = format!("notification.webhook.{name} has no url");
            Error::new(Kind::Usage, why)
        })?;
        Ok(notify::Webhook {
            url,
            form: text("form").and_then(word).unwrap_or_default(),
            headers: match get("headers") {
                Some((Value::Headers(headers), _)) => headers,
                _ => BTreeMap::new(),
            },
            sign_with: secret("sign_with"),
            ca_file: text("ca_file").map(PathBuf::from),
            on: occasions(get("on")),
        })
    }

    /// Everything that can be wrong with the job and is seen without a server, a store or a command: what
    /// makes no sense together, files that are not there.
    pub fn mistakes(&self) -> Vec<Error> {
        let mut found = Vec::new();
        found.extend(self.location().err());
        found.extend(self.dump_options().err());
        found.extend(self.retention().err());
        match self.notification() {
            Ok(settings) => found.extend(settings.mistakes()),
            Err(error) => found.push(error),
        }
        let passphrase = self.secret("encryption", "passphrase");
        if !matches!(passphrase, Some(SecretFrom::Command(_))) {
            found.extend(self.recipients().err());
        }
        for effective in self.slots() {
            let Some((value, _)) = self.get(&effective) else {
                continue;
            };
            // The passphrase was read above.
            if let Value::Secret(SecretFrom::File(path)) = value
                && effective.full() != "encryption.passphrase"
                && let Err(error) = std::fs::metadata(&path)
            {
                let (key, path) = (effective.full(), path.display());
                let why = format!("{key}: {path}: {}", system_reason(&error));
                found.push(Error::new(Kind::Usage, why));
            }
        }
        found
    }

    /// What is wrong with the connection, as far as that is seen without a server and without running a command.
    pub fn database_mistake(&self, environment: &dyn Environment) -> Option<Error> {
        let is_unknown = |name| match self.secret("database", name) {
            Some(SecretFrom::Command(_)) => true,
            // A mistake of its own.
            Some(SecretFrom::File(path)) => !path.exists(),
            _ => false,
        };
        if !self.names_database() || is_unknown("url") || is_unknown("password") {
            return None;
        }
        self.database(&ConfigSource::default(), environment).err()
    }

    /// What `doctor` complains about.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a time that is none; values of a loaded configuration are checked.
    pub fn checks(&self) -> Result<Checks> {
        Ok(Checks {
            max_age: self.parsed("checks", "max_age", unit::duration)?.flatten(),
            size_anomaly: self.number("checks", "size_anomaly").filter(|&it| it > 0),
        })
    }
}

fn occasions(value: Option<(Value, Origin)>) -> BTreeSet<notify::Occasion> {
    match value {
        Some((Value::List(words), _)) => words.into_iter().filter_map(word).collect(),
        _ => BTreeSet::new(),
    }
}
