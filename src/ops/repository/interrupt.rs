//! Work on a repository that is to end soon when it is interrupted, also where its store does not answer.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Result};
use crate::report::Observer;
use crate::repository::{Lock, Repository};

/// How long what is to be told or given back at the end may take then.
const PATIENCE: Duration = Duration::from_secs(5);

/// That this was interrupted.
pub(super) fn interrupted(what: &str) -> Error {
    Error::new(Kind::Interrupted, format!("{what}: interrupted"))
}

/// Does what may be left at any moment, unless interrupted.
pub(super) async fn unless<T>(
    cancel: &CancellationToken,
    what: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(interrupted(what)),
        done = work => done,
    }
}

/// Does what has to be done at the end; when interrupted, it has a few seconds for that.
pub(super) async fn at_the_end<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let too_long = async {
        cancel.cancelled().await;
        tokio::time::sleep(PATIENCE).await;
    };
    tokio::select! {
        biased;
        done = work => done,
        () = too_long => Err(Error::new(Kind::Storage, "the store does not answer")),
    }
}

/// Gives a lock back; that this failed is told, and it ends by itself.
pub(super) async fn give_back(
    repository: &Repository,
    lock: Lock,
    cancel: &CancellationToken,
    observer: &Arc<dyn Observer>,
) {
    if let Err(error) = at_the_end(cancel, repository.unlock(lock)).await {
        observer.warning(error.to_string());
    }
}
