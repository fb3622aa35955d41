//! Which level zstd works at when it is left to the dump (`zstd:auto`).
//!
//! A higher level is worth it only where it costs nobody's time: cores are idle, and no frame waits to be
//! compressed. A full queue before the writer says that storage is the slowest part, and there fewer bytes
//! are time won, so the level goes up sooner. The server may be on the same machine and needs the same
//! cores; that is why their idleness counts and not only the frames.

/// What is seen at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// Frames that wait for a place on the compression pool.
    pub unpacked: usize,
    /// Frames that wait for the writer.
    pub unwritten: usize,
    /// Share of the machine's cores that had nothing to do, from 0 to 1; none where it is not known.
    pub idle: Option<f64>,
}

/// The level at every moment: 1 to begin with, up one by one, down at once. No clock of its own: samples
/// are taken at even intervals.
#[derive(Clone, Debug)]
pub(super) struct LevelPolicy {
    threads: usize,
    ceiling: i32,
    level: i32,
    /// Good samples in a row since the level last changed, or since the last that was not good.
    good: u32,
    /// Good samples in a row since the last that was not good.
    calm: u32,
    /// How many good samples a step up takes.
    patience: u32,
}

/// No level above this: beyond it zstd needs several times the time for a percent or two.
pub(super) const CEILING: i32 = 9;

/// The ceiling where nobody says how idle the cores are: as high as costs little even if they are not.
pub(super) const CEILING_UNKNOWN: i32 = 3;

/// The highest level whose context, for frames of 8 MiB, takes no more than so many bytes.
pub(super) fn ceiling(context_bytes: u64) -> i32 {
    CONTEXTS
        .iter()
        .find(|(_, needed)| *needed <= context_bytes)
        .map_or(1, |(level, _)| *level)
}

/// Levels from the top, and what zstd's tables take at each, rounded up; half a MiB at level 1.
const CONTEXTS: [(i32, u64); 5] = [
    (CEILING, 11 << 20),
    (8, 6 << 20),
    (6, 7 << 19),
    (4, 3 << 20),
    (3, 3 << 19),
];

/// With less than this idle, the level goes down.
const BUSY: f64 = 0.10;

/// With as much idle, it may go up; in between it stays.
const IDLE: f64 = 0.25;

/// Good samples that a step up takes at first.
const PATIENCE: u32 = 3;

/// And at most, after the level had to fall again and again.
const PATIENCE_MOST: u32 = 48;

/// So many good samples in a row, and past falls are forgotten.
const FORGIVEN: u32 = 150;

impl LevelPolicy {
    /// For a pool of so many threads; never above `ceiling` (nor below 1).
    pub fn new(threads: usize, ceiling: i32) -> Self {
        Self {
            threads: threads.max(1),
            ceiling: ceiling.clamp(1, CEILING),
            level: 1,
            good: 0,
            calm: 0,
            patience: PATIENCE,
        }
    }

    /// The level from now on.
    pub fn observe(&mut self, sample: Sample) -> i32 {
        // Every thread has one, and so many more wait: compression is the slowest part. Memory bounds
        // how many can wait at all, on many cores to about as many as there are threads.
        let swamped = self.are_many(sample.unpacked);
        let busy = sample.idle.is_some_and(|idle| idle < BUSY);
        let ceiling = match sample.idle {
            Some(_) => self.ceiling,
            None => self.ceiling.min(CEILING_UNKNOWN),
        };
        if swamped {
            self.fall_to(1);
        } else if busy {
            self.fall_to(self.level / 2);
        } else if self.level > ceiling {
            self.fall_to(ceiling);
        } else if sample.unpacked == 0 && sample.idle.is_none_or(|idle| idle >= IDLE) {
            self.rise(self.are_many(sample.unwritten), ceiling);
        } else {
            self.good = 0;
            self.calm = 0;
        }
        self.level
    }

    /// More than half as many as the pool has threads.
    fn are_many(&self, frames: usize) -> bool {
        frames.saturating_mul(2) > self.threads
    }

    fn fall_to(&mut self, level: i32) {
        let level = level.clamp(1, self.ceiling);
        if level < self.level {
            // What was tried was too much: the next try waits longer.
            self.patience = (self.patience * 2).min(PATIENCE_MOST);
            self.level = level;
        }
        self.good = 0;
        self.calm = 0;
    }

