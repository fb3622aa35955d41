//! The commands: settings to the library, its reports to people.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use indicatif::{HumanBytes, HumanCount};
use pgstow::archive::Section;
use pgstow::connect::Config;
use pgstow::encryption::{Keys, Recipients};
use pgstow::error::{Error, Kind, Result, counted};
use pgstow::ops::{
    ClusterReport, Input, ListReport, Plan, RestoreReport, TableComparison, VerifyReport,
    create_output, dump_all, encrypted, restore_all,
};
use pgstow::storage::Overwrite;
use serde_json::json;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::args::{self, Args, Command};
use super::exit::{self, Outcome};
use super::output::{self, Output, harmless};
use super::progress::Progress;
use super::settings::{self, Connection, Talk, Volume};
use super::{careful, config, doctor, prompt, repository, signals};

/// Runs what was asked for and gives the exit code.
pub async fn run(args: Args) -> u8 {
    let talk = match &args.command {
        Command::Init(init) => settings::talk(&init.messages, None),
        // Its JSON is one object on standard output; the rest stays words.
        Command::Config(_) => settings::talk(&args::Messages::default(), None),
        Command::Dump(dump) => settings::talk(&dump.messages, dump.file.as_deref()),
        Command::Restore(restore) => settings::talk(&restore.messages, None),
        Command::Copy(copy) => settings::talk(&copy.messages, None),
        Command::List(list) => settings::talk(
            &args::Messages {
                json: list.json,
                ..args::Messages::default()
            },
            None,
        ),
        Command::Verify(verify) => settings::talk(&verify.messages, None),
        Command::Sql(sql) => settings::talk(&sql.messages, Some(&sql.script)),
        Command::Backup(it) => settings::talk(&it.messages, None),
        Command::Download(it) => settings::talk(&it.messages, Some(&it.file)),
        Command::Delete(it) => settings::talk(&it.messages, None),
        Command::Prune(it) => settings::talk(&it.messages, None),
        Command::Pin(it) => settings::talk(&it.messages, None),
        Command::Unpin(it) => settings::talk(&it.messages, None),
        Command::Rebuild(it) => settings::talk(&it.messages, None),
        // Their one JSON object is what was asked for; warnings stay words.
        Command::Backups(_) | Command::Show(_) | Command::Audit(_) | Command::Doctor(_) => {
            settings::talk(&args::Messages::default(), None)
        }
    };
    let (output, talk) = match talk {
        Ok(talk) => (Output::new(talk), Ok(())),
        Err(error) => (
            Output::new(Talk {
                volume: Volume::Normal,
                json: false,
                stdout_is_taken: false,
            }),
            Err(error),
        ),
    };
    let ended = match talk {
        Ok(()) => {
            let cancel = signals::watch(output.clone());
            command(args.command, &output, cancel).await
        }
        Err(error) => Err(error),
    };
    match ended {
        Ok(outcome) => exit::code(&outcome),
        Err(error) => {
            let code = exit::code(&Outcome::Failed(&error));
            output.error(&error, code);
            code
        }
    }
}

async fn command(
    command: Command,
    output: &Output,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let progress = Progress::new(output.clone());
    let ticking = tokio::spawn(Arc::clone(&progress).tick());
    let ended = match command {
        Command::Init(args) => config::init(*args, output, cancel).await,
        Command::Config(args) => {
            let config::ConfigWhat::Check(args) = &args.what;
            config::check(args, output)
        }
        Command::Dump(args) => dump(*args, output, &progress, cancel).await,
        Command::Restore(args) => restore(*args, output, &progress, cancel).await,
        Command::Copy(args) => copy(*args, output, &progress, cancel).await,
        Command::List(args) => list(*args, output, cancel).await,
        Command::Verify(args) => verify(*args, output, &progress, cancel).await,
        Command::Sql(args) => sql(*args, output, &progress, cancel).await,
        Command::Backup(args) => repository::backup(*args, output, &progress, cancel).await,
        Command::Backups(args) => repository::backups(*args, output, cancel).await,
        Command::Show(args) => repository::show(*args, output, cancel).await,
        Command::Download(args) => repository::download(*args, output, &progress, cancel).await,
        Command::Delete(args) => repository::delete(*args, output, &progress, cancel).await,
        Command::Prune(args) => repository::prune(*args, output, &progress, cancel).await,
        Command::Pin(args) => repository::pin(*args, output, &progress, cancel).await,
        Command::Unpin(args) => repository::unpin(*args, output, &progress, cancel).await,
        Command::Audit(args) => repository::audit(*args, output, cancel).await,
        Command::Rebuild(args) => repository::rebuild(*args, output, &progress, cancel).await,
        Command::Doctor(args) => doctor::doctor(*args, output, cancel).await,
    };
    ticking.abort();
    progress.clear();
    ended
}

