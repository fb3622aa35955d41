//! Takes the fingerprints of an archive again from a live database.
//!
//! Every table is read under one snapshot, by the machinery, the statement and the session settings of
//! the dump, so that equal rows give equal bytes. What of large objects is another is found out piece by piece.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use super::verify::{TableComparison, VerifyOptions};
use crate::archive::{
    Archive, BINARY_HEADER, BINARY_TRAILER, CopyFormat, DataSpec, Entry, EntryId, Fingerprint,
    FrameIndex, TableIndex, unseal,
};
use crate::connect::{Config, Text, Walk, Wire};
use crate::dump::{Again, Held, Rereading, is_of_one_table, may_pass};
use crate::error::{Context, Error, Kind, Result, one_line};
use crate::model::Oid;
use crate::report::{Event, Observer};
use crate::restore::{Sent, Table, large_object_pieces, unlike};
use crate::task::Backoff;

/// Pieces of large objects asked for in one statement.
const PIECES: usize = 500;

/// Frames of large objects that are unpacked at a time.
const UNPACKED: usize = 4;

/// How often it is tried again what large objects differ in after the session was lost, and how long it is waited: a
/// quarter of a minute in all.
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
    let tables: Vec<&TableIndex> = archive
        .index()
        .tables()
        .filter(|table| !is_statistics(table))
        .collect();
    let count = tables.len() as u64;
    observer.event(&Event::Phase {
        name: "compare",
        steps: Some(count),
    });
    observer.event(&Event::DataTotal {
        tables: count,
        bytes: tables.iter().map(|table| table.raw_bytes).sum(),
        rows: Some(tables.iter().map(|table| table.rows).sum()),
    });
    let reading = options.reading();
    let rereading = Rereading::new(config, &reading, Arc::clone(&observer));
    let comparing = async {
        let mut again = Again::default();
        for index in &tables {
            if let Some(DataSpec::LargeObjects) = entry_of(&archive, index)?.data {
                let oids = objects_of(&archive, index).await?;
                if !oids.is_empty() {
                    again.add_large_objects(index.entry, oids);
                }
            }
        }
        let held = rereading.begin().await?;
        let compared = compare_held(&held, &archive, &tables, again, &*observer).await?;
        held.end().await?;
        Ok(compared)
    };
    let compared = rereading.unless(cancel, comparing).await;
    let compared = compared.map_err(|error| match error.kind() {
        Kind::Interrupted => Error::new(Kind::Interrupted, "verify: interrupted"),
        _ => error,
    })?;
    Ok(together(&archive, compared))
}

async fn compare_held(
    held: &Held<'_>,
    archive: &Archive,
    tables: &[&TableIndex],
    mut again: Again,
    observer: &dyn Observer,
) -> Result<BTreeMap<EntryId, Comparison>> {
    let conditions = conditions(held).await?;
    let mut found: BTreeMap<EntryId, Result<Found, String>> = BTreeMap::new();
    for index in tables {
        let entry = entry_of(archive, index)?;
        if !matches!(entry.data, Some(DataSpec::Table { .. })) {
            continue;
        }
        let label = label(entry);
        let schema = entry.schema.clone().unwrap_or_default();
        let name = entry.relation.as_ref().unwrap_or(&entry.name).clone();
        let known = conditions.get(&(schema, name));
        // It is the extension's of the live database, or it is not run.
        let is_known = |condition: &str| known.is_some_and(|known| known.contains(condition));
        let added = again.add_table(entry, &label, index.raw_bytes, is_known);
        if !added.context_with(|| format!("compare {label}"))? {
            let why =
                "its rows were chosen by a condition that no extension of the live database has";
            found.insert(index.entry, Err(why.to_owned()));
        }
    }
    let read = held.read(again).await?.into_iter().map(|(entry, read)| {
        let read = read.map(Found::Rows);
        (entry, read.map_err(|error| error.message().to_owned()))
    });
    found.extend(read);
    // What they differ in has the last word: another program may have cut the same bytes into other pieces.
    let mut objects: BTreeMap<EntryId, &TableIndex> = BTreeMap::new();
    for index in tables {
        let is_equal = matches!(found.get(&index.entry), Some(Ok(Found::Rows(rows))) if *rows == index.fingerprint);
        let entry = entry_of(archive, index)?;
        if !is_equal && matches!(entry.data, Some(DataSpec::LargeObjects)) {
            objects.insert(index.entry, index);
        }
    }
    let (mut others, pieces) = aside(held, archive, tables, &objects, observer).await?;
    found.extend(pieces);
    let compared = tables.iter().map(|index| {
        let entry = entry_of(archive, index)?;
        let label = label(entry);
        let found = found
            .remove(&index.entry)
            .ok_or_else(|| Error::new(Kind::Failed, format!("compare {label}: it was not read")))?;
        let comparison = Comparison {
            table: label,
            known: index.fingerprint,
            found,
            of_other_type: others.remove(&index.entry),
        };
        Ok((index.entry, comparison))
    });
    compared.collect()
}

