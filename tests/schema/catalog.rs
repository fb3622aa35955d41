//! The catalog readers against servers of every major.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use crate::support::{Db, MAJORS, Server};
use pgstow::catalog::{self, ReadRequest, Selection, all_queries};
use pgstow::connect::{Config, ConfigSource, ProcessEnv, Session};
use pgstow::error::{Error, Kind};
use pgstow::model::{
    Address, Class, Components, Database, DomainDefault, FunctionBody, Header, TypeDefinition,
};
use pgstow::report::{Event, Level, Observer};
use pgstow::select::Content;
use pgstow::sql::Quoting;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// Keeps the warnings.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Observer for Warnings {
    fn event(&self, event: &Event) {
        if let Event::Message {
            level: Level::Warning,
            text,
            ..
        } = event
        {
            self.0.lock().unwrap().push(text.clone());
        }
    }
}

/// A session of this user with an empty `search_path`, in a transaction.
async fn session(db: &Db, user: &str) -> Session {
    let source = ConfigSource {
        conninfo: Some(db.url_as(user, db.server().password())),
        ..ConfigSource::default()
    };
    let config = Config::resolve(&source, &ProcessEnv).unwrap();
    let session = config.connect().await.unwrap();
    for statement in [
        "SELECT pg_catalog.set_config('search_path', '', false)",
        "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    ] {
        session.client().batch_execute(statement).await.unwrap();
    }
    session
}

async fn try_read(db: &Db, selection: Selection) -> Result<(Database, Vec<String>), Error> {
    try_read_as(db, "postgres", selection).await
}

async fn try_read_as(
    db: &Db,
    user: &str,
    selection: Selection,
) -> Result<(Database, Vec<String>), Error> {
    let session = session(db, user).await;
    let request = ReadRequest {
        selection,
        ..ReadRequest::default()
    };
    let warnings = Warnings::default();
    let database = catalog::read(&session, None, &request, &warnings).await?;
    let path = session.client().query_one("SHOW search_path", &[]).await;
    let path: String = path.unwrap().get(0);
    assert!(["", "\"\""].contains(&path.as_str()), "it is {path} again");
    session.close().await;
    Ok((database, warnings.0.into_inner().unwrap()))
}

/// A dump may run in a task of any runtime: this must compile.
#[test]
fn reading_can_be_spawned() {
    fn spawnable<T: Send>(_: impl Fn() -> T) {}
    let call = |session, request, observer| catalog::read(session, None, request, observer);
    spawnable(|| {
        let never: Option<(&pgstow::connect::Session, &ReadRequest, &Warnings)> = None;
        never.map(|(session, request, observer)| call(session, request, observer))
    });
}

async fn read(db: &Db, selection: Selection) -> Database {
    try_read(db, selection).await.unwrap().0
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// `schema.name` of the relations of which any of `components` is wanted.
fn relations_with(database: &Database, components: Components) -> BTreeSet<String> {
    database
        .relations
        .iter()
        .filter(|r| !r.header.wanted.only(components).is_none())
        .map(|r| r.header.sql_name())
        .collect()
}

fn relations(database: &Database) -> BTreeSet<String> {
    relations_with(database, Components::ALL)
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn relation<'d>(database: &'d Database, name: &str) -> &'d Header {
    let found = database
        .relations
        .iter()
        .find(|r| r.header.sql_name() == name);
    &found.unwrap_or_else(|| panic!("no relation {name}")).header
}

#[tokio::test]
async fn every_query_can_be_prepared_on_every_major() {
    for major in MAJORS {
        let db = Server::start(major).create_db("prepare");
        let session = session(&db, "postgres").await;
        let queries = all_queries(session.server_version());
        assert!(queries.len() > 30);
        for (name, sql) in queries {
            if let Err(error) = session.client().prepare(&sql).await {
                let error = Error::from(error);
                panic!("{name} on {major}: {error} {:?}\n{sql}", error.hint());
            }
        }
    }
}

#[tokio::test]
async fn all_fixtures_are_read_on_every_major() {
    for major in MAJORS {
        let db = Server::start(major).create_db("fixtures");
        db.load_fixtures();
        let (database, _) = try_read(&db, Selection::default()).await.unwrap();
        let counts = [
            ("schemas", database.schemas.len()),
            ("types", database.types.len()),
            ("functions", database.functions.len()),
            ("relations", database.relations.len()),
            ("dependencies", database.dependencies.len()),
            ("default privileges", database.default_acls.len()),
            ("large objects", database.large_objects.len()),
        ];
        for (what, count) in counts {
            assert!(count > 0, "{major}: no {what}");
        }
        for header in database
            .functions
            .iter()
            .map(|f| &f.header)
            .chain(database.types.iter().map(|t| &t.header))
            .filter(|h| h.wanted.has(Components::DEFINITION))
        {
            assert!(header.owner.is_some(), "{}", header.sql_name());
        }
        // Every function that a new database does not have is there, members of extensions too; constructors of
        // ranges where there is more to say of them.
        let expected = db.query_one(
            "SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace \
             WHERE prokind <> 'a' AND p.oid >= 16384 AND nspname NOT IN ('pg_catalog') \
             AND (proacl IS NOT NULL OR obj_description(p.oid, 'pg_proc') IS NOT NULL \
             OR NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid \
             AND d.classid = 'pg_proc'::regclass AND deptype = 'i'))",
        );
        let own = database
            .functions
            .iter()
            .filter(|f| f.header.schema.as_deref() != Some("pg_catalog"));
        assert_eq!(own.count().to_string(), expected, "{major}");
        worded_as_the_server_would(&db).await;
    }
}

/// Awkward indexes, foreign keys and defaults; what only newer majors take follows its number.
const WORDED: &str = include_str!("catalog/worded.sql");

/// What the server says of all that may be dumped: sort, OID, text.
const SERVERS_WORDS: &str = "\
WITH tables AS (
    SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
     WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
       AND (NOT EXISTS (SELECT FROM pg_catalog.pg_depend
                         WHERE classid = 'pg_catalog.pg_class'::regclass AND objid = c.oid
                           AND deptype = 'e')))
SELECT 'index', indexrelid, pg_catalog.pg_get_indexdef(indexrelid)
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = indexrelid
 WHERE indrelid IN (TABLE tables) AND indisready AND (indisvalid OR relkind = 'I')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint
                    WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
UNION ALL
SELECT CASE contype WHEN 'f' THEN 'foreign key' ELSE 'constraint' END, oid,
       pg_catalog.pg_get_constraintdef(oid)
  FROM pg_catalog.pg_constraint
 WHERE conrelid IN (TABLE tables)
   AND (contype IN ('p', 'u', 'x') OR contype = 'f' AND conparentid = 0)
UNION ALL
SELECT 'default', oid, pg_catalog.pg_get_expr(adbin, adrelid)
  FROM pg_catalog.pg_attrdef WHERE adrelid IN (TABLE tables)";

type Said = BTreeMap<(String, u32), String>;

