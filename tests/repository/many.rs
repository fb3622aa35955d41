//! Many backups in one repository.

use std::sync::Arc;

use pgstow::archive::Timestamp;
use pgstow::error::Kind;
use pgstow::ops::repository::{BackupFilter, PruneMode, backups, prune};
use pgstow::report::Silent;
use pgstow::repository::retention::{Keep, Policy};
use pgstow::repository::{
    BackupRecord, BackupType, Ending, Note, RECORD_VERSION, Repository, Status, StoredArchive,
};

use tokio_util::sync::CancellationToken;

use crate::double::Double;
use crate::scene::local;

const BACKUPS: u64 = 10_000;

fn record(number: u64) -> BackupRecord {
    let started = Timestamp(1_600_000_000 + number * 3600);
    let time = started.to_string().replace(['-', ':'], "");
    let id = format!("{time}-{number:08x}").parse().unwrap();
    BackupRecord {
        format_version: RECORD_VERSION,
        archive: Some(StoredArchive {
            key: format!("archives/{id}.pgstow"),
            bytes: 1_000_000 + number,
            sha256: "0".repeat(64),
            archive_id: format!("{number:032x}"),
            encrypted: false,
            raw_bytes: 9_000_000,
            entries: 100,
            tables: 20,
            rows: 100_000,
        }),
        id,
        database: "shop".to_owned(),
        server: None,
        selection: None,
        backup_type: BackupType::Daily,
        ending: Ending::Completed,
        started,
        ended: Timestamp(started.0 + 60),
        server_version: "18.1".to_owned(),
        tool: "pgstow 0.1.0".to_owned(),
        host: "db1".to_owned(),
        error: None,
        expires: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_backups_are_listed_with_few_calls() {
    let (home, inner) = local();
    Repository::init(Arc::clone(&inner)).await.unwrap();
    let folder = home.path().join("backups/backups");
    std::fs::create_dir_all(&folder).unwrap();
    for number in 0..BACKUPS {
        let record = record(number);
        let text = serde_json::to_vec_pretty(&record).unwrap();
        std::fs::write(folder.join(format!("{}.json", record.id)), text).unwrap();
    }
    let repository = Repository::open(Arc::clone(&inner)).await.unwrap();
    // As every backup and every prune does.
    repository.keep_index().await.unwrap();

    let double = Arc::new(Double::new(Arc::clone(&inner)));
    let repository = Repository::open(double.clone()).await.unwrap();
    let began = std::time::Instant::now();
    let filter = BackupFilter {
        limit: Some(20),
        ..BackupFilter::default()
    };
    let list = backups(&repository, &filter).await.unwrap();
    let took = began.elapsed();
    assert_eq!((list.backups.len(), list.total), (20, BACKUPS as usize));
    assert_eq!(list.stats.completed, BACKUPS);
    let seen = double.seen();
    // Listing 1,000 keys takes a call of its own on some stores, records not: none was read alone.
    assert!(seen.len() <= 6, "{seen:?}");
    println!(
        "{BACKUPS} backups listed in {took:?} with {} calls",
        seen.len()
    );

    // A page after the other, nothing twice and nothing left out.
    let mut after = list.next;
    let mut count = list.backups.len();
    let filter = |after| BackupFilter {
        limit: Some(4_000),
        after,
        ..BackupFilter::default()
    };
    while after.is_some() {
        let page = backups(&repository, &filter(after)).await.unwrap();
        count += page.backups.len();
        after = page.next;
    }
    assert_eq!(count, BACKUPS as usize);

    // What the index says is not believed where the object has changed, or is gone.
    let one = folder.join(format!("{}.json", record(7).id));
    let mut changed = record(7);
    changed.database = "other-shop".to_owned();
    std::fs::write(&one, serde_json::to_vec_pretty(&changed).unwrap()).unwrap();
    std::fs::remove_file(folder.join(format!("{}.json", record(8).id))).unwrap();
    let listing = repository.list().await.unwrap();
    assert_eq!(listing.backups.len(), BACKUPS as usize - 1);
    let found = listing
        .backups
        .iter()
        .filter(|it| it.record.database == "other-shop" && it.status == Status::Completed);
    assert_eq!(found.count(), 1);

    // A damaged index costs time, and nothing else.
    let index = home.path().join("backups/index.json");
    let mut bytes = std::fs::read(&index).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&index, bytes).unwrap();
    let listing = repository.list().await.unwrap();
    assert_eq!(listing.backups.len(), BACKUPS as usize - 1);
    assert_eq!(listing.problems, ["index.json is not as it was written"]);
}

#[tokio::test]
async fn a_backup_stays_when_it_cannot_be_read_whether_it_is_pinned() {
    let (home, store) = local();
    let repository = Repository::init(store).await.unwrap();
    let root = home.path().join("backups");
    for folder in ["backups", "archives"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    for number in 1..=3 {
        let record = record(number);
        let text = serde_json::to_vec_pretty(&record).unwrap();
        std::fs::write(root.join(format!("backups/{}.json", record.id)), text).unwrap();
        let archive = record.archive.unwrap();
        let file = std::fs::File::create(root.join(archive.key)).unwrap();
        file.set_len(archive.bytes).unwrap();
    }
    let (first, last) = (record(1), record(3));
    let pinned = Note::Pinned {
        at: first.ended,
        reason: None,
    };
    repository.note(&first.id, &pinned).await.unwrap();
    for note in std::fs::read_dir(root.join(format!("notes/{}", first.id))).unwrap() {
        std::fs::write(note.unwrap().path(), "{").unwrap();
    }
    let policy = Policy {
        daily: Keep::days(0),
        weekly: Keep::days(0),
        monthly: Keep::days(0),
        ..Policy::default()
    };
    let rules = policy.into();
    let now = Timestamp(last.started.0 + 10 * 86_400);
    let pruning = prune(
        &repository,
        &rules,
        PruneMode::Delete,
        now,
        Arc::new(Silent),
        CancellationToken::new(),
    );
    let report = pruning.await.unwrap();
    assert_eq!(report.deleted, 1);
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    let left = repository.list().await.unwrap().backups;
    let left: Vec<_> = left.into_iter().map(|it| it.record.id).collect();
    assert_eq!(left, [first.id, last.id.clone()]);

    // Nor is an older one the latest because the newest one's record cannot be read.
    std::fs::write(root.join(format!("backups/{}.json", last.id)), "{").unwrap();
    let refused = repository.find("latest", None).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Refused);
    assert!(refused.to_string().contains(last.id.as_str()), "{refused}");
}
