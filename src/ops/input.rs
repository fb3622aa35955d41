//! Where an archive comes from, and where one goes.

use std::fmt;
use std::sync::Arc;

use tokio::io::AsyncRead;

use crate::error::{Error, Kind, Result};
use crate::storage::{LocalSink, LocalSource, Overwrite, PipeSink, Sink, Source};

/// An archive to read.
pub enum Input {
    /// One that can be read at any offset.
    Source(Arc<dyn Source>),
    /// One that comes front to back.
    Stream(Box<dyn AsyncRead + Send + Unpin>),
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(source) => f.debug_tuple("Source").field(&source.name()).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl Input {
    /// Opens a file; `-` is standard input, a FIFO or device is read front to back.
    ///
    /// # Errors
    /// [`Kind::Storage`] when it cannot be opened.
    pub async fn open(path: &str) -> Result<Self> {
        if path == "-" {
            return Ok(Self::Stream(Box::new(tokio::io::stdin())));
        }
        match tokio::fs::metadata(path).await {
            Ok(found) if !found.is_file() && !found.is_dir() => {}
            // What is not there or a directory, too: that is where it is told.
            _ => return Ok(Self::Source(Arc::new(LocalSource::open(path).await?))),
        }
        let file = tokio::fs::File::open(path).await.map_err(|error| {
            Error::new(Kind::Storage, format!("open {path}: {error}")).with_source(error)
        })?;
        Ok(Self::Stream(Box::new(file)))
    }
}

/// Begins to write a file; `-` is standard output.
///
/// # Errors
/// As [`LocalSink::create`].
pub async fn create_output(path: &str, overwrite: Overwrite) -> Result<Box<dyn Sink>> {
    if path == "-" {
        return Ok(Box::new(PipeSink::stdout()));
    }
    Ok(Box::new(LocalSink::create(path, overwrite).await?))
}
