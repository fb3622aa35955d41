//! Takes the fingerprints of an archive again from a live database.
//!
//! Every table is read under one snapshot, by several sessions, with the statement and the session
//! settings of the dump, so that equal rows give equal bytes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::verify::{TableComparison, VerifyOptions};
use crate::archive::{
    Archive, ArrayColumns, BINARY_HEADER, BINARY_TRAILER, CopyFormat, DataSpec, Entry, EntryId,
    Fingerprint, TableIndex, unseal,
};
use crate::connect::{
    Canceller, Config, CopyOut, LARGE_ROW, TransactionStatus, Walk, Wire, fewer, lacks_room,
    open_in_a_moment,
};
use crate::dump::{Reading, may_pass, reading};
use crate::error::{Context, Error, Kind, Result, one_line};
use crate::report::{Event, Observer};
use crate::restore::{Sent, Table, is_fatal, large_object_pieces, unlike};
use crate::sql::{ident, literal};
use crate::task::{Backoff, ByteBudget};

/// Pieces of large objects asked for in one statement.
const PIECES: usize = 500;

/// What rows of more than a MiB may take, twice their length each while they are on their way.
const LARGE_ROWS: u64 = 160 << 20;

/// Bytes of rows between two events of progress.
const PROGRESS_BYTES: u64 = 8 << 20;

/// How often one table is tried again after its session was lost, and how long it is waited: a quarter of a minute in
/// all.
const TRIES: u32 = 8;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Compares every table of an archive with the database that `config` names.
pub(super) async fn compare(
    config: &Config,
    archive: Arc<Archive>,
    options: &VerifyOptions,
    observer: Arc<dyn Observer>,
    cancel: &CancellationToken,
) -> Result<Vec<TableComparison>> {
    // The live database has its own statistics, and a right to them.
    let is_statistics = |table: &&TableIndex| {
        let entry = archive.entries().get(table.entry as usize - 1);
        entry.is_some_and(|entry| matches!(entry.data, Some(DataSpec::Statistics { .. })))
    };
    let mut tables: Vec<&TableIndex> = archive
        .index()
        .tables()
        .filter(|table| !is_statistics(table))
        .collect();
    let (count, bytes) = (tables.len(), tables.iter().map(|t| t.raw_bytes).sum());
    observer.event(&Event::Phase {
        name: "compare",
        steps: Some(count as u64),
    });
    observer.event(&Event::DataTotal {
        tables: count as u64,
        bytes,
        rows: Some(tables.iter().map(|table| table.rows).sum()),
    });
    // The longest first, so that no session is left with it at the end.
    tables.sort_by_key(|table| (std::cmp::Reverse(table.raw_bytes), table.entry));
    let queue: VecDeque<EntryId> = tables.iter().map(|table| table.entry).collect();
    let queue = Arc::new(Mutex::new(queue));

    let role = options.role.as_deref();
    let encoding = &archive.manifest().encoding;
    let large_rows = ByteBudget::new(LARGE_ROWS);
    let setting_up = async {
        let mut leader = open(config, "verify", encoding, role, None).await?;
        let exported = leader
            .query("SELECT pg_catalog.pg_export_snapshot()")
            .await
            .context_with(|| "export the snapshot")?;
        let snapshot = exported
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next().flatten())
            .ok_or_else(|| Error::new(Kind::Failed, "the server exported no snapshot"))?;
        let others = of_other_types(&mut leader, &archive, &tables).await?;
        let way = Way {
            config: config.pinned(leader.reached()),
            encoding: encoding.clone(),
            role: options.role.clone(),
            snapshot,
            large_rows,
            cancellers: Mutex::default(),
        };
        let mut wires = Vec::new();
        let jobs = options.jobs.clamp(1, count.max(1));
        for number in 1..=jobs {
            match open_in_a_moment(|| way.open(number)).await {
                Ok(wire) => wires.push((number, wire)),
                Err(error) if lacks_room(&error) && !wires.is_empty() => {
                    observer.warning(fewer(wires.len(), jobs));
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok::<_, Error>((leader, Arc::new(way), wires, others))
    };
    let interrupted = || Error::new(Kind::Interrupted, "verify: interrupted");
    let (leader, way, wires, mut others) = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(interrupted()),
        ready = setting_up => ready?,
    };

    let mut readers = JoinSet::new();
    for (number, wire) in wires {
        let reader = Reader {
            wire,
            number,
            way: Arc::clone(&way),
            archive: Arc::clone(&archive),
            observer: Arc::clone(&observer),
        };
        readers.spawn(reader.read(Arc::clone(&queue)));
    }
    let reading = async {
        let mut compared = BTreeMap::new();
        while let Some(read) = readers.join_next().await {
            let read = read.map_err(|error| {
                Error::new(Kind::Failed, format!("compare: {error}")).with_source(error)
            })?;
            compared.extend(read?);
        }
        Ok::<_, Error>(compared)
    };
    let compared = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(interrupted()),
        compared = reading => compared,
    };
    if compared.is_err() {
        // Sessions that are only dropped would let the server read on until it next writes.
        for canceller in way.cancellers() {
            if let Err(error) = canceller.cancel().await {
                observer.warning(format!("a cancel request failed: {error}"));
            }
        }
        readers.shutdown().await;
    }
    leader.close().await;
    let mut compared = compared?;
    for (id, comparison) in &mut compared {
        comparison.of_other_type = others.remove(id);
    }
    Ok(together(&archive, compared))
}

