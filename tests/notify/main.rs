//! What is told of backups: mail, webhooks, pings, against servers that take it, refuse it, or stay silent;
//! and the table of records.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../support/mod.rs"]
mod support;

mod mail;
mod program;
mod receiver;
mod record;
mod webhook;

use pgstow::archive::Timestamp;
use pgstow::notify::{Delivery, Notice, Occasion};

/// A notice with names and errors that try to get out of their place.
fn notice(kind: Occasion) -> Notice {
    Notice {
        kind,
        job: Some("nightly".to_owned()),
        database: "shop\r\nBcc: thief@example.org".to_owned(),
        store: "s3://backups/shop".to_owned(),
        host: "db1".to_owned(),
        backup: Some("20261122T030000Z-1f2e3d4c".to_owned()),
        started: Some(Timestamp(1_700_000_000)),
        ended: Some(Timestamp(1_700_000_042)),
        error: (kind == Occasion::Failed).then(|| {
            "connect to postgres://app:geheim@db/shop:\r\n.\r\nrefused <!channel>".to_owned()
        }),
        ..Notice::default()
    }
}

/// The only delivery.
#[track_caller]
fn one(deliveries: Vec<Delivery>) -> Delivery {
    let [delivery] = <[Delivery; 1]>::try_from(deliveries).expect("one delivery");
    delivery
}

#[track_caller]
fn delivered(deliveries: Vec<Delivery>) {
    for delivery in deliveries {
        assert!(delivery.error.is_none(), "{delivery:?}");
    }
}
