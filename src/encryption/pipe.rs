//! Decrypting what comes front to back.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::StreamReader;

use super::chunks::{Cipher, Place, SEALED};
use super::header::{HEADER_MAX, MAGIC};
use super::keys::Keys;
use super::{blocking, damaged, header, is_encrypted};
use crate::error::{Error, Kind, Result};

/// Chunks that are decrypted at once.
const BATCH: usize = 16;

/// A pipe whose content is decrypted if its first bytes say that it is encrypted, and otherwise
/// passed on as it comes.
///
/// A read that fails carries the [`Error`] inside the [`io::Error`].
///
/// # Errors
/// [`Kind::Refused`] without the right key, [`Kind::Archive`] for a damaged header,
/// [`Kind::Storage`] when the pipe breaks.
pub async fn decrypt_stream(
    mut input: Box<dyn AsyncRead + Send + Unpin>,
    keys: &Keys,
) -> Result<Box<dyn AsyncRead + Send + Unpin>> {
    let mut first = BytesMut::new();
    fill(&mut input, &mut first, MAGIC.len()).await?;
    if !is_encrypted(&first) {
        return Ok(Box::new(io::Cursor::new(first.freeze()).chain(input)));
    }
    let end = loop {
        if let Some(end) = header::length(&first) {
            break end;
        }
        let had = first.len();
        if had >= HEADER_MAX || fill(&mut input, &mut first, had + 512).await? == 0 {
            return Err(damaged("cut or damaged in the header of encryption")
                .context("archive from a pipe"));
        }
    };
    let (head, keys) = (first.split_to(end).freeze(), keys.clone());
    let opened = blocking(move || header::open(&head, &keys)).await;
    let opened = opened.map_err(|error| error.context("archive from a pipe"))?;
    let reading = Reading {
        input,
        sealed: first,
        cipher: Arc::new(Cipher::new(&opened.payload_key)?),
        number: 0,
        ended: false,
    };
    Ok(Box::new(StreamReader::new(Box::pin(reading.chunks()))))
}

/// Reads until there are `length` bytes or no more come; gives how many came.
async fn fill(
    input: &mut (dyn AsyncRead + Send + Unpin),
    bytes: &mut BytesMut,
    length: usize,
) -> Result<usize> {
    let had = bytes.len();
    while bytes.len() < length {
        let left = (length - bytes.len()) as u64;
        let read = (&mut *input).take(left).read_buf(bytes).await;
        let read = read.map_err(|error| {
            Error::new(Kind::Storage, format!("read: {error}")).with_source(error)
        })?;
        if read == 0 {
            break;
        }
    }
    Ok(bytes.len() - had)
}

struct Reading {
    input: Box<dyn AsyncRead + Send + Unpin>,
    /// What was read and is not opened.
    sealed: BytesMut,
    cipher: Arc<Cipher>,
    number: u64,
    ended: bool,
}

impl Reading {
    fn chunks(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        stream::try_unfold(self, |mut reading| async move {
            match reading.next().await {
                Ok(Some(plain)) => Ok(Some((plain, reading))),
                Ok(None) => Ok(None),
                Err(error) => Err(io::Error::other(error)),
            }
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        // One byte more than is opened: what is behind a full chunk says whether it is the last.
        fill(&mut self.input, &mut self.sealed, BATCH * SEALED + 1).await?;
        let whole = self.sealed.len().saturating_sub(1) / SEALED;
        self.ended = self.sealed.len() <= BATCH * SEALED;
        let mut sealed = if self.ended {
            self.sealed.split()
        } else {
            self.sealed.split_to(whole * SEALED)
        };
        let (cipher, first, ended) = (Arc::clone(&self.cipher), self.number, self.ended);
        let chunks = sealed.len().div_ceil(SEALED).max(1) as u64;
        self.number += chunks;
        blocking(move || {
            let mut plain = BytesMut::with_capacity(sealed.len());
            if sealed.is_empty() {
                return Err(damaged(
                    "unfinished or cut: the encrypted content has no end",
                ));
            }
            for (chunk, at) in sealed.chunks_mut(SEALED).zip(0..) {
                let place = Place {
                    number: first + at,
                    is_last: ended && at + 1 == chunks,
                };
                let opened = cipher.open(chunk, place)?;
                if opened.is_empty() && place.number > 0 {
                    return Err(damaged("damaged: an empty chunk at the end"));
                }
                plain.extend_from_slice(opened);
            }
            Ok(Some(plain.freeze()))
        })
        .await
        .map_err(|error| error.context("archive from a pipe"))
    }
}
