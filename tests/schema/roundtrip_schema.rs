//! Schemas there and back, without an archive in between: catalog, order, statements, and
//! pg_dump as the judge.
//!
//! What is compared: `pg_dump --schema-only` of source and target, and what our own reading of
//! the target gives against our reading of the source, statement by statement.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a panic is how a test fails, and it should name the feature"
)]

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use crate::support::{self, Db, Server, assert_same_text, fixtures, pg_dump_schema};
use futures::FutureExt;
use pgstow::catalog::{self, ReadRequest};
use pgstow::connect::{Config, ConfigSource, ProcessEnv};
use pgstow::ddl::{self, Rendered, script};
use pgstow::graph::{self, Node, Section};
use pgstow::report::{Event, Observer};
use pgstow::sql::{LockMode, ServerVersion, ident};
use tokio_postgres::Client;

/// Keeps quiet: what cannot be dumped yet shows in the comparison.
struct Silent;

impl Observer for Silent {
    fn event(&self, _event: &Event) {}
}

/// A session that reads as a dump does.
async fn render(db: &Db) -> Vec<Rendered> {
    render_with_sections(db)
        .await
        .into_iter()
        .map(|(rendered, _)| rendered)
        .collect()
}

/// What a dump would write, and the section of each node.
async fn render_with_sections(db: &Db) -> Vec<(Rendered, Section)> {
    let source = ConfigSource {
        conninfo: Some(db.url()),
        ..ConfigSource::default()
    };
    let config = Config::resolve(&source, &ProcessEnv).unwrap();
    let session = config.connect().await.unwrap();
    for statement in [
        "SELECT pg_catalog.set_config('search_path', '', false)",
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    ] {
        session.client().batch_execute(statement).await.unwrap();
    }
    let database = catalog::read(&session, None, &ReadRequest::default(), &Silent)
        .await
        .unwrap();
    session.close().await;
    let order = graph::order(&database).unwrap();
    let rendered = ddl::render(&database, &order, &ddl::Options::default()).unwrap();
    assert_eq!(rendered.len(), order.nodes.len());
    for (rendered, ordered) in rendered.iter().zip(&order.nodes) {
        assert_eq!(rendered.node, ordered.node);
    }
    // Databases differ in their names, and are made by the harness.
    rendered
        .into_iter()
        .zip(order.nodes.iter().map(|ordered| ordered.section))
        .filter(|(rendered, _)| rendered.kind != "DATABASE")
        .collect()
}

/// Sends one statement by itself; the protocol takes no second one.
async fn run(client: &Client, rendered: &Rendered, statement: &str) {
    if let Err(error) = client.execute(statement, &[]).await {
        let why = error
            .as_db_error()
            .map_or_else(|| error.to_string(), ToString::to_string);
        panic!("{} {}: {why}\n{statement}", rendered.kind, rendered.name);
    }
}

fn is_refresh(rendered: &Rendered) -> bool {
    matches!(rendered.node, Node::Refresh(_))
}

/// Everything but the rows: definitions, owners, comments; then privileges; refreshes last.
async fn restore(rendered: &[Rendered], target: &Db) {
    let client = target.connect().await;
    client
        .batch_execute(
            "SELECT pg_catalog.set_config('search_path', '', false);
             SET check_function_bodies = off; SET row_security = off;
             SET client_min_messages = warning;",
        )
        .await
        .unwrap();
    for item in rendered.iter().filter(|item| !is_refresh(item)) {
        if let Some(tablespace) = &item.tablespace {
            let value = if tablespace.is_empty() {
                String::from("''")
            } else {
                ident(tablespace)
            };
            run(&client, item, &format!("SET default_tablespace = {value}")).await;
        }
        if let Some(method) = &item.access_method {
            let set = format!("SET default_table_access_method = {}", ident(method));
            run(&client, item, &set).await;
        }
        for list in [&item.create, &item.set_owner, &item.comments, &item.labels] {
            for statement in list {
                run(&client, item, statement).await;
            }
        }
    }
    for item in rendered {
        for statement in &item.privileges {
            run(&client, item, statement).await;
        }
    }
    for item in rendered.iter().filter(|item| is_refresh(item)) {
        for statement in &item.create {
            run(&client, item, statement).await;
        }
    }
}

/// Every DROP, backwards; with and without anything there to drop.
async fn drop_all(rendered: &[Rendered], target: &Db) {
    let client = target.connect().await;
    client
        .batch_execute(
            "SELECT pg_catalog.set_config('search_path', '', false);
             SET client_min_messages = error;",
        )
        .await
        .unwrap();
    for item in rendered.iter().rev() {
        for statement in &item.drop {
            run(&client, item, statement).await;
        }
    }
}

