//! What is restored of a real archive: by name, by list, with what that needs.

use std::path::{Path, PathBuf};

use super::support::{Db, Output, Server, assert_same_data, assert_same_schema, pgstow, run};

/// Dumps a database into a file of a directory of its own.
pub fn dumped(db: &Db, more: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.pgstow");
    let url = db.url();
    run(pgstow()
        .args(["dump", "--quiet", "-d", &url])
        .args(more)
        .arg("-f")
        .arg(&file))
    .success();
    (dir, file)
}

/// Restores, with these options.
pub fn restored(db: &Db, archive: &Path, options: &[&str]) -> Output {
    let url = db.url();
    run(pgstow()
        .args(["restore", "-d", &url])
        .args(options)
        .arg(archive))
}

const APP: &str = "
    CREATE SCHEMA app; CREATE SCHEMA \"Kinds\"; CREATE EXTENSION citext SCHEMA app;
    CREATE TYPE \"Kinds\".mood AS ENUM ('good', 'bad');
    CREATE DOMAIN app.price AS numeric CHECK (value >= 0);
    CREATE SEQUENCE app.numbers START 100;
    CREATE FUNCTION app.next_day(d date = current_date, OUT tomorrow date) LANGUAGE sql AS 'SELECT d + 1';
    CREATE FUNCTION app.noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TABLE app.users (id int PRIMARY KEY, name app.citext);
    CREATE TABLE app.orders (
        id bigint DEFAULT nextval('app.numbers'), serial serial, who int REFERENCES app.users, day date NOT NULL
        DEFAULT app.next_day(), mood \"Kinds\".mood, price app.price, own bigint GENERATED ALWAYS AS IDENTITY)
        PARTITION BY RANGE (day);
    CREATE TABLE app.orders_1 PARTITION OF app.orders FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    CREATE TABLE app.orders_2 PARTITION OF app.orders FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    CREATE INDEX orders_day ON app.orders (day);
    CREATE INDEX \"orders 1\" ON app.orders_1 (price);
    CREATE TRIGGER noted BEFORE INSERT ON app.orders_1 FOR EACH ROW EXECUTE FUNCTION app.noted();
    CREATE VIEW app.cheap AS SELECT id, app.next_day(day) FROM app.orders WHERE price < 1;
    CREATE PUBLICATION all_orders FOR TABLE app.orders;
    COMMENT ON TABLE app.orders_1 IS 'the first';
    INSERT INTO app.users VALUES (1, 'Ann');
    INSERT INTO app.orders (who, day, price) SELECT 1, '2024-06-01'::date + n, n FROM generate_series(1, 400) n;
";

#[test]
fn a_partition_brings_what_it_needs_and_leaves_out_what_ties_it_to_others() {
    let server = Server::start(18);
    let source = server.create_db("app");
    source.psql(APP);
    let (_dir, archive) = dumped(&source, &[]);

    // Without a server, all that is needed is pulled in.
    let mut command = pgstow();
    command.args(["restore", "--dry-run", "-t", "app.orders_1"]);
    let plan = run(command.arg(&archive)).success().stdout;
    for line in [
        "pulled in: TABLE app.orders: needed by TABLE ATTACH app.orders_1",
        "pulled in: TYPE Kinds.mood: needed by ",
        "pulled in: SCHEMA Kinds: needed by TYPE Kinds.mood",
        "pulled in: DOMAIN app.price: needed by ",
        "pulled in: FUNCTION app.noted(): needed by TRIGGER app.orders_1 noted",
        "left out: FK CONSTRAINT app.orders orders_who_fkey: ",
        "left out: INDEX ATTACH app.orders_1 orders_1_day_idx: ",
        "left out: TABLE ATTACH app.orders_2 ",
        "left out: TABLE app.users: not selected by name",
    ] {
        assert!(plan.contains(line), "no \"{line}\" in\n{plan}");
    }

    let target = server.create_db("one");
    let said = restored(&target, &archive, &["-t", "app.orders_1"])
        .success()
        .stderr;
    assert!(said.contains("pulled in: SCHEMA app, needed by "), "{said}");
    let rows = "SELECT count(*) || ' ' || sum(price) FROM app.orders_1";
    assert_eq!(target.query_one(rows), source.query_one(rows));
    // A sequence that comes along goes on behind the rows that it has numbered.
    let number = "SELECT last_value || ' ' || is_called FROM app.numbers";
    assert_eq!(target.query_one(number), "499 true");
    assert_eq!(
        target.query_one(
            "SELECT string_agg(relname, ', ' ORDER BY relname) FROM pg_class \
             WHERE relnamespace = 'app'::regnamespace AND relkind IN ('r', 'p', 'v', 'S', 'i')"
        ),
        "numbers, orders, orders 1, orders_1, orders_1_day_idx, orders_own_seq, orders_serial_seq"
    );
    assert_eq!(
        target.query_one("SELECT tgname FROM pg_trigger WHERE tgrelid = 'app.orders_1'::regclass"),
        "noted"
    );
    assert_eq!(
        target.query_one("SELECT obj_description('app.orders_1'::regclass)"),
        "the first"
    );
    // A row goes in with all its defaults.
    target.psql("INSERT INTO app.orders (day) VALUES ('2024-03-03')");

    // A plan that is only shown is refused where the real run would be.
    let url = target.url();
    let mut shown = pgstow();
    let shown = shown.args(["restore", "--dry-run", "-d", &url, "-t", "app.orders_2"]);
    let refused = run(shown.arg(&archive)).expect_code(6);
    assert!(
        refused.stdout.contains("TABLE DATA app.orders_2"),
        "{}",
        refused.stdout
    );
    assert!(refused.stderr.contains("not empty"), "{}", refused.stderr);

    // The other partition finds what the first brought.
    let more = ["--allow-non-empty", "-t", "app.orders_2"];
    let mut asked = pgstow();
    asked.args(["restore", "--dry-run", "-d", &url]).args(more);
    let plan = run(asked.arg(&archive)).success().stdout;
    assert!(
        plan.contains("there already, not made again: TABLE app.orders"),
        "{plan}"
    );
    assert!(!plan.contains("pulled in:"), "{plan}");
    let said = restored(&target, &archive, &more).success().stderr;
    assert!(
        said.contains("there already, not made again: TABLE app.orders"),
        "{said}"
    );
    let rows = "SELECT count(*) FROM app.orders_2";
    assert_eq!(target.query_one(rows), source.query_one(rows));

    // As pg_restore: nothing but what is named, and so it cannot be made.
    let bare = server.create_db("bare");
    let options = ["--no-dependencies", "-t", "app.orders_1"];
    let said = restored(&bare, &archive, &options).expect_code(1).stderr;
    assert!(
        said.contains("not restored, must be there already: TYPE Kinds.mood"),
        "{said}"
    );
}

#[test]
fn functions_indexes_triggers_and_trees_by_name() {
    let server = Server::start(18);
    let source = server.create_db("app");
    source.psql(APP);
    let (dir, archive) = dumped(&source, &[]);
    let names = |db: &Db| {
        db.query_one(
            "SELECT string_agg(n, ' ' ORDER BY n) FROM (SELECT relname::text FROM pg_class WHERE relnamespace \
             = to_regnamespace('app') AND relkind IN ('r', 'p', 'i', 'I', 'v') UNION ALL SELECT proname \
             FROM pg_proc p WHERE pronamespace = to_regnamespace('app') AND NOT EXISTS (SELECT FROM pg_depend \
             d WHERE d.objid = p.oid AND d.deptype = 'e')) t (n)",
        )
    };
    let target = |options: &[&str]| {
        let db = server.create_db("by_name");
        restored(&db, &archive, options).success();
        db
    };
    let db = target(&["-P", "app.next_day(date)"]);
    assert_eq!(names(&db), "next_day");
    let db = target(&["-I", "\"orders 1\"", "-P", "noted"]);
    assert_eq!(names(&db), "next_day noted orders orders 1 orders_1");
    assert_eq!(db.query_one("SELECT count(*) FROM app.orders_1"), "0");
    let db = target(&["--trigger", "orders_1.noted"]);
    assert_eq!(names(&db), "next_day noted orders orders_1");
    let db = target(&[
        "--table-and-children",
        "app.orders",
        "--exclude-table-data-and-children=app.orders",
    ]);
    assert_eq!(
        names(&db),
        "next_day noted orders orders 1 orders_1 orders_1_day_idx orders_2 orders_2_day_idx orders_day"
    );
    assert_eq!(db.query_one("SELECT count(*) FROM app.orders"), "0");

    // A view brings the tables that it reads, without rows.
    let filter = dir.path().join("filter");
    std::fs::write(&filter, "# what is cheap\ninclude table app.cheap\n").unwrap();
    let db = server.create_db("by_filter");
    let file = filter.to_str().unwrap();
    restored(&db, &archive, &["--filter", file]).success();
    assert_eq!(names(&db), "cheap next_day orders");
    let error = restored(&db, &archive, &["-t", "nowhere"])
        .expect_code(1)
        .stderr;
    assert!(error.contains("nothing matches \"nowhere\""), "{error}");
    let strict = ["--strict-names", "-t", "app.cheap", "-I", "nowhere"];
    restored(&db, &archive, &strict).expect_code(1);
}

#[test]
fn a_schema_brings_what_it_needs_from_others() {
    let server = Server::start(18);
    let source = server.create_db("app");
    source.psql(APP);
    let (_dir, archive) = dumped(&source, &[]);
    let target = server.create_db("schema");
    let said = restored(&target, &archive, &["-n", "app"]).success().stderr;
    for line in [
        "pulled in: EXTENSION citext, needed by TABLE app.users",
        "pulled in: TYPE Kinds.mood, needed by ",
        "left out: PUBLICATION TABLE app.orders all_orders orders: PUBLICATION all_orders is not restored",
    ] {
        assert!(said.contains(line), "no \"{line}\" in\n{said}");
    }
    source.psql("DROP PUBLICATION all_orders");
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);

    // Into a database that is made for it.
    let name = source.name().to_owned();
    server
        .db("postgres")
        .psql(&format!("DROP DATABASE \"{name}\" WITH (FORCE)"));
    let postgres = server.db("postgres");
    let options = ["--create", "-t", "app.users"];
    let said = restored(&postgres, &archive, &options).success().stderr;
    assert!(said.contains("pulled in: EXTENSION citext"), "{said}");
    let made = server.db(&name);
    assert_eq!(made.query_one("SELECT name FROM app.users"), "Ann");
    // It is not dropped for a part of it; and strictly, it has to be there.
    let options = ["--create", "--clean", "-t", "app.users"];
    restored(&postgres, &archive, &options).expect_code(6);
    postgres.psql(&format!("DROP DATABASE \"{name}\" WITH (FORCE)"));
    let said = restored(&postgres, &archive, &options)
        .expect_code(1)
        .stderr;
    assert!(said.contains("does not exist"), "{said}");
}

