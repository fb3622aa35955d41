//! The read buffer and the server's messages in it.

use std::ops::{ControlFlow, Range};

use crate::error::{Error, Kind, Result};

/// What is read at a time, and the buffer's size while messages are small.
pub(super) const READ_BYTES: usize = 256 * 1024;
/// Tag and length.
pub(super) const HEADER_BYTES: usize = 5;
/// The longest message that is believed; PostgreSQL itself stays below 1 GiB, and a row of a COPY can
/// come near it.
const LONGEST: usize = (1 << 31) - 1;

/// Why [`Inbox::walk`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The callback said so.
    Paused,
    /// The rest of a message has not arrived.
    Incomplete,
    /// A complete message of another type is next.
    OtherMessage,
}

/// A complete message in the buffer: its tag and where its payload is. Valid until the next read.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) tag: u8,
    pub(super) payload: Range<usize>,
}

/// Bytes that have come in and are not consumed yet.
///
/// One contiguous buffer: messages are looked at in place, and only the unfinished one at the end is
/// moved to the front before the next read.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) bytes: Vec<u8>,
    /// Where the unconsumed part begins.
    pub(super) start: usize,
}

impl Inbox {
    /// The next message if it is complete, and consumes it.
    ///
    /// # Errors
    /// Of kind `ConnectionLost`, when what is there cannot be a message.
    pub(super) fn next(&mut self) -> Result<Option<Frame>> {
        let Some((header, body)) = self.bytes[self.start..].split_first_chunk::<HEADER_BYTES>()
        else {
            return Ok(None);
        };
        let length = payload_length(header)?;
        if body.len() < length {
            return Ok(None);
        }
        let begin = self.start + HEADER_BYTES;
        self.start = begin + length;
        Ok(Some(Frame {
            tag: header[0],
            payload: begin..begin + length,
        }))
    }

    /// Calls `row` with the payload of each complete message of this type, in place, and consumes it:
    /// the hot loop of a COPY out. The message on which `row` breaks counts as taken. What `row` changes in it
    /// nobody else sees.
    #[inline]
    pub(super) fn walk<F>(&mut self, tag: u8, row: &mut F) -> Result<Stop>
    where
        F: FnMut(&mut [u8]) -> ControlFlow<()>,
    {
        let end = self.bytes.len();
        let mut rest = &mut self.bytes[self.start..];
        let stop = loop {
            let Some((header, tail)) = rest.split_first_chunk::<HEADER_BYTES>() else {
                break Stop::Incomplete;
            };
            let length = payload_length(header)?;
            if tail.len() < length {
                break Stop::Incomplete;
            }
            if header[0] != tag {
                break Stop::OtherMessage;
            }
            let (message, next) = std::mem::take(&mut rest).split_at_mut(HEADER_BYTES + length);
            rest = next;
            if row(&mut message[HEADER_BYTES..]).is_break() {
                break Stop::Paused;
            }
        };
        self.start = end - rest.len();
        Ok(stop)
    }

    /// The payload of a frame that [`Inbox::next`] gave.
    pub(super) fn payload(&self, frame: &Frame) -> &[u8] {
        &self.bytes[frame.payload.clone()]
    }

    /// Length of the payload of the message of this type that has not arrived whole; 0 while that is not
    /// known, or for another type.
    ///
    /// # Errors
    /// As [`Inbox::next`].
    pub(super) fn pending(&self, tag: u8) -> Result<usize> {
        match self.bytes[self.start..].first_chunk::<HEADER_BYTES>() {
            Some(header) if header[0] == tag => payload_length(header),
            _ => Ok(0),
        }
    }

    /// Bytes that are there and not consumed.
    pub(super) fn unread(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Makes room to read: at least a whole buffer's worth, or the rest of a large message.
    pub(super) fn make_room(&mut self) -> Result<()> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        let wanted = match self.bytes.first_chunk::<HEADER_BYTES>() {
            Some(header) => (payload_length(header)? + HEADER_BYTES).max(READ_BYTES),
            None => READ_BYTES,
        };
        if self.bytes.capacity() > wanted.max(4 * READ_BYTES) && self.bytes.len() < wanted {
            // The room that a large message took is not kept for what comes after it.
            self.bytes.shrink_to(wanted);
        }
        if self.bytes.capacity() < wanted {
            self.bytes.reserve_exact(wanted - self.bytes.len());
        } else if self.bytes.len() == self.bytes.capacity() {
            // Whole messages that nobody has taken yet: replies to a batch that is still being sent.
            self.bytes.reserve(READ_BYTES);
        }
        Ok(())
    }

