//! How many workers, when nobody says.

/// The number of cores, at most 8.
pub fn default_jobs() -> usize {
    std::thread::available_parallelism()
        .map_or(2, std::num::NonZero::get)
        .min(8)
}
