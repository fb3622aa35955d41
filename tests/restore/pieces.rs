//! Keys and foreign keys of large tables, which are made in pieces: what comes out is the same however
//! many sessions there are, and wherever a restore is interrupted and goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::selection::{dumped, restored};
use super::support::{
    Db, Server, assert_same_data, assert_same_text, pg_dump_schema, pgstow, run, table_hashes,
};

/// All that keys and foreign keys of large tables can be. What not every server knows follows.
const LARGE: &str = r#"
    CREATE SCHEMA "Big Things";
    SET search_path = "Big Things";
    CREATE TABLE "Hub ""1""" ("the id" int NOT NULL, "select" int, code text, up int, note text,
        lower int NOT NULL, part int);
    INSERT INTO "Hub ""1""" SELECT n, n, 'c' || n, nullif(n / 2, 0), repeat(md5(n::text), 4), n, n % 7
        FROM generate_series(1, 9000) n;
    ALTER TABLE "Hub ""1""" ADD CONSTRAINT "Hub ) key" PRIMARY KEY ("the id") INCLUDE (code) WITH (fillfactor = 70);
    ALTER TABLE "Hub ""1""" ADD CONSTRAINT "USING INDEX" UNIQUE ("select", code) INCLUDE (note)
        DEFERRABLE INITIALLY DEFERRED;
    ALTER TABLE "Hub ""1""" ADD CONSTRAINT hub_lower UNIQUE (lower) WITH (deduplicate_items = off);
    ALTER TABLE "Hub ""1""" ADD CONSTRAINT hub_later UNIQUE (lower) DEFERRABLE;
    CREATE INDEX hub_expression ON "Hub ""1""" (lower(code), (part + 1), (up * 2));
    ALTER INDEX hub_expression ALTER COLUMN 1 SET STATISTICS 33, ALTER COLUMN 3 SET STATISTICS 44;
    CREATE INDEX "hub index" ON "Hub ""1""" (up);
    ALTER TABLE "Hub ""1""" CLUSTER ON "Hub ) key";
    ALTER TABLE "Hub ""1""" REPLICA IDENTITY USING INDEX hub_lower;
    COMMENT ON CONSTRAINT "Hub ) key" ON "Hub ""1""" IS 'the key''s';
    COMMENT ON INDEX "Hub ) key" IS 'its index';
    COMMENT ON CONSTRAINT "USING INDEX" ON "Hub ""1""" IS 'late';
    COMMENT ON INDEX hub_lower IS 'its index';
    ALTER TABLE "Hub ""1""" ADD CONSTRAINT "up ""there""" FOREIGN KEY (up) REFERENCES "Hub ""1""";
    COMMENT ON CONSTRAINT "up ""there""" ON "Hub ""1""" IS 'itself';

    CREATE TABLE small (id int PRIMARY KEY);
    INSERT INTO small SELECT generate_series(0, 10);

    CREATE TABLE spoke (id bigint, hub int, low int, s int, other int, wrong int, before bigint, note text);
    INSERT INTO spoke SELECT n, n % 9000 + 1, n % 9000 + 1, n % 10, n % 3, n, nullif(n - 1, 0), repeat(md5(n::text), 4)
        FROM generate_series(1, 11000) n;
    ALTER TABLE spoke ADD PRIMARY KEY (id);
    ALTER TABLE spoke ADD CONSTRAINT spoke_both UNIQUE (hub, id);
    CREATE INDEX spoke_low ON spoke (low);
    ALTER TABLE spoke ADD CONSTRAINT spoke_hub FOREIGN KEY (hub) REFERENCES "Hub ""1""" ON DELETE CASCADE,
        ADD CONSTRAINT spoke_low FOREIGN KEY (low) REFERENCES "Hub ""1""" (lower) MATCH FULL ON UPDATE SET NULL,
        ADD CONSTRAINT spoke_small FOREIGN KEY (s) REFERENCES small,
        ADD CONSTRAINT spoke_before FOREIGN KEY (before) REFERENCES spoke DEFERRABLE INITIALLY DEFERRED,
        ADD CONSTRAINT spoke_wrong FOREIGN KEY (wrong) REFERENCES "Hub ""1""" NOT VALID;
    COMMENT ON CONSTRAINT spoke_hub ON spoke IS 'of the hub';

    CREATE TABLE days (day int, hub int, note text, PRIMARY KEY (day, hub)) PARTITION BY RANGE (day);
    CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (5);
    CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM (5) TO (10);
    INSERT INTO days SELECT n % 10, n / 10 + 1, repeat(md5(n::text), 4) FROM generate_series(1, 20000) n;
    ALTER TABLE days_1 ADD CONSTRAINT days_note UNIQUE (note, hub);
    ALTER TABLE days ADD FOREIGN KEY (hub) REFERENCES "Hub ""1""";
    CREATE TABLE parent (id int NOT NULL, note text);
    CREATE TABLE child (more int, UNIQUE (id), PRIMARY KEY (more)) INHERITS (parent);
    INSERT INTO child SELECT n, repeat(md5(n::text), 4), n FROM generate_series(1, 9000) n;

    CREATE VIEW grouped AS SELECT "the id", note, count(*) FROM "Hub ""1""" GROUP BY "the id";
    CREATE MATERIALIZED VIEW of_grouped AS SELECT count(*) FROM grouped;
    CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TRIGGER fired BEFORE INSERT ON spoke FOR EACH ROW EXECUTE FUNCTION fired();
