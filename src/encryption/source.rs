//! Decrypting ranges.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;

use super::chunks::{CHUNK, Cipher, Place, SEALED, TAG};
use super::header::{HEADER_MAX, MAGIC};
use super::keys::Keys;
use super::{blocking, damaged, header, is_encrypted};
use crate::error::{Context as _, Error, Kind, Result};
use crate::storage::Source;

/// What an encrypted object holds, readable at any offset.
pub struct DecryptedSource {
    inner: Arc<dyn Source>,
    cipher: Arc<Cipher>,
    /// Where the first chunk begins.
    payload_at: u64,
    /// Chunks, at least one.
    chunks: u64,
    /// Bytes that are in them.
    length: u64,
}

impl DecryptedSource {
    /// Whether an object is encrypted, by its first bytes.
    ///
    /// # Errors
    /// As [`Source::read_at`].
    pub async fn is_needed(source: &dyn Source) -> Result<bool> {
        let length = MAGIC.len();
        if source.len() < length as u64 {
            return Ok(false);
        }
        Ok(is_encrypted(&source.read_at(0, length).await?))
    }

    /// Reads the header and finds the key.
    ///
    /// # Errors
    /// [`Kind::Refused`] without the right key, [`Kind::Archive`] for a damaged header, otherwise as
    /// [`Source::read_at`].
    pub async fn open(inner: Arc<dyn Source>, keys: &Keys) -> Result<Self> {
        let name = inner.name();
        Self::open_unnamed(inner, keys)
            .await
            .context_with(|| format!("archive {name}"))
    }

    async fn open_unnamed(inner: Arc<dyn Source>, keys: &Keys) -> Result<Self> {
        // A header is a few hundred bytes for most.
        let mut first = Bytes::new();
        for most in [4096, HEADER_MAX] {
            let length = usize::try_from(inner.len()).unwrap_or(usize::MAX).min(most);
            first = inner.read_at(0, length).await?;
            if header::length(&first).is_some() {
                break;
            }
        }
        let keys = keys.clone();
        let opened = blocking(move || header::open(&first, &keys)).await?;
        let sealed = inner.len().saturating_sub(opened.payload_at);
        let chunks = sealed.div_ceil(SEALED as u64);
        let last = sealed - chunks.saturating_sub(1) * SEALED as u64;
        // Only where there is nothing else may a chunk be empty.
        if chunks == 0 || last < TAG as u64 || (last == TAG as u64 && chunks > 1) {
            return Err(damaged(
                "unfinished or cut: the encrypted content has no end",
            ));
        }
        let cipher = Cipher::new(&opened.payload_key)?;
        if last == TAG as u64 {
            // No read will touch it, and only its seal says that nothing is all there is.
            let mut empty = BytesMut::from(inner.read_at(opened.payload_at, TAG).await?);
            let place = Place {
                number: 0,
                is_last: true,
            };
            cipher.open(&mut empty, place)?;
        }
        Ok(Self {
            inner,
            cipher: Arc::new(cipher),
            payload_at: opened.payload_at,
            chunks,
            length: sealed - chunks * TAG as u64,
        })
    }
}

impl Source for DecryptedSource {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes>> {
        Box::pin(async move {
            let end = offset.checked_add(length as u64);
            let Some(end) = end.filter(|end| *end <= self.length) else {
                return Err(Error::new(
                    Kind::Storage,
                    format!("read {} at {offset}: beyond its end", self.name()),
                ));
            };
            if length == 0 {
                return Ok(Bytes::new());
            }
            let first = offset / CHUNK as u64;
            let after = end.div_ceil(CHUNK as u64);
            let begin = self.payload_at + first * SEALED as u64;
            let stop = (self.payload_at + after * SEALED as u64).min(self.inner.len());
            let bytes = usize::try_from(stop - begin)
                .map_err(|_| Error::new(Kind::Storage, "the range is too large"))?;
            let sealed = self.inner.read_at(begin, bytes).await?;
            let cipher = Arc::clone(&self.cipher);
            let last = self.chunks - 1;
            let skip = (offset - first * CHUNK as u64) as usize;
            let opened = blocking(move || {
                let mut sealed = BytesMut::from(sealed);
                let mut plain = BytesMut::with_capacity(sealed.len());
                for (chunk, number) in sealed.chunks_mut(SEALED).zip(first..) {
                    let is_last = number == last;
                    plain.extend_from_slice(cipher.open(chunk, Place { number, is_last })?);
                }
                Ok(plain.freeze())
            });
            let plain = opened
                .await
                .context_with(|| format!("read {} at {offset}", self.name()))?;
            Ok(plain.slice(skip..skip + length))
        })
    }
}
