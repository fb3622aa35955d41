//! Every key that there is: its table, what it takes, its default, and the variables that other
//! programs have for the same thing.
//!
//! One table, so that the file, the environment, the messages and the manual cannot drift apart.

use crate::encryption::Recipient;
use crate::error::{Error, Kind, Result};
use crate::ops::{Compression, CopyFormatChoice, PackTables};
use crate::repository::BackupType;
use crate::storage::{self, Location};

use super::unit;

/// What a value has to look like; no error says that it does.
pub(super) type Check = fn(&str) -> Result<()>;

/// What a key takes.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// A text.
    Text(Check),
    /// Several texts.
    List(Check),
    /// A path; a relative one in the file begins at the file's directory.
    Path,
    /// Several paths.
    Paths,
    /// A place for backups, as [`Location`] reads it; a path in the file as with [`Form::Path`].
    Place,
    /// Yes or no.
    Flag,
    /// A whole number between these.
    Number(u64, u64),
    /// A text that is never shown, and may come from a file or a command.
    Secret,
    /// A database: as a secret, though there may be no password in it.
    Connection,
    /// Texts under names, none of which is ever shown.
    Headers,
}

impl Form {
    /// Whether it is never shown, and may come from a file or a command.
    pub(super) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Connection)
    }
}

/// One key of one table.
pub(super) struct Key {
    /// The table, with dots; `*` stands for a name that the user chooses.
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// What it takes, in words.
    pub(super) takes: &'static str,
    /// What it is when nobody says anything, as it would be written; empty for nothing.
    pub(super) default: &'static str,
    /// Variables that other programs share, the weightiest first.
    pub(super) shared: &'static [&'static str],
    /// What it is for.
    pub(super) about: &'static str,
}

impl Key {
    /// `store.location`
    pub(super) fn full(&self) -> String {
        match self.section {
            "" => self.name.to_owned(),
            section => format!("{section}.{}", self.name),
        }
    }
}

/// What is known of a key, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// Its table, with dots; empty at the top of the file, `*` for a name that the user chooses.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Whether it is a secret, so that `name_file` and `name_command` are keys as well.
    pub is_secret: bool,
    /// What it takes, in words.
    pub takes: &'static str,
    /// What it is when nobody says anything; empty for nothing.
    pub default: &'static str,
    /// Its variable, as `PGSTOW_STORE_LOCATION`; a job has one of its own beside it.
    pub variable: String,
    /// Variables that other programs share, the weightiest first.
    pub shared: &'static [&'static str],
    /// What it is for.
    pub about: &'static str,
}

/// Every key that there is, table by table.
pub fn known_keys() -> Vec<KnownKey> {
    let known = |key: &Key| KnownKey {
        section: key.section,
        name: key.name,
        is_secret: key.form.is_secret(),
        takes: key.takes,
        default: key.default,
        variable: format!("PGSTOW_{}", super::file::variable_part(&key.full())),
        shared: key.shared,
        about: key.about,
    };
    KEYS.iter().map(known).collect()
}

fn any(_: &str) -> Result<()> {
    Ok(())
}

fn backup_type(text: &str) -> Result<()> {
    text.parse::<BackupType>().map(drop)
}

fn compression(text: &str) -> Result<()> {
    text.parse::<Compression>().map(drop)
}

fn copy_format(text: &str) -> Result<()> {
    text.parse::<CopyFormatChoice>().map(drop)
}

fn pack_tables(text: &str) -> Result<()> {
    text.parse::<PackTables>().map(drop)
}

fn size(text: &str) -> Result<()> {
    unit::bytes(text).map(drop)
}

fn duration(text: &str) -> Result<()> {
    unit::duration(text).map(drop)
}

fn lock_timeout(text: &str) -> Result<()> {
    unit::server_duration(text).map(drop)
}

fn recipient(text: &str) -> Result<()> {
    Recipient::parse(text).map(drop)
}

/// An empty one says nothing, as an empty variable does.
fn endpoint(text: &str) -> Result<()> {
    match text {
        "" => Ok(()),
        text => storage::endpoint(text).map(drop),
    }
}

