//! The file of metrics.

use std::path::PathBuf;

use futures::future::BoxFuture;

use crate::error::Result;
use crate::ops::repository::{Aftermath, Ended};
use crate::repository::{Repository, metrics};

/// Writes the metrics of a repository to a file.
#[derive(Clone, Debug)]
pub struct Metered {
    path: PathBuf,
}

impl Metered {
    /// Writes to this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Writes what the repository shows now.
    ///
    /// # Errors
    /// What the repository's store says, and [`Kind::Storage`](crate::error::Kind::Storage) for the file.
    pub async fn write(&self, repository: &Repository) -> Result<()> {
        let listing = repository.list().await?;
        metrics::write(&self.path, &repository.name(), &listing).await
    }
}

impl Aftermath for Metered {
    fn name(&self) -> String {
        "metrics file".to_owned()
    }

    fn ended<'a>(&'a self, ended: Ended<'a>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match ended.repository {
                Some(repository) => self.write(repository).await,
                // There is nothing to be seen of it; the file's times grow old, which is true.
                None => Ok(()),
            }
        })
    }
}