/// Tables whose rows are in binary and whose columns are of other types than the rows, with those columns in words.
/// The same bytes are other values then.
async fn of_other_types(
    leader: &mut Wire,
    archive: &Archive,
    tables: &[&TableIndex],
) -> Result<BTreeMap<EntryId, String>> {
    let mut wanted: BTreeMap<Table, BTreeSet<Sent<'_>>> = BTreeMap::new();
    let mut ids = BTreeMap::new();
    for table in tables {
        let Some(entry) = archive.entries().get(table.entry as usize - 1) else {
            continue;
        };
        let Some(DataSpec::Table {
            format: CopyFormat::Binary,
            columns,
            types,
            ..
        }) = &entry.data
        else {
            continue;
        };
        let schema = entry.schema.clone().unwrap_or_default();
        let name = entry.relation.as_ref().unwrap_or(&entry.name).clone();
        let columns = columns.iter().map(String::as_str);
        let sent = columns.zip(types.iter().map(String::as_str));
        ids.insert((schema.clone(), name.clone()), table.entry);
        wanted.entry((schema, name)).or_default().extend(sent);
    }
    let unlike = unlike(leader, &wanted).await?;
    let told = unlike.into_iter().filter_map(|(table, columns)| {
        let columns: Vec<String> = columns
            .iter()
            .map(|it| format!("column {} is {}, and was {}", it.column, it.there, it.sent))
            .collect();
        Some((*ids.get(&table)?, columns.join("; ")))
    });
    Ok(told.collect())
}

/// Partitions whose rows are loaded through their root need not get the same rows again (the hash
/// of an enum's label is the cluster's own), so they are compared as one.
fn together(
    archive: &Archive,
    mut compared: BTreeMap<EntryId, Comparison>,
) -> Vec<TableComparison> {
    let mut loaded_by: BTreeMap<&str, Vec<EntryId>> = BTreeMap::new();
    for entry in archive.entries() {
        if let Some(DataSpec::Table { copy_in, .. }) = &entry.data {
            loaded_by.entry(copy_in).or_default().push(entry.id);
        }
    }
    for group in loaded_by.into_values().filter(|group| group.len() > 1) {
        let mut known = Fingerprint::new();
        let mut found = Some(Fingerprint::new());
        let mut table = String::new();
        let mut failures = Vec::new();
        let mut of_other_type = Vec::new();
        let mut first = None;
        for id in group {
            let (Some(index), Some(one)) = (archive.table(id), compared.remove(&id)) else {
                continue;
            };
            first.get_or_insert(id);
            known.merge(&index.fingerprint);
            let more = if table.is_empty() { "" } else { ", " };
            table = format!("{table}{more}{}", one.table);
            of_other_type.extend(one.of_other_type);
            match (&mut found, &one.found) {
                (Some(all), Ok(Found::Rows(found))) => all.merge(found),
                _ => found = None,
            }
            failures.extend(
                one.found
                    .err()
                    .map(|error| format!("{}: {error}", one.table)),
            );
        }
        let Some(first) = first else { continue };
        let all = Comparison {
            table,
            known,
            found: match found {
                Some(found) => Ok(Found::Rows(found)),
                None => Err(failures.join("; ")),
            },
            of_other_type: (!of_other_type.is_empty()).then(|| of_other_type.join("; ")),
        };
        compared.insert(first, all);
    }
    compared.into_values().map(Comparison::conclude).collect()
}

