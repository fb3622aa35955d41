//! Whether those who are to be told would hear it, and whether the table of records could be written.

use super::{Patient, given};
use crate::error::{Context as _, Result};
use crate::notify::{Notice, Occasion};
use crate::report::{Check, Verdict};
use crate::repository::Who;

pub(super) async fn look(name: &'static str, patient: &Patient, send_test: bool) -> Vec<Check> {
    let notifier = match given(&patient.notifier) {
        Err(error) => return vec![Check::failed(name, &error)],
        Ok(notifier) => notifier,
    };
    let nobody = |found: &str| {
        Check::new(name, Verdict::Skipped, found)
            .with_way_out("name a mail address, a webhook or a ping in the configuration")
    };
    let Some(notifier) = notifier else {
        return vec![nobody("nobody is told when a backup fails")];
    };
    let (deliveries, done) = match send_test {
        true => (notifier.send_test(&test(patient)).await, "got a test"),
        false => (notifier.check().await, "answers"),
    };
    let mut checks = Vec::new();
    for delivery in deliveries {
        checks.push(match &delivery.error {
            None => Check::new(
                name,
                Verdict::Passed,
                format!("{}: {done}", delivery.channel),
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
        checks.push(nobody(match send_test {
            true => "nobody is told by mail or webhook when a backup fails",
            false => "nobody is told when a backup fails",
        }));
    }
    checks
}

/// What the notice of a failure would have of this job.
fn test(patient: &Patient) -> Notice {
    let database = patient.database.as_ref().ok();
    let store = patient.store.as_ref().ok();
    Notice {
        kind: Occasion::Failed,
        database: database.map_or_else(String::new, |it| it.database().to_owned()),
        store: store.map_or_else(String::new, |it| it.name()),
        host: Who::here().host,
        ..Notice::default()
    }
}

pub(super) async fn record(name: &'static str, patient: &Patient) -> Result<Check> {
    let Some(mirror) = given(&patient.record_to)? else {
        return Ok(Check::new(
            name,
            Verdict::Skipped,
            "no database has a table of records",
        ));
    };
    mirror.check().await.context_with(|| "table of records")?;
    Ok(Check::new(
        name,
        Verdict::Passed,
        format!("{} can be written", mirror.name()),
    ))
}
