//! Roles, tablespaces and the like, and whole clusters: into an empty cluster and back, with
//! PostgreSQL's own pg_dumpall as the referee.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::support::{MAJORS, Output, Server, assert_same_data, assert_same_text, pgstow, run};

const DATABASE: &str = "My \"db\" ' ü";

/// Awkward names, every attribute, chains of grants, settings, a tablespace inside of the data
/// directory, privileges of all sorts.
fn fill(server: &Arc<Server>) {
    let major = server.major();
    let mut sql = String::from(
        r#"
        create role alice login password 'secret of alice' connection limit 5
            valid until '2031-02-03 04:05:06+02';
        create role "Bob ""the"" 'x' \
newline" superuser createdb createrole noinherit replication bypassrls password 'pw';
        create role "größe_€€€€€€€€€€€€€€€€€_sixty_three" nologin;
        create role carol; create role dave createrole; create role erin; create role "select";
        comment on role carol is E'it''s \\ carol\ntwo lines';
        grant carol to alice with admin option;
        grant carol to dave with admin option;
        grant carol to erin;
        grant pg_monitor to dave; grant erin to pg_monitor;
        alter role alice set search_path to "$user", 'a b', "Public";
        alter role alice set work_mem = '64MB';
        alter role dave set myext.level to 'x, y';
        alter role all set lock_timeout = '5s';
        set allow_in_place_tablespaces = on;
        create tablespace "ts 'one' "" x" owner alice location '';
        alter tablespace "ts 'one' "" x" set (random_page_cost = 1.5);
        grant create on tablespace "ts 'one' "" x" to carol with grant option;
        comment on tablespace "ts 'one' "" x" is 'fast';
        create database "My ""db"" ' ü" template template0 owner alice
            tablespace "ts 'one' "" x" connection limit 7 is_template true;
        alter database "My ""db"" ' ü" set search_path to a, "$user";
        alter role dave in database "My ""db"" ' ü" set work_mem = '1MB';
        grant connect on database "My ""db"" ' ü" to carol with grant option;
        revoke temp on database "My ""db"" ' ü" from public;
        comment on database "My ""db"" ' ü" is 'a comment';
        "#,
    );
    if major >= 15 {
        sql.push_str(
            "grant set on parameter work_mem to carol with grant option;
             grant alter system on parameter myext.level to dave;
             set role carol; grant set on parameter work_mem to erin; reset role;",
        );
    }
    if major >= 16 {
        sql.push_str(
            "revoke carol from erin; revoke carol from dave;
             grant carol to dave with admin option, inherit false, set false granted by alice;
             grant carol to erin granted by dave;",
        );
    }
    server.psql(&sql);
    server.db(DATABASE).psql(
        "create table public.t (i int primary key, v text);
         insert into public.t select i, 'v' || i from generate_series(1, 1000) i;
         alter table public.t owner to carol; grant select on public.t to dave, erin;
         create policy p on public.t to erin using (true);",
    );
}

/// `pg_dumpall -g` of major 18 without what names programs. All rules:
///
/// 1. Comment lines, and the key of `\restrict`, which is random.
/// 2. Before 16 a grant's grantor is not restored, and not printed.
fn globals_of(server: &Arc<Server>) -> String {
    let mut command = server.tool("pg_dumpall");
    command.args(["-g", "-l", "postgres", "--restrict-key=test"]);
    let text = run(&mut command).success().stdout;
    let lines = text.lines().filter(|line| !line.starts_with("--"));
    lines.map(|line| format!("{line}\n")).collect()
}

fn database_of(server: &Arc<Server>) -> String {
    let mut command = server.db(DATABASE).tool("pg_dump");
    command.args(["-C", "-s", "--restrict-key=test"]);
    let text = run(&mut command).success().stdout;
    let lines = text.lines().filter(|line| !line.starts_with("-- Dumped"));
    lines.map(|line| format!("{line}\n")).collect()
}

fn dump(server: &Arc<Server>, options: &[&str], file: &Path) -> Output {
    let mut command = pgstow();
    server.point_at(&mut command);
    command
        .env("PGDATABASE", DATABASE)
        .arg("dump")
        .args(options);
    run(command.arg("-f").arg(file)).success()
}

fn restore(server: &Arc<Server>, options: &[&str], file: &Path) -> Output {
    let mut command = pgstow();
    server.point_at(&mut command);
    run(command
        .args(["restore", "-v", "-d", "postgres"])
        .args(options)
        .arg(file))
}

