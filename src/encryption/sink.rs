//! Encrypting while writing.

use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use futures::future::BoxFuture;

use super::chunks::{CHUNK, Cipher};
use super::keys::Recipients;
use super::{blocking, header};
use crate::error::{Error, Kind, Result};
use crate::storage::Sink;

/// Encrypts what is written to it and hands it on.
pub struct EncryptedSink {
    inner: Box<dyn Sink>,
    cipher: Arc<Cipher>,
    /// What is not sealed yet; after a write at most a chunk, since the last one is sealed otherwise.
    pending: BytesMut,
    /// Chunks that are sealed.
    chunks: u64,
}

impl EncryptedSink {
    /// Writes the header.
    ///
    /// # Errors
    /// [`Kind::Usage`] for no recipient; otherwise as [`Sink::write`].
    pub async fn create(mut inner: Box<dyn Sink>, recipients: &Recipients) -> Result<Self> {
        let recipients = recipients.clone();
        // A passphrase takes a second of work.
        let (header, payload_key) = blocking(move || header::seal(&recipients)).await?;
        inner.write(header.into()).await?;
        Ok(Self {
            inner,
            cipher: Arc::new(Cipher::new(&payload_key)?),
            pending: BytesMut::new(),
            chunks: 0,
        })
    }

    async fn append(&mut self, bytes: Bytes) -> Result<()> {
        self.pending.extend_from_slice(&bytes);
        // A full chunk may be the last one, which is known when more comes.
        let ready = self.pending.len().saturating_sub(1) / CHUNK;
        if ready == 0 {
            return Ok(());
        }
        let plain = self.pending.split_to(ready * CHUNK).freeze();
        let (cipher, first) = (Arc::clone(&self.cipher), self.chunks);
        self.chunks += ready as u64;
        let sealed = blocking(move || cipher.seal(&plain, first, false)).await?;
        self.inner.write(sealed).await
    }

    async fn complete(mut self: Box<Self>) -> Result<()> {
        let last = self.pending.copy_to_bytes(self.pending.len());
        if last.is_empty() && self.chunks > 0 {
            // Cannot be: the last write held at least a byte back.
            return Err(Error::new(
                Kind::Failed,
                "nothing is left for the last chunk",
            ));
        }
        let sealed = self.cipher.seal(&last, self.chunks, true)?;
        self.inner.write(sealed).await?;
        self.inner.finish().await
    }
}

impl Sink for EncryptedSink {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.append(bytes))
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(self.complete())
    }

    fn settled(&self) -> BoxFuture<'static, ()> {
        self.inner.settled()
    }
}