fn said_by_us(database: &Database) -> Said {
    let mut said = Said::new();
    let mut say = |sort: &str, oid, text: &str| {
        let before = said.insert((sort.to_owned(), oid), text.to_owned());
        assert_eq!(before, None, "{sort} {oid} twice");
    };
    for index in &database.indexes {
        match &index.constraint {
            None => say("index", index.header.address.oid, &index.definition),
            Some(constraint) => {
                // The server leaves parameters of keys out.
                let text = constraint.definition.as_str();
                let end = |at: usize| at + text[at..].find(')').unwrap() + 1;
                let cut = text.find(" WITH (fillfactor='");
                let cut = cut.filter(|_| !text.starts_with("EXCLUDE"));
                let cut = cut.map(|at| (at, end(at)));
                let text = cut.map(|(at, end)| format!("{}{}", &text[..at], &text[end..]));
                let text = text.as_deref().unwrap_or(&constraint.definition);
                say("constraint", constraint.oid, text);
            }
        }
    }
    for key in &database.foreign_keys {
        say("foreign key", key.header.address.oid, &key.definition);
    }
    for column in database.relations.iter().flat_map(|r| &r.columns) {
        if let Some(default) = &column.default {
            say("default", default.oid, &default.expression);
        }
    }
    said
}

/// Without the quotes of names that one server must quote and another need not.
fn without_needless_quotes(text: &str) -> String {
    let mut bare = String::with_capacity(text.len());
    for (at, part) in text.split('"').enumerate() {
        let is_word = part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let quote = if at % 2 == 0 || is_word { "" } else { "\"" };
        bare.extend([quote, part, quote]);
    }
    bare
}

/// Plain indexes and foreign keys are put into words by us: they are the server's words, all of them.
async fn worded_as_the_server_would(db: &Db) {
    let major = db.major();
    for section in WORDED.split("-- From ") {
        let since: u32 = section[..2].parse().unwrap_or(0);
        if since <= major {
            db.psql(section.split_once('\n').unwrap().1);
        }
    }
    let session = session(db, "postgres").await;
    let client = session.client();
    let ours = async |quoting| {
        let request = ReadRequest {
            quoting,
            ..ReadRequest::default()
        };
        let read = catalog::read(&session, None, &request, &Warnings::default()).await;
        said_by_us(&read.unwrap())
    };
    let theirs = async || {
        let rows = client.query(SERVERS_WORDS, &[]).await.unwrap();
        let row = |row: &tokio_postgres::Row| ((row.get(0), row.get(1)), row.get(2));
        rows.iter().map(row).collect::<Said>()
    };
    let (mut usual, server) = (ours(Quoting::WhereNeeded).await, theirs().await);
    // Of tables of extensions we read what their rows need.
    usual.retain(|what, _| server.contains_key(what));
    assert!(usual.keys().eq(server.keys()), "{major}");
    for (what, text) in &usual {
        let other = &server[what];
        assert_eq!(
            without_needless_quotes(text),
            without_needless_quotes(other),
            "{major}: {what:?}"
        );
        assert!(text.len() >= other.len(), "{major}: {text} for {other}");
    }
    // The server quotes as it did: where this differs, the words are ours.
    let mixed = ours(Quoting::Always).await;
    for sort in ["index", "constraint", "foreign key"] {
        let all = usual.iter().filter(|((of, _), _)| of == sort);
        let worded = all.clone().filter(|(what, text)| mixed[what] != **text);
        let (worded, all) = (worded.count(), all.count());
        assert!(
            worded >= 10 && worded * 3 >= all,
            "{major}: {worded} of {all} {sort} definitions are ours"
        );
        assert!(
            worded < all,
            "every {sort} is plain: what is not is missing here"
        );
    }
    // With all names quoted there are no keywords to differ about.
    let quoting = "SET quote_all_identifiers = on";
    client.batch_execute(quoting).await.unwrap();
    let (mut quoted, server) = (ours(Quoting::Always).await, theirs().await);
    quoted.retain(|what, _| server.contains_key(what));
    for (what, text) in &quoted {
        assert_eq!(text, &server[what], "{major}: {what:?}");
    }
    assert_eq!(quoted.len(), server.len());
    session.close().await;
}

const AWKWARD: &str = r#"
CREATE SCHEMA shop;
CREATE SCHEMA "Shop";
CREATE SCHEMA "a.b";
CREATE TABLE public.orders (id int);
CREATE TABLE shop.orders (id int);
CREATE TABLE shop."Orders" (id int);
CREATE TABLE "Shop".orders (id int);
CREATE TABLE "a.b"."c.d" (id int);
CREATE TABLE shop."or""ders" (id int);
CREATE TABLE shop."a+b" (id int);
CREATE TABLE shop."aab" (id int);
CREATE TABLE shop."$x" (id int);
CREATE VIEW shop.a_view AS SELECT 1 AS one;
CREATE SEQUENCE shop.a_sequence;
CREATE TABLE shop.serials (id serial, ident int GENERATED ALWAYS AS IDENTITY);
"#;

async fn tables_matching(db: &Db, patterns: &[&str]) -> BTreeSet<String> {
    let selection = Selection {
        tables: strings(patterns),
        ..Selection::default()
    };
    relations(&read(db, selection).await)
}

#[tokio::test]
async fn table_patterns_choose_as_psql_does() {
    let db = Server::start(18).create_db("patterns");
    db.psql(AWKWARD);
    let cases: &[(&[&str], &[&str])] = &[
        (&["orders"], &["public.orders"]),
        (&["shop.orders"], &["shop.orders"]),
        (&["SHOP.ORDERS"], &["shop.orders"]),
        (&["shop.\"Orders\""], &["shop.\"Orders\""]),
        (&["\"Shop\".orders"], &["\"Shop\".orders"]),
        (
            &["*.orders"],
            &["\"Shop\".orders", "public.orders", "shop.orders"],
        ),
        (&["sh?p.orders"], &["shop.orders"]),
        (&["\"a.b\".\"c.d\""], &["\"a.b\".\"c.d\""]),
        (&["shop.\"or\"\"ders\""], &["shop.\"or\"\"ders\""]),
        (&["shop.\"a+b\""], &["shop.\"a+b\""]),
        (&["shop.a+b"], &["shop.aab"]),
        (&["shop.$x"], &["shop.\"$x\""]),
        (&["shop.a_view"], &["shop.a_view"]),
        (&["shop.(aab|a_s*)"], &["shop.a_sequence", "shop.aab"]),
        (
            &["shop.serials"],
            &[
                "shop.serials",
                "shop.serials_id_seq",
                "shop.serials_ident_seq",
            ],
        ),
        (&["nothing", "shop.aab"], &["shop.aab"]),
    ];
    for (patterns, expected) in cases {
        let chosen = tables_matching(&db, patterns).await;
        assert_eq!(chosen, set(expected), "{patterns:?}");
    }
    let own = format!("\"{}\".shop.orders", db.name());
    assert_eq!(tables_matching(&db, &[&own]).await, set(&["shop.orders"]));
}

#[tokio::test]
async fn the_users_own_search_path_makes_tables_visible() {
    let db = Server::start(18).create_db("visible");
    db.psql(AWKWARD);
    db.psql(&format!(
        "ALTER DATABASE \"{}\" SET search_path = shop, public",
        db.name()
    ));
    assert_eq!(
        tables_matching(&db, &["orders"]).await,
        set(&["shop.orders"])
    );
}

