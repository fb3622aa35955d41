//! The payload: chunks of 64 KiB, each sealed by itself, in an order that cannot be changed.

use bytes::{Bytes, BytesMut};
use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use super::damaged;
use super::header::aead;
use crate::error::{Error, Kind, Result};

/// Bytes of a chunk; the last one may have fewer.
pub(super) const CHUNK: usize = 64 << 10;

/// Bytes that sealing adds to a chunk.
pub(super) const TAG: usize = 16;

/// Bytes of a chunk as it is stored.
pub(super) const SEALED: usize = CHUNK + TAG;

/// Which chunk, counted from 0, and whether it is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) number: u64,
    pub(super) is_last: bool,
}

impl Place {
    /// Eleven bytes of number, one that marks the last chunk.
    fn nonce(self) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[3..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = u8::from(self.is_last);
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Seals and opens chunks.
pub(super) struct Cipher(LessSafeKey);

impl Cipher {
    pub(super) fn new(payload_key: &[u8; 32]) -> Result<Self> {
        Ok(Self(aead(payload_key)?))
    }

    /// Seals chunks that follow one another, the first of which is `first`; all are full but for the
    /// last one, if `last` says that the payload ends here.
    pub(super) fn seal(&self, plain: &[u8], first: u64, last: bool) -> Result<Bytes> {
        let mut sealed = BytesMut::with_capacity(plain.len() + (plain.len() / CHUNK + 1) * TAG);
        // Nothing at all is one empty chunk.
        let mut chunks = plain.chunks(CHUNK).peekable();
        let empty: &[u8] = &[];
        let mut next = chunks.next().or((last && first == 0).then_some(empty));
        let mut number = first;
        while let Some(chunk) = next {
            next = chunks.next();
            let place = Place {
                number,
                is_last: last && next.is_none(),
            };
            let begin = sealed.len();
            sealed.extend_from_slice(chunk);
            let tag = self
                .0
                .seal_in_place_separate_tag(place.nonce(), Aad::empty(), &mut sealed[begin..])
                .map_err(|_| Error::new(Kind::Failed, "encryption failed"))?;
            sealed.extend_from_slice(tag.as_ref());
            number += 1;
        }
        Ok(sealed.freeze())
    }

    /// Opens one chunk in place; what was in it stands at the beginning of `sealed` afterwards.
    pub(super) fn open<'a>(&self, sealed: &'a mut [u8], place: Place) -> Result<&'a mut [u8]> {
        self.0
            .open_in_place(place.nonce(), Aad::empty(), sealed)
            .map_err(|_| {
                damaged(if place.is_last {
                    "cut, or damaged at its end: the last encrypted chunk does not open"
                } else {
                    "damaged: an encrypted chunk does not open"
                })
            })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn chunks_open_only_in_their_place() {
        let cipher = Cipher::new(&[7; 32]).unwrap();
        let plain = vec![9; 2 * CHUNK + 5];
        let sealed = cipher.seal(&plain, 3, true).unwrap();
        assert_eq!(sealed.len(), plain.len() + 3 * TAG);
        let mut chunks: Vec<Vec<u8>> = sealed.chunks(SEALED).map(<[u8]>::to_vec).collect();
        let place = |number, is_last| Place { number, is_last };
        assert!(cipher.open(&mut chunks[0].clone(), place(3, true)).is_err());
        assert!(
            cipher
                .open(&mut chunks[0].clone(), place(4, false))
                .is_err()
        );
        assert!(
            cipher
                .open(&mut chunks[2].clone(), place(5, false))
                .is_err()
        );
        let mut flipped = chunks[1].clone();
        flipped[0] ^= 1;
        assert!(cipher.open(&mut flipped, place(4, false)).is_err());
        assert_eq!(
            cipher.open(&mut chunks[1], place(4, false)).unwrap(),
            &plain[..CHUNK]
        );
        assert_eq!(
            cipher.open(&mut chunks[2], place(5, true)).unwrap(),
            &plain[..5]
        );
    }

    #[test]
    fn nothing_is_one_empty_chunk() {
        let cipher = Cipher::new(&[7; 32]).unwrap();
        assert_eq!(cipher.seal(&[], 0, true).unwrap().len(), TAG);
        assert_eq!(cipher.seal(&[], 0, false).unwrap().len(), 0);
    }
}
