//! Restores into a database that holds something: rows alone, sections, clean, one transaction.

use super::selection::{dumped, restored};
use super::support::{Db, Server, assert_same_data, assert_same_schema, pgstow, run};

const FAMILY: &str = "
    CREATE TABLE a_child (id int PRIMARY KEY, parent int);
    CREATE TABLE b_parent (id int PRIMARY KEY, grand int);
    CREATE TABLE c_grand (id int PRIMARY KEY);
    CREATE TABLE part (id int, who int) PARTITION BY HASH (id);
    CREATE TABLE part_0 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE part_1 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO c_grand SELECT generate_series(1, 500);
    INSERT INTO b_parent SELECT n, n FROM generate_series(1, 500) n;
    INSERT INTO a_child SELECT n, n FROM generate_series(1, 500) n;
    INSERT INTO part SELECT n, n FROM generate_series(1, 500) n;
    ALTER TABLE a_child ADD FOREIGN KEY (parent) REFERENCES b_parent;
    ALTER TABLE b_parent ADD FOREIGN KEY (grand) REFERENCES c_grand;
    ALTER TABLE part ADD FOREIGN KEY (who) REFERENCES a_child;
";

#[test]
fn rows_alone_go_in_by_the_order_of_foreign_keys() {
    let server = Server::start(18);
    let source = server.create_db("family");
    source.psql(FAMILY);
    let (dir, archive) = dumped(&source, &[]);
    let target = server.create_db("rows");
    restored(&target, &archive, &["-s"]).success();
    let said = restored(&target, &archive, &["-a", "-j8"]).success().stderr;
    assert!(!said.contains("warning"), "{said}");
    assert_same_data(&source, &target);
    // What is not there is named before anything is loaded.
    let target = server.create_db("lacking");
    target.psql("CREATE TABLE c_grand (id int PRIMARY KEY)");
    let said = restored(&target, &archive, &["-a"]).expect_code(6).stderr;
    assert!(
        said.contains(
            "lacks 4 tables that rows are for: public.a_child, public.b_parent, public.part_0, public.part_1"
        ),
        "{said}"
    );
    assert_eq!(target.query_one("SELECT count(*) FROM c_grand"), "0");
    // By section as well.
    let target = server.create_db("sections");
    restored(&target, &archive, &["--section=pre-data"]).success();
    restored(&target, &archive, &["--section=post-data"]).success();
    restored(&target, &archive, &["--section=data", "-j8"]).success();
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);

    // A circle is named, and the way out works.
    source.psql(
        "ALTER TABLE c_grand ADD child int REFERENCES a_child; UPDATE c_grand SET child = id; \
         ALTER TABLE a_child ADD other int REFERENCES a_child; UPDATE a_child SET other = 501 - id",
    );
    let circle = dir.path().join("circle.pgstow");
    let url = source.url();
    run(pgstow().args(["dump", "--quiet", &url, "-f"]).arg(&circle)).success();
    let target = server.create_db("circle");
    restored(&target, &circle, &["-s"]).success();
    let said = restored(&target, &circle, &["-a"]).expect_code(1).stderr;
    assert!(
        said.contains("circle between the tables public.a_child, public.b_parent, public.c_grand"),
        "{said}"
    );
    target.psql("TRUNCATE a_child, b_parent, c_grand, part");
    let said = restored(&target, &circle, &["-a", "--disable-triggers"])
        .success()
        .stderr;
    assert!(!said.contains("warning"), "{said}");
    assert_same_data(&source, &target);
}