#[tokio::test]
async fn patterns_that_match_nothing_or_make_no_sense_are_errors() {
    let db = Server::start(18).create_db("nothing");
    db.psql(AWKWARD);
    let failing = async |selection: Selection| try_read(&db, selection).await.unwrap_err();
    let tables = |patterns: &[&str]| Selection {
        tables: strings(patterns),
        ..Selection::default()
    };
    let schemas = |patterns: &[&str]| Selection {
        schemas: strings(patterns),
        ..Selection::default()
    };

    let error = failing(tables(&["no_such"])).await;
    assert_eq!(error.kind(), Kind::Failed);
    assert_eq!(error.message(), "no matching tables for no_such");
    // The system's tables are not dumped, so they do not count as a match.
    failing(tables(&["pg_class"])).await;
    failing(tables(&["pg_catalog.*"])).await;
    failing(schemas(&["information_schema"])).await;
    let error = failing(schemas(&["no_such", "no_other"])).await;
    assert_eq!(error.message(), "no matching schemas for any pattern");
    let strict = Selection {
        strict_names: true,
        ..tables(&["shop.orders", "no_such"])
    };
    let error = failing(strict).await;
    assert_eq!(error.message(), "no matching tables for no_such");

    assert_eq!(
        failing(tables(&["other.shop.orders"])).await.kind(),
        Kind::Usage
    );
    assert_eq!(failing(tables(&["a.b.c.d"])).await.kind(), Kind::Usage);
    assert_eq!(failing(schemas(&["a.b.c"])).await.kind(), Kind::Usage);
    let error = failing(tables(&["shop.(x"])).await;
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.message().contains("shop.(x"), "{error}");

    // Excluding what is not there is no mistake.
    let excluding = Selection {
        exclude_tables: strings(&["no_such"]),
        exclude_schemas: strings(&["no_such"]),
        exclude_table_data: strings(&["no_such"]),
        strict_names: true,
        ..Selection::default()
    };
    read(&db, excluding).await;
}

#[tokio::test]
async fn schemas_and_exclusions() {
    let db = Server::start(18).create_db("schemas");
    db.psql(AWKWARD);
    db.psql(
        "CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE TYPE shop.mood AS ENUM ('sad', 'ok');
         CREATE TYPE public.mood AS ENUM ('sad', 'ok');
         SELECT lo_create(0);",
    );
    let wanted = |database: &Database| -> BTreeSet<String> {
        let functions = database.functions.iter().map(|f| &f.header);
        let types = database.types.iter().map(|t| &t.header);
        let schemas = database.schemas.iter().map(|t| &t.header);
        functions
            .chain(types)
            .chain(schemas)
            .filter(|h| h.wanted.has(Components::DEFINITION))
            .map(Header::sql_name)
            .collect()
    };

    let only = Selection {
        schemas: strings(&["shop", "nothing"]),
        exclude_tables: strings(&["shop.a*"]),
        ..Selection::default()
    };
    let database = read(&db, only).await;
    assert_eq!(wanted(&database), set(&["shop", "shop.f", "shop.mood"]));
    assert_eq!(
        relations(&database),
        set(&[
            "shop.\"$x\"",
            "shop.\"Orders\"",
            "shop.\"or\"\"ders\"",
            "shop.orders",
            "shop.serials",
            "shop.serials_id_seq",
            "shop.serials_ident_seq",
        ])
    );
    assert!(database.large_objects.is_empty());

    let without = Selection {
        exclude_schemas: strings(&["shop", "\"*\""]),
        exclude_table_data: strings(&["public.orders"]),
        ..Selection::default()
    };
    let database = read(&db, without).await;
    assert_eq!(
        wanted(&database),
        set(&["\"Shop\"", "\"a.b\"", "public", "public.f", "public.mood"])
    );
    assert_eq!(
        relations(&database),
        set(&["\"Shop\".orders", "\"a.b\".\"c.d\"", "public.orders"])
    );
    assert_eq!(
        relations_with(&database, Components::DATA),
        set(&["\"Shop\".orders", "\"a.b\".\"c.d\""])
    );
    assert_eq!(database.large_objects.len(), 1);

    // With tables chosen nothing else comes along, and schemas do not count.
    let tables = Selection {
        tables: strings(&["shop.orders"]),
        exclude_schemas: strings(&["shop"]),
        ..Selection::default()
    };
    let database = read(&db, tables).await;
    assert_eq!(wanted(&database), set(&[]));
    assert_eq!(relations(&database), set(&["shop.orders"]));

    let with_objects = Selection {
        schemas: strings(&["shop"]),
        large_objects: Some(true),
        ..Selection::default()
    };
    assert_eq!(read(&db, with_objects).await.large_objects.len(), 1);
    let no_objects = Selection {
        large_objects: Some(false),
        ..Selection::default()
    };
    assert!(read(&db, no_objects).await.large_objects.is_empty());
}

#[tokio::test]
async fn schema_only_and_data_only() {
    let db = Server::start(18).create_db("content");
    db.psql(AWKWARD);
    db.psql("CREATE UNLOGGED TABLE public.volatile (id int); SELECT lo_create(0);");
    let schema_only = Selection {
        content: Content::SchemaOnly,
        ..Selection::default()
    };
    let database = read(&db, schema_only).await;
    assert_eq!(relations_with(&database, Components::DATA), set(&[]));
    assert!(relations(&database).contains("shop.a_view"));
    assert!(database.large_objects.is_empty());

    let data_only = Selection {
        content: Content::DataOnly,
        no_unlogged_table_data: true,
        ..Selection::default()
    };
    let database = read(&db, data_only).await;
    assert_eq!(relations_with(&database, Components::DEFINITION), set(&[]));
    assert!(relations(&database).contains("shop.serials_id_seq"));
    assert!(!relations(&database).contains("shop.a_view"));
    assert!(!relations(&database).contains("public.volatile"));
    assert_eq!(database.large_objects.len(), 1);
    assert!(database.schemas.iter().all(|s| s.header.wanted.is_none()));
    assert!(database.default_acls.iter().all(|d| !d.wanted));
}

/// The rights on `public` that a reader of the archive would have to write.
fn public(database: &Database) -> &Header {
    let schema = database
        .schemas
        .iter()
        .find(|s| s.header.name == "public")
        .unwrap();
    assert!(schema.built_in);
    &schema.header
}

fn letters_of_public(acl: &pgstow::model::Acl) -> Option<String> {
    let items = acl.current.as_ref()?;
    let item = items.iter().find(|item| item.grantee.is_none())?;
    Some(item.privileges.iter().map(|p| p.letter).collect())
}

