//! Proof that what is in the store is what was written.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _};
use ring::digest::{Context, SHA256};
use tokio_util::sync::CancellationToken;

use crate::archive::{Archive, DataSpec, hex};
use crate::dump::DumpReport;
use crate::error::{Error, Kind, Result};
use crate::storage::{Sink, Source};
use crate::task::lock;

/// How much of each end is kept and read back.
const END: usize = 64 << 10;

/// How much is read at once when everything is read back.
const PIECE: u64 = 8 << 20;

/// So many pieces are on their way at once.
const PIECES: usize = 4;

/// How much of an archive is read back from the store when it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadBack {
    /// Its length and both ends; and, where it is not encrypted, its index and table of contents.
    #[default]
    Ends,
    /// Every byte, besides.
    Whole,
}

/// What was written so far.
struct Written {
    digest: Context,
    bytes: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

/// Tells, when all is written, what was.
#[derive(Clone)]
pub(super) struct Witness(Arc<Mutex<Written>>);

/// A sink that is witnessed.
pub(super) struct Witnessed {
    sink: Box<dyn Sink>,
    witness: Witness,
}

impl Witnessed {
    pub(super) fn new(sink: Box<dyn Sink>) -> (Self, Witness) {
        let witness = Witness(Arc::new(Mutex::new(Written {
            digest: Context::new(&SHA256),
            bytes: 0,
            head: Vec::new(),
            tail: Vec::new(),
        })));
        let sink = Self {
            sink,
            witness: witness.clone(),
        };
        (sink, witness)
    }
}

impl Sink for Witnessed {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        self.witness.see(&bytes);
        self.sink.write(bytes)
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        self.sink.finish()
    }

    fn settled(&self) -> BoxFuture<'static, ()> {
        self.sink.settled()
    }
}

impl Witness {
    fn lock(&self) -> MutexGuard<'_, Written> {
        // What panicked elsewhere ends the backup anyway.
        lock(&self.0)
    }

    fn see(&self, bytes: &[u8]) {
        let mut written = self.lock();
        written.digest.update(bytes);
        written.bytes += bytes.len() as u64;
        let room = END - written.head.len();
        written
            .head
            .extend_from_slice(&bytes[..room.min(bytes.len())]);
        let last = &bytes[bytes.len().saturating_sub(END)..];
        let drop = (written.tail.len() + last.len()).saturating_sub(END);
        written.tail.drain(..drop);
        written.tail.extend_from_slice(last);
    }

    /// Length, and SHA-256 in hex.
    pub(super) fn seen(&self) -> (u64, String) {
        let written = self.lock();
        (written.bytes, hex(written.digest.clone().finish().as_ref()))
    }

    /// Compares an object with what was written: its length and its ends, and maybe all of it.
    pub(super) async fn compare(
        &self,
        source: &Arc<dyn Source>,
        read_back: ReadBack,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let (bytes, sha256) = self.seen();
        let (head, tail) = {
            let written = self.lock();
            (written.head.clone(), written.tail.clone())
        };
        let wrong = |why: String| {
            Err(Error::new(
                Kind::Storage,
                format!("{}: {why}", source.name()),
            ))
        };
        if source.len() != bytes {
            return wrong(format!(
                "{bytes} bytes were written, and {} are there",
                source.len()
            ));
        }
        if source.read_at(0, head.len()).await? != head
            || source
                .read_at(bytes - tail.len() as u64, tail.len())
                .await?
                != tail
        {
            return wrong("its ends are not what was written".to_owned());
        }
        if read_back == ReadBack::Whole && digest_of(source, cancel, |_| {}).await? != sha256 {
            return wrong("it is not what was written".to_owned());
        }
        Ok(())
    }
}

/// SHA-256 of all bytes of a source, in hex; `seen` is told how many more were read.
pub(super) async fn digest_of(
    source: &Arc<dyn Source>,
    cancel: &CancellationToken,
    seen: impl Fn(u64),
) -> Result<String> {
    let mut digest = Context::new(&SHA256);
    let mut pieces = std::pin::pin!(pieces(source));
    loop {
        let piece = tokio::select! {
            biased;
            () = cancel.cancelled() => {
                return Err(Error::new(Kind::Interrupted, "interrupted"));
            }
            piece = pieces.try_next() => piece?,
        };
        let Some(piece) = piece else {
            return Ok(hex(digest.finish().as_ref()));
        };
        digest.update(&piece);
        seen(piece.len() as u64);
    }
}

/// All bytes of a source in their order, some pieces ahead.
pub(super) fn pieces(
    source: &Arc<dyn Source>,
) -> impl futures::Stream<Item = Result<Bytes>> + use<> {
    let source = Arc::clone(source);
    let length = source.len();
    let starts = (0..length.div_ceil(PIECE)).map(|number| number * PIECE);
    futures::stream::iter(starts)
        .map(move |start| {
            let source = Arc::clone(&source);
            async move {
                let piece = PIECE.min(length - start);
                source
                    .read_at(start, usize::try_from(piece).unwrap_or(usize::MAX))
                    .await
            }
        })
        .buffered(PIECES)
}

/// Opens what was written and compares it with what the dump reports.
pub(super) async fn agrees(source: Arc<dyn Source>, dumped: &DumpReport) -> Result<()> {
    let archive = Archive::open(source).await?;
    let is_table = |entry: u32| {
        let index = (entry as usize).checked_sub(1);
        let entry = index.and_then(|index| archive.entries().get(index));
        entry.is_some_and(|entry| matches!(entry.data, Some(DataSpec::Table { .. })))
    };
    let wanted = archive
        .entries()
        .iter()
        .filter(|entry| is_table(entry.id))
        .count() as u64;
    let tables = || archive.index().tables().filter(|it| is_table(it.entry));
    let rows: u64 = tables().map(|it| it.rows).sum();
    let compared = [
        ("tables", wanted, dumped.tables),
        ("tables with rows", tables().count() as u64, dumped.tables),
        ("rows", rows, dumped.rows),
        ("entries", archive.entries().len() as u64, dumped.entries),
        ("bytes", archive.bytes(), dumped.archive_bytes),
    ];
    for (what, found, reported) in compared {
        if found != reported {
            return Err(Error::new(
                Kind::Archive,
                format!("the archive has {found} {what}, and {reported} were dumped"),
            ));
        }
    }
    if archive.manifest().archive_id.to_string() != dumped.archive_id {
        return Err(Error::new(
            Kind::Archive,
            "what is there is another archive",
        ));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_kept() {
        let all: Vec<u8> = (0..300_000_u32).map(|at| (at / 7) as u8).collect();
        for step in [1_000, 65_536, 70_000, 300_000] {
            let (_, witness) = Witnessed::new(Box::new(crate::storage::PipeSink::stdout()));
            for piece in all.chunks(step) {
                witness.see(piece);
            }
            let written = witness.lock();
            assert_eq!(written.head, all[..END], "pieces of {step}");
            assert_eq!(written.tail, all[all.len() - END..], "pieces of {step}");
            drop(written);
            let whole = hex(ring::digest::digest(&SHA256, &all).as_ref());
            assert_eq!(witness.seen(), (300_000, whole));
        }
    }
}
