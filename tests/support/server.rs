//! Throwaway PostgreSQL servers.
//!
//! A server lives in its own directory below the temporary directory and dies with the test
//! process, however that ends: a watchdog shell reads from a pipe that only we hold open, and when
//! the pipe closes it stops the server and removes the directory.

use super::database::Db;
use super::pki::Pki;
use super::ports::free_port;
use super::process::{Output, run, run_with_input, without_pg_variables};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// Every major that the tests have a server for.
pub const MAJORS: [u32; 6] = [13, 14, 15, 16, 17, 18];

/// Settings of every server; a builder's options come later and win. Nothing that works by itself, or for long
/// what is asked for once.
const SETTINGS: &str = "\
autovacuum = off
fsync = off
full_page_writes = off
jit = off
wal_init_zero = off
max_wal_size = '4GB'
max_connections = 100
max_locks_per_transaction = 256
wal_level = logical
max_wal_senders = 10
logging_collector = off
timezone = 'UTC'
";

/// Which programs a server is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Build {
    major: u32,
    /// Sought for its ICU. The builds of 13 and 15 have it anyway; those of the other majors come
    /// without client programs, so that only servers are of them.
    icu: bool,
}

impl Build {
    /// The name of its directory.
    fn name(self) -> String {
        match (self.major, self.icu) {
            (13 | 15, _) | (_, false) => self.major.to_string(),
            (major, true) => format!("{major}-icu"),
        }
    }

    #[track_caller]
    fn bin(self) -> PathBuf {
        build_bin(&self.name())
    }
}

/// The directory with the programs of this major. Panics with what to do when it is not there.
#[track_caller]
pub fn server_bin(major: u32) -> PathBuf {
    build_bin(&major.to_string())
}

#[track_caller]
fn build_bin(build: &str) -> PathBuf {
    let root = match std::env::var_os("PGSTOW_SERVERS") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ if is_root() => PathBuf::from("/var/cache/pgstow/servers"),
        _ => PathBuf::from(std::env::var_os("HOME").expect("HOME is set"))
            .join(".cache/pgstow/servers"),
    };
    let bin = root.join(build).join("bin");
    assert!(
        bin.join("postgres").exists(),
        "no PostgreSQL {build} in {}: run scripts/fetch-servers {build}",
        root.display()
    );
    bin
}

/// A client program of major 18 (`psql`, `pg_dump`, `pg_restore`, `pgbench` …), run as ourselves
/// and without the caller's `PG*` variables.
pub fn tool(name: &str) -> Command {
    program(18, name)
}

fn program(major: u32, name: &str) -> Command {
    let bin = server_bin(major);
    let mut command = Command::new(bin.join(name));
    without_pg_variables(&mut command);
    // Some of these builds do not find their own libpq when loaded as a server module.
    command.env("LD_LIBRARY_PATH", bin.join("../lib"));
    command
}

/// A server program, run as the user the server runs as: PostgreSQL refuses to be root.
fn server_program(build: Build, name: &str) -> Command {
    let bin = build.bin();
    let path = bin.join(name);
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(path);
        command
    } else {
        Command::new(path)
    };
    without_pg_variables(&mut command);
    command
        .env("LD_LIBRARY_PATH", bin.join("../lib"))
        .current_dir("/");
    command
}

pub(super) fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| {
        let out = Command::new("id").arg("-u").output().expect("id runs");
        out.stdout.trim_ascii() == b"0"
    })
}

fn give_to_postgres(path: &Path) {
    if is_root() {
        run(Command::new("chown").arg("postgres:").arg(path)).success();
    }
}

/// A running server. Its superuser is `postgres`.
pub struct Server {
    build: Build,
    /// Directory of the Unix socket; `None` for a server in a container.
    socket_dir: Option<PathBuf>,
    port: u16,
    password: Option<String>,
    data_dir: Option<PathBuf>,
    log: Option<PathBuf>,
    pki: Option<Pki>,
    roles_loaded: OnceLock<()>,
    watchdog: Option<Child>,
}

