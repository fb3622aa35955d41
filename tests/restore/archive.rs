//! Archives made by hand.

use std::path::Path;
use std::sync::{Arc, Mutex};

use pgstow::archive::{
    ArchiveId, BINARY_HEADER, BINARY_TRAILER, Codec, CopyFormat, DataSpec, Encoder, Entry, EntryId,
    Fingerprint, Lock, LockMode, Manifest, Pass, RawFrame, Scripts, Section, Timestamp, Writer,
    rows_of,
};
use pgstow::connect::{Config, ConfigSource, Environment};
use pgstow::report::{Event, Observer};
use pgstow::storage::{LocalSink, LocalSource, Overwrite};
use pgstow::{Input, RestoreOptions, RestoreReport};
use tokio_util::sync::CancellationToken;

use super::support::Db;

/// An archive in the making: entries are numbered as they come.
pub struct Build {
    pub entries: Vec<Entry>,
    pub frames: Vec<RawFrame>,
    pub codec: Codec,
    /// Entries that make the database itself; numbered when the archive is written.
    pub database: Vec<Entry>,
}

impl Build {
    pub fn new() -> Self {
        Self {
            entries: Vec::new(),
            frames: Vec::new(),
            codec: Codec::Zstd(1),
            database: Vec::new(),
        }
    }

    pub fn entry(
        &mut self,
        kind: &str,
        name: &str,
        section: Section,
        create: &[&str],
    ) -> &mut Entry {
        let id = EntryId::try_from(self.entries.len() + 1).unwrap();
        self.entries.push(Entry {
            schema: Some("public".to_owned()),
            create: create.iter().map(|sql| (*sql).to_owned()).collect(),
            ..Entry::new(id, kind, name, section)
        });
        self.entries.last_mut().unwrap()
    }

    pub fn pre(&mut self, kind: &str, name: &str, create: &str) -> &mut Entry {
        self.entry(kind, name, Section::PreData, &[create])
    }

    pub fn post(
        &mut self,
        kind: &str,
        name: &str,
        table: &str,
        on: &[EntryId],
        sql: &str,
    ) -> &mut Entry {
        let entry = self.entry(kind, name, Section::PostData, &[sql]);
        entry.relation = Some(table.to_owned());
        entry.depends_on = on.to_vec();
        entry
    }

    /// Rows of a table in text format, one frame per string.
    pub fn rows(&mut self, table: &str, on: EntryId, columns: &str, frames: &[String]) -> EntryId {
        let entry = self.entry("TABLE DATA", table, Section::Data, &[]);
        entry.relation = Some(table.to_owned());
        entry.depends_on = vec![on];
        entry.data = Some(DataSpec::Table {
            format: CopyFormat::Text,
            columns: columns.split(", ").map(str::to_owned).collect(),
            types: Vec::new(),
            declared: Vec::new(),
            copy_out: format!("COPY public.{table} ({columns}) TO STDOUT"),
            copy_in: format!("COPY public.{table} ({columns}) FROM STDIN"),
        });
        let id = entry.id;
        for (frame, raw) in (0..).zip(frames) {
            self.frames.push(RawFrame {
                entry: id,
                chunk: 0,
                frame,
                rows: raw.lines().count() as u64,
                raw: raw.clone().into_bytes(),
            });
        }
        id
    }

    /// Large objects and their contents, in pieces of at most 2,048 bytes.
    pub fn large_objects(&mut self, objects: &[(u32, Vec<u8>)]) -> EntryId {
        let create: Vec<String> = objects
            .iter()
            .map(|(oid, _)| format!("SELECT pg_catalog.lo_create({oid})"))
            .collect();
        let create: Vec<&str> = create.iter().map(String::as_str).collect();
        let entry = self.entry("LARGE OBJECTS", "all", Section::Data, &create);
        entry.schema = None;
        let metadata = entry.id;
        let entry = self.entry("LARGE OBJECT DATA", "all", Section::Data, &[]);
        entry.schema = None;
        entry.depends_on = vec![metadata];
        entry.data = Some(DataSpec::LargeObjects);
        let id = entry.id;
        for (frame, (oid, content)) in (0..).zip(objects) {
            let mut raw = BINARY_HEADER.to_vec();
            let mut rows = 0;
            // An empty object is one empty piece, as in a dump.
            let empty: &[u8] = &[];
            let pieces = content.chunks(2048);
            let nothing = content.is_empty().then_some(empty);
            for (number, piece) in (0i64..).zip(pieces.chain(nothing)) {
                raw.extend(3i16.to_be_bytes());
                raw.extend(4i32.to_be_bytes());
                raw.extend(oid.to_be_bytes());
                raw.extend(8i32.to_be_bytes());
                raw.extend((number * 2048).to_be_bytes());
                raw.extend(i32::try_from(piece.len()).unwrap().to_be_bytes());
                raw.extend(piece);
                rows += 1;
            }
            raw.extend(BINARY_TRAILER);
            self.frames.push(RawFrame {
                entry: id,
                chunk: 0,
                frame,
                rows,
                raw,
            });
        }
        id
    }

