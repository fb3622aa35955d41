//! File work on blocking threads, and the errors it ends with.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Kind, Result};
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
    let why = match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::StorageFull => "no space left on device".to_owned(),
        io::ErrorKind::QuotaExceeded => "disk quota exceeded".to_owned(),
        io::ErrorKind::FileTooLarge => "file too large".to_owned(),
        io::ErrorKind::BrokenPipe => "broken pipe: its reader has gone".to_owned(),
        io::ErrorKind::UnexpectedEof => "it has become shorter".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "read-only file system".to_owned(),
        _ => lower_first(&error.to_string()),
    };
    let converted = Error::new(Kind::Storage, format!("{what}: {why}"));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            converted.with_hint("free some space, or write to another place")
        }
        _ => converted,
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}