/// What was found for a table, before judgement.
struct Comparison {
    table: String,
    known: Fingerprint,
    found: Result<Found, String>,
    /// Columns of other types than the rows, in words.
    of_other_type: Option<String>,
}

impl Comparison {
    fn conclude(self) -> TableComparison {
        let known = self.known;
        let other = self.of_other_type;
        let (found_rows, difference) = match self.found {
            Ok(Found::Rows(found)) if found == known => (Some(found.rows()), None),
            Ok(Found::Rows(found)) if found.rows() == known.rows() => (
                Some(found.rows()),
                Some("as many rows, with other content".to_owned()),
            ),
            Ok(Found::Rows(found)) => (
                Some(found.rows()),
                Some("another number of rows".to_owned()),
            ),
            Ok(Found::Pieces { equal, difference }) => (Some(equal), difference),
            Err(why) => (None, Some(why)),
        };
        let difference = match (difference, other) {
            (Some(difference), Some(other)) => Some(format!("{difference}; {other}")),
            (difference, other) => difference.or(other),
        };
        TableComparison {
            table: self.table,
            rows: known.rows(),
            found_rows,
            equal: difference.is_none(),
            difference,
        }
    }
}

/// Opens a session with the settings of a dump, in a transaction: the one whose snapshot the others
/// share, or one of the others.
async fn open(
    config: &Config,
    part: &str,
    encoding: &str,
    role: Option<&str>,
    snapshot: Option<&str>,
) -> Result<Wire> {
    let mut wire = config
        .with_application_name_suffix(part)
        .connect_wire()
        .await?;
    // A snapshot must be the first thing of its transaction. Settings are the transaction's own: a
    // pooler may hand the next one to another session of the server.
    let mut statements =
        vec!["BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY".to_owned()];
    statements.extend(snapshot.map(|id| format!("SET TRANSACTION SNAPSHOT {}", literal(id))));
    let settings = crate::dump::session_settings((&wire).into());
    statements.extend(settings);
    statements.extend(role.map(|role| format!("SET LOCAL ROLE {}", ident(role))));
    statements.push(format!(
        "SET LOCAL client_encoding = {}",
        literal(wire.encoding_for(encoding))
    ));
    let texts: Vec<&str> = statements.iter().map(String::as_str).collect();
    wire.execute_all(&texts).await.map_err(|batch| {
        let statement = statements.get(batch.index).cloned().unwrap_or_default();
        let error = batch.error.context("set up session");
        error.with_statement(statement)
    })?;
    Ok(wire)
}

/// How sessions come to the snapshot, as long as the one that exported it lives.
struct Way {
    config: Config,
    encoding: String,
    role: Option<String>,
    snapshot: String,
    large_rows: ByteBudget,
    /// Of those at work, by number.
    cancellers: Mutex<BTreeMap<usize, Canceller>>,
}

impl Way {
    async fn open(&self, number: usize) -> Result<Wire> {
        let part = format!("verify worker {number}");
        let snapshot = Some(self.snapshot.as_str());
        let role = self.role.as_deref();
        let mut wire = open(&self.config, &part, &self.encoding, role, snapshot).await?;
        wire.bound_large_rows(self.large_rows.clone());
        let mut cancellers = self
            .cancellers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        cancellers.insert(number, wire.canceller());
        Ok(wire)
    }

    fn cancellers(&self) -> Vec<Canceller> {
        let cancellers = self
            .cancellers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        cancellers.values().cloned().collect()
    }
}

/// One session that reads, or another one in its place.
struct Reader {
    wire: Wire,
    number: usize,
    way: Arc<Way>,
    archive: Arc<Archive>,
    observer: Arc<dyn Observer>,
}

