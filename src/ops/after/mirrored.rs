//! The table of records.

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use tokio::task::JoinHandle;

use crate::error::Result;
use crate::mirror::{Mirror, Synced};
use crate::ops::repository::{Aftermath, Ended};
use crate::repository::{Backup, Repository};
use crate::task::lock;

/// Keeps a table of records up to date.
#[derive(Debug)]
pub struct Mirrored {
    mirror: Arc<Mirror>,
    /// What is being written of a backup that has begun: none waits for that.
    beginning: Mutex<Option<JoinHandle<()>>>,
}

impl Mirrored {
    /// Keeps this table.
    pub fn new(mirror: Mirror) -> Self {
        Self {
            mirror: Arc::new(mirror),
            beginning: Mutex::new(None),
        }
    }

    /// Has the table show what the repository shows now.
    ///
    /// # Errors
    /// As [`Mirror::sync`].
    pub async fn write(&self, repository: &Repository) -> Result<Synced> {
        self.mirror.sync(repository).await.map(|(synced, _)| synced)
    }

    fn beginning(&self, next: Option<JoinHandle<()>>) -> Option<JoinHandle<()>> {
        let mut beginning = lock(&self.beginning);
        std::mem::replace(&mut beginning, next)
    }
}

impl Aftermath for Mirrored {
    fn name(&self) -> String {
        "table of records".to_owned()
    }

    fn started<'a>(
        &'a self,
        _backup: &'a Backup,
        repository: &'a Repository,
    ) -> BoxFuture<'a, Result<()>> {
        let (mirror, repository) = (Arc::clone(&self.mirror), repository.clone());
        let writing = tokio::spawn(async move {
            // What hinders it is told at the end, when the same is tried again.
            let _ = mirror.sync(&repository).await;
        });
        self.beginning(Some(writing));
        Box::pin(futures::future::ready(Ok(())))
    }

    fn ended<'a>(&'a self, ended: Ended<'a>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if let Some(writing) = self.beginning(None) {
                // What it would write is not so any more.
                writing.abort();
                // It ends by itself; a panic in it has nothing to tell here.
                let _ = writing.await;
            }
            match ended.repository {
                Some(repository) => self.write(repository).await.map(|_| ()),
                // The backup's own error says why there is none.
                None => Ok(()),
            }
        })
    }
}