"#;

const FROM_15: &str = r#"
    SET search_path = "Big Things";
    ALTER TABLE spoke ADD CONSTRAINT spoke_nulls UNIQUE NULLS NOT DISTINCT (before) INCLUDE (low) WITH (fillfactor = 80);
    ALTER TABLE spoke ADD CONSTRAINT spoke_null FOREIGN KEY (before, other) REFERENCES spoke_pair (id, other)
        ON DELETE SET NULL (other);
"#;

const FROM_18: &str = r#"
    SET search_path = "Big Things";
    ALTER TABLE spoke ADD CONSTRAINT spoke_not FOREIGN KEY (wrong) REFERENCES "Hub ""1""" (lower) NOT ENFORCED;
    CREATE TABLE lasts (id int4range, during int4range, note text, UNIQUE (id, during WITHOUT OVERLAPS), PRIMARY KEY (id));
    INSERT INTO lasts SELECT int4range(n, n + 1), int4range(n, n + 1), repeat(md5(n::text), 4) FROM generate_series(1, 9000) n;
"#;

/// A database with all of that, dumped.
struct Source {
    db: Db,
    _dir: tempfile::TempDir,
    archive: PathBuf,
    schema: String,
    hashes: BTreeMap<String, (i64, String)>,
    inside: String,
}

impl Source {
    fn make(server: &Arc<Server>) -> Self {
        let db = large(server);
        let (dir, archive) = dumped(&db, &["-j2"]);
        Self {
            archive,
            schema: pg_dump_schema(&db),
            hashes: table_hashes(&db),
            inside: db.query_one(INSIDE),
            _dir: dir,
            db,
        }
    }

    fn assert_same(&self, target: &Db) {
        assert_same_text(&self.schema, &pg_dump_schema(target));
        assert_eq!(self.hashes, table_hashes(target));
        assert_eq!(target.query_one(JOURNALS), "0");
        // pg_dump says neither which index a foreign key has, nor what a server checks at once.
        assert_eq!(self.inside, target.query_one(INSIDE));
    }
}

fn large(server: &Arc<Server>) -> Db {
    let db = server.create_db("large");
    db.psql(LARGE);
    if server.major() >= 15 {
        db.psql(
            r#"CREATE TABLE "Big Things".spoke_pair AS SELECT before AS id, other FROM "Big Things".spoke WHERE id > 1;
               ALTER TABLE "Big Things".spoke_pair ADD UNIQUE (id, other)"#,
        );
        db.psql(FROM_15);
    }
    if server.major() >= 18 {
        db.psql(FROM_18);
    }
    db.psql("ANALYZE");
    db
}

const JOURNALS: &str = "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgstow restore journal'";

