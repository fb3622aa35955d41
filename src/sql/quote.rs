//! Quoting of identifiers and literals.

use std::cell::Cell;

use super::keywords::is_keyword;

/// When identifiers are put in double quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quoting {
    /// Where that is needed on any server that is known.
    #[default]
    WhereNeeded,
    /// Always: whatever word becomes a keyword later.
    Always,
}

thread_local! {
    static QUOTING: Cell<Quoting> = const { Cell::new(Quoting::WhereNeeded) };
}

impl Quoting {
    /// Runs `work`, in which every identifier is written in this way.
    ///
    /// The way is the thread's as long as `work` runs, so that what writes SQL need not hand it
    /// down; `work` is no future, and nothing of it is left when it returns or unwinds.
    pub fn scope<T>(self, work: impl FnOnce() -> T) -> T {
        struct Before(Quoting);
        impl Drop for Before {
            fn drop(&mut self) {
                QUOTING.set(self.0);
            }
        }
        let _before = Before(QUOTING.replace(self));
        work()
    }
}

/// An identifier as SQL text: bare when that is safe on every server, else in double quotes.
/// Within [`Quoting::scope`] as that says.
pub fn ident(name: &str) -> String {
    if QUOTING.get() == Quoting::WhereNeeded && is_bare(name) {
        return name.to_owned();
    }
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push('"');
    for character in name.chars() {
        if character == '"' {
            quoted.push('"');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

/// Whether every server takes the name for what it is without quotes.
fn is_bare(name: &str) -> bool {
    let letters = name
        .bytes()
        .enumerate()
        .all(|(at, byte)| matches!(byte, b'a'..=b'z' | b'_') || at > 0 && byte.is_ascii_digit());
    letters && !name.is_empty() && !is_keyword(name)
}

/// `schema.name`, each part quoted where needed.
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}

/// The text of a quoted identifier, whose opening double quote is gone, and what comes after its closing one.
pub fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let (before, after) = rest.split_once('"')?;
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

/// The parts of the name that SQL text begins with, without quotes, and the text behind it. Words without
/// quotes are taken as they are written.
pub fn name_parts(sql: &str) -> Option<(Vec<String>, &str)> {
    let mut parts = Vec::new();
    let mut rest = sql;
    loop {
        let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
            unquote(quoted)?
        } else {
            let is_bare = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
            let end = rest.find(|c| !is_bare(c)).unwrap_or(rest.len());
            let (part, after) = rest.split_at(end);
            if part.is_empty() {
                return None;
            }
            (part.to_owned(), after)
        };
        parts.push(part);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None => return Some((parts, after)),
        }
    }
}

/// The rest of a statement after `COPY` and the name of a table, if it is this table's, however the
/// statement quotes it.
pub fn after_copy_of<'a>(statement: &'a str, schema: Option<&str>, name: &str) -> Option<&'a str> {
    let rest = statement.strip_prefix("COPY ")?;
    let after = |quoting: Quoting| {
        let table = quoting.scope(|| match schema {
            Some(schema) => qualified(schema, name),
            None => ident(name),
        });
        rest.strip_prefix(&table)?.strip_prefix(' ')
    };
    after(Quoting::WhereNeeded).or_else(|| after(Quoting::Always))
}

/// A string literal that reads the same whatever `standard_conforming_strings` says: with a
/// backslash in it, it is written as `E'…'`.
pub fn literal(value: &str) -> String {
    let escape = value.contains('\\');
    let mut quoted = String::with_capacity(value.len() + 3);
    if escape {
        quoted.push('E');
    }
    quoted.push('\'');
    for character in value.chars() {
        if character == '\'' || character == '\\' {
            quoted.push(character);
        }
        quoted.push(character);
    }
    quoted.push('\'');
    quoted
}

