//! `README.txt` and `schema/load.sh`: how to restore without this program.

use std::fmt::Write as _;

use super::codec::Codec;
use super::entry::{DataSpec, Entry, Section};
use super::manifest::Manifest;
use super::names;
use super::packed::{Packed, Stored};
use crate::error::{Result, legible};
use crate::sql::bytes_of;

/// The command that unpacks a member to standard output.
fn unpack(codec: Codec) -> &'static str {
    match codec {
        Codec::Zstd(_) => "zstd -dcq",
        Codec::Gzip(_) => "gzip -dc",
        Codec::Lz4 => "lz4 -dcq",
        Codec::None => "cat",
    }
}

fn needs(codec: Codec) -> &'static str {
    match codec {
        Codec::Zstd(_) => "tar, zstd, sha256sum, sh and psql",
        Codec::Gzip(_) => "tar, gzip, sha256sum, sh and psql",
        Codec::Lz4 => "tar, lz4, sha256sum, sh and psql",
        Codec::None => "tar, sha256sum, sh and psql",
    }
}

/// Text for a line of its own: what is not printable becomes an escape.
fn one_line(text: &str) -> String {
    legible(text)
        .chars()
        .flat_map(|c| {
            let escaped = c.is_control();
            let plain = (!escaped).then_some(c);
            plain
                .into_iter()
                .chain(escaped.then(|| c.escape_default()).into_iter().flatten())
        })
        .collect()
}

/// The content of `README.txt`.
pub(super) fn readme(manifest: &Manifest, tables: u64, with_globals: bool) -> String {
    let codec = manifest.codec;
    let (unpack, needs, ext) = (unpack(codec), needs(codec), codec.extension());
    let (pre, load, post) = (
        names::pre_data(codec),
        names::load(codec),
        names::post_data(codec),
    );
    let Manifest {
        tool,
        created,
        archive_id,
        server_version_text,
        ..
    } = manifest;
    let encoding = manifest.database_encoding.as_ref();
    let encoding = one_line(encoding.unwrap_or(&manifest.encoding));
    let database = one_line(&manifest.database);
    let server = one_line(server_version_text);
    let mut locale = String::new();
    for (name, value) in [
        ("lc-collate", &manifest.collate),
        ("lc-ctype", &manifest.ctype),
        ("locale-provider", &manifest.locale_provider),
    ] {
        if let Some(value) = value {
            let _ = write!(locale, " --{name}={}", quoted(&one_line(value)));
        }
    }
    let encoding_option = quoted(&encoding);
    let globals_script = names::globals_script(codec);
    let globals = if with_globals {
        format!(
            r#"
   Roles and tablespaces belong to the whole server. Where they are not there yet, make them
   first; those that are there already answer with an error, and passwords of roles are set to
   the old ones:

    {unpack} {globals_script} | psql -X -q -d postgres
"#
        )
    } else {
        String::new()
    };
    let (toc, index) = (names::toc(codec), names::index(codec));
    let (text, binary) = (format!("*.copy{ext}"), format!("*.copybin{ext}"));
    let packs = if manifest.has_packs() {
        let name = format!("data/pack-*.tar{ext}");
        format!(
            r#"    {name:<24}  the same of many small tables, each an ordinary tar file in which
                              rows are not compressed once more. {load} unpacks it
"#
        )
    } else {
        String::new()
    };
    let packed = if manifest.has_packs() {
        format!(
            r#"
Rows of a table that is in a pack are there when the packs are unpacked, as they are:

    for pack in data/pack-*; do [ ! -e "$pack" ] || {unpack} "$pack" | tar -xf - || break; done
    psql -X -d TARGET -c 'COPY schema.table FROM STDIN' < data/N.SCHEMA.TABLE/FILE.copy
"#
        )
    } else {
        String::new()
    };
    format!(
        r#"This is a dump of a PostgreSQL database, written by {tool}.

    database  {database}
    server    PostgreSQL {server}
    encoding  {encoding}
    taken     {created}
    archive   {archive_id}
    tables    {tables} with rows of their own

    pgstow restore -d TARGET ARCHIVE       restores it
    pgstow verify ARCHIVE                  checks it

It can be restored without pgstow, too: the archive is an ordinary tar file.
All that is needed is {needs}.
psql does whatever its scripts say, on this machine too: go this way only with
archives of sources that you trust.

1. Unpack it, and check that it is whole and undamaged. An archive that has no member
   "pgstow/trailer" at its end was never finished.

    mkdir unpacked
    tar -xf ARCHIVE -C unpacked
    cd unpacked
    test -f pgstow/trailer
    sha256sum -c --quiet SHA256SUMS
{globals}
2. Make an empty database. It should have the encoding and locale of the old one:

    createdb -T template0 -E {encoding_option}{locale} TARGET

3. Make everything that must be there before the rows:

    {unpack} {pre} | psql -X -q -v ON_ERROR_STOP=1 -d TARGET

4. Load the rows. What follows "--" is passed to psql as it is:

    {unpack} {load} | sh -s -- -d TARGET

5. Make indexes, constraints, triggers and all that comes after the rows:

    {unpack} {post} | psql -X -q -v ON_ERROR_STOP=1 -d TARGET

What is where:

    pgstow/archive.json       what this archive is
    {toc:<24}  the table of contents: each object and its statements, one a line
    schema/                   the same statements as scripts
    data/N.SCHEMA.TABLE/      rows of the table with number N in the table of contents
        {text:<20}  some of its rows: a complete COPY stream in text format
        {binary:<20}  the same in binary format
        complete.json         how many rows there are, and their checksums
{packs}    blobs/N/                  contents of large objects, as COPY rows of (oid, offset, bytes)
    statistics/N/             the planner's statistics, one JSON object a line; ANALYZE makes new ones
    {index:<24}  where each member is, and what is in each table
    SHA256SUMS                SHA-256 of each member before it
    pgstow/trailer            written last

To load the rows of one table alone, one file after the other in any order:

    {unpack} data/N.SCHEMA.TABLE/FILE.copy{ext} | psql -X -d TARGET -c 'COPY schema.table FROM STDIN'
    {unpack} data/N.SCHEMA.TABLE/FILE.copybin{ext} | psql -X -d TARGET -c 'COPY schema.table FROM STDIN WITH (FORMAT binary)'
{packed}
{load} has that command for each table, with its columns. Special characters
in the names of schemas and tables are written as % and two hex digits.
"#
    )
}

