//! How much of the machine has nothing to do.

use std::fs;

/// Where Linux counts what its processors did.
const COUNTERS: &str = "/proc/stat";

/// The share of the machine's cores that had nothing to compute between two looks. Linux alone tells;
/// a process that may not use all the cores that are counted (a cpuset, a quota of its control group)
/// is told nothing either, since cores that it may not use are no help to it.
#[derive(Debug, Default)]
pub struct Idleness {
    last: Option<Ticks>,
}

/// Time of all cores together, since the machine started, in the system's own unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticks {
    idle: u64,
    all: u64,
    cores: usize,
}

impl Idleness {
    /// From 0 (every core was busy since the last look) to 1 (none was); none at the first look and
    /// where it cannot be known. Reads a small file of the kernel's, some tens of microseconds.
    pub fn look(&mut self) -> Option<f64> {
        let now = fs::read_to_string(COUNTERS)
            .ok()
            .and_then(|text| ticks(&text));
        let usable = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let before = std::mem::replace(&mut self.last, now)?;
        let now = now.filter(|now| now.cores <= usable)?;
        share(before, now)
    }
}

/// None when too little time went by to tell.
fn share(before: Ticks, now: Ticks) -> Option<f64> {
    let all = now.all.checked_sub(before.all).filter(|all| *all > 0)?;
    // The kernel does not promise that waiting for a device only grows.
    let idle = now.idle.saturating_sub(before.idle).min(all);
    // Far below where a float stops counting by ones.
    Some(idle as f64 / all as f64)
}

/// The sums of all cores, and how many cores they are of.
fn ticks(text: &str) -> Option<Ticks> {
    let mut ticks = None;
    let mut cores = 0;
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("cpu") => {
                // user nice system idle iowait irq softirq steal; guests are within user.
                let counts: Vec<u64> = words
                    .take(8)
                    .map(str::parse)
                    .collect::<Result<_, _>>()
                    .ok()?;
                let idle = counts.get(3)?;
                // A core that waits for a device computes nothing.
                let waiting = counts.get(4).copied().unwrap_or_default();
                ticks = Some((idle.checked_add(waiting)?, counts.iter().sum()));
            }
            Some(word) if word.starts_with("cpu") => cores += 1,
            _ => {}
        }
    }
    let (idle, all) = ticks?;
    Some(Ticks { idle, all, cores })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "cpu  300 10 90 500 50 0 20 30 7 0\n\
                       cpu0 150 5 45 250 25 0 10 15 7 0\n\
                       cpu1 150 5 45 250 25 0 10 15 0 0\n\
                       intr 1 2 3\nctxt 5\n";

    #[test]
    fn counters_are_read() {
        let two = Ticks {
            idle: 550,
            all: 1000,
            cores: 2,
        };
        assert_eq!(ticks(TWO), Some(two));
        for text in ["", "intr 1\n", "cpu\n", "cpu 1 2 3\n", "cpu 1 2 x 4 5\n"] {
            assert_eq!(ticks(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_share_is_of_the_time_between_two_looks() {
        let at = |idle, all| Ticks {
            idle,
            all,
            cores: 1,
        };
        for (before, now, expected) in [
            (at(50, 100), at(75, 200), Some(0.25)),
            (at(50, 100), at(50, 200), Some(0.0)),
            (at(50, 100), at(150, 200), Some(1.0)),
            // Nothing went by, or time went backwards.
            (at(50, 100), at(50, 100), None),
            (at(50, 100), at(50, 90), None),
            (at(50, 100), at(40, 110), Some(0.0)),
            (at(0, 100), at(50, 110), Some(1.0)),
        ] {
            assert_eq!(share(before, now), expected, "{before:?} {now:?}");
        }
    }

    #[test]
    fn the_first_look_tells_nothing() {
        assert_eq!(Idleness::default().look(), None);
    }
}
