//! Level of zstd while a dump with `zstd:auto` runs: what the policy is told, and when.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::task::Idleness;

use super::level::{LevelPolicy, Sample, ceiling};

/// Samples are no closer than this: the kernel counts in hundredths of a second.
const INTERVAL: Duration = Duration::from_millis(200);

/// Shared by all that compress.
pub(super) struct AdaptiveLevel {
    unpacked: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    policy: LevelPolicy,
    idleness: Idleness,
    sampled: Instant,
    level: i32,
    /// Raw bytes that were compressed, and the same times their level.
    bytes: u64,
    weighted: f64,
}

/// A frame that waits for the pool, as long as this lives.
pub(super) struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AdaptiveLevel {
    /// For a pool of so many threads, whose contexts may take an eighth of `memory_bytes`.
    pub fn new(threads: usize, memory_bytes: u64) -> Self {
        let mut idleness = Idleness::default();
        // The first look only begins to count.
        idleness.look();
        let ceiling = ceiling(memory_bytes / 8 / threads.max(1) as u64);
        Self {
            unpacked: AtomicUsize::new(0),
            state: Mutex::new(State {
                policy: LevelPolicy::new(threads, ceiling),
                idleness,
                sampled: Instant::now(),
                level: 1,
                bytes: 0,
                weighted: 0.0,
            }),
        }
    }

    /// Counts a frame that begins to wait for the pool.
    pub fn wait(&self) -> Waiting<'_> {
        self.unpacked.fetch_add(1, Ordering::Relaxed);
        Waiting(&self.unpacked)
    }

    /// The level for the frames that are compressed next, of so many raw bytes, while so many wait for
    /// the writer. May read a file of the kernel's: call it off the async threads.
    pub fn next(&self, raw_bytes: u64, unwritten: usize) -> i32 {
        let mut state = self.state();
        let now = Instant::now();
        if now.duration_since(state.sampled) >= INTERVAL {
            let sample = Sample {
                unpacked: self.unpacked.load(Ordering::Relaxed),
                unwritten,
                idle: state.idleness.look(),
            };
            state.sampled = now;
            state.level = state.policy.observe(sample);
        }
        state.bytes += raw_bytes;
        state.weighted += raw_bytes as f64 * f64::from(state.level);
        state.level
    }

    /// The mean level, by raw bytes; none before the first of them.
    pub fn mean(&self) -> Option<f64> {
        let state = self.state();
        (state.bytes > 0).then(|| state.weighted / state.bytes as f64)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under it; were it so, the level would only be an old one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_by_bytes() {
        let adaptive = AdaptiveLevel::new(2, 256 << 20);
        assert_eq!(adaptive.mean(), None);
        assert_eq!(adaptive.next(0, 0), 1);
        assert_eq!(adaptive.mean(), None);
        adaptive.next(100, 0);
        assert_eq!(adaptive.mean(), Some(1.0));
        {
            let mut state = adaptive.state();
            state.level = 5;
            // No sample is due for an hour.
            state.sampled += Duration::from_secs(3600);
        }
        assert_eq!(adaptive.next(300, 0), 5);
        assert_eq!(adaptive.mean(), Some(4.0));
    }

    #[test]
    fn who_waits_is_counted_until_it_does_not() {
        let adaptive = AdaptiveLevel::new(2, 256 << 20);
        let waiting = [adaptive.wait(), adaptive.wait()];
        assert_eq!(adaptive.unpacked.load(Ordering::Relaxed), 2);
        drop(waiting);
        assert_eq!(adaptive.unpacked.load(Ordering::Relaxed), 0);
    }
}