#[test]
fn lists_serve_another_dump_of_the_same_objects() {
    let server = Server::start(18);
    let source = server.create_db("app");
    source.psql(APP);
    source.psql("CREATE TABLE app.\"odd\n; \"\"name\"\"\" (a int)");
    let (dir, first) = dumped(&source, &[]);
    let listed = run(pgstow().arg("list").arg(&first)).success().stdout;
    let list = dir.path().join("list");
    std::fs::write(&list, &listed).unwrap();
    let list = list.to_str().unwrap();
    // Something new in front moves all numbers; the list does not have it.
    source.psql("CREATE SCHEMA a_new; CREATE TABLE a_new.t (a int)");
    let (_dir, second) = dumped(&source, &[]);
    source.psql("DROP SCHEMA a_new CASCADE");
    let target = server.create_db("listed");
    restored(&target, &second, &["-j2", "-L", list]).success();
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);

    // The script as well, given to psql.
    let (_dir, text) = dumped(&source, &["--copy-format=text"]);
    let script = run(pgstow().args(["sql", "-L", list]).arg(&text)).success();
    let target = server.create_db("scripted");
    target.psql(&script.stdout);
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);
}

const SHOP: &str = "
    CREATE TABLE cust (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
    CREATE TABLE notes (id serial PRIMARY KEY, cust bigint REFERENCES cust, text text);
    COMMENT ON SEQUENCE cust_id_seq IS 'numbers'; COMMENT ON SEQUENCE notes_id_seq IS 'others';
    GRANT SELECT ON SEQUENCE cust_id_seq, notes_id_seq TO PUBLIC;
    CREATE PUBLICATION shop FOR TABLE notes, cust;
    INSERT INTO cust (name) SELECT 'c' || n FROM generate_series(1, 50) n;
    INSERT INTO notes (cust, text) SELECT n, 't' FROM generate_series(1, 30) n;
";

/// The identity of a table and the sequences that it owns come with it, in every way to name it, and
/// their values with its rows.
#[test]
fn a_table_brings_its_identity_and_its_sequences() {
    let server = Server::start(18);
    let source = server.create_db("shop");
    source.psql(SHOP);
    let (_dir, archive) = dumped(&source, &[]);
    let both = ["-t", "cust", "-t", "notes"];
    let target = server.create_db("tables");
    restored(&target, &archive, &both).success();
    source.psql("DROP PUBLICATION shop");
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);
    let next = "INSERT INTO cust (name) VALUES ('next') RETURNING id";
    assert_eq!(target.query_one(next), "51");

    // Rows alone, into tables that have used their sequences.
    target.psql("TRUNCATE cust, notes RESTART IDENTITY");
    restored(&target, &archive, &["-a", "-t", "cust", "-t", "notes"]).success();
    assert_eq!(target.query_one(next), "51");
    let other = "INSERT INTO notes (text) VALUES ('next') RETURNING id";
    assert_eq!(target.query_one(other), "31");

    // A table is left out with its identity.
    let without = server.create_db("without");
    restored(&without, &archive, &["-T", "cust"]).success();
    assert_eq!(without.query_one("SELECT to_regclass('cust') IS NULL"), "t");
    assert_eq!(without.query_one(other), "31");
}

