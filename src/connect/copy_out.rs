//! `COPY … TO STDOUT`: rows looked at where they lie in the read buffer.

use std::ops::ControlFlow;

use postgres_protocol::message::backend;

use crate::connect::frames::{HEADER_BYTES, Stop};
use crate::connect::server_message::Content;
use crate::connect::wire::{Replies, Wire};
use crate::error::{Error, Kind, Result};

/// How far [`CopyOut::rows`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// The callback asked to stop; call again to go on with the next message.
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
}

impl<'a> CopyOut<'a> {
    pub(super) fn new(wire: &'a mut Wire) -> Self {
        Self {
            wire,
            replies: Some(Replies::new(Content::Rows)),
            outcome: Walk::Paused,
        }
    }

    /// Calls `row` with the payload of each message as it lies in the read buffer, until it says
    /// `Break` or the stream ends. The message on which it says `Break` counts as taken.
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
        F: FnMut(&[u8]) -> ControlFlow<()> + Send,
    {
        loop {
            if self.replies.is_none() {
                return match self.outcome {
                    Walk::Done { .. } => Ok(self.outcome),
                    Walk::Paused => Err(Error::new(Kind::Failed, "the copy has already failed")),
                };
            }
            let link = &mut self.wire.link;
            match link.inbox.walk(backend::COPY_DATA_TAG, &mut row)? {
                Stop::Paused => return Ok(Walk::Paused),
                Stop::Incomplete => link.fill().await?,
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
        match self.rows(|_| ControlFlow::Continue(())).await {
            // It may have ended before the request came.
            Ok(_) => Ok(()),
            Err(error) if error.kind() == Kind::Server => Ok(()),
            Err(error) => Err(error),
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
