//! The table of records.

use futures::future::BoxFuture;

use crate::error::Result;
use crate::mirror::{Mirror, Synced};
use crate::ops::repository::{Aftermath, Ended};
use crate::repository::Repository;

/// Keeps a table of records up to date.
#[derive(Debug)]
pub struct Mirrored {
    mirror: Mirror,
}

impl Mirrored {
    /// Keeps this table.
    pub fn new(mirror: Mirror) -> Self {
        Self { mirror }
    }

    /// Has the table show what the repository shows now.
    ///
    /// # Errors
    /// As [`Mirror::sync`].
    pub async fn write(&self, repository: &Repository) -> Result<Synced> {
        self.mirror.sync(repository).await.map(|(synced, _)| synced)
    }
}

impl Aftermath for Mirrored {
    fn name(&self) -> String {
        "table of records".to_owned()
    }

    fn ended<'a>(&'a self, ended: Ended<'a>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match ended.repository {
                Some(repository) => self.write(repository).await.map(|_| ()),
                // The backup's own error says why there is none.
                None => Ok(()),
            }
        })
    }
}
