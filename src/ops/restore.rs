//! From an archive to a live database.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Input;
use crate::archive::{Archive, StreamReader};
use crate::connect::Config;
use crate::error::{Error, Kind, Result};
use crate::plan::Plan;
use crate::report::Observer;
use crate::restore::{self, ArchiveReader, RestoreOptions, RestoreReport};

/// Restores `input` into the database that `config` names.
///
/// # Errors
/// [`Kind::Usage`] for options that make no sense, [`Kind::Archive`] for a damaged archive,
/// [`Kind::Connect`] when there is no connection, [`Kind::Refused`] when the target is not as
/// [`RestoreOptions::target`] demands, [`Kind::Interrupted`] when `cancel` fired, otherwise what
/// the server answered, with the entry and its statement.
pub async fn restore(
    config: &Config,
    input: Input,
    options: &RestoreOptions,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<RestoreReport> {
    options.validate()?;
    // Before the target is touched: a cut or damaged archive is found here.
    let archive = tokio::select! {
        biased;
        () = cancel.cancelled() => {
            return Err(Error::new(Kind::Interrupted, "restore: interrupted"));
        }
        archive = open(input) => archive?,
    };
    restore::restore(config, archive, options, observer, &cancel).await
}

/// What [`restore`] would do, without a server: `--dry-run` without a target.
///
/// # Errors
/// As [`restore`], as far as no server is needed.
pub async fn restore_plan(input: Input, options: &RestoreOptions) -> Result<Plan> {
    options.validate()?;
    open(input).await?.plan(options)
}

pub(super) async fn open(input: Input) -> Result<ArchiveReader> {
    Ok(match input {
        Input::Source(source) => ArchiveReader::File(Arc::new(Archive::open(source).await?)),
        Input::Stream(stream) => ArchiveReader::Pipe(Box::new(StreamReader::open(stream).await?)),
    })
}
