//! Writing an object of unknown length, in parts, while it is being made.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{MultipartId, ObjectMeta, ObjectStoreExt as _, PutPayloadMut};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::cloud::{Bucket, exists};
use super::part_size::PARTS_MAX;
use super::refusal::{Refusal, sort};
use super::{Overwrite, Put, Sink};
use crate::error::{Error, Kind, Result};

/// Most bytes of parts on their way at once, unless a single part is larger.
const IN_FLIGHT: u64 = 64 << 20;

/// How memory for a part is taken.
const BLOCK: usize = 1 << 20;

/// How much of the end is read back.
const TAIL: usize = 64 << 10;

/// How long an upload that failed may take to be removed.
const ABORT: Duration = Duration::from_secs(30);

/// Writes one object; a small one by a single request, a larger one in parts, several at once.
///
/// Nothing is seen under the name before `finish`. When that has ended well, the store has been asked
/// for the object's length and for its last 64 KiB, and both were as written. Dropped before, or
/// failed, the parts are removed; [`Sink::settled`] tells when.
pub(super) struct UploadSink {
    bucket: Arc<Bucket>,
    path: Path,
    overwrite: Overwrite,
    /// What was there when it began.
    before: Option<ObjectMeta>,
    /// The part that is being filled.
    pending: PutPayloadMut,
    upload: Option<Upload>,
    written: u64,
    tail: Tail,
    /// Gone when nothing is under way any more.
    alive: Option<watch::Sender<()>>,
}

/// An upload in parts.
struct Upload {
    id: MultipartId,
    running: JoinSet<(usize, u64, object_store::Result<PartId>)>,
    in_flight: u64,
    parts: Vec<Option<PartId>>,
}

/// The last bytes of what was written.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        let last = &bytes[bytes.len().saturating_sub(TAIL)..];
        let keep = TAIL - last.len();
        let drop = self.0.len().saturating_sub(keep);
        self.0.drain(..drop);
        self.0.extend_from_slice(last);
    }
}

impl UploadSink {
    pub(super) fn new(
        bucket: Arc<Bucket>,
        path: Path,
        overwrite: Overwrite,
        before: Option<ObjectMeta>,
    ) -> Self {
        Self {
            bucket,
            path,
            overwrite,
            before,
            pending: empty(),
            upload: None,
            written: 0,
            tail: Tail::default(),
            alive: Some(watch::Sender::new(())),
        }
    }

    fn explain(&self, error: object_store::Error) -> Error {
        self.bucket.explain(error, "write", &self.path)
    }

    /// Sends the part that is being filled, as soon as there is room for it.
    async fn send(&mut self) -> Result<()> {
        let payload = std::mem::replace(&mut self.pending, empty()).freeze();
        let bytes = payload.content_length() as u64;
        if self.upload.is_none() {
            let begun = self.bucket.steady().create_multipart(&self.path).await;
            self.upload = Some(Upload {
                id: begun.map_err(|error| self.explain(error))?,
                running: JoinSet::new(),
                in_flight: 0,
                parts: Vec::new(),
            });
        }
        while self
            .upload
            .as_ref()
            .is_some_and(|it| it.in_flight > 0 && it.in_flight + bytes > IN_FLIGHT)
        {
            self.one_part().await?;
        }
        let Some(upload) = &mut self.upload else {
            return Ok(());
        };
        let part = upload.parts.len();
        upload.parts.push(None);
        upload.in_flight += bytes;
        let client = Arc::clone(self.bucket.steady());
        let (path, id) = (self.path.clone(), upload.id.clone());
        upload.running.spawn(async move {
            let put = client.put_part(&path, &id, part, payload).await;
            (part, bytes, put)
        });
        Ok(())
    }