fn entry_of<'a>(archive: &'a Archive, index: &TableIndex) -> Result<&'a Entry> {
    let entry = archive.entries().get(index.entry as usize - 1);
    let entry = entry.filter(|entry| entry.data.is_some());
    entry.ok_or_else(|| {
        let what = format!("entry {} has no data", index.entry);
        Error::new(Kind::Archive, what)
    })
}

/// By which conditions extensions of the live database choose rows of their tables, by schema and name.
async fn conditions(held: &Held<'_>) -> Result<BTreeMap<Table, BTreeSet<String>>> {
    let rows = held
        .leader()
        .client()
        .query(CONDITIONS, &[])
        .await
        .context_with(|| "ask which rows are of extensions")?;
    let mut conditions: BTreeMap<Table, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        let text = |at: usize| Ok::<_, Error>(row.try_get::<_, Text<'_>>(at)?.0.into_owned());
        let table = (text(0)?, text(1)?);
        conditions.entry(table).or_default().insert(text(2)?);
    }
    Ok(conditions)
}

const CONDITIONS: &str = "\
SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text, x.condition \
FROM pg_catalog.pg_extension e, LATERAL unnest(e.extconfig, e.extcondition) AS x (relation, condition) \
JOIN pg_catalog.pg_class c ON c.oid = x.relation \
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
WHERE x.condition <> ''";

/// What is asked of one session when all rows are read: which tables have columns of other types, and in what
/// large objects differ.
async fn aside(
    held: &Held<'_>,
    archive: &Archive,
    tables: &[&TableIndex],
    objects: &BTreeMap<EntryId, &TableIndex>,
    observer: &dyn Observer,
) -> Result<(
    BTreeMap<EntryId, String>,
    BTreeMap<EntryId, Result<Found, String>>,
)> {
    let is_binary = |index: &&TableIndex| {
        let data = archive.entries().get(index.entry as usize - 1);
        let data = data.and_then(|entry| entry.data.as_ref());
        matches!(data, Some(DataSpec::Table { format, .. }) if *format == CopyFormat::Binary)
    };
    if objects.is_empty() && !tables.iter().any(is_binary) {
        return Ok((BTreeMap::new(), BTreeMap::new()));
    }
    let mut waits = Backoff::new(FIRST_WAIT, LONGEST_WAIT, TRIES);
    loop {
        let asked = async {
            let mut wire = held.session().await?;
            let others = of_other_types(&mut wire, archive, tables).await?;
            let mut pieces = BTreeMap::new();
            for (entry, index) in objects {
                let found = match large_objects(&mut wire, archive, index).await {
                    Err(error) if is_of_one_table(&error) => {
                        wire.execute("ROLLBACK TO SAVEPOINT pgstow").await?;
                        Err(error.message().to_owned())
                    }
                    found => Ok(found.context_with(|| "compare large objects")?),
                };
                pieces.insert(*entry, found);
            }
            wire.close().await;
            Ok((others, pieces))
        };
        let error: Error = match asked.await {
            Err(error) if may_pass(&error) => error,
            asked => return asked,
        };
        let Some(wait) = waits.next() else {
            return Err(error);
        };
        observer.warning(format!(
            "{error}: it is asked again under the same snapshot"
        ));
        tokio::time::sleep(wait).await;
    }
}

