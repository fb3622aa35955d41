//! Sets of options against objects of every class: each object must be in the archives of the runs
//! that want it and in no other. What is expected is written down in `objects.rs`; besides, each
//! archive is compared with what `pg_dump` 18 puts in its own with the same options.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a panic is how a test fails"
)]

#[path = "../support/mod.rs"]
mod support;

mod contents;
mod effects;
mod objects;
mod runs;
mod usage;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use contents::{of_pg_dump, of_pgstow};
use objects::{DIFFERENCES, GROUPS};
use runs::{RUNS, Run, has};
use support::{Db, Server, pgstow, run};

fn source(major: u32) -> Db {
    let server = Server::start(major);
    server.load_roles();
    let source = server.create_db("matrix");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/matrix/source.sql");
    source.psql_file(&file);
    source
}

impl Run {
    fn options(&self, db: &Db, dir: &Path) -> Vec<String> {
        let filter = dir.join("filter");
        std::fs::write(&filter, self.filter).unwrap();
        let fill = |option: &&str| {
            option
                .replace("{db}", db.name())
                .replace("{filter}", filter.to_str().unwrap())
        };
        let mut options: Vec<String> = self.options.iter().map(fill).collect();
        // Planner statistics come by default in pgstow and not in pg_dump.
        options.push("--no-statistics".to_owned());
        options
    }
}

/// Runs the work on as many threads as there are processors, and gives what each said.
fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) -> Vec<String> + Sync) -> Vec<String> {
    let next = Mutex::new(items.iter());
    let said = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(item) = next.lock().unwrap().next() else {
                        return;
                    };
                    let complaints = work(item);
                    said.lock().unwrap().extend(complaints);
                }
            });
        }
    });
    said.into_inner().unwrap()
}

fn dump(db: &Db, options: &[String], file: &Path) {
    run(pgstow()
        .args(["dump", &db.url(), "--quiet", "-j", "1", "-f"])
        .arg(file)
        .args(options))
    .success();
}

/// What does not hold for one run.
fn complaints(source: &Db, wanted: &Run) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    let options = wanted.options(source, dir.path());
    dump(source, &options, &file);
    let found = of_pgstow(&file);
    let mut complaints = Vec::new();
    let mut known = BTreeSet::new();
    for group in GROUPS.iter().filter(|g| g.since <= source.major()) {
        let appears = group.appear.iter().any(|set| has(set, wanted.name))
            && !group.except.iter().any(|set| has(set, wanted.name));
        for object in group.objects.lines().map(str::trim) {
            assert!(
                known.insert(object.to_owned()),
                "{object} is expected twice"
            );
            if found.contains(object) != appears {
                let problem = if appears { "lacks" } else { "has" };
                complaints.push(format!("run \"{}\" {problem} {object}", wanted.name));
            }
        }
    }
    let mut expected = of_pg_dump(source, &options, dir.path());
    for difference in DIFFERENCES.iter().filter(|d| d.since <= source.major()) {
        if difference.runs.iter().any(|set| has(set, wanted.name)) {
            for object in difference.objects.lines().map(str::trim) {
                if expected.contains(object) == found.contains(object) {
                    let same = format!("run \"{}\": no difference of {object}", wanted.name);
                    complaints.push(same);
                }
                if !expected.remove(object) {
                    expected.insert(object.to_owned());
                }
            }
        }
    }
    let differences = expected
        .difference(&found)
        .map(|object| format!("run \"{}\": only pg_dump has {object}", wanted.name))
        .chain(
            found
                .difference(&expected)
                .map(|object| format!("run \"{}\": pg_dump lacks {object}", wanted.name)),
        );
    complaints.extend(differences);
    complaints
}

#[track_caller]
fn assert_none(mut complaints: Vec<String>) {
    complaints.sort();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn objects_are_in_the_archives_of_the_runs_that_want_them() {
    let source = source(18);
    assert_none(in_parallel(RUNS, |run| complaints(&source, run)));
}

#[test]
fn so_they_are_when_the_server_is_older() {
    let source = source(15);
    let thin: Vec<&Run> = RUNS.iter().step_by(4).collect();
    assert_none(in_parallel(&thin, |run| complaints(&source, run)));
}

/// Options that mean the same for a restore of everything as for a dump that is restored whole.
const AT_RESTORE: &[&[&str]] = &[
    &["--no-comments"],
    &["-x"],
    &["-O"],
    &["--no-policies"],
    &["--no-publications", "--no-subscriptions"],
    &["-s"],
    &["--section=pre-data"],
];

#[test]
fn a_restore_leaves_out_what_a_dump_would() {
    let source = source(18);
    let dir = tempfile::tempdir().unwrap();
    let file: PathBuf = dir.path().join("whole");
    dump(&source, &[], &file);
    let definitions = |objects: BTreeSet<String>| -> BTreeSet<String> {
        let is_definition = |object: &String| {
            // CREATE EXTENSION comments by itself.
            !object.starts_with("COMMENT - EXTENSION ")
                && ![
                    "TABLE DATA ",
                    "SEQUENCE SET ",
                    "BLOB",
                    "MATERIALIZED VIEW DATA ",
                ]
                .iter()
                .any(|start| object.starts_with(start))
                && !object.contains("LARGE OBJECT")
        };
        objects.into_iter().filter(is_definition).collect()
    };
    assert_none(in_parallel(AT_RESTORE, |options| {
        let options: Vec<String> = options.iter().map(|&o| o.to_owned()).collect();
        let dir = tempfile::tempdir().unwrap();
        let target = source.server().create_db("matrix_copy");
        run(pgstow()
            .args(["restore", "--quiet", "-d", &target.url()])
            .args(&options)
            .arg(&file))
        .success();
        let expected = definitions(of_pg_dump(&source, &options, dir.path()));
        let found = definitions(of_pg_dump(&target, &[], dir.path()));
        expected
            .symmetric_difference(&found)
            .map(|object| format!("restore {options:?}: {object}"))
            .collect()
    }));
}
