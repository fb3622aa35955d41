//! The header of an age file: the file key, wrapped for everybody who may read.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{self, HKDF_SHA256};
use ring::hmac::{self, HMAC_SHA256};
use x25519_dalek::{PublicKey, StaticSecret};

use super::keys::{Keys, Passphrase, Recipient, Recipients};
use super::{damaged, random};
use crate::error::{Error, Kind, Result};

/// How an age file begins.
pub const MAGIC: &[u8] = b"age-encryption.org/v1\n";

/// Longest header that is believed: about five hundred recipients.
pub(super) const HEADER_MAX: usize = 64 << 10;

const FILE_KEY: usize = 16;
const NONCE: usize = 16;
const WRAPPED: usize = FILE_KEY + 16;
const X25519_LABEL: &[u8] = b"age-encryption.org/v1/X25519";
const SCRYPT_LABEL: &[u8] = b"age-encryption.org/v1/scrypt";

/// Work for a new passphrase, as a power of two: about a second, and 256 MiB of memory.
const WORK: u8 = 18;

/// Most work that is done for a passphrase: an archive must not be able to ask for all memory.
const WORK_MAX: u8 = 22;

const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, NO_PAD);

/// Whether these first bytes are of an age file.
pub fn is_encrypted(first: &[u8]) -> bool {
    first.starts_with(MAGIC)
}

/// The key of the payload, and how many bytes stand before it.
pub(super) struct Opened {
    pub(super) payload_key: [u8; 32],
    pub(super) payload_at: u64,
}

struct Stanza {
    arguments: Vec<String>,
    body: Vec<u8>,
}

/// Makes a header, with the nonce behind it, and the key of the payload.
pub(super) fn seal(recipients: &Recipients) -> Result<(Vec<u8>, [u8; 32])> {
    let file_key: [u8; FILE_KEY] = random()?;
    let stanzas = match recipients {
        Recipients::Keys(keys) if keys.is_empty() => {
            return Err(Error::new(Kind::Usage, "there is nobody to encrypt for"));
        }
        Recipients::Keys(keys) => keys
            .iter()
            .map(|recipient| wrap_for_key(recipient, &file_key))
            .collect::<Result<Vec<_>>>()?,
        Recipients::Passphrase(passphrase) => vec![wrap_for_passphrase(passphrase, &file_key)?],
    };
    let mut header = MAGIC.to_vec();
    for stanza in stanzas {
        header.extend_from_slice(b"->");
        for argument in &stanza.arguments {
            header.push(b' ');
            header.extend_from_slice(argument.as_bytes());
        }
        header.push(b'\n');
        // A file key's wrapping is shorter than a full line, which is what ends a body.
        header.extend_from_slice(BASE64.encode(&stanza.body).as_bytes());
        header.push(b'\n');
    }
    header.extend_from_slice(b"---");
    let tag = hmac::sign(&mac_key(&file_key)?, &header);
    header.push(b' ');
    header.extend_from_slice(BASE64.encode(tag).as_bytes());
    header.push(b'\n');
    if header.len() > HEADER_MAX {
        return Err(Error::new(Kind::Usage, "too many recipients"));
    }
    let nonce: [u8; NONCE] = random()?;
    header.extend_from_slice(&nonce);
    Ok((header, derive(&file_key, &nonce, b"payload")?))
}

/// Length of the header and the nonce in these first bytes; `None` when they are too few to tell.
pub(super) fn length(first: &[u8]) -> Option<usize> {
    let at = find(first, b"\n--- ")? + 1;
    let end = at + find(&first[at..], b"\n")? + 1 + NONCE;
    (end <= first.len()).then_some(end)
}

/// Opens a header by the first bytes of a file, which hold all of it if it is not too long.
pub(super) fn open(first: &[u8], keys: &Keys) -> Result<Opened> {
    let end = length(first).ok_or_else(|| damaged("cut or damaged in the header of encryption"))?;
    let (header, nonce) = first[..end].split_at(end - NONCE);
    let text = std::str::from_utf8(header).map_err(|_| malformed())?;
    let (stanzas, signed, tag) = parse(text)?;
    let file_key = unwrap(&stanzas, keys)?;
    hmac::verify(&mac_key(&file_key)?, signed.as_bytes(), &tag)
        .map_err(|_| damaged("damaged: the header of encryption was changed"))?;
    Ok(Opened {
        payload_key: derive(&file_key, nonce, b"payload")?,
        payload_at: end as u64,
    })
}

