//! From a live database to an archive.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::connect::Config;
use crate::dump::{DumpOptions, DumpReport};
use crate::error::Result;
use crate::report::Observer;
use crate::storage::Sink;

/// Dumps the database that `config` names into `sink`.
///
/// # Errors
/// [`Kind::Usage`] for options that make no sense, [`Kind::Connect`] when there is no connection,
/// [`Kind::Storage`] when the sink refuses, [`Kind::Interrupted`] when `cancel` fired, otherwise
/// what the server answered. After an error nothing is left in `sink` that looks whole.
pub async fn dump(
    config: &Config,
    sink: Box<dyn Sink>,
    options: &DumpOptions,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<DumpReport> {
    let settled = sink.settled();
    let report = crate::dump::run(config, sink, options, observer, cancel).await;
    settled.await;
    report
}
