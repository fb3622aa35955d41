//! Options that change not which objects are in an archive but how: seen in what is restored.

use std::collections::BTreeSet;
use std::path::Path;

use super::source;
use super::support::{Db, Output, Server, assert_same_data, assert_same_schema, pgstow, run};

/// Dumps with these options and gives the archive as a list of JSON lines.
fn listed(db: &Db, options: &[&str], file: &Path) -> String {
    dump(db, options, file).success();
    run(pgstow().args(["list", "--json"]).arg(file))
        .success()
        .stdout
}

fn dump(db: &Db, options: &[&str], file: &Path) -> Output {
    run(pgstow()
        .args(["dump", &db.url(), "-f"])
        .arg(file)
        .args(options))
}

#[test]
fn what_is_part_of_a_definition_can_be_left_out() {
    let source = source(18);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    let all = listed(&source, &[], &file);
    assert!(
        all.contains("SET COMPRESSION pglz") && all.contains("\"access_method\":\"shop_heap\"")
    );
    assert!(!listed(&source, &["--no-toast-compression"], &file).contains("SET COMPRESSION"));
    let without = listed(&source, &["--no-table-access-method"], &file);
    assert!(!without.contains("\"access_method\":\"shop_heap\""));
    let without = listed(&source, &["--no-owner"], &file);
    assert!(!without.contains(" OWNER TO ") && !without.contains("\"owner\""));
    // Rows of partitions go into the root of their tree; those of a tree that is spread by the
    // hash of an enum do so in any case.
    let into = |list: &str, table: &str| list.matches(&format!("\"COPY {table} (")).count();
    assert_eq!(
        (into(&all, "shop.parts"), into(&all, "shop.hashed")),
        (0, 2)
    );
    let through = listed(&source, &["--load-via-partition-root"], &file);
    assert_eq!(
        (into(&through, "shop.parts"), into(&through, "shop.hashed")),
        (2, 2)
    );
    assert_eq!(into(&through, "shop.orders"), into(&all, "shop.orders"));
    let target = source.server().create_db("through_root");
    run(pgstow().args(["restore", "-d", &target.url()]).arg(&file)).success();
    assert_same_data(&source, &target);
    run(pgstow()
        .arg("verify")
        .arg(&file)
        .args(["--against", &target.url()]))
    .success();
}

/// With all identifiers quoted nothing is lost, whatever its name.
#[test]
fn everything_can_be_quoted() {
    let source = Server::start(18).create_db("quoted");
    source.load_fixtures();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    dump(&source, &["--quote-all-identifiers", "--quiet"], &file).success();
    let list = run(pgstow().args(["list", "--json"]).arg(&file))
        .success()
        .stdout;
    for part in [
        "CREATE TABLE fx_",
        "COPY fx_",
        "ALTER TABLE ONLY fx_",
        " ON fx_",
    ] {
        assert!(!list.contains(part), "{part}");
    }
    let target = source.server().create_db("quoted_copy");
    run(pgstow()
        .args(["restore", "--quiet", "-d", &target.url()])
        .arg(&file))
    .success();
    assert_same_schema(&source, &target);
    assert_same_data(&source, &target);
}

