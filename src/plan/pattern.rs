//! Patterns for names, in psql's language, evaluated without a server.

use std::borrow::Cow;

use regex_lite::Regex;

use crate::error::{Error, Kind, Result};
use crate::select::{self, NamePattern};
use crate::sql::is_plain;

/// A pattern for the name of a schema, or of a relation with or without its schema, as
/// [`select::Pattern`] reads it. Without a schema, a relation of any schema matches.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    schema: Option<Regex>,
    /// The relation that it is on; only of a trigger.
    relation: Option<Regex>,
    name: Regex,
    /// Argument types; only of a function.
    arguments: Option<Vec<String>>,
}

impl Pattern {
    /// Reads a pattern for schemas.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage) when it is malformed.
    pub fn schema(text: &str) -> Result<Self> {
        let pattern = select::Pattern::parse(text)?;
        match pattern.names() {
            [name] => Self::new(&pattern, None, None, name),
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
            [name] => Self::new(&pattern, None, None, name),
            [schema, name] => Self::new(&pattern, Some(schema), None, name),
            _ => Err(pattern.malformed("too many dots outside quotes")),
        }
    }

    /// Reads a pattern for triggers: `name`, `table.name` or `schema.table.name`.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage) when it is malformed.
    pub fn trigger(text: &str) -> Result<Self> {
        let pattern = select::Pattern::parse(text)?;
        match pattern.names() {
            [name] => Self::new(&pattern, None, None, name),
            [table, name] => Self::new(&pattern, None, Some(table), name),
            [schema, table, name] => Self::new(&pattern, Some(schema), Some(table), name),
            _ => Err(pattern.malformed("too many dots outside quotes")),
        }
    }

    /// Reads a pattern for functions: as for relations, and argument types in parentheses may
    /// follow, literally.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage) when it is malformed.
    pub fn function(text: &str) -> Result<Self> {
        let Some(at) = outside_quotes(text, '(') else {
            return Self::relation(text);
        };
        let (name, arguments) = text.split_at(at);
        let inner = arguments
            .trim_end()
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'))
            .ok_or_else(|| {
                Error::new(
                    Kind::Usage,
                    format!(
                        "malformed pattern \"{}\": the argument types have no closing parenthesis",
                        text.escape_debug()
                    ),
                )
            })?;
        let mut pattern = Self::relation(name.trim_end())?;
        pattern.text = text.to_owned();
        pattern.arguments = Some(list(inner));
        Ok(pattern)
    }

