//! Statements and whole `COPY … FROM STDIN` streams, one behind another in one round trip.
//!
//! A COPY need not be waited for before its rows are sent: a server that refuses it, or any
//! statement before it, throws away everything up to the next Sync, and rows among it. So what a
//! transaction loads goes out as fast as the network takes it, and one answer comes at the end.

use bytes::BufMut;
use postgres_protocol::message::{backend, frontend};

use super::wire::{bind, encode_error, execute};
use crate::connect::copy_in::{COPY_DATA, GROUP_BYTES, SMALL_BYTES, length_field, send_group};
use crate::connect::server_message::Content;
use crate::connect::wire::{BatchError, Replies, Wire, parse};
use crate::error::{Error, Kind, Result};

/// What is gathered before it is sent.
const SEND_BYTES: usize = 256 * 1024;

/// A batch under way. Only [`CopyBatch::finish`] makes it count; dropped before, it leaves the session
/// broken. Without a `BEGIN` among its statements it is one transaction.
pub struct CopyBatch<'a> {
    wire: &'a mut Wire,
    replies: Replies,
    /// How many rows each statement affected, as far as it is answered.
    rows: Vec<u64>,
    /// A COPY was begun and not ended.
    in_copy: bool,
    /// Streams that are sent and that the server has not asked for yet.
    unasked: usize,
    /// Part of a message may be out, or the server has ended the session.
    torn: bool,
}

impl Wire {
    /// Begins a batch.
    ///
    /// # Errors
    /// [`ConnectionLost`](Kind::ConnectionLost) when the session is broken.
    pub fn copy_batch(&mut self) -> Result<CopyBatch<'_>> {
        self.begin()?;
        Ok(CopyBatch {
            wire: self,
            replies: Replies::new(Content::Rows),
            rows: Vec::new(),
            in_copy: false,
            unasked: 0,
            torn: false,
        })
    }
}

impl CopyBatch<'_> {
    /// Adds a statement. One that is a `COPY … FROM STDIN` takes what is [sent](Self::send) next, up
    /// to [`CopyBatch::end_copy`].
    ///
    /// # Errors
    /// [`Failed`](Kind::Failed) for a statement that no message can hold; the session is broken then.
    pub fn statement(&mut self, sql: &str) -> Result<()> {
        let link = &mut self.wire.link;
        parse(link, sql)?;
        bind(link, None)?;
        execute(link)
    }

    /// Adds a statement that takes a stream.
    ///
    /// # Errors
    /// As [`CopyBatch::statement`].
    pub fn begin_copy(&mut self, sql: &str) -> Result<()> {
        self.in_copy = true;
        self.unasked += 1;
        self.statement(sql)
    }

    /// Sends a piece of a stream; pieces need not end where rows do. Whether the server has refused
    /// something meanwhile: what else is sent would be thrown away, and [`CopyBatch::finish`] tells
    /// what it said.
    ///
    /// # Errors
    /// [`ConnectionLost`](Kind::ConnectionLost), or what the server ended the session with.
    pub async fn send(&mut self, data: &[u8]) -> Result<bool> {
        if data.len() < SMALL_BYTES {
            if !data.is_empty() {
                let outbox = &mut self.wire.link.outbox;
                outbox.put_u8(COPY_DATA);
                outbox.put_slice(&length_field(data.len()));
                outbox.put_slice(data);
            }
            if self.wire.link.outbox.len() >= SEND_BYTES {
                self.flush().await?;
            }
            return Ok(self.replies.failed.is_some());
        }
        self.flush().await?;
        for group in data.chunks(GROUP_BYTES) {
            if self.replies.failed.is_some() {
                break;
            }
            self.torn = true;
            send_group(&mut self.wire.link, group).await?;
            self.torn = false;
            self.take_ready().await?;
        }
        Ok(self.replies.failed.is_some())
    }

    /// Ends the stream of a COPY.
    pub fn end_copy(&mut self) {
        self.in_copy = false;
        frontend::copy_done(&mut self.wire.link.outbox);
    }

    /// Waits for the server's verdict: how many rows each statement affected, in order.
    ///
    /// # Errors
    /// The first statement that failed, and why; a transaction is failed then. Of kind
    /// [`Server`](Kind::Server) with the SQLSTATE, table and line but without row content, while the
    /// session is usable; [`ConnectionLost`](Kind::ConnectionLost) otherwise.
    pub async fn finish(mut self) -> Result<Vec<u64>, BatchError> {
        match self.synchronize().await {
            Ok(()) => match self.replies.failed {
                Some(failed) => Err(failed),
                None if self.unasked > 0 => Err(BatchError {
                    index: self.replies.completed.saturating_sub(1),
                    error: Error::new(
                        Kind::Failed,
                        "the statement is not the COPY that was expected",
                    ),
                }),
                None => Ok(self.rows),
            },
            Err(error) => Err(BatchError {
                index: self.replies.completed,
                error,
            }),
        }
    }

    /// Has the server take nothing of the stream that is under way. The session is usable
    /// afterwards; a transaction that was begun is still there.
    ///
    /// # Errors
    /// [`ConnectionLost`](Kind::ConnectionLost).
    pub async fn abort(mut self, reason: &str) -> Result<()> {
        if self.in_copy {
            frontend::copy_fail(&reason.replace('\0', " "), &mut self.wire.link.outbox)
                .map_err(encode_error)?;
        }
        self.synchronize().await
    }

    async fn flush(&mut self) -> Result<()> {
        self.torn = true;
        self.wire.link.flush().await?;
        self.torn = false;
        self.take_ready().await
    }

    /// Takes the answers that are there already.
    async fn take_ready(&mut self) -> Result<()> {
        self.wire.link.poll_incoming().await?;
        while let Some(frame) = self.wire.link.next_ready()? {
            self.take(&frame)?;
        }
        Ok(())
    }

    fn take(&mut self, frame: &super::frames::Frame) -> Result<()> {
        // Its stream is on its way.
        if frame.tag == backend::COPY_IN_RESPONSE_TAG && self.unasked > 0 {
            self.unasked -= 1;
            return Ok(());
        }
        let (completed, rows) = (self.replies.completed, self.replies.rows);
        let taken = self.replies.take(&self.wire.link, frame, &mut |_| Ok(()));
        if taken.is_err() {
            self.torn = true;
        }
        if self.replies.completed > completed {
            self.rows.push(self.replies.rows - rows);
        }
        taken
    }

    /// Sends what is left and a Sync, and takes the answers up to `ReadyForQuery`.
    async fn synchronize(&mut self) -> Result<()> {
        if self.torn {
            return Err(Error::new(
                Kind::ConnectionLost,
                "the copy was left in the middle of a message",
            ));
        }
        frontend::sync(&mut self.wire.link.outbox);
        self.wire.link.flush().await?;
        loop {
            let frame = self.wire.link.next().await?;
            self.take(&frame)?;
            if let Some(status) = self.replies.ready {
                self.wire.status = status;
                self.wire.broken = false;
                return Ok(());
            }
        }
    }
}
