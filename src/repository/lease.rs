//! An object that says that somebody lives: it is written anew every minute.
//!
//! Whoever finds one that was not renewed for [`LEASE_SECONDS`], by the store's own clock, takes its
//! holder for dead. A holder that could not renew it for half of that time takes itself for dead: a
//! machine that slept, or was cut off, does not go on with what somebody else may have begun. The
//! other half is more than a call to the store takes, its retries included.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Result};
use crate::report::Observer;
use crate::storage::{Overwrite, Put, Store};
use crate::task::lock;

/// After this time without renewal a holder is taken for dead.
pub const LEASE_SECONDS: i64 = 15 * 60;

/// After this time without renewal a holder takes itself for dead.
const TRUST: Duration = Duration::from_secs(LEASE_SECONDS as u64 / 2);

/// How often a holder renews.
const RENEWAL: Duration = Duration::from_secs(60);

/// How long a renewal that is under way may take once it is to stop.
const PATIENCE: Duration = Duration::from_secs(5);

/// When an object was last known to be renewed.
#[derive(Clone, Copy)]
struct Beat {
    /// Does not run while the machine sleeps.
    steady: Instant,
    /// May be set.
    clock: SystemTime,
}

impl Beat {
    fn now() -> Self {
        Self {
            steady: Instant::now(),
            clock: SystemTime::now(),
        }
    }

    fn age(self) -> Duration {
        let by_clock = self.clock.elapsed().unwrap_or_default();
        self.steady.elapsed().max(by_clock)
    }
}

/// An object that is renewed until [`Lease::end`]; dropped, it is not renewed any more, and dies by
/// itself.
pub(super) struct Lease {
    key: String,
    last: Arc<Mutex<Beat>>,
    stop: CancellationToken,
    renewal: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lease").field(&self.key).finish()
    }
}

async fn write(store: &dyn Store, key: &str, content: &Bytes) -> Result<()> {
    let put = store.put(key, content.clone(), Overwrite::Replace);
    match put.await? {
        Put::Written | Put::Exists => Ok(()),
    }
}

impl Lease {
    /// Writes the object, whose key nobody else has, and begins to renew it. That this fails is told
    /// once for as long as it does.
    ///
    /// # Errors
    /// What the store says; the object may be there nevertheless.
    pub(super) async fn take(
        store: &Arc<dyn Store>,
        key: String,
        content: Bytes,
        observer: &Arc<dyn Observer>,
    ) -> Result<Self> {
        let beat = Beat::now();
        write(&**store, &key, &content).await?;
        let last = Arc::new(Mutex::new(beat));
        let stop = CancellationToken::new();
        let renewing = renew(
            Arc::clone(store),
            key.clone(),
            content,
            Arc::clone(&last),
            stop.clone(),
            Arc::clone(observer),
        );
        Ok(Self {
            key,
            last,
            stop,
            renewal: Some(tokio::spawn(renewing)),
        })
    }

    /// The object's key.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Whether nobody can have taken this holder for dead.
    ///
    /// # Errors
    /// [`Kind::Storage`] when somebody can.
    pub(super) fn confirm(&self) -> Result<()> {
        let age = lock(&self.last).age();
        if age < TRUST {
            return Ok(());
        }
        let minutes = age.as_secs() / 60;
        Err(Error::new(
            Kind::Storage,
            format!(
                "{} could not be renewed for {minutes} minutes: others take this process for dead",
                self.key
            ),
        )
        .with_hint("was the machine asleep, or the store out of reach? begin again"))
    }

    /// Ends the renewal. None is under way any more afterwards, but for one that the store has not
    /// answered for some seconds: what it writes may still arrive.
    pub(super) async fn stop(&mut self) {
        self.stop.cancel();
        if let Some(renewal) = self.renewal.take() {
            // It ends by itself; a panic in it has nothing to tell here.
            let _ = renewal.await;
        }
    }

    /// Ends the renewal and takes the object away.
    ///
    /// # Errors
    /// What the store says; it then dies by itself.
    pub(super) async fn end(mut self, store: &dyn Store) -> Result<()> {
        self.stop().await;
        store.delete(&self.key).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn renew(
    store: Arc<dyn Store>,
    key: String,
    content: Bytes,
    last: Arc<Mutex<Beat>>,
    stop: CancellationToken,
    observer: Arc<dyn Observer>,
) {
    let mut is_failing = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RENEWAL) => {}
        }
        // Who was silent for so long is dead for others, and stays so.
        if lock(&last).age() >= TRUST {
            return;
        }
        let beat = Beat::now();
        let too_long = async {
            stop.cancelled().await;
            tokio::time::sleep(PATIENCE).await;
        };
        let written = tokio::select! {
            written = write(&*store, &key, &content) => written,
            () = too_long => return,
        };
        match written {
            Ok(()) => {
                *lock(&last) = beat;
                is_failing = false;
            }
            // The next one may succeed; if none does, the holder is told when it asks.
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    observer.warning(format!("renew {key}: {error}"));
                }
            }
        }
    }
}
