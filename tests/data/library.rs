//! The library as a program uses it: dump, restore, verify, without the command line. The same
//! calls as in the example of the crate's documentation.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::{Arc, Mutex};

use crate::support::{Server, assert_same_data, assert_same_schema};
use pgstow::connect::{Config, ConfigSource, ProcessEnv};
use pgstow::report::{Event, Observer, Silent};
use pgstow::storage::Overwrite;
use pgstow::{DumpOptions, Input, ListOptions, RestoreOptions, VerifyOptions};
use tokio_util::sync::CancellationToken;

fn config(conninfo: &str) -> Config {
    let source = ConfigSource {
        conninfo: Some(conninfo.to_owned()),
        ..ConfigSource::default()
    };
    Config::resolve(&source, &ProcessEnv).unwrap()
}

/// Keeps the tables that were said to be done, with their rows.
#[derive(Default)]
struct Done(Mutex<Vec<(String, u64)>>);

impl Observer for Done {
    fn event(&self, event: &Event) {
        if let Event::TableDone { table, rows, .. } = event {
            self.0.lock().unwrap().push((table.clone(), *rows));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dump_restore_verify() {
    let server = Server::start(18);
    let source = server.create_db("library");
    source.load_fixture("tables");
    source.psql("create table public.counted as select generate_series(1, 1234) as i");
    let target = server.create_db("library_copy");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("library.pgstow");
    let path = path.to_str().unwrap();
    let cancel = CancellationToken::new();

    let done = Arc::new(Done::default());
    let output = pgstow::ops::create_output(path, Overwrite::Refuse)
        .await
        .unwrap();
    let dumped = pgstow::dump(
        &config(&source.conninfo()),
        output,
        &DumpOptions::default(),
        Arc::clone(&done) as Arc<dyn Observer>,
        cancel.clone(),
    )
    .await
    .unwrap();
    assert!(
        done.0
            .lock()
            .unwrap()
            .contains(&("public.counted".to_owned(), 1234))
    );
    assert_eq!(done.0.lock().unwrap().len() as u64, dumped.tables);

    let restored = pgstow::restore(
        &config(&target.conninfo()),
        Input::open(path).await.unwrap(),
        &RestoreOptions::default(),
        Arc::new(Silent),
        cancel.clone(),
    )
    .await
    .unwrap();
    assert_eq!(restored.rows, dumped.rows);
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);

    let options = VerifyOptions {
        against: Some(config(&target.conninfo())),
        ..VerifyOptions::default()
    };
    let verify = || async {
        let archive = Input::open(path).await.unwrap();
        pgstow::verify(archive, &options, Arc::new(Silent), cancel.clone())
            .await
            .unwrap()
    };
    assert!(verify().await.is_equal());
    target.psql("update public.counted set i = -i where i = 617");
    let changed: Vec<_> = verify()
        .await
        .compared
        .into_iter()
        .filter(|table| !table.equal)
        .map(|table| table.table)
        .collect();
    assert_eq!(changed, ["public.counted"]);

    let listed = pgstow::list(
        Input::open(path).await.unwrap(),
        &ListOptions::default(),
        cancel,
    )
    .await
    .unwrap();
    assert_eq!(listed.entries().len() as u64, dumped.entries);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_dump_leaves_nothing() {
    let source = Server::start(18).create_db("cancelled");
    source.psql("create table t as select generate_series(1, 100000) as i");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cancelled.pgstow");
    let cancel = CancellationToken::new();
    cancel.cancel();
    let output = pgstow::ops::create_output(path.to_str().unwrap(), Overwrite::Refuse)
        .await
        .unwrap();
    let error = pgstow::dump(
        &config(&source.conninfo()),
        output,
        &DumpOptions::default(),
        Arc::new(Silent),
        cancel,
    )
    .await
    .unwrap_err();
    assert_eq!(error.kind(), pgstow::error::Kind::Interrupted);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
