//! The fixtures themselves, tested: every feature file loads on every major that it claims, all of
//! them fit into one database, and PostgreSQL's own tools can take that database out and in again.
//! What fails here is a fault of a fixture (or of a server), never of pgstow.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use support::{Server, assert_same_data, assert_same_text, normalise, run};

fn load_and_copy(major: u32) {
    let server = Server::start(major);
    let source = server.create_db("fixtures");
    let loaded = source.load_fixtures();
    assert!(
        loaded.len() >= 18,
        "only {} fixtures for {major}",
        loaded.len()
    );

    // There are no client tools of major 13; those of 14 know it well.
    let tools = Server::start(major.max(14));
    let tool = |name: &str| {
        let mut command = tools.own_tool(name);
        server.point_at(&mut command);
        command
    };
    let dump = |database: &str| {
        run(tool("pg_dump").args(["--schema-only", "--restrict-key=test", database]))
            .success()
            .stdout
    };
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("archive");
    run(tool("pg_dump")
        .args(["-Fc", "-Z0", source.name(), "-f"])
        .arg(&archive))
    .success();
    let copy = server.create_db("copy");
    run(tool("pg_restore")
        .args(["--exit-on-error", "-d", copy.name()])
        .arg(&archive))
    .success();
    assert_same_text(
        &normalise(&dump(source.name())),
        &normalise(&dump(copy.name())),
    );
    assert_same_data(&source, &copy);
}

#[test]
fn postgresql_13() {
    load_and_copy(13);
}

#[test]
fn postgresql_14() {
    load_and_copy(14);
}

#[test]
fn postgresql_15() {
    load_and_copy(15);
}

#[test]
fn postgresql_16() {
    load_and_copy(16);
}

#[test]
fn postgresql_17() {
    load_and_copy(17);
}

#[test]
fn postgresql_18() {
    load_and_copy(18);
}