fn as_script(rendered: &[Rendered], version: ServerVersion) -> String {
    let item = |item: &'_ Rendered, lists: &[fn(&Rendered) -> &Vec<String>]| {
        (
            format!("{} {}", item.kind, item.name),
            lists
                .iter()
                .flat_map(|list| list(item).clone())
                .collect::<Vec<_>>(),
        )
    };
    let main: &[fn(&Rendered) -> &Vec<String>] = &[
        |r| &r.create,
        |r| &r.set_owner,
        |r| &r.comments,
        |r| &r.labels,
    ];
    let privileges: &[fn(&Rendered) -> &Vec<String>] = &[|r| &r.privileges];
    let mut parts = Vec::new();
    for rendered in rendered.iter().filter(|rendered| !is_refresh(rendered)) {
        parts.push((rendered, item(rendered, main)));
    }
    for rendered in rendered {
        parts.push((rendered, item(rendered, privileges)));
    }
    for rendered in rendered.iter().filter(|rendered| is_refresh(rendered)) {
        parts.push((rendered, item(rendered, main)));
    }
    let mut text = script::header(version, "UTF8");
    text.push_str(&script::section(parts.iter().map(
        |(rendered, (title, statements))| script::Item {
            title: title.clone(),
            statements: statements.iter().map(String::as_str).collect(),
            tablespace: rendered.tablespace.as_deref(),
            access_method: rendered.access_method.as_deref(),
        },
    )));
    text
}

/// What must be equal between two readings: all but OIDs.
fn statements(rendered: &[Rendered]) -> String {
    let mut text = String::new();
    for item in rendered {
        text.push_str(&format!(
            "{} {:?} {} {:?} {:?} {:?}\n{:#?}\n",
            item.kind,
            item.schema,
            item.name,
            item.relation,
            item.tablespace,
            item.access_method,
            [
                &item.create,
                &item.drop,
                &item.set_owner,
                &item.privileges,
                &item.comments,
                &item.labels,
            ]
        ));
    }
    text
}

/// What pg_dump does not tell, so that it is no judge of it: comments on whatever has one, privileges
/// on what is made along with types, how children have their parents' constraints.
const UNSEEN_BY_PG_DUMP: [&str; 3] = [
    "SELECT i.type, i.identity, d.description FROM pg_description d
      CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
      WHERE d.objoid >= 16384 AND i.identity IS NOT NULL
        AND d.classoid <> 'pg_largeobject'::regclass
      ORDER BY 1, 2",
    "SELECT p.oid::regprocedure::text, p.proacl::text FROM pg_proc p
      WHERE p.proacl IS NOT NULL AND EXISTS (SELECT FROM pg_depend d
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')
      ORDER BY 1",
    "SELECT c.conrelid::regclass::text, c.conname, to_jsonb(c) ->> 'conenforced',
            c.convalidated::text, c.coninhcount::text
       FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
      WHERE n.nspname = 'fx_constraints' AND c.contype IN ('c', 'n') AND c.conrelid <> 0
      ORDER BY 1, 2",
];

/// Loads a source, and takes it to a second database by statements, to a third by a script, and
/// from the second to nothing by the DROPs; which change nothing where there is nothing, in `empty`.
async fn there_and_back(empty: &Db, load: impl FnOnce(&Db)) {
    let server = empty.server();
    let major = server.major();
    let source = server.create_db("source");
    load(&source);
    let rendered = render(&source).await;

    let target = server.create_db("target");
    restore(&rendered, &target).await;
    let schema = pg_dump_schema(&source);
    assert_same_text(&schema, &pg_dump_schema(&target));
    let again = render(&target).await;
    assert_same_text(&statements(&rendered), &statements(&again));
    for facts in UNSEEN_BY_PG_DUMP {
        assert_eq!(source.query_rows(facts), target.query_rows(facts));
    }

    let scripted = server.create_db("scripted");
    scripted.psql(&as_script(
        &rendered,
        ServerVersion::from_num(major * 10_000),
    ));
    assert_same_text(&schema, &pg_dump_schema(&scripted));

    drop_all(&rendered, empty).await;
    drop_all(&rendered, &target).await;
    let left = target.query_rows(
        "SELECT c.oid::regclass::text FROM pg_class c
          JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        UNION ALL
         SELECT p.oid::regprocedure::text FROM pg_proc p
          JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        UNION ALL
         SELECT n.nspname FROM pg_namespace n
         WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'public')
        UNION ALL
         SELECT oid::text FROM pg_largeobject_metadata",
    );
    assert_eq!(left, Vec::<Vec<_>>::new(), "left after all DROPs");
}

