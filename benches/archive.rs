//! What a dump's and a restore's client work costs per byte: the walk over rows, the fingerprint,
//! compression with its hash, and writing and reading a whole archive.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::future::BoxFuture;
use pgstow::archive::{
    Archive, ArchiveId, BINARY_HEADER, BINARY_TRAILER, Codec, CopyFormat, DataSpec, Decoder,
    Encoder, Entry, Fingerprint, Manifest, RawFrame, Scripts, StoredFrame, StreamReader, Timestamp,
    Writer, rows_of, verify,
};
use pgstow::error::{Error, Kind, Result};
use pgstow::report::Silent;
use pgstow::storage::{Sink, Source};

const FRAME_BYTES: usize = 8 << 20;

/// Lines of many narrow columns, like those of TPC-H.
fn text() -> Vec<u8> {
    let mut raw = Vec::with_capacity(FRAME_BYTES);
    let mut n = 0u64;
    while raw.len() < FRAME_BYTES - 200 {
        n += 1;
        let scrambled = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let line = format!(
            "{n}\t{}\t{}\t{}\t{}.00\t0.0{}\tN\tO\t1996-{:02}-{:02}\tDELIVER IN PERSON\tTRUCK\tfinal deposits sleep {}\n",
            scrambled % 200_000,
            scrambled % 10_000,
            scrambled % 7,
            scrambled % 100_000,
            scrambled % 9,
            scrambled % 12 + 1,
            scrambled % 28 + 1,
            scrambled % 1000,
        );
        raw.extend_from_slice(line.as_bytes());
    }
    raw
}

/// Tuples of the same columns.
fn binary(text: &[u8]) -> Vec<u8> {
    let mut raw = BINARY_HEADER.to_vec();
    for line in text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        raw.extend_from_slice(&12i16.to_be_bytes());
        for field in line.split(|byte| *byte == b'\t') {
            raw.extend_from_slice(&u32::try_from(field.len()).unwrap_or(0).to_be_bytes());
            raw.extend_from_slice(field);
        }
    }
    raw.extend_from_slice(BINARY_TRAILER);
    raw
}

fn rows(c: &mut Criterion) {
    let text = text();
    let binary = binary(&text);
    let mut group = c.benchmark_group("rows");
    for (name, format, raw) in [
        ("text", CopyFormat::Text, &text),
        ("binary", CopyFormat::Binary, &binary),
    ] {
        group.throughput(Throughput::Bytes(raw.len() as u64));
        group.bench_function(BenchmarkId::new("walk", name), |b| {
            b.iter(|| {
                rows_of(format, black_box(raw))
                    .map_while(Result::ok)
                    .map(<[u8]>::len)
                    .sum::<usize>()
            });
        });
        group.bench_function(BenchmarkId::new("fingerprint", name), |b| {
            b.iter(|| {
                let mut sum = Fingerprint::new();
                rows_of(format, black_box(raw))
                    .map_while(Result::ok)
                    .for_each(|row| sum.add_row(row));
                sum
            });
        });
    }
    group.finish();
}

const CODECS: [Codec; 5] = [
    Codec::Zstd(1),
    Codec::Zstd(3),
    Codec::Gzip(6),
    Codec::Lz4,
    Codec::None,
];

fn seal(encoder: &mut Encoder, frame: u32, raw: Vec<u8>) -> (StoredFrame, Vec<u8>) {
    let raw = RawFrame {
        entry: 1,
        chunk: 0,
        frame,
        rows: 1,
        raw,
    };
    encoder.seal(raw).unwrap_or_else(|error| panic!("{error}"))
}

fn codecs(c: &mut Criterion) {
    let text = text();
    let mut group = c.benchmark_group("codec");
    group
        .throughput(Throughput::Bytes(text.len() as u64))
        .sample_size(10);
    for codec in CODECS {
        let mut encoder = Encoder::new(codec).unwrap_or_else(|error| panic!("{error}"));
        let mut buffer = text.clone();
        group.bench_function(BenchmarkId::new("compress and hash", codec), |b| {
            b.iter(|| {
                let mut raw = std::mem::take(&mut buffer);
                raw.clear();
                raw.extend_from_slice(&text);
                let (stored, back) = seal(&mut encoder, 0, raw);
                buffer = back;
                stored
            });
        });
        let (stored, _) = seal(&mut encoder, 0, text.clone());
        let mut decoder = Decoder::new(codec);
        let mut raw = Vec::new();
        group.bench_function(BenchmarkId::new("unpack", codec), |b| {
            b.iter(|| {
                decoder
                    .unseal_into(black_box(&stored), 1 << 30, &mut raw)
                    .is_ok()
            });
        });
    }
    group.finish();
}

