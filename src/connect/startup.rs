//! The road to a ready session, walked by both planes: hosts in turn, addresses, TLS, login, the
//! choice of the right kind of server.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use postgres_protocol::message::{backend, frontend};

use crate::connect::auth;
use crate::connect::cancel::Canceller;
use crate::connect::choices::{SslMode, TargetAttrs};
use crate::connect::config::Config;
use crate::connect::frames::garbled;
use crate::connect::host::{Endpoint, Host, Reached};
use crate::connect::link::Link;
use crate::connect::server_message::{Content, ServerMessage};
use crate::connect::stream::{Peer, Stream};
use crate::connect::tls::{Negotiated, Tls};
use crate::connect::wire::ANY_BYTES;
use crate::error::{Error, Kind, Result, SqlState};
use crate::sql::{ServerVersion, bytes_of, is_plain};

/// A session that is logged in and idle.
pub(super) struct Ready {
    pub(super) link: Link,
    pub(super) version: ServerVersion,
    pub(super) canceller: Canceller,
    /// `user@host:port/database` of the host that answered.
    pub(super) place: String,
    pub(super) reached: Reached,
}

/// One host did not work out.
struct Failure {
    error: Error,
    /// Whether the next host may be tried: after a refused login it is not, as in libpq, so that a
    /// wrong password is not offered to every server of a list.
    try_next: bool,
}

impl Failure {
    fn next(error: Error) -> Self {
        Self {
            error,
            try_next: true,
        }
    }

    fn stop(error: Error) -> Self {
        Self {
            error,
            try_next: false,
        }
    }
}

/// Connects to the first host that answers and suits.
///
/// # Errors
/// Of kind `Connect`, with what happened at each host that was tried.
pub(super) async fn establish(config: &Config) -> Result<Ready> {
    let mut hosts: Vec<&Host> = config.hosts.iter().collect();
    if config.shuffle_hosts {
        shuffle(&mut hosts)?;
    }
    // `prefer-standby` is two passes: standbys only, then whatever there is.
    let passes: &[TargetAttrs] = match config.target {
        TargetAttrs::PreferStandby => &[TargetAttrs::Standby, TargetAttrs::Any],
        ref one => std::slice::from_ref(one),
    };
    let mut failures: Vec<(String, Error)> = Vec::new();
    for target in passes {
        failures.clear();
        for host in &hosts {
            match try_host(config, host, *target).await {
                Ok(ready) => return Ok(ready),
                Err(Failure {
                    error,
                    try_next: false,
                }) => {
                    return Err(error
                        .with_kind(Kind::Connect)
                        .context(format!("connect to {}", place(config, host))));
                }
                Err(Failure { error, .. }) => failures.push((host.describe(), error)),
            }
        }
    }
    Err(sum_up(config, failures))
}

fn place(config: &Config, host: &Host) -> String {
    format!("{}@{}/{}", config.user, host.describe(), config.database)
}

/// One error out of what happened at every host.
fn sum_up(config: &Config, mut failures: Vec<(String, Error)>) -> Error {
    let outer = format!("connect to {}", config.describe());
    if let [_] = failures.as_slice()
        && let Some((_, only)) = failures.pop()
    {
        return only.with_kind(Kind::Connect).context(outer);
    }
    let each: Vec<String> = failures
        .iter()
        .map(|(host, error)| format!("{host}: {error}"))
        .collect();
    let mut error = Error::new(Kind::Connect, format!("{outer}: {}", each.join("; ")));
    // What one of them answered counts for more than that others are not there.
    let answered = failures
        .iter()
        .rev()
        .find(|(_, error)| error.sqlstate().is_some());
    if let Some((_, last)) = answered.or(failures.last()) {
        if let Some(state) = last.sqlstate() {
            error = error.with_sqlstate(state.clone());
        }
        if let Some(hint) = last.hint() {
            error = error.with_hint(hint.to_owned());
        }
    }
    error
}

