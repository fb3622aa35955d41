//! How many workers, when nobody says.

use std::num::NonZero;
use std::thread::available_parallelism;

/// The number of cores, at most 8.
pub fn default_jobs() -> usize {
    available_parallelism().map_or(2, NonZero::get).min(8)
}

/// The number of cores that this process may use; 1 where that is not known.
pub(crate) fn cores() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}