/// Rows that go through the root may end up in any leaf.
#[test]
fn triggers_of_a_whole_tree_are_switched_and_get_their_states_back() {
    let server = Server::start(18);
    let source = server.create_db("tree");
    source.psql(
        "CREATE TYPE mood AS ENUM ('x', 'a', 'b', 'c', 'd', 'e'); \
         CREATE TABLE root (m mood, n int) PARTITION BY HASH (m); \
         CREATE TABLE leaf_0 PARTITION OF root FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
         CREATE TABLE leaf_1 PARTITION OF root FOR VALUES WITH (MODULUS 2, REMAINDER 1); \
         INSERT INTO root SELECT (ARRAY['a', 'b', 'c', 'd', 'e'])[n % 5 + 1]::mood, n FROM generate_series(1, 1000) n; \
         CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''fired''; END'; \
         CREATE TRIGGER up AFTER INSERT ON root FOR EACH ROW EXECUTE FUNCTION fired(); \
         CREATE TRIGGER zero BEFORE INSERT ON leaf_0 FOR EACH ROW EXECUTE FUNCTION fired(); \
         CREATE TRIGGER one BEFORE INSERT ON leaf_1 FOR EACH ROW EXECUTE FUNCTION fired(); \
         CREATE TRIGGER off BEFORE INSERT ON leaf_1 FOR EACH ROW EXECUTE FUNCTION fired(); \
         ALTER TABLE leaf_1 DISABLE TRIGGER off, DISABLE TRIGGER up; \
         ALTER TABLE leaf_0 ENABLE REPLICA TRIGGER up, ENABLE ALWAYS TRIGGER zero",
    );
    let (_dir, archive) = dumped(&source, &[]);
    let states = "SELECT string_agg(tgrelid::regclass || tgname::text || tgenabled::text, ' ' ORDER BY 1, tgrelid::regclass::text, tgname) \
                  FROM pg_trigger";
    let states = states.replace("ORDER BY 1, ", "ORDER BY ");
    let target = server.create_db("tree");
    restored(&target, &archive, &["-s"]).success();
    assert_eq!(target.query_one(&states), source.query_one(&states));
    restored(&target, &archive, &["-a", "-j4", "--disable-triggers"]).success();
    assert_eq!(target.query_one(&states), source.query_one(&states));
    let rows = "SELECT count(*) || ' ' || sum(n) FROM root";
    assert_eq!(target.query_one(rows), source.query_one(rows));

    // By a role that may not switch triggers itself, in a superuser's name.
    target.psql(
        "TRUNCATE root; CREATE ROLE loader; GRANT ALL ON ALL TABLES IN SCHEMA public TO loader",
    );
    let role = ["-a", "--disable-triggers", "--role=loader"];
    let said = restored(&target, &archive, &role).expect_code(1).stderr;
    assert!(said.contains("--superuser"), "{said}");
    let named = [&role[..], &["-S", "postgres"]].concat();
    restored(&target, &archive, &named).success();
    assert_eq!(target.query_one(&states), source.query_one(&states));
    assert_eq!(target.query_one(rows), source.query_one(rows));
    target.psql("DROP OWNED BY loader; DROP ROLE loader");
}

/// As after a change of hash functions: the target puts rows into other partitions.
#[test]
fn rows_that_belong_elsewhere_go_in_through_the_root() {
    let server = Server::start(18);
    let source = server.create_db("moved");
    let table = |zero: &str, one: &str| {
        format!(
            "CREATE TABLE t (a text, n int) PARTITION BY LIST (a); \
             CREATE TABLE t_0 PARTITION OF t FOR VALUES IN ('{zero}'); \
             CREATE TABLE t_1 PARTITION OF t FOR VALUES IN ('{one}');"
        )
    };
    source.psql(&table("x", "y"));
    source.psql(
        "INSERT INTO t SELECT (ARRAY['x', 'y'])[n % 2 + 1], n FROM generate_series(1, 100) n",
    );
    let (_dir, archive) = dumped(&source, &[]);
    let target = server.create_db("moved");
    target.psql(&table("y", "x"));
    let said = restored(&target, &archive, &["-a"]).expect_code(1).stderr;
    assert!(said.contains("violates partition constraint"), "{said}");
    assert!(said.contains("--load-via-partition-root"), "{said}");
    restored(
        &target,
        &archive,
        &["-a", "--load-via-partition-root", "-j4"],
    )
    .success();
    assert_eq!(
        target.query_one("SELECT count(*) || ' ' || sum(n) FROM t"),
        "100 5050"
    );
    assert_eq!(
        target.query_one("SELECT count(*) FROM t_0 WHERE a = 'y'"),
        "50"
    );
}

const OBJECTS: &str = "SELECT count(*) FROM pg_class WHERE oid >= 16384";