fn endpoint_with_scheme(text: &str) -> Result<()> {
    if !text.is_empty() && !text.contains("://") {
        return Err(Error::new(
            Kind::Usage,
            "the endpoint does not begin with https:// or http://",
        ));
    }
    endpoint(text)
}

fn time_zone(text: &str) -> Result<()> {
    super::job::time_zone(text).map(drop)
}

pub(super) fn place(text: &str) -> Result<()> {
    match Location::parse(text)? {
        Location::Standard => Err(Error::new(
            Kind::Usage,
            "backups need a directory or an object store, not standard output",
        )),
        Location::Path(_) | Location::Object(_) => Ok(()),
    }
}

/// A check that a text is one of these words.
macro_rules! one_of {
    ($first:literal $(, $word:literal)*) => {
        |text| match text {
            $first $(| $word)* => Ok(()),
            _ => Err(Error::new(Kind::Usage, format!("unknown value {text:?}"))
                .with_hint(concat!("it takes ", $first $(, ", ", $word)*))),
        }
    };
}

/// One key, for the table below.
const fn key(
    section: &'static str,
    name: &'static str,
    form: Form,
    takes: &'static str,
    default: &'static str,
    shared: &'static [&'static str],
    about: &'static str,
) -> Key {
    Key {
        section,
        name,
        form,
        takes,
        default,
        shared,
        about,
    }
}

use Form::{Connection, Flag, Headers, List, Number, Path, Paths, Place, Secret, Text};

const OCCASIONS: &str = "list of `started`, `succeeded`, `failed`, `recovered`";

fn occasion(text: &str) -> Result<()> {
    let check: Check = one_of!("started", "succeeded", "failed", "recovered");
    check(text)
}

