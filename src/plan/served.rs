//! Which index serves the check of a foreign key: with it the server compares keys with keys, in order, and
//! need not look at rows.
//!
//! An entry has no other word of its columns than its statements, which the server deparsed: the
//! same columns are written the same way in all of them. Whatever is not recognized is no such index.

use crate::archive::Entry;

/// The columns that a foreign key is on.
pub(super) fn columns_of_foreign_key(entry: &Entry) -> Option<Vec<&str>> {
    statements(entry).find_map(|statement| list_behind(statement, "FOREIGN KEY (").map(|it| it.0))
}

/// Whether an index, or that of a key, begins with these columns, in whatever order.
pub(super) fn serves(entry: &Entry, columns: &[&str]) -> bool {
    let words = [" USING btree (", " PRIMARY KEY (", " UNIQUE ("];
    let found = statements(entry)
        .find_map(|statement| words.iter().find_map(|word| list_behind(statement, word)));
    let Some((indexed, rest)) = found else {
        return false;
    };
    // Nor one that leaves rows out, or is no B-tree.
    let is_other = rest.contains(" WHERE ") || indexed.iter().any(|it| it.contains(" WITHOUT "));
    !is_other
        && indexed
            .get(..columns.len())
            .is_some_and(|first| columns.iter().all(|column| first.contains(column)))
}

fn statements(entry: &Entry) -> impl Iterator<Item = &str> {
    let pieces = entry.split.iter().flat_map(|piece| &piece.create);
    entry.create.iter().chain(pieces).map(String::as_str)
}

/// What stands in the parentheses that `words` end with, item by item, and what comes behind them.
fn list_behind<'a>(statement: &'a str, words: &str) -> Option<(Vec<&'a str>, &'a str)> {
    let (_, list) = statement.split_once(words)?;
    let mut items = Vec::new();
    let (mut from, mut depth, mut quoted) = (0, 0, false);
    for (at, byte) in list.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'(' => depth += 1,
            b')' if depth > 0 => depth -= 1,
            b')' => {
                items.push(list[from..at].trim());
                return Some((items, &list[at + 1..]));
            }
            b',' if depth == 0 => {
                items.push(list[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Section;

    fn entry(create: &str) -> Entry {
        Entry {
            create: vec![create.to_owned()],
            ..Entry::new(1, "INDEX", "i", Section::PostData)
        }
    }

    #[test]
    fn an_index_serves_a_key_that_it_begins_with() {
        let key = entry(
            "ALTER TABLE ONLY s.t ADD CONSTRAINT f FOREIGN KEY (b, \"a), c\") REFERENCES s.u(x, y)",
        );
        let columns = columns_of_foreign_key(&key).unwrap();
        assert_eq!(columns, ["b", "\"a), c\""]);
        for (create, serves_it) in [
            ("CREATE INDEX i ON s.t USING btree (\"a), c\", b)", true),
            (
                "CREATE INDEX i ON s.t USING btree (b, \"a), c\", d) INCLUDE (e)",
                true,
            ),
            (
                "ALTER TABLE s.t ADD CONSTRAINT k PRIMARY KEY (b, \"a), c\")",
                true,
            ),
            (
                "ALTER TABLE s.t ADD CONSTRAINT k UNIQUE (\"a), c\", b)",
                true,
            ),
            ("CREATE INDEX i ON s.t USING btree (b, d, \"a), c\")", false),
            ("CREATE INDEX i ON s.t USING btree (b)", false),
            (
                "CREATE INDEX i ON s.t USING btree (b DESC, \"a), c\")",
                false,
            ),
            (
                "CREATE INDEX i ON s.t USING btree (lower(b), \"a), c\")",
                false,
            ),
            ("CREATE INDEX i ON s.t USING gin (b, \"a), c\")", false),
            (
                "CREATE INDEX i ON s.t USING btree (b, \"a), c\") WHERE (d > 0)",
                false,
            ),
            (
                "ALTER TABLE s.t ADD CONSTRAINT k PRIMARY KEY (b, \"a), c\", d WITHOUT OVERLAPS)",
                false,
            ),
        ] {
            assert_eq!(serves(&entry(create), &columns), serves_it, "{create}");
        }
        assert_eq!(columns_of_foreign_key(&entry("FOREIGN KEY (a")), None);
    }
}