const INSIDE: &str = "
    SELECT string_agg(concat_ws(' ', c.conrelid::regclass, c.conname, c.contype, c.convalidated,
        c.condeferrable, c.condeferred, c.conindid::regclass, i.indimmediate, i.indisprimary, i.indisvalid,
        (SELECT count(*) FROM pg_trigger t WHERE t.tgconstraint = c.oid),
        (SELECT string_agg(d.refobjid::regclass::text, ',' ORDER BY d.refobjid::regclass::text) FROM pg_depend d
         WHERE d.classid = 'pg_constraint'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass)),
        E'\n' ORDER BY c.conrelid::regclass::text, c.conname)
    FROM pg_constraint c LEFT JOIN pg_index i ON i.indexrelid = c.conindid
    WHERE c.connamespace = '\"Big Things\"'::regnamespace";

/// Of which statements there are how many in a part of a server's log.
fn pieces_in(log: &str) -> (usize, usize) {
    let with = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    (
        with(" USING INDEX \"Hub ) key\""),
        with(" VALIDATE CONSTRAINT "),
    )
}

#[test]
fn however_many_sessions_the_outcome_is_the_same() {
    for major in [13, 18] {
        let server = Server::builder(major)
            .option("log_statement", "all")
            .start();
        let source = Source::make(&server);
        for (options, keys, foreign_keys) in [
            (&["-j4"][..], true, true),
            // What fails is not to be there afterwards: no foreign key that was never validated.
            (&["-j4", "--continue"], true, false),
            (&["-j1"], false, false),
            (&["-1"], false, false),
        ] {
            let target = server.create_db("made");
            let before = server.log().len();
            restored(&target, &source.archive, options).success();
            let (attached, validated) = pieces_in(&server.log()[before..]);
            assert_eq!(attached, usize::from(keys), "{major}: {options:?}");
            assert_eq!(validated > 0, foreign_keys, "{major}: {options:?}");
            source.assert_same(&target);
        }
        if major == 18 {
            let (piped, copied) = (server.create_db("piped"), server.create_db("copied"));
            let mut command = pgstow();
            command.args(["restore", "--quiet", "-j4", "-d", &piped.url(), "-"]);
            command.stdin(std::fs::File::open(&source.archive).unwrap());
            assert!(command.status().unwrap().success());
            source.assert_same(&piped);
            run(pgstow().args(["copy", "-j4", &source.db.url(), &copied.url()])).success();
            source.assert_same(&copied);
        }
    }
}

/// A restore by the program, with its log.
struct Running {
    child: Child,
    log: tempfile::NamedTempFile,
}

impl Running {
    fn start(target: &Db, archive: &Path, options: &[&str]) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = pgstow();
        let url = target.url();
        command.args(["restore", "-d", &url]).args(options);
        command.arg(archive).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(log.reopen().unwrap());
        Self {
            child: command.spawn().unwrap(),
            log,
        }
    }

    /// Waits until one of its sessions has come to the statement that [`stop_at`] stops.
    fn wait_for_stop(&mut self, target: &Db) {
        let until = Instant::now() + Duration::from_secs(60);
        while target.query_one(STOPPED) == "0" {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "has ended:\n{}", self.said());
            assert!(Instant::now() < until, "is not stopped:\n{}", self.said());
            sleep(Duration::from_millis(10));
        }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }
}

const STOPPED: &str = "SELECT count(*) FROM pg_stat_activity \
    WHERE datname = current_database() AND wait_event = 'PgSleep'";

/// Whoever is about to run a statement with these words stops there.
fn stop_at(target: &Db, words: &str) {
    target.psql(&format!(
        "CREATE FUNCTION public.stop() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN
           IF current_query() LIKE '%{words}%' THEN PERFORM pg_sleep(600); END IF; END$$;
         CREATE EVENT TRIGGER stop ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION public.stop();"
    ));
}

fn stop_no_more(target: &Db) {
    target.psql("DROP EVENT TRIGGER stop; DROP FUNCTION public.stop()");
}

