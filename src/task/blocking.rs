//! Work that would hold up the runtime's own threads.

use crate::error::{Error, Kind, Result};

/// Runs `work` on a blocking thread. A panic of it goes on here.
///
/// # Errors
/// What `work` ends with; [`Kind::Interrupted`] when the runtime shuts down before it has begun.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::new(
                Kind::Interrupted,
                "the runtime is shutting down",
            )),
        },
    }
}
