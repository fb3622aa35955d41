//! The table of records, on the oldest and the newest server.

use std::sync::Arc;

use pgstow::archive::Timestamp;
use pgstow::connect::{Config, ConfigSource, ProcessEnv};
use pgstow::error::Kind;
use pgstow::mirror::{Mirror, Synced};
use pgstow::repository::{
    BackupId, BackupRecord, BackupType, DELETION, Draft, Ending, Note, RECORD_VERSION, Repository,
    StoredArchive, TOOL, Who,
};
use pgstow::storage::{Location, Overwrite, Put, StoreSettings, store};

use crate::support::{Db, Server};

fn config(url: &str) -> Config {
    let source = ConfigSource {
        conninfo: Some(url.to_owned()),
        ..ConfigSource::default()
    };
    Config::resolve(&source, &ProcessEnv).unwrap()
}

async fn repository(dir: &tempfile::TempDir) -> Repository {
    let location = Location::parse(dir.path().to_str().unwrap()).unwrap();
    let store = store(&location, &StoreSettings::new()).unwrap();
    Repository::init(Arc::clone(&store)).await.unwrap()
}

/// Puts a backup on record, with an archive of a few bytes if it is complete.
async fn add(repository: &Repository, started: u64, database: &str, error: Option<&str>) -> String {
    let id = BackupId::new(Timestamp(started)).unwrap();
    let draft = Draft {
        id: id.clone(),
        database: database.to_owned(),
        backup_type: BackupType::Daily,
        started: Timestamp(started),
        who: Who::here(),
    };
    let pending = repository.begin(draft).await.unwrap();
    let key = repository.archive_key(&id);
    if error.is_none() {
        let put = repository
            .store()
            .put(&key, "archive".into(), Overwrite::Refuse);
        assert_eq!(put.await.unwrap(), Put::Written);
    }
    let record = BackupRecord {
        format_version: RECORD_VERSION,
        id: id.clone(),
        database: database.to_owned(),
        server: None,
        selection: None,
        backup_type: BackupType::Daily,
        ending: if error.is_some() {
            Ending::Failed
        } else {
            Ending::Completed
        },
        started: Timestamp(started),
        ended: Timestamp(started + 60),
        archive: error.is_none().then(|| StoredArchive {
            key,
            bytes: 7,
            sha256: "ab".repeat(32),
            archive_id: "x".to_owned(),
            encrypted: true,
            raw_bytes: 70,
            entries: 1,
            tables: 2,
            rows: 3,
        }),
        server_version: "18.1".to_owned(),
        tool: TOOL.to_owned(),
        host: "db1".to_owned(),
        error: error.map(str::to_owned),
        expires: Some(Timestamp(started + 86_400)),
    };
    repository.commit(pending, &record).await.unwrap();
    id.to_string()
}

fn rows(db: &Db, table: &str, columns: &str) -> Vec<Vec<Option<String>>> {
    db.query_rows(&format!("SELECT {columns} FROM {table} ORDER BY id"))
}

