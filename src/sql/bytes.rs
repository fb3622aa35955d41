//! Bytes of a server as text, and back.
//!
//! A database in SQL_ASCII takes any bytes for text, and names that belong to the whole server have whatever
//! encoding the database had in which they were given. Everything above the wire is UTF-8. So a byte that is part of no UTF-8
//! character becomes two characters: U+0000, and the one with the byte's number, U+0080 to U+00FF. No
//! text of PostgreSQL has a zero byte, so that what holds none is its own bytes, and nothing else needs an escape.

use std::borrow::Cow;

/// What stands before the character that has a byte's number.
const MARK: char = '\0';

/// Bytes as text, whatever they are; [`bytes_of`] gives them back.
pub fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if is_plain(text) => Cow::Borrowed(text),
        _ => Cow::Owned(escaped(bytes)),
    }
}

/// As [`text_of`], of bytes that are of no further use.
pub fn into_text(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) if is_plain(&text) => text,
        Ok(text) => escaped(text.as_bytes()),
        Err(error) => escaped(error.as_bytes()),
    }
}

/// Whether the text is its own bytes.
pub fn is_plain(text: &str) -> bool {
    memchr::memchr(0, text.as_bytes()).is_none()
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == MARK {
                text.push(MARK);
            }
            text.push(character);
        }
        for &byte in chunk.invalid() {
            text.push(MARK);
            text.push(char::from(byte));
        }
    }
    text
}

/// The bytes that a text stands for. A mark that is none, which [`text_of`] never makes, is a zero byte.
pub fn bytes_of(text: &str) -> Cow<'_, [u8]> {
    if is_plain(text) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(MARK) {
        bytes.extend_from_slice(before.as_bytes());
        let mut characters = after.chars();
        rest = match characters.next().map(|c| u8::try_from(u32::from(c))) {
            // What is UTF-8 by itself has no mark, so that none can hide a quote.
            Some(Ok(byte)) if byte == 0 || byte >= 0x80 => {
                bytes.push(byte);
                characters.as_str()
            }
            _ => {
                bytes.push(0);
                after
            }
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    Cow::Owned(bytes)
}

/// As [`bytes_of`], of a text that is of no further use.
pub fn into_bytes(text: String) -> Vec<u8> {
    match bytes_of(&text) {
        Cow::Owned(bytes) => bytes,
        Cow::Borrowed(_) => text.into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ident, literal, unquote};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_utf8_stays_as_it_is() {
        for text in ["", "orders", "größe €", "\u{e000}\u{10ffff}\u{80}"] {
            assert!(matches!(text_of(text.as_bytes()), Cow::Borrowed(same) if same == text));
            assert!(matches!(bytes_of(text), Cow::Borrowed(same) if same == text.as_bytes()));
        }
    }

    #[test]
    fn each_other_byte_is_marked() {
        assert_eq!(text_of(b"gr\xf6\xdfe"), "gr\0ö\0ße");
        // A character that ends early, and one that does not.
        assert_eq!(text_of(b"\xe2\x82\xc3\xb6"), "\0â\0\u{82}ö");
        assert_eq!(bytes_of("gr\0ö\0ße").as_ref(), b"gr\xf6\xdfe");
    }

    #[test]
    fn what_nobody_makes_is_a_zero_byte() {
        assert_eq!(bytes_of("a\0").as_ref(), b"a\0");
        assert_eq!(bytes_of("\0€").as_ref(), "\0€".as_bytes());
        assert_eq!(bytes_of("\0'").as_ref(), b"\0'");
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>) {
            let text = text_of(&bytes).into_owned();
            prop_assert_eq!(bytes_of(&text).into_owned(), bytes.clone());
            prop_assert_eq!(into_text(bytes.clone()), text.clone());
            prop_assert_eq!(into_bytes(text), bytes);
        }

        #[test]
        fn different_bytes_are_different_texts(one: Vec<u8>, other: Vec<u8>) {
            prop_assert_eq!(text_of(&one) == text_of(&other), one == other);
        }

        /// Put together, texts are what their bytes are.
        #[test]
        fn texts_are_joined_as_bytes(one: Vec<u8>, other: Vec<u8>) {
            let joined = format!("{}{}", text_of(&one), text_of(&other));
            prop_assert_eq!(bytes_of(&joined).into_owned(), [one, other].concat());
        }

        #[test]
        fn they_are_quoted_byte_by_byte(bytes in prop::collection::vec(1_u8.., 1..20)) {
            let quoted = ident(&text_of(&bytes));
            let (name, rest) = match quoted.strip_prefix('"') {
                Some(inner) => unquote(inner).unwrap(),
                None => (quoted, ""),
            };
            prop_assert_eq!((bytes_of(&name).into_owned(), rest), (bytes.clone(), ""));
            let written = literal(&text_of(&bytes));
            let doubled = |byte: &u8| byte == &b'\'' || byte == &b'\\';
            let extra = bytes.iter().filter(|byte| doubled(byte)).count();
            let escape = usize::from(bytes.contains(&b'\\'));
            prop_assert_eq!(bytes_of(&written).len(), bytes.len() + extra + 2 + escape);
        }
    }
}