/// Rows that policies hide are an error, or left out when that is asked for.
#[test]
fn row_security_is_heeded_or_an_error() {
    let server = Server::start(18);
    server.load_roles();
    let source = server.create_db("hidden");
    source.psql(
        "create table open(i int); insert into open values (1);
         create table half(i int); insert into half select generate_series(1, 10);
         alter table half enable row level security;
         create policy p on half for select to fx_reader using (i <= 4);
         grant select on open, half to fx_reader; grant create on schema public to fx_reader",
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    let error = dump(&source, &["--role=fx_reader"], &file).expect_code(1);
    assert!(error.stderr.contains("half"), "{}", error.stderr);
    assert!(!file.exists(), "an archive that lacks rows was left behind");
    let options = ["--role=fx_reader", "--enable-row-security", "--json"];
    let report = dump(&source, &options, &file).success().stdout;
    assert!(report.contains("\"rows\":5"), "{report}");
    run(pgstow().arg("verify").arg(&file)).success();
    let target = server.create_db("hidden_copy");
    run(pgstow().args(["restore", "-d", &target.url()]).arg(&file)).success();
    assert_eq!(target.query_one("select sum(i) from half"), "10");
    // What was restored is what is in the archive; the source has more, for those who see it.
    run(pgstow()
        .arg("verify")
        .arg(&file)
        .args(["--against", &target.url()]))
    .success();
    run(pgstow()
        .arg("verify")
        .arg(&file)
        .args(["--against", &source.url()]))
    .expect_code(1);
}

/// Rows of foreign tables are dumped when their server is named, and only then.
#[test]
fn rows_of_foreign_tables_come_when_asked_for() {
    let server = Server::start(18);
    let (source, far) = (server.create_db("near"), server.create_db("far"));
    far.psql("create table t(i int, v text); insert into t values (1, 'a'), (2, 'b')");
    source.psql(&format!(
        "create extension postgres_fdw;
         create server loop_1 foreign data wrapper postgres_fdw
             options (host '{}', port '{}', dbname '{}');
         create user mapping for current_user server loop_1;
         create server elsewhere foreign data wrapper postgres_fdw options (host '/nowhere');
         create foreign table t(i int, v text, w text generated always as (v || 'x') stored)
             server loop_1 options (table_name 't');
         create foreign table unreachable(i int) server elsewhere;
         create table near as select 1 as i",
        server.host(),
        server.port(),
        far.name(),
    ));
    far.psql("alter table t add w text");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    let list = |options: &[&str]| {
        dump(&source, options, &file).success();
        run(pgstow().arg("verify").arg(&file)).success();
        run(pgstow().arg("list").arg(&file)).success().stdout
    };
    assert!(!list(&[]).contains("TABLE DATA public.t"));
    let listed = list(&["--include-foreign-data=loop*"]);
    assert!(listed.contains("TABLE DATA public.t"), "{listed}");
    assert!(
        !listed.contains("TABLE DATA public.unreachable"),
        "{listed}"
    );
    // The copy's foreign table shows the same far one, which so gets its rows a second time.
    let target = server.create_db("near_copy");
    run(pgstow().args(["restore", "-d", &target.url()]).arg(&file)).success();
    assert_eq!(
        far.query_one("select string_agg(v, '' order by v) from t"),
        "aabb"
    );
    for pattern in ["nowhere", "loop_1.x"] {
        let option = format!("--include-foreign-data={pattern}");
        let error = dump(&source, &[&option], &file).stderr;
        assert!(error.contains(pattern), "{error}");
    }
}

/// Rows alone are in an order that foreign keys allow, and a circle of them is named.
#[test]
fn rows_alone_come_in_the_order_of_foreign_keys() {
    let source = Server::start(18).create_db("ordered");
    source.psql(
        "create table a_last(i int primary key);
         create table b_first(i int primary key);
         create table c_middle(i int primary key references b_first);
         alter table a_last add foreign key (i) references c_middle;
         insert into b_first values (1); insert into c_middle values (1); insert into a_last values (1);
         create table egg(i int primary key); create table hen(i int primary key references egg);
         alter table egg add foreign key (i) references hen",
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    let out = dump(&source, &["-a"], &file).success();
    let circle = "circle of foreign keys: public.egg, public.hen";
    assert!(out.stderr.contains(circle), "{}", out.stderr);
    let list = run(pgstow().arg("list").arg(&file)).success().stdout;
    let at = |table: &str| list.find(&format!("TABLE DATA public.{table}")).unwrap();
    assert!(
        at("b_first") < at("c_middle") && at("c_middle") < at("a_last"),
        "{list}"
    );
    // Definitions come with no such warning, for then the keys are made after the rows.
    let out = dump(&source, &[], &file).success();
    assert!(!out.stderr.contains("circle"), "{}", out.stderr);
}

/// What hangs on something that is left out is named.
#[test]
fn what_is_cut_off_is_said() {
    let source = source(18);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    let warnings = |options: &[&str]| -> BTreeSet<String> {
        let stderr = dump(&source, options, &file).success().stderr;
        let warnings = stderr
            .lines()
            .filter_map(|l| l.strip_prefix("pgstow: warning: "));
        warnings.map(str::to_owned).collect()
    };
    let whole = warnings(&[]);
    let lost = &warnings(&["-N", "aside", "-T", "shop.orders"]) - &whole;
    assert_eq!(
        lost.into_iter().collect::<Vec<_>>(),
        [
            "publication shop_some is dumped without schema aside, which is not dumped",
            "publication shop_some is dumped without table shop.orders, which is not dumped",
        ]
    );
    let lost = warnings(&["-n", "aside"]);
    let part = "table aside.parts_high is dumped as a table of its own: shop.parts, whose partition \
                it is, is not dumped";
    assert!(lost.contains(part), "{lost:?}");
}
