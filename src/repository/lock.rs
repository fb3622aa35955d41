//! One at a time: locks that survive a dead holder, on any store.
//!
//! Everybody who wants a lock writes a ticket of his own and then looks who else has one. Whoever
//! sees another living ticket takes his own back; so of two that come at once at most one goes on,
//! whether or not the store honours conditional writes. That both give way is made up for by trying
//! again after a while, which is not the same for both. A ticket is a lease: see
//! [`lease`](super::lease). Ages are differences of the store's own times, so that no other clock
//! matters.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::disk::{self, random};
use super::layout::LOCKS;
use super::lease::{LEASE_SECONDS, Lease};
use super::who::Who;
use crate::archive::Timestamp;
use crate::error::{Context as _, Error, Kind, Result};
use crate::report::Observer;
use crate::storage::Store;

/// How often it is tried when somebody else tries at the same time.
const TRIES: u32 = 4;

/// Tickets that are not further apart, in seconds, may both be about to give way.
const AT_ONCE: i64 = 10;

/// What a ticket says, for those who find it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ticket {
    who: Who,
    since: Timestamp,
    what: String,
}

/// A lock that is held until [`Repository::unlock`](super::Repository::unlock); dropped, it ends by
/// itself when others take its holder for dead, after 15 minutes.
#[derive(Debug)]
#[must_use]
pub struct Lock {
    lease: Lease,
    store_time: i64,
}

/// Why a lock was not given.
enum No {
    /// Somebody has it, or tries to have it in this very moment.
    Held { by: String, at_once: bool },
    /// The store has failed.
    Failed(Error),
}

impl From<Error> for No {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Takes the lock of this name; `what` is told to those who are refused.
///
/// # Errors
/// [`Kind::Refused`] when somebody holds it, saying who and since when; what the store says.
pub(super) async fn take(
    store: &Arc<dyn Store>,
    name: &str,
    what: &str,
    observer: &Arc<dyn Observer>,
) -> Result<Lock> {
    let context = || format!("lock {name}");
    let mut tries = 0;
    loop {
        tries += 1;
        match attempt(store, name, what, observer).await {
            Ok(lock) => return Ok(lock),
            Err(No::Failed(error)) => return Err(error.context(context())),
            Err(No::Held { at_once: true, .. }) if tries < TRIES => {
                let wait = 200 + random::<2>()?.map(u64::from).iter().sum::<u64>() * 3;
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            Err(No::Held { by, .. }) => {
                let hint = format!(
                    "wait until it is done; a holder that has died is forgotten after {} minutes",
                    LEASE_SECONDS / 60
                );
                let error = Error::new(Kind::Refused, format!("held by {by}")).with_hint(hint);
                return Err(error.context(context()));
            }
        }
    }
}

async fn attempt(
    store: &Arc<dyn Store>,
    name: &str,
    what: &str,
    observer: &Arc<dyn Observer>,
) -> Result<Lock, No> {
    let folder = format!("{LOCKS}/{name}");
    let key = format!("{folder}/{:016x}.json", u64::from_be_bytes(random()?));
    let ticket = Ticket {
        who: Who::here(),
        since: Timestamp::now(),
        what: what.to_owned(),
    };
    let content = disk::to_bytes(&ticket, &key)?;
    let lease = match Lease::take(store, key.clone(), content, observer).await {
        Ok(lease) => lease,
        Err(error) => {
            // It may be there nevertheless, and would be in everybody's way.
            if let Err(error) = store.delete(&key).await {
                observer.warning(format!("delete {key}: {error}"));
            }
            return Err(error.into());
        }
    };
    match look(&**store, &folder, &key).await {
        Ok(store_time) => Ok(Lock { lease, store_time }),
        Err(no) => {
            match (lease.end(&**store).await, no) {
                // What stands in the way is told, not what could not be taken back.
                (_, No::Failed(error)) => Err(No::Failed(error)),
                (Ok(()), no) => Err(no),
                (Err(error), _) => Err(error.into()),
            }
        }
    }
}

/// The store's time, if nobody else has a living ticket. Dead ones are removed.
async fn look(store: &dyn Store, folder: &str, own: &str) -> Result<i64, No> {
    let tickets = store.list(folder).await?;
    let Some(now) = tickets
        .iter()
        .find(|it| it.key == own)
        .map(|it| it.modified)
    else {
        return Err(No::Failed(Error::new(
            Kind::Storage,
            "what was written a moment ago is not listed",
        )));
    };
    for other in tickets.iter().filter(|it| it.key != own) {
        if now - other.modified > LEASE_SECONDS {
            store.delete(&other.key).await?;
            continue;
        }
        let Some(bytes) = store.get(&other.key).await? else {
            continue; // Given back in the meantime.
        };
        let by = match disk::from_bytes::<Ticket>(&bytes, &other.key) {
            Ok(ticket) if ticket.who.is_gone() => {
                store.delete(&other.key).await?;
                continue;
            }
            Ok(Ticket { who, since, what }) => format!("{who} since {since} ({what})"),
            Err(_) => "somebody".to_owned(),
        };
        let at_once = now - other.modified <= AT_ONCE;
        return Err(No::Held { by, at_once });
    }
    Ok(now)
}

impl Lock {
    /// When it was taken, by the store's clock.
    pub fn taken(&self) -> Timestamp {
        Timestamp(u64::try_from(self.store_time).unwrap_or(0))
    }

    /// As [`Lock::taken`], as stores count.
    pub(super) fn store_time(&self) -> i64 {
        self.store_time
    }

    /// Whether it is still held.
    ///
    /// # Errors
    /// [`Kind::Storage`] when others may take its holder for dead.
    pub fn confirm(&self) -> Result<()> {
        self.lease.confirm()
    }

    /// Gives the lock back.
    pub(super) async fn release(self, store: &dyn Store) -> Result<()> {
        let key = self.lease.key().to_owned();
        let ended = self.lease.end(store).await;
        ended.context_with(|| format!("give back {key}"))
    }
}
