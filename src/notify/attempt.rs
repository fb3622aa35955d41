//! One policy for all ways: how often and how long something is tried.

use std::time::Duration;

use futures::future::BoxFuture;

use super::settings::Settings;
use crate::error::{Error, Kind, Result};
use crate::secret::{Secret, SecretFrom};
use crate::task::{Backoff, blocking};

/// The first wait before something is tried again.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest one.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Why a try failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may do when it is tried again.
    MayPass(Error),
    /// It will be no different.
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// How often, and how long each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    retries: u32,
    each: Duration,
}

impl Patience {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            retries: settings.retries,
            each: Duration::from_secs(u64::from(settings.timeout.max(1))),
        }
    }

    /// The same, but once.
    pub(super) fn once(self) -> Self {
        Self { retries: 0, ..self }
    }

    /// Tries until it is done, there is no hope, or it was tried often enough. Answers with the number of tries
    /// and the last error.
    pub(super) async fn run<'a>(
        self,
        attempt: impl Fn() -> BoxFuture<'a, Result<(), Failure>>,
    ) -> (u32, Option<Error>) {
        let mut waits = Backoff::new(FIRST_WAIT, LONGEST_WAIT, self.retries);
        let mut tries = 0;
        loop {
            tries += 1;
            let outcome = tokio::time::timeout(self.each, attempt()).await;
            let failure = outcome.unwrap_or_else(|_| {
                let text = format!("no answer within {} s", self.each.as_secs());
                Err(Failure::MayPass(Error::new(Kind::Connect, text)))
            });
            match failure {
                Ok(()) => return (tries, None),
                Err(Failure::Final(error)) => return (tries, Some(error)),
                Err(Failure::MayPass(error)) => match waits.next() {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return (tries, Some(error)),
                },
            }
        }
    }
}

/// The first line of a secret; what it is for begins the message of an error.
pub(super) async fn read(from: &SecretFrom, what: &str) -> Result<Secret> {
    let (from, what) = (from.clone(), what.to_owned());
    let secret = blocking(move || from.line(&what)).await?;
    Ok(Secret::new(secret.reveal().trim()))
}
