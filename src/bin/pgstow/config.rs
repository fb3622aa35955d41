//! The commands about the configuration: `init` writes one, `config check` says what is wrong with it and
//! what holds.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use clap::{Args as Group, Subcommand};
use pgstow::config::{Config, FILE_NAME, template};
use pgstow::connect::{Environment as _, ProcessEnv};
use pgstow::error::{Context as _, Error, Kind, Result, system_reason};
use pgstow::repository::Repository;
use pgstow::storage;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::args::{Answer, ConfigFile, Configured, ConfiguredDatabase, EncryptTo, Messages, Store};
use crate::commands::unless;
use crate::exit::{self, Outcome};
use crate::output::{self, Output, harmless};

/// `pgstow init`
#[derive(Debug, Group)]
#[command(after_help = "\
The file is for its owner alone (mode 0600), and one that is there is never replaced. What is not said
here stays open in it: variables say it at each run.

Examples:
  pgstow init --store s3://backups/shop -d postgres://backup@db.example/shop
  pgstow init --store /var/backups/shop -d shop --config /etc/pgstow/pgstow.toml
  pgstow init                                     # DATABASE_URL and AWS_* in the environment")]
pub struct Init {
    #[command(flatten)]
    pub database: ConfiguredDatabase,
    #[command(flatten)]
    pub store: Store,
    #[command(flatten)]
    pub encrypt: EncryptTo,
    #[command(flatten)]
    pub file: ConfigFile,
    #[command(flatten)]
    pub messages: Messages,
}

/// `pgstow config`
#[derive(Debug, Group)]
#[command(subcommand_required = true)]
pub struct ConfigCommand {
    /// What is done with it.
    #[command(subcommand)]
    pub what: ConfigWhat,
}

/// What is done with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigWhat {
    /// Name all mistakes, and show what holds for each job and where it is from, secrets hidden
    Check(ConfigCheck),
}

/// `pgstow config check`
#[derive(Debug, Group)]
pub struct ConfigCheck {
    #[command(flatten)]
    pub configured: Configured,
    #[command(flatten)]
    pub answer: Answer,
}

/// Writes a configuration, and makes the repository that it names.
pub async fn init(
    args: Init,
    output: &Output,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let named = args.file.config.clone();
    let by_variable = ProcessEnv.get("PGSTOW_CONFIG").filter(|it| !it.is_empty());
    let file = named
        .or(by_variable)
        .unwrap_or_else(|| FILE_NAME.to_owned());
    let path = Path::new(&file);
    if path.symlink_metadata().is_ok() {
        return Err(Error::new(
            Kind::Refused,
            format!("{file} is there already, and is not replaced"),
        )
        .with_hint(
            "change it, or name another one with --config; pgstow config check says what is in it",
        ));
    }
    // What the variables say holds for the new file as well: it is read without one.
    let config = Config::load(Some(Path::new("/dev/null")), &ProcessEnv)?;
    let mut job = config.job(None)?;
    let recipients = args.encrypt.encrypt_to.join(",");
    let mut values = Vec::new();
    for (key, said) in [
        ("database.url", args.database.option.dbname.as_deref()),
        ("store.location", args.store.location.as_deref()),
        (
            "encryption.encrypt_to",
            Some(recipients.as_str()).filter(|it| !it.is_empty()),
        ),
    ] {
        if let Some(said) = said {
            job.set(key, said)?;
            values.push((key, said.to_owned()));
        }
    }
    // A directory stays the same one wherever pgstow is run from.
    for (key, value) in &mut values {
        if *key == "store.location"
            && let storage::Location::Path(path) = job.location()?
        {
            let whole = std::path::absolute(&path).map_err(|error| {
                Error::new(Kind::Storage, format!("{path}: {}", system_reason(&error)))
            })?;
            *value = whole.to_string_lossy().into_owned();
        }
    }
    let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let store = storage::store(&job.location()?, &job.store_settings()?)?;
    let repository = unless(&cancel, Repository::init(store)).await?;
    write(path, &template(&values)).context_with(|| &file)?;
    output.done(
        "init",
        &json!({ "config": file, "repository": repository.name() }),
        exit::DONE,
    );
    if !output.talk().json {
        let option = match args.file.config {
            Some(file) => format!(" --config {file}"),
            None => String::new(),
        };
        for line in [
            format!("wrote {file}; the repository is {}", repository.name()),
            "next:".to_owned(),
            format!("  pgstow config check{option}    # what holds, and where it is from"),
            format!("  pgstow doctor{option}          # connection, privileges, store"),
            format!("  pgstow backup{option}          # the first backup"),
        ] {
            output.say(&line);
        }
    }
    Ok(Outcome::Done)
}

/// Writes a file for its owner alone, where none is.
fn write(path: &Path, text: &str) -> Result<()> {
    let mut open = std::fs::OpenOptions::new();
    let file = open.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    })
    .map_err(|error| Error::new(Kind::Storage, system_reason(&error)).with_source(error))
}

/// Shows the configuration with all mistakes in it.
pub fn check(args: &ConfigCheck, output: &Output) -> Result<Outcome<'static>> {
    let named = args.configured.file.config.as_deref().map(Path::new);
    let (config, mut mistakes) = Config::read(named, &ProcessEnv)?;
    let names: Vec<String> = match &args.configured.job {
        Some(name) => vec![config.job(Some(name))?.name().to_owned()],
        None => config.jobs().into_iter().map(str::to_owned).collect(),
    };
    if let Some(name) = config
        .default_job()
        .filter(|_| args.configured.job.is_none())
    {
        mistakes.extend(config.job(Some(name)).err());
    }
    let mut jobs = Vec::new();
    for name in names {
        let job = config.job(Some(&name))?;
        let connection = job.database_mistake(&ProcessEnv);
        for error in job.mistakes().into_iter().chain(connection) {
            mistakes.push(error.context(format!("job {name}")));
        }
        jobs.push((name, job.effective()));
    }
    if args.answer.json {
        let values = |it: &pgstow::config::Effective| json!({ "key": it.key, "value": it.value, "origin": it.origin.to_string() });
        let all = json!({
            "file": config.path().map(|path| path.display().to_string()),
            "jobs": jobs.iter().map(|(name, effective)| json!({
                "name": name,
                "values": effective.iter().map(values).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "warnings": config.warnings(),
            "mistakes": mistakes.iter().map(|it| json!({
                "error": it.message(),
                "hint": it.hint(),
            })).collect::<Vec<_>>(),
        });
        output::print(&format!("{all:#}\n"))?;
    } else {
        let mut text = match config.path() {
            Some(path) => format!("file {}\n", path.display()),
            None => "no file: the environment is all\n".to_owned(),
        };
        for (name, effective) in &jobs {
            text.push_str(&format!("\njob {name}\n"));
            let widest = effective.iter().map(|it| it.key.len()).max().unwrap_or(0);
            for it in effective {
                let (key, value, origin) = (&it.key, &it.value, &it.origin);
                text.push_str(&format!("  {key:<widest$} = {value}  # {origin}\n"));
            }
        }
        output::print(&harmless(&text))?;
        for warning in config.warnings() {
            output.say(&format!("warning: {warning}"));
        }
        for mistake in &mistakes {
            output.say(&format!("mistake: {mistake}"));
            if let Some(hint) = mistake.hint() {
                output.say(&format!("hint: {hint}"));
            }
        }
    }
    match mistakes.len() {
        0 => Ok(Outcome::Done),
        n => Err(Error::new(
            Kind::Usage,
            format!("mistakes in the configuration: {n}"),
        )),
    }
}