    fn rise(&mut self, writer_is_behind: bool, ceiling: i32) {
        self.good += 1;
        self.calm = self.calm.saturating_add(1);
        if self.calm >= FORGIVEN {
            self.patience = PATIENCE;
        }
        let enough = if writer_is_behind {
            self.patience.div_ceil(2)
        } else {
            self.patience
        };
        if self.good >= enough {
            self.good = 0;
            self.level = (self.level + 1).min(ceiling);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(unpacked: usize, unwritten: usize, idle: Option<f64>) -> Sample {
        Sample {
            unpacked,
            unwritten,
            idle,
        }
    }

    /// The levels that a row of samples gives.
    fn levels(policy: &mut LevelPolicy, samples: impl IntoIterator<Item = Sample>) -> Vec<i32> {
        samples.into_iter().map(|s| policy.observe(s)).collect()
    }

    /// A policy on four threads that has risen to this level.
    fn risen(level: i32) -> LevelPolicy {
        let mut policy = LevelPolicy::new(4, CEILING);
        while policy.observe(sample(0, 0, Some(0.8))) < level {}
        policy
    }

    #[test]
    fn idle_cores_raise_the_level_slowly_up_to_the_ceiling() {
        let mut policy = LevelPolicy::new(4, CEILING);
        let seen = levels(&mut policy, vec![sample(0, 0, Some(0.5)); 40]);
        assert_eq!(seen[..9], [1, 1, 2, 2, 2, 3, 3, 3, 4]);
        assert_eq!(seen[39], CEILING);
        let mut policy = LevelPolicy::new(4, 2);
        let seen = levels(&mut policy, vec![sample(0, 0, Some(1.0)); 40]);
        assert_eq!(seen[39], 2);
    }

    #[test]
    fn slow_storage_raises_it_sooner_but_only_on_idle_cores() {
        let mut policy = LevelPolicy::new(4, CEILING);
        let seen = levels(&mut policy, vec![sample(0, 30, Some(0.5)); 6]);
        assert_eq!(seen, [1, 2, 2, 3, 3, 4]);
        let mut policy = LevelPolicy::new(4, CEILING);
        let seen = levels(&mut policy, vec![sample(0, 60, Some(0.02)); 40]);
        assert_eq!(seen[39], 1);
    }

    #[test]
    fn each_state_has_its_answer() {
        for (from, sample, to) in [
            // The pool is swamped, however idle the cores claim to be.
            (9, sample(3, 0, Some(0.9)), 1),
            (9, sample(5, 60, None), 1),
            (2, sample(100, 0, Some(0.0)), 1),
            // Somebody else needs the cores.
            (9, sample(0, 0, Some(0.05)), 4),
            (4, sample(0, 60, Some(0.0)), 2),
            (1, sample(0, 0, Some(0.0)), 1),
            // Neither idle nor busy, or a few wait: it stays.
            (6, sample(0, 60, Some(0.15)), 6),
            (6, sample(2, 0, Some(0.9)), 6),
            // Nobody knows any more.
            (9, sample(0, 0, None), CEILING_UNKNOWN),
        ] {
            assert_eq!(risen(from).observe(sample), to, "from {from} by {sample:?}");
        }
    }

    #[test]
    fn without_knowing_the_cores_it_stays_low() {
        let mut policy = LevelPolicy::new(4, CEILING);
        let seen = levels(&mut policy, vec![sample(0, 0, None); 100]);
        assert_eq!(seen[99], CEILING_UNKNOWN);
    }

    #[test]
    fn after_a_fall_it_waits_longer_until_that_is_forgiven() {
        let good = sample(0, 0, Some(0.5));
        let until_raised =
            |policy: &mut LevelPolicy| (1..1000).find(|_| policy.observe(good) > 1).unwrap_or(1000);
        let mut policy = LevelPolicy::new(4, CEILING);
        let mut waits = Vec::new();
        for _ in 0..7 {
            waits.push(until_raised(&mut policy));
            policy.observe(sample(5, 0, Some(0.5)));
        }
        assert_eq!(waits, [3, 6, 12, 24, 48, 48, 48]);
        levels(&mut policy, vec![good; FORGIVEN as usize]);
        policy.observe(sample(5, 0, Some(0.5)));
        assert_eq!(until_raised(&mut policy), 6);
    }

    #[test]
    fn zstd_takes_no_more_memory_than_is_reckoned() {
        let raw = vec![b'x'; crate::dump::rows::FRAME_BYTES];
        let mut stored = Vec::with_capacity(1 << 20);
        for (level, reckoned) in CONTEXTS {
            assert_eq!(ceiling(reckoned), level);
            assert!(ceiling(reckoned - 1) < level);
            let mut compressor = zstd::bulk::Compressor::new(level).unwrap();
            compressor.compress_to_buffer(&raw, &mut stored).unwrap();
            let taken = compressor.context_mut().sizeof() as u64;
            assert!(taken <= reckoned, "level {level} takes {taken}");
        }
        assert_eq!(ceiling(0), 1);
        // Two cores, and eight, with the default of 256 MiB.
        assert_eq!((ceiling(256 << 17 >> 1), ceiling(256 << 17 >> 3)), (9, 6));
    }

    fn any_sample() -> impl Strategy<Value = Sample> {
        let idle = prop_oneof![
            Just(None),
            (0.0..=1.0).prop_map(Some),
            Just(Some(f64::NAN)),
            Just(Some(0.9)),
        ];
        (prop_oneof![Just(0_usize), 0..20_usize], 0..70_usize, idle)
            .prop_map(|(unpacked, unwritten, idle)| sample(unpacked, unwritten, idle))
    }

    proptest! {
        #[test]
        fn it_never_leaves_its_bounds_and_rises_only_where_that_is_free(
            threads in 0..16_usize,
            ceiling in -3..30_i32,
            samples in proptest::collection::vec(any_sample(), 0..400),
        ) {
            let mut policy = LevelPolicy::new(threads, ceiling);
            let mut before = 1;
            for sample in samples {
                let level = policy.observe(sample);
                prop_assert!((1..=ceiling.clamp(1, CEILING)).contains(&level));
                prop_assert!(level <= before + 1);
                if sample.unpacked * 2 > threads.max(1) {
                    prop_assert_eq!(level, 1);
                }
                if level > before {
                    prop_assert_eq!(sample.unpacked, 0);
                    prop_assert!(sample.idle.is_none_or(|idle| idle >= IDLE));
                }
                if sample.idle.is_none() {
                    prop_assert!(level <= CEILING_UNKNOWN);
                }
                if sample.idle.is_some_and(|idle| idle < BUSY) && before > 1 {
                    prop_assert!(level < before);
                }
                before = level;
            }
            // Whatever was: long enough idle, and the ceiling is reached.
            for _ in 0..1000 {
                before = policy.observe(sample(0, 0, Some(1.0)));
            }
            prop_assert_eq!(before, ceiling.clamp(1, CEILING));
        }
    }
}