fn shuffle(hosts: &mut [&Host]) -> Result<()> {
    for end in (1..hosts.len()).rev() {
        let random = getrandom::u64()
            .map_err(|error| Error::new(Kind::Connect, format!("random numbers: {error}")))?;
        // The bias of the remainder is far below what could matter among a few hosts.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "at most the number of hosts"
        )]
        let other = (random % (end as u64 + 1)) as usize;
        hosts.swap(end, other);
    }
    Ok(())
}

/// Every address of one host, each within the connect timeout.
async fn try_host(config: &Config, host: &Host, target: TargetAttrs) -> Result<Ready, Failure> {
    let peers = within(config.connect_timeout, resolve(host))
        .await
        .map_err(Failure::next)?;
    let mut last = Failure::next(Error::new(Kind::Connect, "the host name has no address"));
    for peer in peers {
        let attempt = try_peer(config, host, &peer, target);
        let outcome = match config.connect_timeout {
            None => attempt.await,
            Some(limit) => match tokio::time::timeout(limit, attempt).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Failure::next(timed_out(limit))),
            },
        };
        match outcome {
            Ok(ready) => return Ok(ready),
            Err(failure) if !failure.try_next => return Err(failure),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

fn timed_out(limit: Duration) -> Error {
    Error::new(
        Kind::Connect,
        format!("no answer within {} s", limit.as_secs()),
    )
    .with_hint("connect_timeout sets how long to wait for each host")
}

/// Runs a step under the limit, if there is one.
async fn within<T>(limit: Option<Duration>, step: impl Future<Output = Result<T>>) -> Result<T> {
    match limit {
        None => step.await,
        Some(limit) => tokio::time::timeout(limit, step)
            .await
            .unwrap_or_else(|_| Err(timed_out(limit))),
    }
}

async fn resolve(host: &Host) -> Result<Vec<Peer>> {
    match &host.endpoint {
        Endpoint::Socket(directory) => {
            let file = format!(".s.PGSQL.{}", host.port);
            let text = directory.to_string_lossy();
            // An abstract socket's address begins with a zero byte.
            let path = match text.strip_prefix('@') {
                Some(name) => Path::new(&format!("\0{name}")).join(file),
                None => directory.join(file),
            };
            Ok(vec![Peer::Unix(path)])
        }
        Endpoint::Tcp {
            address: Some(address),
            ..
        } => Ok(vec![Peer::Tcp((*address, host.port).into())]),
        Endpoint::Tcp { name, .. } => {
            let name = name.as_deref().unwrap_or("localhost");
            let addresses = tokio::net::lookup_host((name, host.port))
                .await
                .map_err(|error| {
                    Error::new(
                        Kind::Connect,
                        format!("could not look up host name \"{name}\": {error}"),
                    )
                    .with_hint("check the spelling of the host name and the name service")
                    .with_source(error)
                })?;
            Ok(addresses.map(Peer::Tcp).collect())
        }
    }
}

/// Whether to begin with TLS or in the clear.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encryption {
    Clear,
    /// Falls back to the clear on the same connection when the server has no TLS.
    TlsIfOffered,
    Tls,
}