#[test]
fn one_transaction_leaves_all_or_nothing() {
    let server = Server::start(18);
    let source = server.create_db("whole");
    source.psql(FAMILY);
    source.psql(
        "CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM part; SELECT lo_from_bytea(0, 'large')",
    );
    let (dir, archive) = dumped(&source, &[]);
    let target = server.create_db("all");
    restored(&target, &archive, &["-1"]).success();
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);
    // Once more, over itself; from a pipe too.
    restored(&target, &archive, &["-1", "--clean"]).success();
    assert_same_data(&source, &target);
    let bytes = std::fs::read(&archive).unwrap();
    let url = target.url();
    let mut piped = pgstow();
    piped.args(["restore", "-d", &url, "-1", "-c", "-"]);
    super::support::run_with_input(&mut piped, &bytes).success();
    assert_same_data(&source, &target);

    // What fails at the very end takes everything with it.
    source.psql(
        "CREATE FUNCTION public.fails() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE MATERIALIZED VIEW public.z AS SELECT public.fails() AS a;
         CREATE OR REPLACE FUNCTION public.fails() RETURNS int LANGUAGE sql AS 'SELECT 1 / 0'",
    );
    let bad = dir.path().join("bad.pgstow");
    let url = source.url();
    run(pgstow().args(["dump", "--quiet", &url, "-f"]).arg(&bad)).success();
    source.psql("DROP MATERIALIZED VIEW public.z; DROP FUNCTION public.fails()");
    let target = server.create_db("nothing");
    let said = restored(&target, &bad, &["-1"]).expect_code(1).stderr;
    assert!(
        said.contains("MATERIALIZED VIEW DATA public.z") && said.contains("division by zero"),
        "{said}"
    );
    assert_eq!(target.query_one(OBJECTS), "0");
    assert_eq!(
        target.query_one("SELECT count(*) FROM pg_largeobject_metadata"),
        "0"
    );
    restored(&target, &bad, &["--continue"]).expect_code(3);
    assert_eq!(target.query_one("SELECT count(*) FROM part"), "500");
}

#[test]
fn each_refusal_is_named_once_with_the_option_that_avoids_it() {
    let server = Server::start(18);
    let source = server.create_db("refused");
    source.psql(
        "CREATE ROLE gone_owner; CREATE EXTENSION citext; COMMENT ON EXTENSION citext IS 'mine'; \
         CREATE PUBLICATION everything FOR ALL TABLES;",
    );
    for n in 0..15 {
        source.psql(&format!(
            "CREATE TABLE t{n} (a int); ALTER TABLE t{n} OWNER TO gone_owner"
        ));
    }
    let (_dir, archive) = dumped(&source, &[]);
    source.psql("DROP OWNED BY gone_owner; DROP ROLE gone_owner");
    let target = server.create_db("refused");
    // The database's owner, not a superuser.
    target.psql(&format!(
        "CREATE ROLE plain LOGIN; ALTER DATABASE \"{}\" OWNER TO plain; CREATE EXTENSION citext",
        target.name()
    ));
    let url = target.url_as("plain", None);
    let mut command = pgstow();
    command.args([
        "restore",
        "-d",
        &url,
        "--allow-non-empty",
        "--continue",
        "-j3",
    ]);
    let output = run(command.arg(&archive)).expect_code(3);
    let said = &output.stderr;
    for line in [
        "failed 15 times: role \"gone_owner\" does not exist",
        "and 5 others",
        "--no-owner",
        "failed: EXTENSION citext: ",
        "failed: PUBLICATION everything: ",
        "--no-publications",
    ] {
        assert!(said.contains(line), "no \"{line}\" in\n{said}");
    }
    // With the options that were named, nothing is refused.
    let mut again = pgstow();
    again.args([
        "restore",
        "-d",
        &url,
        "--clean",
        "--if-exists",
        "--no-owner",
        "--no-publications",
    ]);
    again.args(["--no-comments", "-L", "-"]);
    let list = run(pgstow().arg("list").arg(&archive)).success().stdout;
    let list: Vec<&str> = list
        .lines()
        .filter(|line| !line.starts_with("EXTENSION"))
        .collect();
    super::support::run_with_input(again.arg(&archive), list.join("\n").as_bytes()).success();
    target.psql(&format!(
        "ALTER DATABASE \"{}\" OWNER TO postgres; REASSIGN OWNED BY plain TO postgres; \
         DROP OWNED BY plain; DROP ROLE plain",
        target.name()
    ));
}

fn tables(db: &Db) -> String {
    db.query_one(
        "SELECT coalesce(string_agg(relname, ' ' ORDER BY relname), '') FROM pg_class \
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')",
    )
}