/// Says what the configuration has to say, and asks for a password if one is needed.
pub async fn ready(
    Connection { config, password }: Connection,
    output: &Output,
    cancel: &CancellationToken,
) -> Result<Config> {
    for warning in config.warnings() {
        output.say(&format!("warning: {warning}"));
    }
    prompt::complete(config, password, cancel).await
}

/// Does this unless interrupted: to open a FIFO waits for its other end, and a pipe may be silent.
pub async fn unless<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::new(Kind::Interrupted, "interrupted")),
        done = work => done,
    }
}

/// The archive, decrypted where it is encrypted.
async fn input(location: &str, keys: &Keys) -> Result<Input> {
    Input::open(location).await?.decrypted(keys).await
}

/// As [`input`], where it could have been a backup as well.
async fn input_or_backup(location: &str, keys: &Keys) -> Result<Input> {
    let is_no_file = !location.contains(['/', '.']) && !Path::new(location).exists();
    input(location, keys).await.map_err(|error| {
        if is_no_file && location != "-" && error.kind() == Kind::Storage {
            return error.with_hint("a backup is named by its id (pgstow backups) or as latest");
        }
        error
    })
}

/// What it means that an archive is encrypted, said where it is made.
pub fn tell_encryption(output: &Output, recipients: &Recipients) {
    let (how, needs) = match recipients {
        Recipients::Keys(keys) => (
            format!("for {}", counted(keys.len() as u64, "recipient")),
            "the private key of one of them",
        ),
        Recipients::Passphrase(_) => ("with a passphrase".to_owned(), "it"),
    };
    summary(
        output,
        &format!("encrypted {how}: without {needs} nobody can read the archive"),
    );
}

/// An archive on a screen helps nobody.
pub fn refuse_terminal(path: &str) -> Result<()> {
    if path == "-" && std::io::stdout().is_terminal() {
        return Err(Error::new(
            Kind::Usage,
            "standard output is a terminal, and an archive is no text",
        )
        .with_hint("send it to a file or a pipe"));
    }
    Ok(())
}

/// A summary for people.
pub fn summary(output: &Output, text: &str) {
    if !output.talk().json && output.talk().volume >= Volume::Normal {
        output.say(text);
    }
}

/// Runs this on one of the runtime's threads. The first thread is none of them: each answer of a session would be
/// taken up by one of those, which then wakes the first.
async fn among_its_tasks<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    match tokio::spawn(work).await.map_err(JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(error)) => Err(Error::new(Kind::Failed, error.to_string())),
    }
}

