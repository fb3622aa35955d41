//! Collations and databases of ICU, on every major, in the same one and into newer ones. The judge
//! is pg_dump 18: of both sides, and of what PostgreSQL's own tools make of the same source.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::support::{
    self, Db, MAJORS, Server, assert_same_data, assert_same_schema, assert_same_text, normalise,
    pg_dump_schema_by, pgstow, run,
};

/// Loads what there is of ICU for the database's major.
fn fill(db: &Db) {
    for (fixture, since) in [
        ("collations-icu", 13),
        ("collations-icu-14", 14),
        ("collations-icu-16", 16),
    ] {
        if db.major() >= since {
            db.load_fixture(fixture);
        }
    }
}

fn dump(source: &Db, options: &[&str], directory: &Path) -> PathBuf {
    let file = directory.join("archive");
    run(pgstow()
        .args(["dump", "--quiet", "-d", &source.url(), "-f"])
        .arg(&file)
        .args(options))
    .success();
    run(pgstow().arg("verify").arg(&file)).success();
    file
}

fn restore(options: &[&str], target: &Db, archive: &Path) -> support::Output {
    run(pgstow()
        .args(["restore", "--quiet", "-j2", "-d", &target.url()])
        .args(options)
        .arg(archive))
}

fn verify_against(target: &Db, archive: &Path) {
    run(pgstow()
        .args(["verify", "--against", &target.url()])
        .arg(archive))
    .success();
}

#[test]
fn collations_on_every_major() {
    for major in MAJORS {
        let source = Server::with_icu(major).create_db("icu");
        fill(&source);
        let directory = tempfile::tempdir().unwrap();
        let archive = dump(&source, &[], directory.path());
        let target = source.server().create_db("copy");
        restore(&[], &target, &archive).success();
        assert_same_schema(&source, &target);
        assert_same_data(&source, &target);
        verify_against(&target, &archive);
    }
}

/// What pg_dump and pg_restore of the target's major make of the source.
fn by_pg_restore(source: &Db, server: &Arc<Server>, directory: &Path) -> Db {
    let made = server.create_db("referee");
    let archive = directory.join("pg_dump");
    let mut pg_dump = server.own_tool("pg_dump");
    source.server().point_at(&mut pg_dump);
    pg_dump.args(["-Fc", "-Z0", source.name(), "-f"]);
    run(pg_dump.arg(&archive)).success();
    let mut pg_restore = server.own_tool("pg_restore");
    pg_restore.args(["-d", made.name()]).arg(&archive);
    run(&mut pg_restore).success();
    made
}

/// The newer library may sort in another way than the older one: these locales do not.
#[test]
fn collations_into_newer_majors() {
    for (from, to) in [(13, 15), (14, 16), (15, 17), (16, 18)] {
        let source = Server::with_icu(from).create_db("icu");
        fill(&source);
        let directory = tempfile::tempdir().unwrap();
        let archive = dump(&source, &[], directory.path());
        let server = Server::with_icu(to);
        server.load_roles();
        let target = server.create_db("copy");
        let said = restore(&[], &target, &archive).success().stderr;
        assert!(!said.contains("adapted:"), "{from} to {to}: {said}");
        let referee = by_pg_restore(&source, &server, directory.path());
        let schema = |db: &Db| pg_dump_schema_by(db, with_database(server.own_tool("pg_dump"), db));
        assert_same_text(&schema(&referee), &schema(&target));
        verify_against(&target, &archive);
    }
}

fn with_database(mut command: Command, db: &Db) -> Command {
    command.env("PGDATABASE", db.name());
    command
}

/// What a database was made with, by the words of 18.
fn properties(db: &Db) -> Vec<Option<String>> {
    let (locale, rules) = match db.major() {
        15 => ("daticulocale", "null"),
        16 => ("daticulocale", "daticurules"),
        _ => ("datlocale", "daticurules"),
    };
    let rows = db.query_rows(&format!(
        "select pg_encoding_to_char(encoding), datlocprovider, datcollate, datctype, {locale}, {rules},
                pg_get_userbyid(datdba), shobj_description(oid, 'pg_database'), datconnlimit
           from pg_database where datname = current_database()"
    ));
    rows.into_iter().next().unwrap()
}