    /// Gives back the room that a large message took.
    pub(super) fn shrink(&mut self) {
        if self.start == self.bytes.len() && self.bytes.capacity() > 4 * READ_BYTES {
            self.bytes = Vec::with_capacity(READ_BYTES);
            self.start = 0;
        }
    }
}

/// The payload's length that a message header gives.
#[inline]
pub(super) fn payload_length(header: &[u8; HEADER_BYTES]) -> Result<usize> {
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
    if (4..=LONGEST).contains(&length) {
        Ok(length - 4)
    } else {
        Err(garbled("a message with an impossible length"))
    }
}

/// The stream cannot be followed any more.
pub(super) fn garbled(what: &str) -> Error {
    Error::new(
        Kind::ConnectionLost,
        format!("lost synchronization with the server: {what}"),
    )
}

/// The bytes up to the next zero, and what follows it.
pub(super) fn split_cstr(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let end =
        memchr::memchr(0, bytes).ok_or_else(|| garbled("a string without an end in a message"))?;
    Ok((&bytes[..end], &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend_from_slice(&u32::try_from(payload.len() + 4).unwrap().to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn messages_arrive_in_any_pieces() {
        let mut stream = Vec::new();
        for n in 0..20_usize {
            stream.extend(message(b'd', &vec![b'x'; n * 37]));
        }
        for piece in [1, 2, 5, 7, 100, 1000, stream.len()] {
            let mut inbox = Inbox::default();
            let mut seen = 0;
            for part in stream.chunks(piece) {
                inbox.make_room().unwrap();
                inbox.bytes.extend_from_slice(part);
                while let Some(frame) = inbox.next().unwrap() {
                    assert_eq!(frame.tag, b'd');
                    assert_eq!(inbox.payload(&frame), vec![b'x'; seen * 37]);
                    seen += 1;
                }
            }
            assert_eq!(seen, 20);
        }
    }

    #[test]
    fn rows_are_walked_in_place() {
        let mut inbox = Inbox::default();
        for row in [&b"one"[..], b"", b"three"] {
            inbox.bytes.extend(message(b'd', row));
        }
        inbox.bytes.extend(message(b'N', b"notice"));
        inbox.bytes.extend(message(b'd', b"four"));
        inbox.bytes.truncate(inbox.bytes.len() - 1);
        let mut seen = Vec::new();
        let mut row = |payload: &mut [u8]| {
            seen.push(payload.to_vec());
            if payload.is_empty() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        assert_eq!(inbox.walk(b'd', &mut row).unwrap(), Stop::Paused);
        assert_eq!(inbox.walk(b'd', &mut row).unwrap(), Stop::OtherMessage);
        assert_eq!(inbox.next().unwrap().unwrap().tag, b'N');
        assert_eq!(inbox.walk(b'd', &mut row).unwrap(), Stop::Incomplete);
        inbox.bytes.push(b'r');
        assert_eq!(inbox.walk(b'd', &mut row).unwrap(), Stop::Incomplete);
        assert_eq!(seen, [&b"one"[..], b"", b"three", b"four"]);
    }

    #[test]
    fn impossible_lengths_are_refused() {
        for length in [0_u32, 3, u32::MAX, 1 << 31] {
            let mut inbox = Inbox::default();
            inbox.bytes.push(b'd');
            inbox.bytes.extend_from_slice(&length.to_be_bytes());
            assert_eq!(inbox.next().unwrap_err().kind(), Kind::ConnectionLost);
        }
    }

    #[test]
    fn room_for_a_large_message_is_made_once_and_given_back() {
        let mut inbox = Inbox::default();
        inbox.make_room().unwrap();
        inbox.bytes.push(b'd');
        inbox
            .bytes
            .extend_from_slice(&(10_000_004_u32).to_be_bytes());
        inbox.make_room().unwrap();
        assert!(inbox.bytes.capacity() >= 10_000_005);
        assert_eq!(inbox.pending(b'd').unwrap(), 10_000_000);
        assert_eq!(inbox.pending(b'N').unwrap(), 0);
        inbox.bytes.resize(10_000_005, b'x');
        assert!(inbox.next().unwrap().is_some());
        inbox.make_room().unwrap();
        assert!(inbox.bytes.capacity() <= READ_BYTES);
        inbox.bytes.reserve_exact(10_000_000);
        inbox.shrink();
        assert!(inbox.bytes.capacity() <= READ_BYTES);
    }
}
