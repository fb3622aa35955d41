//! Cutting what makes a key or a foreign key into pieces, so that the long one takes a weak lock.
//!
//! `ADD CONSTRAINT … PRIMARY KEY` keeps everybody else from the table while its index is built; the
//! index by itself is built beside others, and a constraint on an index that is there is made in no
//! time. `ADD CONSTRAINT … FOREIGN KEY` keeps index builds and other foreign keys from both tables
//! while it looks at their rows; `VALIDATE CONSTRAINT` keeps them from the referencing table alone.

use super::column::alter_only;
use super::rendered::{Locked, Piece};
use super::table;
use super::words::has_words;
use crate::model::{
    ForeignKey, Index, IndexConstraint, IndexConstraintKind, Relation, RelationKind,
};
use crate::sql::{LockMode, ident};

/// What is made of a table with fewer bytes is made so fast that cutting it buys nothing.
const WORTH_BYTES: u64 = 1 << 20;

/// The index, then the constraint on it and what `after` it; none where a server would not make the
/// same of it, or where it does not pay.
pub(super) fn key(
    index: &Index,
    constraint: &IndexConstraint,
    table: &Relation,
    after: &[String],
) -> Vec<Piece> {
    // No constraint is made on an index of a partitioned table, nor on another's name.
    let fits = table.kind == RelationKind::Table
        && !index.partitioned
        && table.bytes >= WORTH_BYTES
        && constraint.name == index.header.name;
    let parts = KeyParts::of(constraint).filter(|_| fits);
    let Some(parts) = parts else {
        return Vec::new();
    };
    let name = ident(&constraint.name);
    let build = format!(
        "CREATE UNIQUE INDEX {name} ON {} USING btree {}",
        table.header.sql_name(),
        parts.index
    );
    let attach = format!(
        "{} ADD CONSTRAINT {name} {} USING INDEX {name}",
        alter_only(table),
        parts.word
    );
    let mut last = vec![attach];
    last.extend_from_slice(after);
    vec![
        Piece {
            create: vec![build],
            locks: vec![Locked {
                relation: index.table,
                mode: LockMode::Share,
            }],
        },
        Piece {
            create: last,
            locks: vec![Locked {
                relation: index.table,
                mode: LockMode::AccessExclusive,
            }],
        },
    ]
}

/// The key without a look at the rows, then the look; none where servers do not know the first for
/// such tables, or where there is nothing to look at.
pub(super) fn foreign_key(key: &ForeignKey, table: &Relation, referenced: &Relation) -> Vec<Piece> {
    let plain = |relation: &Relation| relation.kind == RelationKind::Table;
    let fits = plain(table)
        && plain(referenced)
        && table.bytes.max(referenced.bytes) >= WORTH_BYTES
        && key.validated
        && key.enforced
        && !has_words(&key.definition, ", PERIOD ");
    if !fits {
        return Vec::new();
    }
    let name = ident(&key.header.name);
    let add = format!(
        "{} ADD CONSTRAINT {name} {} NOT VALID",
        alter_only(table),
        key.definition
    );
    let validate = table::validate(table, &key.header.name);
    let locks = |own: LockMode, other: LockMode| {
        let mut locks = vec![Locked {
            relation: key.table,
            mode: own,
        }];
        if key.referenced != key.table {
            locks.push(Locked {
                relation: key.referenced,
                mode: other,
            });
        }
        locks
    };
    vec![
        Piece {
            create: vec![add],
            locks: locks(LockMode::ShareRowExclusive, LockMode::ShareRowExclusive),
        },
        Piece {
            create: vec![validate],
            locks: locks(LockMode::ShareUpdateExclusive, LockMode::RowShare),
        },
    ]
}

/// What a constraint's definition says, as an index and as a constraint on it.
#[derive(Debug, PartialEq, Eq)]
struct KeyParts {
    /// `PRIMARY KEY` or `UNIQUE`.
    word: &'static str,
    /// What stands behind the access method.
    index: String,
}

