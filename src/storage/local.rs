//! Local files.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::blocking::{blocking, storage_error, write_all};
use super::{Sink, Source};
use crate::error::{Error, Kind, Result};

/// What to do when the target exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// Replace it, at the moment that the new file is complete.
    #[default]
    Replace,
    /// Refuse, with [`Kind::Refused`](crate::error::Kind::Refused).
    Refuse,
}

/// Writes a local file under a temporary name beside the target, which gets its name when it is
/// complete and on disk; dropped before, it is removed. A FIFO or device is written directly.
///
/// The file is readable by its owner alone (mode 0600). The temporary name is
/// `.NAME.RANDOM.partial`. A target that is a symbolic link to a file stays one.
pub struct LocalSink {
    file: Arc<File>,
    target: PathBuf,
    /// The temporary file; `None` when the target is written directly.
    partial: Option<Partial>,
    overwrite: Overwrite,
    written: u64,
}

/// A temporary file, removed when dropped.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // Nothing more can be done, and the name says what it is.
        let _ = fs::remove_file(&self.0);
    }
}

impl LocalSink {
    /// Begins to write.
    ///
    /// # Errors
    /// [`Kind::Storage`](crate::error::Kind::Storage) when the file cannot be made,
    /// [`Kind::Refused`](crate::error::Kind::Refused) when the target exists and may not be
    /// replaced.
    pub async fn create(path: impl AsRef<Path> + Send, overwrite: Overwrite) -> Result<Self> {
        let path = path.as_ref().to_owned();
        blocking(move || Self::create_blocking(&path, overwrite)).await
    }

    fn create_blocking(path: &Path, overwrite: Overwrite) -> Result<Self> {
        let fail = |error: io::Error| storage_error(&error, &format!("create {}", path.display()));
        let direct = |target: PathBuf| {
            let file = OpenOptions::new().write(true).open(&target).map_err(fail)?;
            Ok(Self {
                file: Arc::new(file),
                target,
                partial: None,
                overwrite,
                written: 0,
            })
        };
        // These names stand for something already open, whatever kind of file it is.
        if ["/dev/stdout", "/dev/stderr"]
            .iter()
            .any(|name| path == Path::new(name))
            || path.starts_with("/dev/fd")
            || path.starts_with("/proc/self/fd")
        {
            return direct(path.to_owned());
        }
        let target = match fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                return Err(Error::new(
                    Kind::Storage,
                    format!("create {}: it is a directory", path.display()),
                ));
            }
            Ok(found) if !found.is_file() => return direct(path.to_owned()),
            Ok(_) if overwrite == Overwrite::Refuse => return Err(exists(path)),
            // Through symbolic links, so that the link stays and its target is replaced.
            Ok(_) => fs::canonicalize(path).map_err(fail)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(fail(error)),
        };
        let Some(name) = target.file_name() else {
            return Err(Error::new(
                Kind::Storage,
                format!("create {}: it names no file", path.display()),
            ));
        };
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|error| Error::new(Kind::Failed, "no randomness").with_source(error))?;
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{:016x}.partial", u64::from_ne_bytes(random)));
        let partial = target.with_file_name(hidden);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial)
            .map_err(fail)?;
        Ok(Self {
            file: Arc::new(file),
            target,
            partial: Some(Partial(partial)),
            overwrite,
            written: 0,
        })
    }

    /// Lets everybody read the file, as far as its directory does.
    ///
    /// # Errors
    /// [`Kind::Storage`](crate::error::Kind::Storage) when that cannot be said.
    pub fn readable_by_all(&self) -> Result<()> {
        let mode = fs::Permissions::from_mode(0o644);
        let fail = |error: io::Error| {
            storage_error(
                &error,
                &format!("set the mode of {}", self.target.display()),
            )
        };
        match self.partial {
            Some(_) => self.file.set_permissions(mode).map_err(fail),
            // What is written directly is somebody else's.
            None => Ok(()),
        }
    }

    /// The name of the file that a temporary one of this name was to become; none when it is no such one.
    pub(super) fn target_of_partial(name: &str) -> Option<&str> {
        let rest = name.strip_prefix('.')?.strip_suffix(".partial")?;
        let (target, random) = rest.rsplit_once('.')?;
        let is_ours = random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_ours && !target.is_empty()).then_some(target)
    }

    /// Removes what writers of a file that died have left: their temporary files.
    pub(super) fn remove_partials(target: &Path) -> Result<()> {
        let (Some(above), Some(name)) = (target.parent(), target.file_name()) else {
            return Ok(());
        };
        let Some(name) = name.to_str() else {
            return Ok(());
        };
        let fail = |error: io::Error| storage_error(&error, &format!("sweep {}", above.display()));
        let entries = match fs::read_dir(above) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(fail(error)),
        };
        for entry in entries {
            let entry = entry.map_err(fail)?;
            let found = entry.file_name();
            let is_partial = found.to_str().and_then(Self::target_of_partial) == Some(name);
            if is_partial {
                match fs::remove_file(entry.path()) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(fail(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn finish_blocking(self) -> Result<()> {
        let Some(partial) = &self.partial else {
            return Ok(());
        };
        let fail =
            |error: io::Error| storage_error(&error, &format!("finish {}", self.target.display()));
        self.file.sync_all().map_err(fail)?;
        match self.overwrite {
            Overwrite::Replace => fs::rename(&partial.0, &self.target).map_err(fail)?,
            // A link fails when the name is taken, also when it was taken a moment ago.
            Overwrite::Refuse => match fs::hard_link(&partial.0, &self.target) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(exists(&self.target));
                }
                Err(_) if fs::symlink_metadata(&self.target).is_ok() => {
                    return Err(exists(&self.target));
                }
                // A file system without hard links.
                Err(_) => fs::rename(&partial.0, &self.target).map_err(fail)?,
            },
        }
        let directory = match self.target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // The name is as durable as the content only when its directory is on disk, too. The file
        // is there by now: a directory that may not be read, or a file system that cannot do
        // this, makes no failure of it.
        match File::open(directory).and_then(|directory| directory.sync_all()) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied
                        | io::ErrorKind::InvalidInput
                        | io::ErrorKind::Unsupported
                ) =>
            {
                Ok(())
            }
            other => other.map_err(fail),
        }
    }
}

