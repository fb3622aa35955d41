//! The known word that was probably meant.
//!
//! Why it exists: whoever mistypes the name of a parameter or key is to be told the right one, by one
//! rule everywhere.

/// The known word with the smallest edit distance, if it is near enough to be meant. Case and
/// underscores do not count (`ssl_mode` is `sslmode`).
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    known
        .into_iter()
        .map(|right| (distance(&word, &right.to_ascii_lowercase()), right))
        .min()
        .filter(|(distance, right)| *distance <= (right.len() / 3).max(2))
        .map(|(_, right)| right)
}

/// Levenshtein distance in bytes, ignoring underscores.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<u8> = left.bytes().filter(|byte| *byte != b'_').collect();
    let right: Vec<u8> = right.bytes().filter(|byte| *byte != b'_').collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let change = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_found_if_it_is_near() {
        let known = ["location", "endpoint", "region", "part_size"];
        for (word, right) in [
            ("locaton", Some("location")),
            ("Region", Some("region")),
            ("partsize", Some("part_size")),
            ("end_point", Some("endpoint")),
            ("passphrase", None),
        ] {
            assert_eq!(nearest(word, known), right, "{word}");
        }
        assert_eq!(nearest("x", []), None);
    }
}