impl Reader {
    async fn read(
        mut self,
        queue: Arc<Mutex<VecDeque<EntryId>>>,
    ) -> Result<BTreeMap<EntryId, Comparison>> {
        let mut compared = BTreeMap::new();
        let next = || {
            queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front()
        };
        let archive = Arc::clone(&self.archive);
        while let Some(id) = next() {
            let known = archive.table(id);
            let entry = archive.entries().get(id as usize - 1);
            let (Some(known), Some(entry)) = (known, entry) else {
                continue;
            };
            let label = label(entry);
            self.observer.event(&Event::TableStarted {
                table: label.clone(),
                bytes: known.raw_bytes,
            });
            let comparison = self.until_read(&label, entry, known).await?;
            self.observer.event(&Event::TableDone {
                table: label,
                rows: known.rows,
                bytes: known.raw_bytes,
            });
            compared.insert(id, comparison);
        }
        self.wire.close().await;
        Ok(compared)
    }

    /// Reads a table, once more under the same snapshot when the session was lost.
    async fn until_read(
        &mut self,
        label: &str,
        entry: &Entry,
        known: &TableIndex,
    ) -> Result<Comparison> {
        let mut waits = Backoff::new(FIRST_WAIT, LONGEST_WAIT, TRIES);
        let mut is_lost = false;
        loop {
            let read = async {
                if is_lost {
                    self.wire = self.way.open(self.number).await?;
                }
                self.table(label, entry, known).await
            };
            let error = match read.await {
                Err(error) if may_pass(&error) => error,
                read => return read,
            };
            let Some(wait) = waits.next() else {
                return Err(error);
            };
            // One whose statement was cancelled has kept its snapshot.
            is_lost = self.wire.is_broken();
            self.observer
                .warning(format!("{error}: it is read again under the same snapshot"));
            tokio::time::sleep(wait).await;
        }
    }

    async fn table(
        &mut self,
        label: &str,
        entry: &Entry,
        known: &TableIndex,
    ) -> Result<Comparison> {
        // A failure must not cost the transaction, which holds the snapshot.
        self.wire.execute("SAVEPOINT pgstow").await?;
        let found = match &entry.data {
            Some(DataSpec::Table {
                format,
                types,
                copy_out,
                ..
            }) => match self.may_read(entry, copy_out).await {
                Ok(()) => {
                    let rows = self.rows(label, *format, types, copy_out);
                    rows.await.map(Found::Rows)
                }
                Err(error) => Err(error),
            },
            Some(DataSpec::LargeObjects) => self.large_objects(known).await,
            Some(DataSpec::Statistics { .. }) | None => {
                return Err(Error::new(Kind::Archive, format!("{label} has no data")));
            }
        };
        if !self.wire.is_broken() {
            if self.wire.transaction_status() == TransactionStatus::Failed {
                self.wire.execute("ROLLBACK TO SAVEPOINT pgstow").await?;
            }
            self.wire.execute("RELEASE SAVEPOINT pgstow").await?;
        }
        let found = match found {
            Err(error)
                if error.kind() == Kind::Server && !is_fatal(&error) && !may_pass(&error) =>
            {
                Err(error.message().to_owned())
            }
            Err(error) => return Err(error.context(format!("compare {label}"))),
            Ok(found) => Ok(found),
        };
        Ok(Comparison {
            table: label.to_owned(),
            known: known.fingerprint,
            found,
            of_other_type: None,
        })
    }