/// `pg_dump --create -s` of 18.
fn created(db: &Db) -> String {
    let mut command = db.tool("pg_dump");
    command.args(["--create", "--schema-only", "--restrict-key=test"]);
    normalise(&run(&mut command).success().stdout)
}

/// A database of this major made with these options goes to its own server under its own name, and to
/// servers of other majors, which know all of it.
fn made_again(major: u32, options: &str, others: &[u32]) {
    let server = Server::with_icu(major);
    let options = format!("template template0 locale 'C.UTF-8' {options}");
    let source = server.create_db_with("Of 'its' \"own\" ü", &options);
    fill(&source);
    let name = source.name().replace('"', "\"\"");
    let owner = format!("icu owner {}", source.name().rsplit('_').next().unwrap());
    source.psql(&format!(
        "create role \"{owner}\"; alter database \"{name}\" owner to \"{owner}\";
         comment on database \"{name}\" is 'sorted'; alter database \"{name}\" connection limit 9;
         create table plain (v text, w text collate \"C\"); create index on plain (v, lower(w));
         insert into plain select chr(c) from generate_series(65, 122) c;"
    ));
    let directory = tempfile::tempdir().unwrap();
    let archive = dump(&source, &["--globals"], directory.path());
    let (made_with, script) = (properties(&source), created(&source));
    server.psql(&format!(
        "alter database \"{name}\" rename to \"was {name}\""
    ));
    for to in [&[major], others].concat() {
        let server = Server::with_icu(to);
        server.load_roles();
        let said = restore(&["--create", "--globals"], &server.db("postgres"), &archive);
        assert!(!said.stderr.contains("may sort in another order"), "{to}");
        said.success();
        let target = server.db(source.name());
        assert_eq!(properties(&target), made_with, "{major} to {to}: {options}");
        verify_against(&target, &archive);
        if to == major {
            assert_same_text(&script, &created(&target));
        }
        server.psql(&format!("drop database \"{name}\""));
    }
    server.psql(&format!(
        "alter database \"was {name}\" rename to \"{name}\""
    ));
}

#[test]
fn databases_of_icu() {
    let plain = "locale_provider icu icu_locale 'de-u-co-phonebk'";
    let ruled = "locale_provider icu icu_locale 'und' icu_rules '&V << w <<< W'";
    made_again(15, plain, &[16, 18]);
    made_again(16, ruled, &[17]);
    made_again(17, ruled, &[18]);
    made_again(18, ruled, &[]);
}

#[test]
fn databases_of_the_servers_own_locales() {
    made_again(
        17,
        "locale_provider builtin builtin_locale 'C.UTF-8'",
        &[18],
    );
    made_again(
        18,
        "locale_provider builtin builtin_locale 'PG_UNICODE_FAST'",
        &[],
    );
}

/// An older server cannot sort like that: it says so, and makes the database all the same.
#[test]
fn databases_on_servers_that_do_not_know_their_locale() {
    for (from, options, to, loss) in [
        (
            16,
            "locale_provider icu icu_locale 'und' icu_rules '&V << w'",
            15,
            "has no ICU rules",
        ),
        (
            15,
            "locale_provider icu icu_locale 'de'",
            14,
            "has no locale provider icu with de",
        ),
        (
            17,
            "locale_provider builtin builtin_locale 'C.UTF-8'",
            16,
            "has no locale provider builtin",
        ),
        (
            18,
            "locale_provider builtin builtin_locale 'PG_UNICODE_FAST'",
            17,
            "has no locale provider builtin with PG_UNICODE_FAST",
        ),
    ] {
        let options = format!("template template0 locale 'C.UTF-8' {options}");
        let source = Server::with_icu(from).create_db_with("older", &options);
        source
            .psql("create table plain (v text primary key); insert into plain values ('v'), ('w')");
        let directory = tempfile::tempdir().unwrap();
        let archive = dump(&source, &[], directory.path());
        let server = Server::with_icu(to);
        let said = restore(&["--create"], &server.db("postgres"), &archive)
            .success()
            .stderr;
        assert!(said.contains(loss), "{from} to {to}: {said}");
        assert!(
            said.contains("may sort in another order"),
            "{from} to {to}: {said}"
        );
        let target = server.db(source.name());
        assert_same_data(&source, &target);
        verify_against(&target, &archive);
        server.psql(&format!("drop database \"{}\"", source.name()));
    }
}
