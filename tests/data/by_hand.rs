//! An archive outlives its program: what `README.txt` in it says restores it with tar, zstd and
//! psql alone, and `pgstow sql` turns it into a script that psql runs.
//!
//! The commands are taken out of the README and run exactly as they stand there, with the two
//! placeholders ARCHIVE and TARGET filled in.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::support::{
    Db, Output, Server, assert_same_data, assert_same_schema, fixture_path, pgstow, run,
    run_with_input, server_bin,
};

/// A database with every fixture, and what makes life hard for a shell: names with quotes,
/// dollars, slashes, percent signs and spaces, tables in both COPY formats, frames by the dozen.
/// Loaded once; it goes with its server.
fn everything(major: u32) -> Arc<Db> {
    static LOADED: Mutex<BTreeMap<u32, Arc<OnceLock<Arc<Db>>>>> = Mutex::new(BTreeMap::new());
    let cell = LOADED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(major)
        .or_default()
        .clone();
    cell.get_or_init(|| Arc::new(load_everything(major)))
        .clone()
}

fn load_everything(major: u32) -> Db {
    let source = Server::start(major).create_db("by hand");
    source.load_fixtures();
    source.psql(
        r#"
        create schema "sh $HOME `id` 'q' ""d"" \ / %s *";
        create table "sh $HOME `id` 'q' ""d"" \ / %s *"."-c $(exit 1); ../*" (
            "it's" int generated always as identity primary key, "$1" text,
            "sum" int generated always as (1 + 1) stored);
        insert into "sh $HOME `id` 'q' ""d"" \ / %s *"."-c $(exit 1); ../*" ("$1")
            values ('\.'), (null), (E'tab\tnew\nline'), ('$HOME `id` \\');
        create table public.many_frames as
            select i, repeat(md5(i::text), 20) as t from generate_series(1, 30000) i;
        "#,
    );
    source
}

fn dump(source: &Db, options: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("an archive.pgstow");
    run(pgstow()
        .args(["dump", "-j2", "-d", &source.url(), "-f"])
        .arg(&file)
        .args(options))
    .success();
    (dir, file)
}

/// Small tables in packs.
const PACKED: &str = "--pack-tables=always";

/// The commands of a README: indented lines below a line that begins with a number.
fn commands(readme: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut in_step = false;
    for line in readme.lines() {
        match line.strip_prefix("    ") {
            Some(command) if in_step => commands.push(command.to_owned()),
            _ if line.starts_with(|c: char| c.is_ascii_digit()) => in_step = true,
            // The text of a step goes on; a heading without a number ends the steps.
            _ if line == "What is where:" => in_step = false,
            _ => {}
        }
    }
    commands
}