#[test]
fn clean_drops_what_is_selected_and_nothing_else() {
    let server = Server::start(18);
    let source = server.create_db("clean");
    source.psql(FAMILY);
    source.psql(
        "CREATE VIEW one AS SELECT 1 AS a; CREATE VIEW two AS SELECT a FROM one; \
         CREATE OR REPLACE VIEW one AS SELECT a FROM (SELECT 1 AS a) x WHERE a IN (SELECT a FROM two) OR true; \
         CREATE EXTENSION citext; CREATE TABLE serials (id serial, b bigserial); CREATE TABLE z (a int) PARTITION BY LIST (a); \
         CREATE TABLE a_of_z PARTITION OF z DEFAULT; CREATE TYPE span; \
         CREATE FUNCTION norm(span) RETURNS span LANGUAGE internal IMMUTABLE STRICT AS 'int4range_canonical'; \
         CREATE TYPE span AS RANGE (subtype = int, canonical = norm); \
         CREATE TRIGGER t BEFORE UPDATE ON serials FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger(); \
         CREATE RULE r AS ON DELETE TO serials DO INSTEAD NOTHING; CREATE POLICY p ON serials; \
         CREATE STATISTICS s ON id, b FROM serials; CREATE PUBLICATION few FOR TABLE serials; \
         CREATE INDEX part_who ON part (who); \
         COMMENT ON SCHEMA public IS 'everybody''s'",
    );
    let (_dir, archive) = dumped(&source, &[]);
    let target = server.create_db("clean");
    // Strict: there is nothing to drop yet.
    let said = restored(&target, &archive, &["--clean"])
        .expect_code(1)
        .stderr;
    assert!(said.contains("there is none"), "{said}");
    assert!(said.contains("--if-exists"), "{said}");
    for _ in 0..2 {
        restored(&target, &archive, &["--clean", "--if-exists", "-j4"]).success();
        assert_same_schema(&source, &target);
        assert_same_data(&source, &target);
    }
    restored(&target, &archive, &["--clean"]).success();
    assert_same_schema(&source, &target);
    // Definitions only, after the rows; of one table only.
    restored(&target, &archive, &["--clean", "--section=post-data"]).success();
    assert_same_schema(&source, &target);
    target.psql("CREATE TABLE bystander (a int);");
    let all = tables(&target);
    // A partition is attached to the parent that is there, with the indexes it has of its own.
    restored(&target, &archive, &["--clean", "-j2", "-t", "part_1"]).success();
    assert_eq!(
        target.query_one("SELECT count(*) || ' ' || sum(id) FROM part"),
        source.query_one("SELECT count(*) || ' ' || sum(id) FROM part")
    );
    assert_eq!(
        target.query_one("SELECT count(*) FROM pg_inherits WHERE inhparent = 'part_who'::regclass"),
        "2"
    );
    assert_eq!(tables(&target), all);
    restored(
        &target,
        &archive,
        &["--clean", "--table-and-children", "part", "-j2"],
    )
    .success();
    assert_eq!(tables(&target), all);
    assert_eq!(target.query_one("SELECT count(*) FROM part"), "500");
    // What stands in the way is named.
    target.psql("CREATE VIEW mine AS SELECT id FROM c_grand");
    let said = restored(&target, &archive, &["--clean", "--if-exists"])
        .expect_code(1)
        .stderr;
    assert!(said.contains("mine depends on"), "{said}");
    assert!(said.contains("drop it yourself"), "{said}");
    assert_eq!(target.query_one("SELECT count(*) FROM mine"), "500");
}

