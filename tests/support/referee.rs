//! The referee: says whether two databases are the same, by means that pgstow has no part in.
//!
//! Schemas are compared by PostgreSQL's own pg_dump 18, rows by hashes that the server computes.

use super::database::Db;
use super::process::run;
use std::collections::BTreeMap;
use std::process::Command;

/// `pg_dump --schema-only` of major 18, normalised. Owners and privileges are in it.
#[track_caller]
pub fn pg_dump_schema(db: &Db) -> String {
    pg_dump_schema_by(db, db.tool("pg_dump"))
}

/// The same by another pg_dump, given as a command that reaches the database's server.
#[track_caller]
pub fn pg_dump_schema_by(db: &Db, mut pg_dump: Command) -> String {
    // What pg_dump itself leaves to the database's settings, though it shows in the output.
    pg_dump.env("PGOPTIONS", "-c quote_all_identifiers=off -c timezone=UTC");
    // The key is random if not given, and would differ in every dump.
    pg_dump.args(["--schema-only", "--restrict-key=test"]);
    pg_dump.args([&encoding_option(db), db.name()]);
    normalise(&text_of(run(&mut pg_dump).success().stdout_bytes))
}

/// The `--encoding` with which pg_dump can say everything that the database holds: it takes the
/// database's setting of `client_encoding` if not told.
pub fn encoding_option(db: &Db) -> String {
    let own = db.query_one("select getdatabaseencoding()");
    format!(
        "--encoding={}",
        if own == "SQL_ASCII" {
            "SQL_ASCII"
        } else {
            "UTF8"
        }
    )
}

/// Bytes that are no UTF-8 become one character each, so that none is lost to the comparison.
pub fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|e| e.into_bytes().into_iter().map(char::from).collect())
}