/// Keeps nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        black_box(bytes);
        Box::pin(async { Ok(()) })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

struct Memory(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Sink for Memory {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        let written = self.0.lock().map(|mut all| all.extend_from_slice(&bytes));
        let result = written.map_err(|_| Error::new(Kind::Failed, "poisoned"));
        Box::pin(async { result })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

struct InMemory(Bytes);

impl Source for InMemory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        Box::pin(async move { Ok(self.0.slice(start..start + length)) })
    }
}

fn entry() -> Result<Entry> {
    let data = DataSpec::Table {
        format: CopyFormat::Text,
        columns: vec!["a".to_owned()],
        types: Vec::new(),
        declared: Vec::new(),
        copy_out: String::new(),
        copy_in: String::new(),
    };
    let entry = serde_json::json!({
        "id": 1, "kind": "TABLE DATA", "schema": "public", "name": "lineitem", "section": "data",
        "data": data,
    });
    serde_json::from_value(entry).map_err(|error| Error::new(Kind::Failed, error.to_string()))
}

async fn write(sink: Box<dyn Sink>, frames: &[StoredFrame]) -> Result<()> {
    let manifest = Manifest::new(ArchiveId([1; 16]), Timestamp(1), Codec::Zstd(1));
    let mut writer = Writer::create(sink, manifest, &[entry()?], Scripts::default()).await?;
    let mut sum = Fingerprint::new();
    for frame in frames {
        sum.add_row(b"");
        writer.append(frame.clone()).await?;
    }
    writer.complete(1, sum).await?;
    writer.finish().await.map(drop)
}

async fn read(source: Arc<dyn Source>) -> Result<u64> {
    let archive = Archive::open(source).await?;
    let mut read = 0;
    for frame in archive.index().tables().flat_map(|table| &table.frames) {
        read += archive.read_frame(frame).await?.stored.len() as u64;
    }
    Ok(read)
}

async fn stream(bytes: &[u8]) -> Result<u64> {
    let mut reader = StreamReader::open(bytes).await?;
    while reader.next().await?.is_some() {}
    Ok(reader.position())
}

fn archives(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap_or_else(|error| panic!("{error}"));
    let mut encoder = Encoder::new(Codec::Zstd(1)).unwrap_or_else(|error| panic!("{error}"));
    let text = text();
    let large = seal(&mut encoder, 0, text.clone()).0;
    let small = seal(&mut encoder, 0, text[..200].to_vec()).0;
    for (name, frame, count) in [
        ("32 frames of 8 MiB", large, 32),
        ("20000 tiny frames", small, 20_000),
    ] {
        let frames: Vec<StoredFrame> = (0..count)
            .map(|number| StoredFrame {
                frame: number,
                ..frame.clone()
            })
            .collect();
        let written = Arc::new(std::sync::Mutex::new(Vec::new()));
        let memory = Box::new(Memory(Arc::clone(&written)));
        runtime
            .block_on(write(memory, &frames))
            .unwrap_or_else(|error| panic!("{error}"));
        let bytes = Bytes::from(std::mem::take(
            &mut *written.lock().unwrap_or_else(|e| e.into_inner()),
        ));
        let source: Arc<dyn Source> = Arc::new(InMemory(bytes.clone()));

        let mut group = c.benchmark_group("archive");
        group
            .throughput(Throughput::Bytes(bytes.len() as u64))
            .sample_size(10);
        group.bench_function(BenchmarkId::new("write", name), |b| {
            b.iter(|| runtime.block_on(write(Box::new(Nowhere), &frames)).is_ok());
        });
        group.bench_function(BenchmarkId::new("read at random", name), |b| {
            b.iter(|| runtime.block_on(read(Arc::clone(&source))).is_ok());
        });
        group.bench_function(BenchmarkId::new("read as a stream", name), |b| {
            b.iter(|| runtime.block_on(stream(&bytes)).is_ok());
        });
        group.bench_function(BenchmarkId::new("verify", name), |b| {
            b.iter(|| {
                runtime
                    .block_on(verify(Arc::clone(&source), Arc::new(Silent)))
                    .is_ok()
            });
        });
        group.finish();
    }
}

criterion_group!(benches, rows, codecs, archives);
criterion_main!(benches);
