//! `COPY … FROM STDIN`: large messages, large slices sent from where they lie.

use std::io::IoSlice;

use bytes::{BufMut, BytesMut};
use postgres_protocol::message::{backend, frontend};

use crate::connect::frames::{HEADER_BYTES, garbled};
use crate::connect::link::Link;
use crate::connect::server_message::{Content, ServerMessage};
use crate::connect::wire::{Replies, Wire};
use crate::error::{Error, Kind, Result};

/// Slices shorter than this are gathered, which costs a copy; longer ones are sent as they are.
pub(super) const SMALL_BYTES: usize = 32 * 1024;
/// The payload of one CopyData message at most. The server keeps a whole message in memory and copies
/// out of it, so messages that fit its processor's caches are better than very large ones.
const MESSAGE_BYTES: usize = 256 * 1024;
/// Messages handed to the operating system in one call.
const MESSAGES_AT_ONCE: usize = 8;
/// What they carry.
pub(super) const GROUP_BYTES: usize = MESSAGE_BYTES * MESSAGES_AT_ONCE;

pub(super) const COPY_DATA: u8 = b'd';

/// A COPY in under way. Only [`CopyIn::finish`] makes its rows count; dropped before, it leaves the
/// session broken and the server takes nothing.
pub struct CopyIn<'a> {
    wire: &'a mut Wire,
    /// A CopyData message that is being gathered, its header included; empty between messages.
    pending: BytesMut,
    /// The server has ended the COPY with an error, which was reported.
    over: bool,
    /// Part of a message may be out: set while one is being sent, so that a call that is dropped
    /// there leaves it set. Whatever followed would be taken for the rest of that message.
    torn: bool,
}

impl<'a> CopyIn<'a> {
    pub(super) fn new(wire: &'a mut Wire) -> Self {
        Self {
            wire,
            pending: BytesMut::new(),
            over: false,
            torn: false,
        }
    }

    /// Sends a piece of the stream; pieces need not end where rows do. An error that the server found
    /// in earlier pieces may be reported here. A call that is dropped before it ends leaves a session
    /// that can only be closed.
    ///
    /// # Errors
    /// Of kind [`Server`](Kind::Server) with the SQLSTATE, table and line but without row content; the
    /// session is usable again then. [`ConnectionLost`](Kind::ConnectionLost) otherwise.
    pub async fn send(&mut self, data: &[u8]) -> Result<()> {
        self.check()?;
        if data.len() < SMALL_BYTES {
            if self.pending.len() + data.len() > HEADER_BYTES + MESSAGE_BYTES {
                self.send_pending().await?;
                self.look_for_error().await?;
            }
            if !data.is_empty() {
                if self.pending.is_empty() {
                    self.pending.reserve(HEADER_BYTES + MESSAGE_BYTES);
                    self.pending.put_slice(&[COPY_DATA, 0, 0, 0, 0]);
                }
                self.pending.put_slice(data);
            }
            return Ok(());
        }
        self.send_pending().await?;
        for group in data.chunks(GROUP_BYTES) {
            self.torn = true;
            send_group(&mut self.wire.link, group).await?;
            self.torn = false;
            self.look_for_error().await?;
        }
        Ok(())
    }

    /// Ends the stream and waits for the server's verdict; how many rows it took.
    ///
    /// # Errors
    /// As [`CopyIn::send`]; then no row was taken.
    pub async fn finish(mut self) -> Result<u64> {
        self.check()?;
        self.send_pending().await?;
        frontend::copy_done(&mut self.wire.link.outbox);
        let replies = self.synchronize().await?;
        match replies.failed {
            Some(failed) => Err(failed.error),
            None => Ok(replies.rows),
        }
    }

    /// Tells the server to take nothing; the session is usable afterwards.
    ///
    /// # Errors
    /// Of kind [`ConnectionLost`](Kind::ConnectionLost).
    pub async fn abort(mut self, reason: &str) -> Result<()> {
        if self.over {
            return Ok(());
        }
        self.check()?;
        self.pending.clear();
        frontend::copy_fail(&reason.replace('\0', " "), &mut self.wire.link.outbox)
            .map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
        // The error that comes back is the one that was asked for.
        self.synchronize().await.map(|_| ())
    }

    fn check(&self) -> Result<()> {
        if self.over {
            return Err(Error::new(Kind::Failed, "the copy has already failed"));
        }
        if self.torn {
            return Err(Error::new(
                Kind::ConnectionLost,
                "the copy was left in the middle of a message",
            ));
        }
        Ok(())
    }

    async fn send_pending(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let length = length_field(self.pending.len() - HEADER_BYTES);
        self.pending[1..HEADER_BYTES].copy_from_slice(&length);
        self.torn = true;
        self.wire
            .link
            .send(&mut [IoSlice::new(&self.pending)])
            .await?;
        self.torn = false;
        self.pending.clear();
        Ok(())
    }

    /// Stops early when the server has already said no, instead of sending it gigabytes that it
    /// throws away.
    async fn look_for_error(&mut self) -> Result<()> {
        self.wire.link.poll_incoming().await?;
        let Some(frame) = self.wire.link.next_ready()? else {
            return Ok(());
        };
        if frame.tag != backend::ERROR_RESPONSE_TAG {
            return Err(garbled("an unexpected message during a copy"));
        }
        let message = ServerMessage::parse(self.wire.link.payload(&frame))?;
        let fatal = message.is_fatal();
        let error = message.into_error(Content::Rows);
        self.over = true;
        if !fatal {
            self.synchronize().await?;
        }
        Err(error)
    }

    /// Sends the outbox and a Sync, and takes the answers up to `ReadyForQuery`.
    async fn synchronize(&mut self) -> Result<Replies> {
        frontend::sync(&mut self.wire.link.outbox);
        self.wire.link.flush().await?;
        let mut replies = Replies::new(Content::Rows);
        loop {
            let frame = self.wire.link.next().await?;
            replies.take(&self.wire.link, &frame, &mut |_| Ok(()))?;
            if let Some(status) = replies.ready {
                self.wire.status = status;
                self.wire.broken = false;
                return Ok(replies);
            }
        }
    }
}

/// Sends at most [`GROUP_BYTES`] as CopyData messages, from where they lie.
pub(super) async fn send_group(link: &mut Link, group: &[u8]) -> Result<()> {
    let mut headers = [[COPY_DATA, 0, 0, 0, 0]; MESSAGES_AT_ONCE];
    for (header, chunk) in headers.iter_mut().zip(group.chunks(MESSAGE_BYTES)) {
        header[1..].copy_from_slice(&length_field(chunk.len()));
    }
    let mut slices = [IoSlice::new(&[]); 2 * MESSAGES_AT_ONCE];
    let mut count = 0;
    for (header, chunk) in headers.iter().zip(group.chunks(MESSAGE_BYTES)) {
        slices[count] = IoSlice::new(header);
        slices[count + 1] = IoSlice::new(chunk);
        count += 2;
    }
    link.send(&mut slices[..count]).await
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a message's payload is at most MESSAGE_BYTES long"
)]
pub(super) fn length_field(payload: usize) -> [u8; 4] {
    (payload as u32 + 4).to_be_bytes()
}
