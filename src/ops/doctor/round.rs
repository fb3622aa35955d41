//! The whole way once: a small database of our own is dumped into the store, restored into another one,
//! and compared.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Patient, given, server, store};
use crate::archive::Timestamp;
use crate::connect::{Config, Wire};
use crate::dump::DumpOptions;
use crate::error::{Context as _, Error, Kind, Result};
use crate::ops::{Input, RestoreOptions, VerifyOptions, encrypted};
use crate::report::{Check, Silent, Verdict};
use crate::sql::{ident, literal};
use crate::storage::Overwrite;

/// What there is in it: a few rows of several types, an index, a key, a view, a sequence.
const CONTENTS: [&str; 6] = [
    "CREATE TABLE public.goods (id int PRIMARY KEY, name text NOT NULL, price numeric, at timestamptz)",
    "INSERT INTO public.goods SELECT n, 'thing ' || n, n / 7.0, \
     '2026-01-01 00:00+00'::timestamptz + n * interval '1 hour' FROM generate_series(1, 1000) n",
    "CREATE TABLE public.sales (id int GENERATED ALWAYS AS IDENTITY, good int REFERENCES public.goods)",
    "INSERT INTO public.sales (good) SELECT n FROM generate_series(1, 500) n",
    "CREATE INDEX ON public.goods (name)",
    "CREATE VIEW public.sold AS SELECT good, count(*) FROM public.sales GROUP BY 1",
];

/// How the names of our databases begin, and their comments.
const PREFIX: &str = "pgstow_doctor_";
const COMMENT: &str = "made by pgstow doctor, which drops it";

pub(super) async fn look(
    name: &'static str,
    patient: &Patient,
    cancel: &CancellationToken,
) -> Result<Check> {
    let config = given(&patient.database)?;
    let mut wire = server::open(config, patient).await?;
    let may = wire
        .query(
            "SELECT (r.rolsuper OR r.rolcreatedb) AND NOT pg_catalog.pg_is_in_recovery() \
             FROM pg_catalog.pg_roles r WHERE r.rolname = current_user",
        )
        .await?;
    if may.into_iter().flatten().next().flatten().as_deref() != Some("t") {
        wire.close().await;
        return Ok(Check::new(
            name,
            Verdict::Skipped,
            "the role may make no database on this server",
        )
        .with_way_out("give it CREATEDB, or name another server with -d for this check"));
    }
    remove_leftovers(&mut wire).await?;
    let mut random = [0; 4];
    getrandom::fill(&mut random)
        .map_err(|error| Error::new(Kind::Failed, "no randomness").with_source(error))?;
    let names =
        ["a", "b"].map(|which| format!("{PREFIX}{:08x}_{which}", u32::from_be_bytes(random)));
    let key = store::key("round")?;
    let done = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::new(Kind::Interrupted, "interrupted")),
        done = round(config, &mut wire, patient, &names, &key) => done,
    };
    // Whatever came of it, nothing is left; the session may be in the middle of something.
    wire.close().await;
    let mut wire = server::open(config, patient).await?;
    let mut cleaned = Ok(());
    for name in &names {
        cleaned = cleaned.and(drop_database(&mut wire, name).await);
    }
    wire.close().await;
    if let Ok(store) = given(&patient.store) {
        cleaned = cleaned.and(store.delete(&key).await);
    }
    let found = done?;
    cleaned.context_with(|| "clean up behind the round")?;
    Ok(Check::new(name, Verdict::Passed, found))
}

async fn round(
    config: &Config,
    wire: &mut Wire,
    patient: &Patient,
    [from, to]: &[String; 2],
    key: &str,
) -> Result<String> {
    let store = given(&patient.store)?;
    let recipients = given(&patient.recipients)?;
    let began = Timestamp::now();
    make_database(wire, from).await?;
    let source = config.with_database(from);
    let mut inside = server::open(&source, patient).await?;
    let filled = inside.execute_all(&CONTENTS).await;
    inside.close().await;
    filled
        .map_err(|batch| batch.error)
        .context_with(|| "fill a small database")?;

    let silent = || Arc::new(Silent);
    let role = given(&patient.dump)?.role.clone();
    let options = DumpOptions {
        jobs: 2,
        role: role.clone(),
        ..DumpOptions::default()
    };
    let sink = store.create(key, Overwrite::Replace).await?;
    let sink = encrypted(sink, recipients.as_ref()).await?;
    let never = CancellationToken::new();
    crate::ops::dump(&source, sink, &options, silent(), never.clone())
        .await
        .context_with(|| "dump it into the store")?;

    // Who may only encrypt compares what he can: that it is there, and as long as it should be.
    let keys = given(&patient.keys)?;
    let stored = store.open(key).await?;
    let bytes = stored.len();
    if recipients.is_some() && keys.is_empty() {
        return Ok(format!(
            "dumped, encrypted and stored, {bytes} bytes; without a key here it was not restored"
        ));
    }
    let archive = async || {
        let stored = store.open(key).await?;
        Input::Source(stored).decrypted(keys).await
    };
    make_database(wire, to).await?;
    let target = config.with_database(to);
    let options = RestoreOptions {
        jobs: 2,
        role: role.clone(),
        ..RestoreOptions::default()
    };
    let input = archive().await?;
    let restored = crate::ops::restore(&target, input, &options, silent(), never.clone())
        .await
        .context_with(|| "restore it from the store")?;
    let options = VerifyOptions {
        against: Some(target),
        jobs: 2,
        role,
        ..VerifyOptions::default()
    };
    let verified = crate::ops::verify(archive().await?, &options, silent(), never)
        .await
        .context_with(|| "compare it")?;
    if let Some(table) = verified.compared.iter().find(|table| !table.equal) {
        return Err(Error::new(
            Kind::Failed,
            format!(
                "table {} came back different: {}",
                table.table,
                table.difference.as_deref().unwrap_or_default()
            ),
        ));
    }
    let seconds = Timestamp::now().0.saturating_sub(began.0);
    Ok(format!(
        "a small database of {} rows was dumped into the store ({bytes} bytes), restored and compared, in {seconds} s",
        restored.rows
    ))
}

async fn make_database(wire: &mut Wire, name: &str) -> Result<()> {
    let create = format!("CREATE DATABASE {} TEMPLATE template0", ident(name));
    wire.execute(&create)
        .await
        .context_with(|| "make a small database")?;
    let comment = format!(
        "COMMENT ON DATABASE {} IS {}",
        ident(name),
        literal(COMMENT)
    );
    wire.execute(&comment).await?;
    Ok(())
}

async fn drop_database(wire: &mut Wire, name: &str) -> Result<()> {
    let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", ident(name));
    let dropped = wire.execute(&drop).await;
    dropped.map(|_| ()).context_with(|| format!("drop {name}"))
}

/// Drops databases of runs that were killed: ours by name and comment, with nobody in them.
async fn remove_leftovers(wire: &mut Wire) -> Result<()> {
    let rows = wire
        .query(&format!(
            "SELECT d.datname FROM pg_catalog.pg_database d \
             WHERE pg_catalog.starts_with(d.datname::text, {}) \
             AND pg_catalog.shobj_description(d.oid, 'pg_database') = {} \
             AND pg_catalog.pg_has_role(d.datdba, 'USAGE') \
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)",
            literal(PREFIX),
            literal(COMMENT)
        ))
        .await?;
    for name in rows.into_iter().flatten().flatten() {
        let drop = format!("DROP DATABASE IF EXISTS {}", ident(&name));
        wire.execute(&drop)
            .await
            .context_with(|| format!("drop {name}, left by an earlier run"))?;
    }
    Ok(())
}
