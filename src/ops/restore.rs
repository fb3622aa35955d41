//! From an archive to a live database.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Input;
use crate::connect::Config;
use crate::error::Result;
use crate::report::Observer;
use crate::restore::{RestoreOptions, RestoreReport};

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
    let _ = (config, input, observer, cancel);
    todo!()
}