async fn dump(
    args: args::Dump,
    output: &Output,
    progress: &Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let dump = settings::Dump::new(args)?;
    refuse_terminal(&dump.file)?;
    let config = ready(dump.connection, output, &cancel).await?;
    if let Some(exclude) = &dump.all_databases {
        let observer = progress.observer();
        let directory = Path::new(&dump.file);
        let dumping = dump_all(&config, directory, &dump.options, exclude, observer, cancel);
        return tell_cluster(output, progress, "dump", &dumping.await?);
    }
    let sink = unless(&cancel, create_output(&dump.file, Overwrite::Replace)).await?;
    let sink = unless(&cancel, encrypted(sink, dump.recipients.as_ref())).await?;
    let observer = progress.observer();
    let options = dump.options;
    let dumping = async move { pgstow::dump(&config, sink, &options, observer, cancel).await };
    let report = among_its_tasks(dumping).await?;
    progress.clear();
    output.done("dump", &report, exit::DONE);
    summary(
        output,
        &format!(
            "dumped {}{}, {}, {}, {} of rows in an archive of {}, {:.1} s",
            match (report.database.as_str(), report.globals) {
                ("", globals) => format!("{}: ", counted(globals, "global")),
                (database, 0) => format!("{database}: "),
                (database, globals) => format!("{database} and {}: ", counted(globals, "global")),
            },
            counted(report.entries, "entry"),
            counted(report.tables, "table"),
            rows(report.rows),
            HumanBytes(report.raw_bytes),
            HumanBytes(report.archive_bytes),
            report.seconds,
        ),
    );
    if let Some(level) = report.zstd_level {
        summary(output, &format!("zstd level {level:.1} on average"));
    }
    if let Some(recipients) = &dump.recipients {
        tell_encryption(output, recipients);
    }
    Ok(Outcome::Done)
}

async fn restore(
    args: args::Restore,
    output: &Output,
    progress: &Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let archive = args.archive.clone();
    let decrypt = args.decrypt.clone();
    let mut restore = settings::Restore::new(args)?;
    let is_backup = restore.all_databases.is_none() && repository::place::is_backup(&restore.file);
    if !is_backup {
        repository::place::refuse(&archive.kept, &restore.file)?;
    }
    if let Some(connection) = restore.connection.take() {
        let config = ready(connection, output, &cancel).await?;
        if is_backup {
            let backup = (&archive.into(), &decrypt);
            return careful::from_backup(backup, &config, restore, output, progress, cancel).await;
        }
        return restore_into(&config, restore, output, progress, cancel).await;
    }
    let input = async {
        match is_backup {
            true => careful::input(&archive.into(), &decrypt, output).await,
            false => input_or_backup(&restore.file, &restore.keys).await,
        }
    };
    let input = unless(&cancel, input).await?;
    let plan = unless(&cancel, pgstow::ops::restore_plan(input, &restore.options)).await?;
    tell_plan(output, &plan)?;
    Ok(Outcome::Done)
}

async fn restore_into(
    config: &Config,
    restore: settings::Restore,
    output: &Output,
    progress: &Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    if let Some(exclude) = &restore.all_databases {
        let observer = progress.observer();
        let (directory, options) = (Path::new(&restore.file), &restore.options);
        let restoring = restore_all(config, directory, options, exclude, observer, cancel);
        return tell_cluster(output, progress, "restore", &restoring.await?);
    }
    let input = unless(&cancel, input_or_backup(&restore.file, &restore.keys)).await?;
    if restore.swap.is_some() {
        return careful::swap((config, &input), &restore, output, progress, cancel).await;
    }
    if restore.dry_run {
        let asking = pgstow::ops::restore_dry_run(config, input, &restore.options);
        return careful::only_show(output, &unless(&cancel, asking).await?);
    }
    fill((config, input), &restore, output, progress, cancel).await
}

/// Restores, and tells how it went.
pub async fn fill(
    (config, input): (&Config, Input),
    restore: &settings::Restore,
    output: &Output,
    progress: &Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let observer = progress.observer();
    let began = Instant::now();
    let report = pgstow::restore(config, input, &restore.options, observer, cancel).await?;
    progress.clear();
    let outcome = if report.is_complete() {
        Outcome::Done
    } else {
        Outcome::Partial
    };
    output.done("restore", &report, exit::code(&outcome));
    tell_restore(output, "restored", &report, began);
    Ok(outcome)
}

