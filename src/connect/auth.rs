//! Proving who we are: trust, cleartext, MD5, SCRAM-SHA-256 with and without channel binding.

use std::fmt;

use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    self, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::{backend, frontend};

use crate::connect::certificate::Certificate;
use crate::connect::choices::{AuthMethod, ChannelBinding};
use crate::connect::config::Config;
use crate::connect::frames::{garbled, split_cstr};
use crate::connect::link::Link;
use crate::connect::server_message::{Content, ServerMessage};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;

/// Marks the one failure that a typed password can heal.
#[derive(Debug)]
struct PasswordMissing;

impl fmt::Display for PasswordMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no password supplied")
    }
}

impl std::error::Error for PasswordMissing {}

/// Whether a login failed only because the server asked for a password and none was at hand; then
/// asking a person and trying [`Config::with_password`] makes sense.
pub fn needs_password(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<PasswordMissing>())
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(Kind::Connect, message)
}

/// Answers the server's demands until it says that the login is done.
///
/// # Errors
/// Of kind `Connect`: the server's refusal, a missing password, a method that is not implemented or
/// that the configuration forbids.
pub(super) async fn authenticate(
    link: &mut Link,
    config: &Config,
    password: Option<&Secret>,
) -> Result<()> {
    // Which method the server made us prove ourselves by, if any; and whether it was bound.
    let mut method = AuthMethod::None;
    let mut bound = false;
    loop {
        let (code, body) = next_request(link).await?;
        let proven = match code {
            0 => {
                if config.channel_binding == ChannelBinding::Require && !bound {
                    return Err(refused(
                        "channel binding is required, but the server let us in without it",
                    )
                    .with_hint("channel_binding=require needs TLS and a SCRAM-SHA-256 password"));
                }
                if !config.require_auth.allows(method) {
                    return Err(refused(
                        "the server did not ask for an authentication that require_auth allows",
                    ));
                }
                return Ok(());
            }
            3 => AuthMethod::Password,
            5 => AuthMethod::Md5,
            10 => AuthMethod::Scram,
            _ => AuthMethod::Other,
        };
        let name = method_name(code);
        if proven == AuthMethod::Other {
            return Err(refused(format!(
                "the server asks for {name} authentication, which is not supported"
            ))
            .with_hint("supported: scram-sha-256, md5, password, certificates, trust, peer"));
        }
        if method != AuthMethod::None {
            return Err(refused("the server asks for a second authentication"));
        }
        if !config.require_auth.allows(proven) {
            return Err(refused(format!(
                "the server asks for {name} authentication, which require_auth does not allow"
            )));
        }
        if config.channel_binding == ChannelBinding::Require && proven != AuthMethod::Scram {
            return Err(refused(format!(
                "channel binding is required, but the server asks for {name} authentication"
            )));
        }
        let password = password
            .filter(|password| !password.reveal().is_empty())
            .ok_or_else(|| {
                refused("the server asks for a password and none was given")
                    .with_hint("give it in ~/.pgpass or PGPASSWORD, or be asked for it with -W")
                    .with_source(PasswordMissing)
            })?;
        method = proven;
        match proven {
            AuthMethod::Password => send_password(link, password.reveal().as_bytes()).await?,
            AuthMethod::Md5 => {
                let salt = <[u8; 4]>::try_from(body.as_slice())
                    .map_err(|_| garbled("an MD5 request without its salt"))?;
                let answer = md5_hash(config.user.as_bytes(), password.reveal().as_bytes(), salt);
                send_password(link, answer.as_bytes()).await?;
            }
            _ => bound = scram(link, config, &body, password).await?,
        }
    }
}

fn method_name(code: u32) -> String {
    match code {
        2 => "Kerberos 5".to_owned(),
        3 => "password".to_owned(),
        5 => "md5".to_owned(),
        6 => "SCM credential".to_owned(),
        7 | 8 => "GSSAPI".to_owned(),
        9 => "SSPI".to_owned(),
        10 => "SASL".to_owned(),
        other => format!("unknown (code {other})"),
    }
}

