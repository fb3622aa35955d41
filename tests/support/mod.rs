//! What every integration test stands on: real PostgreSQL servers, databases in
//! them, the `pgstow` binary run under a time limit, and a referee that does not
//! share a line with the code under test.
//!
//! ```ignore
//! mod support;
//! use support::{Server, pgstow, run};
//!
//! let server = Server::start(18);                       // one per test process and major
//! let source = server.create_db("source");              // dropped when it goes out of scope
//! source.load_fixtures();                               // fixtures/sql/*.sql
//! let target = server.create_db("target");
//! run(pgstow().args(["dump", &source.url(), "-f"]).arg(&file)).success();
//! run(pgstow().args(["restore", "-d", &target.url()]).arg(&file)).success();
//! assert_same_schema(&source, &target);                 // pg_dump 18 -s of both
//! assert_same_data(&source, &target);                   // rows and hashes, sequences, large objects
//! ```
//!
//! All calls are plain blocking ones and may be used inside `#[tokio::test]`
//! (`Db::connect` alone is async). Nothing here skips: a missing server is a panic
//! which says how to get one (`scripts/fetch-servers`).
//!
//! Environment:
//! - `PGSTOW_SERVERS`: where the server builds are; default as `scripts/fetch-servers`.
//! - `PGSTOW_TEST_DOCKER=1`: `Server::start` uses the services of `docker-compose.yml`
//!   (which must be up) in place of servers of its own. `Server::builder` and
//!   standbys stay local, they need files of the server. The client tools of major
//!   18 come from `PGSTOW_SERVERS` in both cases.
#![allow(
    dead_code,
    missing_docs,
    unused_imports,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "each test binary uses a part of the harness, and a panic is how a test fails"
)]

mod database;
mod disk;
mod fixture;
mod mail;
mod pki;
mod pooler;
mod ports;
mod process;
mod proxy;
mod referee;
mod sample;
mod server;
pub mod tpch;

pub use database::Db;
pub use disk::SmallDisk;
pub use fixture::{Fixture, fixture_path, fixtures};
pub use mail::{Mail, MailEncryption, MailSink};
pub use pki::Pki;
pub use pooler::Pooler;
pub use ports::free_port;
pub use process::{Output, pgstow, run, run_for, run_with_input, with_clock, with_clock_of};
pub use proxy::{Dice, Fault, Harm, Proxy, ProxyBuilder, Side};
pub use referee::{
    assert_same_data, assert_same_schema, assert_same_text, encoding_option, normalise,
    pg_dump_schema, pg_dump_schema_by, table_hashes, text_of,
};
pub use server::{MAJORS, Server, ServerBuilder, server_bin, tool};