    /// Writes the archive; frames of different entries in turn, as a parallel dump leaves them.
    pub async fn write(&self, path: &Path) {
        let mut manifest =
            Manifest::new(ArchiveId::random().unwrap(), Timestamp::now(), self.codec);
        manifest.server_version = 150_000;
        let named = self.database.first().map(|entry| entry.name.clone());
        manifest.database = named.unwrap_or_else(|| "source".to_owned());
        manifest.encoding = "UTF8".to_owned();
        manifest.database_entries = self.database.clone();
        for (entry, id) in manifest
            .database_entries
            .iter_mut()
            .zip(self.entries.len() + 1..)
        {
            entry.id = EntryId::try_from(id).unwrap();
        }
        let sink = Box::new(LocalSink::create(path, Overwrite::Replace).await.unwrap());
        let scripts = Scripts::default();
        let mut writer = Writer::create(sink, manifest, &self.entries, scripts)
            .await
            .unwrap();
        let mut encoder = Encoder::new(self.codec).unwrap();
        let mut frames = self.frames.clone();
        frames.sort_by_key(|frame| (frame.frame, frame.entry));
        for frame in frames {
            let (stored, _) = encoder.seal(frame).unwrap();
            writer.append(stored).await.unwrap();
        }
        for entry in &self.entries {
            let format = match &entry.data {
                Some(DataSpec::Table { format, .. }) => *format,
                Some(DataSpec::LargeObjects) => CopyFormat::Binary,
                Some(DataSpec::Statistics { .. }) => CopyFormat::Text,
                None => continue,
            };
            let mut fingerprint = Fingerprint::new();
            for frame in self.frames.iter().filter(|frame| frame.entry == entry.id) {
                for row in rows_of(format, &frame.raw) {
                    fingerprint.add_row(row.unwrap());
                }
            }
            writer.complete(entry.id, fingerprint).await.unwrap();
        }
        writer.finish().await.unwrap();
    }
}

