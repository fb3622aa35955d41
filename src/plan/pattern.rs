//! Patterns for names, in psql's language, evaluated without a server.

use regex_lite::Regex;

use crate::error::Result;
use crate::select::{self, NamePattern};

/// A pattern for the name of a schema, or of a relation with or without its schema, as
/// [`select::Pattern`] reads it. Without a schema, a relation of any schema matches.
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
    /// [`Kind::Usage`](crate::error::Kind::Usage) when it is malformed.
    pub fn schema(text: &str) -> Result<Self> {
        let pattern = select::Pattern::parse(text)?;
        match pattern.names() {
            [name] => Self::new(&pattern, None, name),
            _ => Err(pattern.malformed("a schema's name has no dot outside quotes")),
        }
    }

    /// Reads a pattern for relations: `name` or `schema.name`.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage) when it is malformed.
    pub fn relation(text: &str) -> Result<Self> {
        let pattern = select::Pattern::parse(text)?;
        match pattern.names() {
            [name] => Self::new(&pattern, None, name),
            [schema, name] => Self::new(&pattern, Some(schema), name),
            _ => Err(pattern.malformed("too many dots outside quotes")),
        }
    }

    fn new(
        pattern: &select::Pattern,
        schema: Option<&NamePattern>,
        name: &NamePattern,
    ) -> Result<Self> {
        let compile = |name: &NamePattern| {
            Regex::new(&format!("^(?s:{})$", name.regex())).map_err(|error| {
                let why = "not a regular expression";
                pattern.malformed(why).with_source(error)
            })
        };
        Ok(Self {
            text: pattern.text().to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

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
