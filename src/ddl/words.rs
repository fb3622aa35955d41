//! Looking for words in text that the server deparsed.

/// Whether a phrase stands in the text outside of quoted names and literals.
pub(super) fn has_words(text: &str, phrase: &str) -> bool {
    outside_quotes(text).any(|piece| piece.contains(phrase))
}

/// The pieces of a text between quoted names and literals. A quote within quotes is doubled, so
/// that it ends one and begins the next.
pub(super) fn outside_quotes(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(['"', '\'']).unwrap_or(rest.len());
        let (piece, quoted) = rest.split_at(end);
        let mut characters = quoted.chars();
        rest = match characters.next() {
            Some(quote) => match characters.as_str().split_once(quote) {
                Some((_, after)) => after,
                None => "",
            },
            None => "",
        };
        Some(piece)
    })
}

/// Whether a built-in multirange type is among the types that the text names; they came with 14.
pub(super) fn builtin_multirange(text: &str) -> bool {
    const NAMES: [&str; 8] = [
        "anycompatiblemultirange",
        "anymultirange",
        "datemultirange",
        "int4multirange",
        "int8multirange",
        "nummultirange",
        "tsmultirange",
        "tstzmultirange",
    ];
    // A name behind a dot is a user's own.
    let names = |piece: &str| {
        piece
            .split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.')
            .any(|word| NAMES.contains(&word))
    };
    outside_quotes(text).any(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_quotes_do_not_count() {
        let key = "FOREIGN KEY (id, PERIOD valid) REFERENCES s.t(id, PERIOD valid)";
        assert!(has_words(key, ", PERIOD "));
        let odd = r#"FOREIGN KEY ("a, PERIOD b", "c"", PERIOD d") REFERENCES "s"", PERIOD ".t"#;
        assert!(!has_words(odd, ", PERIOD "));
        assert!(has_words(
            "CHECK ((a <> 'it''s'::text)) NOT ENFORCED",
            " NOT ENFORCED"
        ));
        assert!(!has_words(
            "CHECK ((a <> ' NOT ENFORCED'::text))",
            " NOT ENFORCED"
        ));
        assert!(!has_words("", "x"));
    }

    #[test]
    fn multiranges_are_told_from_names_of_users() {
        assert!(builtin_multirange("int4multirange[]"));
        assert!(builtin_multirange("a integer, VARIADIC b anymultirange"));
        assert!(!builtin_multirange("app.int4multirange"));
        assert!(!builtin_multirange("\"int4multirange\""));
        assert!(!builtin_multirange("my_int4multirange"));
    }
}