/// Takes out of a pg_dump script what does not belong to the database. The rules, all of them:
///
/// 1. `-- Dumped from database version` and `-- Dumped by pg_dump version` name programs.
/// 2. The column option `pg_attver` is the server's own counter: newer minor releases keep it in
///    `attoptions` of columns whose row type something depends on, and it changes with each load.
///    The element is removed; a statement that set nothing else goes with its blank lines.
pub fn normalise(script: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut skip_blank = false;
    // Not `lines()`: a carriage return before the newline is part of somebody's comment or function.
    for line in script.strip_suffix('\n').unwrap_or(script).split('\n') {
        if line.starts_with("-- Dumped from database version ")
            || line.starts_with("-- Dumped by pg_dump version ")
        {
            continue;
        }
        if skip_blank && line.is_empty() {
            continue;
        }
        skip_blank = false;
        match without_attver(line) {
            Some(kept) if kept.is_empty() => skip_blank = true,
            Some(kept) => lines.push(kept),
            None => lines.push(line.to_owned()),
        }
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// `None` when the line does not set `pg_attver`; the line without it, or nothing, when it does.
fn without_attver(line: &str) -> Option<String> {
    if !line.starts_with("ALTER ") {
        return None;
    }
    let (head, options) = line.strip_suffix(");")?.rsplit_once(" SET (")?;
    if !options.contains("pg_attver=") {
        return None;
    }
    let kept: Vec<&str> = options
        .split(", ")
        .filter(|option| !option.starts_with("pg_attver="))
        .collect();
    if kept.is_empty() {
        Some(String::new())
    } else {
        Some(format!("{head} SET ({});", kept.join(", ")))
    }
}

/// What a database holds: for each table (also materialized views; partitions by leaf; inheritance
/// children apart from their parents) its row count and a hash over its rows which does not depend
/// on their order. Sequences appear as `sequence NAME` with `last_value,is_called`, large objects
/// together as `large objects`. Foreign tables are left out. A table partitioned by the hash of an
/// enum counts as a whole: the hash is of the value's OID, so each database spreads the rows in its
/// own way.
#[track_caller]
pub fn table_hashes(db: &Db) -> BTreeMap<String, (i64, String)> {
    // One JSON array a line: names may hold newlines. The alias is one that no column of a fixture
    // has, else `alias::text` would be that column.
    const LIST: &str = r#"
        with by_enum_hash as (
            select p.partrelid from pg_catalog.pg_partitioned_table p
             where p.partstrat = 'h' and exists (
                select from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
                 where a.attrelid = p.partrelid and a.attnum = any (p.partattrs) and t.typtype = 'e')
        )
        select case
            when c.relkind = 'S' then
                format('select json_build_array(%L, 1, last_value || '','' || is_called) from %I.%I;',
                       'sequence ' || n.nspname || '.' || c.relname, n.nspname, c.relname)
            when c.relkind = 'm' and not c.relispopulated then
                format('select json_build_array(%L, 0, ''not populated'');', n.nspname || '.' || c.relname)
            else
                format('select json_build_array(%L, count(*), coalesce(sum(hashtextextended('
                       '("pgstow referee row".*)::text collate "C", 0)), 0)::text)'
                       ' from %s %I.%I as "pgstow referee row";',
                       n.nspname || '.' || c.relname, case c.relkind when 'p' then '' else 'only' end,
                       n.nspname, c.relname)
            end
          from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where (c.relkind in ('r', 'm', 'S') or c.oid in (select partrelid from by_enum_hash))
           and c.relpersistence <> 't'
           and not exists (select from pg_catalog.pg_partition_ancestors(c.oid) as up
                            where up <> c.oid and up in (select partrelid from by_enum_hash))
           and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
         order by n.nspname collate "C", c.relname collate "C";
        select 'select json_build_array(''large objects'', count(*), coalesce(sum(hashtextextended('
               'oid || '':'' || md5(lo_get(oid)), 0)), 0)::text) from pg_catalog.pg_largeobject_metadata;';
    "#;
    // Whatever the database sets for its sessions, the hashes are of the same texts.
    const SETTINGS: &str = r"
        select case getdatabaseencoding() when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end as encoding \gset
        set client_encoding = :'encoding';
        set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres';
        set extra_float_digits = 3; set bytea_output = 'hex'; set lc_monetary = 'C';
        set quote_all_identifiers = off; set search_path = ''; set row_security = off;
        set statement_timeout = 0; set lock_timeout = 0; set jit = off;
    ";
    let psql = |sql: &[u8]| {
        let mut command = db.tool("psql");
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        super::run_with_input(&mut command, sql)
            .success()
            .stdout_bytes
    };
    let mut hashes = BTreeMap::new();
    let mut script = SETTINGS.as_bytes().to_vec();
    script.extend(psql(format!("{SETTINGS}{LIST}").as_bytes()));
    for line in text_of(psql(&script)).lines() {
        let (name, rows, hash): (String, i64, String) =
            serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line}"));
        let old = hashes.insert(name, (rows, hash));
        assert!(old.is_none(), "one name twice: {line}");
    }
    hashes
}

/// Panics with the first differing lines unless both databases have the same schema.
#[track_caller]
pub fn assert_same_schema(source: &Db, target: &Db) {
    assert_same_text(&pg_dump_schema(source), &pg_dump_schema(target));
}

/// Panics with a unified diff unless the two dump scripts are equal.
#[track_caller]
pub fn assert_same_text(left: &str, right: &str) {
    if left == right {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("source.sql"), dir.path().join("target.sql"));
    std::fs::write(&a, left).unwrap();
    std::fs::write(&b, right).unwrap();
    let diff = run(Command::new("diff").arg("-u").arg(&a).arg(&b)).stdout;
    let shown: String = diff
        .lines()
        .take(200)
        .map(|line| format!("{line}\n"))
        .collect();
    panic!("the schemas differ:\n{shown}");
}

/// Panics with a list of the differences unless both databases hold the same rows, sequence values
/// and large objects.
#[track_caller]
pub fn assert_same_data(source: &Db, target: &Db) {
    let (left, right) = (table_hashes(source), table_hashes(target));
    let mut differences = Vec::new();
    for name in left
        .keys()
        .chain(right.keys().filter(|name| !left.contains_key(*name)))
    {
        let (a, b) = (left.get(name), right.get(name));
        if a != b {
            differences.push(format!("{name}: source {a:?}, target {b:?}"));
        }
    }
    assert!(
        differences.is_empty(),
        "the data differ:\n{}",
        differences.join("\n")
    );
}
