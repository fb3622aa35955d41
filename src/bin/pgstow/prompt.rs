//! Asks for a password on the terminal.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};

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
                // The command will meet it again, and say where.
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
    // A thread of its own: nothing waits for it when Ctrl-C ends the prompt.
    let (answer, asked) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(reader).read_line(&mut line).map(|_| line);
        // Nobody listens any more after Ctrl-C.
        let _ = answer.send(read);
    });
    let line = tokio::select! {
        biased;
        () = cancel.cancelled() => {
            drop(hidden);
            return Err(interrupted());
        }
        line = asked => line.map_err(|_| interrupted())?.map_err(fault)?,
    };
    drop(hidden);
    writeln!(tty).map_err(fault)?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    Ok(config.with_password(password))
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
