//! One database of a test.

use super::fixture::{self, Fixture};
use super::process::{Output, run};
use super::server::Server;
use std::path::Path;
use std::sync::Arc;

/// A database on a [`Server`]. One that the harness made is dropped with the value.
pub struct Db {
    server: Arc<Server>,
    name: String,
    owned: bool,
}

impl Db {
    pub(super) fn new(server: Arc<Server>, name: String) -> Self {
        Self {
            server,
            name,
            owned: true,
        }
    }

    pub(super) fn existing(server: Arc<Server>, name: String) -> Self {
        Self {
            server,
            name,
            owned: false,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    pub fn major(&self) -> u32 {
        self.server.major()
    }

    /// `postgres://postgres@127.0.0.1:PORT/NAME`, over TCP, with the password if the server has one.
    pub fn url(&self) -> String {
        self.url_as("postgres", self.server.password())
    }

    /// The same for another user.
    pub fn url_as(&self, user: &str, password: Option<&str>) -> String {
        let password = password
            .map(|p| format!(":{}", percent(p)))
            .unwrap_or_default();
        format!(
            "postgres://{}{password}@127.0.0.1:{}/{}",
            percent(user),
            self.server.port(),
            percent(&self.name)
        )
    }

    /// `host=… port=… user=postgres dbname=…`, over the Unix socket where there is one.
    pub fn conninfo(&self) -> String {
        let mut text = format!(
            "host={} port={} user=postgres dbname={}",
            quoted(&self.server.host()),
            self.server.port(),
            quoted(&self.name)
        );
        if let Some(password) = self.server.password() {
            text.push_str(&format!(" password={}", quoted(password)));
        }
        text
    }

    /// Runs SQL through psql (meta-commands work), stopping at the first error, which panics.
    #[track_caller]
    pub fn psql(&self, sql: &str) -> Output {
        self.server.psql_in(&self.name, sql)
    }

    /// As [`Db::psql`], from a file.
    #[track_caller]
    pub fn psql_file(&self, path: &Path) -> Output {
        let mut command = self.tool("psql");
        command
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"])
            .arg(path);
        run(&mut command).success()
    }

    /// A client program of major 18 with `PGHOST` … `PGDATABASE` set to reach this database.
    pub fn tool(&self, name: &str) -> std::process::Command {
        let mut command = self.server.tool(name);
        command.env("PGDATABASE", &self.name);
        command
    }

    /// The rows of one statement, all as text, `None` for null. Values must not hold the control
    /// characters 0x1d to 0x1f, which serve as separators here.
    #[track_caller]
    pub fn query_rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        const NULL: &str = "\u{1d}";
        let mut command = self.tool("psql");
        command
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args([
                "-F",
                "\u{1f}",
                "-R",
                "\u{1e}",
                "-P",
                &format!("null={NULL}"),
                "-f",
                "-",
            ]);
        let text = super::run_with_input(&mut command, sql.as_bytes())
            .success()
            .stdout;
        // psql ends the result, not each row, with a newline; without rows it says nothing.
        let Some(rows) = text.strip_suffix('\n') else {
            return Vec::new();
        };
        let value = |field: &str| (field != NULL).then(|| field.to_owned());
        rows.split('\u{1e}')
            .map(|row| row.split('\u{1f}').map(value).collect())
            .collect()
    }

    /// The only value of a query; panics unless there is exactly one, not null.
    #[track_caller]
    pub fn query_one(&self, sql: &str) -> String {
        let rows = self.query_rows(sql);
        match rows.as_slice() {
            [row] if row.len() == 1 => row[0].clone().unwrap_or_else(|| panic!("null from: {sql}")),
            _ => panic!("expected one value from: {sql}\ngot {rows:?}"),
        }
    }

    /// A tokio-postgres session (superuser, no TLS), its connection driven by a task of the
    /// current runtime.
    pub async fn connect(&self) -> tokio_postgres::Client {
        let mut config = tokio_postgres::Config::new();
        config
            .host(self.server.host())
            .port(self.server.port())
            .user("postgres")
            .dbname(&self.name);
        if let Some(password) = self.server.password() {
            config.password(password);
        }
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Loads one file of `fixtures/sql` by its name without `.sql`, and the roles it may use.
    /// Panics when the server is too old or too new for it.
    #[track_caller]
    pub fn load_fixture(&self, name: &str) {
        let all = fixture::fixtures();
        let fixture = all
            .iter()
            .find(|f| f.name == name)
            .unwrap_or_else(|| panic!("no fixtures/sql/{name}.sql"));
        assert!(
            fixture.supports(self.major()),
            "fixture {name} is not for PostgreSQL {}",
            self.major()
        );
        self.load(fixture);
    }

    /// Loads every feature file of `fixtures/sql` that suits this server's major, in the order of
    /// their names. Sample applications (`shop`, `tpch-…`) are not among them, nor are those that
    /// say `-- apart:`.
    #[track_caller]
    pub fn load_fixtures(&self) -> Vec<Fixture> {
        self.load_fixtures_that(|_| true)
    }

    /// As [`Db::load_fixtures`], of those only which `wanted` says.
    #[track_caller]
    pub fn load_fixtures_that(&self, wanted: impl Fn(&Fixture) -> bool) -> Vec<Fixture> {
        let loaded: Vec<_> = fixture::fixtures()
            .into_iter()
            .filter(|f| f.supports(self.major()) && f.apart.is_none() && wanted(f))
            .collect();
        self.server.load_roles();
        // In one session, which forgets between two files: a new one for each takes its time.
        let mut command = self.tool("psql");
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]);
        for fixture in &loaded {
            command.arg("-f").arg(&fixture.path);
            command.args(["-c", "DISCARD ALL"]);
        }
        run(&mut command).success();
        loaded
    }

