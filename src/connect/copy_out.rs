//! `COPY … TO STDOUT`: rows looked at where they lie in the read buffer.

use std::ops::ControlFlow;

use postgres_protocol::message::{backend, frontend};

use crate::connect::frames::{HEADER_BYTES, Stop};
use crate::connect::linger::Linger;
use crate::connect::server_message::Content;
use crate::connect::wire::{self, Replies, Wire};
use crate::error::{Error, Kind, Result};
use crate::task::Permit;

/// A row of more bytes than this takes its memory from the budget of [`Wire::bound_large_rows`].
pub const LARGE_ROW: usize = 1 << 20;

/// How far [`CopyOut::rows`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// The callback asked to stop, or [`CopyOut::take_large`] must be called before the next row can
    /// come, which is only after a row; call again to go on with the next message.
    Paused,
    /// The stream has ended in good order.
    Done {
        /// The server's own count.
        rows: u64,
    },
}

/// A COPY out under way. Dropped before [`Walk::Done`], it leaves the session broken: the server has
/// more to say; [`CopyOut::cancel`] leaves a usable one.
pub struct CopyOut<'a> {
    wire: &'a mut Wire,
    /// The answers so far; `None` once the stream has ended or failed.
    replies: Option<Replies>,
    outcome: Walk,
    /// Others follow that were asked for together with this one.
    in_batch: bool,
    /// The largest row that may come without more memory.
    limit: usize,
    /// What a large one has taken.
    large: Option<Permit>,
    linger: Linger,
}

/// Several COPY out that were asked for together, under way one after the other. Dropped before
/// [`CopyOuts::next`] gave `None`, it leaves the session broken.
pub struct CopyOuts<'a> {
    wire: &'a mut Wire,
    /// Statements that have not been begun.
    left: usize,
}

impl CopyOuts<'_> {
    /// The next one, in the order of the statements; the one before must have been
    /// [done](Walk::Done). `None` at the end, and the session is usable again.
    ///
    /// # Errors
    /// As [`Wire::copy_out`]. When one is refused, those after it are not run; after an error of kind
    /// [`Server`](Kind::Server) the session is usable again.
    pub async fn next(&mut self) -> Result<Option<CopyOut<'_>>> {
        let mut replies = Replies::new(Content::Statement);
        if !self.wire.broken {
            return Err(Error::new(Kind::Failed, "the copy before has failed"));
        }
        loop {
            let frame = self.wire.link.next().await?;
            if replies.completed > 0 {
                // Its rows would be lost unseen.
                let left = "the copy before was left before its end";
                return Err(Error::new(Kind::Failed, left));
            }
            if frame.tag == backend::COPY_OUT_RESPONSE_TAG && self.left > 0 {
                self.left -= 1;
                return Ok(Some(CopyOut {
                    in_batch: true,
                    ..CopyOut::new(self.wire)
                }));
            }
            replies.take(&self.wire.link, &frame, &mut |_| Ok(()))?;
            let Some(status) = replies.ready else {
                continue;
            };
            self.wire.status = status;
            self.wire.broken = false;
            return match replies.failed {
                Some(failed) => Err(failed.error),
                None if self.left > 0 => Err(Error::new(
                    Kind::Failed,
                    "one of the statements is not the COPY that was expected",
                )),
                None => Ok(None),
            };
        }
    }
}

impl Wire {
    /// Starts several `COPY … TO STDOUT`, sent all at once, so that they cost one round trip.
    /// Without an open transaction they are one.
    ///
    /// # Errors
    /// [`ConnectionLost`](Kind::ConnectionLost); what the server says to them comes with each.
    pub async fn copy_outs<'a>(&'a mut self, statements: &[String]) -> Result<CopyOuts<'a>> {
        self.begin()?;
        for sql in statements {
            let encoded = wire::encode_statement(&mut self.link, sql);
            self.encoded(encoded)?;
        }
        frontend::sync(&mut self.link.outbox);
        self.link.flush().await?;
        Ok(CopyOuts {
            wire: self,
            left: statements.len(),
        })
    }
}

impl<'a> CopyOut<'a> {
    pub(super) fn new(wire: &'a mut Wire) -> Self {
        Self {
            wire,
            replies: Some(Replies::new(Content::Rows)),
            outcome: Walk::Paused,
            in_batch: false,
            limit: LARGE_ROW,
            large: None,
            linger: Linger::default(),
        }
    }