impl Server {
    /// The server of this major that all tests of this process share: trust authentication, Unix
    /// socket and 127.0.0.1, UTF8 and C.UTF-8. Started on first use.
    ///
    /// Shared means: put cluster-wide objects (roles, settings) under names of your own, or use
    /// [`Server::builder`].
    #[track_caller]
    pub fn start(major: u32) -> Arc<Self> {
        Self::shared(Build { major, icu: false })
    }

    /// As [`Server::start`], of a build with ICU: the same server where that has it.
    #[track_caller]
    pub fn with_icu(major: u32) -> Arc<Self> {
        let icu = !matches!(major, 13 | 15);
        Self::shared(Build { major, icu })
    }

    #[track_caller]
    fn shared(build: Build) -> Arc<Self> {
        static SHARED: Mutex<BTreeMap<Build, Arc<OnceLock<Arc<Server>>>>> =
            Mutex::new(BTreeMap::new());
        let cell = SHARED
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .entry(build)
            .or_default()
            .clone();
        cell.get_or_init(|| {
            // Those of the services are all built with ICU.
            if std::env::var_os("PGSTOW_TEST_DOCKER").is_some_and(|v| v == "1") {
                Arc::new(Self::in_docker(build))
            } else {
                let mut builder = Self::builder(build.major);
                builder.build = build;
                builder.start()
            }
        })
        .clone()
    }

    /// A server of one's own, with other settings than the shared one's.
    pub fn builder(major: u32) -> ServerBuilder {
        ServerBuilder {
            build: Build { major, icu: false },
            options: Vec::new(),
            hba: Vec::new(),
            tls: false,
            password: None,
            encoding: "UTF8".to_owned(),
            locale: "C.UTF-8".to_owned(),
        }
    }

    /// The services of docker-compose.yml listen on port 54000 + major.
    fn in_docker(build: Build) -> Self {
        let major = build.major;
        assert!(
            (14..=18).contains(&major),
            "docker-compose.yml has no PostgreSQL {major}"
        );
        let server = Self {
            build,
            socket_dir: None,
            port: 54_000 + u16::try_from(major).expect("a small number"),
            password: Some("pgstow".to_owned()),
            data_dir: None,
            log: None,
            pki: None,
            roles_loaded: OnceLock::new(),
            watchdog: None,
        };
        let probe = run(server
            .tool("psql")
            .args(["-X", "-d", "postgres", "-c", "select 1"]));
        assert!(
            probe.code == Some(0),
            "no PostgreSQL {major} on port {}: run docker compose up -d --wait\n{}",
            server.port,
            probe.stderr
        );
        server
    }

    pub fn major(&self) -> u32 {
        self.build.major
    }

    /// TCP port on 127.0.0.1; also the number in the socket's name.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What `host=` should be: the socket directory, or 127.0.0.1 for a server in a container.
    pub fn host(&self) -> String {
        match &self.socket_dir {
            Some(dir) => dir.display().to_string(),
            None => "127.0.0.1".to_owned(),
        }
    }

    /// The superuser's password, where the server was given one.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// The data directory; panics for a server in a container.
    pub fn data_dir(&self) -> &Path {
        self.data_dir
            .as_deref()
            .expect("a server in a container has no data directory here")
    }