impl KeyParts {
    /// None if the definition has anything that is not known here.
    fn of(constraint: &IndexConstraint) -> Option<Self> {
        let definition = constraint.definition.as_str();
        let (word, distinct, rest) = match constraint.kind {
            IndexConstraintKind::PrimaryKey => {
                ("PRIMARY KEY", "", definition.strip_prefix("PRIMARY KEY ")?)
            }
            IndexConstraintKind::Unique => {
                let rest = definition.strip_prefix("UNIQUE ")?;
                match rest.strip_prefix("NULLS NOT DISTINCT ") {
                    Some(rest) => ("UNIQUE", " NULLS NOT DISTINCT", rest),
                    None => ("UNIQUE", "", rest),
                }
            }
            IndexConstraintKind::Exclusion => return None,
        };
        if has_words(rest, " WITHOUT OVERLAPS") {
            return None;
        }
        let (columns, rest) = list(rest)?;
        let (include, rest) = worded_list(rest, " INCLUDE ")?;
        let (parameters, rest) = worded_list(rest, " WITH ")?;
        // The index of a deferrable key would be like any other before the constraint is on it: a
        // foreign key to the same columns could take it, which must not stand on such a key.
        if !rest.is_empty() {
            return None;
        }
        Some(Self {
            word,
            index: format!("{columns}{include}{distinct}{parameters}"),
        })
    }
}

/// A list in parentheses at the beginning of the text, and what follows.
fn list(text: &str) -> Option<(&str, &str)> {
    if !text.starts_with('(') {
        return None;
    }
    let mut quoted = None;
    for (at, character) in text.char_indices() {
        match (quoted, character) {
            (None, '"' | '\'') => quoted = Some(character),
            // A quote within quotes is doubled, so that it ends one and begins the next.
            (Some(quote), _) if quote == character => quoted = None,
            (None, ')') => return Some(text.split_at(at + 1)),
            _ => {}
        }
    }
    None
}

/// A list behind a word, with the word; nothing if the text does not begin with it.
fn worded_list<'t>(text: &'t str, word: &str) -> Option<(&'t str, &'t str)> {
    match text.strip_prefix(word) {
        Some(rest) => {
            let (in_it, _) = list(rest)?;
            Some(text.split_at(word.len() + in_it.len()))
        }
        None => Some(("", text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(kind: IndexConstraintKind, definition: &str) -> Option<(String, String)> {
        let constraint = IndexConstraint {
            oid: 1,
            name: "k".to_owned(),
            kind,
            definition: definition.to_owned(),
            comment: None,
            inherited: false,
        };
        let parts = KeyParts::of(&constraint)?;
        Some((parts.index, parts.word.to_owned()))
    }

    #[test]
    fn a_definition_is_taken_apart() {
        use IndexConstraintKind::{Exclusion, PrimaryKey, Unique};
        let whole = |index: &str, attach: &str| Some((index.to_owned(), attach.to_owned()));
        assert_eq!(
            parts(PrimaryKey, "PRIMARY KEY (a, b)"),
            whole("(a, b)", "PRIMARY KEY")
        );
        assert_eq!(
            parts(
                Unique,
                "UNIQUE NULLS NOT DISTINCT (\"x)\"\"\", b) INCLUDE (c, \" WITH (\") WITH (fillfactor='70')"
            ),
            whole(
                "(\"x)\"\"\", b) INCLUDE (c, \" WITH (\") NULLS NOT DISTINCT WITH (fillfactor='70')",
                "UNIQUE"
            )
        );
        assert_eq!(parts(Unique, "UNIQUE (a)"), whole("(a)", "UNIQUE"));
        for (kind, definition) in [
            (PrimaryKey, "PRIMARY KEY (a, b WITHOUT OVERLAPS)"),
            (Exclusion, "EXCLUDE USING gist (a WITH =)"),
            (Unique, "UNIQUE (a) NOT ENFORCED"),
            (Unique, "UNIQUE (a) DEFERRABLE"),
            (Unique, "UNIQUE (a) DEFERRABLE INITIALLY DEFERRED"),
            (Unique, "UNIQUE (a"),
            (PrimaryKey, "UNIQUE (a)"),
        ] {
            assert_eq!(parts(kind, definition), None, "{definition}");
        }
    }
}