/// Every key, in the order of the manual.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key("", "default_job", Text(any), "text", "", &[],
        "the job that is meant where none is named; else the only one"),

    key("database", "url", Connection, "connection", "", &["DATABASE_URL"],
        "the database: a URI, a `key=value` string or a name; what it leaves open comes from the `PG*` variables"),
    key("database", "password", Secret, "text", "", &[],
        "the password, instead of one in the URL, in `PGPASSWORD` or in a password file"),

    key("store", "location", Place, "place", "", &["AWS_BACKUP_BUCKET"],
        "where backups are kept: a directory, `s3://bucket/prefix`, `gs://…`, `az://…`; `AWS_BACKUP_BUCKET=name` is `s3://name/pgstow`"),
    key("store", "region", Text(any), "text", "", &["AWS_REGION", "AWS_DEFAULT_REGION"],
        "S3: the region; `us-east-1` where nothing says another, `auto` for R2"),
    key("store", "endpoint", Text(endpoint), "URL", "", &["AWS_ENDPOINT_URL_S3", "AWS_S3_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"],
        "S3: another provider's endpoint"),
    key("store", "access_key_id", Text(any), "text", "", &["AWS_ACCESS_KEY_ID"],
        "S3: the key's name"),
    key("store", "secret_access_key", Secret, "text", "", &["AWS_SECRET_ACCESS_KEY"],
        "S3: the key"),
    key("store", "session_token", Secret, "text", "", &["AWS_SESSION_TOKEN"],
        "S3: what belongs to keys for a while"),
    key("store", "profile", Text(any), "text", "", &["AWS_PROFILE"],
        "S3: a profile in the files of the AWS command line"),
    key("store", "server_side_encryption", Text(one_of!("AES256", "aws:kms", "aws:kms:dsse", "sse-c")), "`AES256`, `aws:kms`, `aws:kms:dsse`, `sse-c`", "", &["AWS_SERVER_SIDE_ENCRYPTION"],
        "S3: encryption by the store"),
    key("store", "kms_key_id", Text(any), "text", "", &["AWS_SSE_KMS_KEY_ID"],
        "S3: the store's key for that"),
    key("store", "virtual_hosted_style", Flag, "`true` or `false`", "", &["AWS_VIRTUAL_HOSTED_STYLE_REQUEST"],
        "S3: the bucket is in the endpoint's host name already"),
    key("store", "ca_bundle", Path, "path", "", &["AWS_CA_BUNDLE"],
        "certificates of authorities to trust besides the machine's own, for all object stores"),
    key("store", "part_size", Text(size), "size", "", &["PGSTOW_PART_SIZE"],
        "one size for all parts of an upload, `5MiB` to `4096MiB`; else they grow"),
    key("store", "google_credentials", Path, "path", "", &["GOOGLE_APPLICATION_CREDENTIALS"],
        "Google Cloud Storage: a key file"),
    key("store", "azure_account", Text(any), "text", "", &["AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"],
        "Azure: the account"),
    key("store", "azure_key", Secret, "text", "", &["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"],
        "Azure: the account's key"),
    key("store", "azure_sas_token", Secret, "text", "", &["AZURE_STORAGE_SAS_TOKEN"],
        "Azure: a shared access signature"),
    key("store", "azure_endpoint", Text(endpoint_with_scheme), "URL", "", &["AZURE_STORAGE_ENDPOINT"],
        "Azure: another endpoint"),

    key("backup", "type", Text(backup_type), "`manual`, `daily`, `weekly`, `monthly`", "manual", &[],
        "how long a backup stays on its own account, see [retention](#retention)"),
    key("backup", "record_to", Connection, "connection", "", &["PGSTOW_RECORD_TO"],
        "a database whose table `database_backups` mirrors the records"),
    key("backup", "record_schema", Text(any), "text", "public", &["PGSTOW_RECORD_SCHEMA"],
        "the schema of that table"),
    key("backup", "metrics_file", Path, "path", "", &["PGSTOW_METRICS_FILE"],
        "a text file for Prometheus, written after each backup"),

    key("dump", "compress", Text(compression), "method", "zstd:1", &[],
        "`zstd[:1-22]`, `zstd:auto`, `gzip[:1-9]`, `lz4`, `none`"),
    key("dump", "copy_format", Text(copy_format), "`auto`, `text`, `binary`", "auto", &[],
        "format of rows"),
    key("dump", "pack_tables", Text(pack_tables), "`auto`, `always`, `never`", "auto", &[],
        "whether small tables share members of the archive; else where there are 1,000"),
    key("dump", "jobs", Number(1, 1000), "number", "", &[],
        "sessions that read rows; else the number of cores, at most 8"),
    key("dump", "memory", Text(size), "size", "256MB", &[],
        "most memory for rows in flight"),
    key("dump", "lock_wait_timeout", Text(lock_timeout), "duration", "", &[],
        "give up when a table lock takes longer; else it waits"),
    key("dump", "serializable_deferrable", Flag, "`true` or `false`", "false", &[],
        "wait for a snapshot without serialization anomalies"),
    key("dump", "role", Text(any), "text", "", &[],
        "SET ROLE after logging in"),
    key("dump", "globals", Flag, "`true` or `false`", "false", &[],
        "also roles, memberships, tablespaces and privileges on parameters"),
    key("dump", "role_passwords", Flag, "`true` or `false`", "true", &[],
        "with `globals`: stored passwords of roles, which takes the right to read `pg_authid`"),
    key("dump", "schema", List(any), "list of patterns", "", &[],
        "only schemas that match"),
    key("dump", "exclude_schema", List(any), "list of patterns", "", &[],
        "no schemas that match"),
    key("dump", "table", List(any), "list of patterns", "", &[],
        "only tables, views and sequences that match"),
    key("dump", "exclude_table", List(any), "list of patterns", "", &[],
        "no tables, views or sequences that match"),
    key("dump", "exclude_table_data", List(any), "list of patterns", "", &[],
        "no rows of tables that match"),
    key("dump", "table_and_children", List(any), "list of patterns", "", &[],
        "as `table`, with partitions and all that inherits"),
    key("dump", "exclude_table_and_children", List(any), "list of patterns", "", &[],
        "as `exclude_table`, with partitions and all that inherits"),
    key("dump", "exclude_table_data_and_children", List(any), "list of patterns", "", &[],
        "as `exclude_table_data`, with partitions and all that inherits"),
    key("dump", "extension", List(any), "list of patterns", "", &[],
        "only extensions that match"),
    key("dump", "exclude_extension", List(any), "list of patterns", "", &[],
        "no extensions that match"),
    key("dump", "include_foreign_data", List(any), "list of patterns", "", &[],
        "rows of foreign tables too, of servers that match"),
    key("dump", "filter", Paths, "list of paths", "", &[],
        "rules from files, one a line"),
    key("dump", "strict_names", Flag, "`true` or `false`", "false", &[],
        "every pattern that includes must match something"),
    key("dump", "large_objects", Flag, "`true` or `false`", "", &[],
        "large objects; else with everything, and not with a selection"),
    key("dump", "statistics", Flag, "`true` or `false`", "true", &[],
        "planner statistics"),
    key("dump", "unlogged_table_data", Flag, "`true` or `false`", "true", &[],
        "rows of unlogged tables"),
    key("dump", "enable_row_security", Flag, "`true` or `false`", "false", &[],
        "only rows that row security lets the role see"),
    key("dump", "extension_versions", Flag, "`true` or `false`", "false", &[],
        "extensions in the version that they have in the source"),
    key("dump", "load_via_partition_root", Flag, "`true` or `false`", "false", &[],
        "rows of partitions are to be loaded through the root of their tree"),
    key("dump", "owner", Flag, "`true` or `false`", "true", &[],
        "owners"),
    key("dump", "privileges", Flag, "`true` or `false`", "true", &[],
        "GRANT and REVOKE"),
    key("dump", "comments", Flag, "`true` or `false`", "true", &[],
        "comments"),
    key("dump", "policies", Flag, "`true` or `false`", "true", &[],
        "row security policies"),
    key("dump", "publications", Flag, "`true` or `false`", "true", &[],
        "publications"),
    key("dump", "subscriptions", Flag, "`true` or `false`", "true", &[],
        "subscriptions"),
    key("dump", "security_labels", Flag, "`true` or `false`", "true", &[],
        "security labels"),
    key("dump", "tablespaces", Flag, "`true` or `false`", "true", &[],
        "in which tablespace things are"),
    key("dump", "table_access_method", Flag, "`true` or `false`", "true", &[],
        "access methods of tables; else they get the target's default"),
    key("dump", "toast_compression", Flag, "`true` or `false`", "true", &[],
        "compression methods of columns; else they get the target's default"),
    key("dump", "quote_all_identifiers", Flag, "`true` or `false`", "false", &[],
        "every identifier in double quotes"),

    key("encryption", "encrypt_to", List(recipient), "list of `age1…` keys", "", &[],
        "encrypt for the holder of any one of these keys"),
    key("encryption", "recipients_file", Paths, "list of paths", "", &[],
        "encrypt for all public keys in these files, one a line"),
    key("encryption", "encrypt_passphrase", Flag, "`true` or `false`", "false", &[],
        "encrypt with the passphrase in `PGSTOW_PASSPHRASE`, which by itself only serves to read"),
    key("encryption", "passphrase", Secret, "text", "", &["PGSTOW_PASSPHRASE"],
        "encrypt with this passphrase, and read with it"),
    key("encryption", "identity", Secret, "private keys", "", &["PGSTOW_IDENTITY"],
        "what encrypted backups are read with, as `age-keygen` writes it; not needed to make them"),

    key("retention", "daily_days", Number(0, 36_500), "days", "7", &[],
        "the newest of each day stays so long"),
    key("retention", "daily_count", Number(0, 100_000), "number", "", &[],
        "the newest of so many days stay, whatever their age"),
    key("retention", "weekly_days", Number(0, 36_500), "days", "28", &[],
        "the newest of each ISO week stays so long"),
    key("retention", "weekly_count", Number(0, 100_000), "number", "", &[],
        "the newest of so many weeks stay"),
    key("retention", "monthly_days", Number(0, 36_500), "days", "365", &[],
        "the newest of each month stays so long"),
    key("retention", "monthly_count", Number(0, 100_000), "number", "", &[],
        "the newest of so many months stay"),
    key("retention", "manual_days", Number(0, 36_500), "days", "", &[],
        "backups of type `manual` stay so long; else for ever"),
    key("retention", "failed_days", Number(0, 36_500), "days", "30", &[],
        "records of failed backups stay so long"),
    key("retention", "keep_last", Number(1, 100_000), "number", "1", &[],
        "the newest so many stay, whatever their age"),
    key("retention", "keep_verified", Number(0, 100_000), "number", "2", &[],
        "the newest so many that were verified stay, whatever their age"),
    key("retention", "time_zone", Text(time_zone), "time zone", "UTC", &[],
        "days, weeks and months are those of this zone, such as `Europe/Berlin`"),

    key("notification", "timeout", Number(1, 600), "seconds", "15", &[],
        "how long one try may take"),
    key("notification", "retries", Number(0, 20), "number", "3", &[],
        "how often it is tried again"),
    key("notification.mail", "to", List(any), "list of addresses", "", &["BACKUP_NOTIFICATION_EMAIL"],
        "who gets mail; nobody when it is empty"),
    key("notification.mail", "from", Text(any), "address", "", &["SMTP_FROM"],
        "from whom; else the user if that is an address, else `pgstow@` this machine"),
    key("notification.mail", "host", Text(any), "text", "localhost", &["SMTP_HOST"],
        "the mail server"),
    key("notification.mail", "port", Number(1, 65_535), "number", "", &["SMTP_PORT"],
        "its port; else 587, 465 with `tls`, 25 with `none`"),
    key("notification.mail", "tls", Text(one_of!("starttls", "tls", "none")), "`starttls`, `tls`, `none`", "", &["SMTP_SECURITY"],
        "how the connection is encrypted; else `starttls`, and `none` with this machine itself"),
    key("notification.mail", "ca_file", Path, "path", "", &[],
        "certificates of authorities to trust besides the machine's own"),
    key("notification.mail", "user", Text(any), "text", "", &["SMTP_USER", "SMTP_USERNAME"],
        "who logs in; nobody does when it is empty"),
    key("notification.mail", "password", Secret, "text", "", &["SMTP_PASSWORD"],
        "the password for that"),
    key("notification.mail", "on", List(occasion), OCCASIONS, "failed, recovered", &[],
        "what is told"),
    key("notification.ping", "url", Secret, "URL", "", &["PGSTOW_PING_URL"],
        "a URL that is asked for after success; with `/start` at its end when the work begins, with `/fail` when it has failed"),
    key("notification.ping", "start", Secret, "URL", "", &[],
        "what is asked for when the work begins, where that is not `/start`"),
    key("notification.ping", "fail", Secret, "URL", "", &[],
        "what is asked for when it has failed, where that is not `/fail`"),
    key("notification.ping", "ca_file", Path, "path", "", &[],
        "certificates of authorities to trust besides the machine's own"),
    key("notification.webhook.*", "url", Secret, "URL", "", &[],
        "where to"),
    key("notification.webhook.*", "form", Text(one_of!("json", "slack")), "`json`, `slack`", "json", &[],
        "all that is known field by field, or a text as Slack takes it"),
    key("notification.webhook.*", "headers", Headers, "table of texts", "", &[],
        "headers besides the usual ones"),
    key("notification.webhook.*", "sign_with", Secret, "text", "", &[],
        "the key of a signature of the body: header `X-Pgstow-Signature`, HMAC-SHA-256"),
    key("notification.webhook.*", "ca_file", Path, "path", "", &[],
        "certificates of authorities to trust besides the machine's own"),
    key("notification.webhook.*", "on", List(occasion), OCCASIONS, "failed, recovered", &[],
        "what is told"),

    key("checks", "max_age", Text(duration), "duration", "26h", &[],
        "`doctor` complains when the newest good backup is older; `off` for never"),
    key("checks", "size_anomaly", Number(0, 1000), "percent", "50", &[],
        "`doctor` complains when a backup's size differs by more from those before it; 0 for never"),
];
