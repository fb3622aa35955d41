//! The data plane: a session spoken to message by message.
//!
//! Every statement travels as its own Parse, which takes exactly one statement: text that smuggles a
//! second one is a syntax error. Statements of a batch are sent without waiting for each other's
//! answers and end with one Sync.

use std::fmt;

use bytes::{BufMut, Bytes};
use postgres_protocol::IsNull;
use postgres_protocol::message::{backend, frontend};

use crate::connect::cancel::Canceller;
use crate::connect::copy_in::CopyIn;
use crate::connect::copy_out::CopyOut;
use crate::connect::frames::{Frame, garbled, split_cstr};
use crate::connect::link::Link;
use crate::connect::server_message::{Content, ServerMessage};
use crate::connect::startup::Ready;
use crate::error::{Error, Kind, Result};
use crate::sql::{ServerVersion, bytes_of, into_text, is_plain};
use crate::task::ByteBudget;

/// A batch is sent on whenever this much of it has been encoded.
const SEND_BYTES: usize = 1 << 20;

/// The encoding of a database that takes any bytes for text, and says so of no client's.
pub(crate) const ANY_BYTES: &str = "SQL_ASCII";

/// One parameter in binary format; `None` is NULL.
pub type Param = Option<Bytes>;

/// A batch failed at one of its statements.
#[derive(Debug)]
pub struct BatchError {
    /// Position of the failed statement in the batch. When the connection was lost: of the first
    /// statement whose outcome is not known.
    pub index: usize,
    /// What went wrong.
    pub error: Error,
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement {}: {}", self.index + 1, self.error)
    }
}

impl std::error::Error for BatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl From<BatchError> for Error {
    fn from(batch: BatchError) -> Self {
        let context = format!("statement {}", batch.index + 1);
        batch.error.context(context)
    }
}

/// What came of one run of [`Wire::execute_params_apart`].
#[derive(Debug)]
pub struct Apart {
    /// How many rows it affected, or why the server refused it.
    pub outcome: Result<u64>,
    /// What the server remarked meanwhile.
    pub notices: Vec<String>,
}

/// Whether a session is inside a transaction block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// Not in one.
    Idle,
    /// In one.
    Open,
    /// In one that has failed and waits for a rollback.
    Failed,
}

/// A session for COPY and pipelined statements.
///
/// Used by one task at a time. When a call is dropped before it ends, or a COPY before its stream
/// does, the session is [broken](Wire::is_broken) and can only be closed.
pub struct Wire {
    pub(super) link: Link,
    /// Set while something is under way, so that whatever ends early leaves it set.
    pub(super) broken: bool,
    pub(super) status: TransactionStatus,
    version: ServerVersion,
    canceller: Canceller,
    place: String,
    /// What large rows of a COPY out take their memory from.
    pub(super) large_rows: Option<ByteBudget>,
    /// Whoever reads rows of a COPY has a thread to himself.
    pub(super) lingers: bool,
}

impl Wire {
    pub(super) fn new(ready: Ready) -> Self {
        Self {
            link: ready.link,
            broken: false,
            status: TransactionStatus::Idle,
            version: ready.version,
            canceller: ready.canceller,
            place: ready.place,
            large_rows: None,
            lingers: false,
        }
    }

    /// Has a COPY out hold up its thread for up to a millisecond now and then, so that more rows come at
    /// a time and the server is spared waking it for every few. Only for a thread that does nothing else.
    pub fn linger_over_rows(&mut self) {
        self.lingers = true;
    }

    /// Has rows of more than [`LARGE_ROW`](crate::connect::LARGE_ROW) bytes that come by COPY wait for
    /// memory from this budget: twice their length, see [`CopyOut::take_large`].
    pub fn bound_large_rows(&mut self, budget: ByteBudget) {
        self.large_rows = Some(budget);
    }

    /// The server's version.
    pub fn server_version(&self) -> ServerVersion {
        self.version
    }

