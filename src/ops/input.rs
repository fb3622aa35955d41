//! Where an archive comes from, and where one goes.

use std::fmt;
use std::sync::Arc;

use tokio::io::AsyncRead;

use crate::encryption::{DecryptedSource, EncryptedSink, Keys, Recipients, decrypt_stream};
use crate::error::{Error, Kind, Result, system_reason};
use crate::storage::{self, LocalSource, Location, Overwrite, Sink, Source, StoreSettings};

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
    /// Opens a file, or an object of a store by its URL; `-` is standard input, a FIFO or device is
    /// read front to back. Stores are set up by the environment.
    ///
    /// # Errors
    /// [`Kind::Storage`] when it cannot be opened, [`Kind::Usage`] for a URL that is none.
    pub async fn open(location: &str) -> Result<Self> {
        let location = Location::parse(location)?;
        let path = match &location {
            Location::Standard => return Ok(Self::Stream(Box::new(tokio::io::stdin()))),
            Location::Path(path) => path,
            Location::Object(_) => {
                let settings = StoreSettings::from_environment();
                return Ok(Self::Source(storage::open(&location, &settings).await?));
            }
        };
        match tokio::fs::metadata(path).await {
            Ok(found) if !found.is_file() && !found.is_dir() => {}
            // What is not there or a directory, too: that is where it is told.
            _ => return Ok(Self::Source(Arc::new(LocalSource::open(path).await?))),
        }
        let file = tokio::fs::File::open(path).await.map_err(|error| {
            let why = format!("open {path}: {}", system_reason(&error));
            Error::new(Kind::Storage, why).with_source(error)
        })?;
        Ok(Self::Stream(Box::new(file)))
    }
}

impl Input {
    /// Decrypts an archive if it is encrypted; one that is not stays as it is.
    ///
    /// # Errors
    /// [`Kind::Refused`] when it is encrypted and none of the keys opens it, [`Kind::Archive`] for a
    /// damaged header of encryption, [`Kind::Storage`] when it cannot be read.
    pub async fn decrypted(self, keys: &Keys) -> Result<Self> {
        Ok(match self {
            Self::Source(source) if DecryptedSource::is_needed(source.as_ref()).await? => {
                Self::Source(Arc::new(DecryptedSource::open(source, keys).await?))
            }
            Self::Source(source) => Self::Source(source),
            Self::Stream(stream) => Self::Stream(decrypt_stream(stream, keys).await?),
        })
    }
}

/// Encrypts what is written to a sink, where there are recipients.
///
/// # Errors
/// As [`EncryptedSink::create`].
pub async fn encrypted(
    sink: Box<dyn Sink>,
    recipients: Option<&Recipients>,
) -> Result<Box<dyn Sink>> {
    Ok(match recipients {
        Some(recipients) => Box::new(EncryptedSink::create(sink, recipients).await?),
        None => sink,
    })
}

/// Begins to write a file, or an object of a store by its URL; `-` is standard output. Stores are set
/// up by the environment.
///
/// # Errors
/// As [`storage::create`]; [`Kind::Usage`] for a URL that is none.
pub async fn create_output(location: &str, overwrite: Overwrite) -> Result<Box<dyn Sink>> {
    let location = Location::parse(location)?;
    storage::create(&location, overwrite, &StoreSettings::from_environment()).await
}
