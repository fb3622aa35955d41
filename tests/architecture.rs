//! The rooms of the house and who may call whom, as docs/ARCHITECTURE.md states it. Read from the
//! imports, so that an arrow in the wrong direction is seen the day it is drawn.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Room, and the rooms below it that it may use. `error`, `report`, `sql`, `task`, `secret` and
/// `suggest` are the cellar.
const MAY_USE: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("report", &["error"]),
    ("task", &["error"]),
    ("secret", &["error"]),
    ("suggest", &[]),
    ("sql", &["error"]),
    ("select", &["error"]),
    ("dag", &["error"]),
    ("trust", &["error"]),
    ("storage", &["error", "task", "trust"]),
    ("encryption", &["error", "task", "storage"]),
    ("connect", &["error", "task", "sql", "secret", "suggest"]),
    ("model", &["error", "sql"]),
    (
        "catalog",
        &[
            "error", "select", "report", "task", "sql", "connect", "model",
        ],
    ),
    ("graph", &["error", "dag", "model"]),
    ("ddl", &["error", "sql", "model", "graph"]),
    ("archive", &["error", "report", "task", "sql", "storage"]),
    (
        "repository",
        &["error", "report", "task", "archive", "storage"],
    ),
    (
        "mirror",
        &["error", "task", "sql", "connect", "archive", "repository"],
    ),
    ("notify", &["error", "secret", "task", "trust", "archive"]),
    ("plan", &["error", "select", "sql", "dag", "archive"]),
    ("relay", &["error", "task", "archive"]),
    (
        "dump",
        &[
            "error", "select", "report", "task", "sql", "connect", "model", "catalog", "graph",
            "ddl", "archive", "storage", "relay",
        ],
    ),
    (
        "restore",
        &[
            "error", "select", "report", "task", "sql", "dag", "connect", "model", "ddl",
            "archive", "storage", "plan", "relay",
        ],
    ),
    (
        "ops",
        &[
            "error",
            "select",
            "report",
            "task",
            "sql",
            "connect",
            "model",
            "catalog",
            "ddl",
            "archive",
            "storage",
            "encryption",
            "repository",
            "notify",
            "mirror",
            "plan",
            "relay",
            "dump",
            "restore",
        ],
    ),
    (
        "config",
        &[
            "error",
            "secret",
            "suggest",
            "sql",
            "select",
            "connect",
            "storage",
            "encryption",
            "repository",
            "notify",
            "ops",
        ],
    ),
];

/// Rooms that do no I/O and read no clock, environment or randomness.
const PURE: &[&str] = &["sql", "select", "dag", "model", "graph", "ddl", "plan"];

fn sources(room: &str) -> Vec<(PathBuf, String)> {
    fn walk(path: &Path, files: &mut Vec<PathBuf>) {
        if path.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                walk(&entry.unwrap().path(), files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path.to_owned());
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let single = src.join(format!("{room}.rs"));
    let root = if single.exists() {
        single
    } else {
        src.join(room)
    };
    walk(&root, &mut files);
    files
        .into_iter()
        // Tests may use what they like.
        .filter(|file| !file.ends_with("tests.rs"))
        .map(|file| {
            let text = fs::read_to_string(&file).unwrap();
            let code = without_tests(&text);
            let code = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            (file, code)
        })
        .collect()
}

/// A file without the items that only tests have: they may use what they like. Told by the layout
/// that rustfmt gives: an item of several lines ends where its indentation comes back.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(indent) = line.strip_suffix("#[cfg(test)]") else {
            code.push_str(line);
            code.push('\n');
            continue;
        };
        assert_eq!(indent.trim(), "", "{line}");
        let mut head = true;
        for line in lines.by_ref() {
            let item = line.strip_prefix(indent).unwrap_or("");
            if head && item.starts_with("#[") {
                continue;
            }
            let is_whole = head && (item.ends_with(';') || item.ends_with('}'));
            if is_whole || ["}", "};", "];", ");"].contains(&item) {
                break;
            }
            head = false;
        }
    }
    code
}

/// Every path below a root such as `crate` that a text names, those in braces one by one:
/// `crate::{a, b::{c, d}}` is `crate::a`, `crate::b::c` and `crate::b::d`.
fn paths(code: &str, root: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let start = format!("{root}::");
    for (at, _) in code.match_indices(&start) {
        spread(root, &code[at + start.len()..], &mut found);
    }
    found
}