/// A word for the shell.
fn quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.,:/@=".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Most bytes of statements that one call of psql gets; systems limit an argument list.
const CALL_MAX: usize = 32 << 10;

/// The content of `schema/load.sh`, entry by entry.
pub(super) struct LoadScript {
    script: Packed,
    /// Arguments of the next call of psql, and how many bytes of statements they hold.
    pending: String,
    pending_count: usize,
    pending_bytes: usize,
}

/// Most statements that one call of psql gets.
const CALL_STATEMENTS_MAX: usize = 100;

/// Which shape a script has: of an archive without packs it is the same as ever.
struct Shape {
    /// What unpacks the packs.
    unpack_packs: String,
    /// What gives a frame's raw bytes.
    unpack_frame: String,
    /// What looks whether all of an entry is there.
    check: &'static str,
}

impl Shape {
    fn plain(codec: Codec) -> Self {
        Self {
            unpack_packs: String::new(),
            unpack_frame: unpack(codec).to_owned(),
            check: "",
        }
    }

    fn of_packs(codec: Codec) -> Self {
        let (unpack, ext) = (unpack(codec), codec.extension());
        let unpack_packs = format!(
            r#"# Small tables are in packs.
for pack in data/pack-*; do
    [ -e "$pack" ] || continue
    whole=$( {{ {{ {unpack} "$pack" 3>&- && echo yes >&3; }} |
        tar -xf - 3>&- >&2; }} 3>&1 )
    if [ "$whole" != yes ]; then
        echo "cannot unpack $pack" >&2
        exit 1
    fi
done

# content FRAME: what is in it. Those out of packs are not compressed
content() {{
    case $1 in
        *.copy | *.copybin) cat "$1" ;;
        *) {unpack} "$1" ;;
    esac
}}

"#
        );
        Self {
            unpack_packs,
            unpack_frame: if ext.is_empty() { unpack } else { "content" }.to_owned(),
            check: r#"    if [ ! -e "$directory/complete.json" ]; then
        echo "$directory is not complete" >&2
        exit 1
    fi
"#,
        }
    }
}

