//! How long to wait before something is tried again.

use std::time::Duration;

/// Waits that double, as many as there may be tries; no clock of its own.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    tries: u32,
    used: u32,
}

impl Backoff {
    /// `tries` waits, the first of which is `first`, and none longer than `longest`.
    pub fn new(first: Duration, longest: Duration, tries: u32) -> Self {
        Self {
            first,
            longest,
            tries,
            used: 0,
        }
    }

    /// Begins again with the first one: what was tried has come on in the meantime.
    pub fn reset(&mut self) {
        self.used = 0;
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    /// How long to wait before the next try; none when there have been enough.
    fn next(&mut self) -> Option<Duration> {
        if self.used == self.tries {
            return None;
        }
        let factor = 1_u32.checked_shl(self.used).unwrap_or(u32::MAX);
        self.used += 1;
        Some(self.first.saturating_mul(factor).min(self.longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let millis = Duration::from_millis;
        let mut backoff = Backoff::new(millis(100), millis(500), 5);
        let waits: Vec<Duration> = backoff.by_ref().collect();
        assert_eq!(waits, [100, 200, 400, 500, 500].map(millis));
        backoff.reset();
        assert_eq!(backoff.next(), Some(millis(100)));
        let many = Backoff::new(millis(1), Duration::MAX, 1000);
        assert_eq!(many.count(), 1000);
    }
}
