//! Connection strings: the `key=value` form and the way to tell a string from a plain name.

use crate::connect::keyword;
use crate::connect::uri;
use crate::error::{Error, Kind, Result};

/// Parameters in the order they were written; a later one wins.
pub(super) type Parameters = Vec<(&'static str, String)>;

/// Whether a database argument is a connection string rather than a name, by libpq's rule.
pub(super) fn is_conninfo(text: &str) -> bool {
    uri::is_uri(text) || text.contains('=')
}

/// Parses either form of connection string.
pub(super) fn parse(text: &str) -> Result<Parameters> {
    if uri::is_uri(text) {
        uri::parse(text)
    } else {
        parse_pairs(text)
    }
}

/// Whether a connection, as it is written, has a password in it, as far as that can be known: one that is malformed may.
pub(crate) fn bears_password(text: &str) -> bool {
    if uri::refuse_foreign(text).is_err() {
        return true;
    }
    let secret = |(name, _): &(&'static str, String)| matches!(*name, "password" | "sslpassword");
    is_conninfo(text) && parse(text).map_or(true, |it| it.iter().any(secret))
}

/// Parses `key = value` pairs: values are bare (backslash escapes the next character) or in
/// single quotes (backslash escapes a quote or backslash).
fn parse_pairs(text: &str) -> Result<Parameters> {
    let usage = |message: String| Error::new(Kind::Usage, message);
    let mut parameters = Parameters::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| c == '=' || c.is_ascii_whitespace())
            .unwrap_or(rest.len());
        let (name, tail) = rest.split_at(end);
        // A string without `=` may hold a password in the wrong place: only the first name is shown,
        // and only when something known precedes it.
        let Some(tail) = tail.trim_start().strip_prefix('=') else {
            return Err(usage(match parameters.last() {
                Some((previous, _)) => {
                    format!("missing \"=\" in connection string, after parameter \"{previous}\"")
                }
                None => format!("missing \"=\" after \"{name}\" in connection string"),
            }));
        };
        let keyword = keyword::find(name)?;
        let (value, tail) = take_value(tail.trim_start())
            .ok_or_else(|| usage(format!("unterminated quoted value of \"{name}\"")))?;
        keyword.check(&value)?;
        parameters.push((keyword.name, value));
        rest = tail.trim_start();
    }
    Ok(parameters)
}

/// One value and what follows it; `None` when a quote is not closed.
fn take_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let quoted = text.strip_prefix('\'');
    let body = quoted.unwrap_or(text);
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                if let Some((_, escaped)) = chars.next() {
                    value.push(escaped);
                }
            }
            '\'' if quoted.is_some() => return Some((value, &body[at + 1..])),
            c if quoted.is_none() && c.is_ascii_whitespace() => return Some((value, &body[at..])),
            c => value.push(c),
        }
    }
    quoted.is_none().then_some((value, ""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Vec<(&'static str, String)> {
        parse(text).unwrap()
    }

    #[test]
    fn pairs_with_quotes_and_escapes() {
        for (text, expected) in [
            ("", vec![]),
            ("  ", vec![]),
            ("host=a port=1", vec![("host", "a"), ("port", "1")]),
            ("host = a\n port= 1 ", vec![("host", "a"), ("port", "1")]),
            (
                "password='it''s' ",
                // A quote ends the value; the next begins where a keyword is expected.
                vec![],
            ),
            (r"password='it\'s \\ x'", vec![("password", r"it's \ x")]),
            (
                r"password=a\ b\\c user=u",
                vec![("password", r"a b\c"), ("user", "u")],
            ),
            ("host='' user=x", vec![("host", ""), ("user", "x")]),
            ("host= user", vec![("host", "user")]),
            ("dbname=a=b", vec![("dbname", "a=b")]),
            (
                "options='-c a=b -c c=d'",
                vec![("options", "-c a=b -c c=d")],
            ),
        ] {
            match parse(text) {
                Ok(parsed) => {
                    let parsed: Vec<_> = parsed.iter().map(|(k, v)| (*k, v.as_str())).collect();
                    assert_eq!(parsed, expected, "{text}");
                }
                Err(error) => {
                    assert!(expected.is_empty(), "{text}: {error}");
                    assert_eq!(error.kind(), Kind::Usage);
                }
            }
        }
    }

    #[test]
    fn broken_strings_are_refused_without_showing_values() {
        for text in [
            "password='secret",
            "password=x secret",
            "host=a secret",
            "nosuch=secret",
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
            assert!(!error.message().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_password_is_found_in_any_form() {
        for (text, expected) in [
            ("shop", false),
            ("postgres://app@h/shop", false),
            ("host=h dbname=shop", false),
            ("postgres://app:x@h/shop", true),
            ("postgres://app@h/shop?password=x", true),
            ("host=h password=x", true),
            ("postgis://app:x@h/shop", true),
            ("host='h", true),
        ] {
            assert_eq!(bears_password(text), expected, "{text}");
        }
    }

    #[test]
    fn a_name_is_told_from_a_string() {
        for (text, expected) in [
            ("shop", false),
            ("my db", false),
            ("dbname=shop", true),
            ("postgres://h/d", true),
            ("postgresql:///d", true),
            ("postgresq://h", false),
        ] {
            assert_eq!(is_conninfo(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn quoted_values_come_back(value in "\\PC*") {
            let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
            prop_assert_eq!(
                pairs(&format!("password='{quoted}' host=h")),
                vec![("password", value), ("host", "h".to_owned())]
            );
        }

        #[test]
        fn no_input_panics(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