    /// The server's log so far (empty for a server in a container).
    pub fn log(&self) -> String {
        self.log
            .as_ref()
            .and_then(|path| std::fs::read(path).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The certificates of a server built with [`ServerBuilder::tls`].
    pub fn pki(&self) -> &Pki {
        self.pki
            .as_ref()
            .expect("the server was built without tls()")
    }

    /// A client program of major 18 (`psql`, `pg_dump`, `pgbench` …) set up to reach this server by
    /// `PGHOST`, `PGPORT`, `PGUSER` and, when there is one, `PGPASSWORD`. Add the database.
    pub fn tool(&self, name: &str) -> Command {
        let mut command = tool(name);
        self.point_at(&mut command);
        command
    }

    /// As [`Server::tool`], of the server's own major (13 has none).
    pub fn own_tool(&self, name: &str) -> Command {
        let mut command = program(self.major(), name);
        self.point_at(&mut command);
        command
    }

    /// Sets `PGHOST`, `PGPORT`, `PGUSER` and `PGPASSWORD` for this server.
    pub fn point_at(&self, command: &mut Command) {
        command
            .env("PGHOST", self.host())
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres");
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password);
        }
    }

    /// Runs SQL in the database `postgres`; panics when any statement fails.
    #[track_caller]
    pub fn psql(&self, sql: &str) -> Output {
        self.psql_in("postgres", sql)
    }

    #[track_caller]
    pub(super) fn psql_in(&self, database: &str, sql: &str) -> Output {
        let mut command = self.tool("psql");
        command
            .env("PGDATABASE", database)
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        run_with_input(&mut command, sql.as_bytes()).success()
    }

    /// Makes an empty database with a unique name that begins with `prefix`. It is dropped with the
    /// value. The prefix may hold any character; keep it below 40 bytes.
    #[track_caller]
    pub fn create_db(self: &Arc<Self>, prefix: &str) -> Db {
        self.create_db_with(prefix, "TEMPLATE template0")
    }

    /// As [`Server::create_db`], with the tail of the `CREATE DATABASE` statement, e.g.
    /// `TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'`.
    #[track_caller]
    pub fn create_db_with(self: &Arc<Self>, prefix: &str, options: &str) -> Db {
        static COUNTER: AtomicUsize = AtomicUsize::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}_{}_{number}", std::process::id());
        assert!(name.len() <= 63, "database name {name} is too long");
        self.psql(&format!(
            "CREATE DATABASE \"{}\" {options};",
            name.replace('"', "\"\"")
        ));
        Db::new(Arc::clone(self), name)
    }

    /// Creates the roles that the fixtures use (`fixtures/sql/00-roles.sql`), once per server.
    #[track_caller]
    pub fn load_roles(&self) {
        self.roles_loaded.get_or_init(|| {
            let sql = std::fs::read_to_string(super::fixture_path("00-roles")).unwrap();
            self.psql(&sql);
        });
    }

    /// A hot standby of this server, made by `pg_basebackup` and streaming. Majors with client
    /// tools only (not 13). The standby's databases are this server's: connect with
    /// [`Server::db`] after [`Server::wait_for`].
    #[track_caller]
    pub fn standby(self: &Arc<Self>) -> Arc<Self> {
        let home = Home::new();
        let data = home.path("data");
        let mut backup = if is_root() {
            let mut command = Command::new("runuser");
            command
                .args(["-u", "postgres", "--"])
                .arg(server_bin(self.major()).join("pg_basebackup"));
            command
        } else {
            Command::new(server_bin(self.major()).join("pg_basebackup"))
        };
        without_pg_variables(&mut backup);
        self.point_at(&mut backup);
        backup
            .env("LD_LIBRARY_PATH", server_bin(self.major()).join("../lib"))
            .current_dir("/")
            .args([
                "--checkpoint=fast",
                "--no-sync",
                "--wal-method=stream",
                "--write-recovery-conf",
                "-D",
            ])
            .arg(&data);
        run(&mut backup).success();
        launch(home, self.build, self.password.clone(), None)
    }

    /// Waits until this standby has replayed all that `primary` has written so far.
    #[track_caller]
    pub fn wait_for(&self, primary: &Self) {
        let lsn = primary
            .psql("\\pset tuples_only\n\\pset format unaligned\nselect pg_current_wal_lsn();\n");
        let lsn = lsn.stdout.trim().to_owned();
        for _ in 0..600 {
            let seen = self.psql(&format!(
                "\\pset tuples_only\n\\pset format unaligned\nselect pg_last_wal_replay_lsn() >= '{lsn}';\n"
            ));
            if seen.stdout.trim() == "t" {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("the standby did not reach {lsn} within a minute");
    }

    /// A handle on a database that exists already; it is not dropped with the value.
    pub fn db(self: &Arc<Self>, name: &str) -> Db {
        Db::existing(Arc::clone(self), name.to_owned())
    }

    /// Stops the server at once, as a crash would, and leaves it down. For tests of lost servers.
    #[track_caller]
    pub fn crash(&self) {
        let mut stop = server_program(self.build, "pg_ctl");
        stop.args(["-D"])
            .arg(self.data_dir())
            .args(["-m", "immediate", "-w", "stop"]);
        run(&mut stop).success();
    }

    /// Stops the server at once, as a crash would, and starts it again where it was.
    #[track_caller]
    pub fn crash_and_return(&self) {
        let mut restart = server_program(self.build, "pg_ctl");
        restart
            .arg("-D")
            .arg(self.data_dir())
            .arg("-l")
            .arg(self.log.as_ref().expect("a server of our own has a log"))
            .args(["-m", "immediate", "-w", "-t", "60", "restart"]);
        run(&mut restart).success();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut watchdog) = self.watchdog.take() {
            // Closing the pipe is the order to stop.
            drop(watchdog.stdin.take());
            let _ = watchdog.wait();
        }
    }
}

