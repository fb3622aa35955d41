//! Archives that come front to back.

use std::sync::Arc;

use pgstow::Input;
use pgstow::error::Kind;
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use super::archive::{Heard, config, jobs, restore, shop};
use super::support::Server;
use super::whole::check_shop;

#[tokio::test]
async fn a_pipe_is_restored_in_parallel() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.pgstow");
    shop(30_000).write(&path).await;
    let bytes = std::fs::read(&path).unwrap();
    for major in [15, 18] {
        let db = Server::start(major).create_db("pipe");
        let (mut writer, reader) = tokio::io::duplex(64 << 10);
        let bytes = bytes.clone();
        let writing = tokio::spawn(async move { writer.write_all(&bytes).await });
        let report = restore(&db, Input::Stream(Box::new(reader)), &jobs(4))
            .await
            .unwrap();
        writing.await.unwrap().unwrap();
        check_shop(&db, 30_000);
        assert_eq!(report.rows, 30_100);
        assert!(report.is_complete());
    }
}

#[tokio::test]
async fn a_pipe_that_ends_early_is_damage_and_says_what_the_target_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.pgstow");
    shop(30_000).write(&path).await;
    let bytes = std::fs::read(&path).unwrap();
    let server = Server::start(15);
    for part in [2, 3] {
        let db = server.create_db("cut");
        let cut = bytes[..bytes.len() * part / 4].to_vec();
        let stream = Input::Stream(Box::new(std::io::Cursor::new(cut)));
        let error = restore(&db, stream, &jobs(2)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Archive, "{error}");
        assert!(
            error.hint().unwrap().contains("holds a part of it"),
            "{error:?}"
        );
        // What waits for all rows was not made.
        assert_eq!(
            db.query_one("SELECT count(*) FROM pg_constraint WHERE contype = 'f'"),
            "0"
        );
    }
    // Cut before the table of contents has come, the target is not touched.
    let db = server.create_db("cut");
    let stream = Input::Stream(Box::new(std::io::Cursor::new(bytes[..2000].to_vec())));
    let error = restore(&db, stream, &jobs(2)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Archive, "{error}");
    assert_eq!(
        db.query_one("SELECT count(*) FROM pg_class WHERE oid >= 16384"),
        "0"
    );
}

#[tokio::test]
async fn a_pipe_that_stalls_can_be_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.pgstow");
    shop(30_000).write(&path).await;
    let bytes = std::fs::read(&path).unwrap();
    let db = Server::start(15).create_db("stall");
    let (mut writer, reader) = tokio::io::duplex(64 << 10);
    let cancel = CancellationToken::new();
    let stalling = {
        let cancel = cancel.clone();
        tokio::spawn(async move {
            writer.write_all(&bytes[..bytes.len() / 2]).await.unwrap();
            cancel.cancel();
            // Held open: only the cancellation can end the restore.
            writer
        })
    };
    let error = pgstow::restore(
        &config(&db),
        Input::Stream(Box::new(reader)),
        &jobs(3),
        Arc::new(Heard::default()),
        cancel,
    )
    .await
    .unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted, "{error}");
    drop(stalling.await.unwrap());
    assert_eq!(
        db.query_one(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name LIKE 'pgstow%' AND state <> 'idle'"
        ),
        "0"
    );
}