fn exists(path: &Path) -> Error {
    Error::new(Kind::Refused, format!("{} exists", path.display()))
}

impl Sink for LocalSink {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let name = self.target.display().to_string();
            write_all(&self.file, bytes, &mut self.written, name).await
        })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(blocking(move || self.finish_blocking()))
    }
}

/// Reads a local file at any offset.
pub struct LocalSource {
    file: Arc<File>,
    path: PathBuf,
    length: u64,
}

impl LocalSource {
    /// Opens a regular file.
    ///
    /// # Errors
    /// [`Kind::Storage`](crate::error::Kind::Storage) when it cannot be opened or is no regular
    /// file.
    pub async fn open(path: impl AsRef<Path> + Send) -> Result<Self> {
        let path = path.as_ref().to_owned();
        blocking(move || {
            let fail =
                |error: io::Error| storage_error(&error, &format!("open {}", path.display()));
            // Asked before opening: to open a FIFO would wait for its writer.
            let found = fs::metadata(&path).map_err(fail)?;
            if !found.is_file() {
                let has = |name: &str| path.join(name).is_file();
                let (what, hint) = match found.is_dir() {
                    true if has("toc.dat") => (
                        "it is a directory in pg_dump's format",
                        "pg_restore reads it",
                    ),
                    true if has("cluster.json") => (
                        "it is a directory, a dump of all databases",
                        "`restore --all-databases` takes it whole; list, verify and all else take its \
                         archives one by one: *.pgstow in it",
                    ),
                    true => (
                        "it is a directory",
                        "an archive is one file; a dump of all databases is a directory of them, which \
                         `restore --all-databases` takes",
                    ),
                    false => (
                        "it is no regular file",
                        "an archive from a pipe is read with - as its name",
                    ),
                };
                let text = format!("open {}: {what}", path.display());
                return Err(Error::new(Kind::Storage, text).with_hint(hint));
            }
            let file = File::open(&path).map_err(fail)?;
            let length = file.metadata().map_err(fail)?.len();
            Ok(Self {
                file: Arc::new(file),
                path,
                length,
            })
        })
        .await
    }
}

impl Source for LocalSource {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes>> {
        let file = Arc::clone(&self.file);
        let inside = offset
            .checked_add(length as u64)
            .is_some_and(|end| end <= self.length);
        Box::pin(async move {
            let what = || format!("read {} at {offset}", self.path.display());
            if !inside {
                return Err(Error::new(
                    Kind::Storage,
                    format!("{}: beyond its end", what()),
                ));
            }
            // Not on the blocking thread: malloc would keep what is freed for each of these by itself.
            let mut bytes = vec![0; length];
            let read = blocking(move || Ok(file.read_exact_at(&mut bytes, offset).map(|()| bytes)));
            let bytes = read
                .await?
                .map_err(|error| storage_error(&error, &what()))?;
            Ok(Bytes::from(bytes))
        })
    }
}
