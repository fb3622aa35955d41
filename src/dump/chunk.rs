//! Cutting a large table into chunks while it is read, so that several connections work at once
//! and end at about the same time.
//!
//! Nothing is cut in advance. Whoever is free takes a share of what nobody has taken yet: large
//! shares at first, which cost little, and ever smaller ones towards the end, so that nobody waits
//! long for the last. Sizes are those of the files, TOAST with them; planner statistics, which can be old or
//! missing, are not asked.

use super::copy::PageRange;

/// Pages are this large unless the server was built otherwise; only sizes of chunks depend on it.
const PAGE_BYTES: u64 = 8192;

/// A chunk is not made smaller than this, about two frames: there are only a few of the smallest ones, at the end.
const MIN_CHUNK_BYTES: u64 = 16 << 20;

/// Nor larger: after a lost connection a chunk is read again from its beginning.
const MAX_CHUNK_BYTES: u64 = 1 << 30;

/// Smaller tables are read whole: COPY of a table is cheaper than COPY of a query.
const MIN_CUT_BYTES: u64 = 64 << 20;

/// What of a large table nobody has taken yet.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    pages: u64,
    next: u64,
    /// Heap and TOAST.
    bytes: u64,
    jobs: u64,
    chunks: u32,
    /// The last chunk has been taken.
    ended: bool,
}

/// A share of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Number within the table, from 0, in the order of pages.
    pub number: u32,
    /// Its pages; none: the whole table.
    pub range: Option<PageRange>,
    /// No other one comes after it.
    pub is_last: bool,
}

impl Chunk {
    /// A table that is not cut.
    pub const WHOLE: Self = Self {
        number: 0,
        range: None,
        is_last: true,
    };
}

impl Cursor {
    /// For a table of `heap_bytes` (its heap) and `bytes` (with TOAST), read by `jobs` workers. None
    /// when it is not worth cutting.
    pub fn new(heap_bytes: u64, bytes: u64, jobs: usize) -> Option<Self> {
        let pages = heap_bytes.div_ceil(PAGE_BYTES);
        if jobs < 2 || bytes < MIN_CUT_BYTES || pages < 2 {
            return None;
        }
        Some(Self {
            pages,
            next: 0,
            bytes,
            jobs: jobs as u64,
            chunks: 0,
            ended: false,
        })
    }

    /// Size of the first, and so the largest, chunk in bytes.
    pub fn largest(&self) -> u64 {
        (self.bytes / (2 * self.jobs)).clamp(MIN_CHUNK_BYTES, MAX_CHUNK_BYTES)
    }

    /// A share of what is left, and with it the right to say when the table is at its end.
    pub fn take(&mut self) -> Option<Chunk> {
        let left = self.pages - self.next;
        let pages_of = |bytes: u64| {
            let pages = u128::from(bytes) * u128::from(self.pages) / u128::from(self.bytes.max(1));
            u64::try_from(pages).unwrap_or(u64::MAX).max(1)
        };
        let share =
            (left / (2 * self.jobs)).clamp(pages_of(MIN_CHUNK_BYTES), pages_of(MAX_CHUNK_BYTES));
        // What would be left over is not worth a statement of its own.
        let to = (left > share + share / 2).then_some(self.next + share);
        self.take_to(to)
    }

    /// All that is left.
    pub fn take_rest(&mut self) -> Option<Chunk> {
        self.take_to(None)
    }

    /// The last range is always open: rows may stand behind what the size said when it was read.
    fn take_to(&mut self, to: Option<u64>) -> Option<Chunk> {
        if self.ended {
            return None;
        }
        let chunk = Chunk {
            number: self.chunks,
            range: Some(PageRange {
                from: self.next,
                to,
            }),
            is_last: to.is_none(),
        };
        self.ended = to.is_none();
        self.next = to.unwrap_or(self.pages);
        // Each has a page at least, of which there are fewer than 2^32.
        self.chunks = self.chunks.saturating_add(1);
        Some(chunk)
    }

    /// Whether all has been taken.
    pub fn is_at_end(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(mut cursor: Cursor) -> Vec<Chunk> {
        std::iter::from_fn(|| cursor.take()).collect()
    }

    proptest! {
        #[test]
        fn chunks_cover_every_page_once(
            heap in 0u64..1 << 45, toast in 0u64..1 << 40, jobs in 1usize..64, rest_at in 0usize..40,
        ) {
            let Some(mut cursor) = Cursor::new(heap, heap + toast, jobs) else {
                prop_assert!(jobs < 2 || heap + toast < MIN_CUT_BYTES || heap <= PAGE_BYTES);
                return Ok(());
            };
            let mut next = 0;
            for number in 0.. {
                prop_assert!(!cursor.is_at_end());
                let chunk = if number == rest_at { cursor.take_rest() } else { cursor.take() };
                let chunk = chunk.unwrap();
                prop_assert_eq!(chunk.number as usize, number);
                let range = chunk.range.unwrap();
                prop_assert_eq!(range.from, next);
                prop_assert_eq!(chunk.is_last, range.to.is_none());
                let Some(to) = range.to else { break };
                prop_assert!(to > next && to < heap.div_ceil(PAGE_BYTES));
                next = to;
            }
            prop_assert!(cursor.is_at_end());
            prop_assert_eq!(cursor.take(), None);
            prop_assert_eq!(cursor.take_rest(), None);
        }

        #[test]
        fn the_tail_is_short_and_statements_are_few(gib in 1u64..4096, jobs in 2usize..64) {
            let bytes = gib << 30;
            let chunks = all(Cursor::new(bytes, bytes, jobs).unwrap());
            let sizes: Vec<u64> = chunks
                .iter()
                .map(|chunk| {
                    let range = chunk.range.unwrap();
                    (range.to.unwrap_or(bytes / PAGE_BYTES) - range.from) * PAGE_BYTES
                })
                .collect();
            prop_assert!(*sizes.last().unwrap() <= 2 * MIN_CHUNK_BYTES);
            prop_assert!(sizes.iter().all(|size| *size <= MAX_CHUNK_BYTES));
            // One for each GiB, and a geometric series from there on.
            let most = gib + 2 * jobs as u64 * 12;
            prop_assert!((chunks.len() as u64) < most, "{} {}", chunks.len(), most);
        }
    }

    #[test]
    fn small_tables_and_single_workers_are_not_cut() {
        assert!(Cursor::new(1 << 20, 1 << 20, 8).is_none());
        assert!(Cursor::new(1 << 33, 1 << 33, 1).is_none());
        assert!(all(Cursor::new(1 << 30, 1 << 30, 2).unwrap()).len() >= 8);
    }

    #[test]
    fn few_pages_with_much_behind_them_are_cut_too() {
        let cursor = Cursor::new(50 * PAGE_BYTES, 10 << 30, 4).unwrap();
        assert!(all(cursor).len() >= 20);
    }
}