/// Settings of a server of one's own. See [`Server::builder`].
pub struct ServerBuilder {
    build: Build,
    options: Vec<(String, String)>,
    hba: Vec<String>,
    tls: bool,
    password: Option<String>,
    encoding: String,
    locale: String,
}

impl ServerBuilder {
    /// A line of postgresql.conf; the value is quoted here.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lines for pg_hba.conf, in this order, for all but the superuser's Unix socket, which stays
    /// `trust` so that the harness itself gets in. Without any, everything is `trust`.
    #[must_use]
    pub fn hba(mut self, line: &str) -> Self {
        self.hba.push(line.to_owned());
        self
    }

    /// Serves TLS with a fresh certificate for localhost; see [`Server::pki`].
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Gives user `postgres` this password, stored as `password_encryption` says.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Encoding and locale of the cluster's templates; UTF8 and C.UTF-8 if not given.
    #[must_use]
    pub fn encoding(mut self, encoding: &str, locale: &str) -> Self {
        encoding.clone_into(&mut self.encoding);
        locale.clone_into(&mut self.locale);
        self
    }

    /// Makes the cluster and starts it.
    #[track_caller]
    pub fn start(self) -> Arc<Server> {
        let home = Home::new();
        let data = home.path("data");
        let mut initdb = server_program(self.build, "initdb");
        initdb
            .arg("-D")
            .arg(&data)
            .args(["-U", "postgres", "-A", "trust", "--no-sync"])
            .args(["-E", &self.encoding])
            .arg(format!("--locale={}", self.locale));
        run(&mut initdb).success();

        let mut conf = SETTINGS.to_owned();
        let pki = self.tls.then(|| {
            let pki = Pki::generate_in(home.path("pki"));
            for (from, to) in [
                (pki.ca_cert(), "root.crt"),
                (pki.server_cert(), "server.crt"),
                (pki.server_key(), "server.key"),
            ] {
                let to = data.join(to);
                std::fs::copy(from, &to).unwrap();
                std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
                give_to_postgres(&to);
            }
            conf.push_str("ssl = on\nssl_ca_file = 'root.crt'\n");
            pki
        });
        if self.build.major >= 18 {
            let extensions = home.path("fixtures");
            copy_extensions(&extensions.join("extension"));
            let _ = writeln!(
                conf,
                "extension_control_path = '$system:{}'",
                extensions.display()
            );
        }
        for (name, value) in &self.options {
            let _ = writeln!(conf, "{name} = '{}'", value.replace('\'', "''"));
        }
        append(&data.join("postgresql.conf"), &conf);
        if !self.hba.is_empty() {
            let mut hba = "local all postgres trust\nlocal replication postgres trust\n".to_owned();
            for line in &self.hba {
                hba.push_str(line);
                hba.push('\n');
            }
            std::fs::write(data.join("pg_hba.conf"), hba).unwrap();
        }
        let server = launch(home, self.build, self.password.clone(), pki);
        if let Some(password) = &self.password {
            server.psql(&format!(
                "ALTER ROLE postgres PASSWORD '{}';",
                password.replace('\'', "''")
            ));
        }
        server
    }
}

