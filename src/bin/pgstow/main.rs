//! The command line: arguments to settings, settings to the library, its reports and errors to
//! output and an exit code. Everything is done through the library's public API.
#![allow(
    clippy::print_stderr,
    reason = "the one place where an error is told when nothing else works"
)]

mod args;
mod careful;
mod commands;
mod config;
mod doctor;
mod exit;
mod keys;
mod misplaced;
mod mistyped;
mod output;
mod progress;
mod prompt;
mod repository;
mod settings;
mod signals;

use std::process::ExitCode;

use clap::Parser;
use pgstow::error::{Error, Kind};

/// Rows come in buffers of many sizes, made by one thread and let go by another. The C library's
/// allocator keeps such memory in an arena for each thread, with eight of them up to twice what is allowed
/// (docs/performance.md, "Memory"); this one gives most of it back after a moment.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let typed = mistyped::with_help_first(std::env::args_os().collect());
    let args = match args::Args::try_parse_from(&typed) {
        Ok(args) => args,
        Err(error) => {
            let command = typed.get(1).map(|it| it.to_string_lossy());
            let command = command.unwrap_or_default();
            if let Some(error) = misplaced::explained(&error, &command) {
                eprintln!("pgstow: error: {error}");
                if let Some(hint) = error.hint() {
                    eprintln!("pgstow: hint: {hint}");
                }
                return ExitCode::from(exit::USAGE);
            }
            if error.use_stderr() {
                for line in mistyped::told(&error) {
                    eprintln!("{line}");
                }
                return ExitCode::from(exit::USAGE);
            }
            // Asking for help or the version is no error; the text goes to stdout then.
            if error.print().is_err() {
                // Nobody reads it: nothing can be done about that.
            }
            return ExitCode::from(exit::DONE);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = Error::new(Kind::Failed, format!("start of the runtime: {error}"));
            eprintln!("pgstow: error: {error}");
            return ExitCode::from(exit::code(&exit::Outcome::Failed(&error)));
        }
    };
    let code = runtime.block_on(commands::run(args));
    // A read of standard input that nobody waits for any more must not hold up the end.
    runtime.shutdown_background();
    ExitCode::from(code)
}
