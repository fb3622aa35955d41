//! Keys: who may read, and who reads.

use std::fmt;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::error::{Error, Kind, Result};

const RECIPIENT: &str = "age";
const IDENTITY: &str = "age-secret-key-";

/// A public key, `age1…`, for which an archive is encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Recipient(pub(super) PublicKey);

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({self})")
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(RECIPIENT, self.0.as_bytes()))
    }
}

impl Recipient {
    /// Reads `age1…`.
    ///
    /// # Errors
    /// [`Kind::Usage`] for anything else. A private key is not repeated in the message.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.to_lowercase().starts_with(IDENTITY) {
            return Err(Error::new(
                Kind::Usage,
                "a recipient is a public key (age1…), and this is a private one",
            )
            .with_hint("age-keygen -y prints the public key of a private one"));
        }
        match decode(RECIPIENT, text) {
            Some(bytes) => Ok(Self(PublicKey::from(bytes))),
            None => Err(Error::new(
                Kind::Usage,
                format!("{text:?} is no recipient: not an age1… public key"),
            )
            .with_hint("age-keygen makes a pair of keys")),
        }
    }

    /// Reads a recipients file: one a line, `#` begins a comment line.
    ///
    /// # Errors
    /// As [`Recipient::parse`], with the line; [`Kind::Usage`] when there is none at all.
    pub fn parse_file(text: &str) -> Result<Vec<Self>> {
        let mut found = Vec::new();
        for (number, line) in content_lines(text) {
            let recipient = Self::parse(line);
            found.push(recipient.map_err(|error| error.context(format!("line {number}")))?);
        }
        if found.is_empty() {
            return Err(Error::new(Kind::Usage, "there is no recipient in it"));
        }
        Ok(found)
    }
}

/// A private key, `AGE-SECRET-KEY-1…`.
#[derive(Clone)]
pub struct Identity(pub(super) StaticSecret);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity of {}", self.recipient())
    }
}

impl Identity {
    /// Makes a new one.
    ///
    /// # Errors
    /// [`Kind::Failed`] without randomness.
    pub fn generate() -> Result<Self> {
        Ok(Self(StaticSecret::from(super::random::<32>()?)))
    }

    /// The public key that belongs to it.
    pub fn recipient(&self) -> Recipient {
        Recipient(PublicKey::from(&self.0))
    }

    /// Reads an identity file as `age-keygen` writes it: one key a line, `#` begins a comment line.
    ///
    /// # Errors
    /// [`Kind::Usage`] for anything else, with the number of the line and nothing of its content.
    pub fn parse_file(text: &str) -> Result<Vec<Self>> {
        if super::is_encrypted(text.as_bytes()) {
            return Err(Error::new(Kind::Usage, "it is encrypted itself")
                .with_hint("give --identity-command \"age --decrypt FILE\""));
        }
        let mut found = Vec::new();
        for (number, line) in content_lines(text) {
            let bytes = decode(IDENTITY, line).ok_or_else(|| {
                Error::new(
                    Kind::Usage,
                    format!("line {number}: not an AGE-SECRET-KEY-1… private key"),
                )
            })?;
            found.push(Self(StaticSecret::from(bytes)));
        }
        if found.is_empty() {
            return Err(Error::new(Kind::Usage, "there is no private key in it"));
        }
        Ok(found)
    }

    /// The key itself, as it stands in an identity file. Secret.
    pub fn reveal(&self) -> String {
        encode(IDENTITY, self.0.as_bytes()).to_uppercase()
    }
}

fn content_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn encode(prefix: &str, bytes: &[u8]) -> String {
    // Both prefixes are valid, and 32 bytes are not too long.
    Hrp::parse(prefix)
        .ok()
        .and_then(|prefix| bech32::encode::<Bech32>(prefix, bytes).ok())
        .unwrap_or_default()
}

fn decode(prefix: &str, text: &str) -> Option<[u8; 32]> {
    let checked = CheckedHrpstring::new::<Bech32>(text).ok()?;
    if checked.hrp() != Hrp::parse(prefix).ok()? {
        return None;
    }
    let bytes: Vec<u8> = checked.byte_iter().collect();
    bytes.try_into().ok()
}

/// A passphrase. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(String);

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}

impl Passphrase {
    /// Takes a passphrase; line ends at its end do not count.
    ///
    /// # Errors
    /// [`Kind::Usage`] when it is empty.
    pub fn new(text: &str) -> Result<Self> {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(Error::new(Kind::Usage, "the passphrase is empty"));
        }
        Ok(Self(text.to_owned()))
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

/// For whom an archive is encrypted.
#[derive(Clone, Debug)]
pub enum Recipients {
    /// For the holders of any one of these keys; at least one.
    Keys(Vec<Recipient>),
    /// For whoever knows this.
    Passphrase(Passphrase),
}

/// What there is to decrypt with.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Private keys, tried one after the other.
    pub identities: Vec<Identity>,
    /// A passphrase, for archives that were encrypted with one.
    pub passphrase: Option<Passphrase>,
}

impl Keys {
    /// Whether there is nothing to decrypt with.
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty() && self.passphrase.is_none()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_written_as_age_does() {
        let identity = Identity::generate().unwrap();
        let (public, private) = (identity.recipient().to_string(), identity.reveal());
        assert!(public.starts_with("age1") && public.len() == 62, "{public}");
        assert!(private.starts_with("AGE-SECRET-KEY-1") && private.len() == 74);
        let file = format!("# created: today\n# public key: {public}\n\n{private}\n");
        let read = Identity::parse_file(&file).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].recipient(), Recipient::parse(&public).unwrap());
        assert!(!format!("{identity:?}").contains(&private));
    }

    #[test]
    fn what_is_no_key_is_refused_and_secrets_are_not_repeated() {
        let private = Identity::generate().unwrap().reveal();
        let error = Recipient::parse(&private).unwrap_err();
        assert!(!error.message().contains(&private[20..]), "{error}");
        let broken = private.replace("KEY-1", "KEY-1Q");
        let error = Identity::parse_file(&format!("# x\n{broken}")).unwrap_err();
        assert_eq!(
            error.message(),
            "line 2: not an AGE-SECRET-KEY-1… private key"
        );
        for text in ["", "age1", "ssh-ed25519 AAAA", "age1qqqq"] {
            assert_eq!(
                Recipient::parse(text).unwrap_err().kind(),
                Kind::Usage,
                "{text}"
            );
        }
        let mixed = format!(
            "{}\nssh-rsa AAAA",
            Identity::generate().unwrap().recipient()
        );
        assert!(
            Recipient::parse_file(&mixed)
                .unwrap_err()
                .message()
                .contains("line 2")
        );
        assert!(Recipient::parse_file("# nothing\n").is_err());
        assert!(Passphrase::new("\n").is_err());
    }
}
