//! The control plane: a `tokio-postgres` client on a session that [`startup`](super::startup) made.
//!
//! The driver would dial, negotiate TLS and log in by rules of its own. Instead it is given a stream
//! that is logged in already: what it sends as its start-up message is swallowed, and what the
//! server said at the end of the login is played back to it. So the rules exist once.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use postgres_protocol::message::backend;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::connect::cancel::Canceller;
use crate::connect::config::Config;
use crate::connect::host::Reached;
use crate::connect::startup::Ready;
use crate::connect::stream::Stream;
use crate::connect::wire::ANY_BYTES;
use crate::error::{Error, Kind, Result};
use crate::sql::ServerVersion;
use crate::task::lock;

/// Notices beyond this many are dropped.
const KEPT_NOTICES: usize = 100;

/// A session for catalog queries and statements. Dropping it ends the session.
pub struct Session {
    client: Client,
    task: JoinHandle<()>,
    version: ServerVersion,
    parameters: BTreeMap<String, String>,
    notices: Arc<Mutex<Vec<String>>>,
    canceller: Canceller,
    place: String,
    reached: Reached,
}

impl Session {
    pub(super) async fn establish(ready: Ready, config: &Config) -> Result<Self> {
        let Ready {
            mut link,
            version,
            canceller,
            place,
            reached,
        } = ready;
        let early_notices = link.take_notices();
        let leftover = link.inbox.bytes.split_off(link.inbox.start);
        let stream = LoggedIn {
            stream: link.stream,
            greeting: Greeting::default(),
            replay: replay(&link.parameters, &leftover),
        };
        let mut driver = tokio_postgres::Config::new();
        driver.user(&config.user).ssl_mode(SslMode::Disable);
        let (client, mut connection) =
            driver.connect_raw(stream, NoTls).await.map_err(|error| {
                Error::from(error)
                    .with_kind(Kind::Connect)
                    .context(format!("connect to {place}"))
            })?;
        let notices = Arc::new(Mutex::new(early_notices));
        let kept = Arc::clone(&notices);
        let task = tokio::spawn(async move {
            // Ends when the client is dropped, or with the connection; then every request under way
            // and every later one fails, which is where the loss is reported.
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notice(notice) = message {
                    let mut kept = lock(&kept);
                    if kept.len() < KEPT_NOTICES {
                        kept.push(format!(
                            "{}: {}",
                            notice.severity().to_lowercase(),
                            notice.message()
                        ));
                    }
                }
            }
        });
        Ok(Self {
            client,
            task,
            version,
            parameters: link.parameters,
            notices,
            canceller,
            place,
            reached,
        })
    }

    /// The driver's client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The server's version.
    pub fn server_version(&self) -> ServerVersion {
        self.version
    }

    /// A parameter as the server reported it at the login, such as `server_encoding` or
    /// `server_version`.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters.get(name).cloned()
    }

    /// Whether the database takes any bytes for text.
    pub(crate) fn has_any_bytes(&self) -> bool {
        self.parameters
            .get("server_encoding")
            .is_some_and(|encoding| encoding == ANY_BYTES)
    }

    /// The server itself.
    pub(crate) fn reached(&self) -> &Reached {
        &self.reached
    }

    /// `user@host:port/database` of the host that answered.
    pub fn describe(&self) -> &str {
        &self.place
    }

    /// The server's notices since the last call, oldest first, a hundred at most.
    pub fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.notices))
    }

    /// Cancels what this session runs; works from another task.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Ends the session and waits until that is done.
    pub async fn close(self) {
        let Self { client, task, .. } = self;
        drop(client);
        // A panic of the task has nothing left to harm.
        let _ = task.await;
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("place", &self.place)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// The end of a login as the server would say it, followed by what it really said since.
fn replay(parameters: &BTreeMap<String, String>, leftover: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    let mut message = |tag: u8, payload: &[u8]| {
        bytes.put_u8(tag);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "short texts and fixed sizes"
        )]
        bytes.put_u32(payload.len() as u32 + 4);
        bytes.put_slice(payload);
    };
    message(backend::AUTHENTICATION_TAG, &0_u32.to_be_bytes());
    for (name, value) in parameters {
        let payload = [name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat();
        message(backend::PARAMETER_STATUS_TAG, &payload);
    }
    // The driver's own cancel token is never used; ours knows the address and the TLS rules.
    message(backend::BACKEND_KEY_DATA_TAG, &[0; 8]);
    message(backend::READY_FOR_QUERY_TAG, b"I");
    bytes.put_slice(leftover);
    bytes.freeze()
}

/// How much of the driver's start-up message has been swallowed.
#[derive(Default)]
struct Greeting {
    /// The message's length, as far as it has been seen.
    length: [u8; 4],
    seen: usize,
}

impl Greeting {
    /// How many of these bytes still belong to the message.
    fn swallow(&mut self, bytes: &[u8]) -> usize {
        let mut count = 0;
        for byte in bytes {
            if self.seen >= 4 && self.seen >= u32::from_be_bytes(self.length) as usize {
                break;
            }
            if self.seen < 4 {
                self.length[self.seen] = *byte;
            }
            self.seen += 1;
            count += 1;
        }
        count
    }

    fn is_over(&self) -> bool {
        self.seen >= 4 && self.seen >= u32::from_be_bytes(self.length) as usize
    }
}

/// A stream behind which the login has already happened.
struct LoggedIn {
    stream: Stream,
    greeting: Greeting,
    replay: Bytes,
}

impl AsyncRead for LoggedIn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.replay.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.replay.len().min(buf.remaining());
        buf.put_slice(&self.replay[..count]);
        self.replay.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LoggedIn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.greeting.is_over() {
            let count = self.greeting.swallow(buf);
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_up_message_is_swallowed_in_any_pieces() {
        let mut message = vec![0, 0, 0, 20];
        message.resize(20, b'x');
        let mut stream = message.clone();
        stream.extend_from_slice(b"Qrest");
        for piece in 1..=stream.len() {
            let mut greeting = Greeting::default();
            let mut passed = Vec::new();
            for part in stream.chunks(piece) {
                let count = if greeting.is_over() {
                    0
                } else {
                    greeting.swallow(part)
                };
                passed.extend_from_slice(&part[count..]);
            }
            assert_eq!(passed, b"Qrest", "{piece}");
            assert!(greeting.is_over());
        }
    }
}
