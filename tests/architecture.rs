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
            // Tests at the end of a file may use what they like.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let code = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            (file, code)
        })
        .collect()
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text
        .trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    (!word.is_empty()).then_some(word)
}

/// Every `crate::room` that a text names, also in braces: `use crate::{a, b::c}`.
fn rooms_named(code: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut item = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => named.extend(first_word(&std::mem::take(&mut item))),
                    c => item.push(c),
                }
            }
            named.extend(first_word(&item));
        } else {
            named.extend(first_word(rest));
        }
    }
    named
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
        for (file, code) in sources(room) {
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
    let code = "use crate::a::B;\nuse crate::{c, d::{E, F}, g};\nfn f() { crate::h::i() }";
    let expected: BTreeSet<String> = ["a", "c", "d", "g", "h"].map(str::to_owned).into();
    assert_eq!(rooms_named(code), expected);
}