/// One table is put back into a database that has the others: what ties it to those is made again.
#[test]
fn a_table_that_is_put_back_is_tied_to_what_is_there() {
    let server = Server::start(18);
    let source = server.create_db("shop");
    source.psql(SHOP);
    let (_dir, archive) = dumped(&source, &[]);
    let target = server.create_db("there");
    restored(&target, &archive, &[]).success();
    target.psql("DELETE FROM notes WHERE id < 10");
    let said = restored(
        &target,
        &archive,
        &["--clean", "--if-exists", "-t", "notes"],
    )
    .success()
    .stderr;
    assert!(!said.contains("warning"), "{said}");
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);

    // Where the other end is not there, what is lost is said.
    let bare = server.create_db("bare");
    let said = restored(&bare, &archive, &["--quiet", "-t", "notes"])
        .success()
        .stderr;
    let beside = server.create_db("beside");
    beside.psql("CREATE PUBLICATION shop");
    restored(&beside, &archive, &["-t", "notes", "--allow-non-empty"]).success();
    assert_eq!(
        beside.query_one("SELECT count(*) FROM pg_publication_tables"),
        "0"
    );
    for lost in [
        "FK CONSTRAINT public.notes notes_cust_fkey",
        "PUBLICATION TABLE public.notes shop",
    ] {
        assert!(
            said.contains(&format!("warning: left out: {lost}")),
            "{said}"
        );
    }
}

