//! The patterns of `-n`, `-t` and their like, in psql's language.
//!
//! Only the reading is here: a dump hands the regular expressions to the server, a restore
//! matches them against the names in an archive.

use crate::error::{Error, Kind, Result};

/// A pattern: names between dots.
///
/// Outside double quotes letters fold to lower case (those of ASCII, as in the server), `*` is any
/// string, `?` any character, `.` separates, `$` stands for itself and other characters mean what
/// they mean in regular expressions. Inside double quotes everything stands for itself, and `""`
/// for a quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    names: Vec<NamePattern>,
}

/// One name of a pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamePattern {
    regex: String,
    literal: String,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`Kind::Usage`]: a double quote that is not closed, an empty name.
    pub fn parse(text: &str) -> Result<Self> {
        let mut names = vec![];
        let mut name = NamePattern::default();
        let mut quoted = false;
        let mut was_quoted = false;
        let malformed = |why| Err(malformed(text, why));
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '"' if quoted && characters.next_if_eq(&'"').is_some() => name.push('"', "\""),
                '"' => {
                    quoted = !quoted;
                    was_quoted = true;
                }
                '.' if !quoted => {
                    if name.is_empty() && !was_quoted {
                        return malformed(EMPTY);
                    }
                    names.push(std::mem::take(&mut name));
                    was_quoted = false;
                }
                '*' if !quoted => name.push('*', ".*"),
                '?' if !quoted => name.push('?', "."),
                '$' => name.push('$', "\\$"),
                // `[]` is more likely an array type's name than an empty bracket expression.
                '[' if !quoted && characters.peek() == Some(&']') => name.push('[', "\\["),
                _ if quoted && SPECIAL.contains(character) => {
                    name.push(character, &format!("\\{character}"));
                }
                _ => {
                    let character = if quoted {
                        character
                    } else {
                        character.to_ascii_lowercase()
                    };
                    name.push(character, character.encode_utf8(&mut [0; 4]));
                }
            }
        }
        if quoted {
            return malformed("a double quote is not closed");
        }
        if name.is_empty() && !was_quoted {
            return malformed(EMPTY);
        }
        names.push(name);
        Ok(Self {
            text: text.to_owned(),
            names,
        })
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names between dots, at least one.
    pub fn names(&self) -> &[NamePattern] {
        &self.names
    }

    /// The error that this pattern cannot be used, and why.
    pub fn malformed(&self, why: &str) -> Error {
        malformed(&self.text, why)
    }
}

impl NamePattern {
    /// As a regular expression for the whole of a name, without anchors. It must be put in a group,
    /// or an alternation in it would reach the anchors.
    pub fn regex(&self) -> &str {
        &self.regex
    }

    /// As a name, were nothing in it special.
    pub fn literal(&self) -> &str {
        &self.literal
    }

    fn push(&mut self, literal: char, regex: &str) {
        self.literal.push(literal);
        self.regex.push_str(regex);
    }

    fn is_empty(&self) -> bool {
        self.literal.is_empty()
    }
}

/// What stands for something else in regular expressions, the server's and those of this program.
const SPECIAL: &str = "|*+?()[]{}.^\\";

const EMPTY: &str = "an empty name";

fn malformed(text: &str, why: &str) -> Error {
    Error::new(
        Kind::Usage,
        format!("malformed pattern \"{}\": {why}", text.escape_debug()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regexes(text: &str) -> Vec<String> {
        let pattern = Pattern::parse(text).unwrap();
        pattern.names().iter().map(|n| n.regex.clone()).collect()
    }

    #[test]
    fn translates_as_psql_does() {
        for (text, expected) in [
            ("Orders", &["orders"][..]),
            ("\"Orders\"", &["Orders"]),
            ("s*.t?", &["s.*", "t."]),
            ("a|b", &["a|b"]),
            ("\"a|b.c\"", &["a\\|b\\.c"]),
            ("a$b", &["a\\$b"]),
            ("\"a$b\"", &["a\\$b"]),
            ("\"a\"\"b\"", &["a\"b"]),
            ("x[]", &["x\\[]"]),
            ("x[0-9]", &["x[0-9]"]),
            ("pre\"Mid\"POST", &["preMidpost"]),
            ("Ärger", &["Ärger"]),
            ("d.\"S.t\".r", &["d", "S\\.t", "r"]),
            ("\"\"", &[""]),
            ("\"two\nlines\"", &["two\nlines"]),
        ] {
            assert_eq!(regexes(text), expected, "{text}");
        }
        let pattern = Pattern::parse("\"My*Db\".s.T").unwrap();
        assert_eq!(pattern.names()[0].literal(), "My*Db");
        assert_eq!(pattern.names()[2].literal(), "t");
    }

    #[test]
    fn malformed_patterns_are_usage_errors() {
        for text in ["", "\"a", "a.", ".a", "a..b", "a.\"b\"\""] {
            let error = Pattern::parse(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
        }
    }
}
