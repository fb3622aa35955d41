//! Whether the store does what it must: an object is written, read, listed and deleted.

use std::sync::Arc;

use bytes::Bytes;

use super::{Patient, given, server, words};
use crate::archive::Timestamp;
use crate::error::{Context as _, Error, Kind, Result};
use crate::report::{Check, Verdict};
use crate::repository::PROBES;
use crate::storage::{Overwrite, Store};

/// Below this stands what the doctor writes; nothing else looks there.
pub(super) const PLACE: &str = PROBES;

/// What a killed run has left is taken away after so many seconds, by the store's own clock.
const LEFT: i64 = 3600;

/// Clocks that differ by more are worth a word; stores refuse signatures at 15 minutes.
const SKEW_WARNING: u64 = 60;
const SKEW_FAILURE: u64 = 300;

/// A key of our own, which nobody else has.
pub(super) fn key(what: &str) -> Result<String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random)
        .map_err(|error| Error::new(Kind::Failed, "no randomness").with_source(error))?;
    Ok(format!(
        "{PLACE}/{what}-{:016x}",
        u64::from_be_bytes(random)
    ))
}

pub(super) async fn look(name: &'static str, patient: &Patient) -> Result<Check> {
    let store = given(&patient.store)?;
    must_stand(store).await?;
    let key = key("probe")?;
    let content = Bytes::from_static(b"pgstow doctor was here; this may be deleted\n");
    let probing = async {
        let context = |what: &'static str| move || format!("{what} an object");
        let put = store.put(&key, content.clone(), Overwrite::Replace).await;
        let _written = put.context_with(context("write"))?;
        let read = store.get(&key).await.context_with(context("read"))?;
        if read.as_ref() != Some(&content) {
            return Err(wrong(
                "what was written a moment ago is read as something else",
            ));
        }
        let listed = store.list(PLACE).await.context_with(context("list"))?;
        let Some(own) = listed.iter().find(|it| it.key == key) else {
            return Err(wrong("what was written a moment ago is not listed"));
        };
        // Those of runs that were killed.
        for old in listed.iter().filter(|it| own.modified - it.modified > LEFT) {
            store
                .delete(&old.key)
                .await
                .context_with(context("delete"))?;
        }
        store.delete(&key).await.context_with(context("delete"))?;
        match store.head(&key).await.context_with(context("look for"))? {
            None => Ok(()),
            Some(_) => Err(wrong("what was deleted is still there")),
        }
    };
    let probed = probing.await;
    if probed.is_err() {
        // As far as that goes; the error that is told is the first.
        let _ = store.delete(&key).await;
    }
    probed?;
    let found = format!("{}: written, read, listed, deleted", store.name());
    Ok(Check::new(name, Verdict::Passed, found))
}

/// What is only looked at is not made.
async fn must_stand(store: &Arc<dyn Store>) -> Result<()> {
    match store.stands().await? {
        true => Ok(()),
        false => Err(wrong(&format!("there is no directory {}", store.name()))
            .with_hint("is it the right one? pgstow init, or the first backup, makes it")),
    }
}

fn wrong(what: &str) -> Error {
    Error::new(Kind::Storage, what)
}

/// Compares this machine's clock with the store's and the server's.
pub(super) async fn clocks(name: &'static str, patient: &Patient) -> Result<Check> {
    let mut found = Vec::new();
    let mut worst = 0;
    let mut unknown = 0;
    let mut compare = |what: &str, other: Result<(i64, i64, i64)>| match other {
        Ok((before, theirs, after)) => {
            // A clock that shows a moment of the call agrees.
            let skew = (before - theirs).max(theirs - after).max(0).unsigned_abs();
            worst = worst.max(skew);
            found.push(match skew {
                0..=2 => format!("the {what}'s clock agrees"),
                skew => format!("the {what}'s clock is {} off", words(skew)),
            });
        }
        Err(error) => {
            unknown += 1;
            found.push(format!("the {what}'s clock is not known: {error}"));
        }
    };
    compare("store", of_store(given(&patient.store)).await);
    compare("server", of_server(patient).await);
    let verdict = match (worst, unknown) {
        (SKEW_FAILURE.., _) => Verdict::Failed,
        (SKEW_WARNING.., _) => Verdict::Warning,
        (_, 0) => Verdict::Passed,
        _ => Verdict::Skipped,
    };
    let check = Check::new(name, verdict, found.join("\n"));
    Ok(match verdict {
        Verdict::Failed | Verdict::Warning => check
            .with_way_out("set the clocks by NTP: stores refuse requests that are 15 minutes off"),
        _ => check,
    })
}

fn now() -> i64 {
    i64::try_from(Timestamp::now().0).unwrap_or(i64::MAX)
}

/// Seconds since 1970: ours before, its own, ours after.
async fn of_store(store: Result<&Arc<dyn Store>>) -> Result<(i64, i64, i64)> {
    let store = store?;
    must_stand(store).await?;
    let key = key("clock")?;
    let before = now();
    let asking = async {
        let _written = store
            .put(
                &key,
                Bytes::from_static(b"pgstow doctor\n"),
                Overwrite::Replace,
            )
            .await?;
        let after = now();
        let info = store.head(&key).await?;
        let theirs = info.ok_or_else(|| wrong("what was written is not there"))?;
        Ok::<_, Error>((before, theirs.modified, after))
    };
    let asked = asking.await;
    let deleted = store.delete(&key).await;
    let asked = asked?;
    deleted.map(|()| asked)
}

async fn of_server(patient: &Patient) -> Result<(i64, i64, i64)> {
    let mut wire = server::open(given(&patient.database)?, patient).await?;
    let before = now();
    let rows = wire
        .query("SELECT pg_catalog.floor(extract(epoch FROM pg_catalog.clock_timestamp()))::int8")
        .await?;
    let after = now();
    wire.close().await;
    let theirs = rows.into_iter().flatten().next().flatten();
    let theirs = theirs.and_then(|text| text.parse().ok());
    let theirs = theirs.ok_or_else(|| Error::new(Kind::Failed, "the server does not say"))?;
    Ok((before, theirs, after))
}