async fn all_together(major: u32) {
    let empty = Server::start(major).create_db("empty");
    there_and_back(&empty, |source| {
        source.load_fixtures();
    })
    .await;
}

#[tokio::test]
async fn postgresql_13() {
    all_together(13).await;
}

#[tokio::test]
async fn postgresql_14() {
    all_together(14).await;
}

#[tokio::test]
async fn postgresql_15() {
    all_together(15).await;
}

#[tokio::test]
async fn postgresql_16() {
    all_together(16).await;
}

#[tokio::test]
async fn postgresql_17() {
    all_together(17).await;
}

#[tokio::test]
async fn postgresql_18() {
    all_together(18).await;
}

/// Each feature in a database of its own, so that a failure names it, and nothing else makes what it
/// forgot to ask for: on one major each, on all of them in turn, and all of the features, so that one
/// failure does not hide the next. Together they are on every major, see above.
async fn each_alone(every: usize, from: usize) {
    let mut failed = Vec::new();
    let mut empties = BTreeMap::new();
    let fixtures = fixtures().into_iter().enumerate().skip(from).step_by(every);
    for (index, fixture) in fixtures.filter(|(_, fixture)| fixture.apart.is_none()) {
        let mut majors = support::MAJORS;
        majors.rotate_left(index % support::MAJORS.len());
        let Some(major) = majors.into_iter().find(|&major| fixture.supports(major)) else {
            continue;
        };
        eprintln!("fixture {} on {major}", fixture.name);
        let empty = empties
            .entry(major)
            .or_insert_with(|| Server::start(major).create_db("empty"));
        let trip = there_and_back(empty, |source| source.load_fixture(&fixture.name));
        if AssertUnwindSafe(trip).catch_unwind().await.is_err() {
            failed.push((fixture.name, major));
        }
    }
    assert_eq!(failed, Vec::<(String, u32)>::new());
}

#[tokio::test]
async fn each_even_feature_alone() {
    each_alone(2, 0).await;
}

#[tokio::test]
async fn each_odd_feature_alone() {
    each_alone(2, 1).await;
}

/// pg_dump gives an adopted child its parent's columns first, so that a row written by position would
/// land in the wrong ones, and the constructors of a renamed range type the type's name.
#[tokio::test]
async fn what_pg_dump_restores_otherwise() {
    for major in [13, 18] {
        let server = Server::start(major);
        let source = server.create_db("source");
        source.load_fixture("column-order");
        source.load_fixture("range-constructors");
        let rendered = render(&source).await;
        let target = server.create_db("target");
        restore(&rendered, &target).await;
        let columns = |db: &Db| {
            db.query_rows(
                "SELECT attname, format_type(atttypid, atttypmod), attinhcount::text
                   FROM pg_attribute
                  WHERE attrelid = 'fx_column_order.adopted'::regclass AND attnum > 0
                  ORDER BY attnum",
            )
        };
        assert_eq!(columns(&source), columns(&target));
        assert_eq!(columns(&source).len(), 4);
        let compression = if major > 13 { "attcompression" } else { "''" };
        let storage = |db: &Db| {
            db.query_rows(&format!(
                "SELECT attrelid::regclass::text, attname, attstorage, {compression}
                   FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
                  WHERE relnamespace = 'fx_column_order'::regnamespace AND attnum > 0
                  ORDER BY 1, 2"
            ))
        };
        assert_eq!(storage(&source), storage(&target));
        let again = render(&target).await;
        assert_same_text(&statements(&rendered), &statements(&again));
    }
}

/// Only the query of such a view comes after the data; whatever needs the view before stands on a dummy.
#[tokio::test]
async fn circles_through_a_primary_key() {
    for major in [14, 18] {
        let empty = Server::start(major).create_db("empty");
        there_and_back(&empty, |source| source.load_fixture("loops-through-keys")).await;
    }
}

