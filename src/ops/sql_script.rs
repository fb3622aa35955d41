//! An archive as a plain SQL script.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{EntryFilter, Input, Sections};
use crate::archive::{
    Archive, CopyFormat, DataSpec, Decoder, Entry, EntryId, Manifest, StoredFrame, StreamItem,
    StreamReader, hex, rows_of, statistics_of,
};
use crate::ddl::script;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::{
    Barrier, Cause, Choices, InPieces, LeaveOut, Parts, Plan, RowOrder, Step, Work, adapt, build,
};
use crate::report::Observer;
use crate::restore::{statistics_statements, unwanted_statistics, wanted_globals, what_and_how};
use crate::select::{Content, Globals};
use crate::sql::{RESET_ROLE, ServerVersion, back_to, ident, into_bytes, literal};
use crate::storage::Sink;

/// How to write the script.
#[derive(Clone, Debug)]
pub struct SqlOptions {
    /// Which entries, by name.
    pub filter: EntryFilter,
    /// Schema, data or both.
    pub content: Content,
    /// Which sections.
    pub sections: Sections,
    /// Begins with statements that drop what follows.
    pub clean: bool,
    /// With `clean`: an object that is not there is no error. In a script it never is.
    pub if_exists: bool,
    /// Classes of things to leave out: owners, privileges, comments, …
    pub leave_out: LeaveOut,
    /// `SET ROLE` at the beginning.
    pub role: Option<String>,
    /// The version of the server that is to run the script; the source's if there is none.
    pub target_version: Option<ServerVersion>,
    /// What that version does not know is left out, with all that needs it; else it is refused.
    pub skip_impossible: bool,
    /// Begins with `\restrict` and ends with `\unrestrict`, between which psql obeys no other
    /// command of its own: without them, an archive of a hostile source could run programs where
    /// psql runs. Psql older than August 2025 does not know them.
    pub restrict: bool,
    /// Also roles, memberships, tablespaces and privileges on parameters, or only these.
    pub globals: Globals,
    /// With `globals`: also the passwords of roles, as the server keeps them.
    pub role_passwords: bool,
    /// Also the planner's statistics, as calls that a server from PostgreSQL 18 on takes.
    pub statistics: bool,
}

impl Default for SqlOptions {
    fn default() -> Self {
        Self {
            filter: EntryFilter::default(),
            content: Content::All,
            sections: Sections::ALL,
            clean: false,
            if_exists: false,
            leave_out: LeaveOut::default(),
            role: None,
            target_version: None,
            skip_impossible: false,
            restrict: true,
            globals: Globals::No,
            role_passwords: true,
            statistics: false,
        }
    }
}

impl SqlOptions {
    /// Whether the options make sense together.
    ///
    /// # Errors
    /// [`Kind::Usage`], naming those that do not.
    pub fn validate(&self) -> Result<()> {
        let refuse = |why: &str| Err(Error::new(Kind::Usage, why));
        let selects = self.filter != EntryFilter::default()
            || self.content != Content::All
            || self.sections != Sections::ALL
            || self.clean
            || self.statistics;
        if self.globals == Globals::Alone && selects {
            return refuse(
                "with --globals-only no database is written: no option that selects or drops its \
                 objects can be used with it",
            );
        }
        if !self.role_passwords && self.globals == Globals::No {
            return refuse("option --no-role-passwords requires --globals or --globals-only");
        }
        what_and_how(self.content, self.sections, self.clean, self.if_exists)
    }

