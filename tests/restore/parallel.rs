//! Where the order of a parallel restore matters: each of these is lost now and then when steps are
//! only ordered by what they depend on.

use super::selection::{dumped, restored};
use super::support::{Server, assert_same_data, assert_same_schema};

/// A foreign key on a partitioned table that was never validated: made before the rows of a
/// partition, it would refuse those it does not hold for. Triggers of partitions in states of their
/// own: those can be set only when the parent's trigger has made them. Clustered indexes among
/// others of the same table: two statements, two locks.
const TORTURE: &str = "
    CREATE TABLE hub (id int PRIMARY KEY);
    INSERT INTO hub SELECT generate_series(1, 100);
    CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''fired''; END';
    CREATE TABLE spokes (id int, hub int, day int) PARTITION BY RANGE (day);
    DO $$ BEGIN FOR n IN 0 .. 11 LOOP
        EXECUTE format('CREATE TABLE spokes_%s PARTITION OF spokes FOR VALUES FROM (%s) TO (%s)', n, n, n + 1);
    END LOOP; END $$;
    INSERT INTO spokes SELECT n, n % 200, n % 12 FROM generate_series(1, 12000) n;
    ALTER TABLE spokes ADD CONSTRAINT spokes_hub FOREIGN KEY (hub) REFERENCES hub NOT VALID;
    CREATE TRIGGER noted AFTER INSERT ON spokes FOR EACH ROW EXECUTE FUNCTION noted();
    DO $$ BEGIN FOR n IN 0 .. 11 LOOP
        EXECUTE format('ALTER TABLE spokes_%s %s TRIGGER noted', n,
            (ARRAY['DISABLE', 'ENABLE REPLICA', 'ENABLE ALWAYS', 'ENABLE'])[n % 4 + 1]);
        EXECUTE format('CREATE INDEX spokes_%s_a ON spokes_%s (id)', n, n);
        EXECUTE format('CREATE INDEX spokes_%s_b ON spokes_%s (hub)', n, n);
        EXECUTE format('CREATE INDEX spokes_%s_c ON spokes_%s (id, hub)', n, n);
        EXECUTE format('CREATE UNIQUE INDEX spokes_%s_d ON spokes_%s (id, hub, day)', n, n);
        EXECUTE format('ALTER TABLE spokes_%s CLUSTER ON spokes_%s_b', n, n);
    END LOOP; END $$;
    CREATE INDEX spokes_day ON spokes (day);
    CREATE TABLE many (a int NOT NULL, b int, c int);
    INSERT INTO many SELECT n, n, n FROM generate_series(1, 2000) n;
    CREATE INDEX many_1 ON many (a); CREATE INDEX many_2 ON many (b); CREATE INDEX many_3 ON many (c);
    CREATE INDEX many_4 ON many (a, b); CREATE INDEX many_5 ON many (b, c);
    ALTER TABLE many CLUSTER ON many_3;
    CREATE UNIQUE INDEX many_6 ON many (a);
    ALTER TABLE many REPLICA IDENTITY USING INDEX many_6;
    ALTER TABLE many ALTER b SET STATISTICS 7;
";

#[test]
fn eight_sessions_lose_nothing() {
    let server = Server::start(18);
    let source = server.create_db("torture");
    source.psql(TORTURE);
    // pg_restore -j loses some of it now and then.
    assert_eq!(
        source.query_one("SELECT count(*) FROM spokes WHERE hub NOT IN (SELECT id FROM hub)"),
        "6000"
    );
    let (_dir, archive) = dumped(&source, &["-j2"]);
    let states = "SELECT string_agg(tgenabled::text, '' ORDER BY tgrelid::regclass::text) \
                  FROM pg_trigger WHERE tgname = 'noted'";
    for round in 0..5 {
        let target = server.create_db("eight");
        restored(&target, &archive, &["-j8"]).success();
        if round == 0 {
            assert_same_schema(&source, &target);
        }
        assert_same_data(&source, &target);
        assert_eq!(target.query_one(states), source.query_one(states));
        assert_eq!(
            target.query_one("SELECT count(*) FROM pg_index WHERE indisclustered"),
            "13"
        );
        // Not even one that was tried again.
        assert_eq!(target.query_one(DEADLOCKS_HERE), "0");
    }
}