/// The next authentication message: its code and what follows.
async fn next_request(link: &mut Link) -> Result<(u32, Vec<u8>)> {
    let frame = link.next().await?;
    let payload = link.payload(&frame);
    match frame.tag {
        backend::AUTHENTICATION_TAG => {
            let (code, body) = payload
                .split_first_chunk::<4>()
                .ok_or_else(|| garbled("an authentication request without a code"))?;
            Ok((u32::from_be_bytes(*code), body.to_vec()))
        }
        backend::ERROR_RESPONSE_TAG => {
            Err(ServerMessage::parse(payload)?.into_error_of(Kind::Connect, Content::Statement))
        }
        // NegotiateProtocolVersion answers a request for features; none was made.
        b'v' => Err(refused(
            "the server wants to negotiate the protocol version",
        )),
        _ => Err(refused("unexpected message during the login")
            .with_hint("is this a PostgreSQL server?")),
    }
}

async fn send_password(link: &mut Link, password: &[u8]) -> Result<()> {
    frontend::password_message(password, &mut link.outbox)
        .map_err(|error| refused(format!("password: {error}")))?;
    link.flush().await
}

/// One SCRAM exchange up to the server's proof; whether it was bound to the TLS channel.
async fn scram(
    link: &mut Link,
    config: &Config,
    mechanisms: &[u8],
    password: &Secret,
) -> Result<bool> {
    let mut plain = false;
    let mut plus = false;
    let mut rest = mechanisms;
    while rest.first().is_some_and(|byte| *byte != 0) {
        let (mechanism, tail) = split_cstr(rest)?;
        plain |= mechanism == SCRAM_SHA_256.as_bytes();
        plus |= mechanism == SCRAM_SHA_256_PLUS.as_bytes();
        rest = tail;
    }
    let hash = match config.channel_binding {
        ChannelBinding::Disable => None,
        ChannelBinding::Prefer | ChannelBinding::Require => link
            .stream
            .server_certificate()
            .and_then(Certificate::parse)
            .and_then(|certificate| certificate.end_point_hash()),
    };
    if plus && !link.stream.is_encrypted() {
        // Only a man in the middle that strips TLS would offer this.
        return Err(refused(
            "the server offers SCRAM-SHA-256-PLUS on a connection without TLS",
        ));
    }
    let require = config.channel_binding == ChannelBinding::Require;
    let (binding, mechanism) = match hash {
        Some(hash) if plus => (
            sasl::ChannelBinding::tls_server_end_point(hash),
            SCRAM_SHA_256_PLUS,
        ),
        _ if require => {
            return Err(refused(if link.stream.is_encrypted() {
                "channel binding is required, but the server does not offer it"
            } else {
                "channel binding is required, but the connection is without TLS"
            })
            .with_hint("channel_binding=require needs TLS and a SCRAM-SHA-256 password"));
        }
        // Says that we could have: a server that could too then knows that somebody interfered.
        Some(_) if plain => (sasl::ChannelBinding::unrequested(), SCRAM_SHA_256),
        None if plain => (sasl::ChannelBinding::unsupported(), SCRAM_SHA_256),
        _ => {
            return Err(refused(
                "the server offers no SASL mechanism that is supported",
            ));
        }
    };
    let bound = mechanism == SCRAM_SHA_256_PLUS;
    let wrong = |error: std::io::Error| refused(format!("SCRAM: {error}"));
    let mut exchange = ScramSha256::new(password.reveal().as_bytes(), binding);
    frontend::sasl_initial_response(mechanism, exchange.message(), &mut link.outbox)
        .map_err(wrong)?;
    link.flush().await?;
    let (11, body) = next_request(link).await? else {
        return Err(refused("unexpected message during the SCRAM exchange"));
    };
    exchange.update(&body).map_err(wrong)?;
    frontend::sasl_response(exchange.message(), &mut link.outbox).map_err(wrong)?;
    link.flush().await?;
    let (12, body) = next_request(link).await? else {
        // Letting us in without the proof that the server knows the password is not good enough.
        return Err(refused("the server skipped the end of the SCRAM exchange"));
    };
    exchange.finish(&body).map_err(wrong)?;
    Ok(bound)
}
