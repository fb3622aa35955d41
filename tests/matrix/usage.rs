//! Options that contradict each other, and filter files with mistakes: usage errors, whatever
//! the server. What `pg_dump` refuses is refused.

use super::support::{pgstow, run, run_with_input};

const CONTRADICTIONS: &[&[&str]] = &[
    &["-s", "-a"],
    &["-a", "--no-data"],
    &["-s", "--no-schema"],
    &["--no-data", "--no-schema"],
    &["-b", "-B"],
    &["-s", "-b"],
    &["-s", "--include-foreign-data=x"],
    &["--section=middle"],
    &["--serializable-deferrable", "--snapshot=1"],
    &["-w", "-W"],
    &["--quiet", "-v"],
    // Of pg_dump's options, those that only make sense in a script or a restore are not here.
    &["--inserts"],
    &["--column-inserts"],
    &["--rows-per-insert"],
    &["--on-conflict-do-nothing"],
    &["--disable-triggers"],
    &["--clean"],
    &["--if-exists"],
    &["--encoding"],
];

#[test]
fn contradictions_are_usage_errors() {
    for options in CONTRADICTIONS {
        let out = run(pgstow()
            .args(["dump", "-d", "nowhere", "-f", "/nowhere"])
            .args(*options));
        assert_eq!(out.code, Some(2), "{options:?}: {}", out.stderr);
        let name = options[0].split('=').next_back().unwrap();
        assert!(out.stderr.contains(name), "{options:?}: {}", out.stderr);
    }
}

#[test]
fn mistakes_in_a_filter_are_named_with_their_line() {
    for (rules, part) in [
        ("include\n", "line 1:"),
        ("# fine\ninclude table a\nomit table b\n", "line 3:"),
        ("include tables a\n", "\"tables\""),
        ("exclude table\n", "name is missing"),
        ("include table \"a\nb\n", "not closed"),
        ("include index i\n", "include of index"),
        ("include table_data t\n", "include of table_data"),
        ("include database d\n", "include of database"),
        ("exclude foreign_data s\n", "exclude of foreign_data"),
    ] {
        let mut dump = pgstow();
        dump.args(["dump", "-d", "nowhere", "-f", "/nowhere", "--filter=-"]);
        let out = run_with_input(&mut dump, rules.as_bytes());
        assert_eq!(out.code, Some(2), "{rules}: {}", out.stderr);
        assert!(out.stderr.contains(part), "{rules}: {}", out.stderr);
        assert!(out.stderr.contains("standard input"), "{}", out.stderr);
    }
    let mut dump = pgstow();
    dump.args([
        "dump",
        "-d",
        "nowhere",
        "-f",
        "/nowhere",
        "--filter=/no/such/file",
    ]);
    let out = run(&mut dump).expect_code(7);
    assert!(out.stderr.contains("/no/such/file"), "{}", out.stderr);
}
