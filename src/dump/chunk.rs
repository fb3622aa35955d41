//! Cutting a large table into chunks, so that several connections read it at once.

use super::copy::PageRange;

/// Pages are this large unless the server was built otherwise; only sizes of chunks depend on it.
const PAGE_BYTES: u64 = 8192;

/// A chunk is not made smaller than this: below, the cost of a statement and of a COPY over a
/// query instead of a table is felt.
const MIN_CHUNK_BYTES: u64 = 64 << 20;

/// Nor larger: the tail of a dump is at most one chunk per worker.
const MAX_CHUNK_BYTES: u64 = 1 << 30;

/// Ranges of pages that cover a table of `heap_bytes` (its heap) and `bytes` (with TOAST), for
/// `jobs` workers. One range, open at both ends, when it is not worth cutting. The last range is
/// always open: rows may stand behind what the size said when it was read.
pub(super) fn cut(heap_bytes: u64, bytes: u64, jobs: usize) -> Vec<PageRange> {
    let whole = vec![PageRange { from: 0, to: None }];
    let pages = heap_bytes.div_ceil(PAGE_BYTES);
    if jobs < 2 || bytes < 2 * MIN_CHUNK_BYTES || pages < 2 {
        return whole;
    }
    // Several chunks per worker let the last ones even out what the server does at unequal speed.
    let wanted = (bytes / (jobs as u64 * 4)).clamp(MIN_CHUNK_BYTES, MAX_CHUNK_BYTES);
    let count = bytes.div_ceil(wanted).min(pages);
    let mut ranges = Vec::new();
    for number in 0..count {
        let from = pages * number / count;
        let to = pages * (number + 1) / count;
        ranges.push(PageRange {
            from,
            to: (number + 1 < count).then_some(to),
        });
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_cover_every_page_once(heap in 0u64..1 << 45, toast in 0u64..1 << 40, jobs in 1usize..64) {
            let ranges = cut(heap, heap + toast, jobs);
            prop_assert_eq!(ranges[0].from, 0);
            prop_assert_eq!(ranges.last().unwrap().to, None);
            for pair in ranges.windows(2) {
                prop_assert_eq!(pair[0].to, Some(pair[1].from));
                prop_assert!(pair[0].from < pair[1].from);
            }
        }
    }

    #[test]
    fn small_tables_and_single_workers_are_not_cut() {
        assert_eq!(cut(1 << 20, 1 << 20, 8).len(), 1);
        assert_eq!(cut(1 << 33, 1 << 33, 1).len(), 1);
        assert!(cut(1 << 30, 1 << 30, 2).len() >= 4);
    }
}