    /// The memory that large rows have taken from the budget of [`Wire::bound_large_rows`], to be
    /// kept as long as the rows are. While it is not taken away, a still larger row pauses
    /// [`CopyOut::rows`].
    pub fn take_large(&mut self) -> Option<Permit> {
        self.limit = LARGE_ROW;
        let large = self.large.take();
        if large.is_some() {
            // From here on the room that it came in is nobody's.
            self.wire.link.inbox.shrink();
        }
        large
    }

    /// Takes memory for the row that is coming if it is a large one; `false` when what was taken
    /// before must be taken away first: nobody waits for some while having some.
    async fn admit(&mut self) -> Result<bool> {
        let Some(budget) = &self.wire.large_rows else {
            return Ok(true);
        };
        let bytes = self.wire.link.inbox.pending(backend::COPY_DATA_TAG)?;
        if bytes <= self.limit {
            return Ok(true);
        }
        if self.large.is_some() {
            return Ok(false);
        }
        // Once as it comes in and once where it is put; then there, and compressed.
        self.large = Some(budget.acquire(2 * bytes as u64).await?);
        self.limit = bytes;
        Ok(true)
    }

    /// Calls `row` with the payload of each message as it lies in the read buffer, until it says
    /// `Break` or the stream ends. The message on which it says `Break` counts as taken. It may change the
    /// payload: nobody looks at it again.
    ///
    /// The server sends one row per message. In binary format the stream's header is in front of the
    /// first row, and its trailer is a message of its own; without rows both are in one message.
    ///
    /// Dropping the call while it waits loses nothing; the next one goes on where it was.
    ///
    /// # Errors
    /// Of kind [`Server`](Kind::Server) when the COPY fails (also when it was cancelled); the session
    /// is usable again then. [`ConnectionLost`](Kind::ConnectionLost) otherwise.
    pub async fn rows<F>(&mut self, mut row: F) -> Result<Walk>
    where
        F: FnMut(&mut [u8]) -> ControlFlow<()> + Send,
    {
        loop {
            if self.replies.is_none() {
                return match self.outcome {
                    Walk::Done { .. } => Ok(self.outcome),
                    Walk::Paused => Err(Error::new(Kind::Failed, "the copy has already failed")),
                };
            }
            let inbox = &mut self.wire.link.inbox;
            match inbox.walk(backend::COPY_DATA_TAG, &mut row)? {
                Stop::Paused => return Ok(Walk::Paused),
                Stop::Incomplete => {
                    if !self.admit().await? {
                        return Ok(Walk::Paused);
                    }
                    if self.wire.lingers {
                        self.wire.link.fill_after(&mut self.linger).await?;
                    } else {
                        self.wire.link.fill().await?;
                    }
                }
                Stop::OtherMessage => self.take_other()?,
            }
        }
    }

    /// Asks the server to stop, drops the rest of the stream, and leaves a usable session.
    ///
    /// # Errors
    /// Of kind [`Connect`](Kind::Connect) when the request could not be delivered, or
    /// [`ConnectionLost`](Kind::ConnectionLost); the session is broken then.
    pub async fn cancel(mut self) -> Result<()> {
        if self.replies.is_none() {
            return Ok(());
        }
        self.wire.canceller().cancel().await?;
        loop {
            drop(self.take_large());
            match self.rows(|_| ControlFlow::Continue(())).await {
                Ok(Walk::Paused) => {}
                // It may have ended before the request came.
                Ok(Walk::Done { .. }) => return Ok(()),
                Err(error) if error.kind() == Kind::Server => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Deals with a complete message that is no row.
    fn take_other(&mut self) -> Result<()> {
        let Some(mut replies) = self.replies.take() else {
            return Ok(());
        };
        let link = &mut self.wire.link;
        if let Some(frame) = link.next_ready()? {
            // A row can follow the notice that brought us here.
            if frame.tag == backend::COPY_DATA_TAG {
                link.inbox.start = frame.payload.start - HEADER_BYTES;
                self.replies = Some(replies);
                return Ok(());
            }
            replies.take(link, &frame, &mut |_| Ok(()))?;
        }
        if self.in_batch && replies.completed > 0 {
            self.outcome = Walk::Done { rows: replies.rows };
            return Ok(());
        }
        let Some(status) = replies.ready else {
            self.replies = Some(replies);
            return Ok(());
        };
        link.inbox.shrink();
        self.wire.status = status;
        self.wire.broken = false;
        match replies.failed {
            Some(failed) => Err(failed.error),
            None => {
                self.outcome = Walk::Done { rows: replies.rows };
                Ok(())
            }
        }
    }
}