async fn copy(
    args: args::Copy,
    output: &Output,
    progress: &Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let copy = settings::Copy::new(args)?;
    let source = ready(copy.source, output, &cancel).await?;
    let target = ready(copy.target, output, &cancel).await?;
    let observer = progress.observer();
    if copy.dry_run {
        let asking = pgstow::ops::copy_dry_run(&source, &target, &copy.options, observer, cancel);
        let preflight = asking.await?;
        progress.clear();
        return careful::only_show(output, &preflight);
    }
    let began = Instant::now();
    let report = pgstow::copy(&source, &target, &copy.options, observer, cancel).await?;
    progress.clear();
    let outcome = match (report.is_equal(), report.is_complete()) {
        (false, _) => Outcome::Different,
        (true, false) => Outcome::Partial,
        (true, true) => Outcome::Done,
    };
    output.done("copy", &report, exit::code(&outcome));
    tell_restore(output, "copied", &report.restore, began);
    tell_compared(output, &report.compared, ["source", "target"]);
    if !report.not_compared.is_empty() && !output.talk().json {
        let tables = report.not_compared.join(", ");
        output.say(&format!(
            "not compared, since their rows did not come: {tables}"
        ));
    }
    Ok(outcome)
}

/// The report of a whole cluster; with a failure in it, it was done in part.
fn tell_cluster(
    output: &Output,
    progress: &Arc<Progress>,
    command: &str,
    report: &ClusterReport,
) -> Result<Outcome<'static>> {
    progress.clear();
    let outcome = if report.is_complete() {
        Outcome::Done
    } else {
        Outcome::Partial
    };
    output.done(command, report, exit::code(&outcome));
    if !output.talk().json {
        // Why, was told when it happened.
        for (what, problems) in [("failed", &report.failed), ("left out", &report.left_out)] {
            let names: Vec<&str> = problems.iter().map(|it| it.name.as_str()).collect();
            if !names.is_empty() {
                output.say(&format!("{what}: {}", names.join(", ")));
            }
        }
        let done = match command {
            "dump" => "dumped",
            _ => "restored",
        };
        let text = format!(
            "{done} {} and {}; {} failed, {} left out",
            counted(report.databases.len() as u64, "database"),
            counted(report.globals, "global"),
            report.failed.len(),
            report.left_out.len()
        );
        summary(output, &text);
    }
    Ok(outcome)
}

fn tell_plan(output: &Output, plan: &Plan) -> Result<()> {
    if output.talk().json {
        output.json(&json!({ "event": "plan", "plan": plan }));
        return Ok(());
    }
    output::print(&harmless(&plan.to_string()))
}

/// Most entries that are named for one refusal.
const NAMED: usize = 10;

pub fn tell_restore(output: &Output, done: &str, report: &RestoreReport, began: Instant) {
    if output.talk().json {
        return;
    }
    for refused in &report.refused {
        match refused.entries.as_slice() {
            [entry] => output.say(&format!("failed: {entry}: {}", refused.error)),
            entries => {
                output.say(&format!(
                    "failed {} times: {}",
                    refused.times, refused.error
                ));
                for entry in entries.iter().take(NAMED) {
                    output.say(&format!("  {entry}"));
                }
                if let more @ 1.. = entries.len().saturating_sub(NAMED) {
                    output.say(&format!("  and {more} others"));
                }
            }
        }
        if let Some(statement) = &refused.statement {
            output.say(&format!("  statement: {statement}"));
        }
        if let Some(hint) = &refused.hint {
            output.say(&format!("  hint: {hint}"));
        }
    }
    for skipped in &report.skipped {
        output.say(&format!("not done: {}: {}", skipped.entry, skipped.reason));
    }
    if !report.is_complete() {
        output.say(&format!(
            "{done} in part: {} failed, {} not done because of that",
            report.failed.len(),
            report.skipped.len()
        ));
    }
    let found = report.globals_found.len() as u64;
    if report.entries == 0 && report.tables == 0 && report.globals + found > 0 {
        let text = format!(
            "{done} {} ({found} already there), {:.1} s",
            counted(report.globals, "global"),
            began.elapsed().as_secs_f64()
        );
        return summary(output, &text);
    }
    summary(
        output,
        &format!(
            "{done} {}{}, {}, {}, {} of rows, {:.1} s",
            match report.globals {
                0 => String::new(),
                globals => format!("{}, ", counted(globals, "global")),
            },
            counted(report.entries, "entry"),
            counted(report.tables, "table"),
            rows(report.rows),
            HumanBytes(report.raw_bytes),
            began.elapsed().as_secs_f64(),
        ),
    );
}

