//! Asks on the terminal: for a password, and whether it is really meant.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use pgstow::connect::{Config, PasswordPrompt, needs_password};
use pgstow::error::{Error, Kind, Result};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio_util::sync::CancellationToken;

/// The configuration with a password, if one must be asked for.
///
/// Unless `-W` asks at once, whether the server wants a password is found out by a first
/// connection; that is made only where there is a terminal to ask on.
pub async fn complete(
    config: Config,
    prompt: PasswordPrompt,
    cancel: &CancellationToken,
) -> Result<Config> {
    match prompt {
        PasswordPrompt::Never => Ok(config),
        PasswordPrompt::Force => ask(config, cancel).await,
        PasswordPrompt::Auto => {
            if terminal().is_err() {
                return Ok(config);
            }
            let attempt = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(interrupted()),
                attempt = config.connect() => attempt,
            };
            match attempt {
                Ok(session) => {
                    session.close().await;
                    Ok(config)
                }
                Err(error) if needs_password(&error) => ask(config, cancel).await,
                // Nobody answers: the command would wait for as long once more.
                Err(error) if error.kind() == Kind::Connect && error.sqlstate().is_none() => {
                    Err(error)
                }
                // What the server says the command will meet again, and say where.
                Err(_) => Ok(config),
            }
        }
    }
}

fn terminal() -> std::io::Result<File> {
    File::options().read(true).write(true).open("/dev/tty")
}

fn interrupted() -> Error {
    Error::new(Kind::Interrupted, "interrupted")
}

async fn ask(config: Config, cancel: &CancellationToken) -> Result<Config> {
    let fault = |error: std::io::Error| {
        Error::new(
            Kind::Connect,
            format!("cannot ask for a password: /dev/tty: {error}"),
        )
        .with_hint("without a terminal, use a password file or PGPASSWORD")
    };
    let mut tty = terminal().map_err(fault)?;
    let reader = tty.try_clone().map_err(fault)?;
    let hidden = Hidden::new(tty.try_clone().map_err(fault)?).map_err(fault)?;
    write!(tty, "Password for {}: ", config.describe()).map_err(fault)?;
    tty.flush().map_err(fault)?;
    let line = line(reader, cancel).await;
    drop(hidden);
    let line = line?.map_err(fault)?;
    writeln!(tty).map_err(fault)?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    Ok(config.with_password(password))
}

/// What is typed up to the end of the line, unless Ctrl-C ends it.
async fn line(tty: File, cancel: &CancellationToken) -> Result<std::io::Result<String>> {
    // A thread of its own: nothing waits for it when Ctrl-C ends the prompt.
    let (answer, asked) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(tty).read_line(&mut line).map(|_| line);
        // Nobody listens any more after Ctrl-C.
        let _ = answer.send(read);
    });
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(interrupted()),
        line = asked => line.map_err(|_| interrupted()),
    }
}

/// Has the name of the database typed in.
///
/// # Errors
/// [`Kind::Refused`] for another answer, and where there is no terminal to ask on.
pub async fn typed_name(name: &str, cancel: &CancellationToken) -> Result<()> {
    let refused = |why: String| Error::new(Kind::Refused, why);
    let unheard =
        |error: std::io::Error| {
            refused(format!("nobody can be asked for consent: /dev/tty: {error}")).with_hint(
            "where there is no terminal, agree beforehand: --yes, and --no-delay to begin at once",
        )
        };
    let mut tty = terminal().map_err(unheard)?;
    let reader = tty.try_clone().map_err(unheard)?;
    write!(tty, "Type the name of the database to go on: ").map_err(unheard)?;
    tty.flush().map_err(unheard)?;
    let typed = line(reader, cancel).await?.map_err(unheard)?;
    match typed.trim_end_matches(['\r', '\n']) == name {
        true => Ok(()),
        false => Err(refused(
            "what was typed is not the name of the database; nothing was changed".to_owned(),
        )
        .with_hint("type it exactly as the plan shows it; --yes does without")),
    }
}

/// How long a countdown takes.
const COUNTDOWN: Duration = Duration::from_secs(10);

/// Waits ten seconds.
///
/// # Errors
/// [`Kind::Interrupted`] when Ctrl-C comes before their end.
pub async fn countdown(cancel: &CancellationToken) -> Result<()> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(interrupted().with_hint("nothing was changed")),
        () = tokio::time::sleep(COUNTDOWN) => Ok(()),
    }
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden {
    tty: File,
    before: Termios,
}

impl Hidden {
    fn new(tty: File) -> std::io::Result<Self> {
        let before = tcgetattr(&tty)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&tty, OptionalActions::Flush, &silent)?;
        Ok(Self { tty, before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Nothing can be done when the terminal is gone.
        let _ = tcsetattr(&self.tty, OptionalActions::Now, &self.before);
    }
}