#[tokio::test]
async fn the_public_schema_is_compared_with_that_of_a_new_database() {
    for major in MAJORS {
        let server = Server::start(major);
        let changed = |acl: &pgstow::model::Acl| {
            let current = acl.current.as_ref().unwrap();
            let all = current.iter().chain(&acl.base);
            all.filter(|item| item.grantee.is_none())
                .map(|item| item.privileges.len())
                .collect::<Vec<_>>()
        };

        let db = server.create_db("public_stock");
        let database = read(&db, Selection::default()).await;
        let header = public(&database);
        assert_eq!(header.comment, None, "{major}");
        if major < 15 {
            // Whatever the target is, PUBLIC must be able to create there afterwards.
            assert!(header.wanted.has(Components::DEFINITION));
            assert_eq!(letters_of_public(&header.acl).as_deref(), Some("UC"));
            assert_eq!(changed(&header.acl), [2, 1]);
        } else {
            let current: BTreeSet<_> = header
                .acl
                .current
                .iter()
                .flatten()
                .map(|i| format!("{i:?}"))
                .collect();
            let base: BTreeSet<_> = header.acl.base.iter().map(|i| format!("{i:?}")).collect();
            assert_eq!(current, base);
        }

        let db = server.create_db("public_revoked");
        db.psql(
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC; COMMENT ON SCHEMA public IS NULL;
             GRANT CREATE ON SCHEMA public TO pg_monitor;",
        );
        let database = read(&db, Selection::default()).await;
        let header = public(&database);
        assert_eq!(header.comment.as_deref(), Some(""), "{major}");
        assert_eq!(letters_of_public(&header.acl).as_deref(), Some("U"));
        let expected = if major < 15 { [1, 2] } else { [1, 1] };
        assert_eq!(changed(&header.acl), expected, "{major}");
        let items = header.acl.current.as_ref().unwrap();
        assert!(
            items
                .iter()
                .any(|i| i.grantee.as_deref() == Some("pg_monitor"))
        );

        let db = server.create_db("public_closed");
        db.psql(
            "REVOKE ALL ON SCHEMA public FROM PUBLIC; ALTER SCHEMA public OWNER TO postgres;
             COMMENT ON SCHEMA public IS 'mine';",
        );
        let database = read(&db, Selection::default()).await;
        let header = public(&database);
        assert_eq!(header.comment.as_deref(), Some("mine"));
        assert_eq!(letters_of_public(&header.acl), None);
        assert!(header.acl.base.iter().any(|i| i.grantee.is_none()));
        assert!(header.wanted.has(Components::DEFINITION));
        assert_eq!(header.owner.as_deref(), Some("postgres"));
    }
}

/// An extension made of nothing but SQL, without files: its members are attached by hand.
const EXTENSION: &str = "
CREATE SCHEMA ext;
CREATE FUNCTION ext.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION ext.g() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE ext.mood AS ENUM ('sad');
CREATE TABLE ext.t (id int, secret int);
CREATE TABLE ext.config (id int);
CREATE TABLE ext.not_a_member (id int);
ALTER EXTENSION plpgsql ADD FUNCTION ext.f();
ALTER EXTENSION plpgsql ADD FUNCTION ext.g();
ALTER EXTENSION plpgsql ADD TYPE ext.mood;
ALTER EXTENSION plpgsql ADD TABLE ext.t;
ALTER EXTENSION plpgsql ADD TABLE ext.config;
GRANT EXECUTE ON FUNCTION ext.f() TO pg_monitor;
GRANT SELECT (secret) ON ext.t TO pg_monitor;
";

#[tokio::test]
async fn members_of_extensions_keep_only_changed_privileges() {
    for major in MAJORS {
        let db = Server::start(major).create_db("members");
        // Made anew, it is no longer the one that every database has.
        db.psql("DROP EXTENSION plpgsql; CREATE EXTENSION plpgsql;");
        db.psql(EXTENSION);
        db.psql(
            "UPDATE pg_extension SET extconfig = ARRAY['ext.config'::regclass::oid],
             extcondition = ARRAY['WHERE id > 3'] WHERE extname = 'plpgsql'",
        );
        let (database, warnings) = try_read(&db, Selection::default()).await.unwrap();
        let extension = &database.extensions[0];
        assert!(extension.header.wanted.has(Components::DEFINITION));
        let oid = extension.header.address.oid;
        let function = |name: &str| {
            let found = database.functions.iter().find(|f| f.header.name == name);
            &found.unwrap().header
        };
        assert_eq!(function("f").wanted, Components::ACL, "{major}");
        assert_eq!(function("f").extension, Some(oid));
        assert_eq!(function("g").wanted, Components::NONE);
        let mood = database
            .types
            .iter()
            .find(|t| t.header.name == "mood")
            .unwrap();
        assert_eq!(mood.header.wanted, Components::NONE);
        assert_eq!(mood.header.extension, Some(oid));
        let table = database
            .relations
            .iter()
            .find(|r| r.header.name == "t")
            .unwrap();
        assert_eq!(table.header.wanted, Components::ACL);
        let secret = table.columns.iter().find(|c| c.name == "secret");
        assert!(
            secret.is_some_and(|c| c.settings().acl.current.is_some()),
            "{major}: privileges of a column are read"
        );
        let config = database
            .relations
            .iter()
            .find(|r| r.header.name == "config")
            .unwrap();
        assert_eq!(config.header.wanted, Components::DATA);
        assert_eq!(
            config.configuration_condition.as_deref(),
            Some("WHERE id > 3")
        );
        assert!(
            relation(&database, "ext.not_a_member")
                .wanted
                .has(Components::ALL)
        );
        assert!(
            !warnings.iter().any(|w| w.contains("language")),
            "members are not lost: {warnings:?}"
        );

        let excluded = Selection {
            exclude_table_data: strings(&["ext.config"]),
            ..Selection::default()
        };
        let database = read(&db, excluded).await;
        assert!(relation(&database, "ext.config").wanted.is_none());

        let tables = Selection {
            tables: strings(&["ext.config"]),
            ..Selection::default()
        };
        assert_eq!(relations(&read(&db, tables).await), set(&["ext.config"]));
    }
}

#[tokio::test]
async fn changed_privileges_of_built_in_objects_are_kept() {
    for major in MAJORS {
        let db = Server::start(major).create_db("builtin");
        db.psql(
            "REVOKE EXECUTE ON FUNCTION pg_sleep(float8) FROM PUBLIC;
             GRANT SELECT ON pg_catalog.pg_authid TO pg_monitor;",
        );
        let database = read(&db, Selection::default()).await;
        let sleep = database
            .functions
            .iter()
            .find(|f| f.header.name == "pg_sleep")
            .unwrap();
        assert_eq!(sleep.header.wanted, Components::ACL);
        assert_eq!(sleep.identity_arguments, "double precision");
        assert_eq!(database.functions.len(), 1);
        let authid = relation(&database, "pg_catalog.pg_authid");
        assert_eq!(authid.wanted, Components::ACL);
        assert_eq!(relations(&database), set(&["pg_catalog.pg_authid"]));
    }
}