fn there_and_back(source_major: u32, target_major: u32) {
    let (source, target) = (
        Server::builder(source_major).start(),
        Server::builder(target_major).start(),
    );
    fill(&source);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.pgstow");
    dump(&source, &["--globals"], &file);
    run(pgstow().arg("verify").arg(&file)).success();

    // Without the roles: all of them are named, and nothing was done.
    let refused = restore(&target, &["--create"], &file).expect_code(6);
    for role in ["alice", "carol", "dave", "erin"] {
        assert_eq!(
            refused.stderr.matches(role).count(),
            1,
            "{}",
            refused.stderr
        );
    }
    assert!(refused.stderr.contains("--globals"), "{}", refused.stderr);
    let databases = "select count(*) from pg_database where datname not like 'template%'";
    assert_eq!(target.db("postgres").query_one(databases), "1");

    let restored = restore(&target, &["--globals", "--create"], &file).success();
    let listed = run(pgstow().args(["list", "--json"]).arg(&file)).success();
    for said in [&restored.stdout, &restored.stderr, &listed.stdout] {
        assert!(
            !said.contains("SCRAM-SHA-256$") && !said.contains("md5"),
            "{said}"
        );
    }
    assert!(restored.stderr.contains("role postgres exists already"));
    if source_major == target_major {
        assert_same_text(&globals_of(&source), &globals_of(&target));
        assert_same_text(&database_of(&source), &database_of(&target));
    } else {
        // The hash is the same hash whatever the version.
        let passwords = "select string_agg(rolname || rolpassword, ',' order by rolname) \
                         from pg_authid where rolpassword is not null";
        let of = |server: &Arc<Server>| server.db("postgres").query_one(passwords);
        assert_eq!(of(&source), of(&target));
        let memberships = "select string_agg(concat_ws(' ', roleid::regrole, member::regrole, \
                           admin_option), ',' order by roleid::regrole::text, member::regrole::text) \
                           from pg_auth_members where roleid >= 16384 or member >= 16384";
        let of = |server: &Arc<Server>| server.db("postgres").query_one(memberships);
        assert_eq!(of(&source), of(&target));
        // Newer servers know more options of a grant, and pg_dumpall leaves other lines blank.
        let lines = |text: String| -> Vec<String> {
            let kept = text
                .lines()
                .filter(|line| !line.starts_with("GRANT") && !line.is_empty());
            kept.map(str::to_owned).collect()
        };
        assert_eq!(lines(globals_of(&source)), lines(globals_of(&target)));
    }
    assert_same_data(&source.db(DATABASE), &target.db(DATABASE));

    // Once more: everything is there and stays.
    let again = restore(&target, &["--globals-only"], &file).success();
    assert!(again.stderr.contains("role alice exists already"));
    // A template with a session in it is dropped only by force, and made anew under its name.
    restore(&target, &["--clean", "--create", "--force"], &file).success();
    restore(&target, &["--create-as", "another \"name\""], &file).success();
    assert_same_data(&source.db(DATABASE), &target.db("another \"name\""));
}

#[test]
fn an_empty_cluster_in_one_call_on_13_to_15() {
    for major in MAJORS.into_iter().filter(|major| *major < 16) {
        there_and_back(major, major);
    }
}

#[test]
fn an_empty_cluster_in_one_call_on_16_to_18() {
    for major in MAJORS.into_iter().filter(|major| *major >= 16) {
        there_and_back(major, major);
    }
}

#[test]
fn an_empty_cluster_of_a_newer_major() {
    there_and_back(13, 18);
    there_and_back(15, 17);
}

/// Before 16 a membership has one option and no grantor that means anything, before 15 parameters
/// have no privileges, and some roles of the server's own are not there: that is said, and the rest arrives.
#[test]
fn an_older_major() {
    let (source, target) = (Server::builder(18).start(), Server::builder(13).start());
    fill(&source);
    source.psql("grant pg_read_all_data, pg_maintain, pg_monitor to alice");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.pgstow");
    dump(&source, &["--globals-only"], &file);
    let restored = restore(&target, &["--globals-only"], &file).success();
    for note in [
        "the options INHERIT and SET of a membership are lost",
        "privileges on parameters are lost",
        "adapted: memberships in roles of the server's own that are not there are lost: \
         alice in pg_maintain, alice in pg_read_all_data",
    ] {
        assert_eq!(
            restored.stderr.matches(note).count(),
            1,
            "{}",
            restored.stderr
        );
    }
    let memberships = "select string_agg(line, ',' order by line) from (
        select concat_ws(' ', roleid::regrole, member::regrole, bool_or(admin_option)) as line
          from pg_auth_members where (roleid >= 16384 or member >= 16384)
           and roleid::regrole::text not in ('pg_read_all_data', 'pg_maintain')
         group by roleid, member) m";
    let of = |server: &Arc<Server>| server.db("postgres").query_one(memberships);
    assert_eq!(of(&source), of(&target));
}

