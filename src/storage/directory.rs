//! A local directory as a store.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::blocking::{blocking, storage_error};
use super::location::check_key;
use super::{LocalSink, LocalSource, ObjectInfo, Overwrite, Put, Sink, Source, Store};
use crate::error::{Context as _, Error, Kind, Result};

/// Objects as files below a directory, which is made with the first of them.
///
/// Files that begin with a dot are no objects: unfinished ones are named so.
#[derive(Clone, Debug)]
pub struct LocalStore {
    root: PathBuf,
}

impl LocalStore {
    /// A store below this directory.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, key: &str) -> Result<PathBuf> {
        check_key(key).map_err(|error| error.context(format!("key {key:?}")))?;
        if key.is_empty() || key.split('/').any(|part| part.starts_with('.')) {
            return Err(Error::new(
                Kind::Usage,
                format!("key {key:?}: a file of a store has a name that does not begin with a dot"),
            ));
        }
        Ok(self.root.join(key))
    }

    /// The files below whose names stand for an object, by what `object` makes of them.
    fn walk<'a>(
        &'a self,
        prefix: &'a str,
        object: fn(&str) -> Option<&str>,
    ) -> BoxFuture<'a, Result<Vec<ObjectInfo>>> {
        Box::pin(async move {
            let below = if prefix.is_empty() {
                self.root.clone()
            } else {
                self.path(prefix)?
            };
            let prefix = prefix.to_owned();
            blocking(move || {
                let mut found = Vec::new();
                walk(&below, &prefix, object, &mut found)
                    .context_with(|| format!("list {}", below.display()))?;
                found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
                Ok(found)
            })
            .await
        })
    }

    /// The file's path, with the directories above it made.
    async fn prepare(&self, key: &str) -> Result<PathBuf> {
        let path = self.path(key)?;
        let above = path.parent().unwrap_or(&self.root).to_owned();
        blocking(move || {
            fs::create_dir_all(&above)
                .map_err(|error| storage_error(&error, &format!("create {}", above.display())))
        })
        .await?;
        Ok(path)
    }
}

fn info(key: String, found: &fs::Metadata) -> ObjectInfo {
    let modified = found.modified().ok();
    ObjectInfo {
        key,
        bytes: found.len(),
        modified: modified
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .and_then(|since| i64::try_from(since.as_secs()).ok())
            .unwrap_or(0),
    }
}

/// `None` for what is not there.
fn there<T>(result: io::Result<T>, path: &Path, what: &str) -> Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(storage_error(&error, &format!("{what} {}", path.display()))),
    }
}

impl Store for LocalStore {
    fn name(&self) -> String {
        self.root.display().to_string()
    }

    fn stands(&self) -> BoxFuture<'_, Result<bool>> {
        let root = self.root.clone();
        Box::pin(blocking(move || Ok(root.exists())))
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>> {
        Box::pin(async move {
            let path = self.path(key)?;
            let key = key.to_owned();
            blocking(move || {
                let found = there(fs::metadata(&path), &path, "look at")?;
                Ok(found.filter(fs::Metadata::is_file).map(|it| info(key, &it)))
            })
            .await
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>>> {
        Box::pin(async move {
            let path = self.path(key)?;
            blocking(move || Ok(there(fs::read(&path), &path, "read")?.map(Bytes::from))).await
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        overwrite: Overwrite,
    ) -> BoxFuture<'a, Result<Put>> {
        Box::pin(async move {
            let written = async {
                let mut sink = self.create(key, overwrite).await?;
                sink.write(bytes).await?;
                sink.finish().await
            };
            match written.await {
                Ok(()) => Ok(Put::Written),
                Err(error) if error.kind() == Kind::Refused => Ok(Put::Exists),
                Err(error) => Err(error),
            }
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let path = self.path(key)?;
            blocking(move || there(fs::remove_file(&path), &path, "delete").map(|_| ())).await
        })
    }

    fn sweep<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let path = self.path(key)?;
            blocking(move || LocalSink::remove_partials(&path)).await
        })
    }

    fn unfinished<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<ObjectInfo>>> {
        self.walk(prefix, LocalSink::target_of_partial)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<ObjectInfo>>> {
        self.walk(prefix, |name| (!name.starts_with('.')).then_some(name))
    }

    fn create<'a>(
        &'a self,
        key: &'a str,
        overwrite: Overwrite,
    ) -> BoxFuture<'a, Result<Box<dyn Sink>>> {
        Box::pin(async move {
            let path = self.prepare(key).await?;
            Ok(Box::new(LocalSink::create(path, overwrite).await?) as Box<dyn Sink>)
        })
    }

    fn open<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Arc<dyn Source>>> {
        Box::pin(async move {
            let path = self.path(key)?;
            Ok(Arc::new(LocalSource::open(path).await?) as Arc<dyn Source>)
        })
    }
}

fn walk(
    directory: &Path,
    prefix: &str,
    object: fn(&str) -> Option<&str>,
    found: &mut Vec<ObjectInfo>,
) -> Result<()> {
    let Some(entries) = there(fs::read_dir(directory), directory, "read")? else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry
            .map_err(|error| storage_error(&error, &format!("read {}", directory.display())))?;
        // A name that is no UTF-8 cannot be one of ours.
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let key = |name: &str| match prefix {
            "" => name.to_owned(),
            _ => format!("{prefix}/{name}"),
        };
        let named = object(&name);
        if named.is_none() && name.starts_with('.') {
            continue;
        }
        let path = entry.path();
        // Deleted between the two calls: not there.
        let Some(meta) = there(fs::metadata(&path), &path, "look at")? else {
            continue;
        };
        if meta.is_dir() && !name.starts_with('.') {
            walk(&path, &key(&name), object, found)?;
        } else if let Some(named) = named.filter(|_| meta.is_file()) {
            found.push(info(key(named), &meta));
        }
    }
    Ok(())
}