/// Passwords and connection strings are for superusers: what is left out for that is named.
#[tokio::test]
async fn what_a_role_may_not_see_is_named() {
    for major in MAJORS {
        let db = Server::start(major).create_db("unseen");
        db.psql(
            "DO $$ BEGIN CREATE ROLE unseeing LOGIN PASSWORD 'pw'; EXCEPTION WHEN OTHERS THEN END $$;
             ALTER ROLE unseeing PASSWORD 'pw';
             CREATE FOREIGN DATA WRAPPER nowhere;
             CREATE SERVER faraway FOREIGN DATA WRAPPER nowhere;
             CREATE SERVER usable FOREIGN DATA WRAPPER nowhere;
             GRANT USAGE ON FOREIGN SERVER usable TO unseeing;
             CREATE USER MAPPING FOR PUBLIC SERVER faraway OPTIONS (password 'hidden');
             CREATE USER MAPPING FOR postgres SERVER faraway OPTIONS (password 'hidden');
             CREATE USER MAPPING FOR unseeing SERVER faraway OPTIONS (password 'hidden');
             CREATE USER MAPPING FOR unseeing SERVER usable OPTIONS (password 'mine');
             CREATE SUBSCRIPTION \"sub 1\" CONNECTION 'password=hidden' PUBLICATION p WITH (connect = false);
             CREATE SUBSCRIPTION sub2 CONNECTION 'password=hidden' PUBLICATION p WITH (connect = false);
             SET allow_system_table_mods = on;
             INSERT INTO pg_shseclabel (objoid, classoid, provider, label)
             SELECT oid, 'pg_subscription'::regclass, 'somebody', 'seen' FROM pg_subscription WHERE subname = 'sub2';",
        );
        let (database, warnings) = try_read_as(&db, "unseeing", Selection::default())
            .await
            .unwrap();
        let without = "is dumped without its options, which this role may not see";
        assert_eq!(
            warnings,
            [
                format!("user mapping postgres SERVER faraway {without}"),
                format!("user mapping PUBLIC SERVER faraway {without}"),
                format!("user mapping unseeing SERVER faraway {without}"),
                "2 subscriptions not dumped, for this role may not read them: \"sub 1\", sub2"
                    .to_owned(),
            ],
            "{major}"
        );
        assert!(database.subscriptions.is_empty());
        let options: Vec<_> = database
            .user_mappings
            .iter()
            .map(|mapping| mapping.options.len())
            .collect();
        assert_eq!(options, [0, 0, 0, 1]);

        let (database, warnings) = try_read(&db, Selection::default()).await.unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(database.subscriptions.len(), 2);
        let labels = |at: usize| &database.subscriptions[at].header.labels;
        assert!(labels(0).is_empty(), "{major}");
        assert_eq!(*labels(1), [(0, "somebody".to_owned(), "seen".to_owned())]);
        assert!(database.user_mappings.iter().all(|m| m.options.len() == 1));
    }
}

/// What users do to the tables of an extension is theirs, and no CREATE EXTENSION brings it back.
#[tokio::test]
async fn additions_to_extensions_are_named() {
    for major in MAJORS {
        let db = Server::start(major).create_db("additions");
        // A member with an index, a constraint and a trigger that come with it: all one transaction.
        db.psql(
            "BEGIN;
             CREATE EXTENSION pg_trgm;
             CREATE TABLE public.settings (k text PRIMARY KEY, v text CHECK (v <> ''));
             CREATE INDEX with_it ON public.settings (v);
             CREATE FUNCTION public.touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER with_it BEFORE INSERT ON public.settings EXECUTE FUNCTION public.touched();
             COMMENT ON TABLE public.settings IS 'of the script';
             ALTER EXTENSION pg_trgm ADD TABLE public.settings;
             ALTER EXTENSION pg_trgm ADD FUNCTION public.touched();
             COMMIT;",
        );
        let (database, warnings) = try_read(&db, Selection::default()).await.unwrap();
        assert_eq!(warnings, Vec::<String>::new(), "{major}");
        assert!(database.remarks.is_empty());

        db.psql("ALTER TABLE public.settings ADD COLUMN mine int CHECK (mine > 0)");
        db.psql("CREATE INDEX \"my index\" ON public.settings (mine)");
        db.psql(
            "CREATE TRIGGER mine AFTER INSERT ON public.settings EXECUTE FUNCTION public.touched()",
        );
        db.psql("CREATE RULE mine AS ON DELETE TO public.settings DO ALSO NOTHING");
        db.psql("CREATE POLICY mine ON public.settings");
        db.psql("ALTER TABLE public.settings ENABLE ROW LEVEL SECURITY");
        db.psql("ALTER TABLE public.settings REPLICA IDENTITY FULL");
        db.psql("COMMENT ON COLUMN public.settings.v IS 'mine'");
        // Whole objects; but not what came with members that were made at once.
        db.psql(
            "CREATE TABLE public.whole (k serial PRIMARY KEY);
             CREATE TYPE public.mood AS ENUM ('a');
             CREATE FUNCTION public.scripted() RETURNS int LANGUAGE sql AS 'SELECT 1';",
        );
        db.psql("ALTER EXTENSION pg_trgm ADD TABLE public.whole");
        db.psql("ALTER EXTENSION pg_trgm ADD TYPE public.mood");
        db.psql(
            "BEGIN;
             CREATE FUNCTION public.with_it() RETURNS int LANGUAGE sql AS 'SELECT 1';
             ALTER EXTENSION pg_trgm ADD FUNCTION public.scripted();
             ALTER EXTENSION pg_trgm ADD FUNCTION public.with_it();
             COMMIT;",
        );
        // What only refers to a member is dumped by itself, and a granted right with it.
        db.psql("CREATE VIEW public.seen AS SELECT k FROM public.settings");
        db.psql("CREATE TABLE public.refers (k text REFERENCES public.settings)");
        db.psql("GRANT SELECT (k) ON public.settings TO pg_monitor");
        let (database, warnings) = try_read(&db, Selection::default()).await.unwrap();
        let prefix = "not dumped, for it is part of extension pg_trgm and seems to have been \
                      added or changed since: ";
        let found: Vec<&str> = warnings
            .iter()
            .map(|warning| warning.strip_prefix(prefix).unwrap_or(warning))
            .collect();
        assert_eq!(
            found,
            [
                "index public.\"my index\"",
                "policy mine on public.settings",
                "replica identity of public.settings",
                "row level security of public.settings",
                "rule mine on public.settings",
                "table public.whole",
                "table column public.settings.mine",
                "table constraint settings_mine_check on public.settings",
                "trigger mine on public.settings",
                "type public.mood",
            ],
            "{major}"
        );
        let remarks: Vec<_> = database.remarks.iter().map(|r| r.object.as_str()).collect();
        assert_eq!(remarks, ["COLUMN public.settings.v"]);
        let left_out = Selection {
            schemas: strings(&["public"]),
            ..Selection::default()
        };
        let (database, warnings) = try_read(&db, left_out).await.unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        assert!(database.remarks.is_empty());
    }
}

#[tokio::test]
async fn objects_in_system_schemas_are_named() {
    let db = Server::start(18).create_db("system");
    db.psql(
        "CREATE FUNCTION pg_catalog.mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE VIEW information_schema.mine AS SELECT 1 AS one;
         CREATE TYPE pg_catalog.mine AS ENUM ('a');
         CREATE DOMAIN information_schema.mine_too AS int;
         CREATE OPERATOR pg_catalog.<<<< (leftarg = int, rightarg = int, function = int4pl);
         CREATE COLLATION pg_catalog.mine FROM \"C\";
         CREATE TEXT SEARCH DICTIONARY pg_catalog.mine (template = simple);",
    );
    let (_, warnings) = try_read(&db, Selection::default()).await.unwrap();
    let prefix = "not dumped, for it is in a schema of the system:";
    assert_eq!(
        warnings,
        [
            format!("{prefix} function pg_catalog.mine()"),
            format!("{prefix} operator pg_catalog.<<<<(integer,integer)"),
            format!("{prefix} text search dictionary pg_catalog.mine"),
            format!("{prefix} type information_schema.mine_too"),
            format!("{prefix} type pg_catalog.mine"),
            format!("{prefix} view information_schema.mine"),
            "not dumped, for they are in a schema of the system: collations pg_catalog.mine"
                .to_owned(),
        ]
    );
}