/// One address, by each kind of encryption that the mode allows, in its order.
async fn try_peer(
    config: &Config,
    host: &Host,
    peer: &Peer,
    target: TargetAttrs,
) -> Result<Ready, Failure> {
    let (first, second) = match (peer, config.tls.mode) {
        // As in libpq, sslmode says nothing about Unix sockets.
        (Peer::Unix(_), _) | (_, SslMode::Disable) => (Encryption::Clear, None),
        (_, SslMode::Allow) => (Encryption::Clear, Some(Encryption::Tls)),
        (_, SslMode::Prefer) => (Encryption::TlsIfOffered, Some(Encryption::Clear)),
        (_, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull) => (Encryption::Tls, None),
    };
    let mut attempt = try_encryption(config, host, peer, target, first).await;
    if let (Err(Attempt::OtherEncryption(first)), Some(second)) = (&attempt, second) {
        let first = first.error.to_string();
        attempt = try_encryption(config, host, peer, target, second).await;
        // Refused both ways: which of the two the user meant is not known.
        if let Err(Attempt::OtherEncryption(failure)) = &mut attempt {
            let second = failure.error.to_string();
            let mut both = Error::new(
                Kind::Connect,
                if first == second {
                    second
                } else {
                    format!("{first}; {second}")
                },
            );
            if let Some(state) = failure.error.sqlstate() {
                both = both.with_sqlstate(state.clone());
            }
            if let Some(hint) = failure.error.hint() {
                both = both.with_hint(hint.to_owned());
            }
            failure.error = both;
        }
    }
    attempt.map_err(|attempt| match attempt {
        Attempt::Failed(failure) | Attempt::OtherEncryption(failure) => failure,
    })
}

/// How one attempt ended.
enum Attempt {
    Failed(Failure),
    /// The same address might do with the other kind of encryption: the handshake failed, or the
    /// server's access rules refused this kind. Never after a password was asked for.
    OtherEncryption(Failure),
}

async fn try_encryption(
    config: &Config,
    host: &Host,
    peer: &Peer,
    target: TargetAttrs,
    encryption: Encryption,
) -> Result<Ready, Attempt> {
    let stop = |error| Attempt::Failed(Failure::stop(error));
    let next = |error| Attempt::Failed(Failure::next(error));
    let tls = match encryption {
        Encryption::Clear => None,
        Encryption::TlsIfOffered | Encryption::Tls => {
            Some(Tls::prepare(&config.tls, host).map_err(stop)?)
        }
    };
    let stream = Stream::dial(peer, config.keepalive)
        .await
        .map_err(|error| next(unreachable(host, error)))?;
    if let (Some(wanted), Stream::Unix(socket)) = (&config.require_peer, &stream) {
        check_peer(wanted, socket).map_err(stop)?;
    }
    let stream = match &tls {
        None => stream,
        Some(tls) => match tls.negotiate(stream).await {
            Ok(Negotiated::Encrypted(stream)) => stream,
            Ok(Negotiated::Refused(stream)) if encryption == Encryption::TlsIfOffered => stream,
            Ok(Negotiated::Refused(_)) => {
                return Err(stop(
                    Error::new(
                        Kind::Connect,
                        "the server does not support TLS, but TLS is required",
                    )
                    .with_hint("turn on ssl at the server, or lower sslmode"),
                ));
            }
            Err(error) => return Err(Attempt::OtherEncryption(Failure::stop(error))),
        },
    };
    let encrypted = stream.is_encrypted();
    let mut link = Link::new(stream);
    let key = match log_in(&mut link, config, host).await {
        Ok(key) => key,
        Err(error) => {
            // A lost connection or a server that is starting up says nothing about the login.
            let try_next = error.kind() == Kind::ConnectionLost
                || error.sqlstate() == Some(&SqlState::CANNOT_CONNECT_NOW);
            let access_rule =
                error.sqlstate() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
            let failure = Failure {
                error: advise(error, config),
                try_next,
            };
            return Err(if access_rule {
                Attempt::OtherEncryption(failure)
            } else {
                Attempt::Failed(failure)
            });
        }
    };
    let version = version(&link).map_err(stop)?;
    if let Some(objection) = objection(&mut link, target).await.map_err(next)? {
        hang_up(link).await;
        return Err(next(Error::new(Kind::Connect, objection).with_hint(
            "target_session_attrs says which kind of server will do",
        )));
    }
    let canceller = Canceller::new(
        peer.clone(),
        tls.filter(|_| encrypted),
        key,
        config.connect_timeout,
        config.keepalive,
    );
    Ok(Ready {
        link,
        version,
        canceller,
        place: place(config, host),
        reached: reached(host, peer),
    })
}

