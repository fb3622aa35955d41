//! Where the file is looked for.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::connect::Environment;
use crate::error::{Error, Kind, Result};

/// Its name where nobody says another.
pub const FILE_NAME: &str = "pgstow.toml";

/// Where the file is looked for when none is named, the first that is there.
fn candidates(environment: &dyn Environment) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from(FILE_NAME)];
    let config = environment
        .get("XDG_CONFIG_HOME")
        .filter(|it| Path::new(it).is_absolute())
        .map(PathBuf::from)
        .or_else(|| Some(environment.home()?.join(".config")));
    found.extend(config.map(|it| it.join("pgstow").join(FILE_NAME)));
    found.push(Path::new("/etc/pgstow").join(FILE_NAME));
    found
}

/// The file: the one that is named, in the call or by `PGSTOW_CONFIG`, else the first that is there.
///
/// # Errors
/// [`Kind::Refused`] for one that was found in the working directory and is somebody else's: it may
/// name commands.
pub(super) fn find(named: Option<&Path>, environment: &dyn Environment) -> Result<Option<PathBuf>> {
    if let Some(path) = named {
        return Ok(Some(path.to_owned()));
    }
    if let Some(path) = environment.get("PGSTOW_CONFIG").filter(|it| !it.is_empty()) {
        return Ok(Some(PathBuf::from(path)));
    }
    let Some(path) = candidates(environment).into_iter().find(|it| it.exists()) else {
        return Ok(None);
    };
    if path == Path::new(FILE_NAME) {
        refuse_strangers(&path)?;
    }
    Ok(Some(path))
}

/// Refuses a file that another user could have put here.
fn refuse_strangers(path: &Path) -> Result<()> {
    let Ok(found) = std::fs::metadata(path) else {
        // Not readable: reading it says why.
        return Ok(());
    };
    let me = rustix::process::geteuid().as_raw();
    let whose = if found.uid() != me && found.uid() != 0 {
        "belongs to another user"
    } else if found.mode() & 0o002 != 0 {
        "can be written by everybody"
    } else {
        return Ok(());
    };
    Err(Error::new(
        Kind::Refused,
        format!(
            "{} in this directory {whose}, and may name commands",
            path.display()
        ),
    )
    .with_hint(format!("if it is yours, name it: --config {FILE_NAME}")))
}

/// What should be said of a file that has a secret in it: that others can read it.
pub(super) fn complaint(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.mode();
    (mode & 0o077 != 0).then(|| {
        format!(
            "{} has a secret in it and can be read by others: chmod 600, or put the secret in a file of its own",
            path.display()
        )
    })
}
