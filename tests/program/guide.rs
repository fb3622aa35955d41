//! The guide: every command in it is run, in order, with a server and a store of the test's own in
//! place of the names in it.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

use crate::servers;
use std::path::Path;
use std::process::Command;

use crate::support::{Server, assert_same_data, run_for};

/// The fenced blocks of shell in a page.
fn blocks(page: &str) -> Vec<&str> {
    let mut fenced = page.split("```").skip(1).step_by(2);
    let mut found = Vec::new();
    for block in &mut fenced {
        found.extend(block.strip_prefix("sh\n"));
    }
    found
}

#[test]
fn every_command_of_the_guide_runs() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = blocks(&page);
    assert!(blocks.len() >= 10, "{}", blocks.len());
    let server = Server::start(18);
    let source = server.create_db("guide");
    source.psql(
        "CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
         CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, total numeric);
         INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 50) AS n;
         INSERT INTO orders SELECT n, 1 + n % 50, n / 3.0 FROM generate_series(1, 500) AS n;",
    );
    let target = server.create_db("guide_new");
    let scratch = server.create_db("guide_scratch");
    let seaweed = servers::Seaweed::get();
    let bucket = seaweed.bucket();
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("shop")).unwrap();
    let replaced = [
        ("postgres://backup@db.example/shop", source.url()),
        ("postgres://backup@new.example/shop", target.url()),
        ("postgres://backup@new.example/scratch", scratch.url()),
        (
            "/var/backups/shop",
            home.path().join("shop").display().to_string(),
        ),
        ("s3://backups/", format!("s3://{bucket}/")),
        (
            "AWS_BACKUP_BUCKET=backups",
            format!("AWS_BACKUP_BUCKET={bucket}"),
        ),
        (
            "https://ACCOUNT.r2.cloudflarestorage.com",
            format!("http://127.0.0.1:{}", seaweed.port),
        ),
        (
            "AWS_ACCESS_KEY_ID=…",
            format!("AWS_ACCESS_KEY_ID={}", servers::ACCESS_KEY),
        ),
        (
            "AWS_SECRET_ACCESS_KEY=…",
            format!("AWS_SECRET_ACCESS_KEY={}", servers::SECRET),
        ),
    ];
    let mut script = String::from("set -eu\n");
    for (number, block) in blocks.iter().enumerate() {
        script.push_str(&format!("echo '== block {number}' >&2\n"));
        script.push_str(block);
    }
    for (placeholder, real) in replaced {
        assert!(
            script.contains(placeholder),
            "{placeholder} is not in the guide"
        );
        // A URL of a test server has characters that a shell takes for its own.
        let real = match placeholder.starts_with("postgres:") {
            true => format!("'{real}'"),
            false => real,
        };
        script = script.replace(placeholder, &real);
    }
    for word in ["example", "ACCOUNT", "…"] {
        assert!(!script.contains(word), "{word} was not replaced:\n{script}");
    }
    let program = Path::new(env!("CARGO_BIN_EXE_pgstow")).parent().unwrap();
    let program = program.to_str().unwrap();
    let age = Command::new("age-keygen").arg("--version").output();
    assert!(age.is_ok(), "age is missing: run scripts/fetch-stores");
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(&script)
        .current_dir(home.path())
        .env_clear()
        .env("HOME", home.path())
        .env("USER", "guide")
        .env(
            "PATH",
            format!("{program}:{}", std::env::var("PATH").unwrap()),
        );
    let output = run_for(&mut command, std::time::Duration::from_secs(120)).success();
    assert!(!format!("{}{}", output.stdout, output.stderr).contains(servers::SECRET));
    assert_same_data(&source, &target);
    assert_eq!(scratch.query_one("SELECT count(*) FROM orders"), "500");
    let readme = std::fs::read_to_string(home.path().join("README.txt")).unwrap();
    assert!(readme.contains("tar"), "{readme}");
    let last: Vec<&str> = blocks.last().unwrap().lines().collect();
    assert_eq!(last.last(), Some(&"pgstow audit verify"));
}
