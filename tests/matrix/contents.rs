//! What is in an archive, as a set of `KIND schema name` in the words of `pg_restore -l`.
//!
//! Archives of pgstow and of pg_dump are made comparable by these rules, and no others:
//!
//! 1. pg_dump keeps comments and privileges as entries of their own; pgstow keeps them with the
//!    object, one statement or more each. They are taken apart: `COMMENT shop TABLE t`.
//! 2. pg_dump keeps defaults as entries of their own where another table inherits or a sequence is
//!    their value; in pgstow they are part of the table. `DEFAULT` is left out.
//! 3. Names of operators, operator classes and families, casts, transforms, user mappings and large
//!    objects have more, or less, with them in pgstow.
//! 4. What hangs on a table has the table's name in front in pg_dump.
//! 5. Double quotes are left out.
//!
//! What pgstow does otherwise on purpose is not here but in `objects::DIFFERENCES`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::support::{Db, pgstow, run, tool};

/// Kinds that consist of several words, or whose names do, longest first where one begins another.
const KINDS: &[&str] = &[
    "PUBLICATION TABLES IN SCHEMA",
    "TEXT SEARCH CONFIGURATION",
    "TEXT SEARCH DICTIONARY",
    "TEXT SEARCH TEMPLATE",
    "TEXT SEARCH PARSER",
    "MATERIALIZED VIEW DATA",
    "MATERIALIZED VIEW",
    "FOREIGN DATA WRAPPER",
    "PROCEDURAL LANGUAGE",
    "SEQUENCE OWNED BY",
    "SEQUENCE SET",
    "CHECK CONSTRAINT",
    "OPERATOR FAMILY",
    "OPERATOR CLASS",
    "PUBLICATION TABLE",
    "EVENT TRIGGER",
    "FOREIGN TABLE",
    "FK CONSTRAINT",
    "ACCESS METHOD",
    "BLOB METADATA",
    "TABLE ATTACH",
    "INDEX ATTACH",
    "ROW SECURITY",
    "USER MAPPING",
    "DEFAULT ACL",
    "TABLE DATA",
    "SHELL TYPE",
];

/// Kinds whose names pg_dump writes with the table's in front.
const WITH_TABLE: &[&str] = &[
    "CONSTRAINT",
    "CHECK CONSTRAINT",
    "FK CONSTRAINT",
    "POLICY",
    "RULE",
    "TRIGGER",
];

/// What `pg_dump` 18 puts in an archive.
pub fn of_pg_dump(db: &Db, options: &[String], dir: &Path) -> BTreeSet<String> {
    let file = dir.join("pg_dump");
    run(db
        .tool("pg_dump")
        .args(["-Fc", "-Z0", "-f"])
        .arg(&file)
        .args(options)
        .arg(db.name()))
    .success();
    let list = run(tool("pg_restore").arg("-l").arg(&file))
        .success()
        .stdout;
    let entries = list.lines().filter(|line| !line.starts_with(';'));
    entries.filter_map(line).collect()
}

/// `dump-id; catalog oid KIND schema name owner`
fn line(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("; ")?;
    let mut words = rest.splitn(3, ' ');
    let rest = words.nth(2)?;
    let kind = KINDS
        .iter()
        .find(|kind| rest.starts_with(**kind))
        .copied()
        .unwrap_or_else(|| rest.split(' ').next().unwrap());
    if kind == "DEFAULT" {
        return None;
    }
    let rest = rest.strip_prefix(kind)?.strip_prefix(' ')?;
    let (schema, rest) = rest.split_once(' ')?;
    let (name, _owner) = rest.rsplit_once(' ')?;
    Some(key(kind, schema, name))
}

fn key(kind: &str, schema: &str, name: &str) -> String {
    format!("{kind} {schema} {name}").replace('"', "")
}

/// What `pgstow dump` put in an archive.
pub fn of_pgstow(file: &Path) -> BTreeSet<String> {
    let list = run(pgstow().args(["list", "--json"]).arg(file))
        .success()
        .stdout;
    let mut objects = BTreeSet::new();
    for line in list.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        if entry["event"] == "entry" {
            take_apart(&entry, &mut objects);
        }
    }
    objects
}

fn take_apart(entry: &Value, objects: &mut BTreeSet<String>) {
    let text = |field: &str| entry[field].as_str().unwrap_or_default();
    let (kind, name) = (text("kind"), text("name"));
    let schema = entry["schema"].as_str().unwrap_or("-");
    let statements = |field: &str| -> Vec<&str> {
        let statements = entry[field].as_array().map_or(&[][..], Vec::as_slice);
        statements.iter().map(|s| s.as_str().unwrap()).collect()
    };
    let name = match kind {
        _ if WITH_TABLE.contains(&kind) => format!("{} {name}", text("relation")),
        "CAST" | "TRANSFORM" | "USER MAPPING" => format!("{kind} {name}"),
        "OPERATOR" => name.split(" (").next().unwrap().to_owned(),
        "OPERATOR CLASS" | "OPERATOR FAMILY" => name.split(" USING ").next().unwrap().to_owned(),
        "BLOB METADATA" | "BLOBS" => name.replace("LARGE OBJECT ", ""),
        _ => name.to_owned(),
    };
    // An entry that only comments on something, or grants, makes nothing.
    let is_grant = kind == "DEFAULT ACL";
    if is_grant || !statements("create").is_empty() || entry["section"] == "data" {
        objects.insert(key(kind, schema, &name));
    }
    let unqualified = |target: &str| {
        let target = target.replace('"', "");
        target.replace(&format!("{schema}."), "")
    };
    for statement in statements("comments") {
        let target = statement.strip_prefix("COMMENT ON ").unwrap();
        let (target, _) = target.split_once(" IS ").unwrap();
        objects.insert(key("COMMENT", schema, &unqualified(target)));
    }
    for statement in statements("privileges").into_iter().filter(|_| !is_grant) {
        let (what, rest) = statement.split_once(" ON ").unwrap();
        let end = rest.find(" TO ").or_else(|| rest.find(" FROM ")).unwrap();
        let target = unqualified(&rest[..end]);
        let target = match what.split_once('(') {
            Some((_, columns)) => {
                let column = columns.replace([')', '"'], "");
                format!("COLUMN {}.{column}", target.replace("TABLE ", ""))
            }
            None => target,
        };
        objects.insert(key("ACL", schema, &target));
    }
}