async fn list(
    args: args::List,
    output: &Output,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let (file, keys, options) = settings::list(args)?;
    let input = unless(&cancel, input(&file, &keys)).await?;
    let report = pgstow::list(input, &options, cancel).await?;
    if output.talk().json {
        output.json(&json!({
            "event": "archive", "archive": report.manifest, "globals": report.globals,
        }));
        for entry in report.entries() {
            let mut line = serde_json::to_value(entry).map_err(|error| {
                Error::new(Kind::Failed, format!("list: {error}")).with_source(error)
            })?;
            if let Some(object) = line.as_object_mut() {
                object.insert("event".to_owned(), json!("entry"));
            }
            output.json(&line);
        }
    } else {
        output::print_lines(|line| listing(&report, line))?;
    }
    Ok(Outcome::Done)
}

/// The list for people, and for `--use-list` after an editor: keys, the rest as comments.
fn listing(report: &ListReport, line: &mut dyn FnMut(String)) {
    let manifest = &report.manifest;
    let sum = |of: fn(&pgstow::ops::ListedTable) -> u64| -> u64 {
        let tables = report.entries().filter_map(|it| it.table);
        tables.map(of).sum()
    };
    line(format!(
        "; archive   {}, {}, {}, by {}",
        manifest.archive_id, manifest.created, manifest.codec, manifest.tool
    ));
    let database = match manifest.has_globals_alone() {
        true => "no database".to_owned(),
        false => format!("database {}", manifest.database),
    };
    line(format!(
        "; source    {database}, PostgreSQL {}, {}",
        manifest.server_version_text, manifest.encoding
    ));
    line(format!(
        "; contents  {}, {} with data: {}, {} before compression, {} stored",
        counted(report.entries().len() as u64, "entry"),
        report.entries().filter(|it| it.table.is_some()).count(),
        rows(sum(|table| table.rows)),
        HumanBytes(sum(|table| table.raw_bytes)),
        HumanBytes(sum(|table| table.stored_bytes)),
    ));
    if !report.globals.is_empty() {
        line(";".to_owned());
        line("; globals, which --globals takes, whatever the list says:".to_owned());
        for global in &report.globals {
            line(format!(";   {} {}", global.kind, global.name));
        }
    }
    line(";".to_owned());
    line(
        "; restore --use-list and sql --use-list take such a list: entries without a line are left \
         out, text"
            .to_owned(),
    );
    line("; after a semicolon is a comment; after it stand number, section and owner.".to_owned());
    line(String::new());
    let width = report.entries().map(|it| it.key.chars().count()).max();
    let width = width.unwrap_or(0).min(WIDEST_KEY);
    for listed in report.entries() {
        let entry = listed.entry;
        let section = match entry.section {
            Section::PreData => "pre-data",
            Section::Data => "data",
            Section::PostData => "post-data",
        };
        let mut about = format!(
            "{:<width$} ; {:>5} {section:<9} {}",
            listed.key,
            entry.id,
            entry.owner.as_deref().unwrap_or("-"),
        );
        if let Some(table) = &listed.table {
            let _ = write!(
                about,
                ", {} rows, {} bytes, {} stored in {} frames, fingerprint {}, sha256 {}",
                table.rows,
                table.raw_bytes,
                table.stored_bytes,
                table.frames,
                table.fingerprint,
                table.sha256.get(..16).unwrap_or(&table.sha256),
            );
        }
        line(about);
    }
}

/// Keys up to this width have their comments in one column.
const WIDEST_KEY: usize = 60;

