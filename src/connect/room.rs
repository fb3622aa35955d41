//! A server that has room for fewer sessions than are wanted: one rule for all that open a set of them.
//!
//! A session that is refused for want of room is tried again for a moment, since one that has just ended
//! still counts. Then the others do its work, which is said once; only where there is no other, it is a failure.

use std::time::Duration;

use crate::error::{Error, Result, SqlState};
use crate::task::Backoff;

/// Whether the server refuses a session only because there are so many of the server's, the database's or the role's.
pub(crate) fn lacks_room(error: &Error) -> bool {
    error.sqlstate() == Some(&SqlState::TOO_MANY_CONNECTIONS)
}

/// The waits before a session is given up for want of room.
pub(crate) fn moments() -> Backoff {
    Backoff::new(Duration::from_millis(100), Duration::from_millis(200), 3)
}

/// Opens a session, also one for which there is only room in a moment.
///
/// # Errors
/// What `open` says; if [`lacks_room`], the others may do without it.
pub(crate) async fn open_in_a_moment<T, F>(mut open: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut waits = moments();
    loop {
        match open().await {
            Err(error) if lacks_room(&error) => match waits.next() {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            },
            opened => return opened,
        }
    }
}

/// The warning that there are only so many of the sessions that were wanted.
pub(crate) fn fewer(there: usize, wanted: usize) -> String {
    format!("the server has room for {there} of {wanted} sessions")
}