const DEADLOCKS_HERE: &str =
    "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";

/// Definitions enough for several sessions: families by inheritance, partitions, rows as columns,
/// sequences of their own and shared ones, names that make others; and what must come before or
/// behind them.
const FAMILIES: &str = r#"
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE FUNCTION positive(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
    CREATE SEQUENCE shared;
    CREATE TABLE "_plain_1" (i int); CREATE TABLE "__plain_2" (i int); CREATE TABLE plain_2 (i int);
    DO $$ BEGIN FOR n IN 1 .. 40 LOOP
        EXECUTE format('CREATE TABLE IF NOT EXISTS plain_%s (id serial PRIMARY KEY, m mood DEFAULT ''ok'',
            n int DEFAULT nextval(''shared'') CHECK (positive(n)))', n);
        EXECUTE format('COMMENT ON TABLE plain_%s IS %L', n, n);
        EXECUTE format('CREATE TABLE child_%s (own_%s text) INHERITS (plain_%s)', n, n, n);
        EXECUTE format('CREATE TABLE holds_%s (id int GENERATED ALWAYS AS IDENTITY, r child_%s, rs plain_%s[])', n, n, n);
        EXECUTE format('CREATE VIEW sees_%s AS SELECT * FROM holds_%s', n, n);
        EXECUTE format('CREATE TABLE %s%s (i int)', repeat('long_', 12), n);
    END LOOP; END $$;
    CREATE TABLE tree (k int, v text) PARTITION BY LIST (k);
    DO $$ BEGIN FOR n IN 1 .. 300 LOOP
        EXECUTE format('CREATE TABLE leaf_%s PARTITION OF tree FOR VALUES IN (%s)', n, n);
    END LOOP; END $$;
    CREATE FUNCTION of_a_leaf(leaf_7) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1.v';
    CREATE TABLE last (r tree, c text CHECK (c <> of_a_leaf(ROW(1, 'x')::leaf_7)));
    INSERT INTO tree SELECT n, n FROM generate_series(1, 300) n;
    INSERT INTO holds_3 (r) VALUES (NULL); INSERT INTO plain_5 (m) VALUES ('sad');
"#;

#[test]
fn definitions_by_several_sessions_are_those_of_one() {
    let server = Server::start(18);
    let source = server.create_db("families");
    source.psql(FAMILIES);
    let (_dir, archive) = dumped(&source, &["-j2"]);
    for options in [&["-j4"][..], &["-j8", "--transaction-size=7"], &["-j1"]] {
        let target = server.create_db("shared_out");
        restored(&target, &archive, options).success();
        assert_same_schema(&source, &target);
        assert_same_data(&source, &target);
        assert_eq!(target.query_one(DEADLOCKS_HERE), "0");
    }
    // What is in the way is named, with what needs it; the rest stands.
    let target = server.create_db("in_the_way");
    target.psql("CREATE TABLE plain_9 (other int)");
    let options = ["-j4", "--allow-non-empty", "--continue"];
    let said = restored(&target, &archive, &options).expect_code(3).stderr;
    assert!(said.contains("failed: TABLE public.plain_9: "), "{said}");
    assert!(said.contains("\"plain_9\" already exists"), "{said}");
    let tables = "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') \
                  AND relnamespace = 'public'::regnamespace";
    let lost: i64 = source.query_one(tables).parse::<i64>().unwrap()
        - target.query_one(tables).parse::<i64>().unwrap();
    assert!(
        (0..=2).contains(&lost),
        "{lost} of the tables are lost: {said}"
    );
    // Without that it ends at once, and nothing runs on.
    let target = server.create_db("ends");
    target.psql("CREATE TABLE plain_9 (other int)");
    let said = restored(&target, &archive, &["-j4", "--allow-non-empty"])
        .expect_code(1)
        .stderr;
    assert!(said.contains("restore TABLE public.plain_9"), "{said}");
    target.psql("DROP TABLE plain_9");
    restored(&target, &archive, &["-j4", "--allow-non-empty", "--resume"]).success();
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);
}