async fn the_table_shows_what_the_repository_shows(major: u32) {
    let server = Server::start(major);
    let db = server.create_db("records");
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(&dir).await;
    let nasty = "shop \"a\"\n'b'\\ \u{e4}";
    let good = add(&repository, 1_700_000_000, nasty, None).await;
    let bad = add(&repository, 1_700_086_400, nasty, Some("no\0 way")).await;

    // In a schema that has to be quoted, and does not exist.
    let schema = "Back \"ups\"";
    let table = "\"Back \"\"ups\"\"\".database_backups";
    let mirror = Mirror::new(config(&db.url()), schema);
    mirror.check().await.unwrap();
    let (synced, listing) = mirror.sync(&repository).await.unwrap();
    assert_eq!(
        synced,
        Synced {
            written: 2,
            gone: 0
        }
    );
    assert_eq!(listing.backups.len(), 2);
    let columns = "id, database, type, status, started_at AT TIME ZONE 'UTC', duration_seconds, stored_bytes, \
                   raw_bytes, table_count, row_count, sha256, encrypted, error, verified_at IS NULL, pinned";
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        rows(&db, table, columns),
        [
            vec![
                text(&good),
                text(nasty),
                text("daily"),
                text("completed"),
                text("2023-11-14 22:13:20"),
                text("60"),
                text("7"),
                text("70"),
                text("2"),
                text("3"),
                text(&"ab".repeat(32)),
                text("t"),
                None,
                text("t"),
                text("f"),
            ],
            vec![
                text(&bad),
                text(nasty),
                text("daily"),
                text("failed"),
                text("2023-11-15 22:13:20"),
                text("60"),
                None,
                None,
                None,
                None,
                None,
                None,
                text("no  way"),
                text("t"),
                text("f"),
            ]
        ]
    );

    // What is as it should be is not written to; what differs is; another repository's rows stay.
    assert_eq!(mirror.sync(&repository).await.unwrap().0, Synced::default());
    db.psql(&format!(
        "INSERT INTO {table} (id, database, type, status, started_at, repository, tool, host, pinned, recorded_at) \
         VALUES ('other', 'x', 'daily', 'completed', now(), 'elsewhere', '', '', false, now()); \
         UPDATE {table} SET row_count = 0 WHERE id = '{good}'"
    ));
    let id: BackupId = good.parse().unwrap();
    let at = Timestamp(1_700_000_500);
    repository.note(&id, &Note::Verified { at }).await.unwrap();
    repository
        .note(&id, &Note::Pinned { at, reason: None })
        .await
        .unwrap();
    let lock = repository.lock(DELETION, "test").await.unwrap();
    let gone = repository.find(&bad, None).await.unwrap();
    repository.expire(&gone, "test", &lock).await.unwrap();
    repository.erase(&gone.record.id, &lock).await.unwrap();
    repository.unlock(lock).await.unwrap();
    let synced = mirror.sync(&repository).await.unwrap().0;
    assert_eq!(
        synced,
        Synced {
            written: 1,
            gone: 1
        }
    );
    assert_eq!(
        rows(
            &db,
            table,
            "status, row_count, verified_at AT TIME ZONE 'UTC', pinned, deleted_at IS NULL"
        ),
        [
            vec![
                text("completed"),
                text("3"),
                text("2023-11-14 22:21:40"),
                text("t"),
                text("t")
            ],
            vec![text("deleted"), None, None, text("f"), text("f")],
            vec![text("completed"), None, None, text("f"), text("t")],
        ]
    );

    // A lost table is filled anew.
    db.psql(&format!("DELETE FROM {table} WHERE id <> 'other'"));
    let synced = mirror.sync(&repository).await.unwrap().0;
    assert_eq!(
        synced,
        Synced {
            written: 1,
            gone: 0
        }
    );

    // Somebody with no more than the manual says.
    let role = format!("recorder_{major}_{}", std::process::id());
    db.psql(&format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA \"Back \"\"ups\"\"\" TO {role}; \
         GRANT SELECT ON \"Back \"\"ups\"\"\".database_backups_migrations TO {role}; \
         GRANT SELECT, INSERT, UPDATE ON {table} TO {role}"
    ));
    let least = Mirror::new(config(&db.url_as(&role, None)), schema);
    least.check().await.unwrap();
    add(&repository, 1_700_172_800, "other", None).await;
    assert_eq!(least.sync(&repository).await.unwrap().0.written, 1);
    db.psql(&format!("REVOKE UPDATE ON {table} FROM {role}"));
    assert_eq!(least.check().await.unwrap_err().kind(), Kind::Refused);
    let error = least.sync(&repository).await.unwrap_err();
    assert!(error.message().starts_with("record backups in "), "{error}");
    assert!(error.message().contains("permission denied"), "{error}");
    let stranger = Mirror::new(config(&db.url_as(&role, None)), "nowhere");
    assert_eq!(stranger.check().await.unwrap_err().kind(), Kind::Refused);

    // A newer version's table is left alone.
    db.psql("INSERT INTO \"Back \"\"ups\"\"\".database_backups_migrations VALUES (99, now())");
    let error = mirror.sync(&repository).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    drop(db.psql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")));

    // Two at once make it once; what cannot be read in the repository marks nothing as gone.
    let here = Mirror::new(config(&db.url()), "public");
    let there = Mirror::new(config(&db.url()), "public");
    let (one, other) = tokio::join!(here.sync(&repository), there.sync(&repository));
    assert_eq!(one.unwrap().0.written + other.unwrap().0.written, 2);
    assert_eq!(
        db.query_one("SELECT count(*) FROM database_backups_migrations"),
        "1"
    );
    let record = dir.path().join("backups").join(format!("{good}.json"));
    std::fs::write(record, "{").unwrap();
    assert_eq!(here.sync(&repository).await.unwrap().0.gone, 0);
}

#[tokio::test]
async fn on_13() {
    the_table_shows_what_the_repository_shows(13).await;
}

#[tokio::test]
async fn on_18() {
    the_table_shows_what_the_repository_shows(18).await;
}

#[tokio::test]
async fn a_server_that_is_gone_is_an_error_without_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(&dir).await;
    let mirror = Mirror::new(config("postgres://me:geheim@127.0.0.1:1/records"), "public");
    let error = mirror.sync(&repository).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Connect);
    assert!(
        error
            .message()
            .starts_with("record backups in public.database_backups of me@127.0.0.1:1/records: "),
        "{error}"
    );
    assert!(!format!("{error:?} {mirror:?}").contains("geheim"));
}
