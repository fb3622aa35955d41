//! The library as a program uses it: dump, verify, restore, without the command line.

mod support;

use std::sync::Arc;

use pgstow::connect::{Config, ConfigSource, ProcessEnv};
use pgstow::ops::DumpOptions;
use pgstow::report::Silent;
use pgstow::storage::Overwrite;
use support::Server;
use tokio_util::sync::CancellationToken;

fn config(conninfo: &str) -> Config {
    let source = ConfigSource {
        conninfo: Some(conninfo.to_owned()),
        ..ConfigSource::default()
    };
    Config::resolve(&source, &ProcessEnv).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_is_whole() {
    for major in [13, 14, 15, 16, 17, 18] {
        let source = Server::start(major).create_db("library");
        source.load_fixtures();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("library.pgstow");
        let sink = pgstow::ops::create_output(path.to_str().unwrap(), Overwrite::default())
            .await
            .unwrap();
        let report = pgstow::ops::dump(
            &config(&source.conninfo()),
            sink,
            &DumpOptions::default(),
            Arc::new(Silent),
            CancellationToken::new(),
        )
        .await
        .unwrap_or_else(|error| panic!("{major}: {error:?}"));
        assert!(report.rows > 0 && report.tables > 0);
    }
}
