//! The patterns of `-n`, `-t` and their like, in psql's language.
//!
//! Only the translation is here; the server does the matching, so that its rules for letters count.

use crate::error::{Error, Kind, Result};

/// A pattern as regular expressions for the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// For the schema's name. None: not given.
    pub schema: Option<String>,
    /// For the object's own name.
    pub name: String,
}

/// What a pattern is for: how many names it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// `name`, or `database.name` with the current database.
    Schema,
    /// `name`, `schema.name`, or `database.schema.name` with the current database.
    Relation,
}

impl Pattern {
    /// Translates a pattern. Outside double quotes letters fold to lower case, `*` is any string,
    /// `?` any character, `.` separates, `$` stands for itself and other characters mean what they
    /// mean in regular expressions; inside double quotes everything stands for itself.
    ///
    /// # Errors
    /// Too many names, or a database that is not `database`.
    pub fn parse(text: &str, subject: Subject, database: &str) -> Result<Self> {
        let mut parts = split(text);
        let allowed = match subject {
            Subject::Schema => 2,
            Subject::Relation => 3,
        };
        if parts.len() > allowed {
            return Err(
                Error::new(Kind::Usage, format!("pattern {text} has too many names"))
                    .with_hint("put a name that has a dot in it between double quotes"),
            );
        }
        if parts.len() == allowed {
            let first = parts.remove(0);
            if first.literal != database {
                return Err(Error::new(
                    Kind::Usage,
                    format!("pattern {text} names another database than {database}"),
                ));
            }
        }
        let name = parts.pop().map(|part| anchored(&part.regex));
        let schema = parts.pop().map(|part| anchored(&part.regex));
        Ok(Self {
            schema,
            name: name.unwrap_or_else(|| anchored("")),
        })
    }
}

fn anchored(regex: &str) -> String {
    format!("^({regex})$")
}

/// One name of a pattern.
#[derive(Default)]
struct Part {
    regex: String,
    literal: String,
}

fn split(text: &str) -> Vec<Part> {
    let mut parts = vec![];
    let mut part = Part::default();
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(character) = chars.next() {
        match character {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => {
                part.regex.push('"');
                part.literal.push('"');
                continue;
            }
            '"' => {
                quoted = !quoted;
                continue;
            }
            '.' if !quoted => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            '*' if !quoted => part.regex.push_str(".*"),
            '?' if !quoted => part.regex.push('.'),
            '$' => part.regex.push_str("\\$"),
            // `[]` is more likely an array type's name than an empty bracket expression.
            '[' if !quoted && chars.peek() == Some(&']') => part.regex.push_str("\\["),
            _ if quoted && "|*+?()[]{}.^\\".contains(character) => {
                part.regex.push('\\');
                part.regex.push(character);
            }
            _ if quoted => part.regex.push(character),
            _ => part.regex.push(character.to_ascii_lowercase()),
        }
        part.literal.push(if quoted {
            character
        } else {
            character.to_ascii_lowercase()
        });
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(text: &str) -> (Option<String>, String) {
        let pattern = Pattern::parse(text, Subject::Relation, "Shop").unwrap();
        (pattern.schema, pattern.name)
    }

    #[test]
    fn translates_as_psql_does() {
        assert_eq!(relation("Orders"), (None, "^(orders)$".into()));
        assert_eq!(relation("\"Orders\""), (None, "^(Orders)$".into()));
        assert_eq!(relation("s*.t?"), (Some("^(s.*)$".into()), "^(t.)$".into()));
        assert_eq!(relation("a|b"), (None, "^(a|b)$".into()));
        assert_eq!(relation("\"a|b.c\""), (None, "^(a\\|b\\.c)$".into()));
        assert_eq!(relation("a$b"), (None, "^(a\\$b)$".into()));
        assert_eq!(relation("\"a$b\""), (None, "^(a\\$b)$".into()));
        assert_eq!(relation("\"a\"\"b\""), (None, "^(a\"b)$".into()));
        assert_eq!(relation("x[]"), (None, "^(x\\[])$".into()));
        assert_eq!(relation("pre\"Mid\"POST"), (None, "^(preMidpost)$".into()));
        assert_eq!(
            relation("\"Shop\".s.t"),
            (Some("^(s)$".into()), "^(t)$".into())
        );
    }

    #[test]
    fn other_databases_and_too_many_names_are_refused() {
        for text in ["other.s.t", "Shop.s.t", "a.b.c.d"] {
            let error = Pattern::parse(text, Subject::Relation, "Shop").unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
        }
        let schema = |text| Pattern::parse(text, Subject::Schema, "Shop");
        assert_eq!(schema("\"Shop\".s*").unwrap().name, "^(s.*)$");
        assert!(schema("a.b").is_err());
        assert!(schema("a.b.c").is_err());
    }
}