    /// Waits for one part; false when none is on its way.
    async fn one_part(&mut self) -> Result<bool> {
        let Some(upload) = &mut self.upload else {
            return Ok(false);
        };
        match upload.running.join_next().await {
            None => Ok(false),
            Some(Ok((part, bytes, Ok(id)))) => {
                upload.in_flight -= bytes;
                upload.parts[part] = Some(id);
                Ok(true)
            }
            Some(Ok((_, _, Err(error)))) => Err(self.refused(error).await),
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Error::new(
                    Kind::Interrupted,
                    "the runtime is shutting down",
                )),
            },
        }
    }

    /// What it means that a part was refused.
    async fn refused(&self, error: object_store::Error) -> Error {
        // Garage forgets an upload when somebody else writes the object.
        if self.overwrite == Overwrite::Refuse
            && sort(&error) == Refusal::NoUpload
            && let Ok(Some(_)) = self.bucket.look(self.bucket.steady(), &self.path).await
        {
            return exists(&self.bucket, &self.path);
        }
        self.explain(error)
    }

    async fn append(&mut self, mut bytes: Bytes) -> Result<()> {
        self.tail.push(&bytes);
        self.written += bytes.len() as u64;
        while !bytes.is_empty() {
            let part = self.upload.as_ref().map_or(0, |it| it.parts.len() as u64);
            let Some(size) = self.bucket.part_sizes.of(part) else {
                return Err(Error::new(
                    Kind::Storage,
                    format!(
                        "write {}: {PARTS_MAX} parts are full after {} bytes",
                        self.bucket.url(&self.path),
                        self.written - bytes.len() as u64,
                    ),
                )
                .with_hint("set PGSTOW_PART_SIZE to a larger size"));
            };
            // A part is at most 4 GiB, and this one is not full.
            let room = usize::try_from(size).unwrap_or(usize::MAX) - self.pending.content_length();
            let piece = bytes.split_to(room.min(bytes.len()));
            self.pending.extend_from_slice(&piece);
            if piece.len() == room {
                self.send().await?;
            }
        }
        Ok(())
    }

    async fn complete(&mut self) -> Result<()> {
        if self.upload.is_none() {
            let payload = std::mem::replace(&mut self.pending, empty()).freeze();
            let put = self.bucket.put(&self.path, payload, self.overwrite).await;
            return match put.map_err(|error| self.explain(error))? {
                Put::Written => self.check().await,
                Put::Exists => Err(exists(&self.bucket, &self.path)),
            };
        }
        if !self.pending.is_empty() {
            self.send().await?;
        }
        while self.one_part().await? {}
        let (id, parts) = match &mut self.upload {
            Some(upload) => (
                upload.id.clone(),
                upload.parts.drain(..).flatten().collect::<Vec<_>>(),
            ),
            None => return Ok(()),
        };
        let completed = if self.overwrite == Overwrite::Refuse {
            // Asked also where the condition is sent: some stores ignore it.
            let there = self.bucket.look(self.bucket.steady(), &self.path).await;
            if there.map_err(|error| self.explain(error))?.is_some() {
                return Err(exists(&self.bucket, &self.path));
            }
            let client = self.bucket.creating().unwrap_or(self.bucket.steady());
            client.complete_multipart(&self.path, &id, parts).await
        } else {
            let client = self.bucket.steady();
            client.complete_multipart(&self.path, &id, parts).await
        };
        if let Err(error) = completed {
            self.judge(error).await?;
        }
        // From here on there are no parts that could be left over.
        self.upload = None;
        self.check().await
    }

    /// Whether a completion that was reported failed was done nevertheless.
    async fn judge(&self, error: object_store::Error) -> Result<()> {
        // Without an answer to this, the first one is what there is to tell.
        let Ok(Some(found)) = self.bucket.look(self.bucket.steady(), &self.path).await else {
            return Err(self.explain(error));
        };
        let is_new = self.before.as_ref().is_none_or(|before| {
            before.e_tag != found.e_tag
                || before.version != found.version
                || before.last_modified != found.last_modified
        });
        if is_new && found.size == self.written && self.tail_is_there().await? {
            return Ok(());
        }
        let by_another = matches!(sort(&error), Refusal::Condition | Refusal::NoUpload);
        if self.overwrite == Overwrite::Refuse && by_another {
            return Err(exists(&self.bucket, &self.path));
        }
        Err(self.explain(error))
    }

    /// Whether the store has what was written, by its length and its end.
    async fn check(&self) -> Result<()> {
        let found = self.bucket.look(self.bucket.steady(), &self.path).await;
        let found = found.map_err(|error| self.bucket.explain(error, "check", &self.path))?;
        let url = self.bucket.url(&self.path);
        let wrong = |why: String| {
            Err(Error::new(Kind::Storage, format!("check {url}: {why}"))
                .with_hint("the object is not to be trusted; write it again"))
        };
        match found {
            None => wrong("it was written and is not there".to_owned()),
            Some(found) if found.size != self.written => wrong(format!(
                "{} bytes were written and {} are there",
                self.written, found.size
            )),
            Some(_) if !self.tail_is_there().await? => {
                wrong("its end is not what was written".to_owned())
            }
            Some(_) => Ok(()),
        }
    }

    async fn tail_is_there(&self) -> Result<bool> {
        let tail = &self.tail.0;
        if tail.is_empty() {
            return Ok(true);
        }
        let range = self.written - tail.len() as u64..self.written;
        match self.bucket.steady().get_range(&self.path, range).await {
            Ok(found) => Ok(found == tail.as_slice()),
            Err(error) => Err(self.bucket.explain(error, "check", &self.path)),
        }
    }
}

fn empty() -> PutPayloadMut {
    PutPayloadMut::new().with_block_size(BLOCK)
}

/// Removes what was sent of an object that will not be.
async fn abort(bucket: Arc<Bucket>, path: Path, mut upload: Upload) {
    let aborting = async {
        // A part that arrives after the abort would stay.
        while upload.running.join_next().await.is_some() {}
        bucket.steady().abort_multipart(&path, &upload.id).await
    };
    // What made the upload fail is told; that parts are left as well can only be guessed.
    let _ = tokio::time::timeout(ABORT, aborting).await;
}

impl Drop for UploadSink {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else {
            return;
        };
        // Without a runtime there is no network either.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (bucket, path) = (Arc::clone(&self.bucket), self.path.clone());
        let alive = self.alive.take();
        runtime.spawn(async move {
            abort(bucket, path, upload).await;
            drop(alive);
        });
    }
}

impl Sink for UploadSink {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.append(bytes))
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let done = self.complete().await;
            if let Some(upload) = self.upload.take() {
                abort(Arc::clone(&self.bucket), self.path.clone(), upload).await;
            }
            done
        })
    }

    fn settled(&self) -> BoxFuture<'static, ()> {
        let Some(alive) = &self.alive else {
            return Box::pin(futures::future::ready(()));
        };
        let mut ended = alive.subscribe();
        Box::pin(async move { while ended.changed().await.is_ok() {} })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_bytes() {
        let all: Vec<u8> = (0..300_000_u32).map(|at| (at / 7) as u8).collect();
        for step in [1_000, 65_536, 70_000, 300_000] {
            let mut tail = Tail::default();
            for piece in all.chunks(step) {
                tail.push(piece);
            }
            assert_eq!(tail.0, all[all.len() - TAIL..], "pieces of {step}");
        }
    }
}
