//! Names for entries that survive another dump: `TABLE public.orders`, `INDEX
//! public.orders_day ON orders`.
//!
//! Numbers change with every dump, names do not. A key is an entry's kind, its quoted name with the
//! schema, the relation that it hangs on where that is not its own name, and for default privileges
//! the role. Names are quoted as in SQL; one with control characters is written `U&"…"`, so that a
//! key always is one line. Should two entries of an archive still have the same key, the second is
//! told apart by `#2`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use crate::archive::Entry;
use crate::error::{Error, Kind, Result};
use crate::sql::ident;

/// The key of every entry, by position.
pub fn keys(entries: &[Entry]) -> Vec<String> {
    let mut seen: HashMap<String, u32> = HashMap::new();
    entries
        .iter()
        .map(|entry| {
            let key = key(entry);
            let times = seen.entry(key.clone()).or_default();
            *times += 1;
            match *times {
                1 => key,
                times => format!("{key} #{times}"),
            }
        })
        .collect()
}

fn key(entry: &Entry) -> String {
    let mut key = entry.kind.clone();
    key.push(' ');
    if let Some(schema) = &entry.schema {
        key.push_str(&quoted(schema));
        key.push('.');
    }
    key.push_str(&quoted(&entry.name));
    if let Some(relation) = entry.relation.as_ref().filter(|name| **name != entry.name) {
        key.push_str(" ON ");
        key.push_str(&quoted(relation));
    }
    if entry.kind == "DEFAULT ACL"
        && let Some(role) = &entry.owner
    {
        key.push_str(" OF ");
        key.push_str(&quoted(role));
    }
    key
}

