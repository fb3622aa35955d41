//! What is done, with its record in the audit log.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::interrupt::at_the_end;
use crate::error::{Error, Kind, Result};
use crate::report::Observer;
use crate::repository::{Action, Repository, Verdict};

fn verdict(error: &Error) -> Verdict {
    match error.kind() {
        Kind::Refused | Kind::Usage => Verdict::Refused,
        _ => Verdict::Failed,
    }
}

/// Does something to these backups and writes down how it ended, with what `detail` says of it or the
/// error. That the log could not be written is told as a warning: who may only read a repository
/// may do that.
///
/// # Errors
/// Those of `work`.
pub async fn audited<T>(
    repository: &Repository,
    action: Action,
    backups: Vec<String>,
    observer: &Arc<dyn Observer>,
    work: impl Future<Output = Result<T>>,
    detail: impl FnOnce(&T) -> String,
) -> Result<T> {
    let done = work.await;
    let (verdict, detail) = match &done {
        Ok(done) => (Verdict::Done, detail(done)),
        Err(error) => (verdict(error), error.message().to_owned()),
    };
    let noting = repository.audit(action, backups, verdict, detail);
    let cancelled = CancellationToken::new();
    if matches!(&done, Err(error) if error.kind() == Kind::Interrupted) {
        cancelled.cancel();
    }
    let noted = at_the_end(&cancelled, noting).await;
    if let Err(error) = noted {
        observer.warning(format!("{action}: {error}"));
    }
    done
}