async fn verify(
    args: args::Verify,
    output: &Output,
    progress: &Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let archive = args.archive.clone();
    let decrypt = args.decrypt.clone();
    let mut verify = settings::Verify::new(args)?;
    if let Some(config) = verify.options.against.take() {
        let password = verify.password;
        let connection = Connection { config, password };
        verify.options.against = Some(ready(connection, output, &cancel).await?);
    }
    if repository::place::is_backup(&verify.file) {
        let options = &verify.options;
        let which = archive.into();
        let verifying = repository::verify(&which, &decrypt, options, output, progress, cancel);
        let report = verifying.await?;
        progress.clear();
        let outcome = if report.is_equal() {
            Outcome::Done
        } else {
            Outcome::Different
        };
        output.done("verify", &report, exit::code(&outcome));
        summary(
            output,
            &format!("backup {} of {}", report.id, report.database),
        );
        match &report.inside {
            Some(inside) => tell_verify(output, inside),
            None => summary(
                output,
                "every byte is as it was written; it is encrypted, and was not looked into without a key",
            ),
        }
        return Ok(outcome);
    }
    repository::place::refuse(&archive.kept, &verify.file)?;
    let input = unless(&cancel, input_or_backup(&verify.file, &verify.keys)).await?;
    let observer = progress.observer();
    let report = pgstow::verify(input, &verify.options, observer, cancel).await?;
    progress.clear();
    let outcome = if report.is_equal() {
        Outcome::Done
    } else {
        Outcome::Different
    };
    output.done("verify", &report, exit::code(&outcome));
    tell_verify(output, &report);
    Ok(outcome)
}

fn tell_verify(output: &Output, report: &VerifyReport) {
    if output.talk().json {
        return;
    }
    summary(
        output,
        &format!(
            "archive is whole: {}, {} with data in {}, {}",
            counted(report.members, "member"),
            counted(report.tables, "entry"),
            counted(report.frames, "frame"),
            HumanBytes(report.bytes),
        ),
    );
    tell_compared(output, &report.compared, ["archive", "database"]);
}

/// Which tables differ between two places.
fn tell_compared(output: &Output, compared: &[TableComparison], [one, other]: [&str; 2]) {
    if output.talk().json || compared.is_empty() {
        return;
    }
    let different = compared.iter().filter(|table| !table.equal);
    for table in different.clone() {
        let found = table
            .found_rows
            .map_or("unreadable".to_owned(), |rows| format!("{rows} rows"));
        output.say(&format!(
            "differs: {}: {} rows in the {one}, {found} in the {other}{}",
            table.table,
            table.rows,
            table
                .difference
                .as_ref()
                .map_or(String::new(), |why| format!(": {why}")),
        ));
    }
    summary(
        output,
        &format!(
            "compared {}, {} differ",
            what_was_compared(compared),
            different.count()
        ),
    );
}

/// `5 tables and the large objects`.
pub fn what_was_compared(compared: &[TableComparison]) -> String {
    let parts = compared.iter().filter(|part| part.is_of_large_objects());
    let tables = |count: usize| counted(count as u64, "table");
    match (compared.len(), parts.count()) {
        (all, 0) => tables(all),
        (all, parts) if all == parts => "the large objects".to_owned(),
        (all, parts) => format!("{} and the large objects", tables(all - parts)),
    }
}

/// `1 row`, `1,234 rows`.
pub fn rows(count: u64) -> String {
    match count {
        1 => counted(count, "row"),
        _ => format!("{} rows", HumanCount(count)),
    }
}

async fn sql(
    args: args::Sql,
    output: &Output,
    progress: &Arc<Progress>,
    cancel: CancellationToken,
) -> Result<Outcome<'static>> {
    let sql = settings::Sql::new(args)?;
    let input = unless(&cancel, input(&sql.archive, &sql.keys)).await?;
    let sink = unless(&cancel, create_output(&sql.script, Overwrite::Replace)).await?;
    let observer = progress.observer();
    let report = pgstow::sql_script(input, sink, &sql.options, observer, cancel).await;
    let report = match report {
        // A reader that has enough (`| head`) is no error.
        Err(error) if sql.script == "-" && is_broken_pipe(&error) => return Ok(Outcome::Done),
        report => report?,
    };
    output.done("sql", &report, exit::DONE);
    Ok(Outcome::Done)
}

fn is_broken_pipe(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
        {
            return true;
        }
        cause = inner.source();
    }
    false
}
