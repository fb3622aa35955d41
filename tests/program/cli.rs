//! The command line from outside: usage errors, exit codes, help and its page, JSON, and the
//! commands that need no server to make sense.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::{self, Server, pgstow, run, run_with_input, tool};
use pgstow::archive::{
    ArchiveId, BINARY_HEADER, BINARY_TRAILER, Codec, CopyFormat, DataSpec, Encoder, Entry,
    Fingerprint, Manifest, RawFrame, Scripts, Section, Timestamp, Writer, rows_of,
};
use pgstow::storage::{LocalSink, Overwrite};

const COMMANDS: [&str; 17] = [
    "dump", "restore", "copy", "list", "verify", "sql", "backup", "backups", "show", "download",
    "delete", "prune", "pin", "unpin", "audit", "rebuild", "doctor",
];

#[test]
fn usage_errors_end_with_2_and_say_what_is_wrong() {
    let cases: &[(&[&str], &str)] = &[
        (&[], "Usage"),
        (&["undump"], "pgstow: error: unrecognized subcommand"),
        (
            &["dump", "postgresql+asyncpg://app:x@h/shop", "-f", "a"],
            "the scheme \"postgresql+asyncpg\"",
        ),
        (&["dump", "--no-such-option"], "unexpected argument"),
        (&["dump", "-d", "x"], "no output file"),
        (&["dump", "x", "-d", "y", "-f", "a"], "CONN and -d/--dbname"),
        (
            &["dump", "-s", "-a", "-f", "a"],
            "-s/--schema-only and -a/--data-only",
        ),
        (
            &["dump", "-s", "--no-schema", "-f", "a"],
            "-s/--schema-only and --no-schema",
        ),
        (
            &["dump", "-a", "--no-data", "-f", "a"],
            "-a/--data-only and --no-data",
        ),
        (
            &["dump", "--section=middle", "-f", "a"],
            "unknown section \"middle\"",
        ),
        (
            &["dump", "-b", "-B", "-f", "a"],
            "-b/--large-objects and -B/--no-large-objects",
        ),
        (
            &["dump", "-b", "-s", "-f", "a"],
            "-s/--schema-only and -b/--large-objects",
        ),
        (
            &["dump", "-w", "-W", "-f", "a"],
            "-w/--no-password and -W/--password",
        ),
        (
            &["dump", "-v", "--quiet", "-f", "a"],
            "--quiet and -v/--verbose",
        ),
        (
            &[
                "dump",
                "--serializable-deferrable",
                "--snapshot=1",
                "-f",
                "a",
            ],
            "--serializable-deferrable and --snapshot",
        ),
        (&["dump", "-j", "0", "-f", "a"], "number of jobs"),
        (&["dump", "-j", "-1", "-f", "a"], "number of jobs"),
        (&["dump", "-j", "many", "-f", "a"], "number of jobs"),
        (&["dump", "-Z", "zip", "-f", "a"], "invalid compression"),
        (
            &["dump", "--compress=zstd:automatic", "-f", "a"],
            "invalid compression \"zstd:automatic\"",
        ),
        (
            &["dump", "--compress=gzip:auto", "-f", "a"],
            "invalid compression \"gzip:auto\"",
        ),
        (
            &["dump", "--copy-format=csv", "-f", "a"],
            "unknown COPY format",
        ),
        (
            &["dump", "--pack-tables=often", "-f", "a"],
            "unknown way to pack tables",
        ),
        (
            &["dump", "--lock-wait-timeout=soon", "-f", "a"],
            "malformed time",
        ),
        (&["dump", "--memory=lots", "-f", "a"], "malformed size"),
        (&["dump", "--memory=1MB", "-f", "a"], "memory must be"),
        (&["dump", "-d", "host=", "-p", "x", "-f", "a"], "port"),
        (&["restore"], "FILE"),
        (&["restore", "a"], "no target database"),
        (
            &["restore", "-d", "x", "--if-exists", "a"],
            "--if-exists requires option --clean",
        ),
        (
            &["restore", "-d", "x", "-c", "-a", "a"],
            "--clean and --data-only",
        ),
        (
            &["restore", "-d", "x", "-C", "-a", "a"],
            "--create and --data-only",
        ),
        (
            &["restore", "-d", "x", "-s", "--disable-triggers", "a"],
            "--disable-triggers and --schema-only",
        ),
        (
            &["restore", "-d", "x", "-e", "--continue", "a"],
            "-e/--exit-on-error and --continue",
        ),
        (
            &["restore", "-d", "x", "-1", "-j", "2", "a"],
            "--single-transaction and --jobs",
        ),
        (
            &["restore", "-d", "x", "-1", "-C", "a"],
            "-1/--single-transaction and -C/--create",
        ),
        (
            &["restore", "-d", "x", "-1", "--continue", "a"],
            "-1/--single-transaction and --continue",
        ),
        (
            &["restore", "-d", "x", "-1", "--transaction-size=5", "a"],
            "--single-transaction and --transaction-size",
        ),
        (
            &["restore", "-d", "x", "--transaction-size=0", "a"],
            "transaction size must be",
        ),
        (
            &[
                "restore",
                "-d",
                "x",
                "--transaction-size=5",
                "--continue",
                "a",
            ],
            "--transaction-size and --continue",
        ),
        (
            &["restore", "-d", "x", "-S", "root", "a"],
            "--superuser requires option --disable-triggers",
        ),
        (
            &["restore", "-d", "x", "-L", "-", "-"],
            "from standard input",
        ),
        (&["list"], "FILE"),
        (
            &["verify", "-U", "x", "a"],
            "-U/--username requires option --against",
        ),
        (
            &["verify", "--against", "x", "-"],
            "--against needs an archive in a file",
        ),
        (
            &["sql", "--if-exists", "a"],
            "--if-exists requires option --clean",
        ),
        (&["sql", "-s", "-a", "a"], "-s/--schema-only"),
    ];
    let directory = tempfile::tempdir().unwrap();
    for (arguments, expected) in cases {
        let output = run(pgstow().args(*arguments).current_dir(&directory)).expect_code(2);
        assert!(
            output.stderr.contains(expected),
            "{arguments:?} said: {}",
            output.stderr
        );
        assert_eq!(output.stdout, "", "{arguments:?}");
    }
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}

