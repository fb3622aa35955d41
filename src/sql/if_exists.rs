//! Statements that drop, made strict.

/// The statement without `IF EXISTS`: what is not there is an error then. What stands in quotes of
/// any kind is left alone.
pub fn without_if_exists(statement: &str) -> String {
    const WORDS: &str = "IF EXISTS ";
    let mut text = String::with_capacity(statement.len());
    let mut rest = statement;
    while let Some(character) = rest.chars().next() {
        let taken = match character {
            '"' | '\'' => closing(rest, character),
            '$' => dollar_quoted(rest),
            _ if rest.starts_with(WORDS) && (text.is_empty() || text.ends_with(' ')) => {
                rest = &rest[WORDS.len()..];
                continue;
            }
            _ => character.len_utf8(),
        };
        let (done, after) = rest.split_at(taken);
        text.push_str(done);
        rest = after;
    }
    text
}

/// Length of what begins with a quote: up to the next of its kind. A doubled quote begins another
/// piece at once, which comes to the same.
fn closing(text: &str, quote: char) -> usize {
    let inner = text.get(1..).unwrap_or_default();
    inner.find(quote).map_or(text.len(), |at| at + 2)
}

/// Length of a dollar-quoted string, or of a dollar that begins none.
fn dollar_quoted(text: &str) -> usize {
    let tag = text[1..]
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|&at| text[1 + at..].starts_with('$'))
        .and_then(|at| text.get(..at + 2));
    let Some(tag) = tag else { return 1 };
    let inner = &text[tag.len()..];
    inner.find(tag).map_or(text.len(), |at| at + 2 * tag.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_words_of_the_statement_itself_go() {
        for (lenient, strict) in [
            ("DROP TABLE IF EXISTS a.b", "DROP TABLE a.b"),
            (
                "ALTER TABLE IF EXISTS ONLY t DROP CONSTRAINT IF EXISTS c",
                "ALTER TABLE ONLY t DROP CONSTRAINT c",
            ),
            (
                "DROP TABLE IF EXISTS \"IF EXISTS \"\" IF EXISTS x\"",
                "DROP TABLE \"IF EXISTS \"\" IF EXISTS x\"",
            ),
            ("DO $$ IF EXISTS x $$", "DO $$ IF EXISTS x $$"),
            ("DO $_a$ $$ IF EXISTS x $_a$", "DO $_a$ $$ IF EXISTS x $_a$"),
            ("SELECT 'DROP IF EXISTS ''x'", "SELECT 'DROP IF EXISTS ''x'"),
            ("DROP TABLE IF EXISTS a$b", "DROP TABLE a$b"),
            ("DROP X \"open", "DROP X \"open"),
            ("", ""),
        ] {
            assert_eq!(without_if_exists(lenient), strict);
        }
    }
}
