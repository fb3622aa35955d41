//! Asking a server to give up what a session is doing.

use std::sync::Arc;
use std::time::Duration;

use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::connect::config::Keepalive;
use crate::connect::stream::{Peer, Stream};
use crate::connect::tls::{Negotiated, Tls};
use crate::error::{Error, Kind, Result};

/// A cancel request is short; a server that does not take it by then will not.
const DEFAULT_LIMIT: Duration = Duration::from_secs(10);

/// Cancels the statement that one session runs, over a connection of its own to the same address;
/// encrypted when the session is.
#[derive(Clone)]
pub struct Canceller(Arc<Target>);

struct Target {
    peer: Peer,
    tls: Option<Tls>,
    key: (i32, i32),
    limit: Duration,
    keepalive: Keepalive,
}

impl Canceller {
    pub(super) fn new(
        peer: Peer,
        tls: Option<Tls>,
        key: (i32, i32),
        limit: Option<Duration>,
        keepalive: Keepalive,
    ) -> Self {
        Self(Arc::new(Target {
            peer,
            tls,
            key,
            limit: limit.unwrap_or(DEFAULT_LIMIT),
            keepalive,
        }))
    }

    /// Sends the request and waits until the server has taken it. Whether there was still something
    /// to cancel shows in the session: its statement ends with SQLSTATE 57014, or as usual.
    ///
    /// # Errors
    /// Of kind [`Connect`](Kind::Connect) when the request could not be delivered.
    pub async fn cancel(&self) -> Result<()> {
        let limit = self.0.limit;
        tokio::time::timeout(limit, self.deliver())
            .await
            .unwrap_or_else(|_| {
                Err(Error::new(
                    Kind::Connect,
                    format!("no answer within {} s", limit.as_secs()),
                ))
            })
            .map_err(|error| error.context("cancel request"))
    }

    async fn deliver(&self) -> Result<()> {
        let broken =
            |error: std::io::Error| Error::new(Kind::Connect, error.to_string()).with_source(error);
        let target = &self.0;
        let mut stream = Stream::dial(&target.peer, target.keepalive)
            .await
            .map_err(broken)?;
        if let Some(tls) = &target.tls {
            stream = match tls.negotiate(stream).await? {
                Negotiated::Encrypted(stream) => stream,
                Negotiated::Refused(_) => {
                    return Err(Error::new(
                        Kind::Connect,
                        "the server does not offer TLS any more",
                    ));
                }
            };
        }
        let mut request = bytes::BytesMut::new();
        frontend::cancel_request(target.key.0, target.key.1, &mut request);
        stream.write_all(&request).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        // The server closes without a word once it has passed the request on. How it closes
        // (a reset, a missing TLS farewell) does not matter.
        let _ = stream.read(&mut [0_u8]).await;
        Ok(())
    }
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Canceller")
            .field("peer", &self.0.peer)
            .finish_non_exhaustive()
    }
}
