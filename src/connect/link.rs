//! Messages over a stream: the outgoing buffer, the incoming one, and the rule that nobody writes
//! without also reading.
//!
//! A server that is busy sending us notices or an error does not read; if we only wrote, both sides
//! would wait for ever. So every write also takes in what arrives meanwhile.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::thread;

use bytes::BytesMut;
use postgres_protocol::message::backend;
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::connect::frames::{Frame, Inbox, garbled, split_cstr};
use crate::connect::linger::Linger;
use crate::connect::server_message::{Content, ServerMessage};
use crate::connect::stream::Stream;
use crate::error::{Error, Kind, Result};

/// Notices beyond this many are counted, not kept.
const KEPT_NOTICES: usize = 100;

/// A stream with its message buffers.
pub(super) struct Link {
    pub(super) stream: Stream,
    pub(super) inbox: Inbox,
    pub(super) outbox: BytesMut,
    /// What the server reports of itself and of the session's settings.
    pub(super) parameters: BTreeMap<String, String>,
    /// How many statements of the batch under way have been answered.
    pub(super) answered: usize,
    /// Each with the number of statements that had been answered when it came.
    notices: Vec<(usize, String)>,
    dropped_notices: usize,
}

impl Link {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            inbox: Inbox::default(),
            outbox: BytesMut::new(),
            parameters: BTreeMap::new(),
            answered: 0,
            notices: Vec::new(),
            dropped_notices: 0,
        }
    }

    /// Sends what is in the outbox.
    ///
    /// # Errors
    /// Of kind `ConnectionLost`; with the server's last words where it said any.
    pub(super) async fn flush(&mut self) -> Result<()> {
        let outbox = self.outbox.split();
        let sent = self.send(&mut [IoSlice::new(&outbox)]).await;
        // The allocation is kept for the next batch, unless it has become large.
        if outbox.capacity() <= 4 << 20 {
            self.outbox = outbox;
            self.outbox.clear();
        }
        sent
    }

    /// Sends these bytes, in this order, without copying them; takes in what arrives meanwhile.
    pub(super) async fn send(&mut self, mut slices: &mut [IoSlice<'_>]) -> Result<()> {
        let Self { stream, inbox, .. } = self;
        let sent = poll_fn(|cx| poll_send(stream, inbox, &mut slices, cx)).await;
        match sent {
            Ok(()) => Ok(()),
            Err(error) => Err(self.last_words(error).await),
        }
    }

    /// Takes in what has already arrived, without waiting.
    pub(super) async fn poll_incoming(&mut self) -> Result<()> {
        let Self { stream, inbox, .. } = self;
        let read = poll_fn(|cx| match poll_fill(stream, inbox, cx) {
            Poll::Ready(result) => Poll::Ready(result.map(|_| ())),
            Poll::Pending => Poll::Ready(Ok(())),
        })
        .await;
        match read {
            Ok(()) => Ok(()),
            Err(error) => Err(self.last_words(error).await),
        }
    }

    /// Reads more bytes, waiting for them.
    pub(super) async fn fill(&mut self) -> Result<()> {
        let Self { stream, inbox, .. } = self;
        poll_fn(|cx| poll_fill(stream, inbox, cx))
            .await
            .map(|_| ())
            .map_err(lost)
    }

    /// As [`Link::fill`], after holding up the thread for a moment in which more may come.
    pub(super) async fn fill_after(&mut self, linger: &mut Linger) -> Result<()> {
        let before = self.inbox.unread();
        let wait = linger.next();
        if !wait.is_zero() {
            thread::sleep(wait);
        }
        self.fill().await?;
        linger.found(self.inbox.unread() - before);
        Ok(())
    }

    /// The next message that is for the caller; notices, parameters and notifications are dealt
    /// with on the way.
    pub(super) async fn next(&mut self) -> Result<Frame> {
        loop {
            if let Some(frame) = self.next_ready()? {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    /// The same from what has already arrived.
    pub(super) fn next_ready(&mut self) -> Result<Option<Frame>> {
        while let Some(frame) = self.inbox.next()? {
            if !self.absorb(&frame)? {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    pub(super) fn payload(&self, frame: &Frame) -> &[u8] {
        self.inbox.payload(frame)
    }

    /// Deals with a message that can come at any time; `false` for every other.
    fn absorb(&mut self, frame: &Frame) -> Result<bool> {
        match frame.tag {
            backend::NOTICE_RESPONSE_TAG => {
                let notice = ServerMessage::parse(self.inbox.payload(frame))?;
                if self.notices.len() < KEPT_NOTICES {
                    self.notices.push((self.answered, notice.line()));
                } else {
                    self.dropped_notices += 1;
                }
            }
            backend::PARAMETER_STATUS_TAG => {
                let (name, rest) = split_cstr(self.inbox.payload(frame))?;
                let (value, _) = split_cstr(rest)?;
                self.parameters.insert(
                    String::from_utf8_lossy(name).into_owned(),
                    String::from_utf8_lossy(value).into_owned(),
                );
            }
            backend::NOTIFICATION_RESPONSE_TAG => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The notices so far, oldest first; a last line counts those that were not kept.
    pub(super) fn take_notices(&mut self) -> Vec<String> {
        let notices = self.take_placed_notices().into_iter();
        notices.map(|(_, notice)| notice).collect()
    }

    /// The same, each with the position of the statement that it is about, in the batch that was run last.
    pub(super) fn take_placed_notices(&mut self) -> Vec<(usize, String)> {
        let mut notices = std::mem::take(&mut self.notices);
        let dropped = std::mem::take(&mut self.dropped_notices);
        if dropped > 0 {
            notices.push((self.answered, format!("and {dropped} more notices")));
        }
        notices
    }

    /// A write or read failed: if the server said why before it hung up, that is the error.
    async fn last_words(&mut self, error: io::Error) -> Error {
        loop {
            match self.next_ready() {
                Ok(Some(frame)) if frame.tag == backend::ERROR_RESPONSE_TAG => {
                    if let Ok(message) = ServerMessage::parse(self.payload(&frame))
                        && message.is_fatal()
                    {
                        return message.into_error(Content::Rows);
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => {
                    let Self { stream, inbox, .. } = self;
                    // Only what is already here: the other side is gone.
                    let more = poll_fn(|cx| match poll_fill(stream, inbox, cx) {
                        Poll::Ready(result) => Poll::Ready(result.is_ok()),
                        Poll::Pending => Poll::Ready(false),
                    })
                    .await;
                    if !more {
                        return lost(error);
                    }
                }
                Err(_) => return lost(error),
            }
        }
    }
}

/// An error of the stream itself.
pub(super) fn lost(error: io::Error) -> Error {
    let message = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the server closed the connection unexpectedly".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "connection reset".to_owned(),
        io::ErrorKind::InvalidData => return garbled(&error.to_string()).with_source(error),
        _ => error.to_string(),
    };
    Error::new(Kind::ConnectionLost, message).with_source(error)
}

fn poll_fill(
    stream: &mut Stream,
    inbox: &mut Inbox,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    inbox
        .make_room()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    let read = pin!(stream.read_buf(&mut inbox.bytes));
    match ready!(read.poll(cx))? {
        0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
        count => Poll::Ready(Ok(count)),
    }
}

fn poll_send(
    stream: &mut Stream,
    inbox: &mut Inbox,
    slices: &mut &mut [IoSlice<'_>],
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    loop {
        let written = if slices.iter().all(|slice| slice.is_empty()) {
            match Pin::new(&mut *stream).poll_flush(cx) {
                Poll::Ready(result) => return Poll::Ready(result),
                Poll::Pending => Poll::Pending,
            }
        } else {
            Pin::new(&mut *stream).poll_write_vectored(cx, slices)
        };
        match written {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(count)) => IoSlice::advance_slices(slices, count),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            // Until the reader's side is exhausted too, both wakers registered.
            Poll::Pending => {
                ready!(poll_fill(stream, inbox, cx))?;
            }
        }
    }
}