    fn choices(&self) -> Choices {
        Choices {
            adopt: false,
            filter: self.filter.clone(),
            sections: self.sections,
            parts: match self.content {
                Content::All => Parts::All,
                Content::SchemaOnly => Parts::Definitions,
                Content::DataOnly => Parts::Rows,
                Content::StatisticsOnly => Parts::Statistics,
            },
            create: false,
            clean: self.clean,
            disable_triggers: false,
            row_order: RowOrder::Free,
            present: BTreeSet::new(),
            unavailable: BTreeSet::new(),
            leave_out: LeaveOut {
                statistics: !self.statistics && self.content != Content::StatisticsOnly,
                ..self.leave_out
            },
            analyze: false,
            vacuum: false,
            target: self.target_version,
            sessions: 1,
            in_pieces: InPieces::Nothing,
        }
    }
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SqlReport {
    /// Roles, memberships, tablespaces and the like in the script.
    pub globals: u64,
    /// Entries in the script.
    pub entries: u64,
    /// Tables whose rows are in it.
    pub tables: u64,
    /// Rows in all; those of an archive from a pipe are counted as lines.
    pub rows: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// Writes an archive as a script that `psql -v ON_ERROR_STOP=1` runs.
///
/// # Errors
/// [`Kind::Refused`] when rows are wanted of a table that is stored in binary COPY format, or globals
/// of an archive without any,
/// [`Kind::Usage`] for options that make no sense, [`Kind::Archive`] for a damaged archive,
/// [`Kind::Storage`] when the sink refuses, [`Kind::Interrupted`] when `cancel` fired.
pub async fn sql_script(
    input: Input,
    sink: Box<dyn Sink>,
    options: &SqlOptions,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<SqlReport> {
    options.validate()?;
    let settled = sink.settled();
    let report = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::new(Kind::Interrupted, "sql: interrupted")),
        report = write(input, sink, options, observer) => report,
    };
    settled.await;
    report
}

async fn write(
    input: Input,
    sink: Box<dyn Sink>,
    options: &SqlOptions,
    observer: Arc<dyn Observer>,
) -> Result<SqlReport> {
    match input {
        Input::Source(source) => {
            let archive = Archive::open(source).await?;
            let globals = globals(archive.manifest(), archive.globals(), options, &*observer)?;
            let entries = of_database(archive.entries(), options);
            let plan = build(
                &entries,
                |entry| Some(archive.table(entry)?.raw_bytes),
                &options.choices(),
            )?;
            let mut script = Script::begin(
                sink,
                archive.manifest(),
                &globals,
                &entries,
                &plan,
                options,
                &*observer,
            )
            .await?;
            for step in &plan.steps {
                match step.work {
                    Work::Rows | Work::LargeObjects | Work::Statistics => {
                        let Some(table) = step.entry.and_then(|entry| archive.table(entry)) else {
                            continue;
                        };
                        for frame in &table.frames {
                            let frame = archive.read_frame(frame).await?;
                            script.frame(&frame, &plan).await?;
                        }
                        script.end_of_rows(table.entry).await?;
                    }
                    _ => script.statements(step).await?,
                }
            }
            script.finish().await
        }
        Input::Stream(stream) => {
            let mut reader = StreamReader::open(stream).await?;
            let manifest = reader.manifest().clone();
            let globals = globals(&manifest, reader.globals(), options, &*observer)?;
            let entries = of_database(reader.entries(), options);
            let choices = Choices {
                row_order: RowOrder::AsTheyCome,
                ..options.choices()
            };
            let plan = build(&entries, |_| None, &choices)?;
            let mut script = Script::begin(
                sink, &manifest, &globals, &entries, &plan, options, &*observer,
            )
            .await?;
            let before_rows = plan
                .steps
                .iter()
                .position(|step| step.work == Work::Barrier(Barrier::Definitions))
                .unwrap_or(0);
            let (before, after) = plan.steps.split_at(before_rows);
            for step in before {
                script.statements(step).await?;
            }
            let wanted: BTreeSet<EntryId> = plan
                .steps_of(Work::Rows)
                .chain(plan.steps_of(Work::LargeObjects))
                .chain(plan.steps_of(Work::Statistics))
                .map(|(_, entry)| entry)
                .collect();
            // What large objects are made of must stand before their contents come.
            let (early, after): (Vec<&Step>, Vec<&Step>) = after
                .iter()
                .partition(|step| script.makes_large_objects(step));
            for step in early {
                script.statements(step).await?;
            }
            // They come behind all rows, and may be written only behind the indexes: what is kept
            // is compressed.
            let mut statistics = Vec::new();
            let mut whole = false;
            while let Some(item) = reader.next().await? {
                match item {
                    StreamItem::Frame(frame)
                        if wanted.contains(&frame.entry) && script.is_statistics(frame.entry) =>
                    {
                        statistics.push(frame);
                    }
                    StreamItem::Frame(frame) if wanted.contains(&frame.entry) => {
                        script.frame(&frame, &plan).await?;
                        script.end_of_rows(frame.entry).await?;
                    }
                    StreamItem::End(_) => whole = true,
                    StreamItem::Frame(_) | StreamItem::Complete(_) => {}
                }
            }
            if !whole {
                return Err(Error::new(
                    Kind::Archive,
                    "the archive ends without its trailer",
                ));
            }
            for step in after {
                script.statements(step).await?;
            }
            for frame in &statistics {
                script.frame(frame, &plan).await?;
            }
            script.finish().await
        }
    }
}

/// Text is handed to the sink in pieces of about this size.
const PIECE_BYTES: usize = 256 << 10;

/// A script while it is written.
struct Script<'a> {
    sink: Box<dyn Sink>,
    text: String,
    entries: &'a [Entry],
    leave_out: LeaveOut,
    /// What runs where a statement says `RESET ROLE`.
    reset_role: String,
    defaults: script::Defaults,
    decoder: Decoder,
    /// psql obeys no other meta-command between `\restrict` and `\unrestrict` with this key, so
    /// that nothing in the archive can be one; unless that was not wanted.
    key: Option<String>,
    /// The entry whose COPY is open.
    copying: Option<EntryId>,
    tables: BTreeSet<EntryId>,
    written: BTreeSet<EntryId>,
    report: SqlReport,
}