/// pg_dump finds no order for these and cannot be the judge: our own reading of the copy is, and
/// what the functions answer.
#[tokio::test]
async fn circles_that_pg_dump_cannot_cut() {
    for major in [13, 14, 18] {
        let server = Server::start(major);
        let source = server.create_db("source");
        source.load_fixture("loops-beyond");
        let rendered = render(&source).await;
        let version = ServerVersion::from_num(major * 10_000);
        let target = server.create_db("target");
        restore(&rendered, &target).await;
        let scripted = server.create_db("scripted");
        scripted.psql(&as_script(&rendered, version));
        for copy in [&target, &scripted] {
            let again = render(copy).await;
            assert_same_text(&statements(&rendered), &statements(&again));
            copy.psql(
                "SET search_path = fx_loops_beyond;
                 INSERT INTO uses_domains (id) VALUES (7);
                 DO $$BEGIN ASSERT (SELECT g = 5 AND a = 3 FROM uses_domains); END$$",
            );
            if major >= 14 {
                copy.psql(
                    "SET search_path = fx_loops_beyond;
                     INSERT INTO counted (id) VALUES (7);
                     DO $$BEGIN
                         ASSERT factorial(5) = 120;
                         ASSERT \"Is even\"(4) AND is_odd(3);
                         ASSERT (SELECT made = 7 AND given = 3 FROM counted);
                     END$$",
                );
            }
        }
        let empty = server.create_db("empty");
        drop_all(&rendered, &empty).await;
        drop_all(&rendered, &target).await;
        let left = target.query_rows("SELECT nspname FROM pg_namespace WHERE nspname ~ '^fx_'");
        assert_eq!(left, Vec::<Vec<_>>::new(), "left after all DROPs");
    }
}

const MODES: [(&str, LockMode); 8] = [
    ("AccessShareLock", LockMode::AccessShare),
    ("RowShareLock", LockMode::RowShare),
    ("RowExclusiveLock", LockMode::RowExclusive),
    ("ShareUpdateExclusiveLock", LockMode::ShareUpdateExclusive),
    ("ShareLock", LockMode::Share),
    ("ShareRowExclusiveLock", LockMode::ShareRowExclusive),
    ("ExclusiveLock", LockMode::Exclusive),
    ("AccessExclusiveLock", LockMode::AccessExclusive),
];

/// Whether whoever waits for `told` also waits for `taken`.
fn covers(told: LockMode, taken: LockMode) -> bool {
    MODES
        .iter()
        .all(|(_, other)| !taken.conflicts(*other) || told.conflicts(*other))
}

/// A parallel restore relies on the locks that are told: where a statement takes one more, two
/// workers can deadlock. Only reading (ACCESS SHARE) goes untold.
async fn locks_taken_are_told(major: u32) {
    let server = Server::start(major);
    let source = server.create_db("source");
    source.load_fixtures();
    let rendered = render_with_sections(&source).await;
    let target = server.create_db("target");
    let client = target.connect().await;
    client
        .batch_execute(
            "SET search_path = ''; SET check_function_bodies = off;
             SET client_min_messages = warning;",
        )
        .await
        .unwrap();
    let names = source.query_rows(
        "SELECT c.oid::text, n.nspname || '.' || c.relname
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace",
    );
    let name_of = |oid: u32| {
        let row = names.iter().find(|row| row[0] == Some(oid.to_string()));
        row.and_then(|row| row[1].clone()).unwrap()
    };
    let mut checked = 0;
    let mut untold = Vec::new();
    for (item, section) in &rendered {
        client.batch_execute("BEGIN").await.unwrap();
        for statement in &item.create {
            run(&client, item, statement).await;
        }
        let post_data = *section == Section::PostData;
        // Only what other sessions could see, and so wait for.
        let taken = client
            .query(
                "SELECT n.nspname || '.' || c.relname, l.mode FROM pg_locks l
                   JOIN pg_class c ON c.oid = l.relation
                   JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE l.pid = pg_backend_pid() AND l.granted AND c.relkind IN ('r', 'p', 'v', 'm')
                    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'",
                &[],
            )
            .await
            .unwrap();
        for row in taken.iter().filter(|_| post_data) {
            let (relation, mode): (String, String) = (row.get(0), row.get(1));
            // What it makes, nobody else can see yet.
            if format!(
                "{}.{}",
                item.schema.as_deref().unwrap_or_default(),
                item.name
            ) == relation
                && item.kind == "MATERIALIZED VIEW"
            {
                continue;
            }
            let (_, taken) = MODES.iter().find(|(name, _)| *name == mode).unwrap();
            let told = item.locks.iter().find(|l| name_of(l.relation) == relation);
            if told.is_none_or(|told| !covers(told.mode, *taken)) && *taken != LockMode::AccessShare
            {
                untold.push(format!(
                    "{} {} takes {mode} on {relation}, told {:?}",
                    item.kind,
                    item.name,
                    told.map(|told| told.mode)
                ));
            }
            checked += 1;
        }
        for statement in &item.set_owner {
            run(&client, item, statement).await;
        }
        client.batch_execute("COMMIT").await.unwrap();
    }
    assert!(checked > 200, "{checked} locks looked at");
    assert_eq!(untold, Vec::<String>::new(), "on PostgreSQL {major}");
}

#[tokio::test]
async fn locks_taken_are_told_on_13() {
    locks_taken_are_told(13).await;
}

#[tokio::test]
async fn locks_taken_are_told_on_18() {
    locks_taken_are_told(18).await;
}