/// A list names the globals, and a script has them only when it is asked to.
#[test]
fn listed_and_as_a_script() {
    let (source, target) = (Server::builder(18).start(), Server::builder(18).start());
    fill(&source);
    let dir = tempfile::tempdir().unwrap();
    let (file, script) = (dir.path().join("a.pgstow"), dir.path().join("a.sql"));
    dump(&source, &["--globals", "--copy-format=text"], &file);
    let listed = run(pgstow().arg("list").arg(&file)).success().stdout;
    for line in [
        ";   ROLE alice",
        ";   ROLE PASSWORD alice",
        ";   TABLESPACE ts 'one' \"\" x",
    ] {
        let line = line.replace("\"\"", "\"");
        assert!(listed.lines().any(|it| it == line), "{line}: {listed}");
    }
    let write = |options: &[&str]| {
        let mut command = pgstow();
        command.arg("sql").args(options).arg("-f").arg(&script);
        let written = run(command.arg(&file)).success();
        (std::fs::read_to_string(&script).unwrap(), written.stderr)
    };
    let (text, said) = write(&["-s"]);
    assert!(!text.contains("CREATE ROLE"), "{text}");
    assert!(said.contains("--globals puts them there"), "{said}");
    let (text, _) = write(&["--globals-only", "--no-role-passwords"]);
    assert!(!text.contains("SCRAM-SHA-256"), "{text}");
    assert!(!text.contains("CREATE TABLE "), "{text}");

    write(&["--globals"]);
    let database = target.db("postgres");
    let mut psql = database.tool("psql");
    psql.env("PGOPTIONS", "-c allow_in_place_tablespaces=on")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]);
    run(psql.arg(&script)).success();
    // But for what belongs to the database, which a script does not make.
    let of = |server: &Arc<Server>| -> Vec<String> {
        let text = globals_of(server);
        let lines = text.lines().filter(|line| !line.contains(" IN DATABASE "));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(of(&source), of(&target));
    let count = "select count(*) from public.t";
    assert_eq!(database.query_one(count), "1000");
}

#[test]
fn without_the_right_to_passwords() {
    let source = Server::builder(18).start();
    fill(&source);
    let dir = tempfile::tempdir().unwrap();
    let dump_as_alice = |options: &[&str]| {
        let mut command = pgstow();
        source.point_at(&mut command);
        command.env("PGUSER", "alice").env("PGDATABASE", "postgres");
        let file = dir.path().join("a.pgstow");
        run(command
            .args(["dump", "--globals-only", "-f"])
            .arg(file)
            .args(options))
        .success()
    };
    let warned = dump_as_alice(&[]);
    assert!(
        warned.stderr.contains("may not read pg_authid"),
        "{}",
        warned.stderr
    );
    let content = dump_as_alice(&["--no-role-passwords"]);
    assert!(!content.stderr.contains("pg_authid"), "{}", content.stderr);
    let target = Server::builder(18).start();
    restore(&target, &["--globals-only"], &dir.path().join("a.pgstow")).success();
    let passwords = "select count(*) from pg_authid where rolpassword is not null";
    assert_eq!(target.db("postgres").query_one(passwords), "0");
    // It has no database that could be restored.
    restore(&target, &[], &dir.path().join("a.pgstow")).expect_code(6);
}