/// How the script begins.
fn beginning(shape: &Shape, encoding: &str) -> String {
    let Shape {
        unpack_packs,
        unpack_frame: unpack,
        check,
    } = shape;
    let encoding = quoted(encoding);
    format!(
        r#"#!/bin/sh
# Loads the rows into a database in which schema/pre-data.sql has run. Started in the directory
# in which the archive was unpacked; the arguments are psql's: sh schema/load.sh -d TARGET
# Stops at the first error; begin again with an empty database then.
set -eu

PGCLIENTENCODING={encoding}
PGOPTIONS="${{PGOPTIONS:-}} -c search_path= -c row_security=off -c statement_timeout=0 -c lc_monetary=C -c array_nulls=on -c xmloption=content"
export PGCLIENTENCODING PGOPTIONS

{unpack_packs}# run ARGUMENT...: statements that are no COPY
run() {{
    psql -X -q -v ON_ERROR_STOP=1 "$@" </dev/null >/dev/null
}}

# load DIRECTORY ARGUMENT...: each frame in the directory is the input of one psql
load() {{
    directory=$1
    shift
{check}    for frame in "$directory"/*.copy*; do
        [ -e "$frame" ] || continue
        whole=$( {{ {{ {unpack} "$frame" 3>&- && echo yes >&3; }} |
            psql -X -q -v ON_ERROR_STOP=1 "$@" 3>&- >/dev/null; }} 3>&1 )
        if [ "$whole" != yes ]; then
            echo "cannot unpack $frame" >&2
            exit 1
        fi
    done
}}

"#
    )
}

impl LoadScript {
    pub(super) fn new(codec: Codec, encoding: &str) -> Self {
        Self::shaped(codec, &Shape::plain(codec), encoding)
    }

    /// The same for an archive whose small tables are in packs.
    pub(super) fn of_packs(codec: Codec, encoding: &str) -> Self {
        Self::shaped(codec, &Shape::of_packs(codec), encoding)
    }

    fn shaped(codec: Codec, shape: &Shape, encoding: &str) -> Self {
        Self {
            script: Packed::beginning_with(codec, beginning(shape, encoding).into_bytes()),
            pending: String::new(),
            pending_count: 0,
            pending_bytes: 0,
        }
    }

    /// Takes the next entry, which is of concern if it is of the data section.
    ///
    /// # Errors
    /// As [`Packed::push`].
    pub(super) fn push(&mut self, entry: &Entry) -> Result<()> {
        if entry.section != Section::Data {
            return Ok(());
        }
        let statements = [
            &entry.create,
            &entry.set_owner,
            &entry.privileges,
            &entry.comments,
            &entry.labels,
        ];
        for statement in statements.into_iter().flatten() {
            if self.pending_bytes + statement.len() > CALL_MAX
                || self.pending_count == CALL_STATEMENTS_MAX
            {
                self.flush()?;
            }
            self.pending_bytes += statement.len();
            self.pending_count += 1;
            self.pending.push_str(" \\\n    -c ");
            self.pending.push_str(&quoted(statement));
        }
        let Some(data) = &entry.data else {
            return Ok(());
        };
        self.flush()?;
        let directory = names::directory(entry);
        let line = match data {
            DataSpec::Table { copy_in, .. } => {
                format!("load {directory} \"$@\" -c {}\n", quoted(copy_in))
            }
            // It comes after the rows, and is of use to pgstow alone.
            DataSpec::Statistics { .. } => return Ok(()),
            DataSpec::LargeObjects => format!(
                "load {directory} \"$@\" \\\n    \
                 -c 'CREATE TEMPORARY TABLE pgstow_lo (loid pg_catalog.oid, at pg_catalog.int8, data pg_catalog.bytea)' \\\n    \
                 -c 'COPY pg_temp.pgstow_lo FROM STDIN WITH (FORMAT binary)' \\\n    \
                 -c 'SELECT pg_catalog.lo_put(loid, at, data) FROM pg_temp.pgstow_lo'\n"
            ),
        };
        self.script.push(&bytes_of(&line))
    }

    /// All of it.
    ///
    /// # Errors
    /// As [`Packed::finish`].
    pub(super) fn finish(mut self) -> Result<Stored> {
        self.flush()?;
        self.script.finish()
    }

    fn flush(&mut self) -> Result<()> {
        if self.pending_count == 0 {
            return Ok(());
        }
        self.script.push(b"run \"$@\"")?;
        self.script.push(&bytes_of(&self.pending))?;
        self.pending.clear();
        (self.pending_count, self.pending_bytes) = (0, 0);
        self.script.push(b"\n")
    }
}