#[test]
fn help_and_version_go_to_standard_output() {
    for command in COMMANDS {
        let output = run(pgstow().args([command, "--help"])).success();
        assert!(output.stdout.contains("Examples:"), "{command}");
        assert!(
            output
                .stdout
                .lines()
                .all(|line| line.chars().count() <= 100),
            "{command}"
        );
    }
    let asked = run(pgstow().args(["help", "dump"])).success();
    let help = run(pgstow().args(["dump", "--help"])).success();
    assert_eq!(asked.stdout, help.stdout);
    let output = run(pgstow().arg("--version")).success();
    assert_eq!(
        output.stdout,
        concat!("pgstow ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

/// Long options in a text.
fn long_options(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_lowercase() || c == '-'))
        .filter_map(|word| word.strip_prefix("--"))
        .filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

/// Options that a command's help lists, aliases among them.
fn helped(command: &str) -> BTreeSet<String> {
    let output = run(pgstow().args([command, "--help"])).success();
    let listing = output.stdout.split("\nExamples:").next().unwrap();
    let mut options = BTreeSet::new();
    for line in listing.lines() {
        let text = line.trim_start();
        if text.starts_with('-') {
            options.extend(
                long_options(
                    text.split_whitespace()
                        .take(2)
                        .collect::<Vec<_>>()
                        .join(" ")
                        .as_str(),
                )
                .into_iter()
                .take(1),
            );
        }
        if let Some((_, aliases)) = line.split_once("[alias") {
            options.extend(long_options(aliases));
        }
    }
    options.remove("version");
    options
}

/// Options in the tables of a section of the page: those in the first column, and aliases.
fn documented(page: &str, heading: &str) -> BTreeSet<String> {
    let section = page
        .split("\n## ")
        .find(|section| section.starts_with(&format!("{heading}\n")))
        .unwrap_or_else(|| panic!("no section {heading}"));
    let mut options = BTreeSet::new();
    for line in section.lines().filter(|line| line.starts_with("| `-")) {
        let mut cells = line.split(" | ");
        options.extend(long_options(cells.next().unwrap()));
        for alias in ["blobs", "no-blobs", "no-acl"] {
            if line.contains(&format!("(`--{alias}`)")) {
                options.insert(alias.to_owned());
            }
        }
    }
    options
}

#[test]
fn the_page_and_the_help_name_the_same_options() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md")).unwrap();
    let connection = documented(&page, "Connection");
    let said = documented(&page, "What is said");
    for command in COMMANDS {
        let mut expected = documented(&page, command);
        if ["restore", "list", "verify", "sql", "doctor"].contains(&command) {
            expected.extend(documented(&page, "Encrypted archives"));
        }
        if ["backup", "backups", "delete", "prune", "pin", "unpin"].contains(&command) {
            expected.extend(documented(&page, "Who hears of backups"));
        }
        let repository = documented(&page, "Repository");
        match command {
            "backups" | "show" | "audit" | "doctor" => {
                expected.extend(repository);
                expected.extend(["json".to_owned(), "help".to_owned()]);
            }
            "download" | "delete" | "prune" | "pin" | "unpin" | "rebuild" => {
                expected.extend(repository);
                expected.extend(said.clone());
            }
            "backup" => {
                expected.extend(repository);
                expected.extend(said.clone());
                expected.extend(connection.clone());
            }
            "list" => expected.extend(["json".to_owned(), "help".to_owned()]),
            "sql" => {
                expected.extend(said.clone());
                expected.insert("role".to_owned());
            }
            "copy" => {
                expected.extend(said.clone());
                expected.extend(["no-password".to_owned(), "password".to_owned()]);
            }
            _ => {
                expected.extend(said.clone());
                expected.extend(connection.clone());
            }
        }
        assert_eq!(helped(command), expected, "{command}");
    }
}

/// The pages for users, by their path from the project's directory.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).unwrap();
    let mut paths: Vec<PathBuf> = docs
        .map(|entry| Path::new("docs").join(entry.unwrap().file_name()))
        .filter(|path| path.extension().is_some_and(|it| it == "md"))
        .collect();
    paths.extend(["README.md", "CHANGELOG.md"].map(PathBuf::from));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(root.join(&path)).unwrap();
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// Where a link to a heading goes, as pages are shown on the web.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let text = line.trim_start_matches('#').trim().to_lowercase();
            let kept = text
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut links = 0;
    for (path, text) in pages() {
        let words = text.split("```").step_by(2);
        for link in words.flat_map(|text| text.split("](").skip(1)) {
            let link = link.split(')').next().unwrap();
            if link.contains("://") {
                continue;
            }
            links += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => root.join(&path),
                file => root.join(path.parent().unwrap()).join(file),
            };
            assert!(target.exists(), "{}: {link}", path.display());
            if !anchor.is_empty() {
                let there = anchors(&std::fs::read_to_string(&target).unwrap());
                assert!(there.contains(anchor), "{}: {link}", path.display());
            }
        }
    }
    assert!(links > 50, "{links}");
}