/// A hash that a failing statement holds is not shown, and a role is there without the label that
/// nobody knows.
#[test]
fn a_failure_shows_no_password_and_leaves_the_role() {
    let source = Server::builder(18).start();
    source.psql("create role alice login password 'secret'; create role bob;");
    source
        .psql("update pg_authid set rolpassword = 'SCRAM-SHA-256$nonsense' where rolname = 'bob'");
    source.psql(
        "insert into pg_shseclabel (objoid, classoid, provider, label)
         select oid, 'pg_authid'::regclass, 'nobody''s', 'secret' from pg_authid
          where rolname = 'alice';
         comment on role alice is 'hers'; grant alice to bob;",
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.pgstow");
    let mut command = pgstow();
    source.point_at(&mut command);
    command.env("PGDATABASE", "postgres");
    run(command.args(["dump", "--globals-only", "-f"]).arg(&file)).success();
    let target = Server::builder(18)
        .option("default_transaction_read_only", "off")
        .start();
    target.psql("alter system set password_encryption = 'scram-sha-256'");
    let out = restore(&target, &["--globals-only", "--continue"], &file).expect_code(3);
    for said in [&out.stdout, &out.stderr] {
        assert!(!said.contains("SCRAM-SHA-256$"), "{said}");
    }
    assert!(out.stderr.contains("ROLE alice: "), "{}", out.stderr);
    let alice = "select shobj_description(a.oid, 'pg_authid') || ' ' || m.member::regrole
                   from pg_authid a join pg_auth_members m on m.roleid = a.oid
                  where a.rolname = 'alice'";
    assert_eq!(target.db("postgres").query_one(alice), "hers bob");
}

#[test]
fn all_databases_there_and_back() {
    for major in [14, 18] {
        let source = Server::builder(major).start();
        fill(&source);
        source.psql(
            "create database closed; alter database closed allow_connections false;
             create database \"globals\"; create database left_out;
             comment on database postgres is 'ours'; create table in_postgres as select 1 as i;",
        );
        let dir = tempfile::tempdir().unwrap();
        let all = dir.path().join("all");
        let mut command = pgstow();
        source.point_at(&mut command);
        let dumped = run(command
            .args(["dump", "--all-databases", "--exclude-database=left*", "-f"])
            .arg(&all))
        .success();
        // template0 is nobody's.
        for text in [
            "closed is left out: ",
            "left out: closed, left_out\n",
            " 0 failed, 2 left out",
        ] {
            assert!(dumped.stderr.contains(text), "{}", dumped.stderr);
        }
        let mut files: Vec<String> = std::fs::read_dir(&all)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        assert_eq!(
            files,
            [
                "cluster.json",
                "db.%4Dy%20%22db%22%20%27%20%C3%BC.pgstow",
                "db.globals.pgstow",
                "db.postgres.pgstow",
                "db.template1.pgstow",
                "globals.pgstow",
            ]
        );
        let target = Server::builder(major).start();
        restore(&target, &["--all-databases"], &all).success();
        assert_same_text(&globals_of(&source), &globals_of(&target));
        assert_same_text(&database_of(&source), &database_of(&target));
        for name in [DATABASE, "postgres", "globals", "template1"] {
            assert_same_data(&source.db(name), &target.db(name));
        }
        // What is there already fails by name, and hides nothing of the others.
        target.psql("drop database \"globals\"; grant carol to erin with admin option");
        let partial = restore(&target, &["--all-databases"], &all).expect_code(3);
        for text in [
            "database postgres failed: ",
            "hint: --clean drops it first and makes it anew, ",
        ] {
            assert!(partial.stderr.contains(text), "{}", partial.stderr);
        }
        assert_same_data(&source.db("globals"), &target.db("globals"));
        let other = "membership erin in carol exists already, with ADMIN TRUE instead of FALSE: \
                     granted once more";
        assert!(partial.stderr.contains(other), "{}", partial.stderr);
        // Before 16 a grant takes nothing away, and since then nothing of another role's.
        for text in [
            "membership erin in carol was there already, and still has ADMIN TRUE instead of FALSE",
            "REVOKE ADMIN OPTION FOR carol FROM erin",
        ] {
            assert!(partial.stderr.contains(text), "{}", partial.stderr);
        }
        if major >= 16 {
            target.psql(
                "revoke carol from erin granted by postgres;
                 grant carol to erin with set false granted by dave",
            );
            restore(&target, &["--globals-only"], &all.join("globals.pgstow")).success();
            assert_same_text(&globals_of(&source), &globals_of(&target));
        }
        // A standing database is cleaned, and gets its properties; what cannot be changed is told.
        target.db("template1").psql(
            "drop database postgres; create database postgres template template0
                 lc_ctype 'C'",
        );
        target.psql(
            "create table in_postgres (other int); revoke connect on database postgres from public",
        );
        let cleaned = restore(&target, &["--all-databases", "--clean"], &all).success();
        let unlike =
            "warning: database postgres stands already, with LC_CTYPE 'C' instead of 'C.UTF-8'";
        assert!(cleaned.stderr.contains(unlike), "{}", cleaned.stderr);
        let comment = "select shobj_description(oid, 'pg_database') from pg_database where datname = 'postgres'";
        assert_eq!(target.db("postgres").query_one(comment), "ours");
        for name in [DATABASE, "postgres", "globals", "template1"] {
            assert_same_data(&source.db(name), &target.db(name));
        }
        // A dump that did not end is none.
        std::fs::remove_file(all.join("cluster.json")).unwrap();
        restore(&target, &["--all-databases"], &all).expect_code(5);
        let listed = run(Command::new("tar")
            .arg("tf")
            .arg(all.join("globals.pgstow")))
        .success();
        assert!(listed.stdout.contains("pgstow/globals.jsonl"));
    }
}