/// Only `CASCADE` drops types that their own functions need, and what else it would take along is
/// named before anything is dropped.
#[test]
fn clean_takes_nothing_along_that_the_archive_does_not_have() {
    let server = Server::start(18);
    let source = server.create_db("cascade");
    source.load_fixture("base-types");
    source.load_fixture("ranges");
    source.psql(
        "CREATE TYPE pair;
         CREATE FUNCTION pair_in(cstring) RETURNS pair LANGUAGE internal IMMUTABLE STRICT AS 'int8in';
         CREATE FUNCTION pair_out(pair) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int8out';
         CREATE TYPE pair (INPUT = pair_in, OUTPUT = pair_out, LIKE = int8);
         CREATE FUNCTION twice(p pair, n int = 2) RETURNS pair LANGUAGE sql AS 'SELECT p';
         CREATE TABLE pairs (p pair DEFAULT '1', ps pair[], CHECK (twice(p) IS NOT NULL));
         CREATE VIEW shown AS SELECT twice(p) FROM pairs;
         CREATE CAST (pair AS int8) WITHOUT FUNCTION;
         INSERT INTO pairs VALUES ('7');",
    );
    let (_dir, archive) = dumped(&source, &[]);
    let target = server.create_db("strangers");
    restored(&target, &archive, &[]).success();
    for options in [&["--clean"][..], &["--clean", "--if-exists", "-1"]] {
        restored(&target, &archive, options).success();
        assert_same_schema(&source, &target);
    }
    target.psql(
        "CREATE TABLE big_log (id int, v pair);
         INSERT INTO big_log VALUES (1, '5');
         DROP VIEW shown;",
    );
    for more in [&["--if-exists"][..], &["--if-exists", "--continue"]] {
        let options = [&["--clean"][..], more].concat();
        let said = restored(&target, &archive, &options).expect_code(6).stderr;
        assert!(said.contains("column v of table public.big_log"), "{said}");
        assert!(!said.contains("pairs"), "{said}");
        assert_eq!(target.query_one("SELECT v FROM big_log"), "5");
        assert_eq!(target.query_one("SELECT p FROM pairs"), "7");
    }
}

/// Binary rows say nothing of types: a column of another one would take them for other values.
#[test]
fn binary_rows_only_go_into_columns_of_their_types() {
    let server = Server::start(18);
    let source = server.create_db("types");
    source.psql(
        "CREATE SCHEMA \"S.x\"; CREATE EXTENSION citext SCHEMA \"S.x\"; CREATE DOMAIN whole AS int;
         CREATE TABLE \"S.x\".\"T(1)\" (at timestamp(3), u uuid, n whole, name varchar(20), c \"S.x\".citext);
         INSERT INTO \"S.x\".\"T(1)\" SELECT '2024-01-01', gen_random_uuid(), i, 'x' || i, 'C' FROM generate_series(1, 100) i;
         CREATE TABLE part (u uuid, at timestamp) PARTITION BY RANGE (at);
         CREATE TABLE part_0 PARTITION OF part DEFAULT;
         INSERT INTO part SELECT gen_random_uuid(), '2024-01-01' FROM generate_series(1, 100)",
    );
    let (dir, binary) = dumped(&source, &["--quote-all-identifiers"]);
    let text = dir.path().join("text");
    let url = source.url();
    run(pgstow()
        .args(["dump", "--quiet", "--copy-format=text", &url, "-f"])
        .arg(&text))
    .success();
    let made = |at: &str, n: &str| {
        let target = server.create_db("other");
        target.psql(&format!(
            "CREATE SCHEMA \"S.x\"; CREATE EXTENSION citext; CREATE DOMAIN longer AS bigint;
             CREATE TABLE \"S.x\".\"T(1)\" (c citext, name text, n {n}, u uuid, at {at});
             CREATE TABLE part (at {at}, u uuid) PARTITION BY RANGE (at);
             CREATE TABLE part_0 PARTITION OF part DEFAULT;"
        ));
        target
    };
    let rows =
        "SELECT (SELECT count(*) FROM \"S.x\".\"T(1)\") || ' ' || (SELECT count(*) FROM part)";
    let target = made("timestamptz", "longer");
    let before = target.query_one(OBJECTS);
    for (options, part) in [
        (&["-a"][..], "public.part_0"),
        (&["--section=data", "--continue"], "public.part_0"),
        (&["-a", "--load-via-partition-root"], "public.part"),
    ] {
        let said = restored(&target, &binary, options).expect_code(6).stderr;
        let at = "column at: timestamp without time zone is to become timestamp with time zone";
        for line in [
            &format!("S.x.T(1), {at}"),
            &format!("{part}, {at}"),
            "S.x.T(1), column n: integer is to become bigint",
            "--copy-format=text",
        ] {
            assert!(said.contains(line), "no \"{line}\" in\n{said}");
        }
        assert!(
            !said.contains("column name") && !said.contains("column c:"),
            "{said}"
        );
        assert_eq!(target.query_one(OBJECTS), before);
        assert_eq!(target.query_one(rows), "0 0");
    }
    let copied = |options: &[&str]| {
        let mut command = pgstow();
        run(command
            .args(["copy", &url, &target.url(), "-a"])
            .args(options))
    };
    let said = copied(&["--copy-format=binary"]).expect_code(6).stderr;
    assert!(said.contains("integer is to become bigint"), "{said}");
    assert_eq!(target.query_one(rows), "0 0");

    // What is text is converted.
    let sum = "SELECT sum(n) || ' ' || min(at AT TIME ZONE current_setting('timezone')) FROM \"S.x\".\"T(1)\"";
    restored(&target, &text, &["-a"]).success();
    assert_eq!(target.query_one(sum), "5050 2024-01-01 00:00:00");
    assert_eq!(target.query_one(rows), "100 100");

    // Characters are characters, a domain is its base type, an extension's type is its own in any schema.
    let target = made("timestamp", "int");
    restored(&target, &binary, &["-a"]).success();
    assert_eq!(target.query_one(rows), "100 100");
    let names = "SELECT string_agg(name || c || n || u, ' ' ORDER BY n) FROM \"S.x\".\"T(1)\"";
    assert_eq!(target.query_one(names), source.query_one(names));

    // The same bytes in a column of another type are other values.
    let compared = || {
        let url = target.url();
        run(pgstow()
            .args(["verify", "--quiet", "--against", &url])
            .arg(&binary))
    };
    compared().success();
    target.psql("ALTER TABLE \"S.x\".\"T(1)\" ALTER n TYPE oid USING n::int::oid");
    let said = compared().expect_code(1).stderr;
    assert!(said.contains("column n is oid, and was integer"), "{said}");
}

