//! How long to leave a stream alone before it is read again.
//!
//! A server sends the rows of a COPY in pieces of 8 KiB. Who waits for them is woken for each, which costs the
//! server more than sending does, where both are on one machine, and the reader as much again. Who comes a moment
//! later finds many pieces at once. A socket on the same machine holds some 200 KB, after which the server would
//! have to wait: so the moment is kept so short that about half of it is there.

use std::time::Duration;

/// As much as this should be there at each look.
const ENOUGH: usize = 64 * 1024;
/// More than this and the server may soon have to wait.
const MUCH: usize = 128 * 1024;

/// The shortest wait worth a timer, and the longest.
const SHORTEST: Duration = Duration::from_micros(50);
const LONGEST: Duration = Duration::from_micros(1000);

/// What was learnt of a stream's speed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Linger {
    wait: Duration,
}

impl Linger {
    /// How long to wait before the next look.
    pub(super) fn next(self) -> Duration {
        self.wait
    }

    /// The last look has found so many bytes.
    pub(super) fn found(&mut self, bytes: usize) {
        self.wait = if bytes < ENOUGH {
            (self.wait * 2).clamp(SHORTEST, LONGEST)
        } else if bytes > MUCH {
            let half = self.wait / 2;
            if half < SHORTEST {
                Duration::ZERO
            } else {
                half
            }
        } else {
            self.wait
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes found at each look at a stream of so many bytes a microsecond, through a socket that holds
    /// 200,000.
    fn looks(speed: usize) -> Vec<usize> {
        let mut linger = Linger::default();
        let mut found = 8192;
        let mut looks = Vec::new();
        for _ in 0..50 {
            linger.found(found);
            let micros = linger.next().as_micros() as usize;
            found = (micros * speed).clamp(8192, 200_000);
            looks.push(found);
        }
        looks
    }

    #[test]
    fn many_pieces_come_at_once_and_no_server_waits() {
        for speed in [70, 130, 500, 1000] {
            let looks = looks(speed);
            let settled = &looks[10..];
            let (least, most) = (settled.iter().min(), settled.iter().max());
            assert!(*least.unwrap() >= 40_000, "{speed}: {looks:?}");
            assert!(*most.unwrap() < 200_000, "{speed}: {looks:?}");
        }
    }

    #[test]
    fn a_stream_that_is_always_full_is_not_waited_for() {
        let mut linger = Linger::default();
        for _ in 0..10 {
            linger.found(1);
        }
        assert_eq!(linger.next(), LONGEST);
        for _ in 0..10 {
            linger.found(256 * 1024);
        }
        assert_eq!(linger.next(), Duration::ZERO);
    }
}