/// An index that is there without its constraint; a foreign key that was not validated.
const HALVES: [(&str, &str); 2] = [
    (
        "USING INDEX \"Hub ) key\"",
        "SELECT count(*) FROM pg_index WHERE indexrelid = '\"Big Things\".\"Hub ) key\"'::regclass AND NOT indisprimary",
    ),
    (
        "VALIDATE CONSTRAINT spoke_hub",
        "SELECT count(*) FROM pg_constraint WHERE conname = 'spoke_hub' AND NOT convalidated",
    ),
];

#[test]
fn a_restore_goes_on_between_pieces() {
    for (major, rounds) in [
        (18, &[(0, false), (0, true), (1, false)][..]),
        (13, &[(1, true)]),
    ] {
        let server = Server::start(major);
        let source = Source::make(&server);
        for &(at, clean) in rounds {
            let (words, half): (&str, &str) = HALVES[at];
            let target = server.create_db("halves");
            let options = match clean {
                true => ["--clean", "--if-exists"],
                // What stops it is there before.
                false => ["--allow-non-empty", "--quiet"],
            };
            if clean {
                restored(&target, &source.archive, &["-j4"]).success();
            }
            stop_at(&target, words);
            let with = |more: &[&'static str]| [&options[..], more].concat();
            let mut running = Running::start(&target, &source.archive, &with(&["-j4"]));
            running.wait_for_stop(&target);
            running.child.kill().unwrap();
            running.child.wait().unwrap();
            assert_eq!(target.query_one(half), "1", "{words}");
            assert_eq!(target.query_one(JOURNALS), "1");
            // Killed once more at the same place.
            let mut running = Running::start(&target, &source.archive, &with(&["-j3", "--resume"]));
            // The first run's session is stopped there too, until this one ends it.
            while !running
                .said()
                .contains("that the earlier run of this restore had left")
            {
                assert!(
                    running.child.try_wait().unwrap().is_none(),
                    "{}",
                    running.said()
                );
                sleep(Duration::from_millis(5));
            }
            running.wait_for_stop(&target);
            running.child.kill().unwrap();
            running.child.wait().unwrap();
            stop_no_more(&target);
            // With one session nothing would be in pieces, had it not been begun so.
            let jobs = ["-j4", "-j1"][at];
            restored(&target, &source.archive, &with(&[jobs, "--resume"])).success();
            source.assert_same(&target);
            // As if it had been killed between the end of the journal and its own.
            let again = restored(&target, &source.archive, &["-j4", "--resume"]).expect_code(6);
            assert!(again.stderr.contains("is not empty"), "{}", again.stderr);
            if clean && at == 0 {
                restored(&target, &source.archive, &with(&["-j4", "--resume"])).success();
                source.assert_same(&target);
            }
        }
    }
}

#[test]
fn a_session_that_ends_between_pieces_is_replaced() {
    let server = Server::start(18);
    let source = Source::make(&server);
    for (words, half) in HALVES {
        let target = server.create_db("ended");
        stop_at(&target, words);
        let mut running = Running::start(&target, &source.archive, &["-j4", "--allow-non-empty"]);
        running.wait_for_stop(&target);
        assert_eq!(target.query_one(half), "1", "{words}");
        stop_no_more(&target);
        target.psql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event = 'PgSleep'",
        );
        let status = running.child.wait().unwrap();
        assert!(status.success(), "{}", running.said());
        source.assert_same(&target);
    }
}