fn malformed() -> Error {
    damaged("damaged: the header of encryption is malformed")
}

/// Stanzas, what is signed, and the signature.
fn parse(text: &str) -> Result<(Vec<Stanza>, &str, Vec<u8>)> {
    let mut stanzas: Vec<Stanza> = Vec::new();
    // Whether the last line of the last stanza's body is still to come.
    let mut in_body = false;
    let mut at = MAGIC.len();
    for line in text.get(at..).ok_or_else(malformed)?.split_inclusive('\n') {
        let begin = at;
        at += line.len();
        let line = line.strip_suffix('\n').ok_or_else(malformed)?;
        if in_body {
            let stanza = stanzas.last_mut().ok_or_else(malformed)?;
            if line.len() > 64 {
                return Err(malformed());
            }
            let more = BASE64.decode(line).map_err(|_| malformed())?;
            stanza.body.extend_from_slice(&more);
            in_body = line.len() == 64;
        } else if let Some(tag) = line.strip_prefix("--- ") {
            let tag = BASE64.decode(tag).map_err(|_| malformed())?;
            return Ok((stanzas, &text[..begin + 3], tag));
        } else if let Some(arguments) = line.strip_prefix("-> ") {
            let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
            if arguments.iter().any(String::is_empty) {
                return Err(malformed());
            }
            stanzas.push(Stanza {
                arguments,
                body: Vec::new(),
            });
            in_body = true;
        } else {
            return Err(malformed());
        }
    }
    Err(malformed())
}

fn unwrap(stanzas: &[Stanza], keys: &Keys) -> Result<[u8; FILE_KEY]> {
    let of = |kind: &'static str| stanzas.iter().filter(move |it| it.arguments[0] == kind);
    let by_passphrase = of("scrypt").next();
    if by_passphrase.is_some() && stanzas.len() != 1 {
        return Err(malformed());
    }
    if let Some(stanza) = by_passphrase {
        let Some(passphrase) = &keys.passphrase else {
            return Err(no_key("it is encrypted with a passphrase, and none was given").with_hint(
                "give --passphrase-file, --passphrase-command or PGSTOW_PASSPHRASE; without the \
                 passphrase nobody can read it",
            ));
        };
        return unwrap_by_passphrase(stanza, passphrase)?.ok_or_else(|| {
            no_key("the passphrase is not the one that it was encrypted with")
                .with_hint("without that passphrase nobody can read it")
        });
    }
    let mut tried = 0;
    for stanza in of("X25519") {
        tried += 1;
        for identity in &keys.identities {
            if let Some(file_key) = unwrap_by_key(stanza, &identity.0)? {
                return Ok(file_key);
            }
        }
    }
    const LOST: &str = "without the private key of one of its recipients nobody can read it";
    Err(match (tried, keys.identities.len()) {
        (0, _) => no_key("it is encrypted in a way that is not known here")
            .with_hint("decrypt it with the age tool"),
        (_, 0) => no_key("it is encrypted for holders of keys, and no private key was given")
            .with_hint(format!(
                "give --identity, --identity-command or PGSTOW_IDENTITY; {LOST}"
            )),
        (_, given) => no_key(match given {
            1 => "the private key that was given is of none of its recipients".to_owned(),
            _ => format!("none of the {given} private keys that were given is of its recipients"),
        })
        .with_hint(format!(
            "give another one with --identity or --identity-command; {LOST}"
        )),
    })
}

fn no_key(what: impl Into<String>) -> Error {
    Error::new(Kind::Refused, what)
}

fn wrap_for_key(recipient: &Recipient, file_key: &[u8; FILE_KEY]) -> Result<Stanza> {
    let ephemeral = StaticSecret::from(random::<32>()?);
    let share = PublicKey::from(&ephemeral);
    let key = x25519_key(&ephemeral, &recipient.0, &share, &recipient.0)
        .ok_or_else(|| Error::new(Kind::Usage, format!("{recipient} is no usable key")))?;
    Ok(Stanza {
        arguments: vec!["X25519".to_owned(), BASE64.encode(share.as_bytes())],
        body: wrap(&key?, file_key)?,
    })
}

/// `None` when it was wrapped for somebody else.
fn unwrap_by_key(stanza: &Stanza, secret: &StaticSecret) -> Result<Option<[u8; FILE_KEY]>> {
    let [_, share] = stanza.arguments.as_slice() else {
        return Err(malformed());
    };
    let share = BASE64.decode(share).map_err(|_| malformed())?;
    let share: [u8; 32] = share.try_into().map_err(|_| malformed())?;
    let share = PublicKey::from(share);
    let own = PublicKey::from(secret);
    let key = x25519_key(secret, &share, &share, &own).ok_or_else(malformed)??;
    unwrap_body(&key, &stanza.body)
}