    /// Loads the shop (`fixtures/sql/shop.sql`, 14 or newer); scale 1 is about 300,000 rows.
    #[track_caller]
    pub fn load_shop(&self, scale: f64) {
        let mut command = self.tool("psql");
        command.args(["-X", "-q", "-v", &format!("scale={scale}"), "-f"]);
        run(command.arg(fixture::fixture_path("shop"))).success();
    }

    /// Loads TPC-H with two sessions; see [`super::tpch::load`]. Returns the number of rows.
    #[track_caller]
    pub fn load_tpch(&self, scale: f64) -> u64 {
        super::tpch::load(scale, 2, &|| self.tool("psql"))
    }

    #[track_caller]
    fn load(&self, fixture: &Fixture) {
        self.server.load_roles();
        self.psql_file(&fixture.path);
    }
}

const DROP_SUBSCRIPTIONS: &str = "
    do $$
    declare
        name text;
    begin
        for name in select s.subname from pg_subscription s join pg_database d on d.oid = s.subdbid
                     where d.datname = current_database()
        loop
            execute format('alter subscription %I disable', name);
            execute format('alter subscription %I set (slot_name = none)', name);
            execute format('drop subscription %I', name);
        end loop;
    end $$";

impl Drop for Db {
    fn drop(&mut self) {
        if !self.owned {
            return;
        }
        let sql = format!(
            "DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)",
            self.name.replace('"', "\"\"")
        );
        let psql = |database: &str, sql: &str| {
            run(self
                .server
                .tool("psql")
                .args(["-X", "-q", "-d", database, "-c", sql]))
        };
        let mut out = psql("postgres", &sql);
        if out.stderr.contains("logical replication subscription") {
            // They hold the database, and a slot that was never made.
            psql(&self.name, DROP_SUBSCRIPTIONS);
            out = psql("postgres", &sql);
        }
        if out.code != Some(0) && !std::thread::panicking() {
            eprintln!("could not drop database {}: {}", self.name, out.stderr);
        }
    }
}

/// A value of a connection string.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A part of a URI.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(b).to_string()
            }
            _ => format!("%{b:02X}"),
        })
        .collect()
}