/// Adds what stands behind `before::`; gives what follows it.
fn spread<'a>(before: &str, text: &'a str, found: &mut BTreeSet<String>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = spread(before, rest, found).trim_start();
            rest = match rest.strip_prefix(',') {
                Some(rest) => rest,
                None => return rest.strip_prefix('}').unwrap_or(rest),
            };
        }
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    if word.is_empty() {
        return rest;
    }
    let path = format!("{before}::{word}");
    if let Some(rest) = rest.strip_prefix("::") {
        return spread(&path, rest, found);
    }
    found.insert(path);
    // Another name for it, as in `Context as _`.
    match rest.strip_prefix(" as ") {
        Some(rest) => rest.trim_start_matches(is_part),
        None => rest,
    }
}

/// The rooms that a text names.
fn rooms_named(code: &str) -> BTreeSet<String> {
    let paths = paths(code, "crate");
    let rooms = paths.iter().filter_map(|path| path.split("::").nth(1));
    rooms.map(str::to_owned).collect()
}

#[test]
fn rooms_use_only_what_is_below_them() {
    let rooms: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    let mut wrong = Vec::new();
    for (room, allowed) in &rooms {
        for (file, code) in sources(room) {
            for named in rooms_named(&code) {
                if named != *room
                    && rooms.contains_key(named.as_str())
                    && !allowed.contains(&named.as_str())
                {
                    wrong.push(format!("{} uses {named}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_is_in_the_table() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for line in lib.lines() {
        if let Some(module) = line
            .trim()
            .strip_prefix("pub mod ")
            .or(line.trim().strip_prefix("mod "))
        {
            let module = module.trim_end_matches(';');
            assert!(
                MAY_USE.iter().any(|(room, _)| *room == module),
                "{module} is not in the table of rooms"
            );
        }
    }
}

#[test]
fn pure_rooms_touch_nothing_outside() {
    const OUTSIDE: &[&str] = &[
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::time::Instant",
        "SystemTime",
        "std::io",
        "tokio::",
        "tokio_postgres::Client",
        "getrandom",
        "rand::",
    ];
    for room in PURE {
        for (file, mut code) in sources(room) {
            for root in ["std", "tokio", "tokio_postgres"] {
                for path in paths(&code, root) {
                    code.push_str(&path);
                    code.push_str("::\n");
                }
            }
            for word in OUTSIDE {
                assert!(!code.contains(word), "{} uses {word}", file.display());
            }
        }
    }
}

#[test]
fn the_library_never_prints_nor_exits() {
    for (room, _) in MAY_USE {
        for (file, code) in sources(room) {
            for word in [
                "println!",
                "eprintln!",
                "print!(",
                "process::exit",
                "signal::",
            ] {
                assert!(!code.contains(word), "{} has {word}", file.display());
            }
        }
    }
}

#[test]
fn the_parser_of_imports_sees_what_it_should() {
    let code = "use crate::a::B;\nuse crate::{\n    c as _,\n    d::{E, F},\n    g,\n};\nfn f() { crate::h::i() }";
    let expected: BTreeSet<String> = ["a", "c", "d", "g", "h"].map(str::to_owned).into();
    assert_eq!(rooms_named(code), expected);
    let code = "use std::{fmt::{self, Write as _}, fs, time::{Duration, Instant}};";
    let expected: BTreeSet<String> = [
        "std::fmt::self",
        "std::fmt::Write",
        "std::fs",
        "std::time::Duration",
        "std::time::Instant",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(paths(code, "std"), expected);
}

#[test]
fn only_items_of_tests_are_cut() {
    let text = "\
use a;
#[cfg(test)]
mod tests;
use b;
impl C {
    #[cfg(test)]
    #[allow(dead_code)]
    fn cut() {
        for it in all {
            cut();
        }
    }

    fn d() {}
}
#[cfg(test)]
const CUT: [u8; 1] = [
    1,
];
use e;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = \"…\")]
mod tests {
    use cut;
}
fn f() {}
";
    let expected = "use a;\nuse b;\nimpl C {\n\n    fn d() {}\n}\nuse e;\nfn f() {}\n";
    assert_eq!(without_tests(text), expected);
}
