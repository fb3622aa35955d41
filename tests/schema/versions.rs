//! Across major versions. Into a newer server, the judge is what pg_dump and pg_restore of the
//! target's major make of the same source; into an older one, what cannot be there is told
//! beforehand, all of it, and all the rest arrives.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::{
    self, Db, Server, assert_same_text, encoding_option, fixture_path, pg_dump_schema_by, pgstow,
    run,
};

/// A database of the source's major in an archive, kept in a directory that goes with it.
struct Archived {
    source: Db,
    directory: tempfile::TempDir,
}

impl Archived {
    fn new(source: Db, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let archived = Self { source, directory };
        run(pgstow()
            .args(["dump", "-d", &archived.source.url(), "-f"])
            .arg(archived.path())
            .args(options))
        .success();
        archived
    }

    /// Another archive of the same source.
    fn again(&self, options: &[&str]) -> Self {
        let source = self.source.server().db(self.source.name());
        Self::new(source, &[&["--copy-format", "text"], options].concat())
    }

    fn fixtures(major: u32, options: &[&str]) -> Self {
        let source = Server::start(major).create_db("source");
        // What pg_restore cannot make at all, it can be no referee for.
        source.load_fixtures_that(|fixture| fixture.name != "languages-beyond");
        Self::new(source, options)
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("archive")
    }

    fn restore(&self, target: &Db, options: &[&str]) -> support::Output {
        run(pgstow()
            .args(["restore", "-d", &target.url(), "--quiet"])
            .args(options)
            .arg(self.path()))
    }

    /// The tables whose rows are not the archive's.
    fn differing(&self, target: &Db) -> BTreeSet<String> {
        let output = run(pgstow()
            .args(["verify", "--against", &target.url()])
            .arg(self.path()));
        let names = output
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix("pgstow: differs: "));
        let differing: BTreeSet<String> = names
            .map(|line| line.split(": ").next().unwrap().to_owned())
            .collect();
        let code = i32::from(!differing.is_empty());
        output.expect_code(code);
        differing
    }
}

fn target(major: u32) -> Db {
    let server = Server::start(major);
    server.load_roles();
    server.create_db("target")
}

/// What pg_dump and pg_restore of the target's major make of the source.
fn by_pg_restore(source: &Db, major: u32, directory: &Path) -> Db {
    let server = Server::start(major);
    let made = server.create_db("referee");
    let archive = directory.join("pg_dump");
    let mut pg_dump = server.own_tool("pg_dump");
    source.server().point_at(&mut pg_dump);
    pg_dump.args(["-Fc", "-Z0", &encoding_option(source), source.name(), "-f"]);
    run(pg_dump.arg(&archive)).success();
    let mut pg_restore = server.own_tool("pg_restore");
    pg_restore.args(["-d", made.name()]).arg(&archive);
    let said = run(&mut pg_restore).stderr;
    // What pg_restore is known to get wrong in the fixtures is put right by hand:
    // 1. It sets the state of a partition's trigger before there is the parent's trigger.
    let errors: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("ERROR:"))
        .collect();
    let known = |line: &&str| line.contains("trigger \"on Years\" for table \"year1_m1\"");
    assert!(errors.iter().all(known), "pg_restore: {said}");
    made.psql("ALTER TABLE fx_statements.year1_m1 DISABLE TRIGGER \"on Years\"");
    // 2. A default that a child column dropped comes back from its parent's parent, one that a
    //    domain dropped from the domain below it.
    made.psql("ALTER TABLE fx_statements.grandchild ALTER COLUMN eyes DROP DEFAULT");
    made.psql("ALTER DOMAIN fx_domains.lost_it DROP DEFAULT");
    made
}

/// The fixtures of the older major, there by pgstow and by PostgreSQL's own tools.
fn into_newer(from: u32, to: u32) {
    let archived = Archived::fixtures(from, &[]);
    let target = target(to);
    let said = archived.restore(&target, &[]).success().stderr;
    assert!(!said.contains("adapted:"), "lost on the way up: {said}");
    let referee = by_pg_restore(&archived.source, to, archived.directory.path());
    // 3. A domain's default that is its base type's comes out as an expression of its own.
    let schema = |db: &Db| {
        pg_dump_schema_by(db, db.server().own_tool("pg_dump"))
            .replace("DEFAULT '7'::fx_base_types.number_like", "DEFAULT '7'")
    };
    assert_same_text(&schema(&referee), &schema(&target));
    assert_eq!(archived.differing(&target), BTreeSet::new());
}

#[test]
fn from_13_to_14() {
    into_newer(13, 14);
}