/// A partitioned table that is named without its partitions has no rows, which is said.
#[test]
fn a_partitioned_table_without_its_partitions_is_warned_of() {
    let server = Server::start(18);
    let source = server.create_db("app");
    source.psql(APP);
    let warning = "--table-and-children takes partitions along";
    let url = source.url();
    let dump = |more: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.pgstow");
        let mut command = pgstow();
        command
            .args(["dump", "--quiet", "-d", &url, "-f"])
            .arg(&file)
            .args(more);
        run(&mut command).success().stderr
    };
    assert!(dump(&["-t", "app.orders"]).contains(warning));
    for quiet in [
        &["-t", "app.orders", "-s"][..],
        &["-t", "app.orders", "-t", "app.orders_1"],
        &["--table-and-children", "app.orders"],
        &["-n", "app"],
        &["-t", "app.orders", "--exclude-table-data", "app.orders"],
    ] {
        let said = dump(quiet);
        assert!(!said.contains(warning), "{quiet:?}: {said}");
    }

    let (_dir, archive) = dumped(&source, &[]);
    let planned = |more: &[&str]| {
        let mut command = pgstow();
        command.args(["restore", "--dry-run"]).args(more);
        run(command.arg(&archive)).success().stdout
    };
    assert!(planned(&["-t", "app.orders"]).contains(warning));
    // Who means a trigger, as with pg_restore, is told.
    assert!(planned(&["-T", "noted"]).contains("-T noted matches no table"));
    assert!(!planned(&["-T", "orders_1"]).contains("matches no table"));
    for quiet in [
        &["-t", "app.orders", "-s"][..],
        &["-t", "app.orders", "-t", "app.orders_1"],
        &["--table-and-children", "app.orders"],
        &["-n", "app"],
    ] {
        let plan = planned(quiet);
        assert!(!plan.contains(warning), "{quiet:?}: {plan}");
    }
}