/// The host, with the address that it was found under.
fn reached(host: &Host, peer: &Peer) -> Reached {
    let mut host = host.clone();
    if let (Endpoint::Tcp { name, address }, Peer::Tcp(found)) = (&mut host.endpoint, peer) {
        // An address of one link says too little without its scope.
        let has_scope = matches!(found, SocketAddr::V6(found) if found.scope_id() != 0);
        if !has_scope {
            // It is known by its name as before, to certificates and password files.
            if name.is_none() && address.is_none() {
                *name = Some("localhost".to_owned());
            }
            *address = Some(found.ip());
        }
    }
    Reached(host)
}

/// The socket could not be connected.
fn unreachable(host: &Host, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::WouldBlock {
        // The server's own way of saying that it has no room, before it is able to say anything: the same sort
        // to all who can do with fewer sessions.
        return Error::new(
            Kind::Connect,
            "more sessions wait for the server than it has room for",
        )
        .with_hint("use fewer jobs, or raise max_connections at the server")
        .with_sqlstate(SqlState::TOO_MANY_CONNECTIONS)
        .with_source(error);
    }
    let hint = match (&host.endpoint, error.kind()) {
        (Endpoint::Socket(_), io::ErrorKind::NotFound) => {
            "is the server running locally and using that socket directory? -h or PGHOST names another host"
        }
        (Endpoint::Socket(_), _) => {
            "is the server running locally and accepting connections on that socket?"
        }
        (Endpoint::Tcp { .. }, _) => {
            "is the server running on that host and accepting TCP/IP connections?"
        }
    };
    let what = match error.kind() {
        io::ErrorKind::NotFound => "no such socket".to_owned(),
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    Error::new(Kind::Connect, what)
        .with_hint(hint)
        .with_source(error)
}

/// `requirepeer`: the server must run as this operating system user.
fn check_peer(wanted: &str, socket: &tokio::net::UnixStream) -> Result<()> {
    let failed = |message: String| Error::new(Kind::Connect, message);
    let uid = socket
        .peer_cred()
        .map_err(|error| failed(format!("could not get peer credentials: {error}")))?
        .uid();
    let users = std::fs::read_to_string("/etc/passwd")
        .map_err(|error| failed(format!("read the user list: {error}")))?;
    let actual = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    });
    if actual == Some(wanted) {
        Ok(())
    } else {
        Err(failed(format!(
            "requirepeer asks for a server run by \"{wanted}\", but it is run by {}",
            actual.map_or_else(|| format!("user id {uid}"), |name| format!("\"{name}\""))
        )))
    }
}

/// Start-up message, authentication, and everything up to the first `ReadyForQuery`; the key for
/// cancelling.
async fn log_in(link: &mut Link, config: &Config, host: &Host) -> Result<(i32, i32)> {
    let mut parameters = vec![
        ("user", config.user.as_str()),
        ("database", &config.database),
        ("client_encoding", "UTF8"),
        ("application_name", &config.application_name),
    ];
    if let Some(options) = &config.options {
        parameters.push(("options", options));
    }
    startup_message(&parameters, &mut link.outbox)?;
    link.flush().await?;
    let password = config.password_for(host);
    auth::authenticate(link, config, password.as_ref()).await?;
    let mut key = (0, 0);
    loop {
        let frame = link.next().await?;
        let payload = link.payload(&frame);
        match frame.tag {
            backend::BACKEND_KEY_DATA_TAG => {
                let (process, secret) = payload
                    .split_first_chunk::<4>()
                    .ok_or_else(|| garbled("a short cancel key"))?;
                let secret = <[u8; 4]>::try_from(secret)
                    .map_err(|_| garbled("a cancel key of another size"))?;
                key = (i32::from_be_bytes(*process), i32::from_be_bytes(secret));
            }
            backend::READY_FOR_QUERY_TAG => break,
            backend::ERROR_RESPONSE_TAG => {
                return Err(
                    ServerMessage::parse(payload)?.into_error_of(Kind::Connect, Content::Statement)
                );
            }
            _ => return Err(garbled("an unexpected message after the login")),
        }
    }
    let server_encoding = link.parameters.get("server_encoding");
    if server_encoding.is_some_and(|encoding| encoding == ANY_BYTES) {
        // It refuses to send what is not of the client's encoding.
        ask(link, "SET client_encoding = 'SQL_ASCII'").await?;
    }
    Ok(key)
}

