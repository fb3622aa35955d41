//! Globals: what belongs to the whole server travels beside the table of contents.

use pgstow::archive::{
    Archive, Codec, CopyFormat, Entry, Globals, Scripts, Section, StreamItem, StreamReader, Writer,
    verify, verify_stream,
};
use pgstow::error::Kind;
use pgstow::report::Silent;
use std::sync::Arc;

use super::sample::{self, CODECS, MemorySink, MemorySource, manifest, table_data};

fn role(id: u32, name: &str) -> Entry {
    Entry {
        schema: None,
        create: vec![format!("CREATE ROLE \"{name}\"")],
        ..sample::entry(id, "ROLE", "", name, Section::PreData)
    }
}

async fn archive(codec: Codec, entries: &[Entry], globals: Option<Globals>) -> Vec<u8> {
    let sink = MemorySink::default();
    let writer = Writer::create_with_globals(
        Box::new(sink.clone()),
        manifest(codec),
        entries,
        Scripts::default(),
        globals,
    );
    writer.await.unwrap().finish().await.unwrap();
    sink.bytes()
}

fn two_roles() -> Globals {
    Globals {
        entries: vec![role(1, "a \"quoted\"\none"), role(2, "b")],
        script: "CREATE ROLE b;\n".repeat(3),
    }
}

#[tokio::test]
async fn globals_are_read_at_random_and_from_a_pipe() {
    let entries = [sample::entry(
        1,
        "TABLE",
        "public",
        "orders",
        Section::PreData,
    )];
    for codec in CODECS {
        let globals = two_roles();
        let expected = Some(globals.entries.as_slice());
        let bytes = archive(codec, &entries, Some(globals.clone())).await;
        let source = MemorySource::new(bytes.clone());
        let open = Archive::open(source.clone()).await.unwrap();
        assert_eq!(open.globals(), expected);
        assert_eq!(open.entries(), entries);
        verify(source, Arc::new(Silent)).await.unwrap();
        let mut stream = StreamReader::open(bytes.as_slice()).await.unwrap();
        assert_eq!(stream.globals(), expected);
        let last = stream.next().await.unwrap();
        assert!(matches!(last, Some(StreamItem::End(_))));
        let report = verify_stream(bytes.as_slice(), Arc::new(Silent)).await;
        // README, manifest, table of contents, two of the globals, three scripts, index, sums,
        // trailer.
        assert_eq!(report.unwrap().members, 11);

        let without = archive(codec, &entries, None).await;
        let open = Archive::open(MemorySource::new(without.clone())).await;
        assert_eq!(open.unwrap().globals(), None);
        let stream = StreamReader::open(without.as_slice()).await.unwrap();
        assert_eq!(stream.globals(), None);
    }
}

#[tokio::test]
async fn a_changed_byte_in_the_globals_is_found() {
    let bytes = archive(Codec::None, &[], Some(two_roles())).await;
    let at = bytes
        .windows(11)
        .position(|window| window == b"CREATE ROLE")
        .unwrap();
    let mut damaged = bytes.clone();
    damaged[at] ^= 1;
    let errors = [
        Archive::open(MemorySource::new(damaged.clone()))
            .await
            .err(),
        StreamReader::open(damaged.as_slice()).await.err(),
    ];
    for error in errors {
        let error = error.unwrap();
        assert_eq!(error.kind(), Kind::Archive);
        assert!(error.message().contains("globals.jsonl"), "{error}");
    }
}

#[tokio::test]
async fn globals_that_make_no_sense_are_not_written() {
    let wrong = [
        vec![role(2, "b")],
        vec![table_data(1, "public", "t", CopyFormat::Text)],
    ];
    for entries in wrong {
        let globals = Globals {
            entries,
            script: String::new(),
        };
        let written = Writer::create_with_globals(
            Box::new(MemorySink::default()),
            manifest(Codec::None),
            &[],
            Scripts::default(),
            Some(globals),
        );
        assert_eq!(written.await.err().unwrap().kind(), Kind::Usage);
    }
}
