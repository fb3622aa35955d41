//! Archives in memory, small and with everything in them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::BoxFuture;
use pgstow::archive::{
    Archive, ArchiveId, BINARY_HEADER, BINARY_TRAILER, Codec, CopyFormat, DataSpec, Encoder, Entry,
    EntryId, Fingerprint, Listing, Manifest, PackedScripts, RawFrame, Scripts, Section,
    StoredFrame, StreamItem, StreamReader, Summary, Timestamp, Writer, rows_of,
};
use pgstow::error::{Error, Kind, Result};
use pgstow::storage::{Sink, Source};

/// Takes what a writer writes.
#[derive(Clone, Default)]
pub struct MemorySink {
    written: Arc<Mutex<Vec<u8>>>,
    finished: Arc<Mutex<bool>>,
}

impl MemorySink {
    pub fn bytes(&self) -> Vec<u8> {
        self.written.lock().unwrap().clone()
    }

    pub fn is_finished(&self) -> bool {
        *self.finished.lock().unwrap()
    }
}

impl Sink for MemorySink {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        self.written.lock().unwrap().extend_from_slice(&bytes);
        Box::pin(async { Ok(()) })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        *self.finished.lock().unwrap() = true;
        Box::pin(async { Ok(()) })
    }
}

/// An archive in memory.
pub struct MemorySource(Bytes);

impl MemorySource {
    pub fn new(bytes: impl Into<Bytes>) -> Arc<dyn Source> {
        Arc::new(Self(bytes.into()))
    }
}

impl Source for MemorySource {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes>> {
        let start = usize::try_from(offset).unwrap();
        Box::pin(async move {
            match start.checked_add(length) {
                Some(end) if end <= self.0.len() => Ok(self.0.slice(start..end)),
                _ => Err(Error::new(Kind::Storage, "read beyond the end")),
            }
        })
    }
}

pub fn entry(id: EntryId, kind: &str, schema: &str, name: &str, section: Section) -> Entry {
    Entry {
        schema: Some(schema.to_owned()),
        owner: Some("postgres".to_owned()),
        create: vec![format!("CREATE {kind} {name}")],
        ..Entry::new(id, kind, name, section)
    }
}

pub fn table_data(id: EntryId, schema: &str, name: &str, format: CopyFormat) -> Entry {
    let mut entry = entry(id, "TABLE DATA", schema, name, Section::Data);
    entry.create.clear();
    entry.data = Some(DataSpec::Table {
        format,
        columns: vec!["a".to_owned(), "b".to_owned()],
        types: Vec::new(),
        declared: Vec::new(),
        copy_out: format!("COPY {schema}.{name} (a, b) TO STDOUT"),
        copy_in: format!("COPY {schema}.{name} (a, b) FROM STDIN"),
    });
    entry
}

pub fn large_objects(id: EntryId) -> Entry {
    let mut entry = entry(id, "LARGE OBJECTS", "", "large objects", Section::Data);
    entry.schema = None;
    entry.create.clear();
    entry.data = Some(DataSpec::LargeObjects);
    entry
}

pub fn manifest(codec: Codec) -> Manifest {
    let id = ArchiveId(*b"0123456789abcdef");
    let mut manifest = Manifest::new(id, Timestamp(1_700_000_000), codec);
    manifest.database = "shop".to_owned();
    manifest.server_version = 150_004;
    manifest.server_version_text = "15.4".to_owned();
    manifest.encoding = "UTF8".to_owned();
    manifest
}

/// A complete COPY stream of these rows.
pub fn raw(format: CopyFormat, rows: &[Vec<u8>]) -> Vec<u8> {
    match format {
        CopyFormat::Text => rows
            .iter()
            .flat_map(|row| [row, b"\n".as_slice()].concat())
            .collect(),
        CopyFormat::Binary => {
            let mut raw = BINARY_HEADER.to_vec();
            for row in rows {
                raw.extend_from_slice(&1i16.to_be_bytes());
                raw.extend_from_slice(&i32::try_from(row.len()).unwrap().to_be_bytes());
                raw.extend_from_slice(row);
            }
            raw.extend_from_slice(BINARY_TRAILER);
            raw
        }
    }
}

/// One frame of an entry, by its rows.
#[derive(Clone, Debug)]
pub struct Piece {
    pub entry: EntryId,
    pub chunk: u32,
    pub frame: u32,
    pub rows: Vec<Vec<u8>>,
}

pub fn piece(entry: EntryId, chunk: u32, frame: u32, rows: &[&str]) -> Piece {
    let rows = rows.iter().map(|row| row.as_bytes().to_vec()).collect();
    Piece {
        entry,
        chunk,
        frame,
        rows,
    }
}

pub fn format_of(entry: &Entry) -> CopyFormat {
    match &entry.data {
        Some(DataSpec::Table { format, .. }) => *format,
        _ => CopyFormat::Binary,
    }
}

pub fn fingerprint(format: CopyFormat, raw: &[u8]) -> Fingerprint {
    let mut fingerprint = Fingerprint::new();
    for row in rows_of(format, raw) {
        fingerprint.add_row(row.unwrap());
    }
    fingerprint
}

fn raw_frame(format: CopyFormat, piece: &Piece) -> RawFrame {
    RawFrame {
        entry: piece.entry,
        chunk: piece.chunk,
        frame: piece.frame,
        rows: piece.rows.len() as u64,
        raw: raw(format, &piece.rows),
    }
}