    /// Whether the archive's statement reads the table and does nothing else. A condition is the
    /// extension's of the live database, or it is not run.
    async fn may_read(&mut self, entry: &Entry, copy_out: &str) -> Result<()> {
        let condition = match reading(entry, copy_out) {
            Some(Reading::Whole) => return Ok(()),
            Some(Reading::Where(condition)) => condition,
            None => {
                let why = "its statement for reading rows is not of pgstow's making";
                return Err(Error::new(Kind::Archive, why).with_statement(copy_out));
            }
        };
        let name = entry.relation.as_ref().unwrap_or(&entry.name);
        let known = self
            .wire
            .query(&format!(
                "SELECT x.condition FROM pg_catalog.pg_extension e, \
                 LATERAL unnest(e.extconfig, e.extcondition) AS x(relation, condition) \
                 JOIN pg_catalog.pg_class c ON c.oid = x.relation \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = {} AND c.relname = {}",
                literal(entry.schema.as_deref().unwrap_or_default()),
                literal(name)
            ))
            .await?;
        let is_known = |known: &Option<String>| known.as_deref() == Some(condition);
        if known.iter().flatten().any(is_known) {
            return Ok(());
        }
        let why = "its rows were chosen by a condition that no extension of the live database has";
        Err(Error::new(Kind::Server, why))
    }

    async fn rows(
        &mut self,
        label: &str,
        format: CopyFormat,
        types: &[String],
        copy_out: &str,
    ) -> Result<Fingerprint> {
        let copy = self.wire.copy_out(copy_out).await?;
        let observer = &self.observer;
        let arrays = ArrayColumns::of(types);
        fingerprint(copy, format, &arrays, |rows, bytes| {
            observer.event(&Event::TableProgress {
                table: label.to_owned(),
                rows,
                bytes,
            });
        })
        .await
    }

    /// Asks for the same pieces that the archive has, and for one byte after each object's end.
    async fn large_objects(&mut self, known: &TableIndex) -> Result<Found> {
        let codec = self.archive.manifest().codec;
        let mut ends: BTreeMap<u32, u64> = BTreeMap::new();
        let mut equal = 0;
        let mut difference = None;
        for frame in &known.frames {
            let stored = self.archive.read_frame(frame).await?;
            let unpacked = tokio::task::spawn_blocking(move || {
                let raw = unseal(&stored, codec, stored.raw_bytes)?;
                large_object_pieces(&Bytes::from(raw))
            });
            let pieces = unpacked.await.unwrap_or_else(|error| {
                Err(Error::new(Kind::Failed, format!("unpack a frame: {error}")))
            })?;
            for group in pieces.chunks(PIECES) {
                equal += self.pieces(group, &mut ends, &mut difference).await?;
            }
        }
        let ends: Vec<(u32, u64)> = ends.into_iter().collect();
        for group in ends.chunks(PIECES) {
            let values: Vec<String> = group
                .iter()
                .map(|(o, end)| format!("({o}, {end})"))
                .collect();
            let longer = self
                .wire
                .query(&format!(
                    "SELECT v.o::text FROM (VALUES {}) AS v (o, p) \
                     JOIN pg_catalog.pg_largeobject_metadata m ON m.oid = v.o::pg_catalog.oid \
                     WHERE pg_catalog.length(pg_catalog.lo_get(m.oid, v.p::pg_catalog.int8, 1)) > 0",
                    values.join(", ")
                ))
                .await?;
            if let Some(oid) = longer.first().and_then(|row| row[0].clone()) {
                difference.get_or_insert(format!("large object {oid} is longer"));
            }
        }
        Ok(Found::Pieces { equal, difference })
    }

    /// How many of these pieces the database has too.
    async fn pieces(
        &mut self,
        group: &[[Bytes; 3]],
        ends: &mut BTreeMap<u32, u64>,
        difference: &mut Option<String>,
    ) -> Result<u64> {
        let mut values = Vec::with_capacity(group.len());
        let mut wanted = Vec::with_capacity(group.len());
        for (number, [oid, offset, content]) in group.iter().enumerate() {
            let oid = number_of(oid);
            let offset = number_of(offset);
            let end = ends.entry(u32::try_from(oid).unwrap_or(0)).or_default();
            *end = (*end).max(offset + content.len() as u64);
            values.push(format!("({number}, {oid}, {offset}, {})", content.len()));
            wanted.push((oid, content));
        }
        let query = format!(
            "COPY (SELECT v.n, pg_catalog.lo_get(m.oid, v.p::pg_catalog.int8, v.l) \
             FROM (VALUES {}) AS v (n, o, p, l) \
             JOIN pg_catalog.pg_largeobject_metadata m ON m.oid = v.o::pg_catalog.oid \
             ORDER BY v.n) TO STDOUT (FORMAT binary)",
            values.join(", ")
        );
        let mut equal = vec![false; group.len()];
        let mut copy = self.wire.copy_out(&query).await?;
        let mut first = true;
        walk_binary(&mut copy, &mut first, |tuple| {
            // Two fields: the number, four bytes long, and the content.
            let (Some(number), Some(content)) = (tuple.get(6..10), tuple.get(14..)) else {
                return;
            };
            let at = usize::try_from(number_of(number)).unwrap_or(usize::MAX);
            if let (Some(equal), Some((_, wanted))) = (equal.get_mut(at), wanted.get(at)) {
                *equal = content == wanted.as_ref();
            }
        })
        .await?;
        if let Some(at) = equal.iter().position(|equal| !equal) {
            difference.get_or_insert_with(|| {
                format!(
                    "large object {} is missing or has other content",
                    wanted[at].0
                )
            });
        }
        Ok(equal.into_iter().filter(|equal| *equal).count() as u64)
    }
}

