//! Whether those who are to be told would hear it.

use super::given;
use crate::error::Result;
use crate::notify::Notifier;
use crate::report::{Check, Verdict};

pub(super) async fn look(name: &'static str, notifier: &Result<Option<Notifier>>) -> Vec<Check> {
    let notifier = match given(notifier) {
        Err(error) => return vec![Check::failed(name, &error)],
        Ok(notifier) => notifier,
    };
    let nobody = || {
        Check::new(name, Verdict::Skipped, "nobody is told when a backup fails")
            .with_way_out("name a mail address, a webhook or a ping in the configuration")
    };
    let Some(notifier) = notifier else {
        return vec![nobody()];
    };
    let mut checks = Vec::new();
    for delivery in notifier.check().await {
        checks.push(match &delivery.error {
            None => Check::new(
                name,
                Verdict::Passed,
                format!("{}: answers", delivery.channel),
            ),
            Some(error) => {
                let failed = Check::failed(name, error);
                Check {
                    found: format!("{}: {}", delivery.channel, failed.found),
                    ..failed
                }
            }
        });
    }
    if checks.is_empty() {
        checks.push(nobody());
    }
    checks
}