#[test]
fn from_13_to_18() {
    into_newer(13, 18);
}

#[test]
fn from_14_to_16() {
    into_newer(14, 16);
}

#[test]
fn from_15_to_17() {
    into_newer(15, 17);
}

#[test]
fn from_16_to_18() {
    into_newer(16, 18);
}

#[test]
fn from_17_to_18() {
    into_newer(17, 18);
}

/// What fixtures/sql/other-versions.sql has that cannot be before a major.
const IMPOSSIBLE: [(u32, &str); 27] = [
    (14, "FUNCTION v.f14(n integer)"),
    (14, "FUNCTION v.m14(anymultirange)"),
    (14, "PROCEDURE v.p14(IN n integer, OUT twice integer)"),
    (14, "TABLE v.t14"),
    (14, "INDEX v.plain i14"),
    (14, "INDEX v.plain s14i"),
    (14, "STATISTICS v.plain s14"),
    (15, "INDEX v.plain i15"),
    (15, "INDEX v.plain u15"),
    (15, "VIEW v.v15"),
    (15, "FK CONSTRAINT v.child fk15"),
    (15, "PUBLICATION TABLE v.child stays child"),
    (15, "PUBLICATION TABLE v.plain stays plain"),
    (15, "PUBLICATION TABLES IN SCHEMA w.schemas w"),
    (16, "TABLE v.child16"),
    (16, "SUBSCRIPTION o16"),
    (17, "COLLATION v.c17"),
    (17, "CONSTRAINT v.parted x17"),
    (17, "EVENT TRIGGER e17"),
    (18, "COLLATION v.c18"),
    (18, "CONSTRAINT v.temporal k18"),
    (18, "FK CONSTRAINT v.temporal_child fk18"),
    (18, "CHECK CONSTRAINT v.plain ne18"),
    (18, "FK CONSTRAINT v.child nefk18"),
    (18, "FK CONSTRAINT v.parted nv18"),
    (18, "DEFAULT ACL DEFAULT PRIVILEGES FOR LARGE OBJECTS"),
    // Not there by version, but because nobody installed it.
    (99, "EXTENSION pgstow_settings"),
];

fn impossible_before(major: u32) -> BTreeSet<String> {
    let names = IMPOSSIBLE.iter().filter(|(since, _)| major < *since);
    names.map(|(_, name)| (*name).to_owned()).collect()
}

/// The names behind `impossible: ` in lines of text, of what is impossible itself.
fn told_impossible(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.split_once("impossible: "))
        .filter(|(_, rest)| !rest.contains(": it needs "))
        .map(|(_, rest)| {
            let end = rest.find(": PostgreSQL ").or(rest.find(": the target's"));
            rest[..end.unwrap()].to_owned()
        })
        .collect()
}

/// The names behind `impossible: ` in lines of text, of what goes with what it needs.
fn told_along(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.split_once("impossible: "))
        .filter_map(|(_, rest)| rest.split_once(": it needs "))
        .map(|(name, _)| name.to_owned())
        .collect()
}

fn other_versions() -> Archived {
    let server = Server::start(18);
    let source = server.create_db("source");
    source.load_fixture("other-versions");
    source.psql("CREATE EXTENSION pgstow_settings");
    Archived::new(source, &["--copy-format", "text"])
}

#[test]
fn an_older_server_is_told_what_it_cannot_have() {
    let archived = other_versions();
    let without_extension = archived.again(&["--exclude-extension", "pgstow_settings"]);
    for major in [13, 14, 15, 16, 17] {
        let target = target(major);
        let impossible = impossible_before(major);

        let refused = archived.restore(&target, &[]).expect_code(6);
        assert_eq!(told_impossible(&refused.stderr), impossible, "{major}");
        let made =
            target.query_one("select count(*) from pg_namespace where nspname in ('v', 'w')");
        assert_eq!(made, "0", "{major}: nothing is changed");

        // Without a server it cannot be known what is installed there.
        let version = major.to_string();
        let plan = run(pgstow()
            .args(["restore", "--dry-run", "--target-version", &version])
            .arg(archived.path()))
        .success();
        let mut by_version = impossible.clone();
        by_version.remove("EXTENSION pgstow_settings");
        assert_eq!(told_impossible(&plan.stdout), by_version, "{major}");

        let skipped = archived.restore(&target, &["--skip-impossible"]).success();
        let along = told_along(&refused.stderr);
        assert_eq!(told_along(&skipped.stderr), along, "{major}");
        assert_eq!(along.contains("TABLE v.needs_c17"), major < 17, "{major}");
        let lost: BTreeSet<String> = [
            (14, "v.t14"),
            (16, "v.child16"),
            (17, "v.needs_c17"),
            (99, "fx_settings.all_rows"),
            (99, "fx_settings.refers"),
            (99, "fx_settings.users_rows"),
        ]
        .iter()
        .filter(|(since, _)| major < *since)
        .map(|(_, name)| (*name).to_owned())
        .collect();
        assert_eq!(archived.differing(&target), lost, "{major}");
        for table in &lost {
            let rows = format!("TABLE DATA {table}");
            assert!(along.contains(&rows), "{major}: {rows}: {along:?}");
        }
        what_is_made_in_another_way(&target);

        // Told to go on, a restore does the same and says that it is not all.
        let target = self::target(major);
        let undone = archived.restore(&target, &["--continue"]).expect_code(3);
        assert_eq!(told_impossible(&undone.stderr), impossible, "{major}");
        assert_eq!(told_along(&undone.stderr), along, "{major}");
        assert_eq!(archived.differing(&target), lost, "{major}");

        by_script(&without_extension, &target);
    }
}