    fn new(
        pattern: &select::Pattern,
        schema: Option<&NamePattern>,
        relation: Option<&NamePattern>,
        name: &NamePattern,
    ) -> Result<Self> {
        let compile = |name: &NamePattern| {
            Regex::new(&format!("^(?s:{})$", one_each(name.regex()))).map_err(|error| {
                let why = "not a regular expression";
                pattern.malformed(why).with_source(error)
            })
        };
        Ok(Self {
            text: pattern.text().to_owned(),
            schema: schema.map(compile).transpose()?,
            relation: relation.map(compile).transpose()?,
            name: compile(name)?,
            arguments: None,
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
            (Some(wanted), Some(schema)) => wanted.is_match(&one_each(schema)),
        };
        in_schema && self.name.is_match(&one_each(name))
    }

    /// Whether a trigger matches.
    pub fn matches_trigger(&self, schema: Option<&str>, table: &str, name: &str) -> bool {
        self.relation
            .as_ref()
            .is_none_or(|wanted| wanted.is_match(&one_each(table)))
            && self.matches(schema, name)
    }

    /// Whether a function matches; `signature` is its name with identity arguments, as entries
    /// have it: `f(integer, b text)`.
    pub fn matches_function(&self, schema: Option<&str>, signature: &str) -> bool {
        let Some(inner) = signature.strip_suffix(')') else {
            return self.arguments.is_none() && self.matches(schema, signature);
        };
        // A name may have parentheses of its own: any of them may be the one.
        inner.match_indices('(').any(|(at, _)| {
            let (name, arguments) = (&inner[..at], &inner[at + 1..]);
            self.matches(schema, name)
                && self.arguments.as_ref().is_none_or(|wanted| {
                    let all = list(arguments);
                    let given: Vec<&String> =
                        all.iter().filter(|one| !one.starts_with("OUT ")).collect();
                    same_types(wanted, &all.iter().collect::<Vec<_>>())
                        || same_types(wanted, &given)
                })
        })
    }
}

/// A text in which each byte of another encoding is one character, as it is for the server: one of those that nobody has
/// given a meaning to.
fn one_each(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut characters = text.chars();
    let mut flat = String::with_capacity(text.len());
    while let Some(character) = characters.next() {
        let marked = match character {
            '\0' => characters.next(),
            _ => None,
        };
        let byte = marked.and_then(|of| char::from_u32(0x10_fe00 + u32::from(of)));
        flat.push(byte.unwrap_or(character));
    }
    Cow::Owned(flat)
}

/// Where a character first stands outside double quotes.
fn outside_quotes(text: &str, wanted: char) -> Option<usize> {
    let mut quoted = false;
    text.char_indices()
        .find(|&(_, character)| {
            quoted ^= character == '"';
            !quoted && character == wanted
        })
        .map(|(at, _)| at)
}

/// A list of arguments, cut at commas outside quotes, white space made one space.
fn list(text: &str) -> Vec<String> {
    let mut rest = text;
    let mut arguments = Vec::new();
    loop {
        let (one, after) = match outside_quotes(rest, ',') {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        arguments.push(one.split_whitespace().collect::<Vec<_>>().join(" "));
        match after {
            Some(after) => rest = after,
            None => break,
        }
    }
    if arguments == [""] {
        arguments.clear();
    }
    arguments
}

/// Whether these are the wanted argument types; an argument may have a mode and a name in front.
fn same_types(wanted: &[String], arguments: &[&String]) -> bool {
    wanted.len() == arguments.len()
        && wanted.iter().zip(arguments).all(|(wanted, argument)| {
            let ends_so = argument
                .strip_suffix(wanted.as_str())
                .is_some_and(|front| front.ends_with(' '));
            *argument == wanted || ends_so && !wanted.is_empty()
        })
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
    fn functions_match_with_or_without_their_arguments() {
        let matches = |pattern: &str, signature: &str| {
            Pattern::function(pattern)
                .unwrap()
                .matches_function(Some("public"), signature)
        };
        for (pattern, signature) in [
            ("f", "f(integer, text)"),
            ("f", "f()"),
            ("f()", "f()"),
            ("F( integer,text )", "f(integer, text)"),
            ("public.f(integer)", "f(a integer)"),
            ("f(integer)", "f(INOUT a integer, OUT b text)"),
            ("f(double precision)", "f(x double precision)"),
            ("\"odd(\"(integer)", "odd((integer)"),
            ("f(\"a,b\")", "f(\"a,b\")"),
        ] {
            assert!(matches(pattern, signature), "{pattern} {signature}");
        }
        for (pattern, signature) in [
            ("f()", "f(integer)"),
            ("f(integer)", "f(integer, text)"),
            ("f(integer)", "f(biginteger)"),
            ("g", "f(integer)"),
            ("s.f(integer)", "f(integer)"),
        ] {
            assert!(!matches(pattern, signature), "{pattern} {signature}");
        }
        assert!(Pattern::function("f(integer").is_err());
    }

    #[test]
    fn triggers_match_with_or_without_their_table() {
        let matches = |pattern: &str| {
            Pattern::trigger(pattern)
                .unwrap()
                .matches_trigger(Some("public"), "orders", "audit")
        };
        assert!(matches("audit") && matches("orders.audit") && matches("public.o*.audit"));
        assert!(!matches("public.audit") && !matches("s.orders.audit"));
        assert!(Pattern::trigger("a.b.c.d").is_err());
    }

    #[test]
    fn malformed_patterns_are_usage_errors() {
        for text in ["", "\"a", "a.", ".a", "(", "[a"] {
            let error = Pattern::relation(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
        }
    }
}
