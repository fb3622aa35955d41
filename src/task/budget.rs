//! A byte budget: how much memory may be in flight between stages of a pipeline.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Kind, Result};

/// Bytes per permit: keeps counts within a semaphore's range for any amount of memory.
const GRAIN: u64 = 1024;

/// A shared budget of bytes. Clones share it.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    semaphore: Arc<Semaphore>,
    grains: u32,
}

/// A part of a budget; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    permit: OwnedSemaphorePermit,
    joined: Vec<OwnedSemaphorePermit>,
}

impl Permit {
    /// Keeps another one, maybe of another budget, as long as this.
    pub fn join(&mut self, other: Self) {
        self.joined.push(other.permit);
        self.joined.extend(other.joined);
    }

    /// Takes a part of this permit, as much of `bytes` as there is: what is split off and what is left
    /// are given back each by itself. What has been joined stays.
    ///
    /// # Errors
    /// Never: no more is taken than there is.
    pub fn split(&mut self, bytes: u64) -> Result<Self> {
        let left = self.permit.num_permits();
        let grains = usize::try_from(bytes.div_ceil(GRAIN)).map_or(left, |grains| grains.min(left));
        let permit = self
            .permit
            .split(grains)
            .ok_or_else(|| Error::new(Kind::Failed, "a memory permit is smaller than it is"))?;
        Ok(Self::from(permit))
    }
}

impl From<OwnedSemaphorePermit> for Permit {
    fn from(permit: OwnedSemaphorePermit) -> Self {
        Self {
            permit,
            joined: Vec::new(),
        }
    }
}

impl ByteBudget {
    /// A budget of `bytes`, at least 1 KiB and at most 1 TiB.
    pub fn new(bytes: u64) -> Self {
        let grains = u32::try_from((bytes / GRAIN).clamp(1, 1 << 30)).unwrap_or(1 << 30);
        Self {
            semaphore: Arc::new(Semaphore::new(grains as usize)),
            grains,
        }
    }

    /// Waits until `bytes` are free and takes them. A request larger than the whole budget (one
    /// giant row) is granted when nothing else is in flight.
    ///
    /// # Errors
    /// Only when the budget was closed, which its owner never does while it is in use.
    pub async fn acquire(&self, bytes: u64) -> Result<Permit> {
        let grains = u32::try_from(bytes.div_ceil(GRAIN))
            .unwrap_or(u32::MAX)
            .clamp(1, self.grains);
        let permit = Arc::clone(&self.semaphore)
            .acquire_many_owned(grains)
            .await
            .map_err(|_| Error::new(Kind::Failed, "memory budget closed"))?;
        Ok(Permit::from(permit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn permits_that_were_joined_are_given_back_together() {
        let (one, other) = (ByteBudget::new(4096), ByteBudget::new(8192));
        let mut permit = one.acquire(4096).await.unwrap();
        permit.join(other.acquire(4096).await.unwrap());
        permit.join(other.acquire(4096).await.unwrap());
        let all = other.acquire(8192);
        tokio::pin!(all);
        assert!(futures::poll!(all.as_mut()).is_pending());
        drop(permit);
        all.await.unwrap();
        one.acquire(4096).await.unwrap();
    }

    #[tokio::test]
    async fn a_request_larger_than_the_budget_is_granted_alone() {
        let budget = ByteBudget::new(4096);
        let small = budget.acquire(1).await.unwrap();
        let giant = budget.acquire(1 << 40);
        tokio::pin!(giant);
        assert!(futures::poll!(giant.as_mut()).is_pending());
        drop(small);
        let giant = giant.await.unwrap();
        let next = budget.acquire(1);
        tokio::pin!(next);
        assert!(futures::poll!(next.as_mut()).is_pending());
        drop(giant);
        next.await.unwrap();
    }
}