/// Rows that a column of the target does not hold as they are change without a word of the server.
#[test]
fn columns_that_alter_rows_are_named_before() {
    let server = Server::start(18);
    let source = server.create_db("wide");
    source.psql(
        "CREATE DOMAIN price AS numeric(10,2);
         CREATE TABLE t (n numeric(10,4), f float8, at timestamptz, w int, v varchar(10), p price, s timestamp);
         INSERT INTO t VALUES (1.2345, 1.23456789012345, '2024-01-01 00:00+09', 1, 'v', 2.5, '2024-01-01 00:00:00.7')",
    );
    let (dir, binary) = dumped(&source, &["--copy-format=binary"]);
    let text = dir.path().join("text");
    run(pgstow()
        .args(["dump", "--quiet", "--copy-format=text", &source.url(), "-f"])
        .arg(&text))
    .success();
    let target = server.create_db("narrow");
    target.psql(
        "CREATE DOMAIN price AS numeric(10,2);
         CREATE TABLE t (n numeric(10,2), f real, at timestamp, w bigint, v text, p price, s timestamp(0))",
    );
    let said = restored(&target, &text, &["-a"]).success().stderr;
    let told = "columns of the target have other types than the archive's";
    assert_eq!(said.matches(told).count(), 1, "{said}");
    for line in [
        "public.t, column n: numeric(10,4) is to become numeric(10,2)",
        "public.t, column f: double precision is to become real",
        "public.t, column at: timestamp with time zone is to become timestamp without time zone",
        "public.t, column s: timestamp without time zone is to become timestamp(0) without time zone",
    ] {
        assert!(said.contains(line), "no \"{line}\" in\n{said}");
    }
    for column in ["column w", "column v", "column p"] {
        assert!(!said.contains(column), "{said}");
    }
    assert_eq!(target.query_one("SELECT n FROM t"), "1.23");
    // Binary rows obey modifiers as well.
    target.psql("ALTER TABLE t ALTER f TYPE float8, ALTER at TYPE timestamptz, ALTER w TYPE int");
    let said = restored(&target, &binary, &["-a"]).success().stderr;
    assert!(
        said.contains(told) && said.contains("numeric(10,4) is to become numeric(10,2)"),
        "{said}"
    );
    assert!(
        !said.contains("column f") && !said.contains("column at"),
        "{said}"
    );
}

