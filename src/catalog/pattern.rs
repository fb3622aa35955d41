//! Patterns as regular expressions for the server, which does the matching, so that its rules for
//! letters count.

use crate::error::{Error, Kind, Result};
use crate::select::{self, NamePattern};

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
    /// `name`
    Extension,
    /// `name`
    ForeignServer,
    /// `name`, or `database.name` with the current database.
    Schema,
    /// `name`, `schema.name`, or `database.schema.name` with the current database.
    Relation,
}

impl Pattern {
    /// Translates a pattern for objects in the database `database`.
    ///
    /// # Errors
    /// A malformed pattern, too many names, or a database that is not `database`.
    pub fn parse(text: &str, subject: Subject, database: &str) -> Result<Self> {
        let pattern = select::Pattern::parse(text)?;
        let mut names = pattern.names();
        let allowed = match subject {
            Subject::Extension | Subject::ForeignServer => 1,
            Subject::Schema => 2,
            Subject::Relation => 3,
        };
        if names.len() > allowed {
            return Err(pattern
                .malformed("too many names")
                .with_hint("put a name that has a dot in it between double quotes"));
        }
        if let [first, rest @ ..] = names
            && names.len() == allowed
            && !rest.is_empty()
        {
            if first.literal() != database {
                return Err(Error::new(
                    Kind::Usage,
                    format!("pattern {text} names another database than {database}"),
                ));
            }
            names = rest;
        }
        let mut regexes = names.iter().rev().map(anchored);
        Ok(Self {
            name: regexes.next().unwrap_or_default(),
            schema: regexes.next(),
        })
    }
}

fn anchored(name: &NamePattern) -> String {
    format!("^({})$", name.regex())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(text: &str) -> (Option<String>, String) {
        let pattern = Pattern::parse(text, Subject::Relation, "Shop").unwrap();
        (pattern.schema, pattern.name)
    }

    #[test]
    fn names_are_anchored_as_a_whole() {
        assert_eq!(relation("Orders"), (None, "^(orders)$".into()));
        assert_eq!(relation("s*.t?"), (Some("^(s.*)$".into()), "^(t.)$".into()));
        assert_eq!(relation("a|b"), (None, "^(a|b)$".into()));
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