/// The first message of a login; names of databases and roles may have bytes of any encoding.
fn startup_message(parameters: &[(&str, &str)], outbox: &mut BytesMut) -> Result<()> {
    let refuse =
        |why: &dyn std::fmt::Display| Error::new(Kind::Usage, format!("start-up message: {why}"));
    if parameters.iter().all(|(_, value)| is_plain(value)) {
        return frontend::startup_message(parameters.iter().copied(), outbox)
            .map_err(|error| refuse(&error));
    }
    let mut message = vec![0, 3, 0, 0];
    for (name, value) in parameters {
        let value = bytes_of(value);
        if value.contains(&0) {
            return Err(refuse(&format_args!("the {name} holds a zero byte")));
        }
        message.extend_from_slice(name.as_bytes());
        message.push(0);
        message.extend_from_slice(&value);
        message.push(0);
    }
    message.push(0);
    let length = u32::try_from(message.len() + 4).map_err(|error| refuse(&error))?;
    outbox.put_u32(length);
    outbox.put_slice(&message);
    Ok(())
}

/// Adds what a user can do about a refused login.
fn advise(error: Error, config: &Config) -> Error {
    if error.hint().is_some() {
        return error;
    }
    let hint = match error.sqlstate() {
        Some(&SqlState::INVALID_PASSWORD) => match (&config.password, &config.passfile) {
            (None, Some(file)) => format!("the password came from {}", file.display()),
            _ => "check the user name and the password".to_owned(),
        },
        Some(&SqlState::INVALID_CATALOG_NAME) => {
            "check the database name; psql -l lists the databases".to_owned()
        }
        Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
            "check the role, and the server's pg_hba.conf for this host, user, database and encryption"
                .to_owned()
        }
        Some(&SqlState::TOO_MANY_CONNECTIONS) => {
            "wait, use fewer jobs, or raise max_connections at the server".to_owned()
        }
        Some(&SqlState::PROTOCOL_VIOLATION) if config.options.is_some() => {
            "a connection pooler may refuse the options parameter: connect to the server itself, leave out options and PGOPTIONS, or set ignore_startup_parameters = options in pgbouncer.ini"
                .to_owned()
        }
        _ => return error,
    };
    error.with_hint(hint)
}

/// `server_version` as a number: `15.20 (Debian …)`, `18.6`, `19beta2`.
fn version(link: &Link) -> Result<ServerVersion> {
    let text = link
        .parameters
        .get("server_version")
        .ok_or_else(|| Error::new(Kind::Connect, "the server does not tell its version"))?;
    parse_version(text).ok_or_else(|| {
        Error::new(
            Kind::Connect,
            format!("the server's version \"{text}\" is not understood"),
        )
    })
}

fn parse_version(text: &str) -> Option<ServerVersion> {
    let number = |text: &str| -> Option<u32> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        text[..digits].parse().ok()
    };
    let mut parts = text.split('.');
    let major = number(parts.next()?)?;
    let minor = parts.next().and_then(number).unwrap_or(0);
    let num = if major >= 10 {
        major.checked_mul(10_000)?.checked_add(minor)?
    } else {
        major * 10_000 + minor * 100 + parts.next().and_then(number).unwrap_or(0)
    };
    Some(ServerVersion::from_num(num))
}