/// Copies `fixtures/extension`: the server's user may not be able to read our checkout.
fn copy_extensions(to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/extension");
    for entry in std::fs::read_dir(&from).unwrap_or_else(|e| panic!("{}: {e}", from.display())) {
        let entry = entry.unwrap();
        let copy = to.join(entry.file_name());
        std::fs::copy(entry.path(), &copy).unwrap();
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
}

fn append(path: &Path, text: &str) {
    let mut all = std::fs::read_to_string(path).unwrap();
    all.push_str(text);
    // Written in place: the file keeps the server's user as its owner.
    std::fs::write(path, all).unwrap();
}

/// The server's directory; removed with the value unless a watchdog has taken it over.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("pgst")
            .rand_bytes(6)
            .tempdir()
            .unwrap();
        let longest = dir.path().join(".s.PGSQL.65535");
        assert!(
            longest.as_os_str().len() < 100,
            "{} is too long for a Unix socket: set TMPDIR to something shorter",
            dir.path().display()
        );
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        give_to_postgres(dir.path());
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

#[track_caller]
fn launch(home: Home, build: Build, password: Option<String>, pki: Option<Pki>) -> Arc<Server> {
    let data = home.path("data");
    let log = home.path("log");
    let mut last = String::new();
    for _ in 0..8 {
        // Somebody may take the port before the server does; then another one is tried.
        let port = free_port();
        let mut start = server_program(build, "pg_ctl");
        start
            .arg("-D")
            .arg(&data)
            .arg("-l")
            .arg(&log)
            .args(["-w", "-t", "60", "-o"])
            .arg(format!(
                "-p {port} -k {} -c listen_addresses=127.0.0.1",
                home.dir.path().display()
            ));
        start.arg("start");
        let started = run(&mut start);
        if started.code == Some(0) {
            let watchdog = watch(build, home.dir.path());
            return Arc::new(Server {
                build,
                socket_dir: Some(home.dir.keep()),
                port,
                password,
                data_dir: Some(data),
                log: Some(log),
                pki,
                roles_loaded: OnceLock::new(),
                watchdog: Some(watchdog),
            });
        }
        last = format!(
            "{}\n{}",
            started.stderr,
            std::fs::read_to_string(&log).unwrap_or_default()
        );
    }
    panic!("PostgreSQL {} does not start:\n{last}", build.name());
}

/// Starts the shell that outlives us. It is in a process group of its own, so that an interrupt
/// typed at the terminal reaches the tests but not the one who cleans up after them.
fn watch(build: Build, home: &Path) -> Child {
    let become_user = if is_root() {
        "runuser -u postgres --"
    } else {
        ""
    };
    let script = format!(
        "cat >/dev/null; cd /; {become_user} \"$1\" -D \"$2/data\" -m immediate -w stop; rm -rf -- \"$2\""
    );
    let mut command = Command::new("sh");
    without_pg_variables(&mut command);
    command
        .args(["-c", &script, "watchdog"])
        .arg(build.bin().join("pg_ctl"))
        .arg(home)
        .env("LD_LIBRARY_PATH", build.bin().join("../lib"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("a shell starts")
}