/// The script for a version makes what the restore makes. Which extensions there are only a server
/// can say, so that this archive has none.
fn by_script(archived: &Archived, restored: &Db) {
    let script = archived.directory.path().join("script.sql");
    let version = restored.major().to_string();
    let write = |options: &[&str]| {
        run(pgstow()
            .args(["sql", "--target-version", &version, "--quiet"])
            .args(options)
            .arg(archived.path())
            .arg("-f")
            .arg(&script))
    };
    write(&[]).expect_code(6);
    // Which extensions there are only a server can say.
    write(&[
        "--skip-impossible",
        "--exclude-extension",
        "pgstow_settings",
    ])
    .success();
    let scripted = target(restored.major());
    scripted.psql_file(&script);
    let tools = Server::start(restored.major().max(14));
    let schema = |db: &Db| {
        let mut pg_dump = tools.own_tool("pg_dump");
        db.server().point_at(&mut pg_dump);
        pg_dump_schema_by(db, pg_dump)
    };
    assert_same_text(&schema(restored), &schema(&scripted));
    let scripted = archived.differing(&scripted);
    assert_eq!(scripted, archived.differing(restored), "{version}");
}

/// What a server before 18 has instead.
fn what_is_made_in_another_way(db: &Db) {
    let one = |sql: &str| db.query_one(sql);
    assert_eq!(
        one(
            "select string_agg(attname || attnotnull, ' ' order by attnum) from pg_attribute
              where attrelid = 'v.named'::regclass and attnum > 0"
        ),
        "atrue bfalse cfalse dtrue"
    );
    assert_eq!(
        db.query_rows(
            "select conname, pg_get_constraintdef(oid), obj_description(oid) from pg_constraint
              where conrelid = 'v.named'::regclass and contype = 'c' order by 1"
        ),
        [
            [
                Some("named_b_not_null".to_owned()),
                Some("CHECK ((b IS NOT NULL)) NO INHERIT".to_owned()),
                Some("kept as that of a CHECK".to_owned())
            ],
            [
                Some("unsure".to_owned()),
                Some("CHECK ((c IS NOT NULL)) NOT VALID".to_owned()),
                None
            ],
        ]
    );
    // A child's own NULL is there, although the parent has NOT NULL NO INHERIT.
    assert_eq!(one("select count(*) from v.heir where b is null"), "1");
    assert_eq!(
        one(
            "select string_agg(attgenerated::text, '' order by attnum) from pg_attribute
              where attrelid = 'v.virtual'::regclass and attnum > 0"
        ),
        "ss"
    );
    assert_eq!(one("select sum(v) from v.virtual"), "5");
    assert_eq!(one("select last_value from v.unlogged"), "7");
    assert_eq!(
        one(
            "select array_to_string(reloptions, ',') from pg_class where oid = 'v.tuned'::regclass"
        ),
        "fillfactor=70"
    );
    assert_eq!(
        one("select coalesce(string_agg(distinct a.grantee::regrole || ' ' || a.privilege_type, ', '), '')
               from pg_class c, aclexplode(c.relacl) a
              where c.oid = 'v.owned'::regclass and a.grantee = 'fx_writer'::regrole"),
        if db.major() < 17 { "" } else { "fx_writer MAINTAIN" }
    );
    assert_eq!(
        one("select count(*) from pg_class c, aclexplode(c.relacl) a
              where c.oid = 'v.owned'::regclass and a.grantee = 'fx_reader'::regrole"),
        if db.major() < 17 { "7" } else { "8" }
    );
    assert_eq!(
        one("select typnotnull from pg_type where typname = 'strict'"),
        "t"
    );
    // The sequence goes on where the source's stood.
    db.psql("INSERT INTO v.counted (a) VALUES (1)");
    assert_eq!(one("select max(id) from v.counted"), "3");
}

/// Everything that the fixtures of a newer major have, as far as the older one can have it.
fn into_older(from: u32, to: u32, refused: &[&str]) {
    // In text, since an older extension may not read its types in binary.
    let archived = Archived::fixtures(from, &["--copy-format", "text"]);
    let target = target(to);
    let code = if refused.is_empty() { 0 } else { 3 };
    let restored = archived
        .restore(&target, &["--skip-impossible", "--continue", "--json"])
        .expect_code(code);
    let last: serde_json::Value =
        serde_json::from_str(restored.stdout.lines().last().unwrap()).unwrap();
    let names = |list: &str| -> BTreeSet<String> {
        let list = last["report"][list].as_array().unwrap();
        let name = |item: &serde_json::Value| {
            let name = item["entry"].as_str().or(item["name"].as_str()).unwrap();
            name.to_owned()
        };
        list.iter().map(name).collect()
    };
    let refused: BTreeSet<String> = refused.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(names("failed"), refused);
    // The rows of what is there are the archive's.
    let mut gone: BTreeSet<String> = names("omitted");
    gone.extend(refused);
    for table in archived.differing(&target) {
        let rows = format!("TABLE DATA {table}");
        assert!(gone.contains(&rows), "{table} differs, and nobody said so");
    }
}

#[test]
fn from_18_to_17() {
    into_older(18, 17, &[]);
}

#[test]
fn from_16_to_14() {
    into_older(16, 14, &[]);
}

#[test]
fn from_17_to_13() {
    // No list of objects can know of these: Infinity came to numeric with 14, and so did the C
    // function over which another is made.
    into_older(
        17,
        13,
        &[
            "FUNCTION fx_base_types.Sub\"scripts(internal)",
            "TABLE DATA fx_data.numbers",
        ],
    );
}

/// `public` has the source's owner and privileges, whatever a new database on the target gives it.
#[test]
fn public_stays_as_it_is() {
    let facts = |db: &Db| {
        let owner =
            db.query_one("select nspowner::regrole from pg_namespace where nspname = 'public'");
        let given = db.query_rows(
            "select a.grantee::regrole::text, a.privilege_type, a.is_grantable::text
               from pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
              where n.nspname = 'public' and a.grantee <> n.nspowner
              order by 1, 2",
        );
        (owner, given)
    };
    const CHANGES: [&str; 4] = [
        "SELECT",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        "GRANT ALL ON SCHEMA public TO PUBLIC, fx_reader; ALTER SCHEMA public OWNER TO fx_owner",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC; ALTER SCHEMA public OWNER TO pg_database_owner",
    ];
    for change in CHANGES {
        for (from, to) in [(13, 15), (13, 14), (14, 18), (15, 13), (15, 18), (18, 14)] {
            // 13 does not have the role.
            if from == 13 && change.contains("pg_database_owner") {
                continue;
            }
            let source = self::target(from);
            source.psql(change);
            let archived = Archived::new(source, &[]);
            let target = target(to);
            archived.restore(&target, &[]).success();
            let (mut owner, given) = facts(&archived.source);
            if to == 13 && owner == "pg_database_owner" {
                owner = "postgres".to_owned();
            }
            assert_eq!(facts(&target), (owner, given), "{from} to {to}: {change}");
        }
    }
}

/// What only servers before 14 have.
#[test]
fn a_newer_server_is_told_what_it_cannot_have() {
    let source = Server::start(13).create_db("source");
    source.psql(
        "CREATE AGGREGATE all_of(anyelement) (SFUNC = array_append, STYPE = anyarray, INITCOND = '{}');
         CREATE AGGREGATE all_ints(int) (SFUNC = array_append, STYPE = int[], INITCOND = '{}');
         CREATE OPERATOR !! (LEFTARG = int8, PROCEDURE = numeric_fac);
         CREATE OPERATOR @+ (LEFTARG = anyarray, RIGHTARG = anyelement, PROCEDURE = array_append);
         CREATE VIEW factorial AS SELECT 5::int8 OPERATOR(public.!!) AS f;
         CREATE VIEW stays AS SELECT all_ints(1);
         CREATE OPERATOR @! (RIGHTARG = int8, PROCEDURE = numeric_fac);
         CREATE VIEW prefixed AS SELECT @! 5::int8 AS f;
         CREATE TYPE loose;
         CREATE FUNCTION loose_in(cstring) RETURNS loose LANGUAGE internal IMMUTABLE STRICT AS 'textin';
         CREATE FUNCTION loose_out(loose) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
         CREATE TYPE loose (INPUT = loose_in, OUTPUT = loose_out, INTERNALLENGTH = VARIABLE, ELEMENT = int);
         CREATE FUNCTION sets() RETURNS int LANGUAGE sql SET operator_precedence_warning TO on
             SET force_parallel_mode TO off SET work_mem TO '5MB' AS 'SELECT 1';
         CREATE TABLE plain (a int, b int);
         CREATE TABLE generated (a int, b int GENERATED ALWAYS AS (a * 2) STORED) INHERITS (plain);
         CREATE TABLE joined (a int, b int GENERATED ALWAYS AS (a * 3) STORED);
         ALTER TABLE joined INHERIT plain;
         CREATE TABLE parted (a int, b int) PARTITION BY LIST (a);
         CREATE TABLE part (a int, b int GENERATED ALWAYS AS (a * 3) STORED);
         ALTER TABLE parted ATTACH PARTITION part FOR VALUES IN (1);
         INSERT INTO plain VALUES (1, 1); INSERT INTO generated VALUES (2); INSERT INTO part VALUES (1)",
    );
    let archived = Archived::new(source, &[]);
    let before = target(13);
    archived.restore(&before, &[]).success();
    for major in [14, 18] {
        let target = target(major);
        let refused = archived.restore(&target, &[]).expect_code(6);
        let expected = [
            (14, "AGGREGATE public.all_of(anyelement)"),
            (14, "OPERATOR public.!! (bigint, NONE)"),
            (14, "OPERATOR public.@+ (anyarray, anyelement)"),
            (14, "TYPE public.loose"),
            (16, "TABLE public.generated"),
            (16, "TABLE public.joined"),
            (16, "TABLE ATTACH public.part part"),
        ];
        let expected = expected.iter().filter(|(since, _)| *since <= major);
        let expected: BTreeSet<String> = expected.map(|(_, name)| (*name).to_owned()).collect();
        assert_eq!(told_impossible(&refused.stderr), expected);
        let along = told_along(&refused.stderr);
        assert!(along.contains("VIEW public.factorial"), "{along:?}");
        archived.restore(&target, &["--skip-impossible"]).success();
        let views = target
            .query_rows("select viewname from pg_views where schemaname = 'public' order by 1");
        let names = ["prefixed", "stays"].map(|name| [Some(name.to_owned())]);
        assert_eq!(views, names);
        // The function has another name there.
        assert_eq!(target.query_one("select f from prefixed"), "120");
        assert_eq!(target.query_one("select b from part"), "3");
        let gone = "adapted: the server has no setting operator_precedence_warning: ";
        assert!(refused.stderr.contains(gone), "{}", refused.stderr);
        let kept = match major {
            14 => "{force_parallel_mode=off,work_mem=5MB}",
            _ => "{work_mem=5MB}",
        };
        let settings = "select proconfig::text from pg_proc where proname = 'sets'";
        assert_eq!(target.query_one(settings), kept);
    }
}

/// What the server does not offer is known before the old database is dropped.
#[test]
fn a_version_that_is_not_offered_leaves_the_old_database() {
    let source = Server::start(18).create_db("source");
    source.psql("CREATE EXTENSION pg_stat_statements VERSION '1.12'; CREATE TABLE new (i int)");
    let archived = Archived::new(source, &[]);
    let old = target(17);
    old.psql("CREATE TABLE old (i int)");
    let options = [
        "restore",
        "--create",
        "--clean",
        "--extension-versions",
        "--create-as",
    ];
    let mut restore = pgstow();
    old.server().point_at(&mut restore);
    let refused = run(restore
        .args(options)
        .args([old.name(), "-d", "postgres"])
        .arg(archived.path()))
    .expect_code(6);
    let told = "does not offer EXTENSION pg_stat_statements in version 1.12";
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
    assert_eq!(old.query_one("SELECT count(*) FROM old"), "0");
}

#[test]
fn versions_that_make_no_sense_are_usage_errors() {
    let missing = fixture_path("no such archive");
    for options in [
        vec!["restore", "--target-version", "15", "-d", "x"],
        vec!["restore", "--dry-run", "--target-version", "15", "-d", "x"],
        vec!["restore", "--dry-run", "--target-version", "9.6"],
        vec!["sql", "--target-version", "twelve"],
    ] {
        run(pgstow().args(&options).arg(&missing)).expect_code(2);
    }
}
