//! Patterns for names, in psql's language, evaluated without a server.

use regex_lite::Regex;

use crate::error::{Error, Kind, Result};

/// A pattern for the name of a schema, or of a relation with or without its schema.
///
/// As in `psql` and `pg_dump`: `*` stands for any characters and `?` for any one, other
/// characters of regular expressions keep their meaning except `$`, letters are folded to lower
/// case, and all of this stops within double quotes, where `""` is a quote. A dot outside quotes
/// separates schema and name. Without a schema, a relation of any schema matches.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    schema: Option<Regex>,
    name: Regex,
}

impl Pattern {
    /// Reads a pattern for schemas.
    ///
    /// # Errors
    /// [`Kind::Usage`] when it is malformed.
    pub fn schema(text: &str) -> Result<Self> {
        let parts = split(text)?;
        match parts.as_slice() {
            [name] => Self::new(text, None, name),
            _ => Err(malformed(text, "a schema's name has no dot outside quotes")),
        }
    }

    /// Reads a pattern for relations: `name` or `schema.name`.
    ///
    /// # Errors
    /// [`Kind::Usage`] when it is malformed.
    pub fn relation(text: &str) -> Result<Self> {
        let parts = split(text)?;
        match parts.as_slice() {
            [name] => Self::new(text, None, name),
            [schema, name] => Self::new(text, Some(schema), name),
            _ => Err(malformed(text, "too many dots outside quotes")),
        }
    }

    fn new(text: &str, schema: Option<&str>, name: &str) -> Result<Self> {
        let compile = |regex: &str| {
            Regex::new(&format!("^(?s:{regex})$"))
                .map_err(|error| malformed(text, "not a regular expression").with_source(error))
        };
        Ok(Self {
            text: text.to_owned(),
            schema: schema.map(compile).transpose()?,
            name: compile(name)?,
        })
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether an object matches.
    pub fn matches(&self, schema: Option<&str>, name: &str) -> bool {
        let in_schema = match (&self.schema, schema) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(wanted), Some(schema)) => wanted.is_match(schema),
        };
        in_schema && self.name.is_match(name)
    }
}

fn malformed(text: &str, why: &str) -> Error {
    Error::new(
        Kind::Usage,
        format!("malformed pattern \"{}\": {why}", text.escape_debug()),
    )
}

/// The parts between dots, as regular expressions.
fn split(text: &str) -> Result<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let Some(part) = parts.last_mut() else { break };
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                part.push('"');
            }
            '"' => quoted = !quoted,
            _ if quoted => push_literal(part, character),
            '.' => parts.push(String::new()),
            '*' => part.push_str(".*"),
            '?' => part.push('.'),
            '$' => part.push_str("\\$"),
            _ => part.extend(character.to_lowercase()),
        }
    }
    if quoted {
        return Err(malformed(text, "a double quote is not closed"));
    }
    if parts.iter().any(String::is_empty) {
        return Err(malformed(text, "an empty name"));
    }
    // Each part is a group, or an alternation in it would reach the anchors.
    Ok(parts
        .into_iter()
        .map(|part| format!("(?:{part})"))
        .collect())
}

fn push_literal(part: &mut String, character: char) {
    if character.is_ascii_punctuation() {
        part.push('\\');
    }
    part.push(character);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, schema: &str, name: &str) -> bool {
        Pattern::relation(pattern)
            .unwrap()
            .matches(Some(schema), name)
    }

    #[test]
    fn names_fold_unless_quoted() {
        assert!(matches("Orders", "public", "orders"));
        assert!(!matches("Orders", "public", "Orders"));
        assert!(matches("\"Orders\"", "public", "Orders"));
        assert!(matches("\"a\"\"b\"", "public", "a\"b"));
    }

    #[test]
    fn dots_split_only_outside_quotes() {
        assert!(matches("shop.orders", "shop", "orders"));
        assert!(!matches("shop.orders", "public", "orders"));
        assert!(matches("\"a.b\"", "public", "a.b"));
        assert!(matches("sh*.\"a.b\"", "shop", "a.b"));
        assert!(Pattern::relation("a.b.c").is_err());
        assert!(Pattern::schema("a.b").is_err());
        assert!(Pattern::schema("\"a.b\"").is_ok());
    }

    #[test]
    fn wildcards_and_regular_expressions() {
        assert!(matches("o*s", "public", "orders"));
        assert!(!matches("o*s", "public", "orders_1"));
        assert!(matches("orders_?", "public", "orders_1"));
        assert!(matches("orders_[0-9]+", "public", "orders_12"));
        assert!(matches("a|b", "public", "b"));
        assert!(!matches("a|b", "public", "bb"));
        assert!(matches("\"*\"", "public", "*"));
        assert!(!matches("\"*\"", "public", "x"));
        assert!(matches("a$b", "public", "a$b"));
    }

    #[test]
    fn malformed_patterns_are_usage_errors() {
        for text in ["", "\"a", "a.", ".a", "(", "[a"] {
            let error = Pattern::relation(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
        }
    }
}
