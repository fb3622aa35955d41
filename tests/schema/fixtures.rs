//! The fixtures themselves, tested: every feature file loads on every major that it claims, all of
//! them fit into one database, and PostgreSQL's own tools can take that database out and in again.
//! What fails here is a fault of a fixture (or of a server), never of pgstow.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use crate::support::{
    Db, MAJORS, Server, assert_same_data, assert_same_text, encoding_option, pg_dump_schema_by, run,
};

fn load_and_copy(major: u32) {
    let source = Server::start(major).create_db("fixtures");
    let loaded = source.load_fixtures_that(|fixture| fixture.beyond_pg_dump.is_none());
    assert!(
        loaded.len() >= 18,
        "only {} fixtures for {major}",
        loaded.len()
    );
    copy_and_compare(&source, "TEMPLATE template0");
}

fn copy_and_compare(source: &Db, options: &str) {
    let server = source.server();
    // There are no client tools of major 13; those of 14 know it well.
    let tools = Server::start(server.major().max(14));
    let tool = |name: &str| {
        let mut command = tools.own_tool(name);
        server.point_at(&mut command);
        command
    };
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("archive");
    run(tool("pg_dump")
        .args(["-Fc", "-Z0", &encoding_option(source), source.name(), "-f"])
        .arg(&archive))
    .success();
    let copy = server.create_db_with("copy", options);
    run(tool("pg_restore")
        .args(["--exit-on-error", "-d", copy.name()])
        .arg(&archive))
    .success();
    assert_same_text(
        &pg_dump_schema_by(source, tool("pg_dump")),
        &pg_dump_schema_by(&copy, tool("pg_dump")),
    );
    assert_same_data(source, &copy);
}

/// On every major, these fixtures alone in a database made with these options.
fn copy_alone(fixtures: &[&str], options: &str) {
    for major in MAJORS {
        let source = Server::start(major).create_db_with("alone", options);
        for fixture in fixtures {
            source.load_fixture(fixture);
        }
        copy_and_compare(&source, options);
    }
}

#[test]
fn a_database_with_hostile_settings() {
    copy_alone(
        &["data", "setting-sensitive", "hostile-settings"],
        "TEMPLATE template0",
    );
}

#[test]
fn a_database_in_latin1() {
    copy_alone(
        &["encoding-latin1"],
        "TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'",
    );
}

#[test]
fn a_database_in_sql_ascii() {
    copy_alone(
        &["encoding-sql-ascii"],
        "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'",
    );
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
