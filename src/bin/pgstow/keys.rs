//! Keys for encrypted archives: read from files, commands and the environment, never from arguments.

use pgstow::encryption::{Identity, Keys, Passphrase, Recipient, Recipients};
use pgstow::error::{Context as _, Error, Kind, Result};
use pgstow::secret::SecretFrom;

use super::args;

/// For whom a dump is encrypted, if it is.
pub fn recipients(args: &args::Encrypt) -> Result<Option<Recipients>> {
    let mut keys = Vec::new();
    for text in &args.to.encrypt_to {
        keys.push(Recipient::parse(text).context_with(|| "--encrypt-to")?);
    }
    for path in &args.recipients_file {
        let text = read(path, "--recipients-file")?;
        let found = Recipient::parse_file(&text);
        keys.extend(found.context_with(|| format!("--recipients-file {path}"))?);
    }
    let by_passphrase = args.encrypt_passphrase
        || args.passphrase.passphrase_file.is_some()
        || args.passphrase.passphrase_command.is_some();
    match (keys.is_empty(), by_passphrase) {
        (true, false) => Ok(None),
        (false, false) => Ok(Some(Recipients::Keys(keys))),
        (false, true) => Err(Error::new(
            Kind::Usage,
            "an archive is encrypted for keys or with a passphrase, not both",
        )),
        (true, true) => {
            let passphrase = passphrase(&args.passphrase)?.ok_or_else(|| {
                Error::new(
                    Kind::Usage,
                    "option --encrypt-passphrase, and no passphrase",
                )
                .with_hint(
                    "set PGSTOW_PASSPHRASE, or give --passphrase-file or --passphrase-command",
                )
            })?;
            Ok(Some(Recipients::Passphrase(passphrase)))
        }
    }
}

/// What there is to decrypt with.
pub fn keys(args: &args::Decrypt) -> Result<Keys> {
    let mut identities = Vec::new();
    for path in &args.identity {
        let found = Identity::parse_file(&read(path, "--identity")?);
        identities.extend(found.context_with(|| format!("--identity {path}"))?);
    }
    if let Some(command) = &args.identity_command {
        let found = Identity::parse_file(&output_of(command, "--identity-command")?);
        identities.extend(found.context_with(|| "output of --identity-command")?);
    }
    if let Some(text) = variable("PGSTOW_IDENTITY")? {
        let found = Identity::parse_file(&text);
        identities.extend(found.context_with(|| "PGSTOW_IDENTITY")?);
    }
    Ok(Keys {
        identities,
        passphrase: passphrase(&args.passphrase)?,
    })
}

fn passphrase(args: &args::PassphraseFrom) -> Result<Option<Passphrase>> {
    let (text, place) = match (&args.passphrase_file, &args.passphrase_command) {
        (Some(_), Some(_)) => {
            return Err(Error::new(
                Kind::Usage,
                "options --passphrase-file and --passphrase-command cannot be used together",
            ));
        }
        (Some(path), None) => (read(path, "--passphrase-file")?, "--passphrase-file"),
        (None, Some(command)) => (
            output_of(command, "--passphrase-command")?,
            "--passphrase-command",
        ),
        (None, None) => match variable("PGSTOW_PASSPHRASE")? {
            Some(text) => (text, "PGSTOW_PASSPHRASE"),
            None => return Ok(None),
        },
    };
    // The first line, as other tools have it.
    let first = text.lines().next().unwrap_or_default();
    Passphrase::new(first).context_with(|| place).map(Some)
}

fn variable(name: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Error::new(Kind::Usage, format!("{name} is not UTF-8")))
        }
    }
}

/// What stands in a file.
fn read(path: &str, option: &str) -> Result<String> {
    fetched(SecretFrom::File(path.into()), option)
}

/// What a command writes; its messages go where ours go.
fn output_of(command: &str, option: &str) -> Result<String> {
    fetched(SecretFrom::Command(command.to_owned()), option)
}

fn fetched(from: SecretFrom, option: &str) -> Result<String> {
    Ok(from.text(option)?.reveal().to_owned())
}