/// What the database holds.
enum Found {
    Rows(Fingerprint),
    /// Pieces of large objects that are equal, and the first that is not.
    Pieces {
        equal: u64,
        difference: Option<String>,
    },
}

fn number_of(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn label(entry: &Entry) -> String {
    let name = entry.relation.as_ref().unwrap_or(&entry.name);
    let label = match &entry.schema {
        Some(schema) => format!("{schema}.{name}"),
        None => name.clone(),
    };
    one_line(&label)
}

/// The fingerprint of a COPY stream's rows, as a dump takes it.
async fn fingerprint(
    mut copy: CopyOut<'_>,
    format: CopyFormat,
    arrays: &ArrayColumns,
    mut progress: impl FnMut(u64, u64) + Send,
) -> Result<Fingerprint> {
    let mut fingerprint = Fingerprint::new();
    let (mut rows, mut bytes) = (0, 0);
    let mut count = |length: usize| {
        rows += 1;
        bytes += length as u64;
        if bytes >= PROGRESS_BYTES {
            progress(rows, bytes);
            (rows, bytes) = (0, 0);
        }
    };
    let counted = match format {
        CopyFormat::Text => loop {
            let walk = copy.rows(|line| {
                fingerprint.add_row(line.strip_suffix(b"\n").unwrap_or(line));
                count(line.len());
                after(line)
            });
            match walk.await? {
                Walk::Done { rows } => break rows,
                Walk::Paused => drop(copy.take_large()),
            }
        },
        CopyFormat::Binary => {
            let mut first = true;
            walk_binary(&mut copy, &mut first, |tuple| {
                let tuple = arrays.settle(tuple);
                fingerprint.add_row(tuple);
                count(tuple.len());
            })
            .await?
        }
    };
    if counted != fingerprint.rows() {
        return Err(Error::new(
            Kind::Failed,
            format!(
                "the server counted {counted} rows and sent {}",
                fingerprint.rows()
            ),
        ));
    }
    Ok(fingerprint)
}

/// A row that has taken memory is followed by a pause, to give it back.
fn after(row: &[u8]) -> ControlFlow<()> {
    match row.len() > LARGE_ROW {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}

/// Calls `row` with each tuple of a binary COPY; how many the server counted.
async fn walk_binary(
    copy: &mut CopyOut<'_>,
    first: &mut bool,
    mut row: impl FnMut(&mut [u8]) + Send,
) -> Result<u64> {
    let mut malformed = false;
    loop {
        let walk = copy.rows(|payload| {
            let pause = after(payload);
            let mut tuple = payload;
            if std::mem::take(first) {
                match tuple.starts_with(BINARY_HEADER) {
                    true => tuple = &mut tuple[BINARY_HEADER.len()..],
                    false => malformed = true,
                }
            }
            if !tuple.is_empty() && tuple != BINARY_TRAILER {
                row(tuple);
            }
            pause
        });
        match walk.await? {
            Walk::Done { .. } if malformed => {
                return Err(Error::new(
                    Kind::Failed,
                    "the server sent a COPY stream without its header",
                ));
            }
            Walk::Done { rows } => return Ok(rows),
            Walk::Paused => drop(copy.take_large()),
        }
    }
}