impl<'a> Script<'a> {
    async fn begin(
        sink: Box<dyn Sink>,
        manifest: &Manifest,
        globals: &[Entry],
        entries: &'a [Entry],
        plan: &Plan,
        options: &SqlOptions,
        observer: &dyn Observer,
    ) -> Result<Self> {
        refuse_impossible(plan, options, observer)?;
        refuse_binary(entries, plan)?;
        for warning in &plan.warnings {
            observer.warning(warning.clone());
        }
        for pulled in &plan.pulled {
            observer.info(format!(
                "pulled in: {}, needed by {}",
                pulled.name, pulled.needed_by
            ));
        }
        for tie in &plan.omitted {
            let line = || format!("left out: {}: {}", tie.name, tie.reason);
            match tie.cause {
                Cause::OtherEnd => observer.warning(line()),
                Cause::FromOtherEnd => observer.info(line()),
                _ => {}
            }
        }
        for needed in &plan.needed {
            observer.warning(format!(
                "{} is not in the script and must be there when it runs",
                needed.name
            ));
        }
        let mut script = Self {
            sink,
            text: String::new(),
            entries,
            leave_out: options.leave_out,
            reset_role: back_to(options.role.as_deref()),
            defaults: script::Defaults::default(),
            decoder: Decoder::new(manifest.codec),
            key: options.restrict.then(random_key).transpose()?,
            copying: None,
            tables: BTreeSet::new(),
            written: BTreeSet::new(),
            report: SqlReport::default(),
        };
        let source = ServerVersion::from_num(manifest.server_version);
        let target = options.target_version.unwrap_or(source);
        script
            .text
            .push_str("--\n-- PostgreSQL database, from an archive of pgstow\n--\n\n");
        if let Some(key) = script.key.clone() {
            writeln_str(&mut script.text, &format!("\\restrict {key}\n"));
        }
        script
            .text
            .push_str(&script::header(target, &manifest.encoding));
        if let Some(role) = &options.role {
            writeln_str(&mut script.text, &format!("SET ROLE {};\n", ident(role)));
        }
        for global in globals {
            script.global(global);
        }
        for &id in &plan.drops {
            if let Some(entry) = script.entry(id) {
                let section = script::section([script::Item {
                    title: format!("Drop {}", entry.describe()),
                    statements: entry.drop.iter().map(String::as_str).collect(),
                    ..script::Item::default()
                }]);
                script.text.push_str(&section);
            }
        }
        script.pass_on().await?;
        Ok(script)
    }