/// A word that a shell takes as it is.
fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Runs `script` in a new shell that ends at the first command that fails, in a pipe too, with
/// the client programs of the server's own major.
#[track_caller]
fn shell(server: &Server, directory: &Path, script: &str) -> Output {
    let mut bash = Command::new("bash");
    server.point_at(&mut bash);
    let path = format!(
        "{}:{}",
        server_bin(server.major()).display(),
        std::env::var("PATH").unwrap()
    );
    run(bash
        .args(["-eu", "-o", "pipefail", "-c", script])
        .current_dir(directory)
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8"))
    .success()
}

/// What was said, without notices: some values of the fixtures make the server say something
/// whenever they are stored.
fn complaints(said: &str) -> String {
    said.lines()
        .filter(|line| !line.contains("NOTICE: "))
        // A subscription that is made unconnected always says so.
        .filter(|line| !line.contains("subscri"))
        .collect()
}

/// A database that is dropped with the value although something else makes it.
fn to_be_made(server: &Arc<Server>) -> Db {
    let db = server.create_db("made by hand");
    server.psql(&format!("drop database \"{}\"", db.name()));
    db
}

fn by_its_readme(major: u32, options: &[&str]) {
    let source = everything(major);
    let server = source.server();
    let (dir, archive) = dump(&source, options);
    let listed = run(Command::new("tar").arg("-tf").arg(&archive)).success();
    assert_eq!(listed.stderr, "", "tar warns");
    for kind in [".copy", ".copybin"] {
        let ending = |name: &str| name.contains("data/") && name.contains(&format!("{kind}."));
        if options.contains(&PACKED) {
            assert!(listed.stdout.contains("data/pack-000000-"), "no pack");
            continue;
        }
        let binary_wanted = !options.contains(&"--copy-format=text");
        assert_eq!(
            listed.stdout.lines().any(ending),
            kind == ".copy" || binary_wanted,
            "{kind}"
        );
    }
    let readme = run(Command::new("tar")
        .arg("-xOf")
        .arg(&archive)
        .arg("README.txt"))
    .success()
    .stdout;
    let commands = commands(&readme);
    for needed in [
        "tar -xf",
        "sha256sum -c",
        "createdb",
        "pre-data",
        "load",
        "post-data",
    ] {
        assert!(
            commands.iter().any(|command| command.contains(needed)),
            "no {needed} in {commands:?}"
        );
    }
    let target = to_be_made(server);
    let script = commands
        .join("\n")
        .replace("ARCHIVE", &word(&archive.display().to_string()))
        .replace("TARGET", &word(target.name()));
    let said = shell(server, dir.path(), &script);
    assert_eq!(
        complaints(&said.stderr),
        "",
        "a restore by hand says something:\n{script}"
    );
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);
    // Every line of SHA256SUMS is well formed, and it names a file that is there.
    let sums = shell(
        server,
        &dir.path().join("unpacked"),
        "sha256sum --strict -c SHA256SUMS",
    );
    assert_eq!(sums.stderr, "");
    assert_eq!(
        sums.stdout.lines().count() + 2,
        listed.stdout.lines().count(),
        "SHA256SUMS does not list every member but itself and the trailer"
    );
}

#[test]
fn the_readme_restores_on_15() {
    by_its_readme(15, &[]);
}

#[test]
fn the_readme_restores_on_18() {
    by_its_readme(18, &[PACKED]);
}

/// The other codecs' commands, on the fixture that has values of every type.
#[test]
fn the_readme_restores_every_codec() {
    let server = Server::start(18);
    let source = server.create_db("codecs");
    source.psql_file(&fixture_path("data"));
    for codec in ["gzip:1", "lz4", "none"] {
        let (dir, archive) = dump(&source, &[&format!("--compress={codec}"), PACKED]);
        let readme = run(Command::new("tar")
            .arg("-xOf")
            .arg(&archive)
            .arg("README.txt"))
        .success()
        .stdout;
        let target = to_be_made(&server);
        let script = commands(&readme)
            .join("\n")
            .replace("ARCHIVE", &word(&archive.display().to_string()))
            .replace("TARGET", &word(target.name()));
        shell(&server, dir.path(), &script);
        assert_same_schema(&source, &target);
        assert_same_data(&source, &target);
    }
}

/// A script made of an archive from a pipe, whose frames come in the order of the dump.
#[test]
fn psql_runs_the_script_of_a_pipe() {
    let server = Server::start(18);
    let source = server.create_db("piped");
    source.psql_file(&fixture_path("data"));
    let (_dir, archive) = dump(&source, &["--copy-format=text", PACKED]);
    let bytes = std::fs::read(&archive).unwrap();
    let script = run_with_input(pgstow().args(["sql", "--quiet", "-"]), &bytes)
        .success()
        .stdout_bytes;
    let target = server.create_db("scripted");
    let mut psql = target.tool("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null"]);
    run_with_input(&mut psql, &script).success();
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);
}

fn by_script(major: u32) {
    let source = everything(major);
    let server = source.server();
    let (_dir, archive) = dump(&source, &["--copy-format=text"]);
    // Through a pipe, as people do.
    let target = server.create_db("scripted");
    let mut psql = Command::new(server_bin(major).join("psql"));
    server.point_at(&mut psql);
    let mut sql = pgstow()
        .args(["sql", "--quiet"])
        .arg(&archive)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = psql
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null"])
        .env("PGDATABASE", target.name())
        .stdin(sql.stdout.take().unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "psql: {said}");
    assert!(sql.wait().unwrap().success());
    assert_eq!(complaints(&said), "");
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);
}

#[test]
fn psql_runs_the_script_of_15() {
    by_script(15);
}

#[test]
fn psql_runs_the_script_of_18() {
    by_script(18);
}
