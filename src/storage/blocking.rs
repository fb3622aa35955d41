//! File work on blocking threads, and the errors it ends with.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Kind, Result, system_reason};
pub(super) use crate::task::blocking;

/// Writes all bytes; `written` counts what was written before and after.
pub(super) async fn write_all(
    file: &Arc<File>,
    bytes: Bytes,
    written: &mut u64,
    name: String,
) -> Result<()> {
    let file = Arc::clone(file);
    let length = bytes.len() as u64;
    let result = blocking(move || Ok((&*file).write_all(&bytes))).await?;
    result
        .map_err(|error| storage_error(&error, &format!("write {name} after {written} bytes")))?;
    *written += length;
    Ok(())
}

/// What a system error means for storage.
pub(super) fn storage_error(error: &io::Error, what: &str) -> Error {
    let why = system_reason(error);
    // The error itself cannot be kept by two; its kind is what is asked for later.
    let converted = Error::new(Kind::Storage, format!("{what}: {why}"))
        .with_source(io::Error::from(error.kind()));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            converted.with_hint("free some space, or write to another place")
        }
        _ => converted,
    }
}
