//! Work with a thread of its own.

use std::thread;

use tokio::runtime;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Result};

/// Runs `work` on a thread that does nothing else, and that drives the sockets and timers which are made
/// there: what waits there wakes nobody else, and may hold its thread up for a moment. Tasks that it spawns end
/// with it. Dropped before its end, it drops the work at its next wait. A panic of it is an error.
///
/// # Errors
/// What `work` ends with; [`Kind::Failed`] when there can be no such thread.
pub(crate) async fn on_own_thread<T, W>(
    name: String,
    work: impl FnOnce() -> W + Send + 'static,
) -> Result<T>
where
    T: Send + 'static,
    W: Future<Output = Result<T>>,
{
    let failed = |error| Error::new(Kind::Failed, "start a thread").with_source(error);
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let dropped = CancellationToken::new();
    let _guard = dropped.clone().drop_guard();
    let (sender, done) = oneshot::channel();
    thread::Builder::new()
        .name(name)
        .spawn(move || {
            let ended = runtime.block_on(dropped.run_until_cancelled_owned(work()));
            // Lookups of names cannot be stopped.
            runtime.shutdown_background();
            if let Some(ended) = ended {
                // Whoever has dropped it at the last moment does not want to know.
                drop(sender.send(ended));
            }
        })
        .map_err(failed)?;
    let panicked = |_| Error::new(Kind::Failed, "a thread has panicked");
    done.await.map_err(panicked)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn its_outcome_comes_back() {
        let name = || "test".to_owned();
        let outcome = on_own_thread(name(), || async {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            Ok(thread::current().name().map(str::to_owned))
        });
        assert_eq!(outcome.await.unwrap(), Some(name()));
        let outcome = on_own_thread::<(), _>(name(), || async {
            Err(Error::new(Kind::Interrupted, "no"))
        });
        assert_eq!(outcome.await.unwrap_err().kind(), Kind::Interrupted);
    }

    #[tokio::test]
    async fn dropping_it_drops_the_work() {
        let (held, dropped) = oneshot::channel::<()>();
        let (began, begun) = oneshot::channel();
        let work = on_own_thread("test".to_owned(), || async {
            let _held = held;
            began.send(()).unwrap();
            std::future::pending::<Result<()>>().await
        });
        let mut work = Box::pin(work);
        tokio::select! {
            _ = &mut work => unreachable!(),
            begun = begun => begun.unwrap(),
        }
        drop(work);
        assert!(dropped.await.is_err());
    }
}