/// Why this server will not do for the target, if it will not.
async fn objection(link: &mut Link, target: TargetAttrs) -> Result<Option<&'static str>> {
    Ok(match target {
        TargetAttrs::Any | TargetAttrs::PreferStandby => None,
        TargetAttrs::ReadWrite => is_read_only(link)
            .await?
            .then_some("the session is read-only"),
        TargetAttrs::ReadOnly => {
            (!is_read_only(link).await?).then_some("the session is not read-only")
        }
        TargetAttrs::Primary => is_standby(link)
            .await?
            .then_some("the server is in hot standby mode"),
        TargetAttrs::Standby => {
            (!is_standby(link).await?).then_some("the server is not in hot standby mode")
        }
    })
}

async fn is_standby(link: &mut Link) -> Result<bool> {
    // Reported from 14 on.
    match link.parameters.get("in_hot_standby") {
        Some(value) => Ok(value == "on"),
        None => Ok(ask(link, "SELECT pg_catalog.pg_is_in_recovery()").await? == "t"),
    }
}

async fn is_read_only(link: &mut Link) -> Result<bool> {
    let parameter = |name| link.parameters.get(name).map(|value| value == "on");
    match (
        parameter("in_hot_standby"),
        parameter("default_transaction_read_only"),
    ) {
        (Some(standby), Some(read_only)) => Ok(standby || read_only),
        _ => Ok(ask(link, "SHOW transaction_read_only").await? == "on"),
    }
}

/// The single value that a simple query gives.
async fn ask(link: &mut Link, sql: &str) -> Result<String> {
    frontend::query(sql, &mut link.outbox)
        .map_err(|error| Error::new(Kind::Connect, error.to_string()))?;
    link.flush().await?;
    let mut value = String::new();
    let mut failed = None;
    loop {
        let frame = link.next().await?;
        let payload = link.payload(&frame);
        match frame.tag {
            // Count of columns, length of the first, its text.
            backend::DATA_ROW_TAG => {
                value = String::from_utf8_lossy(payload.get(6..).unwrap_or_default()).into_owned();
            }
            backend::ERROR_RESPONSE_TAG => {
                failed = Some(
                    ServerMessage::parse(payload)?.into_error_of(Kind::Connect, Content::Statement),
                );
            }
            backend::READY_FOR_QUERY_TAG => return failed.map_or(Ok(value), Err),
            _ => {}
        }
    }
}

/// Takes leave of a server that will not do.
async fn hang_up(mut link: Link) {
    frontend::terminate(&mut link.outbox);
    // It is left either way.
    let _ = link.flush().await;
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_full_queue_is_want_of_room_whatever_other_hosts_say() {
        let host = |directory: &str| Host {
            endpoint: Endpoint::Socket(PathBuf::from(directory)),
            port: 5432,
        };
        let full = unreachable(&host("/a"), io::ErrorKind::WouldBlock.into());
        assert_eq!(full.sqlstate(), Some(&SqlState::TOO_MANY_CONNECTIONS));
        let absent = unreachable(&host("/b"), io::ErrorKind::NotFound.into());
        let source = crate::connect::ConfigSource::default();
        let config = Config::resolve(&source, &crate::connect::ProcessEnv);
        let failures = vec![("/a".to_owned(), full), ("/b".to_owned(), absent)];
        let error = sum_up(&config.unwrap(), failures);
        assert!(crate::connect::lacks_room(&error), "{error}");
    }

    #[test]
    fn versions() {
        for (text, expected) in [
            ("15.20 (Debian 15.20-0+deb12u1)", Some(150_020)),
            ("18.6", Some(180_006)),
            ("19beta2", Some(190_000)),
            ("20devel", Some(200_000)),
            ("9.6.24", Some(90_624)),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(
                parse_version(text).map(ServerVersion::num),
                expected,
                "{text}"
            );
        }
    }
}