#[test]
fn every_command_line_of_the_pages_has_options_that_exist() {
    let known: Vec<_> = COMMANDS.iter().map(|it| (*it, helped(it))).collect();
    let mut seen = 0;
    for (path, text) in pages() {
        let blocks = text.split("```").skip(1).step_by(2);
        for line in blocks.flat_map(str::lines) {
            for call in line.split("pgstow ").skip(1) {
                let command = call.split_whitespace().next().unwrap_or_default();
                let Some((_, options)) = known.iter().find(|(it, _)| *it == command) else {
                    continue;
                };
                let ends = |word: &&str| !["|", "||", "#", "&&", ";"].contains(word);
                for word in call.split_whitespace().take_while(ends) {
                    let Some(option) = word.strip_prefix("--") else {
                        continue;
                    };
                    let name = option.split(['=', ']', ';']).next().unwrap();
                    assert!(options.contains(name), "{}: {line}", path.display());
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn what_cannot_be_read_ends_with_7_and_what_is_no_archive_with_5() {
    let directory = tempfile::tempdir().unwrap();
    let nothing = directory.path().join("nothing");
    let text = directory.path().join("text");
    std::fs::write(&text, "not an archive at all\n".repeat(1000)).unwrap();
    for command in [
        &["list"][..],
        &["verify"],
        &["sql"],
        &["restore", "--dry-run"],
        &["restore", "-w", "-d", "host=/nowhere dbname=x"],
    ] {
        let output = run(pgstow().args(command).arg(&nothing)).expect_code(7);
        assert!(output.stderr.contains("nothing"), "{}", output.stderr);
        run(pgstow().args(command).arg(directory.path())).expect_code(7);
        run(pgstow().args(command).arg(&text)).expect_code(5);
        run_with_input(pgstow().args(command).arg("-"), b"").expect_code(5);
    }
}

#[test]
fn no_server_ends_with_4_and_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a");
    let output = run(pgstow()
        .args(["dump", "-w", "-d", "host=/nowhere dbname=x", "--json", "-f"])
        .arg(&file))
    .expect_code(4);
    let last: serde_json::Value =
        serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "error");
    assert_eq!(last["exit_code"], 4);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}

fn entry(id: u32, kind: &str, name: &str, section: Section) -> Entry {
    Entry {
        schema: Some("odd \"s".to_owned()),
        owner: Some("postgres".to_owned()),
        ..Entry::new(id, kind, name, section)
    }
}

const ROWS: &[u8] = b"1\tone\\\\.\n2\t\\N\n3\tthree\\n\\\\restrict x\n";

/// A small archive: a schema, a table with rows in the given format, a large object, an index.
async fn archive(path: &Path, format: CopyFormat) {
    let mut schema = entry(1, "SCHEMA", "odd \"s", Section::PreData);
    schema.schema = None;
    schema.create = vec!["CREATE SCHEMA \"odd \"\"s\"".to_owned()];
    schema.drop = vec!["DROP SCHEMA IF EXISTS \"odd \"\"s\"".to_owned()];
    let mut table = entry(2, "TABLE", "t", Section::PreData);
    table.depends_on = vec![1];
    table.create =
        vec!["CREATE TABLE \"odd \"\"s\".t (\n    id integer,\n    v text\n)".to_owned()];
    table.drop = vec!["DROP TABLE IF EXISTS \"odd \"\"s\".t".to_owned()];
    table.comments = vec!["COMMENT ON TABLE \"odd \"\"s\".t IS 'it''s; here'".to_owned()];
    table.privileges = vec!["GRANT SELECT ON \"odd \"\"s\".t TO PUBLIC".to_owned()];
    let mut rows = entry(3, "TABLE DATA", "t", Section::Data);
    rows.depends_on = vec![2];
    rows.data = Some(DataSpec::Table {
        format,
        columns: vec!["id".to_owned(), "v".to_owned()],
        types: Vec::new(),
        declared: Vec::new(),
        copy_out: "COPY \"odd \"\"s\".t (id, v) TO STDOUT".to_owned(),
        copy_in: "COPY \"odd \"\"s\".t (id, v) FROM STDIN".to_owned(),
    });
    let mut large = entry(4, "BLOB METADATA", "LARGE OBJECT 70001", Section::Data);
    large.schema = None;
    large.create = vec!["SELECT pg_catalog.lo_create(70001)".to_owned()];
    let mut contents = entry(5, "BLOBS", "LARGE OBJECT 70001", Section::Data);
    contents.schema = None;
    contents.depends_on = vec![4];
    contents.data = Some(DataSpec::LargeObjects);
    let mut index = entry(6, "INDEX", "t_idx", Section::PostData);
    index.relation = Some("t".to_owned());
    index.depends_on = vec![2, 3];
    index.create = vec!["CREATE INDEX t_idx ON \"odd \"\"s\".t USING btree (id)".to_owned()];
    let entries = [schema, table, rows, large, contents, index];

    let codec = Codec::default();
    let mut manifest = Manifest::new(ArchiveId::random().unwrap(), Timestamp::now(), codec);
    manifest.server_version = 150_004;
    manifest.server_version_text = "15.4".to_owned();
    manifest.database = "shop".to_owned();
    manifest.encoding = "UTF8".to_owned();
    let sink = LocalSink::create(path, Overwrite::Replace).await.unwrap();
    let mut writer = Writer::create(Box::new(sink), manifest, &entries, Scripts::default())
        .await
        .unwrap();
    let raw = match format {
        CopyFormat::Text => ROWS.to_vec(),
        CopyFormat::Binary => [BINARY_HEADER.as_slice(), BINARY_TRAILER.as_slice()].concat(),
    };
    let mut tuple = vec![0, 3];
    for field in [
        &70_001_u32.to_be_bytes()[..],
        &0_i64.to_be_bytes()[..],
        b"\x00\xffblob",
    ] {
        tuple.extend_from_slice(&(field.len() as u32).to_be_bytes());
        tuple.extend_from_slice(field);
    }
    let blob = [BINARY_HEADER.as_slice(), &tuple, BINARY_TRAILER.as_slice()].concat();
    for (entry, format, raw) in [(3, format, raw), (5, CopyFormat::Binary, blob)] {
        let mut fingerprint = Fingerprint::default();
        for row in rows_of(format, &raw) {
            fingerprint.add_row(row.unwrap());
        }
        let frame = RawFrame {
            entry,
            chunk: 0,
            frame: 0,
            rows: rows_of(format, &raw).count() as u64,
            raw,
        };
        let (stored, _) = Encoder::new(codec).unwrap().seal(frame).unwrap();
        writer.append(stored).await.unwrap();
        writer.complete(entry, fingerprint).await.unwrap();
    }
    writer.finish().await.unwrap();
}

async fn archives() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text.pgstow");
    let binary = directory.path().join("binary.pgstow");
    archive(&text, CopyFormat::Text).await;
    archive(&binary, CopyFormat::Binary).await;
    (directory, text, binary)
}

#[tokio::test]
async fn an_edited_list_selects() {
    let (directory, text, _) = archives().await;
    let shown = run(pgstow().arg("list").arg(&text)).success().stdout;
    let list = directory.path().join("edited.list");
    let dry = |list: &Path| {
        let mut command = pgstow();
        command.args(["restore", "--dry-run", "-L"]).arg(list);
        run(command.arg(&text))
    };
    // As it is written, it is everything; with a line less, all but that.
    std::fs::write(&list, &shown).unwrap();
    let all = dry(&list).success().stdout;
    assert!(!all.contains("not in the list"), "{all}");
    let edited: Vec<&str> = shown
        .lines()
        .filter(|line| !line.starts_with("INDEX "))
        .collect();
    assert!(edited.len() < shown.lines().count(), "{shown}");
    std::fs::write(&list, edited.join("\n")).unwrap();
    let plan = dry(&list).success().stdout;
    assert!(plan.contains(": not in the list"), "{plan}");
    let sql = run(pgstow().args(["sql", "-L"]).arg(&list).arg(&text)).success();
    assert!(!sql.stdout.contains("CREATE INDEX"), "{}", sql.stdout);

    std::fs::write(&list, "; nothing\n\nTABLE public.nowhere\n").unwrap();
    let error = dry(&list).expect_code(2).stderr;
    let expected = format!(
        "{}:3: the archive has no \"TABLE public.nowhere\"",
        list.display()
    );
    assert!(error.contains(&expected), "{error}");
    let line = edited
        .iter()
        .find(|line| line.starts_with("TABLE"))
        .unwrap();
    std::fs::write(&list, format!("{line}\n{line}\n")).unwrap();
    let error = dry(&list).expect_code(2).stderr;
    assert!(
        error.contains(":2: ") && error.contains("is in line 1 already"),
        "{error}"
    );
    std::fs::write(&list, "TABLE \"open").unwrap();
    dry(&list).expect_code(2);
    std::fs::remove_file(&list).unwrap();
    dry(&list).expect_code(7);
    // From standard input.
    let mut command = pgstow();
    command.args(["restore", "--dry-run", "-L", "-"]).arg(&text);
    let plan = run_with_input(&mut command, shown.as_bytes())
        .success()
        .stdout;
    assert_eq!(plan, all);
}

#[tokio::test]
async fn a_script_for_an_old_psql_has_no_restrict() {
    let (_directory, text, _) = archives().await;
    let script = run(pgstow().arg("sql").arg(&text)).success().stdout;
    assert!(script.contains("\n\\restrict ") && script.contains("\n\\unrestrict "));
    let script = run(pgstow().args(["sql", "--no-restrict"]).arg(&text))
        .success()
        .stdout;
    // What is left stands in rows.
    assert!(!script.contains("\n\\restrict ") && !script.contains("\n\\unrestrict "));
}

#[tokio::test]
async fn a_filter_file_selects() {
    let (directory, text, _) = archives().await;
    let rules = directory.path().join("rules");
    std::fs::write(&rules, "# all but\nexclude schema \"odd \"\"s\"\n").unwrap();
    let dry = |rules: &Path| {
        let mut command = pgstow();
        command
            .args(["restore", "--dry-run", "--filter"])
            .arg(rules);
        run(command.arg(&text))
    };
    let plan = dry(&rules).success().stdout;
    assert!(plan.contains(": its schema is left out"), "{plan}");
    std::fs::write(&rules, "exclude index x\n").unwrap();
    let error = dry(&rules).expect_code(2).stderr;
    assert!(error.contains("line 1: exclude of index"), "{error}");
}

#[tokio::test]
async fn list_shows_entries_rows_and_checksums() {
    let (_directory, text, _) = archives().await;
    let shown = run(pgstow().arg("list").arg(&text)).success();
    for expected in [
        "database shop, PostgreSQL 15.4",
        "6 entries, 2 with data",
        "INDEX",
    ] {
        assert!(shown.stdout.contains(expected), "{}", shown.stdout);
    }
    // With a selection, what a restore would take.
    let narrow = ["list", "--section=post-data"];
    let narrow = run(pgstow().args(narrow).arg(&text)).success().stdout;
    assert!(
        narrow.contains("1 entry, 0 with data") && narrow.contains("\nINDEX "),
        "{narrow}"
    );
    // Every line is a key or a comment.
    let keys: Vec<&str> = shown
        .stdout
        .lines()
        .map(|line| line.split(" ;").next().unwrap().trim())
        .filter(|key| !key.is_empty() && !key.starts_with(';'))
        .collect();
    assert_eq!(keys.len(), 6, "{}", shown.stdout);
    let lines = |output: support::Output| -> Vec<serde_json::Value> {
        output
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let from_file = lines(run(pgstow().args(["list", "--json"]).arg(&text)).success());
    assert_eq!(from_file.len(), 7);
    assert_eq!(from_file[0]["archive"]["database"], "shop");
    assert_eq!(from_file[3]["kind"], "TABLE DATA");
    assert_eq!(from_file[3]["table"]["rows"], 3);
    let input = std::fs::read(&text).unwrap();
    let from_pipe = lines(run_with_input(pgstow().args(["list", "--json", "-"]), &input).success());
    assert_eq!(from_pipe, from_file);
}

#[tokio::test]
async fn verify_counts_and_reports_as_json() {
    let (_directory, text, _) = archives().await;
    let output = run(pgstow().args(["verify", "--json"]).arg(&text)).success();
    let done: serde_json::Value =
        serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(done["event"], "done");
    assert_eq!(done["report"]["rows"], 4);
    let mut bytes = std::fs::read(&text).unwrap();
    run_with_input(pgstow().args(["verify", "-"]), &bytes).success();
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    let cut = text.with_extension("cut");
    std::fs::write(&cut, &bytes).unwrap();
    run(pgstow().arg("verify").arg(&cut)).expect_code(5);
    run_with_input(pgstow().args(["verify", "-"]), &bytes).expect_code(5);
}

#[tokio::test]
async fn rows_in_binary_format_are_refused_in_a_script() {
    let (_directory, _, binary) = archives().await;
    let output = run(pgstow().arg("sql").arg(&binary)).expect_code(6);
    assert!(output.stderr.contains("TABLE DATA"), "{}", output.stderr);
    assert!(output.stderr.contains("--copy-format=text"));
    assert_eq!(output.stdout, "");
    run(pgstow().args(["sql", "--schema-only"]).arg(&binary)).success();
    run(pgstow().args(["sql", "--section=post-data"]).arg(&binary)).success();
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_error() {
    let (_directory, text, _) = archives().await;
    for command in ["sql", "list"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut program = pgstow();
        program.arg(command).arg(&text).stdout(writer);
        let output = program.stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{command}: {said}"
        );
    }
}

#[tokio::test]
async fn psql_runs_the_script_from_a_file_and_from_a_pipe() {
    let (_directory, text, _) = archives().await;
    let server = Server::start(15);
    let input = std::fs::read(&text).unwrap();
    let from_file = run(pgstow().arg("sql").arg(&text)).success().stdout;
    let from_pipe = run_with_input(pgstow().args(["sql", "-"]), &input)
        .success()
        .stdout;
    let again = run(pgstow().args(["sql", "--clean", "--if-exists"]).arg(&text))
        .success()
        .stdout;
    assert!(from_file.contains("\n\\restrict "));
    assert!(from_file.contains("\n\\unrestrict "));
    assert!(!from_file.contains("DROP"));
    for script in [from_file, from_pipe] {
        let database = server.create_db("target");
        let psql = |script: &str| {
            run_with_input(
                tool("psql").args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &database.url()]),
                script.as_bytes(),
            )
            .success()
        };
        psql(&script);
        assert_eq!(
            database.query_one(
                "select string_agg(id || coalesce(v, '-'), ',' order by id) from \"odd \"\"s\".t"
            ),
            "1one\\.,2-,3three\n\\restrict x"
        );
        assert_eq!(
            database.query_one("select encode(lo_get(70001), 'hex')"),
            "00ff626c6f62"
        );
        assert_eq!(
            database.query_one("select obj_description('\"odd \"\"s\".t'::regclass) || relacl::text from pg_class where oid = '\"odd \"\"s\".t'::regclass"),
            "it's; here{postgres=arwdDxt/postgres,=r/postgres}"
        );
        // What is there is dropped first, large objects apart, for which this archive has no drop.
        database.query_one("select lo_unlink(70001)");
        psql(&again);
    }
}