/// What initdb made keeps its owner's rights when somebody else gets it; only of functions is that
/// more than a warning.
#[tokio::test]
async fn what_the_system_made_may_be_given_away() {
    for major in [13, 18] {
        let server = Server::start(major);
        server.load_roles();
        let db = server.create_db("given_away");
        db.psql(
            "ALTER FUNCTION pg_catalog.pg_client_encoding() OWNER TO fx_owner;
             ALTER FUNCTION pg_catalog.pg_rotate_logfile() OWNER TO fx_owner;
             ALTER FUNCTION pg_catalog.pg_stat_reset() OWNER TO fx_owner;
             REVOKE ALL ON FUNCTION pg_catalog.pg_stat_reset() FROM fx_owner;
             ALTER LANGUAGE sql OWNER TO fx_owner;",
        );
        let (database, warnings) = try_read(&db, Selection::default()).await.unwrap();
        let warning = "not dumped, for it is the system's: owner fx_owner of language sql";
        assert_eq!(warnings, [warning], "{major}");
        let functions: BTreeMap<&str, (Option<&str>, bool)> = database
            .functions
            .iter()
            .map(|f| {
                (
                    f.header.name.as_str(),
                    (f.header.owner.as_deref(), f.header.acl.differs()),
                )
            })
            .collect();
        let expected = [
            ("pg_client_encoding", (Some("fx_owner"), false)),
            ("pg_rotate_logfile", (Some("fx_owner"), false)),
            ("pg_stat_reset", (Some("fx_owner"), true)),
        ];
        assert_eq!(functions, BTreeMap::from(expected), "{major}");
    }
}

#[tokio::test]
async fn an_empty_database_is_read_without_a_warning() {
    for major in MAJORS {
        let db = Server::start(major).create_db("empty");
        let (database, warnings) = try_read(&db, Selection::default()).await.unwrap();
        assert_eq!(warnings, Vec::<String>::new(), "{major}");
        assert_eq!(relations(&database), set(&[]));
        assert!(database.functions.is_empty());
        assert!(database.types.is_empty());
        assert!(
            database
                .extensions
                .iter()
                .all(|e| e.header.wanted.is_none())
        );
    }
}

#[tokio::test]
async fn comments_find_their_objects() {
    let db = Server::start(18).create_db("comments");
    db.psql(&format!(
        "COMMENT ON DATABASE \"{}\" IS 'the database';
         CREATE TYPE pair AS (a int, b text);
         COMMENT ON TYPE pair IS 'a pair';
         COMMENT ON COLUMN pair.b IS 'its b';
         CREATE DOMAIN positive AS int CONSTRAINT above CHECK (VALUE > 0);
         COMMENT ON CONSTRAINT above ON DOMAIN positive IS 'above zero';
         CREATE TABLE t (a int, b int);
         COMMENT ON TABLE t IS 'a table';
         COMMENT ON COLUMN t.b IS 'a column';
         CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
         ALTER FUNCTION f() DEPENDS ON EXTENSION plpgsql;
         COMMENT ON FUNCTION f() IS 'a function';
         SELECT lo_create(7);
         COMMENT ON LARGE OBJECT 7 IS 'a large object';",
        db.name()
    ));
    let database = read(&db, Selection::default()).await;
    let text = |comment: &Option<String>| comment.clone().unwrap_or_default();
    assert_eq!(text(&database.properties.header.comment), "the database");
    let pair = database
        .types
        .iter()
        .find(|t| t.header.name == "pair")
        .unwrap();
    assert_eq!(text(&pair.header.comment), "a pair");
    assert_eq!(pair.header.part_comments, [(2, "its b".to_owned())]);
    let domain = database.types.iter().find_map(|t| match &t.definition {
        TypeDefinition::Domain(domain) => Some(domain),
        _ => None,
    });
    assert_eq!(text(&domain.unwrap().constraints[0].comment), "above zero");
    let table = relation(&database, "public.t");
    assert_eq!(text(&table.comment), "a table");
    assert_eq!(table.part_comments, [(2, "a column".to_owned())]);
    assert_eq!(text(&database.functions[0].header.comment), "a function");
    assert_eq!(
        database.functions[0].header.depends_on_extensions,
        ["plpgsql"]
    );
    assert_eq!(
        text(&database.large_objects[0].objects[0].comment),
        "a large object"
    );
}