/// A dollar-quoted string, for function bodies that people read: the tag does not occur in
/// `body`, not even together with a `$` at its end.
pub fn dollar_quoted(body: &str) -> String {
    let mut tag = String::from("$");
    let mut letters = ('a'..='z').cycle();
    // The closing tag must not be found early: neither in the body, nor made of the body's last
    // bytes and the tag's first ones.
    while body.contains(&format!("{tag}$"))
        || body.ends_with('$') && tag.len() == 1
        || body.ends_with(tag.as_str())
    {
        if tag.len() == 1 {
            tag.push('_');
        } else {
            tag.extend(letters.next());
        }
    }
    tag.push('$');
    format!("{tag}{body}{tag}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_are_quoted_within_the_scope_alone() {
        let inside = Quoting::Always.scope(|| {
            let nested = Quoting::WhereNeeded.scope(|| ident("a"));
            (nested, qualified("s", "t\"x"))
        });
        assert_eq!(inside, ("a".to_owned(), "\"s\".\"t\"\"x\"".to_owned()));
        assert_eq!(ident("a"), "a");
        let unwound = std::panic::catch_unwind(|| Quoting::Always.scope(|| panic!("meant")));
        assert!(unwound.is_err());
        assert_eq!(ident("a"), "a");
    }

    #[test]
    fn a_copy_is_known_by_its_table() {
        let after = |statement| after_copy_of(statement, Some("s"), "t");
        assert_eq!(after("COPY s.t (a) FROM STDIN"), Some("(a) FROM STDIN"));
        assert_eq!(after("COPY \"s\".\"t\" FROM STDIN"), Some("FROM STDIN"));
        assert_eq!(after("COPY s.tt FROM STDIN"), None);
        assert_eq!(after("COPY \"s\".\"root\" FROM STDIN"), None);
        assert_eq!(after_copy_of("COPY t x", None, "t"), Some("x"));
    }

    #[test]
    fn names_are_taken_apart() {
        let parts = |sql| name_parts(sql);
        let named = |parts: &[&str]| parts.iter().map(|&part| part.to_owned()).collect();
        let schema_and_name = named(&["My s.", "a(\"b\")"]);
        let sql = r#""My s."."a(""b"")" (x) FROM STDIN"#;
        assert_eq!(parts(sql), Some((schema_and_name, " (x) FROM STDIN")));
        assert_eq!(parts("a.b[]"), Some((named(&["a", "b"]), "[]")));
        assert_eq!(parts("\"text\""), Some((named(&["text"]), "")));
        for bad in ["", "\"a", "a.", "(a)"] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }

    fn parse_ident(text: &str) -> String {
        match text.strip_prefix('"') {
            None => text.to_owned(),
            Some(rest) => rest.strip_suffix('"').unwrap().replace("\"\"", "\""),
        }
    }

    fn parse_literal(text: &str) -> String {
        let (escapes, rest) = match text.strip_prefix('E') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let inner = rest.strip_prefix('\'').unwrap().strip_suffix('\'').unwrap();
        let inner = inner.replace("''", "'");
        if escapes {
            inner.replace("\\\\", "\\")
        } else {
            inner
        }
    }

    proptest! {
        #[test]
        fn identifiers_survive(name in "\\PC{1,63}") {
            prop_assert_eq!(parse_ident(&ident(&name)), name);
        }

        #[test]
        fn literals_survive(value in "(\\PC|['\\\\$\n]){0,80}") {
            prop_assert_eq!(parse_literal(&literal(&value)), value);
        }

        #[test]
        fn dollar_quotes_end_where_they_should(body in "[a_$ ']{0,20}") {
            let quoted = dollar_quoted(&body);
            let tag_end = quoted[1..].find('$').unwrap() + 2;
            let tag = &quoted[..tag_end];
            let rest = &quoted[tag_end..];
            // The server takes the first place where the tag occurs as the end.
            prop_assert_eq!(rest.find(tag).unwrap(), body.len());
        }
    }

    #[test]
    fn quotes_only_what_needs_it() {
        assert_eq!(ident("orders"), "orders");
        assert_eq!(ident("Orders"), "\"Orders\"");
        assert_eq!(ident("select"), "\"select\"");
        assert_eq!(ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(ident(""), "\"\"");
        assert_eq!(ident("1a"), "\"1a\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\b"), "E'a\\\\b'");
    }
}
