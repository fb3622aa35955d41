//! Archives compared with live databases.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pgstow::VerifyOptions;
use pgstow::error::Kind;
use pgstow::report::Event;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::archive::{Build, Heard, config, file, jobs, restore, shop};
use super::support::{Db, Server};

async fn differences(db: &Db, path: &std::path::Path, jobs: usize) -> Vec<(String, String)> {
    let options = VerifyOptions {
        against: Some(config(db)),
        jobs,
        ..VerifyOptions::default()
    };
    let heard = Arc::new(Heard::default());
    let report = pgstow::verify(file(path).await, &options, heard, CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(report.tables as usize, report.compared.len());
    assert_eq!(
        report.is_equal(),
        report.compared.iter().all(|table| table.equal)
    );
    report
        .compared
        .into_iter()
        .filter(|table| !table.equal)
        .map(|table| (table.table, table.difference.unwrap()))
        .collect()
}

#[tokio::test]
async fn a_restored_database_agrees_and_every_difference_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.pgstow");
    let mut build = shop(4000);
    build.large_objects(&[(8001, vec![1; 5000]), (8002, Vec::new())]);
    build.write(&path).await;
    let pair = |table: &str, difference: &str| (table.to_owned(), difference.to_owned());
    for major in [15, 18] {
        let db = Server::start(major).create_db("compare");
        restore(&db, file(&path).await, &jobs(3)).await.unwrap();
        for jobs in [1, 4] {
            assert_eq!(differences(&db, &path, jobs).await, []);
        }
        // The order of rows does not matter.
        db.psql(
            "CREATE TABLE copy AS SELECT * FROM customers ORDER BY id DESC; \
                 ALTER TABLE orders DISABLE TRIGGER ALL; TRUNCATE customers CASCADE; \
                 INSERT INTO customers SELECT * FROM copy",
        );
        assert_eq!(
            differences(&db, &path, 2).await,
            [pair("public.orders", "another number of rows")]
        );
        db.psql("UPDATE customers SET name = 'else' WHERE id = 7");
        db.psql("DROP TABLE orders CASCADE; SELECT lo_put(8001, 4999, 'x')");
        assert_eq!(
            differences(&db, &path, 2).await,
            [
                pair("public.customers", "as many rows, with other content"),
                pair("public.orders", "relation \"public.orders\" does not exist"),
                pair("all", "large object 8001 is missing or has other content"),
            ]
        );
        db.psql("ALTER TABLE customers DROP COLUMN name; SELECT lo_put(8001, 4999, '\\x01'), lo_put(8002, 0, 'x')");
        let found = differences(&db, &path, 1).await;
        assert_eq!(
            found[0].1,
            "column \"name\" of relation \"customers\" does not exist"
        );
        assert_eq!(found[2].1, "large object 8002 is longer");
        db.psql("SELECT lo_unlink(8001)");
        let found = differences(&db, &path, 1).await;
        assert_eq!(
            found[2].1,
            "large object 8001 is missing or has other content"
        );
    }
}

/// A table of one row in an archive and in a database of this name, where somebody has locked it.
async fn locked(path: &Path, name: &str) -> (Db, Client) {
    let mut build = Build::new();
    let table = build
        .pre("TABLE", "t", "CREATE TABLE public.t (a integer)")
        .id;
    build.rows("t", table, "a", &["1\n".to_owned()]);
    build.write(path).await;
    let db = Server::start(15).create_db(name);
    db.psql("CREATE TABLE t (a integer); INSERT INTO t VALUES (1)");
    let client = db.connect().await;
    client
        .batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    (db, client)
}

const WAITING: &str =
    "SELECT pid FROM pg_catalog.pg_locks WHERE NOT granted AND relation = 't'::regclass";

/// Until a comparison waits for the lock.
async fn until_wanted(client: &Client) {
    while client.query(WAITING, &[]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_comparison_can_be_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.pgstow");
    let (db, client) = locked(&path, "cancel").await;
    let cancel = CancellationToken::new();
    let watching = {
        let cancel = cancel.clone();
        tokio::spawn(async move {
            until_wanted(&client).await;
            cancel.cancel();
            client
        })
    };
    let options = VerifyOptions {
        against: Some(config(&db)),
        ..VerifyOptions::default()
    };
    let heard = Arc::new(Heard::default());
    let error = pgstow::verify(file(&path).await, &options, heard, cancel)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted);
    drop(watching.await.unwrap());
}

#[tokio::test]
async fn a_comparison_outlives_its_sessions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.pgstow");
    let (db, client) = locked(&path, "outlived").await;
    let watching = tokio::spawn(async move {
        for _ in 0..2 {
            until_wanted(&client).await;
            let ended = format!("SELECT pg_terminate_backend(pid) FROM ({WAITING}) AS it");
            client.batch_execute(&ended).await.unwrap();
            while !client.query(WAITING, &[]).await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        // Under the comparison's snapshot this row is not there.
        let more = "INSERT INTO t VALUES (2); COMMIT";
        client.batch_execute(more).await.unwrap();
    });
    let options = VerifyOptions {
        against: Some(config(&db)),
        ..VerifyOptions::default()
    };
    let heard = Arc::new(Heard::default());
    let cancel = CancellationToken::new();
    let report = pgstow::verify(file(&path).await, &options, heard.clone(), cancel)
        .await
        .unwrap();
    watching.await.unwrap();
    assert!(report.is_equal(), "{:?}", report.compared);
    let heard = heard.0.lock().unwrap();
    let again = |event: &&Event| {
        matches!(event, Event::Message { text, .. } if text.contains("compare public.t: ")
            && text.ends_with("it is read again under the same snapshot"))
    };
    assert_eq!(heard.iter().filter(again).count(), 2, "{heard:?}");
}