/// `None` for a point of small order, with which everybody could know the secret.
fn x25519_key(
    secret: &StaticSecret,
    public: &PublicKey,
    share: &PublicKey,
    recipient: &PublicKey,
) -> Option<Result<[u8; 32]>> {
    let shared = secret.diffie_hellman(public);
    if !shared.was_contributory() {
        return None;
    }
    let salt = [share.as_bytes().as_slice(), recipient.as_bytes()].concat();
    Some(derive(shared.as_bytes(), &salt, X25519_LABEL))
}

fn wrap_for_passphrase(passphrase: &Passphrase, file_key: &[u8; FILE_KEY]) -> Result<Stanza> {
    let salt: [u8; 16] = random()?;
    let key = stretch(passphrase, &salt, WORK)?;
    Ok(Stanza {
        arguments: vec!["scrypt".to_owned(), BASE64.encode(salt), WORK.to_string()],
        body: wrap(&key, file_key)?,
    })
}

/// `None` for another passphrase.
fn unwrap_by_passphrase(
    stanza: &Stanza,
    passphrase: &Passphrase,
) -> Result<Option<[u8; FILE_KEY]>> {
    let [_, salt, work] = stanza.arguments.as_slice() else {
        return Err(malformed());
    };
    let salt = BASE64.decode(salt).map_err(|_| malformed())?;
    let salt: [u8; 16] = salt.try_into().map_err(|_| malformed())?;
    let canonical = !work.starts_with('0') && work.bytes().all(|it| it.is_ascii_digit());
    let work = work
        .parse::<u8>()
        .ok()
        .filter(|_| canonical)
        .ok_or_else(malformed)?;
    if work > WORK_MAX {
        return Err(damaged(format!(
            "its passphrase takes 2^{work} steps, and 2^{WORK_MAX} are the most that are done"
        )));
    }
    unwrap_body(&stretch(passphrase, &salt, work)?, &stanza.body)
}

fn stretch(passphrase: &Passphrase, salt: &[u8; 16], work: u8) -> Result<[u8; 32]> {
    let salt = [SCRYPT_LABEL, salt].concat();
    let parameters = scrypt::Params::new(work, 8, 1).map_err(|_| malformed())?;
    let mut key = [0; 32];
    scrypt::scrypt(passphrase.reveal().as_bytes(), &salt, &parameters, &mut key)
        .map_err(|_| Error::new(Kind::Failed, "scrypt failed"))?;
    Ok(key)
}

/// Every wrapping key is used once, so its nonce is zero.
fn wrap(key: &[u8; 32], file_key: &[u8; FILE_KEY]) -> Result<Vec<u8>> {
    let mut body = file_key.to_vec();
    aead(key)?
        .seal_in_place_append_tag(zero_nonce(), Aad::empty(), &mut body)
        .map_err(|_| Error::new(Kind::Failed, "encryption failed"))?;
    Ok(body)
}

fn unwrap_body(key: &[u8; 32], body: &[u8]) -> Result<Option<[u8; FILE_KEY]>> {
    if body.len() != WRAPPED {
        return Err(malformed());
    }
    let mut body = body.to_vec();
    let opened = aead(key)?.open_in_place(zero_nonce(), Aad::empty(), &mut body);
    Ok(opened
        .ok()
        .and_then(|file_key| <[u8; FILE_KEY]>::try_from(&*file_key).ok()))
}

fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// The cipher with this key.
pub(super) fn aead(key: &[u8; 32]) -> Result<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, key)
        .map(LessSafeKey::new)
        .map_err(|_| Error::new(Kind::Failed, "a key of the wrong length"))
}

fn mac_key(file_key: &[u8; FILE_KEY]) -> Result<hmac::Key> {
    Ok(hmac::Key::new(
        HMAC_SHA256,
        &derive(file_key, b"", b"header")?,
    ))
}

fn derive(secret: &[u8], salt: &[u8], label: &[u8]) -> Result<[u8; 32]> {
    let mut key = [0; 32];
    hkdf::Salt::new(HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[label], HKDF_SHA256)
        .and_then(|material| material.fill(&mut key))
        .map_err(|_| Error::new(Kind::Failed, "key derivation failed"))?;
    Ok(key)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}
