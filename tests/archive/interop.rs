//! What the standard tools make of an archive.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use pgstow::archive::{Codec, CopyFormat};

use super::sample::{CODECS, raw, small, write};

fn run<I: AsRef<OsStr>>(directory: &Path, program: &str, arguments: &[I]) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed by this test: {error}"));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {words}");
    assert!(output.stderr.is_empty(), "{program} warns: {words}");
    output
}

#[tokio::test]
async fn tar_and_sha256sum_take_it_without_a_word() {
    let (entries, pieces) = small();
    for codec in CODECS {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let (bytes, _) = write(codec, &entries, &pieces).await;
        fs::write(path.join("a.tar"), bytes).unwrap();

        let listed = run(path, "tar", &["-tf", "a.tar"]).stdout;
        let listed = String::from_utf8(listed).unwrap();
        let names: Vec<&str> = listed.lines().collect();
        let extension = codec.extension();
        assert_eq!(
            &names[..5],
            [
                "README.txt".to_owned(),
                "pgstow/archive.json".to_owned(),
                format!("pgstow/toc.jsonl{extension}"),
                format!("schema/pre-data.sql{extension}"),
                format!("schema/load.sh{extension}"),
            ]
        );
        assert_eq!(
            &names[names.len() - 4..],
            [
                format!("schema/post-data.sql{extension}"),
                format!("pgstow/index.jsonl{extension}"),
                "SHA256SUMS".to_owned(),
                "pgstow/trailer".to_owned(),
            ]
        );

        run(path, "tar", &["-xf", "a.tar"]);
        run(path, "sha256sum", &["--strict", "-c", "SHA256SUMS"]);

        // SHA256SUMS lists every member but itself and the trailer.
        let sums = fs::read_to_string(path.join("SHA256SUMS")).unwrap();
        let summed: BTreeSet<&str> = sums.lines().map(|line| &line[66..]).collect();
        let members: BTreeSet<&str> = names[..names.len() - 2].iter().copied().collect();
        assert_eq!(summed, members);

        // Listed in full, too: owner, mode and time are as they should be.
        let full = run(path, "tar", &["--utc", "--full-time", "-tvf", "a.tar"]).stdout;
        for line in String::from_utf8(full).unwrap().lines() {
            assert!(line.starts_with("-rw-r--r-- 0/0 "), "{line}");
            assert!(line.contains(" 2023-11-14 22:13:20 "), "{line}");
        }
    }
}

#[tokio::test]
async fn the_standard_tools_unpack_every_frame() {
    let (entries, pieces) = small();
    for (codec, tool) in [
        (Codec::Zstd(3), Some("zstd")),
        (Codec::Gzip(6), Some("gzip")),
        (Codec::Lz4, Some("lz4")),
        (Codec::None, None),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let (bytes, _) = write(codec, &entries, &pieces).await;
        fs::write(path.join("a.tar"), bytes).unwrap();
        run(path, "tar", &["-xf", "a.tar"]);
        for piece in &pieces {
            let (dir, format) = match piece.entry {
                2 => ("data/000002.public.orders", CopyFormat::Text),
                3 => (
                    "data/000003.odd%2F%C3%A4%0A%27.name%20with%20%24%20and%20%22",
                    CopyFormat::Binary,
                ),
                _ => ("blobs/000005", CopyFormat::Binary),
            };
            let start = format!("{:05}-{:06}-", piece.chunk, piece.frame);
            let frame = fs::read_dir(path.join(dir))
                .unwrap()
                .map(|found| found.unwrap().path())
                .find(|found| {
                    found
                        .file_name()
                        .unwrap()
                        .to_string_lossy()
                        .starts_with(&start)
                })
                .unwrap();
            let unpacked = match tool {
                Some(tool) => run(path, tool, &[OsStr::new("-dcq"), frame.as_os_str()]).stdout,
                None => fs::read(&frame).unwrap(),
            };
            assert_eq!(unpacked, raw(format, &piece.rows), "{tool:?}");
            if let Some(tool) = tool {
                // With its content checksum on.
                run(path, tool, &[OsStr::new("-tq"), frame.as_os_str()]);
            }
        }
    }
}

/// `schema/load.sh` with a `psql` that writes down what it was given.
#[tokio::test]
async fn the_load_script_gives_every_frame_to_psql() {
    let (mut entries, pieces) = small();
    entries[5].kind = "SEQUENCE SET".to_owned();
    entries[5].section = pgstow::archive::Section::Data;
    entries[5].create = vec!["SELECT setval('it''s', 7)".to_owned()];
    for (codec, unpack) in [(Codec::Zstd(1), "zstd -dc"), (Codec::None, "cat")] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let (bytes, _) = write(codec, &entries, &pieces).await;
        fs::write(path.join("a.tar"), bytes).unwrap();
        run(path, "tar", &["-xf", "a.tar"]);
        let bin = path.join("bin");
        fs::create_dir(&bin).unwrap();
        let psql = "#!/bin/sh\n\
            { printf '%s|' \"$@\"; echo; cat; echo; echo \"$PGCLIENTENCODING$PGOPTIONS\"; } >>psql.log\n";
        fs::write(bin.join("psql"), psql).unwrap();
        run(path, "chmod", &["755", "bin/psql"]);
        let search = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let command = format!(
            "PATH='{search}'; export PATH; {unpack} schema/load.sh{} | sh -s -- -d 'my db'",
            codec.extension()
        );
        run(path, "sh", &["-c", &command]);
        let log = fs::read(path.join("psql.log")).unwrap();
        let log = String::from_utf8_lossy(&log).into_owned();
        let calls: Vec<&str> = log.lines().filter(|line| line.starts_with("-X|")).collect();
        assert_eq!(calls.len(), pieces.len() + 1, "{log}");
        let load = "-X|-q|-v|ON_ERROR_STOP=1|-d|my db|-c|COPY public.orders (a, b) FROM STDIN|";
        assert_eq!(
            calls.iter().filter(|call| **call == load).count(),
            3,
            "{log}"
        );
        assert!(log.contains("1\ta\n2\tb\n"), "{log}");
        assert!(log.contains("|-c|SELECT setval('it''s', 7)|"), "{log}");
        assert!(log.contains("lo_put(loid, at, data)"), "{log}");
        assert!(log.contains("UTF8 -c search_path= "), "{log}");

        // A damaged frame ends it with an error.
        let frames = path.join("data/000002.public.orders");
        for found in fs::read_dir(&frames).unwrap() {
            let found = found.unwrap().path();
            if codec != Codec::None && found.to_string_lossy().contains(".copy") {
                fs::write(found, "no frame").unwrap();
                let status = Command::new("sh")
                    .args(["-c", &command])
                    .current_dir(path)
                    .stderr(Stdio::null())
                    .status()
                    .unwrap();
                assert!(!status.success());
            }
        }
    }
}