/// The target's default privileges would come on top of the source's: what is made does not keep them, which is said
/// where the target is taken as it is.
#[test]
fn default_privileges_of_the_target_are_not_mixed_in() {
    let server = Server::start(18);
    let source = server.create_db("plain");
    source.psql(
        "CREATE ROLE lender; CREATE ROLE other_owner; CREATE ROLE guest;
         CREATE TABLE secret (id int GENERATED ALWAYS AS IDENTITY, n serial); CREATE SCHEMA s;
         CREATE TABLE shared (id int, name text); GRANT SELECT ON shared TO guest WITH GRANT OPTION;
         GRANT UPDATE (name) ON shared TO lender; SET ROLE guest; GRANT SELECT ON shared TO lender; RESET ROLE;
         CREATE TABLE owned (id int); ALTER TABLE owned OWNER TO other_owner; REVOKE DELETE ON owned FROM other_owner;
         CREATE VIEW s.v AS SELECT 1 AS a; CREATE MATERIALIZED VIEW s.m AS SELECT 1 AS a; CREATE SEQUENCE s.q;
         CREATE TYPE s.r AS RANGE (subtype = float8); CREATE TYPE s.e AS ENUM ('a'); CREATE DOMAIN s.d AS int;
         REVOKE ALL ON TYPE s.e FROM public; CREATE TYPE s.c AS (a int);
         CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE FUNCTION s.g(a int, OUT b int) LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION s.g FROM public;
         CREATE PROCEDURE s.p(a int) LANGUAGE sql AS 'SELECT 1'; GRANT EXECUTE ON PROCEDURE s.p TO lender;
         CREATE AGGREGATE s.a(int) (SFUNC = int4pl, STYPE = int); ALTER FUNCTION s.f() OWNER TO other_owner;
         GRANT USAGE ON SCHEMA s TO other_owner; SELECT lo_from_bytea(4711, 'large'), lo_from_bytea(4712, 'larger');
         GRANT SELECT ON LARGE OBJECT 4712 TO lender;
         ALTER DEFAULT PRIVILEGES GRANT INSERT ON TABLES TO lender;
         INSERT INTO secret DEFAULT VALUES",
    );
    let (dir, archive) = dumped(&source, &[]);
    let generous = |db: &Db| {
        db.psql(
            "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO public;
             ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO guest WITH GRANT OPTION;
             ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM postgres;
             ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO guest;
             ALTER DEFAULT PRIVILEGES GRANT CREATE ON SCHEMAS TO guest;
             ALTER DEFAULT PRIVILEGES GRANT UPDATE ON LARGE OBJECTS TO guest;
             ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM public;
             ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO guest;
             ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM public",
        );
    };
    // What objects come to have, defaults spelt out.
    let privileges = "
        SELECT string_agg(concat_ws(' ', object, grantee::regrole, privilege_type, is_grantable, grantor::regrole), E'\\n'
                          ORDER BY object, grantee, grantor, privilege_type)
          FROM (SELECT oid::regclass::text, coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", relowner))
                  FROM pg_class WHERE oid >= 16384 AND relkind NOT IN ('i', 'c', 't') AND relnamespace <> 'pg_toast'::regnamespace
                UNION ALL SELECT attrelid::regclass || attname::text, attacl FROM pg_attribute WHERE attrelid >= 16384
                UNION ALL SELECT oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc WHERE oid >= 16384
                UNION ALL SELECT oid::regtype::text, coalesce(typacl, acldefault('T', typowner)) FROM pg_type WHERE oid >= 16384
                UNION ALL SELECT nspname, coalesce(nspacl, acldefault('n', nspowner)) FROM pg_namespace WHERE nspname IN ('public', 's')
                UNION ALL SELECT 'large ' || oid, coalesce(lomacl, acldefault('L', lomowner)) FROM pg_largeobject_metadata
               ) o (object, acl), aclexplode(acl)";
    let target = server.create_db("generous");
    generous(&target);
    let said = restored(&target, &archive, &["-j2"]).success().stderr;
    assert!(!said.contains("warning"), "{said}");
    assert!(
        said.contains("kept free of the default privileges of role postgres: "),
        "{said}"
    );
    assert_eq!(target.query_one(privileges), source.query_one(privileges));
    assert_same_data(&source, &target);
    // All but the default privileges themselves, which are the target's and the source's.
    let schema = |db: &Db| {
        let text = run(db.tool("pg_dump").arg("-s")).success().stdout;
        let is_left_out = |line: &&str| {
            let begins = ["--", "\\", "ALTER DEFAULT PRIVILEGES"];
            line.is_empty() || begins.iter().any(|begin| line.starts_with(begin))
        };
        let lines = text.lines().filter(|line| !is_left_out(line));
        lines.fold(String::new(), |all, line| all + line + "\n")
    };
    super::support::assert_same_text(&schema(&source), &schema(&target));

    // In one transaction; step by step where something fails; by a role that is no superuser.
    let one = server.create_db("one");
    generous(&one);
    restored(&one, &archive, &["-1"]).success();
    assert_eq!(one.query_one(privileges), source.query_one(privileges));
    let broken = server.create_db("broken");
    generous(&broken);
    source
        .psql("CREATE ROLE gone; CREATE TABLE of_gone (a int); ALTER TABLE of_gone OWNER TO gone");
    let second = dir.path().join("second");
    let url = source.url();
    run(pgstow().args(["dump", "--quiet", &url, "-f"]).arg(&second)).success();
    source.psql("DROP TABLE of_gone; DROP ROLE gone");
    restored(&broken, &second, &["--continue"]).expect_code(3);
    broken.psql("DROP TABLE of_gone");
    assert_eq!(broken.query_one(privileges), source.query_one(privileges));
    let made = server.create_db("made");
    made.psql(&format!(
        "CREATE ROLE maker LOGIN; GRANT other_owner TO maker; ALTER DATABASE \"{}\" OWNER TO maker;
         GRANT CREATE ON SCHEMA public TO other_owner; SET ROLE maker; CREATE TABLE mine (id serial);
         CREATE TABLE theirs (id int); ALTER TABLE theirs OWNER TO other_owner;
         CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION f() OWNER TO other_owner",
        made.name()
    ));
    let third = dir.path().join("third");
    let url = made.url();
    run(pgstow().args(["dump", "--quiet", &url, "-f"]).arg(&third)).success();
    let by_maker = server.create_db("by_maker");
    by_maker.psql(&format!(
        "ALTER DATABASE \"{}\" OWNER TO maker; GRANT CREATE ON SCHEMA public TO other_owner; SET ROLE maker;
         ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO public;
         ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO lender",
        by_maker.name()
    ));
    let url = by_maker.url_as("maker", None);
    run(pgstow().args(["restore", "-d", &url]).arg(&third)).success();
    assert_eq!(by_maker.query_one(privileges), made.query_one(privileges));

    // What an extension makes cannot be kept free of them.
    source.psql("CREATE EXTENSION citext");
    let fourth = dir.path().join("fourth");
    let url = source.url();
    run(pgstow().args(["dump", "--quiet", &url, "-f"]).arg(&fourth)).success();
    let extended = server.create_db("extended");
    extended.psql(
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO public; \
         ALTER DEFAULT PRIVILEGES GRANT CREATE ON SCHEMAS TO guest; \
         ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM public",
    );
    let said = restored(&extended, &fourth, &[]).expect_code(6).stderr;
    for told in [
        "role postgres: FUNCTIONS (postgres=X/postgres); TABLES (",
        "=r/postgres",
        "--no-privileges",
    ] {
        assert!(said.contains(told), "{said}");
    }
    assert!(!said.contains("SCHEMAS"), "{said}");
    assert_eq!(
        extended.query_one("SELECT to_regclass('secret') IS NULL"),
        "t"
    );
    // Rows get no privileges, and what belongs to another role is none of this one's.
    extended.psql("CREATE TABLE shared (id int, name text)");
    let said = restored(&extended, &archive, &["-a", "-t", "shared"])
        .success()
        .stderr;
    assert!(!said.contains("warning"), "{said}");
    extended.psql("DROP TABLE shared");
    let said = restored(&extended, &fourth, &["--no-privileges"])
        .success()
        .stderr;
    assert_eq!(
        said.matches("gets privileges that the target gives")
            .count(),
        1,
        "{said}"
    );
    // What an extension's own script has taken from everybody stays taken.
    let scripted = server.create_db("scripted");
    source.psql("CREATE EXTENSION dblink; CREATE SCHEMA beside");
    run(pgstow().args(["dump", "--quiet", &url, "-f"]).arg(&fourth)).success();
    scripted.psql("ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO guest");
    restored(&scripted, &fourth, &[]).success();
    let acls = "SELECT p.oid::regprocedure || ' ' || proacl::text FROM pg_proc p \
                WHERE proname LIKE 'dblink%' AND proacl IS NOT NULL ORDER BY 1";
    assert_eq!(scripted.query_rows(acls), source.query_rows(acls));
    assert_eq!(scripted.query_rows(acls).len(), 2);
    // And its members would have what a schema gives.
    let given = server.create_db("given");
    given.psql("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO guest");
    let said = restored(&given, &fourth, &[]).expect_code(6).stderr;
    assert!(said.contains("members of extensions"), "{said}");
    drop((
        source, target, extended, scripted, given, one, broken, made, by_maker,
    ));
    server.psql("DROP ROLE lender; DROP ROLE other_owner; DROP ROLE guest; DROP ROLE maker");
}