/// Rows that `--clean` would drop and nobody brings back are a reason to refuse it, and so is a part of a database in
/// the place of the whole.
#[test]
fn clean_drops_no_rows_that_do_not_come_back() {
    let server = Server::start(18);
    let source = server.create_db("months");
    source.psql(
        "CREATE TABLE pt (m int, v text) PARTITION BY LIST (m);
         CREATE TABLE pt1 PARTITION OF pt FOR VALUES IN (1);
         CREATE TABLE keep (v int); CREATE TABLE empty (v int);
         INSERT INTO pt VALUES (1, 'one'); INSERT INTO keep VALUES (7)",
    );
    let (_dir, full) = dumped(&source, &[]);
    let (_dir_2, part) = dumped(&source, &["--exclude-table-data", "keep"]);
    let target = server.create_db("target");
    restored(&target, &full, &[]).success();
    target.psql(
        "CREATE TABLE pt2 PARTITION OF pt FOR VALUES IN (2); INSERT INTO pt VALUES (2, 'two')",
    );
    let rows = || target.query_rows("SELECT m::text FROM pt UNION ALL SELECT v::text FROM keep");
    let refused = |archive: &Path, more: &[&str], table: &str| {
        let options = [&["--clean", "--if-exists"], more].concat();
        let why = format!("rows that this restore does not bring back: {table}\n");
        let shown = [&["--dry-run"], options.as_slice()].concat();
        for options in [shown, options] {
            let said = restored(&target, archive, &options).expect_code(6).stderr;
            assert!(said.contains(&why), "{said}");
        }
        assert_eq!(rows().len(), 3);
    };
    refused(&full, &[], "public.pt2");
    refused(&full, &["-t", "pt"], "public.pt1, public.pt2");
    refused(
        &full,
        &["-T", "pt*", "--exclude-table-data", "keep"],
        "public.keep",
    );
    target.psql("DROP TABLE pt2");
    restored(&target, &full, &["--clean", "--if-exists"]).success();
    let said = restored(&target, &part, &["--clean", "--if-exists"]).expect_code(6);
    assert!(said.stderr.contains("public.keep"), "{}", said.stderr);
    // Who wants definitions alone has said so.
    let said = restored(&target, &full, &["--clean", "--if-exists", "-s"]).success();
    let warning = "with their rows, and none are restored: public.keep, public.pt1";
    assert!(said.stderr.contains(warning), "{}", said.stderr);

    let url = server.db("postgres").url();
    let anew = |archive: &Path, more: &[&str]| {
        let mut command = pgstow();
        command.args(["restore", "-d", &url, "--clean", "--create", "--if-exists"]);
        run(command.args(more).arg(archive))
    };
    let (_dir_3, data) = dumped(&source, &["--data-only"]);
    for (archive, more, why) in [
        (&full, &["-t", "keep"][..], "make a part of it anew"),
        (&data, &[], "would make the tables"),
    ] {
        let said = anew(archive, more).expect_code(6).stderr;
        assert!(said.contains(why), "{said}");
        assert_eq!(source.query_one("SELECT count(*) FROM keep"), "1");
    }
    let said = anew(&part, &[]).success().stderr;
    assert!(
        said.contains("it was made with --exclude-table-data=keep"),
        "{said}"
    );
    assert_eq!(
        server
            .db(source.name())
            .query_one("SELECT count(*) FROM keep"),
        "0"
    );
}
