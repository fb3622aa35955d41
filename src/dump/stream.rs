//! Where the rows of a COPY come from: a worker's session, or the leader's.
//!
//! The leader's session is of the control plane. It reads a table only when no worker can, so what the
//! driver costs there does not matter.

use std::ops::ControlFlow;
use std::pin::Pin;

use bytes::BytesMut;
use futures::StreamExt;
use tokio_postgres::CopyOutStream;

use crate::connect::{CopyOut, Session, Walk};
use crate::error::Result;
use crate::task::Permit;

/// A `COPY … TO STDOUT` under way.
pub(super) enum CopyStream<'a> {
    Worker(CopyOut<'a>),
    Leader(Pin<Box<CopyOutStream>>),
}

impl<'a> From<CopyOut<'a>> for CopyStream<'a> {
    fn from(copy: CopyOut<'a>) -> Self {
        Self::Worker(copy)
    }
}

impl CopyStream<'_> {
    /// Starts one in the leader's session.
    pub async fn of_leader(leader: &Session, statement: &str) -> Result<Self> {
        let stream = leader.client().copy_out(statement).await?;
        Ok(Self::Leader(Box::pin(stream)))
    }

    /// As [`CopyOut::rows`]; the driver of the leader's session does not tell the server's count.
    pub async fn rows<F>(&mut self, mut row: F) -> Result<Walk>
    where
        F: FnMut(&mut [u8]) -> ControlFlow<()> + Send,
    {
        match self {
            Self::Worker(copy) => copy.rows(row).await,
            Self::Leader(stream) => {
                while let Some(message) = stream.next().await {
                    let mut message = BytesMut::from(message?);
                    if row(&mut message).is_break() {
                        return Ok(Walk::Paused);
                    }
                }
                Ok(Walk::Done { rows: 0 })
            }
        }
    }

    /// As [`CopyOut::take_large`]; the leader's session is not held to a budget.
    pub fn take_large(&mut self) -> Option<Permit> {
        match self {
            Self::Worker(copy) => copy.take_large(),
            Self::Leader(_) => None,
        }
    }

    /// Whether [`Walk::Done`] has the server's own count.
    pub fn is_counted(&self) -> bool {
        matches!(self, Self::Worker(_))
    }
}
