//! Checks every byte of an archive.

use std::sync::Arc;

use tokio::io::AsyncRead;

use crate::error::Result;
use crate::report::Observer;
use crate::storage::Source;

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Members whose header and content agree with all that is known about them.
    pub members: u64,
    /// Entries with data.
    pub tables: u64,
    /// Frames.
    pub frames: u64,
    /// Rows, as the index says.
    pub rows: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// Checks every member of an archive against SHA256SUMS, index and trailer, and every header and
/// padding byte; several pieces at once, on blocking threads, in bounded memory.
///
/// # Errors
/// [`Kind::Archive`](crate::error::Kind::Archive), naming the member and its table, for the first
/// damage; [`Kind::Storage`](crate::error::Kind::Storage) when the archive cannot be read.
pub async fn verify(source: Arc<dyn Source>, observer: Arc<dyn Observer>) -> Result<VerifyReport> {
    let _ = (source, observer);
    todo!()
}

/// The same for an archive that comes from a pipe.
///
/// # Errors
/// As [`verify`].
pub async fn verify_stream<R: AsyncRead + Unpin + Send>(
    reader: R,
    observer: Arc<dyn Observer>,
) -> Result<VerifyReport> {
    let _ = (reader, observer);
    todo!()
}
