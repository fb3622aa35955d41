//! The sample databases, tested: the shop and TPC-H load, give the same rows each time, and
//! PostgreSQL's own tools can take them out and in again.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use crate::support::{Db, Server, assert_same_data, assert_same_schema, run, table_hashes, tpch};

fn copy_by_pg_dump(source: &Db) -> Db {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("archive");
    let server = source.server();
    run(server
        .own_tool("pg_dump")
        .args(["-Fc", "-Z0", source.name(), "-f"])
        .arg(&archive))
    .success();
    let copy = server.create_db("copy");
    run(server
        .own_tool("pg_restore")
        .args(["--exit-on-error", "-d", copy.name()])
        .arg(&archive))
    .success();
    copy
}

fn shop(major: u32) {
    let server = Server::start(major);
    let source = server.create_db("shop");
    source.load_shop(0.02);
    let again = server.create_db("shop again");
    again.load_shop(0.02);
    let (mut first, mut second) = (table_hashes(&source), table_hashes(&again));
    // Holds the time and the user of each change.
    for hashes in [&mut first, &mut second] {
        let changes = hashes.remove("audit.changes").unwrap();
        assert_eq!(changes.0, 2);
    }
    assert_eq!(first, second);
    assert!(first["shop.order_items"].0 > 1_000, "{first:?}");
    let copy = copy_by_pg_dump(&source);
    assert_same_schema(&source, &copy);
    assert_same_data(&source, &copy);
}

#[test]
fn shop_on_14() {
    shop(14);
}

#[test]
fn shop_on_15() {
    shop(15);
}

#[test]
fn shop_on_18() {
    shop(18);
}

#[test]
fn tpch_has_the_rows_that_the_standard_says() {
    let server = Server::start(18);
    let db = server.create_db("tpch");
    let rows = db.load_tpch(0.01);
    let hashes = table_hashes(&db);
    let counted: i64 = hashes.values().map(|(rows, _)| rows).sum();
    assert_eq!(u64::try_from(counted).unwrap(), rows);
    for (table, rows) in [
        ("region", 5),
        ("nation", 25),
        ("supplier", 100),
        ("customer", 1_500),
        ("part", 2_000),
        ("partsupp", 8_000),
        ("orders", 15_000),
        ("lineitem", 60_175),
    ] {
        assert_eq!(hashes[&format!("public.{table}")].0, rows, "{table}");
    }
    // In parts, the same rows.
    let mut whole = Vec::new();
    tpch::generate("orders", 0.01, 1, 1, &mut whole).unwrap();
    let mut parts = Vec::new();
    for part in 1..=3 {
        tpch::generate("orders", 0.01, part, 3, &mut parts).unwrap();
    }
    assert!(whole == parts, "parts differ from the whole");
}

#[test]
fn extreme_shapes_are_what_they_say() {
    let server = Server::start(18);
    let db = server.create_db("extreme");
    db.load_many_tables(30);
    db.load_long_tables(2);
    db.load_huge_values(1);
    let hashes = table_hashes(&db);
    assert_eq!(
        hashes
            .keys()
            .filter(|name| name.starts_with("many_"))
            .count(),
        30
    );
    assert_eq!(hashes["many_7.t_17"].0, 3);
    assert_eq!(hashes["huge.v"].0, 5);
    let sizes = "select pg_table_size('long.narrow') between 1500000 and 3000000,
        pg_table_size('long.toasted') between 1500000 and 3000000,
        (select array_agg(greatest(length(t), length(b)) order by id) from huge.v where id between 2 and 4)";
    let expected = ["t", "t", "{1048576,1048576,1048576}"].map(|v| Some(v.to_owned()));
    assert_eq!(db.query_rows(sizes), [expected]);
}