    /// A parameter as the server last reported it, such as `server_encoding`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.link.parameters.get(name).map(String::as_str)
    }

    /// What `client_encoding` must be for statements and rows of this encoding: a database in SQL_ASCII
    /// has bytes of any, and would refuse to send those that are not of the client's.
    pub(crate) fn encoding_for<'a>(&self, wanted: &'a str) -> &'a str {
        match self.has_any_bytes() {
            true => ANY_BYTES,
            false => wanted,
        }
    }

    /// Whether the database takes any bytes for text.
    pub(crate) fn has_any_bytes(&self) -> bool {
        self.parameter("server_encoding") == Some(ANY_BYTES)
    }

    /// `user@host:port/database` of the host that answered.
    pub fn describe(&self) -> &str {
        &self.place
    }

    /// Whether the session is inside a transaction block, as of the last finished call.
    pub fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    /// Cancels what this session runs; works from another task.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// The server's notices since the last call, oldest first, a hundred at most.
    pub fn take_notices(&mut self) -> Vec<String> {
        self.link.take_notices()
    }

    /// The same, each with the position of its statement in the batch of the last
    /// [`execute_all`](Wire::execute_all).
    pub fn take_placed_notices(&mut self) -> Vec<(usize, String)> {
        self.link.take_placed_notices()
    }

    /// Whether the session cannot be used any more: lost, or left in the middle of something.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Runs one statement; how many rows it affected. Rows that it returns are dropped.
    ///
    /// # Errors
    /// Of kind [`Server`](Kind::Server) with the SQLSTATE when the server refuses the statement (the
    /// session stays usable), or [`ConnectionLost`](Kind::ConnectionLost).
    pub async fn execute(&mut self, sql: &str) -> Result<u64> {
        self.run(&[sql], |_| Ok(()))
            .await
            .map_err(|batch| batch.error)
    }

    /// Runs statements in order in one round trip. Without a `BEGIN` among them they are one
    /// transaction: all or nothing.
    ///
    /// # Errors
    /// As [`Wire::execute`], with the position of the statement that failed; those after it were not
    /// run.
    pub async fn execute_all(&mut self, statements: &[&str]) -> Result<(), BatchError> {
        self.run(statements, |_| Ok(())).await.map(|_| ())
    }

    /// Runs one query; its rows with every value as text, as [`into_text`] makes it of its bytes.
    ///
    /// # Errors
    /// As [`Wire::execute`].
    pub async fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let mut rows = Vec::new();
        self.run(&[sql], |payload| {
            rows.push(text_row(payload)?);
            Ok(())
        })
        .await
        .map_err(|batch| batch.error)?;
        Ok(rows)
    }

    /// Runs one statement once for each set of parameters (binary format, types as the server
    /// infers them), all in flight together with bounded memory; one transaction unless one is
    /// open. How many rows were affected in all; rows that it returns are dropped.
    ///
    /// # Errors
    /// As [`Wire::execute`].
    pub async fn execute_params(
        &mut self,
        sql: &str,
        rows: impl Iterator<Item = Vec<Param>> + Send,
    ) -> Result<u64> {
        self.begin()?;
        let mut replies = Replies::new(Content::Rows);
        let encoded = parse(&mut self.link, sql);
        self.encoded(encoded)?;
        for row in rows {
            let encoded = bind(&mut self.link, Some(&row))
                .and_then(|()| execute(&mut self.link))
                .map_err(|error| error.context("parameters"));
            if let Err(error) = encoded {
                // What was sent before is abandoned: the session ends here, the transaction with it.
                self.link.outbox.clear();
                return Err(error);
            }
            if self.link.outbox.len() >= SEND_BYTES {
                self.link.flush().await?;
                self.link.poll_incoming().await?;
                while let Some(frame) = self.link.next_ready()? {
                    replies.take(&self.link, &frame, &mut |_| Ok(()))?;
                }
                if replies.failed.is_some() {
                    break;
                }
            }
        }
        self.finish_batch(replies, &mut |_| Ok(()))
            .await
            .map_err(|batch| batch.error)
    }

    /// As [`Wire::execute_params`], each set of parameters in a transaction of its own: one that
    /// fails does not keep the others from being done. What came of each, in order.
    ///
    /// # Errors
    /// When the statement itself is refused or a transaction is open, as [`Wire::execute`]; or
    /// when the session is lost: what became of the runs is then not known.
    pub async fn execute_params_apart(
        &mut self,
        sql: &str,
        rows: impl Iterator<Item = Vec<Param>> + Send,
    ) -> Result<Vec<Apart>> {
        self.begin()?;
        if self.status != TransactionStatus::Idle {
            self.broken = false;
            return Err(Error::new(
                Kind::Failed,
                "transactions of their own within an open one",
            ));
        }
        let encoded = parse(&mut self.link, sql);
        self.encoded(encoded)?;
        self.finish_batch(Replies::new(Content::Rows), &mut |_| Ok(()))
            .await
            .map_err(|batch| batch.error)?;

        self.begin()?;
        let mut done = Vec::new();
        let mut replies = Replies::new(Content::Rows);
        let mut sent = 0;
        for row in rows {
            bind(&mut self.link, Some(&row))
                .and_then(|()| execute(&mut self.link))
                .map_err(|error| {
                    // What was sent before is abandoned: the session ends here.
                    self.link.outbox.clear();
                    error.context("parameters")
                })?;
            frontend::sync(&mut self.link.outbox);
            sent += 1;
            if self.link.outbox.len() >= SEND_BYTES {
                self.link.flush().await?;
                self.link.poll_incoming().await?;
                while let Some(frame) = self.link.next_ready()? {
                    self.take_apart(&frame, &mut replies, &mut done)?;
                }
            }
        }
        self.link.flush().await?;
        while done.len() < sent {
            let frame = self.link.next().await?;
            self.take_apart(&frame, &mut replies, &mut done)?;
        }
        self.broken = false;
        Ok(done)
    }

    /// Takes one message of a run that ends with its own Sync.
    fn take_apart(
        &mut self,
        frame: &Frame,
        replies: &mut Replies,
        done: &mut Vec<Apart>,
    ) -> Result<()> {
        replies.take(&self.link, frame, &mut |_| Ok(()))?;
        if let Some(status) = replies.ready {
            self.status = status;
            let ended = std::mem::replace(replies, Replies::new(Content::Rows));
            done.push(Apart {
                outcome: match ended.failed {
                    Some(failed) => Err(failed.error),
                    None => Ok(ended.rows),
                },
                notices: self.link.take_notices(),
            });
        }
        Ok(())
    }

    /// Starts `COPY … TO STDOUT`.
    ///
    /// # Errors
    /// As [`Wire::execute`]; [`Failed`](Kind::Failed) for a statement that is no COPY out.
    pub async fn copy_out<'a>(&'a mut self, sql: &str) -> Result<CopyOut<'a>> {
        self.start_copy(sql, backend::COPY_OUT_RESPONSE_TAG).await?;
        Ok(CopyOut::new(self))
    }

    /// Starts `COPY … FROM STDIN`.
    ///
    /// # Errors
    /// As [`Wire::execute`]; [`Failed`](Kind::Failed) for a statement that is no COPY in.
    pub async fn copy_in<'a>(&'a mut self, sql: &str) -> Result<CopyIn<'a>> {
        self.start_copy(sql, backend::COPY_IN_RESPONSE_TAG).await?;
        Ok(CopyIn::new(self))
    }

    /// Ends the session politely, if it is in a state to do so.
    pub async fn close(mut self) {
        if !self.broken {
            frontend::terminate(&mut self.link.outbox);
            // It is left either way.
            let _ = self.link.flush().await;
        }
    }

    /// Refuses to go on with a broken session; marks this one as busy.
    pub(super) fn begin(&mut self) -> Result<()> {
        if self.broken {
            return Err(Error::new(
                Kind::ConnectionLost,
                "the session was lost or left in the middle of a call",
            ));
        }
        self.broken = true;
        self.link.answered = 0;
        Ok(())
    }

    /// Takes back what was encoded if some of it could not be; only before anything is sent.
    pub(super) fn encoded(&mut self, encoded: Result<()>) -> Result<()> {
        if encoded.is_err() {
            self.link.outbox.clear();
            self.broken = false;
        }
        encoded
    }

    async fn run(
        &mut self,
        statements: &[&str],
        mut on_row: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<u64, BatchError> {
        let at = |index| move |error| BatchError { index, error };
        self.begin().map_err(at(0))?;
        // Found before anything is sent, so that such a batch does not harm the session.
        if let Some(index) = statements.iter().position(|sql| has_zero_byte(sql)) {
            self.broken = false;
            return Err(at(index)(zero_byte()));
        }
        for (index, sql) in statements.iter().enumerate() {
            encode_statement(&mut self.link, sql).map_err(at(index))?;
            if self.link.outbox.len() >= SEND_BYTES {
                self.link.flush().await.map_err(at(0))?;
            }
        }
        self.finish_batch(Replies::new(Content::Statement), &mut on_row)
            .await
    }

    /// Sends the Sync and takes the answers up to `ReadyForQuery`.
    async fn finish_batch(
        &mut self,
        mut replies: Replies,
        on_row: &mut impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<u64, BatchError> {
        frontend::sync(&mut self.link.outbox);
        if let Err(error) = self.link.flush().await {
            return Err(replies.fail(error));
        }
        loop {
            let frame = match self.link.next().await {
                Ok(frame) => frame,
                Err(error) => return Err(replies.fail(error)),
            };
            if let Err(error) = replies.take(&self.link, &frame, on_row) {
                return Err(replies.fail(error));
            }
            self.link.answered = replies.completed;
            if let Some(status) = replies.ready {
                self.status = status;
                self.broken = false;
                return match replies.failed {
                    Some(failed) => Err(failed),
                    None => Ok(replies.rows),
                };
            }
        }
    }

    async fn start_copy(&mut self, sql: &str, wanted: u8) -> Result<()> {
        self.begin()?;
        let encoded = encode_statement(&mut self.link, sql);
        self.encoded(encoded)?;
        // A COPY in gets its one Sync at its end. Were there one here too, a statement that fails after
        // the server has asked for the stream but before it has read any of it would use up this one,
        // and the later one would be answered by itself.
        let mut synced = wanted == backend::COPY_OUT_RESPONSE_TAG;
        if synced {
            frontend::sync(&mut self.link.outbox);
        } else {
            frontend::flush(&mut self.link.outbox);
        }
        self.link.flush().await?;
        let mut replies = Replies::new(Content::Statement);
        loop {
            let frame = self.link.next().await?;
            if frame.tag == wanted {
                return Ok(());
            }
            replies.take(&self.link, &frame, &mut |_| Ok(()))?;
            if !synced && (replies.failed.is_some() || replies.completed > 0) {
                synced = true;
                frontend::sync(&mut self.link.outbox);
                self.link.flush().await?;
            }
            if let Some(status) = replies.ready {
                self.status = status;
                self.broken = false;
                return Err(match replies.failed {
                    Some(failed) => failed.error,
                    None => Error::new(
                        Kind::Failed,
                        "the statement is not the COPY that was expected",
                    ),
                });
            }
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("place", &self.place)
            .field("version", &self.version)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

/// Whether a statement can be no text of PostgreSQL; what only stands for bytes is fine.
fn has_zero_byte(sql: &str) -> bool {
    !is_plain(sql) && bytes_of(sql).contains(&0)
}

fn zero_byte() -> Error {
    Error::new(Kind::Failed, "the statement holds a zero byte")
}

/// A statement for the server to read, with the bytes that it stands for.
pub(super) fn parse(link: &mut Link, sql: &str) -> Result<()> {
    if is_plain(sql) {
        return frontend::parse("", sql, [], &mut link.outbox).map_err(encode_error);
    }
    let sql = bytes_of(sql);
    if sql.contains(&0) {
        return Err(zero_byte());
    }
    // Its length, that of the statement with the zero byte behind it, no name and no types.
    let length = i32::try_from(sql.len() + 8)
        .map_err(|_| Error::new(Kind::Failed, "encode statement: it is too long"))?;
    let outbox = &mut link.outbox;
    outbox.put_u8(b'P');
    outbox.put_i32(length);
    outbox.put_u8(0);
    outbox.put_slice(&sql);
    outbox.put_u8(0);
    outbox.put_i16(0);
    Ok(())
}

/// A statement without parameters, on its way out with what else is in the outbox.
pub(super) fn encode_statement(link: &mut Link, sql: &str) -> Result<()> {
    parse(link, sql)?;
    bind(link, None)?;
    execute(link)
}

pub(super) fn encode_error(error: std::io::Error) -> Error {
    Error::new(Kind::Failed, format!("encode statement: {error}")).with_source(error)
}

pub(super) fn bind(link: &mut Link, parameters: Option<&[Param]>) -> Result<()> {
    let formats: &[i16] = match parameters {
        Some(_) => &[1],
        None => &[],
    };
    frontend::bind(
        "",
        "",
        formats.iter().copied(),
        parameters.unwrap_or_default(),
        |parameter: &Param, buffer| {
            Ok(match parameter {
                Some(bytes) => {
                    buffer.extend_from_slice(bytes);
                    IsNull::No
                }
                None => IsNull::Yes,
            })
        },
        [],
        &mut link.outbox,
    )
    .map_err(|error| match error {
        frontend::BindError::Conversion(error) => {
            Error::new(Kind::Failed, format!("encode parameter: {error}"))
        }
        frontend::BindError::Serialization(error) => encode_error(error),
    })
}

pub(super) fn execute(link: &mut Link) -> Result<()> {
    frontend::execute("", 0, &mut link.outbox).map_err(encode_error)
}

/// What has been answered of a batch so far.
pub(super) struct Replies {
    content: Content,
    pub(super) completed: usize,
    pub(super) rows: u64,
    pub(super) failed: Option<BatchError>,
    pub(super) ready: Option<TransactionStatus>,
}

impl Replies {
    pub(super) fn new(content: Content) -> Self {
        Self {
            content,
            completed: 0,
            rows: 0,
            failed: None,
            ready: None,
        }
    }

    fn fail(self, error: Error) -> BatchError {
        self.failed.unwrap_or(BatchError {
            index: self.completed,
            error,
        })
    }

    /// Takes one message into account.
    ///
    /// # Errors
    /// When the session cannot go on: the server ended it, or the message does not belong here.
    pub(super) fn take(
        &mut self,
        link: &Link,
        frame: &Frame,
        on_row: &mut impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let payload = link.payload(frame);
        match frame.tag {
            backend::PARSE_COMPLETE_TAG
            | backend::BIND_COMPLETE_TAG
            | backend::CLOSE_COMPLETE_TAG
            | backend::NO_DATA_TAG
            | backend::ROW_DESCRIPTION_TAG
            | backend::PARAMETER_DESCRIPTION_TAG
            | backend::COPY_DATA_TAG
            | backend::COPY_DONE_TAG => {}
            backend::DATA_ROW_TAG => {
                // A row that cannot be taken fails the statement, not the session.
                if self.failed.is_none()
                    && let Err(error) = on_row(payload)
                {
                    self.failed = Some(BatchError {
                        index: self.completed,
                        error,
                    });
                }
            }
            backend::COMMAND_COMPLETE_TAG => {
                self.rows += affected_rows(payload)?;
                self.completed += 1;
            }
            backend::EMPTY_QUERY_RESPONSE_TAG => self.completed += 1,
            backend::ERROR_RESPONSE_TAG => {
                let message = ServerMessage::parse(payload)?;
                let fatal = message.is_fatal();
                let error = message.into_error(self.content);
                if fatal {
                    return Err(error);
                }
                self.failed.get_or_insert(BatchError {
                    index: self.completed,
                    error,
                });
            }
            backend::READY_FOR_QUERY_TAG => {
                self.ready = Some(match payload {
                    b"I" => TransactionStatus::Idle,
                    b"T" => TransactionStatus::Open,
                    b"E" => TransactionStatus::Failed,
                    _ => return Err(garbled("an unknown transaction status")),
                });
            }
            backend::COPY_IN_RESPONSE_TAG | backend::COPY_OUT_RESPONSE_TAG => {
                return Err(Error::new(
                    Kind::Failed,
                    "the statement is a COPY, which was not expected here",
                ));
            }
            tag => {
                return Err(garbled(&format!(
                    "an unexpected message of type {:?}",
                    char::from(tag)
                )));
            }
        }
        Ok(())
    }
}

/// The count at the end of a command tag: `INSERT 0 5`, `COPY 7`; 0 where there is none.
fn affected_rows(payload: &[u8]) -> Result<u64> {
    let (tag, _) = split_cstr(payload)?;
    Ok(std::str::from_utf8(tag)
        .ok()
        .and_then(|tag| tag.rsplit(' ').next())
        .and_then(|count| count.parse().ok())
        .unwrap_or(0))
}

/// A `DataRow` whose values are text.
fn text_row(payload: &[u8]) -> Result<Vec<Option<String>>> {
    let row = byte_row(payload)?;
    Ok(row.into_iter().map(|value| value.map(into_text)).collect())
}

/// A `DataRow`.
fn byte_row(payload: &[u8]) -> Result<Vec<Option<Vec<u8>>>> {
    let short = || garbled("a row that ends early");
    let (count, mut rest) = payload.split_first_chunk::<2>().ok_or_else(short)?;
    let mut row = Vec::with_capacity(usize::from(u16::from_be_bytes(*count)));
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, tail) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            row.push(None);
            rest = tail;
            continue;
        };
        let (value, tail) = tail.split_at_checked(length).ok_or_else(short)?;
        row.push(Some(value.to_vec()));
        rest = tail;
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_tags() {
        for (tag, expected) in [
            ("INSERT 0 5\0", 5),
            ("COPY 18446744073709551615\0", u64::MAX),
            ("SELECT 1\0", 1),
            ("CREATE TABLE\0", 0),
            ("BEGIN\0", 0),
        ] {
            assert_eq!(affected_rows(tag.as_bytes()).unwrap(), expected, "{tag}");
        }
        assert!(affected_rows(b"COPY 1").is_err());
    }

    #[test]
    fn rows() {
        let mut payload = vec![0, 3];
        payload.extend_from_slice(&2_i32.to_be_bytes());
        payload.extend_from_slice(b"ab");
        payload.extend_from_slice(&(-1_i32).to_be_bytes());
        payload.extend_from_slice(&0_i32.to_be_bytes());
        assert_eq!(
            text_row(&payload).unwrap(),
            vec![Some("ab".to_owned()), None, Some(String::new())]
        );
        for cut in 0..payload.len() {
            assert!(text_row(&payload[..cut]).is_err(), "{cut}");
        }
    }
}
