//! Seats: advisory locks by which the sessions of a restore are known to each other and to a later
//! run.

use std::time::{Duration, Instant};

use super::PAUSES;
use crate::connect::Wire;
use crate::error::{Context, Error, Kind, Result};
use crate::sql::ident;

/// Of the advisory locks: the letters `pgst`.
const SEATS: u32 = 0x7067_7374;

/// How long the server may take to end a session that it was told to end.
const EVICTION: Duration = Duration::from_secs(60);

/// The sessions of restores that keep a journal in this database, other than this one.
pub(super) async fn seated(wire: &mut Wire) -> Result<Vec<String>> {
    let rows = wire
        .query(&format!(
            "SELECT DISTINCT pid::text FROM {HELD} AND classid = {SEATS}"
        ))
        .await
        .context_with(|| "look for other restores at work")?;
    Ok(rows.into_iter().flatten().flatten().collect())
}

/// Advisory locks that others hold in this database.
const HELD: &str = "pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted \
    AND pid <> pg_catalog.pg_backend_pid() AND database = \
    (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";

/// Takes a seat that is free.
pub(super) async fn sit(wire: &mut Wire, seat: u32) -> Result<()> {
    let taking = || "take a seat in the journal".to_owned();
    let rows = wire
        .query(&format!(
            "SELECT pg_catalog.pg_try_advisory_lock({SEATS}, {seat})"
        ))
        .await
        .context_with(taking)?;
    if rows.into_iter().flatten().next().flatten().as_deref() == Some("t") {
        return Ok(());
    }
    Err(Error::new(
        Kind::Refused,
        "another restore is at work in the same database",
    ))
}

/// Ends the sessions that sit on a seat, or on any, and waits until they are gone; how many there
/// were. They logged in as the role that this one did, which need not be the `role` it works as.
pub(super) async fn evict(wire: &mut Wire, seat: Option<u32>, role: Option<&str>) -> Result<usize> {
    let Some(role) = role else {
        return evict_as_login(wire, seat).await;
    };
    wire.execute("RESET ROLE").await?;
    let evicted = evict_as_login(wire, seat).await?;
    wire.execute(&format!("SET ROLE {}", ident(role))).await?;
    Ok(evicted)
}

async fn evict_as_login(wire: &mut Wire, seat: Option<u32>) -> Result<usize> {
    let evicting = || "end sessions of an earlier restore".to_owned();
    let which = match seat {
        Some(seat) => format!(" AND objid = {seat}"),
        None => String::new(),
    };
    let end = format!(
        "SELECT pg_catalog.pg_terminate_backend(pid), pid::text \
         FROM (SELECT DISTINCT pid FROM {HELD} AND classid = {SEATS}{which}) AS seated"
    );
    let until = Instant::now() + EVICTION;
    let mut pause = PAUSES.0;
    let mut most = 0;
    loop {
        let ended = wire.query(&end).await.context_with(evicting)?;
        if ended.is_empty() {
            return Ok(most);
        }
        most = most.max(ended.len());
        if Instant::now() >= until {
            let pids = ended.into_iter().filter_map(|row| row.into_iter().nth(1)?);
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "sessions of the restore do not end: {}",
                    pids.collect::<Vec<_>>().join(", ")
                ),
            ));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}