pub fn seal(encoder: &mut Encoder, format: CopyFormat, piece: &Piece) -> (StoredFrame, Vec<u8>) {
    let frame = raw_frame(format, piece);
    let raw = frame.raw.clone();
    (encoder.seal(frame).unwrap().0, raw)
}

/// A frame as it is, for a pack.
pub fn bare(format: CopyFormat, piece: &Piece) -> (StoredFrame, Vec<u8>) {
    let frame = raw_frame(format, piece);
    let raw = frame.raw.clone();
    (frame.bare(), raw)
}

/// Writes an archive; each entry is completed when its last frame was written, those without
/// frames at the end.
pub async fn write(codec: Codec, entries: &[Entry], pieces: &[Piece]) -> (Vec<u8>, Summary) {
    let sink = MemorySink::default();
    let writer = Writer::create(Box::new(sink.clone()), manifest(codec), entries, scripts());
    write_into(writer.await.unwrap(), &sink, codec, entries, pieces).await
}

fn scripts() -> Scripts {
    Scripts {
        pre_data: "CREATE TABLE t ();\n".repeat(20),
        post_data: "CREATE INDEX ON t (a);\n".to_owned(),
    }
}

/// A writer that puts small tables into packs.
pub async fn packing(codec: Codec, entries: &[Entry]) -> (Writer, MemorySink) {
    let sink = MemorySink::default();
    let mut listing = Listing::packing(codec, "UTF8");
    for entry in entries {
        listing.push(entry).unwrap();
    }
    let scripts = PackedScripts::of(scripts(), codec);
    let created = Writer::create_listed(
        Box::new(sink.clone()),
        manifest(codec),
        listing,
        scripts,
        None,
    );
    let writer = created.await.unwrap();
    assert!(writer.is_packing());
    (writer, sink)
}

/// As [`write`], with packs.
pub async fn write_packed(codec: Codec, entries: &[Entry], pieces: &[Piece]) -> (Vec<u8>, Summary) {
    let (writer, sink) = packing(codec, entries).await;
    write_into(writer, &sink, codec, entries, pieces).await
}

async fn write_into(
    mut writer: Writer,
    sink: &MemorySink,
    codec: Codec,
    entries: &[Entry],
    pieces: &[Piece],
) -> (Vec<u8>, Summary) {
    let mut encoder = Encoder::new(codec).unwrap();
    let mut sums = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.data.is_some()) {
        sums.insert(entry.id, (0usize, Fingerprint::new(), format_of(entry)));
    }
    for piece in pieces {
        sums.get_mut(&piece.entry).unwrap().0 += 1;
    }
    let with_frames: BTreeSet<EntryId> = pieces.iter().map(|piece| piece.entry).collect();
    for piece in pieces {
        let (left, sum, format) = sums.get_mut(&piece.entry).unwrap();
        let (frame, raw) = match writer.is_packing() && piece.rows.len() < 100 {
            true => bare(*format, piece),
            false => seal(&mut encoder, *format, piece),
        };
        sum.merge(&fingerprint(*format, &raw));
        writer.append(frame).await.unwrap();
        *left -= 1;
        if *left == 0 {
            writer.complete(piece.entry, *sum).await.unwrap();
        }
    }
    for (id, (_, sum, _)) in sums {
        if !with_frames.contains(&id) {
            writer.complete(id, sum).await.unwrap();
        }
    }
    assert!(!sink.is_finished());
    let summary = writer.finish().await.unwrap();
    assert!(sink.is_finished());
    let bytes = sink.bytes();
    assert_eq!(summary.bytes, bytes.len() as u64);
    (bytes, summary)
}

/// Everything in small: text and binary tables, one without rows, large objects, two chunks.
pub fn small() -> (Vec<Entry>, Vec<Piece>) {
    let entries = vec![
        entry(1, "TABLE", "public", "orders", Section::PreData),
        table_data(2, "public", "orders", CopyFormat::Text),
        table_data(3, "odd/\u{e4}\n'", "name with $ and \"", CopyFormat::Binary),
        table_data(4, "public", "empty", CopyFormat::Text),
        large_objects(5),
        entry(6, "INDEX", "public", "orders_a", Section::PostData),
    ];
    let pieces = vec![
        piece(2, 1, 0, &["3\tc"]),
        piece(3, 0, 0, &["x", "", "yy"]),
        piece(2, 0, 0, &["1\ta", "2\tb"]),
        piece(5, 0, 0, &["lo"]),
        piece(2, 0, 1, &["4\td"]),
    ];
    (entries, pieces)
}

pub const CODECS: [Codec; 4] = [Codec::Zstd(1), Codec::Gzip(6), Codec::Lz4, Codec::None];

/// A source that counts how often it is read, and how much of it.
pub struct Counting {
    inner: Arc<dyn Source>,
    reads: AtomicU64,
    bytes: AtomicU64,
}

impl Counting {
    pub fn new(inner: Arc<dyn Source>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            reads: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        })
    }

    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Source for Counting {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(length as u64, Ordering::Relaxed);
        Box::pin(async move {
            // Whoever comes meanwhile is to wait, not to read as well.
            tokio::task::yield_now().await;
            self.inner.read_at(offset, length).await
        })
    }
}

/// Reads an archive as from a pipe, whose index must be that of `archive` at its end; so many items.
pub async fn streamed(bytes: &[u8], archive: &Archive) -> usize {
    let mut stream = StreamReader::open(bytes).await.unwrap();
    let mut items = 0;
    while let Some(item) = stream.next().await.unwrap() {
        items += 1;
        if let StreamItem::End(index) = item {
            assert_eq!(&index, archive.index());
        }
    }
    items
}
