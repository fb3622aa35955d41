//! What is there and is none of the usual: archives of a newer format, files that dead writers have left, a
//! database in which there is nothing.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pgstow::encryption::Keys;
use pgstow::error::Kind;
use pgstow::ops::VerifyOptions;
use pgstow::ops::repository::{PruneMode, backup, prune, verify_backup};
use pgstow::report::Silent;
use pgstow::repository::{BackupType, Leftover, Repository};
use pgstow::storage::{Overwrite, Put, Store};
use tokio_util::sync::CancellationToken;

use crate::double::{Double, Trouble};
use crate::scene::{assert_whole, back_up, config, local, options, prune_strictly, shop, strict};
use crate::support::{pgstow, run, with_clock};

async fn verify(store: &Arc<dyn Store>) -> pgstow::error::Result<()> {
    let repository = Repository::open(Arc::clone(store)).await?;
    let backup = repository.find("latest", None).await?;
    let (options, keys) = (VerifyOptions::default(), Keys::default());
    let cancel = CancellationToken::new();
    let done = verify_backup(
        &repository,
        &backup,
        &options,
        &keys,
        Arc::new(Silent),
        cancel,
    );
    done.await.map(drop)
}

/// Makes the archive one that needs a reader of version 2, with its checksum right.
fn renewed(archive: &[u8]) -> Vec<u8> {
    let mut bytes = archive.to_vec();
    let magic = b"pgstow";
    // The trailer is the last member: behind its header, and before 1024 zero bytes.
    let start = bytes.len() - 1536;
    let trailer = &mut bytes[start..start + 512];
    assert!(trailer.starts_with(magic), "{:?}", &trailer[..16]);
    trailer[20] = 200;
    let digest = ring::digest::digest(&ring::digest::SHA256, &trailer[..480]);
    trailer[480..].copy_from_slice(digest.as_ref());
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_a_newer_format_is_not_damaged() {
    let (_home, store) = local();
    let made = back_up(&store).await.unwrap().backup;
    let key = &made.record.archive.as_ref().unwrap().key;
    let archive = store.get(key).await.unwrap().unwrap();
    let put = store.put(key, renewed(&archive).into(), Overwrite::Replace);
    assert_eq!(put.await.unwrap(), Put::Written);
    let error = verify(&store).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NewerFormat, "{error}");
    assert!(error.message().contains("needs a reader"), "{error}");
    assert_eq!(error.hint(), Some("use a newer pgstow"));
    let repository = Repository::open(Arc::clone(&store)).await.unwrap();
    let found = repository.find("latest", None).await.unwrap();
    assert_eq!((found.damage, found.verified_at), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_while_an_archive_is_read_damages_no_backup() {
    let (_home, inner) = local();
    back_up(&inner).await.unwrap();
    let counted = Arc::new(Double::new(Arc::clone(&inner)));
    verify(&(Arc::clone(&counted) as Arc<dyn Store>))
        .await
        .unwrap();
    let calls = counted.seen().len();
    assert!(calls > 10, "{:?}", counted.seen());
    for trouble in [Trouble::Fails, Trouble::Late] {
        for number in 1..=calls {
            let double = Arc::new(Double::new(Arc::clone(&inner)).at(number, trouble));
            let store = Arc::clone(&double) as Arc<dyn Store>;
            let done = verify(&store).await;
            let call = double.seen().swap_remove(number - 1);
            let what = format!("{trouble:?} at {number}, {call}: {done:?}");
            match &done {
                Ok(()) => assert!(
                    trouble == Trouble::Late || !call.starts_with("read"),
                    "{what}"
                ),
                Err(error) => {
                    assert_eq!(error.kind(), Kind::Storage, "{what}");
                    assert_eq!(trouble, Trouble::Fails, "{what}");
                }
            }
            let repository = Repository::open(Arc::clone(&inner)).await.unwrap();
            let found = repository.find("latest", None).await.unwrap();
            assert_eq!(found.damage, None, "{what}");
        }
    }
    assert_whole(&inner, "read with troubles").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prune_takes_away_what_dead_writers_began() {
    let (home, store) = local();
    back_up(&store).await.unwrap();
    let root = home.path().join("backups");
    let old = SystemTime::now() - Duration::from_secs(3600);
    let mut made = Vec::new();
    for (folder, name) in [
        ("locks/deletion", "0123456789abcdef.json"),
        ("audit", "0-1-2.json"),
        (".", "index.json"),
        ("archives", "20261122T030000Z-1f2e3d4c.pgstow"),
    ] {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).unwrap();
        for (random, modified) in [("0011223344556677", Some(old)), ("8899aabbccddeeff", None)] {
            let path = folder.join(format!(".{name}.{random}.partial"));
            let file = fs::File::create(&path).unwrap();
            if let Some(modified) = modified {
                file.set_modified(modified).unwrap();
                made.push(path);
            } else if name.starts_with("index") {
                // Of somebody who lives, under a key where nobody has died.
                fs::rename(&path, root.join(format!(".other.json.{random}.partial"))).unwrap();
            } else {
                fs::remove_file(&path).unwrap();
            }
        }
    }
    // Not ours.
    let foreign = root.join("locks/.notes.partial");
    fs::File::create(&foreign)
        .unwrap()
        .set_modified(old)
        .unwrap();

    let repository = Repository::open(Arc::clone(&store)).await.unwrap();
    let now = pgstow::archive::Timestamp::now();
    let policy = strict().into();
    let planned = prune(
        &repository,
        &policy,
        PruneMode::DryRun,
        now,
        Arc::new(Silent),
        CancellationToken::new(),
    );
    let planned = planned.await.unwrap();
    assert_eq!(planned.leftovers.len(), made.len(), "{planned:?}");
    assert!(made.iter().all(|it| it.exists()));
    let pruned = prune_strictly(&store).await.unwrap();
    assert_eq!(pruned.leftovers, planned.leftovers);
    let is_begun = |it: &Leftover| matches!(it, Leftover::Unfinished(_));
    assert!(pruned.leftovers.iter().all(is_begun), "{pruned:?}");
    assert!(made.iter().all(|it| !it.exists()), "{made:?}");
    assert!(foreign.exists());
    assert!(root.join(".other.json.8899aabbccddeeff.partial").exists());
    assert!(prune_strictly(&store).await.unwrap().leftovers.is_empty());
    assert_whole(&store, "pruned").await;
}

#[test]
fn a_database_with_nothing_in_it_is_most_often_the_wrong_one() {
    let home = tempfile::tempdir().unwrap();
    let empty = shop().server().create_db("nothing_in_it");
    empty.psql("GRANT CREATE ON SCHEMA public TO PUBLIC; COMMENT ON SCHEMA public IS 'ours'");
    let backup = |options: &[&str]| {
        let mut command = pgstow();
        command.args(["backup", "-d", &empty.url(), "--store"]);
        run(command.arg(home.path()).args(options))
    };
    let refused = backup(&[]).expect_code(1);
    assert!(
        refused.stderr.contains("there is nothing"),
        "{}",
        refused.stderr
    );
    backup(&["--allow-empty"]).success();
    empty.psql("CREATE TYPE mood AS ENUM ('well')");
    backup(&[]).success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_database_does_not_stand_in_for_all_of_it() {
    let (home, store) = local();
    back_up(&store).await.unwrap();
    let mut part = options(BackupType::Daily);
    part.dump.selection.exclude_table_data = vec!["orders".to_owned()];
    let (config, cancel) = (config(), CancellationToken::new());
    let made = backup(
        Arc::clone(&store),
        &config,
        &part,
        &[],
        Arc::new(Silent),
        cancel,
    );
    let made = made.await.unwrap().backup;
    let selection = made.record.selection.as_deref();
    assert_eq!(selection, Some("--exclude-table-data=orders"));
    assert!(made.record.server.is_some());
    assert_eq!(prune_strictly(&store).await.unwrap().deleted, 0);

    // By a clock that is not the store's nothing is deleted, whatever it finds old.
    back_up(&store).await.unwrap();
    let mut command = pgstow();
    command.args(["prune", "--store"]).current_dir(home.path());
    command.arg(home.path().join("backups"));
    with_clock(&mut command, "+2y");
    let refused = run(&mut command).expect_code(6);
    assert!(refused.stderr.contains("clock says"), "{}", refused.stderr);
    assert_eq!(prune_strictly(&store).await.unwrap().deleted, 1);
}

#[test]
fn the_wrong_place_is_told_and_not_made() {
    let home = tempfile::tempdir().unwrap();
    let nowhere = home.path().join("nowhere");
    let at = |arguments: &[&str], code| {
        let mut command = pgstow();
        command.args(arguments).current_dir(home.path());
        run(command.arg("--store").arg(&nowhere)).expect_code(code)
    };
    let database = shop().url();
    let looked = at(&["doctor", "--only", "store,clock", "-d", &database], 1);
    assert!(
        looked.stdout.contains("there is no directory"),
        "{}",
        looked.stdout
    );
    at(&["rebuild"], 6);
    assert!(!nowhere.exists());
    let made = at(&["backup", "-d", &database], 0);
    assert!(made.stderr.contains("a new repository"), "{}", made.stderr);
}

#[test]
fn the_latest_is_that_of_the_job() {
    let home = tempfile::tempdir().unwrap();
    let other = shop().server().create_db("of_another_job");
    other.psql("CREATE TABLE t AS SELECT 1 AS i");
    let content = format!(
        "[store]\nlocation = \"store\"\n[jobs.shop.database]\nurl = \"{}\"\n[jobs.other.database]\nurl = \"{}\"\n",
        shop().url(),
        other.url()
    );
    fs::write(home.path().join("pgstow.toml"), content).unwrap();
    let with = |arguments: &[&str], code| {
        run(pgstow().args(arguments).current_dir(home.path())).expect_code(code)
    };
    with(&["backup", "--job", "shop"], 0);
    with(&["backup", "--job", "other"], 0);
    for (job, name) in [("shop", shop().name()), ("other", other.name())] {
        let shown = with(&["show", "latest", "--json", "--job", job], 0).stdout;
        assert!(
            shown.contains(&format!("\"database\": \"{name}\"")),
            "{shown}"
        );
        with(&["verify", "latest", "--job", job], 0);
    }
}