/// Two tables with rows in several frames, keys, an index, a foreign key, a view, a sequence, a
/// materialized view, a comment, privileges, a trigger.
pub fn shop(orders: usize) -> Build {
    let mut build = Build::new();
    let customers = build
        .pre(
            "TABLE",
            "customers",
            "CREATE TABLE public.customers (id integer NOT NULL, name text)",
        )
        .id;
    build.entries[0].comments = vec!["COMMENT ON TABLE public.customers IS 'who buys'".to_owned()];
    build.entries[0].privileges =
        vec!["GRANT SELECT ON TABLE public.customers TO PUBLIC".to_owned()];
    build.entries[0].drop = vec!["DROP TABLE IF EXISTS public.customers".to_owned()];
    build.entries[0].set_owner = vec!["ALTER TABLE public.customers OWNER TO postgres".to_owned()];
    let table = build.pre(
        "TABLE",
        "orders",
        "CREATE TABLE public.orders (id bigint NOT NULL, customer integer, note text)",
    );
    table.drop = vec!["DROP TABLE IF EXISTS public.orders".to_owned()];
    let orders_table = table.id;
    let sequence = build.pre(
        "SEQUENCE",
        "orders_id_seq",
        "CREATE SEQUENCE public.orders_id_seq",
    );
    sequence.drop = vec!["DROP SEQUENCE IF EXISTS public.orders_id_seq".to_owned()];
    let sequence = sequence.id;
    let view = build.pre(
        "MATERIALIZED VIEW",
        "totals",
        "CREATE MATERIALIZED VIEW public.totals AS SELECT customer, count(*) AS n \
         FROM public.orders GROUP BY customer WITH NO DATA",
    );
    view.depends_on = vec![orders_table];
    view.drop = vec!["DROP MATERIALIZED VIEW IF EXISTS public.totals".to_owned()];
    let view = view.id;
    let function = build.pre(
        "FUNCTION",
        "refuse()",
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'no more orders'; END $$",
    );
    function.drop = vec!["DROP FUNCTION IF EXISTS public.refuse()".to_owned()];
    let function = function.id;
    let names: Vec<String> = (1..=100).map(|n| format!("{n}\tcustomer {n}\n")).collect();
    build.rows("customers", customers, "id, name", &[names.concat()]);
    let frames: Vec<String> = (0..orders)
        .collect::<Vec<_>>()
        .chunks(1000)
        .map(|ids| {
            ids.iter()
                .map(|n| format!("{}\t{}\tnote {n}\\twith tab\n", n + 1, n % 100 + 1))
                .collect()
        })
        .collect();
    build.rows("orders", orders_table, "id, customer, note", &frames);
    let set = build.entry(
        "SEQUENCE SET",
        "orders_id_seq",
        Section::Data,
        &["SELECT pg_catalog.setval('public.orders_id_seq', 4711, true)"],
    );
    set.depends_on = vec![sequence];
    let key = build
        .post(
            "CONSTRAINT",
            "customers_pkey",
            "customers",
            &[customers],
            "ALTER TABLE ONLY public.customers ADD CONSTRAINT customers_pkey PRIMARY KEY (id)",
        )
        .id;
    build.post(
        "CONSTRAINT",
        "orders_pkey",
        "orders",
        &[orders_table],
        "ALTER TABLE ONLY public.orders ADD CONSTRAINT orders_pkey PRIMARY KEY (id)",
    );
    let index = build.post(
        "INDEX",
        "orders_customer",
        "orders",
        &[orders_table],
        "CREATE INDEX orders_customer ON public.orders USING btree (customer)",
    );
    index.locks = vec![Lock {
        on: orders_table,
        mode: LockMode::Share,
    }];
    let fk = build.post(
        "FK CONSTRAINT",
        "orders_customer_fkey",
        "orders",
        &[orders_table, customers, key],
        "ALTER TABLE ONLY public.orders ADD CONSTRAINT orders_customer_fkey \
         FOREIGN KEY (customer) REFERENCES public.customers(id)",
    );
    fk.locks = vec![
        Lock {
            on: orders_table,
            mode: LockMode::ShareRowExclusive,
        },
        Lock {
            on: customers,
            mode: LockMode::ShareRowExclusive,
        },
    ];
    fk.drop = vec![
        "ALTER TABLE IF EXISTS ONLY public.orders DROP CONSTRAINT IF EXISTS orders_customer_fkey"
            .to_owned(),
    ];
    build
        .post(
            "TRIGGER",
            "closed",
            "orders",
            &[orders_table, function],
            "CREATE TRIGGER closed BEFORE INSERT ON public.orders FOR EACH ROW \
         EXECUTE FUNCTION public.refuse()",
        )
        .drop = vec!["DROP TRIGGER IF EXISTS closed ON public.orders".to_owned()];
    let refresh = build.entry(
        "MATERIALIZED VIEW DATA",
        "totals",
        Section::PostData,
        &["REFRESH MATERIALIZED VIEW public.totals"],
    );
    refresh.pass = Pass::Last;
    refresh.depends_on = vec![view];
    build
}

struct NoEnvironment;

impl Environment for NoEnvironment {
    fn get(&self, _name: &str) -> Option<String> {
        None
    }
}

pub fn config(db: &Db) -> Config {
    let source = ConfigSource {
        conninfo: Some(db.conninfo()),
        ..ConfigSource::default()
    };
    Config::resolve(&source, &NoEnvironment).unwrap()
}

/// Remembers what was said.
#[derive(Default)]
pub struct Heard(pub Mutex<Vec<Event>>);

impl Observer for Heard {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

pub async fn file(path: &Path) -> Input {
    Input::Source(Arc::new(LocalSource::open(path).await.unwrap()))
}

pub async fn restore(
    db: &Db,
    input: Input,
    options: &RestoreOptions,
) -> pgstow::error::Result<RestoreReport> {
    let heard = Arc::new(Heard::default());
    pgstow::restore(&config(db), input, options, heard, CancellationToken::new()).await
}

pub fn jobs(jobs: usize) -> RestoreOptions {
    RestoreOptions {
        jobs,
        ..RestoreOptions::default()
    }
}
