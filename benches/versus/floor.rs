//! The floor of a dump, and what its checksums cost, measured on an archive that it has made.
//!
//! The server's part of the floor is `COPY … TO '/dev/null'` of the same tables in the same format, in
//! as many ranges of pages as the archive has chunks, on as many sessions as there are cores. The
//! client's part is zstd level 1 over the very frames of the archive, spread over the cores. No dump
//! can be faster than both together while they share the machine.
//!
//! The checksums' cost is the time that SHA-256 over the stored frames and the fingerprint over their rows
//! take on one core, as a share of all processor time of the dump's wall time (cores times seconds).

use std::hint::black_box;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use pgstow::archive::{Archive, CopyFormat, DataSpec, Decoder, FRAME_MAX, Fingerprint, rows_of};
use pgstow::storage::LocalSource;
use sha2::{Digest, Sha256};

use crate::cost::server_cpu;
use crate::support::Db;

/// What the parts of a dump take by themselves, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    /// Server-only COPY over the cores, wall time.
    pub server: f64,
    /// The same, processor time.
    pub server_cpu: f64,
    /// zstd level 1 of the same bytes, divided by the cores.
    pub zstd: f64,
    /// SHA-256 of the stored bytes, one core.
    pub sha256: f64,
    /// Fingerprint of the rows, one core.
    pub fingerprint: f64,
}

/// Measures the floor of the dump that made `archive` of `source`.
pub fn measure(source: &Db, archive: &Path, cores: usize) -> Floor {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let file = LocalSource::open(archive).await.unwrap();
        let archive = Archive::open(Arc::new(file)).await.unwrap();
        let statements = statements(source, &archive).await;
        let before = server_cpu(source.server());
        let server = copy_to_nowhere(source, statements, cores).await;
        let server_cpu = server_cpu(source.server()) - before;
        let (zstd, sha256, fingerprint) = client_parts(&archive).await;
        Floor {
            server,
            server_cpu,
            zstd: zstd / cores as f64,
            sha256,
            fingerprint,
        }
    })
}

/// COPY statements, biggest first.
async fn statements(source: &Db, archive: &Archive) -> Vec<String> {
    let client = source.connect().await;
    let mut statements = Vec::new();
    for entry in archive.entries() {
        let Some(DataSpec::Table { format, .. }) = &entry.data else {
            continue;
        };
        let Some(table) = archive.table(entry.id) else {
            continue;
        };
        let chunks: std::collections::BTreeSet<u32> =
            table.frames.iter().map(|frame| frame.chunk).collect();
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let name = format!(
            "{}.{}",
            quoted(entry.schema.as_deref().unwrap_or("public")),
            quoted(entry.relation.as_ref().unwrap_or(&entry.name))
        );
        let columns: Vec<String> = table.columns.iter().map(|column| quoted(column)).collect();
        let columns = columns.join(", ");
        let format = match format {
            CopyFormat::Binary => "binary",
            CopyFormat::Text => "text",
        };
        let tail = format!("TO '/dev/null' WITH (FORMAT {format})");
        let chunks = chunks.len().max(1) as i64;
        if chunks == 1 {
            statements.push((table.raw_bytes, format!("COPY {name} ({columns}) {tail}")));
            continue;
        }
        let pages: i64 = client
            .query_one(
                "select pg_relation_size($1::text::regclass) / 8192",
                &[&name],
            )
            .await
            .unwrap()
            .get(0);
        for chunk in 0..chunks {
            let (from, to) = (pages * chunk / chunks, pages * (chunk + 1) / chunks);
            statements.push((
                table.raw_bytes / chunks as u64,
                format!(
                    "COPY (SELECT {columns} FROM ONLY {name} WHERE ctid >= '({from},0)' AND ctid < '({to},0)') {tail}"
                ),
            ));
        }
    }
    statements.sort_by_key(|(bytes, _)| *bytes);
    statements
        .into_iter()
        .map(|(_, statement)| statement)
        .collect()
}

/// Wall time of all statements on this many sessions; takes from the end of the list.
async fn copy_to_nowhere(source: &Db, statements: Vec<String>, sessions: usize) -> f64 {
    let queue = Arc::new(Mutex::new(statements));
    let mut clients = Vec::new();
    for _ in 0..sessions {
        let client = source.connect().await;
        // As a dump's sessions are set.
        let settings = "set max_parallel_workers_per_gather = 0; set jit = off; set synchronize_seqscans = off; \
             set extra_float_digits = 3; begin isolation level repeatable read, read only";
        client.batch_execute(settings).await.unwrap();
        clients.push(client);
    }
    let started = Instant::now();
    let work = clients.into_iter().map(|client| {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move {
            loop {
                let next = queue.lock().unwrap().pop();
                let Some(statement) = next else { break };
                client.batch_execute(&statement).await.unwrap();
            }
        })
    });
    for done in work.collect::<Vec<_>>() {
        done.await.unwrap();
    }
    started.elapsed().as_secs_f64()
}

/// Seconds of one core for zstd level 1, SHA-256 and the fingerprint over an archive's frames of rows.
async fn client_parts(archive: &Archive) -> (f64, f64, f64) {
    let mut decoder = Decoder::new(archive.manifest().codec);
    let mut zstd = zstd::bulk::Compressor::new(1).unwrap();
    let mut packed = Vec::new();
    let mut raw = Vec::new();
    let (mut compress, mut hash, mut print) = (0.0, 0.0, 0.0);
    for table in archive.index().tables() {
        for frame in &table.frames {
            let stored = archive.read_frame(frame).await.unwrap();
            decoder.unseal_into(&stored, FRAME_MAX, &mut raw).unwrap();
            packed.clear();
            packed.reserve(zstd::zstd_safe::compress_bound(raw.len()));
            let started = Instant::now();
            zstd.compress_to_buffer(&raw, &mut packed).unwrap();
            compress += started.elapsed().as_secs_f64();
            let started = Instant::now();
            black_box(Sha256::digest(&stored.stored));
            hash += started.elapsed().as_secs_f64();
            // What is no table of rows has its own, much smaller, kind of fingerprint.
            let started = Instant::now();
            let mut fingerprint = Fingerprint::new();
            for row in rows_of(table.format, &raw) {
                fingerprint.add_row(row.unwrap());
            }
            black_box(fingerprint);
            print += started.elapsed().as_secs_f64();
        }
    }
    (compress, hash, print)
}