    fn entry(&self, id: EntryId) -> Option<&'a Entry> {
        self.entries.get((id as usize).checked_sub(1)?)
    }

    /// Writes a role, membership, tablespace or the like; a role that is there already is none of the script's.
    fn global(&mut self, entry: &Entry) {
        let leave_out = self.leave_out;
        let careful = |statement: &String| {
            let block = format!(
                "BEGIN {statement}; EXCEPTION WHEN duplicate_object THEN RAISE NOTICE '%', SQLERRM; END"
            );
            format!("DO {}", literal(&block))
        };
        let create = match entry.kind.as_str() {
            "ROLE" => entry.create.iter().map(careful).collect(),
            _ => entry.create.clone(),
        };
        let groups = [
            (false, &create),
            (leave_out.owners, &entry.set_owner),
            (leave_out.comments, &entry.comments),
            (leave_out.security_labels, &entry.labels),
            (leave_out.privileges, &entry.privileges),
        ];
        let statements = self.kept(groups);
        if statements.is_empty() {
            return;
        }
        self.report.globals += 1;
        let text = script::section([script::Item {
            title: entry.describe(),
            statements: statements.iter().map(String::as_str).collect(),
            ..script::Item::default()
        }]);
        self.text.push_str(&text);
    }

    /// The statements that are not left out, with the role that this script goes back to.
    fn kept<'s>(&self, groups: impl IntoIterator<Item = (bool, &'s Vec<String>)>) -> Vec<String> {
        let kept = groups.into_iter().filter(|(left_out, _)| !left_out);
        kept.flat_map(|(_, statements)| statements)
            .map(|statement| match statement.as_str() {
                RESET_ROLE => self.reset_role.clone(),
                _ => statement.clone(),
            })
            .collect()
    }

    /// Whether an entry is statistics.
    fn is_statistics(&self, id: EntryId) -> bool {
        let data = self.entry(id).and_then(|entry| entry.data.as_ref());
        matches!(data, Some(DataSpec::Statistics { .. }))
    }

    /// Whether a step makes large objects, still empty.
    fn makes_large_objects(&self, step: &Step) -> bool {
        step.work == Work::Statements
            && step
                .entry
                .and_then(|id| self.entry(id))
                .is_some_and(|entry| entry.kind == "BLOB METADATA")
    }

    /// Writes the statements of a step; steps that move rows and barriers have none.
    async fn statements(&mut self, step: &Step) -> Result<()> {
        let Some(entry) = step.entry.and_then(|id| self.entry(id)) else {
            return Ok(());
        };
        let leave_out = self.leave_out;
        let groups: Vec<(bool, &Vec<String>)> = match step.work {
            Work::Statements => vec![
                (false, &entry.create),
                (leave_out.owners, &entry.set_owner),
                (leave_out.comments, &entry.comments),
                (leave_out.security_labels, &entry.labels),
            ],
            Work::Privileges => vec![(leave_out.privileges, &entry.privileges)],
            Work::Rows
            | Work::LargeObjects
            | Work::Statistics
            | Work::Vacuum
            | Work::Analyze(_)
            | Work::Barrier(_) => return Ok(()),
        };
        let statements = self.kept(groups);
        if statements.is_empty() {
            return Ok(());
        }
        self.written.insert(entry.id);
        let title = match step.work {
            Work::Privileges => format!("Privileges of {}", entry.describe()),
            _ => entry.describe(),
        };
        let item = script::Item {
            title,
            statements: statements.iter().map(String::as_str).collect(),
            tablespace: entry
                .tablespace
                .as_deref()
                .filter(|_| !leave_out.tablespaces),
            access_method: entry
                .access_method
                .as_deref()
                .filter(|_| !leave_out.table_access_methods),
        };
        self.defaults.item(&mut self.text, item);
        if self.text.len() >= PIECE_BYTES {
            self.pass_on().await?;
        }
        Ok(())
    }

    /// Writes the rows of a frame; the COPY of a table stays open for its next frame.
    async fn frame(&mut self, frame: &StoredFrame, plan: &Plan) -> Result<()> {
        let Some(entry) = self.entry(frame.entry) else {
            return Err(Error::new(
                Kind::Archive,
                format!("frame of an unknown entry {}", frame.entry),
            ));
        };
        let mut raw = Vec::new();
        self.decoder
            .unseal_into(frame, frame.raw_bytes, &mut raw)
            .context_with(|| entry.describe())?;
        self.written.insert(entry.id);
        if !self.is_statistics(entry.id) {
            self.tables.insert(entry.id);
        }
        match &entry.data {
            Some(DataSpec::Table { copy_in, .. }) => {
                if self.copying != Some(entry.id) {
                    self.text.push_str(&format!(
                        "--\n-- {}\n--\n\n{copy_in};\n",
                        script_title(entry)
                    ));
                    self.copying = Some(entry.id);
                }
                self.pass_on().await?;
                self.report.rows += memchr::memchr_iter(b'\n', &raw).count() as u64;
                self.report.bytes += raw.len() as u64;
                self.sink.write(Bytes::from(raw)).await
            }
            Some(DataSpec::LargeObjects) => {
                for row in rows_of(CopyFormat::Binary, &raw) {
                    let statement = lo_put(row?).context_with(|| entry.describe())?;
                    self.text.push_str(&statement);
                    if self.text.len() >= PIECE_BYTES {
                        self.pass_on().await?;
                    }
                }
                Ok(())
            }
            Some(DataSpec::Statistics { .. }) => {
                let unwanted = unwanted_statistics(self.entries, plan, entry, |_, _, _| false);
                for relation in statistics_of(&raw).context_with(|| entry.describe())? {
                    let name = (relation.schema.clone(), relation.relation.clone());
                    if unwanted.contains(&name) {
                        continue;
                    }
                    let statements = statistics_statements(&relation);
                    self.text.push_str(&script::section([script::Item {
                        title: format!("Statistics of {}.{}", name.0, name.1),
                        statements: statements.iter().map(String::as_str).collect(),
                        ..script::Item::default()
                    }]));
                    if self.text.len() >= PIECE_BYTES {
                        self.pass_on().await?;
                    }
                }
                Ok(())
            }
            None => Err(Error::new(
                Kind::Archive,
                format!("{} has a frame and no data", entry.describe()),
            )),
        }
    }

    /// Closes the COPY of an entry, if it is open.
    async fn end_of_rows(&mut self, entry: EntryId) -> Result<()> {
        if self.copying == Some(entry) {
            self.copying = None;
            self.text.push_str("\\.\n\n");
        }
        Ok(())
    }

    /// Hands what is written to the sink.
    async fn pass_on(&mut self) -> Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        let text = into_bytes(std::mem::take(&mut self.text));
        self.report.bytes += text.len() as u64;
        self.sink.write(Bytes::from(text)).await
    }

    async fn finish(mut self) -> Result<SqlReport> {
        if let Some(key) = self.key.take() {
            writeln_str(&mut self.text, &format!("\\unrestrict {key}"));
        }
        self.pass_on().await?;
        self.report.entries = self.written.len() as u64;
        self.report.tables = self.tables.len() as u64;
        self.sink.finish().await?;
        Ok(self.report)
    }
}