#[tokio::test]
async fn functions_are_read_with_all_their_properties() {
    let db = Server::start(18).create_db("functions");
    db.psql(
        "CREATE FUNCTION rich(a int, OUT b text, VARIADIC c int[] DEFAULT '{1}')
         RETURNS SETOF text LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER LEAKPROOF PARALLEL SAFE
         COST 7 ROWS 12.5 SET search_path = app, public SET work_mem = '1MB'
         AS $$BEGIN RETURN; END$$;
         CREATE FUNCTION atomic(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT a + 1; END;
         CREATE PROCEDURE proc(INOUT a int) LANGUAGE plpgsql AS $$BEGIN END$$;
         CREATE FUNCTION internal(int4, int4) RETURNS int LANGUAGE internal AS 'int4pl';",
    );
    let database = read(&db, Selection::default()).await;
    let function = |name: &str| {
        let found = database.functions.iter().find(|f| f.header.name == name);
        found.unwrap()
    };
    let rich = function("rich");
    assert_eq!(
        rich.arguments,
        "a integer, OUT b text, VARIADIC c integer[] DEFAULT '{1}'::integer[]"
    );
    assert_eq!(
        rich.identity_arguments,
        "a integer, OUT b text, VARIADIC c integer[]"
    );
    assert_eq!(
        rich.argument_types,
        [
            ("pg_catalog".to_owned(), "int4".to_owned()),
            ("pg_catalog".to_owned(), "_int4".to_owned())
        ]
    );
    assert_eq!(rich.result.as_deref(), Some("SETOF text"));
    assert_eq!(rich.cost.as_deref(), Some("7"));
    assert_eq!(rich.rows.as_deref(), Some("12.5"));
    assert!(rich.strict && rich.security_definer && rich.leakproof);
    assert_eq!(
        rich.settings,
        [
            ("search_path".to_owned(), "app, public".to_owned()),
            ("work_mem".to_owned(), "1MB".to_owned())
        ]
    );
    let FunctionBody::Sql(body) = &function("atomic").body else {
        panic!("not a body in standard SQL");
    };
    assert!(body.starts_with("BEGIN ATOMIC"), "{body}");
    assert_eq!(function("proc").result, None);
    assert_eq!(function("internal").cost, None);
}

#[tokio::test]
async fn types_of_every_sort() {
    for major in MAJORS {
        let db = Server::start(major).create_db("types");
        db.psql(
            "CREATE TYPE base;
             CREATE FUNCTION base_in(cstring) RETURNS base LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
             CREATE FUNCTION base_out(base) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
             CREATE TYPE base (INPUT = base_in, OUTPUT = base_out, INTERNALLENGTH = 4, PASSEDBYVALUE,
                 ALIGNMENT = int4, DEFAULT = '7', DELIMITER = ';', CATEGORY = 'x', PREFERRED = true);
             CREATE TYPE shell;
             CREATE TYPE mood AS ENUM ('z', 'a');
             ALTER TYPE mood ADD VALUE 'm' BEFORE 'a';
             CREATE TYPE pair AS (a int, b varchar(7) COLLATE \"C\");
             CREATE TYPE span AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi);
             CREATE DOMAIN word AS text COLLATE \"C\" DEFAULT 'it''s' NOT NULL CHECK (VALUE <> '');
             CREATE TABLE t (a int);",
        );
        let database = read(&db, Selection::default()).await;
        let find = |name: &str| {
            let found = database.types.iter().find(|t| t.header.name == name);
            &found
                .unwrap_or_else(|| panic!("{major}: no type {name}"))
                .definition
        };
        match find("base") {
            TypeDefinition::Base(base) => {
                let has = |key, value: &str| {
                    assert!(
                        base.options.contains(&(key, value.to_owned())),
                        "{major}: {key} = {value} in {:?}",
                        base.options
                    );
                };
                has("INTERNALLENGTH", "4");
                has("INPUT", "public.base_in");
                has("OUTPUT", "public.base_out");
                has("DEFAULT", "'7'");
                has("DELIMITER", "';'");
                has("CATEGORY", "'x'");
                has("PREFERRED", "true");
                has("ALIGNMENT", "int4");
                has("PASSEDBYVALUE", "true");
                assert_eq!(base.functions.len(), 2);
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(find("shell"), TypeDefinition::Shell));
        match find("mood") {
            TypeDefinition::Enum(labels) => assert_eq!(labels, &["z", "m", "a"]),
            other => panic!("{other:?}"),
        }
        match find("pair") {
            TypeDefinition::Composite { columns, .. } => {
                assert_eq!(columns[0].type_sql, "integer");
                assert_eq!(columns[1].type_sql, "character varying(7)");
                assert_eq!(columns[1].collation.as_deref(), Some("pg_catalog.\"C\""));
            }
            other => panic!("{other:?}"),
        }
        match find("span") {
            TypeDefinition::Range(range) => {
                assert_eq!(range.subtype, "double precision");
                assert_eq!(range.subtype_diff.as_deref(), Some("float8mi"));
                assert_eq!(range.operator_class, None);
                let multirange = ("public".to_owned(), "span_multirange".to_owned());
                assert_eq!(range.multirange, (major >= 14).then_some(multirange));
            }
            other => panic!("{other:?}"),
        }
        match find("word") {
            TypeDefinition::Domain(domain) => {
                assert_eq!(domain.base, "text");
                assert_eq!(domain.collation.as_deref(), Some("pg_catalog.\"C\""));
                let default = DomainDefault::Expression("'it''s'::text".to_owned());
                assert_eq!(domain.default, default);
                assert_eq!(domain.not_null, major < 17);
                let constraints = if major < 17 { 1 } else { 2 };
                assert_eq!(domain.constraints.len(), constraints);
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(find("_pair"), TypeDefinition::Array { .. }));
        // Rowtypes and arrays of them come with their relations.
        let table = &database.relations;
        let table = table.iter().find(|r| r.header.name == "t").unwrap();
        assert!(table.rowtype != 0 && table.rowtype_array != 0);
        let of_rows = [table.rowtype, table.rowtype_array];
        let listed = |t: &pgstow::model::Type| of_rows.contains(&t.header.address.oid);
        assert!(!database.types.iter().any(listed));
        let dummies = database.types.iter().filter(|t| {
            matches!(
                t.definition,
                TypeDefinition::Array { .. } | TypeDefinition::Multirange { .. }
            )
        });
        assert!(dummies.map(|t| t.header.wanted).all(Components::is_none));
    }
}

#[tokio::test]
async fn an_owner_that_is_gone_is_named() {
    let db = Server::start(18).create_db("orphan");
    db.psql(
        "CREATE FUNCTION orphan(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
         UPDATE pg_proc SET proowner = 424242 WHERE proname = 'orphan';",
    );
    let error = try_read(&db, Selection::default()).await.unwrap_err();
    assert!(
        error.message().contains("public.orphan") && error.message().contains("424242"),
        "{error}"
    );
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_dropped_public_schema_is_mentioned() {
    let db = Server::start(18).create_db("no_public");
    db.psql("DROP SCHEMA public");
    let (_, warnings) = try_read(&db, Selection::default()).await.unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("public"));
}

#[tokio::test]
async fn statistics_in_another_schema_are_wanted_with_it() {
    let db = Server::start(18).create_db("statistics");
    db.psql(
        "CREATE SCHEMA s; CREATE TABLE s.t (a int, b int);
         CREATE STATISTICS public.elsewhere ON a, b FROM s.t;",
    );
    let wanted = |database: &Database| database.statistics[0].header.wanted;
    let database = read(&db, Selection::default()).await;
    assert!(wanted(&database).has(Components::DEFINITION));
    let without = Selection {
        exclude_schemas: strings(&["public"]),
        ..Selection::default()
    };
    assert!(wanted(&read(&db, without).await).is_none());
}

#[tokio::test]
async fn dependencies_speak_of_what_can_be_restored() {
    let db = Server::start(18).create_db("dependencies");
    db.psql(
        "CREATE TYPE inner_pair AS (a int, b int);
         CREATE TYPE outer_pair AS (p inner_pair);
         CREATE FUNCTION cmp(inner_pair, inner_pair) RETURNS int LANGUAGE internal IMMUTABLE AS 'int4pl';
         CREATE OPERATOR FAMILY fam USING btree;
         ALTER OPERATOR FAMILY fam USING btree ADD FUNCTION 1 (inner_pair, inner_pair) cmp(inner_pair, inner_pair);
         CREATE TABLE t (a int, b text, p inner_pair);
         CREATE VIEW v AS SELECT a, b FROM t;",
    );
    let database = read(&db, Selection::default()).await;
    let oid = |sql: &str| -> u32 { db.query_one(sql).parse().unwrap() };
    let relation = |name: &str| {
        Address::new(
            Class::Relation,
            oid(&format!("SELECT '{name}'::regclass::oid")),
        )
    };
    let r#type =
        |name: &str| Address::new(Class::Type, oid(&format!("SELECT '{name}'::regtype::oid")));
    let edges = |object, on| {
        database
            .dependencies
            .iter()
            .filter(|d| d.object == object && d.on == on)
            .count()
    };
    // A composite type needs the relation that holds its columns, which needs the columns' types.
    assert_eq!(edges(r#type("outer_pair"), relation("outer_pair")), 1);
    assert_eq!(edges(relation("outer_pair"), r#type("outer_pair")), 0);
    assert_eq!(edges(relation("outer_pair"), r#type("inner_pair")), 1);
    // What the objects themselves say is not said again.
    assert_eq!(edges(r#type("t"), relation("t")), 0);
    assert_eq!(edges(r#type("t[]"), r#type("t")), 0);
    // Two columns of one table are one dependency.
    let rule = Address::new(
        Class::Rule,
        oid("SELECT oid FROM pg_rewrite WHERE ev_class = 'v'::regclass"),
    );
    assert_eq!(edges(rule, relation("t")), 1);
    // A family speaks for its members.
    let family = Address::new(
        Class::OperatorFamily,
        oid("SELECT oid FROM pg_opfamily WHERE opfname = 'fam'"),
    );
    let function = Address::new(Class::Function, oid("SELECT 'cmp'::regproc::oid"));
    assert_eq!(edges(family, function), 1);
    let members = [Class::OperatorFamilyOperator, Class::OperatorFamilyFunction];
    let mut sides = database.dependencies.iter().flat_map(|d| [d.object, d.on]);
    assert!(!sides.any(|side| members.contains(&side.class)));
}

#[tokio::test]
async fn an_ordinary_user_can_read_what_belongs_to_him() {
    for major in MAJORS {
        let server = Server::start(major);
        let db = server.create_db("ordinary");
        let user = format!("ordinary_{}", std::process::id());
        db.psql(&format!(
            "CREATE ROLE {user} LOGIN; CREATE SCHEMA mine AUTHORIZATION {user};
             SET ROLE {user}; CREATE TABLE mine.t (id serial PRIMARY KEY);
             CREATE FUNCTION mine.f() RETURNS int LANGUAGE sql AS 'SELECT 1';"
        ));
        let (database, warnings) = try_read_as(&db, &user, Selection::default()).await.unwrap();
        assert!(relations(&database).contains("mine.t"), "{major}");
        assert_eq!(warnings, Vec::<String>::new(), "{major}");
        db.psql(&format!("DROP OWNED BY {user}; DROP ROLE {user};"));
    }
}

#[tokio::test]
async fn a_standby_gives_no_unlogged_rows() {
    let primary = Server::builder(18).start();
    let db = primary.create_db("standby");
    db.psql("CREATE UNLOGGED TABLE volatile (id serial); CREATE TABLE lasting (id int);");
    let standby = primary.standby();
    standby.wait_for(&primary);
    let database = read(&standby.db(db.name()), Selection::default()).await;
    assert_eq!(
        relations_with(&database, Components::DATA),
        set(&["public.lasting"])
    );
    assert!(relations(&database).contains("public.volatile"));
}

/// Reads with two sessions a database that `change` changes after both have their snapshot.
async fn read_across(db: &Db, change: impl AsyncFnOnce()) -> Result<Database, Error> {
    let (first, second) = (session(db, "postgres").await, session(db, "postgres").await);
    let export = "SELECT pg_catalog.pg_export_snapshot()";
    let name: String = first.client().query_one(export, &[]).await.unwrap().get(0);
    let import = format!("SET TRANSACTION SNAPSHOT '{name}'; SELECT 1");
    second.client().batch_execute(&import).await.unwrap();
    change().await;
    let request = ReadRequest::default();
    let read = catalog::read(&first, Some(&second), &request, &Warnings::default()).await;
    first.close().await;
    second.close().await;
    read
}

const CHANGED_LATER: &str = "
    CREATE SCHEMA s;
    CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION s.tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TABLE s.t (a int, b int);
    CREATE TRIGGER tr AFTER INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION s.tf();
    CREATE VIEW s.v AS SELECT a FROM s.t;
    CREATE MATERIALIZED VIEW s.m AS SELECT a FROM s.t;
    CREATE DOMAIN s.d AS int;";

#[tokio::test]
async fn what_changes_while_it_is_read_is_noticed_and_what_does_not_matter_is_not() {
    let matters = [
        "CREATE OR REPLACE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 2'",
        "CREATE OR REPLACE VIEW s.v AS SELECT a FROM s.t WHERE a > 0",
        "ALTER DOMAIN s.d ADD CHECK (VALUE > 0)",
        "ALTER DOMAIN s.d RENAME TO e",
        "BEGIN; SAVEPOINT one; CREATE OR REPLACE VIEW s.v AS SELECT b AS a FROM s.t; RELEASE one; COMMIT",
        "CREATE OR REPLACE TRIGGER tr AFTER INSERT OR DELETE ON s.t
            FOR EACH ROW EXECUTE FUNCTION s.tf()",
    ];
    let does_not = [
        "SELECT 1",
        "INSERT INTO s.t SELECT i, i FROM generate_series(1, 1000) i",
        "CREATE TABLE s.other (a int); DROP TABLE s.other",
        "CREATE VIEW s.other AS SELECT 1 AS one",
        "CREATE INDEX ON s.t (a)",
        "ANALYZE s.t",
        "VACUUM s.t",
        "REFRESH MATERIALIZED VIEW s.m",
        "GRANT SELECT ON s.t, s.v TO PUBLIC; GRANT EXECUTE ON FUNCTION s.f() TO PUBLIC",
        "ALTER TABLE s.t DISABLE TRIGGER tr",
    ];
    for major in [13, 18] {
        let db = Server::start(major).create_db("changes");
        db.psql(CHANGED_LATER);
        for change in does_not {
            let read = read_across(&db, async || drop(db.psql(change))).await;
            assert!(read.is_ok(), "{major}: {change}: {}", read.unwrap_err());
        }
        for change in matters {
            if major < 14 && change.contains("REPLACE TRIGGER") {
                continue;
            }
            let read = read_across(&db, async || drop(db.psql(change))).await;
            let error = read.expect_err(change);
            assert_eq!(error.kind(), Kind::Stale, "{major}: {change}: {error}");
        }
    }
}

#[tokio::test]
async fn a_change_on_the_primary_is_noticed_on_a_standby() {
    let primary = Server::start(18);
    let standby = primary.standby();
    let db = primary.create_db("changes standby");
    db.psql(CHANGED_LATER);
    // The change is committed between an older transaction that goes on and a newer one that is over:
    // it moves neither end of a snapshot.
    let (older, changing) = (db.connect().await, db.connect().await);
    let begin = "BEGIN; INSERT INTO s.t VALUES (1, 1)";
    older.batch_execute(begin).await.unwrap();
    let change = format!("BEGIN; {}", CHANGED_LATER.lines().nth(2).unwrap());
    let change = change
        .replace("CREATE", "CREATE OR REPLACE")
        .replace("SELECT 1", "SELECT 2");
    changing.batch_execute(&change).await.unwrap();
    db.psql("INSERT INTO s.t VALUES (2, 2)");
    standby.wait_for(&primary);
    let commit = async || {
        changing.batch_execute("COMMIT").await.unwrap();
        standby.wait_for(&primary);
    };
    let read = read_across(&standby.db(db.name()), commit).await;
    let error = read.expect_err("a function was replaced");
    assert_eq!(error.kind(), Kind::Stale, "{error}");
    older.batch_execute("ROLLBACK").await.unwrap();
}
