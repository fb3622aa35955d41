//! Local files as sinks and sources.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use pgstow::error::Kind;
use pgstow::storage::{LocalSink, LocalSource, Overwrite, Sink, Source};

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|found| found.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn write(path: &Path, overwrite: Overwrite, content: &str) -> pgstow::error::Result<()> {
    let mut sink = Box::new(LocalSink::create(path, overwrite).await?);
    sink.write(Bytes::copy_from_slice(content.as_bytes()))
        .await?;
    sink.finish().await
}

#[tokio::test]
async fn a_file_gets_its_name_when_it_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pgstow");
    let mut sink = Box::new(LocalSink::create(&path, Overwrite::Replace).await.unwrap());
    sink.write(Bytes::from_static(b"one ")).await.unwrap();
    sink.write(Bytes::from_static(b"two")).await.unwrap();
    let during = names(directory.path());
    assert_eq!(during.len(), 1);
    assert!(
        during[0].starts_with(".a.pgstow.") && during[0].ends_with(".partial"),
        "{during:?}"
    );
    sink.finish().await.unwrap();
    assert_eq!(names(directory.path()), ["a.pgstow"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "one two");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[tokio::test]
async fn a_sink_that_is_dropped_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pgstow");
    fs::write(&path, "old").unwrap();
    let mut sink = LocalSink::create(&path, Overwrite::Replace).await.unwrap();
    sink.write(Bytes::from_static(b"new")).await.unwrap();
    drop(sink);
    assert_eq!(names(directory.path()), ["a.pgstow"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
}

#[tokio::test]
async fn an_existing_file_is_replaced_or_not_as_asked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pgstow");
    write(&path, Overwrite::Refuse, "first").await.unwrap();
    let error = write(&path, Overwrite::Refuse, "second").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert_eq!(fs::read_to_string(&path).unwrap(), "first");
    write(&path, Overwrite::Replace, "third").await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "third");

    // Also when the other file came after the start.
    let late = directory.path().join("late.pgstow");
    let mut sink = Box::new(LocalSink::create(&late, Overwrite::Refuse).await.unwrap());
    sink.write(Bytes::from_static(b"mine")).await.unwrap();
    fs::write(&late, "theirs").unwrap();
    assert_eq!(sink.finish().await.unwrap_err().kind(), Kind::Refused);
    assert_eq!(fs::read_to_string(&late).unwrap(), "theirs");
    assert_eq!(names(directory.path()), ["a.pgstow", "late.pgstow"]);
}

#[tokio::test]
async fn a_link_to_a_file_stays_a_link() {
    let directory = tempfile::tempdir().unwrap();
    let (real, link) = (directory.path().join("real"), directory.path().join("link"));
    fs::write(&real, "old").unwrap();
    symlink("real", &link).unwrap();
    write(&link, Overwrite::Replace, "new").await.unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&real).unwrap(), "new");
}

#[tokio::test]
async fn a_fifo_and_a_device_are_written_directly() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let reader = {
        let fifo = fifo.clone();
        std::thread::spawn(move || {
            let mut read = String::new();
            fs::File::open(fifo)
                .unwrap()
                .read_to_string(&mut read)
                .unwrap();
            read
        })
    };
    write(&fifo, Overwrite::Refuse, "through the pipe")
        .await
        .unwrap();
    assert_eq!(reader.join().unwrap(), "through the pipe");
    assert_eq!(names(directory.path()), ["fifo"]);
    write(Path::new("/dev/null"), Overwrite::Replace, "away")
        .await
        .unwrap();
}

#[tokio::test]
async fn what_cannot_be_written_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("no/such/place");
    for (path, part) in [
        (missing.as_path(), "no such file or directory"),
        (directory.path(), "it is a directory"),
    ] {
        let error = LocalSink::create(path, Overwrite::Replace)
            .await
            .err()
            .unwrap();
        assert_eq!(error.kind(), Kind::Storage);
        assert!(error.message().contains(part), "{error}");
        assert!(
            error.message().contains(&*path.to_string_lossy()),
            "{error}"
        );
    }
    // The disk that is always full.
    let error = write(Path::new("/dev/full"), Overwrite::Replace, "x")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Storage);
    assert_eq!(
        error.message(),
        "write /dev/full after 0 bytes: no space left on device"
    );
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_pipe_without_a_reader_is_a_storage_error() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let reader = {
        let fifo = fifo.clone();
        std::thread::spawn(move || drop(fs::File::open(fifo).unwrap()))
    };
    let mut sink = LocalSink::create(&fifo, Overwrite::Replace).await.unwrap();
    reader.join().unwrap();
    let error = sink.write(Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Storage);
    assert!(error.message().contains("broken pipe"), "{error}");
}

#[tokio::test]
async fn a_source_gives_the_range_that_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    fs::write(&path, "0123456789").unwrap();
    let source = LocalSource::open(&path).await.unwrap();
    assert_eq!((source.len(), source.is_empty()), (10, false));
    assert_eq!(source.name(), path.to_string_lossy());
    assert_eq!(source.read_at(3, 4).await.unwrap(), "3456");
    assert_eq!(source.read_at(10, 0).await.unwrap(), "");
    for (offset, length) in [(3, 8), (11, 0), (u64::MAX, 1)] {
        let error = source.read_at(offset, length).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Storage);
    }
    // A file that has become shorter since.
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(5)
        .unwrap();
    let error = source.read_at(3, 4).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Storage);
    for path in [
        directory.path().join("missing"),
        directory.path().to_owned(),
    ] {
        let error = LocalSource::open(&path).await.err().unwrap();
        assert_eq!(error.kind(), Kind::Storage);
    }
}
