//! From a COPY stream to frames: rows are counted, fingerprinted and cut at frame boundaries.

use std::ops::ControlFlow;

use crate::archive::{ArrayColumns, BINARY_HEADER, BINARY_TRAILER, CopyFormat, Fingerprint};
use crate::connect::{LARGE_ROW, Walk};
use crate::error::{Error, Kind, Result};
use crate::task::Permit;

use super::stream::CopyStream;

/// Raw bytes at which a frame is cut. Several times the compressor's window, so that larger frames
/// would compress no better; small enough that those of many workers fit a small budget.
pub(super) const FRAME_BYTES: usize = 4 << 20;

/// Room above [`FRAME_BYTES`] for the row that crosses the boundary, unless that brings memory of its own.
pub(super) const FRAME_SLACK: usize = LARGE_ROW;

/// What becomes of the rows of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowUse {
    /// They are put into frames.
    Framed,
    /// They are counted and fingerprinted where they lie.
    Counted,
}

/// How much a frame has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Filled {
    pub rows: u64,
    /// Of a complete COPY stream of them.
    pub bytes: usize,
}

/// One chunk's COPY stream on its way into frames.
///
/// The server sends exactly one row per CopyData message (PostgreSQL documentation, "Message
/// Formats": CopyData), with a binary header in front of the first one.
pub(super) struct RowStream<'a> {
    copy: CopyStream<'a>,
    format: CopyFormat,
    arrays: ArrayColumns,
    row_use: RowUse,
    header_seen: bool,
    fingerprint: Fingerprint,
    done: bool,
}

impl<'a> RowStream<'a> {
    /// `types` are what the columns are sent as, where the format is binary and there may be arrays.
    pub fn new(
        copy: impl Into<CopyStream<'a>>,
        format: CopyFormat,
        types: &[String],
        row_use: RowUse,
    ) -> Self {
        Self {
            copy: copy.into(),
            format,
            arrays: ArrayColumns::of(types),
            row_use,
            header_seen: format == CopyFormat::Text,
            fingerprint: Fingerprint::new(),
            done: false,
        }
    }

    /// Fills `frame` (to be overwritten) with a complete COPY stream of the next rows, unless they are only
    /// counted. No rows means that the stream is at its end and `frame` holds nothing.
    pub async fn fill(&mut self, frame: &mut Vec<u8>) -> Result<Filled> {
        frame.clear();
        let (header, trailer) = match self.format {
            CopyFormat::Text => (&[][..], &[][..]),
            CopyFormat::Binary => (&BINARY_HEADER[..], &BINARY_TRAILER[..]),
        };
        let is_framed = self.row_use == RowUse::Framed;
        if is_framed {
            frame.extend_from_slice(header);
        }
        let mut bytes = header.len();
        let rows = self
            .walk(|row| {
                if is_framed {
                    append(frame, row);
                }
                bytes += row.len();
                full(bytes)
            })
            .await?;
        if rows == 0 {
            frame.clear();
            return Ok(Filled { rows, bytes: 0 });
        }
        if is_framed {
            frame.extend_from_slice(trailer);
        }
        bytes += trailer.len();
        Ok(Filled { rows, bytes })
    }

    /// Passes over the rows that were framed before the connection was lost: the same statement
    /// under the same snapshot gives the same rows in the same order. False when these are other rows: what was
    /// framed and what would be does not make one table.
    pub async fn skip(&mut self, framed: &Fingerprint) -> Result<bool> {
        let mut left = framed.rows();
        while left > 0 {
            let end = |_: &[u8]| {
                left -= 1;
                if left == 0 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            if self.walk(end).await? == 0 {
                break;
            }
        }
        Ok(self.fingerprint == *framed)
    }

    /// Fingerprints rows, equal ones of which have equal bytes, and hands them to `take`, until that says that it has enough; how many there were.
    async fn walk(&mut self, mut take: impl FnMut(&[u8]) -> ControlFlow<()> + Send) -> Result<u64> {
        // Nobody wanted to keep it.
        drop(self.take_large());
        if self.done {
            return Ok(0);
        }
        let mut rows = 0_u64;
        let mut malformed = false;
        let Self {
            copy,
            format,
            arrays,
            header_seen,
            fingerprint,
            ..
        } = self;
        let walk = match format {
            CopyFormat::Text => {
                copy.rows(|payload| {
                    let Some((b'\n', line)) = payload.split_last() else {
                        malformed = true;
                        return ControlFlow::Break(());
                    };
                    fingerprint.add_row(line);
                    rows += 1;
                    take(payload)
                })
                .await?
            }
            CopyFormat::Binary => {
                copy.rows(|payload| {
                    let mut tuple = payload;
                    if !*header_seen {
                        *header_seen = true;
                        if !tuple.starts_with(BINARY_HEADER) {
                            malformed = true;
                            return ControlFlow::Break(());
                        }
                        tuple = &mut tuple[BINARY_HEADER.len()..];
                    }
                    if tuple.is_empty() || tuple == BINARY_TRAILER {
                        return ControlFlow::Continue(());
                    }
                    let tuple = arrays.settle(tuple);
                    fingerprint.add_row(tuple);
                    rows += 1;
                    take(tuple)
                })
                .await?
            }
        };
        if malformed {
            return Err(Error::new(
                Kind::Failed,
                "the server sent COPY data that is not one row per message",
            ));
        }
        if let Walk::Done { rows: counted } = walk {
            self.done = true;
            let walked = self.fingerprint.rows();
            if self.copy.is_counted() && counted != walked {
                return Err(Error::new(
                    Kind::Failed,
                    format!("the server counted {counted} rows and sent {walked}"),
                ));
            }
        }
        Ok(rows)
    }

    /// The memory that large rows of the last frame have taken, to be kept with it.
    pub fn take_large(&mut self) -> Option<Permit> {
        self.copy.take_large()
    }

    /// Whether all rows have come.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The fingerprint of the rows so far.
    pub fn so_far(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The fingerprint of all rows; only once the stream has ended.
    pub fn finish(self) -> Result<Fingerprint> {
        if self.done {
            Ok(self.fingerprint)
        } else {
            Err(Error::new(Kind::Failed, "COPY stream left before its end"))
        }
    }
}

/// Appends a row. For a large one there is room made for that and the end of the stream, and no more: a buffer
/// that doubled would take memory that nobody has counted.
#[inline]
fn append(frame: &mut Vec<u8>, row: &[u8]) {
    if row.len() > FRAME_SLACK {
        frame.reserve_exact(row.len() + BINARY_TRAILER.len());
    }
    frame.extend_from_slice(row);
}

fn full(bytes: usize) -> ControlFlow<()> {
    if bytes >= FRAME_BYTES {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}