/// Tables whose rows are in binary and whose columns are of other types than the rows, with those columns in words.
/// The same bytes are other values then.
async fn of_other_types(
    wire: &mut Wire,
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
    let unlike = unlike(wire, &wanted).await?;
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

/// The large objects that an entry of the archive has something of.
async fn objects_of(archive: &Archive, index: &TableIndex) -> Result<Vec<Oid>> {
    let frames = futures::stream::iter(&index.frames);
    let found = frames.map(|frame| async move {
        let pieces = pieces_of(archive, frame).await?;
        let oids = pieces.iter().map(|[oid, _, _]| oid_of(oid));
        Ok::<BTreeSet<Oid>, Error>(oids.collect())
    });
    let all = found.buffer_unordered(UNPACKED);
    let all = all.try_fold(BTreeSet::new(), |mut all, mut more| async move {
        all.append(&mut more);
        Ok(all)
    });
    Ok(all.await?.into_iter().collect())
}

/// What a frame has of large objects.
async fn pieces_of(archive: &Archive, frame: &FrameIndex) -> Result<Vec<[Bytes; 3]>> {
    let codec = archive.manifest().codec;
    let stored = archive.read_frame(frame).await?;
    let unpacked = tokio::task::spawn_blocking(move || {
        let raw = unseal(&stored, codec, stored.raw_bytes)?;
        large_object_pieces(&Bytes::from(raw))
    });
    unpacked
        .await
        .unwrap_or_else(|error| Err(Error::new(Kind::Failed, format!("unpack a frame: {error}"))))
}

/// Asks for the same pieces that the archive has, and for one byte after each object's end.
async fn large_objects(wire: &mut Wire, archive: &Archive, known: &TableIndex) -> Result<Found> {
    // A failure must not cost the transaction, which holds the snapshot.
    wire.execute("SAVEPOINT pgstow").await?;
    let mut ends: BTreeMap<Oid, u64> = BTreeMap::new();
    let mut equal = 0;
    let mut difference = None;
    for frame in &known.frames {
        for group in pieces_of(archive, frame).await?.chunks(PIECES) {
            equal += equal_pieces(wire, group, &mut ends, &mut difference).await?;
        }
    }
    let ends: Vec<(Oid, u64)> = ends.into_iter().collect();
    for group in ends.chunks(PIECES) {
        let values: Vec<String> = group
            .iter()
            .map(|(o, end)| format!("({o}, {end})"))
            .collect();
        let longer = wire
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
async fn equal_pieces(
    wire: &mut Wire,
    group: &[[Bytes; 3]],
    ends: &mut BTreeMap<Oid, u64>,
    difference: &mut Option<String>,
) -> Result<u64> {
    let mut values = Vec::with_capacity(group.len());
    let mut wanted = Vec::with_capacity(group.len());
    for (number, [oid, offset, content]) in group.iter().enumerate() {
        let oid = oid_of(oid);
        let offset = number_of(offset);
        let end = ends.entry(oid).or_default();
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
    walk(wire, &query, |tuple| {
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

fn oid_of(bytes: &[u8]) -> Oid {
    Oid::try_from(number_of(bytes)).unwrap_or(0)
}

fn label(entry: &Entry) -> String {
    let name = entry.relation.as_ref().unwrap_or(&entry.name);
    let label = match &entry.schema {
        Some(schema) => format!("{schema}.{name}"),
        None => name.clone(),
    };
    one_line(&label)
}

/// Calls `row` with each tuple of a binary COPY.
async fn walk(wire: &mut Wire, query: &str, mut row: impl FnMut(&[u8]) + Send) -> Result<()> {
    let mut copy = wire.copy_out(query).await?;
    let mut first = true;
    let mut malformed = false;
    let walk = copy.rows(|payload| {
        let mut tuple: &[u8] = payload;
        if std::mem::take(&mut first) {
            match tuple.strip_prefix(BINARY_HEADER) {
                Some(rest) => tuple = rest,
                None => malformed = true,
            }
        }
        if !tuple.is_empty() && tuple != BINARY_TRAILER {
            row(tuple);
        }
        ControlFlow::Continue(())
    });
    match walk.await? {
        Walk::Done { .. } if !malformed => Ok(()),
        Walk::Done { .. } | Walk::Paused => {
            let what = "the server sent a COPY stream without its header";
            Err(Error::new(Kind::Failed, what))
        }
    }
}