/// A foreign key that does not hold for the rows, as a source has it whose triggers were off for a while.
#[test]
fn a_database_that_was_made_goes_on_when_its_rows_are_repaired() {
    const BROKEN: &str = "
        CREATE TABLE hub (id int, code int, note text);
        INSERT INTO hub SELECT n, n, repeat(md5(n::text), 4) FROM generate_series(1, 9000) n;
        ALTER TABLE hub ADD PRIMARY KEY (id), ADD UNIQUE (code);
        CREATE TABLE spoke (id int, hub int, note text);
        INSERT INTO spoke SELECT n, n, repeat(md5(n::text), 4) FROM generate_series(1, 9000) n;
        ALTER TABLE spoke ADD CONSTRAINT spoke_hub FOREIGN KEY (hub) REFERENCES hub;
        CREATE INDEX ON spoke (hub); CREATE INDEX ON spoke (id);
        SET session_replication_role = replica;
        DELETE FROM hub WHERE id = 77;
    ";
    const REPAIR: &str = "INSERT INTO hub VALUES (77, 77, 'again')";
    let server = Server::start(18);
    let source = server.create_db("broken");
    source.psql(BROKEN);
    let (_dir, archive) = dumped(&source, &["-j2"]);
    source.psql(REPAIR);
    let schema = pg_dump_schema(&source);
    let maintenance = server.db("postgres");
    for (round, options) in [&["-C"][..], &["-C", "--clean", "--if-exists"]]
        .into_iter()
        .enumerate()
    {
        let name = format!("{}_made_{round}", source.name());
        let restore = |more: &[&str]| {
            let mut command = pgstow();
            let url = maintenance.url();
            command.args(["restore", "-d", &url, "--create-as", &name]);
            run(command.args(options).args(more).arg(&archive))
        };
        let failed = restore(&["-j4"]).expect_code(1);
        assert!(failed.stderr.contains("spoke_hub"), "{}", failed.stderr);
        assert!(failed.stderr.contains("--resume"), "{}", failed.stderr);
        let target = server.db(&name);
        let half =
            "SELECT count(*) FROM pg_constraint WHERE conname = 'spoke_hub' AND NOT convalidated";
        assert_eq!(target.query_one(half), "1");
        assert_eq!(target.query_one(JOURNALS), "1");
        // As long as the rows are so, it comes no further.
        restore(&["-j4", "--resume"]).expect_code(1);
        target.psql(REPAIR);
        restore(&["-j4", "--resume"]).success();
        assert_eq!(target.query_one(JOURNALS), "0");
        assert_same_text(&schema, &pg_dump_schema(&target));
        assert_same_data(&source, &target);
        if round == 0 {
            let again = restore(&["-j4", "--resume"]).expect_code(6);
            assert!(again.stderr.contains("is not empty"), "{}", again.stderr);
        }
    }
}

/// What the sessions of a restore share of the server's means, and that a server's own is not lowered. A timeout of the
/// database's, which is off already while the target is asked, is off in all of them.
#[test]
fn memory_for_indexes_is_shared_out() {
    let server = Server::start(18);
    let source = server.create_db("one");
    source.psql("CREATE TABLE t (id int); INSERT INTO t VALUES (1); CREATE INDEX i ON t (id);");
    let (_dir, archive) = dumped(&source, &[]);
    let seen = |settings: &str, options: &[&str]| {
        let target = server.create_db("shares");
        target.psql(&format!(
            "CREATE TABLE public.seen (memory text, workers text, timeout text DEFAULT current_setting('statement_timeout'));
             CREATE FUNCTION public.look() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.seen
               (memory, workers) VALUES (current_setting('maintenance_work_mem'), current_setting('max_parallel_maintenance_workers'));
             END$$;
             CREATE EVENT TRIGGER look ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION public.look();
             {settings}"
        ));
        let options = [options, &["--allow-non-empty"]].concat();
        restored(&target, &archive, &options).success();
        target.query_one(
            "SELECT string_agg(concat_ws(' ', memory, workers, timeout), ', ') FROM public.seen",
        )
    };
    let of_database = |what: &str| {
        format!(
            "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET {what}', current_database()); END$$;"
        )
    };
    let timeout = of_database("statement_timeout = ''5min''");
    let base = of_database("maintenance_work_mem = ''64MB''") + &timeout;
    assert_eq!(seen(&base, &["-j2"]), "128MB 2 0");
    assert_eq!(seen(&base, &["-j2", "--memory=1GB"]), "512MB 2 0");
    assert_eq!(seen(&base, &["-j8"]), "64MB 1 0");
    let large = of_database("maintenance_work_mem = ''300MB''") + &timeout;
    assert_eq!(seen(&large, &["-j2"]), "300MB 2 0");
}
