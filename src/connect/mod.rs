//! Connections to PostgreSQL: who to reach and how, sessions, and the COPY data plane.
//!
//! Why it exists: everything that users of libpq take for granted (connection strings, `PG*`
//! variables, password and service files, TLS modes, several hosts) is decided here once, and both
//! planes are made from the same [`Config`]:
//!
//! - the control plane, [`Session`]: catalog queries and statements through `tokio-postgres`;
//! - the data plane, [`Wire`]: COPY and pipelined statements straight on `postgres-protocol`, which
//!   walks the server's messages in place instead of allocating for each row.
//!
//! Both planes take the same road to a ready session (`startup`): name resolution, TLS, login and
//! the choice among hosts exist once. The control plane is handed a stream that is already
//! logged in.
//!
//! Promises: a failure on the way to a ready session is of kind
//! [`Connect`](crate::error::Kind::Connect) and names host, port, database and user; a connection
//! that breaks later is [`ConnectionLost`](crate::error::Kind::ConnectionLost); no password, key or
//! row content is ever part of a message or of `Debug` output.
//!
//! Where it differs from libpq, on purpose:
//! - without a host both usual socket directories are tried, `/var/run/postgresql` and `/tmp`;
//! - every session speaks UTF8, and with a database in SQL_ASCII, whose bytes may be of any encoding, SQL_ASCII:
//!   what is not UTF-8 is text as [`text_of`](crate::sql::text_of) makes it; `client_encoding` is accepted and changes nothing;
//! - `sslmode=prefer` and `allow` try the other kind of encryption after a failed handshake or a
//!   refusal by access rules, but never after a password was sent;
//! - no GSSAPI, SSPI, OAuth, revocation lists or keys with a passphrase: a parameter that asks for one
//!   of these is an error, not ignored.
//!
//! Leaves to others: what the session is set to (`dump`, `restore`), what is asked (`catalog`),
//! asking a person for a password (the binary), retry (`task`).

mod auth;
mod cancel;
mod certificate;
mod choices;
mod config;
mod conninfo;
mod copy_batch;
mod copy_in;
mod copy_out;
mod environment;
mod frames;
mod host;
mod keyword;
mod linger;
mod link;
mod passfile;
mod room;
mod server_message;
mod servicefile;
mod session;
mod startup;
mod stream;
mod text;
mod tls;
mod tls_settings;
mod uri;
mod values;
mod wire;

pub use auth::needs_password;
pub use cancel::Canceller;
pub use config::{Config, ConfigSource, PasswordPrompt};
pub(crate) use conninfo::bears_password;
pub use copy_batch::CopyBatch;
pub use copy_in::CopyIn;
pub use copy_out::{CopyOut, CopyOuts, LARGE_ROW, Walk};
pub(crate) use environment::not_text;
pub use environment::{Environment, ProcessEnv};
pub(crate) use room::{fewer, lacks_room, moments, open_in_a_moment};
pub use session::Session;
pub use text::Text;
pub(crate) use wire::ANY_BYTES;
pub use wire::{Apart, BatchError, Param, TransactionStatus, Wire};