/// The archive's roles and the like, as they are wanted in the script.
fn globals(
    manifest: &Manifest,
    globals: Option<&[Entry]>,
    options: &SqlOptions,
    observer: &dyn Observer,
) -> Result<Vec<Entry>> {
    if options.globals == Globals::No && globals.is_some_and(|them| !them.is_empty()) {
        observer.info(
            "the archive's roles, tablespaces and the like are not in the script: --globals puts \
             them there"
                .to_owned(),
        );
    }
    let mut wanted = wanted_globals(manifest, globals, options.globals)?;
    wanted.retain(|entry| options.role_passwords || entry.kind != "ROLE PASSWORD");
    wanted.retain(|entry| !options.leave_out.tablespaces || entry.kind != "TABLESPACE");
    let forms = wanted.iter().filter_map(|entry| {
        let form = entry.form_for(options.target_version?)?;
        Some((entry.describe(), form))
    });
    for (name, form) in forms {
        for note in &form.notes {
            observer.warning(format!("adapted: {note}: {name}"));
        }
    }
    Ok(adapted(&wanted, options))
}

/// The database's entries, unless only globals are wanted.
fn of_database(entries: &[Entry], options: &SqlOptions) -> Vec<Entry> {
    match options.globals {
        Globals::Alone => Vec::new(),
        Globals::No | Globals::With => adapted(entries, options),
    }
}

/// The entries as the script's server needs them.
fn adapted(entries: &[Entry], options: &SqlOptions) -> Vec<Entry> {
    let mut entries = entries.to_vec();
    if let Some(target) = options.target_version {
        adapt(&mut entries, target);
    }
    entries
}