/// A name on one line.
fn quoted(name: &str) -> String {
    if !name.chars().any(char::is_control) {
        return ident(name);
    }
    let mut text = String::from("U&\"");
    for character in name.chars() {
        match character {
            '"' => text.push_str("\"\""),
            '\\' => text.push_str("\\\\"),
            // Writing to a String cannot fail.
            c if c.is_control() => {
                let _ = write!(text, "\\{:04X}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

/// A key as a person may have typed it, written as [`keys`] writes it. Ends at a `;`, after which
/// there is a comment; `None` when nothing comes before that.
///
/// # Errors
/// [`Kind::Usage`] for a name whose quotes are not closed, or a malformed escape.
pub(super) fn canonical(line: &str) -> Result<Option<String>> {
    let mut words: Vec<String> = Vec::new();
    let mut characters = line.chars().peekable();
    // A dot binds what is left and right of it into one word.
    let mut joins = false;
    while let Some(&character) = characters.peek() {
        let name = match character {
            ';' => break,
            c if c.is_whitespace() => {
                characters.next();
                continue;
            }
            '.' => {
                characters.next();
                if let Some(last) = words.last_mut() {
                    last.push('.');
                    joins = true;
                }
                continue;
            }
            '"' => {
                characters.next();
                quoted(&in_quotes(&mut characters, Escapes::None)?)
            }
            _ => bare(&mut characters)?,
        };
        match words.last_mut() {
            Some(last) if joins => last.push_str(&name),
            _ => words.push(name),
        }
        joins = false;
    }
    Ok((!words.is_empty()).then(|| words.join(" ")))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    None,
    Unicode,
}

/// The rest of a quoted name.
fn in_quotes(characters: &mut Peekable<Chars<'_>>, escapes: Escapes) -> Result<String> {
    let mut name = String::new();
    while let Some(character) = characters.next() {
        match character {
            '"' if characters.peek() == Some(&'"') => {
                characters.next();
                name.push('"');
            }
            '"' => return Ok(name),
            '\\' if escapes == Escapes::Unicode => name.push(escaped(characters)?),
            c => name.push(c),
        }
    }
    Err(Error::new(Kind::Usage, "a double quote is not closed"))
}

/// What stands after a backslash: another, or four hexadecimal digits.
fn escaped(characters: &mut Peekable<Chars<'_>>) -> Result<char> {
    if characters.peek() == Some(&'\\') {
        characters.next();
        return Ok('\\');
    }
    let digits: String = characters.take(4).collect();
    u32::from_str_radix(&digits, 16)
        .ok()
        .filter(|_| digits.len() == 4)
        .and_then(char::from_u32)
        .ok_or_else(|| Error::new(Kind::Usage, "a backslash in U&\"…\" needs four digits"))
}

/// A word without quotes: of capital letters (a kind, `ON`, `OF`) or with a `#` as it is, else a
/// name.
fn bare(characters: &mut Peekable<Chars<'_>>) -> Result<String> {
    let mut word = String::new();
    while let Some(&character) = characters.peek() {
        if character.is_whitespace() || matches!(character, '.' | ';' | '"') {
            break;
        }
        word.push(character);
        characters.next();
    }
    if word == "U&" && characters.peek() == Some(&'"') {
        characters.next();
        return Ok(quoted(&in_quotes(characters, Escapes::Unicode)?));
    }
    let is_word = |c: char| c.is_ascii_uppercase();
    if word.chars().all(is_word) || word.starts_with('#') {
        return Ok(word);
    }
    Ok(quoted(&word.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::entry;
    use super::*;
    use crate::archive::Section;

    fn keys_of(kind: &str, schema: Option<&str>, name: &str, relation: Option<&str>) -> String {
        let mut entry = entry(1, kind, name, Section::PreData);
        entry.schema = schema.map(str::to_owned);
        entry.relation = relation.map(str::to_owned);
        keys(&[entry]).remove(0)
    }

    #[test]
    fn keys_are_read_by_people() {
        let key = keys_of("TABLE", Some("public"), "orders", None);
        assert_eq!(key, "TABLE public.orders");
        let key = keys_of("INDEX", Some("Sales"), "by day", Some("orders"));
        assert_eq!(key, "INDEX \"Sales\".\"by day\" ON orders");
        let key = keys_of("TABLE DATA", Some("public"), "orders", Some("orders"));
        assert_eq!(key, "TABLE DATA public.orders");
        let key = keys_of("FUNCTION", Some("public"), "f(integer)", None);
        assert_eq!(key, "FUNCTION public.\"f(integer)\"");
        let key = keys_of("SCHEMA", None, "a\n\"b\\", None);
        assert_eq!(key, "SCHEMA U&\"a\\000A\"\"b\\\\\"");
    }

    #[test]
    fn equal_keys_are_numbered_and_roles_tell_default_privileges_apart() {
        let mut one = entry(
            1,
            "DEFAULT ACL",
            "DEFAULT PRIVILEGES FOR TABLES",
            Section::PostData,
        );
        one.owner = Some("app".to_owned());
        let mut two = one.clone();
        two.owner = Some("Web".to_owned());
        let found = keys(&[one.clone(), two, one]);
        let base = "DEFAULT ACL public.\"DEFAULT PRIVILEGES FOR TABLES\"";
        assert_eq!(
            found,
            [
                format!("{base} OF app"),
                format!("{base} OF \"Web\""),
                format!("{base} OF app #2")
            ]
        );
        for key in found {
            assert_eq!(canonical(&key).unwrap(), Some(key));
        }
    }

    #[test]
    fn what_people_type_is_understood() {
        for (typed, key) in [
            (
                "  TABLE   public . \"orders\"  ; comment",
                "TABLE public.orders",
            ),
            ("TABLE DATA Public.Orders", "TABLE DATA public.orders"),
            ("TABLE public.select", "TABLE public.\"select\""),
            ("TABLE \"a;b\".c;d", "TABLE \"a;b\".c"),
            ("TABLE U&\"\\0061\".b", "TABLE a.b"),
        ] {
            assert_eq!(canonical(typed).unwrap().as_deref(), Some(key), "{typed}");
        }
        for empty in ["", "   ", "; TABLE a", "  ;"] {
            assert_eq!(canonical(empty).unwrap(), None);
        }
        for bad in ["TABLE \"a", "TABLE U&\"\\12\"", "TABLE U&\"\\zzzz\""] {
            assert_eq!(canonical(bad).unwrap_err().kind(), Kind::Usage, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn keys_survive_reading(
            schema in proptest::option::of(".{1,20}"),
            name in "(.|\n|\\\\|\"){1,20}",
            relation in proptest::option::of(".{1,20}"),
        ) {
            let key = keys_of("FK CONSTRAINT", schema.as_deref(), &name, relation.as_deref());
            prop_assert!(!key.contains(['\n', '\r']));
            let read = canonical(&format!("{key} ; {name}")).unwrap();
            prop_assert_eq!(read, Some(key));
        }
    }
}
