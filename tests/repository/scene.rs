//! A small database, a local repository, and what the tests do with them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use pgstow::archive::Timestamp;
use pgstow::connect::{Config, ConfigSource, ProcessEnv};
use pgstow::error::Result;
use pgstow::ops::repository::{BackupOptions, BackupReport, PruneMode, PruneReport, backup, prune};
use pgstow::report::Silent;
use pgstow::repository::retention::Policy;
use pgstow::repository::{BackupId, BackupType, Repository, Status};
use pgstow::storage::{LocalStore, Store};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::network::Network;
use crate::servers::Seaweed;
use crate::support::{Db, Server, pgstow};

const SCHEMA: &str = "
create table orders (id int primary key, word text);
insert into orders select i, md5(i::text) from generate_series(1, 200) i;
create table customers (id int primary key, name text);
insert into customers select i, 'customer ' || i from generate_series(1, 50) i;
";

/// A database with two tables, one for all tests of this process.
pub fn shop() -> &'static Db {
    static SHOP: OnceLock<Db> = OnceLock::new();
    SHOP.get_or_init(|| {
        let shop = Server::start(18).create_db("shop");
        shop.psql(SCHEMA).success();
        shop
    })
}

pub fn config() -> Config {
    let source = ConfigSource {
        dbname: Some(shop().url()),
        ..ConfigSource::default()
    };
    Config::resolve(&source, &ProcessEnv).unwrap()
}

pub fn local() -> (TempDir, Arc<dyn Store>) {
    // In memory where there is such a place: what is tried a hundred times does not wait for a disk.
    let memory = Path::new("/dev/shm");
    let home = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    let home = home.unwrap();
    let store = Arc::new(LocalStore::new(home.path().join("backups")));
    (home, store)
}

pub fn options(backup_type: BackupType) -> BackupOptions {
    let mut options = BackupOptions {
        backup_type,
        ..BackupOptions::default()
    };
    options.dump.jobs = 1;
    options
}

pub async fn back_up(store: &Arc<dyn Store>) -> Result<BackupReport> {
    let options = options(BackupType::Daily);
    let cancel = CancellationToken::new();
    backup(
        Arc::clone(store),
        &config(),
        &options,
        &[],
        Arc::new(Silent),
        cancel,
    )
    .await
}

/// Lets go of all but the newest.
pub fn strict() -> Policy {
    let mut policy = Policy::default();
    for tier in [&mut policy.daily, &mut policy.weekly, &mut policy.monthly] {
        tier.days = None;
    }
    policy.keep_verified = 0;
    policy.failed_days = 1;
    policy
}

pub async fn prune_strictly(store: &Arc<dyn Store>) -> Result<PruneReport> {
    let repository = Repository::open(Arc::clone(store)).await?;
    let mode = PruneMode::Delete;
    prune(
        &repository,
        &strict().into(),
        mode,
        Timestamp::now(),
        Arc::new(Silent),
        CancellationToken::new(),
    )
    .await
}

/// As if everybody who holds a lock or makes a backup had not been heard of for an hour.
pub fn age(home: &Path) {
    let then = SystemTime::now() - Duration::from_secs(3600);
    for folder in ["locks", "drafts"] {
        let mut folders = vec![home.join("backups").join(folder)];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(folder) else {
                continue;
            };
            for entry in entries {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let file = fs::File::options().write(true).open(path).unwrap();
                    file.set_modified(then).unwrap();
                }
            }
        }
    }
}

/// The program, on a repository whose store is behind a network.
pub fn behind(network: &Network, url: &str, arguments: &[&str]) -> Command {
    let mut command = pgstow();
    command.envs(Seaweed::get().variables());
    command.env("AWS_S3_ENDPOINT", network.url());
    command.args(arguments).args(["--store", url]);
    command
}

/// Every file below, hidden ones too.
pub fn files(home: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![home.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(home).unwrap();
                found.push(name.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Everything that is listed as complete can be read whole; nothing is left over.
pub async fn assert_whole(store: &Arc<dyn Store>, what: &str) -> Vec<(BackupId, Status)> {
    let repository = Repository::open(Arc::clone(store)).await.unwrap();
    let survey = repository.survey().await.unwrap();
    assert_eq!(survey.listing.problems, Vec::<String>::new(), "{what}");
    assert!(survey.damaged.is_empty(), "{what}: {survey:?}");
    assert!(survey.lost.is_empty(), "{what}: {survey:?}");
    for backup in &survey.listing.backups {
        if backup.status == Status::Completed {
            let source = repository.open_archive(backup).await.unwrap();
            let archive = backup.record.archive.as_ref().unwrap();
            assert_eq!(archive.rows, 250, "{what}");
            let bytes = source.read_at(0, source.len() as usize).await.unwrap();
            let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
            let hex: String = digest
                .as_ref()
                .iter()
                .map(|it| format!("{it:02x}"))
                .collect();
            assert_eq!(hex, archive.sha256, "{what}");
        }
    }
    let log = repository.audit_log().await.unwrap();
    assert_eq!(log.problems, Vec::<String>::new(), "{what}");
    let backups = survey.listing.backups.iter();
    backups
        .map(|it| (it.record.id.clone(), it.status))
        .collect()
}