/// Says what the script's server will get in another way, and what it cannot have.
fn refuse_impossible(plan: &Plan, options: &SqlOptions, observer: &dyn Observer) -> Result<()> {
    for adapted in &plan.adapted {
        for note in &adapted.notes {
            observer.warning(format!("adapted: {note}: {}", adapted.name));
        }
    }
    for entry in &plan.impossible {
        observer.warning(format!("impossible: {}: {}", entry.name, entry.reason));
    }
    if plan.impossible.is_empty() || options.skip_impossible {
        return Ok(());
    }
    let count = plan.impossible.len();
    Err(Error::new(
        Kind::Refused,
        format!("{count} of the archive's objects cannot be made on that version"),
    )
    .with_hint("--skip-impossible leaves them out, with all that needs them"))
}

fn writeln_str(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn script_title(entry: &Entry) -> String {
    entry
        .describe()
        .chars()
        .map(|c| match c {
            '\u{2028}' | '\u{2029}' => ' ',
            c => c,
        })
        .collect()
}

/// Rows in binary COPY format cannot be in a text that psql reads.
fn refuse_binary(entries: &[Entry], plan: &Plan) -> Result<()> {
    let binary: Vec<String> = plan
        .steps_of(Work::Rows)
        .filter_map(|(_, id)| entries.get((id as usize).checked_sub(1)?))
        .filter(|entry| {
            matches!(
                entry.data,
                Some(DataSpec::Table {
                    format: CopyFormat::Binary,
                    ..
                })
            )
        })
        .map(Entry::describe)
        .collect();
    let Some(first) = binary.first() else {
        return Ok(());
    };
    let others = match binary.len() - 1 {
        0 => String::new(),
        1 => " and one other table".to_owned(),
        more => format!(" and {more} other tables"),
    };
    Err(Error::new(
        Kind::Refused,
        format!("the rows of {first}{others} are stored in binary COPY format"),
    )
    .with_hint(
        "dump with --copy-format=text to have rows in a script, or write only the schema with \
         --schema-only",
    ))
}

/// `SELECT lo_put(…)` for a binary COPY row of (oid, int8 offset, bytea).
fn lo_put(row: &[u8]) -> Result<String> {
    let broken = || Error::new(Kind::Archive, "a row of large objects is malformed");
    let (count, mut rest) = row.split_first_chunk::<2>().ok_or_else(broken)?;
    if u16::from_be_bytes(*count) != 3 {
        return Err(broken());
    }
    let mut field = || -> Result<&[u8]> {
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(broken)?;
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| broken())?;
        let (value, after) = after.split_at_checked(length).ok_or_else(broken)?;
        rest = after;
        Ok(value)
    };
    let oid = u32::from_be_bytes(field()?.try_into().map_err(|_| broken())?);
    let offset = i64::from_be_bytes(field()?.try_into().map_err(|_| broken())?);
    let bytes = field()?;
    let bytes = hex(bytes);
    Ok(format!(
        "SELECT pg_catalog.lo_put({oid}, {offset}, '\\x{bytes}');\n"
    ))
}

/// 32 letters and digits that nobody can guess.
fn random_key() -> Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(Kind::Failed, format!("no random numbers: {error}")))?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_a_large_object_becomes_a_statement() {
        let mut row = vec![0, 3];
        for field in [
            &5_u32.to_be_bytes()[..],
            &7_i64.to_be_bytes()[..],
            b"\x00\xff",
        ] {
            row.extend_from_slice(&(field.len() as u32).to_be_bytes());
            row.extend_from_slice(field);
        }
        assert_eq!(
            lo_put(&row).unwrap(),
            "SELECT pg_catalog.lo_put(5, 7, '\\x00ff');\n"
        );
        for cut in 0..row.len() {
            assert_eq!(lo_put(&row[..cut]).unwrap_err().kind(), Kind::Archive);
        }
    }

    #[test]
    fn keys_are_letters_and_digits_and_differ() {
        let key = random_key().unwrap();
        assert_eq!(key.len(), 32);
        assert!(key.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_ne!(key, random_key().unwrap());
    }
}
